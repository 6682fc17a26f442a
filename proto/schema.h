/*
 * What the rows of types.def, methods.def and events.def become in C: structs, descriptors and look-ups.
 *
 * A message is a struct p_<type>. Its strings, lists and JSON values belong to it and are freed by p_free(). A field is
 * set when its bit stands in `has`; P_HAS and P_MARK read and set it. Scalars of fields that are not set are 0.
 */
#ifndef PROTO_SCHEMA_H
#define PROTO_SCHEMA_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

enum p_kind { P_STR, P_INT, P_BOOL, P_DBL, P_TIME, P_ENUM, P_STRV, P_OBJ, P_LIST, P_ANY };
enum p_need { P_REQ, P_OPT, P_NUL };

struct p_strv {
	char **v;
	size_t n;
};

/* Value 0 of every enumeration's C type is "not set"; the rows follow from 1. */
struct p_enum_row {
	const char *name;
	int value;
	bool alias;
	const char *help;
};

struct p_enum {
	const char *name;
	const char *help;
	const struct p_enum_row *rows;
	size_t nrows;
};

struct p_type;

struct p_field {
	const char *name;
	size_t name_len;
	enum p_kind kind;
	enum p_need need;
	size_t offset;
	int64_t min, max;		/* P_STR: bytes; P_INT: value; P_STRV, P_LIST: items (max) */
	double dmin, dmax;		/* P_DBL */
	size_t item_max;		/* P_STRV: bytes an item */
	const struct p_enum *en;	/* P_ENUM */
	const struct p_type *type;	/* P_OBJ, P_LIST */
	const char *help;
};

struct p_type {
	const char *name;
	const char *help;
	size_t size;
	const struct p_field *fields;
	size_t nfields;
};

/* ---- enumerations: enum p_order_status { order_status_none, order_status_pending, ... } */
#define ENUM_BEGIN(e, help) enum p_##e { e##_none,
#define ENUM_ROW(e, v, help) e##_##v,
#define ENUM_ALIAS(e, spelling, v)
#define ENUM_END(e) };                                                                             \
	extern const struct p_enum p_enum_##e;
#define TYPE_BEGIN(t, help)
#define F_STR(t, f, need, lo, hi, help)
#define F_INT(t, f, need, lo, hi, help)
#define F_BOOL(t, f, need, help)
#define F_DBL(t, f, need, lo, hi, help)
#define F_TIME(t, f, need, help)
#define F_ENUM(t, f, need, e, help)
#define F_STRV(t, f, need, items, bytes, help)
#define F_OBJ(t, f, need, o, help)
#define F_LIST(t, f, need, o, items, help)
#define F_ANY(t, f, need, help)
#define TYPE_END(t)
#include "proto/types.def"
#include "proto/undef.h"

/* ---- structs */
#define ENUM_BEGIN(e, help)
#define ENUM_ROW(e, v, help)
#define ENUM_ALIAS(e, spelling, v)
#define ENUM_END(e)
#define TYPE_BEGIN(t, help)                                                                        \
	extern const struct p_type p_type_##t;                                                     \
	struct p_##t {                                                                             \
		uint64_t has;
#define F_STR(t, f, need, lo, hi, help) char *f;
#define F_INT(t, f, need, lo, hi, help) int64_t f;
#define F_BOOL(t, f, need, help) bool f;
#define F_DBL(t, f, need, lo, hi, help) double f;
#define F_TIME(t, f, need, help) int64_t f;
#define F_ENUM(t, f, need, e, help) enum p_##e f;
#define F_STRV(t, f, need, items, bytes, help) struct p_strv f;
#define F_OBJ(t, f, need, o, help) struct p_##o f;
/* a name cannot stand in parentheses; NOLINTBEGIN(bugprone-macro-parentheses) */
#define F_LIST(t, f, need, o, items, help)                                                         \
	struct {                                                                                   \
		struct p_##o *v;                                                                   \
		size_t n;                                                                          \
	} f;
/* NOLINTEND(bugprone-macro-parentheses) */
#define F_ANY(t, f, need, help) json_t *f;
#define TYPE_END(t) };
#include "proto/types.def"
#include "proto/undef.h"

/* All lists have the members of this one. */
struct p_any_list {
	char *v;
	size_t n;
};

/* ---- field numbers: enum p_order_field { p_order_f_agent_work_order_id, ..., p_order_f__count } */
#define ENUM_BEGIN(e, help)
#define ENUM_ROW(e, v, help)
#define ENUM_ALIAS(e, spelling, v)
#define ENUM_END(e)
#define TYPE_BEGIN(t, help) enum p_##t##_field {
#define F_STR(t, f, need, lo, hi, help) p_##t##_f_##f,
#define F_INT(t, f, need, lo, hi, help) p_##t##_f_##f,
#define F_BOOL(t, f, need, help) p_##t##_f_##f,
#define F_DBL(t, f, need, lo, hi, help) p_##t##_f_##f,
#define F_TIME(t, f, need, help) p_##t##_f_##f,
#define F_ENUM(t, f, need, e, help) p_##t##_f_##f,
#define F_STRV(t, f, need, items, bytes, help) p_##t##_f_##f,
#define F_OBJ(t, f, need, o, help) p_##t##_f_##f,
#define F_LIST(t, f, need, o, items, help) p_##t##_f_##f,
#define F_ANY(t, f, need, help) p_##t##_f_##f,
#define TYPE_END(t) p_##t##_f__count };
#include "proto/types.def"
#include "proto/undef.h"

