/* One order at work: what all parts of the resident worker share. */
#ifndef WORKER_ORDER_H
#define WORKER_ORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "awo-worker/agents/adapter.h"
#include "awo-worker/commands.h"
#include "awo-worker/control.h"
#include "awo-worker/failure.h"
#include "awo-worker/helper.h"
#include "awo-worker/inside.h"
#include "awo-worker/job.h"
#include "awo-worker/journal.h"
#include "awo-worker/loop.h"
#include "awo-worker/program.h"
#include "awo-worker/sandbox.h"
#include "awo-worker/worker.h"

#define SHA_MAX 65

struct order_prompt {
	int64_t id;
	char *text;
	struct order_prompt *next;
};

struct order {
	const struct worker_args *args;
	struct job job;
	struct loop loop;
	struct journal journal;
	struct control *control;
	const struct agent_adapter *adapter;
	struct program program;
	struct commands commands;
	int64_t began; /* loop_now() when the worker took the order up */

	/* told by the broker at any moment */
	bool cancelled;
	char cancel_reason[1025];
	bool frozen;
	bool at_gate;		      /* waits for a person; its time stands still */
	bool gate_heard;	      /* something was said of gates since it waits */
	int64_t gate_passed;	      /* gates up to this one are open */
	bool waits; /* for the cache */
	bool closing;		      /* no step is left that a prompt could run before */
	struct order_prompt *prompts; /* to run next, oldest first */
	int64_t last_prompt_id;
	/* the sandbox of the newest agent; and the next one, built while that runs, in which its work tree is looked into before
	 * the next agent starts there, or NULL */
	struct inside sandboxes[2], *sandbox, *next;
	/* helpers that wait for what they will be asked: in the next sandbox, and outside every sandbox; and the pipe from the
	 * one to the other, as descriptor 3 of both, or -1 */
	struct helper_standby by_inside, by_outside;
	int pack[2];
	/* what is running now and must be stopped on pause: a helper outside every sandbox, or 0 */
	pid_t outside;

	/* what is known so far */
	char *branch, *base_branch, *plan_file, *session, *pr_url, *pr_number;
	char base_sha[SHA_MAX], head_sha[SHA_MAX], pushed_sha[SHA_MAX];
	bool branch_on_remote; /* pushed by this order */
	struct {
		char *number, *title, *body, *url;
	} issue;
	struct {
		char head[SHA_MAX];
		char *branch; /* NULL: detached */
		char *made;   /* the branch that the look then made and checked out, or NULL */
		int64_t dirty;
		bool fresh; /* made by this attempt */
	} tree; /* as the newest tree-info said */
	int64_t commits, files, added, removed;
	enum p_order_phase phase;
	int64_t phase_began, phase_commits;
	struct p_usage usage; /* of all steps */
	int64_t processes_killed;
	bool unclean; /* a sandbox did not end as it should */
	bool forced;  /* the agent was asked to end, and had to be killed */

	int64_t inserted; /* prompt steps that came while running */
	const char *step; /* that runs, or NULL */
};

/* The deadline of the whole order, or 0. */
int64_t order_deadline(const struct order *o);
/* Waits while the order is frozen; -1 (cancelled, order timeout) when it must not go on. Called
 * before each start. */
int order_may_go_on(struct order *o, struct failure *f);
/*
 * Begins to build the next agent's sandbox, and starts the helpers that will be asked next: while an agent works both, before the
 * workspace is there the one outside. It is no failure when that is not possible now.
 */
void order_prepare(struct order *o, bool works);
/* Whether the order's id is a part of its branch's name. */
bool order_appends_id(const struct order *o);
/* Adds the fields that are set. */
void order_add_usage(struct p_usage *sum, const struct p_usage *more);
/* From one phase to another, with the lines that tell so; nothing when it is the same. */
void order_set_phase(struct order *o, enum p_order_phase phase);

#endif
