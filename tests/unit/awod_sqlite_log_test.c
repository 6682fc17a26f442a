/* The write-ahead log: one write a commit, nothing told before it is written, nothing kept of what could not be. */
#include "cmocka_all.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "awod/sqlite_log.h"
#include "common/buf.h"
#include "common/clean.h"
#include "common/clock.h"
#include "common/files.h"

/* What reaches the disk of a log, by a VFS below the one under test. */
static struct {
	int writes, syncs;
	sqlite3_int64 bytes;
	int fail; /* of the next write, instead of it */
	sqlite3_int64 room; /* of the log; 0: no limit */
} disk;

static sqlite3_vfs disk_vfs, *unix_vfs;
static sqlite3_io_methods disk_methods;
static const sqlite3_io_methods *unix_methods;

static int
disk_write(sqlite3_file *file, const void *from, int n, sqlite3_int64 at)
{
	int rc = disk.fail;

	if (disk.room > 0 && at + n > disk.room)
		rc = SQLITE_FULL;
	disk.fail = SQLITE_OK;
	disk.writes++;
	disk.bytes += n;
	return rc != SQLITE_OK ? rc : unix_methods->xWrite(file, from, n, at);
}

static int
disk_sync(sqlite3_file *file, int flags)
{
	disk.syncs++;
	return unix_methods->xSync(file, flags);
}

static int
disk_open(sqlite3_vfs *self, const char *name, sqlite3_file *file, int flags, int *out_flags)
{
	int rc = unix_vfs->xOpen(unix_vfs, name, file, flags, out_flags);

	(void)self;
	if (rc == SQLITE_OK && flags & SQLITE_OPEN_WAL) {
		unix_methods = file->pMethods;
		disk_methods = *unix_methods;
		disk_methods.xWrite = disk_write;
		disk_methods.xSync = disk_sync;
		file->pMethods = &disk_methods;
	}
	return rc;
}

static int
set_up_disk(void **state)
{
	(void)state;
	unix_vfs = sqlite3_vfs_find(NULL);
	disk_vfs = *unix_vfs;
	disk_vfs.zName = "disk";
	disk_vfs.xOpen = disk_open;
	if (sqlite3_vfs_register(&disk_vfs, 1) != SQLITE_OK || sqlite_log_register() != SQLITE_OK)
		return -1;
	/* from here on others go past it */
	return sqlite3_vfs_register(unix_vfs, 1) == SQLITE_OK ? 0 : -1;
}

struct place {
	char dir[64];
	sqlite3 *db;
};

static void
run(sqlite3 *db, const char *sql)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
}

static sqlite3 *
open_at(const char *dir, const char *name, const char *vfs)
{
	char path[128];
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(
	    sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, vfs), SQLITE_OK);
	run(db, SQLITE_LOG_PRAGMAS "; PRAGMA journal_mode = WAL; PRAGMA cache_size = 10");
	return db;
}

/* What a query answers, in one string. */
static char *
ask(sqlite3 *db, const char *sql)
{
	struct buf b = {0};
	sqlite3_stmt *st;
	int rc;

	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW)
		for (int i = 0; i < sqlite3_column_count(st); i++)
			buf_printf(&b, "%s ", (const char *)sqlite3_column_text(st, i));
	assert_int_equal(rc, SQLITE_DONE);
	sqlite3_finalize(st);
	buf_addc(&b, '\0');
	return b.p;
}

static void
assert_answer(sqlite3 *db, const char *sql, const char *expected)
{
	char *answer CLEAN_FREE = ask(db, sql);

	assert_string_equal(answer, expected);
}

static int
set_up(void **state)
{
	struct place *p = xcalloc(1, sizeof(*p));

	*state = p;
	snprintf(p->dir, sizeof(p->dir), "/tmp/awo-log-XXXXXX");
	if (!mkdtemp(p->dir))
		return -1;
	p->db = open_at(p->dir, "a.db", SQLITE_LOG_VFS);
	run(p->db, "CREATE TABLE t (n INTEGER PRIMARY KEY, v)");
	memset(&disk, 0, sizeof(disk));
	return 0;
}

