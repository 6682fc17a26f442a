/* Runs awo-git and awo-forge: one verb, one process, one JSON request and answer. */
#include "awo-worker/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "awo-worker/order.h"
#include "common/buf.h"
#include "common/clean.h"
#include "common/clock.h"
#include "common/files.h"

#define ANSWER_MAX (16U << 20)
#define LAST_FACT_US (5 * 1000000LL) /* between the end of output and the end of the process */

static const char *const programs[] = {[HELPER_GIT] = "/awo/libexec/awo-git-local",
    [HELPER_GIT_REMOTE] = "/awo/libexec/awo-git",
    [HELPER_FORGE] = "/awo/libexec/awo-forge"};
static const char *const names[] = {
    [HELPER_GIT] = "awo-git", [HELPER_GIT_REMOTE] = "awo-git", [HELPER_FORGE] = "awo-forge"};
/* built from nothing; the libraries in the helpers must find no home and no settings */
static const char *const environment[] = {
    "PATH=/usr/bin:/bin", "LANG=C.UTF-8", "HOME=/nonexistent", "TMPDIR=/tmp", NULL};

static void
on_line(void *ctx, const char *p, size_t len, bool cut)
{
	struct helper *h = ctx;
	json_t *o;

	if (cut)
		return;
	o = json_loadb(p, len, 0, NULL);
	/* the others are progress, which a resident worker does not show */
	if (json_is_boolean(json_object_get(o, "ok"))) {
		json_decref(h->answer);
		h->answer = json_incref(o);
	}
	json_decref(o);
}

static void
on_out(void *ctx, const char *p, size_t n)
{
	struct helper *h = ctx;

	lines_feed(&h->lines, p, n);
}

static int
spawn_outside(const struct helper_call *call, int in, int out, pid_t *pid)
{
	const char *argv[] = {names[call->program], call->verb, NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int e;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in, 0);
	posix_spawn_file_actions_adddup2(&actions, out, 1);
	/* the same number on both sides loses its close-on-exec flag, as it should */
	if (call->fd3 >= 0)
		posix_spawn_file_actions_adddup2(&actions, call->fd3, 3);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	e = posix_spawn(pid, programs[call->program], &actions, &attr,
	    (char *const *)(uintptr_t)argv, (char *const *)(uintptr_t)environment);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return e;
}

static int
start_outside(struct order *o, struct helper *h, int in, int out, struct failure *f)
{
	pid_t pid;
	int e = spawn_outside(&h->call, in, out, &pid);

	if (e != 0)
		return FAIL(f, internal, "%s could not be started: %s", names[h->call.program],
		    strerror(e));
	h->child = (struct loop_child){.pid = pid};
	loop_child_add(&o->loop, &h->child);
	o->outside = pid;
	return 0;
}

static int
start_inside(struct order *o, struct helper *h, int in, int out, struct failure *f)
{
	const char *argv[] = {names[h->call.program], h->call.verb, NULL};
	int exec_fd CLEAN_FD = open(programs[h->call.program], O_RDONLY | O_CLOEXEC);
	const struct sandbox_mount save = {
	    .source = h->call.save_dir, .target = "/awo/saved", .writable = true};
	struct sandbox_launch l = {
	    .argv = argv,
	    .exec_fd = exec_fd,
	    .envp = environment,
	    .mounts = &save,
	    .nmounts = h->call.save_dir != NULL ? 1 : 0,
	    .stdin_fd = in,
	    .stdout_fd = out,
	    .stderr_fd = -1,
	    .fd3 = h->call.fd3,
	};

	if (exec_fd < 0)
		return FAIL(
		    f, internal, "%s is missing: %s", programs[h->call.program], strerror(errno));
	/* what needs a directory of its own there needs a sandbox of its own */
	if (o->standing && h->call.save_dir == NULL) {
		h->inside = o->sandbox;
		if (inside_more(h->inside, &l, f) == 0)
			return 0;
		o->standing = false;
		inside_finish(h->inside);
	}
	h->inside = &h->own;
	return inside_start(o, h->inside, &l, f);
}

