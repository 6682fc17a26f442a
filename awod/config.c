/* Makes the configuration: each key of config.def from the first source that sets it, checked. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <strings.h>

#include "awod/config.h"
#include "awod/credentials.h"
#include "common/buf.h"
#include "common/clean.h"
#include "common/clock.h"
#include "common/files.h"
#include "common/log.h"
#include "common/text.h"
#include "proto/yaml.h"

#define CONFIG_TEXT_MAX (1U << 20)
#define AGENTS_MAX 64
#define LIST_MAX 256
#define LIST_ITEM_MAX 4096

/* ---- the table of keys */

enum kind { K_INT, K_DURATION, K_BOOL, K_STR, K_CHOICE, K_LIST, K_MAP };

struct row {
	const char *key;
	enum kind kind;
	size_t offset;
	int64_t lo, hi;	      /* K_INT, K_DURATION: value; K_STR: bytes */
	int64_t def;	      /* K_INT, K_DURATION, K_BOOL; K_BOOL -1: true in user mode */
	const char *text_def; /* the others; NULL: not set */
	const char *choices;
	unsigned flags;
	const char *env;
	const char *help;
};

/* clang-format off */
static const struct row rows[] = {
#define CONF_INT(k, m, d, l, h, f, e, t) { .key = (k), .kind = K_INT, .offset = offsetof(struct config, m), .def = (d), .lo = (l), .hi = (h), .flags = (f), .env = (e), .help = (t) },
#define CONF_DURATION(k, m, d, l, h, f, e, t) { .key = (k), .kind = K_DURATION, .offset = offsetof(struct config, m), .def = (d), .lo = (l), .hi = (h), .flags = (f), .env = (e), .help = (t) },
#define CONF_BOOL(k, m, d, f, e, t) { .key = (k), .kind = K_BOOL, .offset = offsetof(struct config, m), .def = (d), .flags = (f), .env = (e), .help = (t) },
#define CONF_STR(k, m, d, max, f, e, t) { .key = (k), .kind = K_STR, .offset = offsetof(struct config, m), .text_def = (d), .hi = (max), .flags = (f), .env = (e), .help = (t) },
#define CONF_CHOICE(k, m, d, c, f, e, t) { .key = (k), .kind = K_CHOICE, .offset = offsetof(struct config, m), .text_def = (d), .choices = (c), .flags = (f), .env = (e), .help = (t) },
#define CONF_LIST(k, m, d, f, e, t) { .key = (k), .kind = K_LIST, .offset = offsetof(struct config, m), .text_def = (d), .flags = (f), .env = (e), .help = (t) },
#define AGENT_KEY(k, t, h)
#include "awod/config.def"
#include "awod/config_undef.h"
};
#define NROWS (sizeof(rows) / sizeof(rows[0]))

enum agent_key { A_ADAPTER, A_PROGRAM, A_ARGS, A_PATHS, A_MODEL, A_MAX_TURNS, A_ENV, A_KEYS, A__COUNT };

static const struct row agent_rows[] = {
#define CONF_INT(k, m, d, l, h, f, e, t)
#define CONF_DURATION(k, m, d, l, h, f, e, t)
#define CONF_BOOL(k, m, d, f, e, t)
#define CONF_STR(k, m, d, max, f, e, t)
#define CONF_CHOICE(k, m, d, c, f, e, t)
#define CONF_LIST(k, m, d, f, e, t)
#define AGENT_KEY(k, t, h) { .key = (k), .kind = K_##t, .help = (h), .hi = K_##t == K_INT ? 100000 : 4096, .lo = K_##t == K_INT },
#include "awod/config.def"
#include "awod/config_undef.h"
};
_Static_assert(sizeof(agent_rows) / sizeof(agent_rows[0]) == A__COUNT, "one enum agent_key for each AGENT_KEY");

static const size_t agent_offsets[A__COUNT] = {
	[A_ADAPTER] = offsetof(struct config_agent, adapter), [A_PROGRAM] = offsetof(struct config_agent, program),
	[A_ARGS] = offsetof(struct config_agent, args), [A_PATHS] = offsetof(struct config_agent, paths),
	[A_MODEL] = offsetof(struct config_agent, model), [A_MAX_TURNS] = offsetof(struct config_agent, max_turns),
	[A_ENV] = offsetof(struct config_agent, env), [A_KEYS] = offsetof(struct config_agent, keys),
};

static const char *const adapters[] = { "claude", "codex", "opencode", "gemini", "command", NULL };

/* Agents that are there without being configured. */
static const struct {
	const char *name, *adapter, *program, *keys;
} builtin_agents[] = {
	{ "claude", "claude", "claude", "ANTHROPIC_API_KEY,CLAUDE_CODE_OAUTH_TOKEN,ANTHROPIC_BASE_URL" },
	{ "codex", "codex", "codex", "OPENAI_API_KEY" },
	{ "opencode", "opencode", "opencode", "OPENAI_API_KEY,ANTHROPIC_API_KEY" },
	{ "gemini", "gemini", "gemini", "GEMINI_API_KEY" },
	{ "demo", "claude", "awo-demo-agent", "" },
};

static const struct {
	const char *env, *agent;
	enum agent_key key;
} agent_env[] = {
	{ "CLAUDE_CLI_PATH", "claude", A_PROGRAM },
	{ "CLAUDE_CLI_MODEL", "claude", A_MODEL },
	{ "CLAUDE_CLI_MAX_TURNS", "claude", A_MAX_TURNS },
};

/* Of the surrounding platform, or of its file layout: without effect here. */
static const char *const ignored_names[] = {
	"SERVICE_DISCOVERY_MODE", "ARCHON_SERVER_URL", "ARCHON_MCP_URL", "ARCHON_SERVER_PORT", "ARCHON_MCP_PORT",
	"ARCHON_UI_PORT", "ARCHON_AGENTS_PORT", "ARCHON_HOST", "ARCHON_AWO_ENABLED", "LOGFIRE_TOKEN",
	"LOGFIRE_ENABLED", "SUPABASE_URL", "SUPABASE_SERVICE_KEY", NULL,
};

/* Spellings that other services use, and what they mean here. */
static const struct {
	const char *key, *alias, *choice;
} choice_aliases[] = {
	{ "log.level", "warn", "warning" },
	{ "log.level", "critical", "error" },
	{ "storage.type", "file", "sqlite" },
};
/* clang-format on */

/* Where a value came from. sources[] has one for each row, then A__COUNT for each agent. */
struct config_source {
	char *text; /* NULL: default */
	bool fixed;
};

static struct config_source *
row_source(const struct config *c, size_t row)
{
	return &c->sources[row];
}

static struct config_source *
agent_source(const struct config *c, size_t agent, enum agent_key key)
{
	return &c->sources[NROWS + agent * A__COUNT + key];
}

