/* Files that others may have written: beneath only, bounded, nothing followed, and trees removed
 * whole. */
#include "cmocka_all.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clean.h"
#include "common/files.h"

/* Each test has a directory of its own, open as *state. */
struct place {
	int fd;
	char path[64];
};

static int
set_up(void **state)
{
	struct place *p = calloc(1, sizeof *p);

	if (!p)
		return -1;
	snprintf(p->path, sizeof p->path, "/tmp/awo-files-XXXXXX");
	if (!mkdtemp(p->path))
		return -1;
	p->fd = open(p->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	*state = p;
	return p->fd >= 0 ? 0 : -1;
}

static int
tear_down(void **state)
{
	struct place *p = *state;
	int rc;

	close(p->fd);
	rc = files_remove_tree(AT_FDCWD, p->path, NULL);
	free(p);
	return rc;
}

static void
put(int at, const char *path, const char *text)
{
	CLEAN_FD int fd = openat(at, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(files_write_all(fd, text, strlen(text)), 0);
}

static bool
is_there(int at, const char *path)
{
	return faccessat(at, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void
refused(int at, const char *path, int code)
{
	int fd = files_open_beneath(at, path, O_RDONLY, 0);

	if (fd >= 0 || errno != code)
		fail_msg("%s: %d (%s)", path, fd, strerror(errno));
}

static void
opens_beneath_only(void **state)
{
	int at = ((struct place *)*state)->fd;
	CLEAN_FD int fd = -1;

	assert_int_equal(mkdirat(at, "d", 0700), 0);
	put(at, "d/f", "x");
	put(at, "secret", "x");
	assert_int_equal(symlinkat("f", at, "d/link"), 0);
	assert_int_equal(symlinkat("/etc/passwd", at, "d/absolute"), 0);
	assert_int_equal(symlinkat("../secret", at, "d/up"), 0);
	assert_int_equal(symlinkat("d", at, "dlink"), 0);
	assert_int_equal(symlinkat("/proc/self/root", at, "magic"), 0);
	fd = files_open_beneath(at, "d/f", O_RDONLY, 0);
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	refused(at, "d/link", ELOOP);
	refused(at, "d/absolute", ELOOP);
	refused(at, "d/up", ELOOP);
	refused(at, "dlink/f", ELOOP);
	refused(at, "magic/etc/passwd", ELOOP);
	refused(at, "..", EXDEV);
	refused(at, "d/../../x", EXDEV);
	refused(at, "/etc/passwd", EXDEV);
	refused(at, "none", ENOENT);
	refused(at, "", ENOENT);
}

static void
creates_with_a_mode(void **state)
{
	int at = ((struct place *)*state)->fd;
	mode_t before = umask(0);
	CLEAN_FD int fd = files_open_beneath(at, "new", O_WRONLY | O_CREAT | O_EXCL, 0640);
	CLEAN_FD int path = files_open_beneath(at, "new", O_PATH, 0);
	struct stat st;

	umask(before);
	assert_true(fd >= 0);
	assert_true(path >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
}

static void
opens_regular_files_only(void **state)
{
	int at = ((struct place *)*state)->fd;
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	CLEAN_FD int fd = -1, sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	put(at, "f", "x");
	assert_int_equal(mkdirat(at, "d", 0700), 0);
	assert_int_equal(mkfifoat(at, "fifo", 0600), 0);
	snprintf(sun.sun_path, sizeof sun.sun_path, "%s/sock", ((struct place *)*state)->path);
	assert_int_equal(bind(sock, (struct sockaddr *)&sun, sizeof sun), 0);
	fd = files_open_regular(at, "f");
	assert_true(fd >= 0);
	assert_int_equal(files_open_regular(at, "fifo"), -1); /* and does not wait for a writer */
	assert_int_equal(errno, EINVAL);
	assert_int_equal(files_open_regular(at, "d"), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(files_open_regular(at, "sock"), -1);
	assert_int_equal(errno, ENXIO);
}

static void
reads_up_to_the_limit(void **state)
{
	int at = ((struct place *)*state)->fd, ends[2];
	CLEAN_FREE char *text = NULL, *proc = NULL, *piped = NULL;
	size_t len = 7;

	put(at, "f", "12345");
	text = files_read(at, "f", 5, &len);
	assert_string_equal(text, "12345");
	assert_int_equal(len, 5);
	errno = 0;
	assert_null(files_read(at, "f", 4, &len));
	assert_int_equal(errno, EFBIG);
	put(at, "f", "");
	free(text);
	text = files_read(at, "f", 0, &len);
	assert_string_equal(text, "");
	assert_int_equal(len, 0);
	assert_null(files_read(at, "none", 5, &len));
	assert_int_equal(errno, ENOENT);
	assert_null(files_read(at, ".", 5, &len));
	assert_int_equal(errno, EISDIR);
	/* no size beforehand */
	proc = files_read(AT_FDCWD, "/proc/self/status", 1U << 20, NULL);
	assert_non_null(strstr(proc, "Pid:"));
	assert_null(files_read(AT_FDCWD, "/proc/self/status", 10, NULL));
	assert_int_equal(errno, EFBIG);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(files_write_all(ends[1], "abc", 3), 0);
	close(ends[1]);
	piped = files_read_fd(ends[0], 100, &len);
	close(ends[0]);
	assert_string_equal(piped, "abc");
}

static void
replaces(void **state)
{
	int at = ((struct place *)*state)->fd;
	CLEAN_FREE char *text = NULL;
	CLEAN_FD int dir = -1;
	struct dirent *d;
	struct stat st;
	DIR *list;
	int n = 0;

	assert_int_equal(mkdirat(at, "d", 0700), 0);
	put(at, "target", "keep");
	assert_int_equal(symlinkat("../target", at, "d/f"), 0);
	assert_int_equal(files_replace(at, "d/f", "one", 3, 0604), 0);
	assert_int_equal(files_replace(at, "d/f", "two", 3, 0640), 0);
	text = files_read(at, "d/f", 10, NULL);
	assert_string_equal(text, "two");
	free(text);
	assert_int_equal(files_replace_unsynced(at, "d/f", "three", 5, 0640), 0);
	text = files_read(at, "d/f", 10, NULL);
	assert_string_equal(text, "three");
	assert_int_equal(fstatat(at, "d/f", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0640);
	free(text);
	text = files_read(at, "target", 10, NULL);
	assert_string_equal(text, "keep");
	assert_int_equal(files_replace(at, "none/f", "x", 1, 0600), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(files_replace(at, "../f", "x", 1, 0600), -1);
	assert_int_equal(files_replace(at, "d", "x", 1, 0600), -1);
	assert_int_equal(files_replace_unsynced(at, "d", "x", 1, 0600), -1);
	/* nothing is left behind, not even by the failures */
	dir = openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	list = fdopendir(TAKE_FD(dir));
	while ((d = readdir(list)))
		n += strncmp(d->d_name, ".new-", 5) == 0;
	closedir(list);
	assert_int_equal(n, 0);
}

static void
makes_directories(void **state)
{
	struct place *p = *state;
	mode_t before = umask(077);
	char path[128];
	struct stat st;

	assert_int_equal(files_mkdirs(p->fd, "a//b/./c/", 0751), 0);
	umask(before);
	assert_int_equal(fstatat(p->fd, "a/b/c", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0751);
	assert_int_equal(fstatat(p->fd, "a", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0751);
	/* what is there keeps its mode */
	assert_int_equal(files_mkdirs(p->fd, "a/b/c/d", 02770), 0);
	assert_int_equal(fstatat(p->fd, "a/b/c", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0751);
	assert_int_equal(fstatat(p->fd, "a/b/c/d", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 02770);
	assert_int_equal(files_mkdirs(p->fd, "", 0700), 0);
	/* below a descriptor nothing leads out */
	assert_int_equal(symlinkat("/tmp", p->fd, "link"), 0);
	assert_int_equal(files_mkdirs(p->fd, "link/x", 0700), -1);
	assert_int_equal(files_mkdirs(p->fd, "a/../../x", 0700), -1);
	put(p->fd, "file", "x");
	assert_int_equal(files_mkdirs(p->fd, "file/x", 0700), -1);
	assert_int_equal(errno, ENOTDIR);
	/* a path of one's own may go through a link */
	assert_int_equal(symlinkat("a", p->fd, "own"), 0);
	snprintf(path, sizeof path, "%s/own/e/f", p->path);
	assert_int_equal(files_mkdirs(AT_FDCWD, path, 0700), 0);
	assert_true(is_there(p->fd, "a/e/f"));
}

static void
removes_a_tree(void **state)
{
	int at = ((struct place *)*state)->fd;
	uint64_t freed = 0;
	char big[20000];

	memset(big, 'x', sizeof big);
	big[sizeof big - 1] = '\0';
	assert_int_equal(files_mkdirs(at, "t/a/b", 0700), 0);
	put(at, "t/a/b/f", big);
	put(at, "t/g", "x");
	put(at, "outside", "keep");
	assert_int_equal(mkdirat(at, "outdir", 0700), 0);
	put(at, "outdir/f", "keep");
	assert_int_equal(symlinkat("../outside", at, "t/link"), 0);
	assert_int_equal(symlinkat("../outdir", at, "t/dirlink"), 0);
	assert_int_equal(symlinkat("/", at, "t/a/root"), 0);
	assert_int_equal(linkat(at, "outside", at, "t/hard", 0), 0);
	assert_int_equal(mkfifoat(at, "t/fifo", 0600), 0);
	assert_int_equal(files_remove_tree(at, "t", &freed), 0);
	assert_false(is_there(at, "t"));
	assert_true(is_there(at, "outside"));
	assert_true(is_there(at, "outdir/f"));
	assert_true(freed >= 20000);
	assert_int_equal(files_remove_tree(at, "t", &freed), -1);
	assert_int_equal(errno, ENOENT);
}

static void
removes_single_things(void **state)
{
	int at = ((struct place *)*state)->fd;

	assert_int_equal(files_mkdirs(at, "d/e", 0700), 0);
	assert_int_equal(symlinkat("d", at, "link"), 0);
	put(at, "f", "x");
	assert_int_equal(files_remove_tree(at, "link", NULL), 0);
	assert_true(is_there(at, "d/e"));
	assert_int_equal(files_remove_tree(at, "f", NULL), 0);
	assert_int_equal(files_remove_tree(at, "d/e", NULL), 0);
	assert_true(is_there(at, "d"));
	assert_int_equal(files_remove_tree(at, ".", NULL), -1);
	assert_int_equal(files_remove_tree(at, "..", NULL), -1);
	assert_int_equal(files_remove_tree(at, "d/..", NULL), -1);
	assert_int_equal(files_remove_tree(at, "../x", NULL), -1);
	assert_int_equal(files_remove_tree(at, "", NULL), -1);
}

/* Directories that their owner locked: only felt by whoever is not root, so root becomes somebody
 * else for it. */
static void
opens_locked_directories(void **state)
{
	int at = ((struct place *)*state)->fd;
	uid_t other = geteuid() == 0 ? 65534 : geteuid();

	assert_int_equal(mkdirat(at, "base", 0777), 0);
	assert_int_equal(fchmodat(at, "base", 0777, 0), 0);
	if (geteuid() == 0) {
		assert_int_equal(chmod(((struct place *)*state)->path, 0755), 0);
		assert_int_equal(seteuid(other), 0);
	}
	assert_int_equal(files_mkdirs(at, "base/t/none/sub", 0700), 0);
	assert_int_equal(files_mkdirs(at, "base/t/readonly", 0700), 0);
	assert_int_equal(files_mkdirs(at, "base/t/empty", 0700), 0);
	put(at, "base/t/none/f", "x");
	put(at, "base/t/none/sub/f", "x");
	put(at, "base/t/readonly/f", "x");
	assert_int_equal(fchmodat(at, "base/t/none/sub", 0100, 0), 0);
	assert_int_equal(fchmodat(at, "base/t/none", 0, 0), 0);
	assert_int_equal(fchmodat(at, "base/t/readonly", 0500, 0), 0);
	assert_int_equal(fchmodat(at, "base/t/empty", 0, 0), 0);
	assert_int_equal(fchmodat(at, "base/t", 0500, 0), 0);
	assert_int_equal(files_remove_tree(at, "base/t", NULL), 0);
	if (geteuid() != getuid())
		assert_int_equal(seteuid(getuid()), 0);
	assert_false(is_there(at, "base/t"));
}

/* Far deeper than descriptors or path names reach. */
static void
removes_deep_trees(void **state)
{
	int at = ((struct place *)*state)->fd;
	CLEAN_FD int fd = openat(at, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct rlimit before, few;
	int rc;

	for (int i = 0; i < 3000; i++) {
		int next;

		assert_int_equal(mkdirat(fd, "deep", 0700), 0);
		next = openat(fd, "deep", O_PATH | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		if (i % 100 == 0)
			put(next, "f", "x");
		close(fd);
		fd = next;
	}
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = before;
	few.rlim_cur = 100;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	rc = files_remove_tree(at, "deep", NULL);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(rc, 0);
	assert_false(is_there(at, "deep"));
}

/* In a child with mounts of its own. 0 as it should be, 77 when the host does not allow it. */
static int
beside_a_mount(const char *path)
{
	CLEAN_FD int here = -1, keep = -1;
	char mounted[128];

	snprintf(mounted, sizeof mounted, "%s/t/a/mnt", path);
	if (unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return 77;
	if (mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", mounted, "tmpfs", 0, NULL) < 0)
		return 77;
	/* through the path: the descriptor still stands in the mounts of before */
	here = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	keep = openat(here, "t/a/mnt/keep", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	if (keep < 0)
		return 77;
	if (files_remove_tree(here, "t", NULL) != -1 || errno != EXDEV)
		return 1;
	if (!is_there(here, "t/a/mnt/keep"))
		return 2;
	return is_there(here, "t/a/f") ? 3 : 0; /* what is beside the mount is gone */
}

static void
crosses_no_mount(void **state)
{
	struct place *p = *state;
	int status;
	pid_t pid;

	assert_int_equal(files_mkdirs(p->fd, "t/a/mnt", 0700), 0);
	put(p->fd, "t/a/f", "x");
	pid = fork();
	if (pid == 0)
		_exit(beside_a_mount(p->path));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static char *
whole_log(const struct place *p)
{
	char *text = files_read(p->fd, "log", 16 << 20, NULL);

	assert_non_null(text);
	return text;
}

static int
open_log(const struct place *p)
{
	int fd = openat(p->fd, "log", O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	return fd;
}

static void
appends_lines_of_their_own(void **state)
{
	const struct place *p = *state;
	CLEAN_FD int ours = open_log(p), theirs = open_log(p);
	CLEAN_FREE char *text = NULL;
	int fds[2];
	char got[8] = "";

	assert_int_equal(files_append_line(ours, "one\n", 4), 0);
	assert_int_equal(files_append_line(theirs, "two\n", 4), 0);
	/* of a writer that died */
	assert_int_equal(write(theirs, "ha", 2), 2);
	assert_int_equal(files_append_line(ours, "three\n", 6), 0);
	/* of our own: begun, and all there but for its end */
	assert_int_equal(write(ours, "fou", 3), 3);
	assert_int_equal(files_append_line(ours, "four\n", 5), 0);
	assert_int_equal(write(ours, "five", 4), 4);
	assert_int_equal(files_append_line(ours, "five\n", 5), 0);
	/* that looks like it, and is not */
	assert_int_equal(write(theirs, "!six", 4), 4);
	assert_int_equal(files_append_line(ours, "six\n", 4), 0);
	text = whole_log(p);
	assert_string_equal(text, "one\ntwo\nha\nthree\nfou\nfour\nfive\n!six\nsix\n");
	/* no file */
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(files_append_line(fds[1], "one\n", 4), 0);
	assert_int_equal(read(fds[0], got, sizeof(got)), 4);
	assert_string_equal(got, "one\n");
	errno = 0;
	assert_int_equal(files_append_line(fds[0], "one\n", 4), -1);
	assert_int_equal(errno, EBADF);
	close(fds[0]);
	close(fds[1]);
}

/* Another writer leaves halves of lines at any moment. */
static void
appends_lines_beside_torn_ones(void **state)
{
	enum { LINES = 3000 };
	const struct place *p = *state;
	CLEAN_FD int ours = open_log(p);
	CLEAN_FREE char *text = NULL;
	char line[64], *at;
	pid_t pid = fork();
	int n = 0;

	assert_true(pid >= 0);
	if (pid == 0) {
		int theirs = open_log(p);

		for (int i = 0; i < 2000000; i++)
			if (write(theirs, "half", 4) != 4)
				break;
		_exit(0);
	}
	for (int i = 0; i < LINES; i++) {
		snprintf(line, sizeof(line), "line %d\n", i);
		/* it may give up, and says so; then it is tried again */
		while (files_append_line(ours, line, strlen(line)) != 0)
			assert_int_equal(errno, EIO);
	}
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	text = whole_log(p);
	at = text;
	for (char *next; (next = strchr(at, '\n')) != NULL; at = next + 1) {
		*next = '\0';
		snprintf(line, sizeof(line), "line %d", n);
		n += strcmp(at, line) == 0;
		if (strncmp(at, "line ", 5) == 0 && strspn(at + 5, "0123456789") == strlen(at + 5))
			assert_string_equal(at, line);
	}
	assert_int_equal(n, LINES);
}

static void
seals_memory(void **state)
{
	CLEAN_FD int fd = files_memfd("test", "hello", 5);
	char got[8] = "";

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(read(fd, got, sizeof got), 5);
	assert_string_equal(got, "hello");
	assert_int_equal(write(fd, "x", 1), -1);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(ftruncate(fd, 100), -1);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

static void
hashes(void **state)
{
	char out[65];

	(void)state;
	files_sha256_hex("", 0, out);
	assert_string_equal(
	    out, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	files_sha256_hex("abc", 3, out);
	assert_string_equal(
	    out, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

#define WITH_PLACE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH_PLACE(opens_beneath_only),
	    WITH_PLACE(creates_with_a_mode),
	    WITH_PLACE(opens_regular_files_only),
	    WITH_PLACE(reads_up_to_the_limit),
	    WITH_PLACE(replaces),
	    WITH_PLACE(makes_directories),
	    WITH_PLACE(removes_a_tree),
	    WITH_PLACE(removes_single_things),
	    WITH_PLACE(opens_locked_directories),
	    WITH_PLACE(removes_deep_trees),
	    WITH_PLACE(crosses_no_mount),
	    WITH_PLACE(appends_lines_of_their_own),
	    WITH_PLACE(appends_lines_beside_torn_ones),
	    cmocka_unit_test(seals_memory),
	    cmocka_unit_test(hashes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
