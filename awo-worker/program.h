/* Finds an agent's program on the host, and what of the host it needs to run. */
#ifndef WORKER_PROGRAM_H
#define WORKER_PROGRAM_H

#include "awo-worker/failure.h"
#include "proto/schema.h"

struct program {
	char *path;	      /* absolute, as it is to be started */
	struct p_strv mounts; /* files and directories outside /usr, to be bound read-only at their
				 own path */
	struct p_strv dirs;   /* directories that PATH needs beside the usual ones */
};

/*
 * name: a name to be looked for in libexec_dir (only "awo-demo-agent") and the host's usual
 * directories, or an absolute path. paths: what to mount instead of what following the program
 * finds; may be empty. agent and install are for the message. *out is always to be freed.
 */
int program_find(const char *name, const struct p_strv *paths, const char *libexec_dir,
    const char *agent, const char *install, struct program *out, struct failure *f);
void program_free(struct program *p);
/* The strings as the NULL-terminated array that exec wants; the caller frees the array only. */
const char **program_vector(const struct p_strv *sv);

#endif
