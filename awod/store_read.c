/* Reads: at once, in the loop, from its own connection. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "awod/store_priv.h"
#include "common/buf.h"
#include "common/clean.h"

static int
read_failed(struct store *s, int rc, struct awo_err *err)
{
	if (sqlite_is_broken(rc))
		atomic_store(&s->broken, true);
	return sqlite_error(s->reader.db, rc, "cannot read the database", err);
}

/* Begins a read; NULL with *err set (and no turn held). End it with read_end(). */
static sqlite3_stmt *
read_begin(struct store *s, enum st_id id, struct awo_err *err)
{
	sqlite3_stmt *st;

	lock_turn(s);
	st = st_get(&s->reader, id, err);
	if (!st)
		unlock_turn(s);
	return st;
}

static void
read_end(struct store *s, enum st_id id, sqlite3_stmt *st)
{
	st_put(&s->reader, id, st);
	unlock_turn(s);
}

int
store_order_get(struct store *s, const char *id, struct order_row *out, struct awo_err *err)
{
	sqlite3_stmt *st = read_begin(s, ST_ORDER_GET, err);
	int rc;

	if (!st)
		return -1;
	bind_text(st, 1, id);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		read_order(st, out);
	read_end(s, ST_ORDER_GET, st);
	if (rc == SQLITE_ROW)
		return 0;
	return rc == SQLITE_DONE ? no_order(id, err) : read_failed(s, rc, err);
}

int
store_order_find(
    struct store *s, const char *prefix, uint32_t uid, bool any, char id[12], struct awo_err *err)
{
	/* a short prefix of everybody's ids would walk over many that are not the caller's: then by
	 * owner */
	enum st_id which = any ? ST_FIND_ANY : strlen(prefix) < 6 ? ST_FIND_OWN_SHORT : ST_FIND_OWN;
	char *end CLEAN_FREE = NULL;
	sqlite3_stmt *st;
	int rc, n = 0;

	if (!*prefix)
		return ERR(err, INVALID_ARGUMENT, "agent_work_order_id", "an order's id is needed");
	if (strlen(prefix) > ID_ORDER_LEN)
		return no_order(prefix, err);
	end = xasprintf("%s~", prefix); /* above every character of an id */
	if (!(st = read_begin(s, which, err)))
		return -1;
	bind_text(st, 1, prefix);
	bind_text(st, 2, end);
	if (!any)
		sqlite3_bind_int64(st, 3, uid);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		const char *found = (const char *)sqlite3_column_text(st, 0);

		if (n++ == 0 && found && strlen(found) <= ID_ORDER_LEN)
			memcpy(id, found, strlen(found) + 1);
	}
	read_end(s, which, st);
	if (rc != SQLITE_DONE)
		return read_failed(s, rc, err);
	if (n == 0)
		return no_order(prefix, err);
	if (n > 1)
		return ERR(err, INVALID_ARGUMENT, "agent_work_order_id",
		    "several orders begin with %s; give more of the id", prefix);
	return 0;
}

int
store_order_by_key(
    struct store *s, uint32_t uid, const char *idempotency_key, char id[12], struct awo_err *err)
{
	sqlite3_stmt *st = read_begin(s, ST_BY_KEY, err);
	int rc;

	if (!st)
		return -1;
	sqlite3_bind_int64(st, 1, uid);
	bind_text(st, 2, idempotency_key);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		snprintf(id, ID_ORDER_LEN + 1, "%s", (const char *)sqlite3_column_text(st, 0));
	read_end(s, ST_BY_KEY, st);
	if (rc == SQLITE_ROW)
		return 0;
	return rc == SQLITE_DONE
		   ? ERR(err, NOT_FOUND, "idempotency_key", "there is no order with this key")
		   : read_failed(s, rc, err);
}

typedef int row_cb(void *arg, struct order_row *r);

/* Hands each row over and ends the read. What the callback returned last, or -1. */
static int
each_order(
    struct store *s, enum st_id id, sqlite3_stmt *st, row_cb *row, void *arg, struct awo_err *err)
{
	int rc, stop = 0;

