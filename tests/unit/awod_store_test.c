/* The store: every row comes back as it went in, commits are shared but failures are not, pages,
 * counters, damage. */
#include "cmocka_all.h"

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "awod/store.h"
#include "common/buf.h"
#include "common/clean.h"
#include "common/clock.h"
#include "common/files.h"
#include "common/ids.h"
#include "common/log.h"
#include "proto_fill.h"

#define T0 INT64_C(1700000000000000)

struct place {
	char dir[64], path[96];
	bool memory;
	struct event_base *base;
	struct store *s;
};

static void
open_store(struct place *p)
{
	struct store_options o = {.path = p->memory ? NULL : p->path};
	struct awo_err err = {0};

	p->s = store_open(p->base, &o, &err);
	if (!p->s)
		fail_msg("%s", err.msg);
}

static int
set_up(void **state, bool memory)
{
	struct place *p = xcalloc(1, sizeof(*p));

	log_open("test", LOG_FMT_TEXT, LOG_LVL_ERROR);
	snprintf(p->dir, sizeof(p->dir), "/tmp/awo-store-XXXXXX");
	if (!mkdtemp(p->dir))
		return -1;
	snprintf(
	    p->path, sizeof(p->path), "%s/awo ?%%#.db", p->dir); /* what a URI would take apart */
	p->memory = memory;
	p->base = event_base_new();
	open_store(p);
	*state = p;
	return 0;
}

static int
set_up_file(void **state)
{
	return set_up(state, false);
}

static int
set_up_memory(void **state)
{
	return set_up(state, true);
}

static int
tear_down(void **state)
{
	struct place *p = *state;

	store_close(p->s);
	event_base_free(p->base);
	files_remove_tree(AT_FDCWD, p->dir, NULL);
	free(p);
	return 0;
}

/* ---- commits that the test waits for */

struct result {
	int calls;
	struct awo_err err;
	int64_t events[8], rowid;
	size_t nevents;
};

static void
on_done(void *arg, const struct awo_err *err, const struct store_commit *commit)
{
	struct result *r = arg;

	r->calls++;
	if (err)
		r->err = *err;
	r->rowid = commit->rowid;
	r->nevents = commit->nevents;
	for (size_t i = 0; i < commit->nevents && i < 8; i++)
		r->events[i] = commit->event_ids[i];
}

static void
wait_for(struct place *p, const int *calls)
{
	/* the loop, as in the daemon: no flush */
	while (*calls == 0)
		event_base_loop(p->base, EVLOOP_ONCE);
}

static struct result
commit(struct place *p, struct store_tx *tx)
{
	struct result r = {0};

	store_tx_commit(tx, on_done, &r);
	wait_for(p, &r.calls);
	assert_int_equal(r.calls, 1);
	return r;
}

static void
must(const struct result *r)
{
	if (r->err.code != AWO_OK)
		fail_msg("%s: %s", awo_code_name(r->err.code), r->err.msg);
}

static struct order_row
make_row(const char *id, uint32_t uid, enum p_order_status status)
{
	struct order_row r = {.owner_uid = uid, .canonical_url = xstrdup("https://github.com/o/r")};
	struct p_order *o = &r.pub;
	char owner[32];

	snprintf(owner, sizeof(owner), "user%u", uid);
	P_SETS(order, o, agent_work_order_id, id);
	P_SETS(order, o, repository_url, r.canonical_url);
	P_SETS(order, o, sandbox_identifier, "sandbox");
	P_SETS(order, o, owner, owner);
	P_SETS(order, o, agent, "claude");
	P_SETS(order, o, user_request, "do it");
	P_SET(order, o, sandbox_type, sandbox_type_git_worktree);
	P_SET(order, o, status, status);
	P_SET(order, o, attempt, 1);
	P_SET(order, o, created_at, T0);
	P_SET(order, o, updated_at, T0);
	return r;
}

static int64_t
insert(struct place *p, const char *id, uint32_t uid, enum p_order_status status)
{
	struct order_row r = make_row(id, uid, status);
	struct store_tx *tx = store_tx(p->s);
	struct result res;

	store_tx_order_insert(tx, &r, NULL);
	order_row_free(&r);
	res = commit(p, tx);
	must(&res);
	return res.rowid;
}

/* ---- the schema and the tables of messages say the same */

static void
check_columns(
    sqlite3 *db, const char *table, const struct p_type *type, uint64_t skip, const char *others)
{
	struct buf sql CLEAN_BUF = {0};
	struct buf want CLEAN_BUF = {0};
	sqlite3_stmt *st;
	size_t n = 0, nfields = 0;
	char *others_copy CLEAN_FREE = xstrdup(others);

	buf_printf(&sql, "SELECT name FROM pragma_table_info('%s')", table);
	assert_int_equal(sqlite3_prepare_v2(db, sql.p, -1, &st, NULL), SQLITE_OK);
	while (sqlite3_step(st) == SQLITE_ROW) {
		buf_printf(&want, " %s ", (const char *)sqlite3_column_text(st, 0));
		n++;
	}
	sqlite3_finalize(st);
	assert_non_null(want.p);
	for (unsigned i = 0; i < type->nfields; i++) {
		struct buf name CLEAN_BUF = {0};

		if (skip & (UINT64_C(1) << i))
			continue;
		nfields++;
		buf_printf(&name, " %s ", type->fields[i].name);
		if (!strstr(want.p, name.p))
			fail_msg("%s has no column%s: write a migration", table, name.p);
	}
	for (char *s = strtok(others_copy, " "); s; s = strtok(NULL, " "), nfields++) {
		struct buf name CLEAN_BUF = {0};

		buf_printf(&name, " %s ", s);
		assert_non_null(strstr(want.p, name.p));
	}
	assert_int_equal(n, nfields);
}

static void
test_schema(void **state)
{
	struct place *p = *state;
	sqlite3 *db;

	assert_int_equal(sqlite3_open(p->path, &db), SQLITE_OK);
	check_columns(db, "work_orders", &p_type_order, P_BIT(order, queue_position),
	    "order_rowid owner_uid canonical_url log_date journal_offset event_appended base_sha "
	    "head_sha pushed_sha plan_file "
	    "port_start timeout_seconds elapsed_us resume_step gate_passed step_started_at tries_base worker_started wake "
	    "jump cancel_requested "
	    "workspace_removed request_id idempotency_key");
	check_columns(db, "work_order_steps", &p_type_step, 0, "step_rowid order_rowid");
	check_columns(db, "repositories", &p_type_repository, 0, "repository_rowid owner_uid");
	check_columns(
	    db, "credentials", &p_type_credential, 0, "credential_rowid owner_uid shared sealed");
	check_columns(
	    db, "api_tokens", &p_type_token, P_BIT(token, token) | P_BIT(token, uid), "token_rowid owner_uid hash");
	check_columns(db, "sessions", &p_type_session, P_BIT(session, session) | P_BIT(session, uid),
	    "session_rowid owner_uid is_login hash");
	sqlite3_close(db);
}

/* ---- orders */

static void
fill_row(struct order_row *r, const char *id, bool some)
{
	memset(r, 0, sizeof(*r));
	fill(&p_type_order, &r->pub, some);
	P_SETS(order, &r->pub, agent_work_order_id, id);
	P_CLEAR(order, &r->pub, queue_position);
	r->pub.queue_position = 0;
	r->owner_uid = UINT32_MAX - 1;
	r->canonical_url = xstrdup("file:///a");
	r->log_date = xstrdup("2026-01-31");
	r->journal_offset = 11;
	r->event_appended = 12;
	r->base_sha = xstrdup("b");
	r->head_sha = xstrdup("h");
	r->pushed_sha = xstrdup("p");
	r->plan_file = xstrdup("PRPs/x.md");
	r->port_start = 42010;
	r->timeout_seconds = 13;
	r->elapsed_us = 14;
	r->resume_step = 15;
	r->gate_passed = 17;
	r->step_started_at = 16;
	r->tries_base = 2;
	r->worker_started = true;
	r->jump = true;
	r->workspace_removed = true;
	r->request_id = xstrdup("req");
}

