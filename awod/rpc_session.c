/* Methods of sessions: a link that logs a browser in once, and what it was exchanged for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "awod/credentials.h"
#include "awod/server_priv.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/ids.h"

#define ID_BYTES 8
#define SECRET_BYTES 32
#define TEXT_MAX (8 + 2 * ID_BYTES + 2 * SECRET_BYTES)
#define LOGINS_MAX 5 /* links of one user that nobody has used yet; a further one ends the oldest  \
		      */
#define SESSIONS_MAX 50 /* of one user, likewise */

/* "<prefix>_<id>_<secret>" and the hash that is stored of it. */
static void
make_secret(
    const char *prefix, char id[2 * ID_BYTES + 1], char text[TEXT_MAX], unsigned char hash[32])
{
	char secret[2 * SECRET_BYTES + 1];

	ids_hex(id, ID_BYTES);
	ids_hex(secret, SECRET_BYTES);
	snprintf(text, TEXT_MAX, "%s_%s_%s", prefix, id, secret);
	explicit_bzero(secret, sizeof(secret));
	token_hash(text, hash);
}

/* ---- session.create */

/* Where a browser on this host finds the gateway, when the configuration does not say. */
static char *
gateway_address(const struct config *conf)
{
	const char *listen = conf->gateway_listen, *colon = strrchr(listen, ':');
	int host = colon != NULL ? (int)(colon - listen) : (int)strlen(listen);
	CLEAN_BUF struct buf b = {0};

	if (conf->gateway_url != NULL)
		return xstrdup(conf->gateway_url);
	buf_adds(&b, "http://");
	/* all addresses of the host: this one is among them */
	if (host == 0 || strncmp(listen, "0.0.0.0:", 8) == 0 || strncmp(listen, "*:", 2) == 0)
		buf_adds(&b, "127.0.0.1");
	else if (strncmp(listen, "[::]:", 5) == 0)
		buf_adds(&b, "[::1]");
	else
		buf_add(&b, listen, (size_t)host);
	if (conf->gateway_port != 0)
		buf_printf(&b, ":%lld", (long long)conf->gateway_port);
	else if (colon != NULL)
		buf_adds(&b, colon);
	return buf_take(&b);
}

struct making {
	struct rpc_call *c;
	char text[TEXT_MAX];
	int64_t expires_at;
};

static void
made(void *arg, const struct awo_err *err, const struct store_commit *commit)
{
	struct making *m = arg;
	struct p_session_create_answer answer = {0};

	(void)commit;
	if (err != NULL && err->code != AWO_OK) {
		rpc_fail(m->c, err);
	} else {
		P_SETS(session_create_answer, &answer, login_token, m->text);
		P_SET(session_create_answer, &answer, expires_at, m->expires_at);
		answer.address = gateway_address(rpc_broker(m->c)->conf);
		P_MARK(session_create_answer, &answer, address);
		rpc_answer(m->c, &answer);
		explicit_bzero(answer.login_token, strlen(answer.login_token));
		P_FREE(session_create_answer, &answer);
	}
	explicit_bzero(m, sizeof(*m));
	free(m);
}

void
rpc_session_create(struct rpc_call *c, const struct p_session_create *request)
{
	struct broker *b = rpc_broker(c);
	const struct caller *who = rpc_caller(c);
	struct p_session k = {0};
	char id[2 * ID_BYTES + 1];
	unsigned char hash[32];
	struct awo_err err = {0};
	struct making *m;
	struct store_tx *tx;
	char *line;

	if (access_may_grant(who, &request->scopes, 0, &err) != 0) {
		rpc_fail(c, &err);
		return;
	}
	m = xcalloc(1, sizeof(*m));
	m->c = c;
	make_secret("awol", id, m->text, hash);
	P_SETS(session, &k, id, id);
	P_SETS(session, &k, user, who->user);
	P_SET(session, &k, uid, (int64_t)who->uid);
	P_SET(session, &k, created_at, clock_wall_us());
	P_SET(session, &k, expires_at, k.created_at + b->conf->gateway_login * 1000000);
	access_scopes(request->scopes.n > 0 ? p_scopes(&request->scopes)
		      : who->admin	    ? P_SCOPE_READ | P_SCOPE_WRITE | P_SCOPE_ADMIN
					    : P_SCOPE_READ | P_SCOPE_WRITE,
	    &k.scopes);
	P_MARK(session, &k, scopes);
	m->expires_at = k.expires_at;
	tx = store_tx(b->store);
	store_tx_session_put(tx, true, &k, hash, LOGINS_MAX);
	line = audit_event(tx, who, "session_created", json_pack("{s:s}", "session_id", id));
	P_FREE(session, &k);
	audit_commit(b, tx, line, made, m);
}

/* ---- session.open */

