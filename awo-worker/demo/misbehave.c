/* Makes the demonstration agent misbehave as lines of the request tell it to. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "awo-worker/demo/demo.h"
#include "common/clean.h"
#include "common/files.h"

extern char **environ;

struct trick {
	const char *name, *argument, *help;
	void (*act)(struct demo *d, const char *argument);
};

static unsigned long
number(const char *s)
{
	return strtoul(s, NULL, 10);
}

static void
do_fail(struct demo *d, const char *a)
{
	stream_fail(
	    d, "error_during_execution", *a ? a : "The demonstration agent was told to fail.");
}

static void
do_exit(struct demo *d, const char *a)
{
	(void)d;
	fprintf(stderr, "awo-demo-agent: told to exit\n");
	_exit((int)(number(a) & 0xff));
}

static void
do_hang(struct demo *d, const char *a)
{
	(void)a;
	wait_for_signal(d);
}

static void
do_ignore_term(struct demo *d, const char *a)
{
	(void)a;
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	wait_for_signal(d);
}

static void
do_sleep(struct demo *d, const char *a)
{
	wait_seconds(d, strtod(a, NULL));
}

static void
do_flood(struct demo *d, const char *a)
{
	static const char text[] =
	    "All work and no play makes this agent write one more line of its output. ";
	char line[1024];

	for (size_t i = 0; i < sizeof(line); i++)
		line[i] = text[i % (sizeof(text) - 1)];
	for (unsigned long left = number(a); left > 0;) {
		size_t n = left < sizeof(line) ? (size_t)left : sizeof(line);

		stream_text(d, line, n);
		left -= n;
		wait_seconds(d, 0); /* takes note of an interrupt */
	}
}

static void
do_longline(struct demo *d, const char *a)
{
	size_t n = number(a);
	char *text CLEAN_FREE = xcalloc(n + 1, 1);

	memset(text, 'x', n);
	stream_text(d, text, n);
}

/* One line that no message begins. */
static void
do_noline(struct demo *d, const char *a)
{
	char block[65536];

	memset(block, 'x', sizeof(block));
	for (unsigned long left = number(a); left > 0;) {
		size_t n = left < sizeof(block) ? (size_t)left : sizeof(block);

		stream_raw(block, n);
		left -= n;
		wait_seconds(d, 0);
	}
	stream_raw("\n", 1);
}

static void
do_badjson(struct demo *d, const char *a)
{
	static const char bad[] =
	    "this is no JSON\n"
	    "{\"type\":\"assistant\",\"message\":{\"content\":[{\"type\":\"text\",\n"
	    "{\"type\":\"assistant\",\"message\":\"\xff\xfe\"}\n"
	    "[]\n{\"type\":42}\n{}\n\n"
	    "{\"type\":\"assistant\",\"message\":{\"content\":{\"type\":7}}}\n";

	(void)d, (void)a;
	stream_raw(bad, sizeof(bad) - 1);
}

static void
do_stdout_close(struct demo *d, const char *a)
{
	(void)a;
	close(STDOUT_FILENO);
	wait_for_signal(d);
}

/* The pipe is the same, but by another open file. */
static void
do_reopen(struct demo *d, const char *a)
{
	int fd = open("/proc/self/fd/1", O_WRONLY | O_CLOEXEC);
	struct timespec pause = {.tv_nsec = 300000000};

	(void)d, (void)a;
	close(STDOUT_FILENO);
	close(STDERR_FILENO);
	nanosleep(&pause, NULL);
	if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
		_exit(1);
}

static void
do_stop(struct demo *d, const char *a)
{
	(void)d, (void)a;
	raise(SIGSTOP);
}

/* As a program that happens to stop itself between the request to end and its taking note. */
static void
do_stop_late(struct demo *d, const char *a)
{
	sigset_t set;
	int sig;

	(void)a;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigwait(&set, &sig);
	/* a SIGCONT that came with it is gone by then */
	wait_seconds(d, 0.05);
	raise(SIGSTOP);
	fprintf(stderr, "awo-demo-agent: told to end\n");
	_exit(128 + sig);
}

/* Empty ones, a thousand a directory. */
static void
do_files(struct demo *d, const char *a)
{
	unsigned long want = number(a), made = 0;
	char path[64], text[80];
	int fd;

	while (made < want) {
		if (made % 1000 == 0) {
			wait_seconds(d, 0);
			snprintf(path, sizeof(path), "many/%lu", made / 1000);
			files_mkdirs(AT_FDCWD, path, 0777);
		}
		snprintf(path, sizeof(path), "many/%lu/%lu", made / 1000, made % 1000);
		fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
		if (fd < 0)
			break;
		close(fd);
		made++;
	}
	snprintf(text, sizeof(text), "files made: %lu of %lu", made, want);
	stream_text(d, text, strlen(text));
}

