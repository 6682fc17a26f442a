/* Entry of awo-worker: an order's worker, one run of awo-git, awo-forge or an agent's --version, or the launcher. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "awo-worker/agent_version.h"
#include "awo-worker/sandbox.h"
#include "awo-worker/worker.h"
#include "common/buf.h"
#include "common/clean.h"
#include "common/files.h"
#include "common/ids.h"
#include "common/log.h"

#define REQUEST_MAX (64U << 20)

struct args {
	const char *mode, *program, *verb, *mounts;
	struct worker_args worker;
};

static const struct option long_options[] = {
	{"mode", required_argument, NULL, 'm'},
	{"id", required_argument, NULL, 'i'},
	{"order-dir", required_argument, NULL, 'o'},
	{"cache-dir", required_argument, NULL, 'c'},
	{"libexec-dir", required_argument, NULL, 'l'},
	{"commands-dir", required_argument, NULL, 'C'},
	{"config-dir", required_argument, NULL, 'f'},
	{"program", required_argument, NULL, 'p'},
	{"verb", required_argument, NULL, 'v'},
	{"mounts", required_argument, NULL, 'M'},
	{NULL, 0, NULL, 0},
};

/* "-" on the command line: there is none. */
static const char *
given(const char *value)
{
	return strcmp(value, "-") == 0 ? NULL : value;
}

static int
parse(struct args *a, int argc, char **argv)
{
	int c;

	*a = (struct args){.worker = {.spec_fd = 3, .journal_fd = 4, .control_fd = 5}};
	while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (c) {
		case 'm':
			a->mode = optarg;
			break;
		case 'i':
			a->worker.id = given(optarg);
			break;
		case 'o':
			a->worker.order_dir = given(optarg);
			break;
		case 'c':
			a->worker.cache_dir = given(optarg);
			break;
		case 'l':
			a->worker.libexec_dir = optarg;
			break;
		case 'C':
			a->worker.commands_dir = optarg;
			break;
		case 'f':
			a->worker.config_dir = optarg;
			break;
		case 'p':
			a->program = optarg;
			break;
		case 'v':
			a->verb = optarg;
			break;
		case 'M':
			a->mounts = optarg;
			break;
		default:
			return -1;
		}
	}
	return optind == argc && a->mode ? 0 : -1;
}

/* ---- one run of a helper program */

/* As the helper itself would: the answer pipe has one line that says why there is no other. */
static int
task_failed(const struct awo_err *err)
{
	bool missing = err->code == AWO_NOT_FOUND;
	CLEAN_JSON json_t *answer = json_pack("{s:b,s:{s:s,s:s,s:s}}", "ok", 0, "error", "category",
	    missing ? "git" : "internal", "message", err->msg, "reason", missing ? "not_found" : "other");
	CLEAN_FREE char *text = answer ? json_dumps(answer, JSON_COMPACT) : NULL;

	log_error("task_failed", LS("error", err->msg));
	if (text)
		dprintf(4, "%s\n", text);
	return 1;
}

/* The request's local repository; NULL when it names none. Caller frees. */
static char *
local_path(struct awo_err *err)
{
	CLEAN_FREE char *text = files_read_fd(3, REQUEST_MAX, NULL);
	CLEAN_JSON json_t *request = text ? json_loads(text, 0, NULL) : NULL;
	const char *path = json_string_value(json_object_get(request, "local_path"));

	if (lseek(3, 0, SEEK_SET) < 0 || !request) {
		ERR(err, INTERNAL, "", "the request of the task cannot be read");
		return NULL;
	}
	if (!path)
		return NULL;
	if (path[0] != '/') {
		ERR(err, INVALID_ARGUMENT, "local_path", "local_path is not absolute");
		return NULL;
	}
	return xstrndup(path, strcspn(path, "\n"));
}

static bool
has_word(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = list; *p; p += strcspn(p, ","), p += *p == ',')
		if (strncmp(p, word, n) == 0 && (p[n] == ',' || p[n] == '\0'))
			return true;
	return false;
}

static int
task_root(const struct args *a, struct awo_err *err)
{
	struct sandbox_mount mounts[3];
	struct sandbox_root root = {.mounts = mounts, .network = has_word(a->mounts, "net")};
	bool cache_rw = has_word(a->mounts, "cache-rw");
	CLEAN_FREE char *clean = NULL, *local = NULL;

	if (cache_rw || has_word(a->mounts, "cache-ro")) {
		if (!a->worker.cache_dir)
			return ERR(err, INTERNAL, "", "--mounts without --cache-dir");
		mounts[root.nmounts++] = (struct sandbox_mount){.source = a->worker.cache_dir, .target = "/awo/cache.git",
			.writable = cache_rw};
	}
	if (has_word(a->mounts, "clean-ro")) {
		if (!a->worker.order_dir)
			return ERR(err, INTERNAL, "", "--mounts without --order-dir");
		clean = xasprintf("%s/repository.git", a->worker.order_dir);
		mounts[root.nmounts++] = (struct sandbox_mount){.source = clean, .target = "/awo/order/repository.git"};
	}
	if (has_word(a->mounts, "local-ro")) {
		local = local_path(err);
		if (!local && err->code)
			return -1;
		if (local && access(local, F_OK) < 0)
			return ERR(err, NOT_FOUND, "", "the repository %s cannot be reached: %s", local, strerror(errno));
		if (local)
			mounts[root.nmounts++] = (struct sandbox_mount){.source = local, .target = local};
	}
	return sandbox_enter(&root, err);
}

