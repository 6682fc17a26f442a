/* Reads what an agent answered: JSON somewhere in its text, verdicts, titles, names of branches. */
#include "awo-worker/answer.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clean.h"
#include "common/text.h"

#define TRIES 256 /* places where an object may begin; the last ones count */

json_t *
answer_json(const char *text, size_t len, const char *key)
{
	json_t *found = NULL;
	int tries = 0;

	/* an answer's object stands at its end: look from there, and take an outer object before
	 * what it holds */
	for (size_t i = len; i-- > 0 && tries < TRIES;) {
		json_error_t e;
		json_t *o;

		if (text[i] != '{')
			continue;
		tries++;
		o = json_loadb(text + i, len - i, JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL, &e);
		if (o == NULL)
			continue;
		if (json_is_object(o) && json_object_get(o, key) != NULL) {
			size_t end = i + (size_t)(e.position > 0 ? e.position : 0);

			json_decref(found);
			found = o;
			/* is it a part of a larger object with the same member? */
			for (size_t k = i; k-- > 0 && tries < TRIES;) {
				if (text[k] != '{')
					continue;
				tries++;
				o = json_loadb(
				    text + k, len - k, JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL, &e);
				if (o != NULL &&
				    k + (size_t)(e.position > 0 ? e.position : 0) >= end &&
				    json_object_get(o, key) != NULL) {
					json_decref(found);
					found = o;
				} else {
					json_decref(o);
				}
			}
			return found;
		}
		json_decref(o);
	}
	return NULL;
}

static void
put(char *out, size_t size, const char *s)
{
	struct buf b CLEAN_BUF = {0};

	text_add_utf8(&b, s, strlen(s), size - 1);
	if (b.len > 0)
		memcpy(out, b.p, b.len);
	out[b.len] = '\0';
}

static const char *
either(const json_t *o, const char *a, const char *b)
{
	const char *s = json_string_value(json_object_get(o, a));

	if (s == NULL)
		s = json_string_value(json_object_get(o, b));
	return s != NULL ? s : "";
}

static void
take_issues(struct answer_review *out, const json_t *list, bool all_block)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *e = json_array_get(list, i);
		const char *text = json_is_string(e)
				       ? json_string_value(e)
				       : either(e, "description", "issue_description");

		out->issues++;
		if (!all_block &&
		    strcasecmp(either(e, "severity", "issue_severity"), "blocker") != 0)
			continue;
		if (out->blockers++ == 0)
			put(out->blocker, sizeof(out->blocker), text);
	}
}

int
answer_review(const char *text, size_t len, struct answer_review *out)
{
	json_t *o CLEAN_JSON = answer_json(text, len, "success");

	*out = (struct answer_review){0};
	if (o == NULL || !json_is_boolean(json_object_get(o, "success")))
		return -1;
	out->success = json_is_true(json_object_get(o, "success"));
	put(out->summary, sizeof(out->summary), either(o, "summary", "review_summary"));
	take_issues(out, json_object_get(o, "issues"), false);
	take_issues(out, json_object_get(o, "review_issues"), false);
	take_issues(out, json_object_get(o, "blockers"), true);
	return 0;
}

static int
take_number(const json_t *o, const char *key, long long *out, struct awo_err *err)
{
	const json_t *v = json_object_get(o, key);

	if (!json_is_integer(v))
		return ERR(err, INVALID_ARGUMENT, key,
		    "test_results.json: %s is missing or no whole number", key);
	*out = json_integer_value(v);
	return 0;
}

int
answer_tests(const char *text, size_t len, struct answer_tests *out, struct awo_err *err)
{
	json_t *o CLEAN_JSON = json_loadb(text, len, 0, NULL);

	*out = (struct answer_tests){0};
	if (!json_is_object(o))
		return ERR(err, INVALID_ARGUMENT, "", "test_results.json is no JSON object");
	put(out->command, sizeof(out->command), either(o, "command", "cmd"));
	if (take_number(o, "exit_code", &out->exit_code, err) != 0 ||
	    take_number(o, "passed", &out->passed, err) != 0 ||
	    take_number(o, "failed", &out->failed, err) != 0)
		return -1;
	out->skipped = json_integer_value(json_object_get(o, "skipped"));
	if (out->passed < 0 || out->failed < 0 || out->skipped < 0)
		return ERR(
		    err, INVALID_ARGUMENT, "", "test_results.json has a negative number of tests");
	return 0;
}

