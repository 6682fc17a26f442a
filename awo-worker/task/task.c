/* Reads a helper's request, runs one verb under a deadline, writes its answer. */
#include "awo-worker/task/task.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clean.h"
#include "common/files.h"
#include "common/text.h"

/* What the handler of SIGALRM may look at: only lock-free words and bytes made before the timer
 * runs. */
static struct {
	char line[1024];
	size_t len;
	volatile sig_atomic_t answering;
} on_time;

int
task_fail(struct task *t, const char *category, const char *reason, const char *fmt, ...)
{
	char raw[sizeof(t->err.msg)];
	struct buf clean = {0};
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	text_add_utf8(&clean, raw, strlen(raw), sizeof(t->err.msg) - 1);
	(void)snprintf(t->err.msg, sizeof(t->err.msg), "%s", clean.p ? clean.p : "");
	buf_free(&clean);
	t->err.category = category;
	t->err.reason = reason;
	return -1;
}

bool
task_failed(const struct task *t)
{
	return t->err.category != NULL;
}

const char *
task_str_opt(struct task *t, const char *key, size_t max)
{
	json_t *v = json_object_get(t->req, key);

	if (v == NULL || json_is_null(v))
		return NULL;
	if (!json_is_string(v)) {
		TASK_FAIL(t, "internal", "invalid", "%s: must be a string", key);
		return NULL;
	}
	if (json_string_length(v) > max) {
		TASK_FAIL(t, "internal", "invalid", "%s: longer than %zu bytes", key, max);
		return NULL;
	}
	if (strlen(json_string_value(v)) != json_string_length(v)) {
		TASK_FAIL(t, "internal", "invalid", "%s: has a NUL character", key);
		return NULL;
	}
	return json_string_value(v);
}

const char *
task_str(struct task *t, const char *key, size_t max)
{
	const char *s = task_str_opt(t, key, max);

	if (task_failed(t))
		return NULL;
	if (s == NULL || *s == '\0') {
		TASK_FAIL(t, "internal", "invalid", "%s: required", key);
		return NULL;
	}
	return s;
}

bool
task_int(struct task *t, const char *key, int64_t def, int64_t min, int64_t max, int64_t *out)
{
	json_t *v = json_object_get(t->req, key);

	*out = def;
	if (v == NULL || json_is_null(v))
		return true;
	if (!json_is_integer(v) || json_integer_value(v) < min || json_integer_value(v) > max) {
		TASK_FAIL(t, "internal", "invalid", "%s: must be an integer from %lld to %lld", key,
		    (long long)min, (long long)max);
		return false;
	}
	*out = json_integer_value(v);
	return true;
}

bool
task_bool(struct task *t, const char *key, bool def)
{
	json_t *v = json_object_get(t->req, key);

	return json_is_boolean(v) ? json_is_true(v) : def;
}

json_t *
task_text(const char *s, size_t len, size_t max)
{
	CLEAN_BUF struct buf b = {0};
	json_t *j;

	text_add_utf8(&b, s, len, max);
	j = json_stringn(b.p ? b.p : "", b.len);
	return j != NULL ? j : json_string("");
}

static int
write_line(json_t *j)
{
	CLEAN_FREE char *text = json_dumps(j, JSON_COMPACT);
	CLEAN_BUF struct buf b = {0};

	if (text == NULL)
		return -1;
	buf_adds(&b, text);
	buf_addc(&b, '\n');
	return files_write_all(STDOUT_FILENO, b.p, b.len);
}

/* A deadline that passes while an answer is written must not contradict it. Callers have a deadline
 * of their own, should the answer find no reader. */
static void
hold_alarm(int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	sigprocmask(how, &set, NULL);
}

static int
write_answer(json_t *answer)
{
	if (on_time.answering)
		return 0;
	on_time.answering = 1;
	json_object_set_new(answer, "ok", json_true());
	return write_line(answer);
}

int
task_answer(struct task *t, json_t *answer)
{
	int r;

	(void)t;
	hold_alarm(SIG_BLOCK);
	r = write_answer(answer);
	/* what follows an answer, as a pack does, is within the deadline again */
	hold_alarm(SIG_UNBLOCK);
	return r;
}

static json_t *
error_object(const struct task_err *e)
{
	json_t *j = json_object(), *err = json_object();

	json_object_set_new(err, "category", json_string(e->category));
	json_object_set_new(err, "reason", json_string(e->reason));
	json_object_set_new(err, "message", task_text(e->msg, strlen(e->msg), sizeof(e->msg)));
	if (e->retry_after > 0)
		json_object_set_new(err, "retry_after_seconds", json_integer(e->retry_after));
	json_object_set_new(j, "ok", json_false());
	json_object_set_new(j, "error", err);
	return j;
}

