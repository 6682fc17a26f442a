/* webhook.deliver: whose webhook it is, for which order, and that it counts once. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "awod/credentials.h"
#include "awod/rpc_git.h"
#include "awod/server_priv.h"
#include "awod/webhook.h"
#include "common/clean.h"
#include "common/log.h"
#include "common/text.h"

#define SECRETS_MAX 16 /* credentials of kind webhook_secret that are tried */
#define COMMENT_MS 30000

struct delivery {
	struct rpc_call *c;
	struct broker *b;
	struct webhook w;
	struct caller who;   /* the owner for whom it acts */
	struct repo_url url; /* as registered */
	char *id;	     /* delivery id, as it came */
	char *key, *object;  /* id, and object with its repository, as they are stored: the owner's own */
	char order[12];	     /* that is prompted, or "" */
};

static void
delivery_free(struct delivery *d)
{
	webhook_free(&d->w);
	free(d->id);
	free(d->key);
	free(d->object);
	free(d);
}

/* Answers, writes the line of awod's log, and frees the delivery. */
static void
answer(struct delivery *d, enum p_webhook_action action, const char *order, const char *reason)
{
	struct p_webhook_answer a = {0};

	log_info("webhook_delivered", LS("delivery_id", d->id), LS("repository", d->w.repository),
	    LS("action", P_ENUM_NAME(webhook_action, action)),
	    LS("agent_work_order_id", order != NULL ? order : "-"), LS("owner", d->who.user),
	    LS("by", d->w.by), LS("reason", reason));
	P_SET(webhook_answer, &a, action, action);
	P_SETS(webhook_answer, &a, agent_work_order_id, order);
	P_SETS(webhook_answer, &a, reason, reason);
	rpc_answer(d->c, &a);
	P_FREE(webhook_answer, &a);
	delivery_free(d);
}

static void
fail(struct delivery *d, const struct awo_err *err)
{
	log_info("webhook_refused", LS("delivery_id", d->id), LS("repository", d->w.repository),
	    LS("error", err->msg));
	rpc_fail(d->c, err);
	delivery_free(d);
}

/* ---- the signature: whose secret is it? */

struct search {
	const struct broker *b;
	const struct p_webhook_deliver *q;
	bool any; /* there is a secret */
	bool found;
	bool everybody; /* the secret is the instance's */
	uint32_t uid;	/* else whose it is */
};

static int
try_secret(void *arg, const struct store_secret *s)
{
	struct search *f = arg;
	CLEAN_FREE char *context = xasprintf("%s:%s", s->owner, s->name);
	char *secret;

	if (s->host != NULL && strcmp(s->host, f->b->conf->github_host) != 0)
		return 0;
	f->any = true;
	secret = keyring_open_sealed(f->b->keys, context, s->sealed, s->len, NULL);
	if (secret == NULL)
		return 0;
	f->found = webhook_is_signed(secret, f->q->body, strlen(f->q->body), f->q->signature);
	f->everybody = strcmp(s->owner, "*") == 0;
	f->uid = s->uid;
	secret_free(secret);
	return f->found;
}

static int
check_signature(const struct broker *b, const struct p_webhook_deliver *q, struct search *f,
    struct awo_err *err)
{
	*f = (struct search){.b = b, .q = q, .any = b->conf->webhook_secret != NULL};
	if (f->any &&
	    webhook_is_signed(b->conf->webhook_secret, q->body, strlen(q->body), q->signature)) {
		f->found = f->everybody = true;
		return 0;
	}
	if (store_secrets(
		b->store, credential_kind_webhook_secret, SECRETS_MAX, try_secret, f, err) != 0)
		return -1;
	if (f->found)
		return 0;
	if (!f->any)
		return ERR(err, FAILED_PRECONDITION, "",
		    "webhooks are not set up: set webhooks.github_secret, or store a credential of "
		    "kind webhook_secret");
	return ERR(err, UNAUTHENTICATED, "signature",
	    "the signature is not one of this body under a secret known here");
}

/* ---- the repository: who has registered it? */

