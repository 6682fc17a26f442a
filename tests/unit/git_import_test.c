/* What comes out of an agent's sandbox: good packs are taken, bad ones leave the clean repository
 * as it was. */
#include "tests/unit/cmocka_all.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/git_run.h"
#include "tests/unit/patience.h"

static char here[4096], base[64];

/* clean.git has the base; agent is a repository in which an agent may do what it likes. */
static int
setup(void **state)
{
	if (git_run_setup(state) < 0 || getcwd(here, sizeof(here)) == NULL)
		return -1;
	sh("git init -q -b main agent && cd agent && echo a >a && mkdir d && echo b >d/b && git "
	   "add . && git commit -qm base && "
	   "git tag base && git clone -q --bare . ../origin.git");
	(void)snprintf(base, sizeof(base), "%s", sh("git -C agent rev-parse base"));
	return 0;
}

static int
fresh(void **state)
{
	(void)state;
	sh("rm -rf clean.git && git init -q --bare clean.git && echo %s/origin.git/objects "
	   ">clean.git/objects/info/alternates && "
	   "git -C clean.git update-ref refs/awo/base %s && cd agent && git switch -q "
	   "--discard-changes -C work base && "
	   "git clean -qfdx",
	    here, base);
	return 0;
}

static json_t *
request(const char *head)
{
	return json_pack("{s:o, s:s, s:s, s:s}", "clean_dir", json_sprintf("%s/clean.git", here),
	    "head", head, "base_sha", base, "branch", "work");
}

/* Exports from the agent's repository and imports, asking what changed since a commit unless it is NULL; the answer of the import. */
static json_t *
carry_since(const char *since)
{
	char *commit = since != NULL ? strdup(since) : NULL;
	json_t *j = awo("tree-info", "agent", json_pack("{s:[s]}", "have", base), NULL, "pack"), *r;

	if (!json_is_true(json_object_get(j, "ok"))) {
		char *s = json_dumps(j, 0);

		print_message("%s\n", s);
		free(s);
	}
	assert_true(json_is_true(json_object_get(j, "ok")));
	r = request(str(j, "head_sha"));
	if (commit != NULL)
		json_object_set_new(r, "changed_since", json_string(commit));
	free(commit);
	r = awo("import", NULL, r, "pack", NULL);
	json_decref(j);
	return r;
}

static json_t *
carry(void)
{
	return carry_since(NULL);
}

/* A pack of git's own making, of these objects, with this commit as head. */
static void
refused(const char *head, const char *objects, const char *text)
{
	char *h = strdup(head);
	json_t *j;

	sh("cd agent && (%s) | git pack-objects --stdout -q >../pack", objects);
	j = awo("import", NULL, request(h), "pack", NULL);
	assert_error(j, "git", "invalid", text);
	json_decref(j);
	free(h);
	/* nothing came in */
	assert_int_not_equal(sh_status("git -C clean.git rev-parse -q --verify refs/awo/head"), 0);
	assert_string_equal(
	    sh("find clean.git -name '*.pack'; ls clean.git | grep incoming || true"), "");
}

/* A commit of a raw tree (mktree would refuse it): its name. All objects of it by rev-list. */
static const char *
commit_of(const char *tree)
{
	return sh("cd agent && echo bad | git commit-tree -p base %s", tree);
}

static void
refused_tree(const char *make, const char *text)
{
	char *tree =
	    strdup(sh("cd agent && %s | git hash-object -t tree --literally -w --stdin", make));
	char *c = strdup(commit_of(tree)), objects[512];

	(void)snprintf(objects, sizeof(objects), "echo %s; echo %s", c, tree);
	refused(c, objects, text);
	free(c);
	free(tree);
}

