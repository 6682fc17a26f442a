/* The tables as data: they are sound, look-ups find every row, and objects are copied and freed
 * whole. */
#include "cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto_fill.h"

static void
rows_are_sound(void **state)
{
	size_t n;
	const struct p_type *const *types = p_types(&n);

	(void)state;
	assert_true(n > 50);
	for (size_t t = 0; t < n; t++) {
		assert_ptr_equal(p_type_find(types[t]->name), types[t]);
		assert_true(types[t]->help[0] != '\0');
		for (size_t i = 0; i < types[t]->nfields; i++) {
			const struct p_field *f = &types[t]->fields[i];

			assert_true(f->offset >= sizeof(uint64_t) && f->offset < types[t]->size);
			assert_true(f->help[0] != '\0');
			assert_true(f->min <= f->max && f->dmin <= f->dmax);
			assert_true(f->kind != P_ENUM || f->en);
			assert_true((f->kind != P_OBJ && f->kind != P_LIST) || f->type);
			assert_true(f->kind != P_STRV || (f->max > 0 && f->item_max > 0));
			for (size_t k = 0; k < i; k++)
				assert_string_not_equal(f->name, types[t]->fields[k].name);
		}
	}
	assert_null(p_type_find("none"));
	assert_int_equal(p_type_empty.nfields, 0);
	assert_int_equal(p_type_order.size, sizeof(struct p_order));
	assert_string_equal(p_type_order.fields[p_order_f_retry_at].name, "retry_at");
}

static void
finds_enumeration_values(void **state)
{
	size_t n;
	const struct p_enum *const *enums = p_enums(&n);

	(void)state;
	for (size_t e = 0; e < n; e++)
		for (size_t r = 0; r < enums[e]->nrows; r++) {
			const struct p_enum_row *row = &enums[e]->rows[r];

			assert_true(row->value > 0);
			assert_int_equal(p_enum_value(enums[e], row->name), row->value);
			if (!row->alias)
				assert_string_equal(p_enum_name(enums[e], row->value), row->name);
		}
	assert_string_equal(P_ENUM_NAME(order_status, order_status_waiting), "waiting");
	assert_int_equal(p_enum_value(&p_enum_sandbox_type, "full_clone"), sandbox_type_git_branch);
	assert_null(P_ENUM_NAME(order_status, 0));
	assert_null(P_ENUM_NAME(order_status, 99));
	assert_int_equal(p_enum_value(&p_enum_order_status, "none"), 0);
	assert_int_equal(p_enum_value(&p_enum_order_status, ""), 0);
}

static void
finds_methods_and_events(void **state)
{
	(void)state;
	for (unsigned i = 0; i < P_M__COUNT; i++) {
		const char *name = p_methods[i].name;

		assert_int_equal(p_methods[i].id, i);
		assert_ptr_equal(p_method_find(name, strlen(name)), &p_methods[i]);
		assert_null(p_method_find(name, strlen(name) + 1));
		assert_int_equal(
		    p_methods[i].http_method[0] == '\0', p_methods[i].http_path[0] == '\0');
	}
	assert_null(p_method_find("", 0));
	assert_null(p_method_find("order.get\0x", 11));
	assert_ptr_equal(p_method_find("order.getX", 9), &p_methods[P_M_order_get]);
	for (unsigned i = 1; i < P_E__COUNT; i++)
		assert_int_equal(p_event_find(p_events[i].name), i);
	assert_int_equal(p_event_find("none"), P_E__NONE);
	assert_int_equal(p_event_find(""), P_E__NONE);
	assert_int_equal(p_events[P_E_limit_exceeded].writer, P_WRITER_BOTH);
	assert_true(p_events[P_E_step_started].state);
	assert_false(p_events[P_E_agent_output].state);
}

static void
copies_and_frees_every_type(void **state)
{
	size_t n;
	const struct p_type *const *types = p_types(&n);

	(void)state;
	srand(7);
	for (size_t t = 0; t < n; t++)
		for (int round = 0; round < 5; round++) {
			void *a = xcalloc(1, types[t]->size), *b = xcalloc(1, types[t]->size),
			     *zero = xcalloc(1, types[t]->size);

			memset(
			    b, 0xa5, types[t]->size); /* p_copy wants nothing of what was there */
			fill(types[t], a, round > 0);
			p_copy(types[t], b, a);
			assert_null(difference(types[t], a, b));
			p_free(types[t], a);
			assert_memory_equal(a, zero, types[t]->size);
			p_free(types[t], a); /* a second time does no harm */
			/* the copy is its own: this reads all of it after the original is gone */
			json_decref(p_to_json(types[t], b));
			p_free(types[t], b);
			free(a);
			free(b);
			free(zero);
		}
}

static void
sets_fields(void **state)
{
	struct p_order o = {0};

	(void)state;
	P_SETS(order, &o, owner, "me");
	assert_true(P_HAS(order, &o, owner));
	P_SETS(order, &o, owner, o.owner + 1);
	assert_string_equal(o.owner, "e");
	P_SETS(order, &o, owner, NULL);
	assert_false(P_HAS(order, &o, owner));
	assert_null(o.owner);
	P_SET(order, &o, priority, -3);
	assert_true(P_HAS(order, &o, priority));
	P_CLEAR(order, &o, priority);
	assert_false(P_HAS(order, &o, priority));
	P_MARK(order, &o, usage);
	assert_true(P_HAS(order, &o, usage));
	P_SETS(order, &o, model, "m");
	P_CLEAR(order, &o, model); /* hidden, but freed all the same */
	P_FREE(order, &o);
}

static void
lists_strings(void **state)
{
	struct p_strv sv = {0};

	(void)state;
	assert_false(p_strv_has(&sv, "a"));
	for (int i = 0; i < 100; i++) {
		char s[8];

		snprintf(s, sizeof s, "%d", i);
		p_strv_add(&sv, s);
	}
	assert_int_equal(sv.n, 100);
	assert_string_equal(sv.v[57], "57");
	assert_true(p_strv_has(&sv, "99"));
	assert_false(p_strv_has(&sv, "100"));
	p_strv_free(&sv);
	assert_int_equal(sv.n, 0);
	p_strv_free(&sv);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rows_are_sound),
	    cmocka_unit_test(finds_enumeration_values),
	    cmocka_unit_test(finds_methods_and_events),
	    cmocka_unit_test(copies_and_frees_every_type),
	    cmocka_unit_test(sets_fields),
	    cmocka_unit_test(lists_strings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
