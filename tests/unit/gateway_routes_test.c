/* Tests that every address leads to its handler, and that what is none says so. */
#include <stdio.h>
#include <string.h>

#include "tests/unit/cmocka_all.h"

#include "awo-gateway/routes.h"

static void
find(const char *method, const char *path, struct route_match *m)
{
	enum http_method http;
	struct awo_err err = {0};
	struct target t;

	assert_true(http_method_find(method, &http));
	assert_int_equal(target_parse(path, &t, &err), 0);
	route_find(&t, http, m);
	target_free(&t);
}

static void
addresses_lead_to_methods(void **state)
{
	static const struct {
		const char *method, *path;
		enum p_method_id rpc;
		enum mount mount;
		const char *param;
	} rows[] = {
	    {"POST", "/api/v1", P_M_order_create, MOUNT_NATIVE, NULL},
	    {"POST", "/api/v1/", P_M_order_create, MOUNT_NATIVE, NULL},
	    {"GET", "/api/v1/agent-work-orders/", P_M_order_list, MOUNT_NATIVE, NULL},
	    {"GET", "/agent-work-orders", P_M_order_list, MOUNT_NATIVE, NULL},
	    {"GET", "/agent-work-orders/wo-1", P_M_order_get, MOUNT_NATIVE, "wo-1"},
	    {"GET", "/api/agent-work-orders", P_M_order_list, MOUNT_LEGACY, NULL},
	    {"GET", "/api/agent-work-orders/agent-work-orders", P_M_order_list, MOUNT_LEGACY, NULL},
	    {"GET", "/api/agent-work-orders/agent-work-orders/wo-1/logs/", P_M_order_logs,
		MOUNT_LEGACY, "wo-1"},
	    {"HEAD", "/api/v1/wo-1", P_M_order_get, MOUNT_NATIVE, "wo-1"},
	    {"DELETE", "/api/v1/wo-1", P_M_order_delete, MOUNT_NATIVE, "wo-1"},
	    {"GET", "/api/v1/queue", P_M_queue_get, MOUNT_NATIVE, NULL},
	    {"GET", "/api/v1/events", P_M_events_watch, MOUNT_NATIVE, NULL},
	    {"GET", "/api/v1/wo-1/logs/stream", P_M_order_watch, MOUNT_NATIVE, "wo-1"},
	    {"GET", "/api/v1/wo-1/artifacts", P_M_order_artifacts, MOUNT_NATIVE, "wo-1"},
	    {"PATCH", "/api/v1/repositories/x", P_M_repository_update, MOUNT_NATIVE, "x"},
	    {"POST", "/api/v1/repositories/x/verify", P_M_repository_verify, MOUNT_NATIVE, "x"},
	    {"POST", "/api/agent-work-orders/github/verify-repository", P_M_repository_verify,
		MOUNT_LEGACY, NULL},
	    {"POST", "/github/verify-repository", P_M_repository_verify, MOUNT_ROOT, NULL},
	    {"POST", "/api/github/verify-repository", P_M_repository_verify, MOUNT_ROOT, NULL},
	    {"POST", "/api/v1/settings/test/github", P_M_settings_test, MOUNT_NATIVE, "github"},
	    {"GET", "/health", P_M_system_health, MOUNT_ROOT, NULL},
	    {"GET", "/api/agent-work-orders/health", P_M_system_health, MOUNT_LEGACY, NULL},
	    {"GET", "/metrics", P_M_system_metrics, MOUNT_ROOT, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct route_match m;

		find(rows[i].method, rows[i].path, &m);
		if (m.route == NULL || m.route->rpc == NULL)
			fail_msg("%s %s leads nowhere", rows[i].method, rows[i].path);
		if (m.route->rpc->id != rows[i].rpc)
			fail_msg(
			    "%s %s leads to %s", rows[i].method, rows[i].path, m.route->rpc->name);
		assert_int_equal(m.mount, rows[i].mount);
		assert_int_equal(m.params.n, rows[i].param != NULL);
		if (rows[i].param != NULL)
			assert_string_equal(m.params.v[0].value, rows[i].param);
	}
}

/* Each row of the method table is reached below each mount by the method and path that it names. */
static void
every_method_has_its_address(void **state)
{
	enum mount mount;
	const char *prefix;

	(void)state;
	for (size_t i = 0; i < P_M__COUNT; i++)
		for (size_t k = 0; p_methods[i].http_method[0] != '\0' &&
				   (prefix = mount_prefix(k, &mount)) != NULL;
		     k++) {
			struct route_match m;
			char path[256];

			snprintf(path, sizeof(path), "%s%s", prefix, p_methods[i].http_path);
			for (char *p = path; *p != '\0'; p++)
				if (*p == '{' || *p == '}')
					*p = 'x';
			find(p_methods[i].http_method, path, &m);
			if (m.route == NULL || m.route->rpc != &p_methods[i])
				fail_msg("%s %s does not lead to %s", p_methods[i].http_method,
				    path, p_methods[i].name);
			assert_int_equal(m.mount, mount);
		}
}

static void
rests_of_paths_are_taken_whole(void **state)
{
	struct route_match m;

	(void)state;
	find("GET", "/api/v1/wo-1/artifacts/prompts/02-planning.txt", &m);
	assert_non_null(m.route);
	assert_int_equal(m.route->rpc->id, P_M_order_artifact);
	assert_int_equal(m.params.n, 2);
	assert_string_equal(m.params.v[1].name, "name");
	assert_string_equal(m.params.v[1].value, "prompts/02-planning.txt");
	find("GET", "/ui/assets/index-1234.js", &m);
	assert_non_null(m.route);
	assert_string_equal(m.params.v[0].value, "assets/index-1234.js");
}

static void
wrong_methods_are_told_the_right_ones(void **state)
{
	struct route_match m;
	char names[64];

	(void)state;
	find("POST", "/api/v1/queue", &m);
	assert_null(m.route);
	assert_string_equal(route_allow(m.allow, names, sizeof(names)), "GET, HEAD, OPTIONS");
	find("PUT", "/api/v1/wo-1", &m);
	assert_null(m.route);
	assert_string_equal(
	    route_allow(m.allow, names, sizeof(names)), "GET, HEAD, DELETE, OPTIONS");
	find("GET", "/api/v1/wo-1/cancel", &m);
	assert_null(m.route);
	assert_string_equal(route_allow(m.allow, names, sizeof(names)), "POST, OPTIONS");
}

static void
unknown_paths_are_none(void **state)
{
	static const char *const rows[] = {"/api", "/api/v2", "/nothing", "/api/v1/wo-1/nothing",
	    "/api/v1/wo-1/logs/stream/x", "/repositories", "/queue", "/wo-1", "/API/v1",
	    "/health/x", "/api/v1/wo-1/artifact"};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct route_match m;

		find("GET", rows[i], &m);
		if (m.route != NULL || m.allow != 0)
			fail_msg("%s leads somewhere", rows[i]);
	}
}

static void
only_what_is_public_needs_no_scope(void **state)
{
	const struct route *all;
	size_t n;

	(void)state;
	all = routes_all(&n);
	assert_true(n > 50);
	for (size_t i = 0; i < n; i++) {
		if (all[i].rpc != NULL && all[i].rpc->who == P_WHO_ADMIN)
			assert_true((all[i].scope & P_SCOPE_ADMIN) != 0);
		if (all[i].scope == 0 && all[i].rpc != NULL && all[i].rpc->id != P_M_system_health)
			assert_true(all[i].rpc->who == P_WHO_GATEWAY);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(addresses_lead_to_methods),
	    cmocka_unit_test(every_method_has_its_address),
	    cmocka_unit_test(rests_of_paths_are_taken_whole),
	    cmocka_unit_test(wrong_methods_are_told_the_right_ones),
	    cmocka_unit_test(unknown_paths_are_none),
	    cmocka_unit_test(only_what_is_public_needs_no_scope),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
