/* Who asks: tokens and sessions that awod knows, kept for a moment, and how often each may ask. */
#include "awo-gateway/auth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "awo-gateway/gateway.h"
#include "awo-gateway/limit.h"
#include "awo-gateway/origin.h"
#include "awo-gateway/request.h"
#include "awo-gateway/routes.h"
#include "awo-gateway/session.h"
#include "awod/config.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/hash.h"
#include "common/log.h"

#define KEEP_US (10 * INT64_C(1000000)) /* what awod said of a token is asked again after this */
#define ENTRIES_MAX 4096
#define SLOTS 1024
#define MINUTE_US INT64_C(60000000)

/* A token or session that awod has known: what it said, and what may still be asked with it. */
struct entry {
	struct entry *next;
	struct who who;
	int64_t until_us; /* monotonic: believed so long */
	int64_t used_us;  /* monotonic: when it was last asked with */
	struct room room;
};

struct auth {
	bool none;
	struct entry *slots[SLOTS];
	size_t n;
	int64_t swept_us;
	struct addresses *strangers;
};

/* ---- what is kept */

static struct entry **
find_slot(struct auth *a, const char *auth)
{
	struct entry **p = &a->slots[hash_text(auth) % SLOTS];

	while (*p != NULL && strcmp((*p)->who.auth, auth) != 0)
		p = &(*p)->next;
	return p;
}

static void
drop(struct auth *a, struct entry **p)
{
	struct entry *e = *p;

	*p = e->next;
	explicit_bzero(e, sizeof(*e));
	free(e);
	a->n--;
}

/* What has not been used for a minute has all its room again, so that nothing is lost with it. */
static void
sweep(struct auth *a, int64_t now, bool all)
{
	if (!all && now - a->swept_us < MINUTE_US)
		return;
	a->swept_us = now;
	for (size_t i = 0; i < SLOTS; i++)
		for (struct entry **p = &a->slots[i]; *p != NULL;)
			if (all || now - (*p)->used_us > MINUTE_US)
				drop(a, p);
			else
				p = &(*p)->next;
}

static struct entry *
keep(struct gateway *g, const struct who *who, int64_t ends_us)
{
	int64_t now = clock_mono_us(), left = ends_us != 0 ? ends_us - clock_wall_us() : KEEP_US;
	struct entry **p;

	sweep(g->auth, now, g->auth->n >= ENTRIES_MAX);
	p = find_slot(g->auth, who->auth);
	if (*p == NULL) {
		*p = xcalloc(1, sizeof(**p));
		g->auth->n++;
	}
	(*p)->who = *who;
	(*p)->used_us = now;
	(*p)->until_us = now + (left < KEEP_US ? left : KEEP_US);
	return *p;
}

/* ---- limits */

static void
answer_too_many(struct request *rq, int wait, const char *setting)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", wait);
	request_add_header(rq, "Retry-After", text);
	request_fail_status(
	    rq, 429, "too many requests: try again in %d seconds (%s)", wait, setting);
}

/* How many seconds one who is known has to wait; 0: not at all. */
static int
known_wait(const struct gateway *g, struct entry *e)
{
	double limit = (double)g->conf->gateway_rate_limit;

	return limit > 0 ? room_wait(&e->room, limit, clock_mono_us()) : 0;
}

/* NULL when there is no limit. */
static struct room *
strangers_room(const struct request *rq, double *limit)
{
	struct room *r = addresses_room(rq->g->auth->strangers, rq->peer, limit);

	*limit *= (double)rq->g->conf->gateway_stranger_limit;
	return *limit > 0 ? r : NULL;
}

bool
auth_refuses_stranger(struct request *rq)
{
	double limit;
	struct room *r = strangers_room(rq, &limit);
	int wait = r != NULL ? room_wait(r, limit, clock_mono_us()) : 0;

	if (wait > 0)
		answer_too_many(rq, wait, "gateway.stranger_limit");
	return wait > 0;
}

void
auth_count_stranger(const struct request *rq, double cost)
{
	double limit;
	struct room *r = strangers_room(rq, &limit);

	if (r != NULL)
		room_take(r, limit, cost, clock_mono_us());
}

/* ---- one request */

