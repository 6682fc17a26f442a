/* YAML text made a tree with positions. */
#include "proto/yaml.h"

#include "common/clean.h"
#include "tests/fuzz/fuzz.h"

static void
look(const struct yaml_marks *marks, const json_t *v, int depth)
{
	int line = 0, column = 0;
	const char *key;
	json_t *item;
	size_t i;

	FUZZ_CHECK(depth <= 32);
	if (yaml_where(marks, v, &line, &column))
		FUZZ_CHECK(line > 0 && column > 0);
	if (json_is_object(v)) {
		json_object_foreach((json_t *)(uintptr_t)v, key, item)
		{
			FUZZ_CHECK(yaml_where_key(marks, v, key, &line, &column));
			FUZZ_CHECK(line > 0 && column > 0);
			look(marks, item, depth + 1);
		}
	} else {
		json_array_foreach(v, i, item) look(marks, item, depth + 1);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct yaml_marks *marks = NULL;
	struct awo_err err = {0};
	json_t *tree CLEAN_JSON = yaml_parse("file", (const char *)data, size, &marks, &err);
	char *text CLEAN_FREE = NULL;

	if (tree != NULL) {
		look(marks, tree, 0);
		text = json_dumps(tree, JSON_ENCODE_ANY);
		FUZZ_CHECK(text != NULL);
	} else {
		FUZZ_CHECK(err.code != AWO_OK && err.msg[0] != '\0');
	}
	yaml_marks_free(marks);
	return 0;
}
