/* awo-forge: one call to a forge's API a run, with the credential of that call alone. */
#include "awo-worker/forge/verbs.h"

#include <curl/curl.h>
#include <stdlib.h>

#define X(fn, name, needs, seconds) {name, needs, forge_##fn, seconds},
static const struct task_verb verbs[] = {FORGE_VERBS(X)};
#undef X

static int
prepare(struct task *t)
{
	const char *token = task_str_opt(t, "token", 65536);

	if (task_failed(t))
		return -1;
	/* no proxy, no certificates, no home but the system's own */
	clearenv();
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return TASK_FAIL(t, "internal", "other", "curl does not start");
	if ((t->needs & NEED_TOKEN) && (token == NULL || *token == '\0'))
		return TASK_FAIL(t, "github", "auth",
		    "GitHub needs a token for this; store one: awoctl credential set NAME --kind "
		    "github_token");
	return 0;
}

int
main(int argc, char **argv)
{
	static const struct task_program program = {"awo-forge", verbs,
	    sizeof(verbs) / sizeof(verbs[0]), NULL, prepare, "transient",
	    "the API did not answer in time"};
	int rc = task_main(&program, argc, argv);

	curl_global_cleanup();
	return rc;
}
