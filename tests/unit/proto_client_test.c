/* The client library against a small daemon in a thread, blocking and in a loop. */
#include "cmocka_all.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/clean.h"
#include "common/files.h"
#include "proto/client.h"

struct place {
	char dir[64], path[100];
	int listener;
	pthread_t thread;
	bool running;
	atomic_int requests; /* that dies_of_it() has read */
};

static int
set_up(void **state)
{
	struct place *p = calloc(1, sizeof *p);
	struct sockaddr_un sun = {.sun_family = AF_UNIX};

	if (!p)
		return -1;
	snprintf(p->dir, sizeof p->dir, "/tmp/awo-client-XXXXXX");
	if (!mkdtemp(p->dir))
		return -1;
	snprintf(p->path, sizeof p->path, "%s/sock", p->dir);
	memcpy(sun.sun_path, p->path, sizeof p->path);
	p->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	*state = p;
	return bind(p->listener, (struct sockaddr *)&sun, sizeof sun) < 0 ||
		       listen(p->listener, 8) < 0
		   ? -1
		   : 0;
}

static int
tear_down(void **state)
{
	struct place *p = *state;
	int rc;

	if (p->running)
		pthread_join(p->thread, NULL);
	close(p->listener);
	rc = files_remove_tree(AT_FDCWD, p->dir, NULL);
	free(p);
	return rc;
}

static void
serve(struct place *p, void *(*run)(void *))
{
	assert_int_equal(pthread_create(&p->thread, NULL, run, p), 0);
	p->running = true;
}

/* The next request of a connection into *f, whose bytes stand in *b; false at its end. */
static bool
next_request(int fd, struct buf *b, size_t *used, struct p_frame *f)
{
	for (;;) {
		bool have_id;
		uint32_t id;
		ssize_t n;

		buf_drain(b, *used);
		*used = 0;
		n = b->len ? p_frame_scan((uint8_t *)b->p, b->len, f, &have_id, &id, NULL) : 0;
		if (n > 0) {
			*used = (size_t)n;
			return true;
		}
		buf_reserve(b, 65536);
		n = n < 0 ? -1 : read(fd, b->p + b->len, 65536);
		if (n <= 0)
			return false;
		b->len += (size_t)n;
	}
}

static void
add_lines(struct buf *out, int64_t first, int64_t n, size_t size)
{
	CLEAN_FREE char *text = xcalloc(size + 1, 1);

	memset(text, 'x', size);
	for (int64_t i = first; i < first + n; i++) {
		struct p_log_line line = {0};

		P_SET(log_line, &line, subscription, 1);
		P_SET(log_line, &line, seq, i);
		P_SETS(log_line, &line, line, text);
		p_encode_notify(out, "log_line", &p_type_log_line, &line);
		P_FREE(log_line, &line);
	}
}

/* order.get echoes; order.watch sends lines before and after its answer; order.delete fails; others
 * get no answer. */
static void
answer(const struct p_frame *f, struct buf *out)
{
	const struct p_method *m = p_method_find(f->method, f->method_len);
	struct p_order_ref ref;
	struct p_order_answer a = {0};
	struct p_stream_answer s = {0};
	struct awo_err e = {0};

	switch (m ? m->id : P_M__COUNT) {
	case P_M_order_get:
		if (p_decode(&p_type_order_ref, &ref, f->param, &e) < 0) {
			p_encode_error(out, f->id, &e);
			break;
		}
		P_SETS(order, &a.agent_work_order, agent_work_order_id, ref.agent_work_order_id);
		P_SETS(order_answer, &a, message, "hello");
		p_encode_answer(out, f->id, m->answer, &a);
		P_FREE(order_ref, &ref);
		P_FREE(order_answer, &a);
		break;
	case P_M_order_watch:
		add_lines(out, 0, 3, 10);
		P_SET(stream_answer, &s, subscription, 1);
		p_encode_answer(out, f->id, m->answer, &s);
		add_lines(out, 3, 2, 200000);
		break;
	case P_M_order_delete:
		ERR(&e, FAILED_PRECONDITION, "agent_work_order_id", "it runs");
		p_encode_error(out, f->id, &e);
		break;
	case P_M_order_steps:
		buf_adds(out, "rubbish");
		break;
	default:
		break;
	}
}

