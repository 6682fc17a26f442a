/* A terminal, or what stands in its place: colours, width, and text made harmless and human. */
#ifndef AWOCTL_TERM_H
#define AWOCTL_TERM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

enum ink { INK_NONE, INK_BOLD, INK_DIM, INK_RED, INK_GREEN, INK_YELLOW, INK_BLUE, INK_MAGENTA, INK_CYAN };

struct term {
	bool tty;
	bool colour;
	int width;	/* columns; 0: no limit */
};

/* Looks at a descriptor: colours only on a terminal, without NO_COLOR and unless forbidden; width of the terminal. */
void term_look(struct term *term, int fd, bool no_color);
void term_resize(struct term *term, int fd);

/* Appends text in a colour (plain where there are none). The text must be escaped already. */
void term_ink(struct buf *b, const struct term *term, enum ink ink, const char *text);

enum term_escape {
	TERM_LINE,	/* one line: line ends become spaces */
	TERM_TEXT	/* several: line ends and tabs stay */
};
/*
 * Appends text from outside so that it can do nothing to a terminal: control characters, bidirectional overrides,
 * other unprintable characters and bytes that are no UTF-8 become visible (\x1b, \u{202e}, U+FFFD).
 */
void term_escape(struct buf *b, const char *s, size_t len, enum term_escape how);
void term_escapes(struct buf *b, const char *s, enum term_escape how);	/* NUL-terminated; NULL adds nothing */
/* Columns that escaped text takes; the part of it that fits into so many columns, with an ellipsis when it was cut. */
size_t term_columns(const char *s);
void term_add_cut(struct buf *b, const char *s, size_t columns);

/* For people; each returns buf, which holds at least TERM_TEXT_MAX bytes. */
#define TERM_TEXT_MAX 48
const char *term_time(int64_t wall_us, char *buf);		/* local: 2026-01-31 08:00:00 */
const char *term_clock(int64_t wall_us, char *buf);		/* local: 08:00:00 */
const char *term_duration(double seconds, char *buf);		/* 0.4s 12s 3m 05s 1h 02m 3d 04h */
const char *term_ago(int64_t wall_us, int64_t now_us, char *buf);	/* 12s ago, in 3m 05s */
const char *term_count(int64_t n, char *buf);			/* 950 12.3k 4.5M */
const char *term_cost(double usd, char *buf);			/* $0.42 */

#endif
