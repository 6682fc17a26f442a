/* Does things in the work tree, each reported as the tool call that a model would have made. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "awo-worker/demo/demo.h"
#include "common/clean.h"
#include "common/files.h"

#define OUTPUT_MAX ((size_t)8 << 20)

extern char **environ;

static volatile sig_atomic_t interrupted;

static void
on_int(int sig)
{
	(void)sig;
	interrupted = 1;
}

/* The real program ends at once with 143 and leaves its tools running. */
static void
on_term(int sig)
{
	_exit(128 + sig);
}

void
signals_set_up(void)
{
	struct sigaction sa = {0};
	sigset_t set;

	sa.sa_handler = on_int;
	sigaction(SIGINT, &sa, NULL);
	sa.sa_handler = on_term;
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	sa.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &sa, NULL);
	/* delivered only inside ppoll, so that none falls between a check and a wait */
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

static int
wait_ready(struct pollfd *fds, nfds_t n, const struct timespec *timeout)
{
	sigset_t none;

	sigemptyset(&none);
	return ppoll(fds, n, timeout, &none);
}

static _Noreturn void
fail_interrupted(struct demo *d)
{
	stream_fail(d, "error_during_execution", "Request was aborted.");
}

_Noreturn void
wait_for_signal(struct demo *d)
{
	while (!interrupted)
		wait_ready(NULL, 0, NULL);
	fail_interrupted(d);
}

void
wait_seconds(struct demo *d, double seconds)
{
	struct timespec t = {.tv_sec = (time_t)seconds};

	t.tv_nsec = (long)((seconds - (double)t.tv_sec) * 1e9);
	wait_ready(NULL, 0, &t);
	if (interrupted)
		fail_interrupted(d);
}

void
shell_quote(struct buf *b, const char *s)
{
	buf_addc(b, '\'');
	for (; *s; s++) {
		if (*s == '\'')
			buf_adds(b, "'\\''");
		else
			buf_addc(b, *s);
	}
	buf_addc(b, '\'');
}

/* A shell in a session of its own, as the real program starts its tools; -1 with errno. */
static pid_t
start_shell(const char *command, int output)
{
	char *argv[] = {xstrdup("sh"), xstrdup("-c"), xstrdup(command), NULL};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, reset;
	pid_t pid = -1;
	int err;

	sigemptyset(&none);
	sigemptyset(&reset);
	sigaddset(&reset, SIGPIPE);
	sigaddset(&reset, SIGTERM); /* ignored by "ignore-term" */
	sigaddset(&reset, SIGINT);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&files, output, STDERR_FILENO);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &reset);
	posix_spawnattr_setflags(
	    &attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	err = posix_spawn(&pid, "/bin/sh", &files, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	for (size_t i = 0; argv[i]; i++)
		free(argv[i]);
	errno = err;
	return err ? -1 : pid;
}

/* Reads what is there now; true at the end. What goes beyond the limit is read and forgotten. */
static bool
drain(int fd, struct buf *out)
{
	char chunk[65536];

	for (;;) {
		ssize_t n = read(fd, chunk, sizeof(chunk));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return false;
		if (n <= 0)
			return true;
		if (out->len < OUTPUT_MAX)
			buf_add(out, chunk, (size_t)n);
	}
}

/* Until the shell ends: what it left behind may hold the pipe open for ever and is not waited for.
 */
static int
wait_shell(struct demo *d, pid_t pid, int pipe_fd, struct buf *out)
{
	int pidfd CLEAN_FD = (int)syscall(SYS_pidfd_open, pid, 0U);
	struct pollfd fds[] = {{.fd = pidfd, .events = POLLIN}, {.fd = pipe_fd, .events = POLLIN}};
	int status = 0;

	while (pidfd >= 0) {
		wait_ready(fds, 2, NULL);
		if (interrupted) {
			kill(-pid, SIGKILL);
			fail_interrupted(d);
		}
		if (drain(pipe_fd, out))
			fds[1].fd = -1;
		if (fds[0].revents)
			break;
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	drain(pipe_fd, out);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int
tool_bash(struct demo *d, const char *command, char **output)
{
	struct buf out CLEAN_BUF = {0};
	char id[32];
	int p[2], status;
	pid_t pid;

	stream_tool_use(d, "Bash", json_pack("{s:s}", "command", command), id);
	if (pipe2(p, O_CLOEXEC) < 0)
		stream_fail(d, "error_during_execution", strerror(errno));
	fcntl(p[0], F_SETFL, O_NONBLOCK);
	pid = start_shell(command, p[1]);
	close(p[1]);
	if (pid < 0)
		stream_fail(d, "error_during_execution", strerror(errno));
	status = wait_shell(d, pid, p[0], &out);
	close(p[0]);
	if (status != 0 && out.len == 0)
		buf_printf(&out, "Exit code %d", status);
	stream_tool_result(d, id, out.p ? out.p : "", out.len, status != 0);
	if (output) {
		while (out.p != NULL && out.len > 0 && out.p[out.len - 1] == '\n')
			out.p[--out.len] = '\0';
		*output = buf_take(&out);
	}
	return status;
}

bool
tool_write(struct demo *d, const char *path, const char *content, bool append)
{
	char id[32];
	char *copy CLEAN_FREE = xstrdup(path);
	int fd CLEAN_FD = -1;
	char *said CLEAN_FREE = NULL;
	const char *dir = dirname(copy);
	bool ok;

	stream_tool_use(d, append ? "Edit" : "Write",
	    json_pack("{s:s s:s}", "file_path", path, append ? "new_string" : "content", content),
	    id);
	ok = (strcmp(dir, ".") == 0 || files_mkdirs(AT_FDCWD, dir, 0777) == 0) &&
	     (fd = open(path,
		  O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | (append ? O_APPEND : O_TRUNC),
		  0666)) >= 0 &&
	     files_write_all(fd, content, strlen(content)) == 0;
	said = ok ? xasprintf("File written: %s", path)
		  : xasprintf("Cannot write %s: %s", path, strerror(errno));
	stream_tool_result(d, id, said, strlen(said), !ok);
	return ok;
}
