/* The worker's root and the agent's sandbox, made for real and looked at from inside: as root and as an ordinary user. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "awo-worker/sandbox.h"
#include "awo-worker/worker.h"
#include "common/buf.h"
#include "common/clean.h"
#include "common/clock.h"
#include "common/files.h"
#include "tests/unit/cmocka_all.h"
#include "tests/unit/sandbox_probe.h"

#define ORDER_UID 1880000123U	/* system mode: a uid of an order */
#define PLAIN_UID 12345U	/* user mode, when the tests run as root */

static char top[] = "/tmp/awo-sandbox-test-XXXXXX";
static char order_dir[64], cache_dir[64], tool_dir[64];
static int own_exe;	/* of this test, for programs inside */

/* ---- what runs as the worker: pid 1 of its own namespaces. Returns 0; prints what is wrong. */
typedef int worker_body(void);

#define CHECK(cond)                                                                                 \
	do {                                                                                        \
		if (!(cond)) {                                                                      \
			fprintf(stderr, "%s:%d: not true: %s (%s)\n", __FILE__, __LINE__, #cond, strerror(errno)); \
			return 1;                                                                   \
		}                                                                                   \
	} while (0)

static int
enter(void)
{
	struct worker_args a = {.id = "wo-00000001", .order_dir = order_dir, .cache_dir = cache_dir, .libexec_dir = tool_dir,
		.commands_dir = tool_dir, .config_dir = "/nonexistent"};
	struct sandbox_mount tool = {.source = tool_dir, .target = tool_dir};
	struct awo_err err = {0};

	if (worker_enter(&a, &tool, 1, &err) < 0) {
		fprintf(stderr, "worker_enter: %s\n", err.msg);
		return -1;
	}
	return 0;
}

struct run {
	struct sandbox_proc proc;
	int out;
	struct sandbox_status st[3];
	int nst;
	char text[262144];
	size_t len;
};

static const char *const agent_env[] = {"PATH=/usr/bin", "HOME=/home/agent", NULL};

static struct sandbox_launch
launch_of(const char *const *argv, const struct sandbox_mount *mounts, size_t n)
{
	return (struct sandbox_launch){.argv = argv, .exec_fd = own_exe, .envp = agent_env, .cwd = "/workspace", .mounts = mounts,
		.nmounts = n, .network = true, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = STDERR_FILENO, .fd3 = -1,
		.limits = {.core = 1, .nofile = 256, .fsize = 1U << 30, .nproc = 2000, .memlock = 65536}};
}

static const struct sandbox_mount agent_mounts[] = {
	{.source = "/awo/order/workspace", .target = "/workspace", .writable = true},
	{.source = "/awo/order/home", .target = "/home/agent", .writable = true},
	{.source = "/awo/cache.git", .target = "/awo/cache.git"},
	{.source = "/awo/order/not-there", .target = "/opt/not-there", .optional = true},
};

static int
start(struct run *r, struct sandbox_launch *l)
{
	struct awo_err err = {0};
	int p[2];

	memset(r, 0, sizeof(*r));
	CHECK(pipe2(p, O_CLOEXEC) == 0);
	l->stdout_fd = p[1];
	if (sandbox_start(l, &r->proc, &err) < 0) {
		fprintf(stderr, "sandbox_start: %s\n", err.msg);
		return 1;
	}
	close(p[1]);
	r->out = p[0];
	return 0;
}

/* Reads until both pipes have what is asked for; 0: to their ends. */
static int
follow(struct run *r, int statuses, const char *text)
{
	const int64_t deadline = clock_mono_us() + 20 * 1000000LL;
	bool out_end = false, st_end = false;

	while (!(out_end && st_end)) {
		struct pollfd p[2] = {{.fd = out_end ? -1 : r->out, .events = POLLIN},
			{.fd = st_end ? -1 : r->proc.status_fd, .events = POLLIN}};
		ssize_t n;

		if (statuses && r->nst >= statuses && (!text || strstr(r->text, text)))
			return 0;
		CHECK(clock_mono_us() < deadline);
		CHECK(poll(p, 2, 1000) >= 0);
		if (p[0].revents) {
			n = read(r->out, r->text + r->len, sizeof(r->text) - 1 - r->len);
			CHECK(n >= 0);
			out_end = n == 0;
			r->len += (size_t)n;
			r->text[r->len] = '\0';
		}
		if (p[1].revents) {
			CHECK(r->nst < (int)(sizeof(r->st) / sizeof(r->st[0])));
			n = read(r->proc.status_fd, &r->st[r->nst], sizeof(r->st[0]));
			CHECK(n == 0 || n == (ssize_t)sizeof(r->st[0]));
			st_end = n == 0;
			r->nst += n > 0;
		}
	}
	CHECK(statuses == 0 || r->nst >= statuses);
	return 0;
}

static int
finish(struct run *r, int *left)
{
	int n = sandbox_kill(&r->proc), status;

	CHECK(n >= 0);
	if (left)
		*left = n;
	CHECK(waitpid(r->proc.pid, &status, 0) == r->proc.pid);
	close(r->proc.pidfd);
	close(r->proc.status_fd);
	close(r->out);
	/* nothing is below the worker any more */
	CHECK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
	return 0;
}

static int
run_probe(struct run *r, const char *what, const char *arg, bool network)
{
	const char *const argv[] = {"probe", "inside", what, arg, NULL};
	struct sandbox_launch l = launch_of(argv, agent_mounts, 4);

	l.network = network;
	if (start(r, &l) != 0 || follow(r, 0, NULL) != 0)
		return 1;
	return finish(r, NULL);
}

static bool
has(const struct run *r, const char *text)
{
	if (strstr(r->text, text))
		return true;
	fprintf(stderr, "missing: %s\n", text);
	return false;
}

static bool
has_not(const struct run *r, const char *text)
{
	const char *p = strstr(r->text, text);

	if (!p)
		return true;
	fprintf(stderr, "must not be there: %.60s\n", p);
	return false;
}

static int
body_facts(void)
{
	static struct run r;

	CHECK(enter() == 0);
	/* the worker itself */
	CHECK(prctl(PR_GET_DUMPABLE) == 0);
	CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	CHECK(mkdir("/x", 0700) < 0 && errno == EROFS);
	CHECK(access("/awo/order/workspace", W_OK) == 0);
	CHECK(access("/awo/cache.git/HEAD", R_OK) == 0);
	CHECK(open("/awo/cache.git/x", O_CREAT | O_WRONLY | O_CLOEXEC, 0600) < 0 && errno == EROFS);
	CHECK(run_probe(&r, "facts", NULL, true) == 0);
	if (getenv("AWO_TEST_SHOW"))
		fprintf(stderr, "%s\n", r.text);
	CHECK(r.nst == 2 && r.st[0].kind == 2 && r.st[0].pid > 1 && r.st[1].kind == 3 && r.st[1].status == 0);
	/* descriptors, ids, powers */
	CHECK(has(&r, "dir /proc/self/fd: 0 1 2 ."));
	CHECK(has(&r, "CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n"
		      "CapBnd:\t0000000000000000\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n"));
	CHECK(has(&r, "Uid:\t1000\t1000\t1000\t1000\n"));
	CHECK(has(&r, "SigIgn:\t0000000000000000\n"));
	CHECK(has(&r, "blocked 0\n"));
	CHECK(has(&r, "== /proc/self/uid_map\n      1000       1000          1\n"));
	CHECK(has(&r, "== /proc/self/gid_map\n      1000       1000          1\n"));
	CHECK(has(&r, "== /proc/self/setgroups\ndeny\n"));
	CHECK(has(&r, "pid 2 pgrp 2 sid 2\n"));
	/* limits */
	CHECK(has(&r, "Max open files            256                  256 "));
	CHECK(has(&r, "Max file size             1073741824           1073741824 "));
	CHECK(has(&r, "Max locked memory         65536                65536 "));
	/* the root */
	CHECK(has(&r, "cwd /workspace\nhost awo\nenv PATH=/usr/bin\nenv HOME=/home/agent\nblocked"));
	CHECK(has(&r, "dir /awo: cache.git ."));
	CHECK(has(&r, "dir /proc/1: ."));
	CHECK(has_not(&r, "/workspace/secret"));
	CHECK(has_not(&r, " / /sys "));
	CHECK(has(&r, " / /proc rw,nosuid,nodev,noexec"));
	CHECK(has(&r, "write_root=30\nwrite_usr=30\nwrite_etc=30\nwrite_dev=30\nwrite_sys=13\n"));
	CHECK(has(&r, " /sys /proc/sys ro,nosuid,nodev,noexec"));
	CHECK(has(&r, "write_null=0\nwrite_tmp=0\nwrite_shm=0\nwrite_workspace=0\n"));
	CHECK(has(&r, "read_interrupts=13\nread_bus=13\npty=0\ndumpable=0\n"));
	CHECK(access("/awo/order/workspace/made-inside", F_OK) == 0);
	/* the optional mount's place was not even made */
	CHECK(has_not(&r, "not-there"));
	return 0;
}

static int
body_forbidden(void)
{
	static const char *const eperm[] = {"ptrace", "process_vm_readv", "kcmp", "io_uring_setup", "keyctl", "add_key", "userfaultfd",
		"bpf", "perf_event_open", "name_to_handle_at", "mount", "umount", "open_tree", "fsopen", "statmount", "pivot_root",
		"chroot", "unshare", "unshare_fs", "setns", "clone_newuser", "clone_newnet", "kexec_load", "init_module", "swapon",
		"reboot", "acct", "syslog", "tiocsti", "tiocsti_high", "set_capability",
		"reaper_limits", "reaper_limits_high", "reaper_scheduler", "reaper_processors", "reaper_nice", "user_nice",
		"reaper_io", "user_io"};
	static const char *const fine[] = {"sock_unix", "sock_inet", "sock_inet6", "sock_route", "tiocgwinsz", "own_limits",
		"own_scheduler", "own_nice", "own_io"};
	static const char *const family[] = {"sock_netfilter", "sock_vsock", "sock_vsock_high", "sock_alg", "sock_packet",
		"sock_unspec"};
	static struct run r;
	char text[64];

	CHECK(enter() == 0);
	CHECK(run_probe(&r, "forbidden", NULL, true) == 0);
	CHECK(r.nst == 2 && r.st[1].kind == 3 && r.st[1].status == 0);
	for (size_t i = 0; i < sizeof(eperm) / sizeof(eperm[0]); i++) {
		snprintf(text, sizeof(text), "\n%s=%d\n", eperm[i], EPERM);
		CHECK(has(&r, text + (i == 0)));
	}
	for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
		snprintf(text, sizeof(text), "\n%s=0\n", fine[i]);
		CHECK(has(&r, text));
	}
	for (size_t i = 0; i < sizeof(family) / sizeof(family[0]); i++) {
		snprintf(text, sizeof(text), "\n%s=%d\n", family[i], EAFNOSUPPORT);
		CHECK(has(&r, text));
	}
	snprintf(text, sizeof(text), "\nclone3=%d\n", ENOSYS);
	CHECK(has(&r, text));
	snprintf(text, sizeof(text), "\nsetuid_0=%d\n", EINVAL);
	CHECK(has(&r, text));
	/* pid 1 takes no signal from inside, and cannot be seen */
	CHECK(has(&r, "\nkill_reaper=0\n"));
	snprintf(text, sizeof(text), "\nreaper_memory=%d\n", ENOENT);
	CHECK(has(&r, text));
#if defined(__x86_64__)
	CHECK(run_probe(&r, "foreign", NULL, true) == 0);
	CHECK(r.nst == 2 && r.st[1].kind == 3 && WIFSIGNALED(r.st[1].status) && WTERMSIG(r.st[1].status) == SIGSYS);
#endif
	return 0;
}

