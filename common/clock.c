/* Reading the clocks, and times and durations as text. */
#include "common/clock.h"

#include <string.h>
#include <time.h>

#define DAY_S INT64_C(86400)
#define MIN_S INT64_C(-62167219200) /* 0000-01-01T00:00:00Z */
#define MAX_S INT64_C(253402300799) /* 9999-12-31T23:59:59Z */

static int64_t
read_us(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t
clock_mono_us(void)
{
	return read_us(CLOCK_MONOTONIC);
}

int64_t
clock_wall_us(void)
{
	return read_us(CLOCK_REALTIME);
}

static bool
is_leap(int year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int
month_days(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return days[month - 1] + (month == 2 && is_leap(year));
}

/* Days of the proleptic Gregorian calendar from 0000-01-01 to the first of January of a year (0 to
 * 10000). */
static int64_t
days_before(int year)
{
	int64_t y = year;

	if (y == 0)
		return 0;
	/* year 0 is itself a leap year */
	return y * 365 + (y - 1) / 4 - (y - 1) / 100 + (y - 1) / 400 + 1;
}

/* n digits and a character behind them. */
static void
put_digits(char *to, int n, int value, char after)
{
	to[n] = after;
	while (n-- > 0) {
		to[n] = (char)('0' + value % 10);
		value /= 10;
	}
}

const char *
clock_format(int64_t wall_us, char *buf)
{
	int64_t s = wall_us / 1000000, us = wall_us % 1000000, day, rest;
	int year, month = 1;

	if (us < 0) {
		us += 1000000;
		s--;
	}
	if (s < MIN_S) {
		s = MIN_S;
		us = 0;
	} else if (s > MAX_S) {
		s = MAX_S;
		us = 999999;
	}
	s -= MIN_S;
	day = s / DAY_S;
	rest = s % DAY_S;
	year = (int)(day * 400 / 146097);
	while (days_before(year) > day)
		year--;
	while (days_before(year + 1) <= day)
		year++;
	day -= days_before(year);
	while (day >= month_days(year, month))
		day -= month_days(year, month++);
	/* by hand, because every answer has several and printf would be most of its cost */
	put_digits(buf, 4, year, '-');
	put_digits(buf + 5, 2, month, '-');
	put_digits(buf + 8, 2, (int)day + 1, 'T');
	put_digits(buf + 11, 2, (int)(rest / 3600), ':');
	put_digits(buf + 14, 2, (int)(rest / 60 % 60), ':');
	put_digits(buf + 17, 2, (int)(rest % 60), '.');
	put_digits(buf + 20, 6, (int)us, 'Z');
	buf[27] = '\0';
	return buf;
}

/* Exactly n digits; moves *s behind them. */
static bool
digits(const char **s, int n, int *value)
{
	*value = 0;
	for (int i = 0; i < n; i++, (*s)++) {
		if (**s < '0' || **s > '9')
			return false;
		*value = *value * 10 + (**s - '0');
	}
	return true;
}

static bool
lit(const char **s, char c)
{
	if (**s != c)
		return false;
	(*s)++;
	return true;
}

static bool
parse_seconds(const char *s, int64_t *wall_us)
{
	bool negative = lit(&s, '-');
	int64_t n = 0;
	int len = 0;

	for (; *s >= '0' && *s <= '9'; s++) {
		if (++len > 12)
			return false;
		n = n * 10 + (*s - '0');
	}
	if (len == 0 || *s)
		return false;
	if (negative)
		n = -n;
	if (n < MIN_S || n > MAX_S)
		return false;
	*wall_us = n * 1000000;
	return true;
}

bool
clock_parse(const char *text, int64_t *wall_us)
{
	const char *s = text;
	int year, month, day, hour, minute, second, oh = 0, om = 0, fraction = 0, sign = 1;
	int64_t days, total;

	if (!digits(&s, 4, &year) || *s != '-')
		return parse_seconds(text, wall_us);
	s++;
	if (!digits(&s, 2, &month) || !lit(&s, '-') || !digits(&s, 2, &day))
		return false;
	if (month < 1 || month > 12 || day < 1 || day > month_days(year, month))
		return false;
	if (*s != 'T' && *s != 't' && *s != ' ')
		return false;
	s++;
	if (!digits(&s, 2, &hour) || !lit(&s, ':') || !digits(&s, 2, &minute) || !lit(&s, ':') ||
	    !digits(&s, 2, &second))
		return false;
	if (hour > 23 || minute > 59 || second > 60) /* 60: a leap second counts as the next one */
		return false;
	if (lit(&s, '.')) {
		int n = 0, scale = 100000;

		for (; *s >= '0' && *s <= '9'; s++, n++) {
			fraction += (*s - '0') * scale; /* digits beyond microseconds add 0 */
			scale /= 10;
		}
		if (n < 1 || n > 9)
			return false;
	}
	if (*s == 'Z' || *s == 'z') {
		s++;
	} else {
		if (*s != '+' && *s != '-')
			return false;
		sign = *s++ == '-' ? -1 : 1;
		if (!digits(&s, 2, &oh) || !lit(&s, ':') || !digits(&s, 2, &om) || oh > 23 ||
		    om > 59)
			return false;
	}
	if (*s)
		return false;
	days = days_before(year) + day - 1;
	for (int m = 1; m < month; m++)
		days += month_days(year, m);
	total = MIN_S + days * DAY_S + hour * INT64_C(3600) + minute * INT64_C(60) + second;
	total -= sign * (oh * INT64_C(3600) + om * INT64_C(60));
	if (total < MIN_S || total > MAX_S)
		return false;
	*wall_us = total * 1000000 + fraction;
	return true;
}

bool
clock_parse_duration(const char *text, int64_t *seconds)
{
	static const struct {
		char unit;
		int64_t factor;
	} units[] = {{'\0', 1}, {'s', 1}, {'m', 60}, {'h', 3600}, {'d', DAY_S}};
	const char *s = text;
	int64_t n = 0;

	if (*s < '0' || *s > '9')
		return false;
	for (; *s >= '0' && *s <= '9'; s++)
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *s - '0', &n))
			return false;
	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
		if (*s != units[i].unit || (*s && s[1]))
			continue;
		if (__builtin_mul_overflow(n, units[i].factor, &n))
			return false;
		*seconds = n;
		return true;
	}
	return false;
}
