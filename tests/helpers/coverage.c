/* Part of every program of a coverage build, and of no other: keeps its counters in a file from the first line on. */
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "awo-worker/root.h"

/*
 * libgcov adds a process's counters to files in the build directory when it exits. That loses what ends by _exit, a signal or
 * execveat, what runs under another uid, and what runs in a sandbox; and a process that is stopped while it holds the lock of
 * such a file stops all others. Here all processes of a program count in one file, which the constructor maps over the
 * counters (coverage.ld keeps them together), in sandboxes too, where its directory is bound. At the end, scripts/coverage runs
 * each program once with AWO_COVERAGE_WRITE set: it does nothing but hand the counters over to libgcov.
 *
 * The linker's --wrap puts functions in the way of the program's own calls, which so need not know.
 */
extern char coverage_counters[], coverage_counters_end[];
struct gcov_info;

extern int __real_main(int argc, char **argv, char **envp);
int __wrap_main(int argc, char **argv, char **envp);
extern void __real___gcov_init(struct gcov_info *info);
void __wrap___gcov_init(struct gcov_info *info);
/* not in programs without sandboxes */
__attribute__((weak)) extern int __real_root_enter(const struct root_plan *plan, int *errno_, struct awo_err *err);
int __wrap_root_enter(const struct root_plan *plan, int *errno_, struct awo_err *err);

static bool
writes(void)
{
	return getenv("AWO_COVERAGE_WRITE") != NULL;
}

/* Nothing is said and nothing changes when it fails: then this process is not counted. No libc calls, which tests make fail. */
__attribute__((constructor(101))) static void
map_counters(void)
{
	size_t len = (size_t)(coverage_counters_end - coverage_counters);
	long fd = syscall(SYS_openat, AT_FDCWD, AWO_COVERAGE_DIR "/" AWO_COVERAGE_PROGRAM, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return;
	if (syscall(SYS_lseek, fd, 0, SEEK_END) == (long)len)
		(void)syscall(SYS_mmap, coverage_counters, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	(void)syscall(SYS_close, fd);
}

/* libgcov writes at exit what has been registered with it. */
void
__wrap___gcov_init(struct gcov_info *info)
{
	if (writes())
		__real___gcov_init(info);
}

int
__wrap_main(int argc, char **argv, char **envp)
{
	return writes() ? 0 : __real_main(argc, argv, envp);
}

int
__wrap_root_enter(const struct root_plan *plan, int *errno_, struct awo_err *err)
{
	struct root_plan more = *plan;
	struct sandbox_mount *mounts = calloc(plan->nmounts + 1, sizeof(*mounts));
	int rc;

	if (!mounts)
		abort();
	for (size_t i = 0; i < plan->nmounts; i++)
		mounts[i] = plan->mounts[i];
	mounts[more.nmounts++] =
	    (struct sandbox_mount){.source = AWO_COVERAGE_DIR, .target = AWO_COVERAGE_DIR, .writable = true, .optional = true};
	more.mounts = mounts;
	rc = __real_root_enter(&more, errno_, err);
	free(mounts);
	return rc;
}