struct opening {
	struct rpc_call *c;
	struct p_session row;
	char text[TEXT_MAX];
};

static void
no_such_login(struct awo_err *err)
{
	(void)ERR(err, UNAUTHENTICATED, "login_token",
	    "this link has been used, has expired or was never made; awoctl ui prints another");
}

static void
opened(void *arg, const struct awo_err *err, const struct store_commit *commit)
{
	struct opening *o = arg;
	struct awo_err why = {0};

	(void)commit;
	if (err != NULL && err->code != AWO_OK) {
		/* somebody else was faster */
		if (err->code == AWO_NOT_FOUND)
			no_such_login(&why);
		else
			why = *err;
		rpc_fail(o->c, &why);
	} else {
		P_SETS(session, &o->row, session, o->text);
		rpc_answer(o->c, &o->row);
		explicit_bzero(o->row.session, strlen(o->row.session));
	}
	P_FREE(session, &o->row);
	explicit_bzero(o, sizeof(*o));
	free(o);
}

void
rpc_session_open(struct rpc_call *c, const struct p_session_open *request)
{
	struct broker *b = rpc_broker(c);
	struct p_session login;
	struct awo_err err = {0}, why = {0};
	unsigned char used[32], hash[32];
	char id[2 * ID_BYTES + 1];
	int64_t now = clock_wall_us();
	struct caller who;
	struct opening *o;
	struct store_tx *tx;
	char *line;

	token_hash(request->login_token, used);
	if (store_session_find(b->store, true, used, &login, &why) != 0) {
		if (why.code == AWO_NOT_FOUND)
			no_such_login(&err);
		else
			err = why;
		rpc_fail(c, &err);
		return;
	}
	if (login.expires_at <= now) {
		no_such_login(&err);
		P_FREE(session, &login);
		rpc_fail(c, &err);
		return;
	}
	o = xcalloc(1, sizeof(*o));
	o->c = c;
	make_secret("awos", id, o->text, hash);
	p_copy(&p_type_session, &o->row, &login);
	P_FREE(session, &login);
	access_user(b, (uid_t)o->row.uid, p_scopes(&o->row.scopes), &who);
	tx = store_tx(b->store);
	/* taken and opened in one: it cannot be done twice, by however many gateways */
	store_tx_session_take(tx, true, used);
	line = audit_event(tx, &who, "session_opened",
	    json_pack("{s:s, s:s}", "session_id", id, "login_id", o->row.id));
	P_SETS(session, &o->row, id, id);
	P_SET(session, &o->row, created_at, now);
	P_SET(session, &o->row, expires_at, now + b->conf->gateway_session * 1000000);
	store_tx_session_put(tx, false, &o->row, hash, SESSIONS_MAX);
	audit_commit(b, tx, line, opened, o);
}

/* ---- session.verify, session.end */

void
rpc_session_verify(struct rpc_call *c, const struct p_session_ref *request)
{
	struct awo_err err = {0};
	struct p_session k;

	if (access_session(rpc_broker(c), request->session, &k, &err) != 0) {
		rpc_fail(c, &err);
		return;
	}
	rpc_answer(c, &k);
	P_FREE(session, &k);
}

struct ending {
	struct rpc_call *c;
	char via[32];
};

static void
ended(void *arg, const struct awo_err *err, const struct store_commit *commit)
{
	struct p_deleted_answer answer = {0};
	struct ending *e = arg;

	(void)commit;
	/* logging out twice is no failure */
	if (err != NULL && err->code != AWO_OK && err->code != AWO_NOT_FOUND) {
		rpc_fail(e->c, err);
	} else {
		server_access_ended(rpc_broker(e->c)->server, e->via);
		P_SET(deleted_answer, &answer, deleted, true);
		rpc_answer(e->c, &answer);
	}
	free(e);
}

void
rpc_session_end(struct rpc_call *c, const struct p_session_ref *request)
{
	struct broker *b = rpc_broker(c);
	struct awo_err err = {0};
	unsigned char hash[32];
	struct p_session k;
	struct caller who;
	struct ending *e;
	struct store_tx *tx;
	char *line;

	if (access_session(b, request->session, &k, &err) != 0) {
		rpc_fail(c, &err);
		return;
	}
	token_hash(request->session, hash);
	access_user(b, (uid_t)k.uid, p_scopes(&k.scopes), &who);
	e = xcalloc(1, sizeof(*e));
	e->c = c;
	snprintf(e->via, sizeof(e->via), "session %.20s", k.id);
	tx = store_tx(b->store);
	store_tx_session_take(tx, false, hash);
	line = audit_event(tx, &who, "session_ended", json_pack("{s:s}", "session_id", k.id));
	P_FREE(session, &k);
	audit_commit(b, tx, line, ended, e);
}
