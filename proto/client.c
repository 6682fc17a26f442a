/* The client library: calls over awod's Unix socket, blocking or inside a libevent loop. */
#include "proto/client.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clean.h"
#include "common/clock.h"

#define READ_SIZE 65536
#define KEPT_MAX (64U << 20) /* bytes of notifications kept while a call waits */
#define RETRY_MS 20	     /* between attempts to connect while the listener's queue is full */
#define CONNECT_MS 5000	     /* how long these attempts go on in the background */
#define RESTART_MS 15000     /* how long a restart of the daemon may take, counted from the end of the connection */
#define REPEATS_MAX 5	     /* of one call: it may be what the daemon dies of */

struct note {
	STAILQ_ENTRY(note) link;
	char *method;
	uint8_t *param;
	size_t len;
};

struct call {
	TAILQ_ENTRY(call) link;
	uint32_t id;
	enum p_method_id method;
	client_answer_cb *done;
	void *arg;
	bool failed; /* never sent; err says why */
	struct awo_err err;
};

struct client {
	int fd;
	char *path;
	struct buf in, out;
	size_t consumed; /* bytes of `in` that were taken already */
	struct p_scan scan;
	uint32_t id;
	bool broken; /* nothing more can be sent or read; why says the reason */
	bool follows; /* a stream was asked for: a new connection would not have it */
	struct awo_err why;

	/* blocking */
	STAILQ_HEAD(, note) kept;
	size_t kept_bytes;
	struct note *current; /* handed out by client_next() */

	/* in a loop */
	struct event_base *base;
	struct event *readable, *writable, *kick;
	TAILQ_HEAD(, call) calls;
	client_notify_cb *notify;
	client_closed_cb *closed;
	void *arg;
	int64_t give_up;      /* while connecting: monotonic time of the last attempt */
	bool connected, told; /* told: closed() was called */
	int busy;	      /* callbacks on the stack */
	bool dead;	      /* client_close() was called meanwhile */
};

/* ---- connecting, common to both */

static int
connect_error(const char *path, int code, struct awo_err *err)
{
	const struct group *group;
	struct stat st;

	if (code == EACCES || code == EPERM) {
		group = stat(path, &st) == 0 && (st.st_mode & S_IWGRP) ? getgrgid(st.st_gid) : NULL;
		if (group)
			return ERR(err, PERMISSION_DENIED, "", "%s may not be opened by you: %s; members of the group %s "
			    "may, from their next login on", path, strerror(code), group->gr_name);
		return ERR(err, PERMISSION_DENIED, "", "%s may not be opened by you: %s", path, strerror(code));
	}
	return ERR(err, UNAVAILABLE, "", "no daemon answers at %s: %s", path, strerror(code));
}

/* One attempt. 0 connected, 1 try again later, -1 with *err. */
static int
try_connect(int fd, const char *path, struct awo_err *err)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	CLEAN_FD int file = -1;

	if (strlen(path) < sizeof sun.sun_path) {
		memcpy(sun.sun_path, path, strlen(path) + 1);
	} else {
		/* a path that does not fit is reached through a descriptor of the socket's file */
		file = open(path, O_PATH | O_CLOEXEC);
		if (file < 0)
			return connect_error(path, errno, err);
		snprintf(sun.sun_path, sizeof sun.sun_path, "/proc/self/fd/%d", file);
	}
	if (connect(fd, (const struct sockaddr *)&sun, sizeof sun) == 0 || errno == EISCONN)
		return 0;
	if (errno == EAGAIN || errno == EINTR)
		return 1; /* the listener's queue is full */
	return connect_error(path, errno, err);
}

static struct client *
new_client(const char *path, struct awo_err *err)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct client *c;

	if (fd < 0) {
		ERR(err, UNAVAILABLE, "", "no socket can be made: %s", strerror(errno));
		return NULL;
	}
	c = xcalloc(1, sizeof *c);
	c->fd = fd;
	c->path = xstrdup(path);
	STAILQ_INIT(&c->kept);
	TAILQ_INIT(&c->calls);
	return c;
}

