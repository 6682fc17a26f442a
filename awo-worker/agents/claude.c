/* Claude Code, and programs that write the same stream. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "awo-worker/agents/adapter.h"
#include "common/clean.h"

static const char *const env[] = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1",
    "DISABLE_TELEMETRY=1",
    "DISABLE_ERROR_REPORTING=1",
    "DISABLE_AUTOUPDATER=1",
    NULL,
};

static void
argv(const struct agent_request *r, struct p_strv *out)
{
	static const char *const fixed[] = {"--print", "--output-format", "stream-json",
	    "--verbose", "--dangerously-skip-permissions"};
	char turns[24];

	p_strv_add(out, r->program);
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		p_strv_add(out, fixed[i]);
	if (r->model != NULL) {
		p_strv_add(out, "--model");
		p_strv_add(out, r->model);
	}
	if (r->max_turns > 0) {
		snprintf(turns, sizeof(turns), "%lld", (long long)r->max_turns);
		p_strv_add(out, "--max-turns");
		p_strv_add(out, turns);
	}
	if (r->session != NULL) {
		p_strv_add(out, "--resume");
		p_strv_add(out, r->session);
	}
	for (size_t i = 0; i < r->args->n; i++)
		p_strv_add(out, r->args->v[i]);
}

/* A tool's result is a string, or a list of blocks of which the text ones count. */
static void
tool_result(struct agent_stream *s, const json_t *block)
{
	const json_t *content = json_object_get(block, "content"), *part;
	bool is_error = json_is_true(json_object_get(block, "is_error"));
	size_t i;

	if (json_is_string(content)) {
		adapter_say(s, AGENT_TOOL_RESULT, json_string_value(content),
		    json_string_length(content), is_error);
		return;
	}
	json_array_foreach((json_t *)(uintptr_t)content, i, part)
	{
		const char *text = adapter_string(part, "text");

		if (text[0] != '\0')
			adapter_say(s, AGENT_TOOL_RESULT, text, strlen(text), is_error);
	}
}

static void
message(struct agent_stream *s, const json_t *line, bool assistant)
{
	const json_t *m = json_object_get(line, "message"),
		     *content = json_object_get(m, "content"), *block;
	bool synthetic = strcmp(adapter_string(m, "model"), "<synthetic>") == 0;
	/* what a sub-agent says to its caller is no answer */
	bool inner = json_is_string(json_object_get(line, "parent_tool_use_id"));
	size_t i;

	json_array_foreach((json_t *)(uintptr_t)content, i, block)
	{
		const char *type = adapter_string(block, "type"),
			   *text = adapter_string(block, "text");

		if (strcmp(type, "tool_result") == 0) {
			tool_result(s, block);
		} else if (assistant && strcmp(type, "tool_use") == 0) {
			adapter_tool(
			    s, adapter_string(block, "name"), json_object_get(block, "input"));
		} else if (assistant && strcmp(type, "text") == 0 && text[0] != '\0') {
			adapter_say(s, AGENT_TEXT, text, strlen(text), synthetic);
			if (!inner && !synthetic)
				adapter_text(s, text, strlen(text));
			if (synthetic)
				adapter_error(s, text);
		}
	}
}

static void
api_retry(struct agent_stream *s, const json_t *line)
{
	char text[256];
	double delay = adapter_real(line, "retry_delay_ms");

	s->http_status = adapter_int(line, "error_status");
	s->retry_after = (int64_t)ceil(delay / 1000);
	snprintf(text, sizeof(text), "the API refused (%lld %.100s); attempt %lld of %lld",
	    (long long)s->http_status, adapter_string(line, "error"),
	    (long long)adapter_int(line, "attempt"), (long long)adapter_int(line, "max_retries"));
	adapter_say(s, AGENT_RETRY, text, strlen(text), true);
}

/*
 * modelUsage and total_cost_usd count from the process's start (seen: the second result of a run
 * includes the first), and include calls that usage leaves out; usage and num_turns are of one
 * result.
 */
