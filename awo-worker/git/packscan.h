/* Counts and sizes of a pack, before anything inflates it into memory. */
#ifndef GIT_PACKSCAN_H
#define GIT_PACKSCAN_H

#include <stddef.h>
#include <stdint.h>

struct packscan_limits {
	uint64_t objects;      /* how many */
	uint64_t object_bytes; /* one object's size, of a delta its result's */
	uint64_t total_bytes;  /* of all objects */
};

struct packscan_found {
	uint32_t objects;
	uint64_t largest; /* bytes of the largest one */
};

/*
 * Walks all entries of the pack in memory, inflating each into nothing. NULL when it is well-formed
 * and within the limits, else why not (static); *found is what it came to.
 */
const char *packscan(
    const unsigned char *pack, size_t len, const struct packscan_limits *limits, struct packscan_found *found);

#endif
