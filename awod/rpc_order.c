/* Methods of orders: handing in, reading and changing them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "awod/rpc_git.h"
#include "awod/server_priv.h"
#include "common/clean.h"
#include "common/log.h"
#include "common/repo_url.h"
#include "common/text.h"

#define REFRESH_MS 10000 /* for GitHub to say what became of a pull request */
#define CUT_TEXT 1024 /* bytes that remain of outputs when a history is too long for one message   \
		       */
#define ANSWER_ROOM (P_MESSAGE_MAX - 65536)

/* ---- answers of one order */

static void
answer_order(struct rpc_call *c, const struct order_row *row, const char *message)
{
	struct p_order_answer answer = {0};

	/* lent for the encoding, not given */
	answer.agent_work_order = row->pub;
	P_MARK(order_answer, &answer, agent_work_order);
	answer.message = (char *)(uintptr_t)message;
	if (message != NULL)
		P_MARK(order_answer, &answer, message);
	rpc_answer(c, &answer);
}

static void
changed(void *arg, const struct awo_err *err, const struct order_row *row)
{
	if (row == NULL)
		rpc_fail(arg, err);
	else
		answer_order(arg, row, NULL);
}

/* ---- order.create */

/* The rules of git check-ref-format for a branch, and no leading '-', which programs would take for
 * an option. */
static bool
is_branch_name(const char *s)
{
	size_t n = strlen(s);
	const char *part = s;

	if (n == 0 || s[0] == '-' || s[0] == '/' || s[n - 1] == '/' || s[n - 1] == '.' ||
	    strcmp(s, "@") == 0 || strcmp(s, "HEAD") == 0 || strstr(s, "..") != NULL ||
	    strstr(s, "@{") != NULL || strstr(s, "//") != NULL)
		return false;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)s[i] <= ' ' || s[i] == 0x7f || strchr("~^:?*[\\", s[i]) != NULL)
			return false;
	while (part != NULL) {
		size_t len = strcspn(part, "/");

		if (part[0] == '.' || (len >= 5 && strncmp(part + len - 5, ".lock", 5) == 0))
			return false;
		part = part[len] == '/' ? part + len + 1 : NULL;
	}
	return true;
}

static bool
is_printable(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < 0x21 || *s == 0x7f)
			return false;
	return true;
}

static int
check_agent(const struct config *conf, const char *name, struct awo_err *err)
{
	CLEAN_FREE const char **names = NULL;
	const char *nearest;

	if (config_agent(conf, name) != NULL)
		return 0;
	names = xcalloc(conf->nagents + 1, sizeof(*names));
	for (size_t i = 0; i < conf->nagents; i++)
		names[i] = conf->agents[i].name;
	nearest = text_nearest(name, names);
	return ERR(err, INVALID_ARGUMENT, "agent",
	    "there is no agent %s%s%s%s; agents are configured in agents.yaml", name,
	    nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "",
	    nearest != NULL ? "?" : "");
}

static bool
is_blank(const char *text)
{
	return text[strspn(text, " \t\r\n")] == '\0';
}

/*
 * One more thing that is wrong with a request: who mends one field need not ask again to hear of the next. Of those with
 * another code than the first, which is a reason of its own, is told when the first is mended.
 */
static void
also_wrong(struct awo_err *all, const struct awo_err *one)
{
	if (all->code == AWO_OK)
		*all = *one;
	else if (one->code == all->code)
		awo_err_also(all, one);
}

static int
check_request(const struct p_order_create *q, struct awo_err *err)
{
	if (q->user_request == NULL && q->github_issue_number == NULL)
		return ERR(err, INVALID_ARGUMENT, "user_request",
		    "is missing: say what is to be done, or give github_issue_number");
	if (q->user_request != NULL && is_blank(q->user_request))
		return ERR(
		    err, INVALID_ARGUMENT, "user_request", "is empty: say what is to be done");
	return 0;
}

