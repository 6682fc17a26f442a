/* The msgpack-rpc codec: bytes to structs and back, by the tables of types.def. */
#ifndef PROTO_MSGPACK_H
#define PROTO_MSGPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/buf.h"
#include "common/err.h"
#include "proto/schema.h"

#define P_MESSAGE_MAX (4U << 20) /* bytes of one message */
#define P_NESTING_MAX 32

/* A msgpack value inside somebody's buffer; not owned. */
struct p_slice {
	const uint8_t *p;
	size_t len;
};

enum p_frame_kind { P_FRAME_REQUEST = 0, P_FRAME_RESPONSE = 1, P_FRAME_NOTIFY = 2 };

/* One message, split but not decoded; the slices point into the caller's bytes. */
struct p_frame {
	enum p_frame_kind kind;
	uint32_t id;			/* request, response */
	const char *method;		/* request, notify: not NUL-terminated */
	size_t method_len;
	struct p_slice param;		/* request, notify: the one map ({NULL, 0} for an empty params array) */
	struct p_slice error;		/* response: {NULL, 0} when nil */
	struct p_slice result;		/* response */
};

/*
 * Finds the end of the first message in the bytes and splits it.
 * Returns its length; 0 when more bytes are needed; -1 with *err set when it is malformed or too large (*have_id says
 * whether *id is known, so that the peer can be told).
 */
ssize_t p_frame_scan(const uint8_t *p, size_t len, struct p_frame *f, bool *have_id, uint32_t *id, struct awo_err *err);

/*
 * The same for a message that arrives in pieces: goes on where it stopped, so that the work is linear however small the
 * pieces are. p is the message's first byte each time; the bytes seen before may have moved, but not changed. Starts
 * anew by itself after a message or an error. Zero-initialised is empty.
 */
struct p_scan {
	size_t pos;			/* first byte not looked at */
	size_t need;			/* the message is at least so long */
	size_t pending;			/* values that must still come */
	size_t begin[4];		/* where the message's own values begin */
	unsigned nbegin, count, depth;
	uint32_t left[P_NESTING_MAX];	/* values still to come in each open array and map */
	uint32_t is_map;		/* a bit for each level */
	bool have_id;
	uint32_t id;
};
ssize_t p_frame_resume(struct p_scan *s, const uint8_t *p, size_t len, struct p_frame *f, bool *have_id, uint32_t *id,
    struct awo_err *err);

/* Decodes a map into an uninitialised struct. On failure nothing is left to free. Unknown keys are ignored. */
int p_decode(const struct p_type *type, void *obj, struct p_slice map, struct awo_err *err);
/*
 * The same for what a daemon sent, which may be older or newer than its reader: values of a wrong type are refused, but
 * fields may be missing, limits are not checked, and unknown enumeration values leave their field unset.
 */
int p_decode_answer(const struct p_type *type, void *obj, struct p_slice map, struct awo_err *err);
/* Decodes any value to a jansson tree (new reference), or NULL with *err set. */
json_t *p_decode_any(struct p_slice value, struct awo_err *err);

/*
 * Append whole messages to a buffer. An answer that would be larger than P_MESSAGE_MAX becomes a resource_exhausted
 * error, because no reader would take it.
 */
void p_encode_request(struct buf *b, uint32_t id, const char *method, const struct p_type *type, const void *obj);
/* The same with the key auth in its map (on_behalf in types.def); auth NULL: without. */
void p_encode_request_as(struct buf *b, uint32_t id, const char *method, const struct p_type *type, const void *obj,
    const char *auth);
void p_encode_answer(struct buf *b, uint32_t id, const struct p_type *type, const void *obj);
void p_encode_error(struct buf *b, uint32_t id, const struct awo_err *err);	/* {code, message, field?, errors?} */
void p_encode_notify(struct buf *b, const char *method, const struct p_type *type, const void *obj);
void p_encode_value(struct buf *b, const struct p_type *type, const void *obj);	/* the bare map */
/* The error map of a response, as sent by p_encode_error. */
void p_decode_error(struct p_slice error, struct awo_err *err);

#endif
