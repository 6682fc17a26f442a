/* The reference of durable creates: SQLite alone, one insert and one commit after the other. */
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"

static int
failed(sqlite3 *db, const char *what)
{
	fprintf(stderr, BENCH_NAME ": %s: %s\n", what, sqlite3_errmsg(db));
	return 1;
}

/* Prints the seconds that all commits took. */
int
main(int argc, char **argv)
{
	/* what awod sets, and the least that an order needs: its id and its content */
	static const char schema[] = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 2000;"
				     "CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY, id TEXT NOT NULL, content TEXT NOT NULL);"
				     "CREATE UNIQUE INDEX IF NOT EXISTS t_id ON t (id)";
	sqlite3 *db = NULL;
	sqlite3_stmt *st = NULL;
	char content[1024], id[24];
	long count, bytes;
	int64_t begin;

	if (argc != 4 || (count = strtol(argv[2], NULL, 10)) <= 0 || (bytes = strtol(argv[3], NULL, 10)) <= 0 ||
	    bytes > (long)sizeof(content)) {
		fputs("usage: " BENCH_NAME " FILE COUNT BYTES\n", stderr);
		return 2;
	}
	memset(content, 'x', sizeof(content));
	if (sqlite3_open(argv[1], &db) || sqlite3_exec(db, schema, NULL, NULL, NULL) ||
	    sqlite3_prepare_v2(db, "INSERT INTO t (id, content) VALUES (?, ?)", -1, &st, NULL))
		return failed(db, argv[1]);
	begin = clock_mono_us();
	for (long i = 0; i < count; i++) {
		/* an odd factor spreads the ids over the index, and none comes twice */
		snprintf(id, sizeof(id), "%016" PRIx64, ((uint64_t)begin + (uint64_t)i) * UINT64_C(0x9e3779b97f4a7c15));
		sqlite3_bind_text(st, 1, id, -1, SQLITE_STATIC);
		sqlite3_bind_text(st, 2, content, (int)bytes, SQLITE_STATIC);
		/* without BEGIN every statement is a transaction of its own */
		if (sqlite3_step(st) != SQLITE_DONE)
			return failed(db, "insert");
		sqlite3_reset(st);
	}
	printf("%.6f\n", (double)(clock_mono_us() - begin) / 1e6);
	sqlite3_finalize(st);
	return sqlite3_close(db) ? failed(db, "close") : 0;
}