/* One connection, with answers in pieces of odd size; system.health ends it. */
static void *
one_connection(void *arg)
{
	struct place *p = arg;
	CLEAN_FD int fd = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);
	CLEAN_BUF struct buf in = {0};
	size_t used = 0;
	struct p_frame f;

	while (fd >= 0 && next_request(fd, &in, &used, &f)) {
		CLEAN_BUF struct buf out = {0};

		if (f.method_len == 13 && memcmp(f.method, "system.health", 13) == 0)
			break;
		answer(&f, &out);
		for (size_t sent = 0; sent < out.len;) {
			size_t n = out.len - sent < 7777 ? out.len - sent : 7777;
			ssize_t r = send(fd, out.p + sent, n, MSG_NOSIGNAL);

			if (r < 0)
				return NULL;
			sent += (size_t)r;
		}
	}
	return NULL;
}

static struct client *
connected(struct place *p)
{
	struct awo_err e = {0};
	struct client *c = client_open(p->path, 5000, &e);

	if (!c)
		fail_msg("%s", e.msg);
	return c;
}

static void
calls(void **state)
{
	struct p_order_get get = {0};
	struct p_order_ref ref = {0};
	struct p_order_answer a;
	struct p_order_delete_answer d;
	struct awo_err e = {0};
	struct client *c;

	serve(*state, one_connection);
	c = connected(*state);
	P_SETS(order_get, &get, agent_work_order_id, "wo-12345678");
	for (int i = 0; i < 50; i++) {
		assert_int_equal(client_call(c, P_M_order_get, &get, &a, 5000, &e), 0);
		assert_string_equal(a.agent_work_order.agent_work_order_id, "wo-12345678");
		assert_string_equal(a.message, "hello");
		P_FREE(order_answer, &a);
	}
	P_SETS(order_ref, &ref, agent_work_order_id, "wo-12345678");
	assert_int_equal(client_call(c, P_M_order_delete, &ref, &d, 5000, &e), -1);
	assert_int_equal(e.code, AWO_FAILED_PRECONDITION);
	assert_string_equal(e.field, "agent_work_order_id");
	assert_string_equal(e.msg, "it runs");
	P_FREE(order_get, &get);
	P_FREE(order_ref, &ref);
	client_close(c);
}

static void
gives_up_in_time(void **state)
{
	struct p_order_get get = {0};
	struct p_order_answer a;
	struct p_info info;
	struct awo_err e = {0};
	struct client *c;

	serve(*state, one_connection);
	c = connected(*state);
	assert_int_equal(client_call(c, P_M_system_info, NULL, &info, 50, &e), -1);
	assert_int_equal(e.code, AWO_DEADLINE_EXCEEDED);
	/* and goes on afterwards */
	P_SETS(order_get, &get, agent_work_order_id, "wo-1");
	assert_int_equal(client_call(c, P_M_order_get, &get, &a, 5000, &e), 0);
	P_FREE(order_answer, &a);
	P_FREE(order_get, &get);
	client_close(c);
}

static void
receives_notifications(void **state)
{
	struct p_order_watch watch = {0};
	struct p_stream_answer s;
	struct awo_err e = {0};
	struct p_slice param;
	const char *method;
	struct client *c;

	serve(*state, one_connection);
	c = connected(*state);
	assert_int_equal(client_next(c, &method, &param, 0, &e), 0);
	P_SETS(order_watch, &watch, agent_work_order_id, "wo-1");
	assert_int_equal(client_call(c, P_M_order_watch, &watch, &s, 5000, &e), 0);
	assert_true(s.subscription == 1);
	for (int i = 0; i < 5; i++) {
		struct p_log_line line;

		assert_int_equal(client_next(c, &method, &param, 5000, &e), 1);
		assert_string_equal(method, "log_line");
		assert_int_equal(p_decode(&p_type_log_line, &line, param, &e), 0);
		assert_true(line.seq == i);
		assert_int_equal(strlen(line.line), i < 3 ? 10 : 200000);
		P_FREE(log_line, &line);
	}
	assert_int_equal(client_next(c, &method, &param, 20, &e), 0);
	P_FREE(order_watch, &watch);
	client_close(c);
}

