/* Tests the status lines of the live view. */
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/cmocka_all.h"

#include "awoctl/live.h"
#include "common/clock.h"

static const struct term terminal = {.tty = true, .width = 60};

static void
status(struct live *l, int64_t now, const char *first, const char *second)
{
	CLEAN_BUF struct buf b = {0};

	assert_int_equal(live_status(l, now, &b), second ? 2 : 1);
	char *line = b.p, *rest = strchr(b.p, '\n');
	*rest++ = '\0';
	assert_string_equal(line, first);
	if (second) {
		rest[strlen(rest) - 1] = '\0';
		assert_string_equal(rest, second);
		assert_true(term_columns(rest) < 60);
	}
	assert_true(term_columns(line) < 60);
}

static void
follows_the_log(void **state)
{
	struct live l;
	int64_t t0, t;

	(void)state;
	assert_true(clock_parse("2026-01-31T08:00:00Z", &t0));
	live_init(&l, &terminal, false);
	struct p_order order = {.status = order_status_pending, .queue_position = 3};
	live_order(&l, &order);
	status(&l, t0, "| pending, number 3 in the queue", NULL);
	live_line(&l, "{\"timestamp\":\"2026-01-31T08:00:00Z\",\"event\":\"agent_work_order_started\",\"attempt\":1}");
	live_line(&l, "{\"timestamp\":\"2026-01-31T08:00:01Z\",\"event\":\"step_started\",\"step\":\"planning\","
	    "\"agent_name\":\"Planner\",\"step_number\":2,\"total_steps\":5}");
	t = t0 + 65000000;
	status(&l, t, "| step 2/5 planning | 1m 05s", "  1m 04s ago: step 2/5 planning started (Planner)");
	live_line(&l, "{\"timestamp\":\"2026-01-31T08:01:00Z\",\"event\":\"agent_output\",\"kind\":\"tool_use\","
	    "\"tool\":\"Bash\",\"input\":\"a very long command line that does not fit into the terminal\","
	    "\"input_tokens\":1000,\"output_tokens\":234}");
	status(&l, t, "| step 2/5 planning | 1m 05s | 1.2k tokens",
	    "  5.0s ago: > Bash: a very long command line that does not…");
	/* the step's own sum replaces what was counted while it ran */
	live_line(&l, "{\"timestamp\":\"2026-01-31T08:01:05Z\",\"event\":\"step_completed\",\"step\":\"planning\","
	    "\"step_number\":2,\"total_steps\":5,\"success\":true,\"duration_seconds\":4,"
	    "\"usage\":{\"input_tokens\":2000,\"output_tokens\":500,\"cost_usd\":0.25}}");
	status(&l, t, "| step 2/5 planning | 1m 05s | 2.5k tokens | $0.25", "  now: step 2/5 planning done after 4.0s");
	live_line(&l, "{\"timestamp\":\"2026-01-31T08:01:05Z\",\"event\":\"agent_work_order_paused\"}");
	status(&l, t, "| paused | 1m 05s | 2.5k tokens | $0.25", "  now: agent_work_order_paused");
	live_line(&l, "this is no line of a log");
	live_free(&l);
}

static void
cannot_be_broken_by_a_step(void **state)
{
	struct live l;
	CLEAN_BUF struct buf b = {0};

	(void)state;
	live_init(&l, &terminal, true);
	live_line(&l, "{\"event\":\"agent_work_order_started\"}");
	live_line(&l, "{\"event\":\"step_started\",\"step\":\"\\u001b[2J\\n\",\"step_number\":1,\"total_steps\":1}");
	live_status(&l, clock_wall_us(), &b);
	assert_null(strchr(b.p, '\033'));
	assert_ptr_equal(strchr(b.p, '\n'), b.p + b.len - 1);
	live_free(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(follows_the_log),
		cmocka_unit_test(cannot_be_broken_by_a_step),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
