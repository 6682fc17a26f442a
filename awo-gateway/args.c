/* What a request says, as one JSON object that the tables can check; and what is wrong with it, in
 * words for programs. */
#include "awo-gateway/args.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "awo-gateway/json_out.h"
#include "common/clean.h"
#include "common/text.h"

#define INPUT_MAX 1024 /* bytes of JSON that an error shows of what it is about */

static const struct p_field *
field_named(const struct p_type *type, const char *name, size_t len)
{
	for (size_t i = 0; i < type->nfields; i++)
		if (type->fields[i].name_len == len && memcmp(type->fields[i].name, name, len) == 0)
			return &type->fields[i];
	return NULL;
}

const char *
args_path_field(const struct p_type *type, const char *name)
{
	if (strcmp(name, "id") == 0 &&
	    field_named(type, "agent_work_order_id", strlen("agent_work_order_id")) != NULL)
		return "agent_work_order_id";
	return name;
}

static json_t *
number(const char *text)
{
	char *end;
	long long value;

	errno = 0;
	value = strtoll(text, &end, 10);
	/* what is no number stays text, and is refused by its row */
	if (errno != 0 || end == text || *end != '\0' || text[strspn(text, "+-0123456789")] != '\0')
		return json_string(text);
	return json_integer(value);
}

static json_t *
boolean(const char *text)
{
	static const char *const yes[] = {"true", "1", "yes", "on"}, *const no[] = {
									 "false", "0", "no", "off"};

	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		if (strcmp(text, yes[i]) == 0)
			return json_true();
		if (strcmp(text, no[i]) == 0)
			return json_false();
	}
	return json_string(text);
}

/* Words between commas, as ?selected_commands=planning,execute has them. */
static void
add_words(json_t *list, const char *text)
{
	while (*text != '\0') {
		size_t n = strcspn(text, ",");

		if (n > 0)
			json_array_append_new(list, json_stringn(text, n));
		text += n + (text[n] == ',');
	}
}

static void
take_query(json_t *args, const struct p_type *type, const struct target *t)
{
	for (size_t i = 0; i < t->nparams; i++) {
		const char *name = t->params[i].name, *text = t->params[i].value;
		const struct p_field *f = field_named(type, name, strlen(name));
		json_t *list;

		if (f == NULL)
			continue;
		switch (f->kind) {
		case P_STRV:
			list = json_object_get(args, name);
			if (list == NULL) {
				list = json_array();
				json_object_set_new(args, name, list);
			}
			add_words(list, text);
			break;
		case P_INT:
			json_object_set_new(args, name, number(text));
			break;
		case P_BOOL:
			json_object_set_new(args, name, boolean(text));
			break;
		case P_ENUM:
		case P_TIME:
			/* a form's empty choice is none */
			if (*text == '\0')
				break;
			__attribute__((fallthrough));
		case P_STR:
		case P_DBL:
		case P_OBJ:
		case P_LIST:
		case P_ANY:
			json_object_set_new(args, name, json_string(text));
			break;
		}
	}
}

static void
refuse(struct args_error *e, const char *type, enum origin origin)
{
	e->type = type;
	e->origin = origin;
}

static json_t *
parse_body(const char *body, size_t len, struct args_error *e)
{
	json_error_t error;
	json_t *tree;

	if (len == 0 || body[strspn(body, " \t\r\n")] == '\0')
		return json_object();
	tree = json_loadb(body, len, JSON_DECODE_ANY, &error);
	if (tree == NULL) {
		CLEAN_BUF struct buf text = {0};

		text_add_utf8(&text, error.text, strlen(error.text), 200);
		(void)ERR(&e->err, INVALID_ARGUMENT, "", "the body is no JSON: %s",
		    text.p != NULL ? text.p : "");
		e->position = error.position;
		refuse(e, "json_invalid", FROM_BODY);
		return NULL;
	}
	if (!json_is_object(tree)) {
		json_decref(tree);
		(void)ERR(&e->err, INVALID_ARGUMENT, "", "the body must be a JSON object");
		refuse(e, "value_error", FROM_BODY);
		return NULL;
	}
	return tree;
}

