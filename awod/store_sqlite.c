/* The store on SQLite: one thread writes, many transactions to a commit; the loop reads through its
 * own connection. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "awod/migrations.h"
#include "awod/sqlite_log.h"
#include "awod/store.h"
#include "common/buf.h"
#include "common/clean.h"
#include "common/clock.h"
#include "common/ids.h"
#include "common/log.h"
#include "common/text.h"

#define APPLICATION_ID 0x41574f31 /* "AWO1", in the database's header */
#define BATCH_MAX 4096		  /* transactions that share one commit */
#define BACKUP_PAGES 2000	  /* copied between two commits */
#define OFFSET_MAX 1000		  /* a larger one is answered by the store thread */
#define SCAN_MAX 5000		  /* rows that a page may walk over in the loop */
#define NSTATES (order_status_cancelled + 1)
#define WRITER_CACHE_KIB 4096 /* pages kept: once taken, never given back */
#define READER_CACHE_KIB 1024 /* walks few paths: what it misses, the system's cache has */
#define PAGES 12	  /* statements kept of those that list orders */
#define DELIVERY_DAYS 90 /* a webhook that comes again later than that is taken for a new one */
#define RECENT 64	/* orders that were asked for lately, kept as they were read */
#define RECENT_TEXT 8192 /* bytes of request and error that such an order may have */
#define RECENT_REPOSITORIES 16
#define SOON_US 200 /* a job that comes within it finds the thread awake */

/* ---- errors: the only place that knows SQLite's codes */

static int
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

/* Whether the failure is the disk's or the file's, not one transaction's. */
static bool
is_broken(int rc)
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

enum st_id {
	ST_BEGIN,
	ST_COMMIT,
	ST_ROLLBACK,
	ST_SAVE,
	ST_RELEASE,
	ST_UNDO,
	ST_ORDER_INSERT,
	ST_ORDER_UPDATE,
	ST_ORDER_OLD,
	ST_ORDER_ROWID,
	ST_ORDER_DELETE,
	ST_ORDER_DELETE_STEPS,
	ST_ORDER_DELETE_EVENTS,
	ST_ORDER_DELETE_PROMPTS,
	ST_META_PUT,
	ST_STEP_PUT,
	ST_EVENT_INSERT,
	ST_PROMPT_INSERT,
	ST_PROMPT_DONE,
	ST_REPOSITORY_PUT,
	ST_REPOSITORY_DELETE,
	ST_SETTING_PUT,
	ST_SETTING_DELETE,
	ST_CREDENTIAL_PUT,
	ST_CREDENTIAL_DELETE,
	ST_TOKEN_PUT,
	ST_TOKEN_DELETE,
	ST_TOKEN_USED,
	ST_SESSION_EXPIRE,
	ST_SESSION_INSERT,
	ST_SESSION_TRIM,
	ST_SESSION_DELETE,
	ST_DELIVERY_EXPIRE,
	ST_DELIVERY_INSERT,
	ST_ORDER_GET,
	ST_FIND_ANY,
	ST_FIND_OWN,
	ST_FIND_OWN_SHORT,
	ST_BY_KEY,
	ST_SCAN,
	ST_STEPS,
	ST_PROMPTS,
	ST_EVENTS,
	ST_EVENTS_ORDER,
	ST_EVENTS_LAST,
	ST_REPOSITORY_GET,
	ST_REPOSITORY_LIST,
	ST_SETTINGS,
	ST_CREDENTIAL_LIST,
	ST_CREDENTIAL_GET,
	ST_TOKEN_LIST,
	ST_TOKEN_FIND,
	ST_SESSION_FIND,
	ST_DELIVERY_FIND,
	ST_REPOSITORY_OWNER,
	ST_SECRETS,
	ST_BY_PULL_REQUEST,
	ST_BY_ISSUE,
	ST_TERMINAL,
	ST_PROMPTED,
	ST__COUNT
};

/* What a page of orders is filtered by: the bits choose its statement. */
enum {
	BY_UID = 1,
	BY_STATUS = 2,
	BY_URL = 4,
	BY_OWNER = 8,
	BY_Q = 16,
	BY_SINCE = 32,
	BY_UNTIL = 64,
	BY_CURSOR = 128,
	BY_STATUS_INDEX = 256, /* walk the index of the state, not the owner's */
	BY_STATUSES = 512
};

/* A statement that lists or counts orders: of so many kinds that not all of them are kept. */
struct kept_page {
	sqlite3_stmt *st; /* NULL: none, and none behind it */
	unsigned by;
	bool count;
};

struct conn {
	sqlite3 *db;
	sqlite3_stmt *st[ST__COUNT];
	struct kept_page page[PAGES]; /* the one used last is the first */
};

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

#define SKIP_NONE UINT64_C(0)
#define SKIP_ORDER P_BIT(order, queue_position) /* is computed */
#define SKIP_TOKEN (P_BIT(token, token) | P_BIT(token, uid)) /* never stored; stored by another name */
#define SKIP_SESSION (P_BIT(session, session) | P_BIT(session, uid))
/* What never changes is left out of updates, so that its indexes are not touched. */
#define SKIP_UPDATE                                                                                \
	(SKIP_ORDER | P_BIT(order, agent_work_order_id) | P_BIT(order, created_at) |               \
	    P_BIT(order, owner))

/* "a, b, c" of a type's fields, each with what stands before and behind its name. */
static void
add_fields(
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

static size_t
count_fields(const struct p_type *type, uint64_t skip)
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
	add_fields(b, type, skip, "", "");
	buf_printf(b, ", %s) VALUES (", extra);
	add_marks(b, count_fields(type, skip) + nextra);
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
	add_fields(b, type, skip, "", "");
	buf_printf(b, "%s %s", extra, rest);
}

/* Fields, then order_rowid, then the private columns: as read_order() takes them. */
static void
add_order_select(struct buf *b, const char *rest)
{
	buf_adds(b, "SELECT ");
	add_fields(b, &p_type_order, SKIP_ORDER, "", "");
	buf_adds(b, ", order_rowid");
	add_private(b, "");
	buf_printf(b, " FROM work_orders %s", rest);
}

static void
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
		add_fields(b, &p_type_order, SKIP_ORDER, "", "");
		add_private(b, "");
		buf_adds(b, ", order_rowid, idempotency_key) VALUES (");
		add_marks(b, count_fields(&p_type_order, SKIP_ORDER) + NPRIVATE + 2);
		buf_adds(b, ")");
		break;
	case ST_ORDER_UPDATE:
		buf_adds(b, "UPDATE work_orders SET ");
		add_fields(b, &p_type_order, SKIP_UPDATE, "", " = ?");
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
		add_fields(b, &p_type_session, SKIP_SESSION, "", "");
		buf_adds(b, ", owner_uid, is_login, hash) VALUES (");
		add_marks(b, count_fields(&p_type_session, SKIP_SESSION) + 3);
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

/* A statement ready to be bound: the cached one, or a fresh one when that is being stepped further
 * up the stack. */
static sqlite3_stmt *
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

/* Ends the use of a statement. Nothing of the caller's stays bound. */
static void
st_put(struct conn *c, enum st_id id, sqlite3_stmt *st)
{
	if (c->st[id] != st) {
		sqlite3_finalize(st);
		return;
	}
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
}

static void
conn_close(struct conn *c)
{
	for (int i = 0; i < ST__COUNT; i++)
		sqlite3_finalize(c->st[i]);
	for (int i = 0; i < PAGES; i++)
		sqlite3_finalize(c->page[i].st);
	sqlite3_close_v2(c->db);
	memset(c, 0, sizeof(*c));
}

