/* Tests how body, query and path become parameters, and how what is wrong with them is told. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/cmocka_all.h"

#include "awo-gateway/args.h"
#include "common/clean.h"

/* The parameters as JSON text, or the error's; the caller frees. */
static char *
make(const struct p_type *type, const char *body, const char *target, const char *name,
    const char *value)
{
	struct route_params params = {0};
	struct args_error e = {0};
	struct awo_err err = {0};
	struct buf out = {0};
	struct target t;
	json_t *args;

	assert_int_equal(target_parse(target, &t, &err), 0);
	if (name != NULL) {
		params.n = 1;
		snprintf(params.v[0].name, sizeof(params.v[0].name), "%s", name);
		snprintf(params.v[0].value, sizeof(params.v[0].value), "%s", value);
	}
	args = args_make(type, body, strlen(body), &t, &params, &e);
	if (args != NULL && e.type == NULL) {
		void *obj = xcalloc(1, type->size);

		if (p_from_json(type, obj, args, false, &err) == 0) {
			char *text = json_dumps(args, JSON_COMPACT | JSON_SORT_KEYS);

			buf_adds(&out, text);
			free(text);
			p_free(type, obj);
		} else {
			struct args_error all[8];
			size_t n = args_check(type, args, *body != '\0', &t, &params, all, 8);

			assert_int_not_equal(n, 0);
			args_errors_json(&out, all, n);
		}
		free(obj);
	} else {
		args_errors_json(&out, &e, 1);
	}
	json_decref(args);
	target_free(&t);
	return buf_take(&out);
}

#define ASSERT_MADE(want, ...)                                                                     \
	do {                                                                                       \
		char *got CLEAN_FREE = make(__VA_ARGS__);                                          \
		assert_string_equal(got, want);                                                    \
	} while (0)
/* type and loc of the error */
#define ASSERT_REFUSED(want, ...)                                                                  \
	do {                                                                                       \
		char *got CLEAN_FREE = make(__VA_ARGS__);                                          \
		if (strncmp(got, "{\"detail\":[" want, strlen("{\"detail\":[" want)) != 0)         \
			fail_msg("%s", got);                                                       \
	} while (0)

static void
values_come_from_everywhere(void **state)
{
	(void)state;
	ASSERT_MADE(
	    "{\"agent_work_order_id\":\"wo-1\",\"limit\":7,\"step\":\"planning\",\"tail\":true}",
	    &p_type_order_logs, "", "/?limit=7&step=planning&tail=yes&other=1", "id", "wo-1");
	ASSERT_MADE("{\"id\":\"x\"}", &p_type_repository_ref, "", "/", "id", "x");
	ASSERT_MADE("{\"agent_work_order_id\":\"wo-1\",\"prompt_text\":\"hi\"}",
	    &p_type_order_prompt, "{\"agent_work_order_id\":\"wo-1\",\"prompt_text\":\"hi\"}", "/",
	    "id", "wo-1");
	/* the body wins over the query, and a form's empty choice is none */
	ASSERT_MADE(
	    "{\"limit\":2}", &p_type_order_list, "{\"limit\":2}", "/?limit=1&status=", NULL, NULL);
	ASSERT_MADE("{\"selected_commands\":[\"planning\",\"execute\",\"commit\"]}",
	    &p_type_workflow_validate, "",
	    "/?selected_commands=planning,execute&selected_commands=commit", NULL, NULL);
	ASSERT_MADE("{}", &p_type_order_list, " \n", "/", NULL, NULL);
}

static void
errors_name_type_and_place(void **state)
{
	(void)state;
	ASSERT_REFUSED("{\"type\":\"missing\",\"loc\":[\"body\",\"repository_url\"],",
	    &p_type_order_create, "{}", "/", NULL, NULL);
	ASSERT_REFUSED("{\"type\":\"missing\",\"loc\":[\"body\",\"repository_url\"],",
	    &p_type_order_create, "{\"repository_url\":null}", "/", NULL, NULL);
	ASSERT_REFUSED("{\"type\":\"string_type\",\"loc\":[\"body\",\"repository_url\"],",
	    &p_type_order_create, "{\"repository_url\":1}", "/", NULL, NULL);
	ASSERT_REFUSED("{\"type\":\"enum\",\"loc\":[\"body\",\"sandbox_type\"],",
	    &p_type_order_create, "{\"repository_url\":\"a/b\",\"sandbox_type\":\"vm\"}", "/", NULL,
	    NULL);
	ASSERT_REFUSED("{\"type\":\"less_than_equal\",\"loc\":[\"body\",\"priority\"],",
	    &p_type_order_create, "{\"repository_url\":\"a/b\",\"priority\":101}", "/", NULL, NULL);
	ASSERT_REFUSED("{\"type\":\"string_type\",\"loc\":[\"body\",\"selected_commands\",1],",
	    &p_type_order_create,
	    "{\"repository_url\":\"a/b\",\"selected_commands\":[\"planning\",7]}", "/", NULL, NULL);
	ASSERT_REFUSED("{\"type\":\"value_error\",\"loc\":[\"body\",\"selected_commands\"],",
	    &p_type_order_create, "{\"repository_url\":\"a/b\",\"selected_commands\":{}}", "/",
	    NULL, NULL);
	ASSERT_REFUSED("{\"type\":\"greater_than_equal\",\"loc\":[\"query\",\"limit\"],",
	    &p_type_order_list, "", "/?limit=0", NULL, NULL);
	ASSERT_REFUSED("{\"type\":\"value_error\",\"loc\":[\"query\",\"limit\"],",
	    &p_type_order_list, "", "/?limit=1e3", NULL, NULL);
	ASSERT_REFUSED("{\"type\":\"value_error\",\"loc\":[\"query\",\"limit\"],",
	    &p_type_order_list, "", "/?limit=99999999999999999999", NULL, NULL);
	ASSERT_REFUSED("{\"type\":\"json_invalid\",\"loc\":[\"body\",", &p_type_order_create,
	    "{\"a\":}", "/", NULL, NULL);
	ASSERT_REFUSED("{\"type\":\"json_invalid\",\"loc\":[\"body\",", &p_type_order_create,
	    "\xff", "/", NULL, NULL);
	ASSERT_REFUSED("{\"type\":\"value_error\",\"loc\":[\"body\"],", &p_type_order_create, "[]",
	    "/", NULL, NULL);
	ASSERT_REFUSED("{\"type\":\"value_error\",\"loc\":[\"body\",\"agent_work_order_id\"],",
	    &p_type_order_prompt, "{\"agent_work_order_id\":\"wo-2\",\"prompt_text\":\"hi\"}", "/",
	    "id", "wo-1");
	ASSERT_REFUSED("{\"type\":\"value_error\",\"loc\":[\"path\",\"agent_work_order_id\"],",
	    &p_type_order_ref, "", "/", "id",
	    "wo-11111111111111111111111111111111111111111111111111111111111111111111111111111111");
}

