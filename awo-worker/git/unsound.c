/* What an agent did to the repository of its work tree so that nobody can read it. */
#include "awo-worker/git/unsound.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/clean.h"
#include "common/files.h"

#define ALTERNATES ".git/objects/info/alternates"
#define CACHE_OBJECTS "/awo/cache.git/objects"
#define REFS_DEPTH 32
#define ENTRY_MIN 62 /* bytes of an index's entry without its path */
#define OPEN_SECONDS 3 /* an open that takes longer waits for somebody who does not come */

#define AGAIN "; a retry makes the work tree anew from the last commit that was recorded"

/* Files that libgit2 opens without asking what they are. */
static const char *const opened[] = {".git/HEAD", ".git/config", ".git/config.worktree",
    ".git/commondir", ".git/index", ".git/packed-refs", ".git/shallow", ".git/MERGE_HEAD",
    ".git/info/exclude", ".git/info/attributes", ALTERNATES, ".gitignore", ".gitattributes"};

/* ---- what is wrong */

static const char *
kind_of(mode_t mode)
{
	if (S_ISFIFO(mode))
		return "a FIFO";
	if (S_ISSOCK(mode))
		return "a socket";
	if (S_ISLNK(mode))
		return "a symbolic link";
	if (S_ISREG(mode))
		return "a file";
	return S_ISDIR(mode) ? "a directory" : "a device";
}

static bool
is_blocking(const char *path, char why[512])
{
	struct stat st;

	if (stat(path, &st) < 0 || S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))
		return false;
	(void)snprintf(why, 512, "the agent left %s where git expects the file %s" AGAIN,
	    kind_of(st.st_mode), path);
	return true;
}

/* libgit2 takes memory for as many entries as the index says it has, before it looks for them. */
static bool
is_lying_index(char why[512])
{
	CLEAN_FD int fd = open(".git/index", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	unsigned char head[12];
	struct stat st;
	uint64_t n;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || read(fd, head, sizeof(head)) != (ssize_t)sizeof(head))
		return false;
	n = (uint64_t)head[8] << 24 | (uint64_t)head[9] << 16 | (uint64_t)head[10] << 8 | head[11];
	if (n <= (uint64_t)st.st_size / ENTRY_MIN)
		return false;
	(void)snprintf(why, 512, "the agent damaged .git/index: it is too short for the %llu files that it says it has" AGAIN,
	    (unsigned long long)n);
	return true;
}

/* Objects that the work tree has for itself lie in packs when it is a clone of its own. */
static bool
has_packs(void)
{
	DIR *dir = opendir(".git/objects/pack");
	const struct dirent *d;
	bool found = false;

	while (dir != NULL && !found && (d = readdir(dir)) != NULL)
		found = strstr(d->d_name, ".pack") != NULL;
	if (dir != NULL)
		closedir(dir);
	return found;
}

static bool
lacks_cache(void)
{
	CLEAN_FREE char *text = NULL;
	const char *at;

	if (access(CACHE_OBJECTS, F_OK) < 0 || has_packs())
		return false;
	text = files_read(AT_FDCWD, ALTERNATES, 65536, NULL);
	for (at = text; at != NULL && *at != '\0'; at += *at == '\n') {
		size_t len = strcspn(at, "\n");

		if (len == strlen(CACHE_OBJECTS) && strncmp(at, CACHE_OBJECTS, len) == 0)
			return false;
		at += len;
	}
	return true;
}

bool
unsound_find(char why[512])
{
	static const char *const needed[] = {".git/HEAD", ".git/objects", ".git/refs"};
	struct stat st;

	if (lstat(".git", &st) < 0) {
		(void)snprintf(why, 512, errno == ENOENT
			? "the agent removed .git, the repository of its work tree" AGAIN
			: "the agent made .git, the repository of its work tree, unreadable" AGAIN);
		return true;
	}
	if (!S_ISDIR(st.st_mode)) {
		(void)snprintf(why, 512,
		    "the agent replaced .git, the repository of its work tree, by %s" AGAIN,
		    kind_of(st.st_mode));
		return true;
	}
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		if (lstat(needed[i], &st) < 0) {
			(void)snprintf(why, 512, "the agent removed %s" AGAIN, needed[i]);
			return true;
		}
	for (size_t i = 0; i < sizeof(opened) / sizeof(opened[0]); i++)
		if (is_blocking(opened[i], why))
			return true;
	if (is_lying_index(why))
		return true;
	if (!lacks_cache())
		return false;
	(void)snprintf(why, 512,
	    "the agent changed " ALTERNATES ", so that the history before its own commits is "
	    "missing" AGAIN);
	return true;
}

/* ---- what would block */

static void
on_tick(int sig)
{
	(void)sig;
}

/* open(2) of a FIFO returns only when the other end is opened, or with EINTR; nothing else that is
 * done to files of a work tree can be interrupted. */
static void
start_ticking(void)
{
	struct sigaction sa = {.sa_handler = on_tick};
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	struct itimerspec when = {
	    .it_value = {.tv_sec = OPEN_SECONDS}, .it_interval = {.tv_sec = 1}};
	timer_t timer;

	if (sigaction(SIGUSR1, &sa, NULL) == 0 && timer_create(CLOCK_MONOTONIC, &ev, &timer) == 0)
		(void)timer_settime(timer, 0, &when, NULL);
}

int
unsound_guard(struct task *t)
{
	char why[512];

	for (size_t i = 0; i < sizeof(opened) / sizeof(opened[0]); i++)
		if (is_blocking(opened[i], why))
			return TASK_FAIL(t, "git", "invalid", "%s", why);
	if (is_lying_index(why))
		return TASK_FAIL(t, "git", "invalid", "%s", why);
	start_ticking();
	return 0;
}

/* ---- locks */

static bool
is_lock(const char *name)
{
	size_t n = strlen(name);

	return n > 5 && strcmp(name + n - 5, ".lock") == 0;
}

static void
unlock_dir(int at, const char *name, int depth)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *d;

	if (dir == NULL) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((d = readdir(dir)) != NULL) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		if (is_lock(d->d_name))
			(void)files_remove_tree(fd, d->d_name, NULL);
		else if (depth < REFS_DEPTH && (d->d_type == DT_DIR || d->d_type == DT_UNKNOWN))
			unlock_dir(fd, d->d_name, depth + 1);
	}
	closedir(dir);
}

/* The directory itself, without those below it, and refs with all of them. */
static void
unlock_git_dir(const char *path)
{
	CLEAN_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return;
	unlock_dir(fd, ".", REFS_DEPTH);
	unlock_dir(fd, "refs", 0);
}

void
unsound_unlock(git_repository *repo)
{
	const char *path = git_repository_path(repo), *common = git_repository_commondir(repo);

	unlock_git_dir(path);
	if (common != NULL && strcmp(common, path) != 0)
		unlock_git_dir(common);
}
