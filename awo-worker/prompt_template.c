/* Command files: their front matter, and the prompt that their text becomes with arguments put in.
 */
#include "awo-worker/prompt_template.h"

#include <stdlib.h>
#include <string.h>

#include "common/clean.h"
#include "common/clock.h"
#include "common/text.h"

#define WARNINGS_MAX 16

static void
warn(struct prompt_template *t, char *text)
{
	if (t->warnings.n < WARNINGS_MAX)
		p_strv_add(&t->warnings, text);
	free(text);
}

/* A YAML scalar on one line: blanks around it and one pair of quotes go. */
static char *
scalar(const char *p, size_t len)
{
	while (len > 0 && (*p == ' ' || *p == '\t')) {
		p++;
		len--;
	}
	while (len > 0 && (p[len - 1] == ' ' || p[len - 1] == '\t' || p[len - 1] == '\r'))
		len--;
	if (len >= 2 && (*p == '"' || *p == '\'') && p[len - 1] == *p) {
		p++;
		len -= 2;
	}
	return xstrndup(p, len);
}

static void
take_key(struct prompt_template *t, const char *key, char *value)
{
	char *end;
	long long n;

	if (strcmp(key, "description") == 0) {
		free(t->description);
		t->description = xstrdup(value);
	} else if (strcmp(key, "model") == 0) {
		if (value[0] == '\0' || value[0] == '-' || strlen(value) > 128) {
			warn(t,
			    xasprintf("front matter: model \"%.100s\" is no model's name", value));
			return;
		}
		free(t->model);
		t->model = xstrdup(value);
	} else if (strcmp(key, "max_turns") == 0) {
		n = strtoll(value, &end, 10);
		if (end == value || *end != '\0' || n < 1 || n > 1000000)
			warn(t,
			    xasprintf(
				"front matter: max_turns \"%.100s\" is no number from 1 to 1000000",
				value));
		else
			t->max_turns = n;
	} else if (strcmp(key, "timeout") == 0) {
		int64_t seconds = 0;

		if (!clock_parse_duration(value, &seconds) || seconds < 1 || seconds > 31536000)
			warn(t, xasprintf("front matter: timeout \"%.100s\" is no duration (like "
					  "90, 15m or 2h)",
				    value));
		else
			t->timeout = seconds;
	} else {
		warn(t, xasprintf("front matter: unknown key \"%.100s\"; known: description, "
				  "model, max_turns, timeout",
			    key));
	}
}

static void
take_line(struct prompt_template *t, const char *line, size_t len)
{
	const char *colon;
	char *key CLEAN_FREE = NULL, *value CLEAN_FREE = NULL;

	/* continuation lines, list items and comments belong to keys that were told already */
	if (len == 0 || line[0] == ' ' || line[0] == '\t' || line[0] == '#' || line[0] == '-' ||
	    line[0] == '\r')
		return;
	colon = memchr(line, ':', len);
	if (colon == NULL) {
		warn(t, xasprintf("front matter: \"%.*s\" is no key and value",
			    (int)(len > 100 ? 100 : len), line));
		return;
	}
	key = scalar(line, (size_t)(colon - line));
	value = scalar(colon + 1, len - (size_t)(colon + 1 - line));
	take_key(t, key, value);
}

static bool
is_fence(const char *p, size_t len)
{
	while (len > 0 && (p[len - 1] == '\r' || p[len - 1] == ' ' || p[len - 1] == '\t'))
		len--;
	return len == 3 && memcmp(p, "---", 3) == 0;
}

/* Where the body begins, having taken the front matter in; 0 when there is none. */
static size_t
front_matter(struct prompt_template *t, const char *text, size_t len)
{
	size_t at = 0, end = 0;

	/* it is front matter only when it is closed */
	for (size_t line = 0; at < len && end == 0; line++) {
		const char *nl = memchr(text + at, '\n', len - at);
		size_t n = nl != NULL ? (size_t)(nl - (text + at)) : len - at;
		bool fence = is_fence(text + at, n);

		if (line == 0 && !fence)
			return 0;
		at += n + (nl != NULL ? 1 : 0);
		if (line > 0 && fence)
			end = at;
	}
	if (end == 0)
		return 0;
	for (at = 0; at < end;) {
		const char *nl = memchr(text + at, '\n', end - at);
		size_t n = nl != NULL ? (size_t)(nl - (text + at)) : end - at;

		if (!is_fence(text + at, n))
			take_line(t, text + at, n);
		at += n + 1;
	}
	return end;
}

int
prompt_parse(struct prompt_template *t, const char *text, size_t len, struct awo_err *err)
{
	size_t start;

	*t = (struct prompt_template){0};
	if (len > PROMPT_FILE_MAX)
		return ERR(err, INVALID_ARGUMENT, "", "command file is larger than %u KiB",
		    PROMPT_FILE_MAX >> 10);
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		text += 3;
		len -= 3;
	}
	if (!text_is_utf8(text, len))
		return ERR(err, INVALID_ARGUMENT, "", "command file is no UTF-8 text");
	start = front_matter(t, text, len);
	t->body = xstrndup(text + start, len - start);
	return 0;
}

void
prompt_free(struct prompt_template *t)
{
	free(t->body);
	free(t->description);
	free(t->model);
	p_strv_free(&t->warnings);
	*t = (struct prompt_template){0};
}

int
prompt_render(
    const char *body, const char *const *args, size_t nargs, struct buf *out, struct awo_err *err)
{
	static const char all[] = "ARGUMENTS";
	const char *p = body;

	for (;;) {
		const char *dollar = strchrnul(p, '$');

		buf_add(out, p, (size_t)(dollar - p));
		if (*dollar == '\0')
			break;
		p = dollar + 1;
		if (strncmp(p, all, sizeof(all) - 1) == 0) {
			for (size_t i = 0; i < nargs; i++) {
				if (i > 0)
					buf_adds(out, ", ");
				buf_adds(out, args[i]);
			}
			p += sizeof(all) - 1;
		} else if (*p >= '1' && *p <= '9') {
			size_t i = (size_t)(*p - '1');

			if (i < nargs)
				buf_adds(out, args[i]);
			p++;
		} else {
			buf_addc(out, '$');
			if (*p == '$')
				p++;
		}
		if (out->len > PROMPT_TEXT_MAX)
			break;
	}
	if (out->len > PROMPT_TEXT_MAX)
		return ERR(err, RESOURCE_EXHAUSTED, "", "the prompt is larger than %u MiB",
		    PROMPT_TEXT_MAX >> 20);
	return 0;
}
