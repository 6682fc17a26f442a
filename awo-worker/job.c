/* What a worker is to do, as the broker says it: the job specification made a struct. */
#include "awo-worker/job.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clean.h"
#include "common/ids.h"

#define STEPS_MAX 1000
#define PROMPTS_MAX 1000
#define LIST_MAX 1024

enum kind { STR, INT, BOOL };

struct row {
	const char *path; /* dotted, at most three parts */
	enum kind kind;
	bool required;
	int64_t min, max; /* INT: value; STR: bytes */
	int64_t fallback; /* INT, BOOL: when it is missing or null */
	size_t offset;
};

#define ROW(path, kind, req, lo, hi, fallback, member)                                             \
	{                                                                                          \
		path, kind, req, lo, hi, fallback, offsetof(struct job, member)                    \
	}

/* clang-format off */
static const struct row rows[] = {
	ROW("id",                      STR,  true,  11, 11,        0, id),
	ROW("nonce",                   STR,  true,  64, 64,        0, nonce),
	ROW("fetching",                BOOL, false, 0, 0,          0, fetching),
	ROW("attempt",                 INT,  false, 1, 1000000,    1, attempt),
	ROW("repository.url",          STR,  true,  1, 4096,       0, url),
	ROW("repository.canonical",    STR,  true,  1, 4096,       0, canonical),
	ROW("repository.owner",        STR,  false, 0, 1024,       0, owner),
	ROW("repository.name",         STR,  false, 0, 1024,       0, name),
	ROW("repository.host",         STR,  false, 0, 512,        0, host),
	ROW("repository.is_local",     BOOL, false, 0, 0,          0, is_local),
	ROW("repository.local_path",   STR,  false, 1, 4095,       0, local_path),
	ROW("sandbox_type",            STR,  true,  1, 64,         0, sandbox_type),
	ROW("base_branch",             STR,  false, 1, 255,        0, base_branch),
	ROW("branch_prefix",           STR,  false, 1, 64,         0, branch_prefix),
	ROW("branch_id",               STR,  false, 1, 16,         0, branch_id),
	ROW("user_request",            STR,  false, 0, 65536,      0, user_request),
	ROW("workflow_type",           STR,  false, 0, 128,        0, workflow_type),
	ROW("github_issue_number",     STR,  false, 1, 19,         0, issue),
	ROW("total_steps",             INT,  false, 0, 100000,     0, total_steps),
	ROW("resume.branch",           STR,  false, 1, 255,        0, resume.branch),
	ROW("resume.base_sha",         STR,  false, 40, 64,        0, resume.base_sha),
	ROW("resume.head_sha",         STR,  false, 40, 64,        0, resume.head_sha),
	ROW("resume.plan_file",        STR,  false, 1, 4095,       0, resume.plan_file),
	ROW("resume.session_id",       STR,  false, 1, 256,        0, resume.session_id),
	ROW("resume.pushed_sha",       STR,  false, 40, 64,        0, resume.pushed_sha),
	ROW("resume.pull_request_number", STR, false, 1, 19,       0, resume.pr_number),
	ROW("resume.pull_request_url", STR,  false, 1, 2048,       0, resume.pr_url),
	ROW("resume.phase",            STR,  false, 1, 32,         0, resume.phase),
	ROW("resume.reset",            BOOL, false, 0, 0,          0, resume.reset),
	ROW("agent.name",              STR,  true,  1, 64,         0, agent.name),
	ROW("agent.adapter",           STR,  true,  1, 64,         0, agent.adapter),
	ROW("agent.program",           STR,  true,  1, 4095,       0, agent.program),
	ROW("agent.model",             STR,  false, 1, 128,        0, agent.model),
	ROW("agent.max_turns",         INT,  false, 0, 1000000,    0, agent.max_turns),
	ROW("credentials.git.kind",    STR,  false, 1, 32,         0, credentials.kind),
	ROW("credentials.git.user",    STR,  false, 0, 1024,       0, credentials.user),
	ROW("credentials.git.secret",  STR,  false, 0, 65536,      0, credentials.secret),
	ROW("credentials.forge_token", STR,  false, 1, 65536,      0, credentials.forge_token),
	ROW("forge.kind",              STR,  false, 1, 32,         0, forge.kind),
	ROW("forge.api_url",           STR,  false, 1, 2048,       0, forge.api_url),
	ROW("forge.owner",             STR,  false, 0, 1024,       0, forge.owner),
	ROW("forge.repo",              STR,  false, 0, 1024,       0, forge.repo),
	ROW("forge.comment_on_issue",  BOOL, false, 0, 0,          1, forge.comment_on_issue),
	ROW("git.author_name",         STR,  false, 1, 256,        0, git.author_name),
	ROW("git.author_email",        STR,  false, 1, 256,        0, git.author_email),
	ROW("git.known_hosts",         STR,  false, 0, 1 << 20,    0, git.known_hosts),
	ROW("git.timeout_seconds",     INT,  false, 1, 86400,      300, git.timeout),
	ROW("git.max_import_bytes",    INT,  false, 1, INT64_MAX,  1 << 30, git.max_import_bytes),
	ROW("git.max_import_objects",  INT,  false, 1, INT64_MAX,  500000, git.max_import_objects),
	ROW("commands.trust_repository", BOOL, false, 0, 0,        0, trust_repository),
	ROW("commands.extra_dir",      STR,  false, 1, 4095,       0, extra_commands),
	ROW("tests.must_pass",         BOOL, false, 0, 0,          1, tests_must_pass),
	ROW("timeouts.step",           INT,  false, 1, 31536000,   3600, timeouts.step),
	ROW("timeouts.idle",           INT,  false, 1, 31536000,   1800, timeouts.idle),
	ROW("timeouts.order",          INT,  false, 0, 31536000,   0, timeouts.order),
	ROW("timeouts.elapsed",        INT,  false, 0, INT64_MAX / 2000000, 0, timeouts.elapsed),
	ROW("timeouts.kill",           INT,  false, 1, 3600,       10, timeouts.kill),
	ROW("limits.log_bytes",        INT,  false, 0, INT64_MAX,  256 << 20, limits.log_bytes),
	ROW("limits.nofile",           INT,  false, 0, INT64_MAX,  16384, limits.nofile),
	ROW("limits.fsize",            INT,  false, 0, INT64_MAX,  INT64_C(8) << 30, limits.fsize),
	ROW("limits.nproc",            INT,  false, 0, INT64_MAX,  4096, limits.nproc),
	ROW("limits.core",             INT,  false, 0, INT64_MAX,  1, limits.core),
	ROW("limits.memlock",          INT,  false, 0, INT64_MAX,  8 << 20, limits.memlock),
	ROW("ports.start",             INT,  false, 0, 65535,      0, ports_start),
	ROW("ports.count",             INT,  false, 0, 1000,       0, ports_count),
	ROW("artifacts.prompts",       BOOL, false, 0, 0,          1, keep_prompts),
	ROW("artifacts.outputs",       BOOL, false, 0, 0,          1, keep_outputs),
};
/* clang-format on */

