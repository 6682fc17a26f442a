/* Commands about single orders and their results. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "awoctl/ctl.h"
#include "awoctl/fields.h"
#include "awoctl/table.h"
#include "common/clean.h"
#include "common/clock.h"
#include "common/text.h"

#define PROMPT_MAX 65536

/* Resolves nothing, only checks: ids may be shortened, which the daemon sorts out. */
#define ORDER_ID(ctl, buf)                                                                                             \
	do {                                                                                                           \
		int bad_id_ = ctl_order_id((ctl), (ctl)->line->args[0], (buf));                                        \
		if (bad_id_)                                                                                           \
			return bad_id_;                                                                                \
	} while (0)

static void
add_order_row(struct table *t, const struct p_order *o, int64_t now, bool owners)
{
	char text[TERM_TEXT_MAX];
	const char *request = o->user_request;
	CLEAN_FREE char *issue = !request || !*request
	    ? xasprintf("issue #%s", o->github_issue_number ? o->github_issue_number : "?") : NULL;
	int64_t end = P_HAS(order, o, execution_completed_at) ? o->execution_completed_at : now;

	table_cell(t, INK_NONE, o->agent_work_order_id);
	table_cell(t, fields_status_ink(o->status), P_ENUM_NAME(order_status, o->status));
	if (o->status == order_status_pending && P_HAS(order, o, queue_position))
		table_cellf(t, INK_NONE, "#%lld", (long long)o->queue_position);
	else
		table_cellf(t, INK_NONE, "%s %lld/%lld", o->current_step ? o->current_step : "-",
		    (long long)o->step_number, (long long)o->total_steps);
	table_cell(t, INK_NONE, P_HAS(order, o, execution_started_at)
	    ? term_duration((double)(end - o->execution_started_at) / 1e6, text) : "-");
	table_cell(t, INK_NONE, term_ago(o->created_at, now, text));
	if (owners)
		table_cell(t, INK_NONE, o->owner);
	table_cell(t, INK_NONE, o->repository_url);
	table_cell(t, INK_NONE, o->github_pull_request_url ? o->github_pull_request_url
	    : o->git_branch_name ? o->git_branch_name : "-");
	table_cell(t, INK_NONE, issue ? issue : request);
}

static const struct table_column order_columns[] = {{"ID", false, 0, 0}, {"STATUS", false, 0, 0}, {"STEP", false, 0, 3},
    {"TIME", true, 0, 4}, {"CREATED", true, 0, 5}, {"REPOSITORY", false, 12, 2}, {"RESULT", false, 12, 1},
    {"REQUEST", false, 12, 0}};
static const struct table_column order_columns_owner[] = {{"ID", false, 0, 0}, {"STATUS", false, 0, 0},
    {"STEP", false, 0, 3}, {"TIME", true, 0, 4}, {"CREATED", true, 0, 5}, {"OWNER", false, 0, 2},
    {"REPOSITORY", false, 12, 2}, {"RESULT", false, 12, 1}, {"REQUEST", false, 12, 0}};
#define NCOLUMNS(c) (sizeof(c) / sizeof((c)[0]))

static int
fill_list(struct ctl *ctl, struct p_order_list *request)
{
	const char *status = ctl_opt(ctl, "status"), *repository = ctl_opt(ctl, "repository");
	const char *search = ctl_opt(ctl, "search"), *owner = ctl_opt(ctl, "owner"), *since = ctl_opt(ctl, "since");
	const char *limit = ctl_opt(ctl, "limit");
	int r, value;
	int64_t n;

	if (status) {
		if ((r = ctl_enum(ctl, "--status", &p_enum_order_status, status, &value)) != 0)
			return r;
		P_SET(order_list, request, status, (enum p_order_status)value);
	}
	if (repository) {
		CLEAN_FREE char *url = NULL;
		if ((r = ctl_repository(ctl, repository, &url)) != 0)
			return r;
		P_SETS(order_list, request, repository_url, url);
	}
	if (since) {
		if ((r = ctl_since(ctl, "--since", since, &n)) != 0)
			return r;
		P_SET(order_list, request, since, n);
	}
	if (limit) {
		if ((r = ctl_int(ctl, "--limit", limit, 1, 500, &n)) != 0)
			return r;
		P_SET(order_list, request, limit, n);
	}
	if (search)
		P_SETS(order_list, request, q, search);
	if (owner)
		P_SETS(order_list, request, owner, owner);
	if (ctl_flag(ctl, "all"))
		P_SET(order_list, request, all, true);
	return 0;
}

