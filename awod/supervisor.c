/* The supervisor: keeps the broker running, and does what needs power for it after checking every word. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "awod/supervisor.h"
#include "common/buf.h"
#include "common/clean.h"
#include "common/clock.h"
#include "common/files.h"
#include "common/ids.h"
#include "common/log.h"

#define SLOTS_MAX 16384
#define REMOVALS_MAX 16384	/* waiting */
#define REMOVALS_AT_ONCE 4
#define OUT_MAX 65536		/* messages that wait for the broker; a broker that reads none is ended */
#define STOP_US (10 * 1000000LL)
#define SHORT_LIFE_US (10 * 1000000LL)	/* a broker that lived shorter counts as crashed at once */
#define STEADY_US 1000000LL	/* one that lived longer is started again soon, however often it dies */
#define BACKOFF_MIN_US 100000LL
#define BACKOFF_KILLED_US 500000LL	/* at most, after a death by a signal: clients are to have it back within a second */
#define BACKOFF_MAX_US (10 * 1000000LL)	/* at most, after a start that was refused */
#define TASK_FLAGS (SUP_CACHE_RW | SUP_CACHE_RO | SUP_CLEAN_RO | SUP_NET | SUP_LOCAL_RO)

/* First member of whatever epoll watches. */
enum source { SRC_SIGNALS, SRC_LINK, SRC_BROKER, SRC_SLOT, SRC_START, SRC_REMOVAL };

/* A process that lives, or lived until a moment ago. */
struct slot {
	enum source source, start_source;
	struct slot *next;
	enum sup_kind kind;
	bool adopted;			/* not our child */
	bool orphan;			/* a task whose broker is gone: nobody is told of its end */
	bool killed;			/* by us */
	bool announced;			/* to a broker that did not start it: that hears of its end alone */
	int started;			/* until its program runs: what tells that; then -1 */
	int64_t due_us;			/* by when */
	uint64_t tag;
	char id[16], cache[72];
	uint32_t owner;
	uid_t uid;
	pid_t pid;
	int pidfd;
	uint64_t oom_kills;		/* the host's count when it started */
};

struct removal {
	enum source source;
	struct removal *next;
	struct sup_msg asked;
	pid_t pid;			/* 0: waits for its turn */
	int pidfd, result;		/* result: pipe from the removing process */
};

struct out_msg {
	struct out_msg *next;
	struct sup_msg m;
};

struct supervisor {
	const struct options *o;
	struct dirs dirs;
	int epoll, signals, null_fd;
	enum source src_signals, src_link, src_broker;
	char boot_id[40];
	struct slot *slots;
	size_t nslots, nstarting;
	struct removal *removals;
	size_t nremovals, removing;
	/* the broker */
	pid_t broker;			/* 0: does not run */
	int broker_pidfd, link;
	struct out_msg *out, **out_tail;
	size_t nout;
	bool out_watched;
	bool broker_lived;		/* one has run long enough to have started well */
	int64_t started_us, restart_us, backoff_us;	/* restart_us: when the next one is to start, or 0 */
	uint64_t starts;
	int listen_fds;			/* passed by the service manager: 3 and on */
	/* the end */
	bool stopping, quit;
	int64_t stop_us;
	int status;
};

static void slot_ended(struct supervisor *s, struct slot *t);
static bool slot_started(struct supervisor *s, struct slot *t, bool late);
static void removals_start(struct supervisor *s);

/* ---- small things */

static int
watch(const struct supervisor *s, int fd, uint32_t events, enum source *source)
{
	struct epoll_event ev = {.events = events, .data.ptr = source};

	return epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &ev);
}

/* By name: a child between fork and exec still has a copy, and until that is closed epoll would go on to tell of it. */
static void
unwatch_close(const struct supervisor *s, int fd)
{
	(void)epoll_ctl(s->epoll, EPOLL_CTL_DEL, fd, NULL);
	close(fd);
}

static int
pidfd_open_(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

static int
pidfd_kill(int pidfd, int sig)
{
	return (int)syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0);
}

/* How many processes the kernel has killed for memory, on the whole host; 0 when it does not say. */
static uint64_t
oom_kills(void)
{
	char text[16384], *p;
	unsigned long long n;
	CLEAN_FD int fd = open("/proc/vmstat", O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (len <= 0)
		return 0;
	text[len] = '\0';
	p = strstr(text, "\noom_kill ");
	return p && sscanf(p + 10, "%llu", &n) == 1 ? n : 0;
}

static void
read_boot_id(struct supervisor *s)
{
	CLEAN_FD int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, s->boot_id, sizeof(s->boot_id) - 1);

	s->boot_id[n > 0 ? n : 0] = '\0';
	s->boot_id[strcspn(s->boot_id, " \n")] = '\0';
	if (s->boot_id[0] == '\0')
		snprintf(s->boot_id, sizeof(s->boot_id), "unknown");
}

/* ---- messages to the broker */

static void
broker_kill(const struct supervisor *s, int sig)
{
	if (s->broker && pidfd_kill(s->broker_pidfd, sig) < 0 && errno != ESRCH)
		log_error("broker_signal_failed", LI("signal", sig), LS("error", strerror(errno)));
}

static void
link_flush(struct supervisor *s)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = &s->src_link};
	bool more;

	while (s->out) {
		struct out_msg *o = s->out;

		if (send(s->link, &o->m, sizeof(o->m), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
			if (errno == EINTR)
				continue;
			/* anything but a full queue shows as the end of the socket, too */
			break;
		}
		s->out = o->next;
		if (!s->out)
			s->out_tail = &s->out;
		s->nout--;
		free(o);
	}
	more = s->out != NULL;
	if (more != s->out_watched) {
		ev.events |= more ? (uint32_t)EPOLLOUT : 0;
		if (epoll_ctl(s->epoll, EPOLL_CTL_MOD, s->link, &ev) == 0)
			s->out_watched = more;
	}
}

