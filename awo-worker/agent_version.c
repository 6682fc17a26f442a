/* Asks an agent's program for its version, inside a sandbox of the agents' kind. */
#include "awo-worker/agent_version.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "awo-worker/agents/adapter.h"
#include "awo-worker/program.h"
#include "awo-worker/sandbox.h"
#include "common/buf.h"
#include "common/clean.h"
#include "common/clock.h"
#include "common/text.h"

#define OUTPUT_MAX 4096 /* bytes kept of each of its outputs */
#define DEADLINE_US (20 * 1000000LL)
#define PATHS_MAX 256

/* What the program is, as its configuration and the host say. */
struct asked {
	const char *agent, *name;
	const struct agent_adapter *adapter;
	struct p_strv paths;
	struct program program;
};

/* What the sandbox told of the run. */
struct seen {
	char out[OUTPUT_MAX], err[OUTPUT_MAX];
	size_t out_len, err_len;
	struct sandbox_status status[2];
	size_t status_len; /* bytes */
	bool timed_out;
};

/* ---- its words */

/* Bytes that a terminal takes for orders: C0, DEL, and C1 as UTF-8 has it. */
static size_t
control_length(const char *p, size_t len)
{
	unsigned char c = (unsigned char)p[0];

	if (c < 0x20 || c == 0x7f)
		return 1;
	return len > 1 && c == 0xc2 && ((unsigned char)p[1] & 0xe0U) == 0x80 ? 2 : 0;
}

size_t
agent_version_line(const char *p, size_t len, char out[AGENT_VERSION_MAX + 1])
{
	const char *end = p + len;
	size_t n = 0;

	while (p < end && n == 0) {
		const char *newline = memchr(p, '\n', (size_t)(end - p));
		const char *line_end = newline != NULL ? newline : end;
		struct buf clean CLEAN_BUF = {0}, safe CLEAN_BUF = {0};

		while (p < line_end) {
			size_t control = control_length(p, (size_t)(line_end - p));

			if (control == 0)
				buf_addc(&clean, *p++);
			else if (clean.len > 0 && clean.p[clean.len - 1] != ' ')
				buf_addc(&clean, ' ');
			p += control;
		}
		p = newline != NULL ? newline + 1 : end;
		while (n < clean.len && clean.p[n] == ' ')
			n++;
		if (n < clean.len)
			text_add_utf8(&safe, clean.p + n, clean.len - n, AGENT_VERSION_MAX);
		while (safe.len > 0 && safe.p[safe.len - 1] == ' ')
			safe.len--;
		n = safe.len;
		if (n > 0)
			memcpy(out, safe.p, n);
	}
	out[n] = '\0';
	return n;
}

/* ---- running it */

static void
environment(const struct asked *a, struct p_strv *env)
{
	static const char *const fixed[] = {"HOME=/tmp", "LANG=C.UTF-8"};
	struct buf path CLEAN_BUF = {0};

	buf_adds(&path, "PATH=");
	for (size_t i = 0; i < a->program.dirs.n; i++)
		buf_printf(&path, "%s:", a->program.dirs.v[i]);
	buf_adds(&path, "/usr/local/bin:/usr/bin:/bin");
	p_strv_add(env, path.p);
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		p_strv_add(env, fixed[i]);
	for (size_t i = 0; a->adapter->env[i] != NULL; i++)
		p_strv_add(env, a->adapter->env[i]);
}

/* Takes in what is there, and drops what is more than is kept. False: end of file. */
static bool
take(int fd, char *into, size_t *len, size_t max)
{
	char rest[OUTPUT_MAX];
	bool full = *len == max;
	ssize_t n = read(fd, full ? rest : into + *len, full ? sizeof(rest) : max - *len);

	if (n < 0)
		return errno == EINTR || errno == EAGAIN;
	if (!full)
		*len += (size_t)n;
	return n > 0;
}

static const struct sandbox_status *
status_of(const struct seen *s, uint32_t kind)
{
	for (size_t i = 0; (i + 1) * sizeof(s->status[0]) <= s->status_len; i++)
		if (s->status[i].kind == kind)
			return &s->status[i];
	return NULL;
}

/*
 * Until the program has ended and its outputs have, or nothing more is to be waited for. A child
 * that outlives it may hold the outputs: they count no more once the program's end is known.
 */
