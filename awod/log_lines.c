/* Reading an order's log: line by line, from any position, in bounded portions. */
#include "awod/log_lines.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/text.h"

#define BLOCK ((size_t)256 * 1024)
#define DEPTH_MAX 24 /* of a line's values: an answer holds it some levels deep */

/* One buffer for all: reading never waits, and callbacks do not read. */
static char block[LOG_LINE_MAX + 1];
static bool block_in_use;

/* Fills the block from pos, but not beyond end. */
static ssize_t
read_block(int fd, int64_t pos, int64_t end, size_t from, size_t want)
{
	size_t have = from;

	if (want > sizeof(block))
		want = sizeof(block);
	while (have < want && pos + (int64_t)have < end) {
		size_t n = want - have;
		ssize_t got;

		if ((int64_t)n > end - pos - (int64_t)have)
			n = (size_t)(end - pos - (int64_t)have);
		got = pread(fd, block + have, n, pos + (int64_t)have);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break; /* shorter than it was: what is gone is not waited for */
		have += (size_t)got;
	}
	return (ssize_t)have;
}

/* Goes on looking for the end of a line that is too long. 1 when it was given, 0 at the end, -1
 * with errno. */
static int
skip_long(int fd, struct log_cursor *c, int64_t end, size_t *spent, size_t budget, log_line_cb *cb,
    void *arg, bool *stop)
{
	while (c->looked < end && *spent < budget) {
		ssize_t n = read_block(fd, c->looked, end, 0, BLOCK);
		const char *nl;

		if (n <= 0)
			return (int)n;
		*spent += (size_t)n;
		nl = memchr(block, '\n', (size_t)n);
		if (nl != NULL) {
			int64_t start = c->pos;

			c->pos = c->looked + (nl - block) + 1;
			c->looked = c->pos;
			*stop = cb(arg, NULL, (size_t)(c->pos - 1 - start), c->pos) != 0;
			return 1;
		}
		c->looked += n;
	}
	return 0;
}

static enum log_got
read_lines(int fd, struct log_cursor *c, int64_t end, size_t budget, log_line_cb *cb, void *arg)
{
	size_t spent = 0;

	while (spent < budget && c->pos < end) {
		bool stop = false;
		ssize_t n;
		size_t at = 0;

		if (c->looked > c->pos) {
			int r = skip_long(fd, c, end, &spent, budget, cb, arg, &stop);

			if (r < 0)
				return LOG_FAILED;
			if (r == 0)
				return c->looked < end && spent >= budget ? LOG_MORE : LOG_AT_END;
			if (stop)
				return LOG_MORE;
			continue;
		}
		n = read_block(fd, c->pos, end, 0, BLOCK);
		if (n > 0 && memchr(block, '\n', (size_t)n) == NULL)
			n = read_block(fd, c->pos, end, (size_t)n, sizeof(block));
		if (n < 0)
			return LOG_FAILED;
		spent += (size_t)n + 1;
		while (at < (size_t)n) {
			const char *nl = memchr(block + at, '\n', (size_t)n - at);
			size_t len;

			if (nl == NULL)
				break;
			len = (size_t)(nl - block) - at;
			c->pos += (int64_t)len + 1;
			if (cb(arg, block + at, len, c->pos) != 0)
				return LOG_MORE;
			at += len + 1;
		}
		if (at == 0) {
			if ((size_t)n < sizeof(block))
				return LOG_AT_END;
			c->looked = c->pos + n;
		}
	}
	return c->pos < end ? LOG_MORE : LOG_AT_END;
}

enum log_got
log_lines(int fd, struct log_cursor *c, int64_t end, size_t budget, log_line_cb *cb, void *arg)
{
	enum log_got got;

	AWO_ASSERT(!block_in_use);
	block_in_use = true;
	got = read_lines(fd, c, end, budget, cb, arg);
	block_in_use = false;
	return got;
}

int
log_check_seq(int fd, int64_t seq, const char *field, struct awo_err *err)
{
	char before;
	ssize_t n;

	if (seq == 0)
		return 0;
	n = pread(fd, &before, 1, seq - 1);
	if (n < 0)
		return ERR(err, INTERNAL, field, "cannot read the log: %s", strerror(errno));
	if (n == 0)
		return ERR(err, INVALID_ARGUMENT, field,
		    "%lld is beyond the end of the log; begin again with 0", (long long)seq);
	if (before != '\n')
		return ERR(err, INVALID_ARGUMENT, field,
		    "%lld is not the end of a line; use a seq that a line of this log had, or 0",
		    (long long)seq);
	return 0;
}

/* ---- a line's own values, found without building a tree */

static size_t
skip_space(const char *p, size_t len, size_t at)
{
	while (at < len && (p[at] == ' ' || p[at] == '\t' || p[at] == '\r'))
		at++;
	return at;
}

/* Position after the string that begins at at, or 0. */
static size_t
skip_string(const char *p, size_t len, size_t at)
{
	if (at >= len || p[at] != '"')
		return 0;
	for (at++; at < len; at++) {
		if (p[at] == '\\')
			at++;
		else if (p[at] == '"')
			return at + 1;
		else if ((unsigned char)p[at] < 0x20)
			return 0;
	}
	return 0;
}

/* Numbers, true, false and null are made of these. */
static bool
in_word(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == 'E' || c == '+' ||
	       c == '-' || c == '.';
}

/* Position after a value, or 0. Brackets are only counted: readers of the text parse it themselves.
 */
