/* One event loop, spun by code that waits for one thing after the other; and the processes that it
 * waits for. */
#include "awo-worker/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/err.h"

static void
reap(struct loop *l)
{
	for (struct loop_child *c = l->children; c != NULL; c = c->next)
		if (!c->ended && waitpid(c->pid, &c->status, WNOHANG) == c->pid)
			c->ended = true;
	/* what lost its parent in this pid namespace comes here, and would stay a zombie */
	for (;;) {
		siginfo_t info = {0};
		struct loop_child *c;

		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
			return;
		/* one of ours may have ended since the look above */
		for (c = l->children; c != NULL && c->pid != info.si_pid; c = c->next)
			;
		if (waitpid(info.si_pid, c != NULL ? &c->status : NULL, WNOHANG) == info.si_pid &&
		    c != NULL)
			c->ended = true;
	}
}

static void
on_sigchld(evutil_socket_t sig, short what, void *arg)
{
	(void)sig;
	(void)what;
	reap(arg);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	/* its only work is to end a turn */
	(void)fd;
	(void)what;
	(void)arg;
}

int
loop_open(struct loop *l)
{
	struct event_config *config = event_config_new();

	*l = (struct loop){0};
	if (config == NULL)
		return -1;
	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	l->base = event_base_new_with_config(config);
	event_config_free(config);
	if (l->base == NULL)
		return -1;
	l->sigchld = evsignal_new(l->base, SIGCHLD, on_sigchld, l);
	l->timer = evtimer_new(l->base, on_timer, l);
	if (l->sigchld == NULL || l->timer == NULL || evsignal_add(l->sigchld, NULL) != 0) {
		loop_close(l);
		return -1;
	}
	return 0;
}

void
loop_close(struct loop *l)
{
	if (l->sigchld != NULL)
		event_free(l->sigchld);
	if (l->timer != NULL)
		event_free(l->timer);
	if (l->base != NULL)
		event_base_free(l->base);
	*l = (struct loop){0};
}

int64_t
loop_now(const struct loop *l)
{
	int64_t now = l->frozen ? l->frozen_since : clock_mono_us();

	return now - l->frozen_us;
}

void
loop_freeze(struct loop *l, bool frozen)
{
	if (frozen == l->frozen)
		return;
	if (frozen)
		l->frozen_since = clock_mono_us();
	else
		l->frozen_us += clock_mono_us() - l->frozen_since;
	l->frozen = frozen;
}

bool
loop_turn(struct loop *l, int64_t deadline)
{
	struct timeval tv;
	int64_t left;

	if (l->before_wait != NULL)
		l->before_wait(l->ctx);
	if (deadline != 0 && !l->frozen) {
		left = deadline - loop_now(l);
		if (left <= 0) {
			/* what has arrived in the meantime still counts */
			event_base_loop(l->base, EVLOOP_NONBLOCK);
			return false;
		}
		tv = (struct timeval){.tv_sec = left / 1000000, .tv_usec = left % 1000000};
		evtimer_add(l->timer, &tv);
	}
	event_base_loop(l->base, EVLOOP_ONCE);
	evtimer_del(l->timer);
	return deadline == 0 || l->frozen || loop_now(l) < deadline;
}

void
loop_child_add(struct loop *l, struct loop_child *c)
{
	c->next = l->children;
	l->children = c;
	/* it may have ended before it was known */
	reap(l);
}

void
loop_child_remove(struct loop *l, struct loop_child *c)
{
	for (struct loop_child **p = &l->children; *p != NULL; p = &(*p)->next) {
		if (*p == c) {
			*p = c->next;
			break;
		}
	}
	reap(l);
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct loop_reader *r = arg;
	char chunk[32 * 1024];
	ssize_t n = read(fd, chunk, sizeof(chunk));

	(void)what;
	if (n > 0)
		r->data(r->ctx, chunk, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		loop_reader_close(r);
}

static void
set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0)
		fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

void
loop_reader_open(struct loop *l, struct loop_reader *r, int fd,
    void (*data)(void *ctx, const char *p, size_t n), void *ctx)
{
	*r = (struct loop_reader){.fd = fd, .data = data, .ctx = ctx};
	set_nonblocking(fd);
	r->ev = event_new(l->base, fd, EV_READ | EV_PERSIST, on_readable, r);
	AWO_ASSERT(r->ev != NULL && event_add(r->ev, NULL) == 0);
}

bool
loop_reader_done(const struct loop_reader *r)
{
	return r->ev == NULL;
}

void
loop_reader_close(struct loop_reader *r)
{
	if (r->ev == NULL)
		return;
	event_free(r->ev);
	r->ev = NULL;
	close(r->fd);
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct loop_writer *w = arg;
	ssize_t n = write(fd, w->p, w->left);

	(void)what;
	if (n > 0) {
		w->p += n;
		w->left -= (size_t)n;
	} else if (n < 0 && errno != EAGAIN && errno != EINTR) {
		w->left = 0; /* the reader is gone: its business */
	}
	if (w->left == 0)
		loop_writer_close(w);
}

void
loop_writer_open(struct loop *l, struct loop_writer *w, int fd, const char *p, size_t n)
{
	*w = (struct loop_writer){.fd = fd, .p = p, .left = n};
	set_nonblocking(fd);
	w->ev = event_new(l->base, fd, EV_WRITE | EV_PERSIST, on_writable, w);
	AWO_ASSERT(w->ev != NULL && event_add(w->ev, NULL) == 0);
}

void
loop_writer_close(struct loop_writer *w)
{
	if (w->ev == NULL)
		return;
	event_free(w->ev);
	w->ev = NULL;
	close(w->fd);
}
