/* Identifiers from the kernel's random number generator. */
#include "common/ids.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "common/err.h"

static void
fill(void *p, size_t n)
{
	size_t got = 0;

	while (got < n) {
		ssize_t r = getrandom((char *)p + got, n - got, 0);

		/* there is no second source to fall back on, and a guessable id would be worse than
		 * none */
		AWO_ASSERT(r > 0 || errno == EINTR);
		if (r > 0)
			got += (size_t)r;
	}
}

void
ids_hex(char *out, size_t bytes)
{
	static const char hex[] = "0123456789abcdef";
	uint8_t raw[64];

	while (bytes > 0) {
		size_t n = bytes < sizeof raw ? bytes : sizeof raw;

		fill(raw, n);
		for (size_t i = 0; i < n; i++) {
			*out++ = hex[raw[i] >> 4];
			*out++ = hex[raw[i] & 15];
		}
		bytes -= n;
	}
	*out = '\0';
}

void
ids_order(char out[ID_ORDER_LEN + 1])
{
	memcpy(out, "wo-", 3); /* NOLINT(bugprone-not-null-terminated-result): ids_hex() ends it */
	ids_hex(out + 3, 4);
}

bool
ids_is_order(const char *s)
{
	if (!s || strncmp(s, "wo-", 3) != 0)
		return false;
	for (int i = 3; i < ID_ORDER_LEN; i++)
		if (!((s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'f')))
			return false;
	return s[ID_ORDER_LEN] == '\0';
}

void
ids_uuid(char out[37])
{
	uint8_t r[16];

	/* RFC 4122: version 4, variant 1 */
	fill(r, sizeof r);
	r[6] = (uint8_t)((r[6] & 0x0f) | 0x40);
	r[8] = (uint8_t)((r[8] & 0x3f) | 0x80);
	snprintf(out, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
	    r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7], r[8], r[9], r[10], r[11], r[12], r[13],
	    r[14], r[15]);
}
