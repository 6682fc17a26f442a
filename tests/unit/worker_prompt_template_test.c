/* Command files: placeholders in one pass, front matter, refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "awo-worker/prompt_template.h"

static const struct {
	const char *body;
	const char *args[4];
	const char *want;
} table[] = {
    {"nothing", {0}, "nothing"},
    {"", {"x"}, ""},
    {"$1", {"one"}, "one"},
    {"$1 $2 $3", {"a", "b"}, "a b "},
    {"$9", {"a"}, ""},
    {"$ARGUMENTS", {"a", "b", "c"}, "a, b, c"},
    {"[$ARGUMENTS]", {0}, "[]"},
    {"$ARGUMENTSX", {"a"}, "aX"},
    {"$ARGUMENT", {"a"}, "$ARGUMENT"},
    {"$10", {"a"}, "a0"},
    {"$0 $a $", {"a"}, "$0 $a $"},
    {"cost: $$1", {"a"}, "cost: $1"},
    {"$$$1", {"a"}, "$a"},
    {"$$$$", {"a"}, "$$"},
    {"$$ARGUMENTS", {"a"}, "$ARGUMENTS"},
    /* what was put in is not looked at again */
    {"$1", {"$2 $ARGUMENTS $$", "secret"}, "$2 $ARGUMENTS $$"},
    {"$ARGUMENTS", {"$1", "$$"}, "$1, $$"},
    {"$1$2", {"$", "1"}, "$1"},
    {"äöü $1 €", {"ß"}, "äöü ß €"},
};

static void
placeholders(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct buf out = {0};
		size_t n = 0;

		while (n < 4 && table[i].args[n] != NULL)
			n++;
		assert_int_equal(prompt_render(table[i].body, table[i].args, n, &out, NULL), 0);
		assert_string_equal(out.p != NULL ? out.p : "", table[i].want);
		buf_free(&out);
	}
}

static void
a_prompt_has_a_limit(void **state)
{
	struct buf body = {0}, out = {0};
	struct awo_err err = {0};
	char *big = calloc(1, 65537);
	const char *args[1];

	(void)state;
	memset(big, 'x', 65536);
	args[0] = big;
	for (int i = 0; i < 65; i++)
		buf_adds(&body, "$1");
	assert_int_equal(prompt_render(body.p, args, 1, &out, &err), -1);
	assert_int_equal(err.code, AWO_RESOURCE_EXHAUSTED);
	/* it stops soon after the limit */
	assert_true(out.len < PROMPT_TEXT_MAX + 2 * 65536);
	buf_free(&body);
	buf_free(&out);
	free(big);
}

static struct prompt_template
parse(const char *text)
{
	struct prompt_template t;

	assert_int_equal(prompt_parse(&t, text, strlen(text), NULL), 0);
	return t;
}

static void
front_matter(void **state)
{
	struct prompt_template t = parse("---\ndescription: \"Plan: the work\"\nmodel: "
					 "opus\nmax_turns: 12\ntimeout: 15m\n---\nBody $1\n");

	(void)state;
	assert_string_equal(t.description, "Plan: the work");
	assert_string_equal(t.model, "opus");
	assert_int_equal(t.max_turns, 12);
	assert_int_equal(t.timeout, 900);
	assert_string_equal(t.body, "Body $1\n");
	assert_int_equal(t.warnings.n, 0);
	prompt_free(&t);

	t = parse("---\r\ndescription: x\r\n---\r\nBody");
	assert_string_equal(t.description, "x");
	assert_string_equal(t.body, "Body");
	prompt_free(&t);

	t = parse("\xef\xbb\xbf---\nmodel: 'a b'\n---\n");
	assert_string_equal(t.model, "a b");
	assert_string_equal(t.body, "");
	prompt_free(&t);
}

static void
no_front_matter(void **state)
{
	static const char *const texts[] = {"", "plain", "---", "---\nmodel: x\nnever closed",
	    "\n---\nmodel: x\n---\n", "----\nmodel: x\n----\n"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct prompt_template t = parse(texts[i]);

		assert_null(t.model);
		assert_string_equal(t.body, texts[i]);
		prompt_free(&t);
	}
}

static void
other_keys_are_a_warning(void **state)
{
	struct prompt_template t = parse("---\nallowed-tools:\n  - Bash\n  - Edit\nargument-hint: "
					 "[x]\nmax_turns: many\ntimeout: never\n"
					 "model: -x\njust words\n# a comment\n---\nBody");

	(void)state;
	assert_int_equal(t.warnings.n, 6);
	assert_non_null(strstr(t.warnings.v[0], "allowed-tools"));
	assert_non_null(strstr(t.warnings.v[0], "known: description, model, max_turns, timeout"));
	assert_non_null(strstr(t.warnings.v[2], "max_turns"));
	assert_non_null(strstr(t.warnings.v[3], "timeout"));
	assert_int_equal(t.max_turns, 0);
	assert_int_equal(t.timeout, 0);
	assert_null(t.model);
	assert_string_equal(t.body, "Body");
	prompt_free(&t);
}

static void
refused_files(void **state)
{
	struct prompt_template t;
	struct awo_err err = {0};
	char *big = calloc(1, PROMPT_FILE_MAX + 2);

	(void)state;
	memset(big, 'x', PROMPT_FILE_MAX + 1);
	assert_int_equal(prompt_parse(&t, big, PROMPT_FILE_MAX + 1, &err), -1);
	assert_non_null(strstr(err.msg, "256 KiB"));
	prompt_free(&t);
	assert_int_equal(prompt_parse(&t, "a\xff", 2, &err), -1);
	assert_non_null(strstr(err.msg, "UTF-8"));
	prompt_free(&t);
	assert_int_equal(prompt_parse(&t, "a\0b", 3, &err), -1);
	prompt_free(&t);
	free(big);
}

static void
the_packaged_files_are_right(void **state)
{
	static const char *const names[] = {
	    "create-branch", "planning", "execute", "prp-review", "testing", "commit", "create-pr"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char *path = xasprintf("%s/commands/%s.md", TEST_SOURCE_DIR, names[i]);
		FILE *f = fopen(path, "r");
		static char text[PROMPT_FILE_MAX];
		struct prompt_template t;
		size_t n;

		assert_non_null(f);
		n = fread(text, 1, sizeof(text), f);
		fclose(f);
		assert_int_equal(prompt_parse(&t, text, n, NULL), 0);
		assert_int_equal(t.warnings.n, 0);
		assert_non_null(t.description);
		assert_true(strlen(t.body) > 200);
		prompt_free(&t);
		free(path);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(placeholders),
	    cmocka_unit_test(a_prompt_has_a_limit),
	    cmocka_unit_test(front_matter),
	    cmocka_unit_test(no_front_matter),
	    cmocka_unit_test(other_keys_are_a_warning),
	    cmocka_unit_test(refused_files),
	    cmocka_unit_test(the_packaged_files_are_right),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
