/* The broker process: the objects that its rooms share, and its entry. */
#ifndef AWOD_BROKER_H
#define AWOD_BROKER_H

#include <event2/event.h>
#include <jansson.h>
#include <stdint.h>

#include "common/err.h"

struct options;
struct config;
struct store;
struct gh_token;
struct keyring;
struct engine;
struct agent_versions;
struct server;

struct broker {
	const struct options *opt;	/* command line; directories */
	struct event_base *base;
	struct config *conf;		/* replaced as a whole by a reload */
	json_t *at_start;		/* key to value of the settings that a reload does not bring into force */
	struct store *store;
	struct keyring *keys;
	struct gh_token *gh;		/* user mode; NULL in system mode */
	struct engine *engine;		/* what runs */
	struct agent_versions *agents;	/* what is known of their programs */
	struct server *server;		/* who is connected */
	int64_t started_us;		/* wall time */
	int64_t restarts, restarted_us;	/* of the broker, as the supervisor tells: how often, and the last one's wall time */
};

/* The broker process: fd is its end of the supervisor's socket. Returns the exit status. */
int broker_main(const struct options *o, int fd);
/* Reads the configuration again; the old one stays when the new one is wrong. */
int broker_reload(struct broker *b, struct awo_err *err);

#endif
