/*
 * Does for programs under valgrind what valgrind 3.19 does not know or refuses: linked into them with --wrap for each of the
 * functions below. Programs of the same build that do not run under valgrind get what they ask for.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>
#include <valgrind/valgrind.h>

extern long __real_syscall(long number, ...);
extern int __real_execv(const char *path, char *const argv[]);
extern int __real_setrlimit(__rlimit_resource_t resource, const struct rlimit *l);
long __wrap_syscall(long number, ...);
int __wrap_execv(const char *path, char *const argv[]);
int __wrap_setrlimit(__rlimit_resource_t resource, const struct rlimit *l);

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

/* From the process that started us, which is no program under valgrind: it listens at the abstract name in the environment. */
static int
pidfd_from_outside(pid_t pid)
{
	const char *name = getenv("AWO_VALGRIND_PIDFD");
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {.room = {0}};
	int err = EIO, fd = -1, s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct iovec iov = {&err, sizeof(err)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof(control)};
	struct cmsghdr *c;

	if (s < 0 || name == NULL || strlen(name) + 1 > sizeof(a.sun_path))
		return s < 0 ? -1 : failed(s, ENOSYS);
	memcpy(a.sun_path + 1, name, strlen(name));
	if (connect(s, (struct sockaddr *)&a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name))) < 0 ||
	    send(s, &pid, sizeof(pid), MSG_NOSIGNAL) < 0 || recvmsg(s, &m, MSG_CMSG_CLOEXEC) != (ssize_t)sizeof(err))
		return failed(s, ENOSYS);
	c = CMSG_FIRSTHDR(&m);
	if (c == NULL)
		return failed(s, err);
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	close(s);
	return fd;
}

static int
signal_by_pidfd(int fd, int sig)
{
	char path[64], line[256];
	long pid = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	if ((f = fopen(path, "re")) == NULL)
		return -1;
	while (fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, "Pid:", 4) == 0)
			pid = strtol(line + 4, NULL, 10);
	}
	fclose(f);
	if (pid <= 0) {
		errno = pid < 0 ? ESRCH : EBADF;
		return -1;
	}
	return kill((pid_t)pid, sig);
}

/* clone takes the same flags but for those beyond 32 bits. */
static long
clone_as_of_old(const struct clone_args *a)
{
	return __real_syscall(SYS_clone, (long)((a->flags & UINT32_MAX) | a->exit_signal), 0L, (long)a->pidfd, 0L, 0L);
}

/* That link is valgrind's own program, unless it is read. */
int
__wrap_execv(const char *path, char *const argv[])
{
	char self[PATH_MAX];
	ssize_t n = -1;

	if (RUNNING_ON_VALGRIND && strcmp(path, "/proc/self/exe") == 0)
		n = readlink(path, self, sizeof(self) - 1);
	if (n > 0) {
		self[n] = '\0';
		path = self;
	}
	return __real_execv(path, argv);
}

/* Descriptors at the end of what is allowed are valgrind's, so that it refuses a lower hard limit. */
int
__wrap_setrlimit(__rlimit_resource_t resource, const struct rlimit *l)
{
	int r = __real_setrlimit(resource, l);

	return RUNNING_ON_VALGRIND && resource == RLIMIT_NOFILE && r < 0 && errno == EPERM ? 0 : r;
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
	if (!RUNNING_ON_VALGRIND)
		return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (number == SYS_openat2)
		return open_beneath((int)a[0], (const char *)a[1], (const struct open_how *)a[2]);
	if (number == SYS_clone3)
		return clone_as_of_old((const struct clone_args *)a[0]);
	if (number == SYS_pidfd_open)
		return pidfd_from_outside((pid_t)a[0]);
	if (number == SYS_pidfd_send_signal)
		return signal_by_pidfd((int)a[0], (int)a[1]);
	return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
