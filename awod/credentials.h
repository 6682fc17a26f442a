/* Secrets at rest: a key file, sealing and opening with it. Never logs, never returns a secret in an error. */
#ifndef AWOD_CREDENTIALS_H
#define AWOD_CREDENTIALS_H

#include <stddef.h>

#include "common/err.h"

struct keyring;

/* The key of $CREDENTIALS_DIRECTORY/awo-key, else of the file (made with mode 0600 when missing; refused when others may read it). */
struct keyring *keyring_open(const char *path, struct awo_err *err);
void keyring_close(struct keyring *k);		/* wipes the key */
/* libsodium secretbox with a random nonce; context (owner and name) is bound in, so rows cannot be swapped. */
void *keyring_seal(const struct keyring *k, const char *context, const char *secret, size_t *len);
char *keyring_open_sealed(const struct keyring *k, const char *context, const void *sealed, size_t len, struct awo_err *err);	/* wipe with secret_free() */
void secret_free(char *s);
void secret_mask(const char *s, char out[16]);	/* "***abcd"; "***" for short ones */
void token_hash(const char *token, unsigned char hash[32]);	/* BLAKE2b-256 */

#endif
