/* Work trees as agents leave them: ordinary ones, and traps. */
#include "tests/unit/cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/git_run.h"

static int
setup(void **state)
{
	if (git_run_setup(state) < 0)
		return -1;
	sh("git init -q -b main origin && cd origin && echo a >a && mkdir d && echo b >d/b && echo "
	   "ignored >.gitignore && git add . && "
	   "git commit -qm base && git tag base");
	return 0;
}

static int
fresh(void **state)
{
	(void)state;
	sh("rm -rf t outside && git clone -q origin t && cd t && git config user.name x && mkdir "
	   "../outside && echo keep >../outside/f");
	return 0;
}

static json_t *
commit_request(void)
{
	return json_pack("{s:s, s:s, s:s}", "message",
	    "chore: leftovers\n\nWork-Order: wo-00000001\n", "author_name", "Bot", "author_email",
	    "bot@example.org");
}

static void
info(void **state)
{
	json_t *j;

	(void)state;
	j = awo_ok("tree-info", "t", json_object());
	assert_string_equal(str(j, "head_sha"), sh("git -C t rev-parse HEAD"));
	assert_string_equal(str(j, "branch"), "main");
	assert_int_equal(num(j, "dirty"), 0);
	json_decref(j);
	sh("cd t && echo x >>a && rm d/b && mkdir n && echo n >n/1 && echo n >n/2 && echo i "
	   ">ignored && echo p >.ports.env && "
	   "git switch -q --detach");
	j = awo_ok("tree-info", "t", json_object());
	assert_true(json_is_null(json_object_get(j, "branch")));
	assert_int_equal(num(j, "dirty"), 4);
	json_decref(j);
	sh("git init -q -b fresh unborn; echo x >unborn/x");
	j = awo_ok("tree-info", "unborn", json_object());
	assert_true(json_is_true(json_object_get(j, "unborn")));
	assert_true(json_is_null(json_object_get(j, "head_sha")));
	assert_string_equal(str(j, "branch"), "fresh");
	assert_int_equal(num(j, "dirty"), 1);
	json_decref(j);
}

static json_t *
wish(const char *otherwise)
{
	return json_pack("{s:{s:s,s:s,s:s}}", "branch", "base", "main", "append", "wo-1", "otherwise", otherwise);
}

/* The branch is made while looking: as asked when the base is checked out, else from what the agent checked out. */
static void
info_names_branch(void **state)
{
	json_t *j;

	(void)state;
	j = awo_ok("tree-info", "t", wish("feat/x-wo-1"));
	assert_string_equal(str(j, "branch"), "main");
	assert_string_equal(str(j, "made"), "feat/x-wo-1");
	json_decref(j);
	assert_string_equal(sh("git -C t symbolic-ref HEAD"), "refs/heads/feat/x-wo-1");
	/* which has the id already */
	j = awo_ok("tree-info", "t", wish("feat/y-wo-1"));
	assert_string_equal(str(j, "branch"), "feat/x-wo-1");
	assert_null(json_object_get(j, "made"));
	json_decref(j);
	sh("git -C t switch -q -c fix/z && git -C t branch fix/z-wo-1");
	j = awo_ok("tree-info", "t", wish("feat/y-wo-1"));
	assert_string_equal(str(j, "branch"), "fix/z");
	assert_string_equal(str(j, "made"), "fix/z-wo-1-2");
	json_decref(j);
	/* what cannot be made is no failure of the look */
	sh("git -C t switch -q main");
	j = awo_ok("tree-info", "t", wish("a b"));
	assert_string_equal(str(j, "branch"), "main");
	assert_null(json_object_get(j, "made"));
	json_decref(j);
	assert_string_equal(sh("git -C t symbolic-ref HEAD"), "refs/heads/main");
}

/* One that stands by takes its verb from the request. */
static void
stands_by(void **state)
{
	json_t *j;

	(void)state;
	j = awo_ok("standing-by", "t", json_pack("{s:s}", "verb", "tree-info"));
	assert_string_equal(str(j, "branch"), "main");
	json_decref(j);
	awo_fails("standing-by", "t", json_object(), "internal", "invalid", "verb: required");
	awo_fails("standing-by", "t", json_pack("{s:s}", "verb", "standing-by"), "internal", "invalid", "no such verb");
	awo_fails("standing-by", "t", json_pack("{s:s,s:s}", "verb", "verify", "url", "https://127.0.0.1:1/x"), "internal",
	    "invalid", "certificates");
}

