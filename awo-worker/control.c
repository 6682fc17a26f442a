/* The control socket: the broker's cancel, pause, resume, gate and prompt, after it proved that it
 * knows the nonce. */
#include "awo-worker/control.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clean.h"

#define HELLO_MAX 512 /* bytes before the nonce has been seen */
#define HELLO_SECONDS 5
#define PENDING_OUT (1U << 20) /* a reader that takes no answers is dropped */
#define NONCE 64

struct peer {
	struct control *control;
	struct bufferevent *bev;
	bool known;
};

struct control {
	struct event_base *base;
	struct event *accept;
	int fd;
	char nonce[NONCE + 1];
	struct control_handlers h;
	/* the one that is known, and the newest that has not said hello yet */
	struct peer current, candidate;
};

static void
drop(struct peer *p)
{
	if (p->bev != NULL)
		bufferevent_free(p->bev);
	*p = (struct peer){.control = p->control};
}

/* Takes as long for a wrong nonce as for the right one. */
static bool
is_nonce(const struct control *c, const char *s)
{
	unsigned char differ = 0;

	if (s == NULL || strlen(s) != NONCE)
		return false;
	for (size_t i = 0; i < NONCE; i++)
		differ |= (unsigned char)(s[i] ^ c->nonce[i]);
	return differ == 0;
}

static void
say(struct peer *p, json_t *o)
{
	json_t *own CLEAN_JSON = o;
	char *text CLEAN_FREE = json_dumps(own, JSON_COMPACT);

	if (text == NULL)
		return;
	bufferevent_write(p->bev, text, strlen(text));
	bufferevent_write(p->bev, "\n", 1);
}

static void
ack(struct peer *p, const char *of, int64_t prompt_id)
{
	json_t *o = json_object();

	json_object_set_new(o, "op", json_string("ack"));
	json_object_set_new(o, "of", json_string(of));
	if (prompt_id > 0)
		json_object_set_new(o, "prompt_id", json_integer(prompt_id));
	say(p, o);
}

/* False: the peer is to be dropped. */
static bool
hello(struct peer *p, const json_t *line)
{
	json_t *o;

	if (!is_nonce(p->control, json_string_value(json_object_get(line, "nonce"))))
		return false;
	o = json_object();
	json_object_set_new(o, "op", json_string("hello"));
	json_object_set_new(o, "nonce", json_string(p->control->nonce));
	json_object_set_new(o, "proto", json_integer(1));
	p->control->h.hello(p->control->h.ctx, o);
	p->known = true;
	bufferevent_set_timeouts(p->bev, NULL, NULL);
	say(p, o);
	return true;
}

static bool
operation(struct peer *p, const json_t *line, const char *op)
{
	const struct control_handlers *h = &p->control->h;
	const char *text;
	int64_t id;

	if (strcmp(op, "cancel") == 0) {
		text = json_string_value(json_object_get(line, "reason"));
		h->cancel(h->ctx, text != NULL ? text : "");
		ack(p, op, 0);
	} else if (strcmp(op, "pause") == 0 || strcmp(op, "resume") == 0) {
		if (h->freeze(h->ctx, op[0] == 'p'))
			ack(p, op, 0);
	} else if (strcmp(op, "gate") == 0) {
		h->gate(h->ctx, json_integer_value(json_object_get(line, "passed")));
		ack(p, op, 0);
	} else if (strcmp(op, "fetched") == 0) {
		h->fetched(h->ctx);
	} else if (strcmp(op, "prompt") == 0) {
		text = json_string_value(json_object_get(line, "text"));
		id = json_integer_value(json_object_get(line, "prompt_id"));
		if (text == NULL || id < 1)
			return false;
		if (h->prompt(h->ctx, id, text))
			ack(p, op, id);
	} else if (strcmp(op, "hello") == 0) {
		return hello(p, line);
	}
	/* operations of a newer broker are not answered: it sees that by the missing ack */
	return evbuffer_get_length(bufferevent_get_output(p->bev)) <= PENDING_OUT;
}

static bool
take_line(struct peer *p, const char *text, size_t len)
{
	json_t *line CLEAN_JSON = json_loadb(text, len, 0, NULL);
	const char *op = json_string_value(json_object_get(line, "op"));

	if (op == NULL)
		return false;
	if (!p->known)
		return strcmp(op, "hello") == 0 && hello(p, line);
	return operation(p, line, op);
}

static void on_read(struct bufferevent *bev, void *arg);
static void on_event(struct bufferevent *bev, short what, void *arg);

static void
on_read(struct bufferevent *bev, void *arg)
{
	struct peer *p = arg;
	struct evbuffer *in = bufferevent_get_input(bev);

	for (;;) {
		size_t len, most = p->known ? CONTROL_LINE_MAX : HELLO_MAX;
		bool was_known = p->known;
		char *text CLEAN_FREE = evbuffer_readln(in, &len, EVBUFFER_EOL_LF);

		if (text == NULL) {
			if (evbuffer_get_length(in) > most)
				drop(p);
			return;
		}
		if (len > most || !take_line(p, text, len)) {
			drop(p);
			return;
		}
		if (!was_known && p->known && p == &p->control->candidate) {
			struct peer *current = &p->control->current;

			/* a new valid hello replaces the old connection */
			drop(current);
			*current = *p;
			*p = (struct peer){.control = current->control};
			bufferevent_setcb(bev, on_read, NULL, on_event, current);
			p = current;
		}
	}
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	(void)bev;
	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR | BEV_EVENT_TIMEOUT))
		drop(arg);
}

static void
on_accept(evutil_socket_t listen_fd, short what, void *arg)
{
	const struct timeval patience = {.tv_sec = HELLO_SECONDS};
	struct control *c = arg;
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)what;
	if (fd < 0)
		return;
	drop(&c->candidate);
	c->candidate.bev = bufferevent_socket_new(c->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (c->candidate.bev == NULL) {
		close(fd);
		return;
	}
	bufferevent_setcb(c->candidate.bev, on_read, NULL, on_event, &c->candidate);
	bufferevent_set_timeouts(c->candidate.bev, &patience, NULL);
	bufferevent_setwatermark(c->candidate.bev, EV_READ, 0, (size_t)2 * CONTROL_LINE_MAX);
	bufferevent_enable(c->candidate.bev, EV_READ | EV_WRITE);
}

struct control *
control_open(
    struct event_base *base, int listen_fd, const char *nonce, const struct control_handlers *h)
{
	struct control *c = xcalloc(1, sizeof(*c));
	int flags = fcntl(listen_fd, F_GETFL);

	*c = (struct control){.base = base, .fd = listen_fd, .h = *h};
	c->current.control = c->candidate.control = c;
	if (strlen(nonce) != NONCE || flags < 0 ||
	    fcntl(listen_fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
	    fcntl(listen_fd, F_SETFD, FD_CLOEXEC) != 0) {
		free(c);
		errno = EINVAL;
		return NULL;
	}
	memcpy(c->nonce, nonce, NONCE);
	c->accept = event_new(base, listen_fd, EV_READ | EV_PERSIST, on_accept, c);
	if (c->accept == NULL || event_add(c->accept, NULL) != 0) {
		free(c);
		return NULL;
	}
	return c;
}

void
control_close(struct control *c)
{
	if (c == NULL)
		return;
	drop(&c->current);
	drop(&c->candidate);
	event_free(c->accept);
	close(c->fd);
	explicit_bzero(c->nonce, sizeof(c->nonce));
	free(c);
}