static int
body_ends(void)
{
	static struct run r;
	const char *const missing[] = {"/usr/bin/there-is-no-such-program", NULL};
	const char *const cat[] = {"/usr/bin/cat", "/proc/self/limits", NULL};
	struct sandbox_mount bad[5];
	struct sandbox_launch l;

	CHECK(enter() == 0);
	CHECK(run_probe(&r, "exit", "7", true) == 0);
	CHECK(r.nst == 2 && WIFEXITED(r.st[1].status) && WEXITSTATUS(r.st[1].status) == 7);
	CHECK(run_probe(&r, "signal", "10", true) == 0);
	CHECK(r.nst == 2 && WIFSIGNALED(r.st[1].status) && WTERMSIG(r.st[1].status) == SIGUSR1);
	/* a program of the host's: sanitizers change the core limit of what they are built into */
	l = launch_of(cat, agent_mounts, 4);
	l.exec_fd = -1;
	CHECK(start(&r, &l) == 0 && follow(&r, 0, NULL) == 0 && finish(&r, NULL) == 0);
	CHECK(has(&r, "Max core file size        1                    1 "));
	CHECK(run_probe(&r, "burn", "60", true) == 0);
	CHECK(r.nst == 2 && r.st[1].cpu_us >= 20000 && r.st[1].maxrss_bytes > 65536);
	/* no network: a loopback interface and nothing else */
	CHECK(run_probe(&r, "facts", NULL, false) == 0);
	CHECK(has(&r, "    lo:") && has_not(&r, "eth"));

	l = launch_of(missing, agent_mounts, 4);
	l.exec_fd = -1;
	CHECK(start(&r, &l) == 0 && follow(&r, 0, NULL) == 0 && finish(&r, NULL) == 0);
	CHECK(r.nst == 1 && r.st[0].kind == 1 && r.st[0].err == ENOENT);
	CHECK(strstr(r.st[0].what, "there-is-no-such-program"));

	l = launch_of(missing, agent_mounts, 4);
	l.cwd = "/nowhere";
	CHECK(start(&r, &l) == 0 && follow(&r, 0, NULL) == 0 && finish(&r, NULL) == 0);
	CHECK(r.nst == 1 && r.st[0].kind == 1 && r.st[0].err == ENOENT && strstr(r.st[0].what, "/nowhere"));

	/* a mount that is missing, one over /proc, one through a link that the agent made, one with .. */
	for (int i = 0; i < 4; i++) {
		static const struct sandbox_mount each[] = {
			{.source = "/awo/not-there", .target = "/opt/x"},
			{.source = "/awo/order/home", .target = "/proc/sys"},
			{.source = "/awo/order/home", .target = "/workspace/link/x"},
			{.source = "/awo/order/home", .target = "/opt/../etc"},
		};
		static const char *const words[] = {"/awo/not-there", "/proc/sys", "/workspace/link/x", "/opt/../etc"};

		memcpy(bad, agent_mounts, sizeof(agent_mounts));
		bad[4] = each[i];
		l = launch_of(missing, bad, 5);
		CHECK(start(&r, &l) == 0 && follow(&r, 0, NULL) == 0 && finish(&r, NULL) == 0);
		CHECK(r.nst == 1 && r.st[0].kind == 1 && r.st[0].err != 0);
		if (!strstr(r.st[0].what, words[i])) {
			fprintf(stderr, "'%s' does not name %s\n", r.st[0].what, words[i]);
			return 1;
		}
	}
	/* what the program is given as descriptor 3 */
	{
		const char *const argv[] = {"probe", "inside", "fd3", NULL};
		char got[8] = {0};
		int p[2];

		CHECK(pipe2(p, O_CLOEXEC) == 0);
		l = launch_of(argv, agent_mounts, 4);
		l.fd3 = p[1];
		CHECK(start(&r, &l) == 0);
		close(p[1]);
		CHECK(follow(&r, 0, NULL) == 0 && finish(&r, NULL) == 0);
		CHECK(read(p[0], got, sizeof(got)) == 5 && strcmp(got, "three") == 0);
		CHECK(read(p[0], got, sizeof(got)) == 0);
		close(p[0]);
	}
	return 0;
}

