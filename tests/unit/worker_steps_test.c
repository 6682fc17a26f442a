/* The table of steps and the decisions that need no process: dependencies, branches, plans,
 * messages, prompts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "awo-worker/pull_request.h"
#include "awo-worker/steps.h"

static void
names(void **state)
{
	static const char *const table[][2] = {
	    {"create-branch", "BranchCreator"},
	    {"planning", "Planner"},
	    {"execute", "Implementor"},
	    {"prp-review", "Reviewer"},
	    {"testing", "Tester"},
	    {"commit", "Committer"},
	    {"create-pr", "PrCreator"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		assert_string_equal(step_find(table[i][0])->name, table[i][0]);
		assert_string_equal(step_find(table[i][0])->agent_name, table[i][1]);
		assert_non_null(step_find(table[i][0])->after);
	}
	/* a trusted command file of any name is a step too */
	assert_non_null(step_find("deploy-docs"));
	assert_string_equal(step_find("deploy-docs")->name, "");
}

static void
dependencies(void **state)
{
	static const char plan[] =
	    "No plan file found in context. Planning step must run before execute.";
	static const char branch[] =
	    "No branch name found in context. create-branch step must run before create-pr.";

	(void)state;
	assert_string_equal(step_missing(step_find("execute"), false, true), plan);
	assert_string_equal(step_missing(step_find("prp-review"), false, true), plan);
	assert_null(step_missing(step_find("execute"), true, false));
	assert_string_equal(step_missing(step_find("create-pr"), true, false), branch);
	assert_null(step_missing(step_find("create-pr"), false, true));
	assert_null(step_missing(step_find("planning"), false, false));
	assert_null(step_missing(step_find("testing"), false, false));
	assert_null(step_missing(step_find("commit"), false, false));
	assert_null(step_missing(step_find("anything"), false, false));
}

static void
branches(void **state)
{
	char out[256], big[600];

	(void)state;
	step_branch_name("feat/add-auth", "wo-1a2b3c4d", true, out);
	assert_string_equal(out, "feat/add-auth-wo-1a2b3c4d");
	step_branch_name("feat/wo-1a2b3c4d-x", "wo-1a2b3c4d", true, out);
	assert_string_equal(out, "feat/wo-1a2b3c4d-x");
	step_branch_name("feat/add-auth", "wo-1a2b3c4d", false, out);
	assert_string_equal(out, "feat/add-auth");
	step_fallback_branch("feat", "Add user authentication!", "wo-1a2b3c4d", out);
	assert_string_equal(out, "feat/add-user-authentication-wo-1a2b3c4d");
	step_fallback_branch("..", "", "wo-1a2b3c4d", out);
	assert_string_equal(out, "feat/work-wo-1a2b3c4d");
	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	step_fallback_branch("fix", big, "wo-1a2b3c4d", out);
	assert_true(strlen(out) < 80);
	step_branch_name(big, "wo-1a2b3c4d", true, out);
	assert_non_null(strstr(out, "-wo-1a2b3c4d"));
}

static void
plans(void **state)
{
	json_t *files = json_pack("[{s:s,s:s},{s:s,s:s},{s:s,s:s},{s:s,s:s}]", "path", "src/main.c",
	    "status", "modified", "path", "PRPs/old.md", "status", "deleted", "path", "PRPs/a.md",
	    "status", "added", "path", "specs/b.md", "status", "added");

	(void)state;
	assert_string_equal(step_pick_plan(files, ""), "PRPs/a.md");
	assert_string_equal(
	    step_pick_plan(files, "I wrote PRPs/a.md and then the plan:\nspecs/b.md"),
	    "specs/b.md");
	assert_string_equal(step_pick_plan(files, "specs/b.md is old, see PRPs/a.md"), "PRPs/a.md");
	/* what the agent says is not there does not count, what was removed neither */
	assert_string_equal(step_pick_plan(files, "PRPs/old.md PRPs/none.md"), "PRPs/a.md");
	json_decref(files);
	files = json_pack("[{s:s,s:s},{},7]", "path", "README.md", "status", "added");
	assert_null(step_pick_plan(files, "README.md"));
	assert_null(step_pick_plan(NULL, "x"));
	json_decref(files);
}

static void
commit_messages(void **state)
{
	static const struct {
		const char *text, *prefix, *request, *want;
	} table[] = {
	    {"{\"title\":\"fix(x): mend it\",\"body\":\"b\"}", "feat", "r", "fix(x): mend it"},
	    {"feat: do it\n\nmore", "feat", "r", "feat: do it"},
	    {"I did everything.", "feat", "Add a button\nand more", "feat: Add a button"},
	    {"", "fix", "crash on start", "fix: crash on start"},
	    {"", "users/me", "x", "feat: x"},
	    {"", "feat", "", "feat: complete the work"},
	    {"", "feat", "a\tb", "feat: a b"},
	};
	char out[256];

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		step_commit_subject(
		    table[i].text, strlen(table[i].text), table[i].prefix, table[i].request, out);
		assert_string_equal(out, table[i].want);
	}
}

static void
prompts(void **state)
{
	char name[129];
	const char *rest;

	(void)state;
	assert_true(step_split_prompt("/review the parser, please", name, &rest));
	assert_string_equal(name, "review");
	assert_string_equal(rest, "the parser, please");
	assert_true(step_split_prompt("/testing", name, &rest));
	assert_string_equal(rest, "");
	assert_true(step_split_prompt("/a\n\nb", name, &rest));
	assert_string_equal(rest, "b");
	assert_false(step_split_prompt("review", name, &rest));
	assert_false(step_split_prompt("/", name, &rest));
	assert_false(step_split_prompt("/ x", name, &rest));
	assert_false(step_split_prompt("/etc/passwd is wrong", name, &rest));
	assert_false(step_split_prompt("/../x y", name, &rest));
}

static void
pull_request_addresses(void **state)
{
	(void)state;
	assert_true(forge_url_fits("https://github.com/o/r/pull/7", "o", "r", 7));
	assert_true(forge_url_fits("http://127.0.0.1:9/o/r/pull/7", "o", "r", 7));
	assert_true(forge_url_fits("https://github.com/O/R/pull/7", "o", "r", 7));
	assert_false(forge_url_fits("https://github.com/o/r/pull/8", "o", "r", 7));
	assert_false(forge_url_fits("https://github.com/o/x/pull/7", "o", "r", 7));
	assert_false(forge_url_fits("javascript:alert(1)", "o", "r", 7));
	assert_false(forge_url_fits("https://github.com", "o", "r", 7));
	assert_false(forge_url_fits("", "o", "r", 7));
	assert_false(forge_url_fits("https://github.com/o/r/pull/7?x", "o", "r", 7));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names),
	    cmocka_unit_test(dependencies),
	    cmocka_unit_test(branches),
	    cmocka_unit_test(plans),
	    cmocka_unit_test(commit_messages),
	    cmocka_unit_test(prompts),
	    cmocka_unit_test(pull_request_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
