/* The live orders: every change of an order's state, from creation to its end. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "awod/credentials.h"
#include "awod/engine_priv.h"
#include "common/buf.h"
#include "common/clean.h"
#include "common/clock.h"
#include "common/files.h"
#include "common/hash.h"
#include "common/ids.h"
#include "common/log.h"
#include "common/text.h"

#define PORTS_EACH 10
#define BURST_IDS 64			/* few enough that two of 20 bits hardly ever meet */
#define BURST_US 5000
#define EXIT_GRACE_S 15LL		/* between a worker's last line and its end */
#define CANCEL_EXTRA_MS 1200	/* beyond timeouts.kill, which the worker observes itself */

static void settle(struct live *l);
static void start(struct live *l);
static void wake(struct live *l);
static void send_cancel(struct live *l);

/* ---- the table of live orders */

/* The digits of an id are random already. */
static size_t
slot_of(const struct engine *e, const char *id)
{
	size_t n = 0;

	for (id += 3; *id != '\0'; id++)
		n = n << 4 | (size_t)(*id <= '9' ? *id - '0' : *id - 'a' + 10);
	return n & (e->nhash - 1);
}

struct live *
live_find(struct engine *e, const char *id)
{
	struct live *l;

	if (!ids_is_order(id))
		return NULL;
	for (l = e->hash[slot_of(e, id)]; l != NULL; l = l->chain)
		if (strcmp(l->row->pub.agent_work_order_id, id) == 0)
			return l;
	return NULL;
}

static void
grow(struct engine *e)
{
	size_t n = e->nhash == 0 ? 256 : e->nhash * 2;

	free(e->hash);
	e->hash = xcalloc(n, sizeof(struct live *));
	e->nhash = n;
	for (struct live *l = e->all; l != NULL; l = l->next) {
		size_t s = slot_of(e, l->row->pub.agent_work_order_id);

		l->chain = e->hash[s];
		e->hash[s] = l;
	}
}

struct live *
live_new(struct engine *e, struct order_row *row)
{
	struct live *l = xcalloc(1, sizeof(*l));
	size_t s;

	l->e = e;
	l->row = row;
	l->log_fd = l->watch = -1;
	l->next = e->all;
	l->prev = &e->all;
	if (e->all != NULL)
		e->all->prev = &l->next;
	e->all = l;
	if (++e->nlive > e->nhash)
		grow(e);	/* puts l in as well */
	else {
		s = slot_of(e, row->pub.agent_work_order_id);
		l->chain = e->hash[s];
		e->hash[s] = l;
	}
	if (order_has_slot(row->pub.status))
		e->running++;
	e->positions_stale = true;
	return l;
}

/* Answers those who wait. */
static void
wake_waiters(struct live *l, int what, const struct awo_err *err)
{
	struct waiter **p = &l->waiters, *w;

	while ((w = *p) != NULL) {
		if (w->what != (unsigned)what) {
			p = &w->next;
			continue;
		}
		*p = w->next;
		w->done(w->arg, err, err->code == AWO_OK ? l->row : NULL);
		free(w);
		p = &l->waiters;	/* the callback may have changed the list */
	}
}

void
live_unsaved(struct live *l)
{
	struct awo_err err = {0};

	ERR(&err, UNAVAILABLE, "", "the database could not be written; it is tried again, see awod's log");
	wake_waiters(l, WAIT_PAUSED, &err);
	wake_waiters(l, WAIT_ENDED, &err);
}

static void
live_free(struct live *l)
{
	struct engine *e = l->e;
	struct live **p = &e->hash[slot_of(e, l->row->pub.agent_work_order_id)];
	struct awo_err err = {0};

	while (*p != l)
		p = &(*p)->chain;
	*p = l->chain;
	*l->prev = l->next;
	if (l->next != NULL)
		l->next->prev = l->prev;
	e->nlive--;
	if (order_has_slot(l->row->pub.status))
		e->running--;
	e->positions_stale = true;
	fetch_leave(l);
	link_close(l);
	journal_forget(l);
	if (l->deadline != NULL)
		event_free(l->deadline);
	/* whoever waits for what no longer comes; by now that is at awod's own end */
	ERR(&err, UNAVAILABLE, "", "awod is stopping; ask again when it is back");
	wake_waiters(l, WAIT_PAUSED, &err);
	wake_waiters(l, WAIT_ENDED, &err);
	free(l->error);
	free(l->cancel_by);
	free(l->cancel_reason);
	order_row_free(l->row);
	free(l->row);
	free(l);
}

/* A live order is let go when it is terminal, durable, and nobody waits for it. */
static void
maybe_free(struct live *l)
{
	if (order_is_terminal(l->row->pub.status) && l->commits == 0 && l->waiters == NULL)
		live_free(l);
}

void
live_release(struct live *l, bool ok, void *arg)
{
	(void)ok;
	(void)arg;
	maybe_free(l);
}

static void
wait_for(struct live *l, int what, engine_done *done, void *arg)
{
	struct waiter *w = xcalloc(1, sizeof(*w)), **p;

	w->what = (unsigned)what;
	w->done = done;
	w->arg = arg;
	for (p = &l->waiters; *p != NULL; p = &(*p)->next)
		;
	*p = w;
}

/* Applies a cause that the code around it has made sure of, and keeps the count of slots. */
static int
apply(struct live *l, enum order_cause cause, struct awo_err *err)
{
	bool had = order_has_slot(l->row->pub.status), has;

	if (order_apply(l->row, cause, clock_wall_us(), err) != 0)
		return -1;
	has = order_has_slot(l->row->pub.status);
	if (had && !has) {
		l->e->running--;
		l->row->elapsed_us += clock_mono_us() - l->slot_since_us;
	} else if (!had && has) {
		l->e->running++;
		l->slot_since_us = clock_mono_us();
	}
	l->e->positions_stale = true;
	engine_kick(l->e);
	return 0;
}

static void
set_deadline(struct live *l, int64_t ms, void (*cb)(evutil_socket_t, short, void *))
{
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};

	if (l->deadline != NULL)
		event_free(l->deadline);
	l->deadline = evtimer_new(l->e->b->base, cb, l);
	AWO_ASSERT(l->deadline != NULL);
	evtimer_add(l->deadline, &tv);
}

static void
clear_deadline(struct live *l)
{
	if (l->deadline != NULL)
		event_free(l->deadline);
	l->deadline = NULL;
}

static void
kill_worker(struct live *l)
{
	struct sup_msg m;

	suplink_msg(&m, SUP_KILL, SUP_ORDER);
	snprintf(m.id, sizeof(m.id), "%s", l->row->pub.agent_work_order_id);
	suplink_send(l->e->sup, &m, NULL, 0);
}

/* ---- what callers are told after a commit */

struct reply {
	engine_done *done;
	void *arg;
	struct order_row *before;
};

static struct reply *
reply_new(engine_done *done, void *arg)
{
	struct reply *r = xcalloc(1, sizeof(*r));

	r->done = done;
	r->arg = arg;
	return r;
}

static void
reply_then(struct live *l, bool ok, void *arg)
{
	struct reply *r = arg;
	struct awo_err err = {0};

	if (!ok)
		ERR(&err, UNAVAILABLE, "", "the database could not be written; see awod's log");
	if (r->done != NULL)
		r->done(r->arg, &err, ok ? l->row : NULL);
	free(r);
	maybe_free(l);
}

/* ---- creation */

/* The order is nobody's but the store's until it is durable: then it joins the live ones. */
struct creation {
	struct engine *e;
	struct order_row *row;	/* NULL while the store has it */
	char *line;
	char *key;
	engine_done *done;
	void *arg;
	int tries;
	char *delivery_id, *object;	/* the webhook that it comes from, or NULL */
};

static void insert(struct creation *c);

static void
creation_free(struct creation *c)
{
	if (c->row != NULL)
		order_row_free(c->row);
	free(c->row);
	free(c->line);
	free(c->key);
	free(c->delivery_id);
	free(c->object);
	free(c);
}

/*
 * New ids that are asked for in quick succession share their first three digits, a few at a time: their entries in the index
 * come to stand side by side, and what is committed together changes one page of it instead of one for each order.
 */