static void
tell(struct supervisor *s, const struct sup_msg *m)
{
	struct out_msg *o;

	if (s->link < 0)
		return;
	if (s->nout >= OUT_MAX) {
		log_error("broker_reads_nothing", LI("waiting", s->nout));
		broker_kill(s, SIGKILL);
		return;
	}
	o = xcalloc(1, sizeof(*o));
	o->m = *m;
	o->m.version = SUP_VERSION;
	*s->out_tail = o;
	s->out_tail = &o->next;
	s->nout++;
	link_flush(s);
}

static void
tell_op(struct supervisor *s, enum sup_op op)
{
	struct sup_msg m = {.op = op};

	tell(s, &m);
}

static void
link_close(struct supervisor *s)
{
	if (s->link >= 0)
		unwatch_close(s, s->link);
	s->link = -1;
	while (s->out) {
		struct out_msg *o = s->out;

		s->out = o->next;
		free(o);
	}
	s->out_tail = &s->out;
	s->nout = 0;
	s->out_watched = false;
}

/* ---- slots */

static void
slot_name(const struct slot *t, char *name, size_t len)
{
	if (t->kind == SUP_ORDER)
		snprintf(name, len, "%s", t->id);
	else
		snprintf(name, len, "task-%llu", (unsigned long long)t->tag);
}

/* So that another supervisor of this boot finds the process again: "pid starttime boot_id uid kind tag". */
static int
slot_write(const struct supervisor *s, const struct slot *t)
{
	char name[40], text[160];
	uint64_t start = spawn_starttime(t->pid);
	int n;

	if (start == 0)
		return ESRCH;
	slot_name(t, name, sizeof(name));
	n = snprintf(text, sizeof(text), "%d %llu %s %u %u %llu\n", (int)t->pid, (unsigned long long)start, s->boot_id, t->uid,
	    (unsigned int)t->kind, (unsigned long long)t->tag);
	return files_replace_unsynced(s->dirs.slots, name, text, (size_t)n, 0600) < 0 ? errno : 0;
}

static void
slot_unlink(const struct supervisor *s, const struct slot *t)
{
	char name[40];

	slot_name(t, name, sizeof(name));
	if (unlinkat(s->dirs.slots, name, 0) < 0 && errno != ENOENT)
		log_error("slot_unlink_failed", LS("slot", name), LS("error", strerror(errno)));
}

static int
slot_add(struct supervisor *s, struct slot *t)
{
	t->source = SRC_SLOT;
	t->start_source = SRC_START;
	if (watch(s, t->pidfd, EPOLLIN, &t->source) < 0 ||
	    (t->started >= 0 && watch(s, t->started, EPOLLIN, &t->start_source) < 0))
		return -1;
	if (t->started >= 0)
		s->nstarting++;
	t->next = s->slots;
	s->slots = t;
	s->nslots++;
	return 0;
}

static struct slot *
slot_find(const struct supervisor *s, enum sup_kind kind, const char *id, uint64_t tag)
{
	struct slot *t;

	for (t = s->slots; t; t = t->next)
		if (t->kind == kind && (kind == SUP_ORDER ? strcmp(t->id, id) == 0 : t->tag == tag && !t->orphan))
			return t;
	return NULL;
}

static void
slot_kill(struct slot *t)
{
	t->killed = true;
	if (pidfd_kill(t->pidfd, SIGKILL) < 0 && errno != ESRCH)
		log_error("worker_kill_failed", LI("pid", t->pid), LS("error", strerror(errno)));
}

/* The process is gone: so is the slot. */
static void
slot_remove(struct supervisor *s, struct slot *t)
{
	struct slot **p;

	/* every slot is in the list; NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
	for (p = &s->slots; *p != t; p = &(*p)->next)
		;
	*p = t->next;
	s->nslots--;
	slot_unlink(s, t);
	if (t->started >= 0) {
		unwatch_close(s, t->started);
		s->nstarting--;
	}
	unwatch_close(s, t->pidfd);
	free(t);
}

/* Its pidfd says that the process has ended. */
static void
slot_ended(struct supervisor *s, struct slot *t)
{
	struct sup_msg m = {.op = SUP_EXITED, .kind = t->kind, .tag = t->tag, .pid = t->pid, .status = -1};
	bool tells = !t->orphan;
	struct rusage ru;
	int status;

	/* its start is told before its end */
	if (t->started >= 0 && !slot_started(s, t, true))
		return;
	if (!t->adopted) {
		if (wait4(t->pid, &status, WNOHANG, &ru) != t->pid)
			return;
		m.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		m.cpu_us = (uint64_t)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1000000U +
		    (uint64_t)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec);
		m.maxrss_bytes = (uint64_t)ru.ru_maxrss * 1024U;
		m.oom = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && !t->killed && oom_kills() > t->oom_kills;
	}
	memcpy(m.id, t->id, sizeof(m.id));
	log_debug("worker_ended", LS("id", t->id), LI("pid", t->pid), LI("status", m.status));
	slot_remove(s, t);
	if (tells)
		tell(s, &m);
}

/*
 * A process that was on its way has come to its program, has failed before, or, when it is late, is given up. False: the slot is
 * gone.
 */
static bool
slot_started(struct supervisor *s, struct slot *t, bool late)
{
	struct sup_msg m = {.op = SUP_SPAWNED, .kind = t->kind, .tag = t->tag, .pid = t->pid};
	struct spawn_result r = {.started = t->started};
	bool tells = !t->orphan && !t->announced;
	int got = spawn_started(&r);

	if (got > 0 && !late)
		return true;
	memcpy(m.id, t->id, sizeof(m.id));
	if (got == 0) {
		unwatch_close(s, t->started);
		t->started = -1;
		s->nstarting--;
	} else {
		m.err = got < 0 ? r.err : ETIMEDOUT;
		m.pid = 0;
		snprintf(m.what, sizeof(m.what), "%s", got < 0 ? r.what : "the new process does not reach exec");
		log_warning("worker_spawn_failed", LS("id", t->id), LS("step", m.what), LS("error", strerror(m.err)));
		if (t->announced) {
			m.op = SUP_EXITED;
			m.status = 127;
			tells = true;
		}
		/* it may be asked for again as soon as the broker knows */
		slot_kill(t);
		waitpid(t->pid, NULL, 0);
		slot_remove(s, t);
	}
	if (tells)
		tell(s, &m);
	return got == 0;
}

