/* Runs awoctl against a daemon that the test plays: exit status, JSON, streams that break, starting a daemon. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/cmocka_all.h"

#include "common/clean.h"
#include "common/clock.h"
#include "common/files.h"
#include "proto/msgpack.h"

#define ID "wo-1a2b3c4d"
#define PATIENCE_US 60000000

struct daemon;

/* Answers one request by appending to out; false closes the connection when that is sent. */
typedef bool handler(struct daemon *d, const struct p_frame *f, struct buf *out);

struct daemon {
	handler *handle;
	char dir[64];
	char socket[100];
	int listen_fd, fd;
	struct buf in;
	int connections, requests;
	int64_t after_seq[8];		/* of each order.watch */
	char seen[512];			/* what a test wants to remember of a request */
	enum awo_code code;		/* for refuse() */
};

struct result {
	int status;			/* exit status; 1000 + signal */
	struct buf out, err;
};

static int
setup(void **state)
{
	struct daemon *d = xcalloc(1, sizeof(*d));
	struct sockaddr_un sun = {.sun_family = AF_UNIX};

	snprintf(d->dir, sizeof(d->dir), "/tmp/awoctl-client-XXXXXX");
	assert_non_null(mkdtemp(d->dir));
	snprintf(d->socket, sizeof(d->socket), "%s/d.sock", d->dir);
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", d->socket);
	d->fd = -1;
	d->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(d->listen_fd >= 0);
	assert_int_equal(bind(d->listen_fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(d->listen_fd, 4), 0);
	*state = d;
	return 0;
}

static int
teardown(void **state)
{
	struct daemon *d = *state;

	if (d->fd >= 0)
		close(d->fd);
	if (d->listen_fd >= 0)
		close(d->listen_fd);
	buf_free(&d->in);
	files_remove_tree(AT_FDCWD, d->dir, NULL);
	free(d);
	return 0;
}

static void
drop(struct daemon *d)
{
	close(d->fd);
	d->fd = -1;
	buf_free(&d->in);
}

static void
serve(struct daemon *d)
{
	char bytes[4096];
	ssize_t n = read(d->fd, bytes, sizeof(bytes));

	if (n <= 0) {
		drop(d);
		return;
	}
	buf_add(&d->in, bytes, (size_t)n);
	for (;;) {
		struct p_frame f;
		struct awo_err err;
		bool have_id;
		uint32_t id;
		CLEAN_BUF struct buf out = {0};
		ssize_t len = p_frame_scan((const uint8_t *)d->in.p, d->in.len, &f, &have_id, &id, &err);
		assert_true(len >= 0);
		if (len == 0)
			return;
		d->requests++;
		bool stay = d->handle(d, &f, &out);
		buf_drain(&d->in, (size_t)len);
		assert_int_equal(files_write_all(d->fd, out.p, out.len), 0);
		if (!stay) {
			drop(d);
			return;
		}
	}
}

/* Takes what stands in a pipe; closes it at the end. */
static void
drain(int *fd, struct buf *b)
{
	char bytes[4096];
	ssize_t n = read(*fd, bytes, sizeof(bytes));

	if (n > 0)
		buf_add(b, bytes, (size_t)n);
	else if (n == 0) {
		close(*fd);
		*fd = -1;
	}
}

static void
run_program(struct daemon *d, const char *program, const char *input, const char *const *argv, struct result *r)
{
	int in[2], out[2], err[2], status;
	int64_t deadline = clock_mono_us() + PATIENCE_US;

	*r = (struct result){.status = -1};
	assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC) | pipe2(err, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (pid == 0) {
		static const char *const variables[] = {"HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME", "XDG_CONFIG_HOME"};
		for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
			setenv(variables[i], d->dir, 1);
		unsetenv("AWO_SOCKET");
		if (dup2(in[0], 0) < 0 || dup2(out[1], 1) < 0 || dup2(err[1], 2) < 0)
			_exit(126);
		execv(program, (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	assert_true(pid > 0);
	close(in[0]);
	close(out[1]);
	close(err[1]);
	assert_int_equal(files_write_all(in[1], input, strlen(input)), 0);
	close(in[1]);
	while (out[0] >= 0 || err[0] >= 0) {
		struct pollfd p[] = {{.fd = out[0], .events = POLLIN}, {.fd = err[0], .events = POLLIN},
		    {.fd = d->fd, .events = POLLIN}, {.fd = d->fd < 0 ? d->listen_fd : -1, .events = POLLIN}};
		if (clock_mono_us() > deadline) {
			kill(pid, SIGKILL);
			fail_msg("awoctl did not end; standard error: %s", r->err.p ? r->err.p : "");
		}
		if (poll(p, 4, 1000) <= 0)
			continue;
		if (p[0].revents)
			drain(&out[0], &r->out);
		if (p[1].revents)
			drain(&err[0], &r->err);
		if (p[2].revents && d->fd >= 0)
			serve(d);
		if (p[3].revents && d->fd < 0) {
			d->fd = accept4(d->listen_fd, NULL, NULL, SOCK_CLOEXEC);
			d->connections++;
		}
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	r->status = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
	if (d->fd >= 0)
		drop(d);
	buf_adds(&r->out, "");
	buf_adds(&r->err, "");
	buf_reserve(&r->out, 1);
	buf_reserve(&r->err, 1);
	r->out.p[r->out.len] = r->err.p[r->err.len] = '\0';
}

#define RUN(d, r, input, ...)                                                                                          \
	run_program((d), AWOCTL, (input), (const char *const[]){"awoctl", "--socket", (d)->socket, __VA_ARGS__, NULL}, (r))

static void
end(struct result *r)
{
	buf_free(&r->out);
	buf_free(&r->err);
}

static bool
is(const struct p_frame *f, const char *method)
{
	return f->method_len == strlen(method) && memcmp(f->method, method, f->method_len) == 0;
}

static void
fill_order(struct p_order *o, enum p_order_status status)
{
	P_SETS(order, o, agent_work_order_id, ID);
	P_SETS(order, o, repository_url, "https://github.com/acme/shop");
	P_SETS(order, o, sandbox_identifier, "sandbox-" ID);
	P_SETS(order, o, owner, "somebody");
	P_SETS(order, o, agent, "claude");
	P_SETS(order, o, user_request, "do\033]0;it\007 now");
	P_SET(order, o, sandbox_type, sandbox_type_git_worktree);
	P_SET(order, o, status, status);
	P_MARK(order, o, selected_commands);
	P_MARK(order, o, sandbox_layers);
	P_MARK(order, o, usage);
	P_SET(order, o, priority, 0);
	P_SET(order, o, step_number, 1);
	P_SET(order, o, total_steps, 5);
	P_SET(order, o, attempt, 1);
	P_SET(order, o, created_at, INT64_C(1769846400000000));
	P_SET(order, o, updated_at, INT64_C(1769846400000000));
	P_SET(order, o, git_commit_count, 2);
	P_SET(order, o, git_files_changed, 2);
	P_SET(order, o, git_lines_added, 2);
	P_SET(order, o, git_lines_removed, 2);
}

static void
answer_order(struct buf *out, uint32_t id, enum p_order_status status, const char *url, const char *error)
{
	struct p_order_answer answer = {0};

	fill_order(&answer.agent_work_order, status);
	P_MARK(order_answer, &answer, agent_work_order);
	if (url)
		P_SETS(order, &answer.agent_work_order, github_pull_request_url, url);
	if (error)
		P_SETS(order, &answer.agent_work_order, error_message, error);
	p_encode_answer(out, id, &p_type_order_answer, &answer);
	P_FREE(order_answer, &answer);
}

static void
notify_line(struct buf *out, int64_t seq, const char *text)
{
	struct p_log_line line = {0};

	P_SET(log_line, &line, subscription, 1);
	P_SET(log_line, &line, seq, seq);
	P_SETS(log_line, &line, line, text);
	p_encode_notify(out, "log_line", &p_type_log_line, &line);
	P_FREE(log_line, &line);
}

static void
notify_end(struct buf *out, const char *method, int64_t seq, const char *reason)
{
	struct p_stream_end stream = {0};

	P_SET(stream_end, &stream, subscription, 1);
	P_SET(stream_end, &stream, seq, seq);
	P_SETS(stream_end, &stream, reason, reason);
	p_encode_notify(out, method, &p_type_stream_end, &stream);
	P_FREE(stream_end, &stream);
}

/* Takes order.watch in and answers it; returns which one it was, from 0. */
static int
begin_stream(struct daemon *d, const struct p_frame *f, struct buf *out, int *nth)
{
	struct p_order_watch request;
	struct p_stream_answer answer = {0};
	struct awo_err err;

	assert_int_equal(p_decode(&p_type_order_watch, &request, f->param, &err), 0);
	d->after_seq[*nth] = request.after_seq;
	P_FREE(order_watch, &request);
	P_SET(stream_answer, &answer, subscription, 1);
	P_SETS(stream_answer, &answer, agent_work_order_id, ID);
	p_encode_answer(out, f->id, &p_type_stream_answer, &answer);
	P_FREE(stream_answer, &answer);
	return (*nth)++;
}

/* ---- errors and JSON */

static bool
refuse(struct daemon *d, const struct p_frame *f, struct buf *out)
{
	struct awo_err err = {.code = d->code, .field = "agent_work_order_id", .msg = "no \033[31mway"};

	p_encode_error(out, f->id, &err);
	return true;
}

static void
errors_decide_the_status(void **state)
{
	static const struct {
		enum awo_code code;
		int status;
	} rows[] = {{AWO_NOT_FOUND, 3}, {AWO_PERMISSION_DENIED, 4}, {AWO_FAILED_PRECONDITION, 1}, {AWO_INVALID_ARGUMENT, 1},
	    {AWO_UNAVAILABLE, 5}, {AWO_INTERNAL, 1}};
	struct daemon *d = *state;
	struct result r;

	d->handle = refuse;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		d->code = rows[i].code;
		RUN(d, &r, "", "show", "1a2b");
		assert_int_equal(r.status, rows[i].status);
		assert_non_null(strstr(r.err.p, "[31mway"));
		assert_null(strchr(r.err.p, '\033'));
		assert_int_equal(r.out.len, 0);
		end(&r);
		RUN(d, &r, "", "show", "1a2b", "--json");
		assert_int_equal(r.status, rows[i].status);
		CLEAN_JSON json_t *tree = json_loads(r.err.p, 0, NULL);
		const json_t *error = json_object_get(tree, "error");
		assert_string_equal(json_string_value(json_object_get(error, "code")), awo_code_name(rows[i].code));
		assert_string_equal(json_string_value(json_object_get(error, "field")), "agent_work_order_id");
		end(&r);
	}
	int before = d->requests;
	RUN(d, &r, "", "show", "not-an-id");
	assert_int_equal(r.status, 2);
	end(&r);
	RUN(d, &r, "", "frobnicate");
	assert_int_equal(r.status, 2);
	end(&r);
	assert_int_equal(d->requests, before);
}

static void
nobody_answers(void **state)
{
	struct daemon *d = *state;
	struct result r;

	close(d->listen_fd);
	d->listen_fd = -1;
	RUN(d, &r, "", "ls");
	assert_int_equal(r.status, 5);
	end(&r);
	unlink(d->socket);
	RUN(d, &r, "", "--json", "ls");
	assert_int_equal(r.status, 5);
	assert_non_null(strstr(r.err.p, "\"unavailable\""));
	end(&r);
}

static bool
show(struct daemon *d, const struct p_frame *f, struct buf *out)
{
	(void)d;
	assert_true(is(f, "order.get"));
	answer_order(out, f->id, order_status_running, NULL, NULL);
	return true;
}

static void
answers_are_shown(void **state)
{
	struct daemon *d = *state;
	struct result r;

	d->handle = show;
	RUN(d, &r, "", "show", "1A2B");
	assert_int_equal(r.status, 0);
	assert_null(strchr(r.out.p, '\033'));
	assert_non_null(strstr(r.out.p, "do\\x1b]0;it\\x07 now"));
	assert_non_null(strstr(r.out.p, "running"));
	assert_non_null(strstr(r.out.p, "sandbox-" ID));
	end(&r);
	RUN(d, &r, "", "--json", "show", ID);
	assert_int_equal(r.status, 0);
	CLEAN_JSON json_t *tree = json_loads(r.out.p, 0, NULL);
	const json_t *order = json_object_get(tree, "agent_work_order");
	assert_string_equal(json_string_value(json_object_get(order, "status")), "running");
	assert_string_equal(json_string_value(json_object_get(order, "created_at")), "2026-01-31T08:00:00.000000Z");
	end(&r);
}

/* ---- streams */

static int watches;

static bool
broken_stream(struct daemon *d, const struct p_frame *f, struct buf *out)
{
	assert_true(is(f, "order.watch"));
	switch (begin_stream(d, f, out, &watches)) {
	case 0:
		notify_line(out, 10, "{\"event\":\"one\"}");
		notify_line(out, 20, "{\"event\":\"two\"}");
		return false; /* a daemon that is killed */
	case 1:
		notify_line(out, 30, "{\"event\":\"three\"}");
		notify_end(out, "stream_overflow", 30, "slow_reader");
		return true;
	case 2:
		/* what was seen already must not appear twice */
		notify_line(out, 30, "{\"event\":\"three\"}");
		notify_line(out, 40, "no json");
		notify_end(out, "stream_end", 40, "stopping");
		return false;
	default:
		notify_line(out, 50, "{\"event\":\"five\"}");
		notify_end(out, "stream_end", 50, "order_ended");
		return true;
	}
}

static void
logs_follow_over_restarts(void **state)
{
	static const int64_t seqs[] = {10, 20, 30, 40, 50};
	struct daemon *d = *state;
	struct result r;
	size_t n = 0;

	d->handle = broken_stream;
	watches = 0;
	RUN(d, &r, "", "logs", "-f", "1a2b", "--json");
	assert_int_equal(r.status, 0);
	assert_int_equal(watches, 4);
	assert_int_equal(d->connections, 3);
	assert_int_equal(d->after_seq[0], 0);
	assert_int_equal(d->after_seq[1], 20);
	assert_int_equal(d->after_seq[2], 30);
	assert_int_equal(d->after_seq[3], 40);
	char *rest = r.out.p;
	for (char *line; (line = strsep(&rest, "\n")) && *line;) {
		CLEAN_JSON json_t *tree = json_loads(line, 0, NULL);
		assert_non_null(tree);
		assert_true(n < 5);
		assert_int_equal(json_integer_value(json_object_get(tree, "seq")), seqs[n++]);
	}
	assert_int_equal(n, 5);
	assert_string_equal(r.err.p, "");
	end(&r);
}

static bool
some_logs(struct daemon *d, const struct p_frame *f, struct buf *out)
{
	struct p_order_logs request;
	struct p_order_logs_answer answer = {0};
	struct awo_err err;

	assert_true(is(f, "order.logs"));
	assert_int_equal(p_decode(&p_type_order_logs, &request, f->param, &err), 0);
	/* three pages of one line each */
	int64_t seq = request.after_seq + 10;
	snprintf(d->seen, sizeof(d->seen), "level=%d step=%s since=%d", (int)request.level,
	    request.step ? request.step : "", P_HAS(order_logs, &request, since));
	P_SETS(order_logs_answer, &answer, agent_work_order_id, ID);
	P_SET(order_logs_answer, &answer, log_entries, json_pack("[{s:I,s:s}]", "seq", (json_int_t)seq, "event", "x"));
	P_SET(order_logs_answer, &answer, total, 3);
	P_SET(order_logs_answer, &answer, total_count, 3);
	P_SET(order_logs_answer, &answer, filtered_total, 3);
	P_SET(order_logs_answer, &answer, limit, request.limit);
	P_SET(order_logs_answer, &answer, offset, request.offset);
	P_SET(order_logs_answer, &answer, has_more, seq < 30);
	P_SET(order_logs_answer, &answer, next_seq, seq);
	p_encode_answer(out, f->id, &p_type_order_logs_answer, &answer);
	P_FREE(order_logs_answer, &answer);
	P_FREE(order_logs, &request);
	return true;
}

static void
logs_are_read_to_the_end(void **state)
{
	struct daemon *d = *state;
	struct result r;

	d->handle = some_logs;
	RUN(d, &r, "", "logs", ID, "--json", "--level", "warn", "--step", "planning", "--since", "10m");
	assert_int_equal(r.status, 0);
	assert_string_equal(d->seen, "level=3 step=planning since=1");
	assert_string_equal(r.out.p, "{\"seq\":10,\"event\":\"x\"}\n{\"seq\":20,\"event\":\"x\"}\n{\"seq\":30,\"event\":\"x\"}\n");
	end(&r);
}

/* ---- run */

static enum p_order_status outcome;

static bool
run_order(struct daemon *d, const struct p_frame *f, struct buf *out)
{
	struct p_order_create request;
	struct awo_err err;

	if (is(f, "order.create")) {
		assert_int_equal(p_decode(&p_type_order_create, &request, f->param, &err), 0);
		snprintf(d->seen, sizeof(d->seen), "%s|%s|%s|%zu|%d|%d", request.repository_url,
		    request.user_request ? request.user_request : "-",
		    request.github_issue_number ? request.github_issue_number : "-", request.selected_commands.n,
		    (int)request.priority, (int)request.timeout_seconds);
		P_FREE(order_create, &request);
		answer_order(out, f->id, order_status_pending, NULL, NULL);
	} else if (is(f, "order.watch")) {
		begin_stream(d, f, out, &watches);
		notify_line(out, 10, "{\"event\":\"agent_work_order_started\",\"level\":\"info\"}");
		notify_line(out, 20, "{\"event\":\"step_started\",\"level\":\"info\",\"step\":\"planning\",\"agent_name\":"
		    "\"Planner\",\"step_number\":2,\"total_steps\":5}");
		notify_line(out, 30, "{\"event\":\"agent_output\",\"level\":\"info\",\"kind\":\"tool_result\",\"text\":\"hush\"}");
		notify_end(out, "stream_end", 30, "order_ended");
	} else
		answer_order(out, f->id, outcome,
		    outcome == order_status_completed ? "https://github.com/acme/shop/pull/7" : NULL,
		    outcome == order_status_failed ? "the agent gave up" : NULL);
	return true;
}

static void
run_ends_with_the_result(void **state)
{
	struct daemon *d = *state;
	struct result r;

	d->handle = run_order;
	watches = 0;
	outcome = order_status_completed;
	RUN(d, &r, "", "run", "acme/shop", "add", "it", "--steps", "create-branch,planning", "--priority", "-5", "--timeout",
	    "2h");
	assert_int_equal(r.status, 0);
	assert_string_equal(d->seen, "acme/shop|add it|-|2|-5|7200");
	assert_string_equal(r.out.p, "https://github.com/acme/shop/pull/7\n");
	assert_non_null(strstr(r.err.p, "step 2/5 planning started (Planner)"));
	assert_null(strstr(r.err.p, "hush"));
	assert_null(strchr(r.err.p, '\033'));
	end(&r);

	watches = 0;
	outcome = order_status_failed;
	RUN(d, &r, "from input\n", "run", "acme/shop", "-", "--issue", "#42");
	assert_int_equal(r.status, 1);
	assert_string_equal(d->seen, "acme/shop|from input|42|0|0|0");
	assert_int_equal(r.out.len, 0);
	assert_non_null(strstr(r.err.p, "the agent gave up"));
	assert_non_null(strstr(r.err.p, "awoctl retry " ID));
	end(&r);

	RUN(d, &r, "", "run", "acme/shop", "--issue", "42", "-d");
	assert_int_equal(r.status, 0);
	assert_string_equal(r.out.p, ID "\n");
	end(&r);

	watches = 0;
	outcome = order_status_completed;
	RUN(d, &r, "", "--json", "run", "acme/shop", "x");
	CLEAN_JSON json_t *tree = json_loads(r.out.p, 0, NULL);
	assert_int_equal(r.status, 0);
	assert_string_equal(json_string_value(json_object_get(json_object_get(tree, "agent_work_order"), "status")),
	    "completed");
	assert_string_equal(r.err.p, "");
	end(&r);

	int before = d->requests;
	RUN(d, &r, "", "run", "acme/shop");
	assert_int_equal(r.status, 2);
	end(&r);
	assert_int_equal(d->requests, before);
}

/* ---- secrets */

static bool
store(struct daemon *d, const struct p_frame *f, struct buf *out)
{
	struct p_credential_set request;
	struct p_credential answer = {0};
	struct awo_err err;

	assert_true(is(f, "credential.set"));
	assert_int_equal(p_decode(&p_type_credential_set, &request, f->param, &err), 0);
	snprintf(d->seen, sizeof(d->seen), "%s|%s", request.name, request.value);
	P_SETS(credential, &answer, name, request.name);
	P_SET(credential, &answer, kind, request.kind);
	P_SETS(credential, &answer, masked, "***last");
	P_SETS(credential, &answer, owner, "me");
	P_SET(credential, &answer, created_at, 1);
	P_SET(credential, &answer, updated_at, 1);
	p_encode_answer(out, f->id, &p_type_credential, &answer);
	P_FREE(credential, &answer);
	P_FREE(credential_set, &request);
	return true;
}

static void
secrets_come_from_standard_input(void **state)
{
	struct daemon *d = *state;
	struct result r;

	d->handle = store;
	RUN(d, &r, "s3cret\n", "credential", "set", "hub", "--kind", "github_token");
	assert_int_equal(r.status, 0);
	assert_string_equal(d->seen, "hub|s3cret");
	assert_null(strstr(r.out.p, "s3cret"));
	assert_null(strstr(r.err.p, "s3cret"));
	end(&r);
	RUN(d, &r, "-----KEY\nx\n-----END", "credential", "set", "k", "-k", "ssh_key");
	/* none was there, and none is asked for: keys are handed on as they are */
	assert_string_equal(d->seen, "k|-----KEY\nx\n-----END");
	end(&r);
	RUN(d, &r, "-----KEY\nx\n-----END\n", "credential", "set", "k", "-k", "ssh_key");
	assert_string_equal(d->seen, "k|-----KEY\nx\n-----END\n");
	end(&r);
	int before = d->requests;
	RUN(d, &r, "\n", "credential", "set", "hub", "--kind", "github_token");
	assert_int_equal(r.status, 2);
	end(&r);
	RUN(d, &r, "x", "credential", "set", "hub", "value", "--kind", "github_token");
	assert_int_equal(r.status, 2);
	end(&r);
	assert_int_equal(d->requests, before);
}

/* ---- starting a daemon */

static void
a_daemon_that_cannot_start_is_quoted(void **state)
{
	struct daemon *d = *state;
	struct result r;
	static const char script[] = "#!/bin/sh\necho \"args: $*\"\necho 'no \033[1mroom' >&2\nexit 1\n";
	CLEAN_FREE char *copy = xasprintf("%s/awoctl", d->dir), *awod = xasprintf("%s/awod", d->dir);
	CLEAN_FREE char *command = xasprintf("cp '%s' '%s'", AWOCTL, copy);

	/* a socket that nobody listens on any more keeps a system's awod out of the game */
	CLEAN_FREE char *run = xasprintf("%s/awo", d->dir), *stale = xasprintf("%s/awo/awod.sock", d->dir);
	assert_int_equal(mkdir(run, 0700), 0);
	close(d->listen_fd);
	d->listen_fd = -1;
	assert_int_equal(rename(d->socket, stale), 0);
	/* beside a copy of awoctl, so that it finds this daemon and no other; root is told to use systemd instead */
	assert_int_equal(system(command), 0);
	int fd = open(awod, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
	assert_int_equal(files_write_all(fd, script, strlen(script)), 0);
	close(fd);
	run_program(d, copy, "", (const char *const[]){"awoctl", "ls", NULL}, &r);
	assert_int_equal(r.status, 5);
	if (getuid() == 0)
		assert_non_null(strstr(r.err.p, "systemctl start awod"));
	else {
		assert_non_null(strstr(r.err.p, "[1mroom"));
		assert_null(strchr(r.err.p, '\033'));
		size_t len;
		CLEAN_FREE char *path = xasprintf("%s/awo/log/awod.log", d->dir);
		CLEAN_FREE char *log = files_read(AT_FDCWD, path, 4096, &len);
		assert_non_null(log);
		assert_non_null(strstr(log, "args: --user"));
	}
	end(&r);
	run_program(d, copy, "", (const char *const[]){"awoctl", "ls", "--no-autostart", NULL}, &r);
	assert_int_equal(r.status, 5);
	end(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(errors_decide_the_status, setup, teardown),
		cmocka_unit_test_setup_teardown(nobody_answers, setup, teardown),
		cmocka_unit_test_setup_teardown(answers_are_shown, setup, teardown),
		cmocka_unit_test_setup_teardown(logs_follow_over_restarts, setup, teardown),
		cmocka_unit_test_setup_teardown(logs_are_read_to_the_end, setup, teardown),
		cmocka_unit_test_setup_teardown(run_ends_with_the_result, setup, teardown),
		cmocka_unit_test_setup_teardown(secrets_come_from_standard_input, setup, teardown),
		cmocka_unit_test_setup_teardown(a_daemon_that_cannot_start_is_quoted, setup, teardown),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