static void
draw_id(struct engine *e, char id[ID_ORDER_LEN + 1])
{
	int64_t now = clock_mono_us();

	ids_order(id);
	if (e->burst_left-- > 0 && now < e->burst_ends)
		memcpy(id + 3, e->burst, 3);
	else {
		memcpy(e->burst, id + 3, 3);
		e->burst_left = BURST_IDS - 1;
	}
	e->burst_ends = now + BURST_US;
}

/* Draws an id that no live order has. */
static void
rename_order(struct engine *e, struct order_row *row)
{
	char sandbox[sizeof("sandbox-") + ID_ORDER_LEN] = "sandbox-", *id = sandbox + sizeof("sandbox-") - 1;

	do
		draw_id(e, id);
	while (live_find(e, id) != NULL);
	P_SETS(order, &row->pub, agent_work_order_id, id);
	P_SETS(order, &row->pub, sandbox_identifier, sandbox);
}

static void
inserted(void *arg, const struct awo_err *err, const struct store_commit *commit)
{
	struct creation *c = arg;
	struct engine *e = c->e;
	const struct order_row *first;
	struct awo_err none = {0};
	char id[ID_ORDER_LEN + 1];

	c->row = commit->row;
	if (err == NULL || err->code == AWO_OK) {
		/* whoever saw it in a list has called for it already, and made it live from its record: then that is the order */
		struct live *l = live_find(e, c->row->pub.agent_work_order_id);

		c->row->rowid = commit->rowid;
		if (l == NULL)
			l = live_new(e, TAKE_PTR(c->row));
		e->created++;
		if (commit->nevents > 0)
			journal_append(l, commit->event_ids[0], c->line);
		engine_kick(e);
		c->done(c->arg, &none, l->row);
	} else if (err->code == AWO_ALREADY_EXISTS && c->key != NULL &&
	    store_order_by_key(e->b->store, c->row->owner_uid, c->key, id, NULL) == 0 &&
	    (first = engine_order(e, id, NULL)) != NULL) {
		/* a repeated create answers with the first order */
		c->done(c->arg, &none, first);
	} else if (err->code == AWO_ALREADY_EXISTS && strcmp(err->field, "delivery_id") != 0 && c->tries < 5) {
		/* the id was taken */
		rename_order(e, c->row);
		insert(c);
		return;
	} else
		c->done(c->arg, err, NULL);
	creation_free(c);
}

/* ,"key":"value" with null for no value. */
static void
add_member(struct buf *b, const char *key, const char *value)
{
	buf_adds(b, ",\"");
	buf_adds(b, key);
	buf_adds(b, "\":");
	if (value != NULL)
		text_add_json(b, value);
	else
		buf_adds(b, "null");
}

/* The line of agent_work_order_created: made for every order, so without a tree of JSON values. */
static char *
created_line(const struct order_row *r)
{
	const struct p_order *o = &r->pub;
	struct buf b = {0};
	char when[CLOCK_TEXT];

	buf_reserve(&b, 640);
	buf_adds(&b, "{\"timestamp\":");
	text_add_json(&b, clock_format(o->created_at, when));
	add_member(&b, "level", "info");
	add_member(&b, "event", "agent_work_order_created");
	add_member(&b, "agent_work_order_id", o->agent_work_order_id);
	add_member(&b, "work_order_id", o->agent_work_order_id);
	add_member(&b, "repository_url", o->repository_url);
	add_member(&b, "workflow_type", o->workflow_type);
	add_member(&b, "sandbox_type", P_ENUM_NAME(sandbox_type, o->sandbox_type));
	add_member(&b, "request_id", r->request_id);
	add_member(&b, "owner", o->owner);
	buf_adds(&b, ",\"selected_commands\":");
	text_add_json_list(&b, o->selected_commands.v, o->selected_commands.n);
	buf_addc(&b, '}');
	return buf_take(&b);
}

static void
insert(struct creation *c)
{
	struct order_row *r = c->row;
	struct store_tx *tx = store_tx(c->e->b->store);

	c->tries++;
	free(c->line);
	c->line = created_line(r);
	store_tx_event(tx, r->pub.agent_work_order_id, "agent_work_order_created", c->line);
	c->row = NULL;
	if (c->delivery_id != NULL)
		store_tx_delivery(tx, &(struct store_delivery){c->delivery_id, c->object}, r->pub.agent_work_order_id);
	store_tx_order_take(tx, r, c->key);
	store_tx_commit(tx, inserted, c);
}

void
engine_create(struct engine *e, struct order_row *row, const char *idempotency_key, engine_done *done, void *arg)
{
	engine_create_delivered(e, row, idempotency_key, NULL, done, arg);
}

void
engine_create_delivered(struct engine *e, struct order_row *row, const char *idempotency_key,
    const struct store_delivery *delivery, engine_done *done, void *arg)
{
	struct creation *c = xcalloc(1, sizeof(*c));
	struct p_order *o = &row->pub;
	char day[CLOCK_TEXT];
	int64_t now = clock_wall_us();

	rename_order(e, row);
	P_SET(order, o, status, order_status_pending);
	P_SET(order, o, created_at, now);
	P_SET(order, o, updated_at, now);
	P_SET(order, o, attempt, 1);
	P_SET(order, o, step_number, 0);
	P_SET(order, o, total_steps, (int64_t)o->selected_commands.n);
	P_SET(order, o, git_commit_count, 0);
	P_SET(order, o, git_files_changed, 0);
	P_SET(order, o, git_lines_added, 0);
	P_SET(order, o, git_lines_removed, 0);
	P_MARK(order, o, usage);
	P_MARK(order, o, sandbox_layers);
	P_MARK(order, o, selected_commands);
	if (!P_HAS(order, o, priority))
		P_SET(order, o, priority, 0);
	clock_format(now, day);
	day[10] = '\0';
	free(row->log_date);
	row->log_date = xstrdup(day);
	c->key = xstrdup(idempotency_key);
	c->done = done;
	c->arg = arg;
	c->e = e;
	c->row = row;
	if (delivery != NULL) {
		c->delivery_id = xstrdup(delivery->delivery_id);
		c->object = xstrdup(delivery->object);
	}
	insert(c);
}

/* ---- the scheduler's turn */

/* A pending order whose creation is not durable yet cannot start. */
static bool
wants_slot(const struct live *l)
{
	enum p_order_status s = l->row->pub.status;

	if (l->row->rowid == 0 || l->stage == LIVE_SETTLED)
		return false;
	if (s == order_status_pending)
		return l->stage == LIVE_QUEUED && !l->row->cancel_requested;
	return (s == order_status_paused || s == order_status_waiting) && l->row->wake && !l->deciding;
}

/* The snapshot: all that run or want to. Returns the count; *out is freed by the caller. */
static size_t
snapshot(struct engine *e, struct sched_order **out)
{
	struct sched_order *o = xcalloc(e->nlive + 1, sizeof(*o));
	size_t n = 0;

	for (struct live *l = e->all; l != NULL; l = l->next) {
		bool running = order_has_slot(l->row->pub.status);

		if (!running && !wants_slot(l))
			continue;
		o[n++] = (struct sched_order){.order = l, .running = running, .wake = l->row->wake, .jump = l->row->jump,
		    .priority = l->row->pub.priority, .created_at = l->row->pub.created_at, .rowid = l->row->rowid,
		    .retry_at = P_HAS(order, &l->row->pub, retry_at) ? l->row->pub.retry_at : 0,
		    .owner_uid = l->row->owner_uid, .repository = hash_text(l->row->canonical_url)};
	}
	*out = o;
	return n;
}

static struct sched_limits
limits(const struct engine *e)
{
	const struct config *c = e->b->conf;

	return (struct sched_limits){.max_concurrent = c->max_concurrent, .per_user = c->max_concurrent_per_user,
	    .per_repository = c->max_concurrent_per_repository};
}

static int
by_position(const void *a, const void *b)
{
	const struct sched_order *x = a, *y = b;

	return x->position < y->position ? -1 : x->position > y->position;
}