/* ---- values in and out of statements, by the tables. Text is bound in place: it stays until
 * st_put(), which leaves NULL everywhere, so that NULL need not be bound. */

static void
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

/* Binds the fields from column *col on. A field that must be there is bound even when it was not
 * marked. */
static void
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

static char *
column_dup(sqlite3_stmt *st, int col)
{
	return xstrdup((const char *)sqlite3_column_text(st, col));
}

static json_t *
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

/* Reads the fields from column *col on into an uninitialised object. */
static void
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

static void
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
static void
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

/* ---- the store, its queues */

/* Orders of one owner by state, [0] the total; kept by the loop. */
struct owner_counts {
	struct owner_counts *next;
	uint32_t uid;
	int64_t n[NSTATES];
};
#define NBUCKETS 256

enum op_kind {
	OP_ORDER_INSERT,
	OP_ORDER_UPDATE,
	OP_ORDER_DELETE,
	OP_STEP_PUT,
	OP_EVENT,
	OP_PROMPT_INSERT,
	OP_PROMPT_DONE,
	OP_REPOSITORY_PUT,
	OP_REPOSITORY_DELETE,
	OP_SETTING_PUT,
	OP_CREDENTIAL_PUT,
	OP_CREDENTIAL_DELETE,
	OP_TOKEN_PUT,
	OP_TOKEN_DELETE,
	OP_TOKEN_USED,
	OP_SESSION_PUT,
	OP_SESSION_DELETE,
	OP_DELIVERY
};

/* One change. Which members are used depends on the kind. */
struct op {
	struct op *next;
	enum op_kind kind;
	bool flag; /* shared; any owner; login link */
	uint32_t uid;
	int64_t n; /* prompt id; time; sessions that may be */
	int64_t at; /* when it was asked for */
	struct order_row *row;
	const struct p_type *type; /* of obj */
	void *obj;
	char *id, *name, *text;
	void *blob;
	size_t len;
};

/* An order came into or left a state: for the counters. */
struct delta {
	uint32_t uid;
	enum p_order_status from, to; /* order_status_none: was not there, is gone */
};

enum job_kind { JOB_TX, JOB_LIST, JOB_BACKUP };

struct job {
	struct job *next;
	enum job_kind kind;
	struct awo_err err;
	void *arg;
};

struct store_tx {
	struct job job;
	struct store *s;
	struct op *first, **last;
	store_done *done;
	struct op *taken; /* whose row is the callback's in the end */
	bool kept; /* by the callback */
	bool *chain_broken; /* the store thread's to read and write */
	enum store_link link;
	/* filled by the store thread */
	int64_t *event_ids;
	size_t nevents, nexpected;
	int64_t rowid;
	struct delta *deltas;
	size_t ndeltas;
	/* the order that was last looked up */
	char last_id[ID_ORDER_LEN + 1];
	int64_t last_rowid;
};

struct page_query {
	unsigned by;
	uint32_t uid;
	enum p_order_status status;
	unsigned statuses; /* W_ bits, of BY_STATUSES */
	char *url, *owner, *q;
	int64_t since, until, cursor, limit, offset;
	int64_t total; /* known, or -1: to be counted */
};

struct list_job {
	struct job job;
	struct page_query q;
	struct p_order_list_answer page;
	store_list_done *done;
};

struct backup_job {
	struct job job;
	char *path;
	void (*done)(void *arg, const struct awo_err *err, int64_t size);
	int64_t size;
	sqlite3 *to;
	sqlite3_backup *copy;
};

/*
 * How a thread is told that a queue is no longer empty: one byte. A pipe, because the kernel lets the reader of one follow on
 * the writer's processor when the writer is about to sleep; whoever waits for a condition or an eventfd is given an idle
 * processor, and waking that takes longer than all that the thread then does for one order.
 */
struct bell {
	int wait, ring;
};

/* What a user has registered under an id or URL. */
struct recent_repository {
	uint32_t uid;
	char *name; /* NULL: nothing is kept here */
	bool there;
	struct p_repository repository;
};

struct store {
	char *path;	    /* NULL: in memory */
	struct conn writer; /* the thread's, after the start */
	struct conn reader; /* the loop's */
	/*
	 * In memory there is no write-ahead log: the reader would meet locks. So the two take
	 * turns; a batch without a disk is short. Recursive: a row's callback may read again.
	 */
	pthread_mutex_t turn;

	pthread_t thread;
	bool started;
	pthread_mutex_t lock; /* the queues */
	pthread_cond_t idle;
	struct job *in, **in_last;
	struct job *out, **out_last;
	size_t busy;  /* jobs that the thread has taken and not yet handed back */
	bool waiting; /* the thread, for its bell */
	atomic_bool has_in; /* the same as in != NULL, for the thread when it watches for it without the lock */
	bool stop;
	struct bell jobs, answers;
	struct event *ev;
	atomic_bool broken;

	/* store thread only */
	int64_t last_event, last_order;
	struct backup_job *backup;

	/* loop only */
	void (*changed)(void *arg);
	void *changed_arg;
	int64_t last_prompt;
	struct order_row *recent[RECENT], *lent;
	struct recent_repository repositories[RECENT_REPOSITORIES];
	struct owner_counts *counts[NBUCKETS];
	int64_t totals[NSTATES];
};

static void
lock_turn(struct store *s)
{
	if (!s->path)
		pthread_mutex_lock(&s->turn);
}

static void
unlock_turn(struct store *s)
{
	if (!s->path)
		pthread_mutex_unlock(&s->turn);
}

static int
bell_open(struct bell *b, int flags, struct awo_err *err)
{
	int fd[2];

	if (pipe2(fd, O_CLOEXEC | flags) < 0)
		return ERR(err, RESOURCE_EXHAUSTED, "", "pipe: %s", strerror(errno));
	*b = (struct bell){.wait = fd[0], .ring = fd[1]};
	return 0;
}

static void
bell_close(struct bell *b)
{
	if (b->wait >= 0)
		close(b->wait);
	if (b->ring >= 0)
		close(b->ring);
	*b = (struct bell){-1, -1};
}

static void
bell_ring(const struct bell *b)
{
	ssize_t n = write(b->ring, "", 1);

	(void)n; /* full means that it rings already */
}

/* Until it has rung, or for less: a signal, or a ring that was not waited for. */
static void
bell_wait(const struct bell *b)
{
	char rings[64];
	ssize_t n = read(b->wait, rings, sizeof(rings));

	(void)n;
}

static struct owner_counts *
counts_of(struct store *s, uint32_t uid, bool make)
{
	struct owner_counts **p = &s->counts[uid % NBUCKETS];

	while (*p && (*p)->uid != uid)
		p = &(*p)->next;
	if (!*p && make) {
		*p = xcalloc(1, sizeof(**p));
		(*p)->uid = uid;
	}
	return *p;
}

static void
count_order(struct store *s, uint32_t uid, enum p_order_status status, int64_t n)
{
	struct owner_counts *c = counts_of(s, uid, true);

	c->n[status] += n;
	c->n[order_status_none] += n;
	s->totals[status] += n;
	s->totals[order_status_none] += n;
}

/* ---- transactions: made by the loop */

struct store_tx *
store_tx(struct store *s)
{
	struct store_tx *tx = xcalloc(1, sizeof(*tx));

	tx->job.kind = JOB_TX;
	tx->s = s;
	tx->last = &tx->first;
	return tx;
}

