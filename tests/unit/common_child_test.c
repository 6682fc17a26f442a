/* Limits and signals that a process sets before it becomes another program. */
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/child.h"
#include "tests/unit/cmocka_all.h"

/* Runs in a process of its own, because a hard limit does not come back; 0, or which question was answered wrong. */
static int
in_child(int (*body)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(body());
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int
lower(void)
{
	struct child_limits l = {.nofile = 64, .fsize = 1 << 20};
	struct rlimit r, before, after;

	if (getrlimit(RLIMIT_NPROC, &before) < 0 || child_set_limits(&l) < 0)
		return 1;
	if (getrlimit(RLIMIT_NOFILE, &r) < 0 || r.rlim_cur != 64 || r.rlim_max != 64)
		return 2;
	if (getrlimit(RLIMIT_FSIZE, &r) < 0 || r.rlim_cur != 1 << 20 || r.rlim_max != 1 << 20)
		return 3;
	if (getrlimit(RLIMIT_CORE, &r) < 0 || r.rlim_cur > 1 || r.rlim_max > 1)
		return 4;
	if (getrlimit(RLIMIT_NPROC, &after) < 0 || after.rlim_cur != before.rlim_cur || after.rlim_max != before.rlim_max)
		return 5;
	/* what is asked for beyond the hard limit is clamped, and refuses nothing */
	l = (struct child_limits){.nofile = UINT64_MAX, .fsize = 2 << 20};
	if (child_set_limits(&l) < 0)
		return 6;
	if (getrlimit(RLIMIT_NOFILE, &r) < 0 || r.rlim_max != 64)
		return 7;
	return getrlimit(RLIMIT_FSIZE, &r) < 0 || r.rlim_max != 1 << 20 ? 8 : 0;
}

static void
limits_go_down_only(void **state)
{
	(void)state;
	assert_int_equal(in_child(lower), 0);
}

static void
on_signal(int sig)
{
	(void)sig;
}

static int
reset(void)
{
	sigset_t mask;
	struct sigaction now;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, on_signal);
	signal(SIGRTMAX, SIG_IGN);
	sigfillset(&mask);
	if (sigprocmask(SIG_SETMASK, &mask, NULL) < 0 || child_default_signals() < 0)
		return 1;
	for (int sig = 1; sig < NSIG; sig++)
		if (sigaction(sig, NULL, &now) == 0 && now.sa_handler != SIG_DFL)
			return 2;
	if (sigprocmask(SIG_SETMASK, NULL, &mask) < 0)
		return 3;
	for (int sig = 1; sig < NSIG; sig++)
		if (sigismember(&mask, sig) == 1)
			return 4;
	return 0;
}

static void
signals_are_as_in_a_new_session(void **state)
{
	(void)state;
	assert_int_equal(in_child(reset), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(limits_go_down_only),
	    cmocka_unit_test(signals_are_as_in_a_new_session),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
