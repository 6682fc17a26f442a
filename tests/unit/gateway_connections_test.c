/* Tests how long a connection may stay that asks for nothing, asks slowly, or takes its answer
 * slowly. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/http_struct.h>

#include "tests/unit/cmocka_all.h"

#include "awo-gateway/connections.h"
#include "awo-gateway/gateway.h"
#include "common/buf.h"

#define SECOND INT64_C(1000000)
#define SWEEPS_MS 400 /* time for a look at all connections */
#define CONNECTIONS_MAX 4096
#define ANSWER ((size_t)4 << 20)
#define LAST_ANSWER 40000

/* the linker's name for what stands in; NOLINTNEXTLINE(bugprone-reserved-identifier) */
int64_t __wrap_clock_mono_us(void);

static int64_t now_us;

int64_t
__wrap_clock_mono_us(void)
{
	return now_us;
}

struct rig {
	struct gateway g;
	struct sockaddr_in at;
	struct bufferevent *fill[CONNECTIONS_MAX];
	size_t nfill;
	size_t got; /* bytes of answers, of all clients */
};

/* /large gets an answer that no buffer of the kernel holds, /last one that it does hold and that is the connection's last,
 * everything else a small one. */
static void
on_request(struct evhttp_request *http, void *arg)
{
	struct rig *r = arg;
	struct bufferevent *bev =
	    evhttp_connection_get_bufferevent(evhttp_request_get_connection(http));
	bool is_large = strcmp(evhttp_request_get_uri(http), "/large") == 0;
	bool is_last = strcmp(evhttp_request_get_uri(http), "/last") == 0;
	struct evbuffer *body = evbuffer_new();
	const int size = is_last ? 2 * LAST_ANSWER : 4096;
	char *text = xcalloc(1, ANSWER);

	assert_non_null(body);
	memset(text, 'x', ANSWER);
	connections_busy(&r->g, bev, true);
	(void)setsockopt(bufferevent_getfd(bev), SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	evbuffer_add(body, text, is_large ? ANSWER : is_last ? LAST_ANSWER : 10);
	if (is_last) {
		evhttp_send_reply_start(http, 200, "OK");
		evhttp_send_reply_chunk(http, body);
		http->userdone = 1;
		connections_last(&r->g, bev);
	} else {
		evhttp_send_reply(http, 200, "OK", body);
	}
	connections_busy(&r->g, bev, false);
	evbuffer_free(body);
	free(text);
}

static int
setup(void **state)
{
	struct rig *r = xcalloc(1, sizeof(*r));
	socklen_t len = sizeof(r->at);
	struct evconnlistener *listener;

	now_us = 1000 * SECOND;
	r->g.base = event_base_new();
	r->g.http = evhttp_new(r->g.base);
	assert_non_null(r->g.http);
	assert_int_equal(connections_open(&r->g), 0);
	r->at =
	    (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	listener = evconnlistener_new_bind(r->g.base, NULL, NULL,
	    LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, -1, (struct sockaddr *)&r->at,
	    sizeof(r->at));
	assert_non_null(listener);
	assert_int_equal(
	    getsockname(evconnlistener_get_fd(listener), (struct sockaddr *)&r->at, &len), 0);
	evhttp_set_gencb(r->g.http, on_request, r);
	evhttp_set_bevcb(r->g.http, connections_new, &r->g);
	assert_non_null(evhttp_bind_listener(r->g.http, listener));
	connections_limit(&r->g, listener);
	*state = r;
	return 0;
}

static int
teardown(void **state)
{
	struct rig *r = *state;

	for (size_t i = 0; i < r->nfill; i++)
		bufferevent_free(r->fill[i]);
	connections_limit(&r->g, NULL);
	evhttp_free(r->g.http);
	connections_close(&r->g);
	event_base_free(r->g.base);
	free(r);
	return 0;
}

/* Time passes for the connections, and they are looked at; the clients meanwhile take some bytes,
 * or none. */
static void
pass(struct rig *r, int64_t us, int reader, size_t some)
{
	char text[8192];

	now_us += us;
	for (int i = 0; i < SWEEPS_MS; i += 20) {
		struct timeval tv = {0, 20 * 1000L};
		ssize_t n = 0;

		event_base_loopexit(r->g.base, &tv);
		event_base_dispatch(r->g.base);
		if (some > 0)
			n = recv(
			    reader, text, some < sizeof(text) ? some : sizeof(text), MSG_DONTWAIT);
		if (n > 0) {
			some -= (size_t)n;
			r->got += (size_t)n;
		}
	}
}

static int
client(struct rig *r, const char *sends)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const int size = 4096;

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&r->at, sizeof(r->at)), 0);
	assert_int_equal(send(fd, sends, strlen(sends), MSG_NOSIGNAL), strlen(sends));
	return fd;
}

