/* A real server and store in a temporary directory, with an engine that the test plays, and clients
 * that say anything. */
#include "tests/unit/awod_server_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "awod/caller.h"
#include "awod/credentials.h"
#include "awod/server_priv.h"
#include "common/clock.h"
#include "common/files.h"
#include "common/ids.h"
#include "common/log.h"

struct rig *rig;

static json_t *last_answer;
static const struct awo_err none;

struct engine {
	int unused;
};
static struct engine the_engine;

/* ---- the engine, as the test plays it */

static struct order_row *
order_find(const char *id)
{
	for (size_t i = 0; i < rig->norders; i++)
		if (strcmp(rig->orders[i]->pub.agent_work_order_id, id) == 0)
			return rig->orders[i];
	return NULL;
}

const struct order_row *
engine_order(struct engine *e, const char *id, struct awo_err *err)
{
	const struct order_row *r = order_find(id);

	(void)e;
	return r != NULL ? r : store_order_lend(rig->b.store, id, err);
}

bool
engine_is_settling(struct engine *e, const char *id)
{
	(void)e;
	return rig->settling != NULL && strcmp(rig->settling, id) == 0;
}

void
engine_fill_positions(struct engine *e, struct p_order_list_answer *page)
{
	(void)e;
	(void)page;
}

void
engine_create_delivered(struct engine *e, struct order_row *row, const char *key,
    const struct store_delivery *delivery, engine_done *done, void *arg)
{
	struct p_order *o = &row->pub;
	char id[12], box[32];

	(void)e;
	(void)key;
	(void)delivery;
	ids_order(id);
	snprintf(box, sizeof(box), "sandbox-%s", id);
	P_SETS(order, o, agent_work_order_id, id);
	P_SETS(order, o, sandbox_identifier, box);
	P_SET(order, o, status, order_status_pending);
	P_SET(order, o, attempt, 1);
	P_SET(order, o, created_at, clock_wall_us());
	P_SET(order, o, updated_at, o->created_at);
	P_MARK(order, o, usage);
	assert_true(rig->norders < 64);
	rig->orders[rig->norders++] = row;
	done(arg, &none, row);
}

void
engine_cancel(struct engine *e, const char *id, const char *by, const char *reason,
    engine_done *done, void *arg)
{
	(void)e;
	(void)by;
	(void)reason;
	if (rig->hold) {
		struct held *h = &rig->held[rig->nheld++];

		assert_true(rig->nheld < 256);
		*h = (struct held){.done = done, .arg = arg};
		snprintf(h->id, sizeof(h->id), "%s", id);
		return;
	}
	done(arg, &none, order_find(id));
}

void
rig_release(size_t n)
{
	assert_true(n <= rig->nheld);
	for (size_t i = 0; i < n; i++)
		rig->held[i].done(rig->held[i].arg, &none, order_find(rig->held[i].id));
	memmove(rig->held, rig->held + n, (rig->nheld - n) * sizeof(rig->held[0]));
	rig->nheld -= n;
}

void
engine_pause(struct engine *e, const char *id, const char *by, engine_done *done, void *arg)
{
	engine_cancel(e, id, by, NULL, done, arg);
}

void
engine_approve(struct engine *e, const char *id, const struct caller *by, const char *comment, const char *prompt,
    engine_done *done, void *arg)
{
	(void)prompt;
	engine_cancel(e, id, by->user, comment, done, arg);
}

void
engine_resume(struct engine *e, const char *id, const char *by, engine_done *done, void *arg)
{
	engine_cancel(e, id, by, NULL, done, arg);
}

void
engine_retry(struct engine *e, const char *id, const char *by, engine_done *done, void *arg)
{
	engine_cancel(e, id, by, NULL, done, arg);
}

void
engine_start(struct engine *e, const char *id, engine_done *done, void *arg)
{
	engine_cancel(e, id, NULL, NULL, done, arg);
}

void
engine_prompt(struct engine *e, const char *id, const struct caller *by, const char *words,
    engine_prompt_done *done, void *arg)
{
	engine_prompt_delivered(e, id, by, words, NULL, done, arg);
}

void
engine_prompt_delivered(struct engine *e, const char *id, const struct caller *by, const char *words,
    const struct store_delivery *delivery, engine_prompt_done *done, void *arg)
{
	(void)e;
	(void)id;
	(void)by;
	(void)words;
	(void)delivery;
	done(arg, &none, 5, "it will run after the current step");
}