/* NULL when a part is missing or null; refuses when a part that should hold others is something
 * else. */
static int
look_up(const json_t *tree, const char *path, const json_t **out, struct awo_err *err)
{
	const json_t *at = tree;
	const char *p = path;

	*out = NULL;
	for (;;) {
		const char *dot = strchr(p, '.');
		char part[64];

		snprintf(
		    part, sizeof(part), "%.*s", dot != NULL ? (int)(dot - p) : (int)strlen(p), p);
		at = json_object_get(at, part);
		if (at == NULL || json_is_null(at))
			return 0;
		if (dot == NULL)
			break;
		if (!json_is_object(at))
			return ERR(err, INVALID_ARGUMENT, path,
			    "job specification: %s is no object", part);
		p = dot + 1;
	}
	*out = at;
	return 0;
}

static int
take_string(const char *path, const json_t *value, int64_t min, int64_t max, char **out,
    struct awo_err *err)
{
	/* numbers of issues and pull requests are text here, but come naturally as numbers */
	char *number CLEAN_FREE = json_is_integer(value)
		? xasprintf("%lld", (long long)json_integer_value(value))
		: NULL;
	const char *text = number != NULL ? number : json_string_value(value);
	size_t len;

	if (text == NULL)
		return ERR(err, INVALID_ARGUMENT, path, "job specification: %s is no string", path);
	len = number != NULL ? strlen(number) : json_string_length(value);
	if ((int64_t)len < min || (int64_t)len > max || memchr(text, '\0', len) != NULL)
		return ERR(err, INVALID_ARGUMENT, path,
		    "job specification: %s is too short, too long or holds a NUL", path);
	*out = xstrdup(text);
	return 0;
}

