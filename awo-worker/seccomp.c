/* Compiles the list of system calls that the agent's sandbox is refused. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "awo-worker/seccomp.h"
#include "common/clean.h"
#include "common/files.h"

#define PROGRAM_MAX ((size_t)64 * 1024)
#define LOW32 0xffffffffU
/* newer than the library's tables; these numbers are the same on all architectures */
#define NR_STATMOUNT 457
#define NR_LISTMOUNT 458
#define NR_OPEN_TREE_ATTR 467

/*
 * A list of what is refused, not of what is allowed: agents run every toolchain there is. Each line is here because it
 * reaches other processes' memory, makes or enters namespaces and mounts, is kernel surface that has been the way out of
 * other sandboxes, or is not confined by namespaces.
 */
static const int refused[] = {
	/* other processes */
	SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(kcmp), SCMP_SYS(pidfd_getfd),
	SCMP_SYS(process_madvise), SCMP_SYS(move_pages), SCMP_SYS(migrate_pages),
	/* submits other calls past this filter */
	SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register),
	/* keyrings belong to the user, not to a namespace */
	SCMP_SYS(keyctl), SCMP_SYS(add_key), SCMP_SYS(request_key),
	SCMP_SYS(userfaultfd), SCMP_SYS(bpf), SCMP_SYS(perf_event_open), SCMP_SYS(fanotify_init), SCMP_SYS(lookup_dcookie),
	SCMP_SYS(modify_ldt), SCMP_SYS(iopl), SCMP_SYS(ioperm),
	SCMP_SYS(name_to_handle_at), SCMP_SYS(open_by_handle_at),
	/* mounts and namespaces */
	SCMP_SYS(mount), SCMP_SYS(umount), SCMP_SYS(umount2), SCMP_SYS(pivot_root), SCMP_SYS(chroot), SCMP_SYS(move_mount),
	SCMP_SYS(open_tree), SCMP_SYS(fsopen), SCMP_SYS(fsconfig), SCMP_SYS(fsmount), SCMP_SYS(fspick),
	SCMP_SYS(mount_setattr), NR_OPEN_TREE_ATTR, NR_STATMOUNT, NR_LISTMOUNT,
	SCMP_SYS(unshare), SCMP_SYS(setns),
	/* the machine */
	SCMP_SYS(kexec_load), SCMP_SYS(kexec_file_load), SCMP_SYS(init_module), SCMP_SYS(finit_module),
	SCMP_SYS(delete_module), SCMP_SYS(swapon), SCMP_SYS(swapoff), SCMP_SYS(reboot), SCMP_SYS(acct), SCMP_SYS(quotactl),
	SCMP_SYS(quotactl_fd), SCMP_SYS(syslog), SCMP_SYS(settimeofday), SCMP_SYS(clock_settime), SCMP_SYS(stime),
	SCMP_SYS(vhangup), SCMP_SYS(nfsservctl), SCMP_SYS(uselib),
};

static const uint64_t new_namespaces[] = {CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID,
	CLONE_NEWNET};

/*
 * The reaper, pid 1, has the same user, and what these make of it every later program of the sandbox inherits: awo-git, which
 * reads what the agent left.
 */
static const int of_reaper[] = {SCMP_SYS(prlimit64), SCMP_SYS(sched_setscheduler), SCMP_SYS(sched_setparam),
	SCMP_SYS(sched_setattr), SCMP_SYS(sched_setaffinity)};
/* by kind and number: IOPRIO_WHO_PROCESS is 1, PRIO_PROCESS 0; of all processes of the user IOPRIO_WHO_USER 3, PRIO_USER 2 */
static const struct {
	int call;
	scmp_datum_t process, user;
} priorities[] = {{SCMP_SYS(setpriority), 0, 2}, {SCMP_SYS(ioprio_set), 1, 3}};

/* type into, copy from, and take over a terminal that is shared with the outside */
static const unsigned long terminal_tricks[] = {TIOCSTI, TIOCLINUX, TIOCSETD, TIOCCONS};

/*
 * Socket families but for AF_UNIX, AF_INET, AF_INET6 and AF_NETLINK. The kernel looks at 32 bits, the filter at 64: what is
 * larger falls under the last rule.
 */
static int
refuse_sockets(scmp_filter_ctx c)
{
	static const int families[] = {0, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15};
	const uint32_t no = SCMP_ACT_ERRNO(EAFNOSUPPORT);
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sizeof(families) / sizeof(families[0]); i++)
		rc = seccomp_rule_add(c, no, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i], 0));
	if (rc == 0)
		rc = seccomp_rule_add(c, no, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_GE, 17, 0));
	/* of netlink only rtnetlink, which getaddrinfo() and getifaddrs() need */
	if (rc == 0)
		rc = seccomp_rule_add(c, no, SCMP_SYS(socket), 2, SCMP_A0(SCMP_CMP_EQ, AF_NETLINK, 0),
		    SCMP_A2(SCMP_CMP_NE, 0, 0));
	return rc;
}

