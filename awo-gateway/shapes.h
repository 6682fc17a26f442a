/* Answers of awod in the shape that each mount promises. */
#ifndef GATEWAY_SHAPES_H
#define GATEWAY_SHAPES_H

#include <stdint.h>

#include "awo-gateway/request.h"
#include "common/buf.h"
#include "proto/schema.h"

struct shape {
	int status;	    /* 200 or 201 */
	int64_t total;	    /* X-Total-Count, or -1 */
	char location[160]; /* Location, or "" */
};

/*
 * Writes a method's answer (a struct of its answer type). reads: the request was a GET. prefix: of
 * the mount, for addresses that the answer names.
 */
void shape_answer(struct buf *b, const struct p_method *m, const void *answer, enum mount mount,
    const char *prefix, bool reads, struct shape *s);

#endif
