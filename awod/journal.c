/* Logs of orders: appending the broker's lines, following and taking in the workers'. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "awod/engine_priv.h"
#include "common/buf.h"
#include "common/clean.h"
#include "common/clock.h"
#include "common/files.h"
#include "common/log.h"

#define SLICE ((size_t)256 * 1024)	/* bytes of one log taken in before others have their turn */
#define STATE_LINE_MAX ((size_t)1024 * 1024) /* a longer state line is not believed */
#define HEAD_SCAN 400			/* the event's name stands in the first bytes of a line */

void
journal_path(const struct engine *e, const struct order_row *row, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/agent_work_orders/%s/%s.jsonl", e->b->opt->log_dir, row->log_date,
	    row->pub.agent_work_order_id);
}

/* The event_id of the last line in the file that has one; 0 when none has. Reads backwards, block by block. */
static int64_t
last_event_id(int fd)
{
	static const char key[] = ",\"event_id\":";
	enum { BLOCK = 65536, OVERLAP = 64 };	/* a key across two blocks is whole in the earlier one's overlap */
	CLEAN_FREE char *block = xcalloc(1, BLOCK + OVERLAP + 1);
	struct stat st;

	if (fstat(fd, &st) != 0)
		return 0;
	for (off_t end = st.st_size; end > 0; end -= BLOCK) {
		off_t begin = end > BLOCK ? end - BLOCK : 0;
		ssize_t n = pread(fd, block, (size_t)(end - begin) + OVERLAP, begin);

		if (n <= 0)
			return 0;
		block[n] = '\0';
		for (ssize_t i = n - (ssize_t)sizeof(key); i >= 0; i--) {
			char *tail;
			long long id;

			if (memcmp(block + i, key, sizeof(key) - 1) != 0)
				continue;
			id = strtoll(block + i + sizeof(key) - 1, &tail, 10);
			if (id > 0 && tail[0] == '}' && tail[1] == '\n')
				return id;
		}
	}
	return 0;
}

static int
append_line(int fd, int64_t event_id, const char *line)
{
	CLEAN_BUF struct buf b = {0};

	buf_add(&b, line, strlen(line) - 1);
	buf_printf(&b, ",\"event_id\":%lld}\n", (long long)event_id);
	return files_append_line(fd, b.p, b.len);
}

struct sync_arg {
	int fd;
	int64_t last;
	int error;
};

static int
sync_row(void *arg, int64_t id, const char *order_id, const char *line)
{
	struct sync_arg *s = arg;

	(void)order_id;
	if (id <= s->last)
		return 0;
	if (append_line(s->fd, id, line) != 0) {
		s->error = errno;
		return 1;
	}
	s->last = id;
	return 0;
}

/* Brings the events of the store that are missing into the file. The file is the broker's own to open. */
static int
sync_events(struct engine *e, int fd, const char *id, int64_t *last)
{
	struct sync_arg s = {.fd = fd, .last = last_event_id(fd)};
	struct awo_err err = {0};

	if (store_events(e->b->store, s.last, id, 0, sync_row, &s, &err) != 0) {
		log_error("log_sync_failed", LS("agent_work_order_id", id), LS("error", err.msg));
		errno = EIO;
		return -1;
	}
	if (s.error != 0) {
		errno = s.error;
		return -1;
	}
	*last = s.last;
	return 0;
}

static int
open_file(struct engine *e, const struct order_row *row, int flags)
{
	char path[PATH_MAX];
	int fd;

	journal_path(e, row, path);
	fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd < 0 && errno == ENOENT && (flags & O_CREAT) != 0) {
		char *slash = strrchr(path, '/');
		*slash = '\0';
		if (files_mkdirs(AT_FDCWD, path, 0750) != 0)
			return -1;
		*slash = '/';
		fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0640);
	}
	return fd;
}

