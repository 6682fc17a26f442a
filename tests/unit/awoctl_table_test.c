/* Tests the layout of tables at widths. */
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/cmocka_all.h"

#include "awoctl/table.h"

static const struct table_column columns[] = {{"ID", false, 0, 0}, {"COUNT", true, 0, 1}, {"PLACE", false, 6, 2},
    {"TEXT", false, 6, 0}};

static char *
print(int width)
{
	struct table *t = table_new(columns, 4);
	struct term term = {.width = width};
	struct buf b = {0};

	table_cell(t, INK_NONE, "wo-1");
	table_cellf(t, INK_NONE, "%d", 7);
	table_cell(t, INK_NONE, "somewhere/else");
	table_cell(t, INK_NONE, "a long text\nwith a \033 in it");
	table_cell(t, INK_NONE, "wo-2");
	table_cellf(t, INK_NONE, "%d", 12345);
	table_cell(t, INK_NONE, "here");
	table_cell(t, INK_NONE, "short");
	table_print(t, &term, &b);
	table_free(t);
	return buf_take(&b);
}

static void
is_wide_without_a_terminal(void **state)
{
	char *text = print(0);

	(void)state;
	assert_string_equal(text,
	    "ID    COUNT  PLACE           TEXT\n"
	    "wo-1      7  somewhere/else  a long text with a \\x1b in it\n"
	    "wo-2  12345  here            short\n");
	free(text);
}

static void
is_cut_to_the_width(void **state)
{
	char *text = print(40);

	(void)state;
	assert_string_equal(text,
	    "ID    COUNT  PLACE         TEXT\n"
	    "wo-1      7  somewhere/e…  a long text …\n"
	    "wo-2  12345  here          short\n");
	free(text);
}

static void
drops_columns_when_cutting_is_not_enough(void **state)
{
	char *text = print(21);

	(void)state;
	assert_string_equal(text,
	    "ID    COUNT  TEXT\n"
	    "wo-1      7  a long …\n"
	    "wo-2  12345  short\n");
	free(text);
}

static void
never_is_wider_than_the_terminal(void **state)
{
	(void)state;
	for (int width = 1; width < 90; width++) {
		char *text = print(width), *rest = text;
		for (char *line; (line = strsep(&rest, "\n"));)
			if (term_columns(line) > (size_t)width)
				fail_msg("width %d: %s", width, line);
		free(text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_wide_without_a_terminal),
		cmocka_unit_test(is_cut_to_the_width),
		cmocka_unit_test(drops_columns_when_cutting_is_not_enough),
		cmocka_unit_test(never_is_wider_than_the_terminal),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
