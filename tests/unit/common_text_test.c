/* UTF-8, cutting, slugs, nearest words and sizes. */
#include "cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#include "common/text.h"

static void
knows_utf8(void **state)
{
	static const char *const good[] = {"", "a", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80",
	    "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf",
	    "eight by\xc3\xa9te words here and there"};
	static const char *const bad[] = {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2",
	    "\xc2\x41", "\xe0\x9f\xbf", "\xe0\xa0", "\xed\xa0\x80", "\xed\xbf\xbf",
	    "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xf0\x90\x80", "\xff",
	    "\xfe", "12345678\xff", "1234567\xff", "a\xc3"};

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		if (!text_is_utf8(good[i], strlen(good[i])))
			fail_msg("good %zu", i);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (text_is_utf8(bad[i], strlen(bad[i])))
			fail_msg("bad %zu", i);
	for (size_t len = 1; len < 20; len++)
		for (size_t at = 0; at < len; at++) {
			char s[20];

			memset(s, 'x', sizeof s);
			assert_true(text_is_utf8(s, len));
			s[at] = '\0';
			assert_false(text_is_utf8(s, len));
		}
}

/* All code points: exactly the surrogates are refused. */
static void
knows_every_code_point(void **state)
{
	(void)state;
	for (unsigned c = 1; c <= 0x110000; c++) {
		char s[4];
		size_t n;

		if (c < 0x80) {
			s[0] = (char)c;
			n = 1;
		} else if (c < 0x800) {
			s[0] = (char)(0xc0 | c >> 6);
			n = 2;
		} else if (c < 0x10000) {
			s[0] = (char)(0xe0 | c >> 12);
			n = 3;
		} else {
			s[0] = (char)(0xf0 | c >> 18);
			n = 4;
		}
		for (size_t i = 1; i < n; i++)
			s[i] = (char)(0x80 | (c >> 6 * (n - 1 - i) & 0x3f));
		if (text_is_utf8(s, n) != (c < 0x110000 && (c < 0xd800 || c > 0xdfff)))
			fail_msg("U+%04X", c);
	}
}

static void
replaces_and_cuts(void **state)
{
	static const struct {
		const char *in;
		size_t len, max;
		const char *out;
	} rows[] = {
	    {"abc", 3, 10, "abc"},
	    {"abc", 3, 2, "ab"},
	    {"abc", 3, 0, ""},
	    {"a\xff\x62", 3, 10, "a\xef\xbf\xbd\x62"},
	    {"a\xff\x62", 3, 4, "a\xef\xbf\xbd"},
	    {"a\xff\x62", 3, 3, "a"},
	    {"a\0b", 3, 10, "a\xef\xbf\xbd\x62"},
	    {"\xe2\x82\xac", 3, 3, "\xe2\x82\xac"},
	    {"\xe2\x82\xac", 3, 2, ""},
	    {"\xe2\x82", 2, 10, "\xef\xbf\xbd\xef\xbf\xbd"},
	    {"x\xf0\x9f\x98\x80y", 6, 5, "x\xf0\x9f\x98\x80"},
	    {"x\xf0\x9f\x98\x80y", 6, 4, "x"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		CLEAN_BUF struct buf b = {0};

		buf_adds(&b, "<");
		text_add_utf8(&b, rows[i].in, rows[i].len, rows[i].max);
		assert_string_equal(b.p + 1, rows[i].out);
	}
}

/* Whatever comes in, what goes out is valid and within the limit. */
static void
always_yields_utf8(void **state)
{
	(void)state;
	srand(1);
	for (int round = 0; round < 20000; round++) {
		CLEAN_BUF struct buf b = {0};
		size_t len = (size_t)rand() % 40, max = (size_t)rand() % 50;
		char s[40];

		for (size_t i = 0; i < len; i++)
			s[i] = (char)(rand() % 3 ? rand() : 0xe2 + rand() % 20);
		text_add_utf8(&b, s, len, max);
		assert_true(b.len <= max);
		assert_true(b.len == 0 || text_is_utf8(b.p, b.len));
	}
}

static void
slugs(void **state)
{
	static const struct {
		const char *in;
		size_t max;
		const char *out;
	} rows[] = {
	    {"Add user authentication", 40, "add-user-authentication"},
	    {"  --Fix:  it!! ", 40, "fix-it"},
	    {"don't", 40, "dont"},
	    {"", 40, "work"},
	    {"\xe2\x82\xac\xe2\x82\xac", 40, "work"},
	    {"caf\xc3\xa9 au lait", 40, "caf-au-lait"},
	    {"abc def", 3, "abc"},
	    {"abc def", 4, "abc"},
	    {"abc def", 5, "abc-d"},
	    {"../../etc/passwd", 40, "etc-passwd"},
	    {"???", 2, "wo"},
	};
	char out[64];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		memset(out, '#', sizeof out);
		text_slug(rows[i].in, rows[i].max, out);
		assert_string_equal(out, rows[i].out);
		assert_int_equal(out[rows[i].max + 1], '#');
	}
}

static void
writes_json(void **state)
{
	char *list[] = {(char[]){"a"}, (char[]){""}, (char[]){"\"b\""}};
	struct buf b = {0};

	(void)state;
	text_add_json(&b, "a \"b\" \\ \b\f\n\r\t\x01\x1f\x7f \xc3\xa4/");
	assert_string_equal(b.p, "\"a \\\"b\\\" \\\\ \\b\\f\\n\\r\\t\\u0001\\u001f\x7f \xc3\xa4/\"");
	b.len = 0;
	text_add_json(&b, "\xff");
	assert_string_equal(b.p, "\"\xef\xbf\xbd\"");
	b.len = 0;
	text_add_json_list(&b, list, 3);
	text_add_json_list(&b, NULL, 0);
	assert_string_equal(b.p, "[\"a\",\"\",\"\\\"b\\\"\"][]");
	buf_free(&b);
}

static void
finds_the_nearest(void **state)
{
	static const char *const keys[] = {"priority", "agent", "model", "base_branch", "id", NULL};
	char big[500];

	(void)state;
	assert_string_equal(text_nearest("prioriti", keys), "priority");
	assert_string_equal(text_nearest("pirority", keys), "priority");
	assert_string_equal(text_nearest("agents", keys), "agent");
	assert_string_equal(text_nearest("basebranch", keys), "base_branch");
	assert_string_equal(text_nearest("model", keys), "model");
	assert_null(text_nearest("colour", keys));
	assert_null(text_nearest("xy", keys));
	assert_null(text_nearest("", keys));
	memset(big, 'a', sizeof big - 1);
	big[sizeof big - 1] = '\0';
	assert_null(text_nearest(big, keys));
}

static void
sizes(void **state)
{
	static const struct {
		unsigned long long n;
		const char *out;
	} rows[] = {{0, "0 B"}, {1023, "1023 B"}, {1024, "1.0 KiB"}, {1229, "1.2 KiB"},
	    {1048575, "1.0 MiB"}, {1048576, "1.0 MiB"}, {3650722201ULL, "3.4 GiB"},
	    {~0ULL, "16.0 EiB"}};
	char buf[16];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		assert_string_equal(text_bytes(rows[i].n, buf, sizeof buf), rows[i].out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(knows_utf8),
	    cmocka_unit_test(knows_every_code_point),
	    cmocka_unit_test(replaces_and_cuts),
	    cmocka_unit_test(always_yields_utf8),
	    cmocka_unit_test(slugs),
	    cmocka_unit_test(writes_json),
	    cmocka_unit_test(finds_the_nearest),
	    cmocka_unit_test(sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
