/* The clients that are sent a stream: each at its own speed, and no longer than it takes something
 * and may read it. */
#include "awo-gateway/readers.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include <event2/bufferevent.h>
#include <event2/http.h>

#include "awo-gateway/backend.h"
#include "awo-gateway/gateway.h"
#include "awo-gateway/http.h"
#include "awo-gateway/request.h"
#include "awo-gateway/source.h"
#include "common/clean.h"
#include "common/clock.h"
#include "common/log.h"

#define CATCH_UP_FLUSH_MS 2 /* lines of a replay come in large pieces, and are waited for */
#define BACKLOG_HIGH ((size_t)256 << 10) /* unsent bytes of a reader: it gets no more for now */
#define BACKLOG_LOW ((size_t)64 << 10)
#define SEND_BUFFER (128 << 10) /* the kernel's */
#define TICK_S 1
#define KEEPALIVE_US (10 * INT64_C(1000000))
#define STALL_US (20 * INT64_C(1000000)) /* a reader that takes nothing for so long is cut off */
#define CHECK_US (5 * INT64_C(1000000))	 /* between looks whether it may still read */
#define READERS_MAX 3000

struct reader {
	LIST_ENTRY(reader) link;
	struct readers *rs;
	struct request *rq; /* lives as long as the stream */
	struct evhttp_request *http;
	struct subscriber *sub; /* of its feed */
	struct source *own;	/* of what the feed has no more */
	bool started;		/* the answer has begun */
	bool catching_up;
	bool checking;	 /* a call asks whether it may still read */
	bool gone;	 /* freed when the call has its answer */
	struct buf text; /* of its own source, still to be handed over */
	uint64_t queued; /* bytes handed over since the start */
	uint64_t sent;	 /* as last seen */
	int64_t sent_us; /* when that grew */
	int64_t wrote_us, checked_us;
};

struct readers {
	struct gateway *g;
	struct feeds *feeds;
	struct sources *sources;
	LIST_HEAD(reader_list, reader) all;
	size_t n; /* without those that are gone */
	struct event *tick;
	struct event *flush; /* of the readers' own texts */
};

static void pull(struct reader *r);

static struct bufferevent *
reader_bev(const struct reader *r)
{
	struct evhttp_connection *conn = evhttp_request_get_connection(r->http);

	return conn != NULL ? evhttp_connection_get_bufferevent(conn) : NULL;
}

static size_t
backlog(const struct reader *r)
{
	struct bufferevent *bev = reader_bev(r);

	return bev != NULL ? evbuffer_get_length(bufferevent_get_output(bev)) : 0;
}

static void
reader_free(struct reader *r)
{
	feed_leave(r->sub);
	r->sub = NULL;
	if (!r->gone)
		r->rs->n--;
	source_free(r->own);
	r->own = NULL;
	buf_free(&r->text);
	LIST_REMOVE(r, link);
	if (r->checking) {
		/* the call has it */
		r->gone = true;
		LIST_INSERT_HEAD(&r->rs->all, r, link);
		return;
	}
	free(r);
}

/* ---- how an answer ends */

/* The client has gone: evhttp has let the request go, or frees it itself. */
static void
on_close(struct evhttp_connection *conn, void *arg)
{
	struct reader *r = arg;
	struct evhttp_request *http = r->http;
	struct request *rq = r->rq;

	(void)conn;
	r->rq = NULL;
	reader_free(r);
	http_done(rq, 200);
	if (evhttp_request_get_connection(http) == NULL)
		evhttp_request_free(http);
}

/* Ends the answer; what is queued is still sent. */
static void
reader_close(struct reader *r)
{
	struct evhttp_request *http = r->http;
	struct request *rq = r->rq;
	struct evhttp_connection *conn = evhttp_request_get_connection(http);

	if (conn != NULL)
		evhttp_connection_set_closecb(conn, NULL, NULL);
	r->rq = NULL;
	reader_free(r);
	http_done(rq, 200);
	evhttp_send_reply_end(http);
}