static void
on_kick(evutil_socket_t fd, short what, void *arg)
{
	struct engine *e = arg;
	struct sched_limits lim = limits(e);
	struct sched_order *o;
	int64_t next = 0, now = clock_wall_us();
	size_t n;

	(void)fd;
	(void)what;
	if (!e->ready || e->closing || (int64_t)e->running >= lim.max_concurrent)
		return;
	n = snapshot(e, &o);
	scheduler_run(&lim, o, n, now, &next);
	qsort(o, n, sizeof(*o), by_position);
	for (size_t i = 0; i < n; i++) {
		struct live *l = o[i].order;

		if (o[i].running || o[i].reason != SCHED_START)
			continue;
		if (l->row->pub.status == order_status_pending)
			start(l);
		else
			wake(l);
	}
	free(o);
	if (next > 0) {
		int64_t us = next > now ? next - now : 0;
		struct timeval tv = {.tv_sec = us / 1000000, .tv_usec = us % 1000000};

		evtimer_add(e->again, &tv);
	}
}

void
engine_kick(struct engine *e)
{
	static const struct timeval soon = {0, 0};

	if (!evtimer_pending(e->kick, NULL))
		evtimer_add(e->kick, &soon);
}

static void
refresh_positions(struct engine *e)
{
	struct sched_limits lim = limits(e);
	struct sched_order *o;
	int64_t next;
	size_t n;

	if (!e->positions_stale)
		return;
	n = snapshot(e, &o);
	scheduler_run(&lim, o, n, clock_wall_us(), &next);
	for (size_t i = 0; i < n; i++) {
		struct live *l = o[i].order;

		if (!o[i].running && l->row->pub.status == order_status_pending)
			P_SET(order, &l->row->pub, queue_position, o[i].position);
	}
	free(o);
	e->positions_stale = false;
}

/* ---- start: slot, cache, worker */

static int64_t
free_ports(const struct engine *e)
{
	const struct config *c = e->b->conf;

	for (int64_t p = c->ports_start; p + PORTS_EACH - 1 <= c->ports_end; p += PORTS_EACH) {
		const struct live *l;

		for (l = e->all; l != NULL; l = l->next)
			if (l->row->port_start < p + PORTS_EACH && p < l->row->port_start + PORTS_EACH &&
			    l->row->port_start > 0)
				break;
		if (l == NULL)
			return p;
	}
	return 0;
}

static void spawn(struct live *l);

static void
started(struct live *l, bool ok, void *arg)
{
	(void)arg;
	if (!ok) {
		/* nothing was recorded: back into the queue, and not at once */
		l->row->pub.status = order_status_pending;
		P_SET(order, &l->row->pub, retry_at, clock_wall_us() + 5000000);
		l->e->running--;
		l->stage = LIVE_QUEUED;
		l->row->port_start = 0;
		l->e->positions_stale = true;
		if (l->row->cancel_requested)
			settle(l);
		engine_kick(l->e);
		return;
	}
	if (l->e->closing)
		return;		/* the next start of awod repeats it */
	if (journal_make(l) != 0) {
		CLEAN_FREE char *text = xasprintf("the order's log cannot be made: %s", strerror(errno));

		live_failed(l, error_category_resource, text, 0);
		return;
	}
	if (l->row->cancel_requested) {
		live_exited(l, 0, false);
		return;
	}
	l->stage = LIVE_FETCHING;
	if (l->row->base_sha != NULL && !l->row->workspace_removed) {
		live_fetched(l);	/* the workspace is there: what it needs of the cache is, too */
		return;
	}
	fetch_for(l);
	/* its worker is started meanwhile, and waits; what failed at once, or needs no fetch, has no need of that */
	if (l->fetch != NULL)
		spawn(l);
}

static void
start(struct live *l)
{
	struct engine *e = l->e;
	struct order_row *r = l->row;
	struct change *c;
	int64_t ports = free_ports(e);

	if (ports == 0) {
		log_error("ports_exhausted", LS("agent_work_order_id", r->pub.agent_work_order_id),
		    LS("remedy", "widen ports.start .. ports.end or lower max_concurrent"));
		return;
	}
	if (apply(l, ORDER_START, NULL) != 0)
		return;
	histogram_add(&e->queue_wait, (double)(clock_wall_us() - r->pub.created_at) / 1e6);
	l->stage = LIVE_STARTING;
	l->exited = l->oom = l->forced = l->pausing = false;
	l->final = FINAL_NONE;
	l->fetching = l->fetched = false;
	l->retry_after_s = 0;
	free(l->error);
	l->error = NULL;
	p_strv_free(&r->pub.sandbox_layers);
	if (r->workspace_removed) {
		/* begins anew; what was pushed stays on its branch */
		free(r->base_sha);
		free(r->head_sha);
		r->base_sha = r->head_sha = NULL;
		r->resume_step = 0;
		r->workspace_removed = false;
	}
	r->port_start = ports;
	c = change_begin(l);
	change_event(c, "info", "agent_work_order_started", json_pack("{s:I}", "attempt", (json_int_t)r->pub.attempt));
	change_event(c, "info", "port_range_allocated",
	    json_pack("{s:I,s:I}", "port_range_start", (json_int_t)ports, "port_range_end",
		(json_int_t)(ports + PORTS_EACH - 1)));
	change_try(c, started, NULL);
}

static json_t *by_op(const char *op);

void
live_fetched(struct live *l)
{
	if (l->stage == LIVE_FETCHING) {
		spawn(l);
		return;
	}
	l->fetched = true;
	link_send(l, by_op("fetched"));		/* without a connection, the next hello tells that it waits */
}

static void
spawn(struct live *l)
{
	struct engine *e = l->e;
	struct awo_err err = {0};
	struct sup_msg m;
	json_t *spec;
	char *text;
	int fds[3] = {-1, -1, -1};

	if (e->closing)
		return;
	if (l->row->cancel_requested) {
		live_exited(l, 0, false);
		return;
	}
	fds[2] = link_listen(l, &err);
	spec = fds[2] >= 0 ? jobspec_build(l, &err) : NULL;
	if (spec != NULL) {
		text = json_dumps(spec, JSON_COMPACT);
		json_decref(spec);
		fds[0] = files_memfd("job", text, strlen(text));
		secret_free(text);
		fds[1] = journal_dup_for_worker(l);
		if ((fds[0] < 0 || fds[1] < 0) && is_shortage(errno))
			ERR(&err, RESOURCE_EXHAUSTED, "", "cannot hand the order over: %s", strerror(errno));
		else if (fds[0] < 0 || fds[1] < 0)
			ERR(&err, INTERNAL, "", "cannot hand the order over: %s", strerror(errno));
	}
	if (err.code != AWO_OK) {
		for (int i = 0; i < 3; i++)
			if (fds[i] >= 0)
				close(fds[i]);
		live_failed(l, err.code == AWO_FAILED_PRECONDITION ? error_category_permanent :
		    err.code == AWO_RESOURCE_EXHAUSTED ? error_category_resource : error_category_internal, err.msg, 0);
		return;
	}
	suplink_msg(&m, SUP_SPAWN, SUP_ORDER);
	snprintf(m.id, sizeof(m.id), "%s", l->row->pub.agent_work_order_id);
	m.owner_uid = l->row->owner_uid;
	engine_cache_name(l->row->canonical_url, m.cache);
	/* of the worker itself; the agent's own, from the job specification, are never higher */
	m.limits = (struct child_limits){.core = (uint64_t)e->b->conf->limit_core,
	    .nofile = (uint64_t)e->b->conf->limit_nofile, .fsize = (uint64_t)e->b->conf->limit_fsize,
	    .nproc = (uint64_t)e->b->conf->limit_nproc, .memlock = (uint64_t)e->b->conf->limit_memlock};
	l->stage = LIVE_SPAWNING;
	e->launches++;
	suplink_send(e->sup, &m, fds, 3);
}

void
live_failed(struct live *l, enum p_error_category category, const char *message, int64_t retry_after_s)
{
	l->final = FINAL_FAILED;
	l->category = category;
	free(l->error);
	l->error = xstrdup(message);
	l->retry_after_s = retry_after_s;
	/* one that is just being started is ended when it is there */
	if (l->stage == LIVE_WORKING)
		kill_worker(l);
	else if (l->stage != LIVE_SPAWNING)
		live_exited(l, 0, false);
}