int
ctl_ls(struct ctl *ctl)
{
	struct p_order_list request = {0};
	struct p_order_list_answer answer;
	CLEAN_BUF struct buf b = {0};
	bool owners = ctl_flag(ctl, "all") || ctl_opt(ctl, "owner");
	int64_t now = clock_wall_us();

	int r = fill_list(ctl, &request);
	if (r == 0)
		r = ctl_call(ctl, P_M_order_list, &request, &answer);
	P_FREE(order_list, &request);
	if (r != 0)
		return r;
	if (ctl_json_done(ctl, &p_type_order_list_answer, &answer))
		return 0;
	if (answer.agent_work_orders.n == 0)
		ctl_note(ctl, "no orders");
	else {
		struct table *t = owners ? table_new(order_columns_owner, NCOLUMNS(order_columns_owner))
					 : table_new(order_columns, NCOLUMNS(order_columns));
		for (size_t i = 0; i < answer.agent_work_orders.n; i++)
			add_order_row(t, &answer.agent_work_orders.v[i], now, owners);
		table_print(t, &ctl->out, &b);
		table_free(t);
		ctl_out(&b);
		if (answer.has_more)
			ctl_note(ctl, "%zu of %lld orders; --limit shows more", answer.agent_work_orders.n,
			    (long long)answer.total_count);
	}
	P_FREE(order_list_answer, &answer);
	return 0;
}

int
ctl_show(struct ctl *ctl)
{
	struct p_order_get request = {0};
	struct p_order_answer answer;
	CLEAN_BUF struct buf b = {0};
	char id[65];

	ORDER_ID(ctl, id);
	P_SETS(order_get, &request, agent_work_order_id, id);
	if (ctl_flag(ctl, "refresh"))
		P_SET(order_get, &request, refresh, true);
	int r = ctl_call(ctl, P_M_order_get, &request, &answer);
	P_FREE(order_get, &request);
	if (r != 0)
		return r;
	if (ctl_json_done(ctl, &p_type_order_answer, &answer))
		return 0;
	fields_show(&b, &ctl->out, &p_type_order, &answer.agent_work_order, NULL);
	if (answer.message)
		ctl_note(ctl, "%s", answer.message);
	P_FREE(order_answer, &answer);
	ctl_out(&b);
	return 0;
}

/* The request of most of these commands is the id alone. */
static int
call_ref(struct ctl *ctl, enum p_method_id method, void *answer)
{
	struct p_order_ref request = {0};
	char id[65];

	ORDER_ID(ctl, id);
	P_SETS(order_ref, &request, agent_work_order_id, id);
	int r = ctl_call(ctl, method, &request, answer);
	P_FREE(order_ref, &request);
	return r;
}

int
ctl_steps(struct ctl *ctl)
{
	static const struct table_column columns[] = {{"#", true, 0, 0}, {"STEP", false, 0, 0}, {"AGENT", false, 0, 3},
	    {"TRY", true, 0, 4}, {"RESULT", false, 0, 0}, {"TIME", true, 0, 1}, {"TOKENS", true, 0, 2},
	    {"COST", true, 0, 2}, {"OUTPUT", false, 16, 0}};
	struct p_step_list_answer answer;
	CLEAN_BUF struct buf b = {0};
	char text[TERM_TEXT_MAX];

	int r = call_ref(ctl, P_M_order_steps, &answer);
	if (r != 0)
		return r;
	if (ctl_json_done(ctl, &p_type_step_list_answer, &answer))
		return 0;
	if (answer.steps.n == 0)
		ctl_note(ctl, "no step has begun");
	struct table *t = table_new(columns, NCOLUMNS(columns));
	for (size_t i = 0; i < answer.steps.n; i++) {
		const struct p_step *s = &answer.steps.v[i];
		bool over = P_HAS(step, s, success);
		double seconds = P_HAS(step, s, duration_seconds) ? s->duration_seconds
		    : (double)(clock_wall_us() - s->timestamp) / 1e6;
		table_cellf(t, INK_NONE, "%lld", (long long)s->step_number);
		table_cell(t, INK_NONE, s->step);
		table_cell(t, INK_NONE, s->agent_name);
		table_cellf(t, INK_NONE, "%lld", (long long)s->attempt);
		table_cell(t, !over ? INK_CYAN : s->success ? INK_GREEN : INK_RED,
		    !over ? "running" : s->success ? "done" : "failed");
		table_cell(t, INK_NONE, term_duration(seconds, text));
		table_cell(t, INK_NONE, term_count(s->usage.input_tokens + s->usage.output_tokens, text));
		table_cell(t, INK_NONE, P_HAS(usage, &s->usage, cost_usd) ? term_cost(s->usage.cost_usd, text) : "-");
		table_cell(t, INK_NONE, s->error_message ? s->error_message : s->output ? s->output : "");
	}
	if (answer.steps.n > 0)
		table_print(t, &ctl->out, &b);
	table_free(t);
	P_FREE(step_list_answer, &answer);
	ctl_out(&b);
	return 0;
}

