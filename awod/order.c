/* The life of an order: the table of transitions, what each changes, and what a worker's lines
 * tell. */
#include <string.h>

#include "awod/order.h"
#include "common/buf.h"
#include "common/clean.h"
#include "common/clock.h"
#include "common/text.h"

#define NONE order_status_none
#define ATTEMPT_MAX 1000000
#define RETRY_AFTER_MAX_S (7 * INT64_C(86400)) /* an agent's stream cannot ask for more */

/* clang-format off */
/* [from][cause], every cell filled; from order_status_none nothing follows. */
static const enum p_order_status matrix[order_status_cancelled + 1][ORDER_CAUSE__COUNT] = {
	[order_status_none] = {
		[ORDER_START] = NONE, [ORDER_COMPLETE] = NONE, [ORDER_FAIL] = NONE, [ORDER_REQUEUE] = NONE,
		[ORDER_CANCEL] = NONE, [ORDER_PAUSE] = NONE, [ORDER_WAIT] = NONE, [ORDER_WAKE] = NONE,
		[ORDER_RETRY] = NONE, [ORDER_REOPEN] = NONE,
	},
	[order_status_pending] = {
		[ORDER_START] = order_status_running, [ORDER_COMPLETE] = NONE, [ORDER_FAIL] = order_status_failed,
		[ORDER_REQUEUE] = NONE, [ORDER_CANCEL] = order_status_cancelled, [ORDER_PAUSE] = NONE,
		[ORDER_WAIT] = NONE, [ORDER_WAKE] = NONE, [ORDER_RETRY] = NONE, [ORDER_REOPEN] = NONE,
	},
	[order_status_running] = {
		[ORDER_START] = NONE, [ORDER_COMPLETE] = order_status_completed, [ORDER_FAIL] = order_status_failed,
		[ORDER_REQUEUE] = order_status_pending, [ORDER_CANCEL] = order_status_cancelled,
		[ORDER_PAUSE] = order_status_paused, [ORDER_WAIT] = order_status_waiting, [ORDER_WAKE] = NONE,
		[ORDER_RETRY] = NONE, [ORDER_REOPEN] = NONE,
	},
	[order_status_waiting] = {
		[ORDER_START] = NONE, [ORDER_COMPLETE] = NONE, [ORDER_FAIL] = NONE, [ORDER_REQUEUE] = NONE,
		[ORDER_CANCEL] = order_status_cancelled, [ORDER_PAUSE] = NONE, [ORDER_WAIT] = NONE,
		[ORDER_WAKE] = order_status_running, [ORDER_RETRY] = NONE, [ORDER_REOPEN] = NONE,
	},
	[order_status_paused] = {
		[ORDER_START] = NONE, [ORDER_COMPLETE] = NONE, [ORDER_FAIL] = NONE, [ORDER_REQUEUE] = NONE,
		[ORDER_CANCEL] = order_status_cancelled, [ORDER_PAUSE] = NONE, [ORDER_WAIT] = NONE,
		[ORDER_WAKE] = order_status_running, [ORDER_RETRY] = NONE, [ORDER_REOPEN] = NONE,
	},
	[order_status_completed] = {
		[ORDER_START] = NONE, [ORDER_COMPLETE] = NONE, [ORDER_FAIL] = NONE, [ORDER_REQUEUE] = NONE,
		[ORDER_CANCEL] = NONE, [ORDER_PAUSE] = NONE, [ORDER_WAIT] = NONE, [ORDER_WAKE] = NONE,
		[ORDER_RETRY] = NONE, [ORDER_REOPEN] = order_status_pending,
	},
	[order_status_failed] = {
		[ORDER_START] = NONE, [ORDER_COMPLETE] = NONE, [ORDER_FAIL] = NONE, [ORDER_REQUEUE] = NONE,
		[ORDER_CANCEL] = NONE, [ORDER_PAUSE] = NONE, [ORDER_WAIT] = NONE, [ORDER_WAKE] = NONE,
		[ORDER_RETRY] = order_status_pending, [ORDER_REOPEN] = order_status_pending,
	},
	[order_status_cancelled] = {
		[ORDER_START] = NONE, [ORDER_COMPLETE] = NONE, [ORDER_FAIL] = NONE, [ORDER_REQUEUE] = NONE,
		[ORDER_CANCEL] = NONE, [ORDER_PAUSE] = NONE, [ORDER_WAIT] = NONE, [ORDER_WAKE] = NONE,
		[ORDER_RETRY] = order_status_pending, [ORDER_REOPEN] = NONE,
	},
};

