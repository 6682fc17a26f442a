/* Text of unknown origin made safe: UTF-8 checks, cutting at character borders, slugs, nearest words. */
#ifndef COMMON_TEXT_H
#define COMMON_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"

bool text_is_utf8(const char *s, size_t len);		/* valid, no surrogates, no NUL */
/* Appends s with bytes that are no UTF-8 (and NULs) replaced by U+FFFD, at most max bytes, cut at a character's end. */
void text_add_utf8(struct buf *b, const char *s, size_t len, size_t max);
/* Appends a JSON string (what is no UTF-8 replaced as above), or an array of such strings. */
void text_add_json(struct buf *b, const char *s);
void text_add_json_list(struct buf *b, char *const *v, size_t n);
/* Lower-case words joined by '-', [a-z0-9-] only, at most max bytes without the NUL; "work" when nothing is left. */
void text_slug(const char *s, size_t max, char *out);
/* The entry of a NULL-terminated list nearest to s by edit distance, or NULL when none is near. */
const char *text_nearest(const char *s, const char *const *list);
/* "1.2 KiB", "3.4 GiB" into buf of at least 16 bytes; returns buf. */
const char *text_bytes(unsigned long long n, char *buf, size_t len);

#endif
