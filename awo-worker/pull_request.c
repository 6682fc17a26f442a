/* What the order does at its forge, through awo-forge. */
#include "awo-worker/pull_request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "awo-worker/helper.h"
#include "awo-worker/order.h"
#include "common/buf.h"
#include "common/clean.h"

#define FORGE_SECONDS 300

bool
forge_known(const struct order *o)
{
	return strcmp(o->job.forge.kind, "github") == 0;
}

bool
forge_usable(const struct order *o)
{
	return forge_known(o) && o->job.credentials.forge_token != NULL &&
	       o->job.forge.api_url != NULL;
}

static json_t *
call_forge(struct order *o, const char *verb, json_t *request, struct failure *f)
{
	const struct job *job = &o->job;
	struct helper_call call = {.program = HELPER_FORGE,
	    .verb = verb,
	    .request = request,
	    .fd3 = -1,
	    .seconds = FORGE_SECONDS};

	json_object_set_new(request, "api_url", json_string(job->forge.api_url));
	json_object_set_new(request, "token", json_string(job->credentials.forge_token));
	json_object_set_new(
	    request, "owner", json_string(job->forge.owner != NULL ? job->forge.owner : ""));
	json_object_set_new(
	    request, "repo", json_string(job->forge.repo != NULL ? job->forge.repo : ""));
	if (journal_sync(&o->journal) != 0) {
		json_decref(request);
		FAIL(f, internal, "the order's log cannot be written");
		return NULL;
	}
	return helper_run(o, &call, f);
}

int
forge_verify(struct order *o, struct failure *f)
{
	json_t *answer CLEAN_JSON = call_forge(o, "repository", json_object(), f), *fields;
	bool refused = answer == NULL &&
		       (strcmp(f->reason, "auth") == 0 || f->category == error_category_cancelled);

	fields = json_object();
	json_object_set_new(fields, "is_accessible",
	    json_boolean(
		answer != NULL && !json_is_false(json_object_get(answer, "is_accessible"))));
	journal_set_text(fields, "default_branch",
	    answer != NULL ? helper_string(answer, "default_branch") : NULL, 255);
	journal_set_text(fields, "error", answer == NULL ? f->msg : NULL, 1000);
	journal_write(&o->journal, P_E_github_repository_verified,
	    answer != NULL ? log_level_info : log_level_warning, fields);
	if (!refused)
		return 0;
	if (f->category == error_category_cancelled)
		return -1;
	return failure_prefix(
	    f, "GitHub refused the token for %s: store a valid one: ", o->job.canonical);
}

int
forge_issue(struct order *o, const char *number, struct failure *f)
{
	json_t *r = json_object(), *answer CLEAN_JSON = NULL, *fields;

	json_object_set_new(r, "number", json_integer(strtoll(number, NULL, 10)));
	answer = call_forge(o, "issue", r, f);
	if (answer == NULL)
		return failure_prefix(f, "issue #%s could not be read: ", number);
	o->issue.number = xstrdup(number);
	o->issue.title = xstrdup(helper_string(answer, "title"));
	o->issue.body = xstrdup(helper_string(answer, "body"));
	o->issue.url = xstrdup(helper_string(answer, "url"));
	fields = json_object();
	journal_set_text(fields, "github_issue_number", number, 20);
	journal_set_text(fields, "title", o->issue.title, 500);
	journal_set_text(fields, "url", o->issue.url, 2048);
	journal_write(&o->journal, P_E_github_issue_fetched, log_level_info, fields);
	return 0;
}

bool
forge_url_fits(const char *url, const char *owner, const char *repo, long long number)
{
	const char *path;
	char want[2200];
	int n;

	if (strncmp(url, "https://", 8) != 0 && strncmp(url, "http://", 7) != 0)
		return false;
	path = strchr(strstr(url, "://") + 3, '/');
	n = snprintf(want, sizeof(want), "/%s/%s/pull/%lld", owner, repo, number);
	if (path == NULL || n < 0 || (size_t)n >= sizeof(want) || strlen(path) < (size_t)n)
		return false;
	/* an instance may live below a path; names are compared as the forge does */
	return strcasecmp(path + strlen(path) - n, want) == 0;
}

static void
comment(struct order *o)
{
	json_t *r = json_object(), *answer CLEAN_JSON = NULL, *fields;
	struct buf body CLEAN_BUF = {0};
	struct failure f = {0};
	char marker[64];

	snprintf(marker, sizeof(marker), "<!-- awo:%s -->", o->job.id);
	buf_printf(
	    &body, "%s\nWork order `%s` opened %s for this issue.\n", marker, o->job.id, o->pr_url);
	json_object_set_new(r, "number", json_integer(strtoll(o->issue.number, NULL, 10)));
	json_object_set_new(r, "body", json_string(body.p));
	json_object_set_new(r, "marker", json_string(marker));
	answer = call_forge(o, "comment", r, &f);
	fields = json_object();
	journal_set_text(fields, "github_issue_number", o->issue.number, 20);
	journal_set_text(fields, "url", answer != NULL ? helper_string(answer, "url") : NULL, 2048);
	if (answer == NULL)
		journal_set_text(fields, "error", f.msg, 1000);
	/* the pull request is there: a missing comment is no failure of the order */
	journal_write(&o->journal, P_E_github_issue_commented,
	    answer != NULL ? log_level_info : log_level_warning, fields);
}

int
forge_pull_request(struct order *o, const char *title, const char *body, struct failure *f)
{
	json_t *r = json_object(), *answer CLEAN_JSON = NULL, *fields;
	long long number;
	const char *url, *state;
	int r2;

	json_object_set_new(r, "head", json_string(o->branch));
	json_object_set_new(r, "base", json_string(o->base_branch));
	json_object_set_new(r, "title", json_string(title));
	json_object_set_new(r, "body", json_string(body));
	answer = call_forge(o, "pull-request", r, f);
	if (answer == NULL)
		return failure_prefix(f, "the pull request could not be opened: ");
	number = helper_int(answer, "number");
	url = helper_string(answer, "url");
	state = helper_string(answer, "state");
	if (number < 1 || !forge_url_fits(url, o->job.forge.owner, o->job.forge.repo, number))
		return FAIL(f, github,
		    "the forge answered with an address that is no pull request of this "
		    "repository: %.200s",
		    url);
	free(o->pr_url);
	free(o->pr_number);
	o->pr_url = xstrdup(url);
	o->pr_number = xasprintf("%lld", number);
	fields = json_object();
	json_object_set_new(fields, "github_pull_request_number", json_string(o->pr_number));
	journal_set_text(fields, "github_pull_request_url", url, 2048);
	journal_set_text(
	    fields, "github_pull_request_state", state[0] != '\0' ? state : "open", 16);
	json_object_set_new(
	    fields, "created", json_boolean(!json_is_false(json_object_get(answer, "created"))));
	r2 = journal_write(&o->journal, P_E_github_pull_request_created, log_level_info, fields);
	if (o->job.forge.comment_on_issue && o->issue.number != NULL)
		comment(o);
	return r2;
}