static void
slots_orphan_tasks(struct supervisor *s)
{
	for (struct slot *t = s->slots; t; t = t->next) {
		if (t->kind != SUP_TASK)
			continue;
		t->orphan = true;
		slot_kill(t);
	}
}

/* One file of an earlier supervisor: true when its process lives and is now ours to watch. */
static bool
slot_adopt(struct supervisor *s, const char *name)
{
	char boot_id[40], end;
	CLEAN_FREE char *text = files_read(s->dirs.slots, name, 256, NULL);
	struct slot *t = xcalloc(1, sizeof(*t));
	unsigned long long start, tag;
	unsigned int uid, kind;
	int pid;

	t->pidfd = t->started = -1;
	if (!text || sscanf(text, "%d %llu %39s %u %u %llu%c", &pid, &start, boot_id, &uid, &kind, &tag, &end) != 7 ||
	    end != '\n' || pid <= 1 || start == 0 || strcmp(boot_id, s->boot_id) != 0)
		goto no;
	t->kind = kind == SUP_ORDER ? SUP_ORDER : SUP_TASK;
	t->adopted = true;
	t->tag = tag;
	t->pid = pid;
	t->uid = uid;
	if (t->kind == SUP_ORDER) {
		if (!ids_is_order(name))
			goto no;
		memcpy(t->id, name, ID_ORDER_LEN + 1);
	}
	/* the pidfd first: the process that it holds is the one whose start time is then compared */
	t->pidfd = pidfd_open_(t->pid);
	if (t->pidfd < 0 || spawn_starttime(t->pid) != start)
		goto no;
	if (slot_add(s, t) < 0) {
		log_error("worker_adopt_failed", LS("slot", name), LS("error", strerror(errno)));
		goto no;
	}
	/* a task's answer went to a broker that is gone */
	if (t->kind == SUP_TASK) {
		t->orphan = true;
		slot_kill(t);
	}
	log_info("worker_adopted", LS("slot", name), LI("pid", t->pid));
	return true;
no:
	if (t->pidfd >= 0)
		close(t->pidfd);
	free(t);
	return false;
}

