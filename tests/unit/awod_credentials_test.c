/* Secrets at rest: the key file's making and refusal, sealing bound to a context, damage, masks,
 * hashes. */
#include "cmocka_all.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "awod/credentials.h"
#include "common/buf.h"
#include "common/clean.h"
#include "common/files.h"

struct place {
	char dir[64], key[96];
};

static int
set_up(void **state)
{
	struct place *p = xcalloc(1, sizeof(*p));

	unsetenv("CREDENTIALS_DIRECTORY");
	snprintf(p->dir, sizeof(p->dir), "/tmp/awo-keys-XXXXXX");
	*state = p;
	if (!mkdtemp(p->dir))
		return -1;
	snprintf(p->key, sizeof(p->key), "%s/key", p->dir);
	return 0;
}

static int
tear_down(void **state)
{
	struct place *p = *state;
	int rc = files_remove_tree(AT_FDCWD, p->dir, NULL);

	unsetenv("CREDENTIALS_DIRECTORY");
	free(p);
	return rc;
}

static void
test_round_trip(void **state)
{
	struct place *p = *state;
	static const char *const secrets[] = {
	    "", "x", "ghp_0123456789", "-----BEGIN KEY-----\nabc\n\xc3\xa9\n"};
	struct keyring *k = keyring_open(p->key, NULL);

	assert_non_null(k);
	for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
		size_t n1, n2;
		void *a = keyring_seal(k, "1000/name", secrets[i], &n1);
		void *b = keyring_seal(k, "1000/name", secrets[i], &n2);
		char *s = keyring_open_sealed(k, "1000/name", a, n1, NULL);

		assert_non_null(s);
		assert_string_equal(s, secrets[i]);
		secret_free(s);
		/* a nonce each */
		assert_int_equal(n1, n2);
		assert_memory_not_equal(a, b, n1);
		if (strlen(secrets[i]) > 4)
			assert_null(memmem(a, n1, secrets[i], strlen(secrets[i])));
		free(a);
		free(b);
	}
	keyring_close(k);
	keyring_close(NULL);
	secret_free(NULL);
}

static void
test_what_does_not_open(void **state)
{
	struct place *p = *state;
	char *other CLEAN_FREE = xasprintf("%s/other", p->dir);
	struct keyring *k = keyring_open(p->key, NULL), *k2 = keyring_open(other, NULL);
	struct awo_err err = {0};
	size_t n;
	unsigned char *sealed = keyring_seal(k, "1000/name", "ghp_secret", &n);

	assert_null(
	    keyring_open_sealed(k, "1000/other", sealed, n, &err)); /* a row that was moved */
	assert_null(strstr(err.msg, "ghp_secret"));
	assert_null(keyring_open_sealed(k, "1001/name", sealed, n, &err));
	assert_null(keyring_open_sealed(k2, "1000/name", sealed, n, &err)); /* another key */
	for (size_t i = 0; i < n; i++) {				    /* any bit */
		sealed[i] ^= 1;
		assert_null(keyring_open_sealed(k, "1000/name", sealed, n, &err));
		sealed[i] ^= 1;
	}
	for (size_t i = 0; i < n; i++) /* any length */
		assert_null(keyring_open_sealed(k, "1000/name", sealed, i, &err));
	assert_int_equal(err.code, AWO_INTERNAL);
	free(sealed);
	keyring_close(k);
	keyring_close(k2);
}

