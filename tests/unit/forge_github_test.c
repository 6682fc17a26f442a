/* awo-forge against a server of a few lines that answers as GitHub does, and as it does on bad
 * days. */
#include "tests/unit/cmocka_all.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clean.h"
#include "common/files.h"
#include "tests/unit/patience.h"

#define TOKEN "ghp_verysecret0123456789"

/* One answer of the server's script: the wanted beginning of the request and what it gets. */
struct turn {
	const char *wants;   /* "GET /repos/o/r " */
	int status;	     /* 0: the connection is closed without an answer; -1: no answer ever */
	const char *headers; /* each with its line end, or "" */
	const char *body;    /* NULL: 9 MiB of blanks */
};

static pid_t server;
static int port;
static int report[2]; /* what was asked, each request closed by a NUL */

static void
read_request(int c, struct buf *b)
{
	size_t want = 0;
	char *end = NULL;

	while (end == NULL || b->len < want) {
		char chunk[4096];
		ssize_t n = read(c, chunk, sizeof(chunk));
		char *length;

		if (n <= 0)
			break;
		buf_add(b, chunk, (size_t)n);
		if (end == NULL && (end = strstr(b->p, "\r\n\r\n")) != NULL) {
			want = (size_t)(end - b->p) + 4;
			if ((length = strcasestr(b->p, "content-length: ")) != NULL)
				want += strtoul(length + 16, NULL, 10);
		}
	}
}

static void
answer(int c, const struct turn *t)
{
	CLEAN_BUF struct buf out = {0};
	size_t len = t->body != NULL ? strlen(t->body) : 9U << 20;

	buf_printf(&out,
	    "HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %zu\r\nConnection: "
	    "close\r\n%s\r\n",
	    t->status, len, t->headers);
	if (t->body != NULL) {
		buf_adds(&out, t->body);
	} else {
		buf_reserve(&out, len + 1);
		memset(out.p + out.len, ' ', len);
		out.len += len;
	}
	(void)files_write_all(c, out.p, out.len);
}

static _Noreturn void
serve(int fd, const struct turn *turns, size_t n)
{
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0;; i++) {
		CLEAN_BUF struct buf b = {0};
		CLEAN_FD int c = accept(fd, NULL, NULL);
		static const struct turn unexpected = {
		    "", 599, "", "{\"message\":\"not in the script\"}"};
		const struct turn *t = i < n ? &turns[i] : &unexpected;

		read_request(c, &b);
		buf_addc(&b, '\0');
		(void)files_write_all(report[1], b.p, b.len);
		if (strncmp(b.p, t->wants, strlen(t->wants)) != 0)
			t = &unexpected;
		if (t->status < 0)
			pause();
		if (t->status > 0)
			answer(c, t);
	}
}

static void
start(const struct turn *turns, size_t n)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	port = ntohs(a.sin_port);
	assert_int_equal(pipe2(report, O_CLOEXEC), 0);
	assert_int_equal(fcntl(report[0], F_SETFL, O_NONBLOCK), 0);
	fflush(NULL);
	server = fork();
	assert_true(server >= 0);
	if (server == 0)
		serve(fd, turns, n);
	close(fd);
}
#define START(...)                                                                                 \
	start((const struct turn[]){__VA_ARGS__},                                                  \
	    sizeof((const struct turn[]){__VA_ARGS__}) / sizeof(struct turn))

/* Ends the server; gives how many requests came, and all of them as one text (NULs as line ends).
 */
static unsigned
stop(struct buf *asked)
{
	char chunk[8192];
	unsigned n = 0;
	ssize_t len;

	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	while ((len = read(report[0], chunk, sizeof(chunk))) > 0) {
		for (ssize_t i = 0; i < len; i++) {
			n += chunk[i] == '\0';
			buf_addc(asked, chunk[i] == '\0' ? '\n' : chunk[i]);
		}
	}
	close(report[0]);
	close(report[1]);
	return n;
}

