/* The tables as data: types, enumerations, methods and events, with the look-ups and the care of
 * objects. */
#include "proto/schema.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "proto/check.h"

_Static_assert(
    sizeof(enum p_order_status) == sizeof(int), "enumerations are read and written as int");
_Static_assert(sizeof(json_int_t) == sizeof(int64_t), "integers are 64 bits wide everywhere");

/* clang-format off */

/* ---- enumerations */
#define ENUM_BEGIN(e, h) static const struct p_enum_row rows_##e[] = {
#define ENUM_ROW(e, v, h) {#v, e##_##v, false, h},
#define ENUM_ALIAS(e, spelling, v) {spelling, e##_##v, true, ""},
#define ENUM_END(e) };
#define TYPE_BEGIN(t, h)
#define F_STR(t, f, n, lo, hi, h)
#define F_INT(t, f, n, lo, hi, h)
#define F_BOOL(t, f, n, h)
#define F_DBL(t, f, n, lo, hi, h)
#define F_TIME(t, f, n, h)
#define F_ENUM(t, f, n, e, h)
#define F_STRV(t, f, n, items, bytes, h)
#define F_OBJ(t, f, n, o, h)
#define F_LIST(t, f, n, o, items, h)
#define F_ANY(t, f, n, h)
#define TYPE_END(t)
#include "proto/types.def"
#undef ENUM_BEGIN
#undef ENUM_ROW
#undef ENUM_ALIAS
#undef ENUM_END
#define ENUM_BEGIN(e, h) const struct p_enum p_enum_##e = {#e, h, rows_##e, sizeof rows_##e / sizeof rows_##e[0]};
#define ENUM_ROW(e, v, h)
#define ENUM_ALIAS(e, spelling, v)
#define ENUM_END(e)
#include "proto/types.def"
#undef ENUM_BEGIN
#define ENUM_BEGIN(e, h) &p_enum_##e,
static const struct p_enum *const all_enums[] = {
#include "proto/types.def"
};
#include "proto/undef.h"

/* ---- fields: each array ends with an empty row, because a type may have no field */
#define ENUM_BEGIN(e, h)
#define ENUM_ROW(e, v, h)
#define ENUM_ALIAS(e, spelling, v)
#define ENUM_END(e)
#define TYPE_BEGIN(t, h) static const struct p_field fields_##t[] = {
#define FIELD(t, f, k, n, h) .name = #f, .name_len = sizeof(#f) - 1, .kind = (k), .need = P_##n, .offset = offsetof(struct p_##t, f), .help = (h)
#define F_STR(t, f, n, lo, hi, h) {FIELD(t, f, P_STR, n, h), .min = (lo), .max = (hi)},
#define F_INT(t, f, n, lo, hi, h) {FIELD(t, f, P_INT, n, h), .min = (lo), .max = (hi)},
#define F_BOOL(t, f, n, h) {FIELD(t, f, P_BOOL, n, h)},
#define F_DBL(t, f, n, lo, hi, h) {FIELD(t, f, P_DBL, n, h), .dmin = (lo), .dmax = (hi)},
#define F_TIME(t, f, n, h) {FIELD(t, f, P_TIME, n, h)},
#define F_ENUM(t, f, n, e, h) {FIELD(t, f, P_ENUM, n, h), .en = &p_enum_##e},
#define F_STRV(t, f, n, items, bytes, h) {FIELD(t, f, P_STRV, n, h), .max = (items), .item_max = (bytes)},
#define F_OBJ(t, f, n, o, h) {FIELD(t, f, P_OBJ, n, h), .type = &p_type_##o},
#define F_LIST(t, f, n, o, items, h) {FIELD(t, f, P_LIST, n, h), .max = (items), .type = &p_type_##o},
#define F_ANY(t, f, n, h) {FIELD(t, f, P_ANY, n, h)},
#define TYPE_END(t) {.name = NULL}};
#include "proto/types.def"
#include "proto/undef.h"

/* ---- types */
#define ENUM_BEGIN(e, h)
#define ENUM_ROW(e, v, h)
#define ENUM_ALIAS(e, spelling, v)
#define ENUM_END(e)
#define TYPE_BEGIN(t, h)                                                                           \
	const struct p_type p_type_##t = {#t, h, sizeof(struct p_##t), fields_##t, p_##t##_f__count};
#define F_STR(t, f, n, lo, hi, h)
#define F_INT(t, f, n, lo, hi, h)
#define F_BOOL(t, f, n, h)
#define F_DBL(t, f, n, lo, hi, h)
#define F_TIME(t, f, n, h)
#define F_ENUM(t, f, n, e, h)
#define F_STRV(t, f, n, items, bytes, h)
#define F_OBJ(t, f, n, o, h)
#define F_LIST(t, f, n, o, items, h)
#define F_ANY(t, f, n, h)
#define TYPE_END(t) _Static_assert(p_##t##_f__count <= 64, "a type has one bit a field in has");
#include "proto/types.def"
#undef TYPE_BEGIN
#undef TYPE_END
#define TYPE_BEGIN(t, h) &p_type_##t,
#define TYPE_END(t)
static const struct p_type *const all_types[] = {
#include "proto/types.def"
};
#include "proto/undef.h"