static int
check_issue(const struct broker *b, const char *issue, const struct repo_url *u, struct awo_err *err)
{
	if (issue == NULL)
		return 0;
	if (issue[0] == '0' || strspn(issue, "0123456789") != strlen(issue))
		return ERR(err, INVALID_ARGUMENT, "github_issue_number",
		    "must be a decimal number without leading zero");
	if (u != NULL && !repository_is_github(b->conf, u))
		return ERR(err, INVALID_ARGUMENT, "github_issue_number",
		    "%s is no repository on %s, so that it has no issues there; put the request "
		    "into user_request",
		    u->canonical, b->conf->github_host);
	return 0;
}

/* Collects in *all what is wrong; u: NULL when the repository's URL is. */
static void
check_create(const struct broker *b, const struct p_order_create *q, const struct repo_url *u,
    struct awo_err *all)
{
	struct awo_err one;

	if (q->sandbox_type == sandbox_type_e2b || q->sandbox_type == sandbox_type_dagger) {
		(void)ERR(&one, UNIMPLEMENTED, "sandbox_type",
		    "%s is not in this version: use git_worktree or git_branch",
		    P_ENUM_NAME(sandbox_type, q->sandbox_type));
		also_wrong(all, &one);
	}
	if (check_request(q, &one) != 0)
		also_wrong(all, &one);
	if (check_issue(b, q->github_issue_number, u, &one) != 0)
		also_wrong(all, &one);
	if (q->base_branch != NULL && !is_branch_name(q->base_branch)) {
		(void)ERR(&one, INVALID_ARGUMENT, "base_branch",
		    "is no valid name of a branch (git check-ref-format)");
		also_wrong(all, &one);
	}
	if (q->model != NULL && (q->model[0] == '-' || !is_printable(q->model))) {
		(void)ERR(&one, INVALID_ARGUMENT, "model",
		    "may not begin with '-' or have spaces in it");
		also_wrong(all, &one);
	}
	if (check_agent(b->conf, q->agent != NULL ? q->agent : b->conf->default_agent, &one) != 0)
		also_wrong(all, &one);
}

/* The steps: what was asked for, else what the repository is registered with, else the defaults. */
static bool
is_builtin_step(const char *name)
{
	for (const char *const *s = order_builtin_steps; *s != NULL; s++)
		if (strcmp(*s, name) == 0)
			return true;
	return false;
}

static int
plan_steps(const struct broker *b, const struct p_order_create *q,
    const struct p_repository *registered, struct p_strv *steps, struct awo_err *err)
{
	const struct p_strv *selected = &q->selected_commands;
	struct p_strv trusted = {0};
	int r;

	if (selected->n == 0 && q->workflow_type == NULL && registered != NULL)
		selected = &registered->default_commands;
	/* every order passes here: only the files that it names are looked for, not all that there are */
	for (size_t i = 0; i < selected->n; i++)
		if (!is_builtin_step(selected->v[i]) && commands_have(b, selected->v[i]))
			p_strv_add(&trusted, selected->v[i]);
	if (selected->n == 0 && q->workflow_type != NULL && commands_have(b, q->workflow_type))
		p_strv_add(&trusted, q->workflow_type);
	r = order_plan(q->workflow_type, selected, &trusted, steps, err);
	p_strv_free(&trusted);
	return r;
}

static void
row_free(struct order_row *row)
{
	order_row_free(row);
	free(row);
}

