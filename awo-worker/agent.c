/* One run of the agent's program: started in its sandbox, fed, read as it speaks, ended with
 * everything it started. */
#include "awo-worker/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "awo-worker/inside.h"
#include "awo-worker/lines.h"
#include "awo-worker/order.h"
#include "awo-worker/ports.h"
#include "common/buf.h"
#include "common/clean.h"
#include "common/files.h"

#define TEXT_MAX 8000	 /* bytes of text in one line of the log */
#define INPUT_MAX 2000	 /* of a tool's input */
#define STDERR_KEEP 4096 /* last bytes kept for the message */
#define CONTINUE_US (500 * 1000LL) /* between two looks at one that was asked to end */
#define LAST_FACT_US (5 * 1000000LL)

enum end { END_ITSELF, END_STEP, END_IDLE, END_ORDER, END_CANCELLED };

/* A file that a run writes, up to a limit. */
struct artifact {
	int fd;
	uint64_t left;
	bool wanted; /* made when there is something to write */
	bool wrote;
	char name[160];
};

struct run {
	struct order *o;
	const struct agent_task *task;
	struct agent_stream stream;
	struct inside *inside; /* the order's */
	struct loop_reader out, err;
	struct loop_writer in;
	struct lines lines;
	struct artifact out_file, err_file;
	struct buf err_tail;
	int64_t began, last_output;
	enum end end;
};

static void
artifact_open(struct order *o, struct artifact *a, bool keep, const char *file, const char *suffix)
{
	char path[256];

	*a = (struct artifact){.fd = -1, .left = (uint64_t)o->job.limits.log_bytes, .wanted = keep};
	if (!keep)
		return;
	snprintf(a->name, sizeof(a->name), "outputs/%s%s", file, suffix);
	snprintf(path, sizeof(path), "/awo/order/%s", a->name);
	unlink(path);
}

static void
artifact_add(struct order *o, struct artifact *a, const char *p, size_t n)
{
	json_t *fields;
	char path[256];

	if (n == 0)
		return;
	if (a->wanted) {
		a->wanted = false;
		snprintf(path, sizeof(path), "/awo/order/%s", a->name);
		a->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
	}
	if (a->fd < 0)
		return;
	if (n > a->left || files_write_all(a->fd, p, n) != 0) {
		fields = json_object();
		json_object_set_new(fields, "limit", json_string(a->name));
		json_object_set_new(fields, "value", json_integer(o->job.limits.log_bytes));
		journal_write(&o->journal, P_E_limit_exceeded, log_level_warning, fields);
		close(TAKE_FD(a->fd));
		return;
	}
	a->left -= n;
	a->wrote = true;
}

static void
artifact_close(struct artifact *a, struct p_strv *names)
{
	char path[256];

	if (a->name[0] == '\0')
		return;
	if (a->fd >= 0)
		close(TAKE_FD(a->fd));
	if (a->wrote) {
		p_strv_add(names, a->name);
		return;
	}
	snprintf(path, sizeof(path), "/awo/order/%s", a->name);
	unlink(path);
}

/* ---- what the agent says */

static const char *const kinds[] = {
    [AGENT_SESSION] = "session",
    [AGENT_TEXT] = "text",
    [AGENT_TOOL_USE] = "tool_use",
    [AGENT_TOOL_RESULT] = "tool_result",
    [AGENT_RETRY] = "retry",
    [AGENT_RESULT] = "result",
    [AGENT_NOTE] = "note",
};

static void
on_item(void *ctx, const struct agent_item *item)
{
	struct run *r = ctx;
	json_t *fields = json_object();
	bool warn =
	    item->kind == AGENT_RETRY || (item->is_error && item->kind != AGENT_TOOL_RESULT);

	json_object_set_new(fields, "kind", json_string(kinds[item->kind]));
	if (item->kind != AGENT_TOOL_USE)
		json_object_set_new(fields, "text", journal_text(item->text, item->len, TEXT_MAX));
	if (item->tool != NULL)
		journal_set_text(fields, "tool", item->tool, 128);
	if (item->input != NULL) {
		char *text CLEAN_FREE = json_dumps(item->input, JSON_COMPACT | JSON_ENCODE_ANY);

		journal_set_text(fields, "input", text, INPUT_MAX);
	}
	if (item->is_error)
		json_object_set_new(fields, "is_error", json_true());
	if (item->usage != NULL) {
		if (P_HAS(usage, item->usage, cost_usd))
			json_object_set_new(fields, "cost_usd", json_real(item->usage->cost_usd));
		if (P_HAS(usage, item->usage, input_tokens))
			json_object_set_new(
			    fields, "input_tokens", json_integer(item->usage->input_tokens));
		if (P_HAS(usage, item->usage, output_tokens))
			json_object_set_new(
			    fields, "output_tokens", json_integer(item->usage->output_tokens));
	}
	journal_write(
	    &r->o->journal, P_E_agent_output, warn ? log_level_warning : log_level_info, fields);
}

