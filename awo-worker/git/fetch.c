/* Asks a remote what it has, and keeps the bare cache of a repository up to date. */
#include "awo-worker/git/verbs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "awo-worker/git/leftovers.h"
#include "awo-worker/git/remote.h"
#include "common/clean.h"
#include "common/clock.h"

static int
describe(struct remote *r, json_t *answer, char **branch)
{
	CLEAN_FREE char *name = remote_default(r), *ref = NULL;
	git_oid sha = {0};

	if (name != NULL) {
		ref = xasprintf("refs/heads/%s", name);
		(void)remote_has(r, ref, &sha);
	}
	json_object_set_new(answer, "default_branch",
	    name != NULL ? task_text(name, strlen(name), REPO_BRANCH_MAX) : json_null());
	json_object_set_new(answer, "head_sha", repo_oid_json(&sha));
	if (branch != NULL)
		*branch = TAKE_PTR(name);
	return 0;
}

int
verb_verify(struct task *t, json_t *answer)
{
	const git_remote_head **heads;
	size_t n, branches;
	struct remote r;
	int rc = -1;

	if (remote_open(&r, t, NULL) == 0 && remote_connect(&r, GIT_DIRECTION_FETCH) == 0 &&
	    remote_heads(&r, &heads, &n, &branches) == 0 && describe(&r, answer, NULL) == 0) {
		json_object_set_new(answer, "is_empty", json_boolean(branches == 0));
		json_object_set_new(answer, "branches", json_integer((json_int_t)branches));
		rc = 0;
	}
	remote_close(&r);
	return rc;
}

/* Whether each ref's object is there and HEAD's tree can be read: what an interrupted or damaged
 * cache fails. */
static bool
is_healthy(git_repository *repo)
{
	CLEAN_GIT(odb) git_odb *odb = NULL;
	CLEAN_GIT(object) git_object *tree = NULL;
	git_reference_iterator *it = NULL;
	git_reference *ref;
	bool ok = true;
	int r;

	if (git_repository_odb(&odb, repo) < 0 || git_reference_iterator_new(&it, repo) < 0)
		return false;
	while (ok && (r = git_reference_next(&ref, it)) == 0) {
		if (git_reference_type(ref) == GIT_REFERENCE_DIRECT)
			ok = git_odb_exists(odb, git_reference_target(ref));
		git_reference_free(ref);
	}
	git_reference_iterator_free(it);
	if (!ok || r != GIT_ITEROVER)
		return false;
	r = git_revparse_single(&tree, repo, "HEAD^{tree}");
	return r == 0 || (r == GIT_ENOTFOUND && git_repository_head_unborn(repo) == 1);
}

static int
make_bare(struct task *t, const char *dir)
{
	git_repository_init_options o;
	CLEAN_GIT(repository) git_repository *repo = NULL;

	(void)git_repository_init_options_init(&o, GIT_REPOSITORY_INIT_OPTIONS_VERSION);
	o.flags = GIT_REPOSITORY_INIT_BARE | GIT_REPOSITORY_INIT_MKPATH;
	o.mode = GIT_REPOSITORY_INIT_SHARED_UMASK;
	return git_repository_init_ext(&repo, dir, &o) < 0 ? repo_fail(t, "cannot make the cache")
							   : 0;
}

/* Opens the cache, made anew when it is missing, damaged or not wanted any more. */
static int
open_cache(struct task *t, const char *dir, bool rebuild, git_repository **out)
{
	leftovers_drop(dir); /* one fetch a cache at a time */
	if (!rebuild && repo_open(t, dir, true, false, out) == 0) {
		if (is_healthy(*out))
			return 0;
		git_repository_free(*out);
		*out = NULL;
	}
	t->err.category = NULL;
	if (repo_empty_dir(t, dir) < 0 || make_bare(t, dir) < 0)
		return -1;
	return repo_open(t, dir, true, false, out);
}

/* Whether the failure was the cache's own, so that a fetch into an empty one may succeed. */
static bool
is_local(void)
{
	const git_error *e = git_error_last();

	if (e == NULL)
		return false;
	switch (e->klass) {
	case GIT_ERROR_ODB:
	case GIT_ERROR_ZLIB:
	case GIT_ERROR_OBJECT:
	case GIT_ERROR_TREE:
	case GIT_ERROR_REPOSITORY:
	case GIT_ERROR_REFERENCE:
	case GIT_ERROR_CONFIG:
		return true;
	default:
		return false;
	}
}

