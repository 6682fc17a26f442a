/* What the gateway's files share: the loop, its settings, and its one connection to awod. */
#ifndef GATEWAY_GATEWAY_H
#define GATEWAY_GATEWAY_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/histogram.h"

struct backend;
struct config;
struct connections;
struct evhttp;
struct kept;
struct request;
struct sse;

struct gateway_counters {
	uint64_t requests, by_status[6]; /* [2] is 2xx */
	uint64_t connections, connections_cut;
	uint64_t sse_opened, sse_dropped, sse_lines;
	uint64_t bytes_sent;
	uint64_t kept_sent; /* answers that awod was not asked for */
	uint64_t backend_lost;
	struct histogram http, rpc;
};

struct gateway {
	struct event_base *base;
	const struct config *conf; /* awod/config.h: the same file that awod reads */
	bool user_mode;
	const char *socket_path; /* of awod */
	char address[80];	 /* host:port that is listened on, with the real port */
	bool is_loopback;	 /* address is reached from this host alone */
	int ui_dir;		 /* directory of the UI's files, or -1 */
	struct evhttp *http;
	struct connections *connections;
	struct backend *backend;
	struct kept *kept;
	struct sse *sse;
	struct auth *auth; /* auth.c's own */
	bool stopping;
	uint64_t last_request; /* numbers in request ids */
	unsigned open_requests;
	struct gateway_counters count;
	int64_t started_us; /* wall time */
};

#endif
