/* The control socket: the nonce, operations and their acks, replacement, hostile peers. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "awo-worker/control.h"
#include "common/buf.h"

#define NONCE "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

struct world {
	struct event_base *base;
	struct control *control;
	struct sockaddr_un addr;
	socklen_t len;
	bool frozen, late, stuck;
	char reason[64], prompt[128];
	int64_t prompt_id, passed;
	bool fetched;
};

static void
on_hello(void *ctx, json_t *answer)
{
	struct world *w = ctx;

	json_object_set_new(answer, "frozen", json_boolean(w->frozen));
}

static void
on_cancel(void *ctx, const char *reason)
{
	struct world *w = ctx;

	snprintf(w->reason, sizeof(w->reason), "%s", reason);
}

static bool
on_freeze(void *ctx, bool frozen)
{
	struct world *w = ctx;

	if (w->stuck)
		return false;
	w->frozen = frozen;
	return true;
}

static bool
on_prompt(void *ctx, int64_t id, const char *text)
{
	struct world *w = ctx;

	if (w->late)
		return false;
	w->prompt_id = id;
	snprintf(w->prompt, sizeof(w->prompt), "%s", text);
	return true;
}

static void
on_gate(void *ctx, int64_t passed)
{
	struct world *w = ctx;

	w->passed = passed;
}

static void
on_fetched(void *ctx)
{
	struct world *w = ctx;

	w->fetched = true;
}

static int
set_up(void **state)
{
	struct world *w = xcalloc(1, sizeof(*w));
	const struct control_handlers h = {.hello = on_hello,
	    .cancel = on_cancel,
	    .freeze = on_freeze,
	    .gate = on_gate,
	    .fetched = on_fetched,
	    .prompt = on_prompt,
	    .ctx = w};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* an abstract name chosen by the kernel */
	w->addr.sun_family = AF_UNIX;
	assert_int_equal(bind(fd, (struct sockaddr *)&w->addr, sizeof(sa_family_t)), 0);
	w->len = sizeof(w->addr);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&w->addr, &w->len), 0);
	assert_int_equal(listen(fd, 4), 0);
	w->base = event_base_new();
	w->control = control_open(w->base, fd, NONCE, &h);
	assert_non_null(w->control);
	*state = w;
	return 0;
}

static int
tear_down(void **state)
{
	struct world *w = *state;

	control_close(w->control);
	event_base_free(w->base);
	free(w);
	return 0;
}

static int
dial(struct world *w)
{
	const struct timeval soon = {.tv_usec = 10000};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&w->addr, w->len), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon));
	return fd;
}

static void
spin(struct world *w)
{
	for (int i = 0; i < 20; i++)
		event_base_loop(w->base, EVLOOP_NONBLOCK);
}

/* What comes back for some bytes: "" nothing, "EOF" the connection was closed. */
static const char *
talk(struct world *w, int fd, const char *text)
{
	static char answer[4096];
	ssize_t n;

	if (text != NULL)
		assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	spin(w);
	n = recv(fd, answer, sizeof(answer) - 1, 0);
	if (n == 0 || (n < 0 && errno == ECONNRESET))
		return "EOF";
	answer[n > 0 ? n : 0] = '\0';
	return answer;
}

#define HELLO "{\"op\":\"hello\",\"nonce\":\"" NONCE "\"}\n"

static void
hello_and_operations(void **state)
{
	struct world *w = *state;
	int fd = dial(w);

	assert_string_equal(talk(w, fd, HELLO),
	    "{\"op\":\"hello\",\"nonce\":\"" NONCE "\",\"proto\":1,\"frozen\":false}\n");
	assert_string_equal(
	    talk(w, fd, "{\"op\":\"pause\"}\n"), "{\"op\":\"ack\",\"of\":\"pause\"}\n");
	assert_true(w->frozen);
	assert_string_equal(
	    talk(w, fd, "{\"op\":\"resume\"}\n"), "{\"op\":\"ack\",\"of\":\"resume\"}\n");
	assert_false(w->frozen);
	assert_string_equal(talk(w, fd, "{\"op\":\"prompt\",\"prompt_id\":7,\"text\":\"go on\"}\n"),
	    "{\"op\":\"ack\",\"of\":\"prompt\",\"prompt_id\":7}\n");
	assert_int_equal(w->prompt_id, 7);
	assert_string_equal(w->prompt, "go on");
	/* nobody waits for its answer */
	assert_string_equal(talk(w, fd, "{\"op\":\"fetched\"}\n"), "");
	assert_true(w->fetched);
	assert_string_equal(
	    talk(w, fd, "{\"op\":\"gate\",\"passed\":3}\n"), "{\"op\":\"ack\",\"of\":\"gate\"}\n");
	assert_int_equal(w->passed, 3);
	assert_string_equal(talk(w, fd, "{\"op\":\"cancel\",\"reason\":\"enough\"}\n"),
	    "{\"op\":\"ack\",\"of\":\"cancel\"}\n");
	assert_string_equal(w->reason, "enough");
	/* two in one piece, and one in two */
	assert_string_equal(talk(w, fd, "{\"op\":\"pause\"}\n{\"op\":\"resume\"}\n{\"op\":"),
	    "{\"op\":\"ack\",\"of\":\"pause\"}\n{\"op\":\"ack\",\"of\":\"resume\"}\n");
	assert_string_equal(talk(w, fd, "\"pause\"}\n"), "{\"op\":\"ack\",\"of\":\"pause\"}\n");
	/* unknown operations of a newer peer are not answered, and do no harm */
	assert_string_equal(talk(w, fd, "{\"op\":\"dance\"}\n"), "");
	assert_string_equal(
	    talk(w, fd, "{\"op\":\"resume\"}\n"), "{\"op\":\"ack\",\"of\":\"resume\"}\n");
	close(fd);
	spin(w);
}

