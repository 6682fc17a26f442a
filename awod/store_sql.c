/* SQLite's statements, made from the tables of columns: their text, the values in and out of them, what their failures mean. */
#include <stdlib.h>
#include <string.h>

#include "awod/store_priv.h"
#include "common/buf.h"
#include "common/clean.h"
#include "common/text.h"

/* ---- errors: the only place that knows SQLite's codes */

int
sqlite_error(sqlite3 *db, int rc, const char *what, struct awo_err *err)
{
	const char *text = db ? sqlite3_errmsg(db) : sqlite3_errstr(rc);

	switch (rc & 0xff) {
	case SQLITE_FULL:
		return ERR(err, UNAVAILABLE, "",
		    "%s: the disk that holds the database is full; free some space", what);
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_CANTOPEN:
	case SQLITE_AUTH:
		return ERR(err, UNAVAILABLE, "",
		    "%s: the database cannot be written (%s); check owner and mode of its file and "
		    "directory, and that the file "
		    "system is mounted writable",
		    what, text);
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return ERR(err, INTERNAL, "",
		    "%s: the database is damaged (%s); stop awod and put a backup in its place",
		    what, text);
	case SQLITE_IOERR:
		return ERR(err, UNAVAILABLE, "",
		    "%s: the disk that holds the database fails (%s, errno %d)", what, text,
		    db ? sqlite3_system_errno(db) : 0);
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return ERR(
		    err, UNAVAILABLE, "", "%s: another process holds the database; stop it", what);
	case SQLITE_NOMEM:
		return ERR(err, RESOURCE_EXHAUSTED, "", "%s: no memory", what);
	default:
		return ERR(err, INTERNAL, "", "%s: %s", what, text);
	}
}

bool
sqlite_is_broken(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_FULL:
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_CANTOPEN:
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_IOERR:
		return true;
	default:
		return false;
	}
}

/* ---- statements: each prepared once a connection, from the tables of columns */

/* clang-format off */
/* Columns of work_orders that are no field of the message. */
static const struct private_column {
	const char *name;
	enum { COL_U32, COL_INT, COL_BOOL, COL_TEXT } kind;
	size_t offset;
} private_columns[] = {
#define COL(kind, m) { #m, kind, offsetof(struct order_row, m) }
	COL(COL_U32, owner_uid),
	COL(COL_TEXT, canonical_url),
	COL(COL_TEXT, log_date),
	COL(COL_INT, journal_offset),
	COL(COL_INT, event_appended),
	COL(COL_TEXT, base_sha),
	COL(COL_TEXT, head_sha),
	COL(COL_TEXT, pushed_sha),
	COL(COL_TEXT, plan_file),
	COL(COL_INT, port_start),
	COL(COL_INT, timeout_seconds),
	COL(COL_INT, elapsed_us),
	COL(COL_INT, resume_step),
	COL(COL_INT, gate_passed),
	COL(COL_INT, step_started_at),
	COL(COL_INT, tries_base),
	COL(COL_BOOL, worker_started),
	COL(COL_BOOL, wake),
	COL(COL_BOOL, jump),
	COL(COL_BOOL, cancel_requested),
	COL(COL_BOOL, workspace_removed),
	COL(COL_TEXT, request_id),
#undef COL
};
/* clang-format on */
#define NPRIVATE (sizeof(private_columns) / sizeof(private_columns[0]))

void
sql_add_fields(
    struct buf *b, const struct p_type *type, uint64_t skip, const char *before, const char *behind)
{
	for (unsigned i = 0; i < type->nfields; i++)
		if (!(skip & (UINT64_C(1) << i)))
			buf_printf(b, "%s%s%s%s",
			    b->len && b->p[b->len - 1] != '(' && b->p[b->len - 1] != ' ' ? ", "
											 : "",
			    before, type->fields[i].name, behind);
}

static void
add_private(struct buf *b, const char *behind)
{
	for (size_t i = 0; i < NPRIVATE; i++)
		buf_printf(b, ", %s%s", private_columns[i].name, behind);
}

