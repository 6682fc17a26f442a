/* Methods of credentials and access tokens: what is stored never comes out again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "awod/credentials.h"
#include "awod/server_priv.h"
#include "common/clean.h"
#include "common/clock.h"
#include "common/ids.h"

#define SHARED_OWNER "*"
#define SHARED_UID                                                                                 \
	((uint32_t)-1) /* shared ones belong to no administrator, so that each can replace and     \
			  remove them */
#define ID_BYTES 8
#define SECRET_BYTES 32
#define TOKENS_MAX 1000 /* of one user */
#define WEBHOOK_SECRET_MIN 16

static void
answer_deleted(struct rpc_call *c)
{
	struct p_deleted_answer answer = {0};

	P_SET(deleted_answer, &answer, deleted, true);
	rpc_answer(c, &answer);
}

/* ---- what may be stored */

static bool
is_name(const char *s)
{
	return strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
	       strlen(s);
}

static bool
is_variable(const char *s)
{
	static const char letters[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";

	return strspn(s, letters) == strlen(s) && (s[0] < '0' || s[0] > '9');
}

/* host or host:port, in lower case */
static int
check_host(const char *host, char out[256], struct awo_err *err)
{
	size_t n = strlen(host), i;

	for (i = 0; i < n; i++)
		out[i] = host[i] >= 'A' && host[i] <= 'Z' ? (char)(host[i] - 'A' + 'a') : host[i];
	out[n] = '\0';
	if (strspn(out, "abcdefghijklmnopqrstuvwxyz0123456789.-_:[]") != n || out[0] == '-' ||
	    out[0] == ':' || strstr(out, "//") != NULL)
		return ERR(err, INVALID_ARGUMENT, "host",
		    "must be a host, or host:port, as in the URL of a repository");
	return 0;
}

/* The first bytes that base64 text stands for. Returns how many. */
static size_t
base64_head(const char *text, unsigned char *out, size_t size)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned acc = 0, bits = 0;
	size_t n = 0;

	for (; *text != '\0' && n < size; text++) {
		const char *d = strchr(digits, *text);

		if (*text == '\n' || *text == '\r')
			continue;
		if (d == NULL)
			break;
		acc = (acc << 6 | (unsigned)(d - digits)) & 0xffffff;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			out[n++] = (unsigned char)(acc >> bits);
		}
	}
	return n;
}

/* The next length-prefixed string of an OpenSSH key; NULL when it is not there. */
static const unsigned char *
key_string(const unsigned char **p, const unsigned char *end, size_t *len)
{
	const unsigned char *s;

	if (end - *p < 4)
		return NULL;
	*len = (size_t)(*p)[0] << 24 | (size_t)(*p)[1] << 16 | (size_t)(*p)[2] << 8 | (*p)[3];
	s = *p + 4;
	if (*len > (size_t)(end - s))
		return NULL;
	*p = s + *len;
	return s;
}

static bool
is_text(const unsigned char *s, size_t len, const char *want)
{
	return s != NULL && len == strlen(want) && memcmp(s, want, len) == 0;
}

/* openssh-key-v1: cipher, kdf, kdf options, count, then the public key, which begins with its type.
 */
static int
check_openssh_key(const char *body, struct awo_err *err)
{
	unsigned char head[256];
	size_t n = base64_head(body, head, sizeof(head)), len = 0;
	const unsigned char *p = head + 15, *end = head + n, *s;

	if (n < 16 || memcmp(head, "openssh-key-v1", 15) != 0)
		return ERR(err, INVALID_ARGUMENT, "value", "is no OpenSSH private key");
	s = key_string(&p, end, &len);
	if (!is_text(s, len, "none"))
		return ERR(err, INVALID_ARGUMENT, "value",
		    "the key has a passphrase, which nobody could type: make one without, "
		    "ssh-keygen -t ed25519 -N ''");
	(void)key_string(&p, end, &len);
	(void)key_string(&p, end, &len);
	p += 4;
	/* the public key is a string that begins with a string */
	if (end - p < 8)
		return ERR(err, INVALID_ARGUMENT, "value", "is no complete OpenSSH private key");
	p += 4;
	s = key_string(&p, end, &len);
	if (is_text(s, len, "ssh-rsa"))
		return ERR(err, INVALID_ARGUMENT, "value",
		    "RSA keys cannot be used (they would sign with SHA-1, which servers refuse): "
		    "use ed25519 or ecdsa");
	if (!is_text(s, len, "ssh-ed25519") &&
	    (s == NULL || len < 11 || memcmp(s, "ecdsa-sha2-", 11) != 0))
		return ERR(
		    err, INVALID_ARGUMENT, "value", "the key must be of type ed25519 or ecdsa");
	return 0;
}