static struct op *
add_op(struct store_tx *tx, enum op_kind kind)
{
	struct op *op = xcalloc(1, sizeof(*op));

	op->kind = kind;
	*tx->last = op;
	tx->last = &op->next;
	return op;
}

static void
set_obj(struct op *op, const struct p_type *type, const void *obj)
{
	op->type = type;
	op->obj = xcalloc(1, type->size);
	p_copy(type, op->obj, obj);
}

static void
set_blob(struct op *op, const void *p, size_t len)
{
	op->blob = xcalloc(1, len + 1);
	memcpy(op->blob, p, len);
	op->len = len;
}

static void
op_free(struct op *op)
{
	if (op->row) {
		order_row_free(op->row);
		free(op->row);
	}
	if (op->obj)
		p_free(op->type, op->obj);
	free(op->obj);
	free(op->id);
	free(op->name);
	free(op->text);
	free(op->blob);
	free(op);
}

static void
tx_free(struct store_tx *tx)
{
	while (tx->first) {
		struct op *op = tx->first;

		tx->first = op->next;
		op_free(op);
	}
	free(tx->event_ids);
	free(tx->deltas);
	free(tx);
}

void
store_tx_order_insert(struct store_tx *tx, const struct order_row *r, const char *idempotency_key)
{
	struct op *op = add_op(tx, OP_ORDER_INSERT);

	op->row = order_row_dup(r);
	op->name = xstrdup(idempotency_key);
}

void
store_tx_order_take(struct store_tx *tx, struct order_row *r, const char *idempotency_key)
{
	struct op *op = add_op(tx, OP_ORDER_INSERT);

	op->row = r;
	op->name = xstrdup(idempotency_key);
	tx->taken = op;
}

void
store_tx_order_update(struct store_tx *tx, const struct order_row *r)
{
	add_op(tx, OP_ORDER_UPDATE)->row = order_row_dup(r);
}

void
store_tx_chain(struct store_tx *tx, bool *broken, enum store_link link)
{
	tx->chain_broken = broken;
	tx->link = link;
}

/* As if the transaction had not been tried. */
static void
reset_tx(struct store_tx *tx)
{
	memset(&tx->job.err, 0, sizeof(tx->job.err));
	tx->nevents = tx->ndeltas = 0;
	tx->rowid = tx->last_rowid = 0;
}

struct store_tx *
store_tx_keep(const struct store_commit *commit)
{
	struct store_tx *tx = commit->tx;

	tx->kept = true;
	reset_tx(tx);
	return tx;
}

void
store_tx_drop(struct store_tx *tx)
{
	tx_free(tx);
}

void
store_tx_order_delete(struct store_tx *tx, const char *id)
{
	add_op(tx, OP_ORDER_DELETE)->id = xstrdup(id);
}

void
store_tx_step_put(struct store_tx *tx, const char *id, const struct p_step *step)
{
	struct op *op = add_op(tx, OP_STEP_PUT);

	op->id = xstrdup(id);
	set_obj(op, &p_type_step, step);
}

void
store_tx_event(struct store_tx *tx, const char *id, const char *event, const char *line)
{
	struct op *op = add_op(tx, OP_EVENT);

	op->id = xstrdup(id);
	op->name = xstrdup(event);
	op->text = xstrdup(line);
	tx->nexpected++;
}

int64_t
store_tx_prompt_insert(struct store_tx *tx, const char *id, const char *text, uint32_t by_uid)
{
	struct op *op = add_op(tx, OP_PROMPT_INSERT);

	op->id = xstrdup(id);
	op->text = xstrdup(text);
	op->uid = by_uid;
	op->n = ++tx->s->last_prompt;
	op->at = clock_wall_us();
	return op->n;
}

void
store_tx_prompt_done(struct store_tx *tx, int64_t prompt_id)
{
	add_op(tx, OP_PROMPT_DONE)->n = prompt_id;
}

void
store_tx_repository_put(struct store_tx *tx, uint32_t owner_uid, const struct p_repository *r)
{
	struct op *op = add_op(tx, OP_REPOSITORY_PUT);

	op->uid = owner_uid;
	set_obj(op, &p_type_repository, r);
}

void
store_tx_repository_delete(struct store_tx *tx, uint32_t owner_uid, const char *id)
{
	struct op *op = add_op(tx, OP_REPOSITORY_DELETE);

	op->uid = owner_uid;
	op->id = xstrdup(id);
}

void
store_tx_setting_put(struct store_tx *tx, const char *key, const char *json)
{
	struct op *op = add_op(tx, OP_SETTING_PUT);

	op->name = xstrdup(key);
	op->text = xstrdup(json);
}

void
store_tx_credential_put(struct store_tx *tx, uint32_t owner_uid, bool shared,
    const struct p_credential *c, const void *sealed, size_t len)
{
	struct op *op = add_op(tx, OP_CREDENTIAL_PUT);

	op->uid = owner_uid;
	op->flag = shared;
	set_obj(op, &p_type_credential, c);
	set_blob(op, sealed, len);
}

void
store_tx_credential_delete(struct store_tx *tx, uint32_t owner_uid, const char *name)
{
	struct op *op = add_op(tx, OP_CREDENTIAL_DELETE);

	op->uid = owner_uid;
	op->name = xstrdup(name);
}

void
store_tx_token_put(
    struct store_tx *tx, uint32_t owner_uid, const struct p_token *t, const unsigned char hash[32])
{
	struct op *op = add_op(tx, OP_TOKEN_PUT);

	op->uid = owner_uid;
	set_obj(op, &p_type_token, t);
	set_blob(op, hash, 32);
}

void
store_tx_token_delete(struct store_tx *tx, uint32_t owner_uid, bool any_owner, const char *id)
{
	struct op *op = add_op(tx, OP_TOKEN_DELETE);

	op->uid = owner_uid;
	op->flag = any_owner;
	op->id = xstrdup(id);
}

void
store_tx_token_used(struct store_tx *tx, const unsigned char hash[32], int64_t when_us)
{
	struct op *op = add_op(tx, OP_TOKEN_USED);

	op->n = when_us;
	set_blob(op, hash, 32);
}

void
store_tx_session_put(struct store_tx *tx, bool login, const struct p_session *k, const unsigned char hash[32],
    int64_t keep)
{
	struct op *op = add_op(tx, OP_SESSION_PUT);

	op->uid = (uint32_t)k->uid;
	op->flag = login;
	op->n = keep;
	set_obj(op, &p_type_session, k);
	set_blob(op, hash, 32);
}

void
store_tx_session_take(struct store_tx *tx, bool login, const unsigned char hash[32])
{
	struct op *op = add_op(tx, OP_SESSION_DELETE);

	op->flag = login;
	set_blob(op, hash, 32);
}

void
store_tx_delivery(struct store_tx *tx, const struct store_delivery *d, const char *order_id)
{
	struct op *op = add_op(tx, OP_DELIVERY);

	op->name = xstrdup(d->delivery_id);
	op->text = xstrdup(d->object);
	op->id = xstrdup(order_id);
	op->n = clock_wall_us();
}

static void
enqueue(struct store *s, struct job *job)
{
	bool waiting;

	pthread_mutex_lock(&s->lock);
	job->next = NULL;
	*s->in_last = job;
	s->in_last = &job->next;
	atomic_store_explicit(&s->has_in, true, memory_order_relaxed);
	waiting = s->waiting;
	s->waiting = false;
	pthread_mutex_unlock(&s->lock);
	if (waiting)
		bell_ring(&s->jobs);
}