static void
check_same(const struct order_row *a, const struct order_row *b)
{
	const char *diff = difference(&p_type_order, &a->pub, &b->pub);

	if (diff)
		fail_msg("differs at %s", diff);
	assert_int_equal(a->owner_uid, b->owner_uid);
	assert_string_equal(a->canonical_url, b->canonical_url);
	assert_string_equal(a->log_date, b->log_date);
	assert_int_equal(a->journal_offset, b->journal_offset);
	assert_int_equal(a->event_appended, b->event_appended);
	assert_string_equal(a->base_sha, b->base_sha);
	assert_string_equal(a->head_sha, b->head_sha);
	assert_string_equal(a->pushed_sha, b->pushed_sha);
	assert_string_equal(a->plan_file, b->plan_file);
	assert_int_equal(a->port_start, b->port_start);
	assert_int_equal(a->timeout_seconds, b->timeout_seconds);
	assert_int_equal(a->elapsed_us, b->elapsed_us);
	assert_int_equal(a->resume_step, b->resume_step);
	assert_int_equal(a->gate_passed, b->gate_passed);
	assert_int_equal(a->step_started_at, b->step_started_at);
	assert_int_equal(a->tries_base, b->tries_base);
	assert_int_equal(a->worker_started, b->worker_started);
	assert_int_equal(a->wake, b->wake);
	assert_int_equal(a->jump, b->jump);
	assert_int_equal(a->cancel_requested, b->cancel_requested);
	assert_int_equal(a->workspace_removed, b->workspace_removed);
	assert_string_equal(a->request_id, b->request_id);
}

static void
test_order_round_trip(void **state)
{
	struct place *p = *state;

	srand(3);
	for (int i = 0; i < 30; i++) {
		struct order_row r, got, changed;
		struct store_tx *tx = store_tx(p->s);
		struct result res;
		char id[12];

		snprintf(id, sizeof(id), "wo-%08x", (unsigned)i);
		fill_row(&r, id, i % 2 == 1);
		store_tx_order_insert(tx, &r, NULL);
		res = commit(p, tx);
		must(&res);
		assert_int_equal(store_order_get(p->s, id, &got, NULL), 0);
		assert_int_equal(got.rowid, res.rowid);
		check_same(&r, &got);

		/* everything that may change changes */
		fill_row(&changed, id, i % 3 == 0);
		changed.rowid = i % 2 ? got.rowid : 0;
		P_SETS(order, &changed.pub, owner, r.pub.owner);
		P_SET(order, &changed.pub, created_at, r.pub.created_at);
		changed.journal_offset = 99;
		changed.wake = true;
		changed.cancel_requested = true;
		tx = store_tx(p->s);
		store_tx_order_update(tx, &changed);
		res = commit(p, tx);
		must(&res);
		order_row_free(&got);
		assert_int_equal(store_order_get(p->s, id, &got, NULL), 0);
		check_same(&changed, &got);
		order_row_free(&r);
		order_row_free(&got);
		order_row_free(&changed);
	}
}

static void
test_not_found(void **state)
{
	struct place *p = *state;
	struct order_row row = make_row("wo-00000009", 1, order_status_pending);
	struct awo_err err = {0};
	struct order_row got;
	struct result res;
	struct store_tx *tx;

	assert_int_equal(store_order_get(p->s, "wo-00000009", &got, &err), -1);
	assert_int_equal(err.code, AWO_NOT_FOUND);
	tx = store_tx(p->s);
	store_tx_order_update(tx, &row);
	res = commit(p, tx);
	assert_int_equal(res.err.code, AWO_NOT_FOUND);
	tx = store_tx(p->s);
	store_tx_order_delete(tx, "wo-00000009");
	res = commit(p, tx);
	assert_int_equal(res.err.code, AWO_NOT_FOUND);
	tx = store_tx(p->s);
	store_tx_prompt_insert(tx, "wo-00000009", "x", 1);
	res = commit(p, tx);
	assert_int_equal(res.err.code, AWO_NOT_FOUND);
	order_row_free(&row);
}

/* Many transactions in one commit: the one that fails harms none of the others. */
static void
test_shared_commit(void **state)
{
	enum { MANY = 300 };
	struct place *p = *state;
	static struct result res[MANY];
	int64_t counts[order_status_cancelled + 1];
	int64_t last_event = 0;

	memset(res, 0, sizeof(res));
	for (int i = 0; i < MANY; i++) {
		struct order_row r;
		struct store_tx *tx = store_tx(p->s);
		char id[12];

		/* every tenth id is there already */
		snprintf(id, sizeof(id), "wo-%08x", (unsigned)(i % 10 == 9 ? i - 1 : i));
		r = make_row(id, 1, order_status_pending);
		/* the event before its order, and an order's event twice */
		store_tx_event(tx, id, "agent_work_order_created", "{\"a\":1}");
		store_tx_order_insert(tx, &r, NULL);
		store_tx_event(tx, id, "port_range_allocated", "{\"b\":2}");
		store_tx_commit(tx, on_done, &res[i]);
		order_row_free(&r);
	}
	store_flush(p->s);
	for (int i = 0; i < MANY; i++) {
		assert_int_equal(res[i].calls, 1);
		if (i % 10 == 9) {
			assert_int_equal(res[i].err.code, AWO_ALREADY_EXISTS);
			assert_string_equal(res[i].err.field, "agent_work_order_id");
			continue;
		}
		must(&res[i]);
		assert_int_equal(res[i].nevents, 2);
		assert_true(res[i].events[0] > last_event && res[i].events[1] > res[i].events[0]);
		last_event = res[i].events[1];
	}
	store_counts(p->s, counts);
	assert_int_equal(counts[order_status_none], MANY * 9 / 10);
	assert_int_equal(counts[order_status_pending], MANY * 9 / 10);
}

/* The thread watches for a job for a while, then sleeps: at any moment of it a job is seen. */
static void
test_one_after_the_other(void **state)
{
	enum { MANY = 300 };
	struct place *p = *state;
	unsigned seed = (unsigned)clock_mono_us();
	int64_t counts[order_status_cancelled + 1];

	print_message("seed %u\n", seed);
	for (int i = 0; i < MANY; i++) {
		char id[12];

		snprintf(id, sizeof(id), "wo-%08x", (unsigned)i);
		insert(p, id, 1, order_status_pending);
		usleep((useconds_t)rand_r(&seed) % 1200);
	}
	store_counts(p->s, counts);
	assert_int_equal(counts[order_status_pending], MANY);
}

/* Lists of words come back as they were, plain ones and those that JSON escapes. */
static void
test_words(void **state)
{
	static const char *const words[][3] = {{"create-branch", "", "planning"}, {"[", "]", "\xc3\xa4,"},
	    {"a\"b", "c\\", "d"}, {"e", "\n", "f"}};
	struct place *p = *state;

	for (unsigned i = 0; i < 4; i++) {
		char id[12];
		struct order_row row, got;
		struct store_tx *tx = store_tx(p->s);
		struct result res;

		snprintf(id, sizeof(id), "wo-%08x", i);
		row = make_row(id, 1, order_status_pending);
		for (int w = 0; w < 3; w++)
			p_strv_add(&row.pub.selected_commands, words[i][w]);
		p_strv_add(&row.pub.sandbox_layers, words[i][0]);
		P_MARK(order, &row.pub, selected_commands);
		P_MARK(order, &row.pub, sandbox_layers);
		store_tx_order_insert(tx, &row, NULL);
		res = commit(p, tx);
		must(&res);
		assert_int_equal(store_order_get(p->s, id, &got, NULL), 0);
		assert_int_equal(got.pub.selected_commands.n, 3);
		for (int w = 0; w < 3; w++)
			assert_string_equal(got.pub.selected_commands.v[w], words[i][w]);
		assert_int_equal(got.pub.sandbox_layers.n, 1);
		assert_string_equal(got.pub.sandbox_layers.v[0], words[i][0]);
		order_row_free(&got);
		order_row_free(&row);
	}
}

/* What is kept of an order is forgotten with every change to it. */
static void
test_lend(void **state)
{
	struct place *p = *state;
	struct order_row row = make_row("wo-0000000a", 1, order_status_failed);
	const struct order_row *lent;
	struct awo_err err = {0};
	struct store_tx *tx;
	struct result res;
	char *text = xcalloc(1, 20001);

	assert_null(store_order_lend(p->s, "wo-0000000a", &err));
	assert_int_equal(err.code, AWO_NOT_FOUND);
	insert(p, "wo-0000000a", 1, order_status_failed);
	lent = store_order_lend(p->s, "wo-0000000a", NULL);
	assert_non_null(lent);
	assert_string_equal(lent->pub.user_request, "do it");
	assert_ptr_equal(store_order_lend(p->s, "wo-0000000a", NULL), lent);
	/* with a text that is too long to be kept beside others */
	memset(text, 'x', 20000);
	P_SETS(order, &row.pub, user_request, text);
	tx = store_tx(p->s);
	store_tx_order_update(tx, &row);
	res = commit(p, tx);
	must(&res);
	lent = store_order_lend(p->s, "wo-0000000a", NULL);
	assert_non_null(lent);
	assert_string_equal(lent->pub.user_request, text);
	P_SETS(order, &row.pub, user_request, "short");
	tx = store_tx(p->s);
	store_tx_order_update(tx, &row);
	res = commit(p, tx);
	must(&res);
	lent = store_order_lend(p->s, "wo-0000000a", NULL);
	assert_non_null(lent);
	assert_string_equal(lent->pub.user_request, "short");
	/* more orders than are kept */
	for (unsigned i = 0; i < 200; i++) {
		char id[12];

		snprintf(id, sizeof(id), "wo-%08x", 0x100 + i);
		insert(p, id, 1, order_status_failed);
		lent = store_order_lend(p->s, id, NULL);
		assert_non_null(lent);
		assert_string_equal(lent->pub.agent_work_order_id, id);
	}
	tx = store_tx(p->s);
	store_tx_order_delete(tx, "wo-0000000a");
	res = commit(p, tx);
	must(&res);
	assert_null(store_order_lend(p->s, "wo-0000000a", NULL));
	order_row_free(&row);
	free(text);
}