/* The bearer token, "" when there is none. -1: Authorization says something else. */
static int
bearer(const struct request *rq, char auth[WHO_AUTH_MAX + 1])
{
	const char *h = request_header(rq, "Authorization");

	auth[0] = '\0';
	if (h == NULL)
		return 0;
	if (strncasecmp(h, "Bearer ", 7) != 0)
		return -1;
	h += 7;
	h += strspn(h, " ");
	/* a session is for the cookie alone, whose requests have to prove where they come from */
	if (strncmp(h, "awo_", 4) != 0 || strlen(h) > WHO_AUTH_MAX ||
	    strcspn(h, " ,;") != strlen(h))
		return -1;
	snprintf(auth, WHO_AUTH_MAX + 1, "%s", h);
	return 0;
}

static void
refuse(struct request *rq, const char *why)
{
	if (auth_refuses_stranger(rq))
		return;
	auth_count_stranger(rq, 1);
	request_add_header(rq, "WWW-Authenticate", "Bearer realm=\"awo\"");
	request_fail_status(rq, 401, "%s", why);
}

/* The one who asks is known: may it ask this, and now? */
static void
decide(struct request *rq, struct entry *e, unsigned scope, auth_done *done)
{
	double limit = (double)rq->g->conf->gateway_rate_limit;
	int wait = known_wait(rq->g, e);

	rq->who = e->who;
	e->used_us = clock_mono_us();
	if (wait > 0) {
		answer_too_many(rq, wait, "gateway.rate_limit");
		return;
	}
	if (limit > 0)
		room_take(&e->room, limit, 1, clock_mono_us());
	if ((rq->who.scopes & scope) == 0) {
		request_add_header(
		    rq, "WWW-Authenticate", "Bearer realm=\"awo\", error=\"insufficient_scope\"");
		request_fail_status(rq, 403, "this needs the scope %s", p_scope_name(scope));
	} else {
		done(rq);
	}
}

/* What waits for awod's word on a token or session. */
struct asking {
	struct request *rq;
	unsigned scope;
	auth_done *done;
	char auth[WHO_AUTH_MAX + 1];
	bool is_session;
};

static void
take_answer(struct asking *a, const struct who *who, int64_t ends_us)
{
	struct request *rq = a->rq;
	auth_done *done = a->done;
	unsigned scope = a->scope;

	explicit_bzero(a, sizeof(*a));
	free(a);
	decide(rq, keep(rq->g, who, ends_us), scope, done);
}

static void
take_error(struct asking *a, const struct awo_err *err)
{
	struct request *rq = a->rq;

	if (err->code == AWO_UNAUTHENTICATED) {
		(void)auth_forget(rq->g, a->auth);
		if (a->is_session)
			session_clear_cookie(rq);
		refuse(rq, err->msg);
	} else {
		request_fail(rq, err);
	}
	explicit_bzero(a, sizeof(*a));
	free(a);
}

static void
token_known(struct request *rq, const struct awo_err *err, void *answer)
{
	struct asking *a = rq->state;
	const struct p_token *t = answer;
	struct who who = {0};

	rq->state = NULL;
	if (t == NULL) {
		take_error(a, err);
		return;
	}
	who.uid = (uint32_t)t->uid;
	who.scopes = p_scopes(&t->scopes);
	snprintf(who.id, sizeof(who.id), "%s", t->id);
	snprintf(who.user, sizeof(who.user), "%s", t->owner);
	memcpy(who.auth, a->auth, sizeof(who.auth));
	take_answer(a, &who, P_HAS(token, t, expires_at) ? t->expires_at : 0);
}

static void
session_known(struct request *rq, const struct awo_err *err, void *answer)
{
	struct asking *a = rq->state;
	const struct p_session *k = answer;
	struct who who = {0};

	rq->state = NULL;
	if (k == NULL) {
		take_error(a, err);
		return;
	}
	who.uid = (uint32_t)k->uid;
	who.scopes = p_scopes(&k->scopes);
	snprintf(who.id, sizeof(who.id), "%s", k->id);
	snprintf(who.user, sizeof(who.user), "%s", k->user);
	memcpy(who.auth, a->auth, sizeof(who.auth));
	take_answer(a, &who, k->expires_at);
}

