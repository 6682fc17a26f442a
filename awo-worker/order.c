/* Carries an order out: from the job specification to the last line of its log. */
#include "awo-worker/order.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "awo-worker/agent.h"
#include "awo-worker/answer.h"
#include "awo-worker/pull_request.h"
#include "awo-worker/repository.h"
#include "awo-worker/steps.h"
#include "common/buf.h"
#include "common/clean.h"
#include "common/files.h"
#include "common/log.h"

#define PROMPTS_MAX 1000 /* waiting */

/* ---- for the other parts */

int64_t
order_deadline(const struct order *o)
{
	if (o->job.timeouts.order == 0)
		return 0;
	return o->began + (o->job.timeouts.order - o->job.timeouts.elapsed) * 1000000;
}

int
order_may_go_on(struct order *o, struct failure *f)
{
	int64_t deadline = order_deadline(o);

	/* what the broker says between two steps is heard here */
	event_base_loop(o->loop.base, EVLOOP_NONBLOCK);
	while (o->frozen && !o->cancelled)
		loop_turn(&o->loop, 0);
	if (o->cancelled)
		return FAIL(f, cancelled, "cancelled");
	if (deadline != 0 && loop_now(&o->loop) >= deadline)
		return FAIL(f, timeout, "order timeout after %lld seconds",
		    (long long)o->job.timeouts.order);
	return 0;
}

void
order_prepare(struct order *o, bool works)
{
	struct failure f = {0};

	/* what is paused starts nothing */
	if (o->frozen || o->cancelled)
		return;
	/* the sooner needed first: at the order's start what makes the workspace, later what looks into it */
	if (!works)
		helper_stand_by(o, false);
	if (agent_sandbox(o, &f) == 0 && works)
		helper_stand_by(o, true);
}

bool
order_appends_id(const struct order *o)
{
	return strcmp(o->job.branch_id, "keep") != 0;
}

void
order_add_usage(struct p_usage *sum, const struct p_usage *more)
{
	if (P_HAS(usage, more, input_tokens))
		P_SET(usage, sum, input_tokens, sum->input_tokens + more->input_tokens);
	if (P_HAS(usage, more, output_tokens))
		P_SET(usage, sum, output_tokens, sum->output_tokens + more->output_tokens);
	if (P_HAS(usage, more, cost_usd))
		P_SET(usage, sum, cost_usd, sum->cost_usd + more->cost_usd);
	if (P_HAS(usage, more, num_turns))
		P_SET(usage, sum, num_turns, sum->num_turns + more->num_turns);
	if (P_HAS(usage, more, cpu_seconds))
		P_SET(usage, sum, cpu_seconds, sum->cpu_seconds + more->cpu_seconds);
	if (P_HAS(usage, more, wall_seconds))
		P_SET(usage, sum, wall_seconds, sum->wall_seconds + more->wall_seconds);
	/* a peak is no sum */
	if (P_HAS(usage, more, memory_peak_bytes) &&
	    more->memory_peak_bytes >= sum->memory_peak_bytes)
		P_SET(usage, sum, memory_peak_bytes, more->memory_peak_bytes);
}

static void
end_phase(struct order *o)
{
	json_t *fields = json_object();

	json_object_set_new(fields, "phase", json_string(P_ENUM_NAME(order_phase, o->phase)));
	json_object_set_new(fields, "execution_duration_seconds",
	    json_real((double)(loop_now(&o->loop) - o->phase_began) / 1e6));
	json_object_set_new(fields, "commits", json_integer(o->phase_commits));
	journal_write(&o->journal, P_E_workflow_phase_completed, log_level_info, fields);
}

void
order_set_phase(struct order *o, enum p_order_phase phase)
{
	json_t *fields;

	if (phase == o->phase && o->phase_began != 0)
		return;
	if (o->phase != order_phase_none && o->phase != phase) {
		if (o->phase_began != 0)
			end_phase(o);
		fields = json_object();
		json_object_set_new(
		    fields, "from_phase", json_string(P_ENUM_NAME(order_phase, o->phase)));
		json_object_set_new(
		    fields, "to_phase", json_string(P_ENUM_NAME(order_phase, phase)));
		journal_write(&o->journal, P_E_workflow_phase_transition, log_level_info, fields);
	}
	o->phase = phase;
	o->phase_began = loop_now(&o->loop);
	o->phase_commits = 0;
	fields = json_object();
	json_object_set_new(fields, "phase", json_string(P_ENUM_NAME(order_phase, phase)));
	journal_write(&o->journal, P_E_workflow_phase_started, log_level_info, fields);
}

