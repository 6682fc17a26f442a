/* Clears away what a run that was killed left in a repository of ours. */
#include "awo-worker/git/leftovers.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 64

static bool
ends_with(const char *s, const char *tail)
{
	size_t n = strlen(s), m = strlen(tail);

	return n > m && strcmp(s + n - m, tail) == 0;
}

static void
drop_leftovers(int at, const char *name, int depth, bool objects)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd >= 0 && depth < DEPTH_MAX ? fdopendir(fd) : NULL;
	struct dirent *d;

	if (dir == NULL) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((d = readdir(dir)) != NULL) {
		struct stat st;

		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0 ||
		    fstatat(fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISDIR(st.st_mode))
			drop_leftovers(fd, d->d_name, depth + 1,
			    objects || (depth == 0 && strcmp(d->d_name, "objects") == 0));
		else if (ends_with(d->d_name, ".lock") ||
			 (objects && strstr(d->d_name, "_git2_") != NULL))
			(void)unlinkat(fd, d->d_name, 0);
	}
	closedir(dir);
}

void
leftovers_drop(const char *dir)
{
	drop_leftovers(AT_FDCWD, dir, 0, false);
}
