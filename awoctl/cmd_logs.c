/* awoctl logs: reads an order's log, or follows it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "awoctl/ctl.h"
#include "awoctl/follow.h"
#include "awoctl/logline.h"
#include "common/clean.h"

#define PAGE 1000

struct filter {
	char id[65];
	int level;
	const char *step;
	int64_t since, limit;
};

static int
fill_filter(struct ctl *ctl, struct filter *f)
{
	const char *level = ctl_opt(ctl, "level"), *since = ctl_opt(ctl, "since"), *limit = ctl_opt(ctl, "limit");
	int r = ctl_order_id(ctl, ctl->line->args[0], f->id);

	if (r == 0 && level)
		r = ctl_enum(ctl, "--level", &p_enum_log_level, strcmp(level, "warn") == 0 ? "warning" : level, &f->level);
	if (r == 0 && since)
		r = ctl_since(ctl, "--since", since, &f->since);
	if (r == 0 && limit)
		r = ctl_int(ctl, "--limit", limit, 1, INT32_MAX, &f->limit);
	f->step = ctl_opt(ctl, "step");
	return r;
}

static void
print_line(const struct ctl *ctl, const json_t *line)
{
	CLEAN_BUF struct buf b = {0};

	if (ctl->line->json) {
		ctl_out_line(line);
		return;
	}
	logline_show(&b, &ctl->out, line, LOGLINE_WHOLE);
	ctl_out(&b);
}

/* One page of the log. *after moves on; returns the exit status. */
static int
read_page(struct ctl *ctl, const struct filter *f, int64_t *after, int64_t skip, int64_t limit, bool print,
    int64_t *filtered, bool *more)
{
	struct p_order_logs request = {0};
	struct p_order_logs_answer answer;
	const json_t *line;
	size_t i;

	P_SETS(order_logs, &request, agent_work_order_id, f->id);
	P_SET(order_logs, &request, limit, limit);
	if (*after)
		P_SET(order_logs, &request, after_seq, *after);
	if (skip)
		P_SET(order_logs, &request, offset, skip);
	if (f->level)
		P_SET(order_logs, &request, level, (enum p_log_level)f->level);
	if (f->step)
		P_SETS(order_logs, &request, step, f->step);
	if (f->since)
		P_SET(order_logs, &request, since, f->since);
	int r = ctl_call(ctl, P_M_order_logs, &request, &answer);
	P_FREE(order_logs, &request);
	if (r != 0)
		return r;
	json_array_foreach(answer.log_entries, i, line)
		if (print && json_is_object(line))
			print_line(ctl, line);
	/* has_more without getting further would never end */
	*more = answer.has_more && answer.next_seq > *after;
	if (answer.next_seq > *after)
		*after = answer.next_seq;
	*filtered = answer.filtered_total;
	P_FREE(order_logs_answer, &answer);
	return 0;
}

/* What there is now: all, or the last lines. *after is where to go on. */
static int
read_all(struct ctl *ctl, const struct filter *f, int64_t *after)
{
	int64_t filtered = 0, nowhere = 0;
	bool more = true;
	int r;

	if (f->limit > 0) {
		/* one line to learn how many there are, so that a limit beyond one page works too */
		if ((r = read_page(ctl, f, &nowhere, 0, 1, false, &filtered, &more)) != 0)
			return r;
		int64_t skip = filtered > f->limit ? filtered - f->limit : 0;
		if ((r = read_page(ctl, f, after, skip, PAGE, true, &filtered, &more)) != 0 || !more)
			return r;
	}
	while (more)
		if ((r = read_page(ctl, f, after, 0, PAGE, true, &filtered, &more)) != 0)
			return r;
	return 0;
}

static void
on_line(void *arg, int64_t seq, const char *text)
{
	const struct ctl *ctl = arg;
	CLEAN_JSON json_t *line = logline_parse(text);

	/* a line that somebody broke is shown for what it is, but not as a line of the log */
	if (!line)
		line = json_pack("{s:s,s:s,s:s}", "level", "warning", "event", "unreadable_line", "text", text);
	if (!line)
		return;
	json_object_set_new(line, "seq", json_integer(seq));
	print_line(ctl, line);
}

int
ctl_logs(struct ctl *ctl)
{
	struct filter filter = {.level = 0};
	struct awo_err err = {0};
	int64_t after = 0;

	int r = fill_filter(ctl, &filter);
	if (r != 0)
		return r;
	if (!ctl_flag(ctl, "follow"))
		return read_all(ctl, &filter, &after);
	if (filter.limit > 0 && (r = read_all(ctl, &filter, &after)) != 0)
		return r;
	struct follow follow = {.ctl = ctl, .after = after, .level = filter.level, .step = filter.step,
	    .since = filter.since, .line = on_line, .arg = ctl};
	memcpy(follow.id, filter.id, sizeof(follow.id));
	follow_catch_signals();
	switch (follow_run(&follow, &err)) {
	case FOLLOW_ENDED:
		return 0;
	case FOLLOW_REMOVED:
		ctl_note(ctl, "%s was removed", follow.id);
		return 0;
	case FOLLOW_INTERRUPTED:
		return CTL_EXIT_INTERRUPTED;
	default:
		return ctl_fail(ctl, &err);
	}
}