void
engine_delete(struct engine *e, const char *id, engine_done *done, void *arg)
{
	(void)e;
	(void)id;
	done(arg, &none, NULL);
}

void
engine_pull_request_seen(
    struct engine *e, const char *id, enum p_pull_request_state state, engine_done *done, void *arg)
{
	struct order_row *r = order_find(id);

	(void)e;
	P_SET(order, &r->pub, github_pull_request_state, state);
	done(arg, &none, r);
}

void
engine_queue(struct engine *e, const struct caller *c, struct p_queue_answer *out)
{
	(void)e;
	(void)c;
	*out = (struct p_queue_answer){0};
	P_SET(queue_answer, out, running, 0);
	P_SET(queue_answer, out, pending, 0);
	P_SET(queue_answer, out, max_concurrent, 5);
	P_MARK(queue_answer, out, entries);
}

void
engine_metrics(struct engine *e, json_t *into)
{
	(void)e;
	json_object_set_new(into, "slots", json_integer(5));
}

void
engine_cache_name(const char *canonical, char out[65])
{
	files_sha256_hex(canonical, strlen(canonical), out);
}

struct told {
	engine_task_done *done;
	void *arg;
};

static void
tell(evutil_socket_t fd, short what, void *arg)
{
	struct told *t = arg;

	(void)fd;
	(void)what;
	t->done(t->arg, &rig->task_err, rig->task_answer);
	free(t);
}

void
engine_task(struct engine *e, const struct engine_task *t, engine_task_done *done, void *arg)
{
	const struct timeval now = {0, 0};
	struct told *told = malloc(sizeof(*told));

	(void)e;
	assert_non_null(told);
	snprintf(rig->verb, sizeof(rig->verb), "%s", t->verb);
	rig->program = t->program;
	rig->flags = t->flags;
	rig->task_owner = t->owner_uid;
	rig->asked_by = t->asked_by;
	rig->tasks++;
	json_decref(rig->request);
	rig->request = t->request;
	*told = (struct told){done, arg};
	event_base_once(rig->base, -1, EV_TIMEOUT, tell, told, &now);
}

json_t *
engine_git_credential(struct engine *e, uint32_t uid, const char *url)
{
	(void)e;
	(void)uid;
	(void)url;
	return NULL;
}

char *
engine_forge_token(struct engine *e, uint32_t uid, const char *host)
{
	(void)e;
	(void)uid;
	(void)host;
	return xstrdup(rig->forge_token);
}

json_t *
engine_remote_request(struct engine *e, uint32_t uid, const char *url)
{
	(void)e;
	(void)uid;
	return json_pack("{s:s, s:i}", "url", url, "timeout_seconds", 300);
}

