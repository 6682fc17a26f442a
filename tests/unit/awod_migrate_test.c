/* Migrations: an old database is copied, taken further step by step, and left as it was when a step
 * fails. */
#include "cmocka_all.h"

#include <dirent.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "awod/store.h"
#include "common/buf.h"
#include "common/clean.h"
#include "common/files.h"
#include "common/log.h"

/* In place of those that the build embeds: the real first one, and two that the test makes up. */
struct migration {
	const char *name, *sql;
};
extern struct migration migrations[];
extern int nmigrations;
struct migration migrations[4];
int nmigrations;

struct place {
	char dir[64], path[96];
	struct event_base *base;
};

static int
set_up(void **state)
{
	struct place *p = xcalloc(1, sizeof(*p));

	log_open("test", LOG_FMT_TEXT, LOG_LVL_ERROR);
	snprintf(p->dir, sizeof(p->dir), "/tmp/awo-migrate-XXXXXX");
	*state = p;
	if (!mkdtemp(p->dir))
		return -1;
	snprintf(p->path, sizeof(p->path), "%s/awo.db", p->dir);
	p->base = event_base_new();
	migrations[0].name = "001_start.sql";
	migrations[0].sql =
	    files_read(AT_FDCWD, TEST_SOURCE_DIR "/awod/migrations/001_start.sql", 1U << 20, NULL);
	migrations[1] = (struct migration){
	    "002_more.sql", "CREATE TABLE more (x); INSERT INTO more VALUES (2);"};
	migrations[2] = (struct migration){"003_and_more.sql", "UPDATE more SET x = x + 1;"};
	migrations[3] =
	    (struct migration){"004_broken.sql", "UPDATE more SET x = 99; CREATE TABLE more (x);"};
	return migrations[0].sql ? 0 : -1;
}

static int
tear_down(void **state)
{
	struct place *p = *state;
	int rc = files_remove_tree(AT_FDCWD, p->dir, NULL);

	free((char *)(uintptr_t)migrations[0].sql);
	event_base_free(p->base);
	free(p);
	return rc;
}

static bool
try_open(struct place *p, int known, struct awo_err *err)
{
	struct store_options o = {.path = p->path, .backup_dir = p->dir};
	struct store *s;

	nmigrations = known;
	memset(err, 0, sizeof(*err));
	s = store_open(p->base, &o, err);
	store_close(s);
	return s != NULL;
}

static int
number(const char *path, const char *sql)
{
	sqlite3 *db;
	sqlite3_stmt *st;
	int n = -1;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK &&
	    sqlite3_step(st) == SQLITE_ROW)
		n = sqlite3_column_int(st, 0);
	sqlite3_finalize(st);
	sqlite3_close(db);
	return n;
}

/* Copies made so far; the path of the last one of a version in out. */
static int
copies(struct place *p, int version, char *out, size_t len)
{
	char prefix[32];
	DIR *d = opendir(p->dir);
	int n = 0;

	snprintf(prefix, sizeof(prefix), "awo-schema-%d-", version);
	for (struct dirent *e; (e = readdir(d));)
		if (strncmp(e->d_name, prefix, strlen(prefix)) == 0 && !strstr(e->d_name, "-wal") &&
		    !strstr(e->d_name, "-shm")) {
			snprintf(out, len, "%s/%s", p->dir, e->d_name);
			n++;
		}
	closedir(d);
	return n;
}

static void
test_steps(void **state)
{
	struct place *p = *state;
	struct awo_err err;
	char copy[512];

	assert_true(try_open(p, 1, &err));
	assert_int_equal(number(p->path, "PRAGMA user_version"), 1);
	assert_int_equal(copies(p, 0, copy, sizeof(copy)), 0); /* a new one is not worth a copy */
	assert_true(try_open(p, 3, &err));
	assert_int_equal(number(p->path, "PRAGMA user_version"), 3);
	assert_int_equal(number(p->path, "SELECT x FROM more"), 3);
	assert_int_equal(copies(p, 2, copy, sizeof(copy)), 1);
	assert_int_equal(number(copy, "SELECT x FROM more"), 2);
	assert_int_equal(copies(p, 1, copy, sizeof(copy)), 1);
	assert_int_equal(number(copy, "PRAGMA user_version"), 1);
	assert_int_equal(number(copy, "SELECT x FROM more"), -1);

	/* the older program refuses it */
	assert_false(try_open(p, 2, &err));
	assert_int_equal(err.code, AWO_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, "schema 3, this version knows 2"));
}

static void
test_broken_step(void **state)
{
	struct place *p = *state;
	struct awo_err err;
	char copy[512];

	assert_true(try_open(p, 3, &err));
	assert_false(try_open(p, 4, &err));
	assert_non_null(strstr(err.msg, "004_broken.sql"));
	assert_int_equal(number(p->path, "PRAGMA user_version"), 3);
	assert_int_equal(number(p->path, "SELECT x FROM more"), 3);
	assert_int_equal(copies(p, 3, copy, sizeof(copy)), 1);
	assert_true(try_open(p, 3, &err));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_steps, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_broken_step, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
