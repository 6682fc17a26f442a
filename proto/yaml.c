/* YAML text to a jansson tree that remembers where each value stood. */
#include "proto/yaml.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "common/buf.h"
#include "common/clean.h"

#define TEXT_MAX (1U << 20)
#define NESTING_MAX 32

struct mark {
	const json_t *value; /* of a key: the mapping */
	char *key;	     /* NULL for the mark of a value */
	int line, column;
};

struct yaml_marks {
	struct mark *v;
	size_t n;
};

struct reader {
	yaml_parser_t parser;
	const char *name;
	struct yaml_marks *marks;
	struct awo_err *err;
};

/* Errors begin with name:line:column, both counted from 1. */
static int
bad(struct reader *r, const yaml_mark_t *at, const char *what)
{
	return ERR(r->err, INVALID_ARGUMENT, "", "%s:%zu:%zu: %s", r->name, at->line + 1,
	    at->column + 1, what);
}

static void
mark(struct reader *r, const json_t *value, const char *key, const yaml_mark_t *at)
{
	struct yaml_marks *m = r->marks;

	/* true, false and null are one object each in jansson: their address says nothing */
	if (!m || (!key && (json_is_boolean(value) || json_is_null(value))))
		return;
	if ((m->n & (m->n - 1)) == 0)
		m->v = xrealloc(m->v, m->n ? m->n * 2 : 1, sizeof *m->v);
	m->v[m->n++] = (struct mark){value, xstrdup(key), (int)at->line + 1, (int)at->column + 1};
}

static int
next(struct reader *r, yaml_event_t *e)
{
	const yaml_parser_t *p = &r->parser;
	yaml_mark_t at;

	if (yaml_parser_parse(&r->parser, e))
		return 0;
	at = p->problem_mark;
	if (p->error == YAML_READER_ERROR) /* it has no mark, only an offset in bytes */
		at = p->mark;
	return bad(r, &at, p->problem ? p->problem : "not YAML");
}

/* ---- scalars of the core schema (YAML 1.2.2, 10.3.2) */

static bool
is_one_of(const char *s, const char *const *list)
{
	for (; *list; list++)
		if (strcmp(s, *list) == 0)
			return true;
	return false;
}

static bool
is_number(const char *s, bool *whole)
{
	size_t before, after = 0;

	s += *s == '-' || *s == '+';
	before = strspn(s, "0123456789");
	s += before;
	*whole = *s == '\0';
	if (*s == '.') {
		after = strspn(++s, "0123456789");
		s += after;
	}
	if (before + after == 0)
		return false;
	if (*s == 'e' || *s == 'E') {
		s++;
		s += *s == '-' || *s == '+';
		if (strspn(s, "0123456789") == 0)
			return false;
		s += strspn(s, "0123456789");
	}
	return *s == '\0';
}

/* 0x1f and 0o17 */
static int
number_base(const char *s)
{
	if (s[0] != '0' || !s[1] || !s[2])
		return 0;
	if (s[1] == 'x' && s[2 + strspn(s + 2, "0123456789abcdefABCDEF")] == '\0')
		return 16;
	if (s[1] == 'o' && s[2 + strspn(s + 2, "01234567")] == '\0')
		return 8;
	return 0;
}

static json_t *
whole_number(struct reader *r, const char *digits, int base, const yaml_mark_t *at)
{
	long long n;

	errno = 0;
	n = strtoll(digits, NULL, base);
	if (errno == 0)
		return json_integer(n);
	bad(r, at, "this number is out of range; put it in quotes if it is text");
	return NULL;
}

