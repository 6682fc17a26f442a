/* Builds a root directory from nothing on a tmpfs by mounting descriptors, and gives up the power to do so. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <linux/securebits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "awo-worker/root.h"
#include "common/buf.h"
#include "common/clean.h"
#include "common/files.h"

/* glibc's <sys/mount.h> and <linux/mount.h> cannot be included together: these two are wanted from the former */
extern int umount2(const char *target, int flags);
extern int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data);
#define PRIVATE_RECURSIVE (0x40000UL | 0x4000UL)	/* MS_PRIVATE | MS_REC */
#define DETACH 2					/* MNT_DETACH */

#define RO (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)
#define RW (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)

#define ETC_FILE_MAX ((size_t)256 * 1024)
#define MASK_FILE ".masked"
#define MASK_DIR ".masked-dir"

struct builder {
	const struct root_plan *plan;
	int root;		/* of the new tmpfs */
	dev_t own[3];		/* file systems of ours, where mount points may be made: the root's, /tmp's, /dev/shm's */
	size_t nown;
	int *trees;		/* detached copies of plan->mounts, -1 where optional and missing */
	int usr, etc, dev;
	int *errno_;
	struct awo_err *err;
};

static int
failed(const struct builder *b, const char *piece, const char *path)
{
	int e = errno ? errno : EIO;

	*b->errno_ = e;
	if (e == ENOSPC)
		return ERR(b->err, INTERNAL, "", "%s %s: too many mounts (sysctl fs.mount-max)", piece, path);
	return ERR(b->err, INTERNAL, "", "%s %s: %s", piece, path, strerror(e));
}

/* ---- mounts by descriptor */

/* A detached copy of what is at a path, with all that is mounted below it, and attributes added to all of that. */
static int
tree_of(int at, const char *path, uint64_t attributes)
{
	struct mount_attr a = {.attr_set = attributes};
	int fd = (int)syscall(SYS_open_tree, at, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);

	if (fd < 0)
		return -1;
	if (attributes && syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &a, sizeof(a)) < 0) {
		int e = errno;

		close(fd);
		errno = e;
		return -1;
	}
	return fd;
}

static int
attach(int tree, int at, const char *target)
{
	return (int)syscall(SYS_move_mount, tree, "", at, target, MOVE_MOUNT_F_EMPTY_PATH);
}

/* A new file system, detached; options: name, value, ..., NULL. */
static int
new_fs(const char *type, const char *const *options, unsigned int attributes)
{
	CLEAN_FD int fs = (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);

	if (fs < 0)
		return -1;
	for (; options[0]; options += 2)
		if (syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, options[0], options[1], 0) < 0)
			return -1;
	if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -1;
	return (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, attributes);
}

static int
mount_new(const struct builder *b, const char *type, const char *const *options, unsigned int attributes, const char *target)
{
	CLEAN_FD int fd = new_fs(type, options, attributes);

	if (fd < 0 || attach(fd, b->root, target) < 0)
		return failed(b, "mounting a new file system at", target);
	return 0;
}

static int
mount_tree(const struct builder *b, int tree, const char *target)
{
	if (attach(tree, b->root, target) < 0)
		return failed(b, "mounting", target);
	return 0;
}

/* ---- entries of the root's own file system; paths without leading slash */

static int
make_dir(const struct builder *b, const char *path, mode_t mode)
{
	if (mkdirat(b->root, path, mode) < 0 || fchmodat(b->root, path, mode, 0) < 0)
		return failed(b, "making", path);
	return 0;
}

static int
make_file(const struct builder *b, const char *path, const char *text, size_t len, mode_t mode)
{
	CLEAN_FD int fd = openat(b->root, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);

	if (fd < 0 || (len > 0 && files_write_all(fd, text, len) < 0) || fchmod(fd, mode) < 0)
		return failed(b, "making", path);
	return 0;
}

static int
make_link(const struct builder *b, const char *path, const char *to)
{
	if (symlinkat(to, b->root, path) < 0)
		return failed(b, "making", path);
	return 0;
}

/*
 * The mount point of an absolute path, made where the file system is our own; elsewhere (below something that is mounted) it
 * must be there. Follows no link. Returns an O_PATH descriptor.
 */