/* Only the low halves count for the kernel. */
static int
refuse_reaper(scmp_filter_ctx c)
{
	const uint32_t no = SCMP_ACT_ERRNO(EPERM);
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sizeof(of_reaper) / sizeof(of_reaper[0]); i++)
		rc = seccomp_rule_add(c, no, of_reaper[i], 1, SCMP_A0(SCMP_CMP_MASKED_EQ, LOW32, 1));
	for (size_t i = 0; rc == 0 && i < sizeof(priorities) / sizeof(priorities[0]); i++) {
		rc = seccomp_rule_add(c, no, priorities[i].call, 2, SCMP_A0(SCMP_CMP_MASKED_EQ, LOW32, priorities[i].process),
		    SCMP_A1(SCMP_CMP_MASKED_EQ, LOW32, 1));
		if (rc == 0)
			rc = seccomp_rule_add(c, no, priorities[i].call, 1,
			    SCMP_A0(SCMP_CMP_MASKED_EQ, LOW32, priorities[i].user));
	}
	return rc;
}

static int
add_rules(scmp_filter_ctx c)
{
	const uint32_t no = SCMP_ACT_ERRNO(EPERM);
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sizeof(refused) / sizeof(refused[0]); i++)
		rc = seccomp_rule_add(c, no, refused[i], 0);
	for (size_t i = 0; rc == 0 && i < sizeof(new_namespaces) / sizeof(new_namespaces[0]); i++)
#if defined(__s390__)
		rc = seccomp_rule_add(c, no, SCMP_SYS(clone), 1,
		    SCMP_A1(SCMP_CMP_MASKED_EQ, new_namespaces[i], new_namespaces[i]));
#else
		rc = seccomp_rule_add(c, no, SCMP_SYS(clone), 1,
		    SCMP_A0(SCMP_CMP_MASKED_EQ, new_namespaces[i], new_namespaces[i]));
#endif
	/* its flags lie in memory, where no filter can look: the C library falls back to clone */
	if (rc == 0)
		rc = seccomp_rule_add(c, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	/* only the low half of the request counts for the kernel */
	for (size_t i = 0; rc == 0 && i < sizeof(terminal_tricks) / sizeof(terminal_tricks[0]); i++)
		rc = seccomp_rule_add(c, no, SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_MASKED_EQ, LOW32, terminal_tricks[i]));
	if (rc == 0)
		rc = refuse_reaper(c);
	return rc == 0 ? refuse_sockets(c) : rc;
}

static int
failed(struct awo_err *err, const char *step, int rc)
{
	return ERR(err, INTERNAL, "", "system call filter, %s: %s", step, strerror(rc < 0 ? -rc : rc));
}

int
seccomp_program(const void **program, size_t *bytes, struct awo_err *err)
{
	static char *compiled;
	static size_t length;
	const uint32_t kill = SECCOMP_RET_KILL_PROCESS;
	CLEAN_FD int fd = -1;
	scmp_filter_ctx c;
	int rc;

	if (!compiled) {
		if (syscall(SCMP_SYS(seccomp), SECCOMP_GET_ACTION_AVAIL, 0, &kill) < 0)
			return ERR(err, FAILED_PRECONDITION, "", "this kernel has no system call filters (CONFIG_SECCOMP_FILTER): %s",
			    strerror(errno));
		c = seccomp_init(SCMP_ACT_ALLOW);
		if (!c)
			return failed(err, "seccomp_init", ENOMEM);
		/* calls of a foreign architecture would pass by every rule */
		rc = seccomp_attr_set(c, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
		if (rc == 0)
			rc = seccomp_attr_set(c, SCMP_FLTATR_CTL_OPTIMIZE, 2);	/* a tree: every call of the agent goes through it */
		if (rc == 0)
			rc = add_rules(c);
		if (rc == 0) {
			fd = memfd_create("filter", MFD_CLOEXEC);
			rc = fd < 0 ? -errno : seccomp_export_bpf(c, fd);
		}
		seccomp_release(c);
		if (rc != 0)
			return failed(err, "compiling", rc);
		if (lseek(fd, 0, SEEK_SET) < 0)
			return failed(err, "reading", errno);
		compiled = files_read_fd(fd, PROGRAM_MAX, &length);
		if (!compiled)
			return failed(err, "reading", errno);
	}
	*program = compiled;
	*bytes = length;
	return 0;
}

int
seccomp_apply(const void *program, size_t bytes)
{
	size_t n = bytes / sizeof(struct sock_filter);
	struct sock_fprog p;

	if (n == 0 || n > BPF_MAXINSNS || bytes % sizeof(struct sock_filter)) {
		errno = EINVAL;
		return -1;
	}
	p.len = (unsigned short)n;
	p.filter = (struct sock_filter *)(uintptr_t)program;	/* the kernel only reads it */
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p, 0, 0);
}