static void
branch(void **state)
{
	json_t *j;

	(void)state;
	sh("cd t && echo x >>a && git branch taken");
	j = awo_ok("tree-branch", "t", json_pack("{s:s}", "name", "feat/x-wo-1"));
	assert_string_equal(str(j, "branch"), "feat/x-wo-1");
	json_decref(j);
	assert_string_equal(sh("git -C t symbolic-ref HEAD"), "refs/heads/feat/x-wo-1");
	assert_string_equal(sh("git -C t status --porcelain"), " M a");
	j = awo_ok("tree-branch", "t", json_pack("{s:s}", "name", "taken"));
	assert_string_equal(str(j, "branch"), "taken-2");
	json_decref(j);
	j = awo_ok("tree-branch", "t", json_pack("{s:s}", "name", "taken-2"));
	assert_string_equal(str(j, "branch"), "taken-2");
	json_decref(j);
	sh("git -C t commit -qam x");
	j = awo_ok("tree-branch", "t", json_pack("{s:s, s:b}", "name", "taken", "reset", 1));
	assert_string_equal(str(j, "branch"), "taken");
	json_decref(j);
	assert_string_equal(sh("git -C t log -1 --format=%%s taken"), "x");
	awo_fails("tree-branch", "t", json_pack("{s:s}", "name", "a b"), "git", "invalid", "a b");
	awo_fails("tree-branch", "t", json_pack("{s:s}", "name", "../x"), "git", "invalid", "../x");
	awo_fails("tree-branch", "t", json_pack("{s:s}", "name", "HEAD"), "git", "invalid", "HEAD");
	/* feat is a directory of branches */
	j = awo("tree-branch", "t", json_pack("{s:s}", "name", "feat"), NULL, NULL);
	if (json_is_true(json_object_get(j, "ok")))
		assert_string_equal(str(j, "branch"), "feat-2");
	json_decref(j);
	sh("git -C t fsck 2>&1");
}

static void
commit(void **state)
{
	json_t *j;

	(void)state;
	j = awo_ok("tree-commit", "t", commit_request());
	assert_true(json_is_null(json_object_get(j, "sha")));
	json_decref(j);
	sh("cd t && echo x >>a && rm d/b && echo n >'n \xff' && ln -s /etc l && echo i >ignored && "
	   "echo p >.ports.env && chmod +x a");
	j = awo_ok("tree-commit", "t", commit_request());
	assert_string_equal(str(j, "sha"), sh("git -C t rev-parse main"));
	json_decref(j);
	assert_string_equal(
	    sh("git -C t log -1 --format='%%an %%ce %%s|%%(trailers:key=Work-Order)'"),
	    "Bot bot@example.org chore: leftovers|Work-Order: wo-00000001");
	assert_string_equal(sh("git -C t status --porcelain"), "?? .ports.env");
	assert_string_equal(
	    sh("git -C t diff --name-status base HEAD | cut -c1 | tr -d '\\n'"), "MDAA");
	assert_string_equal(
	    sh("git -C t ls-files -s l a | cut -c1-6 | tr '\\n' ' '"), "100755 120000 ");
	sh("git -C t fsck --strict 2>&1");
	awo_fails("tree-commit", "t",
	    json_pack("{s:s, s:s, s:s}", "message", "x", "author_name", "<>", "author_email", "e"),
	    "permanent", "invalid", "author_name");
}

