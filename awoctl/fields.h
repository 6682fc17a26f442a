/* Shows any message as labelled lines, by its descriptor: what is added to a table appears without a change here. */
#ifndef AWOCTL_FIELDS_H
#define AWOCTL_FIELDS_H

#include "awoctl/term.h"
#include "proto/schema.h"

/* All fields that are set; skip is a NULL-terminated list of names to leave out, or NULL. */
void fields_show(struct buf *b, const struct term *term, const struct p_type *type, const void *obj,
    const char *const *skip);
/* A JSON value as labelled lines, or on one line for scalars and lists of them. */
void fields_show_json(struct buf *b, const struct term *term, const char *label, const json_t *value);
enum ink fields_status_ink(enum p_order_status status);

#endif
