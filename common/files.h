/* Files that others may have written or may be changing: opened beneath a directory, bounded, nothing followed. */
#ifndef COMMON_FILES_H
#define COMMON_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/err.h"

/*
 * openat2 with RESOLVE_BENEATH, NO_SYMLINKS and NO_MAGICLINKS, O_CLOEXEC | O_NONBLOCK added. Returns the descriptor, or
 * -1 with errno. files_open_regular() also refuses what is no regular file (EINVAL).
 */
int files_open_beneath(int dirfd, const char *path, int flags, mode_t mode);
int files_open_regular(int dirfd, const char *path);
/* The whole of a descriptor or file, at most limit bytes (EFBIG beyond); NUL-terminated, caller frees; NULL with errno. */
char *files_read_fd(int fd, size_t limit, size_t *len);
char *files_read(int dirfd, const char *path, size_t limit, size_t *len);	/* path as openat takes it */
int files_write_all(int fd, const void *p, size_t n);				/* -1 with errno */
/*
 * Appends n bytes that end in a newline, as a line of their own, to a file that others append to as well (O_RDWR | O_APPEND).
 * Half a line before them, of a writer that died or whose disk is full, does not swallow them. What was written before but
 * for its newline is not written twice. -1 with errno: not there as a whole. Anything but a file is written to as it is.
 */
int files_append_line(int fd, const char *line, size_t n);
/* Writes beside the target and renames, with fsync of file and directory. */
int files_replace(int dirfd, const char *path, const void *p, size_t n, mode_t mode);
/* The same without fsync, for what means nothing any more when the machine has lost its power. */
int files_replace_unsynced(int dirfd, const char *path, const void *p, size_t n, mode_t mode);
/* mkdir -p below an existing dirfd, with one mode for what is made; -1 with errno. */
int files_mkdirs(int dirfd, const char *path, mode_t mode);
/*
 * Removes a tree: walks by descriptor, follows no link, crosses no mount, makes directories that its owner locked
 * accessible again. Adds the bytes freed to *freed (may be NULL). -1 with errno of the first failure, having gone on.
 */
int files_remove_tree(int dirfd, const char *name, uint64_t *freed);
/* A sealed memfd holding the bytes, at offset 0; -1 with errno. */
int files_memfd(const char *name, const void *p, size_t n);
/* SHA-256 in lower-case hexadecimal, 64 digits and a NUL. */
void files_sha256_hex(const void *p, size_t n, char out[65]);

#endif