/* -1 with *err; 0 and *found. */
static int
find_owner(struct delivery *d, const struct search *f, bool *found, struct awo_err *err)
{
	static const char *const forms[] = {"https://", "http://", "ssh://git@"};
	const struct config *conf = d->b->conf;
	uint32_t only = f->uid, uid = 0;
	bool one = !f->everybody;
	struct awo_err why = {0};
	uid_t named;

	if (f->everybody && conf->webhook_user != NULL && *conf->webhook_user != '\0') {
		if (!names_uid(d->b->server->names, conf->webhook_user, &named))
			return ERR(err, FAILED_PRECONDITION, "",
			    "webhooks.user names %.64s, who is no user of this host",
			    conf->webhook_user);
		only = (uint32_t)named;
		one = true;
	}
	*found = false;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]) && !*found; i++) {
		struct p_repository registered;
		char url[600];

		why = (struct awo_err){0};
		snprintf(url, sizeof(url), "%s%s/%s", forms[i], conf->github_host, d->w.repository);
		if (store_repository_owner(
			d->b->store, url, one ? &only : NULL, &uid, &registered, &why) == 0) {
			*found = repo_url_parse(registered.repository_url, &d->url, &why) == 0;
			P_FREE(repository, &registered);
		} else if (why.code != AWO_NOT_FOUND) {
			*err = why;
			return -1;
		}
	}
	if (!*found)
		return 0;
	access_user(d->b, (uid_t)uid, P_SCOPE_READ | P_SCOPE_WRITE, &d->who);
	if (access_check_user(d->b, (uid_t)uid, d->who.user, &why) == 0)
		return 0;
	return ERR(err, FAILED_PRECONDITION, "", "nothing is done for who registered this repository: %s", why.msg);
}

/* ---- the comment that names the order */

static void
commented(void *arg, const struct awo_err *err, json_t *told)
{
	char *order = arg;

	if (err != NULL && err->code != AWO_OK)
		log_warning("webhook_comment_failed", LS("agent_work_order_id", order),
		    LS("error", err->msg));
	else
		log_info("webhook_commented", LS("agent_work_order_id", order),
		    LS("url", json_string_value(json_object_get(told, "url")) != NULL
				  ? json_string_value(json_object_get(told, "url"))
				  : "-"));
	free(order);
}

static void
comment_back(struct delivery *d, const char *order)
{
	struct engine_task task = {.program = SUP_FORGE,
	    .verb = "comment",
	    .flags = SUP_NET,
	    .owner_uid = (uint32_t)d->who.uid,
	    .timeout_ms = COMMENT_MS};
	const char *address = d->b->conf->gateway_url;
	CLEAN_BUF struct buf body = {0};
	char marker[64];
	json_t *q;

	if (!d->b->conf->webhook_comment)
		return;
	q = forge_request(d->b, (uint32_t)d->who.uid, &d->url);
	if (!json_is_string(json_object_get(q, "token"))) {
		json_decref(q);
		return;
	}
	/* not the mark of the comment that links the pull request later */
	snprintf(marker, sizeof(marker), "<!-- awo-order:%s -->", order);
	buf_printf(&body, "%s\n", marker);
	if (address != NULL)
		buf_printf(&body, "Work order [`%s`](%s/ui/agent-work-orders/%s) was made of this.\n", order,
		    address, order);
	else
		buf_printf(&body, "Work order `%s` was made of this.\n", order);
	json_object_set_new(q, "number", json_integer(strtoll(d->w.number, NULL, 10)));
	json_object_set_new(q, "body", json_string(body.p));
	json_object_set_new(q, "marker", json_string(marker));
	task.request = q;
	engine_task(d->b->engine, &task, commented, xstrdup(order));
}

/* ---- what is done */

/* It was here before, perhaps a moment ago in another delivery. */
static void
answer_duplicate(struct delivery *d)
{
	struct store_delivery key = {.delivery_id = d->key, .object = d->object};
	char order[12];

	if (store_delivery_find(d->b->store, &key, order, NULL) == 0)
		answer(d, webhook_action_duplicate, order, "this has been dealt with");
	else
		answer(d, webhook_action_duplicate, NULL, "this is being dealt with");
}

static void
created(void *arg, const struct awo_err *err, const struct order_row *row)
{
	struct delivery *d = arg;

	if (row != NULL) {
		comment_back(d, row->pub.agent_work_order_id);
		answer(
		    d, webhook_action_created, row->pub.agent_work_order_id, "an order was made");
	} else if (err->code == AWO_ALREADY_EXISTS) {
		answer_duplicate(d);
	} else {
		fail(d, err);
	}
}

/* base: the branch of an earlier order, or NULL. */
static void
create(struct delivery *d, const char *base)
{
	struct store_delivery key = {.delivery_id = d->key, .object = d->object};
	CLEAN_FREE char *request_id = xasprintf("webhook-%.100s", d->id);
	CLEAN_FREE char *from = NULL;
	struct p_order_create q = {0};

	P_SETS(order_create, &q, repository_url, d->url.canonical);
	/* an issue is fetched with its number; of a pull request the agent would not know */
	if (d->w.is_pull_request && strlen(d->w.text) < WEBHOOK_TEXT_MAX - 256)
		from = xasprintf("%s\n\n(Asked for by %s in a comment on pull request #%s.)", d->w.text, d->w.by,
		    d->w.number);
	P_SETS(order_create, &q, user_request, from != NULL ? from : d->w.text);
	P_SETS(order_create, &q, base_branch, base);
	P_SETS(order_create, &q, request_id, request_id);
	if (!d->w.is_pull_request && repository_is_github(d->b->conf, &d->url))
		P_SETS(order_create, &q, github_issue_number, d->w.number);
	order_hand_in(d->b, &d->who, &q, &key, created, d);
	P_FREE(order_create, &q);
}

