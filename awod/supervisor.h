/* The privileged half of awod: processes, directories and uids, for a broker whose messages it checks. */
#ifndef AWOD_SUPERVISOR_H
#define AWOD_SUPERVISOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "awod/options.h"
#include "awod/spawn.h"
#include "common/err.h"

/* Runs until it is told to stop; returns the exit status. */
int supervisor_main(const struct options *o);

/* ---- spawn.c: one process in namespaces of its own */

#define SPAWN_UID 1000	/* the one uid and gid that exist inside */

struct spawn_request {
	const char *path;		/* program, as the new process sees it before it has a root of its own */
	char *const *argv;
	uid_t uid;			/* the host's ids that stand for SPAWN_UID inside */
	gid_t gid;
	gid_t group;			/* its one supplementary group, or (gid_t)-1; only with set_groups */
	bool set_groups;		/* system mode: replace the supplementary groups */
	struct child_limits limits;
	int null_fd;			/* becomes 0 */
	int fds[SUP_FDS_MAX];		/* become 3, 4, 5 */
	int nfds;
};

#define SPAWN_START_US (10 * 1000000LL) /* from clone to exec; it takes 1 ms */

struct spawn_result {
	pid_t pid;
	int pidfd;
	int started;			/* readable when exec has succeeded or a step before it has failed */
	int err;			/* errno of the step that failed */
	char what[96];			/* which one, and how to mend it */
};

/* Called when the process exists and has its ids, before it runs on; an errno refuses it. */
typedef int spawn_recorder(void *arg, pid_t pid);

/*
 * Begins to start the program as pid 1 of fresh user, mount, pid, ipc and uts namespaces. 0: the process is there and on its way,
 * out->pidfd and out->started are the caller's; -1: a step has failed (out->err, out->what), nothing is left behind.
 */
int spawn_start(const struct spawn_request *r, spawn_recorder *record, void *arg, struct spawn_result *out);
/*
 * Of a process on its way: 1: not yet; 0: its program runs, or it has been killed, as its pidfd then tells; -1: a step has failed
 * (err, what), and it is ending. Never waits.
 */
int spawn_started(struct spawn_result *p);

/* Start time of a process in clock ticks since boot, from /proc; 0 when there is none. */
uint64_t spawn_starttime(pid_t pid);

/* ---- dirs.c: directories, their owners, and which uids are free */

struct dirs {
	const struct options *o;
	bool user_mode;
	int orders, repositories, run, slots;	/* directory descriptors */
	unsigned char *used_orders, *used_caches;	/* one bit for each uid from uid_base, and from uid_base + OPT_UID_CACHES */
};

/* Makes what is missing, checks what is there, takes the locks. Free with dirs_close(), also after failure. */
int dirs_open(struct dirs *d, const struct options *o, struct awo_err *err);
void dirs_close(struct dirs *d);
/* The directories of an order, made when missing; *uid is its owner. An errno, and what in 96 bytes. */
int dirs_order(struct dirs *d, const char *id, uid_t *uid, char *what);
/* The uid of an order that has its directories: ENOENT otherwise. */
int dirs_order_uid(const struct dirs *d, const char *id, uid_t *uid, char *what);
/* The cache uid of a user, allocated when there is none. With a cache (64 digits): create makes its directory, else it must exist. */
int dirs_cache(struct dirs *d, uint32_t owner, const char *cache, bool create, uid_t *uid, char *what);
/* An order's directories are gone: its uid is free again. */
void dirs_forget_order(struct dirs *d, uid_t uid);

#endif
