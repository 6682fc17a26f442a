/* Cuts a stream of bytes into lines as they arrive, with a limit for one line. */
#include "awo-worker/lines.h"

#include <string.h>

/* A buffer that one long line made large is given back, so that a quiet agent costs nothing. */
#define KEEP ((size_t)64 * 1024)

void
lines_init(struct lines *l, size_t max, lines_fn *line, void *ctx)
{
	*l = (struct lines){.max = max, .line = line, .ctx = ctx};
}

static void
hold(struct lines *l, const char *p, size_t n)
{
	size_t room = l->max - l->held.len;

	if (n > room) {
		n = room;
		l->cut = true;
	}
	if (n > 0)
		buf_add(&l->held, p, n);
}

static void
deliver(struct lines *l)
{
	l->line(l->ctx, l->held.len > 0 ? l->held.p : "", l->held.len, l->cut);
	l->cut = false;
	l->held.len = 0;
	if (l->held.cap > KEEP)
		buf_free(&l->held);
}

void
lines_feed(struct lines *l, const char *p, size_t n)
{
	while (n > 0) {
		const char *nl = memchr(p, '\n', n);
		size_t len = nl != NULL ? (size_t)(nl - p) : n;

		if (nl != NULL && l->held.len == 0 && !l->cut && len <= l->max) {
			l->line(l->ctx, p, len, false);
		} else {
			hold(l, p, len);
			if (nl != NULL)
				deliver(l);
		}
		if (nl == NULL)
			return;
		p += len + 1;
		n -= len + 1;
	}
}

void
lines_end(struct lines *l)
{
	if (l->held.len > 0 || l->cut)
		deliver(l);
}

void
lines_free(struct lines *l)
{
	buf_free(&l->held);
}
