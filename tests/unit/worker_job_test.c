/* Job specifications: a whole one, defaults, and every way to be wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "awo-worker/job.h"

#define NONCE "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static json_t *
small(void)
{
	json_t *o = json_pack("{s:i,s:s,s:s,s:{s:s,s:s},s:s,s:[{s:s,s:i}],s:{s:s,s:s,s:s}}",
	    "proto", 1, "id", "wo-0123abcd", "nonce", NONCE, "repository", "url",
	    "https://example.org/a/b", "canonical", "https://example.org/a/b", "sandbox_type",
	    "git_worktree", "steps", "name", "planning", "number", 2, "agent", "name", "claude",
	    "adapter", "claude", "program", "claude");

	assert_non_null(o);
	return o;
}

static int
parse(json_t *o, struct job *job, struct awo_err *err)
{
	char *text = json_dumps(o, 0);
	int r = job_parse(job, text, strlen(text), err);

	free(text);
	return r;
}

static void
defaults(void **state)
{
	json_t *o = small();
	struct job job;

	(void)state;
	assert_int_equal(parse(o, &job, NULL), 0);
	assert_string_equal(job.id, "wo-0123abcd");
	assert_int_equal(job.attempt, 1);
	assert_string_equal(job.branch_prefix, "feat");
	assert_string_equal(job.branch_id, "append");
	assert_string_equal(job.forge.kind, "none");
	assert_string_equal(job.host, "");
	assert_int_equal(job.nsteps, 1);
	assert_int_equal(job.steps[0].number, 2);
	assert_int_equal(job.total_steps, 2);
	assert_int_equal(job.timeouts.step, 3600);
	assert_int_equal(job.timeouts.idle, 1800);
	assert_int_equal(job.timeouts.order, 0);
	assert_int_equal(job.timeouts.kill, 10);
	assert_true(job.tests_must_pass);
	assert_true(job.keep_prompts);
	assert_false(job.trust_repository);
	assert_false(job.resume.reset);
	assert_null(job.base_branch);
	assert_null(job.credentials.kind);
	assert_int_equal(job.ports_count, 0);
	job_free(&job);
	json_decref(o);
}

static void
everything(void **state)
{
	json_t *o = small(), *part;
	struct job job;

	(void)state;
	json_object_set_new(o, "github_issue_number", json_integer(42));
	json_object_set_new(o, "base_branch", json_null());
	json_object_set_new(
	    o, "prompts", json_pack("[{s:i,s:s}]", "prompt_id", 7, "text", "go on"));
	json_object_set_new(o, "resume",
	    json_pack("{s:s,s:n,s:b,s:s}", "branch", "feat/x-wo-0123abcd", "plan_file", "reset", 1,
		"pull_request_number", "12"));
	json_object_set_new(o, "credentials",
	    json_pack("{s:{s:s,s:s,s:s},s:s}", "git", "kind", "token", "user", "", "secret", "s3",
		"forge_token", "t0"));
	json_object_set_new(o, "ports", json_pack("{s:i,s:i}", "start", 42000, "count", 10));
	json_object_set_new(o, "timeouts", json_pack("{s:i,s:i}", "step", 5, "elapsed", 100));
	part = json_object_get(o, "agent");
	json_object_set_new(part, "args", json_pack("[s,s]", "--a", "b c"));
	json_object_set_new(part, "paths", json_pack("[s]", "/opt/x"));
	json_object_set_new(part, "env", json_pack("{s:s}", "KEY", "va=lue"));
	json_object_set_new(part, "max_turns", json_null());
	json_object_set_new(o, "require", json_pack("[s]", "seccomp"));
	assert_int_equal(parse(o, &job, NULL), 0);
	assert_string_equal(job.issue, "42");
	assert_int_equal(job.nprompts, 1);
	assert_int_equal(job.prompts[0].id, 7);
	assert_string_equal(job.resume.branch, "feat/x-wo-0123abcd");
	assert_string_equal(job.resume.pr_number, "12");
	assert_true(job.resume.reset);
	assert_string_equal(job.credentials.secret, "s3");
	assert_string_equal(job.credentials.forge_token, "t0");
	assert_int_equal(job.ports_start, 42000);
	assert_int_equal(job.timeouts.step, 5);
	assert_int_equal(job.timeouts.elapsed, 100);
	assert_string_equal(job.agent.args.v[1], "b c");
	assert_string_equal(job.agent.env.v[0], "KEY=va=lue");
	assert_string_equal(job.agent.paths.v[0], "/opt/x");
	assert_true(p_strv_has(&job.require, "seccomp"));
	job_free(&job);
	json_decref(o);
}

static const struct {
	const char *key, *value; /* member of the top level, as JSON; NULL removes it */
	const char *field;	 /* that the error names */
} wrong[] = {
    {"proto", "2", "proto"},
    {"proto", NULL, "proto"},
    {"id", NULL, "id"},
    {"id", "\"wo-0123ABCD\"", "id"},
    {"id", "\"../../../etc\"", "id"},
    {"id", "[]", "id"},
    {"nonce", "\"short\"", "nonce"},
    {"nonce", "null", "nonce"},
    {"nonce", "7", "nonce"},
    {"repository", "[]", "repository.url"},
    {"repository", "{}", "repository.url"},
    {"repository", "{\"url\":\"x\",\"canonical\":\"x\",\"is_local\":1}", "repository.is_local"},
    {"repository", "{\"url\":\"x\\u0000y\",\"canonical\":\"x\"}", ""},
    {"steps", NULL, "steps"},
    {"steps", "[]", "steps"},
    {"steps", "{}", "steps"},
    {"steps", "[7]", "steps"},
    {"steps", "[{\"name\":\"../x\"}]", "steps"},
    {"steps", "[{\"name\":\"a/b\"}]", "steps"},
    {"steps", "[{\"name\":\"\"}]", "steps"},
    {"steps", "[{\"name\":\"ok\",\"number\":0}]", "steps"},
    {"steps", "[{\"name\":\"ok\"},{\"number\":1}]", "steps"},
    {"prompts", "[{\"text\":\"x\"}]", "prompts"},
    {"prompts", "[{\"prompt_id\":1,\"text\":\"\"}]", "prompts"},
    {"prompts", "[{\"prompt_id\":1,\"text\":\"a\"},{\"prompt_id\":\"2\",\"text\":\"b\"}]",
	"prompts"},
    {"agent", NULL, "agent.name"},
    {"agent", "{\"name\":\"a\",\"adapter\":\"claude\"}", "agent.program"},
    {"agent", "{\"name\":\"a\",\"adapter\":\"claude\",\"program\":\"p\",\"args\":\"x\"}",
	"agent.args"},
    {"agent", "{\"name\":\"a\",\"adapter\":\"claude\",\"program\":\"p\",\"args\":[{}]}",
	"agent.args"},
    {"agent", "{\"name\":\"a\",\"adapter\":\"claude\",\"program\":\"p\",\"env\":[]}", "agent.env"},
    {"agent", "{\"name\":\"a\",\"adapter\":\"claude\",\"program\":\"p\",\"env\":{\"a=b\":\"c\"}}",
	"agent.env"},
    {"agent", "{\"name\":\"a\",\"adapter\":\"claude\",\"program\":\"p\",\"env\":{\"a\":[]}}",
	"agent.env"},
    {"agent", "{\"name\":\"a\",\"adapter\":\"claude\",\"program\":\"p\",\"max_turns\":-1}",
	"agent.max_turns"},
    {"timeouts", "{\"step\":0}", "timeouts.step"},
    {"timeouts", "{\"step\":1.5}", "timeouts.step"},
    {"timeouts", "{\"kill\":\"10\"}", "timeouts.kill"},
    {"timeouts", "7", "timeouts.step"},
    {"limits", "{\"log_bytes\":-1}", "limits.log_bytes"},
    {"ports", "{\"start\":70000}", "ports.start"},
    {"ports", "{\"count\":1000000}", "ports.count"},
    {"resume", "{\"base_sha\":\"short\"}", "resume.base_sha"},
    {"context", "[]", "context"},
    {"require", "{}", "require"},
};

