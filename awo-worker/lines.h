/* Cuts a stream of bytes into lines as they arrive, with a limit for one line. */
#ifndef WORKER_LINES_H
#define WORKER_LINES_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"

/* p is not NUL-terminated and holds no newline; cut: the line was longer than the limit and this is
 * its beginning. */
typedef void lines_fn(void *ctx, const char *p, size_t len, bool cut);

struct lines {
	struct buf held; /* a line whose end has not come */
	size_t max;
	bool cut;
	lines_fn *line;
	void *ctx;
};

void lines_init(struct lines *l, size_t max, lines_fn *line, void *ctx);
void lines_feed(struct lines *l, const char *p, size_t n);
void lines_end(struct lines *l); /* hands over what stands without a newline */
void lines_free(struct lines *l);

#endif
