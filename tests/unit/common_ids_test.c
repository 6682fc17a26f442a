/* Identifiers: their form, and that they differ. */
#include "cmocka_all.h"

#include <string.h>

#include "common/ids.h"

static void
orders(void **state)
{
	char a[ID_ORDER_LEN + 1], b[ID_ORDER_LEN + 1];
	int same = 0;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		ids_order(a);
		ids_order(b);
		assert_true(ids_is_order(a));
		assert_int_equal(strlen(a), ID_ORDER_LEN);
		same += strcmp(a, b) == 0;
	}
	assert_int_equal(same, 0);
}

static void
refuses_other_forms(void **state)
{
	static const char *const rows[] = {"", "wo-", "wo-1234567", "wo-123456789", "wo-1234567g",
	    "wo-1234567A", "WO-12345678", "wo_12345678", " wo-12345678", "wo-12345678 ",
	    "wo-12345678\n", "wo-../../aa", "12345678"};

	(void)state;
	assert_true(ids_is_order("wo-0123abef"));
	assert_false(ids_is_order(NULL));
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		assert_false(ids_is_order(rows[i]));
}

static void
uuids(void **state)
{
	char a[37], b[37];

	(void)state;
	for (int i = 0; i < 100; i++) {
		ids_uuid(a);
		ids_uuid(b);
		assert_int_equal(strlen(a), 36);
		assert_string_not_equal(a, b);
		for (int k = 0; k < 36; k++) {
			if (k == 8 || k == 13 || k == 18 || k == 23)
				assert_int_equal(a[k], '-');
			else
				assert_non_null(strchr("0123456789abcdef", a[k]));
		}
		assert_int_equal(a[14], '4');
		assert_non_null(strchr("89ab", a[19]));
	}
}

static void
hexadecimal(void **state)
{
	char out[2 * 200 + 2];

	(void)state;
	for (size_t n = 0; n <= 200; n += 20) {
		memset(out, '#', sizeof out);
		ids_hex(out, n);
		assert_int_equal(strlen(out), 2 * n);
		assert_int_equal(strspn(out, "0123456789abcdef"), 2 * n);
		assert_int_equal(out[2 * n + 1], '#');
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(orders),
	    cmocka_unit_test(refuses_other_forms),
	    cmocka_unit_test(uuids),
	    cmocka_unit_test(hexadecimal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
