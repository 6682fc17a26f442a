/* Methods of the service itself: workflows and commands that it has, its queue, health, and upkeep.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "awod/agent_version.h"
#include "awod/credentials.h"
#include "awod/server_priv.h"
#include "common/clean.h"
#include "common/clock.h"
#include "common/files.h"
#include "common/text.h"

#define COMMANDS_MAX 10000
#define COMMAND_BYTES 65536 /* of a command file, in which its front matter must end */
#define DESCRIPTION_BYTES 1024
#define RECENT_US (600 * INT64_C(1000000))
#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"

/* ---- workflows */

static void
fill_workflow(struct p_workflow *w, const struct order_workflow *from)
{
	P_SETS(workflow, w, name, from->name);
	P_SETS(workflow, w, description, from->description);
	for (size_t i = 0;
	     i < sizeof(from->steps) / sizeof(from->steps[0]) && from->steps[i] != NULL; i++)
		p_strv_add(&w->steps, from->steps[i]);
	P_MARK(workflow, w, steps);
}

static size_t
workflow_count(void)
{
	size_t n = 0;

	while (order_workflows[n].name != NULL)
		n++;
	return n;
}

void
rpc_workflow_list(struct rpc_call *c, const struct p_empty *request)
{
	struct p_workflow_list_answer answer = {0};
	size_t n = workflow_count();

	(void)request;
	answer.workflows.v = xcalloc(n + 1, sizeof(*answer.workflows.v));
	for (size_t i = 0; i < n; i++)
		fill_workflow(&answer.workflows.v[i], &order_workflows[i]);
	answer.workflows.n = n;
	P_MARK(workflow_list_answer, &answer, workflows);
	rpc_answer(c, &answer);
	P_FREE(workflow_list_answer, &answer);
}

void
rpc_workflow_get(struct rpc_call *c, const struct p_workflow_ref *request)
{
	CLEAN_FREE const char **names = xcalloc(workflow_count() + 1, sizeof(*names));
	struct awo_err err = {0};
	const char *nearest;

	for (size_t i = 0; order_workflows[i].name != NULL; i++) {
		struct p_workflow w = {0};

		names[i] = order_workflows[i].name;
		if (strcmp(names[i], request->name) != 0)
			continue;
		fill_workflow(&w, &order_workflows[i]);
		rpc_answer(c, &w);
		P_FREE(workflow, &w);
		return;
	}
	nearest = text_nearest(request->name, names);
	(void)ERR(&err, NOT_FOUND, "name", "there is no workflow %s%s%s", request->name,
	    nearest != NULL ? "; did you mean " : "; workflow.list shows them",
	    nearest != NULL ? nearest : "");
	rpc_fail(c, &err);
}

static void
trusted_names(const struct broker *b, struct p_strv *out)
{
	struct p_command_list_answer commands;

	commands_find(b, false, &commands);
	for (size_t i = 0; i < commands.commands.n; i++)
		p_strv_add(out, commands.commands.v[i].name);
	P_FREE(command_list_answer, &commands);
}

void
rpc_workflow_validate(struct rpc_call *c, const struct p_workflow_validate *request)
{
	struct p_workflow_validate_answer answer = {0};
	struct p_strv trusted = {0};
	struct awo_err err = {0};

	trusted_names(rpc_broker(c), &trusted);
	if (order_plan(request->workflow_type, &request->selected_commands, &trusted, &answer.steps, &err) != 0)
		p_strv_add(&answer.errors, err.msg);
	else
		order_plan_problems(&answer.steps, &answer.errors);
	P_SET(workflow_validate_answer, &answer, valid, answer.errors.n == 0);
	P_MARK(workflow_validate_answer, &answer, steps);
	P_MARK(workflow_validate_answer, &answer, errors);
	rpc_answer(c, &answer);
	P_FREE(workflow_validate_answer, &answer);
	p_strv_free(&trusted);
}

/* ---- command files */

