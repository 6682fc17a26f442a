/*
 * Loads an HTTP server: http_load get HOST:PORT PATH CONNECTIONS SECONDS, or follows streams:
 * http_load sse HOST:PORT PATH READERS SECONDS. Prints one JSON object.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"

#define LATENCIES (4U << 20)
#define ROOM (256U << 10)
#define EVENTS 256

struct conn {
	int fd;
	int64_t sent_us;
	struct buf in;
	size_t need;	     /* bytes of the whole answer, 0: not known yet */
	int64_t lines, last; /* sse */
	bool ended;
};

static int64_t *latencies;
static size_t nlatencies;
static struct buf request;

static int
dial(const char *address)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	char host[64];
	const char *colon = strchr(address, ':');
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (colon == NULL || (size_t)(colon - address) >= sizeof(host) || fd < 0)
		exit(2);
	snprintf(host, sizeof(host), "%.*s", (int)(colon - address), address);
	sin.sin_port = htons((uint16_t)atoi(colon + 1));
	if (inet_pton(AF_INET, host, &sin.sin_addr) != 1 ||
	    connect(fd, (struct sockaddr *)&sin, sizeof(sin)) != 0) {
		perror("connect");
		exit(1);
	}
	return fd;
}

static void
ask(struct conn *c)
{
	c->sent_us = clock_mono_us();
	if (send(c->fd, request.p, request.len, MSG_NOSIGNAL) != (ssize_t)request.len) {
		perror("send");
		exit(1);
	}
}

static void
note(int64_t us)
{
	if (nlatencies < LATENCIES)
		latencies[nlatencies++] = us;
}

/* One whole answer: 1; an error's: -1. */
static int
take_answer(struct conn *c)
{
	if (c->need == 0 && c->in.len > 0) {
		const char *end = strstr(c->in.p, "\r\n\r\n"),
			   *length = strcasestr(c->in.p, "\ncontent-length:");

		if (end == NULL)
			return 0;
		if (strncmp(c->in.p, "HTTP/1.1 200", 12) != 0 || length == NULL || length > end)
			return -1;
		c->need = (size_t)(end + 4 - c->in.p) + strtoul(length + 16, NULL, 10);
	}
	if (c->need == 0 || c->in.len < c->need)
		return 0;
	note(clock_mono_us() - c->sent_us);
	c->in.len = 0;
	c->need = 0;
	return 1;
}

/* Counts the lines of a stream, and checks that their ids only grow. */
static void
take_lines(struct conn *c, bool sample)
{
	char *p = c->in.p, *end = c->in.p + c->in.len, *nl;

	while ((nl = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		if (strncmp(p, "id: ", 4) == 0) {
			int64_t id = strtoll(p + 4, NULL, 10);

			if (id <= c->last) {
				fprintf(stderr, "id %lld after %lld\n", (long long)id,
				    (long long)c->last);
				exit(1);
			}
			c->last = id;
			c->lines++;
		} else if (strncmp(p, "event: end", 10) == 0) {
			c->ended = true;
		} else if (sample && strncmp(p, "data: ", 6) == 0) {
			char *at = memmem(p, (size_t)(nl - p), "\"timestamp\":\"", 13), text[40];
			int64_t when;

			if (at != NULL && nl - at > 40) {
				snprintf(text, sizeof(text), "%.27s", at + 13);
				if (clock_parse(text, &when))
					note(clock_wall_us() - when);
			}
			sample = false;
		}
		p = nl + 1;
	}
	buf_drain(&c->in, (size_t)(p - c->in.p));
}

static int
compare(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double
at(double part)
{
	return nlatencies == 0
		   ? 0
		   : (double)latencies[(size_t)((double)(nlatencies - 1) * part)] / 1000;
}

int
main(int argc, char **argv)
{
	struct epoll_event events[EVENTS];
	struct rlimit rl;
	bool sse = argc > 1 && strcmp(argv[1], "sse") == 0;
	int ep = epoll_create1(EPOLL_CLOEXEC);
	int64_t began, end, answers = 0, bytes = 0, most = 0, least = INT64_MAX;
	size_t n, open, ended = 0;
	struct conn *conns;
	char *room;

	if (argc != 6 || ep < 0) {
		fputs("usage: http_load get|sse HOST:PORT PATH CONNECTIONS SECONDS\n", stderr);
		return 2;
	}
	n = open = strtoul(argv[4], NULL, 10);
	if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
		rl.rlim_cur = rl.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &rl);
	}
	room = xcalloc(1, ROOM);
	latencies = xcalloc(LATENCIES, sizeof(*latencies));
	conns = xcalloc(n, sizeof(*conns));
	buf_printf(&request, "GET %s HTTP/1.1\r\nHost: %s\r\n", argv[3], argv[2]);
	if (getenv("TOKEN") != NULL)
		buf_printf(&request, "Authorization: Bearer %s\r\n", getenv("TOKEN"));
	buf_adds(&request, "\r\n");
	for (size_t i = 0; i < n; i++) {
		struct epoll_event ev = {.events = EPOLLIN, .data.ptr = &conns[i]};

		conns[i].fd = dial(argv[2]);
		epoll_ctl(ep, EPOLL_CTL_ADD, conns[i].fd, &ev);
		ask(&conns[i]);
	}
	began = clock_mono_us();
	end = began + strtoll(argv[5], NULL, 10) * 1000000;
	while (clock_mono_us() < end && open > 0) {
		int got = epoll_wait(ep, events, EVENTS, 100);

		for (int i = 0; i < got; i++) {
			struct conn *c = events[i].data.ptr;
			ssize_t len = recv(c->fd, room, ROOM, 0);

			if (len <= 0) {
				if (!sse) {
					fputs("a connection has ended\n", stderr);
					return 1;
				}
				close(c->fd);
				open--;
				continue;
			}
			bytes += len;
			buf_add(&c->in, room, (size_t)len);
			if (sse) {
				take_lines(c, (c - conns) % 16 == 0);
				continue;
			}
			switch (take_answer(c)) {
			case 1:
				answers++;
				ask(c);
				break;
			case -1:
				fprintf(stderr, "%.300s\n", c->in.p);
				return 1;
			default:
				break;
			}
		}
	}
	for (size_t i = 0; i < n; i++) {
		ended += conns[i].ended;
		most = conns[i].lines > most ? conns[i].lines : most;
		least = conns[i].lines < least ? conns[i].lines : least;
	}
	end = clock_mono_us();
	qsort(latencies, nlatencies, sizeof(*latencies), compare);
	printf("{\"seconds\":%.2f,\"answers\":%lld,\"rate\":%.0f,\"bytes\":%lld,\"p50_ms\":%.3f,"
	       "\"p95_ms\":%.3f,\"p99_ms\":%.3f,"
	       "\"max_ms\":%.3f,\"ended\":%zu,\"lines_most\":%lld,\"lines_least\":%lld}\n",
	    (double)(end - began) / 1e6, (long long)answers,
	    (double)answers * 1e6 / (double)(end - began), (long long)bytes, at(0.5), at(0.95),
	    at(0.99), at(1), ended, (long long)most, (long long)least);
	return 0;
}