static json_t *
run(const char *verb, json_t *req)
{
	CLEAN_FREE char *text = NULL, *out = NULL;
	int in[2], from[2], status;
	size_t len;
	pid_t pid;
	json_t *j;

	if (json_object_get(req, "api_url") == NULL)
		json_object_set_new(req, "api_url", json_sprintf("http://127.0.0.1:%d", port));
	if (json_object_get(req, "token") == NULL)
		json_object_set_new(req, "token", json_string(TOKEN));
	json_object_set_new(req, "owner", json_string("o"));
	json_object_set_new(req, "repo", json_string("next.js"));
	text = json_dumps(req, 0);
	json_decref(req);
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(from, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		char name[] = "awo-forge", asan[] = "ASAN_OPTIONS=detect_leaks=0",
		     *v = strdup(verb);
		char *argv[] = {name, v, NULL}, *envp[] = {asan, NULL};

		dup2(in[0], 0);
		dup2(from[1], 1);
		execve(AWO_FORGE_PROGRAM, argv, envp);
		_exit(127);
	}
	close(in[0]);
	close(from[1]);
	assert_int_equal(files_write_all(in[1], text, strlen(text)), 0);
	close(in[1]);
	out = files_read_fd(from[0], 16 << 20, &len);
	close(from[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_non_null(out);
	/* whatever happened, the secret is not told */
	assert_null(strstr(out, TOKEN));
	j = json_loads(out, 0, NULL);
	assert_non_null(j);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), json_is_true(json_object_get(j, "ok")) ? 0 : 1);
	return j;
}

static const char *
str(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s != NULL ? s : "(none)";
}

static void
expect_error(json_t *j, const char *category, const char *reason, const char *text)
{
	json_t *e = json_object_get(j, "error");

	if (strcmp(str(e, "reason"), reason) != 0 || strstr(str(e, "message"), text) == NULL)
		print_message(
		    "got %s, %s: %s\n", str(e, "category"), str(e, "reason"), str(e, "message"));
	assert_string_equal(str(e, "category"), category);
	assert_string_equal(str(e, "reason"), reason);
	assert_non_null(strstr(str(e, "message"), text));
	json_decref(j);
}

#define REPO "/repos/o/next.js"

static void
repository(void **state)
{
	CLEAN_BUF struct buf asked = {0};
	json_t *j;

	(void)state;
	START({"GET " REPO " HTTP", 200, "",
	    "{\"default_branch\":\"canary\",\"private\":true,\"permissions\":{\"pull\":true,"
	    "\"push\":false}}"});
	j = run("repository", json_object());
	assert_true(json_is_true(json_object_get(j, "is_accessible")));
	assert_string_equal(str(j, "default_branch"), "canary");
	assert_true(json_is_true(json_object_get(j, "private")));
	assert_true(json_is_false(json_object_get(json_object_get(j, "permissions"), "push")));
	json_decref(j);
	assert_int_equal(stop(&asked), 1);
	assert_non_null(strstr(asked.p, "Authorization: Bearer " TOKEN "\r\n"));
	assert_non_null(strcasestr(asked.p, "User-Agent: awo/"));
	assert_non_null(strcasestr(asked.p, "X-GitHub-Api-Version: 2022-11-28"));
	assert_non_null(strcasestr(asked.p, "Accept: application/vnd.github+json"));
}

static void
issue(void **state)
{
	CLEAN_BUF struct buf asked = {0};
	json_t *j;

	(void)state;
	START({"GET " REPO "/issues/42 ", 200, "",
		  "{\"number\":42,\"title\":\"T\",\"body\":null,\"state\":\"open\",\"html_url\":"
		  "\"https://github.com/o/r/issues/42\"}"},
	    {"GET " REPO "/issues/43 ", 404, "", "{\"message\":\"Not Found\"}"},
	    {"GET " REPO "/issues/44 ", 410, "", "{\"message\":\"This issue was deleted\"}"});
	j = run("issue", json_pack("{s:i}", "number", 42));
	assert_string_equal(str(j, "title"), "T");
	assert_string_equal(str(j, "body"), "");
	assert_string_equal(str(j, "url"), "https://github.com/o/r/issues/42");
	assert_true(json_is_false(json_object_get(j, "is_pull_request")));
	json_decref(j);
	expect_error(run("issue", json_pack("{s:i}", "number", 43)), "github", "not_found",
	    "the issue 43 of o/next.js");
	expect_error(
	    run("issue", json_pack("{s:i}", "number", 44)), "github", "not_found", "deleted");
	expect_error(
	    run("issue", json_pack("{s:i}", "number", 0)), "internal", "invalid", "number");
	expect_error(run("issue", json_object()), "internal", "invalid", "number");
	(void)stop(&asked);
}

