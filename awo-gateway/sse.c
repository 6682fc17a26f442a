/* Server-sent events: an order's log and all orders' events, replayed and then live. */
#include "awo-gateway/sse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include <event2/bufferevent.h>
#include <event2/http.h>

#include "awo-gateway/args.h"
#include "awo-gateway/backend.h"
#include "awo-gateway/gateway.h"
#include "awo-gateway/http.h"
#include "awo-gateway/source.h"
#include "common/clean.h"
#include "common/clock.h"
#include "common/hash.h"
#include "common/ids.h"
#include "common/log.h"

#define FLUSH_MS 20	    /* lines that come together are sent together */
#define CATCH_UP_FLUSH_MS 2 /* those of a replay come in large pieces, and are waited for */
#define RING_BYTES ((size_t)1 << 20) /* newest text of a log that readers share */
#define RINGS_BYTES                                                                                \
	((size_t)64 << 20) /* of all logs; beyond that the newest pieces alone are shared */
#define BACKLOG_HIGH ((size_t)256 << 10) /* unsent bytes of a reader: it gets no more for now */
#define BACKLOG_LOW ((size_t)64 << 10)
#define SEND_BUFFER (128 << 10) /* the kernel's */
#define TICK_S 1
#define KEEPALIVE_US (10 * INT64_C(1000000))
#define STALL_US (20 * INT64_C(1000000)) /* a reader that takes nothing for so long is cut off */
#define CHECK_US (5 * INT64_C(1000000))	 /* between looks whether it may still read */
#define READERS_MAX 3000
#define BUCKETS 256
#define NO_ID INT64_MAX /* of an event: awod has not said yet behind which one the feed begins */

/* Some lines as they are sent; shared by all readers, freed when the last has sent it. */
struct chunk {
	TAILQ_ENTRY(chunk) link;
	unsigned refs;
	int64_t before, last; /* the seq before its first line, and of its last */
	char *text;
	size_t len;
	struct mark {
		int64_t seq;
		size_t end; /* of that line's event in text */
	} * marks;
	size_t nmarks;
	/* of each mark's event, when it is one: what readers choose by */
	struct label {
		int64_t id; /* 0: it is not stored */
		enum p_log_level level;
		char order_id[12];
	} * labels;
};

/*
 * What is followed of one order by all who ask for the same; or of all orders by all who ask with
 * the same token. Lines of a log have their seq as position. Events are counted for it, because
 * most have no id.
 */
struct feed {
	LIST_ENTRY(feed) link;
	struct sse *s;
	struct source *source;
	struct source_of of;
	TAILQ_HEAD(chunk_list, chunk) ring;
	size_t ring_bytes;
	int64_t first, last; /* the ring holds what is behind first, up to last */
	struct buf text;     /* of the chunk that is being filled */
	struct mark *marks;
	struct label *labels;
	size_t nmarks, marks_cap;
	int64_t before;
	int64_t first_id; /* events: the ring holds all stored ones behind this id */
	int64_t last_id;  /* events: of the last stored one, or what it began behind */
	struct event *flush;
	bool ready; /* awod has accepted it */
	bool ended; /* nothing follows: nobody joins any more */
	char reason[64];
	char auth[WHO_AUTH_MAX + 1];
	TAILQ_HEAD(reader_list, reader) readers;
};

struct reader {
	TAILQ_ENTRY(reader) member; /* of its feed */
	LIST_ENTRY(reader) link;
	struct sse *s;
	struct request *rq; /* lives as long as the stream */
	struct evhttp_request *http;
	struct feed *feed;
	struct source *own; /* of what the feed has no more */
	int64_t position;
	int64_t id;   /* events: has all stored ones up to here */
	int64_t came; /* events: the feed's position when it came; what is not stored is for it from
			 then on */
	bool started; /* the answer has begun */
	bool catching_up;
	bool checking;	 /* a call asks whether it may still read */
	bool gone;	 /* freed when the call has its answer */
	struct buf text; /* of its own source, still to be handed over */
	uint64_t queued; /* bytes handed over since the start */
	uint64_t sent;	 /* as last seen */
	int64_t sent_us; /* when that grew */
	int64_t wrote_us, checked_us;
	char order_id[12];	/* events: only of this order */
	enum p_log_level level; /* events: only of at least this level */
};