static int
body_kill(void)
{
	static struct run r;
	const char *const argv[] = {"probe", "inside", "daemons", "5", NULL};
	const char *const sleeper[] = {"/usr/bin/sleep", "1000", NULL};
	struct sandbox_launch l = launch_of(argv, agent_mounts, 4);
	int left;

	CHECK(enter() == 0);
	CHECK(start(&r, &l) == 0);
	/* the program has ended, what it left behind has not: the status pipe stays open */
	CHECK(follow(&r, 2, "ready") == 0);
	CHECK(r.st[1].kind == 3 && r.st[1].status == 0);
	CHECK(finish(&r, &left) == 0);
	CHECK(left == 5);

	/* a signal reaches the program */
	l = launch_of(sleeper, agent_mounts, 4);
	l.exec_fd = -1;
	CHECK(start(&r, &l) == 0);
	CHECK(follow(&r, 1, NULL) == 0 && r.st[0].kind == 2);
	CHECK(sandbox_signal(&r.proc, r.st[0].pid, SIGTERM) == 0);
	CHECK(follow(&r, 0, NULL) == 0);
	CHECK(r.nst == 2 && WIFSIGNALED(r.st[1].status) && WTERMSIG(r.st[1].status) == SIGTERM);
	CHECK(finish(&r, &left) == 0 && left == 0);

	/* killed at any moment of its start, nothing stays */
	for (int i = 0; i < 12; i++) {
		l = launch_of(sleeper, agent_mounts, 4);
		l.exec_fd = -1;
		CHECK(start(&r, &l) == 0);
		usleep((useconds_t)i * 700);
		CHECK(finish(&r, NULL) == 0);
	}

	/* the launcher dies by itself: the reaper goes with it, and with the reaper everything; the pipe ends */
	l = launch_of(argv, agent_mounts, 4);
	CHECK(start(&r, &l) == 0);
	CHECK(follow(&r, 2, "ready") == 0);
	CHECK(kill(r.proc.pid, SIGKILL) == 0);
	CHECK(follow(&r, 0, NULL) == 0);
	while (waitpid(-1, NULL, 0) > 0)
		;
	CHECK(errno == ECHILD);
	return 0;
}

