/* Lays tables out to the width that there is. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "awoctl/table.h"
#include "common/err.h"

#define GAP 2
#define WIDEST 4096 /* columns; what is wider was never meant to be read in a table */

struct cell {
	char *text;
	enum ink ink;
};

struct table {
	const struct table_column *columns;
	size_t ncolumns;
	struct cell *cells;
	size_t ncells, cap;
};

struct table *
table_new(const struct table_column *columns, size_t ncolumns)
{
	struct table *t = xcalloc(1, sizeof(*t));

	AWO_ASSERT(ncolumns > 0 && ncolumns <= TABLE_COLUMNS_MAX);
	t->columns = columns;
	t->ncolumns = ncolumns;
	return t;
}

void
table_cell(struct table *t, enum ink ink, const char *text)
{
	struct buf b = {0};

	if (t->ncells == t->cap) {
		t->cap = t->cap ? t->cap * 2 : 64;
		t->cells = xrealloc(t->cells, t->cap, sizeof(*t->cells));
	}
	term_escapes(&b, text, TERM_LINE);
	t->cells[t->ncells].text = buf_take(&b);
	t->cells[t->ncells++].ink = ink;
}

void
table_cellf(struct table *t, enum ink ink, const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		abort();
	va_end(ap);
	table_cell(t, ink, text);
	free(text);
}

/* Cuts and drops columns until the line fits. */
static void
lay_out(const struct table *t, int width, size_t *widths, bool *dropped)
{
	size_t natural[TABLE_COLUMNS_MAX];

	for (size_t i = 0; i < t->ncolumns; i++) {
		natural[i] = term_columns(t->columns[i].title);
		for (size_t c = i; c < t->ncells; c += t->ncolumns) {
			size_t w = term_columns(t->cells[c].text);
			if (w > natural[i])
				natural[i] = w;
		}
		if (natural[i] > WIDEST)
			natural[i] = WIDEST;
		dropped[i] = false;
	}
	for (;;) {
		size_t total = 0, shown = 0;
		for (size_t i = 0; i < t->ncolumns; i++) {
			widths[i] = natural[i];
			if (!dropped[i]) {
				total += natural[i];
				shown++;
			}
		}
		total += shown ? (shown - 1) * GAP : 0;
		if (width <= 0)
			return;
		while (total > (size_t)width) {
			size_t widest = t->ncolumns;
			for (size_t i = 0; i < t->ncolumns; i++)
				if (!dropped[i] && t->columns[i].min && widths[i] > t->columns[i].min
				    && (widest == t->ncolumns || widths[i] > widths[widest]))
					widest = i;
			if (widest == t->ncolumns)
				break;
			widths[widest]--;
			total--;
		}
		if (total <= (size_t)width)
			return;
		size_t drop = t->ncolumns;
		for (size_t i = 0; i < t->ncolumns; i++)
			if (!dropped[i] && t->columns[i].drop > 0
			    && (drop == t->ncolumns || t->columns[i].drop > t->columns[drop].drop))
				drop = i;
		if (drop == t->ncolumns)
			return;
		dropped[drop] = true;
	}
}

static void
add_cell(struct buf *b, const struct term *term, const char *text, enum ink ink, size_t width, bool right, bool last)
{
	struct buf cut = {0};

	term_add_cut(&cut, text, width);
	char *shown = buf_take(&cut);
	size_t used = term_columns(shown);
	for (size_t i = used; right && i < width; i++)
		buf_addc(b, ' ');
	term_ink(b, term, ink, shown);
	for (size_t i = used; !right && !last && i < width; i++)
		buf_addc(b, ' ');
	free(shown);
}

void
table_print(const struct table *t, const struct term *term, struct buf *b)
{
	size_t widths[TABLE_COLUMNS_MAX];
	bool dropped[TABLE_COLUMNS_MAX];
	size_t rows = t->ncells / t->ncolumns, last = 0;

	lay_out(t, term->width, widths, dropped);
	for (size_t i = 0; i < t->ncolumns; i++)
		if (!dropped[i])
			last = i;
	for (size_t row = 0; row <= rows; row++) {
		size_t left = term->width > 0 ? (size_t)term->width : SIZE_MAX;
		bool first = true;
		for (size_t i = 0; i < t->ncolumns; i++) {
			const struct cell *cell = row ? &t->cells[(row - 1) * t->ncolumns + i] : NULL;
			if (dropped[i])
				continue;
			/* where nothing more can be cut or dropped, the line just ends */
			if (!first && left <= GAP)
				break;
			if (!first) {
				buf_adds(b, "  ");
				left -= GAP;
			}
			size_t width = widths[i] < left ? widths[i] : left;
			add_cell(b, term, cell ? cell->text : t->columns[i].title, cell ? cell->ink : INK_BOLD, width,
			    t->columns[i].right, i == last);
			left -= width;
			first = false;
		}
		buf_addc(b, '\n');
	}
}

void
table_free(struct table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->ncells; i++)
		free(t->cells[i].text);
	free(t->cells);
	free(t);
}