/* Each directory in the one before, deeper than any path may be long. */
static void
do_deep(struct demo *d, const char *a)
{
	int start CLEAN_FD = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	unsigned long want = number(a), made = 0;
	char text[80];

	while (made < want && mkdir("deep", 0777) == 0 && chdir("deep") == 0)
		made++;
	if (start < 0 || fchdir(start) < 0)
		_exit(1);
	snprintf(text, sizeof(text), "directories made: %lu of %lu", made, want);
	stream_text(d, text, strlen(text));
}

static void
do_eat(struct demo *d, const char *a)
{
	static char *kept; /* what was eaten, one block behind the other */
	size_t want = number(a), eaten = 0;
	char text[80], *p;

	while (eaten < want && (p = malloc(1 << 20)) != NULL) {
		memset(p, 1, 1 << 20);
		memcpy(p, &kept, sizeof(kept));
		kept = p;
		eaten += 1 << 20;
	}
	snprintf(text, sizeof(text), "bytes eaten: %zu of %zu", eaten, want);
	stream_text(d, text, strlen(text));
}

static void
do_rate_limit(struct demo *d, const char *a)
{
	stream_api_retry(d, 429, "rate_limit", *a ? strtod(a, NULL) : 1);
	stream_fail_api(
	    d, 429, "rate_limit", "API Error: Request rejected (429): rate limit reached");
}

static void
do_fail_once(struct demo *d, const char *a)
{
	char *name CLEAN_FREE = xasprintf("failed-once-%s", d->step->name);
	char *done CLEAN_FREE = state_read(d, name);

	(void)a;
	if (done)
		return;
	state_write(d, name, "yes");
	stream_fail_api(d, 529, "server_error", "API Error: 529 Overloaded");
}

/* One process that outlives the agent: no parent, a session of its own, the agent's descriptors
 * closed. */
