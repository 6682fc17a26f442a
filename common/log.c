/* A program's own log, on standard error. */
#include "common/log.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/text.h"

#define VALUE_MAX 16384 /* bytes of one value: what others sent may be long */

static struct {
	const char *program;
	enum log_fmt fmt;
	enum log_lvl lvl;
	bool journal;
} conf = {.program = "awo", .fmt = LOG_FMT_TEXT, .lvl = LOG_LVL_INFO};

static const struct {
	const char *name;
	char priority; /* of syslog */
} levels[] = {
    [0] = {"info", '6'},
    [LOG_LVL_DEBUG] = {"debug", '7'},
    [LOG_LVL_INFO] = {"info", '6'},
    [LOG_LVL_WARNING] = {"warning", '4'},
    [LOG_LVL_ERROR] = {"error", '3'},
};

/* The variable is inherited by everything below a unit: only a matching descriptor means that we
 * write to the journal. */
static bool
is_journal(void)
{
	const char *s = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	return s && sscanf(s, "%llu:%llu", &dev, &ino) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
	       st.st_dev == dev && st.st_ino == ino;
}

void
log_open(const char *program, enum log_fmt fmt, enum log_lvl lvl)
{
	conf.program = program;
	conf.journal = is_journal();
	log_set(fmt, lvl);
}

void
log_set(enum log_fmt fmt, enum log_lvl lvl)
{
	conf.fmt = fmt;
	conf.lvl = lvl;
}

/* Valid UTF-8 goes in; control characters (C1 too: terminals act on them) come out as escapes. */
static void
add_escaped(struct buf *b, const char *s, size_t len, bool json)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c == '"' || c == '\\') {
			buf_addc(b, '\\');
			buf_addc(b, (char)c);
		} else if (c == '\n') {
			buf_adds(b, "\\n");
		} else if (c == '\t') {
			buf_adds(b, "\\t");
		} else if (c < 0x20 || c == 0x7f) {
			buf_printf(b, json ? "\\u%04x" : "\\x%02x", c);
		} else if (c == 0xc2 && i + 1 < len && (unsigned char)s[i + 1] < 0xa0) {
			buf_printf(b, "\\u%04x", (unsigned char)s[i + 1]);
			i++;
		} else {
			buf_addc(b, (char)c);
		}
	}
}

static bool
is_plain(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (s[i] <= ' ' || s[i] == '"' || s[i] == '\\' || s[i] == '=' || s[i] == 0x7f)
			return false; /* bytes above 127 are negative */
	return len > 0;
}

static void
add_string(struct buf *b, const char *s, bool json)
{
	CLEAN_BUF struct buf clean = {0};
	size_t len = strlen(s);

	text_add_utf8(&clean, s, len, VALUE_MAX);
	if (!json && is_plain(s, len) && len <= VALUE_MAX) {
		buf_add(b, s, len);
		return;
	}
	buf_addc(b, '"');
	add_escaped(b, clean.p, clean.len, json);
	if (len > VALUE_MAX)
		buf_adds(b, "\xe2\x80\xa6");
	buf_addc(b, '"');
}

static void
add_value(struct buf *b, const struct log_field *f, bool json)
{
	switch (f->kind) {
	case LOG_F_STR:
		if (f->s)
			add_string(b, f->s, json);
		else
			buf_adds(b, json ? "null" : "-");
		break;
	case LOG_F_INT:
		buf_printf(b, "%lld", (long long)f->i);
		break;
	case LOG_F_DBL:
		if (isfinite(f->d))
			buf_printf(b, "%.9g", f->d);
		else
			buf_adds(b, json ? "null" : "-");
		break;
	case LOG_F_END:
		break;
	}
}

static void
add_json(struct buf *b, enum log_lvl lvl, const char *event, const struct log_field *fields)
{
	char now[CLOCK_TEXT];

	buf_printf(b, "{\"timestamp\":\"%s\",\"level\":\"%s\",\"program\":",
	    clock_format(clock_wall_us(), now), levels[lvl].name);
	add_string(b, conf.program, true);
	buf_adds(b, ",\"event\":");
	add_string(b, event, true);
	for (; fields->key; fields++) {
		buf_addc(b, ',');
		add_string(b, fields->key, true);
		buf_addc(b, ':');
		add_value(b, fields, true);
	}
	buf_adds(b, "}\n");
}

static void
add_text(struct buf *b, enum log_lvl lvl, const char *event, const struct log_field *fields)
{
	char now[CLOCK_TEXT];

	if (conf.journal)
		buf_printf(b, "<%c>", levels[lvl].priority);
	else
		buf_printf(b, "%s %s %s: ", clock_format(clock_wall_us(), now), levels[lvl].name,
		    conf.program);
	buf_adds(b, event);
	for (; fields->key; fields++) {
		buf_addc(b, ' ');
		buf_adds(b, fields->key);
		buf_addc(b, '=');
		add_value(b, fields, false);
	}
	buf_addc(b, '\n');
}

void
log_write(enum log_lvl lvl, const char *event, const struct log_field *fields)
{
	CLEAN_BUF struct buf b = {0};
	int saved = errno;
	size_t done = 0;

	if (lvl < conf.lvl || lvl > LOG_LVL_ERROR)
		return;
	if (conf.fmt == LOG_FMT_JSON)
		add_json(&b, lvl, event, fields);
	else
		add_text(&b, lvl, event, fields);
	/* one write for a line, so that those of several processes do not mix; what cannot be
	 * written is lost */
	while (done < b.len) {
		ssize_t n = write(STDERR_FILENO, b.p + done, b.len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	errno = saved;
}
