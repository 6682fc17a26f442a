/* Completion scripts for shells, made from the command table, and the candidates that they ask awoctl for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "awoctl/ctl.h"
#include "common/clean.h"

/* What a shell offers: words that are known when the script is made, a list to ask awoctl for, or files. */
struct source {
	const char *asks;		/* "orders": awoctl completion orders; NULL */
	const struct p_enum *en;	/* its values; NULL */
	const char *words;		/* separated by spaces; NULL */
	bool files;
};

static const struct source sources[] = {
    [CTL_COMPLETE_NONE] = {.words = ""},
    [CTL_COMPLETE_ORDER] = {.asks = "orders"},
    [CTL_COMPLETE_REPOSITORY] = {.asks = "repositories", .files = true},
    [CTL_COMPLETE_FILE] = {.files = true},
    [CTL_COMPLETE_SHELL] = {.words = "bash zsh fish"},
    [CTL_COMPLETE_STATUS] = {.en = &p_enum_order_status},
    [CTL_COMPLETE_SANDBOX] = {.words = "git_worktree git_branch"},
    [CTL_COMPLETE_LEVEL] = {.en = &p_enum_log_level},
    [CTL_COMPLETE_KIND] = {.en = &p_enum_credential_kind},
    [CTL_COMPLETE_WORKFLOW] = {.asks = "workflows"},
    [CTL_COMPLETE_STEP] = {.asks = "steps"},
    [CTL_COMPLETE_SETTING] = {.asks = "settings"},
    [CTL_COMPLETE_CREDENTIAL] = {.asks = "credentials"},
    [CTL_COMPLETE_TOKEN] = {.asks = "tokens"},
    [CTL_COMPLETE_TEST] = {.words = "github agent"},
    [CTL_COMPLETE_SCOPE] = {.words = "read write admin read,write"},
    [CTL_COMPLETE_AGENT] = {.asks = "agents"},
};

/* ---- candidates: "word<TAB>what it is" a line; nothing, and no complaint, when awod does not answer */

static void
add_candidate(struct buf *b, const char *word, const char *what)
{
	CLEAN_BUF struct buf safe = {0};

	term_escapes(&safe, word, TERM_LINE);
	buf_adds(b, safe.p ? safe.p : "");
	safe.len = 0;
	term_escapes(&safe, what, TERM_LINE);
	if (safe.len > 0) {
		buf_addc(b, '\t');
		term_add_cut(b, safe.p, 60);
	}
	buf_addc(b, '\n');
}

static void
add_orders(struct ctl *ctl, struct buf *b)
{
	struct p_order_list request = {0};
	struct p_order_list_answer answer;

	P_SET(order_list, &request, limit, 200);
	if (ctl_try(ctl, P_M_order_list, &request, &answer, NULL) < 0)
		return;
	for (size_t i = 0; i < answer.agent_work_orders.n; i++) {
		const struct p_order *o = &answer.agent_work_orders.v[i];
		CLEAN_FREE char *what = xasprintf("%s: %s", P_ENUM_NAME(order_status, o->status),
		    o->user_request ? o->user_request : "");
		add_candidate(b, o->agent_work_order_id, what);
	}
	P_FREE(order_list_answer, &answer);
}

/* A list that awod answers with: two fields of each item. */
static void
add_list(struct ctl *ctl, struct buf *b, enum p_method_id id, unsigned list, unsigned word, unsigned what)
{
	const struct p_type *type = p_methods[id].answer, *item = type->fields[list].type;
	CLEAN_FREE char *answer = xcalloc(1, type->size);
	struct p_any_list all;

	if (ctl_try(ctl, id, NULL, answer, NULL) < 0)
		return;
	memcpy(&all, answer + type->fields[list].offset, sizeof(all));
	for (size_t i = 0; i < all.n; i++) {
		const char *texts[2];

		memcpy(&texts[0], all.v + i * item->size + item->fields[word].offset, sizeof(texts[0]));
		memcpy(&texts[1], all.v + i * item->size + item->fields[what].offset, sizeof(texts[1]));
		add_candidate(b, texts[0], texts[1]);
	}
	p_free(type, answer);
}