struct sse {
	struct gateway *g;
	struct sources *sources;
	LIST_HEAD(feed_list, feed) feeds[BUCKETS];
	LIST_HEAD(all_readers, reader) readers;
	size_t nreaders;
	size_t ring_bytes; /* of all feeds */
	struct event *tick;
	struct event *flush; /* of the readers' own texts */
};

static void pull(struct reader *r);
static void reader_end(struct reader *r, const char *reason);

void
sse_frame(struct buf *b, int64_t id, const char *line, size_t len, bool with_seq)
{
	/* a line is one JSON object without line ends; a stray one would begin another field */
	if (id > 0)
		buf_printf(b, "id: %lld\n", (long long)id);
	buf_adds(b, "data: ");
	if (with_seq && len >= 2 && line[0] == '{') {
		buf_printf(b, "{\"seq\":%lld%s", (long long)id, line[1] == '}' ? "" : ",");
		line++;
		len--;
	}
	for (;;) {
		size_t n = 0;

		while (n < len && line[n] != '\n' && line[n] != '\r')
			n++;
		buf_add(b, line, n);
		if (n == len)
			break;
		line += n + 1;
		len -= n + 1;
	}
	buf_adds(b, "\n\n");
}

/* ---- chunks */

static void
chunk_release(struct chunk *c)
{
	if (--c->refs > 0)
		return;
	free(c->text);
	free(c->marks);
	free(c->labels);
	free(c);
}

static void
chunk_sent(const void *p, size_t len, void *arg)
{
	(void)p;
	(void)len;
	chunk_release(arg);
}

/* Where in a chunk what is behind a position begins. */
static size_t
chunk_offset(const struct chunk *c, int64_t position)
{
	size_t lo = 0, hi = c->nmarks;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (c->marks[mid].seq <= position)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo > 0 ? c->marks[lo - 1].end : 0;
}

/* ---- feeds */

static size_t
feed_hash(const struct source_of *of, const char *auth)
{
	return hash_text(of->events ? auth : of->id) % BUCKETS;
}

static bool
same(const struct source_of *a, const struct source_of *b)
{
	return a->events == b->events && strcmp(a->id, b->id) == 0 && a->level == b->level &&
	       strcmp(a->step, b->step) == 0 && a->has_since == b->has_since &&
	       a->since == b->since;
}

static void
ring_take(struct feed *f, struct chunk *c)
{
	TAILQ_REMOVE(&f->ring, c, link);
	f->ring_bytes -= c->len;
	f->s->ring_bytes -= c->len;
	chunk_release(c);
}

