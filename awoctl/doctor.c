/* awoctl doctor: checks what orders need of this host and of the service, and says how to mend it. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "awoctl/ctl.h"
#include "common/clean.h"
#include "common/files.h"
#include "common/text.h"

#define LANDLOCK_VERSION_FLAG 1U /* LANDLOCK_CREATE_RULESET_VERSION; older headers lack it */
#define LANDLOCK_NETWORK_ABI 4
#define FREE_PERCENT_WARN 10

enum verdict { OK, WARN, FAIL };

struct doctor {
	struct ctl *ctl;
	json_t *checks;
	struct buf text;
	int fails, warns;
};

static void check(struct doctor *d, enum verdict verdict, const char *name, const char *remedy, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

/* One line; remedy may be NULL. What is formatted may come from anywhere. */
static void
check(struct doctor *d, enum verdict verdict, const char *name, const char *remedy, const char *fmt, ...)
{
	static const char *const words[] = {"ok", "warn", "fail"};
	static const enum ink inks[] = {INK_GREEN, INK_YELLOW, INK_RED};
	va_list ap;
	char *found;

	va_start(ap, fmt);
	if (vasprintf(&found, fmt, ap) < 0)
		abort();
	va_end(ap);
	d->fails += verdict == FAIL;
	d->warns += verdict == WARN;
	CLEAN_BUF struct buf safe = {0};
	text_add_utf8(&safe, found, strlen(found), 4096);
	free(found);
	json_array_append_new(d->checks, json_pack("{s:s,s:s,s:s,s:o}", "name", name, "status", words[verdict],
	    "message", safe.p ? safe.p : "", "remedy", verdict == OK || !remedy ? json_null() : json_string(remedy)));
	term_ink(&d->text, &d->ctl->out, inks[verdict], words[verdict]);
	for (size_t i = strlen(words[verdict]); i < 6; i++)
		buf_addc(&d->text, ' ');
	buf_printf(&d->text, "%s: ", name);
	term_escapes(&d->text, safe.p ? safe.p : "", TERM_LINE);
	buf_addc(&d->text, '\n');
	if (verdict != OK && remedy) {
		buf_adds(&d->text, "      ");
		term_escapes(&d->text, remedy, TERM_LINE);
		buf_addc(&d->text, '\n');
	}
}

/* ---- the kernel */

static long
read_number(const char *path)
{
	size_t len;
	CLEAN_FREE char *text = files_read(AT_FDCWD, path, 64, &len);

	return text ? strtol(text, NULL, 10) : -1;
}

static int
write_file(const char *path, const char *text)
{
	CLEAN_FD int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -1 : files_write_all(fd, text, strlen(text));
}

/* What a sandbox does first, in a child: exit status 0 or the number of the stage that failed. */
static int
try_namespaces(void)
{
	uid_t uid = getuid();
	gid_t gid = getgid();
	char map[64];

	if (unshare(CLONE_NEWUSER) < 0)
		return 1;
	snprintf(map, sizeof(map), "1000 %u 1\n", uid);
	if (write_file("/proc/self/uid_map", map) < 0)
		return 2;
	snprintf(map, sizeof(map), "1000 %u 1\n", gid);
	if (write_file("/proc/self/setgroups", "deny") < 0 || write_file("/proc/self/gid_map", map) < 0)
		return 2;
	if (unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWPID) < 0)
		return 3;
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mount("tmpfs", "/tmp", "tmpfs", 0, NULL) < 0)
		return 4;
	/* the first child of a new pid namespace is its pid 1, and may mount its own proc */
	pid_t pid = fork();
	if (pid < 0)
		return 5;
	if (pid == 0)
		_exit(mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0 ? 6 : 0);
	int status;
	if (waitpid(pid, &status, 0) < 0 || !WIFEXITED(status))
		return 5;
	if (WEXITSTATUS(status))
		return WEXITSTATUS(status);
	return unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0 ? 7 : 0;
}