	while (stop == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct order_row r;

		read_order(st, &r);
		stop = row(arg, &r);
		order_row_free(&r);
	}
	read_end(s, id, st);
	if (stop != 0)
		return stop;
	return rc == SQLITE_DONE ? 0 : read_failed(s, rc, err);
}

int
store_order_scan(struct store *s, unsigned states, row_cb *row, void *arg, struct awo_err *err)
{
	sqlite3_stmt *st[NSTATES] = {NULL};
	int rc[NSTATES] = {0};
	struct buf sql CLEAN_BUF = {0};
	int result = 0;

	/* an index gives the orders of one state by age; several states are merged */
	st_text(ST_SCAN, &sql);
	lock_turn(s);
	for (int i = 1; i < NSTATES && result == 0; i++) {
		if (!(states & (1U << i)))
			continue;
		rc[i] = sqlite3_prepare_v2(s->reader.db, sql.p, (int)sql.len + 1, &st[i], NULL);
		if (rc[i] == SQLITE_OK) {
			bind_text(st[i], 1, P_ENUM_NAME(order_status, i));
			rc[i] = sqlite3_step(st[i]);
		}
		if (rc[i] != SQLITE_ROW && rc[i] != SQLITE_DONE)
			result = read_failed(s, rc[i], err);
	}
	while (result == 0) {
		const int rowid = (int)sql_count_fields(&p_type_order, SKIP_ORDER);
		struct order_row r;
		int best = 0;

		for (int i = 1; i < NSTATES; i++)
			if (rc[i] == SQLITE_ROW &&
			    (best == 0 || sqlite3_column_int64(st[i], rowid) <
					      sqlite3_column_int64(st[best], rowid)))
				best = i;
		if (best == 0)
			break;
		read_order(st[best], &r);
		result = row(arg, &r);
		order_row_free(&r);
		rc[best] = sqlite3_step(st[best]);
		if (result == 0 && rc[best] != SQLITE_ROW && rc[best] != SQLITE_DONE)
			result = read_failed(s, rc[best], err);
	}
	for (int i = 1; i < NSTATES; i++)
		sqlite3_finalize(st[i]);
	unlock_turn(s);
	return result;
}

int
store_terminal_before(
    struct store *s, int64_t before_us, row_cb *row, void *arg, struct awo_err *err)
{
	sqlite3_stmt *st = read_begin(s, ST_TERMINAL, err);

	if (!st)
		return -1;
	sqlite3_bind_int64(st, 1, before_us);
	return each_order(s, ST_TERMINAL, st, row, arg, err);
}

int
store_prompted(struct store *s, row_cb *row, void *arg, struct awo_err *err)
{
	sqlite3_stmt *st = read_begin(s, ST_PROMPTED, err);

	return st ? each_order(s, ST_PROMPTED, st, row, arg, err) : -1;
}

/* Takes all rows into a list of an answer, which is empty still, and ends the read. On failure nothing is left to free. */
static int
read_list(struct store *s, enum st_id id, sqlite3_stmt *st, const struct p_type *type, void *out, unsigned field,
    uint64_t skip, struct awo_err *err)
{
	const struct p_field *f = &type->fields[field];
	struct p_any_list list = {0};
	int rc;

	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		int col = 0;

		list.v = xrealloc(list.v, list.n + 1, f->type->size);
		read_fields(st, &col, f->type, list.v + list.n++ * f->type->size, skip);
	}
	read_end(s, id, st);
	memcpy((char *)out + f->offset, &list, sizeof(list));
	*(uint64_t *)out |= UINT64_C(1) << field;
	if (rc == SQLITE_DONE)
		return 0;
	p_free(type, out);
	return read_failed(s, rc, err);
}
#define READ_LIST(s, id, st, t, out, f, skip, err) read_list(s, id, st, &p_type_##t, out, p_##t##_f_##f, skip, err)

int
store_steps(struct store *s, const char *id, struct p_step_list_answer *out, struct awo_err *err)
{
	sqlite3_stmt *st;
	int64_t rowid;

	memset(out, 0, sizeof(*out));
	lock_turn(s);
	rowid = need_rowid(&s->reader, NULL, id, err);
	unlock_turn(s);
	if (rowid < 0 || !(st = read_begin(s, ST_STEPS, err)))
		return -1;
	sqlite3_bind_int64(st, 1, rowid);
	if (READ_LIST(s, ST_STEPS, st, step_list_answer, out, steps, SKIP_NONE, err) < 0)
		return -1;
	P_SETS(step_list_answer, out, agent_work_order_id, id);
	return 0;
}

