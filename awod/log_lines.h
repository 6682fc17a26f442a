/* Reading an order's log: line by line, from any position, in bounded portions. */
#ifndef AWOD_LOG_LINES_H
#define AWOD_LOG_LINES_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "proto/schema.h"

#define LOG_LINE_MAX (1U << 20) /* longer lines are replaced by one that says so */

/* Where a reader stands. Zero-initialised is the beginning of the file. */
struct log_cursor {
	int64_t pos;	/* just after the last line that was given: its seq */
	int64_t looked; /* a line that is too long: no newline before this position; else <= pos */
};

/* One complete line, without its newline. p is NULL when it is longer than LOG_LINE_MAX. Non-zero
 * stops after it. */
typedef int log_line_cb(void *arg, const char *p, size_t len, int64_t seq);

enum log_got {
	LOG_FAILED = -1, /* errno is set */
	LOG_AT_END,	 /* no complete line follows before end */
	LOG_MORE	 /* stopped by the callback, or budget bytes were read: call again */
};

/*
 * Gives the lines between the cursor and end (a size of the file), reading about budget bytes. The
 * lines are valid during the callback, which may not read logs itself.
 */
enum log_got log_lines(
    int fd, struct log_cursor *c, int64_t end, size_t budget, log_line_cb *cb, void *arg);

/* Whether a position is one that a reader may resume at: 0, or just after a newline.
 * INVALID_ARGUMENT names field. */
int log_check_seq(int fd, int64_t seq, const char *field, struct awo_err *err);

struct log_filter {
	enum p_log_level level; /* at least this one; none: all */
	const char *step;	/* or NULL */
	bool has_since;
	int64_t since;
};
bool log_filter_active(const struct log_filter *f);
/* p may be NULL, as in log_line_cb. */
bool log_filter_match(const struct log_filter *f, const char *p, size_t len);

/* The line as an object with its seq; lines that are no JSON object are replaced by one that says
 * so. New reference. */
json_t *log_line_object(const char *p, size_t len, int64_t seq);
/* The line as text of one JSON object, replaced in the same cases. The result stands in the buffer.
 */
const char *log_line_text(const char *p, size_t len, struct buf *b);

#endif
