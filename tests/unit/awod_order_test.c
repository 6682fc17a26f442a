/* The life of an order: every transition, what it changes, what lines of a worker tell, and the
 * steps of a workflow. */
#include "cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "awod/order.h"
#include "common/buf.h"
#include "common/clean.h"
#include "common/clock.h"

#define NOW INT64_C(1700000000000000)

/* The specification's list, by hand; whatever is not here is refused. */
static const struct {
	enum p_order_status from;
	enum order_cause cause;
	enum p_order_status to;
} allowed[] = {
    {order_status_pending, ORDER_START, order_status_running},
    {order_status_pending, ORDER_FAIL, order_status_failed},
    {order_status_pending, ORDER_CANCEL, order_status_cancelled},
    {order_status_running, ORDER_COMPLETE, order_status_completed},
    {order_status_running, ORDER_FAIL, order_status_failed},
    {order_status_running, ORDER_CANCEL, order_status_cancelled},
    {order_status_running, ORDER_REQUEUE, order_status_pending},
    {order_status_running, ORDER_PAUSE, order_status_paused},
    {order_status_running, ORDER_WAIT, order_status_waiting},
    {order_status_paused, ORDER_WAKE, order_status_running},
    {order_status_paused, ORDER_CANCEL, order_status_cancelled},
    {order_status_waiting, ORDER_WAKE, order_status_running},
    {order_status_waiting, ORDER_CANCEL, order_status_cancelled},
    {order_status_failed, ORDER_RETRY, order_status_pending},
    {order_status_failed, ORDER_REOPEN, order_status_pending},
    {order_status_cancelled, ORDER_RETRY, order_status_pending},
    {order_status_completed, ORDER_REOPEN, order_status_pending},
};

static enum p_order_status
expected(enum p_order_status from, enum order_cause cause)
{
	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
		if (allowed[i].from == from && allowed[i].cause == cause)
			return allowed[i].to;
	return order_status_none;
}

static struct order_row
make_row(enum p_order_status status)
{
	struct order_row r = {.canonical_url = xstrdup("https://github.com/o/r")};
	struct p_order *o = &r.pub;

	P_SETS(order, o, agent_work_order_id, "wo-12345678");
	P_SETS(order, o, agent, "claude");
	P_SET(order, o, status, status);
	P_SET(order, o, attempt, 1);
	P_SET(order, o, created_at, NOW - 1000000);
	P_SET(order, o, updated_at, NOW - 1000000);
	p_strv_add(&o->selected_commands, "create-branch");
	p_strv_add(&o->selected_commands, "planning");
	p_strv_add(&o->selected_commands, "commit");
	P_MARK(order, o, selected_commands);
	/* at a gate, as it can be only between two steps */
	p_strv_add(&o->gates, "create-branch");
	P_MARK(order, o, gates);
	r.resume_step = 1;
	return r;
}

static void
test_matrix(void **state)
{
	(void)state;
	for (int from = 0; from <= order_status_cancelled; from++)
		for (int cause = 0; cause < ORDER_CAUSE__COUNT; cause++) {
			struct order_row r = make_row((enum p_order_status)from);
			enum p_order_status want =
			    expected((enum p_order_status)from, (enum order_cause)cause);
			json_t *before = p_to_json(&p_type_order, &r.pub), *after;
			struct awo_err err = {0};
			int rc;

			assert_int_equal(
			    order_next((enum p_order_status)from, (enum order_cause)cause), want);
			rc = order_apply(&r, (enum order_cause)cause, NOW, &err);
			if (want == order_status_none) {
				assert_int_equal(rc, -1);
				assert_int_equal(err.code, AWO_FAILED_PRECONDITION);
				if (from)
					assert_non_null(
					    strstr(err.msg, P_ENUM_NAME(order_status, from)));
				after = p_to_json(&p_type_order, &r.pub);
				assert_true(json_equal(before, after));
				json_decref(after);
			} else {
				assert_int_equal(rc, 0);
				assert_int_equal(r.pub.status, want);
				assert_int_equal(r.pub.updated_at, NOW);
				assert_int_equal(P_HAS(order, &r.pub, execution_completed_at),
				    order_is_terminal(want));
			}
			json_decref(before);
			order_row_free(&r);
		}
	assert_int_equal(order_next((enum p_order_status)99, ORDER_START), order_status_none);
	assert_int_equal(order_next(order_status_pending, (enum order_cause)99), order_status_none);
}

