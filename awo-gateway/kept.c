/* Answers about orders, kept ready to be sent until awod says that something has changed. */
#include "awo-gateway/kept.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "awo-gateway/backend.h"
#include "awo-gateway/gateway.h"
#include "awo-gateway/request.h"
#include "awo-gateway/routes.h"
#include "common/clock.h"
#include "common/hash.h"

#define BUCKETS 1024
#define BYTES_MAX ((size_t)8 << 20)
#define ANSWER_MAX ((size_t)1 << 20) /* of one */
#define KEY_MAX 512
#define ENTRY_BYTES 512 /* what one costs beside its texts, about */
/* What is no change to awod counts after this: a user who has left a group, say. */
#define KEEP_US INT64_C(1000000)

struct entry {
	LIST_ENTRY(entry) bucket;
	TAILQ_ENTRY(entry) age; /* oldest first */
	struct body *body;
	size_t bytes;
	int64_t since_us;
	char key[];
};

LIST_HEAD(entry_list, entry);
TAILQ_HEAD(request_list, request);

/* A question that awod is being asked. */
struct ask {
	LIST_ENTRY(ask) link;
	struct gateway *g;
	const struct p_method *method;
	void *params;
	kept_make *make;
	uint64_t changes;	 /* as many had been told when it was asked */
	struct request_list now; /* came before: its answer is theirs, whatever changes meanwhile */
	struct request_list later; /* came since */
	char key[];
};

LIST_HEAD(ask_list, ask);

struct kept {
	struct entry_list buckets[BUCKETS];
	TAILQ_HEAD(, entry) ages;
	size_t bytes;
	uint64_t changes; /* how often awod has said so */
	struct ask_list asks[BUCKETS];
};

/* ---- bodies */

struct body *
body_new(struct buf *text, int64_t total)
{
	struct body *b = xcalloc(1, sizeof(*b));

	b->refs = 1;
	b->text = *text;
	*text = (struct buf){0};
	b->total = total;
	encode_etag(b->text.p != NULL ? b->text.p : "", b->text.len, b->etag);
	return b;
}

struct body *
body_ref(struct body *b)
{
	b->refs++;
	return b;
}

void
body_release(struct body *b)
{
	if (b == NULL || --b->refs > 0)
		return;
	buf_free(&b->text);
	buf_free(&b->packed);
	free(b);
}

const struct buf *
body_packed(struct body *b)
{
	if (!b->pack_tried) {
		b->pack_tried = true;
		if (!encode_gzip(&b->text, &b->packed))
			buf_free(&b->packed);
	}
	return b->packed.len > 0 ? &b->packed : NULL;
}

/* ---- what is kept */

/* Who asks, and the target as it was written; false when that is too long. */
static bool
make_key(const struct request *rq, char key[KEY_MAX])
{
	const char *uri = request_uri(rq);
	int n = snprintf(key, KEY_MAX, "%s\n%s", rq->who.id, uri);

	return n > 0 && n < KEY_MAX;
}

static void
forget(struct kept *k, struct entry *e)
{
	LIST_REMOVE(e, bucket);
	TAILQ_REMOVE(&k->ages, e, age);
	k->bytes -= e->bytes;
	body_release(e->body);
	free(e);
}

static struct entry *
find(struct kept *k, const char *key)
{
	struct entry *e;

	LIST_FOREACH(e, &k->buckets[hash_text(key) % BUCKETS], bucket)
	if (strcmp(e->key, key) == 0)
		break;
	return e;
}

bool
kept_wants(const struct request *rq)
{
	const struct p_method *m = rq->route->rpc;

	/* order.get's only parameter asks GitHub; what a body asks for, its target does not say */
	return m != NULL && request_body_len(rq) == 0 &&
	       (m->id == P_M_order_list || (m->id == P_M_order_get && rq->target.nparams == 0));
}

struct body *
kept_find(const struct request *rq)
{
	struct kept *k = rq->g->kept;
	char key[KEY_MAX];
	struct entry *e;

	if (TAILQ_EMPTY(&k->ages) || !make_key(rq, key) || (e = find(k, key)) == NULL)
		return NULL;
	if (clock_mono_us() - e->since_us > KEEP_US) {
		forget(k, e);
		return NULL;
	}
	/* what waited to be read may have been the word that it holds no more */
	if (!backend_is_quiet(rq->g) || (e = find(k, key)) == NULL)
		return NULL;
	rq->g->count.kept_sent++;
	return e->body;
}

