/* awoctl top: an overview of the orders that run, repainted while somebody looks. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "awoctl/ctl.h"
#include "awoctl/fields.h"
#include "awoctl/follow.h"
#include "awoctl/logline.h"
#include "awoctl/table.h"
#include "common/clean.h"
#include "common/clock.h"

#define REFRESH_MS 2000
#define LIST_LIMIT 100
#define ACTIVITY_MAX 300

/* What an order was last seen doing. */
struct activity {
	char id[16];
	int64_t when;
	char *text;
};

struct top {
	struct ctl *ctl;
	struct activity *seen;
	size_t nseen;
	bool watching;		/* the stream of events keeps activity up to date */
};

static struct activity *
find(struct top *top, const char *id)
{
	for (size_t i = 0; i < top->nseen; i++)
		if (strcmp(top->seen[i].id, id) == 0)
			return &top->seen[i];
	return NULL;
}

static void
remember(struct top *top, const char *id, const json_t *line)
{
	CLEAN_BUF struct buf summary = {0}, cut = {0};
	struct activity *a = find(top, id);
	int64_t when;

	if (!a) {
		top->seen = xrealloc(top->seen, top->nseen + 1, sizeof(*top->seen));
		a = &top->seen[top->nseen++];
		*a = (struct activity){.when = 0};
		snprintf(a->id, sizeof(a->id), "%s", id);
	}
	if (!clock_parse(logline_str(line, "timestamp"), &when))
		when = clock_wall_us();
	logline_summary(&summary, line);
	term_add_cut(&cut, summary.p ? summary.p : "", ACTIVITY_MAX);
	free(a->text);
	a->text = buf_take(&cut);
	a->when = when;
}

/* The last line of an order's log, for orders that no event has told of yet. */
static void
ask_activity(struct top *top, const char *id)
{
	struct p_order_logs request = {0};
	struct p_order_logs_answer answer;
	struct awo_err err;

	P_SETS(order_logs, &request, agent_work_order_id, id);
	P_SET(order_logs, &request, limit, 1);
	P_SET(order_logs, &request, tail, true);
	int r = ctl_try(top->ctl, P_M_order_logs, &request, &answer, &err);
	P_FREE(order_logs, &request);
	/* an order that has just gone has no activity; that is no reason to stop */
	if (r < 0)
		return;
	const json_t *line = json_array_get(answer.log_entries, 0);
	if (json_is_object(line))
		remember(top, id, line);
	P_FREE(order_logs_answer, &answer);
}

/* Forgets orders that are not listed any more. */
static void
prune(struct top *top, const struct p_order_list_answer *lists, size_t nlists)
{
	for (size_t i = 0; i < top->nseen;) {
		bool listed = false;
		for (size_t l = 0; l < nlists; l++)
			for (size_t o = 0; o < lists[l].agent_work_orders.n; o++)
				listed |= strcmp(lists[l].agent_work_orders.v[o].agent_work_order_id, top->seen[i].id) == 0;
		if (listed) {
			i++;
			continue;
		}
		free(top->seen[i].text);
		top->seen[i] = top->seen[--top->nseen];
	}
}

static void
add_row(struct top *top, struct table *t, const struct p_order *o, int64_t now)
{
	char text[TERM_TEXT_MAX];
	const struct activity *a = find(top, o->agent_work_order_id);

	if (!a) {
		ask_activity(top, o->agent_work_order_id);
		a = find(top, o->agent_work_order_id);
	}
	table_cell(t, INK_NONE, o->agent_work_order_id);
	table_cell(t, fields_status_ink(o->status), P_ENUM_NAME(order_status, o->status));
	table_cellf(t, INK_NONE, "%s %lld/%lld", o->current_step ? o->current_step : "-", (long long)o->step_number,
	    (long long)o->total_steps);
	table_cell(t, INK_NONE, P_HAS(order, o, execution_started_at)
	    ? term_duration((double)(now - o->execution_started_at) / 1e6, text) : "-");
	table_cell(t, INK_NONE, term_count(o->usage.input_tokens + o->usage.output_tokens, text));
	table_cell(t, INK_NONE, P_HAS(usage, &o->usage, cost_usd) ? term_cost(o->usage.cost_usd, text) : "-");
	table_cell(t, INK_NONE, a ? term_ago(a->when, now, text) : "-");
	table_cell(t, INK_DIM, a ? a->text : "");
}

