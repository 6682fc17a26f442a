/* The supervisor's directories: made with their owners and modes, locked, and asked which uids are taken. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "awod/supervisor.h"
#include "common/buf.h"
#include "common/clean.h"
#include "common/ids.h"

#define WHAT 96

static int
what_failed(char *what, const char *text, int err)
{
	snprintf(what, WHAT, "%s", text);
	return err ? err : EIO;
}

/* ---- directories */

static bool
is_empty(int fd)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *e;
	bool empty = true;

	if (!d) {
		if (copy >= 0)
			close(copy);
		return false;
	}
	while (empty && (e = readdir(d)) != NULL)
		empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
	closedir(d);
	return empty;
}

static int
make_parents(const char *path, mode_t mode)
{
	CLEAN_FREE char *copy = xstrdup(path);

	for (char *p = strchr(copy + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		if (mkdir(copy, mode) < 0 && errno != EEXIST)
			return -1;
		*p = '/';
	}
	return 0;
}

/*
 * Opens a directory, having made it when it was missing. One that is there must have the owner and mode that it needs, or be
 * empty (then it gets them): a directory given by mistake, /var/lib say, is not to change hands.
 */
static int
open_dir(const struct dirs *d, int at, const char *path, mode_t mode, uid_t uid, gid_t gid, struct awo_err *err)
{
	CLEAN_FD int fd = -1;
	struct stat st;
	bool made;

	if (d->user_mode) {
		mode = 0700;
		uid = geteuid();
		gid = getegid();
	}
	if (at == AT_FDCWD && make_parents(path, d->user_mode ? 0700 : 0755) < 0)
		return ERR(err, INTERNAL, "", "cannot make the directories above %s: %s", path, strerror(errno));
	made = mkdirat(at, path, 0700) == 0;
	if (!made && errno != EEXIST)
		return ERR(err, INTERNAL, "", "cannot make the directory %s: %s", path, strerror(errno));
	fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (at == AT_FDCWD ? 0 : O_NOFOLLOW));
	if (fd < 0 || fstat(fd, &st) < 0)
		return ERR(err, INTERNAL, "", "cannot open the directory %s: %s", path, strerror(errno));
	if (d->user_mode && st.st_uid != uid)
		return ERR(err, PERMISSION_DENIED, "", "the directory %s belongs to uid %u, not to you; choose another one", path,
		    st.st_uid);
	if (st.st_uid == uid && (d->user_mode || st.st_gid == gid) && (st.st_mode & 07777) == mode)
		return TAKE_FD(fd);
	if (!made && !d->user_mode && !is_empty(fd))
		return ERR(err, FAILED_PRECONDITION, "",
		    "the directory %s is %04o %u:%u and not empty, but must be %04o %u:%u; if it is really awod's, put that right "
		    "with chown and chmod, else choose another one",
		    path, (unsigned int)(st.st_mode & 07777), st.st_uid, st.st_gid, (unsigned int)mode, uid, gid);
	/* chown first: it clears set-id bits */
	if ((!d->user_mode && fchown(fd, uid, gid) < 0) || fchmod(fd, mode) < 0)
		return ERR(err, INTERNAL, "", "cannot set owner and mode of the directory %s: %s", path, strerror(errno));
	return TAKE_FD(fd);
}

/*
 * Two supervisors on one directory would start and remove under each other's feet. A record lock, because it is not
 * inherited by what we fork and tells who has it; it lives as long as this process.
 */