/* A row that is given away is stored, and comes back whatever became of it. */
static void
on_taken(void *arg, const struct awo_err *err, const struct store_commit *commit)
{
	struct order_row **back = arg;

	*back = commit->row;
	(*back)->rowid = err ? -1 : commit->rowid;
}

static void
test_take(void **state)
{
	struct place *p = *state;
	struct order_row *rows[3], *back[3] = {NULL};

	for (int i = 0; i < 3; i++) {
		struct order_row r = make_row("wo-0000000b", 1, order_status_pending);
		struct store_tx *tx = store_tx(p->s);

		/* the second has the id of the first: only it fails, though they share a commit */
		if (i == 2)
			P_SETS(order, &r.pub, agent_work_order_id, "wo-0000000c");
		rows[i] = order_row_dup(&r);
		order_row_free(&r);
		store_tx_order_take(tx, rows[i], NULL);
		store_tx_commit(tx, on_taken, &back[i]);
	}
	store_flush(p->s);
	for (int i = 0; i < 3; i++) {
		assert_ptr_equal(back[i], rows[i]);
		assert_true(i == 1 ? back[i]->rowid == -1 : back[i]->rowid > 0);
		order_row_free(back[i]);
		free(back[i]);
	}
}

static void
test_idempotency_key(void **state)
{
	struct place *p = *state;
	struct order_row a = make_row("wo-0000000a", 1, order_status_pending);
	struct order_row b = make_row("wo-0000000b", 1, order_status_pending);
	struct order_row c = make_row("wo-0000000c", 2, order_status_pending);
	struct store_tx *tx;
	struct result res;
	char id[12];

	tx = store_tx(p->s);
	store_tx_order_insert(tx, &a, "k");
	res = commit(p, tx);
	must(&res);
	tx = store_tx(p->s);
	store_tx_order_insert(tx, &b, "k");
	res = commit(p, tx);
	assert_int_equal(res.err.code, AWO_ALREADY_EXISTS);
	assert_string_equal(res.err.field, "idempotency_key");
	tx = store_tx(p->s); /* another user's key is another key */
	store_tx_order_insert(tx, &c, "k");
	res = commit(p, tx);
	must(&res);
	assert_int_equal(store_order_by_key(p->s, 1, "k", id, NULL), 0);
	assert_string_equal(id, "wo-0000000a");
	assert_int_equal(store_order_by_key(p->s, 2, "k", id, NULL), 0);
	assert_string_equal(id, "wo-0000000c");
	assert_int_equal(store_order_by_key(p->s, 3, "k", id, NULL), -1);
	order_row_free(&a);
	order_row_free(&b);
	order_row_free(&c);
}

static void
test_find(void **state)
{
	struct place *p = *state;
	struct awo_err err = {0};
	char id[12];

	insert(p, "wo-aaaaaaa1", 1, order_status_pending);
	insert(p, "wo-aaaaaaa2", 2, order_status_pending);
	insert(p, "wo-ab000000", 1, order_status_pending);
	assert_int_equal(store_order_find(p->s, "wo-aaaaaaa1", 1, false, id, NULL), 0);
	assert_string_equal(id, "wo-aaaaaaa1");
	assert_int_equal(store_order_find(p->s, "wo-aaaa", 1, false, id, NULL), 0);
	assert_string_equal(id, "wo-aaaaaaa1");
	assert_int_equal(store_order_find(p->s, "wo", 2, false, id, NULL), 0);
	assert_string_equal(id, "wo-aaaaaaa2");
	assert_int_equal(store_order_find(p->s, "wo-aaaa", 0, true, id, &err), -1);
	assert_int_equal(err.code, AWO_INVALID_ARGUMENT);
	assert_int_equal(store_order_find(p->s, "wo-a", 1, false, id, &err), -1);
	assert_int_equal(err.code, AWO_INVALID_ARGUMENT);
	/* another user's order does not exist */
	assert_int_equal(store_order_find(p->s, "wo-aaaaaaa1", 2, false, id, &err), -1);
	assert_int_equal(err.code, AWO_NOT_FOUND);
	assert_int_equal(store_order_find(p->s, "", 1, true, id, &err), -1);
	assert_int_equal(store_order_find(p->s, "wo-aaaaaaa1x", 1, true, id, &err), -1);
	assert_int_equal(store_order_find(p->s, "%", 1, true, id, &err), -1);
	assert_int_equal(err.code, AWO_NOT_FOUND);
}

struct seen {
	struct place *p;
	char ids[400];
	int stop_after;
};

static int
see(void *arg, struct order_row *r)
{
	struct seen *s = arg;
	struct order_row again;

	strncat(s->ids, r->pub.agent_work_order_id + 10, sizeof(s->ids) - strlen(s->ids) - 1);
	/* a row's callback may read */
	assert_int_equal(store_order_get(s->p->s, r->pub.agent_work_order_id, &again, NULL), 0);
	order_row_free(&again);
	return s->stop_after > 0 && --s->stop_after == 0 ? 7 : 0;
}

static void
test_scan(void **state)
{
	static const enum p_order_status states[] = {order_status_running, order_status_pending,
	    order_status_failed, order_status_paused, order_status_pending, order_status_waiting,
	    order_status_completed, order_status_running};
	struct place *p = *state;
	struct seen s = {.p = p};
	struct seen two = {.p = p, .stop_after = 2};

	for (int i = 0; i < 8; i++) {
		char id[12];

		snprintf(id, sizeof(id), "wo-0000000%d", i);
		insert(p, id, 1, states[i]);
	}
	assert_int_equal(
	    store_order_scan(p->s, W_pending | W_running | W_waiting | W_paused, see, &s, NULL), 0);
	assert_string_equal(s.ids, "013457");
	assert_int_equal(store_order_scan(p->s, W_ANY, see, &two, NULL), 7);
	assert_string_equal(two.ids, "01");
}

static void
test_terminal(void **state)
{
	static const int64_t ends[] = {50, 10, 30, 90};
	struct place *p = *state;
	struct seen s = {.p = p};

	for (int i = 0; i < 4; i++) {
		struct order_row r;
		struct store_tx *tx = store_tx(p->s);
		struct result res;
		char id[12];

		snprintf(id, sizeof(id), "wo-0000000%d", i);
		r = make_row(id, 1, order_status_completed);
		P_SET(order, &r.pub, execution_completed_at, ends[i]);
		store_tx_order_insert(tx, &r, NULL);
		res = commit(p, tx);
		must(&res);
		order_row_free(&r);
	}
	insert(p, "wo-00000004", 1, order_status_running);
	assert_int_equal(store_terminal_before(p->s, 51, see, &s, NULL), 0);
	assert_string_equal(s.ids, "120");
}

/* ---- pages */

struct listed {
	int calls;
	struct awo_err err;
	struct p_order_list_answer page;
};

static void
on_list(void *arg, const struct awo_err *err, struct p_order_list_answer *page)
{
	struct listed *l = arg;

	l->calls++;
	if (err)
		l->err = *err;
	else
		p_copy(&p_type_order_list_answer, &l->page, page);
}

static struct listed
list(struct place *p, const struct p_order_list *request, uint32_t uid, bool any, const char *url)
{
	struct store_filter f = {.request = request, .uid = uid, .any = any, .canonical_url = url};
	struct listed l = {0};

	store_order_list(p->s, &f, on_list, &l);
	wait_for(p, &l.calls);
	return l;
}

/* A small model of 700 orders, beside which the store's answers are laid. */
struct model {
	uint32_t uid;
	enum p_order_status status;
	int64_t created;
	int url;
};
#define MODEL 700
static struct model model[MODEL];

