/* The worker's side of sandboxes: entering its own root, starting, stopping and ending what runs in nested ones. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "awo-worker/launch_spec.h"
#include "awo-worker/root.h"
#include "awo-worker/sandbox.h"
#include "awo-worker/seccomp.h"
#include "common/buf.h"
#include "common/clean.h"
#include "common/clock.h"
#include "common/files.h"

#define KILL_US (10 * 1000000LL)	/* until everything in a killed sandbox is gone */
#define FREEZE_US (10 * 1000000LL)
#define SIGSTOP_BIT (1ULL << (SIGSTOP - 1))

static int self_fd = -1;		/* our own executable: the launcher */

/* ---- the worker's own root */

int
sandbox_enter(const struct sandbox_root *root, struct awo_err *err)
{
	struct root_plan plan = {.network = root->network, .mounts = root->mounts, .nmounts = root->nmounts};
	int e = 0;

	if (getpid() != 1 || getuid() != ROOT_UID || getgid() != ROOT_UID)
		return ERR(err, INTERNAL, "", "a worker is started by awod only, as pid 1 and uid 1000 of namespaces of its own");
	/* before the root is another one: there the executable has no path */
	if (self_fd < 0)
		self_fd = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	if (self_fd < 0)
		return ERR(err, INTERNAL, "", "/proc/self/exe: %s; is /proc mounted?", strerror(errno));
	if (sethostname("awo", 3) < 0)
		return ERR(err, INTERNAL, "", "sethostname: %s", strerror(errno));
	if (root_enter(&plan, &e, err) < 0)
		return -1;
	return root_drop_power(&e, err);
}

/* ---- start */

static void
add_string(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s) + 1);
}

static uint32_t
add_strings(struct buf *b, const char *const *v)
{
	uint32_t n = 0;

	for (; v && v[n]; n++)
		add_string(b, v[n]);
	return n;
}

static bool
names_program(const struct sandbox_launch *l)
{
	return l->argv && l->argv[0] && (l->exec_fd >= 0 || l->argv[0][0] == '/');
}

/* The launcher's specification as a memfd. */
static int
make_spec(const struct sandbox_launch *l, struct awo_err *err)
{
	CLEAN_BUF struct buf b = {0};
	struct launch_head h = {.magic = LAUNCH_MAGIC, .network = l->network, .has_fd3 = l->fd3 >= 0, .has_exec = l->exec_fd >= 0,
		.stays = l->stays, .limits = l->limits};
	const void *filter;
	size_t filter_bytes;
	int fd;

	if ((l->argv ? !names_program(l) : !l->stays) || !l->cwd || l->nmounts > LAUNCH_STRINGS_MAX)
		return ERR(err, INTERNAL, "", "sandbox: a program with an absolute path and a directory are needed");
	if (seccomp_program(&filter, &filter_bytes, err) < 0)
		return -1;
	h.filter_bytes = (uint32_t)filter_bytes;
	h.nmounts = (uint32_t)l->nmounts;
	buf_add(&b, &h, sizeof(h));
	buf_add(&b, filter, filter_bytes);
	add_string(&b, l->cwd);
	h.argc = add_strings(&b, l->argv);
	h.envc = add_strings(&b, l->envp);
	if (h.argc > LAUNCH_STRINGS_MAX || h.envc > LAUNCH_STRINGS_MAX)
		return ERR(err, INVALID_ARGUMENT, "", "sandbox: more than %u arguments or variables", LAUNCH_STRINGS_MAX);
	for (size_t i = 0; i < l->nmounts; i++) {
		add_string(&b, l->mounts[i].source);
		add_string(&b, l->mounts[i].target);
		add_string(&b, l->mounts[i].writable ? (l->mounts[i].optional ? "W" : "w") : (l->mounts[i].optional ? "R" : "r"));
	}
	memcpy(b.p, &h, sizeof(h));
	fd = files_memfd("launch", b.p, b.len);
	if (fd < 0)
		return ERR(err, INTERNAL, "", "sandbox: memfd: %s", strerror(errno));
	return fd;
}

