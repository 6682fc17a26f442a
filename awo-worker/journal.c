/* The order's log as its worker writes it: one JSON object a line, one write a line, state lines
 * synced before it waits. */
#include "awo-worker/journal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/clean.h"
#include "common/clock.h"
#include "common/files.h"
#include "common/log.h"
#include "common/text.h"

#define TRIES 20     /* of a state line */
#define PAUSE_MS 250 /* between them */

static void
add_json(struct buf *b, const char *key, const json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

	if (text != NULL)
		buf_printf(b, ",\"%s\":%s", key, text);
	free(text);
}

void
journal_open(struct journal *j, int fd, const char *id, const json_t *context, uint64_t limit)
{
	const char *key;
	json_t *value;
	struct stat st;

	*j = (struct journal){.fd = fd, .limit = limit};
	/* an earlier attempt wrote to the same log: its bytes count */
	if (fstat(fd, &st) == 0 && st.st_size > 0)
		j->size = (uint64_t)st.st_size;
	buf_printf(&j->context, "\"agent_work_order_id\":\"%s\",\"work_order_id\":\"%s\"", id, id);
	json_object_foreach((json_t *)(uintptr_t)context, key, value)
	    add_json(&j->context, key, value);
}

void
journal_close(struct journal *j)
{
	buf_free(&j->context);
	if (j->fd >= 0)
		close(j->fd);
	j->fd = -1;
}

void
journal_step(struct journal *j, const char *step)
{
	size_t len = step != NULL ? strnlen(step, sizeof(j->step) - 1) : 0;

	if (len > 0)
		memcpy(j->step, step, len);
	j->step[len] = '\0';
}

/* One attempt at one line. */
static int
put_line(struct journal *j, const struct buf *line)
{
	if (files_append_line(j->fd, line->p, line->len) != 0)
		return -1;
	j->size += line->len;
	return 0;
}

static int
failed(struct journal *j)
{
	log_error("journal_write_failed", LS("error", strerror(errno)));
	j->failed = true;
	return -1;
}

static int
put_state(struct journal *j, const struct buf *line)
{
	const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};

	for (int i = 0; i < TRIES; i++) {
		if (put_line(j, line) == 0) {
			j->unsynced = true;
			return j->failed ? -1 : 0;
		}
		nanosleep(&pause, NULL);
	}
	return failed(j);
}

int
journal_sync(struct journal *j)
{
	if (!j->unsynced)
		return j->failed ? -1 : 0;
	j->unsynced = false;
	/* a pipe or /dev/null under test cannot be synced */
	if (fdatasync(j->fd) != 0 && errno != EINVAL && errno != EROFS)
		return failed(j);
	return j->failed ? -1 : 0;
}

static void
exceeded(struct journal *j)
{
	json_t *f;

	if (j->exceeded)
		return;
	j->exceeded = true;
	f = json_object();
	json_object_set_new(f, "limit", json_string("log_bytes"));
	json_object_set_new(f, "value", json_integer((json_int_t)j->limit));
	journal_write(j, P_E_limit_exceeded, log_level_warning, f);
}

int
journal_write(struct journal *j, enum p_event_id event, enum p_log_level level, json_t *fields)
{
	json_t *own CLEAN_JSON = fields;
	struct buf line CLEAN_BUF = {0};
	json_t *step;
	char when[CLOCK_TEXT];
	char *text;

	buf_printf(&line, "{\"timestamp\":\"%s\",\"level\":\"%s\",\"event\":\"%s\",",
	    clock_format(clock_wall_us(), when), P_ENUM_NAME(log_level, level),
	    p_events[event].name);
	buf_add(&line, j->context.p, j->context.len);
	step = json_object_get(own, "step");
	if (json_is_string(step)) {
		add_json(&line, "step", step);
	} else if (j->step[0] != '\0') {
		json_t *s CLEAN_JSON = journal_text(j->step, strlen(j->step), sizeof(j->step));

		add_json(&line, "step", s);
	}
	json_object_del(own, "step");
	if (json_object_size(own) > 0) {
		text = json_dumps(own, JSON_COMPACT);
		if (text != NULL) {
			buf_addc(&line, ',');
			buf_add(&line, text + 1, strlen(text) - 2);
			free(text);
		}
	}
	buf_adds(&line, "}\n");
	if (event == P_E_agent_output && (j->size >= j->limit || line.len > j->limit - j->size)) {
		j->dropped_lines++;
		j->dropped_bytes += line.len;
		exceeded(j);
		return 0;
	}
	if (p_events[event].state)
		return put_state(j, &line);
	if (put_line(j, &line) != 0)
		log_warning("journal_line_lost", LS("event", p_events[event].name));
	return 0;
}

void
journal_report(struct journal *j)
{
	json_t *f;

	if (j->dropped_lines == 0)
		return;
	f = json_object();
	json_object_set_new(f, "limit", json_string("log_bytes"));
	json_object_set_new(f, "value", json_integer((json_int_t)j->limit));
	json_object_set_new(f, "dropped_lines", json_integer((json_int_t)j->dropped_lines));
	json_object_set_new(f, "dropped_bytes", json_integer((json_int_t)j->dropped_bytes));
	journal_write(j, P_E_limit_exceeded, log_level_warning, f);
}

json_t *
journal_text(const char *s, size_t len, size_t max)
{
	struct buf b CLEAN_BUF = {0};

	if (len > max && max > 3) {
		text_add_utf8(&b, s, len, max - 3);
		buf_adds(&b, "...");
	} else {
		text_add_utf8(&b, s, len, max);
	}
	return json_stringn(b.len > 0 ? b.p : "", b.len);
}

void
journal_set_text(json_t *object, const char *key, const char *s, size_t max)
{
	json_object_set_new(object, key, s != NULL ? journal_text(s, strlen(s), max) : json_null());
}
