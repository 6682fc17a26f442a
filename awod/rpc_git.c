/* Methods that ask git about an order: progress and diff, computed by confined tasks in its clean
 * repository. */
#include <string.h>

#include "awod/rpc_git.h"
#include "awod/server_priv.h"
#include "common/clean.h"
#include "common/clock.h"

#define GIT_MS 30000
#define PATCH_MAX 3145728
#define ANSWER_ROOM (P_MESSAGE_MAX - 65536)

/* Whether there is a clean repository to ask. */
static bool
has_repository(const struct order_row *row)
{
	return row->worker_started && !row->workspace_removed && row->base_sha != NULL;
}

static const char *
head_of(const struct order_row *row)
{
	return row->head_sha != NULL ? row->head_sha : row->base_sha;
}

static void
ask_git(struct rpc_call *c, const char *verb, json_t *request, engine_task_done *done)
{
	const struct order_row *row = rpc_order(c);
	char cache[65];
	/* the clean repository shares the cache's objects */
	struct engine_task task = {.program = SUP_GIT,
	    .verb = verb,
	    .flags = SUP_CLEAN_RO | SUP_CACHE_RO,
	    .owner_uid = row->owner_uid,
	    .id = row->pub.agent_work_order_id,
	    .cache = cache,
	    .asked = true,
	    .asked_by = (uint32_t)rpc_caller(c)->uid,
	    .request = request,
	    .timeout_ms = GIT_MS};

	engine_cache_name(row->canonical_url, cache);
	json_object_set_new(request, "clean_dir", json_string(CLEAN_DIR));
	json_object_set_new(request, "base_sha", json_string(row->base_sha));
	json_object_set_new(request, "head", json_string(head_of(row)));
	engine_task(rpc_broker(c)->engine, &task, done, c);
}

/* ---- order.progress */

/* What the record knows: completed orders are completed; without a commit the phase is that of the
 * running step. */
static void
set_phase(struct p_git_progress *g, const struct p_order *o)
{
	if (o->status == order_status_completed)
		P_SET(git_progress, g, current_phase, order_phase_completed);
	else if (g->git_commit_count == 0 && P_HAS(order, o, current_phase))
		P_SET(git_progress, g, current_phase, o->current_phase);
}

static void
progress_of_record(struct rpc_call *c)
{
	const struct p_order *o = &rpc_order(c)->pub;
	struct p_git_progress g = {0};

	P_SETS(git_progress, &g, agent_work_order_id, o->agent_work_order_id);
	P_SETS(git_progress, &g, git_branch_name, o->git_branch_name);
	P_SET(git_progress, &g, git_commit_count, o->git_commit_count);
	P_SET(git_progress, &g, git_files_changed, o->git_files_changed);
	P_SET(git_progress, &g, git_lines_added, o->git_lines_added);
	P_SET(git_progress, &g, git_lines_removed, o->git_lines_removed);
	P_SETS(git_progress, &g, latest_commit_sha, rpc_order(c)->head_sha);
	P_SET(git_progress, &g, snapshot_timestamp, clock_wall_us());
	P_MARK(git_progress, &g, phase_history);
	if (P_HAS(order, o, current_phase))
		P_SET(git_progress, &g, current_phase, o->current_phase);
	set_phase(&g, o);
	rpc_answer(c, &g);
	P_FREE(git_progress, &g);
}

static void
progress_told(void *arg, const struct awo_err *err, json_t *answer)
{
	struct rpc_call *c = arg;
	const struct p_order *o = &rpc_order(c)->pub;
	struct awo_err wrong = {0};
	struct p_git_progress g;

	if (err != NULL && err->code != AWO_OK) {
		/* its repository is not made yet, or retention was faster */
		if (err->code == AWO_NOT_FOUND)
			progress_of_record(c);
		else
			rpc_fail(c, err);
		return;
	}
	json_object_set_new(answer, "agent_work_order_id", json_string(o->agent_work_order_id));
	if (p_from_json(&p_type_git_progress, &g, answer, false, &wrong) != 0) {
		wrong.code = AWO_INTERNAL;
		(void)awo_err_prefix(&wrong, "awo-git progress: ");
		rpc_fail(c, &wrong);
		return;
	}
	if (g.git_branch_name == NULL)
		P_SETS(git_progress, &g, git_branch_name, o->git_branch_name);
	set_phase(&g, o);
	rpc_answer(c, &g);
	P_FREE(git_progress, &g);
}

void
rpc_order_progress(struct rpc_call *c, const struct p_order_ref *request)
{
	(void)request;
	if (has_repository(rpc_order(c)))
		ask_git(c, "progress", json_object(), progress_told);
	else
		progress_of_record(c);
}

