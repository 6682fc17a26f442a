/* Numbers, diffs and files of a branch, against what git says. */
#include "tests/unit/cmocka_all.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/git_run.h"
#include "tests/unit/patience.h"

static char here[4096];

static int
setup(void **state)
{
	if (git_run_setup(state) < 0 || getcwd(here, sizeof(here)) == NULL)
		return -1;
	sh("git init -q -b main r && cd r && git config diff.renames true");
	return 0;
}

static json_t *
range(const char *base, const char *head)
{
	char *b = strdup(sh("git -C r rev-parse %s", base));
	json_t *j = json_pack("{s:o, s:s, s:s}", "clean_dir", json_sprintf("%s/r/.git", here),
	    "base_sha", b, "head", sh("git -C r rev-parse %s", head));

	free(b);
	return j;
}

/* Compares everything that git can say with the program's answer. */
static json_t *
check(const char *base, const char *head)
{
	json_t *j = awo_ok("progress", NULL, range(base, head));

	assert_int_equal(
	    num(j, "git_commit_count"), atoll(sh("git -C r rev-list --count %s..%s", base, head)));
	assert_int_equal(num(j, "git_files_changed"),
	    atoll(sh("git -C r diff --numstat %s...%s | wc -l", base, head)));
	assert_int_equal(num(j, "git_lines_added"),
	    atoll(
		sh("git -C r diff --numstat %s...%s | awk '{s+=$1} END {print s+0}'", base, head)));
	assert_int_equal(num(j, "git_lines_removed"),
	    atoll(
		sh("git -C r diff --numstat %s...%s | awk '{s+=$2} END {print s+0}'", base, head)));
	assert_string_equal(str(j, "latest_commit_sha"), sh("git -C r rev-parse %s", head));
	return j;
}

static void
numbers(void **state)
{
	(void)state;
	sh("cd r && seq 1 100 >a && seq 1 50 >b && head -c 3000 /dev/urandom >bin && printf x "
	   ">noeol && mkdir d && "
	   "seq 200 400 >d/long && : >empty && ln -s a link && git add . && git commit -qm 'base' "
	   "&& git tag base");
	sh("cd r && git switch -qc work && sed -i 's/^5$/five/' a && git commit -qam 'feat: change "
	   "a'");
	json_decref(check("base", "work"));
	/* moved and changed, moved only, copied, emptied, binary changed, mode changed, link to
	 * file */
	sh("cd r && git mv d/long d/moved && seq 1000 1020 >>d/moved && git mv b c && cp a a2 && : "
	   ">noeol && "
	   "head -c 4000 /dev/urandom >bin && chmod +x a && rm link && echo file >link && git mv "
	   "empty empty2 && "
	   "printf 'no end' >noeol2 && git add -A && git commit -qm 'refactor: shuffle'");
	json_decref(check("base", "work"));
	/* line ends, long lines, similar files that compete for one source */
	sh("cd r && sed -i 's/$/\\r/' c && (seq 1 60; echo q) >n1 && (seq 1 80; echo r) >n2 && git "
	   "rm -q a2 && "
	   "head -c 100000 /dev/zero | tr '\\0' y >wide && git add -A && git commit -qm 'fix: "
	   "more'");
	json_decref(check("base", "work"));
	json_decref(check("work~1", "work"));
	json_decref(check("work", "work"));
	json_decref(check("work", "base"));
}

/* A file where a directory was and the other way round, a submodule, and modes as old programs wrote them. */
static void
kinds(void **state)
{
	char from[64], to[64];
	json_t *j;

	(void)state;
	sh("cd r && git switch -qc kinds base && git rm -rq d/long && echo file >d && rm a && mkdir a && "
	   "seq 3 >a/x && seq 4 >a.b && git add -A && "
	   "git update-index --add --cacheinfo 160000,$(git rev-parse base),sub && git commit -qm 'fix: kinds'");
	json_decref(check("base", "kinds"));
	json_decref(check("kinds", "base"));
	(void)snprintf(from, sizeof(from), "%s",
	    sh("cd r && git commit-tree -m old $(printf '100664 blob %%s\ta\n100644 blob %%s\tb\n' "
	       "$(git rev-parse base:a base:b) | git mktree)"));
	assert_string_equal(sh("git -C r cat-file tree %s^{tree} | head -c 6", from), "100664");
	(void)snprintf(to, sizeof(to), "%s",
	    sh("cd r && git commit-tree -p %s -m new $(printf '100644 blob %%s\ta\n100755 blob %%s\tb\n' "
	       "$(git rev-parse base:a base:b) | git mktree)",
		from));
	j = check(from, to);
	assert_int_equal(num(j, "git_files_changed"), 1);
	json_decref(j);
}

