/* A work tree as an agent may have left it: any configuration, index, references and lists of ignored files, in the hands of
 * the verbs that run in it. */
#include <errno.h>
#include <fcntl.h>
#include <git2.h>
#include <libgen.h>
#include <limits.h>
#include <linux/landlock.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "awo-worker/git/repo.h"
#include "awo-worker/git/verbs.h"
#include "common/clean.h"
#include "common/files.h"
#include "tests/fuzz/fuzz.h"

#define PACK_FD 3
#define FILES_MAX 16
/* from LANDLOCK_ACCESS_FS_REMOVE_DIR to _MAKE_SYM, writing, and what later kernels can rule: moving, truncating */
#define CHANGING(abi) (0x1ff2U | ((abi) > 1 ? 0x2000U : 0U) | ((abi) > 2 ? 0x4000U : 0U))

/* libgit2 loses memory on some of its error paths; awo-git ends after each verb.
 * NOLINTNEXTLINE(bugprone-reserved-identifier) */
const char *__asan_default_options(void);
const char *
__asan_default_options(void)
{
	return "detect_leaks=0";
}

static bool started;

/* The guard's timer would take libFuzzer's signal. NOLINTBEGIN(bugprone-reserved-identifier) */
int __real_sigaction(int sig, const struct sigaction *sa, struct sigaction *old);
int __wrap_sigaction(int sig, const struct sigaction *sa, struct sigaction *old);
int
__wrap_sigaction(int sig, const struct sigaction *sa, struct sigaction *old)
{
	return sig == SIGUSR1 && started ? -1 : __real_sigaction(sig, sa, old);
}
/* NOLINTEND(bugprone-reserved-identifier) */

/* Before anything else can have the number. */
__attribute__((constructor)) static void
reserve(void)
{
	int fd = open("/dev/null", O_RDWR);

	FUZZ_CHECK(fd >= 0 && (fd == PACK_FD || dup2(fd, PACK_FD) == PACK_FD));
}

static bool
may_change(int rules, const char *path, unsigned what)
{
	CLEAN_FD int fd = open(path, O_PATH | O_CLOEXEC);
	struct landlock_path_beneath_attr at = {.allowed_access = what, .parent_fd = fd};

	return fd >= 0 && syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &at, 0) == 0;
}

/*
 * A configuration may name any other directory as the repository's. In an order that is the sandbox's business; here nothing
 * outside of the target's own directory, and of the one where its program and its findings are, can be written.
 */
static bool
fence(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct landlock_ruleset_attr attr = {.handled_access_fs = CHANGING(abi)};
	CLEAN_FD int rules = abi > 0 ? (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0) : -1;
	char self[PATH_MAX] = "";

	return rules >= 0 && readlink("/proc/self/exe", self, sizeof(self) - 1) > 0 &&
	       may_change(rules, fuzz_dir(), CHANGING(abi)) && may_change(rules, dirname(self), CHANGING(abi)) &&
	       prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && syscall(SYS_landlock_restrict_self, rules, 0) == 0;
}

static char *tree_dir, base[GIT_OID_HEXSZ + 1];

/* A work tree with one commit and one file. */
static void
make_tree(void)
{
	CLEAN_GIT(repository) git_repository *repo = NULL;
	CLEAN_GIT(signature) git_signature *who = NULL;
	CLEAN_GIT(index) git_index *index = NULL;
	CLEAN_GIT(tree) git_tree *tree = NULL;
	git_oid oid;

	(void)files_remove_tree(AT_FDCWD, tree_dir, NULL);
	FUZZ_CHECK(git_repository_init(&repo, tree_dir, 0) == 0);
	FUZZ_CHECK(chdir(tree_dir) == 0);
	fuzz_write("tree/file", "one\n", 4);
	FUZZ_CHECK(git_repository_index(&index, repo) == 0 && git_index_add_bypath(index, "file") == 0);
	FUZZ_CHECK(git_index_write(index) == 0 && git_index_write_tree(&oid, index) == 0);
	FUZZ_CHECK(git_tree_lookup(&tree, repo, &oid) == 0);
	FUZZ_CHECK(git_signature_new(&who, "A", "a@example.org", 1000000000, 0) == 0);
	FUZZ_CHECK(git_commit_create(&oid, repo, "HEAD", who, who, NULL, "first", tree, 0, NULL) == 0);
	git_oid_tostr(base, sizeof(base), &oid);
}

