/* The msgpack-rpc codec: bytes to structs and back. */
#include "proto/msgpack.h"

#include <math.h>
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "common/clean.h"
#include "common/clock.h"
#include "common/text.h"
#include "proto/check.h"
#include "proto/scan.h"

/*
 * Decoding goes straight from the bytes into the struct, with our own cursor: libmsgpackc's
 * unpacker would build a tree of objects first, and believes the counts it reads. Each read checks
 * what is left, so that no caller's mistake about a slice can make it read beyond the slice.
 */
struct cursor {
	const uint8_t *p;
	size_t len;
	size_t values; /* that values of any shape may still have */
};

/* An empty map is 1 byte here and 300 in memory, so there is a limit: for requests, and for answers
 * with their logs. */
#define REQUEST_VALUES 16384
#define ANSWER_VALUES 262144
#define ERRORS_MAX 32 /* fields that an error may name */
#define ANSWER_USUAL 2000 /* bytes of an answer with one order in it: room that need not grow piece by piece */

static int
cut_short(struct awo_err *err)
{
	ERR(err, INVALID_ARGUMENT, "",
	    "malformed message: a value is cut short or of an unknown kind");
	return -1;
}

/* Reads a head, and for strings makes *content stand on their bytes; the cursor is then behind
 * both. */
static int
next(struct cursor *c, struct m_head *h, const char **content, struct awo_err *err)
{
	size_t more = 0;

	if (m_head(c->p, c->len, h) <= 0)
		return cut_short(err);
	if (h->kind == M_STR || h->kind == M_BIN)
		more = h->n;
	else if ((h->kind == M_ARRAY && h->n > c->len - h->size) ||
	    (h->kind == M_MAP && h->n > (c->len - h->size) / 2))
		return cut_short(err);
	if (more > c->len - h->size)
		return cut_short(err);
	*content = (const char *)c->p + h->size;
	c->p += h->size + more;
	c->len -= h->size + more;
	return 0;
}

static int
skip(struct cursor *c, struct awo_err *err)
{
	size_t n = m_skip(c->p, c->len);

	if (n == 0)
		return cut_short(err);
	c->p += n;
	c->len -= n;
	return 0;
}

static int read_map(const struct p_type *type, void *obj, struct cursor *c, uint32_t pairs,
    enum p_rigour rigour, const struct p_place *up, struct awo_err *err);
static json_t *read_any(
    struct cursor *c, int nesting, const struct p_place *at, struct awo_err *err);

static int
read_strings(const struct p_field *f, struct p_strv *to, struct cursor *c, uint32_t n,
    enum p_rigour rigour, const struct p_place *at, struct awo_err *err)
{
	if (p_check_items(f, n, at, err) < 0)
		return -1;
	for (uint32_t i = 0; i < n; i++) {
		struct p_place here = {at, NULL, 0, i};
		struct m_head h;
		const char *s;

		if (next(c, &h, &s, err) < 0)
			return -1;
		if (h.kind != M_STR)
			return p_bad(err, &here, "must be a string");
		if (p_take_item(f, to, s, h.n, rigour, &here, err) < 0)
			return -1;
	}
	return 0;
}

static int
read_list(const struct p_field *f, struct p_any_list *to, struct cursor *c, uint32_t n,
    enum p_rigour rigour, const struct p_place *at, struct awo_err *err)
{
	if (p_check_items(f, n, at, err) < 0)
		return -1;
	for (uint32_t i = 0; i < n; i++) {
		struct p_place here = {at, NULL, 0, i};
		struct m_head h;
		const char *s;

		if (next(c, &h, &s, err) < 0)
			return -1;
		if (h.kind != M_MAP)
			return p_bad(err, &here, "must be an object");
		/* grows as items come, at powers of two: a count alone gets no memory */
		if ((i & (i - 1)) == 0)
			to->v = xrealloc(to->v, i ? (size_t)i * 2 : 1, f->type->size);
		memset(to->v + i * f->type->size, 0, f->type->size);
		to->n = i + 1;
		if (read_map(f->type, to->v + i * f->type->size, c, h.n, rigour, &here, err) < 0)
			return -1;
	}
	return 0;
}

