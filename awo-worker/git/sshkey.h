/* What must be known of ssh keys and host keys before libssh2 gets them. */
#ifndef GIT_SSHKEY_H
#define GIT_SSHKEY_H

#include <stddef.h>

#include "common/buf.h"

enum sshkey_kind {
	SSHKEY_USABLE, /* ed25519, ecdsa, or a form that libssh2 will judge */
	SSHKEY_RSA,    /* libssh2 1.10 signs with SHA-1, which servers refuse */
	SSHKEY_DSA,
	SSHKEY_LOCKED, /* needs a passphrase */
	SSHKEY_NONE,   /* no private key at all */
};

/* Looks at a private key in PEM or OpenSSH form; never keeps any of it. */
enum sshkey_kind sshkey_kind(const char *pem);
/* "SHA256:..." as ssh-keygen shows it, of the 32 bytes of a hash. */
void sshkey_fingerprint(const unsigned char hash[32], struct buf *out);
/* The host key in the form of a known_hosts line: "host type base64". */
void sshkey_line(const char *host, const char *key, size_t len, struct buf *out);
/*
 * Lines of known_hosts with the kinds that servers and libssh2 agree on first: libssh2 asks the
 * server for the kind of the first line that names the host.
 */
void sshkey_sort_hosts(const char *text, struct buf *out);

#endif
