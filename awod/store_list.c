/* Pages of orders, with their totals from counts that the loop keeps. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "awod/store_priv.h"
#include "common/buf.h"

#define OFFSET_MAX 1000 /* a larger one is answered by the store thread */
#define SCAN_MAX 5000 /* rows that a page may walk over in the loop */

/* What a page of orders is filtered by: the bits choose its statement. */
enum {
	BY_UID = 1,
	BY_STATUS = 2,
	BY_URL = 4,
	BY_OWNER = 8,
	BY_Q = 16,
	BY_SINCE = 32,
	BY_UNTIL = 64,
	BY_CURSOR = 128,
	BY_STATUS_INDEX = 256, /* walk the index of the state, not the owner's */
	BY_STATUSES = 512
};

struct page_query {
	unsigned by;
	uint32_t uid;
	enum p_order_status status;
	unsigned statuses; /* W_ bits, of BY_STATUSES */
	char *url, *owner, *q;
	int64_t since, until, cursor, limit, offset;
	int64_t total; /* known, or -1: to be counted */
};

struct list_job {
	struct job job;
	struct page_query q;
	struct p_order_list_answer page;
	store_list_done *done;
};

/* ---- counts */

/* Orders of one owner by state, [0] the total; kept by the loop. */
struct owner_counts {
	struct owner_counts *next;
	uint32_t uid;
	int64_t n[NSTATES];
};

static struct owner_counts *
counts_of(struct store *s, uint32_t uid, bool make)
{
	struct owner_counts **p = &s->counts[uid % NBUCKETS];

	while (*p && (*p)->uid != uid)
		p = &(*p)->next;
	if (!*p && make) {
		*p = xcalloc(1, sizeof(**p));
		(*p)->uid = uid;
	}
	return *p;
}

void
count_order(struct store *s, uint32_t uid, enum p_order_status status, int64_t n)
{
	struct owner_counts *c = counts_of(s, uid, true);

	c->n[status] += n;
	c->n[order_status_none] += n;
	s->totals[status] += n;
	s->totals[order_status_none] += n;
}

void
free_counts(struct store *s)
{
	for (int i = 0; i < NBUCKETS; i++)
		while (s->counts[i]) {
			struct owner_counts *c = s->counts[i];

			s->counts[i] = c->next;
			free(c);
		}
}

void
store_counts(struct store *s, int64_t counts[NSTATES])
{
	memcpy(counts, s->totals, sizeof(s->totals));
}

/* ---- pages of orders, by either connection */

static void
add_where(struct buf *b, unsigned by)
{
	static const struct {
		unsigned bit;
		const char *text;
	} terms[] = {
	    {BY_UID, "owner_uid = ?1"},
	    {BY_STATUS, "status = ?2"},
	    {BY_STATUSES, "status IN (?11, ?12, ?13, ?14, ?15, ?16, ?17)"},
	    {BY_URL, "canonical_url = ?3"},
	    {BY_OWNER, "owner = ?4"},
	    {BY_Q,
		"(user_request LIKE ?5 ESCAPE '\\' OR repository_url LIKE ?5 ESCAPE '\\' OR "
		"git_branch_name LIKE ?5 ESCAPE '\\' OR agent_work_order_id LIKE ?5 ESCAPE '\\')"},
	    {BY_SINCE, "created_at >= ?6"},
	    {BY_UNTIL, "created_at < ?7"},
	    {BY_CURSOR, "order_rowid < ?8"},
	};
	const char *joint = " WHERE ";

	for (size_t i = 0; i < sizeof(terms) / sizeof(terms[0]); i++) {
		if (!(by & terms[i].bit))
			continue;
		buf_adds(b, joint);
		/* a plus keeps the column's index out of it: the other one is shorter */
		if ((terms[i].bit == BY_UID && (by & BY_STATUS_INDEX)) ||
		    (terms[i].bit == BY_STATUS && (by & BY_UID) && !(by & BY_STATUS_INDEX)))
			buf_addc(b, '+');
		buf_adds(b, terms[i].text);
		joint = " AND ";
	}
}

static sqlite3_stmt *
page_st(struct conn *c, unsigned by, bool count, struct awo_err *err)
{
	struct kept_page found = {.by = by, .count = count};
	struct buf sql CLEAN_BUF = {0};
	size_t i = 0;
	int rc;

	while (i < PAGES - 1 && c->page[i].st && (c->page[i].by != by || c->page[i].count != count))
		i++;
	if (c->page[i].st && c->page[i].by == by && c->page[i].count == count) {
		found = c->page[i];
		memmove(&c->page[1], &c->page[0], i * sizeof(c->page[0]));
		c->page[0] = found;
		return found.st;
	}
	if (count)
		buf_adds(&sql, "SELECT count(*) FROM work_orders");
	else {
		buf_adds(&sql, "SELECT ");
		sql_add_fields(&sql, &p_type_order, SKIP_ORDER, "", "");
		buf_adds(&sql, ", order_rowid FROM work_orders");
	}
	add_where(&sql, by);
	if (!count)
		buf_adds(&sql, " ORDER BY order_rowid DESC LIMIT ?9 OFFSET ?10");
	rc = sqlite3_prepare_v3(
	    c->db, sql.p, (int)sql.len + 1, SQLITE_PREPARE_PERSISTENT, &found.st, NULL);
	if (rc != SQLITE_OK) {
		sqlite_error(c->db, rc, "cannot use the database", err);
		return NULL;
	}
	/* the place of the one that was used longest ago, or a free one */
	sqlite3_finalize(c->page[i].st);
	memmove(&c->page[1], &c->page[0], i * sizeof(c->page[0]));
	c->page[0] = found;
	return found.st;
}

