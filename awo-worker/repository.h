/* The order's repository as awo-git serves it: what the agent wrote is read inside its sandbox, the
 * rest outside. */
#ifndef WORKER_REPOSITORY_H
#define WORKER_REPOSITORY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "awo-worker/failure.h"
#include "awo-worker/helper.h"

struct order;

/* Makes or finds the workspace and the clean repository; sets base_branch, base_sha, head_sha, the
 * tree when it is fresh, and which command files the repository has. Tells workspace_created. */
int repository_workspace(struct order *o, struct failure *f);
/* Puts the work tree back to the last recorded commit, keeping what was uncommitted below outputs/.
 */
int repository_reset(struct order *o, struct failure *f);
/* Reads the numbers of what is recorded already (an order that goes on). */
int repository_progress(struct order *o, struct failure *f);
/* Reads HEAD, its branch and the number of uncommitted files into o->tree. */
int repository_look(struct order *o, struct failure *f);
/*
 * Looks, and takes new commits over into the clean repository when HEAD has moved:
 * git_commit_created for each, the numbers, the phase. made_by: "agent" or "awo". changed: NULL, or
 * receives what the new commits changed, as repository_changed() gives it; left alone without any.
 * branch: NULL, or the name of a branch to make while looking, in case that HEAD is on the base or on none.
 */
int repository_import(struct order *o, const char *made_by, const char *branch, json_t **changed,
    struct failure *f);
/* Makes a branch at HEAD and checks it out; o->branch and o->tree follow. Tells git_branch_created.
 */
int repository_branch(struct order *o, const char *name, struct failure *f);
/* The same when the newest look has made it already: false when it has not. */
bool repository_branch_made(struct order *o, const char *name);
/* Records that o->branch is this one. Tells git_branch_created. */
void repository_branch_is(struct order *o, const char *name, const char *made_by);
/* Commits whatever is uncommitted, with the order's trailer, and imports it; nothing when there is
 * nothing. */
int repository_commit(struct order *o, const char *message, json_t **changed, struct failure *f);
/* Pushes head_sha to the order's branch. Tells git_push_completed or git_push_failed. */
int repository_push(struct order *o, struct failure *f);

/* Files changed between two commits of the clean repository: array of {path, status} (new
 * reference). */
int repository_changed(
    struct order *o, const char *from, const char *to, json_t **files, struct failure *f);
/* A regular file's content (caller frees, NUL-terminated); NULL with reason "not_found" when there
 * is none. */
char *repository_show(
    struct order *o, const char *sha, const char *path, size_t max, size_t *len, struct failure *f);

#endif
