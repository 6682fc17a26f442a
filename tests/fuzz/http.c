/* What clients of the gateway send: a request's target and its body, taken to a route and to its
 * parameters. */
#include <stdlib.h>
#include <string.h>

#include "awo-gateway/args.h"
#include "awo-gateway/encode.h"
#include "awo-gateway/routes.h"
#include "awo-gateway/target.h"
#include "common/clean.h"
#include "common/text.h"
#include "tests/fuzz/fuzz.h"

/* Whatever is wrong is told in JSON. */
static void
check_told(const struct args_error *errors, size_t n)
{
	struct buf text CLEAN_BUF = {0};
	json_t *told;

	args_errors_json(&text, errors, n);
	told = json_loadb(text.p, text.len, 0, NULL);
	FUZZ_CHECK(told != NULL);
	json_decref(told);
}

static bool
is_among(const struct args_error *errors, size_t n, const char *field)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(errors[i].err.field, field) == 0)
			return true;
	return false;
}

static void
take(const struct route_match *m, const struct target *t, const char *body, size_t len)
{
	const struct p_type *type = m->route->rpc->request;
	struct args_error e = {0};
	struct awo_err err = {0};
	json_t *args = args_make(type, body, len, t, &m->params, &e);
	void *params;

	if (args == NULL || e.type != NULL) {
		FUZZ_CHECK(e.type != NULL && e.err.code != AWO_OK);
		check_told(&e, 1);
		json_decref(args);
		return;
	}
	params = xcalloc(1, type->size);
	if (p_from_json(type, params, args, false, &err) == 0) {
		p_free(type, params);
	} else {
		struct args_error all[16];
		size_t n = args_check(type, args, len > 0, t, &m->params, all, 16);

		/* what refuses the whole is among what is wrong with its parts */
		FUZZ_CHECK(n > 0);
		args_explain(
		    type, args, &err, args_origin(type, err.field, len > 0, t, &m->params), &e);
		FUZZ_CHECK(n == 16 || is_among(all, n, err.field));
		check_told(&e, 1);
		check_told(all, n);
	}
	free(params);
	json_decref(args);
}

/* input: method byte, target, NUL, header, NUL, body */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	enum http_method method = (enum http_method)(fuzz_u8(&in) % (HTTP_OPTIONS + 1));
	char *raw CLEAN_FREE = fuzz_until(&in, 0, NULL),
		  *header CLEAN_FREE = fuzz_until(&in, 0, NULL);
	char *body CLEAN_FREE = xcalloc(1, in.len + 1);
	struct awo_err err = {0};
	struct route_match m;
	struct target t;
	char names[64];

	(void)encode_etag_matches(header, "W/\"0\"");
	(void)encode_accepts_gzip(header);
	if (target_parse(raw, &t, &err) != 0) {
		FUZZ_CHECK(err.code == AWO_INVALID_ARGUMENT && t.room == NULL);
		return 0;
	}
	for (size_t i = 0; i < t.nsegments; i++) {
		const char *s = t.segments[i];

		FUZZ_CHECK(*s != '\0' && strcmp(s, ".") != 0 && strcmp(s, "..") != 0);
		FUZZ_CHECK(strpbrk(s, "/\\") == NULL && text_is_utf8(s, strlen(s)));
	}
	route_find(&t, method, &m);
	FUZZ_CHECK(strlen(route_allow(m.allow, names, sizeof(names))) < sizeof(names));
	if (in.len > 0)
		memcpy(body, in.p, in.len);
	if (m.route != NULL && m.route->rpc != NULL)
		take(&m, &t, body, in.len);
	target_free(&t);
	return 0;
}
