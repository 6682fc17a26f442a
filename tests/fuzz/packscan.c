/* Packs out of an agent's sandbox, as they are and with their data compressed for them. */
#include "awo-worker/git/packscan.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "common/clean.h"
#include "tests/fuzz/fuzz.h"

static const struct packscan_limits limits = {
    .objects = 1000, .object_bytes = 1U << 20, .total_bytes = 4U << 20};

static void
scan(const void *p, size_t len)
{
	/* exactly as large as it is: the target's input has a byte before it */
	unsigned char *copy CLEAN_FREE = xcalloc(len, 1);
	struct packscan_found found;

	if (len > 0)
		memcpy(copy, p, len);
	(void)packscan(copy, len, &limits, &found);
	FUZZ_CHECK(found.objects <= limits.objects && found.largest <= limits.object_bytes);
}

/*
 * A checksum stands behind compressed data, which no chance finds: entries are made from "bytes
 * before the data, their number first" and "data, its length first".
 */
static void
make(struct fuzz_in *in)
{
	CLEAN_BUF struct buf b = {0};
	static const char trailer[20];
	unsigned n = 0;

	buf_add(&b, "PACK\0\0\0\2\0\0\0\0", 12);
	for (; in->len > 0 && n < 200; n++) {
		size_t head = fuzz_u8(in) % 40, body;
		unsigned char out[4096];
		uLongf made = sizeof(out);

		head = head < in->len ? head : in->len;
		buf_add(&b, in->p, head);
		in->p += head;
		in->len -= head;
		body = fuzz_u16(in) % 2048;
		body = body < in->len ? body : in->len;
		FUZZ_CHECK(compress2(out, &made, in->p, body, 1) == Z_OK);
		buf_add(&b, out, made);
		in->p += body;
		in->len -= body;
	}
	b.p[11] = (char)n;
	buf_add(&b, trailer, sizeof(trailer));
	scan(b.p, b.len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};

	if (fuzz_u8(&in) % 2 == 0)
		scan(in.p, in.len);
	else
		make(&in);
	return 0;
}