static void
add_info(struct ctl *ctl, struct buf *b, bool steps)
{
	struct p_info answer;

	if (ctl_try(ctl, P_M_system_info, NULL, &answer, NULL) < 0)
		return;
	for (size_t i = 0; steps && i < answer.steps.n; i++)
		add_candidate(b, answer.steps.v[i], NULL);
	for (size_t i = 0; !steps && i < answer.agents.n; i++)
		add_candidate(b, answer.agents.v[i].name, answer.agents.v[i].available ? "available" : "not installed");
	P_FREE(info, &answer);
}

static void
add_credentials(struct ctl *ctl, struct buf *b)
{
	struct p_credential_list_answer answer;

	if (ctl_try(ctl, P_M_credential_list, NULL, &answer, NULL) < 0)
		return;
	for (size_t i = 0; i < answer.credentials.n; i++)
		add_candidate(b, answer.credentials.v[i].name,
		    P_ENUM_NAME(credential_kind, answer.credentials.v[i].kind));
	P_FREE(credential_list_answer, &answer);
}

/* false when there is no such list. */
static bool
candidates(struct ctl *ctl, const char *what, struct buf *b)
{
	struct awo_err err;
	bool known = false;

	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++)
		known |= sources[i].asks && strcmp(sources[i].asks, what) == 0;
	/* a shell that completes a word must not start a daemon */
	if (!known || !ctl_running(ctl, &err))
		return known;
	if (strcmp(what, "orders") == 0)
		add_orders(ctl, b);
	else if (strcmp(what, "repositories") == 0)
		add_list(ctl, b, P_M_repository_list, p_repository_list_answer_f_repositories,
		    p_repository_f_repository_url, p_repository_f_display_name);
	else if (strcmp(what, "workflows") == 0)
		add_list(ctl, b, P_M_workflow_list, p_workflow_list_answer_f_workflows, p_workflow_f_name,
		    p_workflow_f_description);
	else if (strcmp(what, "steps") == 0 || strcmp(what, "agents") == 0)
		add_info(ctl, b, strcmp(what, "steps") == 0);
	else if (strcmp(what, "settings") == 0)
		add_list(ctl, b, P_M_settings_get, p_settings_answer_f_settings, p_setting_f_key, p_setting_f_help);
	else if (strcmp(what, "credentials") == 0)
		add_credentials(ctl, b);
	else
		add_list(ctl, b, P_M_token_list, p_token_list_answer_f_tokens, p_token_f_id, p_token_f_name);
	return true;
}

/* ---- scripts */

static void
add_source_words(struct buf *b, const struct source *s)
{
	for (size_t i = 0, n = 0; s->en && i < s->en->nrows; i++)
		if (!s->en->rows[i].alias)
			buf_printf(b, "%s%s", n++ ? " " : "", s->en->rows[i].name);
	if (s->words)
		buf_adds(b, s->words);
}

/* Text in single quotes; how says how the shell writes a quote in them, and which character else needs a backslash. */
static void
add_quoted(struct buf *b, const char *text, const char *quote, char also)
{
	buf_addc(b, '\'');
	for (; *text; text++) {
		if (*text == '\'')
			buf_adds(b, quote);
		else if (also && *text == also)
			buf_printf(b, "\\%c", also);
		else
			buf_addc(b, *text);
	}
	buf_addc(b, '\'');
}

/* "repo" of "repo add"; false for commands of one word. */
static bool
group_of(const struct ctl_command *c, char *group, size_t len)
{
	const char *words = ctl_words(c), *space = strchr(words, ' ');

	if (!space)
		return false;
	snprintf(group, len, "%.*s", (int)(space - words), words);
	return true;
}

