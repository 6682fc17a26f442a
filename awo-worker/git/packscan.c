/* Counts and sizes of a pack: libgit2's indexer would hold whatever an entry inflates to in memory.
 */
#include "awo-worker/git/packscan.h"

#include <string.h>
#include <zlib.h>

#define TRAILER 20
enum { COMMIT = 1, TREE = 2, BLOB = 3, TAG = 4, OFS_DELTA = 6, REF_DELTA = 7 };

/* A number of 7 bits a byte, least first, as in a delta's head. */
static int
read_size(const unsigned char *p, size_t len, size_t *pos, uint64_t *out)
{
	unsigned shift = 0;

	*out = 0;
	for (; *pos < len && shift < 57; shift += 7) {
		unsigned char c = p[(*pos)++];

		*out |= (uint64_t)(c & 0x7f) << shift;
		if (!(c & 0x80))
			return 0;
	}
	return -1;
}

/* Inflates from p; says how many bytes it took and made, and keeps the first few. */
static const char *
measure(const unsigned char *p, size_t len, uint64_t want, size_t *took, unsigned char *head,
    size_t *nhead)
{
	unsigned char sink[16384];
	z_stream z = {0};
	uint64_t made = 0;
	int r = Z_OK;

	if (inflateInit(&z) != Z_OK)
		return "zlib does not start";
	*took = 0;
	while (r == Z_OK) {
		size_t in = len - *took < 1U << 20 ? len - *took : 1U << 20;
		size_t got;

		/* zlib's interface is older than const; it writes nothing there */
		z.next_in = (unsigned char *)(uintptr_t)(p + *took);
		z.avail_in = (unsigned)in;
		z.next_out = sink;
		z.avail_out = sizeof(sink);
		r = inflate(&z, Z_NO_FLUSH);
		*took += in - z.avail_in;
		got = sizeof(sink) - z.avail_out;
		if (*nhead > made && got > 0) {
			size_t n = *nhead - (size_t)made < got ? *nhead - (size_t)made : got;

			memcpy(head + made, sink, n);
		}
		made += got;
		if (made > want)
			break;
		if (r == Z_BUF_ERROR || (r == Z_OK && in == z.avail_in && got == 0))
			break;
	}
	inflateEnd(&z);
	if (*nhead > made)
		*nhead = (size_t)made;
	return r == Z_STREAM_END && made == want ? NULL
						 : "an object whose data do not match its size";
}

static const char *
scan_entry(const unsigned char *p, size_t end, size_t *pos, const struct packscan_limits *l,
    uint64_t *total, uint64_t *largest)
{
	unsigned char head[24] = {0};
	size_t nhead = sizeof(head), took, at = 0;
	uint64_t size, base = 0, result;
	unsigned type, shift = 4;
	const char *bad;

	if (*pos >= end)
		return "fewer objects than its head says";
	type = p[*pos] >> 4 & 7;
	size = p[*pos] & 15;
	while (p[(*pos)++] & 0x80) {
		if (*pos >= end || shift > 53)
			return "a malformed object";
		size |= (uint64_t)(p[*pos] & 0x7f) << shift;
		shift += 7;
	}
	if (type == REF_DELTA) {
		*pos += 20;
	} else if (type == OFS_DELTA) {
		for (unsigned n = 0; *pos < end && (p[*pos] & 0x80) && n < 9; n++)
			(*pos)++;
		(*pos)++;
	} else if (type != COMMIT && type != TREE && type != BLOB && type != TAG) {
		return "an object of a kind that git does not know";
	}
	if (*pos >= end)
		return "an object that is cut off";
	if (size > l->object_bytes)
		return "an object that is larger than allowed";
	bad = measure(p + *pos, end - *pos, size, &took, head, &nhead);
	if (bad != NULL)
		return bad;
	*pos += took;
	result = size;
	if (type == REF_DELTA || type == OFS_DELTA) {
		if (read_size(head, nhead, &at, &base) < 0 ||
		    read_size(head, nhead, &at, &result) < 0)
			return "a malformed delta";
		if (base > l->object_bytes || result > l->object_bytes)
			return "an object that is larger than allowed";
	}
	if (base > *largest)
		*largest = base;
	if (result > *largest)
		*largest = result;
	*total += result;
	return *total > l->total_bytes ? "objects that together are larger than allowed" : NULL;
}

const char *
packscan(const unsigned char *pack, size_t len, const struct packscan_limits *l,
    struct packscan_found *found)
{
	uint64_t total = 0;
	size_t pos = 12;
	uint32_t n;

	*found = (struct packscan_found){0};
	if (len < 12 + TRAILER || memcmp(pack, "PACK\0\0\0\2", 8) != 0)
		return "no head of a pack of version 2";
	n = (uint32_t)pack[8] << 24 | (uint32_t)pack[9] << 16 | (uint32_t)pack[10] << 8 | pack[11];
	if (n > l->objects)
		return "more objects than allowed";
	for (uint32_t i = 0; i < n; i++) {
		const char *bad = scan_entry(pack, len - TRAILER, &pos, l, &total, &found->largest);

		if (bad != NULL)
			return bad;
	}
	found->objects = n;
	return pos == len - TRAILER ? NULL : "bytes behind its last object";
}
