/* Commands about the service as a whole. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "awoctl/ctl.h"
#include "awoctl/fields.h"
#include "awoctl/table.h"
#include "common/clean.h"
#include "common/clock.h"
#include "common/text.h"

int
ctl_queue(struct ctl *ctl)
{
	static const struct table_column columns[] = {{"#", true, 0, 0}, {"ID", false, 0, 0}, {"PRIORITY", true, 0, 2},
	    {"WAITS FOR", false, 0, 0}, {"OWNER", false, 8, 3}, {"SINCE", true, 0, 1}, {"REPOSITORY", false, 16, 4}};
	struct p_queue_answer answer;
	CLEAN_BUF struct buf b = {0};
	int64_t now = clock_wall_us();
	char text[TERM_TEXT_MAX];

	int r = ctl_call(ctl, P_M_queue_get, NULL, &answer);
	if (r != 0 || ctl_json_done(ctl, &p_type_queue_answer, &answer))
		return r;
	buf_printf(&b, "%lld of %lld slots in use, %lld pending\n", (long long)answer.running,
	    (long long)answer.max_concurrent, (long long)answer.pending);
	struct table *t = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	for (size_t i = 0; i < answer.entries.n; i++) {
		const struct p_queue_entry *e = &answer.entries.v[i];
		table_cellf(t, INK_NONE, "%lld", (long long)e->queue_position);
		table_cell(t, INK_NONE, e->agent_work_order_id);
		table_cellf(t, INK_NONE, "%lld", (long long)e->priority);
		table_cellf(t, INK_NONE, "%s%s%s", e->reason, P_HAS(queue_entry, e, retry_at) ? " " : "",
		    P_HAS(queue_entry, e, retry_at) ? term_ago(e->retry_at, now, text) : "");
		table_cell(t, INK_NONE, e->owner);
		table_cell(t, INK_NONE, term_ago(e->created_at, now, text));
		table_cell(t, INK_NONE, e->repository_url);
	}
	if (answer.entries.n > 0)
		table_print(t, &ctl->out, &b);
	table_free(t);
	P_FREE(queue_answer, &answer);
	ctl_out(&b);
	return 0;
}

int
ctl_health(struct ctl *ctl)
{
	struct p_health answer;
	CLEAN_BUF struct buf b = {0};

	int r = ctl_call(ctl, P_M_system_health, NULL, &answer);
	if (r != 0 || ctl_json_done(ctl, &p_type_health, &answer))
		return r;
	term_ink(&b, &ctl->out, strcmp(answer.status, "healthy") == 0 ? INK_GREEN : INK_YELLOW,
	    strcmp(answer.status, "healthy") == 0 ? "healthy" : "degraded");
	buf_addc(&b, '\n');
	for (size_t i = 0; i < answer.problems.n; i++) {
		buf_adds(&b, "  ");
		term_escapes(&b, answer.problems.v[i], TERM_LINE);
		buf_addc(&b, '\n');
	}
	fields_show(&b, &ctl->out, &p_type_health, &answer, (const char *const[]){"status", "problems", NULL});
	P_FREE(health, &answer);
	ctl_out(&b);
	return 0;
}

int
ctl_info(struct ctl *ctl)
{
	struct p_info answer;
	CLEAN_BUF struct buf b = {0};

	int r = ctl_call(ctl, P_M_system_info, NULL, &answer);
	if (r != 0 || ctl_json_done(ctl, &p_type_info, &answer))
		return r;
	fields_show(&b, &ctl->out, &p_type_info, &answer, NULL);
	P_FREE(info, &answer);
	ctl_out(&b);
	return 0;
}

static void
add_metric(struct buf *b, const char *name, const char *label, const json_t *value)
{
	CLEAN_FREE char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(12));

	term_escapes(b, name, TERM_LINE);
	if (label) {
		buf_addc(b, '{');
		term_escapes(b, label, TERM_LINE);
		buf_addc(b, '}');
	}
	buf_addc(b, ' ');
	term_escapes(b, text, TERM_LINE);
	buf_addc(b, '\n');
}

int
ctl_metrics(struct ctl *ctl)
{
	struct p_metrics_answer answer;
	CLEAN_BUF struct buf b = {0};
	const char *name, *label;
	json_t *value, *inner;

	int r = ctl_call(ctl, P_M_system_metrics, NULL, &answer);
	if (r != 0 || ctl_json_done(ctl, &p_type_metrics_answer, &answer))
		return r;
	json_object_foreach(answer.metrics, name, value) {
		if (!json_is_object(value))
			add_metric(&b, name, NULL, value);
		else
			json_object_foreach(value, label, inner)
				add_metric(&b, name, label, inner);
	}
	P_FREE(metrics_answer, &answer);
	ctl_out(&b);
	return 0;
}

static int
maintain(struct ctl *ctl, enum p_method_id method)
{
	struct p_cleanup request = {0};
	struct p_cleanup_answer answer;
	CLEAN_BUF struct buf b = {0};
	bool dry = ctl_flag(ctl, "dry-run");
	char text[TERM_TEXT_MAX];

	if (dry)
		P_SET(cleanup, &request, dry_run, true);
	int r = ctl_call(ctl, method, &request, &answer);
	if (r != 0)
		return r;
	int status = answer.errors.n > 0 ? CTL_EXIT_FAILED : 0;
	if (ctl_json_done(ctl, &p_type_cleanup_answer, &answer))
		return status;
	for (size_t i = 0; i < answer.details.n && !ctl->line->quiet; i++) {
		term_escapes(&b, answer.details.v[i], TERM_LINE);
		buf_addc(&b, '\n');
	}
	buf_printf(&b, "%lld %s, %lld kept, %s %s\n", (long long)answer.removed, dry ? "would be removed" : "removed",
	    (long long)answer.kept, text_bytes((unsigned long long)answer.bytes_freed, text, sizeof(text)),
	    dry ? "would be freed" : "freed");
	for (size_t i = 0; i < answer.errors.n; i++)
		ctl_note(ctl, "%s", answer.errors.v[i]);
	P_FREE(cleanup_answer, &answer);
	ctl_out(&b);
	return status;
}

int
ctl_cleanup(struct ctl *ctl)
{
	return maintain(ctl, P_M_system_cleanup);
}

int
ctl_reconcile(struct ctl *ctl)
{
	return maintain(ctl, P_M_system_reconcile);
}

int
ctl_backup(struct ctl *ctl)
{
	struct p_backup request = {0};
	struct p_backup_answer answer;
	CLEAN_BUF struct buf b = {0};
	char cwd[PATH_MAX], text[TERM_TEXT_MAX];
	const char *file = ctl->line->args[0];

	if (file[0] != '/' && !getcwd(cwd, sizeof(cwd)))
		return ctl_usage(ctl, "the current directory is gone; give an absolute path");
	CLEAN_FREE char *path = file[0] == '/' ? xstrdup(file) : xasprintf("%s/%s", cwd, file);
	P_SETS(backup, &request, path, path);
	int r = ctl_call(ctl, P_M_system_backup, &request, &answer);
	P_FREE(backup, &request);
	if (r != 0 || ctl_json_done(ctl, &p_type_backup_answer, &answer))
		return r;
	if (!ctl->line->quiet) {
		term_escapes(&b, answer.path, TERM_LINE);
		buf_printf(&b, ": %s\n", text_bytes((unsigned long long)answer.size, text, sizeof(text)));
	}
	P_FREE(backup_answer, &answer);
	ctl_out(&b);
	return 0;
}