/* Whether this row is the first one of its group that the table has. */
static bool
first_of_group(size_t row, const char *group)
{
	char other[64];

	for (size_t i = 0; i < row; i++)
		if (!ctl_commands[i].group && ((group_of(&ctl_commands[i], other, sizeof(other)) && strcmp(other, group) == 0)
		    || strcmp(ctl_words(&ctl_commands[i]), group) == 0))
			return false;
	return true;
}

/* The words that may stand first. */
static void
add_first_words(struct buf *b)
{
	char group[64];

	for (size_t i = 0; i < CTL_C__COUNT; i++) {
		const struct ctl_command *c = &ctl_commands[i];
		if (c->group)
			continue;
		if (!group_of(c, group, sizeof(group)))
			snprintf(group, sizeof(group), "%s", ctl_words(c));
		if (first_of_group(i, group))
			buf_printf(b, "%s%s", b->len ? " " : "", group);
	}
}

/* case arms "group) offer second words ;;" */
static void
add_group_arms(struct buf *b, const char *offer)
{
	char group[64], other[64];

	for (size_t i = 0; i < CTL_C__COUNT; i++) {
		if (ctl_commands[i].group || !group_of(&ctl_commands[i], group, sizeof(group)))
			continue;
		bool first = true;
		for (size_t j = 0; j < i; j++)
			if (!ctl_commands[j].group && group_of(&ctl_commands[j], other, sizeof(other))
			    && strcmp(other, group) == 0)
				first = false;
		if (!first)
			continue;
		buf_printf(b, "\t%s) %s", group, offer);
		for (size_t j = i; j < CTL_C__COUNT; j++)
			if (!ctl_commands[j].group && group_of(&ctl_commands[j], other, sizeof(other))
			    && strcmp(other, group) == 0)
				buf_printf(b, " %s", strchr(ctl_words(&ctl_commands[j]), ' ') + 1);
		buf_adds(b, " ;;\n");
	}
}

/* case arms for bash and zsh, which share this part: the command, its options, and what stands behind each. */
static void
add_command_arms(struct buf *b)
{
	buf_adds(b, "\tcase $command in\n");
	for (size_t i = 0; i < CTL_C__COUNT; i++) {
		const struct ctl_command *c = &ctl_commands[i];
		if (c->group)
			continue;
		buf_printf(b, "\t'%s')\n\t\targument=%d\n\t\toptions='", ctl_words(c), (int)c->complete);
		for (size_t o = 0, n = 0; o < ctl_noptions; o++) {
			if (&ctl_commands[ctl_options[o].command] != c)
				continue;
			buf_printf(b, "%s--%s", n++ ? " " : "", ctl_options[o].name);
			if (ctl_options[o].letter)
				buf_printf(b, " -%c", ctl_options[o].letter);
		}
		buf_adds(b, "'\n\t\tcase $previous in\n");
		for (size_t o = 0; o < ctl_noptions; o++) {
			if (&ctl_commands[ctl_options[o].command] != c || !ctl_options[o].arg)
				continue;
			buf_printf(b, "\t\t--%s", ctl_options[o].name);
			if (ctl_options[o].letter)
				buf_printf(b, " | -%c", ctl_options[o].letter);
			buf_printf(b, ") value=%d ;;\n", (int)ctl_options[o].complete);
		}
		buf_adds(b, "\t\tesac\n\t\t;;\n");
	}
	buf_adds(b, "\tesac\n");
}

static void
add_global_names(struct buf *b)
{
	for (size_t i = 0; i < ctl_nglobals; i++)
		buf_printf(b, "%s--%s", i ? " " : "", ctl_globals[i].name);
}

