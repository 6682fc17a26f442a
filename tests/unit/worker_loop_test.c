/* The loop: deadlines that stand still while frozen, children reaped, descriptors read and written.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "awo-worker/loop.h"
#include "common/buf.h"

static void
deadlines_stand_still_while_frozen(void **state)
{
	struct loop l;
	int64_t before;

	(void)state;
	assert_int_equal(loop_open(&l), 0);
	before = loop_now(&l);
	while (loop_turn(&l, before + 20000))
		;
	assert_true(loop_now(&l) - before >= 20000);
	loop_freeze(&l, true);
	before = loop_now(&l);
	usleep(30000);
	assert_int_equal(loop_now(&l), before);
	loop_freeze(&l, true);
	loop_freeze(&l, false);
	assert_true(loop_now(&l) - before < 25000);
	loop_close(&l);
}

static void
count(void *ctx)
{
	++*(int *)ctx;
}

static void
something_is_done_before_each_wait(void **state)
{
	struct loop l;
	int times = 0;

	(void)state;
	assert_int_equal(loop_open(&l), 0);
	l.before_wait = count;
	l.ctx = &times;
	assert_false(loop_turn(&l, loop_now(&l) + 1000));
	assert_int_equal(times, 1);
	/* a deadline that has passed is a turn, too */
	assert_false(loop_turn(&l, loop_now(&l) - 1));
	assert_int_equal(times, 2);
	loop_close(&l);
}

static void
children_are_seen_and_orphans_reaped(void **state)
{
	struct loop_child c = {0};
	struct loop l;
	pid_t other;

	(void)state;
	assert_int_equal(loop_open(&l), 0);
	c.pid = fork();
	if (c.pid == 0)
		_exit(7);
	loop_child_add(&l, &c);
	while (!c.ended)
		loop_turn(&l, 0);
	assert_true(WIFEXITED(c.status));
	assert_int_equal(WEXITSTATUS(c.status), 7);
	loop_child_remove(&l, &c);
	other = fork();
	if (other == 0)
		_exit(0);
	for (int64_t end = loop_now(&l) + 5000000; kill(other, 0) == 0 && loop_turn(&l, end);)
		;
	assert_int_equal(kill(other, 0), -1);
	assert_int_equal(errno, ESRCH);
	loop_close(&l);
}

static void
on_data(void *ctx, const char *p, size_t n)
{
	buf_add(ctx, p, n);
}

static void
bytes_go_through_a_pipe(void **state)
{
	struct loop_reader r;
	struct loop_writer w;
	struct buf got = {0};
	struct loop l;
	size_t len = 1U << 20;
	char *text = xcalloc(len, 1);
	int fds[2];

	(void)state;
	memset(text, 'z', len);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(loop_open(&l), 0);
	loop_reader_open(&l, &r, fds[0], on_data, &got);
	loop_writer_open(&l, &w, fds[1], text, len);
	while (!loop_reader_done(&r))
		loop_turn(&l, 0);
	assert_int_equal(got.len, len);
	loop_reader_close(&r);
	loop_writer_close(&w);
	loop_close(&l);
	buf_free(&got);
	free(text);
}

static void
a_reader_that_went_away(void **state)
{
	struct loop_writer w;
	struct loop l;
	int fds[2];

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(pipe(fds), 0);
	close(fds[0]);
	assert_int_equal(loop_open(&l), 0);
	loop_writer_open(&l, &w, fds[1], "x", 1);
	while (w.ev != NULL)
		loop_turn(&l, 0);
	loop_close(&l);
	signal(SIGPIPE, SIG_DFL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(deadlines_stand_still_while_frozen),
	    cmocka_unit_test(something_is_done_before_each_wait),
	    cmocka_unit_test(children_are_seen_and_orphans_reaped),
	    cmocka_unit_test(bytes_go_through_a_pipe),
	    cmocka_unit_test(a_reader_that_went_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
