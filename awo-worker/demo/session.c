/* Keeps sessions and notes in $HOME/.demo-agent, so that one run can go on where another ended. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "awo-worker/demo/demo.h"
#include "common/clean.h"
#include "common/files.h"

/*
 * The lowest layer of git's configuration, so that what the user or the repository says wins: an
 * identity where there is none, and no housekeeping in the background of a short run.
 */
static const char gitconfig[] = "[user]\n\tname = AWO demonstration agent\n"
				"\temail = demo-agent@example.invalid\n"
				"[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n"
				"[safe]\n\tdirectory = *\n";

void
session_uuid(char out[37])
{
	unsigned char r[16];

	if (getrandom(r, sizeof(r), 0) != (ssize_t)sizeof(r))
		_exit(1);
	r[6] = (unsigned char)((r[6] & 0x0f) | 0x40);
	r[8] = (unsigned char)((r[8] & 0x3f) | 0x80);
	snprintf(out, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
	    r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7], r[8], r[9], r[10], r[11], r[12], r[13],
	    r[14], r[15]);
}

/* A HOME that cannot be written is no failure: such a run is not remembered, like the real
 * program's. */
void
session_open_state(struct demo *d)
{
	const char *home = getenv("HOME");
	int home_fd CLEAN_FD = -1;

	d->state_fd = -1;
	if (!home || home[0] != '/')
		return;
	home_fd = open(home, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (home_fd < 0 || files_mkdirs(home_fd, ".demo-agent/sessions", 0700) < 0)
		return;
	d->state_fd = openat(home_fd, ".demo-agent", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (d->state_fd >= 0) {
		char *path = xasprintf("%s/.demo-agent/gitconfig", home);

		if (faccessat(d->state_fd, "gitconfig", R_OK, 0) < 0)
			state_write(d, "gitconfig", gitconfig);
		setenv("GIT_CONFIG_SYSTEM", path, 0);
		free(path);
	}
}

char *
state_read(struct demo *d, const char *name)
{
	return d->state_fd < 0 ? NULL : files_read(d->state_fd, name, 1 << 20, NULL);
}

void
state_write(struct demo *d, const char *name, const char *text)
{
	int fd CLEAN_FD = -1;

	if (d->state_fd < 0)
		return;
	fd = openat(d->state_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || files_write_all(fd, text, strlen(text)) < 0)
		fprintf(stderr, "awo-demo-agent: cannot keep %s: %s\n", name, strerror(errno));
}

/* Ids become file names: only what a UUID can hold. */
static bool
session_name(struct demo *d, const char *id, char name[96])
{
	if (strlen(id) >= sizeof(d->session_id) || id[0] == '\0' ||
	    id[strspn(id, "0123456789abcdefABCDEF-")] != '\0')
		return false;
	snprintf(d->session_id, sizeof(d->session_id), "%s", id);
	snprintf(name, 96, "sessions/%s", id);
	return true;
}

/* Like the real program, a session is found only from the directory in which it began. */
bool
session_resume(struct demo *d, const char *id)
{
	char name[96], cwd[4096];
	char *where CLEAN_FREE = NULL;

	snprintf(d->session_id, sizeof(d->session_id), "%.36s", id);
	if (!session_name(d, id, name) || !getcwd(cwd, sizeof(cwd)))
		return false;
	where = state_read(d, name);
	return where && strcmp(where, cwd) == 0;
}

bool
session_begin(struct demo *d, const char *id)
{
	char fresh[37], name[96], cwd[4096];

	if (!id) {
		session_uuid(fresh);
		id = fresh;
	}
	if (!session_name(d, id, name))
		return false;
	if (d->state_fd >= 0 && faccessat(d->state_fd, name, F_OK, 0) == 0)
		return false;
	if (getcwd(cwd, sizeof(cwd)))
		state_write(d, name, cwd);
	return true;
}
