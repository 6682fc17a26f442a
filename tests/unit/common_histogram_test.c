/* Tests how durations are counted in classes. */
#include <string.h>

#include "tests/unit/cmocka_all.h"

#include "common/clean.h"
#include "common/histogram.h"

static void
classes_add_up(void **state)
{
	struct histogram h = {0};
	json_t *j CLEAN_JSON = NULL;

	(void)state;
	histogram_add(&h, 0.001);
	histogram_add(&h, 0.0011);
	histogram_add(&h, 0);
	histogram_add(&h, 1e9);
	j = histogram_json(&h);
	assert_int_equal(json_integer_value(json_object_get(j, "0.0001")), 1);
	assert_int_equal(json_integer_value(json_object_get(j, "0.001")), 2);
	assert_int_equal(json_integer_value(json_object_get(j, "0.0025")), 3);
	assert_int_equal(json_integer_value(json_object_get(j, "3600")), 3);
	assert_int_equal(json_integer_value(json_object_get(j, "+Inf")), 4);
	assert_true(json_number_value(json_object_get(j, "sum")) > 1e9);
	assert_int_equal(json_object_size(j), HISTOGRAM_BOUNDS + 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(classes_add_up)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
