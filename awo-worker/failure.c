/* Why a step or an order failed, in the words and the category that its owner sees. */
#include "awo-worker/failure.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/text.h"

static void
put(struct failure *f, const char *text)
{
	struct buf b CLEAN_BUF = {0};

	/* what a program said may be anything: it is made text here, once */
	text_add_utf8(&b, text, strlen(text), sizeof(f->msg) - 1);
	while (b.len > 0 && (b.p[b.len - 1] == '\n' || b.p[b.len - 1] == ' '))
		b.len--;
	if (b.len == 0)
		buf_adds(&b, "it failed without saying why");
	memcpy(f->msg, b.p, b.len);
	f->msg[b.len] = '\0';
}

int
failure_set(struct failure *f, enum p_error_category category, const char *fmt, ...)
{
	char text[sizeof(f->msg)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	*f = (struct failure){.category = category};
	put(f, text);
	return -1;
}

int
failure_from_err(struct failure *f, enum p_error_category category, const struct awo_err *e)
{
	return failure_set(f, category, "%s", e->msg);
}

int
failure_prefix(struct failure *f, const char *fmt, ...)
{
	char text[sizeof(f->msg)];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof(text))
		snprintf(text + n, sizeof(text) - (size_t)n, "%s", f->msg);
	put(f, text);
	return -1;
}
