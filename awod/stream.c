/* Streams: logs that are followed, and the events of all orders, each reader at its own pace and
 * cut off when too slow. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "awod/server_priv.h"
#include "common/clock.h"
#include "common/ids.h"
#include "common/log.h"

#define FLUSH_MS 15		     /* lines that come together are sent together */
#define PUMP_BYTES ((size_t)1 << 20) /* of one log before other streams have their turn */
#define REPLAY_ROWS 200		     /* stored events before other streams have their turn */
#define STALL_CHECK_S 5

/* ---- the queue of streams that have something to do */

static void
soon(struct server *s, int ms)
{
	const struct timeval tv = {0, ms * 1000L};

	if (!event_pending(s->flush, EV_TIMEOUT, NULL))
		event_add(s->flush, &tv);
}

static void
make_dirty(struct stream *st, int ms)
{
	struct server *s = st->conn->s;

	if (!st->dirty) {
		st->dirty = true;
		TAILQ_INSERT_TAIL(&s->dirty, st, dirty_link);
	}
	soon(s, ms);
}

/* ---- sources: one descriptor for all who follow the same log */

static size_t
source_hash(const char *id)
{
	unsigned h = 0;

	while (*id != '\0')
		h = h * 31 + (unsigned char)*id++;
	return h % SOURCES;
}

static struct log_source *
source_find(const struct server *s, const char *id)
{
	struct log_source *src;

	for (src = s->sources[source_hash(id)]; src != NULL; src = src->next)
		if (strcmp(src->id, id) == 0)
			return src;
	return NULL;
}

static struct log_source *
source_open(struct server *s, const struct order_row *row, struct awo_err *err)
{
	const char *id = row->pub.agent_work_order_id;
	struct log_source *src = source_find(s, id);
	int fd;

	if (src != NULL)
		return src;
	fd = engine_log_open(s->b->engine, row);
	if (fd < 0) {
		if (errno == ENOENT)
			(void)ERR(err, NOT_FOUND, "agent_work_order_id",
			    "the log of order %s has been removed by retention", id);
		else
			(void)ERR(err, UNAVAILABLE, "", "cannot open the log of order %s: %s", id,
			    strerror(errno));
		return NULL;
	}
	src = xcalloc(1, sizeof(*src));
	snprintf(src->id, sizeof(src->id), "%s", id);
	src->fd = fd;
	TAILQ_INIT(&src->streams);
	src->next = s->sources[source_hash(id)];
	s->sources[source_hash(id)] = src;
	return src;
}

static void
source_release(struct server *s, struct log_source *src)
{
	struct log_source **at;

	if (!TAILQ_EMPTY(&src->streams))
		return;
	for (at = &s->sources[source_hash(src->id)]; *at != NULL; at = &(*at)->next)
		if (*at == src) {
			*at = src->next;
			break;
		}
	close(src->fd);
	free(src);
}

/* ---- one stream */

static struct stream *
stream_new(struct conn *c, const struct caller *caller)
{
	struct stream *st = xcalloc(1, sizeof(*st));

	st->conn = c;
	st->caller = *caller;
	st->subscription = ++c->last_subscription;
	TAILQ_INSERT_TAIL(&c->streams, st, link);
	c->nstreams++;
	c->s->nstreams++;
	if (!event_pending(c->s->stall, EV_TIMEOUT, NULL)) {
		const struct timeval tv = {STALL_CHECK_S, 0};

		event_add(c->s->stall, &tv);
	}
	return st;
}

void
stream_free(struct stream *st)
{
	struct conn *c = st->conn;
	struct server *s = c->s;

	TAILQ_REMOVE(&c->streams, st, link);
	c->nstreams--;
	s->nstreams--;
	if (st->dirty)
		TAILQ_REMOVE(&s->dirty, st, dirty_link);
	if (st->source != NULL) {
		TAILQ_REMOVE(&st->source->streams, st, member);
		source_release(s, st->source);
	} else {
		TAILQ_REMOVE(&s->event_streams, st, member);
	}
	free(st->step);
	free(st);
}

/* The last notification; frees the stream. */
static void
stream_end(struct stream *st, const char *method, const char *reason)
{
	char text[sizeof(st->reason)];
	struct p_stream_end end = {0};
	struct buf out = {0};

	snprintf(text, sizeof(text), "%s", reason);
	P_SET(stream_end, &end, subscription, st->subscription);
	P_SET(stream_end, &end, seq, st->source != NULL ? st->sent : st->event_id);
	P_SETS(stream_end, &end, reason, text);
	p_encode_notify(&out, method, &p_type_stream_end, &end);
	P_FREE(stream_end, &end);
	conn_write(st->conn, &out);
	stream_free(st);
}

