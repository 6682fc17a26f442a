/* order.logs: pages of a log, found in portions so that a long one does not keep the loop. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "awod/server_priv.h"

#define SLICE ((size_t)2 << 20) /* bytes read before others have their turn */
#define PAGE_BYTES                                                                                 \
	((size_t)1536 * 1024) /* text of a page: as msgpack it can be 2.25 times as long */
#define TAIL_MAX 100000	      /* lines remembered from the end */

struct place {
	int64_t seq;
	size_t len;
};

struct logs {
	struct rpc_call *c;
	struct broker *b;
	int fd;
	struct event *next;
	struct log_cursor cursor;
	int64_t end; /* size at the beginning: what comes later is not waited for */
	struct log_filter filter;
	bool filtered, tail, full;
	int64_t limit, offset, after;
	int64_t total, matched;
	json_t *entries;
	size_t bytes;	    /* of text in entries */
	int64_t last;	    /* seq of the last entry */
	struct place *ring; /* tail: the last places that match */
	size_t nring;
};

static void
logs_free(struct logs *l)
{
	if (l->next != NULL)
		event_free(l->next);
	close(l->fd);
	json_decref(l->entries);
	free(l->ring);
	free(l);
}

/* False when the page is full. */
static bool
add_entry(struct logs *l, const char *p, size_t len, int64_t seq)
{
	size_t cost = p != NULL ? len : 64;

	if (json_array_size(l->entries) > 0 && l->bytes + cost > PAGE_BYTES)
		return false;
	json_array_append_new(l->entries, log_line_object(p, len, seq));
	l->bytes += cost;
	l->last = seq;
	return true;
}

static int
take_line(void *arg, const char *p, size_t len, int64_t seq)
{
	struct logs *l = arg;

	l->total++;
	if (seq <= l->after || (l->filtered && !log_filter_match(&l->filter, p, len)))
		return 0;
	if (l->tail) {
		l->ring[(size_t)l->matched % l->nring] = (struct place){.seq = seq, .len = len};
	} else if (l->matched >= l->offset && !l->full) {
		l->full =
		    !add_entry(l, p, len, seq) || (int64_t)json_array_size(l->entries) == l->limit;
	}
	l->matched++;
	return 0;
}

/* Reads one remembered line again; lines that are too long have no text. */
static void
add_place(struct logs *l, const struct place *at)
{
	char *text;
	size_t have = 0;

	if (at->len > LOG_LINE_MAX) {
		(void)add_entry(l, NULL, at->len, at->seq);
		return;
	}
	text = xcalloc(1, at->len + 1);
	while (have < at->len) {
		ssize_t n = pread(
		    l->fd, text + have, at->len - have, at->seq - 1 - (int64_t)(at->len - have));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		have += (size_t)n;
	}
	(void)add_entry(l, text, have, at->seq);
	free(text);
}

/* The last lines, but not more than fit: the newest are kept. */
static void
take_tail(struct logs *l)
{
	int64_t stop = l->matched - l->offset, start, bytes = 0;

	if (stop < 0)
		stop = 0;
	start = stop;
	while (start > 0 && stop - start < l->limit && l->matched - start < (int64_t)l->nring) {
		size_t len = l->ring[(size_t)(start - 1) % l->nring].len;

		bytes += len <= LOG_LINE_MAX ? (int64_t)len : 64;
		if (bytes > (int64_t)PAGE_BYTES && start < stop)
			break;
		start--;
	}
	for (int64_t i = start; i < stop; i++)
		add_place(l, &l->ring[(size_t)i % l->nring]);
	l->full = start > 0;
}