int
engine_log_open(struct engine *e, const struct order_row *row)
{
	struct live *l = live_find(e, row->pub.agent_work_order_id);
	int64_t last = 0;
	int fd, flags = O_RDWR | O_APPEND;

	if (l != NULL) {
		if (journal_make(l) != 0)
			return -1;
		return open_file(e, row, O_RDONLY);
	}
	/* a terminal order whose log retention has removed does not get a new one */
	if (!order_is_terminal(row->pub.status))
		flags |= O_CREAT;
	fd = open_file(e, row, flags);
	if (fd < 0 && errno == ENOENT && row->journal_offset == 0)
		fd = open_file(e, row, flags | O_CREAT);
	/* what is there can be read all the same */
	if (fd < 0 && errno == EROFS)
		return open_file(e, row, O_RDONLY);
	if (fd < 0)
		return -1;
	if (sync_events(e, fd, row->pub.agent_work_order_id, &last) != 0) {
		int saved = errno;
		close(fd);
		errno = saved;
		return -1;
	}
	(void)lseek(fd, 0, SEEK_SET);
	return fd;
}

int
journal_make(struct live *l)
{
	struct engine *e = l->e;
	char path[PATH_MAX];

	if (l->log_fd >= 0)
		return 0;
	l->log_fd = open_file(e, l->row, O_RDWR | O_APPEND | O_CREAT);
	if (l->log_fd < 0)
		return -1;
	if (sync_events(e, l->log_fd, l->row->pub.agent_work_order_id, &l->row->event_appended) != 0) {
		int saved = errno;
		close(l->log_fd);
		l->log_fd = -1;
		errno = saved;
		return -1;
	}
	l->read_offset = l->row->journal_offset;
	journal_path(e, l->row, path);
	l->followed_next = e->followed;
	e->followed = l;
	l->watch = inotify_add_watch(e->inotify, path, IN_MODIFY);
	if (l->watch < 0)
		log_error("log_watch_failed", LS("path", path), LS("error", strerror(errno)));
	server_log_grew(e->b->server, l->row->pub.agent_work_order_id);
	return 0;
}

void
journal_forget(struct live *l)
{
	if (l->watch >= 0)
		inotify_rm_watch(l->e->inotify, l->watch);
	l->watch = -1;
	if (l->log_fd >= 0) {
		struct live **p = &l->e->followed;

		while (*p != l)
			p = &(*p)->followed_next;
		*p = l->followed_next;
		close(l->log_fd);
	}
	l->log_fd = -1;
	if (l->dirty) {
		struct live **p = &l->e->dirty;

		while (*p != l)
			p = &(*p)->dirty_next;
		*p = l->dirty_next;
		l->dirty = false;
	}
}

int
journal_dup_for_worker(struct live *l)
{
	return open_file(l->e, l->row, O_RDWR | O_APPEND);
}

void
journal_append(struct live *l, int64_t event_id, const char *line)
{
	if (l->log_fd >= 0 && event_id > l->row->event_appended) {
		/* what could not be appended stays in the store, and comes into the log before anything newer does */
		if (l->append_failed)
			l->append_failed = sync_events(l->e, l->log_fd, l->row->pub.agent_work_order_id,
			    &l->row->event_appended) != 0;
		else if (append_line(l->log_fd, event_id, line) != 0)
			l->append_failed = true;
		else
			l->row->event_appended = event_id;
		if (l->append_failed)
			log_error("log_append_failed", LS("agent_work_order_id", l->row->pub.agent_work_order_id),
			    LS("error", strerror(errno)));
		server_log_grew(l->e->b->server, l->row->pub.agent_work_order_id);
	}
	server_event(l->e->b->server, l->row->owner_uid, event_id, line);
}

/* The event of a line, without parsing it: names stand near its beginning. Anything odd is no event. */
static enum p_event_id
line_event(const char *p, size_t len)
{
	static const char key[] = "\"event\":\"";
	const char *hit = memmem(p, len < HEAD_SCAN ? len : HEAD_SCAN, key, sizeof(key) - 1);
	char name[64];
	size_t n = 0;

	if (hit == NULL)
		return P_E__NONE;
	for (hit += sizeof(key) - 1; hit < p + len && *hit != '"' && n < sizeof(name) - 1; hit++)
		name[n++] = *hit;
	name[n] = '\0';
	return p_event_find(name);
}

static void
take_final(struct live *l, enum p_event_id event, const json_t *line)
{
	const char *s;
	json_int_t after;

	if (event == P_E_workflow_completed) {
		l->final = FINAL_COMPLETED;
		return;
	}
	l->final = FINAL_FAILED;
	s = json_string_value(json_object_get(line, "error_category"));
	l->category = (enum p_error_category)p_enum_value(&p_enum_error_category, s != NULL ? s : "internal");
	if (l->category == error_category_none)
		l->category = error_category_internal;
	s = json_string_value(json_object_get(line, "error_message"));
	free(l->error);
	l->error = xstrndup(s != NULL ? s : "the worker gave no reason", 8000);
	after = json_integer_value(json_object_get(line, "retry_after_seconds"));
	l->retry_after_s = after > 0 ? after : 0;
	l->forced = l->forced || json_is_true(json_object_get(line, "forced"));
}

