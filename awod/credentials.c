/* Secrets at rest: the key file, sealing and opening with libsodium's secretbox, masks and hashes.
 */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "awod/credentials.h"
#include "common/buf.h"
#include "common/clean.h"
#include "common/files.h"

#define KEY_LEN crypto_secretbox_KEYBYTES
#define FORMAT 1 /* first byte of what is sealed */
#define SEALED_MAX (1U << 20)

struct keyring {
	unsigned char key[KEY_LEN];
};

/* Reads exactly a key from an open file; -1 with errno (EINVAL: another length). */
static int
read_key(int fd, unsigned char key[KEY_LEN])
{
	unsigned char more;
	size_t have = 0;

	while (have < KEY_LEN) {
		ssize_t n = read(fd, key + have, KEY_LEN - have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		have += (size_t)n;
	}
	if (have == KEY_LEN && read(fd, &more, 1) == 0)
		return 0;
	errno = EINVAL;
	return -1;
}

/* A new key under a name that is not there yet. A file beside it, synced, then linked: never half a
 * key. */
static int
make_key(const char *path, struct awo_err *err)
{
	unsigned char key[KEY_LEN], random[8];
	char suffix[2 * sizeof(random) + 1];
	char *beside CLEAN_FREE = NULL;
	char *dir CLEAN_FREE = xstrdup(path);
	char *slash = strrchr(dir, '/');
	int fd CLEAN_FD = -1, dirfd CLEAN_FD = -1;
	int result = 0;

	randombytes_buf(random, sizeof(random));
	sodium_bin2hex(suffix, sizeof(suffix), random, sizeof(random));
	beside = xasprintf("%s.%s", path, suffix);
	if (slash)
		slash[slash == dir] = '\0';

	fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return ERR(err, UNAVAILABLE, "credentials.key_file",
		    "cannot make the key file %s: %s", path, strerror(errno));
	randombytes_buf(key, sizeof(key));
	/* the mode is set again because the umask may have taken bits from the owner */
	if (fchmod(fd, 0600) < 0 || files_write_all(fd, key, sizeof(key)) < 0 || fsync(fd) < 0)
		result = ERR(err, UNAVAILABLE, "credentials.key_file",
		    "cannot write the key file %s: %s", path, strerror(errno));
	else if (link(beside, path) < 0 &&
		 errno != EEXIST) /* another process may have been first: its key holds */
		result = ERR(err, UNAVAILABLE, "credentials.key_file",
		    "cannot make the key file %s: %s", path, strerror(errno));
	sodium_memzero(key, sizeof(key));
	unlink(beside);
	dirfd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (result == 0 && (dirfd < 0 || fsync(dirfd) < 0))
		result = ERR(err, UNAVAILABLE, "credentials.key_file",
		    "cannot sync the directory of the key file %s: %s", path, strerror(errno));
	return result;
}

static int
load_key(const char *path, bool own, unsigned char key[KEY_LEN], struct awo_err *err)
{
	int fd CLEAN_FD = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return ERR(err, UNAVAILABLE, "credentials.key_file",
		    "cannot open the key file %s: %s", path, strerror(errno));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return ERR(err, FAILED_PRECONDITION, "credentials.key_file",
		    "the key file %s is not a regular file", path);
	if (own && st.st_uid != geteuid() && st.st_uid != 0)
		return ERR(err, FAILED_PRECONDITION, "credentials.key_file",
		    "the key file %s belongs to another user (uid %u); remove it if its secrets "
		    "are not needed, or run chown %u %s",
		    path, (unsigned)st.st_uid, (unsigned)geteuid(), path);
	/* systemd hands credentials over read-only for the service alone, with a mode of its own */
	if (own && (st.st_mode & 077) != 0)
		return ERR(err, FAILED_PRECONDITION, "credentials.key_file",
		    "the key file %s has mode %04o, so others may have read it; run chmod 0600 %s, "
		    "and replace the stored "
		    "credentials if they did",
		    path, (unsigned)(st.st_mode & 07777), path);
	if (read_key(fd, key) < 0)
		return ERR(err, FAILED_PRECONDITION, "credentials.key_file",
		    errno == EINVAL
			? "the key file %s must hold exactly 32 bytes; restore it from a backup%s"
			: "cannot read the key file %s: %s",
		    path, errno == EINVAL ? "" : strerror(errno));
	return 0;
}

struct keyring *
keyring_open(const char *path, struct awo_err *err)
{
	const char *directory = getenv("CREDENTIALS_DIRECTORY");
	char *credential CLEAN_FREE =
	    directory && *directory == '/' ? xasprintf("%s/awo-key", directory) : NULL;
	struct keyring *k;
	bool own = true;

	if (sodium_init() < 0) {
		ERR(err, INTERNAL, "",
		    "libsodium cannot be used: it found no source of random numbers");
		return NULL;
	}
	k = sodium_malloc(sizeof(*k));
	if (!k) {
		ERR(err, RESOURCE_EXHAUSTED, "",
		    "no locked memory for the key; raise RLIMIT_MEMLOCK");
		return NULL;
	}
	if (credential && access(credential, F_OK) == 0) {
		path = credential;
		own = false;
	} else if (access(path, F_OK) < 0 && errno == ENOENT && make_key(path, err) < 0)
		goto fail;
	if (load_key(path, own, k->key, err) < 0)
		goto fail;
	return k;
fail:
	sodium_free(k);
	return NULL;
}

void
keyring_close(struct keyring *k)
{
	sodium_free(k); /* wipes; NULL accepted */
}

/*
 * What is sealed: format byte, nonce, box. The key of a box is derived from the keyring's and the
 * context by keyed BLAKE2b: a row that was moved to another name or owner does not open.
 */
static void
derive(const struct keyring *k, const char *context, unsigned char key[KEY_LEN])
{
	crypto_generichash(
	    key, KEY_LEN, (const unsigned char *)context, strlen(context), k->key, KEY_LEN);
}

void *
keyring_seal(const struct keyring *k, const char *context, const char *secret, size_t *len)
{
	size_t n = strlen(secret);
	unsigned char key[KEY_LEN];
	unsigned char *out;

	*len = 1 + crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES + n;
	out = xcalloc(1, *len);
	out[0] = FORMAT;
	randombytes_buf(out + 1, crypto_secretbox_NONCEBYTES);
	derive(k, context, key);
	crypto_secretbox_easy(
	    out + 1 + crypto_secretbox_NONCEBYTES, (const unsigned char *)secret, n, out + 1, key);
	sodium_memzero(key, sizeof(key));
	return out;
}

char *
keyring_open_sealed(const struct keyring *k, const char *context, const void *sealed, size_t len,
    struct awo_err *err)
{
	const size_t head = 1 + crypto_secretbox_NONCEBYTES;
	const unsigned char *p = sealed;
	unsigned char key[KEY_LEN];
	char *out;
	size_t n;
	int bad;

	if (len < head + crypto_secretbox_MACBYTES || len > SEALED_MAX || p[0] != FORMAT) {
		ERR(err, INTERNAL, "", "a stored credential is damaged; store it again");
		return NULL;
	}
	n = len - head - crypto_secretbox_MACBYTES;
	out = xcalloc(1, n + 1);
	derive(k, context, key);
	bad = crypto_secretbox_open_easy((unsigned char *)out, p + head, len - head, p + 1, key);
	sodium_memzero(key, sizeof(key));
	if (bad || memchr(out, '\0', n)) {
		sodium_memzero(out, n);
		free(out);
		ERR(err, INTERNAL, "",
		    "a stored credential cannot be decrypted: the key file was replaced, or the "
		    "row is another's; "
		    "store the credential again");
		return NULL;
	}
	return out;
}

void
secret_free(char *s)
{
	if (!s)
		return;
	sodium_memzero(s, strlen(s));
	free(s);
}

void
secret_mask(const char *s, char out[16])
{
	size_t n = strlen(s), at = n - 4;

	memcpy(out, "***", 4);
	/* four characters of a short secret would be too much of it */
	if (n < 12)
		return;
	/* characters, not bytes: step over the rest of one that was cut */
	while (at < n && ((unsigned char)s[at] & 0xc0) == 0x80)
		at++;
	for (size_t i = at; i < n; i++)
		if ((unsigned char)s[i] < ' ' || s[i] == 0x7f)
			return;
	memcpy(out + 3, s + at, n - at + 1);
}

void
token_hash(const char *token, unsigned char hash[32])
{
	crypto_generichash(hash, 32, (const unsigned char *)token, strlen(token), NULL, 0);
}
