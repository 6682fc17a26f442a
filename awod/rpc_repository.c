/* Methods of repositories: registering them, and checking that they can be reached. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "awod/credentials.h"
#include "awod/rpc_git.h"
#include "awod/server_priv.h"
#include "common/clean.h"
#include "common/clock.h"
#include "common/ids.h"

#define VERIFY_MS 4500 /* people wait for the answer */
#define FORGE_MIN_MS 500

/* ---- policy, and what other methods need too */

/* Whether path is dir or below it. */
static bool
is_below(const char *path, const char *dir, size_t len)
{
	while (len > 1 && dir[len - 1] == '/')
		len--;
	if (len == 1 && dir[0] == '/')
		return true;
	return len > 0 && strncmp(path, dir, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

static bool
is_listed(const char *path, const char *dirs)
{
	for (const char *dir = dirs; dir != NULL;) {
		size_t n = strcspn(dir, ":");

		if (dir[0] == '/' && is_below(path, dir, n))
			return true;
		dir = dir[n] == ':' ? dir + n + 1 : NULL;
	}
	return false;
}

int
repository_allowed(const struct broker *b, const struct repo_url *u, struct awo_err *err)
{
	const char *allow = b->conf->allow_local;
	char real[PATH_MAX];

	if (u->scheme != REPO_FILE)
		return 0;
	if (allow == NULL || *allow == '\0')
		allow = b->opt->user_mode ? "all" : "none";
	if (strcmp(allow, "all") == 0)
		return 0;
	/* a link must not lead out of what is listed */
	if (strcmp(allow, "none") != 0 && is_listed(u->path, allow) &&
	    (realpath(u->path, real) == NULL || is_listed(real, allow)))
		return 0;
	return ERR(err, PERMISSION_DENIED, "repository_url",
	    "local repositories are not permitted here: an administrator can list directories in "
	    "repositories.allow_local "
	    "(now: %.200s)",
	    allow);
}

bool
repository_is_github(const struct config *conf, const struct repo_url *u)
{
	return u->scheme != REPO_FILE && u->owner[0] != '\0' &&
	       (strcmp(u->host_port, conf->github_host) == 0 ||
		   strcmp(u->host, conf->github_host) == 0);
}

json_t *
forge_request(const struct broker *b, uint32_t uid, const struct repo_url *u)
{
	char *token = engine_forge_token(b->engine, uid, b->conf->github_host);
	json_t *q = json_pack("{s:s, s:s?, s:s, s:s}", "api_url", b->conf->github_api_url, "token",
	    token, "owner", u->owner, "repo", u->name);

	AWO_ASSERT(q != NULL);
	secret_free(token);
	return q;
}

/* ---- asking a remote whether it can be read */

struct verdict {
	bool ok;
	const char *default_branch; /* or NULL */
	const char *message;	    /* why not; or, when it is ok, what will not work; or NULL */
};
/* v: NULL when nobody was asked, for the reason in err; then nothing is known that was not known before. */
typedef void verified(void *arg, const struct awo_err *err, const struct verdict *v);

struct verify {
	struct broker *b;
	uint32_t uid;
	struct repo_url u;
	int64_t began;
	char branch[256];
	verified *done;
	void *arg;
};

static void
verify_end(struct verify *v, bool ok, const char *message)
{
	struct verdict verdict = {.ok = ok,
	    .default_branch = v->branch[0] != '\0' ? v->branch : NULL,
	    .message = message};

	v->done(v->arg, NULL, &verdict);
	free(v);
}

static void
forge_told(void *arg, const struct awo_err *err, json_t *answer)
{
	struct verify *v = arg;
	json_t *permissions = json_object_get(answer, "permissions"),
	       *push = json_object_get(permissions, "push");
	char message[1024];

	/* git can read it, so it is accessible; what the API says matters for the end of an order
	 */
	if (!engine_task_answered(err, answer)) {
		snprintf(message, sizeof(message),
		    "git can read it, but the GitHub API could not be asked: %s", err->msg);
		verify_end(v, true, message);
	} else if (err != NULL && err->code != AWO_OK) {
		snprintf(message, sizeof(message), "git can read it, but the GitHub API says: %s",
		    err->msg);
		verify_end(v, true, message);
	} else if (push != NULL && !json_is_true(push)) {
		verify_end(v, true, "git can read it, but the GitHub token may not push to it");
	} else {
		verify_end(v, true, NULL);
	}
}

static void
git_told(void *arg, const struct awo_err *err, json_t *answer)
{
	struct verify *v = arg;
	const char *branch = json_string_value(json_object_get(answer, "default_branch"));
	struct engine_task task = {
	    .program = SUP_FORGE, .verb = "repository", .flags = SUP_NET, .owner_uid = v->uid, .asked = true, .asked_by = v->uid};
	int64_t left = VERIFY_MS - (clock_mono_us() - v->began) / 1000;
	json_t *q;

	if (!engine_task_answered(err, answer)) {
		v->done(v->arg, err, NULL);
		free(v);
		return;
	}
	if (err != NULL && err->code != AWO_OK) {
		char message[1024];

		if (err->code == AWO_DEADLINE_EXCEEDED)
			snprintf(message, sizeof(message),
			    "%.900s did not answer within %.1f seconds",
			    v->u.scheme == REPO_FILE ? v->u.path : v->u.host_port,
			    VERIFY_MS / 1000.0);
		else
			snprintf(message, sizeof(message), "%s", err->msg);
		verify_end(v, false, message);
		return;
	}
	if (branch != NULL && strlen(branch) < sizeof(v->branch))
		snprintf(v->branch, sizeof(v->branch), "%s", branch);
	if (!repository_is_github(v->b->conf, &v->u) || left < FORGE_MIN_MS) {
		verify_end(v, true, NULL);
		return;
	}
	q = forge_request(v->b, v->uid, &v->u);
	if (!json_is_string(json_object_get(q, "token"))) {
		json_decref(q);
		verify_end(v, true,
		    "git can read it; to push and to open pull requests store a GitHub token");
		return;
	}
	task.request = q;
	task.timeout_ms = (int)left;
	engine_task(v->b->engine, &task, forge_told, v);
}

static void
verify_start(struct broker *b, uint32_t uid, const struct repo_url *u, verified *done, void *arg)
{
	struct verify *v = xcalloc(1, sizeof(*v));
	struct engine_task task = {
	    .program = SUP_GIT, .verb = "verify", .owner_uid = uid, .asked = true, .asked_by = uid,
	    .timeout_ms = VERIFY_MS};

	*v = (struct verify){
	    .b = b, .uid = uid, .u = *u, .began = clock_mono_us(), .done = done, .arg = arg};
	task.flags = u->scheme == REPO_FILE ? SUP_LOCAL_RO : SUP_NET;
	task.request = engine_remote_request(b->engine, uid, u->canonical);
	json_object_set_new(task.request, "timeout_seconds", json_integer(VERIFY_MS / 1000));
	engine_task(b->engine, &task, git_told, v);
}

/* ---- records */

static void
describe(struct p_repository *r, const struct repo_url *u)
{
	char name[1040];

	snprintf(name, sizeof(name), "%s%s%s", u->owner, u->owner[0] != '\0' ? "/" : "", u->name);
	P_SETS(repository, r, repository_url, u->canonical);
	if (strlen(name) <= 512)
		P_SETS(repository, r, display_name, name);
	if (u->owner[0] != '\0' && strlen(u->owner) <= 256)
		P_SETS(repository, r, owner, u->owner);
}

static void
take_verdict(struct p_repository *r, const struct verdict *v)
{
	P_SET(repository, r, is_verified, v->ok);
	P_SET(repository, r, last_verified_at, clock_wall_us());
	if (v->default_branch != NULL)
		P_SETS(repository, r, default_branch, v->default_branch);
}

/* The steps that a registration names must exist. */
static int
check_commands(const struct broker *b, const struct p_strv *selected, struct awo_err *err)
{
	struct p_command_list_answer commands;
	struct p_strv trusted = {0}, steps = {0};
	int r;

	if (selected->n == 0)
		return 0;
	commands_find(b, false, &commands);
	for (size_t i = 0; i < commands.commands.n; i++)
		p_strv_add(&trusted, commands.commands.v[i].name);
	P_FREE(command_list_answer, &commands);
	r = order_plan(NULL, selected, &trusted, &steps, err);
	p_strv_free(&trusted);
	p_strv_free(&steps);
	if (r != 0)
		snprintf(err->field, sizeof(err->field), "default_commands");
	return r;
}

static int
check_sandbox(enum p_sandbox_type type, struct awo_err *err)
{
	if (type == sandbox_type_e2b || type == sandbox_type_dagger)
		return ERR(err, UNIMPLEMENTED, "default_sandbox_type",
		    "%s is not in this version: use git_worktree or git_branch",
		    P_ENUM_NAME(sandbox_type, type));
	return 0;
}

static void
copy_strv(struct p_strv *to, const struct p_strv *from)
{
	p_strv_free(to);
	for (size_t i = 0; i < from->n; i++)
		p_strv_add(to, from->v[i]);
}

/* A repository that is being written, and whom to answer. */
struct putting {
	struct rpc_call *c;
	struct p_repository r;
};

static void
put_done(void *arg, const struct awo_err *err, const struct store_commit *commit)
{
	struct putting *p = arg;

	(void)commit;
	if (err != NULL && err->code != AWO_OK)
		rpc_fail(p->c, err);
	else
		rpc_answer(p->c, &p->r);
	P_FREE(repository, &p->r);
	free(p);
}

static void
put(struct putting *p)
{
	struct store_tx *tx = store_tx(rpc_broker(p->c)->store);

	store_tx_repository_put(tx, (uint32_t)rpc_caller(p->c)->uid, &p->r);
	store_tx_commit(tx, put_done, p);
}

/* ---- repository.add */

/* v: NULL also when no verification was asked for; failed: why one did not take place. */
static void
added_verified(void *arg, const struct awo_err *failed, const struct verdict *v)
{
	struct putting *p = arg;
	struct p_repository other = {0};
	struct awo_err err = {0};

	if (failed != NULL) {
		rpc_fail(p->c, failed);
		P_FREE(repository, &p->r);
		free(p);
		return;
	}
	/* somebody may have registered it while the remote was asked */
	if (store_repository_get(rpc_broker(p->c)->store, (uint32_t)rpc_caller(p->c)->uid,
		p->r.repository_url, &other, &err) == 0) {
		(void)ERR(&err, ALREADY_EXISTS, "repository_url", "%s is registered already, as %s",
		    other.repository_url, other.id);
		P_FREE(repository, &other);
		rpc_fail(p->c, &err);
		P_FREE(repository, &p->r);
		free(p);
		return;
	}
	if (v != NULL)
		take_verdict(&p->r, v);
	put(p);
}

void
rpc_repository_add(struct rpc_call *c, const struct p_repository_add *request)
{
	struct broker *b = rpc_broker(c);
	uint32_t uid = (uint32_t)rpc_caller(c)->uid;
	struct p_repository other = {0};
	struct awo_err err = {0}, none = {0};
	struct putting *p;
	struct repo_url u;
	char id[37];

	if (repo_url_parse(request->repository_url, &u, &err) != 0 ||
	    repository_allowed(b, &u, &err) != 0 ||
	    check_sandbox(request->default_sandbox_type, &err) != 0 ||
	    check_commands(b, &request->default_commands, &err) != 0) {
		rpc_fail(c, &err);
		return;
	}
	if (store_repository_get(b->store, uid, u.canonical, &other, &none) == 0) {
		(void)ERR(&err, ALREADY_EXISTS, "repository_url", "%s is registered already, as %s",
		    u.canonical, other.id);
		P_FREE(repository, &other);
		rpc_fail(c, &err);
		return;
	}
	p = xcalloc(1, sizeof(*p));
	p->c = c;
	ids_uuid(id);
	P_SETS(repository, &p->r, id, id);
	describe(&p->r, &u);
	P_SET(repository, &p->r, is_verified, false);
	P_SET(repository, &p->r, default_sandbox_type,
	    request->default_sandbox_type != sandbox_type_none ? request->default_sandbox_type
							       : sandbox_type_git_worktree);
	if (request->default_commands.n > 0) {
		copy_strv(&p->r.default_commands, &request->default_commands);
	} else {
		struct p_strv none_selected = {0};

		(void)order_plan(
		    NULL, &none_selected, &none_selected, &p->r.default_commands, &none);
	}
	P_MARK(repository, &p->r, default_commands);
	P_SET(repository, &p->r, created_at, clock_wall_us());
	P_SET(repository, &p->r, updated_at, p->r.created_at);
	if (P_HAS(repository_add, request, verify) && !request->verify)
		added_verified(p, NULL, NULL);
	else
		verify_start(b, uid, &u, added_verified, p);
}

/* ---- get, list, update, delete */

static int
find(const struct rpc_call *c, const char *id_or_url, struct p_repository *out, struct awo_err *err)
{
	const struct broker *b = rpc_broker(c);
	uint32_t uid = (uint32_t)rpc_caller(c)->uid;
	struct awo_err why = {0}, none = {0};
	struct repo_url u;

	*out = (struct p_repository){0};
	if (store_repository_get(b->store, uid, id_or_url, out, &why) == 0)
		return 0;
	if (why.code == AWO_NOT_FOUND && repo_url_parse(id_or_url, &u, &none) == 0 &&
	    store_repository_get(b->store, uid, u.canonical, out, &why) == 0)
		return 0;
	if (why.code != AWO_NOT_FOUND) {
		*err = why;
		return -1;
	}
	return ERR(err, NOT_FOUND, "id",
	    "you have no registered repository %.200s; repository.list shows them", id_or_url);
}

void
rpc_repository_get(struct rpc_call *c, const struct p_repository_ref *request)
{
	struct p_repository r;
	struct awo_err err = {0};

	if (find(c, request->id, &r, &err) != 0) {
		rpc_fail(c, &err);
		return;
	}
	rpc_answer(c, &r);
	P_FREE(repository, &r);
}

void
rpc_repository_list(struct rpc_call *c, const struct p_empty *request)
{
	struct p_repository_list_answer answer = {0};
	struct awo_err err = {0};

	(void)request;
	if (store_repository_list(
		rpc_broker(c)->store, (uint32_t)rpc_caller(c)->uid, &answer, &err) != 0) {
		rpc_fail(c, &err);
		return;
	}
	P_MARK(repository_list_answer, &answer, repositories);
	P_SET(repository_list_answer, &answer, total_count, (int64_t)answer.repositories.n);
	rpc_answer(c, &answer);
	P_FREE(repository_list_answer, &answer);
}

void
rpc_repository_update(struct rpc_call *c, const struct p_repository_update *request)
{
	struct awo_err err = {0};
	struct p_repository r;
	struct putting *p;

	if (check_sandbox(request->default_sandbox_type, &err) != 0 ||
	    check_commands(rpc_broker(c), &request->default_commands, &err) != 0 ||
	    find(c, request->id, &r, &err) != 0) {
		rpc_fail(c, &err);
		return;
	}
	p = xcalloc(1, sizeof(*p));
	p->c = c;
	p->r = r;
	if (request->default_sandbox_type != sandbox_type_none)
		P_SET(repository, &p->r, default_sandbox_type, request->default_sandbox_type);
	if (request->default_commands.n > 0)
		copy_strv(&p->r.default_commands, &request->default_commands);
	P_SET(repository, &p->r, updated_at, clock_wall_us());
	put(p);
}

static void
deleted(void *arg, const struct awo_err *err, const struct store_commit *commit)
{
	struct p_deleted_answer answer = {0};

	(void)commit;
	if (err != NULL && err->code != AWO_OK) {
		rpc_fail(arg, err);
		return;
	}
	P_SET(deleted_answer, &answer, deleted, true);
	rpc_answer(arg, &answer);
}

void
rpc_repository_delete(struct rpc_call *c, const struct p_repository_ref *request)
{
	struct awo_err err = {0};
	struct p_repository r;
	struct store_tx *tx;

	if (find(c, request->id, &r, &err) != 0) {
		rpc_fail(c, &err);
		return;
	}
	tx = store_tx(rpc_broker(c)->store);
	store_tx_repository_delete(tx, (uint32_t)rpc_caller(c)->uid, r.id);
	P_FREE(repository, &r);
	store_tx_commit(tx, deleted, c);
}

/* ---- repository.verify */

struct asking {
	struct rpc_call *c;
	struct repo_url u;
	bool registered;
	struct p_repository r;
	struct p_repository_verify_answer answer;
};

static void
verify_answer(struct asking *a)
{
	rpc_answer(a->c, &a->answer);
	P_FREE(repository_verify_answer, &a->answer);
	free(a);
}

static void
verdict_stored(void *arg, const struct awo_err *err, const struct store_commit *commit)
{
	struct asking *a = arg;

	(void)commit;
	if (err == NULL || err->code == AWO_OK) {
		verify_answer(a);
		return;
	}
	rpc_fail(a->c, err);
	P_FREE(repository_verify_answer, &a->answer);
	free(a);
}

static void
verify_told(void *arg, const struct awo_err *err, const struct verdict *v)
{
	struct asking *a = arg;
	struct p_repository_verify_answer *out = &a->answer;
	struct store_tx *tx;

	if (v == NULL) {
		rpc_fail(a->c, err);
		if (a->registered)
			P_FREE(repository, &a->r);
		free(a);
		return;
	}
	P_SET(repository_verify_answer, out, is_accessible, v->ok);
	P_SET(repository_verify_answer, out, verification_success, v->ok);
	P_SETS(repository_verify_answer, out, repository_name, a->u.name);
	if (a->u.owner[0] != '\0')
		P_SETS(repository_verify_answer, out, repository_owner, a->u.owner);
	P_SETS(repository_verify_answer, out, repository_url, a->u.canonical);
	P_SETS(repository_verify_answer, out, default_branch, v->default_branch);
	P_SETS(repository_verify_answer, out, error_message, v->message);
	P_SET(repository_verify_answer, out, access_verified_at, clock_wall_us());
	if (!a->registered) {
		verify_answer(a);
		return;
	}
	take_verdict(&a->r, v);
	P_SET(repository, &a->r, updated_at, clock_wall_us());
	tx = store_tx(rpc_broker(a->c)->store);
	store_tx_repository_put(tx, (uint32_t)rpc_caller(a->c)->uid, &a->r);
	P_FREE(repository, &a->r);
	store_tx_commit(tx, verdict_stored, a);
}

void
rpc_repository_verify(struct rpc_call *c, const struct p_repository_verify *request)
{
	struct broker *b = rpc_broker(c);
	struct asking *a = xcalloc(1, sizeof(*a));
	struct awo_err err = {0};

	a->c = c;
	if ((request->id == NULL) == (request->repository_url == NULL)) {
		(void)ERR(
		    &err, INVALID_ARGUMENT, "repository_url", "give either repository_url or id");
	} else if (request->id != NULL) {
		a->registered = find(c, request->id, &a->r, &err) == 0;
		if (a->registered)
			(void)repo_url_parse(a->r.repository_url, &a->u, &err);
	} else {
		(void)repo_url_parse(request->repository_url, &a->u, &err);
	}
	if (err.code == AWO_OK)
		(void)repository_allowed(b, &a->u, &err);
	if (err.code != AWO_OK) {
		rpc_fail(c, &err);
		if (a->registered)
			P_FREE(repository, &a->r);
		free(a);
		return;
	}
	verify_start(b, (uint32_t)rpc_caller(c)->uid, &a->u, verify_told, a);
}
