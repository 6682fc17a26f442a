/* The broker process: opens its rooms, runs the loop, closes them in reverse. */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <event2/event.h>

#include "awod/agent_version.h"
#include "awod/broker.h"
#include "awod/config.h"
#include "awod/credentials.h"
#include "awod/engine.h"
#include "awod/gh_token.h"
#include "awod/options.h"
#include "awod/server.h"
#include "awod/store.h"
#include "common/buf.h"
#include "common/clean.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/sd.h"

extern char **environ;

#define LARGE (128 * 1024)	/* bytes of a block that has a mapping of its own */
#define KEPT (1024 * 1024)	/* bytes at the end of the heap that the next call finds there */

static struct config *
load(struct broker *b, struct awo_err *err)
{
	CLEAN_JSON json_t *stored = b->store != NULL ? store_settings(b->store, err) : NULL;
	struct config_input in = {.user_mode = b->opt->user_mode, .config_dir = b->opt->config_dir,
	    .config_file = b->opt->config_file, .environ = environ, .stored = stored};

	if (b->store != NULL && stored == NULL)
		return NULL;
	return config_load(&in, err);
}

/* Remembers what is in force of the settings that need a restart. */
static void
remember_start(struct broker *b)
{
	struct p_settings_answer all;
	struct awo_err err = {0};

	b->at_start = json_object();
	if (config_settings(b->conf, NULL, &all, &err) != 0)
		return;
	for (size_t i = 0; i < all.settings.n; i++)
		if (all.settings.v[i].restart_required)
			json_object_set(b->at_start, all.settings.v[i].key, all.settings.v[i].value);
	P_FREE(settings_answer, &all);
}

static void
apply_log(const struct config *c)
{
	log_set(strcmp(c->log_format, "json") == 0 ? LOG_FMT_JSON : LOG_FMT_TEXT,
	    (enum log_lvl)p_enum_value(&p_enum_log_level, c->log_level));
}

int
broker_reload(struct broker *b, struct awo_err *err)
{
	struct config *fresh = load(b, err);

	if (fresh == NULL) {
		log_error("configuration_refused", LS("error", err->msg), LS("kept", "the values before"));
		return -1;
	}
	config_free(b->conf);
	b->conf = fresh;
	apply_log(fresh);
	engine_reloaded(b->engine);
	agent_versions_reloaded(b->agents);
	log_info("configuration_loaded", LS("config_dir", b->opt->config_dir));
	return 0;
}

static void
on_hangup(evutil_socket_t sig, short what, void *arg)
{
	struct awo_err err = {0};

	(void)sig;
	(void)what;
	sd_reloading();
	(void)broker_reload(arg, &err);
	sd_ready();
}

/* The supervisor decides when to stop and says so on its socket; a signal to the broker alone is the same wish. */
static void
on_stop(evutil_socket_t sig, short what, void *arg)
{
	struct broker *b = arg;

	(void)sig;
	(void)what;
	event_base_loopexit(b->base, NULL);
}

static void
on_watchdog(evutil_socket_t fd, short what, void *arg)
{
	struct broker *b = arg;
	CLEAN_JSON json_t *m = json_object();

	(void)fd;
	(void)what;
	engine_metrics(b->engine, m);
	sd_ping();
	sd_status("%lld of %lld slots used, %lld pending",
	    (long long)json_integer_value(json_object_get(m, "slots_used")),
	    (long long)json_integer_value(json_object_get(m, "slots")),
	    (long long)json_integer_value(json_object_get(json_object_get(m, "orders"), "pending")));
}

static void
on_changed(void *arg)
{
	server_changed(((struct broker *)arg)->server);
}

/* The store: from memory, or a file beside the rest of the state. */
static int
open_state(struct broker *b, struct awo_err *err)
{
	const struct config *c = b->conf;
	const char *dir = c->storage_directory != NULL ? c->storage_directory : b->opt->state_dir;
	CLEAN_FREE char *path = xasprintf("%s/awo.db", dir);
	CLEAN_FREE char *key = c->key_file != NULL ? xstrdup(c->key_file) : xasprintf("%s/key", b->opt->state_dir);
	struct store_options o = {.path = strcmp(c->storage_type, "memory") == 0 ? NULL : path,
	    .backup_dir = dir,
	    .changed = on_changed,
	    .arg = b};

	b->store = store_open(b->base, &o, err);
	if (b->store == NULL)
		return -1;
	b->keys = keyring_open(key, err);
	return b->keys == NULL ? -1 : 0;
}

