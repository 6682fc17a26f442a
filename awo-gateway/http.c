/* The HTTP server: takes requests from evhttp, checks what is common to all, and hands them to
 * their routes. */
#include "awo-gateway/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>

#include "awo-gateway/connections.h"
#include "awo-gateway/gateway.h"
#include "awo-gateway/head.h"
#include "awo-gateway/origin.h"
#include "awo-gateway/request.h"
#include "awo-gateway/routes.h"
#include "awod/config.h"
#include "common/clean.h"
#include "common/clock.h"
#include "common/ids.h"
#include "common/log.h"

#define BODY_MAX (1 << 20)
#define HEADERS_MAX 16384
#define IDLE_S 75 /* a connection without a request */
#define BACKLOG 1024
#define PREFLIGHT_S "600"

static const struct {
	enum evhttp_cmd_type type;
	enum http_method method;
} methods[] = {
    {EVHTTP_REQ_GET, HTTP_GET},
    {EVHTTP_REQ_HEAD, HTTP_HEAD},
    {EVHTTP_REQ_POST, HTTP_POST},
    {EVHTTP_REQ_PUT, HTTP_PUT},
    {EVHTTP_REQ_PATCH, HTTP_PATCH},
    {EVHTTP_REQ_DELETE, HTTP_DELETE},
    {EVHTTP_REQ_OPTIONS, HTTP_OPTIONS},
};
#define NMETHODS (sizeof(methods) / sizeof(methods[0]))

static struct gateway *serving; /* for what evhttp answers by itself */
static struct evhttp_bound_socket *listening;

/* ---- one request */

static bool
is_request_id(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && n <= REQUEST_ID_MAX &&
	       strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.:") == n;
}

static void
choose_id(struct request *rq)
{
	static char process[9]; /* tells apart what several gateways have numbered */
	const char *given = request_header(rq, "X-Request-Id");

	if (given != NULL && is_request_id(given)) {
		snprintf(rq->id, sizeof(rq->id), "%s", given);
		return;
	}
	if (process[0] == '\0')
		ids_hex(process, 4);
	snprintf(
	    rq->id, sizeof(rq->id), "%s-%llx", process, (unsigned long long)++rq->g->last_request);
}

/* The request's Origin, when the configuration lets pages from there call. */
static const char *
allowed_origin(const struct request *rq)
{
	const struct p_strv *allowed = &rq->g->conf->gateway_cors_origins;
	const char *origin = request_header(rq, "Origin");

	if (origin == NULL || strlen(origin) > 256)
		return NULL;
	for (size_t i = 0; i < allowed->n; i++)
		if (strcasecmp(allowed->v[i], origin) == 0)
			return origin;
	return NULL;
}

static void
cors_headers(struct request *rq)
{
	rq->origin = allowed_origin(rq);
	if (rq->g->conf->gateway_cors_origins.n == 0)
		return;
	request_add_header(rq, "Vary", "Origin");
	if (rq->origin == NULL)
		return;
	request_add_header(rq, "Access-Control-Allow-Origin", rq->origin);
	request_add_header(rq, "Access-Control-Expose-Headers",
	    "ETag, Location, Retry-After, X-Request-Id, X-Total-Count");
}

static void
answer_options(struct request *rq, unsigned allow)
{
	char names[64];

	route_allow(allow, names, sizeof(names));
	request_add_header(rq, "Allow", names);
	if (rq->origin != NULL && request_header(rq, "Access-Control-Request-Method") != NULL) {
		request_add_header(rq, "Access-Control-Allow-Methods", names);
		request_add_header(rq, "Access-Control-Allow-Headers",
		    "Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, "
		    "X-Request-Id");
		request_add_header(rq, "Access-Control-Max-Age", PREFLIGHT_S);
	}
	request_answer_empty(rq, 204);
}

static void
let_pass(struct request *rq)
{
	rq->route->handler(rq);
}

static void
route(struct request *rq)
{
	struct route_match match;
	char names[64];

	route_find(&rq->target, rq->method, &match);
	rq->mount = match.mount;
	rq->prefix = match.prefix;
	if (match.allow == 0) {
		request_fail_status(
		    rq, 404, "there is nothing at this path; /docs lists what there is");
		return;
	}
	if (rq->method == HTTP_OPTIONS) {
		answer_options(rq, match.allow);
		return;
	}
	if (match.route == NULL && (match.allow & 1U << rq->method) != 0) {
		request_fail_status(rq, 404, "a part of the path is too long");
		return;
	}
	if (match.route == NULL) {
		request_add_header(rq, "Allow", route_allow(match.allow, names, sizeof(names)));
		request_fail_status(rq, 405, "%s is not possible here; possible are %s",
		    http_method_name(rq->method), names);
		return;
	}
	rq->route = match.route;
	rq->params = xcalloc(1, sizeof(*rq->params));
	*rq->params = match.params;
	auth_request(rq->g, rq, rq->route->scope, let_pass);
}

