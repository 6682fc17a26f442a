/* What HTTP does to a body on its way: entity tags, and compression where the client takes it. */
#ifndef GATEWAY_ENCODE_H
#define GATEWAY_ENCODE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"

#define ETAG_TEXT 40 /* bytes that encode_etag() needs */

/* A weak tag of these bytes, the same in every gateway: W/"32 hexadecimal digits". */
void encode_etag(const void *p, size_t len, char out[ETAG_TEXT]);
/* Whether a header If-None-Match names the tag (weak comparison), or is "*". */
bool encode_etag_matches(const char *header, const char *etag);
/* Whether Accept-Encoding lets gzip through. NULL: no. */
bool encode_accepts_gzip(const char *header);
/* Appends the compressed bytes of in to out; false, and nothing appended, when that failed or made
 * them no fewer. */
bool encode_gzip(const struct buf *in, struct buf *out);

#endif
