/* The target of a request line, taken apart: what is ambiguous or dangerous in it is refused. */
#include "awo-gateway/target.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/text.h"

enum part { PATH, QUERY };

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Whether a decoded byte may stand in a path: what file systems and proxies take in different ways
 * may not. */
static bool
is_for_path(unsigned char c, bool encoded)
{
	if (c < 0x20 || c == 0x7f || c == '\\')
		return false;
	return !(encoded && c == '/');
}

/* Decodes len bytes in place of `out`, which is as long; returns the length, or -1 with *err. */
static int
decode(enum part part, const char *s, size_t len, char *out, struct awo_err *err)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];
		bool encoded = c == '%';

		if (encoded) {
			int hi = len - i > 2 ? hex_digit(s[i + 1]) : -1;
			int lo = len - i > 2 ? hex_digit(s[i + 2]) : -1;

			if (hi < 0 || lo < 0)
				return ERR(err, INVALID_ARGUMENT, "",
				    "a percent sign in the target is not followed by two "
				    "hexadecimal digits");
			c = (unsigned char)(hi << 4 | lo);
			i += 2;
		} else if (c == '+' && part == QUERY) {
			c = ' ';
		}
		if (c == '\0' || (part == PATH && !is_for_path(c, encoded)))
			return ERR(err, INVALID_ARGUMENT, "",
			    "the target holds a byte that may not stand there: 0x%02x%s", c,
			    encoded ? ", percent-encoded" : "");
		out[n++] = (char)c;
	}
	out[n] = '\0';
	if (!text_is_utf8(out, n))
		return ERR(err, INVALID_ARGUMENT, "", "the target is not UTF-8");
	return (int)n;
}

static int
parse_path(struct target *t, const char *path, size_t len, char **room, struct awo_err *err)
{
	const char *p = path + 1, *end = path + len;

	while (p < end) {
		const char *slash = memchr(p, '/', (size_t)(end - p));
		size_t n = (size_t)((slash ? slash : end) - p);
		int got;

		if (n == 0)
			return ERR(err, INVALID_ARGUMENT, "",
			    "the path has an empty part: two slashes in a row");
		if (t->nsegments == TARGET_SEGMENTS)
			return ERR(err, INVALID_ARGUMENT, "", "the path has more than %d parts",
			    TARGET_SEGMENTS);
		got = decode(PATH, p, n, *room, err);
		if (got < 0)
			return -1;
		if (strcmp(*room, ".") == 0 || strcmp(*room, "..") == 0)
			return ERR(
			    err, INVALID_ARGUMENT, "", "the path has a part that is only dots");
		t->segments[t->nsegments++] = *room;
		*room += got + 1;
		p += n + (slash != NULL);
	}
	return 0;
}

static int
parse_query(struct target *t, const char *query, char **room, struct awo_err *err)
{
	const char *p = query;

	while (*p != '\0') {
		size_t len = strcspn(p, "&"), name = strcspn(p, "&=");
		struct target_param *param = &t->params[t->nparams];
		int got;

		if (len > 0) {
			if (t->nparams == TARGET_PARAMS)
				return ERR(err, INVALID_ARGUMENT, "",
				    "the query has more than %zu parameters", TARGET_PARAMS);
			param->name = *room;
			got = decode(QUERY, p, name, *room, err);
			if (got < 0)
				return -1;
			*room += got + 1;
			param->value = *room;
			got = name < len ? decode(QUERY, p + name + 1, len - name - 1, *room, err)
					 : 0;
			if (got < 0)
				return -1;
			(*room)[got] = '\0';
			*room += got + 1;
			t->nparams++;
		}
		p += len + (p[len] == '&');
	}
	return 0;
}

int
target_parse(const char *raw, struct target *t, struct awo_err *err)
{
	size_t len = strlen(raw), path = strcspn(raw, "?");
	char *room;

	*t = (struct target){0};
	if (len > TARGET_MAX)
		return ERR(err, INVALID_ARGUMENT, "",
		    "the target has %zu bytes; at most %d are accepted", len, TARGET_MAX);
	if (raw[0] != '/')
		return ERR(err, INVALID_ARGUMENT, "",
		    "the target must be a path that begins with a slash");
	if (strchr(raw, '#') != NULL)
		return ERR(err, INVALID_ARGUMENT, "", "the target may not have a fragment");
	/* decoded it is never longer; each part gets a NUL, and has a separator in the raw text but
	 * the last two */
	t->room = room = xcalloc(1, len + 2 * TARGET_PARAMS + TARGET_SEGMENTS + 2);
	if (parse_path(t, raw, path, &room, err) == 0 &&
	    (raw[path] == '\0' || parse_query(t, raw + path + 1, &room, err) == 0))
		return 0;
	target_free(t);
	return -1;
}

void
target_free(struct target *t)
{
	free(t->room);
	*t = (struct target){0};
}

const char *
target_param(const struct target *t, const char *name)
{
	for (size_t i = t->nparams; i > 0; i--)
		if (strcmp(t->params[i - 1].name, name) == 0)
			return t->params[i - 1].value;
	return NULL;
}
