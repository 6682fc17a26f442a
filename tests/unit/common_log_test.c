/* The log: what lands on standard error, byte for byte. */
#include "cmocka_all.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clean.h"
#include "common/clock.h"
#include "common/files.h"
#include "common/log.h"

static int saved = -1, memory = -1;

/* Standard error goes into memory until release(). */
static void
capture(void)
{
	saved = dup(STDERR_FILENO);
	memory = memfd_create("log", MFD_CLOEXEC);
	assert_true(saved >= 0 && memory >= 0);
	assert_true(dup2(memory, STDERR_FILENO) >= 0);
}

static char *
release(void)
{
	char *text;

	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	close(saved);
	assert_int_equal(lseek(memory, 0, SEEK_SET), 0);
	text = files_read_fd(memory, 1U << 20, NULL);
	close(memory);
	assert_non_null(text);
	return text;
}

static void
writes_json(void **state)
{
	CLEAN_FREE char *text = NULL;
	CLEAN_JSON json_t *j = NULL;
	int64_t when;

	(void)state;
	capture();
	log_open("prog", LOG_FMT_JSON, LOG_LVL_INFO);
	errno = ENOENT;
	log_warning("thing_happened", LS("text", "a\"b\\c\n\t\x01\x7f\xc2\x85\xff\xe2\x82\xac"),
	    LI("n", -5), LD("d", 1.5), LD("nan", NAN), LS("none", NULL));
	assert_int_equal(errno, ENOENT);
	text = release();
	j = json_loads(text, 0, NULL);
	assert_non_null(j);
	assert_int_equal(strchr(text, '\n') - text, (long)strlen(text) - 1);
	assert_null(strpbrk(text, "\x01\x7f"));
	assert_null(strstr(text, "\xc2\x85"));
	assert_string_equal(json_string_value(json_object_get(j, "level")), "warning");
	assert_string_equal(json_string_value(json_object_get(j, "program")), "prog");
	assert_string_equal(json_string_value(json_object_get(j, "event")), "thing_happened");
	assert_string_equal(json_string_value(json_object_get(j, "text")),
	    "a\"b\\c\n\t\x01\x7f\xc2\x85\xef\xbf\xbd\xe2\x82\xac");
	assert_int_equal(json_integer_value(json_object_get(j, "n")), -5);
	assert_true(json_real_value(json_object_get(j, "d")) == 1.5);
	assert_true(json_is_null(json_object_get(j, "nan")));
	assert_true(json_is_null(json_object_get(j, "none")));
	assert_true(clock_parse(json_string_value(json_object_get(j, "timestamp")), &when));
}

static void
writes_text(void **state)
{
	CLEAN_FREE char *text = NULL;

	(void)state;
	capture();
	log_open("prog", LOG_FMT_TEXT, LOG_LVL_INFO);
	log_info("it_ran", LS("plain", "word"), LS("odd", "two words\x1b[0m\n"), LS("empty", ""),
	    LI("n", 7));
	text = release();
	assert_non_null(strstr(
	    text, "Z info prog: it_ran plain=word odd=\"two words\\x1b[0m\\n\" empty=\"\" n=7\n"));
}

static void
keeps_to_the_level(void **state)
{
	CLEAN_FREE char *text = NULL;

	(void)state;
	capture();
	log_open("prog", LOG_FMT_TEXT, LOG_LVL_WARNING);
	log_info("hidden", LI("n", 1));
	log_error("shown", LI("n", 1));
	log_set(LOG_FMT_TEXT, LOG_LVL_DEBUG);
	log_debug("shown_too", LI("n", 1));
	text = release();
	assert_null(strstr(text, "hidden"));
	assert_non_null(strstr(text, "error prog: shown"));
	assert_non_null(strstr(text, "debug prog: shown_too"));
}

static void
knows_the_journal(void **state)
{
	CLEAN_FREE char *text = NULL;
	char stream[64];
	struct stat st;

	(void)state;
	capture();
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)st.st_dev,
	    (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_open("prog", LOG_FMT_TEXT, LOG_LVL_DEBUG);
	log_error("a", LI("n", 1));
	log_debug("b", LI("n", 2));
	/* inherited from a unit, but standard error is something else */
	setenv("JOURNAL_STREAM", "1:1", 1);
	log_open("prog", LOG_FMT_TEXT, LOG_LVL_INFO);
	log_info("c", LI("n", 3));
	unsetenv("JOURNAL_STREAM");
	text = release();
	assert_true(strncmp(text, "<3>a n=1\n<7>b n=2\n20", 20) == 0);
}

static void
bounds_long_values(void **state)
{
	CLEAN_FREE char *text = NULL, *big = xcalloc(100001, 1);

	(void)state;
	memset(big, 'x', 100000);
	capture();
	log_open("prog", LOG_FMT_TEXT, LOG_LVL_INFO);
	log_info("big", LS("v", big));
	text = release();
	assert_in_range(strlen(text), 16384, 17000);
	assert_non_null(strstr(text, "\xe2\x80\xa6\"\n"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(writes_json),
	    cmocka_unit_test(writes_text),
	    cmocka_unit_test(keeps_to_the_level),
	    cmocka_unit_test(knows_the_journal),
	    cmocka_unit_test(bounds_long_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