size_t
sql_count_fields(const struct p_type *type, uint64_t skip)
{
	size_t n = 0;

	for (unsigned i = 0; i < type->nfields; i++)
		n += !(skip & (UINT64_C(1) << i));
	return n;
}

static void
add_marks(struct buf *b, size_t n)
{
	while (n-- > 0)
		buf_adds(b, n > 0 ? "?, " : "?");
}

/* INSERT INTO table (fields, extra) VALUES (?, ...) ON CONFLICT (key) DO UPDATE SET all of them */
static void
add_upsert(struct buf *b, const char *table, const struct p_type *type, uint64_t skip,
    const char *extra, size_t nextra, const char *key, const char *extra_update)
{
	buf_printf(b, "INSERT INTO %s (", table);
	sql_add_fields(b, type, skip, "", "");
	buf_printf(b, ", %s) VALUES (", extra);
	add_marks(b, sql_count_fields(type, skip) + nextra);
	buf_printf(b, ") ON CONFLICT (%s) DO UPDATE SET ", key);
	for (unsigned i = 0, n = 0; i < type->nfields; i++)
		if (!(skip & (UINT64_C(1) << i)))
			buf_printf(b, "%s%s = excluded.%s", n++ ? ", " : "", type->fields[i].name,
			    type->fields[i].name);
	buf_adds(b, extra_update);
}

static void
add_select(
    struct buf *b, const struct p_type *type, uint64_t skip, const char *extra, const char *rest)
{
	buf_adds(b, "SELECT ");
	sql_add_fields(b, type, skip, "", "");
	buf_printf(b, "%s %s", extra, rest);
}

/* Fields, then order_rowid, then the private columns: as read_order() takes them. */
static void
add_order_select(struct buf *b, const char *rest)
{
	buf_adds(b, "SELECT ");
	sql_add_fields(b, &p_type_order, SKIP_ORDER, "", "");
	buf_adds(b, ", order_rowid");
	add_private(b, "");
	buf_printf(b, " FROM work_orders %s", rest);
}

