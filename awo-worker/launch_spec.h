/* What the worker hands to the launcher that it execs: descriptors with fixed numbers, and one block of bytes. */
#ifndef WORKER_LAUNCH_SPEC_H
#define WORKER_LAUNCH_SPEC_H

#include <stdint.h>

#include "common/child.h"

/* Descriptors of the launcher; 0 to 2 are the program's own already. */
enum {
	LAUNCH_FD3 = 3,		/* the program's descriptor 3, or /dev/null */
	LAUNCH_SPEC,		/* memfd: struct launch_head, filter, strings */
	LAUNCH_STATUS,		/* pipe, write end; of a sandbox that stays: a packet socket, on which further programs come */
	LAUNCH_EXEC,		/* the program, or /dev/null */
	LAUNCH_FDS,
	LAUNCH_PROC = LAUNCH_FDS /* the reaper's own: the worker's /proc */
};

#define LAUNCH_MAGIC 0x41574f31U
#define LAUNCH_STRINGS_MAX 65536U

/*
 * Then filter_bytes of the filter, then strings, each with its NUL: cwd, argv, envp, and for each mount source, target and
 * one letter ('w' writable, 'r' not, 'W' and 'R' the same and optional).
 */
struct launch_head {
	uint32_t magic;
	uint32_t filter_bytes;
	uint32_t argc, envc, nmounts;
	uint8_t network, has_fd3, has_exec, stays;
	struct child_limits limits;
};

/*
 * A program for a sandbox that stays: one packet, with LAUNCH_MORE_FDS descriptors beside it: 0 to 3, the program, and a memfd
 * with strings as above: argv, envp. Its directory and limits are the sandbox's.
 */
struct launch_more {
	uint32_t magic;
	uint32_t argc, envc;
	uint8_t has_fd3, has_exec, pad[2];
};

enum { LAUNCH_MORE_EXEC = 4, LAUNCH_MORE_STRINGS, LAUNCH_MORE_FDS };

#endif