/* In the new process: descriptors in their places, and this very program again. */
_Noreturn static void
exec_launcher(const int *fds, int status)
{
	static char name[] = "awo-worker", option[] = "--mode", value[] = "launch";
	char *const argv[] = {name, option, value, NULL}, *const envp[] = {NULL};
	struct sandbox_status st = {.kind = 1};
	int moved[LAUNCH_FDS], self, n;
	sigset_t none;

	for (n = 0; n < LAUNCH_FDS; n++) {
		moved[n] = fcntl(fds[n], F_DUPFD_CLOEXEC, LAUNCH_FDS);
		if (moved[n] < 0)
			goto fail;
	}
	self = fcntl(self_fd, F_DUPFD_CLOEXEC, LAUNCH_FDS);
	if (self < 0)
		goto fail;
	for (n = 0; n < LAUNCH_FDS; n++)
		if (dup2(moved[n], n) < 0)
			goto fail;
	status = LAUNCH_STATUS;
	sigemptyset(&none);
	if (sigprocmask(SIG_SETMASK, &none, NULL) < 0 || close_range(LAUNCH_FDS, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		goto fail;
	syscall(SYS_execveat, self, "", argv, envp, AT_EMPTY_PATH);
fail:
	st.err = errno ? errno : EIO;
	snprintf(st.what, sizeof(st.what), "starting the launcher");
	_exit(write(status, &st, sizeof(st)) == (ssize_t)sizeof(st) ? 125 : 126);
}

int
sandbox_start(const struct sandbox_launch *l, struct sandbox_proc *out, struct awo_err *err)
{
	CLEAN_FD int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	CLEAN_FD int spec = -1, status_r = -1, status_w = -1;
	int p[2], fds[LAUNCH_FDS];

	*out = (struct sandbox_proc){.pid = -1, .pidfd = -1, .status_fd = -1};
	if (null_fd < 0)
		return ERR(err, INTERNAL, "", "sandbox: /dev/null: %s", strerror(errno));
	/* outside of a worker (in tests of single parts) nothing has opened it yet */
	if (self_fd < 0)
		self_fd = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	if (self_fd < 0)
		return ERR(err, INTERNAL, "", "sandbox: /proc/self/exe: %s", strerror(errno));
	spec = make_spec(l, err);
	if (spec < 0)
		return -1;
	if ((l->stays ? socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, p) : pipe2(p, O_CLOEXEC)) < 0)
		return ERR(err, INTERNAL, "", "sandbox: pipe: %s", strerror(errno));
	status_r = p[0];
	status_w = p[1];
	fds[0] = l->stdin_fd >= 0 ? l->stdin_fd : null_fd;
	fds[1] = l->stdout_fd >= 0 ? l->stdout_fd : null_fd;
	fds[2] = l->stderr_fd >= 0 ? l->stderr_fd : null_fd;
	fds[LAUNCH_FD3] = l->fd3 >= 0 ? l->fd3 : null_fd;
	fds[LAUNCH_SPEC] = spec;
	fds[LAUNCH_STATUS] = status_w;
	fds[LAUNCH_EXEC] = l->exec_fd >= 0 ? l->exec_fd : null_fd;
	out->pid = fork();
	if (out->pid == 0)
		exec_launcher(fds, status_w);
	if (out->pid < 0)
		return ERR(err, INTERNAL, "", "sandbox: fork: %s", strerror(errno));
	out->pidfd = (int)syscall(SYS_pidfd_open, out->pid, 0);
	if (out->pidfd < 0) {
		int e = errno;

		kill(out->pid, SIGKILL);
		waitpid(out->pid, NULL, 0);
		out->pid = -1;
		return ERR(err, INTERNAL, "", "sandbox: pidfd_open: %s", strerror(e));
	}
	out->status_fd = TAKE_FD(status_r);
	return 0;
}

int
sandbox_more(const struct sandbox_proc *p, const struct sandbox_launch *l, struct awo_err *err)
{
	CLEAN_FD int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC), strings = -1;
	CLEAN_BUF struct buf b = {0};
	struct launch_more h = {.magic = LAUNCH_MAGIC, .has_fd3 = l->fd3 >= 0, .has_exec = l->exec_fd >= 0};
	struct iovec iov = {.iov_base = &h, .iov_len = sizeof(h)};
	int fds[LAUNCH_MORE_FDS];
	union {
		char bytes[CMSG_SPACE(sizeof(fds))];
		struct cmsghdr align;
	} control = {0};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	if (!names_program(l))
		return ERR(err, INTERNAL, "", "sandbox: a program with an absolute path is needed");
	h.argc = add_strings(&b, l->argv);
	h.envc = add_strings(&b, l->envp);
	strings = files_memfd("strings", b.p, b.len);
	if (null_fd < 0 || strings < 0)
		return ERR(err, INTERNAL, "", "sandbox: no descriptor: %s", strerror(errno));
	fds[0] = l->stdin_fd >= 0 ? l->stdin_fd : null_fd;
	fds[1] = l->stdout_fd >= 0 ? l->stdout_fd : null_fd;
	fds[2] = l->stderr_fd >= 0 ? l->stderr_fd : null_fd;
	fds[LAUNCH_FD3] = l->fd3 >= 0 ? l->fd3 : null_fd;
	fds[LAUNCH_MORE_EXEC] = l->exec_fd >= 0 ? l->exec_fd : null_fd;
	fds[LAUNCH_MORE_STRINGS] = strings;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(c), fds, sizeof(fds));
	if (sendmsg(p->status_fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)sizeof(h))
		return ERR(err, INTERNAL, "", "sandbox: a program cannot be handed over: %s", strerror(errno));
	return 0;
}

