/* A growing byte buffer. */
#ifndef COMMON_BUF_H
#define COMMON_BUF_H

#include <stddef.h>
#include <stdint.h>

/* Zero-initialised is empty and valid. p is NUL-terminated behind len when not NULL. Memory exhaustion aborts. */
struct buf {
	char *p;
	size_t len, cap;
};

void buf_reserve(struct buf *b, size_t more);
void buf_add(struct buf *b, const void *p, size_t n);
void buf_adds(struct buf *b, const char *s);
void buf_addc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_drain(struct buf *b, size_t n);	/* forget the first n bytes */
void buf_free(struct buf *b);
char *buf_take(struct buf *b);			/* the string, never NULL; the buffer is empty afterwards */
#define CLEAN_BUF __attribute__((cleanup(buf_free)))

/* malloc, strdup and asprintf that abort with a message when memory is exhausted. */
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t n, size_t size);
char *xstrdup(const char *s);			/* NULL gives NULL */
char *xstrndup(const char *s, size_t n);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