static void
watch(struct seen *s, int out, int err, int status)
{
	const int64_t deadline = clock_mono_us() + DEADLINE_US;
	struct pollfd p[3] = {{.fd = out, .events = POLLIN},
	    {.fd = err, .events = POLLIN},
	    {.fd = status, .events = POLLIN}};

	for (;;) {
		bool ended =
		    p[2].fd < 0 || status_of(s, 1) != NULL || status_of(s, 3) != NULL;
		int64_t left = deadline - clock_mono_us();
		int n;

		if (left <= 0) {
			s->timed_out = !ended;
			return;
		}
		n = poll(p, 3, ended ? 0 : (int)(left / 1000) + 1);
		if ((n < 0 && errno != EINTR) || (n == 0 && ended))
			return;
		if (n <= 0)
			continue;
		if (p[0].revents != 0 && (!take(out, s->out, &s->out_len, sizeof(s->out)) ||
					     (ended && s->out_len == sizeof(s->out))))
			p[0].fd = -1;
		if (p[1].revents != 0 && (!take(err, s->err, &s->err_len, sizeof(s->err)) ||
					     (ended && s->err_len == sizeof(s->err))))
			p[1].fd = -1;
		if (p[2].revents != 0 &&
		    !take(status, (char *)s->status, &s->status_len, sizeof(s->status)))
			p[2].fd = -1;
	}
}

static int
run(const struct asked *a, const struct sandbox_mount *mounts, struct seen *s, struct failure *f)
{
	const char *argv[] = {a->program.path, "--version", NULL};
	int out_r CLEAN_FD = -1, out_w CLEAN_FD = -1, err_r CLEAN_FD = -1, err_w CLEAN_FD = -1;
	const char **envp CLEAN_FREE = NULL;
	struct p_strv env = {0};
	struct sandbox_proc proc;
	struct awo_err err = {0};
	int out[2], errs[2], r;

	if (pipe2(out, O_CLOEXEC) != 0)
		return FAIL(f, resource, "no pipe: %s", strerror(errno));
	out_r = out[0];
	out_w = out[1];
	if (pipe2(errs, O_CLOEXEC) != 0)
		return FAIL(f, resource, "no pipe: %s", strerror(errno));
	err_r = errs[0];
	err_w = errs[1];
	environment(a, &env);
	envp = program_vector(&env);
	r = sandbox_start(
	    &(struct sandbox_launch){
		.argv = argv,
		.exec_fd = -1,
		.envp = envp,
		.cwd = "/tmp",
		.mounts = mounts,
		.nmounts = a->program.mounts.n,
		.stdin_fd = -1,
		.stdout_fd = out_w,
		.stderr_fd = err_w,
		.fd3 = -1,
	    },
	    &proc, &err);
	p_strv_free(&env);
	if (r != 0)
		return FAIL(f, internal, "the agent's sandbox could not be started: %s", err.msg);
	close(TAKE_FD(out_w));
	close(TAKE_FD(err_w));
	watch(s, out_r, err_r, proc.status_fd);
	/* what it left behind goes with this process, which is pid 1 of all of it */
	close(proc.status_fd);
	close(proc.pidfd);
	return 0;
}

/* ---- what came of it */

static int
judge(const struct asked *a, const struct seen *s, char version[AGENT_VERSION_MAX + 1],
    struct failure *f)
{
	const struct sandbox_status *failed = status_of(s, 1), *ended = status_of(s, 3);
	const char *path = a->program.path;
	char words[AGENT_VERSION_MAX + 1];

