/* Methods of settings: showing them, changing them while awod runs, trying what they are for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "awod/agent_version.h"
#include "awod/credentials.h"
#include "awod/rpc_git.h"
#include "awod/server_priv.h"
#include "common/clean.h"

#define TEST_MS 10000

/* Says of each setting whether awod still runs with another value, and whether any does. */
static void
mark_pending(const struct broker *b, struct p_settings_answer *answer)
{
	bool any = false;

	for (size_t i = 0; i < answer->settings.n; i++) {
		struct p_setting *s = &answer->settings.v[i];
		json_t *running = json_object_get(b->at_start, s->key);

		if (!s->restart_required || running == NULL || json_equal(running, s->value))
			continue;
		/* a null would not be told from none */
		P_SET(setting, s, running_value,
		    json_is_null(running) ? json_string("") : json_incref(running));
		any = true;
	}
	P_SET(settings_answer, answer, restart_required, any);
}

void
rpc_settings_get(struct rpc_call *c, const struct p_settings_get *request)
{
	struct p_settings_answer answer;
	struct awo_err err = {0};

	if (config_settings(rpc_broker(c)->conf, request->key, &answer, &err) != 0) {
		rpc_fail(c, &err);
		return;
	}
	mark_pending(rpc_broker(c), &answer);
	rpc_answer(c, &answer);
	P_FREE(settings_answer, &answer);
}

/* ---- settings.set */

struct setting {
	struct rpc_call *c;
	char *key;
	bool restart;
};

static void
stored(void *arg, const struct awo_err *err, const struct store_commit *commit)
{
	struct setting *s = arg;
	struct broker *b = rpc_broker(s->c);
	struct p_settings_answer answer;
	struct awo_err why = {0};

	(void)commit;
	if (err != NULL && err->code != AWO_OK) {
		why = *err;
	} else if (broker_reload(b, &why) != 0) {
		why.code = AWO_FAILED_PRECONDITION;
		(void)awo_err_prefix(
		    &why, "%s is stored, but the configuration could not be read again: ", s->key);
	} else if (config_settings(b->conf, s->key, &answer, &why) == 0) {
		mark_pending(b, &answer);
		if (s->restart)
			P_SET(settings_answer, &answer, restart_required, true);
		rpc_answer(s->c, &answer);
		P_FREE(settings_answer, &answer);
	}
	if (why.code != AWO_OK)
		rpc_fail(s->c, &why);
	free(s->key);
	free(s);
}

void
rpc_settings_set(struct rpc_call *c, const struct p_settings_set *request)
{
	struct broker *b = rpc_broker(c);
	CLEAN_JSON json_t *value =
	    request->value != NULL ? json_incref(request->value) : json_null();
	CLEAN_FREE char *text = NULL;
	struct awo_err err = {0};
	struct store_tx *tx;
	struct setting *s;
	bool restart, remove = json_is_null(value);
	char *line;

	if (config_check_setting(b->conf, request->key, value, &restart, &err) != 0) {
		rpc_fail(c, &err);
		return;
	}
	text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
	AWO_ASSERT(text != NULL);
	s = xcalloc(1, sizeof(*s));
	*s = (struct setting){.c = c, .key = xstrdup(request->key), .restart = restart};
	tx = store_tx(b->store);
	store_tx_setting_put(tx, request->key, remove ? NULL : text);
	line = audit_event(tx, rpc_caller(c), "setting_changed",
	    json_pack("{s:s, s:O, s:b}", "key", request->key, "value", value, "removed", remove));
	audit_commit(b, tx, line, stored, s);
}

/* ---- settings.test */

static void
answer_test(struct rpc_call *c, bool success, const char *message)
{
	struct p_test_answer answer = {0};

	P_SET(test_answer, &answer, success, success);
	P_SETS(test_answer, &answer, message, message);
	rpc_answer(c, &answer);
	P_FREE(test_answer, &answer);
}

static void
github_told(void *arg, const struct awo_err *err, json_t *answer)
{
	struct rpc_call *c = arg;
	const char *login = json_string_value(json_object_get(answer, "login"));
	char message[1024];

	if (!engine_task_answered(err, answer)) {
		rpc_fail(c, err);
		return;
	}
	if (err != NULL && err->code != AWO_OK) {
		snprintf(message, sizeof(message), "%s", err->msg);
		answer_test(c, false, message);
		return;
	}
	snprintf(message, sizeof(message), "the token works%s%.256s",
	    login != NULL ? "; it belongs to " : "", login != NULL ? login : "");
	answer_test(c, true, message);
}

void
test_github_token(struct rpc_call *c, const char *token)
{
	struct broker *b = rpc_broker(c);
	struct engine_task task = {.program = SUP_FORGE,
	    .verb = "user",
	    .flags = SUP_NET,
	    .owner_uid = (uint32_t)rpc_caller(c)->uid,
	    .asked = true,
	    .asked_by = (uint32_t)rpc_caller(c)->uid,
	    .timeout_ms = TEST_MS};

	task.request = json_pack("{s:s, s:s}", "api_url", b->conf->github_api_url, "token", token);
	if (task.request == NULL) {
		answer_test(c, false, "the token is no text");
		return;
	}
	engine_task(b->engine, &task, github_told, c);
}

static void
test_github(struct rpc_call *c)
{
	struct broker *b = rpc_broker(c);
	char *token =
	    engine_forge_token(b->engine, (uint32_t)rpc_caller(c)->uid, b->conf->github_host);
	char message[512];

	if (token != NULL) {
		test_github_token(c, token);
		secret_free(token);
		return;
	}
	snprintf(message, sizeof(message),
	    "there is no token for %s: store one with awoctl credential set NAME --kind "
	    "github_token, or set GITHUB_TOKEN for awod",
	    b->conf->github_host);
	answer_test(c, false, message);
}

static void
agent_told(void *arg, const char *name, const struct awo_err *err, const struct agent_version *found)
{
	struct p_test_answer answer = {0};
	CLEAN_FREE char *message = NULL;

	if (found == NULL) {
		rpc_fail(arg, err);
		return;
	}
	if (found->ok)
		message = xasprintf("agent %s is there: %s, version %s; whether it is logged in "
				    "shows the first order",
		    name, found->path, found->version);
	P_SET(test_answer, &answer, success, found->ok);
	P_SETS(test_answer, &answer, message, found->ok ? message : found->error);
	if (found->ok)
		P_SETS(test_answer, &answer, version, found->version);
	rpc_answer(arg, &answer);
	P_FREE(test_answer, &answer);
}

static void
test_agent(struct rpc_call *c, const char *name)
{
	struct broker *b = rpc_broker(c);
	const struct config_agent *agent = config_agent(b->conf, name);
	struct awo_err err = {0};

	if (agent == NULL) {
		(void)ERR(&err, INVALID_ARGUMENT, "agent", "there is no agent %s", name);
		rpc_fail(c, &err);
		return;
	}
	agent_version_ask(b, agent, (uint32_t)rpc_caller(c)->uid, agent_told, c);
}

void
rpc_settings_test(struct rpc_call *c, const struct p_settings_test *request)
{
	struct awo_err err = {0};

	if (strcmp(request->what, "github") == 0) {
		test_github(c);
	} else if (strcmp(request->what, "agent") == 0) {
		test_agent(c,
		    request->agent != NULL ? request->agent : rpc_broker(c)->conf->default_agent);
	} else {
		(void)ERR(&err, INVALID_ARGUMENT, "what", "must be github or agent");
		rpc_fail(c, &err);
	}
}