/* ---- what the broker says */

static void
on_hello(void *ctx, json_t *answer)
{
	const struct order *o = ctx;

	json_object_set_new(answer, "frozen", json_boolean(o->frozen));
	json_object_set_new(answer, "waits", json_boolean(o->waits));
	json_object_set_new(answer, "last_prompt_id", json_integer(o->last_prompt_id));
	json_object_set_new(answer, "step", o->step != NULL ? json_string(o->step) : json_null());
}

/* A helper outside every sandbox is our own child, one process without children. */
static void
stop_outside(pid_t pid, bool stop)
{
	siginfo_t info;

	if (pid == 0)
		return;
	kill(pid, stop ? SIGSTOP : SIGCONT);
	if (stop)
		waitid(P_PID, (id_t)pid, &info, WSTOPPED | WEXITED | WNOWAIT);
}

static bool
on_freeze(void *ctx, bool frozen)
{
	struct order *o = ctx;

	if (frozen && o->cancelled)
		return false;
	if (frozen == o->frozen)
		return true;
	if (sandbox_freeze(frozen) != 0 && frozen) {
		sandbox_freeze(false);
		return false;
	}
	stop_outside(o->outside, frozen);
	if (o->by_outside.there && !o->by_outside.child.ended)
		stop_outside(o->by_outside.child.pid, frozen);
	loop_freeze(&o->loop, frozen || o->at_gate);
	o->frozen = frozen;
	return true;
}

static void
on_gate(void *ctx, int64_t passed)
{
	struct order *o = ctx;

	if (passed > o->gate_passed)
		o->gate_passed = passed;
	o->gate_heard = true;
}

static void
on_cancel(void *ctx, const char *reason)
{
	struct order *o = ctx;

	if (o->cancelled)
		return;
	snprintf(o->cancel_reason, sizeof(o->cancel_reason), "%s", reason);
	/* who is to end in peace must be able to run */
	on_freeze(o, false);
	o->cancelled = true;
}

static void
on_fetched(void *ctx)
{
	struct order *o = ctx;

	o->waits = false;
}

static bool
on_prompt(void *ctx, int64_t id, const char *text)
{
	struct order *o = ctx;
	struct order_prompt **at = &o->prompts;
	size_t waiting = 0;

	/* said again after a reconnection: it is known */
	if (id <= o->last_prompt_id)
		return true;
	if (o->closing || o->cancelled || text[0] == '\0' || strlen(text) > 65536)
		return false;
	for (; *at != NULL; at = &(*at)->next)
		waiting++;
	if (waiting >= PROMPTS_MAX)
		return false;
	*at = xcalloc(1, sizeof(**at));
	(*at)->id = id;
	(*at)->text = xstrdup(text);
	o->last_prompt_id = id;
	return true;
}

static void
free_prompt(struct order_prompt *p)
{
	free(p->text);
	free(p);
}

/* ---- before the first step */

static bool
pushes(const struct job *job)
{
	/* a prompt may come between two steps, and its work is pushed */
	if (job->nsteps > 1)
		return true;
	for (size_t i = 0; i < job->nsteps; i++) {
		const char *name = job->steps[i].name;

		if (strcmp(name, "commit") == 0 || strcmp(name, "create-pr") == 0 ||
		    strcmp(name, "prompt") == 0)
			return true;
	}
	return false;
}

