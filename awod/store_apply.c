/* Transactions as the store's thread carries them out: many to a commit, and of each all or nothing. */
#include <string.h>

#include "awod/store_priv.h"
#include "common/buf.h"
#include "common/clock.h"

#define BATCH_MAX 1024 /* transactions that share one commit: until then all pages that they change are in memory */
#define DELIVERY_DAYS 90 /* a webhook that comes again later than that is taken for a new one */

/* Steps a statement that answers nothing. Returns SQLite's code, 0 when it was done. */
static int
run(struct conn *c, enum st_id id, sqlite3_stmt *st)
{
	int rc = sqlite3_step(st);

	st_put(c, id, st);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int
run_plain(struct conn *c, enum st_id id)
{
	sqlite3_stmt *st = st_get(c, id, NULL);

	return st ? run(c, id, st) : sqlite3_errcode(c->db);
}

static int
failed(struct conn *c, int rc, struct awo_err *err)
{
	return sqlite_error(c->db, rc, "cannot write to the database", err);
}

/* The order's key; 0 when there is no such order, -1 on failure. */
static int64_t
rowid_of(struct conn *c, struct store_tx *tx, const char *id, struct awo_err *err)
{
	sqlite3_stmt *st;
	int64_t rowid = 0;
	int rc;

	if (tx && tx->last_rowid > 0 && strcmp(tx->last_id, id) == 0)
		return tx->last_rowid;
	if (!(st = st_get(c, ST_ORDER_ROWID, err)))
		return -1;
	bind_text(st, 1, id);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		rowid = sqlite3_column_int64(st, 0);
	st_put(c, ST_ORDER_ROWID, st);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		return sqlite_error(c->db, rc, "cannot read the database", err);
	if (tx && rowid > 0 && strlen(id) == ID_ORDER_LEN) {
		memcpy(tx->last_id, id, ID_ORDER_LEN + 1);
		tx->last_rowid = rowid;
	}
	return rowid;
}

int
no_order(const char *id, struct awo_err *err)
{
	return ERR(err, NOT_FOUND, "agent_work_order_id", "there is no order %.64s", id);
}

/* As rowid_of(), but an order that is not there is an error. */
int64_t
need_rowid(struct conn *c, struct store_tx *tx, const char *id, struct awo_err *err)
{
	int64_t rowid = rowid_of(c, tx, id, err);

	return rowid == 0 ? no_order(id, err) : rowid;
}

static void
add_delta(struct store_tx *tx, uint32_t uid, enum p_order_status from, enum p_order_status to)
{
	if (from == to)
		return;
	tx->deltas = xrealloc(tx->deltas, tx->ndeltas + 1, sizeof(*tx->deltas));
	tx->deltas[tx->ndeltas++] = (struct delta){.uid = uid, .from = from, .to = to};
}

static void
set_rowid(struct store_tx *tx, int64_t rowid)
{
	if (tx->rowid == 0)
		tx->rowid = rowid;
}

static int
do_order_insert(struct store *s, struct store_tx *tx, const struct op *op, struct awo_err *err)
{
	struct conn *c = &s->writer;
	sqlite3_stmt *st = st_get(c, ST_ORDER_INSERT, err);
	int64_t rowid = ++s->last_order;
	int col = 0, rc;

	if (!st)
		return -1;
	bind_fields(st, &col, &p_type_order, &op->row->pub, SKIP_ORDER);
	bind_private(st, &col, op->row, 0);
	sqlite3_bind_int64(st, ++col, rowid);
	bind_text(st, ++col, op->name);
	rc = run(c, ST_ORDER_INSERT, st);
	if ((rc & 0xff) == SQLITE_CONSTRAINT &&
	    sqlite3_extended_errcode(c->db) == SQLITE_CONSTRAINT_UNIQUE) {
		bool key = strstr(sqlite3_errmsg(c->db), "idempotency_key") != NULL;

		return ERR(err, ALREADY_EXISTS, key ? "idempotency_key" : "agent_work_order_id",
		    key ? "an order with this idempotency key is there already"
			: "an order with this id is there already");
	}
	if (rc != SQLITE_OK)
		return failed(c, rc, err);
	set_rowid(tx, rowid);
	if (op->row->pub.agent_work_order_id &&
	    strlen(op->row->pub.agent_work_order_id) == ID_ORDER_LEN) {
		memcpy(tx->last_id, op->row->pub.agent_work_order_id, ID_ORDER_LEN + 1);
		tx->last_rowid = rowid;
	}
	add_delta(tx, op->row->owner_uid, order_status_none, op->row->pub.status);
	return 0;
}

/* State and owner that a row has now. 1 found, 0 not there, -1 on failure. */
static int
old_state(
    struct conn *c, int64_t rowid, enum p_order_status *status, uint32_t *uid, struct awo_err *err)
{
	sqlite3_stmt *st = st_get(c, ST_ORDER_OLD, err);
	int rc;

	if (!st)
		return -1;
	sqlite3_bind_int64(st, 1, rowid);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		*status = (enum p_order_status)p_enum_value(
		    &p_enum_order_status, (const char *)sqlite3_column_text(st, 0));
		*uid = (uint32_t)sqlite3_column_int64(st, 1);
	}
	st_put(c, ST_ORDER_OLD, st);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		return failed(c, rc, err);
	return rc == SQLITE_ROW;
}

