/* Shows any message as labelled lines, by its descriptor. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "awoctl/fields.h"
#include "common/clean.h"
#include "common/clock.h"
#include "common/text.h"

#define LABEL 26

static void
add_label(struct buf *b, const struct term *term, int indent, const char *label)
{
	CLEAN_BUF struct buf text = {0};

	for (int i = 0; i < indent; i++)
		buf_adds(b, "  ");
	term_escapes(&text, label, TERM_LINE);
	for (char *p = text.p; p && *p; p++)
		if (*p == '_')
			*p = ' ';
	size_t used = term_columns(text.p ? text.p : "") + (size_t)indent * 2;
	term_ink(b, term, INK_DIM, text.p ? text.p : "");
	do
		buf_addc(b, ' ');
	while (++used < LABEL);
}

/* Text of one line goes behind its label, text of several below it. */
static void
add_text(struct buf *b, const char *s, int indent)
{
	CLEAN_BUF struct buf text = {0};
	bool lines = strchr(s, '\n') != NULL;

	term_escapes(&text, s, TERM_TEXT);
	if (!lines) {
		buf_adds(b, text.p ? text.p : "");
		buf_addc(b, '\n');
		return;
	}
	for (char *line = text.p, *next; line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		if (!next && !*line)
			break;
		buf_addc(b, '\n');
		for (int i = 0; i <= indent; i++)
			buf_adds(b, "    ");
		buf_adds(b, line);
	}
	buf_addc(b, '\n');
}

static bool
ends_with(const char *name, const char *end)
{
	size_t a = strlen(name), b = strlen(end);

	return a >= b && strcmp(name + a - b, end) == 0;
}

static void
add_number(struct buf *b, const char *name, double d, int64_t i, bool whole)
{
	char text[TERM_TEXT_MAX];

	if (ends_with(name, "_seconds") || strcmp(name, "uptime") == 0)
		buf_printf(b, "%s\n", term_duration(whole ? (double)i : d, text));
	else if (whole && i >= 0 && (ends_with(name, "_bytes") || ends_with(name, "size") || ends_with(name, "bytes_freed")))
		buf_printf(b, "%s\n", text_bytes((unsigned long long)i, text, sizeof(text)));
	else if (strcmp(name, "cost_usd") == 0)
		buf_printf(b, "%s\n", term_cost(whole ? (double)i : d, text));
	else if (whole)
		buf_printf(b, "%lld\n", (long long)i);
	else
		buf_printf(b, "%.6g\n", d);
}

static void show_json(struct buf *b, const struct term *term, int indent, const char *label, const json_t *value);
static void show_type(struct buf *b, const struct term *term, int indent, const struct p_type *type, const void *obj,
    const char *const *skip);

static bool
all_scalars(const json_t *array)
{
	size_t i;
	json_t *item;

	json_array_foreach(array, i, item)
		if (json_is_object(item) || json_is_array(item))
			return false;
	return true;
}

static void
add_scalar(struct buf *b, const char *label, const json_t *value, int indent)
{
	if (json_is_string(value))
		add_text(b, json_string_value(value), indent);
	else if (json_is_integer(value))
		add_number(b, label, 0, json_integer_value(value), true);
	else if (json_is_real(value))
		add_number(b, label, json_real_value(value), 0, false);
	else
		buf_adds(b, json_is_true(value) ? "yes\n" : json_is_false(value) ? "no\n" : "-\n");
}

static void
show_json(struct buf *b, const struct term *term, int indent, const char *label, const json_t *value)
{
	const char *key;
	json_t *item;
	size_t i;

	if (json_is_object(value) && indent < 16) {
		add_label(b, term, indent, label);
		buf_addc(b, '\n');
		json_object_foreach((json_t *)(uintptr_t)value, key, item)
			show_json(b, term, indent + 1, key, item);
	} else if (json_is_array(value) && all_scalars(value)) {
		add_label(b, term, indent, label);
		if (json_array_size(value) == 0)
			buf_adds(b, "-");
		json_array_foreach(value, i, item) {
			CLEAN_BUF struct buf one = {0};
			add_scalar(&one, label, item, indent);
			if (one.len && one.p[one.len - 1] == '\n')
				one.p[--one.len] = '\0';
			buf_printf(b, "%s%s", i ? ", " : "", one.p ? one.p : "");
		}
		buf_addc(b, '\n');
	} else if (json_is_array(value) && indent < 16) {
		json_array_foreach(value, i, item)
			show_json(b, term, indent, label, item);
	} else {
		add_label(b, term, indent, label);
		add_scalar(b, label, value, indent);
	}
}

