/* Remotes, the cache, and the work trees made from it. */
#include "tests/unit/cmocka_all.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/git_run.h"

static char here[4096];

static json_t *
fetch_request(const char *remote, const char *cache)
{
	return json_pack("{s:o, s:o}", "url", json_sprintf("%s/%s", here, remote), "cache_dir",
	    json_sprintf("%s/%s", here, cache));
}

static json_t *
workspace_request(const char *cache, const char *name, const char *type)
{
	sh("mkdir -p %s", name);
	return json_pack("{s:o, s:o, s:o, s:s, s:s, s:s, s:s, s:s}", "cache_dir",
	    json_sprintf("%s/%s", here, cache), "workspace_dir",
	    json_sprintf("%s/%s/workspace", here, name), "clean_dir",
	    json_sprintf("%s/%s/repository.git", here, name), "type", type, "url",
	    "https://example.org/o/r", "port_lines", "PORT_0=42000\n", "author_name", "Bot",
	    "author_email", "bot@example.org");
}

static int
setup(void **state)
{
	if (git_run_setup(state) < 0 || getcwd(here, sizeof(here)) == NULL)
		return -1;
	sh("git init -q -b trunk src && cd src && mkdir -p a/b && echo one >a/b/f && ln -s a/b/f "
	   "link && echo x >run && "
	   "chmod +x run && git add . && git commit -qm one && git tag -a v1 -m v1 && git branch "
	   "feat/login && "
	   "echo two >>run && git commit -qam two && git clone -q --bare . ../remote.git");
	return 0;
}

static void
verify(void **state)
{
	json_t *j;

	(void)state;
	j = awo_ok("verify", NULL, json_pack("{s:o}", "url", json_sprintf("%s/remote.git", here)));
	assert_string_equal(str(j, "default_branch"), "trunk");
	assert_string_equal(str(j, "head_sha"), sh("git -C remote.git rev-parse trunk"));
	assert_int_equal(num(j, "branches"), 2);
	assert_true(json_is_false(json_object_get(j, "is_empty")));
	json_decref(j);
	sh("git init -q --bare empty.git");
	j = awo_ok(
	    "verify", NULL, json_pack("{s:o}", "url", json_sprintf("file://%s/empty.git", here)));
	assert_true(json_is_true(json_object_get(j, "is_empty")));
	assert_true(json_is_null(json_object_get(j, "default_branch")));
	json_decref(j);
}

static void
verify_refusals(void **state)
{
	(void)state;
	sh("mkdir -p plain");
	awo_fails("verify", NULL, json_pack("{s:o}", "url", json_sprintf("%s/plain", here)), "git",
	    "not_found", "plain is not a git repository");
	awo_fails("verify", NULL, json_pack("{s:o}", "url", json_sprintf("%s/absent", here)), "git",
	    "not_found", "absent");
	awo_fails("verify", NULL, json_pack("{s:s}", "url", "http://127.0.0.1:1/o/r"), "transient",
	    "unreachable", "127.0.0.1");
	awo_fails("verify", NULL, json_pack("{s:s}", "url", "https://host.invalid/o/r"),
	    "transient", "unreachable", "host.invalid");
	awo_fails("verify", NULL, json_pack("{s:s}", "url", "https://u:p@host/o/r"), "permanent",
	    "invalid", "url: ");
	awo_fails("verify", NULL, json_pack("{}"), "internal", "invalid", "url: required");
	awo_fails("verify", NULL, json_pack("{s:i}", "url", 3), "internal", "invalid",
	    "url: must be a string");
	awo_fails("nonsense", NULL, json_pack("{}"), "internal", "invalid", "nonsense");
}

