/* Knows what the terminal can do, and makes text harmless and human. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

#include "awoctl/term.h"

void
term_resize(struct term *term, int fd)
{
	struct winsize size;
	const char *columns = getenv("COLUMNS");
	char *end;
	long n;

	term->width = 0;
	if (!term->tty)
		return;
	term->width = 80;
	if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		term->width = size.ws_col;
	else if (columns && (n = strtol(columns, &end, 10)) > 0 && n < 10000 && !*end)
		term->width = (int)n;
	if (term->width < 20)
		term->width = 20;
}

void
term_look(struct term *term, int fd, bool no_color)
{
	const char *no = getenv("NO_COLOR"), *kind = getenv("TERM");

	term->tty = isatty(fd) == 1;
	term->colour = term->tty && !no_color && !(no && *no) && !(kind && strcmp(kind, "dumb") == 0);
	term_resize(term, fd);
}

void
term_ink(struct buf *b, const struct term *term, enum ink ink, const char *text)
{
	static const char *const codes[] = {[INK_NONE] = "", [INK_BOLD] = "1", [INK_DIM] = "2", [INK_RED] = "31",
	    [INK_GREEN] = "32", [INK_YELLOW] = "33", [INK_BLUE] = "34", [INK_MAGENTA] = "35", [INK_CYAN] = "36"};

	if (!term->colour || ink == INK_NONE || !*text)
		buf_adds(b, text);
	else
		buf_printf(b, "\033[%sm%s\033[0m", codes[ink], text);
}

/* One character of UTF-8: its bytes, or 0 when there is none. */
static size_t
decode(const unsigned char *s, size_t len, uint32_t *c)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n;

	if (s[0] < 0x80) {
		*c = s[0];
		return 1;
	}
	n = s[0] >= 0xf0 && s[0] < 0xf8 ? 4 : s[0] >= 0xe0 && s[0] < 0xf0 ? 3 : s[0] >= 0xc0 && s[0] < 0xe0 ? 2 : 0;
	if (n == 0 || n > len)
		return 0;
	*c = s[0] & (0xffU >> (n + 1));
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		*c = *c << 6 | (s[i] & 0x3fU);
	}
	if (*c < least[n] || *c > 0x10ffff || (*c >= 0xd800 && *c <= 0xdfff))
		return 0;
	return n;
}

/* Characters that reorder or hide text, which wcwidth() lets pass with width 0. */
static bool
deceives(uint32_t c)
{
	return c == 0x61c || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f)
	    || c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe0fff);
}

void
term_escape(struct buf *b, const char *s, size_t len, enum term_escape how)
{
	const unsigned char *p = (const unsigned char *)s;

	for (size_t i = 0; i < len;) {
		uint32_t c = 0;
		size_t n = decode(p + i, len - i, &c);
		if (n == 0) {
			buf_adds(b, "\xef\xbf\xbd");
			i++;
			continue;
		}
		if (c == '\n' || c == '\t') {
			buf_addc(b, how == TERM_TEXT ? (char)c : ' ');
		} else if (c == '\r' && i + 1 < len && p[i + 1] == '\n') {
			/* the line end that follows says it all */
		} else if (c < 0x20 || (c >= 0x7f && c < 0xa0)) {
			buf_printf(b, "\\x%02x", c);
		} else if (c >= 0x80 && (deceives(c) || wcwidth((wchar_t)c) < 0)) {
			buf_printf(b, "\\u{%x}", c);
		} else {
			buf_add(b, s + i, n);
		}
		i += n;
	}
}

void
term_escapes(struct buf *b, const char *s, enum term_escape how)
{
	if (s)
		term_escape(b, s, strlen(s), how);
}

static size_t
width_of(uint32_t c)
{
	int w = c < 0x80 ? 1 : wcwidth((wchar_t)c);

	return w < 0 ? 1 : (size_t)w;
}

