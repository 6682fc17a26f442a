/* The program that the sandbox tests start inside: prints what it sees, tries what it must not be able to do. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <linux/sched.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/sandbox_probe.h"

extern char **environ;

static void
print_file(const char *path)
{
	char text[65536];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0) {
		printf("%s: errno %d\n", path, errno);
		return;
	}
	printf("== %s\n", path);
	while ((n = read(fd, text, sizeof(text))) > 0)
		fwrite(text, 1, (size_t)n, stdout);
	printf("\n");
	close(fd);
}

static void
print_dir(const char *path)
{
	const struct dirent *e;
	DIR *d = opendir(path);

	printf("dir %s:", path);
	while (d && (e = readdir(d)) != NULL)
		if (e->d_name[0] != '.' && !(strcmp(path, "/proc/self/fd") == 0 && atoi(e->d_name) == dirfd(d)))
			printf(" %s", e->d_name);
	printf(" .\n");
	if (d)
		closedir(d);
}

static void
result(const char *name, long rc)
{
	printf("%s=%d\n", name, rc < 0 ? errno : 0);
}

static int
facts(void)
{
	char cwd[256], host[64];
	int master, slave;
	sigset_t mask;
	int blocked = 0;

	/* before anything else is opened */
	print_dir("/proc/self/fd");
	print_file("/proc/self/status");
	print_file("/proc/self/limits");
	print_file("/proc/self/uid_map");
	print_file("/proc/self/gid_map");
	print_file("/proc/self/setgroups");
	print_file("/proc/self/mountinfo");
	print_file("/proc/net/dev");
	print_dir("/");
	print_dir("/dev");
	print_dir("/awo");
	print_dir("/proc/1");
	print_dir("/workspace");
	printf("pid %d pgrp %d sid %d\n", (int)getpid(), (int)getpgrp(), (int)getsid(0));
	printf("cwd %s\n", getcwd(cwd, sizeof(cwd)) ? cwd : "?");
	gethostname(host, sizeof(host));
	printf("host %s\n", host);
	for (char **e = environ; *e; e++)
		printf("env %s\n", *e);
	sigprocmask(SIG_SETMASK, NULL, &mask);
	for (int s = 1; s < NSIG; s++)
		blocked += sigismember(&mask, s) == 1;
	printf("blocked %d\n", blocked);
	result("write_root", mkdir("/x", 0700));
	result("write_usr", mkdir("/usr/x", 0700));
	result("write_etc", open("/etc/x", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	result("write_dev", open("/dev/x", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	result("write_sys", open("/proc/sys/kernel/core_pattern", O_WRONLY | O_CLOEXEC));
	result("write_null", open("/dev/null", O_RDWR | O_CLOEXEC));
	result("write_tmp", open("/tmp/x", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	result("write_shm", open("/dev/shm/x", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	result("write_workspace", open("/workspace/made-inside", O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
	result("read_interrupts", open("/proc/interrupts", O_RDONLY | O_CLOEXEC));
	result("read_bus", open("/proc/bus", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	result("pty", openpty(&master, &slave, NULL, NULL, NULL));
	result("dumpable", prctl(PR_GET_DUMPABLE) == 1 ? 0 : -1);
	fflush(stdout);
	return 0;
}

static int
forbidden(void)
{
	struct clone_args ca = {.exit_signal = SIGCHLD};
	struct { unsigned int handle_bytes; int type; unsigned char data[128]; } handle = {.handle_bytes = 128};
	const struct rlimit small = {0};
	const struct sched_param idle = {0};
	cpu_set_t first;
	char params[256] = {0};
	int mount_id = 0, master = -1, slave = -1;
	char c = 'x';

	result("ptrace", ptrace(PTRACE_TRACEME, 0, NULL, NULL));
	result("process_vm_readv", syscall(SYS_process_vm_readv, getpid(), NULL, 0, NULL, 0, 0));
	result("kcmp", syscall(SYS_kcmp, getpid(), getpid(), 0, 0, 0));
	result("io_uring_setup", syscall(SYS_io_uring_setup, 1, params));
	result("keyctl", syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0));
	result("add_key", syscall(SYS_add_key, "user", "a", "b", 1, KEY_SPEC_PROCESS_KEYRING));
	result("userfaultfd", syscall(SYS_userfaultfd, 1));
	result("bpf", syscall(SYS_bpf, 0, params, 64));
	result("perf_event_open", syscall(SYS_perf_event_open, params, 0, -1, -1, 0));
	result("name_to_handle_at", syscall(SYS_name_to_handle_at, AT_FDCWD, "/tmp", &handle, &mount_id, 0));
	result("mount", mount("none", "/tmp", "tmpfs", 0, NULL));
	result("umount", umount2("/tmp", MNT_DETACH));
	result("open_tree", syscall(SYS_open_tree, AT_FDCWD, "/tmp", 0));
	result("fsopen", syscall(SYS_fsopen, "tmpfs", 0));
	result("statmount", syscall(457, NULL, NULL, 0, 0));
	result("pivot_root", syscall(SYS_pivot_root, ".", "."));
	result("chroot", chroot("/tmp"));
	result("unshare", unshare(CLONE_NEWUSER));
	result("unshare_fs", unshare(CLONE_FS));
	result("setns", setns(0, 0));
	result("clone_newuser", syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL));
	result("clone_newnet", syscall(SYS_clone, CLONE_NEWNET | SIGCHLD, NULL, NULL, NULL, NULL));
	result("clone3", syscall(SYS_clone3, &ca, sizeof(ca)));
	result("kexec_load", syscall(SYS_kexec_load, 0, 0, NULL, 0));
	result("init_module", syscall(SYS_init_module, params, 0, ""));
	result("swapon", syscall(SYS_swapon, "/tmp", 0));
	result("reboot", syscall(SYS_reboot, 0, 0, 0, NULL));
	result("acct", syscall(SYS_acct, NULL));
	result("syslog", syscall(SYS_syslog, 10, NULL, 0));
	result("sock_unix", socket(AF_UNIX, SOCK_STREAM, 0));
	result("sock_inet", socket(AF_INET, SOCK_STREAM, 0));
	result("sock_inet6", socket(AF_INET6, SOCK_DGRAM, 0));
	result("sock_route", socket(AF_NETLINK, SOCK_RAW, 0));
	result("sock_netfilter", socket(AF_NETLINK, SOCK_RAW, 12));
	result("sock_vsock", socket(40, SOCK_STREAM, 0));
	result("sock_vsock_high", syscall(SYS_socket, 0x100000028UL, SOCK_STREAM, 0));
	result("sock_alg", socket(38, SOCK_SEQPACKET, 0));
	result("sock_packet", socket(AF_PACKET, SOCK_RAW, 0));
	result("sock_unspec", socket(0, SOCK_STREAM, 0));
	if (openpty(&master, &slave, NULL, NULL, NULL) == 0) {
		result("tiocsti", ioctl(slave, TIOCSTI, &c));
		result("tiocsti_high", syscall(SYS_ioctl, slave, 0x100000000UL | TIOCSTI, &c));
		result("tiocgwinsz", ioctl(slave, TIOCGWINSZ, params));
	}
	result("set_capability", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 21, 0, 0));
	result("setuid_0", setresuid(0, 0, 0));
	result("kill_reaper", kill(1, SIGKILL));
	CPU_ZERO(&first);
	CPU_SET(0, &first);
	result("reaper_limits", prlimit(1, RLIMIT_NOFILE, &small, NULL));
	result("reaper_limits_high", syscall(SYS_prlimit64, 0x100000001UL, RLIMIT_NOFILE, &small, NULL));
	result("reaper_scheduler", sched_setscheduler(1, SCHED_IDLE, &idle));
	result("reaper_processors", sched_setaffinity(1, sizeof(first), &first));
	result("reaper_nice", setpriority(PRIO_PROCESS, 1, 19));
	result("user_nice", setpriority(PRIO_USER, 0, 19));
	result("reaper_io", syscall(SYS_ioprio_set, 1, 1, 3 << 13));
	result("user_io", syscall(SYS_ioprio_set, 3, 1000, 3 << 13));
	result("own_limits", prlimit(getpid(), RLIMIT_CORE, &small, NULL));
	result("own_scheduler", sched_setscheduler(0, SCHED_IDLE, &idle));
	result("own_nice", setpriority(PRIO_PROCESS, 0, 19));
	result("own_io", syscall(SYS_ioprio_set, 1, 0, 3 << 13));
	result("reaper_memory", open("/proc/1/mem", O_RDWR | O_CLOEXEC));
	fflush(stdout);
	return 0;
}

/* Children that leave: double fork, own session, deaf to polite signals. The program itself ends at once. */
static int
daemons(int n)
{
	for (int i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid < 0)
			return 1;
		if (pid == 0) {
			setsid();
			if (fork() != 0)
				_exit(0);
			signal(SIGTERM, SIG_IGN);
			signal(SIGHUP, SIG_IGN);
			signal(SIGINT, SIG_IGN);
			for (;;)
				pause();
		}
		if (waitpid(pid, NULL, 0) != pid)
			return 1;
	}
	printf("ready\n");
	fflush(stdout);
	return 0;
}

static volatile unsigned long *counters;

/* Processes that all count, make children and wake each other when stopped. */
static int
busy(int n)
{
	int fd = open("/workspace/counters", O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0 || ftruncate(fd, 4096) < 0)
		return 1;
	counters = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (counters == MAP_FAILED)
		return 1;
	for (int i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid < 0)
			return 1;
		if (pid > 0)
			continue;
		for (;;) {
			pid_t child;

			counters[i]++;
			/* both ways count; NOLINTNEXTLINE(clang-analyzer-*) */
			child = i % 2 ? fork() : vfork();
			if (child == 0)
				_exit(0);
			if (child > 0)
				waitpid(child, NULL, 0);
			usleep(1000);
		}
	}
	printf("ready\n");
	fflush(stdout);
	for (;;)
		pause();
}

static int
foreign(void)
{
#if defined(__x86_64__)
	long rc;

	/* getpid of 32-bit x86 */
	__asm__ volatile("int $0x80" : "=a"(rc) : "a"(20) : "memory", "r8", "r9", "r10", "r11");
	printf("foreign %ld\n", rc);
	fflush(stdout);
	return 0;
#else
	raise(SIGSYS);
	return 0;
#endif
}

int
sandbox_probe(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[2] : "";
	int n = argc > 3 ? atoi(argv[3]) : 0;

	if (strcmp(what, "facts") == 0)
		return facts();
	if (strcmp(what, "forbidden") == 0)
		return forbidden();
	if (strcmp(what, "daemons") == 0)
		return daemons(n);
	if (strcmp(what, "busy") == 0)
		return busy(n);
	if (strcmp(what, "foreign") == 0)
		return foreign();
	if (strcmp(what, "exit") == 0)
		return n;
	if (strcmp(what, "signal") == 0) {
		raise(n);
		return 0;
	}
	if (strcmp(what, "burn") == 0) {
		struct timespec used;

		/* of the processor's time: a busy machine gives little of it */
		do
			clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
		while (used.tv_sec * 1000 + used.tv_nsec / 1000000 < n);
		return 0;
	}
	if (strcmp(what, "fd3") == 0)
		return write(3, "three", 5) == 5 ? 0 : 1;
	return 99;
}
