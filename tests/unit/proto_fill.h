/* Objects of any type of the tables with every field set, and their comparison. */
#ifndef TESTS_PROTO_FILL_H
#define TESTS_PROTO_FILL_H

#include "common/buf.h"
#include "proto/schema.h"

/* Fills an uninitialised object: all fields (or, when some is set, about half of the optional
 * ones), within their limits. */
void fill(const struct p_type *type, void *obj, bool some);
/* The path of the first difference, NULL when there is none. Static memory. */
const char *difference(const struct p_type *type, const void *a, const void *b);
/* Any JSON value as msgpack; larger trees than the codec itself would pack. */
void pack_tree(struct buf *b, const json_t *j);

#endif