/* Reads a field's value. *set says whether there was one: nil is the same as nothing. */
static int
read_field(const struct p_field *f, void *to, struct cursor *c, enum p_rigour rigour, bool *set,
    const struct p_place *at, struct awo_err *err)
{
	struct cursor start = *c;
	struct m_head h;
	const char *s;

	if (next(c, &h, &s, err) < 0)
		return -1;
	*set = h.kind != M_NIL;
	if (h.kind == M_NIL)
		return 0;
	switch (f->kind) {
	case P_STR:
	case P_TIME:
	case P_ENUM:
		if (h.kind != M_STR)
			break;
		if (p_take_str(f, to, s, h.n, rigour, at, err) < 0)
			return -1;
		*set = f->kind != P_ENUM || *(int *)to != 0;
		return 0;
	case P_INT:
		if (h.kind == M_UINT)
			return p_bad(err, at, "must not be larger than %lld", (long long)f->max);
		if (h.kind == M_INT)
			return p_take_int(f, to, h.i, rigour, at, err);
		break;
	case P_DBL:
		if (h.kind == M_INT)
			return p_take_int(f, to, h.i, rigour, at, err);
		if (h.kind == M_UINT)
			return p_take_dbl(f, to, (double)h.u, rigour, at, err);
		if (h.kind == M_DBL)
			return p_take_dbl(f, to, h.d, rigour, at, err);
		break;
	case P_BOOL:
		if (h.kind != M_BOOL)
			break;
		*(bool *)to = h.yes;
		return 0;
	case P_STRV:
		if (h.kind == M_ARRAY)
			return read_strings(f, to, c, h.n, rigour, at, err);
		break;
	case P_OBJ:
		if (h.kind == M_MAP)
			return read_map(f->type, to, c, h.n, rigour, at, err);
		break;
	case P_LIST:
		if (h.kind == M_ARRAY)
			return read_list(f, to, c, h.n, rigour, at, err);
		break;
	case P_ANY:
		*c = start;
		*(json_t **)to = read_any(c, P_ANY_NESTING, at, err);
		return *(json_t **)to ? 0 : -1;
	}
	return p_bad_kind(err, at, f);
}

static int
read_map(const struct p_type *type, void *obj, struct cursor *c, uint32_t pairs,
    enum p_rigour rigour, const struct p_place *up, struct awo_err *err)
{
	uint64_t *has = obj, seen = 0;
	size_t hint = 0;

	for (uint32_t i = 0; i < pairs; i++) {
		const struct p_field *f;
		struct p_place at;
		struct m_head h;
		const char *key;
		uint64_t bit;
		bool set;

		if (next(c, &h, &key, err) < 0)
			return -1;
		if (h.kind != M_STR)
			return ERR(err, INVALID_ARGUMENT, "",
			    "malformed message: the keys of maps must be strings");
		f = p_field_find(type, key, h.n, &hint);
		if (!f) {
			if (skip(c, err) < 0)
				return -1;
			continue;
		}
		at = (struct p_place){up, key, h.n, 0};
		bit = UINT64_C(1) << (f - type->fields);
		if (seen & bit)
			return p_bad(err, &at, "is given twice");
		seen |= bit;
		if (read_field(f, (char *)obj + f->offset, c, rigour, &set, &at, err) < 0)
			return -1;
		if (set)
			*has |= bit;
	}
	return rigour == P_STRICT ? p_check_required(type, obj, up, err) : 0;
}

static int
decode(const struct p_type *type, void *obj, struct p_slice map, enum p_rigour rigour,
    struct awo_err *err)
{
	struct cursor c = {map.p, map.len, rigour == P_STRICT ? REQUEST_VALUES : ANSWER_VALUES};
	struct m_head h = {.n = 0};
	const char *s;

	memset(obj, 0, type->size);
	/* an empty params array stands for an empty map */
	if (map.p) {
		if (next(&c, &h, &s, err) < 0)
			return -1;
		if (h.kind != M_MAP)
			return p_bad(err, NULL, "must be a map");
	}
	if (read_map(type, obj, &c, h.n, rigour, NULL, err) == 0)
		return 0;
	p_free(type, obj);
	return -1;
}

int
p_decode(const struct p_type *type, void *obj, struct p_slice map, struct awo_err *err)
{
	return decode(type, obj, map, P_STRICT, err);
}

int
p_decode_answer(const struct p_type *type, void *obj, struct p_slice map, struct awo_err *err)
{
	return decode(type, obj, map, P_LENIENT, err);
}

static json_t *
read_any_array(
    struct cursor *c, uint32_t n, int nesting, const struct p_place *at, struct awo_err *err)
{
	CLEAN_JSON json_t *array = json_array();

	for (uint32_t i = 0; i < n; i++) {
		struct p_place here = {at, NULL, 0, i};
		json_t *v = read_any(c, nesting - 1, &here, err);

		if (!v || json_array_append_new(array, v) < 0)
			return NULL;
	}
	return TAKE_PTR(array);
}