size_t
term_columns(const char *s)
{
	size_t columns = 0, len = strlen(s);

	while (len > 0) {
		uint32_t c = 0;
		size_t n = decode((const unsigned char *)s, len, &c);
		columns += n == 0 ? 1 : width_of(c);
		n += n == 0;
		s += n;
		len -= n;
	}
	return columns;
}

void
term_add_cut(struct buf *b, const char *s, size_t columns)
{
	size_t used = 0, len = strlen(s), take = 0;

	if (columns == 0)
		return;
	if (term_columns(s) <= columns) {
		buf_adds(b, s);
		return;
	}
	while (take < len) {
		uint32_t c = 0;
		size_t n = decode((const unsigned char *)s + take, len - take, &c);
		size_t w = n == 0 ? 1 : width_of(c);
		if (used + w > columns - 1)
			break;
		used += w;
		take += n + (n == 0);
	}
	buf_add(b, s, take);
	buf_adds(b, "…");
}

const char *
term_time(int64_t wall_us, char *buf)
{
	time_t t = (time_t)(wall_us / 1000000);
	struct tm tm;

	if (!localtime_r(&t, &tm) || strftime(buf, TERM_TEXT_MAX, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		snprintf(buf, TERM_TEXT_MAX, "?");
	return buf;
}

const char *
term_clock(int64_t wall_us, char *buf)
{
	time_t t = (time_t)(wall_us / 1000000);
	struct tm tm;

	if (!localtime_r(&t, &tm) || strftime(buf, TERM_TEXT_MAX, "%H:%M:%S", &tm) == 0)
		snprintf(buf, TERM_TEXT_MAX, "?");
	return buf;
}

const char *
term_duration(double seconds, char *buf)
{
	if (!(seconds > 0))
		seconds = 0;
	if (seconds > 1e11)
		seconds = 1e11;
	long long s = (long long)seconds;
	if (seconds < 10)
		snprintf(buf, TERM_TEXT_MAX, "%.1fs", seconds);
	else if (s < 60)
		snprintf(buf, TERM_TEXT_MAX, "%llds", s);
	else if (s < 3600)
		snprintf(buf, TERM_TEXT_MAX, "%lldm %02llds", s / 60, s % 60);
	else if (s < 86400)
		snprintf(buf, TERM_TEXT_MAX, "%lldh %02lldm", s / 3600, s / 60 % 60);
	else
		snprintf(buf, TERM_TEXT_MAX, "%lldd %02lldh", s / 86400, s / 3600 % 24);
	return buf;
}

const char *
term_ago(int64_t wall_us, int64_t now_us, char *buf)
{
	char text[TERM_TEXT_MAX];
	double seconds = (double)(now_us - wall_us) / 1e6;

	if (seconds < 1 && seconds > -1)
		snprintf(buf, TERM_TEXT_MAX, "now");
	else if (seconds < 0)
		snprintf(buf, TERM_TEXT_MAX, "in %.30s", term_duration(-seconds < 10 ? (double)(int)-seconds : -seconds, text));
	else
		snprintf(buf, TERM_TEXT_MAX, "%.30s ago", term_duration(seconds, text));
	return buf;
}

const char *
term_count(int64_t n, char *buf)
{
	if (n < 1000)
		snprintf(buf, TERM_TEXT_MAX, "%lld", (long long)n);
	else if (n < 999950)
		snprintf(buf, TERM_TEXT_MAX, "%.1fk", (double)n / 1e3);
	else if (n < 999950000)
		snprintf(buf, TERM_TEXT_MAX, "%.1fM", (double)n / 1e6);
	else
		snprintf(buf, TERM_TEXT_MAX, "%.1fG", (double)n / 1e9);
	return buf;
}

const char *
term_cost(double usd, char *buf)
{
	snprintf(buf, TERM_TEXT_MAX, usd > 0 && usd < 0.1 ? "$%.4f" : "$%.2f", usd);
	return buf;
}
