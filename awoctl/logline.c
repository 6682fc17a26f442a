/* Renders lines of an order's log for people. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "awoctl/logline.h"
#include "common/clean.h"
#include "common/clock.h"
#include "common/text.h"

#define TEXT_MAX 16384 /* bytes of one text that are shown; --json has all of it */

json_t *
logline_parse(const char *text)
{
	json_t *tree = json_loads(text, JSON_REJECT_DUPLICATES, NULL);

	if (tree && !json_is_object(tree)) {
		json_decref(tree);
		tree = NULL;
	}
	return tree;
}

const char *
logline_str(const json_t *line, const char *key)
{
	const char *s = json_string_value(json_object_get(line, key));

	return s ? s : "";
}

static double
number(const json_t *line, const char *key)
{
	const json_t *value = json_object_get(line, key);

	return json_is_number(value) ? json_number_value(value) : 0;
}

/* Keys that every line has, or that are shown elsewhere. */
static bool
is_common(const char *key)
{
	static const char *const common[] = {"timestamp", "level", "event", "agent_work_order_id", "work_order_id",
	    "repository_url", "workflow_type", "sandbox_type", "step", "seq", "event_id", NULL};

	for (size_t i = 0; common[i]; i++)
		if (strcmp(common[i], key) == 0)
			return true;
	return false;
}

static void
add_value(struct buf *b, const char *key, const json_t *value)
{
	char text[TERM_TEXT_MAX];
	size_t keylen = strlen(key);

	if (json_is_string(value)) {
		CLEAN_BUF struct buf safe = {0};
		const char *s = json_string_value(value);
		size_t len = strlen(s);
		term_escape(&safe, s, len < TEXT_MAX ? len : TEXT_MAX, TERM_LINE);
		bool quote = len == 0 || strpbrk(s, " \t\n\"=");
		buf_printf(b, quote ? "\"%s\"" : "%s", safe.p ? safe.p : "");
	} else if (json_is_real(value) && keylen > 8 && strcmp(key + keylen - 8, "_seconds") == 0) {
		buf_adds(b, term_duration(json_real_value(value), text));
	} else {
		CLEAN_FREE char *dump = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_ENSURE_ASCII
		    | JSON_REAL_PRECISION(6));
		CLEAN_BUF struct buf safe = {0};
		term_escapes(&safe, dump, TERM_LINE);
		term_add_cut(b, safe.p ? safe.p : "", 400);
	}
}

static void
add_rest(struct buf *b, const json_t *line)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)line, key, value) {
		if (is_common(key) || json_is_null(value))
			continue;
		buf_addc(b, ' ');
		term_escapes(b, key, TERM_LINE);
		buf_addc(b, '=');
		add_value(b, key, value);
	}
}

/* A text of the line; the first line of it only, or all. */
static void
add_field(struct buf *b, const json_t *line, const char *key, enum term_escape how)
{
	const char *s = logline_str(line, key);
	size_t len = strlen(s);

	while (len > 0 && (s[len - 1] == '\n' || s[len - 1] == ' '))
		len--;
	if (len > TEXT_MAX) {
		term_escape(b, s, TEXT_MAX, how);
		buf_adds(b, "…");
	} else
		term_escape(b, s, len, how);
}

static void
add_output(struct buf *b, const json_t *line, enum term_escape how)
{
	const char *kind = logline_str(line, "kind");
	char text[TERM_TEXT_MAX];

	if (strcmp(kind, "tool_use") == 0) {
		buf_adds(b, "> ");
		add_field(b, line, "tool", TERM_LINE);
		if (*logline_str(line, "input")) {
			buf_adds(b, ": ");
			add_field(b, line, "input", TERM_LINE);
		} else if (json_object_get(line, "input")) {
			buf_adds(b, ": ");
			add_value(b, "input", json_object_get(line, "input"));
		}
		if (*logline_str(line, "text")) {
			buf_addc(b, ' ');
			add_field(b, line, "text", TERM_LINE);
		}
		return;
	}
	if (strcmp(kind, "tool_result") == 0)
		buf_adds(b, json_is_true(json_object_get(line, "is_error")) ? "< failed: " : "< ");
	else if (*kind && strcmp(kind, "text") != 0) {
		term_escapes(b, kind, TERM_LINE);
		buf_adds(b, ": ");
	}
	add_field(b, line, "text", how);
	if (strcmp(kind, "result") == 0 && json_object_get(line, "cost_usd"))
		buf_printf(b, " (%s)", term_cost(number(line, "cost_usd"), text));
}