	if (failed != NULL && strncmp(failed->what, "starting /", 10) == 0)
		return FAIL(f, agent,
		    "agent program '%s' could not be started: %s; if it needs files outside /usr, "
		    "name them in agents.%s.paths",
		    path, strerror(failed->err), a->agent);
	if (failed != NULL)
		return FAIL(f, internal, "the agent's sandbox could not be built: %.95s: %s",
		    failed->what, strerror(failed->err));
	if (s->timed_out) {
		FAIL(f, agent,
		    "agent program '%s' did not tell its version within %lld seconds: run '%s "
		    "--version' yourself, and install it again or set agents.%s.program",
		    path, DEADLINE_US / 1000000, path, a->agent);
		snprintf(f->reason, sizeof(f->reason), "timeout");
		return -1;
	}
	if (ended == NULL)
		return FAIL(f, internal, "the sandbox of '%s' ended without saying how", path);
	if (agent_version_line(s->err, s->err_len, words) == 0)
		(void)agent_version_line(s->out, s->out_len, words);
	if (WIFSIGNALED(ended->status))
		return FAIL(f, agent,
		    "agent program '%s' was killed by signal %d (%s) when asked for its version%s%s; "
		    "install it again or set agents.%s.program",
		    path, WTERMSIG(ended->status), strsignal(WTERMSIG(ended->status)),
		    words[0] != '\0' ? ": " : "", words, a->agent);
	if (WEXITSTATUS(ended->status) != 0)
		return FAIL(f, agent,
		    "agent program '%s' ended with status %d when asked for its version%s%s; if it "
		    "lacks files outside /usr, name them in agents.%s.paths, else install it again",
		    path, WEXITSTATUS(ended->status), words[0] != '\0' ? ": " : "", words,
		    a->agent);
	if (agent_version_line(s->out, s->out_len, version) == 0 &&
	    agent_version_line(s->err, s->err_len, version) == 0)
		return FAIL(f, agent,
		    "agent program '%s' printed nothing when asked for its version: is it the "
		    "agent? Set agents.%s.program",
		    path, a->agent);
	return 0;
}

static int
ask(struct asked *a, const char *libexec_dir, char version[AGENT_VERSION_MAX + 1],
    struct failure *f)
{
	struct sandbox_mount *mounts CLEAN_FREE = NULL;
	struct sandbox_root root = {0};
	struct awo_err err = {0};
	struct seen seen = {0};

	/* read_request() refuses a missing adapter; NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
	if (program_find(a->name, &a->paths, libexec_dir, a->agent, a->adapter->install,
		&a->program, f) != 0) {
		snprintf(f->reason, sizeof(f->reason), "%s",
		    f->category == error_category_agent ? "not_found" : "invalid");
		return -1;
	}
	mounts = xcalloc(a->program.mounts.n + 1, sizeof(*mounts));
	for (size_t i = 0; i < a->program.mounts.n; i++)
		mounts[i] = (struct sandbox_mount){
		    .source = a->program.mounts.v[i], .target = a->program.mounts.v[i]};
	root.mounts = mounts;
	root.nmounts = a->program.mounts.n;
	if (sandbox_enter(&root, &err) != 0)
		return FAIL(f, internal, "the sandbox could not be built: %s", err.msg);
	if (run(a, mounts, &seen, f) != 0)
		return -1;
	return judge(a, &seen, version, f);
}

static int
read_request(const json_t *request, struct asked *a, struct failure *f)
{
	const char *adapter = json_string_value(json_object_get(request, "adapter"));
	const json_t *paths = json_object_get(request, "paths"), *path;
	size_t i;

	a->agent = json_string_value(json_object_get(request, "agent"));
	a->name = json_string_value(json_object_get(request, "program"));
	a->adapter = adapter != NULL ? adapter_find(adapter) : NULL;
	if (a->agent == NULL || a->name == NULL || a->name[0] == '\0' || a->adapter == NULL ||
	    json_array_size(paths) > PATHS_MAX)
		return FAIL(f, internal, "the request lacks agent, program or adapter");
	json_array_foreach(paths, i, path)
	{
		if (!json_is_string(path))
			return FAIL(f, internal, "paths of the request must be text");
		p_strv_add(&a->paths, json_string_value(path));
	}
	return 0;
}

json_t *
agent_version(const json_t *request, const char *libexec_dir)
{
	char version[AGENT_VERSION_MAX + 1] = "";
	struct asked a = {0};
	struct failure f = {0};
	json_t *answer;

	if (read_request(request, &a, &f) == 0 && ask(&a, libexec_dir, version, &f) == 0) {
		answer =
		    json_pack("{s:b, s:s, s:s}", "ok", 1, "path", a.program.path, "version", version);
	} else {
		answer = json_pack("{s:b, s:{s:s, s:s, s:s, s:s*}}", "ok", 0, "error", "category",
		    P_ENUM_NAME(error_category, f.category), "reason",
		    f.reason[0] != '\0' ? f.reason : "other", "message", f.msg, "path",
		    a.program.path);
	}
	p_strv_free(&a.paths);
	program_free(&a.program);
	return answer;
}
