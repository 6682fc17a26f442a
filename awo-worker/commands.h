/* The command files of an order: where they are, and which one a step's name means. */
#ifndef WORKER_COMMANDS_H
#define WORKER_COMMANDS_H

#include <jansson.h>

#include "awo-worker/failure.h"
#include "awo-worker/prompt_template.h"
#include "proto/schema.h"

struct order;

/* Names in order of the places: what an earlier place has hides what a later one has. */
struct commands {
	struct p_strv names;
	struct p_strv places; /* of each name: a directory in the repository ("repo:...") or one of
				 the worker's root */
	json_t *listed;	      /* what the repository's directories hold: {directory: [file]} */
};

/* The repository's directories of command files, in their order (new reference). */
json_t *commands_in_repository(void);

/* Lists every place once, and lets go of what is listed. A place that cannot be read is left out. */
void commands_load(struct order *o);
void commands_free(struct commands *c);
/*
 * Reads a command file by the name of its step. *t is always to be freed; *where gets what people
 * should be told of its place (caller frees). "Command file not found: <path>" when there is none.
 */
int commands_read(
    struct order *o, const char *name, struct prompt_template *t, char **where, struct failure *f);

#endif
