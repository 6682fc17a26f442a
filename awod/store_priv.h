/* What the files of the store on SQLite share: one thread writes, many transactions to a commit; the loop reads through its
 * own connection. */
#ifndef AWOD_STORE_PRIV_H
#define AWOD_STORE_PRIV_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

#include "awod/store.h"
#include "common/ids.h"

#define NSTATES (order_status_cancelled + 1)
#define PAGES 12 /* statements kept of those that list orders */
#define RECENT 64 /* orders that were asked for lately, kept as they were read */
#define RECENT_REPOSITORIES 16
#define NBUCKETS 256 /* of owner_counts */

struct buf;
struct backup_job;
struct owner_counts;

/* ---- a connection and its statements */

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

/* A statement that lists or counts orders: of so many kinds that not all of them are kept. */
struct kept_page {
	sqlite3_stmt *st; /* NULL: none, and none behind it */
	unsigned by; /* bits of store_list.c */
	bool count;
};

struct conn {
	sqlite3 *db;
	sqlite3_stmt *st[ST__COUNT];
	struct kept_page page[PAGES]; /* the one used last is the first */
};

#define SKIP_NONE UINT64_C(0)
#define SKIP_ORDER P_BIT(order, queue_position) /* is computed */
#define SKIP_TOKEN (P_BIT(token, token) | P_BIT(token, uid)) /* never stored; stored by another name */
#define SKIP_SESSION (P_BIT(session, session) | P_BIT(session, uid))
/* What never changes is left out of updates, so that its indexes are not touched. */
#define SKIP_UPDATE                                                                                \
	(SKIP_ORDER | P_BIT(order, agent_work_order_id) | P_BIT(order, created_at) |               \
	    P_BIT(order, owner))

/* ---- what the thread is asked for */

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

/* ---- the store */

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

/* ---- store_sql.c: errors */
/* Says in *err what could not be done, why, and what helps; db NULL: nothing but the result code is known. Returns -1. */
int sqlite_error(sqlite3 *db, int rc, const char *what, struct awo_err *err);
/* Whether the failure is the disk's or the file's, not one transaction's. */
bool sqlite_is_broken(int rc);

/* ---- store_sql.c: statements */
/* "a, b, c" of a type's fields, each with what stands before and behind its name. */
void sql_add_fields(
    struct buf *b, const struct p_type *type, uint64_t skip, const char *before, const char *behind);
size_t sql_count_fields(const struct p_type *type, uint64_t skip);
void sql_close(struct conn *c);			/* its statements too; one that is zero-initialised is accepted */
void st_text(enum st_id id, struct buf *b);	/* appends the statement's SQL */
/* A statement ready to be bound: the cached one, or a fresh one when that is being stepped further
 * up the stack. NULL with *err set; end its use with st_put(). */
sqlite3_stmt *st_get(struct conn *c, enum st_id id, struct awo_err *err);
/* Ends the use of a statement. Nothing of the caller's stays bound. */
void st_put(struct conn *c, enum st_id id, sqlite3_stmt *st);

/*
 * ---- store_sql.c: values in and out of statements. Text is bound in place: it stays until
 * st_put(), which leaves NULL everywhere, so that NULL need not be bound. A *col is 0 at the
 * beginning, and moved on. What is read belongs to the caller.
 */
void bind_text(sqlite3_stmt *st, int col, const char *s);
/* Binds the fields from column *col on. A field that must be there is bound even when it was not
 * marked. */
void bind_fields(sqlite3_stmt *st, int *col, const struct p_type *type, const void *obj, uint64_t skip);
/* Binds the columns of an order that are no fields: from the first, owner_uid (0), or from the one behind it (1). */
void bind_private(sqlite3_stmt *st, int *col, const struct order_row *r, size_t first);
char *column_dup(sqlite3_stmt *st, int col);	/* NULL for NULL */
json_t *column_json(sqlite3_stmt *st, int col);	/* NULL for NULL, and for what is no JSON */
/* Reads the fields from column *col on into an uninitialised object. */
void read_fields(sqlite3_stmt *st, int *col, const struct p_type *type, void *obj, uint64_t skip);
/* Reads an order into an uninitialised row, from a statement that answers with whole orders. */
void read_order(sqlite3_stmt *st, struct order_row *r);

/* ---- store_tx.c */
/* As if the transaction had not been tried. */
void reset_tx(struct store_tx *tx);

/* ---- store_apply.c */
/*
 * The transactions at the head of a list in one commit. Returns the first job that is not part of it. They are tried without
 * savepoints, which would copy every page that each of them touches; when one fails, all are undone and done again.
 */
struct job *apply_batch(struct store *s, struct job *first);
/* An order's key; -1 with *err set: NOT_FOUND. tx, or NULL, remembers the order that was last looked up. */
int64_t need_rowid(struct conn *c, struct store_tx *tx, const char *id, struct awo_err *err);
int no_order(const char *id, struct awo_err *err);	/* NOT_FOUND; returns -1 */

/* ---- store_list.c */
/* A job of store_order_list(), in the thread, which has the turn. */
void run_list(struct store *s, struct job *j);
void answer_list(struct job *j);	/* the same job afterwards, in the loop; frees it */
/* n more orders of an owner in a state, or fewer; in the loop. */
void count_order(struct store *s, uint32_t uid, enum p_order_status status, int64_t n);
void free_counts(struct store *s);

/* ---- store_recent.c */
/* What a transaction may have changed is read again, whether it succeeded or not. */
void forget_recent(struct store *s, const struct store_tx *tx);
void free_recent(struct store *s);

/* ---- store_thread.c */
/* Starts the thread; from then on the writer is its own. -1 with *err set: store_stop() undoes what was done. */
int store_start(struct store *s, struct event_base *base, struct awo_err *err);
/* Finishes and answers what is queued, ends the thread. A store that was not started, or in part, is accepted. */
void store_stop(struct store *s);
void store_enqueue(struct store *s, struct job *job);	/* takes it; its answer comes in the loop */
/* Around each use of a connection while the thread runs: see turn. Whoever has it may take it again. */
void lock_turn(struct store *s);
void unlock_turn(struct store *s);
/* Makes the file and starts to copy. False with *err set; then there is no file. True: finish *copy, then close *to. */
bool backup_begin(
    sqlite3 *from, const char *path, sqlite3 **to, sqlite3_backup **copy, struct awo_err *err);

#endif