/* "type at place" of each error, in the order in which they are told. */
static char *
told(const struct p_type *type, const char *body, const char *target)
{
	CLEAN_FREE char *text = make(type, body, target, NULL, NULL);
	CLEAN_JSON json_t *tree = json_loads(text, 0, NULL);
	struct buf out = {0};
	json_t *e;
	size_t i;

	assert_non_null(tree);
	json_array_foreach(json_object_get(tree, "detail"), i, e)
	{
		char *loc = json_dumps(json_object_get(e, "loc"), JSON_COMPACT);

		buf_printf(&out, "%s%s %s", i > 0 ? ", " : "",
		    json_string_value(json_object_get(e, "type")), loc);
		assert_true(*json_string_value(json_object_get(e, "msg")) != '\0');
		free(loc);
	}
	return buf_take(&out);
}

static void
all_errors_are_told_at_once(void **state)
{
	char *body CLEAN_FREE = told(&p_type_order_create,
	    "{\"github_issue_number\":[],\"sandbox_type\":\"vm\",\"priority\":101,\"base_branch\":"
	    "5,"
	    "\"selected_commands\":[1,\"planning\",true],\"agent_work_order_id\":7}",
	    "/");
	char *query CLEAN_FREE =
	    told(&p_type_order_list, "", "/?limit=0&offset=-1&status=done&since=now&until=then&q=");
	char *many CLEAN_FREE = told(&p_type_order_create,
	    "{\"repository_url\":\"a/b\",\"selected_commands\":[0,1,2,3,4,5,6,7,8,9,10,11]}", "/");

	(void)state;
	assert_string_equal(body,
	    "missing [\"body\",\"repository_url\"], enum [\"body\",\"sandbox_type\"], "
	    "string_type [\"body\",\"selected_commands\",0], "
	    "string_type [\"body\",\"selected_commands\",2], "
	    "string_type [\"body\",\"github_issue_number\"], "
	    "string_type [\"body\",\"base_branch\"], less_than_equal [\"body\",\"priority\"]");
	assert_string_equal(query,
	    "enum [\"query\",\"status\"], value_error [\"query\",\"q\"], "
	    "value_error [\"query\",\"since\"], value_error [\"query\",\"until\"], "
	    "greater_than_equal [\"query\",\"limit\"], "
	    "greater_than_equal [\"query\",\"offset\"]");
	/* no more than there is room for */
	assert_non_null(strstr(many, "\"selected_commands\",7]"));
	assert_null(strstr(many, "\"selected_commands\",8]"));
}

static void
secrets_are_not_given_back(void **state)
{
	char *got CLEAN_FREE = make(&p_type_credential_set,
	    "{\"name\":\"x\",\"kind\":\"github_token\",\"value\":[\"hunter2\"]}", "/", NULL, NULL);

	(void)state;
	assert_non_null(strstr(got, "\"string_type\""));
	assert_null(strstr(got, "hunter2"));
}

static void
long_input_is_not_given_back(void **state)
{
	struct buf body CLEAN_BUF = {0};
	char *got CLEAN_FREE = NULL;

	(void)state;
	buf_adds(&body, "{\"repository_url\":\"");
	for (int i = 0; i < 3000; i++)
		buf_addc(&body, 'a');
	buf_adds(&body, "\"}");
	got = make(&p_type_order_create, body.p, "/", NULL, NULL);
	assert_non_null(strstr(got, "\"input\":null"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(values_come_from_everywhere),
	    cmocka_unit_test(errors_name_type_and_place),
	    cmocka_unit_test(all_errors_are_told_at_once),
	    cmocka_unit_test(secrets_are_not_given_back),
	    cmocka_unit_test(long_input_is_not_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