static void
reader_refuse(struct reader *r, const struct awo_err *err)
{
	struct request *rq = r->rq;

	r->rq = NULL;
	reader_free(r);
	request_fail(rq, err);
}

static void
on_drained(struct evhttp_connection *conn, void *arg)
{
	struct reader *r = arg;

	(void)conn;
	pull(r);
}

static void
send_text(struct reader *r, const char *text, size_t len)
{
	struct evbuffer *out = evbuffer_new();

	AWO_ASSERT(out != NULL);
	evbuffer_add(out, text, len);
	r->queued += len;
	r->rs->g->count.bytes_sent += len;
	r->wrote_us = clock_mono_us();
	evhttp_send_reply_chunk_with_cb(r->http, out, on_drained, r);
	evbuffer_free(out);
}

/* Cut off at once: it costs memory and takes nothing. */
static void
reader_drop(struct reader *r, const char *why)
{
	struct evhttp_connection *conn = evhttp_request_get_connection(r->http);

	r->rs->g->count.sse_dropped++;
	log_info("sse_reader_dropped", LS("request_id", r->rq->id), LS("peer", r->rq->peer),
	    LS("reason", why));
	if (conn != NULL)
		evhttp_connection_free(conn); /* calls on_close() */
	else
		reader_close(r);
}

static void
reader_end(struct reader *r, const char *reason)
{
	CLEAN_BUF struct buf text = {0};

	if (!r->started) {
		struct awo_err err = {0};

		(void)ERR(&err, UNAVAILABLE, "", "the stream has ended: %s", reason);
		reader_refuse(r, &err);
		return;
	}
	buf_printf(&text, "event: end\ndata: {\"reason\":\"%s\"}\n\n", reason);
	send_text(r, text.p, text.len);
	reader_close(r);
}

/* ---- what a reader gets: from the ring of its feed, or, when that is too new, from a source of
 * its own */

static void
own_flush_soon(struct readers *rs)
{
	const struct timeval tv = {0, CATCH_UP_FLUSH_MS * 1000L};

	if (!event_pending(rs->flush, EV_TIMEOUT, NULL))
		event_add(rs->flush, &tv);
}

/* Hands its own lines over; true when it then has to wait for the client. */
static bool
flush_own(struct reader *r)
{
	if (r->text.len > 0) {
		send_text(r, r->text.p, r->text.len);
		r->text.len = 0;
	}
	return backlog(r) >= BACKLOG_HIGH;
}

static void
catch_line(void *arg, int64_t position, const char *line, size_t len)
{
	struct reader *r = arg;

	feed_catch_up(r->sub, position, line, len, &r->text);
	r->rs->g->count.sse_lines++;
	if (r->text.len + backlog(r) >= BACKLOG_HIGH)
		source_stop(r->own); /* asked again from here when the client has read */
	own_flush_soon(r->rs);
}

static void
catch_began(void *arg)
{
	(void)arg;
}

static void
catch_ended(void *arg, const struct awo_err *err, const char *reason)
{
	struct reader *r = arg;

	if (err == NULL) {
		/* the feed's end is its end; it has all up to there */
		own_flush_soon(r->rs);
		return;
	}
	(void)flush_own(r);
	reader_end(r, reason);
}

static const struct source_calls catch_calls = {
    .began = catch_began, .line = catch_line, .ended = catch_ended};

static void
catch_up(struct reader *r)
{
	if (r->own == NULL)
		r->own = source_new(r->rs->sources, feed_of(r->sub), &catch_calls, r);
	r->catching_up = true;
	if (source_is_idle(r->own) && backlog(r) + r->text.len < BACKLOG_LOW)
		source_start(r->own, r->rq->who.auth, feed_position(r->sub), true);
}

