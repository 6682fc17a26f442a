/* The broker's end of a control socket: what a worker says on it. */
#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

/* the file itself: connections are made here, without a socket;
 * NOLINTNEXTLINE(bugprone-suspicious-include) */
#include "awod/link.c"

#define THE_NONCE "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static bool linked, ends;

void
live_linked(struct live *l, const json_t *hello)
{
	FUZZ_CHECK(!linked && json_is_object(hello));
	linked = true;
	FUZZ_CHECK(link_send(l, json_pack("{s:s}", "op", "pause")));
}

/* An acknowledgement may end the order, and with it the link. */
void
live_acked(struct live *l, const char *op)
{
	FUZZ_CHECK(linked && op != NULL);
	if (ends)
		link_close(l);
}

/* The engine's, for what link.c does to directories: nothing of that is called here. */
struct live *
live_find(struct engine *e, const char *id)
{
	(void)e, (void)id;
	abort();
}

bool
is_shortage(int error)
{
	(void)error;
	abort();
}

/* The worker's bytes, in pieces; the first byte says whether the order ends meanwhile. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct event_base *base;
	struct fuzz_in in = {data, size};
	struct order_row row = {0};
	struct live l = {.row = &row, .nonce = THE_NONCE};
	char id[] = "wo-12345678";
	uint32_t seed = (uint32_t)size;

	if (base == NULL)
		base = event_base_new();
	row.pub.agent_work_order_id = id;
	linked = false;
	ends = fuzz_u8(&in) % 2 == 1;
	l.link = xcalloc(1, sizeof(*l.link));
	l.link->l = &l;
	l.link->retry = evtimer_new(base, on_retry, l.link);
	l.link->bev = bufferevent_socket_new(base, -1, 0);
	while (in.len > 0 && l.link != NULL && l.link->bev != NULL) {
		size_t n = fuzz_piece(&seed, in.len);
		struct evbuffer *b = bufferevent_get_input(l.link->bev);

		evbuffer_unfreeze(b, 0);
		FUZZ_CHECK(evbuffer_add(b, in.p, n) == 0);
		evbuffer_freeze(b, 0);
		in.p += n;
		in.len -= n;
		on_read(l.link->bev, l.link);
		if (l.link != NULL && l.link->bev != NULL)
			FUZZ_CHECK(evbuffer_get_length(b) <= LINE_MAX_IN && l.link->up == linked);
	}
	link_close(&l);
	event_base_loop(base, EVLOOP_NONBLOCK);
	return 0;
}