static json_t *
read_any_map(
    struct cursor *c, uint32_t pairs, int nesting, const struct p_place *at, struct awo_err *err)
{
	CLEAN_JSON json_t *object = json_object();

	for (uint32_t i = 0; i < pairs; i++) {
		CLEAN_FREE char *name = NULL;
		struct p_place here;
		struct m_head h;
		const char *key;
		json_t *v;

		if (next(c, &h, &key, err) < 0)
			return NULL;
		here = (struct p_place){at, key, h.n, 0};
		if (h.kind != M_STR || !text_is_utf8(key, h.n)) {
			p_bad(err, at, "must have keys that are UTF-8 text");
			return NULL;
		}
		name = xstrndup(key, h.n);
		if (json_object_get(object, name)) {
			p_bad(err, &here, "is given twice");
			return NULL;
		}
		v = read_any(c, nesting - 1, &here, err);
		if (!v || json_object_set_new(object, name, v) < 0)
			return NULL;
	}
	return TAKE_PTR(object);
}

static json_t *
read_any(struct cursor *c, int nesting, const struct p_place *at, struct awo_err *err)
{
	struct m_head h;
	const char *s;

	if (next(c, &h, &s, err) < 0)
		return NULL;
	if (c->values-- == 0) {
		c->values = 0;
		p_bad(err, at, "is one value too many");
		return NULL;
	}
	switch (h.kind) {
	case M_NIL:
		return json_null();
	case M_BOOL:
		return json_boolean(h.yes);
	case M_INT:
		return json_integer(h.i);
	case M_UINT:
		p_bad(err, at, "must not be larger than 9223372036854775807");
		return NULL;
	case M_DBL:
		if (isfinite(h.d))
			return json_real(h.d);
		p_bad(err, at, "must be a finite number");
		return NULL;
	case M_STR:
		if (text_is_utf8(s, h.n))
			return json_stringn(s, h.n);
		p_bad(err, at, "must be UTF-8 text without NUL bytes");
		return NULL;
	case M_BIN:
		p_bad(err, at, "must be text, not binary data");
		return NULL;
	case M_ARRAY:
	case M_MAP:
		break;
	}
	if (nesting == 0) {
		p_bad(err, at, "is nested more than %d levels deep", P_ANY_NESTING);
		return NULL;
	}
	return h.kind == M_ARRAY ? read_any_array(c, h.n, nesting, at, err)
				 : read_any_map(c, h.n, nesting, at, err);
}

json_t *
p_decode_any(struct p_slice value, struct awo_err *err)
{
	struct cursor c = {value.p, value.len, ANSWER_VALUES};

	return read_any(&c, P_ANY_NESTING, NULL, err);
}

void
p_decode_error(struct p_slice error, struct awo_err *err)
{
	CLEAN_JSON json_t *j = error.p ? p_decode_any(error, NULL) : NULL;
	const char *code = json_string_value(json_object_get(j, "code"));
	const char *message = json_string_value(json_object_get(j, "message"));
	const char *field = json_string_value(json_object_get(j, "field"));
	enum awo_code known = code ? awo_code_find(code) : AWO_INTERNAL;

	if (!message && json_is_string(j))
		message = json_string_value(j); /* other implementations send a bare text */
	awo_err_set(err, known == AWO_OK ? AWO_INTERNAL : known, __func__, field ? field : "", "%s",
	    message ? message : "the daemon sent an error without a message");
	/* the first of them is the one that the message and the field are of */
	for (size_t i = 1; err != NULL && i < ERRORS_MAX; i++) {
		const json_t *one = json_array_get(json_object_get(j, "errors"), i);
		struct awo_err other;

		if (one == NULL)
			break;
		field = json_string_value(json_object_get(one, "field"));
		message = json_string_value(json_object_get(one, "message"));
		awo_err_set(&other, err->code, __func__, field ? field : "", "%s", message ? message : "");
		awo_err_also(err, &other);
	}
}

/* ---- encoding */

static int
write_buf(void *data, const char *p, size_t n)
{
	buf_add(data, p, n);
	return 0;
}

/* Text that is known to be valid, its head and its body at once: most of an answer is text. */
static void
put_text(struct buf *b, const char *s, size_t len)
{
	char *p;

	if (len > 255) {
		msgpack_packer pk;

		msgpack_packer_init(&pk, b, write_buf);
		msgpack_pack_str(&pk, len);
		msgpack_pack_str_body(&pk, s, len);
		return;
	}
	if (len + 2 >= b->cap - b->len)
		buf_reserve(b, len + 2);
	p = b->p + b->len;
	if (len > 31)
		*p++ = (char)0xd9;
	*p++ = (char)(len > 31 ? len : 0xa0 | len);
	memcpy(p, s, len);
	b->len = (size_t)(p - b->p) + len;
	b->p[b->len] = '\0';
}

