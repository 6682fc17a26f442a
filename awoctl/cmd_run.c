/* awoctl run: hands in an order and stays with it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "awoctl/ctl.h"
#include "awoctl/follow.h"
#include "awoctl/live.h"
#include "common/clean.h"
#include "common/clock.h"

#define REQUEST_MAX 65536
#define PAINT_MS 250
#define REFRESH_US 5000000 /* the queue position is in no log line */

struct watched {
	struct ctl *ctl;
	struct follow follow;
	struct live live;
	int64_t next_refresh;
	bool gate_told;
};

static int
fill_request(struct ctl *ctl, struct p_order_create *request)
{
	const struct ctl_line *line = ctl->line;
	const char *issue = ctl_opt(ctl, "issue"), *sandbox = ctl_opt(ctl, "sandbox"), *steps = ctl_opt(ctl, "steps");
	const char *priority = ctl_opt(ctl, "priority"), *timeout = ctl_opt(ctl, "timeout");
	const char *workflow = ctl_opt(ctl, "workflow"), *agent = ctl_opt(ctl, "agent"), *model = ctl_opt(ctl, "model");
	const char *base = ctl_opt(ctl, "base"), *gates = ctl_opt(ctl, "gate");
	CLEAN_FREE char *repository = NULL, *text = NULL;
	int64_t n;
	int r, value;

	if (line->nargs < 2 && !issue)
		return ctl_usage(ctl, "run: say what is to be done, or name an issue with --issue");
	if ((r = ctl_repository(ctl, line->args[0], &repository)) != 0)
		return r;
	P_SETS(order_create, request, repository_url, repository);
	if (line->nargs > 1) {
		if ((r = ctl_words_or_stdin(ctl, line->args + 1, line->nargs - 1, REQUEST_MAX, &text)) != 0)
			return r;
		P_SETS(order_create, request, user_request, text);
	}
	if (issue) {
		char number[24];
		if ((r = ctl_int(ctl, "--issue", *issue == '#' ? issue + 1 : issue, 1, INT64_MAX, &n)) != 0)
			return r;
		snprintf(number, sizeof(number), "%lld", (long long)n);
		P_SETS(order_create, request, github_issue_number, number);
	}
	if (sandbox) {
		if ((r = ctl_enum(ctl, "--sandbox", &p_enum_sandbox_type, sandbox, &value)) != 0)
			return r;
		P_SET(order_create, request, sandbox_type, (enum p_sandbox_type)value);
	}
	if (steps) {
		if ((r = ctl_list(ctl, "--steps", steps, &request->selected_commands)) != 0)
			return r;
		P_MARK(order_create, request, selected_commands);
	}
	if (gates) {
		if ((r = ctl_list(ctl, "--gate", gates, &request->gates)) != 0)
			return r;
		P_MARK(order_create, request, gates);
	}
	if (priority) {
		if ((r = ctl_int(ctl, "--priority", priority, -100, 100, &n)) != 0)
			return r;
		P_SET(order_create, request, priority, n);
	}
	if (timeout) {
		if ((r = ctl_duration(ctl, "--timeout", timeout, &n)) != 0)
			return r;
		P_SET(order_create, request, timeout_seconds, n);
	}
	if (workflow)
		P_SETS(order_create, request, workflow_type, workflow);
	if (agent)
		P_SETS(order_create, request, agent, agent);
	if (model)
		P_SETS(order_create, request, model, model);
	if (base)
		P_SETS(order_create, request, base_branch, base);
	return 0;
}

static int
get_order(struct ctl *ctl, const char *id, struct p_order_answer *answer, struct awo_err *err)
{
	struct p_order_get request = {0};

	P_SETS(order_get, &request, agent_work_order_id, id);
	int r = ctl_try(ctl, P_M_order_get, &request, answer, err);
	P_FREE(order_get, &request);
	return r;
}

static void
on_line(void *arg, int64_t seq, const char *line)
{
	struct watched *w = arg;

	(void)seq;
	live_line(&w->live, line);
}

static void
on_note(void *arg, const char *text)
{
	struct watched *w = arg;

	live_say(&w->live, text);
}

static void
on_tick(void *arg)
{
	struct watched *w = arg;
	struct p_order_answer answer;
	struct awo_err err;

	if (follow_resized())
		term_resize(&w->ctl->err, 2);
	/* what the log does not tell: the place in the queue, and a gate that waits for somebody */
	if (clock_mono_us() > w->next_refresh && w->ctl->client) {
		w->next_refresh = clock_mono_us() + REFRESH_US;
		if (client_call(w->ctl->client, P_M_order_get, &(struct p_order_get){
		    .has = P_BIT(order_get, agent_work_order_id), .agent_work_order_id = w->follow.id}, &answer, 1000,
		    &err) == 0) {
			const struct p_order *o = &answer.agent_work_order;
			w->live.queue_position = o->queue_position;
			snprintf(w->live.status, sizeof(w->live.status), "%s", P_ENUM_NAME(order_status, o->status));
			if (o->status == order_status_waiting && !w->gate_told) {
				CLEAN_FREE char *text = xasprintf("the order waits for a decision: \"awoctl approve %s\" or"
				    " \"awoctl reject %s\"", w->follow.id, w->follow.id);
				live_say(&w->live, text);
			}
			w->gate_told = o->status == order_status_waiting;
			P_FREE(order_answer, &answer);
		}
	}
	live_paint(&w->live);
}

