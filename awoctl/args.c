/* Takes a command line apart by the command table. */
#include <stdlib.h>
#include <string.h>

#include "awoctl/ctl.h"
#include "common/clean.h"
#include "common/text.h"

/* Words that other programs use for ours; only to answer "did you mean". */
static const struct {
	const char *said, *meant;
} synonyms[] = {{"list", "ls"}, {"status", "show"}, {"get", "show"}, {"create", "run"}, {"new", "run"}, {"add", "run"},
    {"delete", "rm"}, {"remove", "rm"}, {"stop", "cancel"}, {"kill", "cancel"}, {"abort", "cancel"}, {"log", "logs"},
    {"tail", "logs"}, {"follow", "logs"}, {"ps", "top"}, {"config", "config show"}, {"repository", "repo"},
    {"repositories", "repo"}, {"repos", "repo"}, {"check", "doctor"}, {"version", "--version"}};

static const struct ctl_global *
find_global(const char *name, size_t len, char letter)
{
	for (size_t i = 0; i < ctl_nglobals; i++) {
		const struct ctl_global *g = &ctl_globals[i];
		if (letter ? g->letter == letter : strlen(g->name) == len && memcmp(g->name, name, len) == 0)
			return g;
	}
	return NULL;
}

static const struct ctl_option *
find_option(const struct ctl_command *command, const char *name, size_t len, char letter)
{
	for (size_t i = 0; command && i < ctl_noptions; i++) {
		const struct ctl_option *o = &ctl_options[i];
		if (&ctl_commands[o->command] != command)
			continue;
		if (letter ? o->letter == letter : strlen(o->name) == len && memcmp(o->name, name, len) == 0)
			return o;
	}
	return NULL;
}

static void
set_global(struct ctl_line *line, const struct ctl_global *g, const char *value)
{
	size_t i = (size_t)(g - ctl_globals), row = 0;
#define MEMBER_json(v) (line->json = true)
#define MEMBER_socket(v) (line->socket = (v))
#define MEMBER_quiet(v) (line->quiet = true)
#define MEMBER_no_autostart(v) (line->no_autostart = true)
#define MEMBER_no_color(v) (line->no_color = true)
#define MEMBER_help(v) (line->help = true)
#define MEMBER_version(v) (line->version = true)
#define GLOBAL(member, name_, letter_, arg_, help_)                                                                    \
	if (i == row++)                                                                                                \
		(void)MEMBER_##member(value);
#include "awoctl/globals.def"
#undef GLOBAL
}

/* Whether some command of two words begins with this one. */
static bool
is_group(const char *word)
{
	size_t len = strlen(word);

	for (size_t i = 0; i < CTL_C__COUNT; i++) {
		if (ctl_commands[i].group)
			continue;
		const char *words = ctl_words(&ctl_commands[i]);
		if (strncmp(words, word, len) == 0 && words[len] == ' ')
			return true;
	}
	return false;
}

static const struct ctl_command *
find_command(const char *first, const char *second, size_t *nwords)
{
	CLEAN_FREE char *both = second ? xasprintf("%s %s", first, second) : NULL;
	const struct ctl_command *one = NULL;

	for (size_t i = 0; i < CTL_C__COUNT; i++) {
		if (ctl_commands[i].group)
			continue;
		const char *words = ctl_words(&ctl_commands[i]);
		if (both && strcmp(words, both) == 0) {
			*nwords = 2;
			return &ctl_commands[i];
		}
		if (strcmp(words, first) == 0)
			one = &ctl_commands[i];
	}
	*nwords = 1;
	return one;
}

/* The command that is nearest to what was typed, or NULL. */
static const char *
nearest_command(const char *first, const char *second)
{
	const char *list[CTL_C__COUNT * 2 + 1];
	size_t n = 0, len = strlen(first);

	if (!second)
		for (size_t i = 0; i < sizeof(synonyms) / sizeof(synonyms[0]); i++)
			if (strcmp(synonyms[i].said, first) == 0)
				return synonyms[i].meant;
	for (size_t i = 0; i < CTL_C__COUNT; i++) {
		if (ctl_commands[i].group)
			continue;
		const char *words = ctl_words(&ctl_commands[i]);
		if (!second)
			list[n++] = words;
		else if (strncmp(words, first, len) == 0 && words[len] == ' ')
			list[n++] = words + len + 1;
	}
	if (!second) {
		static const char *const groups[] = {"repo", "credential", "token", "config", "workflow", "command"};
		for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
			list[n++] = groups[i];
	}
	list[n] = NULL;
	return text_nearest(second ? second : first, list);
}

