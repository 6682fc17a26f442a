/* Entry of awo-gateway: options, privileges, the loop, and its end. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "awo-gateway/auth.h"
#include "awo-gateway/backend.h"
#include "awo-gateway/connections.h"
#include "awo-gateway/gateway.h"
#include "awo-gateway/http.h"
#include "awo-gateway/kept.h"
#include "awo-gateway/options.h"
#include "awo-gateway/sse.h"
#include "awod/config.h"
#include "common/clean.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/sd.h"

#define STOP_S 5 /* that requests have to be answered when we are told to end */
#define STOP_LOOK_MS 20L
#define DRAIN_MS 200L /* for answers on their way */

struct run {
	struct gateway g;
	struct event *signals[2];
	struct event *stopping, *watchdog;
	int64_t stop_by_us;
};

static struct config *
load(const struct options *o)
{
	struct config_input in = {.user_mode = o->user_mode,
	    .config_dir = o->config_dir,
	    .config_file = o->config_file,
	    .environ = environ};
	struct awo_err err = {0};
	struct config *c = config_load(&in, &err);

	if (c == NULL)
		fprintf(stderr, "awo-gateway: %s\n", err.msg);
	return c;
}

static int
ids_of(const char *user, uid_t *uid, gid_t *gid)
{
	const struct passwd *pw;
	char *end;
	unsigned long number = strtoul(user, &end, 10);

	if (*user != '\0' && *end == '\0' && number < UINT32_MAX) {
		pw = getpwuid((uid_t)number);
		*uid = (uid_t)number;
		*gid = pw != NULL ? pw->pw_gid : (gid_t)number;
		return 0;
	}
	pw = getpwnam(user);
	if (pw == NULL)
		return -1;
	*uid = pw->pw_uid;
	*gid = pw->pw_gid;
	return 0;
}

/* Root is given up before anything is read from the network. */
static int
drop_privileges(const struct options *o, const struct config *conf)
{
	const char *user = o->run_as != NULL ? o->run_as : conf->socket_gateway_user;
	const struct passwd *pw;
	uid_t uid;
	gid_t gid;

	if (geteuid() != 0) {
		if (o->run_as == NULL)
			return 0;
		fprintf(stderr, "awo-gateway: --run-as needs root\n");
		return -1;
	}
	if (user == NULL || ids_of(user, &uid, &gid) != 0 || uid == 0) {
		fprintf(stderr,
		    "awo-gateway: started by root it needs another user to run as, but there is no "
		    "user '%s': create it "
		    "(systemd-sysusers does, from the installed awo.conf) or give --run-as\n",
		    user != NULL ? user : "");
		return -1;
	}
	pw = getpwuid(uid);
	if ((pw != NULL ? initgroups(pw->pw_name, gid) : setgroups(0, NULL)) != 0 ||
	    setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0 || setuid(0) == 0) {
		fprintf(stderr, "awo-gateway: cannot become user %s: %s\n", user, strerror(errno));
		return -1;
	}
	return 0;
}

static char *
listen_address(const struct options *o, const struct config *conf)
{
	const char *listen = o->listen != NULL ? o->listen : conf->gateway_listen, *colon;

	if (o->listen != NULL || conf->gateway_port == 0)
		return xstrdup(listen);
	colon = strrchr(listen, ':');
	return xasprintf("%.*s:%lld", colon != NULL ? (int)(colon - listen) : (int)strlen(listen),
	    listen, (long long)conf->gateway_port);
}

/* ---- ending */

static void
on_stopping(evutil_socket_t fd, short what, void *arg)
{
	struct run *r = arg;
	const struct timeval look = {0, STOP_LOOK_MS * 1000}, drain = {0, DRAIN_MS * 1000};

	(void)fd;
	(void)what;
	if (r->g.open_requests > 0 && clock_mono_us() < r->stop_by_us) {
		event_add(r->stopping, &look);
		return;
	}
	event_base_loopexit(r->g.base, &drain);
}

static void
on_signal(evutil_socket_t sig, short what, void *arg)
{
	struct run *r = arg;

	(void)what;
	if (r->g.stopping)
		return;
	log_info("gateway_stopping", LI("signal", sig), LI("open_requests", r->g.open_requests));
	sd_stopping();
	r->g.stopping = true;
	r->stop_by_us = clock_mono_us() + STOP_S * INT64_C(1000000);
	http_stop(&r->g);
	sse_stop(&r->g);
	on_stopping(-1, 0, r);
}

static void
on_watchdog(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	sd_ping();
}

