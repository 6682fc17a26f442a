/* Finds an agent's program on the host, and what of the host it needs to run. */
#include "awo-worker/program.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clean.h"

static const char *const host_path[] = {
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
    NULL,
};

/* Whether the agent's root has the path anyway. */
static bool
is_base(const char *path)
{
	static const char *const base[] = {
	    "/usr/", "/bin/", "/sbin/", "/lib/", "/lib64/", "/lib32/", NULL};

	for (size_t i = 0; base[i] != NULL; i++)
		if (strncmp(path, base[i], strlen(base[i])) == 0)
			return true;
	return false;
}

static size_t
depth(const char *path)
{
	size_t n = 0;

	for (; *path != '\0'; path++)
		n += *path == '/' && path[1] != '\0';
	return n;
}

/* Directories that hold more than one program's things are never bound as a whole. */
static bool
is_too_wide(const char *dir)
{
	static const char *const wide[] = {"/", "/root", "/home", "/etc", "/var", "/opt", "/srv",
	    "/tmp", "/run", "/mnt", "/media", "/proc", "/sys", "/dev", "/boot", NULL};

	for (size_t i = 0; wide[i] != NULL; i++)
		if (strcmp(dir, wide[i]) == 0)
			return true;
	return strncmp(dir, "/home/", 6) == 0 && depth(dir) <= 2;
}

static void
add_once(struct p_strv *sv, const char *s)
{
	if (!p_strv_has(sv, s))
		p_strv_add(sv, s);
}

static char *
dir_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == path ? xstrdup("/") : xstrndup(path, (size_t)(slash - path));
}

