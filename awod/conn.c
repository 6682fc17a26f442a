/* Connections: bytes in, calls out, answers and notifications back, all within bounds. */
#include <errno.h>
#include <event2/buffer.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "awod/server_priv.h"
#include "common/clock.h"
#include "common/log.h"

#define REFERENCE_MIN 16384  /* larger buffers are handed to libevent, smaller ones copied */
#define TIDY_BYTES ((size_t)256 * 1024) /* of an answer: what it was made of is several times as large */
#define STEAL_BYTES 65536    /* a partial message of so little is never refused */
#define TOLD_MAX 20	     /* lines of awod's log about clients that misbehave ... */
#define TOLD_US (10 * INT64_C(1000000)) /* ... in so long */

static void on_more(evutil_socket_t fd, short what, void *arg);
static void on_partial(evutil_socket_t fd, short what, void *arg);
static void on_readable(evutil_socket_t fd, short what, void *arg);
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
	return !c->dead && !c->closing && c->in_flight < (c->caller.gateway ? GATEWAY_IN_FLIGHT_MAX : IN_FLIGHT_MAX) &&
	       conn_unsent(c) < OUT_PAUSE;
}

static void
conn_interest(struct conn *c)
{
	const struct timeval limit = {PARTIAL_S, 0};
	/* who is refused need not ask for long */
	const struct timeval soon = {2, 0};
	bool read = may_take(c) && !c->eof && !c->waiting;
	/* the clock for a message runs only while its sender could complete it */
	bool timed = read && c->partial > 0;

	if (c->dead)
		return;
	if (read && !c->reading)
		event_add(c->readable, c->is_refused ? &soon : NULL);
	else if (!read && c->reading)
		event_del(c->readable);
	c->reading = read;
	if (timed && !c->timed)
		event_add(c->partial_timer, &limit);
	else if (!timed && c->timed)
		event_del(c->partial_timer);
	c->timed = timed;
}

/* Whether awod's log gets a line about a client: whoever may connect must not be able to fill the disk. */
static bool
may_tell(struct server *s)
{
	int64_t now = clock_mono_us();

	if (now - s->told_since > TOLD_US) {
		if (s->untold > 0)
			log_info("client_lines_omitted", LI("lines", s->untold));
		s->told_since = now;
		s->told = s->untold = 0;
	}
	if (s->told < TOLD_MAX) {
		s->told++;
		return true;
	}
	s->untold++;
	return false;
}

/* ---- end */

