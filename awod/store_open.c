/* The store's beginning and end: the database's file, its migrations, what is known from then on. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "awod/migrations.h"
#include "awod/sqlite_log.h"
#include "awod/store_priv.h"
#include "common/buf.h"
#include "common/clean.h"
#include "common/clock.h"
#include "common/ids.h"
#include "common/log.h"

#define APPLICATION_ID 0x41574f31 /* "AWO1", in the database's header */
#define WRITER_CACHE_KIB 4096 /* pages kept: once taken, never given back */
#define READER_CACHE_KIB 1024 /* walks few paths: what it misses, the system's cache has */

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
	char sql[160];
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
	/*
	 * Pages leave the cache with their commit, and not before: the log's VFS relies on that, and SQLite itself, up to a
	 * version after 3.40, loses commits when awod is killed after a transaction that left it in part was undone in part.
	 */
	snprintf(sql, sizeof(sql),
	    SQLITE_LOG_PRAGMAS "; PRAGMA cache_size = -%d; PRAGMA temp_store = MEMORY", cache_kib);
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
	    store_start(s, base, err) < 0)
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
	store_stop(s);
	/* the last connection that closes checkpoints and removes the write-ahead log: it must be
	 * one that writes */
	sql_close(&s->reader);
	sql_close(&s->writer);
	free_recent(s);
	free_counts(s);
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