static void
learns_of_the_end(void **state)
{
	struct p_health h;
	struct p_info info;
	struct awo_err e = {0};
	struct p_slice param;
	const char *method;
	struct client *c;

	serve(*state, one_connection);
	c = connected(*state);
	/* and nobody comes back */
	assert_int_equal(unlink(((struct place *)*state)->path), 0);
	assert_int_equal(client_call(c, P_M_system_health, NULL, &h, 300, &e), -1);
	assert_int_equal(e.code, AWO_UNAVAILABLE);
	/* writing to nobody: an error, and not a signal */
	for (int i = 0; i < 3; i++) {
		e.code = AWO_OK;
		assert_int_equal(client_call(c, P_M_system_info, NULL, &info, 100, &e), -1);
		assert_int_equal(e.code, AWO_UNAVAILABLE);
	}
	assert_int_equal(client_next(c, &method, &param, 5000, &e), -1);
	client_close(c);
}

/* Takes one connection and closes it. */
static void *
slam(void *arg)
{
	struct place *p = arg;

	close(accept4(p->listener, NULL, NULL, SOCK_CLOEXEC));
	return NULL;
}

/* The daemon went while nothing was under way: the next call is an error, and no signal ends this
 * program. */
static void
survives_writing_to_nobody(void **state)
{
	struct place *p = *state;
	struct p_info info;
	struct awo_err e = {0};
	struct client *c;

	serve(p, slam);
	c = connected(p);
	pthread_join(p->thread, NULL);
	p->running = false;
	assert_int_equal(unlink(p->path), 0);
	assert_int_equal(client_call(c, P_M_system_info, NULL, &info, 100, &e), -1);
	assert_int_equal(e.code, AWO_UNAVAILABLE);
	client_close(c);
}

/* Reads one request and goes, twice; the third one stays. */
static void *
restarts(void *arg)
{
	struct place *p = arg;

	for (int i = 0; i < 2; i++) {
		CLEAN_FD int fd = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);
		CLEAN_BUF struct buf in = {0};
		size_t used = 0;
		struct p_frame f;

		if (fd < 0 || !next_request(fd, &in, &used, &f))
			return NULL;
	}
	return one_connection(p);
}

/* A daemon that is started again: what can be asked again is, what may have been done is not. */
static void
outlives_a_restart(void **state)
{
	struct p_order_get get = {0};
	struct p_order_ref ref = {0};
	struct p_order_answer a;
	struct p_order_delete_answer d;
	struct awo_err e = {0};
	struct client *c;

	serve(*state, restarts);
	c = connected(*state);
	P_SETS(order_ref, &ref, agent_work_order_id, "wo-12345678");
	assert_int_equal(client_call(c, P_M_order_delete, &ref, &d, 5000, &e), -1);
	assert_int_equal(e.code, AWO_UNAVAILABLE);
	/* not sent on the connection that has ended; sent and not answered on the second; answered on the third */
	P_SETS(order_get, &get, agent_work_order_id, "wo-12345678");
	e = (struct awo_err){0};
	assert_int_equal(client_call(c, P_M_order_get, &get, &a, 5000, &e), 0);
	assert_int_equal(e.code, AWO_OK);
	assert_string_equal(a.message, "hello");
	P_FREE(order_answer, &a);
	P_FREE(order_get, &get);
	P_FREE(order_ref, &ref);
	client_close(c);
}

/* Reads one request, is away for longer than a quick restart takes, and answers the second. */
static void *
dies_late(void *arg)
{
	struct place *p = arg;
	CLEAN_BUF struct buf in = {0};
	size_t used = 0;
	struct p_frame f;
	int fd = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd >= 0 && next_request(fd, &in, &used, &f))
		usleep(3200000);
	close(fd);
	return one_connection(p);
}