int
sandbox_signal(const struct sandbox_proc *p, pid_t program, int sig)
{
	if (p->pid <= 0 || program <= 1) {
		errno = ESRCH;
		return -1;
	}
	/* the program leads its session and group; one that was stopped must run to take note */
	if (kill(-program, sig) < 0)
		return -1;
	(void)kill(-program, SIGCONT);
	return 0;
}

/* ---- what runs in nested pid namespaces, as the worker's /proc shows it */

struct seen {
	pid_t pid, ppid;
	pid_t inner;		/* its pid in its own namespace */
	bool nested;
	bool quiet;		/* runs no code: stopped, ended, or asleep in the kernel with a stop waiting for it */
};

struct census {
	struct seen *v;
	size_t n, cap;
};

static char *
read_status(int proc, const char *path)
{
	return files_read(proc, path, 16384, NULL);
}

static const char *
field(const char *text, const char *name)
{
	const char *p = strstr(text, name);

	return p ? p + strlen(name) : "";
}

static bool
is_quiet(const char *text)
{
	char state = '\0';
	unsigned long long own = 0, shared = 0;

	sscanf(field(text, "\nState:"), " %c", &state);
	if (strchr("TtZX", state) && state)
		return true;
	/* vfork keeps a parent asleep until its child, stopped by us, goes on: it will not come back before */
	if (state != 'D')
		return false;
	sscanf(field(text, "\nSigPnd:"), "%llx", &own);
	sscanf(field(text, "\nShdPnd:"), "%llx", &shared);
	return ((own | shared) & SIGSTOP_BIT) != 0;
}

/* All threads; a thread that has ended meanwhile is quiet. */
static bool
threads_quiet(int proc, pid_t pid)
{
	char path[64];
	const struct dirent *e;
	bool quiet = true;
	DIR *dir;
	int fd;

	snprintf(path, sizeof(path), "%d/task", (int)pid);
	fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		if (fd >= 0)
			close(fd);
		return true;
	}
	while (quiet && (e = readdir(dir)) != NULL) {
		CLEAN_FREE char *text = NULL;

		if (e->d_name[0] < '0' || e->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "%d/task/%.16s/status", (int)pid, e->d_name);
		text = read_status(proc, path);
		quiet = !text || is_quiet(text);
	}
	closedir(dir);
	return quiet;
}

