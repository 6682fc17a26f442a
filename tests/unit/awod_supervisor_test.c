/* The supervisor with real processes: what it starts, what it refuses, what it finds again, and how it keeps its broker. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "awod/supervisor.h"
#include "common/buf.h"
#include "common/clean.h"
#include "common/clock.h"
#include "common/files.h"
#include "common/log.h"
#include "tests/unit/cmocka_all.h"

#define BROKER_UID 65501U
#define PLAIN_UID 12345U
#define BASE 1880100000U
#define CACHE_NAME "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define WAIT_MS 20000

/*
 * Three more programs in one: the supervisor execs this test as its broker, which hands its end of the socket to the test and
 * waits for orders there; and it execs awo-worker, a link to this test, which tells what it sees and then sleeps.
 */

/* ---- as awo-worker */

static void
print_file(FILE *f, const char *path)
{
	char line[4096];
	FILE *in = fopen(path, "re");

	while (in && fgets(line, sizeof(line), in))
		fputs(line, f);
	if (in)
		fclose(in);
}

static int
worker(int argc, char **argv)
{
	FILE *f = fdopen(dup(4), "w");
	struct stat st;
	sigset_t mask;
	int blocked = 0;

	if (!f)
		return 9;
	for (int fd = 0; fd < 64; fd++)
		if (fcntl(fd, F_GETFD) >= 0 && fd != fileno(f))
			fprintf(f, "fd %d\n", fd);
	for (int i = 0; i < argc; i++)
		fprintf(f, "arg %s\n", argv[i]);
	print_file(f, "/proc/self/status");
	print_file(f, "/proc/self/uid_map");
	print_file(f, "/proc/self/gid_map");
	print_file(f, "/proc/self/setgroups");
	print_file(f, "/proc/self/limits");
	fprintf(f, "pid %d sid %d uid %u gid %u\n", (int)getpid(), (int)getsid(0), getuid(), getgid());
	sigprocmask(SIG_SETMASK, NULL, &mask);
	for (int s = 1; s < NSIG; s++)
		blocked += sigismember(&mask, s) == 1;
	fprintf(f, "blocked %d env %s\n", blocked, environ[0] ? environ[0] : "none");
	fprintf(f, "listening %d\n", fstat(5, &st) == 0 && S_ISSOCK(st.st_mode));
	fprintf(f, "end\n");
	fclose(f);
	close(4);
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "quick") == 0)
			return 3;
	for (;;)
		pause();
}

/* ---- as the broker */

static int
broker(int argc, char **argv)
{
	const char *path = getenv("AWO_TEST_SOCKET");
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} u = {{0}};
	char who[160];
	struct iovec iov = {.iov_base = who};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = u.buf, .msg_controllen = sizeof(u.buf)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&h);
	int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), fd = -1, groups, extra = 0;
	unsigned char say;

	for (int i = 1; i + 1 < argc; i++)
		if (strcmp(argv[i], "--broker-fd") == 0)
			fd = atoi(argv[i + 1]);
	if (!path || fd < 0)
		return 80;
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	if (connect(s, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return 81;
	for (int i = 3; i < 64; i++)
		extra += i != s && i != fd && fcntl(i, F_GETFD) >= 0;
	groups = getgroups(0, NULL);
	snprintf(who, sizeof(who), "%d %u %u %d %d %d", (int)getpid(), getuid(), getgid(), groups, extra,
	    prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	iov.iov_len = strlen(who) + 1;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	if (sendmsg(s, &h, MSG_NOSIGNAL) < 0)
		return 82;
	close(fd);
	/* one byte: the status to end with */
	if (recv(s, &say, 1, 0) != 1)
		return 0;
	return say;
}

/* ---- the test's end */

struct fixture {
	char top[64];
	bool plain;
	struct options o;
	pid_t supervisor;
	int listener;
	int talk;	/* to the broker process */
	int link;	/* the broker's end of the supervisor's socket */
	int broker_pid, broker_extra;
	unsigned int broker_uid, broker_gid;
};

static struct fixture fx;

static void
own(const char *path, uid_t uid, mode_t mode)
{
	if (geteuid() == 0)
		assert_int_equal(chown(path, uid, uid), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static void
prepare(bool plain)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	uid_t uid = geteuid() != 0 ? geteuid() : plain ? PLAIN_UID : 0;
	char exe[512], path[600];
	ssize_t n;

	memset(&fx, 0, sizeof(fx));
	fx.plain = plain;
	fx.talk = fx.link = -1;
	snprintf(fx.top, sizeof(fx.top), "/tmp/awo-sup-test-XXXXXX");
	assert_non_null(mkdtemp(fx.top));
	own(fx.top, uid, 0755);
	snprintf(path, sizeof(path), "%s/libexec", fx.top);
	assert_int_equal(mkdir(path, 0755), 0);
	own(path, uid, 0755);
	n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	assert_true(n > 0);
	exe[n] = '\0';
	snprintf(path, sizeof(path), "%s/libexec/awo-worker", fx.top);
	assert_int_equal(symlink(exe, path), 0);
	fx.o = (struct options){.user_mode = plain || geteuid() != 0, .broker_fd = -1, .uid_base = BASE};
	fx.o.config_dir = xasprintf("%s/config", fx.top);
	fx.o.state_dir = xasprintf("%s/state", fx.top);
	fx.o.run_dir = xasprintf("%s/run", fx.top);
	fx.o.log_dir = xasprintf("%s/log", fx.top);
	fx.o.work_order_dir = xasprintf("%s/state/work-orders", fx.top);
	fx.o.repository_dir = xasprintf("%s/state/repositories", fx.top);
	fx.o.socket_path = xasprintf("%s/run/awod.sock", fx.top);
	fx.o.libexec_dir = xasprintf("%s/libexec", fx.top);
	fx.o.commands_dir = xasprintf("%s/libexec", fx.top);
	fx.o.broker_uid = fx.o.user_mode ? uid : BROKER_UID;
	fx.o.broker_gid = fx.o.user_mode ? (geteuid() == 0 ? uid : getegid()) : BROKER_UID;

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/talk", fx.top);
	fx.listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fx.listener, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(chmod(sa.sun_path, 0666), 0);
	assert_int_equal(listen(fx.listener, 4), 0);
	assert_int_equal(setenv("AWO_TEST_SOCKET", sa.sun_path, 1), 0);
}

static void
supervisor_start(void)
{
	fx.supervisor = fork();
	assert_true(fx.supervisor >= 0);
	if (fx.supervisor > 0)
		return;
	if (geteuid() == 0 && fx.plain &&
	    (setgroups(0, NULL) < 0 || setresgid(PLAIN_UID, PLAIN_UID, PLAIN_UID) < 0 ||
		setresuid(PLAIN_UID, PLAIN_UID, PLAIN_UID) < 0 || prctl(PR_SET_DUMPABLE, 1) < 0))
		_exit(70);
	log_open("awod", LOG_FMT_TEXT, getenv("AWO_TEST_SHOW") ? LOG_LVL_DEBUG : (enum log_lvl)(LOG_LVL_ERROR + 1));
	_exit(supervisor_main(&fx.o));
}

/* The broker says hello and hands its socket over. */
static void
broker_meet(void)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} u;
	char who[160] = {0};
	struct iovec iov = {.iov_base = who, .iov_len = sizeof(who) - 1};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = u.buf, .msg_controllen = sizeof(u.buf)};
	struct pollfd p = {.fd = fx.listener, .events = POLLIN};
	int groups, nnp;

	/* the old one's ends only now: it would take their closing for its own end */
	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
	if (fx.link >= 0)
		close(fx.link);
	if (fx.talk >= 0)
		close(fx.talk);
	fx.talk = accept4(fx.listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fx.talk >= 0);
	assert_true(recvmsg(fx.talk, &h, MSG_CMSG_CLOEXEC) > 0);
	assert_non_null(CMSG_FIRSTHDR(&h));
	memcpy(&fx.link, CMSG_DATA(CMSG_FIRSTHDR(&h)), sizeof(int));
	assert_int_equal(
	    sscanf(who, "%d %u %u %d %d %d", &fx.broker_pid, &fx.broker_uid, &fx.broker_gid, &groups, &fx.broker_extra, &nnp), 6);
	assert_int_equal(fx.broker_extra, 0);
	assert_int_equal(nnp, 1);
	if (!fx.o.user_mode)
		assert_int_equal(groups, 0);
}