static void
good(void **state)
{
	json_t *j, *c;

	(void)state;
	sh("cd agent && mkdir -p PRPs && echo p >PRPs/p.md && git add . && git commit -qm 'plan: "
	   "it' && echo 1 >>a && git rm -q d/b && "
	   "git commit -qam 'feat: do it'");
	j = carry();
	assert_true(json_is_true(json_object_get(j, "ok")));
	assert_int_equal(json_array_size(json_object_get(j, "commits")), 2);
	c = json_array_get(json_object_get(j, "commits"), 0);
	assert_string_equal(str(c, "subject"), "plan: it");
	assert_string_equal(str(c, "phase"), "planning");
	c = json_array_get(json_object_get(j, "commits"), 1);
	assert_string_equal(str(c, "phase"), "implementing");
	assert_int_equal(num(c, "files_changed"), 2);
	assert_int_equal(num(c, "lines_added"), 1);
	assert_int_equal(num(c, "lines_removed"), 1);
	assert_int_equal(num(j, "git_commit_count"), 2);
	assert_int_equal(num(j, "git_files_changed"), 3);
	assert_string_equal(str(j, "phase"), "implementing");
	/* nobody asked for it */
	assert_null(json_object_get(j, "changed"));
	json_decref(j);
	sh("git -C clean.git fsck --strict --full 2>&1");
	assert_int_equal(sh_status("test $(git -C clean.git rev-parse refs/awo/head) = $(git -C "
				   "agent rev-parse work)"),
	    0);
	/* once more with nothing new, and then one more commit */
	j = carry();
	assert_int_equal(json_array_size(json_object_get(j, "commits")), 0);
	assert_int_equal(num(j, "git_commit_count"), 2);
	assert_string_equal(str(j, "phase"), "implementing");
	json_decref(j);
	sh("cd agent && mkdir tests && echo t >tests/t.c && git add . && git commit -qm 'test: "
	   "it'");
	j = carry_since(sh("git -C agent rev-parse HEAD^"));
	assert_int_equal(json_array_size(json_object_get(j, "commits")), 1);
	assert_int_equal(num(j, "git_commit_count"), 3);
	assert_int_equal(json_array_size(json_object_get(j, "changed")), 1);
	c = json_array_get(json_object_get(j, "changed"), 0);
	assert_string_equal(str(c, "path"), "tests/t.c");
	assert_string_equal(str(c, "status"), "added");
	json_decref(j);
	sh("git -C clean.git fsck --strict --full 2>&1");
}

static void
nothing(void **state)
{
	json_t *j = carry();

	(void)state;
	assert_true(json_is_true(json_object_get(j, "ok")));
	assert_int_equal(num(j, "git_commit_count"), 0);
	assert_true(json_is_null(json_object_get(j, "phase")));
	assert_string_equal(str(j, "head_sha"), base);
	json_decref(j);
	assert_string_equal(sh("wc -c <pack"), "0");
	/* no branch at all */
	sh("git init -q unborn");
	j = awo("tree-info", "unborn", json_pack("{s:[s]}", "have", base), NULL, "pack");
	assert_true(json_is_null(json_object_get(j, "head_sha")));
	assert_int_equal(num(j, "commits"), 0);
	json_decref(j);
}

static void
detached(void **state)
{
	json_t *j;

	(void)state;
	sh("cd agent && git switch -q --detach && git commit -q --allow-empty -m x");
	j = awo("tree-info", "agent", json_pack("{s:[s]}", "have", base), NULL, "pack");
	assert_true(json_is_null(json_object_get(j, "branch")));
	assert_int_equal(num(j, "commits"), 1);
	json_decref(j);
}

static void
merges_and_moves(void **state)
{
	json_t *j;

	(void)state;
	sh("cd agent && seq 300 >long && git add . && git commit -qm long && git switch -qc other "
	   "base && echo o >o && git add . && "
	   "git commit -qm other && git switch -q work && git merge -q --no-edit other && git mv "
	   "long longer && git commit -qm mv");
	j = carry();
	assert_true(json_is_true(json_object_get(j, "ok")));
	assert_int_equal(num(j, "git_commit_count"), 4);
	json_decref(j);
	sh("git -C clean.git fsck --strict --full 2>&1");
}

static void
hostile_trees(void **state)
{
	static const char *const names[] = {
	    ".git", ".GIT", "git~1", ".git ", ".g\\342\\200\\214it", "..", "."};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char make[512];

		(void)snprintf(make, sizeof(make),
		    "{ printf '40000 %s\\0'; git rev-parse base^{tree} | perl -ne 'print "
		    "pack(q(H40),$_)'; }",
		    names[i]);
		refused_tree(make, "the tree");
	}
	refused_tree(
	    "{ printf '100644 b\\0'; git rev-parse base:a | perl -ne 'print pack(q(H40),$_)'; "
	    "printf '100644 a\\0'; git rev-parse base:a | perl -ne 'print pack(q(H40),$_)'; }",
	    "out of order");
	refused_tree(
	    "{ printf '100644 a\\0'; git rev-parse base:a | perl -ne 'print pack(q(H40),$_)'; "
	    "printf '100644 a\\0'; git rev-parse base:a | perl -ne 'print pack(q(H40),$_)'; }",
	    "twice");
	refused_tree(
	    "{ printf '100666 a\\0'; git rev-parse base:a | perl -ne 'print pack(q(H40),$_)'; }",
	    "mode");
	refused_tree(
	    "{ printf '100644 a/b\\0'; git rev-parse base:a | perl -ne 'print pack(q(H40),$_)'; }",
	    "slash");
}