static int
lock_dir(int dirfd, const char *path, struct awo_err *err)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	char text[32];
	struct stat st;
	int fd, n;

	fd = openat(dirfd, "awod.lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	if (fd < 0 || fstat(fd, &st) < 0) {
		ERR(err, INTERNAL, "", "cannot open %s/awod.lock: %s", path, strerror(errno));
		goto fail;
	}
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid()) {
		ERR(err, INTERNAL, "", "%s/awod.lock is not awod's own file; remove it", path);
		goto fail;
	}
	if (fcntl(fd, F_SETLK, &l) < 0) {
		int e = errno;

		l.l_pid = 0;
		l.l_type = F_WRLCK;
		if ((e == EAGAIN || e == EACCES) && fcntl(fd, F_GETLK, &l) == 0 && l.l_pid > 0)
			ERR(err, FAILED_PRECONDITION, "",
			    "another awod (pid %d) works in %s; stop it, or give this one other directories", (int)l.l_pid, path);
		else
			ERR(err, FAILED_PRECONDITION, "", "cannot lock %s/awod.lock: %s", path, strerror(e));
		goto fail;
	}
	n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) != n) {
		ERR(err, INTERNAL, "", "cannot write %s/awod.lock: %s", path, strerror(errno));
		goto fail;
	}
	return 0;	/* the descriptor stays open: closing it would unlock */
fail:
	if (fd >= 0)
		close(fd);
	return -1;
}

/* ---- uids */

static bool
bit_get(const unsigned char *bits, uint32_t i)
{
	return (bits[i / 8] >> (i % 8)) & 1;
}

static void
bit_set(unsigned char *bits, uint32_t i, bool on)
{
	unsigned char mask = (unsigned char)(1U << (i % 8));

	bits[i / 8] = (unsigned char)(on ? bits[i / 8] | mask : bits[i / 8] & ~mask);
}

static bool
is_order_uid(const struct dirs *d, uid_t uid)
{
	return uid >= d->o->uid_base && uid - d->o->uid_base < OPT_UID_CACHES;
}

static bool
is_cache_uid(const struct dirs *d, uid_t uid)
{
	return uid >= d->o->uid_base + OPT_UID_CACHES && uid - d->o->uid_base < 2 * OPT_UID_CACHES;
}

static void
mark(struct dirs *d, uid_t uid)
{
	if (is_order_uid(d, uid))
		bit_set(d->used_orders, uid - d->o->uid_base, true);
	else if (is_cache_uid(d, uid))
		bit_set(d->used_caches, uid - d->o->uid_base - OPT_UID_CACHES, true);
}

