/* Audit events: changes of credentials, settings and tokens, stored with the change and shown to
 * administrators. */
#include <stdlib.h>

#include "awod/server_priv.h"
#include "common/clock.h"

char *
audit_event(struct store_tx *tx, const struct caller *by, const char *event, json_t *fields)
{
	char when[CLOCK_TEXT], *text;
	json_t *line;

	AWO_ASSERT(p_event_find(event) != P_E__NONE);
	line =
	    json_pack("{s:s, s:s, s:s, s:s, s:I}", "timestamp", clock_format(clock_wall_us(), when),
		"level", "info", "event", event, "by", by->user, "uid", (json_int_t)by->uid);
	AWO_ASSERT(line != NULL);
	if (by->via[0] != '\0')
		json_object_set_new(line, "via", json_string(by->via));
	if (fields != NULL) {
		json_object_update_missing(line, fields);
		json_decref(fields);
	}
	text = json_dumps(line, JSON_COMPACT);
	AWO_ASSERT(text != NULL);
	json_decref(line);
	store_tx_event(tx, NULL, event, text);
	return text;
}

struct audit {
	struct broker *b;
	char *line;
	store_done *done;
	void *arg;
};

static void
committed(void *arg, const struct awo_err *err, const struct store_commit *commit)
{
	struct audit *a = arg;

	if ((err == NULL || err->code == AWO_OK) && commit != NULL && commit->nevents > 0)
		server_event(a->b->server, AUDIT_OWNER, commit->event_ids[0], a->line);
	a->done(a->arg, err, commit);
	free(a->line);
	free(a);
}

void
audit_commit(struct broker *b, struct store_tx *tx, char *line, store_done *done, void *arg)
{
	struct audit *a = xcalloc(1, sizeof(*a));

	*a = (struct audit){.b = b, .line = line, .done = done, .arg = arg};
	store_tx_commit(tx, committed, a);
}