/* ---- the worker's side of things */

static json_t *
by_op(const char *op)
{
	return json_pack("{s:s}", "op", op);
}

/* Which gates are open; one that is not is announced again, behind the prompts that have come meanwhile. */
static void
send_gates(struct live *l)
{
	if (l->row->pub.gates.n > 0)
		link_send(l, json_pack("{s:s,s:I}", "op", "gate", "passed", (json_int_t)l->row->gate_passed));
}

static void
send_prompt(struct live *l, int64_t id, const char *text)
{
	link_send(l, json_pack("{s:s,s:I,s:s}", "op", "prompt", "prompt_id", (json_int_t)id, "text", text));
}

static void
send_prompts(struct live *l, int64_t after)
{
	struct store_prompt *p = NULL;
	size_t n = 0;

	if (store_prompts(l->e->b->store, l->row->pub.agent_work_order_id, &p, &n, NULL) != 0)
		return;
	for (size_t i = 0; i < n; i++) {
		if (p[i].id > after)
			send_prompt(l, p[i].id, p[i].text);
		free(p[i].text);
	}
	free(p);
}

void
live_linked(struct live *l, const json_t *hello)
{
	bool frozen = json_is_true(json_object_get(hello, "frozen"));

	if (l->row->cancel_requested) {
		send_cancel(l);
		return;
	}
	if (l->pausing || (l->row->pub.status == order_status_paused && !frozen))
		link_send(l, by_op("pause"));
	else if (l->row->pub.status == order_status_running && frozen)
		link_send(l, by_op("resume"));
	send_prompts(l, json_integer_value(json_object_get(hello, "last_prompt_id")));
	if (l->row->pub.status == order_status_running)
		send_gates(l);
	if (!json_is_true(json_object_get(hello, "waits")))
		return;
	if (l->fetched)
		link_send(l, by_op("fetched"));
	else if (!l->fetching)
		fetch_for(l);	/* begun by a broker that is gone */
}

static void
paused_then(struct live *l, bool ok, void *arg)
{
	struct awo_err err = {0};

	(void)arg;
	if (!ok)
		live_unsaved(l);
	wake_waiters(l, WAIT_PAUSED, &err);
}

void
live_acked(struct live *l, const char *op)
{
	struct change *c;

	if (strcmp(op, "pause") != 0 || !l->pausing)
		return;
	l->pausing = false;
	if (l->row->cancel_requested || apply(l, ORDER_PAUSE, NULL) != 0)
		return;
	c = change_begin(l);
	change_event(c, "info", "agent_work_order_paused", NULL);
	change_commit(c, paused_then, NULL);
}

static void
wake(struct live *l)
{
	struct change *c;

	if (apply(l, ORDER_WAKE, NULL) != 0)
		return;
	c = change_begin(l);
	change_event(c, "info", "agent_work_order_resumed", NULL);
	change_commit(c, NULL, NULL);
	link_send(l, by_op("resume"));	/* without a connection, the next hello tells that it is still frozen */
	send_gates(l);
}

void
live_at_gate(struct live *l)
{
	struct awo_err err = {0};

	/* what was announced while it was paused is announced again when it wakes */
	if (l->row->cancel_requested || apply(l, ORDER_WAIT, NULL) != 0)
		return;
	if (l->pausing) {
		l->pausing = false;
		ERR(&err, FAILED_PRECONDITION, "agent_work_order_id", "order %s waits for approval and cannot be paused",
		    l->row->pub.agent_work_order_id);
		wake_waiters(l, WAIT_PAUSED, &err);
	}
}

/* The worker has written its last line and should be gone: it is not waited for without end. */
static void
on_overdue(evutil_socket_t fd, short what, void *arg)
{
	struct live *l = arg;

	(void)fd;
	(void)what;
	log_warning("worker_overdue", LS("agent_work_order_id", l->row->pub.agent_work_order_id));
	kill_worker(l);
}

void
live_taken(struct live *l)
{
	if (l->stage != LIVE_WORKING || l->final == FINAL_NONE)
		return;
	if (l->exited)
		settle(l);
	else if (l->deadline == NULL)
		set_deadline(l, EXIT_GRACE_S * 1000, on_overdue);
}

void
live_exited(struct live *l, int status, bool oom)
{
	if (l->stage == LIVE_SETTLED || !order_has_slot(l->row->pub.status)) {
		if (l->row->pub.status != order_status_paused && l->row->pub.status != order_status_waiting)
			return;
	}
	l->exited = true;
	l->status = status;
	l->oom = l->oom || oom;
	journal_drain(l);
	settle(l);
}

/* ---- the end */

static void reopen_if_prompted(struct live *l);

static void
ended_then(struct live *l, bool ok, void *arg)
{
	struct engine *e = l->e;
	struct awo_err err = {0};
	const char *id = l->row->pub.agent_work_order_id;

	(void)arg;
	if (!ok) {
		/* the record still says running: the next start of awod settles it from the log */
		live_unsaved(l);
		maybe_free(l);
		return;
	}
	/* whoever waited for this end has it, even when the order has been retried meanwhile */
	wake_waiters(l, WAIT_ENDED, &err);
	ERR(&err, FAILED_PRECONDITION, "agent_work_order_id", "order %s is %s", id,
	    P_ENUM_NAME(order_status, l->row->pub.status));
	wake_waiters(l, WAIT_PAUSED, &err);
	if (!order_is_terminal(l->row->pub.status))
		return;
	if (l->row->pub.status == order_status_completed)
		reopen_if_prompted(l);
	if (order_is_terminal(l->row->pub.status))
		server_log_ended(e->b->server, id, "order_ended");
	maybe_free(l);
}

static json_t *
usage_json(const struct p_order *o)
{
	return p_to_json(&p_type_usage, &o->usage);
}

static bool
may_retry(const struct live *l)
{
	return l->row->pub.attempt - l->row->tries_base < l->e->b->conf->retry_max_attempts;
}

static double
random_unit(void)
{
	char hex[9];

	ids_hex(hex, 4);
	return (double)strtoul(hex, NULL, 16) / 4294967296.0;
}

static void
requeue(struct live *l, struct change *c, const char *why)
{
	struct p_order *o = &l->row->pub;
	const struct config *conf = l->e->b->conf;
	int64_t wait = order_backoff_us(o->attempt, conf->retry_backoff, conf->retry_max_backoff, random_unit(),
	    l->retry_after_s);
	char when[CLOCK_TEXT];

	if (apply(l, ORDER_REQUEUE, NULL) != 0)
		return;
	P_SET(order, o, retry_at, clock_wall_us() + wait);
	P_SETS(order, o, error_message, why);
	P_SET(order, o, error_category, l->category);
	l->e->retried++;
	change_event(c, "warning", "agent_work_order_retried",
	    json_pack("{s:I,s:s,s:s,s:s}", "attempt", (json_int_t)o->attempt, "retry_at",
		clock_format(o->retry_at, when), "reason", why, "by", "awod"));
}

