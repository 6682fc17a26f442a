/* The broker as a whole: what clients may say to a real dispatcher, engine and store, while the supervisor's
 * tasks, workers and their logs answer anything. */
#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "awo-worker/job.h"
#include "awod/agent_version.h"
#include "awod/credentials.h"
#include "awod/engine_priv.h"
#include "awod/server_priv.h"
#include "common/clean.h"
#include "common/files.h"
#include "common/log.h"
#include "tests/fuzz/fuzz.h"

#define OPS_MAX 48
#define ASKED_MAX 256
#define ASKED_BASE 0x5a5a0000U /* ids that random bytes hardly have */
#define TASKS_MAX 64
#define WORKERS_MAX 8
#define KNOWN_MAX 16
#define TURNS_MAX 3000

/* ---- what must not reach this machine, or its terminal */

/* The linker's names for what it replaces; NOLINTBEGIN(bugprone-reserved-identifier) */
void __real_store_backup(struct store *s, const char *path,
    void (*done)(void *arg, const struct awo_err *err, int64_t size), void *arg);
void __wrap_store_backup(struct store *s, const char *path,
    void (*done)(void *arg, const struct awo_err *err, int64_t size), void *arg);
void __wrap_log_write(enum log_lvl lvl, const char *event, const struct log_field *fields);
/* NOLINTEND(bugprone-reserved-identifier) */

/* A copy goes where its caller says; here only below the target's own directory. */
void
__wrap_store_backup(struct store *s, const char *path,
    void (*done)(void *arg, const struct awo_err *err, int64_t size), void *arg)
{
	const char *own = fuzz_dir();
	struct awo_err err = {0};

	if (strncmp(path, own, strlen(own)) == 0 && strstr(path, "..") == NULL) {
		__real_store_backup(s, path, done, arg);
		return;
	}
	(void)ERR(&err, FAILED_PRECONDITION, "path", "not here");
	done(arg, &err, 0);
}

/* The settings choose the level. */
void
__wrap_log_write(enum log_lvl lvl, const char *event, const struct log_field *fields)
{
	(void)lvl;
	FUZZ_CHECK(event != NULL && event[0] != '\0');
	for (; fields->key != NULL; fields++)
		FUZZ_CHECK(fields->kind != LOG_F_STR || fields->s == NULL || strlen(fields->s) < 8U << 20);
}

/* ---- the rig */

struct client {
	int fd;
	struct buf in;
	unsigned asked, answered, method[ASKED_MAX];
	bool closed;
};

struct task_fds {
	struct sup_msg m;
	int answer;
};

struct worker {
	char id[16], nonce[65];
	struct sup_msg m;
	int journal, listener, link;
	bool spawned; /* told: then only its end can be told, and each of them once */
	struct buf said;
};

static struct {
	struct options opt;
	struct broker b;
	int sup, engine_end; /* of the socket between supervisor and engine */
	bool obedient; /* workers say hello and do what they are told */
	struct task_fds tasks[TASKS_MAX];
	size_t ntasks;
	struct worker workers[WORKERS_MAX];
	size_t nworkers;
	struct client bad, good;
	char known[KNOWN_MAX][80]; /* names that answers have told */
	size_t nknown;
} rig;

static char *
below(const char *name)
{
	char *path = xasprintf("%s/%s", fuzz_dir(), name);

	FUZZ_CHECK(files_mkdirs(AT_FDCWD, path, 0700) == 0);
	return path;
}

/* What stays for all inputs: directories, the configuration, the key. */
static void
prepare(void)
{
	static const char text[] = "max_concurrent: 2\nmax_pending_per_user: 20\nstorage:\n  type: memory\n"
				   "socket:\n  group: \"\"\nrepositories:\n  allow_local: all\n"
				   "retry:\n  backoff: 1\n  max_backoff: 1\ntimeouts:\n  kill: 1\n";

	signal(SIGPIPE, SIG_IGN);
	rig.opt.config_dir = below("config");
	rig.opt.state_dir = below("state");
	rig.opt.run_dir = below("run");
	rig.opt.log_dir = below("log");
	rig.opt.work_order_dir = below("work-orders");
	rig.opt.repository_dir = below("repositories");
	rig.opt.libexec_dir = below("libexec");
	rig.opt.commands_dir = xstrdup(FUZZ_SOURCE_DIR "/commands");
	rig.opt.socket_path = xasprintf("%s/awod.sock", rig.opt.run_dir);
	rig.opt.broker_fd = -1;
	fuzz_write("config/config.yaml", text, sizeof(text) - 1);
}

