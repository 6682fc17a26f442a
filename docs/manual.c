/*
 * Fills the parts of manual pages and documents that come from tables.
 *
 * awo-manual TEMPLATE > PAGE. In a manual page (mdoc) the line  .\" @name@  stands for a part; in Markdown the lines
 * between  <!-- name: from the tables -->  and  <!-- end -->  are made anew, so that a page is its own template.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "awoctl/ctl.h"
#include "awod/config.h"
#include "common/buf.h"
#include "common/clean.h"
#include "proto/schema.h"

/* ---- mdoc */

/* Text in lines of its own: no control line, no escape, a new sentence on a new line, none longer than mdoc likes. */
static void
add_text(struct buf *b, const char *text)
{
	size_t column = 0;

	while (*text) {
		size_t len = strcspn(text, " ");
		bool begins = b->len > 1 && b->p[b->len - 1] == '.' && *text >= 'A' && *text <= 'Z';
		if (column > 0 && (begins || column + 1 + len > 78)) {
			buf_addc(b, '\n');
			column = 0;
		} else if (column > 0) {
			buf_addc(b, ' ');
			column++;
		}
		if (column == 0 && (*text == '.' || *text == '\''))
			buf_adds(b, "\\&");
		for (size_t i = 0; i < len; i++) {
			if (text[i] == '\\')
				buf_adds(b, "\\e");
			else
				buf_addc(b, text[i]);
		}
		column += len;
		text += len;
		while (*text == ' ')
			text++;
	}
}

static void
add_sentence(struct buf *b, const char *text)
{
	struct buf one = {0};
	size_t len = strlen(text);

	if (len == 0)
		return;
	buf_addc(&one, text[0] >= 'a' && text[0] <= 'z' ? (char)(text[0] - 'a' + 'A') : text[0]);
	buf_adds(&one, text + 1);
	if (text[len - 1] != '.')
		buf_addc(&one, '.');
	add_text(b, one.p);
	buf_addc(b, '\n');
	buf_free(&one);
}

/* An argument of a macro: one word that is no macro's name. */
static void
add_argument(struct buf *b, const char *text, size_t len)
{
	buf_adds(b, " \\&");
	for (size_t i = 0; i < len; i++) {
		if (text[i] == ' ')
			buf_adds(b, "\\ ");
		else if (text[i] == '\\')
			buf_adds(b, "\\e");
		else if (text[i] == '"')
			buf_adds(b, "\\(dq");
		else if (text[i] == '-')
			buf_adds(b, "\\-");
		else
			buf_addc(b, text[i]);
	}
}

/* "ID [PATH]" and "bash|zsh|fish" as macros. */
static void
add_arguments(struct buf *b, const char *args)
{
	while (*args) {
		size_t len = strcspn(args, " ");
		const char *word = args;
		size_t n = len;
		bool open = *word == '[', close = len > 1 && word[len - 1] == ']';
		if (open)
			word++, n--;
		if (close)
			n--;
		if (open)
			buf_adds(b, " Oo");
		if (n == 3 && strncmp(word, "...", 3) == 0)
			buf_adds(b, " No ...");
		else if (memchr(word, '|', n)) {
			for (const char *p = word, *end = word + n; p < end;) {
				const char *bar = memchr(p, '|', (size_t)(end - p));
				size_t part = bar ? (size_t)(bar - p) : (size_t)(end - p);
				buf_adds(b, " Cm");
				add_argument(b, p, part);
				p += part + 1;
				if (bar)
					buf_adds(b, " |");
			}
		} else {
			buf_adds(b, " Ar");
			add_argument(b, word, n);
		}
		if (close)
			buf_adds(b, " Oc");
		args += len;
		while (*args == ' ')
			args++;
	}
}

static void
add_flag(struct buf *b, const char *name, char letter, const char *arg)
{
	buf_adds(b, ".It");
	if (letter) {
		buf_adds(b, " Fl");
		add_argument(b, &letter, 1);
		buf_adds(b, " ,");
	}
	CLEAN_FREE char *dashed = xasprintf("-%s", name);
	buf_adds(b, " Fl");
	add_argument(b, dashed, strlen(dashed));
	if (arg) {
		buf_adds(b, " Ar");
		add_argument(b, arg, strlen(arg));
	}
	buf_addc(b, '\n');
}

static void
commands(struct buf *b)
{
	bool listed = false;

	for (size_t i = 0; i < CTL_C__COUNT; i++) {
		const struct ctl_command *c = &ctl_commands[i];
		bool options = false;
		if (c->group) {
			buf_printf(b, "%s.Ss %s\n.Bl -tag -width Ds\n", listed ? ".El\n" : "", c->group);
			listed = true;
			continue;
		}
		buf_adds(b, ".It Ic");
		add_argument(b, ctl_words(c), strlen(ctl_words(c)));
		add_arguments(b, c->args);
		buf_addc(b, '\n');
		add_sentence(b, ctl_help(c));
		add_sentence(b, c->more);
		for (size_t o = 0; o < ctl_noptions; o++) {
			if (&ctl_commands[ctl_options[o].command] != c)
				continue;
			buf_adds(b, options ? "" : ".Bl -tag -width Ds\n");
			options = true;
			add_flag(b, ctl_options[o].name, ctl_options[o].letter, ctl_options[o].arg);
			add_sentence(b, ctl_options[o].help);
		}
		buf_adds(b, options ? ".El\n" : "");
	}
	buf_adds(b, ".El\n");
}

