/* Server-sent events: an order's log and all orders' events, replayed and then live. */
#ifndef GATEWAY_SSE_H
#define GATEWAY_SSE_H

#include "awo-gateway/routes.h"
#include "proto/msgpack.h"

int sse_open(struct gateway *g);
void sse_stop(struct gateway *g); /* ends all streams of clients, who come again by themselves */
void sse_close(struct gateway *g);

route_handler sse_order;  /* order.watch */
route_handler sse_events; /* events.watch */

/* Of the connection to awod. */
void sse_notify(struct gateway *g, const char *method, struct p_slice param);
void sse_backend_lost(struct gateway *g);
void sse_backend_back(struct gateway *g);

size_t sse_readers(const struct gateway *g);

#endif