void
st_text(enum st_id id, struct buf *b)
{
	switch (id) {
	case ST_BEGIN:
		buf_adds(b, "BEGIN IMMEDIATE");
		break;
	case ST_COMMIT:
		buf_adds(b, "COMMIT");
		break;
	case ST_ROLLBACK:
		buf_adds(b, "ROLLBACK");
		break;
	case ST_SAVE:
		buf_adds(b, "SAVEPOINT one");
		break;
	case ST_RELEASE:
		buf_adds(b, "RELEASE one");
		break;
	case ST_UNDO:
		buf_adds(b, "ROLLBACK TO one");
		break;
	case ST_ORDER_INSERT:
		buf_adds(b, "INSERT INTO work_orders (");
		sql_add_fields(b, &p_type_order, SKIP_ORDER, "", "");
		add_private(b, "");
		buf_adds(b, ", order_rowid, idempotency_key) VALUES (");
		add_marks(b, sql_count_fields(&p_type_order, SKIP_ORDER) + NPRIVATE + 2);
		buf_adds(b, ")");
		break;
	case ST_ORDER_UPDATE:
		buf_adds(b, "UPDATE work_orders SET ");
		sql_add_fields(b, &p_type_order, SKIP_UPDATE, "", " = ?");
		for (size_t i = 1; i < NPRIVATE; i++) /* the first is owner_uid */
			buf_printf(b, ", %s = ?", private_columns[i].name);
		buf_adds(b, " WHERE order_rowid = ?");
		break;
	case ST_ORDER_OLD:
		buf_adds(b, "SELECT status, owner_uid FROM work_orders WHERE order_rowid = ?");
		break;
	case ST_ORDER_ROWID:
		buf_adds(b, "SELECT order_rowid FROM work_orders WHERE agent_work_order_id = ?");
		break;
	case ST_ORDER_DELETE:
		buf_adds(b, "DELETE FROM work_orders WHERE order_rowid = ?");
		break;
	case ST_ORDER_DELETE_STEPS:
		buf_adds(b, "DELETE FROM work_order_steps WHERE order_rowid = ?");
		break;
	case ST_ORDER_DELETE_EVENTS:
		buf_adds(b, "DELETE FROM events WHERE order_rowid = ?");
		break;
	case ST_ORDER_DELETE_PROMPTS:
		buf_adds(b, "DELETE FROM prompts WHERE order_rowid = ?");
		break;
	case ST_META_PUT:
		buf_adds(b, "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO "
			    "UPDATE SET value = excluded.value");
		break;
	case ST_STEP_PUT:
		add_upsert(b, "work_order_steps", &p_type_step, SKIP_NONE, "order_rowid", 1,
		    "order_rowid, attempt, step_number, step, timestamp", "");
		break;
	case ST_EVENT_INSERT:
		buf_adds(b, "INSERT INTO events (id, order_rowid, agent_work_order_id, event, "
			    "line) VALUES (?, ?, ?, ?, ?)");
		break;
	case ST_PROMPT_INSERT:
		buf_adds(b, "INSERT INTO prompts (id, order_rowid, text, by_uid, created_at) VALUES "
			    "(?, ?, ?, ?, ?)");
		break;
	case ST_PROMPT_DONE:
		buf_adds(b, "UPDATE prompts SET done_at = ? WHERE id = ? AND done_at IS NULL");
		break;
	case ST_REPOSITORY_PUT:
		add_upsert(b, "repositories", &p_type_repository, SKIP_NONE, "owner_uid", 1, "id",
		    " WHERE owner_uid = excluded.owner_uid");
		break;
	case ST_REPOSITORY_DELETE:
		buf_adds(b, "DELETE FROM repositories WHERE owner_uid = ? AND id = ?");
		break;
	case ST_SETTING_PUT:
		buf_adds(b, "INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) "
			    "DO UPDATE SET value = excluded.value");
		break;
	case ST_SETTING_DELETE:
		buf_adds(b, "DELETE FROM settings WHERE name = ?");
		break;
	case ST_CREDENTIAL_PUT:
		add_upsert(b, "credentials", &p_type_credential, SKIP_NONE,
		    "owner_uid, shared, sealed", 3, "owner_uid, name",
		    ", shared = excluded.shared, sealed = excluded.sealed");
		break;
	case ST_CREDENTIAL_DELETE:
		buf_adds(b, "DELETE FROM credentials WHERE owner_uid = ? AND name = ?");
		break;
	case ST_TOKEN_PUT:
		add_upsert(b, "api_tokens", &p_type_token, SKIP_TOKEN, "owner_uid, hash", 2, "id",
		    ", hash = excluded.hash WHERE owner_uid = excluded.owner_uid");
		break;
	case ST_TOKEN_DELETE:
		buf_adds(b, "DELETE FROM api_tokens WHERE id = ? AND (? OR owner_uid = ?)");
		break;
	case ST_TOKEN_USED:
		buf_adds(b, "UPDATE api_tokens SET last_used_at = ? WHERE hash = ?");
		break;
	case ST_SESSION_EXPIRE:
		buf_adds(b, "DELETE FROM sessions WHERE expires_at <= ?");
		break;
	case ST_SESSION_INSERT:
		buf_adds(b, "INSERT INTO sessions (");
		sql_add_fields(b, &p_type_session, SKIP_SESSION, "", "");
		buf_adds(b, ", owner_uid, is_login, hash) VALUES (");
		add_marks(b, sql_count_fields(&p_type_session, SKIP_SESSION) + 3);
		buf_adds(b, ")");
		break;
	case ST_SESSION_TRIM:
		buf_adds(b, "DELETE FROM sessions WHERE owner_uid = ?1 AND is_login = ?2 AND session_rowid NOT IN "
			    "(SELECT session_rowid FROM sessions WHERE owner_uid = ?1 AND is_login = ?2 ORDER BY "
			    "session_rowid DESC LIMIT ?3)");
		break;
	case ST_SESSION_DELETE:
		buf_adds(b, "DELETE FROM sessions WHERE hash = ? AND is_login = ?");
		break;
	case ST_DELIVERY_EXPIRE:
		buf_adds(b, "DELETE FROM deliveries WHERE created_at < ?");
		break;
	case ST_DELIVERY_INSERT:
		buf_adds(b, "INSERT INTO deliveries (delivery_id, object, agent_work_order_id, created_at) VALUES "
			    "(?, ?, ?, ?)");
		break;
	case ST_ORDER_GET:
		add_order_select(b, "WHERE agent_work_order_id = ?");
		break;
	case ST_FIND_ANY:
		buf_adds(b, "SELECT agent_work_order_id FROM work_orders WHERE agent_work_order_id "
			    ">= ?1 AND "
			    "agent_work_order_id < ?2 LIMIT 2");
		break;
	case ST_FIND_OWN:
		buf_adds(b, "SELECT agent_work_order_id FROM work_orders WHERE agent_work_order_id "
			    ">= ?1 AND "
			    "agent_work_order_id < ?2 AND +owner_uid = ?3 LIMIT 2");
		break;
	case ST_FIND_OWN_SHORT:
		buf_adds(b, "SELECT agent_work_order_id FROM work_orders WHERE "
			    "+agent_work_order_id >= ?1 AND "
			    "+agent_work_order_id < ?2 AND owner_uid = ?3 LIMIT 2");
		break;
	case ST_BY_KEY:
		buf_adds(b, "SELECT agent_work_order_id FROM work_orders WHERE owner_uid = ? AND "
			    "idempotency_key = ?");
		break;
	case ST_SCAN:
		add_order_select(b, "WHERE status = ? ORDER BY order_rowid");
		break;
	case ST_STEPS:
		add_select(b, &p_type_step, SKIP_NONE, "",
		    "FROM work_order_steps WHERE order_rowid = ? ORDER BY step_rowid");
		break;
	case ST_PROMPTS:
		buf_adds(b, "SELECT id, text FROM prompts WHERE order_rowid = ? AND done_at IS "
			    "NULL ORDER BY id");
		break;
	case ST_EVENTS:
		buf_adds(b, "SELECT id, agent_work_order_id, line FROM events WHERE id > ? ORDER "
			    "BY id LIMIT ?");
		break;
	case ST_EVENTS_ORDER:
		buf_adds(b, "SELECT id, agent_work_order_id, line FROM events WHERE order_rowid = "
			    "?3 AND id > ?1 ORDER BY id LIMIT ?2");
		break;
	case ST_EVENTS_LAST:
		buf_adds(b, "SELECT coalesce(max(id), 0) FROM events");
		break;
	case ST_REPOSITORY_GET:
		add_select(b, &p_type_repository, SKIP_NONE, "",
		    "FROM repositories WHERE owner_uid = ?1 AND (id = ?2 OR repository_url = ?2)");
		break;
	case ST_REPOSITORY_LIST:
		add_select(b, &p_type_repository, SKIP_NONE, "",
		    "FROM repositories WHERE owner_uid = ? ORDER BY coalesce(display_name, "
		    "repository_url), repository_url");
		break;
	case ST_SETTINGS:
		buf_adds(b, "SELECT name, value FROM settings ORDER BY name");
		break;
	case ST_CREDENTIAL_LIST:
		add_select(b, &p_type_credential, SKIP_NONE, "",
		    "FROM credentials WHERE owner_uid = ? OR shared ORDER BY name, shared");
		break;
	case ST_CREDENTIAL_GET:
		add_select(b, &p_type_credential, SKIP_NONE, ", sealed",
		    "FROM credentials WHERE (owner_uid = ?1 OR shared) AND (?2 IS NULL OR name = "
		    "?2) AND (?3 IS NULL OR kind = ?3) "
		    "AND (?4 IS NULL OR host = ?4) ORDER BY owner_uid = ?1 DESC, shared, "
		    "updated_at DESC LIMIT 1");
		break;
	case ST_TOKEN_LIST:
		add_select(b, &p_type_token, SKIP_TOKEN, "",
		    "FROM api_tokens WHERE ?1 OR owner_uid = ?2 ORDER BY created_at DESC, "
		    "token_rowid DESC");
		break;
	case ST_TOKEN_FIND:
		add_select(
		    b, &p_type_token, SKIP_TOKEN, ", owner_uid", "FROM api_tokens WHERE hash = ?");
		break;
	case ST_SESSION_FIND:
		add_select(b, &p_type_session, SKIP_SESSION, ", owner_uid",
		    "FROM sessions WHERE hash = ? AND is_login = ?");
		break;
	case ST_DELIVERY_FIND:
		buf_adds(b, "SELECT agent_work_order_id FROM deliveries WHERE delivery_id = ?1 OR object = ?2 "
			    "ORDER BY delivery_id = ?1 DESC LIMIT 1");
		break;
	case ST_REPOSITORY_OWNER:
		add_select(b, &p_type_repository, SKIP_NONE, ", owner_uid",
		    "FROM repositories WHERE repository_url = ?1 COLLATE NOCASE AND (?2 IS NULL OR owner_uid = ?2) "
		    "ORDER BY repository_rowid LIMIT 1");
		break;
	case ST_SECRETS:
		/* everybody's first one, then everybody's second: however many one user has, others have a turn */
		buf_adds(b, "SELECT owner_uid, owner, name, host, sealed FROM credentials WHERE kind = ? "
			    "ORDER BY row_number() OVER (PARTITION BY owner_uid ORDER BY credential_rowid), "
			    "credential_rowid LIMIT ?");
		break;
	case ST_BY_PULL_REQUEST:
		buf_adds(b, "SELECT agent_work_order_id FROM work_orders WHERE github_pull_request_number = ?1 AND "
			    "canonical_url = ?2 COLLATE NOCASE AND owner_uid = ?3 ORDER BY order_rowid DESC LIMIT 1");
		break;
	case ST_BY_ISSUE:
		buf_adds(b, "SELECT agent_work_order_id FROM work_orders WHERE github_issue_number = ?1 AND "
			    "canonical_url = ?2 COLLATE NOCASE AND owner_uid = ?3 ORDER BY order_rowid DESC LIMIT 1");
		break;
	case ST_TERMINAL:
		add_order_select(b,
		    "WHERE execution_completed_at IS NOT NULL AND execution_completed_at < ? AND "
		    "+status IN ('completed', 'failed', 'cancelled') ORDER BY "
		    "execution_completed_at, order_rowid");
		break;
	case ST_PROMPTED:
		add_order_select(b,
		    "WHERE order_rowid IN (SELECT order_rowid FROM prompts WHERE done_at IS NULL) AND "
		    "status = 'completed' AND workspace_removed = 0 AND base_sha IS NOT NULL ORDER BY order_rowid");
		break;
	case ST__COUNT:
		break;
	}
}

