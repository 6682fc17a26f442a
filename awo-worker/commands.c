/* The command files of an order: where they are, and which one a step's name means. */
#include "awo-worker/commands.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "awo-worker/order.h"
#include "awo-worker/repository.h"
#include "common/clean.h"
#include "common/files.h"

#define NAMES_MAX 1000
#define REPO "repo:"

static const char *const in_repository[] = {
    ".awo/commands", ".claude/commands/agent-work-orders", ".claude/commands"};
static const char *const in_root[] = {
    "/awo/extra-commands", "/awo/config-commands", "/awo/commands"};

static void
add(struct commands *c, const char *file, const char *place)
{
	size_t len = strlen(file);
	char *name CLEAN_FREE = NULL;

	if (len <= 3 || strcmp(file + len - 3, ".md") != 0 || c->names.n >= NAMES_MAX)
		return;
	name = xstrndup(file, len - 3);
	if (!job_is_name(name) || p_strv_has(&c->names, name))
		return;
	p_strv_add(&c->names, name);
	p_strv_add(&c->places, place);
}

json_t *
commands_in_repository(void)
{
	json_t *list = json_array();

	for (size_t i = 0; i < sizeof(in_repository) / sizeof(in_repository[0]); i++)
		json_array_append_new(list, json_string(in_repository[i]));
	return list;
}

static void
list_repository(struct commands *c, const char *dir)
{
	const json_t *files = json_object_get(c->listed, dir);
	char place[128];
	size_t i;
	json_t *e;

	snprintf(place, sizeof(place), REPO "%s", dir);
	json_array_foreach(files, i, e)
		if (json_is_string(e))
			add(c, json_string_value(e), place);
}

static void
list_directory(struct commands *c, const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	if (d == NULL)
		return;
	while ((e = readdir(d)) != NULL)
		add(c, e->d_name, dir);
	closedir(d);
}

void
commands_load(struct order *o)
{
	json_t *fields, *list;

	for (size_t i = 0; i < sizeof(in_repository) / sizeof(in_repository[0]); i++)
		list_repository(&o->commands, in_repository[i]);
	json_decref(o->commands.listed);
	o->commands.listed = NULL;
	for (size_t i = 0; i < sizeof(in_root) / sizeof(in_root[0]); i++)
		list_directory(&o->commands, in_root[i]);
	fields = json_object();
	list = json_array();
	for (size_t i = 0; i < o->commands.names.n; i++)
		json_array_append_new(list, json_string(o->commands.names.v[i]));
	json_object_set_new(fields, "count", json_integer((json_int_t)o->commands.names.n));
	json_object_set_new(fields, "commands", list);
	journal_write(&o->journal, P_E_commands_loaded, log_level_info, fields);
}

void
commands_free(struct commands *c)
{
	json_decref(c->listed);
	p_strv_free(&c->names);
	p_strv_free(&c->places);
}

/* The place as people outside know it. */
static char *
outside_name(const struct order *o, const char *place, const char *name)
{
	if (strncmp(place, REPO, strlen(REPO)) == 0)
		return xasprintf("%s/%s.md", place + strlen(REPO), name);
	if (strcmp(place, "/awo/commands") == 0)
		return xasprintf("%s/%s.md", o->args->commands_dir, name);
	if (strcmp(place, "/awo/config-commands") == 0)
		return xasprintf("%s/commands/%s.md", o->args->config_dir, name);
	return xasprintf("%s/%s.md", o->job.extra_commands, name);
}

static char *
read_text(struct order *o, const char *place, const char *name, size_t *len, struct failure *f)
{
	char *path CLEAN_FREE = NULL, *text;
	int fd CLEAN_FD = -1;

	if (strncmp(place, REPO, strlen(REPO)) == 0) {
		path = xasprintf("%s/%s.md", place + strlen(REPO), name);
		return repository_show(o, o->base_sha, path, PROMPT_FILE_MAX, len, f);
	}
	path = xasprintf("%s/%s.md", place, name);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	text = fd >= 0 ? files_read_fd(fd, PROMPT_FILE_MAX, len) : NULL;
	if (text == NULL)
		FAIL(f, permanent, "Command file not readable: %s", strerror(errno));
	return text;
}

/* Where the command of that name stands in the list; its length when there is none. */
static size_t
find(const struct commands *c, const char *name)
{
	size_t i = 0;

	while (i < c->names.n && strcmp(c->names.v[i], name) != 0)
		i++;
	return i;
}

/* The step that people mean by a shorter word, for which there is no file of its own. */
static const char *
meant(const char *name)
{
	static const char *const words[][2] = {{"plan", "planning"}, {"implement", "execute"},
	    {"review", "prp-review"}, {"test", "testing"}};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(words[i][0], name) == 0)
			return words[i][1];
	return name;
}

int
commands_read(
    struct order *o, const char *name, struct prompt_template *t, char **where, struct failure *f)
{
	char *text CLEAN_FREE = NULL;
	struct awo_err err = {0};
	size_t i, len = 0;

	*t = (struct prompt_template){0};
	*where = NULL;
	i = find(&o->commands, name);
	if (i == o->commands.names.n) {
		name = meant(name);
		i = find(&o->commands, name);
	}
	if (i == o->commands.names.n) {
		*where = outside_name(o, "/awo/commands", name);
		return FAIL(f, permanent, "Command file not found: %s", *where);
	}
	*where = outside_name(o, o->commands.places.v[i], name);
	text = read_text(o, o->commands.places.v[i], name, &len, f);
	if (text == NULL)
		return failure_prefix(f, "%s: ", *where);
	if (prompt_parse(t, text, len, &err) != 0) {
		failure_from_err(f, error_category_permanent, &err);
		return failure_prefix(f, "%s: ", *where);
	}
	return 0;
}
