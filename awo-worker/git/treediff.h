/* The paths in which two trees differ, without looking into directories that are the same. */
#ifndef GIT_TREEDIFF_H
#define GIT_TREEDIFF_H

#include <git2.h>

#define TREEDIFF_DEEP (-1000) /* directories within directories, or of them so many, beyond all reason */
#define TREEDIFF_DEEP_TEXT "more directories, or deeper ones, than any repository has"
#define TREEDIFF_BAD (-1001)  /* what is named as a tree is none */

/* What one side has at a path; mode: 0 when it has nothing, else one of the four that git gives files. */
struct treediff_file {
	uint16_t mode;
	git_oid oid;
};

/* Called for each path that one side lacks or that differs, of files only, sorted by their bytes;
 * not 0 stops and is returned. */
typedef int treediff_fn(const char *path, const struct treediff_file *a,
    const struct treediff_file *b, void *arg);

/* a, b: names of trees; NULL is the empty one. 0, what fn returned, TREEDIFF_... or an error of libgit2. */
int treediff(git_repository *repo, const git_oid *a, const git_oid *b, treediff_fn *fn, void *arg);

#endif
