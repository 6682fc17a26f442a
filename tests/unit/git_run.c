/* Runs awo-git as its callers do, and git itself to compare with. */
#include "tests/unit/cmocka_all.h"

#include "tests/unit/git_run.h"
#include "tests/unit/patience.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clean.h"
#include "common/files.h"

static char dir[] = "/tmp/awo-git-test-XXXXXX";
static struct buf last;

int
git_run_setup(void **state)
{
	char factor[16];

	(void)state;
	if (system("git --version >/dev/null 2>&1") != 0) {
		fprintf(stderr, "SKIPPED: there is no git program to compare with\n");
		exit(77);
	}
	if (mkdtemp(dir) == NULL || chdir(dir) < 0)
		return -1;
	(void)snprintf(factor, sizeof(factor), "%d", patience(1));
	/* git as it is without anybody's settings */
	clearenv();
	setenv("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", 1);
	setenv("HOME", dir, 1);
	setenv("GIT_CONFIG_NOSYSTEM", "1", 1);
	setenv("GIT_AUTHOR_NAME", "Ann", 1);
	setenv("GIT_AUTHOR_EMAIL", "ann@example.org", 1);
	setenv("GIT_COMMITTER_NAME", "Ann", 1);
	setenv("GIT_COMMITTER_EMAIL", "ann@example.org", 1);
	setenv("AWO_TEST_PATIENCE", factor, 1);
	setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
	return 0;
}

int
git_run_teardown(void **state)
{
	(void)state;
	buf_free(&last);
	return chdir("/") < 0 ? -1 : files_remove_tree(AT_FDCWD, dir, NULL);
}

static int
run_shell(const char *command)
{
	FILE *f = popen(command, "re");
	char chunk[4096];
	size_t n;

	assert_non_null(f);
	buf_drain(&last, last.len);
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		buf_add(&last, chunk, n);
	buf_add(&last, "", 1);
	last.len--;
	while (last.len > 0 && last.p[last.len - 1] == '\n')
		last.p[--last.len] = '\0';
	return pclose(f);
}

const char *
sh(const char *fmt, ...)
{
	CLEAN_FREE char *command = NULL;
	va_list ap;
	int status;

	va_start(ap, fmt);
	assert_true(vasprintf(&command, fmt, ap) >= 0);
	va_end(ap);
	status = run_shell(command);
	if (status != 0)
		fprintf(stderr, "exit %d: %s\n%s\n", status, command, last.p);
	assert_int_equal(status, 0);
	return last.p;
}