sqlite3_stmt *
st_get(struct conn *c, enum st_id id, struct awo_err *err)
{
	struct buf sql CLEAN_BUF = {0};
	sqlite3_stmt *st = NULL;
	int rc;

	if (c->st[id] && !sqlite3_stmt_busy(c->st[id]))
		return c->st[id];
	st_text(id, &sql);
	rc = sqlite3_prepare_v3(
	    c->db, sql.p, (int)sql.len + 1, c->st[id] ? 0 : SQLITE_PREPARE_PERSISTENT, &st, NULL);
	if (rc != SQLITE_OK) {
		sqlite_error(c->db, rc, "cannot use the database", err);
		return NULL;
	}
	if (!c->st[id])
		c->st[id] = st;
	return st;
}

void
st_put(struct conn *c, enum st_id id, sqlite3_stmt *st)
{
	if (c->st[id] != st) {
		sqlite3_finalize(st);
		return;
	}
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
}

void
sql_close(struct conn *c)
{
	for (int i = 0; i < ST__COUNT; i++)
		sqlite3_finalize(c->st[i]);
	for (int i = 0; i < PAGES; i++)
		sqlite3_finalize(c->page[i].st);
	sqlite3_close_v2(c->db);
	memset(c, 0, sizeof(*c));
}

/* ---- values in and out of statements, by the tables */