int
ctl_progress(struct ctl *ctl)
{
	struct p_git_progress answer;
	CLEAN_BUF struct buf b = {0};

	int r = call_ref(ctl, P_M_order_progress, &answer);
	if (r != 0)
		return r;
	if (ctl_json_done(ctl, &p_type_git_progress, &answer))
		return 0;
	fields_show(&b, &ctl->out, &p_type_git_progress, &answer, NULL);
	P_FREE(git_progress, &answer);
	ctl_out(&b);
	return 0;
}

static void
show_stat(struct ctl *ctl, const struct p_order_diff_answer *answer, struct buf *b)
{
	static const struct table_column columns[] = {{"FILE", false, 16, 0}, {"STATUS", false, 0, 1},
	    {"ADDED", true, 0, 0}, {"REMOVED", true, 0, 0}};
	struct table *t = table_new(columns, NCOLUMNS(columns));
	long long added = 0, removed = 0;

	for (size_t i = 0; i < answer->files.n; i++) {
		const struct p_diff_file *f = &answer->files.v[i];
		table_cell(t, INK_NONE, f->path);
		table_cell(t, INK_NONE, f->status);
		if (f->binary) {
			table_cell(t, INK_NONE, "binary");
			table_cell(t, INK_NONE, "");
		} else {
			table_cellf(t, f->lines_added ? INK_GREEN : INK_NONE, "+%lld", (long long)f->lines_added);
			table_cellf(t, f->lines_removed ? INK_RED : INK_NONE, "-%lld", (long long)f->lines_removed);
		}
		added += f->lines_added;
		removed += f->lines_removed;
	}
	if (answer->files.n > 0)
		table_print(t, &ctl->out, b);
	buf_printf(b, "%zu files changed, %lld lines added, %lld removed\n", answer->files.n, added, removed);
	table_free(t);
}

/* As it is for a file or a pipe; coloured and harmless for a terminal. */
static void
show_patch(struct ctl *ctl, const char *patch, struct buf *b)
{
	if (!ctl->out.tty) {
		buf_adds(b, patch);
		return;
	}
	for (const char *line = patch; *line;) {
		size_t len = strcspn(line, "\n");
		CLEAN_BUF struct buf safe = {0};
		enum ink ink = *line == '+' ? INK_GREEN : *line == '-' ? INK_RED : *line == '@' ? INK_CYAN
		    : strncmp(line, "diff ", 5) == 0 ? INK_BOLD : INK_NONE;
		term_escape(&safe, line, len, TERM_TEXT);
		term_ink(b, &ctl->out, ink, safe.p ? safe.p : "");
		buf_addc(b, '\n');
		line += len + (line[len] == '\n');
	}
}

int
ctl_diff(struct ctl *ctl)
{
	struct p_order_diff request = {0};
	struct p_order_diff_answer answer;
	CLEAN_BUF struct buf b = {0};
	bool stat = ctl_flag(ctl, "stat");
	char id[65];

	ORDER_ID(ctl, id);
	P_SETS(order_diff, &request, agent_work_order_id, id);
	P_SET(order_diff, &request, format, stat ? diff_format_stat : diff_format_patch);
	if (ctl->line->nargs > 1)
		P_SETS(order_diff, &request, path, ctl->line->args[1]);
	int r = ctl_call(ctl, P_M_order_diff, &request, &answer);
	P_FREE(order_diff, &request);
	if (r != 0)
		return r;
	if (ctl_json_done(ctl, &p_type_order_diff_answer, &answer))
		return 0;
	if (stat)
		show_stat(ctl, &answer, &b);
	else if (answer.patch)
		show_patch(ctl, answer.patch, &b);
	if (answer.truncated)
		ctl_note(ctl, "the patch is longer than what can be shown: it was cut. A path after the id narrows it");
	P_FREE(order_diff_answer, &answer);
	ctl_out(&b);
	return 0;
}

