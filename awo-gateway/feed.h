/* What is followed of awod's streams: asked for once by all who ask for the same, its newest text
 * made once and lent to each. */
#ifndef GATEWAY_FEED_H
#define GATEWAY_FEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "awo-gateway/source.h"
#include "common/buf.h"

struct evbuffer;
struct feeds;	   /* of one gateway */
struct subscriber; /* one who follows a feed, and how much it has of that */

/* What to follow, and from where on. */
struct feed_request {
	struct source_of of;
	int64_t position; /* behind it: seq of a log, id of an event */
	bool resume;	  /* events: the position is one; else only what is new */
	/* which events, of those that all subscribers share */
	char order_id[12];	/* only of this order; "": of all */
	enum p_log_level level; /* only of at least this level; log_level_none: all */
};

/* Each may end its own subscription, and no other. */
struct subscriber_calls {
	void (*began)(void *arg); /* awod has accepted it, the first time */
	void (*grew)(void *arg);  /* there may be more to take, or nothing follows */
	/* Before all was taken: awod refuses it (err), or it may not be read any more. The
	 * subscriber has to leave. */
	void (*ended)(void *arg, const struct awo_err *err, const char *reason);
};

struct feeds *feeds_open(struct gateway *g, struct sources *ss);
/* NULL accepted. Before sources_close(); frees what is left of subscribers. */
void feeds_close(struct feeds *fs);

/* Joins those who follow the same, or is the first. what is copied; auth, of whoever reads it, is
 * lent until feed_leave(). Makes no call from inside. Never NULL. */
struct subscriber *feed_join(struct feeds *fs, const struct feed_request *what, const char *auth,
    const struct subscriber_calls *calls, void *arg);
/* No more calls. What was lent stays until it has been sent. NULL accepted. */
void feed_leave(struct subscriber *sub);

const struct source_of *feed_of(const struct subscriber *sub);
bool feed_has_begun(const struct subscriber *sub);
/* Whether awod was asked with the auth of this one: then the feed ends for it with its access. */
bool feed_is_asked_by(const struct subscriber *sub);

/* Whether all that follows of what the subscriber has can be taken; else it has to catch up. */
bool feed_reaches(struct subscriber *sub);
/* Appends what follows, without a copy, until there are at least room bytes in to: the last piece
 * may be larger than what is left of it. */
void feed_take(struct subscriber *sub, struct evbuffer *to, size_t room);
/* Why nothing follows, once all was taken; lent until feed_leave(). Else NULL. */
const char *feed_end(const struct subscriber *sub);

/* Catching up, from a source that is the subscriber's own: where that begins, and each of its lines
 * (as source_calls has them), which is appended to text when it is wanted. */
int64_t feed_position(const struct subscriber *sub);
void feed_catch_up(
    struct subscriber *sub, int64_t position, const char *line, size_t len, struct buf *text);

/* Appends one event: id (when it is over 0) and the line as data, with a member seq in front when
 * with_seq. */
void feed_frame(struct buf *b, int64_t id, const char *line, size_t len, bool with_seq);

#endif
