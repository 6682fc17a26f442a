/* This interface described for people, as a page and as Markdown, from the tables. */
#include <stdlib.h>
#include <string.h>

#include "awo-gateway/kept.h"
#include "awo-gateway/openapi.h"
#include "awo-gateway/static.h"
#include "common/clean.h"

/* What both forms say before the routes. */
static const char *const about[] = {
    "Two mounts have the same routes, each with one constant shape. Below /api/v1 (and the bare "
    "/agent-work-orders) a list is an "
    "object with total_count and has_more, an order is in agent_work_order beside logs_url. Below "
    "/api/agent-work-orders a list "
    "is a bare array with X-Total-Count, an order is flat, and states that older clients do not "
    "know are shown as ones that "
    "they do: waiting and paused as running, cancelled as failed.",
    "Every path works with and without a slash at its end. Access: Authorization: Bearer and a "
    "token of awoctl token create, or "
    "the session of awoctl ui; routes marked public need neither.",
    "Errors are {\"detail\": text}. Status 422 has a list instead, each with type, loc (where the "
    "field stands), msg and input.",
    "GETs carry an ETag and answer If-None-Match with 304. Idempotency-Key makes a repeated POST "
    "of an order return the first "
    "one. X-Request-Id is taken over or made; it stands in the answer, the gateway's log and the "
    "order's log. Streams are "
    "server-sent events: replay, then live; Last-Event-ID goes on where a connection ended.",
};
#define NABOUT (sizeof(about) / sizeof(about[0]))

static void
escape(struct buf *b, const char *s)
{
	for (; *s != '\0'; s++)
		switch (*s) {
		case '&':
			buf_adds(b, "&amp;");
			break;
		case '<':
			buf_adds(b, "&lt;");
			break;
		case '>':
			buf_adds(b, "&gt;");
			break;
		case '"':
			buf_adds(b, "&quot;");
			break;
		default:
			buf_addc(b, *s);
		}
}

static const char *
access_name(unsigned scope)
{
	return scope != 0 ? p_scope_name(scope) : "public";
}

static const char *
kind_name(const struct p_field *f)
{
	static const char *const names[] = {[P_STR] = "string",
	    [P_INT] = "integer",
	    [P_BOOL] = "boolean",
	    [P_DBL] = "number",
	    [P_TIME] = "time",
	    [P_ENUM] = "string",
	    [P_STRV] = "array of strings",
	    [P_OBJ] = "object",
	    [P_LIST] = "array",
	    [P_ANY] = "any"};

	return names[f->kind];
}

static const char *
takes(const struct route *r)
{
	return r->method == HTTP_GET || r->method == HTTP_DELETE ? "query" : "body";
}

static void
field_text(struct buf *b, const struct p_field *f)
{
	buf_printf(b, "%s%s: ", kind_name(f), f->need == P_REQ ? ", required" : "");
	buf_adds(b, f->help);
	if (f->kind != P_ENUM)
		return;
	buf_adds(b, " (");
	for (size_t i = 0; i < f->en->nrows; i++)
		if (!f->en->rows[i].alias)
			buf_printf(b, "%s%s", i > 0 ? ", " : "", f->en->rows[i].name);
	buf_adds(b, ")");
}

static void
route_html(struct buf *b, const struct route *r, const char *prefix)
{
	const char *path = strcmp(r->path, "/") == 0 && *prefix != '\0' ? "" : r->path;

	buf_printf(b, "<section><h3><code>%s ", http_method_name(r->method));
	escape(b, prefix);
	escape(b, path);
	buf_printf(b, "</code></h3><p>");
	escape(b, r->help);
	buf_printf(b, " (%s)</p>", access_name(r->scope));
	if (r->rpc != NULL && r->rpc->request->nfields > 0) {
		buf_printf(b, "<details><summary>Parameters (path or %s)</summary><dl>", takes(r));
		for (size_t i = 0; i < r->rpc->request->nfields; i++) {
			struct buf text CLEAN_BUF = {0};

			field_text(&text, &r->rpc->request->fields[i]);
			buf_printf(
			    b, "<dt><code>%s</code></dt><dd>", r->rpc->request->fields[i].name);
			escape(b, text.p);
			buf_adds(b, "</dd>");
		}
		buf_adds(b, "</dl></details>");
	}
	if (r->rpc != NULL && r->rpc->answer->nfields > 0) {
		buf_printf(b, "<details><summary>Answer: %s</summary><dl>", r->rpc->answer->name);
		for (size_t i = 0; i < r->rpc->answer->nfields; i++) {
			struct buf text CLEAN_BUF = {0};

			field_text(&text, &r->rpc->answer->fields[i]);
			buf_printf(
			    b, "<dt><code>%s</code></dt><dd>", r->rpc->answer->fields[i].name);
			escape(b, text.p);
			buf_adds(b, "</dd>");
		}
		buf_adds(b, "</dl></details>");
	}
	buf_adds(b, "</section>\n");
}