static void
commit_odd(void **state)
{
	json_t *j;

	(void)state;
	/* on no branch */
	sh("cd t && git switch -q --detach && echo x >>a");
	j = awo_ok("tree-commit", "t", commit_request());
	assert_string_equal(str(j, "sha"), sh("git -C t rev-parse HEAD"));
	json_decref(j);
	/* the first of all */
	sh("rm -rf first && git init -q -b main first && echo x >first/x");
	json_decref(awo_ok("tree-commit", "first", commit_request()));
	assert_string_equal(sh("git -C first rev-list --count HEAD"), "1");
	/* a repository inside is not taken for a submodule; a real submodule goes on */
	sh("rm -rf sub super && git clone -q origin sub && git init -q -b main super && cd super "
	   "&& "
	   "git -c protocol.file.allow=always submodule --quiet add $PWD/../sub lib >/dev/null "
	   "2>&1 && git commit -qm lib && "
	   "git init -q inner && git -C inner commit -q --allow-empty -m x && echo y >inner/y && "
	   "mkdir plain && echo z >plain/z && "
	   "git -C lib commit -q --allow-empty -m on");
	json_decref(awo_ok("tree-commit", "super", commit_request()));
	assert_string_equal(sh("git -C super ls-files -s | cut -c1-6,50- | tr '\\t\\n' '  '"),
	    "100644 .gitmodules 160000 lib 100644 plain/z ");
	assert_string_equal(
	    sh("git -C super rev-parse HEAD:lib"), sh("git -C super/lib rev-parse HEAD"));
	/* a merge that was left in the middle, its conflicts still there */
	sh("cd t && git switch -q main && git switch -qc one && echo 1 >a && git commit -qam 1 && "
	   "git switch -q main && echo 2 >a && "
	   "git commit -qam 2 && (git merge one >/dev/null 2>&1 || true) && echo both >a && git "
	   "add a");
	json_decref(awo_ok("tree-commit", "t", commit_request()));
	assert_string_equal(sh("git -C t rev-list --parents -1 HEAD | wc -w"), "3");
	assert_int_equal(sh_status("test -f t/.git/MERGE_HEAD"), 1);
}

static void
reset(void **state)
{
	json_t *j;

	(void)state;
	sh("mkdir -p saved && cd t && git switch -qc work && echo more >>a && git commit -qam more "
	   "&& echo x >>a && mkdir -p n/m && echo n >n/m/f && "
	   "rm d/b && ln -s /etc/passwd link && mkfifo fifo && echo i >ignored && echo p "
	   ">.ports.env && touch .git/index.lock && "
	   "git init -q nested && echo y >nested/y");
	j = awo_ok("tree-reset", "t",
	    json_pack("{s:s, s:s, s:s}", "sha", sh("git -C t rev-parse base"), "branch", "work",
		"save_to", "../saved"));
	assert_int_equal(num(j, "saved"), 2);
	assert_string_equal(str(j, "branch"), "work");
	json_decref(j);
	assert_string_equal(
	    sh("cd saved && find . -type f | sort | tr '\\n' ' '; cat n/m/f"), "./a ./n/m/f n");
	assert_string_equal(sh("git -C t rev-parse work"), sh("git -C t rev-parse base"));
	assert_string_equal(sh("cd t && cat a d/b ignored .ports.env | tr '\\n' ' '"), "a b i p ");
	assert_int_equal(sh_status("test -e t/n || test -L t/link"), 1);
	awo_fails("tree-reset", "t",
	    json_pack("{s:s}", "sha", "1234567890123456789012345678901234567890"), "git",
	    "not_found", "not in the work tree");
	sh("rm -rf saved");
}

/* ---- traps
 * --------------------------------------------------------------------------------------------------
 */

/* Some traps cost a verb its whole time limit: all of them are walked into at once. */
static void
run_all(size_t n, const char *verb, json_t *request)
{
	struct awo_run runs[64];
	char dir[32], pack[32];

	assert_true(n <= sizeof(runs) / sizeof(runs[0]));
	json_object_set_new(request, "timeout_seconds", json_integer(2));
	for (size_t i = 0; i < n; i++) {
		(void)snprintf(dir, sizeof(dir), "trap%zu/t", i);
		(void)snprintf(pack, sizeof(pack), "trap%zu/pack", i);
		awo_start(&runs[i], verb, dir, json_incref(request), NULL,
		    json_object_get(request, "have") != NULL ? pack : NULL);
	}
	json_decref(request);
	for (size_t i = 0; i < n; i++) {
		json_t *j = awo_finish(&runs[i]);

		/* any answer will do, as long as there is one */
		assert_true(json_is_boolean(json_object_get(j, "ok")));
		json_decref(j);
		assert_string_equal(
		    sh("cd trap%zu/outside && find . -type f | xargs cat", i), "keep");
	}
}

