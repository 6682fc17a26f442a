/* libgit2 set up so that nothing outside the request has a say, and its errors in our words. */
#include "awo-worker/git/repo.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "awo-worker/git/unsound.h"
#include "common/files.h"

/*
 * A libgit2 with mbedTLS parses every certificate of the system when it starts, which takes longer than most verbs do.
 * Those that need none start it while nothing can be opened, and it goes on without certificates.
 */
static int
start_library(bool certificates)
{
	struct rlimit had, none;
	int r;

	if (certificates || getrlimit(RLIMIT_NOFILE, &had) < 0)
		return git_libgit2_init();
	none = (struct rlimit){.rlim_cur = 0, .rlim_max = had.rlim_max};
	(void)setrlimit(RLIMIT_NOFILE, &none);
	r = git_libgit2_init();
	if (setrlimit(RLIMIT_NOFILE, &had) < 0)
		return -1;
	/* another build may need something that lies in a file */
	return r < 0 ? git_libgit2_init() : r;
}

static bool started;

int
repo_ready(void)
{
	/* SUDO_UID among others would change what libgit2 believes about owners. */
	clearenv();
	started = start_library(false) >= 0;
	return started ? 0 : -1;
}

int
repo_start(struct task *t)
{
	static const int levels[] = {GIT_CONFIG_LEVEL_PROGRAMDATA, GIT_CONFIG_LEVEL_SYSTEM,
	    GIT_CONFIG_LEVEL_XDG, GIT_CONFIG_LEVEL_GLOBAL};
	const char *url = json_string_value(json_object_get(t->req, "url"));
	bool https = (t->needs & NEED_URL) && url != NULL && strncasecmp(url, "https:", 6) == 0;

	if (started && https)
		return TASK_FAIL(t, "internal", "invalid", "url: one that stood by has no certificates");
	clearenv();
	if (!started && start_library(https) < 0)
		return repo_fail(t, "libgit2 does not start");
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		if (git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, levels[i], "") < 0)
			return repo_fail(t, "libgit2 keeps its search paths");
	}
	if (git_libgit2_opts(GIT_OPT_SET_TEMPLATE_PATH, "") < 0 ||
	    git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 1) < 0 ||
	    git_libgit2_opts(GIT_OPT_ENABLE_STRICT_OBJECT_CREATION, 1) < 0 ||
	    git_libgit2_opts(GIT_OPT_ENABLE_STRICT_HASH_VERIFICATION, 1) < 0 ||
	    git_libgit2_opts(GIT_OPT_SET_USER_AGENT, "awo/" AWO_VERSION) < 0)
		return repo_fail(t, "libgit2 refuses its settings");
	return 0;
}

int
repo_fail(struct task *t, const char *what)
{
	const git_error *e = git_error_last();
	const char *msg = e != NULL && e->message != NULL ? e->message : "no reason given";
	char why[512];

	if (strstr(msg, "No space left") != NULL || strstr(msg, "quota exceeded") != NULL ||
	    strstr(msg, "ut of memory") != NULL || strstr(msg, "File too large") != NULL)
		return TASK_FAIL(t, "resource", "other", "%s: %s", what, msg);
	/* libgit2 says what it stumbled over, which seldom is what was done */
	if ((t->needs & NEED_TREE) && unsound_find(why))
		return TASK_FAIL(t, "git", "invalid", "%s", why);
	/* a tree may say of any object that it is a file or a directory; that shows when it is read */
	if ((t->needs & NEED_CLEAN) && (e == NULL || (e->klass != GIT_ERROR_OS && e->klass != GIT_ERROR_NOMEMORY &&
							 e->klass != GIT_ERROR_FILESYSTEM)))
		return TASK_FAIL(t, "git", "invalid", "%s: %s", what, msg);
	return TASK_FAIL(t, "internal", "other", "%s: %s", what, msg);
}

int
repo_open(struct task *t, const char *path, bool bare, bool foreign, git_repository **out)
{
	unsigned flags = GIT_REPOSITORY_OPEN_NO_SEARCH;
	char what[512];
	int r;

	if (bare)
		flags |= GIT_REPOSITORY_OPEN_BARE | GIT_REPOSITORY_OPEN_NO_DOTGIT;
	if (foreign)
		(void)git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0);
	r = git_repository_open_ext(out, path, flags, NULL);
	if (foreign)
		(void)git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 1);
	if (r < 0) {
		(void)snprintf(what, sizeof(what), "cannot open the repository %s", path);
		repo_fail(t, what);
		if (r == GIT_ENOTFOUND)
			t->err.reason = "not_found";
		return -1;
	}
	return 0;
}

