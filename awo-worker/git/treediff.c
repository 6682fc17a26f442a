/*
 * The paths in which two trees differ. libgit2's own comparison reads both trees to the last
 * directory, which in a large repository costs more than everything else; equal directories have
 * equal names and need no look.
 */
#include "awo-worker/git/treediff.h"

#include <string.h>

#include "awo-worker/git/repo.h"
#include "common/buf.h"

#define DEPTH_MAX 1024

struct walk {
	git_repository *repo;
	treediff_fn *fn;
	void *arg;
	struct buf path;
	unsigned depth;
};

static int compare(struct walk *w, const git_tree *a, const git_tree *b);

/* A directory of one or both sides. */
static int
descend(struct walk *w, const git_tree_entry *x, const git_tree_entry *y)
{
	CLEAN_GIT(tree) git_tree *a = NULL, *b = NULL;
	int r;

	if ((x != NULL && (r = git_tree_lookup(&a, w->repo, git_tree_entry_id(x))) < 0) ||
	    (y != NULL && (r = git_tree_lookup(&b, w->repo, git_tree_entry_id(y))) < 0))
		return r;
	if (w->depth == DEPTH_MAX)
		return TREEDIFF_DEEP;
	w->depth++;
	r = compare(w, a, b);
	w->depth--;
	return r;
}

/* One entry, of one side or of both with one name and kind. */
static int
entry(struct walk *w, const git_tree_entry *x, const git_tree_entry *y)
{
	const git_tree_entry *e = x != NULL ? x : y;
	size_t before = w->path.len;
	int r;

	if (x != NULL && y != NULL && git_oid_equal(git_tree_entry_id(x), git_tree_entry_id(y)) &&
	    git_tree_entry_filemode_raw(x) == git_tree_entry_filemode_raw(y))
		return 0;
	if (before > 0)
		buf_addc(&w->path, '/');
	buf_adds(&w->path, git_tree_entry_name(e));
	r = git_tree_entry_type(e) == GIT_OBJECT_TREE ? descend(w, x, y) : w->fn(w->path.p, w->arg);
	w->path.len = before;
	w->path.p[before] = '\0';
	return r;
}

static int
compare(struct walk *w, const git_tree *a, const git_tree *b)
{
	size_t na = a != NULL ? git_tree_entrycount(a) : 0,
	       nb = b != NULL ? git_tree_entrycount(b) : 0;
	size_t i = 0, k = 0;
	int r = 0;

	while (r == 0 && (i < na || k < nb)) {
		const git_tree_entry *x = i < na ? git_tree_entry_byindex(a, i) : NULL;
		const git_tree_entry *y = k < nb ? git_tree_entry_byindex(b, k) : NULL;
		int c = x == NULL ? 1 : y == NULL ? -1 : git_tree_entry_cmp(x, y);

		r = entry(w, c <= 0 ? x : NULL, c >= 0 ? y : NULL);
		i += c <= 0;
		k += c >= 0;
	}
	return r;
}

int
treediff(git_repository *repo, const git_tree *a, const git_tree *b, treediff_fn *fn, void *arg)
{
	struct walk w = {.repo = repo, .fn = fn, .arg = arg};
	int r = compare(&w, a, b);

	buf_free(&w.path);
	return r;
}