/* Decides from what is known how the order ends, or whether it runs again. */
static void
settle(struct live *l)
{
	struct p_order *o = &l->row->pub;
	struct engine *e = l->e;
	struct change *c;
	CLEAN_FREE char *lost = NULL;

	if (l->stage == LIVE_SETTLED)
		return;
	l->stage = LIVE_SETTLED;
	fetch_leave(l);
	clear_deadline(l);
	link_remove(l);
	l->nonce[0] = '\0';
	l->row->port_start = 0;
	/* only now the worker's last line has had its effect */
	if (l->log_fd >= 0)
		l->row->journal_offset = l->read_offset;
	l->final_at = 0;
	l->pausing = false;
	c = change_begin(l);
	if (l->row->cancel_requested || (l->final == FINAL_FAILED && l->category == error_category_cancelled)) {
		bool clean = !l->forced && (l->final != FINAL_NONE || l->status == 0);
		bool reason = l->cancel_reason != NULL && l->cancel_reason[0] != '\0';
		CLEAN_FREE char *why = xasprintf("cancelled by %s%s%s%s", l->cancel_by != NULL ? l->cancel_by : o->owner,
		    reason ? ": " : "", reason ? l->cancel_reason : "",
		    clean ? "" : " (the agent did not end by itself and was killed)");

		l->row->ended_by_force = !clean;
		P_SETS(order, o, error_message, why);
		P_SET(order, o, error_category, error_category_cancelled);
		apply(l, ORDER_CANCEL, NULL);
		e->cancelled++;
		change_event(c, "info", "agent_work_order_cancelled",
		    json_pack("{s:s?,s:s?,s:b}", "reason", l->cancel_reason, "by", l->cancel_by, "clean", clean ? 1 : 0));
	} else if (l->final == FINAL_COMPLETED) {
		/* its last line may have crossed the pause */
		if (o->status == order_status_paused || o->status == order_status_waiting)
			apply(l, ORDER_WAKE, NULL);
		apply(l, ORDER_COMPLETE, NULL);
		e->completed++;
		change_event(c, "info", "agent_work_order_completed",
		    json_pack("{s:s?,s:s?,s:I,s:o}", "git_branch_name", o->git_branch_name, "github_pull_request_url",
			o->github_pull_request_url, "git_commit_count", (json_int_t)o->git_commit_count, "usage",
			usage_json(o)));
	} else {
		if (l->final == FINAL_NONE) {
			l->category = l->oom ? error_category_resource : error_category_transient;
			lost = l->oom ? xstrdup("the order's worker was ended by the kernel for want of memory") :
			    l->status > 128 ? xasprintf("the order's worker was killed by signal %d", l->status - 128) :
			    l->status < 0 ? xstrdup("the order's worker ended while awod did not run, without a result") :
			    xasprintf("the order's worker ended without a result (status %d)", l->status);
			free(l->error);
			l->error = TAKE_PTR(lost);
		}
		/* a paused order whose worker is gone gets its retry or its end through its slot */
		if (o->status == order_status_paused || o->status == order_status_waiting)
			apply(l, ORDER_WAKE, NULL);
		if (l->category == error_category_transient && o->status == order_status_running && may_retry(l))
			requeue(l, c, l->error);
		else {
			if (l->final == FINAL_NONE && !l->oom)
				l->category = error_category_internal;
			P_SETS(order, o, error_message, l->error);
			P_SET(order, o, error_category, l->category);
			apply(l, ORDER_FAIL, NULL);
			e->failed++;
			change_event(c, "error", "agent_work_order_failed",
			    json_pack("{s:s,s:s,s:s?}", "error_message", l->error, "error_category",
				P_ENUM_NAME(error_category, l->category), "step", o->current_step));
		}
	}
	if (o->status == order_status_pending)
		l->stage = LIVE_QUEUED;
	change_commit(c, ended_then, NULL);
}

/* A prompt that came too late for the worker re-opens the order. */
static void
reopen_if_prompted(struct live *l)
{
	struct store_prompt *p = NULL;
	struct change *c;
	size_t n = 0;

	if (store_prompts(l->e->b->store, l->row->pub.agent_work_order_id, &p, &n, NULL) != 0)
		return;
	for (size_t i = 0; i < n; i++)
		free(p[i].text);
	free(p);
	if (n == 0 || l->e->closing || apply(l, ORDER_REOPEN, NULL) != 0)
		return;
	l->stage = LIVE_QUEUED;
	l->row->resume_step = (int64_t)l->row->pub.selected_commands.n;
	c = change_begin(l);
	change_event(c, "info", "agent_work_order_retried",
	    json_pack("{s:I,s:s,s:s}", "attempt", (json_int_t)l->row->pub.attempt, "reason", "a prompt", "by", "awod"));
	change_commit(c, NULL, NULL);
}

/* ---- changes asked for from outside */

struct deletion {
	struct deletion *next;
	struct engine *e;
	struct order_row row;
	engine_done *done;
	void *arg;
};

/* What is half gone cannot begin again. */
static bool
is_being_removed(const struct engine *e, const char *id, struct awo_err *err)
{
	const struct deletion *d;

	for (d = e->deletions; d != NULL && strcmp(d->row.pub.agent_work_order_id, id) != 0; d = d->next)
		;
	if (d != NULL)
		ERR(err, FAILED_PRECONDITION, "agent_work_order_id", "order %s is just being deleted", id);
	else if (retention_holds(id))
		ERR(err, UNAVAILABLE, "agent_work_order_id", "order %s is just being cleaned up; try again", id);
	else
		return false;
	return true;
}

/* The live order, or one made of the store's record; NULL with *err. */
static struct live *
get(struct engine *e, const char *id, struct awo_err *err)
{
	struct live *l = live_find(e, id);
	struct order_row *row;

	if (l != NULL)
		return l;
	if (is_being_removed(e, id, err))
		return NULL;
	row = xcalloc(1, sizeof(*row));
	if (store_order_get(e->b->store, id, row, err) != 0) {
		free(row);
		return NULL;
	}
	l = live_new(e, row);
	l->stage = order_is_terminal(row->pub.status) ? LIVE_SETTLED : LIVE_QUEUED;
	return l;
}

static void
refuse(engine_done *done, void *arg, struct live *l, const struct awo_err *err)
{
	done(arg, err, NULL);
	if (l != NULL)
		maybe_free(l);
}

static void
refuse_state(engine_done *done, void *arg, struct live *l, const char *what)
{
	struct awo_err err = {0};

	ERR(&err, FAILED_PRECONDITION, "agent_work_order_id", "order %s is %s and cannot be %s",
	    l->row->pub.agent_work_order_id, P_ENUM_NAME(order_status, l->row->pub.status), what);
	refuse(done, arg, l, &err);
}

static void
on_cancel_overdue(evutil_socket_t fd, short what, void *arg)
{
	struct live *l = arg;

	(void)fd;
	(void)what;
	l->forced = true;
	kill_worker(l);
}

static void
send_cancel(struct live *l)
{
	link_send(l, json_pack("{s:s,s:s}", "op", "cancel", "reason", l->cancel_reason != NULL ? l->cancel_reason : ""));
}

static void
cancel_then(struct live *l, bool ok, void *arg)
{
	(void)arg;
	if (!ok)
		live_unsaved(l);
	if (l->stage == LIVE_FETCHING)
		live_exited(l, 0, false);
}

void
engine_cancel(struct engine *e, const char *id, const char *by, const char *reason, engine_done *done, void *arg)
{
	struct awo_err err = {0};
	struct live *l = get(e, id, &err);
	enum p_order_status s;
	bool first;

	if (l == NULL) {
		done(arg, &err, NULL);
		return;
	}
	s = l->row->pub.status;
	if (order_is_terminal(s) || l->row->rowid == 0) {
		refuse_state(done, arg, l, "cancelled");
		return;
	}
	first = !l->row->cancel_requested;
	wait_for(l, WAIT_ENDED, done, arg);
	if (!first)
		return;
	l->row->cancel_requested = true;
	free(l->cancel_by);
	free(l->cancel_reason);
	l->cancel_by = xstrdup(by);
	l->cancel_reason = xstrdup(reason);
	if (l->stage == LIVE_QUEUED && s == order_status_pending) {
		l->exited = true;
		l->status = 0;
		settle(l);
		return;
	}
	/* the wish is recorded first: a crash of awod does not lose it */
	change_commit(change_begin(l), cancel_then, NULL);
	if (l->stage == LIVE_WORKING) {
		send_cancel(l);
		set_deadline(l, e->b->conf->timeout_kill * 1000 + CANCEL_EXTRA_MS, on_cancel_overdue);
	}
}

void
engine_pause(struct engine *e, const char *id, const char *by, engine_done *done, void *arg)
{
	struct awo_err err = {0};
	struct live *l = get(e, id, &err);

	(void)by;
	if (l == NULL) {
		done(arg, &err, NULL);
		return;
	}
	if (l->row->pub.status != order_status_running || l->row->cancel_requested || l->stage == LIVE_SETTLED) {
		refuse_state(done, arg, l, "paused");
		return;
	}
	wait_for(l, WAIT_PAUSED, done, arg);
	if (l->pausing)
		return;
	l->pausing = true;	/* the hello asks again when there is no connection yet */
	link_send(l, by_op("pause"));
}