int
store_prompts(
    struct store *s, const char *id, struct store_prompt **out, size_t *n, struct awo_err *err)
{
	sqlite3_stmt *st;
	int64_t rowid;
	int rc;

	*out = NULL;
	*n = 0;
	lock_turn(s);
	rowid = need_rowid(&s->reader, NULL, id, err);
	unlock_turn(s);
	if (rowid < 0 || !(st = read_begin(s, ST_PROMPTS, err)))
		return -1;
	sqlite3_bind_int64(st, 1, rowid);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		*out = xrealloc(*out, *n + 1, sizeof(**out));
		(*out)[*n].id = sqlite3_column_int64(st, 0);
		(*out)[(*n)++].text = column_dup(st, 1);
	}
	read_end(s, ST_PROMPTS, st);
	if (rc == SQLITE_DONE)
		return 0;
	while (*n > 0)
		free((*out)[--*n].text);
	free(*out);
	*out = NULL;
	return read_failed(s, rc, err);
}

int
store_last_event(struct store *s, int64_t *id, struct awo_err *err)
{
	sqlite3_stmt *st = read_begin(s, ST_EVENTS_LAST, err);
	int rc;

	if (!st)
		return -1;
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*id = sqlite3_column_int64(st, 0);
	read_end(s, ST_EVENTS_LAST, st);
	return rc == SQLITE_ROW ? 0 : read_failed(s, rc, err);
}

int
store_events(struct store *s, int64_t after_id, const char *order_id, int limit,
    int (*row)(void *arg, int64_t id, const char *order_id, const char *line), void *arg,
    struct awo_err *err)
{
	enum st_id which = order_id ? ST_EVENTS_ORDER : ST_EVENTS;
	int64_t rowid = 0;
	sqlite3_stmt *st;
	int rc, stop = 0;

	if (order_id) {
		lock_turn(s);
		rowid = need_rowid(&s->reader, NULL, order_id, err);
		unlock_turn(s);
		if (rowid < 0)
			return -1;
	}
	if (!(st = read_begin(s, which, err)))
		return -1;
	sqlite3_bind_int64(st, 1, after_id);
	sqlite3_bind_int(st, 2, limit > 0 ? limit : -1);
	if (order_id)
		sqlite3_bind_int64(st, 3, rowid);
	while (stop == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		const char *id = (const char *)sqlite3_column_text(st, 1);

		stop = row(arg, sqlite3_column_int64(st, 0), id ? id : "",
		    (const char *)sqlite3_column_text(st, 2));
	}
	read_end(s, which, st);
	return stop != 0 || rc == SQLITE_DONE ? 0 : read_failed(s, rc, err);
}

int
store_repository_get(struct store *s, uint32_t uid, const char *id_or_url, struct p_repository *out,
    struct awo_err *err)
{
	sqlite3_stmt *st = read_begin(s, ST_REPOSITORY_GET, err);
	int rc, col = 0;

	if (!st)
		return -1;
	sqlite3_bind_int64(st, 1, uid);
	bind_text(st, 2, id_or_url);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		read_fields(st, &col, &p_type_repository, out, SKIP_NONE);
	read_end(s, ST_REPOSITORY_GET, st);
	if (rc == SQLITE_ROW)
		return 0;
	return rc == SQLITE_DONE ? ERR(err, NOT_FOUND, "id",
				       "there is no registered repository %.256s", id_or_url)
				 : read_failed(s, rc, err);
}

int
store_repository_list(
    struct store *s, uint32_t uid, struct p_repository_list_answer *out, struct awo_err *err)
{
	sqlite3_stmt *st = read_begin(s, ST_REPOSITORY_LIST, err);

