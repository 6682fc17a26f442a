/* What is followed of awod's streams: asked for once by all who ask for the same, its newest text
 * made once and lent to each. */
#include "awo-gateway/feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <event2/buffer.h>

#include "awo-gateway/gateway.h"
#include "common/hash.h"

#define FLUSH_MS 20		     /* lines that come together are sent together */
#define RING_BYTES ((size_t)1 << 20) /* newest text of a log that subscribers share */
#define RINGS_BYTES                                                                                \
	((size_t)64 << 20) /* of all logs; beyond that the newest pieces alone are shared */
#define BUCKETS 256
#define NO_ID INT64_MAX /* of an event: awod has not said yet behind which one the feed begins */

/* Some lines as they are sent; shared by all subscribers, freed when the last has sent it. */
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
	/* of each mark's event, when it is one: what subscribers choose by */
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
	struct feeds *fs;
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
	TAILQ_HEAD(subscriber_list, subscriber) subscribers;
};

struct subscriber {
	TAILQ_ENTRY(subscriber) link;
	struct feed *f;
	const struct subscriber_calls *calls;
	void *arg;
	const char *auth;
	int64_t position;
	int64_t id;   /* events: has all stored ones up to here */
	int64_t came; /* events: the feed's position when it came; what is not stored is for it from
			 then on */
	char order_id[12];	/* events: only of this order */
	enum p_log_level level; /* events: only of at least this level */
};

struct feeds {
	struct gateway *g;
	struct sources *sources;
	LIST_HEAD(feed_list, feed) buckets[BUCKETS];
	size_t ring_bytes; /* of all */
};

void
feed_frame(struct buf *b, int64_t id, const char *line, size_t len, bool with_seq)
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
	f->fs->ring_bytes -= c->len;
	chunk_release(c);
}