static void
broker_say(unsigned char status)
{
	assert_int_equal(send(fx.talk, &status, 1, MSG_NOSIGNAL), 1);
}

static int
supervisor_wait(void)
{
	const int64_t deadline = clock_mono_us() + WAIT_MS * 1000LL;
	int status;

	for (;;) {
		pid_t pid = waitpid(fx.supervisor, &status, WNOHANG);

		if (pid == fx.supervisor)
			break;
		assert_int_equal(pid, 0);
		assert_true(clock_mono_us() < deadline);
		usleep(2000);
	}
	fx.supervisor = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void
raw_send(const void *p, size_t n, const int *fds, int nfds)
{
	union {
		char buf[CMSG_SPACE(sizeof(int) * 8)];
		struct cmsghdr align;
	} u = {{0}};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)p, .iov_len = n};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};

	if (nfds > 0) {
		struct cmsghdr *c;

		h.msg_control = u.buf;
		h.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)nfds);
		c = CMSG_FIRSTHDR(&h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)nfds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * (size_t)nfds);
	}
	assert_int_equal(sendmsg(fx.link, &h, MSG_NOSIGNAL), (int)n);
}

static struct sup_msg
get(void)
{
	struct pollfd p = {.fd = fx.link, .events = POLLIN};
	struct sup_msg m = {0};

	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
	assert_int_equal(recv(fx.link, &m, sizeof(m), 0), (int)sizeof(m));
	assert_int_equal(m.version, SUP_VERSION);
	return m;
}

static struct sup_msg
get_op(enum sup_op op)
{
	struct sup_msg m = get();

	assert_int_equal(m.op, op);
	return m;
}

static struct sup_msg
message(enum sup_op op, enum sup_kind kind, const char *id)
{
	struct sup_msg m = {.version = SUP_VERSION, .op = op, .kind = kind, .owner_uid = 4711,
		.limits = {.core = 1, .nofile = 300, .fsize = 1U << 28, .nproc = 1500, .memlock = 65536}};

	snprintf(m.id, sizeof(m.id), "%s", id);
	return m;
}

/* Sends a SPAWN with the right descriptors; *out becomes the read end of its journal or answer pipe. */
static void
ask(struct sup_msg *m, int *out)
{
	int p[2], fds[3];

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	fds[0] = files_memfd("spec", "{}", 2);
	fds[1] = p[1];
	fds[2] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	raw_send(m, sizeof(*m), fds, m->kind == SUP_ORDER ? 3 : 2);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	close(p[1]);
	if (out)
		*out = p[0];
	else
		close(p[0]);
}

static struct sup_msg
spawn(struct sup_msg *m, int *out)
{
	ask(m, out);
	return get_op(SUP_SPAWNED);
}

static char *
read_all(int fd)
{
	struct buf b = {0};
	char chunk[4096];
	ssize_t n;

	while ((n = read(fd, chunk, sizeof(chunk))) > 0)
		buf_add(&b, chunk, (size_t)n);
	close(fd);
	return buf_take(&b);
}

static void
has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("'%s' is not in:\n%s", part, text);
}

static void
mode_is(const char *path, mode_t mode, uid_t uid)
{
	CLEAN_FREE char *full = xasprintf("%s/%s", fx.top, path);
	struct stat st;

	if (stat(full, &st) < 0)
		fail_msg("%s: %s", full, strerror(errno));
	assert_int_equal(st.st_mode & 07777, fx.o.user_mode ? 0700 : mode);
	assert_int_equal(st.st_uid, fx.o.user_mode ? fx.o.broker_uid : uid);
}

