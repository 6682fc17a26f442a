/* The checks of values against their rows in types.def, shared by the JSON and the msgpack decoder.
 */
#ifndef PROTO_CHECK_H
#define PROTO_CHECK_H

#include "proto/schema.h"

#define P_ANY_NESTING                                                                              \
	24 /* of a value of any shape: with what is around it, it stays below P_NESTING_MAX */

/*
 * STRICT: a request; limits hold, required fields must be there. LENIENT: an answer of a daemon
 * that may be newer or older than we are; types are checked, but limits, missing fields and unknown
 * enumeration values are let pass.
 */
enum p_rigour { P_STRICT, P_LENIENT };

/* Where a value stands, from the inside out; made into text only when something is wrong. name is
 * not terminated. */
struct p_place {
	const struct p_place *up;
	const char *name; /* NULL: element number index */
	size_t len, index;
};

/* Sets *err to "<place> <text>" with the place as field; returns -1. */
int p_bad(struct awo_err *err, const struct p_place *at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* What the kind of a field accepts: "must be a whole number". Returns -1. */
int p_bad_kind(struct awo_err *err, const struct p_place *at, const struct p_field *f);

/* Stores a value at `to`, the field's place in its struct, or returns -1 with *err set and nothing
 * allocated. */
int p_take_str(const struct p_field *f, void *to, const char *s, size_t len, enum p_rigour rigour,
    const struct p_place *at,
    struct awo_err *err); /* P_STR, P_TIME, P_ENUM; *(int *)to is 0 for an unknown value let pass */
int p_take_int(const struct p_field *f, void *to, int64_t value, enum p_rigour rigour,
    const struct p_place *at, struct awo_err *err); /* P_INT, P_DBL */
int p_take_dbl(const struct p_field *f, void *to, double value, enum p_rigour rigour,
    const struct p_place *at, struct awo_err *err); /* P_DBL */
/* One more string of a P_STRV. */
int p_take_item(const struct p_field *f, struct p_strv *to, const char *s, size_t len,
    enum p_rigour rigour, const struct p_place *at, struct awo_err *err);
/* How many items a P_STRV or P_LIST may have; holds for answers too, because an item takes more
 * memory than bytes sent. */
int p_check_items(
    const struct p_field *f, uint64_t n, const struct p_place *at, struct awo_err *err);
/* Whether all required fields are set. up: the place of the object itself, NULL at the top. */
int p_check_required(
    const struct p_type *type, const void *obj, const struct p_place *up, struct awo_err *err);

/* Whether field number i is written: required ones always, others when they are set. */
bool p_is_set(const struct p_type *type, const void *obj, size_t i);

/* The field called name, looked for from *next on, because encoders keep the table's order; NULL
 * when unknown. */
const struct p_field *p_field_find(
    const struct p_type *type, const char *name, size_t len, size_t *next);

#endif
