/* Runs of awo-git, awo-forge and agents' --version outside of any order's worker: one request in, one answer out, with a deadline. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>

#include "awod/credentials.h"
#include "awod/engine_priv.h"
#include "awod/gh_token.h"
#include "common/buf.h"
#include "common/clean.h"
#include "common/files.h"
#include "common/log.h"
#include "common/repo_url.h"

#define ANSWER_MAX (64U << 20)

struct task {
	struct task *next;
	struct engine *e;
	uint64_t tag;
	struct bufferevent *answer;	/* NULL after end of file */
	struct event *deadline;
	struct buf text;
	bool exited, timed_out, too_long;
	bool started;			/* its program runs */
	bool never_started;		/* not even when its time was over */
	bool early, asked;		/* as asked for */
	enum sup_program program;
	uint32_t asked_by;
	bool told;			/* it said that it has done its work, and so was its caller */
	int status;
	char verb[32];
	char spawn_error[160];
	bool spawn_short;		/* for want of something that the host may have again later */
	engine_task_done *done;
	void *arg;
};

static void
task_free(struct task *t)
{
	struct task **p = &t->e->tasks;

	while (*p != t)
		p = &(*p)->next;
	*p = t->next;
	if (t->answer != NULL)
		bufferevent_free(t->answer);
	if (t->deadline != NULL)
		event_free(t->deadline);
	buf_free(&t->text);
	free(t);
}

/* The last line of what the program printed. */
static json_t *
last_line(struct task *t)
{
	const char *p = t->text.p;
	size_t len = t->text.len;

	while (len > 0 && (p[len - 1] == '\n' || p[len - 1] == ' '))
		len--;
	for (size_t i = len; i > 0; i--)
		if (p[i - 1] == '\n') {
			p += i;
			len -= i;
			break;
		}
	return len > 0 ? json_loadb(p, len, 0, NULL) : NULL;
}

bool
is_shortage(int error)
{
	switch (error) {
	case EAGAIN:
	case ENOMEM:
	case EMFILE:
	case ENFILE:
	case ENOSPC:
	case EDQUOT:
	case EROFS:
	case EIO:
		return true;
	default:
		return false;
	}
}

/*
 * Acts when both are known: the answer is complete and the process has ended. Who cannot wait is told before, when all went well:
 * the answer is the last that such a process does, and its end takes as long as that of its namespaces.
 */
static void
task_check(struct task *t)
{
	CLEAN_JSON json_t *answer = NULL;
	struct awo_err err = {0};
	const json_t *error;

	if (t->answer != NULL)
		return;
	if (t->early && !t->told && !t->timed_out && !t->too_long) {
		answer = last_line(t);
		t->told = json_is_true(json_object_get(answer, "ok"));
		if (t->told) {
			t->done(t->arg, &err, answer);
			buf_free(&t->text);
		}
	}
	if (!t->exited)
		return;
	if (t->told) {
		task_free(t);
		return;
	}
	if (answer == NULL)
		answer = last_line(t);
	error = json_object_get(answer, "error");
	if (t->spawn_error[0] != '\0' && t->spawn_short)
		ERR(&err, RESOURCE_EXHAUSTED, "", "%s", t->spawn_error);
	else if (t->spawn_error[0] != '\0')
		ERR(&err, INTERNAL, "", "%s", t->spawn_error);
	else if (t->never_started)
		ERR(&err, UNAVAILABLE, "", "%s could not be started in time: the host is busy; try again", t->verb);
	else if (t->timed_out)
		ERR(&err, DEADLINE_EXCEEDED, "", "%s took longer than it may", t->verb);
	else if (t->too_long)
		ERR(&err, RESOURCE_EXHAUSTED, "", "the answer of %s is larger than %u MiB", t->verb, ANSWER_MAX >> 20);
	else if (json_is_object(error)) {
		const char *msg = json_string_value(json_object_get(error, "message"));
		const char *reason = json_string_value(json_object_get(error, "reason"));
		const char *category = json_string_value(json_object_get(error, "category"));

		if (reason != NULL && strcmp(reason, "not_found") == 0)
			ERR(&err, NOT_FOUND, "", "%s", msg != NULL ? msg : "not found");
		else if (category != NULL && strcmp(category, "transient") == 0)
			ERR(&err, UNAVAILABLE, "", "%s", msg != NULL ? msg : "not available");
		else if (category != NULL && strcmp(category, "internal") == 0)
			ERR(&err, INTERNAL, "", "%s", msg != NULL ? msg : "internal error");
		else
			ERR(&err, FAILED_PRECONDITION, "", "%s", msg != NULL ? msg : "refused");
	} else if (!json_is_true(json_object_get(answer, "ok")) && t->status > 128)
		ERR(&err, UNAVAILABLE, "", "%s was killed by signal %d", t->verb, t->status - 128);
	else if (!json_is_true(json_object_get(answer, "ok")))
		ERR(&err, INTERNAL, "", "%s ended with status %d and gave no answer", t->verb, t->status);
	t->done(t->arg, &err, json_is_true(json_object_get(answer, "ok")) ? answer : json_object_get(answer, "error"));
	task_free(t);
}

