/* What changed between two commits. */
#ifndef GIT_DIFF_VERB_H
#define GIT_DIFF_VERB_H

#include "awo-worker/git/repo.h"

struct diff_totals {
	int64_t files, added, removed;
};

/* from: a commit, or zero for the empty tree. path: only this file or directory, or NULL. Renames
 * are found. */
int diff_commits(struct task *t, git_repository *repo, const git_oid *from, const git_oid *to,
    const char *path, git_diff **out);
/* [{path, status}] of the first 100,000 files. */
json_t *diff_files(git_diff *diff);
/* What `git diff --numstat` adds up to. */
int diff_count(struct task *t, git_repository *repo, git_diff *diff, struct diff_totals *out);

#endif
