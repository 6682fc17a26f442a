/* Tests how a line becomes an event of a stream, and who is asked for a stream that several follow. */
#include <stdio.h>
#include <string.h>

#include <event2/event.h>

#include "tests/unit/cmocka_all.h"

#include "awo-gateway/feed.h"
#include "awo-gateway/gateway.h"

static void
lines_become_events(void **state)
{
	static const struct {
		int64_t id;
		const char *line;
		bool with_seq;
		const char *want;
	} rows[] = {
	    {7, "{\"a\":1}", true, "id: 7\ndata: {\"seq\":7,\"a\":1}\n\n"},
	    {7, "{}", true, "id: 7\ndata: {\"seq\":7}\n\n"},
	    {7, "{\"a\":1}", false, "id: 7\ndata: {\"a\":1}\n\n"},
	    {0, "{\"a\":1}", false, "data: {\"a\":1}\n\n"},
	    /* a line end within would begin another field of the stream */
	    {1, "{\"a\":\n\"event: end\"\r\n}", false, "id: 1\ndata: {\"a\":\"event: end\"}\n\n"},
	    {1, "", true, "id: 1\ndata: \n\n"},
	    {1, "x", true, "id: 1\ndata: x\n\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf b CLEAN_BUF = {0};

		feed_frame(&b, rows[i].id, rows[i].line, strlen(rows[i].line), rows[i].with_seq);
		assert_string_equal(b.p, rows[i].want);
	}
}

/* ---- awod, as the test has it answer */

static struct source {
	const struct source_calls *calls;
	void *arg;
	char asked[256]; /* with whose auth, one behind the other */
} sources[4];

static int nsources;

/* the linker's names for what stands in; NOLINTBEGIN(bugprone-reserved-identifier) */
struct source *__wrap_source_new(
    struct sources *ss, const struct source_of *of, const struct source_calls *calls, void *arg);
void __wrap_source_start(struct source *src, const char *auth, int64_t position, bool resume);
void __wrap_source_free(struct source *src);

struct source *
__wrap_source_new(
    struct sources *ss, const struct source_of *of, const struct source_calls *calls, void *arg)
{
	(void)ss;
	(void)of;
	assert_true(nsources < 4);
	sources[nsources] = (struct source){.calls = calls, .arg = arg};
	return &sources[nsources++];
}

void
__wrap_source_start(struct source *src, const char *auth, int64_t position, bool resume)
{
	size_t len = strlen(src->asked);

	(void)position;
	(void)resume;
	snprintf(src->asked + len, sizeof(src->asked) - len, "%s ", auth);
}

void
__wrap_source_free(struct source *src)
{
	(void)src;
}
/* NOLINTEND(bugprone-reserved-identifier) */

struct follower {
	struct subscriber *sub;
	bool has_begun, has_ended;
};

static void
on_began(void *arg)
{
	((struct follower *)arg)->has_begun = true;
}

static void
on_grew(void *arg)
{
	(void)arg;
}

static void
on_ended(void *arg, const struct awo_err *err, const char *reason)
{
	struct follower *who = arg;

	(void)err;
	(void)reason;
	who->has_ended = true;
	feed_leave(who->sub);
	who->sub = NULL;
}

static const struct subscriber_calls calls = {
    .began = on_began, .grew = on_grew, .ended = on_ended};

static void
follow(struct feeds *fs, struct follower *who, const char *auth)
{
	const struct feed_request what = {.of = {.id = "wo-00000001"}};

	*who = (struct follower){.sub = feed_join(fs, &what, auth, &calls, who)};
}

/* Whose token has ended is the one with whom awod was asked: it goes, and awod is asked with that of another. */
static void
one_whose_access_ends_takes_nobody_along(void **state)
{
	struct gateway g = {.base = event_base_new()};
	struct feeds *fs = feeds_open(&g, NULL);
	const struct awo_err err = {.code = AWO_PERMISSION_DENIED};
	struct follower one, other, next;

	(void)state;
	nsources = 0;
	follow(fs, &one, "a");
	follow(fs, &other, "b");
	assert_int_equal(nsources, 1);
	sources[0].calls->began(sources[0].arg);
	assert_true(one.has_begun && other.has_begun);
	sources[0].calls->ended(sources[0].arg, &err, "the token was revoked");
	assert_true(one.has_ended);
	assert_false(other.has_ended);
	assert_string_equal(sources[0].asked, "a b ");
	/* the last one: who comes at the same moment is not left with a stream that nobody sends */
	sources[0].calls->ended(sources[0].arg, &err, "the token was revoked");
	assert_true(other.has_ended);
	follow(fs, &next, "c");
	assert_int_equal(nsources, 2);
	assert_string_equal(sources[1].asked, "c ");
	event_base_loop(g.base, EVLOOP_NONBLOCK);
	sources[1].calls->began(sources[1].arg);
	assert_true(next.has_begun);
	feed_leave(next.sub);
	feeds_close(fs);
	event_base_free(g.base);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(lines_become_events),
	    cmocka_unit_test(one_whose_access_ends_takes_nobody_along)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