static size_t
skip_value(const char *p, size_t len, size_t at)
{
	size_t depth = 0;

	while (at < len) {
		if (p[at] == '"') {
			at = skip_string(p, len, at);
			if (at == 0)
				return 0;
		} else if (p[at] == '{' || p[at] == '[') {
			depth++;
			at++;
			continue;
		} else if (p[at] == '}' || p[at] == ']') {
			if (depth == 0)
				return 0;
			depth--;
			at++;
		} else {
			size_t n = 0;

			while (n < len - at && in_word(p[at + n]))
				n++;
			if (n == 0)
				return 0;
			at += n;
		}
		at = skip_space(p, len, at);
		if (depth == 0)
			return at;
		while (at < len && (p[at] == ',' || p[at] == ':' || p[at] == ' '))
			at++;
	}
	return 0;
}

/*
 * Walks the pairs of the object that the line is. Finds key (NULL: just walks) and gives its
 * value's bytes. Returns false when the line is no object; *value is NULL when it has no such key.
 */
static bool
walk(const char *p, size_t len, const char *key, const char **value, size_t *value_len)
{
	size_t at = skip_space(p, len, 0), klen = key != NULL ? strlen(key) : 0;

	*value = NULL;
	*value_len = 0;
	if (at >= len || p[at] != '{')
		return false;
	at = skip_space(p, len, at + 1);
	if (at < len && p[at] == '}')
		return skip_space(p, len, at + 1) == len;
	for (;;) {
		size_t k = at, end = skip_string(p, len, at);

		if (end == 0)
			return false;
		at = skip_space(p, len, end);
		if (at >= len || p[at] != ':')
			return false;
		at = skip_space(p, len, at + 1);
		if (key != NULL && end - k - 2 == klen && memcmp(p + k + 1, key, klen) == 0) {
			size_t stop = skip_value(p, len, at);

			if (stop == 0)
				return false;
			*value = p + at;
			*value_len = stop - at;
			return true;
		}
		at = skip_value(p, len, at);
		if (at == 0 || at >= len)
			return false;
		if (p[at] == '}')
			return skip_space(p, len, at + 1) == len;
		if (p[at] != ',')
			return false;
		at = skip_space(p, len, at + 1);
	}
}

/* A string value without its quotes, when it fits. */
static bool
string_of(const char *p, size_t len, const char *key, char *out, size_t size)
{
	const char *v;
	size_t n;

	if (!walk(p, len, key, &v, &n) || v == NULL || v[0] != '"')
		return false;
	while (n > 0 && v[n - 1] != '"')
		n--;
	if (n < 2 || n - 2 >= size)
		return false;
	memcpy(out, v + 1, n - 2);
	out[n - 2] = '\0';
	return true;
}

bool
log_filter_active(const struct log_filter *f)
{
	return f->level != log_level_none || f->step != NULL || f->has_since;
}

bool
log_filter_match(const struct log_filter *f, const char *p, size_t len)
{
	char text[256];

	if (f->level > log_level_debug) {
		int level = 0;

		if (p != NULL && string_of(p, len, "level", text, sizeof(text)))
			level = p_enum_value(&p_enum_log_level, text);
		if (p == NULL)
			level = log_level_warning;
		if (level == 0)
			level = log_level_info;
		if (level < (int)f->level)
			return false;
	}
	if (f->has_since) {
		int64_t when;

		if (p == NULL || !string_of(p, len, "timestamp", text, sizeof(text)) ||
		    !clock_parse(text, &when) || when < f->since)
			return false;
	}
	if (f->step != NULL && (p == NULL || !string_of(p, len, "step", text, sizeof(text)) ||
				   strcmp(text, f->step) != 0))
		return false;
	return true;
}

static bool
too_deep(const json_t *v, int depth)
{
	const char *key;
	json_t *item;
	size_t i;

	if (depth > DEPTH_MAX)
		return true;
	if (json_is_object(v)) {
		/* the iterator's key is not needed, but the macro wants the variable */
		json_object_foreach((json_t *)(uintptr_t)v, key, item)
		{
			(void)key;
			if (too_deep(item, depth + 1))
				return true;
		}
	} else if (json_is_array(v)) {
		json_array_foreach(v, i, item) if (too_deep(item, depth + 1)) return true;
	}
	return false;
}

static json_t *
substitute(size_t len, const char *reason)
{
	return json_pack("{s:s, s:s, s:s, s:I}", "level", "warning", "event", "log_line_omitted",
	    "reason", reason, "bytes", (json_int_t)len);
}

json_t *
log_line_object(const char *p, size_t len, int64_t seq)
{
	json_t *line = NULL;

	if (p == NULL) {
		line = substitute(len, "too long");
	} else {
		line = json_loadb(p, len, 0, NULL);
		if (!json_is_object(line) || too_deep(line, 0)) {
			json_decref(line);
			line = substitute(len, "no JSON object");
		}
	}
	json_object_set_new(line, "seq", json_integer(seq));
	return line;
}

const char *
log_line_text(const char *p, size_t len, struct buf *b)
{
	const char *v;
	json_t *line;
	size_t n;
	char *text;

	b->len = 0;
	if (p != NULL && text_is_utf8(p, len) && walk(p, len, NULL, &v, &n)) {
		buf_add(b, p, len);
		return b->p;
	}
	line = substitute(len, p == NULL ? "too long" : "no JSON object");
	text = json_dumps(line, JSON_COMPACT);
	json_decref(line);
	AWO_ASSERT(text != NULL);
	buf_adds(b, text);
	free(text);
	return b->p;
}
