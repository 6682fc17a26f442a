/* The engine against a supervisor that the test plays: orders from creation to their end, with everything that can come between. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>
#include <sqlite3.h>

#include "awod/config.h"
#include "awod/credentials.h"
#include "awod/engine_priv.h"
#include "awod/options.h"
#include "awod/store.h"
#include "common/buf.h"
#include "common/clean.h"
#include "common/clock.h"
#include "common/files.h"

/* ---- what the streams would be told: counted */
static int ended;
static bool is_known; /* that what was kept of orders holds no more, since the worker's event before */
static int unknown;   /* events of a worker that came before that word */
void server_log_grew(struct server *s, const char *id) { (void)s; (void)id; }
void server_log_ended(struct server *s, const char *id, const char *reason) { (void)s; (void)id; (void)reason; ended++; }
void
server_event(struct server *s, uint32_t uid, int64_t id, const char *line)
{
	(void)s, (void)uid, (void)line;
	if (id != 0)
		return;
	unknown += !is_known;
	is_known = false;
}
void server_changed(struct server *s) { (void)s; is_known = true; }
bool caller_may_see(const struct caller *c, uint32_t uid) { return c->uid == uid; }

#define W64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

struct rig {
	char dir[64];
	struct options opt;
	struct broker b;
	int sup;			/* the supervisor's end */
	char *config;
	/* of the newest SPAWN of an order */
	int journal;
	char id[16];
};

struct packet {
	struct sup_msg m;
	int fds[3];
	int nfds;
};

static void
spin(struct rig *r, int ms)
{
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000L};

	event_base_loopexit(r->b.base, &tv);
	event_base_dispatch(r->b.base);
}

static bool
next_packet(struct rig *r, struct packet *p)
{
	for (int i = 0; i < 400; i++) {
		union {
			char buf[CMSG_SPACE(sizeof(int) * 3)];
			struct cmsghdr align;
		} u;
		struct iovec iov = {.iov_base = &p->m, .iov_len = sizeof(p->m)};
		struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = u.buf, .msg_controllen = sizeof(u.buf)};

		p->nfds = 0;
		if (recvmsg(r->sup, &h, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) == (ssize_t)sizeof(p->m)) {
			struct cmsghdr *c = CMSG_FIRSTHDR(&h);

			if (c != NULL) {
				p->nfds = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
				memcpy(p->fds, CMSG_DATA(c), sizeof(int) * (size_t)p->nfds);
			}
			return true;
		}
		spin(r, 10);
	}
	return false;
}

static void
answer(struct rig *r, const struct sup_msg *to, enum sup_op op, int status)
{
	struct sup_msg m = *to;

	m.op = op;
	m.pid = 4242;
	m.status = status;
	m.err = 0;
	assert_int_equal(send(r->sup, &m, sizeof(m), 0), sizeof(m));
}

static void
say(struct rig *r, enum sup_op op, const char *id, int status)
{
	struct sup_msg m;

	suplink_msg(&m, op, SUP_ORDER);
	snprintf(m.id, sizeof(m.id), "%s", id);
	m.status = status;
	m.pid = 4242;
	assert_int_equal(send(r->sup, &m, sizeof(m), 0), sizeof(m));
}

/* Plays the fetch task that an order's start begins with, but for its process's end. */
static void
play_fetch_answer(struct rig *r, struct packet *p, const char *text)
{
	assert_true(next_packet(r, p));
	assert_int_equal(p->m.op, SUP_SPAWN);
	assert_int_equal(p->m.kind, SUP_TASK);
	assert_string_equal(p->m.verb, "fetch");
	assert_int_equal(p->m.flags & SUP_CACHE_RW, SUP_CACHE_RW);
	assert_int_equal(p->nfds, 2);
	answer(r, &p->m, SUP_SPAWNED, 0);
	assert_int_equal(files_write_all(p->fds[1], text, strlen(text)), 0);
	close(p->fds[0]);
	close(p->fds[1]);
}

static void
play_fetch(struct rig *r, const char *text)
{
	struct packet p;

	play_fetch_answer(r, &p, text);
	answer(r, &p.m, SUP_EXITED, 0);
}

/* Takes the SPAWN of an order, keeps the journal, returns the job specification. */
static json_t *
play_spawn(struct rig *r)
{
	struct packet p;
	size_t len;
	json_t *spec;
	char *text;

	assert_true(next_packet(r, &p));
	assert_int_equal(p.m.op, SUP_SPAWN);
	assert_int_equal(p.m.kind, SUP_ORDER);
	assert_int_equal(p.nfds, 3);
	snprintf(r->id, sizeof(r->id), "%s", p.m.id);
	text = files_read_fd(p.fds[0], 1 << 20, &len);
	assert_non_null(text);
	spec = json_loadb(text, len, 0, NULL);
	free(text);
	assert_non_null(spec);
	close(p.fds[0]);
	if (r->journal >= 0)
		close(r->journal);
	r->journal = p.fds[1];
	close(p.fds[2]);
	answer(r, &p.m, SUP_SPAWNED, 0);
	return spec;
}

/* A worker that waits for a fetch which failed is ended. */
static void
play_kill(struct rig *r)
{
	struct packet p;

	assert_true(next_packet(r, &p));
	assert_int_equal(p.m.op, SUP_KILL);
	assert_string_equal(p.m.id, r->id);
	answer(r, &p.m, SUP_EXITED, 9);
}

static void
play_failed_fetch(struct rig *r, const char *text)
{
	play_fetch(r, text);
	json_decref(play_spawn(r));
	play_kill(r);
}

static void
line(struct rig *r, const char *event, const char *fields)
{
	char when[CLOCK_TEXT];
	CLEAN_FREE char *text = xasprintf("{\"timestamp\":\"%s\",\"level\":\"info\",\"event\":\"%s\","
	    "\"agent_work_order_id\":\"%s\",\"work_order_id\":\"%s\"%s%s}\n", clock_format(clock_wall_us(), when), event,
	    r->id, r->id, fields[0] != '\0' ? "," : "", fields);

	assert_int_equal(files_write_all(r->journal, text, strlen(text)), 0);
}

static void
open_engine(struct rig *r)
{
	struct awo_err err = {0};
	struct config_input in = {.user_mode = true, .config_dir = r->dir};
	char *none[] = {NULL};
	char path[128];
	struct store_options so = {.path = path};
	int pair[2];

	snprintf(path, sizeof(path), "%s/awo.db", r->dir);
	in.environ = none;
	r->b.opt = &r->opt;
	r->b.base = event_base_new();
	r->b.conf = config_load(&in, &err);
	assert_string_equal(err.msg, "");
	r->b.store = store_open(r->b.base, &so, &err);
	assert_string_equal(err.msg, "");
	snprintf(path, sizeof(path), "%s/key", r->dir);
	r->b.keys = keyring_open(path, &err);
	assert_non_null(r->b.keys);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	r->sup = pair[1];
	evutil_make_socket_nonblocking(pair[0]);
	assert_non_null(engine_open(&r->b, pair[0], &err));
}

static void
close_engine(struct rig *r)
{
	engine_stop(r->b.engine);
	store_flush(r->b.store);
	engine_close(r->b.engine);
	store_close(r->b.store);
	keyring_close(r->b.keys);
	config_free(r->b.conf);
	event_base_free(r->b.base);
	close(r->sup);
}

