/* Help texts, made from the command table. */
#include <string.h>

#include "awoctl/ctl.h"
#include "common/clean.h"

#define HELP_WIDTH 100

/* Breaks text at spaces, every line indented. */
static void
add_wrapped(struct buf *b, const char *text, size_t indent, size_t column)
{
	while (*text) {
		size_t len = strcspn(text, " ");
		if (column + 1 + len > HELP_WIDTH && column > indent) {
			buf_addc(b, '\n');
			column = 0;
		}
		if (column < indent)
			for (; column < indent; column++)
				buf_addc(b, ' ');
		else if (column > indent) {
			buf_addc(b, ' ');
			column++;
		}
		buf_add(b, text, len);
		column += len;
		text += len;
		while (*text == ' ')
			text++;
	}
	buf_addc(b, '\n');
}

static void
add_row(struct buf *b, const char *left, const char *right)
{
	size_t len = strlen(left);

	buf_printf(b, "  %s", left);
	if (len > 24) {
		buf_addc(b, '\n');
		len = 0;
		buf_adds(b, "  ");
	}
	for (; len < 26; len++)
		buf_addc(b, ' ');
	add_wrapped(b, right, 28, 28);
}

static void
add_option(struct buf *b, const char *name, char letter, const char *arg, const char *help)
{
	CLEAN_FREE char *left = letter ? xasprintf("-%c, --%s%s%s", letter, name, arg ? " " : "", arg ? arg : "")
				       : xasprintf("    --%s%s%s", name, arg ? " " : "", arg ? arg : "");
	add_row(b, left, help);
}

void
ctl_usage_line(const struct ctl_command *command, struct buf *b)
{
	bool options = false;

	for (size_t i = 0; i < ctl_noptions; i++)
		options |= &ctl_commands[ctl_options[i].command] == command;
	buf_printf(b, "awoctl %s%s%s%s", ctl_words(command), *command->args ? " " : "", command->args,
	    options ? " [options]" : "");
}

static void
add_globals(struct buf *b)
{
	buf_adds(b, "\nGlobal options, anywhere on the line:\n");
	for (size_t i = 0; i < ctl_nglobals; i++)
		add_option(b, ctl_globals[i].name, ctl_globals[i].letter, ctl_globals[i].arg, ctl_globals[i].help);
}

static void
add_command(struct buf *b, const struct ctl_command *command)
{
	bool any = false;
	const char *help = ctl_help(command);

	buf_adds(b, "usage: ");
	ctl_usage_line(command, b);
	buf_addc(b, '\n');
	buf_printf(b, "\n%c%s.\n", help[0] >= 'a' && help[0] <= 'z' ? help[0] - 'a' + 'A' : help[0], help + 1);
	if (*command->more)
		add_wrapped(b, command->more, 0, 0);
	for (size_t i = 0; i < ctl_noptions; i++) {
		const struct ctl_option *o = &ctl_options[i];
		if (&ctl_commands[o->command] != command)
			continue;
		buf_adds(b, any ? "" : "\nOptions:\n");
		any = true;
		add_option(b, o->name, o->letter, o->arg, o->help);
	}
	add_globals(b);
}

void
ctl_print_help(const struct ctl_line *line, struct buf *b)
{
	size_t len = line->group ? strlen(line->group) : 0;

	if (line->command) {
		add_command(b, line->command);
		return;
	}
	buf_printf(b, "usage: awoctl %s [arguments] [options]\n", line->group ? line->group : "COMMAND");
	if (!line->group)
		buf_adds(b, "\nHands agent work orders to awod and watches over them.\n");
	else
		buf_addc(b, '\n');
	for (size_t i = 0; i < CTL_C__COUNT; i++) {
		const struct ctl_command *c = &ctl_commands[i];
		if (c->group) {
			if (!line->group)
				buf_printf(b, "\n%s:\n", c->group);
			continue;
		}
		const char *words = ctl_words(c);
		if (line->group && (strncmp(words, line->group, len) != 0 || words[len] != ' '))
			continue;
		CLEAN_FREE char *left = xasprintf("%s%s%s", words, *c->args ? " " : "", c->args);
		add_row(b, left, ctl_help(c));
	}
	add_globals(b);
	buf_printf(b, "\n\"awoctl %s --help\" explains a command. Exit status: 0 done, 1 failed, 2 usage, 3 not found,\n"
	    "4 not permitted, 5 no daemon.\n", line->group ? line->group : "COMMAND");
}

/* "awoctl help run" is "awoctl run --help": taken apart again as that. */
int
ctl_help_for(struct ctl *ctl)
{
	char name[] = "awoctl", option[] = "--help";
	char *argv[5] = {name};
	int argc = 1;
	struct ctl_line line;
	struct awo_err err = {0};
	CLEAN_BUF struct buf b = {0};

	for (size_t i = 0; i < ctl->line->nargs; i++)
		argv[argc++] = (char *)(uintptr_t)ctl->line->args[i];
	argv[argc++] = option;
	int r = ctl_parse(argc, argv, &line, &err);
	if (r == 0) {
		ctl_print_help(&line, &b);
		ctl_out(&b);
	} else
		ctl_fail(ctl, &err);
	ctl_line_free(&line);
	return r < 0 ? CTL_EXIT_USAGE : 0;
}
