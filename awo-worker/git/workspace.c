/* Makes an order's work tree and its clean repository from the cache, or again from what the clean
 * repository kept. */
#include "awo-worker/git/verbs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>
#if __has_include(<git2/sys/errors.h>)
#include <git2/sys/errors.h> /* of later libgit2s */
#endif

#include "awo-worker/git/leftovers.h"
#include "awo-worker/git/repo.h"
#include "common/buf.h"
#include "common/clean.h"
#include "common/clock.h"
#include "common/files.h"
#include "common/text.h"

/* In the clean repository, where no agent comes: the work tree is not complete. */
#define UNFINISHED "awo-workspace-unfinished"
#define PORTS_FILE ".ports.env"
#define TWO_THREADS_FILES 50 /* fewer are not worth a second one */
#define LISTED_MAX 10000 /* entries of a directory that are looked at */

struct job {
	struct task *t;
	const char *cache_dir, *workspace_dir, *clean_dir, *url, *branch, *port_lines, *author_name,
	    *author_email;
	bool shared; /* objects shared with the cache */
	git_repository *cache, *clean, *tree;
	char *base_branch;
	git_oid base, head; /* head: what to check out */
};

static int
os_fail(struct task *t, const char *what, const char *path)
{
	return TASK_FAIL(t, errno == ENOSPC || errno == EDQUOT ? "resource" : "internal", "other",
	    "%s %s: %s", what, path, strerror(errno));
}

/*
 * Not forced to the disk: what a power cut leaves half done is not complete by its own marks, or is put
 * right by the reset before the next attempt.
 */
static int
put_file(struct job *j, const char *dir, const char *name, const char *text, mode_t mode)
{
	CLEAN_FREE char *path = xasprintf("%s/%s", dir, name);
	CLEAN_FD int fd = -1;

	/* a repository may track a link of that name */
	(void)unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	return fd < 0 || files_write_all(fd, text, strlen(text)) < 0
		   ? os_fail(j->t, "cannot write", path)
		   : 0;
}

