/* Every limit of every field, in JSON and in msgpack, and the words of what is refused. */
#include "cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#include "common/clean.h"
#include "proto/msgpack.h"
#include "proto_fill.h"

/* Both decoders on the same tree. field NULL: it must be accepted. */
static void
expect(const struct p_type *type, const json_t *tree, const char *field, const char *says)
{
	void *obj = xcalloc(1, type->size);
	CLEAN_BUF struct buf b = {0};

	pack_tree(&b, tree);
	for (int codec = 0; codec < 2; codec++) {
		struct p_slice s = {(const uint8_t *)b.p, b.len};
		struct awo_err e = {0};
		int rc;

		memset(obj, 0xa5, type->size);
		rc = codec ? p_decode(type, obj, s, &e) : p_from_json(type, obj, tree, false, &e);
		if (rc == 0)
			p_free(type, obj);
		if (rc != (field ? -1 : 0))
			fail_msg("%s.%s (%s), codec %d: %d, %s", type->name, field ? field : "",
			    says ? says : "", codec, rc, e.msg);
		if (!field)
			continue;
		assert_int_equal(e.code, AWO_INVALID_ARGUMENT);
		if (strcmp(e.field, field) != 0 || (says && !strstr(e.msg, says)))
			fail_msg("%s.%s, codec %d: field %s: %s; expected %s", type->name, field,
			    codec, e.field, e.msg, says);
		if (strncmp(e.msg, field, strlen(field)) != 0)
			fail_msg("%s does not begin with %s", e.msg, field);
	}
	free(obj);
}

/* The tree with one member changed; takes value. */
static void
with(const struct p_type *type, const json_t *base, const struct p_field *f, json_t *value,
    const char *field, const char *says)
{
	CLEAN_JSON json_t *tree = json_copy((json_t *)(uintptr_t)base);

	assert_non_null(value);
	json_object_set_new(tree, f->name, value);
	expect(type, tree, field, says);
}

static json_t *
letters(size_t n)
{
	CLEAN_FREE char *s = xcalloc(n + 1, 1);

	memset(s, 'x', n);
	return json_stringn(s, n);
}

static json_t *
many(size_t n, json_t *item)
{
	json_t *a = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append(a, item);
	json_decref(item);
	return a;
}

static void
string_limits(const struct p_type *t, const json_t *base, const struct p_field *f)
{
	with(t, base, f, letters((size_t)f->min), NULL, NULL);
	with(t, base, f, letters((size_t)f->max), NULL, NULL);
	with(t, base, f, letters((size_t)f->max + 1), f->name, "bytes long");
	if (f->min > 0)
		with(t, base, f, letters(0), f->name, "empty");
	if (f->min > 1)
		with(t, base, f, letters((size_t)f->min - 1), f->name, "bytes long");
	if (f->max > 2 && f->min <= 3)
		with(t, base, f, json_stringn("a\0b", 3), f->name, "NUL");
	with(t, base, f, json_integer(7), f->name, "must be a string");
}

static void
number_limits(const struct p_type *t, const json_t *base, const struct p_field *f)
{
	with(t, base, f, json_integer(f->min), NULL, NULL);
	with(t, base, f, json_integer(f->max), NULL, NULL);
	if (f->min > INT64_MIN)
		with(t, base, f, json_integer(f->min - 1), f->name,
		    f->max == INT64_MAX ? "at least" : "between");
	if (f->max < INT64_MAX)
		with(t, base, f, json_integer(f->max + 1), f->name, "between");
	with(t, base, f, json_real(1.0), f->name, "whole number");
	with(t, base, f, json_string("1"), f->name, "whole number");
	with(t, base, f, json_true(), f->name, "whole number");
}