static int
pack_refs(struct task *t, git_repository *repo)
{
	git_refdb *db = NULL;
	int r = git_repository_refdb(&db, repo);

	if (r == 0)
		r = git_refdb_compress(db);
	git_refdb_free(db);
	return r < 0 ? repo_fail(t, "cannot pack the cache's references") : 0;
}

/* 1: the cache is damaged, try again with an empty one. */
static int
update(struct remote *r, git_repository *repo, json_t *answer)
{
	static char heads_spec[] = "+refs/heads/*:refs/heads/*",
		    tags_spec[] = "+refs/tags/*:refs/tags/*";
	char *specs[] = {heads_spec, tags_spec};
	const git_strarray all = {specs, 2};
	git_fetch_options o;
	CLEAN_GIT(reference) git_reference *head = NULL;
	CLEAN_FREE char *branch = NULL, *ref = NULL;
	const git_remote_head **heads;
	size_t n, branches;
	int e;

	if (remote_connect(r, GIT_DIRECTION_FETCH) < 0 ||
	    remote_heads(r, &heads, &n, &branches) < 0)
		return -1;
	if (branches == 0)
		return TASK_FAIL(r->t, "git", "empty",
		    "%s: the repository has no commits; push a first commit", r->at.canonical);
	(void)git_fetch_options_init(&o, GIT_FETCH_OPTIONS_VERSION);
	o.callbacks = r->callbacks;
	o.download_tags = GIT_REMOTE_DOWNLOAD_TAGS_NONE;
	o.follow_redirects = GIT_REMOTE_REDIRECT_NONE;
	o.update_fetchhead = 0;
	describe(r, answer, &branch);
	/* Pruned first: a new feat/x cannot be written while the feat of yesterday is there. */
	if ((e = git_remote_download(r->remote, &all, &o)) < 0 ||
	    (e = git_remote_prune(r->remote, &r->callbacks)) < 0 ||
	    (e = git_remote_update_tips(
		 r->remote, &r->callbacks, 0, GIT_REMOTE_DOWNLOAD_TAGS_NONE, NULL)) < 0) {
		if (is_local() && !task_failed(r->t))
			return 1;
		return remote_fail(r, e);
	}
	json_object_set_new(answer, "received_bytes", json_integer((json_int_t)r->received));
	(void)git_remote_disconnect(r->remote);
	if (branch != NULL) {
		ref = xasprintf("refs/heads/%s", branch);
		if (git_reference_symbolic_create(&head, repo, "HEAD", ref, 1, NULL) < 0)
			return repo_fail(r->t, "cannot set the cache's HEAD");
	}
	if (pack_refs(r->t, repo) < 0)
		return -1;
	return is_healthy(repo) ? 0 : 1;
}

static int
fetch_into(struct task *t, const char *dir, json_t *answer)
{
	bool rebuild = task_bool(t, "rebuild", false);

	for (int round = 0; round < 2; round++) {
		CLEAN_GIT(repository) git_repository *repo = NULL;
		struct remote r = {0};
		int rc;

		if (open_cache(t, dir, rebuild || round > 0, &repo) < 0)
			return -1;
		rc = remote_open(&r, t, repo);
		if (rc == 0)
			rc = update(&r, repo, answer);
		remote_close(&r);
		if (rc <= 0)
			return rc;
	}
	return TASK_FAIL(t, "git", "invalid",
	    "the objects that the remote sent do not make a readable repository");
}

int
verb_fetch(struct task *t, json_t *answer)
{
	const char *dir = task_str(t, "cache_dir", 4096);
	int64_t start = clock_mono_us();
	CLEAN_FREE char *fresh = NULL;

	if (dir == NULL)
		return -1;
	/* Orders read the cache by its group. */
	umask(0027);
	/* A cache that is not there yet appears complete or not at all; one that is there stays
	 * usable throughout. */
	if (access(dir, F_OK) < 0 && errno == ENOENT) {
		fresh = xasprintf("%s.new-%ld", dir, (long)getpid());
		if (fetch_into(t, fresh, answer) < 0) {
			struct task scratch = {0};

			(void)repo_empty_dir(&scratch, fresh);
			(void)rmdir(fresh);
			return -1;
		}
		if (rename(fresh, dir) < 0)
			return TASK_FAIL(t, "internal", "other",
			    "cannot rename the new cache to %s: %s", dir, strerror(errno));
	} else if (fetch_into(t, dir, answer) < 0) {
		return -1;
	}
	json_object_set_new(
	    answer, "duration_seconds", json_real((double)(clock_mono_us() - start) / 1e6));
	return 0;
}