static int
check_ssh_key(const char *value, struct awo_err *err)
{
	static const char openssh[] = "-----BEGIN OPENSSH PRIVATE KEY-----\n",
			  ec[] = "-----BEGIN EC PRIVATE KEY-----\n";

	if (strncmp(value, openssh, sizeof(openssh) - 1) == 0)
		return check_openssh_key(value + sizeof(openssh) - 1, err);
	if (strncmp(value, ec, sizeof(ec) - 1) == 0) {
		if (strstr(value, "ENCRYPTED") != NULL)
			return ERR(err, INVALID_ARGUMENT, "value",
			    "the key has a passphrase, which nobody could type: store one without");
		return 0;
	}
	if (strstr(value, "RSA PRIVATE KEY") != NULL)
		return ERR(err, INVALID_ARGUMENT, "value",
		    "RSA keys cannot be used (they would sign with SHA-1, which servers refuse): "
		    "use ed25519 or ecdsa");
	return ERR(err, INVALID_ARGUMENT, "value",
	    "must be a private key as ssh-keygen writes it, from its BEGIN line to its END line");
}

/* One word that can stand in a header or a line. */
static bool
is_word(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < 0x21 || (unsigned char)*s > 0x7e)
			return false;
	return true;
}

static int
check_value(const struct p_credential_set *q, struct awo_err *err)
{
	switch (q->kind) {
	case credential_kind_github_token:
		if (!is_word(q->value))
			return ERR(err, INVALID_ARGUMENT, "value",
			    "a token has no spaces, line ends or letters beyond ASCII");
		return 0;
	case credential_kind_git_password:
		if (strchr(q->value, ':') == NULL || q->value[0] == ':')
			return ERR(err, INVALID_ARGUMENT, "value", "must be user:password");
		if (strpbrk(q->value, "\r\n") != NULL)
			return ERR(err, INVALID_ARGUMENT, "value", "may not have line ends in it");
		return 0;
	case credential_kind_ssh_key:
		return check_ssh_key(q->value, err);
	case credential_kind_agent_key:
		if (!is_variable(q->name))
			return ERR(err, INVALID_ARGUMENT, "name",
			    "must be the name of an environment variable, like ANTHROPIC_API_KEY");
		return 0;
	case credential_kind_webhook_secret:
		if (!is_word(q->value) || strlen(q->value) < WEBHOOK_SECRET_MIN)
			return ERR(err, INVALID_ARGUMENT, "value",
			    "must be at least %d ASCII characters without spaces, such as openssl rand -hex 32 prints",
			    WEBHOOK_SECRET_MIN);
		return 0;
	case credential_kind_none:
		break;
	}
	return ERR(err, INVALID_ARGUMENT, "kind", "is missing");
}

static int
check_set(
    const struct rpc_call *c, const struct p_credential_set *q, char host[256], struct awo_err *err)
{
	const struct config *conf = rpc_broker(c)->conf;

	host[0] = '\0';
	if (!is_name(q->name))
		return ERR(
		    err, INVALID_ARGUMENT, "name", "may have letters, digits and . _ - only");
	if (q->shared && !rpc_caller(c)->admin)
		return ERR(err, PERMISSION_DENIED, "shared",
		    "only administrators share credentials with all users");
	if (check_value(q, err) != 0)
		return -1;
	if (q->kind == credential_kind_agent_key) {
		if (q->host != NULL)
			return ERR(err, INVALID_ARGUMENT, "host", "an agent_key is for no host");
		return 0;
	}
	if (q->host == NULL && q->kind != credential_kind_github_token && q->kind != credential_kind_webhook_secret)
		return ERR(
		    err, INVALID_ARGUMENT, "host", "is missing: name the host that it is for");
	return check_host(q->host != NULL ? q->host : conf->github_host, host, err);
}

/* ---- credential.set */

struct storing {
	struct rpc_call *c;
	struct p_credential row;
};

static void
stored(void *arg, const struct awo_err *err, const struct store_commit *commit)
{
	struct storing *s = arg;

	(void)commit;
	if (err != NULL && err->code != AWO_OK)
		rpc_fail(s->c, err);
	else
		rpc_answer(s->c, &s->row);
	P_FREE(credential, &s->row);
	free(s);
}

static bool
is_shared(const struct p_credential *k)
{
	return strcmp(k->owner, SHARED_OWNER) == 0;
}

