/*
 * One HTTP request and how it is answered.
 *
 * A handler gets the request, may call awod any number of times (request_call), and answers exactly
 * once, at once or later, with one of the request_answer functions or request_fail(). Each of them
 * ends the request: it must not be touched afterwards. A client that goes away meanwhile changes
 * nothing for the handler: the answer is thrown away.
 */
#ifndef GATEWAY_REQUEST_H
#define GATEWAY_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <event2/buffer.h>
#include <jansson.h>

#include "awo-gateway/auth.h"
#include "awo-gateway/origin.h"
#include "awo-gateway/target.h"
#include "common/buf.h"
#include "common/err.h"
#include "proto/schema.h"

struct evhttp_request;
struct gateway;
struct route;

#define REQUEST_ID_MAX 64

enum http_method {
	HTTP_GET,
	HTTP_HEAD,
	HTTP_POST,
	HTTP_PUT,
	HTTP_PATCH,
	HTTP_DELETE,
	HTTP_OPTIONS
};

/* Which shapes answers have. */
enum mount { MOUNT_ROOT, MOUNT_NATIVE, MOUNT_LEGACY };

/* Where a value of a request came from: the first element of an error's loc. */
enum origin { FROM_BODY, FROM_QUERY, FROM_PATH, FROM_HEADER };

struct request {
	struct gateway *g;
	struct evhttp_request *http;
	enum http_method method;
	struct target target; /* path and query, checked and decoded */
	const struct route *route;
	enum mount mount;
	const char *prefix;	     /* of the mount: "/api/v1" */
	struct route_params *params; /* values of the {names} in the route's path */
	char id[REQUEST_ID_MAX + 1]; /* X-Request-Id: the client's own, or made */
	int64_t began_us;	     /* monotonic */
	const char *origin;	     /* Origin when it is one of gateway.cors_origins, else NULL */
	char peer[64];		     /* address of the client */
	struct who who;		     /* after auth_request() has let it pass */
	/* for generic handlers */
	json_t *args;		   /* object made of body, query and path */
	void *state;		   /* the handler's own, freed by it before it answers */
	bool streaming;		   /* the answer has begun, and goes on */
	TAILQ_ENTRY(request) same; /* of those who wait for the same answer */
	/* the awod call that is under way, or NULL */
	void (*called)(struct request *rq, const struct awo_err *err, void *answer);
};

/* Header of the request, or NULL. */
const char *request_header(const struct request *rq, const char *name);
/* What its headers say of where it comes from. */
struct origin_facts request_origin(const struct request *rq);
/* The target as it was written. */
const char *request_uri(const struct request *rq);
size_t request_body_len(const struct request *rq);
/* The raw body; at most 1 MiB. NUL-terminated copy that the caller frees. */
char *request_body(struct request *rq, size_t *len);
/* Adds a header to the answer that is still to be given. Values with control characters are left
 * out. */
void request_add_header(struct request *rq, const char *name, const char *value);

/*
 * Calls a method of awod for whoever asks (rq->who). done is called once, never from inside
 * request_call(); answer is a struct of the method's answer type, valid during the call, or NULL
 * with *err set (AWO_UNAVAILABLE while awod is away). One call at a time for each request.
 */
typedef void request_called(struct request *rq, const struct awo_err *err, void *answer);
void request_call(
    struct request *rq, enum p_method_id method, const void *params, request_called *done);
/* The same as the gateway itself: token.verify, session.*, webhook.deliver. */
void request_call_self(
    struct request *rq, enum p_method_id method, const void *params, request_called *done);

/* ---- answers: each ends the request */

/* JSON text (taken over, empty afterwards). GETs get an ETag and may become 304; large ones are
 * compressed. */
void request_answer_json(struct request *rq, int status, struct buf *text);
/* 200 with what is kept of it, by whoever holds a reference. */
struct body;
void request_answer_body(struct request *rq, const char *content_type, struct body *b);
void request_answer_text(
    struct request *rq, int status, const char *content_type, const char *text);
/* No body: 204, 303 with a Location that was added, ... */
void request_answer_empty(struct request *rq, int status);
/* Any body; it is emptied. Status 200 and GET with an ETag are the caller's business. */
void request_send(struct request *rq, int status, struct evbuffer *body);
/* The error's own status and {"detail": ...}: validation errors as a list with type, loc, msg and
 * input. */
void request_fail(struct request *rq, const struct awo_err *err);
/* The error's message, as whoever asks may read it: strangers are not told how this host is set up.
 */
const char *request_error_text(const struct request *rq, const struct awo_err *err);
/* Adds what every answer carries, to one that goes on after its headers; http_done() is the
 * caller's then. */
void request_begin(struct request *rq);
struct args_error;
/* 422, with all that the types' rows say is wrong with rq->args, and what else is. */
void request_fail_args(struct request *rq, const struct args_error *more, size_t nmore);
/* {"detail": text} with any status. */
void request_fail_status(struct request *rq, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
