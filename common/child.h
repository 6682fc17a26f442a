/* What a process sets for itself between its start and the program that it becomes. */
#ifndef COMMON_CHILD_H
#define COMMON_CHILD_H

#include <stdint.h>

/* RLIMIT_*: soft and hard alike, clamped to the hard limits that are there. 0 leaves one as it is, but for core. */
struct child_limits {
	uint64_t core, nofile, fsize, nproc, memlock;
};

/* Both make system calls only, so they may stand behind a fork of any process; -1 with errno. */
int child_set_limits(const struct child_limits *l);
/* Every signal has its default disposition, none is blocked. */
int child_default_signals(void);

#endif
