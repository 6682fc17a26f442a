/* The end and the parts of a message, found without allocating anything or believing its counts. */
#include "proto/scan.h"

#include <string.h>

#include "proto/msgpack.h"

static uint64_t
big_endian(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++)
		v = v << 8 | p[i];
	return v;
}

static void
set_uint(struct m_head *h, uint64_t v)
{
	h->kind = v <= INT64_MAX ? M_INT : M_UINT;
	h->i = v <= INT64_MAX ? (int64_t)v : 0;
	h->u = v;
}

static int
set_count(struct m_head *h, enum m_kind kind, uint64_t n)
{
	h->kind = kind;
	h->n = (uint32_t)n;
	return 1;
}

/* The bytes from 0xc0 to 0xdf, all of whose arguments are there. */
static int
long_head(const uint8_t *p, struct m_head *h)
{
	uint64_t v = big_endian(p + 1, h->size - 1);
	uint32_t bits;
	float single;

	switch (p[0]) {
	case 0xc0:
		h->kind = M_NIL;
		return 1;
	case 0xc2:
	case 0xc3:
		h->kind = M_BOOL;
		h->yes = p[0] == 0xc3;
		return 1;
	case 0xc4:
	case 0xc5:
	case 0xc6:
		return set_count(h, M_BIN, v);
	case 0xca:
		bits = (uint32_t)v;
		memcpy(&single, &bits, sizeof single);
		h->kind = M_DBL;
		h->d = (double)single;
		return 1;
	case 0xcb:
		memcpy(&h->d, &v, sizeof h->d);
		h->kind = M_DBL;
		return 1;
	case 0xcc:
	case 0xcd:
	case 0xce:
	case 0xcf:
		set_uint(h, v);
		return 1;
	case 0xd0:
		h->kind = M_INT;
		h->i = (int8_t)v; /* NOLINT(bugprone-signed-char-misuse): the sign is meant */
		return 1;
	case 0xd1:
		h->kind = M_INT;
		h->i = (int16_t)v;
		return 1;
	case 0xd2:
		h->kind = M_INT;
		h->i = (int32_t)v;
		return 1;
	case 0xd3:
		h->kind = M_INT;
		h->i = (int64_t)v;
		return 1;
	case 0xd9:
	case 0xda:
	case 0xdb:
		return set_count(h, M_STR, v);
	case 0xdc:
	case 0xdd:
		return set_count(h, M_ARRAY, v);
	case 0xde:
	case 0xdf:
		return set_count(h, M_MAP, v);
	default:
		return -1;
	}
}

int
m_head(const uint8_t *p, size_t len, struct m_head *h)
{
	/* bytes that follow 0xc0 to 0xdf; 255: never used, or an extension type */
	static const uint8_t follow[32] = {0, 255, 0, 0, 1, 2, 4, 255, 255, 255, 4, 8, 1, 2, 4, 8,
	    1, 2, 4, 8, 255, 255, 255, 255, 255, 1, 2, 4, 2, 4, 2, 4};
	uint8_t b;

	if (len == 0)
		return 0;
	b = p[0];
	h->size = 1;
	if (b <= 0x7f || b >= 0xe0) {
		h->kind = M_INT;
		h->i = (int8_t)b; /* NOLINT(bugprone-signed-char-misuse): the sign is meant */
		return 1;
	}
	if (b <= 0x8f)
		return set_count(h, M_MAP, b & 0x0f);
	if (b <= 0x9f)
		return set_count(h, M_ARRAY, b & 0x0f);
	if (b <= 0xbf)
		return set_count(h, M_STR, b & 0x1f);
	if (follow[b - 0xc0] == 255)
		return -1;
	h->size += follow[b - 0xc0];
	if (len < h->size)
		return 0;
	return long_head(p, h);
}

size_t
m_skip(const uint8_t *p, size_t len)
{
	size_t pos = 0, pending = 1;

	while (pending > 0) {
		struct m_head h;

		if (m_head(p + pos, len - pos, &h) <= 0)
			return 0;
		pos += h.size;
		pending--;
		if (h.kind == M_STR || h.kind == M_BIN) {
			if (h.n > len - pos)
				return 0;
			pos += h.n;
		} else if (h.kind == M_ARRAY || h.kind == M_MAP) {
			pending += (size_t)h.n * (h.kind == M_MAP ? 2 : 1);
			if (pending > len - pos)
				return 0;
		}
	}
	return pos;
}

#define BAD(err, ...) ERR(err, INVALID_ARGUMENT, "", "malformed message: " __VA_ARGS__)

static int
too_large(struct awo_err *err)
{
	return ERR(
	    err, RESOURCE_EXHAUSTED, "", "the message is larger than %u bytes", P_MESSAGE_MAX);
}

/* One of the first two values of a message: which kind it is, and its id, as soon as they are
 * there. */
static int
note_head(struct p_scan *s, const struct m_head *h, struct awo_err *err)
{
	if (s->nbegin == 1) {
		if (h->kind != M_INT || h->i < 0 || h->i > P_FRAME_NOTIFY)
			return BAD(err, "the first item must be 0, 1 or 2");
		if (s->count != (h->i == P_FRAME_NOTIFY ? 3 : 4))
			return BAD(err, "a request and a response have 4 items, a notification 3");
	} else if (s->nbegin == 2 && s->count == 4) {
		if (h->kind != M_INT || h->i < 0 || h->i > UINT32_MAX)
			return BAD(err, "the id must be a number between 0 and 4294967295");
		s->have_id = true;
		s->id = (uint32_t)h->i;
	}
	return 0;
}

