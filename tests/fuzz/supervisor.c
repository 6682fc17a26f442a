/* The privileged half of awod: packets of a broker that has gone bad, and slot files. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

/* ---- no process of this host is touched: what supervisor.c asks of the kernel ends here */

static long
syscall_(long number, ...)
{
	/* some descriptor that epoll takes, and that never says anything */
	if (number == SYS_pidfd_open)
		return eventfd(0, EFD_CLOEXEC);
	FUZZ_CHECK(number == SYS_pidfd_send_signal);
	return 0;
}

static pid_t
fork_(void)
{
	errno = EAGAIN;
	return -1;
}

static int
kill_(pid_t pid, int sig)
{
	(void)pid;
	(void)sig;
	return 0;
}

static pid_t
waitpid_(pid_t pid, int *status, int options)
{
	(void)options;
	if (status != NULL)
		*status = 0;
	return pid;
}

static pid_t
wait4_(pid_t pid, int *status, int options, struct rusage *ru)
{
	(void)options;
	*status = 0;
	memset(ru, 0, sizeof(*ru));
	return pid;
}

#define syscall syscall_
#define fork fork_
#define kill kill_
#define waitpid waitpid_
#define wait4 wait4_
/* the file itself, with its kernel replaced; NOLINTNEXTLINE(bugprone-suspicious-include) */
#include "awod/supervisor.c"
#undef syscall
#undef fork
#undef kill
#undef waitpid
#undef wait4

#define START_TIME 77

uint64_t
spawn_starttime(pid_t pid)
{
	FUZZ_CHECK(pid > 1);
	return START_TIME;
}

static bool
is_arguments(const struct spawn_request *r)
{
	size_t n = 0;

	while (r->argv[n] != NULL) {
		/* a value is no option, and no path leaves its directory */
		if (n > 0 && n % 2 == 0 && strcmp(r->argv[n], "-") != 0 && r->argv[n][0] == '-')
			return false;
		if (strstr(r->argv[n], "..") != NULL)
			return false;
		n++;
	}
	return n >= 15 && n % 2 == 1;
}

int
spawn_start(
    const struct spawn_request *r, spawn_recorder *record, void *arg, struct spawn_result *out)
{
	FUZZ_CHECK(is_arguments(r) && r->nfds >= 2 && r->nfds <= SUP_FDS_MAX);
	FUZZ_CHECK(r->uid >= 1000 && r->uid != (uid_t)-1);
	*out = (struct spawn_result){.pid = 4000000, .pidfd = -1, .started = -1, .err = EPERM};
	if (r->limits.core % 2 == 1 || record(arg, out->pid) != 0)
		return -1;
	out->err = 0;
	out->pidfd = eventfd(0, EFD_CLOEXEC);
	out->started = eventfd(0, EFD_CLOEXEC);
	return 0;
}

/* The fate of a start is as many-sided as its beginning. */
int
spawn_started(struct spawn_result *p)
{
	FUZZ_CHECK(p->started >= 0);
	p->err = EPERM;
	return p->started % 3 - 1;
}

/* ---- directories, of which none exists */

int
dirs_open(struct dirs *d, const struct options *o, struct awo_err *err)
{
	(void)d;
	(void)o;
	return ERR(err, INTERNAL, "", "not here");
}

void
dirs_close(struct dirs *d)
{
	(void)d;
}

int
dirs_order(struct dirs *d, const char *id, uid_t *uid, char *what)
{
	(void)what;
	FUZZ_CHECK(d->orders == -1 && ids_is_order(id));
	*uid = 1879048192U;
	return 0;
}

int
dirs_order_uid(const struct dirs *d, const char *id, uid_t *uid, char *what)
{
	(void)what;
	FUZZ_CHECK(d->orders == -1 && ids_is_order(id));
	*uid = 1879048192U;
	return 0;
}

int
dirs_cache(struct dirs *d, uint32_t owner, const char *cache, bool create, uid_t *uid, char *what)
{
	(void)d;
	(void)create;
	(void)what;
	FUZZ_CHECK(owner != UINT32_MAX);
	FUZZ_CHECK(
	    cache == NULL || (strlen(cache) == 64 && strspn(cache, "0123456789abcdef") == 64));
	*uid = 1880096768U;
	return 0;
}

void
dirs_forget_order(struct dirs *d, uid_t uid)
{
	(void)d;
	(void)uid;
}

char **
options_broker_argv(const struct options *o, int broker_fd)
{
	(void)o;
	(void)broker_fd;
	return NULL;
}

/* ---- the two inputs */

