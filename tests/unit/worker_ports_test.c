/* The ten ports of an order, as a file and as environment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "awo-worker/ports.h"

static void
ten_ports(void **state)
{
	struct buf b = {0};
	struct p_strv env = {0};

	(void)state;
	ports_text(42010, 10, &b);
	assert_string_equal(b.p,
	    "PORT_RANGE_START=42010\nPORT_RANGE_END=42019\nPORT_RANGE_SIZE=10\n"
	    "PORT_0=42010\nPORT_1=42011\nPORT_2=42012\nPORT_3=42013\nPORT_4=42014\n"
	    "PORT_5=42015\nPORT_6=42016\nPORT_7=42017\nPORT_8=42018\nPORT_9=42019\n"
	    "BACKEND_PORT=42010\nFRONTEND_PORT=42011\nVITE_BACKEND_URL=http://localhost:42010\n");
	ports_env(42010, 10, &env);
	assert_int_equal(env.n, 16);
	assert_true(p_strv_has(&env, "PORT_9=42019"));
	assert_true(p_strv_has(&env, "VITE_BACKEND_URL=http://localhost:42010"));
	p_strv_free(&env);
	buf_free(&b);
}

static void
none_and_one(void **state)
{
	struct buf b = {0};
	struct p_strv env = {0};

	(void)state;
	ports_text(0, 0, &b);
	ports_env(0, 0, &env);
	assert_int_equal(b.len, 0);
	assert_int_equal(env.n, 0);
	ports_text(5000, 1, &b);
	assert_non_null(strstr(b.p, "FRONTEND_PORT=5000\n"));
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(ten_ports),
	    cmocka_unit_test(none_and_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