/* NULL with *err set, which is clear before. */
static struct order_row *
build_row(const struct broker *b, const struct caller *who, const struct p_order_create *q, struct awo_err *err)
{
	const struct p_repository *registered = NULL;
	struct order_row *row;
	struct awo_err one;
	struct p_order *o;
	struct repo_url u;
	bool is_url = repo_url_parse(q->repository_url, &u, &one) == 0;

	if (!is_url || repository_allowed(b, &u, &one) != 0)
		also_wrong(err, &one);
	check_create(b, q, is_url ? &u : NULL, err);
	if (is_url)
		registered = store_repository_lend(b->store, (uint32_t)who->uid, u.canonical);
	row = xcalloc(1, sizeof(*row));
	o = &row->pub;
	if (plan_steps(b, q, registered, &o->selected_commands, &one) != 0 ||
	    order_check_gates(&q->gates, &o->selected_commands, &one) != 0)
		also_wrong(err, &one);
	if (err->code != AWO_OK) {
		row_free(row);
		return NULL;
	}
	P_MARK(order, o, selected_commands);
	for (size_t i = 0; i < q->gates.n; i++)
		p_strv_add(&o->gates, q->gates.v[i]);
	P_MARK(order, o, gates);
	P_SET(order, o, sandbox_type,
	    q->sandbox_type != sandbox_type_none ? q->sandbox_type
	    : registered != NULL		 ? registered->default_sandbox_type
						 : sandbox_type_git_worktree);
	P_SETS(order, o, repository_url, u.canonical);
	P_SETS(order, o, owner, who->user);
	P_SETS(order, o, workflow_type, q->workflow_type);
	P_SETS(order, o, user_request, q->user_request);
	P_SETS(order, o, github_issue_number, q->github_issue_number);
	P_SETS(order, o, agent, q->agent != NULL ? q->agent : b->conf->default_agent);
	P_SETS(order, o, model, q->model);
	P_SETS(order, o, base_branch, q->base_branch);
	P_SET(order, o, priority, q->priority);
	row->owner_uid = (uint32_t)who->uid;
	row->canonical_url = xstrdup(u.canonical);
	row->timeout_seconds = q->timeout_seconds;
	row->request_id = xstrdup(q->request_id);
	return row;
}

struct creating {
	struct broker *b;
	struct order_row *row;
	char *key, *delivery_id, *object;
	engine_done *done;
	void *arg;
};

static void
creating_free(struct creating *n)
{
	free(n->key);
	free(n->delivery_id);
	free(n->object);
	free(n);
}

static void
create_now(struct creating *n)
{
	struct store_delivery delivery = {.delivery_id = n->delivery_id, .object = n->object};

	engine_create_delivered(
	    n->b->engine, n->row, n->key, n->delivery_id != NULL ? &delivery : NULL, n->done, n->arg);
	creating_free(n);
}

static void
pending_counted(void *arg, const struct awo_err *err, struct p_order_list_answer *page)
{
	struct creating *n = arg;
	int64_t limit = n->b->conf->max_pending_per_user;
	struct awo_err full = {0};

	if (err != NULL && err->code != AWO_OK)
		full = *err;
	else if (page->total_count >= limit)
		(void)ERR(&full, RESOURCE_EXHAUSTED, "",
		    "you have %lld pending orders, which is the limit (max_pending_per_user); try "
		    "again when some have run",
		    (long long)page->total_count);
	if (full.code == AWO_OK) {
		create_now(n);
		return;
	}
	n->done(n->arg, &full, NULL);
	row_free(n->row);
	creating_free(n);
}

void
order_hand_in(struct broker *b, const struct caller *who, const struct p_order_create *request,
    const struct store_delivery *delivery, engine_done *done, void *arg)
{
	int64_t counts[order_status_cancelled + 1] = {0};
	struct p_order_list pending = {0};
	struct store_filter filter = {.request = &pending, .uid = (uint32_t)who->uid};
	struct awo_err err = {0}, none = {0};
	struct creating *n;
	struct order_row *row;
	char known[12];

	row = build_row(b, who, request, &err);
	if (row == NULL) {
		done(arg, &err, NULL);
		return;
	}
	n = xcalloc(1, sizeof(*n));
	*n = (struct creating){
	    .b = b, .row = row, .key = xstrdup(request->idempotency_key), .done = done, .arg = arg};
	if (delivery != NULL) {
		n->delivery_id = xstrdup(delivery->delivery_id);
		n->object = xstrdup(delivery->object);
	}
	store_counts(b->store, counts);
	/* counting one user's is worth it only when it can matter; a repeated request makes no new
	 * order */
	if (counts[order_status_pending] < b->conf->max_pending_per_user ||
	    (n->key != NULL &&
		store_order_by_key(b->store, filter.uid, n->key, known, &none) == 0)) {
		create_now(n);
		return;
	}
	P_SET(order_list, &pending, status, order_status_pending);
	P_SET(order_list, &pending, limit, 1);
	store_order_list(b->store, &filter, pending_counted, n);
}

