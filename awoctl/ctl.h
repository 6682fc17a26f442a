/* awoctl's own contract: the command table, the parsed line, and the context that every command gets. */
#ifndef AWOCTL_CTL_H
#define AWOCTL_CTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "awoctl/term.h"
#include "common/err.h"
#include "proto/client.h"
#include "proto/schema.h"

#define CTL_MANY 4096
#define CTL_EXIT_FAILED 1
#define CTL_EXIT_USAGE 2
#define CTL_EXIT_NO_DAEMON 5
#define CTL_EXIT_INTERRUPTED 130 /* as shells say it: neither done nor failed */
#define CTL_CALL_MS 600000 /* the daemon has shorter limits of its own for everything that can take long */
#define CTL_CONNECT_MS 3000

struct ctl;

enum ctl_complete {
	CTL_COMPLETE_NONE,
	CTL_COMPLETE_ORDER,
	CTL_COMPLETE_REPOSITORY,
	CTL_COMPLETE_FILE,
	CTL_COMPLETE_SHELL,
	CTL_COMPLETE_STATUS,
	CTL_COMPLETE_SANDBOX,
	CTL_COMPLETE_LEVEL,
	CTL_COMPLETE_KIND,
	CTL_COMPLETE_WORKFLOW,
	CTL_COMPLETE_STEP,
	CTL_COMPLETE_SETTING,
	CTL_COMPLETE_CREDENTIAL,
	CTL_COMPLETE_TOKEN,
	CTL_COMPLETE_TEST,
	CTL_COMPLETE_SCOPE,
	CTL_COMPLETE_AGENT,
};

enum ctl_command_id {
#define GROUP(id, title) CTL_C_group_##id,
#define RPC_COMMAND(id, method, args, min, max, complete, more) CTL_C_##id,
#define COMMAND(id, words, args, min, max, complete, help, more) CTL_C_##id,
#define OPTION(command, name, letter, arg, complete, help)
#include "awoctl/commands.def"
#undef GROUP
#undef RPC_COMMAND
#undef COMMAND
#undef OPTION
	CTL_C__COUNT
};

struct ctl_command {
	const char *group;		/* the title, in rows that are headings; else NULL */
	enum p_method_id method;	/* P_M__COUNT when it is no call of one method */
	const char *words_, *help_;	/* NULL when methods.def has them: use ctl_words(), ctl_help() */
	const char *args;
	size_t min, max;
	enum ctl_complete complete;
	const char *more;
	int (*run)(struct ctl *ctl);	/* returns the exit status */
};

struct ctl_option {
	enum ctl_command_id command;
	const char *name;
	char letter;			/* 0 when it has none */
	const char *arg;		/* NULL for a switch */
	enum ctl_complete complete;
	const char *help;
};

struct ctl_global {
	const char *name;
	char letter;
	const char *arg;
	const char *help;
};

extern const struct ctl_command ctl_commands[CTL_C__COUNT];
extern const struct ctl_option ctl_options[];
extern const size_t ctl_noptions;
extern const struct ctl_global ctl_globals[];
extern const size_t ctl_nglobals;

const char *ctl_words(const struct ctl_command *command);
const char *ctl_help(const struct ctl_command *command);

#define CTL_VALUES_MAX 64

/* A command line, taken apart. Strings are argv's. */
struct ctl_line {
	const struct ctl_command *command;	/* NULL with help or version, or when a group alone was named */
	const char *group;			/* "repo", when only that was given with --help */
	bool json, quiet, no_autostart, no_color, help, version;
	const char *socket;
	struct {
		const struct ctl_option *option;
		const char *value;		/* "" for a switch */
	} values[CTL_VALUES_MAX];
	size_t nvalues;
	const char **args;			/* nargs of them; freed by ctl_line_free() */
	size_t nargs;
};

/* 0, or -1 with what is wrong and how to find help in *err. The line is to be freed either way. */
int ctl_parse(int argc, char **argv, struct ctl_line *line, struct awo_err *err);
void ctl_line_free(struct ctl_line *line);

struct ctl {
	const struct ctl_line *line;
	struct term out, err;		/* standard output and standard error */
	struct client *client;		/* NULL until ctl_connect() */
	char socket[256];		/* where it is connected to, or would be */
};

