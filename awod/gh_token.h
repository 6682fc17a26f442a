/* User mode: the token that the user's gh program keeps, asked for in the background. */
#ifndef AWOD_GH_TOKEN_H
#define AWOD_GH_TOKEN_H

#include "awod/broker.h"

struct gh_token;

/* Asks the program (a name in PATH or a path) for the token of a host. A program that is missing is no error. */
struct gh_token *gh_token_open(struct event_base *base, const char *program, const char *host);
/* What it answered, or NULL: not yet, or nothing. */
const char *gh_token_get(const struct gh_token *g);
void gh_token_close(struct gh_token *g);	/* NULL accepted; wipes the token */

#endif
