/* Command files: their front matter, and the prompt that their text becomes with arguments put in.
 */
#ifndef WORKER_PROMPT_TEMPLATE_H
#define WORKER_PROMPT_TEMPLATE_H

#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "proto/schema.h"

#define PROMPT_FILE_MAX (256U << 10) /* bytes of a command file */
#define PROMPT_TEXT_MAX (4U << 20)   /* bytes of a prompt */

struct prompt_template {
	char *body;
	char *description, *model;  /* NULL: not given */
	int64_t max_turns, timeout; /* seconds; 0: not given */
	struct p_strv
	    warnings; /* about keys that mean nothing here, and values that could not be read */
};

/* *t is always to be freed. Refuses (INVALID_ARGUMENT) text that is no UTF-8 or too long. */
int prompt_parse(struct prompt_template *t, const char *text, size_t len, struct awo_err *err);
void prompt_free(struct prompt_template *t);
/*
 * Appends body with $ARGUMENTS (all, joined by ", "), $1 to $9 and $$ replaced; missing arguments
 * are empty, what was put in is not looked at again. Refuses (RESOURCE_EXHAUSTED) a result over
 * PROMPT_TEXT_MAX.
 */
int prompt_render(
    const char *body, const char *const *args, size_t nargs, struct buf *out, struct awo_err *err);

#endif