/* Says it in words where there are better ones than the keys. Returns false when there are none. */
static bool
add_words(struct buf *b, enum p_event_id event, const json_t *line, enum term_escape how)
{
	char text[TERM_TEXT_MAX];

	switch (event) {
	case P_E_agent_output:
		add_output(b, line, how);
		return true;
	case P_E_step_started:
		buf_printf(b, "step %.0f/%.0f ", number(line, "step_number"), number(line, "total_steps"));
		add_field(b, line, "step", TERM_LINE);
		buf_adds(b, " started (");
		add_field(b, line, "agent_name", TERM_LINE);
		buf_addc(b, ')');
		return true;
	case P_E_step_completed: {
		bool good = json_is_true(json_object_get(line, "success"));
		buf_printf(b, "step %.0f/%.0f ", number(line, "step_number"), number(line, "total_steps"));
		add_field(b, line, "step", TERM_LINE);
		buf_printf(b, " %s after %s", good ? "done" : "failed", term_duration(number(line, "duration_seconds"), text));
		const char *what = good ? "output" : "error_message";
		if (*logline_str(line, what)) {
			buf_adds(b, ": ");
			add_field(b, line, what, how);
		}
		return true;
	}
	case P_E_agent_work_order_started:
		buf_printf(b, "order started, attempt %.0f", number(line, "attempt"));
		return true;
	case P_E_agent_work_order_completed:
		buf_adds(b, "order completed");
		return true;
	case P_E_workflow_phase_transition:
		buf_adds(b, "phase ");
		add_field(b, line, "from_phase", TERM_LINE);
		buf_adds(b, " -> ");
		add_field(b, line, "to_phase", TERM_LINE);
		return true;
	case P_E_git_branch_created:
		buf_adds(b, "branch ");
		add_field(b, line, "git_branch_name", TERM_LINE);
		return true;
	case P_E_git_commit_created:
		buf_adds(b, "commit ");
		term_escape(b, logline_str(line, "sha"), strnlen(logline_str(line, "sha"), 10), TERM_LINE);
		buf_addc(b, ' ');
		add_field(b, line, "subject", TERM_LINE);
		buf_printf(b, " (%.0f files, +%.0f -%.0f in all)", number(line, "git_files_changed"),
		    number(line, "git_lines_added"), number(line, "git_lines_removed"));
		return true;
	case P_E_git_push_completed:
		buf_adds(b, "pushed ");
		add_field(b, line, "git_branch_name", TERM_LINE);
		return true;
	case P_E_github_pull_request_created:
		buf_adds(b, "pull request ");
		add_field(b, line, "github_pull_request_url", TERM_LINE);
		return true;
	case P_E_workflow_failed:
	case P_E_agent_work_order_failed:
	case P_E_agent_command_failed:
	case P_E_git_push_failed:
		term_escapes(b, p_events[event].name, TERM_LINE);
		buf_adds(b, ": ");
		add_field(b, line, "error_message", how);
		if (*logline_str(line, "error_category")) {
			buf_adds(b, " (");
			add_field(b, line, "error_category", TERM_LINE);
			buf_addc(b, ')');
		}
		return true;
	default:
		return false;
	}
}

static void
add_message(struct buf *b, const json_t *line, enum term_escape how)
{
	const char *event = logline_str(line, "event");

	if (add_words(b, p_event_find(event), line, how))
		return;
	term_escapes(b, event, TERM_LINE);
	add_rest(b, line);
}

void
logline_summary(struct buf *b, const json_t *line)
{
	add_message(b, line, TERM_LINE);
}

