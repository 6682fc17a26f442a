/* One stream of awod, which comes back by itself where it stopped: an order's log, or the events of
 * all orders. */
#ifndef GATEWAY_SOURCE_H
#define GATEWAY_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "awo-gateway/auth.h"
#include "proto/msgpack.h"
#include "proto/schema.h"

struct gateway;
struct source;
struct sources;

/* What a stream is of. */
struct source_of {
	bool events;		/* of all orders, else the log of one */
	char id[65];		/* the order's */
	enum p_log_level level; /* log_level_none: all */
	char step[129];		/* "": all */
	bool has_since;
	int64_t since;
};

struct source_calls {
	void (*began)(void *arg); /* awod has accepted it, the first time */
	/* A line and its position: seq, or the event's id (0: has none). An empty one: all events
	 * that were stored up to this id have come. */
	void (*line)(void *arg, int64_t position, const char *line, size_t len);
	/* Nothing follows. err: NULL when the order has ended. The source is idle. */
	void (*ended)(void *arg, const struct awo_err *err, const char *reason);
};

struct sources *sources_open(struct gateway *g);
void sources_close(struct sources *ss); /* frees what is left of them */
void sources_notify(struct sources *ss, const char *method, struct p_slice param);
void sources_lost(struct sources *ss); /* the connection */
void sources_back(struct sources *ss);

/* Idle until source_start(). of is copied. */
struct source *source_new(
    struct sources *ss, const struct source_of *of, const struct source_calls *calls, void *arg);
/* From behind a position on, for the holder of auth. resume: the position is one; else only what is
 * new (events). */
void source_start(struct source *src, const char *auth, int64_t position, bool resume);
void source_stop(struct source *src); /* no more calls; may be started again */
bool source_is_idle(const struct source *src);
void source_free(struct source *src); /* NULL accepted */

#endif
