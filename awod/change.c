/* One transaction on one order: the record, its events, and what follows when both are durable. */
#include "awod/engine_priv.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/log.h"

#define AGAIN_S 2

struct change {
	struct change *next;	/* unsaved */
	bool sure, again;
	struct live *l;
	struct store_tx *tx;
	char **lines;
	size_t nlines;
	change_then *then;
	void *arg;
};

struct change *
change_begin(struct live *l)
{
	struct change *c = xcalloc(1, sizeof(*c));

	c->l = l;
	c->tx = store_tx(l->e->b->store);
	return c;
}

struct store_tx *
change_tx(struct change *c)
{
	return c->tx;
}

void
change_event(struct change *c, const char *level, const char *event, json_t *fields)
{
	const struct p_order *o = &c->l->row->pub;
	char when[CLOCK_TEXT];
	json_t *line = json_object();
	const char *key;
	json_t *value;
	char *text;

	json_object_set_new(line, "timestamp", json_string(clock_format(clock_wall_us(), when)));
	json_object_set_new(line, "level", json_string(level));
	json_object_set_new(line, "event", json_string(event));
	json_object_set_new(line, "agent_work_order_id", json_string(o->agent_work_order_id));
	json_object_set_new(line, "work_order_id", json_string(o->agent_work_order_id));
	json_object_set_new(line, "repository_url", json_string(o->repository_url));
	json_object_set_new(line, "workflow_type",
	    o->workflow_type != NULL ? json_string(o->workflow_type) : json_null());
	json_object_set_new(line, "sandbox_type",
	    json_string(P_ENUM_NAME(sandbox_type, o->sandbox_type)));
	if (fields != NULL) {
		json_object_foreach(fields, key, value)
			json_object_set(line, key, value);
		json_decref(fields);
	}
	text = json_dumps(line, JSON_COMPACT);
	AWO_ASSERT(text != NULL);
	json_decref(line);
	store_tx_event(c->tx, o->agent_work_order_id, event, text);
	c->lines = xrealloc(c->lines, c->nlines + 1, sizeof(*c->lines));
	c->lines[c->nlines++] = text;
}

static void
change_free(struct change *c)
{
	for (size_t i = 0; i < c->nlines; i++)
		free(c->lines[i]);
	free(c->lines);
	free(c);
}

static void committed(void *arg, const struct awo_err *err, const struct store_commit *commit);

static void
on_save_again(evutil_socket_t fd, short what, void *arg)
{
	struct engine *e = arg;
	struct change *c, *list = e->unsaved;

	(void)fd;
	(void)what;
	e->unsaved = NULL;
	e->unsaved_tail = &e->unsaved;
	while ((c = list) != NULL) {
		list = c->next;
		c->next = NULL;
		c->l->unsaved--;
		c->again = !c->l->trying_again;
		c->l->trying_again = true;
		store_tx_chain(c->tx, &c->l->chain_broken, c->again ? STORE_AGAIN : STORE_SURE);
		store_tx_commit(c->tx, committed, c);
	}
}

static void
save_later(struct change *c)
{
	static const struct timeval again = {.tv_sec = AGAIN_S};
	struct engine *e = c->l->e;

	/* what runs may be what fills the disk, and would take the reserve as well */
	if (order_is_terminal(c->l->row->pub.status))
		retention_disk_full(e);
	c->next = NULL;
	c->l->unsaved++;
	*e->unsaved_tail = c;
	e->unsaved_tail = &c->next;
	if (!evtimer_pending(e->save_again, NULL))
		evtimer_add(e->save_again, &again);
	live_unsaved(c->l);
}

static void
keep(struct change *c, const struct awo_err *err, const struct store_commit *commit)
{
	log_error("order_change_delayed", LS("agent_work_order_id", c->l->row->pub.agent_work_order_id),
	    LS("error", err->msg));
	c->tx = store_tx_keep(commit);
	save_later(c);
}

static void
committed(void *arg, const struct awo_err *err, const struct store_commit *commit)
{
	struct change *c = arg;
	struct live *l = c->l;
	bool ok = err == NULL || err->code == AWO_OK;

	AWO_ASSERT(l->commits > 0);
	if (c->again)
		l->trying_again = false;
	if (!ok && c->sure && !l->e->closing && (err->code == AWO_UNAVAILABLE || err->code == AWO_RESOURCE_EXHAUSTED)) {
		keep(c, err, commit);
		return;
	}
	l->commits--;
	if (!ok)
		log_error("order_change_failed", LS("agent_work_order_id", l->row->pub.agent_work_order_id),
		    LS("error", err->msg));
	else
		for (size_t i = 0; i < c->nlines && i < commit->nevents; i++)
			journal_append(l, commit->event_ids[i], c->lines[i]);
	if (c->then != NULL)
		c->then(l, ok, c->arg);	/* may free l */
	change_free(c);
}

static void
commit_now(struct change *c, bool sure, change_then *then, void *arg)
{
	c->sure = sure;
	c->then = then;
	c->arg = arg;
	c->l->commits++;
	/* the live order is seen as it is from now on */
	server_changed(c->l->e->b->server);
	store_tx_order_update(c->tx, c->l->row);
	/* a later change says that its order's log has been taken in up to a place: not without what an earlier one took in */
	store_tx_chain(c->tx, &c->l->chain_broken, sure ? STORE_SURE : STORE_TRY);
	/* events keep their order */
	if (sure && c->l->unsaved > 0)
		save_later(c);
	else
		store_tx_commit(c->tx, committed, c);
}

void
change_commit(struct change *c, change_then *then, void *arg)
{
	commit_now(c, true, then, arg);
}

void
change_try(struct change *c, change_then *then, void *arg)
{
	commit_now(c, false, then, arg);
}

void
change_open(struct engine *e)
{
	e->unsaved_tail = &e->unsaved;
	e->save_again = evtimer_new(e->b->base, on_save_again, e);
	AWO_ASSERT(e->save_again != NULL);
}

void
change_close(struct engine *e)
{
	while (e->unsaved != NULL) {
		struct change *c = e->unsaved;

		e->unsaved = c->next;
		store_tx_drop(c->tx);
		change_free(c);
	}
	if (e->save_again != NULL)
		event_free(e->save_again);
	e->save_again = NULL;
}
