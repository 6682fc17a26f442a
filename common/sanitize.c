/* Tells AddressSanitizer, in programs that run confined, to leave leaks to the unit tests: their search needs ptrace. */
const char *__asan_default_options(void);

const char *
__asan_default_options(void)
{
	return "detect_leaks=0";
}
