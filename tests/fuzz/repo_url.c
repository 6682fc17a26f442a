/* Addresses of repositories, as anybody may spell them. */
#include "common/repo_url.h"

#include <string.h>

#include "common/clean.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	char *text CLEAN_FREE = fuzz_until(&in, 0, NULL);
	struct repo_url u, again;
	struct awo_err err = {0};
	size_t len;

	if (repo_url_parse(text, &u, &err) != 0) {
		FUZZ_CHECK(err.code != AWO_OK && err.msg[0] != '\0');
		return 0;
	}
	/* the canonical form is one: it is accepted, and stays as it is */
	if (repo_url_parse(u.canonical, &again, &err) != 0)
		fuzz_failed(err.msg, __FILE__, __LINE__);
	len = strlen(u.canonical);
	if (len > 4 && strcmp(u.canonical + len - 4, ".git") == 0 && u.scheme != REPO_FILE)
		return 0; /* of "r.git.git": one .git is taken off each time */
	FUZZ_CHECK(strcmp(u.canonical, again.canonical) == 0);
	FUZZ_CHECK(u.scheme == again.scheme && u.port == again.port);
	FUZZ_CHECK(strcmp(u.path, again.path) == 0 && strcmp(u.host, again.host) == 0);
	/* nothing that a program would take for an option, or a path for its parent */
	FUZZ_CHECK(u.host[0] != '-' && u.user[0] != '-' && u.canonical[0] != '-');
	FUZZ_CHECK(strstr(u.path, "/../") == NULL && strpbrk(u.canonical, "\r\n\t") == NULL);
	FUZZ_CHECK(u.scheme == REPO_FILE || strchr(u.canonical, ' ') == NULL);
	FUZZ_CHECK((u.scheme == REPO_FILE) == (u.path[0] == '/'));
	return 0;
}