static void
check_namespaces(struct doctor *d)
{
	static const char *const stages[] = {NULL, "a user namespace cannot be made", "ids cannot be mapped",
	    "mount, pid, ipc and uts namespaces cannot be made", "nothing can be mounted in one's own namespace",
	    "no process starts in a new pid namespace", "/proc cannot be mounted in a sandbox",
	    "a namespace nested in a sandbox cannot be made"};
	const char *remedy = "the kernel or a container around it refuses: inside a container, run it with its own user"
	    " namespaces allowed and /proc unmasked";
	int status = 0;
	fflush(NULL);
	pid_t pid = fork();

	if (pid == 0)
		_exit(try_namespaces());
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || !WIFEXITED(status)) {
		check(d, FAIL, "namespaces", NULL, "the check itself could not run: %s", strerror(errno));
		return;
	}
	int stage = WEXITSTATUS(status);
	if (stage == 0) {
		check(d, OK, "namespaces", NULL, "user, mount, pid, ipc, uts and nested network namespaces work");
		return;
	}
	if (read_number("/proc/sys/user/max_user_namespaces") == 0)
		remedy = "sysctl -w user.max_user_namespaces=15000, and a file in /etc/sysctl.d for the next boot";
	else if (read_number("/proc/sys/kernel/unprivileged_userns_clone") == 0)
		remedy = "sysctl -w kernel.unprivileged_userns_clone=1, and a file in /etc/sysctl.d for the next boot";
	else if (read_number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == 1)
		remedy = "AppArmor forbids user namespaces: install the profile for awod, or sysctl -w"
		    " kernel.apparmor_restrict_unprivileged_userns=0";
	check(d, FAIL, "namespaces", remedy, "%s", stage < 8 ? stages[stage] : "the check failed");
}

static void
check_kernel(struct doctor *d)
{
	check_namespaces(d);
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION_FLAG);
	if (abi < 0)
		check(d, WARN, "landlock", "boot a kernel from 5.13 on with landlock in its lsm= list; orders run without"
		    " this layer meanwhile", "not available: %s", strerror(errno));
	else if (abi < LANDLOCK_NETWORK_ABI)
		check(d, OK, "landlock", NULL, "ABI %ld (from 4 on, ports are ruled too)", abi);
	else
		check(d, OK, "landlock", NULL, "ABI %ld", abi);
	unsigned action = SECCOMP_RET_ERRNO;
	if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) < 0)
		check(d, FAIL, "seccomp", "boot a kernel with CONFIG_SECCOMP_FILTER, or allow the seccomp call in the"
		    " container around", "filters are not available: %s", strerror(errno));
	else
		check(d, OK, "seccomp", NULL, "filters are available");
	struct statfs fs;
	if (statfs("/sys/fs/cgroup", &fs) < 0 || fs.f_type != CGROUP2_SUPER_MAGIC)
		check(d, WARN, "cgroup v2", "boot with systemd.unified_cgroup_hierarchy=1; memory and process limits of"
		    " orders need it", "/sys/fs/cgroup is no cgroup v2 file system");
	else {
		size_t len;
		CLEAN_FREE char *have = files_read(AT_FDCWD, "/sys/fs/cgroup/cgroup.controllers", 4096, &len);
		bool enough = have && strstr(have, "memory") && strstr(have, "pids");
		if (have && len > 0 && have[len - 1] == '\n')
			have[len - 1] = '\0';
		check(d, enough ? OK : WARN, "cgroup v2", "the memory and pids controllers are missing: boot without"
		    " cgroup_disable=memory", "controllers: %s", have ? have : "unknown");
	}
}

/* ---- the service */

static void
check_directory(struct doctor *d, const char *name, const char *path, bool needed)
{
	struct stat st;

	if (stat(path, &st) < 0) {
		check(d, needed && errno != ENOENT ? FAIL : OK, name, "make it accessible to you", "%s: %s", path,
		    errno == ENOENT ? "will be made when it is needed" : strerror(errno));
		return;
	}
	if (!S_ISDIR(st.st_mode))
		check(d, FAIL, name, "move it out of the way", "%s is no directory", path);
	else if (needed && access(path, W_OK | X_OK) < 0)
		check(d, FAIL, name, "make it writable for you", "%s: %s", path, strerror(errno));
	else if (needed && (st.st_mode & S_IWOTH) && !(st.st_mode & S_ISVTX))
		check(d, WARN, name, "chmod o-w it: others could put files there", "%s is writable for everybody", path);
	else
		check(d, OK, name, NULL, "%s", path);
}

static void
check_disk(struct doctor *d, const char *path)
{
	struct statvfs vfs;
	char text[32];

	if (statvfs(path, &vfs) < 0 || vfs.f_blocks == 0)
		return;
	unsigned long long percent = (unsigned long long)vfs.f_bavail * 100 / vfs.f_blocks;
	check(d, percent < FREE_PERCENT_WARN ? WARN : OK, "disk", "make room, or let \"awoctl cleanup\" remove old workspaces",
	    "%s free (%llu %%) at %s", text_bytes((unsigned long long)vfs.f_bavail * vfs.f_frsize, text, sizeof(text)),
	    percent, path);
}

