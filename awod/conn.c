/* Connections: bytes in, calls out, answers and notifications back, all within bounds. */
#include <errno.h>
#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "awod/server_priv.h"
#include "common/log.h"

#define READ_AHEAD                                                                                 \
	((size_t)256 * 1024) /* bytes that libevent may hold before they are taken over */
#define REFERENCE_MIN 16384  /* larger buffers are handed to libevent, smaller ones copied */
#define STEAL_BYTES 65536    /* a partial message of so little is never refused */

static void on_more(evutil_socket_t fd, short what, void *arg);
static void on_partial(evutil_socket_t fd, short what, void *arg);
static void on_read(struct bufferevent *bev, void *arg);
static void on_write(struct bufferevent *bev, void *arg);
static void on_event(struct bufferevent *bev, short what, void *arg);

/* ---- the one place that decides what is read */

size_t
conn_unsent(const struct conn *c)
{
	return evbuffer_get_length(bufferevent_get_output(c->bev));
}

static bool
may_take(const struct conn *c)
{
	return !c->dead && !c->closing && c->in_flight < IN_FLIGHT_MAX &&
	       conn_unsent(c) < OUT_PAUSE;
}

static void
conn_interest(struct conn *c)
{
	const struct timeval limit = {PARTIAL_S, 0};
	bool read = may_take(c) && !c->eof;

	if (c->dead)
		return;
	if (read)
		bufferevent_enable(c->bev, EV_READ);
	else
		bufferevent_disable(c->bev, EV_READ);
	/* the clock for a message runs only while its sender could complete it */
	if (read && c->partial > 0) {
		if (!event_pending(c->partial_timer, EV_TIMEOUT, NULL))
			event_add(c->partial_timer, &limit);
	} else {
		event_del(c->partial_timer);
	}
}

/* ---- end */

void
conn_kill(struct conn *c)
{
	if (c->dead)
		return;
	c->dead = true;
	bufferevent_disable(c->bev, EV_READ | EV_WRITE);
	event_active(c->s->reaper, 0, 0);
}

void
conn_finish(struct conn *c)
{
	if (c->dead || c->closing)
		return;
	c->closing = true;
	if (conn_unsent(c) == 0)
		conn_kill(c);
	else
		bufferevent_setwatermark(c->bev, EV_WRITE, 0, 0);
	conn_interest(c);
}

static void
peer_leave(struct server *s, struct peer *gone)
{
	if (--gone->nconns > 0)
		return;
	for (struct peer **at = &s->peers; *at != NULL; at = &(*at)->next)
		if (*at == gone) {
			*at = gone->next;
			free(gone);
			return;
		}
}

static void
conn_free(struct conn *c)
{
	struct server *s = c->s;
	struct rpc_call *call;
	struct stream *st;

	while ((st = TAILQ_FIRST(&c->streams)) != NULL)
		stream_free(st);
	while ((call = TAILQ_FIRST(&c->calls)) != NULL) {
		TAILQ_REMOVE(&c->calls, call, link);
		s->in_flight--;
		rpc_detach(call);
	}
	TAILQ_REMOVE(&s->conns, c, link);
	if (c->is_refused)
		s->nrefused--;
	else
		s->nconns--;
	c->peer->partial -= c->partial;
	peer_leave(s, c->peer);
	bufferevent_free(c->bev);
	event_free(c->more);
	event_free(c->partial_timer);
	if (c->in.p != NULL)
		explicit_bzero(c->in.p, c->in.cap);
	buf_free(&c->in);
	free(c);
}

static void
on_reap(evutil_socket_t fd, short what, void *arg)
{
	struct server *s = arg;
	struct conn *c, *next;

	(void)fd;
	(void)what;
	for (c = TAILQ_FIRST(&s->conns); c != NULL; c = next) {
		next = TAILQ_NEXT(c, link);
		if (c->dead)
			conn_free(c);
	}
}