static void
fill_model(struct place *p)
{
	static const enum p_order_status states[] = {
	    order_status_pending, order_status_failed, order_status_completed};
	int calls = 0;
	struct result last = {0};

	srand(11);
	for (int i = 0; i < MODEL; i++) {
		struct store_tx *tx = store_tx(p->s);
		struct order_row r;
		char id[12], text[64];

		model[i] = (struct model){
		    1 + (uint32_t)(rand() % 2), states[rand() % 3], T0 + i * INT64_C(10), rand() % 3};
		snprintf(id, sizeof(id), "wo-%08x", (unsigned)i);
		r = make_row(id, model[i].uid, model[i].status);
		snprintf(text, sizeof(text), "request %d%% a_b", i);
		P_SETS(order, &r.pub, user_request, text);
		P_SET(order, &r.pub, created_at, model[i].created);
		free(r.canonical_url);
		r.canonical_url = xasprintf("https://h/%d", model[i].url);
		store_tx_order_insert(tx, &r, NULL);
		store_tx_commit(tx, on_done, &last);
		order_row_free(&r);
	}
	store_flush(p->s);
	must(&last);
	(void)calls;
}

static bool
matches(const struct p_order_list *q, int i, uint32_t uid, bool any, int url)
{
	char owner[32];

	snprintf(owner, sizeof(owner), "user%u", model[i].uid);
	return (any || model[i].uid == uid) &&
	       (!P_HAS(order_list, q, status) || q->status == model[i].status) &&
	       (url < 0 || model[i].url == url) &&
	       (!P_HAS(order_list, q, since) || model[i].created >= q->since) &&
	       (!P_HAS(order_list, q, until) || model[i].created < q->until) &&
	       (!P_HAS(order_list, q, owner) || strcmp(q->owner, owner) == 0);
}

static void
test_list_like_model(void **state)
{
	struct place *p = *state;

	fill_model(p);
	for (int round = 0; round < 300; round++) {
		struct p_order_list q = {0};
		uint32_t uid = 1 + (uint32_t)(rand() % 3); /* user 3 has none */
		bool any = rand() % 2;
		int url = rand() % 3 ? -1 : rand() % 3, skip, total = 0, have = 0;
		char url_text[32];
		int got = 0, at = MODEL - 1;

		snprintf(url_text, sizeof(url_text), "https://h/%d", url);
		if (rand() % 2)
			P_SET(order_list, &q, status,
			    rand() % 2 ? order_status_failed : order_status_running);
		if (rand() % 3 == 0)
			P_SET(order_list, &q, since, T0 + rand() % (MODEL * 10));
		if (rand() % 3 == 0)
			P_SET(order_list, &q, until, T0 + rand() % (MODEL * 10));
		if (rand() % 5 == 0)
			P_SETS(order_list, &q, owner, "user2");
		P_SET(order_list, &q, limit, 1 + rand() % 200);
		skip = rand() % 3 ? 0 : rand() % 100;
		if (skip)
			P_SET(order_list, &q, offset, skip);
		for (int i = 0; i < MODEL; i++)
			total += matches(&q, i, uid, any, url);
		have = total > skip ? total - skip : 0;
		for (int left = skip; left > 0 && at >= 0; at--)
			left -= matches(&q, at, uid, any, url);

		/* page after page by cursor: no gap, no duplicate */
		for (;;) {
			struct listed l = list(p, &q, uid, any, url < 0 ? NULL : url_text);

			assert_int_equal(l.err.code, AWO_OK);
			assert_int_equal(l.page.total_count, total);
			for (size_t i = 0; i < l.page.agent_work_orders.n; i++) {
				char id[12];

				while (at >= 0 && !matches(&q, at, uid, any, url))
					at--;
				snprintf(id, sizeof(id), "wo-%08x", (unsigned)at--);
				assert_string_equal(
				    l.page.agent_work_orders.v[i].agent_work_order_id, id);
				got++;
			}
			assert_int_equal(l.page.has_more, got < have);
			assert_int_equal(
			    l.page.has_more, P_HAS(order_list_answer, &l.page, next_cursor));
			P_CLEAR(order_list, &q, offset);
			if (l.page.has_more) {
				assert_int_equal((int64_t)l.page.agent_work_orders.n, q.limit);
				P_SETS(order_list, &q, cursor, l.page.next_cursor);
			}
			P_FREE(order_list_answer, &l.page);
			if (!P_HAS(order_list, &q, cursor) || got >= have)
				break;
		}
		assert_int_equal(got, have);
		P_FREE(order_list, &q);
	}
}

static int64_t
search_count(struct place *p, const char *q)
{
	struct p_order_list r = {0};
	struct listed l;
	int64_t n;

	P_SETS(order_list, &r, q, q);
	l = list(p, &r, 0, true, NULL);
	assert_int_equal(l.err.code, AWO_OK);
	n = l.page.total_count;
	P_FREE(order_list, &r);
	P_FREE(order_list_answer, &l.page);
	return n;
}

static void
test_search(void **state)
{
	struct place *p = *state;
	struct p_order_list r = {0};
	struct listed l;

	fill_model(p);
	assert_int_equal(search_count(p, "REQUEST 69"), 11); /* 69 and 690..699 */
	assert_int_equal(search_count(p, "69%"), 7); /* 69, 169, 269 ... 669: '%' is itself */
	assert_int_equal(search_count(p, "a_b"), MODEL);
	assert_int_equal(search_count(p, "axb"), 0);
	assert_int_equal(search_count(p, "wo-000002bb"), 1);
	assert_int_equal(search_count(p, "github.com/O/R"), MODEL);
	assert_int_equal(search_count(p, "'; DROP TABLE work_orders; --\\"), 0);

	P_SETS(order_list, &r, cursor, "o");
	l = list(p, &r, 0, true, NULL);
	assert_int_equal(l.err.code, AWO_INVALID_ARGUMENT);
	assert_string_equal(l.err.field, "cursor");
	P_SETS(order_list, &r, cursor, "o-5");
	l = list(p, &r, 0, true, NULL);
	assert_int_equal(l.err.code, AWO_INVALID_ARGUMENT);
	P_SETS(order_list, &r, cursor, "offffffffffffffff");
	l = list(p, &r, 0, true, NULL);
	assert_int_equal(l.err.code, AWO_INVALID_ARGUMENT);
	P_FREE(order_list, &r);
}

static void
test_counts(void **state)
{
	struct place *p = *state;
	struct order_row r = make_row("wo-00000001", 5, order_status_running);
	int64_t n[order_status_cancelled + 1];
	struct store_tx *tx;
	struct result res;

	insert(p, "wo-00000001", 5, order_status_pending);
	insert(p, "wo-00000002", 5, order_status_pending);
	tx = store_tx(p->s);
	store_tx_order_update(tx, &r);
	res = commit(p, tx);
	must(&res);
	store_counts(p->s, n);
	assert_int_equal(n[order_status_none], 2);
	assert_int_equal(n[order_status_pending], 1);
	assert_int_equal(n[order_status_running], 1);
	tx = store_tx(p->s);
	store_tx_order_delete(tx, "wo-00000002");
	res = commit(p, tx);
	must(&res);
	if (!p->memory) { /* and the same after a start */
		store_close(p->s);
		open_store(p);
	}
	store_counts(p->s, n);
	assert_int_equal(n[order_status_none], 1);
	assert_int_equal(n[order_status_pending], 0);
	assert_int_equal(n[order_status_running], 1);
	order_row_free(&r);
}

/* ---- what belongs to an order */

static void
test_steps(void **state)
{
	struct place *p = *state;
	struct p_step_list_answer got;
	struct awo_err err = {0};
	struct p_step a, b;
	struct store_tx *tx;
	struct result res;

	srand(5);
	insert(p, "wo-00000001", 1, order_status_running);
	fill(&p_type_step, &a, false);
	a.timestamp = T0;
	fill(&p_type_step, &b, true);
	b.timestamp = T0 + 1;
	tx = store_tx(p->s);
	P_CLEAR(step, &a, success);
	a.success = false;
	store_tx_step_put(tx, "wo-00000001", &a);
	store_tx_step_put(tx, "wo-00000001", &b);
	P_SET(step, &a, success, true);
	P_SETS(step, &a, output, "done");
	store_tx_step_put(tx, "wo-00000001", &a); /* the same key: the same row */
	res = commit(p, tx);
	must(&res);
	assert_int_equal(store_steps(p->s, "wo-00000001", &got, NULL), 0);
	assert_int_equal(got.steps.n, 2);
	assert_null(difference(&p_type_step, &a, &got.steps.v[0]));
	assert_null(difference(&p_type_step, &b, &got.steps.v[1]));
	assert_string_equal(got.agent_work_order_id, "wo-00000001");
	P_FREE(step_list_answer, &got);
	assert_int_equal(store_steps(p->s, "wo-00000002", &got, &err), -1);
	assert_int_equal(err.code, AWO_NOT_FOUND);
	P_FREE(step, &a);
	P_FREE(step, &b);
}