/* A prompt whose step failed for a reason that lies outside of it is run again with the order. */
static bool
is_repeatable(const json_t *line)
{
	const char *s = json_string_value(json_object_get(line, "error_category"));

	if (json_is_true(json_object_get(line, "success")) || s == NULL)
		return false;
	switch ((enum p_error_category)p_enum_value(&p_enum_error_category, s)) {
	case error_category_transient:
	case error_category_timeout:
	case error_category_cancelled:
	case error_category_resource:
	case error_category_git:
	case error_category_github:
	case error_category_internal:
		return true;
	case error_category_none:
	case error_category_permanent:
	case error_category_agent:
		break;
	}
	return false;
}

/* One complete line of the worker's. Returns whether the record changed. */
static bool
take_line(struct live *l, const char *p, size_t len, struct change **change)
{
	const struct p_order *o = &l->row->pub;
	enum p_event_id event = line_event(p, len);
	struct p_step step;
	bool step_changed = false;
	json_t *line;
	const char *id;

	if (event == P_E__NONE || !p_events[event].state || (p_events[event].writer & P_WRITER_WORKER) == 0 ||
	    len > STATE_LINE_MAX)
		return false;
	/* the reader of JSON overlooks a NUL behind a number, and who watches would get half a line */
	if (memchr(p, '\0', len) != NULL)
		return false;
	line = json_loadb(p, len, JSON_REJECT_DUPLICATES, NULL);
	id = json_string_value(json_object_get(line, "agent_work_order_id"));
	if (line == NULL || json_object_get(line, "event_id") != NULL || id == NULL ||
	    strcmp(id, o->agent_work_order_id) != 0) {
		json_decref(line);
		return false;
	}
	if (*change == NULL)
		*change = change_begin(l);
	memset(&step, 0, sizeof(step));
	order_take_line(l->row, event, line, clock_wall_us(), &step, &step_changed);
	if (step_changed)
		store_tx_step_put(change_tx(*change), o->agent_work_order_id, &step);
	if (event == P_E_step_completed && step_changed) {
		histogram_add(&l->e->step_time, step.duration_seconds);
		l->e->input_tokens += (double)step.usage.input_tokens;
		l->e->output_tokens += (double)step.usage.output_tokens;
		l->e->cost_usd += step.usage.cost_usd;
	}
	if (event == P_E_step_completed) {
		json_int_t prompt = json_integer_value(json_object_get(line, "prompt_id"));

		if (prompt > 0 && !is_repeatable(line))
			store_tx_prompt_done(change_tx(*change), prompt);
	}
	if (event == P_E_workflow_completed || event == P_E_workflow_failed)
		take_final(l, event, line);
	if (event == P_E_workflow_gate_reached)
		live_at_gate(l);
	if (step_changed)
		P_FREE(step, &step);
	{
		CLEAN_FREE char *text = xstrndup(p, len);

		/* who hears of it may ask at once, and is not to get what was before */
		server_changed(l->e->b->server);
		server_event(l->e->b->server, l->row->owner_uid, 0, text);
	}
	json_decref(line);
	return true;
}

static void
truncated(struct live *l, int64_t size)
{
	struct change *c;

	log_error("journal_truncated", LS("agent_work_order_id", l->row->pub.agent_work_order_id),
	    LI("expected_bytes", l->read_offset), LI("found_bytes", size));
	c = change_begin(l);
	change_event(c, "error", "journal_truncated",
	    json_pack("{s:I,s:I}", "expected_bytes", (json_int_t)l->read_offset, "found_bytes", (json_int_t)size));
	l->read_offset = l->row->journal_offset = size;
	l->final = FINAL_FAILED;
	l->category = error_category_internal;
	free(l->error);
	l->error = xstrdup("the order's log was made shorter by a process of the order");
	change_commit(c, NULL, NULL);
	if (l->stage == LIVE_WORKING) {
		struct sup_msg m;

		suplink_msg(&m, SUP_KILL, SUP_ORDER);
		snprintf(m.id, sizeof(m.id), "%s", l->row->pub.agent_work_order_id);
		suplink_send(l->e->sup, &m, NULL, 0);
	}
}

