/* JSON made the structs of the tables, strictly and leniently, and back. */
#include <stdlib.h>

#include "common/clean.h"
#include "proto/schema.h"
#include "tests/fuzz/fuzz.h"

/* Two bytes choose a type, the rest is the text. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	size_t ntypes;
	const struct p_type *const *types = p_types(&ntypes);
	const struct p_type *type = types[fuzz_u16(&in) % ntypes];
	json_t *tree CLEAN_JSON = json_loadb((const char *)in.p, in.len, JSON_DECODE_ANY, NULL);
	void *obj, *again;

	if (tree == NULL)
		return 0;
	obj = xcalloc(1, type->size);
	again = xcalloc(1, type->size);
	for (int strict = 0; strict < 2; strict++) {
		struct awo_err err = {0};
		json_t *one CLEAN_JSON = NULL, *two CLEAN_JSON = NULL;

		if (p_from_json(type, obj, tree, strict != 0, &err) != 0) {
			FUZZ_CHECK(err.code != AWO_OK && err.msg[0] != '\0');
			continue;
		}
		one = p_to_json(type, obj);
		FUZZ_CHECK(p_from_json(type, again, one, true, &err) == 0);
		two = p_to_json(type, again);
		FUZZ_CHECK(json_equal(one, two));
		p_free(type, again);
		p_copy(type, again, obj);
		p_free(type, again);
		p_free(type, obj);
	}
	free(obj);
	free(again);
	return 0;
}
