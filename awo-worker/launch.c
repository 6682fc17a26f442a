/* The launcher: makes the agent's namespaces and root, becomes their reaper, and starts the program in them. */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "awo-worker/launch_spec.h"
#include "awo-worker/root.h"
#include "awo-worker/sandbox.h"
#include "awo-worker/seccomp.h"
#include "common/buf.h"
#include "common/child.h"
#include "common/files.h"

#define SPEC_MAX (64U << 20)
#define STATUS_FAILED 1
#define STATUS_RUNNING 2
#define STATUS_ENDED 3
#define STATUS_CLEARED 4

/* What to start; its descriptors are in their places. */
struct start {
	char **argv, **envp;
	bool has_fd3, has_exec;
};

struct spec {
	struct launch_head head;
	const char *filter;
	const char *cwd;
	struct start first;
	struct sandbox_mount *mounts;
};

/* The program's side to the reaper: its pid as the worker sees it, then, if exec fails, which step did. */
struct start_report {
	int32_t pid;
	int32_t err;
	char step[24];
};

static void
tell(const struct sandbox_status *st)
{
	/* the worker may be gone, and then so are we soon */
	while (write(LAUNCH_STATUS, st, sizeof(*st)) < 0 && errno == EINTR)
		;
}

_Noreturn static void
fail_with(int err, const char *what)
{
	struct sandbox_status st = {.kind = STATUS_FAILED, .err = err ? err : EIO};

	snprintf(st.what, sizeof(st.what), "%s", what);
	tell(&st);
	_exit(125);
}

_Noreturn static void
fail(const char *what)
{
	fail_with(errno, what);
}

/* ---- the specification */

static const char *
next_string(const char **p, const char *end)
{
	const char *s = *p, *nul = memchr(s, '\0', (size_t)(end - s));

	if (!nul)
		fail_with(EBADMSG, "launch specification");
	*p = nul + 1;
	return s;
}

static char **
strings(uint32_t n, const char **p, const char *end)
{
	char **v = xcalloc((size_t)n + 1, sizeof(*v));

	for (uint32_t i = 0; i < n; i++)
		v[i] = (char *)(uintptr_t)next_string(p, end);
	return v;
}

/* The specification's memory stays until exec. */
static void
read_spec(struct spec *s)
{
	size_t len;
	char *text = files_read_fd(LAUNCH_SPEC, SPEC_MAX, &len);
	const char *p, *end;

	if (!text)
		fail("launch specification");
	if (len < sizeof(s->head))
		fail_with(EBADMSG, "launch specification");
	memcpy(&s->head, text, sizeof(s->head));
	p = text + sizeof(s->head);
	end = text + len;
	if (s->head.magic != LAUNCH_MAGIC || s->head.filter_bytes > (size_t)(end - p) || (s->head.argc < 1 && !s->head.stays) ||
	    s->head.argc > LAUNCH_STRINGS_MAX || s->head.envc > LAUNCH_STRINGS_MAX || s->head.nmounts > LAUNCH_STRINGS_MAX)
		fail_with(EBADMSG, "launch specification");
	s->filter = p;
	p += s->head.filter_bytes;
	s->cwd = next_string(&p, end);
	s->first = (struct start){.argv = strings(s->head.argc, &p, end), .envp = strings(s->head.envc, &p, end),
		.has_fd3 = s->head.has_fd3, .has_exec = s->head.has_exec};
	s->mounts = xcalloc((size_t)s->head.nmounts + 1, sizeof(*s->mounts));
	for (uint32_t i = 0; i < s->head.nmounts; i++) {
		struct sandbox_mount *m = &s->mounts[i];
		const char *how;

		m->source = next_string(&p, end);
		m->target = next_string(&p, end);
		how = next_string(&p, end);
		m->writable = how[0] == 'w' || how[0] == 'W';
		m->optional = how[0] == 'W' || how[0] == 'R';
	}
}

/* ---- the program */