static int
unknown_command(const char *first, const char *second, struct awo_err *err)
{
	if (is_group(first)) {
		struct buf list = {0};
		size_t len = strlen(first);
		for (size_t i = 0; i < CTL_C__COUNT; i++) {
			if (ctl_commands[i].group)
				continue;
			const char *words = ctl_words(&ctl_commands[i]);
			if (strncmp(words, first, len) == 0 && words[len] == ' ')
				buf_printf(&list, "%s%s", list.len ? ", " : "", words + len + 1);
		}
		CLEAN_FREE char *names = buf_take(&list);
		const char *near = second ? nearest_command(first, second) : NULL;
		if (near)
			return ERR(err, INVALID_ARGUMENT, "", "there is no command \"%s %s\"; did you mean \"%s %s\"?",
			    first, second, first, near);
		if (second)
			return ERR(err, INVALID_ARGUMENT, "", "there is no command \"%s %s\"; %s takes one of: %s",
			    first, second, first, names);
		return ERR(err, INVALID_ARGUMENT, "", "%s needs one of: %s", first, names);
	}
	const char *near = nearest_command(first, NULL);
	if (near)
		return ERR(err, INVALID_ARGUMENT, "", "there is no command \"%s\"; did you mean \"%s\"?", first, near);
	return ERR(err, INVALID_ARGUMENT, "",
	    "there is no command \"%s\"; \"awoctl --help\" lists the commands", first);
}

static int
unknown_option(const struct ctl_line *line, const char *option, size_t len, struct awo_err *err)
{
	const char *list[128]; /* the table's widest command has a dozen */
	size_t n = 0;
	CLEAN_FREE char *name = xstrndup(option, len);
	const char *words = line->command ? ctl_words(line->command) : "";

	for (size_t i = 0; i < ctl_noptions; i++)
		if (line->command && &ctl_commands[ctl_options[i].command] == line->command && n < 64)
			list[n++] = ctl_options[i].name;
	for (size_t i = 0; i < ctl_nglobals; i++)
		list[n++] = ctl_globals[i].name;
	list[n] = NULL;
	const char *near = len > 3 && strncmp(name, "--", 2) == 0 ? text_nearest(name + 2, list) : NULL;
	if (near)
		return ERR(err, INVALID_ARGUMENT, "", "unknown option %s; did you mean --%s?", name, near);
	return ERR(err, INVALID_ARGUMENT, "", "unknown option %s; \"awoctl%s%s --help\" lists the options, and -- goes"
	    " before text that begins with -", name, *words ? " " : "", words);
}

/*
 * One argument that begins with '-'. Returns how many arguments it took (1 or 2), or -1. Options of a command are only
 * known once line->command is.
 */
