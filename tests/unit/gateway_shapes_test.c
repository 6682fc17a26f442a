/* Tests the two shapes that answers have. */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/cmocka_all.h"

#include "awo-gateway/json_out.h"
#include "awo-gateway/shapes.h"
#include "common/clean.h"

static void
fill(struct p_order *o, enum p_order_status status)
{
	memset(o, 0, sizeof(*o));
	P_SETS(order, o, agent_work_order_id, "wo-0123abcd");
	P_SETS(order, o, repository_url, "https://github.com/a/b");
	P_SETS(order, o, sandbox_identifier, "sandbox-wo-0123abcd");
	P_SETS(order, o, owner, "x\"\\\n\xff");
	P_SETS(order, o, agent, "claude");
	P_SET(order, o, sandbox_type, sandbox_type_git_worktree);
	P_SET(order, o, status, status);
	P_SET(order, o, priority, -5);
	P_SET(order, o, created_at, INT64_C(1700000000123456));
	p_strv_add(&o->selected_commands, "planning");
	P_MARK(order, o, selected_commands);
	P_SET(usage, &o->usage, cost_usd, 0.1);
	P_MARK(order, o, usage);
}

static json_t *
shape(enum p_method_id method, const void *answer, enum mount mount, bool reads, struct shape *s)
{
	struct buf text CLEAN_BUF = {0};
	json_t *tree;

	shape_answer(&text, &p_methods[method], answer, mount,
	    mount == MOUNT_LEGACY ? "/api/agent-work-orders" : "/api/v1", reads, s);
	tree = json_loadb(text.p, text.len, 0, NULL);
	if (tree == NULL)
		fail_msg("no JSON: %s", text.p);
	return tree;
}

static const char *
text_at(const json_t *tree, const char *name)
{
	const char *s = json_string_value(json_object_get(tree, name));

	return s != NULL ? s : "";
}

static void
one_order_is_native_or_flat(void **state)
{
	struct p_order_answer a = {0};
	struct shape s;
	json_t *tree;

	(void)state;
	fill(&a.agent_work_order, order_status_waiting);
	tree = shape(P_M_order_get, &a, MOUNT_NATIVE, true, &s);
	assert_int_equal(s.status, 200);
	assert_string_equal(
	    text_at(json_object_get(tree, "agent_work_order"), "status"), "waiting");
	assert_string_equal(text_at(tree, "logs_url"), "/api/v1/wo-0123abcd/logs");
	json_decref(tree);
	tree = shape(P_M_order_get, &a, MOUNT_LEGACY, true, &s);
	assert_string_equal(text_at(tree, "status"), "running");
	assert_null(json_object_get(tree, "agent_work_order"));
	assert_string_equal(text_at(tree, "owner"), "x\"\\\n\xef\xbf\xbd");
	json_decref(tree);
	tree = shape(P_M_order_create, &a, MOUNT_LEGACY, false, &s);
	assert_int_equal(s.status, 201);
	assert_string_equal(s.location, "/api/agent-work-orders/wo-0123abcd");
	assert_string_equal(text_at(tree, "agent_work_order_id"), "wo-0123abcd");
	assert_string_equal(
	    text_at(json_object_get(tree, "agent_work_order"), "status"), "running");
	assert_true(text_at(tree, "message")[0] != '\0');
	assert_string_equal(text_at(tree, "logs_url"), "/api/agent-work-orders/wo-0123abcd/logs");
	json_decref(tree);
	P_FREE(order_answer, &a);
}

static void
lists_are_objects_or_arrays(void **state)
{
	struct p_order_list_answer a = {0};
	struct shape s;
	json_t *tree;

	(void)state;
	a.agent_work_orders.v = xcalloc(2, sizeof(*a.agent_work_orders.v));
	a.agent_work_orders.n = 2;
	fill(&a.agent_work_orders.v[0], order_status_cancelled);
	fill(&a.agent_work_orders.v[1], order_status_paused);
	P_MARK(order_list_answer, &a, agent_work_orders);
	P_SET(order_list_answer, &a, total_count, 17);
	tree = shape(P_M_order_list, &a, MOUNT_NATIVE, true, &s);
	assert_int_equal(s.total, -1);
	assert_int_equal(json_integer_value(json_object_get(tree, "total_count")), 17);
	assert_string_equal(
	    text_at(json_array_get(json_object_get(tree, "agent_work_orders"), 0), "status"),
	    "cancelled");
	json_decref(tree);
	tree = shape(P_M_order_list, &a, MOUNT_LEGACY, true, &s);
	assert_int_equal(s.total, 17);
	assert_int_equal(json_array_size(tree), 2);
	assert_string_equal(text_at(json_array_get(tree, 0), "status"), "failed");
	assert_string_equal(text_at(json_array_get(tree, 1), "status"), "running");
	json_decref(tree);
	P_FREE(order_list_answer, &a);
}

static void
prompts_and_verifications_say_more(void **state)
{
	struct p_order_prompt_answer prompt = {0};
	struct p_repository_verify_answer verify = {0};
	struct shape s;
	json_t *tree;

	(void)state;
	P_SETS(order_prompt_answer, &prompt, agent_work_order_id, "wo-0123abcd");
	P_SET(order_prompt_answer, &prompt, prompt_accepted, true);
	tree = shape(P_M_order_prompt, &prompt, MOUNT_NATIVE, false, &s);
	assert_true(json_is_true(json_object_get(tree, "success")));
	assert_true(json_is_true(json_object_get(tree, "prompt_accepted")));
	json_decref(tree);
	P_FREE(order_prompt_answer, &prompt);
	P_SETS(repository_verify_answer, &verify, repository_url, "https://github.com/a/b");
	P_SETS(repository_verify_answer, &verify, repository_name, "b");
	P_SET(repository_verify_answer, &verify, access_verified_at, 0);
	tree = shape(P_M_repository_verify, &verify, MOUNT_ROOT, false, &s);
	assert_true(json_is_false(json_object_get(tree, "verification_success")));
	assert_true(json_is_null(json_object_get(tree, "error_message")));
	assert_string_equal(text_at(json_object_get(tree, "repository"), "repository_name"), "b");
	assert_true(
	    json_is_null(json_object_get(json_object_get(tree, "repository"), "default_branch")));
	assert_string_equal(text_at(json_object_get(tree, "repository"), "access_verified_at"),
	    "1970-01-01T00:00:00.000000Z");
	json_decref(tree);
	P_FREE(repository_verify_answer, &verify);
}

/* The text is what p_to_json() would make of the same struct. */
static void
texts_equal_trees(void **state)
{
	struct p_order o;
	struct buf text CLEAN_BUF = {0};
	json_t *tree, *other;

	(void)state;
	fill(&o, order_status_completed);
	json_out(&text, &p_type_order, &o, false);
	tree = json_loadb(text.p, text.len, 0, NULL);
	other = p_to_json(&p_type_order, &o);
	assert_true(json_equal(tree, other));
	json_decref(tree);
	json_decref(other);
	P_FREE(order, &o);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(one_order_is_native_or_flat),
	    cmocka_unit_test(lists_are_objects_or_arrays),
	    cmocka_unit_test(prompts_and_verifications_say_more),
	    cmocka_unit_test(texts_equal_trees),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