static bool
exists(const char *path)
{
	CLEAN_FREE char *full = xasprintf("%s/%s", fx.top, path);

	return access(full, F_OK) == 0;
}

static void
end(void)
{
	if (fx.supervisor > 0) {
		kill(fx.supervisor, SIGTERM);
		get_op(SUP_STOP);
		broker_say(0);
		assert_int_equal(supervisor_wait(), 0);
	}
	if (fx.link >= 0)
		close(fx.link);
	if (fx.talk >= 0)
		close(fx.talk);
	close(fx.listener);
	options_free(&fx.o);
	assert_int_equal(files_remove_tree(AT_FDCWD, fx.top, NULL), 0);
}

static bool
user_namespaces(void)
{
	static int known = -1;
	pid_t pid;
	int status;

	if (known >= 0)
		return known;
	pid = fork();
	if (pid == 0) {
		if (geteuid() == 0 && (setgroups(0, NULL) < 0 || setresgid(PLAIN_UID, PLAIN_UID, PLAIN_UID) < 0 ||
					  setresuid(PLAIN_UID, PLAIN_UID, PLAIN_UID) < 0))
			_exit(1);
		_exit(unshare(CLONE_NEWUSER) == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	known = status == 0;
	if (!known)
		print_message("SKIPPED as an ordinary user: this host forbids user namespaces to them\n");
	return known;
}

typedef void test_body(void);

static void
both_modes(test_body *body)
{
	if (geteuid() == 0) {
		prepare(false);
		body();
		end();
	}
	if (!user_namespaces()) {
		if (geteuid() != 0)
			skip();
		return;
	}
	prepare(true);
	body();
	end();
}

/* ---- tests */

static void
body_order(void)
{
	struct sup_msg m = message(SUP_SPAWN, SUP_ORDER, "wo-0a1b2c3d"), a, e;
	CLEAN_FREE char *text = NULL;
	char expect[128];
	int out;

	supervisor_start();
	broker_meet();
	assert_int_equal(fx.broker_uid, fx.o.broker_uid);
	assert_int_equal(fx.broker_gid, fx.o.broker_gid);
	get_op(SUP_READY);
	mode_is("state", 01771, 0);
	mode_is("run", 01771, 0);
	mode_is("log", 02750, BROKER_UID);
	mode_is("run/workers", 0700, BROKER_UID);
	mode_is("run/slots", 0700, 0);
	mode_is("state/work-orders", 0751, 0);
	mode_is("state/repositories", 0751, 0);

	a = spawn(&m, &out);
	assert_string_equal(a.what, "");
	assert_int_equal(a.err, 0);
	assert_string_equal(a.id, "wo-0a1b2c3d");
	assert_true(a.pid > 1);
	text = read_all(out);
	has(text, "end\n");
	has(text, "fd 0\nfd 1\nfd 2\nfd 3\nfd 4\nfd 5\narg awo-worker\n");
	has(text, "arg --mode\narg order\narg --id\narg wo-0a1b2c3d\narg --order-dir\n");
	has(text, "arg --cache-dir\narg -\n");
	has(text, "pid 1 sid 1 uid 1000 gid 1000\n");
	has(text, "blocked 0 env none\n");
	has(text, "listening 1\n");
	has(text, "deny\n");
	has(text, "NoNewPrivs:\t0\n");
	assert_null(strstr(text, "CapAmb:\t0000000000000000"));
	assert_null(strstr(text, "CapEff:\t0000000000000000"));
	has(text, "Max open files            300                  300 ");
	has(text, "Max locked memory         65536                65536 ");
	snprintf(expect, sizeof(expect), "      1000 %10u          1\n", fx.o.user_mode ? fx.o.broker_uid : BASE);
	has(text, expect);
	if (!fx.o.user_mode)
		has(text, "Groups:\t \n");
	mode_is("state/work-orders/wo-0a1b2c3d", 0711, 0);
	mode_is("state/work-orders/wo-0a1b2c3d/workspace", 0700, BASE);
	mode_is("state/work-orders/wo-0a1b2c3d/home", 0700, BASE);
	mode_is("state/work-orders/wo-0a1b2c3d/repository.git", 0700, BASE);
	mode_is("state/work-orders/wo-0a1b2c3d/prompts", 02770, BASE);
	mode_is("state/work-orders/wo-0a1b2c3d/outputs", 02770, BASE);
	assert_true(exists("run/slots/wo-0a1b2c3d"));

	/* the same again is refused, and its directories cannot go while it lives */
	a = spawn(&m, NULL);
	assert_int_equal(a.err, EBUSY);
	m.op = SUP_REMOVE;
	raw_send(&m, sizeof(m), NULL, 0);
	assert_int_equal(get_op(SUP_REMOVED).err, EBUSY);

	m.op = SUP_KILL;
	raw_send(&m, sizeof(m), NULL, 0);
	e = get_op(SUP_EXITED);
	assert_string_equal(e.id, "wo-0a1b2c3d");
	assert_int_equal(e.status, 128 + SIGKILL);
	assert_int_equal(e.oom, 0);
	assert_true(e.maxrss_bytes > 0);
	assert_false(exists("run/slots/wo-0a1b2c3d"));
	/* killing what is not there is no matter */
	raw_send(&m, sizeof(m), NULL, 0);

	/* the next order gets the next uid; the first keeps its own while its directories are there */
	{
		struct sup_msg n = message(SUP_SPAWN, SUP_ORDER, "wo-00000002");

		assert_int_equal(spawn(&n, NULL).err, 0);
		mode_is("state/work-orders/wo-00000002/workspace", 0700, BASE + 1);
		n.op = SUP_KILL;
		raw_send(&n, sizeof(n), NULL, 0);
		get_op(SUP_EXITED);
	}
	m.op = SUP_SPAWN;
	assert_int_equal(spawn(&m, NULL).err, 0);
	mode_is("state/work-orders/wo-0a1b2c3d/workspace", 0700, BASE);
	m.op = SUP_KILL;
	raw_send(&m, sizeof(m), NULL, 0);
	get_op(SUP_EXITED);

	/* removed with all that is in it; then the uid is free */
	{
		CLEAN_FREE char *path = xasprintf("%s/wo-0a1b2c3d/workspace/file", fx.o.work_order_dir);
		CLEAN_FD int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

		assert_true(fd >= 0);
		assert_int_equal(write(fd, "12345678", 8), 8);
	}
	m.op = SUP_REMOVE;
	raw_send(&m, sizeof(m), NULL, 0);
	a = get_op(SUP_REMOVED);
	assert_int_equal(a.err, 0);
	assert_true(a.bytes > 0);
	assert_string_equal(a.id, "wo-0a1b2c3d");
	assert_false(exists("state/work-orders/wo-0a1b2c3d"));
	assert_true(exists("state/work-orders/wo-00000002"));
	/* twice is fine */
	raw_send(&m, sizeof(m), NULL, 0);
	assert_int_equal(get_op(SUP_REMOVED).err, 0);
	m = message(SUP_SPAWN, SUP_ORDER, "wo-00000003");
	assert_int_equal(spawn(&m, NULL).err, 0);
	mode_is("state/work-orders/wo-00000003/workspace", 0700, BASE);
	m.op = SUP_KILL;
	raw_send(&m, sizeof(m), NULL, 0);
	get_op(SUP_EXITED);
}

static void
test_order(void **state)
{
	(void)state;
	both_modes(body_order);
}

static void
body_task(void)
{
	struct sup_msg m = message(SUP_SPAWN, SUP_TASK, ""), a;
	const uid_t cache_uid = BASE + OPT_UID_CACHES;
	CLEAN_FREE char *text = NULL, *second = NULL, *third = NULL;
	char expect[128];
	int out;

	supervisor_start();
	broker_meet();
	get_op(SUP_READY);
	m.tag = 77;
	m.program = SUP_GIT;
	m.flags = SUP_CACHE_RW | SUP_NET;
	snprintf(m.cache, sizeof(m.cache), "%s", CACHE_NAME);
	/* the worker of this test ends at once when its verb is "quick" */
	snprintf(m.verb, sizeof(m.verb), "quick");
	a = spawn(&m, &out);
	assert_string_equal(a.what, "");
	assert_int_equal(a.err, 0);
	assert_int_equal(a.tag, 77);
	text = read_all(out);
	has(text, "fd 0\nfd 1\nfd 2\nfd 3\nfd 4\narg awo-worker\n");
	has(text, "arg --program\narg git\narg --verb\narg quick\narg --mounts\narg cache-rw,net\n");
	has(text, "/state/repositories/4711/" CACHE_NAME ".git\n");
	snprintf(expect, sizeof(expect), "      1000 %10u          1\n", fx.o.user_mode ? fx.o.broker_uid : cache_uid);
	has(text, expect);
	a = get_op(SUP_EXITED);
	assert_int_equal(a.kind, SUP_TASK);
	assert_int_equal(a.tag, 77);
	assert_int_equal(a.status, 3);
	mode_is("state/repositories/4711", 0751, cache_uid);
	mode_is("state/repositories/4711/" CACHE_NAME ".git", 0750, cache_uid);

	/* an agent program that is asked for its version: the owner's cache uid, but no cache */
	m = message(SUP_SPAWN, SUP_TASK, "");
	m.tag = 79;
	m.program = SUP_AGENT_VERSION;
	snprintf(m.verb, sizeof(m.verb), "version");
	a = spawn(&m, &out);
	assert_string_equal(a.what, "");
	assert_int_equal(a.err, 0);
	third = read_all(out);
	has(third, "arg --order-dir\narg -\narg --cache-dir\narg -\n");
	has(third, "arg --program\narg agent\narg --verb\narg version\narg --mounts\narg none\n");
	has(third, expect);
	m.op = SUP_KILL;
	raw_send(&m, sizeof(m), NULL, 0);
	assert_int_equal(get_op(SUP_EXITED).tag, 79);

	/* an order reads the cache by its group, and only that */
	m = message(SUP_SPAWN, SUP_ORDER, "wo-00000001");
	snprintf(m.cache, sizeof(m.cache), "%s", CACHE_NAME);
	a = spawn(&m, &out);
	assert_int_equal(a.err, 0);
	second = read_all(out);
	if (!fx.o.user_mode) {
		has(second, "Groups:\t65534 \n");
		snprintf(expect, sizeof(expect), "/proc/%d/status", (int)a.pid);
		free(third);
		third = files_read(AT_FDCWD, expect, 65536, NULL);
		snprintf(expect, sizeof(expect), "Groups:\t%u \n", cache_uid);
		has(third, expect);
	}
	/* a cache in use stays */
	m.op = SUP_REMOVE;
	m.kind = SUP_TASK;
	raw_send(&m, sizeof(m), NULL, 0);
	assert_int_equal(get_op(SUP_REMOVED).err, EBUSY);

	/* a task that reads the clean repository runs as the order's uid */
	m = message(SUP_SPAWN, SUP_TASK, "wo-00000001");
	m.tag = 78;
	m.program = SUP_GIT;
	m.flags = SUP_CLEAN_RO | SUP_CACHE_RO;
	snprintf(m.cache, sizeof(m.cache), "%s", CACHE_NAME);
	snprintf(m.verb, sizeof(m.verb), "diff");
	a = spawn(&m, &out);
	assert_string_equal(a.what, "");
	free(third);
	third = read_all(out);
	has(third, "arg cache-ro,clean-ro\n");
	has(third, "/state/work-orders/wo-00000001\n");
	snprintf(expect, sizeof(expect), "      1000 %10u          1\n", fx.o.user_mode ? fx.o.broker_uid : BASE);
	has(third, expect);
	m.op = SUP_KILL;
	raw_send(&m, sizeof(m), NULL, 0);
	assert_int_equal(get_op(SUP_EXITED).status, 128 + SIGKILL);
	m = message(SUP_KILL, SUP_ORDER, "wo-00000001");
	raw_send(&m, sizeof(m), NULL, 0);
	get_op(SUP_EXITED);

	/* now the cache can go */
	m = message(SUP_REMOVE, SUP_TASK, "");
	snprintf(m.cache, sizeof(m.cache), "%s", CACHE_NAME);
	raw_send(&m, sizeof(m), NULL, 0);
	a = get_op(SUP_REMOVED);
	assert_int_equal(a.err, 0);
	assert_string_equal(a.cache, CACHE_NAME);
	assert_false(exists("state/repositories/4711/" CACHE_NAME ".git"));
	/* reading one that is not there fails by name */
	m = message(SUP_SPAWN, SUP_ORDER, "wo-00000009");
	snprintf(m.cache, sizeof(m.cache), "%s", CACHE_NAME);
	a = spawn(&m, NULL);
	assert_int_equal(a.err, ENOENT);
	has(a.what, "cache");
}

static void
test_task(void **state)
{
	(void)state;
	both_modes(body_task);
}

/* Every refusal comes back as an error or is dropped; nothing is made, and the supervisor goes on. */
static void
body_hostile(void)
{
	static const char *const bad_ids[] = {"", "wo-", "wo-0000000", "wo-0000000g", "wo-ABCDEF01", "../../../etc", "wo-00000000x",
		"wo-../../x", "/etc/passwd", "wo-000000\n1", "..", "."};
	static const char *const bad_caches[] = {"..", "../../../../../../etc", "0011", "/",
		"000112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", "AA112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"};
	static const char *const bad_verbs[] = {"", "-rf", "a b", "../x", "fetch;", "Fetch", "--help"};
	struct sup_msg m, a;
	unsigned char junk[2 * sizeof(struct sup_msg)];
	int fds[8];

	supervisor_start();
	broker_meet();
	get_op(SUP_READY);
	for (size_t i = 0; i < sizeof(bad_ids) / sizeof(bad_ids[0]); i++) {
		m = message(SUP_SPAWN, SUP_ORDER, bad_ids[i]);
		assert_int_equal(spawn(&m, NULL).err, EINVAL);
		m.op = SUP_REMOVE;
		raw_send(&m, sizeof(m), NULL, 0);
		assert_int_equal(get_op(SUP_REMOVED).err, EINVAL);
		m.op = SUP_KILL;
		raw_send(&m, sizeof(m), NULL, 0);
		if (bad_ids[i][0]) {
			m = message(SUP_SPAWN, SUP_TASK, bad_ids[i]);
			m.program = SUP_GIT;
			m.flags = SUP_CLEAN_RO;
			snprintf(m.verb, sizeof(m.verb), "diff");
			assert_int_equal(spawn(&m, NULL).err, EINVAL);
		}
	}
	for (size_t i = 0; i < sizeof(bad_caches) / sizeof(bad_caches[0]); i++) {
		m = message(SUP_SPAWN, SUP_TASK, "");
		m.program = SUP_GIT;
		m.flags = SUP_CACHE_RW;
		snprintf(m.verb, sizeof(m.verb), "fetch");
		snprintf(m.cache, sizeof(m.cache), "%s", bad_caches[i]);
		assert_int_equal(spawn(&m, NULL).err, EINVAL);
		m.op = SUP_REMOVE;
		raw_send(&m, sizeof(m), NULL, 0);
		assert_int_equal(get_op(SUP_REMOVED).err, EINVAL);
	}
	for (size_t i = 0; i < sizeof(bad_verbs) / sizeof(bad_verbs[0]); i++) {
		m = message(SUP_SPAWN, SUP_TASK, "");
		m.program = SUP_FORGE;
		snprintf(m.verb, sizeof(m.verb), "%s", bad_verbs[i]);
		assert_int_equal(spawn(&m, NULL).err, EINVAL);
	}
	/* an agent program tells its version, and has nothing of anybody's */
	m = message(SUP_SPAWN, SUP_TASK, "");
	m.program = SUP_AGENT_VERSION;
	snprintf(m.verb, sizeof(m.verb), "fetch");
	assert_int_equal(spawn(&m, NULL).err, EINVAL);
	snprintf(m.verb, sizeof(m.verb), "version");
	for (uint32_t flag = 1; flag; flag <<= 1) {
		m.flags = flag;
		snprintf(m.cache, sizeof(m.cache), "%s", CACHE_NAME);
		assert_int_equal(spawn(&m, NULL).err, EINVAL);
		m.cache[0] = '\0';
		assert_int_equal(spawn(&m, NULL).err, EINVAL);
	}
	m.flags = 0;
	snprintf(m.cache, sizeof(m.cache), "%s", CACHE_NAME);
	assert_int_equal(spawn(&m, NULL).err, EINVAL);
	m.cache[0] = '\0';
	snprintf(m.id, sizeof(m.id), "wo-00000001");
	assert_int_equal(spawn(&m, NULL).err, EINVAL);
	/* kinds, programs, flags, owners */
	m = message(SUP_SPAWN, (enum sup_kind)99, "wo-00000001");
	assert_int_equal(spawn(&m, NULL).err, EINVAL);
	m = message(SUP_SPAWN, SUP_TASK, "");
	snprintf(m.verb, sizeof(m.verb), "x");
	m.program = 77;
	assert_int_equal(spawn(&m, NULL).err, EINVAL);
	m.program = SUP_GIT;
	m.flags = 0x80000000U;
	assert_int_equal(spawn(&m, NULL).err, EINVAL);
	m.flags = SUP_CACHE_RW;	/* of no cache */
	assert_int_equal(spawn(&m, NULL).err, EINVAL);
	m.flags = SUP_CLEAN_RO;	/* of no order */
	assert_int_equal(spawn(&m, NULL).err, EINVAL);
	snprintf(m.cache, sizeof(m.cache), "%s", CACHE_NAME);
	m.flags = SUP_CACHE_RW | SUP_CACHE_RO;
	assert_int_equal(spawn(&m, NULL).err, EINVAL);
	m.flags = SUP_CLEAN_RO | SUP_CACHE_RW;
	snprintf(m.id, sizeof(m.id), "wo-00000001");
	assert_int_equal(spawn(&m, NULL).err, EINVAL);
	m.flags = SUP_CLEAN_RO;	/* of an order that never was */
	assert_int_equal(spawn(&m, NULL).err, ENOENT);
	m = message(SUP_SPAWN, SUP_ORDER, "wo-00000001");
	m.owner_uid = UINT32_MAX;
	assert_int_equal(spawn(&m, NULL).err, EINVAL);
	/* descriptors: none, too few, more than the protocol has */
	m = message(SUP_SPAWN, SUP_ORDER, "wo-00000001");
	raw_send(&m, sizeof(m), NULL, 0);
	assert_int_equal(get_op(SUP_SPAWNED).err, EINVAL);
	for (int i = 0; i < 8; i++)
		fds[i] = fx.listener;
	raw_send(&m, sizeof(m), fds, 2);
	assert_int_equal(get_op(SUP_SPAWNED).err, EINVAL);
	raw_send(&m, sizeof(m), fds, 8);
	assert_int_equal(get_op(SUP_SPAWNED).err, EINVAL);
	/* packets that are no messages: short, long, another version, unknown ops, strings without end, noise */
	for (int i = 0; i < 64; i++) {
		size_t n = (size_t)(1 + (i * 37) % (int)sizeof(junk));

		for (size_t k = 0; k < n; k++)
			junk[k] = (unsigned char)((size_t)i * 131 + k * 29);
		raw_send(junk, n, NULL, 0);
	}
	m = message(SUP_SPAWN, SUP_ORDER, "wo-00000001");
	m.version = 2;
	raw_send(&m, sizeof(m), fds, 3);
	m = message((enum sup_op)12345, SUP_ORDER, "wo-00000001");
	raw_send(&m, sizeof(m), fds, 3);
	m = message(SUP_SPAWNED, SUP_ORDER, "wo-00000001");
	raw_send(&m, sizeof(m), fds, 3);
	m = message(SUP_SPAWN, SUP_ORDER, "");
	memset(m.id, 'w', sizeof(m.id));
	raw_send(&m, sizeof(m), fds, 3);
	m = message(SUP_SPAWN, SUP_TASK, "");
	memset(m.cache, '0', sizeof(m.cache));
	memset(m.verb, 'v', sizeof(m.verb));
	raw_send(&m, sizeof(m), fds, 2);
	/* it has lived through all that, and made nothing */
	m = message(SUP_SPAWN, SUP_ORDER, "wo-000000aa");
	m.limits = (struct child_limits){.core = UINT64_MAX, .nofile = UINT64_MAX, .fsize = UINT64_MAX, .nproc = UINT64_MAX,
		.memlock = UINT64_MAX};
	a = spawn(&m, NULL);
	assert_string_equal(a.what, "");
	assert_int_equal(a.err, 0);
	assert_false(exists("state/work-orders/wo-00000001"));
	m.op = SUP_KILL;
	raw_send(&m, sizeof(m), NULL, 0);
	get_op(SUP_EXITED);

	/* an order's directory that is a link, or somebody's, is not followed */
	{
		CLEAN_FREE char *path = xasprintf("%s/wo-000000bb", fx.o.work_order_dir);

		assert_int_equal(symlink("/tmp", path), 0);
		m = message(SUP_SPAWN, SUP_ORDER, "wo-000000bb");
		a = spawn(&m, NULL);
		assert_true(a.err == ENOTDIR || a.err == ELOOP);
		m.op = SUP_REMOVE;
		raw_send(&m, sizeof(m), NULL, 0);
		assert_int_equal(get_op(SUP_REMOVED).err, 0);
		assert_int_equal(access("/tmp", F_OK), 0);
	}
}

static void
test_hostile(void **state)
{
	(void)state;
	both_modes(body_hostile);
}

static void
body_adopt(void)
{
	struct sup_msg m = message(SUP_SPAWN, SUP_ORDER, "wo-00000001"), t = message(SUP_SPAWN, SUP_TASK, ""), a, e;
	CLEAN_FREE char *slot = xasprintf("%s/slots/wo-00000001", fx.o.run_dir);
	CLEAN_FREE char *stale = xasprintf("%s/slots/wo-00000002", fx.o.run_dir);
	CLEAN_FREE char *junk = xasprintf("%s/slots/junk", fx.o.run_dir);
	CLEAN_FREE char *text = NULL;
	int out, fd, order_pid, task_out;

	supervisor_start();
	broker_meet();
	get_op(SUP_READY);
	a = spawn(&m, &out);
	assert_int_equal(a.err, 0);
	order_pid = a.pid;
	t.tag = 5;
	t.program = SUP_FORGE;
	snprintf(t.verb, sizeof(t.verb), "issue");
	assert_int_equal(spawn(&t, &task_out).err, 0);

	/* the broker dies: another one comes, hears of the order, and not of the task, which is gone */
	assert_int_equal(kill(fx.broker_pid, SIGKILL), 0);
	broker_meet();
	e = get_op(SUP_ADOPTED);
	assert_string_equal(e.id, "wo-00000001");
	assert_int_equal(e.pid, order_pid);
	get_op(SUP_READY);
	free(read_all(task_out));	/* comes to an end */

	/* the supervisor is killed: the order lives on */
	assert_int_equal(kill(fx.supervisor, SIGKILL), 0);
	assert_int_equal(waitpid(fx.supervisor, NULL, 0), fx.supervisor);
	usleep(50000);
	assert_int_equal(kill(order_pid, 0), 0);
	/* beside its slot one of another process, which has that pid now, and nonsense */
	text = files_read(AT_FDCWD, slot, 256, NULL);
	assert_non_null(text);
	fd = open(stale, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	dprintf(fd, "%d 1 %s\n", (int)getpid(), strchr(strchr(text, ' ') + 1, ' ') + 1);
	close(fd);
	fd = open(junk, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	dprintf(fd, "-1 %%n%%n ../../x\n");
	close(fd);
	supervisor_start();
	broker_meet();
	e = get_op(SUP_ADOPTED);
	assert_string_equal(e.id, "wo-00000001");
	assert_int_equal(e.pid, order_pid);
	get_op(SUP_READY);
	assert_int_equal(access(stale, F_OK), -1);
	assert_int_equal(access(junk, F_OK), -1);
	assert_int_equal(kill(getpid(), 0), 0);
	/* started twice it would be two */
	assert_int_equal(spawn(&m, NULL).err, EBUSY);

	/* stopped in good order: the order lives on again */
	kill(fx.supervisor, SIGTERM);
	get_op(SUP_STOP);
	broker_say(0);
	assert_int_equal(supervisor_wait(), 0);
	assert_int_equal(kill(order_pid, 0), 0);
	assert_int_equal(access(slot, F_OK), 0);
	supervisor_start();
	broker_meet();
	get_op(SUP_ADOPTED);
	get_op(SUP_READY);
	m.op = SUP_KILL;
	raw_send(&m, sizeof(m), NULL, 0);
	/* it is this test's child by now, or init's; for the supervisor it ends when somebody has waited for it or not */
	e = get_op(SUP_EXITED);
	assert_string_equal(e.id, "wo-00000001");
	assert_int_equal(e.status, -1);
	assert_int_equal(access(slot, F_OK), -1);
	free(read_all(out));
}

static void
test_adopt(void **state)
{
	(void)state;
	both_modes(body_adopt);
}

/* What does not come to its program is told as such, and may be asked for again at once. */
static void
body_not_started(void)
{
	struct sup_msg m = message(SUP_SPAWN, SUP_ORDER, "wo-00000006"), a;
	CLEAN_FREE char *program = xasprintf("%s/libexec/awo-worker", fx.top), *away = xasprintf("%s/libexec/away", fx.top);

	supervisor_start();
	broker_meet();
	get_op(SUP_READY);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(rename(program, away), 0);
		a = spawn(&m, NULL);
		assert_int_equal(a.err, ENOENT);
		assert_int_equal(a.pid, 0);
		assert_string_equal(a.id, m.id);
		has(a.what, "exec of awo-worker");
		assert_int_equal(rename(away, program), 0);
	}
	assert_int_equal(spawn(&m, NULL).err, 0);
	m.op = SUP_KILL;
	raw_send(&m, sizeof(m), NULL, 0);
	get_op(SUP_EXITED);
}

static void
test_not_started(void **state)
{
	(void)state;
	both_modes(body_not_started);
}

static struct fanotify_event_metadata
held(int fan)
{
	struct fanotify_event_metadata e;
	struct pollfd p = {.fd = fan, .events = POLLIN};

	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
	assert_int_equal(read(fan, &e, sizeof(e)), sizeof(e));
	return e;
}

static void
let_go(int fan, const struct fanotify_event_metadata *e, unsigned int how)
{
	const struct fanotify_response r = {.fd = e->fd, .response = how};

	assert_int_equal(write(fan, &r, sizeof(r)), sizeof(r));
	close(e->fd);
}

/* Two whose exec is held up are on their way at the same time; a broker that comes meanwhile hears of their ends alone. */
static void
test_on_their_way(void **state)
{
	struct sup_msg m[2] = {message(SUP_SPAWN, SUP_ORDER, "wo-00000007"), message(SUP_SPAWN, SUP_ORDER, "wo-00000008")};
	struct fanotify_event_metadata e[2];
	struct sup_msg adopted, a;
	CLEAN_FREE char *program = NULL, *copy = NULL;
	const char *failing = NULL;
	int fan;

	(void)state;
	if (geteuid() != 0)
		skip();
	fan = fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC, O_RDONLY | O_CLOEXEC);
	if (fan < 0)
		skip();
	prepare(false);
	/* of its own: the broker's exec is not to be held up */
	program = xasprintf("%s/libexec/awo-worker", fx.top);
	copy = xasprintf("cp -L %s %s.new && mv %s.new %s", program, program, program, program);
	/* a command of this test; NOLINTNEXTLINE(cert-env33-c) */
	assert_int_equal(system(copy), 0);
	if (fanotify_mark(fan, FAN_MARK_ADD, FAN_OPEN_EXEC_PERM, AT_FDCWD, program) < 0) {
		close(fan);
		end();
		skip();
	}
	supervisor_start();
	broker_meet();
	get_op(SUP_READY);
	for (int i = 0; i < 2; i++)
		ask(&m[i], NULL);
	for (int i = 0; i < 2; i++)
		e[i] = held(fan);
	assert_int_equal(kill(fx.broker_pid, SIGKILL), 0);
	broker_meet();
	for (int i = 0; i < 2; i++) {
		adopted = get_op(SUP_ADOPTED);
		if (adopted.pid == e[0].pid)
			failing = strcmp(adopted.id, m[0].id) == 0 ? m[0].id : m[1].id;
	}
	assert_non_null(failing);
	get_op(SUP_READY);
	let_go(fan, &e[1], FAN_ALLOW);
	let_go(fan, &e[0], FAN_DENY);
	a = get_op(SUP_EXITED);
	assert_string_equal(a.id, failing);
	assert_int_equal(a.status, 127);
	a = message(SUP_KILL, SUP_ORDER, failing == m[0].id ? m[1].id : m[0].id);
	raw_send(&a, sizeof(a), NULL, 0);
	assert_int_equal(get_op(SUP_EXITED).status, 128 + SIGKILL);
	close(fan);
	end();
}

/* The supervisor has no number left for a descriptor that comes with a message. */
static void
body_no_numbers(void)
{
	struct sup_msg m = message(SUP_SPAWN, SUP_ORDER, "wo-00000005"), a;
	struct rlimit was, low;
	struct stat st;
	char path[64];
	rlim_t lowest = 0;

	supervisor_start();
	broker_meet();
	get_op(SUP_READY);
	do
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)fx.supervisor, (int)lowest++);
	while (lstat(path, &st) == 0);
	assert_int_equal(prlimit(fx.supervisor, RLIMIT_NOFILE, NULL, &was), 0);
	low = (struct rlimit){.rlim_cur = lowest - 1, .rlim_max = was.rlim_max};
	assert_int_equal(prlimit(fx.supervisor, RLIMIT_NOFILE, &low, NULL), 0);
	a = spawn(&m, NULL);
	assert_int_equal(a.err, EMFILE);
	assert_string_equal(a.id, m.id);
	/* with one or two of three it is no better */
	low.rlim_cur = lowest + 1;
	assert_int_equal(prlimit(fx.supervisor, RLIMIT_NOFILE, &low, NULL), 0);
	assert_int_equal(spawn(&m, NULL).err, EMFILE);
	/* and it passes */
	assert_int_equal(prlimit(fx.supervisor, RLIMIT_NOFILE, &was, NULL), 0);
	assert_int_equal(spawn(&m, NULL).err, 0);
	m.op = SUP_KILL;
	raw_send(&m, sizeof(m), NULL, 0);
	get_op(SUP_EXITED);
}