/* ---- methods and events */
const struct p_method p_methods[P_M__COUNT] = {
#define METHOD(id_, name_, req, ans, who_, when_, http, path, words_, h)                            \
	[P_M_##id_] = {P_M_##id_, name_, &p_type_##req, &p_type_##ans, P_WHO_##who_, when_, http, path, words_, h},
#include "proto/methods.def"
#undef METHOD
};

#define KIND_STATE true
#define KIND_NOTE false
const struct p_event_row p_events[P_E__COUNT] = {
	[P_E__NONE] = {.name = "", .fields = "", .help = ""},
#define EVENT(name_, writer_, kind_, fields_, h)                                                    \
	[P_E_##name_] = {#name_, P_WRITER_##writer_, KIND_##kind_, fields_, h},
#include "proto/events.def"
#undef EVENT
};
/* clang-format on */

/* ---- look-ups by name */

#define SLOTS 256

/* Open addressing, at most half full: 0 is an empty slot, else the number of the entry and 1. */
static uint8_t method_slots[SLOTS], event_slots[SLOTS];
static pthread_once_t slots_once = PTHREAD_ONCE_INIT;
_Static_assert(P_M__COUNT <= SLOTS / 2 && P_E__COUNT <= SLOTS / 2, "the hash tables are too small");

static unsigned
hash(const char *s, size_t len)
{
	uint32_t h = 2166136261u; /* FNV-1a */

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)s[i]) * 16777619u;
	return (h ^ h >> 16) % SLOTS;
}

static void
insert(uint8_t *slots, const char *name, unsigned number)
{
	unsigned i = hash(name, strlen(name));

	while (slots[i])
		i = (i + 1) % SLOTS;
	slots[i] = (uint8_t)(number + 1);
}

static void
fill_slots(void)
{
	for (unsigned i = 0; i < P_M__COUNT; i++)
		insert(method_slots, p_methods[i].name, i);
	for (unsigned i = P_E__NONE + 1; i < P_E__COUNT; i++)
		insert(event_slots, p_events[i].name, i);
}

static bool
same(const char *name, const char *s, size_t len)
{
	/* what was sent may hold a NUL: only its length says where it ends */
	return strlen(name) == len && memcmp(name, s, len) == 0;
}

const struct p_method *
p_method_find(const char *name, size_t len)
{
	pthread_once(&slots_once, fill_slots);
	for (unsigned i = hash(name, len); method_slots[i]; i = (i + 1) % SLOTS)
		if (same(p_methods[method_slots[i] - 1].name, name, len))
			return &p_methods[method_slots[i] - 1];
	return NULL;
}

unsigned
p_method_scope(const struct p_method *m)
{
	/* only who is on this host makes login links */
	if (m->who == P_WHO_GATEWAY || m->id == P_M_session_create)
		return 0;
	if (m->who == P_WHO_ADMIN)
		return P_SCOPE_ADMIN;
	/* these change nothing, though they are no GET */
	if (m->id == P_M_stream_stop || m->id == P_M_workflow_validate)
		return P_SCOPE_READ;
	return strcmp(m->http_method, "GET") == 0 ? P_SCOPE_READ : P_SCOPE_WRITE;
}

const char *
p_scope_name(unsigned scope)
{
	return scope == P_SCOPE_ADMIN ? "admin" : scope == P_SCOPE_WRITE ? "write" : "read";
}

unsigned
p_scopes(const struct p_strv *names)
{
	unsigned scopes = 0;

	if (p_strv_has(names, "read"))
		scopes |= P_SCOPE_READ;
	if (p_strv_has(names, "write"))
		scopes |= P_SCOPE_READ | P_SCOPE_WRITE;
	if (p_strv_has(names, "admin"))
		scopes |= P_SCOPE_READ | P_SCOPE_WRITE | P_SCOPE_ADMIN;
	return scopes;
}

enum p_event_id
p_event_find(const char *name)
{
	size_t len = strlen(name);

	pthread_once(&slots_once, fill_slots);
	for (unsigned i = hash(name, len); event_slots[i]; i = (i + 1) % SLOTS)
		if (same(p_events[event_slots[i] - 1].name, name, len))
			return (enum p_event_id)(event_slots[i] - 1);
	return P_E__NONE;
}

