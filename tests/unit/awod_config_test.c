/* The configuration: defaults, the order of sources, errors with place and remedy, agents,
 * settings, printing. */
#include "cmocka_all.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "awod/config.h"
#include "common/buf.h"
#include "common/clean.h"
#include "common/files.h"
#include "common/log.h"

struct place {
	char dir[64];
	int fd;
};

static int
set_up(void **state)
{
	struct place *p = xcalloc(1, sizeof(*p));

	log_open("test", LOG_FMT_TEXT, LOG_LVL_ERROR);
	snprintf(p->dir, sizeof(p->dir), "/tmp/awo-config-XXXXXX");
	*state = p;
	if (!mkdtemp(p->dir))
		return -1;
	p->fd = open(p->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return 0;
}

static int
tear_down(void **state)
{
	struct place *p = *state;
	int rc;

	close(p->fd);
	rc = files_remove_tree(AT_FDCWD, p->dir, NULL);
	free(p);
	return rc;
}

/* Loads with these texts (NULL: no such file), environment and stored settings (JSON). */
static struct config *
load(struct place *p, const char *yaml, const char *agents, char *const *env, const char *stored,
    bool user, struct awo_err *err)
{
	json_t *tree CLEAN_JSON = stored ? json_loads(stored, 0, NULL) : NULL;
	struct config_input in = {
	    .user_mode = user, .config_dir = p->dir, .environ = env, .stored = tree};

	unlinkat(p->fd, "config.yaml", 0);
	unlinkat(p->fd, "agents.yaml", 0);
	if (yaml)
		assert_int_equal(files_replace(p->fd, "config.yaml", yaml, strlen(yaml), 0600), 0);
	if (agents)
		assert_int_equal(
		    files_replace(p->fd, "agents.yaml", agents, strlen(agents), 0600), 0);
	memset(err, 0, sizeof(*err));
	return config_load(&in, err);
}

static struct config *
must_load(struct place *p, const char *yaml, char *const *env, const char *stored)
{
	struct awo_err err;
	struct config *c = load(p, yaml, NULL, env, stored, true, &err);

	if (!c)
		fail_msg("%s", err.msg);
	return c;
}

/* Effective value as JSON text; source in *source. */
static char *
shown(const struct config *c, const char *key, char source[512])
{
	struct p_settings_answer a;
	struct awo_err err;
	char *text;

	if (config_settings(c, key, &a, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(a.settings.n, 1);
	text = json_dumps(a.settings.v[0].value, JSON_ENCODE_ANY);
	if (source)
		snprintf(source, 512, "%s%s", a.settings.v[0].source,
		    a.settings.v[0].fixed ? " (fixed)" : "");
	P_FREE(settings_answer, &a);
	return text;
}

static void
check(const struct config *c, const char *key, const char *value, const char *source)
{
	char from[512];
	char *text CLEAN_FREE = shown(c, key, from);

	if (strcmp(text, value) != 0 || strcmp(from, source) != 0)
		fail_msg("%s is %s from %s, not %s from %s", key, text, from, value, source);
}

/* A pipe has nothing to say: taking that for an empty file would give every key its default. */
static void
test_no_regular_file(void **state)
{
	struct place *p = *state;
	struct config_input in = {.user_mode = true, .config_dir = p->dir};
	struct awo_err err = {0};

	unlinkat(p->fd, "config.yaml", 0);
	assert_int_equal(mkfifoat(p->fd, "config.yaml", 0600), 0);
	assert_null(config_load(&in, &err));
	assert_non_null(strstr(err.msg, "no regular file"));
	unlinkat(p->fd, "config.yaml", 0);
}

static void
test_defaults(void **state)
{
	struct place *p = *state;
	struct awo_err err;
	struct config *user = load(p, NULL, NULL, NULL, NULL, true, &err);
	struct config *system = load(p, "# nothing but a comment\n", NULL, NULL, NULL, false, &err);

	assert_non_null(user);
	assert_non_null(system);
	assert_int_equal(user->max_concurrent, 5);
	assert_true(user->trust_repository);
	assert_false(system->trust_repository);
	assert_string_equal(user->socket_mode, "0600");
	assert_string_equal(system->socket_mode, "0660");
	assert_string_equal(user->allow_local, "all");
	assert_string_equal(system->allow_local, "none");
	assert_null(user->github_token);
	assert_int_equal(user->sandbox_require.n, 5);
	assert_int_equal(user->gateway_cors_origins.n, 0);
	assert_string_equal(config_agent(user, "claude")->program, "claude");
	assert_string_equal(config_agent(user, "demo")->adapter, "claude");
	assert_string_equal(config_agent(user, "codex")->keys.v[0], "OPENAI_API_KEY");
	assert_int_equal(config_agent(user, "claude")->keys.n, 3);
	assert_null(config_agent(user, "nobody"));
	check(user, "max_concurrent", "5", "default");
	config_free(user);
	config_free(system);
	config_free(NULL);
}

static void
test_file(void **state)
{
	struct place *p = *state;
	struct config *c = must_load(p,
	    "max_concurrent: 7\n"
	    "timeouts:\n"
	    "  step: 90\n"
	    "  idle: 15m\n"
	    "  order: \"2h\"\n"
	    "git:\n"
	    "  branch_id: keep\n"
	    "  author_name:\n"
	    "socket: {mode: 0666, gateway_user: 1001}\n"
	    "sandbox:\n"
	    "  require: [seccomp, landlock]\n"
	    "tests: {must_pass: false}\n"
	    "artifacts: {prompts: false}\n"
	    "retention:\n",
	    NULL, NULL);

	assert_int_equal(c->max_concurrent, 7);
	assert_int_equal(c->timeout_step, 90);
	assert_int_equal(c->timeout_idle, 900);
	assert_int_equal(c->timeout_order, 7200);
	assert_string_equal(c->branch_id, "keep");
	assert_string_equal(c->author_name, "AWO Agent");
	assert_string_equal(c->socket_mode, "666");
	assert_string_equal(c->socket_gateway_user, "1001");
	assert_int_equal(c->sandbox_require.n, 2);
	assert_false(c->tests_must_pass);
	assert_false(c->artifact_prompts);
	assert_true(c->artifact_outputs);
	check(c, "timeouts.idle", "900", "config.yaml:4:3");
	/* both are false, and have each their place */
	check(c, "tests.must_pass", "false", "config.yaml:12:9");
	check(c, "artifacts.prompts", "false", "config.yaml:13:13");
	config_free(c);
}

static void
test_precedence(void **state)
{
	char *env[] = {(char[]){"AWO_MAX_CONCURRENT=9"}, (char[]){"LOG_LEVEL=WARN"},
	    (char[]){"AGENT_WORK_ORDER_TIMEOUT=10m"}, (char[]){"ENABLE_PROMPT_LOGGING=0"},
	    (char[]){"CORS_ORIGINS= http://a , http://b"}, (char[]){"ARCHON_AWO_PORT=8888"},
	    (char[]){"GITHUB_TOKEN="}, (char[]){"GITHUB_PAT_TOKEN=ghp_0123456789wxyz"}, NULL};
	struct place *p = *state;
	struct config *c =
	    must_load(p, "max_concurrent: 7\nmax_pending_per_user: 70\nlog: {format: json}\n", env,
		"{\"max_concurrent\": 8, \"max_pending_per_user\": 80, \"retry.max_attempts\": 4}");

	check(c, "max_concurrent", "9", "environment AWO_MAX_CONCURRENT (fixed)");
	check(c, "max_pending_per_user", "80", "stored");
	check(c, "retry.max_attempts", "4", "stored");
	check(c, "log.format", "\"json\"", "config.yaml:3:7");
	check(c, "log.level", "\"warning\"", "environment LOG_LEVEL (fixed)");
	check(c, "timeouts.step", "600", "environment AGENT_WORK_ORDER_TIMEOUT (fixed)");
	check(c, "artifacts.prompts", "false", "environment ENABLE_PROMPT_LOGGING (fixed)");
	check(c, "gateway.cors_origins", "[\"http://a\", \"http://b\"]",
	    "environment CORS_ORIGINS (fixed)");
	check(c, "gateway.port", "8888", "environment ARCHON_AWO_PORT (fixed)");
	/* empty is not set; and a secret is shown masked, used whole */
	check(c, "github.token", "\"***wxyz\"", "environment GITHUB_PAT_TOKEN (fixed)");
	assert_string_equal(c->github_token, "ghp_0123456789wxyz");
	config_free(c);
}

/* Stored settings that are wrong by now must not keep awod from starting. */
static void
test_stored_nonsense(void **state)
{
	struct place *p = *state;
	struct config *c = must_load(p, NULL, NULL,
	    "{\"max_concurrent\": \"many\", \"no.such\": 1, \"ports.end\": 42001, "
	    "\"github.token\": \"ghp_stored_in_clear\","
	    "\"agents.claude.model\": \"opus\", \"agents.nobody.model\": \"x\", "
	    "\"agents.default\": \"nobody\","
	    "\"socket.mode\": \"\", \"repositories.allow_local\": \"\", \"log.level\": null, "
	    "\"gateway.rate_limit\": 5}");

	assert_int_equal(c->max_concurrent, 5);
	assert_int_equal(c->gateway_rate_limit, 6000); /* awo-gateway would not see it */
	assert_int_equal(c->ports_end, 60999);
	assert_null(c->github_token);
	assert_string_equal(c->default_agent, "claude");
	assert_string_equal(c->socket_mode, "0600");
	assert_string_equal(c->allow_local, "all");
	check(c, "agents.claude.model", "\"opus\"", "stored");
	config_free(c);
}

static void
test_errors(void **state)
{
	static const struct {
		const char *yaml, *want;
	} cases[] = {
	    {"max_concurent: 7\n",
		"config.yaml:1:1: unknown key \"max_concurent\"; did you mean \"max_concurrent\"?"},
	    {"git:\n  timout: 3\n",
		"config.yaml:2:3: unknown key \"git.timout\"; did you mean \"git.timeout\"?"},
	    {"zzzzzzzzzzzzzzzzzzz: 3\n", "config.yaml:1:1: unknown key \"zzzzzzzzzzzzzzzzzzz\""},
	    {"max_concurrent: 0\n",
		"config.yaml:1:1: max_concurrent is 0; it must be from 1 to 100000"},
	    {"max_concurrent: seven\n", "config.yaml:1:1: max_concurrent must be an integer from 1 "
					"to 100000, not a string"},
	    {"max_concurrent: 1.5\n", "not a decimal fraction"},
	    {"max_concurrent: [1]\n", "not a list"},
	    {"\n\ntimeouts:\n    step: forever\n",
		"config.yaml:4:5: timeouts.step must be a duration"},
	    {"timeouts: {kill: 2h}\n", "timeouts.kill is 7200; it must be from 1 to 60"},
	    {"tests: {must_pass: \"yes\"}\n",
		"tests.must_pass must be true or false, not a string"},
	    {"log: {level: loud}\n",
		"config.yaml:1:7: log.level must be one of debug, info, warning, error"},
	    {"log: 3\n", "log is a section: write its keys below it, indented"},
	    {"git: {author_name: true}\n",
		"git.author_name must be a string, not a boolean; put it in quotes"},
	    {"git: {author_name: \"a\\nb\"}\n", "control characters"},
	    {"git: {author_name: \"a<b\"}\n", "config.yaml:1:7: git.author_name must not contain"},
	    {"git: {branch_prefix: \"a b\"}\n", "git.branch_prefix"},
	    {"git: {known_hosts: hosts}\n", "git.known_hosts must be an absolute path"},
	    {"sandbox: {require: [1]}\n",
		"sandbox.require must be a list of strings; entry 1 is an integer"},
	    {"sandbox: {require: {a: b}}\n",
		"sandbox.require must be a list of strings, not a mapping"},
	    {"ports: {start: 50000, end: 50009}\n",
		"config.yaml:1:23: ports.end is 50009; it must be at least ports.start + 10"},
	    {"socket: {mode: \"0888\"}\n", "config.yaml:1:10: socket.mode must be a mode in octal"},
	    {"socket: {mode: 0o660}\n", "socket.mode must let its owner read and write"},
	    {"socket: {mode: \"0777\"}\n", "nobody execute"},
	    {"repositories: {allow_local: \"/a:b\"}\n", "absolute directories"},
	    {"github: {api_url: \"ftp://x\"}\n", "must begin with https://"},
	    {"agents: {default: nobody}\n", "agents.default names \"nobody\""},
	    {"agents: {claude: {progam: x}}\n",
		"config.yaml:1:19: unknown key \"agents.claude.progam\"; did you mean "
		"\"program\"?"},
	    {"agents: {claude: 3}\n", "agents.claude must be a mapping, not an integer"},
	    {"agents: {\"../x\": {}}\n", "cannot be an agent's name"},
	    {"agents: {mine: {program: x}}\n", "agents.mine needs an adapter"},
	    {"agents: {mine: {adapter: cluade}}\n", "did you mean claude?"},
	    {"agents: {claude: {program: ./x}}\n", "absolute path"},
	    {"agents: {claude: {paths: [x]}}\n",
		"entry 1 of agents.claude.paths must be an absolute path"},
	    {"agents: {claude: {keys: [sk-ant-secret]}}\n",
		"must be the name of an environment variable"},
	    {"agents: {claude: {env: {\"A B\": x}}}\n", "is no name of an environment variable"},
	    {"agents: {claude: {env: {A: [x]}}}\n", "agents.claude.env.A must be a string"},
	    {"agents: {claude: {max_turns: 0}}\n", "agents.claude.max_turns is 0"},
	    {"storage: {type: postgresql}\n", "needs AWO_DATABASE_URL"},
	    {"git.timeout: 3\ngit: {timeout: 4}\n",
		"config.yaml:2:7: git.timeout was already given at config.yaml:1:1"},
	    {"a: b: c\n", "config.yaml:1:"},
	    {"- a\n", "must be a mapping"},
	    {"just text\n", "must be a mapping"},
	};
	struct place *p = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct awo_err err;
		struct config *c = load(p, cases[i].yaml, NULL, NULL, NULL, true, &err);

		if (c || !strstr(err.msg, cases[i].want) || err.code != AWO_INVALID_ARGUMENT)
			fail_msg("%s gives %s", cases[i].yaml, c ? "no error" : err.msg);
	}
}

static void
test_environment_errors(void **state)
{
	static const struct {
		const char *a, *b, *want;
		enum awo_code code;
	} cases[] = {
	    {"AWO_MAX_CONCURRENT=x", NULL,
		"environment AWO_MAX_CONCURRENT: max_concurrent must be an integer",
		AWO_INVALID_ARGUMENT},
	    {"AWO_MAX_CONCURRENT= 3", NULL, "must be an integer", AWO_INVALID_ARGUMENT},
	    {"AWO_MAX_CONCURRENT=99999999999999999999", NULL, "must be an integer",
		AWO_INVALID_ARGUMENT},
	    {"FILE_STATE_DIRECTORY=state", NULL, "absolute path", AWO_INVALID_ARGUMENT},
	    {"ENABLE_PROMPT_LOGGING=maybe", NULL, "must be true or false", AWO_INVALID_ARGUMENT},
	    {"CLAUDE_CLI_MAX_TURNS=x", NULL, "environment CLAUDE_CLI_MAX_TURNS",
		AWO_INVALID_ARGUMENT},
	    {"GITHUB_API_URL=\xff", NULL, "UTF-8", AWO_INVALID_ARGUMENT},
	    {"STATE_STORAGE_TYPE=Supabase", NULL, "needs AWO_DATABASE_URL", AWO_INVALID_ARGUMENT},
	    {"STATE_STORAGE_TYPE=POSTGRESQL", "SUPABASE_URL=https://x.supabase.co",
		"SUPABASE_URL is an HTTP address", AWO_INVALID_ARGUMENT},
	    {"STATE_STORAGE_TYPE=supabase", "AWO_DATABASE_URL=postgresql://h/d",
		"not in this version", AWO_UNIMPLEMENTED},
	    {"STATE_STORAGE_TYPE=redis", NULL, "must be one of sqlite, file, memory",
		AWO_INVALID_ARGUMENT},
	};
	struct place *p = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *a CLEAN_FREE = xstrdup(cases[i].a);
		char *b CLEAN_FREE = xstrdup(cases[i].b);
		char *env[] = {a, b, NULL};
		struct awo_err err;
		struct config *c = load(p, NULL, NULL, env, NULL, true, &err);

		if (c || err.code != cases[i].code || !strstr(err.msg, cases[i].want))
			fail_msg("%s gives %s", cases[i].a, c ? "no error" : err.msg);
	}
}

static void
test_storage_type(void **state)
{
	static const char *const cases[][2] = {{"STATE_STORAGE_TYPE=FILE", "sqlite"},
	    {"STATE_STORAGE_TYPE=Sqlite", "sqlite"}, {"STATE_STORAGE_TYPE=MEMORY", "memory"}};
	struct place *p = *state;

	for (size_t i = 0; i < 3; i++) {
		char *a CLEAN_FREE = xstrdup(cases[i][0]);
		char *env[] = {a, NULL};
		struct config *c = must_load(p, NULL, env, NULL);

		assert_string_equal(c->storage_type, cases[i][1]);
		config_free(c);
	}
}

static void
test_agents(void **state)
{
	char *env[] = {
	    (char[]){"CLAUDE_CLI_PATH=/opt/claude"}, (char[]){"CLAUDE_CLI_MAX_TURNS=12"}, NULL};
	struct place *p = *state;
	struct awo_err err;
	struct config *c = load(p,
	    "agents:\n"
	    "  default: mine\n"
	    "  claude:\n"
	    "    program: /usr/local/bin/claude\n"
	    "    args: [--fast]\n",
	    "mine:\n"
	    "  adapter: command\n"
	    "  program: /bin/cat\n"
	    "  env: {LIMIT: 7, NAME: text}\n"
	    "gemini:\n",
	    env, NULL, true, &err);
	const struct config_agent *a;

	if (!c)
		fail_msg("%s", err.msg);
	a = config_agent(c, "claude");
	assert_string_equal(a->program, "/opt/claude");
	assert_int_equal(a->max_turns, 12);
	assert_string_equal(a->args.v[0], "--fast");
	assert_string_equal(a->adapter, "claude");
	check(c, "agents.claude.program", "\"/opt/claude\"", "environment CLAUDE_CLI_PATH (fixed)");
	check(c, "agents.mine.adapter", "\"command\"", "agents.yaml:2:3");
	assert_string_equal(c->default_agent, "mine");
	a = config_agent(c, "mine");
	assert_string_equal(json_string_value(json_object_get(a->env, "LIMIT")), "7");
	config_free(c);

	/* the same agent in both files, and the other spelling of agents.yaml */
	c = load(p, "agents: {x: {adapter: codex}}\n", "agents: {x: {adapter: codex}}\n", NULL,
	    NULL, true, &err);
	assert_null(c);
	assert_non_null(strstr(
	    err.msg, "agents.yaml:1:14: agents.x.adapter was already given at config.yaml:1:14"));
}

static void
test_files_missing(void **state)
{
	struct place *p = *state;
	char *path CLEAN_FREE = xasprintf("%s/other.yaml", p->dir);
	struct config_input in = {.config_dir = p->dir, .config_file = path};
	struct awo_err err = {0};
	struct config *c;

	/* one that was asked for must be there */
	assert_null(config_load(&in, &err));
	assert_non_null(strstr(err.msg, "other.yaml"));
	assert_int_equal(files_replace(p->fd, "other.yaml", "max_concurrent: 3\n", 18, 0600), 0);
	c = config_load(&in, &err);
	assert_non_null(c);
	check(c, "max_concurrent", "3", "other.yaml:1:1");
	config_free(c);
}

static void
test_settings(void **state)
{
	struct place *p = *state;
	struct config *c =
	    must_load(p, "agents: {claude: {env: {TOKEN: 0123456789abcdef}}}\n", NULL, NULL);
	struct p_settings_answer a;
	struct awo_err err = {0};
	char *text;

	assert_int_equal(config_settings(c, NULL, &a, NULL), 0);
	for (size_t i = 1; i < a.settings.n; i++)
		assert_true(strcmp(a.settings.v[i - 1].key, a.settings.v[i].key) < 0);
	assert_true(a.settings.n > 60);
	P_FREE(settings_answer, &a);
	assert_int_equal(config_settings(c, "retry", &a, NULL), 0);
	assert_int_equal(a.settings.n, 3);
	assert_string_equal(a.settings.v[0].key, "retry.backoff");
	P_FREE(settings_answer, &a);
	assert_int_equal(config_settings(c, "agents.claude", &a, NULL), 0);
	assert_int_equal(a.settings.n, 8);
	P_FREE(settings_answer, &a);
	text = shown(c, "agents.claude.env", NULL);
	assert_string_equal(text, "{\"TOKEN\": \"***cdef\"}");
	free(text);
	assert_int_equal(config_settings(c, "retry.backof", &a, &err), -1);
	assert_int_equal(err.code, AWO_NOT_FOUND);
	assert_non_null(strstr(err.msg, "did you mean \"retry.backoff\"?"));
	config_free(c);
}

static int
check_setting(
    const struct config *c, const char *key, const char *json, bool *restart, struct awo_err *err)
{
	json_t *v CLEAN_JSON = json_loads(json, JSON_DECODE_ANY, NULL);

	assert_non_null(v);
	memset(err, 0, sizeof(*err));
	return config_check_setting(c, key, v, restart, err);
}

static void
test_check_setting(void **state)
{
	char *env[] = {(char[]){"AWO_MAX_CONCURRENT=9"}, NULL};
	struct place *p = *state;
	struct config *c = must_load(p, NULL, env, NULL);
	struct awo_err err;
	bool restart = true;

	assert_int_equal(check_setting(c, "retry.max_attempts", "5", &restart, &err), 0);
	assert_false(restart);
	assert_int_equal(c->retry_max_attempts, 3); /* checked, not set */
	assert_int_equal(check_setting(c, "socket.group", "\"staff\"", &restart, &err), 0);
	assert_true(restart);
	assert_string_equal(c->socket_group, "awo");
	assert_int_equal(check_setting(c, "sandbox.require", "[\"seccomp\"]", &restart, &err), 0);
	assert_int_equal(c->sandbox_require.n, 5);
	assert_int_equal(check_setting(c, "tests.must_pass", "false", &restart, &err), 0);
	assert_true(c->tests_must_pass);
	assert_int_equal(check_setting(c, "max_concurrent", "5", &restart, &err), -1);
	assert_int_equal(err.code, AWO_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, "environment AWO_MAX_CONCURRENT"));
	assert_int_equal(check_setting(c, "retry.max_attempts", "0", &restart, &err), -1);
	assert_int_equal(err.code, AWO_INVALID_ARGUMENT);
	assert_int_equal(check_setting(c, "ports.start", "60990", &restart, &err),
	    -1); /* beyond ports.end - 10 */
	assert_int_equal(err.code, AWO_INVALID_ARGUMENT);
	assert_int_equal(check_setting(c, "ports.start", "50000", &restart, &err), 0);
	assert_int_equal(check_setting(c, "agents.default", "\"nobody\"", &restart, &err), -1);
	assert_int_equal(check_setting(c, "agents.default", "\"demo\"", &restart, &err), 0);
	assert_int_equal(check_setting(c, "agents.claude.model", "\"opus\"", &restart, &err), 0);
	assert_int_equal(
	    check_setting(c, "agents.claude.env", "{\"A\":\"b\"}", &restart, &err), -1);
	assert_int_equal(check_setting(c, "github.token", "\"ghp_x\"", &restart, &err), -1);
	assert_non_null(strstr(err.msg, "credential"));
	assert_null(strstr(err.msg, "ghp_x"));
	assert_int_equal(check_setting(c, "gateway.rate_limit", "5", &restart, &err), -1);
	assert_int_equal(err.code, AWO_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, "configuration file"));
	assert_int_equal(check_setting(c, "gateway.rate_limit", "null", &restart, &err), 0);
	assert_int_equal(check_setting(c, "no.such", "1", &restart, &err), -1);
	assert_int_equal(err.code, AWO_NOT_FOUND);
	assert_int_equal(check_setting(c, "retry.max_attempts", "null", &restart, &err),
	    0); /* takes the stored one back */
	config_free(c);
}