/* Our pid where the worker can use it: its /proc, opened before it went out of reach, still counts in the worker's way. */
static pid_t
outer_pid(int worker_proc)
{
	char text[16];
	ssize_t n = readlinkat(worker_proc, "self", text, sizeof(text) - 1);

	if (n <= 0)
		return -1;
	text[n] = '\0';
	return (pid_t)atoi(text);
}

_Noreturn static void
program(const struct spec *s, const struct start *p, int report)
{
	struct start_report r = {.pid = outer_pid(LAUNCH_PROC)};
	const char *step = "pid";

	if (r.pid <= 0 || write(report, &r, sizeof(r)) != (ssize_t)sizeof(r))
		goto fail;
	step = "setsid";
	if (setsid() < 0)
		goto fail;
	step = "cwd";
	if (chdir(s->cwd) < 0)
		goto fail;
	step = "signals";
	if (child_default_signals() < 0)
		goto fail;
	step = "descriptors";
	if (close_range(p->has_fd3 ? LAUNCH_FD3 + 1 : LAUNCH_FD3, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		goto fail;
	step = "limits";
	if (child_set_limits(&s->head.limits) < 0)
		goto fail;
	umask(022);
	step = "exec";
	if (p->has_exec)
		syscall(SYS_execveat, LAUNCH_EXEC, "", p->argv, p->envp, AT_EMPTY_PATH);
	else
		execve(p->argv[0], p->argv, p->envp);
fail:
	r.err = errno ? errno : EIO;
	snprintf(r.step, sizeof(r.step), "%s", step);
	/* the report's number is still ours: close-on-exec acts on success only */
	_exit(write(report, &r, sizeof(r)) == (ssize_t)sizeof(r) ? 125 : 126);
}

/* ---- the reaper */

static ssize_t
read_report(int fd, struct start_report *r)
{
	ssize_t n;

	do
		n = read(fd, r, sizeof(*r));
	while (n < 0 && errno == EINTR);
	return n;
}

/* The same descriptor with a number above the fixed ones. */
static int
above(int fd)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, LAUNCH_PROC + 1);

	if (high < 0)
		fail("descriptors");
	close(fd);
	return high;
}

/*
 * Starts the program and tells that it runs, or fails with all of the sandbox. The child's descriptors are the caller's, and
 * moved, where given, to their places: 0 to 3 and LAUNCH_EXEC.
 */
static pid_t
start(const struct spec *s, const struct start *p, const int *moved)
{
	struct sandbox_status st = {.kind = STATUS_RUNNING};
	struct start_report r = {0};
	int report[2];
	char what[96];
	pid_t pid;

	if (pipe2(report, O_CLOEXEC) < 0)
		fail("pipe");
	report[0] = above(report[0]);
	report[1] = above(report[1]);
	pid = fork();
	if (pid < 0)
		fail("fork");
	if (pid == 0) {
		for (int i = 0; moved && i < LAUNCH_MORE_FDS; i++)
			if (i != LAUNCH_MORE_STRINGS && dup2(moved[i], i == LAUNCH_MORE_EXEC ? LAUNCH_EXEC : i) < 0)
				_exit(126);
		program(s, p, report[1]);
	}
	if (close(report[1]) < 0 || read_report(report[0], &r) != (ssize_t)sizeof(r) || r.err) {
		if (r.err == 0)
			r.err = EIO;
	} else {
		st.pid = r.pid;
		/* end of file: exec has succeeded */
		if (read_report(report[0], &r) == 0)
			r.err = 0;
	}
	close(report[0]);
	if (r.err) {
		if (strcmp(r.step, "exec") == 0)
			snprintf(what, sizeof(what), "starting %.80s", p->argv[0]);
		else if (strcmp(r.step, "cwd") == 0)
			snprintf(what, sizeof(what), "changing to %.80s", s->cwd);
		else
			snprintf(what, sizeof(what), "preparing the program: %s", r.step);
		fail_with(r.err, what);
	}
	tell(&st);
	return pid;
}

