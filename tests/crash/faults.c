/*
 * Makes calls of awod fail on demand: preloaded by the crash tests, steered through a shared file.
 *
 * The file that AWO_FAULTS names is mapped; tests/crash/faults.py writes it. While a row's share is zero its calls go
 * through untouched.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum fault { F_WRITE, F_SYNC, F_SHORT, F_OPEN, F_FORK, F_MEMORY, F_NAME, F_COUNT };
enum { SUPERVISOR = 1, BROKER = 2 };

/* The shared file: faults.py has the same picture. */
struct row {
	uint32_t share;	/* of 2^32 calls */
	int32_t error;	/* errno */
	uint64_t hits;	/* calls that were made to fail */
};
struct shared {
	uint32_t processes;	/* whose calls */
	uint32_t unused;
	struct row rows[F_COUNT];
};

static struct shared *shared;
static unsigned int self;
static __thread uint64_t state;

static __attribute__((constructor)) void
begin(int argc, char **argv)
{
	const char *path = getenv("AWO_FAULTS");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *p;

	self = SUPERVISOR;
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--broker-fd") == 0)
			self = BROKER;
	if (fd < 0)
		return;
	p = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (p != MAP_FAILED)
		shared = p;
}

static int
chosen(enum fault f)
{
	struct row *r;
	uint32_t share;

	if (!shared || !(shared->processes & self))
		return 0;
	r = &shared->rows[f];
	share = __atomic_load_n(&r->share, __ATOMIC_RELAXED);
	if (share == 0)
		return 0;
	if (state == 0)
		state = ((uint64_t)getpid() << 32 ^ (uint64_t)(uintptr_t)&state) * 0x9e3779b97f4a7c15U | 1;
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	if ((uint32_t)(state >> 16) >= share)
		return 0;
	__atomic_add_fetch(&r->hits, 1, __ATOMIC_RELAXED);
	errno = r->error;
	return 1;
}

/* Disks fail; sockets and pipes do not become full of data for want of a disk. */
static int
is_file(int fd)
{
	struct stat st;
	int saved = errno, r;

	if (fd <= STDERR_FILENO || !shared || !(shared->processes & self))
		return 0;
	r = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
	errno = saved;
	return r;
}

