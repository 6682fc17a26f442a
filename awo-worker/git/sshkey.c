/* What must be known of ssh keys and host keys before libssh2 gets them. */
#include "awo-worker/git/sshkey.h"

#include <stdbool.h>
#include <string.h>

#include "common/clean.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void
base64_add(struct buf *out, const unsigned char *p, size_t n, bool pad)
{
	for (size_t i = 0; i < n; i += 3) {
		unsigned v = (unsigned)p[i] << 16;
		size_t have = n - i < 3 ? n - i : 3;

		if (have > 1)
			v |= (unsigned)p[i + 1] << 8;
		if (have > 2)
			v |= p[i + 2];
		for (size_t k = 0; k <= have; k++)
			buf_addc(out, alphabet[v >> (18 - 6 * k) & 63]);
		for (size_t k = have; pad && k < 3; k++)
			buf_addc(out, '=');
	}
}

/* Decodes up to the first '-' of the end marker; anything else that is no digit is skipped. */
static void
base64_read(struct buf *out, const char *s)
{
	unsigned v = 0, bits = 0;

	for (; *s != '\0' && *s != '-' && *s != '='; s++) {
		const char *d = strchr(alphabet, *s);

		if (d == NULL)
			continue;
		v = v << 6 | (unsigned)(d - alphabet);
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			buf_addc(out, (char)(v >> bits & 255));
		}
		v &= 0xffffU;
	}
}

static bool
has(const struct buf *b, const char *needle)
{
	return b->p != NULL && memmem(b->p, b->len, needle, strlen(needle)) != NULL;
}

enum sshkey_kind
sshkey_kind(const char *pem)
{
	static const char begin[] = "-----BEGIN OPENSSH PRIVATE KEY-----";
	static const char magic[] = "openssh-key-v1\0\0\0\0\4none";
	CLEAN_BUF struct buf raw = {0};
	enum sshkey_kind kind = SSHKEY_USABLE;
	const char *s;

	if (strstr(pem, "PRIVATE KEY-----") == NULL)
		return SSHKEY_NONE;
	if (strstr(pem, "ENCRYPTED") != NULL)
		return SSHKEY_LOCKED;
	if (strstr(pem, "BEGIN RSA PRIVATE KEY") != NULL)
		return SSHKEY_RSA;
	if (strstr(pem, "BEGIN DSA PRIVATE KEY") != NULL)
		return SSHKEY_DSA;
	if ((s = strstr(pem, begin)) != NULL) {
		base64_read(&raw, s + sizeof(begin) - 1);
		if (raw.len < sizeof(magic) - 1)
			kind = SSHKEY_NONE;
		else if (memcmp(raw.p, magic, sizeof(magic) - 1) != 0)
			kind = SSHKEY_LOCKED;
		else if (has(&raw, "ssh-rsa"))
			kind = SSHKEY_RSA;
		else if (has(&raw, "ssh-dss"))
			kind = SSHKEY_DSA;
	} else if ((s = strstr(pem, "-----BEGIN PRIVATE KEY-----")) != NULL) {
		/* PKCS#8: the algorithm is an object identifier; 1.2.840.113549.1.1.1 is RSA. */
		base64_read(&raw, s + sizeof("-----BEGIN PRIVATE KEY-----") - 1);
		if (has(&raw, "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"))
			kind = SSHKEY_RSA;
	}
	if (raw.p != NULL)
		explicit_bzero(raw.p, raw.len);
	return kind;
}

void
sshkey_fingerprint(const unsigned char hash[32], struct buf *out)
{
	buf_adds(out, "SHA256:");
	base64_add(out, hash, 32, false);
}

void
sshkey_line(const char *host, const char *key, size_t len, struct buf *out)
{
	const unsigned char *k = (const unsigned char *)key;
	size_t n;

	buf_printf(out, "%s ", host);
	/* The blob begins with the length and the name of its kind. */
	if (len > 4) {
		n = (size_t)k[2] << 8 | k[3];
		if (k[0] == 0 && k[1] == 0 && n <= 64 && n <= len - 4)
			buf_add(out, key + 4, n);
	}
	buf_addc(out, ' ');
	base64_add(out, k, len, true);
}

/* 0: ed25519, 1: ecdsa, 2: the rest. */
static int
rank(const char *line, size_t len)
{
	if (memmem(line, len, " ssh-ed25519 ", 13) != NULL)
		return 0;
	return memmem(line, len, " ecdsa-sha2-", 12) != NULL ? 1 : 2;
}

void
sshkey_sort_hosts(const char *text, struct buf *out)
{
	for (int want = 0; want < 3; want++) {
		for (const char *s = text, *e; *s != '\0'; s = *e != '\0' ? e + 1 : e) {
			e = strchrnul(s, '\n');
			if (e > s && rank(s, (size_t)(e - s)) == want) {
				buf_add(out, s, (size_t)(e - s));
				buf_addc(out, '\n');
			}
		}
	}
}
