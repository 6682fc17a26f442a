/* Every recorded stream through its adapter: session, verdict, category, usage, words. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "awo-worker/agents/adapter.h"
#include "awo-worker/lines.h"

#define OK error_category_none

struct tally {
	size_t kinds[AGENT_NOTE + 1], errors;
};

static void
on_item(void *ctx, const struct agent_item *item)
{
	struct tally *t = ctx;

	t->kinds[item->kind]++;
	t->errors += item->is_error;
	assert_non_null(item->text);
}

struct replayed {
	struct agent_stream stream;
	struct tally tally;
	const struct agent_adapter *adapter;
};

static void
on_line(void *ctx, const char *p, size_t len, bool cut)
{
	struct replayed *r = ctx;

	assert_false(cut);
	r->adapter->line(&r->stream, p, len);
}

static void
replay(struct replayed *r, const struct agent_adapter *a, const char *file, size_t piece)
{
	char path[512], chunk[4096];
	struct lines l;
	size_t n;
	FILE *f;

	*r = (struct replayed){.adapter = a};
	r->stream.item = on_item;
	r->stream.ctx = &r->tally;
	snprintf(path, sizeof(path), "%s/tests/data/streams/%s.jsonl", TEST_SOURCE_DIR, file);
	f = fopen(path, "r");
	assert_non_null(f);
	lines_init(&l, 16U << 20, on_line, r);
	while ((n = fread(chunk, 1, piece, f)) > 0)
		lines_feed(&l, chunk, n);
	lines_end(&l);
	lines_free(&l);
	fclose(f);
}

/* clang-format off */
static const struct {
	const struct agent_adapter *adapter;
	const char *file;
	int code;			/* exit status; negative: signal */
	enum p_error_category want;	/* OK: success */
	const char *session;		/* how it begins; NULL: none */
	int64_t input, output;		/* tokens; -1: not known */
	double cost;			/* -1: not known */
	const char *words;			/* in the text (success) or the message */
} table[] = {
	{&agent_claude, "claude-commit", 0, OK, "7e0c9877", 460, 80, 0.0043, "Done: added hello.txt"},
	{&agent_claude, "claude-commit-full", 0, OK, "b10da675", 560, 100, 0.0053, "Done: added hello.txt"},
	{&agent_claude, "claude-fail-tool", 0, OK, "8da5ab01", 210, 40, 0.00205, "The command failed."},
	{&agent_claude, "claude-badreq", 1, error_category_permanent, "b000beb2", 0, 0, 0, "Prompt is too long"},
	{&agent_claude, "claude-matrix/text", 0, OK, "6f5a82ef", 100, 20, 0.001, "Just text."},
	{&agent_claude, "claude-matrix/text-json", 0, OK, "a44ff030", 100, 20, 0.001, "Just text."},
	{&agent_claude, "claude-matrix/text-plain", 0, error_category_agent, NULL, -1, -1, -1, "without a result"},
	{&agent_claude, "claude-matrix/bare", 0, OK, "dbb6d460", 100, 20, 0.001, "Just text."},
	{&agent_claude, "claude-matrix/partial", 0, OK, "dc732233", 100, 20, 0.001, "Just text."},
	{&agent_claude, "claude-matrix/fail-tool", 0, OK, "d2cc2e53", 210, 40, 0.00205, "The command failed."},
	{&agent_claude, "claude-matrix/parallel", 0, OK, "d8fe966a", 210, 40, 0.00205, "both done"},
	{&agent_claude, "claude-matrix/denied", 0, OK, "5964a5e4", 210, 40, 0.00205, "The command failed."},
	{&agent_claude, "claude-matrix/retry529", 0, OK, "639122a0", 100, 20, 0.001, "fine after retry"},
	{&agent_claude, "claude-matrix/rate429", 0, OK, "1b9f6a99", 100, 20, 0.001, "after 429"},
	{&agent_claude, "claude-matrix/auth401", 1, error_category_permanent, "a52eebe9", 0, 0, 0, "Invalid API key · Fix external API key; store the agent's key"},
	{&agent_claude, "claude-matrix/badreq400", 1, error_category_permanent, "44833fa8", 0, 0, 0, "Prompt is too long"},
	{&agent_claude, "claude-matrix/cut", 0, OK, "f06cb535", 100, 20, 0.001, "partial text that is cut"},
	{&agent_claude, "claude-matrix/sseerr", 0, error_category_transient, "9d47ee85", 800, 46, 0.00515, "broke off"},
	{&agent_claude, "claude-matrix/maxtok", 1, error_category_agent, "63adfb13", 460, 80, 0.0043, "output token maximum"},
	{&agent_claude, "claude-matrix/maxturns", 1, error_category_agent, "619f6d83", 330, 60, 0.00315, "maximum number of turns (3)"},
	{&agent_claude, "claude-matrix/budget", 1, error_category_agent, "61972399", 1260, 180, 0.0108, "maximum budget ($0.01)"},
	{&agent_claude, "claude-matrix/refused", 1, error_category_transient, "39227fa8", 0, 0, 0, "ConnectionRefused"},
	{&agent_claude, "claude-matrix/nokey", 1, error_category_permanent, "0b3c9478", 0, 0, 0, "login; store the agent's key"},
	{&agent_claude, "claude-matrix/badresume", 1, error_category_agent, NULL, 0, 0, 0, "No conversation found"},
	{&agent_claude, "claude-matrix/sid", 0, OK, "11111111", 100, 20, 0.001, "Just text."},
	{&agent_claude, "claude-matrix/resume", 0, OK, "11111111", 110, 20, 0.00105, "Just text."},
	{&agent_claude, "claude-matrix/fork", 0, OK, "eaacb72b", 120, 20, 0.0011, "Just text."},
	{&agent_claude, "claude-matrix/continue", 0, OK, "eaacb72b", 130, 20, 0.00115, "Just text."},
	{&agent_claude, "claude-matrix/nopersist", 0, OK, "21099749", 100, 20, 0.001, "Just text."},
	{&agent_claude, "claude-matrix/schema", 0, OK, "90a365f9", 210, 40, 0.00205, "Just text."},
	{&agent_claude, "claude-matrix/stdin-stream", 0, OK, "b04a0469", 210, 40, 0.00205, "Just text."},
	{&agent_claude, "claude-matrix/stdin-text", 0, OK, "6cd5ca9a", 100, 20, 0.001, "Just text."},
	{&agent_claude, "claude-matrix/control", 0, OK, "2539435c", 100, 20, 0.001, "Just text."},
	{&agent_claude, "claude-interactive/two-turns", 0, OK, "a3b9178c", 210, 40, 0.00205, "Just text."},
	{&agent_claude, "claude-interactive/interrupt", 0, OK, "5c0efdde", 210, 40, 0.00205, "slept"},
	{&agent_claude, "claude-interactive/open-stdin", 0, OK, "79b77525", 100, 20, 0.001, "Just text."},
	{&agent_claude, "claude-interactive/permission-stdio", 0, OK, "c1b01ab8", 210, 40, 0.00205, "The command failed."},
	{&agent_claude, "claude-interactive/control-init", 0, OK, "ad503e23", 100, 20, 0.0006, "Just text."},
	{&agent_claude, "claude-interactive/slow-partial", 0, OK, "f46750ef", 100, 20, 0.001, "one two three"},
	{&agent_claude, "claude-interactive/api-hang", -SIGKILL, error_category_transient, "9402eca7", -1, -1, -1, "killed by signal 9"},
	{&agent_claude, "claude-interactive/epipe", 1, error_category_agent, "8a6dba39", -1, -1, -1, "without a result (exit status 1)"},
	{&agent_claude, "claude-interactive/signal-SIGHUP", 129, error_category_transient, "d08ab35a", -1, -1, -1, "exit status 129"},
	{&agent_claude, "claude-interactive/signal-SIGTERM", 143, error_category_transient, "293ea484", -1, -1, -1, "exit status 143"},
	{&agent_claude, "claude-interactive/signal-SIGKILL", -SIGKILL, error_category_transient, "b7cc09fb", -1, -1, -1, "killed by signal 9"},
	{&agent_claude, "claude-interactive/signal-SIGINT", 1, error_category_transient, "19a331b2", 100, 20, 0.001, "interrupted from outside"},
	{&agent_claude, "qwen-commit", 0, OK, "1264e957", 400, 80, -1, "Done: added hello.txt"},
	{&agent_claude, "qwen-badreq", 0, error_category_permanent, "61aaa503", 100, 20, -1, "[API Error: 400"},
	{&agent_codex, "codex-commit", 0, OK, "01a1fd18-e894", 400, 80, -1, "Done: added hello.txt"},
	{&agent_codex, "codex-fail-tool", 0, OK, "01a1fd18-ea96", 200, 40, -1, "The command failed."},
	{&agent_codex, "codex-badreq", 1, error_category_permanent, "01a1fd18-ec21", -1, -1, -1, "the API refused the request: prompt is too long"},
	{&agent_opencode, "opencode-commit", 0, OK, "ses_e02e70e70", 400, 80, 0, "Done: added hello.txt"},
	{&agent_opencode, "opencode-fail-tool", 0, OK, "ses_e02e6fc82", 200, 40, 0, "The command failed."},
	{&agent_opencode, "opencode-badreq", 1, error_category_permanent, "ses_e02e6efd2", 500, 100, 0, "prompt is too long"},
	{&agent_gemini, "gemini-commit", 0, OK, "9af816bc", 400, 80, -1, "Done: added hello.txt"},
	{&agent_gemini, "gemini-fail-tool", 0, OK, "03846014", 200, 40, -1, "The command failed."},
	{&agent_gemini, "gemini-badreq", 144, error_category_permanent, "0c66c83e", 0, 0, -1, "the API refused the request: prompt is too long"},
	{&agent_command, "claude-matrix/text-plain", 0, OK, NULL, -1, -1, -1, "Just text."},
	{&agent_command, "claude-matrix/text-plain", 3, error_category_agent, NULL, -1, -1, -1, "exit status 3"},
};
/* clang-format on */