/* The base went on meanwhile, and was merged in. */
static void
forked(void **state)
{
	json_t *j;

	(void)state;
	sh("cd r && git switch -q main && seq 1 9 >upstream && git add . && git commit -qm up && "
	   "git switch -qc side base && "
	   "mkdir -p tests && echo t >tests/x_test.c && git add . && git commit -qm 'test: x'");
	json_decref(check("main", "side"));
	sh("cd r && git merge -q --no-edit main && echo t >>tests/x_test.c && git commit -qam "
	   "'test: y'");
	j = check("main", "side");
	/* the merge is of the phase around it */
	assert_int_equal(json_array_size(json_object_get(j, "phase_history")), 1);
	assert_string_equal(str(j, "current_phase"), "testing");
	json_decref(j);
	json_decref(check("base", "side"));
}

static void
history(void **state)
{
	json_t *j, *h;

	(void)state;
	sh("cd r && git switch -qc story base && mkdir -p PRPs tests && echo p >PRPs/x.md && git "
	   "add . && "
	   "GIT_COMMITTER_DATE=2024-05-01T10:00:00Z git commit -qm 'x: outline' && echo 1 >>a && "
	   "GIT_COMMITTER_DATE=2024-05-01T11:00:00Z git commit -qam 'feat: one' && echo 2 >>a && "
	   "GIT_COMMITTER_DATE=2024-05-01T12:00:00Z git commit -qam 'feat: two' && echo t "
	   ">tests/a.c && git add . && "
	   "GIT_COMMITTER_DATE=2024-05-01T13:00:00Z git commit -qm 'cover it\n\nBody \xff here'");
	j = check("base", "story");
	h = json_object_get(j, "phase_history");
	assert_int_equal(json_array_size(h), 3);
	assert_string_equal(str(json_array_get(h, 0), "phase"), "planning");
	assert_string_equal(str(json_array_get(h, 0), "started_at"), "2024-05-01T10:00:00.000000Z");
	assert_string_equal(
	    str(json_array_get(h, 0), "completed_at"), "2024-05-01T11:00:00.000000Z");
	assert_int_equal(num(json_array_get(h, 0), "commits"), 1);
	assert_string_equal(str(json_array_get(h, 1), "phase"), "implementing");
	assert_int_equal(num(json_array_get(h, 1), "commits"), 2);
	assert_string_equal(str(json_array_get(h, 2), "phase"), "testing");
	assert_true(json_is_null(json_object_get(json_array_get(h, 2), "completed_at")));
	assert_string_equal(str(j, "current_phase"), "testing");
	json_decref(j);
}

/* No commit yet: no phase, and no error. */
static void
nothing_yet(void **state)
{
	json_t *r, *j;

	(void)state;
	r = range("base", "base");
	json_object_del(r, "head");
	json_object_set_new(r, "branch", json_string("feat/x"));
	j = awo_ok("progress", NULL, r);
	assert_int_equal(num(j, "git_commit_count"), 0);
	assert_true(json_is_null(json_object_get(j, "current_phase")));
	assert_true(json_is_null(json_object_get(j, "latest_commit_sha")));
	assert_string_equal(str(j, "git_branch_name"), "feat/x");
	json_decref(j);
	sh("git -C r update-ref refs/awo/head work");
	r = range("base", "base");
	json_object_del(r, "head");
	j = awo_ok("progress", NULL, r);
	assert_string_equal(str(j, "latest_commit_sha"), sh("git -C r rev-parse work"));
	json_decref(j);
	awo_fails("progress", NULL,
	    json_pack(
		"{s:o, s:s}", "clean_dir", json_sprintf("%s/r/.git", here), "base_sha", "HEAD"),
	    "internal", "invalid", "base_sha");
	awo_fails("progress", NULL,
	    json_pack("{s:s, s:s}", "clean_dir", "/nonexistent", "base_sha", "HEAD"), "internal",
	    "not_found", "/nonexistent");
}

static void
diff(void **state)
{
	json_t *r, *j, *f;
	size_t i;

	(void)state;
	j = awo_ok("diff", NULL, range("base", "work"));
	/* the patch makes the one tree of the other */
	assert_true(json_is_false(json_object_get(j, "truncated")));
	json_array_foreach(json_object_get(j, "files"), i, f)
	{
		if (strcmp(str(f, "path"), "d/moved") == 0) {
			assert_string_equal(str(f, "status"), "renamed");
			assert_int_equal(num(f, "lines_added"), 21);
		}
		if (strcmp(str(f, "path"), "bin") == 0)
			assert_true(json_is_true(json_object_get(f, "binary")));
		if (strcmp(str(f, "path"), "link") == 0)
			assert_string_equal(str(f, "status"), "typechange");
	}
	assert_true(i > 5);
	json_decref(j);
	r = range("base", "work");
	json_object_set_new(r, "path", json_string("d"));
	j = awo_ok("diff", NULL, r);
	assert_non_null(strstr(str(j, "patch"), "d/moved"));
	assert_null(strstr(str(j, "patch"), "wide"));
	json_decref(j);
	/* no beginning of a name */
	r = range("base", "work");
	json_object_set_new(r, "path", json_string("noeo"));
	j = awo_ok("diff", NULL, r);
	assert_int_equal(json_array_size(json_object_get(j, "files")), 0);
	json_decref(j);
	/* a pathspec is a path and nothing more */
	r = range("base", "work");
	json_object_set_new(r, "path", json_string("*"));
	j = awo_ok("diff", NULL, r);
	assert_int_equal(json_array_size(json_object_get(j, "files")), 0);
	json_decref(j);
	r = range("base", "work");
	json_object_set_new(r, "max_bytes", json_integer(1000));
	j = awo_ok("diff", NULL, r);
	assert_true(json_is_true(json_object_get(j, "truncated")));
	assert_true(json_string_length(json_object_get(j, "patch")) <= 1000);
	json_decref(j);
	r = range("base", "work");
	json_object_set_new(r, "format", json_string("stat"));
	j = awo_ok("diff", NULL, r);
	assert_string_equal(str(j, "patch"), "");
	assert_true(json_array_size(json_object_get(j, "files")) > 5);
	json_decref(j);
}