static bool
in_path(const char *program, char *found, size_t len)
{
	const char *path = getenv("PATH");

	if (strchr(program, '/')) {
		snprintf(found, len, "%s", program);
		return access(program, X_OK) == 0;
	}
	CLEAN_FREE char *dirs = xstrdup(path ? path : "/usr/local/bin:/usr/bin:/bin");
	char *rest = dirs;
	for (char *dir; (dir = strsep(&rest, ":"));) {
		snprintf(found, len, "%s/%s", *dir ? dir : ".", program);
		if (access(found, X_OK) == 0)
			return true;
	}
	return false;
}

/* What can be seen without a daemon. */
static void
check_user(struct doctor *d)
{
	static const struct {
		const char *name, *variable, *below;
	} dirs[] = {{"configuration directory", "XDG_CONFIG_HOME", ".config"},
	    {"state directory", "XDG_STATE_HOME", ".local/state"}, {"run directory", "XDG_RUNTIME_DIR", NULL}};
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		if (ctl_user_dir(dirs[i].variable, dirs[i].below, path, sizeof(path)))
			check_directory(d, dirs[i].name, path, true);
		else if (dirs[i].below)
			check(d, FAIL, dirs[i].name, "set HOME", "neither %s nor HOME is set", dirs[i].variable);
	}
}

static void
check_agent_program(struct doctor *d)
{
	const char *cli = getenv("CLAUDE_CLI_PATH");
	char path[PATH_MAX];

	cli = cli && *cli ? cli : "claude";
	if (in_path(cli, path, sizeof(path)))
		check(d, OK, "agent program", NULL, "%s", path);
	else
		check(d, WARN, "agent program", "install the agent's command-line program, or set CLAUDE_CLI_PATH",
		    "%s was not found", cli);
}

/* Which of them are there; whether the one that orders use works is asked of awod. */
static void
check_agents(struct doctor *d, const struct p_info *info)
{
	CLEAN_BUF struct buf have = {0}, lack = {0};

	for (size_t i = 0; i < info->agents.n; i++) {
		const struct p_agent_info *a = &info->agents.v[i];
		struct buf *b = a->available ? &have : &lack;
		buf_printf(b, "%s%s", b->len ? ", " : "", a->name);
	}
	check(d, have.len ? OK : FAIL, "agent programs", "install one, or set the path of its program in agents.yaml",
	    "found: %s; not found: %s", have.len ? have.p : "none", lack.len ? lack.p : "none");
}

static void
check_probed(struct doctor *d, const json_t *kernel)
{
	CLEAN_BUF struct buf have = {0}, lack = {0};
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)kernel, key, value) {
		struct buf *b = json_is_false(value) ? &lack : &have;
		buf_printf(b, "%s%s", b->len ? ", " : "", key);
	}
	if (lack.len)
		check(d, WARN, "sandbox layers", "the lines above say how to get them; sandbox.require lists what orders"
		    " insist on", "awod found no %s", lack.p);
	if (have.len)
		check(d, OK, "sandbox layers", NULL, "awod found %s", have.p);
}

static void
check_health(struct doctor *d)
{
	struct p_health health;
	struct awo_err err = {0};

	if (ctl_try(d->ctl, P_M_system_health, NULL, &health, &err) < 0) {
		check(d, FAIL, "health", NULL, "%s", err.msg);
		return;
	}
	if (health.problems.n == 0)
		check(d, OK, "health", NULL, "%s", health.status);
	for (size_t i = 0; i < health.problems.n; i++)
		check(d, WARN, "health", NULL, "%s", health.problems.v[i]);
	const char *path = json_string_value(json_object_get(health.disk, "path"));
	const json_t *percent = json_object_get(health.disk, "free_percent");
	if (json_is_number(percent))
		check(d, json_number_value(percent) < FREE_PERCENT_WARN ? WARN : OK, "disk of awod",
		    "make room, or let \"awoctl cleanup\" remove old workspaces", "%.0f %% free at %s",
		    json_number_value(percent), path ? path : "its directories");
	const char *name;
	json_t *dependency;
	json_object_foreach(health.dependencies, name, dependency) {
		const json_t *available = json_object_get(dependency, "available");
		const char *why = json_string_value(json_object_get(dependency, "error"));
		const char *version = json_string_value(json_object_get(dependency, "version"));
		if (json_is_boolean(available))
			check(d, json_is_true(available) ? OK : WARN, "dependency", NULL, "%s: %s", name,
			    json_is_true(available) ? (version ? version : "available") : why ? why : "not available");
	}
	P_FREE(health, &health);
}

