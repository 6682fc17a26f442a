/* For whom the gateway asks: what a token or session that was presented to it stands for. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "awod/credentials.h"
#include "awod/server_priv.h"
#include "common/clock.h"

#define USED_EVERY_US                                                                              \
	(60 * INT64_C(1000000)) /* last_used_at is not worth a commit for each request */

int
access_check_user(const struct broker *b, uid_t uid, const char *name, struct awo_err *err)
{
	if (b->opt->user_mode)
		return 0;
	return caller_stays(b->server->names, uid, name, b->opt->socket_path, err);
}

int
access_token(struct broker *b, const char *text, struct p_token *out, struct awo_err *err)
{
	int64_t now = clock_wall_us();
	unsigned char hash[32];
	struct awo_err why = {0};
	uint32_t uid;

	token_hash(text, hash);
	if (store_token_find(b->store, hash, &uid, out, &why) != 0) {
		if (why.code != AWO_NOT_FOUND) {
			*err = why;
			return -1;
		}
		return ERR(err, UNAUTHENTICATED, "token",
		    "the access token is not known; make one with awoctl token create");
	}
	if (P_HAS(token, out, expires_at) && out->expires_at <= now) {
		P_FREE(token, out);
		return ERR(err, UNAUTHENTICATED, "token",
		    "the access token has expired; make another with awoctl token create");
	}
	if (access_check_user(b, (uid_t)uid, out->owner, &why) != 0) {
		P_FREE(token, out);
		return ERR(err, UNAUTHENTICATED, "token", "the access token is of no use: %s", why.msg);
	}
	if (!P_HAS(token, out, last_used_at) || now - out->last_used_at > USED_EVERY_US) {
		struct store_tx *tx = store_tx(b->store);

		P_SET(token, out, last_used_at, now);
		/* not the whole row: it may be on its way out */
		store_tx_token_used(tx, hash, now);
		store_tx_commit(tx, NULL, NULL);
	}
	return 0;
}

int
access_session(struct broker *b, const char *text, struct p_session *out, struct awo_err *err)
{
	unsigned char hash[32];
	struct awo_err why = {0};

	token_hash(text, hash);
	if (store_session_find(b->store, false, hash, out, &why) != 0) {
		if (why.code != AWO_NOT_FOUND) {
			*err = why;
			return -1;
		}
		return ERR(err, UNAUTHENTICATED, "session",
		    "you are not logged in; awoctl ui prints a link that does it");
	}
	if (out->expires_at <= clock_wall_us()) {
		P_FREE(session, out);
		return ERR(err, UNAUTHENTICATED, "session",
		    "your session has expired; awoctl ui prints a link to log in again");
	}
	if (access_check_user(b, (uid_t)out->uid, out->user, &why) != 0) {
		P_FREE(session, out);
		return ERR(err, UNAUTHENTICATED, "session", "your session is over: %s", why.msg);
	}
	return 0;
}

void
access_user(struct broker *b, uid_t uid, unsigned scopes, struct caller *out)
{
	caller_become(
	    b->server->names, b->conf, b->opt->user_mode ? getuid() : (uid_t)-1, uid, scopes, out);
}

bool
access_holds(struct broker *b, const struct caller *c)
{
	struct awo_err err = {0};
	struct caller now;

	if (c->via[0] == '\0')
		return true;
	if (access_check_user(b, c->uid, c->user, &err) != 0)
		return false;
	access_user(b, c->uid, c->scopes, &now);
	return now.admin || !c->admin;
}

int
access_caller(struct broker *b, const char *auth, struct caller *out, struct awo_err *err)
{
	pid_t pid = out->pid;

	if (strncmp(auth, "awos_", 5) == 0) {
		struct p_session k;

		if (access_session(b, auth, &k, err) != 0)
			return -1;
		access_user(b, (uid_t)k.uid, p_scopes(&k.scopes), out);
		snprintf(out->via, sizeof(out->via), "session %.20s", k.id);
		out->until = k.expires_at;
		P_FREE(session, &k);
	} else {
		struct p_token t;

		if (access_token(b, auth, &t, err) != 0)
			return -1;
		access_user(b, (uid_t)t.uid, p_scopes(&t.scopes), out);
		snprintf(out->via, sizeof(out->via), "token %.20s", t.id);
		out->until = P_HAS(token, &t, expires_at) ? t.expires_at : 0;
		P_FREE(token, &t);
	}
	out->pid = pid;
	return 0;
}

void
access_scopes(unsigned scopes, struct p_strv *out)
{
	if ((scopes & P_SCOPE_READ) != 0)
		p_strv_add(out, "read");
	if ((scopes & P_SCOPE_WRITE) != 0)
		p_strv_add(out, "write");
	if ((scopes & P_SCOPE_ADMIN) != 0)
		p_strv_add(out, "admin");
}

int
access_may_grant(
    const struct caller *c, const struct p_strv *scopes, int64_t until, struct awo_err *err)
{
	for (size_t i = 0; i < scopes->n; i++) {
		const char *s = scopes->v[i];

		if (strcmp(s, "read") != 0 && strcmp(s, "write") != 0 && strcmp(s, "admin") != 0)
			return ERR(err, INVALID_ARGUMENT, "scopes",
			    "%s is no scope; there are read, write and admin", s);
		if (strcmp(s, "admin") == 0 && !c->admin)
			return ERR(err, PERMISSION_DENIED, "scopes",
			    "only administrators give the scope admin away");
	}
	/* what was given may not give more, nor for longer */
	if ((p_scopes(scopes) & ~c->scopes) != 0)
		return ERR(err, PERMISSION_DENIED, "scopes",
		    "a token or session cannot give away what it may not do itself");
	if (c->until != 0 && strncmp(c->via, "token ", 6) == 0 && (until == 0 || until > c->until))
		return ERR(err, PERMISSION_DENIED, "expires_seconds",
		    "a token that ends cannot make one that lasts longer than itself");
	return 0;
}
