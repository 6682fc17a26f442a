/* The command files of an order: where they are, and which one a step's name means. */
#ifndef WORKER_COMMANDS_H
#define WORKER_COMMANDS_H

#include "awo-worker/failure.h"
#include "awo-worker/prompt_template.h"
#include "proto/schema.h"

struct order;

/* Names in order of the places: what an earlier place has hides what a later one has. */
struct commands {
	struct p_strv names;
	struct p_strv places; /* of each name: a directory in the repository ("repo:...") or one of
				 the worker's root */
};

/* Lists every place once. A place that cannot be read is left out; the repository's failing is an
 * error. */
int commands_load(struct order *o, struct failure *f);
void commands_free(struct commands *c);
/*
 * Reads a command file by the name of its step. *t is always to be freed; *where gets what people
 * should be told of its place (caller frees). "Command file not found: <path>" when there is none.
 */
int commands_read(
    struct order *o, const char *name, struct prompt_template *t, char **where, struct failure *f);

#endif
