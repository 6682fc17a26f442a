/* A worker's log as the broker takes it in, in slices: lines found, believed or not, put into the
 * order's record. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "awod/engine_priv.h"
#include "awod/server.h"
#include "common/clean.h"
#include "common/files.h"
#include "tests/fuzz/fuzz.h"

#define ID "wo-12345678"

/* ---- what is around journal.c */

struct change {
	struct live *l;
	unsigned events;
};
static struct change the_change;
static unsigned open_changes;

struct change *
change_begin(struct live *l)
{
	FUZZ_CHECK(open_changes++ == 0);
	the_change = (struct change){.l = l};
	return &the_change;
}

struct store_tx *
change_tx(struct change *c)
{
	FUZZ_CHECK(c == &the_change && open_changes == 1);
	return NULL;
}

void
change_event(struct change *c, const char *level, const char *event, json_t *fields)
{
	FUZZ_CHECK(level != NULL && p_event_find(event) != P_E__NONE);
	c->events++;
	json_decref(fields);
}

/* Whatever a worker wrote, its order can be shown. */
void
change_commit(struct change *c, change_then *then, void *arg)
{
	const struct order_row *r = c->l->row;
	json_t *tree CLEAN_JSON = p_to_json(&p_type_order, &r->pub);
	struct awo_err err = {0};
	struct p_order again;

	(void)then;
	(void)arg;
	open_changes--;
	if (p_from_json(&p_type_order, &again, tree, true, &err) != 0)
		fuzz_failed(err.msg, __FILE__, __LINE__);
	P_FREE(order, &again);
	FUZZ_CHECK(r->journal_offset >= 0 && r->journal_offset <= c->l->read_offset);
	FUZZ_CHECK(strcmp(r->pub.agent_work_order_id, ID) == 0);
}

void
store_tx_step_put(struct store_tx *tx, const char *id, const struct p_step *step)
{
	json_t *tree CLEAN_JSON = p_to_json(&p_type_step, step);
	struct awo_err err = {0};
	struct p_step again;

	(void)tx;
	FUZZ_CHECK(strcmp(id, ID) == 0);
	if (p_from_json(&p_type_step, &again, tree, true, &err) != 0)
		fuzz_failed(err.msg, __FILE__, __LINE__);
	P_FREE(step, &again);
}

void
store_tx_prompt_done(struct store_tx *tx, int64_t prompt_id)
{
	(void)tx;
	FUZZ_CHECK(prompt_id > 0);
}

int
store_events(struct store *s, int64_t after_id, const char *order_id, int limit,
    int (*row)(void *arg, int64_t id, const char *order_id, const char *line), void *arg,
    struct awo_err *err)
{
	(void)s;
	(void)limit;
	(void)err;
	FUZZ_CHECK(after_id >= 0 && strcmp(order_id, ID) == 0);
	/* the two events that a start has, and one that comes later */
	for (int64_t id = 5; id < 8; id++)
		(void)row(arg, id, order_id, "{\"event\":\"agent_work_order_started\"}");
	return 0;
}

struct live *
live_find(struct engine *e, const char *id)
{
	FUZZ_CHECK(strcmp(id, ID) == 0);
	return e->all;
}

void
live_taken(struct live *l)
{
	(void)l;
}

void
live_at_gate(struct live *l)
{
	struct awo_err err = {0};

	if (order_apply(l->row, ORDER_WAIT, 1, &err) == 0)
		FUZZ_CHECK(l->row->pub.gate != NULL);
}

void
server_log_grew(struct server *s, const char *id)
{
	(void)s;
	FUZZ_CHECK(strcmp(id, ID) == 0);
}

static bool is_known; /* that the record is another one: what was kept of it holds no more */

void
server_changed(struct server *s)
{
	(void)s;
	is_known = true;
}

void
server_event(struct server *s, uint32_t owner_uid, int64_t event_id, const char *line)
{
	json_t *o CLEAN_JSON = json_loads(line, 0, NULL);

	(void)s;
	(void)owner_uid;
	FUZZ_CHECK(event_id != 0 || is_known);
	is_known = false;
	FUZZ_CHECK(json_is_object(o));
}

void
suplink_msg(struct sup_msg *m, enum sup_op op, enum sup_kind kind)
{
	*m = (struct sup_msg){.version = SUP_VERSION, .op = op, .kind = kind};
}

void
suplink_send(struct suplink *s, const struct sup_msg *m, const int *fds, int nfds)
{
	(void)s;
	(void)fds;
	FUZZ_CHECK(m->op == SUP_KILL && strcmp(m->id, ID) == 0 && nfds == 0);
}

/* ---- an order */

static struct order_row *
new_row(void)
{
	struct order_row *r = xcalloc(1, sizeof(*r));
	struct p_order *o = &r->pub;

	r->canonical_url = xstrdup("https://github.com/o/r");
	r->log_date = xstrdup("2026-01-31");
	P_SETS(order, o, agent_work_order_id, ID);
	P_SETS(order, o, repository_url, "https://github.com/o/r");
	P_SETS(order, o, sandbox_identifier, "sandbox-" ID);
	P_SETS(order, o, agent, "claude");
	P_SET(order, o, sandbox_type, sandbox_type_git_worktree);
	P_SETS(order, o, owner, "user");
	P_SET(order, o, status, order_status_running);
	P_SET(order, o, attempt, 1);
	P_SET(order, o, created_at, 1);
	P_SET(order, o, updated_at, 1);
	p_strv_add(&o->selected_commands, "create-branch");
	p_strv_add(&o->selected_commands, "planning");
	P_MARK(order, o, selected_commands);
	return r;
}

/* One byte says how much of the log is there at first, the rest is the log. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	unsigned mode = fuzz_u8(&in);
	size_t first = mode % 16 == 15 ? in.len : in.len * (mode % 16) / 15;
	struct broker b = {0};
	struct engine e = {.b = &b, .inotify = -1};
	struct live l = {.e = &e, .row = new_row(), .stage = LIVE_WORKING, .watch = -1};

	e.all = e.followed = &l;
	l.log_fd = dup(fuzz_file(in.p, first));
	FUZZ_CHECK(l.log_fd >= 0);
	open_changes = 0;
	journal_drain(&l);
	FUZZ_CHECK(l.read_offset <= (int64_t)first);
	FUZZ_CHECK(first == in.len || files_write_all(l.log_fd, in.p + first, in.len - first) == 0);
	journal_append(&l, 7, "{\"event\":\"agent_work_order_resumed\"}");
	journal_drain(&l);
	/* somebody makes it shorter */
	if (mode & 16) {
		FUZZ_CHECK(ftruncate(l.log_fd, (off_t)(in.len / 2)) == 0);
		journal_drain(&l);
	}
	FUZZ_CHECK(open_changes == 0);
	journal_forget(&l);
	order_row_free(l.row);
	free(l.row);
	free(l.error);
	return 0;
}
