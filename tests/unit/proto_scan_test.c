/* The scanner: whole messages, cut ones, in pieces, and bytes that want to do harm. */
#include "cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#include "common/clean.h"
#include "proto/msgpack.h"
#include "proto/scan.h"
#include "proto_fill.h"

/* Scans a copy of exactly the right size, so that a read beyond the end is seen. */
static ssize_t
scan(const void *p, size_t len, struct p_frame *f, bool *have_id, uint32_t *id, struct awo_err *e)
{
	uint8_t *copy = malloc(len ? len : 1);
	ssize_t rc;

	if (len > 0)
		memcpy(copy, p, len);
	rc = p_frame_scan(copy, len, f, have_id, id, e);
	free(copy);
	return rc;
}

static void
expect_bad(const char *bytes, size_t len, const char *says, bool id_known)
{
	struct awo_err e = {0};
	struct p_frame f;
	bool have_id;
	uint32_t id;
	ssize_t rc = scan(bytes, len, &f, &have_id, &id, &e);

	if (rc != -1 || !strstr(e.msg, says) || have_id != id_known)
		fail_msg("%zd, \"%s\" does not say \"%s\", id %d", rc, e.msg, says, have_id);
}
#define BAD(bytes, says, id_known) expect_bad(bytes, sizeof(bytes) - 1, says, id_known)

static void
refuses_bombs(void **state)
{
	(void)state;
	BAD("\xdd\xff\xff\xff\xff", "array of 3 or 4", false);
	BAD("\xdf\xff\xff\xff\xff", "array of 3 or 4", false);
	BAD("\x94\x00\x01\xa1m\x91\xdd\xff\xff\xff\xff", "larger than", true);
	BAD("\x94\x00\x01\xa1m\x91\xdf\xff\xff\xff\xff", "larger than", true);
	BAD("\x94\x00\x01\xdb\xff\xff\xff\xff", "larger than", true);
	BAD("\x94\x00\x01\xc6\xff\xff\xff\xff", "larger than", true);
	/* 4 MiB and a little: the count fits, what stands before it does not */
	BAD("\x94\x00\x01\xa1m\x91\xdd\x00\x3f\xff\xff", "larger than", true);
	BAD("\x94\x00\x01\xa1m\x91\xdf\x00\x20\x00\x00", "larger than", true);
}

