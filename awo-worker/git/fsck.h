/* Whether objects that an agent made may enter the clean repository: the rules of git's fsck, on
 * raw bytes. */
#ifndef GIT_FSCK_H
#define GIT_FSCK_H

#include <stdbool.h>
#include <stddef.h>

struct fsck_entry {
	unsigned mode;
	const char *name; /* NUL-terminated, inside the tree's bytes */
	size_t len;
	const unsigned char *oid; /* 20 bytes */
};

/* Called for each entry; not 0 stops. */
typedef int fsck_entry_fn(const struct fsck_entry *e, void *arg);

/* git's order of a tree's entries: a directory's name compares as if it ended in '/'. As strcmp. */
int fsck_order(const char *a, size_t alen, bool a_is_tree, const char *b, size_t blen, bool b_is_tree);
/* A raw tree. NULL when it is good, else why not (static). *name: the offending entry's, or NULL;
 * in the tree. */
const char *fsck_tree(
    const void *tree, size_t len, fsck_entry_fn *each, void *arg, const char **name);
/* Called with the 20 bytes of each object that a commit names; not 0 stops. */
typedef int fsck_named_fn(const unsigned char *oid, void *arg);
/* A raw commit: its tree, its parents, an author and a committer with their dates. NULL when it is good, else why not
 * (static). */
const char *fsck_commit(const char *commit, size_t len, fsck_named_fn *each, void *arg);
/* The content of .gitmodules. NULL when it is good, else why not (static). */
const char *fsck_gitmodules(const char *text, size_t len);
/* Whether a name would be .git, or .gitmodules, to Linux, macOS or Windows. */
bool fsck_is_dotgit(const char *name, size_t len);
bool fsck_is_gitmodules(const char *name, size_t len);

#endif
