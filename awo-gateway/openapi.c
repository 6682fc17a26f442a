/* This interface as OpenAPI 3.1, from the tables. */
#include "awo-gateway/openapi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "awo-gateway/args.h"
#include "awo-gateway/json_out.h"
#include "awo-gateway/kept.h"
#include "awo-gateway/static.h"
#include "common/clean.h"

static json_t *type_schema(const struct p_type *type);

static json_t *
reference(const char *name)
{
	return json_sprintf("#/components/schemas/%s", name);
}

static json_t *
refers_to(const char *name)
{
	return json_pack("{s:o}", "$ref", reference(name));
}

static json_t *
enum_schema(const struct p_enum *en)
{
	json_t *names = json_array();

	for (size_t i = 0; i < en->nrows; i++)
		json_array_append_new(names, json_string(en->rows[i].name));
	return json_pack(
	    "{s:s, s:s, s:o}", "type", "string", "description", en->help, "enum", names);
}

static void
set_range(json_t *schema, const char *low, const char *high, int64_t min, int64_t max)
{
	json_object_set_new(schema, low, json_integer(min));
	if (max < INT64_MAX)
		json_object_set_new(schema, high, json_integer(max));
}

static json_t *
field_schema(const struct p_field *f)
{
	json_t *s = json_object();

	switch (f->kind) {
	case P_STR:
		json_object_set_new(s, "type", json_string("string"));
		set_range(s, "minLength", "maxLength", f->min, f->max);
		break;
	case P_INT:
		json_object_set_new(s, "type", json_string("integer"));
		set_range(s, "minimum", "maximum", f->min, f->max);
		break;
	case P_BOOL:
		json_object_set_new(s, "type", json_string("boolean"));
		break;
	case P_DBL:
		json_object_set_new(s, "type", json_string("number"));
		break;
	case P_TIME:
		json_object_set_new(s, "type", json_string("string"));
		json_object_set_new(s, "format", json_string("date-time"));
		break;
	case P_ENUM:
		json_object_set_new(s, "$ref", reference(f->en->name));
		break;
	case P_STRV:
		json_object_set_new(s, "type", json_string("array"));
		json_object_set_new(s, "items", json_pack("{s:s}", "type", "string"));
		json_object_set_new(s, "maxItems", json_integer(f->max));
		break;
	case P_OBJ:
		json_object_set_new(s, "$ref", reference(f->type->name));
		break;
	case P_LIST:
		json_object_set_new(s, "type", json_string("array"));
		json_object_set_new(s, "items", refers_to(f->type->name));
		break;
	case P_ANY:
		break;
	}
	/* what may be null in an answer */
	if (f->need == P_NUL && json_object_get(s, "$ref") != NULL)
		s = json_pack("{s:[o,{s:s}]}", "anyOf", s, "type", "null");
	else if (f->need == P_NUL && json_object_get(s, "type") != NULL)
		json_object_set_new(
		    s, "type", json_pack("[O,s]", json_object_get(s, "type"), "null"));
	json_object_set_new(s, "description", json_string(f->help));
	return s;
}

/* without: names of fields that stand in the path. */
static json_t *
object_schema(const struct p_type *type, const struct route *without)
{
	json_t *properties = json_object(), *required = json_array(), *s;

	for (size_t i = 0; i < type->nfields; i++) {
		const struct p_field *f = &type->fields[i];
		bool in_path = false;

		for (size_t k = 0; without != NULL && k < without->nparts; k++) {
			CLEAN_FREE char *name =
			    xstrndup(without->parts[k].text, without->parts[k].len);

			in_path |= without->parts[k].kind != PART_WORD &&
				   strcmp(args_path_field(type, name), f->name) == 0;
		}
		if (in_path)
			continue;
		json_object_set_new(properties, f->name, field_schema(f));
		if (f->need == P_REQ)
			json_array_append_new(required, json_string(f->name));
	}
	s = json_pack("{s:s, s:s, s:o}", "type", "object", "description", type->help, "properties",
	    properties);
	if (json_array_size(required) > 0)
		json_object_set(s, "required", required);
	json_decref(required);
	return s;
}

static json_t *
type_schema(const struct p_type *type)
{
	return object_schema(type, NULL);
}

/* ---- operations */

static json_t *
path_parameters(const struct route *r)
{
	json_t *list = json_array();

	for (size_t i = 0; i < r->nparts; i++) {
		CLEAN_FREE char *name = xstrndup(r->parts[i].text, r->parts[i].len);

		if (r->parts[i].kind != PART_WORD)
			json_array_append_new(
			    list, json_pack("{s:s, s:s, s:b, s:{s:s}}", "name", name, "in", "path",
				      "required", 1, "schema", "type", "string"));
	}
	return list;
}

static bool
has_body(const struct route *r)
{
	return r->method == HTTP_POST || r->method == HTTP_PUT || r->method == HTTP_PATCH;
}