/* The path wins; what contradicts it is an error all the same. */
static void
take_path(json_t *args, const struct p_type *type, const struct route_params *params,
    struct args_error *e)
{
	for (size_t i = 0; params != NULL && i < params->n; i++) {
		const char *name = args_path_field(type, params->v[i].name);
		json_t *other = json_object_get(args, name);

		if (other != NULL && !json_is_null(other) &&
		    (!json_is_string(other) ||
			strcmp(json_string_value(other), params->v[i].value) != 0)) {
			(void)ERR(&e->err, INVALID_ARGUMENT, name,
			    "%s must be the one in the path, or be left out", name);
			refuse(e, "value_error", FROM_BODY);
		}
		json_object_set_new(args, name, json_string(params->v[i].value));
	}
}

json_t *
args_make(const struct p_type *type, const char *body, size_t len, const struct target *t,
    const struct route_params *params, struct args_error *e)
{
	CLEAN_JSON json_t *args = json_object(), *tree = parse_body(body, len, e);

	if (tree == NULL)
		return NULL;
	take_query(args, type, t);
	json_object_update(args, tree);
	take_path(args, type, params, e);
	return TAKE_PTR(args);
}

enum origin
args_origin(const struct p_type *type, const char *field, bool has_body, const struct target *t,
    const struct route_params *params)
{
	CLEAN_FREE char *top = xstrndup(field, strcspn(field, "."));

	for (size_t i = 0; params != NULL && i < params->n; i++)
		if (strcmp(args_path_field(type, params->v[i].name), top) == 0)
			return FROM_PATH;
	return !has_body || (*top != '\0' && target_param(t, top) != NULL) ? FROM_QUERY : FROM_BODY;
}

/* ---- what is wrong */

/* Follows a dotted path through the types and the value; the last field that it meets. */
static const struct p_field *
locate(const struct p_type *type, const char *path, const json_t **value)
{
	const struct p_field *f = NULL;

	while (*path != '\0') {
		size_t n = strcspn(path, ".");
		CLEAN_FREE char *word = xstrndup(path, n);

		if (json_is_array(*value))
			*value = json_array_get(*value, strtoul(word, NULL, 10));
		else
			*value = json_object_get(*value, word);
		if (word[0] < '0' || word[0] > '9') {
			f = type != NULL ? field_named(type, word, n) : NULL;
			type = f != NULL ? f->type : NULL;
		}
		path += n + (path[n] == '.');
	}
	return f;
}

/* The type of an error, as clients of FastAPI know them. */
static const char *
error_type(const struct p_field *f, const json_t *value)
{
	if (value == NULL || json_is_null(value))
		return "missing";
	if (f == NULL)
		return "value_error";
	switch (f->kind) {
	case P_ENUM:
		return json_is_string(value) ? "enum" : "string_type";
	case P_STR:
	case P_TIME:
		return json_is_string(value) ? "value_error" : "string_type";
	case P_INT:
		if (json_is_integer(value) && json_integer_value(value) < f->min)
			return "greater_than_equal";
		if (json_is_integer(value) && json_integer_value(value) > f->max)
			return "less_than_equal";
		return "value_error";
	case P_DBL:
		if (json_is_number(value) && json_number_value(value) < f->dmin)
			return "greater_than_equal";
		if (json_is_number(value) && json_number_value(value) > f->dmax)
			return "less_than_equal";
		return "value_error";
	case P_STRV:
		return "value_error";
	case P_BOOL:
	case P_OBJ:
	case P_LIST:
	case P_ANY:
		break;
	}
	return "value_error";
}

/* Whether a dotted path ends in the number of an element. */
static bool
is_item(const char *path)
{
	const char *dot = strrchr(path, '.');

	return dot != NULL && dot[1] >= '0' && dot[1] <= '9';
}

void
args_explain(const struct p_type *type, const json_t *args, const struct awo_err *err,
    enum origin origin, struct args_error *e)
{
	const json_t *value = args;
	const struct p_field *f = locate(type, err->field, &value);

	*e = (struct args_error){.err = *err, .origin = origin, .type = error_type(f, value)};
	/* an item of a list of strings that is none */
	if (f != NULL && f->kind == P_STRV && is_item(err->field) && value != NULL &&
	    !json_is_string(value))
		e->type = "string_type";
	/* secrets are not given back */
	if (f != NULL && (strcmp(f->name, "value") == 0 || strcmp(f->name, "token") == 0))
		return;
	e->input = (json_t *)(uintptr_t)(json_is_null(value) ? NULL : value);
}