static void
on_line(void *ctx, const char *p, size_t len, bool cut)
{
	struct run *r = ctx;
	static const char note[] = "a line of more than 16 MiB was cut";

	if (cut)
		on_item(r, &(struct agent_item){.kind = AGENT_NOTE,
			       .text = note,
			       .len = sizeof(note) - 1,
			       .is_error = true});
	if (!cut || r->o->adapter == &agent_command)
		r->o->adapter->line(&r->stream, p, len);
}

static void
on_out(void *ctx, const char *p, size_t n)
{
	struct run *r = ctx;

	r->last_output = loop_now(&r->o->loop);
	artifact_add(r->o, &r->out_file, p, n);
	lines_feed(&r->lines, p, n);
}

static void
on_err(void *ctx, const char *p, size_t n)
{
	struct run *r = ctx;

	r->last_output = loop_now(&r->o->loop);
	artifact_add(r->o, &r->err_file, p, n);
	if (n > STDERR_KEEP) {
		p += n - STDERR_KEEP;
		n = STDERR_KEEP;
	}
	if (r->err_tail.len + n > STDERR_KEEP)
		buf_drain(&r->err_tail, r->err_tail.len + n - STDERR_KEEP);
	buf_add(&r->err_tail, p, n);
}

/* ---- starting it */

static void
add_env(const struct order *o, struct p_strv *env)
{
	static const char *const fixed[] = {
	    "HOME=/home/agent", "TERM=dumb", "LANG=C.UTF-8", "USER=agent", "TMPDIR=/tmp"};
	struct buf path CLEAN_BUF = {0};

	buf_adds(&path, "PATH=");
	for (size_t i = 0; i < o->program.dirs.n; i++)
		buf_printf(&path, "%s:", o->program.dirs.v[i]);
	buf_adds(&path, "/usr/local/bin:/usr/bin:/bin");
	p_strv_add(env, path.p);
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		p_strv_add(env, fixed[i]);
	ports_env(o->job.ports_start, o->job.ports_count, env);
	for (size_t i = 0; o->adapter->env[i] != NULL; i++)
		p_strv_add(env, o->adapter->env[i]);
	for (size_t i = 0; i < o->job.agent.env.n; i++)
		p_strv_add(env, o->job.agent.env.v[i]);
}

static void
tell_started(struct order *o, const struct agent_task *t, const struct p_strv *argv)
{
	json_t *fields = json_object(), *arguments = json_array();

	for (size_t i = 1; i < argv->n; i++)
		json_array_append_new(arguments, journal_text(argv->v[i], strlen(argv->v[i]), 500));
	journal_set_text(fields, "agent", o->job.agent.name, 64);
	journal_set_text(fields, "program", argv->v[0], 4096);
	json_object_set_new(fields, "arguments", arguments);
	journal_set_text(fields, "command_name", t->command_name, 128);
	journal_set_text(fields, "command_file", t->command_file, 4096);
	journal_write(&o->journal, P_E_agent_command_started, log_level_info, fields);
}

static void
close_pair(const int pair[2])
{
	for (int i = 0; i < 2; i++)
		if (pair[i] >= 0)
			close(pair[i]);
}

