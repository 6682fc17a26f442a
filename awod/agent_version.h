/* What is known of the agents' programs: whether they run, and which version they are; asked for in the background. */
#ifndef AWOD_AGENT_VERSION_H
#define AWOD_AGENT_VERSION_H

#include <stdbool.h>

#include "awod/broker.h"
#include "awod/config.h"
#include "common/err.h"

struct agent_version {
	bool ok;	/* it ran and told its version */
	bool missing;	/* there is no such program */
	char *path;	/* where it is, or NULL */
	char *version;	/* when ok */
	char *error;	/* when not: what failed, and the remedy */
};

/* Begins to ask all agents of the configuration, one after the other. Kept in b->agents. */
void agent_versions_open(struct broker *b);
/* After engine_close(): no answer may come any more. NULL is fine. */
void agent_versions_close(struct agent_versions *v);
/* The configuration is another one, or what is installed may be: asks all again. NULL is fine. */
void agent_versions_reloaded(struct agent_versions *v);
/*
 * What is known now, valid until the loop is entered again; NULL when nothing is. Never waits; an old answer is asked for
 * again in the background. v may be NULL.
 */
const struct agent_version *agent_versions_get(struct agent_versions *v, const struct config_agent *a);

/*
 * Asks now, as a user's task; what comes is kept for the others, too. answer: NULL when the program was not asked, for the reason
 * in err, of which nothing is kept.
 */
typedef void agent_version_done(void *arg, const char *name, const struct awo_err *err, const struct agent_version *answer);
void agent_version_ask(struct broker *b, const struct config_agent *a, uint32_t uid, agent_version_done *done, void *arg);

#endif