static void
pack_text(msgpack_packer *pk, const char *s, size_t len)
{
	CLEAN_BUF struct buf clean = {0};

	if (!text_is_utf8(s, len)) {
		/* what comes from a database or a file may have been made by anybody */
		text_add_utf8(&clean, s, len, SIZE_MAX);
		s = clean.p;
		len = clean.len;
	}
	put_text(pk->data, s, len);
}

static void
pack_string(msgpack_packer *pk, const char *s)
{
	pack_text(pk, s ? s : "", s ? strlen(s) : 0);
}

static void
pack_json(msgpack_packer *pk, const json_t *j, int nesting)
{
	const char *key;
	json_t *v;
	size_t i;

	switch (j ? json_typeof(j) : JSON_NULL) {
	case JSON_OBJECT:
		if (nesting == 0)
			break; /* no reader would take it */
		msgpack_pack_map(pk, json_object_size(j));
		json_object_foreach((json_t *)(uintptr_t)j, key, v)
		{
			pack_string(pk, key);
			pack_json(pk, v, nesting - 1);
		}
		return;
	case JSON_ARRAY:
		if (nesting == 0)
			break;
		msgpack_pack_array(pk, json_array_size(j));
		json_array_foreach(j, i, v) pack_json(pk, v, nesting - 1);
		return;
	case JSON_STRING:
		pack_text(pk, json_string_value(j), json_string_length(j));
		return;
	case JSON_INTEGER:
		msgpack_pack_int64(pk, json_integer_value(j));
		return;
	case JSON_REAL:
		msgpack_pack_double(pk, json_real_value(j));
		return;
	case JSON_TRUE:
		msgpack_pack_true(pk);
		return;
	case JSON_FALSE:
		msgpack_pack_false(pk);
		return;
	case JSON_NULL:
		break;
	}
	msgpack_pack_nil(pk);
}

static void pack_object(msgpack_packer *pk, const struct p_type *type, const void *obj);

static void
pack_field(msgpack_packer *pk, const struct p_field *f, const void *from)
{
	const struct p_any_list *list = from;
	const struct p_strv *sv = from;
	char time[CLOCK_TEXT];
	const char *name;

	switch (f->kind) {
	case P_STR:
		pack_string(pk, *(char *const *)from);
		break;
	case P_INT:
		msgpack_pack_int64(pk, *(const int64_t *)from);
		break;
	case P_BOOL:
		if (*(const bool *)from)
			msgpack_pack_true(pk);
		else
			msgpack_pack_false(pk);
		break;
	case P_DBL:
		if (isfinite(*(const double *)from))
			msgpack_pack_double(pk, *(const double *)from);
		else
			msgpack_pack_nil(pk);
		break;
	case P_TIME:
		pack_string(pk, clock_format(*(const int64_t *)from, time));
		break;
	case P_ENUM:
		name = p_enum_name(f->en, *(const int *)from);
		if (name)
			pack_string(pk, name);
		else
			msgpack_pack_nil(pk);
		break;
	case P_STRV:
		msgpack_pack_array(pk, sv->n);
		for (size_t i = 0; i < sv->n; i++)
			pack_string(pk, sv->v[i]);
		break;
	case P_OBJ:
		pack_object(pk, f->type, from);
		break;
	case P_LIST:
		msgpack_pack_array(pk, list->n);
		for (size_t i = 0; i < list->n; i++)
			pack_object(pk, f->type, list->v + i * f->type->size);
		break;
	case P_ANY:
		pack_json(pk, *(json_t *const *)from, P_ANY_NESTING);
		break;
	}
}

/* auth: one more key, or NULL. */
static void
pack_object_as(msgpack_packer *pk, const struct p_type *type, const void *obj, const char *auth)
{
	uint64_t set = 0, written = 0;

	for (size_t i = 0; i < type->nfields; i++) {
		uint64_t bit = UINT64_C(1) << i;

		if (p_is_set(type, obj, i))
			set |= bit;
		if (type->fields[i].need == P_NUL)
			written |= bit;
	}
	written |= set;
	msgpack_pack_map(pk, (size_t)__builtin_popcountll(written) + (auth != NULL));
	if (auth != NULL) {
		pack_string(pk, "auth");
		pack_string(pk, auth);
	}
	for (size_t i = 0; i < type->nfields; i++) {
		const struct p_field *f = &type->fields[i];
		uint64_t bit = UINT64_C(1) << i;

		if (!(written & bit))
			continue;
		put_text(pk->data, f->name, f->name_len);
		if (set & bit)
			pack_field(pk, f, (const char *)obj + f->offset);
		else
			msgpack_pack_nil(pk);
	}
}