int
agent_sandbox(struct order *o, struct failure *f)
{
	struct sandbox_mount *mounts CLEAN_FREE = NULL;
	struct inside *in = &o->sandboxes[o->sandbox == &o->sandboxes[0]];

	/* one that was ended from outside meanwhile, or could not be built then, is built again */
	if (o->next != NULL && !o->next->failed && !loop_reader_done(&o->next->status))
		return 0;
	helper_leave_sandbox(o);
	mounts = xcalloc(o->program.mounts.n + 1, sizeof(*mounts));
	mounts[0] = (struct sandbox_mount){
	    .source = "/awo/order/home", .target = "/home/agent", .writable = true};
	for (size_t i = 0; i < o->program.mounts.n; i++)
		mounts[1 + i] = (struct sandbox_mount){
		    .source = o->program.mounts.v[i], .target = o->program.mounts.v[i]};
	if (inside_start(o, in,
		&(struct sandbox_launch){
		    .mounts = mounts,
		    .nmounts = 1 + o->program.mounts.n,
		    .network = true,
		    .stays = true,
		    .exec_fd = -1,
		    .stdin_fd = -1,
		    .stdout_fd = -1,
		    .stderr_fd = -1,
		    .fd3 = -1,
		},
		f) != 0)
		return -1;
	o->next = in;
	return 0;
}

static int
launch(struct run *r, const struct p_strv *argv, struct failure *f)
{
	struct order *o = r->o;
	struct p_strv env = {0};
	const char **av CLEAN_FREE = program_vector(argv), **ev CLEAN_FREE = NULL;
	int in[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1}, result;

	/* a helper that was not needed, because an agent follows another in one step, is in the way */
	if (o->by_inside.there)
		helper_leave_sandbox(o);
	if (agent_sandbox(o, f) != 0)
		return -1;
	if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) {
		FAIL(f, resource, "no pipe: %s", strerror(errno));
		close_pair(in);
		close_pair(out);
		close_pair(err);
		return -1;
	}
	r->inside = o->sandbox = o->next;
	o->next = NULL;
	add_env(o, &env);
	ev = program_vector(&env);
	result = inside_more(r->inside,
	    &(struct sandbox_launch){
		.argv = av,
		.exec_fd = -1,
		.envp = ev,
		.stdin_fd = in[0],
		.stdout_fd = out[1],
		.stderr_fd = err[1],
		.fd3 = -1,
	    },
	    f);
	close(in[0]);
	close(out[1]);
	close(err[1]);
	p_strv_free(&env);
	/* one that could not be built says why, and takes nothing; the verdict tells */
	if (result != 0 && !inside_clear(r->inside) && !r->inside->failed) {
		inside_finish(r->inside);
		close(in[1]);
		close(out[0]);
		close(err[0]);
		return -1;
	}
	loop_reader_open(&o->loop, &r->out, out[0], on_out, r);
	loop_reader_open(&o->loop, &r->err, err[0], on_err, r);
	loop_writer_open(&o->loop, &r->in, in[1], r->task->prompt, r->task->prompt_len);
	return 0;
}

/* ---- waiting for its end */

static void
earliest(int64_t *deadline, enum end *why, int64_t candidate, enum end end)
{
	if (candidate != 0 && (*deadline == 0 || candidate < *deadline)) {
		*deadline = candidate;
		*why = end;
	}
}

/* Until the program ended, or a reason came to end it. */
static enum end
wait_for_end(struct run *r)
{
	struct order *o = r->o;
	bool prepared = false;

	while (!inside_done(r->inside)) {
		int64_t deadline = 0;
		enum end why = END_ITSELF;

		if (o->cancelled)
			return END_CANCELLED;
		/*
		 * While it works: what will look into its work tree, and the next agent's sandbox. Not before it works: on a
		 * busy processor it would start behind them.
		 */
		if (r->inside->running && !prepared) {
			order_prepare(o, true);
			prepared = true;
		}
		earliest(&deadline, &why, r->began + r->task->seconds * 1000000, END_STEP);
		earliest(
		    &deadline, &why, r->last_output + o->job.timeouts.idle * 1000000, END_IDLE);
		earliest(&deadline, &why, order_deadline(o), END_ORDER);
		if (!loop_turn(&o->loop, deadline) && !inside_done(r->inside) && !o->cancelled) {
			/* output that came in the last moment moves the idle deadline on */
			if (why != END_IDLE ||
			    loop_now(&o->loop) >= r->last_output + o->job.timeouts.idle * 1000000)
				return why;
		}
	}
	return END_ITSELF;
}