static void
outlives_a_restart_after_a_long_wait(void **state)
{
	struct p_order_get get = {0};
	struct p_order_answer a;
	struct awo_err e = {0};
	struct client *c;

	serve(*state, dies_late);
	c = connected(*state);
	P_SETS(order_get, &get, agent_work_order_id, "wo-12345678");
	assert_int_equal(client_call(c, P_M_order_get, &get, &a, 10000, &e), 0);
	assert_string_equal(a.message, "hello");
	P_FREE(order_answer, &a);
	P_FREE(order_get, &get);
	client_close(c);
}

/* Each connection ends with its first request. */
static void *
dies_of_it(void *arg)
{
	struct place *p = arg;

	for (;;) {
		CLEAN_FD int fd = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);
		CLEAN_BUF struct buf in = {0};
		size_t used = 0;
		struct p_frame f;

		if (fd < 0 || !next_request(fd, &in, &used, &f))
			return NULL;
		p->requests++;
	}
}

static void
does_not_repeat_for_ever(void **state)
{
	struct place *p = *state;
	struct p_order_get get = {0};
	struct p_order_ref ref = {0};
	struct p_order_answer a;
	struct p_order_delete_answer d;
	struct awo_err e = {0};
	struct client *c;

	serve(p, dies_of_it);
	c = connected(p);
	P_SETS(order_get, &get, agent_work_order_id, "wo-12345678");
	P_SETS(order_ref, &ref, agent_work_order_id, "wo-12345678");
	assert_int_equal(client_call(c, P_M_order_get, &get, &a, -1, &e), -1);
	assert_int_equal(e.code, AWO_UNAVAILABLE);
	assert_int_equal(p->requests, 6);
	client_close(c);
	/* what changes something is not repeated once */
	c = connected(p);
	assert_int_equal(client_call(c, P_M_order_delete, &ref, &d, -1, &e), -1);
	assert_int_equal(e.code, AWO_UNAVAILABLE);
	client_close(c);
	/* the thread ends with a connection that asks nothing */
	client_close(connected(p));
	pthread_join(p->thread, NULL);
	p->running = false;
	assert_int_equal(p->requests, 7);
	P_FREE(order_get, &get);
	P_FREE(order_ref, &ref);
}

static void
refuses_rubbish(void **state)
{
	struct p_order_ref ref = {0};
	struct p_step_list_answer a;
	struct awo_err e = {0};
	struct client *c;

	serve(*state, one_connection);
	c = connected(*state);
	P_SETS(order_ref, &ref, agent_work_order_id, "wo-1");
	assert_int_equal(client_call(c, P_M_order_steps, &ref, &a, 5000, &e), -1);
	assert_int_equal(e.code, AWO_INTERNAL);
	assert_non_null(strstr(e.msg, "cannot be read"));
	P_FREE(order_ref, &ref);
	client_close(c);
}

static void
refuses_what_is_too_large(void **state)
{
	struct p_order_prompt p = {0};
	struct p_order_prompt_answer a;
	struct awo_err e = {0};
	struct client *c;

	serve(*state, one_connection);
	c = connected(*state);
	P_SETS(order_prompt, &p, agent_work_order_id, "wo-1");
	p.prompt_text = xcalloc(P_MESSAGE_MAX + 1, 1);
	memset(p.prompt_text, 'x', P_MESSAGE_MAX);
	P_MARK(order_prompt, &p, prompt_text);
	assert_int_equal(client_call(c, P_M_order_prompt, &p, &a, 5000, &e), -1);
	assert_int_equal(e.code, AWO_INVALID_ARGUMENT);
	P_FREE(order_prompt, &p);
	client_close(c);
}

static void
says_why_it_cannot_connect(void **state)
{
	struct place *p = *state;
	struct awo_err e = {0};
	char path[128];

	snprintf(path, sizeof path, "%s/none", p->dir);
	assert_null(client_open(path, 100, &e));
	assert_int_equal(e.code, AWO_UNAVAILABLE);
	assert_non_null(strstr(e.msg, path));
	close(p->listener);
	p->listener = -1;
	assert_null(client_open(p->path, 100, &e));
	assert_int_equal(e.code, AWO_UNAVAILABLE);
}

