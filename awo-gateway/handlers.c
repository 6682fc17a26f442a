/* What answers the routes that are calls of awod. */
#include "awo-gateway/handlers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "awo-gateway/args.h"
#include "awo-gateway/gateway.h"
#include "awo-gateway/json_out.h"
#include "awo-gateway/kept.h"
#include "awo-gateway/metrics.h"
#include "awo-gateway/shapes.h"
#include "common/clean.h"
#include "common/repo_url.h"
#include "common/text.h"

/* ---- any method */

static void
answered(struct request *rq, const struct awo_err *err, void *answer)
{
	const struct p_method *m = rq->route->rpc;
	struct buf text = {0};
	struct shape shape;
	char number[24];

	if (answer == NULL) {
		request_fail(rq, err);
		return;
	}
	shape_answer(
	    &text, m, answer, rq->mount, rq->prefix, rq->route->method == HTTP_GET, &shape);
	if (shape.total >= 0) {
		snprintf(number, sizeof(number), "%lld", (long long)shape.total);
		request_add_header(rq, "X-Total-Count", number);
	}
	if (shape.location[0] != '\0')
		request_add_header(rq, "Location", shape.location);
	request_answer_json(rq, shape.status, &text);
}

static struct body *
make_body(const struct request *rq, const void *answer)
{
	struct buf text = {0};
	struct shape shape;

	shape_answer(&text, rq->route->rpc, answer, rq->mount, rq->prefix, true, &shape);
	return body_new(&text, shape.total);
}

/* Checks rq->args by the method's type and calls it. */
static void
call_with_args(struct request *rq)
{
	const struct p_method *m = rq->route->rpc;
	void *params = xcalloc(1, m->request->size);
	struct awo_err err = {0};

	if (p_from_json(m->request, params, rq->args, false, &err) != 0) {
		free(params);
		request_fail(rq, &err);
		return;
	}
	if (kept_wants(rq)) {
		kept_ask(rq, params, make_body);
		return;
	}
	request_call(rq, m->id, params, answered);
	p_free(m->request, params);
	free(params);
}

/* False when the request has been answered. */
static bool
take_args(struct request *rq, const struct p_type *type)
{
	struct args_error e = {0};
	size_t len;
	CLEAN_FREE char *body = request_body(rq, &len);

	rq->args = args_make(type, body, len, &rq->target, rq->params, &e);
	if (rq->args != NULL && e.type == NULL)
		return true;
	request_fail_args(rq, &e, 1);
	return false;
}

/* True when the request has been answered. */
static bool
answer_kept(struct request *rq)
{
	struct body *body = kept_wants(rq) ? kept_find(rq) : NULL;

	if (body != NULL)
		request_answer_body(rq, "application/json", body);
	return body != NULL;
}

void
handle_rpc(struct request *rq)
{
	if (!answer_kept(rq) && take_args(rq, rq->route->rpc->request))
		call_with_args(rq);
}

/* ---- order.list */

/* Older clients ask for the states that they are shown: each stands for those that are shown as it.
 */
static void
widen_status(json_t *args)
{
	int shown =
	    p_enum_value(&p_enum_order_status, json_string_value(json_object_get(args, "status")));
	json_t *all = json_array();
	const char *name;

	for (int s = order_status_none + 1; (name = p_enum_name(&p_enum_order_status, s)) != NULL;
	     s++)
		if ((int)json_legacy_status((enum p_order_status)s) == shown)
			json_array_append_new(all, json_string(name));
	if (json_array_size(all) > 1) {
		json_object_del(args, "status");
		json_object_set(args, "statuses", all);
	}
	json_decref(all);
}

void
handle_list(struct request *rq)
{
	if (answer_kept(rq) || !take_args(rq, rq->route->rpc->request))
		return;
	if (rq->mount == MOUNT_LEGACY && json_is_string(json_object_get(rq->args, "status")))
		widen_status(rq->args);
	call_with_args(rq);
}

/* ---- order.create */

static bool
is_given(const json_t *args, const char *name)
{
	const json_t *v = json_object_get(args, name);

	return v != NULL && !json_is_null(v);
}

/* What no row of the type can say, told together with what they say. */
static void
create_now(struct request *rq)
{
	const char *url = json_string_value(json_object_get(rq->args, "repository_url"));
	struct args_error errors[2] = {0};
	struct repo_url parsed;
	size_t n = 0;

	if (is_given(rq->args, "user_request") || is_given(rq->args, "github_issue_number")) {
		call_with_args(rq);
		return;
	}
	if (url != NULL && repo_url_parse(url, &parsed, &errors[n].err) != 0)
		errors[n++].type = "value_error";
	(void)ERR(&errors[n].err, INVALID_ARGUMENT, "user_request",
	    "user_request is missing: say what is to be done, or give github_issue_number");
	errors[n++].type = "missing";
	request_fail_args(rq, errors, n);
}

