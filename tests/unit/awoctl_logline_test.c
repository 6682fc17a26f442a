/* Tests how lines of a log are shown. */
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/unit/cmocka_all.h"

#include "awoctl/logline.h"
#include "common/clean.h"

#define HEAD "{\"timestamp\":\"2026-01-31T08:00:00.5Z\",\"level\":\"info\",\"agent_work_order_id\":\"wo-00000001\","

static char *
shown(const char *text)
{
	struct term term = {.width = 0};
	CLEAN_JSON json_t *line = logline_parse(text);
	struct buf b = {0};

	assert_non_null(line);
	logline_show(&b, &term, line, LOGLINE_WHOLE);
	return buf_take(&b);
}

static void
expect(const char *text, const char *want)
{
	char *got = shown(text);

	assert_string_equal(got, want);
	free(got);
}

static void
says_it_in_words(void **state)
{
	(void)state;
	expect(HEAD "\"event\":\"step_completed\",\"step\":\"planning\",\"step_number\":2,\"total_steps\":5,"
	    "\"duration_seconds\":32.5,\"success\":true,\"output\":\"PRPs/a.md\"}",
	    "08:00:00 info    [planning] step 2/5 planning done after 32s: PRPs/a.md\n");
	expect(HEAD "\"event\":\"step_completed\",\"step\":\"x\",\"step_number\":1,\"total_steps\":1,"
	    "\"duration_seconds\":2,\"success\":false,\"error_message\":\"no plan\"}",
	    "08:00:00 info    [x] step 1/1 x failed after 2.0s: no plan\n");
	expect(HEAD "\"event\":\"agent_output\",\"kind\":\"tool_use\",\"tool\":\"Bash\",\"input\":\"ls -la\"}",
	    "08:00:00 info    > Bash: ls -la\n");
	expect(HEAD "\"event\":\"git_commit_created\",\"sha\":\"0123456789abcdef\",\"subject\":\"feat: x\","
	    "\"git_files_changed\":3,\"git_lines_added\":10,\"git_lines_removed\":2}",
	    "08:00:00 info    commit 0123456789 feat: x (3 files, +10 -2 in all)\n");
	/* an event without words shows its own fields, known to us or not */
	expect(HEAD "\"event\":\"port_range_allocated\",\"port_range_start\":42000,\"port_range_end\":42009,\"x\":null,"
	    "\"note\":\"a b\",\"list\":[1,\"two\"]}",
	    "08:00:00 info    port_range_allocated port_range_start=42000 port_range_end=42009 note=\"a b\" "
	    "list=[1,\"two\"]\n");
	expect("{\"event\":\"from_the_future\"}", "--:--:--         from_the_future\n");
}

static void
cannot_be_forged(void **state)
{
	(void)state;
	/* a text of several lines is set in: none of them looks like a line of the log */
	char *got = shown(HEAD "\"event\":\"agent_output\",\"kind\":\"text\","
	    "\"text\":\"one\\n08:00:00 error   forged\\u001b[2Jx\"}");
	assert_string_equal(got, "08:00:00 info    one\n                 08:00:00 error   forged\\x1b[2Jx\n");
	free(got);
	static const char *const keys[] = {"event", "level", "step", "sha", "subject", "tool", "kind", "any"};
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		CLEAN_FREE char *text = xasprintf("{\"timestamp\":\"\\u001b]0;x\\u0007\",\"event\":\"git_commit_created\","
		    "\"%s\":\"\\u001b]0;x\\u0007\\n\"}", keys[i]);
		CLEAN_JSON json_t *line = json_loads(text, 0, NULL);
		struct term term = {.width = 0};
		CLEAN_BUF struct buf b = {0};
		logline_show(&b, &term, line, LOGLINE_WHOLE);
		assert_null(strchr(b.p, '\033'));
		assert_null(strchr(b.p, '\007'));
		assert_ptr_equal(strchr(b.p, '\n'), b.p + b.len - 1);
	}
}

static void
can_be_cut(void **state)
{
	struct term term = {.width = 0};
	CLEAN_BUF struct buf text = {0}, b = {0};

	(void)state;
	buf_adds(&text, HEAD "\"event\":\"agent_output\",\"kind\":\"text\",\"text\":\"a\\nb");
	for (int i = 0; i < 500; i++)
		buf_addc(&text, 'x');
	buf_adds(&text, "\"}");
	CLEAN_JSON json_t *line = logline_parse(text.p);
	logline_show(&b, &term, line, LOGLINE_CUT);
	assert_non_null(strstr(b.p, "a bxxx"));
	assert_ptr_equal(strchr(b.p, '\n'), b.p + b.len - 1);
	assert_int_equal(term_columns(b.p) - 1, strlen("08:00:00 info    ") + LOGLINE_SHORT);
}

static void
refuses_what_is_no_line(void **state)
{
	(void)state;
	assert_null(logline_parse("[1]"));
	assert_null(logline_parse("{\"a\":"));
	assert_null(logline_parse(""));
}

static void
knows_what_is_notable(void **state)
{
	static const struct {
		const char *text;
		bool notable;
	} rows[] = {{"{\"event\":\"step_started\"}", true}, {"{\"event\":\"git_commit_created\"}", true},
	    {"{\"event\":\"agent_output\",\"kind\":\"text\"}", true},
	    {"{\"event\":\"agent_output\",\"kind\":\"tool_result\"}", false},
	    {"{\"event\":\"agent_output\",\"kind\":\"tool_result\",\"level\":\"error\"}", true},
	    {"{\"event\":\"port_range_allocated\"}", false}, {"{\"event\":\"unknown\"}", false},
	    {"{\"event\":\"unknown\",\"level\":\"warning\"}", true},
	    {"{\"event\":\"agent_work_order_completed\"}", true},
	    {"{\"event\":\"workflow_failed\",\"level\":\"error\"}", false}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		CLEAN_JSON json_t *line = logline_parse(rows[i].text);
		assert_int_equal(logline_notable(line), rows[i].notable);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_it_in_words),
		cmocka_unit_test(cannot_be_forged),
		cmocka_unit_test(can_be_cut),
		cmocka_unit_test(refuses_what_is_no_line),
		cmocka_unit_test(knows_what_is_notable),
	};

	setenv("TZ", "UTC", 1);
	tzset();
	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