static void
refusals(void **state)
{
	CLEAN_BUF struct buf asked = {0};
	json_t *j;

	(void)state;
	START({"GET", 401, "", "{\"message\":\"Bad credentials\"}"},
	    {"GET", 403, "", "{\"message\":\"Resource not accessible by personal access token\"}"},
	    {"GET", 404, "", "{\"message\":\"Not Found\"}"},
	    {"GET", 403, "Retry-After: 17\r\n", "{\"message\":\"secondary\"}"},
	    {"GET", 429, "", "{}"},
	    {"GET", 403, "x-ratelimit-remaining: 0\r\nx-ratelimit-reset: 1\r\n",
		"{\"message\":\"API rate limit exceeded\"}"},
	    {"GET", 502, "", "<html>"}, {"GET", 301, "Location: http://127.0.0.1:1/\r\n", "{}"},
	    {"GET", 200, "", "<html>"}, {"GET", 200, "", NULL});
	expect_error(run("repository", json_object()), "github", "auth", "token was refused");
	expect_error(
	    run("repository", json_object()), "github", "forbidden", "Resource not accessible");
	expect_error(run("repository", json_object()), "github", "not_found", "o/next.js");
	j = run("repository", json_object());
	assert_int_equal(
	    json_integer_value(json_object_get(json_object_get(j, "error"), "retry_after_seconds")),
	    17);
	expect_error(j, "transient", "rate_limited", "secondary");
	expect_error(run("repository", json_object()), "transient", "rate_limited", "rate limit");
	expect_error(
	    run("repository", json_object()), "transient", "rate_limited", "rate limit exceeded");
	expect_error(run("repository", json_object()), "transient", "unreachable", "502");
	expect_error(run("repository", json_object()), "github", "not_found", "moved or renamed");
	expect_error(run("repository", json_object()), "github", "other", "forge.api_url");
	expect_error(run("repository", json_object()), "transient", "unreachable", "8 MiB");
	/* none of them was asked twice */
	assert_int_equal(stop(&asked), 10);
	expect_error(
	    run("repository", json_object()), "transient", "unreachable", "cannot be reached");
	expect_error(run("repository", json_pack("{s:s}", "api_url", "file:///etc/passwd")),
	    "permanent", "invalid", "api_url");
	expect_error(run("repository", json_pack("{s:s}", "token", "a\r\nX: y")), "github", "auth",
	    "line end");
	expect_error(
	    run("comment", json_pack("{s:s, s:i, s:s}", "token", "", "number", 1, "body", "x")),
	    "github", "auth", "awoctl credential set");
}

/* GETs are tried again when the connection breaks. */
static void
tries_again(void **state)
{
	CLEAN_BUF struct buf asked = {0}, asked2 = {0};
	json_t *j;

	(void)state;
	START({"GET", 0, "", ""}, {"GET", 0, "", ""},
	    {"GET", 200, "", "{\"default_branch\":\"main\"}"});
	j = run("repository", json_object());
	assert_string_equal(str(j, "default_branch"), "main");
	json_decref(j);
	assert_int_equal(stop(&asked), 3);
	START({"GET", -1, "", ""});
	expect_error(run("repository", json_pack("{s:i}", "timeout_seconds", patience(1))), "transient",
	    "timeout", "awo-forge repository");
	assert_int_equal(stop(&asked2), 1);
}

#define PR(n)                                                                                      \
	"{\"number\":" n ",\"html_url\":\"https://github.com/o/r/pull/" n                          \
	"\",\"state\":\"open\",\"head\":{\"ref\":\"feat/x\"},\"base\":{\"ref\":\"main\"}}"
#define LIST "GET " REPO "/pulls?state=open&head=o%3Afeat%2Fx&base=main"