int
helper_start(struct order *o, const struct helper_call *call, struct helper *h, struct failure *f)
{
	json_t *request CLEAN_JSON = call->request;
	char *text = NULL;
	int in CLEAN_FD = -1, fd3 CLEAN_FD = call->fd3;
	int out[2] = {-1, -1}, r;

	(void)fd3; /* only to be closed */
	*h = (struct helper){.call = *call, .began = loop_now(&o->loop)};
	h->call.request = NULL;
	if (order_may_go_on(o, f) != 0)
		return -1;
	text = json_dumps(request, JSON_COMPACT);
	if (text != NULL) {
		in = files_memfd("request", text, strlen(text));
		/* it may hold a credential */
		explicit_bzero(text, strlen(text));
		free(text);
	}
	if (in < 0 || pipe2(out, O_CLOEXEC) != 0)
		return FAIL(f, internal, "%s could not be started: %s", names[call->program],
		    strerror(errno));
	r = call->sandboxed ? start_inside(o, h, in, out[1], f)
			    : start_outside(o, h, in, out[1], f);
	close(out[1]);
	if (r != 0) {
		close(out[0]);
		return -1;
	}
	lines_init(&h->lines, ANSWER_MAX, on_line, h);
	loop_reader_open(&o->loop, &h->out, out[0], on_out, h);
	return 0;
}

static bool
process_over(const struct helper *h)
{
	return h->call.sandboxed ? inside_done(h->inside) : h->child.ended;
}

static void
end_process(struct order *o, struct helper *h)
{
	if (h->inside != NULL && h->inside != &h->own) {
		/* for the next one, or not any more */
		o->standing = h->inside->ended && inside_clear(h->inside);
		if (!o->standing)
			inside_finish(h->inside);
	} else if (h->call.sandboxed) {
		inside_finish(h->inside);
	} else {
		int64_t grace = loop_now(&o->loop) + h->call.grace_us;

		while (o->cancelled && h->call.grace_us > 0 && !h->child.ended &&
		       loop_turn(&o->loop, grace))
			;
		if (!h->child.ended)
			kill(h->child.pid, SIGKILL);
		while (!h->child.ended)
			loop_turn(&o->loop, 0);
		loop_child_remove(&o->loop, &h->child);
		if (o->outside == h->child.pid)
			o->outside = 0;
	}
	loop_reader_close(&h->out);
	lines_end(&h->lines);
	lines_free(&h->lines);
}

const json_t *
helper_answered(struct order *o, struct helper *h)
{
	int64_t deadline = h->began + h->call.seconds * 1000000;

	while (h->answer == NULL && !o->cancelled && !loop_reader_done(&h->out) &&
	       loop_turn(&o->loop, deadline))
		;
	return h->answer;
}

static int
exit_status(const struct helper *h)
{
	int st = h->call.sandboxed ? h->inside->wait_status : h->child.status;

	return WIFSIGNALED(st) ? 128 + WTERMSIG(st) : WEXITSTATUS(st);
}

static void
tell_executed(struct order *o, const struct helper *h)
{
	json_t *fields = json_object();
	char command[64];

	snprintf(command, sizeof(command), "%s %s", names[h->call.program], h->call.verb);
	json_object_set_new(fields, "command", json_string(command));
	json_object_set_new(fields, "exit_status", json_integer(exit_status(h)));
	json_object_set_new(
	    fields, "duration_seconds", json_real((double)(loop_now(&o->loop) - h->began) / 1e6));
	journal_write(&o->journal, P_E_sandbox_command_executed, log_level_debug, fields);
}

