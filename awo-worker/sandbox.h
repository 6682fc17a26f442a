/* The worker's own root, and the launch of programs inside the agent's sandbox. */
#ifndef WORKER_SANDBOX_H
#define WORKER_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/child.h"
#include "common/err.h"
#include "proto/schema.h"

/* What to bind where; source paths are the host's when building the worker's root, the worker's own for an agent. */
struct sandbox_mount {
	const char *source;
	const char *target;
	bool writable;
	bool optional;		/* leave out when the source does not exist */
};

struct sandbox_root {
	const struct sandbox_mount *mounts;	/* beside the base: /usr, /etc, /dev, /proc, /tmp */
	size_t nmounts;
	bool network;				/* resolv.conf, hosts, nsswitch.conf */
};

/*
 * Builds the calling process's root on a fresh tmpfs, pivots into it, drops every capability and sets no_new_privs.
 * Only as pid 1 of fresh namespaces. On failure *err names the missing piece; the process must then end.
 */
int sandbox_enter(const struct sandbox_root *root, struct awo_err *err);

struct sandbox_launch {
	const char *const *argv;	/* argv[0]: absolute path inside, unless exec_fd is given; NULL: none yet (stays) */
	int exec_fd;			/* program by descriptor, or -1 */
	const char *const *envp;	/* complete */
	const char *cwd;		/* "/workspace" */
	const struct sandbox_mount *mounts;
	size_t nmounts;
	bool network;			/* keep the host's network (agent, for now) or have an empty net namespace (readers) */
	int stdin_fd, stdout_fd, stderr_fd;	/* -1: /dev/null */
	int fd3;				/* the program's descriptor 3, or -1 */
	bool stays;				/* for sandbox_more(), at once or when the program has ended */
	struct child_limits limits;
};

/* A launched sandbox: its pid 1 as the worker sees it. */
struct sandbox_proc {
	pid_t pid;		/* the launcher, which stays as parent of the sandbox's pid 1; our child */
	int pidfd;
	int status_fd;		/* struct sandbox_status one after the other, then end of file */
};

/*
 * Written by the sandbox: first when set-up failed or the program runs, then when the program ended, and, by a sandbox that
 * stays, when everything that the program left behind has been ended too.
 */
struct sandbox_status {
	uint32_t kind;		/* 1 set-up failed, 2 running, 3 ended, 4 cleared */
	int32_t err;		/* errno of kind 1 */
	int32_t pid;		/* kind 2: the program's pid in the worker's pid namespace */
	int32_t status;		/* kind 3: wait status; kind 4: how many processes were killed */
	uint64_t cpu_us, maxrss_bytes; /* kind 3: of the program and what it reaped */
	char what[96];		/* kind 1: the step */
};

/*
 * Starts a program in nested user, mount, pid and ipc (and, without network, net) namespaces: execs this very program with
 * --mode launch, which builds the root and becomes the reaper. Returns at once; the status descriptor tells the rest.
 */
int sandbox_start(const struct sandbox_launch *l, struct sandbox_proc *out, struct awo_err *err);
/*
 * Starts a program in a sandbox that stays, and is cleared or had none yet: argv, exec_fd, envp and the descriptors are looked
 * at, directory and limits are the sandbox's. It costs a fork and an exec, not a sandbox. A sandbox that is still being built
 * starts it when it is ready.
 */
int sandbox_more(const struct sandbox_proc *p, const struct sandbox_launch *l, struct awo_err *err);
/* Sends a signal to the program's process group only. */
int sandbox_signal(const struct sandbox_proc *p, pid_t program, int sig);
/* Ends everything in the sandbox at once. Returns how many processes there were beside the reaper, or -1. */
int sandbox_kill(struct sandbox_proc *p);
/* Stops or continues every process of every launched sandbox. Returns when all are stopped. */
int sandbox_freeze(bool frozen);

/* Entry of `awo-worker --mode launch`. Never returns. */
_Noreturn void sandbox_launch_main(void);

/* Names of the layers in force for launches from here ("user_namespace", ...), and "no-landlock" and so on. */
void sandbox_layers(struct p_strv *out);
/* Refuses when a required layer is missing. */
int sandbox_check(const struct p_strv *require, struct awo_err *err);

#endif