/* The listener's queue is full: waits, and gives up in time. */
static void
waits_for_a_busy_daemon(void **state)
{
	struct place *p = *state;
	struct client *many[32] = {NULL};
	struct awo_err e = {0};
	size_t n = 0;

	while (n < 32 && (many[n] = client_open(p->path, 30, &e)))
		n++;
	assert_true(n > 0 && n < 32);
	assert_int_equal(e.code, AWO_UNAVAILABLE);
	assert_non_null(strstr(e.msg, "busy"));
	while (n > 0)
		client_close(many[--n]);
}

static void
reaches_long_paths(void **state)
{
	struct place *p = *state;
	struct p_order_get get = {0};
	struct p_order_answer a;
	struct awo_err e = {0};
	struct client *c;
	char path[600];
	size_t n;

	n = (size_t)snprintf(path, sizeof path, "%s", p->dir);
	while (n < 400)
		n += (size_t)snprintf(
		    path + n, sizeof path - n, "/a-directory-with-a-rather-long-name");
	assert_int_equal(files_mkdirs(AT_FDCWD, path, 0700), 0);
	n += (size_t)snprintf(path + n, sizeof path - n, "/");
	memset(path + n, 's', 150);
	path[n + 150] = '\0';
	assert_int_equal(rename(p->path, path), 0);
	serve(p, one_connection);
	c = client_open(path, 5000, &e);
	if (!c)
		fail_msg("%s", e.msg);
	P_SETS(order_get, &get, agent_work_order_id, "wo-1");
	assert_int_equal(client_call(c, P_M_order_get, &get, &a, 5000, &e), 0);
	P_FREE(order_answer, &a);
	P_FREE(order_get, &get);
	client_close(c);
}

/* ---- in a loop */

struct seen {
	struct event_base *base;
	struct client *c;
	int answers, failures, notes, closes;
	enum awo_code code;
	bool close_in_answer, retry;
};

static void
on_note(void *arg, const char *method, struct p_slice param)
{
	struct seen *s = arg;
	struct p_log_line line;

	assert_string_equal(method, "log_line");
	assert_int_equal(p_decode(&p_type_log_line, &line, param, NULL), 0);
	assert_true(line.seq == s->notes);
	P_FREE(log_line, &line);
	if (++s->notes == 5)
		event_base_loopbreak(s->base);
}

static void
on_closed(void *arg, const struct awo_err *err)
{
	struct seen *s = arg;

	s->closes++;
	s->code = err->code;
	event_base_loopbreak(s->base);
}

static void
on_order(void *arg, const struct awo_err *err, void *answer)
{
	struct seen *s = arg;
	struct p_order_answer *a = answer;

	if (err->code == AWO_OK) {
		assert_string_equal(a->agent_work_order.agent_work_order_id, "wo-1");
		s->answers++;
	} else {
		assert_null(answer);
		s->failures++;
		s->code = err->code;
		if (s->retry && s->failures < 10) {
			struct p_order_get get = {.agent_work_order_id = NULL};

			client_send(s->c, P_M_order_get, &get, on_order, s);
		}
	}
	if (s->close_in_answer) {
		client_close(s->c);
		s->c = NULL;
		event_base_loopbreak(s->base);
	} else if (s->answers == 100) {
		event_base_loopbreak(s->base);
	}
}

static void
on_stream(void *arg, const struct awo_err *err, void *answer)
{
	struct seen *s = arg;

	assert_int_equal(err->code, AWO_OK);
	assert_true(((struct p_stream_answer *)answer)->subscription == 1);
	s->answers++;
}

static void
on_any(void *arg, const struct awo_err *err, void *answer)
{
	struct seen *s = arg;

	(void)answer;
	s->failures += err->code != AWO_OK;
}

/* A loop that cannot run for ever. */
static void
run(struct seen *s)
{
	struct timeval limit = {20, 0};

	event_base_loopexit(s->base, &limit);
	event_base_dispatch(s->base);
}

static struct seen
open_seen(void)
{
	struct seen s = {.base = event_base_new()};

	assert_non_null(s.base);
	return s;
}

static void
begin(struct seen *s, struct place *p)
{
	struct awo_err e = {0};

	s->c = client_open_event(s->base, p->path, on_note, on_closed, s, &e);
	if (!s->c)
		fail_msg("%s", e.msg);
}