static void
created(void *arg, const struct awo_err *err, const struct order_row *row)
{
	struct rpc_call *c = arg;

	if (row == NULL) {
		rpc_fail(c, err);
		return;
	}
	log_info("order_created", LS("agent_work_order_id", row->pub.agent_work_order_id),
	    LS("owner", row->pub.owner),
	    LS("request_id", row->request_id != NULL ? row->request_id : "-"));
	answer_order(c, row, NULL);
}

void
rpc_order_create(struct rpc_call *c, const struct p_order_create *request)
{
	order_hand_in(rpc_broker(c), rpc_caller(c), request, NULL, created, c);
}

/* ---- order.get */

static void
refreshed(void *arg, const struct awo_err *err, const struct order_row *row)
{
	char message[1024];

	if (row != NULL) {
		answer_order(arg, row, NULL);
		return;
	}
	snprintf(
	    message, sizeof(message), "the pull request's state could not be stored: %s", err->msg);
	answer_order(arg, rpc_order(arg), message);
}

static void
pull_request_told(void *arg, const struct awo_err *err, json_t *answer)
{
	struct rpc_call *c = arg;
	const struct order_row *row = rpc_order(c);
	const char *text = json_string_value(json_object_get(answer, "state"));
	int state = text != NULL ? p_enum_value(&p_enum_pull_request_state, text) : 0;
	char message[1024];

	if (err != NULL && err->code != AWO_OK) {
		snprintf(message, sizeof(message),
		    "%s could not be asked about the pull request: %s",
		    rpc_broker(c)->conf->github_host, err->msg);
		answer_order(c, row, message);
	} else if (state == 0) {
		answer_order(c, row, "the answer about the pull request had no state in it");
	} else if (state == (int)row->pub.github_pull_request_state) {
		answer_order(c, row, NULL);
	} else {
		engine_pull_request_seen(rpc_broker(c)->engine, row->pub.agent_work_order_id,
		    (enum p_pull_request_state)state, refreshed, c);
	}
}

void
rpc_order_get(struct rpc_call *c, const struct p_order_get *request)
{
	struct broker *b = rpc_broker(c);
	const struct order_row *row = rpc_order(c);
	struct engine_task task = {.program = SUP_FORGE,
	    .verb = "pull-request-state",
	    .flags = SUP_NET,
	    .owner_uid = row->owner_uid,
	    .asked = true,
	    .asked_by = (uint32_t)rpc_caller(c)->uid,
	    .timeout_ms = REFRESH_MS};
	struct repo_url u;
	json_t *q;

	if (!request->refresh || row->pub.github_pull_request_number == NULL ||
	    repo_url_parse(row->pub.repository_url, &u, NULL) != 0 ||
	    !repository_is_github(b->conf, &u)) {
		answer_order(c, row, NULL);
		return;
	}
	rpc_keep_order(c);
	row = rpc_order(c);
	q = forge_request(b, row->owner_uid, &u);
	json_object_set_new(
	    q, "number", json_integer(strtoll(row->pub.github_pull_request_number, NULL, 10)));
	task.request = q;
	engine_task(b->engine, &task, pull_request_told, c);
}

/* ---- order.list */

struct listing {
	struct rpc_call *c;
	struct p_order_list request;
	char *canonical;
	bool any;
	bool cut; /* asked again for a page that fits into a message */
};

static void listed(void *arg, const struct awo_err *err, struct p_order_list_answer *page);

static void
list_now(struct listing *l)
{
	struct store_filter filter = {.request = &l->request,
	    .uid = (uint32_t)rpc_caller(l->c)->uid,
	    .any = l->any,
	    .canonical_url = l->canonical};

	store_order_list(rpc_broker(l->c)->store, &filter, listed, l);
}

static void
listing_free(struct listing *l)
{
	P_FREE(order_list, &l->request);
	free(l->canonical);
	free(l);
}

/* How many orders of the page fit into one message. */
static size_t
fitting(const struct p_order_list_answer *page)
{
	struct buf b CLEAN_BUF = {0};
	size_t i;

	for (i = 0; i < page->agent_work_orders.n; i++) {
		p_encode_value(&b, &p_type_order, &page->agent_work_orders.v[i]);
		if (b.len > ANSWER_ROOM)
			break;
	}
	return i;
}