int
ctl_artifacts(struct ctl *ctl)
{
	static const struct table_column columns[] = {{"NAME", false, 16, 0}, {"SIZE", true, 0, 0},
	    {"MODIFIED", false, 0, 1}};
	struct p_artifact_list_answer answer;
	CLEAN_BUF struct buf b = {0};
	char text[TERM_TEXT_MAX];

	int r = call_ref(ctl, P_M_order_artifacts, &answer);
	if (r != 0)
		return r;
	if (ctl_json_done(ctl, &p_type_artifact_list_answer, &answer))
		return 0;
	if (answer.artifacts.n == 0)
		ctl_note(ctl, "no artifacts");
	struct table *t = table_new(columns, NCOLUMNS(columns));
	for (size_t i = 0; i < answer.artifacts.n; i++) {
		const struct p_artifact *a = &answer.artifacts.v[i];
		table_cell(t, INK_NONE, a->name);
		table_cell(t, INK_NONE, text_bytes((unsigned long long)a->size, text, sizeof(text)));
		table_cell(t, INK_NONE, term_time(a->modified_at, text));
	}
	if (answer.artifacts.n > 0)
		table_print(t, &ctl->out, &b);
	table_free(t);
	P_FREE(artifact_list_answer, &answer);
	ctl_out(&b);
	return 0;
}

int
ctl_artifact(struct ctl *ctl)
{
	struct p_artifact_get request = {0};
	struct p_artifact_answer answer;
	CLEAN_BUF struct buf all = {0};
	char id[65];
	bool more = true;
	int r = 0;

	ORDER_ID(ctl, id);
	P_SETS(artifact_get, &request, agent_work_order_id, id);
	P_SETS(artifact_get, &request, name, ctl->line->args[1]);
	while (more && (r = ctl_call(ctl, P_M_order_artifact, &request, &answer)) == 0) {
		/* a part that does not get further would be asked for again for ever */
		more = answer.has_more && answer.next_offset > request.offset;
		if (ctl->line->json) {
			buf_adds(&all, answer.content);
			if (!more) {
				CLEAN_JSON json_t *tree = json_pack("{s:s,s:I,s:s%}", "name", answer.name, "size",
				    (json_int_t)answer.size, "content", all.p ? all.p : "", all.len);
				ctl_out_json(ctl, tree);
			}
		} else {
			if (ctl->out.tty)
				term_escapes(&all, answer.content, TERM_TEXT);
			else
				buf_adds(&all, answer.content);
			ctl_out(&all);
		}
		P_SET(artifact_get, &request, offset, answer.next_offset);
		P_FREE(artifact_answer, &answer);
	}
	P_FREE(artifact_get, &request);
	return r;
}

int
ctl_prompt(struct ctl *ctl)
{
	struct p_order_prompt request = {0};
	struct p_order_prompt_answer answer;
	CLEAN_FREE char *text = NULL;
	CLEAN_BUF struct buf b = {0};
	char id[65];

	ORDER_ID(ctl, id);
	int r = ctl_words_or_stdin(ctl, ctl->line->args + 1, ctl->line->nargs - 1, PROMPT_MAX, &text);
	if (r != 0)
		return r;
	P_SETS(order_prompt, &request, agent_work_order_id, id);
	P_SETS(order_prompt, &request, prompt_text, text);
	r = ctl_call(ctl, P_M_order_prompt, &request, &answer);
	P_FREE(order_prompt, &request);
	if (r != 0)
		return r;
	if (ctl_json_done(ctl, &p_type_order_prompt_answer, &answer))
		return 0;
	if (!ctl->line->quiet) {
		buf_printf(&b, "%s: ", answer.agent_work_order_id);
		term_escapes(&b, answer.message, TERM_LINE);
		buf_addc(&b, '\n');
	}
	P_FREE(order_prompt_answer, &answer);
	ctl_out(&b);
	return 0;
}

