/* GitHub's REST API: repositories, issues, pull requests, comments; its refusals in our words. */
#include <stdlib.h>
#include <string.h>

#include "awo-worker/forge/http.h"
#include "awo-worker/forge/verbs.h"
#include "common/buf.h"
#include "common/clean.h"

#define COMMENT_PAGES 30 /* of 100 comments */

static void
answer_cleanup(struct http_answer *a)
{
	http_answer_free(a);
}
#define CLEAN_ANSWER __attribute__((cleanup(answer_cleanup)))

struct repo {
	const char *owner, *name;
	char *path; /* "/repos/owner/name" */
};

static int
find_repo(struct task *t, struct repo *r)
{
	CLEAN_FREE char *owner = NULL, *name = NULL;

	r->path = NULL;
	if ((r->owner = task_str(t, "owner", 512)) == NULL ||
	    (r->name = task_str(t, "repo", 512)) == NULL)
		return -1;
	owner = http_escape(r->owner);
	name = http_escape(r->name);
	r->path = xasprintf("/repos/%s/%s", owner, name);
	return 0;
}

static const char *
text_of(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s != NULL ? s : "";
}

/* GitHub's own explanation: its message and those of its list of errors. */
static void
explain(const struct http_answer *a, struct buf *out)
{
	json_t *errors = json_object_get(a->body, "errors"), *e;
	size_t i;

	buf_adds(out, text_of(a->body, "message"));
	json_array_foreach(errors, i, e)
	{
		const char *m = json_is_string(e) ? json_string_value(e) : text_of(e, "message");

		if (i < 5 && *m != '\0')
			buf_printf(out, "%s%s", out->len > 0 ? "; " : "", m);
		else if (i < 5 && json_is_object(e))
			buf_printf(out, "%s%s is %s", out->len > 0 ? "; " : "", text_of(e, "field"),
			    text_of(e, "code"));
	}
	if (out->len == 0)
		buf_printf(out, "status %ld", a->status);
}

/* An answer that is not the wanted one as the task's error; what: "the issue 42". Returns -1. */
static int
fail(struct task *t, const struct repo *r, const struct http_answer *a, const char *what)
{
	bool token = json_string_length(json_object_get(t->req, "token")) > 0;
	CLEAN_BUF struct buf why = {0};

	if (a->status == 0)
		return TASK_FAIL(t, "transient", "unreachable", "%s cannot be reached: %s",
		    text_of(t->req, "api_url"), a->error);
	explain(a, &why);
	/* limits come as 429 and as 403 */
	if (a->status == 429 || (a->status == 403 && (a->exhausted || a->retry_after > 0 ||
							 strcasestr(why.p, "rate limit")))) {
		t->err.retry_after = a->retry_after > 0 ? a->retry_after : 60;
		return TASK_FAIL(t, "transient", "rate_limited",
		    "GitHub's rate limit is used up, again in %lld seconds: %s",
		    (long long)t->err.retry_after, why.p);
	}
	if (a->status >= 500) {
		t->err.retry_after = a->retry_after;
		return TASK_FAIL(
		    t, "transient", "unreachable", "GitHub answers %ld: %s", a->status, why.p);
	}
	switch (a->status) {
	case 401:
		return TASK_FAIL(t, "github", "auth",
		    "the token was refused by GitHub; see that it is right and not expired: %s",
		    why.p);
	case 403:
		return TASK_FAIL(t, "github", "forbidden",
		    "the token may not do this in %s/%s (%s): it needs to write pull requests, and "
		    "issues for comments: %s",
		    r->owner, r->name, what, why.p);
	case 404:
		return TASK_FAIL(t, "github", "not_found", "%s of %s/%s was not found%s", what,
		    r->owner, r->name,
		    token ? ", or the token may not see it"
			  : ", or it is private and needs a token (awoctl credential set)");
	case 410:
		return TASK_FAIL(t, "github", "not_found", "%s of %s/%s is gone: %s", what,
		    r->owner, r->name, why.p);
	case 301:
	case 302:
	case 307:
	case 308:
		return TASK_FAIL(t, "github", "not_found",
		    "%s/%s was moved or renamed; use its new address", r->owner, r->name);
	default:
		return TASK_FAIL(t, "github",
		    a->status == 422 || a->status == 400 ? "invalid" : "other",
		    "GitHub refuses %s of %s/%s: %s", what, r->owner, r->name, why.p);
	}
}