static void
test_key_file(void **state)
{
	struct place *p = *state;
	struct awo_err err = {0};
	struct keyring *k;
	struct stat st;
	mode_t mask = umask(0777); /* the mode does not depend on it */
	size_t n;
	void *sealed;
	char *s, *link_path CLEAN_FREE = xasprintf("%s/link", p->dir);

	k = keyring_open(p->key, &err);
	umask(mask);
	assert_non_null(k);
	assert_int_equal(stat(p->key, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, 32);
	sealed = keyring_seal(k, "c", "secret", &n);
	keyring_close(k);

	/* the same key next time */
	k = keyring_open(p->key, NULL);
	s = keyring_open_sealed(k, "c", sealed, n, NULL);
	assert_string_equal(s, "secret");
	secret_free(s);
	free(sealed);
	keyring_close(k);

	for (unsigned mode = 0604; mode <= 0660; mode += 034) {
		assert_int_equal(chmod(p->key, (mode_t)mode), 0);
		assert_null(keyring_open(p->key, &err));
		assert_int_equal(err.code, AWO_FAILED_PRECONDITION);
		assert_non_null(strstr(err.msg, "chmod 0600"));
	}
	assert_int_equal(chmod(p->key, 0600), 0);
	assert_int_equal(symlink(p->key, link_path), 0);
	assert_null(keyring_open(link_path, &err));
	assert_int_equal(truncate(p->key, 31), 0);
	assert_null(keyring_open(p->key, &err));
	assert_non_null(strstr(err.msg, "32 bytes"));
	assert_int_equal(truncate(p->key, 33), 0);
	assert_null(keyring_open(p->key, &err));
	assert_int_equal(unlink(p->key), 0);
	assert_int_equal(mkfifo(p->key, 0600), 0);
	assert_null(keyring_open(p->key, &err)); /* and does not hang */
	assert_non_null(strstr(err.msg, "regular file"));
	unlink(p->key);
	assert_null(keyring_open("/tmp/awo-no-such-directory/key", &err));
	assert_int_equal(err.code, AWO_UNAVAILABLE);
}

/* Several processes that find no key at once end with one and the same. */
static void
test_key_is_made_once(void **state)
{
	struct place *p = *state;
	pid_t pids[6];
	int fds[2];
	void *sealed[6];
	struct keyring *k;

	assert_int_equal(pipe(fds), 0);
	for (int i = 0; i < 6; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			struct keyring *mine = keyring_open(p->key, NULL);
			size_t n;
			void *box = mine ? keyring_seal(mine, "c", "0123456", &n) : NULL;

			_exit(box && write(fds[1], box, n) == (ssize_t)n && n == 48 ? 0 : 1);
		}
	}
	for (int i = 0; i < 6; i++) {
		int status;

		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	k = keyring_open(p->key, NULL);
	for (int i = 0; i < 6; i++) {
		char *s;

		sealed[i] = xcalloc(1, 48);
		assert_int_equal(read(fds[0], sealed[i], 48), 48);
		s = keyring_open_sealed(k, "c", sealed[i], 48, NULL);
		assert_non_null(s);
		secret_free(s);
		free(sealed[i]);
	}
	keyring_close(k);
	close(fds[0]);
	close(fds[1]);
}

static void
test_systemd_credential(void **state)
{
	struct place *p = *state;
	char *path CLEAN_FREE = xasprintf("%s/awo-key", p->dir);
	struct keyring *k;

	/* its mode is systemd's business */
	assert_int_equal(
	    files_replace(AT_FDCWD, path, "01234567890123456789012345678901", 32, 0440), 0);
	setenv("CREDENTIALS_DIRECTORY", p->dir, 1);
	k = keyring_open(p->key, NULL);
	assert_non_null(k);
	assert_int_equal(access(p->key, F_OK), -1);
	keyring_close(k);
}

static void
test_mask_and_hash(void **state)
{
	static const struct {
		const char *s, *mask;
	} masks[] = {{"", "***"}, {"abc", "***"}, {"abcdefghijk", "***"},
	    {"abcdefghijkl", "***ijkl"}, {"ghp_0123456789abcdef", "***cdef"},
	    {"abcdefghijklm\n", "***"}, {"abcdefghijk\xe2\x82\xacxy", "***xy"}};
	unsigned char a[32], b[32];
	char out[16];

	(void)state;
	for (size_t i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
		secret_mask(masks[i].s, out);
		assert_string_equal(out, masks[i].mask);
	}
	token_hash("awo_1", a);
	token_hash("awo_1", b);
	assert_memory_equal(a, b, 32);
	token_hash("awo_2", b);
	assert_memory_not_equal(a, b, 32);
	/* BLAKE2b-256 of "abc" */
	token_hash("abc", a);
	assert_memory_equal(
	    a, "\xbd\xdd\x81\x3c\x63\x42\x39\x72\x31\x71\xef\x3f\xee\x98\x57\x9b", 16);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_round_trip, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_what_does_not_open, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_key_file, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_key_is_made_once, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_systemd_credential, set_up, tear_down),
	    cmocka_unit_test(test_mask_and_hash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