static void
listed(void *arg, const struct awo_err *err, struct p_order_list_answer *page)
{
	struct listing *l = arg;
	size_t fit;

	if (err != NULL && err->code != AWO_OK) {
		rpc_fail(l->c, err);
		listing_free(l);
		return;
	}
	fit = fitting(page);
	if (fit < page->agent_work_orders.n && fit > 0 && !l->cut) {
		/* the store makes the cursor, so it must know where the page ends */
		l->cut = true;
		P_SET(order_list, &l->request, limit, (int64_t)fit);
		list_now(l);
		return;
	}
	engine_fill_positions(rpc_broker(l->c)->engine, page);
	rpc_answer(l->c, page);
	listing_free(l);
}

void
rpc_order_list(struct rpc_call *c, const struct p_order_list *request)
{
	const struct caller *who = rpc_caller(c);
	struct awo_err err = {0};
	struct listing *l;
	struct repo_url u;

	if (request->repository_url != NULL &&
	    repo_url_parse(request->repository_url, &u, &err) != 0) {
		rpc_fail(c, &err);
		return;
	}
	l = xcalloc(1, sizeof(*l));
	l->c = c;
	p_copy(&p_type_order_list, &l->request, request);
	if (!P_HAS(order_list, &l->request, limit))
		P_SET(order_list, &l->request, limit, 50);
	if (request->repository_url != NULL)
		l->canonical = xstrdup(u.canonical);
	/* in user mode there is one user; root looking in wants to see that user's orders */
	l->any =
	    who->admin && (request->all || request->owner != NULL || rpc_broker(c)->opt->user_mode);
	list_now(l);
}

/* ---- changes */

static void
cancelled(void *arg, const struct awo_err *err, const struct order_row *row)
{
	if (row == NULL)
		rpc_fail(arg, err);
	else
		answer_order(arg, row,
		    row->ended_by_force
			? "ended by force: the agent did not end by itself and was killed"
			: "ended cleanly");
}

void
rpc_order_cancel(struct rpc_call *c, const struct p_order_cancel *request)
{
	engine_cancel(rpc_broker(c)->engine, rpc_order(c)->pub.agent_work_order_id,
	    rpc_caller(c)->user, request->reason, cancelled, c);
}

void
rpc_order_pause(struct rpc_call *c, const struct p_order_ref *request)
{
	(void)request;
	engine_pause(rpc_broker(c)->engine, rpc_order(c)->pub.agent_work_order_id,
	    rpc_caller(c)->user, changed, c);
}

void
rpc_order_resume(struct rpc_call *c, const struct p_order_ref *request)
{
	(void)request;
	engine_resume(rpc_broker(c)->engine, rpc_order(c)->pub.agent_work_order_id,
	    rpc_caller(c)->user, changed, c);
}

void
rpc_order_retry(struct rpc_call *c, const struct p_order_ref *request)
{
	(void)request;
	engine_retry(rpc_broker(c)->engine, rpc_order(c)->pub.agent_work_order_id,
	    rpc_caller(c)->user, changed, c);
}

void
rpc_order_start(struct rpc_call *c, const struct p_order_ref *request)
{
	(void)request;
	engine_start(rpc_broker(c)->engine, rpc_order(c)->pub.agent_work_order_id, changed, c);
}

static void
prompted(void *arg, const struct awo_err *err, int64_t prompt_id, const char *message)
{
	struct rpc_call *c = arg;
	struct p_order_prompt_answer answer = {0};

	if (err != NULL && err->code != AWO_OK) {
		rpc_fail(c, err);
		return;
	}
	P_SETS(order_prompt_answer, &answer, agent_work_order_id,
	    rpc_order(c)->pub.agent_work_order_id);
	P_SET(order_prompt_answer, &answer, prompt_accepted, true);
	P_SETS(order_prompt_answer, &answer, message, message);
	P_SET(order_prompt_answer, &answer, prompt_id, prompt_id);
	rpc_answer(c, &answer);
	P_FREE(order_prompt_answer, &answer);
}