static void
test_no_numbers(void **state)
{
	(void)state;
	/* the limits of a process with other ids are not ours to set */
	if (geteuid() != 0 && !user_namespaces())
		skip();
	prepare(geteuid() != 0);
	body_no_numbers();
	end();
}

static void
body_broker(void)
{
	struct sup_msg ready;
	pid_t first;
	int64_t began;

	/* a start that fails is told, not tried again */
	supervisor_start();
	broker_meet();
	broker_say(78);
	assert_int_equal(supervisor_wait(), 78);
	/* an end that it wished is the end */
	supervisor_start();
	broker_meet();
	broker_say(0);
	assert_int_equal(supervisor_wait(), 0);
	/* killed, it comes again; each time later, and told how often */
	supervisor_start();
	broker_meet();
	ready = get_op(SUP_READY);
	assert_int_equal(ready.restarts, 0);
	assert_int_equal(ready.restarted_us, 0);
	first = fx.broker_pid;
	began = clock_mono_us();
	for (int i = 0; i < 3; i++) {
		assert_int_equal(kill(fx.broker_pid, SIGKILL), 0);
		broker_meet();
		ready = get_op(SUP_READY);
		assert_int_equal(ready.restarts, i + 1);
		assert_true(ready.restarted_us > clock_wall_us() - 20 * 1000000LL && ready.restarted_us <= clock_wall_us());
		assert_true(fx.broker_pid != first);
	}
	assert_true(clock_mono_us() - began >= 600000);
	assert_true(clock_mono_us() - began < 15 * 1000000LL);
	/* SIGHUP goes to it, and nothing else changes (this broker dies of it) */
	assert_int_equal(kill(fx.supervisor, SIGHUP), 0);
	broker_meet();
	get_op(SUP_READY);
	/* two signals: no patience with a broker that does not stop */
	kill(fx.supervisor, SIGINT);
	get_op(SUP_STOP);
	kill(fx.supervisor, SIGTERM);
	assert_int_equal(supervisor_wait(), 0);
}