/* The caller's own, or a shared, credential of a name, as it is stored now. */
static bool
find_stored(const struct rpc_call *c, const char *name, bool shared, struct p_credential *out)
{
	struct p_credential_list_answer all = {0};
	struct awo_err err = {0};
	bool found = false;

	if (store_credential_list(rpc_broker(c)->store, (uint32_t)rpc_caller(c)->uid, &all, &err) !=
	    0)
		return false;
	for (size_t i = 0; i < all.credentials.n && !found; i++) {
		const struct p_credential *k = &all.credentials.v[i];

		if (strcmp(k->name, name) != 0 || is_shared(k) != shared)
			continue;
		p_copy(&p_type_credential, out, k);
		found = true;
	}
	P_FREE(credential_list_answer, &all);
	return found;
}

/* Own before shared, as when it is used. */
static bool
find_any(const struct rpc_call *c, const char *name, struct p_credential *out)
{
	return find_stored(c, name, false, out) || find_stored(c, name, true, out);
}

void
rpc_credential_set(struct rpc_call *c, const struct p_credential_set *request)
{
	struct broker *b = rpc_broker(c);
	const struct caller *who = rpc_caller(c);
	const char *owner = request->shared ? SHARED_OWNER : who->user;
	CLEAN_FREE char *context = xasprintf("%s:%s", owner, request->name);
	CLEAN_FREE void *sealed = NULL;
	struct p_credential old;
	struct awo_err err = {0};
	struct storing *s;
	struct store_tx *tx;
	char host[256], masked[16];
	size_t len = 0;
	char *line;

	if (check_set(c, request, host, &err) != 0) {
		rpc_fail(c, &err);
		return;
	}
	sealed = keyring_seal(b->keys, context, request->value, &len);
	if (sealed == NULL) {
		(void)ERR(&err, INTERNAL, "", "the credential could not be encrypted");
		rpc_fail(c, &err);
		return;
	}
	secret_mask(request->value, masked);
	s = xcalloc(1, sizeof(*s));
	s->c = c;
	P_SETS(credential, &s->row, name, request->name);
	P_SET(credential, &s->row, kind, request->kind);
	P_SETS(credential, &s->row, host, host[0] != '\0' ? host : NULL);
	P_SETS(credential, &s->row, masked, masked);
	P_SETS(credential, &s->row, owner, owner);
	P_SET(credential, &s->row, updated_at, clock_wall_us());
	P_SET(credential, &s->row, created_at, s->row.updated_at);
	if (find_stored(c, request->name, request->shared, &old)) {
		P_SET(credential, &s->row, created_at, old.created_at);
		P_FREE(credential, &old);
	}
	tx = store_tx(b->store);
	store_tx_credential_put(tx, request->shared ? SHARED_UID : (uint32_t)who->uid,
	    request->shared, &s->row, sealed, len);
	line = audit_event(tx, who, "credential_stored",
	    json_pack("{s:s, s:s, s:s?, s:b}", "name", request->name, "kind",
		P_ENUM_NAME(credential_kind, request->kind), "host", s->row.host, "shared",
		request->shared));
	audit_commit(b, tx, line, stored, s);
}

void
rpc_credential_list(struct rpc_call *c, const struct p_empty *request)
{
	struct p_credential_list_answer answer = {0};
	struct awo_err err = {0};

	(void)request;
	if (store_credential_list(
		rpc_broker(c)->store, (uint32_t)rpc_caller(c)->uid, &answer, &err) != 0) {
		rpc_fail(c, &err);
		return;
	}
	P_MARK(credential_list_answer, &answer, credentials);
	rpc_answer(c, &answer);
	P_FREE(credential_list_answer, &answer);
}

static void
deleted(void *arg, const struct awo_err *err, const struct store_commit *commit)
{
	(void)commit;
	if (err != NULL && err->code != AWO_OK)
		rpc_fail(arg, err);
	else
		answer_deleted(arg);
}

static int
no_such_credential(const char *name, struct awo_err *err)
{
	return ERR(
	    err, NOT_FOUND, "name", "you have no credential %s; credential.list shows them", name);
}