static void
test_gates(void **state)
{
	struct order_row r = make_row(order_status_running);
	struct p_strv gates = {0};
	struct awo_err err = {0};

	(void)state;
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(order_has_gate(&r, i), i == 1);
	/* where no gate stands, or an open one, an order does not wait, whatever its worker says */
	r.resume_step = 2;
	assert_int_equal(order_apply(&r, ORDER_WAIT, NOW, &err), -1);
	assert_int_equal(err.code, AWO_FAILED_PRECONDITION);
	r.resume_step = 0;
	assert_int_equal(order_apply(&r, ORDER_WAIT, NOW, &err), -1);
	r.resume_step = 1;
	assert_int_equal(order_apply(&r, ORDER_WAIT, NOW, &err), 0);
	assert_string_equal(r.pub.gate, "create-branch");
	r.gate_passed = 1;
	assert_int_equal(order_apply(&r, ORDER_WAKE, NOW, &err), 0);
	assert_null(r.pub.gate);
	assert_int_equal(order_apply(&r, ORDER_WAIT, NOW, &err), -1);

	p_strv_add(&gates, "planning");
	p_strv_add(&gates, "create-branch");
	assert_int_equal(order_check_gates(&gates, &r.pub.selected_commands, &err), 0);
	p_strv_add(&gates, "commit");
	assert_int_equal(order_check_gates(&gates, &r.pub.selected_commands, &err), -1);
	assert_non_null(strstr(err.msg, "last step"));
	p_strv_free(&gates);
	p_strv_add(&gates, "execute");
	assert_int_equal(order_check_gates(&gates, &r.pub.selected_commands, &err), -1);
	assert_non_null(strstr(err.msg, "\"execute\" is no step of this order"));
	p_strv_free(&gates);
	order_row_free(&r);
}

static void
test_slot_and_terminal(void **state)
{
	(void)state;
	for (int s = 0; s <= order_status_cancelled; s++) {
		assert_int_equal(order_has_slot((enum p_order_status)s), s == order_status_running);
		assert_int_equal(order_is_terminal((enum p_order_status)s),
		    s == order_status_completed || s == order_status_failed ||
			s == order_status_cancelled);
	}
}

static void
test_start_and_complete(void **state)
{
	struct order_row r = make_row(order_status_pending);
	struct p_order *o = &r.pub;

	(void)state;
	P_SET(order, o, retry_at, NOW - 5);
	P_SET(order, o, queue_position, 3);
	P_SETS(order, o, error_message, "overloaded");
	P_SET(order, o, error_category, error_category_transient);
	r.jump = true;
	assert_int_equal(order_apply(&r, ORDER_START, NOW, NULL), 0);
	assert_int_equal(o->execution_started_at, NOW);
	assert_false(P_HAS(order, o, retry_at));
	assert_false(P_HAS(order, o, queue_position));
	assert_false(P_HAS(order, o, error_message));
	assert_false(P_HAS(order, o, error_category));
	assert_false(r.jump);

	assert_int_equal(order_apply(&r, ORDER_PAUSE, NOW + 1, NULL), 0);
	r.wake = true;
	assert_int_equal(order_apply(&r, ORDER_WAKE, NOW + 2, NULL), 0);
	assert_false(r.wake);
	assert_int_equal(order_apply(&r, ORDER_COMPLETE, NOW + 3, NULL), 0);
	assert_int_equal(o->current_phase, order_phase_completed);
	assert_int_equal(o->execution_completed_at, NOW + 3);
	assert_int_equal(o->execution_started_at, NOW);

	/* a prompt opens it again, as the same attempt */
	r.elapsed_us = 77;
	assert_int_equal(order_apply(&r, ORDER_REOPEN, NOW + 4, NULL), 0);
	assert_int_equal(o->attempt, 1);
	assert_int_equal(r.elapsed_us, 0);
	assert_int_equal(o->current_phase, order_phase_implementing);
	assert_int_equal(order_apply(&r, ORDER_START, NOW + 5, NULL), 0);
	assert_int_equal(o->execution_started_at, NOW);
	order_row_free(&r);
}