static void
do_daemon(struct demo *d, const char *a)
{
	pid_t pid = fork();

	(void)d;
	if (pid == 0) {
		setsid();
		if (fork() == 0) {
			close_range(0, ~0U, 0);
			sleep(*a ? (unsigned)number(a) : 3600);
		}
		_exit(0);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

/* Not exponential: a limit should be seen, the host should live. */
static void
do_forkbomb(struct demo *d, const char *a)
{
	unsigned long want = number(a), got = 0;
	char text[64];

	while (got < want) {
		pid_t pid = fork();

		if (pid == 0) {
			setsid();
			close_range(0, ~0U, 0);
			sleep(3600);
			_exit(0);
		}
		if (pid < 0)
			break;
		got++;
	}
	snprintf(text, sizeof(text), "processes started: %lu of %lu", got, want);
	stream_text(d, text, strlen(text));
}

static void
do_run(struct demo *d, const char *a)
{
	char *output CLEAN_FREE = NULL;

	tool_bash(d, a, &output);
	stream_text(d, output, strlen(output));
}

static void
do_print_env(struct demo *d, const char *a)
{
	struct buf b CLEAN_BUF = {0};

	(void)a;
	for (char **e = environ; *e; e++)
		buf_printf(&b, "%s\n", *e);
	stream_text(d, b.p ? b.p : "", b.len);
}

/* The descriptors that the agent itself was given, each with what it leads to. */
static void
do_print_fds(struct demo *d, const char *a)
{
	struct buf b CLEAN_BUF = {0};
	char target[512];

	(void)a;
	for (int fd = 0; fd < 65536; fd++) {
		char link[32];
		ssize_t n;

		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		n = readlink(link, target, sizeof(target) - 1);
		if (n < 0 || fd == d->state_fd)
			continue;
		target[n] = '\0';
		buf_printf(&b, "%d %s\n", fd, target);
	}
	stream_text(d, b.p ? b.p : "", b.len);
}

static void
print_file(struct demo *d, const char *path)
{
	size_t len = 0;
	char *text CLEAN_FREE = files_read(AT_FDCWD, path, 1 << 20, &len);

	stream_text(d, text ? text : "cannot be read", text ? len : strlen("cannot be read"));
}

static void
do_print_limits(struct demo *d, const char *a)
{
	(void)a;
	print_file(d, "/proc/self/limits");
}

static void
do_print_mounts(struct demo *d, const char *a)
{
	(void)a;
	print_file(d, "/proc/self/mountinfo");
}

static void
do_no_commit(struct demo *d, const char *a)
{
	(void)a;
	d->told.no_commit = true;
}

static void
do_no_branch(struct demo *d, const char *a)
{
	(void)a;
	d->told.no_branch = true;
}

static void
do_false_success(struct demo *d, const char *a)
{
	(void)a;
	d->told.false_success = true;
}

static void
do_fail_tests(struct demo *d, const char *a)
{
	(void)a;
	d->told.fail_tests = true;
}

static void
do_review_blocker(struct demo *d, const char *a)
{
	(void)a;
	d->told.review_blocker = true;
}

/* clang-format off */
static const struct trick tricks[] = {
	{"fail", "[text]", "end with an error result and exit status 1", do_fail},
	{"fail-once", "", "a transient API error (529) at the first try of the step, then work", do_fail_once},
	{"rate-limit", "[seconds]", "end with a rate limit result (429)", do_rate_limit},
	{"exit", "<status>", "exit at once, without a result line", do_exit},
	{"hang", "", "wait for a signal for ever", do_hang},
	{"ignore-term", "", "the same, and ignore TERM, INT and HUP", do_ignore_term},
	{"sleep", "<seconds>", "wait, then work", do_sleep},
	{"stdout-close", "", "close standard output, then hang", do_stdout_close},
	{"reopen", "", "close output and errors, open them anew, then work", do_reopen},
	{"stop", "", "send itself SIGSTOP, then work", do_stop},
	{"stop-late", "", "wait for a signal, send itself SIGSTOP, then end", do_stop_late},
	{"flood", "<bytes>", "write so much text, in lines of 1 KiB, then work", do_flood},
	{"longline", "<bytes>", "write one line with so much text, then work", do_longline},
	{"noline", "<bytes>", "write so many bytes and no newline among them, then work", do_noline},
	{"badjson", "", "write lines that are no JSON or no messages, then work", do_badjson},
	{"daemon", "[seconds]", "leave a process behind (3600 s), then work", do_daemon},
	{"forkbomb", "<count>", "leave so many processes behind, say how many could be started, then work",
	    do_forkbomb},
	{"files", "<count>", "leave so many empty files in the work tree, then work", do_files},
	{"deep", "<count>", "leave so many directories, each in the one before, then work", do_deep},
	{"eat", "<bytes>", "take so much memory, then work", do_eat},
	{"run", "<command>", "run a shell command, write its output as text, then work", do_run},
	{"print-env", "", "write the environment as text, then work", do_print_env},
	{"print-fds", "", "write the open descriptors as text, then work", do_print_fds},
	{"print-limits", "", "write /proc/self/limits as text, then work", do_print_limits},
	{"print-mounts", "", "write /proc/self/mountinfo as text, then work", do_print_mounts},
	{"no-commit", "", "work, but commit nothing", do_no_commit},
	{"no-branch", "", "name a branch without making it", do_no_branch},
	{"false-success", "", "do nothing, and report success", do_false_success},
	{"fail-tests", "", "testing: record a failing test", do_fail_tests},
	{"review-blocker", "", "prp-review: report a blocker", do_review_blocker},
};
/* clang-format on */

void
misbehave_help(void)
{
	for (size_t i = 0; i < sizeof(tricks) / sizeof(tricks[0]); i++)
		printf(
		    "  demo: %-13s %-10s %s\n", tricks[i].name, tricks[i].argument, tricks[i].help);
}

/* "demo: word argument" and "demo@step: word argument"; *step is empty for the former. False for
 * other lines. */
static bool
parse(const char *line, size_t len, char step[64], char **word, char **argument)
{
	const char *end = line + len, *at = line;

	while (at < end && strchr(" \t", *at))
		at++;
	if ((size_t)(end - at) < 5 || strncmp(at, "demo", 4) != 0)
		return false;
	at += 4;
	step[0] = '\0';
	if (*at == '@') {
		const char *colon = memchr(at, ':', (size_t)(end - at));

		if (!colon || colon - at - 1 >= 64)
			return false;
		memcpy(step, at + 1, (size_t)(colon - at - 1));
		step[colon - at - 1] = '\0';
		at = colon;
	}
	if (*at != ':')
		return false;
	at++;
	while (at < end && strchr(" \t", *at))
		at++;
	*word = xstrndup(at, (size_t)(end - at));
	(*word)[strcspn(*word, "\r")] = '\0';
	*argument = *word + strcspn(*word, " \t");
	if (**argument) {
		*(*argument)++ = '\0';
		*argument += strspn(*argument, " \t");
	}
	return true;
}

static void
obey(struct demo *d, const char *line, size_t len)
{
	char step[64], *word = NULL, *argument = NULL;
	size_t i, n = sizeof(tricks) / sizeof(tricks[0]);

	if (!parse(line, len, step, &word, &argument))
		return;
	for (i = 0; i < n && strcmp(tricks[i].name, word) != 0; i++)
		;
	if (i == n)
		fprintf(stderr, "awo-demo-agent: unknown instruction \"%s\": see --help\n", word);
	else if (step[0] == '\0' || strcmp(step, d->step->name) == 0)
		tricks[i].act(d, argument);
	free(word);
}

/* Only the prompts of the first steps carry the request, so its instructions are kept for the later
 * ones. */
void
misbehave_remember(struct demo *d)
{
	if (strcmp(d->step->name, "create-branch") == 0 || strcmp(d->step->name, "planning") == 0)
		state_write(d, "request", d->prompt);
}

void
misbehave(struct demo *d)
{
	char *kept CLEAN_FREE = NULL;
	const char *at = d->prompt;

	if (strcmp(d->step->name, "prompt") != 0) {
		kept = state_read(d, "request");
		at = kept ? kept : at;
	}
	while (*at) {
		size_t len = strcspn(at, "\n");

		obey(d, at, len);
		at += len + (at[len] == '\n');
	}
}