/* What the repository is registered with holds where the request says nothing. */
static void
repository_known(struct request *rq, const struct awo_err *err, void *answer)
{
	const struct p_repository *r = answer;
	json_t *steps;

	if (r == NULL) {
		struct awo_err why = *err;

		snprintf(why.field, sizeof(why.field), "repository_id");
		request_fail(rq, &why);
		return;
	}
	if (!is_given(rq->args, "repository_url"))
		json_object_set_new(rq->args, "repository_url", json_string(r->repository_url));
	if (!is_given(rq->args, "sandbox_type") &&
	    p_enum_name(&p_enum_sandbox_type, (int)r->default_sandbox_type) != NULL)
		json_object_set_new(rq->args, "sandbox_type",
		    json_string(P_ENUM_NAME(sandbox_type, r->default_sandbox_type)));
	if (!is_given(rq->args, "selected_commands") && !is_given(rq->args, "workflow_type") &&
	    r->default_commands.n > 0) {
		steps = json_array();
		for (size_t i = 0; i < r->default_commands.n; i++)
			json_array_append_new(steps, json_string(r->default_commands.v[i]));
		json_object_set_new(rq->args, "selected_commands", steps);
	}
	create_now(rq);
}

void
handle_create(struct request *rq)
{
	const char *key = request_header(rq, "Idempotency-Key");
	struct p_repository_ref ref = {0};
	char number[24];
	json_t *v;

	if (!take_args(rq, rq->route->rpc->request))
		return;
	/* other spellings of the requirements */
	v = json_object_get(rq->args, "initial_prompt");
	if (v != NULL && !is_given(rq->args, "user_request"))
		json_object_set(rq->args, "user_request", v);
	v = json_object_get(rq->args, "github_issue_number");
	if (json_is_integer(v)) {
		snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(v));
		json_object_set_new(rq->args, "github_issue_number", json_string(number));
	}
	if (key != NULL) {
		json_t *text = json_string(key);

		if (text == NULL) {
			struct args_error e = {.type = "value_error", .origin = FROM_HEADER};

			(void)ERR(&e.err, INVALID_ARGUMENT, "Idempotency-Key",
			    "Idempotency-Key must be UTF-8 text");
			request_fail_args(rq, &e, 1);
			return;
		}
		json_object_set_new(rq->args, "idempotency_key", text);
	}
	json_object_set_new(rq->args, "request_id", json_string(rq->id));
	v = json_object_get(rq->args, "repository_id");
	if (json_is_string(v) && *json_string_value(v) != '\0') {
		P_SETS(repository_ref, &ref, id, json_string_value(v));
		request_call(rq, P_M_repository_get, &ref, repository_known);
		P_FREE(repository_ref, &ref);
		return;
	}
	create_now(rq);
}

/* ---- health and metrics */

static void
health_known(struct request *rq, const struct awo_err *err, void *answer)
{
	struct buf text = {0};

	if (answer != NULL) {
		answered(rq, err, answer);
		return;
	}
	buf_adds(&text,
	    "{\"status\":\"unhealthy\",\"service\":\"agent-work-orders\",\"version\":\"" AWO_VERSION
	    "\",\"detail\":");
	text_add_json(&text, request_error_text(rq, err));
	buf_addc(&text, '}');
	request_add_header(rq, "Retry-After", "1");
	request_answer_json(rq, awo_code_http(err->code), &text);
}

/* What the host has where, how much of it is in use and what is wrong with it is for its users. */
static void
shorten(struct p_health *h)
{
	CLEAN_FREE char *said =
	    xasprintf("%zu found: ask with a token, or awoctl health", h->problems.n);
	const char *name;
	json_t *v;

	json_object_foreach(h->dependencies, name, v)
	{
		(void)json_object_del(v, "path");
		(void)json_object_del(v, "url");
		if (json_object_get(v, "error") != NULL)
			json_object_set_new(v, "error", json_string("it cannot be used"));
	}
	(void)json_object_del(h->disk, "path");
	P_CLEAR(health, h, host);
	if (h->problems.n > 0) {
		p_strv_free(&h->problems);
		p_strv_add(&h->problems, said);
	}
}

static void
short_health_known(struct request *rq, const struct awo_err *err, void *answer)
{
	if (answer != NULL)
		shorten(answer);
	health_known(rq, err, answer);
}

static void
full_health(struct request *rq)
{
	request_call(rq, P_M_system_health, NULL, health_known);
}