static void
feed_free(struct feed *f)
{
	struct chunk *c;

	LIST_REMOVE(f, link);
	while ((c = TAILQ_FIRST(&f->ring)) != NULL)
		/* each leaves the ring first; NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
		ring_take(f, c);
	source_free(f->source);
	event_free(f->flush);
	buf_free(&f->text);
	free(f->marks);
	free(f->labels);
	free(f);
}

/* What was gathered becomes a chunk of the ring. */
static void
feed_cut(struct feed *f)
{
	struct sse *s = f->s;
	struct chunk *c;

	if (f->text.len == 0)
		return;
	c = xcalloc(1, sizeof(*c));
	*c = (struct chunk){.refs = 1,
	    .before = f->before,
	    .last = f->last,
	    .len = f->text.len,
	    .marks = f->marks,
	    .nmarks = f->nmarks,
	    .labels = f->labels};
	c->text = buf_take(&f->text);
	f->marks = NULL;
	f->labels = NULL;
	f->nmarks = f->marks_cap = 0;
	TAILQ_INSERT_TAIL(&f->ring, c, link);
	f->ring_bytes += c->len;
	s->ring_bytes += c->len;
	while ((f->ring_bytes > RING_BYTES || s->ring_bytes > RINGS_BYTES) &&
	       (c = TAILQ_FIRST(&f->ring)) != TAILQ_LAST(&f->ring, chunk_list)) {
		/* each leaves the ring first; NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
		f->first = c->last;
		for (size_t i = 0; c->labels != NULL && i < c->nmarks; i++)
			if (c->labels[i].id > 0)
				f->first_id = c->labels[i].id;
		ring_take(f, c);
	}
}

static void
feed_serve(struct feed *f)
{
	struct reader *r, *next;

	for (r = TAILQ_FIRST(&f->readers); r != NULL; r = next) {
		next = TAILQ_NEXT(r, member);
		pull(r);
	}
}

static void
on_feed_flush(evutil_socket_t fd, short what, void *arg)
{
	struct feed *f = arg;

	(void)fd;
	(void)what;
	feed_cut(f);
	feed_serve(f);
	if (TAILQ_EMPTY(&f->readers))
		feed_free(f);
}

static void
feed_soon(struct feed *f, int ms)
{
	const struct timeval tv = {0, ms * 1000L};

	if (!event_pending(f->flush, EV_TIMEOUT, NULL))
		event_add(f->flush, &tv);
}

/* The value of a string member among those that every line has in its front; "" when it is too
 * long. */
static void
line_member(const char *line, const char *name, char *to, size_t size)
{
	const char *p = strstr(line, name);
	size_t n = p != NULL ? strcspn(p + strlen(name), "\"") : 0;

	snprintf(to, size, "%.*s", n < size ? (int)n : 0, p != NULL ? p + strlen(name) : "");
}

static struct label
label_of(int64_t id, const char *line)
{
	struct label l = {.id = id};
	char level[16];

	line_member(line, "\"agent_work_order_id\":\"", l.order_id, sizeof(l.order_id));
	line_member(line, "\"level\":\"", level, sizeof(level));
	l.level = (enum p_log_level)p_enum_value(&p_enum_log_level, level);
	return l;
}

/* All stored events behind this id will come. */
static void
feed_begins_behind(struct feed *f, int64_t id)
{
	struct reader *r;

	if (f->first_id != NO_ID)
		return; /* it went on where it had stopped */
	f->first_id = f->last_id = id;
	TAILQ_FOREACH(r, &f->readers, member)
	if (r->id == NO_ID)
		r->id = id;
	feed_soon(f, 0);
}

static void
feed_line(void *arg, int64_t position, const char *line, size_t len)
{
	struct feed *f = arg;
	int64_t id = position;

	if (f->of.events) {
		if (len == 0) {
			feed_begins_behind(f, id);
			return;
		}
		position = f->last + 1;
		if (id > 0)
			f->last_id = id;
	}
	if (f->text.len == 0)
		f->before = f->last;
	sse_frame(&f->text, id, line, len, !f->of.events);
	if (f->nmarks == f->marks_cap) {
		f->marks_cap = f->marks_cap > 0 ? f->marks_cap * 2 : 16;
		f->marks = xrealloc(f->marks, f->marks_cap, sizeof(*f->marks));
		if (f->of.events)
			f->labels = xrealloc(f->labels, f->marks_cap, sizeof(*f->labels));
	}
	if (f->of.events)
		f->labels[f->nmarks] = label_of(id, line);
	f->marks[f->nmarks++] = (struct mark){.seq = position, .end = f->text.len};
	f->last = position;
	f->s->g->count.sse_lines++;
	/* a replay comes faster than the timer */
	if (f->text.len >= RING_BYTES / 8) {
		feed_cut(f);
		feed_serve(f);
	}
	feed_soon(f, FLUSH_MS);
}

static void reader_start(struct reader *r);
static void reader_free(struct reader *r);

static void
feed_began(void *arg)
{
	struct feed *f = arg;
	struct reader *r, *next;

	f->ready = true;
	for (r = TAILQ_FIRST(&f->readers); r != NULL; r = next) {
		next = TAILQ_NEXT(r, member);
		reader_start(r);
	}
}

static void
reader_refuse(struct reader *r, const struct awo_err *err)
{
	struct request *rq = r->rq;

	r->rq = NULL;
	reader_free(r);
	request_fail(rq, err);
}

/* Its reader may not read any more, or there is nothing to read. Others may go on: as one of them.
 */
static void
feed_ended(void *arg, const struct awo_err *err, const char *reason)
{
	struct feed *f = arg;
	struct reader *r, *next;

	snprintf(f->reason, sizeof(f->reason), "%s", reason);
	if (err == NULL || err->code == AWO_NOT_FOUND) {
		f->ended = true;
		feed_soon(f, 0);
		if (f->ready)
			return;
	}
	for (r = TAILQ_FIRST(&f->readers); r != NULL; r = next) {
		next = TAILQ_NEXT(r, member);
		if (err != NULL && !r->started)
			reader_refuse(r, err);
		else if (strcmp(r->rq->who.auth, f->auth) == 0)
			reader_end(r, reason);
	}
	r = TAILQ_FIRST(&f->readers);
	if (r != NULL && !f->ended) {
		snprintf(f->auth, sizeof(f->auth), "%s", r->rq->who.auth);
		source_start(f->source, f->auth, f->last, true);
	}
	feed_soon(f, 0);
}

static const struct source_calls feed_calls = {
    .began = feed_began, .line = feed_line, .ended = feed_ended};

static struct feed *
feed_find(struct sse *s, const struct source_of *of, const char *auth)
{
	struct feed *f;

	LIST_FOREACH(f, &s->feeds[feed_hash(of, auth)], link)
	if (!f->ended && same(&f->of, of) && (!of->events || strcmp(f->auth, auth) == 0))
		break;
	return f;
}

/* position: of a log the seq behind which it begins; events begin with what comes. */
static struct feed *
feed_new(struct sse *s, const struct source_of *of, const char *auth, int64_t position)
{
	struct feed *f = xcalloc(1, sizeof(*f));

	f->s = s;
	f->of = *of;
	f->first = f->last = position;
	f->first_id = f->last_id = NO_ID;
	snprintf(f->auth, sizeof(f->auth), "%s", auth);
	TAILQ_INIT(&f->ring);
	TAILQ_INIT(&f->readers);
	f->flush = event_new(s->g->base, -1, 0, on_feed_flush, f);
	AWO_ASSERT(f->flush != NULL);
	f->source = source_new(s->sources, of, &feed_calls, f);
	LIST_INSERT_HEAD(&s->feeds[feed_hash(of, auth)], f, link);
	source_start(f->source, f->auth, position, !of->events);
	return f;
}

/* ---- readers */

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
	if (r->feed != NULL) {
		TAILQ_REMOVE(&r->feed->readers, r, member);
		feed_soon(r->feed, FLUSH_MS);
		r->feed = NULL;
	}
	if (!r->gone)
		r->s->nreaders--;
	source_free(r->own);
	r->own = NULL;
	buf_free(&r->text);
	LIST_REMOVE(r, link);
	if (r->checking) {
		/* the call has it */
		r->gone = true;
		LIST_INSERT_HEAD(&r->s->readers, r, link);
		return;
	}
	free(r);
}

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
	r->s->g->count.bytes_sent += len;
	r->wrote_us = clock_mono_us();
	evhttp_send_reply_chunk_with_cb(r->http, out, on_drained, r);
	evbuffer_free(out);
}

/* Cut off at once: it costs memory and takes nothing. */
static void
reader_drop(struct reader *r, const char *why)
{
	struct evhttp_connection *conn = evhttp_request_get_connection(r->http);

	r->s->g->count.sse_dropped++;
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

/* ---- what a reader of a log gets: from the feed's ring, or, when that is too new, from a source
 * of its own */

static void
own_flush_soon(struct sse *s)
{
	const struct timeval tv = {0, CATCH_UP_FLUSH_MS * 1000L};

	if (!event_pending(s->flush, EV_TIMEOUT, NULL))
		event_add(s->flush, &tv);
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

static bool
is_wanted(const struct reader *r, const struct label *l)
{
	return (r->order_id[0] == '\0' || strcmp(r->order_id, l->order_id) == 0) &&
	       (r->level == log_level_none || l->level >= r->level);
}

/* Of events only what is stored: it is the feed that tells what is going on. */
static void
catch_event(struct reader *r, int64_t id, const char *line, size_t len)
{
	const struct label l = label_of(id, line);
	bool is_new = id > r->id;

	if (is_new)
		r->id = id;
	/* an empty line only tells how far it has come */
	if (!is_new || len == 0)
		return;
	if (is_wanted(r, &l))
		sse_frame(&r->text, id, line, len, false);
}

static void
catch_line(void *arg, int64_t position, const char *line, size_t len)
{
	struct reader *r = arg;

	if (r->feed->of.events) {
		catch_event(r, position, line, len);
	} else {
		sse_frame(&r->text, position, line, len, true);
		r->position = position;
	}
	r->s->g->count.sse_lines++;
	if (r->text.len + backlog(r) >= BACKLOG_HIGH)
		source_stop(r->own); /* asked again from here when the client has read */
	own_flush_soon(r->s);
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
		own_flush_soon(r->s);
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
		r->own = source_new(r->s->sources, &r->feed->of, &catch_calls, r);
	r->catching_up = true;
	if (source_is_idle(r->own) && backlog(r) + r->text.len < BACKLOG_LOW)
		source_start(
		    r->own, r->rq->who.auth, r->feed->of.events ? r->id : r->position, true);
}

/* Whether the ring has all that follows of what the reader has. */
static bool
is_in_ring(struct reader *r)
{
	if (r->position >= r->feed->first)
		return true;
	if (!r->feed->of.events || r->id < r->feed->first_id)
		return false;
	r->position = r->feed->first;
	return true;
}

/* A part of a chunk, which stays until it has been sent. */
static bool
lend(struct chunk *c, size_t from, size_t to, struct evbuffer *out)
{
	if (from == to)
		return true;
	c->refs++;
	if (evbuffer_add_reference(out, c->text + from, to - from, chunk_sent, c) == 0)
		return true;
	c->refs--;
	return false;
}

/* What the reader wants of a chunk of events. */
static bool
lend_events(struct reader *r, struct chunk *c, struct evbuffer *out)
{
	size_t from = chunk_offset(c, r->position), to = from;

	for (size_t i = 0; i < c->nmarks; i++) {
		const struct label *l = &c->labels[i];

		if (c->marks[i].seq <= r->position)
			continue;
		/* what it had before it came again is not for it */
		if ((l->id > 0 ? l->id > r->id : c->marks[i].seq > r->came) && is_wanted(r, l)) {
			to = c->marks[i].end;
		} else {
			if (!lend(c, from, to, out))
				return false;
			from = to = c->marks[i].end;
		}
		if (l->id > r->id)
			r->id = l->id;
	}
	return lend(c, from, to, out);
}

/* Sends what there is and fits. The reader may be gone afterwards. */
static void
pull(struct reader *r)
{
	struct feed *f = r->feed;
	struct evbuffer *out;
	struct chunk *c;
	size_t have;

	if (f == NULL || !r->started)
		return;
	if (!is_in_ring(r)) {
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
	TAILQ_FOREACH(c, &f->ring, link)
	{
		if (c->last <= r->position)
			continue;
		if (have + evbuffer_get_length(out) >= BACKLOG_HIGH)
			break;
		if (!(f->of.events ? lend_events(r, c, out)
				   : lend(c, chunk_offset(c, r->position), c->len, out)))
			break;
		r->position = c->last;
	}
	if (evbuffer_get_length(out) > 0) {
		r->queued += evbuffer_get_length(out);
		r->s->g->count.bytes_sent += evbuffer_get_length(out);
		r->wrote_us = clock_mono_us();
		evhttp_send_reply_chunk_with_cb(r->http, out, on_drained, r);
	}
	evbuffer_free(out);
	if (f->ended && f->text.len == 0 && r->position >= f->last)
		reader_end(r, f->reason);
}

/* ---- timers */

static void
on_own_flush(evutil_socket_t fd, short what, void *arg)
{
	struct sse *s = arg;
	struct reader *r, *next;

	(void)fd;
	(void)what;
	for (r = LIST_FIRST(&s->readers); r != NULL; r = next) {
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

	if (r->checking || strcmp(r->rq->who.auth, r->feed->auth) == 0)
		return;
	r->checking = true;
	P_SETS(order_get, &q, agent_work_order_id, r->feed->of.id);
	backend_call(r->s->g, r->rq->who.auth, P_M_order_get, &q, on_checked, r);
	P_FREE(order_get, &q);
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct sse *s = arg;
	int64_t now = clock_mono_us();
	struct reader *r, *next;

	(void)fd;
	(void)what;
	for (r = LIST_FIRST(&s->readers); r != NULL; r = next) {
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

/* ---- requests */

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

/* However many somebody follows, as many are left for others: who comes later has half of those. */
static bool
has_share(const struct sse *s, const struct request *rq)
{
	const struct reader *r;
	size_t mine = 0;

	if (auth_is_none(s->g))
		return true;
	LIST_FOREACH(r, &s->readers, link)
	mine += r->rq != NULL && r->rq->who.uid == rq->who.uid;
	return mine < READERS_MAX - s->nreaders;
}

static struct reader *
reader_new(struct request *rq)
{
	struct sse *s = rq->g->sse;
	struct reader *r;

	if (s->nreaders < READERS_MAX && !has_share(s, rq)) {
		request_add_header(rq, "Retry-After", "5");
		request_fail_status(
		    rq, 429, "you follow as many streams as one user may: end some, or try again");
		return NULL;
	}
	if (s->nreaders >= READERS_MAX) {
		request_add_header(rq, "Retry-After", "5");
		request_fail_status(rq, 503,
		    "%d streams are being followed already, which is the limit", READERS_MAX);
		return NULL;
	}
	r = xcalloc(1, sizeof(*r));
	r->s = s;
	r->rq = rq;
	r->http = rq->http;
	LIST_INSERT_HEAD(&s->readers, r, link);
	s->nreaders++;
	s->g->count.sse_opened++;
	return r;
}

/* HEAD of a stream is its headers. */
static bool
is_head(struct request *rq)
{
	if (rq->method != HTTP_HEAD)
		return false;
	request_add_header(rq, "Content-Type", "text/event-stream");
	request_answer_empty(rq, 200);
	return true;
}

/* The parameters of the request by its method's type; NULL when it has been answered. */
static void *
take_params(struct request *rq)
{
	const struct p_type *type = rq->route->rpc->request;
	struct args_error e = {0};
	struct awo_err err = {0};
	void *params;

	rq->args = args_make(type, "", 0, &rq->target, rq->params, &e);
	if (rq->args == NULL || e.type != NULL) {
		request_fail_args(rq, &e, 1);
		return NULL;
	}
	params = xcalloc(1, type->size);
	if (p_from_json(type, params, rq->args, false, &err) == 0)
		return params;
	free(params);
	request_fail(rq, &err);
	return NULL;
}

/* Last-Event-ID, which wins over the parameter; false when it is no number and the request has been
 * answered. */
static bool
last_event_id(struct request *rq, int64_t *position, bool *given)
{
	const char *text = request_header(rq, "Last-Event-ID");
	char *end;
	long long value;

	if (text == NULL || *text == '\0')
		return true;
	value = strtoll(text, &end, 10);
	if (*end != '\0' || value < 0 || text[0] < '0' || text[0] > '9') {
		struct args_error e = {.type = "value_error", .origin = FROM_HEADER};

		(void)ERR(&e.err, INVALID_ARGUMENT, "Last-Event-ID",
		    "Last-Event-ID must be the id of an event of this stream");
		request_fail_args(rq, &e, 1);
		return false;
	}
	*position = value;
	*given = true;
	return true;
}

static void
join(struct reader *r, struct feed *f)
{
	r->feed = f;
	TAILQ_INSERT_TAIL(&f->readers, r, member);
	if (f->ready)
		reader_start(r);
}

/* The order is there and may be seen: join the others, or be the first. */
static void
order_found(struct request *rq, const struct awo_err *err, void *answer)
{
	const struct p_order_answer *order = answer;
	struct p_order_watch *w = rq->state;
	struct source_of of = {0};
	struct reader *r;
	struct feed *f;

	rq->state = NULL;
	if (order == NULL) {
		p_free(&p_type_order_watch, w);
		free(w);
		request_fail(rq, err);
		return;
	}
	snprintf(of.id, sizeof(of.id), "%s", order->agent_work_order.agent_work_order_id);
	of.level = w->level;
	snprintf(of.step, sizeof(of.step), "%s", w->step != NULL ? w->step : "");
	of.has_since = P_HAS(order_watch, w, since);
	of.since = w->since;
	r = reader_new(rq);
	if (r != NULL) {
		r->position = w->after_seq;
		f = feed_find(rq->g->sse, &of, rq->who.auth);
		if (f == NULL)
			f = feed_new(rq->g->sse, &of, rq->who.auth, r->position);
		join(r, f);
	}
	p_free(&p_type_order_watch, w);
	free(w);
}

void
sse_order(struct request *rq)
{
	struct p_order_watch *w = take_params(rq);
	struct p_order_get q = {0};
	bool given = false;

	if (w == NULL)
		return;
	if (!last_event_id(rq, &w->after_seq, &given) || is_head(rq)) {
		p_free(&p_type_order_watch, w);
		free(w);
		return;
	}
	rq->state = w;
	P_SETS(order_get, &q, agent_work_order_id, w->agent_work_order_id);
	request_call(rq, P_M_order_get, &q, order_found);
	P_FREE(order_get, &q);
}

void
sse_events(struct request *rq)
{
	struct p_events_watch *w = take_params(rq);
	const char *id, *level;
	struct source_of of = {.events = true};
	int64_t position = 0;
	bool resume;
	struct reader *r;
	struct feed *f;

	if (w == NULL)
		return;
	resume = P_HAS(events_watch, w, after_id);
	position = w->after_id;
	p_free(&p_type_events_watch, w);
	free(w);
	id = target_param(&rq->target, "agent_work_order_id");
	level = target_param(&rq->target, "level");
	if (id != NULL && *id != '\0' && !ids_is_order(id)) {
		struct args_error e = {.type = "value_error", .origin = FROM_QUERY};

		(void)ERR(&e.err, INVALID_ARGUMENT, "agent_work_order_id",
		    "agent_work_order_id must be the id of an order, like wo-1a2b3c4d");
		request_fail_args(rq, &e, 1);
		return;
	}
	if (level != NULL && *level != '\0' && p_enum_value(&p_enum_log_level, level) == 0) {
		struct args_error e = {.type = "enum", .origin = FROM_QUERY};

		(void)ERR(&e.err, INVALID_ARGUMENT, "level",
		    "level must be one of debug, info, warning and error");
		request_fail_args(rq, &e, 1);
		return;
	}
	if (!last_event_id(rq, &position, &resume) || is_head(rq))
		return;
	r = reader_new(rq);
	if (r == NULL)
		return;
	snprintf(r->order_id, sizeof(r->order_id), "%s", id != NULL ? id : "");
	r->level = level != NULL ? (enum p_log_level)p_enum_value(&p_enum_log_level, level)
				 : log_level_none;
	f = feed_find(rq->g->sse, &of, rq->who.auth);
	if (f == NULL)
		f = feed_new(rq->g->sse, &of, rq->who.auth, 0);
	r->came = f->last;
	r->position = resume ? -1 : f->last;
	r->id = resume ? position : f->last_id;
	join(r, f);
}

/* ---- all of it */

void
sse_notify(struct gateway *g, const char *method, struct p_slice param)
{
	if (g->sse != NULL)
		sources_notify(g->sse->sources, method, param);
}

void
sse_backend_lost(struct gateway *g)
{
	if (g->sse != NULL)
		sources_lost(g->sse->sources);
}

void
sse_backend_back(struct gateway *g)
{
	if (g->sse != NULL)
		sources_back(g->sse->sources);
}

size_t
sse_readers(const struct gateway *g)
{
	return g->sse->nreaders;
}

int
sse_open(struct gateway *g)
{
	const struct timeval tv = {TICK_S, 0};
	struct sse *s = xcalloc(1, sizeof(*s));

	s->g = g;
	LIST_INIT(&s->readers);
	for (size_t i = 0; i < BUCKETS; i++)
		LIST_INIT(&s->feeds[i]);
	s->sources = sources_open(g);
	s->flush = event_new(g->base, -1, 0, on_own_flush, s);
	s->tick = event_new(g->base, -1, EV_PERSIST, on_tick, s);
	g->sse = s;
	if (s->flush == NULL || s->tick == NULL || event_add(s->tick, &tv) != 0) {
		log_error("event_failed", LS("what", "streams"));
		return -1;
	}
	return 0;
}

void
sse_stop(struct gateway *g)
{
	struct reader *r, *next;

	for (r = LIST_FIRST(&g->sse->readers); r != NULL; r = next) {
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
sse_close(struct gateway *g)
{
	struct sse *s = g->sse;
	struct reader *r;
	struct feed *f;

	if (s == NULL)
		return;
	while ((r = LIST_FIRST(&s->readers)) != NULL) {
		LIST_REMOVE(r, link);
		free(r);
	}
	for (size_t i = 0; i < BUCKETS; i++)
		while ((f = LIST_FIRST(&s->feeds[i])) != NULL)
			/* each leaves the list first; NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
			feed_free(f);
	sources_close(s->sources);
	if (s->flush != NULL)
		event_free(s->flush);
	if (s->tick != NULL)
		event_free(s->tick);
	free(s);
	g->sse = NULL;
}