/* A bad tree that HEAD does not reach would be believed by the next import. */
static void
hostile_bystander(void **state)
{
	char *tree, *c;
	char objects[512];

	(void)state;
	tree = strdup(sh("cd agent && { printf '40000 .git\\0'; git rev-parse base^{tree} | perl "
			 "-ne 'print pack(q(H40),$_)'; } | "
			 "git hash-object -t tree --literally -w --stdin"));
	c = strdup(sh("cd agent && echo good | git commit-tree -p base base^{tree}"));
	(void)snprintf(objects, sizeof(objects), "echo %s; echo %s", c, tree);
	refused(c, objects, "the tree");
	free(tree);
	free(c);
}

static void
hostile_modules(void **state)
{
	char *blob, *tree, *c;
	char objects[512];

	(void)state;
	blob = strdup(sh("cd agent && printf '[submodule \"x\"]\\n\\tpath = x\\n\\turl = "
			 "-u./payload\\n' | git hash-object -w --stdin"));
	tree =
	    strdup(sh("cd agent && printf '100644 blob %s\\t.gitmodules\\n' | git mktree", blob));
	c = strdup(commit_of(tree));
	(void)snprintf(objects, sizeof(objects), "echo %s; echo %s; echo %s", c, tree, blob);
	refused(c, objects, "an option to git");
	free(blob);
	free(tree);
	free(c);
}

static void
missing_objects(void **state)
{
	char *c, objects[512];

	(void)state;
	sh("cd agent && echo new >n && git add . && git commit -qm n");
	c = strdup(sh("cd agent && git rev-parse HEAD"));
	/* the blob, the tree, the commit itself left out */
	(void)snprintf(objects, sizeof(objects), "echo %s; git rev-parse HEAD^{tree}", c);
	refused(c, objects, "has something that did not come along: n");
	(void)snprintf(objects, sizeof(objects), "echo %s; git rev-parse HEAD:n", c);
	refused(c, objects, "the commit");
	(void)snprintf(objects, sizeof(objects), "git rev-parse HEAD^{tree}; git rev-parse HEAD:n");
	sh("cd agent && (%s) | git pack-objects --stdout -q >../pack", objects);
	json_t *j = awo("import", NULL, request(c), "pack", NULL);
	assert_error(j, "git", "invalid", "did not come along");
	json_decref(j);
	free(c);
}

/* Forty trees that each hold the one before twice. */
static void
tree_bomb(void **state)
{
	char *h;
	json_t *j;

	(void)state;
	h = strdup(sh("cd agent && p=$(printf '100644 blob %%s\\ta\\n' $(git hash-object -w --stdin </dev/null) | git mktree) && "
		      "for i in $(seq 40); do p=$(printf \"040000 tree $p\\ta\\n040000 tree $p\\tb\\n\" | git mktree); done && "
		      "git commit-tree -p base -m bomb $p"));
	sh("cd agent && git update-ref HEAD %s", h);
	j = awo("tree-info", "agent", json_pack("{s:[s]}", "have", base), NULL, "pack");
	assert_error(j, "git", "invalid", "more directories");
	json_decref(j);
	/* an agent that packs it by itself */
	sh("cd agent && p=$(git rev-parse HEAD^{tree}) && (git rev-parse HEAD; for i in $(seq 42); do echo $p; "
	   "p=$(git rev-parse -q --verify $p:a 2>&1) || true; done) | sort -u | git pack-objects -q --stdout >../pack");
	j = awo("import", NULL, request(h), "pack", NULL);
	assert_error(j, "git", "invalid", "more directories");
	json_decref(j);
	free(h);
}

