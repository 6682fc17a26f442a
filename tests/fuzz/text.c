/* The small readers that others are made of: times, durations, ids, text of unknown origin. */
#include "common/text.h"

#include <stdlib.h>
#include <string.h>

#include "common/clean.h"
#include "common/clock.h"
#include "common/ids.h"
#include "tests/fuzz/fuzz.h"

static void
times(const char *s)
{
	char shown[CLOCK_TEXT];
	int64_t us, again, seconds;

	if (clock_parse(s, &us)) {
		(void)clock_format(us, shown);
		FUZZ_CHECK(strnlen(shown, sizeof(shown)) < sizeof(shown));
		/* what has a year of four digits can be read again */
		if (strlen(shown) == strlen("2026-01-31T08:00:00.000000Z") && shown[4] == '-')
			FUZZ_CHECK(clock_parse(shown, &again) && again == us);
	}
	(void)clock_parse_duration(s, &seconds);
}

/* One byte is a length, the rest the text. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const words[] = {"planning", "execute", "commit", "create-pr", NULL};
	struct fuzz_in in = {data, size};
	size_t max = fuzz_u8(&in);
	const char *p = (const char *)in.p;
	size_t len = in.len;
	CLEAN_BUF struct buf b = {0};
	char slug[300], *s CLEAN_FREE = fuzz_until(&in, 0, NULL);

	text_add_utf8(&b, p, len, max);
	FUZZ_CHECK(b.len <= max && (b.len == 0 || text_is_utf8(b.p, b.len)));
	if (text_is_utf8(p, len) && len <= max)
		FUZZ_CHECK(b.len == len && (len == 0 || memcmp(b.p, p, len) == 0));
	text_slug(s, max > 4 ? max : 4, slug);
	FUZZ_CHECK(strlen(slug) > 0 && strlen(slug) <= (max > 4 ? max : 4));
	FUZZ_CHECK(strspn(slug, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(slug));
	(void)text_nearest(s, words);
	if (ids_is_order(s))
		FUZZ_CHECK(strlen(s) == ID_ORDER_LEN && strncmp(s, "wo-", 3) == 0);
	times(s);
	return 0;
}
