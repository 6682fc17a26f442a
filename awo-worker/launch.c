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

struct spec {
	struct launch_head head;
	const char *filter;
	const char *cwd;
	char **argv, **envp;
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
	if (s->head.magic != LAUNCH_MAGIC || s->head.filter_bytes > (size_t)(end - p) || s->head.argc < 1 ||
	    s->head.argc > LAUNCH_STRINGS_MAX || s->head.envc > LAUNCH_STRINGS_MAX || s->head.nmounts > LAUNCH_STRINGS_MAX)
		fail_with(EBADMSG, "launch specification");
	s->filter = p;
	p += s->head.filter_bytes;
	s->cwd = next_string(&p, end);
	s->argv = strings(s->head.argc, &p, end);
	s->envp = strings(s->head.envc, &p, end);
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
program(const struct spec *s, int worker_proc, int report)
{
	struct start_report r = {.pid = outer_pid(worker_proc)};
	const char *step = "pid";
	int exec_fd = LAUNCH_EXEC;

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
	if (close_range(s->head.has_fd3 ? LAUNCH_FD3 + 1 : LAUNCH_FD3, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		goto fail;
	step = "limits";
	if (child_set_limits(&s->head.limits) < 0)
		goto fail;
	umask(022);
	step = "exec";
	if (s->head.has_exec)
		syscall(SYS_execveat, exec_fd, "", s->argv, s->envp, AT_EMPTY_PATH);
	else
		execve(s->argv[0], s->argv, s->envp);
fail:
	r.err = errno ? errno : EIO;
	snprintf(r.step, sizeof(r.step), "%s", step);
	/* exec_fd's and the report's numbers are still ours: close-on-exec acts on success only */
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

/*
 * Waits for everything that ends in here. The program's end is told at once; the reaper goes when nothing is left, or is
 * killed with all that is.
 */
_Noreturn static void
reap(pid_t program_pid)
{
	struct sandbox_status st = {.kind = STATUS_ENDED};
	struct rusage ru;
	int status;
	pid_t pid;

	for (;;) {
		pid = wait4(-1, &status, 0, &ru);
		if (pid < 0 && errno == EINTR)
			continue;
		if (pid < 0)
			_exit(0);
		st.cpu_us += (uint64_t)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1000000U +
		    (uint64_t)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec);
		if ((uint64_t)ru.ru_maxrss * 1024U > st.maxrss_bytes)
			st.maxrss_bytes = (uint64_t)ru.ru_maxrss * 1024U;
		if (pid == program_pid) {
			st.status = status;
			tell(&st);
		}
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
	struct sandbox_status st = {.kind = STATUS_RUNNING};
	struct start_report r = {0};
	struct awo_err err = {0};
	int e = 0, report[2];
	char what[96];
	pid_t pid;

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
	if (pipe2(report, O_CLOEXEC) < 0)
		fail("pipe");
	pid = fork();
	if (pid < 0)
		fail("fork");
	if (pid == 0)
		program(s, worker_proc, report[1]);
	if (close(report[1]) < 0 || read_report(report[0], &r) != (ssize_t)sizeof(r) || r.err) {
		if (r.err == 0)
			r.err = EIO;
	} else {
		st.pid = r.pid;
		/* end of file: exec has succeeded */
		if (read_report(report[0], &r) == 0)
			r.err = 0;
	}
	if (r.err) {
		if (strcmp(r.step, "exec") == 0)
			snprintf(what, sizeof(what), "starting %.80s", s->argv[0]);
		else if (strcmp(r.step, "cwd") == 0)
			snprintf(what, sizeof(what), "changing to %.80s", s->cwd);
		else
			snprintf(what, sizeof(what), "preparing the program: %s", r.step);
		fail_with(r.err, what);
	}
	/* from here the status pipe is all that the reaper has */
	if (close_range(0, LAUNCH_STATUS - 1, 0) < 0 ||
	    close_range(LAUNCH_STATUS + 1, ~0U, 0) < 0)
		fail("descriptors of the reaper");
	tell(&st);
	reap(pid);
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