/* Says what the order is now. Frees the answer. */
static int
say_order(struct ctl *ctl, struct p_order_answer *answer)
{
	CLEAN_BUF struct buf b = {0};

	if (ctl_json_done(ctl, &p_type_order_answer, answer))
		return 0;
	if (!ctl->line->quiet) {
		const struct p_order *o = &answer->agent_work_order;
		buf_printf(&b, "%s: ", o->agent_work_order_id);
		if (answer->message)
			term_escapes(&b, answer->message, TERM_LINE);
		else
			buf_adds(&b, P_ENUM_NAME(order_status, o->status));
		buf_addc(&b, '\n');
	}
	P_FREE(order_answer, answer);
	ctl_out(&b);
	return 0;
}

static int
change_order(struct ctl *ctl, enum p_method_id method)
{
	struct p_order_answer answer;
	int r = call_ref(ctl, method, &answer);

	return r ? r : say_order(ctl, &answer);
}

int
ctl_pause(struct ctl *ctl)
{
	return change_order(ctl, P_M_order_pause);
}

int
ctl_resume(struct ctl *ctl)
{
	return change_order(ctl, P_M_order_resume);
}

int
ctl_retry(struct ctl *ctl)
{
	return change_order(ctl, P_M_order_retry);
}

int
ctl_start(struct ctl *ctl)
{
	return change_order(ctl, P_M_order_start);
}

int
ctl_cancel(struct ctl *ctl)
{
	struct p_order_cancel request = {0};
	struct p_order_answer answer;
	char id[65];

	ORDER_ID(ctl, id);
	P_SETS(order_cancel, &request, agent_work_order_id, id);
	if (ctl_opt(ctl, "reason"))
		P_SETS(order_cancel, &request, reason, ctl_opt(ctl, "reason"));
	int r = ctl_call(ctl, P_M_order_cancel, &request, &answer);
	P_FREE(order_cancel, &request);
	return r ? r : say_order(ctl, &answer);
}

int
ctl_approve(struct ctl *ctl)
{
	struct p_order_approve request = {0};
	struct p_order_answer answer;
	char id[65];

	ORDER_ID(ctl, id);
	P_SETS(order_approve, &request, agent_work_order_id, id);
	if (ctl_opt(ctl, "comment"))
		P_SETS(order_approve, &request, comment, ctl_opt(ctl, "comment"));
	if (ctl_opt(ctl, "prompt"))
		P_SETS(order_approve, &request, prompt_text, ctl_opt(ctl, "prompt"));
	int r = ctl_call(ctl, P_M_order_approve, &request, &answer);
	P_FREE(order_approve, &request);
	return r ? r : say_order(ctl, &answer);
}

int
ctl_reject(struct ctl *ctl)
{
	struct p_order_reject request = {0};
	struct p_order_answer answer;
	char id[65];

	ORDER_ID(ctl, id);
	P_SETS(order_reject, &request, agent_work_order_id, id);
	if (ctl_opt(ctl, "comment"))
		P_SETS(order_reject, &request, comment, ctl_opt(ctl, "comment"));
	int r = ctl_call(ctl, P_M_order_reject, &request, &answer);
	P_FREE(order_reject, &request);
	return r ? r : say_order(ctl, &answer);
}

int
ctl_rm(struct ctl *ctl)
{
	struct p_order_delete_answer answer;
	struct p_order_ref request = {0};
	struct awo_err err = {0};
	CLEAN_BUF struct buf b = {0};
	char id[65];

	ORDER_ID(ctl, id);
	P_SETS(order_ref, &request, agent_work_order_id, id);
	int r = ctl_try(ctl, P_M_order_delete, &request, &answer, &err);
	P_FREE(order_ref, &request);
	if (r < 0) {
		r = ctl_fail(ctl, &err);
		if (err.code == AWO_FAILED_PRECONDITION && !ctl->line->json)
			ctl_note(ctl, "only an order that has ended can be removed; \"awoctl cancel %s\" ends it", id);
		return r;
	}
	if (ctl_json_done(ctl, &p_type_order_delete_answer, &answer))
		return 0;
	if (!ctl->line->quiet)
		buf_printf(&b, "%s: removed\n", answer.agent_work_order_id);
	P_FREE(order_delete_answer, &answer);
	ctl_out(&b);
	return 0;
}