static void
test_fail_requeue_retry(void **state)
{
	struct order_row r = make_row(order_status_running);
	struct p_order *o = &r.pub;
	struct awo_err err = {0};

	(void)state;
	P_SETS(order, o, error_message, "rate limit");
	P_SET(order, o, error_category, error_category_transient);
	P_SET(order, o, retry_at, NOW + 100);
	assert_int_equal(order_apply(&r, ORDER_REQUEUE, NOW, NULL), 0);
	assert_int_equal(o->attempt, 2);
	assert_int_equal(o->retry_at, NOW + 100);
	assert_string_equal(o->error_message, "rate limit");

	/* cancelled while it waits: not because of the rate limit */
	assert_int_equal(order_apply(&r, ORDER_CANCEL, NOW, NULL), 0);
	assert_int_equal(o->error_category, error_category_cancelled);
	assert_string_not_equal(o->error_message, "rate limit");
	assert_false(P_HAS(order, o, retry_at));

	r.cancel_requested = true;
	assert_int_equal(order_apply(&r, ORDER_RETRY, NOW, NULL), 0);
	assert_int_equal(o->attempt, 3);
	assert_false(r.cancel_requested);
	assert_false(P_HAS(order, o, error_category));

	/* a failure always says why */
	assert_int_equal(order_apply(&r, ORDER_FAIL, NOW, NULL), 0);
	assert_int_equal(o->error_category, error_category_internal);
	assert_true(strlen(o->error_message) > 0);

	o->attempt = 1000000;
	assert_int_equal(order_apply(&r, ORDER_RETRY, NOW, &err), -1);
	assert_int_equal(err.code, AWO_FAILED_PRECONDITION);
	assert_int_equal(o->status, order_status_failed);
	order_row_free(&r);
}

static void
test_dup(void **state)
{
	struct order_row r = make_row(order_status_running);
	struct order_row *d;

	(void)state;
	r.plan_file = xstrdup("PRPs/a.md");
	r.owner_uid = 7;
	d = order_row_dup(&r);
	order_row_free(&r);
	assert_string_equal(d->plan_file, "PRPs/a.md");
	assert_string_equal(d->canonical_url, "https://github.com/o/r");
	assert_string_equal(d->pub.selected_commands.v[1], "planning");
	assert_int_equal(d->owner_uid, 7);
	order_row_free(d);
	order_row_free(NULL);
	free(d);
}

/* ---- lines */

static bool
take(struct order_row *r, enum p_event_id event, const char *text, struct p_step *step)
{
	json_t *line CLEAN_JSON = json_loads(text, 0, NULL);
	bool changed = true;

	assert_non_null(line);
	memset(step, 0xa5, sizeof(*step)); /* the caller gives memory of any content */
	order_take_line(r, event, line, NOW, step, &changed);
	return changed;
}

static void
test_lines_of_git(void **state)
{
	struct order_row r = make_row(order_status_running);
	struct p_order *o = &r.pub;
	struct p_step s;

	(void)state;
	r.workspace_removed = true;
	assert_false(
	    take(&r, P_E_sandbox_created, "{\"layers\":[\"seccomp\",\"no-landlock\",7]}", &s));
	assert_int_equal(o->sandbox_layers.n, 2);
	assert_string_equal(o->sandbox_layers.v[1], "no-landlock");
	assert_true(r.worker_started);
	take(&r, P_E_workspace_created,
	    "{\"base_branch\":\"main\",\"base_sha\":\"0123456789012345678901234567890123456789\"}",
	    &s);
	assert_string_equal(o->base_branch, "main");
	assert_string_equal(r.base_sha, "0123456789012345678901234567890123456789");
	assert_false(r.workspace_removed);
	take(&r, P_E_workflow_started, "{\"total_steps\":3,\"steps\":[]}", &s);
	assert_int_equal(o->total_steps, 3);
	take(&r, P_E_workflow_phase_started, "{\"phase\":\"planning\"}", &s);
	assert_int_equal(o->current_phase, order_phase_planning);
	take(&r, P_E_git_branch_created, "{\"git_branch_name\":\"feat/x-wo-12345678\"}", &s);
	assert_string_equal(o->git_branch_name, "feat/x-wo-12345678");
	take(&r, P_E_git_commit_created,
	    "{\"sha\":\"abcdef6789012345678901234567890123456789\",\"git_commit_count\":2,\"git_"
	    "files_changed\":3,"
	    "\"git_lines_added\":40,\"git_lines_removed\":5}",
	    &s);
	assert_string_equal(r.head_sha, "abcdef6789012345678901234567890123456789");
	assert_int_equal(o->git_commit_count, 2);
	assert_int_equal(o->git_lines_removed, 5);
	take(&r, P_E_git_push_completed,
	    "{\"git_branch_name\":\"feat/"
	    "x-2\",\"sha\":\"abcdef6789012345678901234567890123456789\"}",
	    &s);
	assert_string_equal(o->git_branch_name, "feat/x-2");
	assert_string_equal(r.pushed_sha, "abcdef6789012345678901234567890123456789");
	take(&r, P_E_github_pull_request_created,
	    "{\"github_pull_request_number\":42,\"github_pull_request_url\":\"https://github.com/o/"
	    "r/pull/42\"}",
	    &s);
	assert_string_equal(o->github_pull_request_number, "42");
	assert_string_equal(o->github_pull_request_url, "https://github.com/o/r/pull/42");
	assert_int_equal(o->github_pull_request_state, pull_request_state_open);
	take(&r, P_E_workflow_completed, "{\"git_commit_count\":9}", &s);
	assert_int_equal(o->git_commit_count, 9);
	take(&r, P_E_workflow_failed, "{\"error_message\":\"no\",\"error_category\":\"git\"}", &s);
	assert_string_equal(o->error_message, "no");
	assert_int_equal(o->error_category, error_category_git);
	take(&r, P_E_workflow_failed, "{}", &s);
	assert_int_equal(o->error_category, error_category_internal);
	order_row_free(&r);
}

