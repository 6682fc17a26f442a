/* One event loop, spun by code that waits for one thing after the other; and the processes that it
 * waits for. */
#ifndef WORKER_LOOP_H
#define WORKER_LOOP_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct loop_child {
	pid_t pid;
	bool ended;
	int status; /* wait status, when ended */
	struct loop_child *next;
};

struct loop {
	struct event_base *base;
	struct event *sigchld, *timer;
	struct loop_child *children;
	bool frozen;
	int64_t frozen_since, frozen_us; /* of the monotonic clock */
	void (*before_wait)(void *ctx);	 /* called by each turn, or NULL */
	void *ctx;
};

int loop_open(struct loop *l); /* -1 with errno */
void loop_close(struct loop *l);

/* Microseconds that stand still while the order is frozen: every deadline of the order is in them.
 */
int64_t loop_now(const struct loop *l);
void loop_freeze(struct loop *l, bool frozen);
/* Waits until something happened; false when the deadline (0: none) has passed. */
bool loop_turn(struct loop *l, int64_t deadline);

/* Registers a child before the next turn. Children that nobody registered are reaped as they come
 * (this is a pid 1). */
void loop_child_add(struct loop *l, struct loop_child *c);
void loop_child_remove(struct loop *l, struct loop_child *c);

/* Reads a descriptor as bytes arrive. */
struct loop_reader {
	struct event *ev;
	int fd;
	void (*data)(void *ctx, const char *p, size_t n);
	void *ctx;
};

void loop_reader_open(struct loop *l, struct loop_reader *r, int fd, /* takes fd over */
    void (*data)(void *ctx, const char *p, size_t n), void *ctx);
bool loop_reader_done(const struct loop_reader *r); /* end of file or error seen, or never opened */
void loop_reader_close(struct loop_reader *r);

/* Writes bytes to a descriptor as it takes them, then closes it. The bytes must live so long. */
struct loop_writer {
	struct event *ev;
	int fd;
	const char *p;
	size_t left;
};

void loop_writer_open(
    struct loop *l, struct loop_writer *w, int fd, const char *p, size_t n); /* takes fd over */
void loop_writer_close(struct loop_writer *w);

#endif
