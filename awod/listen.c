/* The listening socket: found or made, given its group and mode, and accepted from. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "awod/server_priv.h"
#include "common/clean.h"
#include "common/log.h"
#include "common/sd.h"

#define BACKLOG 512
#define ACCEPTS_A_TURN 32
#define PAUSE_MS 100L /* without descriptors accepting again at once would spin */

/* An address below a directory's descriptor: paths may be longer than sun_path. */
static int
address(int dir_fd, const char *name, struct sockaddr_un *sun, struct awo_err *err)
{
	int n;

	*sun = (struct sockaddr_un){.sun_family = AF_UNIX};
	n = snprintf(sun->sun_path, sizeof(sun->sun_path), "/proc/self/fd/%d/%s", dir_fd, name);
	if (n < 0 || (size_t)n >= sizeof(sun->sun_path))
		return ERR(err, INVALID_ARGUMENT, "socket",
		    "the socket's file name %s is too long; use one of at most 64 bytes", name);
	return 0;
}

/* Whether somebody listens there: 1, 0, -1 with errno. */
static int
is_live(const struct sockaddr_un *sun)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r;

	if (fd < 0)
		return -1;
	r = connect(fd, (const struct sockaddr *)sun, sizeof(*sun)) == 0 || errno == EAGAIN ||
		    errno == EINPROGRESS
		? 1
	    : errno == ECONNREFUSED || errno == ENOENT ? 0
						       : -1;
	close(fd);
	return r;
}

