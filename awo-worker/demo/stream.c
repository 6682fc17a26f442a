/* Writes the lines of the claude stream format, in the shapes that Claude Code 2.1 prints. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "awo-worker/demo/demo.h"
#include "common/clean.h"
#include "common/text.h"

#define TEXT_MAX ((size_t)256 << 20)

void
stream_raw(const void *p, size_t n)
{
	const char *at = p;

	while (n > 0) {
		ssize_t w = write(STDOUT_FILENO, at, n);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			_exit(1);
		at += w;
		n -= (size_t)w;
	}
}

/* Takes the object. */
static void
line(json_t *object)
{
	char *text = json_dumps(object, JSON_COMPACT);
	size_t len;

	json_decref(object);
	if (!text)
		_exit(1);
	len = strlen(text);
	text[len] = '\n'; /* in place of the NUL: one write(2) a line */
	stream_raw(text, len + 1);
	free(text);
}

static json_t *
utf8(const char *text, size_t len)
{
	struct buf b CLEAN_BUF = {0};

	text_add_utf8(&b, text, len, TEXT_MAX);
	return json_stringn(b.p ? b.p : "", b.len);
}

static json_t *
with_uuid(json_t *object, struct demo *d)
{
	char uuid[37];

	session_uuid(uuid);
	json_object_set_new(object, "session_id", json_string(d->session_id));
	json_object_set_new(object, "uuid", json_string(uuid));
	return object;
}

void
stream_init(struct demo *d)
{
	char cwd[4096];

	d->started = true;
	line(with_uuid(json_pack("{s:s s:s s:s s:s s:s s:[sss] s:[] s:s s:s}", "type", "system",
			   "subtype", "init", "cwd", getcwd(cwd, sizeof(cwd)) ? cwd : "?", "model",
			   d->model, "permissionMode", "bypassPermissions", "tools", "Bash", "Read",
			   "Write", "mcp_servers", "apiKeySource", "none", "claude_code_version",
			   "awo-demo-agent " AWO_VERSION),
	    d));
}

/* Tokens are estimated at four bytes each, so that usage grows with what was really read and
 * written. */
static size_t
tokens_in(const struct demo *d)
{
	return d->prompt_len / 4 + 100;
}

static size_t
tokens_out(const struct demo *d)
{
	return d->bytes_out / 4 + 1;
}

static json_t *
usage(struct demo *d)
{
	return json_pack("{s:I s:i s:i s:I s:s}", "input_tokens",
	    (json_int_t)tokens_in(d), "cache_creation_input_tokens", 0,
	    "cache_read_input_tokens", 0, "output_tokens", (json_int_t)tokens_out(d),
	    "service_tier", "standard");
}

static void
assistant(struct demo *d, json_t *block)
{
	char uuid[37];

	session_uuid(uuid);
	line(with_uuid(
	    json_pack("{s:s s:{s:s s:s s:s s:s s:[o] s:n s:o} s:n}", "type", "assistant", "message",
		"id", uuid, "type", "message", "role", "assistant", "model", d->model, "content",
		block, "stop_reason", "usage", usage(d), "parent_tool_use_id"),
	    d));
}

void
stream_text(struct demo *d, const char *text, size_t len)
{
	d->bytes_out += len;
	assistant(d, json_pack("{s:s s:o}", "type", "text", "text", utf8(text, len)));
}

void
stream_tool_use(struct demo *d, const char *tool, json_t *input, char id[32])
{
	char uuid[37];

	if (d->max_turns && d->num_turns >= d->max_turns) {
		json_decref(input);
		stream_fail(d, "error_max_turns", "Reached maximum number of turns");
	}
	d->num_turns++;
	session_uuid(uuid);
	snprintf(id, 32, "toolu_%.8s%.4s%.4s", uuid, uuid + 9, uuid + 14);
	d->bytes_out += 64;
	assistant(d, json_pack("{s:s s:s s:s s:o}", "type", "tool_use", "id", id, "name", tool,
			 "input", input));
}

void
stream_tool_result(struct demo *d, const char *id, const char *text, size_t len, bool is_error)
{
	json_t *content = utf8(text, len);

	line(with_uuid(
	    json_pack("{s:s s:{s:s s:[{s:s s:s s:O s:b}]} s:n s:{s:o s:s s:b}}", "type", "user",
		"message", "role", "user", "content", "tool_use_id", id, "type", "tool_result",
		"content", content, "is_error", is_error ? 1 : 0, "parent_tool_use_id",
		"tool_use_result", "stdout", content, "stderr", "", "interrupted", 0),
	    d));
}

void
stream_api_retry(struct demo *d, int http_status, const char *error, double delay_seconds)
{
	line(with_uuid(json_pack("{s:s s:s s:i s:i s:f s:i s:s}", "type", "system", "subtype",
			   "api_retry", "attempt", 1, "max_retries", 1, "retry_delay_ms",
			   delay_seconds * 1000, "error_status", http_status, "error", error),
	    d));
}

/* Adds what every result line has. Cost is that of a middling model for the estimated tokens. */
static void
result(struct demo *d, json_t *object, bool is_error)
{
	struct timespec now;
	long long ms;
	double cost = (double)tokens_in(d) * 3e-6 + (double)tokens_out(d) * 15e-6;

	clock_gettime(CLOCK_MONOTONIC, &now);
	ms = (long long)(now.tv_sec - d->start.tv_sec) * 1000 +
	     (now.tv_nsec - d->start.tv_nsec) / 1000000;
	json_object_set_new(object, "type", json_string("result"));
	json_object_set_new(object, "is_error", json_boolean(is_error));
	json_object_set_new(object, "duration_ms", json_integer(ms));
	json_object_set_new(object, "duration_api_ms", json_integer(0));
	json_object_set_new(
	    object, "num_turns", json_integer((json_int_t)d->num_turns + d->started));
	json_object_set_new(object, "total_cost_usd", json_real(cost));
	json_object_set_new(object, "usage", usage(d));
	json_object_set_new(object, "modelUsage",
	    json_pack("{s:{s:I s:I s:i s:i s:f}}", d->model, "inputTokens",
		(json_int_t)tokens_in(d), "outputTokens", (json_int_t)tokens_out(d),
		"cacheReadInputTokens", 0, "cacheCreationInputTokens", 0, "costUSD", cost));
	json_object_set_new(object, "permission_denials", json_array());
	line(with_uuid(object, d));
}

void
stream_success(struct demo *d, const char *text)
{
	stream_text(d, text, strlen(text));
	result(d,
	    json_pack("{s:s s:s s:o s:s s:n}", "type", "result", "subtype", "success", "result",
		utf8(text, strlen(text)), "stop_reason", "end_turn", "api_error_status"),
	    false);
}

_Noreturn void
stream_fail_api(struct demo *d, int http_status, const char *error, const char *text)
{
	line(with_uuid(
	    json_pack("{s:s s:{s:s s:s s:s s:[{s:s s:s}]} s:n s:s}", "type", "assistant", "message",
		"type", "message", "role", "assistant", "model", "<synthetic>", "content", "type",
		"text", "text", text, "parent_tool_use_id", "error", error),
	    d));
	result(d,
	    json_pack("{s:s s:s s:s s:s s:i}", "type", "result", "subtype", "success", "result",
		text, "stop_reason", "stop_sequence", "api_error_status", http_status),
	    true);
	_exit(1);
}

_Noreturn void
stream_fail(struct demo *d, const char *subtype, const char *message)
{
	result(d,
	    json_pack("{s:s s:s s:n s:[s]}", "type", "result", "subtype", subtype, "stop_reason",
		"errors", message),
	    true);
	_exit(1);
}
