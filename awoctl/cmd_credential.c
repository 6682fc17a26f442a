/* Commands about credentials and access tokens. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "awoctl/ctl.h"
#include "awoctl/table.h"
#include "common/clean.h"
#include "common/clock.h"
#include "common/files.h"
#include "common/text.h"

#define SECRET_MAX 65536

static struct termios before;
static volatile sig_atomic_t echo_off;

/* An interrupt must not leave the terminal without echo. */
static void
on_interrupt(int sig)
{
	if (echo_off)
		tcsetattr(STDIN_FILENO, TCSANOW, &before);
	signal(sig, SIG_DFL);
	raise(sig);
}

/* Reads a secret from a terminal, unseen: one line, or to the end of input for a key of several. NULL with errno. */
static char *
ask(const char *name, bool lines, size_t *len)
{
	struct termios quiet;
	char *secret = NULL;

	if (tcgetattr(STDIN_FILENO, &before) < 0)
		return NULL;
	quiet = before;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	fprintf(stderr, lines ? "%s (end with Ctrl-D on a line of its own; nothing is shown):\n" : "%s (nothing is shown): ",
	    name);
	signal(SIGINT, on_interrupt);
	signal(SIGTERM, on_interrupt);
	echo_off = 1;
	if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet) == 0) {
		if (lines)
			secret = files_read_fd(STDIN_FILENO, SECRET_MAX, len);
		else {
			size_t cap = 0;
			ssize_t n = getline(&secret, &cap, stdin);
			*len = n > 0 ? (size_t)n : 0;
		}
	}
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
	echo_off = 0;
	fputc('\n', stderr);
	return secret;
}

static void
forget(char *secret, size_t len)
{
	if (secret)
		explicit_bzero(secret, len);
	free(secret);
}

int
ctl_credential_set(struct ctl *ctl)
{
	struct p_credential_set request = {0};
	struct p_credential answer;
	const char *kind = ctl_opt(ctl, "kind");
	CLEAN_BUF struct buf b = {0}, name = {0};
	size_t len = 0;
	int value;

	if (!kind)
		return ctl_usage(ctl, "credential set: --kind is missing: github_token, git_password, ssh_key, agent_key or webhook_secret");
	int r = ctl_enum(ctl, "--kind", &p_enum_credential_kind, kind, &value);
	if (r != 0)
		return r;
	bool lines = value == credential_kind_ssh_key;
	term_escapes(&name, ctl->line->args[0], TERM_LINE);
	char *secret = isatty(STDIN_FILENO) ? ask(name.p ? name.p : "", lines, &len)
					    : files_read_fd(STDIN_FILENO, SECRET_MAX, &len);
	if (!secret)
		return ctl_usage(ctl, errno == EFBIG ? "the secret is longer than 65536 bytes"
						     : "the secret cannot be read from standard input");
	size_t whole = len;
	while (len > 0 && (secret[len - 1] == '\n' || secret[len - 1] == '\r'))
		len--;
	if (len == 0 || !text_is_utf8(secret, len)) {
		forget(secret, whole);
		return ctl_usage(ctl, len ? "the secret is no UTF-8 text" : "the secret is empty: give it on standard"
		    " input");
	}
	/* keys end with a line end, which readers of keys want to see; nothing else does */
	if (lines && whole > len)
		secret[len++] = '\n';
	memset(secret + len, 0, whole - len);
	P_SETS(credential_set, &request, name, ctl->line->args[0]);
	P_SET(credential_set, &request, kind, (enum p_credential_kind)value);
	P_SETS(credential_set, &request, value, secret);
	forget(secret, whole);
	if (ctl_opt(ctl, "host"))
		P_SETS(credential_set, &request, host, ctl_opt(ctl, "host"));
	if (ctl_flag(ctl, "shared"))
		P_SET(credential_set, &request, shared, true);
	r = ctl_call(ctl, P_M_credential_set, &request, &answer);
	explicit_bzero(request.value, strlen(request.value));
	P_FREE(credential_set, &request);
	if (r != 0 || ctl_json_done(ctl, &p_type_credential, &answer))
		return r;
	if (!ctl->line->quiet) {
		term_escapes(&b, answer.name, TERM_LINE);
		buf_adds(&b, ": ");
		term_escapes(&b, answer.masked, TERM_LINE);
		buf_addc(&b, '\n');
	}
	P_FREE(credential, &answer);
	ctl_out(&b);
	return 0;
}

int
ctl_credential_ls(struct ctl *ctl)
{
	static const struct table_column columns[] = {{"NAME", false, 12, 0}, {"KIND", false, 0, 0}, {"HOST", false, 8, 2},
	    {"VALUE", false, 0, 0}, {"OWNER", false, 0, 3}, {"CHANGED", false, 0, 1}};
	struct p_credential_list_answer answer;
	CLEAN_BUF struct buf b = {0};
	char text[TERM_TEXT_MAX];

	int r = ctl_call(ctl, P_M_credential_list, NULL, &answer);
	if (r != 0 || ctl_json_done(ctl, &p_type_credential_list_answer, &answer))
		return r;
	struct table *t = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	for (size_t i = 0; i < answer.credentials.n; i++) {
		const struct p_credential *c = &answer.credentials.v[i];
		table_cell(t, INK_NONE, c->name);
		table_cell(t, INK_NONE, P_ENUM_NAME(credential_kind, c->kind));
		table_cell(t, INK_NONE, c->host ? c->host : "-");
		table_cell(t, INK_NONE, c->masked);
		table_cell(t, INK_NONE, strcmp(c->owner, "*") == 0 ? "everybody" : c->owner);
		table_cell(t, INK_NONE, term_time(c->updated_at, text));
	}
	if (answer.credentials.n > 0)
		table_print(t, &ctl->out, &b);
	else
		ctl_note(ctl, "no credentials; \"awoctl credential set\" stores one");
	table_free(t);
	P_FREE(credential_list_answer, &answer);
	ctl_out(&b);
	return 0;
}