static int
do_order_update(struct store *s, struct store_tx *tx, const struct op *op, struct awo_err *err)
{
	struct conn *c = &s->writer;
	const char *id = op->row->pub.agent_work_order_id ? op->row->pub.agent_work_order_id : "";
	int64_t rowid = op->row->rowid > 0 ? op->row->rowid : need_rowid(c, tx, id, err);
	enum p_order_status was = order_status_none;
	uint32_t uid = 0;
	sqlite3_stmt *st;
	int col = 0, rc;

	if (rowid < 0)
		return -1;
	rc = old_state(c, rowid, &was, &uid, err);
	if (rc <= 0)
		return rc < 0 ? -1 : no_order(id, err);
	if (!(st = st_get(c, ST_ORDER_UPDATE, err)))
		return -1;
	bind_fields(st, &col, &p_type_order, &op->row->pub, SKIP_UPDATE);
	bind_private(st, &col, op->row, 1);
	sqlite3_bind_int64(st, ++col, rowid);
	rc = run(c, ST_ORDER_UPDATE, st);
	if (rc != SQLITE_OK)
		return failed(c, rc, err);
	add_delta(tx, uid, was, op->row->pub.status);
	return 0;
}

static int
run_for_order(struct conn *c, enum st_id id, int64_t rowid, struct awo_err *err)
{
	sqlite3_stmt *st = st_get(c, id, err);
	int rc;

	if (!st)
		return -1;
	sqlite3_bind_int64(st, 1, rowid);
	rc = run(c, id, st);
	return rc == SQLITE_OK ? 0 : failed(c, rc, err);
}

static int
put_meta(struct conn *c, const char *name, int64_t value, struct awo_err *err)
{
	sqlite3_stmt *st = st_get(c, ST_META_PUT, err);
	int rc;

	if (!st)
		return -1;
	bind_text(st, 1, name);
	sqlite3_bind_int64(st, 2, value);
	rc = run(c, ST_META_PUT, st);
	return rc == SQLITE_OK ? 0 : failed(c, rc, err);
}

static int
do_order_delete(struct store *s, struct store_tx *tx, const struct op *op, struct awo_err *err)
{
	static const enum st_id all[] = {ST_ORDER_DELETE_STEPS, ST_ORDER_DELETE_EVENTS,
	    ST_ORDER_DELETE_PROMPTS, ST_ORDER_DELETE};
	struct conn *c = &s->writer;
	int64_t rowid = need_rowid(c, tx, op->id, err);
	enum p_order_status was = order_status_none;
	uint32_t uid = 0;

	if (rowid < 0 || old_state(c, rowid, &was, &uid, err) < 0)
		return -1;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (run_for_order(c, all[i], rowid, err) < 0)
			return -1;
	/* numbers are not given twice, even when the highest row is the one that went */
	if (put_meta(c, "last_event", s->last_event, err) < 0 ||
	    put_meta(c, "last_order", s->last_order, err) < 0)
		return -1;
	tx->last_rowid = 0;
	add_delta(tx, uid, was, order_status_none);
	return 0;
}

