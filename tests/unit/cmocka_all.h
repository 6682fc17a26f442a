/* cmocka with the headers that it wants before itself. */
#ifndef TESTS_CMOCKA_ALL_H
#define TESTS_CMOCKA_ALL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#ifdef __clang_analyzer__
/* cmocka's assertions do not say that a failure leaves the test, so the analyzer would go on behind it */
#undef assert_true
#undef assert_null
#undef assert_non_null
#undef fail_msg
#define assert_true(c) do { if (!(c)) __builtin_trap(); } while (0)
#define assert_null(c) assert_true((c) == NULL)
#define assert_non_null(c) assert_true((c) != NULL)
#define fail_msg(...) do { print_error(__VA_ARGS__); __builtin_trap(); } while (0)
#endif

#endif