/* It ran, ended so, and left so many. */
static int
follow_cleared(struct run *r, int exit_status, int killed)
{
	CHECK(follow(r, 3, NULL) == 0);
	CHECK(r->st[0].kind == 2);
	CHECK(r->st[1].kind == 3 && WIFEXITED(r->st[1].status) && WEXITSTATUS(r->st[1].status) == exit_status);
	CHECK(r->st[2].kind == 4 && r->st[2].status == killed);
	r->nst = 0;
	return 0;
}

/* Our end of the socket is the end of a sandbox that stays. */
static int
leave(struct run *r)
{
	int status;

	close(r->proc.status_fd);
	CHECK(waitpid(r->proc.pid, &status, 0) == r->proc.pid && status == 0);
	close(r->proc.pidfd);
	close(r->out);
	CHECK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
	return 0;
}

/* A sandbox that stays ends what a program left, runs further ones in the same place, and goes with our end of its socket. */
static int
body_stays(void)
{
	static struct run r;
	const char *const argv[] = {"probe", "inside", "daemons", "5", NULL}, *const exits[] = {"probe", "inside", "exit", "7", NULL};
	const char *const none[] = {NULL};
	struct sandbox_launch l = launch_of(argv, agent_mounts, 4), more;
	struct awo_err err = {0};
	const char *const sleeper[] = {"/usr/bin/sleep", "1000", NULL};

	CHECK(enter() == 0);
	l.stays = true;
	CHECK(start(&r, &l) == 0);
	CHECK(follow_cleared(&r, 0, 5) == 0);
	for (int i = 0; i < 3; i++) {
		more = launch_of(exits, NULL, 0);
		more.envp = none;
		CHECK(sandbox_more(&r.proc, &more, &err) == 0);
		CHECK(follow_cleared(&r, 7, 0) == 0);
	}
	/* a program by descriptor or with its path, or none */
	more = launch_of(exits, NULL, 0);
	more.exec_fd = -1;
	CHECK(sandbox_more(&r.proc, &more, &err) < 0);
	if (leave(&r) != 0)
		return 1;

	/* built before anybody knows for what; what comes meanwhile waits */
	l = launch_of(NULL, agent_mounts, 4);
	l.stays = true;
	CHECK(start(&r, &l) == 0);
	more = launch_of(sleeper, NULL, 0);
	more.exec_fd = -1;
	CHECK(sandbox_more(&r.proc, &more, &err) == 0);
	CHECK(follow(&r, 1, NULL) == 0 && r.st[0].kind == 2);
	CHECK(sandbox_signal(&r.proc, r.st[0].pid, SIGTERM) == 0);
	CHECK(follow(&r, 3, NULL) == 0);
	CHECK(r.st[1].kind == 3 && WIFSIGNALED(r.st[1].status) && r.st[2].kind == 4 && r.st[2].status == 0);
	if (leave(&r) != 0)
		return 1;
	l = launch_of(NULL, agent_mounts, 4);
	l.stays = true;
	CHECK(start(&r, &l) == 0);
	return leave(&r);
}