void
store_tx_commit(struct store_tx *tx, store_done *done, void *arg)
{
	tx->done = done;
	tx->kept = false;
	tx->job.arg = arg;
	enqueue(tx->s, &tx->job);
}

/* ---- transactions: run by the store thread */

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

static int
no_order(const char *id, struct awo_err *err)
{
	return ERR(err, NOT_FOUND, "agent_work_order_id", "there is no order %.64s", id);
}

/* As rowid_of(), but an order that is not there is an error. */
static int64_t
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

/*
 * The transactions at the head of a list in one commit. Returns the first job that is not part of it. They are tried without
 * savepoints, which would copy every page that each of them touches; when one fails, all are undone and done again.
 */
static struct job *
do_batch(struct store *s, struct job *first)
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

/* ---- pages of orders, by either connection */

static void
add_where(struct buf *b, unsigned by)
{
	static const struct {
		unsigned bit;
		const char *text;
	} terms[] = {
	    {BY_UID, "owner_uid = ?1"},
	    {BY_STATUS, "status = ?2"},
	    {BY_STATUSES, "status IN (?11, ?12, ?13, ?14, ?15, ?16, ?17)"},
	    {BY_URL, "canonical_url = ?3"},
	    {BY_OWNER, "owner = ?4"},
	    {BY_Q,
		"(user_request LIKE ?5 ESCAPE '\\' OR repository_url LIKE ?5 ESCAPE '\\' OR "
		"git_branch_name LIKE ?5 ESCAPE '\\' OR agent_work_order_id LIKE ?5 ESCAPE '\\')"},
	    {BY_SINCE, "created_at >= ?6"},
	    {BY_UNTIL, "created_at < ?7"},
	    {BY_CURSOR, "order_rowid < ?8"},
	};
	const char *joint = " WHERE ";

	for (size_t i = 0; i < sizeof(terms) / sizeof(terms[0]); i++) {
		if (!(by & terms[i].bit))
			continue;
		buf_adds(b, joint);
		/* a plus keeps the column's index out of it: the other one is shorter */
		if ((terms[i].bit == BY_UID && (by & BY_STATUS_INDEX)) ||
		    (terms[i].bit == BY_STATUS && (by & BY_UID) && !(by & BY_STATUS_INDEX)))
			buf_addc(b, '+');
		buf_adds(b, terms[i].text);
		joint = " AND ";
	}
}

static sqlite3_stmt *
page_st(struct conn *c, unsigned by, bool count, struct awo_err *err)
{
	struct kept_page found = {.by = by, .count = count};
	struct buf sql CLEAN_BUF = {0};
	size_t i = 0;
	int rc;

	while (i < PAGES - 1 && c->page[i].st && (c->page[i].by != by || c->page[i].count != count))
		i++;
	if (c->page[i].st && c->page[i].by == by && c->page[i].count == count) {
		found = c->page[i];
		memmove(&c->page[1], &c->page[0], i * sizeof(c->page[0]));
		c->page[0] = found;
		return found.st;
	}
	if (count)
		buf_adds(&sql, "SELECT count(*) FROM work_orders");
	else {
		buf_adds(&sql, "SELECT ");
		add_fields(&sql, &p_type_order, SKIP_ORDER, "", "");
		buf_adds(&sql, ", order_rowid FROM work_orders");
	}
	add_where(&sql, by);
	if (!count)
		buf_adds(&sql, " ORDER BY order_rowid DESC LIMIT ?9 OFFSET ?10");
	rc = sqlite3_prepare_v3(
	    c->db, sql.p, (int)sql.len + 1, SQLITE_PREPARE_PERSISTENT, &found.st, NULL);
	if (rc != SQLITE_OK) {
		sqlite_error(c->db, rc, "cannot use the database", err);
		return NULL;
	}
	/* the place of the one that was used longest ago, or a free one */
	sqlite3_finalize(c->page[i].st);
	memmove(&c->page[1], &c->page[0], i * sizeof(c->page[0]));
	c->page[0] = found;
	return found.st;
}

static void
bind_page(sqlite3_stmt *st, const struct page_query *q, unsigned by)
{
	if (by & BY_UID)
		sqlite3_bind_int64(st, 1, q->uid);
	if (by & BY_STATUS)
		bind_text(st, 2, P_ENUM_NAME(order_status, q->status));
	/* what is not bound is no state */
	for (int i = 1, at = 11; by & BY_STATUSES && p_enum_name(&p_enum_order_status, i); i++)
		if (q->statuses & 1U << i)
			bind_text(st, at++, p_enum_name(&p_enum_order_status, i));
	if (by & BY_URL)
		bind_text(st, 3, q->url);
	if (by & BY_OWNER)
		bind_text(st, 4, q->owner);
	if (by & BY_Q)
		bind_text(st, 5, q->q);
	if (by & BY_SINCE)
		sqlite3_bind_int64(st, 6, q->since);
	if (by & BY_UNTIL)
		sqlite3_bind_int64(st, 7, q->until);
	if (by & BY_CURSOR)
		sqlite3_bind_int64(st, 8, q->cursor);
}

static int
run_count(struct conn *c, const struct page_query *q, int64_t *total, struct awo_err *err)
{
	unsigned by = q->by & ~(unsigned)BY_CURSOR;
	sqlite3_stmt *st = page_st(c, by, true, err);
	int rc;

	if (!st)
		return -1;
	bind_page(st, q, by);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*total = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return rc == SQLITE_ROW ? 0 : sqlite_error(c->db, rc, "cannot read the database", err);
}

static int
run_page(struct conn *c, const struct page_query *q, struct p_order_list_answer *page,
    struct awo_err *err)
{
	int64_t last = 0, total = q->total;
	sqlite3_stmt *st;
	char cursor[32];
	int rc;

	memset(page, 0, sizeof(*page));
	if (!(st = page_st(c, q->by, false, err)))
		return -1;
	bind_page(st, q, q->by);
	sqlite3_bind_int64(st, 9, q->limit + 1); /* one more tells whether there are more */
	sqlite3_bind_int64(st, 10, q->offset);
	page->agent_work_orders.v = xcalloc((size_t)q->limit, sizeof(*page->agent_work_orders.v));
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		int col = 0;

		if ((int64_t)page->agent_work_orders.n == q->limit) {
			page->has_more = true;
			rc = SQLITE_DONE;
			break;
		}
		read_fields(st, &col, &p_type_order,
		    &page->agent_work_orders.v[page->agent_work_orders.n++], SKIP_ORDER);
		last = sqlite3_column_int64(st, col);
	}
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	if (rc != SQLITE_DONE) {
		sqlite_error(c->db, rc, "cannot read the database", err);
		P_FREE(order_list_answer, page);
		return -1;
	}
	/* a first page that is the last one has counted them */
	if (total < 0 && !page->has_more && q->offset == 0 && !(q->by & BY_CURSOR))
		total = (int64_t)page->agent_work_orders.n;
	if (total < 0 && run_count(c, q, &total, err) < 0) {
		P_FREE(order_list_answer, page);
		return -1;
	}
	P_MARK(order_list_answer, page, agent_work_orders);
	P_SET(order_list_answer, page, total_count, total);
	P_MARK(order_list_answer, page, has_more);
	if (page->has_more) {
		snprintf(cursor, sizeof(cursor), "o%" PRIx64, (uint64_t)last);
		P_SETS(order_list_answer, page, next_cursor, cursor);
	}
	return 0;
}

