/* What HTTP does to a body on its way: entity tags, and compression where the client takes it. */
#include "awo-gateway/encode.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#define GZIP_WINDOW (15 + 16) /* zlib: a gzip header instead of its own */

void
encode_etag(const void *p, size_t len, char out[ETAG_TEXT])
{
	/* no secret: the same bytes have the same tag everywhere */
	static const unsigned char key[crypto_shorthash_siphashx24_KEYBYTES];
	unsigned char hash[crypto_shorthash_siphashx24_BYTES];
	char hex[2 * sizeof(hash) + 1];

	crypto_shorthash_siphashx24(hash, p, len, key);
	sodium_bin2hex(hex, sizeof(hex), hash, sizeof(hash));
	snprintf(out, ETAG_TEXT, "W/\"%s\"", hex);
}

static const char *
opaque(const char *tag)
{
	return strncmp(tag, "W/", 2) == 0 ? tag + 2 : tag;
}

bool
encode_etag_matches(const char *header, const char *etag)
{
	const char *want = opaque(etag);
	size_t len = strlen(want);

	if (header == NULL)
		return false;
	for (const char *p = header; *p != '\0';) {
		const char *tag;
		size_t n;

		p += strspn(p, " \t,");
		if (*p == '*')
			return true;
		tag = opaque(p);
		n = strcspn(tag, ",");
		while (n > 0 && (tag[n - 1] == ' ' || tag[n - 1] == '\t'))
			n--;
		if (n == len && memcmp(tag, want, len) == 0)
			return true;
		p = tag + strcspn(tag, ",");
	}
	return false;
}

/* The quality that follows a coding's name: 1 when none is given. */
static double
quality(const char *p, size_t len)
{
	for (size_t i = 0; i + 1 < len; i++)
		if ((p[i] == 'q' || p[i] == 'Q') && p[i + 1] == '=')
			return strtod(p + i + 2, NULL);
	return 1;
}

bool
encode_accepts_gzip(const char *header)
{
	bool any = false;

	if (header == NULL)
		return false;
	for (const char *p = header; *p != '\0';) {
		size_t n = strcspn(p, ","), name;

		while (n > 0 && (*p == ' ' || *p == '\t')) {
			p++;
			n--;
		}
		name = strcspn(p, " \t;,");
		if ((name == 4 && strncasecmp(p, "gzip", 4) == 0) ||
		    (name == 6 && strncasecmp(p, "x-gzip", 6) == 0))
			return quality(p + name, n - name) > 0;
		if (name == 1 && *p == '*')
			any = quality(p + name, n - name) > 0;
		p += n + (p[n] == ',');
	}
	return any;
}

bool
encode_gzip(const struct buf *in, struct buf *out)
{
	z_stream z = {0};
	size_t before = out->len;
	bool ok = false;

	if (in->len > UINT32_MAX / 2 ||
	    deflateInit2(&z, Z_BEST_SPEED, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return false;
	/* room for one byte less than there is: more would be no gain */
	buf_reserve(out, in->len);
	z.next_in = (Bytef *)(uintptr_t)in->p;
	z.avail_in = (uInt)in->len;
	z.next_out = (Bytef *)out->p + out->len;
	z.avail_out = (uInt)in->len - 1;
	if (in->len > 1 && deflate(&z, Z_FINISH) == Z_STREAM_END) {
		out->len += z.total_out;
		ok = true;
	}
	deflateEnd(&z);
	if (out->p != NULL)
		out->p[out->len] = '\0';
	return ok && out->len > before;
}