static void
bind_page(sqlite3_stmt *st, const struct page_query *q, unsigned by)
{
	if (by & BY_UID)
		sqlite3_bind_int64(st, 1, q->uid);
	if (by & BY_STATUS)
		bind_text(st, 2, P_ENUM_NAME(order_status, q->status));
	/* what is not bound is no state */
	for (int i = 1, at = 11; by & BY_STATUSES && p_enum_name(&p_enum_order_status, i); i++)
		if (q->statuses & 1U << i)
			bind_text(st, at++, p_enum_name(&p_enum_order_status, i));
	if (by & BY_URL)
		bind_text(st, 3, q->url);
	if (by & BY_OWNER)
		bind_text(st, 4, q->owner);
	if (by & BY_Q)
		bind_text(st, 5, q->q);
	if (by & BY_SINCE)
		sqlite3_bind_int64(st, 6, q->since);
	if (by & BY_UNTIL)
		sqlite3_bind_int64(st, 7, q->until);
	if (by & BY_CURSOR)
		sqlite3_bind_int64(st, 8, q->cursor);
}

static int
run_count(struct conn *c, const struct page_query *q, int64_t *total, struct awo_err *err)
{
	unsigned by = q->by & ~(unsigned)BY_CURSOR;
	sqlite3_stmt *st = page_st(c, by, true, err);
	int rc;

	if (!st)
		return -1;
	bind_page(st, q, by);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*total = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return rc == SQLITE_ROW ? 0 : sqlite_error(c->db, rc, "cannot read the database", err);
}

static int
run_page(struct conn *c, const struct page_query *q, struct p_order_list_answer *page,
    struct awo_err *err)
{
	int64_t last = 0, total = q->total;
	sqlite3_stmt *st;
	char cursor[32];
	int rc;

	memset(page, 0, sizeof(*page));
	if (!(st = page_st(c, q->by, false, err)))
		return -1;
	bind_page(st, q, q->by);
	sqlite3_bind_int64(st, 9, q->limit + 1); /* one more tells whether there are more */
	sqlite3_bind_int64(st, 10, q->offset);
	page->agent_work_orders.v = xcalloc((size_t)q->limit, sizeof(*page->agent_work_orders.v));
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		int col = 0;

		if ((int64_t)page->agent_work_orders.n == q->limit) {
			page->has_more = true;
			rc = SQLITE_DONE;
			break;
		}
		read_fields(st, &col, &p_type_order,
		    &page->agent_work_orders.v[page->agent_work_orders.n++], SKIP_ORDER);
		last = sqlite3_column_int64(st, col);
	}
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	if (rc != SQLITE_DONE) {
		sqlite_error(c->db, rc, "cannot read the database", err);
		P_FREE(order_list_answer, page);
		return -1;
	}
	/* a first page that is the last one has counted them */
	if (total < 0 && !page->has_more && q->offset == 0 && !(q->by & BY_CURSOR))
		total = (int64_t)page->agent_work_orders.n;
	if (total < 0 && run_count(c, q, &total, err) < 0) {
		P_FREE(order_list_answer, page);
		return -1;
	}
	P_MARK(order_list_answer, page, agent_work_orders);
	P_SET(order_list_answer, page, total_count, total);
	P_MARK(order_list_answer, page, has_more);
	if (page->has_more) {
		snprintf(cursor, sizeof(cursor), "o%" PRIx64, (uint64_t)last);
		P_SETS(order_list_answer, page, next_cursor, cursor);
	}
	return 0;
}

static void
page_query_free(struct page_query *q)
{
	free(q->url);
	free(q->owner);
	free(q->q);
}

/* ---- what is asked for, in the loop; what costs much goes by way of the thread */

/* Text for LIKE: '%' before and behind, what has a meaning in it escaped. */
static char *
like_pattern(const char *q)
{
	struct buf b = {0};

	buf_addc(&b, '%');
	for (; *q; q++) {
		if (strchr("%_\\", *q))
			buf_addc(&b, '\\');
		buf_addc(&b, *q);
	}
	buf_addc(&b, '%');
	return buf_take(&b);
}

static int
parse_cursor(const char *text, int64_t *rowid, struct awo_err *err)
{
	char *end;
	unsigned long long n;

	errno = 0;
	n = *text == 'o' && text[1] ? strtoull(text + 1, &end, 16) : 0;
	if (n == 0 || n > INT64_MAX || errno != 0 || *end ||
	    strspn(text + 1, "0123456789abcdef") != strlen(text + 1))
		return ERR(err, INVALID_ARGUMENT, "cursor",
		    "this cursor was not given by order.list; begin without one");
	*rowid = (int64_t)n;
	return 0;
}