static void
page_query_free(struct page_query *q)
{
	free(q->url);
	free(q->owner);
	free(q->q);
}

/* ---- backup, a piece at a time between commits */

static void
backup_end(struct store *s, int rc)
{
	struct backup_job *b = s->backup;
	struct stat st;

	sqlite3_backup_finish(b->copy);
	if (rc != SQLITE_OK)
		sqlite_error(b->to, rc, "cannot write the backup", &b->job.err);
	sqlite3_close_v2(b->to);
	b->to = NULL;
	if (b->job.err.code == AWO_OK && stat(b->path, &st) == 0)
		b->size = st.st_size;
	if (b->job.err.code != AWO_OK)
		unlink(b->path);
	s->backup = NULL;
}

/* Makes the file and starts to copy. False with *err set; then there is no file. */
static bool
backup_begin(
    sqlite3 *from, const char *path, sqlite3 **to, sqlite3_backup **copy, struct awo_err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	int rc;

	*to = NULL;
	*copy = NULL;
	if (fd < 0 && errno == EEXIST) {
		ERR(err, ALREADY_EXISTS, "path", "%.512s is there already; name a new file", path);
		return false;
	}
	if (fd < 0) {
		ERR(err, UNAVAILABLE, "path",
		    "cannot make %.512s: %s; awod's user must be able to write to that directory",
		    path, strerror(errno));
		return false;
	}
	close(fd);
	rc = sqlite3_open_v2(path, to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc == SQLITE_OK)
		*copy = sqlite3_backup_init(*to, "main", from, "main");
	if (*copy)
		return true;
	sqlite_error(
	    *to, rc == SQLITE_OK ? sqlite3_errcode(*to) : rc, "cannot write the backup", err);
	sqlite3_close_v2(*to);
	*to = NULL;
	unlink(path);
	return false;
}

/* Copies some pages. True when the backup has ended, well or not. */
static bool
backup_step(struct store *s)
{
	int rc = sqlite3_backup_step(s->backup->copy, BACKUP_PAGES);

	if (rc == SQLITE_OK || rc == SQLITE_BUSY || rc == SQLITE_LOCKED)
		return false;
	backup_end(s, rc == SQLITE_DONE ? SQLITE_OK : rc);
	return true;
}

/* ---- the thread */

static void
hand_back(struct store *s, struct job *first, const struct job *end)
{
	bool first_answer;

	pthread_mutex_lock(&s->lock);
	first_answer = !s->out;
	while (first != end) {
		struct job *next = first->next;

		first->next = NULL;
		*s->out_last = first;
		s->out_last = &first->next;
		s->busy--;
		first = next;
	}
	if (s->busy == 0 && !s->in)
		pthread_cond_broadcast(&s->idle);
	pthread_mutex_unlock(&s->lock);
	if (first_answer)
		bell_ring(&s->answers);
}

/* Runs the jobs at the head of a list that belong together; returns the first that does not. */
static struct job *
do_jobs(struct store *s, struct job *first)
{
	struct job *end = first->next;
	struct backup_job *b;
	struct list_job *l;

	lock_turn(s);
	switch (first->kind) {
	case JOB_TX:
		end = do_batch(s, first);
		break;
	case JOB_LIST:
		l = (struct list_job *)first;
		run_page(&s->writer, &l->q, &l->page, &l->job.err);
		break;
	case JOB_BACKUP:
		b = (struct backup_job *)first;
		if (b->job.err.code != AWO_OK)
			break;
		if (s->backup)
			ERR(&b->job.err, FAILED_PRECONDITION, "path",
			    "another backup is being written; wait for its end");
		else if (backup_begin(s->writer.db, b->path, &b->to, &b->copy, &b->job.err)) {
			s->backup = b;
			unlock_turn(s);
			return end; /* handed back by the last piece */
		}
		break;
	}
	unlock_turn(s);
	hand_back(s, first, end);
	return end;
}

/*
 * Who hands in one job after the other, and awaits each, would find the thread asleep each time, and its processor with it: to
 * wake both takes longer than the job. So a thread whose last job came soon watches for the next one, for as long.
 */
static void
watch(struct store *s, int64_t until)
{
	while (!atomic_load_explicit(&s->has_in, memory_order_relaxed) && clock_mono_us() < until)
		;
}

/* Whether another processor can be at work while this thread watches. */
static bool
may_watch(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 1;
}

static void *
store_thread(void *arg)
{
	struct store *s = arg;
	bool may = may_watch(), soon = false;

	pthread_setname_np(pthread_self(), "store");
	for (;;) {
		int64_t idle_since = clock_mono_us();
		struct job *jobs;
		size_t n = 0;

		if (may && soon && !s->backup)
			watch(s, idle_since + SOON_US);
		pthread_mutex_lock(&s->lock);
		while (!s->in && !s->stop && !s->backup) {
			s->waiting = true;
			pthread_mutex_unlock(&s->lock);
			bell_wait(&s->jobs);
			pthread_mutex_lock(&s->lock);
		}
		s->waiting = false;
		soon = clock_mono_us() - idle_since < SOON_US;
		jobs = s->in;
		s->in = NULL;
		atomic_store_explicit(&s->has_in, false, memory_order_relaxed);
		s->in_last = &s->in;
		for (struct job *j = jobs; j; j = j->next)
			n++;
		s->busy += n;
		if (!jobs && !s->backup) {
			pthread_mutex_unlock(&s->lock);
			return NULL;
		}
		pthread_mutex_unlock(&s->lock);

		while (jobs)
			jobs = do_jobs(s, jobs);
		if (s->backup) {
			struct backup_job *b = s->backup;
			bool ended;

			lock_turn(s);
			ended = backup_step(s);
			unlock_turn(s);
			if (ended) {
				b->job.next = NULL;
				hand_back(s, &b->job, NULL);
			}
		}
	}
}

/* ---- orders that were asked for lately: whoever shows or awaits an order asks again and again; and the same with repositories
 * for which orders are handed in */

static unsigned
hash_of(const char *text)
{
	unsigned n = 0;

	while (*text)
		n = n * 31 + (unsigned char)*text++;
	return n;
}

static struct order_row **
recent_slot(struct store *s, const char *id)
{
	return &s->recent[hash_of(id) % RECENT];
}

static size_t
text_size(const char *text)
{
	return text ? strlen(text) : 0;
}

static void
recent_clear(struct order_row **slot)
{
	order_row_free(*slot);
	free(*slot);
	*slot = NULL;
}

static void
repository_clear(struct recent_repository *r)
{
	P_FREE(repository, &r->repository);
	free(r->name);
	memset(r, 0, sizeof(*r));
}

static void
forget_repositories(struct store *s)
{
	for (int i = 0; i < RECENT_REPOSITORIES; i++)
		repository_clear(&s->repositories[i]);
}

/* What a transaction may have changed is read again, whether it succeeded or not. */
static void
forget_recent(struct store *s, const struct store_tx *tx)
{
	for (const struct op *op = tx->first; op; op = op->next)
		if (op->kind == OP_ORDER_UPDATE && op->row->pub.agent_work_order_id)
			recent_clear(recent_slot(s, op->row->pub.agent_work_order_id));
		else if (op->kind == OP_ORDER_DELETE)
			recent_clear(recent_slot(s, op->id));
		else if (op->kind == OP_REPOSITORY_PUT || op->kind == OP_REPOSITORY_DELETE)
			forget_repositories(s);
}

/* ---- answers, in the loop */