static int
enter(struct order *o, struct failure *f)
{
	const struct program *p = &o->program;
	struct sandbox_mount *mounts CLEAN_FREE = xcalloc(p->mounts.n + 2, sizeof(*mounts));
	struct awo_err err = {0};
	size_t n = 0;

	for (size_t i = 0; i < p->mounts.n; i++)
		mounts[n++] =
		    (struct sandbox_mount){.source = p->mounts.v[i], .target = p->mounts.v[i]};
	if (o->job.is_local && o->job.local_path != NULL && pushes(&o->job))
		mounts[n++] = (struct sandbox_mount){
		    .source = o->job.local_path, .target = o->job.local_path, .writable = true};
	if (o->job.extra_commands != NULL)
		mounts[n++] = (struct sandbox_mount){.source = o->job.extra_commands,
		    .target = "/awo/extra-commands",
		    .optional = true};
	if (o->job.is_local && o->job.local_path != NULL && access(o->job.local_path, F_OK) != 0)
		return FAIL(f, git, "the repository %s cannot be reached: %s", o->job.local_path,
		    strerror(errno));
	if (worker_enter(o->args, mounts, n, &err) != 0)
		return FAIL(f, internal, "the sandbox could not be built: %s", err.msg);
	if (sandbox_check(&o->job.require, &err) != 0)
		return failure_from_err(f, error_category_permanent, &err);
	return 0;
}

static int
tell_sandbox(struct order *o)
{
	json_t *fields = json_object(), *list = json_array();
	struct p_strv layers = {0};
	char name[32];

	sandbox_layers(&layers);
	for (size_t i = 0; i < layers.n; i++)
		json_array_append_new(list, json_string(layers.v[i]));
	p_strv_free(&layers);
	snprintf(name, sizeof(name), "sandbox-%s", o->job.id);
	json_object_set_new(fields, "sandbox_identifier", json_string(name));
	json_object_set_new(fields, "layers", list);
	return journal_write(&o->journal, P_E_sandbox_created, log_level_info, fields);
}

static void
take_resume(struct order *o)
{
	const struct job *job = &o->job;

	o->branch = xstrdup(job->resume.branch);
	o->plan_file = xstrdup(job->resume.plan_file);
	o->session = xstrdup(job->resume.session_id);
	o->pr_number = xstrdup(job->resume.pr_number);
	o->pr_url = xstrdup(job->resume.pr_url);
	if (job->resume.pushed_sha != NULL) {
		snprintf(o->pushed_sha, sizeof(o->pushed_sha), "%s", job->resume.pushed_sha);
		o->branch_on_remote = true;
	}
	if (job->resume.phase != NULL)
		o->phase = (enum p_order_phase)p_enum_value(&p_enum_order_phase, job->resume.phase);
	for (size_t i = 0; i < job->nprompts; i++)
		if (job->prompts[i].id > o->last_prompt_id)
			o->last_prompt_id = job->prompts[i].id;
}

static int
prepare_workspace(struct order *o, struct failure *f)
{
	if (repository_workspace(o, f) != 0)
		return -1;
	if (o->job.resume.reset && o->head_sha[0] != '\0' &&
	    !(o->tree.fresh && strcmp(o->tree.head, o->head_sha) == 0)) {
		o->tree.fresh = false;
		if (repository_reset(o, f) != 0)
			return -1;
	}
	if (strcmp(o->head_sha, o->base_sha) != 0 && repository_progress(o, f) != 0)
		return -1;
	return o->tree.fresh ? 0 : repository_look(o, f);
}

static int
prepare_forge(struct order *o, struct failure *f)
{
	const struct job *job = &o->job;
	char number[20];

	if (!forge_usable(o)) {
		if (job->issue != NULL &&
		    (job->user_request == NULL || job->user_request[0] == '\0'))
			return FAIL(f, github,
			    "issue #%s is the request, but it cannot be read: %s", job->issue,
			    forge_known(o) ? "no GitHub token is stored"
					   : "the repository is not on GitHub");
		return 0;
	}
	if (forge_verify(o, f) != 0)
		return -1;
	if (job->issue != NULL)
		return forge_issue(o, job->issue, f);
	if (job->user_request == NULL || !answer_issue(job->user_request, number))
		return 0;
	if (forge_issue(o, number, f) != 0) {
		json_t *fields = json_object();

		if (o->cancelled)
			return -1;
		/* nobody asked for it by its number: the request alone must do */
		json_object_set_new(fields, "kind", json_string("note"));
		journal_set_text(fields, "text", f->msg, 1000);
		journal_write(&o->journal, P_E_agent_output, log_level_warning, fields);
	}
	return 0;
}

