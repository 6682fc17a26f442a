/* Checks arguments that several commands take. */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "awoctl/ctl.h"
#include "common/clean.h"
#include "common/clock.h"
#include "common/files.h"
#include "common/ids.h"
#include "common/text.h"

int
ctl_order_id(const struct ctl *ctl, const char *text, char *buf)
{
	const char *digits = strncasecmp(text, "wo-", 3) == 0 ? text + 3 : text;
	size_t len = strlen(digits);

	if (len == 0 || len > ID_ORDER_LEN - 3 || strspn(digits, "0123456789abcdefABCDEF") != len)
		return ctl_usage(ctl, "\"%.80s\" is no order id: wo- and up to 8 hexadecimal digits; \"awoctl ls\" shows"
		    " the ids", text);
	snprintf(buf, 65, "wo-%s", digits);
	for (char *p = buf; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return 0;
}

int
ctl_int(const struct ctl *ctl, const char *what, const char *text, int64_t lo, int64_t hi, int64_t *value)
{
	char *end;

	errno = 0;
	long long n = strtoll(text, &end, 10);
	if (errno || end == text || *end || n < lo || n > hi)
		return ctl_usage(ctl, "%s: \"%.80s\" is no number from %lld to %lld", what, text, (long long)lo,
		    (long long)hi);
	*value = n;
	return 0;
}

int
ctl_duration(const struct ctl *ctl, const char *what, const char *text, int64_t *seconds)
{
	if (!clock_parse_duration(text, seconds) || *seconds < 1)
		return ctl_usage(ctl, "%s: \"%.80s\" is no duration such as 90s, 30m, 2h or 7d", what, text);
	return 0;
}

int
ctl_since(const struct ctl *ctl, const char *what, const char *text, int64_t *wall_us)
{
	int64_t seconds;

	/* ten digits alone are a time, fewer are seconds back from now */
	if (strlen(text) < 10 && clock_parse_duration(text, &seconds) && seconds < clock_wall_us() / 1000000) {
		*wall_us = clock_wall_us() - seconds * 1000000;
		return 0;
	}
	if (!clock_parse(text, wall_us))
		return ctl_usage(ctl, "%s: \"%.80s\" is no time: RFC 3339 (2026-01-31T08:00:00Z) or a duration back from"
		    " now (10m)", what, text);
	return 0;
}

int
ctl_enum(const struct ctl *ctl, const char *what, const struct p_enum *en, const char *text, int *value)
{
	CLEAN_BUF struct buf names = {0};
	const char *list[64];
	size_t n = 0;

	*value = p_enum_value(en, text);
	if (*value != 0)
		return 0;
	for (size_t i = 0; i < en->nrows && n < 63; i++) {
		list[n++] = en->rows[i].name;
		if (!en->rows[i].alias)
			buf_printf(&names, "%s%s", names.len ? ", " : "", en->rows[i].name);
	}
	list[n] = NULL;
	const char *near = text_nearest(text, list);
	if (near)
		return ctl_usage(ctl, "%s: \"%.80s\" is unknown; did you mean %s?", what, text, near);
	return ctl_usage(ctl, "%s: \"%.80s\" is none of: %s", what, text, names.p);
}

int
ctl_list(const struct ctl *ctl, const char *what, const char *text, struct p_strv *items)
{
	for (const char *p = text;;) {
		size_t len = strcspn(p, ",");
		const char *next = p + len;
		while (len > 0 && isspace((unsigned char)*p))
			p++, len--;
		while (len > 0 && isspace((unsigned char)p[len - 1]))
			len--;
		if (len == 0) {
			p_strv_free(items);
			return ctl_usage(ctl, "%s: \"%.200s\" has an empty name; names are separated by commas", what, text);
		}
		CLEAN_FREE char *item = xstrndup(p, len);
		p_strv_add(items, item);
		if (!*next)
			return 0;
		p = next + 1;
	}
}

/* Whether a directory is the top of a work tree, or a bare repository. */
static bool
is_repository(const char *dir)
{
	static const char *const bare[] = {"HEAD", "objects", "refs"};
	CLEAN_FREE char *dot_git = xasprintf("%s/.git", dir);

	if (access(dot_git, F_OK) == 0)
		return true;
	for (size_t i = 0; i < sizeof(bare) / sizeof(bare[0]); i++) {
		CLEAN_FREE char *path = xasprintf("%s/%s", dir, bare[i]);
		if (access(path, F_OK) != 0)
			return false;
	}
	return true;
}

int
ctl_repository(const struct ctl *ctl, const char *text, char **repository)
{
	struct stat st;
	bool explicit_path = text[0] == '/' || strcmp(text, ".") == 0 || strcmp(text, "..") == 0
	    || strncmp(text, "./", 2) == 0 || strncmp(text, "../", 3) == 0;
	bool address = strstr(text, "://") != NULL || (strchr(text, ':') && !explicit_path);

	*repository = NULL;
	/* as for git, what is there as a directory is meant, though owner/repo may look the same */
	if (address || (!explicit_path && (stat(text, &st) != 0 || !S_ISDIR(st.st_mode)))) {
		*repository = xstrdup(text);
		return 0;
	}
	CLEAN_FREE char *path = realpath(text, NULL);
	if (!path)
		return ctl_usage(ctl, "%.200s: %s", text, strerror(errno));
	CLEAN_FREE char *top = xstrdup(path);
	while (!is_repository(top)) {
		char *slash = strrchr(top, '/');
		if (!slash || slash == top)
			return ctl_usage(ctl, "%.200s is not in a git repository", path);
		*slash = '\0';
	}
	*repository = TAKE_PTR(top);
	return 0;
}

int
ctl_words_or_stdin(const struct ctl *ctl, const char *const *words, size_t n, size_t limit, char **text)
{
	struct buf b = {0};

	*text = NULL;
	if (n == 1 && strcmp(words[0], "-") == 0) {
		size_t len = 0;
		char *all = files_read_fd(STDIN_FILENO, limit, &len);
		if (!all && errno == EFBIG)
			return ctl_usage(ctl, "standard input is longer than %zu bytes", limit);
		if (!all)
			return ctl_usage(ctl, "standard input: %s", strerror(errno));
		while (len > 0 && (all[len - 1] == '\n' || all[len - 1] == '\r'))
			all[--len] = '\0';
		if (len == 0 || !text_is_utf8(all, len)) {
			free(all);
			return ctl_usage(ctl, len ? "standard input is no UTF-8 text" : "standard input is empty");
		}
		*text = all;
		return 0;
	}
	for (size_t i = 0; i < n; i++)
		buf_printf(&b, "%s%s", i ? " " : "", words[i]);
	if (b.len > limit || !text_is_utf8(b.p ? b.p : "", b.len)) {
		bool long_ = b.len > limit;
		buf_free(&b);
		return long_ ? ctl_usage(ctl, "the text is longer than %zu bytes", limit)
			     : ctl_usage(ctl, "the text is no UTF-8");
	}
	*text = buf_take(&b);
	return 0;
}
