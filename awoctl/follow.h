/* Follows an order's log over restarts of the daemon, without losing or repeating a line. */
#ifndef AWOCTL_FOLLOW_H
#define AWOCTL_FOLLOW_H

#include "awoctl/ctl.h"

struct follow {
	struct ctl *ctl;
	char id[65];			/* as given; becomes the full id */
	int64_t after;			/* last seq that was handed on */
	int level;			/* enum p_log_level, 0 for all */
	const char *step;		/* NULL for all */
	int64_t since;			/* 0 for all */
	int tick_ms;			/* tick() at least this often; 0: never */
	void (*line)(void *arg, int64_t seq, const char *line);
	void (*tick)(void *arg);
	void (*note)(void *arg, const char *text);	/* connection lost, connection back; NULL: as ctl_note() */
	void *arg;
};

enum follow_end {
	FOLLOW_ENDED,		/* the order has ended, and its whole log was seen */
	FOLLOW_REMOVED,		/* the order was removed */
	FOLLOW_INTERRUPTED,	/* SIGINT or SIGTERM */
	FOLLOW_FAILED		/* *err is set */
};
enum follow_end follow_run(struct follow *f, struct awo_err *err);

/* SIGINT and SIGTERM (and a new window size) are noted from now on instead of ending the program; a second one ends it. */
void follow_catch_signals(void);
bool follow_interrupted(void);
bool follow_resized(void);		/* since the last time it was asked */

#endif