static int
malformed(struct task *t)
{
	return TASK_FAIL(t, "github", "other",
	    "%s does not answer as GitHub's API does; see forge.api_url",
	    text_of(t->req, "api_url"));
}

/* GET below the repository; a body that is not of the wanted type is an error. */
static int
get(struct task *t, const struct repo *r, const char *below, json_type type, const char *what,
    struct http_answer *a)
{
	CLEAN_FREE char *path = xasprintf("%s%s", r->path, below);

	if (http_call(t, path, NULL, a) < 0)
		return -1;
	if (a->status != 200)
		return fail(t, r, a, what);
	return a->body != NULL && json_typeof(a->body) == type ? 0 : malformed(t);
}

static void
put_text(json_t *answer, const char *key, const json_t *from, const char *name, size_t max)
{
	const char *s = text_of(from, name);

	json_object_set_new(answer, key, task_text(s, strlen(s), max));
}

/* ---- repository, issue
 * -------------------------------------------------------------------------------------- */

int
forge_repository(struct task *t, json_t *answer)
{
	CLEAN_ANSWER struct http_answer a = {0};
	json_t *p, *may = json_object();
	struct repo r;
	int rc = -1;

	if (find_repo(t, &r) == 0 && get(t, &r, "", JSON_OBJECT, "the repository", &a) == 0) {
		p = json_object_get(a.body, "permissions");
		json_object_set_new(answer, "is_accessible", json_true());
		put_text(answer, "default_branch", a.body, "default_branch", 255);
		json_object_set_new(answer, "private",
		    json_boolean(json_is_true(json_object_get(a.body, "private"))));
		json_object_set_new(may, "pull",
		    json_boolean(p == NULL || json_is_true(json_object_get(p, "pull"))));
		json_object_set_new(
		    may, "push", json_boolean(json_is_true(json_object_get(p, "push"))));
		json_object_set(answer, "permissions", may);
		rc = 0;
	}
	json_decref(may);
	free(r.path);
	return rc;
}

/* What the request names by its number: the object at <repository>/<kind>/<number>. */
static int
get_numbered(struct task *t, const char *kind, const char *what, struct http_answer *a)
{
	CLEAN_FREE char *below = NULL, *name = NULL;
	struct repo r = {0};
	int64_t number;
	int rc = -1;

	if (!task_int(t, "number", 0, 1, INT64_MAX, &number))
		return -1;
	if (number == 0)
		return TASK_FAIL(t, "internal", "invalid", "number: required");
	below = xasprintf("/%s/%lld", kind, (long long)number);
	name = xasprintf("the %s %lld", what, (long long)number);
	if (find_repo(t, &r) == 0)
		rc = get(t, &r, below, JSON_OBJECT, name, a);
	free(r.path);
	return rc;
}

int
forge_issue(struct task *t, json_t *answer)
{
	CLEAN_ANSWER struct http_answer a = {0};

	if (get_numbered(t, "issues", "issue", &a) < 0)
		return -1;
	json_object_set(answer, "number", json_object_get(t->req, "number"));
	put_text(answer, "title", a.body, "title", 4096);
	put_text(answer, "body", a.body, "body", 1 << 20);
	put_text(answer, "url", a.body, "html_url", 2048);
	put_text(answer, "state", a.body, "state", 32);
	json_object_set_new(answer, "is_pull_request",
	    json_boolean(json_is_object(json_object_get(a.body, "pull_request"))));
	return 0;
}

/* ---- pull requests
 * ------------------------------------------------------------------------------------------ */

static const char *
state_of(const json_t *pr)
{
	if (json_is_true(json_object_get(pr, "merged")) ||
	    json_is_string(json_object_get(pr, "merged_at")))
		return "merged";
	return strcmp(text_of(pr, "state"), "closed") == 0 ? "closed" : "open";
}

static int
answer_pull_request(struct task *t, const json_t *pr, json_t *answer)
{
	json_int_t number = json_integer_value(json_object_get(pr, "number"));

	if (number < 1 || strncmp(text_of(pr, "html_url"), "http", 4) != 0)
		return malformed(t);
	json_object_set_new(answer, "number", json_integer(number));
	put_text(answer, "url", pr, "html_url", 2048);
	json_object_set_new(answer, "state", json_string(state_of(pr)));
	return 0;
}

