/* What has to be done in the work tree itself, run inside the agent's sandbox on whatever the agent
 * left there. */
#include "awo-worker/git/verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "awo-worker/git/export.h"
#include "awo-worker/git/repo.h"
#include "awo-worker/git/treediff.h"
#include "common/buf.h"
#include "common/clean.h"
#include "common/files.h"

#define DIRTY_MAX 10000
#define SAVE_FILES_MAX 10000
#define SAVE_BYTES_MAX (1LL << 30)
#define BRANCH_TRIES 99
#define PORTS_FILE ".ports.env"

/* Here every failure is the work tree's, which the agent made. */
static int
tree_fail(struct task *t, const char *what)
{
	repo_fail(t, what);
	if (strcmp(t->err.category, "internal") == 0)
		t->err.category = "git";
	return -1;
}

static void
status_options(git_status_options *o)
{
	(void)git_status_options_init(o, GIT_STATUS_OPTIONS_VERSION);
	o->show = GIT_STATUS_SHOW_INDEX_AND_WORKDIR;
	o->flags = GIT_STATUS_OPT_INCLUDE_UNTRACKED | GIT_STATUS_OPT_RECURSE_UNTRACKED_DIRS |
		   GIT_STATUS_OPT_EXCLUDE_SUBMODULES | GIT_STATUS_OPT_DISABLE_PATHSPEC_MATCH;
}

static int
count_dirty(const char *path, unsigned flags, void *arg)
{
	int64_t *n = arg;

	(void)flags;
	if (strcmp(path, PORTS_FILE) != 0)
		++*n;
	return *n >= DIRTY_MAX ? GIT_EUSER : 0;
}

static int
on_path(const char *path, const struct treediff_file *a, const struct treediff_file *b, void *arg)
{
	(void)path;
	(void)a;
	(void)b;
	(void)arg;
	return 0;
}

/* A few trees that hold each other twice are more directories than anybody can look into. */
static int
check_size(struct task *t, const git_object *tip)
{
	const char *have = json_string_value(json_array_get(json_object_get(t->req, "have"), 0));
	CLEAN_GIT(commit) git_commit *before = NULL;
	git_oid oid;

	if (tip == NULL || have == NULL || git_oid_fromstr(&oid, have) < 0 ||
	    git_commit_lookup(&before, repo_of(t), &oid) < 0)
		return 0;
	return treediff(repo_of(t), git_commit_tree_id(before),
		   git_commit_tree_id((const git_commit *)tip), on_path, NULL) == TREEDIFF_DEEP
		   ? TASK_FAIL(t, "git", "invalid", "HEAD has " TREEDIFF_DEEP_TEXT)
		   : 0;
}

static int make_branch(struct task *t, const char *name, bool reset, json_t *answer);

/*
 * The branch that the work is to have, made at HEAD: the one that is checked out when that is not the base, with the order's id
 * appended where it must be told from others; else the request's. Says "made" when it made one; who gets none asks for it
 * with tree-branch, and hears why.
 */
static void
name_branch(struct task *t, const char *there, json_t *answer)
{
	const json_t *wish = json_object_get(t->req, "branch");
	const char *base = json_string_value(json_object_get(wish, "base"));
	const char *append = json_string_value(json_object_get(wish, "append"));
	const char *name = json_string_value(json_object_get(wish, "otherwise"));
	CLEAN_FREE char *longer = NULL;

	if (name == NULL)
		return;
	if (there != NULL && repo_branch_ok(there) && (base == NULL || strcmp(there, base) != 0)) {
		if (append == NULL || strstr(there, append) != NULL)
			return;
		longer = xasprintf("%.200s-%s", there, append);
		name = longer;
	}
	if (strlen(name) > REPO_BRANCH_MAX - 4 || make_branch(t, name, false, answer) < 0) {
		t->err = (struct task_err){0};
		return;
	}
	json_object_set(answer, "made", json_object_get(answer, "branch"));
}