/* Makes room for the socket's name, unless it is somebody's. */
static int
claim(struct server *s, const char *path, struct awo_err *err)
{
	CLEAN_FREE char *lock = xasprintf("%s.lock", s->socket_name);
	struct sockaddr_un sun;
	struct stat st;

	/* held as long as this process lives, so that two that start together cannot both replace
	 * the socket */
	s->lock_fd = openat(s->dir_fd, lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->lock_fd < 0)
		return ERR(err, FAILED_PRECONDITION, "socket", "cannot make %s.lock: %s", path,
		    strerror(errno));
	if (flock(s->lock_fd, LOCK_EX | LOCK_NB) != 0)
		return ERR(err, FAILED_PRECONDITION, "socket",
		    "another awod listens on %s; stop it, or choose another --socket", path);
	if (fstatat(s->dir_fd, s->socket_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT ? 0
				       : ERR(err, FAILED_PRECONDITION, "socket",
					     "cannot look at %s: %s", path, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return ERR(err, FAILED_PRECONDITION, "socket",
		    "%s is there and is no socket; remove it, or choose another --socket", path);
	if (address(s->dir_fd, s->socket_name, &sun, err) != 0)
		return -1;
	switch (is_live(&sun)) {
	case 0:
		return 0; /* left behind; replaced by the rename */
	case 1:
		return ERR(err, FAILED_PRECONDITION, "socket",
		    "something listens on %s already; stop it, or choose another --socket", path);
	default:
		return ERR(err, FAILED_PRECONDITION, "socket",
		    "cannot find out whether %s is in use: %s", path, strerror(errno));
	}
}

static mode_t
wanted_mode(const struct broker *b)
{
	const char *text = b->conf->socket_mode;
	char *end;
	unsigned long mode;

	if (text == NULL || *text == '\0')
		return b->opt->user_mode ? 0600 : 0660;
	mode = strtoul(text, &end, 8);
	if (*end != '\0' || mode > 0777) {
		log_warning("socket_mode_ignored", LS("value", text),
		    LS("remedy", "socket.mode must be an octal number between 0 and 0777"));
		return 0600;
	}
	return (mode_t)mode;
}

/* Gives the socket its group and mode. What cannot be had is left out towards less access, and
 * said. */
static void
set_access(struct server *s, const char *name)
{
	const struct config *conf = s->b->conf;
	mode_t mode = wanted_mode(s->b);
	gid_t gid;

	if (!s->b->opt->user_mode && conf->socket_group != NULL && *conf->socket_group != '\0') {
		if (!names_gid(s->names, conf->socket_group, &gid)) {
			log_error("socket_group_missing", LS("group", conf->socket_group),
			    LS("remedy", "make it with: groupadd --system NAME, or set "
					 "socket.group; until awod is "
					 "restarted the socket keeps awod's own group"));
		} else if (fchownat(s->dir_fd, name, (uid_t)-1, gid, AT_SYMLINK_NOFOLLOW) != 0) {
			log_error("socket_group_refused", LS("group", conf->socket_group),
			    LS("error", strerror(errno)),
			    LS("remedy",
				"the broker's user must be a member of socket.group; until awod is "
				"restarted the socket keeps awod's own group"));
		}
	}
	if (fchmodat(s->dir_fd, name, mode, 0) != 0)
		log_error("socket_mode_refused", LS("error", strerror(errno)));
}

static int
make_socket(struct server *s, const char *path, struct awo_err *err)
{
	CLEAN_FREE char *copy = xstrdup(path), *fresh = NULL;
	CLEAN_FREE char *copy2 = xstrdup(path);
	struct sockaddr_un sun;
	mode_t mask;
	int r;

	s->dir_fd = open(dirname(copy), O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (s->dir_fd < 0)
		return ERR(err, FAILED_PRECONDITION, "socket",
		    "cannot open the directory of %s: %s", path, strerror(errno));
	s->socket_name = xstrdup(basename(copy2));
	if (claim(s, path, err) != 0) {
		/* what is there is not ours to remove */
		free(s->socket_name);
		s->socket_name = NULL;
		return -1;
	}
	fresh = xasprintf("%s.new", s->socket_name);
	if (address(s->dir_fd, fresh, &sun, err) != 0)
		return -1;
	(void)unlinkat(s->dir_fd, fresh, 0);
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->fd < 0)
		return ERR(err, INTERNAL, "socket", "socket: %s", strerror(errno));
	mask = umask(0177);
	r = bind(s->fd, (const struct sockaddr *)&sun, sizeof(sun));
	umask(mask);
	if (r != 0)
		return ERR(err, FAILED_PRECONDITION, "socket", "cannot make %s: %s", path,
		    strerror(errno));
	set_access(s, fresh);
	/* nobody sees the socket before it can be used */
	if (listen(s->fd, BACKLOG) != 0 ||
	    renameat(s->dir_fd, fresh, s->dir_fd, s->socket_name) != 0) {
		awo_err_set(err, AWO_FAILED_PRECONDITION, __func__, "socket",
		    "cannot listen on %s: %s", path, strerror(errno));
		(void)unlinkat(s->dir_fd, fresh, 0);
		return -1;
	}
	return 0;
}

static int
open_reserve(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void
pause_accepting(struct server *s)
{
	const struct timeval later = {0, PAUSE_MS * 1000};

	event_del(s->accept_event);
	event_add(s->accept_again, &later);
}

/* No descriptor is left: takes one connection off the queue with the reserve, so that its peer is
 * not left waiting. */
static void
shed(struct server *s)
{
	int fd;

	if (s->reserve_fd >= 0)
		close(s->reserve_fd);
	fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0)
		close(fd);
	s->reserve_fd = open_reserve();
	s->turned_away++;
	log_warning("descriptors_exhausted", LI("connections", s->nconns),
	    LS("remedy", "raise LimitNOFILE of the service"));
}

/* Who it is, and whether it may stay. */
static void
admit(struct server *s, int fd)
{
	struct awo_err err = {0};
	struct caller caller;
	uid_t user = s->b->opt->user_mode ? getuid() : (uid_t)-1;
	size_t mine = 0;

	s->accepted++;
	if (caller_identify(fd, s->names, s->b->conf, user, &caller, &err) == 0) {
		for (const struct peer *p = s->peers; p != NULL; p = p->next)
			if (p->uid == caller.uid)
				mine = p->nconns;
		/* an administrator must be able to come in when others have filled the house */
		if (s->nconns >= s->max_conns && caller.uid != 0)
			(void)ERR(&err, RESOURCE_EXHAUSTED, "",
			    "awod has %zu connections, which is its limit; try again later",
			    s->nconns);
		else if (mine >= s->max_conns_per_uid && caller.uid != 0)
			(void)ERR(&err, RESOURCE_EXHAUSTED, "",
			    "you have %zu connections to awod, which is the limit; close some",
			    mine);
	}
	if (err.code == AWO_OK) {
		conn_new(s, fd, &caller, NULL);
		return;
	}
	s->turned_away++;
	if (s->nrefused >= REFUSED_MAX) {
		close(fd);
		return;
	}
	conn_new(s, fd, &caller, &err);
}

static void
on_accept(evutil_socket_t listener, short what, void *arg)
{
	struct server *s = arg;

	(void)what;
	for (int i = 0; i < ACCEPTS_A_TURN; i++) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			admit(s, fd);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE) {
			shed(s);
			pause_accepting(s);
		} else if (errno == ENOMEM || errno == ENOBUFS) {
			pause_accepting(s);
		}
		return; /* EAGAIN, or a peer that left before it was taken */
	}
}

static void
on_again(evutil_socket_t fd, short what, void *arg)
{
	struct server *s = arg;

	(void)fd;
	(void)what;
	if (s->reserve_fd < 0)
		s->reserve_fd = open_reserve();
	event_add(s->accept_event, NULL);
}

int
listen_open(struct server *s, struct awo_err *err)
{
	s->fd = sd_listen_socket();
	if (s->fd >= 0) {
		int flags = fcntl(s->fd, F_GETFL);

		(void)fcntl(s->fd, F_SETFL, flags | O_NONBLOCK);
		log_info("socket_passed", LI("fd", s->fd));
	} else {
		if (make_socket(s, s->b->opt->socket_path, err) != 0)
			return -1;
		log_info("socket_opened", LS("path", s->b->opt->socket_path));
	}
	s->reserve_fd = open_reserve();
	s->accept_event = event_new(s->b->base, s->fd, EV_READ | EV_PERSIST, on_accept, s);
	s->accept_again = event_new(s->b->base, -1, 0, on_again, s);
	if (s->accept_event == NULL || s->accept_again == NULL ||
	    event_add(s->accept_event, NULL) != 0)
		return ERR(err, INTERNAL, "", "cannot watch the socket");
	return 0;
}

void
listen_close(struct server *s)
{
	if (s->accept_event != NULL)
		event_free(s->accept_event);
	if (s->accept_again != NULL)
		event_free(s->accept_again);
	s->accept_event = s->accept_again = NULL;
	/* the name goes first: a client that finds none starts or waits for another awod instead of
	 * hanging */
	if (s->socket_name != NULL && s->fd >= 0)
		(void)unlinkat(s->dir_fd, s->socket_name, 0);
	free(s->socket_name);
	s->socket_name = NULL;
	if (s->fd >= 0)
		close(s->fd);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	if (s->dir_fd >= 0)
		close(s->dir_fd);
	if (s->reserve_fd >= 0)
		close(s->reserve_fd);
	s->fd = s->lock_fd = s->dir_fd = s->reserve_fd = -1;
}