static void
test_prompts(void **state)
{
	struct place *p = *state;
	struct store_prompt *got;
	struct store_tx *tx;
	struct result res;
	int64_t one, two;
	size_t n;

	insert(p, "wo-00000001", 1, order_status_running);
	tx = store_tx(p->s);
	one = store_tx_prompt_insert(tx, "wo-00000001", "first", 1);
	res = commit(p, tx);
	must(&res);
	tx = store_tx(p->s);
	two = store_tx_prompt_insert(tx, "wo-00000001", "second", 1);
	res = commit(p, tx);
	must(&res);
	assert_true(two > one);
	tx = store_tx(p->s);
	store_tx_prompt_done(tx, one);
	store_tx_prompt_done(tx, 12345); /* unknown: nothing to do */
	res = commit(p, tx);
	must(&res);
	assert_int_equal(store_prompts(p->s, "wo-00000001", &got, &n, NULL), 0);
	assert_int_equal(n, 1);
	assert_int_equal(got[0].id, two);
	assert_string_equal(got[0].text, "second");
	free(got[0].text);
	free(got);
}

struct events {
	struct buf b;
	int64_t last;
	int left;
};

static int
on_event(void *arg, int64_t id, const char *order_id, const char *line)
{
	struct events *e = arg;

	assert_true(id > e->last);
	e->last = id;
	buf_printf(&e->b, "%s%s;", order_id, line);
	return e->left > 0 && --e->left == 0;
}

static void
test_events(void **state)
{
	struct place *p = *state;
	struct events all = {0}, own = {0}, rest = {0}, few = {0}, stopped = {.left = 1};
	struct store_tx *tx;
	struct result res;
	int64_t highest;

	insert(p, "wo-00000001", 1, order_status_running);
	insert(p, "wo-00000002", 1, order_status_running);
	tx = store_tx(p->s);
	store_tx_event(tx, "wo-00000001", "e", "a");
	store_tx_event(tx, "wo-00000002", "e", "b");
	store_tx_event(tx, NULL, "audit", "c");
	store_tx_event(tx, "wo-00000001", "e", "d");
	res = commit(p, tx);
	must(&res);
	assert_int_equal(res.nevents, 4);
	assert_int_equal(store_events(p->s, 0, NULL, 0, on_event, &all, NULL), 0);
	assert_string_equal(all.b.p, "wo-00000001a;wo-00000002b;c;wo-00000001d;");
	assert_int_equal(store_events(p->s, 0, "wo-00000001", 0, on_event, &own, NULL), 0);
	assert_string_equal(own.b.p, "wo-00000001a;wo-00000001d;");
	assert_int_equal(store_events(p->s, res.events[1], NULL, 0, on_event, &rest, NULL), 0);
	assert_string_equal(rest.b.p, "c;wo-00000001d;");
	assert_int_equal(store_events(p->s, 0, NULL, 2, on_event, &few, NULL), 0);
	assert_string_equal(few.b.p, "wo-00000001a;wo-00000002b;");
	assert_int_equal(store_events(p->s, 0, NULL, 0, on_event, &stopped, NULL), 0);
	assert_string_equal(stopped.b.p, "wo-00000001a;");

	/* the order's events go with it, and no number is used again: not even after a start */
	highest = res.events[3];
	tx = store_tx(p->s);
	store_tx_order_delete(tx, "wo-00000001");
	store_tx_event(tx, "wo-00000001", "gone", "e");
	res = commit(p, tx);
	must(&res);
	assert_int_equal(res.events[0], highest + 1);
	buf_free(&all.b);
	all = (struct events){0};
	assert_int_equal(store_events(p->s, 0, NULL, 0, on_event, &all, NULL), 0);
	assert_string_equal(all.b.p, "wo-00000002b;c;wo-00000001e;");
	buf_free(&all.b);
	buf_free(&own.b);
	buf_free(&rest.b);
	buf_free(&few.b);
	buf_free(&stopped.b);
}

static void
test_numbers_are_not_reused(void **state)
{
	struct place *p = *state;
	struct store_tx *tx;
	struct result first, res;
	int64_t rowid, prompt;

	rowid = insert(p, "wo-00000001", 1, order_status_running);
	tx = store_tx(p->s);
	store_tx_event(tx, "wo-00000001", "e", "a");
	prompt = store_tx_prompt_insert(tx, "wo-00000001", "x", 1);
	first = commit(p, tx);
	must(&first);
	tx = store_tx(p->s);
	store_tx_order_delete(tx, "wo-00000001");
	res = commit(p, tx);
	must(&res);
	store_close(p->s);
	open_store(p);
	assert_true(insert(p, "wo-00000002", 1, order_status_running) > rowid);
	tx = store_tx(p->s);
	store_tx_event(tx, NULL, "e", "b");
	assert_true(store_tx_prompt_insert(tx, "wo-00000002", "y", 1) > prompt);
	res = commit(p, tx);
	must(&res);
	assert_true(res.events[0] > first.events[0]);
}

/* ---- the small tables */

static void
test_repositories(void **state)
{
	struct place *p = *state;
	struct p_repository a, b, got;
	struct p_repository_list_answer all;
	struct awo_err err = {0};
	struct store_tx *tx;
	struct result res;

	fill(&p_type_repository, &a, false);
	fill(&p_type_repository, &b, true);
	P_SETS(repository, &a, id, "00000000-0000-4000-8000-000000000001");
	P_SETS(repository, &b, id, "00000000-0000-4000-8000-000000000002");
	P_SETS(repository, &a, repository_url, "https://h/a");
	P_SETS(repository, &b, repository_url, "https://h/a");
	tx = store_tx(p->s);
	store_tx_repository_put(tx, 1, &a);
	res = commit(p, tx);
	must(&res);
	tx = store_tx(p->s);
	store_tx_repository_put(tx, 1, &b); /* the same URL */
	res = commit(p, tx);
	assert_int_equal(res.err.code, AWO_ALREADY_EXISTS);
	assert_string_equal(res.err.field, "repository_url");
	tx = store_tx(p->s);
	store_tx_repository_put(tx, 2, &b); /* of another user */
	res = commit(p, tx);
	must(&res);
	tx = store_tx(p->s);
	store_tx_repository_put(tx, 2, &a); /* an id of another user */
	P_SETS(repository, &a, repository_url, "https://h/a");
	res = commit(p, tx);
	assert_int_equal(res.err.code, AWO_ALREADY_EXISTS);
	P_SETS(repository, &a, default_branch, "trunk");
	tx = store_tx(p->s);
	store_tx_repository_put(tx, 1, &a);
	res = commit(p, tx);
	must(&res);
	assert_int_equal(store_repository_get(p->s, 1, "https://h/a", &got, NULL), 0);
	assert_null(difference(&p_type_repository, &a, &got));
	P_FREE(repository, &got);
	assert_int_equal(store_repository_get(p->s, 1, b.id, &got, &err), -1);
	assert_int_equal(err.code, AWO_NOT_FOUND);
	assert_int_equal(store_repository_list(p->s, 2, &all, NULL), 0);
	assert_int_equal(all.total_count, 1);
	assert_null(difference(&p_type_repository, &b, &all.repositories.v[0]));
	P_FREE(repository_list_answer, &all);
	tx = store_tx(p->s);
	store_tx_repository_delete(tx, 1, b.id);
	res = commit(p, tx);
	assert_int_equal(res.err.code, AWO_NOT_FOUND);
	tx = store_tx(p->s);
	store_tx_repository_delete(tx, 2, b.id);
	res = commit(p, tx);
	must(&res);
	P_FREE(repository, &a);
	P_FREE(repository, &b);
}