void
rpc_order_prompt(struct rpc_call *c, const struct p_order_prompt *request)
{
	struct awo_err err = {0};

	if (is_blank(request->prompt_text)) {
		(void)ERR(
		    &err, INVALID_ARGUMENT, "prompt_text", "is empty: say what is to be done");
		rpc_fail(c, &err);
		return;
	}
	engine_prompt(rpc_broker(c)->engine, rpc_order(c)->pub.agent_work_order_id, rpc_caller(c),
	    request->prompt_text, prompted, c);
}

static void
deleted(void *arg, const struct awo_err *err, const struct order_row *row)
{
	struct rpc_call *c = arg;
	struct p_order_delete_answer answer = {0};

	(void)row;
	if (err != NULL && err->code != AWO_OK) {
		rpc_fail(c, err);
		return;
	}
	P_SETS(order_delete_answer, &answer, agent_work_order_id,
	    rpc_order(c)->pub.agent_work_order_id);
	P_SET(order_delete_answer, &answer, deleted, true);
	rpc_answer(c, &answer);
	P_FREE(order_delete_answer, &answer);
}

void
rpc_order_delete(struct rpc_call *c, const struct p_order_ref *request)
{
	(void)request;
	engine_delete(rpc_broker(c)->engine, rpc_order(c)->pub.agent_work_order_id, deleted, c);
}

void
rpc_order_approve(struct rpc_call *c, const struct p_order_approve *request)
{
	struct awo_err err = {0};

	if (request->prompt_text != NULL && is_blank(request->prompt_text)) {
		(void)ERR(&err, INVALID_ARGUMENT, "prompt_text",
		    "is empty: say what is to be done, or leave it out");
		rpc_fail(c, &err);
		return;
	}
	engine_approve(rpc_broker(c)->engine, rpc_order(c)->pub.agent_work_order_id, rpc_caller(c),
	    request->comment, request->prompt_text, changed, c);
}

void
rpc_order_reject(struct rpc_call *c, const struct p_order_reject *request)
{
	const struct p_order *o = &rpc_order(c)->pub;
	bool said = request->comment != NULL && request->comment[0] != '\0';
	char *reason CLEAN_FREE = xasprintf("rejected behind %s%s%s",
	    o->gate != NULL ? o->gate : "a step", said ? ": " : "", said ? request->comment : "");

	engine_cancel(rpc_broker(c)->engine, o->agent_work_order_id, rpc_caller(c)->user, reason,
	    cancelled, c);
}

/* ---- order.steps */

static void
cut_text(uint64_t *has, unsigned bit, char **field)
{
	struct buf b CLEAN_BUF = {0};

	if (*field == NULL || strlen(*field) <= CUT_TEXT)
		return;
	text_add_utf8(&b, *field, strlen(*field), CUT_TEXT);
	buf_adds(&b, " [cut; see the step's artifacts]");
	p_set_str(has, bit, field, b.p);
}

void
rpc_order_steps(struct rpc_call *c, const struct p_order_ref *request)
{
	struct p_step_list_answer answer = {0};
	struct buf size CLEAN_BUF = {0};
	struct awo_err err = {0};

	(void)request;
	if (store_steps(
		rpc_broker(c)->store, rpc_order(c)->pub.agent_work_order_id, &answer, &err) != 0) {
		rpc_fail(c, &err);
		return;
	}
	P_SETS(
	    step_list_answer, &answer, agent_work_order_id, rpc_order(c)->pub.agent_work_order_id);
	P_MARK(step_list_answer, &answer, steps);
	p_encode_value(&size, &p_type_step_list_answer, &answer);
	/* many attempts with long outputs are more than one message may hold */
	if (size.len > ANSWER_ROOM)
		for (size_t i = 0; i < answer.steps.n; i++) {
			struct p_step *s = &answer.steps.v[i];

			cut_text(&s->has, p_step_f_output, &s->output);
			cut_text(&s->has, p_step_f_error_message, &s->error_message);
		}
	rpc_answer(c, &answer);
	P_FREE(step_list_answer, &answer);
}
