/* The worker's control socket: what comes in on it, before and after the nonce is known. */
#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>

#include "common/clean.h"
#include "tests/fuzz/fuzz.h"

/* the file itself: peers are made here, without a socket;
 * NOLINTNEXTLINE(bugprone-suspicious-include) */
#include "awo-worker/control.c"

#define THE_NONCE "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static bool greeted;

static void
on_hello(void *ctx, json_t *answer)
{
	(void)ctx;
	greeted = true;
	json_object_set_new(answer, "frozen", json_false());
}

static void
on_cancel(void *ctx, const char *reason)
{
	(void)ctx;
	FUZZ_CHECK(greeted && reason != NULL);
}

static bool
on_freeze(void *ctx, bool frozen)
{
	(void)ctx;
	(void)frozen;
	FUZZ_CHECK(greeted);
	return true;
}

static void
on_gate(void *ctx, int64_t passed)
{
	(void)ctx;
	(void)passed;
	FUZZ_CHECK(greeted);
}

static void
on_fetched(void *ctx)
{
	(void)ctx;
	FUZZ_CHECK(greeted);
}

static bool
on_prompt(void *ctx, int64_t id, const char *text)
{
	(void)ctx;
	FUZZ_CHECK(greeted && id > 0 && text != NULL);
	return id % 2 == 0;
}

/* Whatever it says is a line of JSON, and nothing before the nonce. */
static void
check_output(struct bufferevent *bev)
{
	struct evbuffer *out = bufferevent_get_output(bev);
	size_t len;
	char *line;

	FUZZ_CHECK(greeted || evbuffer_get_length(out) == 0);
	/* what is not sent yet may be read here only */
	evbuffer_unfreeze(out, 1);
	while ((line = evbuffer_readln(out, &len, EVBUFFER_EOL_LF)) != NULL) {
		json_t *o CLEAN_JSON = json_loadb(line, len, 0, NULL);

		FUZZ_CHECK(json_is_string(json_object_get(o, "op")));
		free(line);
	}
	evbuffer_freeze(out, 1);
}

/* The broker's bytes, in pieces. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct event_base *base;
	struct control c = {.h = {.hello = on_hello,
				.cancel = on_cancel,
				.freeze = on_freeze,
				.gate = on_gate,
				.fetched = on_fetched,
				.prompt = on_prompt},
	    .nonce = THE_NONCE};
	uint32_t seed = (uint32_t)size;

	if (base == NULL)
		base = event_base_new();
	greeted = false;
	c.base = base;
	c.current.control = c.candidate.control = &c;
	c.candidate.bev = bufferevent_socket_new(base, -1, 0);
	for (size_t at = 0; at < size;) {
		struct peer *p = c.candidate.bev != NULL ? &c.candidate : &c.current;
		size_t n = fuzz_piece(&seed, size - at);
		struct evbuffer *in;

		if (p->bev == NULL)
			break;
		FUZZ_CHECK(p->known == (p == &c.current));
		in = bufferevent_get_input(p->bev);
		evbuffer_unfreeze(in, 0);
		FUZZ_CHECK(evbuffer_add(in, data + at, n) == 0);
		evbuffer_freeze(in, 0);
		at += n;
		on_read(p->bev, p);
		p = c.candidate.bev != NULL ? &c.candidate : &c.current;
		if (p->bev != NULL)
			check_output(p->bev);
	}
	drop(&c.candidate);
	drop(&c.current);
	event_base_loop(base, EVLOOP_NONBLOCK);
	return 0;
}