static int
tell_steps(struct order *o)
{
	json_t *fields = json_object(), *list = json_array();

	for (size_t i = 0; i < o->job.nsteps; i++)
		json_array_append_new(list, json_string(o->job.steps[i].name));
	json_object_set_new(fields, "total_steps", json_integer(o->job.total_steps));
	json_object_set_new(fields, "steps", list);
	return journal_write(&o->journal, P_E_workflow_started, log_level_info, fields);
}

/* What needs nothing of the repository. */
static int
set_up(struct order *o, struct failure *f)
{
	const struct job *job = &o->job;

	take_resume(o);
	o->adapter = adapter_find(job->agent.adapter);
	if (o->adapter == NULL)
		return FAIL(f, permanent,
		    "agents.%s.adapter '%s' is none of claude, codex, opencode, gemini and command",
		    job->agent.name, job->agent.adapter);
	/* the host can be seen only until the root has been built */
	if (program_find(job->agent.program, &job->agent.paths, o->args->libexec_dir,
		job->agent.name, o->adapter->install, &o->program, f) != 0)
		return -1;
	if (enter(o, f) != 0)
		return -1;
	order_prepare(o, false);
	return 0;
}

static void
wait_for_cache(struct order *o)
{
	while (o->waits && !o->cancelled && loop_turn(&o->loop, order_deadline(o)))
		;
}

static int
prepare(struct order *o, struct failure *f)
{
	const struct job *job = &o->job;
	json_t *fields = json_object();
	int r = set_up(o, f);

	/* should the fetch fail, its reason is the order's, and this process is ended */
	wait_for_cache(o);
	json_object_set_new(fields, "attempt", json_integer(job->attempt));
	json_object_set_new(fields, "first_step", json_string(job->steps[0].name));
	journal_write(&o->journal, P_E_workflow_execution_started, log_level_info, fields);
	if (r != 0)
		return -1;
	if (tell_sandbox(o) != 0)
		return FAIL(f, internal, "the order's log cannot be written");
	if (prepare_workspace(o, f) != 0 || prepare_forge(o, f) != 0)
		return -1;
	commands_load(o);
	if (tell_steps(o) != 0)
		return FAIL(f, internal, "the order's log cannot be written");
	return 0;
}

/* ---- the steps */

static bool
commits_later(const struct job *job, size_t from)
{
	for (size_t i = from; i < job->nsteps; i++)
		if (strcmp(job->steps[i].name, "commit") == 0 ||
		    strcmp(job->steps[i].name, "create-pr") == 0)
			return true;
	return false;
}

static int
one_step(struct order *o, struct step_run *s, struct failure *f)
{
	int r = step_run(o, s, f);

	step_run_free(s);
	/* a worker stays for hours: what a step's output took goes back to the kernel */
	malloc_trim(0);
	return r;
}

/* Prompts that came while an earlier step ran, before step i. */
static int
run_prompts(struct order *o, size_t i, struct failure *f)
{
	while (o->prompts != NULL) {
		struct order_prompt *p = o->prompts;
		struct step_run s = {
		    .name = "prompt",
		    .number = o->job.steps[i].number + o->inserted,
		    .total = o->job.total_steps + o->inserted + 1,
		    .prompt = p,
		    .publish = !commits_later(&o->job, i),
		};
		int r;

		o->prompts = p->next;
		o->inserted++;
		r = one_step(o, &s, f);
		free_prompt(p);
		if (r != 0) {
			failure_prefix(f, "Command 'prompt' failed: ");
			return -1;
		}
	}
	return 0;
}

static void
tell_gate(struct order *o, size_t i)
{
	json_t *fields = json_object();

	if (i > 0)
		json_object_set_new(fields, "step", json_string(o->job.steps[i - 1].name));
	json_object_set_new(fields, "next_step", json_string(o->job.steps[i].name));
	journal_step(&o->journal, NULL);
	journal_write(&o->journal, P_E_workflow_gate_reached, log_level_info, fields);
}

/*
 * Before step i, until a person has opened its gate. Prompts that come meanwhile are run when the broker has given the
 * order a slot for them, and then the gate is waited at again.
 */