static int
setup(void **state)
{
	struct rig *r = xcalloc(1, sizeof(*r));
	char path[128];

	signal(SIGPIPE, SIG_IGN);
	r->journal = -1;
	ended = 0;
	snprintf(r->dir, sizeof(r->dir), "/tmp/awo-engine-XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	r->opt.user_mode = true;
	r->opt.state_dir = r->opt.run_dir = r->opt.log_dir = r->opt.config_dir = r->dir;
	r->opt.work_order_dir = xasprintf("%s/work-orders", r->dir);
	r->opt.repository_dir = xasprintf("%s/repositories", r->dir);
	mkdir(r->opt.work_order_dir, 0700);
	snprintf(path, sizeof(path), "%s/config.yaml", r->dir);
	r->config = xstrdup("max_concurrent: 2\nretry:\n  backoff: 1\n  max_backoff: 1\ntimeouts:\n  kill: 1\n");
	assert_int_equal(files_replace(AT_FDCWD, path, r->config, strlen(r->config), 0600), 0);
	open_engine(r);
	say(r, SUP_READY, "", 0);
	spin(r, 20);
	*state = r;
	return 0;
}

static int
teardown(void **state)
{
	struct rig *r = *state;

	close_engine(r);
	if (r->journal >= 0)
		close(r->journal);
	(void)files_remove_tree(AT_FDCWD, r->dir, NULL);
	free(r->opt.work_order_dir);
	free(r->opt.repository_dir);
	free(r->config);
	free(r);
	return 0;
}

struct seen {
	int calls;
	enum awo_code code;
	char id[16], msg[768];
	enum p_order_status status;
};

static void
on_done(void *arg, const struct awo_err *err, const struct order_row *row)
{
	struct seen *s = arg;

	s->calls++;
	s->code = err->code;
	snprintf(s->msg, sizeof(s->msg), "%s", err->msg);
	if (row != NULL) {
		snprintf(s->id, sizeof(s->id), "%s", row->pub.agent_work_order_id);
		s->status = row->pub.status;
	}
}

static void
wait_calls(struct rig *r, const struct seen *s, int calls)
{
	for (int i = 0; i < 500 && s->calls < calls; i++)
		spin(r, 10);
	assert_int_equal(s->calls, calls);
}

static struct order_row *
new_row(void)
{
	struct order_row *row = xcalloc(1, sizeof(*row));

	P_SETS(order, &row->pub, repository_url, "file:///srv/none.git");
	P_SETS(order, &row->pub, owner, "somebody");
	P_SETS(order, &row->pub, user_request, "do it");
	P_SETS(order, &row->pub, agent, "demo");
	P_SET(order, &row->pub, sandbox_type, sandbox_type_git_worktree);
	p_strv_add(&row->pub.selected_commands, "create-branch");
	p_strv_add(&row->pub.selected_commands, "commit");
	row->canonical_url = xstrdup("file:///srv/none.git");
	row->owner_uid = 1000;
	return row;
}

static void
begin_create(struct rig *r, const char *key, struct seen *s)
{
	engine_create(r->b.engine, new_row(), key, on_done, s);
}

static void
create(struct rig *r, const char *key, struct seen *s)
{
	int calls = s->calls;

	begin_create(r, key, s);
	wait_calls(r, s, calls + 1);
}

static int
take_id(void *arg, struct order_row *row)
{
	snprintf(arg, 16, "%s", row->pub.agent_work_order_id);
	return 0;
}

/* An order that is recorded, and of which the loop has not been told yet: id is as a list would show it. */
static void
create_behind_the_loop(struct rig *r, struct seen *s, char id[16])
{
	struct awo_err err = {0};

	begin_create(r, NULL, s);
	id[0] = '\0';
	for (int i = 0; i < 5000 && id[0] == '\0'; i++) {
		usleep(1000);
		assert_int_equal(store_order_scan(r->b.store, W_pending, take_id, id, &err), 0);
	}
	assert_string_not_equal(id, "");
	assert_int_equal(s->calls, 0);
}

static int
order_copy(struct engine *e, const char *id, struct order_row *out)
{
	const struct order_row *now = engine_order(e, id, NULL);
	struct order_row *copy;

	if (now == NULL)
		return -1;
	copy = order_row_dup(now);
	*out = *copy;
	free(copy);
	return 0;
}

static void
wait_status(struct rig *r, const char *id, enum p_order_status status)
{
	struct order_row row = {0};
	enum p_order_status is = order_status_none;

	for (int i = 0; i < 500 && is != status; i++) {
		assert_int_equal(order_copy(r->b.engine, id, &row), 0);
		is = row.pub.status;
		order_row_free(&row);
		spin(r, 10);
	}
	for (int i = 0; i < 500 && engine_is_settling(r->b.engine, id); i++)
		spin(r, 10);
	assert_string_equal(P_ENUM_NAME(order_status, is), P_ENUM_NAME(order_status, status));
}

static int
in_log_now(struct rig *r, const char *id, const char *text)
{
	struct order_row row = {0};
	int n = 0, fd;
	size_t len;
	char *all;

	assert_int_equal(order_copy(r->b.engine, id, &row), 0);
	fd = engine_log_open(r->b.engine, &row);
	order_row_free(&row);
	assert_true(fd >= 0);
	all = files_read_fd(fd, 1 << 20, &len);
	close(fd);
	assert_non_null(all);
	for (char *p = all; (p = strstr(p, text)) != NULL; p++)
		n++;
	free(all);
	return n;
}

/* How often the order's log holds the text; a line follows the commit of what it tells, so the first is waited for. */
static int
in_log(struct rig *r, const char *id, const char *text)
{
	int n;

	for (int i = 0; (n = in_log_now(r, id, text)) == 0 && i < 500; i++)
		spin(r, 10);
	return n;
}

static const char fetch_ok[] = "{\"ok\":true,\"default_branch\":\"trunk\",\"head_sha\":\"x\"}\n";

static void
a_fetch_is_over_when_it_says_so(void **state)
{
	struct rig *r = *state;
	struct seen s = {0};
	struct packet p;

	create(r, NULL, &s);
	play_fetch_answer(r, &p, fetch_ok);
	json_decref(play_spawn(r));
	answer(r, &p.m, SUP_EXITED, 0);
	line(r, "workflow_completed", "\"git_commit_count\":0");
	say(r, SUP_EXITED, s.id, 0);
	wait_status(r, s.id, order_status_completed);
}

/* What went wrong is known when its process has ended, which may have been killed. */
static void
a_failed_fetch_is_over_when_it_has_ended(void **state)
{
	struct rig *r = *state;
	struct order_row row = {0};
	struct seen s = {0};
	struct packet p;

	create(r, NULL, &s);
	play_fetch_answer(r, &p, "{\"ok\":false,\"error\":{\"category\":\"git\",\"message\":\"no such repository\","
	    "\"reason\":\"not_found\"}}\n");
	spin(r, 100);
	assert_int_equal(order_copy(r->b.engine, s.id, &row), 0);
	assert_int_equal(row.pub.status, order_status_running);
	order_row_free(&row);
	json_decref(play_spawn(r));
	answer(r, &p.m, SUP_EXITED, 1);
	play_kill(r);
	wait_status(r, s.id, order_status_failed);
}

static void
an_order_runs_to_its_end(void **state)
{
	struct rig *r = *state;
	struct seen s = {0};
	struct order_row row = {0};
	json_t *spec;

	create(r, NULL, &s);
	assert_int_equal(s.code, AWO_OK);
	play_fetch(r, fetch_ok);
	spec = play_spawn(r);
	assert_string_equal(json_string_value(json_object_get(spec, "id")), s.id);
	assert_int_equal(json_array_size(json_object_get(spec, "steps")), 2);
	assert_int_equal(strlen(json_string_value(json_object_get(spec, "nonce"))), 64);
	assert_true(json_is_true(json_object_get(spec, "fetching")));
	json_decref(spec);
	spin(r, 50);
	is_known = false;
	unknown = 0;
	line(r, "sandbox_created", "\"layers\":[\"user_namespace\"]");
	line(r, "workspace_created", "\"base_branch\":\"trunk\",\"base_sha\":\"1111111111111111111111111111111111111111\"");
	line(r, "step_started", "\"step\":\"create-branch\",\"agent_name\":\"BranchCreator\",\"step_number\":1,\"total_steps\":2");
	line(r, "agent_output", "\"text\":\"no state\"");
	line(r, "step_completed", "\"step\":\"create-branch\",\"agent_name\":\"BranchCreator\",\"step_number\":1,"
	    "\"total_steps\":2,\"success\":true,\"usage\":{\"input_tokens\":7}");
	line(r, "git_branch_created", "\"git_branch_name\":\"feat/x\"");
	line(r, "workflow_completed", "\"git_branch_name\":\"feat/x\",\"git_commit_count\":3");
	say(r, SUP_EXITED, s.id, 0);
	wait_status(r, s.id, order_status_completed);
	spin(r, 50);
	assert_int_equal(order_copy(r->b.engine, s.id, &row), 0);
	assert_string_equal(row.pub.git_branch_name, "feat/x");
	assert_string_equal(row.pub.base_branch, "trunk");
	assert_int_equal(row.pub.git_commit_count, 3);
	assert_int_equal(row.pub.usage.input_tokens, 7);
	assert_int_equal(row.pub.current_phase, order_phase_completed);
	order_row_free(&row);
	for (const char *const *e = (const char *const[]){"agent_work_order_created", "agent_work_order_started",
		 "repository_fetch_started", "repository_fetch_completed", "port_range_allocated", "sandbox_created",
		 "agent_work_order_completed", NULL}; *e != NULL; e++) {
		CLEAN_FREE char *key = xasprintf("\"event\":\"%s\"", *e);

		assert_int_equal(in_log(r, s.id, key), 1);
	}
	assert_int_equal(ended, 1);
	assert_int_equal(unknown, 0);
}

static void
a_transient_failure_is_tried_again(void **state)
{
	struct rig *r = *state;
	struct seen s = {0};

	create(r, NULL, &s);
	play_failed_fetch(r, "{\"ok\":false,\"error\":{\"category\":\"transient\",\"message\":\"no route\",\"reason\":\"unreachable\"}}\n");
	wait_status(r, s.id, order_status_pending);
	assert_int_equal(in_log(r, s.id, "\"event\":\"agent_work_order_retried\""), 1);
	for (int i = 0; i < 2; i++)	/* attempts 2 and 3 */
		play_failed_fetch(r, "{\"ok\":false,\"error\":{\"category\":\"transient\",\"message\":\"no route\",\"reason\":\"unreachable\"}}\n");
	wait_status(r, s.id, order_status_failed);
	assert_int_equal(in_log(r, s.id, "\"event\":\"agent_work_order_retried\""), 2);
	assert_int_equal(in_log(r, s.id, "no route"), 3);
}

static void
a_permanent_failure_is_not(void **state)
{
	struct rig *r = *state;
	struct order_row row = {0};
	struct seen s = {0};

	create(r, NULL, &s);
	play_failed_fetch(r, "{\"ok\":false,\"error\":{\"category\":\"git\",\"message\":\"no such repository\",\"reason\":\"not_found\"}}\n");
	wait_status(r, s.id, order_status_failed);
	assert_int_equal(order_copy(r->b.engine, s.id, &row), 0);
	assert_int_equal(row.pub.error_category, error_category_git);
	assert_string_equal(row.pub.error_message, "no such repository");
	order_row_free(&row);
}

static void
a_lost_worker_is_tried_again_and_then_failed(void **state)
{
	struct rig *r = *state;
	struct order_row row = {0};
	struct seen s = {0};

	create(r, NULL, &s);
	play_fetch(r, fetch_ok);
	for (int i = 0; i < 3; i++) {
		json_decref(play_spawn(r));
		line(r, "sandbox_created", "\"layers\":[\"user_namespace\"]");
		say(r, SUP_EXITED, s.id, 137);
	}
	wait_status(r, s.id, order_status_failed);
	assert_int_equal(order_copy(r->b.engine, s.id, &row), 0);
	assert_int_equal(row.pub.error_category, error_category_internal);
	assert_non_null(strstr(row.pub.error_message, "signal 9"));
	assert_int_equal(row.pub.attempt, 3);
	order_row_free(&row);
}

static void
no_more_run_than_there_are_slots(void **state)
{
	struct rig *r = *state;
	struct seen s[3] = {{0}};
	struct order_row row = {0};

	for (int i = 0; i < 3; i++)
		create(r, NULL, &s[i]);
	spin(r, 50);
	assert_int_equal(order_copy(r->b.engine, s[2].id, &row), 0);
	assert_int_equal(row.pub.status, order_status_pending);
	assert_int_equal(row.pub.queue_position, 1);
	order_row_free(&row);
	play_fetch(r, fetch_ok);	/* one job for both */
	json_decref(play_spawn(r));
	say(r, SUP_EXITED, r->id, 0);
	line(r, "workflow_completed", "");
	json_decref(play_spawn(r));
}

static void
a_pending_order_is_cancelled_at_once(void **state)
{
	struct rig *r = *state;
	struct seen s[3] = {{0}}, c = {0};

	for (int i = 0; i < 3; i++)
		create(r, NULL, &s[i]);
	engine_cancel(r->b.engine, s[2].id, "somebody", "not wanted", on_done, &c);
	wait_calls(r, &c, 1);
	assert_int_equal(c.code, AWO_OK);
	assert_int_equal(c.status, order_status_cancelled);
	assert_int_equal(in_log(r, s[2].id, "\"event\":\"agent_work_order_cancelled\""), 1);
	engine_cancel(r->b.engine, s[2].id, "somebody", NULL, on_done, &c);
	wait_calls(r, &c, 2);
	assert_int_equal(c.code, AWO_FAILED_PRECONDITION);
}

static void
a_worker_that_does_not_obey_a_cancel_is_killed(void **state)
{
	struct rig *r = *state;
	struct seen s = {0}, c = {0};
	struct packet p;

	create(r, NULL, &s);
	play_fetch(r, fetch_ok);
	json_decref(play_spawn(r));
	line(r, "sandbox_created", "\"layers\":[]");
	spin(r, 50);
	engine_cancel(r->b.engine, s.id, "somebody", NULL, on_done, &c);
	assert_true(next_packet(r, &p));
	assert_int_equal(p.m.op, SUP_KILL);
	assert_string_equal(p.m.id, s.id);
	say(r, SUP_EXITED, s.id, 137);
	wait_calls(r, &c, 1);
	assert_int_equal(c.status, order_status_cancelled);
	assert_int_equal(in_log(r, s.id, "\"clean\":false"), 1);
}

static void
a_repeated_create_with_one_key_is_one_order(void **state)
{
	struct rig *r = *state;
	struct seen a = {0}, b = {0};

	create(r, "key-1", &a);
	create(r, "key-1", &b);
	assert_int_equal(b.code, AWO_OK);
	assert_string_equal(a.id, b.id);
}

/* The broker ends while a worker runs; the next one finds worker and log again, and misses nothing. */
static void
a_new_broker_goes_on(void **state)
{
	struct rig *r = *state;
	struct seen s = {0};
	char nonce[128];

	create(r, NULL, &s);
	play_fetch(r, fetch_ok);
	json_decref(play_spawn(r));
	line(r, "sandbox_created", "\"layers\":[\"user_namespace\"]");
	spin(r, 50);
	close_engine(r);
	line(r, "git_branch_created", "\"git_branch_name\":\"feat/y\"");
	open_engine(r);
	/* somebody asks for it before the worker has been announced */
	engine_reconcile(r->b.engine, false, NULL, NULL);
	snprintf(nonce, sizeof(nonce), "%s/workers/%s/nonce", r->dir, s.id);
	assert_int_equal(access(nonce, F_OK), 0);
	say(r, SUP_ADOPTED, s.id, 0);
	say(r, SUP_READY, "", 0);
	spin(r, 50);
	line(r, "workflow_completed", "");
	say(r, SUP_EXITED, s.id, 0);
	wait_status(r, s.id, order_status_completed);
	spin(r, 50);
	assert_int_equal(in_log(r, s.id, "\"event\":\"agent_work_order_completed\""), 1);
	assert_int_equal(in_log(r, s.id, "\"event\":\"agent_work_order_created\""), 1);
}

/* The same, but the worker had ended before the next broker came. */
static void
a_new_broker_settles_what_ended_meanwhile(void **state)
{
	struct rig *r = *state;
	struct seen s = {0};

	create(r, NULL, &s);
	play_fetch(r, fetch_ok);
	json_decref(play_spawn(r));
	line(r, "sandbox_created", "\"layers\":[\"user_namespace\"]");
	spin(r, 50);
	close_engine(r);
	line(r, "workflow_failed", "\"error_message\":\"Command 'commit' failed: x\",\"error_category\":\"agent\"");
	open_engine(r);
	say(r, SUP_READY, "", 0);
	wait_status(r, s.id, order_status_failed);
	assert_int_equal(in_log(r, s.id, "\"event\":\"agent_work_order_failed\""), 1);
}

static void
a_worker_without_an_order_is_killed(void **state)
{
	struct rig *r = *state;
	struct packet p;

	close_engine(r);
	open_engine(r);
	say(r, SUP_ADOPTED, "wo-00000001", 0);
	assert_true(next_packet(r, &p));
	assert_int_equal(p.m.op, SUP_KILL);
	assert_string_equal(p.m.id, "wo-00000001");
	say(r, SUP_READY, "", 0);
}

static void
a_log_made_shorter_fails_the_order(void **state)
{
	struct rig *r = *state;
	struct order_row row = {0};
	struct seen s = {0};
	struct packet p;

	create(r, NULL, &s);
	play_fetch(r, fetch_ok);
	json_decref(play_spawn(r));
	line(r, "sandbox_created", "\"layers\":[\"user_namespace\"]");
	spin(r, 50);
	assert_int_equal(ftruncate(r->journal, 10), 0);
	assert_true(next_packet(r, &p));
	assert_int_equal(p.m.op, SUP_KILL);
	say(r, SUP_EXITED, s.id, 137);
	wait_status(r, s.id, order_status_failed);
	assert_int_equal(order_copy(r->b.engine, s.id, &row), 0);
	assert_int_equal(row.pub.error_category, error_category_internal);
	order_row_free(&row);
	assert_int_equal(in_log(r, s.id, "\"event\":\"journal_truncated\""), 1);
}

static void
on_prompt(void *arg, const struct awo_err *err, int64_t id, const char *message)
{
	struct seen *s = arg;

	(void)id;
	s->calls++;
	s->code = err->code;
	snprintf(s->msg, sizeof(s->msg), "%s", message);
}

static void
a_prompt_to_a_completed_order_opens_it_again(void **state)
{
	struct rig *r = *state;
	struct seen s = {0}, p = {0};
	struct caller by = {.uid = 1000, .user = "somebody"};
	json_t *spec, *steps;

	create(r, NULL, &s);
	play_fetch(r, fetch_ok);
	json_decref(play_spawn(r));
	line(r, "workspace_created", "\"base_branch\":\"trunk\",\"base_sha\":\"1111111111111111111111111111111111111111\"");
	line(r, "step_completed", "\"step\":\"create-branch\",\"agent_name\":\"B\",\"step_number\":1,\"success\":true");
	line(r, "step_completed", "\"step\":\"commit\",\"agent_name\":\"C\",\"step_number\":2,\"success\":true");
	line(r, "workflow_completed", "");
	say(r, SUP_EXITED, s.id, 0);
	wait_status(r, s.id, order_status_completed);
	engine_prompt(r->b.engine, s.id, &by, "and a test", on_prompt, &p);
	spec = play_spawn(r);
	assert_int_equal(p.code, AWO_OK);
	steps = json_object_get(spec, "steps");
	assert_int_equal(json_array_size(steps), 2);
	assert_string_equal(json_string_value(json_object_get(json_array_get(steps, 0), "name")), "prompt");
	assert_string_equal(json_string_value(json_object_get(json_array_get(steps, 1), "name")), "commit");
	assert_string_equal(json_string_value(json_object_get(json_array_get(json_object_get(spec, "prompts"), 0), "text")),
	    "and a test");
	json_decref(spec);
	line(r, "step_completed", "\"step\":\"prompt\",\"agent_name\":\"P\",\"step_number\":3,\"success\":true,\"prompt_id\":1");
	line(r, "workflow_completed", "");
	say(r, SUP_EXITED, s.id, 0);
	wait_status(r, s.id, order_status_completed);
	assert_int_equal(in_log(r, s.id, "\"event\":\"prompt_queued\""), 1);
}

static int
count_queued(void *arg, int64_t id, const char *order_id, const char *text)
{
	(void)id;
	(void)order_id;
	*(int *)arg += strstr(text, "\"event\":\"prompt_queued\"") != NULL;
	return 0;
}

/* The loop has no turn between: what a crash at any moment would leave. */
static void
a_prompt_is_recorded_with_its_event(void **state)
{
	struct rig *r = *state;
	struct seen s = {0}, p = {0};
	struct caller by = {.uid = 1000, .user = "somebody"};
	struct store_prompt *got = NULL;
	int queued = 0;
	size_t n = 0;

	create(r, NULL, &s);
	engine_prompt(r->b.engine, s.id, &by, "and a test", on_prompt, &p);
	for (int i = 0; i < 5000 && n == 0; i++) {
		usleep(1000);
		assert_int_equal(store_prompts(r->b.store, s.id, &got, &n, NULL), 0);
	}
	assert_int_equal(n, 1);
	assert_int_equal(p.calls, 0);
	assert_int_equal(store_events(r->b.store, 0, s.id, 0, count_queued, &queued, NULL), 0);
	assert_int_equal(queued, 1);
	wait_calls(r, &p, 1);
	assert_int_equal(p.code, AWO_OK);
	free(got[0].text);
	free(got);
}

static void
recorded(void *arg, const struct awo_err *err, const struct store_commit *commit)
{
	struct seen *s = arg;

	(void)commit;
	s->calls++;
	s->code = err != NULL ? err->code : AWO_OK;
}

/* awod ended between the record of the end and the re-opening for a prompt that came too late for the worker. */
static void
a_prompt_that_a_crash_left_behind_opens_the_order(void **state)
{
	struct rig *r = *state;
	struct seen s = {0}, p = {0};
	struct store_tx *tx;
	json_t *spec;

	create(r, NULL, &s);
	play_fetch(r, fetch_ok);
	json_decref(play_spawn(r));
	line(r, "workspace_created", "\"base_branch\":\"trunk\",\"base_sha\":\"1111111111111111111111111111111111111111\"");
	line(r, "workflow_completed", "");
	say(r, SUP_EXITED, s.id, 0);
	wait_status(r, s.id, order_status_completed);
	tx = store_tx(r->b.store);
	store_tx_prompt_insert(tx, s.id, "and a test", 1000);
	store_tx_commit(tx, recorded, &p);
	wait_calls(r, &p, 1);
	assert_int_equal(p.code, AWO_OK);
	close_engine(r);
	open_engine(r);
	say(r, SUP_READY, "", 0);
	spec = play_spawn(r);
	assert_string_equal(json_string_value(json_object_get(json_array_get(json_object_get(spec, "prompts"), 0), "text")),
	    "and a test");
	json_decref(spec);
	assert_int_equal(in_log(r, s.id, "\"event\":\"agent_work_order_retried\""), 1);
}

static void
a_retry_begins_at_the_failed_step(void **state)
{
	struct rig *r = *state;
	struct seen s = {0}, c = {0};
	json_t *spec, *steps;

	create(r, NULL, &s);
	play_fetch(r, fetch_ok);
	json_decref(play_spawn(r));
	line(r, "workspace_created", "\"base_branch\":\"trunk\",\"base_sha\":\"1111111111111111111111111111111111111111\"");
	line(r, "step_completed", "\"step\":\"create-branch\",\"agent_name\":\"B\",\"step_number\":1,\"success\":true");
	line(r, "workflow_failed", "\"error_message\":\"no\",\"error_category\":\"agent\"");
	say(r, SUP_EXITED, s.id, 0);
	wait_status(r, s.id, order_status_failed);
	spin(r, 50);
	engine_retry(r->b.engine, s.id, "somebody", on_done, &c);
	spec = play_spawn(r);
	steps = json_object_get(spec, "steps");
	assert_int_equal(json_array_size(steps), 1);
	assert_string_equal(json_string_value(json_object_get(json_array_get(steps, 0), "name")), "commit");
	assert_int_equal(json_integer_value(json_object_get(json_array_get(steps, 0), "number")), 2);
	assert_true(json_is_true(json_object_get(json_object_get(spec, "resume"), "reset")));
	assert_int_equal(json_integer_value(json_object_get(spec, "attempt")), 2);
	json_decref(spec);
}

static void
delete_removes_record_log_and_workspace(void **state)
{
	struct rig *r = *state;
	struct seen s = {0}, d = {0};
	struct order_row row = {0};
	struct packet p;

	create(r, NULL, &s);
	play_failed_fetch(r, "{\"ok\":false,\"error\":{\"category\":\"git\",\"message\":\"gone\",\"reason\":\"not_found\"}}\n");
	wait_status(r, s.id, order_status_failed);
	spin(r, 50);
	engine_delete(r->b.engine, s.id, on_done, &d);
	assert_true(next_packet(r, &p));
	assert_int_equal(p.m.op, SUP_REMOVE);
	assert_string_equal(p.m.id, s.id);
	wait_calls(r, &d, 1);
	assert_int_equal(d.code, AWO_OK);
	assert_int_equal(order_copy(r->b.engine, s.id, &row), -1);
}

/* Lets the loop turn until the order has this state, and no further. */
static void
turn_until(struct rig *r, const char *id, enum p_order_status status)
{
	const struct live *l;

	for (int i = 0; i < 500; i++) {
		l = live_find(r->b.engine, id);
		if (l != NULL && l->row->pub.status == status)
			return;
		event_base_loopexit(r->b.base, &(struct timeval){.tv_usec = 100000});
		event_base_loop(r->b.base, EVLOOP_ONCE);
	}
	fail();
}

static void
a_pause_is_answered_when_the_attempt_ends(void **state)
{
	struct rig *r = *state;
	struct seen s = {0}, p = {0};

	create(r, NULL, &s);
	play_fetch(r, fetch_ok);
	json_decref(play_spawn(r));
	engine_pause(r->b.engine, s.id, "somebody", on_done, &p);
	line(r, "sandbox_created", "\"layers\":[\"user_namespace\"]");
	line(r, "workflow_failed", "\"error_message\":\"busy\",\"error_category\":\"transient\"");
	say(r, SUP_EXITED, s.id, 0);
	wait_calls(r, &p, 1);
	assert_int_equal(p.code, AWO_FAILED_PRECONDITION);
}

static void
a_cancel_is_answered_although_a_retry_follows_at_once(void **state)
{
	struct rig *r = *state;
	struct seen s = {0}, c = {0}, again = {0};

	create(r, NULL, &s);
	play_fetch(r, fetch_ok);
	json_decref(play_spawn(r));
	spin(r, 20);
	engine_cancel(r->b.engine, s.id, "somebody", NULL, on_done, &c);
	say(r, SUP_EXITED, s.id, 0);
	turn_until(r, s.id, order_status_cancelled);
	assert_int_equal(c.calls, 0);
	engine_retry(r->b.engine, s.id, "somebody", on_done, &again);
	wait_calls(r, &c, 1);
	wait_calls(r, &again, 1);
	assert_int_equal(c.code, AWO_OK);
	assert_int_equal(again.code, AWO_OK);
}

static void
a_last_line_that_crosses_a_pause_ends_the_order(void **state)
{
	struct rig *r = *state;
	struct seen s = {0}, p = {0};

	create(r, NULL, &s);
	play_fetch(r, fetch_ok);
	json_decref(play_spawn(r));
	spin(r, 20);
	engine_pause(r->b.engine, s.id, "somebody", on_done, &p);
	live_acked(live_find(r->b.engine, s.id), "pause");
	wait_calls(r, &p, 1);
	assert_int_equal(p.status, order_status_paused);
	line(r, "workflow_completed", "");
	say(r, SUP_EXITED, s.id, 0);
	wait_status(r, s.id, order_status_completed);
}

/* As one that runs: again while attempts are left, then failed for the same reason. */
static void
a_paused_order_whose_worker_dies_is_retried(void **state)
{
	struct rig *r = *state;
	struct seen s = {0}, p = {0};
	struct order_row row = {0};

	create(r, NULL, &s);
	for (int attempt = 1; attempt <= 3; attempt++) {
		if (attempt == 1)
			play_fetch(r, fetch_ok);
		json_decref(play_spawn(r));
		spin(r, 20);
		engine_pause(r->b.engine, s.id, "somebody", on_done, &p);
		live_acked(live_find(r->b.engine, s.id), "pause");
		wait_calls(r, &p, attempt);
		assert_int_equal(p.status, order_status_paused);
		say(r, SUP_EXITED, s.id, 137);
		wait_status(r, s.id, attempt < 3 ? order_status_pending : order_status_failed);
		assert_int_equal(order_copy(r->b.engine, s.id, &row), 0);
		assert_int_equal(row.pub.attempt, attempt < 3 ? attempt + 1 : 3);
		assert_non_null(strstr(row.pub.error_message, "killed by signal 9"));
		assert_int_equal(row.pub.error_category, attempt < 3 ? error_category_transient : error_category_internal);
		order_row_free(&row);
		assert_int_equal(r->b.engine->running, 0);
	}
	assert_int_equal(in_log(r, s.id, "\"event\":\"agent_work_order_retried\""), 2);
}

static void
a_new_broker_knows_a_last_line_that_was_taken(void **state)
{
	struct rig *r = *state;
	struct seen s = {0};
	struct order_row row = {0};

	create(r, NULL, &s);
	play_fetch(r, fetch_ok);
	json_decref(play_spawn(r));
	line(r, "sandbox_created", "\"layers\":[\"user_namespace\"]");
	line(r, "workflow_completed", "\"git_commit_count\":3");
	spin(r, 100);
	close_engine(r);
	open_engine(r);
	say(r, SUP_READY, "", 0);
	wait_status(r, s.id, order_status_completed);
	assert_int_equal(order_copy(r->b.engine, s.id, &row), 0);
	assert_int_equal(row.pub.attempt, 1);
	assert_int_equal(row.pub.git_commit_count, 3);
	order_row_free(&row);
}

static void
a_prompt_that_met_a_passing_trouble_is_run_again(void **state)
{
	struct rig *r = *state;
	struct seen s = {0}, p = {0};
	struct caller by = {.uid = 1000, .user = "somebody"};
	json_t *spec;

	create(r, NULL, &s);
	play_fetch(r, fetch_ok);
	json_decref(play_spawn(r));
	line(r, "workspace_created", "\"base_branch\":\"trunk\",\"base_sha\":\"1111111111111111111111111111111111111111\"");
	line(r, "step_completed", "\"step\":\"create-branch\",\"agent_name\":\"B\",\"step_number\":1,\"success\":true");
	line(r, "step_completed", "\"step\":\"commit\",\"agent_name\":\"C\",\"step_number\":2,\"success\":true");
	line(r, "workflow_completed", "");
	say(r, SUP_EXITED, s.id, 0);
	wait_status(r, s.id, order_status_completed);
	engine_prompt(r->b.engine, s.id, &by, "and a test", on_prompt, &p);
	for (int i = 0; i < 3; i++) {
		spec = play_spawn(r);
		assert_int_equal(json_array_size(json_object_get(spec, "prompts")), i < 2 ? 1 : 0);
		json_decref(spec);
		if (i == 2)
			break;
		line(r, "step_completed", i == 0 ?
		    "\"step\":\"prompt\",\"agent_name\":\"P\",\"step_number\":3,\"success\":false,\"prompt_id\":1,"
		    "\"error_category\":\"transient\"" :
		    "\"step\":\"prompt\",\"agent_name\":\"P\",\"step_number\":3,\"success\":false,\"prompt_id\":1,"
		    "\"error_category\":\"permanent\"");
		line(r, "workflow_failed", "\"error_message\":\"busy\",\"error_category\":\"transient\"");
		say(r, SUP_EXITED, s.id, 0);
	}
}

static void
what_is_being_deleted_does_not_begin_again(void **state)
{
	struct rig *r = *state;
	struct seen s = {0}, d = {0}, c = {0};
	struct order_row row = {0};

	create(r, NULL, &s);
	play_failed_fetch(r, "{\"ok\":false,\"error\":{\"category\":\"git\",\"message\":\"gone\",\"reason\":\"not_found\"}}\n");
	wait_status(r, s.id, order_status_failed);
	spin(r, 50);
	engine_delete(r->b.engine, s.id, on_done, &d);
	engine_retry(r->b.engine, s.id, "somebody", on_done, &c);
	wait_calls(r, &c, 1);
	wait_calls(r, &d, 1);
	assert_int_equal(d.code, AWO_OK);
	assert_int_equal(c.code, AWO_FAILED_PRECONDITION);
	assert_int_equal(order_copy(r->b.engine, s.id, &row), -1);
}

static void
an_order_cancelled_before_its_create_is_answered_is_one_order(void **state)
{
	struct rig *r = *state;
	struct seen s = {0}, c = {0};
	struct packet p;
	char id[16];

	create_behind_the_loop(r, &s, id);
	engine_cancel(r->b.engine, id, "somebody", NULL, on_done, &c);
	wait_calls(r, &s, 1);
	wait_calls(r, &c, 1);
	assert_int_equal(s.code, AWO_OK);
	assert_string_equal(s.id, id);
	assert_int_equal(c.code, AWO_OK);
	assert_int_equal(c.status, order_status_cancelled);
	/* neither live nor started as another one of the same id */
	assert_int_equal(r->b.engine->nlive, 0);
	spin(r, 50);
	assert_int_equal(recv(r->sup, &p.m, sizeof(p.m), MSG_DONTWAIT), -1);
	wait_status(r, id, order_status_cancelled);
}

static void
an_order_refused_a_pause_before_its_create_is_answered_is_one_order(void **state)
{
	struct rig *r = *state;
	struct seen s = {0}, c = {0};
	char id[16];

	create_behind_the_loop(r, &s, id);
	engine_pause(r->b.engine, id, "somebody", on_done, &c);
	assert_int_equal(c.code, AWO_FAILED_PRECONDITION);
	wait_calls(r, &s, 1);
	assert_int_equal(r->b.engine->nlive, 1);
	play_fetch(r, fetch_ok);
	json_decref(play_spawn(r));
	assert_string_equal(r->id, id);
	assert_int_equal(r->b.engine->running, 1);
}

static void
an_order_is_not_deleted_before_its_create_is_answered(void **state)
{
	struct rig *r = *state;
	struct seen s = {0}, d = {0};
	char id[16];

	create_behind_the_loop(r, &s, id);
	engine_delete(r->b.engine, id, on_done, &d);
	wait_calls(r, &s, 1);
	wait_calls(r, &d, 1);
	assert_int_equal(d.code, AWO_FAILED_PRECONDITION);
	play_fetch(r, fetch_ok);
	json_decref(play_spawn(r));
	assert_string_equal(r->id, id);
}

/* ---- what retention removes */

struct swept {
	int calls;
	int64_t removed, kept, freed;
	size_t errors, details;
	char detail[256], error[256];
};

static void
on_swept(void *arg, const struct awo_err *err, struct p_cleanup_answer *got)
{
	struct swept *s = arg;

	assert_int_equal(err->code, AWO_OK);
	s->calls++;
	s->removed = got->removed;
	s->kept = got->kept;
	s->freed = got->bytes_freed;
	s->errors = got->errors.n;
	s->details = got->details.n;
	snprintf(s->detail, sizeof(s->detail), "%s", got->details.n > 0 ? got->details.v[0] : "");
	snprintf(s->error, sizeof(s->error), "%s", got->errors.n > 0 ? got->errors.v[0] : "");
}

static void
wait_swept(struct rig *r, const struct swept *s, int calls)
{
	for (int i = 0; i < 500 && s->calls < calls; i++)
		spin(r, 10);
	assert_int_equal(s->calls, calls);
}

/* Takes a request to remove something and answers it. */
static void
play_remove(struct rig *r, const char *what, int err)
{
	struct packet p;

	assert_true(next_packet(r, &p));
	assert_int_equal(p.m.op, SUP_REMOVE);
	assert_string_equal(p.m.kind == SUP_ORDER ? p.m.id : p.m.cache, what);
	p.m.op = SUP_REMOVED;
	p.m.err = err;
	p.m.bytes = err ? 0 : 4096;
	assert_int_equal(send(r->sup, &p.m, sizeof(p.m), 0), sizeof(p.m));
}

static void
nothing_asked(struct rig *r)
{
	struct packet p;

	spin(r, 50);
	assert_int_equal(recv(r->sup, &p.m, sizeof(p.m), MSG_DONTWAIT), -1);
}

/* An order that has ended, a hundred days ago if it is told to be old. */
static void
ended_order(struct rig *r, struct seen *s, bool old)
{
	int opened, aged;
	char path[128];
	sqlite3 *db;

	create(r, NULL, s);
	play_fetch(r, fetch_ok);
	json_decref(play_spawn(r));
	line(r, "workflow_completed", "");
	say(r, SUP_EXITED, s->id, 0);
	wait_status(r, s->id, order_status_completed);
	if (!old)
		return;
	close_engine(r);
	snprintf(path, sizeof(path), "%s/awo.db", r->dir);
	opened = sqlite3_open(path, &db);
	aged = sqlite3_exec(db, "UPDATE work_orders SET execution_completed_at = execution_completed_at - 100 * 86400000000", NULL,
	    NULL, NULL);
	sqlite3_close(db);
	open_engine(r);
	say(r, SUP_READY, "", 0);
	spin(r, 20);
	assert_int_equal(opened, SQLITE_OK);
	assert_int_equal(aged, SQLITE_OK);
}

static void
cleanup_removes_workspace_log_and_record(void **state)
{
	struct rig *r = *state;
	struct seen s = {0};
	struct swept dry = {0}, real = {0}, again = {0};
	struct order_row row = {0};
	char log[PATH_MAX];

	ended_order(r, &s, true);
	r->b.conf->retention_min_free_percent = 0;
	r->b.conf->retention_log_days = 50;
	r->b.conf->retention_record_days = 99;
	assert_int_equal(order_copy(r->b.engine, s.id, &row), 0);
	journal_path(r->b.engine, &row, log);
	order_row_free(&row);
	assert_int_equal(access(log, F_OK), 0);

	engine_cleanup(r->b.engine, true, on_swept, &dry);
	wait_swept(r, &dry, 1);
	assert_int_equal(dry.removed, 3);
	assert_int_equal(dry.details, 3);
	assert_non_null(strstr(dry.detail, "retention.workspace_days"));
	nothing_asked(r);
	assert_int_equal(access(log, F_OK), 0);

	engine_cleanup(r->b.engine, false, on_swept, &real);
	/* a second one waits for the first */
	engine_cleanup(r->b.engine, true, on_swept, &again);
	assert_int_equal(again.calls, 0);
	play_remove(r, s.id, 0);
	wait_swept(r, &real, 1);
	wait_swept(r, &again, 1);
	assert_int_equal(real.removed, 3);
	assert_int_equal(real.errors, 0);
	assert_true(real.freed > 4096);
	assert_int_equal(access(log, F_OK), -1);
	assert_int_equal(order_copy(r->b.engine, s.id, &row), -1);
}

static void
cleanup_leaves_what_is_young(void **state)
{
	struct rig *r = *state;
	struct seen s = {0};
	struct swept got = {0};

	ended_order(r, &s, false);
	r->b.conf->retention_min_free_percent = 0;
	r->b.conf->retention_log_days = 1;
	r->b.conf->retention_record_days = 1;
	engine_cleanup(r->b.engine, false, on_swept, &got);
	wait_swept(r, &got, 1);
	assert_int_equal(got.removed, 0);
	assert_int_equal(got.kept, 1);
	nothing_asked(r);
}

static void
a_full_disk_takes_young_workspaces(void **state)
{
	struct rig *r = *state;
	struct seen s = {0};
	struct swept got = {0};
	struct order_row row = {0};

	ended_order(r, &s, false);
	/* more than any file system has free */
	r->b.conf->retention_min_free_percent = 101;
	engine_cleanup(r->b.engine, true, on_swept, &got);
	wait_swept(r, &got, 1);
	assert_int_equal(got.removed, 1);
	assert_non_null(strstr(got.detail, "min_free_percent"));
	engine_cleanup(r->b.engine, false, on_swept, &got);
	play_remove(r, s.id, 0);
	wait_swept(r, &got, 2);
	assert_int_equal(got.freed, 4096);
	/* the record stays, and says so */
	assert_int_equal(in_log(r, s.id, "\"event\":\"workspace_removed\""), 1);
	assert_int_equal(order_copy(r->b.engine, s.id, &row), 0);
	assert_true(row.workspace_removed);
	order_row_free(&row);
}

static void
unused_caches_go(void **state)
{
	struct rig *r = *state;
	struct seen s = {0};
	struct swept got = {0};
	const struct timespec old[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
	static const char *const others[] = {"repositories/1000/short.git", "repositories/names", "repositories/1000/" W64 ".git"};
	char used[65], path[PATH_MAX];

	ended_order(r, &s, false);
	r->b.conf->retention_min_free_percent = 0;
	engine_cache_name("file:///srv/none.git", used);
	for (size_t i = 0; i < 4; i++) {
		if (i < 3)
			snprintf(path, sizeof(path), "%s/%s", r->dir, others[i]);
		else
			snprintf(path, sizeof(path), "%s/repositories/1000/%s.git", r->dir, used);
		assert_int_equal(files_mkdirs(AT_FDCWD, path, 0700), 0);
		assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
	}
	engine_cleanup(r->b.engine, false, on_swept, &got);
	play_remove(r, W64, 0);
	wait_swept(r, &got, 1);
	assert_int_equal(got.removed, 1);
	assert_int_equal(got.errors, 0);
	r->b.conf->retention_cache_days = 0;
	engine_cleanup(r->b.engine, false, on_swept, &got);
	wait_swept(r, &got, 2);
	assert_int_equal(got.removed, 0);
	nothing_asked(r);
}

static void
reconcile_says_what_it_could_not_remove(void **state)
{
	struct rig *r = *state;
	struct swept got = {0};
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/wo-00c0ffee", r->opt.work_order_dir);
	assert_int_equal(mkdir(path, 0700), 0);
	engine_reconcile(r->b.engine, false, on_swept, &got);
	play_remove(r, "wo-00c0ffee", EBUSY);
	wait_swept(r, &got, 1);
	assert_int_equal(got.removed, 0);
	assert_int_equal(got.errors, 1);
	assert_non_null(strstr(got.error, "wo-00c0ffee"));
	/* what somebody deletes at this moment is no failure */
	engine_reconcile(r->b.engine, false, on_swept, &got);
	play_remove(r, "wo-00c0ffee", EALREADY);
	wait_swept(r, &got, 2);
	assert_int_equal(got.errors, 0);
	assert_int_equal(got.removed, 0);
	assert_int_equal(got.kept, 1);
}

static void
awod_may_end_during_a_cleanup(void **state)
{
	struct rig *r = *state;
	struct seen s = {0};
	struct swept got = {0};

	ended_order(r, &s, true);
	engine_cleanup(r->b.engine, false, on_swept, &got);
	engine_cleanup(r->b.engine, false, on_swept, &got);
	spin(r, 20);
	assert_int_equal(got.calls, 0);
}

/* ---- a busy supervisor */

static void
messages_wait_for_a_busy_supervisor(void **state)
{
	enum { N = 2000 };
	struct rig *r = *state;
	struct suplink *link = r->b.engine->sup;
	struct sup_msg m;
	struct packet p;

	/* far more than the socket takes: none lost, none out of order, each with its descriptor */
	for (unsigned int i = 1; i <= N; i++) {
		CLEAN_FREE char *text = xasprintf("%u", i);
		int fd = i % 100 == 0 ? files_memfd("number", text, strlen(text)) : -1;

		suplink_msg(&m, SUP_KILL, SUP_TASK);
		m.tag = i;
		suplink_send(link, &m, &fd, fd >= 0 ? 1 : 0);
	}
	for (unsigned int i = 1; i <= N; i++) {
		CLEAN_FREE char *text = NULL;

		assert_true(next_packet(r, &p));
		assert_int_equal(p.m.tag, i);
		assert_int_equal(p.nfds, i % 100 == 0 ? 1 : 0);
		if (p.nfds == 0)
			continue;
		text = files_read_fd(p.fds[0], 64, NULL);
		close(p.fds[0]);
		assert_non_null(text);
		assert_int_equal(strtoul(text, NULL, 10), i);
	}
}

static void
what_waits_for_a_supervisor_goes_with_awod(void **state)
{
	struct rig *r = *state;
	struct sup_msg m;

	/* its descriptors are closed, its memory is freed: the sanitizers look */
	for (unsigned int i = 1; i <= 2000; i++) {
		int fd = i % 100 == 0 ? files_memfd("number", "x", 1) : -1;

		suplink_msg(&m, SUP_KILL, SUP_TASK);
		m.tag = i;
		suplink_send(r->b.engine->sup, &m, &fd, fd >= 0 ? 1 : 0);
	}
}

/* ---- what is run because somebody asked */

static void
count_refused(void *arg, const struct awo_err *err, json_t *task_answer)
{
	unsigned *refused = arg;

	(void)task_answer;
	*refused += err->code == AWO_RESOURCE_EXHAUSTED && strstr(err->msg, "try again") != NULL;
}

static void
an_owner_has_few_tasks_at_once(void **state)
{
	struct rig *r = *state;
	unsigned refused = 0;
	struct packet first, p;
	struct engine_task t = {.program = SUP_AGENT_VERSION, .verb = "version", .owner_uid = 1000, .timeout_ms = 10000, .asked = true,
	    .asked_by = 1000};

	for (int i = 0; i < 3; i++) {
		t.request = json_object();
		engine_task(r->b.engine, &t, count_refused, &refused);
	}
	assert_int_equal(refused, 1);
	/* another program, another who asks, and what nobody asked for are not counted with them */
	t.request = json_object();
	t.program = SUP_FORGE;
	engine_task(r->b.engine, &t, count_refused, &refused);
	t.request = json_object();
	t.program = SUP_AGENT_VERSION;
	t.asked_by = 1001;
	engine_task(r->b.engine, &t, count_refused, &refused);
	t.request = json_object();
	t.asked_by = 1000;
	t.asked = false;
	engine_task(r->b.engine, &t, count_refused, &refused);
	assert_int_equal(refused, 1);
	/* nor has one more room for what is another's */
	t.request = json_object();
	t.owner_uid = 1001;
	t.asked = true;
	engine_task(r->b.engine, &t, count_refused, &refused);
	assert_int_equal(refused, 2);
	t.owner_uid = 1000;
	refused = 1;
	for (int i = 0; i < 5; i++) {
		assert_true(next_packet(r, &p));
		assert_int_equal(p.m.op, SUP_SPAWN);
		close(p.fds[0]);
		if (i == 0)
			first = p;
		else
			close(p.fds[1]);
	}
	/* one that has ended makes room */
	answer(r, &first.m, SUP_SPAWNED, 0);
	close(first.fds[1]);
	answer(r, &first.m, SUP_EXITED, 0);
	spin(r, 20);
	t.request = json_object();
	engine_task(r->b.engine, &t, count_refused, &refused);
	assert_int_equal(refused, 1);
}

static void
take_failure(void *arg, const struct awo_err *err, json_t *task_answer)
{
	struct awo_err *got = arg;

	assert_int_not_equal(err->code, AWO_OK);
	assert_false(engine_task_answered(err, task_answer) && err->code != AWO_DEADLINE_EXCEEDED);
	*got = *err;
}

/* Whoever asked for it is to try again, and learns nothing of what was asked about. */
static void
a_task_that_never_started_is_not_one_that_took_too_long(void **state)
{
	struct rig *r = *state;
	struct engine_task t = {.program = SUP_GIT, .verb = "verify", .owner_uid = 1000, .timeout_ms = 100, .asked = true};

	for (int started = 0; started < 2; started++) {
		struct awo_err got = {0};
		struct packet p;

		t.request = json_object();
		engine_task(r->b.engine, &t, take_failure, &got);
		assert_true(next_packet(r, &p));
		assert_int_equal(p.m.op, SUP_SPAWN);
		if (started)
			answer(r, &p.m, SUP_SPAWNED, 0);
		spin(r, 300);
		if (!started)
			answer(r, &p.m, SUP_SPAWNED, 0);
		close(p.fds[0]);
		close(p.fds[1]);
		answer(r, &p.m, SUP_EXITED, 137);
		spin(r, 20);
		assert_int_equal(got.code, started ? AWO_DEADLINE_EXCEEDED : AWO_UNAVAILABLE);
		assert_true(next_packet(r, &p));
		assert_int_equal(p.m.op, SUP_KILL);
	}
}

/* ---- started out of turn */

static void
start_out_of_turn_needs_a_slot(void **state)
{
	struct rig *r = *state;
	struct seen a = {0}, b = {0}, c = {0}, got = {0};

	create(r, NULL, &a);
	play_fetch(r, fetch_ok);
	json_decref(play_spawn(r));
	create(r, NULL, &b);
	json_decref(play_spawn(r));
	create(r, NULL, &c);
	engine_start(r->b.engine, c.id, on_done, &got);
	wait_calls(r, &got, 1);
	assert_int_equal(got.code, AWO_RESOURCE_EXHAUSTED);
	engine_start(r->b.engine, a.id, on_done, &got);
	wait_calls(r, &got, 2);
	assert_int_equal(got.code, AWO_FAILED_PRECONDITION);
	engine_start(r->b.engine, "wo-00000000", on_done, &got);
	wait_calls(r, &got, 3);
	assert_int_equal(got.code, AWO_NOT_FOUND);
	wait_status(r, c.id, order_status_pending);
}

static void
start_out_of_turn_needs_ports(void **state)
{
	struct rig *r = *state;
	struct seen a = {0}, b = {0}, got = {0};

	r->b.conf->ports_end = r->b.conf->ports_start + 9;
	create(r, NULL, &a);
	play_fetch(r, fetch_ok);
	json_decref(play_spawn(r));
	create(r, NULL, &b);
	spin(r, 50);
	engine_start(r->b.engine, b.id, on_done, &got);
	wait_calls(r, &got, 1);
	assert_int_equal(got.code, AWO_RESOURCE_EXHAUSTED);
	assert_non_null(strstr(got.msg, "port"));
	wait_status(r, b.id, order_status_pending);
	/* and has them when the other has ended */
	line(r, "workflow_completed", "");
	say(r, SUP_EXITED, a.id, 0);
	wait_status(r, a.id, order_status_completed);
	json_decref(play_spawn(r));
	assert_string_equal(r->id, b.id);
}

static void
an_order_whose_workspace_is_gone_begins_anew(void **state)
{
	struct rig *r = *state;
	struct seen s = {0}, c = {0}, p = {0};
	struct swept got = {0};
	struct caller by = {.uid = 1000, .user = "somebody"};
	json_t *spec, *resume;

	create(r, NULL, &s);
	play_fetch(r, fetch_ok);
	json_decref(play_spawn(r));
	line(r, "workspace_created", "\"base_branch\":\"trunk\",\"base_sha\":\"1111111111111111111111111111111111111111\"");
	line(r, "step_completed", "\"step\":\"create-branch\",\"agent_name\":\"B\",\"step_number\":1,\"success\":true");
	line(r, "workflow_failed", "\"error_message\":\"no\",\"error_category\":\"agent\"");
	say(r, SUP_EXITED, s.id, 0);
	wait_status(r, s.id, order_status_failed);
	r->b.conf->retention_min_free_percent = 101;
	engine_cleanup(r->b.engine, false, on_swept, &got);
	play_remove(r, s.id, 0);
	wait_swept(r, &got, 1);
	/* there is nothing to tell an agent about any more */
	engine_prompt(r->b.engine, s.id, &by, "and a test", on_prompt, &p);
	assert_int_equal(p.calls, 1);
	assert_int_equal(p.code, AWO_FAILED_PRECONDITION);
	for (int i = 0; i < 500 && live_find(r->b.engine, s.id) != NULL; i++)
		spin(r, 10);
	engine_retry(r->b.engine, s.id, "somebody", on_done, &c);
	spec = play_spawn(r);
	assert_int_equal(json_array_size(json_object_get(spec, "steps")), 2);
	resume = json_object_get(spec, "resume");
	assert_true(json_is_null(json_object_get(resume, "base_sha")));
	json_decref(spec);
}

#define BURST 200

struct drawn {
	char id[BURST][16];
	struct seen seen;
};

static void
on_drawn(void *arg, const struct awo_err *err, const struct order_row *row)
{
	struct drawn *d = arg;

	assert_non_null(row);
	snprintf(d->id[d->seen.calls], sizeof(d->id[0]), "%s", row->pub.agent_work_order_id);
	on_done(&d->seen, err, row);
}

/* Together they change few pages of the index; of those that come one after the other, a few digits tell which is meant. */
static void
ids_of_a_burst_stand_together(void **state)
{
	struct rig *r = *state;
	struct drawn *d = xcalloc(1, sizeof(*d));
	struct seen s = {0};
	char first[8];
	int groups = 1, other = 0;

	for (int i = 0; i < BURST; i++)
		engine_create(r->b.engine, new_row(), NULL, on_drawn, d);
	wait_calls(r, &d->seen, BURST);
	for (int i = 1; i < BURST; i++) {
		groups += strncmp(d->id[i], d->id[i - 1], 6) != 0;
		for (int k = 0; k < i; k++)
			assert_string_not_equal(d->id[i], d->id[k]);
	}
	free(d);
	assert_in_range(groups, 3, BURST / 5);
	for (int i = 0; i < 5; i++) {
		spin(r, 20);
		create(r, NULL, &s);
		if (i == 0)
			snprintf(first, sizeof(first), "%.6s", s.id);
		other += strncmp(first, s.id, 6) != 0;
	}
	assert_int_not_equal(other, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_fetch_is_over_when_it_says_so),
		T(a_failed_fetch_is_over_when_it_has_ended),
		T(an_order_runs_to_its_end),
		T(a_transient_failure_is_tried_again),
		T(a_permanent_failure_is_not),
		T(a_lost_worker_is_tried_again_and_then_failed),
		T(no_more_run_than_there_are_slots),
		T(a_pending_order_is_cancelled_at_once),
		T(a_worker_that_does_not_obey_a_cancel_is_killed),
		T(a_repeated_create_with_one_key_is_one_order),
		T(ids_of_a_burst_stand_together),
		T(a_new_broker_goes_on),
		T(a_new_broker_settles_what_ended_meanwhile),
		T(a_worker_without_an_order_is_killed),
		T(a_log_made_shorter_fails_the_order),
		T(a_prompt_to_a_completed_order_opens_it_again),
		T(a_prompt_is_recorded_with_its_event),
		T(a_prompt_that_a_crash_left_behind_opens_the_order),
		T(a_retry_begins_at_the_failed_step),
		T(delete_removes_record_log_and_workspace),
		T(a_pause_is_answered_when_the_attempt_ends),
		T(a_cancel_is_answered_although_a_retry_follows_at_once),
		T(a_last_line_that_crosses_a_pause_ends_the_order),
		T(a_paused_order_whose_worker_dies_is_retried),
		T(a_new_broker_knows_a_last_line_that_was_taken),
		T(a_prompt_that_met_a_passing_trouble_is_run_again),
		T(what_is_being_deleted_does_not_begin_again),
		T(an_order_cancelled_before_its_create_is_answered_is_one_order),
		T(an_order_refused_a_pause_before_its_create_is_answered_is_one_order),
		T(an_order_is_not_deleted_before_its_create_is_answered),
		T(cleanup_removes_workspace_log_and_record),
		T(cleanup_leaves_what_is_young),
		T(a_full_disk_takes_young_workspaces),
		T(unused_caches_go),
		T(reconcile_says_what_it_could_not_remove),
		T(awod_may_end_during_a_cleanup),
		T(messages_wait_for_a_busy_supervisor),
		T(an_owner_has_few_tasks_at_once),
		T(a_task_that_never_started_is_not_one_that_took_too_long),
		T(what_waits_for_a_supervisor_goes_with_awod),
		T(start_out_of_turn_needs_a_slot),
		T(start_out_of_turn_needs_ports),
		T(an_order_whose_workspace_is_gone_begins_anew),
	};

	return cmocka_run_group_tests_name("awod_engine", tests, NULL, NULL);
}