void
bind_text(sqlite3_stmt *st, int col, const char *s)
{
	if (s)
		sqlite3_bind_text(st, col, s, -1, SQLITE_STATIC);
}

static void
bind_json(sqlite3_stmt *st, int col, json_t *tree)
{
	char *text = json_dumps(tree, JSON_COMPACT | JSON_ENCODE_ANY);

	json_decref(tree);
	if (text)
		sqlite3_bind_text(st, col, text, -1, free);
	else
		sqlite3_bind_null(st, col);
}

static void
bind_strv(sqlite3_stmt *st, int col, const struct p_strv *sv)
{
	struct buf text = {0};

	if (sv->n == 0) {
		sqlite3_bind_text(st, col, "[]", 2, SQLITE_STATIC);
		return;
	}
	text_add_json_list(&text, sv->v, sv->n);
	sqlite3_bind_text(st, col, text.p, (int)text.len, free);
}

void
bind_fields(sqlite3_stmt *st, int *col, const struct p_type *type, const void *obj, uint64_t skip)
{
	const uint64_t has = *(const uint64_t *)obj; /* every message begins with it */

	for (unsigned i = 0; i < type->nfields; i++) {
		const struct p_field *f = &type->fields[i];
		const void *at = (const char *)obj + f->offset;
		int value;

		if (skip & (UINT64_C(1) << i))
			continue;
		++*col;
		if (!(has & (UINT64_C(1) << i)) && f->need != P_REQ)
			continue; /* st_put() has left nothing bound */
		switch (f->kind) {
		case P_STR:
			bind_text(st, *col, *(const char *const *)at);
			break;
		case P_INT:
		case P_TIME:
			sqlite3_bind_int64(st, *col, *(const int64_t *)at);
			break;
		case P_BOOL:
			sqlite3_bind_int(st, *col, *(const bool *)at);
			break;
		case P_DBL:
			sqlite3_bind_double(st, *col, *(const double *)at);
			break;
		case P_ENUM:
			memcpy(&value, at, sizeof(value));
			bind_text(st, *col, p_enum_name(f->en, value));
			break;
		case P_STRV:
			bind_strv(st, *col, at);
			break;
		case P_OBJ:
			if (*(const uint64_t *)at == 0)
				sqlite3_bind_text(st, *col, "{}", 2, SQLITE_STATIC);
			else
				bind_json(st, *col, p_to_json(f->type, at));
			break;
		case P_ANY:
			bind_json(st, *col, json_incref(*(json_t *const *)at));
			break;
		case P_LIST:
			sqlite3_bind_null(st, *col);
			break;
		}
	}
}

