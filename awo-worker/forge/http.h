/* JSON over HTTP to one API host: bounded, verified, never redirected elsewhere. */
#ifndef FORGE_HTTP_H
#define FORGE_HTTP_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "awo-worker/task/task.h"

/* What came back. status 0: nothing did, and `error` says why; the request may have arrived all the
 * same. */
struct http_answer {
	long status;
	json_t *body; /* NULL when it was no JSON */
	bool more;    /* there is a next page */
	int64_t
	    retry_after; /* seconds, of Retry-After or an exhausted rate limit; 0 when not said */
	bool exhausted;	 /* x-ratelimit-remaining was 0 */
	char error[512];
};

/*
 * One request to t's api_url with path appended (which begins with '/'); body: NULL for GET, else
 * POSTed. GETs are tried again, at most twice, when the connection failed. -1 only for a request
 * that cannot be made, with t->err.
 */
int http_call(struct task *t, const char *path, const json_t *body, struct http_answer *out);
void http_answer_free(struct http_answer *a);
/* Text as part of a path or query. Caller frees. */
char *http_escape(const char *text);

#endif