static struct request *
new_request(struct gateway *g, struct evhttp_request *http)
{
	struct evhttp_connection *conn = evhttp_request_get_connection(http);
	struct request *rq = xcalloc(1, sizeof(*rq));
	enum evhttp_cmd_type type = evhttp_request_get_command(http);
	char *address = NULL;
	ev_uint16_t port = 0;

	rq->g = g;
	rq->http = http;
	rq->began_us = clock_mono_us();
	g->open_requests++;
	g->count.requests++;
	for (size_t i = 0; i < NMETHODS; i++)
		if (methods[i].type == type)
			rq->method = methods[i].method;
	evhttp_connection_get_peer(conn, &address, &port);
	snprintf(rq->peer, sizeof(rq->peer), "%s", address != NULL ? address : "");
	connections_busy(g, evhttp_connection_get_bufferevent(conn), true);
	/* the answer's version is the request's, which may be any, or not have been read */
	if (http->major != 1 || http->minor > 1)
		http->major = http->minor = 1;
	choose_id(rq);
	return rq;
}

/* False when it has been answered: names that others could point at us are told nothing. */
static bool
check_host(struct request *rq)
{
	if (origin_host_allowed(rq->g->conf, request_header(rq, "Host")))
		return true;
	request_fail_status(
	    rq, 421, "the gateway does not go by the name in Host; gateway.hosts adds names");
	return false;
}

static void
on_request(struct evhttp_request *http, void *arg)
{
	struct gateway *g = arg;
	struct request *rq = new_request(g, http);
	const char *fault =
	    head_fault(evhttp_request_get_input_headers(http), rq->method == HTTP_HEAD);
	struct awo_err err = {0};

	if (fault != NULL) {
		/* where the next request begins is not sure either */
		request_add_header(rq, "Connection", "close");
		request_fail_status(rq, 400, "%s", fault);
		return;
	}
	if (!check_host(rq))
		return;
	cors_headers(rq);
	if (g->stopping) {
		request_add_header(rq, "Connection", "close");
		request_fail_status(rq, 503, "the gateway is stopping");
		return;
	}
	if (target_parse(evhttp_request_get_uri(http), &rq->target, &err) != 0) {
		request_fail_status(rq, 400, "%s", err.msg);
		return;
	}
	route(rq);
}

static const char *
refusal(int status)
{
	switch (status) {
	case 413:
		return "the request is too large: its headers may have 16 KiB, its body 1 MiB";
	case 417:
		return "of Expect only 100-continue is known here";
	case 501:
		return "this method is not known here; /docs lists what there is";
	default:
		return "this is no HTTP request, or its headers are longer than 16 KiB";
	}
}

/*
 * evhttp refuses what it cannot read, or has no method for, by itself and with a page of its own.
 * It calls this function of its own for it, through the dynamic linker, which finds ours first: so
 * these answers, too, are JSON, and are logged and counted as all others are.
 */
void
evhttp_send_error(struct evhttp_request *http, int status, const char *reason)
{
	struct request *rq = new_request(serving, http);

	(void)reason;
	request_add_header(rq, "Connection", "close");
	if (evhttp_request_get_uri(http) == NULL || check_host(rq))
		request_fail_status(rq, status, "%s", refusal(status));
}

void
http_done(struct request *rq, int status)
{
	struct gateway *g = rq->g;
	int64_t took = clock_mono_us() - rq->began_us;
	struct evhttp_connection *conn = evhttp_request_get_connection(rq->http);
	const char *uri = evhttp_request_get_uri(rq->http);
	/* never the query: what is there may be secret */
	CLEAN_FREE char *path = xstrndup(uri, uri != NULL ? strcspn(uri, "?") : 0);
	enum log_lvl level = status >= 500 ? LOG_LVL_WARNING
			     : rq->method == HTTP_GET || rq->method == HTTP_HEAD || status >= 400
				 ? LOG_LVL_DEBUG
				 : LOG_LVL_INFO;

	if (conn != NULL)
		connections_busy(g, evhttp_connection_get_bufferevent(conn), false);
	/* a stream's length says nothing of how fast we are */
	if (!rq->streaming)
		histogram_add(&g->count.http, (double)took / 1e6);
	g->count.by_status[status / 100 < 6 ? status / 100 : 5]++;
	LOG_AT(level, "http_request_answered", LS("request_id", rq->id),
	    LS("method", evhttp_request_get_command(rq->http) != 0 ? http_method_name(rq->method)
								   : "unknown"),
	    LS("path", path), LI("status", status), LI("microseconds", took), LS("peer", rq->peer),
	    LS("user", rq->who.user));
	g->open_requests--;
	target_free(&rq->target);
	json_decref(rq->args);
	free(rq->params);
	free(rq);
}