/* Takes what there is of its answers. */
static bool
is_cut(int fd)
{
	char text[8192];
	ssize_t n;

	while ((n = recv(fd, text, sizeof(text), MSG_DONTWAIT)) > 0)
		;
	return n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

/* As many connections as there may be, and those that are there already. */
static void
fill(struct rig *r)
{
	while (r->nfill < CONNECTIONS_MAX)
		r->fill[r->nfill++] = connections_new(r->g.base, &r->g);
}

#define REQUEST(path) "GET " path " HTTP/1.1\r\nHost: localhost\r\n\r\n"

static void
who_asks_for_least_goes_first_when_there_is_no_room(void **state)
{
	struct rig *r = *state;
	int silent = client(r, ""), half = client(r, "GET / HT"), idle = client(r, REQUEST("/"));

	pass(r, SECOND, -1, 0);
	pass(r, 5 * SECOND, -1, 0);
	assert_false(is_cut(silent) || is_cut(half) || is_cut(idle));
	close(half);
	close(silent);
	silent = client(r, "");
	half = client(r, "GET / HT");
	pass(r, 0, -1, 0);
	fill(r);
	pass(r, 2 * SECOND, -1, 0);
	assert_true(is_cut(silent));
	assert_true(is_cut(idle));
	assert_false(is_cut(half));
	pass(r, 4 * SECOND, -1, 0);
	assert_true(is_cut(half));
	close(silent);
	close(half);
	close(idle);
}

static void
a_request_that_drips_is_not_waited_for(void **state)
{
	struct rig *r = *state;
	int first = client(r, "G"), next = client(r, REQUEST("/"));

	pass(r, 0, -1, 0);
	for (int i = 0; i < 3; i++) {
		(void)send(first, "E", 1, MSG_NOSIGNAL);
		(void)send(next, "E", 1, MSG_NOSIGNAL);
		pass(r, 11 * SECOND, -1, 0);
		if (i == 0)
			assert_false(is_cut(first) || is_cut(next));
	}
	assert_true(is_cut(first));
	assert_true(is_cut(next));
	close(first);
	close(next);
}

static void
an_answer_that_is_being_taken_has_its_time(void **state)
{
	struct rig *r = *state;

	for (int crowded = 0; crowded < 2; crowded++) {
		int reader = client(r, REQUEST("/large"));
		uint64_t cut = r->g.count.connections_cut;

		r->got = 0;
		pass(r, 0, reader, 2000);
		/* what is asked for next arrives while it cannot be read */
		if (crowded)
			fill(r);
		else
			assert_int_equal(send(reader, "GET", 3, MSG_NOSIGNAL), 3);
		for (int i = 0; i < 4; i++)
			pass(r, 12 * SECOND, reader, 60000);
		assert_true(r->got > 10000);
		assert_int_equal(r->g.count.connections_cut, cut);
		/* what is in its buffers it may still seem to take */
		pass(r, SECOND, reader, 0);
		pass(r, 21 * SECOND, reader, 0);
		assert_int_equal(r->g.count.connections_cut, cut + 1);
		close(reader);
	}
}

/* Who still sends, as a client that pipelines does, would lose what is left of the answer with the connection. */
static void
the_last_answer_has_its_time_too(void **state)
{
	struct rig *r = *state;
	int reader = client(r, REQUEST("/last"));

	for (int i = 0; i < 10; i++) {
		pass(r, 5 * SECOND, reader, 5000);
		(void)send(reader, "G", 1, MSG_NOSIGNAL);
	}
	assert_true(r->got > LAST_ANSWER);
	pass(r, 4 * SECOND, reader, 0);
	assert_true(is_cut(reader));
	close(reader);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		who_asks_for_least_goes_first_when_there_is_no_room, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		a_request_that_drips_is_not_waited_for, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		an_answer_that_is_being_taken_has_its_time, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_last_answer_has_its_time_too, setup, teardown),
	};

	/* as in the gateway */
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
