/* What a webhook of GitHub asks for: its signature, and its payload, of which nothing is believed.
 */
#include "awod/webhook.h"

#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/buf.h"
#include "common/clean.h"
#include "common/text.h"

#define COMMAND "/awo"
#define OWN_MARK "<!-- awo" /* in every comment that AWO writes */
#define SIGNATURE_LEN (7 + 2 * crypto_auth_hmacsha256_BYTES)

bool
webhook_is_signed(const char *secret, const char *body, size_t len, const char *signature)
{
	crypto_auth_hmacsha256_state state;
	unsigned char mac[crypto_auth_hmacsha256_BYTES];
	char text[SIGNATURE_LEN + 1] = "sha256=", given[SIGNATURE_LEN + 1] = "";
	bool same;

	crypto_auth_hmacsha256_init(&state, (const unsigned char *)secret, strlen(secret));
	crypto_auth_hmacsha256_update(&state, (const unsigned char *)body, len);
	crypto_auth_hmacsha256_final(&state, mac);
	sodium_bin2hex(text + 7, sizeof(text) - 7, mac, sizeof(mac));
	/* one of another length is compared as well, and is not the same */
	snprintf(given, sizeof(given), "%s", signature);
	same = sodium_memcmp(text, given, sizeof(text)) == 0 && strlen(signature) == SIGNATURE_LEN;
	sodium_memzero(&state, sizeof(state));
	sodium_memzero(text, sizeof(text));
	return same;
}

/* ---- parts of a payload */

static int
missing(const char *what, struct awo_err *err)
{
	return ERR(err, INVALID_ARGUMENT, "body",
	    "%s is missing, or is not what GitHub sends there", what);
}

/* What stands at a path like "issue.user.login"; NULL when there is nothing. */
static const json_t *
at(const json_t *tree, const char *path)
{
	char key[32];

	while (tree != NULL && *path != '\0') {
		size_t n = strcspn(path, ".");

		snprintf(key, sizeof(key), "%.*s", (int)n, path);
		tree = json_object_get(tree, key);
		path += n + (path[n] == '.');
	}
	return tree;
}

static const char *
text_at(const json_t *tree, const char *path)
{
	const char *s = json_string_value(at(tree, path));

	return s != NULL ? s : "";
}

static bool
is_at(const json_t *tree, const char *path, const char *want)
{
	return strcmp(text_at(tree, path), want) == 0;
}

/* A name of a host: letters that need no quoting anywhere. */
static bool
take_name(const char *s, char *out, size_t size)
{
	if (*s == '\0' || strlen(s) >= size ||
	    strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/[]") !=
		strlen(s))
		return false;
	memcpy(out, s, strlen(s) + 1);
	return true;
}

static int
take_repository(const json_t *tree, struct webhook *w, struct awo_err *err)
{
	const char *name = text_at(tree, "repository.full_name"), *slash = strchr(name, '/');

	if (slash == NULL || slash == name || slash[1] == '\0' || strchr(slash + 1, '/') != NULL ||
	    strpbrk(name, "[]") != NULL || !take_name(name, w->repository, sizeof(w->repository)))
		return missing("repository.full_name", err);
	return 0;
}

static int
take_number(const json_t *tree, const char *path, struct webhook *w, struct awo_err *err)
{
	const json_t *n = at(tree, path);

	if (!json_is_integer(n) || json_integer_value(n) < 1)
		return missing(path, err);
	snprintf(w->number, sizeof(w->number), "%" JSON_INTEGER_FORMAT, json_integer_value(n));
	return 0;
}

/* Text of anybody: lines and tabs stay, other control characters go. */
static void
add_clean(struct buf *b, const char *s, size_t max)
{
	CLEAN_BUF struct buf plain = {0};

	for (; *s != '\0'; s++)
		if (((unsigned char)*s >= ' ' && *s != 0x7f) || *s == '\n' || *s == '\t')
			buf_addc(&plain, *s);
	if (plain.len > 0 && b->len < max)
		text_add_utf8(b, plain.p, plain.len, max - b->len);
}

/* As GitHub has it: who owns the repository, is of the organization that does, or was invited to it. */
static bool
is_collaborator(const char *association)
{
	return strcmp(association, "OWNER") == 0 || strcmp(association, "MEMBER") == 0 ||
	       strcmp(association, "COLLABORATOR") == 0;
}

static int
nothing(struct webhook *w, const char *reason)
{
	w->what = WEBHOOK_NOTHING;
	snprintf(w->reason, sizeof(w->reason), "%s", reason);
	return 0;
}

/* Who asks, from the object "user" or "sender"; false after saying why it counts nothing. */
static bool
take_user(const struct webhook_rules *rules, const json_t *user, struct webhook *w)
{
	if (!take_name(text_at(user, "login"), w->by, sizeof(w->by))) {
		(void)nothing(w, "nobody is named as its author");
		return false;
	}
	if (is_at(user, "type", "Bot")) {
		(void)nothing(w, "bots are not listened to");
		return false;
	}
	for (size_t i = 0; rules->ignore != NULL && i < rules->ignore->n; i++)
		if (strcasecmp(rules->ignore->v[i], w->by) == 0) {
			(void)nothing(w, "its author is one of webhooks.ignore");
			return false;
		}
	return true;
}

/* ---- events */