static void
traps(void **state)
{
	static const char *const sets[] = {
	    "git config core.worktree ../../outside",
	    "git config core.bare true",
	    "rm -rf .git/objects && ln -s ../../outside .git/objects",
	    "rm .git/refs/heads/main && ln -s ../../../../outside/f .git/refs/heads/main",
	    "rm -f .git/HEAD && mkfifo .git/HEAD",
	    "rm -f .git/HEAD && ln -s /dev/zero .git/HEAD",
	    "rm -f .git/config && mkfifo .git/config",
	    "rm -f .git/index && mkfifo .git/index",
	    ("mkfifo .git/info/attributes 2>/dev/null || "
	     "(mkdir -p .git/info && mkfifo .git/info/attributes)"),
	    "mkdir -p .git/info && rm -f .git/info/exclude && mkfifo .git/info/exclude",
	    "rm -f .gitignore && mkfifo .gitignore",
	    "mkfifo .gitattributes",
	    "rm -f a && mkfifo a",
	    "mkfifo .git/packed-refs 2>/dev/null || (rm .git/packed-refs && mkfifo "
	    ".git/packed-refs)",
	    "mkdir -p .git/objects/info && mkfifo .git/objects/info/alternates",
	    "mkdir -p .git/objects/info && echo ../objects >.git/objects/info/alternates",
	    "rm -rf .git && echo 'gitdir: ../outside' >.git",
	    "rm -rf .git && mkfifo .git",
	    "rm -rf .git",
	    "git config include.path /dev/zero",
	    "git config filter.x.clean 'touch ../outside/pwned' && echo '* filter=x' "
	    ">.gitattributes && echo y >>a",
	    "git config core.fsmonitor 'touch ../outside/pwned'; echo y >>a",
	    "printf '#!/bin/sh\\ntouch ../outside/pwned\\n' >.git/hooks/pre-commit; chmod +x "
	    ".git/hooks/pre-commit; echo y >>a",
	    "git config core.hooksPath ../hooks; echo y >>a",
	    "echo 'ref: refs/heads/../../../outside/f' >.git/HEAD",
	    "echo 'ref: refs/heads/loop' >.git/HEAD; echo 'ref: refs/heads/loop' "
	    ">.git/refs/heads/loop",
	    "head -c 100000 /dev/urandom >.git/index",
	    "git config extensions.worktreeConfig true; printf '[core]\\n\\tworktree = "
	    "../../outside\\n' >.git/config.worktree",
	    "ln -s ../outside dirlink && echo x >dirlink2",
	    "rm -rf d && ln -s ../outside d",
	};

	const size_t n = sizeof(sets) / sizeof(sets[0]);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		sh("mkdir trap%zu && cp -a t outside trap%zu", i, i);
		if (sh_status("cd trap%zu/t && { %s; } 2>&1", i, sets[i]) != 0)
			fail_msg("cannot set the trap: %s", sets[i]);
	}
	run_all(n, "tree-info", json_object());
	run_all(n, "tree-branch", json_pack("{s:s}", "name", "feat/trap"));
	run_all(n, "tree-commit", commit_request());
	run_all(n, "tree-info", json_pack("{s:[s]}", "have", "1234567890123456789012345678901234567890"));
	run_all(n, "tree-reset", json_pack("{s:s}", "sha", sh("git -C origin rev-parse base")));
	for (size_t i = 0; i < n; i++)
		assert_string_equal(sh("ls -A trap%zu/outside", i), "f");
}

static void
core_worktree(void **state)
{
	(void)state;
	sh("cd t && git config core.worktree ../../outside");
	awo_fails("tree-info", "t", json_object(), "git", "invalid", "core.worktree");
}