/* The two words of the command, from the words array of either shell; index of the first is in $1, the last in $2. */
static const char find_command[] =
    "\tfor ((i = first; i < last; i++)); do\n"
    "\t\tword=${%s[i]}\n"
    "\t\tcase $word in\n"
    "\t\t--socket) ((i++)) ;;\n"
    "\t\t-*) ;;\n"
    "\t\t*)\n"
    "\t\t\tif [[ -z $command ]]; then command=$word\n"
    "\t\t\telif [[ -z $second ]]; then second=$word; fi\n"
    "\t\t\t;;\n"
    "\t\tesac\n"
    "\tdone\n";

static void
add_find_command(struct buf *b, const char *array)
{
	const char *hole = strstr(find_command, "%s");

	buf_add(b, find_command, (size_t)(hole - find_command));
	buf_adds(b, array);
	buf_adds(b, hole + 2);
	buf_adds(b, "\tcase \"$command $second\" in\n");
	for (size_t i = 0; i < CTL_C__COUNT; i++)
		if (!ctl_commands[i].group && strchr(ctl_words(&ctl_commands[i]), ' '))
			buf_printf(b, "\t'%s') command+=\" $second\" ;;\n", ctl_words(&ctl_commands[i]));
	buf_adds(b, "\tesac\n");
}

static void
bash(struct buf *b)
{
	buf_adds(b,
	    "# Completion of awoctl for bash, made by \"awoctl completion bash\".\n"
	    "# No candidate ever passes through compgen -W: that would run what stands in it.\n"
	    "_awoctl_add()\n{\n"
	    "\tlocal word\n"
	    "\twhile IFS=$'\\t' read -r word _; do\n"
	    "\t\t[[ -n $word && $word == \"$current\"* ]] && COMPREPLY+=(\"$(printf %q \"$word\")\")\n"
	    "\tdone\n"
	    "}\n\n"
	    "_awoctl_words()\n{\n"
	    "\t_awoctl_add < <(printf '%s\\n' \"$@\")\n"
	    "}\n\n"
	    "_awoctl_source()\n{\n"
	    "\tcase $1 in\n");
	for (size_t i = 1; i < sizeof(sources) / sizeof(sources[0]); i++) {
		const struct source *s = &sources[i];
		buf_printf(b, "\t%zu) ", i);
		if (s->asks)
			buf_printf(b, "_awoctl_add < <(awoctl completion %s 2> /dev/null)", s->asks);
		else if (s->en || s->words) {
			buf_adds(b, "_awoctl_words ");
			add_source_words(b, s);
		}
		if (s->files)
			buf_printf(b, "%scompopt -o default 2> /dev/null", s->asks ? "; " : "");
		buf_adds(b, " ;;\n");
	}
	buf_adds(b,
	    "\tesac\n"
	    "}\n\n"
	    "_awoctl()\n{\n"
	    "\tlocal current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}\n"
	    "\tlocal command= second= word= options= argument=0 value= i first=1 last=$COMP_CWORD\n"
	    "\tCOMPREPLY=()\n");
	add_find_command(b, "COMP_WORDS");
	add_command_arms(b);
	buf_adds(b,
	    "\tif [[ $previous == --socket ]]; then\n"
	    "\t\tcompopt -o default 2> /dev/null\n"
	    "\telif [[ -n $value ]]; then\n"
	    "\t\t_awoctl_source \"$value\"\n"
	    "\telif [[ $current == -* ]]; then\n"
	    "\t\t_awoctl_words $options ");
	add_global_names(b);
	buf_adds(b, "\n\telif [[ -z $command ]]; then\n\t\t_awoctl_words ");
	struct buf first = {0};
	add_first_words(&first);
	buf_adds(b, first.p);
	buf_free(&first);
	buf_adds(b, "\n\telse\n\t\t[[ -z $second ]] && case $command in\n");
	add_group_arms(b, "_awoctl_words");
	buf_adds(b,
	    "\t\tesac\n"
	    "\t\t_awoctl_source \"$argument\"\n"
	    "\tfi\n"
	    "}\n"
	    "complete -F _awoctl awoctl\n");
}