static void
put(struct kept *k, const char *key, struct body *b)
{
	size_t len = strlen(key) + 1;
	struct entry *e = find(k, key);

	if (e != NULL)
		forget(k, e);
	if (b->text.len > ANSWER_MAX || *key == '\0')
		return;
	e = xcalloc(1, sizeof(*e) + len);
	memcpy(e->key, key, len);
	e->body = body_ref(b);
	/* the text once more for its compressed form */
	e->bytes = 2 * b->text.len + ENTRY_BYTES;
	e->since_us = clock_mono_us();
	LIST_INSERT_HEAD(&k->buckets[hash_text(key) % BUCKETS], e, bucket);
	TAILQ_INSERT_TAIL(&k->ages, e, age);
	k->bytes += e->bytes;
	while (k->bytes > BYTES_MAX)
		/* each leaves the list first; NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
		forget(k, TAILQ_FIRST(&k->ages));
}

/* ---- asking */

static void
ask_free(struct ask *a)
{
	LIST_REMOVE(a, link);
	p_free(a->method->request, a->params);
	free(a->params);
	free(a);
}

static void on_answer(void *arg, const struct awo_err *err, void *answer);

static void
ask_awod(struct ask *a)
{
	a->changes = a->g->kept->changes;
	backend_call(a->g, TAILQ_FIRST(&a->now)->who.auth, a->method->id, a->params, on_answer, a);
}

static void
on_answer(void *arg, const struct awo_err *err, void *answer)
{
	struct ask *a = arg;
	struct kept *k = a->g->kept;
	struct request_list done = TAILQ_HEAD_INITIALIZER(done);
	struct request *rq;
	struct body *b = NULL;

	TAILQ_CONCAT(&done, &a->now, same);
	if (answer != NULL)
		b = a->make(TAILQ_FIRST(&done), answer);
	if (b != NULL && a->changes == k->changes) {
		put(k, a->key, b);
		/* theirs as well, when this is all that awod has said */
		if (backend_is_quiet(a->g))
			TAILQ_CONCAT(&done, &a->later, same);
	}
	if (TAILQ_EMPTY(&a->later)) {
		ask_free(a);
	} else {
		TAILQ_CONCAT(&a->now, &a->later, same);
		ask_awod(a);
	}
	while ((rq = TAILQ_FIRST(&done)) != NULL) {
		TAILQ_REMOVE(&done, rq, same);
		if (b != NULL)
			request_answer_body(rq, "application/json", b);
		else
			request_fail(rq, err);
	}
	body_release(b);
}

static struct ask *
find_ask(struct ask_list *asks, const char *key)
{
	struct ask *a;

	LIST_FOREACH(a, asks, link)
	if (strcmp(a->key, key) == 0)
		break;
	return a;
}

void
kept_ask(struct request *rq, void *params, kept_make *make)
{
	struct kept *k = rq->g->kept;
	const struct p_method *m = rq->route->rpc;
	char key[KEY_MAX];
	struct ask_list *asks;
	struct ask *a;
	size_t len;

	/* one whose target is too long shares nothing */
	if (!make_key(rq, key))
		key[0] = '\0';
	asks = &k->asks[hash_text(key) % BUCKETS];
	a = key[0] != '\0' ? find_ask(asks, key) : NULL;
	if (a != NULL) {
		p_free(m->request, params);
		free(params);
		TAILQ_INSERT_TAIL(&a->later, rq, same);
		return;
	}
	len = strlen(key) + 1;
	a = xcalloc(1, sizeof(*a) + len);
	a->g = rq->g;
	a->method = m;
	a->params = params;
	a->make = make;
	memcpy(a->key, key, len);
	TAILQ_INIT(&a->now);
	TAILQ_INIT(&a->later);
	TAILQ_INSERT_TAIL(&a->now, rq, same);
	LIST_INSERT_HEAD(asks, a, link);
	ask_awod(a);
}

/* ---- all of it */

void
kept_drop(struct gateway *g)
{
	struct kept *k = g->kept;
	struct entry *e;

	k->changes++;
	while ((e = TAILQ_FIRST(&k->ages)) != NULL)
		/* each leaves the list first; NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
		forget(k, e);
}

int
kept_open(struct gateway *g)
{
	g->kept = xcalloc(1, sizeof(*g->kept));
	for (size_t i = 0; i < BUCKETS; i++) {
		LIST_INIT(&g->kept->buckets[i]);
		LIST_INIT(&g->kept->asks[i]);
	}
	TAILQ_INIT(&g->kept->ages);
	return 0;
}

void
kept_close(struct gateway *g)
{
	struct ask *a;

	if (g->kept == NULL)
		return;
	kept_drop(g);
	/* what they wait for was forgotten with the connection */
	for (size_t i = 0; i < BUCKETS; i++)
		while ((a = LIST_FIRST(&g->kept->asks[i])) != NULL)
			/* each leaves the list first; NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
			ask_free(a);
	free(g->kept);
	g->kept = NULL;
}
