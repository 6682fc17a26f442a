/* Who runs next: a snapshot of the queue in, an order of starting out. Pure; decides, owns nothing. */
#ifndef AWOD_SCHEDULER_H
#define AWOD_SCHEDULER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sched_limits {
	int64_t max_concurrent, per_user, per_repository;	/* 0 in the last two: no cap */
};

enum sched_reason { SCHED_START, SCHED_SLOTS, SCHED_USER_LIMIT, SCHED_REPOSITORY_LIMIT, SCHED_RETRY_AT };

/* One order that runs (running = true) or wants to. */
struct sched_order {
	void *order;			/* the caller's */
	bool running;
	bool wake;			/* paused or waiting and wants its slot again: ahead of equal priority */
	bool jump;			/* order.start: ahead of everybody */
	int64_t priority, created_at, rowid, retry_at;
	uint32_t owner_uid;
	uint64_t repository;		/* hash of the canonical URL */
	/* filled by scheduler_run() for those that do not run */
	enum sched_reason reason;
	int64_t position;		/* 1 = next */
};

/*
 * Fills reason and position of all that do not run. Those with SCHED_START may start now, in the order of position:
 * jump first, then by priority, wake before others, the user with fewest running (counting those started here), oldest first.
 * O(n log n). next_us: earliest retry_at that is worth waking up for, or 0.
 */
void scheduler_run(const struct sched_limits *l, struct sched_order *o, size_t n, int64_t now_us, int64_t *next_us);
const char *scheduler_reason_name(enum sched_reason r);	/* "next" "slots" "user_limit" "repository_limit" "retry_at" */

#endif
