/* Tables for people, laid out to the width that there is. */
#ifndef AWOCTL_TABLE_H
#define AWOCTL_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "awoctl/term.h"

#define TABLE_COLUMNS_MAX 16

struct table_column {
	const char *title;
	bool right;	/* aligned right */
	size_t min;	/* may be cut to so many columns; 0: is never cut */
	int drop;	/* when cutting is not enough, the highest goes first; 0 stays */
};

struct table;

struct table *table_new(const struct table_column *columns, size_t ncolumns);
/* The next cell, from left to right and row after row. The text comes from outside: it is escaped here. */
void table_cell(struct table *t, enum ink ink, const char *text);
void table_cellf(struct table *t, enum ink ink, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Every line is at most term->width columns (0: as wide as it gets). */
void table_print(const struct table *t, const struct term *term, struct buf *b);
void table_free(struct table *t);

#endif