/* A submodule's commit is an object of another repository, and is missing by right. */
static void
submodules(void **state)
{
	json_t *j;

	(void)state;
	sh("cd agent && git config -f .gitmodules submodule.s.path s && git config -f .gitmodules "
	   "submodule.s.url https://example.org/s && git add .gitmodules && git update-index --add --cacheinfo "
	   "160000,1234567890123456789012345678901234567890,s && git commit -qm 'feat: a submodule' && "
	   "echo x >>a && git add a && git commit -qm 'feat: more'");
	j = carry();
	assert_true(json_is_true(json_object_get(j, "ok")));
	assert_int_equal(num(j, "git_commit_count"), 2);
	json_decref(j);
	sh("git -C clean.git fsck --strict --full 2>&1");
}

static void
hostile_commits(void **state)
{
	static const struct {
		const char *edit, *text;
	} cases[] = {
	    {"sed /^tree/d", "no tree"},
	    {"sed 's/^tree ./tree 0/'", "did not come along"},
	    {"sed 's/^parent .*/parent 1234567890123456789012345678901234567890/'", "did not come along"},
	    {"sed /^author/d", "no author"},
	    {"sed 's/^committer .*/committer nobody/'", "no committer"},
	    {"sed 's/^committer .*/committer a <b> today/'", "no committer"},
	    {"tr x '\\0'", "NUL"},
	};

	(void)state;
	sh("cd agent && git commit -q --allow-empty -m xxx");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *c = strdup(sh("cd agent && git cat-file commit HEAD | %s | git hash-object -t commit "
				    "--literally -w --stdin",
		    cases[i].edit));
		char objects[64];

		(void)snprintf(objects, sizeof(objects), "echo %s", c);
		refused(c, objects, cases[i].text);
		free(c);
	}
}

/* Head must be a commit that the base is an ancestor of. */
static void
wrong_heads(void **state)
{
	char *h;
	json_t *j;

	(void)state;
	h = strdup(sh("cd agent && git rev-parse base^{tree}"));
	sh(": >pack");
	j = awo("import", NULL, request(h), "pack", NULL);
	assert_error(j, "git", "invalid", "no commit");
	json_decref(j);
	free(h);
	sh("cd agent && git checkout -q --orphan lonely && git commit -qm lonely");
	j = carry();
	assert_error(j, "git", "invalid", "does not begin at the base");
	json_decref(j);
	assert_int_not_equal(sh_status("git -C clean.git rev-parse -q --verify refs/awo/head"), 0);
	j = awo("import", NULL, request("1234567890123456789012345678901234567890"), "pack", NULL);
	json_decref(j);
	sh("cd agent && git switch -q work && git branch -qD lonely");
}

static void
limits(void **state)
{
	json_t *r, *j;

	(void)state;
	sh("cd agent && head -c 300000 /dev/urandom >big && git add . && git commit -qm big");
	j = awo("tree-info", "agent", json_pack("{s:[s]}", "have", base), NULL, "pack");
	r = request(str(j, "head_sha"));
	json_object_set_new(r, "max_bytes", json_integer(100000));
	json_decref(j);
	j = awo("import", NULL, r, "pack", NULL);
	assert_error(j, "resource", "invalid", "git.max_import_bytes");
	json_decref(j);
	sh("cd agent && for i in $(seq 50); do echo $i >f$i; done; git add . && git commit -qm "
	   "many");
	j = awo("tree-info", "agent", json_pack("{s:[s]}", "have", base), NULL, "pack");
	r = request(str(j, "head_sha"));
	json_object_set_new(r, "max_objects", json_integer(20));
	json_decref(j);
	j = awo("import", NULL, r, "pack", NULL);
	assert_error(j, "git", "invalid", "more objects than allowed");
	json_decref(j);
	/* ten megabytes in ten kilobytes */
	sh("cd agent && head -c 10000000 /dev/zero >zeros && git add . && git commit -qm zeros && "
	   "git rev-list --objects base..HEAD | cut -c1-40 | grep -v $(git rev-parse HEAD:big) | "
	   "git pack-objects -q --stdout >../pack");
	r = request(sh("cd agent && git rev-parse HEAD"));
	json_object_set_new(r, "max_bytes", json_integer(200000));
	j = awo("import", NULL, r, "pack", NULL);
	assert_error(j, "git", "invalid", "larger than allowed");
	json_decref(j);
	assert_string_equal(sh("find clean.git -name '*.pack' -o -name '*incoming*'"), "");
}

