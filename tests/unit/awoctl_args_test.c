/* Tests how awoctl takes a command line apart. */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/cmocka_all.h"

#include "awoctl/ctl.h"
#include "common/clean.h"

struct parsed {
	struct ctl_line line;
	struct awo_err err;
	int result;
	char *argv[32];
	int argc;
};

/* Splits at spaces: no test needs more. */
static void
parse(struct parsed *p, const char *line)
{
	char *copy = xstrdup(line), *rest = copy;

	memset(p, 0, sizeof(*p));
	for (char *word; (word = strsep(&rest, " "));)
		p->argv[p->argc++] = xstrdup(word);
	free(copy);
	p->result = ctl_parse(p->argc, p->argv, &p->line, &p->err);
}

static void
done(struct parsed *p)
{
	ctl_line_free(&p->line);
	for (int i = 0; i < p->argc; i++)
		free(p->argv[i]);
}

static const char *
value(const struct parsed *p, const char *name)
{
	struct ctl ctl = {.line = &p->line};

	return ctl_opt(&ctl, name);
}

static void
commands_are_found(void **state)
{
	static const struct {
		const char *line;
		enum ctl_command_id id;
		size_t nargs;
	} rows[] = {{"awoctl ls", CTL_C_ls, 0}, {"awoctl run . do it", CTL_C_run, 3}, {"awoctl repo add x", CTL_C_repo_add, 1},
	    {"awoctl settings", CTL_C_settings, 0}, {"awoctl settings max_concurrent", CTL_C_settings, 1},
	    {"awoctl settings set a b", CTL_C_settings_set, 2}, {"awoctl settings unset a", CTL_C_settings_unset, 1},
	    {"awoctl config show", CTL_C_config_show, 0}, {"awoctl prompt 12 -", CTL_C_prompt, 2},
	    {"awoctl run . repo add", CTL_C_run, 3}, {"awoctl help repo add", CTL_C_help_for, 2}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct parsed p;
		parse(&p, rows[i].line);
		assert_int_equal(p.result, 0);
		assert_ptr_equal(p.line.command, &ctl_commands[rows[i].id]);
		assert_int_equal(p.line.nargs, rows[i].nargs);
		done(&p);
	}
}

static void
global_options_stand_anywhere(void **state)
{
	static const char *const lines[] = {"awoctl --json --socket /s -q repo set r --steps a,b --no-autostart --no-color",
	    "awoctl repo --json --socket /s set r -q --steps a,b --no-autostart --no-color",
	    "awoctl repo set --steps=a,b r --no-color --no-autostart --quiet --socket=/s --json",
	    "awoctl repo set -qs a,b r --no-color --no-autostart --socket /s --json",
	    "awoctl repo set -sa,b r --no-color --no-autostart -q --socket /s --json"};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct parsed p;
		parse(&p, lines[i]);
		assert_int_equal(p.result, 0);
		assert_ptr_equal(p.line.command, &ctl_commands[CTL_C_repo_set]);
		assert_true(p.line.json && p.line.quiet && p.line.no_autostart && p.line.no_color);
		assert_false(p.line.help || p.line.version);
		assert_string_equal(p.line.socket, "/s");
		assert_string_equal(value(&p, "steps"), "a,b");
		assert_null(value(&p, "sandbox"));
		assert_int_equal(p.line.nargs, 1);
		assert_string_equal(p.line.args[0], "r");
		done(&p);
	}
}

static void
dashes_end_the_options(void **state)
{
	struct parsed p;

	(void)state;
	parse(&p, "awoctl run . -- --json -x --");
	assert_int_equal(p.result, 0);
	assert_false(p.line.json);
	assert_int_equal(p.line.nargs, 4);
	assert_string_equal(p.line.args[1], "--json");
	assert_string_equal(p.line.args[3], "--");
	done(&p);
	parse(&p, "awoctl logs -f 12 -n 5 -n 7");
	assert_int_equal(p.result, 0);
	assert_string_equal(value(&p, "follow"), "");
	assert_string_equal(value(&p, "limit"), "7"); /* the last one holds */
	done(&p);
}

