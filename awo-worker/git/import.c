/* Takes the pack that came out of an agent's sandbox into the clean repository, after checking all
 * of it. */
#include "awo-worker/git/verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <git2/sys/odb_backend.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "awo-worker/git/bounded.h"
#include "awo-worker/git/diff.h"
#include "awo-worker/git/fsck.h"
#include "awo-worker/git/history.h"
#include "awo-worker/git/packscan.h"
#include "common/buf.h"
#include "common/clean.h"
#include "common/files.h"

#define PACK_FD 3
#define QUARANTINE "awo-incoming"
#define OBJECT_MAX (512U << 20) /* one object; it is held in memory */
#define INFLATE_FACTOR 16	/* all objects together, against the pack */
#define INDEX_MEMORY (32U << 20) /* of libgit2's indexer, with its cache of bases; */
#define INDEX_OBJECT 2048	/* for each object; and six times the largest one */
#define COMMITS_MAX 10000	/* described in one answer */
#define MODULES_MAX 4096

struct import {
	struct task *t;
	git_repository *repo;
	const char *clean_dir;
	char *dir; /* the quarantine */
	int64_t max_bytes, max_objects;
	git_oid changed_since; /* zero: nobody asks */
	git_odb *incoming;	      /* the pack alone */
	git_odb *known;		      /* what was there before */
	bool missing;		      /* what the object at hand names is in neither */
	git_oid modules[MODULES_MAX]; /* blobs that are some tree's .gitmodules */
	size_t nmodules;
	char name[GIT_OID_HEXSZ + 1]; /* of the pack */
	json_t *commits;
	enum phase phase;
};

static int
refuse(struct import *im, const char *why)
{
	return TASK_FAIL(
	    im->t, "git", "invalid", "what the agent committed was not taken over: %s", why);
}

/* libgit2's reason for refusing what an agent made; a full disk is nobody's fault. */
static int
refuse_git(struct import *im, const char *what)
{
	repo_fail(im->t, what);
	if (strcmp(im->t->err.category, "resource") != 0) {
		im->t->err.category = "git";
		im->t->err.reason = "invalid";
	}
	return -1;
}

/* ---- from the pipe into the quarantine
 * ---------------------------------------------------------------------- */

