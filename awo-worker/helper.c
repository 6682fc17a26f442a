/* Runs awo-git and awo-forge: one verb, one process, one JSON request and answer. */
#include "awo-worker/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "awo-worker/order.h"
#include "common/buf.h"
#include "common/clean.h"
#include "common/clock.h"
#include "common/files.h"

#define ANSWER_MAX (16U << 20)
#define LAST_FACT_US (5 * 1000000LL) /* between the end of output and the end of the process */
#define STANDS_BY "standing-by"	     /* instead of a verb */

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

/* ---- starting one */

static int
spawn_outside(const struct helper_call *call, const int fds[3], pid_t *pid)
{
	const char *argv[] = {names[call->program], call->verb, NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int e;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fds[0], 0);
	posix_spawn_file_actions_adddup2(&actions, fds[1], 1);
	/* the same number on both sides loses its close-on-exec flag, as it should */
	if (fds[2] >= 0)
		posix_spawn_file_actions_adddup2(&actions, fds[2], 3);
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
start_outside(struct order *o, struct helper *h, const int fds[3], struct failure *f)
{
	pid_t pid;
	int e = spawn_outside(&h->call, fds, &pid);

	if (e != 0)
		return FAIL(f, internal, "%s could not be started: %s", names[h->call.program],
		    strerror(e));
	h->child = (struct loop_child){.pid = pid};
	loop_child_add(&o->loop, &h->child);
	o->outside = pid;
	return 0;
}

/* In the next sandbox, or in one of its own. */
static int
run_inside(struct order *o, struct inside *in, const struct helper_call *call, const int fds[3],
    struct failure *f)
{
	const char *argv[] = {names[call->program], call->verb, NULL};
	int exec_fd CLEAN_FD = open(programs[call->program], O_RDONLY | O_CLOEXEC);
	const struct sandbox_mount save = {
	    .source = call->save_dir, .target = "/awo/saved", .writable = true};
	struct sandbox_launch l = {
	    .argv = argv,
	    .exec_fd = exec_fd,
	    .envp = environment,
	    .mounts = &save,
	    .nmounts = call->save_dir != NULL ? 1 : 0,
	    .stdin_fd = fds[0],
	    .stdout_fd = fds[1],
	    .stderr_fd = -1,
	    .fd3 = fds[2],
	};

	if (exec_fd < 0)
		return FAIL(
		    f, internal, "%s is missing: %s", programs[call->program], strerror(errno));
	return in == o->next ? inside_more(in, &l, f) : inside_start(o, in, &l, f);
}

static int
start_inside(struct order *o, struct helper *h, const int fds[3], struct failure *f)
{
	/* what needs a directory of its own there needs a sandbox of its own */
	if (o->next != NULL && !o->next->failed && h->call.save_dir == NULL) {
		h->inside = o->next;
		if (run_inside(o, h->inside, &h->call, fds, f) == 0)
			return 0;
		helper_leave_sandbox(o);
	}
	h->inside = &h->own;
	return run_inside(o, h->inside, &h->call, fds, f);
}

/* ---- those that stand by */

static void
close_standby(struct helper_standby *s)
{
	s->there = false;
	if (s->in >= 0)
		close(TAKE_FD(s->in));
	if (s->out >= 0)
		close(TAKE_FD(s->out));
}

static void
leave_outside(struct order *o)
{
	struct helper_standby *s = &o->by_outside;

	if (!s->there)
		return;
	close_standby(s);
	if (!s->child.ended)
		kill(s->child.pid, SIGKILL);
	while (!s->child.ended)
		loop_turn(&o->loop, 0);
	loop_child_remove(&o->loop, &s->child);
}

void
helper_leave_sandbox(struct order *o)
{
	if (o->by_inside.there)
		close_standby(&o->by_inside);
	if (o->next != NULL)
		inside_discard(o->next);
	o->next = NULL;
}

static void
close_pack(struct order *o)
{
	for (int i = 0; i < 2; i++)
		if (o->pack[i] >= 0)
			close(TAKE_FD(o->pack[i]));
}

/* A pipe with nothing in it: what a look has written without saying so must not come before the next pack. */
static int
ready_pack(struct order *o)
{
	int n = 0;

	if (o->pack[0] >= 0 && ioctl(o->pack[0], FIONREAD, &n) == 0 && n == 0)
		return 0;
	close_pack(o);
	/* its descriptor is the old one's */
	leave_outside(o);
	return pipe2(o->pack, O_CLOEXEC);
}

static void
stand_by(struct order *o, struct helper_standby *s, bool inside)
{
	const struct helper_call call = {.program = HELPER_GIT, .verb = STANDS_BY};
	int in[2] = {-1, -1}, out[2] = {-1, -1}, fds[3];
	struct failure f = {0};
	pid_t pid = 0;

	if (pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0 &&
	    fcntl(in[1], F_SETFL, O_NONBLOCK) == 0) {
		fds[0] = in[0];
		fds[1] = out[1];
		fds[2] = o->pack[inside ? 1 : 0];
		s->there = inside ? run_inside(o, o->next, &call, fds, &f) == 0
				  : spawn_outside(&call, fds, &pid) == 0;
	}
	if (s->there) {
		s->in = TAKE_FD(in[1]);
		s->out = TAKE_FD(out[0]);
	}
	if (s->there && !inside) {
		s->child = (struct loop_child){.pid = pid};
		loop_child_add(&o->loop, &s->child);
	}
	for (int i = 0; i < 2; i++) {
		if (in[i] >= 0)
			close(in[i]);
		if (out[i] >= 0)
			close(out[i]);
	}
}

void
helper_stand_by(struct order *o, bool inside)
{
	if (!o->by_inside.there && ready_pack(o) != 0)
		return;
	if (inside && !o->by_inside.there && o->next != NULL)
		stand_by(o, &o->by_inside, true);
	if (!o->by_outside.there)
		stand_by(o, &o->by_outside, false);
}

/* The one that can take this call, or NULL. */
static struct helper_standby *
find_standby(struct order *o, const struct helper_call *call)
{
	if (call->program != HELPER_GIT || call->fd3 >= 0 || call->save_dir != NULL)
		return NULL;
	if (!call->sandboxed) {
		if (o->by_outside.there && o->by_outside.child.ended)
			leave_outside(o);
		return o->by_outside.there ? &o->by_outside : NULL;
	}
	if (o->by_inside.there && inside_done(o->next))
		helper_leave_sandbox(o);
	return o->by_inside.there ? &o->by_inside : NULL;
}

/* An empty pipe takes a request without waiting, unless that is large. */
static bool
hand_over(struct helper_standby *s, const char *text)
{
	size_t len = strlen(text);
	bool all = write(s->in, text, len) == (ssize_t)len;

	close(TAKE_FD(s->in));
	return all;
}

static void
take_standby(struct order *o, struct helper_standby *s, struct helper *h)
{
	if (h->call.sandboxed) {
		h->inside = o->next;
	} else {
		h->child = (struct loop_child){.pid = s->child.pid};
		loop_child_add(&o->loop, &h->child);
		loop_child_remove(&o->loop, &s->child);
		o->outside = h->child.pid;
	}
	loop_reader_open(&o->loop, &h->out, TAKE_FD(s->out), on_out, h);
	s->there = false;
}

/* ---- a run */

static int
start_fresh(struct order *o, struct helper *h, const char *text, struct failure *f)
{
	int in CLEAN_FD = files_memfd("request", text, strlen(text));
	int out[2] = {-1, -1}, fds[3], r;

	if (h->call.packs && h->call.sandboxed && ready_pack(o) != 0)
		return FAIL(f, internal, "no pipe: %s", strerror(errno));
	if (in < 0 || pipe2(out, O_CLOEXEC) != 0)
		return FAIL(f, internal, "%s could not be started: %s", names[h->call.program],
		    strerror(errno));
	fds[0] = in;
	fds[1] = out[1];
	fds[2] = h->call.packs ? o->pack[h->call.sandboxed ? 1 : 0] : h->call.fd3;
	r = h->call.sandboxed ? start_inside(o, h, fds, f) : start_outside(o, h, fds, f);
	close(out[1]);
	if (r != 0) {
		close(out[0]);
		return -1;
	}
	loop_reader_open(&o->loop, &h->out, out[0], on_out, h);
	return 0;
}

static int
start(struct order *o, struct helper *h, json_t *request, struct failure *f)
{
	struct helper_standby *s;
	char *text;
	int r = 0;

	if (order_may_go_on(o, f) != 0)
		return -1;
	s = find_standby(o, &h->call);
	if (s != NULL)
		json_object_set_new(request, "verb", json_string(h->call.verb));
	text = json_dumps(request, JSON_COMPACT);
	if (text == NULL)
		return FAIL(
		    f, internal, "%s: the request cannot be made", names[h->call.program]);
	lines_init(&h->lines, ANSWER_MAX, on_line, h);
	if (s != NULL && hand_over(s, text)) {
		take_standby(o, s, h);
	} else {
		if (s == &o->by_inside)
			helper_leave_sandbox(o);
		else if (s != NULL)
			leave_outside(o);
		r = start_fresh(o, h, text, f);
	}
	/* it may hold a credential */
	explicit_bzero(text, strlen(text));
	free(text);
	return r;
}

int
helper_start(struct order *o, const struct helper_call *call, struct helper *h, struct failure *f)
{
	json_t *request CLEAN_JSON = call->request;
	int fd3 CLEAN_FD = call->fd3, r;

	(void)fd3; /* only to be closed */
	*h = (struct helper){.call = *call, .began = loop_now(&o->loop)};
	h->call.request = NULL;
	r = start(o, h, request, f);
	/* now it ends with its writer */
	if (call->packs && !call->sandboxed)
		close_pack(o);
	return r;
}

/* The answer is the last thing that a helper says. One outside every sandbox is not waited for any longer: init reaps it. */
static bool
has_answered(const struct helper *h)
{
	return !h->call.sandboxed && h->answer != NULL;
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
		/* for the next program, or not any more */
		if (!h->inside->ended || !inside_clear(h->inside)) {
			inside_finish(h->inside);
			o->next = NULL;
		}
	} else if (h->call.sandboxed) {
		inside_finish(h->inside);
	} else {
		int64_t grace = loop_now(&o->loop) + h->call.grace_us;

		while (o->cancelled && h->call.grace_us > 0 && !h->child.ended &&
		       loop_turn(&o->loop, grace))
			;
		if (!h->child.ended && !has_answered(h))
			kill(h->child.pid, SIGKILL);
		while (!h->child.ended && !has_answered(h))
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
	while (!late && !o->cancelled && !has_answered(h) && !(process_over(h) && loop_reader_done(&h->out))) {
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