static void
slots_adopt(struct supervisor *s)
{
	int copy = openat(s->dirs.slots, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *e;

	if (!dir) {
		if (copy >= 0)
			close(copy);
		log_error("slots_unreadable", LS("error", strerror(errno)));
		return;
	}
	while ((e = readdir(dir)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (!slot_adopt(s, e->d_name) && unlinkat(s->dirs.slots, e->d_name, 0) < 0)
			log_error("slot_unlink_failed", LS("slot", e->d_name), LS("error", strerror(errno)));
	}
	closedir(dir);
}

/* ---- SPAWN */

static bool
is_cache_name(const char *s)
{
	return strlen(s) == 64 && strspn(s, "0123456789abcdef") == 64;
}

static bool
is_verb(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && s[0] != '-' && strspn(s, "abcdefghijklmnopqrstuvwxyz-") == n;
}

struct record_arg {
	struct supervisor *s;
	struct slot *t;
};

static int
record_slot(void *arg, pid_t pid)
{
	struct record_arg *a = arg;

	a->t->pid = pid;
	return slot_write(a->s, a->t);
}

static int
refuse(struct sup_msg *answer, int err, const char *what)
{
	answer->err = err;
	snprintf(answer->what, sizeof(answer->what), "%s", what);
	return -1;
}

/* Everything about a SPAWN that can be judged without looking at the disk. */
static int
spawn_check(const struct supervisor *s, const struct sup_msg *m, int nfds, struct sup_msg *answer)
{
	const uint32_t both = SUP_CACHE_RW | SUP_CACHE_RO;

	if (m->kind != SUP_ORDER && m->kind != SUP_TASK)
		return refuse(answer, EINVAL, "kind");
	if (nfds != (m->kind == SUP_ORDER ? 3 : 2))
		return refuse(answer, EINVAL, "number of descriptors");
	if (m->cache[0] && !is_cache_name(m->cache))
		return refuse(answer, EINVAL, "cache: not 64 hexadecimal digits");
	if ((m->id[0] || m->kind == SUP_ORDER) && !ids_is_order(m->id))
		return refuse(answer, EINVAL, "id: not an order's");
	if (m->owner_uid == UINT32_MAX)
		return refuse(answer, EINVAL, "owner_uid");
	if (s->stopping)
		return refuse(answer, ECANCELED, "awod is stopping");
	if (s->nslots >= SLOTS_MAX)
		return refuse(answer, EAGAIN, "too many processes");
	if (slot_find(s, m->kind, m->id, m->tag))
		return refuse(answer, EBUSY, "it runs already");
	for (const struct removal *r = s->removals; r; r = r->next)
		if ((r->asked.kind == SUP_ORDER && m->id[0] && strcmp(r->asked.id, m->id) == 0) ||
		    (r->asked.kind == SUP_TASK && m->cache[0] && r->asked.owner_uid == m->owner_uid &&
			strcmp(r->asked.cache, m->cache) == 0))
			return refuse(answer, EBUSY, "it is being removed");
	if (m->kind == SUP_ORDER)
		return 0;
	if (m->program != SUP_GIT && m->program != SUP_FORGE && m->program != SUP_AGENT_VERSION)
		return refuse(answer, EINVAL, "program");
	if (!is_verb(m->verb) || (m->program == SUP_AGENT_VERSION && strcmp(m->verb, "version") != 0))
		return refuse(answer, EINVAL, "verb");
	/* somebody else's program: it has nothing of any owner, and no network */
	if (m->program == SUP_AGENT_VERSION && (m->flags || m->id[0] || m->cache[0]))
		return refuse(answer, EINVAL, "flags");
	if ((m->flags & ~TASK_FLAGS) || (m->flags & both) == both || ((m->flags & both) && !m->cache[0]) ||
	    ((m->flags & SUP_CLEAN_RO) && !m->id[0]) || ((m->flags & SUP_CACHE_RW) && (m->flags & SUP_CLEAN_RO)))
		return refuse(answer, EINVAL, "flags");
	return 0;
}

/* The process's ids and the directories that it gets; "-" where it gets none. */
static int
spawn_ids(struct supervisor *s, const struct sup_msg *m, struct slot *t, gid_t *group, struct sup_msg *answer)
{
	bool uses_cache = m->kind == SUP_ORDER ? m->cache[0] != '\0' : (m->flags & (SUP_CACHE_RW | SUP_CACHE_RO)) != 0;
	bool is_order = m->kind == SUP_ORDER || (m->flags & SUP_CLEAN_RO);
	uid_t cache_uid = (uid_t)-1;
	int e;

	*group = (gid_t)-1;
	if (uses_cache || !is_order) {
		e = dirs_cache(&s->dirs, m->owner_uid, uses_cache ? m->cache : NULL, (m->flags & SUP_CACHE_RW) != 0, &cache_uid,
		    answer->what);
		if (e)
			return answer->err = e, -1;
		t->uid = cache_uid;
	}
	if (is_order) {
		e = m->kind == SUP_ORDER ? dirs_order(&s->dirs, m->id, &t->uid, answer->what)
					 : dirs_order_uid(&s->dirs, m->id, &t->uid, answer->what);
		if (e)
			return answer->err = e, -1;
		*group = cache_uid;	/* may be -1: none */
	}
	return 0;
}

static void
mounts_text(uint32_t flags, char *out, size_t len)
{
	static const struct {
		uint32_t flag;
		const char *name;
	} rows[] = {
		{SUP_CACHE_RW, "cache-rw"},
		{SUP_CACHE_RO, "cache-ro"},
		{SUP_CLEAN_RO, "clean-ro"},
		{SUP_NET, "net"},
		{SUP_LOCAL_RO, "local-ro"},
	};
	size_t n = 0;

	snprintf(out, len, "none");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (flags & rows[i].flag)
			n += (size_t)snprintf(out + n, len - n, "%s%s", n ? "," : "", rows[i].name);
}

static int
spawn_run(struct supervisor *s, const struct sup_msg *m, const int *fds, int nfds, struct slot *t, struct sup_msg *answer)
{
	static const char *const programs[] = {[SUP_GIT] = "git", [SUP_FORGE] = "forge", [SUP_AGENT_VERSION] = "agent"};
	const struct options *o = s->o;
	bool order = m->kind == SUP_ORDER, uses_order = order || (m->flags & SUP_CLEAN_RO);
	bool uses_cache = order ? m->cache[0] != '\0' : (m->flags & (SUP_CACHE_RW | SUP_CACHE_RO)) != 0;
	CLEAN_FREE char *path = xasprintf("%s/awo-worker", o->libexec_dir);
	CLEAN_FREE char *order_dir = uses_order ? xasprintf("%s/%s", o->work_order_dir, m->id) : xstrdup("-");
	CLEAN_FREE char *cache_dir =
	    uses_cache ? xasprintf("%s/%u/%s.git", o->repository_dir, m->owner_uid, m->cache) : xstrdup("-");
	char mode[] = "order", task_mode[] = "task", program[8], verb[sizeof(m->verb)], mounts[64], id[sizeof(m->id)];
	char *argv[24];
	struct record_arg ra = {s, t};
	struct spawn_request r = {.path = path, .argv = argv, .limits = m->limits, .null_fd = s->null_fd, .nfds = nfds,
		.set_groups = !o->user_mode};
	struct spawn_result result;
	size_t n = 0;
	char name[] = "awo-worker", opt_mode[] = "--mode", opt_id[] = "--id", opt_order[] = "--order-dir",
	     opt_cache[] = "--cache-dir", opt_libexec[] = "--libexec-dir", opt_commands[] = "--commands-dir",
	     opt_config[] = "--config-dir", opt_program[] = "--program", opt_verb[] = "--verb", opt_mounts[] = "--mounts";

	if (spawn_ids(s, m, t, &r.group, answer) < 0)
		return -1;
	r.uid = t->uid;
	r.gid = o->user_mode ? getegid() : t->uid;
	for (int i = 0; i < nfds; i++)
		r.fds[i] = fds[i];
	snprintf(id, sizeof(id), "%s", m->id[0] ? m->id : "-");
	argv[n++] = name;
	argv[n++] = opt_mode;
	argv[n++] = order ? mode : task_mode;
	argv[n++] = opt_id;
	argv[n++] = id;
	argv[n++] = opt_order;
	argv[n++] = order_dir;
	argv[n++] = opt_cache;
	argv[n++] = cache_dir;
	argv[n++] = opt_libexec;
	argv[n++] = o->libexec_dir;
	argv[n++] = opt_commands;
	argv[n++] = o->commands_dir;
	argv[n++] = opt_config;
	argv[n++] = o->config_dir;
	if (!order) {
		snprintf(program, sizeof(program), "%s", programs[m->program]);
		snprintf(verb, sizeof(verb), "%s", m->verb);
		mounts_text(m->flags, mounts, sizeof(mounts));
		argv[n++] = opt_program;
		argv[n++] = program;
		argv[n++] = opt_verb;
		argv[n++] = verb;
		argv[n++] = opt_mounts;
		argv[n++] = mounts;
	}
	argv[n] = NULL;
	t->oom_kills = oom_kills();
	if (spawn_start(&r, record_slot, &ra, &result) < 0) {
		slot_unlink(s, t);
		answer->err = result.err;
		memcpy(answer->what, result.what, sizeof(answer->what));
		return -1;
	}
	t->pidfd = result.pidfd;
	t->started = result.started;
	t->due_us = clock_mono_us() + SPAWN_START_US;
	if (slot_add(s, t) < 0) {
		answer->err = errno;
		snprintf(answer->what, sizeof(answer->what), "epoll");
		slot_kill(t);
		waitpid(t->pid, NULL, 0);
		close(t->pidfd);
		close(t->started);
		slot_unlink(s, t);
		return -1;
	}
	return 0;
}

static void
on_spawn(struct supervisor *s, const struct sup_msg *m, const int *fds, int nfds, bool lost)
{
	struct sup_msg answer = {.op = SUP_SPAWNED, .kind = m->kind, .tag = m->tag};
	struct slot *t;

	memcpy(answer.id, m->id, sizeof(answer.id));
	/* an answer all the same: the order would wait for it for ever */
	if (lost)
		(void)refuse(&answer, nfds < SUP_FDS_MAX ? EMFILE : EINVAL, "receive its descriptors");
	else if (spawn_check(s, m, nfds, &answer) == 0) {
		t = xcalloc(1, sizeof(*t));
		t->kind = m->kind == SUP_ORDER ? SUP_ORDER : SUP_TASK;
		t->tag = m->tag;
		t->owner = m->owner_uid;
		memcpy(t->id, m->id, sizeof(t->id));
		memcpy(t->cache, m->cache, sizeof(t->cache));
		/* what becomes of it is told later: meanwhile the next one is started */
		if (spawn_run(s, m, fds, nfds, t, &answer) == 0)
			return;
		free(t);
	}
	log_warning("worker_spawn_failed", LS("id", m->id), LS("step", answer.what), LS("error", strerror(answer.err)));
	tell(s, &answer);
}

/* ---- REMOVE */

struct removed {
	int32_t err;
	uint64_t bytes;
};

/* In a process of its own, since a tree can be large: nothing but the two descriptors is left to it. */
_Noreturn static void
removal_child(int dirfd, int result, const char *name)
{
	struct removed r = {0};
	int top = 3, out = 4;

	dirfd = fcntl(dirfd, F_DUPFD_CLOEXEC, 5);
	result = fcntl(result, F_DUPFD_CLOEXEC, 5);
	if (dirfd < 0 || result < 0 || dup2(dirfd, top) < 0 || dup2(result, out) < 0 || close_range(5, ~0U, 0) < 0)
		_exit(126);
	signal(SIGPIPE, SIG_IGN);
	if (files_remove_tree(top, name, &r.bytes) < 0 && errno != ENOENT)
		r.err = errno;
	_exit(write(out, &r, sizeof(r)) == (ssize_t)sizeof(r) ? 0 : 1);
}

static void
removal_free(struct supervisor *s, struct removal *r)
{
	struct removal **p;

	for (p = &s->removals; *p != r; p = &(*p)->next)
		;
	*p = r->next;
	s->nremovals--;
	if (r->pid)
		s->removing--;
	if (r->pidfd >= 0)
		unwatch_close(s, r->pidfd);
	if (r->result >= 0)
		close(r->result);
	free(r);
}

static void
removal_done(struct supervisor *s, struct removal *r, int err, uint64_t bytes)
{
	struct sup_msg m = {.op = SUP_REMOVED, .kind = r->asked.kind, .tag = r->asked.tag, .owner_uid = r->asked.owner_uid,
		.err = err, .bytes = bytes};

	memcpy(m.id, r->asked.id, sizeof(m.id));
	memcpy(m.cache, r->asked.cache, sizeof(m.cache));
	removal_free(s, r);
	tell(s, &m);
}

static int
removal_fork(struct supervisor *s, struct removal *r)
{
	CLEAN_FD int owner_fd = -1;
	char name[80];
	int p[2], dirfd = s->dirs.orders;

	if (r->asked.kind == SUP_ORDER) {
		snprintf(name, sizeof(name), "%s", r->asked.id);
	} else {
		snprintf(name, sizeof(name), "%u", r->asked.owner_uid);
		owner_fd = openat(s->dirs.repositories, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (owner_fd < 0)
			return errno;
		dirfd = owner_fd;
		snprintf(name, sizeof(name), "%s.git", r->asked.cache);
	}
	if (pipe2(p, O_CLOEXEC) < 0)
		return errno;
	r->pid = fork();
	if (r->pid == 0)
		removal_child(dirfd, p[1], name);
	close(p[1]);
	r->result = p[0];
	if (r->pid < 0) {
		r->pid = 0;
		return errno;
	}
	s->removing++;
	r->pidfd = pidfd_open_(r->pid);
	if (r->pidfd < 0 || watch(s, r->pidfd, EPOLLIN, &r->source) < 0) {
		int e = errno;

		kill(r->pid, SIGKILL);
		waitpid(r->pid, NULL, 0);
		return e;
	}
	return 0;
}

static void
removals_start(struct supervisor *s)
{
	for (struct removal *r = s->removals, *next; r && s->removing < REMOVALS_AT_ONCE; r = next) {
		int e;

		next = r->next;
		if (r->pid)
			continue;
		e = removal_fork(s, r);
		if (e)
			removal_done(s, r, e == ENOENT ? 0 : e, 0);
	}
}

static void
removal_ended(struct supervisor *s, struct removal *r)
{
	struct removed got = {.err = EIO};
	uid_t uid = (uid_t)-1;

	if (waitpid(r->pid, NULL, WNOHANG) != r->pid)
		return;
	if (read(r->result, &got, sizeof(got)) != (ssize_t)sizeof(got))
		got = (struct removed){.err = EIO};
	if (got.err == 0 && r->asked.kind == SUP_ORDER) {
		uid = r->asked.flags;
		dirs_forget_order(&s->dirs, uid);
	}
	removal_done(s, r, got.err, got.bytes);
	removals_start(s);
}

static void
on_remove(struct supervisor *s, const struct sup_msg *m)
{
	struct sup_msg answer = {.op = SUP_REMOVED, .kind = m->kind, .tag = m->tag, .owner_uid = m->owner_uid};
	struct removal *r, **tail;
	char what[96];
	uid_t uid = (uid_t)-1;

	memcpy(answer.id, m->id, sizeof(answer.id));
	memcpy(answer.cache, m->cache, sizeof(answer.cache));
	if (m->kind == SUP_ORDER ? !ids_is_order(m->id) : m->kind != SUP_TASK || !is_cache_name(m->cache))
		answer.err = EINVAL;
	else if (s->nremovals >= REMOVALS_MAX)
		answer.err = EAGAIN;
	for (const struct slot *t = s->slots; t && !answer.err; t = t->next)
		if (m->kind == SUP_ORDER ? strcmp(t->id, m->id) == 0
					 : t->owner == m->owner_uid && strcmp(t->cache, m->cache) == 0)
			answer.err = EBUSY;
	for (tail = &s->removals; *tail && !answer.err; tail = &(*tail)->next)
		if ((*tail)->asked.kind == m->kind && (*tail)->asked.owner_uid == m->owner_uid &&
		    strcmp((*tail)->asked.id, m->id) == 0 && strcmp((*tail)->asked.cache, m->cache) == 0)
			answer.err = EALREADY;
	if (answer.err) {
		tell(s, &answer);
		return;
	}
	r = xcalloc(1, sizeof(*r));
	r->source = SRC_REMOVAL;
	r->asked = *m;
	r->pidfd = r->result = -1;
	/* the uid becomes free when the directories are gone, and then nothing tells it any more */
	if (m->kind == SUP_ORDER && dirs_order_uid(&s->dirs, m->id, &uid, what) != 0)
		uid = (uid_t)-1;
	r->asked.flags = uid;
	*tail = r;
	s->nremovals++;
	removals_start(s);
}

/* ---- messages from the broker */

static bool
has_end(const char *s, size_t len)
{
	return memchr(s, '\0', len) != NULL;
}

static void
on_message(struct supervisor *s, const struct sup_msg *m, const int *fds, int nfds, bool lost)
{
	struct slot *t;

	switch (m->op) {
	case SUP_SPAWN:
		on_spawn(s, m, fds, nfds, lost);
		break;
	case SUP_KILL:
		if (m->kind != SUP_ORDER && m->kind != SUP_TASK)
			break;
		t = slot_find(s, m->kind == SUP_ORDER ? SUP_ORDER : SUP_TASK, m->id, m->tag);
		if (t)
			slot_kill(t);
		break;
	case SUP_REMOVE:
		on_remove(s, m);
		break;
	default:
		log_error("broker_message_refused", LS("reason", "unknown op"), LI("op", m->op));
	}
}

/* One packet; false when there is none, or the socket has ended. */
static bool
link_read(struct supervisor *s)
{
	union {
		char buf[CMSG_SPACE(sizeof(int) * SUP_FDS_MAX)];
		struct cmsghdr align;
	} u;
	struct sup_msg m;
	struct iovec iov = {.iov_base = &m, .iov_len = sizeof(m)};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = u.buf, .msg_controllen = sizeof(u.buf)};
	int fds[SUP_FDS_MAX], nfds = 0;
	ssize_t n = recvmsg(s->link, &h, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n <= 0)
		return n < 0 && errno == EINTR;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c; c = CMSG_NXTHDR(&h, c)) {
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < count && nfds < SUP_FDS_MAX; i++)
			memcpy(&fds[nfds++], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
	}
	if (n != (ssize_t)sizeof(m) || (h.msg_flags & MSG_TRUNC) || m.version != SUP_VERSION || !has_end(m.id, sizeof(m.id)) ||
	    !has_end(m.cache, sizeof(m.cache)) || !has_end(m.verb, sizeof(m.verb)))
		log_error("broker_message_refused", LS("reason", "malformed"), LI("bytes", n));
	else
		/* truncated: there was no number left for a descriptor, or there are more than there may be */
		on_message(s, &m, fds, nfds, (h.msg_flags & MSG_CTRUNC) != 0);
	for (int i = 0; i < nfds; i++)
		close(fds[i]);
	return true;
}

static void
on_link(struct supervisor *s, uint32_t events)
{
	if (events & EPOLLOUT)
		link_flush(s);
	/* a bounded batch, so that a broker that talks without end does not keep us from everything else */
	for (int i = 0; i < 64; i++)
		if (!link_read(s))
			break;
	if ((events & (EPOLLHUP | EPOLLERR)) && s->link >= 0) {
		char c;

		/* everything that it had to say has been heard: its end is seen by pidfd */
		if (recv(s->link, &c, 1, MSG_PEEK | MSG_DONTWAIT) <= 0 && errno != EAGAIN)
			link_close(s);
	}
}

/* ---- the broker */

static void
number_env(const char *name, long value)
{
	char text[24];

	snprintf(text, sizeof(text), "%ld", value);
	if (setenv(name, text, 1) < 0)
		_exit(126);
}

_Noreturn static void
broker_failed(const char *what)
{
	log_error("broker_start_failed", LS("step", what), LS("error", strerror(errno)));
	_exit(126);
}

/* In the new process: the broker's uid, no capability, its own signal state, the descriptors that it is to have. */
_Noreturn static void
broker_child(const struct supervisor *s, int fd, pid_t parent)
{
	const struct options *o = s->o;
	int target = 3 + s->listen_fds, copy;
	char **argv;
	sigset_t none;

	/* the socket right behind those of the service manager, which are where they must be */
	copy = fcntl(fd, F_DUPFD_CLOEXEC, target + 1);
	if (copy < 0 || dup2(copy, target) < 0 || close_range((unsigned int)target + 1, ~0U, 0) < 0)
		broker_failed("descriptors");
	argv = options_broker_argv(o, target);
	if (s->listen_fds > 0) {
		number_env("LISTEN_PID", (long)getpid());
	} else {
		unsetenv("LISTEN_PID");
		unsetenv("LISTEN_FDS");
	}
	if (getenv("WATCHDOG_PID"))
		number_env("WATCHDOG_PID", (long)getpid());
	/* whoever started awod may have had some ignored */
	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigemptyset(&none);
	if (sigprocmask(SIG_SETMASK, &none, NULL) < 0)
		broker_failed("signal mask");
	if (!o->user_mode) {
		for (int cap = 0; cap < 64; cap++)
			if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno != EINVAL)
				broker_failed("bounding set");
		if (setgroups(o->nbroker_groups, o->broker_groups) < 0 ||
		    setresgid(o->broker_gid, o->broker_gid, o->broker_gid) < 0 ||
		    setresuid(o->broker_uid, o->broker_uid, o->broker_uid) < 0)
			broker_failed("ids");
		/* with all of that it must be impossible to come back */
		if (setresuid((uid_t)-1, 0, (uid_t)-1) == 0 || getuid() != o->broker_uid || geteuid() != o->broker_uid)
			broker_failed("ids are still root's");
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		broker_failed("no_new_privs");
	/*
	 * After the change of ids, which would clear it. No milder signal: a broker that hangs (that is why the service manager's
	 * watchdog has ended us) would outlive it, and one that finishes at leisure would share the database with the next.
	 */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		broker_failed("parent death signal");
	if (getppid() != parent)
		_exit(0);
	execv("/proc/self/exe", argv);
	broker_failed("exec of /proc/self/exe");
}

static int
broker_start(struct supervisor *s)
{
	struct sup_msg ready = {.op = SUP_READY};
	pid_t self = getpid();
	int sp[2];

	s->restart_us = 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sp) < 0)
		return -1;
	s->broker = fork();
	if (s->broker == 0) {
		close(sp[0]);
		broker_child(s, sp[1], self);
	}
	close(sp[1]);
	if (s->broker < 0) {
		s->broker = 0;
		close(sp[0]);
		return -1;
	}
	s->link = sp[0];
	s->started_us = clock_mono_us();
	s->broker_pidfd = pidfd_open_(s->broker);
	if (s->broker_pidfd < 0 || watch(s, s->broker_pidfd, EPOLLIN, &s->src_broker) < 0 ||
	    watch(s, s->link, EPOLLIN, &s->src_link) < 0) {
		kill(s->broker, SIGKILL);
		waitpid(s->broker, NULL, 0);
		if (s->broker_pidfd >= 0)
			close(s->broker_pidfd);
		s->broker = 0;
		link_close(s);
		return -1;
	}
	log_info("broker_started", LI("pid", s->broker));
	for (struct slot *t = s->slots; t; t = t->next) {
		struct sup_msg m = {.op = SUP_ADOPTED, .kind = SUP_ORDER, .pid = t->pid};

		if (t->kind != SUP_ORDER)
			continue;
		t->announced = true;
		memcpy(m.id, t->id, sizeof(m.id));
		tell(s, &m);
	}
	ready.restarts = s->starts++;
	if (ready.restarts > 0)
		ready.restarted_us = clock_wall_us();
	tell(s, &ready);
	return 0;
}