void
openapi_html(struct buf *b)
{
	const struct route *all;
	size_t n;

	all = routes_all(&n);
	buf_adds(b,
	    "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta "
	    "name=\"viewport\" "
	    "content=\"width=device-width\"><title>Agent work orders: HTTP "
	    "interface</title></head>\n<body>\n"
	    "<h1>Agent work orders: HTTP interface</h1>\n<p>Version " AWO_VERSION
	    ". For programs: <a href=\"/openapi.json\">openapi.json</a> (OpenAPI 3.1).</p>\n");
	for (size_t i = 0; i < NABOUT; i++) {
		buf_adds(b, "<p>");
		escape(b, about[i]);
		buf_adds(b, "</p>\n");
	}
	for (int at_root = 0; at_root < 2; at_root++) {
		buf_adds(b, at_root ? "<h2>At the root</h2>\n" : "<h2>Below a mount</h2>\n");
		for (size_t i = 0; i < n; i++)
			if ((all[i].where & (at_root ? AT_ROOT : AT_MOUNTS)) != 0)
				route_html(b, &all[i], at_root ? "" : "/api/v1");
	}
	buf_adds(b, "</body></html>\n");
}

/* A table's cell: the bar would end it. */
static void
cell(struct buf *b, const char *s)
{
	for (; *s != '\0'; s++) {
		if (*s == '|')
			buf_addc(b, '\\');
		buf_addc(b, *s);
	}
}

void
openapi_markdown(struct buf *b)
{
	const struct route *all;
	const char *prefix;
	enum mount mount;
	size_t n;

	all = routes_all(&n);
	buf_adds(b, "# HTTP reference\n\nMade from the tables in `proto/` and "
		    "`awo-gateway/routes.def`; `cmake --build BUILD --target "
		    "references` makes it anew.\nThe types are in [rpc.md](rpc.md), the events of "
		    "logs in [events.md](events.md).\n\n");
	for (size_t i = 0; i < NABOUT; i++)
		buf_printf(b, "%s\n\n", about[i]);
	buf_adds(b, "Mounts:");
	for (size_t k = 0; (prefix = mount_prefix(k, &mount)) != NULL; k++)
		buf_printf(b, "%s `%s`", k > 0 ? "," : "", prefix);
	buf_adds(b, "\n");
	for (int at_root = 0; at_root < 2; at_root++) {
		buf_printf(b,
		    "\n## %s\n\n| | path | parameters | answer | scope | "
		    "|\n|---|---|---|---|---|---|\n",
		    at_root ? "At the root" : "Below a mount");
		for (size_t i = 0; i < n; i++) {
			const struct route *r = &all[i];

			if ((r->where & (at_root ? AT_ROOT : AT_MOUNTS)) == 0)
				continue;
			buf_printf(b, "| %s | `%s` | ", http_method_name(r->method), r->path);
			if (r->rpc != NULL && r->rpc->request->nfields > 0)
				buf_printf(b, "[%s](rpc.md#type-%s) as %s", r->rpc->request->name,
				    r->rpc->request->name, takes(r));
			buf_adds(b, " | ");
			if (r->rpc != NULL && r->rpc->answer == &p_type_stream_answer)
				buf_adds(b, "server-sent events");
			else if (r->rpc != NULL && r->rpc->answer->nfields > 0)
				buf_printf(b, "[%s](rpc.md#type-%s)", r->rpc->answer->name,
				    r->rpc->answer->name);
			buf_printf(b, " | %s | ", access_name(r->scope));
			cell(b, r->help);
			buf_adds(b, " |\n");
		}
	}
}

void
serve_docs(struct request *rq)
{
	static struct body *body; /* made once, and compressed: the tables do not change */

	if (body == NULL) {
		struct buf page = {0};

		openapi_html(&page);
		body = body_new(&page, -1);
	}
	static_page_headers(rq);
	request_add_header(rq, "Cache-Control", "no-cache");
	request_answer_body(rq, "text/html; charset=utf-8", body);
}
