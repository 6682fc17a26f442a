/* How alike two files are, counted as git counts it, so that renames and line numbers agree with
 * `git diff`. */
#ifndef GIT_RENAME_H
#define GIT_RENAME_H

#include <git2.h>

/* Finds renames in a diff as `git diff` does by default. -1 with libgit2's error. */
int rename_find(git_diff *diff);

#endif
