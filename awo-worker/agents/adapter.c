/* What the adapters share: the table, bounded state, and the reading of errors. */
#include "awo-worker/agents/adapter.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clean.h"
#include "common/text.h"

static const struct agent_adapter *const adapters[] = {
    &agent_claude,
    &agent_codex,
    &agent_opencode,
    &agent_gemini,
    &agent_command,
};

const struct agent_adapter *
adapter_find(const char *name)
{
	for (size_t i = 0; i < sizeof(adapters) / sizeof(adapters[0]); i++)
		if (strcmp(adapters[i]->name, name) == 0)
			return adapters[i];
	return NULL;
}

void
agent_stream_free(struct agent_stream *s)
{
	buf_free(&s->text);
}

/* An upper bound of the JSON values in a line, without parsing it. */
static size_t
count_values(const char *p, size_t len)
{
	size_t n = 1;

	for (size_t i = 0; i < len; i++)
		n += p[i] == ',' || p[i] == '[' || p[i] == '{';
	return n;
}

json_t *
adapter_json(struct agent_stream *s, const char *p, size_t len)
{
	static const char note[] = "a line that is no JSON object was skipped";
	json_t *o;

	while (len > 0 && (p[len - 1] == '\r' || p[len - 1] == ' '))
		len--;
	if (len == 0)
		return NULL;
	/* text in strings counts too, so a long text alone never reaches the bound before a line's
	 * own limit does */
	o = len < AGENT_VALUES_MAX || count_values(p, len) <= AGENT_VALUES_MAX
		? json_loadb(p, len, JSON_ALLOW_NUL, NULL)
		: NULL;
	if (json_is_object(o))
		return o;
	json_decref(o);
	/* an agent that writes nothing but rubbish must not fill the log with complaints */
	if (s->malformed++ < 10)
		adapter_say(s, AGENT_NOTE, note, sizeof(note) - 1, true);
	return NULL;
}

void
adapter_session(struct agent_stream *s, const char *id)
{
	size_t len = strlen(id);

	/* it comes back as an argument: nothing that could be taken for an option or a path */
	if (len == 0 || len > AGENT_SESSION_MAX || strcmp(s->session, id) == 0)
		return;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)id[i]) && (i == 0 || strchr("-_.:", id[i]) == NULL))
			return;
	memcpy(s->session, id, len + 1);
	adapter_say(s, AGENT_SESSION, id, len, false);
}

void
adapter_text(struct agent_stream *s, const char *text, size_t len)
{
	s->text.len = 0;
	adapter_text_more(s, text, len);
}

void
adapter_text_more(struct agent_stream *s, const char *text, size_t len)
{
	size_t room = AGENT_TEXT_MAX - s->text.len;

	if (len > room) {
		/* what comes last counts (a verdict, a file's name): the beginning goes */
		size_t drop = len - room;

		if (drop >= s->text.len) {
			s->text.len = 0;
			text += len > AGENT_TEXT_MAX ? len - AGENT_TEXT_MAX : 0;
			len = len > AGENT_TEXT_MAX ? AGENT_TEXT_MAX : len;
		} else {
			buf_drain(&s->text, drop);
		}
	}
	buf_add(&s->text, text, len);
}

void
adapter_say(
    struct agent_stream *s, enum agent_item_kind kind, const char *text, size_t len, bool is_error)
{
	struct agent_item item = {.kind = kind, .text = text, .len = len, .is_error = is_error};

	if (s->item != NULL)
		s->item(s->ctx, &item);
}

void
adapter_tool(struct agent_stream *s, const char *tool, const json_t *input)
{
	struct agent_item item = {.kind = AGENT_TOOL_USE, .text = "", .tool = tool, .input = input};

	if (s->item != NULL)
		s->item(s->ctx, &item);
}

void
adapter_result(struct agent_stream *s, const char *text)
{
	struct agent_item item = {.kind = AGENT_RESULT,
	    .text = text,
	    .len = strlen(text),
	    .is_error = s->is_error,
	    .usage = &s->usage};

	if (s->item != NULL)
		s->item(s->ctx, &item);
}

void
adapter_error(struct agent_stream *s, const char *text)
{
	if (text[0] != '\0')
		snprintf(s->error, sizeof(s->error), "%s", text);
}

void
adapter_add_tokens(struct agent_stream *s, int64_t input, int64_t output)
{
	/* adapter_tokens() bounds what a line can add, the size of a stream how many lines there
	 * are */
	P_SET(usage, &s->usage, input_tokens, s->usage.input_tokens + input);
	P_SET(usage, &s->usage, output_tokens, s->usage.output_tokens + output);
}

const char *
adapter_string(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL ? s : "";
}

int64_t
adapter_int(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);
	json_int_t n = json_integer_value(v);

	return n > 0 ? n : 0;
}

int64_t
adapter_tokens(const json_t *o, const char *key)
{
	const int64_t most = INT64_C(1000000000000);
	int64_t n = adapter_int(o, key);

	return n < most ? n : most;
}

double
adapter_real(const json_t *o, const char *key)
{
	double d = json_number_value(json_object_get(o, key));

	return d > 0 && d < 1e9 ? d : 0;
}

bool
adapter_is_api_error(const char *text)
{
	return strncmp(text, "[API Error", 10) == 0;
}