static void
mistakes_are_explained(void **state)
{
	static const struct {
		const char *line, *says;
	} rows[] = {{"awoctl", "command is missing"}, {"awoctl lss", "did you mean \"ls\""}, {"awoctl list", "\"ls\""},
	    {"awoctl cancle 1", "\"cancel\""}, {"awoctl xyzzyplugh", "awoctl --help"},
	    {"awoctl repo", "add, ls, show, set, rm, verify"}, {"awoctl repo addd x", "\"repo add\""},
	    {"awoctl repo frobnicate", "takes one of"}, {"awoctl ls --limt 3", "--limit"},
	    {"awoctl ls --jsn", "--json"}, {"awoctl ls -x", "unknown option -x"}, {"awoctl ls --limit", "needs a value"},
	    {"awoctl ls --limit=", "not empty"}, {"awoctl ls --all=yes", "takes no value"}, {"awoctl show", "missing"},
	    {"awoctl show a b", "unexpected argument \"b\""}, {"awoctl --frob ls", "unknown option --frob"},
	    {"awoctl logs 1 --follw", "--follow"}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct parsed p;
		parse(&p, rows[i].line);
		assert_int_equal(p.result, -1);
		if (!strstr(p.err.msg, rows[i].says))
			fail_msg("%s: %s", rows[i].line, p.err.msg);
		done(&p);
	}
}

static void
help_is_there_for_all(void **state)
{
	(void)state;
	for (size_t i = 0; i < CTL_C__COUNT; i++) {
		const struct ctl_command *c = &ctl_commands[i];
		struct parsed p;
		if (c->group)
			continue;
		CLEAN_FREE char *line = xasprintf("awoctl --help %s", ctl_words(c));
		parse(&p, line);
		assert_int_equal(p.result, 0);
		assert_ptr_equal(p.line.command, c);
		assert_true(p.line.help);
		CLEAN_BUF struct buf b = {0};
		ctl_print_help(&p.line, &b);
		assert_non_null(strstr(b.p, ctl_words(c)));
		for (size_t o = 0; o < ctl_noptions; o++)
			if (&ctl_commands[ctl_options[o].command] == c)
				assert_non_null(strstr(b.p, ctl_options[o].name));
		for (char *row = b.p, *next; row && *row; row = next) {
			next = strchr(row, '\n');
			if (next)
				*next++ = '\0';
			assert_true(strlen(row) <= 100);
		}
		done(&p);
	}
	struct parsed p;
	parse(&p, "awoctl repo -h");
	assert_int_equal(p.result, 0);
	assert_string_equal(p.line.group, "repo");
	done(&p);
}

/* Each row of methods.def with words is a command, and the other way round. */
static void
methods_are_reachable(void **state)
{
	size_t rpc = 0;

	(void)state;
	for (int m = 0; m < P_M__COUNT; m++) {
		bool found = false;
		if (!*p_methods[m].words)
			continue;
		if (strcmp(p_methods[m].words, "logs -f") == 0) {
			struct parsed p;
			parse(&p, "awoctl logs -f 1");
			assert_int_equal(p.result, 0);
			assert_non_null(value(&p, "follow"));
			done(&p);
			continue;
		}
		for (size_t i = 0; i < CTL_C__COUNT; i++)
			found |= !ctl_commands[i].group && strcmp(ctl_words(&ctl_commands[i]), p_methods[m].words) == 0;
		if (!found)
			fail_msg("awoctl has no command for %s: %s", p_methods[m].name, p_methods[m].words);
		rpc++;
	}
	assert_true(rpc > 40);
	for (size_t i = 0; i < CTL_C__COUNT; i++)
		if (!ctl_commands[i].group) {
			assert_non_null(ctl_commands[i].run);
			assert_true(*ctl_words(&ctl_commands[i]) && *ctl_help(&ctl_commands[i]));
			for (size_t j = 0; j < i; j++)
				if (!ctl_commands[j].group)
					assert_string_not_equal(ctl_words(&ctl_commands[i]), ctl_words(&ctl_commands[j]));
		}
}

/* A letter or a name that means two things would make one of them unreachable. */
static void
options_do_not_clash(void **state)
{
	(void)state;
	for (size_t i = 0; i < ctl_noptions; i++) {
		for (size_t j = 0; j < i; j++) {
			if (ctl_options[i].command != ctl_options[j].command)
				continue;
			assert_string_not_equal(ctl_options[i].name, ctl_options[j].name);
			if (ctl_options[i].letter)
				assert_int_not_equal(ctl_options[i].letter, ctl_options[j].letter);
		}
		for (size_t j = 0; j < ctl_nglobals; j++) {
			assert_string_not_equal(ctl_options[i].name, ctl_globals[j].name);
			if (ctl_options[i].letter)
				assert_int_not_equal(ctl_options[i].letter, ctl_globals[j].letter);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands_are_found),
		cmocka_unit_test(global_options_stand_anywhere),
		cmocka_unit_test(dashes_end_the_options),
		cmocka_unit_test(mistakes_are_explained),
		cmocka_unit_test(help_is_there_for_all),
		cmocka_unit_test(methods_are_reachable),
		cmocka_unit_test(options_do_not_clash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
