/* Private keys, host keys and known_hosts. */
#include "awo-worker/git/sshkey.h"

#include <stdlib.h>
#include <string.h>

#include "common/clean.h"
#include "tests/fuzz/fuzz.h"

/* One byte: a private key, the host key of a server, or known_hosts. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	CLEAN_BUF struct buf out = {0};
	unsigned what = fuzz_u8(&in) % 3;
	unsigned char hash[32] = {0};
	char *text CLEAN_FREE = NULL;
	size_t lines = 0;

	if (what == 1) {
		memcpy(hash, in.p, in.len < sizeof(hash) ? in.len : sizeof(hash));
		sshkey_fingerprint(hash, &out);
		FUZZ_CHECK(out.len == 7 + 43);
		sshkey_line("host", (const char *)in.p, in.len, &out);
		return 0;
	}
	text = fuzz_until(&in, 0, NULL);
	if (what == 0) {
		FUZZ_CHECK(sshkey_kind(text) <= SSHKEY_NONE);
		return 0;
	}
	sshkey_sort_hosts(text, &out);
	/* no line is lost, but for empty ones */
	for (const char *p = text; *p != '\0'; p += strcspn(p, "\n"), p += *p == '\n')
		lines += *p != '\n';
	for (size_t i = 0; i < out.len; i++)
		lines -= out.p[i] == '\n';
	FUZZ_CHECK(lines == 0);
	return 0;
}