void
rpc_credential_delete(struct rpc_call *c, const struct p_credential_ref *request)
{
	struct broker *b = rpc_broker(c);
	struct p_credential old;
	struct awo_err err = {0};
	struct store_tx *tx;
	char *line;

	if (!find_any(c, request->name, &old)) {
		(void)no_such_credential(request->name, &err);
		rpc_fail(c, &err);
		return;
	}
	if (is_shared(&old) && !rpc_caller(c)->admin) {
		(void)ERR(&err, PERMISSION_DENIED, "name",
		    "%s is shared by an administrator, who alone can remove it", request->name);
		P_FREE(credential, &old);
		rpc_fail(c, &err);
		return;
	}
	tx = store_tx(b->store);
	store_tx_credential_delete(
	    tx, is_shared(&old) ? SHARED_UID : (uint32_t)rpc_caller(c)->uid, request->name);
	line = audit_event(tx, rpc_caller(c), "credential_deleted",
	    json_pack("{s:s, s:s, s:s?}", "name", old.name, "kind",
		P_ENUM_NAME(credential_kind, old.kind), "host", old.host));
	P_FREE(credential, &old);
	audit_commit(b, tx, line, deleted, c);
}

/* ---- credential.test */

static void
answer_test(struct rpc_call *c, bool success, const char *message)
{
	struct p_test_answer answer = {0};

	P_SET(test_answer, &answer, success, success);
	P_SETS(test_answer, &answer, message, message);
	rpc_answer(c, &answer);
	P_FREE(test_answer, &answer);
}

void
rpc_credential_test(struct rpc_call *c, const struct p_credential_ref *request)
{
	struct broker *b = rpc_broker(c);
	CLEAN_FREE char *context = NULL;
	CLEAN_FREE void *sealed = NULL;
	struct p_credential k, listed;
	struct awo_err err = {0};
	char message[1024];
	size_t len = 0;
	char *secret;

	if (!find_any(c, request->name, &listed)) {
		(void)no_such_credential(request->name, &err);
		rpc_fail(c, &err);
		return;
	}
	if (store_credential_get(b->store, (uint32_t)rpc_caller(c)->uid, request->name, listed.kind,
		NULL, &k, &sealed, &len, &err) != 0) {
		P_FREE(credential, &listed);
		rpc_fail(c, &err);
		return;
	}
	P_FREE(credential, &listed);
	context = xasprintf("%s:%s", k.owner, k.name);
	secret = keyring_open_sealed(b->keys, context, sealed, len, &err);
	if (secret == NULL) {
		snprintf(message, sizeof(message), "it cannot be decrypted (%s): store it again",
		    err.msg);
		answer_test(c, false, message);
	} else if (k.kind == credential_kind_github_token && k.host != NULL &&
		   strcmp(k.host, b->conf->github_host) == 0) {
		test_github_token(c, secret);
	} else {
		if (k.kind == credential_kind_agent_key)
			snprintf(message, sizeof(message),
			    "it can be decrypted; agents whose keys name %s will get it", k.name);
		else if (k.kind == credential_kind_webhook_secret)
			snprintf(message, sizeof(message),
			    "it can be decrypted; whether %s signs with it shows its list of the webhook's deliveries",
			    k.host != NULL ? k.host : "its host");
		else
			snprintf(message, sizeof(message),
			    "it can be decrypted; whether %s accepts it shows awoctl repo verify "
			    "with a repository there",
			    k.host != NULL ? k.host : "its host");
		answer_test(c, true, message);
	}
	secret_free(secret);
	P_FREE(credential, &k);
}

/* ---- tokens */

struct issuing {
	struct rpc_call *c;
	struct p_token row;
	char text[8 + 2 * ID_BYTES + 2 * SECRET_BYTES];
};

static void
issued(void *arg, const struct awo_err *err, const struct store_commit *commit)
{
	struct issuing *t = arg;

	(void)commit;
	if (err != NULL && err->code != AWO_OK) {
		rpc_fail(t->c, err);
	} else {
		P_SETS(token, &t->row, token, t->text);
		rpc_answer(t->c, &t->row);
		explicit_bzero(t->row.token, strlen(t->row.token));
	}
	P_FREE(token, &t->row);
	explicit_bzero(t, sizeof(*t));
	free(t);
}

/* An endless number of them would be one user's way to fill the database. */
static int
check_room(const struct rpc_call *c, struct awo_err *err)
{
	struct p_token_list_answer all = {0};
	size_t n;

	if (store_token_list(rpc_broker(c)->store, (uint32_t)rpc_caller(c)->uid, false, &all, err) != 0)
		return -1;
	n = all.tokens.n;
	P_FREE(token_list_answer, &all);
	if (n >= TOKENS_MAX)
		return ERR(err, RESOURCE_EXHAUSTED, "",
		    "you have %zu access tokens, which is the limit; end some with awoctl token rm", n);
	return 0;
}

