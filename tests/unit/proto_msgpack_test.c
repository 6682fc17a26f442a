/* The msgpack codec: round trips, requests, answers, errors, and what is refused. */
#include "cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#include "common/clean.h"
#include "proto/msgpack.h"
#include "proto_fill.h"

static struct p_frame
frame(const struct buf *b)
{
	struct awo_err e = {0};
	struct p_frame f;
	bool have_id;
	uint32_t id;

	if (p_frame_scan((const uint8_t *)b->p, b->len, &f, &have_id, &id, &e) != (ssize_t)b->len)
		fail_msg("not one whole message: %s", e.msg);
	return f;
}

static void
round_trips(void **state)
{
	size_t n;
	const struct p_type *const *types = p_types(&n);

	(void)state;
	srand(17);
	for (size_t t = 0; t < n; t++)
		for (int round = 0; round < 40; round++) {
			void *a = xcalloc(1, types[t]->size), *b = malloc(types[t]->size);
			CLEAN_BUF struct buf out = {0};
			struct awo_err e = {0};
			struct p_frame f;
			const char *where;

			fill(types[t], a, round > 0);
			p_encode_request(&out, (uint32_t)round, "some.method", types[t], a);
			f = frame(&out);
			assert_int_equal(f.id, round);
			assert_int_equal(f.method_len, 11);
			memset(b, 0xa5, types[t]->size);
			if ((round % 2 ? p_decode : p_decode_answer)(types[t], b, f.param, &e) < 0)
				fail_msg("%s: %s", types[t]->name, e.msg);
			where = difference(types[t], a, b);
			if (where)
				fail_msg("%s", where);
			p_free(types[t], b);
			/* cut anywhere it is refused, and nothing leaks */
			for (size_t len = 0; len < f.param.len; len += 1 + len / 16) {
				uint8_t *cut = malloc(len ? len : 1);

				memcpy(cut, f.param.p, len);
				assert_int_equal(
				    p_decode(types[t], b, (struct p_slice){cut, len}, &e), -1);
				assert_int_equal(
				    p_decode_answer(types[t], b, (struct p_slice){cut, len}, &e),
				    -1);
				free(cut);
			}
			p_free(types[t], a);
			free(a);
			free(b);
		}
}

/* JSON and msgpack say the same. */
static void
agrees_with_json(void **state)
{
	size_t n;
	const struct p_type *const *types = p_types(&n);

	(void)state;
	srand(23);
	for (size_t t = 0; t < n; t++) {
		void *a = xcalloc(1, types[t]->size);
		CLEAN_JSON json_t *direct = NULL, *decoded = NULL;
		CLEAN_BUF struct buf out = {0};

		fill(types[t], a, true);
		direct = p_to_json(types[t], a);
		p_encode_value(&out, types[t], a);
		decoded = p_decode_any((struct p_slice){(uint8_t *)out.p, out.len}, NULL);
		assert_non_null(decoded);
		if (!json_equal(direct, decoded))
			fail_msg("%s", types[t]->name);
		p_free(types[t], a);
		free(a);
	}
}

static int
decode_bytes(const struct p_type *type, void *obj, const char *bytes, size_t len, struct awo_err *e)
{
	uint8_t *copy = malloc(len);
	int rc;

	memcpy(copy, bytes, len);
	rc = p_decode(type, obj, (struct p_slice){copy, len}, e);
	free(copy);
	return rc;
}
#define DECODE(type, obj, bytes, e) decode_bytes(&p_type_##type, obj, bytes, sizeof(bytes) - 1, e)