static void
on_alarm(int sig)
{
	(void)sig;
	if (!on_time.answering) {
		ssize_t n = write(STDOUT_FILENO, on_time.line, on_time.len);
		(void)n;
	}
	_exit(1);
}

/* The answer of a passed deadline is made now, because a signal handler cannot make it. */
static void
set_deadline(const struct task_program *p, const char *verb, int64_t seconds)
{
	struct itimerval it = {.it_value = {.tv_sec = seconds}};
	struct sigaction sa = {.sa_handler = on_alarm};
	struct task t = {0};
	char *text;
	json_t *j;

	TASK_FAIL(&t, p->timeout_category, "timeout", "%s %s took longer than %lld seconds; %s",
	    p->name, verb, (long long)seconds, p->timeout_msg);
	j = error_object(&t.err);
	text = json_dumps(j, JSON_COMPACT);
	(void)snprintf(on_time.line, sizeof(on_time.line), "%s\n", text ? text : "{\"ok\":false}");
	on_time.len = strlen(on_time.line);
	free(text);
	json_decref(j);
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &it, NULL);
}

static const struct task_verb *
find_verb(const struct task_program *p, const char *name, struct task *t)
{
	for (size_t i = 0; i < p->nverbs; i++) {
		if (name != NULL && strcmp(p->verbs[i].name, name) == 0)
			return &p->verbs[i];
	}
	TASK_FAIL(
	    t, "internal", "invalid", "%s: no such verb: %s", p->name, name ? name : "(none)");
	return NULL;
}

static int
read_request(struct task *t)
{
	CLEAN_FREE char *text = NULL;
	json_error_t je;
	size_t len = 0;

	text = files_read_fd(STDIN_FILENO, TASK_REQUEST_MAX, &len);
	if (text == NULL)
		return TASK_FAIL(
		    t, "internal", "invalid", "cannot read the request: %s", strerror(errno));
	t->req = json_loadb(text, len, JSON_REJECT_DUPLICATES, &je);
	if (!json_is_object(t->req))
		return TASK_FAIL(
		    t, "internal", "invalid", "the request is no JSON object: %s", je.text);
	return 0;
}

static int
run(const struct task_program *p, char *arg, struct task *t, json_t *answer)
{
	bool stands_by = arg != NULL && strcmp(arg, TASK_STANDS_BY) == 0;
	const char *name = arg;
	const struct task_verb *v = NULL;
	int64_t seconds;

	if (stands_by) {
		if (p->ready != NULL && p->ready() < 0)
			return TASK_FAIL(t, "internal", "other", "%s cannot start", p->name);
	} else {
		if ((v = find_verb(p, name, t)) == NULL)
			return -1;
		set_deadline(p, v->name, v->seconds);
	}
	if (read_request(t) < 0)
		return -1;
	if (stands_by) {
		name = task_str(t, "verb", 64);
		if (name == NULL || (v = find_verb(p, name, t)) == NULL)
			return -1;
		/* a name in the table is as long as the argument at most */
		memset(arg, 0, strlen(TASK_STANDS_BY));
		memcpy(arg, v->name, strnlen(v->name, strlen(TASK_STANDS_BY)));
	}
	if (!task_int(t, "timeout_seconds", v->seconds, 1, 86400, &seconds))
		return -1;
	set_deadline(p, v->name, seconds);
	t->needs = v->needs;
	if (p->prepare != NULL && p->prepare(t) < 0)
		return -1;
	return v->run(t, answer);
}

int
task_main(const struct task_program *p, int argc, char **argv)
{
	CLEAN_JSON json_t *answer = json_object();
	struct task t = {0};
	int r;

	signal(SIGPIPE, SIG_IGN);
	r = run(p, argc == 2 ? argv[1] : NULL, &t, answer);
	hold_alarm(SIG_BLOCK);
	if (r == 0)
		r = write_answer(answer);
	else if (!on_time.answering) {
		CLEAN_JSON json_t *e = NULL;

		if (t.err.category == NULL)
			TASK_FAIL(&t, "internal", "other", "%s failed without saying why", p->name);
		e = error_object(&t.err);
		on_time.answering = 1;
		(void)write_line(e);
	}
	json_decref(t.req);
	return r == 0 ? 0 : 1;
}