static int
read_counters(unsigned long *sum)
{
	unsigned long v[8] = {0};
	CLEAN_FD int fd = open("/awo/order/workspace/counters", O_RDONLY | O_CLOEXEC);

	*sum = 0;
	CHECK(fd >= 0 && read(fd, v, sizeof(v)) == (ssize_t)sizeof(v));
	for (size_t i = 0; i < 8; i++)
		*sum += v[i];
	return 0;
}

static int
body_freeze(void)
{
	static struct run r, other;
	const char *const argv[] = {"probe", "inside", "busy", "6", NULL};
	struct sandbox_launch l = launch_of(argv, agent_mounts, 4);
	unsigned long a, b;

	CHECK(enter() == 0);
	CHECK(start(&r, &l) == 0);
	CHECK(start(&other, &l) == 0);
	CHECK(follow(&r, 1, "ready") == 0 && follow(&other, 1, "ready") == 0);
	for (int round = 0; round < 5; round++) {
		CHECK(sandbox_freeze(true) == 0);
		CHECK(read_counters(&a) == 0);
		usleep(20000);
		CHECK(read_counters(&b) == 0);
		CHECK(a == b);
		CHECK(sandbox_freeze(false) == 0);
		for (int i = 0; i < 1000 && a == b; i++) {
			usleep(2000);
			CHECK(read_counters(&b) == 0);
		}
		CHECK(b > a);
	}
	/* what is frozen can be killed */
	CHECK(sandbox_freeze(true) == 0);
	CHECK(sandbox_kill(&other.proc) > 6);
	CHECK(waitpid(other.proc.pid, NULL, 0) == other.proc.pid);
	CHECK(finish(&r, NULL) == 0);
	return 0;
}