static const char *
source_text(const struct config_source *s)
{
	return s->text ? s->text : "default";
}

static void
set_source(struct config_source *s, const char *text, bool fixed)
{
	free(s->text);
	s->text = xstrdup(text);
	s->fixed = fixed;
}

/* ---- values */

struct value {
	int64_t i;
	char *s;
	struct p_strv l;
	json_t *map;
};

static void
value_free(struct value *v)
{
	free(v->s);
	p_strv_free(&v->l);
	json_decref(v->map);
	memset(v, 0, sizeof(*v));
}

static const char *
type_word(const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		return "a mapping";
	case JSON_ARRAY:
		return "a list";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
		return "an integer";
	case JSON_REAL:
		return "a decimal fraction";
	case JSON_TRUE:
	case JSON_FALSE:
		return "a boolean";
	case JSON_NULL:
		return "null";
	}
	return "something else";
}

static int
check_text(const char *name, const char *s, size_t len, int64_t max, struct awo_err *err)
{
	if (len != strlen(s) || !text_is_utf8(s, len))
		return ERR(err, INVALID_ARGUMENT, name, "%s must be UTF-8 text without NUL", name);
	if (len > (uint64_t)max)
		return ERR(err, INVALID_ARGUMENT, name,
		    "%s has %zu bytes; at most %" PRId64 " are allowed", name, len, max);
	for (const char *p = s; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return ERR(err, INVALID_ARGUMENT, name,
			    "%s must not contain control characters", name);
	return 0;
}

static int
parse_number(const struct row *r, const char *name, const json_t *v, bool text, int64_t *out,
    struct awo_err *err)
{
	const char *s = json_string_value(v);
	int64_t n = 0;
	bool ok = json_is_integer(v);
	char *end;

	if (ok)
		n = json_integer_value(v);
	else if (s && r->kind == K_DURATION)
		ok = clock_parse_duration(s, &n);
	else if (s && text) {
		errno = 0;
		n = strtoll(s, &end, 10);
		ok = errno == 0 && end != s && *end == '\0' && !isspace((unsigned char)*s);
	}
	if (!ok)
		return ERR(err, INVALID_ARGUMENT, name,
		    "%s must be %s from %" PRId64 " to %" PRId64 "%s%s", name,
		    r->kind == K_DURATION ? "a duration (seconds, or like 15m, 2h, 7d)"
					  : "an integer",
		    r->lo, r->hi, text ? "" : ", not ", text ? "" : type_word(v));
	if (n < r->lo || n > r->hi)
		return ERR(err, INVALID_ARGUMENT, name,
		    "%s is %" PRId64 "; it must be from %" PRId64 " to %" PRId64, name, n, r->lo,
		    r->hi);
	*out = n;
	return 0;
}

static int
parse_bool(const char *name, const json_t *v, bool text, int64_t *out, struct awo_err *err)
{
	static const char *const words[][2] = {
	    {"true", "false"}, {"1", "0"}, {"yes", "no"}, {"on", "off"}};
	const char *s = json_string_value(v);

	if (json_is_boolean(v)) {
		*out = json_is_true(v);
		return 0;
	}
	for (size_t i = 0; text && s && i < sizeof(words) / sizeof(words[0]); i++)
		for (int side = 0; side < 2; side++)
			if (strcasecmp(s, words[i][side]) == 0) {
				*out = side == 0;
				return 0;
			}
	return ERR(err, INVALID_ARGUMENT, name, "%s must be true or false%s%s", name,
	    text ? "" : ", not ", text ? "" : type_word(v));
}

static int
parse_str(const struct row *r, const char *name, const json_t *v, char **out, struct awo_err *err)
{
	char digits[24];
	const char *s = json_string_value(v);
	size_t len = json_string_length(v);

	/* a user id, or a mode: YAML reads what looks like a number as one */
	if (json_is_integer(v)) {
		len = (size_t)snprintf(
		    digits, sizeof(digits), "%" JSON_INTEGER_FORMAT, json_integer_value(v));
		s = digits;
	}
	if (!s)
		return ERR(err, INVALID_ARGUMENT, name,
		    "%s must be a string, not %s; put it in quotes", name, type_word(v));
	if (check_text(name, s, len, r->hi, err) < 0)
		return -1;
	if ((r->flags & CONF_PATH) && *s && *s != '/')
		return ERR(err, INVALID_ARGUMENT, name, "%s must be an absolute path", name);
	*out = len == 0 && !r->text_def ? NULL : xstrndup(s, len);
	return 0;
}

static int refuse_storage(
    const char *name, const char *s, char *const *environ_, struct awo_err *err);

static int
parse_choice(const struct row *r, const char *name, const json_t *v, char *const *environ_,
    char **out, struct awo_err *err)
{
	const char *s = json_string_value(v);
	struct buf known CLEAN_BUF = {0};

	if (!s)
		return ERR(err, INVALID_ARGUMENT, name, "%s must be one of %s, not %s", name,
		    r->choices, type_word(v));
	for (size_t i = 0; i < sizeof(choice_aliases) / sizeof(choice_aliases[0]); i++)
		if (strcmp(choice_aliases[i].key, r->key) == 0 &&
		    strcasecmp(choice_aliases[i].alias, s) == 0) {
			*out = xstrdup(choice_aliases[i].choice);
			return 0;
		}
	for (const char *p = r->choices; *p; p += strcspn(p, "|"), p += *p == '|') {
		size_t n = strcspn(p, "|");

		if (strlen(s) == n && strncasecmp(s, p, n) == 0) {
			*out = xstrndup(p, n);
			return 0;
		}
		buf_printf(&known, "%s%.*s", known.len ? ", " : "", (int)n, p);
	}
	if (strcmp(r->key, "storage.type") == 0 && refuse_storage(name, s, environ_, err) < 0)
		return -1;
	return ERR(err, INVALID_ARGUMENT, name, "%s must be one of %s", name, known.p);
}

static int
list_add(struct p_strv *l, const char *name, const char *s, size_t len, struct awo_err *err)
{
	char *item CLEAN_FREE = xstrndup(s, len);

	if (check_text(name, item, len, LIST_ITEM_MAX, err) < 0)
		return -1;
	if (l->n >= LIST_MAX)
		return ERR(
		    err, INVALID_ARGUMENT, name, "%s has more than %d entries", name, LIST_MAX);
	p_strv_add(l, item);
	return 0;
}

/* A list, or one string with commas between the entries. */
static int
parse_list(const char *name, const json_t *v, struct p_strv *out, struct awo_err *err)
{
	const json_t *item;
	size_t i;

	if (json_is_string(v)) {
		for (const char *p = json_string_value(v); *p; p += *p == ',') {
			size_t n = strcspn(p, ","), skip = strspn(p, " \t");
			size_t end = n;

			skip = skip < n ? skip : n;
			while (end > skip && isspace((unsigned char)p[end - 1]))
				end--;
			if (end > skip && list_add(out, name, p + skip, end - skip, err) < 0)
				return -1;
			p += n;
		}
		return 0;
	}
	if (!json_is_array(v))
		return ERR(err, INVALID_ARGUMENT, name, "%s must be a list of strings, not %s",
		    name, type_word(v));
	json_array_foreach(v, i, item)
	{
		if (!json_is_string(item))
			return ERR(err, INVALID_ARGUMENT, name,
			    "%s must be a list of strings; entry %zu is %s", name, i + 1,
			    type_word(item));
		if (strlen(json_string_value(item)) != json_string_length(item))
			return ERR(err, INVALID_ARGUMENT, name, "entry %zu of %s contains a NUL",
			    i + 1, name);
		if (list_add(out, name, json_string_value(item), json_string_length(item), err) < 0)
			return -1;
	}
	return 0;
}

static bool
is_env_name(const char *s)
{
	if (!isalpha((unsigned char)*s) && *s != '_')
		return false;
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && *s != '_')
			return false;
	return true;
}