/* The description of the front matter: what stands between the first two lines of "---". */
static void
read_description(int dir, const char *file, struct p_command *cmd)
{
	CLEAN_FD int fd = openat(dir, file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct buf clean CLEAN_BUF = {0};
	char text[COMMAND_BYTES + 1];
	char *line, *next = text;
	ssize_t n;

	n = fd >= 0 ? read(fd, text, COMMAND_BYTES) : -1;
	if (n <= 0)
		return;
	text[n] = '\0';
	line = strsep(&next, "\n");
	if (strcmp(line, "---") != 0 && strcmp(line, "---\r") != 0)
		return;
	while ((line = strsep(&next, "\n")) != NULL && strncmp(line, "---", 3) != 0) {
		size_t len;

		if (strncmp(line, "description:", 12) != 0)
			continue;
		line += 12 + strspn(line + 12, " \t");
		len = strcspn(line, "\r");
		while (len > 0 && (line[len - 1] == ' ' || line[len - 1] == '\t'))
			len--;
		if (len >= 2 && (line[0] == '"' || line[0] == '\'') && line[len - 1] == line[0]) {
			line++;
			len -= 2;
		}
		text_add_utf8(&clean, line, len, DESCRIPTION_BYTES);
		P_SETS(command, cmd, description, clean.p != NULL ? clean.p : "");
		return;
	}
}

static bool
is_command_file(const char *file)
{
	size_t n = strlen(file);

	return n > 3 && n <= 131 && strcmp(file + n - 3, ".md") == 0 && file[0] != '.' &&
	       strspn(file, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
		   n;
}

static bool
has_command(const struct p_command_list_answer *out, const char *name)
{
	for (size_t i = 0; i < out->commands.n; i++)
		if (strcmp(out->commands.v[i].name, name) == 0)
			return true;
	return false;
}

static void
commands_of(const char *path, bool describe, struct p_command_list_answer *out, size_t *room)
{
	DIR *d = path != NULL ? opendir(path) : NULL;
	const struct dirent *e;

	if (d == NULL)
		return;
	while ((e = readdir(d)) != NULL && out->commands.n < COMMANDS_MAX) {
		CLEAN_FREE char *name = NULL, *source = NULL;
		struct p_command *cmd;
		struct stat st;

		if (!is_command_file(e->d_name) || fstatat(dirfd(d), e->d_name, &st, 0) != 0 ||
		    !S_ISREG(st.st_mode))
			continue;
		name = xstrndup(e->d_name, strlen(e->d_name) - 3);
		/* a directory that comes first has the last word */
		if (has_command(out, name))
			continue;
		if (out->commands.n == *room) {
			*room = *room > 0 ? *room * 2 : 16;
			out->commands.v =
			    xrealloc(out->commands.v, *room, sizeof(*out->commands.v));
		}
		cmd = &out->commands.v[out->commands.n++];
		*cmd = (struct p_command){0};
		source = xasprintf("%s/%s", path, e->d_name);
		P_SETS(command, cmd, name, name);
		P_SETS(command, cmd, source, source);
		if (describe)
			read_description(dirfd(d), e->d_name, cmd);
	}
	closedir(d);
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const struct p_command *)a)->name, ((const struct p_command *)b)->name);
}

void
commands_find(const struct broker *b, bool describe, struct p_command_list_answer *out)
{
	CLEAN_FREE char *own = xasprintf("%s/commands", b->opt->config_dir);
	size_t room = 0;

	*out = (struct p_command_list_answer){0};
	commands_of(b->conf->commands_directory, describe, out, &room);
	commands_of(own, describe, out, &room);
	commands_of(b->opt->commands_dir, describe, out, &room);
	if (out->commands.n > 1)
		qsort(out->commands.v, out->commands.n, sizeof(*out->commands.v), by_name);
	P_MARK(command_list_answer, out, commands);
}

bool
commands_have(const struct broker *b, const char *name)
{
	const struct {
		const char *dir, *below;
	} dirs[] = {{b->conf->commands_directory, "/"}, {b->opt->config_dir, "/commands/"}, {b->opt->commands_dir, "/"}};
	CLEAN_BUF struct buf file = {0}, path = {0};
	size_t n = strlen(name);

	buf_adds(&file, name);
	if (n <= 3 || strcmp(name + n - 3, ".md") != 0)
		buf_adds(&file, ".md");
	if (!is_command_file(file.p))
		return false;
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		struct stat st;

		if (dirs[i].dir == NULL)
			continue;
		path.len = 0;
		buf_adds(&path, dirs[i].dir);
		buf_adds(&path, dirs[i].below);
		buf_adds(&path, file.p);
		if (stat(path.p, &st) == 0 && S_ISREG(st.st_mode))
			return true;
	}
	return false;
}