static int
take_row(struct job *job, const struct row *r, const json_t *tree, struct awo_err *err)
{
	char *base = (char *)job + r->offset;
	const json_t *value;
	json_int_t n;

	if (look_up(tree, r->path, &value, err) != 0)
		return -1;
	if (value == NULL) {
		if (r->required)
			return ERR(err, INVALID_ARGUMENT, r->path,
			    "job specification: %s is missing", r->path);
		if (r->kind == INT)
			memcpy(base, &r->fallback, sizeof(r->fallback));
		else if (r->kind == BOOL)
			*(bool *)base = r->fallback != 0;
		return 0;
	}
	switch (r->kind) {
	case STR: {
		char *s = NULL;

		if (take_string(r->path, value, r->min, r->max, &s, err) != 0)
			return -1;
		memcpy(base, &s, sizeof(s));
		return 0;
	}
	case INT:
		n = json_integer_value(value);
		if (!json_is_integer(value) || n < r->min || n > r->max)
			return ERR(err, INVALID_ARGUMENT, r->path,
			    "job specification: %s is no number from %lld to %lld", r->path,
			    (long long)r->min, (long long)r->max);
		memcpy(base, &(int64_t){n}, sizeof(int64_t));
		return 0;
	case BOOL:
		if (!json_is_boolean(value))
			return ERR(err, INVALID_ARGUMENT, r->path,
			    "job specification: %s is not true or false", r->path);
		*(bool *)base = json_is_true(value);
		return 0;
	}
	return 0;
}

static int
array_at(const json_t *tree, const char *path, size_t max, const json_t **out, struct awo_err *err)
{
	if (look_up(tree, path, out, err) != 0)
		return -1;
	if (*out != NULL && (!json_is_array(*out) || json_array_size(*out) > max))
		return ERR(err, INVALID_ARGUMENT, path,
		    "job specification: %s is no array of at most %zu", path, max);
	return 0;
}

static int
take_list(const json_t *tree, const char *path, struct p_strv *out, struct awo_err *err)
{
	const json_t *list;

	if (array_at(tree, path, LIST_MAX, &list, err) != 0)
		return -1;
	for (size_t i = 0; i < json_array_size(list); i++) {
		char *s CLEAN_FREE = NULL;

		if (take_string(path, json_array_get(list, i), 0, 65536, &s, err) != 0)
			return -1;
		p_strv_add(out, s);
	}
	return 0;
}

static int
take_steps(struct job *job, const json_t *tree, struct awo_err *err)
{
	const json_t *list;
	size_t n;

	if (array_at(tree, "steps", STEPS_MAX, &list, err) != 0)
		return -1;
	n = json_array_size(list);
	if (n == 0)
		return ERR(err, INVALID_ARGUMENT, "steps", "job specification: steps has no entry");
	job->steps = xcalloc(n, sizeof(*job->steps));
	for (size_t i = 0; i < n; i++) {
		const json_t *e = json_array_get(list, i), *number = json_object_get(e, "number");

		if (take_string(
			"steps", json_object_get(e, "name"), 1, 128, &job->steps[i].name, err) != 0)
			return -1;
		job->nsteps = i + 1;
		if (!job_is_name(job->steps[i].name))
			return ERR(err, INVALID_ARGUMENT, "steps",
			    "job specification: a step has a name that no file can have");
		job->steps[i].number =
		    number != NULL ? json_integer_value(number) : (json_int_t)i + 1;
		job->steps[i].gate = json_integer_value(json_object_get(e, "gate"));
		if (job->steps[i].number < 1 || job->steps[i].number > 100000)
			return ERR(err, INVALID_ARGUMENT, "steps",
			    "job specification: number of step %s is out of range",
			    job->steps[i].name);
	}
	if (job->total_steps < job->steps[n - 1].number)
		job->total_steps = job->steps[n - 1].number;
	return 0;
}

static int
take_prompts(struct job *job, const json_t *tree, struct awo_err *err)
{
	const json_t *list;
	size_t n;

	if (array_at(tree, "prompts", PROMPTS_MAX, &list, err) != 0)
		return -1;
	n = json_array_size(list);
	if (n == 0)
		return 0;
	job->prompts = xcalloc(n, sizeof(*job->prompts));
	for (size_t i = 0; i < n; i++) {
		const json_t *e = json_array_get(list, i),
			     *number = json_object_get(e, "prompt_id");

		if (!json_is_integer(number) || json_integer_value(number) < 1)
			return ERR(err, INVALID_ARGUMENT, "prompts",
			    "job specification: a prompt has no prompt_id");
		job->prompts[i].id = json_integer_value(number);
		if (take_string("prompts", json_object_get(e, "text"), 1, 65536,
			&job->prompts[i].text, err) != 0)
			return -1;
		job->nprompts = i + 1;
	}
	return 0;
}

