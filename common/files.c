/* Files that others may have written or may be changing. */
#include "common/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clean.h"
#include "common/ids.h"

#define BENEATH (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)

static int
open_how(int dirfd, const char *path, int flags, mode_t mode, uint64_t resolve)
{
	struct open_how how = {.resolve = resolve};
	long fd = -1;

	flags |= O_CLOEXEC;
	if (!(flags & O_PATH))
		flags |= O_NONBLOCK | O_NOCTTY; /* openat2 refuses them beside O_PATH */
	how.flags = (uint64_t)(unsigned)flags;
	/* and it refuses a mode where nothing can be made */
	if ((flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE)
		how.mode = mode & 07777;
	/* EAGAIN: something was renamed meanwhile; it goes away by itself or somebody does it on
	 * purpose */
	for (int tries = 0; tries < 16; tries++) {
		fd = syscall(SYS_openat2, dirfd, path, &how, sizeof how);
		if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
			break;
	}
	return (int)fd;
}

int
files_open_beneath(int dirfd, const char *path, int flags, mode_t mode)
{
	return open_how(dirfd, path, flags, mode, BENEATH);
}

int
files_open_regular(int dirfd, const char *path)
{
	CLEAN_FD int fd = files_open_beneath(dirfd, path, O_RDONLY, 0);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -1;
	if (!S_ISREG(st.st_mode)) {
		errno = EINVAL;
		return -1;
	}
	return TAKE_FD(fd);
}

char *
files_read_fd(int fd, size_t limit, size_t *len)
{
	CLEAN_BUF struct buf b = {0};
	struct stat st;

	if (fstat(fd, &st) < 0)
		return NULL;
	if (S_ISREG(st.st_mode) && st.st_size > 0) {
		if ((uint64_t)st.st_size > limit) {
			errno = EFBIG;
			return NULL;
		}
		buf_reserve(&b, (size_t)st.st_size + 1);
	}
	for (;;) {
		size_t room;
		ssize_t n;

		if (b.cap - b.len < 2)
			buf_reserve(&b, b.cap ? b.cap : 4096);
		room = b.cap - b.len - 1;
		n = read(fd, b.p + b.len, room);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return NULL;
		if (n == 0)
			break;
		b.len += (size_t)n;
		if (b.len > limit) {
			errno = EFBIG;
			return NULL;
		}
	}
	b.p[b.len] = '\0';
	if (len)
		*len = b.len;
	return buf_take(&b);
}

char *
files_read(int dirfd, const char *path, size_t limit, size_t *len)
{
	CLEAN_FD int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char *text;
	int saved;

	if (fd < 0)
		return NULL;
	text = files_read_fd(fd, limit, len);
	saved = errno;
	close(TAKE_FD(fd));
	errno = saved;
	return text;
}

int
files_write_all(int fd, const void *p, size_t n)
{
	size_t done = 0;

	while (done < n) {
		ssize_t r = write(fd, (const char *)p + done, n - done);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -1;
		done += (size_t)r;
	}
	return 0;
}

/* Whether the n bytes that end at an offset are these, at the beginning of a line. */
static bool
is_line_before(int fd, off_t end, const char *line, size_t n)
{
	off_t begin = end - (off_t)n;
	bool same = false;
	char *have, before;

	if (begin < 0)
		return false;
	have = xcalloc(1, n + 1);
	if (pread(fd, have, n, begin) == (ssize_t)n)
		same = memcmp(have, line, n) == 0 && (begin == 0 || (pread(fd, &before, 1, begin - 1) == 1 && before == '\n'));
	free(have);
	return same;
}

int
files_append_line(int fd, const char *line, size_t n)
{
	/* each of the others can come between us and the end that we saw, but not for ever */
	for (int tries = 0; tries < 8; tries++) {
		off_t end = lseek(fd, 0, SEEK_END), now;
		const char *p = line;
		size_t len = n;
		bool torn = false;	/* somebody's half a line stands there */
		char last;
		int r;

		if (end > 0 && pread(fd, &last, 1, end - 1) == 1 && last != '\n') {
			if (is_line_before(fd, end, line, n - 1)) {
				p += n - 1;	/* only its end is missing */
				len = 1;
			} else
				torn = true;
		}
		if (!torn)
			r = files_write_all(fd, p, len);
		else {
			/* in one write, so that what begins here is begun by nobody else */
			char *apart = xcalloc(1, ++len);

			apart[0] = '\n';
			memcpy(apart + 1, line, n);
			r = files_write_all(fd, apart, len);
			free(apart);
		}
		if (r != 0)
			return -1;
		now = lseek(fd, 0, SEEK_CUR);
		if (end < 0 || now < 0 || now == end + (off_t)len || is_line_before(fd, now, line, n))
			return 0;
	}
	errno = EIO;
	return -1;
}

/* The directory part of path, opened below dirfd; *base is what follows the last slash. */
static int
open_parent(int dirfd, const char *path, int flags, const char **base)
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX];

	*base = slash ? slash + 1 : path;
	if (!slash)
		return openat(dirfd, ".", flags | O_DIRECTORY | O_CLOEXEC);
	if ((size_t)(slash - path) >= sizeof dir) {
		errno = ENAMETOOLONG;
		return -1;
	}
	snprintf(dir, sizeof dir, "%.*s", slash == path ? 1 : (int)(slash - path), path);
	/* a path from the root or the current directory is its caller's own; one below a descriptor
	 * stays below it */
	if (path[0] == '/' || dirfd == AT_FDCWD)
		return openat(dirfd, dir, flags | O_DIRECTORY | O_CLOEXEC);
	return open_how(dirfd, dir, flags | O_DIRECTORY, 0, BENEATH);
}

