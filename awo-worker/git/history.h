/* The commits of an order's branch and the phase of each. */
#ifndef GIT_HISTORY_H
#define GIT_HISTORY_H

#include "awo-worker/git/phase.h"
#include "awo-worker/git/repo.h"

/* Called for each commit, oldest first, parents before children; not 0 stops and is returned. */
typedef int history_fn(git_commit *c, void *arg);

/* Commits reachable from head and from none of hide (zero ones are skipped): git rev-list
 * hide..head. */
int history_each(struct task *t, git_repository *repo, const git_oid *head, const git_oid *hide,
    size_t nhide, history_fn *fn, void *arg);
/*
 * The commit's phase; a merge is of the phase before it. Reads the trees only when the message does
 * not decide, and stops at the first files that do.
 */
int history_phase(
    struct task *t, git_repository *repo, git_commit *c, enum phase before, enum phase *out);

#endif
