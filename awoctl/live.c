/* The live view of one order. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "awoctl/live.h"
#include "awoctl/logline.h"
#include "common/clean.h"
#include "common/clock.h"

#define ACTIVITY_MAX 400 /* bytes; it is cut to the terminal's width anyway */

void
live_init(struct live *l, const struct term *term, bool quiet)
{
	*l = (struct live){.term = term, .quiet = quiet};
}

void
live_free(struct live *l)
{
	buf_free(&l->activity);
}

static void
add_usage(const json_t *usage, int64_t *tokens, double *cost)
{
	const json_t *in = json_object_get(usage, "input_tokens"), *out = json_object_get(usage, "output_tokens");
	const json_t *usd = json_object_get(usage, "cost_usd");

	*tokens = (json_is_integer(in) ? json_integer_value(in) : 0) + (json_is_integer(out) ? json_integer_value(out) : 0);
	*cost = json_is_number(usd) ? json_number_value(usd) : 0;
}

void
live_order(struct live *l, const struct p_order *order)
{
	const char *status = P_ENUM_NAME(order_status, order->status);

	snprintf(l->status, sizeof(l->status), "%s", status ? status : "?");
	snprintf(l->step, sizeof(l->step), "%s", order->current_step ? order->current_step : "");
	l->step_number = order->step_number;
	l->total_steps = order->total_steps;
	l->queue_position = order->queue_position;
	l->started_us = order->execution_started_at;
	l->activity_us = order->updated_at;
}

static int64_t
integer(const json_t *line, const char *key)
{
	const json_t *value = json_object_get(line, key);

	return json_is_integer(value) ? json_integer_value(value) : 0;
}

/* Keeps what the status lines show in step with what the line says. */
static void
count_line(struct live *l, const json_t *line)
{
	int64_t when, tokens;
	double cost;

	if (!clock_parse(logline_str(line, "timestamp"), &when))
		when = clock_wall_us();
	l->activity_us = when;
	switch (p_event_find(logline_str(line, "event"))) {
	case P_E_agent_work_order_started:
	case P_E_agent_work_order_resumed:
		snprintf(l->status, sizeof(l->status), "running");
		if (l->started_us == 0)
			l->started_us = when;
		break;
	case P_E_agent_work_order_paused:
		snprintf(l->status, sizeof(l->status), "paused");
		break;
	case P_E_agent_work_order_retried:
		snprintf(l->status, sizeof(l->status), "pending");
		break;
	case P_E_agent_work_order_completed:
		snprintf(l->status, sizeof(l->status), "completed");
		break;
	case P_E_agent_work_order_failed:
		snprintf(l->status, sizeof(l->status), "failed");
		break;
	case P_E_agent_work_order_cancelled:
		snprintf(l->status, sizeof(l->status), "cancelled");
		break;
	case P_E_step_started:
		snprintf(l->step, sizeof(l->step), "%s", logline_str(line, "step"));
		l->step_number = integer(line, "step_number");
		l->total_steps = integer(line, "total_steps");
		break;
	case P_E_step_completed:
		add_usage(json_object_get(line, "usage"), &tokens, &cost);
		/* the step's own sum replaces what was counted while it ran */
		l->tokens_done += tokens > 0 ? tokens : l->tokens_step;
		l->cost_done += cost > 0 ? cost : l->cost_step;
		l->tokens_step = 0;
		l->cost_step = 0;
		break;
	case P_E_agent_output:
		add_usage(line, &tokens, &cost);
		if (strcmp(logline_str(line, "kind"), "result") == 0) {
			l->tokens_step = tokens > 0 ? tokens : l->tokens_step;
			l->cost_step = cost > 0 ? cost : l->cost_step;
		} else {
			l->tokens_step += tokens;
			l->cost_step += cost;
		}
		break;
	default:
		break;
	}
}

void
live_line(struct live *l, const char *text)
{
	CLEAN_JSON json_t *line = logline_parse(text);
	CLEAN_BUF struct buf b = {0}, summary = {0};

	if (!line)
		return;
	count_line(l, line);
	if (l->quiet)
		return;
	logline_summary(&summary, line);
	l->activity.len = 0;
	term_add_cut(&l->activity, summary.p ? summary.p : "", ACTIVITY_MAX);
	if (!logline_notable(line))
		return;
	live_clear(l);
	logline_show(&b, l->term, line, LOGLINE_CUT);
	fwrite(b.p, 1, b.len, stderr);
}

void
live_say(struct live *l, const char *text)
{
	if (l->quiet)
		return;
	live_clear(l);
	CLEAN_BUF struct buf b = {0};
	term_escapes(&b, text, TERM_LINE);
	fprintf(stderr, "awoctl: %s\n", b.p ? b.p : "");
}

int
live_status(const struct live *l, int64_t now_us, struct buf *b)
{
	static const char *const frames[] = {"|", "/", "-", "\\"};
	CLEAN_BUF struct buf first = {0}, second = {0};
	size_t width = l->term->width > 1 ? (size_t)l->term->width - 1 : 79;
	char text[TERM_TEXT_MAX];
	int lines = 1;

	buf_printf(&first, "%s ", frames[l->frame % 4]);
	if (strcmp(l->status, "running") == 0 && l->step_number > 0) {
		buf_printf(&first, "step %lld/%lld ", (long long)l->step_number, (long long)l->total_steps);
		term_escapes(&first, l->step, TERM_LINE);
	} else {
		term_escapes(&first, l->status[0] ? l->status : "pending", TERM_LINE);
		if (l->queue_position > 0 && strcmp(l->status, "pending") == 0)
			buf_printf(&first, ", number %lld in the queue", (long long)l->queue_position);
	}
	if (l->started_us)
		buf_printf(&first, " | %s", term_duration((double)(now_us - l->started_us) / 1e6, text));
	if (l->tokens_done + l->tokens_step > 0)
		buf_printf(&first, " | %s tokens", term_count(l->tokens_done + l->tokens_step, text));
	if (l->cost_done + l->cost_step > 0)
		buf_printf(&first, " | %s", term_cost(l->cost_done + l->cost_step, text));
	term_add_cut(b, first.p, width);
	buf_addc(b, '\n');
	if (l->activity.len > 0) {
		buf_printf(&second, "  %s: %s", term_ago(l->activity_us, now_us, text), l->activity.p);
		term_add_cut(b, second.p, width);
		buf_addc(b, '\n');
		lines++;
	}
	return lines;
}

void
live_paint(struct live *l)
{
	CLEAN_BUF struct buf b = {0};

	if (l->quiet || !l->term->tty)
		return;
	live_clear(l);
	l->painted = live_status(l, clock_wall_us(), &b);
	l->frame++;
	fwrite(b.p, 1, b.len, stderr);
}

void
live_clear(struct live *l)
{
	for (; l->painted > 0; l->painted--)
		fputs("\033[1A\033[2K", stderr);
}
