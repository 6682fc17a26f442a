/* The schema's migrations, embedded by the build from awod/migrations. */
#ifndef AWOD_MIGRATIONS_H
#define AWOD_MIGRATIONS_H

struct migration {
	const char *name;	/* "001_start.sql" */
	const char *sql;
};

/* migrations[n] takes a database from version n to n + 1. */
extern const struct migration migrations[];
extern const int nmigrations;

#endif
