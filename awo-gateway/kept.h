/*
 * Answers about orders that are kept, ready to be sent, until awod says that something has changed.
 *
 * Nobody gets an older answer than awod would give: awod's word of a change is in our socket before whoever made the
 * change, or waits for it, is told; and an answer is taken from here only when nothing waits to be read there.
 */
#ifndef GATEWAY_KEPT_H
#define GATEWAY_KEPT_H

#include <stdbool.h>
#include <stdint.h>

#include "awo-gateway/encode.h"
#include "common/buf.h"

struct gateway;
struct kept;
struct request;

/* One answer of a GET, with what is made of it for sending; shared by all who are sent it. */
struct body {
	unsigned refs;
	struct buf text;
	struct buf packed; /* compressed, once somebody has asked for that; empty: not yet, or no smaller */
	bool pack_tried;
	char etag[ETAG_TEXT];
	int64_t total; /* for X-Total-Count; -1: none */
};

/* Takes the text over; one reference. */
struct body *body_new(struct buf *text, int64_t total);
struct body *body_ref(struct body *b);
void body_release(struct body *b);
const struct buf *body_packed(struct body *b); /* NULL when compression gains nothing */

/* Whether the request is one whose answer may be kept. */
bool kept_wants(const struct request *rq);
/* The answer, lent until the loop has its turn; NULL: awod has to be asked. */
struct body *kept_find(const struct request *rq);
/*
 * Asks awod, and answers the request. Who asks the same while awod is being asked shares the next answer, so that awod has
 * one such question at a time. params are taken; make renders what awod answered, one reference.
 */
typedef struct body *kept_make(const struct request *rq, const void *answer);
void kept_ask(struct request *rq, void *params, kept_make *make);
/* awod has said that something has changed, or can say it no more. */
void kept_drop(struct gateway *g);

int kept_open(struct gateway *g);
void kept_close(struct gateway *g);

#endif