static void
answer_tx(struct store *s, struct store_tx *tx)
{
	const struct store_commit commit = {.event_ids = tx->event_ids,
	    .nevents = tx->nevents,
	    .rowid = tx->rowid,
	    .row = tx->taken ? tx->taken->row : NULL,
	    .tx = tx};

	if (tx->taken)
		tx->taken->row = NULL;
	forget_recent(s, tx);
	if (s->changed)
		s->changed(s->changed_arg);
	if (tx->job.err.code == AWO_OK)
		for (size_t i = 0; i < tx->ndeltas; i++) {
			const struct delta *d = &tx->deltas[i];

			if (d->from != order_status_none)
				count_order(s, d->uid, d->from, -1);
			if (d->to != order_status_none)
				count_order(s, d->uid, d->to, 1);
		}
	if (tx->done)
		tx->done(tx->job.arg, tx->job.err.code == AWO_OK ? NULL : &tx->job.err, &commit);
	else if (tx->job.err.code != AWO_OK)
		log_error("store_change_failed", LS("error", tx->job.err.msg));
	if (!tx->kept)
		tx_free(tx);
}

static void
answer(struct store *s, struct job *j)
{
	const struct awo_err *err = j->err.code == AWO_OK ? NULL : &j->err;
	struct backup_job *b;
	struct list_job *l;

	switch (j->kind) {
	case JOB_TX:
		answer_tx(s, (struct store_tx *)j);
		break;
	case JOB_LIST:
		l = (struct list_job *)j;
		l->done(j->arg, err, err ? NULL : &l->page);
		P_FREE(order_list_answer, &l->page);
		page_query_free(&l->q);
		free(l);
		break;
	case JOB_BACKUP:
		b = (struct backup_job *)j;
		b->done(j->arg, err, b->size);
		free(b->path);
		free(b);
		break;
	}
}

static void
answer_all(struct store *s)
{
	struct job *j;

	pthread_mutex_lock(&s->lock);
	j = s->out;
	s->out = NULL;
	s->out_last = &s->out;
	pthread_mutex_unlock(&s->lock);
	while (j) {
		struct job *next = j->next;

		answer(s, j);
		j = next;
	}
}

static void
on_answers(evutil_socket_t fd, short what, void *arg)
{
	struct store *s = arg;

	(void)fd;
	(void)what;
	bell_wait(&s->answers); /* it does not block */
	answer_all(s);
}

void
store_flush(struct store *s)
{
	bool more;

	do {
		pthread_mutex_lock(&s->lock);
		while (s->in || s->busy > 0)
			pthread_cond_wait(&s->idle, &s->lock);
		pthread_mutex_unlock(&s->lock);
		answer_all(s);
		/* a callback may have queued more */
		pthread_mutex_lock(&s->lock);
		more = s->in || s->busy > 0 || s->out;
		pthread_mutex_unlock(&s->lock);
	} while (more);
}

/* ---- opening, migrations */

static int
exec(sqlite3 *db, const char *sql, const char *what, struct awo_err *err)
{
	int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : sqlite_error(db, rc, what, err);
}

static int
get_number(sqlite3 *db, const char *sql, int64_t *out, struct awo_err *err)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);

	*out = 0;
	if (rc == SQLITE_OK) {
		rc = sqlite3_step(st);
		if (rc == SQLITE_ROW) {
			*out = sqlite3_column_int64(st, 0);
			rc = SQLITE_DONE;
		}
	}
	sqlite3_finalize(st);
	return rc == SQLITE_DONE || rc == SQLITE_OK
		   ? 0
		   : sqlite_error(db, rc, "cannot read the database", err);
}

static int
open_conn(struct store *s, const char *uri, const char *vfs, struct conn *c, int cache_kib,
    struct awo_err *err)
{
	char sql[120];
	int rc;

	rc = sqlite3_open_v2(uri, &c->db,
	    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI,
	    vfs);
	if (rc != SQLITE_OK)
		return sqlite_error(c->db, rc, s->path ? s->path : "memory", err);
	sqlite3_extended_result_codes(c->db, 1);
	sqlite3_busy_timeout(c->db, 5000);
	sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(c->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	snprintf(sql, sizeof(sql),
	    "PRAGMA synchronous = FULL; PRAGMA cache_size = -%d; PRAGMA temp_store = MEMORY", cache_kib);
	return exec(c->db, sql, "cannot use the database", err);
}

static int
set_journal(struct store *s, struct awo_err *err)
{
	sqlite3_stmt *st = NULL;
	int rc = SQLITE_ROW;
	bool wal = false;

	if (!s->path)
		return 0;
	rc = sqlite3_prepare_v2(s->writer.db, "PRAGMA journal_mode = WAL", -1, &st, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		wal = strcmp((const char *)sqlite3_column_text(st, 0), "wal") == 0;
	sqlite3_finalize(st);
	if (rc != SQLITE_ROW)
		return sqlite_error(s->writer.db, rc, s->path, err);
	if (!wal)
		return ERR(err, UNAVAILABLE, "",
		    "%.512s: the file system has no shared memory for a write-ahead log; put "
		    "storage.directory on a local one",
		    s->path);
	/*
	 * Once the log has its full size, a sync does not wait for the file's own growth, which takes half as long again: 2000
	 * pages are reached soon, and the copying that they put off is still shared by hundreds of commits.
	 */
	return exec(s->writer.db, "PRAGMA wal_autocheckpoint = 2000", s->path, err);
}

static int
backup_whole(struct store *s, const char *dir, int64_t version, struct awo_err *err)
{
	char *path CLEAN_FREE =
	    xasprintf("%s/awo-schema-%" PRId64 "-%" PRId64 ".db", dir, version, clock_wall_us());
	sqlite3_backup *copy;
	sqlite3 *to;
	int rc;

	if (!backup_begin(s->writer.db, path, &to, &copy, err))
		return awo_err_prefix(err, "cannot copy the database before its migration: ");
	rc = sqlite3_backup_step(copy, -1);
	sqlite3_backup_finish(copy);
	if (rc != SQLITE_DONE) {
		sqlite_error(to, rc, "cannot copy the database before its migration", err);
		sqlite3_close_v2(to);
		unlink(path);
		return -1;
	}
	sqlite3_close_v2(to);
	log_info("database_copied", LS("path", path), LI("schema", version));
	return 0;
}

/* Whether the file is ours and of a version that we know: before anything in it is changed. */
static int
check_database(struct store *s, int64_t *version, struct awo_err *err)
{
	sqlite3 *db = s->writer.db;
	int64_t application, tables;

	if (get_number(db, "PRAGMA user_version", version, err) < 0 ||
	    get_number(db, "PRAGMA application_id", &application, err) < 0 ||
	    get_number(db, "SELECT count(*) FROM sqlite_master", &tables, err) < 0)
		return -1;
	if (tables > 0 && application != APPLICATION_ID)
		return ERR(err, FAILED_PRECONDITION, "",
		    "%.512s is not a database of AWO; move it away or set storage.directory",
		    s->path);
	if (*version < 0 || *version > nmigrations)
		return ERR(err, FAILED_PRECONDITION, "",
		    "%.512s was made by a newer version of AWO (schema %" PRId64
		    ", this version knows %d); install that version, or "
		    "put a backup made before its first start in the file's place",
		    s->path, *version, nmigrations);
	return 0;
}

static int
migrate(struct store *s, int64_t version, const char *backup_dir, struct awo_err *err)
{
	sqlite3 *db = s->writer.db;
	bool is_new = version == 0; /* there is nothing to lose */

	for (; version < nmigrations; version++) {
		char number[160];

		if (!is_new && backup_dir && backup_whole(s, backup_dir, version, err) < 0)
			return -1;
		snprintf(number, sizeof(number),
		    "PRAGMA application_id = %d; PRAGMA user_version = %" PRId64 "; COMMIT",
		    APPLICATION_ID, version + 1);
		if (exec(db, "BEGIN IMMEDIATE", "cannot migrate the database", err) < 0)
			return -1;
		if (exec(db, migrations[version].sql, migrations[version].name, err) < 0 ||
		    exec(db, number, migrations[version].name, err) < 0) {
			sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
			return -1;
		}
		log_info("database_migrated", LS("migration", migrations[version].name));
	}
	return 0;
}

static int
load_counts(struct store *s, struct awo_err *err)
{
	sqlite3_stmt *st = NULL;
	/* counted here: GROUP BY would sort all of them first, in megabytes that the heap then keeps */
	int rc = sqlite3_prepare_v2(
	    s->writer.db, "SELECT owner_uid, status FROM work_orders", -1, &st, NULL);

	if (rc == SQLITE_OK)
		while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
			int status = p_enum_value(
			    &p_enum_order_status, (const char *)sqlite3_column_text(st, 1));

			if (status != 0)
				count_order(s, (uint32_t)sqlite3_column_int64(st, 0),
				    (enum p_order_status)status, 1);
		}
	sqlite3_finalize(st);
	return rc == SQLITE_DONE ? 0
				 : sqlite_error(s->writer.db, rc, "cannot read the database", err);
}

static int
load_numbers(struct store *s, struct awo_err *err)
{
	return get_number(s->writer.db,
		   "SELECT max(coalesce((SELECT max(id) FROM events), 0), "
		   "coalesce((SELECT value FROM meta WHERE name = 'last_event'), 0))",
		   &s->last_event, err) < 0 ||
		       get_number(s->writer.db,
			   "SELECT max(coalesce((SELECT max(order_rowid) FROM work_orders), 0), "
			   "coalesce((SELECT value FROM meta WHERE name = 'last_order'), 0))",
			   &s->last_order, err) < 0 ||
		       /* AUTOINCREMENT's own memory: of prompts whose order is gone, too */
		       get_number(s->writer.db,
			   "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'prompts'), 0)",
			   &s->last_prompt, err) < 0
		   ? -1
		   : 0;
}

/* The file with the mode that its siblings take over from it: nobody else's. */
static int
make_file(const char *path, struct awo_err *err)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct stat st;