static int
parse_map(const char *name, const json_t *v, json_t **out, struct awo_err *err)
{
	const char *key;
	const json_t *item;

	if (!json_is_object(v))
		return ERR(err, INVALID_ARGUMENT, name,
		    "%s must be a mapping of names to strings, not %s", name, type_word(v));
	*out = json_object();
	if (json_object_size(v) > LIST_MAX)
		return ERR(
		    err, INVALID_ARGUMENT, name, "%s has more than %d entries", name, LIST_MAX);
	for (void *it = json_object_iter((json_t *)(uintptr_t)v); it;
	     it = json_object_iter_next((json_t *)(uintptr_t)v, it)) {
		char digits[24];

		key = json_object_iter_key(it);
		item = json_object_iter_value(it);
		if (!is_env_name(key))
			return ERR(err, INVALID_ARGUMENT, name,
			    "%s: \"%.64s\" is no name of an environment variable", name, key);
		if (json_is_integer(item)) {
			snprintf(digits, sizeof(digits), "%" JSON_INTEGER_FORMAT,
			    json_integer_value(item));
			json_object_set_new(*out, key, json_string(digits));
			continue;
		}
		if (!json_is_string(item))
			return ERR(err, INVALID_ARGUMENT, name,
			    "%s.%.64s must be a string, not %s; put it in quotes", name, key,
			    type_word(item));
		if (check_text(
			name, json_string_value(item), json_string_length(item), 65536, err) < 0)
			return -1;
		json_object_set_new(*out, key, json_string(json_string_value(item)));
	}
	return 0;
}

/* text: the value comes from the environment, where everything is a string. On failure nothing is
 * left to free. */
static int
parse_value(const struct row *r, const char *name, const json_t *v, bool text,
    char *const *environ_, struct value *out, struct awo_err *err)
{
	int result = -1;

	memset(out, 0, sizeof(*out));
	switch (r->kind) {
	case K_INT:
	case K_DURATION:
		result = parse_number(r, name, v, text, &out->i, err);
		break;
	case K_BOOL:
		result = parse_bool(name, v, text, &out->i, err);
		break;
	case K_STR:
		result = parse_str(r, name, v, &out->s, err);
		break;
	case K_CHOICE:
		result = parse_choice(r, name, v, environ_, &out->s, err);
		break;
	case K_LIST:
		result = parse_list(name, v, &out->l, err);
		break;
	case K_MAP:
		result = parse_map(name, v, &out->map, err);
		break;
	}
	if (result < 0)
		value_free(out);
	return result;
}

/* Puts a value where it belongs, freeing what was there; takes it over. */
static void
assign(const struct row *r, void *at, struct value *v)
{
	switch (r->kind) {
	case K_INT:
	case K_DURATION:
		*(int64_t *)at = v->i;
		break;
	case K_BOOL:
		*(bool *)at = v->i != 0;
		break;
	case K_STR:
	case K_CHOICE:
		free(*(char **)at);
		*(char **)at = TAKE_PTR(v->s);
		break;
	case K_LIST:
		p_strv_free(at);
		*(struct p_strv *)at = v->l;
		v->l = (struct p_strv){0};
		break;
	case K_MAP:
		json_decref(*(json_t **)at);
		*(json_t **)at = TAKE_PTR(v->map);
		break;
	}
	value_free(v);
}

static void
free_at(const struct row *r, void *at)
{
	struct value nothing = {0};

	assign(r, at, &nothing);
}

static void *
member(const struct config *c, const struct row *r)
{
	return (char *)(uintptr_t)c + r->offset;
}

/* ---- the environment */

static const char *
env_get(char *const *environ_, const char *name, size_t len)
{
	for (; environ_ && *environ_; environ_++)
		if (strncmp(*environ_, name, len) == 0 && (*environ_)[len] == '=' &&
		    (*environ_)[len + 1] != '\0')
			return *environ_ + len + 1; /* set but empty is not set */
	return NULL;
}

static int
refuse_storage(const char *name, const char *s, char *const *environ_, struct awo_err *err)
{
	if (strcasecmp(s, "supabase") != 0 && strcasecmp(s, "postgresql") != 0 &&
	    strcasecmp(s, "postgres") != 0)
		return 0;
	if (env_get(environ_, "AWO_DATABASE_URL", strlen("AWO_DATABASE_URL")))
		return ERR(err, UNIMPLEMENTED, name,
		    "PostgreSQL is not in this version; use sqlite (the default) or memory");
	if (env_get(environ_, "SUPABASE_URL", strlen("SUPABASE_URL")))
		return ERR(err, INVALID_ARGUMENT, name,
		    "PostgreSQL needs AWO_DATABASE_URL, a libpq URL "
		    "(postgresql://user@host/database), and is not in this "
		    "version; SUPABASE_URL is an HTTP address and cannot be used; use sqlite (the "
		    "default) or memory");
	return ERR(err, INVALID_ARGUMENT, name,
	    "PostgreSQL needs AWO_DATABASE_URL, a libpq URL, and is not in this version; use "
	    "sqlite (the default) or memory");
}

static int
apply_environment(struct config *c, const struct config_input *in, struct awo_err *err)
{
	for (size_t i = 0; i < NROWS; i++) {
		const struct row *r = &rows[i];

		for (const char *p = r->env; *p; p += strcspn(p, " "), p += *p == ' ') {
			size_t n = strcspn(p, " ");
			const char *s = env_get(in->environ, p, n);
			char *source CLEAN_FREE = NULL;
			json_t *v CLEAN_JSON = NULL;
			struct value value;

			if (!s)
				continue;
			source = xasprintf("environment %.*s", (int)n, p);
			if (!(v = json_string(s)))
				return ERR(err, INVALID_ARGUMENT, r->key,
				    "%s: %s must be UTF-8 text", source, r->key);
			if (parse_value(r, r->key, v, true, in->environ, &value, err) < 0)
				return awo_err_prefix(err, "%s: ", source);
			assign(r, member(c, r), &value);
			set_source(row_source(c, i), source, true);
			break;
		}
	}
	return 0;
}

