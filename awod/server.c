/* The server as a whole: its rooms opened in order and closed in reverse. */
#include <stdlib.h>

#include "awod/server_priv.h"
#include "common/clock.h"
#include "common/log.h"

#define DRAIN_US                                                                                   \
	(5 * INT64_C(1000000)) /* for answers that wait for a commit, or for a slow reader */

struct server *
server_open(struct broker *b, struct awo_err *err)
{
	struct server *s = xcalloc(1, sizeof(*s));

	s->b = b;
	s->fd = s->dir_fd = s->lock_fd = s->reserve_fd = -1;
	TAILQ_INIT(&s->conns);
	s->names = names_open("/etc/passwd", "/etc/group");
	if (conn_server_open(s, err) == 0 && stream_server_open(s, err) == 0 &&
	    listen_open(s, err) == 0)
		return s;
	server_close(s);
	return NULL;
}

static bool
has_unsent(const struct server *s)
{
	const struct conn *c;

	TAILQ_FOREACH(c, &s->conns, link)
	if (!c->dead && conn_unsent(c) > 0)
		return true;
	return false;
}

/* Wakes the loop so that the wait below ends in time. */
static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
}

void
server_close(struct server *s)
{
	const struct timeval tick = {0, 50000};
	int64_t end = clock_mono_us() + DRAIN_US;
	struct event *timer;
	struct peer *p;

	if (s == NULL)
		return;
	s->closing = true;
	listen_close(s);
	stream_end_all(s, "stopping");
	/* the broker's own loop has ended; this one runs only for what was begun */
	timer = event_new(s->b->base, -1, EV_PERSIST, on_tick, NULL);
	if (timer != NULL)
		event_add(timer, &tick);
	while (timer != NULL && (s->in_flight > 0 || has_unsent(s)) && clock_mono_us() < end)
		if (event_base_loop(s->b->base, EVLOOP_ONCE) != 0)
			break;
	if (timer != NULL)
		event_free(timer);
	if (s->in_flight > 0)
		log_warning("answers_dropped", LI("requests", s->in_flight));
	conn_free_all(s);
	stream_server_close(s);
	if (s->reaper != NULL)
		event_free(s->reaper);
	if (s->tidy != NULL)
		event_free(s->tidy);
	while ((p = s->peers) != NULL) {
		s->peers = p->next;
		free(p);
	}
	names_close(s->names);
	/* what the engine still tells goes nowhere */
	s->b->server = NULL;
	free(s);
}

static json_t *
counted(uint64_t n)
{
	return json_integer((json_int_t)(n > INT64_MAX ? INT64_MAX : n));
}

void
server_metrics(const struct server *s, json_t *into)
{
	json_t *calls = json_object(), *failures = json_object();

	for (size_t i = 0; i < P_M__COUNT; i++)
		if (s->calls[i] > 0)
			json_object_set_new(calls, p_methods[i].name, counted(s->calls[i]));
	for (size_t i = 1; i < AWO_CODE__COUNT; i++)
		if (s->failures[i] > 0)
			json_object_set_new(
			    failures, awo_code_name((enum awo_code)i), counted(s->failures[i]));
	json_object_set_new(into, "rpc_requests_total", calls);
	json_object_set_new(into, "rpc_errors_total", failures);
	json_object_set_new(into, "rpc_seconds", histogram_json(&s->answer_time));
	json_object_set_new(into, "connections", counted(s->nconns));
	json_object_set_new(into, "connections_accepted_total", counted(s->accepted));
	json_object_set_new(into, "connections_refused_total", counted(s->turned_away));
	json_object_set_new(into, "messages_malformed_total", counted(s->malformed));
	json_object_set_new(into, "streams", counted(s->nstreams));
	json_object_set_new(into, "streams_overflowed_total", counted(s->overflows));
	json_object_set_new(into, "requests_in_flight", counted(s->in_flight));
}
