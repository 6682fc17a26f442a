/* Why a step or an order failed, in the words and the category that its owner sees. */
#ifndef WORKER_FAILURE_H
#define WORKER_FAILURE_H

#include <stdint.h>

#include "common/err.h"
#include "proto/schema.h"

struct failure {
	enum p_error_category category;
	int64_t retry_after; /* seconds; 0: not known */
	char reason[32];     /* a helper's own word: "auth", "not_found" ... or "" */
	char msg[2048];	     /* valid UTF-8 */
};

/* Sets *f and returns -1, so that a failing function can say: return FAIL(f, git, "..."). */
#define FAIL(f, cat, ...) failure_set((f), error_category_##cat, __VA_ARGS__)
int failure_set(struct failure *f, enum p_error_category category, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same from an error of the common kind. Returns -1. */
int failure_from_err(struct failure *f, enum p_error_category category, const struct awo_err *e);
/* Puts text before the message; returns -1. */
int failure_prefix(struct failure *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