static int
do_step_put(struct store *s, struct store_tx *tx, const struct op *op, struct awo_err *err)
{
	struct conn *c = &s->writer;
	int64_t rowid = need_rowid(c, tx, op->id, err);
	sqlite3_stmt *st;
	int col = 0, rc;

	if (rowid < 0 || !(st = st_get(c, ST_STEP_PUT, err)))
		return -1;
	bind_fields(st, &col, &p_type_step, op->obj, SKIP_NONE);
	sqlite3_bind_int64(st, ++col, rowid);
	rc = run(c, ST_STEP_PUT, st);
	return rc == SQLITE_OK ? 0 : failed(c, rc, err);
}

static int
do_event(struct store *s, struct store_tx *tx, const struct op *op, struct awo_err *err)
{
	struct conn *c = &s->writer;
	int64_t rowid = op->id ? rowid_of(c, tx, op->id, err) : 0;
	int64_t id = ++s->last_event;
	sqlite3_stmt *st;
	int rc;

	if (rowid < 0 || !(st = st_get(c, ST_EVENT_INSERT, err)))
		return -1;
	sqlite3_bind_int64(st, 1, id);
	if (rowid > 0)
		sqlite3_bind_int64(st, 2, rowid);
	bind_text(st, 3, op->id);
	bind_text(st, 4, op->name);
	bind_text(st, 5, op->text);
	rc = run(c, ST_EVENT_INSERT, st);
	if (rc != SQLITE_OK)
		return failed(c, rc, err);
	if (!tx->event_ids)
		tx->event_ids = xcalloc(tx->nexpected, sizeof(*tx->event_ids));
	tx->event_ids[tx->nevents++] = id;
	return 0;
}

static int
do_prompt_insert(struct store *s, struct store_tx *tx, const struct op *op, struct awo_err *err)
{
	struct conn *c = &s->writer;
	int64_t rowid = need_rowid(c, tx, op->id, err);
	sqlite3_stmt *st;
	int rc;

	if (rowid < 0 || !(st = st_get(c, ST_PROMPT_INSERT, err)))
		return -1;
	sqlite3_bind_int64(st, 1, op->n);
	sqlite3_bind_int64(st, 2, rowid);
	bind_text(st, 3, op->text);
	sqlite3_bind_int64(st, 4, op->uid);
	sqlite3_bind_int64(st, 5, op->at);
	rc = run(c, ST_PROMPT_INSERT, st);
	return rc == SQLITE_OK ? 0 : failed(c, rc, err);
}

/* A row of one of the small tables: fields, owner, what else there is. */
static int
do_put(struct store *s, struct store_tx *tx, const struct op *op, struct awo_err *err)
{
	struct conn *c = &s->writer;
	enum st_id id = op->kind == OP_REPOSITORY_PUT ? ST_REPOSITORY_PUT
			: op->kind == OP_TOKEN_PUT    ? ST_TOKEN_PUT
						      : ST_CREDENTIAL_PUT;
	sqlite3_stmt *st = st_get(c, id, err);
	int col = 0, rc;

	if (!st)
		return -1;
	bind_fields(st, &col, op->type, op->obj, id == ST_TOKEN_PUT ? SKIP_TOKEN : SKIP_NONE);
	sqlite3_bind_int64(st, ++col, op->uid);
	if (id == ST_CREDENTIAL_PUT)
		sqlite3_bind_int(st, ++col, op->flag);
	if (op->blob)
		sqlite3_bind_blob64(st, ++col, op->blob, op->len, SQLITE_STATIC);
	rc = run(c, id, st);
	if ((rc & 0xff) == SQLITE_CONSTRAINT &&
	    sqlite3_extended_errcode(c->db) == SQLITE_CONSTRAINT_UNIQUE)
		return ERR(err, ALREADY_EXISTS, id == ST_REPOSITORY_PUT ? "repository_url" : "name",
		    id == ST_REPOSITORY_PUT ? "this repository is registered already"
					    : "this is there already");
	if (rc != SQLITE_OK)
		return failed(c, rc, err);
	if (sqlite3_changes(c->db) == 0) /* the id is another owner's */
		return ERR(err, ALREADY_EXISTS, "id", "this id is in use");
	set_rowid(tx, sqlite3_last_insert_rowid(c->db));
	return 0;
}