static int
receive(struct import *im, int *out, size_t *len)
{
	CLEAN_FREE char *path = xasprintf("%s/received", im->dir), *chunk = xcalloc(1, 1U << 16);
	CLEAN_FD int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	ssize_t n;

	*len = 0;
	if (fd < 0)
		return TASK_FAIL(
		    im->t, "internal", "other", "cannot make %s: %s", path, strerror(errno));
	(void)unlink(path);
	while ((n = read(PACK_FD, chunk, 1U << 16)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return TASK_FAIL(im->t, "internal", "other", "cannot read the pack: %s",
			    strerror(errno));
		*len += (size_t)n;
		if (*len > (size_t)im->max_bytes)
			return TASK_FAIL(im->t, "resource", "invalid",
			    "the agent committed more than the %lld bytes that "
			    "git.max_import_bytes allows",
			    (long long)im->max_bytes);
		if (files_write_all(fd, chunk, (size_t)n) < 0)
			return TASK_FAIL(im->t, errno == ENOSPC ? "resource" : "internal", "other",
			    "cannot write the pack: %s", strerror(errno));
	}
	*out = TAKE_FD(fd);
	return 0;
}

static int
index_in_pieces(struct import *im, git_indexer *ix, const unsigned char *pack, size_t len)
{
	git_indexer_progress progress = {0};

	for (size_t at = 0; at < len; at += 1U << 20) {
		size_t n = len - at < 1U << 20 ? len - at : 1U << 20;

		if (git_indexer_append(ix, pack + at, n, &progress) < 0)
			return refuse_git(im, "the pack is malformed");
	}
	return git_indexer_commit(ix, &progress) < 0 ? refuse_git(im, "the pack is not complete") : 0;
}

/*
 * libgit2's indexer goes round for ever when what a delta makes of an object of the same pack is in the pack already, and each round loses the object's memory: the limit is what ends it.
 */
static int
index_pack(struct import *im, const unsigned char *pack, size_t len, const struct packscan_found *found)
{
	size_t memory = INDEX_MEMORY + found->objects * (size_t)INDEX_OBJECT + (size_t)found->largest * 6;
	git_indexer_options o;
	git_indexer *ix = NULL;
	CLEAN_GIT(odb) git_odb *odb = NULL;
	int r;

	/* its own check of what is connected takes the commit of a submodule for an object that is missing */
	(void)git_indexer_options_init(&o, GIT_INDEXER_OPTIONS_VERSION);
	(void)git_libgit2_opts(GIT_OPT_SET_PACK_MAX_OBJECTS, (size_t)im->max_objects);
	if (git_repository_odb(&odb, im->repo) < 0 || git_indexer_new(&ix, im->dir, 0, odb, &o) < 0)
		return repo_fail(im->t, "cannot start to read the pack");
	bounded_begin(memory);
	r = index_in_pieces(im, ix, pack, len);
	if (r == 0)
		(void)snprintf(im->name, sizeof(im->name), "%s", git_indexer_name(ix));
	git_indexer_free(ix);
	if (bounded_end())
		r = refuse(im, "its pack does not come to an end within the memory that it may take");
	return r;
}

/* 1: there is no object in it. */
static int
take_in(struct import *im)
{
	struct packscan_limits limits = {
	    .objects = (uint64_t)im->max_objects,
	    .object_bytes = im->max_bytes < OBJECT_MAX ? (uint64_t)im->max_bytes : OBJECT_MAX,
	    .total_bytes = (uint64_t)im->max_bytes * INFLATE_FACTOR,
	};
	CLEAN_FD int fd = -1;
	const char *bad;
	struct packscan_found found = {0};
	size_t len;
	void *map;
	int rc = -1;

	if (receive(im, &fd, &len) < 0)
		return -1;
	if (len == 0)
		return 1;
	map = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		return TASK_FAIL(
		    im->t, "internal", "other", "cannot map the pack: %s", strerror(errno));
	bad = packscan(map, len, &limits, &found);
	if (bad != NULL)
		refuse(im, bad);
	else if (found.objects == 0)
		rc = 1;
	else
		rc = index_pack(im, map, len, &found);
	munmap(map, len);
	return rc;
}

/* ---- every object of the pack
 * ------------------------------------------------------------------------------- */

/* Whether an object that another one names is there, new or known. */
static bool
has(struct import *im, const git_oid *id)
{
	return git_odb_exists_ext(im->incoming, id, GIT_ODB_LOOKUP_NO_REFRESH) ||
	       git_odb_exists_ext(im->known, id, GIT_ODB_LOOKUP_NO_REFRESH);
}

static int
on_named(const unsigned char *oid, void *arg)
{
	struct import *im = arg;
	git_oid id;

	git_oid_fromraw(&id, oid);
	im->missing = !has(im, &id);
	return im->missing ? -1 : 0;
}

static int
on_entry(const struct fsck_entry *e, void *arg)
{
	struct import *im = arg;

	/* a submodule's commit is in another repository */
	if (e->mode != 0160000 && on_named(e->oid, im) != 0)
		return -1;
	if (e->mode == 040000 || e->mode == 0160000 || !fsck_is_gitmodules(e->name, e->len))
		return 0;
	if (im->nmodules == MODULES_MAX)
		return -1;
	git_oid_fromraw(&im->modules[im->nmodules++], e->oid);
	return 0;
}

/*
 * Each commit and tree of the pack is looked at, whether HEAD reaches it or not: what once is in the clean
 * repository is believed by the next import.
 */
static int
on_object(const git_oid *id, void *arg)
{
	struct import *im = arg;
	char sha[GIT_OID_HEXSZ + 1];
	CLEAN_FREE char *why = NULL;
	git_odb_object *o = NULL;
	git_object_t type;
	const char *bad, *name = NULL, *kind;
	size_t size;

	if (git_odb_read_header(&size, &type, im->incoming, id) < 0)
		return refuse_git(im, "an object cannot be read");
	if (type != GIT_OBJECT_TREE && type != GIT_OBJECT_COMMIT)
		return 0;
	kind = git_object_type2string(type);
	if (git_odb_read(&o, im->incoming, id) < 0)
		return refuse_git(im, "a commit or tree cannot be read");
	if (type == GIT_OBJECT_TREE)
		bad = fsck_tree(
		    git_odb_object_data(o), git_odb_object_size(o), on_entry, im, &name);
	else
		bad = fsck_commit(git_odb_object_data(o), git_odb_object_size(o), on_named, im);
	if (bad != NULL) {
		why = xasprintf("the %s %s has %s%s%.100s", kind,
		    git_oid_tostr(sha, sizeof(sha), id),
		    im->missing ? "something that did not come along" : bad,
		    name != NULL ? ": " : "", name != NULL ? name : "");
		refuse(im, why);
	}
	git_odb_object_free(o);
	return bad != NULL ? -1 : 0;
}

static int
check_modules(struct import *im)
{
	for (size_t i = 0; i < im->nmodules; i++) {
		git_odb_object *o = NULL;
		const char *bad;

		if (git_odb_read(&o, im->incoming, &im->modules[i]) < 0 &&
		    git_odb_read(&o, im->known, &im->modules[i]) < 0)
			return refuse_git(im, "a .gitmodules cannot be read");
		bad = git_odb_object_type(o) != GIT_OBJECT_BLOB
			  ? "a .gitmodules that is no file"
			  : fsck_gitmodules(git_odb_object_data(o), git_odb_object_size(o));
		git_odb_object_free(o);
		if (bad != NULL)
			return refuse(im, bad);
	}
	return 0;
}

static int
check_objects(struct import *im)
{
	CLEAN_FREE char *idx = xasprintf("%s/pack-%s.idx", im->dir, im->name);
	git_odb_backend *backend = NULL;
	int r;

	if (git_odb_new(&im->incoming) < 0 || git_odb_backend_one_pack(&backend, idx) < 0 ||
	    git_odb_add_backend(im->incoming, backend, 1) < 0)
		return repo_fail(im->t, "cannot open the received pack");
	if (git_repository_odb(&im->known, im->repo) < 0)
		return repo_fail(im->t, "cannot read the clean repository");
	r = git_odb_foreach(im->incoming, on_object, im);
	if (r < 0)
		return task_failed(im->t) ? -1 : refuse_git(im, "the pack cannot be read");
	return check_modules(im);
}

/* ---- to the disk */

#define KEPT_MAX 8

/* What must be on the disk before a name says that it is there. */
struct kept {
	char *paths[KEPT_MAX];
	int fds[KEPT_MAX];
	size_t n;
};

static void
keep(struct kept *k, char *path)
{
	k->paths[k->n] = path;
	k->fds[k->n++] = open(path, O_RDONLY | O_CLOEXEC);
}

/* All of them are being written before the first is waited for: mostly one commit of the file system's journal does for all. */
static int
write_out(struct import *im, const struct kept *k)
{
	for (size_t i = 0; i < k->n; i++)
		(void)sync_file_range(k->fds[i], 0, 0, SYNC_FILE_RANGE_WRITE);
	for (size_t i = 0; i < k->n; i++)
		if (k->fds[i] < 0 || fsync(k->fds[i]) < 0)
			return TASK_FAIL(im->t, errno == ENOSPC || errno == EDQUOT ? "resource" : "internal", "other",
			    "cannot write %s to disk: %s", k->paths[i], strerror(errno));
	return 0;
}

static void
kept_free(struct kept *k)
{
	for (size_t i = 0; i < k->n; i++) {
		if (k->fds[i] >= 0)
			close(k->fds[i]);
		free(k->paths[i]);
	}
}

/*
 * What the workspace wrote without forcing it to the disk: without these a power cut would leave a repository that is taken for one
 * that was never finished, and made anew, without the commits that are recorded from now on. Once: afterwards there is a head.
 */
static void
keep_repository(struct import *im, struct kept *k)
{
	static const char *const made[] = {"config", "HEAD", "objects/info/alternates", "refs/awo/base"};
	git_oid head;

	if (git_reference_name_to_id(&head, im->repo, "refs/awo/head") == 0)
		return;
	for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
		char *path = xasprintf("%s/%s", im->clean_dir, made[i]);

		/* one that was made otherwise, as by git itself, has no such file */
		if (access(path, F_OK) == 0)
			keep(k, path);
		else
			free(path);
	}
}

