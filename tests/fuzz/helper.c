/* What awo-git and awo-forge print, as an order's worker takes it in: lines, an answer, or why there is none. */
#include <stdlib.h>
#include <string.h>

#include "common/clean.h"
#include "common/text.h"
#include "tests/fuzz/fuzz.h"

/* the file itself: the process has ended here before it began;
 * NOLINTNEXTLINE(bugprone-suspicious-include) */
#include "awo-worker/helper.c"

/* Its readers take any member for text or a number, whatever it is. */
static void
use(const json_t *answer)
{
	static const char *const keys[] = {"base_branch", "head_sha", "branch", "dirty", "git_commit_count", "commits", "phase",
	    "files", "content", "size", "entries", "is_accessible", "number", "url", "state", "created"};
	json_t *o;
	size_t at;

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		FUZZ_CHECK(helper_string(answer, keys[i]) != NULL);
		(void)helper_int(answer, keys[i]);
		json_array_foreach(json_object_get(answer, keys[i]), at, o) FUZZ_CHECK(helper_string(o, "sha") != NULL);
	}
}

/* A byte for the program and how it ended, one for the status, then its output, in pieces. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	struct order o = {0};
	struct failure f = {0};
	unsigned how = fuzz_u8(&in);
	struct helper h = {.call = {.program = how & 1 ? HELPER_FORGE : HELPER_GIT, .verb = "push", .seconds = 1000}};
	uint32_t seed = (uint32_t)size;
	json_t *answer CLEAN_JSON = NULL;

	h.began = loop_now(&o.loop);
	h.child = (struct loop_child){.ended = true, .status = how & 2 ? (int)fuzz_u8(&in) % 64 : (int)(fuzz_u8(&in) << 8)};
	o.cancelled = how & 4;
	lines_init(&h.lines, how & 8 ? 4096 : ANSWER_MAX, on_line, &h);
	while (in.len > 0) {
		size_t n = fuzz_piece(&seed, in.len);

		on_out(&h, (const char *)in.p, n);
		in.p += n;
		in.len -= n;
	}
	answer = helper_wait(&o, &h, &f);
	FUZZ_CHECK(answer == NULL || (json_is_true(json_object_get(answer, "ok")) && !o.cancelled));
	if (answer != NULL) {
		use(answer);
		return 0;
	}
	FUZZ_CHECK(f.msg[0] != '\0' && text_is_utf8(f.msg, strlen(f.msg)));
	FUZZ_CHECK(p_enum_name(&p_enum_error_category, (int)f.category) != NULL);
	FUZZ_CHECK(!o.cancelled || f.category == error_category_cancelled);
	FUZZ_CHECK(memchr(f.reason, '\0', sizeof(f.reason)) != NULL);
	return 0;
}