static int
body_refused(void)
{
	struct worker_args a = {.order_dir = "/nonexistent/order", .libexec_dir = tool_dir, .commands_dir = tool_dir,
		.config_dir = "/nonexistent"};
	struct awo_err err = {0};

	CHECK(worker_enter(&a, NULL, 0, &err) < 0);
	CHECK(strstr(err.msg, "/nonexistent/order"));
	return 0;
}

/* ---- how a worker is started here: as awod would */

static int
clone_worker(uid_t uid, gid_t gid, worker_body *body)
{
	struct clone_args a = {.flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS,
		.exit_signal = SIGCHLD};
	char path[64], text[64];
	int go[2], status;
	pid_t pid;
	static const char *const files[] = {"setgroups", "uid_map", "gid_map"};

	if (pipe2(go, O_CLOEXEC) < 0)
		return -1;
	pid = (pid_t)syscall(SYS_clone3, &a, sizeof(a));
	if (pid == 0) {
		char c;

		close(go[1]);
		if (read(go[0], &c, 1) != 1 || setresgid(1000, 1000, 1000) < 0 || setresuid(1000, 1000, 1000) < 0)
			_exit(90);
		close(go[0]);
		alarm(60);
		_exit(body());
	}
	if (pid < 0)
		return -1;
	for (int i = 0; i < 3; i++) {
		CLEAN_FD int fd = -1;

		snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, files[i]);
		snprintf(text, sizeof(text), "1000 %u 1\n", i == 1 ? uid : gid);
		fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd < 0 || write(fd, i == 0 ? "deny" : text, i == 0 ? 4 : strlen(text)) < 0)
			return -1;
	}
	close(go[0]);
	if (write(go[1], "g", 1) != 1)
		return -1;
	close(go[1]);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int
remove_all(void)
{
	return files_remove_tree(AT_FDCWD, top, NULL);
}

