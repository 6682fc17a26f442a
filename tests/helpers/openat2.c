/* Does openat2 for programs under valgrind, which does not know it: linked into them with --wrap=syscall. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

extern long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

static int
failed(int fd, int err)
{
	close(fd);
	errno = err;
	return -1;
}

/* Below dirfd, no links: all that is asked for here. Takes its time between the steps, which only a test can afford. */
static int
open_beneath(int dirfd, const char *path, const struct open_how *how)
{
	int cur = openat(dirfd, ".", O_PATH | O_CLOEXEC), fd, depth = 0, flags = (int)how->flags;
	struct stat st, start;
	char part[256];

	if (cur < 0 || fstat(cur, &start) < 0)
		return cur;
	if (*path == '\0' || *path == '/')
		return failed(cur, *path ? EXDEV : ENOENT);
	for (;;) {
		size_t n = strcspn(path, "/");
		const char *rest = path + n + strspn(path + n, "/");

		if (n >= sizeof(part))
			return failed(cur, ENAMETOOLONG);
		memcpy(part, path, n);
		part[n] = '\0';
		depth += strcmp(part, "..") == 0 ? -1 : strcmp(part, ".") != 0;
		if (depth < 0)
			return failed(cur, EXDEV);
		if (fstatat(cur, part, &st, AT_SYMLINK_NOFOLLOW) == 0) {
			if (S_ISLNK(st.st_mode) && (*rest || !(flags & O_PATH && flags & O_NOFOLLOW)))
				return failed(cur, flags & O_CREAT && flags & O_EXCL && !*rest ? EEXIST : ELOOP);
			if (how->resolve & RESOLVE_NO_XDEV && st.st_dev != start.st_dev)
				return failed(cur, EXDEV);
		}
		if (!*rest) {
			fd = openat(cur, part, flags | (path[n] ? O_DIRECTORY : 0), (mode_t)how->mode);
			return fd < 0 ? failed(cur, errno) : (close(cur), fd);
		}
		fd = openat(cur, part, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			return failed(cur, errno);
		close(cur);
		cur = fd;
		path = rest;
	}
}

long
__wrap_syscall(long number, ...)
{
	long a[6];
	va_list ap;

	va_start(ap, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (number == SYS_openat2)
		return open_beneath((int)a[0], (const char *)a[1], (const struct open_how *)a[2]);
	return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
