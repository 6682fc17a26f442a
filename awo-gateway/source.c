/* One stream of awod, which comes back by itself where it stopped: an order's log, or the events of
 * all orders. */
#include "awo-gateway/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "awo-gateway/backend.h"
#include "awo-gateway/gateway.h"
#include "common/buf.h"

#define BUCKETS 1024
#define RETRY_MS 100

/* A call of order.watch or events.watch that waits for its answer; its source may stop meanwhile.
 */
struct ask {
	LIST_ENTRY(ask) link;
	struct sources *ss;
	struct source *src; /* NULL: nobody wants the stream any more */
};

struct source {
	LIST_ENTRY(source) link;
	LIST_ENTRY(source) bucket; /* while ON */
	struct sources *ss;
	struct source_of of;
	const struct source_calls *calls;
	void *arg;
	enum { IDLE, ASKED, ON, LOST } state;
	struct ask *ask;
	char auth[WHO_AUTH_MAX + 1];
	int64_t position, subscription;
	bool resume, began;
};

LIST_HEAD(source_list, source);

struct sources {
	struct gateway *g;
	struct source_list all;
	struct source_list buckets[BUCKETS];
	LIST_HEAD(ask_list, ask) asks;
	struct event *retry;
};

static struct source_list *
bucket_of(struct sources *ss, int64_t subscription)
{
	return &ss->buckets[(uint64_t)subscription % BUCKETS];
}

static struct source *
find(struct sources *ss, int64_t subscription)
{
	struct source *src;

	LIST_FOREACH(src, bucket_of(ss, subscription), bucket)
	if (src->subscription == subscription)
		break;
	return src;
}

static void
nothing(void *arg, const struct awo_err *err, void *answer)
{
	(void)arg;
	(void)err;
	(void)answer;
}

static void
end_stream(struct sources *ss, int64_t subscription)
{
	struct p_stream_ref ref = {0};

	P_SET(stream_ref, &ref, subscription, subscription);
	if (backend_is_up(ss->g))
		backend_call(ss->g, NULL, P_M_stream_stop, &ref, nothing, NULL);
}

static void
turn_off(struct source *src)
{
	if (src->state == ON)
		LIST_REMOVE(src, bucket);
	if (src->state == ASKED) {
		src->ask->src = NULL;
		src->ask = NULL;
	}
	src->state = IDLE;
}

static void
lose(struct source *src)
{
	const struct timeval tv = {0, RETRY_MS * 1000L};

	turn_off(src);
	src->state = LOST;
	if (!event_pending(src->ss->retry, EV_TIMEOUT, NULL))
		event_add(src->ss->retry, &tv);
}

static void
on_answer(void *arg, const struct awo_err *err, void *answer)
{
	struct ask *ask = arg;
	struct source *src = ask->src;
	const struct p_stream_answer *a = answer;

	LIST_REMOVE(ask, link);
	if (src == NULL) {
		if (a != NULL)
			end_stream(ask->ss, a->subscription);
		free(ask);
		return;
	}
	free(ask);
	src->ask = NULL;
	if (a != NULL) {
		src->state = ON;
		src->subscription = a->subscription;
		LIST_INSERT_HEAD(bucket_of(src->ss, src->subscription), src, bucket);
		if (!src->began) {
			src->began = true;
			src->calls->began(src->arg);
		}
		return;
	}
	src->state = IDLE;
	if (err->code == AWO_UNAVAILABLE || err->code == AWO_RESOURCE_EXHAUSTED)
		lose(src);
	else
		src->calls->ended(src->arg, err, awo_code_name(err->code));
}

static void
ask_awod(struct source *src)
{
	struct p_order_watch w = {0};
	struct p_events_watch e = {0};
	struct ask *ask = xcalloc(1, sizeof(*ask));

	*ask = (struct ask){.ss = src->ss, .src = src};
	LIST_INSERT_HEAD(&src->ss->asks, ask, link);
	src->ask = ask;
	src->state = ASKED;
	if (src->of.events) {
		if (src->resume)
			P_SET(events_watch, &e, after_id, src->position);
		backend_call(src->ss->g, src->auth, P_M_events_watch, &e, on_answer, ask);
		return;
	}
	P_SETS(order_watch, &w, agent_work_order_id, src->of.id);
	P_SET(order_watch, &w, after_seq, src->position);
	if (src->of.level != log_level_none)
		P_SET(order_watch, &w, level, src->of.level);
	if (src->of.step[0] != '\0')
		P_SETS(order_watch, &w, step, src->of.step);
	if (src->of.has_since)
		P_SET(order_watch, &w, since, src->of.since);
	backend_call(src->ss->g, src->auth, P_M_order_watch, &w, on_answer, ask);
	P_FREE(order_watch, &w);
}

static void
on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct sources *ss = arg;
	struct source *src;

	(void)fd;
	(void)what;
	if (!backend_is_up(ss->g))
		return; /* sources_back() */
	LIST_FOREACH(src, &ss->all, link)
	if (src->state == LOST)
		ask_awod(src);
}