/* The last lines, and the exit status. Frees the answer. */
static int
conclude(struct ctl *ctl, struct p_order_answer *answer)
{
	const struct p_order *o = &answer->agent_work_order;
	const char *id = o->agent_work_order_id;
	int status = o->status == order_status_completed ? 0 : CTL_EXIT_FAILED;
	CLEAN_BUF struct buf b = {0};

	if (o->status == order_status_failed) {
		struct awo_err err = {.code = AWO_INTERNAL};
		snprintf(err.msg, sizeof(err.msg), "%s failed: %.600s", id, o->error_message ? o->error_message : "no reason"
		    " was recorded");
		if (!ctl->line->json)
			ctl_fail(ctl, &err);
		ctl_note(ctl, "\"awoctl logs %s\" shows what happened, \"awoctl retry %s\" tries again%s", id, id,
		    o->current_step ? " from that step" : "");
	} else if (o->status == order_status_cancelled)
		ctl_note(ctl, "%s was cancelled; \"awoctl retry %s\" runs it again", id, id);
	if (ctl_json_done(ctl, &p_type_order_answer, answer))
		return status;
	if (status == 0) {
		const char *result = o->github_pull_request_url ? o->github_pull_request_url
		    : o->git_branch_name ? o->git_branch_name : id;
		term_escapes(&b, result, TERM_LINE);
		buf_addc(&b, '\n');
		ctl_out(&b);
	}
	P_FREE(order_answer, answer);
	return status;
}

static int
watch(struct ctl *ctl, struct p_order *order)
{
	struct watched w = {.ctl = ctl, .follow = {.ctl = ctl, .tick_ms = PAINT_MS, .line = on_line, .tick = on_tick,
	    .note = on_note}};
	struct p_order_answer answer;
	struct awo_err err = {0};

	w.follow.arg = &w;
	w.next_refresh = clock_mono_us() + REFRESH_US / 5;
	snprintf(w.follow.id, sizeof(w.follow.id), "%s", order->agent_work_order_id);
	live_init(&w.live, &ctl->err, ctl->line->quiet || ctl->line->json);
	live_order(&w.live, order);
	ctl_note(ctl, "%s handed in", order->agent_work_order_id);
	P_FREE(order, order);
	follow_catch_signals();
	enum follow_end end = follow_run(&w.follow, &err);
	live_clear(&w.live);
	live_free(&w.live);
	switch (end) {
	case FOLLOW_ENDED:
		if (get_order(ctl, w.follow.id, &answer, &err) < 0)
			return ctl_fail(ctl, &err);
		return conclude(ctl, &answer);
	case FOLLOW_INTERRUPTED:
		ctl_note(ctl, "detached; %s goes on. \"awoctl logs -f %s\" comes back to it, \"awoctl cancel %s\" ends it",
		    w.follow.id, w.follow.id, w.follow.id);
		return CTL_EXIT_INTERRUPTED;
	case FOLLOW_REMOVED:
		ctl_note(ctl, "%s was removed", w.follow.id);
		return CTL_EXIT_FAILED;
	default:
		ctl_note(ctl, "%s goes on without being watched; \"awoctl logs -f %s\" comes back to it", w.follow.id,
		    w.follow.id);
		return ctl_fail(ctl, &err);
	}
}

int
ctl_run(struct ctl *ctl)
{
	struct p_order_create request = {0};
	struct p_order_answer answer;
	CLEAN_BUF struct buf b = {0};

	int r = fill_request(ctl, &request);
	if (r == 0)
		r = ctl_call(ctl, P_M_order_create, &request, &answer);
	P_FREE(order_create, &request);
	if (r != 0)
		return r;
	if (!ctl_flag(ctl, "detach")) {
		struct p_order order = answer.agent_work_order;
		answer.agent_work_order = (struct p_order){0};
		P_FREE(order_answer, &answer);
		return watch(ctl, &order);
	}
	if (ctl_json_done(ctl, &p_type_order_answer, &answer))
		return 0;
	buf_printf(&b, "%s\n", answer.agent_work_order.agent_work_order_id);
	P_FREE(order_answer, &answer);
	ctl_out(&b);
	return 0;
}