/* A remote that has the cache's branches, tags and HEAD, and loses what the remote lost. */
static void
fetch(void **state)
{
	json_t *j;

	(void)state;
	j = awo_ok("fetch", NULL, fetch_request("remote.git", "cache.git"));
	assert_string_equal(str(j, "default_branch"), "trunk");
	assert_true(num(j, "received_bytes") > 0);
	json_decref(j);
	assert_int_equal(
	    sh_status("test \"$(git -C remote.git show-ref)\" = \"$(git -C cache.git show-ref)\""),
	    0);
	assert_string_equal(sh("git -C cache.git symbolic-ref HEAD"), "refs/heads/trunk");
	sh("git -C cache.git fsck --strict 2>&1");
	/* a branch that becomes a directory of branches, a tag that moves, another HEAD */
	sh("cd remote.git && git branch -q -D feat/login && git branch feat trunk && git tag -f v1 "
	   "trunk && "
	   "git symbolic-ref HEAD refs/heads/feat");
	json_decref(awo_ok("fetch", NULL, fetch_request("remote.git", "cache.git")));
	assert_int_equal(
	    sh_status("test \"$(git -C remote.git show-ref)\" = \"$(git -C cache.git show-ref)\""),
	    0);
	assert_string_equal(sh("git -C cache.git symbolic-ref HEAD"), "refs/heads/feat");
	sh("cd remote.git && git branch -q -D feat 2>/dev/null; git symbolic-ref HEAD "
	   "refs/heads/trunk && "
	   "git update-ref -d refs/heads/feat && git branch feat/login trunk");
	json_decref(awo_ok("fetch", NULL, fetch_request("remote.git", "cache.git")));
	assert_int_equal(
	    sh_status("test \"$(git -C remote.git show-ref)\" = \"$(git -C cache.git show-ref)\""),
	    0);
	/* nobody but the owner and its group reads it */
	assert_string_equal(sh("find cache.git -perm /007 | head -1"), "");
}

static void
fetch_refusals(void **state)
{
	(void)state;
	sh("git init -q --bare empty2.git");
	awo_fails("fetch", NULL, fetch_request("empty2.git", "none.git"), "git", "empty",
	    "push a first commit");
	assert_int_equal(access("none.git", F_OK), -1);
	assert_string_equal(sh("ls -d none.git* 2>/dev/null || true"), "");
}

/* The remote's HEAD names a branch that nobody pushed. */
static void
fetch_dangling_head(void **state)
{
	json_t *j;

	(void)state;
	sh("git clone -q --bare src odd.git && git -C odd.git symbolic-ref HEAD refs/heads/master");
	j = awo_ok("fetch", NULL, fetch_request("odd.git", "odd-cache.git"));
	assert_true(json_is_null(json_object_get(j, "default_branch")));
	json_decref(j);
	awo_fails("workspace", NULL, workspace_request("odd-cache.git", "odd", "git_worktree"),
	    "git", "not_found", "base_branch");
	sh("git -C odd.git update-ref -d refs/heads/feat/login");
	j = awo_ok("fetch", NULL, fetch_request("odd.git", "odd-cache.git"));
	assert_string_equal(str(j, "default_branch"), "trunk");
	json_decref(j);
}

static void
fetch_rebuilds(void **state)
{
	static const char *const damages[] = {
	    "rm -rf broken.git/objects/pack/*",
	    "rm -f broken.git/HEAD",
	    "printf garbage >broken.git/packed-refs",
	    "for f in broken.git/objects/pack/*.pack; do chmod u+w $f; truncate -s 50 $f; done",
	    "rm -rf broken.git/refs broken.git/objects",
	    "rm -rf broken.git && mkdir broken.git",
	    "printf '[core' >broken.git/config",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		json_decref(awo_ok("fetch", NULL, fetch_request("remote.git", "broken.git")));
		sh("%s", damages[i]);
		json_decref(awo_ok("fetch", NULL, fetch_request("remote.git", "broken.git")));
		assert_string_equal(sh("git -C broken.git fsck --full 2>&1"), "");
		assert_int_equal(sh_status("test \"$(git -C remote.git show-ref)\" = \"$(git -C "
					   "broken.git show-ref)\""),
		    0);
	}
}