static void
census_free(struct census *c)
{
	free(c->v);
}

static int
by_pid(const void *a, const void *b)
{
	const struct seen *x = a, *y = b;

	return (x->pid > y->pid) - (x->pid < y->pid);
}

/* Every process below the worker, sorted by pid. */
static int
census_take(struct census *c, bool with_threads)
{
	int fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	c->n = 0;
	while ((e = readdir(dir)) != NULL) {
		CLEAN_FREE char *text = NULL;
		struct seen s = {0};
		const char *ns, *end;
		char path[32];

		if (e->d_name[0] < '1' || e->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "%.16s/status", e->d_name);
		text = read_status(fd, path);
		if (!text)
			continue;	/* ended meanwhile */
		s.pid = (pid_t)atoi(e->d_name);
		s.ppid = (pid_t)atoi(field(text, "\nPPid:"));
		/* a number for each namespace, outermost first */
		ns = field(text, "\nNSpid:");
		end = ns + strcspn(ns, "\n");
		for (int level = 0; ns < end; level++) {
			char *after;
			long n = strtol(ns, &after, 10);

			if (after == ns)
				break;
			ns = after;
			s.inner = (pid_t)n;
			s.nested = level > 0;
		}
		s.quiet = is_quiet(text) && (!with_threads || strncmp(field(text, "\nThreads:"), "\t1\n", 3) == 0 ||
						threads_quiet(fd, s.pid));
		if (c->n == c->cap) {
			c->cap = c->cap ? c->cap * 2 : 64;
			c->v = xrealloc(c->v, c->cap, sizeof(*c->v));
		}
		c->v[c->n++] = s;
	}
	closedir(dir);
	if (c->n > 1)
		qsort(c->v, c->n, sizeof(*c->v), by_pid);
	return 0;
}

static const struct seen *
census_find(const struct census *c, pid_t pid)
{
	struct seen key = {.pid = pid};

	return c->n ? bsearch(&key, c->v, c->n, sizeof(*c->v), by_pid) : NULL;
}

/* Orphans in a pid namespace become children of its pid 1, so ancestry shows all that is in it. */
static bool
is_below(const struct census *c, const struct seen *s, pid_t ancestor)
{
	for (size_t depth = 0; s && depth <= c->n; depth++) {
		if (s->ppid == ancestor)
			return true;
		s = census_find(c, s->ppid);
	}
	return false;
}

/* The sandbox's pid 1 as we see it, or 0; *count: the processes beside it. -1 with errno. */
static pid_t
find_reaper(pid_t launcher, int *count)
{
	__attribute__((cleanup(census_free))) struct census c = {0};
	pid_t reaper = 0;

	*count = 0;
	if (census_take(&c, false) < 0)
		return -1;
	for (size_t i = 0; i < c.n; i++)
		if (c.v[i].nested && c.v[i].inner == 1 && c.v[i].ppid == launcher)
			reaper = c.v[i].pid;
	for (size_t i = 0; reaper && i < c.n; i++)
		*count += c.v[i].nested && is_below(&c, &c.v[i], reaper);
	return reaper;
}

static int
pidfd_signal(int pidfd, int sig)
{
	return syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0) < 0 && errno != ESRCH ? -1 : 0;
}

