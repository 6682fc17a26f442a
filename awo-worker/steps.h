/* The steps of an order: what each needs, tells the agent, and does itself when the agent has
 * ended. */
#ifndef WORKER_STEPS_H
#define WORKER_STEPS_H

#include <stdbool.h>
#include <stdint.h>

#include "awo-worker/agent.h"
#include "awo-worker/order.h"

#define STEP_NEEDS_PLAN 0x1U
#define STEP_NEEDS_BRANCH 0x2U
#define STEP_LEAVES_PLAN 0x4U
#define STEP_MAKES_BRANCH 0x8U

struct step_run {
	const char *name;
	int64_t number, total;
	const struct order_prompt *prompt; /* steps named "prompt" */
	bool publish;			   /* nobody after it will commit and push */
	/* filled while it runs */
	struct agent_outcome outcome;
	char head_before[SHA_MAX];
	int64_t dirty_before;
	struct buf output;
	json_t *changed; /* by the commits since, when the step looks for a plan; NULL: none */
	bool found_plan;
};

struct step_def {
	const char *name, *agent_name;
	unsigned needs; /* STEP_... */
	enum p_order_phase phase; /* of the order while it has no commit */
	void (*arguments)(const struct order *o, struct p_strv *args);
	/* the built-in work after the agent; NULL: none */
	int (*after)(struct order *o, struct step_run *s, struct failure *f);
};

/* The row of a step; names that are none of the built-in ones get the row of other command files.
 * Never NULL. */
const struct step_def *step_find(const char *name);
/* What is missing for a step, in the words of its owner's manual, or NULL. */
const char *step_missing(const struct step_def *def, bool plan, bool branch);
/* Runs one step from step_started to step_completed. -1 with *f when it failed: the order stops. */
int step_run(struct order *o, struct step_run *s, struct failure *f);
void step_run_free(struct step_run *s);

/* ---- pure parts */

/* The order's branch for a name that an agent chose: with the order's id when it is to be appended
 * and is missing. */
void step_branch_name(const char *chosen, const char *id, bool append, char out[256]);
/* The name when nobody chose one: <prefix>/<slug of the request>-<id>. */
void step_fallback_branch(const char *prefix, const char *request, const char *id, char out[256]);
/* The plan among changed files ([{path, status}]): the one that text mentions last, else the first.
 * NULL: none. */
const char *step_pick_plan(const json_t *files, const char *text);
/* First line of a commit message for what was left: the agent's own when it is conventional, else
 * from the request. */
void step_commit_subject(
    const char *text, size_t len, const char *prefix, const char *request, char out[256]);
/* "/name rest": name and rest of a prompt that runs a command file; false when it is none. */
bool step_split_prompt(const char *text, char name[129], const char **rest);

#endif