/* A byte for the file, two for its length. */
static void
spoil(struct fuzz_in *in)
{
	static const char *const names[] = {".git/config", ".git/HEAD", ".git/index", ".git/packed-refs", ".gitmodules",
	    ".gitattributes", ".gitignore", ".git/info/exclude", ".git/info/attributes", ".git/objects/info/alternates",
	    ".git/commondir", ".git/refs/heads/main", ".git/refs/heads/master", ".git/refs/heads/x", ".git/MERGE_HEAD",
	    ".git/MERGE_MSG", ".git/shallow", "file", "dir/file", "dir/.gitignore", "dir/.gitattributes", ".git/logs/HEAD",
	    ".git/config.worktree", ".git/info/sparse-checkout", ".git/worktrees/x/gitdir", "dir/.git/HEAD", ".ports.env"};

	for (int i = 0; i < FILES_MAX && in->len > 0; i++) {
		const char *name = names[fuzz_u8(in) % (sizeof(names) / sizeof(names[0]))];
		size_t len = fuzz_u16(in);
		char *dir CLEAN_FREE = xstrdup(name), *path CLEAN_FREE = xasprintf("tree/%s", name);
		struct stat st;

		len = len < in->len ? len : in->len;
		if (strchr(name, '/') != NULL)
			(void)files_mkdirs(AT_FDCWD, dirname(dir), 0755);
		/* its parent may have become a file meanwhile */
		if (lstat(dir, &st) == 0 && S_ISDIR(st.st_mode) && (lstat(name, &st) < 0 || S_ISREG(st.st_mode)))
			fuzz_write(path, in->p, len);
		in->p += len;
		in->len -= len;
	}
}

/* Runs a verb as awo-git does, and checks why it refused. */
static void
run(int (*verb)(struct task *t, json_t *answer), json_t *request)
{
	struct git_state state = {0};
	struct task t = {.req = request, .needs = NEED_TREE, .state = &state};
	json_t *answer CLEAN_JSON = json_object();
	char *text CLEAN_FREE = NULL;

	FUZZ_CHECK(request != NULL);
	if (repo_open_tree(&t, &state.repo) == 0 && verb(&t, answer) == 0) {
		text = json_dumps(answer, 0);
		FUZZ_CHECK(text != NULL);
	} else {
		FUZZ_CHECK(t.err.category != NULL && t.err.reason != NULL && t.err.msg[0] != '\0');
		/* an agent's fault is never ours */
		if (strcmp(t.err.category, "internal") == 0)
			fuzz_failed(t.err.msg, __FILE__, __LINE__);
	}
	git_repository_free(state.repo);
	json_decref(request);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fenced = -1, home = -1;
	struct fuzz_in in = {data, size};
	struct task t = {0};

	started = true;
	if (fenced < 0) {
		FUZZ_CHECK(repo_start(&t) == 0);
		(void)git_libgit2_opts(GIT_OPT_ENABLE_CACHING, 0);
		tree_dir = xasprintf("%s/tree", fuzz_dir());
		home = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
		fenced = fence();
		if (!fenced)
			printf("SKIPPED: this kernel has no Landlock, without which this target could write anywhere\n");
	}
	if (!fenced)
		return 0;
	FUZZ_CHECK(mkdir("/tmp/awo-fuzz-outside", 0700) < 0);
	make_tree();
	spoil(&in);
	run(verb_tree_info, json_pack("{s:[s]}", "have", base));
	run(verb_tree_branch, json_pack("{s:s}", "name", "feat-x"));
	run(verb_tree_commit, json_pack("{s:s,s:s,s:s}", "message", "more", "author_name", "A", "author_email", "a@example.org"));
	run(verb_tree_reset, json_pack("{s:s,s:s}", "sha", base, "branch", "feat-x"));
	run(verb_tree_info, json_pack("{}"));
	/* libFuzzer may know its own files by relative names */
	FUZZ_CHECK(fchdir(home) == 0);
	return 0;
}
