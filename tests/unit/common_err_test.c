/* The error type: filling, cutting, prefixes, and the table of codes. */
#include "cmocka_all.h"

#include <string.h>

#include "common/err.h"
#include "common/text.h"

static void
sets_every_part(void **state)
{
	struct awo_err e = {0};

	(void)state;
	assert_int_equal(ERR(&e, NOT_FOUND, "id", "no order %s", "wo-1"), -1);
	assert_int_equal(e.code, AWO_NOT_FOUND);
	assert_string_equal(e.field, "id");
	assert_string_equal(e.msg, "no order wo-1");
	assert_string_equal(e.where, "sets_every_part");
}

static void
accepts_no_error(void **state)
{
	(void)state;
	assert_int_equal(ERR((struct awo_err *)NULL, INTERNAL, "", "x"), -1);
	assert_int_equal(awo_err_prefix(NULL, "x"), -1);
}

static void
cuts_at_a_character(void **state)
{
	struct awo_err e;
	char text[2000];

	(void)state;
	for (size_t shift = 0; shift < 3; shift++) {
		memset(text, 'a', shift);
		for (size_t i = shift; i + 3 < sizeof text; i += 3)
			memcpy(text + i, "\xe2\x82\xac", 4);
		ERR(&e, INTERNAL, text, "%s", text);
		assert_true(strlen(e.msg) >= sizeof e.msg - 3);
		assert_true(text_is_utf8(e.msg, strlen(e.msg)));
		assert_true(strlen(e.field) >= sizeof e.field - 3);
		assert_true(text_is_utf8(e.field, strlen(e.field)));
	}
}

static void
cleans_what_it_is_given(void **state)
{
	struct awo_err e;

	(void)state;
	ERR(&e, INTERNAL, "a\x1b[2J", "two\nlines \x1b[31m \xff\r\n\n");
	assert_string_equal(e.msg, "two\nlines ?[31m \xef\xbf\xbd");
	assert_string_equal(e.field, "a?[2J");
}

static void
may_be_built_from_itself(void **state)
{
	struct awo_err e;

	(void)state;
	ERR(&e, INTERNAL, "f", "inner");
	ERR(&e, NOT_FOUND, e.field, "outer: %s", e.msg);
	assert_string_equal(e.msg, "outer: inner");
	assert_string_equal(e.field, "f");
}

static void
prefixes(void **state)
{
	struct awo_err e;
	char big[900];

	(void)state;
	ERR(&e, INTERNAL, "f", "inner");
	awo_err_prefix(&e, "reading %d", 7);
	assert_string_equal(e.msg, "reading 7: inner");
	awo_err_prefix(&e, "file: ");
	assert_string_equal(e.msg, "file: reading 7: inner");
	assert_int_equal(e.code, AWO_INTERNAL);
	memset(big, 'x', sizeof big - 1);
	big[sizeof big - 1] = '\0';
	awo_err_prefix(&e, "%s", big);
	assert_int_equal(strlen(e.msg), sizeof e.msg - 1);
}

static void
names_further_fields(void **state)
{
	struct awo_err e, other, part;
	size_t n = 1;

	(void)state;
	ERR(&e, INVALID_ARGUMENT, "agent", "there is none");
	assert_true(awo_err_part(&e, 0, &part));
	assert_string_equal(part.field, "agent");
	assert_false(awo_err_part(&e, 1, &part));
	ERR(&other, INVALID_ARGUMENT, "", "names no field");
	awo_err_also(&e, &other);
	assert_false(awo_err_part(&e, 1, &part));
	ERR(&other, INVALID_ARGUMENT, "model", "%s", "");
	awo_err_also(&e, &other);
	ERR(&other, INVALID_ARGUMENT, "base_branch", "is no name");
	awo_err_also(&e, &other);
	assert_true(awo_err_part(&e, 2, &part));
	assert_int_equal(part.code, AWO_INVALID_ARGUMENT);
	assert_string_equal(part.field, "base_branch");
	assert_string_equal(part.msg, "is no name");
	assert_true(awo_err_part(&e, 1, &part));
	assert_string_equal(part.msg, "");
	assert_false(awo_err_part(&e, 3, &part));
	/* until it is full */
	for (int i = 0; i < 200; i++)
		awo_err_also(&e, &other);
	while (awo_err_part(&e, n, &part))
		n++;
	assert_true(n > 20 && n < 200);
	assert_string_equal(e.msg, "there is none");
	/* one that is set anew says nothing of those */
	ERR(&e, INTERNAL, "", "other");
	assert_false(awo_err_part(&e, 1, &part));
}

static void
names_every_code(void **state)
{
	(void)state;
	for (unsigned c = 0; c < AWO_CODE__COUNT; c++) {
		enum awo_code code = (enum awo_code)c;

		assert_true(awo_code_name(code)[0] != '\0');
		assert_int_equal(awo_code_find(awo_code_name(code)), code);
		assert_true(c == 0 || awo_code_http(code) >= 400);
		assert_true(c == 0 || awo_code_exit(code) > 0);
	}
	assert_string_equal(awo_code_name(AWO_OK), "ok");
	assert_int_equal(awo_code_exit(AWO_OK), 0);
	assert_int_equal(awo_code_http(AWO_INVALID_ARGUMENT), 422);
	assert_int_equal(awo_code_exit(AWO_NOT_FOUND), 3);
	assert_int_equal(awo_code_find("no such code"), AWO_INTERNAL);
	assert_int_equal(awo_code_find(NULL), AWO_INTERNAL);
	assert_string_equal(awo_code_name((enum awo_code)1000), "internal");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(sets_every_part),
	    cmocka_unit_test(accepts_no_error),
	    cmocka_unit_test(cuts_at_a_character),
	    cmocka_unit_test(cleans_what_it_is_given),
	    cmocka_unit_test(may_be_built_from_itself),
	    cmocka_unit_test(prefixes),
	    cmocka_unit_test(names_further_fields),
	    cmocka_unit_test(names_every_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