static void
check_usage(const struct p_usage *u, size_t i)
{
	assert_int_equal(P_HAS(usage, u, input_tokens), table[i].input >= 0);
	if (table[i].input >= 0) {
		assert_int_equal(u->input_tokens, table[i].input);
		assert_int_equal(u->output_tokens, table[i].output);
	}
	assert_int_equal(P_HAS(usage, u, cost_usd), table[i].cost >= 0);
	if (table[i].cost >= 0)
		assert_float_equal(u->cost_usd, table[i].cost, 1e-9);
}

static void
recorded_streams(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct agent_exit e = {
		    .signaled = table[i].code < 0, .code = abs(table[i].code), .stderr_tail = ""};
		struct agent_verdict v = {0};
		struct replayed r;

		print_message("%s\n", table[i].file);
		replay(&r, table[i].adapter, table[i].file, i % 2 == 0 ? 4096 : 1 + i % 7);
		table[i].adapter->verdict(&r.stream, &e, &v);
		assert_int_equal(v.ok, table[i].want == OK);
		if (!v.ok) {
			assert_int_equal(v.failure.category, table[i].want);
			assert_non_null(strstr(v.failure.msg, table[i].words));
			assert_true(v.failure.msg[0] != '\0');
		} else {
			assert_non_null(r.stream.text.p);
			assert_non_null(strstr(r.stream.text.p, table[i].words));
		}
		if (table[i].session != NULL)
			assert_memory_equal(
			    r.stream.session, table[i].session, strlen(table[i].session));
		else
			assert_string_equal(r.stream.session, "");
		check_usage(&r.stream.usage, i);
		agent_stream_free(&r.stream);
	}
}

