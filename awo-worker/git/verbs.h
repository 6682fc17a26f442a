/* The verbs of awo-git, one function each; docs/internals.md says what they take and give. */
#ifndef GIT_VERBS_H
#define GIT_VERBS_H

#include "awo-worker/task/task.h"

/* X(function suffix, "verb", needs, seconds allowed when the request does not say) */
/* clang-format off */
#define GIT_VERBS(X)                                                                               \
	X(verify,      "verify",      NEED_URL,              60)                                   \
	X(fetch,       "fetch",       NEED_URL,              300)                                  \
	X(workspace,   "workspace",   0,                     300)                                  \
	X(import,      "import",      NEED_CLEAN,            300)                                  \
	X(progress,    "progress",    NEED_CLEAN,            60)                                   \
	X(diff,        "diff",        NEED_CLEAN,            60)                                   \
	X(changed,     "changed",     NEED_CLEAN,            60)                                   \
	X(show,        "show",        NEED_CLEAN,            60)                                   \
	X(push,        "push",        NEED_URL | NEED_CLEAN, 300)                                  \
	X(tree_info,   "tree-info",   NEED_TREE,             300)                                  \
	X(tree_branch, "tree-branch", NEED_TREE,             60)                                   \
	X(tree_commit, "tree-commit", NEED_TREE,             300)                                  \
	X(tree_reset,  "tree-reset",  NEED_TREE,             300)
/* clang-format on */

#define X(fn, name, needs, seconds) int verb_##fn(struct task *t, json_t *answer);
GIT_VERBS(X)
#undef X

#endif
