/* Starts one process in namespaces of its own, with one uid, a fixed set of descriptors and nothing else. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "awod/supervisor.h"
#include "common/child.h"
#include "common/clean.h"

#define GROUPS_MAX 65536

struct report {
	int32_t err;
	char what[96];
};

/* ---- in the new process: between clone and exec, single-threaded, with its own copy of memory */

_Noreturn static void
child_failed(int sync_fd, const char *what)
{
	struct report r = {.err = errno ? errno : EIO};

	snprintf(r.what, sizeof(r.what), "%s", what);
	/* when the parent is gone there is nobody to tell */
	if (send(sync_fd, &r, sizeof(r), MSG_NOSIGNAL) < 0)
		_exit(126);
	_exit(127);
}

/* One step of the set-up: any failure ends the process. */
#define STEP(call, what)                          \
	do {                                      \
		if ((call) < 0)                   \
			child_failed(sync, what); \
	} while (0)

/* Everything that the user namespace gives becomes inheritable and ambient, so that it is still there after exec. */
static int
ambient_capabilities(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data) < 0)
		return -1;
	data[0].inheritable = data[0].permitted;
	data[1].inheritable = data[1].permitted;
	if (syscall(SYS_capset, &head, data) < 0)
		return -1;
	for (unsigned int cap = 0; cap < 64; cap++) {
		if (!(data[cap / 32].permitted & (1U << (cap % 32))))
			continue;
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
			return -1;
	}
	return 0;
}

/* Standard descriptors, 3 and on, and the sync socket (close-on-exec) right after them; everything else closed. */
static int
descriptors(const struct spawn_request *r, int *sync)
{
	int src[3 + SUP_FDS_MAX + 1], n = 0;

	src[n++] = r->null_fd;
	src[n++] = STDERR_FILENO;
	src[n++] = STDERR_FILENO;
	for (int i = 0; i < r->nfds; i++)
		src[n++] = r->fds[i];
	src[n++] = *sync;
	/* first out of the way of all targets, then into place */
	for (int i = 0; i < n; i++) {
		src[i] = fcntl(src[i], F_DUPFD_CLOEXEC, n);
		if (src[i] < 0)
			return -1;
	}
	*sync = src[n - 1];
	for (int i = 0; i < n - 1; i++)
		if (dup2(src[i], i) < 0)
			return -1;
	if (dup3(*sync, n - 1, O_CLOEXEC) < 0)
		return -1;
	*sync = n - 1;
	return close_range((unsigned int)n, ~0U, 0);
}

_Noreturn static void
child(const struct spawn_request *r, int sync)
{
	char *const no_env[] = {NULL};
	char go;

	/* until the parent has written the id maps and recorded us; end of file: it gave us up */
	if (recv(sync, &go, 1, 0) != 1)
		_exit(126);
	STEP(child_default_signals(), "signal dispositions");
	STEP(setresgid(SPAWN_UID, SPAWN_UID, SPAWN_UID), "setresgid");
	STEP(setresuid(SPAWN_UID, SPAWN_UID, SPAWN_UID), "setresuid");
	STEP(setsid(), "setsid");
	STEP(chdir("/"), "chdir /");
	STEP(descriptors(r, &sync), "descriptors");
	STEP(child_set_limits(&r->limits), "setrlimit");
	umask(027);
	STEP(ambient_capabilities(), "ambient capabilities");
	execve(r->path, r->argv, no_env);
	child_failed(sync, "exec of awo-worker (see --libexec-dir; every user must be able to read and run it)");
}

/* ---- in the supervisor */

static int
fail(struct spawn_result *out, int err, const char *what)
{
	out->err = err ? err : EIO;
	snprintf(out->what, sizeof(out->what), "%s", what);
	return -1;
}

static int
write_proc(pid_t pid, const char *file, const char *text)
{
	char path[64];
	CLEAN_FD int fd = -1;
	size_t n = strlen(text);
	ssize_t w;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	w = write(fd, text, n);
	if (w >= 0 && (size_t)w != n)
		errno = EIO;
	return w >= 0 && (size_t)w == n ? 0 : -1;
}

static int
write_maps(pid_t pid, uid_t uid, gid_t gid)
{
	char text[64];

	if (write_proc(pid, "setgroups", "deny") < 0)
		return -1;
	snprintf(text, sizeof(text), "%d %u 1\n", SPAWN_UID, uid);
	if (write_proc(pid, "uid_map", text) < 0)
		return -1;
	snprintf(text, sizeof(text), "%d %u 1\n", SPAWN_UID, gid);
	return write_proc(pid, "gid_map", text);
}