/* ---- agents */

static bool
is_agent_name(const char *s)
{
	size_t n = strlen(s);

	return n >= 1 && n <= 64 && *s != '-' && *s != '.' && strcmp(s, "default") != 0 &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == n;
}

static ssize_t
find_agent(const struct config *c, const char *name, size_t len)
{
	for (size_t i = 0; i < c->nagents; i++)
		if (strlen(c->agents[i].name) == len && strncmp(c->agents[i].name, name, len) == 0)
			return (ssize_t)i;
	return -1;
}

const struct config_agent *
config_agent(const struct config *c, const char *name)
{
	ssize_t i = find_agent(c, name, strlen(name));

	return i < 0 ? NULL : &c->agents[i];
}

static size_t
add_agent(struct config *c, const char *name)
{
	c->agents[c->nagents].name = xstrdup(name);
	return c->nagents++;
}

static void
default_agents(struct config *c)
{
	c->agents = xcalloc(AGENTS_MAX, sizeof(*c->agents));
	for (size_t i = 0; i < sizeof(builtin_agents) / sizeof(builtin_agents[0]); i++) {
		struct config_agent *a = &c->agents[add_agent(c, builtin_agents[i].name)];
		json_t *keys CLEAN_JSON = json_string(builtin_agents[i].keys);

		a->adapter = xstrdup(builtin_agents[i].adapter);
		a->program = xstrdup(builtin_agents[i].program);
		parse_list("keys", keys, &a->keys, NULL);
	}
}

