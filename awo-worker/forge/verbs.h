/* The verbs of awo-forge, one function each; docs/internals.md says what they take and give. */
#ifndef FORGE_VERBS_H
#define FORGE_VERBS_H

#include "awo-worker/task/task.h"

/* X(function suffix, "verb", needs, seconds allowed when the request does not say) */
#define NEED_TOKEN 0x1U
/* clang-format off */
#define FORGE_VERBS(X)                                                                             \
	X(repository,         "repository",         0,          60)                                \
	X(issue,              "issue",              0,          60)                                \
	X(pull_request,       "pull-request",       NEED_TOKEN, 120)                               \
	X(pull_request_state, "pull-request-state", 0,          60)                                \
	X(comment,            "comment",            NEED_TOKEN, 120)                               \
	X(user,               "user",               NEED_TOKEN, 60)
/* clang-format on */

#define X(fn, name, needs, seconds) int forge_##fn(struct task *t, json_t *answer);
FORGE_VERBS(X)
#undef X

#endif
