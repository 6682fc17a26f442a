/* What the demonstration agent does in each step: small, but real, work with the git program. */
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "awo-worker/demo/demo.h"
#include "common/clean.h"
#include "common/files.h"
#include "common/text.h"

#define TITLE_MAX 60
#define SLUG_MAX 40

/* ---- reading the prompt
 * ------------------------------------------------------------------------------------- */

/* The part behind the heading "## Request" and the paragraph that explains it; the whole prompt
 * when there is none. */
static const char *
request_of(const char *prompt)
{
	const char *heading = strstr(prompt, "\n## Request\n"), *body;

	if (!heading)
		return prompt;
	body = strstr(heading, "\n\n");
	body = body ? strstr(body + 2, "\n\n") : NULL;
	return body ? body + 2 : prompt;
}

/* The first line that says something, cut at a word; never empty. Caller frees. */
static char *
title_of(const char *text)
{
	const char *at = text;
	struct buf b = {0};

	while (*at) {
		size_t len = strcspn(at, "\r\n");
		size_t skip = strspn(at, " \t#>*-");

		if (skip < len && strncmp(at + skip, "demo:", 5) != 0 &&
		    strncmp(at + skip, "demo@", 5) != 0) {
			text_add_utf8(&b, at + skip, len - skip, TITLE_MAX);
			if (len - skip > TITLE_MAX && memchr(b.p, ' ', b.len)) {
				while (b.p[b.len - 1] != ' ')
					b.p[--b.len] = '\0';
			}
			break;
		}
		at += len;
		at += strspn(at, "\r\n");
	}
	while (b.len > 0 && strchr(" \t.", b.p[b.len - 1]))
		b.p[--b.len] = '\0';
	if (b.len == 0)
		buf_adds(&b, "the requested work");
	b.p[0] = (char)tolower((unsigned char)b.p[0]);
	return buf_take(&b);
}

/* What stands between the backticks of the line that begins so; NULL when there is none. Caller
 * frees. */
static char *
value_of(const char *prompt, const char *label)
{
	for (const char *at = prompt; at && *at; at = strchr(at, '\n')) {
		const char *open, *close;

		at += *at == '\n';
		if (strncmp(at, label, strlen(label)) == 0) {
			size_t len = strcspn(at, "\n");

			open = memchr(at, '`', len);
			close = open ? memchr(open + 1, '`', len - (size_t)(open + 1 - at)) : NULL;
			return close && close > open + 1
				   ? xstrndup(open + 1, (size_t)(close - open - 1))
				   : NULL;
		}
	}
	return NULL;
}

/* The digits of the first "#<number>", or "". */
static void
issue_of(const char *text, char out[20])
{
	size_t n = 0;
	const char *at = text;

	while (n == 0 && (at = strchr(at, '#')) != NULL) {
		n = strspn(++at, "0123456789");
		if (n > 19)
			n = 0;
	}
	memcpy(out, at ? at : "", n);
	out[n] = '\0';
}

/* ---- doing things
 * ------------------------------------------------------------------------------------------- */

static int
commit(struct demo *d, const char *path, const char *type, const char *subject)
{
	struct buf command CLEAN_BUF = {0};
	char *message CLEAN_FREE = xasprintf("%s: %s", type, subject);

	if (d->told.no_commit)
		return 0;
	buf_adds(&command, "git add -- ");
	shell_quote(&command, path);
	buf_adds(&command, " && git commit -q -m ");
	shell_quote(&command, message);
	buf_adds(&command, " && git log -1 --format='%h %s'");
	return tool_bash(d, command.p, NULL);
}

/* "<dir>/<slug><suffix>", with a number before the suffix while that file exists. Caller frees. */
static char *
free_name(const char *dir, const char *slug, const char *suffix)
{
	char *path = xasprintf("%s/%s%s", dir, slug, suffix);

	for (int i = 2; access(path, F_OK) == 0; i++) {
		free(path);
		path = xasprintf("%s/%s-%d%s", dir, slug, i, suffix);
	}
	return path;
}

static char *
step_create_branch(struct demo *d)
{
	char *title CLEAN_FREE = title_of(request_of(d->prompt));
	char slug[SLUG_MAX + 1];
	const char *type = "feat";
	static const char *const types[][2] = {{"fix", "fix"}, {"repair", "fix"},
	    {"document", "docs"}, {"test", "test"}, {"refactor", "refactor"}};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (strncasecmp(title, types[i][0], strlen(types[i][0])) == 0)
			type = types[i][1];
	}
	text_slug(title, SLUG_MAX, slug);
	for (int i = 1; i < 10; i++) {
		char *name =
		    i == 1 ? xasprintf("%s/%s", type, slug) : xasprintf("%s/%s-%d", type, slug, i);
		char *command CLEAN_FREE = xasprintf("git checkout -q -b %s", name);

		if (d->told.no_branch || tool_bash(d, command, NULL) == 0)
			return name;
		free(name);
	}
	return xstrdup("No branch could be made.");
}