static void
query_parameters(json_t *list, const struct route *r)
{
	CLEAN_JSON json_t *body = object_schema(r->rpc->request, r);
	CLEAN_JSON json_t *required = json_incref(json_object_get(body, "required"));
	const char *name;
	json_t *schema;

	json_object_foreach(json_object_get(body, "properties"), name, schema)
	{
		json_t *p =
		    json_pack("{s:s, s:s, s:O}", "name", name, "in", "query", "schema", schema);

		json_object_set(p, "description", json_object_get(schema, "description"));
		for (size_t i = 0; i < json_array_size(required); i++)
			if (strcmp(json_string_value(json_array_get(required, i)), name) == 0)
				json_object_set_new(p, "required", json_true());
		json_array_append_new(list, p);
	}
}

static json_t *
request_body_schema(const struct route *r)
{
	json_t *schema = object_schema(r->rpc->request, r),
	       *properties = json_object_get(schema, "properties");

	if (r->rpc->id == P_M_order_create) {
		json_object_set_new(properties, "initial_prompt",
		    json_pack("{s:s, s:s}", "type", "string", "description",
			"another spelling of user_request"));
		json_object_set_new(properties, "repository_id",
		    json_pack("{s:s, s:s}", "type", "string", "description",
			"a registered repository: its address, sandbox and steps where the request "
			"names none"));
	}
	return schema;
}

/* What a method answers with below a mount. */
static json_t *
answer_schema(const struct route *r, enum mount mount)
{
	const struct p_type *type = r->rpc->answer;

	if (mount == MOUNT_LEGACY && type == &p_type_order_answer)
		return refers_to("order");
	if (mount == MOUNT_LEGACY && type == &p_type_order_list_answer)
		return json_pack("{s:s, s:o}", "type", "array", "items", refers_to("order"));
	if (mount == MOUNT_LEGACY && type == &p_type_repository_list_answer)
		return json_pack("{s:s, s:o}", "type", "array", "items", refers_to("repository"));
	if (type == &p_type_order_answer)
		return json_pack("{s:[o,{s:s, s:{s:{s:s}}, s:[s]}]}", "allOf",
		    refers_to("order_answer"), "type", "object", "properties", "logs_url", "type",
		    "string", "required", "logs_url");
	return refers_to(type->name);
}

static json_t *
content(const char *type, json_t *schema)
{
	return json_pack("{s:{s:o}}", type, "schema", schema);
}

static json_t *
responses(const struct route *r, enum mount mount)
{
	bool created =
	    r->rpc != NULL && (r->rpc->id == P_M_order_create || r->rpc->id == P_M_repository_add ||
				  r->rpc->id == P_M_token_create);
	json_t *all = json_object(), *ok = json_pack("{s:s}", "description", r->help);

	if (r->rpc != NULL && r->rpc->answer == &p_type_stream_answer)
		json_object_set_new(ok, "content",
		    content("text/event-stream", json_pack("{s:s}", "type", "string")));
	else if (r->rpc != NULL && r->rpc->id == P_M_system_metrics && mount == MOUNT_ROOT)
		json_object_set_new(
		    ok, "content", content("text/plain", json_pack("{s:s}", "type", "string")));
	else if (r->rpc != NULL)
		json_object_set_new(
		    ok, "content", content("application/json", answer_schema(r, mount)));
	json_object_set_new(all, created ? "201" : "200", ok);
	if (r->rpc != NULL && r->rpc->request->nfields > 0)
		json_object_set_new(
		    all, "422", json_pack("{s:s}", "$ref", "#/components/responses/invalid"));
	json_object_set_new(
	    all, "default", json_pack("{s:s}", "$ref", "#/components/responses/error"));
	return all;
}

