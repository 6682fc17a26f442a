/* User mode: the token that the user's gh program keeps, asked for in the background. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sodium.h>

#include "awod/gh_token.h"
#include "common/buf.h"
#include "common/log.h"

#define TOKEN_MAX 512
#define WAIT_S 10

extern char **environ;

struct gh_token {
	pid_t pid;		/* 0: not running */
	int fd;
	struct event *ev;	/* reads, and gives up after WAIT_S */
	size_t len;
	bool known;
	char text[TOKEN_MAX + 1];
};

/* It has said all that it will: nothing of it is left behind. */
static void
end(struct gh_token *g)
{
	if (g->ev != NULL)
		event_free(g->ev);
	g->ev = NULL;
	if (g->fd >= 0)
		close(g->fd);
	g->fd = -1;
	if (g->pid > 0) {
		kill(g->pid, SIGKILL);
		while (waitpid(g->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	g->pid = 0;
}

static void
on_output(evutil_socket_t fd, short what, void *arg)
{
	struct gh_token *g = arg;
	ssize_t n = 0;

	if ((what & EV_TIMEOUT) == 0) {
		n = read(fd, g->text + g->len, TOKEN_MAX - g->len);
		if (n > 0) {
			g->len += (size_t)n;
			if (g->len < TOKEN_MAX)
				return;
		}
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
	}
	end(g);
	g->text[g->len] = '\0';
	g->text[strcspn(g->text, "\r\n")] = '\0';
	/* a token is one word; anything else is a message */
	g->known = n == 0 && g->text[0] != '\0' &&
	    strspn(g->text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.") == strlen(g->text);
	if (g->known)
		log_info("github_token_found", LS("source", "gh"));
}

struct gh_token *
gh_token_open(struct event_base *base, const char *program, const char *host)
{
	struct gh_token *g = xcalloc(1, sizeof(*g));
	char auth[] = "auth", token[] = "token", option[] = "--hostname";
	CLEAN_BUF struct buf name = {0}, at = {0};
	char *argv[] = {NULL, auth, token, option, NULL, NULL};
	struct timeval wait = {.tv_sec = WAIT_S};
	posix_spawn_file_actions_t actions;
	int fds[2], e;

	g->fd = -1;
	buf_adds(&name, program);
	buf_adds(&at, host);
	argv[0] = name.p;
	argv[4] = at.p;
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0)
		return g;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	e = posix_spawnp(&g->pid, program, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(fds[1]);
	g->fd = fds[0];
	if (e != 0) {
		g->pid = 0;
		end(g);
		return g;
	}
	g->ev = event_new(base, g->fd, EV_READ | EV_PERSIST, on_output, g);
	if (g->ev == NULL || event_add(g->ev, &wait) != 0)
		end(g);
	return g;
}

const char *
gh_token_get(const struct gh_token *g)
{
	return g != NULL && g->known ? g->text : NULL;
}

void
gh_token_close(struct gh_token *g)
{
	if (g == NULL)
		return;
	end(g);
	sodium_memzero(g, sizeof(*g));
	free(g);
}