static void
list_limits(const struct p_type *t, const json_t *base, const struct p_field *f)
{
	char path[200];

	if (f->kind == P_STRV) {
		with(t, base, f, many((size_t)f->max, letters(1)), NULL, NULL);
		with(t, base, f, many((size_t)f->max + 1, letters(1)), f->name, "items");
		snprintf(path, sizeof path, "%s.0", f->name);
		with(t, base, f, many(1, letters(f->item_max)), NULL, NULL);
		with(t, base, f, many(1, letters(f->item_max + 1)), path, "bytes long");
		snprintf(path, sizeof path, "%s.1", f->name);
		with(t, base, f, json_pack("[s,i]", "a", 1), path, "must be a string");
		with(t, base, f, json_string("a"), f->name, "array of strings");
	} else {
		with(t, base, f, json_array(), NULL, NULL);
		with(t, base, f, many((size_t)f->max + 1, json_object()), f->name, "items");
		snprintf(path, sizeof path, "%s.0", f->name);
		with(t, base, f, json_pack("[i]", 1), path, "must be an object");
		with(t, base, f, json_object(), f->name, "array of objects");
	}
}

static void
other_limits(const struct p_type *t, const json_t *base, const struct p_field *f)
{
	switch (f->kind) {
	case P_BOOL:
		with(t, base, f, json_true(), NULL, NULL);
		with(t, base, f, json_integer(1), f->name, "true or false");
		with(t, base, f, json_string("true"), f->name, "true or false");
		break;
	case P_DBL:
		with(t, base, f, json_real(f->dmin), NULL, NULL);
		with(t, base, f, json_real(f->dmax), NULL, NULL);
		with(t, base, f, json_integer(1), NULL, NULL);
		with(t, base, f, json_real(f->dmin - 1), f->name, "between");
		with(t, base, f, json_real(f->dmax * 2), f->name, "between");
		with(t, base, f, json_string("1"), f->name, "must be a number");
		break;
	case P_TIME:
		with(t, base, f, json_string("2026-01-31T08:00:00+01:00"), NULL, NULL);
		with(t, base, f, json_string("yesterday"), f->name, "must be a time");
		with(t, base, f, json_string(""), f->name, "must be a time");
		with(t, base, f, json_stringn("2026-01-31T08:00:00Z\0", 21), f->name,
		    "must be a time");
		with(t, base, f, letters(1000), f->name, "must be a time");
		with(t, base, f, json_integer(7), f->name, "must be a time");
		break;
	case P_ENUM:
		for (size_t i = 0; i < f->en->nrows; i++) {
			with(t, base, f, json_string(f->en->rows[i].name), NULL, NULL);
			/* an unknown value is answered with all of those that are known */
			with(t, base, f, json_string("none"), f->name,
			    f->en->rows[i].alias ? NULL : f->en->rows[i].name);
		}
		with(t, base, f, json_string(""), f->name, "must be one of");
		with(t, base, f, json_integer(1), f->name, "must be a string");
		break;
	case P_OBJ:
		with(t, base, f, json_array(), f->name, "must be an object");
		break;
	default:
		break;
	}
}

static void
holds_every_limit(void **state)
{
	size_t n;
	const struct p_type *const *types = p_types(&n);

	(void)state;
	srand(11);
	for (size_t k = 0; k < n; k++) {
		const struct p_type *t = types[k];
		void *obj = xcalloc(1, t->size);
		CLEAN_JSON json_t *base = NULL;

		fill(t, obj, false);
		base = p_to_json(t, obj);
		expect(t, base, NULL, NULL);
		for (size_t i = 0; i < t->nfields; i++) {
			const struct p_field *f = &t->fields[i];
			CLEAN_JSON json_t *without = json_copy(base);

			json_object_del(without, f->name);
			expect(t, without, f->need == P_REQ ? f->name : NULL, "is missing");
			/* null is the same as nothing */
			with(t, base, f, json_null(), f->need == P_REQ ? f->name : NULL,
			    "is missing");
			if (f->kind == P_STR)
				string_limits(t, base, f);
			else if (f->kind == P_INT)
				number_limits(t, base, f);
			else if (f->kind == P_STRV || f->kind == P_LIST)
				list_limits(t, base, f);
			else
				other_limits(t, base, f);
		}
		p_free(t, obj);
		free(obj);
	}
}

