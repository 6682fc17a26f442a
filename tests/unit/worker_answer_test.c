/* What is read out of agents' answers: verdicts, titles, branches, issues, plans. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "awo-worker/answer.h"

static void
json_wherever_it_stands(void **state)
{
	static const struct {
		const char *text;
		const char *want; /* of member "v"; NULL: none found */
	} table[] = {
	    {"{\"v\":\"a\"}", "a"},
	    {"  \n{\"v\":\"a\"}\n\n", "a"},
	    {"Here it is:\n```json\n{\"v\":\"a\"}\n```\nDone.", "a"},
	    {"```\n{\n  \"v\": \"a\"\n}\n```", "a"},
	    {"{\"v\":\"first\"} and then {\"v\":\"second\"}", "second"},
	    {"{\"v\":\"outer\",\"list\":[{\"v\":\"inner\"}]}", "outer"},
	    {"{\"v\":\"outer\",\"text\":\"a {\\\"v\\\":\\\"no\\\"} b\"}", "outer"},
	    {"{\"w\":1} {\"v\":\"a\"} {\"w\":2}", "a"},
	    {"a { b { c {\"v\":\"a\"} } }", "a"},
	    {"use {braces} and {\"v\":\"a\"}", "a"},
	    {"", NULL},
	    {"no json", NULL},
	    {"{\"v\":\"a\"", NULL},
	    {"{\"w\":\"a\"}", NULL},
	    {"[\"v\"]", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		json_t *o = answer_json(table[i].text, strlen(table[i].text), "v");

		if (table[i].want == NULL) {
			assert_null(o);
		} else {
			assert_non_null(o);
			assert_string_equal(
			    json_string_value(json_object_get(o, "v")), table[i].want);
		}
		json_decref(o);
	}
}

static void
braces_without_end_cost_little(void **state)
{
	size_t len = 256U << 10;
	char *text = malloc(len);
	clock_t began = clock();

	(void)state;
	memset(text, '{', len);
	assert_null(answer_json(text, len, "v"));
	for (size_t i = 0; i + 5 <= len; i += 5)
		memcpy(text + i, "{\"a\":", 5);
	assert_null(answer_json(text, len, "v"));
	/* generous: the sanitizers are slow */
	assert_true(clock() - began < 5 * CLOCKS_PER_SEC);
	free(text);
}

static int
review(const char *text, struct answer_review *v)
{
	return answer_review(text, strlen(text), v);
}

static void
verdicts(void **state)
{
	struct answer_review v;

	(void)state;
	assert_int_equal(review("{\"success\":true,\"summary\":\"fine\",\"issues\":[]}", &v), 0);
	assert_true(v.success);
	assert_int_equal(v.blockers, 0);
	assert_string_equal(v.summary, "fine");

	assert_int_equal(review("text\n```json\n{\"success\": false, \"issues\": "
				"[{\"severity\":\"minor\",\"description\":\"m\"},"
				"{\"severity\":\"blocker\",\"description\":\"broken\"}]}\n```",
			     &v),
	    0);
	assert_false(v.success);
	assert_int_equal(v.issues, 2);
	assert_int_equal(v.blockers, 1);
	assert_string_equal(v.blocker, "broken");

	/* other spellings in use */
	assert_int_equal(review("{\"success\":false,\"review_summary\":\"s\",\"review_issues\":[{"
				"\"issue_severity\":\"BLOCKER\","
				"\"issue_description\":\"d\"}]}",
			     &v),
	    0);
	assert_int_equal(v.blockers, 1);
	assert_string_equal(v.blocker, "d");
	assert_string_equal(v.summary, "s");
	assert_int_equal(review("{\"success\":false,\"blockers\":[\"one\",\"two\"]}", &v), 0);
	assert_int_equal(v.blockers, 2);
	assert_string_equal(v.blocker, "one");

	assert_int_equal(
	    review("{\"success\":false,\"issues\":[{\"severity\":\"major\"}]}", &v), 0);
	assert_int_equal(v.blockers, 0);

	assert_int_equal(review("it is all fine", &v), -1);
	assert_int_equal(review("{\"success\":\"yes\"}", &v), -1);
	assert_int_equal(review("{\"success\":1}", &v), -1);
	assert_int_equal(review("{\"success\":true,\"issues\":7}", &v), 0);
	assert_int_equal(review("{\"success\":true,\"issues\":[null,1,[]]}", &v), 0);
	assert_int_equal(v.issues, 3);
}

static void
test_results(void **state)
{
	static const struct {
		const char *text;
		int result;
	} table[] = {
	    {"{\"command\":\"make\",\"exit_code\":0,\"passed\":3,\"failed\":0,\"skipped\":1,"
	     "\"timestamp\":\"x\"}",
		0},
	    {"{\"exit_code\":1,\"passed\":3,\"failed\":2}", 0},
	    {"{\"command\":\"make\",\"passed\":3,\"failed\":0}", -1},
	    {"{\"exit_code\":0,\"passed\":\"3\",\"failed\":0}", -1},
	    {"{\"exit_code\":0,\"passed\":-1,\"failed\":0}", -1},
	    {"{\"exit_code\":0,\"passed\":1.5,\"failed\":0}", -1},
	    {"[]", -1},
	    {"", -1},
	    {"{\"exit_code\":0,\"passed\":1,\"failed\":0} trailing", -1},
	};
	struct answer_tests t;

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct awo_err err = {0};

		assert_int_equal(
		    answer_tests(table[i].text, strlen(table[i].text), &t, &err), table[i].result);
		if (table[i].result != 0)
			assert_non_null(strstr(err.msg, "test_results.json"));
	}
	assert_int_equal(answer_tests(table[0].text, strlen(table[0].text), &t, NULL), 0);
	assert_string_equal(t.command, "make");
	assert_int_equal(t.skipped, 1);
}