static void
feed_free(struct feed *f)
{
	struct subscriber *sub;
	struct chunk *c;

	LIST_REMOVE(f, link);
	while ((sub = TAILQ_FIRST(&f->subscribers)) != NULL) {
		TAILQ_REMOVE(&f->subscribers, sub, link);
		free(sub);
	}
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
	struct feeds *fs = f->fs;
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
	fs->ring_bytes += c->len;
	while ((f->ring_bytes > RING_BYTES || fs->ring_bytes > RINGS_BYTES) &&
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
	struct subscriber *sub, *next;

	for (sub = TAILQ_FIRST(&f->subscribers); sub != NULL; sub = next) {
		next = TAILQ_NEXT(sub, link);
		sub->calls->grew(sub->arg);
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
	if (TAILQ_EMPTY(&f->subscribers))
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
	struct subscriber *sub;

	if (f->first_id != NO_ID)
		return; /* it went on where it had stopped */
	f->first_id = f->last_id = id;
	TAILQ_FOREACH(sub, &f->subscribers, link)
	if (sub->id == NO_ID)
		sub->id = id;
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
	feed_frame(&f->text, id, line, len, !f->of.events);
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
	f->fs->g->count.sse_lines++;
	/* a replay comes faster than the timer */
	if (f->text.len >= RING_BYTES / 8) {
		feed_cut(f);
		feed_serve(f);
	}
	feed_soon(f, FLUSH_MS);
}

static void
feed_began(void *arg)
{
	struct feed *f = arg;
	struct subscriber *sub, *next;

	f->ready = true;
	for (sub = TAILQ_FIRST(&f->subscribers); sub != NULL; sub = next) {
		next = TAILQ_NEXT(sub, link);
		sub->calls->began(sub->arg);
	}
}

/* It may not be read any more as whom awod was asked, or there is nothing to read. Others may go
 * on: as one of them. */
static void
feed_ended(void *arg, const struct awo_err *err, const char *reason)
{
	struct feed *f = arg;
	struct subscriber *sub, *next;

	snprintf(f->reason, sizeof(f->reason), "%s", reason);
	if (err == NULL || err->code == AWO_NOT_FOUND) {
		f->ended = true;
		feed_soon(f, 0);
		if (f->ready)
			return;
	}
	for (sub = TAILQ_FIRST(&f->subscribers); sub != NULL; sub = next) {
		next = TAILQ_NEXT(sub, link);
		if ((err != NULL && !f->ready) || feed_is_asked_by(sub))
			sub->calls->ended(sub->arg, err, reason);
	}
	sub = TAILQ_FIRST(&f->subscribers);
	if (sub == NULL)
		f->ended = true; /* until it goes: nobody asks awod any more */
	else if (!f->ended) {
		snprintf(f->auth, sizeof(f->auth), "%s", sub->auth);
		source_start(f->source, f->auth, f->last, true);
	}
	feed_soon(f, 0);
}

static const struct source_calls feed_calls = {
    .began = feed_began, .line = feed_line, .ended = feed_ended};

static struct feed *
feed_find(struct feeds *fs, const struct source_of *of, const char *auth)
{
	struct feed *f;

	LIST_FOREACH(f, &fs->buckets[feed_hash(of, auth)], link)
	if (!f->ended && same(&f->of, of) && (!of->events || strcmp(f->auth, auth) == 0))
		break;
	return f;
}

/* position: of a log the seq behind which it begins; events begin with what comes. */
static struct feed *
feed_new(struct feeds *fs, const struct source_of *of, const char *auth, int64_t position)
{
	struct feed *f = xcalloc(1, sizeof(*f));

	f->fs = fs;
	f->of = *of;
	f->first = f->last = position;
	f->first_id = f->last_id = NO_ID;
	snprintf(f->auth, sizeof(f->auth), "%s", auth);
	TAILQ_INIT(&f->ring);
	TAILQ_INIT(&f->subscribers);
	f->flush = event_new(fs->g->base, -1, 0, on_feed_flush, f);
	AWO_ASSERT(f->flush != NULL);
	f->source = source_new(fs->sources, of, &feed_calls, f);
	LIST_INSERT_HEAD(&fs->buckets[feed_hash(of, auth)], f, link);
	source_start(f->source, f->auth, position, !of->events);
	return f;
}

struct feeds *
feeds_open(struct gateway *g, struct sources *ss)
{
	struct feeds *fs = xcalloc(1, sizeof(*fs));

	fs->g = g;
	fs->sources = ss;
	for (size_t i = 0; i < BUCKETS; i++)
		LIST_INIT(&fs->buckets[i]);
	return fs;
}

void
feeds_close(struct feeds *fs)
{
	struct feed *f;

	if (fs == NULL)
		return;
	for (size_t i = 0; i < BUCKETS; i++)
		while ((f = LIST_FIRST(&fs->buckets[i])) != NULL)
			/* each leaves the list first; NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
			feed_free(f);
	free(fs);
}

/* ---- subscribers */

struct subscriber *
feed_join(struct feeds *fs, const struct feed_request *what, const char *auth,
    const struct subscriber_calls *calls, void *arg)
{
	struct subscriber *sub = xcalloc(1, sizeof(*sub));
	struct feed *f = feed_find(fs, &what->of, auth);

	if (f == NULL)
		f = feed_new(fs, &what->of, auth, what->of.events ? 0 : what->position);
	sub->f = f;
	sub->calls = calls;
	sub->arg = arg;
	sub->auth = auth;
	sub->position = what->position;
	if (what->of.events) {
		sub->position = what->resume ? -1 : f->last;
		sub->id = what->resume ? what->position : f->last_id;
		sub->came = f->last;
		snprintf(sub->order_id, sizeof(sub->order_id), "%s", what->order_id);
		sub->level = what->level;
	}
	TAILQ_INSERT_TAIL(&f->subscribers, sub, link);
	return sub;
}

void
feed_leave(struct subscriber *sub)
{
	if (sub == NULL)
		return;
	TAILQ_REMOVE(&sub->f->subscribers, sub, link);
	feed_soon(sub->f, FLUSH_MS);
	free(sub);
}

const struct source_of *
feed_of(const struct subscriber *sub)
{
	return &sub->f->of;
}

bool
feed_has_begun(const struct subscriber *sub)
{
	return sub->f->ready;
}

bool
feed_is_asked_by(const struct subscriber *sub)
{
	return strcmp(sub->auth, sub->f->auth) == 0;
}

bool
feed_reaches(struct subscriber *sub)
{
	if (sub->position >= sub->f->first)
		return true;
	if (!sub->f->of.events || sub->id < sub->f->first_id)
		return false;
	sub->position = sub->f->first;
	return true;
}

static bool
is_wanted(const struct subscriber *sub, const struct label *l)
{
	return (sub->order_id[0] == '\0' || strcmp(sub->order_id, l->order_id) == 0) &&
	       (sub->level == log_level_none || l->level >= sub->level);
}

/* What a subscriber wants of a chunk of events. */
static bool
lend_events(struct subscriber *sub, struct chunk *c, struct evbuffer *out)
{
	size_t from = chunk_offset(c, sub->position), to = from;

	for (size_t i = 0; i < c->nmarks; i++) {
		const struct label *l = &c->labels[i];

		if (c->marks[i].seq <= sub->position)
			continue;
		/* what it had before it came again is not for it */
		if ((l->id > 0 ? l->id > sub->id : c->marks[i].seq > sub->came) &&
		    is_wanted(sub, l)) {
			to = c->marks[i].end;
		} else {
			if (!lend(c, from, to, out))
				return false;
			from = to = c->marks[i].end;
		}
		if (l->id > sub->id)
			sub->id = l->id;
	}
	return lend(c, from, to, out);
}

void
feed_take(struct subscriber *sub, struct evbuffer *to, size_t room)
{
	struct feed *f = sub->f;
	struct chunk *c;

	TAILQ_FOREACH(c, &f->ring, link)
	{
		if (c->last <= sub->position)
			continue;
		if (evbuffer_get_length(to) >= room)
			break;
		if (!(f->of.events ? lend_events(sub, c, to)
				   : lend(c, chunk_offset(c, sub->position), c->len, to)))
			break;
		sub->position = c->last;
	}
}

const char *
feed_end(const struct subscriber *sub)
{
	const struct feed *f = sub->f;

	return f->ended && f->text.len == 0 && sub->position >= f->last ? f->reason : NULL;
}

int64_t
feed_position(const struct subscriber *sub)
{
	return sub->f->of.events ? sub->id : sub->position;
}

/* Of events only what is stored: it is the feed that tells what is going on. */
static void
catch_event(struct subscriber *sub, int64_t id, const char *line, size_t len, struct buf *text)
{
	const struct label l = label_of(id, line);
	bool is_new = id > sub->id;

	if (is_new)
		sub->id = id;
	/* an empty line only tells how far it has come */
	if (!is_new || len == 0)
		return;
	if (is_wanted(sub, &l))
		feed_frame(text, id, line, len, false);
}

void
feed_catch_up(
    struct subscriber *sub, int64_t position, const char *line, size_t len, struct buf *text)
{
	if (sub->f->of.events) {
		catch_event(sub, position, line, len, text);
		return;
	}
	feed_frame(text, position, line, len, true);
	sub->position = position;
}
