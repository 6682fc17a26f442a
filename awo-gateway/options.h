/* The command line of awo-gateway, and the paths that follow from it. */
#ifndef GATEWAY_OPTIONS_H
#define GATEWAY_OPTIONS_H

#include <stdbool.h>

#include "common/err.h"

struct options {
	bool user_mode, check_config, version, help;
	char *config_dir;
	char *config_file; /* --config, or NULL */
	char *socket_path; /* of awod */
	char *listen;	   /* --listen, or NULL: the configuration's */
	char *ui_dir;	   /* may not be there */
	char *run_as;	   /* user to become when started by root, or NULL */
};

/* Fills *o; free with options_free() also after failure. */
int options_parse(struct options *o, int argc, char **argv, struct awo_err *err);
void options_free(struct options *o);
void options_usage(void);

#endif