static void
overflow(struct stream *st)
{
	st->conn->s->overflows++;
	log_info("stream_overflow", LI("uid", st->conn->caller.uid),
	    LI("pid", st->conn->caller.pid),
	    LS("agent_work_order_id", st->source != NULL ? st->source->id : "-"));
	stream_end(st, "stream_overflow", "slow_reader");
}

static bool
is_blocked(struct stream *st)
{
	if (conn_unsent(st->conn) < OUT_PAUSE)
		return false;
	if (st->blocked_us == 0)
		st->blocked_us = clock_mono_us();
	return true;
}

/* ---- order.watch */

struct pump {
	struct stream *st;
	struct buf line, out;
	size_t room; /* bytes that may still be queued */
};

static int
pump_line(void *arg, const char *p, size_t len, int64_t seq)
{
	struct pump *pump = arg;
	struct stream *st = pump->st;
	struct p_log_line note = {0};

	st->sent = seq;
	if (!log_filter_match(&st->filter, p, len))
		return 0;
	P_SET(log_line, &note, subscription, st->subscription);
	P_SET(log_line, &note, seq, seq);
	(void)log_line_text(p, len, &pump->line);
	/* lent for the encoding, not given */
	note.line = pump->line.p;
	P_MARK(log_line, &note, line);
	p_encode_notify(&pump->out, "log_line", &p_type_log_line, &note);
	return pump->out.len >= pump->room;
}

/* Sends what there is; the stream may be gone afterwards. */
static void
pump_log(struct stream *st)
{
	struct pump pump = {.st = st};
	struct conn *c = st->conn;
	enum log_got got;
	struct stat sb;

	if (fstat(st->source->fd, &sb) != 0)
		sb.st_size = st->cursor.pos;
	if (is_blocked(st)) {
		/* a replay may take the time that the reader needs; one that was up to date must
		 * keep up */
		if (st->live && sb.st_size - st->cursor.pos > LAG_MAX)
			overflow(st);
		return;
	}
	pump.room = OUT_PAUSE - conn_unsent(c);
	got = log_lines(st->source->fd, &st->cursor, sb.st_size, PUMP_BYTES, pump_line, &pump);
	conn_write(c, &pump.out);
	buf_free(&pump.line);
	if (c->dead)
		return;
	if (got == LOG_FAILED) {
		log_error("log_read_failed", LS("agent_work_order_id", st->source->id),
		    LS("error", strerror(errno)));
		stream_end(st, "stream_end", "log_unreadable");
	} else if (got == LOG_MORE) {
		make_dirty(st, 0);
	} else {
		st->live = true;
		if (st->ended)
			stream_end(st, "stream_end", st->reason);
	}
}

/* ---- events.watch */

static void
send_event(struct stream *st, int64_t id, const char *line)
{
	struct buf out = {0};
	struct p_event note = {0};

	P_SET(event, &note, subscription, st->subscription);
	P_SET(event, &note, id, id);
	/* lent for the encoding, not given */
	note.line = (char *)(uintptr_t)line;
	P_MARK(event, &note, line);
	p_encode_notify(&out, "event", &p_type_event, &note);
	conn_write(st->conn, &out);
}

struct replay {
	struct stream *st;
	int rows;
	char order_id[12]; /* of the row before, and whether it may be seen */
	bool visible;
};

static int
replay_row(void *arg, int64_t id, const char *order_id, const char *line)
{
	struct replay *r = arg;
	const struct caller *who = &r->st->caller;

	r->rows++;
	r->st->event_id = id;
	if (*order_id == '\0') {
		r->visible = caller_may_see(who, AUDIT_OWNER);
		r->order_id[0] = '\0';
	} else if (who->admin) {
		r->visible = true;
	} else if (strcmp(order_id, r->order_id) != 0) {
		struct order_row row = {0};
		struct awo_err err = {0};

		snprintf(r->order_id, sizeof(r->order_id), "%s", order_id);
		r->visible = false;
		if (store_order_get(r->st->conn->s->b->store, order_id, &row, &err) == 0) {
			r->visible = caller_may_see(who, row.owner_uid);
			order_row_free(&row);
		}
	}
	if (r->visible)
		send_event(r->st, id, line);
	return conn_unsent(r->st->conn) >= OUT_PAUSE;
}

static void
pump_events(struct stream *st)
{
	struct replay r = {.st = st};
	struct awo_err err = {0};

	if (!st->replaying || is_blocked(st))
		return;
	if (store_events(
		st->conn->s->b->store, st->event_id, NULL, REPLAY_ROWS, replay_row, &r, &err) < 0) {
		log_error("events_read_failed", LS("error", err.msg));
		stream_end(st, "stream_end", "events_unreadable");
		return;
	}
	if (r.rows > 0) {
		make_dirty(st, 0);
		return;
	}
	/* every event that is committed was seen; the others are announced */
	st->replaying = false;
	send_event(st, st->event_id, "");
}