static void
broker_schedule(struct supervisor *s, int64_t longest_us)
{
	int64_t wait = s->backoff_us < longest_us ? s->backoff_us : longest_us;

	s->restart_us = clock_mono_us() + wait;
	log_info("broker_restart_scheduled", LI("milliseconds", wait / 1000));
	s->backoff_us = wait * 2 < BACKOFF_MAX_US ? wait * 2 : BACKOFF_MAX_US;
}

static void
broker_ended(struct supervisor *s)
{
	int64_t lived = clock_mono_us() - s->started_us;
	int status, code;

	if (waitpid(s->broker, &status, WNOHANG) != s->broker)
		return;
	/* what it asked for before it died is still done */
	while (s->link >= 0 && link_read(s))
		;
	code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	unwatch_close(s, s->broker_pidfd);
	s->broker = 0;
	s->broker_pidfd = -1;
	link_close(s);
	slots_orphan_tasks(s);
	if (s->stopping) {
		s->quit = true;
		return;
	}
	if (WIFEXITED(status) && code == 0) {
		log_info("broker_ended", LI("status", 0));
		s->quit = true;
		return;
	}
	if (WIFSIGNALED(status))
		log_error("broker_killed", LI("signal", WTERMSIG(status)), LI("lived_ms", lived / 1000));
	else
		log_error("broker_failed", LI("status", code), LI("lived_ms", lived / 1000));
	/* A start that fails (a wrong configuration, a socket in use) is told to whoever started us, not tried for ever. */
	if (WIFEXITED(status) && !s->broker_lived && lived < SHORT_LIFE_US) {
		s->status = code;
		s->quit = true;
		return;
	}
	s->broker_lived = true;
	if (lived >= STEADY_US)
		s->backoff_us = BACKOFF_MIN_US;
	broker_schedule(s, WIFSIGNALED(status) ? BACKOFF_KILLED_US : BACKOFF_MAX_US);
}

