/* Reading logs: every line once and whole, whatever the portions, and nothing that a hostile one
 * could break. */
#include "tests/unit/cmocka_all.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "awod/log_lines.h"
#include "common/buf.h"
#include "common/clock.h"

struct seen {
	size_t n, omitted;
	int64_t seq[4096];
	size_t len[4096];
	int stop_after; /* lines; 0: never */
};

static int
see(void *arg, const char *p, size_t len, int64_t seq)
{
	struct seen *s = arg;

	if (p == NULL)
		s->omitted++;
	assert_true(s->n < 4096);
	s->seq[s->n] = seq;
	s->len[s->n++] = len;
	return s->stop_after > 0 && s->n % (size_t)s->stop_after == 0;
}

static int
temp_file(void)
{
	char path[] = "/tmp/awo-log-lines-XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC);

	assert_true(fd >= 0);
	unlink(path);
	return fd;
}

static void
put(int fd, const char *p, size_t n)
{
	assert_int_equal(write(fd, p, n), (ssize_t)n);
}

static int64_t
size_of(int fd)
{
	return lseek(fd, 0, SEEK_END);
}

static void
whole_lines_come_once(void **state)
{
	int fd = temp_file();
	struct log_cursor c = {0};
	struct seen s = {0};

	(void)state;
	put(fd, "{\"a\":1}\n{}\n\n{\"torn", 18);
	assert_int_equal(log_lines(fd, &c, size_of(fd), 1 << 20, see, &s), LOG_AT_END);
	assert_int_equal(s.n, 3);
	assert_int_equal(s.seq[0], 8);
	assert_int_equal(s.seq[1], 11);
	assert_int_equal(s.seq[2], 12);
	assert_int_equal(s.len[2], 0);
	assert_int_equal(c.pos, 12);
	/* the rest of the torn line */
	put(fd, "\":2}\n", 5);
	assert_int_equal(log_lines(fd, &c, size_of(fd), 1 << 20, see, &s), LOG_AT_END);
	assert_int_equal(s.n, 4);
	assert_int_equal(s.seq[3], size_of(fd));
	/* nothing new */
	assert_int_equal(log_lines(fd, &c, size_of(fd), 1 << 20, see, &s), LOG_AT_END);
	assert_int_equal(s.n, 4);
	close(fd);
}

static void
portions_make_no_difference(void **state)
{
	int fd = temp_file();
	struct seen *whole = calloc(1, sizeof(*whole)), *parts = calloc(1, sizeof(*parts));
	struct log_cursor a = {0}, b = {0};
	char line[3000];
	enum log_got got;
	int turns = 0;

	(void)state;
	assert_non_null(whole);
	assert_non_null(parts);
	memset(line, 'x', sizeof(line));
	for (size_t i = 0; i < 2000; i++) {
		size_t n = 1 + i * 7919 % 2900;

		line[n - 1] = '\n';
		put(fd, line, n);
		line[n - 1] = 'x';
	}
	assert_int_equal(log_lines(fd, &a, size_of(fd), SIZE_MAX / 2, see, whole), LOG_AT_END);
	assert_int_equal(whole->n, 2000);
	parts->stop_after = 7;
	while ((got = log_lines(fd, &b, size_of(fd), 1000, see, parts)) == LOG_MORE)
		turns++;
	assert_int_equal(got, LOG_AT_END);
	assert_true(turns > 200);
	assert_int_equal(parts->n, 2000);
	assert_memory_equal(parts->seq, whole->seq, 2000 * sizeof(int64_t));
	free(whole);
	free(parts);
	close(fd);
}

static void
long_lines_are_replaced(void **state)
{
	int fd = temp_file();
	struct log_cursor c = {0};
	struct seen s = {0};
	size_t n = LOG_LINE_MAX + 5000;
	char *long_line = malloc(3 * n);
	enum log_got got;

	(void)state;
	assert_non_null(long_line);
	memset(long_line, 'y', 3 * n);
	put(fd, "first\n", 6);
	put(fd, long_line, n);
	/* its end is not there: nothing is given, and it is not looked at again */
	while ((got = log_lines(fd, &c, size_of(fd), 100000, see, &s)) == LOG_MORE)
		;
	assert_int_equal(got, LOG_AT_END);
	assert_int_equal(s.n, 1);
	assert_int_equal(c.pos, 6);
	assert_true(c.looked > c.pos);
	put(fd, long_line, 2 * n);
	put(fd, "\nlast\n", 6);
	while ((got = log_lines(fd, &c, size_of(fd), 100000, see, &s)) == LOG_MORE)
		;
	assert_int_equal(got, LOG_AT_END);
	assert_int_equal(s.n, 3);
	assert_int_equal(s.omitted, 1);
	assert_int_equal(s.len[1], 3 * n);
	assert_int_equal(s.seq[2], size_of(fd));
	/* one of exactly the limit is given as it is */
	put(fd, long_line, LOG_LINE_MAX);
	put(fd, "\n", 1);
	assert_int_equal(log_lines(fd, &c, size_of(fd), 1 << 22, see, &s), LOG_AT_END);
	assert_int_equal(s.n, 4);
	assert_int_equal(s.omitted, 1);
	assert_int_equal(s.len[3], LOG_LINE_MAX);
	free(long_line);
	close(fd);
}

