/* Spreads text over the buckets of a table (FNV-1a): for keys that nobody chooses to collide. */
#ifndef COMMON_HASH_H
#define COMMON_HASH_H

#include <stddef.h>
#include <stdint.h>

/* NULL is as "". */
static inline uint64_t
hash_text(const char *s)
{
	uint64_t h = 14695981039346656037U;

	for (; s != NULL && *s != '\0'; s++)
		h = (h ^ (unsigned char)*s) * 1099511628211U;
	return h;
}

#endif
