/* awod's end of a worker's control socket. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>

#include "awod/engine_priv.h"
#include "common/buf.h"
#include "common/clean.h"
#include "common/files.h"
#include "common/ids.h"
#include "common/log.h"

#define LINE_MAX_IN ((size_t)4096)	/* a worker's messages are short */
#define RETRY_MS 200L

struct link {
	struct live *l;
	struct bufferevent *bev;	/* NULL while it waits to try again */
	struct event *retry;
	bool up;			/* the hello was answered */
};

static void try_connect(struct link *k);

static void
directory(const struct live *l, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/workers/%s", l->e->b->opt->run_dir, l->row->pub.agent_work_order_id);
}

static int
refuse(const char *path, const char *name, struct awo_err *err)
{
	int e = errno;

	if (is_shortage(e))
		return ERR(err, RESOURCE_EXHAUSTED, "", "%s%s: %s", path, name, strerror(e));
	return ERR(err, INTERNAL, "", "%s%s: %s", path, name, strerror(e));
}

int
link_listen(struct live *l, struct awo_err *err)
{
	char path[PATH_MAX];
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	CLEAN_FD int dir = -1;
	CLEAN_FD int fd = -1;

	directory(l, path);
	if (files_mkdirs(AT_FDCWD, path, 0700) != 0 ||
	    (dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)) < 0)
		return refuse(path, "", err);
	if (unlinkat(dir, "control.sock", 0) != 0 && errno != ENOENT)
		return refuse(path, "/control.sock", err);
	ids_hex(l->nonce, 32);
	/* no worker outlives the machine */
	if (files_replace_unsynced(dir, "nonce", l->nonce, strlen(l->nonce), 0600) != 0)
		return refuse(path, "/nonce", err);
	/* through the descriptor: sun_path holds 107 bytes, directories may be deeper */
	snprintf(sa.sun_path, sizeof(sa.sun_path), "/proc/self/fd/%d/control.sock", dir);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0 || listen(fd, 4) != 0)
		return refuse(path, "/control.sock", err);
	return TAKE_FD(fd);
}

static void
disconnect(struct link *k)
{
	if (k->bev != NULL)
		bufferevent_free(k->bev);
	k->bev = NULL;
	k->up = false;
}

static void
on_retry(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	try_connect(arg);
}

/* The worker's end of the socket goes away with the worker, whose exit ends the link. */
static void
again(struct link *k)
{
	struct timeval tv = {.tv_usec = RETRY_MS * 1000};

	disconnect(k);
	event_add(k->retry, &tv);
}

static void
on_read(struct bufferevent *bev, void *arg)
{
	struct link *k = arg;
	struct live *l = k->l;
	struct evbuffer *in = bufferevent_get_input(bev);
	char *text;
	size_t len;

	while (k->bev != NULL && (text = evbuffer_readln(in, &len, EVBUFFER_EOL_LF)) != NULL) {
		json_t *m = len <= LINE_MAX_IN ? json_loadb(text, len, 0, NULL) : NULL;
		const char *op = json_string_value(json_object_get(m, "op"));

		free(text);
		if (op != NULL && strcmp(op, "hello") == 0 && !k->up) {
			const char *nonce = json_string_value(json_object_get(m, "nonce"));

			if (nonce == NULL || strcmp(nonce, l->nonce) != 0) {
				log_error("worker_nonce_wrong", LS("agent_work_order_id", l->row->pub.agent_work_order_id));
				json_decref(m);
				again(k);
				return;
			}
			k->up = true;
			live_linked(l, m);
		} else if (op != NULL && strcmp(op, "ack") == 0 && k->up) {
			const char *of = json_string_value(json_object_get(m, "of"));

			if (of != NULL)
				live_acked(l, of);
		}
		json_decref(m);
		if (l->link != k)
			return;		/* the order ended meanwhile */
	}
	if (k->bev != NULL && evbuffer_get_length(in) > LINE_MAX_IN)
		again(k);
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	struct link *k = arg;

	(void)bev;
	if ((what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) != 0)
		again(k);
}

static void
try_connect(struct link *k)
{
	char path[PATH_MAX];
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	CLEAN_FD int dir = -1;
	CLEAN_FD int fd = -1;
	CLEAN_FREE char *nonce = NULL;
	json_t *hello;

	directory(k->l, path);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (dir < 0) {
		again(k);
		return;
	}
	if (k->l->nonce[0] == '\0') {
		nonce = files_read(dir, "nonce", 64, NULL);
		if (nonce != NULL)
			snprintf(k->l->nonce, sizeof(k->l->nonce), "%s", nonce);
	}
	snprintf(sa.sun_path, sizeof(sa.sun_path), "/proc/self/fd/%d/control.sock", dir);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0) {
		again(k);
		return;
	}
	k->bev = bufferevent_socket_new(k->l->e->b->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (k->bev == NULL) {
		again(k);
		return;
	}
	TAKE_FD(fd);
	bufferevent_setcb(k->bev, on_read, NULL, on_event, k);
	bufferevent_setwatermark(k->bev, EV_READ, 0, LINE_MAX_IN * 4);
	bufferevent_enable(k->bev, EV_READ | EV_WRITE);
	hello = json_pack("{s:s,s:s}", "op", "hello", "nonce", k->l->nonce);
	k->up = true;		/* lets the hello itself through */
	link_send(k->l, hello);
	k->up = false;
}

void
link_connect(struct live *l)
{
	if (l->link != NULL)
		return;
	l->link = xcalloc(1, sizeof(*l->link));
	l->link->l = l;
	l->link->retry = evtimer_new(l->e->b->base, on_retry, l->link);
	AWO_ASSERT(l->link->retry != NULL);
	try_connect(l->link);
}

bool
link_send(struct live *l, json_t *op)
{
	char *text;
	bool sent = false;

	if (l->link != NULL && l->link->up && l->link->bev != NULL) {
		text = json_dumps(op, JSON_COMPACT);
		if (text != NULL)
			sent = evbuffer_add_printf(bufferevent_get_output(l->link->bev), "%s\n", text) > 0;
		free(text);
	}
	json_decref(op);
	return sent;
}

void
link_close(struct live *l)
{
	if (l->link == NULL)
		return;
	disconnect(l->link);
	event_free(l->link->retry);
	free(l->link);
	l->link = NULL;
}

void
link_remove(struct live *l)
{
	CLEAN_FREE char *path = xasprintf("%s/workers", l->e->b->opt->run_dir);
	CLEAN_FD int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	link_close(l);
	if (dir >= 0)
		(void)files_remove_tree(dir, l->row->pub.agent_work_order_id, NULL);
}

void
links_sweep(struct engine *e)
{
	CLEAN_FREE char *path = xasprintf("%s/workers", e->b->opt->run_dir);
	DIR *dir = e->ready ? opendir(path) : NULL;	/* before, workers may live that are not known yet */
	const struct dirent *d;

	while (dir != NULL && (d = readdir(dir)) != NULL) {
		const struct live *l = live_find(e, d->d_name);

		if (ids_is_order(d->d_name) && (l == NULL || (l->stage != LIVE_SPAWNING && l->stage != LIVE_WORKING)))
			(void)files_remove_tree(dirfd(dir), d->d_name, NULL);
	}
	if (dir != NULL)
		closedir(dir);
}
