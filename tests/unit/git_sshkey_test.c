/* Keys and host keys: what is told of them without any server. */
#include "tests/unit/cmocka_all.h"

#include <string.h>

#include "awo-worker/git/sshkey.h"

static void
kinds(void **state)
{
	(void)state;
	assert_int_equal(sshkey_kind(""), SSHKEY_NONE);
	assert_int_equal(sshkey_kind("ssh-ed25519 AAAA comment"), SSHKEY_NONE);
	assert_int_equal(
	    sshkey_kind("-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n"),
	    SSHKEY_RSA);
	assert_int_equal(sshkey_kind("-----BEGIN DSA PRIVATE KEY-----\nAAAA\n"), SSHKEY_DSA);
	assert_int_equal(sshkey_kind("-----BEGIN EC PRIVATE KEY-----\nAAAA\n"), SSHKEY_USABLE);
	assert_int_equal(
	    sshkey_kind("-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n"), SSHKEY_LOCKED);
	assert_int_equal(
	    sshkey_kind("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n"), SSHKEY_LOCKED);
	assert_int_equal(sshkey_kind("-----BEGIN OPENSSH PRIVATE KEY-----\n"), SSHKEY_NONE);
	/* "openssh-key-v1", NUL, cipher "none" and "aes256-ctr" */
	assert_int_equal(
	    sshkey_kind(
		"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\nBG5vbmU=\n"),
	    SSHKEY_USABLE);
	assert_int_equal(
	    sshkey_kind(
		"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHI=\n"),
	    SSHKEY_LOCKED);
}

static void
texts(void **state)
{
	CLEAN_BUF struct buf print = {0}, line = {0}, odd = {0};
	unsigned char hash[32];

	(void)state;
	memset(hash, 0xab, sizeof(hash));
	sshkey_fingerprint(hash, &print);
	assert_string_equal(print.p, "SHA256:q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s");
	sshkey_line("[h]:22", "\0\0\0\3abc\0\0\0\1x", 12, &line);
	assert_string_equal(line.p, "[h]:22 abc AAAAA2FiYwAAAAF4");
	/* a length that is a lie */
	sshkey_line("h", "\0\0\0\377abc", 7, &odd);
	assert_string_equal(odd.p, "h  AAAA/2FiYw==");
}

static void
order(void **state)
{
	CLEAN_BUF struct buf out = {0}, none = {0};

	(void)state;
	sshkey_sort_hosts(
	    "h ssh-rsa A\n\nh ecdsa-sha2-nistp256 B\nh ssh-ed25519 C\ni ssh-ed25519 D", &out);
	assert_string_equal(
	    out.p, "h ssh-ed25519 C\ni ssh-ed25519 D\nh ecdsa-sha2-nistp256 B\nh ssh-rsa A\n");
	sshkey_sort_hosts("", &none);
	assert_int_equal(none.len, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(kinds),
	    cmocka_unit_test(texts),
	    cmocka_unit_test(order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