static int
tear_down(void **state)
{
	struct place *p = *state;
	int rc;

	sqlite3_close(p->db);
	rc = files_remove_tree(AT_FDCWD, p->dir, NULL);
	free(p);
	return rc;
}

static void
test_one_write_a_commit(void **state)
{
	struct place *p = *state;
	sqlite3 *other = open_at(p->dir, "a.db", NULL);

	run(p->db, "BEGIN");
	for (int i = 0; i < 20; i++)
		run(p->db, "INSERT INTO t (v) VALUES (randomblob(1000))");
	assert_int_equal(disk.writes, 0);
	assert_answer(other, "SELECT count(*) FROM t", "0 ");
	run(p->db, "COMMIT");
	assert_int_equal(disk.writes, 1);
	assert_int_equal(disk.syncs, 1);
	assert_true(disk.bytes > 20000);
	assert_answer(other, "SELECT count(*), sum(length(v)) FROM t", "20 20000 ");
	/* a checkpoint reads the log; the next commit begins it again, with its header */
	run(p->db, "PRAGMA wal_checkpoint");
	run(p->db, "INSERT INTO t (v) VALUES ('again')");
	assert_answer(other, "SELECT count(*) FROM t WHERE v = 'again'", "1 ");
	sqlite3_close(other);
}

static void
test_more_than_is_gathered(void **state)
{
	struct place *p = *state;
	sqlite3 *other = open_at(p->dir, "a.db", NULL);

	run(p->db, "BEGIN; WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 1000) "
		   "INSERT INTO t SELECT n, zeroblob(1000) FROM c");
	assert_int_equal(disk.writes, 0);
	run(p->db, "COMMIT");
	assert_true(disk.bytes > 1000000);
	assert_true(disk.writes > 1);
	assert_true(disk.writes < 20);
	assert_int_equal(disk.syncs, 1);
	assert_answer(other, "SELECT count(*), sum(length(v)) FROM t", "1000 1000000 ");
	assert_answer(other, "PRAGMA integrity_check", "ok ");
	sqlite3_close(other);
}

/* A commit that cannot be written fails and leaves no trace; the next one takes its place in the log. */
static void
test_commit_that_cannot_be_written(void **state)
{
	static const struct {
		int code;
		const char *sql;
	} cases[] = {
	    {SQLITE_FULL, "INSERT INTO t VALUES (2, 'lost')"},
	    {SQLITE_IOERR_WRITE, "INSERT INTO t VALUES (2, 'lost')"},
	    /* its first write is one of several */
	    {SQLITE_FULL, "INSERT INTO t VALUES (2, zeroblob(1000000))"},
	};
	struct place *p = *state;
	sqlite3 *other = open_at(p->dir, "a.db", NULL);

	run(p->db, "INSERT INTO t VALUES (1, 'before')");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		disk.fail = cases[i].code;
		assert_int_equal(
		    sqlite3_exec(p->db, cases[i].sql, NULL, NULL, NULL), cases[i].code & 0xff);
		assert_answer(p->db, "SELECT n, v FROM t", "1 before ");
		assert_answer(other, "SELECT n, v FROM t", "1 before ");
	}
	disk.writes = 0;
	run(p->db, "INSERT INTO t VALUES (3, 'after')");
	assert_int_equal(disk.writes, 1);
	assert_answer(other, "SELECT n, v FROM t", "1 before 3 after ");
	sqlite3_close(other);
	sqlite3_close(p->db);
	p->db = open_at(p->dir, "a.db", NULL);
	assert_answer(p->db, "SELECT n, v FROM t", "1 before 3 after ");
	assert_answer(p->db, "PRAGMA integrity_check", "ok ");
}

/* What did not fit does not stand in the way of what does. */
static void
test_full_disk(void **state)
{
	struct place *p = *state;

	run(p->db, "INSERT INTO t VALUES (1, 'before')");
	disk.room = 100000;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(
		    sqlite3_exec(p->db, "INSERT INTO t VALUES (2, zeroblob(100000))", NULL, NULL, NULL), SQLITE_FULL);
		run(p->db, "UPDATE t SET v = v || ', after' WHERE n = 1");
	}
	assert_answer(p->db, "SELECT n, v FROM t", "1 before, after, after, after ");
}

