/* How a request is answered: headers, entity tags, compression, errors; and how it calls awod. */
#include "awo-gateway/request.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <event2/http.h>
#include <event2/http_struct.h>

#include "awo-gateway/args.h"
#include "awo-gateway/backend.h"
#include "awo-gateway/connections.h"
#include "awo-gateway/encode.h"
#include "awo-gateway/gateway.h"
#include "awo-gateway/http.h"
#include "awo-gateway/kept.h"
#include "common/clean.h"
#include "common/clock.h"
#include "common/text.h"

#define GZIP_FROM 4096 /* smaller answers gain nothing */
#define API_POLICY "default-src 'none'; frame-ancestors 'none'"
#define RETRY_AFTER_S "1"
#define ERRORS_MAX 64 /* that are told of one request */

const char *
request_header(const struct request *rq, const char *name)
{
	return evhttp_find_header(evhttp_request_get_input_headers(rq->http), name);
}

struct origin_facts
request_origin(const struct request *rq)
{
	return (struct origin_facts){.host = request_header(rq, "Host"),
	    .origin = request_header(rq, "Origin"),
	    .site = request_header(rq, "Sec-Fetch-Site")};
}

const char *
request_uri(const struct request *rq)
{
	return evhttp_request_get_uri(rq->http);
}

size_t
request_body_len(const struct request *rq)
{
	return evbuffer_get_length(evhttp_request_get_input_buffer(rq->http));
}

char *
request_body(struct request *rq, size_t *len)
{
	struct evbuffer *in = evhttp_request_get_input_buffer(rq->http);
	char *body;

	*len = evbuffer_get_length(in);
	body = xcalloc(1, *len + 1);
	if (*len > 0)
		evbuffer_copyout(in, body, *len);
	return body;
}

void
request_add_header(struct request *rq, const char *name, const char *value)
{
	for (const char *p = value; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return;
	evhttp_add_header(evhttp_request_get_output_headers(rq->http), name, value);
}

static bool
has_answer_header(const struct request *rq, const char *name)
{
	return evhttp_find_header(evhttp_request_get_output_headers(rq->http), name) != NULL;
}

/* What every answer carries; a handler may have said otherwise before. */
static void
common_headers(struct request *rq)
{
	static const char *const fixed[][2] = {
	    {"X-Content-Type-Options", "nosniff"},
	    {"X-Frame-Options", "DENY"},
	    {"Referrer-Policy", "no-referrer"},
	    {"Cross-Origin-Resource-Policy", "same-origin"},
	    {"Content-Security-Policy", API_POLICY},
	    {"Cache-Control", "no-store"},
	};

	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		if (!has_answer_header(rq, fixed[i][0]))
			request_add_header(rq, fixed[i][0], fixed[i][1]);
	request_add_header(rq, "X-Request-Id", rq->id);
}

void
request_begin(struct request *rq)
{
	common_headers(rq);
	rq->streaming = true;
}

static const char *
reason(int status)
{
	static const struct {
		int status;
		const char *text;
	} reasons[] = {{200, "OK"}, {201, "Created"}, {204, "No Content"}, {303, "See Other"},
	    {304, "Not Modified"}, {400, "Bad Request"}, {401, "Unauthorized"}, {403, "Forbidden"},
	    {404, "Not Found"}, {405, "Method Not Allowed"}, {409, "Conflict"},
	    {413, "Content Too Large"}, {415, "Unsupported Media Type"},
	    {417, "Expectation Failed"}, {421, "Misdirected Request"},
	    {422, "Unprocessable Content"}, {429, "Too Many Requests"},
	    {500, "Internal Server Error"}, {501, "Not Implemented"}, {503, "Service Unavailable"},
	    {504, "Gateway Timeout"}};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].status == status)
			return reasons[i].text;
	return "Status";
}

/* A buffer's bytes, freed when they have been sent. */
static void
release(const void *p, size_t len, void *arg)
{
	(void)p;
	(void)len;
	free(arg);
}

/* The connection ends with it, though the client may have sent more, or still send. */
static bool
is_last_answer(const struct request *rq)
{
	const char *asked = request_header(rq, "Connection");

	return evhttp_request_get_connection(rq->http) != NULL &&
	       (has_answer_header(rq, "Connection") ||
		   (asked != NULL && strcasecmp(asked, "close") == 0));
}