/* ---- signals, and the loop */

static void
stop(struct supervisor *s)
{
	if (s->stopping) {
		/* asked twice: no more patience */
		broker_kill(s, SIGKILL);
		return;
	}
	s->stopping = true;
	s->restart_us = 0;
	s->stop_us = clock_mono_us() + STOP_US;
	log_info("stopping", LI("workers", s->nslots));
	if (!s->broker)
		s->quit = true;
	else
		tell_op(s, SUP_STOP);
}

static void
on_signals(struct supervisor *s)
{
	struct signalfd_siginfo si;

	while (read(s->signals, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
		switch (si.ssi_signo) {
		case SIGHUP:
			broker_kill(s, SIGHUP);
			break;
		case SIGTERM:
		case SIGINT:
			stop(s);
			break;
		default:
			/* SIGCHLD: what ends is seen by pidfd */
			break;
		}
	}
}

/* Milliseconds until the next thing that is due by time, or -1. */
static int
next_timeout(struct supervisor *s)
{
	int64_t now = clock_mono_us(), due = 0, at[4] = {s->restart_us, s->stopping ? s->stop_us : 0, 0, 0};

	if (s->broker && !s->broker_lived)
		at[2] = s->started_us + SHORT_LIFE_US;
	for (const struct slot *t = s->nstarting > 0 ? s->slots : NULL; t; t = t->next)
		if (t->started >= 0 && (at[3] == 0 || t->due_us < at[3]))
			at[3] = t->due_us;
	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++)
		if (at[i] > 0 && (due == 0 || at[i] < due))
			due = at[i];
	if (due == 0)
		return -1;
	return due <= now ? 0 : (int)((due - now) / 1000 + 1);
}