/* For messages: "an order that is <state> cannot be <participle>". */
static const char *const cause_words[ORDER_CAUSE__COUNT] = {
	[ORDER_START] = "started", [ORDER_COMPLETE] = "completed", [ORDER_FAIL] = "failed",
	[ORDER_REQUEUE] = "queued again", [ORDER_CANCEL] = "cancelled", [ORDER_PAUSE] = "paused",
	[ORDER_WAIT] = "stopped at a gate", [ORDER_WAKE] = "resumed", [ORDER_RETRY] = "retried",
	[ORDER_REOPEN] = "re-opened by a prompt",
};

const char *const order_builtin_steps[] = {
	"create-branch", "planning", "execute", "prp-review", "testing", "commit", "create-pr", NULL,
};

const struct order_workflow order_workflows[] = {
	{ "agent_workflow_build", "plan the work and implement it",
	    { "create-branch", "planning", "execute", "commit", "create-pr" } },
	{ "agent_workflow_implement", "plan the work and implement it",
	    { "create-branch", "planning", "execute", "commit", "create-pr" } },
	{ "agent_workflow_plan", "write a plan",
	    { "create-branch", "planning", "commit", "create-pr" } },
	{ "agent_workflow_plan_build", "plan the work and implement it",
	    { "create-branch", "planning", "execute", "commit", "create-pr" } },
	{ "agent_workflow_plan_build_test", "plan, implement, review and test",
	    { "create-branch", "planning", "execute", "prp-review", "testing", "commit", "create-pr" } },
	{ "agent_workflow_test", "write and run tests",
	    { "create-branch", "testing", "commit", "create-pr" } },
	{ "agent_workflow_validate", "plan, implement, review and test",
	    { "create-branch", "planning", "execute", "prp-review", "testing", "commit", "create-pr" } },
	{ NULL, NULL, { NULL } },
};
/* clang-format on */

static const char *const default_steps[] = {
    "create-branch", "planning", "execute", "commit", "create-pr", NULL};

void
order_row_free(struct order_row *r)
{
	if (!r)
		return;
	P_FREE(order, &r->pub);
	free(r->canonical_url);
	free(r->log_date);
	free(r->base_sha);
	free(r->head_sha);
	free(r->pushed_sha);
	free(r->plan_file);
	free(r->request_id);
	memset(r, 0, sizeof(*r));
}

struct order_row *
order_row_dup(const struct order_row *r)
{
	struct order_row *d = xcalloc(1, sizeof(*d));

	*d = *r;
	p_copy(&p_type_order, &d->pub, &r->pub);
	d->canonical_url = xstrdup(r->canonical_url);
	d->log_date = xstrdup(r->log_date);
	d->base_sha = xstrdup(r->base_sha);
	d->head_sha = xstrdup(r->head_sha);
	d->pushed_sha = xstrdup(r->pushed_sha);
	d->plan_file = xstrdup(r->plan_file);
	d->request_id = xstrdup(r->request_id);
	return d;
}

enum p_order_status
order_next(enum p_order_status from, enum order_cause cause)
{
	if ((unsigned)from > order_status_cancelled || (unsigned)cause >= ORDER_CAUSE__COUNT)
		return NONE;
	return matrix[from][cause];
}