static void
test_lines_of_steps(void **state)
{
	struct order_row r = make_row(order_status_running);
	struct p_order *o = &r.pub;
	struct p_step s;
	int64_t begin;

	(void)state;
	clock_parse("2023-11-14T22:13:19.500000Z", &begin);
	assert_true(take(&r, P_E_step_started,
	    "{\"timestamp\":\"2023-11-14T22:13:19.500000Z\",\"step\":\"planning\",\"agent_name\":"
	    "\"Planner\","
	    "\"step_number\":2,\"total_steps\":3,\"success\":true}",
	    &s));
	assert_string_equal(o->current_step, "planning");
	assert_int_equal(o->step_number, 2);
	assert_int_equal(o->total_steps, 3);
	assert_int_equal(r.resume_step, 1);
	assert_false(P_HAS(step, &s, success));
	assert_int_equal(s.timestamp, begin);
	assert_int_equal(s.attempt, 1);
	P_FREE(step, &s);

	/* the row that it completes has the same key */
	assert_true(take(&r, P_E_step_completed,
	    "{\"timestamp\":\"2023-11-14T22:13:20.000000Z\",\"step\":\"planning\",\"agent_name\":"
	    "\"Planner\","
	    "\"step_number\":2,\"total_steps\":3,\"success\":true,\"duration_seconds\":0.5,"
	    "\"session_id\":\"s-1\","
	    "\"plan_file\":\"PRPs/p.md\",\"artifacts\":[\"prompts/"
	    "02-planning.txt\"],\"usage\":{\"input_tokens\":10,"
	    "\"cost_usd\":0.25,\"memory_peak_bytes\":500,\"num_turns\":\"x\"}}",
	    &s));
	assert_int_equal(s.timestamp, begin);
	assert_true(s.success);
	assert_int_equal(s.usage.input_tokens, 10);
	assert_false(P_HAS(usage, &s.usage, num_turns));
	assert_string_equal(s.artifacts.v[0], "prompts/02-planning.txt");
	P_FREE(step, &s);
	assert_string_equal(o->agent_session_id, "s-1");
	assert_string_equal(r.plan_file, "PRPs/p.md");
	assert_int_equal(r.resume_step, 2);

	assert_true(take(&r, P_E_step_completed,
	    "{\"step\":\"commit\",\"step_number\":3,\"success\":false,\"error_message\":\"e\","
	    "\"error_category\":\"git\","
	    "\"usage\":{\"input_tokens\":5,\"cost_usd\":0.5,\"memory_peak_bytes\":300,\"wall_"
	    "seconds\":2}}",
	    &s));
	assert_string_equal(s.error_message, "e");
	P_FREE(step, &s);
	assert_int_equal(r.resume_step, 2);
	assert_int_equal(o->usage.input_tokens, 15);
	assert_true(o->usage.cost_usd > 0.74 && o->usage.cost_usd < 0.76);
	assert_int_equal(o->usage.memory_peak_bytes, 500);
	assert_true(o->usage.wall_seconds > 2.49 && o->usage.wall_seconds < 2.51);
	assert_false(P_HAS(usage, &o->usage, num_turns));

	/* a prompt is none of the order's own steps */
	assert_true(take(&r, P_E_step_completed,
	    "{\"step\":\"prompt\",\"step_number\":1,\"success\":true}", &s));
	P_FREE(step, &s);
	assert_int_equal(r.resume_step, 2);

	/* in a round that a prompt began: behind the commit there is only the end */
	r.resume_step = 3;
	for (size_t i = 0; i < 4; i++) {
		static const struct {
			enum p_event_id event;
			const char *line;
			int64_t resume;
		} round[] = {
		    {P_E_step_completed, "{\"step\":\"commit\",\"step_number\":5,\"success\":false}", 3},
		    {P_E_step_completed, "{\"step\":\"commit\",\"step_number\":5,\"success\":true}", 4},
		    {P_E_step_started, "{\"step\":\"prompt\",\"step_number\":6}", 3},
		    {P_E_step_completed, "{\"step\":\"prompt\",\"step_number\":6,\"success\":true}", 3},
		};

		assert_true(take(&r, round[i].event, round[i].line, &s));
		P_FREE(step, &s);
		assert_int_equal(r.resume_step, round[i].resume);
	}
	order_row_free(&r);
}