/* The pack and the coming refs/awo/head are written; the pack gets its place. */
static int
accept_pack(struct import *im, const git_oid *head, bool pack)
{
	/* the pack before its index, so that an index never stands alone */
	static const char *const ends[] = {"pack", "idx"};
	char *next = xasprintf("%s/head", im->dir), line[GIT_OID_HEXSZ + 2];
	CLEAN_FD int fd = open(next, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	CLEAN_GIT(odb) git_odb *odb = NULL;
	struct kept k = {0};
	int r;

	(void)snprintf(line, sizeof(line), "%s\n", git_oid_tostr_s(head));
	if (fd < 0 || files_write_all(fd, line, strlen(line)) < 0) {
		r = TASK_FAIL(im->t, errno == ENOSPC ? "resource" : "internal", "other", "cannot write %s: %s", next,
		    strerror(errno));
		free(next);
		return r;
	}
	for (size_t i = 0; pack && i < 2; i++)
		keep(&k, xasprintf("%s/pack-%s.%s", im->dir, im->name, ends[i]));
	keep(&k, next);
	keep_repository(im, &k);
	r = write_out(im, &k);
	for (size_t i = 0; pack && r == 0 && i < 2; i++) {
		CLEAN_FREE char *to = xasprintf("%s/objects/pack/pack-%s.%s", im->clean_dir, im->name, ends[i]);

		if (rename(k.paths[i], to) < 0)
			r = TASK_FAIL(im->t, "internal", "other", "cannot move a pack to %s: %s", to, strerror(errno));
	}
	kept_free(&k);
	if (r == 0 && pack && (git_repository_odb(&odb, im->repo) < 0 || git_odb_refresh(odb) < 0))
		return repo_fail(im->t, "cannot read the clean repository again");
	return r;
}

/* Names the commits, and what they are in: after this they outlive a power cut. */
static int
set_head(struct import *im)
{
	CLEAN_FREE char *from = xasprintf("%s/head", im->dir), *to = xasprintf("%s/refs/awo/head", im->clean_dir);
	struct kept k = {0};
	int r;

	if (rename(from, to) < 0)
		return TASK_FAIL(im->t, "internal", "other", "cannot set refs/awo/head: %s", strerror(errno));
	keep(&k, xasprintf("%s/objects/pack", im->clean_dir));
	keep(&k, xasprintf("%s/refs/awo", im->clean_dir));
	r = write_out(im, &k);
	kept_free(&k);
	return r;
}

/* ---- the branch
 * --------------------------------------------------------------------------------------------- */

static int
check_head(struct import *im, const git_oid *base, const git_oid *head)
{
	CLEAN_GIT(odb) git_odb *odb = NULL;
	char sha[GIT_OID_HEXSZ + 1];
	CLEAN_FREE char *why = NULL;
	git_object_t type;
	size_t size;
	int r;

	if (git_repository_odb(&odb, im->repo) < 0)
		return repo_fail(im->t, "cannot read the clean repository");
	(void)git_oid_tostr(sha, sizeof(sha), head);
	if (git_odb_read_header(&size, &type, odb, head) < 0) {
		why = xasprintf("HEAD's commit %s did not come along", sha);
		return refuse(im, why);
	}
	if (type != GIT_OBJECT_COMMIT) {
		why = xasprintf("HEAD names %s, which is no commit", sha);
		return refuse(im, why);
	}
	if (git_oid_equal(base, head))
		return 0;
	r = git_graph_descendant_of(im->repo, head, base);
	if (r < 0)
		return refuse_git(im, "the history of the branch cannot be walked");
	if (r == 0) {
		why = xasprintf("the branch does not begin at the base commit (its history was "
				"rewritten or replaced); "
				"HEAD is %s",
		    sha);
		return refuse(im, why);
	}
	return 0;
}

static int
on_commit(git_commit *c, void *arg)
{
	struct import *im = arg;
	CLEAN_GIT(diff) git_diff *diff = NULL;
	struct diff_totals n = {0};
	const git_oid *parent = git_commit_parentcount(c) > 0 ? git_commit_parent_id(c, 0) : NULL;
	const git_oid none = {{0}};
	const char *subject = git_commit_summary(c);
	json_t *j;

	if (history_phase(im->t, im->repo, c, im->phase, &im->phase) < 0)
		return -1;
	if (json_array_size(im->commits) >= COMMITS_MAX)
		return 0;
	if (diff_commits(im->t, im->repo, parent != NULL ? parent : &none, git_commit_id(c), NULL,
		&diff) < 0 ||
	    diff_count(im->t, im->repo, diff, &n) < 0)
		return -1;
	if (subject == NULL)
		subject = "";
	j = json_object();
	json_object_set_new(j, "sha", repo_oid_json(git_commit_id(c)));
	json_object_set_new(j, "subject", task_text(subject, strlen(subject), 1024));
	json_object_set_new(j, "phase", json_string(phase_name(im->phase)));
	json_object_set_new(j, "files_changed", json_integer(n.files));
	json_object_set_new(j, "lines_added", json_integer(n.added));
	json_object_set_new(j, "lines_removed", json_integer(n.removed));
	json_array_append_new(im->commits, j);
	return 0;
}

static int
count_only(git_commit *c, void *arg)
{
	(void)c;
	++*(int64_t *)arg;
	return 0;
}

/* The phase of the tip as it was before, for merges that begin the new commits. */
static int
describe(struct import *im, const git_oid *base, const git_oid *head, json_t *answer)
{
	CLEAN_GIT(diff) git_diff *diff = NULL;
	CLEAN_GIT(commit) git_commit *old_tip = NULL, *tip = NULL;
	struct diff_totals n = {0};
	git_oid hide[2] = {*base, {{0}}};
	int64_t total = 0;

	if (git_reference_name_to_id(&hide[1], im->repo, "refs/awo/head") < 0)
		memset(&hide[1], 0, sizeof(hide[1]));
	else if (!git_oid_equal(&hide[1], base) &&
		 git_commit_lookup(&old_tip, im->repo, &hide[1]) == 0 &&
		 history_phase(im->t, im->repo, old_tip, PHASE_NONE, &im->phase) < 0)
		return -1;
	if (history_each(im->t, im->repo, head, hide, 2, on_commit, im) < 0 ||
	    history_each(im->t, im->repo, head, base, 1, count_only, &total) < 0 ||
	    diff_commits(im->t, im->repo, base, head, NULL, &diff) < 0 ||
	    diff_count(im->t, im->repo, diff, &n) < 0)
		return -1;
	if (json_array_size(im->commits) == 0 && !git_oid_equal(base, head)) {
		if (git_commit_lookup(&tip, im->repo, head) < 0 ||
		    history_phase(im->t, im->repo, tip, PHASE_NONE, &im->phase) < 0)
			return repo_fail(im->t, "cannot read the branch's tip");
	}
	json_object_set_new(answer, "head_sha", repo_oid_json(head));
	json_object_set_new(answer, "git_commit_count", json_integer(total));
	json_object_set_new(answer, "git_files_changed", json_integer(n.files));
	json_object_set_new(answer, "git_lines_added", json_integer(n.added));
	json_object_set_new(answer, "git_lines_removed", json_integer(n.removed));
	json_object_set_new(answer, "phase",
	    git_oid_equal(base, head) ? json_null() : json_string(phase_name(im->phase)));
	return 0;
}

static int
list_changed(struct import *im, const git_oid *since, const git_oid *head, json_t *answer)
{
	CLEAN_GIT(diff) git_diff *diff = NULL;

	if (git_oid_is_zero(since))
		return 0;
	if (diff_commits(im->t, im->repo, since, head, NULL, &diff) < 0)
		return -1;
	json_object_set_new(answer, "changed", diff_files(diff));
	return 0;
}

static int
import(struct import *im, const git_oid *base, const git_oid *head, json_t *answer)
{
	int r = take_in(im);

	if (r < 0 || (r == 0 && check_objects(im) < 0) || accept_pack(im, head, r == 0) < 0)
		return -1;
	if (check_head(im, base, head) < 0 || describe(im, base, head, answer) < 0 || set_head(im) < 0)
		return -1;
	return list_changed(im, &im->changed_since, head, answer);
}

int
verb_import(struct task *t, json_t *answer)
{
	struct import *im = xcalloc(1, sizeof(*im));
	struct task scratch = {0};
	git_oid base, head;
	int rc = -1;

	im->t = t;
	im->repo = repo_of(t);
	im->clean_dir = task_str(t, "clean_dir", 4096);
	im->commits = json_array();
	json_object_set_new(answer, "commits", im->commits);
	if (!task_failed(t) && repo_oid_field(t, "base_sha", true, &base) == 0 &&
	    repo_oid_field(t, "head", true, &head) == 0 &&
	    repo_oid_field(t, "changed_since", false, &im->changed_since) == 0 &&
	    task_int(t, "max_bytes", 2LL << 30, 1, 1LL << 40, &im->max_bytes) &&
	    task_int(t, "max_objects", 1000000, 1, UINT32_MAX, &im->max_objects)) {
		umask(0022);
		im->dir = xasprintf("%s/" QUARANTINE, im->clean_dir);
		/* what an earlier run left when its time was up */
		if (repo_empty_dir(t, im->dir) == 0)
			rc = import(im, &base, &head, answer);
		git_odb_free(im->incoming);
		git_odb_free(im->known);
		(void)repo_empty_dir(&scratch, im->dir);
		(void)rmdir(im->dir);
	}
	free(im->dir);
	free(im);
	return rc;
}