static void
refuses_the_malformed(void **state)
{
	(void)state;
	BAD("\xc0", "array of 3 or 4", false);
	BAD("\x90", "array of 3 or 4", false);
	BAD("\x92\x00\x00", "array of 3 or 4", false);
	BAD("\x95", "array of 3 or 4", false);
	BAD("GET / HTTP/1.1\r\n", "array of 3 or 4", false);
	BAD("{\"jsonrpc\"", "array of 3 or 4", false);
	BAD("\x94\x03", "0, 1 or 2", false);
	BAD("\x94\xff", "0, 1 or 2", false);
	BAD("\x94\xa1x", "0, 1 or 2", false);
	BAD("\x93\x00", "4 items", false);
	BAD("\x94\x02", "4 items", false);
	BAD("\x94\x00\xff", "the id", false);
	BAD("\x94\x00\xa1x", "the id", false);
	BAD("\x94\x00\xcf\x00\x00\x00\x01\x00\x00\x00\x00", "the id", false);
	BAD("\x94\x00\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "the id", false);
	BAD("\x94\x00\x07\x01\x90", "method must be a string", true);
	BAD("\x94\x00\x07\xa1m\x92\x80\x80", "one map", true);
	BAD("\x94\x00\x07\xa1m\x91\x01", "must be a map", true);
	BAD("\x94\x00\x07\xa1m\xc0", "must be a map", true);
	BAD("\x93\x02\xa1m\x91\xa1x", "must be a map", false);
	BAD("\x94\x00\x07\xa1m\x91\x81\x01\x02", "keys of maps", true);
	BAD("\x94\x00\x07\xa1m\x91\x82\xa1k\x01\xc0\x02", "keys of maps", true);
	BAD("\x94\x00\x07\xa1m\x91\x81\xa1k\xc1", "0xc1", true);
}

static void
refuses_extension_types(void **state)
{
	static const unsigned char types[] = {0xc1, 0xc7, 0xc8, 0xc9, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8};

	(void)state;
	for (size_t i = 0; i < sizeof types; i++) {
		char m[] = "\x94\x00\x07\xa1m\x91\x81\xa1k#\x01\x01\x01\x01\x01\x01";

		m[9] = (char)types[i];
		expect_bad(m, sizeof m - 1, "begins no value", true);
	}
}

static void
bounds_nesting(void **state)
{
	(void)state;
	for (size_t depth = 1; depth < 40; depth++) {
		char m[128] = "\x94\x00\x07\xa1m\x91\x81\xa1k";
		size_t n = 9;
		struct awo_err e = {0};
		struct p_frame f;
		bool have_id;
		uint32_t id;
		ssize_t rc;

		for (size_t i = 0; i < depth; i++)
			m[n++] = '\x91';
		m[n++] = '\xc0';
		rc = scan(m, n, &f, &have_id, &id, &e);
		/* three levels are the message, its parameters and the map */
		if (depth <= P_NESTING_MAX - 3)
			assert_int_equal(rc, n);
		else
			assert_int_equal(rc, -1);
	}
}

static void
splits(void **state)
{
	struct awo_err e = {0};
	struct p_frame f;
	bool have_id;
	uint32_t id;
	const uint8_t request[] = "\x94\x00\xce\xff\xff\xff\xff\xa9order.get\x91\x81\xa1k\x01rest";
	const uint8_t bare[] = "\x94\xcc\x00\x07\xd9\x01m\x80";
	const uint8_t none[] = "\x94\x00\x07\xa1m\x90";
	const uint8_t good[] = "\x94\x01\x05\xc0\x81\xa1k\x01";
	const uint8_t failed[] = "\x94\x01\x05\x81\xa1k\x01\xc0";
	const uint8_t notify[] = "\x93\x02\xa1n\x91\x81\xa1k\x01";

	(void)state;
	assert_int_equal(p_frame_scan(request, sizeof request - 1, &f, &have_id, &id, &e), 22);
	assert_int_equal(f.kind, P_FRAME_REQUEST);
	assert_true(have_id && id == UINT32_MAX && f.id == UINT32_MAX);
	assert_int_equal(f.method_len, 9);
	assert_memory_equal(f.method, "order.get", 9);
	assert_int_equal(f.param.len, 4);
	assert_ptr_equal(f.param.p, request + 18);
	assert_int_equal(
	    p_frame_scan(bare, sizeof bare - 1, &f, &have_id, &id, &e), sizeof bare - 1);
	assert_int_equal(f.method_len, 1);
	assert_int_equal(f.param.len, 1);
	assert_int_equal(
	    p_frame_scan(none, sizeof none - 1, &f, &have_id, &id, &e), sizeof none - 1);
	assert_null(f.param.p);
	assert_int_equal(
	    p_frame_scan(good, sizeof good - 1, &f, &have_id, &id, &e), sizeof good - 1);
	assert_int_equal(f.kind, P_FRAME_RESPONSE);
	assert_null(f.error.p);
	assert_int_equal(f.result.len, 4);
	assert_int_equal(
	    p_frame_scan(failed, sizeof failed - 1, &f, &have_id, &id, &e), sizeof failed - 1);
	assert_int_equal(f.error.len, 4);
	assert_int_equal(f.result.len, 1);
	assert_int_equal(
	    p_frame_scan(notify, sizeof notify - 1, &f, &have_id, &id, &e), sizeof notify - 1);
	assert_int_equal(f.kind, P_FRAME_NOTIFY);
	assert_false(have_id);
	assert_int_equal(f.param.len, 4);
}

static void
sample(struct buf *b, bool some)
{
	struct p_order_answer a;

	fill(&p_type_order_answer, &a, some);
	p_encode_answer(b, 77, &p_type_order_answer, &a);
	P_FREE(order_answer, &a);
}

static void
waits_at_every_byte(void **state)
{
	CLEAN_BUF struct buf b = {0};
	struct p_scan s = {0};
	struct awo_err e = {0};
	struct p_frame f;
	bool have_id;
	uint32_t id;

	(void)state;
	srand(2);
	sample(&b, false);
	for (size_t len = 0; len < b.len; len++) {
		uint8_t *copy = malloc(len ? len : 1);

		assert_int_equal(scan(b.p, len, &f, &have_id, &id, &e), 0);
		assert_true(have_id == (len >= 3));
		/* and in pieces, at a new place each time */
		memcpy(copy, b.p, len);
		assert_int_equal(p_frame_resume(&s, copy, len, &f, &have_id, &id, &e), 0);
		assert_true(s.need <= b.len);
		free(copy);
	}
	assert_int_equal(p_frame_resume(&s, (uint8_t *)b.p, b.len, &f, &have_id, &id, &e), b.len);
	assert_int_equal(f.id, 77);
	assert_int_equal(s.pos, 0); /* ready for the next */
	assert_int_equal(scan(b.p, b.len, &f, &have_id, &id, &e), b.len);
}

/* 4 MiB of values of one byte, byte by byte: with work from the start each time this would take
 * hours. */
static void
stays_linear(void **state)
{
	CLEAN_BUF struct buf b = {0};
	struct p_scan s = {0};
	struct awo_err e = {0};
	const uint32_t n = P_MESSAGE_MAX - 11;
	struct p_frame f;
	bool have_id;
	uint32_t id;

	(void)state;
	buf_add(&b, "\x94\x00\x01\xa1m\x91\xdd", 7);
	for (int i = 3; i >= 0; i--)
		buf_addc(&b, (char)(n >> 8 * i));
	buf_reserve(&b, n);
	memset(b.p + b.len, 0x01, n);
	b.len += n;
	for (size_t len = 0; len < b.len; len++)
		if (p_frame_resume(&s, (uint8_t *)b.p, len, &f, &have_id, &id, &e) != 0)
			fail_msg("at %zu", len);
	/* whole, and then refused because the parameters are no map */
	assert_int_equal(p_frame_resume(&s, (uint8_t *)b.p, b.len, &f, &have_id, &id, &e), -1);
	assert_non_null(strstr(e.msg, "must be a map"));
}

/* A message of exactly the limit is taken, one more byte is not. */
static void
holds_the_size_limit(void **state)
{
	(void)state;
	for (uint32_t over = 0; over < 2; over++) {
		CLEAN_BUF struct buf b = {0};
		struct awo_err e = {0};
		const uint32_t n = P_MESSAGE_MAX - 14 + over;
		struct p_frame f;
		bool have_id;
		uint32_t id;
		ssize_t rc;

		buf_add(&b, "\x94\x00\x01\xa1m\x91\x81\xa1k\xdb", 10);
		for (int i = 3; i >= 0; i--)
			buf_addc(&b, (char)(n >> 8 * i));
		rc = p_frame_scan((uint8_t *)b.p, b.len, &f, &have_id, &id, &e);
		assert_int_equal(rc, over ? -1 : 0);
		if (over) {
			assert_int_equal(e.code, AWO_RESOURCE_EXHAUSTED);
			assert_true(have_id);
			continue;
		}
		buf_reserve(&b, n);
		memset(b.p + b.len, 'x', n);
		b.len += n;
		assert_int_equal(
		    p_frame_scan((uint8_t *)b.p, b.len, &f, &have_id, &id, &e), P_MESSAGE_MAX);
	}
}

/* What the scanner lets pass must be safe for everything behind it. */
static void
decode_all(const struct p_frame *f)
{
	const struct p_slice *parts[] = {&f->param, &f->error, &f->result};
	size_t n;
	const struct p_type *const *types = p_types(&n);

	for (size_t i = 0; i < 3; i++) {
		const struct p_type *type = i ? &p_type_order_answer : types[(size_t)rand() % n];
		void *obj;

		if (!parts[i]->p)
			continue;
		assert_int_equal(m_skip(parts[i]->p, parts[i]->len), parts[i]->len);
		json_decref(p_decode_any(*parts[i], NULL));
		obj = xcalloc(1, type->size);
		if (p_decode(type, obj, *parts[i], NULL) == 0)
			p_free(type, obj);
		if (p_decode_answer(type, obj, *parts[i], NULL) == 0)
			p_free(type, obj);
		free(obj);
	}
}

static void
survives_mutations(void **state)
{
	int whole = 0, refused = 0;

	(void)state;
	srand(4711);
	for (int round = 0; round < 20000; round++) {
		CLEAN_BUF struct buf b = {0};
		struct awo_err e = {0};
		struct p_frame f;
		bool have_id;
		uint32_t id;
		uint8_t *copy;
		size_t len;
		ssize_t rc;

		sample(&b, true);
		for (int k = 1 + rand() % 4; k > 0; k--) {
			size_t at = (size_t)rand() % b.len;

			switch (rand() % 3) {
			case 0:
				b.p[at] = (char)rand();
				break;
			case 1:
				b.p[at] = (char)(0xc0 + rand() % 32);
				break;
			default:
				memmove(b.p + at, b.p + at + 1, b.len - at - 1);
				b.len--;
				break;
			}
		}
		len = rand() % 4 ? b.len : (size_t)rand() % b.len;
		copy = malloc(len ? len : 1);
		memcpy(copy, b.p, len);
		rc = p_frame_scan(copy, len, &f, &have_id, &id, &e);
		assert_true(rc >= -1 && rc <= (ssize_t)len);
		if (rc > 0) {
			whole++;
			decode_all(&f);
		} else if (rc < 0) {
			refused++;
			assert_true(e.msg[0] != '\0');
		}
		free(copy);
	}
	/* both ways were walked often */
	assert_true(whole > 1000 && refused > 1000);
}

static void
survives_noise(void **state)
{
	(void)state;
	srand(99);
	for (int round = 0; round < 20000; round++) {
		size_t len = (size_t)rand() % 64 + 5;
		uint8_t *p = malloc(len);
		struct awo_err e = {0};
		struct p_frame f;
		bool have_id;
		uint32_t id;

		for (size_t i = 0; i < len; i++)
			p[i] = (uint8_t)(rand() % 3 ? rand() : 0x80 + rand() % 96);
		memcpy(p, "\x94\x00\x01\xa1m", 5);
		if (p_frame_scan(p, len, &f, &have_id, &id, &e) > 0)
			decode_all(&f);
		/* the decoders also stand alone, on bytes that nobody scanned */
		f = (struct p_frame){.param = {p + 5, len - 5}};
		json_decref(p_decode_any(f.param, NULL));
		assert_true(m_skip(f.param.p, f.param.len) <= f.param.len);
		free(p);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(refuses_bombs),
	    cmocka_unit_test(refuses_the_malformed),
	    cmocka_unit_test(refuses_extension_types),
	    cmocka_unit_test(bounds_nesting),
	    cmocka_unit_test(splits),
	    cmocka_unit_test(waits_at_every_byte),
	    cmocka_unit_test(stays_linear),
	    cmocka_unit_test(holds_the_size_limit),
	    cmocka_unit_test(survives_mutations),
	    cmocka_unit_test(survives_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