static json_t *
pull_request(void)
{
	return json_pack("{s:s, s:s, s:s, s:s}", "head", "feat/x", "base", "main", "title",
	    "feat: #42 - \"x\"", "body", "b\n");
}

static void
pull_requests(void **state)
{
	CLEAN_BUF struct buf a = {0}, b = {0};
	json_t *j;

	(void)state;
	START({LIST, 200, "", "[]"}, {"POST " REPO "/pulls ", 201, "", PR("7")});
	j = run("pull-request", pull_request());
	assert_int_equal(json_integer_value(json_object_get(j, "number")), 7);
	assert_string_equal(str(j, "url"), "https://github.com/o/r/pull/7");
	assert_string_equal(str(j, "state"), "open");
	assert_true(json_is_true(json_object_get(j, "created")));
	json_decref(j);
	assert_int_equal(stop(&a), 2);
	assert_non_null(strstr(a.p, "\"title\":\"feat: #42 - \\\"x\\\"\""));
	assert_non_null(strstr(a.p, "\"head\":\"feat/x\""));
	/* it is there already; and a list of somebody else's that the server did not filter */
	START({LIST, 200, "",
	    "[{\"number\":3,\"html_url\":\"https://"
	    "x\",\"head\":{\"ref\":\"other\"},\"base\":{\"ref\":\"main\"}}," PR("8") "]"});
	j = run("pull-request", pull_request());
	assert_int_equal(json_integer_value(json_object_get(j, "number")), 8);
	assert_true(json_is_false(json_object_get(j, "created")));
	json_decref(j);
	assert_int_equal(stop(&b), 1);
}

static void
pull_request_races(void **state)
{
	CLEAN_BUF struct buf a = {0}, b = {0}, c = {0}, d = {0};
	json_t *j;

	(void)state;
	/* somebody made it between the look and the request */
	START({LIST, 200, "", "[]"},
	    {"POST", 422, "",
		"{\"message\":\"Validation Failed\",\"errors\":[{\"message\":\"A pull request "
		"already exists for o:feat/x.\"}]}"},
	    {LIST, 200, "", "[" PR("9") "]"});
	j = run("pull-request", pull_request());
	assert_int_equal(json_integer_value(json_object_get(j, "number")), 9);
	json_decref(j);
	assert_int_equal(stop(&a), 3);
	/* the answer was lost, the pull request was made */
	START({LIST, 200, "", "[]"}, {"POST", 0, "", ""}, {LIST, 200, "", "[" PR("10") "]"});
	j = run("pull-request", pull_request());
	assert_int_equal(json_integer_value(json_object_get(j, "number")), 10);
	json_decref(j);
	assert_int_equal(stop(&b), 3);
	/* the request was lost: made once more, and no third time */
	START({LIST, 200, "", "[]"}, {"POST", 0, "", ""}, {LIST, 200, "", "[]"},
	    {"POST", 201, "", PR("11")});
	j = run("pull-request", pull_request());
	assert_int_equal(json_integer_value(json_object_get(j, "number")), 11);
	assert_true(json_is_true(json_object_get(j, "created")));
	json_decref(j);
	assert_int_equal(stop(&c), 4);
	START({LIST, 200, "", "[]"}, {"POST", 500, "", "{}"}, {LIST, 200, "", "[]"},
	    {"POST", 500, "", "{}"}, {LIST, 200, "", "[]"});
	expect_error(run("pull-request", pull_request()), "transient", "unreachable", "500");
	assert_int_equal(stop(&d), 5);
}

