/* Requests for server-sent events: of an order's log, and of all orders' events. */
#include "awo-gateway/sse.h"

#include <stdio.h>
#include <stdlib.h>

#include "awo-gateway/args.h"
#include "awo-gateway/feed.h"
#include "awo-gateway/gateway.h"
#include "awo-gateway/readers.h"
#include "awo-gateway/source.h"
#include "common/ids.h"

struct sse {
	struct sources *sources;
	struct feeds *feeds;
	struct readers *readers;
};

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

/* The order is there and may be seen: join the others, or be the first. */
static void
order_found(struct request *rq, const struct awo_err *err, void *answer)
{
	const struct p_order_answer *order = answer;
	struct p_order_watch *w = rq->state;
	struct feed_request what = {0};

	rq->state = NULL;
	if (order == NULL) {
		p_free(&p_type_order_watch, w);
		free(w);
		request_fail(rq, err);
		return;
	}
	snprintf(what.of.id, sizeof(what.of.id), "%s", order->agent_work_order.agent_work_order_id);
	what.of.level = w->level;
	snprintf(what.of.step, sizeof(what.of.step), "%s", w->step != NULL ? w->step : "");
	what.of.has_since = P_HAS(order_watch, w, since);
	what.of.since = w->since;
	what.position = w->after_seq;
	p_free(&p_type_order_watch, w);
	free(w);
	readers_add(rq->g->sse->readers, rq, &what);
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
	struct feed_request what = {.of = {.events = true}};

	if (w == NULL)
		return;
	what.resume = P_HAS(events_watch, w, after_id);
	what.position = w->after_id;
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
	if (!last_event_id(rq, &what.position, &what.resume) || is_head(rq))
		return;
	snprintf(what.order_id, sizeof(what.order_id), "%s", id != NULL ? id : "");
	what.level = level != NULL ? (enum p_log_level)p_enum_value(&p_enum_log_level, level)
				   : log_level_none;
	readers_add(rq->g->sse->readers, rq, &what);
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
	return readers_count(g->sse->readers);
}

int
sse_open(struct gateway *g)
{
	struct sse *s = xcalloc(1, sizeof(*s));

	g->sse = s;
	s->sources = sources_open(g);
	s->feeds = feeds_open(g, s->sources);
	s->readers = readers_open(g, s->feeds, s->sources);
	return s->readers != NULL ? 0 : -1;
}

void
sse_stop(struct gateway *g)
{
	readers_stop(g->sse->readers);
}

void
sse_close(struct gateway *g)
{
	struct sse *s = g->sse;

	if (s == NULL)
		return;
	readers_close(s->readers);
	feeds_close(s->feeds);
	sources_close(s->sources);
	free(s);
	g->sse = NULL;
}
