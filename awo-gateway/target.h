/* The target of a request line, taken apart: what is ambiguous or dangerous in it is refused. */
#ifndef GATEWAY_TARGET_H
#define GATEWAY_TARGET_H

#include <stddef.h>

#include "common/err.h"

#define TARGET_MAX 8192 /* bytes of the raw target */
#define TARGET_SEGMENTS 16
#define TARGET_PARAMS ((size_t)64)

struct target_param {
	char *name, *value;
};

/* All strings are decoded UTF-8 in `room`. "/a/b/" and "/a/b" have the same segments. */
struct target {
	char *room;
	size_t nsegments, nparams;
	char *segments[TARGET_SEGMENTS];
	struct target_param params[TARGET_PARAMS];
};

/*
 * Only origin form ("/path?query"). Refused with INVALID_ARGUMENT: empty and dot segments, encoded
 * slashes, backslashes and control characters, wrong percent signs, what is no UTF-8, too many of
 * anything.
 */
int target_parse(const char *raw, struct target *t, struct awo_err *err);
void target_free(struct target *t);
const char *target_param(
    const struct target *t, const char *name); /* the last of that name, or NULL */

#endif