static void
globals(struct buf *b)
{
	buf_adds(b, ".Bl -tag -width Ds\n");
	for (size_t i = 0; i < ctl_nglobals; i++) {
		add_flag(b, ctl_globals[i].name, ctl_globals[i].letter, ctl_globals[i].arg);
		add_sentence(b, ctl_globals[i].help);
	}
	buf_adds(b, ".El\n");
}

static void
statuses(struct buf *b)
{
	buf_adds(b, ".Bl -tag -width completed\n");
	for (size_t i = 0; i < p_enum_order_status.nrows; i++) {
		const struct p_enum_row *row = &p_enum_order_status.rows[i];
		if (row->alias)
			continue;
		buf_adds(b, ".It Cm");
		add_argument(b, row->name, strlen(row->name));
		buf_addc(b, '\n');
		add_sentence(b, row->help);
	}
	buf_adds(b, ".El\n");
}

static void
errors(struct buf *b)
{
	static const struct {
		const char *name, *help;
		int exit;
	} rows[] = {
#define AWO_CODE(id, name_, http, exit_, help_) {.name = (name_), .help = (help_), .exit = (exit_)},
#include "proto/errors.def"
#undef AWO_CODE
	};

	buf_adds(b, ".Bl -column permission_denied Status\n");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		buf_printf(b, ".It Er %s Ta %d Ta ", rows[i].name, rows[i].exit);
		add_text(b, rows[i].help);
		buf_addc(b, '\n');
	}
	buf_adds(b, ".El\n");
}

/* ---- the configuration */

struct key {
	const char *key, *kind, *choices, *environment, *help;
	char *fallback;
	long long lo, hi;
	bool number, duration;
	unsigned flags;
};

static char *
number_text(long long n)
{
	return xasprintf("%lld", n);
}

static char *
text_or_none(const char *s)
{
	return s && *s ? xstrdup(s) : NULL;
}

static void
add_key(struct buf *b, const struct key *k)
{
	buf_adds(b, ".It Cm");
	add_argument(b, k->key, strlen(k->key));
	buf_adds(b, "\n");
	CLEAN_BUF struct buf head = {0};
	buf_adds(&head, k->kind);
	if (k->choices) {
		buf_adds(&head, ": ");
		for (const char *p = k->choices; *p; p++)
			buf_adds(&head, *p == '|' ? ", " : (char[]){*p, '\0'});
	}
	if (k->number)
		buf_printf(&head, ", %lld to %lld", k->lo, k->hi);
	if (k->fallback)
		buf_printf(&head, "; default %s", k->fallback);
	buf_adds(b, ".Pq ");
	add_text(b, head.p);
	buf_addc(b, '\n');
	/* many begin with a name, which must stay as it is */
	add_text(b, k->help);
	buf_adds(b, ".\n");
	if (*k->environment) {
		buf_adds(b, "Environment:");
		for (const char *p = k->environment; *p;) {
			size_t len = strcspn(p, " ");
			buf_adds(b, "\n.Ev");
			add_argument(b, p, len);
			p += len;
			p += strspn(p, " ");
			if (*p)
				buf_adds(b, " ,");
			else
				buf_adds(b, " .\n");
		}
	}
	if (k->flags & (CONF_RESTART | CONF_GATEWAY))
		buf_printf(b, "Takes effect when\n.Xr %s 8\nis restarted.\n",
		    k->flags & CONF_GATEWAY ? "awo-gateway" : "awod");
	if (k->flags & CONF_UNSTORED)
		buf_adds(b, "Changed in the file alone.\n");
	if (k->flags & CONF_SECRET)
		buf_adds(b, "Masked wherever it is shown.\n");
}

static void
keys(struct buf *b)
{
	struct key rows[] = {
#define CONF_INT(key_, m, def, lo_, hi_, flags_, env, help_)                                                           \
	{.key = (key_), .kind = "integer", .fallback = number_text(def), .lo = (lo_), .hi = (hi_), .number = true,     \
	    .flags = (flags_), .environment = (env), .help = (help_)},
#define CONF_DURATION(key_, m, def, lo_, hi_, flags_, env, help_)                                                      \
	{.key = (key_), .kind = "duration in seconds", .fallback = number_text(def), .lo = (lo_), .hi = (hi_),         \
	    .number = true, .flags = (flags_), .environment = (env), .help = (help_)},
#define CONF_BOOL(key_, m, def, flags_, env, help_)                                                                    \
	{.key = (key_), .kind = "true or false",                                                                       \
	    .fallback = (int)(def) < 0 ? NULL : xstrdup((int)(def) ? "true" : "false"), .flags = (flags_),             \
	    .environment = (env), .help = (help_)},
#define CONF_STR(key_, m, def, max, flags_, env, help_)                                                                \
	{.key = (key_), .kind = (flags_) & CONF_PATH ? "absolute path" : "string", .fallback = text_or_none(def),      \
	    .flags = (flags_), .environment = (env), .help = (help_)},
#define CONF_CHOICE(key_, m, def, choices_, flags_, env, help_)                                                        \
	{.key = (key_), .kind = "one of", .choices = (choices_), .fallback = text_or_none(def), .flags = (flags_),     \
	    .environment = (env), .help = (help_)},
#define CONF_LIST(key_, m, def, flags_, env, help_)                                                                    \
	{.key = (key_), .kind = "list of strings", .fallback = text_or_none(def), .flags = (flags_),                   \
	    .environment = (env), .help = (help_)},
#define AGENT_KEY(key, kind, help)
#include "awod/config.def"
#include "awod/config_undef.h"
	};

	buf_adds(b, ".Bl -tag -width Ds\n");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		add_key(b, &rows[i]);
		free(rows[i].fallback);
	}
	buf_adds(b, ".El\n");
}