int
verb_tree_info(struct task *t, json_t *answer)
{
	git_repository *repo = repo_of(t);
	CLEAN_GIT(reference) git_reference *head = NULL;
	CLEAN_GIT(reference) git_reference *raw = NULL;
	CLEAN_GIT(object) git_object *tip = NULL;
	git_status_options o;
	const char *branch = NULL;
	int64_t dirty = 0;
	int r = git_repository_head(&head, repo);

	if (r < 0 && r != GIT_EUNBORNBRANCH)
		return tree_fail(t, "HEAD cannot be read");
	if (r == 0 && git_reference_peel(&tip, head, GIT_OBJECT_COMMIT) < 0)
		return tree_fail(t, "HEAD names no commit");
	if (git_reference_lookup(&raw, repo, "HEAD") == 0 &&
	    git_reference_type(raw) == GIT_REFERENCE_SYMBOLIC &&
	    strncmp(git_reference_symbolic_target(raw), "refs/heads/", 11) == 0)
		branch = git_reference_symbolic_target(raw) + 11;
	if (check_size(t, tip) < 0)
		return -1;
	status_options(&o);
	r = git_status_foreach_ext(repo, &o, count_dirty, &dirty);
	if (r < 0 && r != GIT_EUSER)
		return tree_fail(t, "the work tree cannot be compared with HEAD");
	name_branch(t, branch, answer);
	json_object_set_new(
	    answer, "head_sha", tip != NULL ? repo_oid_json(git_object_id(tip)) : json_null());
	json_object_set_new(answer, "branch",
	    branch != NULL ? task_text(branch, strlen(branch), 1024) : json_null());
	json_object_set_new(answer, "unborn", json_boolean(tip == NULL));
	json_object_set_new(answer, "dirty", json_integer(dirty));
	json_object_set_new(answer, "commits", json_integer(0));
	if (tip == NULL || json_object_get(t->req, "have") == NULL ||
	    export_pack(t, answer, git_object_id(tip)) == 0)
		return 0;
	/* whatever is wrong with its objects, the agent did it */
	if (strcmp(t->err.category, "internal") == 0 && strcmp(t->err.reason, "invalid") != 0)
		t->err.category = "git";
	return -1;
}

/* Makes HEAD name a branch; the files stay as they are, because the branch stands at HEAD's commit.
 */
static int
point_head(struct task *t, const char *branch)
{
	CLEAN_FREE char *full = xasprintf("refs/heads/%s", branch);
	CLEAN_GIT(reference) git_reference *ref = NULL;

	return git_reference_symbolic_create(&ref, repo_of(t), "HEAD", full, 1, NULL) < 0
		   ? tree_fail(t, "HEAD cannot be set")
		   : 0;
}

static int
make_branch(struct task *t, const char *name, bool reset, json_t *answer)
{
	git_repository *repo = repo_of(t);
	CLEAN_GIT(reference) git_reference *head = NULL;
	CLEAN_GIT(object) git_object *tip = NULL;
	int r;

	if (!repo_branch_ok(name))
		return TASK_FAIL(t, "git", "invalid", "name: %s is no name of a branch", name);
	r = git_repository_head(&head, repo);
	if (r < 0 && r != GIT_EUNBORNBRANCH)
		return tree_fail(t, "HEAD cannot be read");
	if (r == 0 && git_reference_peel(&tip, head, GIT_OBJECT_COMMIT) < 0)
		return tree_fail(t, "HEAD names no commit");
	for (unsigned i = 1; i <= BRANCH_TRIES; i++) {
		CLEAN_FREE char *try = i == 1 ? xstrdup(name) : xasprintf("%s-%u", name, i);
		CLEAN_GIT(reference) git_reference *made = NULL;
		bool here = head != NULL && git_reference_is_branch(head) &&
			    strcmp(git_reference_shorthand(head), try) == 0;

		r = 0;
		if (tip != NULL && !here)
			r = git_branch_create(
			    &made, repo, try, (git_commit *)tip, reset);
		if (r == GIT_EEXISTS)
			continue;
		if (r < 0)
			return tree_fail(t, "the branch cannot be made");
		if (point_head(t, try) < 0)
			return -1;
		json_object_set_new(answer, "branch", json_string(try));
		return 0;
	}
	return TASK_FAIL(t, "git", "conflict",
	    "name: %s exists, and so does every name with a suffix up to -%d", name, BRANCH_TRIES);
}

int
verb_tree_branch(struct task *t, json_t *answer)
{
	const char *name = task_str(t, "name", REPO_BRANCH_MAX - 4);

	return name == NULL ? -1 : make_branch(t, name, task_bool(t, "reset", false), answer);
}

/* ---- commit
 * -------------------------------------------------------------------------------------------------
 */

/*
 * What is not committed: the ports, and repositories that the agent cloned or made inside the work
 * tree, which would become submodules that nobody can fetch. arg: the index.
 */
