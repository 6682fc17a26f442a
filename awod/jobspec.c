/* The job specification of a worker: everything that it may know about its order, as JSON. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "awod/credentials.h"
#include "awod/engine_priv.h"
#include "common/buf.h"
#include "common/clean.h"
#include "common/repo_url.h"

static json_t *
str(const char *s)
{
	return s != NULL ? json_string(s) : json_null();
}

static json_t *
strings(const struct p_strv *sv)
{
	json_t *a = json_array();

	for (size_t i = 0; i < sv->n; i++)
		json_array_append_new(a, json_string(sv->v[i]));
	return a;
}

/* Values of an agent's keys: the owner's credentials, shared ones, awod's own environment. */
static void
add_keys(struct engine *e, uint32_t uid, const struct config_agent *a, json_t *env)
{
	for (size_t i = 0; i < a->keys.n; i++) {
		struct p_credential c;
		void *sealed = NULL;
		size_t len = 0;
		char *secret = NULL;

		if (store_credential_get(e->b->store, uid, a->keys.v[i], credential_kind_agent_key, NULL, &c, &sealed,
			&len, NULL) == 0) {
			CLEAN_FREE char *context = xasprintf("%s:%s", c.owner, c.name);

			secret = keyring_open_sealed(e->b->keys, context, sealed, len, NULL);
			free(sealed);
			P_FREE(credential, &c);
		} else if (getenv(a->keys.v[i]) != NULL)
			secret = xstrdup(getenv(a->keys.v[i]));
		if (secret != NULL)
			json_object_set_new(env, a->keys.v[i], json_string(secret));
		secret_free(secret);
	}
}

static json_t *
agent_part(struct engine *e, const struct order_row *r, const struct config_agent *a)
{
	json_t *env = a->env != NULL ? json_deep_copy(a->env) : json_object();

	add_keys(e, r->owner_uid, a, env);
	return json_pack("{s:s,s:s,s:s,s:o,s:o,s:o,s:o,s:o}", "name", a->name, "adapter", a->adapter, "program",
	    a->program, "args", strings(&a->args), "paths", strings(&a->paths), "model",
	    str(r->pub.model != NULL ? r->pub.model : a->model), "max_turns",
	    a->max_turns > 0 ? json_integer(a->max_turns) : json_null(), "env", env);
}

/*
 * What is still to be done: the order's own steps from where it stopped, or, when they are all done, its prompts and then
 * commit and create-pr.
 */
static json_t *
steps_part(const struct order_row *r, size_t nprompts, int64_t *total)
{
	const struct p_strv *s = &r->pub.selected_commands;
	json_t *a = json_array();
	int64_t number = r->resume_step;

	for (size_t i = (size_t)r->resume_step; i < s->n; i++) {
		json_t *step = json_pack("{s:s,s:I}", "name", s->v[i], "number", (json_int_t)++number);

		if (order_has_gate(r, i))
			json_object_set_new(step, "gate", json_integer((json_int_t)i));
		json_array_append_new(a, step);
	}
	if (r->resume_step >= (int64_t)s->n) {
		number = r->pub.step_number > (int64_t)s->n ? r->pub.step_number : (int64_t)s->n;
		for (size_t i = 0; i < nprompts; i++)
			json_array_append_new(a, json_pack("{s:s,s:I}", "name", "prompt", "number", (json_int_t)++number));
		/* an attempt that came as far as create-pr, or just behind commit, has committed what its prompts left */
		if (nprompts > 0 || (r->resume_step == (int64_t)s->n &&
		    (r->pub.current_step == NULL || strcmp(r->pub.current_step, "create-pr") != 0)))
			json_array_append_new(a,
			    json_pack("{s:s,s:I}", "name", "commit", "number", (json_int_t)++number));
		if (p_strv_has(s, "create-pr"))
			json_array_append_new(a,
			    json_pack("{s:s,s:I}", "name", "create-pr", "number", (json_int_t)++number));
	}
	*total = number;
	return a;
}