static void
usage(struct agent_stream *s, const json_t *line)
{
	const json_t *models = json_object_get(line, "modelUsage"),
		     *u = json_object_get(line, "usage"), *m;
	int64_t in = 0, out = 0;
	const char *name;

	if (json_object_size(models) > 0) {
		json_object_foreach((json_t *)(uintptr_t)models, name, m)
		{
			in += adapter_tokens(m, "inputTokens") +
			      adapter_tokens(m, "cacheReadInputTokens") +
			      adapter_tokens(m, "cacheCreationInputTokens");
			out += adapter_tokens(m, "outputTokens");
		}
		P_SET(usage, &s->usage, input_tokens, in);
		P_SET(usage, &s->usage, output_tokens, out);
	} else if (json_is_object(u)) {
		adapter_add_tokens(s,
		    adapter_tokens(u, "input_tokens") +
			adapter_tokens(u, "cache_read_input_tokens") +
			adapter_tokens(u, "cache_creation_input_tokens"),
		    adapter_tokens(u, "output_tokens"));
	}
	if (json_is_number(json_object_get(line, "total_cost_usd")))
		P_SET(usage, &s->usage, cost_usd, adapter_real(line, "total_cost_usd"));
	P_SET(usage, &s->usage, num_turns, s->usage.num_turns + adapter_tokens(line, "num_turns"));
	/* text came and was paid for, but its end never was announced: the connection broke in the
	 * middle */
	s->doubtful = json_is_object(u) && adapter_int(u, "output_tokens") == 0 && out > 0;
}

static void
result(struct agent_stream *s, const json_t *line)
{
	static const char denied[] = "the agent was refused a permission";
	const char *text = adapter_string(line, "result"), *first;

	s->results++;
	s->is_error = json_is_true(json_object_get(line, "is_error"));
	snprintf(s->subtype, sizeof(s->subtype), "%s", adapter_string(line, "subtype"));
	s->interrupted = strncmp(adapter_string(line, "terminal_reason"), "aborted", 7) == 0;
	/* it goes on without the tool and may still call that a success */
	s->denied = json_array_size(json_object_get(line, "permission_denials")) > 0;
	if (s->denied)
		adapter_say(s, AGENT_NOTE, denied, sizeof(denied) - 1, true);
	if (json_is_integer(json_object_get(line, "api_error_status")))
		s->http_status = adapter_int(line, "api_error_status");
	else if (!s->is_error)
		s->http_status = 0;
	first = json_string_value(json_array_get(json_object_get(line, "errors"), 0));
	if (!s->is_error && strcmp(s->subtype, "success") == 0 && !adapter_is_api_error(text))
		s->error[0] = '\0';
	else
		adapter_error(s, text[0] != '\0' ? text : first != NULL ? first : "");
	usage(s, line);
	if (!s->is_error)
		adapter_text(s, text, strlen(text));
	adapter_result(s, text[0] != '\0' ? text : first != NULL ? first : s->subtype);
}

static void
line(struct agent_stream *s, const char *p, size_t len)
{
	json_t *o CLEAN_JSON = adapter_json(s, p, len);
	const char *type = adapter_string(o, "type");

	if (o == NULL)
		return;
	if (strcmp(type, "system") == 0) {
		adapter_session(s, adapter_string(o, "session_id"));
		if (strcmp(adapter_string(o, "subtype"), "api_retry") == 0)
			api_retry(s, o);
	} else if (strcmp(type, "assistant") == 0) {
		message(s, o, true);
	} else if (strcmp(type, "user") == 0) {
		message(s, o, false);
	} else if (strcmp(type, "result") == 0) {
		/* the result of a refused --resume names the session that does not exist */
		if (!json_is_true(json_object_get(o, "is_error")))
			adapter_session(s, adapter_string(o, "session_id"));
		result(s, o);
	}
}

static void
verdict(const struct agent_stream *s, const struct agent_exit *e, struct agent_verdict *v)
{
	const char *text = s->text.len > 0 ? s->text.p : "";

	if (s->results == 0) {
		adapter_fail(s, e, "the agent ended without a result", v);
	} else if (s->is_error && s->interrupted) {
		/* SIGINT ends it in good order; a run that AWO interrupts is not judged here */
		v->ok = false;
		FAIL(&v->failure, transient, "the agent was interrupted from outside");
	} else if (s->is_error || strcmp(s->subtype, "success") != 0) {
		adapter_fail(s, e, s->subtype, v);
		v->session_lost = strstr(v->failure.msg, "No conversation found") != NULL;
	} else if (e->signaled || e->code != 0) {
		adapter_fail(s, e, "the agent reported success but ended badly", v);
	} else if (adapter_is_api_error(text)) {
		adapter_fail(s, e, text, v);
	} else if (s->text.len == 0) {
		/* success with nothing said: the model's stream ended with an error and the program
		 * went on */
		v->ok = false;
		FAIL(&v->failure, transient,
		    "the agent's answer is empty: the model's stream broke off");
	} else {
		v->ok = true;
	}
}

const struct agent_adapter agent_claude = {
    .name = "claude",
    .install = "npm install -g @anthropic-ai/claude-code",
    .env = env,
    .sigint_cleans = true,
    .argv = argv,
    .line = line,
    .verdict = verdict,
};
