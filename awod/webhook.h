/* What a webhook of GitHub asks for. Knows payloads and signatures, nothing of orders. */
#ifndef AWOD_WEBHOOK_H
#define AWOD_WEBHOOK_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "proto/schema.h"

#define WEBHOOK_TEXT_MAX 65536 /* bytes of a request that are taken; what is longer is cut */

enum webhook_what {
	WEBHOOK_NOTHING,      /* reason says why */
	WEBHOOK_ORDER,	      /* an issue is to become an order */
	WEBHOOK_COMMAND,      /* a comment asks for something */
	WEBHOOK_PULL_REQUEST, /* a pull request's state has changed */
};

struct webhook_rules {
	const char *label;
	const struct p_strv *ignore; /* login names, in any case; NULL: none */
};

struct webhook {
	enum webhook_what what;
	char reason[256];
	char repository[256]; /* owner/name, as the host writes it */
	char number[20];      /* of the issue or pull request */
	bool is_pull_request;
	char object[96]; /* what it speaks of: the same in every delivery of it; without the repository */
	char by[64];	 /* login name of who asks */
	char *text;	 /* the request, clean; NULL for the others */
	enum p_pull_request_state state;
};

/* Whether signature ("sha256=" and 64 digits) is the body's under this secret; takes as long whatever is wrong. */
bool webhook_is_signed(const char *secret, const char *body, size_t len, const char *signature);
/*
 * Reads a payload, of which nothing is believed but that it was signed. INVALID_ARGUMENT when it is no JSON object, or what
 * the event must have is missing or of another type. Free with webhook_free(), also after an error.
 */
int webhook_parse(const struct webhook_rules *rules, const char *event, const char *body, size_t len,
    struct webhook *out, struct awo_err *err);
void webhook_free(struct webhook *w);

#endif