static void
zsh(struct buf *b)
{
	buf_adds(b,
	    "#compdef awoctl\n"
	    "# Completion of awoctl for zsh, made by \"awoctl completion zsh\".\n"
	    "_awoctl_ask()\n{\n"
	    "\tlocal -a found shown\n"
	    "\tlocal word what\n"
	    "\twhile IFS=$'\\t' read -r word what; do\n"
	    "\t\tfound+=(\"$word\")\n"
	    "\t\tshown+=(\"$word${what:+ -- $what}\")\n"
	    "\tdone < <(awoctl completion $1 2> /dev/null)\n"
	    "\tcompadd -l -d shown -a found\n"
	    "}\n\n"
	    "_awoctl_source()\n{\n"
	    "\tcase $1 in\n");
	for (size_t i = 1; i < sizeof(sources) / sizeof(sources[0]); i++) {
		const struct source *s = &sources[i];
		buf_printf(b, "\t%zu) ", i);
		if (s->asks)
			buf_printf(b, "_awoctl_ask %s", s->asks);
		else if (s->en || s->words) {
			buf_adds(b, "compadd -- ");
			add_source_words(b, s);
		}
		if (s->files)
			buf_printf(b, "%s_files", s->asks ? "; " : "");
		buf_adds(b, " ;;\n");
	}
	buf_adds(b,
	    "\tesac\n"
	    "}\n\n"
	    "_awoctl()\n{\n"
	    "\tlocal current=${words[CURRENT]} previous=${words[CURRENT - 1]}\n"
	    "\tlocal command= second= word= options= argument=0 value= i first=2 last=$CURRENT\n");
	add_find_command(b, "words");
	add_command_arms(b);
	buf_adds(b,
	    "\tif [[ $previous == --socket ]]; then\n"
	    "\t\t_files\n"
	    "\telif [[ -n $value ]]; then\n"
	    "\t\t_awoctl_source $value\n"
	    "\telif [[ $current == -* ]]; then\n"
	    "\t\tcompadd -- ${=options} ");
	add_global_names(b);
	buf_adds(b, "\n\telif [[ -z $command ]]; then\n\t\tlocal -a commands=(\n");
	for (size_t i = 0; i < CTL_C__COUNT; i++) {
		char group[64];
		const struct ctl_command *c = &ctl_commands[i];
		if (c->group)
			continue;
		bool grouped = group_of(c, group, sizeof(group));
		if (!first_of_group(i, grouped ? group : ctl_words(c)))
			continue;
		CLEAN_FREE char *text = grouped ? xasprintf("%s:subcommands", group)
						: xasprintf("%s:%s", ctl_words(c), ctl_help(c));
		buf_adds(b, "\t\t\t");
		add_quoted(b, text, "'\\''", 0);
		buf_addc(b, '\n');
	}
	buf_adds(b, "\t\t)\n\t\t_describe command commands\n\telse\n\t\t[[ -z $second ]] && case $command in\n");
	add_group_arms(b, "compadd --");
	buf_adds(b,
	    "\t\tesac\n"
	    "\t\t_awoctl_source $argument\n"
	    "\tfi\n"
	    "}\n"
	    "# sourced, it registers itself; found in fpath, it is the function\n"
	    "if [[ $funcstack[1] == _awoctl ]]; then _awoctl \"$@\"; else compdef _awoctl awoctl; fi\n");
}

static void
add_fish_source(struct buf *b, enum ctl_complete complete)
{
	const struct source *s = &sources[complete];

	if (s->asks)
		buf_printf(b, " -a '(awoctl completion %s 2> /dev/null)'", s->asks);
	else if (s->en || (s->words && *s->words)) {
		buf_adds(b, " -a '");
		add_source_words(b, s);
		buf_addc(b, '\'');
	}
}