/* ---- what drives them */

static void
on_flush(evutil_socket_t fd, short what, void *arg)
{
	struct server *s = arg;
	TAILQ_HEAD(, stream) now;
	struct stream *st;

	(void)fd;
	(void)what;
	/* streams that become dirty meanwhile have the next turn, so that a long replay cannot keep
	 * the loop */
	TAILQ_INIT(&now);
	TAILQ_CONCAT(&now, &s->dirty, dirty_link);
	while ((st = TAILQ_FIRST(&now)) != NULL) {
		TAILQ_REMOVE(&now, st, dirty_link);
		st->dirty = false;
		if (st->conn->dead)
			continue;
		if (st->source != NULL)
			pump_log(st);
		else
			pump_events(st);
	}
}

/* Streams of the gateway are many, and mostly one user's after another of the same: last and held are of the one before.
 */
static bool
still_holds(const struct stream *st, struct caller *last, bool *held)
{
	const struct caller *c = &st->caller;

	if (c->via[0] == '\0')
		return true;
	if (last->via[0] == '\0' || last->uid != c->uid || last->admin != c->admin ||
	    strcmp(last->user, c->user) != 0) {
		*held = access_holds(st->conn->s->b, c);
		*last = *c;
	}
	return *held;
}

static void
on_stall(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval tv = {STALL_CHECK_S, 0};
	struct server *s = arg;
	int64_t now = clock_mono_us(), wall = clock_wall_us();
	struct caller last = {0};
	bool held = true;
	struct conn *c;

	(void)fd;
	(void)what;
	TAILQ_FOREACH(c, &s->conns, link)
	{
		struct stream *st, *next;

		if (c->dead)
			continue;
		for (st = TAILQ_FIRST(&c->streams); st != NULL && !c->dead; st = next) {
			next = TAILQ_NEXT(st, link);
			if ((st->caller.until != 0 && st->caller.until <= wall) ||
			    !still_holds(st, &last, &held))
				stream_end(st, "stream_end", "access_ended");
			else if (st->blocked_us != 0 && now - st->blocked_us > STALL_US)
				overflow(st);
		}
	}
	if (s->nstreams > 0)
		event_add(s->stall, &tv);
}

void
stream_drained(struct conn *c)
{
	struct stream *st;

	TAILQ_FOREACH(st, &c->streams, link)
	if (st->blocked_us != 0) {
		st->blocked_us = 0;
		make_dirty(st, 0);
	}
}

void
server_log_grew(struct server *s, const char *id)
{
	struct log_source *src = s != NULL ? source_find(s, id) : NULL;
	struct stream *st;

	if (src == NULL)
		return;
	TAILQ_FOREACH(st, &src->streams, member)
	make_dirty(st, FLUSH_MS);
}

void
server_log_ended(struct server *s, const char *id, const char *reason)
{
	struct log_source *src = s != NULL ? source_find(s, id) : NULL;
	struct stream *st;

	if (src == NULL)
		return;
	TAILQ_FOREACH(st, &src->streams, member)
	{
		st->ended = true;
		snprintf(st->reason, sizeof(st->reason), "%s", reason);
		make_dirty(st, FLUSH_MS);
	}
}

void
server_event(struct server *s, uint32_t owner_uid, int64_t event_id, const char *line)
{
	struct stream *st, *next;

	if (s == NULL)
		return;
	for (st = TAILQ_FIRST(&s->event_streams); st != NULL; st = next) {
		next = TAILQ_NEXT(st, member);
		if (st->conn->dead || !caller_may_see(&st->caller, owner_uid))
			continue;
		/* the replay comes to it, or has been there */
		if (event_id > 0 && (st->replaying || event_id <= st->event_id))
			continue;
		if (conn_unsent(st->conn) >= OUT_PAUSE) {
			overflow(st);
			continue;
		}
		send_event(st, event_id, line);
		if (event_id > 0)
			st->event_id = event_id;
	}
}

void
server_access_ended(struct server *s, const char *via)
{
	struct stream *st, *next;
	struct conn *c;

	if (s == NULL)
		return;
	TAILQ_FOREACH(c, &s->conns, link)
	for (st = TAILQ_FIRST(&c->streams); st != NULL && !c->dead; st = next) {
		next = TAILQ_NEXT(st, link);
		if (strcmp(st->caller.via, via) == 0)
			stream_end(st, "stream_end", "access_ended");
	}
}