/* What libgit2's own verification, were it asked, would go round for ever with. */
static void
malformed_delta(void **state)
{
	char *h;
	json_t *j;

	(void)state;
	/* a commit without committer, as a delta of a good one */
	h = strdup(sh("cd agent && git commit -q --allow-empty -m \"$(seq 100)\" && good=$(git rev-parse HEAD) && "
		      "bad=$(git cat-file commit $good | grep -v committer | "
		      "git hash-object -t commit -w --stdin --literally) && "
		      "(echo $good; echo $bad) | git pack-objects -q --stdout >../pack && echo $good"));
	j = request(h);
	json_object_set_new(j, "timeout_seconds", json_integer(patience(20)));
	j = awo("import", NULL, j, "pack", NULL);
	assert_error(j, "git", "invalid", "no committer");
	json_decref(j);
	free(h);
}

static void
damaged_packs(void **state)
{
	char *h;
	long size;

	(void)state;
	sh("cd agent && echo x >x && git add . && git commit -qm x && git rev-list --objects "
	   "base..HEAD | cut -c1-40 | "
	   "git pack-objects -q --stdout >../whole");
	h = strdup(sh("cd agent && git rev-parse HEAD"));
	size = atol(sh("wc -c <whole"));
	for (long n = 1; n < size; n += size / 23 + 1) {
		json_t *j;

		sh("head -c %ld whole >pack", n);
		j = awo("import", NULL, request(h), "pack", NULL);
		assert_true(json_is_false(json_object_get(j, "ok")));
		json_decref(j);
		sh("cp whole pack && perl -e 'open(F, qq(+<pack)) or die; seek(F, %ld, 0); read(F, "
		   "$b, 1); seek(F, %ld, 0); "
		   "print F chr(ord($b) ^ 255); close(F) or die'",
		    n, n);
		j = awo("import", NULL, request(h), "pack", NULL);
		assert_true(json_is_false(json_object_get(j, "ok")));
		json_decref(j);
	}
	sh("cp whole pack && printf trailing >>pack");
	json_t *j = awo("import", NULL, request(h), "pack", NULL);
	assert_true(json_is_false(json_object_get(j, "ok")));
	json_decref(j);
	free(h);
	assert_string_equal(sh("find clean.git -name '*.pack' -o -name '*incoming*'"), "");
}

/* A writer that never ends its pack: the deadline answers, and the next run tidies up. */
static void
slow_pack(void **state)
{
	json_t *r, *j;
	int writer;

	(void)state;
	sh("mkfifo -m 600 fifo");
	writer = open("fifo", O_RDWR | O_CLOEXEC);
	assert_true(writer >= 0);
	r = request(base);
	json_object_set_new(r, "timeout_seconds", json_integer(patience(1)));
	j = awo("import", NULL, r, "fifo", NULL);
	close(writer);
	assert_error(j, "transient", "timeout", "awo-git import");
	json_decref(j);
	sh(": >pack");
	j = awo("import", NULL, request(base), "pack", NULL);
	assert_true(json_is_true(json_object_get(j, "ok")));
	json_decref(j);
	assert_string_equal(sh("ls clean.git | grep incoming || true"), "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(good, fresh),
	    cmocka_unit_test_setup(nothing, fresh),
	    cmocka_unit_test_setup(detached, fresh),
	    cmocka_unit_test_setup(merges_and_moves, fresh),
	    cmocka_unit_test_setup(hostile_trees, fresh),
	    cmocka_unit_test_setup(hostile_bystander, fresh),
	    cmocka_unit_test_setup(hostile_modules, fresh),
	    cmocka_unit_test_setup(missing_objects, fresh),
	    cmocka_unit_test_setup(tree_bomb, fresh),
	    cmocka_unit_test_setup(submodules, fresh),
	    cmocka_unit_test_setup(hostile_commits, fresh),
	    cmocka_unit_test_setup(wrong_heads, fresh),
	    cmocka_unit_test_setup(limits, fresh),
	    cmocka_unit_test_setup(malformed_delta, fresh),
	    cmocka_unit_test_setup(damaged_packs, fresh),
	    cmocka_unit_test_setup(slow_pack, fresh),
	};

	return cmocka_run_group_tests(tests, setup, git_run_teardown);
}