int
sandbox_kill(struct sandbox_proc *p)
{
	const int64_t deadline = clock_mono_us() + KILL_US;
	struct pollfd launcher = {.fd = p->pidfd, .events = POLLIN};
	pid_t reaper;
	int count, rc;

	if (p->pidfd < 0 || poll(&launcher, 1, 0) == 1)
		return 0;	/* the launcher outlives everything in there */
	reaper = find_reaper(p->pid, &count);
	if (reaper == 0) {
		siginfo_t si;

		/* it may be about to make one, which would be ours to wait for: stopped, it cannot */
		if (pidfd_signal(p->pidfd, SIGSTOP) < 0)
			return -1;
		while (waitid((idtype_t)P_PIDFD, (id_t)p->pidfd, &si, WSTOPPED | WEXITED | WNOWAIT) < 0)
			if (errno != EINTR)
				return -1;
		reaper = find_reaper(p->pid, &count);
		if (reaper >= 0 && pidfd_signal(p->pidfd, reaper ? SIGCONT : SIGKILL) < 0)
			return -1;
	}
	/* with its pid 1 the kernel ends all of a pid namespace, before the launcher can see that end */
	if (reaper < 0 || (reaper > 0 && kill(reaper, SIGKILL) < 0 && errno != ESRCH))
		return -1;
	do {
		int64_t left = deadline - clock_mono_us();

		if (left <= 0) {
			errno = ETIMEDOUT;
			return -1;
		}
		rc = poll(&launcher, 1, (int)(left / 1000) + 1);
	} while (rc == 0 || (rc < 0 && errno == EINTR));
	return rc < 0 ? -1 : count;
}

int
sandbox_freeze(bool frozen)
{
	__attribute__((cleanup(census_free))) struct census c = {0};
	const int64_t deadline = clock_mono_us() + FREEZE_US;
	const struct timespec pause = {.tv_nsec = 500000};
	int quiet_rounds = 0;

	/* who was passed by may have been made, or woken, by one who was not stopped yet: two rounds must agree */
	while (quiet_rounds < 2) {
		bool quiet = true;

		if (census_take(&c, frozen) < 0)
			return -1;
		for (size_t i = 0; i < c.n; i++) {
			if (!c.v[i].nested || (frozen && c.v[i].quiet))
				continue;
			quiet = !frozen;
			if (kill(c.v[i].pid, frozen ? SIGSTOP : SIGCONT) < 0 && errno != ESRCH)
				return -1;
		}
		if (!frozen)
			return 0;
		quiet_rounds = quiet ? quiet_rounds + 1 : 0;
		if (clock_mono_us() > deadline) {
			errno = ETIMEDOUT;
			return -1;
		}
		if (!quiet)
			nanosleep(&pause, NULL);
	}
	return 0;
}

/* ---- layers */

static const struct {
	const char *name;
	bool in_force;
	const char *missing;	/* why not, and what to do */
} layers[] = {
	{"user_namespace", true, NULL},
	{"mount_namespace", true, NULL},
	{"pid_namespace", true, NULL},
	{"ipc_namespace", true, NULL},
	{"uts_namespace", true, NULL},
	{"no_new_privs", true, NULL},
	{"capabilities", true, NULL},
	{"seccomp", true, NULL},
	{"network_namespace", false, "agents share the host's network in this version"},
	{"landlock", false, "this version does not use it"},
	{"cgroup", false, "this version sets no cgroup limits"},
};

/* All that is marked as in force is a step of every launch, which fails when that step does. */
void
sandbox_layers(struct p_strv *out)
{
	char name[40];

	for (size_t i = 0; i < sizeof(layers) / sizeof(layers[0]); i++) {
		snprintf(name, sizeof(name), "%s%s", layers[i].in_force ? "" : "no-", layers[i].name);
		p_strv_add(out, name);
	}
}

int
sandbox_check(const struct p_strv *require, struct awo_err *err)
{
	const void *filter;
	size_t bytes;

	for (size_t i = 0; i < require->n; i++) {
		size_t k;

		for (k = 0; k < sizeof(layers) / sizeof(layers[0]); k++)
			if (strcmp(require->v[i], layers[k].name) == 0)
				break;
		if (k == sizeof(layers) / sizeof(layers[0]))
			return ERR(err, FAILED_PRECONDITION, "sandbox.require", "sandbox.require: there is no layer '%s'",
			    require->v[i]);
		if (!layers[k].in_force)
			return ERR(err, FAILED_PRECONDITION, "sandbox.require",
			    "sandbox.require asks for %s, but %s; take it out of the list to run without it", layers[k].name,
			    layers[k].missing);
		if (strcmp(layers[k].name, "seccomp") == 0 && seccomp_program(&filter, &bytes, err) < 0)
			return -1;
	}
	return 0;
}
