/* The control socket: the broker's cancel, pause, resume, gate and prompt, after it proved that it
 * knows the nonce. */
#ifndef WORKER_CONTROL_H
#define WORKER_CONTROL_H

#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define CONTROL_LINE_MAX (1U << 20) /* a prompt of 64 KiB in JSON, every byte escaped */

/* What the order does when it is told something. Each is called from the loop. */
struct control_handlers {
	void (*hello)(void *ctx, json_t *answer); /* adds frozen, waits, last_prompt_id, step */
	void (*cancel)(void *ctx, const char *reason);
	/* freeze and thaw return when it has taken effect; false: it could not be done, no ack is
	 * sent */
	bool (*freeze)(void *ctx, bool frozen);
	/* gates up to this one are open; one that is waited at and is not among them is announced again */
	void (*gate)(void *ctx, int64_t passed);
	void (*fetched)(void *ctx); /* the cache is up to date */
	bool (*prompt)(
	    void *ctx, int64_t id, const char *text); /* false: too late, no ack is sent */
	void *ctx;
};

struct control;

/* Takes listen_fd over. NULL with errno. nonce: 64 characters, copied. */
struct control *control_open(
    struct event_base *base, int listen_fd, const char *nonce, const struct control_handlers *h);
void control_close(struct control *c); /* NULL accepted */

#endif
