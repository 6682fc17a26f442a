/* Reaches awod: finds its socket, starts the user's own daemon when there is none, makes calls. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "awoctl/ctl.h"
#include "common/clean.h"
#include "common/clock.h"
#include "common/files.h"

#define START_US 10000000
#define LOG_KEPT (8 << 20) /* a log that is longer when a daemon is started moves aside */

const char *
ctl_user_dir(const char *variable, const char *below_home, char *buf, size_t len)
{
	const char *dir = getenv(variable), *home = getenv("HOME");
	int n;

	if (dir && dir[0] == '/')
		n = snprintf(buf, len, "%s/awo", dir);
	else if (below_home && home && home[0] == '/')
		n = snprintf(buf, len, "%s/%s/awo", home, below_home);
	else
		return NULL;
	return n > 0 && (size_t)n < len ? buf : NULL;
}

const char *
ctl_user_socket(char *buf, size_t len)
{
	char dir[PATH_MAX];
	int n;

	if (ctl_user_dir("XDG_RUNTIME_DIR", NULL, dir, sizeof(dir)))
		n = snprintf(buf, len, "%s/awod.sock", dir);
	else if (ctl_user_dir("XDG_STATE_HOME", ".local/state", dir, sizeof(dir)))
		n = snprintf(buf, len, "%s/run/awod.sock", dir);
	else
		return NULL;
	return n > 0 && (size_t)n < len ? buf : NULL;
}

const char *
ctl_find_awod(char *buf, size_t len)
{
	static const char *const beside[] = {"awod", "../sbin/awod"};
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	const char *path = getenv("PATH");

	if (n > 0) {
		self[n] = '\0';
		char *slash = strrchr(self, '/');
		for (size_t i = 0; slash && i < sizeof(beside) / sizeof(beside[0]); i++) {
			int m = snprintf(buf, len, "%.*s/%s", (int)(slash - self), self, beside[i]);
			if (m > 0 && (size_t)m < len && access(buf, X_OK) == 0)
				return buf;
		}
	}
	CLEAN_FREE char *dirs = xasprintf("%s:/usr/local/sbin:/usr/sbin", path ? path : "/usr/local/bin:/usr/bin:/bin");
	char *rest = dirs;
	for (char *dir; (dir = strsep(&rest, ":"));) {
		/* an empty or relative entry means the current directory, which may be anybody's */
		int m = dir[0] == '/' ? snprintf(buf, len, "%s/awod", dir) : -1;
		if (m > 0 && (size_t)m < len && access(buf, X_OK) == 0)
			return buf;
	}
	return NULL;
}

/* Opens <state>/log/awod.log; its path into buf. */
static int
open_log(char *path, size_t len)
{
	char dir[PATH_MAX];
	struct stat st;

	if (!ctl_user_dir("XDG_STATE_HOME", ".local/state", dir, sizeof(dir)))
		return -1;
	CLEAN_FREE char *logs = xasprintf("%s/log", dir);
	if (files_mkdirs(AT_FDCWD, logs, 0700) < 0 && errno != EEXIST)
		return -1;
	int n = snprintf(path, len, "%s/awod.log", logs);
	if (n < 0 || (size_t)n >= len)
		return -1;
	if (lstat(path, &st) == 0 && st.st_size > LOG_KEPT) {
		CLEAN_FREE char *old = xasprintf("%s.1", path);
		if (rename(path, old) < 0)
			return -1;
	}
	return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/* The last line that the daemon said, for the error message. */
static void
last_words(const char *path, off_t from, char *buf, size_t len)
{
	CLEAN_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[4096];
	struct stat st;

	buf[0] = '\0';
	if (fd < 0 || fstat(fd, &st) < 0)
		return;
	off_t start = st.st_size - (off_t)(sizeof(text) - 1);
	ssize_t n = pread(fd, text, sizeof(text) - 1, start > from ? start : from);
	while (n > 0 && text[n - 1] == '\n')
		n--;
	if (n <= 0)
		return;
	text[n] = '\0';
	const char *line = memrchr(text, '\n', (size_t)n);
	snprintf(buf, len, "%.400s", line ? line + 1 : text);
}

static pid_t
start_daemon(const char *program, int log_fd)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	setsid();
	int null = open("/dev/null", O_RDWR);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(log_fd, STDOUT_FILENO) < 0
	    || dup2(log_fd, STDERR_FILENO) < 0)
		_exit(127);
	/* it must not hold a pipe of ours open, nor keep a directory busy */
	if (close_range(3, ~0U, 0) < 0 || chdir("/") < 0)
		_exit(127);
	execl(program, "awod", "--user", (char *)NULL);
	fprintf(stderr, "%s: %s\n", program, strerror(errno));
	_exit(127);
}

