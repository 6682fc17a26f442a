/* Who runs next: tables of small queues, and random ones against a slow reference that picks one
 * order at a time. */
#include "cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "awod/scheduler.h"

#define NOW 1000

/* One order in a case, and what is expected of it. */
struct one {
	char name;
	bool running, wake, jump;
	int priority, created, retry_at;
	unsigned uid, repository;
	enum sched_reason reason;
	int position;
};

struct table_case {
	const char *what;
	struct sched_limits limits;
	int64_t next;
	struct one o[8];
};

/* clang-format off */
static const struct table_case cases[] = {
	{ "oldest first", { 2, 0, 0 }, 0,
	    { { 'a', .created = 3, .uid = 1, .reason = SCHED_SLOTS, .position = 3 },
		{ 'b', .created = 1, .uid = 2, .reason = SCHED_START, .position = 1 },
		{ 'c', .created = 2, .uid = 3, .reason = SCHED_START, .position = 2 } } },
	{ "priority before age", { 1, 0, 0 }, 0,
	    { { 'a', .created = 1, .priority = -1, .reason = SCHED_SLOTS, .position = 3 },
		{ 'b', .created = 2, .reason = SCHED_SLOTS, .position = 2 },
		{ 'c', .created = 3, .priority = 100, .reason = SCHED_START, .position = 1 } } },
	{ "the user with fewer running, counting those just started", { 5, 0, 0 }, 0,
	    { { 'r', .running = true, .uid = 1 },
		{ 'a', .created = 1, .uid = 1, .reason = SCHED_START, .position = 3 },
		{ 'b', .created = 2, .uid = 1, .reason = SCHED_SLOTS, .position = 5 },
		{ 'c', .created = 9, .uid = 2, .reason = SCHED_START, .position = 1 },
		{ 'd', .created = 10, .uid = 2, .reason = SCHED_START, .position = 4 },
		{ 'e', .created = 12, .uid = 3, .reason = SCHED_START, .position = 2 } } },
	{ "the limit counts what runs", { 1, 0, 0 }, 0,
	    { { 'r', .running = true, .uid = 9 }, { 'a', .reason = SCHED_SLOTS, .position = 1 } } },
	{ "more running than the limit, after it was lowered", { 1, 0, 0 }, 0,
	    { { 'r', .running = true }, { 's', .running = true }, { 'a', .reason = SCHED_SLOTS, .position = 1 } } },
	{ "a user's cap lets others pass", { 5, 1, 0 }, 0,
	    { { 'a', .created = 1, .uid = 1, .reason = SCHED_START, .position = 1 },
		{ 'b', .created = 2, .uid = 1, .reason = SCHED_USER_LIMIT, .position = 3 },
		{ 'c', .created = 3, .uid = 2, .reason = SCHED_START, .position = 2 } } },
	{ "a repository's cap lets others pass", { 5, 0, 1 }, 0,
	    { { 'r', .running = true, .uid = 7, .repository = 5 },
		{ 'a', .created = 1, .uid = 1, .repository = 5, .reason = SCHED_REPOSITORY_LIMIT, .position = 1 },
		{ 'b', .created = 2, .uid = 1, .repository = 6, .reason = SCHED_START, .position = 2 } } },
	{ "wake before equal priority, not before higher", { 2, 0, 0 }, 0,
	    { { 'a', .created = 1, .uid = 1, .reason = SCHED_SLOTS, .position = 3 },
		{ 'b', .created = 5, .uid = 2, .wake = true, .reason = SCHED_START, .position = 2 },
		{ 'c', .created = 9, .uid = 3, .priority = 1, .reason = SCHED_START, .position = 1 } } },
	{ "jump before everything, but not over the limit", { 1, 0, 0 }, 0,
	    { { 'a', .created = 1, .priority = 100, .reason = SCHED_SLOTS, .position = 2 },
		{ 'b', .created = 9, .priority = -100, .jump = true, .reason = SCHED_START, .position = 1 } } },
	{ "retry_at waits, last in the queue", { 5, 0, 0 }, NOW + 5,
	    { { 'a', .created = 1, .retry_at = NOW + 9, .priority = 9, .reason = SCHED_RETRY_AT, .position = 3 },
		{ 'b', .created = 2, .retry_at = NOW + 5, .reason = SCHED_RETRY_AT, .position = 2 },
		{ 'c', .created = 3, .retry_at = NOW, .reason = SCHED_START, .position = 1 } } },
	{ "a jump does not wait for retry_at", { 5, 0, 0 }, 0,
	    { { 'a', .retry_at = NOW + 9, .jump = true, .reason = SCHED_START, .position = 1 } } },
};

/* clang-format on */
static void
test_tables(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct table_case *c = &cases[i];
		struct sched_order o[8];
		int64_t next = -1;
		size_t n = 0;

		for (; n < 8 && c->o[n].name; n++)
			o[n] = (struct sched_order){.running = c->o[n].running,
			    .wake = c->o[n].wake,
			    .jump = c->o[n].jump,
			    .priority = c->o[n].priority,
			    .created_at = c->o[n].created,
			    .rowid = (int64_t)n + 1,
			    .retry_at = c->o[n].retry_at,
			    .owner_uid = c->o[n].uid,
			    .repository = c->o[n].repository};
		scheduler_run(&c->limits, o, n, NOW, &next);
		assert_int_equal(next, c->next);
		for (size_t k = 0; k < n; k++)
			if (!o[k].running &&
			    (o[k].reason != c->o[k].reason || o[k].position != c->o[k].position))
				fail_msg("%s: %c is %s at %d", c->what, c->o[k].name,
				    scheduler_reason_name(o[k].reason), (int)o[k].position);
	}
}

