/* Tests how the target of a request line is taken apart, and what of it is refused. */
#include <stdio.h>
#include <string.h>

#include "tests/unit/cmocka_all.h"

#include "awo-gateway/target.h"

static void
paths_become_segments(void **state)
{
	static const struct {
		const char *raw;
		size_t n;
		const char *segments[4];
	} rows[] = {
	    {"/", 0, {NULL}},
	    {"/a", 1, {"a"}},
	    {"/a/", 1, {"a"}},
	    {"/a/b/c", 3, {"a", "b", "c"}},
	    {"/a%20b/%C3%A9", 2, {"a b", "\xc3\xa9"}},
	    {"/a+b", 1, {"a+b"}},
	    {"/%61", 1, {"a"}},
	    {"/...", 1, {"..."}},
	    {"/a?x=/../", 1, {"a"}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct awo_err err = {0};
		struct target t;

		if (target_parse(rows[i].raw, &t, &err) != 0)
			fail_msg("%s: %s", rows[i].raw, err.msg);
		assert_int_equal(t.nsegments, rows[i].n);
		for (size_t k = 0; k < rows[i].n; k++)
			assert_string_equal(t.segments[k], rows[i].segments[k]);
		target_free(&t);
	}
}

static void
ambiguous_targets_are_refused(void **state)
{
	static const char *const rows[] = {"", "a", "*", "http://host/a", "//", "//host/a", "/a//b",
	    "/a//", "/./a", "/a/..", "/../a", "/%2e%2e/a", "/a/%2E", "/a%2Fb", "/a%2fb", "/a%00",
	    "/a%", "/a%1", "/a%g0", "/a%0", "/a\\b", "/a%5Cb", "/a%0a", "/a%7f", "/\x01", "/\xff",
	    "/%ff", "/%c0%af", "/a#b", "/a?x=%", "/a?x=%0", "/a?x=%zz", "/a?x=%00", "/a?%ff=1",
	    "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17"};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct awo_err err = {0};
		struct target t;

		if (target_parse(rows[i], &t, &err) == 0)
			fail_msg("%s was taken", rows[i]);
		assert_int_equal(err.code, AWO_INVALID_ARGUMENT);
		assert_true(err.msg[0] != '\0');
		assert_null(t.room);
	}
}

static void
query_is_decoded(void **state)
{
	struct awo_err err = {0};
	struct target t;

	(void)state;
	assert_int_equal(target_parse("/a?x=1&y=a+b%2Bc&&x=2&z&=e&w=%2F%3D", &t, &err), 0);
	assert_int_equal(t.nparams, 6);
	assert_string_equal(target_param(&t, "x"), "2");
	assert_string_equal(target_param(&t, "y"), "a b+c");
	assert_string_equal(target_param(&t, "z"), "");
	assert_string_equal(target_param(&t, "w"), "/=");
	assert_null(target_param(&t, "nothing"));
	target_free(&t);
}

static void
sizes_are_limited(void **state)
{
	char raw[TARGET_MAX + 8] = "/";
	struct awo_err err = {0};
	struct target t;

	(void)state;
	memset(raw + 1, 'a', TARGET_MAX - 1);
	assert_int_equal(target_parse(raw, &t, &err), 0);
	target_free(&t);
	raw[TARGET_MAX] = 'a';
	assert_int_equal(target_parse(raw, &t, &err), -1);
	raw[1] = '?';
	for (size_t i = 0; i < TARGET_PARAMS; i++)
		memcpy(raw + 2 + 2 * i, "a&", 3);
	assert_int_equal(target_parse(raw, &t, &err), 0);
	assert_int_equal(t.nparams, TARGET_PARAMS);
	target_free(&t);
	memcpy(raw + 2 + 2 * TARGET_PARAMS, "a", 2);
	assert_int_equal(target_parse(raw, &t, &err), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(paths_become_segments),
	    cmocka_unit_test(ambiguous_targets_are_refused),
	    cmocka_unit_test(query_is_decoded),
	    cmocka_unit_test(sizes_are_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