/* Starts awod --user and waits until it answers on the user's socket. */
static int
autostart(struct ctl *ctl, struct awo_err *err)
{
	char program[PATH_MAX], log_path[PATH_MAX] = "", words[512], socket[sizeof(ctl->socket)];
	int64_t deadline = clock_mono_us() + START_US;
	struct awo_err why;
	int status = 0;

	if (!ctl_user_socket(socket, sizeof(socket)))
		return ERR(err, UNAVAILABLE, "", "no awod is running, and none can be started: neither XDG_RUNTIME_DIR nor"
		    " HOME is set");
	if (!ctl_find_awod(program, sizeof(program)))
		return ERR(err, UNAVAILABLE, "", "no awod is running, and no awod program was found beside awoctl or in"
		    " PATH; install it, or name a socket with --socket");
	CLEAN_FD int log_fd = open_log(log_path, sizeof(log_path));
	if (log_fd < 0)
		return ERR(err, UNAVAILABLE, "", "no awod is running, and its log cannot be opened: %s: %s", log_path,
		    strerror(errno));
	off_t log_start = lseek(log_fd, 0, SEEK_END);
	pid_t pid = start_daemon(program, log_fd);
	if (pid < 0)
		return ERR(err, UNAVAILABLE, "", "awod cannot be started: %s", strerror(errno));
	for (;;) {
		struct client *client = client_open(socket, 500, &why);
		if (client) {
			snprintf(ctl->socket, sizeof(ctl->socket), "%s", socket);
			ctl->client = client;
			ctl_note(ctl, "started %s --user in the background; its log is %s", program, log_path);
			return 0;
		}
		if (pid > 0 && waitpid(pid, &status, WNOHANG) == pid) {
			/* another awoctl may have been faster: then its awod is about to answer */
			pid = 0;
			int64_t soon = clock_mono_us() + 1500000;
			deadline = soon < deadline ? soon : deadline;
		}
		if (clock_mono_us() > deadline)
			break;
		nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
	}
	last_words(log_path, log_start, words, sizeof(words));
	if (pid == 0)
		return ERR(err, UNAVAILABLE, "", "awod was started and ended again%s%s; its log is %s",
		    *words ? ": " : "", words, log_path);
	return ERR(err, UNAVAILABLE, "", "awod was started but does not answer on %s after %d s; its log is %s", socket,
	    START_US / 1000000, log_path);
}

bool
ctl_running(struct ctl *ctl, struct awo_err *err)
{
	char buf[sizeof(ctl->socket)];

	if (ctl->client)
		return true;
	const char *path = ctl->line->socket ? ctl->line->socket : client_default_socket(buf, sizeof(buf));
	if (!path || strlen(path) >= sizeof(ctl->socket)) {
		ERR(err, UNAVAILABLE, "", "the path of the socket is too long");
		return false;
	}
	snprintf(ctl->socket, sizeof(ctl->socket), "%s", path);
	ctl->client = client_open(ctl->socket, CTL_CONNECT_MS, err);
	return ctl->client != NULL;
}

int
ctl_connect(struct ctl *ctl, struct awo_err *err)
{
	const char *given = ctl->line->socket, *environment = getenv("AWO_SOCKET");

	if (ctl_running(ctl, err))
		return 0;
	if (given || (environment && *environment))
		return -1;
	/* a system socket that may not be opened is answered by a daemon of one's own */
	if (err->code == AWO_PERMISSION_DENIED && ctl->line->no_autostart)
		return -1;
	if (getuid() == 0)
		return ERR(err, UNAVAILABLE, "", "no awod answers on %s; start it with \"systemctl start awod\", or name"
		    " another socket with --socket", ctl->socket);
	if (ctl->line->no_autostart)
		return ERR(err, UNAVAILABLE, "", "no awod answers, neither your own nor the system's (tried %s); start one with"
		    " \"awod --user\"", ctl->socket);
	return autostart(ctl, err);
}

int
ctl_reconnect(struct ctl *ctl, struct awo_err *err)
{
	client_close(ctl->client);
	ctl->client = client_open(ctl->socket, CTL_CONNECT_MS, err);
	return ctl->client ? 0 : -1;
}

int
ctl_try(struct ctl *ctl, enum p_method_id method, const void *request, void *answer, struct awo_err *err)
{
	if (ctl_connect(ctl, err) < 0)
		return -1;
	return client_call(ctl->client, method, request, answer, CTL_CALL_MS, err);
}

int
ctl_call(struct ctl *ctl, enum p_method_id method, const void *request, void *answer)
{
	struct awo_err err = {0};

	if (ctl_try(ctl, method, request, answer, &err) < 0)
		return ctl_fail(ctl, &err);
	return 0;
}
