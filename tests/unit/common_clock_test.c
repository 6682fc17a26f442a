/* Clocks, RFC 3339 and durations. */
#include "cmocka_all.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"

#define S INT64_C(1000000)

static void
formats(void **state)
{
	static const struct {
		int64_t us;
		const char *text;
	} rows[] = {
	    {0, "1970-01-01T00:00:00.000000Z"},
	    {1, "1970-01-01T00:00:00.000001Z"},
	    {-1, "1969-12-31T23:59:59.999999Z"},
	    {951782400 * S, "2000-02-29T00:00:00.000000Z"},
	    {1769846400 * S + 123456, "2026-01-31T08:00:00.123456Z"},
	    {-62167219200 * S, "0000-01-01T00:00:00.000000Z"},
	    {-62167219200 * S - 1, "0000-01-01T00:00:00.000000Z"},
	    {INT64_MIN, "0000-01-01T00:00:00.000000Z"},
	    {253402300799 * S + 999999, "9999-12-31T23:59:59.999999Z"},
	    {INT64_MAX, "9999-12-31T23:59:59.999999Z"},
	};
	char buf[CLOCK_TEXT];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		assert_string_equal(clock_format(rows[i].us, buf), rows[i].text);
}

/* Against the C library, in steps that meet all days of the year and all kinds of year. */
static void
agrees_with_the_library(void **state)
{
	(void)state;
	for (int64_t s = -62167219200; s < 253402300799; s += 86400 * 97 + 12345) {
		time_t t = (time_t)s;
		char mine[CLOCK_TEXT], theirs[64];
		struct tm tm;
		int64_t back;

		gmtime_r(&t, &tm);
		snprintf(theirs, sizeof theirs, "%04d-%02d-%02dT%02d:%02d:%02d.000000Z",
		    tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
		assert_string_equal(clock_format(s * S, mine), theirs);
		assert_true(clock_parse(mine, &back));
		assert_true(back == s * S);
	}
}

static void
parses(void **state)
{
	static const struct {
		const char *text;
		int64_t us;
	} rows[] = {
	    {"1970-01-01T00:00:00Z", 0},
	    {"1970-01-01t00:00:00z", 0},
	    {"1970-01-01 00:00:00Z", 0},
	    {"1970-01-01T00:00:00.5Z", 500000},
	    {"1970-01-01T00:00:00.123456789Z", 123456},
	    {"1970-01-01T01:00:00+01:00", 0},
	    {"1969-12-31T18:30:00-05:30", 0},
	    {"2000-02-29T12:00:00Z", 951825600 * S},
	    {"2016-12-31T23:59:60Z", 1483228800 * S},
	    {"1969-12-31T23:59:59.999999Z", -1},
	    {"0", 0},
	    {"1769846400", 1769846400 * S},
	    {"-1", -S},
	};
	int64_t us;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		us = 42;
		if (!clock_parse(rows[i].text, &us) || us != rows[i].us)
			fail_msg("%s gave %lld", rows[i].text, (long long)us);
	}
}

static void
refuses_what_is_no_time(void **state)
{
	static const char *const rows[] = {"", " ", "-", "x", "1970", "1970-01-01",
	    "1970-01-01T00:00Z", "1970-01-01T00:00:00", "1970-01-01T00:00:00.Z",
	    "1970-01-01T00:00:00.1234567890Z", "1970-13-01T00:00:00Z", "1970-00-01T00:00:00Z",
	    "1970-01-00T00:00:00Z", "1970-01-32T00:00:00Z", "1970-04-31T00:00:00Z",
	    "2001-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "1970-01-01T24:00:00Z",
	    "1970-01-01T00:60:00Z", "1970-01-01T00:00:61Z", "1970-01-01T00:00:00Zx",
	    "1970-01-01T00:00:00+0100", "1970-01-01T00:00:00+24:00", "1970-01-01T00:00:00+01:60",
	    "1970-01-01T00:00:00+01", "1970-1-1T00:00:00Z", "1970/01/01T00:00:00Z",
	    "0000-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "1.5", "1e9", "9999999999999",
	    "253402300800", "+5", "\xd9\xa1", "1970-01-01T00:00:00 Z"};
	int64_t us;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (strcmp(rows[i], "1970") != 0 && clock_parse(rows[i], &us))
			fail_msg("%s was taken", rows[i]);
	/* a bare year is read as seconds, like every whole number */
	assert_true(clock_parse("1970", &us));
	assert_true(us == 1970 * S);
}

static void
parses_durations(void **state)
{
	static const struct {
		const char *text;
		int64_t seconds;
	} rows[] = {{"0", 0}, {"90", 90}, {"90s", 90}, {"15m", 900}, {"2h", 7200}, {"7d", 604800},
	    {"9223372036854775807", INT64_MAX}, {"106751991167300d", 106751991167300 * 86400}};
	static const char *const bad[] = {"", "s", "-1", "+1", "1 s", "1w", "1ms", "1ss", " 1",
	    "1.5h", "9223372036854775808", "106751991167301d", "99999999999999999999h"};
	int64_t s;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		assert_true(clock_parse_duration(rows[i].text, &s));
		assert_true(s == rows[i].seconds);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (clock_parse_duration(bad[i], &s))
			fail_msg("%s was taken", bad[i]);
}

static void
goes_forward(void **state)
{
	int64_t a = clock_mono_us(), b = clock_mono_us();

	(void)state;
	assert_true(b >= a);
	assert_true(clock_wall_us() / S >= 1700000000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(formats),
	    cmocka_unit_test(agrees_with_the_library),
	    cmocka_unit_test(parses),
	    cmocka_unit_test(refuses_what_is_no_time),
	    cmocka_unit_test(parses_durations),
	    cmocka_unit_test(goes_forward),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