static void
on_time(struct supervisor *s)
{
	int64_t now = clock_mono_us();

	if (s->restart_us && now >= s->restart_us && broker_start(s) < 0) {
		log_error("broker_start_failed", LS("error", strerror(errno)));
		broker_schedule(s, BACKOFF_MAX_US);
	}
	if (s->broker && !s->broker_lived && now >= s->started_us + SHORT_LIFE_US) {
		s->broker_lived = true;
		s->backoff_us = BACKOFF_MIN_US;
	}
	if (s->stopping && now >= s->stop_us) {
		log_error("broker_stop_timed_out", LI("seconds", STOP_US / 1000000));
		broker_kill(s, SIGKILL);
		s->stop_us = now + STOP_US;
	}
	for (struct slot *t = s->nstarting > 0 ? s->slots : NULL, *next; t; t = next) {
		next = t->next;
		if (t->started >= 0 && now >= t->due_us)
			(void)slot_started(s, t, true);
	}
}

static void
loop(struct supervisor *s)
{
	while (!s->quit) {
		struct epoll_event ev;
		enum source *source;
		int n;

		/* what is late goes before the next event is asked for, which could be its own */
		on_time(s);
		/* one event at a time: handling it may free what another one of the same batch points to */
		n = epoll_wait(s->epoll, &ev, 1, next_timeout(s));
		if (n < 0 && errno != EINTR) {
			log_error("epoll_failed", LS("error", strerror(errno)));
			s->status = 1;
			return;
		}
		if (n <= 0)
			continue;
		source = ev.data.ptr;
		switch (*source) {
		case SRC_SIGNALS:
			on_signals(s);
			break;
		case SRC_LINK:
			on_link(s, ev.events);
			break;
		case SRC_BROKER:
			broker_ended(s);
			break;
		case SRC_SLOT:
			slot_ended(s, (struct slot *)(void *)((char *)source - offsetof(struct slot, source)));
			break;
		case SRC_START:
			(void)slot_started(s, (struct slot *)(void *)((char *)source - offsetof(struct slot, start_source)), false);
			break;
		case SRC_REMOVAL:
			removal_ended(s, (struct removal *)(void *)((char *)source - offsetof(struct removal, source)));
			break;
		}
	}
}

