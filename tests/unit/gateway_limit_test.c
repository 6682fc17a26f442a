/* Tests how often each may ask: rooms, and whose they are. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/cmocka_all.h"

#include "awo-gateway/limit.h"

#define SECOND INT64_C(1000000)

static void
a_room_is_used_up_and_fills_again(void **state)
{
	struct room r = {0};
	int64_t now = 5; /* right after the host has started, too */

	(void)state;
	for (int i = 0; i < 60; i++) {
		assert_int_equal(room_wait(&r, 60, now), 0);
		room_take(&r, 60, 1, now);
	}
	assert_int_equal(room_wait(&r, 60, now), 2);
	now += SECOND + SECOND / 10;
	assert_int_equal(room_wait(&r, 60, now), 0);
	room_take(&r, 60, 1, now);
	assert_true(room_wait(&r, 60, now) > 0);
	/* never more than a minute's */
	now += 3600 * SECOND;
	for (int i = 0; i < 60; i++)
		room_take(&r, 60, 1, now);
	assert_true(room_wait(&r, 60, now) > 0);
}

static void
who_costs_more_waits_longer_but_not_for_ever(void **state)
{
	struct room r = {0};

	(void)state;
	room_take(&r, 60, 90, SECOND);
	assert_in_range(room_wait(&r, 60, SECOND), 31, 32);
	for (int i = 0; i < 1000; i++)
		room_take(&r, 60, 1000, SECOND);
	assert_in_range(room_wait(&r, 60, SECOND), 61, 63);
	assert_int_equal(room_wait(&r, 60, SECOND + 63 * SECOND), 0);
}

static void
addresses_have_rooms_of_their_own(void **state)
{
	struct addresses *a = addresses_new();
	double factor, other;
	struct room *first = addresses_room(a, "192.0.2.1", &factor);
	int same = 0;

	(void)state;
	assert_true(factor == 1);
	assert_ptr_equal(addresses_room(a, "::ffff:192.0.2.1", &other), first);
	assert_true(other == 1);
	assert_ptr_equal(addresses_room(a, "2001:db8:1:2::1", &factor), addresses_room(a, "2001:db8:1:2:ffff::9", &other));
	for (int i = 2; i < 102; i++) {
		char text[32];

		snprintf(text, sizeof(text), "192.0.2.%d", i);
		same += addresses_room(a, text, &factor) == first;
	}
	assert_true(same < 5);
	addresses_free(a);
}

static void
a_proxy_on_this_host_speaks_for_many(void **state)
{
	static const char *const near[] = {"127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"};
	static const char *const far[] = {"128.0.0.1", "10.0.0.1", "fe80::1", "2001:db8::127", "", "nonsense"};
	struct addresses *a = addresses_new();
	double factor;

	(void)state;
	for (size_t i = 0; i < sizeof(near) / sizeof(near[0]); i++) {
		assert_non_null(addresses_room(a, near[i], &factor));
		assert_true(factor == 10);
	}
	for (size_t i = 0; i < sizeof(far) / sizeof(far[0]); i++) {
		assert_non_null(addresses_room(a, far[i], &factor));
		assert_true(factor == 1);
	}
	addresses_free(a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_room_is_used_up_and_fills_again),
	    cmocka_unit_test(who_costs_more_waits_longer_but_not_for_ever),
	    cmocka_unit_test(addresses_have_rooms_of_their_own),
	    cmocka_unit_test(a_proxy_on_this_host_speaks_for_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