/* ---- what awod says */

static void
on_line(struct sources *ss, struct p_slice param)
{
	struct p_log_line note;
	struct awo_err err = {0};
	struct source *src;

	if (p_decode_answer(&p_type_log_line, &note, param, &err) != 0)
		return;
	src = find(ss, note.subscription);
	if (src != NULL && note.line != NULL && note.seq > src->position) {
		src->position = note.seq;
		src->calls->line(src->arg, note.seq, note.line, strlen(note.line));
	}
	P_FREE(log_line, &note);
}

static void
on_event(struct sources *ss, struct p_slice param)
{
	struct p_event note;
	struct awo_err err = {0};
	struct source *src;

	if (p_decode_answer(&p_type_event, &note, param, &err) != 0)
		return;
	src = find(ss, note.subscription);
	if (src != NULL && note.line != NULL &&
	    (note.id == 0 || note.id > src->position || *note.line == '\0')) {
		if (note.id > src->position)
			src->position = note.id;
		if (note.id > 0 || *note.line == '\0')
			src->resume = true;
		src->calls->line(src->arg, note.id, note.line, strlen(note.line));
	}
	P_FREE(event, &note);
}

static void
on_end(struct sources *ss, bool overflow, struct p_slice param)
{
	struct p_stream_end note;
	struct awo_err err = {0};
	struct source *src;
	const char *reason;

	if (p_decode_answer(&p_type_stream_end, &note, param, &err) != 0)
		return;
	src = find(ss, note.subscription);
	reason = note.reason != NULL ? note.reason : "";
	if (src != NULL && overflow) {
		/* it was our own backlog: go on where it stopped */
		turn_off(src);
		ask_awod(src);
	} else if (src != NULL && strcmp(reason, "stopping") == 0) {
		lose(src);
	} else if (src != NULL) {
		turn_off(src);
		if (strcmp(reason, "order_ended") != 0)
			(void)ERR(&err, NOT_FOUND, "", "the stream has ended: %s", reason);
		if (strcmp(reason, "access_ended") == 0)
			err.code = AWO_UNAUTHENTICATED;
		src->calls->ended(src->arg, err.code != AWO_OK ? &err : NULL, reason);
	}
	P_FREE(stream_end, &note);
}

void
sources_notify(struct sources *ss, const char *method, struct p_slice param)
{
	if (strcmp(method, "log_line") == 0)
		on_line(ss, param);
	else if (strcmp(method, "event") == 0)
		on_event(ss, param);
	else if (strcmp(method, "stream_end") == 0)
		on_end(ss, false, param);
	else if (strcmp(method, "stream_overflow") == 0)
		on_end(ss, true, param);
}

void
sources_lost(struct sources *ss)
{
	struct source *src;

	LIST_FOREACH(src, &ss->all, link)
	if (src->state == ON)
		lose(src);
}

void
sources_back(struct sources *ss)
{
	const struct timeval now = {0, 0};

	event_add(ss->retry, &now);
}

/* ---- sources */

struct source *
source_new(
    struct sources *ss, const struct source_of *of, const struct source_calls *calls, void *arg)
{
	struct source *src = xcalloc(1, sizeof(*src));

	src->ss = ss;
	src->of = *of;
	src->calls = calls;
	src->arg = arg;
	LIST_INSERT_HEAD(&ss->all, src, link);
	return src;
}

void
source_start(struct source *src, const char *auth, int64_t position, bool resume)
{
	turn_off(src);
	snprintf(src->auth, sizeof(src->auth), "%s", auth);
	src->position = position;
	src->resume = resume;
	ask_awod(src);
}

void
source_stop(struct source *src)
{
	bool on = src->state == ON;

	turn_off(src);
	if (on)
		end_stream(src->ss, src->subscription);
}

bool
source_is_idle(const struct source *src)
{
	return src->state == IDLE;
}

void
source_free(struct source *src)
{
	if (src == NULL)
		return;
	source_stop(src);
	LIST_REMOVE(src, link);
	free(src);
}

struct sources *
sources_open(struct gateway *g)
{
	struct sources *ss = xcalloc(1, sizeof(*ss));

	ss->g = g;
	LIST_INIT(&ss->all);
	LIST_INIT(&ss->asks);
	for (size_t i = 0; i < BUCKETS; i++)
		LIST_INIT(&ss->buckets[i]);
	ss->retry = event_new(g->base, -1, 0, on_retry, ss);
	AWO_ASSERT(ss->retry != NULL);
	return ss;
}

void
sources_close(struct sources *ss)
{
	struct source *src;
	struct ask *ask;

	if (ss == NULL)
		return;
	while ((src = LIST_FIRST(&ss->all)) != NULL) {
		LIST_REMOVE(src, link);
		free(src);
	}
	while ((ask = LIST_FIRST(&ss->asks)) != NULL) {
		LIST_REMOVE(ask, link);
		free(ask);
	}
	event_free(ss->retry);
	free(ss);
}