static int
take_option(struct ctl_line *line, const char *arg, const char *next, bool store, struct awo_err *err)
{
	bool is_long = arg[1] == '-';
	const char *p = arg + (is_long ? 2 : 1);

	do {
		const char *eq = is_long ? strchr(p, '=') : NULL;
		size_t len = is_long ? (eq ? (size_t)(eq - p) : strlen(p)) : 1;
		const struct ctl_global *g = find_global(p, len, is_long ? 0 : *p);
		const struct ctl_option *o = g ? NULL : find_option(line->command, p, len, is_long ? 0 : *p);
		const char *takes = g ? g->arg : o ? o->arg : NULL, *value = "";
		int used = 1;

		if (!g && !o)
			return is_long ? unknown_option(line, arg, len + 2, err)
				       : unknown_option(line, (char[]){'-', *p, '\0'}, 2, err);
		if (takes) {
			if (eq)
				value = eq + 1;
			else if (!is_long && p[1])
				value = p + 1;
			else if (next) {
				value = next;
				used = 2;
			} else
				return ERR(err, INVALID_ARGUMENT, "", "%s needs a value: %s %s", arg, arg, takes);
			if (!*value)
				return ERR(err, INVALID_ARGUMENT, "", "%s needs a value that is not empty",
				    g ? g->name : o->name);
		} else if (eq)
			return ERR(err, INVALID_ARGUMENT, "", "--%.*s takes no value", (int)len, p);
		if (store && g)
			set_global(line, g, value);
		if (store && o) {
			if (line->nvalues == CTL_VALUES_MAX)
				return ERR(err, INVALID_ARGUMENT, "", "too many options");
			line->values[line->nvalues].option = o;
			line->values[line->nvalues++].value = value;
		}
		if (is_long || takes)
			return used;
	} while (*++p);
	return 1;
}

int
ctl_parse(int argc, char **argv, struct ctl_line *line, struct awo_err *err)
{
	const char *words[2] = {NULL, NULL};
	size_t nwords = 0, skip = 0;

	*line = (struct ctl_line){.args = xcalloc((size_t)argc + 1, sizeof(char *))};
	/* the words first: global options may stand before and between them */
	for (int i = 1; i < argc && nwords < 2; i++) {
		if (argv[i][0] == '-' && argv[i][1]) {
			struct awo_err ignored;
			int used = strcmp(argv[i], "--") == 0
			    ? -1
			    : take_option(line, argv[i], i + 1 < argc ? argv[i + 1] : NULL, false, &ignored);
			if (used < 0)
				break;
			i += used - 1;
		} else
			words[nwords++] = argv[i];
	}
	if (words[0])
		line->command = find_command(words[0], words[1], &skip);

	bool literal = false;
	size_t position = 0;
	for (int i = 1; i < argc; i++) {
		if (!literal && strcmp(argv[i], "--") == 0) {
			literal = true;
		} else if (!literal && argv[i][0] == '-' && argv[i][1]) {
			int used = take_option(line, argv[i], i + 1 < argc ? argv[i + 1] : NULL, true, err);
			if (used < 0)
				return -1;
			i += used - 1;
		} else if (position++ >= skip)
			line->args[line->nargs++] = argv[i];
	}
	if (line->version)
		return 0;
	if (!line->command) {
		if (line->help && words[0] && is_group(words[0]) && !words[1]) {
			line->group = words[0];
			return 0;
		}
		if (!words[0] && line->help)
			return 0;
		if (!words[0])
			return ERR(err, INVALID_ARGUMENT, "", "a command is missing; \"awoctl --help\" lists them");
		return unknown_command(words[0], words[1], err);
	}
	if (line->help)
		return 0;
	const char *name = ctl_words(line->command);
	if (line->nargs < line->command->min || line->nargs > line->command->max) {
		struct buf b = {0};
		ctl_usage_line(line->command, &b);
		CLEAN_FREE char *usage = buf_take(&b);
		if (line->nargs > line->command->max)
			return ERR(err, INVALID_ARGUMENT, "", "%s: unexpected argument \"%.200s\"; usage: %s", name,
			    line->args[line->command->max], usage);
		return ERR(err, INVALID_ARGUMENT, "", "%s: an argument is missing; usage: %s", name, usage);
	}
	return 0;
}

void
ctl_line_free(struct ctl_line *line)
{
	free(line->args);
	line->args = NULL;
	line->nargs = 0;
}

const char *
ctl_opt(const struct ctl *ctl, const char *name)
{
	const struct ctl_line *line = ctl->line;
	const char *value = NULL;

	AWO_ASSERT(find_option(line->command, name, strlen(name), 0) != NULL);
	for (size_t i = 0; i < line->nvalues; i++)
		if (strcmp(line->values[i].option->name, name) == 0)
			value = line->values[i].value;
	return value;
}

bool
ctl_flag(const struct ctl *ctl, const char *name)
{
	return ctl_opt(ctl, name) != NULL;
}
