/* Tests which heads of requests are refused because others could read them otherwise. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>

#include <event2/keyvalq_struct.h>

#include "tests/unit/cmocka_all.h"

#include "awo-gateway/head.h"

#define HEADERS 4

struct head {
	const char *names[HEADERS], *values[HEADERS];
	bool is_head;
};

/* What head_fault() says of these headers. */
static const char *
fault(const struct head *h)
{
	struct evkeyval v[HEADERS];
	struct evkeyvalq q;

	TAILQ_INIT(&q);
	for (size_t i = 0; i < HEADERS && h->names[i] != NULL; i++) {
		v[i].key = (char *)(uintptr_t)h->names[i];
		v[i].value = (char *)(uintptr_t)h->values[i];
		TAILQ_INSERT_TAIL(&q, &v[i], next);
	}
	return head_fault(&q, h->is_head);
}

static void
heads_that_all_read_alike_pass(void **state)
{
	static const struct head rows[] = {
	    {{NULL}, {NULL}, false},
	    {{"Host", "Content-Length"}, {"localhost", "17"}, false},
	    {{"host", "transfer-encoding"}, {"localhost", "Chunked"}, false},
	    {{"Cookie", "Cookie", "X-A", "X-A"}, {"a=b", "c=d", "", "x"}, false},
	    {{"Host", "Content-Length"}, {"localhost", "0"}, true},
	    {{"Content-Length"}, {"1048576"}, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_null(fault(&rows[i]));
}

static void
heads_that_can_be_read_in_two_ways_are_refused(void **state)
{
	static const struct head rows[] = {
	    {{"Host", "Host"}, {"localhost", "localhost"}, false},
	    {{"Host", "hOST"}, {"localhost", "evil.example"}, false},
	    {{"Content-Length", "Content-Length"}, {"2", "2"}, false},
	    {{"Content-Length", "content-length"}, {"2", "40"}, false},
	    {{"Content-Length"}, {""}, false},
	    {{"Content-Length"}, {"+2"}, false},
	    {{"Content-Length"}, {" 2"}, false},
	    {{"Content-Length"}, {"2, 2"}, false},
	    {{"Content-Length"}, {"0x2"}, false},
	    {{"Content-Length"}, {"99999999999"}, false},
	    {{"Content-Length "}, {"2"}, false},
	    {{"Transfer-Encoding"}, {"xchunked"}, false},
	    {{"Transfer-Encoding"}, {"gzip, chunked"}, false},
	    {{"Transfer-Encoding"}, {"identity"}, false},
	    {{"Transfer-Encoding"}, {""}, false},
	    {{"Transfer-Encoding", "Transfer-Encoding"}, {"chunked", "chunked"}, false},
	    {{"Authorization", "Authorization"}, {"Bearer a", "Bearer b"}, false},
	    {{"Origin", "Origin"}, {"null", "http://localhost"}, false},
	    {{"", "Host"}, {"x", "localhost"}, false},
	    {{"X\xe4"}, {"x"}, false},
	    {{"Content-Length"}, {"5"}, true},
	    {{"Transfer-Encoding"}, {"chunked"}, true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (fault(&rows[i]) == NULL)
			fail_msg("row %zu passes", i);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(heads_that_all_read_alike_pass),
	    cmocka_unit_test(heads_that_can_be_read_in_two_ways_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