static void
marks_beside_the_verdict(void **state)
{
	struct agent_exit e = {.code = 1, .stderr_tail = ""};
	struct agent_verdict v = {0};
	struct replayed r;

	(void)state;
	replay(&r, &agent_claude, "claude-matrix/cut", 4096);
	assert_true(r.stream.doubtful);
	agent_stream_free(&r.stream);
	replay(&r, &agent_claude, "claude-matrix/text", 4096);
	assert_false(r.stream.doubtful);
	agent_stream_free(&r.stream);
	replay(&r, &agent_claude, "claude-matrix/denied", 4096);
	assert_int_equal(r.tally.kinds[AGENT_NOTE], 1);
	assert_true(r.stream.denied);
	agent_stream_free(&r.stream);
	replay(&r, &agent_claude, "claude-matrix/badresume", 4096);
	agent_claude.verdict(&r.stream, &e, &v);
	assert_true(v.session_lost);
	agent_stream_free(&r.stream);
}

static void
what_is_shown(void **state)
{
	struct replayed r;

	(void)state;
	replay(&r, &agent_claude, "claude-commit", 4096);
	assert_int_equal(r.tally.kinds[AGENT_SESSION], 1);
	assert_int_equal(r.tally.kinds[AGENT_TOOL_USE], 3);
	assert_int_equal(r.tally.kinds[AGENT_TOOL_RESULT], 3);
	assert_int_equal(r.tally.kinds[AGENT_RESULT], 1);
	assert_true(r.tally.kinds[AGENT_TEXT] >= 1);
	assert_int_equal(r.tally.errors, 0);
	agent_stream_free(&r.stream);
	replay(&r, &agent_claude, "claude-matrix/auth401", 4096);
	assert_int_equal(r.tally.kinds[AGENT_RETRY], 1);
	agent_stream_free(&r.stream);
	replay(&r, &agent_codex, "codex-commit", 4096);
	assert_int_equal(r.tally.kinds[AGENT_TOOL_USE], 3);
	assert_int_equal(r.tally.kinds[AGENT_TOOL_RESULT], 3);
	assert_int_equal(r.tally.kinds[AGENT_TEXT], 3);
	agent_stream_free(&r.stream);
	replay(&r, &agent_codex, "codex-fail-tool", 4096);
	assert_int_equal(r.tally.errors, 2);
	agent_stream_free(&r.stream);
	replay(&r, &agent_opencode, "opencode-commit", 4096);
	assert_int_equal(r.tally.kinds[AGENT_TOOL_USE], 3);
	assert_int_equal(r.tally.kinds[AGENT_RESULT], 1);
	agent_stream_free(&r.stream);
	replay(&r, &agent_gemini, "gemini-commit", 4096);
	assert_int_equal(r.tally.kinds[AGENT_TOOL_USE], 3);
	assert_int_equal(r.tally.kinds[AGENT_TOOL_RESULT], 3);
	assert_int_equal(r.tally.kinds[AGENT_TEXT], 3);
	agent_stream_free(&r.stream);
}