static void
check_test(struct doctor *d, const char *what, enum verdict bad, const char *name, const char *remedy)
{
	struct p_settings_test request = {0};
	struct p_test_answer answer;
	struct awo_err err = {0};

	P_SETS(settings_test, &request, what, what);
	int r = ctl_try(d->ctl, P_M_settings_test, &request, &answer, &err);
	P_FREE(settings_test, &request);
	if (r < 0) {
		check(d, bad, name, remedy, "%s", err.msg);
		return;
	}
	check(d, answer.success ? OK : bad, name, remedy, "%s", answer.message);
	P_FREE(test_answer, &answer);
}

static void
check_credentials(struct doctor *d)
{
	struct p_credential_list_answer answer;
	struct awo_err err = {0};
	size_t tokens = 0, keys = 0;

	if (ctl_try(d->ctl, P_M_credential_list, NULL, &answer, &err) < 0) {
		check(d, WARN, "credentials", NULL, "%s", err.msg);
		return;
	}
	for (size_t i = 0; i < answer.credentials.n; i++) {
		tokens += answer.credentials.v[i].kind != credential_kind_agent_key;
		keys += answer.credentials.v[i].kind == credential_kind_agent_key;
	}
	check(d, OK, "credentials", NULL, "%zu for git, %zu for agents are stored", tokens, keys);
	P_FREE(credential_list_answer, &answer);
}

static void
check_daemon(struct doctor *d)
{
	struct p_info info;
	struct awo_err err = {0};

	if (ctl_connect(d->ctl, &err) < 0) {
		check(d, FAIL, "awod", getuid() == 0 ? "systemctl start awod" : "start it: awod --user, or systemctl start awod"
		    " for the system's", "%s", err.msg);
		check_agent_program(d);
		if (getuid() != 0)
			check_user(d);
		const char *home = getenv("HOME");

		check_disk(d, home && getuid() != 0 ? home : "/var");
		return;
	}
	if (ctl_try(d->ctl, P_M_system_info, NULL, &info, &err) < 0) {
		check(d, FAIL, "awod", NULL, "%s: %s", d->ctl->socket, err.msg);
		return;
	}
	check(d, OK, "awod", NULL, "%s mode, version %s, pid %lld, on %s", info.mode, info.version, (long long)info.pid,
	    info.socket);
	if (strcmp(info.version, AWO_VERSION) != 0)
		check(d, WARN, "version", "restart awod after an upgrade", "awoctl is %s, awod is %s", AWO_VERSION,
		    info.version);
	check(d, OK, "you", NULL, "%s%s", info.user, info.is_admin ? ", an administrator" : "");
	check_directory(d, "state directory", info.state_directory, strcmp(info.mode, "user") == 0);
	if (strcmp(info.mode, "user") == 0)
		check_disk(d, info.state_directory);
	check_probed(d, info.kernel);
	check_agents(d, &info);
	P_FREE(info, &info);
	check_health(d);
	check_credentials(d);
	check_test(d, "github", WARN, "GitHub access", "store a token: awoctl credential set github --kind github_token");
	check_test(d, "agent", FAIL, "default agent", "awoctl settings test agent says more; log the agent in, or store its key with"
	    " awoctl credential set NAME --kind agent_key");
}

int
ctl_doctor(struct ctl *ctl)
{
	struct doctor d = {.ctl = ctl, .checks = json_array()};

	check_kernel(&d);
	check_daemon(&d);
	if (ctl->line->json) {
		CLEAN_JSON json_t *tree = json_pack("{s:b,s:O}", "ok", d.fails == 0, "checks", d.checks);
		ctl_out_json(ctl, tree);
	} else {
		buf_printf(&d.text, "%s\n", d.fails ? "something fails" : d.warns ? "works, with warnings" : "all is well");
		ctl_out(&d.text);
	}
	json_decref(d.checks);
	buf_free(&d.text);
	return d.fails ? CTL_EXIT_FAILED : 0;
}