/* What is printed is a file that means the same. */
static void
test_print(void **state)
{
	char *env[] = {(char[]){"GH_TOKEN=ghp_0123456789wxyz"}, NULL};
	struct place *p = *state;
	struct config *c = must_load(p,
	    "max_concurrent: 7\nagents: {mine: {adapter: command, args: [\"a b\", \"#\"], env: {K: "
	    "0123456789secret}}}\n",
	    env, NULL);
	struct config *again;
	struct awo_err err;
	char *path CLEAN_FREE = xasprintf("%s/printed", p->dir);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	char *text CLEAN_FREE = NULL;

	config_print(c, fd);
	close(fd);
	text = files_read(AT_FDCWD, path, 1U << 20, NULL);
	assert_non_null(text);
	assert_non_null(strstr(text, "max_concurrent: 7\t# config.yaml:1:1\n"));
	assert_non_null(strstr(text, "# environment GH_TOKEN"));
	assert_null(strstr(text, "ghp_0123456789wxyz"));
	assert_null(strstr(text, "0123456789secret"));
	again = load(p, text, NULL, NULL, NULL, true, &err);
	if (!again)
		fail_msg("%s", err.msg);
	assert_int_equal(again->max_concurrent, 7);
	assert_string_equal(config_agent(again, "mine")->args.v[1], "#");
	assert_int_equal(again->timeout_step, c->timeout_step);
	config_free(c);
	config_free(again);
}