/* Sends what there is and fits. The reader may be gone afterwards. */
static void
pull(struct reader *r)
{
	struct evbuffer *out;
	const char *reason;
	size_t have;

	if (r->sub == NULL || !r->started)
		return;
	if (!feed_reaches(r->sub)) {
		catch_up(r);
		return;
	}
	if (r->catching_up) {
		source_stop(r->own);
		r->catching_up = false;
		(void)flush_own(r);
	}
	have = backlog(r);
	if (have >= BACKLOG_HIGH)
		return;
	out = evbuffer_new();
	AWO_ASSERT(out != NULL);
	feed_take(r->sub, out, BACKLOG_HIGH - have);
	if (evbuffer_get_length(out) > 0) {
		r->queued += evbuffer_get_length(out);
		r->rs->g->count.bytes_sent += evbuffer_get_length(out);
		r->wrote_us = clock_mono_us();
		evhttp_send_reply_chunk_with_cb(r->http, out, on_drained, r);
	}
	evbuffer_free(out);
	reason = feed_end(r->sub);
	if (reason != NULL)
		reader_end(r, reason);
}

/* ---- timers */

static void
on_own_flush(evutil_socket_t fd, short what, void *arg)
{
	struct readers *rs = arg;
	struct reader *r, *next;

	(void)fd;
	(void)what;
	for (r = LIST_FIRST(&rs->all); r != NULL; r = next) {
		next = LIST_NEXT(r, link);
		if (r->gone || !r->started || (r->text.len == 0 && !r->catching_up))
			continue;
		(void)flush_own(r);
		pull(r);
	}
}

static void
on_checked(void *arg, const struct awo_err *err, void *answer)
{
	struct reader *r = arg;

	(void)answer;
	r->checking = false;
	if (r->gone)
		reader_free(r);
	else if (err->code == AWO_UNAUTHENTICATED || err->code == AWO_PERMISSION_DENIED ||
		 err->code == AWO_NOT_FOUND)
		reader_end(r, "access_ended");
}

/* A shared stream ends with the access of the one whose it is, and says nothing of the others';
 * events are only shared by who has the same. */
static void
check_access(struct reader *r)
{
	struct p_order_get q = {0};

	if (r->checking || feed_is_asked_by(r->sub))
		return;
	r->checking = true;
	P_SETS(order_get, &q, agent_work_order_id, feed_of(r->sub)->id);
	backend_call(r->rs->g, r->rq->who.auth, P_M_order_get, &q, on_checked, r);
	P_FREE(order_get, &q);
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct readers *rs = arg;
	int64_t now = clock_mono_us();
	struct reader *r, *next;

	(void)fd;
	(void)what;
	for (r = LIST_FIRST(&rs->all); r != NULL; r = next) {
		size_t left;

		next = LIST_NEXT(r, link);
		if (r->gone || !r->started)
			continue;
		left = backlog(r);
		if (left == 0 || r->queued - left > r->sent) {
			r->sent = left < r->queued ? r->queued - left : 0;
			r->sent_us = now;
		} else if (now - r->sent_us > STALL_US) {
			reader_drop(r, "takes nothing");
			continue;
		}
		if (now - r->checked_us > CHECK_US) {
			r->checked_us = now;
			check_access(r);
		}
		if (now - r->wrote_us > KEEPALIVE_US && left == 0)
			send_text(r, ": keepalive\n\n", strlen(": keepalive\n\n"));
		pull(r);
	}
}

/* ---- how an answer begins */

static void
reader_start(struct reader *r)
{
	struct request *rq = r->rq;
	struct evhttp_connection *conn = evhttp_request_get_connection(r->http);
	struct bufferevent *bev = reader_bev(r);
	const int size = SEND_BUFFER;
	evutil_socket_t fd;

	if (r->started)
		return;
	if (conn == NULL) {
		r->rq = NULL;
		reader_free(r);
		request_fail_status(rq, 503, "the client has gone");
		return;
	}
	fd = bufferevent_getfd(bev);
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	/* a stream may be silent; who takes nothing is found by on_tick() */
	bufferevent_set_timeouts(bev, NULL, NULL);
	evhttp_connection_set_closecb(conn, on_close, r);
	request_add_header(rq, "Content-Type", "text/event-stream");
	request_add_header(rq, "Cache-Control", "no-store");
	request_add_header(rq, "X-Accel-Buffering", "no");
	request_add_header(rq, "Connection", "close");
	request_begin(rq);
	r->started = true;
	r->wrote_us = r->sent_us = r->checked_us = clock_mono_us();
	evhttp_send_reply_start(r->http, 200, "OK");
	send_text(r, "retry: 1000\n\n", strlen("retry: 1000\n\n"));
	pull(r);
}

