/* The line that is taken for an agent program's version, and requests that are none. */
#include "awo-worker/agent_version.h"

#include <stdlib.h>
#include <string.h>

#include "common/clean.h"
#include "common/text.h"
#include "tests/unit/cmocka_all.h"

static void
lines(void **state)
{
	static const struct {
		const char *said, *version;
	} rows[] = {
	    {"", ""},
	    {"\n\n  \n\t\r\n", ""},
	    {"2.1.197 (Claude Code)\n", "2.1.197 (Claude Code)"},
	    {"no newline", "no newline"},
	    {"\n \t 1.0 \r\nmore\n", "1.0"},
	    {"\033[1mv2\033[0m\n", "[1mv2 [0m"},
	    {"\007\007\nv3\n", "v3"},
	    {"a\tb\rc\177d\n", "a b c d"},
	    {"caf\xc3\xa9 \xe2\x9c\x93\n", "caf\xc3\xa9 \xe2\x9c\x93"},
	    {"x\xc2\x9bz\n", "x z"},
	    {"a\xff\n", "a\xef\xbf\xbd"},
	    {"cut \xe2\x9c", NULL},
	};
	char out[AGENT_VERSION_MAX + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t n = agent_version_line(rows[i].said, strlen(rows[i].said), out);

		assert_int_equal(n, strlen(out));
		assert_true(text_is_utf8(out, n));
		if (rows[i].version != NULL)
			assert_string_equal(out, rows[i].version);
	}
}

static void
any_bytes(void **state)
{
	char said[4096], out[AGENT_VERSION_MAX + 1];
	unsigned int x = 12345;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		size_t len = (size_t)round * 2 % sizeof(said), n;

		for (size_t i = 0; i < len; i++) {
			x = x * 1103515245U + 12345U;
			said[i] = (char)(x >> 16);
		}
		n = agent_version_line(said, len, out);
		assert_true(n <= AGENT_VERSION_MAX);
		assert_int_equal(out[n], '\0');
		assert_true(text_is_utf8(out, n));
		for (size_t i = 0; i < n; i++)
			assert_true((unsigned char)out[i] >= 0x20 && out[i] != 0x7f);
	}
	/* characters of three bytes: cut between two of them */
	for (size_t i = 0; i + 3 <= sizeof(said); i += 3)
		memcpy(said + i, "\xe2\x9c\x93", 3);
	assert_int_equal(agent_version_line(said, sizeof(said), out), 255);
	assert_true(text_is_utf8(out, 255));
}

static const char *
refusal(const char *request, json_t **answer)
{
	json_t *r = json_loads(request, 0, NULL);

	assert_non_null(r);
	*answer = agent_version(r, "/nonexistent");
	json_decref(r);
	assert_non_null(*answer);
	assert_true(json_is_false(json_object_get(*answer, "ok")));
	return json_string_value(
	    json_object_get(json_object_get(*answer, "error"), "reason"));
}

/* What is refused before anything of the host is changed. */
static void
requests(void **state)
{
	static const struct {
		const char *request, *reason, *words;
	} rows[] = {
	    {"{}", "other", "lacks"},
	    {"{\"agent\":\"a\",\"adapter\":\"nobody\",\"program\":\"x\"}", "other", "lacks"},
	    {"{\"agent\":\"a\",\"adapter\":\"claude\",\"program\":\"\"}", "other", "lacks"},
	    {"{\"agent\":\"a\",\"adapter\":\"claude\",\"program\":\"sh\",\"paths\":[1]}", "other",
		"paths"},
	    {"{\"agent\":\"a\",\"adapter\":\"claude\",\"program\":\"awo-no-such-agent\",\"paths\":[]}",
		"not_found",
		"agent program 'awo-no-such-agent' not found: install it (npm install -g "
		"@anthropic-ai/claude-code) or set agents.a.program"},
	    {"{\"agent\":\"a\",\"adapter\":\"command\",\"program\":\"bin/x\"}", "invalid",
		"agents.a.program"},
	    {"{\"agent\":\"a\",\"adapter\":\"command\",\"program\":\"sh\",\"paths\":[\"x\"]}",
		"invalid", "agents.a.paths"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		CLEAN_JSON json_t *answer = NULL;

		assert_string_equal(refusal(rows[i].request, &answer), rows[i].reason);
		assert_non_null(strstr(json_string_value(json_object_get(
					   json_object_get(answer, "error"), "message")),
		    rows[i].words));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lines),
	    cmocka_unit_test(any_bytes),
	    cmocka_unit_test(requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