char *
column_dup(sqlite3_stmt *st, int col)
{
	return xstrdup((const char *)sqlite3_column_text(st, col));
}

json_t *
column_json(sqlite3_stmt *st, int col)
{
	const char *text = (const char *)sqlite3_column_text(st, col);

	return text ? json_loadb(text, (size_t)sqlite3_column_bytes(st, col), JSON_DECODE_ANY, NULL)
		    : NULL;
}

/* What bind_strv() wrote, as long as nothing in it is escaped: that is nearly always so, and a tree costs far more. */
static bool
split_strv(const char *p, struct p_strv *sv)
{
	while (*p == (sv->n > 0 ? ',' : '[') && p[1] == '"') {
		size_t len = strcspn(p += 2, "\"\\");

		if (p[len] != '"')
			break;
		p_strv_take(sv, xstrndup(p, len));
		p += len + 1;
		if (strcmp(p, "]") == 0)
			return true;
	}
	p_strv_free(sv);
	return false;
}

static void
read_strv(sqlite3_stmt *st, int col, struct p_strv *sv)
{
	const char *text = (const char *)sqlite3_column_text(st, col);
	json_t *list CLEAN_JSON = NULL;

	if (!text || strcmp(text, "[]") == 0 || split_strv(text, sv))
		return;
	list = column_json(st, col);
	for (size_t i = 0; i < json_array_size(list); i++)
		if (json_is_string(json_array_get(list, i)))
			p_strv_add(sv, json_string_value(json_array_get(list, i)));
}

