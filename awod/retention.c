/* What may go and when: workspaces, logs, records and caches of the past; and what no record knows any more. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "awod/engine_priv.h"
#include "common/buf.h"
#include "common/clean.h"
#include "common/clock.h"
#include "common/ids.h"
#include "common/log.h"

#define DAY_US (24LL * 3600 * 1000000)
#define DETAILS_MAX 10000
#define RESERVE_BYTES (8LL << 20)
#define ROOM_FOR_RESERVE (64LL << 20)	/* free space below which none is made */
#define FULL_BYTES (1LL << 20)		/* free space that counts as none */

/* One thing to remove. */
struct removal {
	struct removal *next;
	enum { RM_WORKSPACE, RM_ORPHAN, RM_CACHE, RM_LOG, RM_RECORD } what;
	char id[16];
	char cache[72];
	uint32_t uid;
	bool if_short;		/* only while the disk has too little space */
	bool forgotten;		/* the record goes as well */
	const char *why;
};

/* A run of cleanup or reconcile: one removal after the other. */
struct run {
	struct run *next;
	struct engine *e;
	bool dry;
	struct removal *todo, **tail, *now;
	struct p_cleanup_answer answer;
	engine_cleanup_done *done;
	void *arg;
};

static struct run *runs;	/* the first one is at work */

static void step(struct run *r);

