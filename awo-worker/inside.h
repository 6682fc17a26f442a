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
	struct sandbox_proc proc;
	struct loop_child child; /* the launcher */
	struct loop_reader status;
	char raw[sizeof(struct sandbox_status)];
	size_t raw_len;
	bool failed, running, ended; /* what the sandbox has said: kinds 1, 2 and 3 */
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
/* Nothing more will be heard: it ended, could not be started, or its launcher is gone. */
bool inside_done(const struct inside *in);
void inside_signal(struct inside *in, int sig);
/* Ends everything in the sandbox and counts what had to be ended. */
void inside_finish(struct inside *in);

#endif