static int
parse_issue(
    const struct webhook_rules *rules, const json_t *tree, struct webhook *w, struct awo_err *err)
{
	const json_t *issue = at(tree, "issue");
	CLEAN_BUF struct buf text = {0};

	/* one that is opened with the label is announced as labelled as well */
	if (!is_at(tree, "action", "labeled"))
		return nothing(w, "only the labelling of an issue counts");
	if (strcasecmp(text_at(tree, "label.name"), rules->label) != 0)
		return nothing(w, "it is another label");
	if (take_number(issue, "number", w, err) != 0)
		return -1;
	if (json_is_object(at(issue, "pull_request")))
		return nothing(w, "it is a pull request, not an issue");
	if (is_at(issue, "state", "closed"))
		return nothing(w, "the issue is closed");
	if (!take_user(rules, at(tree, "sender"), w))
		return 0;
	/* only those who may write set labels, but a template of the repository sets them for
	 * whoever opens the issue */
	if (strcasecmp(w->by, text_at(issue, "user.login")) == 0 &&
	    !is_collaborator(text_at(issue, "author_association")))
		return nothing(
		    w, "its author is no collaborator: somebody who is must set the label");
	add_clean(&text, text_at(issue, "title"), 1024);
	if (*text_at(issue, "body") != '\0') {
		buf_adds(&text, "\n\n");
		add_clean(&text, text_at(issue, "body"), WEBHOOK_TEXT_MAX);
	}
	if (text.len == 0 || text.p[strspn(text.p, " \t\n")] == '\0')
		return nothing(w, "the issue has neither title nor text");
	w->what = WEBHOOK_ORDER;
	/* the same in two hooks that tell of one labelling, another one when the label is set again
	 */
	snprintf(w->object, sizeof(w->object), "issue %s labelled %.40s", w->number,
	    text_at(issue, "updated_at"));
	w->text = buf_take(&text);
	return 0;
}

/* issue_comment and pull_request_review_comment */
static int
parse_comment(const struct webhook_rules *rules, const json_t *tree, const char *kind,
    const char *parent, struct webhook *w, struct awo_err *err)
{
	const json_t *comment = at(tree, "comment"), *id = at(comment, "id"),
		     *of = at(tree, parent);
	const char *body = text_at(comment, "body");
	CLEAN_BUF struct buf text = {0};

	if (!is_at(tree, "action", "created"))
		return nothing(w, "only new comments count");
	if (!json_is_integer(id))
		return missing("comment.id", err);
	if (take_number(of, "number", w, err) != 0)
		return -1;
	body += strspn(body, " \t\r\n");
	if (strncmp(body, COMMAND, strlen(COMMAND)) != 0 ||
	    strchr(" \t\r\n", body[strlen(COMMAND)]) == NULL)
		return nothing(w, "the comment does not begin with " COMMAND);
	if (strstr(body, OWN_MARK) != NULL)
		return nothing(w, "AWO's own comments are not listened to");
	if (!take_user(rules, at(comment, "user"), w))
		return 0;
	if (!is_collaborator(text_at(comment, "author_association")))
		return nothing(w, "its author is no collaborator of the repository");
	body += strlen(COMMAND);
	body += strspn(body, " \t\r\n");
	add_clean(&text, body, WEBHOOK_TEXT_MAX);
	if (text.len == 0)
		return nothing(w, "nothing stands behind " COMMAND ": say what is to be done");
	w->what = WEBHOOK_COMMAND;
	w->is_pull_request =
	    strcmp(parent, "pull_request") == 0 || json_is_object(at(of, "pull_request"));
	snprintf(
	    w->object, sizeof(w->object), "%s %" JSON_INTEGER_FORMAT, kind, json_integer_value(id));
	w->text = buf_take(&text);
	return 0;
}

static int
parse_pull_request(const json_t *tree, struct webhook *w, struct awo_err *err)
{
	const json_t *pr = at(tree, "pull_request");

	if (is_at(tree, "action", "reopened"))
		w->state = pull_request_state_open;
	else if (!is_at(tree, "action", "closed"))
		return nothing(w, "only the end of a pull request and its opening again count");
	else
		w->state = json_is_true(at(pr, "merged")) ? pull_request_state_merged
							  : pull_request_state_closed;
	if (take_number(pr, "number", w, err) != 0)
		return -1;
	w->is_pull_request = true;
	w->what = WEBHOOK_PULL_REQUEST;
	return 0;
}

int
webhook_parse(const struct webhook_rules *rules, const char *event, const char *body, size_t len,
    struct webhook *out, struct awo_err *err)
{
	CLEAN_JSON json_t *tree = json_loadb(body, len, JSON_ALLOW_NUL, NULL);

	*out = (struct webhook){.what = WEBHOOK_NOTHING};
	if (!json_is_object(tree))
		return ERR(err, INVALID_ARGUMENT, "body",
		    "is no JSON object: set the webhook's content type to application/json");
	if (strcmp(event, "ping") == 0)
		return nothing(out, "pong");
	if (strcmp(event, "issues") != 0 && strcmp(event, "issue_comment") != 0 &&
	    strcmp(event, "pull_request_review_comment") != 0 && strcmp(event, "pull_request") != 0)
		return nothing(out, "this event asks for nothing here: issues, issue_comment, "
				    "pull_request_review_comment and pull_request do");
	if (take_repository(tree, out, err) != 0)
		return -1;
	if (strcmp(event, "issues") == 0)
		return parse_issue(rules, tree, out, err);
	if (strcmp(event, "issue_comment") == 0)
		return parse_comment(rules, tree, "comment", "issue", out, err);
	if (strcmp(event, "pull_request_review_comment") == 0)
		return parse_comment(rules, tree, "review comment", "pull_request", out, err);
	return parse_pull_request(tree, out, err);
}

void
webhook_free(struct webhook *w)
{
	free(w->text);
	w->text = NULL;
}