void
engine_resume(struct engine *e, const char *id, const char *by, engine_done *done, void *arg)
{
	struct awo_err err = {0};
	struct live *l = get(e, id, &err);

	(void)by;
	if (l == NULL) {
		done(arg, &err, NULL);
		return;
	}
	if (l->row->pub.status != order_status_paused || l->row->cancel_requested) {
		refuse_state(done, arg, l, "resumed");
		return;
	}
	l->row->wake = true;
	e->positions_stale = true;
	engine_kick(e);
	change_try(change_begin(l), reply_then, reply_new(done, arg));
}

/* An order that was to run again is in the queue only now that this is recorded: else it is what it was. */
static void
requeued(struct live *l, bool ok, struct order_row *before)
{
	struct awo_err err = {0};

	/* what is on its way by now builds on it, and records it as well */
	if (ok || l->commits > 0) {
		order_row_free(before);
		free(before);
		l->stage = LIVE_QUEUED;
		if (l->row->cancel_requested) {
			l->exited = true;
			l->status = 0;
			settle(l);
		}
	} else {
		order_row_free(l->row);
		free(l->row);
		l->row = before;
		ERR(&err, UNAVAILABLE, "", "the order does not run, for its retry could not be recorded");
		wake_waiters(l, WAIT_ENDED, &err);
	}
	l->e->positions_stale = true;
	engine_kick(l->e);
}

static void
retried_then(struct live *l, bool ok, void *arg)
{
	struct reply *r = arg;

	requeued(l, ok, TAKE_PTR(r->before));
	reply_then(l, ok, r);
}

void
engine_retry(struct engine *e, const char *id, const char *by, engine_done *done, void *arg)
{
	struct awo_err err = {0};
	struct live *l = get(e, id, &err);
	struct order_row *before;
	struct change *c;
	struct reply *r;

	if (l == NULL) {
		done(arg, &err, NULL);
		return;
	}
	before = order_row_dup(l->row);
	if (apply(l, ORDER_RETRY, &err) != 0) {
		order_row_free(before);
		free(before);
		refuse(done, arg, l, &err);
		return;
	}
	l->row->tries_base = l->row->pub.attempt - 1;
	c = change_begin(l);
	change_event(c, "info", "agent_work_order_retried",
	    json_pack("{s:I,s:s,s:s}", "attempt", (json_int_t)l->row->pub.attempt, "reason", "asked for", "by", by));
	r = reply_new(done, arg);
	r->before = before;
	change_try(c, retried_then, r);
}

void
engine_start(struct engine *e, const char *id, engine_done *done, void *arg)
{
	struct awo_err err = {0};
	struct live *l = get(e, id, &err);

	if (l == NULL) {
		done(arg, &err, NULL);
		return;
	}
	if (l->row->pub.status != order_status_pending || l->stage != LIVE_QUEUED || l->row->rowid == 0) {
		refuse_state(done, arg, l, "started");
		return;
	}
	if (!e->ready) {
		ERR(&err, UNAVAILABLE, "", "awod is just starting; try again");
		refuse(done, arg, l, &err);
		return;
	}
	if ((int64_t)e->running >= e->b->conf->max_concurrent) {
		ERR(&err, RESOURCE_EXHAUSTED, "", "all %lld slots are taken; the order stays in the queue",
		    (long long)e->b->conf->max_concurrent);
		refuse(done, arg, l, &err);
		return;
	}
	P_CLEAR(order, &l->row->pub, retry_at);
	l->row->pub.retry_at = 0;
	start(l);
	if (l->row->pub.status != order_status_running) {
		ERR(&err, RESOURCE_EXHAUSTED, "", "no port range is free");
		refuse(done, arg, l, &err);
		return;
	}
	change_try(change_begin(l), reply_then, reply_new(done, arg));
}

struct prompting {
	engine_prompt_done *done;
	void *arg;
	char *text;
	struct order_row *before;	/* of an order that is re-opened */
	int64_t id;
};

static void
prompt_told(struct live *l, bool ok, void *arg)
{
	struct prompting *p = arg;
	struct awo_err err = {0};
	const char *message = p->before != NULL ? "the order runs again with this prompt" :
	    l->row->pub.status == order_status_running ? "the prompt runs after the current step" :
	    l->row->pub.status == order_status_waiting && order_has_gate(l->row, (size_t)l->row->resume_step) ?
	    "the prompt runs as soon as a slot is free, then the order waits again" :
	    "the prompt runs when the order does";

	if (p->before != NULL)
		requeued(l, ok, TAKE_PTR(p->before));
	if (!ok)
		ERR(&err, UNAVAILABLE, "", "the database could not be written; see awod's log");
	else if (l->stage == LIVE_WORKING)
		send_prompt(l, p->id, p->text);
	if (ok && l->row->pub.status == order_status_waiting && !l->row->wake) {
		/* for the prompt alone it needs a slot; the gate stays where it is */
		l->row->wake = true;
		l->e->positions_stale = true;
		engine_kick(l->e);
	}
	p->done(p->arg, &err, p->id, message);
	free(p->text);
	free(p);
	maybe_free(l);
}

/* Puts a prompt into a change, and says so in the log. Returns its id. */
static int64_t
queue_prompt(struct change *c, const char *id, const struct caller *by, const char *text)
{
	int64_t prompt = store_tx_prompt_insert(change_tx(c), id, text, (uint32_t)by->uid);
	CLEAN_BUF struct buf shown = {0};

	text_add_utf8(&shown, text, strlen(text), 1000);
	change_event(c, "info", "prompt_queued", json_pack("{s:I,s:s}", "prompt_id", (json_int_t)prompt, "text", shown.p));
	return prompt;
}

void
engine_prompt(struct engine *e, const char *id, const struct caller *by, const char *text, engine_prompt_done *done,
    void *arg)
{
	engine_prompt_delivered(e, id, by, text, NULL, done, arg);
}

void
engine_prompt_delivered(struct engine *e, const char *id, const struct caller *by, const char *text,
    const struct store_delivery *delivery, engine_prompt_done *done, void *arg)
{
	struct awo_err err = {0};
	struct live *l = get(e, id, &err);
	struct prompting *p;
	struct change *c;

	if (l == NULL) {
		done(arg, &err, 0, "");
		return;
	}
	if (l->row->cancel_requested || l->row->pub.status == order_status_cancelled)
		ERR(&err, FAILED_PRECONDITION, "agent_work_order_id", "order %s is cancelled: retry it first", id);
	else if (order_is_terminal(l->row->pub.status) && (l->row->workspace_removed || l->row->base_sha == NULL))
		ERR(&err, FAILED_PRECONDITION, "agent_work_order_id",
		    "the workspace of order %s is not there any more: hand in a new order%s%s", id,
		    l->row->pub.git_branch_name != NULL ? " with --base " : "",
		    l->row->pub.git_branch_name != NULL ? l->row->pub.git_branch_name : "");
	if (err.code != AWO_OK) {
		done(arg, &err, 0, "");
		maybe_free(l);
		return;
	}
	p = xcalloc(1, sizeof(*p));
	p->done = done;
	p->arg = arg;
	p->text = xstrdup(text);
	c = change_begin(l);
	p->id = queue_prompt(c, id, by, text);
	if (delivery != NULL)
		store_tx_delivery(change_tx(c), delivery, id);
	if (order_is_terminal(l->row->pub.status)) {
		p->before = order_row_dup(l->row);
		if (apply(l, ORDER_REOPEN, NULL) == 0)
			l->row->resume_step = (int64_t)l->row->pub.selected_commands.n;
	}
	change_try(c, prompt_told, p);
}

struct approval {
	struct reply *reply;
	int64_t passed_before, prompt;
	char *text;	/* NULL: nothing to be told */
};