/* What is lent follows every change, that there is none as well; users do not get each other's. */
static void
test_repositories_lent(void **state)
{
	struct place *p = *state;
	const struct p_repository *lent;
	struct p_repository r;
	struct store_tx *tx;
	struct result res;
	char url[32];

	fill(&p_type_repository, &r, true);
	P_SETS(repository, &r, id, "00000000-0000-4000-8000-000000000001");
	P_SETS(repository, &r, repository_url, "https://h/a");
	assert_null(store_repository_lend(p->s, 1, "https://h/a"));
	for (int i = 0; i < 3; i++) {
		P_SETS(repository, &r, default_branch, i % 2 == 0 ? "main" : "trunk");
		tx = store_tx(p->s);
		store_tx_repository_put(tx, 1, &r);
		res = commit(p, tx);
		must(&res);
		lent = store_repository_lend(p->s, 1, "https://h/a");
		assert_non_null(lent);
		assert_null(difference(&p_type_repository, &r, lent));
		assert_ptr_equal(store_repository_lend(p->s, 1, "https://h/a"), lent);
		lent = store_repository_lend(p->s, 1, r.id);
		assert_non_null(lent);
		assert_null(difference(&p_type_repository, &r, lent));
		assert_null(store_repository_lend(p->s, 2, "https://h/a"));
		/* more than are kept */
		for (int n = 0; n < 100; n++) {
			snprintf(url, sizeof(url), "https://h/%d", n);
			assert_null(store_repository_lend(p->s, 1, url));
		}
		lent = store_repository_lend(p->s, 1, "https://h/a");
		assert_non_null(lent);
	}
	tx = store_tx(p->s);
	store_tx_repository_delete(tx, 1, r.id);
	res = commit(p, tx);
	must(&res);
	assert_null(store_repository_lend(p->s, 1, "https://h/a"));
	P_FREE(repository, &r);
}

static void
test_settings(void **state)
{
	struct place *p = *state;
	struct store_tx *tx = store_tx(p->s);
	struct result res;
	json_t *all;

	store_tx_setting_put(tx, "max_concurrent", "7");
	store_tx_setting_put(tx, "log.level", "\"debug\"");
	store_tx_setting_put(tx, "log.format", "\"json\"");
	store_tx_setting_put(tx, "max_concurrent", "8");
	store_tx_setting_put(tx, "log.format", NULL);
	store_tx_setting_put(tx, "not.there", NULL);
	res = commit(p, tx);
	must(&res);
	all = store_settings(p->s, NULL);
	assert_int_equal(json_object_size(all), 2);
	assert_int_equal(json_integer_value(json_object_get(all, "max_concurrent")), 8);
	assert_string_equal(json_string_value(json_object_get(all, "log.level")), "debug");
	json_decref(all);
}

static void
put_credential(struct place *p, uint32_t uid, bool shared, const char *name, const char *host,
    const char *sealed)
{
	struct store_tx *tx = store_tx(p->s);
	struct p_credential c = {0};
	struct result res;

	P_SETS(credential, &c, name, name);
	P_SETS(credential, &c, host, host);
	P_SETS(credential, &c, masked, "***");
	P_SETS(credential, &c, owner, shared ? "*" : "u");
	P_SET(credential, &c, kind, credential_kind_github_token);
	P_SET(credential, &c, created_at, T0);
	P_SET(credential, &c, updated_at, T0);
	store_tx_credential_put(tx, uid, shared, &c, sealed, strlen(sealed));
	res = commit(p, tx);
	must(&res);
	P_FREE(credential, &c);
}

static void
check_credential(
    struct place *p, uint32_t uid, const char *name, const char *host, const char *want)
{
	struct p_credential c;
	void *sealed;
	size_t len;

	if (!want) {
		assert_int_equal(store_credential_get(p->s, uid, name, credential_kind_github_token,
				     host, &c, &sealed, &len, NULL),
		    -1);
		return;
	}
	assert_int_equal(store_credential_get(p->s, uid, name, credential_kind_github_token, host,
			     &c, &sealed, &len, NULL),
	    0);
	assert_int_equal(len, strlen(want));
	assert_memory_equal(sealed, want, len);
	free(sealed);
	P_FREE(credential, &c);
}

static void
test_credentials(void **state)
{
	struct place *p = *state;
	struct p_credential_list_answer all;
	struct p_credential c;
	struct store_tx *tx;
	struct result res;
	void *sealed;
	size_t len;

	put_credential(p, 0, true, "common", "github.com", "shared");
	put_credential(p, 1, false, "mine", "github.com", "own");
	put_credential(p, 1, false, "other", "h:8443", "other");
	put_credential(p, 2, false, "secret", "github.com", "of two");
	check_credential(p, 1, NULL, "github.com", "own"); /* before the shared one */
	check_credential(p, 3, NULL, "github.com", "shared");
	check_credential(p, 1, "common", NULL, "shared");
	check_credential(p, 1, "secret", NULL, NULL); /* another user's */
	check_credential(p, 3, NULL, "h:8443", NULL);
	assert_int_equal(store_credential_get(p->s, 1, "mine", credential_kind_ssh_key, NULL, &c,
			     &sealed, &len, NULL),
	    -1);
	put_credential(p, 1, false, "mine", "github.com", "newer");
	check_credential(p, 1, "mine", NULL, "newer");
	assert_int_equal(store_credential_list(p->s, 1, &all, NULL), 0);
	assert_int_equal(all.credentials.n, 3);
	assert_string_equal(all.credentials.v[0].name, "common");
	P_FREE(credential_list_answer, &all);
	tx = store_tx(p->s);
	store_tx_credential_delete(tx, 1, "common");
	res = commit(p, tx);
	assert_int_equal(res.err.code, AWO_NOT_FOUND);
	tx = store_tx(p->s);
	store_tx_credential_delete(tx, 1, "mine");
	res = commit(p, tx);
	must(&res);
	check_credential(p, 1, NULL, "github.com", "shared");
}

static void
test_tokens(void **state)
{
	struct place *p = *state;
	unsigned char hash[32] = "abcdefghijklmnopqrstuvwxyz01234", other[32] = "x";
	struct p_token_list_answer all;
	struct p_token t, got;
	struct store_tx *tx;
	struct result res;
	uint32_t uid;

	fill(&p_type_token, &t, false);
	P_SETS(token, &t, id, "t1");
	P_SET(token, &t, uid, 9);
	tx = store_tx(p->s);
	store_tx_token_put(tx, 9, &t, hash);
	res = commit(p, tx);
	must(&res);
	assert_int_equal(store_token_find(p->s, hash, &uid, &got, NULL), 0);
	assert_int_equal(uid, 9);
	/* the token itself is never stored */
	assert_false(P_HAS(token, &got, token));
	P_SETS(token, &t, token, NULL);
	assert_null(difference(&p_type_token, &t, &got));
	P_FREE(token, &got);
	tx = store_tx(p->s);
	store_tx_token_used(tx, hash, T0 + 5);
	store_tx_token_used(tx, other, T0 + 5);
	res = commit(p, tx);
	must(&res);
	assert_int_equal(store_token_find(p->s, hash, &uid, &got, NULL), 0);
	assert_int_equal(got.last_used_at, T0 + 5);
	P_FREE(token, &got);
	assert_int_equal(store_token_find(p->s, other, &uid, &got, NULL), -1);
	assert_int_equal(store_token_list(p->s, 9, false, &all, NULL), 0);
	assert_int_equal(all.tokens.n, 1);
	P_FREE(token_list_answer, &all);
	assert_int_equal(store_token_list(p->s, 8, false, &all, NULL), 0);
	assert_int_equal(all.tokens.n, 0);
	P_FREE(token_list_answer, &all);
	assert_int_equal(store_token_list(p->s, 8, true, &all, NULL), 0);
	assert_int_equal(all.tokens.n, 1);
	P_FREE(token_list_answer, &all);
	tx = store_tx(p->s);
	store_tx_token_delete(tx, 8, false, "t1");
	res = commit(p, tx);
	assert_int_equal(res.err.code, AWO_NOT_FOUND);
	tx = store_tx(p->s);
	store_tx_token_delete(tx, 8, true, "t1");
	res = commit(p, tx);
	must(&res);
	P_FREE(token, &t);
}

/* ---- files */

struct backed {
	int calls;
	struct awo_err err;
	int64_t size;
};

static void
on_backup(void *arg, const struct awo_err *err, int64_t size)
{
	struct backed *b = arg;

	b->calls++;
	if (err)
		b->err = *err;
	b->size = size;
}

static struct backed
back_up(struct place *p, const char *path)
{
	struct backed b = {0};

	store_backup(p->s, path, on_backup, &b);
	wait_for(p, &b.calls);
	return b;
}