static bool
has(const char *text, const char *const *words)
{
	for (; *words != NULL; words++)
		if (strcasestr(text, *words) != NULL)
			return true;
	return false;
}

/* The HTTP status that an error's text names: "API Error: 429 ...", "\"code\":400", "status code
 * 503"; 0 when none. */
static int64_t
status_in(const char *text)
{
	static const char *const before[] = {"API Error: ", "\"code\":", "\"status\":",
	    "status code ", "status ", "HTTP ", "error: ", NULL};

	for (size_t i = 0; before[i] != NULL; i++) {
		const char *at = strcasestr(text, before[i]);

		if (at == NULL)
			continue;
		at += strlen(before[i]);
		while (*at == ' ' || *at == ':')
			at++;
		if (at[0] >= '4' && at[0] <= '5' && isdigit((unsigned char)at[1]) &&
		    isdigit((unsigned char)at[2]) && !isdigit((unsigned char)at[3]))
			return (at[0] - '0') * 100 + (at[1] - '0') * 10 + (at[2] - '0');
	}
	return 0;
}

/* What an API's answer, handed on as it came, says to people: the message in its JSON. */
static void
readable(char *words, size_t size)
{
	char *at = strchr(words, '{');
	json_t *o CLEAN_JSON = NULL, *e;
	const char *text;

	if (at == NULL || (at != words && strncmp(words, "[API Error: {", 13) != 0))
		return;
	o = json_loads(at, JSON_DISABLE_EOF_CHECK, NULL);
	e = json_object_get(o, "error");
	text = adapter_string(json_is_object(e) ? e : o, "message");
	if (text[0] != '\0')
		snprintf(words, size, "the API refused the request: %s", text);
}

static enum p_error_category
classify(const char *text, int64_t status)
{
	static const char *const transient[] = {"rate limit", "rate_limit", "ratelimit",
	    "too many requests", "overloaded", "ConnectionRefused", "ECONNREFUSED", "ECONNRESET",
	    "ETIMEDOUT", "EAI_AGAIN", "ENOTFOUND", "unable to connect", "connection refused",
	    "connection reset", "connection error", "network error", "fetch failed",
	    "socket hang up", "temporarily unavailable", "service unavailable", "bad gateway",
	    "gateway timeout", "stream disconnected", "internal server error", "RESOURCE_EXHAUSTED",
	    "error sending request", "usage limit", NULL};
	static const char *const permanent[] = {"authentication_failed", "invalid api key",
	    "not logged in", "unauthorized", "permission_error", "prompt is too long",
	    "invalid_request", "ContextOverflow", "credit balance", "insufficient_quota",
	    "unknown option", "unexpected argument", "API key not valid", NULL};

	if (status == 408 || status == 409 || status == 429 || (status >= 500 && status < 600))
		return error_category_transient;
	if (status >= 400 && status < 500)
		return error_category_permanent;
	if (has(text, permanent))
		return error_category_permanent;
	return has(text, transient) ? error_category_transient : error_category_agent;
}

/* The last line with something on it. */
static void
last_line(const char *text, char *out, size_t size)
{
	size_t end = strlen(text), start;

	while (end > 0 && isspace((unsigned char)text[end - 1]))
		end--;
	for (start = end; start > 0 && text[start - 1] != '\n'; start--)
		;
	snprintf(out, size, "%.*s", (int)(end - start), text + start);
}

/* Statuses by which programs tell that a signal ended them, when they caught it. */
static bool
is_signal_status(int code)
{
	return code == 129 || code == 130 || code == 131 || code == 137 || code == 143;
}

static bool
is_about_the_key(const char *text, int64_t status)
{
	static const char *const words[] = {"authentication_failed", "invalid api key",
	    "not logged in", "unauthorized", "API key not valid", NULL};

	return status == 401 || (status == 0 && has(text, words));
}

void
adapter_fail(const struct agent_stream *s, const struct agent_exit *e, const char *what,
    struct agent_verdict *v)
{
	char tail[512], words[1600];
	int64_t status = s->http_status;
	enum p_error_category category;

	v->ok = false;
	if (e->signaled) {
		failure_set(&v->failure, error_category_transient,
		    "the agent was killed by signal %d (%s)", e->code, strsignal(e->code));
		return;
	}
	last_line(e->stderr_tail, tail, sizeof(tail));
	if (s->error[0] != '\0')
		snprintf(words, sizeof(words), "%s", s->error);
	else if (tail[0] != '\0')
		snprintf(words, sizeof(words), "%s (exit status %d): %s", what, e->code, tail);
	else
		snprintf(words, sizeof(words), "%s (exit status %d)", what, e->code);
	if (status == 0)
		status = status_in(words);
	if (s->results == 0 && s->error[0] == '\0' && is_signal_status(e->code))
		category = error_category_transient;
	else
		category = classify(words, status);
	readable(words, sizeof(words));
	failure_set(&v->failure, category, "%s%s", words,
	    category == error_category_permanent && is_about_the_key(words, status)
		? "; store the agent's key, or see that it is right and not expired (awoctl "
		  "credential set NAME --kind agent_key)"
		: "");
	if (category == error_category_transient)
		v->failure.retry_after = s->retry_after;
}
