/* What a run that was killed leaves in a bare repository of ours: locks, and files half written. */
#ifndef WORKER_GIT_LEFTOVERS_H
#define WORKER_GIT_LEFTOVERS_H

/*
 * Removes them below dir, as far as it is there. Only for a repository that nobody else writes to meanwhile, so that each
 * lock belongs to somebody who is gone. No reference's name ends with .lock.
 */
void leftovers_drop(const char *dir);

#endif
