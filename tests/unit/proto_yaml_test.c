/* YAML: what values become, where they stood, and what is refused at which line and column. */
#include "cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clean.h"
#include "proto/yaml.h"

static json_t *
parse(const char *text, struct awo_err *e)
{
	return yaml_parse("f.yaml", text, strlen(text), NULL, e);
}

static void
reads_values(void **state)
{
	static const struct {
		const char *yaml, *json;
	} rows[] = {
	    {"", "null"},
	    {"# nothing\n", "null"},
	    {"---\n", "null"},
	    {"~", "null"},
	    {"a: 1\nb: [x, 'y', \"z\"]\nc: {d: e}\n",
		"{\"a\":1,\"b\":[\"x\",\"y\",\"z\"],\"c\":{\"d\":\"e\"}}"},
	    {"- 1\n- -2\n- +3\n- 010\n- 0x1F\n- 0o17\n", "[1,-2,3,10,31,15]"},
	    {"[1.5, -.5, 1e3, 1., 0.0, 12e-1]", "[1.5,-0.5,1000.0,1.0,0.0,1.2]"},
	    {"[true, True, TRUE, false, False, FALSE]", "[true,true,true,false,false,false]"},
	    {"[yes, no, on, off, y, n]", "[\"yes\",\"no\",\"on\",\"off\",\"y\",\"n\"]"},
	    {"[null, Null, NULL, ~]", "[null,null,null,null]"},
	    {"a:\nb: ''\n", "{\"a\":null,\"b\":\"\"}"},
	    {"['1', \"true\", 'null', '~']", "[\"1\",\"true\",\"null\",\"~\"]"},
	    {"[1a, 0x, 0xg, 0o8, 1e, ., '-', +, 1.2.3, 2026-01-31, 12:30, 1_000]",
		"[\"1a\",\"0x\",\"0xg\",\"0o8\",\"1e\",\".\",\"-\",\"+\",\"1.2.3\",\"2026-01-31\","
		"\"12:30\",\"1_000\"]"},
	    {"[9223372036854775807, -9223372036854775808]",
		"[9223372036854775807,-9223372036854775808]"},
	    {"a: |\n  two\n  lines\nb: >\n  one\n  line\n",
		"{\"a\":\"two\\nlines\\n\",\"b\":\"one line\\n\"}"},
	    {"a: \"\\u20ac\\t\"\n\xe2\x82\xac: 1\n",
		"{\"a\":\"\xe2\x82\xac\\t\",\"\xe2\x82\xac\":1}"},
	    {"true: 1\n2: x\nnull: y\n", "{\"true\":1,\"2\":\"x\",\"null\":\"y\"}"},
	    {"%YAML 1.2\n---\na: 1\n...\n", "{\"a\":1}"},
	    {"a: {}\nb: []\n", "{\"a\":{},\"b\":[]}"},
	    {"\xef\xbb\xbf"
	     "a: 1",
		"{\"a\":1}"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct awo_err e = {0};
		CLEAN_JSON json_t *got = parse(rows[i].yaml, &e),
				  *wanted = json_loads(rows[i].json, JSON_DECODE_ANY, NULL);

		assert_non_null(wanted);
		if (!got || !json_equal(got, wanted)) {
			CLEAN_FREE char *s = got ? json_dumps(got, JSON_ENCODE_ANY) : NULL;

			fail_msg("%s: %s", rows[i].yaml, s ? s : e.msg);
		}
	}
}

static void
refuses(void **state)
{
	static const struct {
		const char *yaml, *says;
	} rows[] = {
	    {"a: &x 1\n", "f.yaml:1:4: anchors"},
	    {"a: 1\nb: &x\n  c: 1\n", "f.yaml:2:4: anchors"},
	    {"a: &x [1]\n", "f.yaml:1:4: anchors"},
	    {"&x a: 1\n", "f.yaml:1:1: anchors"},
	    {"a: *x\n", "f.yaml:1:4: aliases"},
	    {"*x : 1\n", "f.yaml:1:1: aliases"},
	    {"a: !!str 1\n", "f.yaml:1:4: tags"},
	    {"a: !x [1]\n", "f.yaml:1:4: tags"},
	    {"a: ! 1\n", "f.yaml:1:4: tags"},
	    {"!x {}\n", "f.yaml:1:1: tags"},
	    {"!!str a: 1\n", "f.yaml:1:1: anchors and tags"},
	    {"a: 1\nb: 2\na: 3\n", "f.yaml:3:1: the key a is there twice"},
	    {"x:\n  a: 1\n  'a': 2\n", "f.yaml:3:3: the key a is there twice"},
	    {"a: null\na: 1\n", "f.yaml:2:1: the key a is there twice"},
	    {"a: 1\n---\nb: 2\n", "f.yaml:2:1: a second document"},
	    {"[a]: 1\n", "f.yaml:1:1: a key must be"},
	    {"? {a: 1}\n: 2\n", "f.yaml:1:3: a key must be"},
	    {"a: 9223372036854775808\n", "f.yaml:1:4: this number"},
	    {"a: 1e999\n", "f.yaml:1:4: this number"},
	    {"a: 0xfffffffffffffffff\n", "f.yaml:1:4: this number"},
	    {"a: .inf\n", "f.yaml:1:4: this number"},
	    {"a: [.nan]\n", "f.yaml:1:5: this number"},
	    {"a: \"x\\0y\"\n", "f.yaml:1:4: NUL"},
	    {"\"x\\0y\": 1\n", "f.yaml:1:1: NUL"},
	    {"a: [1\n", "f.yaml:2:1: "},
	    {"a: b: c\n", "f.yaml:1:5: "},
	    {"a:\n\t- 1\n", "f.yaml:2:1: "},
	    {"a: 'x\n", "f.yaml:2:1: "},
	    {"a: \xff\n", "f.yaml:1:"},
	    {"a: \x01\n", "f.yaml:1:"},
	    {"\xff\xfe"
	     "a\0",
		"f.yaml:1:"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct awo_err e = {0};

		if (parse(rows[i].yaml, &e))
			fail_msg("%s was taken", rows[i].yaml);
		if (strncmp(e.msg, rows[i].says, strlen(rows[i].says)) != 0)
			fail_msg("%s: %s; expected %s", rows[i].yaml, e.msg, rows[i].says);
		assert_int_equal(e.code, AWO_INVALID_ARGUMENT);
	}
}

static void
remembers_places(void **state)
{
	static const char text[] = "top: 1\nlist:\n  - a\n  - b: x\n    flag: true\nnone: ~\n";
	struct yaml_marks *marks = NULL;
	CLEAN_JSON json_t *tree = yaml_parse("f", text, sizeof text - 1, &marks, NULL);
	json_t *list = json_object_get(tree, "list"), *inner = json_array_get(list, 1);
	int line, column;

	(void)state;
	assert_non_null(marks);
#define AT(value, l, c)                                                                            \
	do {                                                                                       \
		assert_true(yaml_where(marks, (value), &line, &column));                           \
		assert_int_equal(line, (l));                                                       \
		assert_int_equal(column, (c));                                                     \
	} while (0)
	AT(tree, 1, 1);
	AT(json_object_get(tree, "top"), 1, 1);
	AT(list, 2, 1);
	AT(json_array_get(list, 0), 3, 5);
	AT(inner, 4, 5);
	AT(json_object_get(inner, "b"), 4, 5);
	assert_false(yaml_where(marks, json_true(), &line, &column));
	assert_false(yaml_where(marks, NULL, &line, &column));
	assert_true(yaml_where_key(marks, inner, "flag", &line, &column));
	assert_int_equal(line, 5);
	assert_int_equal(column, 5);
	assert_true(yaml_where_key(marks, tree, "none", &line, &column));
	assert_int_equal(line, 6);
	assert_false(yaml_where_key(marks, tree, "flag", &line, &column));
	assert_false(yaml_where_key(NULL, tree, "flag", &line, &column));
	yaml_marks_free(marks);
	yaml_marks_free(NULL);
	assert_null(yaml_parse("f", "a: [", 4, &marks, NULL));
	assert_null(marks);
}

static void
is_bounded(void **state)
{
	CLEAN_BUF struct buf b = {0};
	struct awo_err e = {0};

	(void)state;
	for (size_t depth = 30; depth < 36; depth++) {
		CLEAN_JSON json_t *j = NULL;

		b.len = 0;
		for (size_t i = 0; i < depth; i++)
			buf_addc(&b, '[');
		for (size_t i = 0; i < depth; i++)
			buf_addc(&b, ']');
		j = parse(b.p, &e);
		assert_int_equal(j != NULL, depth <= 32);
	}
	b.len = 0;
	for (size_t i = 0; i < 100000; i++)
		buf_addc(&b, '[');
	assert_null(parse(b.p, &e));
	assert_non_null(strstr(e.msg, "nested"));
	b.len = 0;
	while (b.len <= 1U << 20)
		buf_adds(&b, "# 456789\n");
	assert_null(parse(b.p, &e));
	assert_non_null(strstr(e.msg, "1 MiB"));
	/* a NUL in the middle does not hide what follows */
	assert_null(yaml_parse("f", "a: 1\n\0b: 2\n", 11, NULL, &e));
}

static void
survives_mutations(void **state)
{
	static const char text[] = "a: &x [1, 'two', \"three\\n\"]\nb: {c: ~, d: !t 1.5}\ne: |\n  "
				   "text\n? k\n: *x\n---\n# end\n";

	(void)state;
	srand(31);
	for (int round = 0; round < 5000; round++) {
		size_t len = (size_t)rand() % sizeof text;
		char *copy = malloc(len + 1);
		struct yaml_marks *marks = NULL;

		memcpy(copy, text, len);
		for (int k = rand() % 4; k > 0 && len > 0; k--)
			copy[(size_t)rand() % len] =
			    rand() % 2 ? "[]{}:-?&*!|>'\"%@`#, \n"[rand() % 21] : (char)rand();
		json_decref(yaml_parse("f", copy, len, &marks, NULL));
		yaml_marks_free(marks);
		free(copy);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(reads_values),
	    cmocka_unit_test(refuses),
	    cmocka_unit_test(remembers_places),
	    cmocka_unit_test(is_bounded),
	    cmocka_unit_test(survives_mutations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
