/* Tests how a line becomes an event of a stream. */
#include <string.h>

#include "tests/unit/cmocka_all.h"

#include "awo-gateway/feed.h"

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

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(lines_become_events)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
