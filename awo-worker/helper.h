/* Runs awo-git and awo-forge: one verb, one process, one JSON request and answer. */
#ifndef WORKER_HELPER_H
#define WORKER_HELPER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "awo-worker/failure.h"
#include "awo-worker/inside.h"
#include "awo-worker/lines.h"
#include "awo-worker/loop.h"
#include "awo-worker/sandbox.h"

struct order;

/* One that was started before there is anything to do. */
struct helper_standby {
	bool there;
	int in, out;		 /* our ends of its standard input and output */
	struct loop_child child; /* outside every sandbox */
};

/* Git for what lies in directories of this host, which starts faster, and for remotes. */
enum helper_program { HELPER_GIT, HELPER_GIT_REMOTE, HELPER_FORGE };

struct helper_call {
	enum helper_program program;
	const char *verb;
	json_t *request;      /* taken over */
	bool sandboxed;	      /* in a sandbox of the agent's kind, where it has no more power than that */
	int fd3;	      /* its descriptor 3, closed here once it has started; -1: none */
	bool packs;	      /* that is the order's pipe from inside to outside, which ends with its reader's start */
	const char *save_dir; /* sandboxed: bound writable at /awo/saved, or NULL */
	int64_t seconds;      /* deadline */
	int64_t grace_us;     /* outside: may go on so long after a cancel, for what it writes elsewhere
				 would stay half done */
};

struct helper {
	struct helper_call call;
	struct loop_child child; /* outside */
	struct loop_reader out;
	struct inside *inside, own; /* sandboxed: the step's, while that stands, or one of its own */
	struct lines lines;
	json_t *answer;
	int64_t began;
};

/* Starts a run; -1 with *f. Every started run must be waited for; *h stays where it is until then.
 */
int helper_start(
    struct order *o, const struct helper_call *call, struct helper *h, struct failure *f);
/* Waits for its answer, which it may give before its end: that answer (still the run's), or NULL. */
const json_t *helper_answered(struct order *o, struct helper *h);
/* Its answer when that says ok (new reference), or NULL with *f: what it said, or that it was
 * cancelled or too slow. */
json_t *helper_wait(struct order *o, struct helper *h, struct failure *f);
json_t *helper_run(struct order *o, const struct helper_call *call, struct failure *f);

/*
 * Starts what is missing of the two that stand by: one in the next sandbox, if asked for, and one outside, with a pipe from that to
 * this. It is no failure when that is not possible now.
 */
void helper_stand_by(struct order *o, bool inside);
/* Gives up the next sandbox, with what stands by in it. */
void helper_leave_sandbox(struct order *o);

/* A string, number of an answer; "" and 0 when they are missing or something else. */
const char *helper_string(const json_t *answer, const char *key);
int64_t helper_int(const json_t *answer, const char *key);

#endif