static void
on_read(struct bufferevent *bev, void *arg)
{
	struct task *t = arg;
	struct evbuffer *in = bufferevent_get_input(bev);
	size_t n = evbuffer_get_length(in);

	if (t->text.len + n > ANSWER_MAX) {
		t->too_long = true;
		evbuffer_drain(in, n);
		return;
	}
	buf_reserve(&t->text, n + 1);
	n = (size_t)evbuffer_remove(in, t->text.p + t->text.len, n);
	t->text.len += n;
	t->text.p[t->text.len] = '\0';
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	struct task *t = arg;

	if ((what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) == 0)
		return;
	on_read(bev, t);
	bufferevent_free(bev);
	t->answer = NULL;
	task_check(t);
}

static void
kill_task(struct task *t)
{
	struct sup_msg m;

	suplink_msg(&m, SUP_KILL, SUP_TASK);
	m.tag = t->tag;
	suplink_send(t->e->sup, &m, NULL, 0);
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct task *t = arg;

	(void)fd;
	(void)what;
	t->timed_out = true;
	t->never_started = !t->started;
	kill_task(t);
}

/* Each is a process or more, and an agent's program may have hundreds of megabytes: nobody has the host to themselves. */
static int
check_room(const struct engine *e, const struct engine_task *in, struct awo_err *err)
{
	static const unsigned at_once[] = {[SUP_GIT] = 16, [SUP_FORGE] = 8, [SUP_AGENT_VERSION] = 2};
	unsigned n = 0;

	if (!in->asked)
		return 0;
	for (const struct task *t = e->tasks; t != NULL; t = t->next)
		n += t->asked && t->program == in->program && t->asked_by == in->asked_by;
	if (n < at_once[in->program])
		return 0;
	return ERR(err, RESOURCE_EXHAUSTED, "",
	    "%u runs of %s like this one are busy for you already, which is the limit: try again when one has ended", n,
	    in->program == SUP_GIT ? "awo-git" : in->program == SUP_FORGE ? "awo-forge" : "an agent's program");
}

