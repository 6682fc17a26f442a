/* Walks the commits of an order's branch and finds the phase of each. */
#include "awo-worker/git/history.h"

#include "awo-worker/git/treediff.h"

int
history_each(struct task *t, git_repository *repo, const git_oid *head, const git_oid *hide,
    size_t nhide, history_fn *fn, void *arg)
{
	CLEAN_GIT(revwalk) git_revwalk *walk = NULL;
	git_oid oid;
	int r;

	if (git_revwalk_new(&walk, repo) < 0 ||
	    git_revwalk_sorting(walk, GIT_SORT_TOPOLOGICAL | GIT_SORT_TIME | GIT_SORT_REVERSE) <
		0 ||
	    git_revwalk_push(walk, head) < 0)
		return repo_fail(t, "cannot walk the commits");
	for (size_t i = 0; i < nhide; i++) {
		if (!git_oid_is_zero(&hide[i]) && git_revwalk_hide(walk, &hide[i]) < 0)
			return repo_fail(t, "cannot walk the commits");
	}
	while ((r = git_revwalk_next(&oid, walk)) == 0) {
		CLEAN_GIT(commit) git_commit *c = NULL;

		if (git_commit_lookup(&c, repo, &oid) < 0)
			return repo_fail(t, "cannot read a commit");
		if ((r = fn(c, arg)) != 0)
			return r;
	}
	return r == GIT_ITEROVER ? 0 : repo_fail(t, "cannot walk the commits");
}

/* 1: no further path can change the answer. */
static int
on_path(const char *path, const struct treediff_file *a, const struct treediff_file *b, void *arg)
{
	(void)a;
	(void)b;
	phase_add_path(arg, path);
	return phase_files_settled(arg);
}

int
history_phase(
    struct task *t, git_repository *repo, git_commit *c, enum phase before, enum phase *out)
{
	struct phase_files files = PHASE_FILES_INIT;
	CLEAN_GIT(commit) git_commit *parent = NULL;
	int r;

	if (git_commit_parentcount(c) > 1) {
		*out = before != PHASE_NONE ? before : PHASE_IMPLEMENTING;
		return 0;
	}
	*out = phase_of_message(git_commit_message(c));
	if (*out != PHASE_NONE)
		return 0;
	if (git_commit_parentcount(c) == 1 && git_commit_parent(&parent, c, 0) < 0)
		return repo_fail(t, "cannot read a commit's parent");
	r = treediff(repo, parent != NULL ? git_commit_tree_id(parent) : NULL,
	    git_commit_tree_id(c), on_path, &files);
	if (r == TREEDIFF_DEEP)
		return TASK_FAIL(t, "git", "invalid", "a commit changes " TREEDIFF_DEEP_TEXT);
	if (r < 0)
		return repo_fail(t, "cannot compare a commit with its parent");
	*out = phase_of_commit(git_commit_message(c), &files);
	return 0;
}
