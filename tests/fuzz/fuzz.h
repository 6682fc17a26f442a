/* What every fuzz target is made of: its one function, and small tools to take an input apart. */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

/*
 * The target. data is a heap block of exactly size bytes, so that a sanitizer sees whoever reads
 * beyond it. Returns 0. Called by libFuzzer, or by replay.c.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold whatever the input was; ends the process, so that the input is kept. */
#define FUZZ_CHECK(cond) ((cond) ? (void)0 : fuzz_failed(#cond, __FILE__, __LINE__))
_Noreturn void fuzz_failed(const char *cond, const char *file, int line);

/* An input that is read from its front; what is missing reads as 0. */
struct fuzz_in {
	const uint8_t *p;
	size_t len;
};
unsigned fuzz_u8(struct fuzz_in *in);
unsigned fuzz_u16(struct fuzz_in *in); /* big-endian */
/*
 * What stands before the next byte of the given value, or before the end; a copy with a NUL behind
 * it, in *len its length. The byte itself is skipped. Caller frees.
 */
char *fuzz_until(struct fuzz_in *in, uint8_t end, size_t *len);
/* The sizes in which bytes arrive: 1 to 64 KiB, different ones, the same for one seed. */
size_t fuzz_piece(uint32_t *seed, size_t left);

/* A memory file with these bytes; the same descriptor each time. */
int fuzz_file(const void *p, size_t len);
/* A directory of this process, removed at its end. */
const char *fuzz_dir(void);
void fuzz_write(const char *name, const void *p, size_t len); /* in fuzz_dir() */

#endif