const char *
p_enum_name(const struct p_enum *en, int value)
{
	/* values are numbered by their rows, so that an alias before a row is what moves it */
	size_t first = value > 0 ? (size_t)value - 1 : en->nrows;

	for (size_t i = first; i < en->nrows; i++)
		if (en->rows[i].value == value && !en->rows[i].alias)
			return en->rows[i].name;
	return NULL;
}

int
p_enum_value(const struct p_enum *en, const char *name)
{
	for (size_t i = 0; i < en->nrows; i++)
		if (strcmp(en->rows[i].name, name) == 0)
			return en->rows[i].value;
	return 0;
}

const struct p_type *
p_type_find(const char *name)
{
	for (size_t i = 0; i < sizeof all_types / sizeof all_types[0]; i++)
		if (strcmp(all_types[i]->name, name) == 0)
			return all_types[i];
	return NULL;
}

const struct p_type *const *
p_types(size_t *n)
{
	*n = sizeof all_types / sizeof all_types[0];
	return all_types;
}

const struct p_enum *const *
p_enums(size_t *n)
{
	*n = sizeof all_enums / sizeof all_enums[0];
	return all_enums;
}

/* ---- objects */

void
p_set_str(uint64_t *has, unsigned bit, char **field, const char *value)
{
	char *copy = xstrdup(value); /* first: value may be the old string */

	free(*field);
	*field = copy;
	if (copy)
		*has |= UINT64_C(1) << bit;
	else
		*has &= ~(UINT64_C(1) << bit);
}

void
p_strv_add(struct p_strv *sv, const char *s)
{
	p_strv_take(sv, xstrdup(s ? s : ""));
}

void
p_strv_take(struct p_strv *sv, char *s)
{
	/* grows at powers of two, so that no capacity has to be kept */
	if ((sv->n & (sv->n - 1)) == 0)
		sv->v = xrealloc(sv->v, sv->n ? sv->n * 2 : 1, sizeof *sv->v);
	sv->v[sv->n++] = s;
}

void
p_strv_free(struct p_strv *sv)
{
	for (size_t i = 0; i < sv->n; i++)
		free(sv->v[i]);
	free(sv->v);
	*sv = (struct p_strv){0};
}

bool
p_strv_has(const struct p_strv *sv, const char *s)
{
	for (size_t i = 0; i < sv->n; i++)
		if (strcmp(sv->v[i], s) == 0)
			return true;
	return false;
}

void
p_free(const struct p_type *type, void *obj)
{
	/* all pointers, whatever `has` says: P_CLEAR leaves what it hides to us */
	for (size_t i = 0; i < type->nfields; i++) {
		const struct p_field *f = &type->fields[i];
		void *at = (char *)obj + f->offset;
		struct p_any_list *list = at;

		switch (f->kind) {
		case P_STR:
			free(*(char **)at);
			break;
		case P_STRV:
			p_strv_free(at);
			break;
		case P_OBJ:
			p_free(f->type, at);
			break;
		case P_LIST:
			for (size_t j = 0; j < list->n; j++)
				p_free(f->type, list->v + j * f->type->size);
			free(list->v);
			break;
		case P_ANY:
			json_decref(*(json_t **)at);
			break;
		case P_INT:
		case P_BOOL:
		case P_DBL:
		case P_TIME:
		case P_ENUM:
			break;
		}
	}
	memset(obj, 0, type->size);
}

void
p_copy(const struct p_type *type, void *to, const void *from)
{
	memcpy(to, from, type->size); /* scalars; what is owned is replaced below */
	for (size_t i = 0; i < type->nfields; i++) {
		const struct p_field *f = &type->fields[i];
		const void *src = (const char *)from + f->offset;
		void *dst = (char *)to + f->offset;
		const struct p_any_list *list = src;
		const struct p_strv *sv = src;

		switch (f->kind) {
		case P_STR:
			*(char **)dst = xstrdup(*(char *const *)src);
			break;
		case P_STRV:
			*(struct p_strv *)dst = (struct p_strv){0};
			for (size_t j = 0; j < sv->n; j++)
				p_strv_add(dst, sv->v[j]);
			break;
		case P_OBJ:
			p_copy(f->type, dst, src);
			break;
		case P_LIST:
			*(struct p_any_list *)dst = (struct p_any_list){0};
			if (list->n == 0)
				break;
			*(struct p_any_list *)dst =
			    (struct p_any_list){xcalloc(list->n, f->type->size), list->n};
			for (size_t j = 0; j < list->n; j++)
				p_copy(f->type, ((struct p_any_list *)dst)->v + j * f->type->size,
				    list->v + j * f->type->size);
			break;
		case P_ANY:
			*(json_t **)dst = json_deep_copy(*(json_t *const *)src);
			break;
		case P_INT:
		case P_BOOL:
		case P_DBL:
		case P_TIME:
		case P_ENUM:
			break;
		}
	}
}