/* ---- an agent program's version */

static int
version_main(const struct args *a)
{
	CLEAN_FREE char *text = files_read_fd(3, REQUEST_MAX, NULL);
	CLEAN_JSON json_t *request = text ? json_loads(text, 0, NULL) : NULL;
	CLEAN_JSON json_t *answer = NULL;
	CLEAN_FREE char *line = NULL;
	struct awo_err err = {0};

	if (!a->worker.libexec_dir || strcmp(a->verb, "version") != 0 || !request) {
		ERR(&err, INTERNAL, "", "awo-worker --mode task --program agent: arguments or the request are missing");
		return task_failed(&err);
	}
	answer = agent_version(request, a->worker.libexec_dir);
	line = answer ? json_dumps(answer, JSON_COMPACT) : NULL;
	if (!line) {
		ERR(&err, INTERNAL, "", "the path of the agent's program is no UTF-8");
		return task_failed(&err);
	}
	if (dprintf(4, "%s\n", line) < 0)
		return 1;
	return json_is_true(json_object_get(answer, "ok")) ? 0 : 1;
}

/* ---- all tasks */

/* What needs no other host can be done by the program that knows none. */
static bool
is_local_git(const struct args *a)
{
	return strcmp(a->program, "git") == 0 && (!has_word(a->mounts, "net") || has_word(a->mounts, "local-ro"));
}

/* Becomes the helper: request as standard input, answer as standard output. */
static int
task_main(struct args *a)
{
	static char path[] = "PATH=/usr/bin:/bin", home[] = "HOME=/tmp", lang[] = "LANG=C.UTF-8", tmp[] = "TMPDIR=/tmp";
	char *const envp[] = {path, home, lang, tmp, NULL};
	CLEAN_FREE char *file = NULL, *name = NULL, *verb = NULL;
	CLEAN_FD int exec_fd = -1;
	struct awo_err err = {0};
	char *argv[3];

	if (a->program && a->verb && strcmp(a->program, "agent") == 0)
		return version_main(a);
	if (!a->program || !a->verb || !a->mounts || !a->worker.libexec_dir ||
	    (strcmp(a->program, "git") != 0 && strcmp(a->program, "forge") != 0)) {
		ERR(&err, INTERNAL, "", "awo-worker --mode task: arguments are missing");
		return task_failed(&err);
	}
	name = xasprintf("awo-%s", a->program);
	file = xasprintf("%s/%s%s", a->worker.libexec_dir, name, is_local_git(a) ? "-local" : "");
	verb = xstrdup(a->verb);
	argv[0] = name;
	argv[1] = verb;
	argv[2] = NULL;
	exec_fd = open(file, O_PATH | O_CLOEXEC);
	if (exec_fd < 0) {
		ERR(&err, INTERNAL, "", "%s: %s", file, strerror(errno));
		return task_failed(&err);
	}
	if (task_root(a, &err) < 0)
		return task_failed(&err);
	if (dup2(3, STDIN_FILENO) < 0 || dup2(4, STDOUT_FILENO) < 0 || fcntl(4, F_SETFD, FD_CLOEXEC) < 0 ||
	    fcntl(3, F_SETFD, FD_CLOEXEC) < 0) {
		ERR(&err, INTERNAL, "", "descriptors: %s", strerror(errno));
		return task_failed(&err);
	}
	syscall(SYS_execveat, exec_fd, "", argv, envp, AT_EMPTY_PATH);
	ERR(&err, INTERNAL, "", "starting %s: %s", name, strerror(errno));
	return task_failed(&err);
}

int
main(int argc, char **argv)
{
	struct args a;

	/* the launcher is on the way of every start of an agent: nothing before it */
	if (argc == 3 && strcmp(argv[1], "--mode") == 0 && strcmp(argv[2], "launch") == 0)
		sandbox_launch_main();
	log_open("awo-worker", LOG_FMT_TEXT, LOG_LVL_INFO);
	if (parse(&a, argc, argv) < 0) {
		fputs("awo-worker is started by awod; see awod --help\n", stderr);
		return 2;
	}
	if (strcmp(a.mode, "task") == 0)
		return task_main(&a);
	if (strcmp(a.mode, "order") == 0 && ids_is_order(a.worker.id) && a.worker.order_dir && a.worker.libexec_dir &&
	    a.worker.commands_dir && a.worker.config_dir)
		return order_main(&a.worker);
	fputs("awo-worker: arguments are missing\n", stderr);
	return 2;
}
