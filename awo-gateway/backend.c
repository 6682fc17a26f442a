/* The one connection to awod, which all requests and streams share, and which comes back by itself.
 */
#include "awo-gateway/backend.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "awo-gateway/gateway.h"
#include "awo-gateway/kept.h"
#include "awo-gateway/sse.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/log.h"

#define RETRY_FIRST_MS 20
#define RETRY_MAX_MS 1000

struct call {
	TAILQ_ENTRY(call) link;
	struct backend *b;
	client_answer_cb *done;
	void *arg;
	int64_t began_us;
};

TAILQ_HEAD(call_list, call);

struct backend {
	struct gateway *g;
	struct client *client;	/* NULL while awod is away */
	struct call_list calls; /* wait for their answer */
	struct call_list lost;	/* will never have one */
	struct event *kick, *retry;
	long retry_ms;
	int64_t tried_us;
	struct awo_err why; /* it is away */
	bool told;	    /* in the log */
};

static void
after_ms(struct event *ev, long ms)
{
	const struct timeval tv = {ms / 1000, ms % 1000 * 1000};

	event_add(ev, &tv);
}

static void
on_notify(void *arg, const char *method, struct p_slice param)
{
	struct backend *b = arg;

	if (strcmp(method, "changed") == 0)
		kept_drop(b->g);
	else
		sse_notify(b->g, method, param);
}

/* All that waited for this connection will have no answer; what was sent may have been carried out.
 */
static void
on_closed(void *arg, const struct awo_err *err)
{
	struct backend *b = arg;

	b->why = *err;
	client_close(b->client);
	b->client = NULL;
	b->g->count.backend_lost++;
	kept_drop(b->g);
	log_warning("awod_lost", LS("socket", b->g->socket_path), LS("error", err->msg));
	b->told = true;
	TAILQ_CONCAT(&b->lost, &b->calls, link);
	if (!TAILQ_EMPTY(&b->lost))
		after_ms(b->kick, 0);
	sse_backend_lost(b->g);
	b->retry_ms = RETRY_FIRST_MS;
	after_ms(b->retry, b->retry_ms);
}

static bool
try_connect(struct backend *b)
{
	struct awo_err err = {0};

	b->tried_us = clock_mono_us();
	b->client = client_open_event(b->g->base, b->g->socket_path, on_notify, on_closed, b, &err);
	if (b->client == NULL) {
		b->why = err;
		if (!b->told)
			log_warning(
			    "awod_away", LS("socket", b->g->socket_path), LS("error", err.msg));
		b->told = true;
		return false;
	}
	if (b->told)
		log_info("awod_back", LS("socket", b->g->socket_path));
	b->told = false;
	event_del(b->retry);
	sse_backend_back(b->g);
	return true;
}

static void
on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct backend *b = arg;

	(void)fd;
	(void)what;
	if (b->client != NULL || try_connect(b))
		return;
	b->retry_ms = b->retry_ms * 2 < RETRY_MAX_MS ? b->retry_ms * 2 : RETRY_MAX_MS;
	after_ms(b->retry, b->retry_ms);
}

static void
on_kick(evutil_socket_t fd, short what, void *arg)
{
	struct backend *b = arg;
	struct call_list now;
	struct call *c;

	(void)fd;
	(void)what;
	/* those that are there now: a callback that calls again has its turn later */
	TAILQ_INIT(&now);
	TAILQ_CONCAT(&now, &b->lost, link);
	while ((c = TAILQ_FIRST(&now)) != NULL) {
		struct awo_err err = b->why;

		TAILQ_REMOVE(&now, c, link);
		c->done(c->arg, &err, NULL);
		free(c);
	}
}

static void
on_answer(void *arg, const struct awo_err *err, void *answer)
{
	struct call *c = arg;
	struct backend *b = c->b;

	TAILQ_REMOVE(&b->calls, c, link);
	histogram_add(&b->g->count.rpc, (double)(clock_mono_us() - c->began_us) / 1e6);
	c->done(c->arg, err, answer);
	free(c);
}

void
backend_call(struct gateway *g, const char *auth, enum p_method_id method, const void *params,
    client_answer_cb *done, void *arg)
{
	struct backend *b = g->backend;
	struct call *c = xcalloc(1, sizeof(*c));
	int64_t now = clock_mono_us();

	*c = (struct call){.b = b, .done = done, .arg = arg, .began_us = now};
	/* somebody waits: awod may have come back just now */
	if (b->client == NULL && now - b->tried_us > (int64_t)RETRY_FIRST_MS * 1000)
		(void)try_connect(b);
	if (b->client == NULL) {
		TAILQ_INSERT_TAIL(&b->lost, c, link);
		after_ms(b->kick, 0);
		return;
	}
	TAILQ_INSERT_TAIL(&b->calls, c, link);
	client_send_as(
	    b->client, method, params, auth != NULL && *auth != '\0' ? auth : NULL, on_answer, c);
}

bool
backend_is_up(const struct gateway *g)
{
	return g->backend->client != NULL;
}

bool
backend_is_quiet(const struct gateway *g)
{
	return g->backend->client != NULL && client_is_quiet(g->backend->client);
}

int
backend_open(struct gateway *g)
{
	struct backend *b = xcalloc(1, sizeof(*b));

	g->backend = b;
	b->g = g;
	TAILQ_INIT(&b->calls);
	TAILQ_INIT(&b->lost);
	b->retry_ms = RETRY_FIRST_MS;
	b->kick = event_new(g->base, -1, 0, on_kick, b);
	b->retry = event_new(g->base, -1, 0, on_retry, b);
	if (b->kick == NULL || b->retry == NULL) {
		log_error("event_failed", LS("what", "the connection to awod"));
		return -1;
	}
	if (!try_connect(b))
		after_ms(b->retry, b->retry_ms);
	return 0;
}

static void
forget(struct call_list *list)
{
	struct call *c;

	while ((c = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, c, link);
		free(c);
	}
}

void
backend_close(struct gateway *g)
{
	struct backend *b = g->backend;

	if (b == NULL)
		return;
	client_close(b->client);
	forget(&b->calls);
	forget(&b->lost);
	if (b->kick != NULL)
		event_free(b->kick);
	if (b->retry != NULL)
		event_free(b->retry);
	free(b);
	g->backend = NULL;
}