static void
approved(struct live *l, bool ok, void *arg)
{
	struct approval *a = arg;

	l->deciding = false;
	if (!ok) {
		l->row->gate_passed = a->passed_before;
		l->row->wake = false;
	} else if (a->text != NULL) {
		send_prompt(l, a->prompt, a->text);
	}
	l->e->positions_stale = true;
	engine_kick(l->e);
	reply_then(l, ok, a->reply);
	free(a->text);
	free(a);
}

void
engine_approve(struct engine *e, const char *id, const struct caller *by, const char *comment, const char *prompt,
    engine_done *done, void *arg)
{
	struct awo_err err = {0};
	struct live *l = get(e, id, &err);
	struct approval *a;
	struct change *c;

	if (l == NULL) {
		done(arg, &err, NULL);
		return;
	}
	if (l->row->pub.status != order_status_waiting || l->row->cancel_requested || l->deciding) {
		refuse_state(done, arg, l, "approved");
		return;
	}
	a = xcalloc(1, sizeof(*a));
	a->reply = reply_new(done, arg);
	a->passed_before = l->row->gate_passed;
	l->row->gate_passed = l->row->resume_step;
	l->row->wake = true;
	/* it gets its slot when this is recorded, and its worker hears the prompt before the gate opens */
	l->deciding = true;
	c = change_begin(l);
	change_event(c, "info", "agent_work_order_approved",
	    json_pack("{s:s?,s:s,s:s?}", "gate", l->row->pub.gate, "by", by->user, "comment", comment));
	if (prompt != NULL) {
		a->text = xstrdup(prompt);
		a->prompt = queue_prompt(c, id, by, prompt);
	}
	change_try(c, approved, a);
}

static void
deleted(void *arg, const struct awo_err *err, const struct store_commit *commit)
{
	struct deletion *d = arg, **p = &d->e->deletions;
	struct sup_msg m;
	char path[PATH_MAX];

	(void)commit;
	while (*p != d)
		p = &(*p)->next;
	*p = d->next;
	if (err == NULL || err->code == AWO_OK) {
		suplink_msg(&m, SUP_REMOVE, SUP_ORDER);
		snprintf(m.id, sizeof(m.id), "%s", d->row.pub.agent_work_order_id);
		suplink_send(d->e->sup, &m, NULL, 0);
		journal_path(d->e, &d->row, path);
		if (unlink(path) != 0 && errno != ENOENT)
			log_warning("log_removal_failed", LS("path", path), LS("error", strerror(errno)));
		server_log_ended(d->e->b->server, d->row.pub.agent_work_order_id, "order_removed");
	}
	{
		struct awo_err none = {0};
		d->done(d->arg, err != NULL ? err : &none, NULL);
	}
	order_row_free(&d->row);
	free(d);
}

void
engine_delete(struct engine *e, const char *id, engine_done *done, void *arg)
{
	struct awo_err err = {0};
	struct live *l = live_find(e, id);
	struct deletion *d = xcalloc(1, sizeof(*d));
	struct store_tx *tx;

	if (l != NULL) {
		free(d);
		if (order_is_terminal(l->row->pub.status))
			ERR(&err, FAILED_PRECONDITION, "agent_work_order_id", "order %s is just ending; try again", id);
		else
			ERR(&err, FAILED_PRECONDITION, "agent_work_order_id", "order %s is %s: cancel it first", id,
			    P_ENUM_NAME(order_status, l->row->pub.status));
		done(arg, &err, NULL);
		return;
	}
	if (is_being_removed(e, id, &err) || store_order_get(e->b->store, id, &d->row, &err) != 0) {
		free(d);
		done(arg, &err, NULL);
		return;
	}
	if (!order_is_terminal(d->row.pub.status)) {
		/* recorded a moment ago, see inserted() */
		ERR(&err, FAILED_PRECONDITION, "agent_work_order_id", "order %s is %s: cancel it first", id,
		    P_ENUM_NAME(order_status, d->row.pub.status));
		order_row_free(&d->row);
		free(d);
		done(arg, &err, NULL);
		return;
	}
	d->next = e->deletions;
	e->deletions = d;
	d->e = e;
	d->done = done;
	d->arg = arg;
	tx = store_tx(e->b->store);
	store_tx_order_delete(tx, id);
	store_tx_commit(tx, deleted, d);
}

void
engine_pull_request_seen(struct engine *e, const char *id, enum p_pull_request_state state, engine_done *done, void *arg)
{
	struct awo_err err = {0};
	struct live *l = get(e, id, &err);

	if (l == NULL) {
		done(arg, &err, NULL);
		return;
	}
	P_SET(order, &l->row->pub, github_pull_request_state, state);
	change_try(change_begin(l), reply_then, reply_new(done, arg));
}

/* ---- questions */

const struct order_row *
engine_order(struct engine *e, const char *id, struct awo_err *err)
{
	struct live *l = live_find(e, id);

	if (l == NULL)
		return store_order_lend(e->b->store, id, err);
	if (l->row->pub.status == order_status_pending)
		refresh_positions(e);
	return l->row;
}

bool
engine_is_settling(struct engine *e, const char *id)
{
	const struct live *l = live_find(e, id);

	return l != NULL && order_is_terminal(l->row->pub.status) && l->commits > 0;
}

void
engine_fill_positions(struct engine *e, struct p_order_list_answer *page)
{
	for (size_t i = 0; i < page->agent_work_orders.n; i++) {
		struct p_order *o = &page->agent_work_orders.v[i];
		struct live *l = o->status == order_status_pending ? live_find(e, o->agent_work_order_id) : NULL;

		if (l == NULL)
			continue;
		refresh_positions(e);
		if (P_HAS(order, &l->row->pub, queue_position))
			P_SET(order, o, queue_position, l->row->pub.queue_position);
	}
}

void
engine_queue(struct engine *e, const struct caller *c, struct p_queue_answer *out)
{
	struct sched_limits lim = limits(e);
	struct sched_order *o;
	int64_t next, pending = 0;
	size_t n = snapshot(e, &o), shown = 0;

	memset(out, 0, sizeof(*out));
	scheduler_run(&lim, o, n, clock_wall_us(), &next);
	qsort(o, n, sizeof(*o), by_position);
	for (size_t i = 0; i < n; i++)
		if (!o[i].running)
			pending++;
	out->entries.v = xcalloc((size_t)(pending < 1000 ? pending : 1000) + 1, sizeof(*out->entries.v));
	for (size_t i = 0; i < n && shown < 1000; i++) {
		const struct live *l = o[i].order;
		const struct p_order *p = &l->row->pub;
		struct p_queue_entry *q = &out->entries.v[shown];

		if (o[i].running || !caller_may_see(c, l->row->owner_uid))
			continue;
		P_SETS(queue_entry, q, agent_work_order_id, p->agent_work_order_id);
		P_SET(queue_entry, q, queue_position, o[i].position);
		P_SETS(queue_entry, q, owner, p->owner);
		P_SETS(queue_entry, q, repository_url, p->repository_url);
		P_SET(queue_entry, q, priority, p->priority);
		P_SETS(queue_entry, q, reason, scheduler_reason_name(o[i].reason));
		P_SET(queue_entry, q, created_at, p->created_at);
		if (P_HAS(order, p, retry_at))
			P_SET(queue_entry, q, retry_at, p->retry_at);
		shown++;
	}
	out->entries.n = shown;
	P_MARK(queue_answer, out, entries);
	P_SET(queue_answer, out, running, (int64_t)e->running);
	P_SET(queue_answer, out, pending, pending);
	P_SET(queue_answer, out, max_concurrent, lim.max_concurrent);
	free(o);
}