/* A worker is not believed: wrong types, ranges and dangerous texts change nothing. */
static void
test_lines_hostile(void **state)
{
	static const struct {
		enum p_event_id event;
		const char *line;
	} lines[] = {
	    {P_E_git_branch_created, "{\"git_branch_name\":\"--upload-pack=x\"}"},
	    {P_E_git_branch_created, "{\"git_branch_name\":\"a b\"}"},
	    {P_E_git_branch_created, "{\"git_branch_name\":\"a\\nb\"}"},
	    {P_E_git_branch_created, "{\"git_branch_name\":\"\"}"},
	    {P_E_git_branch_created, "{\"git_branch_name\":7}"},
	    {P_E_git_commit_created,
		"{\"sha\":\"xyz\",\"git_commit_count\":-1,\"git_files_changed\":\"3\"}"},
	    {P_E_git_commit_created,
		"{\"sha\":\"ABCDEF6789012345678901234567890123456789\",\"git_lines_added\":1.5}"},
	    {P_E_github_pull_request_created,
		"{\"github_pull_request_number\":\"1;2\",\"github_pull_request_url\":"
		"\"javascript:alert(1)\",\"github_pull_request_state\":\"x\"}"},
	    {P_E_github_pull_request_created, "{\"github_pull_request_number\":-4}"},
	    {P_E_workflow_phase_started, "{\"phase\":\"dreaming\"}"},
	    {P_E_workflow_started, "{\"total_steps\":100000}"},
	    {P_E_workspace_created, "{\"base_branch\":[],\"base_sha\":null}"},
	    {P_E_sandbox_created, "{\"layers\":\"all\"}"},
	    {P_E_step_started, "{\"step\":\"planning\"}"},
	    {P_E_step_started, "{\"step_number\":1}"},
	    {P_E_step_completed, "{\"step\":\"\",\"step_number\":1}"},
	    {P_E_step_completed, "{\"step\":\"planning\",\"step_number\":0}"},
	    {P_E_agent_work_order_completed, "{\"git_branch_name\":\"b\"}"},
	    {P_E_agent_output, "{\"text\":\"hello\"}"},
	    {P_E__NONE, "{}"},
	};
	struct order_row r = make_row(order_status_running);
	json_t *before, *after;
	struct p_step s;
	bool changed;

	(void)state;
	r.pub.updated_at = NOW;
	before = p_to_json(&p_type_order, &r.pub);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		assert_false(take(&r, lines[i].event, lines[i].line, &s));
		after = p_to_json(&p_type_order, &r.pub);
		if (!json_equal(before, after))
			fail_msg("changed by %s", lines[i].line);
		json_decref(after);
	}
	assert_null(r.head_sha);
	assert_null(r.base_sha);
	assert_null(r.plan_file);
	order_take_line(&r, P_E_step_started, NULL, NOW, &s, &changed);
	assert_false(changed);
	json_decref(before);

	/* sums stay in range, times between the order's creation and now, prose is cut at a
	 * character's end */
	for (int i = 0; i < 3; i++) {
		assert_true(take(&r, P_E_step_completed,
		    "{\"timestamp\":\"2999-01-01T00:00:00Z\",\"step\":\"planning\",\"step_number\":"
		    "2,\"usage\":"
		    "{\"input_tokens\":9223372036854775807,\"cost_usd\":1e9}}",
		    &s));
		assert_int_equal(s.timestamp, NOW);
		assert_false(s.success);
		P_FREE(step, &s);
	}
	assert_true(r.pub.usage.input_tokens == INT64_MAX);
	assert_true(r.pub.usage.cost_usd <= 1e9);
	assert_true(take(&r, P_E_step_started,
	    "{\"timestamp\":\"1970-01-01T00:00:01Z\",\"step\":\"planning\",\"step_number\":2}",
	    &s));
	assert_int_equal(s.timestamp, r.pub.created_at);
	P_FREE(step, &s);
	{
		struct buf b CLEAN_BUF = {0};

		buf_adds(&b, "{\"error_category\":\"agent\",\"error_message\":\"");
		for (int i = 0; i < 8192; i++)
			buf_adds(&b, "\xc3\xa9");
		buf_adds(&b, "\"}");
		take(&r, P_E_workflow_failed, b.p, &s);
		assert_int_equal(strlen(r.pub.error_message), 8192);
	}
	order_row_free(&r);
}

