/* Reads the command line of awo-gateway and works out its paths. */
#include "awo-gateway/options.h"

#include <getopt.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clean.h"
#include "proto/client.h"

static const struct option long_options[] = {
    {"user", no_argument, NULL, 'u'},
    {"config", required_argument, NULL, 'c'},
    {"config-dir", required_argument, NULL, 'd'},
    {"socket", required_argument, NULL, 's'},
    {"listen", required_argument, NULL, 'l'},
    {"ui-dir", required_argument, NULL, 'i'},
    {"run-as", required_argument, NULL, 'r'},
    {"check-config", no_argument, NULL, 'k'},
    {"version", no_argument, NULL, 'V'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

void
options_usage(void)
{
	fputs("usage: awo-gateway [--user] [options]\n"
	      "\n"
	      "Serves agent work orders over HTTP: the interface, live streams, the web UI and "
	      "webhooks.\n"
	      "\n"
	      "  --user               serve the awod of the user who runs it\n"
	      "  --config FILE        configuration, the same as awod's (default: config.yaml in "
	      "the configuration directory)\n"
	      "  --config-dir DIR     configuration directory (/etc/awo)\n"
	      "  --socket PATH        awod's socket (/run/awo/awod.sock)\n"
	      "  --listen HOST:PORT   address to listen on (gateway.listen and gateway.port); port "
	      "0 takes a free one\n"
	      "  --ui-dir DIR         directory of the web UI's files\n"
	      "  --run-as USER        started by root: become this user, by name or uid "
	      "(socket.gateway_user)\n"
	      "  --check-config       print the effective configuration and where each value came "
	      "from\n"
	      "  --version            print the version\n"
	      "  --help               print this\n",
	    stdout);
}

static void
set(char **where, const char *value)
{
	free(*where);
	*where = xstrdup(value);
}

/* <environment>/awo, or <home><fallback>/awo; NULL without either. */
static char *
xdg(const char *variable, const char *fallback)
{
	const char *dir = getenv(variable), *home = getenv("HOME");
	const struct passwd *pw;

	if (dir != NULL && dir[0] == '/')
		return xasprintf("%s/awo", dir);
	if (home == NULL || home[0] != '/') {
		pw = getpwuid(getuid());
		home = pw != NULL ? pw->pw_dir : NULL;
	}
	return home != NULL && home[0] == '/' ? xasprintf("%s%s/awo", home, fallback) : NULL;
}

/* The UI's files: beside our own executable in a build tree, else in the prefix that it was
 * installed to. */
static char *
default_ui(void)
{
	char exe[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	CLEAN_FREE char *beside = NULL;
	char *slash;

	if (n <= 0)
		return NULL;
	exe[n] = '\0';
	for (int up = 0; up < 2; up++) {
		slash = strrchr(exe, '/');
		if (slash == NULL)
			return NULL;
		*slash = '\0';
	}
	beside = xasprintf("%s/ui", exe);
	if (access(beside, F_OK) == 0)
		return TAKE_PTR(beside);
	return xasprintf("%s/%s", exe, AWO_UI_REL);
}

static int
defaults(struct options *o, struct awo_err *err)
{
	const char *from_env = getenv("AWO_CONFIG_DIR") != NULL ? getenv("AWO_CONFIG_DIR")
								: getenv("ARCHON_CONFIG_DIR");
	char room[108];

	if (o->config_dir == NULL && from_env != NULL && *from_env != '\0')
		o->config_dir = xstrdup(from_env);
	if (o->config_dir == NULL)
		o->config_dir =
		    o->user_mode ? xdg("XDG_CONFIG_HOME", "/.config") : xstrdup("/etc/awo");
	if (o->config_dir == NULL)
		return ERR(err, INVALID_ARGUMENT, "--config-dir",
		    "there is no home directory: set HOME, or give --config-dir");
	/* in user mode the same look-up as awoctl's, which finds the user's own first */
	if (o->socket_path == NULL)
		o->socket_path = xstrdup(o->user_mode ? client_default_socket(room, sizeof(room))
						      : "/run/awo/awod.sock");
	if (o->ui_dir == NULL)
		o->ui_dir = default_ui();
	return 0;
}

int
options_parse(struct options *o, int argc, char **argv, struct awo_err *err)
{
	int c;

	*o = (struct options){0};
	optind = 0; /* glibc: start anew */
	while ((c = getopt_long(argc, argv, "hV", long_options, NULL)) != -1)
		switch (c) {
		case 'u':
			o->user_mode = true;
			break;
		case 'c':
			set(&o->config_file, optarg);
			break;
		case 'd':
			set(&o->config_dir, optarg);
			break;
		case 's':
			set(&o->socket_path, optarg);
			break;
		case 'l':
			set(&o->listen, optarg);
			break;
		case 'i':
			set(&o->ui_dir, optarg);
			break;
		case 'r':
			set(&o->run_as, optarg);
			break;
		case 'k':
			o->check_config = true;
			break;
		case 'V':
			o->version = true;
			return 0;
		case 'h':
			o->help = true;
			return 0;
		default:
			return ERR(
			    err, INVALID_ARGUMENT, "", "awo-gateway --help lists the options");
		}
	if (optind < argc)
		return ERR(err, INVALID_ARGUMENT, "",
		    "unexpected argument '%s'; awo-gateway --help lists the options", argv[optind]);
	return defaults(o, err);
}

void
options_free(struct options *o)
{
	free(o->config_dir);
	free(o->config_file);
	free(o->socket_path);
	free(o->listen);
	free(o->ui_dir);
	free(o->run_as);
	*o = (struct options){0};
}