/*
 * Waits for everything that ends in here, and tells the program's end at once. Returns when nothing is left; with cleared, what
 * outlives the program is killed, and counted.
 */
static void
reap(pid_t program_pid, bool clear)
{
	struct sandbox_status st = {.kind = STATUS_ENDED};
	struct rusage ru;
	int status, killed = 0;
	bool over = false;
	pid_t pid;

	for (;;) {
		pid = wait4(-1, &status, 0, &ru);
		if (pid < 0 && errno == EINTR)
			continue;
		if (pid < 0)
			break;
		st.cpu_us += (uint64_t)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1000000U +
		    (uint64_t)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec);
		if ((uint64_t)ru.ru_maxrss * 1024U > st.maxrss_bytes)
			st.maxrss_bytes = (uint64_t)ru.ru_maxrss * 1024U;
		killed += over && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
		if (pid != program_pid)
			continue;
		st.status = status;
		tell(&st);
		over = true;
		/* all of the pid namespace but us; who forks meanwhile is caught too */
		if (clear && kill(-1, SIGKILL) < 0 && errno != ESRCH)
			fail("ending what the program left");
	}
	if (clear)
		tell(&(struct sandbox_status){.kind = STATUS_CLEARED, .status = killed});
}

/* ---- further programs */

static void
close_all(const int *fds)
{
	for (int i = 0; i < LAUNCH_MORE_FDS; i++)
		close(fds[i]);
}

/*
 * Receives one and puts its descriptors above those with fixed numbers; the strings' memory is the caller's to free. The
 * worker's end of the socket ends everything.
 */
static char *
receive(struct start *p, int *fds)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * LAUNCH_MORE_FDS)];
		struct cmsghdr align;
	} control;
	struct launch_more h;
	struct iovec iov = {.iov_base = &h, .iov_len = sizeof(h)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	int got[LAUNCH_MORE_FDS];
	struct cmsghdr *c;
	const char *at, *end;
	size_t len = 0;
	ssize_t n;
	char *text;

	do
		n = recvmsg(LAUNCH_STATUS, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n == 0)
		_exit(0);
	c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
	if (n != (ssize_t)sizeof(h) || !c || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(sizeof(got)))
		fail_with(EBADMSG, "program");
	memcpy(got, CMSG_DATA(c), sizeof(got));
	for (int i = 0; i < LAUNCH_MORE_FDS; i++)
		fds[i] = above(got[i]);
	text = files_read_fd(fds[LAUNCH_MORE_STRINGS], SPEC_MAX, &len);
	if (!text || h.magic != LAUNCH_MAGIC || h.argc < 1 || h.argc > LAUNCH_STRINGS_MAX || h.envc > LAUNCH_STRINGS_MAX)
		fail_with(EBADMSG, "program");
	at = text;
	end = text + len;
	*p = (struct start){.argv = strings(h.argc, &at, end), .envp = strings(h.envc, &at, end), .has_fd3 = h.has_fd3 != 0,
		.has_exec = h.has_exec != 0};
	return text;
}

_Noreturn static void
serve(const struct spec *s)
{
	int fds[LAUNCH_MORE_FDS];
	struct start p;
	char *text;
	pid_t pid;

	for (;;) {
		text = receive(&p, fds);
		pid = start(s, &p, fds);
		close_all(fds);
		free(p.argv);
		free(p.envp);
		free(text);
		reap(pid, true);
	}
}

static int
write_file(int at, const char *path, const char *text)
{
	int fd = openat(at, path, O_WRONLY | O_CLOEXEC), rc;

	if (fd < 0)
		return -1;
	rc = write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -1;
	close(fd);
	return rc;
}