/* ---- steps */

static char *
join(const struct p_strv *sv)
{
	struct buf b = {0};

	for (size_t i = 0; i < sv->n; i++)
		buf_printf(&b, "%s%s", i ? " " : "", sv->v[i]);
	return buf_take(&b);
}

static void
check_plan(const char *type, const char *selected, const char *want)
{
	struct p_strv list = {0}, trusted = {0}, steps;
	struct awo_err err = {0};
	char *got CLEAN_FREE = NULL;
	char *copy CLEAN_FREE = xstrdup(selected);

	p_strv_add(&trusted, "my-flow.md");
	p_strv_add(&trusted, "agent_workflow_test");
	for (char *p = copy ? strtok(copy, " ") : NULL; p; p = strtok(NULL, " "))
		p_strv_add(&list, p);
	if (order_plan(type, &list, &trusted, &steps, &err) < 0)
		fail_msg("%s: %s", type ? type : "(none)", err.msg);
	got = join(&steps);
	assert_string_equal(got, want);
	p_strv_free(&list);
	p_strv_free(&trusted);
	p_strv_free(&steps);
}

static void
test_plan(void **state)
{
	(void)state;
	check_plan(NULL, NULL, "create-branch planning execute commit create-pr");
	check_plan("agent_workflow_plan", NULL, "create-branch planning commit create-pr");
	check_plan("agent_workflow_build", NULL, "create-branch planning execute commit create-pr");
	check_plan(
	    "agent_workflow_implement", NULL, "create-branch planning execute commit create-pr");
	check_plan(
	    "agent_workflow_plan_build", NULL, "create-branch planning execute commit create-pr");
	check_plan("agent_workflow_validate", NULL,
	    "create-branch planning execute prp-review testing commit create-pr");
	check_plan("agent_workflow_plan_build_test", NULL,
	    "create-branch planning execute prp-review testing commit create-pr");
	/* command files */
	check_plan("my-flow.md", NULL, "create-branch my-flow commit create-pr");
	check_plan("my-flow", NULL, "create-branch my-flow commit create-pr");
	check_plan(
	    "agent_workflow_test", NULL, "create-branch agent_workflow_test commit create-pr");
	/* explicit steps win, and what only a run can tell is not refused */
	check_plan("agent_workflow_plan", "create-branch execute", "create-branch execute");
	check_plan("nonsense", "testing", "testing");
	check_plan(NULL, "create-pr", "create-pr");
	check_plan(NULL, "my-flow", "my-flow");
}

static void
test_plan_without_commands(void **state)
{
	struct p_strv steps;
	char *got;

	(void)state;
	assert_int_equal(order_plan("agent_workflow_test", NULL, NULL, &steps, NULL), 0);
	got = join(&steps);
	assert_string_equal(got, "create-branch testing commit create-pr");
	free(got);
	p_strv_free(&steps);
}

