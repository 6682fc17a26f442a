/* Says things: results on standard output, remarks and errors on standard error. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "awoctl/ctl.h"
#include "common/clean.h"

static void
to_stderr(const struct term *term, enum ink ink, const char *before, const char *text)
{
	CLEAN_BUF struct buf b = {0}, line = {0};

	term_escapes(&b, text, TERM_TEXT);
	buf_adds(&line, "awoctl: ");
	term_ink(&line, term, ink, before);
	if (b.p)
		buf_adds(&line, b.p);
	buf_addc(&line, '\n');
	fwrite(line.p, 1, line.len, stderr);
}

int
ctl_fail(const struct ctl *ctl, const struct awo_err *err)
{
	struct awo_err part;

	if (ctl->line && ctl->line->json) {
		CLEAN_JSON json_t *tree = json_pack("{s:{s:s,s:s%,s:o}}", "error", "code", awo_code_name(err->code),
		    "message", err->msg, strlen(err->msg), "field",
		    err->field[0] ? json_string(err->field) : json_null());
		json_t *parts = tree && awo_err_part(err, 1, &part) ? json_array() : NULL;
		for (size_t i = 0; parts && awo_err_part(err, i, &part); i++)
			json_array_append_new(parts, json_pack("{s:s,s:s}", "field", part.field, "message", part.msg));
		if (parts)
			json_object_set_new(json_object_get(tree, "error"), "errors", parts);
		CLEAN_FREE char *text = tree ? json_dumps(tree, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
		fprintf(stderr, "%s\n", text ? text : "{\"error\":{\"code\":\"internal\",\"message\":"
		    "\"the error text is no UTF-8\",\"field\":null}}");
		return awo_code_exit(err->code);
	}
	/* fields are named as RPC and HTTP name them, which helps only with a value that does not fit */
	for (size_t i = 0; awo_err_part(err, i, &part); i++) {
		bool name_field = part.code == AWO_INVALID_ARGUMENT && part.field[0] && !strstr(part.msg, part.field);
		CLEAN_FREE char *text = name_field
		    ? xasprintf("%s: %s", part.field, part.msg)
		    : xstrdup(part.msg[0] ? part.msg : awo_code_name(part.code));
		to_stderr(&ctl->err, INK_RED, "", text);
	}
	return awo_code_exit(err->code);
}

int
ctl_usage(const struct ctl *ctl, const char *fmt, ...)
{
	struct awo_err err = {.code = AWO_INVALID_ARGUMENT};
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err.msg, sizeof(err.msg), fmt, ap);
	va_end(ap);
	ctl_fail(ctl, &err);
	return CTL_EXIT_USAGE;
}

void
ctl_note(const struct ctl *ctl, const char *fmt, ...)
{
	va_list ap;
	char *text;

	/* with --json, standard error has errors only, as JSON */
	if (ctl->line->quiet || ctl->line->json)
		return;
	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		abort();
	va_end(ap);
	to_stderr(&ctl->err, INK_NONE, "", text);
	free(text);
}

void
ctl_out(struct buf *b)
{
	if (b->len > 0)
		fwrite(b->p, 1, b->len, stdout);
	if (fflush(stdout) == 0 && !ferror(stdout)) {
		b->len = 0;
		return;
	}
	/* a reader such as head has seen enough: no reason to complain */
	if (errno != EPIPE)
		fprintf(stderr, "awoctl: standard output: %s\n", strerror(errno));
	exit(CTL_EXIT_FAILED);
}

static void
out_tree(const json_t *tree, size_t flags)
{
	CLEAN_BUF struct buf b = {0};
	CLEAN_FREE char *text = json_dumps(tree, flags | JSON_ENCODE_ANY);

	buf_adds(&b, text ? text : "null");
	buf_addc(&b, '\n');
	ctl_out(&b);
}

void
ctl_out_json(const struct ctl *ctl, const json_t *tree)
{
	/* on a terminal nothing but ASCII: C1 and bidirectional controls must not reach it */
	out_tree(tree, ctl->out.tty ? JSON_INDENT(2) | JSON_ENSURE_ASCII : JSON_COMPACT);
}

void
ctl_out_line(const json_t *tree)
{
	out_tree(tree, JSON_COMPACT | JSON_ENSURE_ASCII);
}

void
ctl_out_struct(const struct ctl *ctl, const struct p_type *type, const void *obj)
{
	CLEAN_JSON json_t *tree = p_to_json(type, obj);

	ctl_out_json(ctl, tree);
}

bool
ctl_json_done(const struct ctl *ctl, const struct p_type *type, void *obj)
{
	if (!ctl->line->json)
		return false;
	ctl_out_struct(ctl, type, obj);
	p_free(type, obj);
	return true;
}