void
rpc_command_list(struct rpc_call *c, const struct p_empty *request)
{
	struct p_command_list_answer answer;

	(void)request;
	commands_find(rpc_broker(c), true, &answer);
	rpc_answer(c, &answer);
	P_FREE(command_list_answer, &answer);
}

/* ---- queue */

void
rpc_queue_get(struct rpc_call *c, const struct p_empty *request)
{
	struct p_queue_answer answer = {0};

	(void)request;
	engine_queue(rpc_broker(c)->engine, rpc_caller(c), &answer);
	rpc_answer(c, &answer);
	P_FREE(queue_answer, &answer);
}

/* ---- health */

static bool
is_program(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* Where a file of that name is, as this process sees it: absolute path (free it), or NULL. */
static char *
look_for(const struct broker *b, const char *program)
{
	const char *path = getenv("PATH");

	if (strchr(program, '/') != NULL)
		return program[0] == '/' && is_program(program) ? xstrdup(program) : NULL;
	if (strcmp(program, "awo-demo-agent") == 0) {
		CLEAN_FREE char *own = xasprintf("%s/%s", b->opt->libexec_dir, program);

		if (is_program(own))
			return TAKE_PTR(own);
	}
	if (path == NULL || *path == '\0')
		path = DEFAULT_PATH;
	while (path != NULL) {
		size_t n = strcspn(path, ":");

		if (n > 0 && path[0] == '/') {
			CLEAN_FREE char *whole = xasprintf("%.*s/%s", (int)n, path, program);

			if (is_program(whole))
				return TAKE_PTR(whole);
		}
		path = path[n] == ':' ? path + n + 1 : NULL;
	}
	return NULL;
}

/* Where an agent's program is, from what it last told; until it has, from a look. Free it; NULL: nowhere. */
static char *
agent_path(const struct broker *b, const struct config_agent *a)
{
	const struct agent_version *known = agent_versions_get(b->agents, a);

	if (known != NULL && (known->path != NULL || known->missing))
		return xstrdup(known->path);
	return look_for(b, a->program);
}

static void __attribute__((format(printf, 2, 3))) problem(struct p_health *h, const char *fmt, ...)
{
	struct buf clean CLEAN_BUF = {0};
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* whatever was put in, and wherever it was cut */
	text_add_utf8(&clean, text, strlen(text), sizeof(text) - 1);
	p_strv_add(&h->problems, clean.p);
}

/* What its program last told; until it has, whether a file of its name is there. */
static json_t *
agent_health(const struct broker *b, const struct config_agent *a)
{
	const struct agent_version *known = agent_versions_get(b->agents, a);
	CLEAN_FREE char *path = NULL, *error = NULL;

	if (known != NULL && known->ok)
		return json_pack("{s:b, s:s, s:s}", "available", 1, "path", known->path, "version",
		    known->version);
	if (known != NULL)
		return json_pack("{s:b, s:s}", "available", 0, "error", known->error);
	path = look_for(b, a->program);
	if (path != NULL)
		return json_pack("{s:b, s:s}", "available", 1, "path", path);
	error = xasprintf("agent program '%s' not found: install it or set agents.%s.program",
	    a->program, a->name);
	return json_pack("{s:b, s:s}", "available", 0, "error", error);
}

static bool
has_helper(const struct broker *b, const char *name, struct p_health *h)
{
	CLEAN_FREE char *path = xasprintf("%s/%s", b->opt->libexec_dir, name);

	if (is_program(path))
		return true;
	problem(h, "%.800s is missing: install AWO again, or set --libexec-dir", path);
	return false;
}

/* Addresses of the surrounding platform: shown, never used. */
static void
add_platform(json_t *deps, const char *variable, const char *name)
{
	const char *url = getenv(variable);

	if (url != NULL && *url != '\0' && text_is_utf8(url, strlen(url)))
		json_object_set_new(
		    deps, name, json_pack("{s:n, s:s, s:b}", "available", "url", url, "used", 0));
}

static json_t *
dependencies(const struct rpc_call *c, struct p_health *h)
{
	const struct broker *b = rpc_broker(c);
	const struct config_agent *claude = config_agent(b->conf, "claude");
	const struct config_agent *def = config_agent(b->conf, b->conf->default_agent);
	char *token =
	    engine_forge_token(b->engine, (uint32_t)rpc_caller(c)->uid, b->conf->github_host);
	const bool remote = has_helper(b, "awo-git", h), local = has_helper(b, "awo-git-local", h);
	json_t *deps = json_object();

	if (claude != NULL)
		json_object_set_new(deps, "claude_cli", agent_health(b, claude));
	if (def == NULL) {
		problem(h, "the default agent %s is not configured: set agents.default",
		    b->conf->default_agent);
	} else {
		json_t *agent = agent_health(b, def);

		if (!json_is_true(json_object_get(agent, "available")))
			problem(h, "the default agent %s cannot be used: %s", def->name,
			    json_string_value(json_object_get(agent, "error")));
		json_object_set_new(deps, "agent", agent);
	}
	json_object_set_new(deps, "git", json_pack("{s:b}", "available", remote && local));
	json_object_set_new(deps, "github",
	    json_pack("{s:b, s:b}", "available", has_helper(b, "awo-forge", h), "authenticated",
		token != NULL));
	add_platform(deps, "ARCHON_SERVER_URL", "archon_server");
	add_platform(deps, "ARCHON_MCP_URL", "archon_mcp");
	secret_free(token);
	return deps;
}

static json_t *
disk(const struct broker *b, struct p_health *h)
{
	struct statvfs fs;
	double total, available, percent;

	if (statvfs(b->opt->state_dir, &fs) != 0) {
		problem(h, "cannot look at %.600s: %s", b->opt->state_dir, strerror(errno));
		return json_pack("{s:s}", "path", b->opt->state_dir);
	}
	total = (double)fs.f_blocks * (double)fs.f_frsize;
	available = (double)fs.f_bavail * (double)fs.f_frsize;
	percent = total > 0 ? available / total * 100 : 100;
	if (percent < (double)b->conf->retention_min_free_percent)
		problem(h,
		    "%.600s has %.1f %% left, less than retention.min_free_percent (%lld): make "
		    "room, or run awoctl cleanup",
		    b->opt->state_dir, percent, (long long)b->conf->retention_min_free_percent);
	return json_pack("{s:s, s:I, s:I, s:f}", "path", b->opt->state_dir, "total_bytes",
	    (json_int_t)total, "free_bytes", (json_int_t)available, "free_percent", percent);
}

/* A broker that dies is soon back: nobody would know. */
static void
restarts(const struct broker *b, struct p_health *h)
{
	char when[CLOCK_TEXT];

	P_SET(health, h, broker_restarts, b->restarts);
	if (b->restarts == 0)
		return;
	P_SET(health, h, broker_restarted_at, b->restarted_us);
	if (clock_wall_us() - b->restarted_us < RECENT_US)
		problem(h,
		    "the broker died and was started again, %lld time%s since awod's start, the last one at %s: "
		    "look for broker_killed and broker_failed in awod's log",
		    (long long)b->restarts, b->restarts == 1 ? "" : "s",
		    clock_format(b->restarted_us, when));
}

/* kB of a row of /proc/meminfo; -1 where there is none. */
static int64_t
meminfo(const char *text, const char *row)
{
	const char *at = strstr(text, row);

	return at != NULL ? strtoll(at + strlen(row), NULL, 10) : -1;
}

/* What the machine that the orders run on has to do. NULL where it does not say. */
static json_t *
host(void)
{
	size_t len;
	CLEAN_FREE char *text = files_read(AT_FDCWD, "/proc/meminfo", 65536, &len);
	int64_t total, available;
	double load;

	if (text == NULL || getloadavg(&load, 1) != 1)
		return NULL;
	total = meminfo(text, "MemTotal:");
	available = meminfo(text, "MemAvailable:");
	if (total < 0 || available < 0)
		return NULL;
	return json_pack("{s:f, s:I, s:I, s:I}", "load_1m", load, "processors",
	    (json_int_t)sysconf(_SC_NPROCESSORS_ONLN), "memory_total_bytes", (json_int_t)total * 1024,
	    "memory_available_bytes", (json_int_t)available * 1024);
}

void
rpc_system_health(struct rpc_call *c, const struct p_empty *request)
{
	const struct broker *b = rpc_broker(c);
	int64_t counts[order_status_cancelled + 1] = {0};
	struct p_health h = {0};
	const char *type = "sqlite";
	json_t *machine;
	bool well = store_is_healthy(b->store, &type);

	(void)request;
	if (!well)
		problem(&h, "the database does not work: look into awod's log, and at the disk");
	store_counts(b->store, counts);
	P_SETS(health, &h, service, "agent-work-orders");
	P_SETS(health, &h, version, AWO_VERSION);
	P_SET(health, &h, enabled, true);
	P_SETS(health, &h, storage_type, type);
	P_SET(health, &h, database,
	    json_pack(
		"{s:s, s:b}", "status", well ? "healthy" : "unhealthy", "tables_exist", well));
	P_SET(health, &h, dependencies, dependencies(c, &h));
	P_SET(health, &h, queue,
	    json_pack("{s:I, s:I, s:I}", "running", (json_int_t)counts[order_status_running],
		"pending", (json_int_t)counts[order_status_pending], "max_concurrent",
		(json_int_t)b->conf->max_concurrent));
	P_SET(health, &h, disk, disk(b, &h));
	machine = host();
	if (machine != NULL)
		P_SET(health, &h, host, machine);
	P_SET(health, &h, uptime, (double)(clock_wall_us() - b->started_us) / 1e6);
	if (h.uptime < 0)
		h.uptime = 0; /* the clock was set back */
	restarts(b, &h);
	P_MARK(health, &h, problems);
	P_SETS(health, &h, status, h.problems.n == 0 ? "healthy" : "degraded");
	rpc_answer(c, &h);
	P_FREE(health, &h);
}

/* ---- info */

static bool
has_positive(const char *path)
{
	CLEAN_FREE char *text = files_read(AT_FDCWD, path, 64, NULL);

	return text != NULL && atoll(text) > 0;
}

/* What the kernel offers; asked once, for it does not change. */
static json_t *
kernel_features(void)
{
	static json_t *known;

	if (known == NULL) {
		struct stat st;
		long landlock = -1;

#ifdef SYS_landlock_create_ruleset
		landlock = syscall(SYS_landlock_create_ruleset, NULL, 0, 1);
#endif
		known = json_pack("{s:b, s:b, s:b, s:b, s:b}", "user_namespaces",
		    has_positive("/proc/sys/user/max_user_namespaces"), "landlock", landlock > 0,
		    "seccomp", stat("/proc/sys/kernel/seccomp/actions_avail", &st) == 0, "cgroup2",
		    stat("/sys/fs/cgroup/cgroup.controllers", &st) == 0, "pid_namespaces",
		    stat("/proc/self/ns/pid", &st) == 0);
	}
	return json_incref(known);
}

static void
fill_sandboxes(struct p_info *i)
{
	size_t n = 0;

	i->sandbox_types.v = xcalloc(p_enum_sandbox_type.nrows, sizeof(*i->sandbox_types.v));
	for (size_t k = 0; k < p_enum_sandbox_type.nrows; k++) {
		const struct p_enum_row *row = &p_enum_sandbox_type.rows[k];
		struct p_sandbox_info *s = &i->sandbox_types.v[n];
		bool there = row->value != sandbox_type_e2b && row->value != sandbox_type_dagger;

		if (row->alias)
			continue;
		n++;
		P_SET(sandbox_info, s, name, (enum p_sandbox_type)row->value);
		P_SET(sandbox_info, s, available, there);
		if (!there)
			P_SETS(sandbox_info, s, reason,
			    "not in this version: its driver is not built yet");
	}
	i->sandbox_types.n = n;
	P_MARK(info, i, sandbox_types);
}

static void
fill_agents(struct p_info *i, const struct broker *b)
{
	const struct config *conf = b->conf;

	i->agents.v = xcalloc(conf->nagents + 1, sizeof(*i->agents.v));
	for (size_t k = 0; k < conf->nagents; k++) {
		const struct config_agent *a = &conf->agents[k];
		CLEAN_FREE char *path = agent_path(b, a);
		struct p_agent_info *out = &i->agents.v[k];

		P_SETS(agent_info, out, name, a->name);
		P_SETS(agent_info, out, adapter, a->adapter);
		P_SETS(agent_info, out, program, a->program);
		P_SET(agent_info, out, available, path != NULL);
		P_SETS(agent_info, out, path, path);
	}
	i->agents.n = conf->nagents;
	P_MARK(info, i, agents);
}

void
rpc_system_info(struct rpc_call *c, const struct p_empty *request)
{
	const struct broker *b = rpc_broker(c);
	CLEAN_FREE char *file = b->opt->config_file != NULL
				    ? xstrdup(b->opt->config_file)
				    : xasprintf("%s/config.yaml", b->opt->config_dir);
	struct p_info i = {0};
	struct stat st;

	(void)request;
	P_SETS(info, &i, version, AWO_VERSION);
	P_SETS(info, &i, mode, b->opt->user_mode ? "user" : "system");
	P_SETS(info, &i, user, rpc_caller(c)->user);
	P_SET(info, &i, is_admin, rpc_caller(c)->admin);
	P_SETS(info, &i, socket, b->opt->socket_path);
	P_SETS(info, &i, state_directory, b->opt->state_dir);
	P_SETS(info, &i, config_file, stat(file, &st) == 0 ? file : NULL);
	P_SET(info, &i, pid, getpid());
	P_SET(info, &i, started_at, b->started_us);
	fill_sandboxes(&i);
	fill_agents(&i, b);
	for (size_t k = 0; order_builtin_steps[k] != NULL; k++)
		p_strv_add(&i.steps, order_builtin_steps[k]);
	P_MARK(info, &i, steps);
	P_SET(info, &i, kernel, kernel_features());
	rpc_answer(c, &i);
	P_FREE(info, &i);
}

/* ---- upkeep */

void
rpc_system_reload(struct rpc_call *c, const struct p_empty *request)
{
	struct broker *b = rpc_broker(c);
	struct p_settings_answer answer;
	struct awo_err err = {0};

	(void)request;
	if (broker_reload(b, &err) != 0 || config_settings(b->conf, NULL, &answer, &err) != 0) {
		if (err.code == AWO_INVALID_ARGUMENT)
			err.code = AWO_FAILED_PRECONDITION; /* the file is wrong, not the request */
		rpc_fail(c, &err);
		return;
	}
	rpc_answer(c, &answer);
	P_FREE(settings_answer, &answer);
}

static void
cleaned(void *arg, const struct awo_err *err, struct p_cleanup_answer *answer)
{
	if ((err != NULL && err->code != AWO_OK) || answer == NULL)
		rpc_fail(arg, err);
	else
		rpc_answer(arg, answer);
}

void
rpc_system_cleanup(struct rpc_call *c, const struct p_cleanup *request)
{
	engine_cleanup(rpc_broker(c)->engine, request->dry_run, cleaned, c);
}

void
rpc_system_reconcile(struct rpc_call *c, const struct p_cleanup *request)
{
	engine_reconcile(rpc_broker(c)->engine, request->dry_run, cleaned, c);
}

struct saving {
	struct rpc_call *c;
	char *path;
};

static void
saved(void *arg, const struct awo_err *err, int64_t size)
{
	struct saving *s = arg;
	struct p_backup_answer answer = {0};

	if (err != NULL && err->code != AWO_OK) {
		rpc_fail(s->c, err);
	} else {
		P_SETS(backup_answer, &answer, path, s->path);
		P_SET(backup_answer, &answer, size, size);
		rpc_answer(s->c, &answer);
		P_FREE(backup_answer, &answer);
	}
	free(s->path);
	free(s);
}

void
rpc_system_backup(struct rpc_call *c, const struct p_backup *request)
{
	struct awo_err err = {0};
	struct saving *s;
	struct stat st;

	if (request->path[0] != '/')
		(void)ERR(&err, INVALID_ARGUMENT, "path", "must be an absolute path");
	else if (lstat(request->path, &st) == 0)
		(void)ERR(&err, ALREADY_EXISTS, "path",
		    "%.600s is there already; choose another name", request->path);
	if (err.code != AWO_OK) {
		rpc_fail(c, &err);
		return;
	}
	s = xcalloc(1, sizeof(*s));
	*s = (struct saving){.c = c, .path = xstrdup(request->path)};
	store_backup(rpc_broker(c)->store, request->path, saved, s);
}

void
rpc_system_metrics(struct rpc_call *c, const struct p_empty *request)
{
	const struct broker *b = rpc_broker(c);
	struct p_metrics_answer answer = {0};

	(void)request;
	P_SET(metrics_answer, &answer, metrics, json_object());
	engine_metrics(b->engine, answer.metrics);
	if (b->server != NULL)
		server_metrics(b->server, answer.metrics);
	json_object_set_new(answer.metrics, "uptime_seconds",
	    json_real((double)(clock_wall_us() - b->started_us) / 1e6));
	rpc_answer(c, &answer);
	P_FREE(metrics_answer, &answer);
}