static int
replace(int dirfd, const char *path, const void *p, size_t n, mode_t mode, bool sync)
{
	char temporary[24] = ".new-";
	const char *base;
	CLEAN_FD int dir = open_parent(dirfd, path, O_RDONLY, &base);
	CLEAN_FD int fd = -1;
	int saved;

	if (dir < 0)
		return -1;
	if (!*base) {
		errno = EISDIR;
		return -1;
	}
	ids_hex(temporary + 5, 8);
	fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	if (files_write_all(fd, p, n) == 0 && fchmod(fd, mode) == 0 && (!sync || fsync(fd) == 0) &&
	    renameat(dir, temporary, dir, base) == 0)
		return sync ? fsync(dir) : 0;
	saved = errno;
	unlinkat(dir, temporary, 0);
	errno = saved;
	return -1;
}

int
files_replace(int dirfd, const char *path, const void *p, size_t n, mode_t mode)
{
	return replace(dirfd, path, p, n, mode, true);
}

int
files_replace_unsynced(int dirfd, const char *path, const void *p, size_t n, mode_t mode)
{
	return replace(dirfd, path, p, n, mode, false);
}

/* Makes one directory, when it is not there, and opens it. */
static int
enter_dir(int at, const char *name, mode_t mode, int nofollow)
{
	CLEAN_FD int fd = -1;

	if (mkdirat(at, name, 0700) == 0) {
		fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		/* not by mkdir's argument: the umask would have its say */
		if (fd < 0 || fchmod(fd, mode & 07777) < 0)
			return -1;
		return TAKE_FD(fd);
	}
	/* of a directory that is there only passage is needed, not reading; a read-only file system
	 * says EROFS first */
	if (errno != EEXIST && errno != EROFS && errno != EACCES)
		return -1;
	return openat(at, name, O_PATH | O_DIRECTORY | O_CLOEXEC | nofollow);
}