static void
pack_object(msgpack_packer *pk, const struct p_type *type, const void *obj)
{
	pack_object_as(pk, type, obj, NULL);
}

void
p_encode_value(struct buf *b, const struct p_type *type, const void *obj)
{
	msgpack_packer pk;

	msgpack_packer_init(&pk, b, write_buf);
	pack_object(&pk, type, obj);
}

/* params: one map; obj may be NULL for a type without fields. */
static void
pack_params(msgpack_packer *pk, const char *method, const struct p_type *type, const void *obj, const char *auth)
{
	pack_string(pk, method);
	msgpack_pack_array(pk, 1);
	if (obj)
		pack_object_as(pk, type, obj, auth);
	else
		pack_object_as(pk, &p_type_empty, "", auth);
}

void
p_encode_request(
    struct buf *b, uint32_t id, const char *method, const struct p_type *type, const void *obj)
{
	p_encode_request_as(b, id, method, type, obj, NULL);
}

void
p_encode_request_as(struct buf *b, uint32_t id, const char *method, const struct p_type *type, const void *obj,
    const char *auth)
{
	msgpack_packer pk;

	msgpack_packer_init(&pk, b, write_buf);
	msgpack_pack_array(&pk, 4);
	msgpack_pack_int(&pk, P_FRAME_REQUEST);
	msgpack_pack_uint32(&pk, id);
	pack_params(&pk, method, type, obj, auth);
}

void
p_encode_notify(struct buf *b, const char *method, const struct p_type *type, const void *obj)
{
	msgpack_packer pk;

	msgpack_packer_init(&pk, b, write_buf);
	msgpack_pack_array(&pk, 3);
	msgpack_pack_int(&pk, P_FRAME_NOTIFY);
	pack_params(&pk, method, type, obj, NULL);
}

void
p_encode_error(struct buf *b, uint32_t id, const struct awo_err *err)
{
	struct awo_err part;
	msgpack_packer pk;
	size_t n = 1;

	while (awo_err_part(err, n, &part))
		n++;
	msgpack_packer_init(&pk, b, write_buf);
	msgpack_pack_array(&pk, 4);
	msgpack_pack_int(&pk, P_FRAME_RESPONSE);
	msgpack_pack_uint32(&pk, id);
	msgpack_pack_map(&pk, 2U + (err->field[0] != '\0') + (n > 1));
	pack_string(&pk, "code");
	pack_string(&pk, awo_code_name(err->code));
	pack_string(&pk, "message");
	pack_string(&pk, err->msg);
	if (err->field[0]) {
		pack_string(&pk, "field");
		pack_string(&pk, err->field);
	}
	if (n > 1) {
		pack_string(&pk, "errors");
		msgpack_pack_array(&pk, n);
		for (size_t i = 0; i < n; i++) {
			(void)awo_err_part(err, i, &part);
			msgpack_pack_map(&pk, 2);
			pack_string(&pk, "field");
			pack_string(&pk, part.field);
			pack_string(&pk, "message");
			pack_string(&pk, part.msg);
		}
	}
	msgpack_pack_nil(&pk);
}

void
p_encode_answer(struct buf *b, uint32_t id, const struct p_type *type, const void *obj)
{
	size_t begin = b->len, size;
	struct awo_err err;
	msgpack_packer pk;

	buf_reserve(b, ANSWER_USUAL);
	msgpack_packer_init(&pk, b, write_buf);
	msgpack_pack_array(&pk, 4);
	msgpack_pack_int(&pk, P_FRAME_RESPONSE);
	msgpack_pack_uint32(&pk, id);
	msgpack_pack_nil(&pk);
	if (obj)
		pack_object(&pk, type, obj);
	else
		msgpack_pack_map(&pk, 0);
	size = b->len - begin;
	if (size <= P_MESSAGE_MAX)
		return;
	b->len = begin;
	b->p[begin] = '\0';
	ERR(&err, RESOURCE_EXHAUSTED, "",
	    "the answer would be %zu bytes long, but a message may have %u: ask for less "
	    "at a time, with limit",
	    size, P_MESSAGE_MAX);
	p_encode_error(b, id, &err);
}