static pid_t
clone_namespaces(int *pidfd)
{
	struct clone_args a = {
		.flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_PIDFD |
		    CLONE_CLEAR_SIGHAND,
		.pidfd = (uint64_t)(uintptr_t)pidfd,
		.exit_signal = SIGCHLD,
	};

	return (pid_t)syscall(SYS_clone3, &a, sizeof(a));
}

/*
 * The supplementary group must be in the credentials that clone copies: inside the namespace the group has no number, so it
 * cannot be asked for there.
 */
static pid_t
clone_with_groups(const struct spawn_request *r, int *pidfd, struct spawn_result *out)
{
	CLEAN_FREE gid_t *saved = NULL;
	int nsaved, e;
	pid_t pid;

	if (!r->set_groups) {
		pid = clone_namespaces(pidfd);
		e = errno;
	} else {
		nsaved = getgroups(0, NULL);
		if (nsaved < 0 || nsaved > GROUPS_MAX)
			return fail(out, errno, "getgroups");
		saved = calloc((size_t)nsaved + 1, sizeof(*saved));
		if (!saved || getgroups(nsaved, saved) != nsaved)
			/* freed by its attribute; NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
			return fail(out, errno, "getgroups");
		if (setgroups(r->group == (gid_t)-1 ? 0 : 1, &r->group) < 0)
			return fail(out, errno, "setgroups");
		pid = clone_namespaces(pidfd);
		e = errno;
		if (pid != 0 && setgroups((size_t)nsaved, saved) < 0) {
			e = errno;
			if (pid > 0) {
				kill(pid, SIGKILL);
				waitpid(pid, NULL, 0);
				close(*pidfd);
				*pidfd = -1;
			}
			return fail(out, e, "setgroups back");
		}
	}
	if (pid < 0) {
		if (e == ENOSPC || e == EUSERS)
			return fail(out, e, "clone3: no more namespaces; raise the sysctls user.max_*_namespaces");
		if (e == EPERM || e == EACCES)
			return fail(out, e, "clone3: user namespaces are forbidden; see userns sysctls (docs: installation)");
		return fail(out, e, "clone3 with new namespaces (needs Linux 5.10 with user namespaces)");
	}
	return pid;
}

/* Ends a process that has not reached its program; it is nobody's but ours. */
static void
give_up(pid_t pid, int pidfd)
{
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	close(pidfd);
}

int
spawn_start(const struct spawn_request *r, spawn_recorder *record, void *arg, struct spawn_result *out)
{
	CLEAN_FD int mine = -1, theirs = -1;
	int sp[2], pidfd = -1, e;
	pid_t pid;

	*out = (struct spawn_result){.pidfd = -1, .started = -1};
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sp) < 0)
		return fail(out, errno, "socketpair");
	mine = sp[0];
	theirs = sp[1];
	pid = clone_with_groups(r, &pidfd, out);
	if (pid < 0)
		return -1;
	if (pid == 0) {
		close(mine);
		child(r, theirs);
	}
	/* from now on the process alone has it, until exec closes it */
	close(TAKE_FD(theirs));
	if (write_maps(pid, r->uid, r->gid) < 0) {
		fail(out, errno, "id maps (may this process map the order's uid? see --uid-base)");
	} else if ((e = record(arg, pid)) != 0) {
		fail(out, e, "recording the process in the run directory");
	} else if (send(mine, "g", 1, MSG_NOSIGNAL) != 1) {
		fail(out, errno, "the new process ended at once");
	} else {
		out->pid = pid;
		out->pidfd = pidfd;
		out->started = TAKE_FD(mine);
		return 0;
	}
	give_up(pid, pidfd);
	return -1;
}

int
spawn_started(struct spawn_result *p)
{
	struct report rep = {0};
	ssize_t n = recv(p->started, &rep, sizeof(rep), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 1;
	if (n == 0)
		return 0;
	rep.what[sizeof(rep.what) - 1] = '\0';
	return fail(p, n == (ssize_t)sizeof(rep) ? rep.err : EIO, n == (ssize_t)sizeof(rep) ? rep.what : "report of the new process");
}

uint64_t
spawn_starttime(pid_t pid)
{
	char path[64], text[1024], *p;
	CLEAN_FD int fd = -1;
	unsigned long long start;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	/* the name in parentheses may hold anything: what follows its end is fields 3 and on */
	p = strrchr(text, ')');
	if (!p)
		return 0;
	for (int field = 2; field < 22; field++) {
		p = strchr(p + 1, ' ');
		if (!p)
			return 0;
	}
	return sscanf(p, " %llu", &start) == 1 ? start : 0;
}
