/* Tests entity tags, and what is compressed for whom. */
#include <string.h>
#include <zlib.h>

#include "tests/unit/cmocka_all.h"

#include "awo-gateway/encode.h"

static void
tags_tell_bodies_apart(void **state)
{
	char a[ETAG_TEXT], b[ETAG_TEXT];

	(void)state;
	encode_etag("one", 3, a);
	encode_etag("one", 3, b);
	assert_string_equal(a, b);
	assert_int_equal(strlen(a), 36);
	encode_etag("two", 3, b);
	assert_string_not_equal(a, b);
	encode_etag("", 0, b);
	assert_int_equal(strlen(b), 36);
}

static void
tags_are_found_in_lists(void **state)
{
	static const struct {
		const char *header;
		bool matches;
	} rows[] = {{NULL, false}, {"", false}, {"*", true}, {"\"abc\"", true}, {"W/\"abc\"", true},
	    {"\"x\", W/\"abc\"", true}, {"\"x\",\"abc\" ", true}, {"\"abcd\"", false},
	    {"abc", false}, {"\"x\"", false}, {" , ,", false}, {"W/", false}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (encode_etag_matches(rows[i].header, "W/\"abc\"") != rows[i].matches)
			fail_msg("%s", rows[i].header);
}

static void
gzip_is_for_who_takes_it(void **state)
{
	static const struct {
		const char *header;
		bool takes;
	} rows[] = {{NULL, false}, {"", false}, {"gzip", true},
	    {"deflate, gzip;q=1.0, *;q=0.5", true}, {"gzip;q=0", false}, {"gzip;q=0.001", true},
	    {"identity", false}, {"*", true}, {"*;q=0", false}, {"br", false}, {"GZIP", true},
	    {"gzipx", false}, {"gzip;q=0, *", false}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (encode_accepts_gzip(rows[i].header) != rows[i].takes)
			fail_msg("%s", rows[i].header);
}

static void
what_is_compressed_comes_back(void **state)
{
	struct buf in CLEAN_BUF = {0}, out CLEAN_BUF = {0}, none CLEAN_BUF = {0};
	unsigned char back[60000];
	z_stream z = {0};

	(void)state;
	for (int i = 0; i < 5000; i++)
		buf_printf(&in, "%d,", i);
	assert_true(encode_gzip(&in, &out));
	assert_true(out.len < in.len / 2);
	assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
	z.next_in = (unsigned char *)out.p;
	z.avail_in = (unsigned)out.len;
	z.next_out = back;
	z.avail_out = sizeof(back);
	assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
	assert_int_equal(z.total_out, in.len);
	assert_memory_equal(back, in.p, in.len);
	inflateEnd(&z);
	/* what would grow stays as it is */
	in.len = 0;
	buf_adds(&in, "abc");
	assert_false(encode_gzip(&in, &none));
	assert_int_equal(none.len, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(tags_tell_bodies_apart),
	    cmocka_unit_test(tags_are_found_in_lists),
	    cmocka_unit_test(gzip_is_for_who_takes_it),
	    cmocka_unit_test(what_is_compressed_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