static void
agent_keys(struct buf *b)
{
	static const struct {
		const char *key, *kind, *help;
	} rows[] = {
#define CONF_INT(key, m, def, lo, hi, flags, env, help)
#define CONF_DURATION(key, m, def, lo, hi, flags, env, help)
#define CONF_BOOL(key, m, def, flags, env, help)
#define CONF_STR(key, m, def, max, flags, env, help)
#define CONF_CHOICE(key, m, def, choices, flags, env, help)
#define CONF_LIST(key, m, def, flags, env, help)
#define KIND_STR "string"
#define KIND_LIST "list of strings"
#define KIND_INT "integer"
#define KIND_MAP "mapping of strings"
#define AGENT_KEY(key_, kind_, help_) {.key = (key_), .kind = KIND_##kind_, .help = (help_)},
#include "awod/config.def"
#include "awod/config_undef.h"
	};

	buf_adds(b, ".Bl -tag -width Ds\n");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		buf_adds(b, ".It Cm");
		add_argument(b, rows[i].key, strlen(rows[i].key));
		buf_printf(b, "\n.Pq %s\n", rows[i].kind);
		add_sentence(b, rows[i].help);
	}
	buf_adds(b, ".El\n");
}

/* ---- Markdown */

static void
events(struct buf *b)
{
	static const char *const writers[] = {[P_WRITER_BROKER] = "awod", [P_WRITER_WORKER] = "awo-worker",
	    [P_WRITER_BOTH] = "either"};

	buf_adds(b, "| event | written by | state | its own fields | meaning |\n|---|---|---|---|---|\n");
	for (int i = 1; i < P_E__COUNT; i++) {
		const struct p_event_row *e = &p_events[i];
		buf_printf(b, "| `%s` | %s | %s | ", e->name, writers[e->writer], e->state ? "yes" : "");
		for (const char *p = e->fields; *p;) {
			size_t len = strcspn(p, ", ");
			buf_printf(b, "%s`%.*s`", p == e->fields ? "" : ", ", (int)len, p);
			p += len;
			p += strspn(p, ", ");
		}
		buf_printf(b, " | %s |\n", e->help);
	}
}

/* ---- templates */

static const struct part {
	const char *name;
	void (*make)(struct buf *b);
} parts[] = {{"commands", commands}, {"globals", globals}, {"statuses", statuses}, {"errors", errors},
    {"keys", keys}, {"agent-keys", agent_keys}, {"events", events}};

/* The part that a line asks for; how says which of the two forms it had. */
static const struct part *
part_of(const char *line, bool *markdown)
{
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		CLEAN_FREE char *mdoc = xasprintf(".\\\" @%s@\n", parts[i].name);
		CLEAN_FREE char *md = xasprintf("<!-- %s: from the tables -->\n", parts[i].name);
		*markdown = strcmp(line, md) == 0;
		if (*markdown || strcmp(line, mdoc) == 0)
			return &parts[i];
	}
	return NULL;
}

int
main(int argc, char **argv)
{
	CLEAN_FILE FILE *f = argc == 2 ? fopen(argv[1], "r") : NULL;
	CLEAN_FREE char *line = NULL;
	CLEAN_BUF struct buf b = {0};
	size_t cap = 0;
	bool skipping = false, markdown;

	if (!f) {
		if (argc == 2)
			perror(argv[1]);
		else
			fputs("usage: awo-manual TEMPLATE\n", stderr);
		return 2;
	}
	while (getline(&line, &cap, f) >= 0) {
		const struct part *part = part_of(line, &markdown);
		if (strcmp(line, "<!-- end -->\n") == 0)
			skipping = false;
		if (!skipping && (!part || markdown))
			buf_adds(&b, line);
		if (part) {
			part->make(&b);
			skipping = markdown;
		}
	}
	if (ferror(f) || skipping) {
		fprintf(stderr, "%s: %s\n", argv[1], skipping ? "a part has no end" : "cannot be read");
		return 1;
	}
	return fwrite(b.p, 1, b.len, stdout) == b.len && fflush(stdout) == 0 ? 0 : 1;
}
