/* Commands about settings and the configuration. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "awoctl/ctl.h"
#include "awoctl/table.h"
#include "common/clean.h"
#include "proto/yaml.h"

static char *
value_text(const json_t *value)
{
	if (!value || json_is_null(value))
		return xstrdup("-");
	if (json_is_string(value))
		return xstrdup(json_string_value(value));
	return json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(12));
}

static int
show(struct ctl *ctl, struct p_settings_answer *answer)
{
	static const struct table_column columns[] = {{"KEY", false, 0, 0}, {"VALUE", false, 12, 0},
	    {"SOURCE", false, 10, 2}, {"MEANING", false, 16, 3}};
	CLEAN_BUF struct buf b = {0};

	if (ctl_json_done(ctl, &p_type_settings_answer, answer))
		return 0;
	struct table *t = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	for (size_t i = 0; i < answer->settings.n; i++) {
		const struct p_setting *s = &answer->settings.v[i];
		CLEAN_FREE char *value = value_text(s->value);
		bool changed = strcmp(s->source, "default") != 0;
		table_cell(t, INK_NONE, s->key);
		table_cell(t, changed ? INK_CYAN : INK_NONE, value ? value : "?");
		const char *how = !s->fixed ? "" : strncmp(s->source, "environment", 11) == 0 ? " (fixed)" : " (file only)";
		table_cellf(t, INK_NONE, "%s%s", s->source, how);
		table_cell(t, INK_DIM, s->help);
	}
	table_print(t, &ctl->out, &b);
	table_free(t);
	if (answer->restart_required)
		ctl_note(ctl, "a stored change takes effect when awod is restarted");
	P_FREE(settings_answer, answer);
	ctl_out(&b);
	return 0;
}

int
ctl_settings(struct ctl *ctl)
{
	struct p_settings_get request = {0};
	struct p_settings_answer answer;

	if (ctl->line->nargs > 0)
		P_SETS(settings_get, &request, key, ctl->line->args[0]);
	int r = ctl_call(ctl, P_M_settings_get, &request, &answer);
	P_FREE(settings_get, &request);
	return r ? r : show(ctl, &answer);
}

/* value is taken over; NULL takes the stored setting back. */
static int
set(struct ctl *ctl, json_t *value)
{
	struct p_settings_set request = {0};
	struct p_settings_answer answer;

	P_SETS(settings_set, &request, key, ctl->line->args[0]);
	if (value)
		P_SET(settings_set, &request, value, value);
	int r = ctl_call(ctl, P_M_settings_set, &request, &answer);
	P_FREE(settings_set, &request);
	return r ? r : show(ctl, &answer);
}

int
ctl_settings_set(struct ctl *ctl)
{
	const char *text = ctl->line->args[1];
	struct awo_err err;
	json_t *value = yaml_parse("value", text, strlen(text), NULL, &err);

	/* what is no YAML (a leading * or @, say) can only be meant as it stands */
	if (!value)
		value = json_string(text);
	if (!value)
		return ctl_usage(ctl, "settings set: the value of %.100s is no UTF-8", ctl->line->args[0]);
	if (json_is_null(value)) {
		json_decref(value);
		return ctl_usage(ctl, "settings set: no value; \"awoctl settings unset %.100s\" takes the stored one back",
		    ctl->line->args[0]);
	}
	return set(ctl, value);
}

int
ctl_settings_unset(struct ctl *ctl)
{
	return set(ctl, NULL);
}

int
ctl_settings_test(struct ctl *ctl)
{
	struct p_settings_test request = {0};
	struct p_test_answer answer;
	CLEAN_BUF struct buf b = {0};
	const char *what = ctl->line->args[0];

	if (strcmp(what, "github") != 0 && strcmp(what, "agent") != 0)
		return ctl_usage(ctl, "settings test: \"%.80s\" is none of: github, agent", what);
	P_SETS(settings_test, &request, what, what);
	if (ctl_opt(ctl, "agent"))
		P_SETS(settings_test, &request, agent, ctl_opt(ctl, "agent"));
	int r = ctl_call(ctl, P_M_settings_test, &request, &answer);
	P_FREE(settings_test, &request);
	if (r != 0)
		return r;
	int status = answer.success ? 0 : CTL_EXIT_FAILED;
	if (ctl_json_done(ctl, &p_type_test_answer, &answer))
		return status;
	term_ink(&b, &ctl->out, answer.success ? INK_GREEN : INK_RED, answer.success ? "ok" : "fail");
	buf_addc(&b, ' ');
	term_escapes(&b, answer.message, TERM_TEXT);
	if (answer.version) {
		buf_adds(&b, " (version ");
		term_escapes(&b, answer.version, TERM_LINE);
		buf_addc(&b, ')');
	}
	buf_addc(&b, '\n');
	P_FREE(test_answer, &answer);
	ctl_out(&b);
	return status;
}

