/* A root directory built from nothing on a tmpfs, and the way into it. */
#ifndef WORKER_ROOT_H
#define WORKER_ROOT_H

#include <stdbool.h>
#include <stddef.h>

#include "awo-worker/sandbox.h"
#include "common/err.h"

#define ROOT_UID 1000	/* the one uid and gid of both roots */

struct root_plan {
	bool agent;		/* the agent's root, made from the worker's; else the worker's, made from the host's */
	bool network;		/* worker: the host's resolv.conf and hosts */
	const struct sandbox_mount *mounts;
	size_t nmounts;
};

/*
 * Builds the root and makes it the process's own, read-only but for what is to be written to. Needs CAP_SYS_ADMIN in the user
 * namespace of a mount namespace that nobody else is in. On failure *err names the piece and *errno_ says why.
 */
int root_enter(const struct root_plan *plan, int *errno_, struct awo_err *err);

/*
 * Gives up all capabilities for good: securebits locked, bounding and ambient sets emptied, no_new_privs, not dumpable; then
 * checks that nothing came back.
 */
int root_drop_power(int *errno_, struct awo_err *err);

#endif
