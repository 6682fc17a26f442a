/* The opencode command line. */
#include <string.h>

#include "awo-worker/agents/adapter.h"
#include "common/clean.h"

static const char *const env[] = {
    "OPENCODE_DISABLE_AUTOUPDATE=1",
    "OPENCODE_DISABLE_LSP_DOWNLOAD=1",
    "OPENCODE_DISABLE_MODELS_FETCH=1",
    NULL,
};

static void
argv(const struct agent_request *r, struct p_strv *out)
{
	static const char *const fixed[] = {"run", "--format", "json", "--auto"};

	p_strv_add(out, r->program);
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		p_strv_add(out, fixed[i]);
	if (r->model != NULL) {
		p_strv_add(out, "--model");
		p_strv_add(out, r->model);
	}
	if (r->session != NULL) {
		p_strv_add(out, "--session");
		p_strv_add(out, r->session);
	}
	for (size_t i = 0; i < r->args->n; i++)
		p_strv_add(out, r->args->v[i]);
}

static void
step_finish(struct agent_stream *s, const json_t *part)
{
	const json_t *tokens = json_object_get(part, "tokens"),
		     *cache = json_object_get(tokens, "cache");

	adapter_add_tokens(s,
	    adapter_tokens(tokens, "input") + adapter_tokens(cache, "read") +
		adapter_tokens(cache, "write"),
	    adapter_tokens(tokens, "output") + adapter_tokens(tokens, "reasoning"));
	if (json_is_number(json_object_get(part, "cost")))
		P_SET(usage, &s->usage, cost_usd, s->usage.cost_usd + adapter_real(part, "cost"));
	P_SET(usage, &s->usage, num_turns, s->usage.num_turns + 1);
	if (strcmp(adapter_string(part, "reason"), "stop") != 0)
		return;
	/* there is no closing line: a step that the model ended by itself is the nearest thing to
	 * one */
	s->results++;
	adapter_result(s, s->text.len > 0 ? s->text.p : "");
}

static void
line(struct agent_stream *s, const char *p, size_t len)
{
	json_t *o CLEAN_JSON = adapter_json(s, p, len);
	const json_t *part = json_object_get(o, "part"), *state, *e;
	const char *type = adapter_string(o, "type"), *text;

	if (o == NULL)
		return;
	adapter_session(s, adapter_string(o, "sessionID"));
	if (strcmp(type, "text") == 0) {
		text = adapter_string(part, "text");
		if (json_is_true(json_object_get(part, "synthetic")))
			return;
		adapter_say(s, AGENT_TEXT, text, strlen(text), false);
		adapter_text(s, text, strlen(text));
	} else if (strcmp(type, "tool_use") == 0) {
		state = json_object_get(part, "state");
		adapter_tool(s, adapter_string(part, "tool"), json_object_get(state, "input"));
		text = adapter_string(state, "output");
		if (text[0] == '\0')
			text = adapter_string(state, "error");
		adapter_say(s, AGENT_TOOL_RESULT, text, strlen(text),
		    strcmp(adapter_string(state, "status"), "error") == 0 ||
			adapter_int(json_object_get(state, "metadata"), "exit") != 0);
	} else if (strcmp(type, "step_finish") == 0) {
		step_finish(s, part);
	} else if (strcmp(type, "error") == 0) {
		e = json_object_get(o, "error");
		text = adapter_string(json_object_get(e, "data"), "message");
		adapter_error(s, text[0] != '\0' ? text : adapter_string(e, "name"));
		adapter_say(s, AGENT_NOTE, s->error, strlen(s->error), true);
	}
}

static void
verdict(const struct agent_stream *s, const struct agent_exit *e, struct agent_verdict *v)
{
	/* it goes on after some errors (it makes the context smaller), but its exit status does not
	 * forget them */
	v->ok = s->results > 0 && !e->signaled && e->code == 0;
	if (!v->ok)
		adapter_fail(s, e, "the agent ended before it was done", v);
}

const struct agent_adapter agent_opencode = {
    .name = "opencode",
    .install = "npm install -g opencode-ai",
    .env = env,
    .sigint_cleans = false,
    .argv = argv,
    .line = line,
    .verdict = verdict,
};