static const struct agent_adapter *const all[] = {
    &agent_claude, &agent_codex, &agent_opencode, &agent_gemini, &agent_command};

/* Each recorded line cut at every place, and with each byte changed: nothing may crash, whatever it
 * means. */
static void
damaged_lines(void **state)
{
	static const char *const files[] = {
	    "claude-commit", "codex-commit", "opencode-fail-tool", "gemini-commit"};
	char path[512], *line = NULL;
	size_t cap = 0;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct agent_stream s = {0};
		ssize_t n;
		FILE *f;

		snprintf(path, sizeof(path), "%s/tests/data/streams/%s.jsonl", TEST_SOURCE_DIR,
		    files[i]);
		f = fopen(path, "r");
		assert_non_null(f);
		while ((n = getline(&line, &cap, f)) > 0) {
			for (size_t cut = 0; cut < (size_t)n; cut += 1 + cut / 64)
				all[i]->line(&s, line, cut);
			for (size_t at = 0; at < (size_t)n; at += 1 + at / 64) {
				char old = line[at];

				line[at] = (char)(at % 2 == 0 ? 0xff : '\0');
				all[i]->line(&s, line, (size_t)n);
				line[at] = old;
			}
		}
		assert_true(s.malformed > 0);
		agent_stream_free(&s);
		fclose(f);
	}
	free(line);
}