static int
check_agent_value(enum agent_key key, const char *name, const struct value *v, struct awo_err *err)
{
	const char *near;

	if (key == A_ADAPTER && v->s) {
		for (const char *const *a = adapters; *a; a++)
			if (strcmp(*a, v->s) == 0)
				return 0;
		near = text_nearest(v->s, adapters);
		return ERR(err, INVALID_ARGUMENT, name,
		    "%s must be claude, codex, opencode, gemini or command%s%s%s", name,
		    near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
	}
	if (key == A_PROGRAM && v->s && *v->s != '/' && strchr(v->s, '/'))
		return ERR(err, INVALID_ARGUMENT, name,
		    "%s must be a program's name or an absolute path", name);
	for (size_t i = 0; key == A_PATHS && i < v->l.n; i++)
		if (v->l.v[i][0] != '/')
			return ERR(err, INVALID_ARGUMENT, name,
			    "entry %zu of %s must be an absolute path", i + 1, name);
	for (size_t i = 0; key == A_KEYS && i < v->l.n; i++)
		if (!is_env_name(v->l.v[i]))
			return ERR(err, INVALID_ARGUMENT, name,
			    "entry %zu of %s must be the name of an environment variable, not its "
			    "value",
			    i + 1, name);
	return 0;
}

static int
parse_agent_value(const char *agent, enum agent_key key, const json_t *v, bool text,
    struct value *out, struct awo_err *err)
{
	char *name CLEAN_FREE = xasprintf("agents.%s.%s", agent, agent_rows[key].key);

	if (parse_value(&agent_rows[key], name, v, text, NULL, out, err) < 0)
		return -1;
	if (check_agent_value(key, name, out, err) < 0) {
		value_free(out);
		return -1;
	}
	return 0;
}

static void
assign_agent(struct config *c, size_t agent, enum agent_key key, struct value *v,
    const char *source, bool fixed)
{
	assign(&agent_rows[key], (char *)&c->agents[agent] + agent_offsets[key], v);
	set_source(agent_source(c, agent, key), source, fixed);
}

static int
find_agent_key(const char *key)
{
	for (int i = 0; i < A__COUNT; i++)
		if (strcmp(agent_rows[i].key, key) == 0)
			return i;
	return -1;
}

static int
apply_agent_environment(struct config *c, const struct config_input *in, struct awo_err *err)
{
	for (size_t i = 0; i < sizeof(agent_env) / sizeof(agent_env[0]); i++) {
		const char *s = env_get(in->environ, agent_env[i].env, strlen(agent_env[i].env));
		ssize_t agent = find_agent(c, agent_env[i].agent, strlen(agent_env[i].agent));
		char *source CLEAN_FREE = xasprintf("environment %s", agent_env[i].env);
		json_t *v CLEAN_JSON = s ? json_string(s) : NULL;
		struct value value;

		if (!s || agent < 0)
			continue;
		if (!v)
			return ERR(
			    err, INVALID_ARGUMENT, "agents", "%s must be UTF-8 text", source);
		if (parse_agent_value(agent_env[i].agent, agent_env[i].key, v, true, &value, err) <
		    0)
			return awo_err_prefix(err, "%s: ", source);
		assign_agent(c, (size_t)agent, agent_env[i].key, &value, source, true);
	}
	return 0;
}

/* Every agent has an adapter and a program. */
static int
complete_agents(struct config *c, struct awo_err *err)
{
	for (size_t i = 0; i < c->nagents; i++) {
		struct config_agent *a = &c->agents[i];

		if (!a->adapter) {
			for (const char *const *k = adapters; *k; k++)
				if (strcmp(*k, a->name) == 0)
					a->adapter = xstrdup(*k);
		}
		if (!a->adapter)
			return ERR(err, INVALID_ARGUMENT, "agents",
			    "agents.%s needs an adapter: claude, codex, opencode, gemini or "
			    "command",
			    a->name);
		if (!a->program)
			a->program = xstrdup(a->name);
	}
	return 0;
}

/* ---- files */

struct file {
	const char *name; /* for messages: "config.yaml" */
	struct yaml_marks *marks;
};

/* "config.yaml:3:5" for a key of a mapping */
static char *
where_of(const struct file *f, const json_t *mapping, const char *key)
{
	int line, column;

	if (!yaml_where_key(f->marks, mapping, key, &line, &column))
		return xstrdup(f->name);
	return xasprintf("%s:%d:%d", f->name, line, column);
}

static int
unknown_key(const char *where, const char *key, struct awo_err *err)
{
	const char *names[NROWS + 2];
	const char *near;

	for (size_t i = 0; i < NROWS; i++)
		names[i] = rows[i].key;
	names[NROWS] = "agents";
	names[NROWS + 1] = NULL;
	near = text_nearest(key, names);
	return ERR(err, INVALID_ARGUMENT, key, "%s: unknown key \"%.128s\"%s%s%s", where, key,
	    near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static int
apply_agent(struct config *c, const struct file *f, const json_t *parent, const char *name,
    json_t *tree, struct awo_err *err)
{
	char *where CLEAN_FREE = where_of(f, parent, name);
	ssize_t found = find_agent(c, name, strlen(name));
	size_t agent;
	const char *key;
	json_t *v;

	if (!is_agent_name(name))
		return ERR(err, INVALID_ARGUMENT, "agents",
		    "%s: \"%.64s\" cannot be an agent's name: 1 to 64 letters, digits, '.', '_' or "
		    "'-'",
		    where, name);
	if (json_is_null(tree))
		tree = NULL;
	else if (!json_is_object(tree))
		return ERR(err, INVALID_ARGUMENT, "agents",
		    "%s: agents.%s must be a mapping, not %s", where, name, type_word(tree));
	if (found < 0 && c->nagents >= AGENTS_MAX)
		return ERR(
		    err, INVALID_ARGUMENT, "agents", "%s: more than %d agents", where, AGENTS_MAX);
	agent = found < 0 ? add_agent(c, name) : (size_t)found;

	json_object_foreach(tree, key, v)
	{
		char *at CLEAN_FREE = where_of(f, tree, key);
		int k = find_agent_key(key);
		struct value value;

		if (k < 0) {
			const char *names[A__COUNT + 1] = {NULL}, *near;

			for (int i = 0; i < A__COUNT; i++)
				names[i] = agent_rows[i].key;
			near = text_nearest(key, names);
			return ERR(err, INVALID_ARGUMENT, "agents",
			    "%s: unknown key \"agents.%s.%.64s\"%s%s%s", at, name, key,
			    near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
		}
		if (agent_source(c, agent, (enum agent_key)k)->text)
			return ERR(err, INVALID_ARGUMENT, "agents",
			    "%s: agents.%s.%s was already given at %s", at, name, key,
			    agent_source(c, agent, (enum agent_key)k)->text);
		if (json_is_null(v))
			continue;
		if (parse_agent_value(name, (enum agent_key)k, v, false, &value, err) < 0)
			return awo_err_prefix(err, "%s: ", at);
		assign_agent(c, agent, (enum agent_key)k, &value, at, false);
	}
	return 0;
}

static int
find_row(const char *key)
{
	for (size_t i = 0; i < NROWS; i++)
		if (strcmp(rows[i].key, key) == 0)
			return (int)i;
	return -1;
}

static bool
is_section(const char *key)
{
	size_t n = strlen(key);

	for (size_t i = 0; i < NROWS; i++)
		if (strncmp(rows[i].key, key, n) == 0 && rows[i].key[n] == '.')
			return true;
	return false;
}

static int
apply_member(struct config *c, const struct config_input *in, const struct file *f,
    const json_t *parent, const char *name, const char *key, json_t *v, struct awo_err *err)
{
	char *where CLEAN_FREE = where_of(f, parent, name);
	int i = find_row(key);
	struct value value;

	if (i < 0)
		return unknown_key(where, key, err);
	if (row_source(c, (size_t)i)->text)
		return ERR(err, INVALID_ARGUMENT, key, "%s: %s was already given at %s", where, key,
		    row_source(c, (size_t)i)->text);
	if (json_is_null(v)) /* a key with nothing behind it */
		return 0;
	if (parse_value(&rows[i], key, v, false, in->environ, &value, err) < 0)
		return awo_err_prefix(err, "%s: ", where);
	assign(&rows[i], member(c, &rows[i]), &value);
	set_source(row_source(c, (size_t)i), where, false);
	return 0;
}

static int
apply_agents(struct config *c, const struct config_input *in, const struct file *f, json_t *tree,
    struct awo_err *err)
{
	const char *name;
	json_t *v;

	json_object_foreach(tree, name,
	    v) if (strcmp(name, "default") == 0
		       ? apply_member(c, in, f, tree, name, "agents.default", v, err) < 0
		       : apply_agent(c, f, tree, name, v, err) < 0) return -1;
	return 0;
}

static int
apply_tree(struct config *c, const struct config_input *in, const struct file *f, json_t *tree,
    struct awo_err *err)
{
	const char *key, *inner;
	json_t *v, *w;

	json_object_foreach(tree, key, v)
	{
		if (!is_section(key)) {
			if (apply_member(c, in, f, tree, key, key, v, err) < 0)
				return -1;
			continue;
		}
		if (json_is_null(v))
			continue;
		if (!json_is_object(v)) {
			char *where CLEAN_FREE = where_of(f, tree, key);

			return ERR(err, INVALID_ARGUMENT, key,
			    "%s: %s is a section: write its keys below it, indented", where, key);
		}
		if (strcmp(key, "agents") == 0) {
			if (apply_agents(c, in, f, v, err) < 0)
				return -1;
			continue;
		}
		json_object_foreach(v, inner, w)
		{
			char *full CLEAN_FREE = xasprintf("%s.%s", key, inner);

			if (apply_member(c, in, f, v, inner, full, w, err) < 0)
				return -1;
		}
	}
	return 0;
}

/* One YAML file. agents: the file is the agents section. A missing file is no error unless it must
 * be there. */
static int
apply_file(struct config *c, const struct config_input *in, const char *path, bool must,
    bool agents, struct awo_err *err)
{
	struct stat st;
	size_t len = 0;
	/* a pipe would be read as an empty file: every value would silently be the default */
	bool odd = stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode);
	char *text CLEAN_FREE = odd ? NULL : files_read(AT_FDCWD, path, CONFIG_TEXT_MAX, &len);
	struct file f = {.name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path};
	json_t *tree CLEAN_JSON = NULL, *section;
	int result;

	if (odd)
		return ERR(err, INVALID_ARGUMENT, "", "the configuration file %.512s is no regular file", path);
	if (!text) {
		if (errno == ENOENT && !must)
			return 0;
		return ERR(err, INVALID_ARGUMENT, "",
		    "cannot read the configuration file %.512s: %s", path, strerror(errno));
	}
	tree = yaml_parse(f.name, text, len, &f.marks, err);
	if (!tree)
		return -1;
	section = json_is_object(json_object_get(tree, "agents")) ? json_object_get(tree, "agents")
								  : tree;
	if (json_is_null(tree))
		result = 0; /* only comments */
	else if (!json_is_object(tree))
		result = ERR(err, INVALID_ARGUMENT, "",
		    "%s:1:1: must be a mapping of keys to values, not %s", f.name, type_word(tree));
	else
		result = agents ? apply_agents(c, in, &f, section, err)
				: apply_tree(c, in, &f, tree, err);
	yaml_marks_free(f.marks);
	return result;
}

/* ---- stored settings: what is not valid any more must not keep awod from starting, so it is
 * logged and left out */

/* "agents.claude.model": the agent's index and the key's, or false. */
static bool
find_agent_setting(const struct config *c, const char *key, size_t *agent, enum agent_key *which)
{
	const char *name = key + strlen("agents."), *dot;
	ssize_t i;
	int k;

	if (strncmp(key, "agents.", strlen("agents.")) != 0 || !(dot = strrchr(name, '.')))
		return false;
	i = find_agent(c, name, (size_t)(dot - name));
	k = find_agent_key(dot + 1);
	if (i < 0 || k < 0)
		return false;
	*agent = (size_t)i;
	*which = (enum agent_key)k;
	return true;
}

static int check_together(const struct config *c, struct awo_err *err);

/*
 * Runs the checks between values with one of them replaced, leaving c as it is. Takes the value
 * over and, when it is good and target is given, assigns it there.
 */
static int
check_replaced(const struct config *c, const struct row *r, struct value *v, struct config *target,
    struct awo_err *err)
{
	struct config view = *c;

	memset(member(&view, r), 0,
	    r->kind == K_BOOL	? sizeof(bool)
	    : r->kind == K_LIST ? sizeof(struct p_strv)
				: 8);
	assign(r, member(&view, r), v);
	if (check_together(&view, err) < 0) {
		free_at(r, member(&view, r));
		return -1;
	}
	if (target) {
		free_at(r, member(target, r));
		*target = view;
	} else
		free_at(r, member(&view, r));
	return 0;
}

static void
apply_stored(struct config *c, const struct config_input *in)
{
	for (void *it = json_object_iter((json_t *)(uintptr_t)in->stored); it;
	     it = json_object_iter_next((json_t *)(uintptr_t)in->stored, it)) {
		const char *key = json_object_iter_key(it);
		const json_t *v = json_object_iter_value(it);
		int i = find_row(key);
		struct awo_err err = {0};
		struct value value;
		enum agent_key k;
		size_t agent;

		if (i >= 0 && (rows[i].flags & CONF_UNSTORED)) {
			(void)ERR(&err, FAILED_PRECONDITION, key,
			    "it is read from the configuration file alone");
		} else if (i >= 0 && !(rows[i].flags & CONF_SECRET)) {
			if (parse_value(&rows[i], key, v, false, in->environ, &value, &err) == 0 &&
			    check_replaced(c, &rows[i], &value, c, &err) == 0) {
				set_source(row_source(c, (size_t)i), "stored", false);
				continue;
			}
		} else if (find_agent_setting(c, key, &agent, &k)) {
			if (parse_agent_value(c->agents[agent].name, k, v, false, &value, &err) ==
			    0) {
				assign_agent(c, agent, k, &value, "stored", false);
				continue;
			}
		} else
			ERR(&err, INVALID_ARGUMENT, key, "there is no such setting");
		log_warning("setting_ignored", LS("key", key), LS("reason", err.msg));
	}
}

/* ---- checks between values */

static int value_error(const struct config *c, const char *key, struct awo_err *err,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static int
value_error(const struct config *c, const char *key, struct awo_err *err, const char *fmt, ...)
{
	int i = find_row(key);
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return ERR(err, INVALID_ARGUMENT, key, "%s: %s %s", source_text(row_source(c, (size_t)i)),
	    key, text);
}

static int
check_mode(const struct config *c, struct awo_err *err)
{
	const char *s = c->socket_mode;
	long mode;
	char *end;

	if (!s) /* a stored "": the mode's default follows */
		return 0;
	mode = strtol(s, &end, 8);
	if (*end || end == s || *s == '-' || mode < 0 || mode > 0777)
		return value_error(
		    c, "socket.mode", err, "must be a mode in octal, in quotes: \"0660\"");
	if ((mode & 0600) != 0600 || (mode & 0111) != 0)
		return value_error(c, "socket.mode", err,
		    "must let its owner read and write, and nobody execute: \"0660\"");
	return 0;
}

static int
check_local(const struct config *c, struct awo_err *err)
{
	const char *s = c->allow_local;

	if (!s || strcmp(s, "all") == 0 || strcmp(s, "none") == 0)
		return 0;
	for (; *s; s += strcspn(s, ":"), s += *s == ':')
		if (*s != '/')
			return value_error(c, "repositories.allow_local", err,
			    "must be all, none, or absolute directories joined by ':'");
	return 0;
}

static int
check_prefix(const struct config *c, struct awo_err *err)
{
	const char *s = c->branch_prefix;
	size_t n = strlen(s);

	if (n > 0 &&
	    (*s == '-' || *s == '/' || *s == '.' || s[n - 1] == '/' || s[n - 1] == '.' ||
		strstr(s, "..") || strstr(s, "//") || strpbrk(s, " ~^:?*[\\") || strstr(s, "@{")))
		return value_error(
		    c, "git.branch_prefix", err, "cannot be the beginning of a branch's name");
	return 0;
}

/* host:port with a host that only this machine reaches */
static bool
is_loopback(const char *listen)
{
	size_t host = strlen(listen);
	const char *colon = strrchr(listen, ':');

	if (colon)
		host = (size_t)(colon - listen);
	return (host > 4 && strncmp(listen, "127.", 4) == 0 && strspn(listen, "0123456789.") == host) ||
	       (host == 5 && strncmp(listen, "[::1]", 5) == 0) ||
	       (host == 9 && strncasecmp(listen, "localhost", 9) == 0);
}

/* host or host:port, as a Host header has it */
static bool
is_host(const char *s)
{
	return *s && strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]") == strlen(s);
}

/* http(s)://host[:port] */
static bool
is_origin(const char *s)
{
	if (strncasecmp(s, "http://", 7) == 0)
		return is_host(s + 7);
	return strncasecmp(s, "https://", 8) == 0 && is_host(s + 8);
}

static int
check_gateway(const struct config *c, struct awo_err *err)
{
	if (!strrchr(c->gateway_listen, ':'))
		return value_error(
		    c, "gateway.listen", err, "must be an address and a port: \"127.0.0.1:8053\"");
	if (strcmp(c->gateway_auth, "none") == 0 && !is_loopback(c->gateway_listen))
		return value_error(c, "gateway.auth", err,
		    "cannot be none while gateway.listen is %.64s, which others than this host reach: use token, or listen on "
		    "127.0.0.1", c->gateway_listen);
	if (c->gateway_url && (!strncasecmp(c->gateway_url, "http://", 7) == !strncasecmp(c->gateway_url, "https://", 8) ||
	    strpbrk(c->gateway_url, " \"<>\\?#") || c->gateway_url[strlen(c->gateway_url) - 1] == '/'))
		return value_error(c, "gateway.url", err,
		    "must be like https://awo.example.org, without a slash at its end");
	for (size_t i = 0; i < c->gateway_hosts.n; i++)
		if (!is_host(c->gateway_hosts.v[i]))
			return value_error(c, "gateway.hosts", err, "has \"%.64s\", which is no host or host:port",
			    c->gateway_hosts.v[i]);
	for (size_t i = 0; i < c->gateway_cors_origins.n; i++)
		if (!is_origin(c->gateway_cors_origins.v[i]))
			return value_error(c, "gateway.cors_origins", err,
			    "has \"%.64s\"; name each origin, like http://localhost:3737, without a slash at its end",
			    c->gateway_cors_origins.v[i]);
	return 0;
}

static int
check_webhooks(const struct config *c, struct awo_err *err)
{
	if (c->webhook_secret && strlen(c->webhook_secret) < 16)
		return value_error(c, "webhooks.github_secret", err,
		    "is shorter than 16 characters; openssl rand -hex 32 prints a good one");
	if (!*c->webhook_label)
		return value_error(c, "webhooks.label", err, "must not be empty");
	return 0;
}

static int
check_together(const struct config *c, struct awo_err *err)
{
	if (c->ports_end < c->ports_start + 10)
		return value_error(c, "ports.end", err,
		    "is %" PRId64 "; it must be at least ports.start + 10 = %" PRId64, c->ports_end,
		    c->ports_start + 10);
	if (c->retry_max_backoff < c->retry_backoff)
		return value_error(c, "retry.max_backoff", err, "is shorter than retry.backoff");
	if (strncmp(c->github_api_url, "https://", 8) != 0 &&
	    strncmp(c->github_api_url, "http://", 7) != 0)
		return value_error(c, "github.api_url", err, "must begin with https:// or http://");
	if (strpbrk(c->author_name, "<>") || strpbrk(c->author_email, "<> "))
		return value_error(c,
		    strpbrk(c->author_name, "<>") ? "git.author_name" : "git.author_email", err,
		    "must not contain '<' or '>'");
	if (!config_agent(c, c->default_agent))
		return value_error(c, "agents.default", err,
		    "names \"%.64s\", and there is no such agent", c->default_agent);
	if (check_gateway(c, err) < 0 || check_webhooks(c, err) < 0)
		return -1;
	if (check_mode(c, err) < 0 || check_local(c, err) < 0 || check_prefix(c, err) < 0)
		return -1;
	return 0;
}

/* ---- loading */

static void
set_defaults(struct config *c, bool user_mode)
{
	for (size_t i = 0; i < NROWS; i++) {
		const struct row *r = &rows[i];
		struct value v = {.i = r->kind == K_BOOL && r->def < 0 ? user_mode : r->def};

		if (r->kind == K_LIST) {
			json_t *list CLEAN_JSON = json_string(r->text_def);

			parse_list(r->key, list, &v.l, NULL);
		} else
			v.s = xstrdup(r->text_def);
		assign(r, member(c, r), &v);
	}
	default_agents(c);
}

/* Keys whose default the table cannot say, because it depends on the mode. */
static void
set_mode_defaults(struct config *c, bool user_mode)
{
	if (!c->socket_mode)
		c->socket_mode = xstrdup(user_mode ? "0600" : "0660");
	if (!c->allow_local)
		c->allow_local = xstrdup(user_mode ? "all" : "none");
}

struct config *
config_load(const struct config_input *in, struct awo_err *err)
{
	struct config *c = xcalloc(1, sizeof(*c));
	char *file CLEAN_FREE = in->config_file	 ? xstrdup(in->config_file)
				: in->config_dir ? xasprintf("%s/config.yaml", in->config_dir)
						 : NULL;
	char *agents CLEAN_FREE =
	    in->config_dir ? xasprintf("%s/agents.yaml", in->config_dir) : NULL;

	c->sources = xcalloc(NROWS + (size_t)AGENTS_MAX * A__COUNT, sizeof(*c->sources));
	set_defaults(c, in->user_mode);
	if ((file && apply_file(c, in, file, in->config_file != NULL, false, err) < 0) ||
	    (agents && apply_file(c, in, agents, false, true, err) < 0) ||
	    complete_agents(c, err) < 0)
		goto fail;
	set_mode_defaults(c, in->user_mode);
	if (check_together(c, err) < 0)
		goto fail;
	apply_stored(c, in);
	if (apply_environment(c, in, err) < 0 || apply_agent_environment(c, in, err) < 0)
		goto fail;
	set_mode_defaults(c, in->user_mode);
	if (check_together(c, err) < 0)
		goto fail;
	return c;
fail:
	config_free(c);
	return NULL;
}

void
config_free(struct config *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < NROWS; i++) {
		if (rows[i].flags & CONF_SECRET) {
			secret_free(*(char **)member(c, &rows[i]));
			*(char **)member(c, &rows[i]) = NULL;
		}
		free_at(&rows[i], member(c, &rows[i]));
	}
	for (size_t i = 0; i < c->nagents; i++) {
		free(c->agents[i].name);
		for (int k = 0; k < A__COUNT; k++)
			free_at(&agent_rows[k], (char *)&c->agents[i] + agent_offsets[k]);
	}
	for (size_t i = 0; c->sources && i < NROWS + (size_t)AGENTS_MAX * A__COUNT; i++)
		free(c->sources[i].text);
	free(c->sources);
	free(c->agents);
	free(c);
}

/* ---- showing */

static json_t *
strv_json(const struct p_strv *sv)
{
	json_t *list = json_array();

	for (size_t i = 0; i < sv->n; i++)
		json_array_append_new(list, json_string(sv->v[i]));
	return list;
}

/* The value as JSON, secrets masked; new reference. */
static json_t *
value_json(const struct row *r, const void *at)
{
	char mask[16];
	const char *s;
	json_t *map, *copy;
	const char *key;
	json_t *v;

	switch (r->kind) {
	case K_INT:
	case K_DURATION:
		return json_integer(*(const int64_t *)at);
	case K_BOOL:
		return json_boolean(*(const bool *)at);
	case K_STR:
	case K_CHOICE:
		s = *(char *const *)at;
		if (s && (r->flags & CONF_SECRET)) {
			secret_mask(s, mask);
			s = mask;
		}
		return s ? json_string(s) : json_null();
	case K_LIST:
		return strv_json(at);
	case K_MAP:
		/* environment variables of agents may well be secrets */
		map = *(json_t *const *)at;
		copy = json_object();
		json_object_foreach(map, key, v)
		{
			secret_mask(json_string_value(v), mask);
			json_object_set_new(copy, key, json_string(mask));
		}
		return copy;
	}
	return json_null();
}

static void
add_setting(struct p_settings_answer *out, const char *key, const struct row *r, const void *at,
    const struct config_source *source)
{
	struct p_setting *s;

	out->settings.v = xrealloc(out->settings.v, out->settings.n + 1, sizeof(*out->settings.v));
	s = &out->settings.v[out->settings.n++];
	memset(s, 0, sizeof(*s));
	P_SETS(setting, s, key, key);
	P_SET(setting, s, value, value_json(r, at));
	P_SETS(setting, s, source, source_text(source));
	P_SET(setting, s, fixed, source->fixed || (r->flags & CONF_UNSTORED) != 0);
	P_SET(setting, s, restart_required, (r->flags & CONF_RESTART) != 0);
	P_SETS(setting, s, help, r->help);
}

static int
compare_settings(const void *a, const void *b)
{
	const struct p_setting *x = a, *y = b;

	return strcmp(x->key, y->key);
}

/* Whether a key is asked for: all, itself, or its section. */
static bool
is_wanted(const char *key, const char *wanted)
{
	size_t n = wanted ? strlen(wanted) : 0;

	return !wanted || (strncmp(key, wanted, n) == 0 && (key[n] == '\0' || key[n] == '.'));
}

static int
no_such_setting(const char *key, struct awo_err *err)
{
	const char *names[NROWS + 1];
	const char *near;

	for (size_t i = 0; i < NROWS; i++)
		names[i] = rows[i].key;
	names[NROWS] = NULL;
	near = text_nearest(key, names);
	return ERR(err, NOT_FOUND, "key", "there is no setting \"%.128s\"%s%s%s", key,
	    near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

int
config_settings(
    const struct config *c, const char *key, struct p_settings_answer *out, struct awo_err *err)
{
	memset(out, 0, sizeof(*out));
	for (size_t i = 0; i < NROWS; i++)
		if (is_wanted(rows[i].key, key))
			add_setting(
			    out, rows[i].key, &rows[i], member(c, &rows[i]), row_source(c, i));
	for (size_t i = 0; i < c->nagents; i++)
		for (int k = 0; k < A__COUNT; k++) {
			char *name CLEAN_FREE =
			    xasprintf("agents.%s.%s", c->agents[i].name, agent_rows[k].key);

			if (is_wanted(name, key))
				add_setting(out, name, &agent_rows[k],
				    (char *)&c->agents[i] + agent_offsets[k],
				    agent_source(c, i, (enum agent_key)k));
		}
	if (out->settings.n == 0)
		return no_such_setting(key, err);
	qsort(out->settings.v, out->settings.n, sizeof(*out->settings.v), compare_settings);
	P_MARK(settings_answer, out, settings);
	return 0;
}

static int
refuse_fixed(const char *key, const struct config_source *s, struct awo_err *err)
{
	return ERR(err, FAILED_PRECONDITION, "key", "%s is fixed by %s; change it there", key,
	    source_text(s));
}

int
config_check_setting(const struct config *c, const char *key, const json_t *value, bool *restart,
    struct awo_err *err)
{
	int i = find_row(key);
	struct value v;
	enum agent_key k;
	size_t agent;

	*restart = false;
	if (i < 0) {
		if (!find_agent_setting(c, key, &agent, &k))
			return no_such_setting(key, err);
		if (agent_source(c, agent, k)->fixed)
			return refuse_fixed(key, agent_source(c, agent, k), err);
		if (json_is_null(value))
			return 0;
		if (k == A_ENV)
			return ERR(err, INVALID_ARGUMENT, "key",
			    "%s may hold secrets and is not stored in clear; write it into the "
			    "configuration file, or store a "
			    "credential of kind agent_key",
			    key);
		if (parse_agent_value(c->agents[agent].name, k, value, false, &v, err) < 0)
			return -1;
		value_free(&v);
		return 0;
	}
	*restart = (rows[i].flags & CONF_RESTART) != 0;
	if (row_source(c, (size_t)i)->fixed)
		return refuse_fixed(key, row_source(c, (size_t)i), err);
	if (json_is_null(value))
		return 0;
	if (rows[i].flags & CONF_UNSTORED)
		return ERR(err, FAILED_PRECONDITION, "key",
		    "%s is read from the configuration file alone; change it there and restart %s",
		    key, rows[i].flags & CONF_GATEWAY ? "awo-gateway" : "awod");
	if (rows[i].flags & CONF_SECRET)
		return ERR(err, INVALID_ARGUMENT, "key",
		    "%s is a secret and is not stored in clear; store it as a credential", key);
	if (parse_value(&rows[i], key, value, false, NULL, &v, err) < 0)
		return -1;
	if (check_replaced(c, &rows[i], &v, NULL, err) < 0)
		return -1;
	return 0;
}

void
config_log_ignored(char *const *environ_)
{
	struct buf names CLEAN_BUF = {0};

	for (const char *const *n = ignored_names; *n; n++)
		if (env_get(environ_, *n, strlen(*n)))
			buf_printf(&names, "%s%s", names.len ? " " : "", *n);
	if (names.len)
		log_info("environment_ignored", LS("names", names.p));
}

/* A line of YAML; a masked value is only a comment, so that the output can be used as a file. */
static void
print_line(struct buf *b, int indent, const char *key, const struct row *r, const void *at,
    const struct config_source *source)
{
	json_t *v CLEAN_JSON = value_json(r, at);
	char *text CLEAN_FREE = json_dumps(v, JSON_ENCODE_ANY);
	bool secret = ((r->flags & CONF_SECRET) && !json_is_null(v)) ||
		      (r->kind == K_MAP && json_object_size(v) > 0);

	/* an empty mapping, or a number that is not set, would be refused or mean something else */
	if (r->kind == K_MAP && !secret)
		return;
	if (r->kind == K_INT && *(const int64_t *)at < r->lo)
		return;
	buf_printf(b, "%*s%s%s: %s\t# %s\n", indent, "", secret ? "# " : "", key, text,
	    source_text(source));
}

static void
print_agents(struct buf *b, const struct config *c)
{
	for (size_t i = 0; i < c->nagents; i++) {
		buf_printf(b, "  %s:\n", c->agents[i].name);
		for (int k = 0; k < A__COUNT; k++)
			print_line(b, 4, agent_rows[k].key, &agent_rows[k],
			    (char *)&c->agents[i] + agent_offsets[k],
			    agent_source(c, i, (enum agent_key)k));
	}
}

void
config_print(const struct config *c, int fd)
{
	struct buf b CLEAN_BUF = {0};
	const char *section = "";
	size_t section_len = 0;

	for (size_t i = 0; i < NROWS; i++) {
		const char *dot = strchr(rows[i].key, '.');
		size_t n = dot ? (size_t)(dot - rows[i].key) : 0;

		if (n != section_len || strncmp(section, rows[i].key, n) != 0) {
			section = rows[i].key;
			section_len = n;
			buf_printf(&b, "%.*s:\n", (int)n, section);
		}
		print_line(&b, dot ? 2 : 0, dot ? dot + 1 : rows[i].key, &rows[i],
		    member(c, &rows[i]), row_source(c, i));
		if (strcmp(rows[i].key, "agents.default") == 0)
			print_agents(&b, c);
	}
	/* whoever reads may have gone; there is nobody left to tell */
	(void)files_write_all(fd, b.p, b.len);
}