static void
prompted(void *arg, const struct awo_err *err, int64_t prompt_id, const char *message)
{
	struct delivery *d = arg;
	struct store_delivery key = {.delivery_id = d->key, .object = d->object};
	char order[12];

	(void)prompt_id;
	if (err == NULL || err->code == AWO_OK)
		answer(d, webhook_action_prompted, d->order, message);
	else if (err->code == AWO_ALREADY_EXISTS ||
		 store_delivery_find(d->b->store, &key, order, NULL) == 0)
		answer_duplicate(d);
	else
		fail(d, err);
}

/* An order that cannot be told anything any more is followed by another one, on its branch when
 * that was pushed. */
static void
command(struct delivery *d, const struct order_row *row)
{
	struct store_delivery key = {.delivery_id = d->key, .object = d->object};
	CLEAN_FREE char *base = NULL;

	if (row == NULL) {
		create(d, NULL);
	} else if (row->pub.status == order_status_cancelled || row->cancel_requested ||
		   (order_is_terminal(row->pub.status) &&
		       (row->workspace_removed || row->base_sha == NULL))) {
		if (row->pushed_sha != NULL)
			base = xstrdup(row->pub.git_branch_name);
		create(d, base);
	} else {
		snprintf(d->order, sizeof(d->order), "%s", row->pub.agent_work_order_id);
		engine_prompt_delivered(
		    d->b->engine, d->order, &d->who, d->w.text, &key, prompted, d);
	}
}

static void
seen(void *arg, const struct awo_err *err, const struct order_row *row)
{
	struct delivery *d = arg;

	if (row == NULL)
		fail(d, err);
	else
		answer(d, webhook_action_updated, row->pub.agent_work_order_id,
		    "the pull request's state was noted");
}

static void
act(struct delivery *d)
{
	const struct order_row *row = NULL;
	struct awo_err err = {0};
	char id[12];

	if (store_order_by_forge(d->b->store, (uint32_t)d->who.uid, d->url.canonical, d->w.number,
		d->w.is_pull_request, id, &err) == 0)
		row = engine_order(d->b->engine, id, &err);
	if (row == NULL && err.code != AWO_NOT_FOUND) {
		fail(d, &err);
		return;
	}
	switch (d->w.what) {
	case WEBHOOK_NOTHING:
		break;
	case WEBHOOK_ORDER:
		if (row != NULL && !order_is_terminal(row->pub.status))
			answer(d, webhook_action_duplicate, id,
			    "the issue has an order that has not ended; comment /awo to tell it "
			    "more");
		else
			create(d, NULL);
		break;
	case WEBHOOK_COMMAND:
		command(d, row);
		break;
	case WEBHOOK_PULL_REQUEST:
		if (row == NULL)
			answer(d, webhook_action_ignored, NULL, "the pull request is no order's");
		else
			engine_pull_request_seen(d->b->engine, id, d->w.state, seen, d);
		break;
	}
}

void
rpc_webhook_deliver(struct rpc_call *c, const struct p_webhook_deliver *request)
{
	struct broker *b = rpc_broker(c);
	struct webhook_rules rules = {
	    .label = b->conf->webhook_label, .ignore = &b->conf->webhook_ignore};
	struct store_delivery key;
	struct delivery *d;
	struct search f;
	struct awo_err err = {0};
	char order[12];
	bool found = false;

	d = xcalloc(1, sizeof(*d));
	d->c = c;
	d->b = b;
	d->id = xstrdup(request->delivery_id);
	if (check_signature(b, request, &f, &err) != 0 ||
	    webhook_parse(
		&rules, request->event, request->body, strlen(request->body), &d->w, &err) != 0) {
		fail(d, &err);
		return;
	}
	if (d->w.what == WEBHOOK_NOTHING) {
		answer(d, webhook_action_ignored, NULL, d->w.reason);
		return;
	}
	if (find_owner(d, &f, &found, &err) != 0) {
		fail(d, &err);
		return;
	}
	if (!found) {
		answer(d, webhook_action_ignored, NULL,
		    f.everybody ? "nobody here has registered this repository: awoctl repo add does"
				: "the owner of this secret has not registered the repository: "
				  "awoctl repo add does");
		return;
	}
	/* whose it is stands in both: what one user's secret signs must not use up what another waits for */
	d->key = xasprintf("%u %s", (unsigned)d->who.uid, d->id);
	d->object = xasprintf("%u %s %s", (unsigned)d->who.uid, d->url.canonical, d->w.object);
	key = (struct store_delivery){.delivery_id = d->key, .object = d->object};
	if (d->w.what != WEBHOOK_PULL_REQUEST &&
	    store_delivery_find(b->store, &key, order, NULL) == 0)
		answer(d, webhook_action_duplicate, order, "this has been dealt with");
	else
		act(d);
}