bool
order_is_terminal(enum p_order_status s)
{
	return s == order_status_completed || s == order_status_failed ||
	       s == order_status_cancelled;
}

bool
order_has_slot(enum p_order_status s)
{
	return s == order_status_running;
}

static void
clear_error(struct p_order *o)
{
	P_SETS(order, o, error_message, NULL);
	P_CLEAR(order, o, error_category);
	o->error_category = error_category_none;
}

static void
clear_time(struct p_order *o, enum p_order_field f, int64_t *member)
{
	o->has &= ~(UINT64_C(1) << f);
	*member = 0;
}

/* A terminal order says why it ended, whoever forgot to. */
static void
ensure_error(struct p_order *o, enum p_error_category category, const char *message)
{
	if (!P_HAS(order, o, error_category))
		P_SET(order, o, error_category, category);
	if (!P_HAS(order, o, error_message))
		P_SETS(order, o, error_message, message);
}

bool
order_has_gate(const struct order_row *r, size_t step)
{
	const struct p_strv *s = &r->pub.selected_commands;

	return step > 0 && step < s->n && (int64_t)step > r->gate_passed &&
	       p_strv_has(&r->pub.gates, s->v[step - 1]);
}

int
order_check_gates(const struct p_strv *gates, const struct p_strv *steps, struct awo_err *err)
{
	for (size_t i = 0; i < gates->n; i++) {
		if (!p_strv_has(steps, gates->v[i]))
			return ERR(err, INVALID_ARGUMENT, "gates",
			    "\"%.128s\" is no step of this order, so it cannot wait behind it",
			    gates->v[i]);
		if (strcmp(gates->v[i], steps->v[steps->n - 1]) == 0)
			return ERR(err, INVALID_ARGUMENT, "gates",
			    "\"%.128s\" is the last step: there is nothing to approve behind it",
			    gates->v[i]);
	}
	return 0;
}

int
order_apply(struct order_row *r, enum order_cause cause, int64_t now_us, struct awo_err *err)
{
	struct p_order *o = &r->pub;
	enum p_order_status next = order_next(o->status, cause);
	const char *was = P_ENUM_NAME(order_status, o->status);

	if (cause == ORDER_WAIT && !order_has_gate(r, (size_t)r->resume_step))
		next = NONE;
	if (next == NONE)
		return ERR(err, FAILED_PRECONDITION, "agent_work_order_id",
		    "order %s is %s and cannot be %s",
		    o->agent_work_order_id ? o->agent_work_order_id : "?",
		    was ? was : "in no known state",
		    (unsigned)cause < ORDER_CAUSE__COUNT ? cause_words[cause] : "changed so");
	if ((cause == ORDER_RETRY || cause == ORDER_REQUEUE) && o->attempt >= ATTEMPT_MAX)
		return ERR(err, FAILED_PRECONDITION, "attempt",
		    "order %s has used up its %d attempts; hand it in again",
		    o->agent_work_order_id ? o->agent_work_order_id : "?", ATTEMPT_MAX);

	P_SET(order, o, status, next);
	P_SET(order, o, updated_at, now_us);
	clear_time(o, p_order_f_queue_position, &o->queue_position);
	r->wake = false;
	r->jump = false;
	if (cause == ORDER_WAIT)
		P_SETS(order, o, gate, o->selected_commands.v[r->resume_step - 1]);
	else
		P_SETS(order, o, gate, NULL);

	switch (cause) {
	case ORDER_START:
		if (!P_HAS(order, o, execution_started_at))
			P_SET(order, o, execution_started_at, now_us);
		clear_time(o, p_order_f_retry_at, &o->retry_at);
		clear_error(o);
		break;
	case ORDER_COMPLETE:
		clear_error(o);
		P_SET(order, o, current_phase, order_phase_completed);
		P_SET(order, o, execution_completed_at, now_us);
		break;
	case ORDER_FAIL:
		ensure_error(o, error_category_internal, "the order ended without saying why");
		clear_time(o, p_order_f_retry_at, &o->retry_at);
		P_SET(order, o, execution_completed_at, now_us);
		break;
	case ORDER_CANCEL:
		/* an older error, of an attempt that was to be repeated, is not why this order
		 * ended */
		if (P_HAS(order, o, error_category) &&
		    o->error_category != error_category_cancelled)
			clear_error(o);
		ensure_error(o, error_category_cancelled, "cancelled");
		clear_time(o, p_order_f_retry_at, &o->retry_at);
		P_SET(order, o, execution_completed_at, now_us);
		break;
	case ORDER_REQUEUE:
		/* retry_at and the error, which says why it waits, are the caller's */
		P_SET(order, o, attempt, o->attempt + 1);
		break;
	case ORDER_RETRY:
		P_SET(order, o, attempt, o->attempt + 1);
		__attribute__((fallthrough));
	case ORDER_REOPEN:
		clear_error(o);
		clear_time(o, p_order_f_retry_at, &o->retry_at);
		clear_time(o, p_order_f_execution_completed_at, &o->execution_completed_at);
		if (o->current_phase == order_phase_completed)
			P_SET(order, o, current_phase, order_phase_implementing);
		r->cancel_requested = false;
		r->elapsed_us = 0;
		break;
	case ORDER_PAUSE:
	case ORDER_WAIT:
	case ORDER_WAKE:
	case ORDER_CAUSE__COUNT:
		break;
	}
	if (order_is_terminal(next))
		r->cancel_requested = false;
	return 0;
}