/* Locks of programs that were ended with the step; a later step's git, and a reset, find none. */
static void
locks(void **state)
{
	static const char make[] =
	    "cd t && mkdir -p .git/refs/heads/deep/er .git/refs/heads/dir.lock/x && "
	    "touch .git/index.lock .git/HEAD.lock .git/config.lock .git/packed-refs.lock "
	    ".git/refs/heads/main.lock .git/refs/heads/deep/er/b.lock .git/refs/stash.lock && "
	    "ln -s ../../../outside/f .git/refs/link.lock && echo more >>a";

	(void)state;
	sh("%s", make);
	json_decref(awo_ok("tree-info", "t", json_object()));
	assert_string_equal(sh("find t/.git -name '*.lock'"), "");
	assert_string_equal(sh("cat outside/f"), "keep");
	sh("%s", make);
	json_decref(awo_ok("tree-commit", "t", commit_request()));
	sh("%s", make);
	json_decref(awo_ok("tree-branch", "t", json_pack("{s:s}", "name", "feat/locked")));
	sh("%s", make);
	json_decref(awo_ok("tree-reset", "t",
	    json_pack("{s:s, s:s}", "sha", sh("git -C t rev-parse base"), "branch",
		"feat/locked")));
	assert_string_equal(sh("find t/.git -name '*.lock'"), "");
	sh("cd t && git fsck 2>&1 && git commit -q --allow-empty -m unlocked");
	/* what is none of git's own stays */
	sh("cd t && touch yarn.lock .git/hooks.lockfile");
	json_decref(awo_ok("tree-info", "t", json_object()));
	sh("test -f t/yarn.lock && test -f t/.git/hooks.lockfile");
}

/* What was done to the repository is named, and not what libgit2 stumbled over. */
static void
unsound(void **state)
{
	static const struct {
		const char *what, *text;
	} done[] = {
	    {"rm -rf .git", "removed .git,"},
	    {"mv .git ../moved && ln -s ../gone .git",
		"replaced .git, the repository of its work tree, by a symbolic link"},
	    {"rm -rf .git && echo text >.git", "by a file"},
	    {"rm -rf .git && mkfifo .git", "by a FIFO"},
	    {"rm .git/HEAD", "removed .git/HEAD"},
	    {"rm -rf .git/objects", "removed .git/objects"},
	    {"rm .git/index && mkfifo .git/index", "a FIFO where git expects the file .git/index"},
	    {"mkdir -p .git/objects/info && mkfifo .git/objects/info/alternates",
		"a FIFO where git expects"},
	    {"printf 'DIRC\\000\\000\\000\\002\\164\\150\\145\\040' >.git/index",
		"damaged .git/index"},
	    {"ln -s /dev/zero .gitattributes",
		"a device where git expects the file .gitattributes"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(done) / sizeof(done[0]); i++) {
		json_t *j;

		sh("rm -rf unsound moved && cp -a t unsound && cd unsound && %s", done[i].what);
		j = awo("tree-info", "unsound", json_object(), NULL, NULL);
		assert_true(json_is_false(json_object_get(j, "ok")));
		assert_string_equal(str(json_object_get(j, "error"), "category"), "git");
		if (strstr(str(json_object_get(j, "error"), "message"), done[i].text) == NULL)
			fail_msg("%s: %s", done[i].what,
			    str(json_object_get(j, "error"), "message"));
		json_decref(j);
	}
}

/* A FIFO that no list of names foresees is broken off long before the verb's time is up. */
static void
blocked(void **state)
{
	json_t *j;

	(void)state;
	sh("mkdir -p t/sub && rm -f t/sub/.gitignore && mkfifo t/sub/.gitignore && echo x >t/sub/f");
	sh("date +%%s >began");
	j = awo("tree-info", "t", json_object(), NULL, NULL);
	assert_true(json_is_boolean(json_object_get(j, "ok")));
	json_decref(j);
	assert_int_equal(sh_status("test $(($(date +%%s) - $(cat began))) -lt 30"), 0);
}

/* A repository above the workspace is none of its business. */
static void
no_search(void **state)
{
	(void)state;
	sh("mkdir -p t/sub");
	awo_fails("tree-info", "t/sub", json_object(), "git", "not_found", "repository");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(info, fresh),
	    cmocka_unit_test_setup(info_names_branch, fresh),
	    cmocka_unit_test_setup(stands_by, fresh),
	    cmocka_unit_test_setup(branch, fresh),
	    cmocka_unit_test_setup(commit, fresh),
	    cmocka_unit_test_setup(commit_odd, fresh),
	    cmocka_unit_test_setup(reset, fresh),
	    cmocka_unit_test_setup(traps, fresh),
	    cmocka_unit_test_setup(core_worktree, fresh),
	    cmocka_unit_test_setup(locks, fresh),
	    cmocka_unit_test_setup(unsound, fresh),
	    cmocka_unit_test_setup(blocked, fresh),
	    cmocka_unit_test_setup(no_search, fresh),
	};

	return cmocka_run_group_tests(tests, setup, git_run_teardown);
}