static enum ink
level_ink(const char *level)
{
	return strcmp(level, "error") == 0 ? INK_RED : strcmp(level, "warning") == 0 ? INK_YELLOW
	    : strcmp(level, "debug") == 0 ? INK_DIM : INK_NONE;
}

static enum ink
message_ink(const json_t *line)
{
	enum p_event_id event = p_event_find(logline_str(line, "event"));
	const char *kind = logline_str(line, "kind");
	enum ink ink = level_ink(logline_str(line, "level"));

	if (ink != INK_NONE)
		return ink;
	if (event == P_E_agent_output)
		return strcmp(kind, "tool_use") == 0 ? INK_CYAN : strcmp(kind, "text") == 0 ? INK_NONE : INK_DIM;
	if (event == P_E_step_completed)
		return json_is_true(json_object_get(line, "success")) ? INK_GREEN : INK_RED;
	if (event == P_E_agent_work_order_completed || event == P_E_github_pull_request_created)
		return INK_GREEN;
	if (event == P_E_step_started)
		return INK_BOLD;
	return INK_NONE;
}

void
logline_show(struct buf *b, const struct term *term, const json_t *line, enum logline_how how)
{
	const char *level = logline_str(line, "level"), *step = logline_str(line, "step");
	CLEAN_BUF struct buf message = {0}, head = {0};
	char when[TERM_TEXT_MAX];
	int64_t us;

	if (!clock_parse(logline_str(line, "timestamp"), &us))
		snprintf(when, sizeof(when), "--:--:--");
	else
		term_clock(us, when);
	term_ink(b, term, INK_DIM, when);
	buf_addc(b, ' ');
	/* levels of whoever wrote the file are cut to the longest that there is */
	term_escape(&head, level, strlen(level) < 7 ? strlen(level) : 7, TERM_LINE);
	while (head.len < 7)
		buf_addc(&head, ' ');
	term_ink(b, term, level_ink(level), head.p);
	buf_addc(b, ' ');
	if (*step) {
		head.len = 0;
		buf_addc(&head, '[');
		term_escape(&head, step, strlen(step) < 64 ? strlen(step) : 64, TERM_LINE);
		buf_adds(&head, "] ");
		term_ink(b, term, INK_BLUE, head.p);
	}
	if (how == LOGLINE_CUT) {
		CLEAN_BUF struct buf all = {0};
		add_message(&all, line, TERM_LINE);
		term_add_cut(&message, all.p ? all.p : "", LOGLINE_SHORT);
	} else
		add_message(&message, line, TERM_TEXT);
	/* a line after the first one is set in, so that no text can pass for a line of the log */
	enum ink ink = message_ink(line);
	for (char *p = message.p, *next; p; p = next) {
		next = strchr(p, '\n');
		if (next)
			*next++ = '\0';
		term_ink(b, term, ink, p);
		buf_adds(b, next ? "\n                 " : "");
	}
	buf_addc(b, '\n');
}

bool
logline_notable(const json_t *line)
{
	const char *level = logline_str(line, "level"), *kind = logline_str(line, "kind");
	enum p_event_id event = p_event_find(logline_str(line, "event"));

	/* whoever watches to the end is told the failure there */
	if (event == P_E_workflow_failed || event == P_E_agent_work_order_failed || event == P_E_git_push_failed)
		return false;
	if (strcmp(level, "warning") == 0 || strcmp(level, "error") == 0)
		return true;
	/* a text that is a JSON object is meant for the worker */
	if (event == P_E_agent_output)
		return (strcmp(kind, "text") == 0 && *logline_str(line, "text") != '{') || strcmp(kind, "retry") == 0;
	switch (event) {
	case P_E__NONE:
	case P_E_workflow_phase_started:
	case P_E_workflow_phase_completed:
	case P_E_workflow_completed:
	case P_E_workflow_started:
	case P_E_sandbox_created:
	case P_E_workspace_created:
	case P_E_agent_work_order_created:
		return false;
	case P_E_github_issue_fetched:
	case P_E_github_issue_commented:
		return true;
	default:
		return p_events[event].state;
	}
}