/* Takes note of one value's head; the message is complete when nothing is pending. */
static int
step(struct p_scan *s, const struct m_head *h, struct awo_err *err)
{
	bool key;

	if (s->depth == 0) {
		if (h->kind != M_ARRAY || (h->n != 3 && h->n != 4))
			return BAD(err, "it must be an array of 3 or 4 items (msgpack-rpc)");
		s->count = h->n;
	} else {
		if (s->depth == 1) {
			s->begin[s->nbegin++] = s->pos;
			if (note_head(s, h, err) < 0)
				return -1;
		}
		/* in a map keys are at hand when an even number of values is to come */
		key = (s->is_map >> (s->depth - 1) & 1) && s->left[s->depth - 1] % 2 == 0;
		if (key && h->kind != M_STR)
			return BAD(err, "the keys of maps must be strings");
		s->left[s->depth - 1]--;
		s->pending--;
	}
	s->pos += h->size;
	if (h->kind == M_STR || h->kind == M_BIN) {
		s->pos += h->n;
	} else if (h->kind == M_ARRAY || h->kind == M_MAP) {
		uint64_t n = (uint64_t)h->n * (h->kind == M_MAP ? 2 : 1);

		if (n > P_MESSAGE_MAX)
			return too_large(err);
		if (n > 0 && s->depth == P_NESTING_MAX)
			return BAD(err, "it is nested more than %d levels deep", P_NESTING_MAX);
		if (n > 0) {
			s->left[s->depth] = (uint32_t)n;
			s->is_map &= ~(UINT32_C(1) << s->depth);
			s->is_map |= (h->kind == M_MAP ? UINT32_C(1) : 0) << s->depth;
			s->depth++;
		}
		s->pending += n;
	}
	while (s->depth > 0 && s->left[s->depth - 1] == 0)
		s->depth--;
	/* each pending value takes a byte at least, so this also bounds every count */
	s->need = s->pos + s->pending;
	if (s->need > P_MESSAGE_MAX)
		return too_large(err);
	return 0;
}

_Static_assert(P_NESTING_MAX <= 32, "is_map has a bit for each level");

/* params: an array of no or one map, or the map itself. */
static int
split_params(const uint8_t *p, size_t len, struct p_slice *param, struct awo_err *err)
{
	struct m_head h;

	(void)m_head(p, len, &h); /* scanned already */
	if (h.kind == M_ARRAY && h.n == 0) {
		*param = (struct p_slice){NULL, 0};
		return 0;
	}
	if (h.kind == M_ARRAY && h.n == 1) {
		p += h.size;
		len -= h.size;
		(void)m_head(p, len, &h);
	} else if (h.kind == M_ARRAY) {
		return BAD(err, "the parameters must be one map");
	}
	if (h.kind != M_MAP)
		return BAD(err, "the parameters must be a map");
	*param = (struct p_slice){p, len};
	return 0;
}

static int
split_call(const struct p_scan *s, const uint8_t *p, unsigned first, struct p_frame *f,
    struct awo_err *err)
{
	size_t method = s->begin[first], params = s->begin[first + 1];
	struct m_head h;

	(void)m_head(p + method, params - method, &h);
	if (h.kind != M_STR)
		return BAD(err, "the method must be a string");
	f->method = (const char *)p + method + h.size;
	f->method_len = h.n;
	return split_params(p + params, s->pos - params, &f->param, err);
}

static int
split(const struct p_scan *s, const uint8_t *p, struct p_frame *f, struct awo_err *err)
{
	struct m_head h;

	*f = (struct p_frame){.id = s->id};
	(void)m_head(p + s->begin[0], s->pos - s->begin[0], &h);
	f->kind = (enum p_frame_kind)h.i;
	if (f->kind == P_FRAME_NOTIFY)
		return split_call(s, p, 1, f, err);
	if (f->kind == P_FRAME_REQUEST)
		return split_call(s, p, 2, f, err);
	if (p[s->begin[2]] != 0xc0)
		f->error = (struct p_slice){p + s->begin[2], s->begin[3] - s->begin[2]};
	f->result = (struct p_slice){p + s->begin[3], s->pos - s->begin[3]};
	return 0;
}

ssize_t
p_frame_resume(struct p_scan *s, const uint8_t *p, size_t len, struct p_frame *f, bool *have_id,
    uint32_t *id, struct awo_err *err)
{
	ssize_t done = -1;
	int rc = 0;

	*have_id = s->have_id;
	*id = s->id;
	if (len < s->need)
		return 0;
	while (s->pos == 0 || s->pending > 0) {
		struct m_head h;
		int got;

		if (s->pos >= len)
			return 0;
		got = m_head(p + s->pos, len - s->pos, &h);
		if (got == 0)
			return 0;
		rc = got < 0
			 ? BAD(err, "byte 0x%02x begins no value that is accepted here", p[s->pos])
			 : step(s, &h, err);
		*have_id = s->have_id;
		*id = s->id;
		if (rc < 0)
			break;
	}
	if (rc == 0 && s->pos > len)
		return 0; /* the content of the last string is still to come */
	if (rc == 0 && split(s, p, f, err) == 0)
		done = (ssize_t)s->pos;
	*s = (struct p_scan){0};
	return done;
}

ssize_t
p_frame_scan(const uint8_t *p, size_t len, struct p_frame *f, bool *have_id, uint32_t *id,
    struct awo_err *err)
{
	struct p_scan s = {0};

	return p_frame_resume(&s, p, len, f, have_id, id, err);
}