static void
pull_request_refusals(void **state)
{
	CLEAN_BUF struct buf asked = {0};

	(void)state;
	START({LIST, 200, "", "[]"},
	    {"POST", 422, "",
		"{\"message\":\"Validation Failed\",\"errors\":[{\"message\":\"No commits between "
		"main and feat/x\"}]}"},
	    {LIST, 200, "", "[]"},
	    {"POST", 422, "",
		"{\"message\":\"Validation "
		"Failed\",\"errors\":[{\"field\":\"head\",\"code\":\"invalid\",\"resource\":"
		"\"PullRequest\"}]}"},
	    {LIST, 200, "", "[]"},
	    {"POST", 422, "",
		"{\"message\":\"Validation "
		"Failed\",\"errors\":[{\"field\":\"base\",\"code\":\"invalid\"}]}"},
	    {LIST, 200, "", "[]"}, {"POST", 403, "", "{\"message\":\"Resource not accessible\"}"},
	    {LIST, 200, "", "[]"},
	    {"POST", 422, "", "{\"message\":\"Draft pull requests are not supported\"}"});
	expect_error(
	    run("pull-request", pull_request()), "github", "invalid", "no commits that main lacks");
	expect_error(run("pull-request", pull_request()), "github", "invalid",
	    "does not have the branch feat/x");
	expect_error(run("pull-request", pull_request()), "github", "invalid", "base branch main");
	expect_error(
	    run("pull-request", pull_request()), "github", "forbidden", "write pull requests");
	expect_error(run("pull-request", pull_request()), "github", "invalid", "Draft");
	assert_int_equal(stop(&asked), 10);
}

static void
pull_request_states(void **state)
{
	CLEAN_BUF struct buf asked = {0};
	static const char *const states[] = {"open", "closed", "merged"};

	(void)state;
	START({"GET " REPO "/pulls/7 ", 200, "", PR("7")},
	    {"GET " REPO "/pulls/7 ", 200, "",
		"{\"number\":7,\"html_url\":\"https://x\",\"state\":\"closed\",\"merged\":false}"},
	    {"GET " REPO "/pulls/7 ", 200, "",
		"{\"number\":7,\"html_url\":\"https://x\",\"state\":\"closed\",\"merged\":true}"});
	for (int i = 0; i < 3; i++) {
		json_t *j = run("pull-request-state", json_pack("{s:i}", "number", 7));

		assert_string_equal(str(j, "state"), states[i]);
		json_decref(j);
	}
	(void)stop(&asked);
}

static void
comments(void **state)
{
	CLEAN_BUF struct buf a = {0}, b = {0}, c = {0};
	json_t *j;

	(void)state;
	START({"GET " REPO "/issues/5/comments?per_page=100&page=1 ", 200,
		  "Link: <http://x>; rel=\"next\"\r\n", "[{\"body\":\"hello\"}]"},
	    {"GET " REPO "/issues/5/comments?per_page=100&page=2 ", 200, "", "[]"},
	    {"POST " REPO "/issues/5/comments ", 201, "",
		"{\"html_url\":\"https://github.com/c/1\"}"});
	j = run("comment",
	    json_pack("{s:i, s:s, s:s}", "number", 5, "body", "done", "marker", "<!-- wo-1 -->"));
	assert_string_equal(str(j, "url"), "https://github.com/c/1");
	assert_true(json_is_true(json_object_get(j, "created")));
	json_decref(j);
	assert_int_equal(stop(&a), 3);
	assert_non_null(strstr(a.p, "{\"body\":\"done\\n\\n<!-- wo-1 -->\"}"));
	START({"GET", 200, "",
	    "[{\"body\":\"done <!-- wo-1 -->\",\"html_url\":\"https://github.com/c/2\"}]"});
	j = run("comment",
	    json_pack("{s:i, s:s, s:s}", "number", 5, "body", "done", "marker", "<!-- wo-1 -->"));
	assert_string_equal(str(j, "url"), "https://github.com/c/2");
	assert_true(json_is_false(json_object_get(j, "created")));
	json_decref(j);
	assert_int_equal(stop(&b), 1);
	/* without a marker nobody could tell whether it arrived: not sent again */
	START({"POST", 0, "", ""});
	expect_error(run("comment", json_pack("{s:i, s:s}", "number", 5, "body", "done")),
	    "transient", "unreachable", "reached");
	assert_int_equal(stop(&c), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(repository),
	    cmocka_unit_test(issue),
	    cmocka_unit_test(refusals),
	    cmocka_unit_test(tries_again),
	    cmocka_unit_test(pull_requests),
	    cmocka_unit_test(pull_request_races),
	    cmocka_unit_test(pull_request_refusals),
	    cmocka_unit_test(pull_request_states),
	    cmocka_unit_test(comments),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