/* Marks the owner of every entry of a directory; with deep also of the entries below each. */
static int
scan(struct dirs *d, int dirfd, bool deep)
{
	int copy = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *e;

	if (!dir) {
		if (copy >= 0)
			close(copy);
		return -1;
	}
	for (errno = 0; (e = readdir(dir)) != NULL; errno = 0) {
		struct stat st;

		if (e->d_name[0] == '.' || fstatat(dirfd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		mark(d, st.st_uid);
		if (deep && S_ISDIR(st.st_mode)) {
			CLEAN_FD int sub = openat(dirfd, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

			if (sub < 0 || scan(d, sub, false) < 0)
				break;
		}
	}
	closedir(dir);
	return errno ? -1 : 0;
}

static int
allocate(unsigned char *bits, uint32_t base, uid_t *uid)
{
	for (uint32_t i = 0; i < OPT_UID_CACHES; i++) {
		if (bit_get(bits, i))
			continue;
		bit_set(bits, i, true);
		*uid = base + i;
		return 0;
	}
	return EAGAIN;
}

/* ---- opening */

static gid_t
log_group(const struct options *o)
{
	const struct group *adm = getgrnam("adm");

	return adm ? adm->gr_gid : o->broker_gid;
}

static int
open_tops(struct dirs *d, struct awo_err *err)
{
	const struct options *o = d->o;
	CLEAN_FD int state = -1, logs = -1, workers = -1;

	state = open_dir(d, AT_FDCWD, o->state_dir, 01771, 0, o->broker_gid, err);
	if (state < 0 || lock_dir(state, o->state_dir, err) < 0)
		return -1;
	d->run = open_dir(d, AT_FDCWD, o->run_dir, 01771, 0, o->broker_gid, err);
	if (d->run < 0 || lock_dir(d->run, o->run_dir, err) < 0)
		return -1;
	/* set-gid: the broker's log files get the group that reads logs on this system without the broker being in it */
	logs = open_dir(d, AT_FDCWD, o->log_dir, 02750, o->broker_uid, d->user_mode ? o->broker_gid : log_group(o), err);
	if (logs < 0)
		return -1;
	/* the broker looks for directories that no record knows */
	d->orders = open_dir(d, AT_FDCWD, o->work_order_dir, 0751, 0, o->broker_gid, err);
	if (d->orders < 0)
		return -1;
	d->repositories = open_dir(d, AT_FDCWD, o->repository_dir, 0751, 0, o->broker_gid, err);
	if (d->repositories < 0)
		return -1;
	workers = open_dir(d, d->run, "workers", 0700, o->broker_uid, o->broker_gid, err);
	if (workers < 0)
		return -1;
	d->slots = open_dir(d, d->run, "slots", 0700, 0, 0, err);
	return d->slots < 0 ? -1 : 0;
}

int
dirs_open(struct dirs *d, const struct options *o, struct awo_err *err)
{
	*d = (struct dirs){.o = o, .user_mode = o->user_mode, .orders = -1, .repositories = -1, .run = -1, .slots = -1};
	if (open_tops(d, err) < 0)
		return -1;
	if (d->user_mode)
		return 0;
	d->used_orders = xcalloc(OPT_UID_CACHES / 8, 1);
	d->used_caches = xcalloc(OPT_UID_CACHES / 8, 1);
	if (scan(d, d->orders, true) < 0)
		return ERR(err, INTERNAL, "", "cannot read all of %s: %s", o->work_order_dir, strerror(errno));
	if (scan(d, d->repositories, false) < 0)
		return ERR(err, INTERNAL, "", "cannot read all of %s: %s", o->repository_dir, strerror(errno));
	return 0;
}

void
dirs_close(struct dirs *d)
{
	int *fds[] = {&d->orders, &d->repositories, &d->run, &d->slots};

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
	free(d->used_orders);
	free(d->used_caches);
	d->used_orders = d->used_caches = NULL;
}

/* ---- an order */

static const struct {
	const char *name;
	mode_t mode;
	bool shared;	/* with the broker's group */
} order_dirs[] = {
	{"workspace", 0700, false},
	{"home", 0700, false},
	{"repository.git", 0700, false},
	{"prompts", 02770, true},
	{"outputs", 02770, true},
};

/*
 * Makes one directory that belongs to uid, or checks that it does. Root's own is one that an earlier run could not finish:
 * nobody else could write there.
 */
static int
owned_dir(const struct dirs *d, int at, const char *name, mode_t mode, uid_t uid, gid_t gid, char *what)
{
	CLEAN_FD int fd = -1;
	struct stat st;

	if (mkdirat(at, name, 0700) < 0 && errno != EEXIST)
		return what_failed(what, "making the directory", errno);
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return what_failed(what, "opening the directory", errno);
	if (st.st_uid != uid && st.st_uid != geteuid())
		return what_failed(what, "a directory belongs to somebody else", EPERM);
	if (d->user_mode) {
		if (fchmod(fd, 0700) < 0)
			return what_failed(what, "mode of the directory", errno);
		return 0;
	}
	if (st.st_uid == uid && st.st_gid == gid && (st.st_mode & 07777) == mode)
		return 0;
	if (fchown(fd, uid, gid) < 0 || fchmod(fd, mode) < 0)
		return what_failed(what, "owner and mode of the directory", errno);
	return 0;
}

/* Who owns workspace/; *uid stays (uid_t)-1 when nobody yet. */
static int
workspace_owner(const struct dirs *d, int order, uid_t *uid, char *what)
{
	struct stat st;

	*uid = (uid_t)-1;
	if (d->user_mode) {
		*uid = geteuid();
		return 0;
	}
	if (fstatat(order, "workspace", &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : what_failed(what, "looking at workspace", errno);
	if (st.st_uid == 0)
		return 0;
	if (!S_ISDIR(st.st_mode) || !is_order_uid(d, st.st_uid))
		return what_failed(what, "workspace does not belong to an order's uid (was --uid-base changed?)", EPERM);
	*uid = st.st_uid;
	return 0;
}

int
dirs_order(struct dirs *d, const char *id, uid_t *uid, char *what)
{
	CLEAN_FD int order = -1;
	bool fresh;
	struct stat st;
	int e;

	if (mkdirat(d->orders, id, 0700) < 0 && errno != EEXIST)
		return what_failed(what, "making the order's directory", errno);
	order = openat(d->orders, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (order < 0 || fstat(order, &st) < 0)
		return what_failed(what, "opening the order's directory", errno);
	if (st.st_uid != geteuid())
		return what_failed(what, "the order's directory belongs to somebody else", EPERM);
	if (fchmod(order, d->user_mode ? 0700 : 0711) < 0)
		return what_failed(what, "mode of the order's directory", errno);
	e = workspace_owner(d, order, uid, what);
	if (e)
		return e;
	fresh = *uid == (uid_t)-1;
	if (fresh && allocate(d->used_orders, d->o->uid_base, uid))
		return what_failed(what, "all uids of orders are taken", EAGAIN);
	for (size_t i = 0; i < sizeof(order_dirs) / sizeof(order_dirs[0]); i++) {
		e = owned_dir(d, order, order_dirs[i].name, order_dirs[i].mode, *uid,
		    order_dirs[i].shared ? d->o->broker_gid : *uid, what);
		if (e)
			return e;	/* the uid stays taken: something may belong to it already */
	}
	return 0;
}

int
dirs_order_uid(const struct dirs *d, const char *id, uid_t *uid, char *what)
{
	CLEAN_FD int order = openat(d->orders, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int e;

	if (order < 0)
		return what_failed(what, "opening the order's directory", errno);
	e = workspace_owner(d, order, uid, what);
	if (e)
		return e;
	return *uid == (uid_t)-1 ? what_failed(what, "the order has no workspace", ENOENT) : 0;
}

void
dirs_forget_order(struct dirs *d, uid_t uid)
{
	if (!d->user_mode && is_order_uid(d, uid))
		bit_set(d->used_orders, uid - d->o->uid_base, false);
}

/* ---- a cache */

int
dirs_cache(struct dirs *d, uint32_t owner, const char *cache, bool create, uid_t *uid, char *what)
{
	CLEAN_FD int fd = -1;
	char name[80];
	struct stat st;
	int e;

	snprintf(name, sizeof(name), "%u", owner);
	*uid = geteuid();
	if (!d->user_mode) {
		if (fstatat(d->repositories, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_uid != 0) {
			if (!S_ISDIR(st.st_mode) || !is_cache_uid(d, st.st_uid))
				return what_failed(what, "the cache does not belong to a cache uid (was --uid-base changed?)", EPERM);
			*uid = st.st_uid;
		} else if (allocate(d->used_caches, d->o->uid_base + OPT_UID_CACHES, uid)) {
			return what_failed(what, "all uids of caches are taken", EAGAIN);
		}
	}
	e = owned_dir(d, d->repositories, name, 0751, *uid, d->o->broker_gid, what);
	if (e || !cache)
		return e;
	fd = openat(d->repositories, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return what_failed(what, "opening the directory of caches", errno);
	snprintf(name, sizeof(name), "%s.git", cache);
	if (create)
		return owned_dir(d, fd, name, 0750, *uid, *uid, what);
	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return what_failed(what, "the cache is not there", errno);
	return S_ISDIR(st.st_mode) ? 0 : what_failed(what, "the cache is no directory", ENOTDIR);
}