/* Headings for the parts of a dotted key that the key before did not have; returns the last part and its depth. */
static const char *
add_sections(struct buf *b, const char *key, const char *before, int *depth)
{
	const char *part = key;

	*depth = 0;
	for (const char *dot; (dot = strchr(part, '.')); part = dot + 1, (*depth)++) {
		size_t len = (size_t)(dot - key) + 1;
		if (strncmp(before, key, len) == 0)
			continue;
		for (int i = 0; i < *depth; i++)
			buf_adds(b, "  ");
		term_escape(b, part, (size_t)(dot - part), TERM_LINE);
		buf_adds(b, ":\n");
	}
	return part;
}

/* The file's form, each value with its source behind it. */
static void
show_config(const struct ctl *ctl, const struct p_settings_answer *answer)
{
	CLEAN_BUF struct buf b = {0}, line = {0};
	const char *before = "";

	for (size_t i = 0; i < answer->settings.n; i++) {
		const struct p_setting *s = &answer->settings.v[i];
		CLEAN_FREE char *value = s->value && !json_is_null(s->value)
		    ? json_dumps(s->value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(12)) : xstrdup("null");
		int depth;
		const char *name = add_sections(&b, s->key, before, &depth);
		before = s->key;
		line.len = 0;
		while (depth-- > 0)
			buf_adds(&line, "  ");
		term_escapes(&line, name, TERM_LINE);
		buf_adds(&line, ": ");
		term_escapes(&line, value, TERM_LINE);
		buf_adds(&b, line.p);
		for (size_t n = term_columns(line.p); n < 40; n++)
			buf_addc(&b, ' ');
		line.len = 0;
		buf_adds(&line, "  # ");
		term_escapes(&line, s->source, TERM_LINE);
		term_ink(&b, &ctl->out, INK_DIM, line.p);
		buf_addc(&b, '\n');
	}
	ctl_out(&b);
}

int
ctl_config_show(struct ctl *ctl)
{
	struct p_settings_answer answer;
	char program[PATH_MAX];
	struct awo_err err = {0};

	/* where no daemon runs nothing is started just to be asked: awod itself reads the file */
	bool running = ctl_running(ctl, &err);
	if (!running && err.code == AWO_UNAVAILABLE && !ctl->line->json && ctl_find_awod(program, sizeof(program))) {
		ctl_note(ctl, "no awod is running: this is what it would run with");
		fflush(NULL);
		execl(program, "awod", "--check-config", getuid() == 0 ? (char *)NULL : "--user", (char *)NULL);
		ERR(&err, UNAVAILABLE, "", "%s: %s", program, strerror(errno));
	}
	if (!running)
		return ctl_fail(ctl, &err);
	int r = ctl_call(ctl, P_M_settings_get, NULL, &answer);
	if (r != 0 || ctl_json_done(ctl, &p_type_settings_answer, &answer))
		return r;
	show_config(ctl, &answer);
	P_FREE(settings_answer, &answer);
	return 0;
}

int
ctl_reload(struct ctl *ctl)
{
	struct p_settings_answer answer;

	int r = ctl_call(ctl, P_M_system_reload, NULL, &answer);
	if (r != 0 || ctl_json_done(ctl, &p_type_settings_answer, &answer))
		return r;
	ctl_note(ctl, "the configuration was read again%s",
	    answer.restart_required ? "; some changes take effect when awod is restarted" : "");
	P_FREE(settings_answer, &answer);
	return 0;
}