enum ink
fields_status_ink(enum p_order_status status)
{
	switch (status) {
	case order_status_running:
		return INK_CYAN;
	case order_status_completed:
		return INK_GREEN;
	case order_status_failed:
		return INK_RED;
	case order_status_waiting:
	case order_status_paused:
		return INK_YELLOW;
	case order_status_cancelled:
		return INK_DIM;
	default:
		return INK_NONE;
	}
}

static void
show_strings(struct buf *b, const struct p_strv *sv)
{
	if (sv->n == 0)
		buf_addc(b, '-');
	for (size_t i = 0; i < sv->n; i++) {
		buf_adds(b, i ? ", " : "");
		term_escapes(b, sv->v[i], TERM_LINE);
	}
	buf_addc(b, '\n');
}

static void
show_field(struct buf *b, const struct term *term, int indent, const struct p_field *f, const void *at)
{
	char when[TERM_TEXT_MAX], ago[TERM_TEXT_MAX];

	if (f->kind == P_ANY) {
		show_json(b, term, indent, f->name, *(json_t *const *)at);
		return;
	}
	if (f->kind == P_LIST) {
		const struct {
			const char *v;
			size_t n;
		} *list = at;
		for (size_t i = 0; i < list->n; i++) {
			add_label(b, term, indent, f->name);
			buf_addc(b, '\n');
			show_type(b, term, indent + 1, f->type, list->v + i * f->type->size, NULL);
		}
		return;
	}
	add_label(b, term, indent, f->name);
	switch (f->kind) {
	case P_STR:
		add_text(b, *(char *const *)at ? *(char *const *)at : "", indent);
		break;
	case P_INT:
		add_number(b, f->name, 0, *(const int64_t *)at, true);
		break;
	case P_BOOL:
		buf_adds(b, *(const bool *)at ? "yes\n" : "no\n");
		break;
	case P_DBL:
		add_number(b, f->name, *(const double *)at, 0, false);
		break;
	case P_TIME:
		buf_printf(b, "%s (%s)\n", term_time(*(const int64_t *)at, when),
		    term_ago(*(const int64_t *)at, clock_wall_us(), ago));
		break;
	case P_ENUM: {
		int value = *(const int *)at;
		const char *name = p_enum_name(f->en, value);
		term_ink(b, term, f->en == &p_enum_order_status ? fields_status_ink((enum p_order_status)value) : INK_NONE,
		    name ? name : "?");
		buf_addc(b, '\n');
		break;
	}
	case P_STRV:
		show_strings(b, at);
		break;
	case P_OBJ:
		buf_addc(b, '\n');
		show_type(b, term, indent + 1, f->type, at, NULL);
		break;
	default:
		buf_addc(b, '\n');
	}
}

static void
show_type(struct buf *b, const struct term *term, int indent, const struct p_type *type, const void *obj,
    const char *const *skip)
{
	uint64_t has = *(const uint64_t *)obj;

	for (size_t i = 0; i < type->nfields; i++) {
		const struct p_field *f = &type->fields[i];
		bool skipped = false;
		for (const char *const *s = skip; s && *s; s++)
			skipped |= strcmp(*s, f->name) == 0;
		if (!skipped && (has & UINT64_C(1) << i))
			show_field(b, term, indent, f, (const char *)obj + f->offset);
	}
}

void
fields_show(struct buf *b, const struct term *term, const struct p_type *type, const void *obj, const char *const *skip)
{
	show_type(b, term, 0, type, obj, skip);
}

void
fields_show_json(struct buf *b, const struct term *term, const char *label, const json_t *value)
{
	show_json(b, term, 0, label, value);
}