/* P_HAS(order, &o, retry_at): whether the field is set. P_MARK sets, P_CLEAR takes back (frees nothing). */
#define P_BIT(t, f) (UINT64_C(1) << p_##t##_f_##f)
#define P_HAS(t, obj, f) (((obj)->has & P_BIT(t, f)) != 0)
#define P_MARK(t, obj, f) ((void)((obj)->has |= P_BIT(t, f)))
#define P_CLEAR(t, obj, f) ((void)((obj)->has &= ~P_BIT(t, f)))
/* P_SET(order, &o, priority, 3): a scalar. P_SETS copies a string (NULL clears it, freeing the old one). */
#define P_SET(t, obj, f, value) ((obj)->f = (value), P_MARK(t, obj, f))
#define P_SETS(t, obj, f, value) p_set_str(&(obj)->has, p_##t##_f_##f, &(obj)->f, (value))
void p_set_str(uint64_t *has, unsigned bit, char **field, const char *value);

const char *p_enum_name(const struct p_enum *en, int value);		/* NULL when it has no such value */
int p_enum_value(const struct p_enum *en, const char *name);		/* aliases too; 0 when unknown */
/* The JSON and msgpack name of a value: P_ENUM_NAME(order_status, o.status) */
#define P_ENUM_NAME(e, value) p_enum_name(&p_enum_##e, (int)(value))

const struct p_type *p_type_find(const char *name);
const struct p_type *const *p_types(size_t *n);		/* all types, in the table's order */
const struct p_enum *const *p_enums(size_t *n);

/*
 * Objects. p_free() frees what the struct holds and zeroes it, not the struct itself. p_copy() makes a deep copy into
 * an uninitialised struct. p_strv_add() appends a copy, p_strv_take() the string itself.
 */
void p_free(const struct p_type *type, void *obj);
void p_copy(const struct p_type *type, void *to, const void *from);
void p_strv_add(struct p_strv *sv, const char *s);
void p_strv_take(struct p_strv *sv, char *s);
void p_strv_free(struct p_strv *sv);
bool p_strv_has(const struct p_strv *sv, const char *s);
#define P_FREE(t, obj) p_free(&p_type_##t, (obj))

/* ---- methods */
enum p_who { P_WHO_USER, P_WHO_ORDER, P_WHO_ADMIN, P_WHO_GATEWAY };

#define W_pending (1U << order_status_pending)
#define W_running (1U << order_status_running)
#define W_waiting (1U << order_status_waiting)
#define W_paused (1U << order_status_paused)
#define W_completed (1U << order_status_completed)
#define W_failed (1U << order_status_failed)
#define W_cancelled (1U << order_status_cancelled)
#define W_ANY (~0U)

enum p_method_id {
#define METHOD(id, name, req, ans, who, when, http, path, words, help) P_M_##id,
#include "proto/methods.def"
#undef METHOD
	P_M__COUNT
};

struct p_method {
	enum p_method_id id;
	const char *name;		/* "order.create" */
	const struct p_type *request;
	const struct p_type *answer;
	enum p_who who;
	unsigned when;			/* W_ bits */
	const char *http_method;	/* "" when it has no route */
	const char *http_path;
	const char *words;		/* awoctl's words, "" when none */
	const char *help;
};

/* What an access token or session may do; each includes those before it. */
#define P_SCOPE_READ 0x1U
#define P_SCOPE_WRITE 0x2U
#define P_SCOPE_ADMIN 0x4U

extern const struct p_method p_methods[P_M__COUNT];
/* The scope that a method needs when the gateway asks for somebody; 0: it never may, whoever that is. */
unsigned p_method_scope(const struct p_method *m);
/* The scopes of a list of names, with those that they include; names that are none count nothing. */
unsigned p_scopes(const struct p_strv *names);
const char *p_scope_name(unsigned scope);	/* of one P_SCOPE_ bit */
const struct p_method *p_method_find(const char *name, size_t len);

/* ---- events */
enum p_event_id {
	P_E__NONE,
#define EVENT(name, writer, kind, fields, help) P_E_##name,
#include "proto/events.def"
#undef EVENT
	P_E__COUNT
};
enum p_writer { P_WRITER_BROKER = 1, P_WRITER_WORKER = 2, P_WRITER_BOTH = 3 };

struct p_event_row {
	const char *name;
	enum p_writer writer;
	bool state;			/* a state line: synced, and applied to the record */
	const char *fields;
	const char *help;
};

extern const struct p_event_row p_events[P_E__COUNT];	/* [P_E__NONE] is empty */
enum p_event_id p_event_find(const char *name);

/* ---- JSON (a jansson tree) and structs. Unknown keys: ignored, or refused with the nearest known key (strict). */
int p_from_json(const struct p_type *type, void *obj, const json_t *tree, bool strict, struct awo_err *err);
json_t *p_to_json(const struct p_type *type, const void *obj);		/* new reference */

#endif
