/* The messages between supervisor and broker, and what the supervisor promises about a process that it starts. */
#ifndef AWOD_SPAWN_H
#define AWOD_SPAWN_H

#include <stdint.h>
#include <sys/types.h>

#include "common/child.h"

#define SUP_VERSION 1
#define SUP_FDS_MAX 3

enum sup_op {
	SUP_SPAWN = 1,	/* broker to supervisor */
	SUP_KILL,
	SUP_REMOVE,
	SUP_SPAWNED = 16, /* supervisor to broker */
	SUP_EXITED,
	SUP_REMOVED,
	SUP_ADOPTED,
	SUP_READY,
	SUP_STOP
};

enum sup_kind { SUP_ORDER = 1, SUP_TASK };
enum sup_program { SUP_GIT = 1, SUP_FORGE, SUP_AGENT_VERSION };

/* mounts of a task */
#define SUP_CACHE_RW 0x1U
#define SUP_CACHE_RO 0x2U
#define SUP_CLEAN_RO 0x4U
#define SUP_NET 0x8U
#define SUP_LOCAL_RO 0x10U

/* Every packet is exactly this; fields that an op does not use are 0. Strings are NUL-terminated. */
struct sup_msg {
	uint32_t version;
	uint32_t op;
	uint32_t kind;		/* enum sup_kind: SPAWN, KILL, REMOVE (ORDER: an order, TASK: a cache), and in answers */
	uint32_t program;	/* TASK */
	uint32_t flags;		/* TASK: SUP_CACHE_RW ... */
	uint32_t owner_uid;	/* whose cache */
	uint64_t tag;		/* the broker's number for a task; echoed */
	char id[16];		/* order id, or "" */
	char cache[72];		/* 64 hexadecimal digits naming the cache, or "" */
	char verb[32];		/* TASK: [a-z-]+ */
	struct child_limits limits;
	/* answers */
	int32_t err;		/* 0, or an errno: SPAWNED, REMOVED */
	int32_t pid;
	int32_t status;		/* EXITED: as of waitid: exit code, or 128 + signal; -1 when not known */
	uint32_t oom;		/* EXITED: the kernel killed it for memory, as far as known */
	uint64_t bytes;		/* REMOVED: freed */
	uint64_t cpu_us, maxrss_bytes; /* EXITED: of all that the process reaped */
	char what[96];		/* SPAWNED with err: the step that failed, for people */
	uint64_t restarts;	/* READY: of the broker, since the supervisor's start */
	int64_t restarted_us;	/* READY: wall time of the last one, or 0 */
};

#endif
