/* The configuration: file, environment, stored settings and defaults made into one set of values with their sources. */
#ifndef AWOD_CONFIG_H
#define AWOD_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "proto/schema.h"

#define CONF_RESTART 0x1U
#define CONF_SECRET 0x2U
#define CONF_PATH 0x4U
#define CONF_FILE 0x8U
#define CONF_GATEWAY 0x10U
#define CONF_UNSTORED (CONF_FILE | CONF_GATEWAY)

struct config_agent {
	char *name, *adapter, *program, *model;	/* model may be NULL */
	struct p_strv args, paths, keys;
	int64_t max_turns;			/* 0: not set */
	json_t *env;				/* object of strings, or NULL */
};

/* Effective values. Strings may be NULL where the table says so; choices are strings; booleans and integers int64_t. */
struct config {
#define CONF_INT(key, m, def, lo, hi, flags, env, help) int64_t m;
#define CONF_DURATION(key, m, def, lo, hi, flags, env, help) int64_t m;
#define CONF_BOOL(key, m, def, flags, env, help) bool m;
#define CONF_STR(key, m, def, max, flags, env, help) char *m;
#define CONF_CHOICE(key, m, def, choices, flags, env, help) char *m;
#define CONF_LIST(key, m, def, flags, env, help) struct p_strv m;
#define AGENT_KEY(key, kind, help)
#include "awod/config.def"
#include "awod/config_undef.h"
	struct config_agent *agents;
	size_t nagents;
	struct config_source *sources;		/* private to config.c: where each value came from */
};

struct config_input {
	bool user_mode;
	const char *config_dir;		/* config.yaml and agents.yaml in it */
	const char *config_file;	/* instead of config.yaml, or NULL */
	char *const *environ;		/* names that spec section 9 accepts; also ANTHROPIC_API_KEY and so on for agents */
	const json_t *stored;		/* object of key to value: settings changed at run time, or NULL */
};

/* NULL with *err set ("config.yaml:3:5: unknown key ...; did you mean ...?"). A missing default file is no error. */
struct config *config_load(const struct config_input *in, struct awo_err *err);
void config_free(struct config *c);
const struct config_agent *config_agent(const struct config *c, const char *name);	/* NULL when there is none */

/* All keys, or one, or a section, as struct p_setting rows; secrets masked. NOT_FOUND with the nearest key. */
int config_settings(const struct config *c, const char *key, struct p_settings_answer *out, struct awo_err *err);
/* Whether a value may be stored for a key: type, range, not fixed by environment or command line. *restart says whether it needs one. */
int config_check_setting(const struct config *c, const char *key, const json_t *value, bool *restart, struct awo_err *err);
/* Names set in the environment that belong to the surrounding platform and are ignored; one log line is written. */
void config_log_ignored(char *const *environ);
/* Prints every key, value and source, as YAML with comments: awod --check-config. */
void config_print(const struct config *c, int fd);

#endif