/* Each line of a text behind a mark of Markdown. */
static void
add_lines(struct buf *b, const char *mark, const char *text)
{
	for (const char *at = text; *at;) {
		size_t len = strcspn(at, "\n");

		buf_adds(b, mark);
		buf_add(b, at, len);
		buf_addc(b, '\n');
		at += len + (at[len] == '\n');
	}
}

static char *
step_planning(struct demo *d)
{
	const char *request = request_of(d->prompt);
	char *title CLEAN_FREE = title_of(request);
	char *files CLEAN_FREE = NULL;
	struct buf plan CLEAN_BUF = {0};
	char slug[SLUG_MAX + 1], issue[20];
	char *path;

	text_slug(title, SLUG_MAX, slug);
	issue_of(request, issue);
	state_write(d, "issue", issue);
	path = free_name("PRPs", slug, ".md");
	tool_bash(d, "git ls-files | head -n 20", &files);
	buf_printf(&plan,
	    "# %s\n\n## Goal\n\nThe repository contains what the request asks for.\n\n", title);
	buf_adds(&plan, "## Request\n\n");
	add_lines(&plan, "> ", request);
	buf_adds(&plan, "\n## Context\n\nFiles that are there (the first 20):\n\n");
	add_lines(&plan, "    ", files);
	buf_printf(&plan,
	    "\n## Assumptions\n\nA demonstration agent plans by a fixed scheme; it reads no code.\n\n"
	    "## Steps\n\n1. Add `awo-demo/%s.md` with the request.\n"
	    "2. Mention it in `README.md`, when there is one.\n\n"
	    "## Tests\n\n`test -s awo-demo/%s.md`\n\n## Done when\n\nThat command exits with 0.\n",
	    slug, slug);
	if (tool_write(d, path, plan.p, false))
		commit(d, path, "docs(prp)", title);
	return path;
}

/* Title and slug of the work, from the plan; from the prompt when there is no plan. Caller frees
 * the title. */
static char *
work_of(struct demo *d, const char *plan, char slug[SLUG_MAX + 1])
{
	char line[512] = "";
	FILE *f CLEAN_FILE = plan ? fopen(plan, "re") : NULL;
	char *title;

	if (f && !fgets(line, sizeof(line), f))
		line[0] = '\0';
	title = title_of(line[0] ? line : request_of(d->prompt));
	text_slug(title, SLUG_MAX, slug);
	return title;
}

static char *
step_execute(struct demo *d)
{
	char *plan CLEAN_FREE = value_of(d->prompt, "Plan");
	char slug[SLUG_MAX + 1];
	char *title CLEAN_FREE = work_of(d, plan, slug);
	char *path CLEAN_FREE = xasprintf("awo-demo/%s.md", slug);
	char *text CLEAN_FREE = xasprintf("# %s\n\nMade by the demonstration agent from `%s`.\n",
	    title, plan ? plan : "the request");
	char *entry CLEAN_FREE = xasprintf("\n* [%s](%s)\n", title, path);

	if (tool_write(d, path, text, access(path, F_OK) == 0))
		commit(d, path, "feat", title);
	if (access("README.md", W_OK) == 0 && tool_write(d, "README.md", entry, true))
		commit(d, "README.md", "feat", "mention it in the README");
	return xasprintf("Added %s as the plan says. `test -s %s` holds.", path, path);
}

static char *
step_review(struct demo *d)
{
	char *plan CLEAN_FREE = value_of(d->prompt, "Plan");
	bool blocked = d->told.review_blocker;
	json_t *verdict CLEAN_JSON = NULL;
	char slug[SLUG_MAX + 1], *text;
	char *path CLEAN_FREE = NULL;
	char *command CLEAN_FREE = NULL;

	free(work_of(d, plan, slug));
	path = xasprintf("awo-demo/%s.md", slug);
	command = xasprintf("git status --short && test -s %s", path);
	if (tool_bash(d, command, NULL) != 0)
		blocked = true;
	verdict = json_pack("{s:b s:s s:[]}", "success", !blocked, "summary",
	    blocked ? "What the plan asks for is not there." : "The plan was carried out.",
	    "issues");
	if (blocked)
		json_array_append_new(json_object_get(verdict, "issues"),
		    json_pack("{s:s s:s s:s}", "severity", "blocker", "file", path, "description",
			"The file that the plan names is missing or was found wanting."));
	text = json_dumps(verdict, JSON_COMPACT);
	return text ? text : xstrdup("{}");
}