static void
take_error(const struct helper *h, struct failure *f)
{
	const json_t *e = json_object_get(h->answer, "error");
	const char *reason = helper_string(e, "reason"), *message = helper_string(e, "message");
	int value = p_enum_value(&p_enum_error_category, helper_string(e, "category"));
	enum p_error_category category =
	    value != 0 ? (enum p_error_category)value : error_category_internal;

	if (h->call.program == HELPER_FORGE && category != error_category_internal) {
		bool again =
		    strcmp(reason, "rate_limited") == 0 || strcmp(reason, "unreachable") == 0;

		category = again || category == error_category_transient ? error_category_transient
									 : error_category_github;
	}
	failure_set(f, category, "%s", message[0] != '\0' ? message : "failed without saying why");
	snprintf(f->reason, sizeof(f->reason), "%s", reason);
	f->retry_after = helper_int(e, "retry_after_seconds");
	if (f->retry_after == 0)
		f->retry_after = helper_int(h->answer, "retry_after_seconds");
}

static void
no_answer(const struct helper *h, struct failure *f)
{
	const char *name = names[h->call.program];
	int st = h->call.sandboxed ? h->inside->wait_status : h->child.status;

	if (h->call.sandboxed && h->inside->failed)
		FAIL(f, internal, "the sandbox for %s could not be built: %s: %s", name,
		    h->inside->what.what, strerror(h->inside->what.err));
	else if (WIFSIGNALED(st) && WTERMSIG(st) == SIGKILL)
		FAIL(f, resource, "%s %s was killed, probably for want of memory", name,
		    h->call.verb);
	else if (WIFSIGNALED(st))
		FAIL(
		    f, internal, "%s %s was killed by signal %d", name, h->call.verb, WTERMSIG(st));
	else
		FAIL(f, internal, "%s %s ended with status %d and no answer", name, h->call.verb,
		    WEXITSTATUS(st));
}

json_t *
helper_wait(struct order *o, struct helper *h, struct failure *f)
{
	int64_t deadline = h->began + h->call.seconds * 1000000, last = 0;
	const int64_t whole = order_deadline(o);
	json_t *answer CLEAN_JSON = NULL;
	bool late = false;

	/* the order's own time may be up before the verb's */
	if (whole != 0 && whole < deadline)
		deadline = whole;
	while (!late && !o->cancelled && !(process_over(h) && loop_reader_done(&h->out))) {
		if (last == 0 && (process_over(h) || loop_reader_done(&h->out)))
			last = loop_now(&o->loop) + LAST_FACT_US;
		late = !loop_turn(&o->loop, last != 0 ? last : deadline);
	}
	end_process(o, h);
	if (h->call.sandboxed)
		tell_executed(o, h);
	answer = TAKE_PTR(h->answer);
	h->answer = NULL;
	if (o->cancelled) {
		FAIL(f, cancelled, "cancelled");
		return NULL;
	}
	if (json_is_true(json_object_get(answer, "ok")))
		return TAKE_PTR(answer);
	h->answer = answer;
	if (answer != NULL)
		take_error(h, f);
	else if (late && last == 0 && deadline == whole)
		FAIL(f, timeout, "order timeout after %lld seconds",
		    (long long)o->job.timeouts.order);
	else if (late && last == 0)
		FAIL(f, transient, "%s %s took longer than %lld seconds", names[h->call.program],
		    h->call.verb, (long long)h->call.seconds);
	else
		no_answer(h, f);
	h->answer = NULL;
	return NULL;
}

json_t *
helper_run(struct order *o, const struct helper_call *call, struct failure *f)
{
	struct helper h;

	return helper_start(o, call, &h, f) == 0 ? helper_wait(o, &h, f) : NULL;
}

const char *
helper_string(const json_t *answer, const char *key)
{
	const char *s = json_string_value(json_object_get(answer, key));

	return s != NULL ? s : "";
}

int64_t
helper_int(const json_t *answer, const char *key)
{
	return json_integer_value(json_object_get(answer, key));
}
