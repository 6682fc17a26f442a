/*
 * The paths in which two trees differ. libgit2's own comparison reads both trees to the last
 * directory, which in a large repository costs more than everything else; equal directories have
 * equal names and need no look, and equal entries need no parsing.
 */
#include "awo-worker/git/treediff.h"

#include <string.h>
#include <sys/stat.h>

#include "awo-worker/git/fsck.h"
#include "awo-worker/git/repo.h"
#include "common/buf.h"

#define DEPTH_MAX 1024
#define OPENED_MAX 200000 /* trees that hold each other twice double their number with each level */

struct walk {
	git_odb *odb;
	treediff_fn *fn;
	void *arg;
	struct buf path;
	unsigned depth, opened;
};

/* A tree as it is stored: "<mode in octal> <name>\0<20 bytes>" again and again. */
struct side {
	git_odb_object *object;
	const char *p, *end;
};

struct entry {
	const char *name;
	size_t len; /* of all of it */
	size_t name_len;
	bool is_tree;
	struct treediff_file file;
};

static int compare(struct walk *w, const git_oid *a, const git_oid *b);

static int
open_side(struct walk *w, const git_oid *oid, struct side *s)
{
	int r;

	*s = (struct side){0};
	if (oid == NULL)
		return 0;
	if ((r = git_odb_read(&s->object, w->odb, oid)) < 0)
		return r;
	if (git_odb_object_type(s->object) != GIT_OBJECT_TREE)
		return TREEDIFF_BAD;
	s->p = git_odb_object_data(s->object);
	s->end = s->p + git_odb_object_size(s->object);
	return 0;
}

/* As git reads it: old trees have 100664 and a zero before 40000. 0: that is no mode. */
static unsigned
read_mode(const char *p, const char *end)
{
	unsigned mode = 0;

	for (; p != end; p++) {
		if (*p < '0' || *p > '7' || mode > 0177777)
			return 0;
		mode = mode * 8 + (unsigned)(*p - '0');
	}
	return S_ISREG(mode)   ? (mode & S_IXUSR ? GIT_FILEMODE_BLOB_EXECUTABLE : GIT_FILEMODE_BLOB)
	       : S_ISLNK(mode) ? GIT_FILEMODE_LINK
	       : S_ISDIR(mode) ? GIT_FILEMODE_TREE
	       : mode != 0     ? GIT_FILEMODE_COMMIT
			       : 0;
}

/* 1: the entry at the side's place; 0: there is none; TREEDIFF_BAD: no tree looks like that. */
static int
look(const struct side *s, struct entry *e)
{
	const char *space, *nul;

	if (s->p == s->end)
		return 0;
	space = memchr(s->p, ' ', (size_t)(s->end - s->p));
	nul = space != NULL ? memchr(space, '\0', (size_t)(s->end - space)) : NULL;
	if (nul == NULL || nul == space + 1 || s->end - nul < 1 + GIT_OID_RAWSZ)
		return TREEDIFF_BAD;
	*e = (struct entry){.name = space + 1,
	    .name_len = (size_t)(nul - space - 1),
	    .len = (size_t)(nul - s->p) + 1 + GIT_OID_RAWSZ,
	    .file.mode = (uint16_t)read_mode(s->p, space)};
	e->is_tree = e->file.mode == GIT_FILEMODE_TREE;
	git_oid_fromraw(&e->file.oid, (const unsigned char *)nul + 1);
	return e->file.mode != 0 ? 1 : TREEDIFF_BAD;
}

/* One entry, of one side or of both with one name and kind. */
static int
differ(struct walk *w, const struct entry *x, const struct entry *y)
{
	static const struct treediff_file none;
	const struct entry *e = x != NULL ? x : y;
	size_t before = w->path.len;
	int r;

	/* other bytes for the same mode */
	if (x != NULL && y != NULL && x->file.mode == y->file.mode &&
	    git_oid_equal(&x->file.oid, &y->file.oid))
		return 0;
	if (before > 0)
		buf_addc(&w->path, '/');
	buf_add(&w->path, e->name, e->name_len);
	if (!e->is_tree)
		r = w->fn(w->path.p, x != NULL ? &x->file : &none, y != NULL ? &y->file : &none, w->arg);
	else if (w->depth == DEPTH_MAX || ++w->opened == OPENED_MAX)
		r = TREEDIFF_DEEP;
	else {
		w->depth++;
		r = compare(w, x != NULL ? &x->file.oid : NULL, y != NULL ? &y->file.oid : NULL);
		w->depth--;
	}
	w->path.len = before;
	w->path.p[before] = '\0';
	return r;
}

/* Most entries are the same on both sides; their ends are found without a look at what they mean. */
static void
skip_equal(struct side *a, struct side *b)
{
	const char *nul;
	size_t len;

	while (a->p != a->end && b->p != b->end &&
	       (nul = memchr(a->p, '\0', (size_t)(a->end - a->p))) != NULL) {
		len = (size_t)(nul - a->p) + 1 + GIT_OID_RAWSZ;
		if (len > (size_t)(a->end - a->p) || len > (size_t)(b->end - b->p) ||
		    memcmp(a->p, b->p, len) != 0)
			return;
		a->p += len;
		b->p += len;
	}
}

static int
compare_sides(struct walk *w, struct side *a, struct side *b)
{
	struct entry x, y;
	int r = 0, nx, ny, c;

	for (;;) {
		skip_equal(a, b);
		nx = look(a, &x);
		ny = look(b, &y);
		if (nx < 0 || ny < 0)
			return TREEDIFF_BAD;
		if (nx == 0 && ny == 0)
			return 0;
		c = nx == 0   ? 1
		    : ny == 0 ? -1
			      : fsck_order(x.name, x.name_len, x.is_tree, y.name, y.name_len,
				    y.is_tree);
		r = differ(w, c <= 0 ? &x : NULL, c >= 0 ? &y : NULL);
		if (r != 0)
			return r;
		/* the side of an empty tree has no bytes to point at, and nothing may be added to that */
		if (c <= 0)
			a->p += x.len;
		if (c >= 0)
			b->p += y.len;
	}
}

static int
compare(struct walk *w, const git_oid *a, const git_oid *b)
{
	struct side x = {0}, y = {0};
	/*
	 * The newer one first: where it is stored as a change to the older one, that is read for it, and kept; where the
	 * older one is stored as a change, the newer one is whole, and costs little.
	 */
	int r = open_side(w, b, &y);

	if (r == 0)
		r = open_side(w, a, &x);
	if (r == 0)
		r = compare_sides(w, &x, &y);
	git_odb_object_free(x.object);
	git_odb_object_free(y.object);
	return r;
}

int
treediff(git_repository *repo, const git_oid *a, const git_oid *b, treediff_fn *fn, void *arg)
{
	CLEAN_GIT(odb) git_odb *odb = NULL;
	struct walk w = {.fn = fn, .arg = arg};
	int r = git_repository_odb(&odb, repo);

	w.odb = odb;
	if (r == 0)
		r = compare(&w, a, b);
	buf_free(&w.path);
	return r;
}
