/* Messages of awod as JSON text, written straight from their structs. */
#ifndef GATEWAY_JSON_OUT_H
#define GATEWAY_JSON_OUT_H

#include <stdbool.h>

#include "common/buf.h"
#include "proto/schema.h"

/* legacy: states of orders that the older service's clients do not know are shown as ones that they
 * do. */
void json_out(struct buf *b, const struct p_type *type, const void *obj, bool legacy);
/* The members only, without the braces, so that others can stand beside them; returns whether there
 * was one. */
bool json_out_members(struct buf *b, const struct p_type *type, const void *obj, bool legacy);
void json_out_any(struct buf *b, const json_t *value);
void json_out_time(struct buf *b, int64_t wall_us);
/* The state as clients of that service know it: waiting and paused are running, cancelled is
 * failed. */
enum p_order_status json_legacy_status(enum p_order_status s);

#endif