static int
do_delete(struct store *s, const struct op *op, struct awo_err *err)
{
	struct conn *c = &s->writer;
	enum st_id id = op->kind == OP_REPOSITORY_DELETE ? ST_REPOSITORY_DELETE
			: op->kind == OP_TOKEN_DELETE	 ? ST_TOKEN_DELETE
							 : ST_CREDENTIAL_DELETE;
	sqlite3_stmt *st = st_get(c, id, err);
	const char *what = op->id ? op->id : op->name;
	int rc;

	if (!st)
		return -1;
	if (id == ST_TOKEN_DELETE) {
		bind_text(st, 1, op->id);
		sqlite3_bind_int(st, 2, op->flag);
		sqlite3_bind_int64(st, 3, op->uid);
	} else {
		sqlite3_bind_int64(st, 1, op->uid);
		bind_text(st, 2, what);
	}
	rc = run(c, id, st);
	if (rc != SQLITE_OK)
		return failed(c, rc, err);
	if (sqlite3_changes(c->db) == 0)
		return ERR(err, NOT_FOUND, id == ST_CREDENTIAL_DELETE ? "name" : "id",
		    "there is no %s %.256s",
		    id == ST_REPOSITORY_DELETE ? "repository"
		    : id == ST_TOKEN_DELETE    ? "token"
					       : "credential",
		    what);
	return 0;
}

static int
do_setting(struct store *s, const struct op *op, struct awo_err *err)
{
	enum st_id id = op->text ? ST_SETTING_PUT : ST_SETTING_DELETE;
	sqlite3_stmt *st = st_get(&s->writer, id, err);
	int rc;

	if (!st)
		return -1;
	bind_text(st, 1, op->name);
	if (op->text)
		bind_text(st, 2, op->text);
	rc = run(&s->writer, id, st);
	return rc == SQLITE_OK ? 0 : failed(&s->writer, rc, err);
}

static int
do_prompt_done(struct store *s, const struct op *op, struct awo_err *err)
{
	sqlite3_stmt *st = st_get(&s->writer, ST_PROMPT_DONE, err);
	int rc;

	if (!st)
		return -1;
	sqlite3_bind_int64(st, 1, clock_wall_us());
	sqlite3_bind_int64(st, 2, op->n);
	rc = run(&s->writer, ST_PROMPT_DONE, st);
	return rc == SQLITE_OK ? 0 : failed(&s->writer, rc, err);
}

/* Steps a statement that changes rows, whatever their number. */
static int
do_run(struct store *s, enum st_id id, sqlite3_stmt *st, struct awo_err *err)
{
	int rc = run(&s->writer, id, st);

	return rc == SQLITE_OK ? 0 : failed(&s->writer, rc, err);
}

static int
do_token_used(struct store *s, const struct op *op, struct awo_err *err)
{
	sqlite3_stmt *st = st_get(&s->writer, ST_TOKEN_USED, err);

	if (!st)
		return -1;
	sqlite3_bind_int64(st, 1, op->n);
	sqlite3_bind_blob64(st, 2, op->blob, op->len, SQLITE_STATIC);
	return do_run(s, ST_TOKEN_USED, st, err);
}

/* What has expired makes room first; then the oldest of the user's that are too many go. */
static int
do_session_put(struct store *s, const struct op *op, struct awo_err *err)
{
	const struct p_session *k = op->obj;
	sqlite3_stmt *st;
	int col = 0;

	if (!(st = st_get(&s->writer, ST_SESSION_EXPIRE, err)))
		return -1;
	sqlite3_bind_int64(st, 1, k->created_at);
	if (do_run(s, ST_SESSION_EXPIRE, st, err) < 0 || !(st = st_get(&s->writer, ST_SESSION_INSERT, err)))
		return -1;
	bind_fields(st, &col, &p_type_session, k, SKIP_SESSION);
	sqlite3_bind_int64(st, ++col, op->uid);
	sqlite3_bind_int(st, ++col, op->flag);
	sqlite3_bind_blob64(st, ++col, op->blob, op->len, SQLITE_STATIC);
	if (do_run(s, ST_SESSION_INSERT, st, err) < 0 || !(st = st_get(&s->writer, ST_SESSION_TRIM, err)))
		return -1;
	sqlite3_bind_int64(st, 1, op->uid);
	sqlite3_bind_int(st, 2, op->flag);
	sqlite3_bind_int64(st, 3, op->n);
	return do_run(s, ST_SESSION_TRIM, st, err);
}

