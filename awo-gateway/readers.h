/* The clients that are sent a stream: each at its own speed, and no longer than it takes something
 * and may read it. */
#ifndef GATEWAY_READERS_H
#define GATEWAY_READERS_H

#include <stddef.h>

#include "awo-gateway/feed.h"

struct gateway;
struct readers; /* of one gateway */
struct request;
struct sources;

/* NULL after saying why in the log. fs and ss are to live longer. */
struct readers *readers_open(struct gateway *g, struct feeds *fs, struct sources *ss);
void readers_stop(struct readers *rs);	/* ends all streams: clients come again by themselves */
void readers_close(struct readers *rs); /* NULL accepted */

/* Answers the request with a stream, once awod has accepted it, or with the error; 429 and 503 when
 * too many are followed. Takes the request over; what is copied. */
void readers_add(struct readers *rs, struct request *rq, const struct feed_request *what);
size_t readers_count(const struct readers *rs);

#endif