static void __attribute__((format(printf, 2, 3)))
detail(struct run *r, const char *fmt, ...)
{
	va_list ap;
	char text[1000];

	if (r->answer.details.n >= DETAILS_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	p_strv_add(&r->answer.details, text);
}

/* An event of no order: in awod's log, and kept for whoever watches events. fields is taken. */
static void
tell(struct run *r, const char *level, const char *event, json_t *fields)
{
	char when[CLOCK_TEXT];
	struct store_tx *tx = store_tx(r->e->b->store);
	CLEAN_JSON json_t *line = json_pack("{s:s,s:s,s:s}", "timestamp", clock_format(clock_wall_us(), when), "level", level,
	    "event", event);
	CLEAN_FREE char *text = NULL;

	json_object_update(line, fields);
	json_decref(fields);
	text = json_dumps(line, JSON_COMPACT);
	AWO_ASSERT(text != NULL);
	if (strcmp(level, "error") == 0)
		log_error(event, LS("fields", text));
	else
		log_info(event, LS("fields", text));
	store_tx_event(tx, NULL, event, text);
	store_tx_commit(tx, NULL, NULL);
}

static void
failed(struct run *r, const char *what, int error)
{
	CLEAN_FREE char *text = xasprintf("%s: %s", what, strerror(error));

	if (r->answer.errors.n < 1000)
		p_strv_add(&r->answer.errors, text);
	tell(r, "error", "repository_removal_failed", json_pack("{s:s,s:s}", "path", what, "error", strerror(error)));
}

static void
add(struct run *r, const struct removal *what)
{
	struct removal *m = xcalloc(1, sizeof(*m));

	*m = *what;
	m->next = NULL;
	*r->tail = m;
	r->tail = &m->next;
}

static void
finish(struct run *r)
{
	struct awo_err none = {0};

	P_MARK(cleanup_answer, &r->answer, removed);
	P_MARK(cleanup_answer, &r->answer, kept);
	P_MARK(cleanup_answer, &r->answer, bytes_freed);
	P_MARK(cleanup_answer, &r->answer, errors);
	P_MARK(cleanup_answer, &r->answer, details);
	if (!r->dry && r->answer.removed + (int64_t)r->answer.errors.n > 0)
		tell(r, "info", "repository_cleanup_completed",
		    json_pack("{s:I,s:I,s:I}", "removed", (json_int_t)r->answer.removed, "kept", (json_int_t)r->answer.kept,
			"bytes_freed", (json_int_t)r->answer.bytes_freed));
	runs = r->next;
	if (r->done != NULL)
		r->done(r->arg, &none, &r->answer);
	P_FREE(cleanup_answer, &r->answer);
	free(r);
	if (runs != NULL)
		step(runs);
}

static void
on_row_gone(void *arg, const struct awo_err *err, const struct store_commit *commit)
{
	struct run *r = arg;

	(void)commit;
	free(r->now);
	r->now = NULL;
	if (err != NULL && err->code != AWO_OK && r->answer.errors.n < 1000)
		p_strv_add(&r->answer.errors, err->msg);
	else
		r->answer.removed++;
	step(r);
}

/* The workspace is gone: the record says so, and the log. */
static void
record_workspace(struct run *r, const struct removal *m, uint64_t bytes)
{
	struct engine *e = r->e;
	struct order_row row = {0};
	struct order_row *copy;
	struct live *l;
	struct change *c;

	if (live_find(e, m->id) != NULL || store_order_get(e->b->store, m->id, &row, NULL) != 0)
		return;
	copy = order_row_dup(&row);
	order_row_free(&row);
	copy->workspace_removed = true;
	l = live_new(e, copy);
	l->stage = LIVE_SETTLED;
	(void)journal_make(l);
	c = change_begin(l);
	change_event(c, "info", "workspace_removed",
	    json_pack("{s:I,s:s}", "bytes_freed", (json_int_t)bytes, "reason", m->why));
	change_commit(c, live_release, NULL);
}

void
retention_removed(struct engine *e, const struct sup_msg *msg)
{
	struct run *r = runs;
	struct removal *m = r != NULL ? r->now : NULL;
	bool mine = m != NULL && m->what != RM_RECORD && (msg->kind == SUP_ORDER ? strcmp(m->id, msg->id) == 0 :
	    m->uid == msg->owner_uid && strcmp(m->cache, msg->cache) == 0);

	if (msg->err != 0 && !mine)
		log_error("removal_failed", LS("agent_work_order_id", msg->id), LS("error", strerror(msg->err)));
	if (!mine)
		return;
	if (msg->err == EALREADY)
		r->answer.kept++;	/* somebody deletes the order at this moment */
	else if (msg->err != 0)
		failed(r, msg->kind == SUP_ORDER ? msg->id : msg->cache, msg->err);
	else {
		r->answer.removed++;
		r->answer.bytes_freed += (int64_t)msg->bytes;
		/* an order that is recorded is live meanwhile, and what else is to go would wait for the next run */
		if (m->what == RM_WORKSPACE && !m->forgotten)
			record_workspace(r, m, msg->bytes);
		if (m->what == RM_CACHE) {
			fetch_forget(e, m->uid, m->cache);
			tell(r, "info", "repository_removed",
			    json_pack("{s:s,s:I}", "path", m->cache, "bytes_freed", (json_int_t)msg->bytes));
		}
	}
	r->now = NULL;
	free(m);
	step(r);
}

static void
remove_log(struct run *r, const struct removal *m)
{
	struct order_row row = {0};
	struct stat st;
	char path[PATH_MAX];

	if (store_order_get(r->e->b->store, m->id, &row, NULL) != 0)
		return;
	journal_path(r->e, &row, path);
	order_row_free(&row);
	if (stat(path, &st) != 0)
		return;
	if (unlink(path) != 0)
		failed(r, path, errno);
	else {
		r->answer.removed++;
		r->answer.bytes_freed += st.st_size;
	}
}

bool
retention_holds(const char *id)
{
	return runs != NULL && runs->now != NULL && strcmp(runs->now->id, id) == 0;
}

/* Bytes that are missing for retention.min_free_percent. */
static int64_t
missing_bytes(const struct engine *e)
{
	struct statvfs fs;
	int64_t want, have;

	if (statvfs(e->b->opt->work_order_dir, &fs) != 0 || fs.f_blocks == 0)
		return 0;
	want = (int64_t)(fs.f_blocks * fs.f_frsize / 100) * e->b->conf->retention_min_free_percent;
	have = (int64_t)(fs.f_bavail * fs.f_frsize);
	return want > have ? want - have : 0;
}

static void
step(struct run *r)
{
	struct sup_msg msg;
	struct removal *m;

	while ((m = r->todo) != NULL) {
		r->todo = m->next;
		if (r->todo == NULL)
			r->tail = &r->todo;
		/* retried or prompted since the scan; or what went before was enough */
		if (m->what != RM_CACHE && (live_find(r->e, m->id) != NULL ||
			(m->if_short && !r->dry && missing_bytes(r->e) == 0))) {
			r->answer.kept += m->what == RM_WORKSPACE || m->what == RM_ORPHAN;
			free(m);
			continue;
		}
		detail(r, "%s %s (%s)", m->what == RM_CACHE ? "cache" : m->what == RM_LOG ? "log" :
		    m->what == RM_RECORD ? "record" : "workspace", m->what == RM_CACHE ? m->cache : m->id, m->why);
		if (r->dry) {
			r->answer.removed++;
			free(m);
			continue;
		}
		switch (m->what) {
		case RM_LOG:
			remove_log(r, m);
			free(m);
			continue;
		case RM_RECORD: {
			struct store_tx *tx = store_tx(r->e->b->store);

			store_tx_order_delete(tx, m->id);
			r->now = m;
			store_tx_commit(tx, on_row_gone, r);
			return;
		}
		case RM_WORKSPACE:
		case RM_ORPHAN:
			suplink_msg(&msg, SUP_REMOVE, SUP_ORDER);
			snprintf(msg.id, sizeof(msg.id), "%s", m->id);
			break;
		case RM_CACHE:
			suplink_msg(&msg, SUP_REMOVE, SUP_TASK);
			msg.owner_uid = m->uid;
			snprintf(msg.cache, sizeof(msg.cache), "%s", m->cache);
			break;
		}
		r->now = m;
		suplink_send(r->e->sup, &msg, NULL, 0);
		return;
	}
	finish(r);
}

static struct run *
run_new(struct engine *e, bool dry, engine_cleanup_done *done, void *arg)
{
	struct run *r = xcalloc(1, sizeof(*r));

	r->e = e;
	r->dry = dry;
	r->tail = &r->todo;
	r->done = done;
	r->arg = arg;
	return r;
}

static void
begin(struct run *r)
{
	struct run **p = &runs;

	if (!r->dry && r->todo != NULL)
		tell(r, "info", "repository_cleanup_started", json_object());
	while (*p != NULL)
		p = &(*p)->next;
	*p = r;
	if (runs == r)
		step(r);
}

/* ---- cleanup: what is old */

struct scan {
	struct run *r;
	int64_t now, workspace_before, log_before, record_before;
	int64_t need;			/* bytes that are missing: workspaces go, oldest first, until there is enough */
};

static int64_t
tree_size(int dirfd, const char *name, int depth)
{
	int64_t sum = 0;
	struct dirent *d;
	DIR *dir;
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || depth > 64 || (dir = fdopendir(fd)) == NULL) {
		if (fd >= 0)
			close(fd);
		return 0;
	}
	while ((d = readdir(dir)) != NULL) {
		struct stat st;

		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0 ||
		    fstatat(fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		sum += (int64_t)st.st_blocks * 512;
		if (S_ISDIR(st.st_mode))
			sum += tree_size(fd, d->d_name, depth + 1);
	}
	closedir(dir);
	return sum;
}

static int
scan_row(void *arg, struct order_row *row)
{
	struct scan *s = arg;
	struct removal m = {.why = "older than retention.workspace_days"};
	int64_t ended = row->pub.execution_completed_at;
	char path[PATH_MAX];
	/* nothing would know any more whose workspace and log it is */
	bool forgotten = s->record_before > 0 && ended < s->record_before;

	m.forgotten = forgotten;
	snprintf(m.id, sizeof(m.id), "%s", row->pub.agent_work_order_id);
	if (row->worker_started && !row->workspace_removed) {
		m.what = RM_WORKSPACE;
		if (ended < s->workspace_before || forgotten)
			add(s->r, &m);
		else if (s->need > 0) {
			m.why = "less free space than retention.min_free_percent";
			m.if_short = true;
			/* foreseen only where the tree can be read; what is needed shows as it goes */
			if (s->r->dry)
				s->need -= tree_size(AT_FDCWD,
				    (snprintf(path, sizeof(path), "%s/%s", s->r->e->b->opt->work_order_dir, m.id), path), 0);
			add(s->r, &m);
			m.if_short = false;
		} else
			s->r->answer.kept++;
	}
	if ((s->log_before > 0 && ended < s->log_before) || forgotten) {
		m.what = RM_LOG;
		m.why = "older than retention.log_days";
		journal_path(s->r->e, row, path);
		if (access(path, F_OK) == 0)
			add(s->r, &m);
	}
	if (forgotten) {
		m.what = RM_RECORD;
		m.why = "older than retention.record_days";
		add(s->r, &m);
	}
	return 0;
}

static int
cache_in_use(void *arg, struct order_row *row)
{
	struct removal *m = arg;
	char name[65];

	if (row->owner_uid != m->uid || row->workspace_removed)
		return 0;
	engine_cache_name(row->canonical_url, name);
	return strcmp(name, m->cache) == 0;
}

/* Calls back for each cache: repositories/<uid>/<64 digits>.git */
static void
each_cache(struct engine *e, void (*cb)(struct run *, struct removal *, int64_t modified_us), struct run *r)
{
	CLEAN_FD int top = open(e->b->opt->repository_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	struct dirent *u, *d;
	DIR *users;

	if (top < 0 || (users = fdopendir(dup(top))) == NULL)
		return;
	while ((u = readdir(users)) != NULL) {
		int fd = openat(top, u->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		DIR *dir = fd >= 0 && u->d_name[0] >= '0' && u->d_name[0] <= '9' ? fdopendir(fd) : NULL;

		if (dir == NULL) {
			if (fd >= 0)
				close(fd);
			continue;
		}
		while ((d = readdir(dir)) != NULL) {
			struct removal m = {.what = RM_CACHE, .uid = (uint32_t)strtoul(u->d_name, NULL, 10)};
			struct stat st;

			if (strlen(d->d_name) != 68 || strcmp(d->d_name + 64, ".git") != 0 ||
			    fstatat(fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
				continue;
			memcpy(m.cache, d->d_name, 64);
			cb(r, &m, (int64_t)st.st_mtim.tv_sec * 1000000);
		}
		closedir(dir);
	}
	closedir(users);
}

static void
old_cache(struct run *r, struct removal *m, int64_t modified_us)
{
	int64_t days = r->e->b->conf->retention_cache_days;

	m->why = "unused for retention.cache_days";
	if (days == 0 || modified_us > clock_wall_us() - days * DAY_US ||
	    store_order_scan(r->e->b->store, W_ANY, cache_in_use, m, NULL) != 0)
		return;
	add(r, m);
}

void
engine_cleanup(struct engine *e, bool dry_run, engine_cleanup_done *done, void *arg)
{
	const struct config *c = e->b->conf;
	struct run *r = run_new(e, dry_run, done, arg);
	struct scan s = {.r = r, .now = clock_wall_us(), .need = missing_bytes(e)};

	s.workspace_before = s.now - c->retention_workspace_days * DAY_US;
	s.log_before = c->retention_log_days > 0 ? s.now - c->retention_log_days * DAY_US : 0;
	s.record_before = c->retention_record_days > 0 ? s.now - c->retention_record_days * DAY_US : 0;
	if (store_terminal_before(e->b->store, s.now, scan_row, &s, NULL) != 0)
		log_error("retention_scan_failed", LS("error", "the database could not be read"));
	each_cache(e, old_cache, r);
	begin(r);
}

/* ---- reconcile: what no record knows */

void
engine_reconcile(struct engine *e, bool dry_run, engine_cleanup_done *done, void *arg)
{
	struct run *r = run_new(e, dry_run, done, arg);
	DIR *dir = opendir(e->b->opt->work_order_dir);
	struct dirent *d;

	if (dir == NULL)
		failed(r, e->b->opt->work_order_dir, errno);
	while (dir != NULL && (d = readdir(dir)) != NULL) {
		struct removal m = {.what = RM_ORPHAN, .why = "no order has this workspace"};
		struct order_row row = {0};
		struct awo_err err = {0};

		if (!ids_is_order(d->d_name))
			continue;
		memcpy(m.id, d->d_name, ID_ORDER_LEN + 1);
		if (live_find(e, m.id) != NULL)
			r->answer.kept++;
		else if (store_order_get(e->b->store, m.id, &row, &err) == 0) {
			r->answer.kept++;
			order_row_free(&row);
		} else if (err.code == AWO_NOT_FOUND)
			add(r, &m);
	}
	if (dir != NULL)
		closedir(dir);
	if (!dry_run)
		links_sweep(e);
	begin(r);
}

/* ---- a file that is given up when the disk is full, so that the record can still be written and space be made */

static int64_t
free_bytes(const char *path)
{
	struct statvfs fs;

	return statvfs(path, &fs) == 0 ? (int64_t)(fs.f_bavail * fs.f_frsize) : -1;
}

static void
reserve_path(const struct engine *e, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/reserve", e->b->opt->state_dir);
}

static void
make_reserve(const struct engine *e)
{
	char path[PATH_MAX];
	int fd;

	if (free_bytes(e->b->opt->state_dir) < ROOM_FOR_RESERVE)
		return;
	reserve_path(e, path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return;		/* it is there */
	if (posix_fallocate(fd, 0, RESERVE_BYTES) != 0)
		unlink(path);
	close(fd);
}

void
retention_disk_full(struct engine *e)
{
	struct timeval soon = {.tv_sec = 5};
	int64_t left = free_bytes(e->b->opt->state_dir);
	char path[PATH_MAX];

	reserve_path(e, path);
	if (left < 0 || left > FULL_BYTES || unlink(path) != 0)
		return;
	log_warning("disk_reserve_released", LS("path", path), LI("bytes", RESERVE_BYTES));
	if (e->hourly != NULL)
		evtimer_add(e->hourly, &soon);
}

/* ---- by the clock */

static void
on_hour(evutil_socket_t fd, short what, void *arg)
{
	struct engine *e = arg;
	struct timeval hour = {.tv_sec = 3600};

	(void)fd;
	(void)what;
	engine_cleanup(e, false, NULL, NULL);
	links_sweep(e);
	make_reserve(e);
	evtimer_add(e->hourly, &hour);
}

void
retention_open(struct engine *e)
{
	struct timeval soon = {.tv_sec = 60};

	e->hourly = evtimer_new(e->b->base, on_hour, e);
	AWO_ASSERT(e->hourly != NULL);
	evtimer_add(e->hourly, &soon);
	make_reserve(e);
}

void
retention_close(struct engine *e)
{
	if (e->hourly != NULL)
		event_free(e->hourly);
	e->hourly = NULL;
	while (runs != NULL) {
		struct run *r = runs;

		runs = r->next;
		free(r->now);
		while (r->todo != NULL) {
			struct removal *m = r->todo;

			r->todo = m->next;
			free(m);
		}
		P_FREE(cleanup_answer, &r->answer);
		free(r);
	}
}
