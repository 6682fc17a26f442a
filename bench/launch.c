/* Launches a program in the agent's sandbox as a worker does, by turns with bubblewrap and with no sandbox at all. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "awo-worker/sandbox.h"
#include "awo-worker/worker.h"
#include "common/buf.h"
#include "common/clean.h"

static const char *order_dir, *cache_dir, *tool_dir, *program;

static _Noreturn void
stop(const char *what, const char *why)
{
	fprintf(stderr, BENCH_NAME ": %s: %s\n", what, why);
	_exit(1);
}

static int64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* From the call to the end of everything in the sandbox. */
static int64_t
launch(bool network)
{
	const char *const argv[] = {program, NULL};
	const char *const envp[] = {"PATH=/usr/bin", "HOME=/home/agent", NULL};
	const struct sandbox_mount mounts[] = {
		{.source = "/awo/order/workspace", .target = "/workspace", .writable = true},
		{.source = "/awo/order/home", .target = "/home/agent", .writable = true},
		{.source = "/awo/cache.git", .target = "/awo/cache.git"},
	};
	const struct sandbox_launch l = {.argv = argv, .exec_fd = -1, .envp = envp, .cwd = "/workspace", .mounts = mounts,
		.nmounts = 3, .network = network, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = STDERR_FILENO, .fd3 = -1,
		.limits = {.core = 1, .nofile = 16384, .fsize = UINT64_C(8) << 30, .nproc = 4096, .memlock = 8U << 20}};
	struct sandbox_status st;
	struct sandbox_proc proc;
	struct awo_err err = {0};
	int64_t begin = now_ns();
	int status;

	if (sandbox_start(&l, &proc, &err) < 0)
		stop("sandbox_start", err.msg);
	do {
		if (read(proc.status_fd, &st, sizeof(st)) != (ssize_t)sizeof(st))
			stop("sandbox", "no status");
		if (st.kind == 1)
			stop(st.what, strerror(st.err));
	} while (st.kind != 3);
	if (st.status != 0 || sandbox_kill(&proc) < 0 || waitpid(proc.pid, &status, 0) != proc.pid)
		stop("sandbox", "the program failed");
	close(proc.status_fd);
	close(proc.pidfd);
	return now_ns() - begin;
}

/* The worker: for each letter that it reads one launch, and the nanoseconds as answer. */
static _Noreturn void
worker(int in, int out)
{
	struct worker_args a = {.id = "wo-00000001", .order_dir = order_dir, .cache_dir = cache_dir, .libexec_dir = tool_dir,
		.commands_dir = tool_dir, .config_dir = "/nonexistent"};
	struct awo_err err = {0};
	char c;

	if (worker_enter(&a, NULL, 0, &err) < 0)
		stop("worker_enter", err.msg);
	while (read(in, &c, 1) == 1) {
		int64_t ns = launch(c == 'n');

		if (write(out, &ns, sizeof(ns)) != (ssize_t)sizeof(ns))
			break;
	}
	_exit(0);
}

static void
map_ids(pid_t pid, uid_t uid, gid_t gid)
{
	static const char *const files[] = {"setgroups", "uid_map", "gid_map"};
	char path[64], text[64];

	for (int i = 0; i < 3; i++) {
		CLEAN_FD int fd = -1;

		snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, files[i]);
		snprintf(text, sizeof(text), "1000 %u 1\n", i == 1 ? uid : gid);
		fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd < 0 || write(fd, i == 0 ? "deny" : text, i == 0 ? 4 : strlen(text)) < 0)
			stop(path, strerror(errno));
	}
}

/* As awod starts a worker: pid 1 of its own namespaces. */
static void
start_worker(uid_t uid, gid_t gid, int *to, int *from)
{
	struct clone_args a = {.flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS,
		.exit_signal = SIGCHLD};
	int in[2], out[2];
	pid_t pid;
	char c;

	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
		stop("pipe", strerror(errno));
	pid = (pid_t)syscall(SYS_clone3, &a, sizeof(a));
	if (pid < 0)
		stop("clone3", strerror(errno));
	if (pid == 0) {
		close(in[1]);
		if (read(in[0], &c, 1) != 1 || setresgid(1000, 1000, 1000) < 0 || setresuid(1000, 1000, 1000) < 0)
			stop("worker", strerror(errno));
		worker(in[0], out[1]);
	}
	map_ids(pid, uid, gid);
	close(in[0]);
	close(out[1]);
	if (write(in[1], "g", 1) != 1)
		stop("worker", strerror(errno));
	*to = in[1];
	*from = out[0];
}

static int64_t
ask(int to, int from, char c)
{
	int64_t ns;

	if (write(to, &c, 1) != 1 || read(from, &ns, sizeof(ns)) != (ssize_t)sizeof(ns))
		stop("worker", "it ended");
	return ns;
}

static int64_t
spawn(char *const *argv)
{
	static char path[] = "PATH=/usr/bin";
	char *envp[] = {path, NULL};
	int64_t begin = now_ns();
	int status;
	pid_t pid;

	if (posix_spawn(&pid, argv[0], NULL, NULL, argv, envp) != 0 || waitpid(pid, &status, 0) != pid || status != 0)
		stop(argv[0], "failed");
	return now_ns() - begin;
}

/*
 * The arguments of bwrap stand after "--"; those of the shared and of the own network are told apart by --share-net, which
 * must stand last. Each line printed is one turn: sandbox and bwrap with the host's network, both without, plain spawn.
 */
int
main(int argc, char **argv)
{
	int to, from, turns;
	char **bwrap, **apart;
	uid_t uid;

	/* what sandbox_start() runs: this very program, with awo-worker's arguments */
	if (argc == 3 && strcmp(argv[1], "--mode") == 0)
		sandbox_launch_main();
	if (argc < 10 || strcmp(argv[7], "--") != 0 || (turns = atoi(argv[1])) <= 0) {
		fputs("usage: " BENCH_NAME " TURNS ORDER-DIR CACHE-DIR TOOL-DIR UID PROGRAM -- BWRAP ARGUMENTS... --share-net\n", stderr);
		return 2;
	}
	order_dir = argv[2];
	cache_dir = argv[3];
	tool_dir = argv[4];
	uid = (uid_t)strtoul(argv[5], NULL, 10);
	program = argv[6];
	/* both end with the program; only one shares the network */
	bwrap = xcalloc((size_t)argc, sizeof(*bwrap));
	apart = xcalloc((size_t)argc, sizeof(*apart));
	for (int i = 8; i < argc; i++)
		bwrap[i - 8] = argv[i];
	bwrap[argc - 8] = argv[6];
	for (int i = 8; i < argc - 1; i++)
		apart[i - 8] = argv[i];
	apart[argc - 9] = argv[6];
	if (geteuid() == 0 && setgroups(0, NULL) < 0)
		stop("setgroups", strerror(errno));
	start_worker(uid, geteuid() == 0 ? uid : getegid(), &to, &from);
	for (int i = -3; i < turns; i++) {
		char *plain[] = {argv[6], NULL};
		int64_t ns[5] = {ask(to, from, 'n'), spawn(bwrap), ask(to, from, 'x'), spawn(apart), spawn(plain)};

		/* the first ones warm up */
		if (i >= 0)
			printf("%" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 "\n", ns[0], ns[1], ns[2], ns[3], ns[4]);
	}
	free(bwrap);
	free(apart);
	return 0;
}