static void
check_workspace(const char *type, const char *name)
{
	json_t *j, *r, *lists;

	json_decref(awo_ok("fetch", NULL, fetch_request("remote.git", "cache.git")));
	j = awo_ok("workspace", NULL, workspace_request("cache.git", name, type));
	assert_string_equal(str(j, "base_branch"), "trunk");
	assert_string_equal(str(j, "base_sha"), sh("git -C remote.git rev-parse trunk"));
	assert_true(json_is_false(json_object_get(j, "kept")));
	assert_string_equal(str(j, "branch"), "trunk");
	json_decref(j);
	assert_string_equal(
	    sh("git -C %s/workspace status --porcelain --ignored", name), "!! .ports.env");
	assert_string_equal(sh("git -C %s/workspace symbolic-ref HEAD", name), "refs/heads/trunk");
	assert_string_equal(
	    sh("git -C %s/workspace config --get-regexp 'branch\\..*' || true", name), "");
	assert_string_equal(
	    sh("git -C %s/workspace remote get-url origin", name), "https://example.org/o/r");
	assert_string_equal(sh("cat %s/workspace/.ports.env", name), "PORT_0=42000");
	assert_string_equal(sh("readlink %s/workspace/link", name), "a/b/f");
	assert_int_equal(sh_status("test -x %s/workspace/run", name), 0);
	assert_string_equal(sh("git -C %s/workspace for-each-ref --format='%%(refname)'", name),
	    "refs/heads/trunk\nrefs/remotes/origin/feat/login\nrefs/remotes/origin/trunk\nrefs/"
	    "tags/v1");
	sh("git -C %s/workspace fsck --strict 2>&1", name);
	/* the agent's own commits need no configuration */
	sh("cd %s/workspace && env -u GIT_AUTHOR_NAME -u GIT_AUTHOR_EMAIL -u GIT_COMMITTER_NAME -u "
	   "GIT_COMMITTER_EMAIL "
	   "git commit -q --allow-empty -m x && test \"$(git log -1 --format=%%an/%%ce)\" = "
	   "Bot/bot@example.org && "
	   "git reset -q --hard HEAD~1",
	    name);
	/* what an agent did to its tree is left alone */
	sh("echo changed >>%s/workspace/run; rm %s/workspace/.ports.env; mkdir -p "
	   "%s/workspace/.ports.env/x",
	    name, name, name);
	r = workspace_request("cache.git", name, type);
	json_object_set_new(r, "list", json_pack("[s, s, s, s]", "a", "a/b", "nowhere", "run"));
	j = awo_ok("workspace", NULL, r);
	assert_true(json_is_true(json_object_get(j, "kept")));
	/* files only, and of directories only */
	lists = json_object_get(j, "lists");
	assert_int_equal(json_object_size(lists), 2);
	assert_int_equal(json_array_size(json_object_get(lists, "a")), 0);
	assert_string_equal(
	    json_string_value(json_array_get(json_object_get(lists, "a/b"), 0)), "f");
	json_decref(j);
	assert_string_equal(sh("git -C %s/workspace status --porcelain", name), " M run");
	assert_string_equal(sh("cat %s/workspace/.ports.env", name), "PORT_0=42000");
}

static void
workspace_shared(void **state)
{
	(void)state;
	check_workspace("git_worktree", "w1");
	assert_int_equal(
	    sh_status(
		"test \"$(cat w1/workspace/.git/objects/info/alternates)\" = %s/cache.git/objects",
		here),
	    0);
	assert_string_equal(sh("cat w1/repository.git/objects/info/alternates | wc -l"), "1");
}

static void
workspace_clone(void **state)
{
	(void)state;
	check_workspace("git_branch", "w2");
	assert_int_equal(access("w2/workspace/.git/objects/info/alternates", F_OK), -1);
	/* it stands alone */
	sh("mv cache.git away.git && git -C w2/workspace fsck --full 2>&1 && git -C w2/workspace "
	   "log --oneline trunk; "
	   "r=$?; mv away.git cache.git; exit $r");
}