static int
do_session_delete(struct store *s, const struct op *op, struct awo_err *err)
{
	sqlite3_stmt *st = st_get(&s->writer, ST_SESSION_DELETE, err);

	if (!st)
		return -1;
	sqlite3_bind_blob64(st, 1, op->blob, op->len, SQLITE_STATIC);
	sqlite3_bind_int(st, 2, op->flag);
	if (do_run(s, ST_SESSION_DELETE, st, err) < 0)
		return -1;
	if (sqlite3_changes(s->writer.db) == 0)
		return ERR(err, NOT_FOUND, "session", "there is no such session");
	return 0;
}

static int
do_delivery(struct store *s, const struct op *op, struct awo_err *err)
{
	sqlite3_stmt *st = st_get(&s->writer, ST_DELIVERY_EXPIRE, err);
	int rc;

	if (!st)
		return -1;
	sqlite3_bind_int64(st, 1, op->n - DELIVERY_DAYS * INT64_C(86400000000));
	if (do_run(s, ST_DELIVERY_EXPIRE, st, err) < 0 || !(st = st_get(&s->writer, ST_DELIVERY_INSERT, err)))
		return -1;
	bind_text(st, 1, op->name);
	bind_text(st, 2, op->text);
	bind_text(st, 3, op->id);
	sqlite3_bind_int64(st, 4, op->n);
	rc = run(&s->writer, ST_DELIVERY_INSERT, st);
	if ((rc & 0xff) == SQLITE_CONSTRAINT)
		return ERR(err, ALREADY_EXISTS, "delivery_id", "this has been delivered before");
	return rc == SQLITE_OK ? 0 : failed(&s->writer, rc, err);
}

static int
do_op(struct store *s, struct store_tx *tx, const struct op *op, struct awo_err *err)
{
	switch (op->kind) {
	case OP_ORDER_INSERT:
		return do_order_insert(s, tx, op, err);
	case OP_ORDER_UPDATE:
		return do_order_update(s, tx, op, err);
	case OP_ORDER_DELETE:
		return do_order_delete(s, tx, op, err);
	case OP_STEP_PUT:
		return do_step_put(s, tx, op, err);
	case OP_EVENT:
		return do_event(s, tx, op, err);
	case OP_PROMPT_INSERT:
		return do_prompt_insert(s, tx, op, err);
	case OP_PROMPT_DONE:
		return do_prompt_done(s, op, err);
	case OP_REPOSITORY_PUT:
	case OP_CREDENTIAL_PUT:
	case OP_TOKEN_PUT:
		return do_put(s, tx, op, err);
	case OP_REPOSITORY_DELETE:
	case OP_CREDENTIAL_DELETE:
	case OP_TOKEN_DELETE:
		return do_delete(s, op, err);
	case OP_SETTING_PUT:
		return do_setting(s, op, err);
	case OP_TOKEN_USED:
		return do_token_used(s, op, err);
	case OP_SESSION_PUT:
		return do_session_put(s, op, err);
	case OP_SESSION_DELETE:
		return do_session_delete(s, op, err);
	case OP_DELIVERY:
		return do_delivery(s, op, err);
	}
	return ERR(err, INTERNAL, "", "unknown change");
}

/* False with the error in the job when one of its changes failed. */
static bool
do_ops(struct store *s, struct store_tx *tx)
{
	struct awo_err *err = &tx->job.err;

	if (tx->chain_broken && tx->link == STORE_AGAIN)
		*tx->chain_broken = false;
	if (tx->chain_broken && *tx->chain_broken)
		ERR(err, UNAVAILABLE, "", "an earlier change could not be written yet; see awod's log");
	/* an event may stand before the insert of its order */
	for (const struct op *op = tx->first; op && err->code == AWO_OK; op = op->next)
		if (op->kind == OP_ORDER_INSERT)
			do_op(s, tx, op, err);
	for (const struct op *op = tx->first; op && err->code == AWO_OK; op = op->next)
		if (op->kind != OP_ORDER_INSERT)
			do_op(s, tx, op, err);
	return err->code == AWO_OK;
}