	if (fd < 0)
		return ERR(err, UNAVAILABLE, "",
		    "cannot open the database %.512s: %s; check owner and mode of the file and its "
		    "directory",
		    path, strerror(errno));
	if (fstat(fd, &st) == 0 && (st.st_mode & 077) != 0)
		log_warning("database_readable_by_others", LS("path", path),
		    LI("mode", st.st_mode & 07777));
	close(fd);
	return 0;
}

/* The path as a URI: what has a meaning there is escaped. */
static char *
file_uri(const char *path)
{
	struct buf b = {0};

	buf_adds(&b, "file:");
	for (; *path; path++)
		if (strchr("%?#", *path) || (unsigned char)*path <= ' ')
			buf_printf(&b, "%%%02x", (unsigned)(unsigned char)*path);
		else
			buf_addc(&b, *path);
	return buf_take(&b);
}

static int
start(struct store *s, struct event_base *base, struct awo_err *err)
{
	sigset_t all, old;
	int rc;

	if (bell_open(&s->jobs, 0, err) < 0 || bell_open(&s->answers, O_NONBLOCK, err) < 0)
		return -1;
	s->ev = event_new(base, s->answers.wait, EV_READ | EV_PERSIST, on_answers, s);
	if (!s->ev || event_add(s->ev, NULL) < 0)
		return ERR(err, RESOURCE_EXHAUSTED, "", "cannot watch the store's answers");
	/* signals are the loop's */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&s->thread, NULL, store_thread, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0)
		return ERR(err, RESOURCE_EXHAUSTED, "", "cannot start the store's thread: %s",
		    strerror(rc));
	s->started = true;
	return 0;
}

struct store *
store_open(struct event_base *base, const struct store_options *o, struct awo_err *err)
{
	struct store *s = xcalloc(1, sizeof(*s));
	pthread_mutexattr_t recursive;
	char *uri CLEAN_FREE = NULL;
	int64_t version;
	char name[17];

	s->path = xstrdup(o->path);
	s->changed = o->changed;
	s->changed_arg = o->arg;
	s->jobs = s->answers = (struct bell){-1, -1};
	s->in_last = &s->in;
	s->out_last = &s->out;
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutexattr_init(&recursive);
	pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&s->turn, &recursive);
	pthread_mutexattr_destroy(&recursive);
	pthread_cond_init(&s->idle, NULL);

	if (s->path) {
		uri = file_uri(s->path);
		if (make_file(s->path, err) < 0)
			goto fail;
	} else {
		/* a name of its own: a second store in this process is another database */
		ids_hex(name, 8);
		uri = xasprintf("file:/awo-%s?vfs=memdb", name);
	}
	if (sqlite_log_register() != SQLITE_OK) {
		ERR(err, RESOURCE_EXHAUSTED, "", "SQLite cannot be initialised");
		goto fail;
	}
	/* a database in memory has a VFS of its own: what the URI says comes first */
	if (open_conn(s, uri, SQLITE_LOG_VFS, &s->writer, WRITER_CACHE_KIB, err) < 0 || check_database(s, &version, err) < 0 ||
	    set_journal(s, err) < 0 || migrate(s, version, o->backup_dir, err) < 0 ||
	    load_counts(s, err) < 0 || load_numbers(s, err) < 0 ||
	    open_conn(s, uri, NULL, &s->reader, READER_CACHE_KIB, err) < 0 ||
	    exec(s->reader.db, "PRAGMA query_only = 1", "cannot use the database", err) < 0 ||
	    start(s, base, err) < 0)
		goto fail;
	return s;
fail:
	store_close(s);
	return NULL;
}

void
store_close(struct store *s)
{
	if (!s)
		return;
	if (s->started) {
		store_flush(s);
		pthread_mutex_lock(&s->lock);
		s->stop = true;
		pthread_mutex_unlock(&s->lock);
		bell_ring(&s->jobs);
		pthread_join(s->thread, NULL);
	}
	if (s->ev)
		event_free(s->ev);
	bell_close(&s->jobs);
	bell_close(&s->answers);
	/* the last connection that closes checkpoints and removes the write-ahead log: it must be
	 * one that writes */
	conn_close(&s->reader);
	conn_close(&s->writer);
	for (int i = 0; i < RECENT; i++)
		recent_clear(&s->recent[i]);
	recent_clear(&s->lent);
	forget_repositories(s);
	for (int i = 0; i < NBUCKETS; i++)
		while (s->counts[i]) {
			struct owner_counts *c = s->counts[i];

			s->counts[i] = c->next;
			free(c);
		}
	pthread_mutex_destroy(&s->lock);
	pthread_mutex_destroy(&s->turn);
	pthread_cond_destroy(&s->idle);
	free(s->path);
	free(s);
}

bool
store_is_healthy(struct store *s, const char **type)
{
	*type = s->path ? "sqlite" : "memory";
	return !atomic_load(&s->broken);
}

void
store_counts(struct store *s, int64_t counts[NSTATES])
{
	memcpy(counts, s->totals, sizeof(s->totals));
}