/* Politely, and for as long as is allowed; what is left after that is ended by force. */
static void
ask_to_end(struct run *r)
{
	struct order *o = r->o;
	int64_t deadline = loop_now(&o->loop) + o->job.timeouts.kill * 1000000;

	/* before it runs there is nobody to ask */
	if (!r->inside->running)
		return;
	inside_signal(r->inside, o->adapter->sigint_cleans ? SIGINT : SIGTERM);
	while (!inside_done(r->inside) && loop_now(&o->loop) < deadline) {
		int64_t next = loop_now(&o->loop) + CONTINUE_US;

		while (!inside_done(r->inside) && loop_turn(&o->loop, next < deadline ? next : deadline))
			;
		/* one that stopped itself after it was asked, and before it took note */
		inside_signal(r->inside, SIGCONT);
	}
	o->forced = !inside_done(r->inside);
}

/* Tools run in sessions of their own and outlive their agent: its end is the end of all of them. */
static void
clear(struct run *r)
{
	struct order *o = r->o;
	bool over = r->end == END_CANCELLED || r->end == END_ORDER;

	/* what has not told that it runs yet cannot be signalled, and goes with its sandbox */
	over = over || (r->end != END_ITSELF && !r->inside->running);
	if (!over && r->inside->running && !r->inside->ended) {
		inside_signal(r->inside, SIGKILL);
		o->processes_killed++;
	}
	if (!over && inside_clear(r->inside))
		inside_release(r->inside);
	else
		inside_finish(r->inside);
}

/* The program is gone and everything it left has been ended: its pipes must end too. */
static void
drain(struct run *r)
{
	struct order *o = r->o;
	int64_t deadline = loop_now(&o->loop) + LAST_FACT_US;

	while (!(loop_reader_done(&r->out) && loop_reader_done(&r->err)) &&
	       loop_turn(&o->loop, deadline))
		;
	loop_reader_close(&r->out);
	loop_reader_close(&r->err);
	loop_writer_close(&r->in);
	lines_end(&r->lines);
	lines_free(&r->lines);
}

/* ---- what it came to */

static void
tell_timeout(struct order *o, const char *which, int64_t seconds, struct failure *f)
{
	json_t *fields = json_object();

	json_object_set_new(fields, "timeout", json_string(which));
	json_object_set_new(fields, "seconds", json_integer(seconds));
	journal_write(&o->journal, P_E_agent_command_timeout, log_level_error, fields);
	if (strcmp(which, "idle") == 0)
		FAIL(f, timeout, "idle timeout: no output for %lld seconds", (long long)seconds);
	else
		FAIL(f, timeout, "%s timeout after %lld seconds", which, (long long)seconds);
}

static void
tell_end(struct run *r, const struct agent_outcome *out)
{
	struct order *o = r->o;
	json_t *fields = json_object();
	int st = r->inside->wait_status;

	if (r->inside->ended && !WIFSIGNALED(st))
		json_object_set_new(fields, "exit_status", json_integer(WEXITSTATUS(st)));
	if (out->ok) {
		json_object_set_new(fields, "duration_seconds", json_real(out->usage.wall_seconds));
		journal_set_text(fields, "session_id",
		    out->session[0] != '\0' ? out->session : NULL, AGENT_SESSION_MAX);
		json_object_set_new(fields, "usage", p_to_json(&p_type_usage, &out->usage));
		journal_write(&o->journal, P_E_agent_command_completed, log_level_info, fields);
		return;
	}
	if (r->inside->ended && WIFSIGNALED(st))
		json_object_set_new(fields, "signal", json_integer(WTERMSIG(st)));
	journal_set_text(fields, "error_message", out->failure.msg, 2000);
	journal_set_text(
	    fields, "error_category", P_ENUM_NAME(error_category, out->failure.category), 32);
	if (r->err_tail.len > 0)
		json_object_set_new(
		    fields, "stderr", journal_text(r->err_tail.p, r->err_tail.len, STDERR_KEEP));
	journal_write(&o->journal, P_E_agent_command_failed, log_level_error, fields);
}