static void
free_note(struct note *n)
{
	if (!n)
		return;
	free(n->method);
	free(n->param);
	free(n);
}

static void
free_client(struct client *c)
{
	struct note *n;
	struct call *call;

	while ((n = STAILQ_FIRST(&c->kept))) {
		STAILQ_REMOVE_HEAD(&c->kept, link);
		free_note(n);
	}
	free_note(c->current);
	while ((call = TAILQ_FIRST(&c->calls))) {
		TAILQ_REMOVE(&c->calls, call, link);
		free(call);
	}
	if (c->readable)
		event_free(c->readable);
	if (c->writable)
		event_free(c->writable);
	if (c->kick)
		event_free(c->kick);
	if (c->fd >= 0)
		close(c->fd);
	buf_free(&c->in);
	buf_free(&c->out);
	free(c->path);
	free(c);
}

/* ---- bytes and frames, common to both */

static int
broken(struct client *c, struct awo_err *err)
{
	if (err)
		*err = c->why;
	return -1;
}

/* Reads once. 1 something came, 0 nothing there, -1 the connection is over (c->why). */
static int
fill(struct client *c)
{
	ssize_t n;

	if (c->consumed > 0 && (c->consumed == c->in.len || c->consumed > READ_SIZE)) {
		buf_drain(&c->in, c->consumed);
		c->consumed = 0;
	}
	buf_reserve(&c->in, READ_SIZE);
	n = recv(c->fd, c->in.p + c->in.len, READ_SIZE, 0);
	if (n > 0) {
		c->in.len += (size_t)n;
		c->in.p[c->in.len] = '\0';
		return 1;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	c->broken = true;
	if (n == 0)
		return ERR(&c->why, UNAVAILABLE, "", "the daemon closed the connection");
	return ERR(
	    &c->why, UNAVAILABLE, "", "the connection to the daemon broke: %s", strerror(errno));
}

/* Sends what it can. 0, or -1 when the connection is over (c->why). */
static int
flush(struct client *c)
{
	size_t sent = 0;

	while (sent < c->out.len) {
		/* a daemon that is gone must not end this program by SIGPIPE */
		ssize_t n = send(c->fd, c->out.p + sent, c->out.len - sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			c->broken = true;
			return ERR(&c->why, UNAVAILABLE, "",
			    "the connection to the daemon broke: %s", strerror(errno));
		}
		sent += (size_t)n;
	}
	buf_drain(&c->out, sent);
	return 0;
}

/* Takes the next frame out of what was read. 1, 0 when it is not complete, -1 with c->why. Its
 * slices stand in `in`. */
static int
take_frame(struct client *c, struct p_frame *f)
{
	bool have_id;
	uint32_t id;
	ssize_t n;

	if (c->consumed == c->in.len)
		return 0;
	n = p_frame_resume(&c->scan, (const uint8_t *)c->in.p + c->consumed,
	    c->in.len - c->consumed, f, &have_id, &id, &c->why);
	if (n < 0) {
		awo_err_prefix(&c->why, "the daemon's answer cannot be read");
		c->why.code = AWO_INTERNAL;
		c->broken = true;
		return -1;
	}
	c->consumed += (size_t)n;
	return n > 0;
}

/* Appends a request to what is to be sent. */
static int
add_request(struct client *c, enum p_method_id method, const void *request, const char *auth, struct awo_err *err)
{
	const struct p_method *m = &p_methods[method];
	size_t before = c->out.len;

	p_encode_request_as(&c->out, ++c->id, m->name, m->request, request, auth);
	if (c->out.len - before <= P_MESSAGE_MAX)
		return 0;
	c->out.len = before;
	return ERR(err, INVALID_ARGUMENT, "", "the request is larger than %u bytes", P_MESSAGE_MAX);
}

static int
take_answer(enum p_method_id method, const struct p_frame *f, void *answer, struct awo_err *err)
{
	if (f->error.p) {
		p_decode_error(f->error, err);
		return -1;
	}
	if (p_decode_answer(p_methods[method].answer, answer, f->result, err) == 0)
		return 0;
	awo_err_prefix(err, "the daemon's answer to %s cannot be read", p_methods[method].name);
	if (err)
		err->code = AWO_INTERNAL;
	return -1;
}

/* ---- blocking */

/* Milliseconds that are left of a deadline; -1: for ever. */
static int
remaining(int64_t deadline)
{
	int64_t ms;

	if (deadline < 0)
		return -1;
	ms = (deadline - clock_mono_us() + 999) / 1000;
	return ms < 0 ? 0 : (int)ms;
}

static int64_t
deadline_of(int timeout_ms)
{
	return timeout_ms < 0 ? -1 : clock_mono_us() + (int64_t)timeout_ms * 1000;
}

struct client *
client_open(const char *socket_path, int timeout_ms, struct awo_err *err)
{
	struct client *c = new_client(socket_path, err);
	int64_t deadline = deadline_of(timeout_ms);
	int rc;

	if (!c)
		return NULL;
	while ((rc = try_connect(c->fd, socket_path, err)) > 0) {
		int left = remaining(deadline);

		if (left == 0) {
			rc = ERR(err, UNAVAILABLE, "", "the daemon at %s is too busy to answer",
			    socket_path);
			break;
		}
		poll(NULL, 0, left < 0 || left > RETRY_MS ? RETRY_MS : left);
	}
	if (rc == 0)
		return c;
	free_client(c);
	return NULL;
}

static int
keep(struct client *c, const struct p_frame *f)
{
	struct note *n;

	if (c->kept_bytes + f->param.len > KEPT_MAX) {
		c->broken = true;
		return ERR(
		    &c->why, RESOURCE_EXHAUSTED, "", "more notifications came than can be kept");
	}
	n = xcalloc(1, sizeof *n);
	n->method = xstrndup(f->method, f->method_len);
	n->param = xcalloc(f->param.len + 1, 1);
	n->len = f->param.len;
	if (n->len > 0)
		memcpy(n->param, f->param.p, n->len);
	c->kept_bytes += n->len;
	STAILQ_INSERT_TAIL(&c->kept, n, link);
	return 0;
}

/* Waits for the socket. 1 there is something to do, 0 at the deadline, -1 with c->why. */
static int
wait_socket(struct client *c, int64_t deadline)
{
	struct pollfd p = {c->fd, (short)(POLLIN | (c->out.len > 0 ? POLLOUT : 0)), 0};
	int n = poll(&p, 1, remaining(deadline));

	if (n < 0 && errno != EINTR) {
		c->broken = true;
		return ERR(&c->why, INTERNAL, "", "poll: %s", strerror(errno));
	}
	return n < 0 || n > 0;
}

/* *sent: the daemon may have read all of the request. */
static int
call_once(struct client *c, enum p_method_id method, const void *request, void *answer,
    int64_t deadline, int timeout_ms, bool *sent, struct awo_err *err)
{
	uint32_t id;

	memset(answer, 0, p_methods[method].answer->size);
	*sent = false;
	if (c->broken)
		return broken(c, err);
	if (add_request(c, method, request, NULL, err) < 0)
		return -1;
	id = c->id;
	for (;;) {
		struct p_frame f;
		int rc;

		/* answers to calls that were given up are let pass */
		while ((rc = take_frame(c, &f)) > 0) {
			if (f.kind == P_FRAME_RESPONSE && f.id == id)
				return take_answer(method, &f, answer, err);
			if (f.kind == P_FRAME_NOTIFY && keep(c, &f) < 0)
				return broken(c, err);
		}
		if (rc < 0)
			return broken(c, err);
		/* the last words of a daemon that closes may be there, so an error of sending waits
		 * for reading */
		if (c->out.len > 0 && flush(c) < 0)
			c->out.len = 0;
		else if (c->out.len == 0)
			*sent = true;
		rc = fill(c);
		if (rc > 0) {
			c->broken = false;
			continue;
		}
		if (rc < 0 || c->broken)
			return broken(c, err);
		rc = wait_socket(c, deadline);
		if (rc < 0)
			return broken(c, err);
		if (rc == 0)
			return ERR(err, DEADLINE_EXCEEDED, "", "%s was not answered within %d ms",
			    p_methods[method].name, timeout_ms);
	}
}

/*
 * Whether a call whose connection has ended may be made again: what the daemon cannot have read as a whole, what changes
 * nothing, and a create that it would know again.
 */
static bool
may_repeat(const struct client *c, enum p_method_id method, const void *request, bool sent)
{
	const struct p_method *m = &p_methods[method];

	if (!c->broken || c->why.code != AWO_UNAVAILABLE || c->follows)
		return false;
	if (!sent || strcmp(m->http_method, "GET") == 0)
		return true;
	return method == P_M_order_create &&
	       P_HAS(order_create, (const struct p_order_create *)request, idempotency_key);
}

/* A new connection in the place of one that has ended; -1 when there is none by the deadline. */
static int
connect_again(struct client *c, int64_t deadline)
{
	for (;;) {
		struct awo_err err = {0};
		int left;

		close(c->fd);
		c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (c->fd < 0)
			return -1;
		if (try_connect(c->fd, c->path, &err) == 0)
			break;
		left = remaining(deadline);
		if (left == 0 || err.code == AWO_PERMISSION_DENIED)
			return -1;
		poll(NULL, 0, left > RETRY_MS ? RETRY_MS : left);
	}
	c->in.len = c->out.len = c->consumed = 0;
	memset(&c->scan, 0, sizeof(c->scan));
	c->broken = false;
	return 0;
}

int
client_call(struct client *c, enum p_method_id method, const void *request, void *answer,
    int timeout_ms, struct awo_err *err)
{
	int64_t deadline = deadline_of(timeout_ms), patience;
	bool sent;
	int repeats = 0;

	AWO_ASSERT(!c->base);
	if (p_methods[method].answer == &p_type_stream_answer)
		c->follows = true;
	while (call_once(c, method, request, answer, deadline, timeout_ms, &sent, err) < 0) {
		patience = deadline_of(RESTART_MS);
		if (deadline >= 0 && deadline < patience)
			patience = deadline;
		if (!may_repeat(c, method, request, sent) || repeats++ == REPEATS_MAX ||
		    remaining(patience) == 0 || connect_again(c, patience) < 0)
			return -1;
		if (err)
			memset(err, 0, sizeof(*err));
	}
	return 0;
}

int
client_next(struct client *c, const char **method, struct p_slice *param, int timeout_ms,
    struct awo_err *err)
{
	int64_t deadline = deadline_of(timeout_ms);

	AWO_ASSERT(!c->base);
	free_note(c->current);
	c->current = NULL;
	for (;;) {
		struct p_frame f;
		int rc;

		while (STAILQ_EMPTY(&c->kept) && (rc = take_frame(c, &f)) != 0)
			if (rc < 0 || (f.kind == P_FRAME_NOTIFY && keep(c, &f) < 0))
				return broken(c, err);
		c->current = STAILQ_FIRST(&c->kept);
		if (c->current) {
			STAILQ_REMOVE_HEAD(&c->kept, link);
			c->kept_bytes -= c->current->len;
			*method = c->current->method;
			*param = (struct p_slice){
			    c->current->len ? c->current->param : NULL, c->current->len};
			return 1;
		}
		if (c->broken || (c->out.len > 0 && flush(c) < 0))
			return broken(c, err);
		rc = fill(c);
		if (rc < 0)
			return broken(c, err);
		if (rc == 0 && (rc = wait_socket(c, deadline)) <= 0)
			return rc < 0 ? broken(c, err) : 0;
	}
}

int
client_fd(const struct client *c)
{
	return c->fd;
}

void
client_close(struct client *c)
{
	if (!c)
		return;
	if (c->busy > 0)
		c->dead = true; /* freed when its callback returns */
	else
		free_client(c);
}

/* ---- in a loop */

/* Around every callback: afterwards the client may be gone. */
static bool
alive(struct client *c)
{
	if (--c->busy > 0 || !c->dead)
		return !c->dead;
	free_client(c);
	return false;
}

/* Ends one call with an error; false when the client is gone. */
static bool
fail_call(struct client *c, struct call *call, const struct awo_err *err)
{
	TAILQ_REMOVE(&c->calls, call, link);
	c->busy++;
	call->done(call->arg, err, NULL);
	free(call);
	return alive(c);
}

/* The first call that waits for an answer, or the first that failed before it was sent. */
static struct call *
first_call(struct client *c, bool failed)
{
	struct call *call;

	TAILQ_FOREACH(call, &c->calls, link)
	/* what is freed left the list first; NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
	if (call->failed == failed)
		break;
	return call;
}

/* The connection is over: every call that waits learns it, then closed(). False when the client is
 * gone. */
static bool
over(struct client *c)
{
	struct awo_err why = c->why;
	struct call *call;

	if (c->told)
		return true;
	c->told = true;

	if (c->readable)
		event_del(c->readable);
	if (c->writable)
		event_del(c->writable);
	/* what callbacks send now fails too, but from on_kick(): else one that tries again would
	 * never let us go on */
	while ((call = first_call(c, false)))
		if (!fail_call(c, call, &why))
			return false;
	c->busy++;
	if (c->closed)
		c->closed(c->arg, &why);
	return alive(c);
}

static bool
deliver_response(struct client *c, const struct p_frame *f)
{
	const struct p_type *type;
	struct awo_err err = {.code = AWO_OK};
	struct call *call;
	void *answer;
	bool ok;

	TAILQ_FOREACH(call, &c->calls, link)
	if (call->id == f->id && !call->failed)
		break;
	if (!call)
		return true;
	TAILQ_REMOVE(&c->calls, call, link);
	type = p_methods[call->method].answer;
	answer = xcalloc(1, type->size);
	ok = take_answer(call->method, f, answer, &err) == 0;
	c->busy++;
	call->done(call->arg, &err, ok ? answer : NULL);
	p_free(type, answer);
	free(answer);
	free(call);
	return alive(c);
}

static bool
deliver(struct client *c, const struct p_frame *f)
{
	CLEAN_FREE char *method = NULL;

	if (f->kind == P_FRAME_RESPONSE)
		return deliver_response(c, f);
	if (f->kind != P_FRAME_NOTIFY || !c->notify)
		return true;
	method = xstrndup(f->method, f->method_len);
	c->busy++;
	c->notify(c->arg, method, f->param);
	return alive(c);
}

/* Reads once, and hands over what is complete. */
static void
read_more(struct client *c)
{
	struct p_frame f;
	int rc = fill(c), frames;

	while ((frames = take_frame(c, &f)) > 0)
		if (!deliver(c, &f))
			return;
	if (rc < 0 || frames < 0)
		(void)over(c);
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	read_more(arg);
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct client *c = arg;

	(void)fd;
	(void)what;
	/* when sending fails the daemon may have said why before it closed: that is read first, and
	 * ends in over() */
	if (flush(c) < 0)
		c->out.len = 0;
	if (c->out.len == 0)
		event_del(c->writable);
}

static void
after_ms(struct event *ev, long ms)
{
	struct timeval tv = {ms / 1000, ms % 1000 * 1000};

	event_add(ev, &tv);
}

/* 0 connected or waiting for the next attempt, -1 with c->why. */
static int
go_on_connecting(struct client *c)
{
	int rc = try_connect(c->fd, c->path, &c->why);

	if (rc > 0 && clock_mono_us() >= c->give_up)
		rc = ERR(
		    &c->why, UNAVAILABLE, "", "the daemon at %s is too busy to answer", c->path);
	if (rc < 0) {
		c->broken = true;
		return -1;
	}
	if (rc > 0) {
		after_ms(c->kick, RETRY_MS);
		return 0;
	}
	c->connected = true;
	event_add(c->readable, NULL);
	if (c->out.len > 0)
		event_add(c->writable, NULL);
	return 0;
}

/* The timer: the next attempt to connect, or errors of client_send(), whose caller is not called
 * back from inside it. */
static void
on_kick(evutil_socket_t fd, short what, void *arg)
{
	struct client *c = arg;
	struct call *call;
	size_t n = 0;

	(void)fd;
	(void)what;
	if (!c->broken && !c->connected)
		(void)go_on_connecting(c);
	if (c->broken && !over(c))
		return;
	TAILQ_FOREACH(call, &c->calls, link)
	n += call->failed;
	/* only those that are there now */
	for (; n > 0 && (call = first_call(c, true)); n--) {
		struct awo_err err = call->err;

		if (!fail_call(c, call, &err))
			return;
	}
}

struct client *
client_open_event(struct event_base *base, const char *socket_path, client_notify_cb *notify,
    client_closed_cb *closed, void *arg, struct awo_err *err)
{
	struct client *c = new_client(socket_path, err);

	if (!c)
		return NULL;
	c->base = base;
	c->notify = notify;
	c->closed = closed;
	c->arg = arg;
	c->give_up = clock_mono_us() + (int64_t)CONNECT_MS * 1000;
	c->readable = event_new(base, c->fd, EV_READ | EV_PERSIST, on_readable, c);
	c->writable = event_new(base, c->fd, EV_WRITE | EV_PERSIST, on_writable, c);
	c->kick = event_new(base, -1, 0, on_kick, c);
	if (!c->readable || !c->writable || !c->kick) {
		ERR(err, INTERNAL, "", "libevent has no memory for a connection");
		free_client(c);
		return NULL;
	}
	if (go_on_connecting(c) == 0)
		return c;
	(void)broken(c, err);
	free_client(c);
	return NULL;
}

void
client_send(struct client *c, enum p_method_id method, const void *request, client_answer_cb *done,
    void *arg)
{
	client_send_as(c, method, request, NULL, done, arg);
}

void
client_send_as(struct client *c, enum p_method_id method, const void *request, const char *auth,
    client_answer_cb *done, void *arg)
{
	struct call *call = xcalloc(1, sizeof *call);

	AWO_ASSERT(c->base);
	call->method = method;
	call->done = done;
	call->arg = arg;
	call->failed = c->broken || add_request(c, method, request, auth, &call->err) < 0;
	if (c->broken)
		call->err = c->why;
	call->id = c->id;
	TAILQ_INSERT_TAIL(&c->calls, call, link);
	if (call->failed)
		after_ms(c->kick, 0);
	else if (c->connected)
		event_add(c->writable, NULL);
}

static bool
has_all(const struct client *c)
{
	char byte;

	return c->connected && !c->broken && c->consumed == c->in.len &&
	       recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

bool
client_is_quiet(struct client *c)
{
	bool is_quiet = has_all(c);

	if (is_quiet || c->busy > 0 || !c->connected || c->broken)
		return is_quiet;
	c->busy++; /* it is still to be looked at afterwards */
	read_more(c);
	/* nobody frees one that is busy; NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
	is_quiet = !c->dead && has_all(c);
	return alive(c) && is_quiet;
}

const char *
client_default_socket(char *buf, size_t len)
{
	const char *own = getenv("AWO_SOCKET"), *dir = getenv("XDG_RUNTIME_DIR");
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	int n = -1;

	if (own && *own)
		return own; /* of any length */
	if (dir && dir[0] == '/')
		n = snprintf(buf, len, "%s/awo/awod.sock", dir);
	else if (state && state[0] == '/')
		n = snprintf(buf, len, "%s/awo/run/awod.sock", state);
	else if (home && home[0] == '/')
		n = snprintf(buf, len, "%s/.local/state/awo/run/awod.sock", home);
	if (n <= 0 || (size_t)n >= len || access(buf, F_OK) < 0)
		snprintf(buf, len, "/run/awo/awod.sock");
	return buf;
}