static void
end(struct seen *s)
{
	client_close(s->c);
	event_base_free(s->base);
}

static void
loop_calls(void **state)
{
	struct seen s = open_seen();
	struct p_order_get get = {0};

	serve(*state, one_connection);
	begin(&s, *state);
	P_SETS(order_get, &get, agent_work_order_id, "wo-1");
	for (int i = 0; i < 100; i++)
		client_send(s.c, P_M_order_get, &get, on_order, &s);
	assert_int_equal(s.answers, 0);
	run(&s);
	assert_int_equal(s.answers, 100);
	P_FREE(order_get, &get);
	end(&s);
}

static void
loop_notifies(void **state)
{
	struct seen s = open_seen();
	struct p_order_watch watch = {0};

	serve(*state, one_connection);
	begin(&s, *state);
	P_SETS(order_watch, &watch, agent_work_order_id, "wo-1");
	client_send(s.c, P_M_order_watch, &watch, on_stream, &s);
	run(&s);
	assert_int_equal(s.notes, 5);
	assert_int_equal(s.answers, 1);
	P_FREE(order_watch, &watch);
	end(&s);
}

/* After a moment five lines come, all at once; then the connection ends. */
static void *
five_lines_later(void *arg)
{
	struct place *p = arg;
	int fd = accept(p->listener, NULL, NULL);
	struct buf out CLEAN_BUF = {0};
	char byte;

	assert_true(fd >= 0);
	usleep(50000);
	add_lines(&out, 0, 5, 10);
	(void)!write(fd, out.p, out.len);
	/* until the client has them */
	(void)!read(fd, &byte, 1);
	close(fd);
	return NULL;
}

static void
loop_is_quiet_when_all_is_handed_over(void **state)
{
	struct place *p = *state;
	struct seen s = open_seen();

	serve(p, five_lines_later);
	begin(&s, p);
	assert_true(client_is_quiet(s.c));
	/* without a turn of the loop */
	for (int i = 0; i < 5000 && s.notes == 0; i++) {
		usleep(1000);
		assert_true(client_is_quiet(s.c));
	}
	assert_int_equal(s.notes, 5);
	assert_int_equal(shutdown(client_fd(s.c), SHUT_WR), 0);
	pthread_join(p->thread, NULL);
	p->running = false;
	/* the end is nothing that could still be quiet */
	assert_false(client_is_quiet(s.c));
	assert_int_equal(s.closes, 1);
	end(&s);
}

static void
loop_learns_of_the_end(void **state)
{
	struct seen s = open_seen();
	struct p_order_get get = {0};

	serve(*state, one_connection);
	begin(&s, *state);
	s.retry = true; /* each failure sends again: must end all the same */
	client_send(s.c, P_M_system_info, NULL, on_any, &s);
	client_send(s.c, P_M_system_health, NULL, on_any, &s);
	run(&s);
	assert_int_equal(s.closes, 1);
	assert_int_equal(s.code, AWO_UNAVAILABLE);
	assert_int_equal(s.failures, 2);
	/* afterwards every call fails, but never from inside client_send() */
	client_send(s.c, P_M_order_get, &get, on_order, &s);
	assert_int_equal(s.failures, 2);
	event_base_loop(s.base, EVLOOP_ONCE);
	assert_true(s.failures >= 3);
	for (int i = 0; i < 20 && s.failures < 10; i++)
		event_base_loop(s.base, EVLOOP_ONCE);
	assert_int_equal(s.failures, 10);
	assert_int_equal(s.closes, 1);
	end(&s);
}

static void
loop_survives_writing_to_nobody(void **state)
{
	struct place *p = *state;
	struct seen s = open_seen();

	serve(p, slam);
	begin(&s, p);
	pthread_join(p->thread, NULL);
	p->running = false;
	client_send(s.c, P_M_system_info, NULL, on_any, &s);
	client_send(s.c, P_M_system_info, NULL, on_any, &s);
	run(&s);
	assert_int_equal(s.failures, 2);
	assert_int_equal(s.closes, 1);
	assert_int_equal(s.code, AWO_UNAVAILABLE);
	end(&s);
}

