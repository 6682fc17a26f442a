/* OpenAI's codex command line. */
#include <string.h>

#include "awo-worker/agents/adapter.h"
#include "common/clean.h"

static const char *const env[] = {NULL};

static void
argv(const struct agent_request *r, struct p_strv *out)
{
	/* it has no environment switch for these contacts, only configuration keys */
	static const char *const fixed[] = {"exec", "--json", "--skip-git-repo-check",
	    "--dangerously-bypass-approvals-and-sandbox", "-c", "check_for_update_on_startup=false",
	    "-c", "analytics.enabled=false"};

	p_strv_add(out, r->program);
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		p_strv_add(out, fixed[i]);
	if (r->model != NULL) {
		p_strv_add(out, "--model");
		p_strv_add(out, r->model);
	}
	for (size_t i = 0; i < r->args->n; i++)
		p_strv_add(out, r->args->v[i]);
	if (r->session != NULL) {
		p_strv_add(out, "resume");
		p_strv_add(out, r->session);
	}
	p_strv_add(out, "-"); /* the prompt comes on standard input */
}

static void
item(struct agent_stream *s, const json_t *o, bool completed)
{
	const json_t *it = json_object_get(o, "item");
	const char *type = adapter_string(it, "type"), *text;

	if (strcmp(type, "agent_message") == 0 && completed) {
		text = adapter_string(it, "text");
		adapter_say(s, AGENT_TEXT, text, strlen(text), false);
		adapter_text(s, text, strlen(text));
	} else if (strcmp(type, "command_execution") == 0) {
		if (!completed) {
			json_t *input CLEAN_JSON = json_object();

			json_object_set(input, "command", json_object_get(it, "command"));
			adapter_tool(s, "command_execution", input);
			return;
		}
		text = adapter_string(it, "aggregated_output");
		adapter_say(
		    s, AGENT_TOOL_RESULT, text, strlen(text), adapter_int(it, "exit_code") != 0);
	} else if (strcmp(type, "error") == 0 && completed) {
		/* a warning of the program's, not the end of the turn */
		text = adapter_string(it, "message");
		adapter_say(s, AGENT_NOTE, text, strlen(text), true);
	} else if (completed && type[0] != '\0' && strcmp(type, "reasoning") != 0) {
		adapter_tool(s, type, it);
	}
}

static void
line(struct agent_stream *s, const char *p, size_t len)
{
	json_t *o CLEAN_JSON = adapter_json(s, p, len);
	const char *type = adapter_string(o, "type");
	const json_t *u;

	if (o == NULL)
		return;
	if (strcmp(type, "thread.started") == 0) {
		adapter_session(s, adapter_string(o, "thread_id"));
	} else if (strcmp(type, "item.started") == 0 || strcmp(type, "item.completed") == 0) {
		item(s, o, type[5] == 'c');
	} else if (strcmp(type, "turn.completed") == 0) {
		u = json_object_get(o, "usage");
		s->results++;
		s->is_error = false;
		s->error[0] = '\0';
		/* cached tokens are part of input_tokens here */
		adapter_add_tokens(
		    s, adapter_tokens(u, "input_tokens"), adapter_tokens(u, "output_tokens"));
		P_SET(usage, &s->usage, num_turns, s->usage.num_turns + 1);
		adapter_result(s, s->text.len > 0 ? s->text.p : "");
	} else if (strcmp(type, "turn.failed") == 0) {
		s->results++;
		s->is_error = true;
		adapter_error(s, adapter_string(json_object_get(o, "error"), "message"));
		adapter_result(s, s->error);
	} else if (strcmp(type, "error") == 0) {
		adapter_error(s, adapter_string(o, "message"));
		adapter_say(s, AGENT_NOTE, s->error, strlen(s->error), true);
	}
}

static void
verdict(const struct agent_stream *s, const struct agent_exit *e, struct agent_verdict *v)
{
	v->ok = s->results > 0 && !s->is_error && !e->signaled && e->code == 0;
	if (!v->ok)
		adapter_fail(s, e, "the agent ended without a completed turn", v);
}

const struct agent_adapter agent_codex = {
    .name = "codex",
    .install = "npm install -g @openai/codex",
    .env = env,
    .sigint_cleans = true,
    .argv = argv,
    .line = line,
    .verdict = verdict,
};
