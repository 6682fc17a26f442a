/* Decides who runs next: a binary heap of users inside each class of equal precedence, one pass
 * over the candidates. */
#include <stdlib.h>
#include <string.h>

#include "awod/scheduler.h"
#include "common/buf.h"
#include "common/clean.h"

/*
 * Precedence: jump, priority, wake. Among equals the user with the fewest running orders goes
 * first, which changes with every start; so each user's orders of a class stand in a queue (oldest
 * first), and a heap of the users picks the next.
 */
struct count {
	uint64_t key;
	int64_t running;
};

struct user {
	size_t running;	  /* index in the counts of users */
	size_t next, end; /* what is left of its stretch in the sorted candidates */
};

/* ---- counts by key: sorted once, then found by bisection */

static int
compare_counts(const void *a, const void *b)
{
	const struct count *x = a, *y = b;

	return (x->key > y->key) - (x->key < y->key);
}

static size_t
unique_counts(struct count *c, size_t n)
{
	size_t kept = 0;

	if (n == 0)
		return 0;
	qsort(c, n, sizeof(*c), compare_counts);
	for (size_t i = 1; i < n; i++)
		if (c[i].key == c[kept].key)
			c[kept].running += c[i].running;
		else
			c[++kept] = c[i];
	return kept + 1;
}

