/* Phases against a labelled corpus of branches, and the rules that a corpus cannot show. */
#include "tests/unit/cmocka_all.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "awo-worker/git/phase.h"

static enum phase
phase_of(const char *subject, const char *const *paths)
{
	struct phase_files f = PHASE_FILES_INIT;

	for (; *paths != NULL; paths++)
		phase_add_path(&f, *paths);
	return phase_of_commit(subject, &f);
}
#define PHASE_OF(subject, ...)                                                                     \
	phase_of((subject), (const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

/* The phases of a branch as a list of {phase, commits}. */
static json_t *
history(json_t *commits)
{
	json_t *out = json_array(), *c, *path, *last = NULL;
	enum phase before = PHASE_NONE;
	size_t i, k;

	json_array_foreach(commits, i, c)
	{
		struct phase_files f = PHASE_FILES_INIT;
		enum phase p;

		json_array_foreach(json_object_get(c, "files"), k, path)
		    phase_add_path(&f, json_string_value(path));
		p = phase_of_commit(json_string_value(json_object_get(c, "subject")), &f);
		if (p != before) {
			last = json_pack("{s:s, s:i}", "phase", phase_name(p), "commits", 0);
			json_array_append_new(out, last);
		}
		before = p;
		json_object_set_new(last, "commits",
		    json_integer(json_integer_value(json_object_get(last, "commits")) + 1));
	}
	return out;
}

static void
corpus(void **state)
{
	FILE *f = fopen(TEST_SOURCE_DIR "/tests/data/phases.jsonl", "r");
	size_t cap = 0, branches = 0, right = 0, commits = 0;
	char *line = NULL;

	(void)state;
	assert_non_null(f);
	while (getline(&line, &cap, f) > 0) {
		json_t *b = json_loads(line, 0, NULL), *got;

		assert_non_null(b);
		got = history(json_object_get(b, "commits"));
		branches++;
		commits += json_array_size(json_object_get(b, "commits"));
		if (json_equal(got, json_object_get(b, "history"))) {
			right++;
		} else {
			char *text = json_dumps(got, JSON_COMPACT);

			printf("not as labelled: %s\n            got: %s\n", line, text);
			free(text);
		}
		json_decref(got);
		json_decref(b);
	}
	free(line);
	fclose(f);
	printf("phase history: %zu of %zu branches (%zu commits) as labelled: %.1f %%\n", right,
	    branches, commits, 100.0 * (double)right / (double)branches);
	assert_true(branches >= 200);
	assert_true(right * 100 >= branches * 95);
}

static void
rules(void **state)
{
	(void)state;
	assert_int_equal(PHASE_OF("plan: x", "src/a.c"), PHASE_PLANNING);
	assert_int_equal(PHASE_OF("Spec(api)!: x", "src/a.c"), PHASE_PLANNING);
	assert_int_equal(PHASE_OF("docs(prp): x", "docs/x.md"), PHASE_PLANNING);
	assert_int_equal(PHASE_OF("docs: x", "docs/x.md"), PHASE_IMPLEMENTING);
	assert_int_equal(
	    PHASE_OF("anything", "PRPs/a.md", "specs/b.yaml", "plan/c.txt", "plan.md", "design.md"),
	    PHASE_PLANNING);
	assert_int_equal(PHASE_OF("anything", "PRPs/a.md", "src/b.c"), PHASE_IMPLEMENTING);
	assert_int_equal(PHASE_OF("anything", "sub/plan.md"), PHASE_IMPLEMENTING);
	assert_int_equal(PHASE_OF("feat: add plan page", "src/plan.tsx"), PHASE_IMPLEMENTING);
	assert_int_equal(
	    PHASE_OF("fix: design system button", "src/button.css"), PHASE_IMPLEMENTING);
	assert_int_equal(PHASE_OF("feat: add spec parser", "src/spec.c"), PHASE_IMPLEMENTING);
	assert_int_equal(PHASE_OF("test: x", "src/a.c"), PHASE_TESTING);
	assert_int_equal(PHASE_OF("qa: x", "src/a.c"), PHASE_TESTING);
	assert_int_equal(PHASE_OF("fix: x", "tests/a.c", "lib/b_test.go"), PHASE_TESTING);
	assert_int_equal(PHASE_OF("fix: x", "tests/a.c", "lib/b.go"), PHASE_IMPLEMENTING);
	assert_int_equal(PHASE_OF("no files"), PHASE_IMPLEMENTING);
	assert_int_equal(PHASE_OF("", "a"), PHASE_IMPLEMENTING);
	assert_null(phase_name(PHASE_NONE));
	assert_string_equal(phase_name(PHASE_PLANNING), "planning");
}

/* Words that only contain one of the rules' words. */
static void
look_alikes(void **state)
{
	(void)state;
	assert_int_equal(PHASE_OF("feat: x", "src/latest/a.ts"), PHASE_IMPLEMENTING);
	assert_int_equal(PHASE_OF("feat: x", "src/Contest.java"), PHASE_IMPLEMENTING);
	assert_int_equal(PHASE_OF("feat: x", "src/EXIT.java"), PHASE_IMPLEMENTING);
	assert_int_equal(PHASE_OF("feat: x", "src/attestation.c"), PHASE_IMPLEMENTING);
	assert_int_equal(PHASE_OF("planet: rotate", "src/planet.c"), PHASE_IMPLEMENTING);
	assert_int_equal(PHASE_OF("requirements", "requirements.txt"), PHASE_IMPLEMENTING);
	assert_int_equal(PHASE_OF("planes", "planes.md"), PHASE_IMPLEMENTING);
}

/* Subjects that break off where the parser looks on. */
static void
odd_subjects(void **state)
{
	static const char *const subjects[] = {"", ":", ":x", ":x:", "#", "#1", "[", "[]", "[a-1",
	    "[A-1]", "A-", "A-1", "A-1:", "(", "feat(", "feat()", "feat(x", "feat(x):", "!",
	    "/:", "test/:", "\xff\xfe", "fixup! ", "- - -", "feat(a,,b)/c: d", "\n", "x\ny: z"};

	(void)state;
	for (size_t i = 0; i < sizeof(subjects) / sizeof(subjects[0]); i++) {
		enum phase p = PHASE_OF(subjects[i], "src/a.c");

		assert_true(p >= PHASE_PLANNING && p <= PHASE_TESTING);
	}
}

static void
settled(void **state)
{
	struct phase_files f = PHASE_FILES_INIT;

	(void)state;
	assert_false(phase_files_settled(&f));
	phase_add_path(&f, "src/a.c");
	phase_add_path(&f, "tests/a.c");
	assert_true(phase_files_settled(&f));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(corpus),
	    cmocka_unit_test(rules),
	    cmocka_unit_test(look_alikes),
	    cmocka_unit_test(odd_subjects),
	    cmocka_unit_test(settled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