static int
skip(const char *path, const char *spec, void *arg)
{
	CLEAN_FREE char *plain = xstrdup(path);
	size_t len = strlen(plain);
	struct stat st;

	(void)spec;
	if (strcmp(path, PORTS_FILE) == 0)
		return 1;
	while (len > 0 && plain[len - 1] == '/')
		plain[--len] = '\0';
	return lstat(plain, &st) == 0 && S_ISDIR(st.st_mode) &&
	       git_index_get_bypath(arg, plain, 0) == NULL;
}

struct parents {
	git_commit *v[17]; /* HEAD's, then those of a merge that is going on */
	size_t n;
	git_repository *repo;
};

static int
add_parent(const git_oid *oid, void *arg)
{
	struct parents *p = arg;

	if (p->n == sizeof(p->v) / sizeof(p->v[0]))
		return -1;
	return git_commit_lookup(&p->v[p->n], p->repo, oid) < 0 ? -1 : (p->n++, 0);
}

static int
stage(struct task *t, git_index **index, git_oid *tree)
{
	git_repository *repo = repo_of(t);

	if (git_repository_index(index, repo) < 0)
		return tree_fail(t, "the index cannot be read");
	if (git_index_add_all(*index, NULL, GIT_INDEX_ADD_DEFAULT, skip, *index) < 0 ||
	    git_index_update_all(*index, NULL, skip, *index) < 0)
		return tree_fail(t, "the changes cannot be collected");
	if (git_index_has_conflicts(*index))
		return TASK_FAIL(t, "git", "conflict", "the agent left a merge with conflicts");
	if (git_index_write_tree(tree, *index) < 0 || git_index_write(*index) < 0)
		return tree_fail(t, "the changes cannot be written");
	return 0;
}

static int
commit(struct task *t, struct parents *p, const char *message, const git_signature *who,
    json_t *answer)
{
	git_repository *repo = repo_of(t);
	CLEAN_GIT(index) git_index *index = NULL;
	CLEAN_GIT(tree) git_tree *tree = NULL;
	git_oid tree_oid, head_oid, sha;
	int r;

	json_object_set_new(answer, "sha", json_null());
	if (stage(t, &index, &tree_oid) < 0)
		return -1;
	r = git_reference_name_to_id(&head_oid, repo, "HEAD");
	if (r < 0 && r != GIT_ENOTFOUND)
		return tree_fail(t, "HEAD cannot be read");
	if (r == 0) {
		if (add_parent(&head_oid, p) < 0)
			return tree_fail(t, "HEAD names no commit");
		r = git_repository_mergehead_foreach(repo, add_parent, p);
		if (r < 0 && r != GIT_ENOTFOUND)
			return tree_fail(t, "the unfinished merge cannot be read");
		if (p->n == 1 && git_oid_equal(git_commit_tree_id(p->v[0]), &tree_oid))
			return 0;
	} else if (git_index_entrycount(index) == 0) {
		return 0;
	}
	if (git_tree_lookup(&tree, repo, &tree_oid) < 0 ||
	    git_commit_create(&sha, repo, "HEAD", who, who, "UTF-8", message, tree, p->n,
		(const git_commit **)(void *)p->v) < 0)
		return tree_fail(t, "the commit cannot be made");
	(void)git_repository_state_cleanup(repo);
	json_object_set_new(answer, "sha", repo_oid_json(&sha));
	return 0;
}

int
verb_tree_commit(struct task *t, json_t *answer)
{
	const char *message = task_str(t, "message", 1 << 20);
	const char *name = task_str(t, "author_name", 256),
		   *email = task_str(t, "author_email", 256);
	CLEAN_GIT(signature) git_signature *who = NULL;
	struct parents p = {.repo = repo_of(t)};
	int rc;

	if (task_failed(t))
		return -1;
	if (git_signature_now(&who, name, email) < 0)
		return TASK_FAIL(t, "permanent", "invalid", "author_name, author_email: %s",
		    git_error_last()->message);
	rc = commit(t, &p, message, who, answer);
	for (size_t i = 0; i < p.n; i++)
		git_commit_free(p.v[i]);
	return rc;
}

/* ---- reset
 * --------------------------------------------------------------------------------------------------
 */

struct saver {
	struct task *t;
	int from, to;
	int64_t files, bytes;
};

/* Copies one file of the work tree. What is no regular file, too large or unreadable is left out.
 */
