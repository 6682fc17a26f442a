/* The checks of values against their rows in types.def. */
#include "proto/check.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/text.h"

static void
add_place(struct buf *b, const struct p_place *at)
{
	if (!at)
		return;
	add_place(b, at->up); /* as deep as the types nest, a handful */
	if (b->len > 0)
		buf_addc(b, '.');
	if (at->name)
		text_add_utf8(b, at->name, at->len, 64);
	else
		buf_printf(b, "%zu", at->index);
}

int
p_bad(struct awo_err *err, const struct p_place *at, const char *fmt, ...)
{
	CLEAN_BUF struct buf place = {0}, text = {0};
	char msg[640];
	va_list ap;

	if (!err)
		return -1;
	va_start(ap, fmt);
	vsnprintf(msg, sizeof msg, fmt, ap);
	va_end(ap);
	add_place(&place, at);
	buf_printf(&text, "%s %s", place.len > 0 ? place.p : "the request", msg);
	return ERR(err, INVALID_ARGUMENT, place.len > 0 ? place.p : "", "%s", text.p);
}

int
p_bad_kind(struct awo_err *err, const struct p_place *at, const struct p_field *f)
{
	static const char *const accepted[] = {
	    [P_STR] = "must be a string",
	    [P_INT] = "must be a whole number",
	    [P_BOOL] = "must be true or false",
	    [P_DBL] = "must be a number",
	    [P_TIME] = "must be a time such as 2026-01-31T08:00:00Z",
	    [P_ENUM] = "must be a string",
	    [P_STRV] = "must be an array of strings",
	    [P_OBJ] = "must be an object",
	    [P_LIST] = "must be an array of objects",
	    [P_ANY] = "must be given",
	};

	return p_bad(err, at, "%s", accepted[f->kind]);
}

static int
bad_enum(const struct p_enum *en, const struct p_place *at, struct awo_err *err)
{
	CLEAN_BUF struct buf names = {0};
	size_t n = 0, i = 0;

	for (size_t r = 0; r < en->nrows; r++)
		n += !en->rows[r].alias;
	for (size_t r = 0; r < en->nrows; r++) {
		if (en->rows[r].alias)
			continue;
		if (i > 0)
			buf_adds(&names, ++i == n ? " or " : ", ");
		else
			i++;
		buf_adds(&names, en->rows[r].name);
	}
	return p_bad(err, at, "must be one of %s", names.p);
}

static int
take_enum(const struct p_field *f, int *to, const char *s, size_t len, enum p_rigour rigour,
    const struct p_place *at, struct awo_err *err)
{
	*to = 0;
	for (size_t i = 0; i < f->en->nrows; i++) {
		const struct p_enum_row *row = &f->en->rows[i];

		if (strlen(row->name) == len && memcmp(row->name, s, len) == 0) {
			*to = row->value;
			return 0;
		}
	}
	return rigour == P_LENIENT ? 0 : bad_enum(f->en, at, err);
}

static int
take_time(const struct p_field *f, int64_t *to, const char *s, size_t len, const struct p_place *at,
    struct awo_err *err)
{
	char text[64];

	if (len >= sizeof text)
		return p_bad_kind(err, at, f);
	memcpy(text, s, len);
	text[len] = '\0';
	if (memchr(text, '\0', len) || !clock_parse(text, to))
		return p_bad_kind(err, at, f);
	return 0;
}

int
p_take_str(const struct p_field *f, void *to, const char *s, size_t len, enum p_rigour rigour,
    const struct p_place *at, struct awo_err *err)
{
	if (f->kind == P_ENUM)
		return take_enum(f, to, s, len, rigour, at, err);
	if (f->kind == P_TIME)
		return take_time(f, to, s, len, at, err);
	if (f->kind != P_STR)
		return p_bad_kind(err, at, f);
	if (rigour == P_STRICT && len == 0 && f->min > 0)
		return p_bad(err, at, "must not be empty");
	if (rigour == P_STRICT && ((int64_t)len < f->min || (int64_t)len > f->max)) {
		if (f->min == f->max)
			return p_bad(
			    err, at, "must be %lld bytes long, not %zu", (long long)f->max, len);
		return p_bad(err, at, "must be between %lld and %lld bytes long, not %zu",
		    (long long)f->min, (long long)f->max, len);
	}
	if (!text_is_utf8(s, len))
		return p_bad(err, at, "must be UTF-8 text without NUL bytes");
	*(char **)to = xstrndup(s, len);
	return 0;
}