/* Takes in at most one slice. Returns whether there is more. */
static bool
take_slice(struct live *l)
{
	CLEAN_FREE char *p = NULL;
	struct change *change = NULL;
	struct stat st;
	int64_t done = 0;
	size_t want = SLICE;
	ssize_t n;

	if (l->log_fd < 0 || fstat(l->log_fd, &st) != 0)
		return false;
	if (st.st_size < l->read_offset) {
		truncated(l, st.st_size);
		return false;
	}
	if (st.st_size == l->read_offset)
		return false;
	for (;;) {
		p = xrealloc(p, want, 1);
		n = pread(l->log_fd, p, want, l->read_offset);
		if (n <= 0)
			return false;
		if (memchr(p, '\n', (size_t)n) != NULL)
			break;
		if ((size_t)n < want)
			return false;	/* the line is still being written */
		if (want > 4 * STATE_LINE_MAX) {
			l->read_offset += n;	/* no line of ours: skip what no reader would believe */
			return true;
		}
		want *= 2;
	}
	for (;;) {
		char *nl = memchr(p + done, '\n', (size_t)(n - done));

		if (nl == NULL)
			break;
		take_line(l, p + done, (size_t)(nl - (p + done)), &change);
		/* only the order's end makes the last line's effect durable: until then it is read again after a crash */
		if (l->final != FINAL_NONE && l->final_at == 0)
			l->final_at = l->read_offset + done;
		done = nl - p + 1;
	}
	l->read_offset += done;
	if (change != NULL) {
		l->row->journal_offset = l->final_at != 0 ? l->final_at : l->read_offset;
		change_commit(change, NULL, NULL);
	}
	server_log_grew(l->e->b->server, l->row->pub.agent_work_order_id);
	return l->read_offset < st.st_size;
}

void
journal_drain(struct live *l)
{
	while (take_slice(l))
		;
}

static void
mark_dirty(struct live *l)
{
	if (l->dirty)
		return;
	l->dirty = true;
	l->dirty_next = l->e->dirty;
	l->e->dirty = l;
	event_active(l->e->drain_ev, EV_TIMEOUT, 0);
}

/* One slice of each log that has grown, then the loop has its turn again. */
static void
on_drain(evutil_socket_t fd, short what, void *arg)
{
	struct engine *e = arg;
	struct live *l, *list = e->dirty;

	(void)fd;
	(void)what;
	e->dirty = NULL;
	for (l = list; l != NULL; l = l->dirty_next)
		l->dirty = false;
	while ((l = list) != NULL) {
		list = l->dirty_next;
		if (take_slice(l))
			mark_dirty(l);
		live_taken(l);		/* may free l */
	}
}

static void
on_inotify(evutil_socket_t fd, short what, void *arg)
{
	struct engine *e = arg;
	char buf[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
	bool overflow = false;
	ssize_t n;

	(void)what;
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		for (char *p = buf; p < buf + n;) {
			const struct inotify_event *ev = (const struct inotify_event *)(const void *)p;

			p += sizeof(*ev) + ev->len;
			if ((ev->mask & IN_Q_OVERFLOW) != 0)
				overflow = true;
			for (struct live *l = e->followed; l != NULL && !overflow; l = l->followed_next)
				if (l->watch == ev->wd) {
					mark_dirty(l);
					break;
				}
		}
	if (overflow)
		for (struct live *l = e->followed; l != NULL; l = l->followed_next)
			mark_dirty(l);
}

int
journal_open(struct engine *e)
{
	e->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (e->inotify < 0)
		return -1;
	e->inotify_ev = event_new(e->b->base, e->inotify, EV_READ | EV_PERSIST, on_inotify, e);
	e->drain_ev = event_new(e->b->base, -1, 0, on_drain, e);
	return e->inotify_ev == NULL || e->drain_ev == NULL ? -1 : event_add(e->inotify_ev, NULL);
}

void
journal_close(struct engine *e)
{
	if (e->inotify_ev != NULL)
		event_free(e->inotify_ev);
	if (e->drain_ev != NULL)
		event_free(e->drain_ev);
	if (e->inotify >= 0)
		close(e->inotify);
}
