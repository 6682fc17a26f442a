/* The life of an order as pure functions: which transition which cause may make, and what it changes. */
#ifndef AWOD_ORDER_H
#define AWOD_ORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "proto/schema.h"

/* An order's record: what everybody sees, and what only awod needs. Freed with order_row_free(). */
struct order_row {
	int64_t rowid;			/* the store's key; grows with creation */
	struct p_order pub;
	uint32_t owner_uid;
	char *canonical_url;		/* decides equality of repositories */
	char *log_date;			/* "2026-01-31": directory of the log */
	int64_t journal_offset;		/* bytes of the log that this record has taken in */
	int64_t event_appended;		/* highest event_id known to stand in the log */
	char *base_sha, *head_sha, *pushed_sha, *plan_file;
	int64_t port_start;		/* 0: none */
	int64_t timeout_seconds;	/* whole order; 0: none */
	int64_t elapsed_us;		/* running time so far, for that timeout */
	/* index of the step to begin with at the next start; when all are done their count, one more behind a prompt's commit */
	int64_t resume_step;
	int64_t gate_passed;		/* the highest resume_step before which a person approved */
	int64_t tries_base;		/* attempts that do not count against retry.max_attempts: those before a retry asked for */
	int64_t step_started_at;	/* of current_step, from step_started: step_completed belongs to the same row */
	bool worker_started;		/* a worker has run: a workspace may be there */
	bool wake;			/* paused or waiting, and wants a slot again */
	bool jump;			/* start ahead of everybody (order.start) */
	bool cancel_requested;
	bool ended_by_force;		/* by the cancel that ended it just now; not kept */
	bool workspace_removed;
	char *request_id;
};

void order_row_free(struct order_row *r);	/* what it holds; NULL accepted */
struct order_row *order_row_dup(const struct order_row *r);	/* free with order_row_free() and free() */

/* What can happen to an order. */
enum order_cause {
	ORDER_START,		/* the scheduler gave it a slot */
	ORDER_COMPLETE,		/* all steps succeeded, the worker is gone */
	ORDER_FAIL,		/* it failed for good */
	ORDER_REQUEUE,		/* transient failure or lost worker, attempts left */
	ORDER_CANCEL,		/* its owner ended it, the worker is gone or never was */
	ORDER_PAUSE, ORDER_WAIT,	/* frozen; at a gate */
	ORDER_WAKE,		/* a paused or waiting order has a slot again */
	ORDER_RETRY,		/* asked for by its owner */
	ORDER_REOPEN,		/* a follow-up prompt */
	ORDER_CAUSE__COUNT
};

/* The state that follows, or order_status_none when the transition is not allowed. Every cell is filled. */
enum p_order_status order_next(enum p_order_status from, enum order_cause cause);
bool order_is_terminal(enum p_order_status s);
bool order_has_slot(enum p_order_status s);

/*
 * Applies a cause to the record: status, times, attempt, queue fields, error fields. FAILED_PRECONDITION naming the
 * state when it is not allowed; the record is then unchanged.
 */
int order_apply(struct order_row *r, enum order_cause cause, int64_t now_us, struct awo_err *err);

/*
 * Takes a line that a worker wrote into the record (and, for step_started and step_completed, into *step, which is then
 * set and *step_changed true). Fields of a wrong type are ignored. Unknown events change nothing.
 */
void order_take_line(struct order_row *r, enum p_event_id event, const json_t *line, int64_t now_us,
    struct p_step *step, bool *step_changed);

/* Whether a person must approve before the step with this index may begin. */
bool order_has_gate(const struct order_row *r, size_t step);
/* Gates can only stand behind a step of the order, and not behind its last. */
int order_check_gates(const struct p_strv *gates, const struct p_strv *steps, struct awo_err *err);
/* Steps of a workflow type or of selected commands: checks names and dependencies. *steps gets the list. */
int order_plan(const char *workflow_type, const struct p_strv *selected, const struct p_strv *trusted_commands,
    struct p_strv *steps, struct awo_err *err);
/* Steps that cannot succeed because nothing before them makes what they need; said as the worker would say it. */
void order_plan_problems(const struct p_strv *steps, struct p_strv *problems);
extern const char *const order_builtin_steps[];		/* NULL-terminated */
struct order_workflow { const char *name, *description; const char *steps[10]; };
extern const struct order_workflow order_workflows[];	/* name NULL ends */

/* Wait before attempt + 1, in microseconds: exponential with jitter (random in 0..1), never less than retry_after. */
int64_t order_backoff_us(int64_t attempt, int64_t base_s, int64_t max_s, double random, int64_t retry_after_s);

#endif