/* "1000 1000 1": the worker's only id is the agent's only id. */
static void
write_maps(int worker_proc)
{
	char map[32];

	snprintf(map, sizeof(map), "%d %d 1\n", ROOT_UID, ROOT_UID);
	if (write_file(worker_proc, "self/setgroups", "deny") < 0)
		fail("setgroups of the nested user namespace");
	if (write_file(worker_proc, "self/uid_map", map) < 0)
		fail("uid_map of the nested user namespace");
	if (write_file(worker_proc, "self/gid_map", map) < 0)
		fail("gid_map of the nested user namespace");
}

/* An empty network namespace has only a loopback interface, which programs that talk to themselves want up. */
static void
loopback_up(void)
{
	struct ifreq ifr = {.ifr_name = "lo"};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		fail("loopback interface");
	ifr.ifr_flags = IFF_UP | IFF_RUNNING;
	if (ioctl(fd, SIOCSIFFLAGS, &ifr) < 0)
		fail("loopback interface");
	close(fd);
}

_Noreturn static void
reaper(const struct spec *s, int worker_proc, int alive)
{
	struct root_plan plan = {.agent = true, .mounts = s->mounts, .nmounts = s->head.nmounts};
	struct pollfd launcher = {.fd = alive, .events = POLLIN};
	struct awo_err err = {0};
	pid_t pid = 0;
	int e = 0;

	/* no change of ids follows that would clear it; what if the launcher ended before? Then its pipe has. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		fail("parent death signal");
	if (poll(&launcher, 1, 0) != 0)
		_exit(125);
	close(alive);
	write_maps(worker_proc);
	if (!s->head.network)
		loopback_up();
	if (root_enter(&plan, &e, &err) < 0 || root_drop_power(&e, &err) < 0)
		fail_with(e, err.msg);
	if (seccomp_apply(s->filter, s->head.filter_bytes) < 0)
		fail("system call filter (needs a kernel with CONFIG_SECCOMP_FILTER)");
	/* out of everybody's reach: this process cannot be looked into */
	if (dup3(worker_proc, LAUNCH_PROC, O_CLOEXEC) < 0)
		fail("descriptors of the reaper");
	if (s->head.argc > 0)
		pid = start(s, &s->first, NULL);
	/* from here the status pipe is all that the reaper has, and, for further programs, the worker's /proc */
	if (close_range(0, LAUNCH_STATUS - 1, 0) < 0 || close_range(LAUNCH_STATUS + 1, LAUNCH_PROC - 1, 0) < 0 ||
	    close_range(s->head.stays ? LAUNCH_PROC + 1 : LAUNCH_PROC, ~0U, 0) < 0)
		fail("descriptors of the reaper");
	if (s->head.argc > 0)
		reap(pid, s->head.stays);
	if (s->head.stays)
		serve(s);
	_exit(0);
}

void
sandbox_launch_main(void)
{
	struct clone_args a = {.flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_CLEAR_SIGHAND,
		.exit_signal = SIGCHLD};
	struct spec s = {0};
	int worker_proc, alive[2], status;
	pid_t pid;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		fail("parent death signal");
	read_spec(&s);
	close(LAUNCH_SPEC);
	worker_proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (worker_proc < 0)
		fail("/proc");
	if (pipe2(alive, O_CLOEXEC) < 0)
		fail("pipe");
	if (!s.head.network)
		a.flags |= CLONE_NEWNET;
	pid = (pid_t)syscall(SYS_clone3, &a, sizeof(a));
	if (pid == 0) {
		close(alive[1]);
		reaper(&s, worker_proc, alive[0]);
	}
	if (pid < 0) {
		if (errno == EPERM || errno == EACCES)
			fail("nested user namespace: forbidden here (sysctl kernel.*userns*, or AppArmor: see docs)");
		if (errno == ENOSPC || errno == EUSERS)
			fail("nested namespaces: no more left; raise the sysctls user.max_*_namespaces");
		fail("clone3 with nested namespaces");
	}
	/* the status pipe must end with the reaper, and nobody else's descriptor may keep anything open */
	if (dup2(alive[1], 0) < 0 || close_range(1, ~0U, 0) < 0)
		_exit(125);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			_exit(125);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}