static void
on_began(void *arg)
{
	reader_start(arg);
}

static void
on_grew(void *arg)
{
	pull(arg);
}

static void
on_ended(void *arg, const struct awo_err *err, const char *reason)
{
	struct reader *r = arg;

	if (err != NULL && !r->started)
		reader_refuse(r, err);
	else
		reader_end(r, reason);
}

static const struct subscriber_calls reader_calls = {
    .began = on_began, .grew = on_grew, .ended = on_ended};

/* However many somebody follows, as many are left for others: who comes later has half of those. */
static bool
has_share(const struct readers *rs, const struct request *rq)
{
	const struct reader *r;
	size_t mine = 0;

	if (auth_is_none(rs->g))
		return true;
	LIST_FOREACH(r, &rs->all, link)
	mine += r->rq != NULL && r->rq->who.uid == rq->who.uid;
	return mine < READERS_MAX - rs->n;
}

static struct reader *
reader_new(struct readers *rs, struct request *rq)
{
	struct reader *r;

	if (rs->n < READERS_MAX && !has_share(rs, rq)) {
		request_add_header(rq, "Retry-After", "5");
		request_fail_status(
		    rq, 429, "you follow as many streams as one user may: end some, or try again");
		return NULL;
	}
	if (rs->n >= READERS_MAX) {
		request_add_header(rq, "Retry-After", "5");
		request_fail_status(rq, 503,
		    "%d streams are being followed already, which is the limit", READERS_MAX);
		return NULL;
	}
	r = xcalloc(1, sizeof(*r));
	r->rs = rs;
	r->rq = rq;
	r->http = rq->http;
	LIST_INSERT_HEAD(&rs->all, r, link);
	rs->n++;
	rs->g->count.sse_opened++;
	return r;
}

void
readers_add(struct readers *rs, struct request *rq, const struct feed_request *what)
{
	struct reader *r = reader_new(rs, rq);

	if (r == NULL)
		return;
	r->sub = feed_join(rs->feeds, what, rq->who.auth, &reader_calls, r);
	if (feed_has_begun(r->sub))
		reader_start(r);
}

/* ---- all of them */

size_t
readers_count(const struct readers *rs)
{
	return rs->n;
}

struct readers *
readers_open(struct gateway *g, struct feeds *fs, struct sources *ss)
{
	const struct timeval tv = {TICK_S, 0};
	struct readers *rs = xcalloc(1, sizeof(*rs));

	rs->g = g;
	rs->feeds = fs;
	rs->sources = ss;
	LIST_INIT(&rs->all);
	rs->flush = event_new(g->base, -1, 0, on_own_flush, rs);
	rs->tick = event_new(g->base, -1, EV_PERSIST, on_tick, rs);
	if (rs->flush == NULL || rs->tick == NULL || event_add(rs->tick, &tv) != 0) {
		log_error("event_failed", LS("what", "streams"));
		readers_close(rs);
		return NULL;
	}
	return rs;
}

void
readers_stop(struct readers *rs)
{
	struct reader *r, *next;

	for (r = LIST_FIRST(&rs->all); r != NULL; r = next) {
		next = LIST_NEXT(r, link);
		if (r->gone)
			continue;
		if (r->started)
			reader_close(r); /* without an end event: the client comes again */
		else
			reader_end(r, "stopping");
	}
}

void
readers_close(struct readers *rs)
{
	struct reader *r;

	if (rs == NULL)
		return;
	while ((r = LIST_FIRST(&rs->all)) != NULL) {
		LIST_REMOVE(r, link);
		free(r);
	}
	if (rs->flush != NULL)
		event_free(rs->flush);
	if (rs->tick != NULL)
		event_free(rs->tick);
	free(rs);
}