static void
workspace_bases(void **state)
{
	json_t *r = workspace_request("cache.git", "w3", "git_worktree"), *j;

	(void)state;
	json_object_set_new(r, "base_branch", json_string("feat/login"));
	j = awo_ok("workspace", NULL, r);
	assert_string_equal(str(j, "base_branch"), "feat/login");
	json_decref(j);
	assert_string_equal(sh("git -C w3/workspace symbolic-ref HEAD"), "refs/heads/feat/login");
	r = workspace_request("cache.git", "w4", "git_worktree");
	json_object_set_new(r, "base_branch", json_string("feat/logn"));
	awo_fails("workspace", NULL, r, "git", "not_found", "did you mean feat/login?");
	r = workspace_request("cache.git", "w4", "git_worktree");
	json_object_set_new(r, "base_branch", json_string("../../etc"));
	awo_fails("workspace", NULL, r, "git", "invalid", "base_branch");
	awo_fails("workspace", NULL, workspace_request("cache.git", "w4", "e2b"), "permanent",
	    "invalid", "type: e2b");
}

/* A run that was killed between its steps is finished by the next one. */
static void
workspace_unfinished(void **state)
{
	json_t *j;

	(void)state;
	json_decref(
	    awo_ok("workspace", NULL, workspace_request("cache.git", "w5", "git_worktree")));
	sh("touch w5/repository.git/awo-workspace-unfinished && rm w5/workspace/run && echo half "
	   ">w5/workspace/half");
	j = awo_ok("workspace", NULL, workspace_request("cache.git", "w5", "git_worktree"));
	assert_true(json_is_false(json_object_get(j, "kept")));
	json_decref(j);
	assert_string_equal(sh("git -C w5/workspace status --porcelain"), "");
	/* directories that were made beforehand, empty */
	sh("mkdir -p w6/workspace w6/repository.git");
	json_decref(awo_ok("workspace", NULL, workspace_request("cache.git", "w6", "git_branch")));
	assert_string_equal(sh("git -C w6/workspace status --porcelain"), "");
}

/* The work tree is gone, the clean repository has the order's commits: they come back, whatever the
 * agent left behind. */
static void
workspace_resume(void **state)
{
	json_t *r, *j;

	(void)state;
	json_decref(
	    awo_ok("workspace", NULL, workspace_request("cache.git", "w7", "git_worktree")));
	sh("cd w7/workspace && echo work >>run && git commit -qam work && git push -q "
	   "../repository.git HEAD:refs/awo/head");
	sh("rm -rf w7/workspace/.git w7/workspace/a && ln -s /etc w7/workspace/a");
	r = workspace_request("cache.git", "w7", "git_worktree");
	json_object_set_new(r, "branch", json_string("feat/work-wo-1"));
	j = awo_ok("workspace", NULL, r);
	assert_true(json_is_true(json_object_get(j, "resumed")));
	assert_true(json_is_false(json_object_get(j, "kept")));
	assert_string_equal(
	    str(j, "head_sha"), sh("git -C w7/repository.git rev-parse refs/awo/head"));
	assert_string_equal(str(j, "base_sha"), sh("git -C remote.git rev-parse trunk"));
	json_decref(j);
	assert_string_equal(
	    sh("git -C w7/workspace log -1 --format='%%s %%D'"), "work HEAD -> feat/work-wo-1");
	assert_string_equal(sh("git -C w7/workspace status --porcelain"), "");
	assert_int_equal(sh_status("test -f w7/workspace/a/b/f && test ! -L w7/workspace/a"), 0);
	/* and the base stays what it was when the remote goes on */
	sh("cd src && echo three >>run && git commit -qam three && git push -q ../remote.git "
	   "trunk");
	json_decref(awo_ok("fetch", NULL, fetch_request("remote.git", "cache.git")));
	j = awo_ok("workspace", NULL, workspace_request("cache.git", "w7", "git_worktree"));
	assert_string_equal(str(j, "base_sha"), sh("git -C remote.git rev-parse trunk~1"));
	json_decref(j);
}