static void
copy(const char *dir, const char *from, const char *to)
{
	char path[128];
	size_t len;
	char *bytes;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, from);
	bytes = files_read(AT_FDCWD, path, 64U << 20, &len);
	assert_non_null(bytes);
	snprintf(path, sizeof(path), "%s/%s", dir, to);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
	free(bytes);
}

/* The database as it would be after a power cut or a kill at this moment. */
static sqlite3 *
recovered(const char *dir)
{
	copy(dir, "a.db", "b.db");
	copy(dir, "a.db-wal", "b.db-wal");
	return open_at(dir, "b.db", NULL);
}

static void
assert_recovers(const char *dir, const char *sql, const char *expected)
{
	sqlite3 *copied = recovered(dir);

	assert_answer(copied, sql, expected);
	assert_answer(copied, "PRAGMA integrity_check", "ok ");
	sqlite3_close(copied);
}

/* Of a commit that failed nothing is written later: not over what others have committed since, and not with a checkpoint. */
static void
test_others_after_a_failure(void **state)
{
	struct place *p = *state;
	sqlite3 *other = open_at(p->dir, "a.db", NULL);

	run(p->db, "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 50) "
		   "INSERT INTO t SELECT n, zeroblob(1000) FROM c");
	for (int i = 0; i < 3; i++) {
		disk.fail = SQLITE_FULL;
		assert_int_equal(
		    sqlite3_exec(p->db, "UPDATE t SET v = zeroblob(1001)", NULL, NULL, NULL), SQLITE_FULL);
		if (i == 1)
			run(p->db, "PRAGMA wal_checkpoint");
		if (i == 2)
			run(other, "UPDATE t SET v = zeroblob(1002) WHERE n <= 25");
		else
			assert_recovers(p->dir, "SELECT count(*), sum(length(v)) FROM t", "50 50000 ");
	}
	assert_answer(p->db, "SELECT count(*), sum(length(v)) FROM t", "50 50050 ");
	run(p->db, "DELETE FROM t WHERE n = 50");
	assert_answer(other, "SELECT count(*), sum(length(v)) FROM t", "49 49050 ");
	assert_recovers(p->dir, "SELECT count(*), sum(length(v)) FROM t", "49 49050 ");
	sqlite3_close(other);
}

/* A program that ends in a transaction has written nothing of it. */
static void
test_end_in_a_transaction(void **state)
{
	struct place *p = *state;

	run(p->db, "INSERT INTO t VALUES (1, 'kept'); BEGIN");
	run(p->db, "WITH RECURSIVE c(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM c WHERE n < 500) "
		   "INSERT INTO t SELECT n, zeroblob(1000) FROM c");
	assert_recovers(p->dir, "SELECT n, v FROM t", "1 kept ");
	run(p->db, "ROLLBACK");
	assert_answer(p->db, "SELECT n, v FROM t", "1 kept ");
}

/* SQLite's code of a statement that may have a number in it. */
static int
try(sqlite3 *db, const char *sql, int number)
{
	sqlite3_stmt *st;

	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
	if (sqlite3_bind_parameter_count(st) > 0)
		assert_int_equal(sqlite3_bind_int(st, 1, number), SQLITE_OK);
	while (sqlite3_step(st) == SQLITE_ROW)
		;
	return sqlite3_finalize(st);
}

static const char *const statements[] = {"BEGIN", "COMMIT", "COMMIT", "ROLLBACK", "SAVEPOINT s", "ROLLBACK TO s",
    "RELEASE s", "PRAGMA wal_checkpoint", "PRAGMA wal_checkpoint(TRUNCATE)",
    "INSERT INTO t (v) VALUES (zeroblob(?))", "INSERT INTO t (v) VALUES (zeroblob(?))",
    "INSERT INTO t (v) VALUES (zeroblob(9 * ?))", "UPDATE t SET v = zeroblob(?) WHERE n % 3 = 0",
    "UPDATE t SET v = zeroblob(?) WHERE n % 7 = 0", "DELETE FROM t WHERE n % 50 = ? % 50"};

