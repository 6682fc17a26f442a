/* The reference of a round trip: a libevent server that answers every request of a known size with the same bytes. */
#include <fcntl.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "common/files.h"

#define ANSWER_MAX ((size_t)4 << 20)

static size_t request_bytes, answer_bytes;
static const char *answer;

static void
on_read(struct bufferevent *bev, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(bev);

	(void)arg;
	while (evbuffer_get_length(in) >= request_bytes) {
		evbuffer_drain(in, request_bytes);
		bufferevent_write(bev, answer, answer_bytes);
	}
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	(void)arg;
	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
		bufferevent_free(bev);
}

static void
on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int len, void *arg)
{
	struct bufferevent *bev = bufferevent_socket_new(evconnlistener_get_base(l), fd, BEV_OPT_CLOSE_ON_FREE);

	(void)sa;
	(void)len;
	(void)arg;
	if (!bev)
		return;
	bufferevent_setcb(bev, on_read, NULL, on_event, NULL);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
}

int
main(int argc, char **argv)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	struct event_base *base = event_base_new();
	struct evconnlistener *l;

	if (argc != 4 || strlen(argv[1]) >= sizeof(sun.sun_path)) {
		fputs("usage: " BENCH_NAME " SOCKET REQUEST-BYTES ANSWER-FILE\n", stderr);
		return 2;
	}
	request_bytes = strtoul(argv[2], NULL, 10);
	answer = files_read(AT_FDCWD, argv[3], ANSWER_MAX, &answer_bytes);
	if (!answer || request_bytes == 0) {
		perror(argv[3]);
		return 1;
	}
	memcpy(sun.sun_path, argv[1], strlen(argv[1]) + 1);
	l = evconnlistener_new_bind(base, on_accept, NULL, LEV_OPT_CLOSE_ON_FREE, 128, (struct sockaddr *)&sun, sizeof(sun));
	if (!l) {
		perror(argv[1]);
		return 1;
	}
	event_base_dispatch(base);
	return 0;
}