#define NEXT(type, name, ...)                                                                                          \
	static type (*next)(__VA_ARGS__);                                                                               \
	if (!next)                                                                                                      \
		*(void **)&next = dlsym(RTLD_NEXT, #name)

/* ---- writing */

#define HALF(n) ((n) > 1 && chosen(F_SHORT) ? (n) / 2 : (n))

ssize_t
write(int fd, const void *p, size_t n)
{
	NEXT(ssize_t, write, int, const void *, size_t);
	if (is_file(fd)) {
		if (chosen(F_WRITE))
			return -1;
		n = HALF(n);
	}
	return next(fd, p, n);
}

ssize_t
pwrite(int fd, const void *p, size_t n, off_t at)
{
	NEXT(ssize_t, pwrite, int, const void *, size_t, off_t);
	if (chosen(F_WRITE))
		return -1;
	return next(fd, p, HALF(n), at);
}

ssize_t
pwrite64(int fd, const void *p, size_t n, off64_t at)
{
	NEXT(ssize_t, pwrite64, int, const void *, size_t, off64_t);
	if (chosen(F_WRITE))
		return -1;
	return next(fd, p, HALF(n), at);
}

ssize_t
writev(int fd, const struct iovec *v, int n)
{
	NEXT(ssize_t, writev, int, const struct iovec *, int);
	if (is_file(fd) && chosen(F_WRITE))
		return -1;
	return next(fd, v, n);
}

int
ftruncate(int fd, off_t n)
{
	NEXT(int, ftruncate, int, off_t);
	return chosen(F_WRITE) ? -1 : next(fd, n);
}

int
ftruncate64(int fd, off64_t n)
{
	NEXT(int, ftruncate64, int, off64_t);
	return chosen(F_WRITE) ? -1 : next(fd, n);
}

int
fallocate(int fd, int mode, off_t at, off_t n)
{
	NEXT(int, fallocate, int, int, off_t, off_t);
	return chosen(F_WRITE) ? -1 : next(fd, mode, at, n);
}

int
posix_fallocate(int fd, off_t at, off_t n)
{
	NEXT(int, posix_fallocate, int, off_t, off_t);
	return chosen(F_WRITE) ? errno : next(fd, at, n);
}

int
fsync(int fd)
{
	NEXT(int, fsync, int);
	return chosen(F_SYNC) ? -1 : next(fd);
}

int
fdatasync(int fd)
{
	NEXT(int, fdatasync, int);
	return chosen(F_SYNC) ? -1 : next(fd);
}

/* ---- descriptors */

#define MODE(flags, last)                                                                                              \
	mode_t mode = 0;                                                                                                \
	if ((flags) & (O_CREAT | __O_TMPFILE)) {                                                                        \
		va_list ap;                                                                                             \
		va_start(ap, last);                                                                                     \
		mode = va_arg(ap, mode_t);                                                                              \
		va_end(ap);                                                                                             \
	}

/* A file system that cannot be written refuses to create, too. */
static int
open_fails(int flags)
{
	return chosen(F_OPEN) || ((flags & (O_CREAT | O_WRONLY | O_RDWR)) && chosen(F_NAME));
}

int
open(const char *path, int flags, ...)
{
	MODE(flags, flags)
	NEXT(int, open, const char *, int, ...);
	return open_fails(flags) ? -1 : next(path, flags, mode);
}

int
open64(const char *path, int flags, ...)
{
	MODE(flags, flags)
	NEXT(int, open64, const char *, int, ...);
	return open_fails(flags) ? -1 : next(path, flags, mode);
}

int
openat(int dir, const char *path, int flags, ...)
{
	MODE(flags, flags)
	NEXT(int, openat, int, const char *, int, ...);
	return open_fails(flags) ? -1 : next(dir, path, flags, mode);
}

int
openat64(int dir, const char *path, int flags, ...)
{
	MODE(flags, flags)
	NEXT(int, openat64, int, const char *, int, ...);
	return open_fails(flags) ? -1 : next(dir, path, flags, mode);
}

DIR *
opendir(const char *path)
{
	NEXT(DIR *, opendir, const char *);
	return chosen(F_OPEN) ? NULL : next(path);
}

int
accept4(int fd, __SOCKADDR_ARG sa, socklen_t *len, int flags)
{
	NEXT(int, accept4, int, __SOCKADDR_ARG, socklen_t *, int);
	return chosen(F_OPEN) ? -1 : next(fd, sa, len, flags);
}

int
socket(int domain, int type, int protocol)
{
	NEXT(int, socket, int, int, int);
	return chosen(F_OPEN) ? -1 : next(domain, type, protocol);
}

int
socketpair(int domain, int type, int protocol, int fds[2])
{
	NEXT(int, socketpair, int, int, int, int[2]);
	return chosen(F_OPEN) ? -1 : next(domain, type, protocol, fds);
}

int
pipe2(int fds[2], int flags)
{
	NEXT(int, pipe2, int[2], int);
	return chosen(F_OPEN) ? -1 : next(fds, flags);
}

int
memfd_create(const char *name, unsigned int flags)
{
	NEXT(int, memfd_create, const char *, unsigned int);
	return chosen(F_OPEN) ? -1 : next(name, flags);
}

int
dup(int fd)
{
	NEXT(int, dup, int);
	return chosen(F_OPEN) ? -1 : next(fd);
}

/* ---- processes */

pid_t
fork(void)
{
	NEXT(pid_t, fork, void);
	return chosen(F_FORK) ? -1 : next();
}

/* The calls that the C library has no function for. */
long
syscall(long number, ...)
{
	long a[6];
	va_list ap;
	NEXT(long, syscall, long, ...);

	va_start(ap, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if ((number == SYS_clone3 && chosen(F_FORK)) ||
	    ((number == SYS_pidfd_open || number == SYS_openat2 || number == SYS_memfd_create) && chosen(F_OPEN)))
		return -1;
	return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* ---- names */

int
rename(const char *from, const char *to)
{
	NEXT(int, rename, const char *, const char *);
	return chosen(F_NAME) ? -1 : next(from, to);
}

int
renameat(int d1, const char *from, int d2, const char *to)
{
	NEXT(int, renameat, int, const char *, int, const char *);
	return chosen(F_NAME) ? -1 : next(d1, from, d2, to);
}

int
renameat2(int d1, const char *from, int d2, const char *to, unsigned int flags)
{
	NEXT(int, renameat2, int, const char *, int, const char *, unsigned int);
	return chosen(F_NAME) ? -1 : next(d1, from, d2, to, flags);
}

int
mkdir(const char *path, mode_t mode)
{
	NEXT(int, mkdir, const char *, mode_t);
	return chosen(F_NAME) ? -1 : next(path, mode);
}

int
mkdirat(int dir, const char *path, mode_t mode)
{
	NEXT(int, mkdirat, int, const char *, mode_t);
	return chosen(F_NAME) ? -1 : next(dir, path, mode);
}

int
unlink(const char *path)
{
	NEXT(int, unlink, const char *);
	return chosen(F_NAME) ? -1 : next(path);
}

int
unlinkat(int dir, const char *path, int flags)
{
	NEXT(int, unlinkat, int, const char *, int);
	return chosen(F_NAME) ? -1 : next(dir, path, flags);
}

/* ---- memory: left out where a sanitizer has its own allocator */
#ifndef NO_MEMORY
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);

void *
malloc(size_t n)
{
	return chosen(F_MEMORY) ? NULL : __libc_malloc(n);
}

void *
calloc(size_t n, size_t size)
{
	return chosen(F_MEMORY) ? NULL : __libc_calloc(n, size);
}

void *
realloc(void *p, size_t n)
{
	return chosen(F_MEMORY) ? NULL : __libc_realloc(p, n);
}

void *
reallocarray(void *p, size_t n, size_t size)
{
	if (size && n > SIZE_MAX / size) {
		errno = ENOMEM;
		return NULL;
	}
	return realloc(p, n * size);
}

void *
mmap(void *at, size_t n, int prot, int flags, int fd, off_t off)
{
	if (shared && chosen(F_MEMORY))
		return MAP_FAILED;
	return (void *)syscall(SYS_mmap, at, n, prot, flags, fd, off);
}

void *
mmap64(void *at, size_t n, int prot, int flags, int fd, off64_t off)
{
	return mmap(at, n, prot, flags, fd, off);
}
#endif