/* ---- lines of workers: nothing in them is believed beyond its type and range */

static const char *
text_of(const json_t *v)
{
	if (!json_is_string(v) || strlen(json_string_value(v)) != json_string_length(v))
		return NULL;
	return json_string_value(v);
}

static void
take_strv(struct p_strv *sv, const struct p_field *f, const json_t *list)
{
	p_strv_free(sv);
	for (size_t i = 0; i < json_array_size(list) && sv->n < (size_t)f->max; i++) {
		const char *s = text_of(json_array_get(list, i));

		if (s && strlen(s) <= f->item_max)
			p_strv_add(sv, s);
	}
}

static void take_object(const struct p_type *type, void *obj, const json_t *tree);

/* Sets one field from a JSON value when its type and range are right; else leaves it. Long prose is
 * cut. */
static bool
take_value(const struct p_type *type, void *obj, unsigned number, const json_t *v)
{
	const struct p_field *f = &type->fields[number];
	char *at = (char *)obj + f->offset;
	uint64_t *has = obj; /* every message begins with it */
	const char *s;

	switch (f->kind) {
	case P_STR:
		s = text_of(v);
		if (!s || strlen(s) < (size_t)f->min)
			return false;
		if (strlen(s) > (size_t)f->max) {
			struct buf cut CLEAN_BUF = {0};

			if (f->max < 1024)
				return false;
			text_add_utf8(&cut, s, strlen(s), (size_t)f->max);
			p_set_str(has, number, (char **)(void *)at, cut.p);
			return true;
		}
		p_set_str(has, number, (char **)(void *)at, s);
		return true;
	case P_INT:
		if (!json_is_integer(v) || json_integer_value(v) < f->min ||
		    json_integer_value(v) > f->max)
			return false;
		*(int64_t *)(void *)at = json_integer_value(v);
		break;
	case P_DBL:
		if (!json_is_number(v) ||
		    !(json_number_value(v) >= f->dmin && json_number_value(v) <= f->dmax))
			return false;
		*(double *)(void *)at = json_number_value(v);
		break;
	case P_BOOL:
		if (!json_is_boolean(v))
			return false;
		*(bool *)(void *)at = json_is_true(v);
		break;
	case P_ENUM: {
		int value = (s = text_of(v)) ? p_enum_value(f->en, s) : 0;

		if (value == 0)
			return false;
		memcpy(at, &value, sizeof(value));
		break;
	}
	case P_STRV:
		if (!json_is_array(v))
			return false;
		take_strv((struct p_strv *)(void *)at, f, v);
		break;
	case P_OBJ:
		if (!json_is_object(v))
			return false;
		take_object(f->type, at, v);
		break;
	case P_TIME:
	case P_LIST:
	case P_ANY:
		return false;
	}
	*has |= UINT64_C(1) << number;
	return true;
}

