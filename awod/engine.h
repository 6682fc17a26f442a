/* What runs: the live orders, their workers and logs, the tasks, and every change of an order's state. */
#ifndef AWOD_ENGINE_H
#define AWOD_ENGINE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "awod/broker.h"
#include "awod/order.h"
#include "awod/server.h"
#include "awod/spawn.h"
#include "common/err.h"
#include "proto/schema.h"

/* Loads every order that is not terminal, meets the workers that live, starts the scheduler. fd: the supervisor. */
struct engine *engine_open(struct broker *b, int fd, struct awo_err *err);
/* Nothing is begun any more; what is being committed goes on. Then the store is flushed, then engine_close(). */
void engine_stop(struct engine *e);
void engine_close(struct engine *e);
void engine_reloaded(struct engine *e);		/* the configuration changed */

/*
 * The order as it is now (live, or from the store), queue_position filled. Lent until the loop has its turn, or engine or
 * store are called again. NULL with *err set: NOT_FOUND.
 */
const struct order_row *engine_order(struct engine *e, const char *id, struct awo_err *err);
/* Whether the order's end is being committed: what engine_order() says of it is not durable, its last line not in the log. */
bool engine_is_settling(struct engine *e, const char *id);
/* Fills queue_position of a page of orders. */
void engine_fill_positions(struct engine *e, struct p_order_list_answer *page);

/* Changes. Called back in the loop when the change is durable (and, for cancel and pause, has been asked of the worker);
 * row is the order afterwards, valid during the call, NULL on error. */
typedef void engine_done(void *arg, const struct awo_err *err, const struct order_row *row);
/* row: public fields of the request filled in, owner_uid, canonical_url; the engine gives id, times and status.
 * An idempotency key that was used gives the first order. */
void engine_create(struct engine *e, struct order_row *row, const char *idempotency_key, engine_done *done, void *arg);
/* The same, and keeps in the same transaction what a webhook brought: ALREADY_EXISTS, field delivery_id, when it was here before. */
struct store_delivery;
void engine_create_delivered(struct engine *e, struct order_row *row, const char *idempotency_key,
    const struct store_delivery *delivery, engine_done *done, void *arg);
void engine_cancel(struct engine *e, const char *id, const char *by, const char *reason, engine_done *done, void *arg);
void engine_pause(struct engine *e, const char *id, const char *by, engine_done *done, void *arg);
/* Lets an order pass the gate that it waits at; it goes on as soon as it has a slot. comment: NULL, or recorded. prompt:
 * NULL, or what its agent is told before the next step. */
void engine_approve(struct engine *e, const char *id, const struct caller *by, const char *comment, const char *prompt,
    engine_done *done, void *arg);
void engine_resume(struct engine *e, const char *id, const char *by, engine_done *done, void *arg);
void engine_retry(struct engine *e, const char *id, const char *by, engine_done *done, void *arg);
void engine_start(struct engine *e, const char *id, engine_done *done, void *arg);
typedef void engine_prompt_done(void *arg, const struct awo_err *err, int64_t prompt_id, const char *message);
void engine_prompt(struct engine *e, const char *id, const struct caller *by, const char *text, engine_prompt_done *done, void *arg);
void engine_prompt_delivered(struct engine *e, const char *id, const struct caller *by, const char *text,
    const struct store_delivery *delivery, engine_prompt_done *done, void *arg);
void engine_delete(struct engine *e, const char *id, engine_done *done, void *arg);	/* row NULL on success too */
/* The pull request's state was seen. */
void engine_pull_request_seen(struct engine *e, const char *id, enum p_pull_request_state state, engine_done *done, void *arg);

void engine_queue(struct engine *e, const struct caller *c, struct p_queue_answer *out);
void engine_metrics(struct engine *e, json_t *into);

/* Runs awo-git, awo-forge or an agent's --version outside of any order's worker, confined, with a deadline. request is taken. */
struct engine_task {
	enum sup_program program;
	const char *verb;
	uint32_t flags;			/* SUP_CACHE_RW ... */
	uint32_t owner_uid;		/* whose cache */
	const char *id;			/* order, with SUP_CLEAN_RO; else NULL */
	const char *cache;		/* 64 digits, with SUP_CACHE_*; else NULL */
	json_t *request;
	int timeout_ms;
	bool early;			/* success is told before the process has ended, which may hold its cache for a moment */
	bool asked;			/* somebody asked for it: of these one may have few at once (RESOURCE_EXHAUSTED) */
	uint32_t asked_by;		/* with asked: who, which for what an administrator asks need not be the owner */
};
/* The name of a repository's cache: 64 digits of its canonical URL. */
void engine_cache_name(const char *canonical, char out[65]);
/* answer: the {"ok":true,...} object, valid during the call; on {"ok":false} err has its message and answer its error object. */
typedef void engine_task_done(void *arg, const struct awo_err *err, json_t *answer);
/*
 * Whether what a task's caller was told says something of what was asked about: its program ran, and has answered or was not done
 * in time. False when there was no room for it, when it could not be started or was killed, and when it failed on its own: whoever
 * keeps what tasks find out keeps nothing of such a run.
 */
static inline bool
engine_task_answered(const struct awo_err *err, const json_t *answer)
{
	return err == NULL || err->code == AWO_OK || err->code == AWO_DEADLINE_EXCEEDED || (answer != NULL && err->code != AWO_INTERNAL);
}
/* done may be called before this returns, when the task cannot be started. */
void engine_task(struct engine *e, const struct engine_task *t, engine_task_done *done, void *arg);

/* Credentials of an owner for a remote, as job specifications have them: new reference, or NULL when there is none. */
json_t *engine_git_credential(struct engine *e, uint32_t uid, const char *repository_url);
/* The forge token for a host, or NULL; wipe with secret_free(). */
char *engine_forge_token(struct engine *e, uint32_t uid, const char *host_port);
/* Common part of a request that talks to a remote: url credential known_hosts timeout_seconds local_path. */
json_t *engine_remote_request(struct engine *e, uint32_t uid, const char *repository_url);

/* The file of an order's log, opened for reading; made when missing (after which what the store has is in it). -1 with errno. */
int engine_log_open(struct engine *e, const struct order_row *row);

/* Retention and reconciliation, as RPC answers; err when it could not run at all. */
typedef void engine_cleanup_done(void *arg, const struct awo_err *err, struct p_cleanup_answer *answer);
void engine_cleanup(struct engine *e, bool dry_run, engine_cleanup_done *done, void *arg);
void engine_reconcile(struct engine *e, bool dry_run, engine_cleanup_done *done, void *arg);

#endif