static size_t
find_count(const struct count *c, size_t n, uint64_t key)
{
	size_t lo = 0, hi = n;

	while (lo + 1 < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (c[mid].key <= key)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

/* ---- order of candidates */

static int
compare_class(const struct sched_order *x, const struct sched_order *y)
{
	if (x->jump != y->jump)
		return x->jump ? -1 : 1;
	if (x->priority != y->priority)
		return x->priority > y->priority ? -1 : 1;
	if (x->wake != y->wake)
		return x->wake ? -1 : 1;
	return 0;
}

static int
compare_age(const struct sched_order *x, const struct sched_order *y)
{
	if (x->created_at != y->created_at)
		return x->created_at < y->created_at ? -1 : 1;
	return (x->rowid > y->rowid) - (x->rowid < y->rowid);
}

/* By class, user, age. */
static int
compare_candidates(const void *a, const void *b)
{
	const struct sched_order *x = *(struct sched_order *const *)a,
				 *y = *(struct sched_order *const *)b;
	int c = compare_class(x, y);

	if (c != 0)
		return c;
	if (x->owner_uid != y->owner_uid)
		return x->owner_uid < y->owner_uid ? -1 : 1;
	return compare_age(x, y);
}

static int
compare_waiters(const void *a, const void *b)
{
	const struct sched_order *x = *(struct sched_order *const *)a,
				 *y = *(struct sched_order *const *)b;

	if (x->retry_at != y->retry_at)
		return x->retry_at < y->retry_at ? -1 : 1;
	return compare_age(x, y);
}

/* ---- heap of users */

struct heap {
	struct user *v;
	size_t n;
	const struct count *users;
	struct sched_order *const *candidates;
};

static bool
user_before(const struct heap *h, const struct user *a, const struct user *b)
{
	int64_t ra = h->users[a->running].running, rb = h->users[b->running].running;

	if (ra != rb)
		return ra < rb;
	return compare_age(h->candidates[a->next], h->candidates[b->next]) < 0;
}

static void
sift_down(struct heap *h, size_t i)
{
	for (;;) {
		size_t least = i, left = 2 * i + 1, right = left + 1;
		struct user swap;

		if (left < h->n && user_before(h, &h->v[left], &h->v[least]))
			least = left;
		if (right < h->n && user_before(h, &h->v[right], &h->v[least]))
			least = right;
		if (least == i)
			return;
		swap = h->v[i];
		h->v[i] = h->v[least];
		h->v[least] = swap;
		i = least;
	}
}

struct run {
	const struct sched_limits *l;
	struct count *users, *repositories;
	size_t nusers, nrepositories;
	int64_t running; /* orders with a slot, those started here included */
	int64_t position;
};

/* Gives the order its place, and a slot when one is free and no cap forbids it. */
static void
place(struct run *r, struct sched_order *o, struct count *user)
{
	struct count *repository =
	    &r->repositories[find_count(r->repositories, r->nrepositories, o->repository)];

	o->position = ++r->position;
	if (r->l->per_user > 0 && user->running >= r->l->per_user)
		o->reason = SCHED_USER_LIMIT;
	else if (r->l->per_repository > 0 && repository->running >= r->l->per_repository)
		o->reason = SCHED_REPOSITORY_LIMIT;
	else if (r->running >= r->l->max_concurrent)
		o->reason = SCHED_SLOTS;
	else {
		o->reason = SCHED_START;
		r->running++;
		user->running++;
		repository->running++;
	}
}

/* One class of equal precedence, sorted by user and age: candidates [from, to). */
static void
run_class(struct run *r, struct sched_order **candidates, size_t from, size_t to, struct user *room)
{
	struct heap h = {.v = room, .users = r->users, .candidates = candidates};

	for (size_t i = from; i < to;) {
		size_t end = i + 1;

		while (end < to && candidates[end]->owner_uid == candidates[i]->owner_uid)
			end++;
		h.v[h.n++] = (struct user){
		    .running = find_count(r->users, r->nusers, candidates[i]->owner_uid),
		    .next = i,
		    .end = end};
		i = end;
	}
	for (size_t i = h.n; i-- > 0;)
		sift_down(&h, i);
	while (h.n > 0) {
		struct user *top = &h.v[0];

		place(r, candidates[top->next], &r->users[top->running]);
		if (++top->next == top->end)
			*top = h.v[--h.n];
		sift_down(&h, 0);
	}
}

void
scheduler_run(
    const struct sched_limits *l, struct sched_order *o, size_t n, int64_t now_us, int64_t *next_us)
{
	struct run r = {.l = l};
	struct sched_order **candidates CLEAN_FREE = xcalloc(n + 1, sizeof(struct sched_order *));
	struct sched_order **waiters CLEAN_FREE = xcalloc(n + 1, sizeof(struct sched_order *));
	struct count *users CLEAN_FREE = xcalloc(n + 1, sizeof(*users));
	struct count *repositories CLEAN_FREE = xcalloc(n + 1, sizeof(*repositories));
	struct user *room CLEAN_FREE = xcalloc(n + 1, sizeof(*room));
	size_t ncandidates = 0, nwaiters = 0;

	*next_us = 0;
	for (size_t i = 0; i < n; i++) {
		users[i] = (struct count){.key = o[i].owner_uid, .running = o[i].running};
		repositories[i] = (struct count){.key = o[i].repository, .running = o[i].running};
		if (o[i].running)
			r.running++;
		else if (o[i].retry_at > now_us && !o[i].jump)
			waiters[nwaiters++] = &o[i];
		else
			candidates[ncandidates++] = &o[i];
	}
	r.users = users;
	r.nusers = unique_counts(users, n);
	r.repositories = repositories;
	r.nrepositories = unique_counts(repositories, n);

	/* pointers are sorted; NOLINTNEXTLINE(bugprone-sizeof-expression) */
	qsort(candidates, ncandidates, sizeof(*candidates), compare_candidates);
	for (size_t from = 0; from < ncandidates;) {
		size_t to = from + 1;

		while (to < ncandidates && compare_class(candidates[from], candidates[to]) == 0)
			to++;
		run_class(&r, candidates, from, to, room);
		from = to;
	}
	/* pointers too; NOLINTNEXTLINE(bugprone-sizeof-expression) */
	qsort(waiters, nwaiters, sizeof(*waiters), compare_waiters);
	for (size_t i = 0; i < nwaiters; i++) {
		waiters[i]->reason = SCHED_RETRY_AT;
		waiters[i]->position = ++r.position;
	}
	if (nwaiters > 0)
		*next_us = waiters[0]->retry_at;
}

const char *
scheduler_reason_name(enum sched_reason reason)
{
	switch (reason) {
	case SCHED_START:
		return "next";
	case SCHED_SLOTS:
		return "slots";
	case SCHED_USER_LIMIT:
		return "user_limit";
	case SCHED_REPOSITORY_LIMIT:
		return "repository_limit";
	case SCHED_RETRY_AT:
		return "retry_at";
	}
	return "slots";
}