void
stream_end_all(struct server *s, const char *reason)
{
	struct conn *c;
	struct stream *st;

	TAILQ_FOREACH(c, &s->conns, link)
	while ((st = TAILQ_FIRST(&c->streams)) != NULL)
		/* each leaves the list first; NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
		stream_end(st, "stream_end", reason);
}

int
stream_server_open(struct server *s, struct awo_err *err)
{
	TAILQ_INIT(&s->event_streams);
	TAILQ_INIT(&s->dirty);
	s->flush = event_new(s->b->base, -1, 0, on_flush, s);
	s->stall = event_new(s->b->base, -1, 0, on_stall, s);
	if (s->flush == NULL || s->stall == NULL)
		return ERR(err, INTERNAL, "", "cannot make an event");
	return 0;
}

void
stream_server_close(struct server *s)
{
	if (s->flush != NULL)
		event_free(s->flush);
	if (s->stall != NULL)
		event_free(s->stall);
	s->flush = s->stall = NULL;
}

/* ---- the methods */

static int
room_for_stream(const struct conn *c, struct awo_err *err)
{
	unsigned max = c->caller.gateway ? GATEWAY_STREAMS_MAX : STREAMS_MAX;

	if (c->s->closing)
		return ERR(err, UNAVAILABLE, "", "awod is stopping; try again");
	if (c->nstreams >= max)
		return ERR(err, RESOURCE_EXHAUSTED, "",
		    "this connection follows %u streams, which is the limit; end one with "
		    "stream.stop",
		    max);
	return 0;
}

static void
answer_stream(struct rpc_call *c, const struct stream *st, const char *id)
{
	struct p_stream_answer answer = {0};

	P_SET(stream_answer, &answer, subscription, st->subscription);
	P_SETS(stream_answer, &answer, agent_work_order_id, id);
	rpc_answer(c, &answer);
	P_FREE(stream_answer, &answer);
}

void
rpc_order_watch(struct rpc_call *c, const struct p_order_watch *request)
{
	const struct order_row *row = rpc_order(c);
	struct conn *conn = rpc_conn(c);
	struct awo_err err = {0};
	struct log_source *src;
	struct stream *st;

	if (room_for_stream(conn, &err) != 0 || (src = source_open(conn->s, row, &err)) == NULL) {
		rpc_fail(c, &err);
		return;
	}
	if (log_check_seq(src->fd, request->after_seq, "after_seq", &err) != 0) {
		source_release(conn->s, src);
		rpc_fail(c, &err);
		return;
	}
	st = stream_new(conn, rpc_caller(c));
	st->source = src;
	TAILQ_INSERT_TAIL(&src->streams, st, member);
	st->cursor.pos = st->sent = request->after_seq;
	st->step = xstrdup(request->step);
	st->filter = (struct log_filter){
	    .level = request->level,
	    .step = st->step,
	    .has_since = P_HAS(order_watch, request, since),
	    .since = request->since,
	};
	/* an order that is live tells when its last line stands in the log */
	st->ended = order_is_terminal(row->pub.status);
	snprintf(st->reason, sizeof(st->reason), "order_ended");
	answer_stream(c, st, src->id);
	make_dirty(st, 0);
}

void
rpc_events_watch(struct rpc_call *c, const struct p_events_watch *request)
{
	struct conn *conn = rpc_conn(c);
	int64_t after_id = request->after_id;
	struct awo_err err = {0};
	struct stream *st;

	if (room_for_stream(conn, &err) != 0 ||
	    (!P_HAS(events_watch, request, after_id) &&
		store_last_event(conn->s->b->store, &after_id, &err) != 0)) {
		rpc_fail(c, &err);
		return;
	}
	st = stream_new(conn, rpc_caller(c));
	TAILQ_INSERT_TAIL(&conn->s->event_streams, st, member);
	st->replaying = true;
	st->event_id = after_id;
	answer_stream(c, st, NULL);
	make_dirty(st, 0);
}

void
rpc_stream_stop(struct rpc_call *c, const struct p_stream_ref *request)
{
	struct p_deleted_answer answer = {0};
	struct awo_err err = {0};
	struct stream *st;

	TAILQ_FOREACH(st, &rpc_conn(c)->streams, link)
	if (st->subscription == request->subscription)
		break;
	if (st == NULL) {
		(void)ERR(&err, NOT_FOUND, "subscription",
		    "this connection has no stream %lld; perhaps it has ended",
		    (long long)request->subscription);
		rpc_fail(c, &err);
		return;
	}
	stream_free(st);
	P_SET(deleted_answer, &answer, deleted, true);
	rpc_answer(c, &answer);
}