static void
malformed(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		json_t *o = small();
		struct awo_err err = {0};
		struct job job;

		if (wrong[i].value == NULL)
			json_object_del(o, wrong[i].key);
		else
			json_object_set_new(o, wrong[i].key,
			    json_loads(wrong[i].value, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL));
		assert_int_equal(parse(o, &job, &err), -1);
		assert_int_equal(err.code, AWO_INVALID_ARGUMENT);
		assert_string_equal(err.field, wrong[i].field);
		assert_true(strlen(err.msg) > 10);
		job_free(&job);
		json_decref(o);
	}
}

static void
no_json(void **state)
{
	static const char *const texts[] = {
	    "", "{", "[]", "null", "{\"proto\":1,\"proto\":1}", "\xff"};
	struct awo_err err;
	struct job job;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(job_parse(&job, texts[i], strlen(texts[i]), &err), -1);
		job_free(&job);
	}
}

static void
every_cut_is_refused(void **state)
{
	json_t *o = small();
	char *text = json_dumps(o, 0);
	struct job job;

	(void)state;
	for (size_t i = 0; i < strlen(text); i++) {
		assert_int_equal(job_parse(&job, text, i, NULL), -1);
		job_free(&job);
	}
	free(text);
	json_decref(o);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(defaults),
	    cmocka_unit_test(everything),
	    cmocka_unit_test(malformed),
	    cmocka_unit_test(no_json),
	    cmocka_unit_test(every_cut_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