void
engine_task(struct engine *e, const struct engine_task *in, engine_task_done *done, void *arg)
{
	struct awo_err full = {0};
	struct timeval tv = {.tv_sec = in->timeout_ms / 1000, .tv_usec = (in->timeout_ms % 1000) * 1000L};
	struct task *t;
	struct sup_msg m;
	char *text;
	int fds[2] = {-1, -1}, pipefd[2];

	if (check_room(e, in, &full) != 0) {
		json_decref(in->request);
		done(arg, &full, NULL);
		return;
	}
	t = xcalloc(1, sizeof(*t));
	t->e = e;
	t->tag = ++e->next_tag;
	t->done = done;
	t->early = in->early;
	t->asked = in->asked;
	t->program = in->program;
	t->asked_by = in->asked_by;
	t->arg = arg;
	snprintf(t->verb, sizeof(t->verb), "%s", in->verb);
	t->next = e->tasks;
	e->tasks = t;
	suplink_msg(&m, SUP_SPAWN, SUP_TASK);
	m.program = in->program;
	m.flags = in->flags;
	m.owner_uid = in->owner_uid;
	m.tag = t->tag;
	snprintf(m.verb, sizeof(m.verb), "%s", in->verb);
	snprintf(m.id, sizeof(m.id), "%s", in->id != NULL ? in->id : "");
	snprintf(m.cache, sizeof(m.cache), "%s", in->cache != NULL ? in->cache : "");
	m.limits = (struct child_limits){.core = 1, .nofile = 4096, .fsize = (uint64_t)e->b->conf->limit_fsize,
	    .nproc = (uint64_t)e->b->conf->limit_nproc, .memlock = (uint64_t)e->b->conf->limit_memlock};
	text = json_dumps(in->request, JSON_COMPACT);
	json_decref(in->request);
	if (text != NULL) {
		fds[0] = files_memfd("request", text, strlen(text));
		secret_free(text);	/* it may hold a credential */
	}
	if (fds[0] < 0 || pipe2(pipefd, O_CLOEXEC) != 0) {
		if (fds[0] >= 0)
			close(fds[0]);
		t->spawn_short = is_shortage(errno);
		snprintf(t->spawn_error, sizeof(t->spawn_error), "cannot start %s: %s", in->verb, strerror(errno));
		t->exited = true;
		task_check(t);
		return;
	}
	fds[1] = pipefd[1];
	evutil_make_socket_nonblocking(pipefd[0]);
	t->answer = bufferevent_socket_new(e->b->base, pipefd[0], BEV_OPT_CLOSE_ON_FREE);
	t->deadline = evtimer_new(e->b->base, on_deadline, t);
	AWO_ASSERT(t->answer != NULL && t->deadline != NULL);
	bufferevent_setcb(t->answer, on_read, NULL, on_event, t);
	bufferevent_enable(t->answer, EV_READ);
	evtimer_add(t->deadline, &tv);
	suplink_send(e->sup, &m, fds, 2);
}

static struct task *
task_find(struct engine *e, uint64_t tag)
{
	struct task *t;

	for (t = e->tasks; t != NULL && t->tag != tag; t = t->next)
		;
	return t;
}

void
task_spawned(struct engine *e, const struct sup_msg *m)
{
	struct task *t = task_find(e, m->tag);

	if (t == NULL)
		return;
	if (m->err == 0) {
		t->started = true;
		return;
	}
	snprintf(t->spawn_error, sizeof(t->spawn_error), "cannot start %s: %s: %s", t->verb,
	    m->what[0] != '\0' ? m->what : "spawn", strerror(m->err));
	t->spawn_short = is_shortage(m->err);
	t->exited = true;
	if (t->answer != NULL)
		bufferevent_free(t->answer);
	t->answer = NULL;
	task_check(t);
}

void
task_exited(struct engine *e, const struct sup_msg *m)
{
	struct task *t = task_find(e, m->tag);

	if (t == NULL)
		return;
	t->exited = true;
	t->status = m->status;
	task_check(t);
}

