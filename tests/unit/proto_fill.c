/* Objects of any type of the tables, filled by walking the tables. */
#include "proto_fill.h"

#include <msgpack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/check.h"

static int64_t
pick(int64_t lo, int64_t hi)
{
	switch (rand() % 4) {
	case 0:
		return lo;
	case 1:
		return hi;
	default:
		return lo + rand() % (hi - lo > 1000000 ? 1000000 : hi - lo + 1);
	}
}

/* Text of n bytes with characters of one to four bytes. */
static char *
text(size_t n)
{
	static const char *const chars[] = {
	    "a", "\n", "\"", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
	char *s = xcalloc(n + 1, 1);
	size_t len = 0;

	while (len < n) {
		const char *c = chars[rand() % 6];

		if (strlen(c) <= n - len) {
			memcpy(s + len, c, strlen(c));
			len += strlen(c);
		}
	}
	return s;
}

static void
fill_field(const struct p_field *f, void *at, bool some)
{
	struct p_any_list *list = at;
	const struct p_enum_row *row;
	int n;

	switch (f->kind) {
	case P_STR:
		*(char **)at = text((size_t)pick(f->min, f->max > 300 ? f->min + 300 : f->max));
		break;
	case P_INT:
		*(int64_t *)at = pick(f->min, f->max);
		break;
	case P_BOOL:
		*(bool *)at = rand() % 2;
		break;
	case P_DBL:
		*(double *)at = rand() % 2 ? f->dmax : f->dmin + (double)(rand() % 1000) / 7;
		break;
	case P_TIME:
		*(int64_t *)at = (int64_t)rand() * 4000000 - 1234567;
		break;
	case P_ENUM:
		row = &f->en->rows[(size_t)rand() % f->en->nrows];
		*(int *)at = row->value;
		break;
	case P_STRV:
		n = rand() % (f->max > 5 ? 6 : (int)f->max + 1);
		for (int i = 0; i < n; i++) {
			char *s =
			    text((size_t)rand() % (f->item_max > 100 ? 100 : f->item_max + 1));

			p_strv_add(at, s);
			free(s);
		}
		break;
	case P_OBJ:
		fill(f->type, at, some);
		break;
	case P_LIST:
		list->n = (size_t)rand() % 4;
		list->v = xcalloc(list->n, f->type->size);
		for (size_t i = 0; i < list->n; i++)
			fill(f->type, list->v + i * f->type->size, some);
		break;
	case P_ANY:
		*(json_t **)at = json_pack("{s:[i,f,b,n,s],s:{s:I},s:[[[]]]}", "a", -7, 1.25, 1,
		    "\xe2\x82\xac", "b", "c", (json_int_t)INT64_MIN, "d");
		break;
	}
}

void
fill(const struct p_type *type, void *obj, bool some)
{
	memset(obj, 0, type->size);
	for (size_t i = 0; i < type->nfields; i++) {
		const struct p_field *f = &type->fields[i];

		if (some && f->need != P_REQ && rand() % 2)
			continue;
		fill_field(f, (char *)obj + f->offset, some);
		*(uint64_t *)obj |= UINT64_C(1) << i;
	}
}

static bool
same_strings(const struct p_strv *a, const struct p_strv *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->v[i], b->v[i]) != 0)
			return false;
	return true;
}

static bool
same_field(const struct p_field *f, const void *a, const void *b)
{
	const struct p_any_list *la = a, *lb = b;
	const char *sa, *sb;

	switch (f->kind) {
	case P_STR:
		sa = *(char *const *)a;
		sb = *(char *const *)b;
		return sa && sb ? strcmp(sa, sb) == 0 : sa == sb;
	case P_INT:
	case P_TIME:
		return *(const int64_t *)a == *(const int64_t *)b;
	case P_BOOL:
		return *(const bool *)a == *(const bool *)b;
	case P_DBL:
		return memcmp(a, b, sizeof(double)) == 0;
	case P_ENUM:
		return *(const int *)a == *(const int *)b;
	case P_STRV:
		return same_strings(a, b);
	case P_OBJ:
		return !difference(f->type, a, b);
	case P_LIST:
		if (la->n != lb->n)
			return false;
		for (size_t i = 0; i < la->n; i++)
			if (difference(
				f->type, la->v + i * f->type->size, lb->v + i * f->type->size))
				return false;
		return true;
	case P_ANY:
		return *(json_t *const *)a == *(json_t *const *)b ||
		       json_equal(*(json_t *const *)a, *(json_t *const *)b);
	}
	return false;
}

const char *
difference(const struct p_type *type, const void *a, const void *b)
{
	static char where[200];

	if (*(const uint64_t *)a != *(const uint64_t *)b) {
		snprintf(where, sizeof where, "%s.has", type->name);
		return where;
	}
	for (size_t i = 0; i < type->nfields; i++) {
		const struct p_field *f = &type->fields[i];

		if (!same_field(f, (const char *)a + f->offset, (const char *)b + f->offset)) {
			snprintf(where, sizeof where, "%s.%s", type->name, f->name);
			return where;
		}
	}
	return NULL;
}

static int
write_buf(void *data, const char *p, size_t n)
{
	buf_add(data, p, n);
	return 0;
}

static void
pack(msgpack_packer *pk, const json_t *j)
{
	const char *key;
	json_t *v;
	size_t i;

	switch (json_typeof(j)) {
	case JSON_OBJECT:
		msgpack_pack_map(pk, json_object_size(j));
		json_object_foreach((json_t *)(uintptr_t)j, key, v)
		{
			msgpack_pack_str(pk, strlen(key));
			msgpack_pack_str_body(pk, key, strlen(key));
			pack(pk, v);
		}
		break;
	case JSON_ARRAY:
		msgpack_pack_array(pk, json_array_size(j));
		json_array_foreach(j, i, v) pack(pk, v);
		break;
	case JSON_STRING:
		msgpack_pack_str(pk, json_string_length(j));
		msgpack_pack_str_body(pk, json_string_value(j), json_string_length(j));
		break;
	case JSON_INTEGER:
		msgpack_pack_int64(pk, json_integer_value(j));
		break;
	case JSON_REAL:
		msgpack_pack_double(pk, json_real_value(j));
		break;
	case JSON_TRUE:
		msgpack_pack_true(pk);
		break;
	case JSON_FALSE:
		msgpack_pack_false(pk);
		break;
	case JSON_NULL:
		msgpack_pack_nil(pk);
		break;
	}
}

void
pack_tree(struct buf *b, const json_t *j)
{
	msgpack_packer pk;

	msgpack_packer_init(&pk, b, write_buf);
	pack(&pk, j);
}
