/* The limits of connections that evhttp has none for: how many, how long a request may take to arrive, how much waits. */
#include "awo-gateway/connections.h"

#include <stdlib.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <event2/buffer.h>
#include <event2/event.h>

#include "awo-gateway/gateway.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/log.h"

#define CONNECTIONS_MAX 4096
#define RESERVED_FDS 96		/* for what is no connection */
#define WAITING_MAX ((size_t)48 << 20)	/* bytes of requests that have not arrived as a whole, of all connections */
#define ARRIVE_US (20 * INT64_C(1000000))	/* from a request's first byte to its last */
#define FIRST_US (10 * INT64_C(1000000))	/* from the connection to the first byte */
#define SWEEP_MS 250
#define BUCKETS 1024

struct conn {
	LIST_ENTRY(conn) all;
	LIST_ENTRY(conn) bucket;
	struct connections *owner;
	struct bufferevent *bev;	/* with a reference of ours: it outlives evhttp's use of it until the sweep */
	int64_t since_us;		/* of the first byte of the request that arrives, or of the connection */
	size_t waiting;			/* bytes of it */
	bool busy;			/* a request is being answered */
	bool idle;			/* between requests: evhttp's own timeout holds */
	bool cut;
};

LIST_HEAD(conn_list, conn);

struct connections {
	struct gateway *g;
	struct conn_list all;
	struct conn_list buckets[BUCKETS];
	size_t n, max, waiting;
	struct evconnlistener *listener;
	bool paused;
	struct event *sweep;
};

static struct conn_list *
bucket_of(struct connections *cs, const struct bufferevent *bev)
{
	return &cs->buckets[(uintptr_t)bev / 64 % BUCKETS];
}

/* evhttp takes its callbacks away when it lets a connection go. */
static bool
is_gone(struct bufferevent *bev)
{
	bufferevent_data_cb rd, wr;
	bufferevent_event_cb ev;
	void *arg;

	bufferevent_getcb(bev, &rd, &wr, &ev, &arg);
	return rd == NULL && wr == NULL && ev == NULL;
}

/* evhttp reads the end of the connection, and clears away. */
static void
cut(struct conn *c)
{
	evutil_socket_t fd = bufferevent_getfd(c->bev);

	if (c->cut || fd < 0)
		return;
	c->cut = true;
	c->owner->g->count.connections_cut++;
	shutdown(fd, SHUT_RDWR);
}

static void
arrived(struct evbuffer *input, const struct evbuffer_cb_info *info, void *arg)
{
	struct conn *c = arg;
	struct connections *cs = c->owner;

	(void)input;
	if (info->n_added == 0 || c->busy)
		return;
	if (c->waiting == 0) {
		c->since_us = clock_mono_us();
		c->idle = false;
	}
	c->waiting += info->n_added;
	cs->waiting += info->n_added;
	/* whoever brings the sum over the limit has sent the most lately; small requests pass */
	if (cs->waiting > WAITING_MAX && c->waiting > WAITING_MAX / CONNECTIONS_MAX)
		cut(c);
}

static void
conn_free(struct conn *c)
{
	struct connections *cs = c->owner;

	LIST_REMOVE(c, all);
	LIST_REMOVE(c, bucket);
	cs->n--;
	cs->waiting -= c->waiting;
	evbuffer_remove_cb(bufferevent_get_input(c->bev), arrived, c);
	bufferevent_decref(c->bev);
	free(c);
}

static void
sweep(struct connections *cs)
{
	int64_t now = clock_mono_us();
	struct conn *c, *next;

	for (c = LIST_FIRST(&cs->all); c != NULL; c = next) {
		next = LIST_NEXT(c, all);
		if (is_gone(c->bev))
			conn_free(c);
		else if (!c->busy && !c->idle && now - c->since_us > (c->waiting > 0 ? ARRIVE_US : FIRST_US))
			cut(c);
	}
	if (cs->listener == NULL)
		return;
	if (!cs->paused && cs->n >= cs->max) {
		cs->paused = true;
		evconnlistener_disable(cs->listener);
		log_warning("connections_at_limit", LI("connections", cs->n));
	} else if (cs->paused && cs->n < cs->max - cs->max / 16) {
		cs->paused = false;
		evconnlistener_enable(cs->listener);
	}
}

static void
on_sweep(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	sweep(arg);
}

struct bufferevent *
connections_new(struct event_base *base, void *arg)
{
	struct gateway *g = arg;
	struct connections *cs = g->connections;
	struct bufferevent *bev = bufferevent_socket_new(base, -1, 0);
	struct conn *c;

	if (bev == NULL)
		return NULL;
	c = xcalloc(1, sizeof(*c));
	*c = (struct conn){.owner = cs, .bev = bev, .since_us = clock_mono_us()};
	bufferevent_incref(bev);
	LIST_INSERT_HEAD(&cs->all, c, all);
	LIST_INSERT_HEAD(bucket_of(cs, bev), c, bucket);
	evbuffer_add_cb(bufferevent_get_input(bev), arrived, c);
	g->count.connections++;
	if (++cs->n >= cs->max && !cs->paused)
		sweep(cs);
	return bev;
}

void
connections_busy(struct gateway *g, struct bufferevent *bev, bool busy)
{
	struct connections *cs = g->connections;
	struct conn *c;

	LIST_FOREACH(c, bucket_of(cs, bev), bucket)
	if (c->bev == bev)
		break;
	if (c == NULL)
		return;
	cs->waiting -= c->waiting;
	c->waiting = 0;
	c->busy = busy;
	c->idle = !busy;
}

void
connections_limit(struct gateway *g, struct evconnlistener *listener)
{
	g->connections->listener = listener;
}

size_t
connections_count(const struct gateway *g)
{
	return g->connections->n;
}

int
connections_open(struct gateway *g)
{
	const struct timeval tv = {0, SWEEP_MS * 1000L};
	struct connections *cs = xcalloc(1, sizeof(*cs));
	struct rlimit rl;

	g->connections = cs;
	cs->g = g;
	cs->max = CONNECTIONS_MAX;
	LIST_INIT(&cs->all);
	for (size_t i = 0; i < BUCKETS; i++)
		LIST_INIT(&cs->buckets[i]);
	if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
		rl.rlim_cur = rl.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &rl);
		if (rl.rlim_cur != RLIM_INFINITY && rl.rlim_cur < CONNECTIONS_MAX + RESERVED_FDS)
			cs->max = rl.rlim_cur > 2 * RESERVED_FDS ? (size_t)rl.rlim_cur - RESERVED_FDS : RESERVED_FDS;
	}
	cs->sweep = event_new(g->base, -1, EV_PERSIST, on_sweep, cs);
	if (cs->sweep == NULL || event_add(cs->sweep, &tv) != 0) {
		log_error("event_failed", LS("what", "the limits of connections"));
		return -1;
	}
	return 0;
}

void
connections_close(struct gateway *g)
{
	struct connections *cs = g->connections;
	struct conn *c;

	if (cs == NULL)
		return;
	while ((c = LIST_FIRST(&cs->all)) != NULL)
		conn_free(c);
	if (cs->sweep != NULL)
		event_free(cs->sweep);
	free(cs);
	g->connections = NULL;
}