/* What follows a transaction that has to be repeated must not overtake it. */
static void
break_chain(struct store_tx *tx)
{
	enum awo_code code = tx->job.err.code;

	if (tx->chain_broken && tx->link != STORE_TRY &&
	    (code == AWO_UNAVAILABLE || code == AWO_RESOURCE_EXHAUSTED))
		*tx->chain_broken = true;
}

/* All of a transaction or, after a failure, nothing of it. */
static void
do_tx(struct store *s, struct store_tx *tx)
{
	struct conn *c = &s->writer;
	struct awo_err *err = &tx->job.err;
	int rc;

	rc = run_plain(c, ST_SAVE);
	if (rc != SQLITE_OK) {
		failed(c, rc, err);
		break_chain(tx);
		return;
	}
	do_ops(s, tx);
	/* a full disk may have rolled everything back already */
	if (sqlite3_get_autocommit(c->db))
		return;
	if (err->code != AWO_OK)
		run_plain(c, ST_UNDO);
	rc = run_plain(c, ST_RELEASE);
	if (rc != SQLITE_OK && err->code == AWO_OK)
		failed(c, rc, err);
	break_chain(tx);
}

/* Gives the transactions from first up to end (exclusive) that had succeeded the error of their
 * commit. */
static void
fail_all(struct job *first, const struct job *end, const struct awo_err *err)
{
	for (struct job *j = first; j != end; j = j->next) {
		if (j->kind != JOB_TX)
			continue;
		if (j->err.code == AWO_OK)
			j->err = *err;
		break_chain((struct store_tx *)j);
	}
}

/* After the commit of the transactions from first up to end, or what failed before it could be made. */
static struct job *
end_batch(struct store *s, struct job *first, struct job *end, int rc)
{
	struct awo_err err = {0};

	atomic_store(&s->broken, rc != SQLITE_OK);
	if (rc == SQLITE_OK)
		return end;
	failed(&s->writer, rc, &err);
	if (!sqlite3_get_autocommit(s->writer.db))
		run_plain(&s->writer, ST_ROLLBACK);
	fail_all(first, end, &err);
	return end;
}

/* One after the other, so that the failure of one leaves the others alone. Returns the first that was not tried. */
static struct job *
do_each(struct store *s, struct job *first, struct job *end)
{
	int rc = run_plain(&s->writer, ST_BEGIN);

	for (struct job *j = first; rc == SQLITE_OK && j != end; j = j->next) {
		do_tx(s, (struct store_tx *)j);
		if (!sqlite3_get_autocommit(s->writer.db))
			continue;
		/* all is lost up to here; what follows is tried by itself */
		fail_all(first, j->next, &j->err);
		atomic_store(&s->broken, true);
		return j->next;
	}
	if (rc == SQLITE_OK)
		rc = run_plain(&s->writer, ST_COMMIT);
	return end_batch(s, first, end, rc);
}

struct job *
apply_batch(struct store *s, struct job *first)
{
	int64_t last_event = s->last_event, last_order = s->last_order;
	struct job *end = first, *j = first;
	int rc;

	for (int n = 0; end && end->kind == JOB_TX && n < BATCH_MAX; n++)
		end = end->next;
	rc = run_plain(&s->writer, ST_BEGIN);
	if (rc != SQLITE_OK)
		return end_batch(s, first, end, rc);
	while (j != end && do_ops(s, (struct store_tx *)j))
		j = j->next;
	if (j == end)
		return end_batch(s, first, end, run_plain(&s->writer, ST_COMMIT));
	if (!sqlite3_get_autocommit(s->writer.db))
		run_plain(&s->writer, ST_ROLLBACK);
	s->last_event = last_event;
	s->last_order = last_order;
	for (j = first; j != end; j = j->next)
		reset_tx((struct store_tx *)j);
	return do_each(s, first, end);
}
