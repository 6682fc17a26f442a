/* The standard output of one kind of agent (FUZZ_ADAPTER): cut into lines, understood, written to
 * the order's log. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "awo-worker/agent.h"
#include "awo-worker/agents/adapter.h"
#include "awo-worker/journal.h"
#include "awo-worker/lines.h"
#include "common/clean.h"
#include "tests/fuzz/fuzz.h"

struct run {
	struct agent_stream stream;
	struct lines lines;
	size_t items, cut;
};

static void
on_item(void *ctx, const struct agent_item *item)
{
	struct run *r = ctx;
	json_t *text CLEAN_JSON = journal_text(item->text, item->len, 100);
	char *input CLEAN_FREE = NULL;

	FUZZ_CHECK(json_is_string(text) && json_string_length(text) <= 100);
	if (item->input != NULL) {
		input = json_dumps(item->input, JSON_COMPACT | JSON_ENCODE_ANY);
		FUZZ_CHECK(input != NULL);
	}
	if (item->kind == AGENT_TOOL_USE)
		FUZZ_CHECK(item->tool != NULL);
	r->items++;
}

static void
on_line(void *ctx, const char *p, size_t len, bool cut)
{
	struct run *r = ctx;

	FUZZ_CHECK(memchr(p, '\n', len) == NULL && len <= r->lines.max);
	r->cut += cut;
	if (!cut || strcmp(FUZZ_ADAPTER.name, "command") == 0)
		FUZZ_ADAPTER.line(&r->stream, p, len);
	FUZZ_CHECK(r->stream.text.len <= AGENT_TEXT_MAX);
	FUZZ_CHECK(r->stream.usage.input_tokens >= 0 && r->stream.usage.output_tokens >= 0);
}

static void
play(struct run *r, const uint8_t *p, size_t len, size_t max, bool pieces)
{
	uint32_t seed = (uint32_t)len;

	r->stream.item = on_item;
	r->stream.ctx = r;
	lines_init(&r->lines, max, on_line, r);
	for (size_t at = 0; at < len;) {
		size_t n = pieces ? fuzz_piece(&seed, len - at) : len - at;
		char *piece = xcalloc(n, 1);

		memcpy(piece, p + at, n);
		lines_feed(&r->lines, piece, n);
		free(piece);
		at += n;
	}
	lines_end(&r->lines);
}

static void
judge(const struct run *r, const char *words)
{
	static const struct {
		bool signaled;
		int code;
	} ends[] = {{false, 0}, {false, 1}, {false, 143}, {true, 9}};

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		struct agent_exit e = {ends[i].signaled, ends[i].code, words};
		struct agent_verdict v = {0};

		FUZZ_ADAPTER.verdict(&r->stream, &e, &v);
		FUZZ_CHECK(v.ok || v.failure.category != error_category_none);
		FUZZ_CHECK(v.ok || v.failure.msg[0] != '\0');
		FUZZ_CHECK(!v.ok || (!e.signaled && e.code == 0));
	}
}

/* An id of a session becomes an argument of the next start. */
static void
resume(const struct run *r)
{
	struct p_strv args = {0}, argv = {0};
	struct agent_request q = {.program = "agent", .session = r->stream.session, .args = &args};

	if (r->stream.session[0] == '\0')
		return;
	FUZZ_CHECK(r->stream.session[0] != '-' && strchr(r->stream.session, '/') == NULL);
	FUZZ_ADAPTER.argv(&q, &argv);
	FUZZ_CHECK(argv.n > 0);
	p_strv_free(&argv);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct run whole = {0}, pieces = {0}, narrow = {0};
	char *words = xcalloc(size + 1, 1);

	if (size > 0)
		memcpy(words, data, size);
	play(&whole, data, size, AGENT_LINE_MAX, false);
	play(&pieces, data, size, AGENT_LINE_MAX, true);
	/* as far as lines go that are longer than is allowed */
	play(&narrow, data, size, 100, true);
	FUZZ_CHECK(whole.items == pieces.items && whole.cut == pieces.cut);
	FUZZ_CHECK(whole.stream.results == pieces.stream.results);
	FUZZ_CHECK(whole.stream.malformed == pieces.stream.malformed);
	FUZZ_CHECK(strcmp(whole.stream.session, pieces.stream.session) == 0);
	FUZZ_CHECK(whole.stream.text.len == pieces.stream.text.len);
	judge(&whole, words);
	judge(&narrow, words);
	resume(&whole);
	for (size_t i = 0; i < 3; i++) {
		struct run *r = i == 0 ? &whole : i == 1 ? &pieces : &narrow;

		lines_free(&r->lines);
		agent_stream_free(&r->stream);
	}
	free(words);
	return 0;
}
