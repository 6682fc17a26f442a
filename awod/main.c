/* Entry of awod: the supervisor, the broker that it starts, or a look at the configuration. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "awod/broker.h"
#include "awod/config.h"
#include "awod/options.h"
#include "awod/supervisor.h"
#include "common/err.h"
#include "common/log.h"

static int
check_config(const struct options *o)
{
	struct config_input in = {.user_mode = o->user_mode, .config_dir = o->config_dir, .config_file = o->config_file,
		.environ = environ};
	struct awo_err err = {0};
	struct config *c = config_load(&in, &err);

	if (!c) {
		fprintf(stderr, "awod: %s\n", err.msg);
		return awo_code_exit(err.code);
	}
	config_print(c, STDOUT_FILENO);
	config_free(c);
	return 0;
}

int
main(int argc, char **argv)
{
	struct options o;
	struct awo_err err = {0};
	int status = 0;

	log_open("awod", LOG_FMT_TEXT, LOG_LVL_INFO);
	if (options_parse(&o, argc, argv, &err) < 0) {
		fprintf(stderr, "awod: %s\n", err.msg);
		status = awo_code_exit(err.code);
	} else if (o.help) {
		options_usage();
	} else if (o.version) {
		puts("awod " AWO_VERSION);
	} else if (o.check_config) {
		status = check_config(&o);
	} else if (o.broker_fd >= 0) {
		status = broker_main(&o, o.broker_fd);
	} else {
		status = supervisor_main(&o);
	}
	options_free(&o);
	return status;
}