static int
pair(int type, int *mine)
{
	int fds[2];

	FUZZ_CHECK(socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
	*mine = fds[1];
	return fds[0];
}

static void
broker_start(void)
{
	char *no_environment[] = {NULL}, path[320];
	struct config_input in = {.config_dir = rig.opt.config_dir, .environ = no_environment};
	struct store_options so = {0};
	struct awo_err err = {0};
	struct sup_msg m;

	rig.b = (struct broker){.opt = &rig.opt, .started_us = 1};
	rig.b.base = event_base_new();
	rig.b.conf = config_load(&in, &err);
	FUZZ_CHECK(rig.b.base != NULL && rig.b.conf != NULL);
	rig.b.store = store_open(rig.b.base, &so, &err);
	FUZZ_CHECK(rig.b.store != NULL);
	snprintf(path, sizeof(path), "%s/key", rig.opt.state_dir);
	rig.b.keys = keyring_open(path, &err);
	FUZZ_CHECK(rig.b.keys != NULL);
	rig.engine_end = pair(SOCK_SEQPACKET, &rig.sup);
	FUZZ_CHECK(engine_open(&rig.b, rig.engine_end, &err) != NULL);
	agent_versions_open(&rig.b);
	rig.b.server = server_open(&rig.b, &err);
	FUZZ_CHECK(rig.b.server != NULL);
	suplink_msg(&m, SUP_READY, SUP_ORDER);
	FUZZ_CHECK(send(rig.sup, &m, sizeof(m), 0) == (ssize_t)sizeof(m));
}

/* In broker_main()'s order. */
static void
broker_stop(void)
{
	engine_stop(rig.b.engine);
	server_close(rig.b.server);
	store_flush(rig.b.store);
	engine_close(rig.b.engine);
	agent_versions_close(rig.b.agents);
	store_close(rig.b.store);
	keyring_close(rig.b.keys);
	config_free(rig.b.conf);
	event_base_free(rig.b.base);
	close(rig.engine_end);
	close(rig.sup);
}

/* ---- the supervisor, its tasks and workers */

static void
tell(const struct sup_msg *about, enum sup_op op, int32_t err, int32_t status)
{
	struct sup_msg m = *about;

	m.op = op;
	m.err = err;
	m.pid = 4242;
	m.status = status;
	if (err != 0)
		snprintf(m.what, sizeof(m.what), "clone");
	FUZZ_CHECK(send(rig.sup, &m, sizeof(m), MSG_DONTWAIT) == (ssize_t)sizeof(m) || errno == EAGAIN);
}

static void
task_end(size_t i, const char *text, size_t len, int32_t err, int32_t status)
{
	struct task_fds t = rig.tasks[i];

	memmove(&rig.tasks[i], &rig.tasks[i + 1], (rig.ntasks - i - 1) * sizeof(t));
	rig.ntasks--;
	tell(&t.m, SUP_SPAWNED, err, 0);
	if (err == 0 && len > 0)
		FUZZ_CHECK(files_write_all(t.answer, text, len) == 0);
	close(t.answer);
	if (err == 0)
		tell(&t.m, SUP_EXITED, 0, status);
}

static void
worker_free(struct worker *w)
{
	close(w->journal);
	close(w->listener);
	if (w->link >= 0)
		close(w->link);
	buf_free(&w->said);
}

static void
worker_end(size_t i, int32_t err, int32_t status)
{
	struct worker w = rig.workers[i];

	memmove(&rig.workers[i], &rig.workers[i + 1], (rig.nworkers - i - 1) * sizeof(w));
	rig.nworkers--;
	if (err != 0)
		tell(&w.m, SUP_SPAWNED, err, 0);
	else
		tell(&w.m, SUP_EXITED, 0, status);
	worker_free(&w);
}

/* The specification of an order is one that its worker takes. */
static void
check_job(int fd)
{
	size_t len;
	char *text CLEAN_FREE = files_read_fd(fd, 16U << 20, &len);
	struct awo_err err = {0};
	struct job job;

	FUZZ_CHECK(text != NULL);
	if (job_parse(&job, text, len, &err) != 0)
		fuzz_failed(err.msg, __FILE__, __LINE__);
	job_free(&job);
}

static void
check_request(int fd)
{
	size_t len;
	char *text CLEAN_FREE = files_read_fd(fd, 16U << 20, &len);
	json_t *o CLEAN_JSON = text != NULL ? json_loadb(text, len, 0, NULL) : NULL;

	FUZZ_CHECK(json_is_object(o));
}

static void
on_packet(const struct sup_msg *m, int *fds, int nfds)
{
	FUZZ_CHECK(m->version == SUP_VERSION);
	if (m->op == SUP_SPAWN && m->kind == SUP_TASK) {
		FUZZ_CHECK(nfds == 2 && memchr(m->verb, '\0', sizeof(m->verb)) != NULL);
		check_request(fds[0]);
		FUZZ_CHECK(rig.ntasks < TASKS_MAX);
		rig.tasks[rig.ntasks++] = (struct task_fds){*m, fds[1]};
		fds[1] = -1;
	} else if (m->op == SUP_SPAWN) {
		FUZZ_CHECK(m->kind == SUP_ORDER && nfds == 3);
		check_job(fds[0]);
		FUZZ_CHECK(rig.nworkers < WORKERS_MAX);
		rig.workers[rig.nworkers] = (struct worker){.m = *m, .journal = fds[1], .listener = fds[2], .link = -1};
		snprintf(rig.workers[rig.nworkers++].id, sizeof(m->id), "%s", m->id);
		fds[1] = fds[2] = -1;
	} else if (m->op == SUP_KILL) {
		for (size_t i = 0; i < rig.ntasks; i++)
			if (m->kind == SUP_TASK && rig.tasks[i].m.tag == m->tag) {
				task_end(i, "", 0, 0, 137);
				break;
			}
		for (size_t i = 0; i < rig.nworkers; i++)
			if (m->kind == SUP_ORDER && strcmp(rig.workers[i].id, m->id) == 0) {
				worker_end(i, 0, 137);
				break;
			}
	} else if (m->op == SUP_REMOVE) {
		tell(m, SUP_REMOVED, 0, 0);
	}
	for (int i = 0; i < nfds; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static void
supervise(void)
{
	struct sup_msg m = {0};

	for (;;) {
		union {
			char buf[CMSG_SPACE(sizeof(int) * 3)];
			struct cmsghdr align;
		} u;
		struct iovec iov = {.iov_base = &m, .iov_len = sizeof(m)};
		struct msghdr h = {
		    .msg_iov = &iov, .msg_iovlen = 1, .msg_control = u.buf, .msg_controllen = sizeof(u.buf)};
		struct cmsghdr *c;
		int fds[3] = {-1, -1, -1}, nfds = 0;

		if (recvmsg(rig.sup, &h, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) != (ssize_t)sizeof(m))
			return;
		/* else this process has no number left for a descriptor, and whose they are is not this input's doing */
		FUZZ_CHECK((h.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0);
		if ((c = CMSG_FIRSTHDR(&h)) != NULL) {
			nfds = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
			FUZZ_CHECK(nfds <= 3);
			memcpy(fds, CMSG_DATA(c), sizeof(int) * (size_t)nfds);
		}
		on_packet(&m, fds, nfds);
	}
}

static void
worker_say(struct worker *w, const char *text, size_t len)
{
	if (w->link >= 0 && len > 0)
		(void)send(w->link, text, len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* A good worker: greets with the nonce, and does what it is told. */
static void
worker_heard(struct worker *w, const char *line, size_t len)
{
	json_t *o CLEAN_JSON = json_loadb(line, len, 0, NULL), *answer CLEAN_JSON = NULL;
	const char *op = json_string_value(json_object_get(o, "op"));
	char *text CLEAN_FREE = NULL, *with_end CLEAN_FREE = NULL;

	FUZZ_CHECK(op != NULL);
	if (strcmp(op, "hello") == 0)
		answer = json_pack("{s:s, s:O, s:i, s:b, s:i, s:s}", "op", "hello", "nonce",
		    json_object_get(o, "nonce"), "proto", 1, "frozen", 0, "last_prompt_id", 0, "step", "planning");
	else
		answer = json_pack("{s:s, s:s}", "op", "ack", "of", op);
	if (!rig.obedient)
		return;
	text = json_dumps(answer, JSON_COMPACT);
	with_end = xasprintf("%s\n", text);
	worker_say(w, with_end, strlen(with_end));
}

static void
serve_links(void)
{
	for (size_t i = 0; i < rig.nworkers; i++) {
		struct worker *w = &rig.workers[i];
		char bytes[4096], *end;
		ssize_t n;

		if (w->link < 0)
			w->link = accept4(w->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		while (w->link >= 0 && (n = recv(w->link, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
			buf_add(&w->said, bytes, (size_t)n);
		while (w->said.len > 0 && (end = memchr(w->said.p, '\n', w->said.len)) != NULL) {
			worker_heard(w, w->said.p, (size_t)(end - w->said.p));
			buf_drain(&w->said, (size_t)(end - w->said.p) + 1);
		}
	}
}

/* ---- clients */

static void
client_open(struct client *c, const struct caller *who)
{
	*c = (struct client){0};
	conn_new(rig.b.server, pair(SOCK_STREAM, &c->fd), who, NULL);
}

static void
client_close(struct client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	buf_free(&c->in);
	c->fd = -1;
}

/* Ids and the like, so that later calls can name what is there. */
static void
remember(json_t *v, const char *key)
{
	static const char *const keys[] = {"agent_work_order_id", "id", "name", "token", "next_cursor", "value"};
	const char *text = json_string_value(v);
	json_t *item;
	size_t i;

	for (i = 0; key != NULL && text != NULL && i < sizeof(keys) / sizeof(keys[0]); i++)
		if (strcmp(keys[i], key) == 0 && strlen(text) < sizeof(rig.known[0]))
			snprintf(rig.known[rig.nknown++ % KNOWN_MAX], sizeof(rig.known[0]), "%s", text);
	json_array_foreach(v, i, item) remember(item, NULL);
	json_object_foreach(v, key, item) remember(item, key);
}

static void
on_answer(struct client *c, const struct p_frame *f)
{
	unsigned at = f->id - ASKED_BASE;
	const struct p_method *m = at < c->asked ? &p_methods[c->method[at]] : NULL;
	struct awo_err err = {0};
	void *obj;

	c->answered += m != NULL;
	if (f->error.p != NULL) {
		p_decode_error(f->error, &err);
		FUZZ_CHECK(err.code != AWO_OK && err.msg[0] != '\0');
	} else if (m != NULL) {
		json_t *tree CLEAN_JSON = p_decode_any(f->result, &err);

		FUZZ_CHECK(tree != NULL);
		obj = xcalloc(1, m->answer->size);
		/* the answer keeps to the limits that its type promises */
		if (p_decode(m->answer, obj, f->result, &err) != 0)
			fuzz_failed(err.msg, m->name, __LINE__);
		p_free(m->answer, obj);
		free(obj);
		/* not the names of dozens of settings and commands */
		if (c == &rig.bad && m->who != P_WHO_ADMIN && m->id != P_M_command_list && m->id != P_M_settings_get)
			remember(tree, NULL);
	}
}

static void
client_read(struct client *c)
{
	char bytes[16384];
	ssize_t n;

	while (c->fd >= 0 && (n = recv(c->fd, bytes, sizeof(bytes), MSG_DONTWAIT)) >= 0) {
		if (n == 0) {
			c->closed = true;
			break;
		}
		buf_add(&c->in, bytes, (size_t)n);
	}
	while (c->in.len > 0) {
		struct p_frame f;
		struct awo_err err = {0};
		bool have_id;
		uint32_t id;

		n = p_frame_scan((const uint8_t *)c->in.p, c->in.len, &f, &have_id, &id, &err);
		FUZZ_CHECK(n >= 0);
		if (n == 0)
			return;
		FUZZ_CHECK(f.kind != P_FRAME_REQUEST);
		if (f.kind == P_FRAME_RESPONSE)
			on_answer(c, &f);
		buf_drain(&c->in, (size_t)n);
	}
}

static void
turn(void)
{
	for (int i = 0; i < 3; i++) {
		event_base_loop(rig.b.base, EVLOOP_NONBLOCK);
		supervise();
		serve_links();
		client_read(&rig.bad);
		client_read(&rig.good);
		/* what is being committed is, in this turn; the others do not wait for the clock */
		store_flush(rig.b.store);
	}
}

static void
client_send(struct client *c, const char *p, size_t len)
{
	for (int i = 0; len > 0 && i < 100 && c->fd >= 0 && !c->closed; i++) {
		ssize_t n = send(c->fd, p, len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			return;
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
		if (len > 0)
			turn();
	}
}

/* ---- messages made of an input */

static void
put_head(struct buf *b, unsigned type, size_t n)
{
	char bytes[5] = {(char)type, (char)(n >> 24), (char)(n >> 16), (char)(n >> 8), (char)n};

	buf_add(b, bytes, sizeof(bytes));
}

static void
put_str(struct buf *b, const char *s, size_t len)
{
	put_head(b, 0xdb, len);
	buf_add(b, s, len);
}

static void
put_int(struct buf *b, uint64_t n)
{
	buf_addc(b, (char)0xd3);
	for (int shift = 56; shift >= 0; shift -= 8)
		buf_addc(b, (char)(n >> shift));
}

static void
put_text(struct buf *b, struct fuzz_in *in)
{
	static const char *const words[] = {"https://github.com/o/r", "ssh://git@h.example/o/r", "/srv/r.git", "planning",
	    "execute", "commit", "create-branch", "create-pr", "prp-review", "prompt", "test", "claude", "demo", "github.com",
	    "max_concurrent", "1", "2026-01-31T08:00:00Z", "c1", "wo-", "plan-execute"};
	unsigned chosen = fuzz_u8(in);
	char *text CLEAN_FREE = NULL;
	size_t len;

	if (chosen < 64) {
		put_str(b, rig.known[chosen % KNOWN_MAX], strlen(rig.known[chosen % KNOWN_MAX]));
	} else if (chosen < 160) {
		const char *word = words[chosen % (sizeof(words) / sizeof(words[0]))];

		put_str(b, word, strlen(word));
	} else {
		text = fuzz_until(in, 0, &len);
		put_str(b, text, len);
	}
}

static void
put_number(struct buf *b, struct fuzz_in *in)
{
	unsigned chosen = fuzz_u8(in);
	uint64_t n = 0;

	if (chosen < 192) {
		put_int(b, chosen % 32);
		return;
	}
	for (unsigned i = 0; i <= chosen % 8; i++)
		n = n << 8 | fuzz_u8(in);
	put_int(b, chosen & 32 ? n : 0 - n);
}

/* Any value at all, of small depth. */
static void
put_any(struct buf *b, struct fuzz_in *in, unsigned depth)
{
	unsigned chosen = fuzz_u8(in), n = chosen / 8 % 4;

	switch (chosen % 8) {
	case 0:
		buf_addc(b, (char)0xc0);
		break;
	case 1:
		buf_addc(b, (char)(0xc2 + n % 2));
		break;
	case 2:
	case 3:
		put_number(b, in);
		break;
	case 4:
	case 5:
		put_text(b, in);
		break;
	default:
		n = depth < 8 ? n : 0;
		put_head(b, chosen % 8 == 6 ? 0xdd : 0xdf, n);
		for (unsigned i = 0; i < n; i++) {
			if (chosen % 8 == 7)
				put_text(b, in);
			put_any(b, in, depth + 1);
		}
		break;
	}
}

static void put_map(struct buf *b, struct fuzz_in *in, const struct p_type *type, unsigned depth);

static void
put_field(struct buf *b, struct fuzz_in *in, const struct p_field *f, unsigned depth)
{
	size_t n;

	switch (f->kind) {
	case P_STR:
	case P_TIME:
		put_text(b, in);
		break;
	case P_INT:
		put_number(b, in);
		break;
	case P_BOOL:
		buf_addc(b, (char)(0xc2 + fuzz_u8(in) % 2));
		break;
	case P_ENUM:
		n = fuzz_u8(in) % f->en->nrows;
		put_str(b, f->en->rows[n].name, strlen(f->en->rows[n].name));
		break;
	case P_STRV:
		n = fuzz_u8(in) % 6;
		put_head(b, 0xdd, n);
		while (n-- > 0)
			put_text(b, in);
		break;
	case P_OBJ:
		put_map(b, in, f->type, depth + 1);
		break;
	case P_LIST:
		n = fuzz_u8(in) % 4;
		put_head(b, 0xdd, n);
		while (n-- > 0)
			put_map(b, in, f->type, depth + 1);
		break;
	case P_DBL:
	case P_ANY:
		put_any(b, in, depth);
		break;
	}
}

/* For each field a byte: left out, a value of its kind, or of another. */
static void
put_map(struct buf *b, struct fuzz_in *in, const struct p_type *type, unsigned depth)
{
	CLEAN_BUF struct buf fields = {0};
	size_t n = 0;

	for (size_t i = 0; i < type->nfields && depth < 6; i++) {
		const struct p_field *f = &type->fields[i];
		unsigned how = fuzz_u8(in);

		if (how < (f->need == P_REQ ? 8U : 128U))
			continue;
		n++;
		put_str(&fields, f->name, strlen(f->name));
		if (how >= 250)
			put_any(&fields, in, depth);
		else
			put_field(&fields, in, f, depth);
	}
	put_head(b, 0xdf, n);
	buf_add(b, fields.len > 0 ? fields.p : "", fields.len);
}

/* A request with the next id, its parameters by their type or as bytes. */
static void
ask(struct client *c, unsigned method, struct fuzz_in *in, bool typed)
{
	const struct p_method *m = &p_methods[method % P_M__COUNT];
	CLEAN_BUF struct buf b = {0};
	size_t n;

	if (c->asked == ASKED_MAX || c->fd < 0)
		return;
	buf_add(&b, "\x94\x00\xce", 3);
	n = ASKED_BASE + c->asked;
	c->method[c->asked++] = m->id;
	for (int shift = 24; shift >= 0; shift -= 8)
		buf_addc(&b, (char)(n >> shift));
	put_str(&b, m->name, strlen(m->name));
	buf_addc(&b, (char)0x91);
	if (typed) {
		put_map(&b, in, m->request, 0);
	} else {
		n = fuzz_u16(in);
		n = n < in->len ? n : in->len;
		buf_add(&b, (const char *)in->p, n);
		in->p += n;
		in->len -= n;
	}
	client_send(c, b.p, b.len);
}

/* ---- operations */

static void
raw(struct fuzz_in *in)
{
	size_t n = fuzz_u16(in);
	uint32_t seed = (uint32_t)n;

	n = n < in->len ? n : in->len;
	while (n > 0) {
		size_t piece = fuzz_piece(&seed, n);

		client_send(&rig.bad, (const char *)in->p, piece);
		in->p += piece;
		in->len -= piece;
		n -= piece;
		turn();
	}
}

/* A line of a worker's log; the keys before the fields are right, or all of it is the input's. */
static void
journal_line(struct worker *w, struct fuzz_in *in)
{
	unsigned event = fuzz_u8(in);
	size_t len;
	char *fields CLEAN_FREE = fuzz_until(in, 0, &len), *line CLEAN_FREE = NULL;

	if (event % P_E__COUNT == P_E__NONE)
		line = xasprintf("%s\n", fields);
	else
		line = xasprintf("{\"timestamp\":\"2026-01-31T08:00:00.000000Z\",\"level\":\"info\",\"event\":\"%s\","
				 "\"agent_work_order_id\":\"%s\",\"work_order_id\":\"%s\"%s%s}\n",
		    p_events[event % P_E__COUNT].name, w->id, w->id, len > 0 ? "," : "", fields);
	FUZZ_CHECK(files_write_all(w->journal, line, strlen(line)) == 0);
}

static void
worker(struct fuzz_in *in)
{
	unsigned how = fuzz_u8(in);
	struct worker *w = &rig.workers[how / 16 % 2];
	size_t len;
	char *text CLEAN_FREE = NULL;

	if (how / 16 % 2 >= rig.nworkers)
		return;
	switch (how % 8) {
	case 0:
		if (!w->spawned)
			tell(&w->m, SUP_SPAWNED, 0, 0);
		w->spawned = true;
		break;
	case 1:
		worker_end((size_t)(w - rig.workers), w->spawned ? 0 : how & 32 ? EAGAIN : EPERM, 0);
		break;
	case 2:
		worker_end((size_t)(w - rig.workers), 0, (int)fuzz_u8(in));
		break;
	case 3:
		text = fuzz_until(in, 0, &len);
		worker_say(w, text, len);
		break;
	case 4:
		if (w->link >= 0)
			close(w->link);
		w->link = -1;
		break;
	default:
		journal_line(w, in);
		break;
	}
}

static void
operation(struct fuzz_in *in, const struct caller *who)
{
	unsigned op = fuzz_u8(in), byte;
	size_t len;
	char *text CLEAN_FREE = NULL;

	switch (op % 16) {
	case 8:
		byte = fuzz_u8(in);
		ask(&rig.bad, byte, in, false);
		break;
	case 9:
		raw(in);
		break;
	case 10:
	case 11:
		byte = fuzz_u8(in);
		text = fuzz_until(in, 0, &len);
		if (rig.ntasks > 0)
			task_end(byte / 8 % rig.ntasks, text, len, byte % 8 == 7 ? ENOMEM : 0, byte % 8 == 6);
		break;
	case 12:
	case 13:
		worker(in);
		break;
	case 14:
		if (rig.bad.fd >= 0)
			shutdown(rig.bad.fd, SHUT_WR);
		break;
	case 15:
		client_close(&rig.bad);
		client_open(&rig.bad, who);
		break;
	default:
		byte = fuzz_u8(in);
		ask(&rig.bad, byte, in, true);
		break;
	}
	/* several at once, or one after the other */
	if (op < 128)
		turn();
}

/* The one that behaves is served, whatever the other one does. */
static void
good_client(void)
{
	struct fuzz_in nothing = {0};

	ask(&rig.good, P_M_system_health, &nothing, true);
	ask(&rig.good, P_M_order_list, &nothing, true);
	for (int i = 0; i < TURNS_MAX && rig.good.answered < rig.good.asked; i++)
		turn();
	FUZZ_CHECK(rig.good.answered == rig.good.asked && !rig.good.closed);
}

/* Everything that was begun ends, and everything that was asked is answered. */
static void
settle(void)
{
	for (int i = 0; i < TURNS_MAX; i++) {
		while (rig.ntasks > 0)
			task_end(0, "", 0, EPERM, 0);
		while (rig.nworkers > 0)
			worker_end(0, 0, 1);
		turn();
		if (rig.b.server->in_flight == 0 && rig.ntasks == 0 && rig.nworkers == 0)
			return;
		if (i > 100)
			usleep(1000);
	}
	fuzz_failed("a request is not answered", __FILE__, __LINE__);
}

/* What began after everything had settled: a retry was due. */
static void
drop_rest(void)
{
	while (rig.ntasks > 0)
		close(rig.tasks[--rig.ntasks].answer);
	while (rig.nworkers > 0)
		worker_free(&rig.workers[--rig.nworkers]);
}

static unsigned
count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	FUZZ_CHECK(dir != NULL);
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

/* A byte for the caller, then the operations. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const emptied[] = {"log", "run/workers", "work-orders"};
	static unsigned descriptors; /* after the first input */
	struct fuzz_in in = {data, size};
	unsigned how = fuzz_u8(&in);
	struct caller bad = {.uid = 1234, .pid = getpid(), .user = "bad", .admin = how & 1, .gateway = how & 2};
	struct caller good = {.uid = 4321, .pid = getpid(), .user = "good"};

	if (rig.opt.config_dir == NULL)
		prepare();
	rig.obedient = !(how & 4);
	rig.ntasks = rig.nworkers = rig.nknown = 0;
	memset(rig.known, 0, sizeof(rig.known));
	broker_start();
	client_open(&rig.bad, &bad);
	client_open(&rig.good, &good);
	turn();
	for (int i = 0; i < OPS_MAX && in.len > 0; i++)
		operation(&in, &bad);
	good_client();
	settle();
	client_close(&rig.bad);
	for (int i = 0; i < TURNS_MAX && rig.b.server->nconns > 1; i++)
		turn();
	FUZZ_CHECK(rig.b.server->nconns == 1);
	client_close(&rig.good);
	broker_stop();
	drop_rest();
	for (size_t i = 0; i < sizeof(emptied) / sizeof(emptied[0]); i++) {
		char *path CLEAN_FREE = xasprintf("%s/%s", fuzz_dir(), emptied[i]);

		if (files_remove_tree(AT_FDCWD, path, NULL) == 0 && i != 1)
			FUZZ_CHECK(files_mkdirs(AT_FDCWD, path, 0700) == 0);
	}
	/* one that is lost with each input would end a process that sees many of them, or a broker */
	if (descriptors == 0)
		descriptors = count_descriptors();
	FUZZ_CHECK(count_descriptors() <= descriptors);
	return 0;
}
