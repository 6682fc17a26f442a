/*
 * The least that evhttp can do: http_bare PORT FILE answers every request with the file's bytes.
 * Prints the port; 0 takes a free one.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>

#include "common/files.h"

struct bytes {
	char *p;
	size_t len;
};

static void
answer(struct evhttp_request *request, void *arg)
{
	const struct bytes *bytes = arg;
	struct evbuffer *out = evbuffer_new();

	evbuffer_add_reference(out, bytes->p, bytes->len, NULL, NULL);
	evhttp_add_header(
	    evhttp_request_get_output_headers(request), "Content-Type", "application/json");
	evhttp_send_reply(request, 200, "OK", out);
	evbuffer_free(out);
}

int
main(int argc, char **argv)
{
	struct event_base *base = event_base_new();
	struct evhttp *http = base != NULL ? evhttp_new(base) : NULL;
	struct evhttp_bound_socket *bound = NULL;
	struct sockaddr_in sin = {0};
	socklen_t len = sizeof(sin);
	const int on = 1;
	struct bytes bytes = {0};

	if (argc != 3 || http == NULL ||
	    (bytes.p = files_read(AT_FDCWD, argv[2], 1 << 24, &bytes.len)) == NULL ||
	    (bound = evhttp_bind_socket_with_handle(
		 http, "127.0.0.1", (ev_uint16_t)atoi(argv[1]))) == NULL ||
	    setsockopt(evhttp_bound_socket_get_fd(bound), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0 ||
	    getsockname(evhttp_bound_socket_get_fd(bound), (struct sockaddr *)&sin, &len) != 0) {
		perror("http_bare PORT FILE");
		return 1;
	}
	printf("%u\n", ntohs(sin.sin_port));
	fflush(stdout);
	evhttp_set_gencb(http, answer, &bytes);
	/* a client may go before it has read all */
	signal(SIGPIPE, SIG_IGN);
	event_base_dispatch(base);
	return 0;
}
