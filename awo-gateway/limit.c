/* How often each may ask: rooms that requests use up, and that fill again within a minute. */
#include "awo-gateway/limit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"

#define MINUTE_US 60e6
#define ROOMS 4096
#define NETWORK_BYTES 8 /* of an address of version 6 */
#define PROXY_FACTOR 10

struct addresses {
	unsigned char key[crypto_shorthash_KEYBYTES];
	struct room rooms[ROOMS];
};

static void
fill(struct room *r, double limit, int64_t now_us)
{
	r->left += (double)(now_us - r->filled_us) * limit / MINUTE_US;
	if (r->filled_us == 0 || r->left > limit)
		r->left = limit;
	r->filled_us = now_us;
}

int
room_wait(struct room *r, double limit, int64_t now_us)
{
	fill(r, limit, now_us);
	return r->left >= 1 ? 0 : 1 + (int)((1 - r->left) * 60 / limit);
}

void
room_take(struct room *r, double limit, double cost, int64_t now_us)
{
	fill(r, limit, now_us);
	r->left -= cost;
	if (r->left < -limit)
		r->left = -limit;
}

struct addresses *
addresses_new(void)
{
	struct addresses *a = xcalloc(1, sizeof(*a));

	randombytes_buf(a->key, sizeof(a->key));
	return a;
}

void
addresses_free(struct addresses *a)
{
	free(a);
}

/* What an address is counted by; the number of bytes. Anything that is none counts as one. */
static size_t
network(const char *address, unsigned char bytes[16], bool *is_loopback)
{
	struct in6_addr v6;

	*is_loopback = false;
	if (inet_pton(AF_INET6, address, &v6) == 1) {
		*is_loopback = IN6_IS_ADDR_LOOPBACK(&v6);
		if (!IN6_IS_ADDR_V4MAPPED(&v6)) {
			memcpy(bytes, &v6, NETWORK_BYTES);
			return NETWORK_BYTES;
		}
		memcpy(bytes, v6.s6_addr + 12, 4);
	} else if (inet_pton(AF_INET, address, bytes) != 1) {
		return 0;
	}
	*is_loopback = bytes[0] == 127;
	return 4;
}

struct room *
addresses_room(struct addresses *a, const char *address, double *factor)
{
	unsigned char bytes[16] = {0}, hash[crypto_shorthash_BYTES];
	bool is_loopback;
	size_t n = network(address, bytes, &is_loopback);
	uint64_t number;

	*factor = is_loopback ? PROXY_FACTOR : 1;
	crypto_shorthash(hash, bytes, n, a->key);
	memcpy(&number, hash, sizeof(number));
	return &a->rooms[number % ROOMS];
}