static void
take_object(const struct p_type *type, void *obj, const json_t *tree)
{
	for (unsigned i = 0; i < type->nfields; i++)
		take_value(type, obj, i, json_object_get(tree, type->fields[i].name));
}

#define TAKE(r, f, line)                                                                           \
	take_value(&p_type_order, &(r)->pub, p_order_f_##f, json_object_get((line), #f))

static void
take_sha(char **field, const json_t *v)
{
	const char *s = text_of(v);
	size_t n = s ? strlen(s) : 0;

	if ((n != 40 && n != 64) || strspn(s, "0123456789abcdef") != n)
		return;
	free(*field);
	*field = xstrdup(s);
}

static void
take_branch(struct order_row *r, const json_t *v)
{
	const char *s = text_of(v);

	/* shown to people and put on command lines by them */
	if (!s || *s == '-' || *s == '/')
		return;
	for (const char *p = s; *p; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f || strchr("~^:?*[\\", *p))
			return;
	take_value(&p_type_order, &r->pub, p_order_f_git_branch_name, v);
}

static void
take_plan_file(struct order_row *r, const json_t *v)
{
	const char *s = text_of(v);

	if (!s || !*s || strlen(s) > 4096 || *s == '/')
		return;
	free(r->plan_file);
	r->plan_file = xstrdup(s);
}

static void
take_numbers(struct order_row *r, const json_t *line)
{
	TAKE(r, git_commit_count, line);
	TAKE(r, git_files_changed, line);
	TAKE(r, git_lines_added, line);
	TAKE(r, git_lines_removed, line);
}

static void
take_pull_request(struct order_row *r, const json_t *line)
{
	const json_t *number = json_object_get(line, "github_pull_request_number");
	const char *url = text_of(json_object_get(line, "github_pull_request_url"));
	char text[24];

	if (json_is_integer(number) && json_integer_value(number) > 0) {
		snprintf(text, sizeof(text), "%lld", (long long)json_integer_value(number));
		P_SETS(order, &r->pub, github_pull_request_number, text);
	} else if (text_of(number) && *text_of(number) &&
		   strspn(text_of(number), "0123456789") == json_string_length(number))
		TAKE(r, github_pull_request_number, line);
	/* becomes a link: other schemes could be made to run in a browser */
	if (url && (strncmp(url, "https://", 8) == 0 || strncmp(url, "http://", 7) == 0))
		TAKE(r, github_pull_request_url, line);
	if (!TAKE(r, github_pull_request_state, line) &&
	    P_HAS(order, &r->pub, github_pull_request_url))
		P_SET(order, &r->pub, github_pull_request_state, pull_request_state_open);
}

static int64_t
add_int(int64_t a, int64_t b)
{
	int64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

/* Adds what one step used; the peak is the largest, not a sum. */
static void
add_usage(struct p_usage *sum, const struct p_usage *u)
{
	for (unsigned i = 0; i < p_type_usage.nfields; i++) {
		const struct p_field *f = &p_type_usage.fields[i];
		char *to = (char *)sum + f->offset;
		const char *from = (const char *)u + f->offset;

		if (!(u->has & (UINT64_C(1) << i)))
			continue;
		if (f->kind == P_INT) {
			int64_t a, b;

			memcpy(&a, to, sizeof(a));
			memcpy(&b, from, sizeof(b));
			if (i == p_usage_f_memory_peak_bytes)
				a = b > a ? b : a;
			else
				a = add_int(a, b);
			memcpy(to, &a, sizeof(a));
		} else {
			double a, b;

			memcpy(&a, to, sizeof(a));
			memcpy(&b, from, sizeof(b));
			a = a + b < f->dmax ? a + b : f->dmax;
			memcpy(to, &a, sizeof(a));
		}
		sum->has |= UINT64_C(1) << i;
	}
}

/* Time of a line, never in the future and never before the order. */
static int64_t
line_time(const struct order_row *r, const json_t *line, int64_t now_us)
{
	const char *s = text_of(json_object_get(line, "timestamp"));
	int64_t t;

	if (!s || !clock_parse(s, &t) || t > now_us)
		return now_us;
	return t < r->pub.created_at ? r->pub.created_at : t;
}

/*
 * The next start begins with this step of the order's list, or behind it. Found by name from where
 * the order stands: prompts that ran in between shift the numbers, and are not of the list.
 */
static void
set_resume(struct order_row *r, const char *step, bool done)
{
	const struct p_strv *list = &r->pub.selected_commands;

	for (size_t i = (size_t)r->resume_step; i < list->n; i++)
		if (strcmp(list->v[i], step) == 0) {
			r->resume_step = (int64_t)i + (done ? 1 : 0);
			return;
		}
	/* behind the list: what the last prompt left is committed, or not yet */
	if (r->resume_step >= (int64_t)list->n)
		r->resume_step = (int64_t)list->n + (done && strcmp(step, "commit") == 0 ? 1 : 0);
}

/* False when the line lacks what a row needs. */
static bool
take_step(const struct order_row *r, const json_t *line, struct p_step *step)
{
	memset(step, 0, sizeof(*step));
	take_object(&p_type_step, step, line);
	if (!P_HAS(step, step, step) || !P_HAS(step, step, step_number)) {
		P_FREE(step, step);
		return false;
	}
	if (!P_HAS(step, step, agent_name))
		P_SETS(step, step, agent_name, r->pub.agent ? r->pub.agent : "agent");
	P_SET(step, step, attempt, r->pub.attempt > 0 ? r->pub.attempt : 1);
	P_MARK(step, step, usage);
	P_MARK(step, step, artifacts);
	return true;
}

static bool
take_step_started(struct order_row *r, const json_t *line, int64_t now_us, struct p_step *step)
{
	if (!take_step(r, line, step))
		return false;
	/* a row of a step that runs has no result, whatever the line says */
	P_CLEAR(step, step, success);
	step->success = false;
	r->step_started_at = line_time(r, line, now_us);
	P_SET(step, step, timestamp, r->step_started_at);
	P_SETS(order, &r->pub, current_step, step->step);
	P_SET(order, &r->pub, step_number, step->step_number);
	TAKE(r, total_steps, line);
	set_resume(r, step->step, false);
	return true;
}

static bool
take_step_completed(struct order_row *r, const json_t *line, int64_t now_us, struct p_step *step)
{
	int64_t end = line_time(r, line, now_us);
	struct p_usage used;

	if (!take_step(r, line, step))
		return false;
	if (!P_HAS(step, step, success))
		P_SET(step, step, success, false);
	if (r->step_started_at > 0 && r->pub.step_number == step->step_number &&
	    r->pub.current_step && strcmp(r->pub.current_step, step->step) == 0)
		P_SET(step, step, timestamp, r->step_started_at);
	else
		P_SET(step, step, timestamp, end);
	if (P_HAS(step, step, session_id))
		P_SETS(order, &r->pub, agent_session_id, step->session_id);
	take_plan_file(r, json_object_get(line, "plan_file"));

	used = step->usage; /* holds scalars only: a plain copy is one */
	if (!P_HAS(usage, &used, wall_seconds) && P_HAS(step, step, duration_seconds))
		P_SET(usage, &used, wall_seconds, step->duration_seconds);
	add_usage(&r->pub.usage, &used);
	P_MARK(order, &r->pub, usage);
	if (step->success)
		set_resume(r, step->step, true);
	return true;
}

void
order_take_line(struct order_row *r, enum p_event_id event, const json_t *line, int64_t now_us,
    struct p_step *step, bool *step_changed)
{
	*step_changed = false;
	if (!json_is_object(line))
		return;
	switch (event) {
	case P_E_sandbox_created:
		take_value(&p_type_order, &r->pub, p_order_f_sandbox_layers,
		    json_object_get(line, "layers"));
		break;
	case P_E_workspace_created:
		TAKE(r, base_branch, line);
		take_sha(&r->base_sha, json_object_get(line, "base_sha"));
		r->workspace_removed = false;
		break;
	case P_E_workflow_started:
		TAKE(r, total_steps, line);
		break;
	case P_E_workflow_phase_started:
		take_value(&p_type_order, &r->pub, p_order_f_current_phase,
		    json_object_get(line, "phase"));
		break;
	case P_E_step_started:
		*step_changed = take_step_started(r, line, now_us, step);
		break;
	case P_E_step_completed:
		*step_changed = take_step_completed(r, line, now_us, step);
		break;
	case P_E_git_branch_created:
		take_branch(r, json_object_get(line, "git_branch_name"));
		break;
	case P_E_git_commit_created:
		take_sha(&r->head_sha, json_object_get(line, "sha"));
		take_numbers(r, line);
		break;
	case P_E_git_push_completed:
		take_sha(&r->pushed_sha, json_object_get(line, "sha"));
		take_branch(r, json_object_get(line, "git_branch_name"));
		break;
	case P_E_github_pull_request_created:
		take_pull_request(r, line);
		break;
	case P_E_workflow_completed:
		take_numbers(r, line);
		take_branch(r, json_object_get(line, "git_branch_name"));
		break;
	case P_E_workflow_failed:
		clear_error(&r->pub);
		TAKE(r, error_message, line);
		TAKE(r, error_category, line);
		ensure_error(
		    &r->pub, error_category_internal, "the worker did not say why it failed");
		break;
	default:
		return;
	}
	r->worker_started = true;
	P_SET(order, &r->pub, updated_at, now_us);
}

/* ---- steps */

static void
add_steps(struct p_strv *steps, const char *const *list)
{
	for (; *list; list++)
		p_strv_add(steps, *list);
}

static bool
is_builtin(const char *name)
{
	for (const char *const *s = order_builtin_steps; *s; s++)
		if (strcmp(*s, name) == 0)
			return true;
	return false;
}

/* Length of a command's name without ".md". */
static size_t
stem_len(const char *name)
{
	size_t n = strlen(name);

	return n > 3 && strcmp(name + n - 3, ".md") == 0 ? n - 3 : n;
}

static bool
is_trusted(const struct p_strv *trusted, const char *name)
{
	size_t n = stem_len(name);

	for (size_t i = 0; trusted && i < trusted->n; i++)
		if (stem_len(trusted->v[i]) == n && strncmp(trusted->v[i], name, n) == 0)
			return true;
	return false;
}

/* "unknown <what> "x"; did you mean y? Known: a, b" */
static int
unknown(struct awo_err *err, const char *field, const char *what, const char *name,
    const char *const *known)
{
	struct buf list CLEAN_BUF = {0};
	const char *near = text_nearest(name, known);

	for (const char *const *k = known; *k; k++)
		buf_printf(&list, "%s%s", k == known ? "" : ", ", *k);
	return ERR(err, INVALID_ARGUMENT, field, "unknown %s \"%.128s\"%s%s%s; known are %.400s",
	    what, name, near ? ", did you mean " : "", near ? near : "", near ? "?" : "",
	    list.p ? list.p : "none");
}

static int
plan_selected(const struct p_strv *selected, const struct p_strv *trusted, struct p_strv *steps,
    struct awo_err *err)
{
	const struct p_field *f = &p_type_order.fields[p_order_f_selected_commands];

	if (selected->n > (size_t)f->max)
		return ERR(err, INVALID_ARGUMENT, "selected_commands",
		    "%zu steps are more than the %lld that an order may have", selected->n,
		    (long long)f->max);
	for (size_t i = 0; i < selected->n; i++) {
		const char *name = selected->v[i];

		if (is_builtin(name))
			p_strv_add(steps, name);
		else if (is_trusted(trusted, name)) {
			char *stem CLEAN_FREE = xstrndup(name, stem_len(name));

			p_strv_add(steps, stem);
		} else {
			p_strv_free(steps);
			return unknown(err, "selected_commands", "step", name, order_builtin_steps);
		}
	}
	return 0;
}

static int
plan_workflow(
    const char *type, const struct p_strv *trusted, struct p_strv *steps, struct awo_err *err)
{
	const char *names[sizeof(order_workflows) / sizeof(order_workflows[0])];
	const struct order_workflow *w;
	size_t n = 0;

	if (is_trusted(trusted, type)) {
		char *stem CLEAN_FREE = xstrndup(type, stem_len(type));

		p_strv_add(steps, "create-branch");
		p_strv_add(steps, stem);
		p_strv_add(steps, "commit");
		p_strv_add(steps, "create-pr");
		return 0;
	}
	for (w = order_workflows; w->name; w++) {
		if (strcmp(w->name, type) == 0) {
			add_steps(steps, w->steps);
			return 0;
		}
		names[n++] = w->name;
	}
	names[n] = NULL;
	return unknown(err, "workflow_type", "workflow type", type, names);
}

/*
 * Whether a plan or a branch will be there is known only when a step runs (a plan may be in the
 * repository, an agent may make a branch in any step), so the worker reports what is missing, and
 * nothing is refused here for it.
 */
int
order_plan(const char *workflow_type, const struct p_strv *selected,
    const struct p_strv *trusted_commands, struct p_strv *steps, struct awo_err *err)
{
	*steps = (struct p_strv){0};
	if (selected && selected->n > 0)
		return plan_selected(selected, trusted_commands, steps, err);
	if (workflow_type)
		return plan_workflow(workflow_type, trusted_commands, steps, err);
	add_steps(steps, default_steps);
	return 0;
}

void
order_plan_problems(const struct p_strv *steps, struct p_strv *problems)
{
	bool plan = false, branch = false;

	for (size_t i = 0; i < steps->n; i++) {
		const char *s = steps->v[i];

		if (strcmp(s, "planning") == 0)
			plan = true;
		else if (strcmp(s, "create-branch") == 0)
			branch = true;
		else if (!is_builtin(s))
			plan = branch = true;	/* a command of somebody's own may make either */
		else if (!plan && (strcmp(s, "execute") == 0 || strcmp(s, "prp-review") == 0))
			p_strv_add(problems, "No plan file found in context. Planning step must run before execute.");
		else if (!branch && strcmp(s, "create-pr") == 0)
			p_strv_add(problems, "No branch name found in context. create-branch step must run before create-pr.");
	}
}

int64_t
order_backoff_us(
    int64_t attempt, int64_t base_s, int64_t max_s, double random, int64_t retry_after_s)
{
	double wait = (double)(base_s > 0 ? base_s : 0);
	int64_t us, least;

	if (!(random >= 0))
		random = 0;
	if (random > 1)
		random = 1;
	for (int64_t i = 1; i < attempt && wait < (double)max_s; i++)
		wait *= 2;
	if (wait > (double)max_s)
		wait = (double)max_s;
	/* half fixed, half random: orders that failed together do not come back together */
	us = (int64_t)(wait * (0.5 + 0.5 * random) * 1e6);
	if (retry_after_s > RETRY_AFTER_MAX_S)
		retry_after_s = RETRY_AFTER_MAX_S;
	least = retry_after_s > 0 ? retry_after_s * 1000000 : 0;
	/* jitter on top of what the other side asked for, never below it */
	return us > least ? us : least + (int64_t)(random * 1e6);
}
