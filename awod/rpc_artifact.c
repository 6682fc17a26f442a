/* Artifacts of orders: files that a worker left, listed and read without following anything. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "awod/server_priv.h"
#include "common/clean.h"
#include "common/files.h"
#include "common/text.h"

#define LIST_MAX 10000
#define DEPTH_MAX 8
#define NAME_BYTES 255 /* of an artifact's whole name */
#define PART_MAX 1048576
#define LOOKED_MAX 50000 /* directory entries, whatever they are */

static const char *const rooms[] = {"prompts", "outputs", NULL};

/* The order's directory, or -1 with errno. */
static int
order_dir(struct rpc_call *c)
{
	CLEAN_FD int top =
	    open(rpc_broker(c)->opt->work_order_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (top < 0)
		return -1;
	return files_open_beneath(
	    top, rpc_order(c)->pub.agent_work_order_id, O_PATH | O_DIRECTORY, 0);
}

struct walk {
	struct p_artifact_list_answer *out;
	size_t room, looked;
};

static void
add_file(struct walk *w, const char *name, const struct stat *st)
{
	struct p_artifact_list_answer *out = w->out;
	struct p_artifact *a;

	if (out->artifacts.n == w->room) {
		w->room = w->room > 0 ? w->room * 2 : 64;
		out->artifacts.v = xrealloc(out->artifacts.v, w->room, sizeof(*out->artifacts.v));
	}
	a = &out->artifacts.v[out->artifacts.n++];
	*a = (struct p_artifact){0};
	P_SETS(artifact, a, name, name);
	P_SET(artifact, a, size, st->st_size);
	P_SET(artifact, a, modified_at,
	    st->st_mtim.tv_sec * INT64_C(1000000) + st->st_mtim.tv_nsec / 1000);
}

static void
walk_dir(struct walk *w, int root, const char *path, int depth)
{
	int fd = files_open_beneath(root, path, O_RDONLY | O_DIRECTORY, 0);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *e;

	if (d == NULL) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((e = readdir(d)) != NULL && w->out->artifacts.n < LIST_MAX &&
	       w->looked++ < LOOKED_MAX) {
		CLEAN_FREE char *name = NULL;
		struct stat st;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
		    fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		name = xasprintf("%s/%s", path, e->d_name);
		if (strlen(name) > NAME_BYTES || !text_is_utf8(name, strlen(name)))
			continue;
		if (S_ISREG(st.st_mode))
			add_file(w, name, &st);
		else if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX)
			walk_dir(w, root, name, depth + 1);
	}
	closedir(d);
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const struct p_artifact *)a)->name, ((const struct p_artifact *)b)->name);
}

void
rpc_order_artifacts(struct rpc_call *c, const struct p_order_ref *request)
{
	struct p_artifact_list_answer answer = {0};
	struct walk w = {.out = &answer};
	CLEAN_FD int dir = order_dir(c);

	(void)request;
	P_SETS(artifact_list_answer, &answer, agent_work_order_id,
	    rpc_order(c)->pub.agent_work_order_id);
	P_MARK(artifact_list_answer, &answer, artifacts);
	if (dir >= 0)
		for (size_t i = 0; rooms[i] != NULL; i++)
			walk_dir(&w, dir, rooms[i], 0);
	if (answer.artifacts.n > 1)
		qsort(answer.artifacts.v, answer.artifacts.n, sizeof(*answer.artifacts.v), by_name);
	rpc_answer(c, &answer);
	P_FREE(artifact_list_answer, &answer);
}

static bool
is_artifact_name(const char *name)
{
	for (size_t i = 0; rooms[i] != NULL; i++) {
		size_t n = strlen(rooms[i]);

		if (strncmp(name, rooms[i], n) == 0 && name[n] == '/' && name[n + 1] != '\0')
			return true;
	}
	return false;
}

/* Bytes at the end that begin a character which the next part has the rest of. */
static size_t
torn(const char *p, size_t len)
{
	for (size_t back = 1; back <= 3 && back <= len; back++) {
		unsigned char ch = (unsigned char)p[len - back];

		if ((ch & 0xc0) == 0x80)
			continue;
		if ((ch >= 0xc2 && ch <= 0xdf && back < 2) ||
		    (ch >= 0xe0 && ch <= 0xef && back < 3) ||
		    (ch >= 0xf0 && ch <= 0xf4 && back < 4))
			return back;
		return 0;
	}
	return 0;
}

static int
read_part(int fd, int64_t offset, size_t limit, struct buf *raw)
{
	buf_reserve(raw, limit + 1);
	while (raw->len < limit) {
		ssize_t n =
		    pread(fd, raw->p + raw->len, limit - raw->len, offset + (int64_t)raw->len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		raw->len += (size_t)n;
	}
	return 0;
}

void
rpc_order_artifact(struct rpc_call *c, const struct p_artifact_get *request)
{
	size_t limit = P_HAS(artifact_get, request, limit) ? (size_t)request->limit : PART_MAX;
	struct p_artifact_answer answer = {0};
	struct buf raw CLEAN_BUF = {0}, text CLEAN_BUF = {0};
	CLEAN_FD int dir = -1, fd = -1;
	struct awo_err err = {0};
	struct stat st;
	int64_t next;

	if (is_artifact_name(request->name)) {
		dir = order_dir(c);
		if (dir >= 0)
			fd = files_open_regular(dir, request->name);
	}
	if (fd < 0 || fstat(fd, &st) != 0) {
		(void)ERR(&err, NOT_FOUND, "name",
		    "order %s has no artifact %.200s; order.artifacts lists them",
		    rpc_order(c)->pub.agent_work_order_id, request->name);
		rpc_fail(c, &err);
		return;
	}
	if (request->offset < st.st_size && read_part(fd, request->offset, limit, &raw) != 0) {
		(void)ERR(&err, INTERNAL, "", "cannot read the artifact: %s", strerror(errno));
		rpc_fail(c, &err);
		return;
	}
	if (request->offset + (int64_t)raw.len < st.st_size && torn(raw.p, raw.len) < raw.len)
		raw.len -= torn(raw.p, raw.len);
	next = request->offset + (int64_t)raw.len;
	buf_reserve(&text, 1);
	text_add_utf8(&text, raw.p, raw.len, raw.len * 3 + 1);
	P_SETS(artifact_answer, &answer, name, request->name);
	P_SET(artifact_answer, &answer, size, st.st_size);
	P_SET(artifact_answer, &answer, offset, request->offset);
	P_SETS(artifact_answer, &answer, content, text.p != NULL ? text.p : "");
	P_SET(artifact_answer, &answer, has_more, next < st.st_size && raw.len > 0);
	P_SET(artifact_answer, &answer, next_offset, next);
	rpc_answer(c, &answer);
	P_FREE(artifact_answer, &answer);
}