/* The head is a slot's name, a NUL, the rest its content. */
static void
slot_file(struct supervisor *s, struct fuzz_in *in)
{
	char name[] = "wo-12345678", other[] = "task-7", path[32];
	const char *chosen = fuzz_u8(in) % 2 == 0 ? name : other;

	snprintf(path, sizeof(path), "%s", chosen);
	fuzz_write(path, in->p, in->len);
	slots_adopt(s);
	for (const struct slot *t = s->slots; t != NULL; t = t->next) {
		FUZZ_CHECK(t->adopted && t->pid > 1 && t->pidfd >= 0);
		FUZZ_CHECK(t->kind == SUP_TASK ? t->orphan : ids_is_order(t->id));
	}
	(void)unlinkat(s->dirs.slots, chosen, 0);
}

/* A byte with the number of descriptors, two with the length, the packet. */
static void
packets(struct supervisor *s, struct fuzz_in *in, int broker)
{
	union {
		char buf[CMSG_SPACE(sizeof(int) * 4)];
		struct cmsghdr align;
	} u;
	int fds[4];

	for (int i = 0; i < 4; i++)
		fds[i] = s->null_fd;
	for (int i = 0; i < 64 && in->len > 0; i++) {
		unsigned nfds = fuzz_u8(in) % 5;
		size_t len = fuzz_u16(in) % 1024;
		uint8_t packet[1024];
		struct iovec iov = {.iov_base = packet};
		struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};
		struct cmsghdr *c;

		len = len < in->len ? len : in->len;
		memcpy(packet, in->p, len);
		in->p += len;
		in->len -= len;
		iov.iov_len = len;
		if (nfds > 0) {
			memset(&u, 0, sizeof(u));
			h.msg_control = u.buf;
			h.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
			c = CMSG_FIRSTHDR(&h);
			c->cmsg_level = SOL_SOCKET;
			c->cmsg_type = SCM_RIGHTS;
			c->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
			memcpy(CMSG_DATA(c), fds, sizeof(int) * nfds);
		}
		if (len == 0 || sendmsg(broker, &h, MSG_DONTWAIT) < 0)
			continue;
		FUZZ_CHECK(link_read(s));
		/* a process ends, now and then */
		if (nfds == 4 && s->slots != NULL)
			slot_ended(s, s->slots);
		else if (nfds == 3 && s->slots != NULL && s->slots->started >= 0)
			(void)slot_started(s, s->slots, false);
	}
}

static bool
is_answer(const struct sup_msg *m)
{
	return m->version == SUP_VERSION &&
	       (m->op == SUP_SPAWNED || m->op == SUP_EXITED || m->op == SUP_REMOVED) &&
	       memchr(m->id, '\0', sizeof(m->id)) != NULL &&
	       memchr(m->cache, '\0', sizeof(m->cache)) != NULL &&
	       memchr(m->what, '\0', sizeof(m->what)) != NULL;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	char dir[] = "/nowhere";
	struct options o = {.libexec_dir = dir,
	    .commands_dir = dir,
	    .config_dir = dir,
	    .work_order_dir = dir,
	    .repository_dir = dir,
	    .user_mode = true};
	struct supervisor s = {.o = &o,
	    .signals = -1,
	    .broker_pidfd = -1,
	    .link = -1,
	    .src_link = SRC_LINK,
	    .boot_id = "boot",
	    .dirs = {.orders = -1, .repositories = -1, .run = -1, .slots = -1}};
	struct sup_msg m;
	int sp[2];

	s.out_tail = &s.out;
	s.null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	s.epoll = epoll_create1(EPOLL_CLOEXEC);
	s.dirs.slots = open(fuzz_dir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	FUZZ_CHECK(s.null_fd >= 0 && s.epoll >= 0 && s.dirs.slots >= 0);
	FUZZ_CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sp) == 0);
	s.link = sp[0];
	FUZZ_CHECK(watch(&s, s.link, EPOLLIN, &s.src_link) == 0);
	if (fuzz_u8(&in) % 4 == 0)
		slot_file(&s, &in);
	else
		packets(&s, &in, sp[1]);
	while (recv(sp[1], &m, sizeof(m), MSG_DONTWAIT) == (ssize_t)sizeof(m)) {
		FUZZ_CHECK(is_answer(&m));
		link_flush(&s);
	}
	close(sp[1]);
	/* the slots' files of orders outlive a supervisor */
	for (struct slot *t = s.slots; t != NULL; t = t->next)
		slot_unlink(&s, t);
	tear_down(&s);
	close(s.dirs.slots);
	return 0;
}