	memset(out, 0, sizeof(*out));
	if (!st)
		return -1;
	sqlite3_bind_int64(st, 1, uid);
	if (READ_LIST(s, ST_REPOSITORY_LIST, st, repository_list_answer, out, repositories, SKIP_NONE, err) < 0)
		return -1;
	P_SET(repository_list_answer, out, total_count, (int64_t)out->repositories.n);
	return 0;
}

json_t *
store_settings(struct store *s, struct awo_err *err)
{
	sqlite3_stmt *st = read_begin(s, ST_SETTINGS, err);
	json_t *all = json_object();
	int rc;

	if (!st) {
		json_decref(all);
		return NULL;
	}
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		json_t *v = column_json(st, 1);

		if (v)
			json_object_set_new(all, (const char *)sqlite3_column_text(st, 0), v);
	}
	read_end(s, ST_SETTINGS, st);
	if (rc == SQLITE_DONE)
		return all;
	json_decref(all);
	read_failed(s, rc, err);
	return NULL;
}

int
store_credential_list(
    struct store *s, uint32_t uid, struct p_credential_list_answer *out, struct awo_err *err)
{
	sqlite3_stmt *st = read_begin(s, ST_CREDENTIAL_LIST, err);

	memset(out, 0, sizeof(*out));
	if (!st)
		return -1;
	sqlite3_bind_int64(st, 1, uid);
	return READ_LIST(s, ST_CREDENTIAL_LIST, st, credential_list_answer, out, credentials, SKIP_NONE, err);
}

int
store_credential_get(struct store *s, uint32_t uid, const char *name, enum p_credential_kind kind,
    const char *host, struct p_credential *c, void **sealed, size_t *len, struct awo_err *err)
{
	sqlite3_stmt *st = read_begin(s, ST_CREDENTIAL_GET, err);
	int rc, col = 0;

	if (!st)
		return -1;
	sqlite3_bind_int64(st, 1, uid);
	bind_text(st, 2, name);
	bind_text(st, 3, P_ENUM_NAME(credential_kind, kind));
	bind_text(st, 4, host);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		read_fields(st, &col, &p_type_credential, c, SKIP_NONE);
		*len = (size_t)sqlite3_column_bytes(st, col);
		*sealed = xcalloc(1, *len + 1);
		if (*len > 0)
			memcpy(*sealed, sqlite3_column_blob(st, col), *len);
	}
	read_end(s, ST_CREDENTIAL_GET, st);
	if (rc == SQLITE_ROW)
		return 0;
	return rc == SQLITE_DONE ? ERR(err, NOT_FOUND, "name", "there is no such credential")
				 : read_failed(s, rc, err);
}

int
store_token_list(
    struct store *s, uint32_t uid, bool any, struct p_token_list_answer *out, struct awo_err *err)
{
	sqlite3_stmt *st = read_begin(s, ST_TOKEN_LIST, err);

	memset(out, 0, sizeof(*out));
	if (!st)
		return -1;
	sqlite3_bind_int(st, 1, any);
	sqlite3_bind_int64(st, 2, uid);
	return READ_LIST(s, ST_TOKEN_LIST, st, token_list_answer, out, tokens, SKIP_TOKEN, err);
}

int
store_token_find(struct store *s, const unsigned char hash[32], uint32_t *uid, struct p_token *out,
    struct awo_err *err)
{
	sqlite3_stmt *st = read_begin(s, ST_TOKEN_FIND, err);
	int rc, col = 0;

	if (!st)
		return -1;
	sqlite3_bind_blob(st, 1, hash, 32, SQLITE_STATIC);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		read_fields(st, &col, &p_type_token, out, SKIP_TOKEN);
		*uid = (uint32_t)sqlite3_column_int64(st, col);
		P_SET(token, out, uid, *uid);
	}
	read_end(s, ST_TOKEN_FIND, st);
	if (rc == SQLITE_ROW)
		return 0;
	return rc == SQLITE_DONE ? ERR(err, NOT_FOUND, "token", "this token is not known")
				 : read_failed(s, rc, err);
}

