/* The order's log: the shape of a line, limits, short writes, text of any kind. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <signal.h>
#include <unistd.h>

#include <cmocka.h>

#include "awo-worker/journal.h"
#include "common/files.h"

static struct journal
open_journal(uint64_t limit)
{
	struct journal j;
	json_t *context = json_pack("{s:s,s:n,s:s}", "repository_url", "https://example.org/a/b",
	    "workflow_type", "sandbox_type", "git_worktree");
	int fd = memfd_create("journal", MFD_CLOEXEC);

	assert_true(fd >= 0);
	fcntl(fd, F_SETFL, O_APPEND);
	journal_open(&j, fd, "wo-0123abcd", context, limit);
	json_decref(context);
	return j;
}

static char *
text_of(const struct journal *j)
{
	size_t len;
	char *text;

	assert_int_equal(lseek(j->fd, 0, SEEK_SET), 0);
	text = files_read_fd(j->fd, 64U << 20, &len);
	assert_non_null(text);
	return text;
}

static void
keys_stand_in_their_order(void **state)
{
	struct journal j = open_journal(1 << 20);
	static const char rest[] =
	    "\"level\":\"info\",\"event\":\"step_started\",\"agent_work_order_id\":\"wo-0123abcd\","
	    "\"work_order_id\":\"wo-0123abcd\",\"repository_url\":\"https://example.org/a/"
	    "b\",\"workflow_type\":null,"
	    "\"sandbox_type\":\"git_worktree\",\"step\":\"planning\",\"agent_name\":\"Planner\"}\n";
	char *text;

	(void)state;
	journal_step(&j, "other");
	/* a step of its own comes instead of the bound one, and only once */
	assert_int_equal(journal_write(&j, P_E_step_started, log_level_info,
			     json_pack("{s:s,s:s}", "step", "planning", "agent_name", "Planner")),
	    0);
	text = text_of(&j);
	assert_memory_equal(text, "{\"timestamp\":\"20", 16);
	assert_string_equal(strstr(text, "\"level\""), rest);
	free(text);
	journal_close(&j);
}

static void
the_running_step_is_bound(void **state)
{
	struct journal j = open_journal(1 << 20);
	json_t *line;
	char *text, *second;

	(void)state;
	journal_step(&j, "execute");
	journal_write(&j, P_E_agent_command_started, log_level_info, NULL);
	journal_step(&j, NULL);
	journal_write(&j, P_E_commands_loaded, log_level_info, NULL);
	text = text_of(&j);
	second = strchr(text, '\n') + 1;
	line = json_loads(text, JSON_DISABLE_EOF_CHECK, NULL);
	assert_string_equal(json_string_value(json_object_get(line, "step")), "execute");
	json_decref(line);
	line = json_loads(second, 0, NULL);
	assert_non_null(line);
	assert_null(json_object_get(line, "step"));
	json_decref(line);
	free(text);
	journal_close(&j);
}

static size_t
count(const char *text, const char *what)
{
	size_t n = 0;

	for (; (text = strstr(text, what)) != NULL; text++)
		n++;
	return n;
}

static void
output_beyond_the_limit_is_dropped_and_state_is_not(void **state)
{
	struct journal j = open_journal(4096);
	char *text;

	(void)state;
	for (int i = 0; i < 100; i++)
		assert_int_equal(journal_write(&j, P_E_agent_output, log_level_info,
				     json_pack("{s:s}", "text", "something that the agent said")),
		    0);
	for (int i = 0; i < 10; i++)
		assert_int_equal(
		    journal_write(&j, P_E_git_commit_created, log_level_info, NULL), 0);
	assert_true(j.dropped_lines > 50);
	journal_report(&j);
	text = text_of(&j);
	assert_int_equal(count(text, "\"git_commit_created\""), 10);
	assert_int_equal(count(text, "\"agent_output\"") + j.dropped_lines, 100);
	/* told once when it began, and once at the end with the numbers */
	assert_int_equal(count(text, "\"limit_exceeded\""), 2);
	assert_int_equal(count(text, "\"dropped_lines\""), 1);
	free(text);
	journal_close(&j);
}

static void
an_earlier_attempt_counts(void **state)
{
	struct journal j;
	int fd = memfd_create("journal", MFD_CLOEXEC);
	char old[5000];

	(void)state;
	memset(old, 'x', sizeof(old));
	old[sizeof(old) - 1] = '\n';
	assert_int_equal(files_write_all(fd, old, sizeof(old)), 0);
	journal_open(&j, fd, "wo-0123abcd", NULL, 4096);
	journal_write(&j, P_E_agent_output, log_level_info, NULL);
	assert_int_equal(j.dropped_lines, 1);
	journal_close(&j);
}

