/* The broker's end of the socket to the supervisor: fixed-size messages and descriptors. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "awod/engine_priv.h"
#include "common/buf.h"
#include "common/log.h"

struct out_msg {
	struct out_msg *next;
	struct sup_msg m;
	int fds[SUP_FDS_MAX];
	int nfds;
};

struct suplink {
	struct engine *e;
	int fd;
	struct event *rd, *wr;
	struct out_msg *head, **tail;	/* waits for the socket to take more */
};

void
suplink_msg(struct sup_msg *m, enum sup_op op, enum sup_kind kind)
{
	memset(m, 0, sizeof(*m));
	m->version = SUP_VERSION;
	m->op = op;
	m->kind = kind;
}

/* 0 sent, 1 try later, -1 failed. */
static int
send_now(struct suplink *s, const struct sup_msg *m, const int *fds, int nfds)
{
	union {
		char buf[CMSG_SPACE(sizeof(int) * SUP_FDS_MAX)];
		struct cmsghdr align;
	} u;
	struct sup_msg copy = *m;
	struct iovec iov = {.iov_base = &copy, .iov_len = sizeof(copy)};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};

	if (nfds > 0) {
		struct cmsghdr *c;

		memset(&u, 0, sizeof(u));
		h.msg_control = u.buf;
		h.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)nfds);
		c = CMSG_FIRSTHDR(&h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)nfds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * (size_t)nfds);
	}
	if (sendmsg(s->fd, &h, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof(copy))
		return 0;
	if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR || errno == ENOBUFS ||
	    errno == ETOOMANYREFS)	/* descriptors in flight: the supervisor takes them out */
		return 1;
	log_error("supervisor_send_failed", LS("error", strerror(errno)));
	return -1;
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct suplink *s = arg;

	(void)fd;
	(void)what;
	while (s->head != NULL) {
		struct out_msg *o = s->head;

		if (send_now(s, &o->m, o->fds, o->nfds) == 1) {
			event_add(s->wr, NULL);
			return;
		}
		s->head = o->next;
		if (s->head == NULL)
			s->tail = &s->head;
		for (int i = 0; i < o->nfds; i++)
			close(o->fds[i]);
		free(o);
	}
}

/* Sends a message; the descriptors are the link's from here. */
void
suplink_send(struct suplink *s, const struct sup_msg *m, const int *fds, int nfds)
{
	struct out_msg *o;

	AWO_ASSERT(nfds >= 0 && nfds <= SUP_FDS_MAX);
	if (s->head == NULL && send_now(s, m, fds, nfds) != 1) {
		for (int i = 0; i < nfds; i++)
			close(fds[i]);
		return;
	}
	o = xcalloc(1, sizeof(*o));
	o->m = *m;
	o->nfds = nfds;
	for (int i = 0; i < nfds; i++)
		o->fds[i] = fds[i];
	*s->tail = o;
	s->tail = &o->next;
	event_add(s->wr, NULL);
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct suplink *s = arg;
	struct sup_msg m;

	(void)what;
	for (;;) {
		ssize_t n = recv(fd, &m, sizeof(m), MSG_DONTWAIT);

		if (n == (ssize_t)sizeof(m) && m.version == SUP_VERSION) {
			m.id[sizeof(m.id) - 1] = m.what[sizeof(m.what) - 1] = '\0';
			m.cache[sizeof(m.cache) - 1] = '\0';
			engine_message(s->e, &m);
			continue;
		}
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		/* The supervisor is gone: nothing can be started or ended without it, and another one starts its own broker. */
		log_warning("supervisor_gone", LS("error", n == 0 ? "closed" : n < 0 ? strerror(errno) : "bad message"));
		event_del(s->rd);
		event_base_loopexit(s->e->b->base, NULL);
		return;
	}
}

struct suplink *
suplink_open(struct engine *e, int fd, struct awo_err *err)
{
	struct suplink *s = xcalloc(1, sizeof(*s));

	s->e = e;
	s->fd = fd;
	s->tail = &s->head;
	s->rd = event_new(e->b->base, fd, EV_READ | EV_PERSIST, on_readable, s);
	s->wr = event_new(e->b->base, fd, EV_WRITE, on_writable, s);
	if (s->rd == NULL || s->wr == NULL || event_add(s->rd, NULL) != 0) {
		suplink_close(s);
		ERR(err, INTERNAL, "", "cannot watch the supervisor's socket");
		return NULL;
	}
	return s;
}

void
suplink_close(struct suplink *s)
{
	if (s == NULL)
		return;
	if (s->rd != NULL)
		event_free(s->rd);
	if (s->wr != NULL)
		event_free(s->wr);
	while (s->head != NULL) {
		struct out_msg *o = s->head;

		s->head = o->next;
		for (int i = 0; i < o->nfds; i++)
			close(o->fds[i]);
		free(o);
	}
	free(s);
}
