/* The command line of awod, and the directories that follow from it. */
#ifndef AWOD_OPTIONS_H
#define AWOD_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/err.h"

#define OPT_UID_BASE 1879048192U
#define OPT_UID_CACHES 1048576U		/* caches' uids begin that much above the orders' */

/* All paths are absolute. Environment names: spec section 9; the command line wins. */
struct options {
	bool user_mode;
	bool check_config;
	bool version, help;		/* asked for: print and end */
	int broker_fd;			/* this is the broker, with that end of the supervisor's socket; else -1 */
	char *config_dir;
	char *config_file;		/* --config, or NULL: config.yaml in config_dir */
	char *state_dir;
	char *run_dir;
	char *log_dir;			/* logs are in <log_dir>/agent_work_orders */
	char *work_order_dir;		/* <state_dir>/work-orders, or AWO_WORK_ORDER_DIR */
	char *repository_dir;		/* <state_dir>/repositories, or AWO_REPOSITORY_DIR */
	char *socket_path;
	char *libexec_dir;
	char *commands_dir;
	uid_t broker_uid;		/* in user mode the user's own */
	gid_t broker_gid;
	gid_t *broker_groups;		/* supplementary groups of the broker's user */
	size_t nbroker_groups;
	uint32_t uid_base;
};

/* Fills *o; free with options_free() also after failure. The environment is read for what the command line leaves open. */
int options_parse(struct options *o, int argc, char **argv, struct awo_err *err);
void options_free(struct options *o);
/* An argument vector that gives another awod exactly these values, and --broker-fd; NULL-terminated, each string to be freed. */
char **options_broker_argv(const struct options *o, int broker_fd);
void options_usage(void);

#endif
