/* Google's gemini command line. */
#include <string.h>

#include "awo-worker/agents/adapter.h"
#include "common/clean.h"

/* without the relaunch the program that AWO signals is the one that works */
static const char *const env[] = {
    "GEMINI_TELEMETRY_ENABLED=false", "GEMINI_CLI_NO_RELAUNCH=true", NULL};

static void
argv(const struct agent_request *r, struct p_strv *out)
{
	static const char *const fixed[] = {"--yolo", "--output-format", "stream-json"};

	p_strv_add(out, r->program);
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		p_strv_add(out, fixed[i]);
	if (r->model != NULL) {
		p_strv_add(out, "--model");
		p_strv_add(out, r->model);
	}
	if (r->session != NULL) {
		/* it takes a number or "latest", not an id; the order's own home holds no session
		 * but the order's */
		p_strv_add(out, "--resume");
		p_strv_add(out, "latest");
	}
	for (size_t i = 0; i < r->args->n; i++)
		p_strv_add(out, r->args->v[i]);
}

static void
message(struct agent_stream *s, const json_t *o)
{
	const char *text = adapter_string(o, "content");
	bool delta = json_is_true(json_object_get(o, "delta"));

	if (strcmp(adapter_string(o, "role"), "assistant") != 0)
		return;
	adapter_say(s, AGENT_TEXT, text, strlen(text), false);
	if (delta && s->joined)
		adapter_text_more(s, text, strlen(text));
	else
		adapter_text(s, text, strlen(text));
	s->joined = delta;
}

static void
result(struct agent_stream *s, const json_t *o)
{
	const json_t *stats = json_object_get(o, "stats");

	s->results++;
	s->is_error = strcmp(adapter_string(o, "status"), "success") != 0;
	if (s->is_error)
		adapter_error(s, adapter_string(json_object_get(o, "error"), "message"));
	adapter_add_tokens(
	    s, adapter_tokens(stats, "input_tokens"), adapter_tokens(stats, "output_tokens"));
	adapter_result(s, s->is_error ? s->error : s->text.len > 0 ? s->text.p : "");
}

static void
line(struct agent_stream *s, const char *p, size_t len)
{
	json_t *o CLEAN_JSON = adapter_json(s, p, len);
	const char *type = adapter_string(o, "type"), *text;

	if (o == NULL)
		return;
	if (strcmp(type, "init") == 0) {
		adapter_session(s, adapter_string(o, "session_id"));
	} else if (strcmp(type, "message") == 0) {
		message(s, o);
	} else if (strcmp(type, "tool_use") == 0) {
		s->joined = false;
		adapter_tool(s, adapter_string(o, "tool_name"), json_object_get(o, "parameters"));
	} else if (strcmp(type, "tool_result") == 0) {
		text = adapter_string(o, "output");
		adapter_say(s, AGENT_TOOL_RESULT, text, strlen(text),
		    strcmp(adapter_string(o, "status"), "success") != 0);
	} else if (strcmp(type, "error") == 0) {
		adapter_error(s, adapter_string(o, "message"));
		adapter_say(s, AGENT_NOTE, s->error, strlen(s->error), true);
	} else if (strcmp(type, "result") == 0) {
		result(s, o);
	}
}

static void
verdict(const struct agent_stream *s, const struct agent_exit *e, struct agent_verdict *v)
{
	v->ok = s->results > 0 && !s->is_error && !e->signaled && e->code == 0;
	/* SIGTERM to its group ends it so, and one that AWO sends is not judged here */
	if (s->session[0] != '\0' && s->results == 0 && s->error[0] == '\0' && !e->signaled &&
	    e->code == 0)
		FAIL(&v->failure, transient,
		    "the agent ended without a result, as it does when it is told to stop");
	else if (!v->ok)
		adapter_fail(s, e, "the agent ended without a result", v);
}

const struct agent_adapter agent_gemini = {
    .name = "gemini",
    .install = "npm install -g @google/gemini-cli",
    .env = env,
    .sigint_cleans = false,
    .argv = argv,
    .line = line,
    .verdict = verdict,
};
