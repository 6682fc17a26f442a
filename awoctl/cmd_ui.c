/* The command ui: a link that logs a browser in once, and a browser that follows it. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "awoctl/ctl.h"
#include "common/clean.h"
#include "common/clock.h"

#define PROBE_S 3
#define PROBE_MAX 65536
#define PAGE_KEPT_S 20 /* that the browser has to read it */

/* ---- does a gateway answer? */

/* Connected to "host:port"; -1 with *err. */
static int
dial(const char *where, struct awo_err *err)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	const struct timeval limit = {PROBE_S, 0};
	const char *colon = strrchr(where, ':');
	struct addrinfo *found = NULL;
	CLEAN_FREE char *host = NULL;
	int fd = -1, saved = 0, rc;

	if (colon != NULL && strchr(colon, ']') != NULL)
		colon = NULL;
	host = xstrndup(where, colon != NULL ? (size_t)(colon - where) : strlen(where));
	if (host[0] == '[' && host[strlen(host) - 1] == ']') {
		memmove(host, host + 1, strlen(host));
		host[strlen(host) - 1] = '\0';
	}
	rc = getaddrinfo(host, colon != NULL ? colon + 1 : "80", &hints, &found);
	if (rc != 0)
		return ERR(err, UNAVAILABLE, "", "%s is not known: %s", host, gai_strerror(rc));
	for (const struct addrinfo *a = found; a != NULL && fd < 0; a = a->ai_next) {
		fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd < 0)
			continue;
		/* the limit for sending is the one for connecting as well */
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
		if (connect(fd, a->ai_addr, a->ai_addrlen) != 0) {
			saved = errno == EINPROGRESS ? ETIMEDOUT : errno;
			close(fd);
			fd = -1;
		}
	}
	freeaddrinfo(found);
	if (fd < 0)
		return ERR(err, UNAVAILABLE, "", "%s", strerror(saved));
	return fd;
}

/* Asks /health of http://host[:port][/path]. Another scheme is left to the browser: there is no TLS
 * here. */
static int
probe(const char *address, struct awo_err *err)
{
	CLEAN_FREE char *where = NULL, *room = xcalloc(1, PROBE_MAX + 1);
	CLEAN_BUF struct buf ask = {0};
	CLEAN_FD int fd = -1;
	size_t got = 0;

	if (strncasecmp(address, "http://", 7) != 0)
		return 0;
	where = xstrndup(address + 7, strcspn(address + 7, "/"));
	fd = dial(where, err);
	if (fd < 0)
		return awo_err_prefix(err,
		    "no gateway answers at %s; start it (systemctl start awo-gateway, or "
		    "awo-gateway "
		    "--user), or name its address with --address",
		    address);
	buf_printf(&ask, "GET /health HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", where);
	if (send(fd, ask.p, ask.len, MSG_NOSIGNAL) == (ssize_t)ask.len)
		while (got < PROBE_MAX) {
			ssize_t n = recv(fd, room + got, PROBE_MAX - got, 0);

			if (n <= 0)
				break;
			got += (size_t)n;
		}
	if (strncmp(room, "HTTP/1.", 7) != 0 || strcasestr(room, "\r\nX-Request-Id:") == NULL)
		return ERR(err, UNAVAILABLE, "",
		    "what answers at %s is no awo-gateway: look at gateway.listen, or name the "
		    "address with --address",
		    address);
	return 0;
}

/* ---- a browser */

static bool
in_path(const char *program)
{
	const char *path = getenv("PATH");
	char file[PATH_MAX];

	for (size_t n; path != NULL && *path != '\0'; path += n + (path[n] == ':')) {
		n = strcspn(path, ":");
		if (snprintf(file, sizeof(file), "%.*s/%s", (int)n, path, program) <
			(int)sizeof(file) &&
		    access(file, X_OK) == 0)
			return true;
	}
	return false;
}

/* The program that opens a page here, or NULL when there is no screen to open it on. */
static const char *
find_browser(void)
{
	const char *own = getenv("BROWSER");

	if (own != NULL && *own != '\0')
		return strpbrk(own, " :") == NULL &&
			       (*own == '/' ? access(own, X_OK) == 0 : in_path(own))
			   ? own
			   : NULL;
	if (getenv("DISPLAY") == NULL && getenv("WAYLAND_DISPLAY") == NULL)
		return NULL;
	return in_path("xdg-open") ? "xdg-open" : NULL;
}

/*
 * The link goes to the browser in a file of the user's own: everybody on the host can read a
 * command line, and who is first to follow the link is logged in. The path of the file into path.
 */
