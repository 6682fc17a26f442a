/* How long a test lets a deadline be that is to pass, or not to pass, by the clock. */
#ifndef TESTS_PATIENCE_H
#define TESTS_PATIENCE_H

#include <stdlib.h>

/* So many seconds, times AWO_TEST_PATIENCE: what runs the tests where every program is slow sets it (scripts/valgrind). */
static inline int
patience(int seconds)
{
	const char *factor = getenv("AWO_TEST_PATIENCE");
	int n = factor != NULL ? atoi(factor) : 1;

	return n > 1 && n < 1000 ? seconds * n : seconds;
}

#endif