static void
patch_applies(void **state)
{
	json_t *j;
	FILE *f;

	(void)state;
	sh("cd r && git switch -qc text base && sed -i '3,40d' a && echo 'caf\xc3\xa9' >>c.txt && "
	   "git add . && git commit -qm t");
	j = awo_ok("diff", NULL, range("base", "text"));
	f = fopen("patch", "w");
	assert_non_null(f);
	fputs(str(j, "patch"), f);
	fclose(f);
	json_decref(j);
	sh("cd r && git switch -q --detach base && git apply --index ../patch && test -z \"$(git "
	   "diff text)\" && "
	   "git reset -q --hard && git switch -q work");
}

static void
changed_show_list(void **state)
{
	const char *dir = sh("git -C r rev-parse base");
	char sha[64];
	json_t *j, *e;

	(void)state;
	(void)snprintf(sha, sizeof(sha), "%s", dir);
	j = awo_ok("changed", NULL, range("base", "story"));
	assert_int_equal(json_array_size(json_object_get(j, "files")), 3);
	assert_string_equal(
	    str(json_array_get(json_object_get(j, "files"), 0), "path"), "PRPs/x.md");
	assert_string_equal(str(json_array_get(json_object_get(j, "files"), 0), "status"), "added");
	json_decref(j);
#define AT(path_)                                                                                  \
	json_pack("{s:o, s:s, s:s}", "clean_dir", json_sprintf("%s/r/.git", here), "sha", sha,     \
	    "path", (path_))
	j = awo_ok("show", NULL, AT("d/long"));
	assert_int_equal(num(j, "size"), json_string_length(json_object_get(j, "content")));
	assert_memory_equal(str(j, "content"), "200\n201\n", 8);
	json_decref(j);
	awo_fails("show", NULL, AT("link"), "git", "invalid", "no regular file");
	awo_fails("show", NULL, AT("d"), "git", "invalid", "no regular file");
	awo_fails("show", NULL, AT("nope"), "git", "not_found", "nope");
	awo_fails("show", NULL, AT("../r/a"), "git", "not_found", "../r/a");
	e = AT("d/long");
	json_object_set_new(e, "max_bytes", json_integer(10));
	awo_fails("show", NULL, e, "git", "invalid", "more than the 10 allowed");
#undef AT
}

/* Long histories cost no more than they cost git: only the branch is walked. */
static void
long_history(void **state)
{
	struct timespec a, b;
	double seconds;

	(void)state;
	sh("git init -q -b main big && cd big && (i=1; while [ $i -le 20000 ]; do "
	   "printf 'commit refs/heads/main\\ncommitter A <a@x> %%d +0000\\ndata 2\\nx\\nM 100644 "
	   "inline f%%d\\ndata 3\\n%%03d\\n' "
	   "$((1600000000 + i)) $((i %% 50)) $((i %% 1000)); i=$((i + 1)); done) | git fast-import "
	   "--quiet && "
	   "git tag base main~5 && git repack -adq");
	clock_gettime(CLOCK_MONOTONIC, &a);
	json_t *j = awo_ok("progress", NULL,
	    json_pack("{s:o, s:o, s:o}", "clean_dir", json_sprintf("%s/big/.git", here), "base_sha",
		json_string(sh("git -C big rev-parse base")), "head",
		json_string(sh("git -C big rev-parse main"))));
	clock_gettime(CLOCK_MONOTONIC, &b);
	assert_int_equal(num(j, "git_commit_count"), 5);
	json_decref(j);
	seconds = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
	print_message("progress of 5 commits on 20000: %.3f s\n", seconds);
	assert_true(seconds < patience(10));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(numbers),
	    cmocka_unit_test(kinds),
	    cmocka_unit_test(forked),
	    cmocka_unit_test(history),
	    cmocka_unit_test(nothing_yet),
	    cmocka_unit_test(diff),
	    cmocka_unit_test(patch_applies),
	    cmocka_unit_test(changed_show_list),
	    cmocka_unit_test(long_history),
	};

	return cmocka_run_group_tests(tests, setup, git_run_teardown);
}