static void
test_broker(void **state)
{
	(void)state;
	both_modes(body_broker);
}

static void
body_locked(void)
{
	struct dirs d;
	struct awo_err err = {0};
	char pid[32];
	pid_t child;
	int status;

	supervisor_start();
	broker_meet();
	get_op(SUP_READY);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		int rc;

		if (geteuid() == 0 && fx.plain &&
		    (setresgid(PLAIN_UID, PLAIN_UID, PLAIN_UID) < 0 || setresuid(PLAIN_UID, PLAIN_UID, PLAIN_UID) < 0))
			_exit(70);
		rc = dirs_open(&d, &fx.o, &err);
		snprintf(pid, sizeof(pid), "(pid %d)", (int)fx.supervisor);
		if (rc == 0 || err.code != AWO_FAILED_PRECONDITION || !strstr(err.msg, pid)) {
			fprintf(stderr, "no refusal naming the pid: %s\n", err.msg);
			_exit(1);
		}
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void
test_locked(void **state)
{
	(void)state;
	both_modes(body_locked);
}

/* A directory in use for something else is not taken over. */
static void
test_foreign_directory(void **state)
{
	CLEAN_FREE char *path = NULL, *file = NULL;
	struct awo_err err = {0};
	struct dirs d;
	struct stat st;
	int fd;

	(void)state;
	prepare(false);
	path = xstrdup(fx.o.state_dir);
	assert_int_equal(mkdir(path, 0755), 0);
	file = xasprintf("%s/something", path);
	fd = open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	close(fd);
	if (geteuid() == 0) {
		assert_int_equal(dirs_open(&d, &fx.o, &err), -1);
		dirs_close(&d);
		has(err.msg, "not empty");
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0755);
	}
	/* and in user mode not one of somebody else's */
	if (geteuid() == 0) {
		pid_t child = fork();
		int status;

		assert_true(child >= 0);
		if (child == 0) {
			fx.o.user_mode = true;
			if (setresuid(PLAIN_UID, PLAIN_UID, PLAIN_UID) < 0)
				_exit(70);
			_exit(dirs_open(&d, &fx.o, &err) == -1 && strstr(err.msg, "belongs to uid 0") ? 0 : 1);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
	}
	end();
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_task),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_adopt),
		cmocka_unit_test(test_not_started),
		cmocka_unit_test(test_on_their_way),
		cmocka_unit_test(test_no_numbers),
		cmocka_unit_test(test_broker),
		cmocka_unit_test(test_locked),
		cmocka_unit_test(test_foreign_directory),
	};

	if (argc > 1 && strcmp(argv[0], "awo-worker") == 0)
		_exit(worker(argc, argv));
	if (argc > 1 && strcmp(argv[1], "--broker-fd") == 0)
		_exit(broker(argc, argv));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