void
store_backup(struct store *s, const char *path,
    void (*done)(void *arg, const struct awo_err *err, int64_t size), void *arg)
{
	struct backup_job *b = xcalloc(1, sizeof(*b));

	b->job.kind = JOB_BACKUP;
	b->job.arg = arg;
	b->path = xstrdup(path);
	b->done = done;
	if (*path != '/')
		ERR(&b->job.err, INVALID_ARGUMENT, "path", "the backup's path must be absolute");
	enqueue(s, &b->job);
}

/* ---- reads, in the loop */

static int
read_failed(struct store *s, int rc, struct awo_err *err)
{
	if (is_broken(rc))
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

const struct order_row *
store_order_lend(struct store *s, const char *id, struct awo_err *err)
{
	struct order_row **slot = recent_slot(s, id), *row = *slot;

	if (row && strcmp(row->pub.agent_work_order_id, id) == 0)
		return row;
	row = xcalloc(1, sizeof(*row));
	if (store_order_get(s, id, row, err) < 0) {
		free(row);
		return NULL;
	}
	/* of those with long texts one is kept at most */
	if (text_size(row->pub.user_request) + text_size(row->pub.error_message) > RECENT_TEXT)
		slot = &s->lent;
	recent_clear(slot);
	*slot = row;
	return row;
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
		const int rowid = (int)count_fields(&p_type_order, SKIP_ORDER);
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

/* Text for LIKE: '%' before and behind, what has a meaning in it escaped. */
static char *
like_pattern(const char *q)
{
	struct buf b = {0};

	buf_addc(&b, '%');
	for (; *q; q++) {
		if (strchr("%_\\", *q))
			buf_addc(&b, '\\');
		buf_addc(&b, *q);
	}
	buf_addc(&b, '%');
	return buf_take(&b);
}

static int
parse_cursor(const char *text, int64_t *rowid, struct awo_err *err)
{
	char *end;
	unsigned long long n;

	errno = 0;
	n = *text == 'o' && text[1] ? strtoull(text + 1, &end, 16) : 0;
	if (n == 0 || n > INT64_MAX || errno != 0 || *end ||
	    strspn(text + 1, "0123456789abcdef") != strlen(text + 1))
		return ERR(err, INVALID_ARGUMENT, "cursor",
		    "this cursor was not given by order.list; begin without one");
	*rowid = (int64_t)n;
	return 0;
}

static int
take_statuses(struct page_query *q, const struct p_strv *names, struct awo_err *err)
{
	for (size_t i = 0; i < names->n; i++) {
		int status = p_enum_value(&p_enum_order_status, names->v[i]);

		if (status == order_status_none)
			return ERR(err, INVALID_ARGUMENT, "statuses",
			    "an order is never %s: statuses takes pending, running, waiting, paused, "
			    "completed, failed and cancelled",
			    names->v[i]);
		q->statuses |= 1U << status;
	}
	if (names->n > 0)
		q->by |= BY_STATUSES;
	return 0;
}

static int
make_query(const struct store_filter *f, struct page_query *q, struct awo_err *err)
{
	const struct p_order_list *r = f->request;

	*q = (struct page_query){.limit = 50, .uid = f->uid, .total = -1};
	if (P_HAS(order_list, r, limit) && r->limit > 0)
		q->limit = r->limit < 500 ? r->limit : 500;
	if (P_HAS(order_list, r, offset))
		q->offset = r->offset > 0 ? r->offset : 0;
	if (P_HAS(order_list, r, cursor)) {
		if (parse_cursor(r->cursor, &q->cursor, err) < 0)
			return -1;
		q->by |= BY_CURSOR;
	}
	if (!f->any)
		q->by |= BY_UID;
	if (P_HAS(order_list, r, status)) {
		q->by |= BY_STATUS;
		q->status = r->status;
	}
	if (take_statuses(q, &r->statuses, err) < 0)
		return -1;
	if (P_HAS(order_list, r, since)) {
		q->by |= BY_SINCE;
		q->since = r->since;
	}
	if (P_HAS(order_list, r, until)) {
		q->by |= BY_UNTIL;
		q->until = r->until;
	}
	if (f->canonical_url) {
		q->by |= BY_URL;
		q->url = xstrdup(f->canonical_url);
	}
	if (P_HAS(order_list, r, owner)) {
		q->by |= BY_OWNER;
		q->owner = xstrdup(r->owner);
	}
	if (P_HAS(order_list, r, q)) {
		q->by |= BY_Q;
		q->q = like_pattern(r->q);
	}
	return 0;
}

/*
 * Chooses the index and fills the total from the counters. True when the page costs little: the
 * newest rows of one index, with no filter beside it (or a short index).
 */
static bool
is_bounded(struct store *s, struct page_query *q)
{
	const struct owner_counts *own = q->by & BY_UID ? counts_of(s, q->uid, false) : NULL;
	int64_t of_owner = own ? own->n[order_status_none] : 0;
	int64_t of_state = s->totals[q->status];
	bool both = (q->by & BY_UID) && (q->by & BY_STATUS);

	if (both && of_state < of_owner)
		q->by |= BY_STATUS_INDEX;
	if (q->by & (BY_URL | BY_OWNER | BY_Q | BY_SINCE | BY_UNTIL | BY_STATUSES))
		return ((q->by & BY_UID) && of_owner <= SCAN_MAX / 10) ||
		       s->totals[order_status_none] <= SCAN_MAX / 10;
	if (both)
		q->total = own ? own->n[q->status] : 0;
	else if (q->by & BY_UID)
		q->total = of_owner;
	else
		q->total = s->totals[q->status];
	if (q->offset > OFFSET_MAX)
		return false;
	return !both || (of_state < of_owner ? of_state : of_owner) <= SCAN_MAX;
}

void
store_order_list(struct store *s, const struct store_filter *f, store_list_done *done, void *arg)
{
	struct awo_err err = {0};
	struct p_order_list_answer page;
	struct page_query q;
	struct list_job *l;

	if (make_query(f, &q, &err) < 0) {
		page_query_free(&q);
		done(arg, &err, NULL);
		return;
	}
	if (!is_bounded(s, &q)) {
		l = xcalloc(1, sizeof(*l));
		l->job.kind = JOB_LIST;
		l->job.arg = arg;
		l->q = q;
		l->done = done;
		enqueue(s, &l->job);
		return;
	}
	lock_turn(s);
	run_page(&s->reader, &q, &page, &err);
	unlock_turn(s);
	page_query_free(&q);
	done(arg, err.code == AWO_OK ? NULL : &err, err.code == AWO_OK ? &page : NULL);
	if (err.code == AWO_OK)
		P_FREE(order_list_answer, &page);
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

const struct p_repository *
store_repository_lend(struct store *s, uint32_t uid, const char *id_or_url)
{
	struct recent_repository *r = &s->repositories[(hash_of(id_or_url) + uid) % RECENT_REPOSITORIES];
	struct awo_err err = {0};

	if (r->name && r->uid == uid && strcmp(r->name, id_or_url) == 0)
		return r->there ? &r->repository : NULL;
	repository_clear(r);
	r->there = store_repository_get(s, uid, id_or_url, &r->repository, &err) == 0;
	/* that there is none is worth keeping, that it could not be read is not */
	if (r->there || err.code == AWO_NOT_FOUND) {
		r->uid = uid;
		r->name = xstrdup(id_or_url);
	}
	return r->there ? &r->repository : NULL;
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