/* Members of other types than the programs write. */
static void
strange_shapes(void **state)
{
	static const char *const values[] = {"null", "true", "7", "-1e300", "1e999", "\"x\"", "[]",
	    "[[]]", "{}", "[{\"type\":\"text\"}]",
	    ("{\"content\":[{\"type\":\"tool_use\"},{\"type\":\"tool_result\","
	     "\"content\":[1,{}]},7]}"),
	    "{\"type\":\"agent_message\"}",
	    "{\"a\":{\"inputTokens\":9223372036854775807,\"outputTokens\":-5}}"};
	static const char *const types[] = {"system", "assistant", "user", "result",
	    "thread.started", "item.started", "item.completed", "turn.completed", "turn.failed",
	    "error", "text", "tool_use", "step_finish", "init", "message", "tool_result", ""};
	static const char *const members[] = {"message", "usage", "modelUsage", "result", "errors",
	    "session_id", "part", "item", "error", "stats", "content", "sessionID", "is_error",
	    "subtype", "num_turns", "total_cost_usd", "permission_denials", "role",
	    "retry_delay_ms"};

	(void)state;
	for (size_t a = 0; a < sizeof(all) / sizeof(all[0]); a++) {
		struct tally tally = {0};
		struct agent_stream s = {.item = on_item, .ctx = &tally};
		struct agent_exit e = {.stderr_tail = ""};
		struct agent_verdict v = {0};

		for (size_t t = 0; t < sizeof(types) / sizeof(types[0]); t++)
			for (size_t m = 0; m < sizeof(members) / sizeof(members[0]); m++)
				for (size_t k = 0; k < sizeof(values) / sizeof(values[0]); k++) {
					char line[512];
					int n = snprintf(line, sizeof(line),
					    "{\"type\":\"%s\",\"%s\":%s,\"parameters\":%s}",
					    types[t], members[m], values[k], values[(k + 3) % 8]);

					all[a]->line(&s, line, (size_t)n);
				}
		all[a]->verdict(&s, &e, &v);
		agent_stream_free(&s);
	}
}

static void
memory_is_bounded(void **state)
{
	struct agent_stream s = {0};
	size_t len = 8U << 20;
	char *line = malloc(len);

	(void)state;
	/* four million empty objects would be hundreds of megabytes */
	memset(line, ' ', len);
	memcpy(line, "{\"a\":[", 6);
	for (size_t i = 6; i + 3 <= len; i += 3)
		memcpy(line + i, "{},", 3);
	agent_claude.line(&s, line, len);
	assert_int_equal(s.malformed, 1);
	agent_stream_free(&s);

	s = (struct agent_stream){0};
	memset(line, 'y', len);
	memcpy(line, "BEGIN", 5);
	memcpy(line + len - 3, "END", 3);
	agent_command.line(&s, line, len);
	assert_true(s.text.len <= AGENT_TEXT_MAX);
	/* the end is what counts */
	assert_memory_equal(s.text.p + s.text.len - 4, "END\n", 4);
	for (int i = 0; i < 1000; i++)
		agent_command.line(&s, line, 3000);
	assert_true(s.text.len <= AGENT_TEXT_MAX);
	agent_stream_free(&s);
	free(line);
}

static void
errors_in_words(void **state)
{
	static const struct {
		const char *text;
		enum p_error_category want;
	} words[] = {
	    {"API Error: 429 too many", error_category_transient},
	    {"API Error: 529 {\"type\":\"overloaded_error\"}", error_category_transient},
	    {"Rate limit reached", error_category_transient},
	    {"You've hit your usage limit. Try again later.", error_category_transient},
	    {"connect ECONNREFUSED 127.0.0.1:1", error_category_transient},
	    {"unexpected status 503 Service Unavailable", error_category_transient},
	    {"{\"error\":{\"code\":400}}", error_category_permanent},
	    {"API Error: 401 no", error_category_permanent},
	    {"something else", error_category_agent},
	    {"4711 files", error_category_agent},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		struct agent_exit e = {.code = 1, .stderr_tail = words[i].text};
		struct agent_stream s = {0};
		struct agent_verdict v = {0};

		agent_claude.verdict(&s, &e, &v);
		assert_int_equal(v.failure.category, words[i].want);
	}
}