int
sh_status(const char *fmt, ...)
{
	CLEAN_FREE char *command = NULL;
	va_list ap;
	int status;

	va_start(ap, fmt);
	assert_true(vasprintf(&command, fmt, ap) >= 0);
	va_end(ap);
	status = run_shell(command);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The program that callers take: another one where no other host is needed. */
static const char *
program_for(const json_t *request)
{
	const char *url = json_string_value(json_object_get(request, "url"));

	return url == NULL || url[0] == '/' || strncmp(url, "file:", 5) == 0 ? AWO_GIT_LOCAL_PROGRAM
									    : AWO_GIT_PROGRAM;
}

static _Noreturn void
child(const char *program, const char *verb, const char *cwd, int in, int out, const char *pack_in, const char *pack_out)
{
	char *argv[] = {(char[]){"awo-git"}, strdup(verb), NULL};
	char asan[] = "ASAN_OPTIONS=detect_leaks=0";
	char *envp[] = {asan, NULL};
	int fd = -1;

	/* first, because the pipes may have descriptor 3 */
	if (dup2(in, 0) < 0 || dup2(out, 1) < 0)
		_exit(122);
	if (pack_in != NULL)
		fd = open(pack_in, O_RDONLY);
	else if (pack_out != NULL)
		fd = open(pack_out, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if ((pack_in != NULL || pack_out != NULL) && (fd < 0 || (fd != 3 && dup2(fd, 3) < 0)))
		_exit(120);
	if (cwd != NULL && chdir(cwd) < 0)
		_exit(121);
	execve(program, argv, envp);
	_exit(123);
}

void
awo_start(struct awo_run *run, const char *verb, const char *cwd, json_t *request,
    const char *pack_in, const char *pack_out)
{
	CLEAN_FREE char *text = json_dumps(request, 0);
	const char *program = program_for(request);
	int pipe_in[2], pipe_out[2];

	assert_non_null(text);
	json_decref(request);
	assert_int_equal(pipe2(pipe_in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(pipe_out, O_CLOEXEC), 0);
	run->pid = fork();
	assert_true(run->pid >= 0);
	if (run->pid == 0)
		child(program, verb, cwd, pipe_in[0], pipe_out[1], pack_in, pack_out);
	close(pipe_in[0]);
	close(pipe_out[1]);
	assert_int_equal(files_write_all(pipe_in[1], text, strlen(text)), 0);
	close(pipe_in[1]);
	run->answer = pipe_out[0];
	run->exports = pack_out != NULL;
}

json_t *
awo_finish(struct awo_run *run)
{
	CLEAN_FREE char *answer = NULL;
	json_error_t je;
	int status;
	size_t len;
	char *line;
	json_t *j;

	answer = files_read_fd(run->answer, 64 << 20, &len);
	close(run->answer);
	assert_non_null(answer);
	assert_int_equal(waitpid(run->pid, &status, 0), run->pid);
	while (len > 0 && answer[len - 1] == '\n')
		answer[--len] = '\0';
	line = strrchr(answer, '\n');
	j = json_loads(line != NULL ? line + 1 : answer, 0, &je);
	if (j == NULL)
		fprintf(
		    stderr, "no JSON (%s), status %#x: %s\n", je.text, (unsigned)status, answer);
	assert_non_null(j);
	assert_true(WIFEXITED(status));
	if (!run->exports)
		assert_int_equal(
		    WEXITSTATUS(status), json_is_true(json_object_get(j, "ok")) ? 0 : 1);
	return j;
}

json_t *
awo(const char *verb, const char *cwd, json_t *request, const char *pack_in, const char *pack_out)
{
	struct awo_run run;

	awo_start(&run, verb, cwd, request, pack_in, pack_out);
	return awo_finish(&run);
}

json_t *
awo_ok(const char *verb, const char *cwd, json_t *request)
{
	json_t *j = awo(verb, cwd, request, NULL, NULL);

	if (!json_is_true(json_object_get(j, "ok"))) {
		char *s = json_dumps(j, 0);

		fprintf(stderr, "%s: %s\n", verb, s);
		free(s);
	}
	assert_true(json_is_true(json_object_get(j, "ok")));
	return j;
}

void
assert_error(json_t *answer, const char *category, const char *reason, const char *text)
{
	json_t *e = json_object_get(answer, "error");

	assert_true(json_is_false(json_object_get(answer, "ok")));
	if (strcmp(str(e, "category"), category) != 0 || strcmp(str(e, "reason"), reason) != 0 ||
	    strstr(str(e, "message"), text) == NULL)
		fprintf(stderr, "got %s, %s: %s\n", str(e, "category"), str(e, "reason"),
		    str(e, "message"));
	assert_string_equal(str(e, "category"), category);
	assert_string_equal(str(e, "reason"), reason);
	assert_non_null(strstr(str(e, "message"), text));
}

void
awo_fails(const char *verb, const char *cwd, json_t *request, const char *category,
    const char *reason, const char *text)
{
	json_t *j = awo(verb, cwd, request, NULL, NULL);

	assert_error(j, category, reason, text);
	json_decref(j);
}

const char *
str(const json_t *answer, const char *key)
{
	const char *s = json_string_value(json_object_get(answer, key));

	return s != NULL ? s : "(none)";
}

long long
num(const json_t *answer, const char *key)
{
	assert_true(json_is_integer(json_object_get(answer, key)));
	return json_integer_value(json_object_get(answer, key));
}