static json_t *
plain(struct reader *r, const char *s, size_t len, const yaml_mark_t *at)
{
	static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
	static const char *const trues[] = {"true", "True", "TRUE", NULL};
	static const char *const falses[] = {"false", "False", "FALSE", NULL};
	static const char *const infinite[] = {".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF",
	    "-.inf", "-.Inf", "-.INF", ".nan", ".NaN", ".NAN", NULL};
	bool whole;
	double d;

	if (is_one_of(s, nulls))
		return json_null();
	if (is_one_of(s, trues))
		return json_true();
	if (is_one_of(s, falses))
		return json_false();
	if (number_base(s))
		return whole_number(r, s + 2, number_base(s), at);
	if (is_number(s, &whole)) {
		if (whole)
			return whole_number(r, s, 10, at);
		d = strtod(s, NULL);
		if (isfinite(d))
			return json_real(d);
	} else if (!is_one_of(s, infinite)) {
		return json_stringn(s, len);
	}
	bad(r, at, "this number is out of range; put it in quotes if it is text");
	return NULL;
}

static json_t *
scalar(struct reader *r, const yaml_event_t *e)
{
	const char *s = (const char *)e->data.scalar.value;
	size_t len = e->data.scalar.length;
	json_t *v = NULL;

	if (memchr(s, '\0', len))
		bad(r, &e->start_mark, "NUL characters are not accepted");
	else if (e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
		v = plain(r, s, len, &e->start_mark);
	else
		v = json_stringn(s, len);
	return v;
}

/* ---- nodes */

static json_t *node(struct reader *r, const yaml_event_t *e, int nesting);

static json_t *
sequence(struct reader *r, int nesting)
{
	CLEAN_JSON json_t *array = json_array();

	for (;;) {
		yaml_event_t e;
		json_t *v = NULL;
		bool end;

		if (next(r, &e) < 0)
			return NULL;
		end = e.type == YAML_SEQUENCE_END_EVENT;
		if (!end && (v = node(r, &e, nesting)))
			mark(r, v, NULL, &e.start_mark);
		yaml_event_delete(&e);
		if (end)
			return TAKE_PTR(array);
		if (!v || json_array_append_new(array, v) < 0)
			return NULL;
	}
}

/* The member that follows its key, whose event is e. */
static int
member(struct reader *r, json_t *object, const yaml_event_t *e, int nesting)
{
	const char *key = (const char *)e->data.scalar.value;
	yaml_event_t ve;
	json_t *v;

	if (e->type == YAML_ALIAS_EVENT)
		return bad(r, &e->start_mark, "aliases are not accepted");
	if (e->type != YAML_SCALAR_EVENT)
		return bad(r, &e->start_mark, "a key must be a word or a text");
	if (e->data.scalar.anchor || e->data.scalar.tag)
		return bad(r, &e->start_mark, "anchors and tags are not accepted");
	if (memchr(key, '\0', e->data.scalar.length))
		return bad(r, &e->start_mark, "NUL characters are not accepted");
	if (json_object_get(object, key))
		return ERR(r->err, INVALID_ARGUMENT, "",
		    "%s:%zu:%zu: the key %.100s is there twice", r->name, e->start_mark.line + 1,
		    e->start_mark.column + 1, key);
	if (next(r, &ve) < 0)
		return -1;
	v = node(r, &ve, nesting);
	yaml_event_delete(&ve);
	if (!v)
		return -1;
	mark(r, v, NULL, &e->start_mark);
	mark(r, object, key, &e->start_mark);
	return json_object_set_new(object, key, v);
}

static json_t *
mapping(struct reader *r, int nesting)
{
	CLEAN_JSON json_t *object = json_object();

	for (;;) {
		yaml_event_t e;
		bool end;
		int rc = 0;

		if (next(r, &e) < 0)
			return NULL;
		end = e.type == YAML_MAPPING_END_EVENT;
		if (!end)
			rc = member(r, object, &e, nesting);
		yaml_event_delete(&e);
		if (end)
			return TAKE_PTR(object);
		if (rc < 0)
			return NULL;
	}
}

static json_t *
node(struct reader *r, const yaml_event_t *e, int nesting)
{
	bool scalar_ = e->type == YAML_SCALAR_EVENT, list = e->type == YAML_SEQUENCE_START_EVENT;
	const void *anchor, *tag;

	if (e->type == YAML_ALIAS_EVENT) {
		bad(r, &e->start_mark, "aliases are not accepted");
		return NULL;
	}
	anchor = scalar_ ? e->data.scalar.anchor
		 : list	 ? e->data.sequence_start.anchor
			 : e->data.mapping_start.anchor;
	tag = scalar_ ? e->data.scalar.tag
	      : list  ? e->data.sequence_start.tag
		      : e->data.mapping_start.tag;
	if (anchor || tag) {
		bad(r, &e->start_mark,
		    anchor ? "anchors are not accepted" : "tags are not accepted");
		return NULL;
	}
	if (scalar_)
		return scalar(r, e);
	if (nesting == 0) {
		bad(r, &e->start_mark, "nested more than 32 levels deep");
		return NULL;
	}
	return list ? sequence(r, nesting - 1) : mapping(r, nesting - 1);
}

/* The one document; null when there is none. */
static json_t *
document(struct reader *r)
{
	CLEAN_JSON json_t *tree = NULL;

	for (;;) {
		yaml_event_t e;
		yaml_event_type_t type;
		int rc = 0;

		if (next(r, &e) < 0)
			return NULL;
		type = e.type;
		if (type == YAML_DOCUMENT_START_EVENT && tree) {
			rc = bad(r, &e.start_mark, "a second document is not accepted");
		} else if (type == YAML_SCALAR_EVENT || type == YAML_SEQUENCE_START_EVENT ||
			   type == YAML_MAPPING_START_EVENT || type == YAML_ALIAS_EVENT) {
			tree = node(r, &e, NESTING_MAX);
			if (tree)
				mark(r, tree, NULL, &e.start_mark);
			else
				rc = -1;
		}
		yaml_event_delete(&e);
		if (rc < 0)
			return NULL;
		if (type == YAML_STREAM_END_EVENT)
			return tree ? TAKE_PTR(tree) : json_null();
	}
}

static int
by_place(const void *a, const void *b)
{
	const struct mark *x = a, *y = b;

	if (x->value != y->value)
		return x->value < y->value ? -1 : 1;
	if (!x->key || !y->key)
		return !y->key - !x->key;
	return strcmp(x->key, y->key);
}

json_t *
yaml_parse(
    const char *name, const char *text, size_t len, struct yaml_marks **marks, struct awo_err *err)
{
	struct reader r = {.name = name, .err = err};
	json_t *tree;

	if (marks)
		*marks = NULL;
	if (len > TEXT_MAX) {
		ERR(err, INVALID_ARGUMENT, "", "%s:1:1: the text is larger than 1 MiB", name);
		return NULL;
	}
	if (!yaml_parser_initialize(&r.parser)) {
		ERR(err, INTERNAL, "", "libyaml has no memory");
		return NULL;
	}
	if (marks)
		r.marks = xcalloc(1, sizeof *r.marks);
	/* it would guess otherwise, and take UTF-16 */
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, len);
	tree = document(&r);
	yaml_parser_delete(&r.parser);
	if (!tree) {
		yaml_marks_free(r.marks);
		return NULL;
	}
	if (marks) {
		if (r.marks->n > 0)
			qsort(r.marks->v, r.marks->n, sizeof *r.marks->v, by_place);
		*marks = r.marks;
	}
	return tree;
}

static bool
find(const struct yaml_marks *marks, struct mark wanted, int *line, int *column)
{
	const struct mark *m = NULL;

	if (marks && marks->n > 0)
		m = bsearch(&wanted, marks->v, marks->n, sizeof wanted, by_place);
	if (!m)
		return false;
	*line = m->line;
	*column = m->column;
	return true;
}

bool
yaml_where(const struct yaml_marks *marks, const json_t *value, int *line, int *column)
{
	return find(marks, (struct mark){.value = value}, line, column);
}

bool
yaml_where_key(
    const struct yaml_marks *marks, const json_t *mapping_, const char *key, int *line, int *column)
{
	/* only compared, never changed */
	return find(
	    marks, (struct mark){.value = mapping_, .key = (char *)(uintptr_t)key}, line, column);
}

void
yaml_marks_free(struct yaml_marks *marks)
{
	if (!marks)
		return;
	for (size_t i = 0; i < marks->n; i++)
		free(marks->v[i].key);
	free(marks->v);
	free(marks);
}