static void
add_loc(struct buf *b, const struct args_error *e)
{
	static const char *const origins[] = {[FROM_BODY] = "body",
	    [FROM_QUERY] = "query",
	    [FROM_PATH] = "path",
	    [FROM_HEADER] = "header"};

	buf_printf(b, "[\"%s\"", origins[e->origin]);
	if (strcmp(e->type, "json_invalid") == 0)
		buf_printf(b, ",%lld", (long long)e->position);
	for (const char *p = e->err.field; *p != '\0';) {
		size_t n = strcspn(p, ".");
		CLEAN_FREE char *word = xstrndup(p, n);

		buf_addc(b, ',');
		if (n > 0 && strspn(word, "0123456789") == n && n < 10)
			buf_adds(b, word);
		else
			text_add_json(b, word);
		p += n + (p[n] == '.');
	}
	buf_addc(b, ']');
}

/* What is wrong with one member, alone: the others are not there, and not missed. */
static bool
is_wrong(const struct p_type *type, const struct p_field *f, json_t *value, struct awo_err *err)
{
	CLEAN_JSON json_t *one = json_object();
	void *obj = xcalloc(1, type->size);
	bool wrong;

	json_object_set(one, f->name, value);
	wrong = p_from_json(type, obj, one, false, err) != 0;
	if (!wrong)
		p_free(type, obj);
	free(obj);
	return wrong && strncmp(err->field, f->name, f->name_len) == 0 &&
	       (err->field[f->name_len] == '\0' || err->field[f->name_len] == '.');
}

size_t
args_check(const struct p_type *type, const json_t *args, bool has_body, const struct target *t,
    const struct route_params *params, struct args_error *errors, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < type->nfields && n < max; i++) {
		const struct p_field *f = &type->fields[i];
		json_t *value = json_object_get(args, f->name), *item;
		struct awo_err err = {0};
		size_t k;

		if (value == NULL || json_is_null(value)) {
			if (f->need != P_REQ)
				continue;
			(void)ERR(&err, INVALID_ARGUMENT, f->name, "%s is missing", f->name);
			args_explain(type, args, &err,
			    args_origin(type, f->name, has_body, t, params), &errors[n++]);
		} else if (is_wrong(type, f, value, &err)) {
			args_explain(type, args, &err,
			    args_origin(type, f->name, has_body, t, params), &errors[n++]);
			/* each item of a list has its own error; the first is told already */
			if (f->kind != P_STRV || !is_item(err.field))
				continue;
			for (k = strtoul(err.field + f->name_len + 1, NULL, 10) + 1;
			     n < max && (item = json_array_get(value, k)) != NULL; k++) {
				CLEAN_JSON json_t *alone = json_pack("[O]", item);
				struct awo_err alone_err = {0}, of_item = {0};
				char name[sizeof(err.field)];

				if (!is_wrong(type, f, alone, &alone_err))
					continue;
				snprintf(name, sizeof(name), "%s.%zu", f->name, k);
				(void)ERR(&of_item, INVALID_ARGUMENT, name, "%s%s", name,
				    alone_err.msg + strcspn(alone_err.msg, " "));
				args_explain(type, args, &of_item,
				    args_origin(type, f->name, has_body, t, params), &errors[n++]);
			}
		}
	}
	return n;
}

static void
add_error(struct buf *b, const struct args_error *e)
{
	size_t before;

	buf_printf(b, "{\"type\":\"%s\",\"loc\":", e->type);
	add_loc(b, e);
	buf_adds(b, ",\"msg\":");
	text_add_json(b, e->err.msg);
	buf_adds(b, ",\"input\":");
	before = b->len;
	json_out_any(b, e->input);
	if (b->len - before > INPUT_MAX) {
		b->len = before;
		buf_adds(b, "null");
	}
	buf_addc(b, '}');
}

void
args_errors_json(struct buf *b, const struct args_error *errors, size_t n)
{
	buf_adds(b, "{\"detail\":[");
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			buf_addc(b, ',');
		add_error(b, &errors[i]);
	}
	buf_adds(b, "]}");
}