static void
ask(struct request *rq, const char *auth, bool is_session, unsigned scope, auth_done *done)
{
	struct asking *a = xcalloc(1, sizeof(*a));
	/* lent for the encoding */
	struct p_token_verify token = {.token = a->auth};
	struct p_session_ref session = {.session = a->auth};

	a->rq = rq;
	a->scope = scope;
	a->done = done;
	a->is_session = is_session;
	snprintf(a->auth, sizeof(a->auth), "%s", auth);
	rq->state = a;
	P_MARK(token_verify, &token, token);
	P_MARK(session_ref, &session, session);
	if (is_session)
		request_call_self(rq, P_M_session_verify, &session, session_known);
	else
		request_call_self(rq, P_M_token_verify, &token, token_known);
}

void
auth_request(struct gateway *g, struct request *rq, unsigned scope, auth_done *done)
{
	struct origin_facts facts = request_origin(rq);
	bool reads = rq->method == HTTP_GET || rq->method == HTTP_HEAD, is_session = false;
	char auth[WHO_AUTH_MAX + 1];
	struct entry *e;

	if (scope == 0) {
		done(rq);
		return;
	}
	if (origin_is_foreign(g->conf, &facts)) {
		request_fail_status(rq, 403,
		    "pages of other origins may not call this; gateway.cors_origins adds origins");
		return;
	}
	if (g->auth->none) {
		rq->who.scopes = P_SCOPE_READ | P_SCOPE_WRITE | P_SCOPE_ADMIN;
		done(rq);
		return;
	}
	if (bearer(rq, auth) != 0) {
		refuse(rq,
		    "Authorization must be: Bearer and a token that awoctl token create has made");
		return;
	}
	if (auth[0] == '\0' && session_cookie(rq, auth)) {
		is_session = true;
		if (!origin_is_own(g->conf, &facts, reads)) {
			explicit_bzero(auth, sizeof(auth));
			request_fail_status(rq, 403,
			    "a cookie counts only in requests of the gateway's own pages; programs "
			    "send an access token");
			return;
		}
	}
	if (auth[0] == '\0') {
		refuse(
		    rq, "an access token is needed (awoctl token create), or a login (awoctl ui)");
		return;
	}
	e = *find_slot(g->auth, auth);
	/* what awod is not asked for anyway is not answered from here: a token that was revoked
	 * ends at once */
	if (e != NULL &&
	    ((e->until_us > clock_mono_us() && rq->route->rpc != NULL) || known_wait(g, e) > 0))
		decide(rq, e, scope, done);
	else if (e != NULL || !auth_refuses_stranger(rq))
		ask(rq, auth, is_session, scope, done);
	explicit_bzero(auth, sizeof(auth));
}

bool
auth_is_none(const struct gateway *g)
{
	return g->auth->none;
}

bool
auth_is_presented(const struct request *rq)
{
	char auth[WHO_AUTH_MAX + 1];
	bool is_session = session_cookie(rq, auth);

	explicit_bzero(auth, sizeof(auth));
	return is_session || request_header(rq, "Authorization") != NULL;
}

bool
auth_forget(struct gateway *g, const char *auth)
{
	struct entry **p = find_slot(g->auth, auth);

	if (*p == NULL)
		return false;
	drop(g->auth, p);
	return true;
}

/* ---- the gateway's life */

int
auth_open(struct gateway *g)
{
	bool none = strcmp(g->conf->gateway_auth, "none") == 0;

	/* the command line or a socket of systemd may say something else than what the
	 * configuration was checked for */
	if (none && !g->is_loopback) {
		log_error("auth_refused", LS("address", g->address),
		    LS("remedy", "gateway.auth none is for an address that only this host reaches: "
				 "listen on 127.0.0.1, or use token"));
		return -1;
	}
	if (none)
		log_warning("auth_none", LS("address", g->address),
		    LS("meaning",
			"everybody on this host who reaches the gateway acts as its user"));
	g->auth = xcalloc(1, sizeof(*g->auth));
	g->auth->none = none;
	g->auth->strangers = addresses_new();
	return 0;
}

void
auth_close(struct gateway *g)
{
	if (g->auth == NULL)
		return;
	sweep(g->auth, 0, true);
	addresses_free(g->auth->strangers);
	free(g->auth);
	g->auth = NULL;
}
