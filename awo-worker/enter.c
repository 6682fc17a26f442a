/* The root of a worker that carries out an order: which of the host's directories appear where. */
#include <string.h>

#include "awo-worker/worker.h"
#include "common/buf.h"
#include "common/clean.h"

int
worker_enter(const struct worker_args *a, const struct sandbox_mount *more, size_t nmore, struct awo_err *err)
{
	CLEAN_FREE char *own_commands = xasprintf("%s/commands", a->config_dir);
	CLEAN_FREE struct sandbox_mount *mounts = xcalloc(nmore + 5, sizeof(*mounts));
	struct sandbox_root root = {.mounts = mounts, .network = true};
	size_t n = 0;

	mounts[n++] = (struct sandbox_mount){.source = a->order_dir, .target = "/awo/order", .writable = true};
	mounts[n++] = (struct sandbox_mount){.source = a->libexec_dir, .target = "/awo/libexec"};
	mounts[n++] = (struct sandbox_mount){.source = a->commands_dir, .target = "/awo/commands"};
	mounts[n++] = (struct sandbox_mount){.source = own_commands, .target = "/awo/config-commands", .optional = true};
	if (a->cache_dir)
		mounts[n++] = (struct sandbox_mount){.source = a->cache_dir, .target = "/awo/cache.git"};
	if (nmore > 0)
		memcpy(mounts + n, more, nmore * sizeof(*more));
	root.nmounts = n + nmore;
	return sandbox_enter(&root, err);
}