json_t *
jobspec_build(struct live *l, struct awo_err *err)
{
	struct engine *e = l->e;
	const struct config *c = e->b->conf;
	const struct order_row *r = l->row;
	const struct p_order *o = &r->pub;
	const struct config_agent *agent = config_agent(c, o->agent);
	struct store_prompt *prompts = NULL;
	size_t nprompts = 0;
	struct repo_url u;
	json_t *spec, *steps, *texts = json_array(), *remote;
	int64_t total = 0;
	char *token = NULL;
	bool github;

	if (agent == NULL) {
		json_decref(texts);
		ERR(err, FAILED_PRECONDITION, "agent", "agent '%s' is not in the configuration any more", o->agent);
		return NULL;
	}
	if (repo_url_parse(o->repository_url, &u, err) != 0 ||
	    store_prompts(e->b->store, o->agent_work_order_id, &prompts, &nprompts, err) != 0) {
		json_decref(texts);
		return NULL;
	}
	steps = steps_part(r, nprompts, &total);
	for (size_t i = 0; i < nprompts; i++) {
		/* before the order's own steps are done, prompts go down the control socket */
		if (r->resume_step >= (int64_t)o->selected_commands.n)
			json_array_append_new(texts, json_pack("{s:I,s:s}", "prompt_id", (json_int_t)prompts[i].id, "text",
			    prompts[i].text));
		free(prompts[i].text);
	}
	free(prompts);
	github = u.scheme != REPO_FILE && u.owner[0] != '\0' &&
	    (strcmp(u.host_port, c->github_host) == 0 || strcmp(u.host, c->github_host) == 0);
	if (github)
		token = engine_forge_token(e, r->owner_uid, c->github_host);
	remote = engine_remote_request(e, r->owner_uid, o->repository_url);

	spec = json_pack("{s:i,s:s,s:s,s:I}", "proto", 1, "id", o->agent_work_order_id, "nonce", l->nonce, "attempt",
	    (json_int_t)o->attempt);
	json_object_set_new(spec, "fetching", json_boolean(l->fetching));
	json_object_set_new(spec, "repository",
	    json_pack("{s:s,s:s,s:s,s:s,s:s,s:b,s:o}", "url", u.canonical, "canonical", r->canonical_url, "owner", u.owner,
		"name", u.name, "host", u.host_port, "is_local", u.scheme == REPO_FILE ? 1 : 0, "local_path",
		u.scheme == REPO_FILE ? json_string(u.path) : json_null()));
	json_object_set_new(spec, "sandbox_type", json_string(P_ENUM_NAME(sandbox_type, o->sandbox_type)));
	json_object_set_new(spec, "base_branch", str(o->base_branch));
	json_object_set_new(spec, "branch_prefix", json_string(c->branch_prefix));
	json_object_set_new(spec, "branch_id", json_string(c->branch_id));
	json_object_set_new(spec, "user_request", json_string(o->user_request != NULL ? o->user_request : ""));
	json_object_set_new(spec, "workflow_type", str(o->workflow_type));
	json_object_set_new(spec, "github_issue_number", str(o->github_issue_number));
	json_object_set_new(spec, "steps", steps);
	json_object_set_new(spec, "total_steps", json_integer(total));
	json_object_set_new(spec, "resume",
	    json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:b,s:o}", "branch", str(o->git_branch_name), "base_sha",
		str(r->base_sha), "head_sha", str(r->head_sha), "plan_file", str(r->plan_file), "session_id",
		str(o->agent_session_id), "pushed_sha", str(r->pushed_sha), "pull_request_number",
		str(o->github_pull_request_number), "pull_request_url", str(o->github_pull_request_url), "reset",
		r->base_sha != NULL ? 1 : 0, "phase", str(P_ENUM_NAME(order_phase, o->current_phase))));
	json_object_set_new(spec, "prompts", texts);
	json_object_set_new(spec, "agent", agent_part(e, r, agent));
	json_object_set_new(spec, "credentials",
	    json_pack("{s:O,s:o}", "git", json_object_get(remote, "credential"), "forge_token", str(token)));
	json_object_set_new(spec, "forge",
	    json_pack("{s:s,s:s,s:b,s:s,s:s}", "kind", github ? "github" : "none", "api_url", c->github_api_url,
		"comment_on_issue", c->comment_on_issue ? 1 : 0, "owner", u.owner, "repo", u.name));
	json_object_set_new(spec, "git",
	    json_pack("{s:s,s:s,s:s,s:I,s:I,s:I}", "author_name", c->author_name, "author_email", c->author_email,
		"known_hosts", json_object_get(remote, "known_hosts") != NULL ?
		    json_string_value(json_object_get(remote, "known_hosts")) : "",
		"timeout_seconds", (json_int_t)c->git_timeout, "max_import_bytes", (json_int_t)c->max_import_bytes,
		"max_import_objects", (json_int_t)c->max_import_objects));
	json_object_set_new(spec, "commands",
	    json_pack("{s:b,s:o}", "trust_repository", c->trust_repository ? 1 : 0, "extra_dir", str(c->commands_directory)));
	json_object_set_new(spec, "tests", json_pack("{s:b}", "must_pass", c->tests_must_pass ? 1 : 0));
	json_object_set_new(spec, "timeouts",
	    json_pack("{s:I,s:I,s:I,s:I,s:I}", "step", (json_int_t)c->timeout_step, "idle", (json_int_t)c->timeout_idle,
		"order", (json_int_t)(r->timeout_seconds > 0 ? r->timeout_seconds : c->timeout_order), "elapsed",
		(json_int_t)(r->elapsed_us / 1000000), "kill", (json_int_t)c->timeout_kill));
	json_object_set_new(spec, "limits",
	    json_pack("{s:I,s:I,s:I,s:I,s:I,s:I}", "log_bytes", (json_int_t)c->limit_log_bytes, "nofile",
		(json_int_t)c->limit_nofile, "fsize", (json_int_t)c->limit_fsize, "nproc", (json_int_t)c->limit_nproc,
		"core", (json_int_t)c->limit_core, "memlock", (json_int_t)c->limit_memlock));
	json_object_set_new(spec, "ports", json_pack("{s:I,s:i}", "start", (json_int_t)r->port_start, "count", 10));
	json_object_set_new(spec, "artifacts",
	    json_pack("{s:b,s:b}", "prompts", c->artifact_prompts ? 1 : 0, "outputs", c->artifact_outputs ? 1 : 0));
	json_object_set_new(spec, "context",
	    json_pack("{s:s,s:o,s:s}", "repository_url", o->repository_url, "workflow_type", str(o->workflow_type),
		"sandbox_type", P_ENUM_NAME(sandbox_type, o->sandbox_type)));
	json_object_set_new(spec, "require", strings(&c->sandbox_require));
	json_decref(remote);
	secret_free(token);
	return spec;
}