int
store_session_find(struct store *s, bool login, const unsigned char hash[32], struct p_session *out, struct awo_err *err)
{
	sqlite3_stmt *st = read_begin(s, ST_SESSION_FIND, err);
	int rc, col = 0;

	if (!st)
		return -1;
	sqlite3_bind_blob(st, 1, hash, 32, SQLITE_STATIC);
	sqlite3_bind_int(st, 2, login);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		read_fields(st, &col, &p_type_session, out, SKIP_SESSION);
		P_SET(session, out, uid, sqlite3_column_int64(st, col));
	}
	read_end(s, ST_SESSION_FIND, st);
	if (rc == SQLITE_ROW)
		return 0;
	return rc == SQLITE_DONE ? ERR(err, NOT_FOUND, "session", "this session is not known") : read_failed(s, rc, err);
}

/* The id that a statement of one column and one row answers with, into id. NOT_FOUND with what it is that is not there. */
static int
read_id(struct store *s, enum st_id which, sqlite3_stmt *st, const char *what, char id[12], struct awo_err *err)
{
	int rc = sqlite3_step(st);

	if (rc == SQLITE_ROW)
		snprintf(id, ID_ORDER_LEN + 1, "%s", (const char *)sqlite3_column_text(st, 0));
	read_end(s, which, st);
	if (rc == SQLITE_ROW)
		return 0;
	return rc == SQLITE_DONE ? ERR(err, NOT_FOUND, "", "there is no such %s", what) : read_failed(s, rc, err);
}

int
store_delivery_find(struct store *s, const struct store_delivery *d, char id[12], struct awo_err *err)
{
	sqlite3_stmt *st = read_begin(s, ST_DELIVERY_FIND, err);

	if (!st)
		return -1;
	bind_text(st, 1, d->delivery_id);
	bind_text(st, 2, d->object);
	return read_id(s, ST_DELIVERY_FIND, st, "delivery", id, err);
}

int
store_order_by_forge(struct store *s, uint32_t uid, const char *canonical, const char *number, bool pull_request,
    char id[12], struct awo_err *err)
{
	enum st_id which = pull_request ? ST_BY_PULL_REQUEST : ST_BY_ISSUE;
	sqlite3_stmt *st = read_begin(s, which, err);

	if (!st)
		return -1;
	bind_text(st, 1, number);
	bind_text(st, 2, canonical);
	sqlite3_bind_int64(st, 3, uid);
	return read_id(s, which, st, "order", id, err);
}

int
store_repository_owner(struct store *s, const char *canonical, const uint32_t *only, uint32_t *uid,
    struct p_repository *out, struct awo_err *err)
{
	sqlite3_stmt *st = read_begin(s, ST_REPOSITORY_OWNER, err);
	int rc, col = 0;

	if (!st)
		return -1;
	bind_text(st, 1, canonical);
	if (only)
		sqlite3_bind_int64(st, 2, *only);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		read_fields(st, &col, &p_type_repository, out, SKIP_NONE);
		*uid = (uint32_t)sqlite3_column_int64(st, col);
	}
	read_end(s, ST_REPOSITORY_OWNER, st);
	if (rc == SQLITE_ROW)
		return 0;
	return rc == SQLITE_DONE ? ERR(err, NOT_FOUND, "", "nobody has registered %.256s", canonical)
				 : read_failed(s, rc, err);
}

int
store_secrets(struct store *s, enum p_credential_kind kind, int limit,
    int (*row)(void *arg, const struct store_secret *secret), void *arg, struct awo_err *err)
{
	sqlite3_stmt *st = read_begin(s, ST_SECRETS, err);
	int rc = SQLITE_DONE, stop = 0;

	if (!st)
		return -1;
	bind_text(st, 1, P_ENUM_NAME(credential_kind, kind));
	sqlite3_bind_int(st, 2, limit);
	while (stop == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct store_secret secret = {.uid = (uint32_t)sqlite3_column_int64(st, 0),
		    .owner = (const char *)sqlite3_column_text(st, 1),
		    .name = (const char *)sqlite3_column_text(st, 2),
		    .host = (const char *)sqlite3_column_text(st, 3),
		    .sealed = sqlite3_column_blob(st, 4),
		    .len = (size_t)sqlite3_column_bytes(st, 4)};

		stop = row(arg, &secret);
	}
	read_end(s, ST_SECRETS, st);
	return stop != 0 || rc == SQLITE_DONE ? 0 : read_failed(s, rc, err);
}