/* ---- the server */

static int
bad_listen(const char *listen)
{
	log_error("listen_invalid", LS("gateway.listen", listen),
	    LS("remedy", "write it as host:port, such as 127.0.0.1:8053 or [::1]:8053"));
	return -1;
}

/* A listening socket for "host:port"; -1 after saying why. */
static int
listen_on(const char *text)
{
	struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM}, *found = NULL;
	const char *colon = strrchr(text, ':');
	CLEAN_FREE char *host = NULL;
	int rc, fd = -1, saved = 0;

	if (colon == NULL || colon[1] == '\0')
		return bad_listen(text);
	host = text[0] == '[' && colon > text && colon[-1] == ']'
		   ? xstrndup(text + 1, (size_t)(colon - text) - 2)
		   : xstrndup(text, (size_t)(colon - text));
	if (strchr(host, ':') != NULL && text[0] != '[')
		return bad_listen(text);
	rc = getaddrinfo(*host != '\0' ? host : NULL, colon + 1, &hints, &found);
	if (rc != 0) {
		log_error(
		    "listen_failed", LS("gateway.listen", text), LS("error", gai_strerror(rc)));
		return -1;
	}
	for (const struct addrinfo *a = found; a != NULL && fd < 0; a = a->ai_next) {
		const int on = 1;

		fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (fd < 0)
			continue;
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		if (bind(fd, a->ai_addr, a->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
			saved = errno;
			close(fd);
			fd = -1;
		}
	}
	freeaddrinfo(found);
	if (fd < 0)
		log_error("listen_failed", LS("gateway.listen", text), LS("error", strerror(saved)),
		    LS("remedy", saved == EADDRINUSE
				     ? "another program has this port: stop it, or set gateway.port"
				     : ""));
	return fd;
}

/* Writes down where we really listen, and whether only this host reaches it. */
static void
note_address(struct gateway *g, int fd)
{
	struct sockaddr_storage ss = {0};
	socklen_t len = sizeof(ss);
	char host[INET6_ADDRSTRLEN] = "";
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)&ss;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)&ss;

	if (getsockname(fd, (struct sockaddr *)&ss, &len) != 0)
		return;
	if (ss.ss_family == AF_INET) {
		inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
		snprintf(g->address, sizeof(g->address), "%s:%u", host, ntohs(v4->sin_port));
		g->is_loopback = ntohl(v4->sin_addr.s_addr) >> 24 == 127;
	} else if (ss.ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
		snprintf(g->address, sizeof(g->address), "[%s]:%u", host, ntohs(v6->sin6_port));
		g->is_loopback = IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
	}
}

int
http_open(struct gateway *g, const char *listen, int fd)
{
	struct evconnlistener *listener;
	ev_uint16_t allowed = 0;
	const int on = 1;

	if (fd < 0)
		fd = listen_on(listen);
	if (fd < 0)
		return -1;
	/* small events go at once; accepted sockets inherit it */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	evutil_make_socket_nonblocking(fd);
	note_address(g, fd);
	g->http = evhttp_new(g->base);
	listener = evconnlistener_new(
	    g->base, NULL, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
	if (g->http == NULL || listener == NULL) {
		log_error(
		    "listen_failed", LS("gateway.listen", listen), LS("error", strerror(errno)));
		if (listener == NULL)
			close(fd);
		return -1;
	}
	for (size_t i = 0; i < NMETHODS; i++)
		allowed |= (ev_uint16_t)methods[i].type;
	evhttp_set_allowed_methods(g->http, allowed);
	evhttp_set_max_headers_size(g->http, HEADERS_MAX);
	evhttp_set_max_body_size(g->http, BODY_MAX);
	evhttp_set_timeout(g->http, IDLE_S);
	evhttp_set_default_content_type(g->http, NULL);
	evhttp_set_gencb(g->http, on_request, g);
	serving = g;
	evhttp_set_bevcb(g->http, connections_new, g);
	listening = evhttp_bind_listener(g->http, listener);
	if (listening == NULL) {
		evconnlistener_free(listener);
		log_error("listen_failed", LS("gateway.listen", listen),
		    LS("error", "evhttp refuses the socket"));
		return -1;
	}
	connections_limit(g, listener);
	return 0;
}

void
http_stop(struct gateway *g)
{
	connections_limit(g, NULL);
	/* who comes now is refused at once, or waits for the next one who takes systemd's socket */
	evhttp_del_accept_socket(g->http, listening);
	listening = NULL;
}

void
http_close(struct gateway *g)
{
	if (g->http != NULL)
		evhttp_free(g->http);
	g->http = NULL;
}