/* Looks for an open pull request from head into base. 1: found, the answer is filled. */
static int
find_pull_request(
    struct task *t, const struct repo *r, const char *head, const char *base, json_t *answer)
{
	const char *colon = strchr(head, ':');
	CLEAN_FREE char *full = colon != NULL ? xstrdup(head) : xasprintf("%s:%s", r->owner, head);
	CLEAN_FREE char *h = http_escape(full), *b = http_escape(base);
	CLEAN_FREE char *below = xasprintf("/pulls?state=open&head=%s&base=%s&per_page=10", h, b);
	CLEAN_ANSWER struct http_answer a = {0};
	const char *branch = strchr(full, ':') + 1;
	json_t *pr;
	size_t i;

	if (get(t, r, below, JSON_ARRAY, "the list of pull requests", &a) < 0)
		return -1;
	/* a server that does not know the filters sends all there are */
	json_array_foreach(a.body, i, pr)
	{
		if (strcmp(text_of(json_object_get(pr, "head"), "ref"), branch) == 0 &&
		    strcmp(text_of(json_object_get(pr, "base"), "ref"), base) == 0) {
			json_object_set_new(answer, "created", json_false());
			return answer_pull_request(t, pr, answer) < 0 ? -1 : 1;
		}
	}
	return 0;
}

static bool
says(const struct http_answer *a, const char *text)
{
	CLEAN_BUF struct buf why = {0};

	explain(a, &why);
	return strcasestr(why.p, text) != NULL;
}

/* GitHub refused to make it: which of the known reasons is it? */
static int
not_created(struct task *t, const struct repo *r, const struct http_answer *a, const char *head,
    const char *base)
{
	CLEAN_BUF struct buf why = {0};

	if (a->status == 422) {
		explain(a, &why);
		if (says(a, "No commits between"))
			return TASK_FAIL(t, "github", "invalid",
			    "%s has no commits that %s lacks, so there is nothing to open a pull "
			    "request for",
			    head, base);
		if (says(a, "head is invalid") || says(a, "head is missing"))
			return TASK_FAIL(t, "github", "invalid",
			    "GitHub does not have the branch %s: was it pushed? (%s)", head, why.p);
		if (says(a, "base is invalid"))
			return TASK_FAIL(t, "github", "invalid",
			    "GitHub does not have the base branch %s (%s)", base, why.p);
	}
	return fail(t, r, a, "the pull request");
}

static int
make_pull_request(
    struct task *t, const struct repo *r, const char *head, const char *base, json_t *answer)
{
	const char *title = task_str(t, "title", 1024), *body = task_str_opt(t, "body", 65536);
	CLEAN_FREE char *path = xasprintf("%s/pulls", r->path);
	CLEAN_JSON json_t *req = NULL;

	if (task_failed(t))
		return -1;
	req = json_pack("{s:s, s:s, s:s, s:s}", "title", title, "head", head, "base", base, "body",
	    body != NULL ? body : "");
	for (int i = 0;; i++) {
		CLEAN_ANSWER struct http_answer a = {0};
		int found;

		if (http_call(t, path, req, &a) < 0)
			return -1;
		if (a.status == 201) {
			json_object_set_new(answer, "created", json_true());
			return answer_pull_request(t, a.body, answer);
		}
		/* It may be there all the same: made by the request whose answer was lost, or by
		 * somebody else. */
		if (a.status == 0 || a.status >= 500 ||
		    (a.status == 422 && says(&a, "already exists"))) {
			found = find_pull_request(t, r, head, base, answer);
			if (found != 0)
				return found > 0 ? 0 : -1;
			if (i == 0 && a.status != 422)
				continue;
		}
		return not_created(t, r, &a, head, base);
	}
}

int
forge_pull_request(struct task *t, json_t *answer)
{
	const char *head = task_str(t, "head", 512), *base = task_str(t, "base", 255);
	struct repo r = {0};
	int rc = -1;

	if (!task_failed(t) && find_repo(t, &r) == 0) {
		rc = find_pull_request(t, &r, head, base, answer);
		if (rc == 0)
			rc = make_pull_request(t, &r, head, base, answer);
		else if (rc > 0)
			rc = 0;
	}
	free(r.path);
	return rc;
}

