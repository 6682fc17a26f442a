/* What the worker's main() hands to the part that carries out an order, and the root that both kinds of worker build. */
#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H

#include <stdbool.h>
#include <stddef.h>

#include "awo-worker/sandbox.h"
#include "common/err.h"

/* Command line; directories are the host's, as they are before worker_enter(). */
struct worker_args {
	const char *id;			/* order id */
	const char *order_dir;
	const char *cache_dir;		/* NULL: none */
	const char *libexec_dir;
	const char *commands_dir;
	const char *config_dir;
	int spec_fd;			/* 3 */
	int journal_fd;			/* 4 */
	int control_fd;			/* 5, listening */
};

/*
 * Builds the worker's root for an order and gives up every power (sandbox_enter): /awo/order (writable), /awo/cache.git,
 * /awo/libexec, /awo/commands and /awo/config-commands (read-only), and the mounts of the caller (local remotes, paths of
 * the agent's program). To be called once, before anything else that the order brings is looked at beyond its mounts.
 */
int worker_enter(const struct worker_args *a, const struct sandbox_mount *more, size_t nmore, struct awo_err *err);

/* Carries the order out; calls worker_enter() first. Returns the exit status. */
int order_main(struct worker_args *a);

#endif