/* One picture of what runs. Returns -1 with *err. */
static int
draw(struct top *top, struct buf *b, struct awo_err *err)
{
	static const enum p_order_status states[] = {order_status_running, order_status_waiting, order_status_paused};
	static const struct table_column columns[] = {{"ID", false, 0, 0}, {"STATUS", false, 0, 1}, {"STEP", false, 0, 0},
	    {"ELAPSED", true, 0, 2}, {"TOKENS", true, 0, 4}, {"COST", true, 0, 3}, {"LAST", true, 0, 5},
	    {"ACTIVITY", false, 16, 0}};
	enum { NSTATES = sizeof(states) / sizeof(states[0]) };
	struct p_order_list_answer lists[NSTATES];
	struct p_queue_answer queue;
	struct term wide = top->ctl->out;
	size_t n = 0, orders = 0;
	int r = 0;

	for (; n < NSTATES && r == 0; n += r == 0) {
		struct p_order_list request = {0};
		P_SET(order_list, &request, status, states[n]);
		P_SET(order_list, &request, limit, LIST_LIMIT);
		if (ctl_flag(top->ctl, "all"))
			P_SET(order_list, &request, all, true);
		r = ctl_try(top->ctl, P_M_order_list, &request, &lists[n], err);
	}
	if (r == 0)
		r = ctl_try(top->ctl, P_M_queue_get, NULL, &queue, err);
	if (r == 0) {
		struct table *t = table_new(columns, sizeof(columns) / sizeof(columns[0]));
		char text[TERM_TEXT_MAX];
		int64_t now = clock_wall_us();
		for (size_t l = 0; l < n; l++)
			for (size_t o = 0; o < lists[l].agent_work_orders.n; o++, orders++)
				add_row(top, t, &lists[l].agent_work_orders.v[o], now);
		buf_printf(b, "%s  %lld of %lld slots in use, %lld pending\n", term_clock(now, text),
		    (long long)queue.running, (long long)queue.max_concurrent, (long long)queue.pending);
		if (orders > 0)
			table_print(t, &wide, b);
		else
			buf_adds(b, "nothing runs\n");
		table_free(t);
		prune(top, lists, n);
		P_FREE(queue_answer, &queue);
	}
	while (n > 0)
		P_FREE(order_list_answer, &lists[--n]);
	return r;
}

static void
watch_events(struct top *top)
{
	struct p_events_watch request = {0};
	struct p_stream_answer answer;
	struct awo_err err;

	/* without the stream, activity is asked for with each picture */
	top->watching = ctl_try(top->ctl, P_M_events_watch, &request, &answer, &err) == 0;
	if (top->watching)
		P_FREE(stream_answer, &answer);
}

/* Takes events in until the next picture is due. */
static void
listen_ms(struct top *top, int ms)
{
	int64_t until = clock_mono_us() + ms * (int64_t)1000;

	while (clock_mono_us() < until && !follow_interrupted() && !follow_resized()) {
		struct client *client = top->ctl->client;
		const char *method;
		struct p_slice param;
		struct p_event event;
		int r = client ? client_next(client, &method, &param, 0, NULL) : 0;
		if (r <= 0) {
			struct pollfd p = {.fd = r == 0 && client ? client_fd(client) : -1, .events = POLLIN};
			poll(&p, 1, 250);
		} else if (strcmp(method, "event") == 0 && p_decode(&p_type_event, &event, param, NULL) == 0) {
			CLEAN_JSON json_t *line = logline_parse(event.line);
			const char *id = line ? logline_str(line, "agent_work_order_id") : "";
			if (find(top, id))
				remember(top, id, line);
			P_FREE(event, &event);
		} else if (strcmp(method, "stream_overflow") == 0)
			watch_events(top);
	}
}

static void
forget_activity(struct top *top)
{
	for (size_t i = 0; i < top->nseen; i++)
		free(top->seen[i].text);
	top->nseen = 0;
}

static int
once(struct top *top)
{
	struct p_order_list_answer answer;
	struct awo_err err = {0};
	CLEAN_BUF struct buf b = {0};

	if (top->ctl->line->json) {
		struct p_order_list request = {0};
		P_SET(order_list, &request, status, order_status_running);
		if (ctl_flag(top->ctl, "all"))
			P_SET(order_list, &request, all, true);
		int r = ctl_call(top->ctl, P_M_order_list, &request, &answer);
		if (r == 0)
			(void)ctl_json_done(top->ctl, &p_type_order_list_answer, &answer);
		return r;
	}
	if (draw(top, &b, &err) < 0)
		return ctl_fail(top->ctl, &err);
	ctl_out(&b);
	return 0;
}

static int
repaint(struct top *top)
{
	struct awo_err err = {0};
	bool lost = false;

	if (ctl_connect(top->ctl, &err) < 0)
		return ctl_fail(top->ctl, &err);
	follow_catch_signals();
	watch_events(top);
	while (!follow_interrupted()) {
		CLEAN_BUF struct buf b = {0};
		term_resize(&top->ctl->out, STDOUT_FILENO);
		buf_adds(&b, "\033[H\033[2J");
		if (!top->watching)
			forget_activity(top);
		if (lost && ctl_reconnect(top->ctl, &err) == 0) {
			lost = false;
			watch_events(top);
		}
		if (lost || draw(top, &b, &err) < 0) {
			lost = true;
			term_escapes(&b, err.msg, TERM_LINE);
			buf_addc(&b, '\n');
		}
		ctl_out(&b);
		listen_ms(top, REFRESH_MS);
	}
	return CTL_EXIT_INTERRUPTED;
}

int
ctl_top(struct ctl *ctl)
{
	struct top top = {.ctl = ctl};

	int r = ctl->out.tty && !ctl->line->json ? repaint(&top) : once(&top);
	forget_activity(&top);
	free(top.seen);
	/* leaving the picture is the normal end */
	return r == CTL_EXIT_INTERRUPTED ? 0 : r;
}