static void
refuses(void **state)
{
	struct p_stream_ref ref;
	struct p_settings_set set;
	struct p_cleanup cleanup;
	struct awo_err e;

	(void)state;
	assert_int_equal(DECODE(stream_ref, &ref, "\x81\xacsubscription\x07", &e), 0);
	assert_true(ref.subscription == 7);
	assert_int_equal(
	    DECODE(stream_ref, &ref, "\x82\xacsubscription\x07\xacsubscription\x08", &e), -1);
	assert_string_equal(e.msg, "subscription is given twice");
	assert_int_equal(
	    DECODE(stream_ref, &ref, "\x82\xacsubscription\xc0\xacsubscription\x08", &e), -1);
	assert_int_equal(DECODE(stream_ref, &ref,
			     "\x81\xacsubscription\xcf\xff\xff\xff\xff\xff\xff\xff\xff", &e),
	    -1);
	assert_string_equal(e.field, "subscription");
	assert_int_equal(
	    DECODE(stream_ref, &ref, "\x81\xacsubscription\xca\x3f\x80\x00\x00", &e), -1);
	assert_int_equal(DECODE(stream_ref, &ref, "\x90", &e), -1);
	assert_int_equal(DECODE(stream_ref, &ref, "\x81\x01\x01", &e), -1);
	assert_int_equal(DECODE(stream_ref, &ref, "\xdf\xff\xff\xff\xff", &e), -1);
	assert_int_equal(
	    DECODE(settings_set, &set, "\x82\xa3key\xa1k\xa5value\xdd\xff\xff\xff\xff", &e), -1);
	assert_int_equal(DECODE(settings_set, &set,
			     "\x82\xa3key\xa1k\xa5value\x82\xa1"
			     "a\x01\xa1"
			     "a\x02",
			     &e),
	    -1);
	assert_string_equal(e.field, "value.a");
	assert_int_equal(DECODE(settings_set, &set, "\x82\xa3key\xa1\xff\xa5value\x01", &e), -1);
	assert_non_null(strstr(e.msg, "UTF-8"));
	assert_int_equal(
	    DECODE(settings_set, &set, "\x82\xa3key\xa1k\xa5value\x91\xc4\x01x", &e), -1);
	assert_string_equal(e.field, "value.0");
	assert_int_equal(DECODE(settings_set, &set, "\x82\xa3key\xc4\x01k\xa5value\x01", &e), -1);
	assert_int_equal(DECODE(settings_set, &set,
			     "\x82\xa3key\xa1k\xa5value\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00", &e),
	    -1);
	assert_int_equal(
	    DECODE(settings_set, &set, "\x82\xa3key\xa1k\xa5value\x81\xa1\x00\x01", &e), -1);
	/* keys that are not known go by, whatever they hold */
	assert_int_equal(DECODE(cleanup, &cleanup,
			     "\x82\xa1\xff\x93\x81\xa1z\xc0\x01\xc4\x01\xff\xa7"
			     "dry_run\xc3",
			     &e),
	    0);
	assert_true(P_HAS(cleanup, &cleanup, dry_run) && cleanup.dry_run);
	assert_int_equal(p_decode(&p_type_cleanup, &cleanup, (struct p_slice){NULL, 0}, &e), 0);
	assert_true(cleanup.has == 0);
	assert_int_equal(p_decode(&p_type_stream_ref, &ref, (struct p_slice){NULL, 0}, &e), -1);
	assert_string_equal(e.msg, "subscription is missing");
}

static void
bounds_values_of_any_shape(void **state)
{
	struct p_settings_set set;
	struct awo_err e = {0};
	CLEAN_BUF struct buf b = {0};

	(void)state;
	/* a million empty maps would take 300 MB */
	buf_add(&b, "\x82\xa3key\xa1k\xa5value\xdd\x00\x0f\x42\x40", 18);
	buf_reserve(&b, 1000000);
	memset(b.p + b.len, 0x80, 1000000);
	b.len += 1000000;
	assert_int_equal(
	    p_decode(&p_type_settings_set, &set, (struct p_slice){(uint8_t *)b.p, b.len}, &e), -1);
	assert_non_null(strstr(e.msg, "too many"));
}

/* What a newer daemon may send. */
static void
reads_answers_of_others(void **state)
{
	CLEAN_JSON json_t *j =
	    json_pack("{s:{s:s,s:s,s:i,s:s,s:i}}", "agent_work_order", "agent_work_order_id",
		"wo-1", "status", "dreaming", "priority", 5000, "owner", "", "colour", 1);
	CLEAN_BUF struct buf b = {0};
	struct p_order_answer a;
	struct awo_err e = {0};
	struct p_slice s;

	(void)state;
	pack_tree(&b, j);
	s = (struct p_slice){(uint8_t *)b.p, b.len};
	assert_int_equal(p_decode(&p_type_order_answer, &a, s, &e), -1);
	assert_int_equal(p_decode_answer(&p_type_order_answer, &a, s, &e), 0);
	assert_string_equal(a.agent_work_order.agent_work_order_id, "wo-1");
	assert_true(a.agent_work_order.priority == 5000);
	assert_false(P_HAS(order, &a.agent_work_order, status));
	assert_false(P_HAS(order, &a.agent_work_order, created_at));
	P_FREE(order_answer, &a);
	json_object_set_new(
	    json_object_get(j, "agent_work_order"), "priority", json_string("high"));
	b.len = 0;
	pack_tree(&b, j);
	s = (struct p_slice){(uint8_t *)b.p, b.len};
	assert_int_equal(p_decode_answer(&p_type_order_answer, &a, s, &e), -1);
	assert_string_equal(e.field, "agent_work_order.priority");
}

static void
carries_errors(void **state)
{
	(void)state;
	for (unsigned c = 1; c < AWO_CODE__COUNT; c++) {
		CLEAN_BUF struct buf b = {0};
		struct awo_err e = {0}, back = {0};
		struct p_frame f;

		awo_err_set(
		    &e, (enum awo_code)c, "x", c % 2 ? "a.0.b" : "", "message %u \xe2\x82\xac", c);
		p_encode_error(&b, c, &e);
		f = frame(&b);
		assert_int_equal(f.kind, P_FRAME_RESPONSE);
		assert_int_equal(f.id, c);
		assert_int_equal(f.result.len, 1);
		p_decode_error(f.error, &back);
		assert_int_equal(back.code, e.code);
		assert_string_equal(back.field, e.field);
		assert_string_equal(back.msg, e.msg);
	}
}

