/* Tests that the description of the interface holds together, and names every route. */
#include <string.h>

#include "tests/unit/cmocka_all.h"

#include "awo-gateway/openapi.h"
#include "common/clean.h"

/* Every $ref leads to something in the same document. */
static void
check_references(const json_t *root, const json_t *j)
{
	const char *key, *prefix = "#/components/";
	size_t i;
	json_t *v;

	json_array_foreach(j, i, v) check_references(root, v);
	json_object_foreach((json_t *)(uintptr_t)j, key, v)
	{
		char *path CLEAN_FREE = NULL, *rest, *word;
		const json_t *at = json_object_get(root, "components");

		check_references(root, v);
		if (strcmp(key, "$ref") != 0)
			continue;
		assert_int_equal(strncmp(json_string_value(v), prefix, strlen(prefix)), 0);
		path = rest = xstrdup(json_string_value(v) + strlen(prefix));
		rest = path;
		while ((word = strsep(&rest, "/")) != NULL)
			at = json_object_get(at, word);
		if (at == NULL)
			fail_msg("%s leads nowhere", json_string_value(v));
	}
}

static void
references_lead_somewhere(void **state)
{
	CLEAN_JSON json_t *root = openapi_make();

	(void)state;
	assert_string_equal(json_string_value(json_object_get(root, "openapi")), "3.1.0");
	check_references(root, root);
}

static void
operations_have_names_of_their_own(void **state)
{
	CLEAN_JSON json_t *root = openapi_make(), *seen = json_object();
	const char *path, *method;
	json_t *item, *operation;
	size_t n = 0;

	(void)state;
	json_object_foreach(json_object_get(root, "paths"), path, item)
	{
		assert_int_equal(path[0], '/');
		json_object_foreach(item, method, operation)
		{
			const char *id =
			    json_string_value(json_object_get(operation, "operationId"));

			assert_non_null(id);
			if (json_object_get(seen, id) != NULL)
				fail_msg("%s twice", id);
			json_object_set_new(seen, id, json_true());
			assert_true(json_object_size(json_object_get(operation, "responses")) >= 2);
			n++;
		}
	}
	assert_true(n > 200);
}

static void
every_route_is_described(void **state)
{
	CLEAN_JSON json_t *root = openapi_make();
	struct buf page CLEAN_BUF = {0}, text CLEAN_BUF = {0};
	const struct route *all;
	size_t n;

	(void)state;
	openapi_html(&page);
	openapi_markdown(&text);
	all = routes_all(&n);
	for (size_t i = 0; i < n; i++) {
		assert_non_null(strstr(page.p, all[i].path));
		assert_non_null(strstr(text.p, all[i].path));
	}
	assert_null(strstr(page.p, "<script"));
	assert_null(strstr(page.p, "http://"));
	assert_non_null(json_object_get(
	    json_object_get(root, "paths"), "/api/agent-work-orders/{id}/git-progress"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(references_lead_somewhere),
	    cmocka_unit_test(operations_have_names_of_their_own),
	    cmocka_unit_test(every_route_is_described),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