static void
loop_closes_inside_a_callback(void **state)
{
	struct seen s = open_seen();
	struct p_order_get get = {0};

	serve(*state, one_connection);
	begin(&s, *state);
	s.close_in_answer = true;
	P_SETS(order_get, &get, agent_work_order_id, "wo-1");
	for (int i = 0; i < 5; i++)
		client_send(s.c, P_M_order_get, &get, on_order, &s);
	run(&s);
	assert_int_equal(s.answers, 1);
	assert_null(s.c);
	P_FREE(order_get, &get);
	end(&s);
}

static void
loop_says_why_it_cannot_connect(void **state)
{
	struct place *p = *state;
	struct seen s = open_seen();
	struct awo_err e = {0};
	char path[128];

	snprintf(path, sizeof path, "%s/none", p->dir);
	assert_null(client_open_event(s.base, path, on_note, on_closed, &s, &e));
	assert_int_equal(e.code, AWO_UNAVAILABLE);
	event_base_free(s.base);
}

/* ---- the default socket */

static void
finds_the_socket(void **state)
{
	struct place *p = *state;
	char buf[256], dir[100], path[128];

	setenv("AWO_SOCKET", "/x/y.sock", 1);
	assert_string_equal(client_default_socket(buf, sizeof buf), "/x/y.sock");
	setenv("AWO_SOCKET", "", 1);
	setenv("XDG_RUNTIME_DIR", p->dir, 1);
	assert_string_equal(client_default_socket(buf, sizeof buf), "/run/awo/awod.sock");
	snprintf(dir, sizeof dir, "%s/awo", p->dir);
	assert_int_equal(mkdir(dir, 0700), 0);
	snprintf(path, sizeof path, "%s/awo/awod.sock", p->dir);
	assert_int_equal(link(p->path, path), 0);
	assert_string_equal(client_default_socket(buf, sizeof buf), path);
	unsetenv("XDG_RUNTIME_DIR");
	setenv("XDG_STATE_HOME", p->dir, 1);
	assert_string_equal(client_default_socket(buf, sizeof buf), "/run/awo/awod.sock");
	snprintf(dir, sizeof dir, "%s/awo/run", p->dir);
	assert_int_equal(mkdir(dir, 0700), 0);
	snprintf(path, sizeof path, "%s/awo/run/awod.sock", p->dir);
	assert_int_equal(link(p->path, path), 0);
	assert_string_equal(client_default_socket(buf, sizeof buf), path);
	unsetenv("XDG_STATE_HOME");
	setenv("HOME", p->dir, 1);
	snprintf(dir, sizeof dir, "%s/.local/state/awo/run", p->dir);
	assert_int_equal(files_mkdirs(AT_FDCWD, dir, 0700), 0);
	snprintf(path, sizeof path, "%s/.local/state/awo/run/awod.sock", p->dir);
	assert_int_equal(link(p->path, path), 0);
	assert_string_equal(client_default_socket(buf, sizeof buf), path);
}

#define WITH_PLACE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH_PLACE(calls),
	    WITH_PLACE(gives_up_in_time),
	    WITH_PLACE(receives_notifications),
	    WITH_PLACE(learns_of_the_end),
	    WITH_PLACE(survives_writing_to_nobody),
	    WITH_PLACE(outlives_a_restart),
	    WITH_PLACE(outlives_a_restart_after_a_long_wait),
	    WITH_PLACE(does_not_repeat_for_ever),
	    WITH_PLACE(refuses_rubbish),
	    WITH_PLACE(refuses_what_is_too_large),
	    WITH_PLACE(says_why_it_cannot_connect),
	    WITH_PLACE(waits_for_a_busy_daemon),
	    WITH_PLACE(reaches_long_paths),
	    WITH_PLACE(loop_calls),
	    WITH_PLACE(loop_notifies),
	    WITH_PLACE(loop_is_quiet_when_all_is_handed_over),
	    WITH_PLACE(loop_learns_of_the_end),
	    WITH_PLACE(loop_survives_writing_to_nobody),
	    WITH_PLACE(loop_closes_inside_a_callback),
	    WITH_PLACE(loop_says_why_it_cannot_connect),
	    WITH_PLACE(finds_the_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
