/* Reads the command line of awod and works out its directories. */
#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "awod/options.h"
#include "common/buf.h"
#include "common/clean.h"

#define GROUPS_MAX 256

enum opt_id {
	O_USER = 1000,
	O_CONFIG,
	O_STATE,
	O_RUN,
	O_LOG,
	O_CONFIG_DIR,
	O_SOCKET,
	O_LIBEXEC,
	O_COMMANDS,
	O_BROKER_USER,
	O_UID_BASE,
	O_CHECK,
	O_BROKER_FD,
	O_WORK_ORDERS,
	O_REPOSITORIES
};

static const struct option long_options[] = {
	{"user", no_argument, NULL, O_USER},
	{"config", required_argument, NULL, O_CONFIG},
	{"state-dir", required_argument, NULL, O_STATE},
	{"run-dir", required_argument, NULL, O_RUN},
	{"log-dir", required_argument, NULL, O_LOG},
	{"config-dir", required_argument, NULL, O_CONFIG_DIR},
	{"socket", required_argument, NULL, O_SOCKET},
	{"libexec-dir", required_argument, NULL, O_LIBEXEC},
	{"commands-dir", required_argument, NULL, O_COMMANDS},
	{"broker-user", required_argument, NULL, O_BROKER_USER},
	{"uid-base", required_argument, NULL, O_UID_BASE},
	{"check-config", no_argument, NULL, O_CHECK},
	/* between supervisor and broker */
	{"broker-fd", required_argument, NULL, O_BROKER_FD},
	{"work-order-dir", required_argument, NULL, O_WORK_ORDERS},
	{"repository-dir", required_argument, NULL, O_REPOSITORIES},
	{"version", no_argument, NULL, 'V'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

void
options_usage(void)
{
	fputs("usage: awod [--user] [options]\n"
	      "\n"
	      "Runs agent work orders. As root the system's service; with --user a user's own.\n"
	      "\n"
	      "  --user               serve only the user who runs it\n"
	      "  --config FILE        configuration (default: config.yaml in the configuration directory)\n"
	      "  --config-dir DIR     configuration directory (/etc/awo)\n"
	      "  --state-dir DIR      database, repositories, work orders (/var/lib/awo)\n"
	      "  --run-dir DIR        socket and run-time files (/run/awo)\n"
	      "  --log-dir DIR        logs of the orders (/var/log/awo)\n"
	      "  --socket PATH        socket to listen on (awod.sock in the run directory)\n"
	      "  --libexec-dir DIR    directory of awo-worker, awo-git and awo-forge\n"
	      "  --commands-dir DIR   directory of the built-in command files\n"
	      "  --broker-user USER   name or uid that awod does its thinking as (awo)\n"
	      "  --uid-base N         first uid for orders (1879048192); nobody else may use it and those above\n"
	      "  --check-config       print the effective configuration and where each value came from\n"
	      "  --version            print the version\n"
	      "  --help               print this\n",
	    stdout);
}

static void
set(char **where, char *value)
{
	free(*where);
	*where = value;
}

/* An absolute spelling of a path, resolved against the directory awod was started in, without "." and doubled slashes. */
static char *
absolute(const char *path, const char *name, struct awo_err *err)
{
	CLEAN_BUF struct buf b = {0};
	CLEAN_FREE char *full = NULL;

	if (path[0] == '\0') {
		ERR(err, INVALID_ARGUMENT, name, "%s: the path is empty", name);
		return NULL;
	}
	if (path[0] == '/') {
		full = xstrdup(path);
	} else {
		CLEAN_FREE char *cwd = getcwd(NULL, 0);

		if (!cwd) {
			ERR(err, INVALID_ARGUMENT, name, "%s: the current directory is not known (%s); give an absolute path",
			    name, strerror(errno));
			return NULL;
		}
		full = xasprintf("%s/%s", cwd, path);
	}
	for (const char *p = full; *p;) {
		size_t n = strcspn(p, "/");

		if (n == 2 && memcmp(p, "..", 2) == 0) {
			ERR(err, INVALID_ARGUMENT, name, "%s: %s contains '..'; give the path without it", name, path);
			return NULL;
		}
		if (n > 0 && !(n == 1 && p[0] == '.'))
			buf_printf(&b, "/%.*s", (int)n, p);
		p += n + (p[n] == '/');
	}
	if (b.len == 0)
		buf_addc(&b, '/');
	if (b.len >= PATH_MAX) {
		ERR(err, INVALID_ARGUMENT, name, "%s: the path is longer than %d bytes", name, PATH_MAX - 1);
		return NULL;
	}
	return buf_take(&b);
}

static int
set_path(char **where, const char *value, const char *name, struct awo_err *err)
{
	char *p = absolute(value, name, err);

	if (!p)
		return -1;
	set(where, p);
	return 0;
}

static int
parse_number(const char *text, const char *name, unsigned long max, unsigned long *out, struct awo_err *err)
{
	char *end;

	errno = 0;
	*out = strtoul(text, &end, 10);
	if (errno || end == text || *end || text[0] < '0' || text[0] > '9' || *out > max)
		return ERR(err, INVALID_ARGUMENT, name, "%s: '%s' is not a number from 0 to %lu", name, text, max);
	return 0;
}

/* uid and primary gid from a name or a number; a number without an account gets the gid of the same number. */
static int
broker_ids(struct options *o, const char *user, struct awo_err *err)
{
	const struct passwd *pw;
	int n = GROUPS_MAX;
	unsigned long number;

	if (user[0] >= '0' && user[0] <= '9') {
		if (parse_number(user, "--broker-user", UINT32_MAX - 1, &number, err) < 0)
			return -1;
		pw = getpwuid((uid_t)number);
		o->broker_uid = (uid_t)number;
		o->broker_gid = pw ? pw->pw_gid : (gid_t)number;
	} else {
		pw = getpwnam(user);
		if (!pw)
			return ERR(err, INVALID_ARGUMENT, "--broker-user",
			    "there is no user '%s'; create it (systemd-sysusers does, from the installed awo.conf) or name "
			    "another one with --broker-user",
			    user);
		o->broker_uid = pw->pw_uid;
		o->broker_gid = pw->pw_gid;
	}
	if (o->broker_uid == 0 || o->broker_gid == 0)
		return ERR(err, INVALID_ARGUMENT, "--broker-user",
		    "--broker-user must not be root nor in root's group: what it runs reads untrusted input");
	if (o->broker_uid >= o->uid_base)
		return ERR(err, INVALID_ARGUMENT, "--broker-user",
		    "--broker-user %u is one of the orders' uids (from --uid-base %u)", o->broker_uid, o->uid_base);
	if (pw) {
		o->broker_groups = xcalloc(GROUPS_MAX, sizeof(*o->broker_groups));
		if (getgrouplist(pw->pw_name, pw->pw_gid, o->broker_groups, &n) < 0)
			n = GROUPS_MAX;	/* has more; the first ones are enough to find the socket's */
		o->nbroker_groups = (size_t)n;
	}
	return 0;
}

/* <environment>/awo, or <home><fallback>/awo. */
static char *
xdg(const char *variable, const char *fallback)
{
	const char *dir = getenv(variable), *home;
	const struct passwd *pw;

	/* the base directory specification says that relative ones are to be ignored */
	if (dir && dir[0] == '/')
		return xasprintf("%s/awo", dir);
	if (!fallback)
		return NULL;
	home = getenv("HOME");
	if (!home || home[0] != '/') {
		pw = getpwuid(getuid());
		home = pw ? pw->pw_dir : NULL;
	}
	return home && home[0] == '/' ? xasprintf("%s%s/awo", home, fallback) : NULL;
}

static int
from_environment(char **where, const char *variable, struct awo_err *err)
{
	const char *value = getenv(variable);

	if (*where || !value || value[0] == '\0')
		return 0;
	return set_path(where, value, variable, err);
}

static int
default_directories(struct options *o, struct awo_err *err)
{
	if (from_environment(&o->config_dir, "AWO_CONFIG_DIR", err) < 0 ||
	    from_environment(&o->config_dir, "ARCHON_CONFIG_DIR", err) < 0 ||
	    from_environment(&o->work_order_dir, "AWO_WORK_ORDER_DIR", err) < 0 ||
	    from_environment(&o->work_order_dir, "AGENT_WORK_ORDER_TEMP_DIR", err) < 0 ||
	    from_environment(&o->repository_dir, "AWO_REPOSITORY_DIR", err) < 0)
		return -1;
	if (!o->config_dir)
		o->config_dir = o->user_mode ? xdg("XDG_CONFIG_HOME", "/.config") : xstrdup("/etc/awo");
	if (!o->state_dir)
		o->state_dir = o->user_mode ? xdg("XDG_STATE_HOME", "/.local/state") : xstrdup("/var/lib/awo");
	if (!o->config_dir || !o->state_dir)
		return ERR(err, INVALID_ARGUMENT, "--state-dir",
		    "there is no home directory to put things in: set HOME, or give --state-dir and --config-dir");
	if (!o->run_dir)
		o->run_dir = o->user_mode ? xdg("XDG_RUNTIME_DIR", NULL) : xstrdup("/run/awo");
	if (!o->run_dir)
		o->run_dir = xasprintf("%s/run", o->state_dir);
	if (!o->log_dir)
		o->log_dir = o->user_mode ? xasprintf("%s/log", o->state_dir) : xstrdup("/var/log/awo");
	if (!o->work_order_dir)
		o->work_order_dir = xasprintf("%s/work-orders", o->state_dir);
	if (!o->repository_dir)
		o->repository_dir = xasprintf("%s/repositories", o->state_dir);
	if (!o->socket_path)
		o->socket_path = xasprintf("%s/awod.sock", o->run_dir);
	return 0;
}

/* Private programs: beside our own executable in a build tree, else in the prefix that it was installed to. */
static int
default_programs(struct options *o, struct awo_err *err)
{
	char exe[PATH_MAX];
	CLEAN_FREE char *probe = NULL;
	ssize_t n;
	char *slash;

	if (o->libexec_dir && o->commands_dir)
		return 0;
	n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	if (n < 0)
		return ERR(err, INVALID_ARGUMENT, "--libexec-dir",
		    "/proc/self/exe cannot be read (%s); give --libexec-dir and --commands-dir", strerror(errno));
	exe[n] = '\0';
	slash = strrchr(exe, '/');
	if (!slash)
		return ERR(err, INVALID_ARGUMENT, "--libexec-dir", "awod's own path is not known; give --libexec-dir");
	*slash = '\0';
	probe = xasprintf("%s/awo-worker", exe);
	if (access(probe, X_OK) == 0) {
		if (!o->libexec_dir)
			o->libexec_dir = xstrdup(exe);
		if (!o->commands_dir)
			o->commands_dir = xasprintf("%s/commands", exe);
		return 0;
	}
	slash = strrchr(exe, '/');
	if (slash)
		*slash = '\0';
	if (!o->libexec_dir)
		o->libexec_dir = xasprintf("%s/%s", exe, AWO_LIBEXEC_REL);
	if (!o->commands_dir)
		o->commands_dir = xasprintf("%s/%s", exe, AWO_COMMANDS_REL);
	return 0;
}

static int
check_mode(const struct options *o, struct awo_err *err)
{
	if (o->broker_fd >= 0)
		return 0;
	if (o->user_mode && geteuid() == 0)
		return ERR(err, PERMISSION_DENIED, "--user",
		    "user mode is for ordinary users; root runs the system mode: awod without --user, with directories of its "
		    "own if need be");
	if (!o->user_mode && geteuid() != 0)
		return ERR(err, PERMISSION_DENIED, "--user",
		    "the system mode needs root; awod --user runs the orders of one user, as that user");
	if (getuid() != geteuid() || getgid() != getegid())
		return ERR(err, PERMISSION_DENIED, "", "awod must not be installed set-uid or set-gid");
	return 0;
}

int
options_parse(struct options *o, int argc, char **argv, struct awo_err *err)
{
	const char *broker_user = NULL;
	unsigned long number;
	int c;

	*o = (struct options){.broker_fd = -1, .uid_base = OPT_UID_BASE};
	optind = 0;	/* glibc: start anew */
	while ((c = getopt_long(argc, argv, "hV", long_options, NULL)) != -1) {
		int rc = 0;

		switch (c) {
		case O_USER:
			o->user_mode = true;
			break;
		case O_CONFIG:
			rc = set_path(&o->config_file, optarg, "--config", err);
			break;
		case O_STATE:
			rc = set_path(&o->state_dir, optarg, "--state-dir", err);
			break;
		case O_RUN:
			rc = set_path(&o->run_dir, optarg, "--run-dir", err);
			break;
		case O_LOG:
			rc = set_path(&o->log_dir, optarg, "--log-dir", err);
			break;
		case O_CONFIG_DIR:
			rc = set_path(&o->config_dir, optarg, "--config-dir", err);
			break;
		case O_SOCKET:
			rc = set_path(&o->socket_path, optarg, "--socket", err);
			break;
		case O_LIBEXEC:
			rc = set_path(&o->libexec_dir, optarg, "--libexec-dir", err);
			break;
		case O_COMMANDS:
			rc = set_path(&o->commands_dir, optarg, "--commands-dir", err);
			break;
		case O_WORK_ORDERS:
			rc = set_path(&o->work_order_dir, optarg, "--work-order-dir", err);
			break;
		case O_REPOSITORIES:
			rc = set_path(&o->repository_dir, optarg, "--repository-dir", err);
			break;
		case O_BROKER_USER:
			broker_user = optarg;
			break;
		case O_UID_BASE:
			rc = parse_number(optarg, "--uid-base", UINT32_MAX - 4 * OPT_UID_CACHES, &number, err);
			if (rc == 0 && number < 65536)
				rc = ERR(err, INVALID_ARGUMENT, "--uid-base",
				    "--uid-base must be 65536 or more, clear of people's and services' uids");
			if (rc == 0)
				o->uid_base = (uint32_t)number;
			break;
		case O_CHECK:
			o->check_config = true;
			break;
		case O_BROKER_FD:
			rc = parse_number(optarg, "--broker-fd", 1023, &number, err);
			if (rc == 0)
				o->broker_fd = (int)number;
			break;
		case 'V':
			o->version = true;
			return 0;
		case 'h':
			o->help = true;
			return 0;
		default:
			return ERR(err, INVALID_ARGUMENT, "", "awod --help lists the options");
		}
		if (rc < 0)
			return -1;
	}
	if (optind < argc)
		return ERR(err, INVALID_ARGUMENT, "", "unexpected argument '%s'; awod --help lists the options", argv[optind]);
	if (!o->check_config && check_mode(o, err) < 0)
		return -1;
	if (default_directories(o, err) < 0 || default_programs(o, err) < 0)
		return -1;
	if (o->user_mode || o->broker_fd >= 0 || geteuid() != 0) {
		o->broker_uid = geteuid();
		o->broker_gid = getegid();
		return 0;
	}
	/* showing the configuration must not fail because the account is not there yet */
	return o->check_config ? 0 : broker_ids(o, broker_user ? broker_user : "awo", err);
}

void
options_free(struct options *o)
{
	free(o->config_dir);
	free(o->config_file);
	free(o->state_dir);
	free(o->run_dir);
	free(o->log_dir);
	free(o->work_order_dir);
	free(o->repository_dir);
	free(o->socket_path);
	free(o->libexec_dir);
	free(o->commands_dir);
	free(o->broker_groups);
	*o = (struct options){.broker_fd = -1};
}

char **
options_broker_argv(const struct options *o, int broker_fd)
{
	const struct {
		const char *name, *value;
	} paths[] = {
		{"--config", o->config_file},
		{"--config-dir", o->config_dir},
		{"--state-dir", o->state_dir},
		{"--run-dir", o->run_dir},
		{"--log-dir", o->log_dir},
		{"--work-order-dir", o->work_order_dir},
		{"--repository-dir", o->repository_dir},
		{"--socket", o->socket_path},
		{"--libexec-dir", o->libexec_dir},
		{"--commands-dir", o->commands_dir},
	};
	size_t n = 0, npaths = sizeof(paths) / sizeof(paths[0]);
	char **argv = xcalloc(2 * npaths + 7, sizeof(*argv));

	argv[n++] = xstrdup("awod");
	argv[n++] = xstrdup("--broker-fd");
	argv[n++] = xasprintf("%d", broker_fd);
	argv[n++] = xstrdup("--uid-base");
	argv[n++] = xasprintf("%u", o->uid_base);
	if (o->user_mode)
		argv[n++] = xstrdup("--user");
	for (size_t i = 0; i < npaths; i++) {
		if (!paths[i].value)
			continue;
		argv[n++] = xstrdup(paths[i].name);
		argv[n++] = xstrdup(paths[i].value);
	}
	return argv;
}