static int
take_statuses(struct page_query *q, const struct p_strv *names, struct awo_err *err)
{
	for (size_t i = 0; i < names->n; i++) {
		int status = p_enum_value(&p_enum_order_status, names->v[i]);

		if (status == order_status_none)
			return ERR(err, INVALID_ARGUMENT, "statuses",
			    "an order is never %s: statuses takes pending, running, waiting, paused, "
			    "completed, failed and cancelled",
			    names->v[i]);
		q->statuses |= 1U << status;
	}
	if (names->n > 0)
		q->by |= BY_STATUSES;
	return 0;
}

static int
make_query(const struct store_filter *f, struct page_query *q, struct awo_err *err)
{
	const struct p_order_list *r = f->request;

	*q = (struct page_query){.limit = 50, .uid = f->uid, .total = -1};
	if (P_HAS(order_list, r, limit) && r->limit > 0)
		q->limit = r->limit < 500 ? r->limit : 500;
	if (P_HAS(order_list, r, offset))
		q->offset = r->offset > 0 ? r->offset : 0;
	if (P_HAS(order_list, r, cursor)) {
		if (parse_cursor(r->cursor, &q->cursor, err) < 0)
			return -1;
		q->by |= BY_CURSOR;
	}
	if (!f->any)
		q->by |= BY_UID;
	if (P_HAS(order_list, r, status)) {
		q->by |= BY_STATUS;
		q->status = r->status;
	}
	if (take_statuses(q, &r->statuses, err) < 0)
		return -1;
	if (P_HAS(order_list, r, since)) {
		q->by |= BY_SINCE;
		q->since = r->since;
	}
	if (P_HAS(order_list, r, until)) {
		q->by |= BY_UNTIL;
		q->until = r->until;
	}
	if (f->canonical_url) {
		q->by |= BY_URL;
		q->url = xstrdup(f->canonical_url);
	}
	if (P_HAS(order_list, r, owner)) {
		q->by |= BY_OWNER;
		q->owner = xstrdup(r->owner);
	}
	if (P_HAS(order_list, r, q)) {
		q->by |= BY_Q;
		q->q = like_pattern(r->q);
	}
	return 0;
}

/*
 * Chooses the index and fills the total from the counters. True when the page costs little: the
 * newest rows of one index, with no filter beside it (or a short index).
 */
static bool
is_bounded(struct store *s, struct page_query *q)
{
	const struct owner_counts *own = q->by & BY_UID ? counts_of(s, q->uid, false) : NULL;
	int64_t of_owner = own ? own->n[order_status_none] : 0;
	int64_t of_state = s->totals[q->status];
	bool both = (q->by & BY_UID) && (q->by & BY_STATUS);

	if (both && of_state < of_owner)
		q->by |= BY_STATUS_INDEX;
	if (q->by & (BY_URL | BY_OWNER | BY_Q | BY_SINCE | BY_UNTIL | BY_STATUSES))
		return ((q->by & BY_UID) && of_owner <= SCAN_MAX / 10) ||
		       s->totals[order_status_none] <= SCAN_MAX / 10;
	if (both)
		q->total = own ? own->n[q->status] : 0;
	else if (q->by & BY_UID)
		q->total = of_owner;
	else
		q->total = s->totals[q->status];
	if (q->offset > OFFSET_MAX)
		return false;
	return !both || (of_state < of_owner ? of_state : of_owner) <= SCAN_MAX;
}

void
store_order_list(struct store *s, const struct store_filter *f, store_list_done *done, void *arg)
{
	struct awo_err err = {0};
	struct p_order_list_answer page;
	struct page_query q;
	struct list_job *l;

	if (make_query(f, &q, &err) < 0) {
		page_query_free(&q);
		done(arg, &err, NULL);
		return;
	}
	if (!is_bounded(s, &q)) {
		l = xcalloc(1, sizeof(*l));
		l->job.kind = JOB_LIST;
		l->job.arg = arg;
		l->q = q;
		l->done = done;
		store_enqueue(s, &l->job);
		return;
	}
	lock_turn(s);
	run_page(&s->reader, &q, &page, &err);
	unlock_turn(s);
	page_query_free(&q);
	done(arg, err.code == AWO_OK ? NULL : &err, err.code == AWO_OK ? &page : NULL);
	if (err.code == AWO_OK)
		P_FREE(order_list_answer, &page);
}

void
run_list(struct store *s, struct job *j)
{
	struct list_job *l = (struct list_job *)j;

	run_page(&s->writer, &l->q, &l->page, &l->job.err);
}

void
answer_list(struct job *j)
{
	const struct awo_err *err = j->err.code == AWO_OK ? NULL : &j->err;
	struct list_job *l = (struct list_job *)j;

	l->done(j->arg, err, err ? NULL : &l->page);
	P_FREE(order_list_answer, &l->page);
	page_query_free(&l->q);
	free(l);
}
