/* Command files: front matter, and prompts made of them with arguments. */
#include "awo-worker/prompt_template.h"

#include <stdlib.h>
#include <string.h>

#include "common/clean.h"
#include "common/text.h"
#include "tests/fuzz/fuzz.h"

#define ARGS_MAX 10

/* The command file, and after a NUL arguments with one behind each. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	struct prompt_template t;
	struct awo_err err = {0};
	CLEAN_BUF struct buf out = {0};
	char *args[ARGS_MAX];
	const char *given[ARGS_MAX];
	size_t len, n = 0;
	char *text CLEAN_FREE = fuzz_until(&in, 0, &len);

	while (in.len > 0 && n < ARGS_MAX) {
		given[n] = args[n] = fuzz_until(&in, 0, NULL);
		n++;
	}
	if (prompt_parse(&t, text, len, &err) == 0) {
		FUZZ_CHECK(t.body != NULL && text_is_utf8(t.body, strlen(t.body)));
		FUZZ_CHECK(t.max_turns >= 0 && t.timeout >= 0 && t.warnings.n <= 16);
		FUZZ_CHECK(t.model == NULL || (t.model[0] != '-' && strlen(t.model) <= 128));
		if (prompt_render(t.body, given, n, &out, &err) == 0)
			FUZZ_CHECK(out.len <= PROMPT_TEXT_MAX);
	} else {
		FUZZ_CHECK(err.code != AWO_OK && err.msg[0] != '\0');
	}
	prompt_free(&t);
	for (size_t i = 0; i < n; i++)
		free(args[i]);
	return 0;
}
