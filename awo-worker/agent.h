/* One run of the agent's program: started in its sandbox, fed, read as it speaks, ended with
 * everything it started. */
#ifndef WORKER_AGENT_H
#define WORKER_AGENT_H

#include <stdbool.h>
#include <stdint.h>

#include "awo-worker/agents/adapter.h"
#include "awo-worker/failure.h"
#include "proto/schema.h"

#define AGENT_LINE_MAX (16U << 20)

struct order;

struct agent_task {
	const char *file;	  /* "02-planning": artifacts outputs/<file>.jsonl and .stderr */
	const char *command_name; /* for the log; NULL: a plain prompt */
	const char *command_file;
	const char *prompt;
	size_t prompt_len;
	const char *model;   /* NULL: the order's */
	int64_t max_turns;   /* 0: the order's */
	int64_t seconds;     /* step's timeout */
	const char *session; /* to be resumed, or NULL */
};

struct agent_outcome {
	bool ok;
	bool session_lost;
	bool doubtful;		/* says success, but its stream seems cut */
	bool denied;		/* was refused a tool, and went on without */
	struct failure failure; /* when !ok */
	char session[AGENT_SESSION_MAX + 1];
	struct buf text; /* its last words */
	struct p_usage usage;
	struct p_strv artifacts; /* names of the files it left */
};

/* Begins to build the sandbox for the next run, o->next, unless that has begun. */
int agent_sandbox(struct order *o, struct failure *f);
/* Runs it to its end. *out is always to be freed. -1 when the order cannot go on (cancelled, order
 * timeout, internal). */
int agent_run(struct order *o, const struct agent_task *task, struct agent_outcome *out);
void agent_outcome_free(struct agent_outcome *out);

#endif
