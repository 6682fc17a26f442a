/* Tests by which names the gateway is called, and whose pages may call it. */
#include <stdio.h>
#include <string.h>

#include "tests/unit/cmocka_all.h"

#include "awo-gateway/origin.h"
#include "awod/config.h"

static char *host_names[] = {(char[]){"awo.lan"}, (char[]){"other.lan:99"}};
static char *origin_names[] = {(char[]){"http://localhost:3737"}};

static struct config
conf(const char *listen, const char *url)
{
	return (struct config){.gateway_listen = (char *)(uintptr_t)listen,
	    .gateway_url = (char *)(uintptr_t)url,
	    .gateway_hosts = {.v = host_names, .n = 2},
	    .gateway_cors_origins = {.v = origin_names, .n = 1}};
}

static void
names_that_can_be_rebound_are_refused(void **state)
{
	static const struct {
		const char *host;
		bool ok;
	} rows[] = {
	    {"127.0.0.1:8053", true},
	    {"127.0.0.1", true},
	    {"10.1.2.3:1", true},
	    {"[::1]:8053", true},
	    {"[::1]", true},
	    {"[fe80::1]:80", true},
	    {"localhost", true},
	    {"LocalHost:8053", true},
	    {"a.localhost:1", true},
	    {"box.lan:8053", true},
	    {"box.lan", true},
	    {"awo.lan", true},
	    {"awo.lan:1", true},
	    {"other.lan:99", true},
	    {"awo.example.org", true},
	    {"awo.example.org:443", true},
	    {NULL, false},
	    {"", false},
	    {":8053", false},
	    {"evil.example", false},
	    {"evil.example:8053", false},
	    {"other.lan", false},
	    {"other.lan:98", false},
	    {"localhost.evil.example", false},
	    {"xlocalhost", false},
	    {"127.0.0.1.evil.example", false},
	    {"127.0.0.1:80.evil.example", false},
	    {"127.0.0.1:80:90", false},
	    {"127.1", false},
	    {"0x7f000001", false},
	    {"2130706433", false},
	    {"[::1].evil.example", false},
	    {"[::1", false},
	    {"[evil.example]", false},
	    {"localhost:", true},
	    {"localhost:x", false},
	    {"localhost@evil.example", false},
	    {".localhost", false},
	    {"awo.lan.", false},
	    {"awo.lann", false},
	    {"wo.lan", false},
	};
	struct config c = conf("box.lan:8053", "https://awo.example.org");

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (origin_host_allowed(&c, rows[i].host) != rows[i].ok)
			fail_msg("%s should be %s", rows[i].host != NULL ? rows[i].host : "none",
			    rows[i].ok ? "allowed" : "refused");
}

static void
pages_of_others_are_told_apart(void **state)
{
	static const struct {
		const char *host, *origin, *site;
		bool foreign, own_read, own_write;
	} rows[] = {
	    /* programs say nothing */
	    {"127.0.0.1:8053", NULL, NULL, false, false, false},
	    {"box.lan:8053", NULL, NULL, false, true,
		false}, /* where browsers say nothing of what reads */
	    /* the gateway's own pages */
	    {"127.0.0.1:8053", "http://127.0.0.1:8053", NULL, false, true, true},
	    {"127.0.0.1:8053", "http://127.0.0.1:8053", "same-origin", false, true, true},
	    {"127.0.0.1:8053", NULL, "same-origin", false, true, true},
	    {"127.0.0.1:8053", "null", "same-origin", false, true, true},
	    {"BOX.lan:8053", "http://box.LAN:8053", NULL, false, true, true},
	    /* the person at the browser */
	    {"127.0.0.1:8053", NULL, "none", false, true, false},
	    /* others */
	    {"127.0.0.1:8053", "http://127.0.0.1:9", NULL, true, false, false},
	    {"127.0.0.1:8053", "http://127.0.0.1", NULL, true, false, false},
	    {"127.0.0.1:8053", "http://localhost:8053", NULL, true, false, false},
	    {"127.0.0.1:8053", "https://evil.example", NULL, true, false, false},
	    {"127.0.0.1:8053", "http://127.0.0.1:8053.evil.example", NULL, true, false, false},
	    {"127.0.0.1:8053", "http://127.0.0.1:8053/", NULL, true, false, false},
	    {"127.0.0.1:8053", "ftp://127.0.0.1:8053", NULL, true, false, false},
	    {"127.0.0.1:8053", "127.0.0.1:8053", NULL, true, false, false},
	    {"127.0.0.1:8053", "", NULL, true, false, false},
	    {"127.0.0.1:8053", "null", NULL, true, false, false},
	    {"127.0.0.1:8053", "null", "cross-site", true, false, false},
	    {"127.0.0.1:8053", NULL, "cross-site", true, false, false},
	    {"127.0.0.1:8053", NULL, "same-site", true, false, false},
	    {"127.0.0.1:8053", NULL, "whatever", true, false, false},
	    {"box.lan:8053", NULL, "cross-site", true, false, false},
	    /* a browser that lies in one header does not win by the other */
	    {"127.0.0.1:8053", "https://evil.example", "same-origin", true, false, false},
	    {"127.0.0.1:8053", "http://127.0.0.1:8053", "cross-site", true, false, false},
	    {"127.0.0.1:8053", "http://127.0.0.1:8053", "same-site", true, false, false},
	    /* configured ones may call, with a token; a cookie is not theirs */
	    {"127.0.0.1:8053", "http://localhost:3737", "same-site", false, false, false},
	};
	struct config c = conf("127.0.0.1:8053", NULL);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct origin_facts f = {rows[i].host, rows[i].origin, rows[i].site};

		if (origin_is_foreign(&c, &f) != rows[i].foreign ||
		    origin_is_own(&c, &f, true) != rows[i].own_read ||
		    origin_is_own(&c, &f, false) != rows[i].own_write)
			fail_msg("row %zu", i);
	}
}

static void
a_proxy_may_stand_in_front(void **state)
{
	struct config c = conf("127.0.0.1:8053", "https://awo.example.org");
	struct origin_facts ours = {"127.0.0.1:8053", "https://awo.example.org", NULL};
	struct origin_facts plain = {"127.0.0.1:8053", "http://awo.example.org", NULL};
	struct origin_facts silent = {"awo.example.org", NULL, NULL};
	/* one that leaves the host as it is */
	struct origin_facts kept = {"awo.example.org", "https://awo.example.org", "same-origin"};
	struct origin_facts stripped = {"awo.example.org", "http://awo.example.org", NULL};
	struct origin_facts other = {"awo.lan:8053", "http://awo.lan:8053", NULL};

	(void)state;
	assert_true(origin_is_own(&c, &ours, false));
	assert_false(origin_is_own(&c, &plain, false));
	assert_true(origin_is_foreign(&c, &plain));
	assert_true(origin_is_own(&c, &kept, false));
	assert_false(origin_is_own(&c, &stripped, false));
	assert_true(origin_is_foreign(&c, &stripped));
	assert_true(origin_is_own(&c, &other, false));
	/* over TLS every browser says where a page is from */
	assert_false(origin_is_own(&c, &silent, true));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names_that_can_be_rebound_are_refused),
	    cmocka_unit_test(pages_of_others_are_told_apart),
	    cmocka_unit_test(a_proxy_may_stand_in_front),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