static void
test_ignored_names(void **state)
{
	char *env[] = {(char[]){"SERVICE_DISCOVERY_MODE=local"}, (char[]){"LOGFIRE_TOKEN=abc"},
	    (char[]){"PATH=/bin"}, (char[]){"ARCHON_MCP_URL="}, NULL};
	struct place *p = *state;
	char *path CLEAN_FREE = xasprintf("%s/log", p->dir);
	char *text CLEAN_FREE = NULL;
	int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600), saved = dup(2);

	log_set(LOG_FMT_JSON, LOG_LVL_INFO);
	dup2(fd, 2);
	config_log_ignored(env);
	dup2(saved, 2);
	log_set(LOG_FMT_TEXT, LOG_LVL_ERROR);
	close(saved);
	close(fd);
	text = files_read(AT_FDCWD, path, 65536, NULL);
	assert_non_null(text);
	assert_non_null(strstr(text, "SERVICE_DISCOVERY_MODE LOGFIRE_TOKEN\""));
	assert_null(strstr(text, "abc"));
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1); /* one line */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_defaults, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_no_regular_file, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_file, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_precedence, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_stored_nonsense, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_errors, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_environment_errors, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_storage_type, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_agents, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_files_missing, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_settings, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_check_setting, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_print, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_ignored_names, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