/* A repository that has a file of the ports' name does not see it change. */
static void
workspace_tracked_ports(void **state)
{
	(void)state;
	sh("git clone -q remote.git tracked && cd tracked && echo theirs >.ports.env && git add -f "
	   ".ports.env && "
	   "git commit -qm ports && git clone -q --bare . ../tracked.git");
	json_decref(awo_ok("fetch", NULL, fetch_request("tracked.git", "tracked-cache.git")));
	json_decref(awo_ok(
	    "workspace", NULL, workspace_request("tracked-cache.git", "w8", "git_worktree")));
	assert_string_equal(sh("cat w8/workspace/.ports.env"), "PORT_0=42000");
	assert_string_equal(sh("git -C w8/workspace status --porcelain"), "");
}

/* Attributes of the repository say how files look; names and quotes of a person go into the settings as they are. */
static void
workspace_attributes_and_names(void **state)
{
	json_t *r;

	(void)state;
	sh("git init -q -b main attr && cd attr && echo '*.txt text eol=crlf' >.gitattributes && "
	   "printf 'one\\n' >a.txt && printf 'one\\n' >a.c && git add . && git commit -qm one && "
	   "git clone -q --bare . ../attr.git");
	json_decref(awo_ok("fetch", NULL, fetch_request("attr.git", "attr-cache.git")));
	r = workspace_request("attr-cache.git", "w9", "git_worktree");
	json_object_set_new(r, "author_name", json_string("A \"B\" \\ C; # d\n[x]"));
	json_decref(awo_ok("workspace", NULL, r));
	assert_string_equal(sh("od -An -c w9/workspace/a.txt | tr -d ' \n'"), "one\\r\\n");
	assert_string_equal(sh("od -An -c w9/workspace/a.c | tr -d ' \n'"), "one\\n");
	assert_string_equal(sh("git -C w9/workspace status --porcelain"), "");
	assert_string_equal(
	    sh("git -C w9/workspace config user.name"), "A \"B\" \\ C; # d\n[x]");
	assert_string_equal(sh("git -C w9/workspace config --get-regexp '^x' || echo none"), "none");
}

/*
 * git compares whole seconds. Files as old as their index it would read again at every look, and copy out of
 * a read-only cache when it adds them; a change of the same second and size must be seen all the same.
 */
static void
workspace_is_not_racy(void **state)
{
	(void)state;
	json_decref(awo_ok(
	    "workspace", NULL, workspace_request("attr-cache.git", "w10", "git_worktree")));
	sh("cd w10/workspace && printf 'two\\n' >a.c");
	assert_string_equal(sh("git -C w10/workspace status --porcelain"), " M a.c");
	sh("cd w10/workspace && git checkout -q a.c");
	assert_string_equal(sh("cd w10/workspace && find . -path ./.git -prune -o -type f ! -name .ports.env ! -name a.c "
			       "-newermt \"$(date -d \"$(stat -c %%y .git/config)\" '+%%F %%T') 1 second ago\" -print"),
	    "");
}