/* The directories of a repository, in one that is there and empty, and a HEAD that names a branch. */
static int
make_repository(struct job *j, const char *git_dir, const char *branch, const char *config, const char *const *dirs)
{
	CLEAN_FD int at = open(git_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEAN_FREE char *head = xasprintf("ref: refs/heads/%s\n", branch);

	for (size_t i = 0; dirs[i] != NULL; i++) {
		if (at < 0 || files_mkdirs(at, dirs[i], 0755) < 0)
			return os_fail(j->t, "cannot make a repository in", git_dir);
	}
	return put_file(j, git_dir, "config", config, 0644) < 0 ||
			       put_file(j, git_dir, "HEAD", head, 0644) < 0
		   ? -1
		   : 0;
}

static int
share_objects(struct job *j, const char *git_dir)
{
	CLEAN_FREE char *text = xasprintf("%s/objects\n", j->cache_dir);

	return put_file(j, git_dir, "objects/info/alternates", text, 0644);
}

/* ---- the base
 * -----------------------------------------------------------------------------------------------
 */

static int
no_base(struct job *j, const char *name)
{
	const char *near = NULL, **names;
	git_reference_iterator *it = NULL;
	CLEAN_BUF struct buf all = {0};
	git_reference *ref;
	size_t n = 0;

	names = xcalloc(1001, sizeof(*names));
	if (git_reference_iterator_glob_new(&it, j->cache, "refs/heads/*") == 0) {
		while (n < 1000 && git_reference_next(&ref, it) == 0) {
			names[n++] = xstrdup(git_reference_name(ref) + strlen("refs/heads/"));
			git_reference_free(ref);
		}
		git_reference_iterator_free(it);
	}
	near = text_nearest(name, names);
	if (near != NULL)
		buf_printf(&all, "; did you mean %s?", near);
	TASK_FAIL(j->t, "git", "not_found", "base_branch: the repository has no branch %s%s", name,
	    all.p ? all.p : "");
	for (size_t i = 0; i < n; i++)
		free((void *)(uintptr_t)names[i]);
	free(names);
	return -1;
}

/* The branch to start from: the request's, else the one that the cache's HEAD names. */
static int
find_base(struct job *j)
{
	CLEAN_GIT(reference) git_reference *head = NULL, *ref = NULL;
	CLEAN_GIT(object) git_object *commit = NULL;
	const char *name = task_str_opt(j->t, "base_branch", REPO_BRANCH_MAX);
	CLEAN_FREE char *full = NULL;
	int r;

	if (task_failed(j->t))
		return -1;
	if (name == NULL) {
		if (git_reference_lookup(&head, j->cache, "HEAD") < 0 ||
		    git_reference_type(head) != GIT_REFERENCE_SYMBOLIC ||
		    strncmp(git_reference_symbolic_target(head), "refs/heads/", 11) != 0)
			return TASK_FAIL(j->t, "git", "empty",
			    "the cache has no HEAD; fetch the repository first");
		name = git_reference_symbolic_target(head) + 11;
	}
	if (!repo_branch_ok(name))
		return TASK_FAIL(
		    j->t, "git", "invalid", "base_branch: %s is no name of a branch", name);
	full = xasprintf("refs/heads/%s", name);
	r = git_reference_lookup(&ref, j->cache, full);
	if (r == GIT_ENOTFOUND && head != NULL)
		return TASK_FAIL(j->t, "git", "not_found",
		    "the remote's HEAD names no branch that exists; give the order a base_branch");
	if (r == GIT_ENOTFOUND)
		return no_base(j, name);
	if (r < 0 || git_reference_peel(&commit, ref, GIT_OBJECT_COMMIT) < 0)
		return repo_fail(j->t, "cannot read the base branch from the cache");
	git_oid_cpy(&j->base, git_object_id(commit));
	j->base_branch = xstrdup(name);
	return 0;
}

/* ---- the clean repository
 * ----------------------------------------------------------------------------------- */

/* Makes the clean repository. Its HEAD names the base branch; refs/awo/base, written last, says
 * that it is complete. */
static int
make_clean(struct job *j)
{
	/* no more than is written to: every directory costs as much as a file */
	static const char *const dirs[] = {"objects/info", "objects/pack", "refs/awo", NULL};
	static const char config[] =
	    "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n";
	CLEAN_FREE char *awo = xasprintf("%s/refs/awo", j->clean_dir);
	char sha[GIT_OID_HEXSZ + 2];

	(void)snprintf(sha, sizeof(sha), "%s\n", git_oid_tostr_s(&j->base));
	if (repo_empty_dir(j->t, j->clean_dir) < 0 ||
	    make_repository(j, j->clean_dir, j->base_branch, config, dirs) < 0 ||
	    share_objects(j, j->clean_dir) < 0)
		return -1;
	if (put_file(j, awo, "base", sha, 0644) < 0)
		return -1;
	return repo_open(j->t, j->clean_dir, true, false, &j->clean);
}

/* Takes base and branch from a clean repository that is complete. 1: there is none. */
static int
open_clean(struct job *j)
{
	CLEAN_GIT(reference) git_reference *head = NULL;
	struct task quiet = {.req = j->t->req};

	if (repo_open(&quiet, j->clean_dir, true, false, &j->clean) < 0)
		return 1;
	if (git_reference_name_to_id(&j->base, j->clean, "refs/awo/base") < 0 ||
	    git_reference_lookup(&head, j->clean, "HEAD") < 0 ||
	    git_reference_type(head) != GIT_REFERENCE_SYMBOLIC ||
	    strncmp(git_reference_symbolic_target(head), "refs/heads/", 11) != 0) {
		git_repository_free(j->clean);
		j->clean = NULL;
		return 1;
	}
	j->base_branch = xstrdup(git_reference_symbolic_target(head) + 11);
	return 0;
}

/* ---- the work tree
 * ------------------------------------------------------------------------------------------ */

static int
copy_file(int from, const char *name, int to)
{
	CLEAN_FD int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	CLEAN_FD int out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	ssize_t n = 1;

	if (out < 0 && errno == EEXIST)
		return 0;
	if (in < 0 || out < 0)
		return -1;
	while (n > 0)
		n = copy_file_range(in, NULL, out, NULL, 1U << 30, 0);
	/* Not between all file systems. */
	if (n < 0 &&
	    (errno == EXDEV || errno == EINVAL || errno == EOPNOTSUPP || errno == ENOSYS)) {
		for (n = 1; n > 0;)
			n = sendfile(out, in, NULL, 1U << 30);
	}
	return n < 0 ? -1 : 0;
}

/* Packs end in .pack, .idx or .rev; loose objects stand in directories of two digits. */
static bool
is_object_name(const char *name, bool directory)
{
	size_t n = strlen(name);

	if (directory)
		return (n == 2 && strspn(name, "0123456789abcdef") == 2) ||
		       strcmp(name, "pack") == 0;
	return strspn(name, "0123456789abcdef") == n ||
	       (strncmp(name, "pack-", 5) == 0 &&
		   (strcmp(name + n - 5, ".pack") == 0 || strcmp(name + n - 4, ".idx") == 0));
}

/* Copies the object files of one repository into another: what an own clone and a rebuilt work tree
 * need. */
static int
copy_objects(struct job *j, const char *from_dir)
{
	CLEAN_FREE char *from = xasprintf("%s/objects", from_dir);
	CLEAN_FREE char *to = xasprintf("%s/.git/objects", j->workspace_dir);
	DIR *top = opendir(from);
	CLEAN_FD int dst = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *d, *f;
	int e = 0;

	if (top == NULL || dst < 0)
		e = errno;
	while (top != NULL && e == 0 && (d = readdir(top)) != NULL) {
		CLEAN_FD int in = -1, out = -1;
		DIR *sub;

		if (!is_object_name(d->d_name, true))
			continue;
		if ((in = openat(dirfd(top), d->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
			continue;
		if (mkdirat(dst, d->d_name, 0755) < 0 && errno != EEXIST) {
			e = errno;
			break;
		}
		if ((out = openat(dst, d->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 ||
		    (sub = fdopendir(fcntl(in, F_DUPFD_CLOEXEC, 0))) == NULL) {
			e = errno;
			break;
		}
		while (e == 0 && (f = readdir(sub)) != NULL) {
			if (is_object_name(f->d_name, false) && copy_file(in, f->d_name, out) < 0)
				e = errno;
		}
		closedir(sub);
	}
	if (top != NULL)
		closedir(top);
	errno = e;
	return e == 0 ? 0 : os_fail(j->t, "cannot copy the objects from", from);
}

static int
cmp_line(const void *a, const void *b)
{
	return strcmp(
	    *(char *const *)a + (size_t)GIT_OID_HEXSZ, *(char *const *)b + (size_t)GIT_OID_HEXSZ);
}

static char *
ref_line(const git_oid *oid, const char *prefix, const char *name)
{
	char sha[GIT_OID_HEXSZ + 1];

	return xasprintf("%s %s%s", git_oid_tostr(sha, sizeof(sha), oid), prefix, name);
}

/*
 * Branches of the remote under refs/remotes/origin and its tags, and the order's own two branches, as one
 * file: a thousand of them cost one write.
 */
static int
write_refs(struct job *j, const char *branch)
{
	git_reference_iterator *it = NULL;
	CLEAN_BUF struct buf text = {0};
	size_t n = 0, cap = 64;
	char **lines = xcalloc(cap, sizeof(*lines));
	git_reference *ref;
	int rc = 0;

	if (git_reference_iterator_new(&it, j->cache) < 0) {
		free(lines);
		return repo_fail(j->t, "cannot read the cache's references");
	}
	lines[n++] = ref_line(&j->head, "refs/heads/", branch);
	if (strcmp(branch, j->base_branch) != 0)
		lines[n++] = ref_line(&j->base, "refs/heads/", j->base_branch);
	while (git_reference_next(&ref, it) == 0) {
		const char *name = git_reference_name(ref);
		bool head = strncmp(name, "refs/heads/", 11) == 0;

		if (git_reference_type(ref) == GIT_REFERENCE_DIRECT &&
		    (head || strncmp(name, "refs/tags/", 10) == 0)) {
			if (n == cap)
				lines = xrealloc(lines, cap *= 2, sizeof(*lines));
			lines[n++] = ref_line(git_reference_target(ref),
			    head ? "refs/remotes/origin/" : "", head ? name + 11 : name);
		}
		git_reference_free(ref);
	}
	git_reference_iterator_free(it);
	qsort(lines, n, sizeof(*lines), cmp_line);
	buf_adds(&text, "# pack-refs with: sorted \n");
	for (size_t i = 0; i < n; i++) {
		buf_printf(&text, "%s\n", lines[i]);
		free(lines[i]);
	}
	free(lines);
	rc = put_file(j, j->workspace_dir, ".git/packed-refs", text.p, 0644);
	return rc;
}

/* A value as git's configuration wants it. */
static void
add_setting(struct buf *b, const char *key, const char *value)
{
	if (value == NULL)
		return;
	buf_printf(b, "\t%s = \"", key);
	for (; *value != '\0'; value++) {
		if (*value == '\n')
			buf_adds(b, "\\n");
		else if (*value == '"' || *value == '\\')
			buf_printf(b, "\\%c", *value);
		else
			buf_addc(b, *value);
	}
	buf_adds(b, "\"\n");
}

static void
add_config(const struct job *j, struct buf *b)
{
	buf_adds(b, "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n"
		    "\tlogallrefupdates = true\n[remote \"origin\"]\n");
	add_setting(b, "url", j->url);
	add_setting(b, "fetch", "+refs/heads/*:refs/remotes/origin/*");
	/* Objects of the cache may not be dropped behind its users' backs, nor copied by a gc of
	 * the agent. */
	buf_adds(b, "[gc]\n\tauto = 0\n");
	if (j->author_name != NULL || j->author_email != NULL)
		buf_adds(b, "[user]\n");
	add_setting(b, "name", j->author_name);
	add_setting(b, "email", j->author_email);
}

/* A repository that tracks the ports file must not see it change. */
static int
hide_ports(struct job *j)
{
	CLEAN_GIT(index) git_index *index = NULL;
	const git_index_entry *e;
	git_index_entry skip;

	if (git_repository_index(&index, j->tree) < 0)
		return repo_fail(j->t, "cannot read the index");
	if ((e = git_index_get_bypath(index, PORTS_FILE, 0)) == NULL)
		return 0;
	skip = *e;
	skip.flags_extended |= GIT_INDEX_ENTRY_SKIP_WORKTREE;
	if (git_index_add(index, &skip) < 0 || git_index_write(index) < 0)
		return repo_fail(j->t, "cannot write the index");
	return 0;
}

static int
write_ports(struct job *j)
{
	if (j->port_lines == NULL)
		return 0;
	if (put_file(j, j->workspace_dir, PORTS_FILE, j->port_lines, 0644) < 0)
		return -1;
	return hide_ports(j);
}

/* In a tree that an agent had: whatever stands under the name goes, nothing is followed. */
static int
renew_ports(struct job *j)
{
	CLEAN_FREE char *path = xasprintf("%s/%s", j->workspace_dir, PORTS_FILE);

	(void)files_remove_tree(AT_FDCWD, path, NULL);
	return put_file(j, j->workspace_dir, PORTS_FILE, j->port_lines, 0644);
}

static int
is_attributes(const char *root, const git_tree_entry *e, void *arg)
{
	(void)root;
	(void)arg;
	return strcmp(git_tree_entry_name(e), ".gitattributes") == 0 ? GIT_EUSER : 0;
}

/* ---- checking out. Without filters by two threads: making a file is the kernel's work, which it does for both at once */

struct half {
	const char *dir; /* the work tree */
	const git_oid *commit;
	git_index *index; /* entries from .. to are checked out */
	size_t from, to;
	bool failed;
	char why[512];
};

static int
check_out_half(struct half *h)
{
	CLEAN_GIT(repository) git_repository *repo = NULL;
	CLEAN_GIT(object) git_object *commit = NULL;
	CLEAN_FREE char **paths = xcalloc(h->to - h->from, sizeof(*paths));
	git_checkout_options o;

	for (size_t i = h->from; i < h->to; i++)
		paths[i - h->from] = (char *)(uintptr_t)git_index_get_byindex(h->index, i)->path;
	(void)git_checkout_options_init(&o, GIT_CHECKOUT_OPTIONS_VERSION);
	o.checkout_strategy = GIT_CHECKOUT_FORCE | GIT_CHECKOUT_DISABLE_PATHSPEC_MATCH | GIT_CHECKOUT_DONT_UPDATE_INDEX |
			      GIT_CHECKOUT_DONT_WRITE_INDEX;
	/* looking for filters takes longer than writing the file, and only attributes name one */
	o.disable_filters = 1;
	o.paths = (git_strarray){paths, h->to - h->from};
	/* a repository object is for one thread */
	return git_repository_open_ext(&repo, h->dir, GIT_REPOSITORY_OPEN_NO_SEARCH, NULL) < 0 ||
		       git_object_lookup(&commit, repo, h->commit, GIT_OBJECT_COMMIT) < 0 ||
		       git_checkout_tree(repo, commit, &o) < 0
		   ? -1
		   : 0;
}

static void *
run_half(void *arg)
{
	struct half *h = arg;
	const git_error *e;

	if (h->from < h->to && check_out_half(h) < 0) {
		e = git_error_last();
		h->failed = true;
		(void)snprintf(h->why, sizeof(h->why), "%s", e != NULL ? e->message : "no reason given");
	}
	return NULL;
}

static int
check_out_plain(struct job *j, git_index *index)
{
	size_t n = git_index_entrycount(index);
	struct half halves[2] = {{.dir = j->workspace_dir, .commit = &j->head, .index = index, .to = n}};
	pthread_t other;
	bool two;

	halves[1] = halves[0];
	halves[1].to = halves[0].from = (git_libgit2_features() & GIT_FEATURE_THREADS) && n >= TWO_THREADS_FILES ? n / 2 : 0;
	two = halves[1].to > 0 && pthread_create(&other, NULL, run_half, &halves[1]) == 0;
	run_half(&halves[0]);
	if (two)
		(void)pthread_join(other, NULL);
	else
		run_half(&halves[1]);
	for (size_t i = 0; i < 2; i++) {
		if (!halves[i].failed)
			continue;
		git_error_set_str(GIT_ERROR_CHECKOUT, halves[i].why);
		return -1;
	}
	return 0;
}

/*
 * The index's facts of every file, and its time: two seconds ago. Git compares whole seconds, so a file of the index's own second
 * could have changed since, and git would read all of them again at its every look, and, when it adds them, write a second copy of
 * what the read-only cache has.
 */
static int
note_files(struct job *j, git_index *index)
{
	const struct timespec times[2] = {
	    {.tv_nsec = UTIME_OMIT}, {.tv_sec = clock_wall_us() / 1000000 - 2}};
	CLEAN_FD int at = open(j->workspace_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (at < 0)
		return os_fail(j->t, "cannot open", j->workspace_dir);
	for (size_t i = 0; i < git_index_entrycount(index); i++) {
		/* the index's own */
		git_index_entry *e = (git_index_entry *)(uintptr_t)git_index_get_byindex(index, i);

		if (e->mode == GIT_FILEMODE_COMMIT)
			continue;
		if (utimensat(at, e->path, times, AT_SYMLINK_NOFOLLOW) < 0 ||
		    fstatat(at, e->path, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return os_fail(j->t, "cannot set the time of", e->path);
		e->mtime.seconds = (int32_t)st.st_mtim.tv_sec;
		e->mtime.nanoseconds = (uint32_t)st.st_mtim.tv_nsec;
		e->ctime.seconds = (int32_t)st.st_ctim.tv_sec;
		e->ctime.nanoseconds = (uint32_t)st.st_ctim.tv_nsec;
		e->dev = (uint32_t)st.st_dev;
		e->ino = (uint32_t)st.st_ino;
		e->uid = st.st_uid;
		e->gid = st.st_gid;
		e->file_size = (uint32_t)st.st_size;
	}
	return git_index_write(index) < 0 ? repo_fail(j->t, "cannot write the index") : 0;
}

static int
check_out(struct job *j)
{
	CLEAN_GIT(tree) git_tree *tree = NULL;
	CLEAN_GIT(index) git_index *index = NULL;
	git_checkout_options o;
	int r;

	if (repo_tree_at(j->t, j->tree, &j->head, &tree) < 0)
		return -1;
	(void)git_checkout_options_init(&o, GIT_CHECKOUT_OPTIONS_VERSION);
	o.checkout_strategy = GIT_CHECKOUT_FORCE | GIT_CHECKOUT_DONT_WRITE_INDEX;
	r = git_repository_index(&index, j->tree);
	if (r == 0 && git_tree_walk(tree, GIT_TREEWALK_PRE, is_attributes, NULL) != 0)
		/* attributes are looked up in the index, which grows with the files */
		r = git_checkout_head(j->tree, &o);
	else if (r == 0 && (r = git_index_read_tree(index, tree)) == 0)
		r = check_out_plain(j, index);
	if (r < 0)
		return repo_fail(
		    j->t, "cannot check the files out (is the cache damaged? fetch with rebuild)");
	return note_files(j, index);
}

static int
make_tree(struct job *j, const char *branch)
{
	static const char *const dirs[] = {
	    "objects/info", "objects/pack", "refs/heads", "refs/tags", "hooks", "info", NULL};
	CLEAN_FREE char *git_dir = xasprintf("%s/.git", j->workspace_dir);
	CLEAN_FREE char *mark = xasprintf("%s/%s", j->clean_dir, UNFINISHED);
	CLEAN_BUF struct buf config = {0};

	add_config(j, &config);
	if (put_file(j, j->clean_dir, UNFINISHED, "", 0600) < 0 ||
	    repo_empty_dir(j->t, j->workspace_dir) < 0)
		return -1;
	if (mkdir(git_dir, 0755) < 0)
		return os_fail(j->t, "cannot make", git_dir);
	if (make_repository(j, git_dir, branch, config.p, dirs) < 0 ||
	    put_file(j, git_dir, "info/exclude", "/" PORTS_FILE "\n", 0644) < 0 ||
	    write_refs(j, branch) < 0)
		return -1;
	if ((j->shared ? share_objects(j, git_dir) : copy_objects(j, j->cache_dir)) < 0)
		return -1;
	/* What earlier attempts committed is in the clean repository alone. */
	if (!git_oid_equal(&j->head, &j->base) && copy_objects(j, j->clean_dir) < 0)
		return -1;
	if (repo_open(j->t, j->workspace_dir, false, false, &j->tree) < 0 || check_out(j) < 0 ||
	    write_ports(j) < 0)
		return -1;
	return unlink(mark) < 0 ? os_fail(j->t, "cannot remove", mark) : 0;
}

/* A work tree that was finished and whose .git the agent left in place, whatever is in it. */
static bool
has_tree(const struct job *j)
{
	CLEAN_FREE char *head = xasprintf("%s/.git/HEAD", j->workspace_dir);
	CLEAN_FREE char *git_dir = xasprintf("%s/.git", j->workspace_dir);
	CLEAN_FREE char *mark = xasprintf("%s/%s", j->clean_dir, UNFINISHED);
	struct stat st;

	return lstat(git_dir, &st) == 0 && S_ISDIR(st.st_mode) && lstat(head, &st) == 0 &&
	       S_ISREG(st.st_mode) && access(mark, F_OK) < 0;
}

/* The files in some directories of the base commit, for who looks for a few of them. */
static int
list_directories(struct job *j, json_t *answer)
{
	CLEAN_GIT(tree) git_tree *root = NULL;
	json_t *wanted = json_object_get(j->t->req, "list"), *lists = json_object(), *dir;
	size_t i;

	json_object_set_new(answer, "lists", lists);
	if (json_array_size(wanted) == 0)
		return 0;
	if (repo_tree_at(j->t, j->clean, &j->base, &root) < 0)
		return -1;
	json_array_foreach(wanted, i, dir)
	{
		CLEAN_GIT(tree_entry) git_tree_entry *e = NULL;
		CLEAN_GIT(tree) git_tree *tree = NULL;
		json_t *names;

		if (!json_is_string(dir))
			return TASK_FAIL(j->t, "internal", "invalid", "list: must be names of directories");
		if (git_tree_entry_bypath(&e, root, json_string_value(dir)) < 0 ||
		    git_tree_entry_type(e) != GIT_OBJECT_TREE)
			continue;
		if (git_tree_lookup(&tree, j->clean, git_tree_entry_id(e)) < 0)
			return repo_fail(j->t, "cannot read a directory of the base commit");
		names = json_array();
		for (size_t k = 0; k < git_tree_entrycount(tree) && k < LISTED_MAX; k++) {
			const git_tree_entry *f = git_tree_entry_byindex(tree, k);
			const char *name = git_tree_entry_name(f);

			if (git_tree_entry_type(f) == GIT_OBJECT_BLOB)
				json_array_append_new(names, task_text(name, strlen(name), 4096));
		}
		json_object_set_new(lists, json_string_value(dir), names);
	}
	return 0;
}

static int
build(struct job *j, json_t *answer)
{
	bool resumed = false, kept = false;
	const char *branch;
	int r;

	if (repo_open(j->t, j->cache_dir, true, true, &j->cache) < 0)
		return -1;
	if ((r = open_clean(j)) == 1)
		r = find_base(j) < 0 || make_clean(j) < 0 ? -1 : 0;
	if (r < 0)
		return -1;
	git_oid_cpy(&j->head, &j->base);
	branch = j->base_branch;
	if (git_reference_name_to_id(&j->head, j->clean, "refs/awo/head") == 0) {
		resumed = true;
		if (j->branch != NULL)
			branch = j->branch;
	} else {
		git_oid_cpy(&j->head, &j->base);
	}
	kept = !task_bool(j->t, "rebuild", false) && has_tree(j);
	if (!kept && make_tree(j, branch) < 0)
		return -1;
	/* A kept tree may be the agent's trap: nothing in it is opened here, only the ports are
	 * written anew. */
	if (kept && j->port_lines != NULL && renew_ports(j) < 0)
		return -1;
	json_object_set_new(answer, "base_branch",
	    task_text(j->base_branch, strlen(j->base_branch), REPO_BRANCH_MAX));
	json_object_set_new(answer, "base_sha", repo_oid_json(&j->base));
	json_object_set_new(answer, "head_sha", repo_oid_json(&j->head));
	json_object_set_new(answer, "resumed", json_boolean(resumed));
	json_object_set_new(answer, "kept", json_boolean(kept));
	json_object_set_new(
	    answer, "branch", kept ? json_null() : task_text(branch, strlen(branch), REPO_BRANCH_MAX));
	return list_directories(j, answer);
}

int
verb_workspace(struct task *t, json_t *answer)
{
	struct job j = {.t = t};
	const char *type = task_str(t, "type", 32);
	int rc = -1;

	j.cache_dir = task_str(t, "cache_dir", 4096);
	j.workspace_dir = task_str(t, "workspace_dir", 4096);
	j.clean_dir = task_str(t, "clean_dir", 4096);
	j.url = task_str(t, "url", 2100);
	j.branch = task_str_opt(t, "branch", REPO_BRANCH_MAX);
	j.port_lines = task_str_opt(t, "port_lines", 65536);
	j.author_name = task_str_opt(t, "author_name", 256);
	j.author_email = task_str_opt(t, "author_email", 256);
	if (task_failed(t))
		return -1;
	if (j.branch != NULL && !repo_branch_ok(j.branch))
		return TASK_FAIL(
		    t, "internal", "invalid", "branch: %s is no name of a branch", j.branch);
	j.shared = strcmp(type, "git_worktree") == 0;
	if (!j.shared && strcmp(type, "git_branch") != 0)
		return TASK_FAIL(t, "permanent", "invalid",
		    "type: %s has no driver; use git_worktree or git_branch", type);
	umask(0022);
	/* the order's worker, which is only starting, is the one that writes there */
	leftovers_drop(j.clean_dir);
	rc = build(&j, answer);
	git_repository_free(j.tree);
	git_repository_free(j.clean);
	git_repository_free(j.cache);
	free(j.base_branch);
	return rc;
}
