/* Limits and signals of a process that is about to become another program. */
#include "common/child.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/resource.h>

static int
limit(__rlimit_resource_t resource, uint64_t value)
{
	struct rlimit now, want;

	if (getrlimit(resource, &now) < 0)
		return -1;
	want.rlim_max = value < now.rlim_max ? (rlim_t)value : now.rlim_max;
	want.rlim_cur = want.rlim_max;
	return setrlimit(resource, &want);
}

int
child_set_limits(const struct child_limits *l)
{
	/* 1 is the value that stops core dumps into files and into pipes */
	if (limit(RLIMIT_CORE, l->core > 0 ? l->core : 1) < 0 ||
	    (l->nofile > 0 && limit(RLIMIT_NOFILE, l->nofile) < 0) ||
	    (l->fsize > 0 && limit(RLIMIT_FSIZE, l->fsize) < 0) ||
	    (l->nproc > 0 && limit(RLIMIT_NPROC, l->nproc) < 0) ||
	    (l->memlock > 0 && limit(RLIMIT_MEMLOCK, l->memlock) < 0))
		return -1;
	return 0;
}

int
child_default_signals(void)
{
	struct sigaction dfl = {.sa_handler = SIG_DFL};
	sigset_t none;

	/* exec and CLONE_CLEAR_SIGHAND leave ignored signals ignored; two numbers are the C library's own (EINVAL) */
	for (int sig = 1; sig < NSIG; sig++)
		if (sig != SIGKILL && sig != SIGSTOP && sigaction(sig, &dfl, NULL) < 0 &&
		    errno != EINVAL)
			return -1;
	sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL);
}