int
files_mkdirs(int dirfd, const char *path, mode_t mode)
{
	bool own = path[0] == '/' || dirfd == AT_FDCWD;
	CLEAN_FD int at =
	    openat(dirfd, path[0] == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (at < 0)
		return -1;
	while (*path) {
		size_t n = strcspn(path, "/");
		char name[NAME_MAX + 1];
		int next;

		if (n > NAME_MAX) {
			errno = ENAMETOOLONG;
			return -1;
		}
		memcpy(name, path, n);
		name[n] = '\0';
		path += n + (path[n] == '/');
		if (n == 0 || strcmp(name, ".") == 0)
			continue;
		if (!own && strcmp(name, "..") == 0) {
			errno = EXDEV; /* as openat2 says of what leads out */
			return -1;
		}
		next = enter_dir(at, name, mode, own ? 0 : O_NOFOLLOW);
		if (next < 0)
			return -1;
		close(at);
		at = next;
	}
	return 0;
}

#define DEPTH_MAX 48 /* directories open at once; what lies deeper is moved up first */
#define SCANS_MAX 64 /* of one directory, while somebody keeps adding to it */

struct removal {
	int top; /* the tree's first directory */
	uint64_t freed;
	int error; /* errno of the first failure */
	unsigned long moved;
};

static void
note_failure(struct removal *r)
{
	if (r->error == 0)
		r->error = errno;
}

/* chmod of what an O_PATH descriptor stands for. */
static int
chmod_path(int fd, mode_t mode)
{
	char link[32];
#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif
	if (syscall(SYS_fchmodat2, fd, "", mode, AT_EMPTY_PATH) == 0)
		return 0;
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	return chmod(link, mode);
}

/* A directory to be emptied: not a link, not on another mount, readable and writable where we can
 * make it so. */
static int
open_locked(int at, const char *name)
{
	const uint64_t resolve = BENEATH | RESOLVE_NO_XDEV;
	int fd = open_how(at, name, O_RDONLY | O_DIRECTORY, 0, resolve);
	CLEAN_FD int path = -1;
	struct stat st;

	if (fd < 0 && errno == EACCES) {
		path = open_how(at, name, O_PATH | O_DIRECTORY, 0, resolve);
		if (path >= 0 && chmod_path(path, 0700) == 0)
			fd = open_how(at, name, O_RDONLY | O_DIRECTORY, 0, resolve);
		else
			errno = EACCES;
	} else if (fd >= 0 && fstat(fd, &st) == 0 && (st.st_mode & 0700) != 0700) {
		(void)fchmod(fd, 0700); /* if this fails, removing its entries will say so */
	}
	return fd;
}

static void remove_entry(struct removal *r, int at, const char *name, int depth);

/* Puts a directory that lies too deep beside the others of the top directory, where a later scan
 * finds it. */
static int
move_up(struct removal *r, int at, const char *name)
{
	char fresh[40];

	snprintf(fresh, sizeof fresh, ".moved-%lu-", r->moved);
	ids_hex(fresh + strlen(fresh), 6);
	if (renameat(at, name, r->top, fresh) < 0)
		return -1;
	r->moved++;
	return 0;
}

/* Removes what is in a directory; takes fd. */
static void
empty_dir(struct removal *r, int fd, int depth)
{
	DIR *dir = fdopendir(fd);
	int removed = 1;

	if (!dir) {
		note_failure(r);
		close(fd);
		return;
	}
	if (depth == 0)
		r->top = dirfd(dir);
	/* some file systems skip entries while others are being removed, and move_up() adds to the
	 * top: scan again */
	for (int scans = 0; removed > 0 && (scans < SCANS_MAX || depth == 0); scans++) {
		unsigned long moved = r->moved;
		struct dirent *d;

		removed = 0;
		rewinddir(dir);
		while (errno = 0, (d = readdir(dir))) {
			if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
				continue;
			remove_entry(r, dirfd(dir), d->d_name, depth + 1);
			if (faccessat(dirfd(dir), d->d_name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
				removed++;
		}
		if (errno)
			note_failure(r);
		if (depth == 0 && scans >= SCANS_MAX && moved == r->moved)
			break;
	}
	closedir(dir);
}

static void
remove_entry(struct removal *r, int at, const char *name, int depth)
{
	struct stat st;
	uint64_t bytes;
	int fd;

	if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno != ENOENT || depth == 0)
			note_failure(r);
		return;
	}
	bytes = (uint64_t)st.st_blocks * 512;
	if (!S_ISDIR(st.st_mode)) {
		if (unlinkat(at, name, 0) < 0)
			note_failure(r);
		else if (st.st_nlink == 1)
			r->freed += bytes;
		return;
	}
	/* an empty one needs no descriptor, and may be locked */
	if (unlinkat(at, name, AT_REMOVEDIR) == 0) {
		r->freed += bytes;
		return;
	}
	fd = open_locked(at, name);
	if (fd < 0) {
		note_failure(r);
		return;
	}
	if (depth >= DEPTH_MAX) {
		close(fd);
		if (move_up(r, at, name) < 0)
			note_failure(r);
		return;
	}
	empty_dir(r, fd, depth);
	if (unlinkat(at, name, AT_REMOVEDIR) < 0)
		note_failure(r);
	else
		r->freed += bytes;
}

int
files_remove_tree(int dirfd_, const char *name, uint64_t *freed)
{
	struct removal r = {.top = -1};
	const char *base;
	CLEAN_FD int at = open_parent(dirfd_, name, O_PATH, &base);

	if (at < 0)
		return -1;
	if (!*base || strcmp(base, ".") == 0 || strcmp(base, "..") == 0) {
		errno = EINVAL;
		return -1;
	}
	remove_entry(&r, at, base, 0);
	if (freed)
		*freed += r.freed;
	if (r.error == 0)
		return 0;
	errno = r.error;
	return -1;
}

int
files_memfd(const char *name, const void *p, size_t n)
{
	const int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	CLEAN_FD int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || files_write_all(fd, p, n) < 0 || lseek(fd, 0, SEEK_SET) < 0 ||
	    fcntl(fd, F_ADD_SEALS, seals) < 0)
		return -1;
	return TAKE_FD(fd);
}

void
files_sha256_hex(const void *p, size_t n, char out[65])
{
	unsigned char digest[crypto_hash_sha256_BYTES];

	crypto_hash_sha256(digest, p, n);
	sodium_bin2hex(out, 65, digest, sizeof digest);
}