/* ---- order.diff */

static void
empty_diff(struct rpc_call *c)
{
	const struct order_row *row = rpc_order(c);
	struct p_order_diff_answer d = {0};

	P_SETS(order_diff_answer, &d, agent_work_order_id, row->pub.agent_work_order_id);
	P_SETS(order_diff_answer, &d, base_sha, row->base_sha);
	P_SETS(order_diff_answer, &d, head_sha, row->head_sha);
	P_MARK(order_diff_answer, &d, files);
	P_SET(order_diff_answer, &d, truncated, false);
	rpc_answer(c, &d);
	P_FREE(order_diff_answer, &d);
}

/* Makes the answer small enough for one message: the list of files goes before the patch. */
static void
fit(struct p_order_diff_answer *d)
{
	struct buf size CLEAN_BUF = {0};
	size_t keep = 0, n = d->files.n;

	p_encode_value(&size, &p_type_order_diff_answer, d);
	if (size.len <= ANSWER_ROOM)
		return;
	size.len = 0;
	size_t room = ANSWER_ROOM - (d->patch != NULL ? strlen(d->patch) : 0);
	while (keep < n) {
		p_encode_value(&size, &p_type_diff_file, &d->files.v[keep]);
		if (size.len > room)
			break;
		keep++;
	}
	for (size_t i = keep; i < n; i++)
		P_FREE(diff_file, &d->files.v[i]);
	d->files.n = keep;
	P_SET(order_diff_answer, d, truncated, true);
}

static void
diff_told(void *arg, const struct awo_err *err, json_t *answer)
{
	struct rpc_call *c = arg;
	const struct order_row *row = rpc_order(c);
	struct p_order_diff_answer d;
	struct awo_err wrong = {0};

	if (err != NULL && err->code != AWO_OK) {
		if (err->code == AWO_NOT_FOUND)
			empty_diff(c);
		else
			rpc_fail(c, err);
		return;
	}
	json_object_set_new(
	    answer, "agent_work_order_id", json_string(row->pub.agent_work_order_id));
	if (json_object_get(answer, "base_sha") == NULL)
		json_object_set_new(answer, "base_sha", json_string(row->base_sha));
	if (json_object_get(answer, "head_sha") == NULL)
		json_object_set_new(answer, "head_sha", json_string(head_of(row)));
	if (json_object_get(answer, "truncated") == NULL)
		json_object_set_new(answer, "truncated", json_false());
	if (p_from_json(&p_type_order_diff_answer, &d, answer, false, &wrong) != 0) {
		wrong.code = AWO_INTERNAL;
		(void)awo_err_prefix(&wrong, "awo-git diff: ");
		rpc_fail(c, &wrong);
		return;
	}
	fit(&d);
	rpc_answer(c, &d);
	P_FREE(order_diff_answer, &d);
}

/* A path in the repository, not a pattern and not out of it. */
static bool
is_inner_path(const char *path)
{
	if (*path == '/' || *path == '\0')
		return false;
	for (const char *part = path; part != NULL;) {
		size_t n = strcspn(part, "/");

		if (n == 2 && strncmp(part, "..", 2) == 0)
			return false;
		part = part[n] == '/' ? part + n + 1 : NULL;
	}
	return true;
}

void
rpc_order_diff(struct rpc_call *c, const struct p_order_diff *request)
{
	const struct order_row *row = rpc_order(c);
	enum p_diff_format format =
	    request->format != diff_format_none ? request->format : diff_format_patch;
	struct awo_err err = {0};
	json_t *q;

	if (request->path != NULL && !is_inner_path(request->path)) {
		(void)ERR(&err, INVALID_ARGUMENT, "path",
		    "must be a path in the repository, without a leading '/' and without '..'");
		rpc_fail(c, &err);
		return;
	}
	if (row->workspace_removed) {
		(void)ERR(&err, FAILED_PRECONDITION, "agent_work_order_id",
		    "the workspace of order %s has been removed%s%s", row->pub.agent_work_order_id,
		    row->pub.git_branch_name != NULL ? "; its work is on branch " : "",
		    row->pub.git_branch_name != NULL ? row->pub.git_branch_name : "");
		rpc_fail(c, &err);
		return;
	}
	if (!has_repository(row)) {
		empty_diff(c);
		return;
	}
	q = json_pack("{s:s, s:s?, s:i}", "format", P_ENUM_NAME(diff_format, format), "path",
	    request->path, "max_bytes", PATCH_MAX);
	ask_git(c, "diff", q, diff_told);
}