/* Sockets that the service manager opened for us: 3 and on, to be handed to each broker. */
static int
count_listen_fds(void)
{
	const char *pid = getenv("LISTEN_PID"), *n = getenv("LISTEN_FDS");
	long count;

	if (!pid || !n || strtol(pid, NULL, 10) != (long)getpid())
		return 0;
	count = strtol(n, NULL, 10);
	return count > 0 && count < 64 ? (int)count : 0;
}

static int
set_up(struct supervisor *s, struct awo_err *err)
{
	struct rlimit files;
	sigset_t set;

	umask(022);
	if (chdir("/") < 0)
		return ERR(err, INTERNAL, "", "chdir /: %s", strerror(errno));
	s->listen_fds = count_listen_fds();
	/* inherited descriptors that nobody knows of would reach the workers' set-up, if never the workers */
	if (close_range((unsigned int)(3 + s->listen_fds), ~0U, 0) < 0)
		return ERR(err, INTERNAL, "", "close_range: %s; awod needs Linux 5.10", strerror(errno));
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
		files.rlim_cur = files.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &files) < 0)
			return ERR(err, INTERNAL, "", "setrlimit: %s", strerror(errno));
	}
	read_boot_id(s);
	s->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (s->null_fd < 0)
		return ERR(err, INTERNAL, "", "/dev/null: %s", strerror(errno));
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	/* an ignored SIGCHLD, inherited, would let the kernel reap our children before we have their status */
	signal(SIGCHLD, SIG_DFL);
	if (s->epoll < 0 || sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return ERR(err, INTERNAL, "", "event loop: %s", strerror(errno));
	s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signals < 0 || watch(s, s->signals, EPOLLIN, &s->src_signals) < 0)
		return ERR(err, INTERNAL, "", "event loop: %s", strerror(errno));
	return dirs_open(&s->dirs, s->o, err);
}

static void
tear_down(struct supervisor *s)
{
	while (s->slots) {
		struct slot *t = s->slots;

		s->slots = t->next;
		/* orders live on and keep their slot's file */
		if (t->kind == SUP_TASK) {
			slot_kill(t);
			if (!t->adopted)
				waitpid(t->pid, NULL, 0);
			slot_unlink(s, t);
		}
		if (t->started >= 0)
			close(t->started);
		close(t->pidfd);
		free(t);
	}
	while (s->removals)
		removal_free(s, s->removals);	/* a removal that runs goes on by itself */
	link_close(s);
	dirs_close(&s->dirs);
	if (s->signals >= 0)
		close(s->signals);
	if (s->epoll >= 0)
		close(s->epoll);
	if (s->null_fd >= 0)
		close(s->null_fd);
}

int
supervisor_main(const struct options *o)
{
	struct supervisor s = {.o = o, .epoll = -1, .signals = -1, .null_fd = -1, .src_signals = SRC_SIGNALS, .src_link = SRC_LINK,
		.src_broker = SRC_BROKER, .broker_pidfd = -1, .link = -1, .backoff_us = BACKOFF_MIN_US,
		.dirs = {.orders = -1, .repositories = -1, .run = -1, .slots = -1}};
	struct awo_err err = {0};

	s.out_tail = &s.out;
	if (set_up(&s, &err) < 0) {
		log_error("start_failed", LS("error", err.msg));
		tear_down(&s);
		return awo_code_exit(err.code);
	}
	slots_adopt(&s);
	if (broker_start(&s) < 0) {
		log_error("broker_start_failed", LS("error", strerror(errno)));
		s.status = 1;
	} else {
		loop(&s);
	}
	tear_down(&s);
	return s.status;
}