static void
titles(void **state)
{
	static const struct {
		const char *text, *title, *body;
	} table[] = {
	    {"{\"title\":\"feat: x\",\"body\":\"## Summary\\nfoo\"}", "feat: x", "## Summary\nfoo"},
	    {"# feat: x\n\nThe body\nmore", "feat: x", "The body\nmore"},
	    {"\n\n**fix: y**\n", "fix: y", ""},
	    {"{\"title\":\"two\\nlines\",\"description\":\"d\"}", "two", "d"},
	    {"{\"title\":7,\"body\":\"b\"}", "{\"title\":7,\"body\":\"b\"}", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct buf body = {0};
		char title[256];

		assert_true(answer_title(table[i].text, strlen(table[i].text), title, &body));
		assert_string_equal(title, table[i].title);
		assert_string_equal(body.len > 0 ? body.p : "", table[i].body);
		buf_free(&body);
	}
}

static void
empty_titles(void **state)
{
	struct buf body = {0};
	char title[256], *big = calloc(1, 100001);

	(void)state;
	assert_false(answer_title("", 0, title, &body));
	assert_false(answer_title("\n \n##\n", 6, title, &body));
	buf_free(&body);
	memset(big, 'a', 100000);
	assert_true(answer_title(big, 100000, title, &body));
	assert_int_equal(strlen(title), 200);
	buf_free(&body);
	free(big);
}

static void
branches(void **state)
{
	static const char *const good[] = {
	    "main", "feat/x", "feat/42-add_auth.v2", "a/b/c", "fix/c++", "user@x"};
	static const char *const bad[] = {"", "-x", "/x", "x/", ".x", "x.", "a..b", "a//b", "a/.b",
	    "a b", "a~b", "a^b", "a:b", "a?b", "a*b", "a[b", "a\\b", "a@{b", "x.lock", "a.lock/b",
	    "ä", "a\nb", "$(x)", "`x`", ";x"};
	char out[256];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(answer_is_branch(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(answer_is_branch(bad[i]));
#define LAST(text) answer_branch(text, strlen(text), out)
	assert_true(LAST("I made it.\n\n`feat/add-auth`\n"));
	assert_string_equal(out, "feat/add-auth");
	assert_true(LAST("feat/x"));
	assert_true(LAST("**fix/y**"));
	assert_string_equal(out, "fix/y");
	assert_false(LAST("main"));
	assert_false(LAST("I am done with feat/x now."));
	assert_false(LAST(""));
	assert_false(LAST("\n\n"));
#undef LAST
}

static void
conventional(void **state)
{
	(void)state;
	assert_true(answer_is_conventional("feat: x"));
	assert_true(answer_is_conventional("fix(parser)!: x"));
	assert_true(answer_is_conventional("docs(prp): plan"));
	assert_false(answer_is_conventional("feature: x"));
	assert_false(answer_is_conventional("feat:x"));
	assert_false(answer_is_conventional("feat: "));
	assert_false(answer_is_conventional("feat(x: y"));
	assert_false(answer_is_conventional("Add x"));
	assert_false(answer_is_conventional(""));
}

static void
issues(void **state)
{
	static const struct {
		const char *text, *want;
	} table[] = {
	    {"fix #42", "42"},
	    {"#7: crash", "7"},
	    {"see issue 12 please", "12"},
	    {"Issue #9", "9"},
	    {"(#3)", "3"},
	    {"fix #42 and #43", "42"},
	    {"no issue", NULL},
	    {"C#9", NULL},
	    {"a#1", NULL},
	    {"#0", NULL},
	    {"#", NULL},
	    {"#12a", NULL},
	    {"issue x", NULL},
	    {"&#39;", NULL},
	    {"#12345678901", NULL},
	    {"colour #ff0000", NULL},
	    {"tissue 3", NULL},
	    {"", NULL},
	};
	char out[20];

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		assert_int_equal(answer_issue(table[i].text, out), table[i].want != NULL);
		if (table[i].want != NULL)
			assert_string_equal(out, table[i].want);
	}
}

static void
plans(void **state)
{
	static const char *const yes[] = {"PRPs/x.md", "PRPs/a/b.txt", "specs/s.yaml", "plan.md",
	    "plan-auth.md", "docs/plan_1.md", "PLAN.md"};
	static const char *const no[] = {"src/PRPs/x.md", "planet.c", "explan.md", "plan",
	    "README.md", "", "xspecs/a", "src/main.c"};

	(void)state;
	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		assert_true(answer_is_plan(yes[i]));
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		assert_false(answer_is_plan(no[i]));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(json_wherever_it_stands),
	    cmocka_unit_test(braces_without_end_cost_little),
	    cmocka_unit_test(verdicts),
	    cmocka_unit_test(test_results),
	    cmocka_unit_test(titles),
	    cmocka_unit_test(empty_titles),
	    cmocka_unit_test(branches),
	    cmocka_unit_test(conventional),
	    cmocka_unit_test(issues),
	    cmocka_unit_test(plans),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