static void
operation_id(const struct route *r, const char *prefix, char *out, size_t len)
{
	size_t n = 0;

	for (const char *p = http_method_name(r->method); *p != '\0' && n + 1 < len; p++)
		out[n++] = (char)(*p | 0x20);
	for (int part = 0; part < 2; part++)
		for (const char *p = part == 0 ? prefix : r->path; *p != '\0' && n + 1 < len; p++) {
			bool word = (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9');

			if (word)
				out[n++] = *p;
			else if (out[n - 1] != '_')
				out[n++] = '_';
		}
	while (n > 0 && out[n - 1] == '_')
		n--;
	out[n] = '\0';
}

static json_t *
operation(const struct route *r, const char *prefix, enum mount mount)
{
	json_t *op, *parameters = path_parameters(r);
	char id[128];

	operation_id(r, prefix, id, sizeof(id));
	op = json_pack("{s:s, s:s, s:[s], s:o}", "summary", r->help, "operationId", id, "tags",
	    mount == MOUNT_NATIVE   ? "native"
	    : mount == MOUNT_LEGACY ? "compatible"
				    : "service",
	    "responses", responses(r, mount));
	if (r->scope == 0)
		json_object_set_new(op, "security", json_array());
	if (r->rpc != NULL && !has_body(r))
		query_parameters(parameters, r);
	else if (r->rpc != NULL && r->rpc->request->nfields > 0)
		json_object_set_new(op, "requestBody",
		    json_pack(
			"{s:o}", "content", content("application/json", request_body_schema(r))));
	if (r->rpc != NULL && r->rpc->id == P_M_order_create)
		json_array_append_new(
		    parameters, json_pack("{s:s, s:s, s:s, s:{s:s}}", "name", "Idempotency-Key",
				    "in", "header", "description",
				    "a repeated request with the same key returns the first order",
				    "schema", "type", "string"));
	if (json_array_size(parameters) > 0)
		json_object_set(op, "parameters", parameters);
	json_decref(parameters);
	return op;
}

static void
add_path(json_t *paths, const struct route *r, const char *prefix, enum mount mount)
{
	const char *tail = strcmp(r->path, "/") == 0 && *prefix != '\0' ? "" : r->path;
	CLEAN_FREE char *path = xasprintf("%s%s", prefix, tail);
	char *dots = strstr(path, "...}"), name[8];
	json_t *item;

	if (dots != NULL)
		memcpy(dots, "}", 2);
	item = json_object_get(paths, path);
	if (item == NULL) {
		item = json_object();
		json_object_set_new(paths, path, item);
	}
	snprintf(name, sizeof(name), "%s", http_method_name(r->method));
	for (char *p = name; *p != '\0'; p++)
		*p |= 0x20;
	if (json_object_get(item, name) == NULL)
		json_object_set_new(item, name, operation(r, prefix, mount));
}

static json_t *
make_paths(void)
{
	json_t *paths = json_object();
	const struct route *all;
	size_t n;

	all = routes_all(&n);
	for (size_t i = 0; i < n; i++) {
		enum mount mount;
		const char *prefix;

		if (all[i].where & AT_ROOT)
			add_path(paths, &all[i], "", MOUNT_ROOT);
		if (!(all[i].where & AT_MOUNTS))
			continue;
		for (size_t k = 0; (prefix = mount_prefix(k, &mount)) != NULL; k++)
			add_path(paths, &all[i], prefix, mount);
	}
	return paths;
}

static json_t *
make_schemas(void)
{
	json_t *schemas = json_object();
	const struct p_type *const *types;
	const struct p_enum *const *enums;
	size_t n;

	types = p_types(&n);
	for (size_t i = 0; i < n; i++)
		json_object_set_new(schemas, types[i]->name, type_schema(types[i]));
	enums = p_enums(&n);
	for (size_t i = 0; i < n; i++)
		json_object_set_new(schemas, enums[i]->name, enum_schema(enums[i]));
	json_object_set_new(schemas, "error",
	    json_pack("{s:s, s:{s:{s:s}}, s:[s]}", "type", "object", "properties", "detail", "type",
		"string", "required", "detail"));
	json_object_set_new(schemas, "validation_error",
	    json_pack("{s:s, s:{s:{s:s, s:{s:s, s:{s:{s:s}, s:{s:s}, s:{s:s}, s:{}}, s:[s,s,s]}}}, "
		      "s:[s]}",
		"type", "object", "properties", "detail", "type", "array", "items", "type",
		"object", "properties", "type", "type", "string", "loc", "type", "array", "msg",
		"type", "string", "input", "required", "type", "loc", "msg", "required", "detail"));
	return schemas;
}

json_t *
openapi_make(void)
{
	json_t *root = json_pack("{s:s, s:{s:s, s:s, s:s}, s:o, s:[{s:[]}, {s:[]}], s:{s:o, "
				 "s:{s:{s:s, s:s}, s:{s:s, s:s, s:s}}, "
				 "s:{s:{s:s, s:o}, s:{s:s, s:o}}}}",
	    "openapi", "3.1.0", "info", "title", "Agent work orders", "version", AWO_VERSION,
	    "description",
	    "Runs AI coding agents as confined, observable, restartable units of work. /api/v1 has "
	    "one constant shape; "
	    "/api/agent-work-orders has the shapes of the service that it stands in for.",
	    "paths", make_paths(), "security", "token", "session", "components", "schemas",
	    make_schemas(), "securitySchemes", "token", "type", "http", "scheme", "bearer",
	    "session", "type", "apiKey", "in", "cookie", "name", "awo_session_8053", "responses",
	    "error", "description", "the request was not carried out; detail says why", "content",
	    content("application/json", refers_to("error")), "invalid", "description",
	    "a field is missing or wrong", "content",
	    content("application/json", refers_to("validation_error")));

	AWO_ASSERT(root != NULL);
	return root;
}

void
serve_openapi(struct request *rq)
{
	static struct body *body; /* made once, and compressed: the tables do not change */

	if (body == NULL) {
		CLEAN_JSON json_t *root = openapi_make();
		struct buf text = {0};

		json_out_any(&text, root);
		body = body_new(&text, -1);
	}
	request_add_header(rq, "Cache-Control", "no-cache");
	request_answer_body(rq, "application/json", body);
}
