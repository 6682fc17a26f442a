/* The growing buffer and the allocation functions. */
#include "cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clean.h"

static void
grows_and_stays_terminated(void **state)
{
	CLEAN_BUF struct buf b = {0};

	(void)state;
	for (size_t i = 0; i < 5000; i++) {
		buf_addc(&b, (char)('a' + i % 26));
		assert_int_equal(b.len, i + 1);
		assert_true(b.cap > b.len);
		assert_int_equal(b.p[b.len], '\0');
	}
	for (size_t i = 0; i < 5000; i++)
		assert_int_equal(b.p[i], 'a' + (int)(i % 26));
}

static void
prints_any_length(void **state)
{
	(void)state;
	/* around the size that the first attempt has room for */
	for (int width = 0; width < 400; width++) {
		CLEAN_BUF struct buf b = {0};

		buf_adds(&b, "<");
		buf_printf(&b, "%*s>", width, "");
		assert_int_equal(b.len, (size_t)width + 2);
		assert_int_equal(strlen(b.p), b.len);
		assert_int_equal(b.p[b.len - 1], '>');
	}
}

static void
drains(void **state)
{
	CLEAN_BUF struct buf b = {0};

	(void)state;
	buf_drain(&b, 3);
	buf_adds(&b, "abcdef");
	buf_drain(&b, 0);
	buf_drain(&b, 2);
	assert_string_equal(b.p, "cdef");
	assert_int_equal(b.len, 4);
	buf_drain(&b, 100);
	assert_string_equal(b.p, "");
	assert_int_equal(b.len, 0);
}

static void
takes(void **state)
{
	struct buf b = {0};
	CLEAN_FREE char *empty = buf_take(&b), *full = NULL;

	(void)state;
	assert_string_equal(empty, "");
	buf_add(&b, "a\0b", 3);
	full = buf_take(&b);
	assert_memory_equal(full, "a\0b", 4);
	assert_null(b.p);
	assert_int_equal(b.len + b.cap, 0);
	buf_free(&b);
}

static void
copies(void **state)
{
	CLEAN_FREE char *s = xstrndup("abc", 2), *all = xstrndup("abc", 9),
			*f = xasprintf("%d-%s", 4, "x");
	CLEAN_FREE char *none = xcalloc(0, 0);

	(void)state;
	assert_string_equal(s, "ab");
	assert_string_equal(all, "abc");
	assert_string_equal(f, "4-x");
	assert_null(xstrdup(NULL));
	assert_non_null(none);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(grows_and_stays_terminated),
	    cmocka_unit_test(prints_any_length),
	    cmocka_unit_test(drains),
	    cmocka_unit_test(takes),
	    cmocka_unit_test(copies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