static void
test_plan_refused(void **state)
{
	struct p_strv list = {0}, steps;
	struct awo_err err = {0};
	char *long_name CLEAN_FREE = xcalloc(1, 5001);

	(void)state;
	p_strv_add(&list, "create-branch");
	p_strv_add(&list, "plannning");
	assert_int_equal(order_plan(NULL, &list, NULL, &steps, &err), -1);
	assert_int_equal(err.code, AWO_INVALID_ARGUMENT);
	assert_string_equal(err.field, "selected_commands");
	assert_non_null(strstr(err.msg, "did you mean planning?"));
	assert_non_null(strstr(err.msg, "create-pr"));
	assert_int_equal(steps.n, 0);

	assert_int_equal(order_plan("agent_workflow_plam", NULL, NULL, &steps, &err), -1);
	assert_string_equal(err.field, "workflow_type");
	assert_non_null(strstr(err.msg, "agent_workflow_plan?"));
	memset(long_name, 'x', 5000);
	assert_int_equal(order_plan(long_name, NULL, NULL, &steps, &err), -1);
	assert_non_null(strstr(err.msg, "known are"));

	p_strv_free(&list);
	for (int i = 0; i < 65; i++)
		p_strv_add(&list, "planning");
	assert_int_equal(order_plan(NULL, &list, NULL, &steps, &err), -1);
	assert_string_equal(err.field, "selected_commands");
	p_strv_free(&list);
}

static void
test_workflows_are_made_of_known_steps(void **state)
{
	(void)state;
	for (const struct order_workflow *w = order_workflows; w->name; w++) {
		size_t n = 0;

		for (const char *const *s = w->steps; *s; s++, n++) {
			bool known = false;

			for (const char *const *k = order_builtin_steps; *k; k++)
				known = known || strcmp(*k, *s) == 0;
			assert_true(known);
		}
		assert_true(n > 0 && n < sizeof(w->steps) / sizeof(w->steps[0]));
	}
}

static void
test_backoff(void **state)
{
	(void)state;
	/* between half and the whole of base * 2^(attempt - 1) */
	for (int64_t attempt = 1; attempt < 80; attempt++) {
		double whole = attempt < 8 ? 10.0 * (double)(1 << (attempt - 1)) : 900;

		if (whole > 900)
			whole = 900;
		assert_int_equal(order_backoff_us(attempt, 10, 900, 1, 0), (int64_t)(whole * 1e6));
		assert_int_equal(order_backoff_us(attempt, 10, 900, 0, 0), (int64_t)(whole * 5e5));
	}
	assert_true(order_backoff_us(1, 10, 900, 0.5, 600) >= 600000000);
	assert_true(order_backoff_us(1, 10, 900, 0.5, 600) <= 602000000);
	assert_int_equal(order_backoff_us(1, 10, 900, 0, -5), 5000000);
	/* nobody can ask for ever */
	assert_true(order_backoff_us(1, 10, 900, 1, INT64_MAX) <= INT64_C(8) * 86400 * 1000000);
	assert_true(order_backoff_us(1, 10, 900, __builtin_nan(""), 0) > 0);
}

/* A list of steps, separated by spaces, and how many problems it has. */
static void
test_plan_problems(void **state)
{
	static const struct {
		const char *steps;
		size_t problems;
	} rows[] = {
	    {"create-branch planning execute commit create-pr", 0},
	    {"create-branch execute commit", 1},
	    {"execute prp-review", 2},
	    {"planning execute create-pr", 1},
	    {"create-branch testing commit", 0},
	    {"my-plan execute create-pr", 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct p_strv steps = {0}, problems = {0};
		char text[128], *next = text, *word;

		snprintf(text, sizeof(text), "%s", rows[i].steps);
		while ((word = strsep(&next, " ")) != NULL)
			p_strv_add(&steps, word);
		order_plan_problems(&steps, &problems);
		assert_int_equal(problems.n, rows[i].problems);
		p_strv_free(&steps);
		p_strv_free(&problems);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_matrix),
	    cmocka_unit_test(test_gates),
	    cmocka_unit_test(test_plan_problems),
	    cmocka_unit_test(test_slot_and_terminal),
	    cmocka_unit_test(test_start_and_complete),
	    cmocka_unit_test(test_fail_requeue_retry),
	    cmocka_unit_test(test_dup),
	    cmocka_unit_test(test_lines_of_git),
	    cmocka_unit_test(test_lines_of_steps),
	    cmocka_unit_test(test_lines_hostile),
	    cmocka_unit_test(test_plan),
	    cmocka_unit_test(test_plan_without_commands),
	    cmocka_unit_test(test_plan_refused),
	    cmocka_unit_test(test_workflows_are_made_of_known_steps),
	    cmocka_unit_test(test_backoff),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