static int
take_env(struct job *job, const json_t *tree, struct awo_err *err)
{
	const json_t *env, *value;
	void *it;

	if (look_up(tree, "agent.env", &env, err) != 0)
		return -1;
	if (env == NULL)
		return 0;
	if (!json_is_object(env) || json_object_size(env) > LIST_MAX)
		return ERR(err, INVALID_ARGUMENT, "agent.env",
		    "job specification: agent.env is no object");
	for (it = json_object_iter((json_t *)(uintptr_t)env); it != NULL;
	     it = json_object_iter_next((json_t *)(uintptr_t)env, it)) {
		const char *key = json_object_iter_key(it);
		char *s CLEAN_FREE = NULL, *pair CLEAN_FREE = NULL;

		value = json_object_iter_value(it);
		if (key[0] == '\0' || strchr(key, '=') != NULL)
			return ERR(err, INVALID_ARGUMENT, "agent.env",
			    "job specification: agent.env has a key that is no name");
		if (take_string("agent.env", value, 0, 65536, &s, err) != 0)
			return -1;
		pair = xasprintf("%s=%s", key, s);
		p_strv_add(&job->agent.env, pair);
	}
	return 0;
}

static void
fallback(char **s, const char *value)
{
	if (*s == NULL)
		*s = xstrdup(value);
}

int
job_parse(struct job *job, const char *text, size_t len, struct awo_err *err)
{
	json_t *tree CLEAN_JSON = NULL;
	json_error_t je;
	const json_t *context;

	*job = (struct job){0};
	tree = json_loadb(text, len, JSON_REJECT_DUPLICATES, &je);
	if (tree == NULL)
		return ERR(err, INVALID_ARGUMENT, "", "job specification is no JSON: %s", je.text);
	if (!json_is_object(tree) || json_integer_value(json_object_get(tree, "proto")) != 1)
		return ERR(err, INVALID_ARGUMENT, "proto",
		    "job specification is of another version than this worker (1)");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (take_row(job, &rows[i], tree, err) != 0)
			return -1;
	if (!ids_is_order(job->id))
		return ERR(err, INVALID_ARGUMENT, "id", "job specification: id is no order's id");
	if (take_steps(job, tree, err) != 0 || take_prompts(job, tree, err) != 0 ||
	    take_env(job, tree, err) != 0 ||
	    take_list(tree, "agent.args", &job->agent.args, err) != 0 ||
	    take_list(tree, "agent.paths", &job->agent.paths, err) != 0 ||
	    take_list(tree, "require", &job->require, err) != 0)
		return -1;
	if (look_up(tree, "context", &context, err) != 0)
		return -1;
	if (context != NULL && !json_is_object(context))
		return ERR(
		    err, INVALID_ARGUMENT, "context", "job specification: context is no object");
	job->context = context != NULL ? json_deep_copy(context) : json_object();
	if (job->ports_start == 0)
		job->ports_count = 0;
	fallback(&job->branch_prefix, "feat");
	fallback(&job->branch_id, "append");
	fallback(&job->forge.kind, "none");
	fallback(&job->git.author_name, "AWO Agent");
	fallback(&job->git.author_email, "agent@awo.invalid");
	fallback(&job->host, "");
	return 0;
}

void
job_free(struct job *job)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *s;

		if (rows[i].kind != STR)
			continue;
		memcpy(&s, (char *)job + rows[i].offset, sizeof(s));
		if (s != NULL)
			explicit_bzero(s, strlen(s));
		free(s);
	}
	for (size_t i = 0; i < job->nsteps; i++)
		free(job->steps[i].name);
	free(job->steps);
	for (size_t i = 0; i < job->nprompts; i++)
		free(job->prompts[i].text);
	free(job->prompts);
	p_strv_free(&job->agent.args);
	p_strv_free(&job->agent.paths);
	p_strv_free(&job->agent.env);
	p_strv_free(&job->require);
	json_decref(job->context);
	*job = (struct job){0};
}

bool
job_is_name(const char *s)
{
	static const char good[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
	size_t len = strlen(s);

	return len > 0 && len <= 128 && s[0] != '.' && s[0] != '-' && strspn(s, good) == len;
}