static int
mount_point(const struct builder *b, const char *target, bool is_dir)
{
	CLEAN_FREE char *copy = xstrdup(target);
	CLEAN_FD int cur = openat(b->root, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char *save = NULL, *part, *next;

	if (cur < 0)
		return -1;
	for (part = strtok_r(copy, "/", &save); part; part = next) {
		struct stat st;
		bool dir;
		int fd;

		next = strtok_r(NULL, "/", &save);
		dir = next || is_dir;
		if (strcmp(part, ".") == 0 || strcmp(part, "..") == 0) {
			errno = EINVAL;
			return -1;
		}
		fd = openat(cur, part, O_PATH | O_NOFOLLOW | O_CLOEXEC | (dir ? O_DIRECTORY : 0));
		if (fd < 0 && errno == ENOENT) {
			bool ours = false;

			if (fstat(cur, &st) < 0)
				return -1;
			for (size_t i = 0; i < b->nown; i++)
				ours = ours || st.st_dev == b->own[i];
			if (!ours) {
				errno = ENOENT;
				return -1;
			}
			if (dir) {
				if (mkdirat(cur, part, 0755) < 0)
					return -1;
			} else {
				fd = openat(cur, part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0444);
				if (fd < 0)
					return -1;
				close(fd);
			}
			fd = openat(cur, part, O_PATH | O_NOFOLLOW | O_CLOEXEC | (dir ? O_DIRECTORY : 0));
		}
		if (fd < 0)
			return -1;
		close(cur);
		cur = fd;
		if (!dir && (fstat(cur, &st) < 0 || S_ISLNK(st.st_mode))) {
			errno = ELOOP;
			return -1;
		}
	}
	return TAKE_FD(cur);
}

/* ---- pieces */

/* Detached copies of everything first: the new root will hide /tmp, from where some of it may come. */
static int
open_sources(struct builder *b)
{
	const struct root_plan *p = b->plan;

	b->usr = tree_of(AT_FDCWD, "/usr", RO);
	if (b->usr < 0)
		return failed(b, "binding", "/usr");
	if (p->agent) {
		b->etc = tree_of(AT_FDCWD, "/etc", RO);
		if (b->etc < 0)
			return failed(b, "binding", "/etc");
		b->dev = tree_of(AT_FDCWD, "/dev", MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
		if (b->dev < 0)
			return failed(b, "binding", "/dev");
	}
	b->trees = xcalloc(p->nmounts + 1, sizeof(*b->trees));
	for (size_t i = 0; i < p->nmounts; i++)
		b->trees[i] = -1;
	for (size_t i = 0; i < p->nmounts; i++) {
		const struct sandbox_mount *m = &p->mounts[i];

		b->trees[i] = tree_of(AT_FDCWD, m->source, m->writable ? RW : RO);
		if (b->trees[i] < 0 && !(m->optional && (errno == ENOENT || errno == ENOTDIR)))
			return failed(b, "binding", m->source);
	}
	return 0;
}

/*
 * The root's tmpfs is put at /tmp until it is the root: any directory would do, and that one is everywhere. nr_inodes bounds
 * what mount points may cost.
 */
static int
make_root(struct builder *b)
{
	static const char *const options[] = {"mode", "0755", "size", "2m", "nr_inodes", "8192", NULL};
	struct stat st;

	if (mount("none", "/", NULL, PRIVATE_RECURSIVE, NULL) < 0)
		return failed(b, "making mounts private at", "/");
	b->root = new_fs("tmpfs", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	if (b->root < 0 || attach(b->root, AT_FDCWD, "/tmp") < 0 || fstat(b->root, &st) < 0)
		return failed(b, "mounting a tmpfs for", "/");
	b->own[b->nown++] = st.st_dev;
	return 0;
}

/* /usr, and beside it what the host has of /bin, /lib and so on: links into /usr, or directories of their own. */
static int
add_usr(const struct builder *b)
{
	static const char *const beside[] = {"bin", "sbin", "lib", "lib32", "lib64", "libx32"};

	if (make_dir(b, "usr", 0755) < 0 || mount_tree(b, b->usr, "usr") < 0)
		return -1;
	for (size_t i = 0; i < sizeof(beside) / sizeof(beside[0]); i++) {
		char path[16], to[PATH_MAX];
		struct stat st;
		ssize_t n;

		snprintf(path, sizeof(path), "/%s", beside[i]);
		if (lstat(path, &st) < 0) {
			if (errno == ENOENT)
				continue;
			return failed(b, "looking at", path);
		}
		if (S_ISLNK(st.st_mode)) {
			n = readlink(path, to, sizeof(to) - 1);
			if (n < 0)
				return failed(b, "reading", path);
			to[n] = '\0';
			if (make_link(b, beside[i], to) < 0)
				return -1;
		} else if (S_ISDIR(st.st_mode)) {
			CLEAN_FD int tree = tree_of(AT_FDCWD, path, RO);

			if (tree < 0)
				return failed(b, "binding", path);
			if (make_dir(b, beside[i], 0755) < 0 || mount_tree(b, tree, beside[i]) < 0)
				return -1;
		}
	}
	return 0;
}

/* Contents of one of the host's files, when it can be read, as one of ours. */
static int
copy_etc(const struct builder *b, const char *path, const char *otherwise)
{
	char source[64];
	size_t len = 0;
	CLEAN_FREE char *text = NULL;

	snprintf(source, sizeof(source), "/%s", path);
	if (b->plan->network)
		text = files_read(AT_FDCWD, source, ETC_FILE_MAX, &len);
	if (!text && otherwise) {
		text = xstrdup(otherwise);
		len = strlen(text);
	}
	return text ? make_file(b, path, text, len, 0444) : 0;
}

/* What programs look for in /etc and holds nothing of this host that is secret: written here, or the host's own read-only. */
static int
add_etc(const struct builder *b)
{
	static const struct {
		const char *path;
		bool only_network;
	} hosts[] = {
		{"etc/ld.so.cache", false},
		{"etc/alternatives", false},
		{"etc/localtime", false},
		{"etc/services", false},
		{"etc/protocols", false},
		{"etc/mime.types", false},
		{"etc/os-release", false},
		{"etc/ssl/certs", true},
		{"etc/ssl/openssl.cnf", true},
		{"etc/ca-certificates.conf", true},
		{"etc/pki/tls/certs", true},
		{"etc/pki/ca-trust/extracted", true},
		{"etc/crypto-policies", true},
	};
	static const char passwd[] = "root:x:0:0:root:/root:/usr/sbin/nologin\n"
				     "agent:x:1000:1000:agent:/home/agent:/bin/sh\n"
				     "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
	static const char group[] = "root:x:0:\nagent:x:1000:\nnogroup:x:65534:\n";
	static const char nsswitch[] = "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n";

	if (make_dir(b, "etc", 0755) < 0 || make_file(b, "etc/passwd", passwd, sizeof(passwd) - 1, 0444) < 0 ||
	    make_file(b, "etc/group", group, sizeof(group) - 1, 0444) < 0 ||
	    make_file(b, "etc/nsswitch.conf", nsswitch, sizeof(nsswitch) - 1, 0444) < 0 ||
	    make_file(b, "etc/hostname", "awo\n", 4, 0444) < 0 ||
	    copy_etc(b, "etc/hosts", "127.0.0.1 localhost\n::1 localhost\n") < 0 || copy_etc(b, "etc/resolv.conf", NULL) < 0)
		return -1;
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		CLEAN_FD int tree = -1, point = -1;
		char source[64];
		struct stat st;

		if (hosts[i].only_network && !b->plan->network)
			continue;
		snprintf(source, sizeof(source), "/%s", hosts[i].path);
		tree = tree_of(AT_FDCWD, source, RO);
		/* what the order's user may not read, the programs in here cannot need */
		if (tree < 0 && (errno == ENOENT || errno == ENOTDIR || errno == EACCES || errno == ELOOP))
			continue;
		if (tree < 0 || fstat(tree, &st) < 0)
			return failed(b, "binding", source);
		point = mount_point(b, source, S_ISDIR(st.st_mode));
		if (point < 0 || syscall(SYS_move_mount, tree, "", point, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
			return failed(b, "mounting", source);
	}
	return 0;
}

static int
add_dev(const struct builder *b)
{
	static const char *const nodes[] = {"null", "zero", "full", "random", "urandom", "tty"};
	static const struct {
		const char *path, *to;
	} links[] = {
		{"dev/fd", "/proc/self/fd"},
		{"dev/stdin", "/proc/self/fd/0"},
		{"dev/stdout", "/proc/self/fd/1"},
		{"dev/stderr", "/proc/self/fd/2"},
		{"dev/ptmx", "pts/ptmx"},
	};

	if (make_dir(b, "dev", 0755) < 0 || make_dir(b, "dev/pts", 0755) < 0 || make_dir(b, "dev/shm", 0755) < 0)
		return -1;
	for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
		char source[24];
		CLEAN_FD int tree = -1;

		snprintf(source, sizeof(source), "/dev/%s", nodes[i]);
		tree = tree_of(AT_FDCWD, source, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
		if (tree < 0)
			return failed(b, "binding", source);
		if (make_file(b, source + 1, NULL, 0, 0444) < 0 || mount_tree(b, tree, source + 1) < 0)
			return -1;
	}
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		if (make_link(b, links[i].path, links[i].to) < 0)
			return -1;
	return 0;
}

/* The agent's /dev is the worker's, with terminals and shared memory of its own. */
static int
add_agent_dev(struct builder *b)
{
	static const char *const pts[] = {"ptmxmode", "0666", "mode", "0620", "max", "256", NULL};
	static const char *const shm[] = {"mode", "1777", "size", "64m", "nr_inodes", "4096", NULL};
	struct stat st;

	if (make_dir(b, "dev", 0755) < 0 || mount_tree(b, b->dev, "dev") < 0 ||
	    mount_new(b, "devpts", pts, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, "dev/pts") < 0)
		return -1;
	if (mount_new(b, "tmpfs", shm, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, "dev/shm") < 0)
		return -1;
	if (fstatat(b->root, "dev/shm", &st, 0) < 0)
		return failed(b, "looking at", "dev/shm");
	b->own[b->nown++] = st.st_dev;
	return 0;
}

/*
 * /proc of the own pid namespace. The worker's stays whole: what it covered there could not be mounted anew in the agent's
 * namespaces, which the kernel does not let see more than their makers. In the agent's, what tells about the host is covered
 * by an empty file or directory of our own without any permission (never by /dev/null, which somebody may have replaced), and
 * the reaper cannot be seen.
 */
static int
add_proc(const struct builder *b)
{
	static const char *const none[] = {NULL};
	static const char *const hidden[] = {"hidepid", "invisible", NULL};
	const unsigned int attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

	if (make_dir(b, "proc", 0555) < 0)
		return -1;
	return mount_new(b, "proc", b->plan->agent ? hidden : none, attributes, "proc");
}

/* To be called when the root's own mount is read-only: what is bound from it is so, too, without another call for each. */
static int
mask_proc(const struct builder *b)
{
	static const char *const masked[] = {"acpi", "bus", "driver", "fs", "irq", "scsi", "tty", "config.gz", "consoles", "dma",
		"execdomains", "interrupts", "iomem", "ioports", "kallsyms", "kcore", "key-users", "keys", "kmsg", "latency_stats",
		"modules", "mtrr", "sched_debug", "schedstat", "slabinfo", "softirqs", "swaps", "sysrq-trigger", "timer_list",
		"vmallocinfo", "zoneinfo"};
	CLEAN_FD int proc = openat(b->root, "proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	CLEAN_FD int sys = -1;

	if (proc < 0)
		return failed(b, "opening", "proc");
	for (size_t i = 0; i < sizeof(masked) / sizeof(masked[0]); i++) {
		CLEAN_FD int tree = -1;
		char path[32];
		struct stat st;

		snprintf(path, sizeof(path), "/proc/%s", masked[i]);
		if (fstatat(proc, masked[i], &st, AT_SYMLINK_NOFOLLOW) < 0) {
			if (errno == ENOENT)
				continue;	/* not on this kernel */
			return failed(b, "looking at", path);
		}
		/* the host's root's alone, who is nobody in here: every mount costs */
		if (!S_ISDIR(st.st_mode) && st.st_uid != ROOT_UID && (st.st_mode & 0077) == 0)
			continue;
		tree = tree_of(b->root, S_ISDIR(st.st_mode) ? MASK_DIR : MASK_FILE, 0);
		if (tree < 0 || attach(tree, proc, masked[i]) < 0)
			return failed(b, "masking", path);
	}
	sys = tree_of(proc, "sys", RO | MOUNT_ATTR_NOEXEC);
	if (sys < 0 || attach(sys, proc, "sys") < 0)
		return failed(b, "mounting", "/proc/sys");
	return 0;
}

static int
add_tmp(struct builder *b)
{
	static const char *const options[] = {"mode", "1777", "size", "1g", "nr_inodes", "262144", NULL};
	CLEAN_FD int fd = new_fs("tmpfs", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	struct stat st;

	if (make_dir(b, "tmp", 0755) < 0)
		return -1;
	if (fd < 0 || attach(fd, b->root, "tmp") < 0 || fstat(fd, &st) < 0)
		return failed(b, "mounting a new file system at", "tmp");
	b->own[b->nown++] = st.st_dev;
	return 0;
}

static bool
is_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

/* Nothing may cover what the sandbox itself is made of; shared memory is a directory like any other. */
static bool
may_mount(const char *target)
{
	if (target[0] != '/' || strcmp(target, "/") == 0 || is_below(target, "/proc"))
		return false;
	return !is_below(target, "/dev") || strncmp(target, "/dev/shm/", 9) == 0;
}

static int
add_mounts(const struct builder *b)
{
	for (size_t i = 0; i < b->plan->nmounts; i++) {
		const struct sandbox_mount *m = &b->plan->mounts[i];
		CLEAN_FD int point = -1;
		struct stat st;

		if (b->trees[i] < 0)
			continue;
		if (!may_mount(m->target)) {
			errno = EINVAL;
			return failed(b, "mounting", m->target);
		}
		if (fstat(b->trees[i], &st) < 0)
			return failed(b, "looking at", m->source);
		point = mount_point(b, m->target, S_ISDIR(st.st_mode));
		if (point < 0)
			return failed(b, "making the mount point", m->target);
		if (syscall(SYS_move_mount, b->trees[i], "", point, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
			return failed(b, "mounting", m->target);
	}
	return 0;
}

static int
pivot(const struct builder *b)
{
	struct mount_attr read_only = {.attr_set = MOUNT_ATTR_RDONLY};
	char cwd[8];

	if (b->plan->agent && (make_dir(b, MASK_DIR, 0) < 0 || make_file(b, MASK_FILE, NULL, 0, 0) < 0))
		return -1;
	if (syscall(SYS_mount_setattr, b->root, "", AT_EMPTY_PATH, &read_only, sizeof(read_only)) < 0)
		return failed(b, "making read-only", "/");
	if (b->plan->agent && mask_proc(b) < 0)
		return -1;
	/* the old root is stacked on the new one, and goes */
	if (fchdir(b->root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", DETACH) < 0 || chdir("/") < 0)
		return failed(b, "changing to the new", "/");
	if (!getcwd(cwd, sizeof(cwd)) || strcmp(cwd, "/") != 0) {
		errno = EXDEV;
		return failed(b, "changing to the new", "/");
	}
	return 0;
}

int
root_enter(const struct root_plan *plan, int *errno_, struct awo_err *err)
{
	struct builder b = {.plan = plan, .root = -1, .usr = -1, .etc = -1, .dev = -1, .errno_ = errno_, .err = err};
	mode_t mask = umask(0);
	int rc = -1;

	if (open_sources(&b) < 0 || make_root(&b) < 0 || add_usr(&b) < 0 || add_tmp(&b) < 0)
		goto out;
	if (plan->agent) {
		if (make_dir(&b, "etc", 0755) < 0 || mount_tree(&b, b.etc, "etc") < 0 || add_agent_dev(&b) < 0)
			goto out;
	} else if (add_etc(&b) < 0 || add_dev(&b) < 0) {
		goto out;
	}
	if (add_proc(&b) == 0 && add_mounts(&b) == 0)
		rc = pivot(&b);
out:
	umask(mask);
	for (size_t i = 0; b.trees && i < plan->nmounts; i++)
		if (b.trees[i] >= 0)
			close(b.trees[i]);
	free(b.trees);
	for (size_t i = 0; i < 4; i++) {
		int fd = (const int[]){b.root, b.usr, b.etc, b.dev}[i];

		if (fd >= 0)
			close(fd);
	}
	return rc;
}

/* ---- power */

int
root_drop_power(int *errno_, struct awo_err *err)
{
	static const unsigned long locked = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
	    SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE |
	    SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{0}, {0}};
	const char *step = "securebits";
	unsigned long cap;

	if (prctl(PR_SET_SECUREBITS, locked, 0, 0, 0) < 0)
		goto fail;
	step = "bounding set";
	for (cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			goto fail;
	/* the end of the kernel's list, and nothing else, ends the loop */
	if (errno != EINVAL || cap <= CAP_SYS_ADMIN)
		goto fail;
	step = "ambient set";
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		goto fail;
	step = "capset";
	if (syscall(SYS_capset, &head, data) < 0)
		goto fail;
	step = "no_new_privs";
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		goto fail;
	step = "dumpable";
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		goto fail;
	step = "check that no capability is left";
	if (syscall(SYS_capget, &head, data) < 0)
		goto fail;
	errno = EPERM;
	if (data[0].effective || data[1].effective || data[0].permitted || data[1].permitted ||
	    prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 || setresuid(0, 0, 0) == 0)
		goto fail;
	return 0;
fail:
	*errno_ = errno ? errno : EPERM;
	return ERR(err, INTERNAL, "", "giving up power, %s: %s", step, strerror(*errno_));
}