static char *
step_testing(struct demo *d)
{
	char *makefile CLEAN_FREE = files_read(AT_FDCWD, "Makefile", 1 << 20, NULL);
	const char *command =
	    makefile && strstr(makefile, "\ntest:") ? "make test" : "git diff --check HEAD";
	int status = d->told.fail_tests ? 1 : tool_bash(d, command, NULL);
	char stamp[32];
	time_t now = time(NULL);
	struct tm tm;
	json_t *results CLEAN_JSON = NULL;
	char *text CLEAN_FREE = NULL;

	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
	results = json_pack("{s:s s:i s:i s:i s:i s:s}", "command", command, "exit_code", status,
	    "passed", status == 0, "failed", status != 0, "skipped", 0, "timestamp", stamp);
	text = json_dumps(results, JSON_INDENT(2));
	if (text && tool_write(d, "test_results.json", text, false))
		commit(d, "test_results.json", "test", "record test results");
	return xasprintf("`%s` exited with %d: %d passed, %d failed, 0 skipped", command, status,
	    status == 0, status != 0);
}

/* {"title", "body"} for the branch, as the prompts of commit and create-pr ask for it. */
static char *
summary_of(struct demo *d, const char *plan)
{
	char *log CLEAN_FREE = NULL;
	char *issue CLEAN_FREE = state_read(d, "issue");
	char slug[SLUG_MAX + 1], *text;
	json_t *answer CLEAN_JSON = NULL;
	char *title CLEAN_FREE = NULL;
	char *headline CLEAN_FREE = NULL;
	char *body CLEAN_FREE = NULL;
	const char *first = NULL;

	tool_bash(d, "git log -5 --format=%s", &log);
	for (const char *at = strstr(log, "feat: "); at; at = strstr(at + 1, "feat: "))
		first = at; /* newest first, and the oldest one names the work */
	title = plan ? work_of(d, plan, slug) : title_of(first ? first + 6 : log);
	headline = issue && issue[0] ? xasprintf("feat: #%s - %s", issue, title)
				     : xasprintf("feat: %s", title);
	body = xasprintf("## Summary\n\n%s\n\n## Changes\n\n```\n%s\n```\n%s%s", title, log,
	    issue && issue[0] ? "\nCloses #" : "", issue ? issue : "");
	answer = json_pack("{s:s s:s}", "title", headline, "body", body);
	text = answer ? json_dumps(answer, JSON_COMPACT) : NULL;
	return text ? text : xstrdup("{}");
}

static char *
step_commit(struct demo *d)
{
	if (!d->told.no_commit)
		tool_bash(d,
		    "git add -A && { git diff --cached --quiet || git commit -q -m 'chore: commit "
		    "what was left'; }",
		    NULL);
	return summary_of(d, NULL);
}

static char *
step_create_pr(struct demo *d)
{
	char *plan CLEAN_FREE = value_of(d->prompt, "Plan");

	return summary_of(d, plan);
}

/* Any prompt that is none of the above: noted in a file and committed. */
static char *
step_prompt(struct demo *d)
{
	char *title CLEAN_FREE = title_of(request_of(d->prompt));
	char *entry CLEAN_FREE = xasprintf("* %s\n", title);
	char *path CLEAN_FREE = value_of(d->prompt, "Replace the content of");
	const char *text = strstr(d->prompt, ":\n\n");

	/* a plan that somebody has edited at a gate */
	if (path && text) {
		if (tool_write(d, path, text + 3, false))
			commit(d, path, "docs", "change the plan");
		return xasprintf("Replaced the content of %s", path);
	}
	if (tool_write(d, "awo-demo/prompts.md", entry, true))
		commit(d, "awo-demo/prompts.md", "feat", title);
	return xasprintf("Noted in awo-demo/prompts.md: %s", title);
}

/* The titles are those of the packaged command files. The last row takes everything else. */
/* clang-format off */
static const struct demo_step steps[] = {
	{"create-branch", "# Create a branch", step_create_branch},
	{"planning", "# Plan the work", step_planning},
	{"execute", "# Carry out the plan", step_execute},
	{"prp-review", "# Review the work", step_review},
	{"testing", "# Run the tests", step_testing},
	{"commit", "# Commit what is left", step_commit},
	{"create-pr", "# Describe the pull request", step_create_pr},
	{"prompt", NULL, step_prompt},
};
/* clang-format on */

const struct demo_step *
steps_all(size_t *n)
{
	*n = sizeof(steps) / sizeof(steps[0]);
	return steps;
}

const struct demo_step *
steps_recognise(const char *prompt)
{
	const struct demo_step *s = steps;
	const char *line = prompt + strspn(prompt, " \t\r\n");
	size_t len = strcspn(line, "\r\n");

	while (s->title && (strlen(s->title) != len || strncmp(s->title, line, len) != 0))
		s++;
	return s;
}
