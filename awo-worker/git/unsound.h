/* What an agent did to the repository of its work tree so that nobody can read it. */
#ifndef GIT_UNSOUND_H
#define GIT_UNSOUND_H

#include <stdbool.h>

#include "awo-worker/git/repo.h"

/* Looks at the work tree in the current directory, as it is after a call into it failed. False:
 * nothing is the matter that this could name; else one sentence in why[]. */
bool unsound_find(char why[512]);
/* Refuses what would block whoever opens it; call it before the repository is opened. From here on
 * an open that blocks all the same, because of a FIFO that git follows to, is broken off. */
int unsound_guard(struct task *t);
/* Removes the locks of programs that were ended: nothing else runs in the sandbox now. */
void unsound_unlock(git_repository *repo);

#endif
