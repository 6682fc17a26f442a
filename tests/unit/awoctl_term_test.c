/* Tests that text from outside is harmless and that numbers are human. */
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/unit/cmocka_all.h"

#include "awoctl/term.h"

static void
escaped(const char *in, size_t len, enum term_escape how, const char *want)
{
	CLEAN_BUF struct buf b = {0};

	term_escape(&b, in, len, how);
	assert_string_equal(b.p ? b.p : "", want);
}

static void
controls_become_visible(void **state)
{
	static const struct {
		const char *in, *want;
	} rows[] = {{"plain", "plain"}, {"\033[2J", "\\x1b[2J"}, {"a\rb", "a\\x0db"}, {"a\bb\007", "a\\x08b\\x07"},
	    {"\x7f", "\\x7f"}, {"\xc2\x9b" "31m", "\\x9b31m"}, {"\xe2\x80\xae" "evil", "\\u{202e}evil"},
	    {"\xe2\x81\xa6", "\\u{2066}"}, {"\xef\xbb\xbf", "\\u{feff}"}, {"\xff" "x", "\xef\xbf\xbd" "x"},
	    {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"}, {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
	    {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"}, {"\xe6\xbc\xa2", "\xe6\xbc\xa2"}, {"a\r\nb", "a b"}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		escaped(rows[i].in, strlen(rows[i].in), TERM_LINE, rows[i].want);
	escaped("a\0b", 3, TERM_LINE, "a\\x00b");
	escaped("a\nb\tc", 5, TERM_LINE, "a b c");
	escaped("a\nb\tc", 5, TERM_TEXT, "a\nb\tc");
	escaped("\xe6\xbc", 2, TERM_LINE, "\xef\xbf\xbd\xef\xbf\xbd"); /* cut in the middle of a character */
}

/* Whatever bytes there are: nothing below a space, no C1, no bare escape. */
static void
nothing_gets_through(void **state)
{
	unsigned seed = 7;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		char in[64];
		CLEAN_BUF struct buf b = {0};
		size_t len = (size_t)(rand_r(&seed) % 64);
		for (size_t i = 0; i < len; i++)
			in[i] = (char)(rand_r(&seed) & 0xff);
		term_escape(&b, in, len, TERM_LINE);
		for (size_t i = 0; i < b.len; i++) {
			unsigned char c = (unsigned char)b.p[i], after = (unsigned char)b.p[i + 1];
			assert_true(c >= 0x20 && c != 0x7f);
			assert_false(c == 0xc2 && after < 0xa0);
		}
	}
}

static void
cut(const char *text, size_t columns, const char *want)
{
	CLEAN_BUF struct buf b = {0};

	term_add_cut(&b, text, columns);
	assert_string_equal(b.p ? b.p : "", want);
	assert_true(term_columns(want) <= columns);
}

static void
cutting_counts_columns(void **state)
{
	(void)state;
	assert_int_equal(term_columns("abc"), 3);
	assert_int_equal(term_columns("\xc3\xbc"), 1);
	assert_int_equal(term_columns("\xe6\xbc\xa2\xe5\xad\x97"), 4); /* two wide characters */
	cut("abcdef", 6, "abcdef");
	cut("abcdef", 5, "abcd\xe2\x80\xa6");
	cut("abcdef", 1, "\xe2\x80\xa6");
	cut("abcdef", 0, "");
	cut("\xe6\xbc\xa2\xe5\xad\x97x", 4, "\xe6\xbc\xa2\xe2\x80\xa6");
}

static void
numbers_are_human(void **state)
{
	char text[TERM_TEXT_MAX];

	(void)state;
	assert_string_equal(term_duration(0.42, text), "0.4s");
	assert_string_equal(term_duration(12, text), "12s");
	assert_string_equal(term_duration(185, text), "3m 05s");
	assert_string_equal(term_duration(3720, text), "1h 02m");
	assert_string_equal(term_duration(3 * 86400 + 4 * 3600, text), "3d 04h");
	assert_string_equal(term_duration(-5, text), "0.0s");
	assert_string_equal(term_duration(1e300, text), "1157407d 09h");
	assert_string_equal(term_ago(1000000, 13000000, text), "12s ago");
	assert_string_equal(term_ago(13000000, 1000000, text), "in 12s");
	assert_string_equal(term_ago(5, 6, text), "now");
	assert_string_equal(term_count(950, text), "950");
	assert_string_equal(term_count(12345, text), "12.3k");
	assert_string_equal(term_count(4500000, text), "4.5M");
	assert_string_equal(term_cost(0.4242, text), "$0.42");
	assert_string_equal(term_cost(0.0123, text), "$0.0123");
	setenv("TZ", "UTC-2", 1);
	tzset();
	assert_string_equal(term_time(0, text), "1970-01-01 02:00:00");
	assert_string_equal(term_clock(0, text), "02:00:00");
}

static void
colours_only_where_wanted(void **state)
{
	struct term plain = {.tty = true}, colour = {.tty = true, .colour = true}, pipe = {.width = 7};
	CLEAN_BUF struct buf b = {0};

	(void)state;
	term_ink(&b, &plain, INK_RED, "x");
	term_ink(&b, &colour, INK_NONE, "y");
	assert_string_equal(b.p, "xy");
	term_ink(&b, &colour, INK_RED, "z");
	assert_string_equal(b.p, "xy\033[31mz\033[0m");
	term_look(&pipe, -1, false);
	assert_false(pipe.tty || pipe.colour);
	assert_int_equal(pipe.width, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(controls_become_visible),
		cmocka_unit_test(nothing_gets_through),
		cmocka_unit_test(cutting_counts_columns),
		cmocka_unit_test(numbers_are_human),
		cmocka_unit_test(colours_only_where_wanted),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
