/* A limit for the memory that libgit2 takes: its allocator, counting what malloc gives out. */
#include "awo-worker/git/bounded.h"

#include <git2.h>
#include <git2/sys/alloc.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* of an allocation beside its bytes; without it small ones would be many */
#define OVERHEAD 16

static struct {
	size_t left;
	bool refused;
} now;

static void *
counted(void *p)
{
	size_t n = p != NULL ? malloc_usable_size(p) + OVERHEAD : 0;

	now.left -= n < now.left ? n : now.left;
	return p;
}

static void
give_back(void *p)
{
	if (p != NULL)
		now.left += malloc_usable_size(p) + OVERHEAD;
}

static bool
may_have(size_t n)
{
	if (n <= now.left && OVERHEAD <= now.left - n)
		return true;
	now.refused = true;
	git_error_set_oom();
	return false;
}

static void *
take(size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	return may_have(n) ? counted(malloc(n)) : NULL;
}

static void *
take_array(size_t n, size_t size, const char *file, int line)
{
	size_t all;

	return __builtin_mul_overflow(n, size, &all) ? NULL : take(all, file, line);
}

static void *
take_zeroed(size_t n, size_t size, const char *file, int line)
{
	size_t all;

	(void)file;
	(void)line;
	return !__builtin_mul_overflow(n, size, &all) && may_have(all) ? counted(calloc(n, size)) : NULL;
}

static void *
resize(void *p, size_t n, const char *file, int line)
{
	void *q;

	(void)file;
	(void)line;
	if (!may_have(n))
		return NULL;
	give_back(p);
	q = realloc(p, n);
	/* when it fails the old block is still there */
	(void)counted(q != NULL ? q : p);
	return q;
}

static void *
resize_array(void *p, size_t n, size_t size, const char *file, int line)
{
	size_t all;

	return __builtin_mul_overflow(n, size, &all) ? NULL : resize(p, all, file, line);
}

static char *
copy_exactly(const char *s, size_t n, const char *file, int line)
{
	char *p = n < SIZE_MAX ? take(n + 1, file, line) : NULL;

	if (p != NULL) {
		memcpy(p, s, n);
		p[n] = '\0';
	}
	return p;
}

static char *
copy_at_most(const char *s, size_t n, const char *file, int line)
{
	return copy_exactly(s, strnlen(s, n), file, line);
}

static char *
copy(const char *s, const char *file, int line)
{
	return copy_exactly(s, strlen(s), file, line);
}

static void
release(void *p)
{
	give_back(p);
	free(p);
}

void
bounded_begin(size_t bytes)
{
	/* libgit2's own are malloc() and free() too, so that blocks may be of either time */
	static git_allocator bounded = {.gmalloc = take,
	    .gcalloc = take_zeroed,
	    .gstrdup = copy,
	    .gstrndup = copy_at_most,
	    .gsubstrdup = copy_exactly,
	    .grealloc = resize,
	    .greallocarray = resize_array,
	    .gmallocarray = take_array,
	    .gfree = release};

	now.left = bytes;
	now.refused = false;
	(void)git_libgit2_opts(GIT_OPT_SET_ALLOCATOR, &bounded);
}

bool
bounded_end(void)
{
	(void)git_libgit2_opts(GIT_OPT_SET_ALLOCATOR, NULL);
	return now.refused;
}