/* ---- running */

/* evhttp switches reading off and on for each request: what cancels out need not reach the kernel.
 */
static struct event_base *
new_base(void)
{
	struct event_config *how = event_config_new();
	struct event_base *base = NULL;

	if (how != NULL && event_config_set_flag(how, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST) == 0)
		base = event_base_new_with_config(how);
	if (how != NULL)
		event_config_free(how);
	return base;
}

static int
open_all(struct run *r, const struct options *o)
{
	static const int signals[] = {SIGTERM, SIGINT};
	CLEAN_FREE char *listen = listen_address(o, r->g.conf);
	int64_t interval = sd_watchdog_us();
	struct timeval tv = {interval / 2 / 1000000, interval / 2 % 1000000};

	r->g.base = new_base();
	if (r->g.base == NULL) {
		log_error("event_failed", LS("what", "the loop"));
		return -1;
	}
	for (size_t i = 0; i < 2; i++) {
		r->signals[i] = evsignal_new(r->g.base, signals[i], on_signal, r);
		if (r->signals[i] == NULL || event_add(r->signals[i], NULL) != 0)
			return -1;
	}
	r->stopping = event_new(r->g.base, -1, 0, on_stopping, r);
	r->watchdog = event_new(r->g.base, -1, EV_PERSIST, on_watchdog, r);
	if (r->stopping == NULL || r->watchdog == NULL ||
	    (interval > 0 && event_add(r->watchdog, &tv) != 0))
		return -1;
	if (connections_open(&r->g) != 0 || kept_open(&r->g) != 0 ||
	    http_open(&r->g, listen, sd_listen_inet()) != 0 || sse_open(&r->g) != 0 ||
	    backend_open(&r->g) != 0 || auth_open(&r->g) != 0)
		return -1;
	return 0;
}

static void
close_all(struct run *r)
{
	http_close(&r->g);
	auth_close(&r->g);
	backend_close(&r->g);
	kept_close(&r->g);
	sse_close(&r->g);
	connections_close(&r->g);
	for (size_t i = 0; i < 2; i++)
		if (r->signals[i] != NULL)
			event_free(r->signals[i]);
	if (r->stopping != NULL)
		event_free(r->stopping);
	if (r->watchdog != NULL)
		event_free(r->watchdog);
	if (r->g.base != NULL)
		event_base_free(r->g.base);
	if (r->g.ui_dir >= 0)
		close(r->g.ui_dir);
}

static int
run(const struct options *o, const struct config *conf)
{
	struct run r = {.g = {.conf = conf,
			    .user_mode = o->user_mode,
			    .socket_path = o->socket_path,
			    .ui_dir = -1,
			    .started_us = clock_wall_us()}};
	int status = 1;

	signal(SIGPIPE, SIG_IGN);
	if (o->ui_dir != NULL)
		r.g.ui_dir = open(o->ui_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (open_all(&r, o) == 0) {
		log_info("gateway_listening", LS("address", r.g.address),
		    LS("awod", o->socket_path),
		    LS("ui", r.g.ui_dir >= 0 ? o->ui_dir : "not installed"));
		sd_ready();
		event_base_dispatch(r.g.base);
		log_info("gateway_stopped", LI("open_requests", r.g.open_requests));
		status = 0;
	}
	close_all(&r);
	return status;
}

int
main(int argc, char **argv)
{
	struct options o;
	struct awo_err err = {0};
	struct config *conf = NULL;
	int status = 0;

	log_open("awo-gateway", LOG_FMT_TEXT, LOG_LVL_INFO);
	if (options_parse(&o, argc, argv, &err) < 0) {
		fprintf(stderr, "awo-gateway: %s\n", err.msg);
		status = awo_code_exit(err.code);
	} else if (o.help) {
		options_usage();
	} else if (o.version) {
		puts("awo-gateway " AWO_VERSION);
	} else if ((conf = load(&o)) == NULL) {
		status = awo_code_exit(AWO_INVALID_ARGUMENT);
	} else if (o.check_config) {
		config_print(conf, STDOUT_FILENO);
	} else if (drop_privileges(&o, conf) != 0) {
		status = 1;
	} else {
		log_set(strcmp(conf->log_format, "json") == 0 ? LOG_FMT_JSON : LOG_FMT_TEXT,
		    (enum log_lvl)p_enum_value(&p_enum_log_level, conf->log_level));
		status = run(&o, conf);
	}
	config_free(conf);
	options_free(&o);
	return status;
}
