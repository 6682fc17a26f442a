/* Text of unknown origin made safe. */
#include "common/text.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Length of the valid UTF-8 character (Unicode 15, table 3-7) at s, 0 when there is none. NUL
 * counts as invalid. */
static size_t
utf8_len(const char *text, size_t len)
{
	const unsigned char *s = (const unsigned char *)text;
	unsigned char lo = 0x80, hi = 0xbf;
	size_t n;

	if (s[0] >= 0x01 && s[0] <= 0x7f)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		n = 2;
	else if (s[0] >= 0xe0 && s[0] <= 0xef)
		n = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		n = 4;
	else
		return 0;
	if (len < n)
		return 0;
	if (s[0] == 0xe0)
		lo = 0xa0; /* overlong */
	else if (s[0] == 0xed)
		hi = 0x9f; /* surrogates */
	else if (s[0] == 0xf0)
		lo = 0x90; /* overlong */
	else if (s[0] == 0xf4)
		hi = 0x8f; /* beyond U+10FFFF */
	if (s[1] < lo || s[1] > hi)
		return 0;
	for (size_t i = 2; i < n; i++)
		if (s[i] < 0x80 || s[i] > 0xbf)
			return 0;
	return n;
}

/* Bytes at the front that are ASCII other than NUL, eight at a time where that is possible. */
static size_t
ascii_run(const char *s, size_t len)
{
	const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;
	size_t i = 0;

	for (; i + 8 <= len; i += 8) {
		uint64_t w;

		memcpy(&w, s + i, 8);
		if (((w - ones) | w) & tops)
			break;
	}
	while (i < len && s[i] > 0)
		i++;
	return i;
}

bool
text_is_utf8(const char *s, size_t len)
{
	size_t i = 0;

	while (i < len) {
		size_t n = ascii_run(s + i, len - i);

		i += n;
		if (i == len)
			break;
		n = utf8_len(s + i, len - i);
		if (n == 0)
			return false;
		i += n;
	}
	return true;
}

void
text_add_utf8(struct buf *b, const char *s, size_t len, size_t max)
{
	static const char replacement[] = "\xef\xbf\xbd";
	size_t i = 0, used = 0;

	buf_reserve(b, len < max ? len : max);
	while (i < len && used < max) {
		size_t n = ascii_run(s + i, len - i);

		if (n > 0) {
			if (n > max - used)
				n = max - used;
			buf_add(b, s + i, n);
			i += n;
			used += n;
			continue;
		}
		n = utf8_len(s + i, len - i);
		if ((n ? n : 3) > max - used)
			break;
		if (n > 0)
			buf_add(b, s + i, n);
		else
			buf_add(b, replacement, 3);
		used += n ? n : 3;
		i += n ? n : 1;
	}
}

static void
add_json_char(struct buf *b, unsigned char c)
{
	static const char shorts[] = "\bb\ff\nn\rr\tt\"\"\\\\";

	for (const char *s = shorts; *s; s += 2)
		if (*s == (char)c) {
			buf_addc(b, '\\');
			buf_addc(b, s[1]);
			return;
		}
	buf_printf(b, "\\u%04x", c);
}

void
text_add_json(struct buf *b, const char *s)
{
	CLEAN_BUF struct buf clean = {0};
	size_t len = strlen(s), from = 0;

	if (!text_is_utf8(s, len)) {
		text_add_utf8(&clean, s, len, SIZE_MAX);
		s = clean.p;
		len = clean.len;
	}
	buf_addc(b, '"');
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		buf_add(b, s + from, i - from);
		add_json_char(b, c);
		from = i + 1;
	}
	buf_add(b, s + from, len - from);
	buf_addc(b, '"');
}

void
text_add_json_list(struct buf *b, char *const *v, size_t n)
{
	buf_addc(b, '[');
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			buf_addc(b, ',');
		text_add_json(b, v[i]);
	}
	buf_addc(b, ']');
}

void
text_slug(const char *s, size_t max, char *out)
{
	size_t n = 0;
	bool gap = false;

	for (; *s; s++) {
		char c = *s;

		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))) {
			/* an apostrophe joins: "don't" is one word */
			gap = gap || c != '\'';
			continue;
		}
		if (n + 1 + (gap && n > 0) > max)
			break;
		if (gap && n > 0)
			out[n++] = '-';
		gap = false;
		out[n++] = c;
	}
	out[n] = '\0';
	if (n == 0)
		snprintf(out, max + 1, "%s", "work");
}

#define WORD_MAX 64

/* Edit distance with neighbours swapped as one edit (optimal string alignment). Both at most
 * WORD_MAX bytes. */
static int
distance(const char *a, size_t na, const char *b, size_t nb)
{
	int row[3][WORD_MAX + 1];

	for (size_t j = 0; j <= nb; j++)
		row[0][j] = (int)j;
	for (size_t i = 1; i <= na; i++) {
		int *now = row[i % 3];
		const int *one = row[(i + 2) % 3], *two = row[(i + 1) % 3];

		now[0] = (int)i;
		for (size_t j = 1; j <= nb; j++) {
			int best = one[j - 1] + (a[i - 1] != b[j - 1]);

			if (one[j] + 1 < best)
				best = one[j] + 1;
			if (now[j - 1] + 1 < best)
				best = now[j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    two[j - 2] + 1 < best)
				best = two[j - 2] + 1;
			now[j] = best;
		}
	}
	return row[na % 3][nb];
}

const char *
text_nearest(const char *s, const char *const *list)
{
	size_t len = strnlen(s, WORD_MAX + 1);
	const char *found = NULL;
	int best = INT_MAX;

	if (len == 0 || len > WORD_MAX)
		return NULL;
	for (; *list; list++) {
		size_t n = strnlen(*list, WORD_MAX + 1);
		int d;

		if (n == 0 || n > WORD_MAX)
			continue;
		d = distance(s, len, *list, n);
		/* a third of the letters may differ, but never all of a short word */
		if (d < best && d <= 1 + (int)(n > len ? n : len) / 4 && d < (int)n) {
			best = d;
			found = *list;
		}
	}
	return found;
}

const char *
text_bytes(unsigned long long n, char *buf, size_t len)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double d = (double)n;
	size_t u = 0;

	if (n < 1024) {
		snprintf(buf, len, "%llu B", n);
		return buf;
	}
	/* 1023.95 would print as 1024.0 */
	for (d /= 1024; d >= 1023.95 && u + 1 < sizeof units / sizeof units[0]; u++)
		d /= 1024;
	snprintf(buf, len, "%.1f %s", d, units[u]);
	return buf;
}