int
ctl_credential_rm(struct ctl *ctl)
{
	struct p_credential_ref request = {0};
	struct p_deleted_answer answer;

	P_SETS(credential_ref, &request, name, ctl->line->args[0]);
	int r = ctl_call(ctl, P_M_credential_delete, &request, &answer);
	P_FREE(credential_ref, &request);
	if (r != 0 || ctl_json_done(ctl, &p_type_deleted_answer, &answer))
		return r;
	P_FREE(deleted_answer, &answer);
	ctl_note(ctl, "%s is forgotten", ctl->line->args[0]);
	return 0;
}

int
ctl_credential_test(struct ctl *ctl)
{
	struct p_credential_ref request = {0};
	struct p_test_answer answer;
	CLEAN_BUF struct buf b = {0};

	P_SETS(credential_ref, &request, name, ctl->line->args[0]);
	int r = ctl_call(ctl, P_M_credential_test, &request, &answer);
	P_FREE(credential_ref, &request);
	if (r != 0)
		return r;
	int status = answer.success ? 0 : CTL_EXIT_FAILED;
	if (ctl_json_done(ctl, &p_type_test_answer, &answer))
		return status;
	term_ink(&b, &ctl->out, answer.success ? INK_GREEN : INK_RED, answer.success ? "ok" : "fail");
	buf_addc(&b, ' ');
	term_escapes(&b, answer.message, TERM_TEXT);
	buf_addc(&b, '\n');
	P_FREE(test_answer, &answer);
	ctl_out(&b);
	return status;
}

int
ctl_token_create(struct ctl *ctl)
{
	struct p_token_create request = {0};
	struct p_token answer;
	CLEAN_BUF struct buf b = {0};
	int64_t seconds;
	int r;

	if (ctl_opt(ctl, "expires")) {
		if ((r = ctl_duration(ctl, "--expires", ctl_opt(ctl, "expires"), &seconds)) != 0)
			return r;
		P_SET(token_create, &request, expires_seconds, seconds);
	}
	if (ctl_opt(ctl, "scope")) {
		if ((r = ctl_list(ctl, "--scope", ctl_opt(ctl, "scope"), &request.scopes)) != 0)
			return r;
		P_MARK(token_create, &request, scopes);
	}
	P_SETS(token_create, &request, name, ctl->line->args[0]);
	r = ctl_call(ctl, P_M_token_create, &request, &answer);
	P_FREE(token_create, &request);
	if (r != 0 || ctl_json_done(ctl, &p_type_token, &answer))
		return r;
	ctl_note(ctl, "keep this token: it is not shown again. \"awoctl token rm %s\" ends it", answer.id);
	term_escapes(&b, answer.token ? answer.token : answer.id, TERM_LINE);
	buf_addc(&b, '\n');
	P_FREE(token, &answer);
	ctl_out(&b);
	return 0;
}

int
ctl_token_ls(struct ctl *ctl)
{
	static const struct table_column columns[] = {{"ID", false, 0, 0}, {"NAME", false, 12, 0}, {"SCOPES", false, 0, 2},
	    {"EXPIRES", false, 0, 1}, {"LAST USED", false, 0, 3}, {"CREATED", false, 0, 4}};
	struct p_token_list_answer answer;
	CLEAN_BUF struct buf b = {0};
	int64_t now = clock_wall_us();
	char text[TERM_TEXT_MAX];

	int r = ctl_call(ctl, P_M_token_list, NULL, &answer);
	if (r != 0 || ctl_json_done(ctl, &p_type_token_list_answer, &answer))
		return r;
	struct table *t = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	for (size_t i = 0; i < answer.tokens.n; i++) {
		const struct p_token *k = &answer.tokens.v[i];
		CLEAN_BUF struct buf scopes = {0};
		for (size_t s = 0; s < k->scopes.n; s++)
			buf_printf(&scopes, "%s%s", s ? "," : "", k->scopes.v[s]);
		table_cell(t, INK_NONE, k->id);
		table_cell(t, INK_NONE, k->name);
		table_cell(t, INK_NONE, scopes.p ? scopes.p : "");
		table_cell(t, P_HAS(token, k, expires_at) && k->expires_at < now ? INK_RED : INK_NONE,
		    P_HAS(token, k, expires_at) ? term_ago(k->expires_at, now, text) : "never");
		table_cell(t, INK_NONE, P_HAS(token, k, last_used_at) ? term_ago(k->last_used_at, now, text) : "never");
		table_cell(t, INK_NONE, term_time(k->created_at, text));
	}
	if (answer.tokens.n > 0)
		table_print(t, &ctl->out, &b);
	else
		ctl_note(ctl, "no tokens; \"awoctl token create\" makes one");
	table_free(t);
	P_FREE(token_list_answer, &answer);
	ctl_out(&b);
	return 0;
}

int
ctl_token_rm(struct ctl *ctl)
{
	struct p_token_ref request = {0};
	struct p_deleted_answer answer;

	P_SETS(token_ref, &request, id, ctl->line->args[0]);
	int r = ctl_call(ctl, P_M_token_revoke, &request, &answer);
	P_FREE(token_ref, &request);
	if (r != 0 || ctl_json_done(ctl, &p_type_deleted_answer, &answer))
		return r;
	P_FREE(deleted_answer, &answer);
	ctl_note(ctl, "%s is no longer accepted", ctl->line->args[0]);
	return 0;
}
