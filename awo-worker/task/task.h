/* One short task of a helper program: a JSON request in, JSON lines out, a deadline over everything
 * between. */
#ifndef WORKER_TASK_H
#define WORKER_TASK_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TASK_REQUEST_MAX (16U << 20) /* bytes of a request */
#define TASK_STANDS_BY "standing-by" /* instead of a verb, none of which is longer */

/* The closed sets of docs/internals.md; category and reason point to one of these words. */
struct task_err {
	const char *category; /* git transient permanent resource internal (forge: github too) */
	const char *reason;
	int64_t retry_after; /* seconds, 0 when nobody said */
	char msg[2048];	     /* for people, UTF-8 */
};

struct task {
	json_t *req;	/* the request, an object */
	unsigned needs; /* of the verb */
	struct task_err err;
	void *state; /* the program's own */
};

struct task_verb {
	const char *name;
	unsigned needs; /* the program's own bits, checked by its prepare() */
	int (*run)(struct task *t, json_t *answer);
	int64_t seconds; /* deadline when the request has no timeout_seconds */
};

struct task_program {
	const char *name;
	const struct task_verb *verbs;
	size_t nverbs;
	/* What can be done before the verb is known, by one that stands by; -1 when it cannot go on. */
	int (*ready)(void);
	/* Checks and sets up what the verb needs, before it runs; -1 with t->err. */
	int (*prepare)(struct task *t);
	const char *timeout_category, *timeout_msg;
};

/*
 * The whole of main(): reads the request from standard input, runs the verb that argv[1] names,
 * writes the answer to standard output. Returns the exit status. With TASK_STANDS_BY the request
 * may come late, names the verb in "verb", which ps(1) shows from then on, and the deadline begins. When that passes,
 * SIGALRM's handler writes the error and ends the process, whatever library call blocks.
 */
int task_main(const struct task_program *p, int argc, char **argv);

/* Sets the error and returns -1. */
#define TASK_FAIL(t, category, reason, ...) task_fail((t), (category), (reason), __VA_ARGS__)
int task_fail(struct task *t, const char *category, const char *reason, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/*
 * Fields of the request. A required one that is missing, and any of a wrong type or size, is an
 * error naming the field: NULL or false is returned and t->err is set. An optional one that is
 * missing or null gives NULL or the default, and is told from a failure by task_failed(). Strings
 * belong to the request.
 */
const char *task_str(struct task *t, const char *key, size_t max);
const char *task_str_opt(struct task *t, const char *key, size_t max);
bool task_int(struct task *t, const char *key, int64_t def, int64_t min, int64_t max, int64_t *out);
bool task_bool(struct task *t, const char *key, bool def);
bool task_failed(const struct task *t);

/* A JSON string of bytes that may be no UTF-8, cut at max bytes. New reference, never NULL. */
json_t *task_text(const char *s, size_t len, size_t max);
/* Writes the final answer now, with "ok":true added; what the verb does afterwards can only change
 * the exit status. */
int task_answer(struct task *t, json_t *answer);

#endif