void
conn_free_all(struct server *s)
{
	struct conn *c;

	while ((c = TAILQ_FIRST(&s->conns)) != NULL)
		/* each leaves the list first; NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
		conn_free(c);
}

/* ---- beginning */

static struct peer *
peer_join(struct server *s, uid_t uid)
{
	struct peer *p;

	for (p = s->peers; p != NULL; p = p->next)
		if (p->uid == uid)
			break;
	if (p == NULL) {
		p = xcalloc(1, sizeof(*p));
		p->uid = uid;
		p->next = s->peers;
		s->peers = p;
	}
	p->nconns++;
	return p;
}

void
conn_new(struct server *s, int fd, const struct caller *caller, const struct awo_err *refused)
{
	const struct timeval write_limit = {WRITE_S, 0};
	struct bufferevent *bev = bufferevent_socket_new(s->b->base, fd, BEV_OPT_CLOSE_ON_FREE);
	struct conn *c;

	if (bev == NULL) {
		close(fd);
		return;
	}
	c = xcalloc(1, sizeof(*c));
	c->s = s;
	c->bev = bev;
	c->caller = *caller;
	c->more = event_new(s->b->base, -1, 0, on_more, c);
	c->partial_timer = event_new(s->b->base, -1, 0, on_partial, c);
	AWO_ASSERT(c->more != NULL && c->partial_timer != NULL);
	TAILQ_INIT(&c->calls);
	TAILQ_INIT(&c->streams);
	c->peer = peer_join(s, caller->uid);
	if (refused != NULL) {
		const struct timeval soon = {2, 0};

		c->is_refused = true;
		c->refused = *refused;
		s->nrefused++;
		/* it is told why when it asks something; it need not ask for long */
		bufferevent_set_timeouts(bev, &soon, &soon);
	} else {
		s->nconns++;
		bufferevent_set_timeouts(bev, NULL, &write_limit);
	}
	TAILQ_INSERT_TAIL(&s->conns, c, link);
	bufferevent_setcb(bev, on_read, on_write, on_event, c);
	bufferevent_setwatermark(bev, EV_READ, 0, READ_AHEAD);
	bufferevent_setwatermark(bev, EV_WRITE, OUT_PAUSE / 2, 0);
	bufferevent_enable(bev, EV_WRITE);
	conn_interest(c);
}

/* ---- in */

static void
count_partial(struct conn *c)
{
	c->peer->partial -= c->partial;
	c->partial = c->in.len;
	c->peer->partial += c->partial;
}

/* Takes over what libevent has read. Requests can hold secrets, so that no copy is left behind. */
static void
take_input(struct conn *c)
{
	struct evbuffer *input = bufferevent_get_input(c->bev);

	for (;;) {
		struct evbuffer_iovec v;

		if (evbuffer_peek(input, -1, NULL, &v, 1) < 1 || v.iov_len == 0)
			return;
		buf_add(&c->in, v.iov_base, v.iov_len);
		explicit_bzero(v.iov_base, v.iov_len);
		evbuffer_drain(input, v.iov_len);
	}
}

static void
refuse_message(struct conn *c, bool have_id, uint32_t id, const struct awo_err *err)
{
	struct buf out CLEAN_BUF = {0};

	c->s->malformed++;
	log_info("message_refused", LI("uid", c->caller.uid), LI("pid", c->caller.pid),
	    LS("error", err->msg));
	if (have_id) {
		p_encode_error(&out, id, err);
		conn_write(c, &out);
	}
	conn_finish(c);
}

static void
conn_process(struct conn *c)
{
	size_t used = 0;
	unsigned taken = 0;
	bool wait = false;

	if (c->dead || c->processing)
		return;
	c->processing = true;
	while (used < c->in.len && may_take(c)) {
		struct p_frame f;
		struct awo_err err = {0};
		bool have_id = false;
		uint32_t id = 0;
		ssize_t n;

		if (taken == FRAMES_A_TURN) {
			event_active(c->more, 0, 0);
			break;
		}
		n = p_frame_resume(&c->scan, (const uint8_t *)c->in.p + used, c->in.len - used, &f,
		    &have_id, &id, &err);
		if (n == 0) {
			wait = true;
			break;
		}
		if (n < 0) {
			refuse_message(c, have_id, id, &err);
			break;
		}
		taken++;
		used += (size_t)n;
		dispatch(c, &f);
	}
	c->processing = false;
	if (used > 0) {
		explicit_bzero(c->in.p, used);
		buf_drain(&c->in, used);
	}
	if (c->in.len == 0 && c->in.cap > STEAL_BYTES)
		buf_free(&c->in);
	count_partial(c);
	if (wait && c->peer->partial > PARTIAL_BYTES_MAX && c->partial > STEAL_BYTES) {
		struct awo_err err = {0};

		(void)ERR(&err, RESOURCE_EXHAUSTED, "",
		    "your connections hold more than %zu MiB of incomplete messages",
		    PARTIAL_BYTES_MAX >> 20);
		refuse_message(c, c->scan.have_id, c->scan.id, &err);
	}
	if (used > 0)
		event_del(c->partial_timer); /* the next message has its own time */
	/* everything that was asked is answered, and nothing more can come */
	if (c->eof && c->in_flight == 0 && (wait || c->in.len == 0))
		conn_finish(c);
	conn_interest(c);
}

static void
on_more(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;

	(void)fd;
	(void)what;
	if (c->dead)
		return;
	if (may_take(c))
		take_input(c);
	conn_process(c);
}

static void
on_partial(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;
	struct awo_err err = {0};

	(void)fd;
	(void)what;
	(void)ERR(&err, DEADLINE_EXCEEDED, "", "the message was not complete after %d seconds",
	    PARTIAL_S);
	refuse_message(c, c->scan.have_id, c->scan.id, &err);
}

static void
on_read(struct bufferevent *bev, void *arg)
{
	struct conn *c = arg;

	(void)bev;
	/* while requests wait for their turn, libevent's own bounded buffer is left to fill */
	if (c->dead || !may_take(c))
		return;
	take_input(c);
	conn_process(c);
}

/* ---- out */

static void
buffer_done(const void *data, size_t len, void *arg)
{
	(void)data;
	(void)len;
	free(arg);
}

void
conn_write(struct conn *c, struct buf *bytes)
{
	struct evbuffer *output = bufferevent_get_output(c->bev);

	if (c->dead || bytes->len == 0) {
		buf_free(bytes);
		return;
	}
	if (evbuffer_get_length(output) + bytes->len > OUT_MAX) {
		log_warning("connection_cut", LI("uid", c->caller.uid), LI("pid", c->caller.pid),
		    LS("reason", "the peer does not read its answers"));
		buf_free(bytes);
		conn_kill(c);
		return;
	}
	if (bytes->len < REFERENCE_MIN) {
		evbuffer_add(output, bytes->p, bytes->len);
		buf_free(bytes);
	} else {
		size_t len = bytes->len;
		char *p = buf_take(bytes);

		if (evbuffer_add_reference(output, p, len, buffer_done, p) != 0) {
			free(p);
			conn_kill(c);
		}
	}
}

/*
 * The answer to the only request in flight goes out without a turn of the loop: that saves a wait and two changes of what
 * is waited for, and the caller has it sooner. What the socket does not take, and any error, is left to libevent.
 */
void
conn_write_answer(struct conn *c, struct buf *bytes)
{
	ssize_t n = 0;

	if (!c->dead && c->in_flight == 1 && bytes->len < REFERENCE_MIN && conn_unsent(c) == 0)
		n = send(bufferevent_getfd(c->bev), bytes->p, bytes->len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n > 0)
		buf_drain(bytes, (size_t)n);
	conn_write(c, bytes);
}

/* What waits is taken from the loop, never from inside a handler or a callback that writes. */
static void
go_on(struct conn *c)
{
	if (c->dead || c->processing)
		return;
	if (c->in.len > 0 || c->eof || evbuffer_get_length(bufferevent_get_input(c->bev)) > 0)
		event_active(c->more, 0, 0);
	conn_interest(c);
}

void
conn_answered(struct conn *c)
{
	c->in_flight--;
	c->s->in_flight--;
	go_on(c);
}

static void
on_write(struct bufferevent *bev, void *arg)
{
	struct conn *c = arg;

	(void)bev;
	if (c->dead)
		return;
	if (c->closing) {
		if (conn_unsent(c) == 0)
			conn_kill(c);
		return;
	}
	stream_drained(c);
	go_on(c);
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	struct conn *c = arg;

	(void)bev;
	if (c->dead)
		return;
	if ((what & BEV_EVENT_EOF) != 0) {
		struct stream *st;

		/* a peer that has only shut down its sending side still gets its answers, but no
		 * streams */
		c->eof = true;
		while ((st = TAILQ_FIRST(&c->streams)) != NULL)
			stream_free(st);
		if (may_take(c))
			take_input(c);
		conn_process(c);
		return;
	}
	if ((what & BEV_EVENT_TIMEOUT) != 0 && (what & BEV_EVENT_WRITING) != 0)
		log_info("connection_cut", LI("uid", c->caller.uid), LI("pid", c->caller.pid),
		    LS("reason", "the peer reads nothing"));
	conn_kill(c);
}

int
conn_server_open(struct server *s, struct awo_err *err)
{
	struct rlimit files;
	size_t n = 1024;

	TAILQ_INIT(&s->conns);
	s->reaper = event_new(s->b->base, -1, 0, on_reap, s);
	if (s->reaper == NULL)
		return ERR(err, INTERNAL, "", "cannot make an event");
	/* half of the descriptors are for logs, tasks and workers */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0)
		n = files.rlim_cur > 8192 ? 4096 : (size_t)files.rlim_cur / 2;
	s->max_conns = n < 16 ? 16 : n;
	s->max_conns_per_uid = s->b->opt->user_mode ? s->max_conns : s->max_conns / 2;
	return 0;
}