/* The value of an option (the last one given), NULL when it was not given. The option must be one of the command's. */
const char *ctl_opt(const struct ctl *ctl, const char *name);
bool ctl_flag(const struct ctl *ctl, const char *name);

/* ---- talking to awod (connect.c) */

/* Connects, starting the user's own awod when there is none and that is wanted. -1 with *err. Does nothing if it stands. */
int ctl_connect(struct ctl *ctl, struct awo_err *err);
/* Connects to the same socket again, starting nothing. */
int ctl_reconnect(struct ctl *ctl, struct awo_err *err);
/* Connects if somebody answers, starting nothing; false with *err when nobody does. */
bool ctl_running(struct ctl *ctl, struct awo_err *err);
/* One call; the error is returned, not printed. */
int ctl_try(struct ctl *ctl, enum p_method_id method, const void *request, void *answer, struct awo_err *err);
/*
 * One call; an error is printed. Returns the exit status: 0, and *answer is filled and to be freed; else nothing is.
 */
int ctl_call(struct ctl *ctl, enum p_method_id method, const void *request, void *answer);
/* The directories of user mode; into buf, which is returned; NULL when there is no home directory. */
const char *ctl_user_dir(const char *variable, const char *below_home, char *buf, size_t len);
const char *ctl_user_socket(char *buf, size_t len);
/* awod's executable, beside awoctl's own or in PATH; NULL when there is none. */
const char *ctl_find_awod(char *buf, size_t len);

/* ---- saying things (output.c). What is printed with %s must be escaped, but for the error functions, which escape. */

/* Prints an error for people, or as JSON, and returns its exit status. */
int ctl_fail(const struct ctl *ctl, const struct awo_err *err);
/* A usage error: exit status 2. */
int ctl_usage(const struct ctl *ctl, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Remarks on standard error, left out with --quiet and --json. */
void ctl_note(const struct ctl *ctl, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A buffer or a document to standard output; ends the program when nobody reads it any more. */
void ctl_out(struct buf *b);
void ctl_out_json(const struct ctl *ctl, const json_t *tree);
void ctl_out_line(const json_t *tree);		/* one compact line, for streams */
void ctl_out_struct(const struct ctl *ctl, const struct p_type *type, const void *obj);
/* With --json: prints and frees the answer, and returns true. Else does nothing and returns false. */
bool ctl_json_done(const struct ctl *ctl, const struct p_type *type, void *obj);

void ctl_print_help(const struct ctl_line *line, struct buf *b);
void ctl_usage_line(const struct ctl_command *command, struct buf *b);

/* ---- arguments that several commands take (values.c); each prints the usage error and returns its exit status, or 0 */

/* "wo-1a2b", "1a2b": what the daemon resolves, into buf of 65 bytes. */
int ctl_order_id(const struct ctl *ctl, const char *text, char *buf);
int ctl_int(const struct ctl *ctl, const char *what, const char *text, int64_t lo, int64_t hi, int64_t *value);
int ctl_duration(const struct ctl *ctl, const char *what, const char *text, int64_t *seconds);
int ctl_since(const struct ctl *ctl, const char *what, const char *text, int64_t *wall_us);
int ctl_enum(const struct ctl *ctl, const char *what, const struct p_enum *en, const char *text, int *value);
int ctl_list(const struct ctl *ctl, const char *what, const char *text, struct p_strv *items);
/* A repository as the daemon takes it: local paths made absolute. New string. */
int ctl_repository(const struct ctl *ctl, const char *text, char **repository);
/* Words joined by spaces, or standard input for a single "-"; at most limit bytes. New string. */
int ctl_words_or_stdin(const struct ctl *ctl, const char *const *words, size_t n, size_t limit, char **text);

#define GROUP(id, title)
#define RPC_COMMAND(id, method, args, min, max, complete, more) int ctl_##id(struct ctl *ctl);
#define COMMAND(id, words, args, min, max, complete, help, more) int ctl_##id(struct ctl *ctl);
#define OPTION(command, name, letter, arg, complete, help)
#include "awoctl/commands.def"
#undef GROUP
#undef RPC_COMMAND
#undef COMMAND
#undef OPTION

#endif
