/* Who asks: from the token, the cookie or nothing that a request carries to the user that awod acts for. */
#ifndef GATEWAY_AUTH_H
#define GATEWAY_AUTH_H

#include <stdbool.h>
#include <stdint.h>

struct gateway;
struct request;

#define WHO_AUTH_MAX 256

struct who {
	uint32_t uid;
	unsigned scopes;		/* P_SCOPE_ bits */
	char id[65];			/* public part of the token or session, "" for none: what rate limits count by */
	char user[257];
	char auth[WHO_AUTH_MAX + 1];	/* the token or session for awod's calls; "" with gateway.auth none */
};

/* The request is let pass: rq->who is filled in. Otherwise auth.c has answered it, and done is not called. */
typedef void auth_done(struct request *rq);

int auth_open(struct gateway *g);	/* -1 after saying why in the log */
void auth_close(struct gateway *g);
/* scope: the P_SCOPE_ bit that the route needs; 0: everybody may. Calls done at once or later, or answers the request. */
void auth_request(struct gateway *g, struct request *rq, unsigned scope, auth_done *done);
/* Whether everybody may do everything: gateway.auth is none. */
bool auth_is_none(const struct gateway *g);
/* Whether the request says who asks, be it true or not. */
bool auth_is_presented(const struct request *rq);
/*
 * Those whom nobody knows: who shows a wrong token, link or signature, or none, uses up room of its address
 * (gateway.stranger_limit). True after the answer 429, when it has none left: before awod is asked.
 */
bool auth_refuses_stranger(struct request *rq);
/* cost: 1 for what takes little. */
void auth_count_stranger(const struct request *rq, double cost);
/* Forgets what is known of a token or session: it has ended. False when nothing was known. */
bool auth_forget(struct gateway *g, const char *auth);

#endif
