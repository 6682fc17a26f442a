/* The public socket's bytes: frames whole and in pieces, every type decoded, answers and requests.
 */
#include "proto/msgpack.h"

#include <stdlib.h>
#include <string.h>

#include "proto/scan.h"
#include "tests/fuzz/fuzz.h"

static bool
same_slice(struct p_slice a, const uint8_t *base_a, struct p_slice b, const uint8_t *base_b)
{
	if (a.p == NULL || b.p == NULL)
		return a.p == b.p;
	return a.p - base_a == b.p - base_b && a.len == b.len;
}

/* Bytes that arrive in pieces, in memory that moves, are the message that they are at once. */
static void
in_pieces(const uint8_t *p, size_t len, ssize_t n, const struct p_frame *f, uint32_t seed)
{
	struct p_scan scan = {0};
	struct p_frame g = {0};
	struct awo_err err = {0};
	ssize_t m = 0;
	size_t have = 0;

	while (m == 0 && have < len) {
		uint8_t *copy;
		bool have_id;
		uint32_t id;

		have += fuzz_piece(&seed, len - have);
		copy = xcalloc(have, 1);
		memcpy(copy, p, have);
		m = p_frame_resume(&scan, copy, have, &g, &have_id, &id, &err);
		FUZZ_CHECK(m <= (ssize_t)have);
		if (m > 0) {
			FUZZ_CHECK(g.kind == f->kind && g.id == f->id);
			FUZZ_CHECK(same_slice(g.param, copy, f->param, p));
			FUZZ_CHECK(same_slice(g.error, copy, f->error, p));
			FUZZ_CHECK(same_slice(g.result, copy, f->result, p));
		}
		free(copy);
	}
	/* one that is wrong is looked at only when as much has come as it needs at least */
	FUZZ_CHECK(m == n || (n < 0 && m == 0 && scan.need > len));
}

/* What was accepted can be said again, and means the same. */
static void
say_again(const struct p_type *type, const void *obj)
{
	CLEAN_BUF struct buf one = {0}, two = {0};
	struct awo_err err = {0};
	void *copy = xcalloc(1, type->size);

	p_encode_value(&one, type, obj);
	if (one.len <= P_MESSAGE_MAX) {
		FUZZ_CHECK(m_skip((uint8_t *)one.p, one.len) == one.len);
		FUZZ_CHECK(
		    p_decode(type, copy, (struct p_slice){(uint8_t *)one.p, one.len}, &err) == 0);
		p_encode_value(&two, type, copy);
		FUZZ_CHECK(one.len == two.len && memcmp(one.p, two.p, one.len) == 0);
		p_free(type, copy);
	}
	free(copy);
}

static void
decode(const struct p_type *type, struct p_slice s)
{
	void *obj = xcalloc(1, type->size);
	struct awo_err err = {0};
	json_t *tree;

	if (p_decode(type, obj, s, &err) == 0) {
		say_again(type, obj);
		tree = p_to_json(type, obj);
		FUZZ_CHECK(tree != NULL);
		json_decref(tree);
		p_free(type, obj);
	} else {
		FUZZ_CHECK(err.code != AWO_OK && err.msg[0] != '\0');
	}
	memset(obj, 0xa5, type->size);
	if (p_decode_answer(type, obj, s, &err) == 0) {
		CLEAN_BUF struct buf b = {0};

		p_encode_value(&b, type, obj);
		p_free(type, obj);
	}
	free(obj);
	tree = p_decode_any(s, &err);
	json_decref(tree);
}

static void
frame(const struct p_frame *f, const struct p_type *type)
{
	const struct p_method *m = NULL;
	struct awo_err err = {0};

	if (f->method != NULL)
		m = p_method_find(f->method, f->method_len);
	if (f->param.p != NULL) {
		decode(type, f->param);
		if (m != NULL)
			decode(m->request, f->param);
	}
	if (f->result.p != NULL)
		decode(type, f->result);
	if (f->error.p != NULL) {
		p_decode_error(f->error, &err);
		FUZZ_CHECK(err.code != AWO_OK);
	}
}

/* Two bytes choose a type and the pieces, the rest is what the peer sends. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	size_t ntypes, whole;
	const struct p_type *const *types = p_types(&ntypes);
	unsigned chosen = fuzz_u16(&in);
	const struct p_type *type = types[chosen % ntypes];
	struct awo_err err = {0};
	struct p_frame f = {0};
	bool have_id;
	uint32_t id;
	ssize_t n;

	n = p_frame_scan(in.p, in.len, &f, &have_id, &id, &err);
	FUZZ_CHECK(n <= (ssize_t)in.len);
	FUZZ_CHECK(n >= 0 || err.code != AWO_OK);
	in_pieces(in.p, in.len, n, &f, chosen);
	if (n > 0)
		frame(&f, type);
	/* a value without a frame around it */
	whole = m_skip(in.p, in.len);
	FUZZ_CHECK(whole <= in.len);
	if (whole > 0)
		decode(type, (struct p_slice){in.p, whole});
	return 0;
}