int
forge_pull_request_state(struct task *t, json_t *answer)
{
	CLEAN_ANSWER struct http_answer a = {0};

	return get_numbered(t, "pulls", "pull request", &a) < 0
		   ? -1
		   : answer_pull_request(t, a.body, answer);
}

/* ---- comments
 * -----------------------------------------------------------------------------------------------
 */

/* Looks for a comment that has the marker in it. 1: found, the answer is filled. */
static int
find_comment(
    struct task *t, const struct repo *r, int64_t number, const char *marker, json_t *answer)
{
	for (int page = 1; page <= COMMENT_PAGES; page++) {
		CLEAN_FREE char *below = xasprintf(
		    "/issues/%lld/comments?per_page=100&page=%d", (long long)number, page);
		CLEAN_ANSWER struct http_answer a = {0};
		json_t *c;
		size_t i;

		if (get(t, r, below, JSON_ARRAY, "the issue", &a) < 0)
			return -1;
		json_array_foreach(a.body, i, c)
		{
			if (strstr(text_of(c, "body"), marker) != NULL) {
				put_text(answer, "url", c, "html_url", 2048);
				json_object_set_new(answer, "created", json_false());
				return 1;
			}
		}
		if (!a.more)
			break;
	}
	return 0;
}

static int
make_comment(struct task *t, const struct repo *r, int64_t number, const char *text,
    const char *marker, json_t *answer)
{
	CLEAN_FREE char *path = xasprintf("%s/issues/%lld/comments", r->path, (long long)number);
	CLEAN_FREE char *full = marker == NULL || strstr(text, marker) != NULL
				    ? xstrdup(text)
				    : xasprintf("%s\n\n%s", text, marker);
	CLEAN_JSON json_t *req = json_pack("{s:s}", "body", full);

	for (int i = 0;; i++) {
		CLEAN_ANSWER struct http_answer a = {0};
		int found;

		if (http_call(t, path, req, &a) < 0)
			return -1;
		if (a.status == 201) {
			put_text(answer, "url", a.body, "html_url", 2048);
			json_object_set_new(answer, "created", json_true());
			return 0;
		}
		/* without a marker nobody can tell whether it arrived */
		if (marker != NULL && i == 0 && (a.status == 0 || a.status >= 500)) {
			if ((found = find_comment(t, r, number, marker, answer)) != 0)
				return found > 0 ? 0 : -1;
			continue;
		}
		return fail(t, r, &a, "the issue");
	}
}

int
forge_comment(struct task *t, json_t *answer)
{
	const char *text = task_str(t, "body", 65536), *marker = task_str_opt(t, "marker", 256);
	struct repo r = {0};
	int64_t number;
	int rc = 0;

	if (task_failed(t) || !task_int(t, "number", 0, 1, INT64_MAX, &number))
		return -1;
	if (number == 0)
		return TASK_FAIL(t, "internal", "invalid", "number: required");
	if (find_repo(t, &r) < 0)
		return -1;
	if (marker != NULL)
		rc = find_comment(t, &r, number, marker, answer);
	if (rc == 0)
		rc = make_comment(t, &r, number, text, marker, answer);
	free(r.path);
	return rc < 0 ? -1 : 0;
}

/* ---- whose token
 * -----------------------------------------------------------------------------------------------
 */

int
forge_user(struct task *t, json_t *answer)
{
	CLEAN_ANSWER struct http_answer a = {0};
	const struct repo none = {"", "", NULL};

	if (http_call(t, "/user", NULL, &a) < 0)
		return -1;
	if (a.status == 200 && json_is_object(a.body)) {
		put_text(answer, "login", a.body, "login", 255);
		return 0;
	}
	/* the token of an app is nobody's, and works all the same */
	if (a.status == 403 && !a.exhausted && a.retry_after == 0 &&
	    strcasestr(text_of(a.body, "message"), "by integration")) {
		json_object_set_new(answer, "login", json_null());
		return 0;
	}
	if (a.status == 403)
		a.status = a.exhausted || a.retry_after > 0 ? 429 : 401;
	return a.status == 0 || a.status == 401 || a.status == 429 || a.status >= 500
		   ? fail(t, &none, &a, "the token")
		   : malformed(t);
}