void
rpc_token_create(struct rpc_call *c, const struct p_token_create *request)
{
	char *names[] = {(char[]){"read"}, (char[]){"write"}};
	const struct p_strv usual = {.v = names, .n = 2};
	int64_t now = clock_wall_us(), until = 0;
	struct broker *b = rpc_broker(c);
	const struct caller *who = rpc_caller(c);
	char id[2 * ID_BYTES + 1], secret[2 * SECRET_BYTES + 1];
	unsigned char hash[32];
	struct awo_err err = {0};
	struct store_tx *tx;
	struct issuing *t;
	char *line;

	if (P_HAS(token_create, request, expires_seconds))
		until = now + request->expires_seconds * 1000000;
	if (check_room(c, &err) != 0 ||
	    access_may_grant(who, request->scopes.n > 0 ? &request->scopes : &usual, until, &err) != 0) {
		rpc_fail(c, &err);
		return;
	}
	t = xcalloc(1, sizeof(*t));
	t->c = c;
	ids_hex(id, ID_BYTES);
	ids_hex(secret, SECRET_BYTES);
	snprintf(t->text, sizeof(t->text), "awo_%s_%s", id, secret);
	explicit_bzero(secret, sizeof(secret));
	token_hash(t->text, hash);
	P_SETS(token, &t->row, id, id);
	P_SETS(token, &t->row, name, request->name);
	P_SETS(token, &t->row, owner, who->user);
	P_SET(token, &t->row, created_at, now);
	if (until != 0)
		P_SET(token, &t->row, expires_at, until);
	for (size_t i = 0; i < request->scopes.n; i++)
		if (!p_strv_has(&t->row.scopes, request->scopes.v[i]))
			p_strv_add(&t->row.scopes, request->scopes.v[i]);
	for (size_t i = 0; i < usual.n && request->scopes.n == 0; i++)
		p_strv_add(&t->row.scopes, usual.v[i]);
	P_MARK(token, &t->row, scopes);
	tx = store_tx(b->store);
	store_tx_token_put(tx, (uint32_t)who->uid, &t->row, hash);
	line = audit_event(tx, who, "token_created",
	    json_pack("{s:s, s:s}", "token_id", id, "name", request->name));
	audit_commit(b, tx, line, issued, t);
}

void
rpc_token_list(struct rpc_call *c, const struct p_empty *request)
{
	struct p_token_list_answer answer = {0};
	struct awo_err err = {0};

	(void)request;
	if (store_token_list(rpc_broker(c)->store, (uint32_t)rpc_caller(c)->uid,
		rpc_caller(c)->admin, &answer, &err) != 0) {
		rpc_fail(c, &err);
		return;
	}
	P_MARK(token_list_answer, &answer, tokens);
	rpc_answer(c, &answer);
	P_FREE(token_list_answer, &answer);
}

struct revoking {
	struct rpc_call *c;
	char via[32];
};

static void
revoked(void *arg, const struct awo_err *err, const struct store_commit *commit)
{
	struct revoking *r = arg;

	if (err == NULL || err->code == AWO_OK)
		server_access_ended(rpc_broker(r->c)->server, r->via);
	deleted(r->c, err, commit);
	free(r);
}

void
rpc_token_revoke(struct rpc_call *c, const struct p_token_ref *request)
{
	struct revoking *r;
	struct broker *b = rpc_broker(c);
	const struct caller *who = rpc_caller(c);
	struct p_token_list_answer all = {0};
	struct awo_err err = {0};
	struct store_tx *tx;
	bool found = false;
	char *line;

	if (store_token_list(b->store, (uint32_t)who->uid, who->admin, &all, &err) != 0) {
		rpc_fail(c, &err);
		return;
	}
	for (size_t i = 0; i < all.tokens.n; i++)
		found = found || strcmp(all.tokens.v[i].id, request->id) == 0;
	P_FREE(token_list_answer, &all);
	if (!found) {
		(void)ERR(&err, NOT_FOUND, "id",
		    "you have no access token %s; token.list shows them", request->id);
		rpc_fail(c, &err);
		return;
	}
	r = xcalloc(1, sizeof(*r));
	r->c = c;
	snprintf(r->via, sizeof(r->via), "token %.24s", request->id);
	tx = store_tx(b->store);
	store_tx_token_delete(tx, (uint32_t)who->uid, who->admin, request->id);
	line = audit_event(tx, who, "token_revoked", json_pack("{s:s}", "token_id", request->id));
	audit_commit(b, tx, line, revoked, r);
}

void
rpc_token_verify(struct rpc_call *c, const struct p_token_verify *request)
{
	struct awo_err err = {0};
	struct p_token t;

	if (access_token(rpc_broker(c), request->token, &t, &err) != 0) {
		rpc_fail(c, &err);
		return;
	}
	rpc_answer(c, &t);
	P_FREE(token, &t);
}