/* Nobody has to say who asks, but who does is told more. */
void
handle_health(struct request *rq)
{
	if (auth_is_none(rq->g)) {
		full_health(rq);
	} else if (auth_is_presented(rq)) {
		auth_request(rq->g, rq, P_SCOPE_READ, full_health);
	} else if (!auth_refuses_stranger(rq)) {
		auth_count_stranger(rq, 1);
		request_call_self(rq, P_M_system_health, NULL, short_health_known);
	}
}

static void
metrics_known(struct request *rq, const struct awo_err *err, void *answer)
{
	const struct p_metrics_answer *a = answer;
	struct buf text CLEAN_BUF = {0};

	/* the gateway's own are worth having when awod is away */
	if (a == NULL && err->code != AWO_UNAVAILABLE) {
		request_fail(rq, err);
		return;
	}
	metrics_text(&text, rq->g, a != NULL ? a->metrics : NULL);
	request_answer_text(rq, 200, "text/plain; version=0.0.4; charset=utf-8", text.p);
}

void
handle_metrics(struct request *rq)
{
	request_call(rq, P_M_system_metrics, NULL, metrics_known);
}

/* ---- /api/awo/settings: a few settings and the GitHub token, as the requirements spell them */

static const struct p_setting *
setting(const struct p_settings_answer *a, const char *key)
{
	for (size_t i = 0; i < a->settings.n; i++)
		if (a->settings.v[i].key != NULL && strcmp(a->settings.v[i].key, key) == 0)
			return &a->settings.v[i];
	return NULL;
}

static void
copy_setting(json_t *into, const char *name, const struct p_settings_answer *a, const char *key)
{
	const struct p_setting *s = setting(a, key);

	json_object_set(into, name, s != NULL && s->value != NULL ? s->value : json_null());
}

static void
credentials_known(struct request *rq, const struct awo_err *err, void *answer)
{
	const struct p_credential_list_answer *a = answer;
	CLEAN_JSON json_t *settings = rq->state;
	struct buf text = {0};
	CLEAN_FREE char *dump = NULL;

	rq->state = NULL;
	if (a == NULL) {
		request_fail(rq, err);
		return;
	}
	/* a stored token wins over the configuration's */
	for (size_t i = 0; i < a->credentials.n; i++)
		if (a->credentials.v[i].kind == credential_kind_github_token) {
			json_object_set_new(
			    settings, "github_token", json_string(a->credentials.v[i].masked));
			break;
		}
	dump = json_dumps(settings, JSON_COMPACT);
	AWO_ASSERT(dump != NULL);
	buf_adds(&text, dump);
	request_answer_json(rq, 200, &text);
}

static void
settings_known(struct request *rq, const struct awo_err *err, void *answer)
{
	const struct p_settings_answer *a = answer;
	json_t *settings;

	if (a == NULL) {
		request_fail(rq, err);
		return;
	}
	settings = json_object();
	copy_setting(settings, "github_token", a, "github.token");
	copy_setting(settings, "claude_cli_path", a, "agents.claude.program");
	copy_setting(settings, "max_concurrent", a, "max_concurrent");
	copy_setting(settings, "retention_days", a, "retention.workspace_days");
	rq->state = settings;
	request_call(rq, P_M_credential_list, NULL, credentials_known);
}

void
handle_awo_settings(struct request *rq)
{
	request_call(rq, P_M_settings_get, NULL, settings_known);
}

static void
token_stored(struct request *rq, const struct awo_err *err, void *answer)
{
	struct buf text = {0};

	if (answer == NULL) {
		request_fail(rq, err);
		return;
	}
	buf_adds(&text, "{\"status\":\"success\"}");
	request_answer_json(rq, 200, &text);
}

void
handle_github_token(struct request *rq)
{
	struct p_credential_set set = {0};
	struct args_error e = {.type = "missing", .origin = FROM_BODY};
	const char *token;

	if (!take_args(rq, &p_type_token_verify))
		return;
	token = json_string_value(json_object_get(rq->args, "token"));
	if (token == NULL || *token == '\0') {
		(void)ERR(&e.err, INVALID_ARGUMENT, "token",
		    "token must be given: a GitHub personal access token");
		if (is_given(rq->args, "token"))
			e.type = token != NULL ? "value_error" : "string_type";
		request_fail_args(rq, &e, 1);
		return;
	}
	P_SETS(credential_set, &set, name, "github-token");
	P_SET(credential_set, &set, kind, credential_kind_github_token);
	P_SETS(credential_set, &set, value, token);
	request_call(rq, P_M_credential_set, &set, token_stored);
	explicit_bzero(set.value, strlen(set.value));
	P_FREE(credential_set, &set);
}