static struct result
put_session(struct place *p, bool login, uint32_t uid, const char *id, int64_t expires, int64_t keep)
{
	char *names[] = {(char[]){"read"}, (char[]){"write"}};
	struct p_session k = {.scopes = {.v = names, .n = 2}};
	unsigned char hash[32] = "";
	struct store_tx *tx = store_tx(p->s);

	snprintf((char *)hash, sizeof(hash), "%s", id);
	P_SET(session, &k, uid, uid);
	P_SETS(session, &k, id, id);
	P_SETS(session, &k, user, "somebody");
	P_SETS(session, &k, session, "never stored");
	P_SET(session, &k, created_at, T0);
	P_SET(session, &k, expires_at, expires);
	P_MARK(session, &k, scopes);
	store_tx_session_put(tx, login, &k, hash, keep);
	k.scopes = (struct p_strv){0};
	P_FREE(session, &k);
	return commit(p, tx);
}

static bool
has_session(struct place *p, bool login, const char *id)
{
	unsigned char hash[32] = "";
	struct p_session k;

	snprintf((char *)hash, sizeof(hash), "%s", id);
	if (store_session_find(p->s, login, hash, &k, NULL) != 0)
		return false;
	assert_string_equal(k.id, id);
	assert_string_equal(k.user, "somebody");
	assert_int_equal(k.scopes.n, 2);
	assert_false(P_HAS(session, &k, session));
	assert_true(k.uid == 9 || k.uid == 8);
	P_FREE(session, &k);
	return true;
}

static void
test_sessions(void **state)
{
	struct place *p = *state;
	unsigned char hash[32] = "link";
	struct store_tx *tx;
	struct result res;

	res = put_session(p, true, 9, "link", T0 + 10, 2);
	must(&res);
	assert_true(has_session(p, true, "link"));
	/* a link is no session, and the other way round */
	assert_false(has_session(p, false, "link"));
	/* what it opens is there only when the link was still there */
	for (int i = 0; i < 2; i++) {
		tx = store_tx(p->s);
		store_tx_session_take(tx, true, hash);
		store_tx_event(tx, NULL, "session_opened", "{}");
		res = commit(p, tx);
		assert_int_equal(res.err.code, i == 0 ? AWO_OK : AWO_NOT_FOUND);
		assert_int_equal(res.nevents, i == 0 ? 1 : 0);
	}
	assert_false(has_session(p, true, "link"));
	/* the newest of a user's stay; another user's, and those of the other sort, are not counted */
	put_session(p, false, 8, "other", T0 + 10, 2);
	put_session(p, true, 9, "l1", T0 + 10, 2);
	put_session(p, false, 9, "s1", T0 + 10, 2);
	put_session(p, false, 9, "s2", T0 + 10, 2);
	assert_true(has_session(p, false, "s1"));
	put_session(p, false, 9, "s3", T0 + 10, 2);
	assert_false(has_session(p, false, "s1"));
	assert_true(has_session(p, false, "s2") && has_session(p, false, "s3") && has_session(p, false, "other") &&
		    has_session(p, true, "l1"));
	/* what has expired by then goes */
	put_session(p, false, 8, "short", T0, 5);
	put_session(p, false, 8, "next", T0 + 10, 5);
	assert_false(has_session(p, false, "short"));
}

static struct result
put_delivery(struct place *p, const char *id, const char *object, const char *order)
{
	struct store_tx *tx = store_tx(p->s);

	store_tx_delivery(tx, &(struct store_delivery){id, object}, order);
	return commit(p, tx);
}

static void
test_deliveries(void **state)
{
	struct place *p = *state;
	struct order_row r = make_row("wo-00000001", 9, order_status_pending);
	struct store_tx *tx;
	struct result res;
	char id[12];

	res = put_delivery(p, "d1", "issue 1", "wo-0000000a");
	must(&res);
	/* neither the delivery nor what it speaks of comes twice, and with it nothing else of the transaction */
	res = put_delivery(p, "d1", "issue 2", "wo-0000000b");
	assert_int_equal(res.err.code, AWO_ALREADY_EXISTS);
	assert_string_equal(res.err.field, "delivery_id");
	tx = store_tx(p->s);
	store_tx_delivery(tx, &(struct store_delivery){"d2", "issue 1"}, "wo-00000001");
	store_tx_order_insert(tx, &r, NULL);
	order_row_free(&r);
	res = commit(p, tx);
	assert_int_equal(res.err.code, AWO_ALREADY_EXISTS);
	assert_string_equal(res.err.field, "delivery_id");
	assert_int_equal(store_order_find(p->s, "wo-00000001", 9, false, id, NULL), -1);
	assert_int_equal(store_delivery_find(p->s, &(struct store_delivery){"d1", "x"}, id, NULL), 0);
	assert_string_equal(id, "wo-0000000a");
	assert_int_equal(store_delivery_find(p->s, &(struct store_delivery){"x", "issue 1"}, id, NULL), 0);
	assert_string_equal(id, "wo-0000000a");
	assert_int_equal(store_delivery_find(p->s, &(struct store_delivery){"d2", "issue 2"}, id, NULL), -1);
}

static void
test_what_webhooks_look_up(void **state)
{
	struct place *p = *state;
	struct order_row r = make_row("wo-00000001", 9, order_status_pending);
	struct p_repository repository, got;
	struct store_tx *tx;
	struct result res;
	uint32_t uid, only = 8;
	char id[12];

	P_SETS(order, &r.pub, github_issue_number, "7");
	P_SETS(order, &r.pub, github_pull_request_number, "8");
	tx = store_tx(p->s);
	store_tx_order_insert(tx, &r, NULL);
	order_row_free(&r);
	res = commit(p, tx);
	must(&res);
	assert_int_equal(store_order_by_forge(p->s, 9, "https://github.com/O/R", "7", false, id, NULL), 0);
	assert_string_equal(id, "wo-00000001");
	assert_int_equal(store_order_by_forge(p->s, 9, "https://github.com/o/r", "8", true, id, NULL), 0);
	assert_int_equal(store_order_by_forge(p->s, 9, "https://github.com/o/r", "8", false, id, NULL), -1);
	assert_int_equal(store_order_by_forge(p->s, 8, "https://github.com/o/r", "7", false, id, NULL), -1);
	assert_int_equal(store_order_by_forge(p->s, 9, "https://github.com/o/rr", "7", false, id, NULL), -1);
	/* who registered it first, or the one who is asked for */
	for (uint32_t owner = 9; owner > 6; owner--) {
		char uuid[37];

		fill(&p_type_repository, &repository, false);
		snprintf(uuid, sizeof(uuid), "00000000-0000-0000-0000-00000000000%u", owner);
		P_SETS(repository, &repository, id, uuid);
		P_SETS(repository, &repository, repository_url, "https://github.com/o/r");
		tx = store_tx(p->s);
		store_tx_repository_put(tx, owner, &repository);
		res = commit(p, tx);
		must(&res);
		P_FREE(repository, &repository);
	}
	assert_int_equal(store_repository_owner(p->s, "https://github.com/O/r", NULL, &uid, &got, NULL), 0);
	assert_int_equal(uid, 9);
	P_FREE(repository, &got);
	assert_int_equal(store_repository_owner(p->s, "https://github.com/o/r", &only, &uid, &got, NULL), 0);
	assert_int_equal(uid, 8);
	P_FREE(repository, &got);
	only = 5;
	assert_int_equal(store_repository_owner(p->s, "https://github.com/o/r", &only, &uid, &got, NULL), -1);
	assert_int_equal(store_repository_owner(p->s, "https://github.com/o/x", NULL, &uid, &got, NULL), -1);
}

static void
test_backup(void **state)
{
	struct place *p = *state;
	char *path CLEAN_FREE = xasprintf("%s/copy.db", p->dir);
	char *nowhere CLEAN_FREE = xasprintf("%s/none/copy.db", p->dir);
	struct store_options o = {.path = path};
	struct backed b;
	struct order_row got;
	struct store *copy;
	struct stat st;

	insert(p, "wo-00000001", 1, order_status_running);
	b = back_up(p, path);
	assert_int_equal(b.err.code, AWO_OK);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, b.size);
	assert_int_equal(st.st_mode & 07777, 0600);
	copy = store_open(p->base, &o, NULL);
	assert_non_null(copy);
	assert_int_equal(store_order_get(copy, "wo-00000001", &got, NULL), 0);
	order_row_free(&got);
	store_close(copy);

	b = back_up(p, path);
	assert_int_equal(b.err.code, AWO_ALREADY_EXISTS);
	b = back_up(p, nowhere);
	assert_int_equal(b.err.code, AWO_UNAVAILABLE);
	b = back_up(p, "relative.db");
	assert_int_equal(b.err.code, AWO_INVALID_ARGUMENT);
	assert_int_equal(access("relative.db", F_OK), -1);
	/* the store goes on */
	insert(p, "wo-00000002", 1, order_status_running);
}