/* A line of a log that cannot be parsed for want of memory would be taken for a malformed one, and be lost. */
static void *
json_memory(size_t n)
{
	return xrealloc(NULL, n, 1);
}

static void
log_libevent(int severity, const char *msg)
{
	if (severity >= EVENT_LOG_WARN)
		log_warning("libevent", LS("message", msg));
}

int
broker_main(const struct options *o, int fd)
{
	struct broker b = {.opt = o, .started_us = clock_wall_us()};
	struct event *hangup = NULL, *term = NULL, *intr = NULL, *watchdog = NULL;
	struct awo_err err = {0};
	int64_t every = sd_watchdog_us();
	struct timeval tv;
	int rc = 1;

	log_open("awod", LOG_FMT_TEXT, LOG_LVL_INFO);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);	/* it holds credentials */
	prctl(PR_SET_NAME, "awod-broker", 0, 0, 0);	/* started by way of /proc/self/exe it would be called exe */
	signal(SIGPIPE, SIG_IGN);
	/*
	 * A large block is a mapping of its own, which ends when it is freed, and the heap's free end is given back. glibc would
	 * learn from the first large block to keep as much as that twice over: one long page of a log, and 8 MiB stay for ever.
	 */
	mallopt(M_MMAP_THRESHOLD, LARGE);
	mallopt(M_TRIM_THRESHOLD, KEPT);
	event_set_log_callback(log_libevent);
	json_set_alloc_funcs(json_memory, free);
	b.base = event_base_new();
	if (b.base == NULL) {
		ERR(&err, INTERNAL, "", "cannot make an event loop: %s", strerror(errno));
		goto out;
	}
	b.conf = load(&b, &err);
	if (b.conf == NULL)
		goto out;
	apply_log(b.conf);
	config_log_ignored(environ);
	if (open_state(&b, &err) != 0)
		goto out;
	/* once more, with the settings that are stored */
	config_free(b.conf);
	b.conf = load(&b, &err);
	if (b.conf == NULL)
		goto out;
	remember_start(&b);
	apply_log(b.conf);
	if (o->user_mode && b.conf->github_token == NULL)
		b.gh = gh_token_open(b.base, b.conf->gh_cli_path, b.conf->github_host);
	if (engine_open(&b, fd, &err) == NULL)
		goto out;
	agent_versions_open(&b);
	b.server = server_open(&b, &err);
	if (b.server == NULL)
		goto out;
	hangup = evsignal_new(b.base, SIGHUP, on_hangup, &b);
	term = evsignal_new(b.base, SIGTERM, on_stop, &b);
	intr = evsignal_new(b.base, SIGINT, on_stop, &b);
	watchdog = event_new(b.base, -1, EV_PERSIST, on_watchdog, &b);
	if (hangup == NULL || term == NULL || intr == NULL || watchdog == NULL) {
		ERR(&err, INTERNAL, "", "cannot watch signals: %s", strerror(errno));
		goto out;
	}
	evsignal_add(hangup, NULL);
	evsignal_add(term, NULL);
	evsignal_add(intr, NULL);
	if (every <= 0 || every > 30000000)
		every = 30000000;
	every /= 2;
	tv = (struct timeval){.tv_sec = every / 1000000, .tv_usec = every % 1000000};
	event_add(watchdog, &tv);
	log_info("broker_started", LS("version", AWO_VERSION), LS("mode", o->user_mode ? "user" : "system"),
	    LS("socket", o->socket_path), LS("state_directory", o->state_dir));
	sd_ready();
	event_active(watchdog, EV_TIMEOUT, 0);	/* the first status is not to wait for its time */
	event_base_dispatch(b.base);
	sd_stopping();
	log_info("broker_stopping", LS("orders", "go on without it"));
	rc = 0;
out:
	if (err.code != AWO_OK)
		log_error("broker_failed", LS("error", err.msg));
	engine_stop(b.engine);
	server_close(b.server);
	if (b.store != NULL)
		store_flush(b.store);
	engine_close(b.engine);
	agent_versions_close(b.agents);
	if (b.store != NULL)
		store_close(b.store);
	keyring_close(b.keys);
	gh_token_close(b.gh);
	config_free(b.conf);
	json_decref(b.at_start);
	if (hangup != NULL)
		event_free(hangup);
	if (term != NULL)
		event_free(term);
	if (intr != NULL)
		event_free(intr);
	if (watchdog != NULL)
		event_free(watchdog);
	if (b.base != NULL)
		event_base_free(b.base);
	return rc;
}
