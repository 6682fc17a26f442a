/* The kind of work that a commit is, from its message and paths. */
#include "awo-worker/git/phase.h"

#include <stdlib.h>
#include <string.h>

#include "common/clean.h"
#include "tests/fuzz/fuzz.h"

/* The message, then paths: a NUL behind each. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	char *message CLEAN_FREE = fuzz_until(&in, 0, NULL);
	struct phase_files f = PHASE_FILES_INIT;
	enum phase alone = phase_of_message(message), settled = PHASE_NONE, p;
	bool is_settled = false;

	while (in.len > 0) {
		char *path CLEAN_FREE = fuzz_until(&in, 0, NULL);

		phase_add_path(&f, path);
		if (is_settled)
			FUZZ_CHECK(phase_of_commit(message, &f) == settled);
		is_settled = phase_files_settled(&f);
		settled = phase_of_commit(message, &f);
	}
	p = phase_of_commit(message, &f);
	FUZZ_CHECK(p != PHASE_NONE && phase_name(p) != NULL);
	FUZZ_CHECK(alone == PHASE_NONE || alone == p);
	return 0;
}