/* Told to stop by somebody else: it ends with 0, without a result. */
static void
gemini_that_was_told_to_stop(void **state)
{
	static const char begin[] = "{\"type\":\"init\",\"session_id\":\"s1\"}",
			  refusal[] = "{\"type\":\"error\",\"message\":\"no such model\"}";
	struct agent_exit e = {.stderr_tail = ""};
	struct agent_stream s = {0};
	struct agent_verdict v = {0};

	(void)state;
	agent_gemini.verdict(&s, &e, &v);
	assert_false(v.ok);
	assert_int_equal(v.failure.category, error_category_agent);
	agent_gemini.line(&s, begin, sizeof(begin) - 1);
	agent_gemini.verdict(&s, &e, &v);
	assert_false(v.ok);
	assert_int_equal(v.failure.category, error_category_transient);
	agent_gemini.line(&s, refusal, sizeof(refusal) - 1);
	agent_gemini.verdict(&s, &e, &v);
	assert_false(v.ok);
	assert_int_equal(v.failure.category, error_category_agent);
	agent_stream_free(&s);
}

static bool
has(const struct p_strv *sv, const char *a, const char *b)
{
	for (size_t i = 0; i < sv->n; i++)
		if (strcmp(sv->v[i], a) == 0 &&
		    (b == NULL || (i + 1 < sv->n && strcmp(sv->v[i + 1], b) == 0)))
			return true;
	return false;
}

static void
command_lines(void **state)
{
	struct p_strv extra = {0}, argv = {0};
	struct agent_request r = {
	    .program = "/opt/p", .model = "m1", .max_turns = 5, .session = "s-1", .args = &extra};

	(void)state;
	p_strv_add(&extra, "--more");
	agent_claude.argv(&r, &argv);
	assert_string_equal(argv.v[0], "/opt/p");
	assert_true(has(&argv, "--print", NULL) && has(&argv, "--output-format", "stream-json") &&
		    has(&argv, "--verbose", NULL));
	assert_true(has(&argv, "--model", "m1") && has(&argv, "--max-turns", "5") &&
		    has(&argv, "--resume", "s-1"));
	assert_true(
	    has(&argv, "--dangerously-skip-permissions", NULL) && has(&argv, "--more", NULL));
	p_strv_free(&argv);
	agent_codex.argv(&r, &argv);
	assert_true(has(&argv, "exec", "--json") && has(&argv, "resume", "s-1"));
	assert_string_equal(argv.v[argv.n - 1], "-");
	p_strv_free(&argv);
	agent_opencode.argv(&r, &argv);
	assert_true(has(&argv, "run", "--format") && has(&argv, "--session", "s-1"));
	p_strv_free(&argv);
	agent_gemini.argv(&r, &argv);
	assert_true(has(&argv, "--yolo", NULL) && has(&argv, "--resume", "latest"));
	p_strv_free(&argv);
	agent_command.argv(&r, &argv);
	assert_int_equal(argv.n, 2);
	p_strv_free(&argv);
	r = (struct agent_request){.program = "claude", .args = &(struct p_strv){0}};
	agent_claude.argv(&r, &argv);
	assert_false(has(&argv, "--model", NULL) || has(&argv, "--resume", NULL) ||
		     has(&argv, "--max-turns", NULL));
	p_strv_free(&argv);
	p_strv_free(&extra);
}

static void
sessions_that_are_no_argument(void **state)
{
	static const char *const bad[] = {
	    "--dangerous", "-x", "", "a b", "../x", "a/b", "a\nb", "$(x)"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct agent_stream s = {0};

		adapter_session(&s, bad[i]);
		assert_string_equal(s.session, "");
	}
}

static void
the_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		assert_ptr_equal(adapter_find(all[i]->name), all[i]);
	assert_null(adapter_find("nobody"));
	assert_true(agent_claude.sigint_cleans && agent_codex.sigint_cleans);
	assert_false(agent_opencode.sigint_cleans || agent_gemini.sigint_cleans ||
		     agent_command.sigint_cleans);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(recorded_streams),
	    cmocka_unit_test(marks_beside_the_verdict),
	    cmocka_unit_test(what_is_shown),
	    cmocka_unit_test(damaged_lines),
	    cmocka_unit_test(strange_shapes),
	    cmocka_unit_test(memory_is_bounded),
	    cmocka_unit_test(errors_in_words),
	    cmocka_unit_test(gemini_that_was_told_to_stop),
	    cmocka_unit_test(command_lines),
	    cmocka_unit_test(sessions_that_are_no_argument),
	    cmocka_unit_test(the_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