/* ---- the reference: picks the first of all that are left, again and again */

struct reference {
	const struct sched_limits *l;
	struct sched_order *o;
	size_t n;
	bool *started;
};

static int64_t
running_of(const struct reference *r, const struct sched_order *like, bool by_repository)
{
	int64_t n = 0;

	for (size_t i = 0; i < r->n; i++)
		if (r->o[i].running || r->started[i])
			n += by_repository ? r->o[i].repository == like->repository
					   : r->o[i].owner_uid == like->owner_uid;
	return n;
}

static bool
comes_before(const struct reference *r, const struct sched_order *x, const struct sched_order *y)
{
	int64_t rx, ry;

	if (x->jump != y->jump)
		return x->jump;
	if (x->priority != y->priority)
		return x->priority > y->priority;
	if (x->wake != y->wake)
		return x->wake;
	rx = running_of(r, x, false);
	ry = running_of(r, y, false);
	if (rx != ry)
		return rx < ry;
	if (x->created_at != y->created_at)
		return x->created_at < y->created_at;
	return x->rowid < y->rowid;
}

static void
run_reference(struct reference *r, int64_t now)
{
	int64_t position = 0, running = 0;

	for (size_t i = 0; i < r->n; i++)
		running += r->o[i].running;
	for (;;) {
		struct sched_order *best = NULL;

		for (size_t i = 0; i < r->n; i++) {
			struct sched_order *o = &r->o[i];

			if (o->running || o->position > 0 || (o->retry_at > now && !o->jump))
				continue;
			if (!best || comes_before(r, o, best))
				best = o;
		}
		if (!best)
			return;
		best->position = ++position;
		if (r->l->per_user > 0 && running_of(r, best, false) >= r->l->per_user)
			best->reason = SCHED_USER_LIMIT;
		else if (r->l->per_repository > 0 &&
			 running_of(r, best, true) >= r->l->per_repository)
			best->reason = SCHED_REPOSITORY_LIMIT;
		else if (running >= r->l->max_concurrent)
			best->reason = SCHED_SLOTS;
		else {
			best->reason = SCHED_START;
			r->started[best - r->o] = true;
			running++;
		}
	}
}

static void
test_random(void **state)
{
	enum { MOST = 40 };

	(void)state;
	srand(7);
	for (int round = 0; round < 3000; round++) {
		struct sched_limits l = {1 + rand() % 12, rand() % 4, rand() % 4};
		struct sched_order a[MOST] = {0}, b[MOST];
		bool started[MOST] = {0};
		size_t n = (size_t)rand() % (MOST + 1);
		struct reference r = {&l, b, n, started};
		int64_t next, least = 0, last = 0;

		for (size_t i = 0; i < n; i++) {
			a[i].running = rand() % 5 == 0;
			a[i].wake = rand() % 6 == 0;
			a[i].jump = rand() % 20 == 0;
			a[i].priority = rand() % 3 - 1;
			a[i].created_at = rand() % 10;
			a[i].rowid = (int64_t)(n - i);
			a[i].owner_uid = 1000 + (uint32_t)rand() % 5;
			a[i].repository = UINT64_MAX - (uint64_t)rand() % 4;
			a[i].retry_at = rand() % 4 == 0 ? NOW - 5 + rand() % 10 : 0;
			if (!a[i].running && !a[i].jump && a[i].retry_at > NOW &&
			    (least == 0 || a[i].retry_at < least))
				least = a[i].retry_at;
		}
		memcpy(b, a, sizeof(a));
		scheduler_run(&l, a, n, NOW, &next);
		run_reference(&r, NOW);
		assert_int_equal(next, least);
		for (size_t i = 0; i < n; i++) {
			if (a[i].running)
				continue;
			last = a[i].position > last ? a[i].position : last;
			if (!a[i].jump && a[i].retry_at > NOW) {
				assert_int_equal(a[i].reason, SCHED_RETRY_AT);
				continue;
			}
			if (a[i].position != b[i].position || a[i].reason != b[i].reason)
				fail_msg("round %d, order %zu: %s at %d, want %s at %d", round, i,
				    scheduler_reason_name(a[i].reason), (int)a[i].position,
				    scheduler_reason_name(b[i].reason), (int)b[i].position);
		}
		/* positions are 1, 2, ... of all that do not run */
		for (int64_t p = 1; p <= last; p++) {
			int seen = 0;

			for (size_t i = 0; i < n; i++)
				seen += !a[i].running && a[i].position == p;
			assert_int_equal(seen, 1);
		}
	}
}

static void
test_names(void **state)
{
	(void)state;
	assert_string_equal(scheduler_reason_name(SCHED_START), "next");
	assert_string_equal(scheduler_reason_name(SCHED_SLOTS), "slots");
	assert_string_equal(scheduler_reason_name(SCHED_USER_LIMIT), "user_limit");
	assert_string_equal(scheduler_reason_name(SCHED_REPOSITORY_LIMIT), "repository_limit");
	assert_string_equal(scheduler_reason_name(SCHED_RETRY_AT), "retry_at");
}

static void
test_empty(void **state)
{
	struct sched_limits l = {1, 1, 1};
	int64_t next = -1;

	(void)state;
	scheduler_run(&l, NULL, 0, NOW, &next);
	assert_int_equal(next, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_tables),
	    cmocka_unit_test(test_random),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