static void
only_ends_of_lines_are_resumed_at(void **state)
{
	int fd = temp_file();
	struct awo_err err = {0};

	(void)state;
	put(fd, "ab\ncd\n", 6);
	assert_int_equal(log_check_seq(fd, 0, "after_seq", &err), 0);
	assert_int_equal(log_check_seq(fd, 3, "after_seq", &err), 0);
	assert_int_equal(log_check_seq(fd, 6, "after_seq", &err), 0);
	assert_int_equal(log_check_seq(fd, 4, "after_seq", &err), -1);
	assert_int_equal(err.code, AWO_INVALID_ARGUMENT);
	assert_string_equal(err.field, "after_seq");
	assert_int_equal(log_check_seq(fd, 7, "after_seq", &err), -1);
	assert_int_equal(log_check_seq(fd, INT64_MAX, "after_seq", &err), -1);
	close(fd);
}

static bool
match(const struct log_filter *f, const char *line)
{
	return log_filter_match(f, line, strlen(line));
}

static void
filters_choose_lines(void **state)
{
	struct log_filter warn = {.level = log_level_warning}, step = {.step = "planning"},
			  since = {.has_since = true};
	struct log_filter none = {0};

	(void)state;
	assert_false(log_filter_active(&none));
	assert_true(match(&none, "no json"));
	assert_true(match(&warn, "{\"timestamp\":\"x\",\"level\":\"error\"}"));
	assert_true(match(&warn, "{ \"level\" : \"warning\" , \"a\":[1,{\"level\":\"info\"}]}"));
	assert_false(match(&warn, "{\"level\":\"info\",\"text\":\"\\\"level\\\":\\\"error\\\"\"}"));
	assert_false(match(&warn, "{\"a\":{\"level\":\"error\"},\"level\":\"info\"}"));
	assert_false(match(&warn, "{\"event\":\"without a level\"}"));
	assert_false(match(&warn, "{\"level\":7}"));
	assert_false(match(&warn, "{\"level\":\"err"));
	assert_true(log_filter_match(&warn, NULL, 0));
	assert_true(
	    match(&step, "{\"level\":\"info\",\"n\":-1.5e+3,\"x\":null,\"step\":\"planning\"}"));
	assert_false(match(&step, "{\"step\":\"planning2\"}"));
	assert_false(match(&step, "{\"output\":{\"step\":\"planning\"}}"));
	assert_false(log_filter_match(&step, NULL, 0));
	assert_true(clock_parse("2026-01-31T08:00:00Z", &since.since));
	assert_true(match(&since, "{\"timestamp\":\"2026-01-31T08:00:00.000000Z\"}"));
	assert_false(match(&since, "{\"timestamp\":\"2026-01-31T07:59:59.999999Z\"}"));
	assert_false(match(&since, "{\"timestamp\":\"yesterday\"}"));
}

static void
shown_lines_are_objects(void **state)
{
	static const char *const bad[] = {"", "{", "}", "[]", "null", "{\"a\":1", "{\"a\":1}}",
	    "{\"a\":1} x", "{\"a\" 1}", "{\"a\":\"\x01\"}", "{\"a\":\"\xff\"}", "{\"a\":]}", "{,}"};
	struct buf b = {0}, deep = {0};
	json_t *line;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		json_t *text = json_loads(log_line_text(bad[i], strlen(bad[i]), &b), 0, NULL);

		line = log_line_object(bad[i], strlen(bad[i]), 7);
		assert_true(json_is_object(text));
		assert_string_equal(
		    json_string_value(json_object_get(text, "event")), "log_line_omitted");
		assert_string_equal(
		    json_string_value(json_object_get(line, "event")), "log_line_omitted");
		assert_int_equal(json_integer_value(json_object_get(line, "seq")), 7);
		json_decref(line);
		json_decref(text);
	}
	/* a seq of the worker's own does not count */
	line = log_line_object("{\"seq\":1,\"event\":\"x\"}", 21, 99);
	assert_int_equal(json_integer_value(json_object_get(line, "seq")), 99);
	assert_string_equal(json_string_value(json_object_get(line, "event")), "x");
	json_decref(line);
	assert_string_equal(
	    log_line_text("{\"a\":[1,\"\\\"}\"]}", 15, &b), "{\"a\":[1,\"\\\"}\"]}");
	/* deeper than a message may be */
	buf_adds(&deep, "{\"a\":");
	for (int i = 0; i < 40; i++)
		buf_addc(&deep, '[');
	for (int i = 0; i < 40; i++)
		buf_addc(&deep, ']');
	buf_addc(&deep, '}');
	line = log_line_object(deep.p, deep.len, 1);
	assert_string_equal(json_string_value(json_object_get(line, "event")), "log_line_omitted");
	json_decref(line);
	line = log_line_object(NULL, 5000000, 1);
	assert_int_equal(json_integer_value(json_object_get(line, "bytes")), 5000000);
	json_decref(line);
	buf_free(&b);
	buf_free(&deep);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(whole_lines_come_once),
	    cmocka_unit_test(portions_make_no_difference),
	    cmocka_unit_test(long_lines_are_replaced),
	    cmocka_unit_test(only_ends_of_lines_are_resumed_at),
	    cmocka_unit_test(filters_choose_lines),
	    cmocka_unit_test(shown_lines_are_objects),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
