/* Messages of awod as JSON text, written straight from their structs. */
#include "awo-gateway/json_out.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clean.h"
#include "common/clock.h"
#include "common/text.h"
#include "proto/check.h"

enum p_order_status
json_legacy_status(enum p_order_status s)
{
	switch (s) {
	case order_status_waiting:
	case order_status_paused:
		return order_status_running;
	case order_status_cancelled:
		return order_status_failed;
	case order_status_none:
	case order_status_pending:
	case order_status_running:
	case order_status_completed:
	case order_status_failed:
		break;
	}
	return s;
}

static void
add_integer(struct buf *b, int64_t value)
{
	char digits[24], *p = digits + sizeof(digits);
	uint64_t n = value < 0 ? -(uint64_t)value : (uint64_t)value;

	do
		*--p = (char)('0' + n % 10);
	while ((n /= 10) > 0);
	if (value < 0)
		*--p = '-';
	buf_add(b, p, (size_t)(digits + sizeof(digits) - p));
}

/* The shortest of the usual forms that reads back as the same number. */
static void
add_number(struct buf *b, double value)
{
	char text[40];

	if (!isfinite(value)) {
		buf_adds(b, "null");
		return;
	}
	/* most are counts, or nothing */
	if (value > -1e15 && value < 1e15 && value - (double)(int64_t)value == 0) {
		add_integer(b, (int64_t)value);
		return;
	}
	snprintf(text, sizeof(text), "%.15g", value);
	if (strtod(text, NULL) < value || strtod(text, NULL) > value)
		snprintf(text, sizeof(text), "%.17g", value);
	buf_adds(b, text);
}

static void
add_quoted(struct buf *b, const char *plain)
{
	buf_addc(b, '"');
	buf_adds(b, plain);
	buf_addc(b, '"');
}

static int
append(const char *p, size_t n, void *arg)
{
	buf_add(arg, p, n);
	return 0;
}

void
json_out_any(struct buf *b, const json_t *value)
{
	size_t before = b->len;

	if (value != NULL &&
	    json_dump_callback(value, append, b, JSON_COMPACT | JSON_ENCODE_ANY) == 0)
		return;
	b->len = before;
	buf_adds(b, "null");
}

void
json_out_time(struct buf *b, int64_t wall_us)
{
	char text[CLOCK_TEXT];

	add_quoted(b, clock_format(wall_us, text));
}

static void
add_field(struct buf *b, const struct p_field *f, const void *from, bool legacy)
{
	const struct p_any_list *list = from;
	const struct p_strv *sv = from;
	const char *name;
	int value;

	switch (f->kind) {
	case P_STR:
		text_add_json(b, *(char *const *)from ? *(char *const *)from : "");
		return;
	case P_INT:
		add_integer(b, *(const int64_t *)from);
		return;
	case P_BOOL:
		buf_adds(b, *(const bool *)from ? "true" : "false");
		return;
	case P_DBL:
		add_number(b, *(const double *)from);
		return;
	case P_TIME:
		json_out_time(b, *(const int64_t *)from);
		return;
	case P_ENUM:
		value = *(const int *)from;
		if (legacy && f->en == &p_enum_order_status)
			value = (int)json_legacy_status((enum p_order_status)value);
		name = p_enum_name(f->en, value);
		if (name != NULL)
			add_quoted(b, name);
		else
			buf_adds(b, "null");
		return;
	case P_STRV:
		text_add_json_list(b, sv->v, sv->n);
		return;
	case P_OBJ:
		json_out(b, f->type, from, legacy);
		return;
	case P_LIST:
		buf_addc(b, '[');
		for (size_t i = 0; i < list->n; i++) {
			if (i > 0)
				buf_addc(b, ',');
			json_out(b, f->type, list->v + i * f->type->size, legacy);
		}
		buf_addc(b, ']');
		return;
	case P_ANY:
		json_out_any(b, *(json_t *const *)from);
		return;
	}
}

bool
json_out_members(struct buf *b, const struct p_type *type, const void *obj, bool legacy)
{
	bool any = false;

	for (size_t i = 0; i < type->nfields; i++) {
		const struct p_field *f = &type->fields[i];
		bool set = p_is_set(type, obj, i);

		if (!set && f->need != P_NUL)
			continue;
		buf_adds(b, any ? ",\"" : "\"");
		any = true;
		buf_add(b, f->name, f->name_len);
		buf_adds(b, "\":");
		if (set)
			add_field(b, f, (const char *)obj + f->offset, legacy);
		else
			buf_adds(b, "null");
	}
	return any;
}

void
json_out(struct buf *b, const struct p_type *type, const void *obj, bool legacy)
{
	buf_addc(b, '{');
	(void)json_out_members(b, type, obj, legacy);
	buf_addc(b, '}');
}
