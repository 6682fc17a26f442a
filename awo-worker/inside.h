/* A program inside the agent's sandbox, as the loop sees it: started, running, ended, and
 * everything in it gone. */
#ifndef WORKER_INSIDE_H
#define WORKER_INSIDE_H

#include <stdbool.h>

#include "awo-worker/failure.h"
#include "awo-worker/loop.h"
#include "awo-worker/sandbox.h"

struct order;

struct inside {
	struct order *order;
	struct sandbox_proc proc; /* its status descriptor is the reader's to close */
	struct loop_child child; /* the launcher */
	struct loop_reader status;
	char raw[sizeof(struct sandbox_status)];
	size_t raw_len;
	bool failed, running, ended, cleared; /* what the sandbox has said: kinds 1 to 4 */
	struct sandbox_status what;  /* of kind 1 */
	pid_t program;
	int wait_status;
	uint64_t cpu_us, maxrss_bytes;
};

/*
 * Starts a program with the order's limits. mounts: beside the workspace and the cache. The
 * descriptors stay the caller's. On success inside_finish() must be called; *in stays where it is
 * until then.
 */
int inside_start(
    struct order *o, struct inside *in, const struct sandbox_launch *launch, struct failure *f);
/*
 * A further program in a cleared sandbox that stays (launch->stays): its argv, exec_fd, envp and descriptors; -1 when the sandbox
 * does not take it.
 */
int inside_more(struct inside *in, const struct sandbox_launch *launch, struct failure *f);
/* Nothing more will be heard: it ended, could not be started, or its launcher is gone. */
bool inside_done(const struct inside *in);
void inside_signal(struct inside *in, int sig);
/*
 * Waits until a sandbox that stays has ended all that its program left, and counts what had to be ended. False: it did not, and
 * is to be finished.
 */
bool inside_clear(struct inside *in);
/* Lets a cleared sandbox go, without waiting for its end. */
void inside_release(struct inside *in);
/* Ends everything in the sandbox and counts what had to be ended. */
void inside_finish(struct inside *in);
/* The same for one in which nothing of an agent has run: there is nothing to count. */
void inside_discard(struct inside *in);

#endif
