/* One run of the demonstration agent, and what its files offer each other. */
#ifndef AWO_WORKER_DEMO_DEMO_H
#define AWO_WORKER_DEMO_DEMO_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "common/buf.h"

struct demo {
	/* from the command line */
	const char *model;
	unsigned long max_turns; /* 0: no limit */
	/* from standard input */
	char *prompt;
	size_t prompt_len;
	const struct demo_step *step;
	/* session */
	char session_id[64];
	int state_fd; /* $HOME/.demo-agent, or -1 when HOME cannot be written */
	/* what it reports at the end */
	struct timespec start;
	bool started; /* the model was asked: a refused --resume counts no turn */
	unsigned long num_turns;
	size_t bytes_out;
	/* how it was told to misbehave */
	struct {
		bool no_commit, no_branch, false_success, fail_tests, review_blocker;
	} told;
};

/* A step whose prompt the agent knows by its title. run() returns the last message, which the
 * caller frees. */
struct demo_step {
	const char *name, *title;
	char *(*run)(struct demo *d);
};

/* stream.c: lines of the claude stream format; the process exits with 1 when its reader is gone. */
void stream_init(struct demo *d);
void stream_text(struct demo *d, const char *text, size_t len);
void stream_tool_use(
    struct demo *d, const char *tool, json_t *input, char id[32]); /* takes input */
void stream_tool_result(
    struct demo *d, const char *id, const char *text, size_t len, bool is_error);
void stream_api_retry(struct demo *d, int http_status, const char *error, double delay_seconds);
void stream_raw(const void *p, size_t n);
void stream_success(struct demo *d, const char *text);
_Noreturn void stream_fail_api(
    struct demo *d, int http_status, const char *error, const char *text);
_Noreturn void stream_fail(struct demo *d, const char *subtype, const char *message);

/* session.c: what is kept in $HOME/.demo-agent from one run to the next. */
void session_uuid(char out[37]);
void session_open_state(struct demo *d);
bool session_resume(struct demo *d, const char *id); /* false: not known here */
bool session_begin(struct demo *d, const char *id);  /* id NULL: a new one; false: already used */
char *state_read(struct demo *d, const char *name);  /* NULL: not there; caller frees */
void state_write(struct demo *d, const char *name, const char *text);

/* tools.c: things done in the work tree, each reported as a tool call. */
int tool_bash(
    struct demo *d, const char *command, char **output); /* exit status; output may be NULL */
bool tool_write(struct demo *d, const char *path, const char *content, bool append);
void shell_quote(struct buf *b, const char *s);
_Noreturn void wait_for_signal(struct demo *d);
void wait_seconds(struct demo *d, double seconds);
void signals_set_up(void);

/* steps.c */
const struct demo_step *steps_recognise(const char *prompt);
const struct demo_step *steps_all(size_t *n);

/* misbehave.c */
void misbehave_remember(struct demo *d);
void misbehave(struct demo *d);
void misbehave_help(void);

#endif
