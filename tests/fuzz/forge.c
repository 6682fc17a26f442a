/* GitHub's answers: headers and bodies as a server may send them, under every verb. */
#include <curl/curl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "awo-worker/forge/verbs.h"
#include "common/clean.h"
#include "common/text.h"
#include "tests/fuzz/fuzz.h"

/* ---- a network that the input plays: http.c's calls of curl end here */

typedef size_t got_fn(char *p, size_t size, size_t n, void *arg);

static struct fuzz_in script;
static unsigned exchanges;
static got_fn *header_fn, *body_fn;
static void *header_arg, *body_arg;
static long status;

static CURLcode
set_option(CURL *c, CURLoption option, ...)
{
	va_list ap;

	(void)c;
	va_start(ap, option);
	if (option == CURLOPT_HEADERFUNCTION)
		header_fn = va_arg(ap, got_fn *);
	else if (option == CURLOPT_WRITEFUNCTION)
		body_fn = va_arg(ap, got_fn *);
	else if (option == CURLOPT_HEADERDATA)
		header_arg = va_arg(ap, void *);
	else if (option == CURLOPT_WRITEDATA)
		body_arg = va_arg(ap, void *);
	va_end(ap);
	return CURLE_OK;
}

/* As curl does: not terminated, and whether all of it was taken. */
static bool
give(got_fn *fn, void *arg, const char *p, size_t n)
{
	char *copy = xcalloc(n, 1);
	bool taken;

	if (n > 0)
		memcpy(copy, p, n);
	taken = fn(copy, 1, n, arg) == n;
	free(copy);
	return taken;
}

/* "200 <headers, a line each>, an empty line, <body>"; a status of 0 is a connection that fails. */
static CURLcode
perform_(CURL *c)
{
	size_t len, at = 0, n;
	char *text CLEAN_FREE = fuzz_until(&script, 0, &len);
	uint32_t seed = (uint32_t)len;

	(void)c;
	/* pages of comments are bounded, and so are tries */
	FUZZ_CHECK(exchanges++ < 200);
	status = strtol(text, NULL, 10);
	if (status < 100 || status > 599) {
		status = 0;
		return CURLE_COULDNT_CONNECT;
	}
	for (n = strcspn(text, "\n"); at + n < len; n = strcspn(text + at, "\n")) {
		if (!give(header_fn, header_arg, text + at, n + 1))
			return CURLE_WRITE_ERROR;
		at += n + 1;
		if (n == 0)
			break;
	}
	while (at < len) {
		n = fuzz_piece(&seed, len - at);
		if (!give(body_fn, body_arg, text + at, n))
			return CURLE_WRITE_ERROR;
		at += n;
	}
	return CURLE_OK;
}

static CURLcode
get_info(CURL *c, CURLINFO info, long *out)
{
	(void)c;
	FUZZ_CHECK(info == CURLINFO_RESPONSE_CODE);
	*out = status;
	return CURLE_OK;
}

/* NOLINTBEGIN(bugprone-suspicious-include): the file itself, with its network replaced */
#undef curl_easy_setopt
#undef curl_easy_getinfo
#define curl_easy_setopt(c, option, value) set_option((c), (option), (value))
#define curl_easy_getinfo(c, info, out) get_info((c), (info), (out))
#define curl_easy_perform(c) perform_(c)
#define usleep(us) ((void)(us), 0)
#include "awo-worker/forge/http.c"
#undef usleep
/* NOLINTEND(bugprone-suspicious-include) */

#define X(fn, name, needs, seconds) {name, needs, forge_##fn, seconds},
static const struct task_verb verbs[] = {FORGE_VERBS(X)};
#undef X

/* One byte chooses the verb, the rest is what the server says: a NUL behind each answer. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	const struct task_verb *v = &verbs[fuzz_u8(&in) % (sizeof(verbs) / sizeof(verbs[0]))];
	struct task t = {.needs = v->needs};
	json_t *answer CLEAN_JSON = json_object();
	char *text CLEAN_FREE = NULL;
	int rc;

	t.req = json_pack("{s:s, s:s, s:s, s:s, s:i, s:s, s:s, s:s, s:s, s:s}", "api_url",
	    "https://api.github.com", "token", "t", "owner", "o", "repo", "r", "number", 42, "head",
	    "feat/x", "base", "main", "title", "a title", "body", "a body", "marker", "<!-- m -->");
	FUZZ_CHECK(t.req != NULL);
	script = in;
	exchanges = 0;
	rc = v->run(&t, answer);
	if (rc == 0) {
		text = json_dumps(answer, JSON_COMPACT);
		FUZZ_CHECK(text != NULL && !task_failed(&t));
	} else {
		FUZZ_CHECK(rc == -1 && task_failed(&t) && t.err.msg[0] != '\0');
		FUZZ_CHECK(text_is_utf8(t.err.msg, strlen(t.err.msg)));
		FUZZ_CHECK(t.err.retry_after >= 0 && t.err.retry_after <= 86400);
	}
	json_decref(t.req);
	return 0;
}
