/* Loads a Unix socket with msgpack-rpc requests of one method, over and over, and prints what each answer took. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clean.h"
#include "proto/msgpack.h"

#define CONNECTIONS_MAX 1024

struct peer {
	int fd;
	int64_t sent_at;
	struct buf in;
	struct p_scan scan;
};

static _Noreturn void
stop(const char *what, const char *why)
{
	fprintf(stderr, BENCH_NAME ": %s: %s\n", what, why);
	exit(1);
}

static int64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int
connect_to(const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(sun.sun_path))
		stop(path, fd < 0 ? strerror(errno) : "the path is too long");
	memcpy(sun.sun_path, path, strlen(path) + 1);
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
		stop(path, strerror(errno));
	return fd;
}

static void
send_request(struct peer *p, const struct buf *request)
{
	p->sent_at = now_ns();
	/* requests of a benchmark fit into the socket's buffer: one write, as any client would */
	if (write(p->fd, request->p, request->len) != (ssize_t)request->len)
		stop("write", strerror(errno));
}

/* Reads once; whether the answer is complete. The answer's bytes stay in p->in until the next request. */
static bool
read_answer(struct peer *p, const char *save)
{
	struct awo_err err = {0};
	struct p_frame frame;
	bool have_id;
	uint32_t id;
	ssize_t n, len;

	buf_reserve(&p->in, 65536);
	n = read(p->fd, p->in.p + p->in.len, p->in.cap - p->in.len - 1);
	if (n <= 0)
		stop("read", n == 0 ? "the peer closed the connection" : strerror(errno));
	p->in.len += (size_t)n;
	len = p_frame_resume(&p->scan, (const uint8_t *)p->in.p, p->in.len, &frame, &have_id, &id, &err);
	if (len < 0)
		stop("answer", err.msg);
	if (len == 0)
		return false;
	if (frame.kind != P_FRAME_RESPONSE)
		stop("answer", "not a response");
	if (frame.error.p) {
		p_decode_error(frame.error, &err);
		stop("answer", err.msg);
	}
	if (save) {
		CLEAN_FD int fd = open(save, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

		if (fd < 0 || write(fd, p->in.p, (size_t)len) != len)
			stop(save, strerror(errno));
	}
	buf_drain(&p->in, (size_t)len);
	return true;
}

/* One call with the parameters of a JSON object, encoded. */
static void
encode(struct buf *out, const struct p_method *method, const json_t *tree)
{
	void *param = xcalloc(1, method->request->size);
	struct awo_err err = {0};

	if (p_from_json(method->request, param, tree, true, &err) < 0)
		stop("parameters", err.msg);
	/* the same id each time: only one request is in flight on a connection */
	p_encode_request(out, 1, method->name, method->request, param);
	p_free(method->request, param);
	free(param);
}

/* One request in flight a connection, those of a list by turns. Prints the seconds of all, then the nanoseconds of each. */
int
main(int argc, char **argv)
{
	const char *save = argc == 7 ? argv[6] : NULL;
	const struct p_method *method;
	struct peer *peers;
	struct pollfd *polls;
	struct buf *requests;
	CLEAN_FREE int64_t *took = NULL;
	CLEAN_JSON json_t *tree = NULL;
	json_error_t at;
	size_t count, done = 0, sent = 0, connections, kinds;
	int64_t begin, end;

	if (argc != 6 && argc != 7) {
		fputs("usage: " BENCH_NAME " SOCKET METHOD PARAMETERS-AS-JSON CONNECTIONS COUNT [FILE-FOR-AN-ANSWER]\n", stderr);
		return 2;
	}
	method = p_method_find(argv[2], strlen(argv[2]));
	tree = json_loads(argv[3], 0, &at);
	connections = strtoul(argv[4], NULL, 10);
	count = strtoul(argv[5], NULL, 10);
	if (!method || !tree || connections == 0 || connections > CONNECTIONS_MAX || count < connections)
		stop("arguments", !method ? "no such method" : !tree ? at.text : "numbers");
	kinds = json_is_array(tree) ? json_array_size(tree) : 1;
	if (kinds == 0)
		stop(argv[3], "no parameters");
	requests = xcalloc(kinds, sizeof(*requests));
	for (size_t i = 0; i < kinds; i++)
		encode(&requests[i], method, json_is_array(tree) ? json_array_get(tree, i) : tree);

	peers = xcalloc(connections, sizeof(*peers));
	polls = xcalloc(connections, sizeof(*polls));
	took = xcalloc(count, sizeof(*took));
	for (size_t i = 0; i < connections; i++) {
		peers[i].fd = connect_to(argv[1]);
		polls[i] = (struct pollfd){.fd = peers[i].fd, .events = POLLIN};
	}
	begin = now_ns();
	for (; sent < connections; sent++)
		send_request(&peers[sent], &requests[sent % kinds]);
	while (done < count) {
		if (connections > 1 && poll(polls, connections, -1) < 0)
			stop("poll", strerror(errno));
		for (size_t i = 0; i < connections && done < count; i++) {
			if ((connections > 1 && !polls[i].revents) || !read_answer(&peers[i], save))
				continue;
			took[done++] = now_ns() - peers[i].sent_at;
			save = NULL;
			if (sent < count) {
				send_request(&peers[i], &requests[sent++ % kinds]);
			} else {
				polls[i].fd = -1;
			}
		}
	}
	end = now_ns();
	printf("%zu %.6f\n", requests[0].len, (double)(end - begin) / 1e9);
	for (size_t i = 0; i < count; i++)
		printf("%" PRId64 "\n", took[i]);
	for (size_t i = 0; i < connections; i++) {
		close(peers[i].fd);
		buf_free(&peers[i].in);
	}
	for (size_t i = 0; i < kinds; i++)
		buf_free(&requests[i]);
	free(requests);
	free(peers);
	free(polls);
	return 0;
}