/* One line of text for a title: leading marks of Markdown and blanks go. */
static void
put_title(const char *line, size_t len, char title[256])
{
	char raw[1024];

	while (len > 0 && (isspace((unsigned char)*line) || *line == '#' || *line == '*')) {
		line++;
		len--;
	}
	while (len > 0 && (isspace((unsigned char)line[len - 1]) || line[len - 1] == '*'))
		len--;
	snprintf(raw, sizeof(raw), "%.*s", (int)(len > 200 ? 200 : len), line);
	put(title, 256, raw);
	for (char *p = title; *p != '\0'; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
}

bool
answer_title(const char *text, size_t len, char title[256], struct buf *body)
{
	json_t *o CLEAN_JSON = answer_json(text, len, "title");
	const json_t *t = json_object_get(o, "title");

	title[0] = '\0';
	if (json_is_string(t)) {
		const char *b = either(o, "body", "description"), *line = json_string_value(t);

		put_title(line, strcspn(line, "\n"), title);
		text_add_utf8(body, b, strlen(b), 60000);
	} else {
		size_t at = 0, n = 0;

		while (at < len && title[0] == '\0') {
			const char *nl = memchr(text + at, '\n', len - at);

			n = nl != NULL ? (size_t)(nl - (text + at)) : len - at;
			put_title(text + at, n, title);
			at += n + (nl != NULL ? 1 : 0);
		}
		while (at < len && isspace((unsigned char)text[at]))
			at++;
		text_add_utf8(body, text + at, len - at, 60000);
	}
	return title[0] != '\0';
}

bool
answer_is_branch(const char *name)
{
	static const char good[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./+#@=";
	size_t len = strlen(name);

	if (len == 0 || len > 200 || strspn(name, good) != len)
		return false;
	if (name[0] == '-' || name[0] == '/' || name[0] == '.' || name[len - 1] == '/' ||
	    name[len - 1] == '.')
		return false;
	if (strstr(name, "..") != NULL || strstr(name, "//") != NULL ||
	    strstr(name, "/.") != NULL || strstr(name, "@{") != NULL ||
	    strstr(name, ".lock/") != NULL)
		return false;
	return len < 5 || strcmp(name + len - 5, ".lock") != 0;
}

bool
answer_branch(const char *text, size_t len, char out[256])
{
	size_t start;

	while (len > 0 && (isspace((unsigned char)text[len - 1]) || text[len - 1] == '`' ||
			      text[len - 1] == '*'))
		len--;
	for (start = len; start > 0 && text[start - 1] != '\n'; start--)
		;
	while (start < len &&
	       (isspace((unsigned char)text[start]) || text[start] == '`' || text[start] == '*'))
		start++;
	if (len - start == 0 || len - start > 200)
		return false;
	memcpy(out, text + start, len - start);
	out[len - start] = '\0';
	return strchr(out, '/') != NULL && answer_is_branch(out);
}

bool
answer_is_conventional(const char *line)
{
	static const char *const types[] = {"feat", "fix", "docs", "test", "refactor", "chore",
	    "perf", "style", "build", "ci", "revert"};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		size_t n = strlen(types[i]);

		if (strncmp(line, types[i], n) != 0)
			continue;
		line += n;
		if (*line == '(') {
			line += strcspn(line, ")\n");
			if (*line != ')')
				return false;
			line++;
		}
		if (*line == '!')
			line++;
		return line[0] == ':' && line[1] == ' ' && line[2] != '\0' && line[2] != '\n';
	}
	return false;
}

bool
answer_issue(const char *text, char out[20])
{
	for (const char *p = text; *p != '\0'; p++) {
		const char *digits;
		size_t n;

		if (*p == '#')
			digits = p + 1;
		else if (strncasecmp(p, "issue ", 6) == 0)
			digits = p[6] == '#' ? p + 7 : p + 6;
		else
			continue;
		/* "C#9", "reissue 3": a part of another word */
		if (p > text &&
		    (isalnum((unsigned char)p[-1]) || p[-1] == '_' || p[-1] == '&' || p[-1] == '/'))
			continue;
		n = strspn(digits, "0123456789");
		if (n == 0 || n > 9 || digits[0] == '0' || isalnum((unsigned char)digits[n]) ||
		    digits[n] == '_')
			continue;
		memcpy(out, digits, n);
		out[n] = '\0';
		return true;
	}
	return false;
}

bool
answer_is_plan(const char *path)
{
	const char *base = strrchr(path, '/'), *end;

	if (strncasecmp(path, "PRPs/", 5) == 0 || strncasecmp(path, "specs/", 6) == 0)
		return true;
	base = base != NULL ? base + 1 : path;
	end = base + strlen(base);
	return strncasecmp(base, "plan", 4) == 0 && end - base >= 7 &&
	       strcasecmp(end - 3, ".md") == 0;
}