static bool
is_program(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* Looks for a name along directories; NULL when no one has it. */
static char *
search(const char *name, const struct p_strv *first)
{
	for (size_t i = 0; first != NULL && i < first->n; i++) {
		char *path = xasprintf("%s/%s", first->v[i], name);

		if (is_program(path))
			return path;
		free(path);
	}
	for (size_t i = 0; host_path[i] != NULL; i++) {
		char *path = xasprintf("%s/%s", host_path[i], name);

		if (is_program(path))
			return path;
		free(path);
	}
	return NULL;
}

/* What must be bound for a program that is at real (no links left in it). */
static void
add_mounts(struct program *p, const char *real)
{
	const char *modules;
	char *dir CLEAN_FREE = NULL;

	if (is_base(real))
		return;
	modules = strstr(real, "/node_modules/");
	if (modules != NULL) {
		/* a package finds its dependencies beside itself: all of the outermost node_modules
		 */
		char *tree CLEAN_FREE =
		    xstrndup(real, (size_t)(modules - real) + strlen("/node_modules"));

		add_once(&p->mounts, tree);
		return;
	}
	dir = dir_of(real);
	add_once(&p->mounts, is_too_wide(dir) ? real : dir);
}

/* The first line of a script without "#!"; false when it is none. */
static bool
shebang(const char *path, char *line, size_t size)
{
	int fd CLEAN_FD = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char head[512];
	ssize_t n = fd >= 0 ? read(fd, head, sizeof(head) - 1) : -1;

	if (n < 3 || head[0] != '#' || head[1] != '!')
		return false;
	head[n] = '\0';
	head[strcspn(head, "\r\n")] = '\0';
	snprintf(line, size, "%s", head + 2);
	return true;
}

/* A virtual environment or a private installation: bin/ stands beside the libraries. */
static void
add_interpreter(struct program *p, const char *path)
{
	char *real CLEAN_FREE = realpath(path, NULL);
	char *dir CLEAN_FREE = dir_of(path);
	size_t len = strlen(dir);

	if (!is_base(path) && len > 4 && strcmp(dir + len - 4, "/bin") == 0) {
		char *prefix CLEAN_FREE = xstrndup(dir, len - 4);

		if (!is_too_wide(prefix)) {
			add_once(&p->mounts, prefix);
			path = NULL;
		}
	}
	if (path != NULL && !is_base(path))
		add_once(&p->mounts, path);
	if (real != NULL)
		add_mounts(p, real);
}

/* "env [-S] [NAME=value] program ...": the program, or NULL. words is changed. */
static char *
env_target(char *words)
{
	char *save = NULL;

	for (char *w = strtok_r(words, " \t", &save); w != NULL; w = strtok_r(NULL, " \t", &save))
		if (w[0] != '-' && strchr(w, '=') == NULL)
			return w;
	return NULL;
}

static int
add_script(struct program *p, const char *script, char *line, const char *agent, struct failure *f)
{
	char *save = NULL, *first = strtok_r(line, " \t", &save);
	char *found CLEAN_FREE = NULL, *real CLEAN_FREE = NULL, *dir CLEAN_FREE = NULL;
	const char *base, *name;

	if (first == NULL || first[0] != '/')
		return 0;
	base = strrchr(first, '/') + 1;
	if (strcmp(base, "env") != 0) {
		add_interpreter(p, first);
		return 0;
	}
	name = env_target(save);
	if (name == NULL)
		return 0;
	found = name[0] == '/' ? xstrdup(name) : search(name, &p->dirs);
	if (found == NULL)
		return FAIL(f, agent,
		    "agent program '%s' needs '%s' to run, which was not found: install it, or set "
		    "agents.%s.program to a program that needs none",
		    script, name, agent);
	real = realpath(found, NULL);
	if (real == NULL || is_base(found))
		return 0;
	dir = dir_of(real);
	add_mounts(p, real);
	/* env looks for the name, so a directory that has it under this name must be there too */
	if (strcmp(strrchr(real, '/') + 1, name) != 0) {
		free(dir);
		dir = dir_of(found);
		add_once(&p->mounts, is_too_wide(dir) ? found : dir);
	}
	add_once(&p->dirs, dir);
	return 0;
}

static int
not_found(const char *name, const char *agent, const char *install, struct failure *f)
{
	if (install != NULL)
		return FAIL(f, agent,
		    "agent program '%s' not found: install it (%s) or set agents.%s.program", name,
		    install, agent);
	return FAIL(f, agent, "agent program '%s' not found: install it or set agents.%s.program",
	    name, agent);
}

/* The paths of the configuration, which are taken at their word. */
static int
add_given(struct program *p, const struct p_strv *paths, const char *agent, struct failure *f)
{
	for (size_t i = 0; i < paths->n; i++) {
		const char *path = paths->v[i];

		if (path[0] != '/' || path[1] == '\0')
			return FAIL(f, permanent,
			    "agents.%s.paths: '%s' is no absolute path below /", agent, path);
		if (access(path, F_OK) != 0)
			return FAIL(f, permanent, "agents.%s.paths: %s cannot be reached: %s",
			    agent, path, strerror(errno));
		if (!is_base(path))
			add_once(&p->mounts, path);
	}
	return 0;
}

int
program_find(const char *name, const struct p_strv *paths, const char *libexec_dir,
    const char *agent, const char *install, struct program *out, struct failure *f)
{
	char *found CLEAN_FREE = NULL, *dir CLEAN_FREE = NULL;
	char line[512];
	bool own = false;

	*out = (struct program){0};
	if (name[0] == '/') {
		found = xstrdup(name);
	} else if (strchr(name, '/') != NULL) {
		return FAIL(f, permanent,
		    "agents.%s.program '%s' is a relative path: give a name or an absolute path",
		    agent, name);
	} else if (strcmp(name, "awo-demo-agent") == 0) {
		found = xasprintf("%s/%s", libexec_dir, name);
		own = is_program(found);
		if (!own) {
			free(found);
			found = search(name, NULL);
		}
	} else {
		found = search(name, NULL);
	}
	if (found == NULL || !is_program(found))
		return not_found(name, agent, install, f);
	out->path = realpath(found, NULL);
	if (out->path == NULL)
		return not_found(name, agent, install, f);
	if (own) {
		/* nothing else of this directory is the agent's business */
		if (!is_base(out->path))
			p_strv_add(&out->mounts, out->path);
		return 0;
	}
	/* what stands beside the name people start it by, "node" beside "claude" say, is found
	 * first */
	dir = dir_of(found);
	if (!is_base(found) && !is_too_wide(dir))
		p_strv_add(&out->dirs, dir);
	if (paths->n > 0)
		return add_given(out, paths, agent, f);
	add_mounts(out, out->path);
	if (shebang(out->path, line, sizeof(line)))
		return add_script(out, name, line, agent, f);
	return 0;
}

void
program_free(struct program *p)
{
	free(p->path);
	p_strv_free(&p->mounts);
	p_strv_free(&p->dirs);
	*p = (struct program){0};
}

const char **
program_vector(const struct p_strv *sv)
{
	const char **v = xcalloc(sv->n + 1, sizeof(*v));

	for (size_t i = 0; i < sv->n; i++)
		v[i] = sv->v[i];
	return v;
}