static void
fish(struct buf *b)
{
	char group[64];

	buf_adds(b,
	    "# Completion of awoctl for fish, made by \"awoctl completion fish\".\n"
	    "# True when the words of the line begin with the arguments (and there are no more, for -x).\n"
	    "function __awoctl_at\n"
	    "\tset -l exact 0\n"
	    "\tif test (count $argv) -gt 0; and test \"$argv[1]\" = -x\n"
	    "\t\tset exact 1\n"
	    "\t\tset -e argv[1]\n"
	    "\tend\n"
	    "\tset -l line (commandline -opc)\n"
	    "\tset -l words\n"
	    "\tfor word in $line[2..-1]\n"
	    "\t\tstring match -q -- '-*' $word; or set -a words $word\n"
	    "\tend\n"
	    "\tset -l n (count $argv)\n"
	    "\ttest (count $words) -ge $n; or return 1\n"
	    "\ttest $exact -eq 0; or test (count $words) -eq $n; or return 1\n"
	    "\tfor i in (seq $n)\n"
	    "\t\ttest \"$words[$i]\" = \"$argv[$i]\"; or return 1\n"
	    "\tend\n"
	    "end\n"
	    "complete -c awoctl -f\n");
	for (size_t i = 0; i < ctl_nglobals; i++) {
		buf_printf(b, "complete -c awoctl -l %s", ctl_globals[i].name);
		if (ctl_globals[i].letter)
			buf_printf(b, " -s %c", ctl_globals[i].letter);
		buf_adds(b, ctl_globals[i].arg ? " -r -F -d " : " -d ");
		add_quoted(b, ctl_globals[i].help, "\\'", 0);
		buf_addc(b, '\n');
	}
	for (size_t i = 0; i < CTL_C__COUNT; i++) {
		const struct ctl_command *c = &ctl_commands[i];
		if (c->group)
			continue;
		bool grouped = group_of(c, group, sizeof(group));
		if (grouped && first_of_group(i, group))
			buf_printf(b, "complete -c awoctl -n '__awoctl_at -x' -a %s -d subcommands\n", group);
		if (grouped)
			buf_printf(b, "complete -c awoctl -n '__awoctl_at -x %s' -a %s -d ", group,
			    strchr(ctl_words(c), ' ') + 1);
		else
			buf_printf(b, "complete -c awoctl -n '__awoctl_at -x' -a %s -d ", ctl_words(c));
		add_quoted(b, ctl_help(c), "\\'", 0);
		buf_addc(b, '\n');
		if (c->complete != CTL_COMPLETE_NONE) {
			buf_printf(b, "complete -c awoctl -n '__awoctl_at -x %s'%s", ctl_words(c),
			    sources[c->complete].files ? " -F" : "");
			add_fish_source(b, c->complete);
			buf_addc(b, '\n');
		}
		for (size_t o = 0; o < ctl_noptions; o++) {
			const struct ctl_option *opt = &ctl_options[o];
			if (&ctl_commands[opt->command] != c)
				continue;
			buf_printf(b, "complete -c awoctl -n '__awoctl_at %s' -l %s", ctl_words(c), opt->name);
			if (opt->letter)
				buf_printf(b, " -s %c", opt->letter);
			if (opt->arg) {
				buf_adds(b, sources[opt->complete].files ? " -r -F" : " -x");
				add_fish_source(b, opt->complete);
			}
			buf_adds(b, " -d ");
			add_quoted(b, opt->help, "\\'", 0);
			buf_addc(b, '\n');
		}
	}
}

int
ctl_completion(struct ctl *ctl)
{
	const char *what = ctl->line->args[0];
	CLEAN_BUF struct buf b = {0};

	if (strcmp(what, "bash") == 0)
		bash(&b);
	else if (strcmp(what, "zsh") == 0)
		zsh(&b);
	else if (strcmp(what, "fish") == 0)
		fish(&b);
	else if (!candidates(ctl, what, &b))
		return ctl_usage(ctl, "completion: \"%.80s\" is none of: bash, zsh, fish", what);
	ctl_out(&b);
	return 0;
}
