/* The limits of connections that evhttp has none for: how many, how long a request may take to
 * arrive, how much waits. */
#include "awo-gateway/connections.h"

#include <linux/sockios.h>
#include <stdlib.h>
#include <sys/ioctl.h>
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
#define RESERVED_FDS ((size_t)96) /* for what is no connection */
#define WAITING_MAX                                                                                \
	((size_t)48                                                                                \
	    << 20) /* bytes of requests that have not arrived as a whole, of all connections */
#define ARRIVE_US (20 * INT64_C(1000000)) /* from a request's first byte to its last */
#define FIRST_US (10 * INT64_C(1000000))  /* from the connection to the first byte */
#define TAKE_US (20 * INT64_C(1000000))	  /* an answer is there, and nothing of it is taken */
/* While there is no room for others: who asks for least is not to stay longest. An honest client
 * sends its request with the connection, and one that is cut between two connects again. */
#define CROWDED_ARRIVE_US (5 * INT64_C(1000000))
#define CROWDED_FIRST_US INT64_C(1000000)
#define CROWDED_IDLE_US INT64_C(1000000) /* between requests */
#define LAST_US (3 * INT64_C(1000000))	 /* from the last answer to the client's end */
#define LAST_BYTES ((size_t)1 << 20)	 /* of what the client sends meanwhile */
#define SWEEP_MS 250
#define READ_AHEAD ((size_t)64 << 10)
#define BUCKETS 1024

/*
 * What is known of one connection. It belongs to evhttp, which tells nobody when it lets one go,
 * and holding on to the bufferevent would keep its events on a descriptor that is somebody else's
 * by then. So the socket's cookie says whether it is still there: the bufferevent may only be
 * touched from its own callbacks.
 */
struct conn {
	LIST_ENTRY(conn) all;
	LIST_ENTRY(conn) bucket;
	LIST_ENTRY(conn) newborn;
	struct connections *owner;
	struct bufferevent *bev; /* what it is found by */
	int fd;			 /* -1: evhttp has not told it to the bufferevent yet */
	uint64_t cookie;
	int64_t since_us; /* of the connection, the request that arrives, the last answer, or when
			     the client was last seen to take some of one */
	uint64_t written; /* bytes of all answers */
	uint64_t passed;  /* of them the kernel has */
	uint64_t taken;	  /* of these the client has, as far as was seen */
	size_t waiting;	  /* bytes of it */
	bool busy;	  /* a request is being answered */
	bool idle;	  /* between requests: evhttp's own timeout holds, unless others wait */
	bool last;	  /* the last answer is on its way: what arrives is thrown away */
	size_t thrown;	  /* bytes of it */
	bool cut;
};

LIST_HEAD(conn_list, conn);

struct connections {
	struct gateway *g;
	struct conn_list all;
	struct conn_list buckets[BUCKETS];
	struct conn_list newborns;
	struct event *name;
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

static uint64_t
cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) == 0 ? cookie : 0;
}

static bool
is_gone(const struct conn *c)
{
	return c->fd >= 0 && cookie_of(c->fd) != c->cookie;
}