int
p_take_int(const struct p_field *f, void *to, int64_t value, enum p_rigour rigour,
    const struct p_place *at, struct awo_err *err)
{
	if (f->kind == P_DBL)
		return p_take_dbl(f, to, (double)value, rigour, at, err);
	if (f->kind != P_INT)
		return p_bad_kind(err, at, f);
	if (rigour == P_STRICT && (value < f->min || value > f->max)) {
		if (f->max == INT64_MAX)
			return p_bad(err, at, "must be at least %lld", (long long)f->min);
		return p_bad(
		    err, at, "must be between %lld and %lld", (long long)f->min, (long long)f->max);
	}
	*(int64_t *)to = value;
	return 0;
}

int
p_take_dbl(const struct p_field *f, void *to, double value, enum p_rigour rigour,
    const struct p_place *at, struct awo_err *err)
{
	if (f->kind != P_DBL)
		return p_bad_kind(err, at, f);
	if (!isfinite(value) || (rigour == P_STRICT && (value < f->dmin || value > f->dmax)))
		return p_bad(err, at, "must be a number between %.17g and %.17g", f->dmin, f->dmax);
	*(double *)to = value;
	return 0;
}

int
p_take_item(const struct p_field *f, struct p_strv *to, const char *s, size_t len,
    enum p_rigour rigour, const struct p_place *at, struct awo_err *err)
{
	if (rigour == P_STRICT && len > f->item_max)
		return p_bad(err, at, "must be at most %zu bytes long, not %zu", f->item_max, len);
	if (!text_is_utf8(s, len))
		return p_bad(err, at, "must be UTF-8 text without NUL bytes");
	p_strv_take(to, xstrndup(s, len));
	return 0;
}

int
p_check_items(const struct p_field *f, uint64_t n, const struct p_place *at, struct awo_err *err)
{
	if (n > (uint64_t)f->max)
		return p_bad(err, at, "must have at most %lld items, not %llu", (long long)f->max,
		    (unsigned long long)n);
	return 0;
}

int
p_check_required(
    const struct p_type *type, const void *obj, const struct p_place *up, struct awo_err *err)
{
	uint64_t has = *(const uint64_t *)obj; /* the first member of every struct */

	for (size_t i = 0; i < type->nfields; i++) {
		const struct p_field *f = &type->fields[i];
		struct p_place at = {up, f->name, f->name_len, 0};

		if (f->need == P_REQ && !(has & UINT64_C(1) << i))
			return p_bad(err, &at, "is missing");
	}
	return 0;
}

bool
p_is_set(const struct p_type *type, const void *obj, size_t i)
{
	const struct p_field *f = &type->fields[i];
	const void *at = (const char *)obj + f->offset;

	if (f->need == P_REQ)
		return true;
	if (!(*(const uint64_t *)obj & UINT64_C(1) << i))
		return false;
	switch (f->kind) {
	case P_STR:
		return *(char *const *)at != NULL;
	case P_ANY:
		return *(json_t *const *)at != NULL;
	case P_ENUM:
		return p_enum_name(f->en, *(const int *)at) != NULL;
	case P_INT:
	case P_BOOL:
	case P_DBL:
	case P_TIME:
	case P_STRV:
	case P_OBJ:
	case P_LIST:
		break;
	}
	return true;
}

const struct p_field *
p_field_find(const struct p_type *type, const char *name, size_t len, size_t *next)
{
	for (size_t n = 0, i = *next; n < type->nfields; n++, i++) {
		const struct p_field *f;

		if (i >= type->nfields)
			i = 0;
		f = &type->fields[i];
		/* a name from outside may hold a NUL: only its length says where it ends */
		if (len > 0 && f->name[0] == name[0] && f->name_len == len &&
		    memcmp(f->name, name, len) == 0) {
			*next = i + 1;
			return f;
		}
	}
	return NULL;
}