static void
judge(struct run *r, struct agent_outcome *out)
{
	struct order *o = r->o;
	struct agent_verdict v = {0};
	int st = r->inside->wait_status;
	struct agent_exit e = {
	    .signaled = WIFSIGNALED(st),
	    .code = WIFSIGNALED(st) ? WTERMSIG(st) : WEXITSTATUS(st),
	    .stderr_tail = r->err_tail.len > 0 ? r->err_tail.p : "",
	};

	switch (r->end) {
	case END_CANCELLED:
		FAIL(&out->failure, cancelled, "cancelled");
		return;
	case END_STEP:
		tell_timeout(o, "step", r->task->seconds, &out->failure);
		return;
	case END_IDLE:
		tell_timeout(o, "idle", o->job.timeouts.idle, &out->failure);
		return;
	case END_ORDER:
		tell_timeout(o, "order", o->job.timeouts.order, &out->failure);
		return;
	case END_ITSELF:
		break;
	}
	if (r->inside->failed) {
		/* the last step of the set-up is the program itself */
		if (strncmp(r->inside->what.what, "starting /", 10) == 0)
			FAIL(&out->failure, agent, "agent program '%s' could not be started: %s",
			    o->program.path, strerror(r->inside->what.err));
		else
			FAIL(&out->failure, internal,
			    "the agent's sandbox could not be built: %s: %s", r->inside->what.what,
			    strerror(r->inside->what.err));
		return;
	}
	if (!r->inside->ended) {
		FAIL(&out->failure, transient, "the agent's sandbox was ended from outside");
		return;
	}
	o->adapter->verdict(&r->stream, &e, &v);
	out->ok = v.ok;
	out->session_lost = v.session_lost;
	out->failure = v.failure;
}

static void
take_usage(struct run *r, struct agent_outcome *out)
{
	out->usage = r->stream.usage;
	P_SET(usage, &out->usage, wall_seconds, (double)(loop_now(&r->o->loop) - r->began) / 1e6);
	if (r->inside->ended) {
		P_SET(usage, &out->usage, cpu_seconds, (double)r->inside->cpu_us / 1e6);
		P_SET(usage, &out->usage, memory_peak_bytes, (int64_t)r->inside->maxrss_bytes);
	}
}

int
agent_run(struct order *o, const struct agent_task *task, struct agent_outcome *out)
{
	const struct job *job = &o->job;
	struct run r = {.o = o,
	    .task = task,
	    .stream = {.item = on_item},
	    .out_file.fd = -1,
	    .err_file.fd = -1};
	struct p_strv argv = {0};

	*out = (struct agent_outcome){0};
	r.stream.ctx = &r;
	if (order_may_go_on(o, &out->failure) != 0)
		return -1;
	o->adapter->argv(
	    &(struct agent_request){
		.program = o->program.path,
		.model = task->model != NULL ? task->model : job->agent.model,
		.max_turns = task->max_turns > 0 ? task->max_turns : job->agent.max_turns,
		.session = task->session,
		.args = &job->agent.args,
	    },
	    &argv);
	tell_started(o, task, &argv);
	r.began = r.last_output = loop_now(&o->loop);
	lines_init(&r.lines, AGENT_LINE_MAX, on_line, &r);
	if (launch(&r, &argv, &out->failure) != 0) {
		p_strv_free(&argv);
		return -1;
	}
	p_strv_free(&argv);
	artifact_open(o, &r.out_file, job->keep_outputs, task->file, ".jsonl");
	artifact_open(o, &r.err_file, job->keep_outputs, task->file, ".stderr");
	r.end = wait_for_end(&r);
	if (r.end != END_ITSELF)
		ask_to_end(&r);
	clear(&r);
	drain(&r);
	take_usage(&r, out);
	memcpy(out->session, r.stream.session, sizeof(out->session));
	out->doubtful = r.stream.doubtful;
	out->denied = r.stream.denied;
	judge(&r, out);
	artifact_close(&r.out_file, &out->artifacts);
	artifact_close(&r.err_file, &out->artifacts);
	tell_end(&r, out);
	out->text = r.stream.text;
	buf_free(&r.err_tail);
	return r.end == END_CANCELLED || r.end == END_ORDER ||
		       out->failure.category == error_category_internal
		   ? -1
		   : 0;
}

void
agent_outcome_free(struct agent_outcome *out)
{
	buf_free(&out->text);
	p_strv_free(&out->artifacts);
}
