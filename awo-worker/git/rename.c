/*
 * How alike two files are: the share of the larger one's bytes that stand in pieces (lines, or 64
 * bytes of longer ones) which the other has too. libgit2's own measure is another one and puts
 * other files together than git does.
 */
#include "awo-worker/git/rename.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"

#define PIECE 64
#define PAIRS_MAX 1000000 /* git's diff.renameLimit, squared */

struct piece {
	uint64_t hash;
	uint64_t bytes;
};

struct sign {
	size_t size, n;
	struct piece *v; /* by hash, each hash once */
};

static int
by_hash(const void *a, const void *b)
{
	const struct piece *x = a, *y = b;

	return x->hash < y->hash ? -1 : x->hash > y->hash;
}

static int
sign_bytes(void **out, const git_diff_file *file, const char *s, size_t len, void *payload)
{
	bool text = memchr(s, '\0', len < 8000 ? len : 8000) == NULL;
	struct sign *g = xcalloc(1, sizeof(*g));
	size_t cap = 0, n = 0, run = 0;
	uint64_t h = 14695981039346656037U;

	(void)file;
	(void)payload;
	g->size = len;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		/* line ends of both kinds are alike */
		if (text && c == '\r' && i + 1 < len && s[i + 1] == '\n')
			continue;
		h = (h ^ c) * 1099511628211U;
		if (++run < PIECE && c != '\n' && i + 1 < len)
			continue;
		if (n == cap)
			g->v = xrealloc(g->v, cap = cap ? cap * 2 : 64, sizeof(*g->v));
		g->v[n++] = (struct piece){h, run};
		run = 0;
		h = 14695981039346656037U;
	}
	if (n > 0)
		qsort(g->v, n, sizeof(*g->v), by_hash);
	for (size_t i = 0; i < n; i++) {
		if (g->n > 0 && g->v[g->n - 1].hash == g->v[i].hash)
			g->v[g->n - 1].bytes += g->v[i].bytes;
		else
			g->v[g->n++] = g->v[i];
	}
	*out = g;
	return 0;
}

/* Only trees are compared here, never files of a work tree. */
static int
sign_file(void **out, const git_diff_file *file, const char *path, void *payload)
{
	(void)out;
	(void)file;
	(void)path;
	(void)payload;
	return GIT_EBUFS;
}

static void
sign_free(void *p, void *payload)
{
	struct sign *g = p;

	(void)payload;
	if (g != NULL)
		free(g->v);
	free(g);
}

static int
alike(int *score, void *a, void *b, void *payload)
{
	const struct sign *x = a, *y = b;
	size_t larger = x->size > y->size ? x->size : y->size, i = 0, k = 0;
	uint64_t both = 0;

	(void)payload;
	*score = 0;
	if (larger == 0 || x->size == 0 || y->size == 0)
		return 0;
	while (i < x->n && k < y->n) {
		if (x->v[i].hash < y->v[k].hash) {
			i++;
		} else if (x->v[i].hash > y->v[k].hash) {
			k++;
		} else {
			both += x->v[i].bytes < y->v[k].bytes ? x->v[i].bytes : y->v[k].bytes;
			i++;
			k++;
		}
	}
	both = both * 100 / larger;
	*score = both > 100 ? 100 : (int)both;
	return 0;
}

int
rename_find(git_diff *diff)
{
	git_diff_similarity_metric metric = {sign_file, sign_bytes, sign_free, alike, NULL};
	git_diff_find_options o;
	size_t added = git_diff_num_deltas_of_type(diff, GIT_DELTA_ADDED);
	size_t deleted = git_diff_num_deltas_of_type(diff, GIT_DELTA_DELETED);

	if (added == 0 || deleted == 0)
		return 0;
	(void)git_diff_find_options_init(&o, GIT_DIFF_FIND_OPTIONS_VERSION);
	o.flags = GIT_DIFF_FIND_RENAMES;
	o.rename_threshold = 50;
	o.rename_limit = 1000000;
	o.metric = &metric;
	/* Each pair costs a comparison: beyond git's own limit only equal files are put together.
	 */
	if (deleted > PAIRS_MAX / added)
		o.flags |= GIT_DIFF_FIND_EXACT_MATCH_ONLY;
	return git_diff_find_similar(diff, &o);
}