static int
wait_at_gate(struct order *o, size_t i, struct failure *f)
{
	while (o->job.steps[i].gate > o->gate_passed) {
		/* who decides sees all of it in git */
		if (o->tree.dirty > 0 && repository_commit(o, "chore: work so far", NULL, f) != 0)
			return -1;
		tell_gate(o, i);
		o->at_gate = true;
		o->gate_heard = false;
		loop_freeze(&o->loop, true);
		while (!o->gate_heard && !o->cancelled)
			loop_turn(&o->loop, 0);
		o->at_gate = false;
		loop_freeze(&o->loop, o->frozen);
		if (order_may_go_on(o, f) != 0 || run_prompts(o, i, f) != 0)
			return -1;
	}
	return 0;
}

static int
run_steps(struct order *o, const char **step, struct failure *f)
{
	const struct job *job = &o->job;
	size_t prompt = 0;

	for (size_t i = 0; i < job->nsteps; i++) {
		struct step_run s = {.name = job->steps[i].name};
		struct order_prompt given;

		*step = "prompt";
		if (i > 0 && run_prompts(o, i, f) != 0)
			return -1;
		*step = s.name;
		if (wait_at_gate(o, i, f) != 0)
			return -1;
		o->closing = i + 1 == job->nsteps;
		s.number = job->steps[i].number + o->inserted;
		s.total = job->total_steps + o->inserted;
		if (strcmp(s.name, "prompt") == 0) {
			if (prompt == job->nprompts)
				return FAIL(f, internal,
				    "Command 'prompt' failed: the job specification has no prompt "
				    "for it");
			given = (struct order_prompt){
			    .id = job->prompts[prompt].id, .text = job->prompts[prompt].text};
			s.prompt = &given;
			s.publish = !commits_later(job, i + 1);
			prompt++;
		}
		if (one_step(o, &s, f) != 0) {
			if (f->category != error_category_cancelled)
				failure_prefix(f, "Command '%s' failed: ", job->steps[i].name);
			return -1;
		}
	}
	return 0;
}

/* ---- the end */

static void
tell_cleanup(struct order *o)
{
	json_t *fields = json_object();

	json_object_set_new(fields, "clean", json_boolean(!o->unclean));
	json_object_set_new(fields, "processes_killed", json_integer(o->processes_killed));
	journal_write(&o->journal, P_E_sandbox_cleanup_completed,
	    o->unclean ? log_level_warning : log_level_info, fields);
}

static void
tell_success(struct order *o)
{
	json_t *fields = json_object(), *transition;

	if (o->phase_began != 0) {
		end_phase(o);
		transition = json_object();
		json_object_set_new(
		    transition, "from_phase", json_string(P_ENUM_NAME(order_phase, o->phase)));
		json_object_set_new(transition, "to_phase", json_string("completed"));
		journal_write(
		    &o->journal, P_E_workflow_phase_transition, log_level_info, transition);
	}
	journal_set_text(fields, "git_branch_name", o->branch, 255);
	json_object_set_new(fields, "git_commit_count", json_integer(o->commits));
	json_object_set_new(fields, "git_files_changed", json_integer(o->files));
	json_object_set_new(fields, "git_lines_added", json_integer(o->added));
	json_object_set_new(fields, "git_lines_removed", json_integer(o->removed));
	json_object_set_new(fields, "usage", p_to_json(&p_type_usage, &o->usage));
	journal_write(&o->journal, P_E_workflow_completed, log_level_info, fields);
}

static void
tell_failure(struct order *o, const char *step, const struct failure *f)
{
	json_t *fields = json_object();

	if (step != NULL)
		json_object_set_new(fields, "step", json_string(step));
	if (f->category == error_category_cancelled && o->cancel_reason[0] != '\0') {
		char text[1100];

		snprintf(text, sizeof(text), "cancelled: %s", o->cancel_reason);
		journal_set_text(fields, "error_message", text, 2000);
	} else {
		journal_set_text(fields, "error_message", f->msg, 8000);
	}
	json_object_set_new(
	    fields, "error_category", json_string(P_ENUM_NAME(error_category, f->category)));
	if (f->retry_after > 0)
		json_object_set_new(fields, "retry_after_seconds", json_integer(f->retry_after));
	if (o->forced)
		json_object_set_new(fields, "forced", json_true());
	journal_write(&o->journal, P_E_workflow_failed, log_level_error, fields);
}