/* Its Content-Length is among the headers. */
static void
send_last(struct gateway *g, struct evhttp_request *http, int status, struct evbuffer *body)
{
	struct evhttp_connection *conn = evhttp_request_get_connection(http);

	evhttp_send_reply_start(http, status, reason(status));
	if (body != NULL)
		evhttp_send_reply_chunk(http, body);
	/* it goes with its connection; evhttp_send_reply_end() would close that at once */
	http->userdone = 1;
	connections_last(g, evhttp_connection_get_bufferevent(conn));
}

void
request_send(struct request *rq, int status, struct evbuffer *body)
{
	struct gateway *g = rq->g;
	struct evhttp_request *http = rq->http;
	bool is_last = is_last_answer(rq);
	size_t len = body != NULL ? evbuffer_get_length(body) : 0;
	char text[24];

	common_headers(rq);
	/* evhttp writes no length where it sends no body, or does not know how much comes */
	if ((rq->method == HTTP_HEAD || is_last) && status != 304 && status != 204) {
		snprintf(text, sizeof(text), "%zu", len);
		request_add_header(rq, "Content-Length", text);
	}
	if (rq->method == HTTP_HEAD && body != NULL)
		evbuffer_drain(body, len);
	else
		g->count.bytes_sent += len;
	http_done(rq, status);
	if (is_last)
		send_last(g, http, status, body);
	else
		evhttp_send_reply(http, status, reason(status), body);
}

/* Takes the text over. */
static void
send_bytes(struct request *rq, int status, struct buf *text)
{
	struct evbuffer *body = evbuffer_new();

	AWO_ASSERT(body != NULL);
	if (text->len > 0 &&
	    evbuffer_add_reference(body, text->p, text->len, release, text->p) == 0)
		*text = (struct buf){0};
	buf_free(text);
	request_send(rq, status, body);
	evbuffer_free(body);
}

static bool
reads(const struct request *rq)
{
	return rq->method == HTTP_GET || rq->method == HTTP_HEAD;
}

static void
sent(const void *p, size_t len, void *arg)
{
	(void)p;
	(void)len;
	body_release(arg);
}

/* Tag, 304, compression: of any text that a GET answers with. */
static void
send_body(struct request *rq, struct body *b)
{
	const struct buf *text = &b->text, *packed = NULL;
	struct evbuffer *out;

	request_add_header(rq, "ETag", b->etag);
	if (!has_answer_header(rq, "Cache-Control"))
		request_add_header(rq, "Cache-Control", "private, no-cache");
	if (encode_etag_matches(request_header(rq, "If-None-Match"), b->etag)) {
		request_send(rq, 304, NULL);
		return;
	}
	if (text->len >= GZIP_FROM) {
		request_add_header(rq, "Vary", "Accept-Encoding");
		if (encode_accepts_gzip(request_header(rq, "Accept-Encoding")))
			packed = body_packed(b);
	}
	if (packed != NULL) {
		request_add_header(rq, "Content-Encoding", "gzip");
		text = packed;
	}
	out = evbuffer_new();
	AWO_ASSERT(out != NULL);
	if (text->len > 0 &&
	    evbuffer_add_reference(out, text->p, text->len, sent, body_ref(b)) != 0)
		body_release(b);
	request_send(rq, 200, out);
	evbuffer_free(out);
}

static void
send_tagged(struct request *rq, int status, struct buf *text)
{
	struct body *b;

	if (!reads(rq) || status != 200) {
		send_bytes(rq, status, text);
		return;
	}
	b = body_new(text, -1);
	send_body(rq, b);
	body_release(b);
}

void
request_answer_body(struct request *rq, const char *content_type, struct body *b)
{
	char number[24];

	request_add_header(rq, "Content-Type", content_type);
	if (b->total >= 0) {
		snprintf(number, sizeof(number), "%lld", (long long)b->total);
		request_add_header(rq, "X-Total-Count", number);
	}
	send_body(rq, b);
}