#define ALL "SELECT n, length(v) FROM t"

static void
assert_same(sqlite3 *a, sqlite3 *b)
{
	char *one CLEAN_FREE = ask(a, ALL);
	char *other CLEAN_FREE = ask(b, ALL);

	assert_string_equal(one, other);
}

/* Whatever is done, a database has afterwards what one without the VFS has. */
static void
test_random_transactions(void **state)
{
	struct place *p = *state;
	sqlite3 *plain = open_at(p->dir, "plain.db", NULL);
	unsigned seed = (unsigned)clock_mono_us();

	print_message("seed %u\n", seed);
	run(plain, "CREATE TABLE t (n INTEGER PRIMARY KEY, v)");
	run(p->db, "PRAGMA wal_autocheckpoint = 100");
	for (int i = 0; i < 3000; i++) {
		unsigned which = (unsigned)rand_r(&seed) % (sizeof(statements) / sizeof(statements[0]));
		int number = rand_r(&seed) % 2000;

		/* some cannot be done then, as COMMIT without BEGIN: in either */
		assert_int_equal(try(p->db, statements[which], number), try(plain, statements[which], number));
	}
	run(p->db, sqlite3_get_autocommit(p->db) ? "BEGIN; COMMIT" : "COMMIT");
	run(plain, sqlite3_get_autocommit(plain) ? "BEGIN; COMMIT" : "COMMIT");
	assert_same(p->db, plain);
	assert_answer(p->db, "PRAGMA integrity_check", "ok ");
	sqlite3_close(p->db);
	p->db = open_at(p->dir, "a.db", NULL);
	assert_same(p->db, plain);
	sqlite3_close(plain);
}

/* Whatever fails, what is committed is whole, by whomever; others see the same, and so would a program after a kill. */
static void
test_random_failures(void **state)
{
	struct place *p = *state;
	sqlite3 *other = open_at(p->dir, "a.db", NULL);
	unsigned seed = (unsigned)clock_mono_us();
	int failed = 0;

	print_message("seed %u\n", seed);
	run(p->db, "PRAGMA wal_autocheckpoint = 100");
	for (int i = 0; i < 3000; i++) {
		unsigned which = (unsigned)rand_r(&seed) % (sizeof(statements) / sizeof(statements[0]));
		int rc;

		disk.fail = rand_r(&seed) % 4 > 0 ? SQLITE_OK : rand_r(&seed) % 2 ? SQLITE_FULL : SQLITE_IOERR_WRITE;
		rc = try(p->db, statements[which], rand_r(&seed) % 2000);
		failed += rc == SQLITE_FULL || rc == SQLITE_IOERR;
		disk.fail = SQLITE_OK;
		if (i % 20 == 0 && sqlite3_get_autocommit(p->db)) {
			sqlite3 *copied = recovered(p->dir);

			run(other, "UPDATE t SET v = zeroblob(7) WHERE n % 11 = 0");
			assert_same(p->db, other);
			run(copied, "UPDATE t SET v = zeroblob(7) WHERE n % 11 = 0");
			assert_same(copied, other);
			assert_answer(other, "PRAGMA integrity_check", "ok ");
			sqlite3_close(copied);
		}
	}
	assert_true(failed > 0);
	if (!sqlite3_get_autocommit(p->db))
		run(p->db, "ROLLBACK");
	assert_same(p->db, other);
	sqlite3_close(p->db);
	p->db = open_at(p->dir, "a.db", NULL);
	assert_same(p->db, other);
	assert_answer(p->db, "PRAGMA integrity_check", "ok ");
	sqlite3_close(other);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_one_write_a_commit, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_more_than_is_gathered, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_commit_that_cannot_be_written, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_full_disk, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_others_after_a_failure, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_end_in_a_transaction, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_random_transactions, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_random_failures, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, set_up_disk, NULL);
}
