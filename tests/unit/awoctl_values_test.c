/* Tests the checks of arguments. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/cmocka_all.h"

#include "awoctl/ctl.h"
#include "common/clean.h"
#include "common/clock.h"
#include "common/files.h"

static const struct ctl_line line = {.quiet = true};
static const struct ctl ctl = {.line = &line};

static void
ids_may_be_shortened(void **state)
{
	char id[65];

	(void)state;
	assert_int_equal(ctl_order_id(&ctl, "wo-1A2b", id), 0);
	assert_string_equal(id, "wo-1a2b");
	assert_int_equal(ctl_order_id(&ctl, "1a2b3c4d", id), 0);
	assert_string_equal(id, "wo-1a2b3c4d");
	assert_int_equal(ctl_order_id(&ctl, "wo-", id), 2);
	assert_int_equal(ctl_order_id(&ctl, "", id), 2);
	assert_int_equal(ctl_order_id(&ctl, "wo-1a2b3c4d5", id), 2);
	assert_int_equal(ctl_order_id(&ctl, "xyz", id), 2);
}

static void
numbers_have_a_range(void **state)
{
	int64_t n = 0;

	(void)state;
	assert_int_equal(ctl_int(&ctl, "--n", "-100", -100, 100, &n), 0);
	assert_int_equal(n, -100);
	assert_int_equal(ctl_int(&ctl, "--n", "101", -100, 100, &n), 2);
	assert_int_equal(ctl_int(&ctl, "--n", "1x", -100, 100, &n), 2);
	assert_int_equal(ctl_int(&ctl, "--n", "99999999999999999999", 0, INT64_MAX, &n), 2);
	assert_int_equal(ctl_duration(&ctl, "--t", "30d", &n), 0);
	assert_int_equal(n, 30 * 86400);
	assert_int_equal(ctl_duration(&ctl, "--t", "0s", &n), 2);
	assert_int_equal(ctl_duration(&ctl, "--t", "soon", &n), 2);
}

static void
since_is_a_time_or_a_duration(void **state)
{
	int64_t us = 0, now = clock_wall_us();

	(void)state;
	assert_int_equal(ctl_since(&ctl, "--since", "10m", &us), 0);
	assert_true(us >= now - 600 * 1000000LL && us <= clock_wall_us() - 600 * 1000000LL);
	assert_int_equal(ctl_since(&ctl, "--since", "2026-01-31T08:00:00Z", &us), 0);
	assert_true(us == 1769846400 * 1000000LL);
	assert_int_equal(ctl_since(&ctl, "--since", "1769846400", &us), 0);
	assert_true(us == 1769846400 * 1000000LL);
	assert_int_equal(ctl_since(&ctl, "--since", "yesterday", &us), 2);
}

static void
lists_and_enumerations(void **state)
{
	struct p_strv items = {0};
	int value;

	(void)state;
	assert_int_equal(ctl_list(&ctl, "--steps", "a, b,c", &items), 0);
	assert_int_equal(items.n, 3);
	assert_string_equal(items.v[1], "b");
	p_strv_free(&items);
	assert_int_equal(ctl_list(&ctl, "--steps", "a,,c", &items), 2);
	assert_int_equal(ctl_list(&ctl, "--steps", "a,", &items), 2);
	assert_int_equal(ctl_enum(&ctl, "--sandbox", &p_enum_sandbox_type, "worktree", &value), 0);
	assert_int_equal(value, sandbox_type_git_worktree);
	assert_int_equal(ctl_enum(&ctl, "--sandbox", &p_enum_sandbox_type, "git_wroktree", &value), 2);
}

static void
local_repositories_become_absolute(void **state)
{
	char dir[] = "/tmp/awoctl-values-XXXXXX", cwd[4096];
	char *got;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_non_null(getcwd(cwd, sizeof(cwd)));
	CLEAN_FREE char *top = realpath(dir, NULL);
	assert_int_equal(chdir(dir), 0);
	assert_int_equal(mkdir("work", 0700), 0);
	assert_int_equal(mkdir("work/.git", 0700), 0);
	assert_int_equal(mkdir("work/deep", 0700), 0);
	assert_int_equal(mkdir("plain", 0700), 0);
	CLEAN_FREE char *work = xasprintf("%s/work", top);
	static const char *const local[] = {"./work", "work", "work/deep", "work/"};
	for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++) {
		assert_int_equal(ctl_repository(&ctl, local[i], &got), 0);
		assert_string_equal(got, work);
		free(got);
	}
	assert_int_equal(chdir("work/deep"), 0);
	assert_int_equal(ctl_repository(&ctl, ".", &got), 0);
	assert_string_equal(got, work);
	free(got);
	assert_int_equal(ctl_repository(&ctl, "..", &got), 0);
	assert_string_equal(got, work);
	free(got);
	/* what is no repository, or not there, is a mistake; addresses stay what they are */
	CLEAN_FREE char *plain = xasprintf("%s/plain", top);
	assert_int_equal(ctl_repository(&ctl, plain, &got), 2);
	assert_int_equal(ctl_repository(&ctl, "./missing", &got), 2);
	static const char *const addresses[] = {"https://github.com/a/b", "git@host:a/b", "acme/shop", "file:///x"};
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		assert_int_equal(ctl_repository(&ctl, addresses[i], &got), 0);
		assert_string_equal(got, addresses[i]);
		free(got);
	}
	assert_int_equal(chdir(cwd), 0);
	assert_int_equal(files_remove_tree(AT_FDCWD, dir, NULL), 0);
}

static void
words_are_joined(void **state)
{
	char *text;

	(void)state;
	assert_int_equal(ctl_words_or_stdin(&ctl, (const char *const[]){"add", "it"}, 2, 10, &text), 0);
	assert_string_equal(text, "add it");
	free(text);
	assert_int_equal(ctl_words_or_stdin(&ctl, (const char *const[]){"too", "long"}, 2, 5, &text), 2);
	assert_int_equal(ctl_words_or_stdin(&ctl, (const char *const[]){"\xff"}, 1, 5, &text), 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_may_be_shortened),
		cmocka_unit_test(numbers_have_a_range),
		cmocka_unit_test(since_is_a_time_or_a_duration),
		cmocka_unit_test(lists_and_enumerations),
		cmocka_unit_test(local_repositories_become_absolute),
		cmocka_unit_test(words_are_joined),
	};

	/* the usage errors themselves are not looked at here */
	assert_non_null(freopen("/dev/null", "w", stderr));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