void
task_close_all(struct engine *e)
{
	while (e->tasks != NULL) {
		/* each leaves the list when it is freed; NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
		kill_task(e->tasks);
		task_free(e->tasks);
	}
}

/* ---- what a request to a remote needs */

static json_t *
stored(struct engine *e, uint32_t uid, enum p_credential_kind kind, const char *host, const char *how)
{
	struct p_credential c;
	void *sealed = NULL;
	size_t len = 0;
	char *secret, *context, *colon;
	json_t *out = NULL;

	if (store_credential_get(e->b->store, uid, NULL, kind, host, &c, &sealed, &len, NULL) != 0)
		return NULL;
	context = xasprintf("%s:%s", c.owner, c.name);
	secret = keyring_open_sealed(e->b->keys, context, sealed, len, NULL);
	free(context);
	free(sealed);
	P_FREE(credential, &c);
	if (secret == NULL)
		return NULL;
	if (strcmp(how, "password") == 0 && (colon = strchr(secret, ':')) != NULL) {
		*colon = '\0';
		out = json_pack("{s:s,s:s,s:s}", "kind", how, "user", secret, "secret", colon + 1);
		*colon = ':';
	} else
		out = json_pack("{s:s,s:s,s:s}", "kind", how, "user", "", "secret", secret);
	secret_free(secret);
	return out;
}

char *
engine_forge_token(struct engine *e, uint32_t uid, const char *host_port)
{
	const struct config *c = e->b->conf;
	json_t *found = stored(e, uid, credential_kind_github_token, host_port, "token");
	char *out = NULL;

	if (found != NULL) {
		out = xstrdup(json_string_value(json_object_get(found, "secret")));
		json_decref(found);
	} else if (c->github_token != NULL && c->github_token[0] != '\0' && strcmp(host_port, c->github_host) == 0)
		out = xstrdup(c->github_token);
	else if (strcmp(host_port, c->github_host) == 0)
		out = xstrdup(gh_token_get(e->b->gh));
	return out;
}

json_t *
engine_git_credential(struct engine *e, uint32_t uid, const char *repository_url)
{
	struct repo_url u;
	json_t *out;
	char *token;

	if (repo_url_parse(repository_url, &u, NULL) != 0)
		return NULL;
	switch (u.scheme) {
	case REPO_FILE:
		return NULL;
	case REPO_SSH:
		out = stored(e, uid, credential_kind_ssh_key, u.host_port, "ssh_key");
		if (out != NULL)
			json_object_set_new(out, "user", json_string(u.user));
		return out;
	case REPO_HTTPS:
	case REPO_HTTP:
		break;
	}
	out = stored(e, uid, credential_kind_git_password, u.host_port, "password");
	if (out != NULL)
		return out;
	token = engine_forge_token(e, uid, u.host_port);
	if (token == NULL)
		return NULL;
	out = json_pack("{s:s,s:s,s:s}", "kind", "token", "user", "x-access-token", "secret", token);
	secret_free(token);
	return out;
}

/* The text of the known hosts files that apply; "" when there is none. */
static char *
known_hosts(struct engine *e)
{
	const struct config *c = e->b->conf;
	struct buf b = {0};
	CLEAN_FREE char *own = NULL;
	const char *home = getenv("HOME");
	const char *files[2] = {NULL, NULL};
	size_t n = 0;

	if (c->known_hosts != NULL)
		files[n++] = c->known_hosts;
	else {
		if (e->b->opt->user_mode && home != NULL) {
			own = xasprintf("%s/.ssh/known_hosts", home);
			files[n++] = own;
		}
		files[n++] = "/etc/ssh/ssh_known_hosts";
	}
	for (size_t i = 0; i < n; i++) {
		size_t len = 0;
		CLEAN_FREE char *text = files_read(AT_FDCWD, files[i], 4U << 20, &len);

		if (text != NULL) {
			buf_add(&b, text, len);
			buf_addc(&b, '\n');
		}
	}
	return buf_take(&b);
}

json_t *
engine_remote_request(struct engine *e, uint32_t uid, const char *repository_url)
{
	json_t *r = json_object(), *credential = engine_git_credential(e, uid, repository_url);
	CLEAN_FREE char *hosts = NULL;
	struct repo_url u;

	json_object_set_new(r, "url", json_string(repository_url));
	json_object_set_new(r, "credential", credential != NULL ? credential : json_null());
	json_object_set_new(r, "timeout_seconds", json_integer(e->b->conf->git_timeout));
	if (repo_url_parse(repository_url, &u, NULL) == 0) {
		json_object_set_new(r, "url", json_string(u.canonical));
		if (u.scheme == REPO_FILE)
			json_object_set_new(r, "local_path", json_string(u.path));
		if (u.scheme == REPO_SSH) {
			hosts = known_hosts(e);
			json_object_set_new(r, "known_hosts", json_string(hosts));
		}
	}
	return r;
}