void
engine_metrics(struct engine *e, json_t *into)
{
	int64_t counts[order_status_cancelled + 1] = {0};
	json_t *states = json_object();

	store_counts(e->b->store, counts);
	for (int s = order_status_pending; s <= order_status_cancelled; s++)
		json_object_set_new(states, P_ENUM_NAME(order_status, s), json_integer(counts[s]));
	json_object_set_new(into, "orders", states);
	json_object_set_new(into, "orders_created_total", json_integer((json_int_t)e->created));
	json_object_set_new(into, "orders_completed_total", json_integer((json_int_t)e->completed));
	json_object_set_new(into, "orders_failed_total", json_integer((json_int_t)e->failed));
	json_object_set_new(into, "orders_cancelled_total", json_integer((json_int_t)e->cancelled));
	json_object_set_new(into, "orders_retried_total", json_integer((json_int_t)e->retried));
	json_object_set_new(into, "worker_launches_total", json_integer((json_int_t)e->launches));
	json_object_set_new(into, "queue_wait_seconds", histogram_json(&e->queue_wait));
	json_object_set_new(into, "step_seconds", histogram_json(&e->step_time));
	json_object_set_new(into, "input_tokens_total", json_real(e->input_tokens));
	json_object_set_new(into, "output_tokens_total", json_real(e->output_tokens));
	json_object_set_new(into, "cost_usd_total", json_real(e->cost_usd));
	json_object_set_new(into, "slots_used", json_integer((json_int_t)e->running));
	json_object_set_new(into, "slots", json_integer(e->b->conf->max_concurrent));
}

/* ---- the supervisor's messages */

static void
worker_up(struct live *l)
{
	l->stage = LIVE_WORKING;
	l->exited = false;
	l->row->worker_started = true;
	if (l->final == FINAL_FAILED) {
		kill_worker(l);		/* its fetch has failed meanwhile */
		return;
	}
	link_connect(l);
	if (l->row->cancel_requested)
		set_deadline(l, l->e->b->conf->timeout_kill * 1000 + CANCEL_EXTRA_MS, on_cancel_overdue);
}

static void
adopted(struct engine *e, const char *id)
{
	struct live *l = live_find(e, id);
	struct sup_msg m;

	if (l != NULL && (order_has_slot(l->row->pub.status) || l->row->pub.status == order_status_paused ||
		l->row->pub.status == order_status_waiting)) {
		log_info("worker_adopted", LS("agent_work_order_id", id));
		worker_up(l);
		return;
	}
	log_warning("worker_without_order_killed", LS("agent_work_order_id", id));
	suplink_msg(&m, SUP_KILL, SUP_ORDER);
	snprintf(m.id, sizeof(m.id), "%s", id);
	suplink_send(e->sup, &m, NULL, 0);
}

/* Had its prompt come in time, or this process lived a moment longer, the order would have run on. */
static int
load_prompted(void *arg, struct order_row *r)
{
	struct engine *e = arg;

	if (live_find(e, r->pub.agent_work_order_id) == NULL)
		live_new(e, order_row_dup(r))->stage = LIVE_SETTLED;
	return 0;
}

/* Every worker that lives has been announced: what should have one and has none is settled or started again. */
static void
ready(struct engine *e)
{
	struct live *l, *next;
	struct awo_err err = {0};

	if (e->ready)
		return;
	e->ready = true;
	if (store_prompted(e->b->store, load_prompted, e, &err) != 0)
		log_error("prompts_not_read", LS("error", err.msg));
	for (l = e->all; l != NULL; l = next) {
		enum p_order_status s = l->row->pub.status;

		next = l->next;
		if (l->stage == LIVE_WORKING) {
			/* what it wrote while nobody listened */
			if (journal_make(l) == 0)
				journal_drain(l);
			live_taken(l);
			continue;
		}
		if (s == order_status_completed && l->commits == 0) {
			reopen_if_prompted(l);
			maybe_free(l);
			continue;
		}
		if (s != order_status_running && s != order_status_paused && s != order_status_waiting)
			continue;
		if (journal_make(l) == 0)
			journal_drain(l);
		if (l->final == FINAL_NONE && l->row->pub.sandbox_layers.n == 0 && s == order_status_running) {
			log_info("order_start_repeated", LS("agent_work_order_id", l->row->pub.agent_work_order_id));
			started(l, true, NULL);	/* its worker never began */
			continue;
		}
		live_exited(l, -1, false);
	}
	/* directories of orders that no record knows, after a crash or a restored backup */
	engine_reconcile(e, false, NULL, NULL);
	engine_kick(e);
}

void
engine_message(struct engine *e, const struct sup_msg *m)
{
	struct live *l = m->kind == SUP_ORDER ? live_find(e, m->id) : NULL;

	switch (m->op) {
	case SUP_SPAWNED:
		if (m->kind == SUP_TASK)
			task_spawned(e, m);
		else if (l != NULL && l->stage == LIVE_SPAWNING) {
			if (m->err != 0 && l->final == FINAL_FAILED) {
				live_exited(l, 0, false);	/* its fetch has failed, which is why */
			} else if (m->err != 0) {
				CLEAN_FREE char *text = xasprintf("the sandbox could not be made: %s: %s", m->what,
				    strerror(m->err));
				/* there is none */
				l->stage = LIVE_FETCHING;
				live_failed(l, is_shortage(m->err) ? error_category_resource : error_category_internal, text,
				    0);
			} else
				worker_up(l);
		}
		break;
	case SUP_EXITED:
		if (m->kind == SUP_TASK)
			task_exited(e, m);
		else if (l != NULL && (l->stage != LIVE_QUEUED || l->row->pub.status == order_status_paused ||
		    l->row->pub.status == order_status_waiting))
			live_exited(l, m->status, m->oom != 0);
		break;
	case SUP_REMOVED:
		retention_removed(e, m);
		break;
	case SUP_ADOPTED:
		if (m->kind == SUP_ORDER)
			adopted(e, m->id);
		else {
			struct sup_msg k;	/* a task of a broker that is gone: nobody waits for its answer */

			suplink_msg(&k, SUP_KILL, SUP_TASK);
			k.tag = m->tag;
			suplink_send(e->sup, &k, NULL, 0);
		}
		break;
	case SUP_READY:
		e->b->restarts = (int64_t)m->restarts;
		e->b->restarted_us = m->restarted_us;
		ready(e);
		break;
	case SUP_STOP:
		event_base_loopexit(e->b->base, NULL);
		break;
	default:
		log_error("supervisor_message_unknown", LI("op", m->op));
	}
}

/* ---- opening and closing */

static int
load_row(void *arg, struct order_row *r)
{
	struct engine *e = arg;
	struct live *l = live_new(e, order_row_dup(r));

	l->slot_since_us = clock_mono_us();
	return 0;
}

void
engine_reloaded(struct engine *e)
{
	server_changed(e->b->server);
	e->positions_stale = true;
	engine_kick(e);
}

struct engine *
engine_open(struct broker *b, int fd, struct awo_err *err)
{
	struct engine *e = xcalloc(1, sizeof(*e));

	e->b = b;
	b->engine = e;
	e->inotify = -1;
	change_open(e);
	grow(e);
	/* numbers of tasks are never used twice while a supervisor lives, whichever broker gave them */
	e->next_tag = (uint64_t)clock_mono_us();
	e->kick = evtimer_new(b->base, on_kick, e);
	e->again = evtimer_new(b->base, on_kick, e);
	if (e->kick == NULL || e->again == NULL || journal_open(e) != 0) {
		ERR(err, INTERNAL, "", "cannot watch logs: %s (fs.inotify.max_user_instances may be too small)",
		    strerror(errno));
		engine_close(e);
		return NULL;
	}
	if (store_order_scan(b->store, W_pending | W_running | W_waiting | W_paused, load_row, e, err) != 0 ||
	    (e->sup = suplink_open(e, fd, err)) == NULL) {
		engine_close(e);
		return NULL;
	}
	retention_open(e);
	return e;
}

void
engine_stop(struct engine *e)
{
	if (e != NULL)
		e->closing = true;
}

void
engine_close(struct engine *e)
{
	if (e == NULL)
		return;
	e->closing = true;
	retention_close(e);
	change_close(e);
	while (e->all != NULL)
		/* each leaves the list when it is freed; NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
		live_free(e->all);
	if (e->sup != NULL)
		task_close_all(e);
	fetch_close_all(e);
	suplink_close(e->sup);
	journal_close(e);
	if (e->kick != NULL)
		event_free(e->kick);
	if (e->again != NULL)
		event_free(e->again);
	free(e->hash);
	e->b->engine = NULL;
	free(e);
}
