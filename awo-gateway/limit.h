/* How often each may ask: rooms that requests use up, and that fill again within a minute. */
#ifndef GATEWAY_LIMIT_H
#define GATEWAY_LIMIT_H

#include <stdint.h>

/* All zero: nothing has been used yet. */
struct room {
	double left;
	int64_t filled_us; /* monotonic: when left was reckoned */
};

/* limit: requests a minute, at least 1. 0, or after how many seconds there will be room for one. */
int room_wait(struct room *r, double limit, int64_t now_us);
/* Uses room up, which may be more than there is, but not more than a minute gives back. */
void room_take(struct room *r, double limit, double cost, int64_t now_us);

/*
 * The rooms of addresses: as many as there are, however many addresses come; two that meet in one
 * share it, and nobody can reckon whose they share. Addresses of version 6 count by their network
 * of 64 bits, which one host may have to itself.
 */
struct addresses;
struct addresses *addresses_new(void);
void addresses_free(struct addresses *a);
/* Never NULL. Sets *factor: a loopback address may be a proxy that speaks for many, and has ten
 * times the room. */
struct room *addresses_room(struct addresses *a, const char *address, double *factor);

#endif
