/* An order's log as clients read it: lines out of a file that anybody may have written to,
 * filtered. */
#include "awod/log_lines.h"

#include <string.h>

#include "common/clean.h"
#include "tests/fuzz/fuzz.h"

struct reading {
	const uint8_t *p;
	size_t len, lines;
	int64_t seq;
	int fd;
	struct buf text;
};

static int
on_line(void *arg, const char *p, size_t len, int64_t seq)
{
	static const char *const levels[] = {"debug", "info", "warning", "error"};
	struct reading *r = arg;
	struct log_filter f = {.step = "planning", .has_since = true, .since = 1};
	json_t *o CLEAN_JSON = log_line_object(p, len, seq);

	FUZZ_CHECK(seq > r->seq && seq <= (int64_t)r->len && r->p[seq - 1] == '\n');
	if (p != NULL)
		FUZZ_CHECK(seq - 1 - (int64_t)len == r->seq && memcmp(p, r->p + r->seq, len) == 0);
	else
		FUZZ_CHECK(len > LOG_LINE_MAX);
	r->seq = seq;
	r->lines++;
	FUZZ_CHECK(json_integer_value(json_object_get(o, "seq")) == seq);
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		f.level = (enum p_log_level)p_enum_value(&p_enum_log_level, levels[i]);
		FUZZ_CHECK(f.level != log_level_none);
		(void)log_filter_match(&f, p, len);
	}
	f = (struct log_filter){0};
	FUZZ_CHECK(!log_filter_active(&f) && log_filter_match(&f, p, len));
	FUZZ_CHECK(log_line_text(p, len, &r->text)[0] != '\0');
	/* one event of a stream is one line */
	FUZZ_CHECK(strchr(r->text.p, '\n') == NULL && strlen(r->text.p) == r->text.len);
	return r->lines % 7 == 0;
}

/* Two bytes say in which portions it is read, the rest is the log. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	size_t budget = (size_t)1 + fuzz_u16(&in);
	struct log_cursor c = {0};
	struct reading r = {.p = in.p, .len = in.len, .fd = fuzz_file(in.p, in.len)};
	size_t newlines = 0;
	struct awo_err err = {0};
	enum log_got got;

	for (size_t i = 0; i < in.len; i++)
		newlines += in.p[i] == '\n';
	do
		got = log_lines(r.fd, &c, (int64_t)in.len, budget, on_line, &r);
	while (got == LOG_MORE);
	FUZZ_CHECK(got == LOG_AT_END && r.lines == newlines && c.pos == r.seq);
	FUZZ_CHECK(log_check_seq(r.fd, c.pos, "seq", &err) == 0);
	buf_free(&r.text);
	return 0;
}
