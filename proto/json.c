/* Structs from and to jansson trees. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clean.h"
#include "common/clock.h"
#include "common/text.h"
#include "proto/check.h"
#include "proto/schema.h"

static int read_object(const struct p_type *type, void *obj, const json_t *tree, bool strict,
    const struct p_place *up, struct awo_err *err);

static bool
too_deep(const json_t *j, int left)
{
	json_t *v;
	const char *key;
	size_t i;

	if (!json_is_object(j) && !json_is_array(j))
		return false;
	if (left == 0)
		return true;
	json_array_foreach(j, i, v) if (too_deep(v, left - 1)) return true;
	/* the macro takes a changeable object, but only walks it */
	json_object_foreach((json_t *)(uintptr_t)j, key, v) if (too_deep(v, left - 1)) return true;
	return false;
}

static int
read_strings(const struct p_field *f, struct p_strv *to, const json_t *j, const struct p_place *at,
    struct awo_err *err)
{
	json_t *v;
	size_t i;

	if (!json_is_array(j))
		return p_bad_kind(err, at, f);
	if (p_check_items(f, json_array_size(j), at, err) < 0)
		return -1;
	json_array_foreach(j, i, v)
	{
		struct p_place here = {at, NULL, 0, i};

		if (!json_is_string(v))
			return p_bad(err, &here, "must be a string");
		if (p_take_item(f, to, json_string_value(v), json_string_length(v), P_STRICT, &here,
			err) < 0)
			return -1;
	}
	return 0;
}

static int
read_list(const struct p_field *f, struct p_any_list *to, const json_t *j, bool strict,
    const struct p_place *at, struct awo_err *err)
{
	json_t *v;
	size_t i;

	if (!json_is_array(j))
		return p_bad_kind(err, at, f);
	if (p_check_items(f, json_array_size(j), at, err) < 0)
		return -1;
	if (json_array_size(j) > 0)
		to->v = xcalloc(json_array_size(j), f->type->size);
	json_array_foreach(j, i, v)
	{
		struct p_place here = {at, NULL, 0, i};

		if (!json_is_object(v))
			return p_bad(err, &here, "must be an object");
		to->n = i + 1;
		if (read_object(f->type, to->v + i * f->type->size, v, strict, &here, err) < 0)
			return -1;
	}
	return 0;
}

static int
read_field(const struct p_field *f, void *to, const json_t *j, bool strict,
    const struct p_place *at, struct awo_err *err)
{
	switch (f->kind) {
	case P_STR:
	case P_TIME:
	case P_ENUM:
		if (json_is_string(j))
			return p_take_str(
			    f, to, json_string_value(j), json_string_length(j), P_STRICT, at, err);
		break;
	case P_DBL:
		if (json_is_real(j))
			return p_take_dbl(f, to, json_real_value(j), P_STRICT, at, err);
		__attribute__((fallthrough)); /* a whole number is a number too */
	case P_INT:
		if (json_is_integer(j))
			return p_take_int(f, to, json_integer_value(j), P_STRICT, at, err);
		break;
	case P_BOOL:
		if (!json_is_boolean(j))
			break;
		*(bool *)to = json_is_true(j);
		return 0;
	case P_STRV:
		return read_strings(f, to, j, at, err);
	case P_OBJ:
		if (json_is_object(j))
			return read_object(f->type, to, j, strict, at, err);
		break;
	case P_LIST:
		return read_list(f, to, j, strict, at, err);
	case P_ANY:
		if (too_deep(j, P_ANY_NESTING))
			return p_bad(err, at, "is nested more than %d levels deep", P_ANY_NESTING);
		*(json_t **)to = json_deep_copy(j);
		return 0;
	}
	return p_bad_kind(err, at, f);
}

static int
unknown_key(const struct p_type *type, const struct p_place *at, struct awo_err *err)
{
	const char *names[65] = {NULL}, *nearest;
	CLEAN_FREE char *key = xstrndup(at->name, at->len);

	for (size_t i = 0; i < type->nfields; i++)
		names[i] = type->fields[i].name;
	nearest = text_nearest(key, names);
	if (nearest)
		return p_bad(err, at, "is not known here; did you mean %s?", nearest);
	return p_bad(err, at, "is not known here");
}

static int
read_object(const struct p_type *type, void *obj, const json_t *tree, bool strict,
    const struct p_place *up, struct awo_err *err)
{
	uint64_t *has = obj;
	size_t next = 0;
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)(uintptr_t)tree, key, v)
	{
		struct p_place at = {up, key, strlen(key), 0};
		const struct p_field *f = p_field_find(type, key, at.len, &next);

		if (!f) {
			if (strict)
				return unknown_key(type, &at, err);
			continue;
		}
		if (json_is_null(v))
			continue; /* the same as not given */
		if (read_field(f, (char *)obj + f->offset, v, strict, &at, err) < 0)
			return -1;
		*has |= UINT64_C(1) << (f - type->fields);
	}
	return p_check_required(type, obj, up, err);
}

int
p_from_json(
    const struct p_type *type, void *obj, const json_t *tree, bool strict, struct awo_err *err)
{
	memset(obj, 0, type->size);
	if (!json_is_object(tree))
		return p_bad(err, NULL, "must be an object");
	if (read_object(type, obj, tree, strict, NULL, err) == 0)
		return 0;
	p_free(type, obj);
	return -1;
}

static json_t *
string_json(const char *s)
{
	CLEAN_BUF struct buf clean = {0};
	size_t len = s ? strlen(s) : 0;

	/* what comes from a database or a file may have been made by anybody */
	text_add_utf8(&clean, s ? s : "", len, SIZE_MAX);
	return json_stringn(clean.p ? clean.p : "", clean.len);
}

static json_t *
field_json(const struct p_field *f, const void *from)
{
	const struct p_any_list *list = from;
	const struct p_strv *sv = from;
	char time[CLOCK_TEXT];
	const char *name;
	json_t *j = NULL;

	switch (f->kind) {
	case P_STR:
		return string_json(*(char *const *)from);
	case P_INT:
		return json_integer(*(const int64_t *)from);
	case P_BOOL:
		return json_boolean(*(const bool *)from);
	case P_DBL:
		return isfinite(*(const double *)from) ? json_real(*(const double *)from)
						       : json_null();
	case P_TIME:
		return json_string(clock_format(*(const int64_t *)from, time));
	case P_ENUM:
		name = p_enum_name(f->en, *(const int *)from);
		return name ? json_string(name) : json_null();
	case P_STRV:
		j = json_array();
		for (size_t i = 0; i < sv->n; i++)
			json_array_append_new(j, string_json(sv->v[i]));
		return j;
	case P_OBJ:
		return p_to_json(f->type, from);
	case P_LIST:
		j = json_array();
		for (size_t i = 0; i < list->n; i++)
			json_array_append_new(j, p_to_json(f->type, list->v + i * f->type->size));
		return j;
	case P_ANY:
		if (*(json_t *const *)from)
			return json_deep_copy(*(json_t *const *)from);
		break;
	}
	return json_null();
}

json_t *
p_to_json(const struct p_type *type, const void *obj)
{
	json_t *tree = json_object();

	for (size_t i = 0; i < type->nfields; i++) {
		const struct p_field *f = &type->fields[i];

		if (p_is_set(type, obj, i))
			json_object_set_new(
			    tree, f->name, field_json(f, (const char *)obj + f->offset));
		else if (f->need == P_NUL)
			json_object_set_new(tree, f->name, json_null());
	}
	return tree;
}