/* RLIMIT_FSIZE makes writes short, as a full disk does. */
static void
a_short_write_is_mended_by_a_newline(void **state)
{
	char path[] = "/tmp/awo-journal-XXXXXX";
	int fd = mkostemp(path, O_APPEND | O_CLOEXEC);
	struct journal j;
	struct rlimit old, low;
	json_t *line;
	char *text, *second;

	(void)state;
	assert_true(fd >= 0);
	unlink(path);
	journal_open(&j, fd, "wo-0123abcd", NULL, 1 << 20);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	low = (struct rlimit){.rlim_cur = 20, .rlim_max = old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
	journal_write(&j, P_E_commands_loaded, log_level_info, NULL);
	setrlimit(RLIMIT_FSIZE, &old);
	assert_int_equal(journal_write(&j, P_E_workflow_started, log_level_info, NULL), 0);
	text = text_of(&j);
	second = strchr(text, '\n');
	assert_int_equal(second - text, 20);
	line = json_loads(second + 1, 0, NULL);
	assert_string_equal(json_string_value(json_object_get(line, "event")), "workflow_started");
	json_decref(line);
	free(text);
	journal_close(&j);
}

/* awod writes to the same file, and a full disk may have cut its line. */
static void
half_a_line_of_another_swallows_none(void **state)
{
	struct journal j = open_journal(1 << 20);
	json_t *line;
	char *text, *second;

	(void)state;
	assert_int_equal(write(j.fd, "{\"timestamp\":", 13), 13);
	assert_int_equal(journal_write(&j, P_E_workflow_started, log_level_info, NULL), 0);
	text = text_of(&j);
	assert_memory_equal(text, "{\"timestamp\":\n", 14);
	second = text + 14;
	line = json_loads(second, 0, NULL);
	assert_string_equal(json_string_value(json_object_get(line, "event")), "workflow_started");
	json_decref(line);
	free(text);
	journal_close(&j);
}

static void
a_state_line_that_cannot_be_written_is_a_failure(void **state)
{
	struct journal j = open_journal(1 << 20);
	int fds[2];

	(void)state;
	close(j.fd);
	assert_int_equal(pipe(fds), 0);
	/* the reading end cannot be written to */
	j.fd = fds[0];
	assert_int_equal(journal_write(&j, P_E_agent_command_started, log_level_info, NULL), 0);
	assert_int_equal(journal_write(&j, P_E_step_started, log_level_info, NULL), -1);
	assert_true(j.failed);
	close(fds[1]);
	journal_close(&j);
}

static void
text_of_any_kind(void **state)
{
	static const struct {
		const char *in;
		size_t len, max;
		const char *out;
	} table[] = {
	    {"plain", 5, 100, "plain"},
	    {"", 0, 100, ""},
	    {"0123456789", 10, 10, "0123456789"},
	    {"0123456789x", 11, 10, "0123456..."},
	    {"\xff"
	     "a",
		2, 100,
		"\xef\xbf\xbd"
		"a"},
	    {"a\0b", 3, 100,
		"a\xef\xbf\xbd"
		"b"},
	    /* never half a character */
	    {"aaaaaa\xe2\x82\xac"
	     "bbbb",
		13, 10, "aaaaaa..."},
	    {"\xed\xa0\x80", 3, 100, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		json_t *s = journal_text(table[i].in, table[i].len, table[i].max);

		assert_non_null(s);
		if (table[i].out != NULL)
			assert_string_equal(json_string_value(s), table[i].out);
		json_decref(s);
	}
}

static void
state_lines_are_synced_together(void **state)
{
	struct journal j = open_journal(1 << 20);

	(void)state;
	assert_int_equal(journal_write(&j, P_E_agent_command_started, log_level_info, NULL), 0);
	assert_false(j.unsynced);
	assert_int_equal(journal_write(&j, P_E_workflow_started, log_level_info, NULL), 0);
	assert_int_equal(journal_write(&j, P_E_step_started, log_level_info, NULL), 0);
	assert_true(j.unsynced);
	assert_int_equal(journal_sync(&j), 0);
	assert_false(j.unsynced);
	/* what did not get to the disk fails the next one, and all that ask */
	assert_int_equal(journal_write(&j, P_E_step_completed, log_level_info, NULL), 0);
	close(j.fd);
	j.fd = -1;
	assert_int_equal(journal_sync(&j), -1);
	assert_true(j.failed);
	assert_int_equal(journal_sync(&j), -1);
	j.fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	assert_int_equal(journal_write(&j, P_E_workflow_completed, log_level_info, NULL), -1);
	journal_close(&j);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(keys_stand_in_their_order),
	    cmocka_unit_test(the_running_step_is_bound),
	    cmocka_unit_test(output_beyond_the_limit_is_dropped_and_state_is_not),
	    cmocka_unit_test(an_earlier_attempt_counts),
	    cmocka_unit_test(a_short_write_is_mended_by_a_newline),
	    cmocka_unit_test(half_a_line_of_another_swallows_none),
	    cmocka_unit_test(a_state_line_that_cannot_be_written_is_a_failure),
	    cmocka_unit_test(state_lines_are_synced_together),
	    cmocka_unit_test(text_of_any_kind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