static int
save_file(const char *path, unsigned flags, void *arg)
{
	struct saver *s = arg;
	CLEAN_FREE char *dir = xstrdup(path), *chunk = NULL;
	CLEAN_FD int in = -1, out = -1;
	struct stat st;
	char *slash;
	ssize_t n;

	if ((flags & (GIT_STATUS_WT_DELETED | GIT_STATUS_INDEX_DELETED)) ||
	    strcmp(path, PORTS_FILE) == 0)
		return 0;
	if (s->files >= SAVE_FILES_MAX)
		return GIT_EUSER;
	in = files_open_regular(s->from, path);
	if (in < 0 || fstat(in, &st) < 0 || s->bytes + st.st_size > SAVE_BYTES_MAX)
		return 0;
	if ((slash = strrchr(dir, '/')) != NULL) {
		*slash = '\0';
		if (files_mkdirs(s->to, dir, 0755) < 0)
			return 0;
	}
	out = files_open_beneath(s->to, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (out < 0)
		return 0;
	chunk = xcalloc(1, 1U << 16);
	/* what grows meanwhile is cut at the size it had */
	for (int64_t left = st.st_size; left > 0; left -= n) {
		n = read(in, chunk, left < 1 << 16 ? (size_t)left : 1U << 16);
		if (n <= 0)
			break;
		if (files_write_all(out, chunk, (size_t)n) < 0)
			return TASK_FAIL(s->t,
			    errno == ENOSPC || errno == EDQUOT ? "resource" : "internal", "other",
			    "cannot keep what was not committed: %s", strerror(errno));
		s->bytes += n;
	}
	s->files++;
	return 0;
}

static int
save(struct task *t, const char *to, int64_t *files)
{
	CLEAN_FD int from = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), dest = -1;
	struct saver s = {.t = t, .from = from};
	git_status_options o;
	int r;

	if (from < 0 || (dest = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)) < 0)
		return TASK_FAIL(t, "internal", "other", "save_to: %s: %s", to, strerror(errno));
	s.to = dest;
	status_options(&o);
	r = git_status_foreach_ext(repo_of(t), &o, save_file, &s);
	*files = s.files;
	if (task_failed(t))
		return -1;
	return r < 0 && r != GIT_EUSER ? tree_fail(t, "the work tree cannot be compared with HEAD")
				       : 0;
}

int
verb_tree_reset(struct task *t, json_t *answer)
{
	const char *branch = task_str_opt(t, "branch", REPO_BRANCH_MAX),
		   *to = task_str_opt(t, "save_to", 4096);
	git_repository *repo = repo_of(t);
	CLEAN_GIT(commit) git_commit *c = NULL;
	CLEAN_GIT(reference) git_reference *head = NULL;
	git_checkout_options o;
	int64_t saved = 0;
	git_oid sha;

	if (task_failed(t) || repo_oid_field(t, "sha", true, &sha) < 0)
		return -1;
	if (branch != NULL && !repo_branch_ok(branch))
		return TASK_FAIL(
		    t, "internal", "invalid", "branch: %s is no name of a branch", branch);
	if (git_commit_lookup(&c, repo, &sha) < 0) {
		tree_fail(t, "the commit to go back to is not in the work tree");
		t->err.reason = "not_found";
		return -1;
	}
	if (to != NULL && save(t, to, &saved) < 0)
		return -1;
	if (branch != NULL) {
		CLEAN_FREE char *full = xasprintf("refs/heads/%s", branch);
		CLEAN_GIT(reference) git_reference *ref = NULL;

		if (git_reference_create(&ref, repo, full, &sha, 1, NULL) < 0)
			return tree_fail(t, "the branch cannot be set");
		if (point_head(t, branch) < 0)
			return -1;
	}
	(void)git_checkout_options_init(&o, GIT_CHECKOUT_OPTIONS_VERSION);
	o.checkout_strategy = GIT_CHECKOUT_FORCE | GIT_CHECKOUT_REMOVE_UNTRACKED;
	/* a hard reset takes no strategy of ours, so what is untracked goes in a checkout behind it
	 */
	if (git_reset(repo, (git_object *)c, GIT_RESET_HARD, NULL) < 0 ||
	    git_checkout_head(repo, &o) < 0)
		return tree_fail(t, "the work tree cannot be reset");
	(void)git_repository_state_cleanup(repo);
	if (git_repository_head(&head, repo) == 0 && git_reference_is_branch(head))
		json_object_set_new(answer, "branch",
		    task_text(git_reference_shorthand(head), strlen(git_reference_shorthand(head)),
			1024));
	else
		json_object_set_new(answer, "branch", json_null());
	json_object_set_new(answer, "saved", json_integer(saved));
	return 0;
}