static void
carries_all_fields_that_are_wrong(void **state)
{
	CLEAN_BUF struct buf b = {0};
	struct awo_err e, other, back, part;

	(void)state;
	ERR(&e, INVALID_ARGUMENT, "agent", "there is none");
	ERR(&other, INVALID_ARGUMENT, "base_branch", "is no name");
	awo_err_also(&e, &other);
	p_encode_error(&b, 7, &e);
	p_decode_error(frame(&b).error, &back);
	assert_string_equal(back.field, "agent");
	assert_string_equal(back.msg, "there is none");
	assert_true(awo_err_part(&back, 1, &part));
	assert_string_equal(part.field, "base_branch");
	assert_string_equal(part.msg, "is no name");
	assert_false(awo_err_part(&back, 2, &part));
}

static void
reads_errors_of_others(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		enum awo_code code;
		const char *msg;
	} rows[] = {
	    {"\xa3"
	     "bad",
		4, AWO_INTERNAL, "bad"},
	    {"\x80", 1, AWO_INTERNAL, "the daemon sent an error without a message"},
	    {"\x07", 1, AWO_INTERNAL, "the daemon sent an error without a message"},
	    {"\x82\xa4"
	     "code\xa2ok\xa7message\xa1m",
		19, AWO_INTERNAL, "m"},
	    {"\x82\xa4"
	     "code\xa3new\xa7message\xa1m",
		20, AWO_INTERNAL, "m"},
	    {"\x81", 1, AWO_INTERNAL, "the daemon sent an error without a message"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct awo_err e = {0};

		p_decode_error((struct p_slice){(const uint8_t *)rows[i].bytes, rows[i].len}, &e);
		assert_int_equal(e.code, rows[i].code);
		assert_string_equal(e.msg, rows[i].msg);
	}
}

static void
never_sends_what_is_too_large(void **state)
{
	struct p_order_list_answer a = {0};
	CLEAN_BUF struct buf b = {0};
	CLEAN_FREE char *text = xcalloc(65536, 1);
	struct awo_err e = {0};
	struct p_frame f;

	(void)state;
	memset(text, 'x', 65535);
	a.agent_work_orders.n = 100;
	a.agent_work_orders.v = xcalloc(100, sizeof *a.agent_work_orders.v);
	for (size_t i = 0; i < 100; i++)
		P_SETS(order, &a.agent_work_orders.v[i], user_request, text);
	buf_adds(&b, "before");
	p_encode_answer(&b, 9, &p_type_order_list_answer, &a);
	assert_memory_equal(b.p, "before", 6);
	buf_drain(&b, 6);
	f = frame(&b);
	assert_int_equal(f.id, 9);
	p_decode_error(f.error, &e);
	assert_int_equal(e.code, AWO_RESOURCE_EXHAUSTED);
	P_FREE(order_list_answer, &a);
}

static void
notifies(void **state)
{
	CLEAN_BUF struct buf b = {0};
	struct p_log_line line = {0}, back;
	struct p_frame f;

	(void)state;
	P_SET(log_line, &line, subscription, 3);
	P_SET(log_line, &line, seq, 120);
	P_SETS(log_line, &line, line, "{}");
	p_encode_notify(&b, "log_line", &p_type_log_line, &line);
	f = frame(&b);
	assert_int_equal(f.kind, P_FRAME_NOTIFY);
	assert_memory_equal(f.method, "log_line", f.method_len);
	assert_int_equal(p_decode(&p_type_log_line, &back, f.param, NULL), 0);
	assert_null(difference(&p_type_log_line, &line, &back));
	P_FREE(log_line, &line);
	P_FREE(log_line, &back);
	/* nothing stands for a map without members */
	b.len = 0;
	p_encode_request(&b, 1, "system.info", &p_type_empty, NULL);
	f = frame(&b);
	assert_int_equal(f.param.len, 1);
	b.len = 0;
	p_encode_answer(&b, 1, &p_type_empty, NULL);
	f = frame(&b);
	assert_int_equal(f.result.len, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(round_trips),
	    cmocka_unit_test(agrees_with_json),
	    cmocka_unit_test(refuses),
	    cmocka_unit_test(bounds_values_of_any_shape),
	    cmocka_unit_test(reads_answers_of_others),
	    cmocka_unit_test(carries_errors),
	    cmocka_unit_test(carries_all_fields_that_are_wrong),
	    cmocka_unit_test(reads_errors_of_others),
	    cmocka_unit_test(never_sends_what_is_too_large),
	    cmocka_unit_test(notifies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