static int
write_page(const char *link, char path[PATH_MAX])
{
	const char *dir = getenv("XDG_RUNTIME_DIR");
	CLEAN_FREE char *page = xasprintf(
	    "<!doctype html>\n<meta charset=\"utf-8\">\n<title>Agent work orders</title>\n"
	    "<meta http-equiv=\"refresh\" content=\"0; url=%s\">\n<a href=\"%s\">Log in</a>\n",
	    link, link);
	CLEAN_FD int fd = -1;

	if (dir == NULL || *dir != '/')
		dir = "/tmp";
	if (snprintf(path, PATH_MAX, "%s/awo-login-XXXXXX.html", dir) >= PATH_MAX)
		return -1;
	fd = mkostemps(path, (int)strlen(".html"), O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (write(fd, page, strlen(page)) != (ssize_t)strlen(page)) {
		unlink(path);
		return -1;
	}
	return 0;
}

/* In a process of its own: shows the page, and takes it away when it has been read. */
_Noreturn static void
show_page(const char *browser, const char *path)
{
	pid_t pid;

	/* it goes on when the terminal is closed, and does not write into what comes next on it */
	(void)setsid();
	(void)signal(SIGHUP, SIG_IGN);
	if (freopen("/dev/null", "r", stdin) == NULL || freopen("/dev/null", "w", stdout) == NULL ||
	    freopen("/dev/null", "w", stderr) == NULL)
		_exit(1);
	pid = fork();
	if (pid == 0) {
		execlp(browser, browser, path, (char *)NULL);
		_exit(127);
	}
	sleep(PAGE_KEPT_S);
	unlink(path);
	_exit(0);
}

static bool
open_browser(const char *browser, const char *link)
{
	char path[PATH_MAX];
	pid_t pid;

	if (write_page(link, path) != 0)
		return false;
	pid = fork();
	if (pid == 0)
		show_page(browser, path);
	if (pid < 0)
		unlink(path);
	return pid > 0;
}

/* ---- the command */

/* An address may stand in a page and in a line as it is. */
static bool
is_address(const char *s)
{
	return (strncasecmp(s, "http://", 7) == 0 || strncasecmp(s, "https://", 8) == 0) &&
	       strlen(s) < 1024 && strpbrk(s, " \"'<>&\\?#\t\r\n") == NULL;
}

int
ctl_ui(struct ctl *ctl)
{
	const char *given = ctl_opt(ctl, "address"), *browser;
	struct p_session_create request = {0};
	struct p_session_create_answer answer;
	CLEAN_FREE char *link = NULL;
	CLEAN_BUF struct buf b = {0};
	struct awo_err err = {0};
	const char *address;
	size_t len;
	int r;

	if (given != NULL && !is_address(given))
		return ctl_usage(ctl, "ui: --address must be like http://127.0.0.1:8053");
	if (ctl_opt(ctl, "scope") != NULL) {
		if ((r = ctl_list(ctl, "--scope", ctl_opt(ctl, "scope"), &request.scopes)) != 0)
			return r;
		P_MARK(session_create, &request, scopes);
	}
	/* the link is worth something only when somebody takes it */
	if (given != NULL && probe(given, &err) != 0) {
		P_FREE(session_create, &request);
		return ctl_fail(ctl, &err);
	}
	r = ctl_call(ctl, P_M_session_create, &request, &answer);
	P_FREE(session_create, &request);
	if (r != 0)
		return r;
	address = given != NULL ? given : answer.address;
	if (!is_address(address))
		(void)ERR(
		    &err, INTERNAL, "", "awod names no address of its gateway that could be used");
	if (err.code != AWO_OK || (given == NULL && probe(address, &err) != 0)) {
		P_FREE(session_create_answer, &answer);
		return ctl_fail(ctl, &err);
	}
	len = strlen(address);
	while (len > 0 && address[len - 1] == '/')
		len--;
	link = xasprintf("%.*s/ui/login?token=%s", (int)len, address, answer.login_token);
	if (ctl->line->json) {
		char when[CLOCK_TEXT];
		json_t *tree = json_pack(
		    "{s:s, s:s}", "url", link, "expires_at", clock_format(answer.expires_at, when));

		ctl_out_json(ctl, tree);
		json_decref(tree);
	} else {
		term_escapes(&b, link, TERM_LINE);
		buf_addc(&b, '\n');
		ctl_out(&b);
		browser = ctl->out.tty && !ctl_flag(ctl, "print") ? find_browser() : NULL;
		if (browser != NULL && open_browser(browser, link))
			ctl_note(ctl,
			    "opening your browser; the link works once, within the next minutes");
		else
			ctl_note(ctl,
			    "open this link in a browser; it works once, within the next minutes");
	}
	P_FREE(session_create_answer, &answer);
	return 0;
}