static void
make(const char *path, uid_t uid, mode_t mode)
{
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(chown(path, uid, uid), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static void
make_dirs(uid_t uid)
{
	char path[128];
	int fd;

	snprintf(top, sizeof(top), "/tmp/awo-sandbox-test-XXXXXX");
	assert_non_null(mkdtemp(top));
	assert_int_equal(chmod(top, 0711), 0);
	snprintf(order_dir, sizeof(order_dir), "%s/order", top);
	snprintf(cache_dir, sizeof(cache_dir), "%s/cache.git", top);
	snprintf(tool_dir, sizeof(tool_dir), "%s/tool", top);
	make(order_dir, getuid(), 0711);
	make(cache_dir, uid, 0750);
	make(tool_dir, uid, 0755);
	snprintf(path, sizeof(path), "%s/workspace", order_dir);
	make(path, uid, 0700);
	snprintf(path, sizeof(path), "%s/workspace/link", order_dir);
	assert_int_equal(symlink("/etc", path), 0);
	snprintf(path, sizeof(path), "%s/home", order_dir);
	make(path, uid, 0700);
	snprintf(path, sizeof(path), "%s/HEAD", cache_dir);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	close(fd);
}

/* In a process of its own, so that the ids of the test itself stay what they are. */
static int
run_in_mode(bool plain, worker_body *body)
{
	uid_t uid = geteuid() != 0 ? geteuid() : plain ? PLAIN_UID : ORDER_UID;
	pid_t pid;
	int status;

	make_dirs(uid);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (geteuid() == 0 && setgroups(0, NULL) < 0)
			_exit(91);
		if (geteuid() == 0 && plain && (setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0))
			_exit(92);
		/* a change of ids makes a process one that may not write its children's id maps; exec would mend that */
		if (prctl(PR_SET_DUMPABLE, 1) < 0)
			_exit(93);
		_exit(clone_worker(uid, geteuid() == 0 ? uid : getegid(), body));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(remove_all(), 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int
body_nothing(void)
{
	return 0;
}

static void
both_modes(worker_body *body)
{
	if (geteuid() == 0)
		assert_int_equal(run_in_mode(false, body), 0);
	if (run_in_mode(true, body_nothing) != 0) {
		print_message("SKIPPED as an ordinary user: this host forbids user namespaces to them\n");
		if (geteuid() != 0)
			skip();
		return;
	}
	assert_int_equal(run_in_mode(true, body), 0);
}

static void
test_facts(void **state)
{
	(void)state;
	both_modes(body_facts);
}

static void
test_forbidden(void **state)
{
	(void)state;
	both_modes(body_forbidden);
}

static void
test_ends(void **state)
{
	(void)state;
	both_modes(body_ends);
}

static void
test_kill(void **state)
{
	(void)state;
	both_modes(body_kill);
}

static void
test_stays(void **state)
{
	(void)state;
	both_modes(body_stays);
}

static void
test_freeze(void **state)
{
	(void)state;
	both_modes(body_freeze);
}

static void
test_refused(void **state)
{
	(void)state;
	both_modes(body_refused);
}

static void
test_layers(void **state)
{
	struct p_strv layers = {0}, require = {0};
	struct awo_err err = {0};

	(void)state;
	sandbox_layers(&layers);
	assert_true(p_strv_has(&layers, "seccomp"));
	assert_true(p_strv_has(&layers, "no-landlock"));
	p_strv_add(&require, "user_namespace");
	p_strv_add(&require, "seccomp");
	assert_int_equal(sandbox_check(&require, &err), 0);
	p_strv_add(&require, "landlock");
	assert_int_equal(sandbox_check(&require, &err), -1);
	assert_int_equal(err.code, AWO_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, "landlock"));
	p_strv_free(&require);
	p_strv_add(&require, "magic");
	assert_int_equal(sandbox_check(&require, &err), -1);
	assert_non_null(strstr(err.msg, "magic"));
	p_strv_free(&require);
	p_strv_free(&layers);
}

/* Outside of namespaces of its own it must not touch anything. */
static void
test_enter_elsewhere(void **state)
{
	struct sandbox_root root = {.network = false};
	struct awo_err err = {0};

	(void)state;
	assert_int_equal(sandbox_enter(&root, &err), -1);
	assert_non_null(strstr(err.msg, "started by awod"));
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_facts),
		cmocka_unit_test(test_forbidden),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_kill),
		cmocka_unit_test(test_stays),
		cmocka_unit_test(test_freeze),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_layers),
		cmocka_unit_test(test_enter_elsewhere),
	};

	if (argc == 3 && strcmp(argv[1], "--mode") == 0)
		sandbox_launch_main();
	/* a leak checker's end of main() would trace its own process, which is forbidden in there */
	if (argc > 1 && strcmp(argv[1], "inside") == 0)
		_exit(sandbox_probe(argc, argv));
	own_exe = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
