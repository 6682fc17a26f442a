/* The configuration out of two files, stored settings and an environment. */
#include "awod/config.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "common/clean.h"
#include "tests/fuzz/fuzz.h"

#define ENV_MAX 64

static void
look(const struct config *c, const json_t *stored)
{
	struct p_settings_answer answer;
	struct awo_err err = {0};
	const char *key;
	json_t *value;
	static int null = -1;
	bool restart;

	if (null < 0)
		null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	config_print(c, null);
	FUZZ_CHECK(config_settings(c, NULL, &answer, &err) == 0);
	P_FREE(settings_answer, &answer);
	json_object_foreach((json_t *)(uintptr_t)stored, key, value)
	{
		if (config_settings(c, key, &answer, &err) == 0)
			P_FREE(settings_answer, &answer);
		(void)config_check_setting(c, key, value, &restart, &err);
	}
	for (size_t i = 0; i < c->nagents; i++)
		FUZZ_CHECK(config_agent(c, c->agents[i].name) == &c->agents[i]);
}

/* config.yaml, agents.yaml, stored settings, the environment's lines: a NUL behind each. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	size_t n, nenv = 0;
	char *text, *env[ENV_MAX + 1] = {NULL};
	struct config_input input = {.user_mode = size % 2 == 0, .config_dir = fuzz_dir()};
	struct awo_err err = {0};
	struct config *c;
	json_t *stored CLEAN_JSON = NULL;

	text = fuzz_until(&in, 0, &n);
	fuzz_write("config.yaml", text, n);
	free(text);
	text = fuzz_until(&in, 0, &n);
	fuzz_write("agents.yaml", text, n);
	free(text);
	text = fuzz_until(&in, 0, &n);
	stored = json_loadb(text, n, 0, NULL);
	free(text);
	while (in.len > 0 && nenv < ENV_MAX) {
		text = fuzz_until(&in, '\n', NULL);
		if (strchr(text, '=') != NULL)
			env[nenv++] = text;
		else
			free(text);
	}
	input.environ = env;
	input.stored = json_is_object(stored) ? stored : NULL;
	c = config_load(&input, &err);
	if (c != NULL)
		look(c, input.stored);
	else
		FUZZ_CHECK(err.code != AWO_OK && err.msg[0] != '\0');
	config_free(c);
	for (size_t i = 0; i < nenv; i++)
		free(env[i]);
	return 0;
}
