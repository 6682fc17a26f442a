/* The order's log as its worker writes it: one JSON object a line, one write a line, state lines
 * synced before it waits. */
#ifndef WORKER_JOURNAL_H
#define WORKER_JOURNAL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "proto/schema.h"

struct journal {
	int fd;
	struct buf context; /* `"agent_work_order_id":...,...`: the keys that every line carries */
	char step[129];	    /* bound into each line while a step runs, or "" */
	uint64_t limit, size; /* of the whole log, in bytes */
	uint64_t dropped_lines, dropped_bytes;
	bool exceeded; /* limit_exceeded has been written */
	bool unsynced; /* a state line is not on the disk yet */
	bool failed;   /* a state line could not be written: the order cannot go on */
};

/* Takes over fd. context: object whose members follow the ids, in its order; may be NULL. */
void journal_open(struct journal *j, int fd, const char *id, const json_t *context, uint64_t limit);
void journal_close(struct journal *j);
void journal_step(struct journal *j, const char *step); /* NULL: none */
/*
 * Writes one line. fields is taken over (NULL: none); a member "step" replaces the bound one. A
 * state line is tried again for some seconds when the disk is full; -1 when it is still not down
 * (journal.failed is then set). Lines of agent_output beyond the limit are dropped and counted.
 */
int journal_write(struct journal *j, enum p_event_id event, enum p_log_level level, json_t *fields);
/*
 * State lines are on the disk when it returns; -1 (and failed) when they cannot be. To be called before the worker waits for
 * anything, and before it does what others see: lines that come together share one sync, and what they tell of runs meanwhile.
 */
int journal_sync(struct journal *j);
/* What was dropped, told once at the end. */
void journal_report(struct journal *j);

/* A JSON string of text of unknown origin: made UTF-8, at most max bytes, a longer one ends with
 * "...". */
json_t *journal_text(const char *s, size_t len, size_t max);
/* Sets key to text as journal_text() makes it, or to null for NULL. */
void journal_set_text(json_t *object, const char *key, const char *s, size_t max);

#endif
