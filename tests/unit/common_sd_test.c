/* What systemd would hear, and the socket that it would pass. */
#include "cmocka_all.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/sd.h"

/* An abstract socket in the place of systemd's. */
static int
listener(void)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	char name[64];

	snprintf(name, sizeof name, "@awo-sd-test-%ld", (long)getpid());
	memcpy(sun.sun_path, name, strlen(name));
	sun.sun_path[0] = '\0';
	assert_int_equal(bind(fd, (struct sockaddr *)&sun,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))),
	    0);
	setenv("NOTIFY_SOCKET", name, 1);
	return fd;
}

static void
hears(int fd, const char *begin)
{
	char got[1024] = "";

	assert_true(recv(fd, got, sizeof got - 1, 0) > 0);
	if (strncmp(got, begin, strlen(begin)) != 0)
		fail_msg("\"%s\" does not begin with \"%s\"", got, begin);
}

static void
notifies(void **state)
{
	int fd = listener();

	(void)state;
	sd_ready();
	hears(fd, "READY=1");
	sd_status("%d orders\nREADY=1", 3);
	hears(fd, "STATUS=3 orders READY=1");
	sd_reloading();
	hears(fd, "RELOADING=1\nMONOTONIC_USEC=");
	sd_stopping();
	hears(fd, "STOPPING=1");
	sd_ping();
	hears(fd, "WATCHDOG=1");
	unsetenv("NOTIFY_SOCKET");
	sd_ready();
	close(fd);
}

static void
reads_the_watchdog(void **state)
{
	char pid[32];

	(void)state;
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	assert_int_equal(sd_watchdog_us(), 0);
	setenv("WATCHDOG_USEC", "30000000", 1);
	snprintf(pid, sizeof pid, "%ld", (long)getpid());
	setenv("WATCHDOG_PID", pid, 1);
	assert_int_equal(sd_watchdog_us(), 30000000);
	setenv("WATCHDOG_PID", "1", 1);
	assert_int_equal(sd_watchdog_us(), 0);
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

/* In a child, where descriptors 3 and 4 are ours to fill: a pipe's end and a listening socket. */
static int
child_with_sockets(void)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int sock, pipes[2];
	char pid[32];

	closefrom(3);
	if (pipe(pipes) < 0 || pipes[0] != 3 || close(pipes[1]) < 0)
		return 10;
	sock = socket(AF_UNIX, SOCK_STREAM, 0);
	if (sock != 4 || bind(sock, (struct sockaddr *)&sun, sizeof(sa_family_t)) < 0 ||
	    listen(sock, 1) < 0)
		return 11;
	snprintf(pid, sizeof pid, "%ld", (long)getpid());
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "2", 1);
	if (sd_listen_socket() != 4)
		return 12;
	if (!(fcntl(4, F_GETFD) & FD_CLOEXEC) || fcntl(3, F_GETFD) != -1)
		return 13;
	return sd_listen_socket() == -1 ? 0 : 14;
}

static void
takes_the_socket(void **state)
{
	pid_t pid;
	int status;

	(void)state;
	unsetenv("LISTEN_FDS");
	assert_int_equal(sd_listen_socket(), -1);
	pid = fork();
	if (pid == 0)
		_exit(child_with_sockets());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(notifies),
	    cmocka_unit_test(reads_the_watchdog),
	    cmocka_unit_test(takes_the_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