static void
names_the_place(void **state)
{
	CLEAN_JSON json_t *tree = json_pack("{s:[{s:s,s:s,s:s,s:b},{s:i}]}", "agents", "name", "a",
	    "adapter", "b", "program", "c", "available", 1, "name", 5);
	const struct p_field *agents = &p_type_info.fields[p_info_f_agents];
	struct p_info info;
	CLEAN_JSON json_t *base = NULL;
	struct awo_err e = {0};

	(void)state;
	srand(3);
	fill(&p_type_info, &info, false);
	base = p_to_json(&p_type_info, &info);
	P_FREE(info, &info);
	with(&p_type_info, base, agents, json_incref(json_object_get(tree, "agents")),
	    "agents.1.name", "must be a string");
	assert_int_equal(p_from_json(&p_type_order_create, &info, NULL, false, &e), -1);
	assert_string_equal(e.msg, "the request must be an object");
	assert_string_equal(e.field, "");
}

static void
says_what_is_accepted(void **state)
{
	static const struct {
		const char *json, *field, *msg;
	} rows[] = {
	    {"{\"repository_url\":\"a/b\",\"priority\":101}", "priority",
		"priority must be between -100 and 100"},
	    {"{\"repository_url\":\"a/b\",\"timeout_seconds\":0}", "timeout_seconds",
		"timeout_seconds must be between 1 and 31536000"},
	    {"{\"priority\":1}", "repository_url", "repository_url is missing"},
	    {"{\"repository_url\":\"\"}", "repository_url", "repository_url must not be empty"},
	    {"{\"repository_url\":\"a\",\"sandbox_type\":\"x\"}", "sandbox_type",
		"sandbox_type must be one of git_worktree, git_branch, e2b or dagger"},
	    {"{\"repository_url\":\"a\",\"prioritty\":1}", "prioritty",
		"prioritty is not known here; did you mean priority?"},
	    {"{\"repository_url\":\"a\",\"zzz\":1}", "zzz", "zzz is not known here"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		CLEAN_JSON json_t *tree = json_loads(rows[i].json, 0, NULL);
		struct p_order_create o;
		struct awo_err e = {0};

		assert_int_equal(p_from_json(&p_type_order_create, &o, tree, true, &e), -1);
		assert_string_equal(e.field, rows[i].field);
		assert_string_equal(e.msg, rows[i].msg);
	}
}

static void
ignores_unknown_keys_unless_strict(void **state)
{
	CLEAN_JSON json_t *tree =
	    json_pack("{s:s,s:{s:[]}}", "agent_work_order_id", "wo-1", "other", "a");
	struct p_order_ref ref;

	(void)state;
	assert_int_equal(p_from_json(&p_type_order_ref, &ref, tree, false, NULL), 0);
	assert_string_equal(ref.agent_work_order_id, "wo-1");
	P_FREE(order_ref, &ref);
	assert_int_equal(p_from_json(&p_type_order_ref, &ref, tree, true, NULL), -1);
}

static void
bounds_values_of_any_shape(void **state)
{
	(void)state;
	for (int depth = 20; depth < 40; depth++) {
		json_t *v = json_array();
		CLEAN_JSON json_t *tree = NULL;

		for (int i = 1; i < depth; i++)
			v = i % 2 ? json_pack("[o]", v) : json_pack("{s:o}", "k", v);
		tree = json_pack("{s:s,s:o}", "key", "k", "value", v);
		if (depth <= 24) {
			expect(&p_type_settings_set, tree, NULL, NULL);
		} else {
			struct p_settings_set s;
			struct awo_err e;
			CLEAN_BUF struct buf b = {0};

			pack_tree(&b, tree);
			assert_int_equal(
			    p_from_json(&p_type_settings_set, &s, tree, false, &e), -1);
			assert_string_equal(e.field, "value");
			assert_non_null(strstr(e.msg, "nested"));
			assert_int_equal(p_decode(&p_type_settings_set, &s,
					     (struct p_slice){(uint8_t *)b.p, b.len}, &e),
			    -1);
			assert_non_null(strstr(e.msg, "nested"));
		}
	}
}

static void
writes_what_is_not_set(void **state)
{
	struct p_order o = {0};
	struct p_order_answer a = {0};
	CLEAN_JSON json_t *j = p_to_json(&p_type_order, &o),
			  *answer = p_to_json(&p_type_order_answer, &a);

	(void)state;
	assert_int_equal(json_object_size(j), p_order_f__count); /* no optional field in it */
	assert_string_equal(json_string_value(json_object_get(j, "owner")), "");
	assert_true(json_is_null(json_object_get(j, "model")));
	assert_int_equal(json_array_size(json_object_get(j, "selected_commands")), 0);
	assert_true(json_is_array(json_object_get(j, "sandbox_layers")));
	assert_true(json_is_object(json_object_get(j, "usage")));
	assert_int_equal(json_object_size(json_object_get(j, "usage")), 0);
	assert_true(json_is_integer(json_object_get(j, "priority")));
	assert_null(json_object_get(answer, "message"));
	assert_true(json_is_object(json_object_get(answer, "agent_work_order")));
}

static void
survives_bad_text(void **state)
{
	struct p_order o = {0};
	CLEAN_JSON json_t *j = NULL;
	CLEAN_BUF struct buf b = {0};
	struct p_order back;

	(void)state;
	P_SETS(order, &o, owner, "a\xff\x62");
	p_strv_add(&o.selected_commands, "\x80");
	j = p_to_json(&p_type_order, &o);
	assert_string_equal(json_string_value(json_object_get(j, "owner")), "a\xef\xbf\xbd\x62");
	assert_string_equal(
	    json_string_value(json_array_get(json_object_get(j, "selected_commands"), 0)),
	    "\xef\xbf\xbd");
	p_encode_value(&b, &p_type_order, &o);
	assert_int_equal(
	    p_decode_answer(&p_type_order, &back, (struct p_slice){(uint8_t *)b.p, b.len}, NULL),
	    0);
	assert_string_equal(back.owner, "a\xef\xbf\xbd\x62");
	P_FREE(order, &back);
	P_FREE(order, &o);
}

static void
round_trips(void **state)
{
	size_t n;
	const struct p_type *const *types = p_types(&n);

	(void)state;
	srand(5);
	for (size_t t = 0; t < n; t++)
		for (int round = 0; round < 30; round++) {
			void *a = xcalloc(1, types[t]->size), *b = xcalloc(1, types[t]->size);
			CLEAN_JSON json_t *j = NULL, *again = NULL;
			CLEAN_FREE char *text = NULL;
			struct awo_err e = {0};
			const char *where;

			fill(types[t], a, round > 0);
			j = p_to_json(types[t], a);
			/* through text as well, as it travels */
			text = json_dumps(j, 0);
			again = json_loads(text, 0, NULL);
			if (p_from_json(types[t], b, again, true, &e) < 0)
				fail_msg("%s: %s", types[t]->name, e.msg);
			where = difference(types[t], a, b);
			if (where)
				fail_msg("%s", where);
			p_free(types[t], a);
			p_free(types[t], b);
			free(a);
			free(b);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(holds_every_limit),
	    cmocka_unit_test(names_the_place),
	    cmocka_unit_test(says_what_is_accepted),
	    cmocka_unit_test(ignores_unknown_keys_unless_strict),
	    cmocka_unit_test(bounds_values_of_any_shape),
	    cmocka_unit_test(writes_what_is_not_set),
	    cmocka_unit_test(survives_bad_text),
	    cmocka_unit_test(round_trips),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
