/* JSON over HTTP to one API host: bounded, verified, never redirected elsewhere. */
#include "awo-worker/forge/http.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clean.h"

#define BODY_MAX (8U << 20)
#define RETRIES 2

struct transfer {
	struct buf body;
	struct http_answer *out;
	int64_t reset, remaining;
	bool too_large;
};

static size_t
on_body(char *p, size_t size, size_t n, void *arg)
{
	struct transfer *x = arg;

	n *= size;
	if (x->body.len + n > BODY_MAX) {
		x->too_large = true;
		return 0;
	}
	buf_add(&x->body, p, n);
	return n;
}

/* The value of a header line when it is the wanted one; NULL otherwise. */
static const char *
value_of(const char *line, size_t n, const char *name)
{
	size_t len = strlen(name);

	if (n <= len || strncasecmp(line, name, len) != 0 || line[len] != ':')
		return NULL;
	line += len + 1;
	return line + strspn(line, " \t");
}

static size_t
on_header(char *p, size_t size, size_t n, void *arg)
{
	struct transfer *x = arg;
	CLEAN_FREE char *line = NULL;
	const char *v;
	time_t when;

	n *= size;
	line = xstrndup(p, n);
	if ((v = value_of(line, n, "retry-after")) != NULL) {
		x->out->retry_after = strtoll(v, NULL, 10);
		if (x->out->retry_after == 0 && (when = curl_getdate(v, NULL)) > 0)
			x->out->retry_after = when - time(NULL);
	} else if ((v = value_of(line, n, "x-ratelimit-reset")) != NULL) {
		x->reset = strtoll(v, NULL, 10);
	} else if ((v = value_of(line, n, "x-ratelimit-remaining")) != NULL) {
		x->remaining = strtoll(v, NULL, 10);
	} else if ((v = value_of(line, n, "link")) != NULL) {
		x->out->more = strstr(v, "rel=\"next\"") != NULL;
	}
	return n;
}

/* Headers with the token in one of them: not in the URL, the arguments or any text that is shown.
 */
static struct curl_slist *
headers(const char *token, bool post)
{
	struct curl_slist *h = NULL;
	CLEAN_FREE char *auth = NULL;

	h = curl_slist_append(h, "Accept: application/vnd.github+json");
	h = curl_slist_append(h, "X-GitHub-Api-Version: 2022-11-28");
	if (post)
		h = curl_slist_append(h, "Content-Type: application/json");
	/* curl would ask "100-continue?" first and wait a second where nobody answers that */
	h = curl_slist_append(h, "Expect:");
	if (token != NULL && *token != '\0') {
		auth = xasprintf("Authorization: Bearer %s", token);
		h = curl_slist_append(h, auth);
		explicit_bzero(auth, strlen(auth));
	}
	return h;
}

static CURLcode
perform(CURL *c, const char *url, struct curl_slist *h, const char *post, struct transfer *x,
    char *text)
{
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, 15L);
	curl_easy_setopt(c, CURLOPT_TIMEOUT, 60L);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(c, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(c, CURLOPT_ACCEPT_ENCODING, "");
	curl_easy_setopt(c, CURLOPT_USERAGENT, "awo/" AWO_VERSION);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, h);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, x);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, x);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, text);
	if (post != NULL)
		curl_easy_setopt(c, CURLOPT_COPYPOSTFIELDS, post);
	return curl_easy_perform(c);
}

/* One try. true: worth another one. */
static bool
try_once(const char *url, struct curl_slist *h, const char *post, struct http_answer *out)
{
	char text[CURL_ERROR_SIZE] = "";
	struct transfer x = {.out = out, .remaining = -1};
	CURL *c = curl_easy_init();
	CURLcode r;

	*out = (struct http_answer){0};
	if (c == NULL) {
		(void)snprintf(out->error, sizeof(out->error), "curl does not start");
		return false;
	}
	r = perform(c, url, h, post, &x, text);
	if (r == CURLE_OK) {
		curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &out->status);
		if (x.body.len > 0)
			out->body = json_loadb(x.body.p, x.body.len, 0, NULL);
	} else {
		(void)snprintf(out->error, sizeof(out->error), "%s",
		    x.too_large ? "the answer is larger than 8 MiB"
		    : *text	? text
				: curl_easy_strerror(r));
	}
	/* GitHub's primary limit says when it ends, its secondary one how long to wait. */
	out->exhausted = x.remaining == 0;
	if (out->retry_after == 0 && x.remaining == 0 && x.reset > 0 &&
	    (out->status == 403 || out->status == 429))
		out->retry_after = x.reset - time(NULL);
	if (out->retry_after < 0)
		out->retry_after = 1;
	if (out->retry_after > 86400)
		out->retry_after = 86400;
	buf_free(&x.body);
	curl_easy_cleanup(c);
	return r != CURLE_OK && !x.too_large && r != CURLE_PEER_FAILED_VERIFICATION &&
	       r != CURLE_URL_MALFORMAT && r != CURLE_UNSUPPORTED_PROTOCOL;
}

int
http_call(struct task *t, const char *path, const json_t *body, struct http_answer *out)
{
	const char *api = task_str(t, "api_url", 2048), *token = task_str_opt(t, "token", 65536);
	CLEAN_FREE char *url = NULL, *post = NULL;
	struct curl_slist *h;

	*out = (struct http_answer){0};
	if (task_failed(t))
		return -1;
	if (strncmp(api, "https://", 8) != 0 && strncmp(api, "http://", 7) != 0)
		return TASK_FAIL(
		    t, "permanent", "invalid", "api_url: must begin with https:// or http://");
	if (token != NULL && strpbrk(token, "\r\n") != NULL)
		return TASK_FAIL(
		    t, "github", "auth", "the token has a line end in it; store it again without");
	if (token != NULL && *token != '\0')
		(void)prctl(PR_SET_DUMPABLE, 0);
	url = xasprintf("%.*s%s", (int)(strlen(api) - (api[strlen(api) - 1] == '/')), api, path);
	if (body != NULL && (post = json_dumps(body, JSON_COMPACT)) == NULL)
		return TASK_FAIL(t, "internal", "other", "the request cannot be written as JSON");
	h = headers(token, body != NULL);
	for (unsigned i = 0; try_once(url, h, post, out) && body == NULL && i < RETRIES; i++)
		(void)usleep(250000U << i);
	curl_slist_free_all(h);
	return 0;
}

void
http_answer_free(struct http_answer *a)
{
	json_decref(a->body);
	a->body = NULL;
}

char *
http_escape(const char *text)
{
	char *e = curl_easy_escape(NULL, text, 0), *copy = xstrdup(e != NULL ? e : "");

	curl_free(e);
	return copy;
}