/* evhttp reads the end of the connection, and clears away. */
static void
cut(struct conn *c)
{
	const struct linger reset = {.l_onoff = 1};

	if (c->cut || c->fd < 0 || is_gone(c))
		return;
	c->cut = true;
	if (!c->last)
		c->owner->g->count.connections_cut++;
	/* a client that sends without end would wait for a window that never opens */
	else if (c->thrown > LAST_BYTES)
		(void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	shutdown(c->fd, SHUT_RDWR);
}

/* Between evhttp's accepting them and the first event of theirs, their descriptors become known. */
static void
name_newborns(struct connections *cs)
{
	struct conn *c;

	while ((c = LIST_FIRST(&cs->newborns)) != NULL) {
		LIST_REMOVE(c, newborn);
		c->fd = bufferevent_getfd(c->bev);
		c->cookie = c->fd >= 0 ? cookie_of(c->fd) : 0;
	}
}

static void
on_name(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	name_newborns(arg);
}

static void
arrived(struct evbuffer *input, const struct evbuffer_cb_info *info, void *arg)
{
	struct conn *c = arg;
	struct connections *cs = c->owner;

	if (info->n_added == 0 || c->busy)
		return;
	if (c->last) {
		c->thrown += info->n_added;
		evbuffer_drain(input, evbuffer_get_length(input));
		if (c->thrown > LAST_BYTES)
			cut(c);
		return;
	}
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
answered(struct evbuffer *output, const struct evbuffer_cb_info *info, void *arg)
{
	struct conn *c = arg;

	(void)output;
	c->written += info->n_added;
	c->passed += info->n_deleted;
}

static void
conn_free(struct conn *c)
{
	struct connections *cs = c->owner;

	LIST_REMOVE(c, all);
	LIST_REMOVE(c, bucket);
	cs->n--;
	cs->waiting -= c->waiting;
	free(c);
}

static struct conn *
conn_find(struct connections *cs, const struct bufferevent *bev)
{
	struct conn *c;

	LIST_FOREACH(c, bucket_of(cs, bev), bucket)
	if (c->bev == bev)
		break;
	return c;
}

/* An answer that was handed over is still on its way. */
static bool
is_sending(const struct conn *c)
{
	return c->taken < c->written;
}

/* A slow client that reads is patient enough for us: its time starts anew with whatever it takes.
 */
static void
see_taken(struct conn *c, int64_t now)
{
	int unsent = 0;

	if (!is_sending(c) || c->fd < 0 || ioctl(c->fd, SIOCOUTQ, &unsent) != 0)
		return;
	/* an end that was sent counts as a byte */
	if ((uint64_t)unsent < c->passed && c->passed - (uint64_t)unsent > c->taken) {
		c->taken = c->passed - (uint64_t)unsent;
		c->since_us = now;
	}
}

/* How long a connection that is not being answered may stay as it is. */
static int64_t
patience(const struct conn *c)
{
	bool crowded = c->owner->paused;

	if (c->idle && !crowded)
		return INT64_MAX;
	/* what it asks next is not read before */
	if (is_sending(c))
		return TAKE_US;
	if (c->last && !c->idle)
		return LAST_US;
	if (c->idle)
		return CROWDED_IDLE_US;
	if (c->waiting > 0)
		return crowded ? CROWDED_ARRIVE_US : ARRIVE_US;
	return crowded ? CROWDED_FIRST_US : FIRST_US;
}

static void
sweep(struct connections *cs)
{
	int64_t now = clock_mono_us();
	struct conn *c, *next;

	for (c = LIST_FIRST(&cs->all); c != NULL; c = next) {
		next = LIST_NEXT(c, all);
		if (is_gone(c)) {
			conn_free(c);
			continue;
		}
		if (c->busy)
			continue;
		see_taken(c, now);
		if (now - c->since_us > patience(c))
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
	name_newborns(cs);
	/* the same memory: the one that had it before is gone */
	while ((c = conn_find(cs, bev)) != NULL)
		conn_free(c);
	c = xcalloc(1, sizeof(*c));
	*c = (struct conn){.owner = cs, .bev = bev, .fd = -1, .since_us = clock_mono_us()};
	LIST_INSERT_HEAD(&cs->newborns, c, newborn);
	event_active(cs->name, EV_TIMEOUT, 0);
	LIST_INSERT_HEAD(&cs->all, c, all);
	LIST_INSERT_HEAD(bucket_of(cs, bev), c, bucket);
	evbuffer_add_cb(bufferevent_get_input(bev), arrived, c);
	evbuffer_add_cb(bufferevent_get_output(bev), answered, c);
	g->count.connections++;
	if (++cs->n >= cs->max && !cs->paused)
		sweep(cs);
	return bev;
}

void
connections_busy(struct gateway *g, struct bufferevent *bev, bool busy)
{
	struct connections *cs = g->connections;
	struct conn *c = conn_find(cs, bev);

	if (c == NULL)
		return;
	cs->waiting -= c->waiting;
	c->waiting = 0;
	c->busy = busy;
	c->idle = !busy;
	c->since_us = clock_mono_us();
	/* what a client sends while it is being answered waits in the kernel; a request may be as
	 * large as evhttp takes it */
	bufferevent_setwatermark(bev, EV_READ, 0, busy ? READ_AHEAD : 0);
}

/* The last answer is with the kernel: the client learns that none follows, and ends the rest. */
static void
last_sent(struct evbuffer *output, const struct evbuffer_cb_info *info, void *arg)
{
	struct conn *c = arg;

	if (info->n_deleted == 0 || evbuffer_get_length(output) > 0 || c->fd < 0)
		return;
	c->idle = false;
	c->since_us = clock_mono_us();
	(void)shutdown(c->fd, SHUT_WR);
	bufferevent_enable(c->bev, EV_READ);
}

void
connections_last(struct gateway *g, struct bufferevent *bev)
{
	struct conn *c = conn_find(g->connections, bev);

	if (c == NULL || c->last)
		return;
	/* one whose answer is there already may not have its descriptor known */
	name_newborns(g->connections);
	c->last = true;
	/* an end that is read before the answer has left would take the answer along */
	bufferevent_disable(bev, EV_READ);
	evbuffer_add_cb(bufferevent_get_output(bev), last_sent, c);
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
	LIST_INIT(&cs->newborns);
	for (size_t i = 0; i < BUCKETS; i++)
		LIST_INIT(&cs->buckets[i]);
	if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
		rl.rlim_cur = rl.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &rl);
		if (rl.rlim_cur != RLIM_INFINITY && rl.rlim_cur < CONNECTIONS_MAX + RESERVED_FDS)
			cs->max = rl.rlim_cur > 2 * RESERVED_FDS
				      ? (size_t)rl.rlim_cur - RESERVED_FDS
				      : RESERVED_FDS;
	}
	cs->sweep = event_new(g->base, -1, EV_PERSIST, on_sweep, cs);
	cs->name = event_new(g->base, -1, 0, on_name, cs);
	if (cs->name == NULL || cs->sweep == NULL || event_add(cs->sweep, &tv) != 0) {
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
		/* each leaves the list first; NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
		conn_free(c);
	if (cs->sweep != NULL)
		event_free(cs->sweep);
	if (cs->name != NULL)
		event_free(cs->name);
	free(cs);
	g->connections = NULL;
}