static void
answer_logs(struct logs *l)
{
	struct p_order_logs_answer a = {0};
	bool more;

	if (l->tail)
		take_tail(l);
	more = l->tail ? l->full : l->matched > l->offset + (int64_t)json_array_size(l->entries);
	P_SETS(
	    order_logs_answer, &a, agent_work_order_id, rpc_order(l->c)->pub.agent_work_order_id);
	a.log_entries = json_incref(l->entries);
	P_MARK(order_logs_answer, &a, log_entries);
	P_SET(order_logs_answer, &a, total, l->total);
	P_SET(order_logs_answer, &a, total_count, l->total);
	P_SET(order_logs_answer, &a, filtered_total, l->matched);
	P_SET(order_logs_answer, &a, limit, l->limit);
	P_SET(order_logs_answer, &a, offset, l->offset);
	P_SET(order_logs_answer, &a, has_more, more);
	/* when all that matches was given, lines that do not match need not be looked at again */
	P_SET(order_logs_answer, &a, next_seq,
	    (more && !l->tail) || (l->tail && l->offset > 0) ? l->last
	    : l->cursor.pos > l->after			     ? l->cursor.pos
							     : l->after);
	rpc_answer(l->c, &a);
	P_FREE(order_logs_answer, &a);
	logs_free(l);
}

static void
read_on(evutil_socket_t fd, short what, void *arg)
{
	struct logs *l = arg;
	struct awo_err err = {0};
	const struct timeval now = {0, 0};

	(void)fd;
	(void)what;
	if (rpc_gone(l->c)) {
		(void)ERR(&err, UNAVAILABLE, "", "the caller has gone");
		rpc_fail(l->c, &err);
		logs_free(l);
		return;
	}
	switch (log_lines(l->fd, &l->cursor, l->end, SLICE, take_line, l)) {
	case LOG_MORE:
		if (l->next == NULL)
			l->next = event_new(l->b->base, -1, 0, read_on, l);
		AWO_ASSERT(l->next != NULL);
		event_add(l->next, &now);
		break;
	case LOG_AT_END:
		answer_logs(l);
		break;
	case LOG_FAILED:
		(void)ERR(&err, INTERNAL, "", "cannot read the log: %s", strerror(errno));
		rpc_fail(l->c, &err);
		logs_free(l);
		break;
	}
}

/* An order whose log retention has removed has none, which is no error. */
static void
answer_nothing(struct rpc_call *c, int64_t limit, int64_t offset)
{
	struct p_order_logs_answer a = {0};

	P_SETS(order_logs_answer, &a, agent_work_order_id, rpc_order(c)->pub.agent_work_order_id);
	a.log_entries = json_array();
	a.has = ~UINT64_C(0) >> (64 - p_order_logs_answer_f__count);
	a.limit = limit;
	a.offset = offset;
	rpc_answer(c, &a);
	P_FREE(order_logs_answer, &a);
}

void
rpc_order_logs(struct rpc_call *c, const struct p_order_logs *request)
{
	struct broker *b = rpc_broker(c);
	int64_t limit = P_HAS(order_logs, request, limit) ? request->limit : 100;
	struct awo_err err = {0};
	struct logs *l;
	struct stat st;
	int fd;

	if (request->tail && request->offset > TAIL_MAX - limit) {
		(void)ERR(&err, INVALID_ARGUMENT, "offset", "with tail at most %lld",
		    (long long)(TAIL_MAX - limit));
		rpc_fail(c, &err);
		return;
	}
	fd = engine_log_open(b->engine, rpc_order(c));
	if (fd < 0 && errno == ENOENT) {
		answer_nothing(c, limit, request->offset);
		return;
	}
	if (fd < 0 || fstat(fd, &st) != 0) {
		(void)ERR(&err, UNAVAILABLE, "", "cannot open the log: %s", strerror(errno));
		if (fd >= 0)
			close(fd);
		rpc_fail(c, &err);
		return;
	}
	if (log_check_seq(fd, request->after_seq, "after_seq", &err) != 0) {
		close(fd);
		rpc_fail(c, &err);
		return;
	}
	l = xcalloc(1, sizeof(*l));
	*l = (struct logs){
	    .c = c,
	    .b = b,
	    .fd = fd,
	    .end = st.st_size,
	    .filter = {.level = request->level,
		.step = request->step,
		.has_since = P_HAS(order_logs, request, since),
		.since = request->since},
	    .tail = request->tail,
	    .limit = limit,
	    .offset = request->offset,
	    .after = request->after_seq,
	    .last = request->after_seq,
	    .entries = json_array(),
	};
	l->filtered = log_filter_active(&l->filter);
	if (l->tail) {
		l->nring = (size_t)(limit + request->offset);
		l->ring = xcalloc(l->nring, sizeof(*l->ring));
	}
	read_on(-1, 0, l);
}
