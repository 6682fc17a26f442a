/* systemd's side channels; all of them do nothing when the program was not started by systemd. */
#include "common/sd.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"

void
sd_ready(void)
{
	sd_notify(0, "READY=1");
}

void
sd_status(const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	/* a newline would begin another assignment */
	for (char *s = text; *s; s++)
		if (*s == '\n')
			*s = ' ';
	sd_notifyf(0, "STATUS=%s", text);
}

void
sd_reloading(void)
{
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)clock_mono_us());
}

void
sd_stopping(void)
{
	sd_notify(0, "STOPPING=1");
}

void
sd_ping(void)
{
	sd_notify(0, "WATCHDOG=1");
}

int64_t
sd_watchdog_us(void)
{
	uint64_t us = 0;

	if (sd_watchdog_enabled(0, &us) <= 0 || us > INT64_MAX)
		return 0;
	return (int64_t)us;
}

static int
listen_socket(bool (*is_wanted)(int fd))
{
	int n = sd_listen_fds(1), found = -1;

	for (int fd = SD_LISTEN_FDS_START; n > 0 && fd < SD_LISTEN_FDS_START + n; fd++) {
		if (found < 0 && is_wanted(fd))
			found = fd;
		else
			close(fd);
	}
	return found;
}

static bool
is_unix(int fd)
{
	return sd_is_socket_unix(fd, SOCK_STREAM, 1, NULL, 0) > 0;
}

static bool
is_inet(int fd)
{
	return sd_is_socket(fd, AF_INET, SOCK_STREAM, 1) > 0 || sd_is_socket(fd, AF_INET6, SOCK_STREAM, 1) > 0;
}

int
sd_listen_socket(void)
{
	return listen_socket(is_unix);
}

int
sd_listen_inet(void)
{
	return listen_socket(is_inet);
}
