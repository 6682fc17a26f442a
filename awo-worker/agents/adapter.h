/* What AWO must know about an agent's command-line program: one row of this shape for each kind. */
#ifndef AGENTS_ADAPTER_H
#define AGENTS_ADAPTER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "awo-worker/failure.h"
#include "common/buf.h"
#include "proto/schema.h"

#define AGENT_TEXT_MAX (256U << 10) /* bytes kept of what the agent said last */
#define AGENT_SESSION_MAX 256
#define AGENT_VALUES_MAX                                                                           \
	400000U /* JSON values in one line; more would cost too much memory to parse */

/* One thing that a stream line says, as agent_output shows it. Pointers live as long as the call.
 */
struct agent_item {
	enum agent_item_kind {
		AGENT_SESSION,
		AGENT_TEXT,
		AGENT_TOOL_USE,
		AGENT_TOOL_RESULT,
		AGENT_RETRY,
		AGENT_RESULT,
		AGENT_NOTE
	} kind;
	const char *text;
	size_t len;
	const char *tool;    /* TOOL_USE, or NULL */
	const json_t *input; /* TOOL_USE, or NULL */
	bool is_error;
	const struct p_usage *usage; /* RESULT, or NULL */
};

typedef void agent_item_fn(void *ctx, const struct agent_item *item);

/* What the stream of one run has said so far. Zero-initialised but for item and ctx; freed with
 * agent_stream_free(). */
struct agent_stream {
	agent_item_fn *item;
	void *ctx;
	char session[AGENT_SESSION_MAX + 1];
	struct buf text; /* the agent's last words */
	bool joined;	 /* the next piece of text continues the last one (deltas) */
	struct p_usage usage;
	uint64_t malformed, results;
	bool is_error;	  /* of the newest result */
	bool doubtful;	  /* it says success, but the model's stream seems to have been cut */
	bool denied;	  /* it was refused a tool, and went on without */
	bool interrupted; /* the newest result is of a run that a signal or a person broke off */
	char subtype[64];
	char error[1024];    /* the newest error in words, or "" */
	int64_t http_status; /* of the newest API error; 0: none */
	int64_t retry_after; /* seconds that the newest retry asked to wait; 0: not known */
};

struct agent_request {
	const char *program;	   /* argv[0] */
	const char *model;	   /* or NULL */
	int64_t max_turns;	   /* 0: none */
	const char *session;	   /* to be resumed, or NULL */
	const struct p_strv *args; /* further arguments from the configuration */
};

/* What the adapter makes of a run: failure is set when !ok. */
struct agent_verdict {
	bool ok;
	bool session_lost; /* the session to be resumed does not exist */
	struct failure failure;
};

struct agent_exit {
	bool signaled;
	int code;		 /* exit status, or the signal */
	const char *stderr_tail; /* last bytes of standard error, or "" */
};

struct agent_adapter {
	const char *name;
	const char *install; /* how people get the program, or NULL */
	const char *const
	    *env; /* "KEY=value": turns off traffic that is not the model's; NULL-terminated */
	bool sigint_cleans; /* on SIGINT it ends its tools and tells so; else SIGTERM is as good */
	void (*argv)(const struct agent_request *r, struct p_strv *argv);
	/* one line of standard output, without its newline; any bytes */
	void (*line)(struct agent_stream *s, const char *p, size_t len);
	void (*verdict)(
	    const struct agent_stream *s, const struct agent_exit *e, struct agent_verdict *v);
};

extern const struct agent_adapter agent_claude, agent_codex, agent_opencode, agent_gemini,
    agent_command;

const struct agent_adapter *adapter_find(const char *name); /* NULL when there is none */
void agent_stream_free(struct agent_stream *s);

/* ---- for the adapters */

/* Parses one line; NULL (and malformed counted, a note sent) when it is no JSON object or has too
 * many values. */
json_t *adapter_json(struct agent_stream *s, const char *p, size_t len);
void adapter_session(
    struct agent_stream *s, const char *id); /* ids that no argument could be are ignored */
void adapter_text(
    struct agent_stream *s, const char *text, size_t len); /* replaces the last words */
void adapter_text_more(
    struct agent_stream *s, const char *text, size_t len); /* goes on with them */
void adapter_say(
    struct agent_stream *s, enum agent_item_kind kind, const char *text, size_t len, bool is_error);
void adapter_tool(struct agent_stream *s, const char *tool, const json_t *input);
void adapter_result(
    struct agent_stream *s, const char *text); /* tells the result line with the usage so far */
void adapter_error(struct agent_stream *s, const char *text);
void adapter_add_tokens(struct agent_stream *s, int64_t input, int64_t output);
const char *adapter_string(
    const json_t *o, const char *key);		       /* "" when it is missing or no string */
int64_t adapter_int(const json_t *o, const char *key); /* 0 when missing, negative or no number */
int64_t adapter_tokens(
    const json_t *o, const char *key); /* the same, at most 1e12: sums cannot overflow */
double adapter_real(const json_t *o, const char *key);
/*
 * Fills a failure from what is known: HTTP status (0: look for one in the text), words of the
 * error, standard error, exit. Rate limits, overload, network trouble and signals are transient;
 * refused keys and requests permanent.
 */
void adapter_fail(const struct agent_stream *s, const struct agent_exit *e, const char *what,
    struct agent_verdict *v);
/* Text that some agents give out as a success: "[API Error: ...". */
bool adapter_is_api_error(const char *text);

#endif