/* Files that two threads check out at once are what git itself would make of them. */
static void
workspace_of_many(void **state)
{
	(void)state;
	sh("git init -q -b main many && cd many && for i in $(seq 130); do mkdir -p d$((i %% 7))/e$((i %% 3)) top; "
	   "echo $i >d$((i %% 7))/e$((i %% 3))/f$i; echo $i >top/$i; done && chmod +x top/7 && ln -s 7 top/link && "
	   "ln -s nowhere d0/e0/link && echo a >a && echo z >z && git add . && git commit -qm many && "
	   "git clone -q --bare . ../many.git");
	for (int i = 0; i < 5; i++) {
		json_decref(awo_ok("workspace", NULL, workspace_request("many.git", "w11", "git_worktree")));
		assert_string_equal(sh("git -C w11/workspace status --porcelain"), "");
		assert_string_equal(sh("cd w11/workspace && GIT_TRACE2_PERF=1 git status 2>&1 >/dev/null | grep -c 'sum_scan:0$'"), "1");
		assert_string_equal(sh("diff -r --no-dereference -x .git -x .ports.env many w11/workspace && "
				       "test -x w11/workspace/top/7 && test ! -x w11/workspace/top/8 && "
				       "test -L w11/workspace/d0/e0/link && echo same"),
		    "same");
		sh("rm -rf w11");
	}
	/* what fails in one of the two is told */
	for (int i = 0; i < 2; i++) {
		sh("rm -rf damaged.git && git clone -q --bare --no-hardlinks many damaged.git && cd damaged.git && "
		   "o=$(git rev-parse main:%s) && rm -f objects/$(echo $o | cut -c1-2)/$(echo $o | cut -c3-)",
		    i == 0 ? "a" : "z");
		awo_fails("workspace", NULL, workspace_request("damaged.git", "w12", "git_worktree"), "internal", "other", "damaged");
		sh("rm -rf w12");
	}
}

/* A tree that names what is outside of it, or git's own directory, is not checked out. */
static void
workspace_hostile_names(void **state)
{
	static const char *const names[] = {"..", ".git", ".GIT", "."};

	(void)state;
	sh("git init -q --bare -b main evil.git && mkdir -p victim && echo safe >victim/f && touch -d 2001-01-01 victim/f");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		json_t *j;

		sh("cd evil.git && b=$(echo evil | git hash-object -w --stdin) && d=$(printf '100644 blob %%s\tf\n' $b | git mktree) && "
		   "{ for i in $(seq 60); do printf '100644 blob %%s\tx%%02d\n' $b $i; done; printf '040000 tree %%s\t%%s\n' $d '%s'; } "
		   "| git mktree >tree && git update-ref refs/heads/main $(git commit-tree -m evil $(cat tree))",
		    names[i]);
		j = awo("workspace", NULL, workspace_request("evil.git", "victim", "git_worktree"), NULL, NULL);
		assert_false(json_is_true(json_object_get(j, "ok")));
		json_decref(j);
		assert_string_equal(sh("cat victim/f; date -r victim/f +%%Y; test ! -e victim/workspace/.git/f && echo none"),
		    "safe\n2001\nnone");
		sh("rm -rf victim/workspace victim/repository.git");
	}
}

static void
no_configuration_from_outside(void **state)
{
	(void)state;
	/* url.insteadOf of the user would send the fetch elsewhere */
	sh("printf '[url \"%s/empty.git\"]\\n\\tinsteadOf = %s/remote.git\\n' >.gitconfig", here,
	    here);
	json_decref(awo_ok("fetch", NULL, fetch_request("remote.git", "cfg.git")));
	sh("rm .gitconfig");
	/* and hooks in a template are not copied */
	assert_string_equal(sh("find w1/workspace/.git cache.git w1/repository.git -path "
			       "'*hooks/*' ! -name README.sample"),
	    "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(verify),
	    cmocka_unit_test(verify_refusals),
	    cmocka_unit_test(fetch),
	    cmocka_unit_test(fetch_refusals),
	    cmocka_unit_test(fetch_dangling_head),
	    cmocka_unit_test(fetch_rebuilds),
	    cmocka_unit_test(workspace_shared),
	    cmocka_unit_test(workspace_clone),
	    cmocka_unit_test(workspace_bases),
	    cmocka_unit_test(workspace_unfinished),
	    cmocka_unit_test(workspace_resume),
	    cmocka_unit_test(workspace_tracked_ports),
	    cmocka_unit_test(workspace_attributes_and_names),
	    cmocka_unit_test(workspace_is_not_racy),
	    cmocka_unit_test(workspace_of_many),
	    cmocka_unit_test(workspace_hostile_names),
	    cmocka_unit_test(no_configuration_from_outside),
	};

	return cmocka_run_group_tests(tests, setup, git_run_teardown);
}