void
request_answer_json(struct request *rq, int status, struct buf *text)
{
	request_add_header(rq, "Content-Type", "application/json");
	send_tagged(rq, status, text);
}

void
request_answer_text(struct request *rq, int status, const char *content_type, const char *text)
{
	struct buf copy = {0};

	buf_adds(&copy, text);
	request_add_header(rq, "Content-Type", content_type);
	send_tagged(rq, status, &copy);
}

void
request_answer_empty(struct request *rq, int status)
{
	request_send(rq, status, NULL);
}

/* ---- errors */

void
request_fail_status(struct request *rq, int status, const char *fmt, ...)
{
	struct buf text = {0};
	char msg[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	buf_adds(&text, "{\"detail\":");
	text_add_json(&text, msg);
	buf_addc(&text, '}');
	request_add_header(rq, "Content-Type", "application/json");
	send_bytes(rq, status, &text);
}

static const struct p_type *
type_of(const struct request *rq)
{
	return rq->route != NULL && rq->route->rpc != NULL ? rq->route->rpc->request
							   : &p_type_empty;
}

static bool
has_body(const struct request *rq)
{
	return rq->method == HTTP_POST || rq->method == HTTP_PUT || rq->method == HTTP_PATCH;
}

static bool
is_told(const struct args_error *errors, size_t n, const struct args_error *e)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(errors[i].err.field, e->err.field) == 0)
			return true;
	return false;
}

void
request_fail_args(struct request *rq, const struct args_error *more, size_t nmore)
{
	struct args_error *errors = xcalloc(ERRORS_MAX + nmore, sizeof(*errors));
	struct buf text = {0};
	size_t n = 0;

	/* who mends one field need not ask again to hear of the next */
	if (rq->args != NULL)
		n = args_check(type_of(rq), rq->args, has_body(rq), &rq->target, rq->params, errors,
		    ERRORS_MAX);
	for (size_t i = 0; i < nmore; i++)
		if (!is_told(errors, n, &more[i]))
			errors[n++] = more[i];
	args_errors_json(&text, errors, n);
	free(errors);
	request_add_header(rq, "Content-Type", "application/json");
	send_bytes(rq, 422, &text);
}

/* The errors are those of what the request says. */
static void
fail_argument(struct request *rq, const struct awo_err *err)
{
	const struct p_type *type = type_of(rq);
	struct args_error *errors = xcalloc(ERRORS_MAX, sizeof(*errors));
	struct awo_err part;
	size_t n;

	for (n = 0; n < ERRORS_MAX && awo_err_part(err, n, &part); n++)
		args_explain(type, rq->args, &part,
		    args_origin(type, part.field, has_body(rq), &rq->target, rq->params),
		    &errors[n]);
	request_fail_args(rq, errors, n);
	free(errors);
}

const char *
request_error_text(const struct request *rq, const struct awo_err *err)
{
	return err->code == AWO_UNAVAILABLE && rq->who.scopes == 0
		   ? "the work order service is not reachable"
		   : err->msg;
}

void
request_fail(struct request *rq, const struct awo_err *err)
{
	int status = awo_code_http(err->code);

	if (err->code == AWO_INVALID_ARGUMENT) {
		fail_argument(rq, err);
		return;
	}
	if (status == 503 || status == 429)
		if (!has_answer_header(rq, "Retry-After"))
			request_add_header(rq, "Retry-After", RETRY_AFTER_S);
	request_fail_status(rq, status, "%s", request_error_text(rq, err));
}

/* ---- calls of awod */

static void
on_called(void *arg, const struct awo_err *err, void *answer)
{
	struct request *rq = arg;
	request_called *done = rq->called;

	rq->called = NULL;
	done(rq, err, answer);
}

void
request_call(struct request *rq, enum p_method_id method, const void *params, request_called *done)
{
	AWO_ASSERT(rq->called == NULL);
	rq->called = done;
	backend_call(rq->g, rq->who.auth, method, params, on_called, rq);
}

void
request_call_self(
    struct request *rq, enum p_method_id method, const void *params, request_called *done)
{
	AWO_ASSERT(rq->called == NULL);
	rq->called = done;
	backend_call(rq->g, NULL, method, params, on_called, rq);
}