void
read_fields(sqlite3_stmt *st, int *col, const struct p_type *type, void *obj, uint64_t skip)
{
	uint64_t *has = obj;

	memset(obj, 0, type->size);
	for (unsigned i = 0; i < type->nfields; i++) {
		const struct p_field *f = &type->fields[i];
		void *at = (char *)obj + f->offset;
		json_t *tree CLEAN_JSON = NULL;
		int value;

		if (skip & (UINT64_C(1) << i))
			continue;
		if (sqlite3_column_type(st, *col) == SQLITE_NULL) {
			/* encoders need the text of a field that must be there */
			if (f->need == P_REQ && f->kind == P_STR)
				*(char **)at = xstrdup("");
			++*col;
			continue;
		}
		*has |= UINT64_C(1) << i;
		switch (f->kind) {
		case P_STR:
			*(char **)at = column_dup(st, *col);
			break;
		case P_INT:
		case P_TIME:
			*(int64_t *)at = sqlite3_column_int64(st, *col);
			break;
		case P_BOOL:
			*(bool *)at = sqlite3_column_int(st, *col) != 0;
			break;
		case P_DBL:
			*(double *)at = sqlite3_column_double(st, *col);
			break;
		case P_ENUM:
			value = p_enum_value(f->en, (const char *)sqlite3_column_text(st, *col));
			memcpy(at, &value, sizeof(value));
			if (value == 0) /* of a version that knew more */
				*has &= ~(UINT64_C(1) << i);
			break;
		case P_STRV:
			read_strv(st, *col, at);
			break;
		case P_OBJ:
			if (sqlite3_column_bytes(st, *col) > 2 && (tree = column_json(st, *col)) &&
			    p_from_json(f->type, at, tree, false, NULL) < 0)
				memset(at, 0, f->type->size);
			break;
		case P_ANY:
			*(json_t **)at = column_json(st, *col);
			break;
		case P_LIST:
			break;
		}
		++*col;
	}
}

void
bind_private(sqlite3_stmt *st, int *col, const struct order_row *r, size_t first)
{
	for (size_t i = first; i < NPRIVATE; i++) {
		const void *at = (const char *)r + private_columns[i].offset;

		++*col;
		switch (private_columns[i].kind) {
		case COL_U32:
			sqlite3_bind_int64(st, *col, *(const uint32_t *)at);
			break;
		case COL_INT:
			sqlite3_bind_int64(st, *col, *(const int64_t *)at);
			break;
		case COL_BOOL:
			sqlite3_bind_int(st, *col, *(const bool *)at);
			break;
		case COL_TEXT:
			bind_text(st, *col, *(const char *const *)at);
			break;
		}
	}
}

/* The columns of add_order_select(). */
void
read_order(sqlite3_stmt *st, struct order_row *r)
{
	int col = 0;

	memset(r, 0, sizeof(*r));
	read_fields(st, &col, &p_type_order, &r->pub, SKIP_ORDER);
	r->rowid = sqlite3_column_int64(st, col++);
	for (size_t i = 0; i < NPRIVATE; i++, col++) {
		void *at = (char *)r + private_columns[i].offset;

		switch (private_columns[i].kind) {
		case COL_U32:
			*(uint32_t *)at = (uint32_t)sqlite3_column_int64(st, col);
			break;
		case COL_INT:
			*(int64_t *)at = sqlite3_column_int64(st, col);
			break;
		case COL_BOOL:
			*(bool *)at = sqlite3_column_int(st, col) != 0;
			break;
		case COL_TEXT:
			*(char **)at = column_dup(st, col);
			break;
		}
	}
}