static void
test_durable(void **state)
{
	struct place *p = *state;
	struct order_row r = make_row("wo-00000001", 1, order_status_pending), got;
	struct store_tx *tx = store_tx(p->s);
	struct result res = {0};
	char *wal CLEAN_FREE = xasprintf("%s-wal", p->path);
	struct stat st;

	/* queued, and closed before an answer: it is there, and was answered */
	store_tx_order_insert(tx, &r, NULL);
	store_tx_commit(tx, on_done, &res);
	store_close(p->s);
	assert_int_equal(res.calls, 1);
	must(&res);
	assert_int_equal(stat(p->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(access(wal, F_OK), -1); /* checkpointed */
	open_store(p);
	assert_int_equal(store_order_get(p->s, "wo-00000001", &got, NULL), 0);
	order_row_free(&got);
	order_row_free(&r);
}

/* A disk that takes no more: an error that says so, nothing of the change, and all is well when
 * there is room again. */
static void
test_no_room(void **state)
{
	struct place *p = *state;
	struct order_row r = make_row("wo-00000002", 1, order_status_pending), got;
	struct rlimit old, little = {0, 0};
	struct result res;
	struct store_tx *tx;
	const char *type;

	insert(p, "wo-00000001", 1, order_status_pending);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	signal(SIGXFSZ, SIG_IGN);
	little.rlim_max = old.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
	tx = store_tx(p->s);
	store_tx_order_insert(tx, &r, NULL);
	res = commit(p, tx);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(res.err.code, AWO_UNAVAILABLE);
	assert_false(store_is_healthy(p->s, &type));
	assert_string_equal(type, "sqlite");
	assert_int_equal(store_order_get(p->s, "wo-00000002", &got, NULL), -1);
	assert_int_equal(store_order_get(p->s, "wo-00000001", &got, NULL), 0);
	order_row_free(&got);

	tx = store_tx(p->s);
	store_tx_order_insert(tx, &r, NULL);
	res = commit(p, tx);
	must(&res);
	assert_true(store_is_healthy(p->s, &type));
	order_row_free(&r);
}

struct kept {
	int calls;
	enum awo_code code;
	struct store_tx *tx;
};

static void
on_kept(void *arg, const struct awo_err *err, const struct store_commit *commit)
{
	struct kept *k = arg;

	k->calls++;
	k->code = err ? err->code : AWO_OK;
	k->tx = k->code != AWO_OK ? store_tx_keep(commit) : NULL;
}

/* Changes of one order are written in their order, or not at all: a later one never overtakes one that has to be repeated. */
static void
test_chain(void **state)
{
	struct place *p = *state;
	struct order_row got, r = make_row("wo-00000001", 1, order_status_pending);
	struct order_row other = make_row("wo-00000002", 1, order_status_pending);
	struct rlimit old, little = {0, 0};
	struct kept first = {0}, later = {0};
	bool broken = false, elsewhere = false;
	struct store_tx *tx;
	struct result res;

	insert(p, "wo-00000001", 1, order_status_pending);
	insert(p, "wo-00000002", 1, order_status_pending);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	signal(SIGXFSZ, SIG_IGN);
	little.rlim_max = old.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
	r.journal_offset = 100;
	tx = store_tx(p->s);
	store_tx_order_update(tx, &r);
	store_tx_chain(tx, &broken, STORE_SURE);
	store_tx_commit(tx, on_kept, &first);
	wait_for(p, &first.calls);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(first.code, AWO_UNAVAILABLE);

	/* there is room again, but its turn has not come */
	r.journal_offset = 200;
	tx = store_tx(p->s);
	store_tx_order_update(tx, &r);
	store_tx_chain(tx, &broken, STORE_SURE);
	store_tx_commit(tx, on_kept, &later);
	wait_for(p, &later.calls);
	assert_int_equal(later.code, AWO_UNAVAILABLE);
	tx = store_tx(p->s);
	store_tx_order_update(tx, &r);
	store_tx_chain(tx, &broken, STORE_TRY);
	res = commit(p, tx);
	assert_int_equal(res.err.code, AWO_UNAVAILABLE);
	other.journal_offset = 300;
	tx = store_tx(p->s);
	store_tx_order_update(tx, &other);
	store_tx_chain(tx, &elsewhere, STORE_SURE);
	res = commit(p, tx);
	must(&res);
	assert_int_equal(store_order_get(p->s, "wo-00000001", &got, NULL), 0);
	assert_int_equal(got.journal_offset, 0);
	order_row_free(&got);

	first.calls = later.calls = 0;
	store_tx_chain(first.tx, &broken, STORE_AGAIN);
	store_tx_commit(first.tx, on_kept, &first);
	store_tx_commit(later.tx, on_kept, &later);
	wait_for(p, &later.calls);
	assert_int_equal(first.code, AWO_OK);
	assert_int_equal(later.code, AWO_OK);
	assert_int_equal(store_order_get(p->s, "wo-00000001", &got, NULL), 0);
	assert_int_equal(got.journal_offset, 200);
	order_row_free(&got);
	order_row_free(&r);
	order_row_free(&other);
}

static void
must_refuse(struct place *p, enum awo_code code, const char *word)
{
	struct store_options o = {.path = p->path};
	struct awo_err err = {0};

	assert_null(store_open(p->base, &o, &err));
	if (err.code != code || !strstr(err.msg, word))
		fail_msg("%s: %s", awo_code_name(err.code), err.msg);
}

static void
execute(struct place *p, const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(p->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void
test_refused_files(void **state)
{
	struct place *p = *state;
	char *good CLEAN_FREE = NULL;
	size_t len;

	store_close(p->s);
	p->s = NULL;
	good = files_read(AT_FDCWD, p->path, 1U << 24, &len);
	assert_non_null(good);

	execute(p, "PRAGMA user_version = 9999");
	must_refuse(p, AWO_FAILED_PRECONDITION, "newer version");
	unlink(p->path);
	execute(p, "CREATE TABLE somebody_elses (x)");
	must_refuse(p, AWO_FAILED_PRECONDITION, "not a database of AWO");
	assert_int_equal(files_replace(AT_FDCWD, p->path,
			     "this is no database, and long enough to be read as one ......"
			     "......................................................",
			     100, 0600),
	    0);
	must_refuse(p, AWO_INTERNAL, "damaged");
	unlink(p->path);
	assert_int_equal(mkdir(p->path, 0700), 0);
	must_refuse(p, AWO_UNAVAILABLE, "cannot open");
	rmdir(p->path);

	assert_int_equal(files_replace(AT_FDCWD, p->path, good, len, 0600), 0);
	open_store(p);
}

static void
test_memory_is_separate(void **state)
{
	struct place *p = *state;
	struct store_options o = {0};
	struct store *other = store_open(p->base, &o, NULL);
	struct order_row got;
	const char *type;

	assert_non_null(other);
	insert(p, "wo-00000001", 1, order_status_running);
	assert_int_equal(store_order_get(other, "wo-00000001", &got, NULL), -1);
	assert_true(store_is_healthy(other, &type));
	assert_string_equal(type, "memory");
	store_close(other);
	store_close(NULL);
}

#define FILE_TEST(f) cmocka_unit_test_setup_teardown(f, set_up_file, tear_down)
#define BOTH(f)                                                                                    \
	FILE_TEST(f),                                                                              \
	{                                                                                          \
#f "_in_memory", f, set_up_memory, tear_down, NULL                                 \
	}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    FILE_TEST(test_schema),
	    BOTH(test_order_round_trip),
	    BOTH(test_not_found),
	    BOTH(test_shared_commit),
	    BOTH(test_one_after_the_other),
	    BOTH(test_idempotency_key),
	    BOTH(test_words),
	    BOTH(test_lend),
	    BOTH(test_take),
	    BOTH(test_find),
	    BOTH(test_scan),
	    BOTH(test_terminal),
	    BOTH(test_list_like_model),
	    BOTH(test_search),
	    BOTH(test_counts),
	    BOTH(test_steps),
	    BOTH(test_prompts),
	    BOTH(test_events),
	    FILE_TEST(test_numbers_are_not_reused),
	    BOTH(test_repositories),
	    BOTH(test_repositories_lent),
	    BOTH(test_settings),
	    BOTH(test_credentials),
	    BOTH(test_tokens),
	    BOTH(test_sessions),
	    BOTH(test_deliveries),
	    BOTH(test_what_webhooks_look_up),
	    BOTH(test_backup),
	    FILE_TEST(test_durable),
	    FILE_TEST(test_no_room),
	    FILE_TEST(test_chain),
	    FILE_TEST(test_refused_files),
	    {"test_memory_is_separate", test_memory_is_separate, set_up_memory, tear_down, NULL},
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
