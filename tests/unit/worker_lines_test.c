/* Lines cut out of a stream: any pieces, any bytes, a limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "awo-worker/lines.h"

struct seen {
	struct buf all; /* every line behind its length and a mark */
	size_t n, longest;
	bool cut;
};

static void
on_line(void *ctx, const char *p, size_t len, bool cut)
{
	struct seen *s = ctx;

	s->n++;
	s->cut |= cut;
	if (len > s->longest)
		s->longest = len;
	if (len < 100) {
		buf_printf(&s->all, "%zu%c", len, cut ? '!' : ':');
		buf_add(&s->all, p, len);
		buf_addc(&s->all, '|');
	}
}

static void
check(const char *text, size_t len, size_t max, const char *want, size_t want_len)
{
	for (size_t piece = 1; piece <= len + 1; piece++) {
		struct seen s = {0};
		struct lines l;

		lines_init(&l, max, on_line, &s);
		for (size_t i = 0; i < len; i += piece)
			lines_feed(&l, text + i, len - i < piece ? len - i : piece);
		lines_end(&l);
		lines_end(&l);
		assert_int_equal(s.all.len, want_len);
		if (want_len > 0)
			assert_memory_equal(s.all.p, want, want_len);
		lines_free(&l);
		buf_free(&s.all);
	}
}

#define CHECK(text, max, want) check(text, sizeof(text) - 1, max, want, sizeof(want) - 1)

static void
any_pieces_give_the_same_lines(void **state)
{
	(void)state;
	CHECK("", 10, "");
	CHECK("\n", 10, "0:|");
	CHECK("one\ntwo\n", 10, "3:one|3:two|");
	CHECK("one\n\n\nno newline", 20, "3:one|0:|0:|10:no newline|");
	CHECK("a\0b\n\xff\xfe\xc3\n", 10, "3:a\0b|3:\xff\xfe\xc3|");
	CHECK("exactlyten\nx\n", 10, "10:exactlyten|1:x|");
}

static void
long_lines_are_cut_and_marked(void **state)
{
	(void)state;
	CHECK("elevenbytes\nnext\n", 10, "10!elevenbyte|4:next|");
	CHECK("abcdefghijklmnopqrstuvwxyz", 5, "5!abcde|");
	CHECK("abcdef\nabcde\nabcdef\n", 5, "5!abcde|5:abcde|5!abcde|");
}

static void
sixteen_mebibytes_pass_and_more_is_cut(void **state)
{
	static char chunk[65536];
	const size_t max = 16U << 20;
	struct seen s = {0};
	struct lines l;

	(void)state;
	memset(chunk, 'x', sizeof(chunk));
	lines_init(&l, max, on_line, &s);
	for (size_t i = 0; i < max; i += sizeof(chunk))
		lines_feed(&l, chunk, sizeof(chunk));
	lines_feed(&l, "\n", 1);
	assert_int_equal(s.longest, max);
	assert_false(s.cut);
	for (size_t i = 0; i < 2 * max; i += sizeof(chunk))
		lines_feed(&l, chunk, sizeof(chunk));
	/* never more is held than a line may have, however long it goes on */
	assert_true(l.held.cap <= 2 * max + 1);
	lines_feed(&l, "\nshort\n", 7);
	assert_true(s.cut);
	assert_int_equal(s.longest, max);
	assert_int_equal(s.n, 3);
	/* and it is given back afterwards */
	assert_true(l.held.cap < 1U << 20);
	lines_free(&l);
	buf_free(&s.all);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(any_pieces_give_the_same_lines),
	    cmocka_unit_test(long_lines_are_cut_and_marked),
	    cmocka_unit_test(sixteen_mebibytes_pass_and_more_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
