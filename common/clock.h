/* Time: a monotonic clock for deadlines, wall time as microseconds since 1970, and its RFC 3339 form. */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLOCK_TEXT 32 /* bytes that clock_format() needs */

int64_t clock_mono_us(void);
int64_t clock_wall_us(void);
/* "2026-01-31T08:00:00.000000Z" into buf of CLOCK_TEXT bytes; returns buf. */
const char *clock_format(int64_t wall_us, char *buf);
/* RFC 3339 with any offset and 0 to 9 fractional digits, or whole seconds since 1970. */
bool clock_parse(const char *text, int64_t *wall_us);
/* "90", "90s", "15m", "2h", "7d": seconds. */
bool clock_parse_duration(const char *text, int64_t *seconds);

#endif