void
conn_kill(struct conn *c)
{
	if (c->dead)
		return;
	c->dead = true;
	event_del(c->readable);
	bufferevent_disable(c->bev, EV_WRITE);
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
	if (c->keeps)
		s->nkeeping--;
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
	event_free(c->readable); /* before its descriptor is closed */
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
	c->readable = event_new(s->b->base, fd, EV_READ | EV_PERSIST, on_readable, c);
	c->more = event_new(s->b->base, -1, 0, on_more, c);
	c->partial_timer = event_new(s->b->base, -1, 0, on_partial, c);
	AWO_ASSERT(c->readable != NULL && c->more != NULL && c->partial_timer != NULL);
	TAILQ_INIT(&c->calls);
	TAILQ_INIT(&c->streams);
	c->peer = peer_join(s, caller->uid);
	if (refused != NULL) {
		/* it is told why when it asks something */
		c->is_refused = true;
		c->refused = *refused;
		s->nrefused++;
	} else {
		s->nconns++;
	}
	bufferevent_set_timeouts(bev, NULL, &write_limit);
	TAILQ_INSERT_TAIL(&s->conns, c, link);
	bufferevent_setcb(bev, NULL, on_write, on_event, c);
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

static void
refuse_message(struct conn *c, bool have_id, uint32_t id, const struct awo_err *err)
{
	struct buf out CLEAN_BUF = {0};

	c->s->malformed++;
	if (may_tell(c->s))
		log_info("message_refused", LI("uid", c->caller.uid), LI("pid", c->caller.pid),
		    LS("error", err->msg));
	if (have_id) {
		p_encode_error(&out, id, err);
		conn_write(c, &out);
	}
	conn_finish(c);
}

/* Runs the complete messages at p, as many as have their turn; returns the bytes that are done with. */
static size_t
take_messages(struct conn *c, const uint8_t *p, size_t len)
{
	size_t used = 0;

	c->processing = true;
	c->waiting = false;
	for (unsigned taken = 0; used < len; taken++) {
		struct p_frame f;
		struct awo_err err = {0};
		bool have_id = false;
		uint32_t id = 0;
		ssize_t n;

		if (taken == FRAMES_A_TURN)
			event_active(c->more, 0, 0);
		if (taken == FRAMES_A_TURN || !may_take(c)) {
			c->waiting = true;
			break;
		}
		n = p_frame_resume(&c->scan, p + used, len - used, &f, &have_id, &id, &err);
		if (n < 0)
			refuse_message(c, have_id, id, &err);
		if (n <= 0)
			break;
		used += (size_t)n;
		dispatch(c, &f);
	}
	c->processing = false;
	return used;
}

/* What follows from what take_messages() has left in the buffer. */
static void
messages_taken(struct conn *c, bool some)
{
	if (c->in.len == 0 && c->in.cap > STEAL_BYTES)
		buf_free(&c->in);
	count_partial(c);
	if (!c->waiting && !c->closing && c->peer->partial > PARTIAL_BYTES_MAX && c->partial > STEAL_BYTES) {
		struct awo_err err = {0};

		(void)ERR(&err, RESOURCE_EXHAUSTED, "",
		    "your connections hold more than %zu MiB of incomplete messages",
		    PARTIAL_BYTES_MAX >> 20);
		refuse_message(c, c->scan.have_id, c->scan.id, &err);
	}
	if (some && c->timed) {
		event_del(c->partial_timer); /* the next message has its own time */
		c->timed = false;
	}
	/* everything that was asked is answered, and nothing more can come */
	if (c->eof && c->in_flight == 0 && !c->waiting)
		conn_finish(c);
	conn_interest(c);
}

/* Goes on with what is in the buffer. */
static void
conn_process(struct conn *c)
{
	size_t used;

	if (c->dead || c->processing)
		return;
	used = take_messages(c, (const uint8_t *)c->in.p, c->in.len);
	if (used > 0) {
		/* requests can hold secrets, so that no copy is left behind */
		explicit_bzero(c->in.p, used);
		buf_drain(&c->in, used);
	}
	messages_taken(c, used > 0);
}

static void
on_more(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;

	(void)fd;
	(void)what;
	conn_process(c);
}

static void
on_partial(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;
	struct awo_err err = {0};

	(void)fd;
	(void)what;
	c->timed = false;
	(void)ERR(&err, DEADLINE_EXCEEDED, "", "the message was not complete after %d seconds",
	    PARTIAL_S);
	refuse_message(c, c->scan.have_id, c->scan.id, &err);
}

/* A peer that has only shut down its sending side still gets its answers, but no streams. */
static void
take_end(struct conn *c)
{
	struct stream *st;

	c->eof = true;
	while ((st = TAILQ_FIRST(&c->streams)) != NULL)
		stream_free(st);
	conn_process(c);
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;
	uint8_t *room = c->s->room;
	size_t used;
	ssize_t n;

	if (c->dead)
		return;
	n = (what & EV_TIMEOUT) == 0 ? recv(fd, room, READ_BYTES, MSG_DONTWAIT) : -1;
	if (n == 0) {
		take_end(c);
	} else if (n < 0) {
		if ((what & EV_TIMEOUT) != 0 || (errno != EAGAIN && errno != EINTR))
			conn_kill(c);
	} else if (c->in.len > 0) {
		buf_add(&c->in, room, (size_t)n);
		explicit_bzero(room, (size_t)n);
		conn_process(c);
	} else {
		used = take_messages(c, room, (size_t)n);
		buf_add(&c->in, room + used, (size_t)n - used);
		explicit_bzero(room, (size_t)n);
		messages_taken(c, used > 0);
	}
}

/* ---- out */

static void
buffer_done(const void *data, size_t len, void *arg)
{
	(void)data;
	(void)len;
	free(arg);
}

/*
 * What a large answer was made of were thousands of small blocks. They are free by now, but lie behind some that are not,
 * be it in the allocator's own lists: the heap would stay as large as the largest answer ever was.
 */
static void
on_tidy(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	malloc_trim(0);
}

/* Once for many answers, and behind their work. */
static void
tidy_soon(struct server *s)
{
	static const struct timeval soon = {1, 0};

	if (!evtimer_pending(s->tidy, NULL))
		evtimer_add(s->tidy, &soon);
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
		if (may_tell(c->s))
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

		if (len >= TIDY_BYTES)
			tidy_soon(c->s);
		if (evbuffer_add_reference(output, p, len, buffer_done, p) != 0) {
			free(p);
			conn_kill(c);
		}
	}
}

/* Without a turn of the loop. What the socket does not take, and any error, is left to libevent. */
static void
write_now(struct conn *c, struct buf *bytes)
{
	ssize_t n = 0;

	if (!c->dead && bytes->len < REFERENCE_MIN && conn_unsent(c) == 0)
		n = send(bufferevent_getfd(c->bev), bytes->p, bytes->len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n > 0)
		buf_drain(bytes, (size_t)n);
	conn_write(c, bytes);
}

/*
 * The answer to the only request in flight goes out at once: that saves a wait and two changes of what is waited for, and
 * the caller has it sooner.
 */
void
conn_write_answer(struct conn *c, struct buf *bytes)
{
	if (c->in_flight == 1)
		write_now(c, bytes);
	else
		conn_write(c, bytes);
}

void
conn_keeps(struct conn *c)
{
	if (c->keeps)
		return;
	c->keeps = true;
	c->s->nkeeping++;
}

/* The word is in the gateway's socket before anybody hears of the change, who may ask the gateway then. */
void
server_changed(struct server *s)
{
	struct conn *c;

	if (s == NULL || s->nkeeping == 0)
		return;
	TAILQ_FOREACH(c, &s->conns, link)
	{
		struct buf out = {0};

		if (!c->keeps)
			continue;
		c->keeps = false;
		s->nkeeping--;
		p_encode_notify(&out, "changed", &p_type_empty, &(struct p_empty){0});
		write_now(c, &out);
	}
}

/* What waits is taken from the loop, never from inside a handler or a callback that writes. */
static void
go_on(struct conn *c)
{
	if (c->dead || c->processing)
		return;
	if (c->waiting || c->eof)
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
	if ((what & BEV_EVENT_TIMEOUT) != 0 && (what & BEV_EVENT_WRITING) != 0 && may_tell(c->s))
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
	s->tidy = evtimer_new(s->b->base, on_tidy, NULL);
	if (s->reaper == NULL || s->tidy == NULL)
		return ERR(err, INTERNAL, "", "cannot make an event");
	/* half of the descriptors are for logs, tasks and workers */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0)
		n = files.rlim_cur > 8192 ? 4096 : (size_t)files.rlim_cur / 2;
	s->max_conns = n < 16 ? 16 : n;
	s->max_conns_per_uid = s->b->opt->user_mode ? s->max_conns : s->max_conns / 2;
	return 0;
}