static void
what_could_not_be_done_is_not_acked(void **state)
{
	struct world *w = *state;
	int fd = dial(w);

	talk(w, fd, HELLO);
	w->late = w->stuck = true;
	assert_string_equal(
	    talk(w, fd, "{\"op\":\"prompt\",\"prompt_id\":7,\"text\":\"x\"}\n"), "");
	assert_string_equal(talk(w, fd, "{\"op\":\"pause\"}\n"), "");
	close(fd);
}

static void
strangers_are_cut_off(void **state)
{
	static const char *const bad[] = {
	    "{\"op\":\"cancel\"}\n",
	    "{\"op\":\"hello\"}\n",
	    "{\"op\":\"hello\",\"nonce\":\"\"}\n",
	    "{\"op\":\"hello\",\"nonce\":7}\n",
	    ("{\"op\":\"hello\",\"nonce\":"
	     "\"1123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"}\n"),
	    "{\"op\":\"hello\",\"nonce\":\"" NONCE "0\"}\n",
	    "hello\n",
	    "\n",
	    "[]\n",
	    "\xff\n",
	};
	struct world *w = *state;
	char flood[2000];
	int fd;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		fd = dial(w);
		assert_string_equal(talk(w, fd, bad[i]), "EOF");
		close(fd);
	}
	memset(flood, 'x', sizeof(flood) - 1);
	flood[sizeof(flood) - 1] = '\0';
	fd = dial(w);
	assert_string_equal(talk(w, fd, flood), "EOF");
	close(fd);
	assert_string_equal(w->reason, "");
}

static void
a_new_hello_replaces_the_old(void **state)
{
	struct world *w = *state;
	int first = dial(w), second, stranger;

	talk(w, first, HELLO);
	/* somebody who knows nothing does not */
	stranger = dial(w);
	assert_string_equal(talk(w, stranger, "{\"op\":\"hello\",\"nonce\":\"no\"}\n"), "EOF");
	assert_string_equal(
	    talk(w, first, "{\"op\":\"pause\"}\n"), "{\"op\":\"ack\",\"of\":\"pause\"}\n");
	second = dial(w);
	assert_non_null(strstr(talk(w, second, HELLO), "\"frozen\":true"));
	assert_string_equal(talk(w, first, NULL), "EOF");
	assert_string_equal(
	    talk(w, second, "{\"op\":\"resume\"}\n"), "{\"op\":\"ack\",\"of\":\"resume\"}\n");
	close(first);
	close(second);
	close(stranger);
}

static void
hello_and_more_in_one_piece(void **state)
{
	struct world *w = *state;
	int fd = dial(w);

	assert_non_null(strstr(talk(w, fd, HELLO "{\"op\":\"pause\"}\n"), "\"of\":\"pause\""));
	assert_string_equal(
	    talk(w, fd, "{\"op\":\"resume\"}\n"), "{\"op\":\"ack\",\"of\":\"resume\"}\n");
	close(fd);
}

static void
a_known_peer_that_goes_mad(void **state)
{
	static const char *const bad[] = {"nonsense\n", "{\"op\":7}\n", "{\"op\":\"prompt\"}\n",
	    "{\"op\":\"prompt\",\"prompt_id\":-1,\"text\":\"x\"}\n",
	    "{\"op\":\"hello\",\"nonce\":\"wrong\"}\n"};
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int fd = dial(w);

		talk(w, fd, HELLO);
		assert_string_equal(talk(w, fd, bad[i]), "EOF");
		close(fd);
	}
}

static void
a_prompt_of_full_size(void **state)
{
	struct world *w = *state;
	struct buf line = {0};
	int fd = dial(w);

	talk(w, fd, HELLO);
	buf_adds(&line, "{\"op\":\"prompt\",\"prompt_id\":9,\"text\":\"");
	for (int i = 0; i < 65536; i++)
		buf_adds(&line, "\\u0007");
	buf_adds(&line, "\"}\n");
	for (size_t at = 0; at < line.len;) {
		ssize_t n = send(
		    fd, line.p + at, line.len - at > 30000 ? 30000 : line.len - at, MSG_NOSIGNAL);

		assert_true(n > 0);
		at += (size_t)n;
		spin(w);
	}
	assert_string_equal(
	    talk(w, fd, NULL), "{\"op\":\"ack\",\"of\":\"prompt\",\"prompt_id\":9}\n");
	buf_free(&line);
	close(fd);
}

static void
bad_openings(void **state)
{
	const struct control_handlers h = {0};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct world *w = *state;

	assert_null(control_open(w->base, fd, "short", &h));
	assert_null(control_open(w->base, -1, NONCE, &h));
	control_close(NULL);
	close(fd);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(hello_and_operations),
	    TEST(what_could_not_be_done_is_not_acked),
	    TEST(strangers_are_cut_off),
	    TEST(a_new_hello_replaces_the_old),
	    TEST(hello_and_more_in_one_piece),
	    TEST(a_known_peer_that_goes_mad),
	    TEST(a_prompt_of_full_size),
	    TEST(bad_openings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