static void
order_free(struct order *o)
{
	while (o->prompts != NULL) {
		struct order_prompt *p = o->prompts;

		o->prompts = p->next;
		free_prompt(p);
	}
	control_close(o->control);
	loop_close(&o->loop);
	journal_close(&o->journal);
	commands_free(&o->commands);
	program_free(&o->program);
	free(o->branch);
	free(o->base_branch);
	free(o->plan_file);
	free(o->session);
	free(o->pr_url);
	free(o->pr_number);
	free(o->issue.number);
	free(o->issue.title);
	free(o->issue.body);
	free(o->issue.url);
	free(o->tree.branch);
	free(o->tree.made);
	job_free(&o->job);
}

static int
read_job(struct order *o, struct failure *f)
{
	struct awo_err err = {0};
	size_t len = 0;
	char *text = files_read_fd(o->args->spec_fd, JOB_BYTES_MAX, &len);
	int r;

	close(o->args->spec_fd);
	if (text == NULL)
		return FAIL(
		    f, internal, "the job specification cannot be read: %s", strerror(errno));
	r = job_parse(&o->job, text, len, &err);
	explicit_bzero(text, len);
	free(text);
	if (r != 0)
		return failure_from_err(f, error_category_internal, &err);
	if (strcmp(o->job.id, o->args->id) != 0)
		return FAIL(f, internal, "the job specification is of another order");
	return 0;
}

static void
sync_journal(void *ctx)
{
	struct order *o = ctx;

	/* when it fails, the next state line does */
	(void)journal_sync(&o->journal);
}

static int
start_loop(struct order *o, struct failure *f)
{
	const struct control_handlers handlers = {.hello = on_hello,
	    .cancel = on_cancel,
	    .freeze = on_freeze,
	    .gate = on_gate,
	    .fetched = on_fetched,
	    .prompt = on_prompt,
	    .ctx = o};

	if (loop_open(&o->loop) != 0)
		return FAIL(f, internal, "no event loop: %s", strerror(errno));
	o->loop.before_wait = sync_journal;
	o->loop.ctx = o;
	o->began = loop_now(&o->loop);
	o->waits = o->job.fetching;
	o->control = control_open(o->loop.base, o->args->control_fd, o->job.nonce, &handlers);
	if (o->control == NULL)
		return FAIL(f, internal, "the control socket cannot be used: %s", strerror(errno));
	return 0;
}

static void
on_sigpipe(int sig)
{
	(void)sig;
}

int
order_main(struct worker_args *a)
{
	/* a handler, and not SIG_IGN, which programs started from here would inherit */
	const struct sigaction pipes = {.sa_handler = on_sigpipe, .sa_flags = SA_RESTART};
	struct order o = {.args = a, .pack = {-1, -1}};
	struct failure f = {0};
	const char *step = NULL;
	int r;

	/* what is pushed to a local remote must be readable there; files of the order get their
	 * modes one by one */
	umask(022);
	sigaction(SIGPIPE, &pipes, NULL);
	r = read_job(&o, &f);
	journal_open(&o.journal, a->journal_fd, a->id, o.job.context,
	    r == 0 ? (uint64_t)o.job.limits.log_bytes : UINT64_MAX);
	if (r == 0)
		r = start_loop(&o, &f);
	if (r == 0)
		r = prepare(&o, &f);
	if (r == 0)
		r = run_steps(&o, &step, &f);
	o.closing = true;
	if (o.next != NULL)
		inside_release(o.next);
	if (!o.journal.failed) {
		journal_step(&o.journal, NULL);
		journal_report(&o.journal);
		if (o.loop.base != NULL)
			tell_cleanup(&o);
		if (r == 0)
			tell_success(&o);
		else
			tell_failure(&o, step, &f);
	}
	r = journal_sync(&o.journal) != 0 ? 1 : 0;
	order_free(&o);
	return r;
}
