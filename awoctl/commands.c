/* The command table as data. */
#include "awoctl/ctl.h"

/* clang-format off */
const struct ctl_command ctl_commands[CTL_C__COUNT] = {
#define GROUP(id, title) [CTL_C_group_##id] = {.group = (title), .method = P_M__COUNT},
#define RPC_COMMAND(id, method_, args_, min_, max_, complete_, more_) [CTL_C_##id] = {                  \
	.method = P_M_##method_, .args = (args_), .min = (min_), .max = (max_),                         \
	.complete = CTL_COMPLETE_##complete_, .more = (more_), .run = ctl_##id},
#define COMMAND(id, words, args_, min_, max_, complete_, help, more_) [CTL_C_##id] = {                  \
	.method = P_M__COUNT, .words_ = (words), .help_ = (help), .args = (args_), .min = (min_), .max = (max_), \
	.complete = CTL_COMPLETE_##complete_, .more = (more_), .run = ctl_##id},
#define OPTION(command, name, letter, arg, complete, help)
#include "awoctl/commands.def"
#undef GROUP
#undef RPC_COMMAND
#undef COMMAND
#undef OPTION
};

const struct ctl_option ctl_options[] = {
#define GROUP(id, title)
#define RPC_COMMAND(id, method, args, min, max, complete, more)
#define COMMAND(id, words, args, min, max, complete, help, more)
#define OPTION(command_, name_, letter_, arg_, complete_, help_)                                        \
	{.command = CTL_C_##command_, .name = (name_), .letter = (letter_), .arg = (arg_),              \
	 .complete = CTL_COMPLETE_##complete_, .help = (help_)},
#include "awoctl/commands.def"
#undef GROUP
#undef RPC_COMMAND
#undef COMMAND
#undef OPTION
};
const size_t ctl_noptions = sizeof(ctl_options) / sizeof(ctl_options[0]);

const struct ctl_global ctl_globals[] = {
#define GLOBAL(member, name_, letter_, arg_, help_)                                                     \
	{.name = (name_), .letter = (letter_), .arg = (arg_), .help = (help_)},
#include "awoctl/globals.def"
#undef GLOBAL
};
const size_t ctl_nglobals = sizeof(ctl_globals) / sizeof(ctl_globals[0]);
/* clang-format on */

const char *
ctl_words(const struct ctl_command *command)
{
	return command->words_ ? command->words_ : p_methods[command->method].words;
}

const char *
ctl_help(const struct ctl_command *command)
{
	return command->help_ ? command->help_ : p_methods[command->method].help;
}