int
repo_open_tree(struct task *t, git_repository **out)
{
	char here[PATH_MAX], there[PATH_MAX];
	const char *dir;

	if (unsound_guard(t) < 0)
		return -1;
	if (repo_open(t, ".", false, false, out) < 0) {
		/* Whatever is wrong with it, the agent did it. */
		t->err.category = "git";
		return -1;
	}
	dir = git_repository_workdir(*out);
	if (git_repository_is_bare(*out) || dir == NULL || realpath(".", here) == NULL ||
	    realpath(dir, there) == NULL || strcmp(here, there) != 0)
		return TASK_FAIL(t, "git", "invalid",
		    "the repository's configuration (core.worktree or core.bare) no longer names "
		    "the workspace as its "
		    "work tree");
	unsound_unlock(*out);
	/* The order's ports are no part of its work, whatever became of .git/info/exclude. */
	return git_ignore_add_rule(*out, "/.ports.env\n") < 0
		   ? repo_fail(t, "cannot set ignore rules")
		   : 0;
}

int
repo_empty_dir(struct task *t, const char *path)
{
	struct dirent *d;
	DIR *dir;
	int e = 0;

	if (mkdir(path, 0750) < 0 && errno != EEXIST)
		return TASK_FAIL(t, "internal", "other", "cannot make the directory %s: %s", path,
		    strerror(errno));
	if ((dir = opendir(path)) == NULL)
		return TASK_FAIL(t, "internal", "other", "cannot read the directory %s: %s", path,
		    strerror(errno));
	while ((d = readdir(dir)) != NULL) {
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0 &&
		    files_remove_tree(dirfd(dir), d->d_name, NULL) < 0)
			e = errno;
	}
	closedir(dir);
	return e == 0 ? 0
		      : TASK_FAIL(t, "internal", "other", "cannot empty the directory %s: %s", path,
			    strerror(e));
}

int
repo_oid_field(struct task *t, const char *key, bool required, git_oid *out)
{
	const char *s =
	    required ? task_str(t, key, REPO_SHA_MAX) : task_str_opt(t, key, REPO_SHA_MAX);

	memset(out, 0, sizeof(*out));
	if (task_failed(t))
		return -1;
	if (s == NULL)
		return 0;
	if (strlen(s) != GIT_OID_HEXSZ || strspn(s, "0123456789abcdef") != GIT_OID_HEXSZ ||
	    git_oid_fromstr(out, s) < 0)
		return TASK_FAIL(t, "internal", "invalid",
		    "%s: not the name of a commit (40 hexadecimal digits)", key);
	return 0;
}

json_t *
repo_oid_json(const git_oid *oid)
{
	char s[GIT_OID_HEXSZ + 1];

	if (git_oid_is_zero(oid))
		return json_null();
	return json_string(git_oid_tostr(s, sizeof(s), oid));
}

bool
repo_branch_ok(const char *name)
{
	int valid = 0;

	return strlen(name) <= REPO_BRANCH_MAX && git_branch_name_is_valid(&valid, name) == 0 &&
	       valid;
}

int
repo_tree_at(struct task *t, git_repository *repo, const git_oid *commit, git_tree **out)
{
	CLEAN_GIT(commit) git_commit *c = NULL;

	if (git_commit_lookup(&c, repo, commit) < 0 || git_commit_tree(out, c) < 0)
		return repo_fail(t, "cannot read a commit's tree");
	return 0;
}

int
repo_merge_base(
    struct task *t, git_repository *repo, const git_oid *base, const git_oid *head, git_oid *out)
{
	int r;

	memset(out, 0, sizeof(*out));
	if (git_oid_equal(base, head)) {
		git_oid_cpy(out, base);
		return 0;
	}
	r = git_merge_base(out, repo, base, head);
	if (r == GIT_ENOTFOUND) {
		memset(out, 0, sizeof(*out));
		return 0;
	}
	return r < 0 ? repo_fail(t, "cannot find the merge base") : 0;
}
