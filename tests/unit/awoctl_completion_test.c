/* Tests that the completion scripts are scripts, and name every command and option. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/cmocka_all.h"

#include "awoctl/ctl.h"
#include "common/clean.h"
#include "common/files.h"

/* What "awoctl completion SHELL" prints, by way of a temporary file. */
static char *
script(const char *shell, char *path)
{
	const char *args[] = {shell, NULL};
	struct ctl_line line = {.command = &ctl_commands[CTL_C_completion], .args = args, .nargs = 1};
	struct ctl ctl = {.line = &line};
	size_t len;

	int fd = mkstemp(path);
	assert_true(fd >= 0);
	fflush(stdout);
	int saved = dup(STDOUT_FILENO);
	assert_true(saved >= 0 && dup2(fd, STDOUT_FILENO) >= 0);
	int r = ctl_completion(&ctl);
	fflush(stdout);
	assert_true(dup2(saved, STDOUT_FILENO) >= 0);
	close(saved);
	close(fd);
	assert_int_equal(r, 0);
	char *text = files_read(AT_FDCWD, path, 1 << 20, &len);
	assert_non_null(text);
	return text;
}

static void
check(const char *shell, const char *program, const char *asks)
{
	char path[] = "/tmp/awoctl-completion-XXXXXX";
	char *text = script(shell, path);

	for (size_t i = 0; i < CTL_C__COUNT; i++)
		if (!ctl_commands[i].group) {
			const char *last = strrchr(ctl_words(&ctl_commands[i]), ' ');
			assert_non_null(strstr(text, last ? last + 1 : ctl_words(&ctl_commands[i])));
		}
	for (size_t i = 0; i < ctl_noptions; i++)
		assert_non_null(strstr(text, ctl_options[i].name));
	assert_non_null(strstr(text, asks));
	if (access(program, X_OK) == 0) {
		CLEAN_FREE char *command = xasprintf("%s -n %s", program, path);
		int status = system(command);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
	}
	unlink(path);
	free(text);
}

static void
scripts_are_complete(void **state)
{
	(void)state;
	check("bash", "/bin/bash", "awoctl completion orders");
	check("zsh", "/bin/zsh", "_awoctl_ask orders");
	check("fish", "/usr/bin/fish", "awoctl completion orders");
}

/* Bash itself completes lines with it. */
static void
bash_completes(void **state)
{
	static const struct {
		const char *words, *want;
	} rows[] = {{"awoctl ru", "run"}, {"awoctl repo ''", "add ls show set rm verify"}, {"awoctl repo a", "add"},
	    {"awoctl ls --status pe", "pending"}, {"awoctl --json ls --status co", "completed"},
	    {"awoctl run . x --pri", "--priority"}, {"awoctl credential set n --kind ss", "ssh_key"},
	    {"awoctl show wo-1", "wo-11111111"}, {"awoctl show wo-3", "wo-3\\$\\(touch\\ x\\)"},
	    {"awoctl --socket /x sho", "show"}, {"awoctl completion z", "zsh"}};
	char path[] = "/tmp/awoctl-completion-XXXXXX";

	(void)state;
	if (access("/bin/bash", X_OK) != 0)
		skip();
	free(script("bash", path));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char got[512] = "";
		/* a function stands for the program that the script asks; one candidate wants to be run */
		CLEAN_FREE char *command = xasprintf("bash -c '"
		    "awoctl() { printf \"wo-11111111\\ta\\nwo-22222222\\tb\\nwo-3\\$(touch x)\\tc\\n\"; }; . %s; "
		    "COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _awoctl; echo \"${COMPREPLY[*]}\"' bash %s", path,
		    rows[i].words);
		FILE *f = popen(command, "r");
		assert_non_null(f);
		assert_non_null(fgets(got, sizeof(got), f));
		pclose(f);
		got[strcspn(got, "\n")] = '\0';
		assert_string_equal(got, rows[i].want);
	}
	unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scripts_are_complete),
		cmocka_unit_test(bash_completes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
