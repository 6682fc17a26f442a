/* The error type: filling it, and the table of codes. */
#include "common/err.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/text.h"

static const struct {
	const char *name;
	int http, exit_status;
} codes[AWO_CODE__COUNT] = {
    [AWO_OK] = {"ok", 200, 0},
#define AWO_CODE(id, name_, http_, exit_, help) [AWO_##id] = {name_, http_, exit_},
#include "proto/errors.def"
#undef AWO_CODE
};

/*
 * Copies text of unknown origin: valid UTF-8, no control characters but newline and tab (a message
 * may end on a terminal), cut at a character's end, no newline at the end.
 */
static void
set_text(char *to, size_t size, const char *s, size_t len)
{
	CLEAN_BUF struct buf b = {0};

	text_add_utf8(&b, s, len, size - 1);
	while (b.len > 0 && (b.p[b.len - 1] == '\n' || b.p[b.len - 1] == '\r'))
		b.len--;
	for (size_t i = 0; i < b.len; i++) {
		unsigned char c = (unsigned char)b.p[i];

		to[i] = (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f ? '?' : b.p[i];
	}
	to[b.len] = '\0';
}

static size_t
printed(int n, size_t size)
{
	if (n < 0)
		return 0;
	return (size_t)n < size ? (size_t)n : size - 1;
}

int
awo_err_set(struct awo_err *e, enum awo_code code, const char *where, const char *field,
    const char *fmt, ...)
{
	/* both may be parts of *e itself, so they are complete before *e changes */
	char msg[sizeof e->msg], name[sizeof e->field];
	va_list ap;
	int n;

	if (!e)
		return -1;
	va_start(ap, fmt);
	n = vsnprintf(msg, sizeof msg, fmt, ap);
	va_end(ap);
	set_text(name, sizeof name, field ? field : "", field ? strlen(field) : 0);
	e->code = code;
	e->where = where;
	memcpy(e->field, name, sizeof e->field);
	set_text(e->msg, sizeof e->msg, msg, printed(n, sizeof msg));
	e->more[0] = '\0';
	return -1;
}

int
awo_err_prefix(struct awo_err *e, const char *fmt, ...)
{
	char head[sizeof e->msg], whole[2 * sizeof e->msg];
	size_t len;
	va_list ap;
	int n;

	if (!e)
		return -1;
	va_start(ap, fmt);
	n = vsnprintf(head, sizeof head, fmt, ap);
	va_end(ap);
	len = printed(n, sizeof head);
	head[len] = '\0';
	n = snprintf(whole, sizeof whole, "%s%s%s", head,
	    len > 0 && head[len - 1] != ' ' ? ": " : "", e->msg);
	set_text(e->msg, sizeof e->msg, whole, printed(n, sizeof whole));
	return -1;
}

/* The field of the next of what stands in `more`, with its message behind it; the NUL at the end has none. */
static const char *
skip_more(const char *p)
{
	p += strlen(p) + 1;
	return p + strlen(p) + 1;
}

void
awo_err_also(struct awo_err *e, const struct awo_err *other)
{
	size_t field = strlen(other->field) + 1, msg = strlen(other->msg) + 1;
	char *end = e->more;

	while (*end != '\0')
		end = (char *)(uintptr_t)skip_more(end);
	if (field == 1 || field + msg + 1 > (size_t)(e->more + sizeof e->more - end))
		return;
	memcpy(end, other->field, field);
	memcpy(end + field, other->msg, msg);
	end[field + msg] = '\0';
}

bool
awo_err_part(const struct awo_err *e, size_t i, struct awo_err *part)
{
	const char *p = e->more;

	*part = *e;
	part->more[0] = '\0';
	if (i == 0)
		return true;
	for (; i > 1 && *p != '\0'; i--)
		p = skip_more(p);
	if (*p == '\0')
		return false;
	memcpy(part->field, p, strlen(p) + 1);
	p += strlen(p) + 1;
	memcpy(part->msg, p, strlen(p) + 1);
	return true;
}

const char *
awo_code_name(enum awo_code code)
{
	return (unsigned)code < AWO_CODE__COUNT ? codes[code].name : codes[AWO_INTERNAL].name;
}

enum awo_code
awo_code_find(const char *name)
{
	for (unsigned i = 0; name && i < AWO_CODE__COUNT; i++)
		if (strcmp(codes[i].name, name) == 0)
			return (enum awo_code)i;
	return AWO_INTERNAL;
}

int
awo_code_http(enum awo_code code)
{
	return codes[(unsigned)code < AWO_CODE__COUNT ? code : AWO_INTERNAL].http;
}

int
awo_code_exit(enum awo_code code)
{
	return codes[(unsigned)code < AWO_CODE__COUNT ? code : AWO_INTERNAL].exit_status;
}

void
awo_assert_failed(const char *cond, const char *file, int line, const char *func)
{
	fprintf(stderr, "%s:%d: %s: assertion failed: %s\n", file, line, func, cond);
	abort();
}
