/* A growing byte buffer, with the allocation functions that do not fail. */
#include "common/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Noreturn void
no_memory(size_t n)
{
	fprintf(stderr, "out of memory: %zu bytes could not be had\n", n);
	abort();
}

void *
xcalloc(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size ? size : 1);

	if (!p)
		no_memory(n * size);
	return p;
}

void *
xrealloc(void *p, size_t n, size_t size)
{
	/* never 0 bytes: realloc would free then, and its NULL would look like a failure */
	void *q = reallocarray(p, n ? n : 1, size ? size : 1);

	if (!q)
		no_memory(n * size);
	return q;
}

static char *
copy_text(const char *s, size_t len)
{
	char *p = malloc(len + 1);

	if (!p)
		no_memory(len + 1);
	if (len > 0)
		memcpy(p, s, len);
	p[len] = '\0';
	return p;
}

char *
xstrdup(const char *s)
{
	return s ? copy_text(s, strlen(s)) : NULL;
}

char *
xstrndup(const char *s, size_t n)
{
	return copy_text(s, s ? strnlen(s, n) : 0);
}

char *
xasprintf(const char *fmt, ...)
{
	va_list ap;
	char *p;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&p, fmt, ap);
	va_end(ap);
	if (n < 0)
		no_memory(0);
	return p;
}

void
buf_reserve(struct buf *b, size_t more)
{
	size_t need, cap;

	if (__builtin_add_overflow(b->len, more, &need) || __builtin_add_overflow(need, 1, &need))
		no_memory(more);
	if (need <= b->cap)
		return;
	cap = b->cap ? b->cap : 64;
	while (cap < need)
		if (__builtin_mul_overflow(cap, 2, &cap))
			cap = need;
	b->p = xrealloc(b->p, cap, 1);
	b->cap = cap;
	b->p[b->len] = '\0';
}

void
buf_add(struct buf *b, const void *p, size_t n)
{
	if (n >= b->cap - b->len)
		buf_reserve(b, n);
	if (n > 0)
		memcpy(b->p + b->len, p, n);
	b->len += n;
	b->p[b->len] = '\0';
}

void
buf_adds(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void
buf_addc(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

void
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;
	int n;

	buf_reserve(b, 120);
	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(b->p + b->len, b->cap - b->len, fmt, ap);
	va_end(ap);
	if (n > 0) {
		if ((size_t)n >= b->cap - b->len) {
			buf_reserve(b, (size_t)n);
			n = vsnprintf(b->p + b->len, b->cap - b->len, fmt, again);
		}
		if (n > 0)
			b->len += (size_t)n;
	}
	va_end(again);
	b->p[b->len] = '\0';
}

void
buf_drain(struct buf *b, size_t n)
{
	if (!b->p || n == 0)
		return;
	if (n >= b->len) {
		b->len = 0;
	} else {
		memmove(b->p, b->p + n, b->len - n);
		b->len -= n;
	}
	b->p[b->len] = '\0';
}

void
buf_free(struct buf *b)
{
	free(b->p);
	*b = (struct buf){0};
}

char *
buf_take(struct buf *b)
{
	char *p = b->p ? b->p : xstrdup("");

	*b = (struct buf){0};
	return p;
}
