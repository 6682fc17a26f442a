/* Hands out the objects that the other side of a look into a work tree lacks. */
#ifndef GIT_EXPORT_H
#define GIT_EXPORT_H

#include "awo-worker/git/repo.h"

/*
 * Writes the pack of what head has beyond the request's list "have" to descriptor 3, and, before that, the answer, with the
 * number of commits in it. Nothing of both when there is nothing new. -1 with t->err.
 */
int export_pack(struct task *t, json_t *answer, const git_oid *head);

#endif