int
engine_log_open(struct engine *e, const struct order_row *row)
{
	char path[256];

	(void)e;
	snprintf(path, sizeof(path), "%s/%s.jsonl", rig->opt.log_dir, row->pub.agent_work_order_id);
	return open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void
clean(bool dry_run, engine_cleanup_done *done, void *arg)
{
	struct p_cleanup_answer a = {0};

	P_SET(cleanup_answer, &a, removed, dry_run ? 0 : 1);
	P_SET(cleanup_answer, &a, kept, 0);
	P_SET(cleanup_answer, &a, bytes_freed, 0);
	P_MARK(cleanup_answer, &a, errors);
	P_MARK(cleanup_answer, &a, details);
	done(arg, &none, &a);
}

void
engine_cleanup(struct engine *e, bool dry_run, engine_cleanup_done *done, void *arg)
{
	(void)e;
	clean(dry_run, done, arg);
}

void
engine_reconcile(struct engine *e, bool dry_run, engine_cleanup_done *done, void *arg)
{
	(void)e;
	clean(dry_run, done, arg);
}

int
broker_reload(struct broker *b, struct awo_err *err)
{
	char *no_environment[] = {NULL};
	json_t *stored = store_settings(b->store, err);
	struct config_input in = {
	    .config_dir = b->opt->config_dir, .environ = no_environment, .stored = stored};
	struct config *fresh = config_load(&in, err);

	json_decref(stored);
	if (fresh == NULL)
		return -1;
	config_free(b->conf);
	b->conf = fresh;
	rig->reloads++;
	return 0;
}

/* ---- the rig */

static char *
below(const char *name)
{
	char *path = xasprintf("%s/%s", rig->dir, name);

	assert_int_equal(mkdir(path, 0700), 0);
	return path;
}

static char *write_names(const char *name, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static char *
write_names(const char *name, const char *fmt, ...)
{
	char *path = xasprintf("%s/%s", rig->dir, name);
	FILE *f = fopen(path, "we");
	va_list ap;

	assert_non_null(f);
	va_start(ap, fmt);
	(void)vfprintf(f, fmt, ap);
	va_end(ap);
	assert_int_equal(fclose(f), 0);
	return path;
}

/* The host's users are those of rig_caller(), all of whom may use awod's socket. */
static void
know_users(void)
{
	char *passwd = write_names("passwd", "root:x:0:0::/:/bin/sh\nowner:x:%u:%u::/:/bin/sh\nother:x:%u:%u::/:/bin/sh\n",
	    OWNER, OWNER, OTHER, OTHER);
	char *group = write_names("group", "users:x:%u:owner,other\n", (unsigned)getgid());

	names_close(rig->b.server->names);
	rig->b.server->names = names_open(passwd, group);
	free(passwd);
	free(group);
}

int
rig_setup(void **state)
{
	char *no_environment[] = {NULL};
	struct store_options so = {0};
	struct config_input in = {.environ = no_environment};
	struct awo_err err = {0};
	char *key;

	(void)state;
	signal(SIGPIPE, SIG_IGN); /* as the broker does */
	log_open("test", LOG_FMT_TEXT, LOG_LVL_ERROR);
	rig = calloc(1, sizeof(*rig));
	assert_non_null(rig);
	snprintf(rig->dir, sizeof(rig->dir), "/tmp/awo-server-XXXXXX");
	assert_non_null(mkdtemp(rig->dir));
	rig->opt.config_dir = below("config");
	rig->opt.state_dir = below("state");
	rig->opt.run_dir = below("run");
	rig->opt.log_dir = below("log");
	rig->opt.work_order_dir = below("work-orders");
	rig->opt.libexec_dir = below("libexec");
	rig->opt.commands_dir = xstrdup(TEST_SOURCE_DIR "/commands");
	rig->opt.socket_path = xasprintf("%s/awod.sock", rig->opt.run_dir);
	rig->base = event_base_new();
	assert_non_null(rig->base);
	rig->b = (struct broker){.opt = &rig->opt,
	    .base = rig->base,
	    .engine = &the_engine,
	    .started_us = clock_wall_us()};
	in.config_dir = rig->opt.config_dir;
	rig->b.conf = config_load(&in, &err);
	if (rig->b.conf == NULL)
		fail_msg("config: %s", err.msg);
	/* no group of that name may be there */
	free(rig->b.conf->socket_group);
	rig->b.conf->socket_group = NULL;
	rig->b.store = store_open(rig->base, &so, &err);
	if (rig->b.store == NULL)
		fail_msg("store: %s", err.msg);
	key = xasprintf("%s/key", rig->opt.state_dir);
	rig->b.keys = keyring_open(key, &err);
	free(key);
	if (rig->b.keys == NULL)
		fail_msg("keyring: %s", err.msg);
	rig->b.server = server_open(&rig->b, &err);
	if (rig->b.server == NULL)
		fail_msg("server: %s", err.msg);
	know_users();
	return 0;
}

int
rig_teardown(void **state)
{
	(void)state;
	server_close(rig->b.server);
	assert_null(rig->b.server);
	store_close(rig->b.store);
	keyring_close(rig->b.keys);
	config_free(rig->b.conf);
	event_base_free(rig->base);
	for (size_t i = 0; i < rig->norders; i++) {
		order_row_free(rig->orders[i]);
		free(rig->orders[i]);
	}
	json_decref(rig->request);
	json_decref(rig->task_answer);
	json_decref(last_answer);
	last_answer = NULL;
	files_remove_tree(AT_FDCWD, rig->dir, NULL);
	free(rig->opt.config_dir);
	free(rig->opt.state_dir);
	free(rig->opt.run_dir);
	free(rig->opt.log_dir);
	free(rig->opt.work_order_dir);
	free(rig->opt.libexec_dir);
	free(rig->opt.commands_dir);
	free(rig->opt.socket_path);
	free(rig);
	rig = NULL;
	return 0;
}

void
rig_turn(void)
{
	if (event_base_loop(rig->base, EVLOOP_NONBLOCK) != 0)
		fail_msg("the loop has nothing to wait for");
	usleep(200);
}

static void
inserted(void *arg, const struct awo_err *err, const struct store_commit *commit)
{
	(void)commit;
	if (err != NULL && err->code != AWO_OK)
		fail_msg("insert: %s", err->msg);
	*(bool *)arg = true;
}

struct order_row *
rig_order(const char *id, uint32_t uid, enum p_order_status status)
{
	struct order_row *r = xcalloc(1, sizeof(*r));
	struct p_order *o = &r->pub;
	struct store_tx *tx;
	bool done = false;
	char box[32];

	snprintf(box, sizeof(box), "sandbox-%s", id);
	P_SETS(order, o, agent_work_order_id, id);
	P_SETS(order, o, repository_url, "https://github.com/octo/thing");
	P_SETS(order, o, sandbox_identifier, box);
	P_SETS(order, o, owner, uid == OWNER ? "owner" : "other");
	P_SET(order, o, sandbox_type, sandbox_type_git_worktree);
	P_SETS(order, o, user_request, "do something");
	p_strv_add(&o->selected_commands, "planning");
	P_MARK(order, o, selected_commands);
	P_SETS(order, o, agent, "claude");
	P_SET(order, o, priority, 0);
	P_SET(order, o, status, status);
	P_SET(order, o, step_number, 0);
	P_SET(order, o, total_steps, 1);
	P_SET(order, o, attempt, 1);
	P_SET(order, o, created_at, clock_wall_us());
	P_SET(order, o, updated_at, o->created_at);
	P_SET(order, o, git_commit_count, 0);
	P_SET(order, o, git_files_changed, 0);
	P_SET(order, o, git_lines_added, 0);
	P_SET(order, o, git_lines_removed, 0);
	P_MARK(order, o, usage);
	P_MARK(order, o, sandbox_layers);
	r->owner_uid = uid;
	r->canonical_url = xstrdup(o->repository_url);
	r->log_date = xstrdup("2026-01-31");
	tx = store_tx(rig->b.store);
	store_tx_order_insert(tx, r, NULL);
	store_tx_commit(tx, inserted, &done);
	rig_until(done);
	assert_true(rig->norders < 64);
	rig->orders[rig->norders++] = r;
	return r;
}

int
rig_log_fd(const char *id)
{
	return engine_log_open(NULL, order_find(id));
}

void
rig_log(const char *id, const char *words, size_t len)
{
	int fd = rig_log_fd(id);

	assert_true(fd >= 0);
	assert_int_equal(files_write_all(fd, words, len), 0);
	close(fd);
	server_log_grew(rig->b.server, id);
}

/* ---- clients */

struct caller
rig_caller(uint32_t uid)
{
	struct caller who = {.uid = uid,
	    .pid = getpid(),
	    .admin = uid == 0,
	    .scopes = P_SCOPE_READ | P_SCOPE_WRITE | P_SCOPE_ADMIN};

	snprintf(who.user, sizeof(who.user), "%s",
	    uid == 0	   ? "root"
	    : uid == OWNER ? "owner"
			   : "other");
	return who;
}

struct client *
client_as(const struct caller *who)
{
	struct client *c = xcalloc(1, sizeof(*c));
	int fds[2];

	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
	conn_new(rig->b.server, fds[0], who, NULL);
	c->r = rig;
	c->fd = fds[1];
	c->notes = json_array();
	return c;
}

struct client *
client_new(uint32_t uid)
{
	struct caller who = rig_caller(uid);

	return client_as(&who);
}

void
client_free(struct client *c)
{
	close(c->fd);
	buf_free(&c->in);
	json_decref(c->notes);
	free(c);
}

void
client_raw(struct client *c, const void *p, size_t n)
{
	const char *at = p;

	while (n > 0) {
		ssize_t got = send(c->fd, at, n, MSG_NOSIGNAL);

		if (got < 0 && (errno == EPIPE || errno == ECONNRESET))
			return; /* refused already */
		if (got < 0) {
			assert_int_equal(errno, EAGAIN);
			rig_turn();
			continue;
		}
		at += got;
		n -= (size_t)got;
	}
}

static void
head(struct buf *b, unsigned char type, uint32_t n)
{
	unsigned char bytes[5] = {type, (unsigned char)(n >> 24), (unsigned char)(n >> 16),
	    (unsigned char)(n >> 8), (unsigned char)n};

	buf_add(b, bytes, 5);
}

void
json_to_msgpack(struct buf *b, const json_t *v)
{
	const char *key;
	json_t *item;
	size_t i;

	switch (json_typeof(v)) {
	case JSON_OBJECT:
		head(b, 0xdf, (uint32_t)json_object_size(v));
		json_object_foreach((json_t *)(uintptr_t)v, key, item)
		{
			head(b, 0xdb, (uint32_t)strlen(key));
			buf_adds(b, key);
			json_to_msgpack(b, item);
		}
		break;
	case JSON_ARRAY:
		head(b, 0xdd, (uint32_t)json_array_size(v));
		json_array_foreach(v, i, item) json_to_msgpack(b, item);
		break;
	case JSON_STRING:
		head(b, 0xdb, (uint32_t)json_string_length(v));
		buf_add(b, json_string_value(v), json_string_length(v));
		break;
	case JSON_INTEGER: {
		uint64_t n = (uint64_t)json_integer_value(v);

		buf_addc(b, (char)0xd3);
		for (int shift = 56; shift >= 0; shift -= 8)
			buf_addc(b, (char)(n >> shift));
		break;
	}
	case JSON_TRUE:
		buf_addc(b, (char)0xc3);
		break;
	case JSON_FALSE:
		buf_addc(b, (char)0xc2);
		break;
	case JSON_REAL:
	case JSON_NULL:
		buf_addc(b, (char)0xc0);
		break;
	}
}

uint32_t
client_request(struct client *c, const char *method, json_t *params)
{
	json_t *message = json_pack("[i, I, s, [o]]", 0, (json_int_t)++c->next_id, method,
	    params != NULL ? params : json_object());
	struct buf b = {0};

	assert_non_null(message);
	json_to_msgpack(&b, message);
	json_decref(message);
	client_raw(c, b.p, b.len);
	buf_free(&b);
	return c->next_id;
}

void
client_read(struct client *c)
{
	char bytes[65536];
	ssize_t n;

	while ((n = recv(c->fd, bytes, sizeof(bytes), 0)) > 0)
		buf_add(&c->in, bytes, (size_t)n);
	if (n == 0 || (n < 0 && errno != EAGAIN))
		c->closed = true;
}

/* Takes one message off the buffer: notifications are kept, a response is given. */
static json_t *
next_message(struct client *c, uint32_t want)
{
	struct p_frame f;
	struct awo_err err = {0};
	bool have_id;
	uint32_t id;
	ssize_t n;

	while (c->in.len > 0 && (n = p_frame_scan((const uint8_t *)c->in.p, c->in.len, &f, &have_id,
				     &id, &err)) != 0) {
		json_t *got = NULL;

		if (n < 0)
			fail_msg("the server sent a malformed message: %s", err.msg);
		if (f.kind == P_FRAME_NOTIFY) {
			json_array_append_new(
			    c->notes, json_pack("{s:s%, s:o}", "method", f.method, f.method_len,
					  "params", p_decode_any(f.param, &err)));
		} else {
			assert_int_equal(f.kind, P_FRAME_RESPONSE);
			if (f.id == want)
				got = f.error.p != NULL
					  ? json_pack("{s:o}", "error", p_decode_any(f.error, &err))
					  : json_pack(
						"{s:o}", "result", p_decode_any(f.result, &err));
		}
		buf_drain(&c->in, (size_t)n);
		if (got != NULL)
			return got;
	}
	return NULL;
}

json_t *
client_poll(struct client *c, uint32_t id)
{
	client_read(c);
	return next_message(c, id);
}

json_t *
client_response(struct client *c, uint32_t id)
{
	for (int turns = 0; turns < 50000; turns++) {
		json_t *got = client_poll(c, id);

		if (got != NULL)
			return got;
		if (c->closed)
			return NULL;
		rig_turn();
	}
	fail_msg("no answer");
	return NULL;
}

json_t *
client_ask(struct client *c, const char *method, json_t *params)
{
	uint32_t id = client_request(c, method, params);

	json_decref(last_answer);
	last_answer = client_response(c, id);
	if (last_answer == NULL)
		fail_msg("%s: the connection was closed", method);
	return json_object_get(last_answer, "result");
}

const char *
text(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s != NULL ? s : "";
}

int64_t
number(const json_t *object, const char *key)
{
	json_t *v = json_object_get(object, key);

	if (!json_is_integer(v))
		fail_msg("%s is no number", key);
	return json_integer_value(v);
}

const char *
client_error(void)
{
	return text(json_object_get(last_answer, "error"), "code");
}

const char *
client_message(void)
{
	return text(json_object_get(last_answer, "error"), "message");
}

json_t *
client_errors(void)
{
	return json_object_get(json_object_get(last_answer, "error"), "errors");
}

const char *
client_field(void)
{
	return text(json_object_get(last_answer, "error"), "field");
}
