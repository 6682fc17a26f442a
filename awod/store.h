/* What awod remembers: orders, steps, prompts, events, repositories, settings, credentials, tokens. Knows no rules. */
#ifndef AWOD_STORE_H
#define AWOD_STORE_H

#include <event2/event.h>
#include <stdint.h>

#include "awod/order.h"
#include "common/err.h"
#include "proto/schema.h"

struct store;
struct store_tx;

struct store_options {
	const char *path;		/* awo.db; NULL: in memory (one shared cache) */
	const char *backup_dir;		/* where a copy goes before a migration; NULL: none */
	void (*changed)(void *arg);	/* NULL, or called in the loop before anybody is told of a transaction */
	void *arg;
};

/* Opens, migrates, starts the store thread; answers are delivered in the loop of base. NULL with *err set. */
struct store *store_open(struct event_base *base, const struct store_options *o, struct awo_err *err);
/* Waits until what is queued is durable and its callbacks have been called: before what they use is freed. */
void store_flush(struct store *s);
/* Finishes what is queued (as store_flush), checkpoints, closes. */
void store_close(struct store *s);

/* ---- changes: collected in a transaction, which is queued and shares its commit with others */
struct store_commit {
	const int64_t *event_ids;	/* of the events of this transaction, in the order in which they were added */
	size_t nevents;
	int64_t rowid;			/* of the order, repository, ... that was inserted first */
	struct order_row *row;		/* what store_tx_order_take() had: the callback's again, whether it was stored or not */
	struct store_tx *tx;		/* for store_tx_keep() */
};
/* Called in the loop after the commit is durable, or with err when nothing of the transaction happened. */
typedef void store_done(void *arg, const struct awo_err *err, const struct store_commit *commit);

struct store_tx *store_tx(struct store *s);
/* In a store_done with err: the transaction is the caller's again, to be committed once more or dropped. */
struct store_tx *store_tx_keep(const struct store_commit *commit);
void store_tx_drop(struct store_tx *tx);
/*
 * Puts the transaction into a chain, a flag of the caller's that lives as long as any of its transactions: after one that is
 * sure has failed for a reason that may pass, later ones fail as well, until it is committed AGAIN.
 */
enum store_link { STORE_TRY, STORE_SURE, STORE_AGAIN };
void store_tx_chain(struct store_tx *tx, bool *broken, enum store_link link);
/* Everything given is copied. Inserting an order whose id (or owner's idempotency key) exists gives ALREADY_EXISTS. */
void store_tx_order_insert(struct store_tx *tx, const struct order_row *r, const char *idempotency_key);
/* The same without a copy; at most one a transaction, whose store_done gets the row back. */
void store_tx_order_take(struct store_tx *tx, struct order_row *r, const char *idempotency_key);
void store_tx_order_update(struct store_tx *tx, const struct order_row *r);	/* by rowid when set, else by id */
void store_tx_order_delete(struct store_tx *tx, const char *id);		/* with steps, prompts, events */
void store_tx_step_put(struct store_tx *tx, const char *id, const struct p_step *step);	/* key: order, attempt, step_number, step, timestamp */
/* line: the complete JSON object of the event without event_id; order id NULL for events of no order (audit). */
void store_tx_event(struct store_tx *tx, const char *id, const char *event, const char *line);
/* Its number, drawn at once so that an event of the same transaction can name it; numbers grow, and are not given twice. */
int64_t store_tx_prompt_insert(struct store_tx *tx, const char *id, const char *text, uint32_t by_uid);
void store_tx_prompt_done(struct store_tx *tx, int64_t prompt_id);
void store_tx_repository_put(struct store_tx *tx, uint32_t owner_uid, const struct p_repository *r);
void store_tx_repository_delete(struct store_tx *tx, uint32_t owner_uid, const char *id);
void store_tx_setting_put(struct store_tx *tx, const char *key, const char *json);	/* json NULL deletes */
void store_tx_credential_put(struct store_tx *tx, uint32_t owner_uid, bool shared, const struct p_credential *c,
    const void *sealed, size_t len);
void store_tx_credential_delete(struct store_tx *tx, uint32_t owner_uid, const char *name);
void store_tx_token_put(struct store_tx *tx, uint32_t owner_uid, const struct p_token *t, const unsigned char hash[32]);
void store_tx_token_delete(struct store_tx *tx, uint32_t owner_uid, bool any_owner, const char *id);
/* Does nothing when the token has gone meanwhile. */
void store_tx_token_used(struct store_tx *tx, const unsigned char hash[32], int64_t when_us);
/*
 * A login link or a session; uid in k is its owner's. Expired ones go, and of the owner's of this sort all but the newest keep.
 * take: NOT_FOUND (and nothing of the transaction happens) when there is none of this hash, so a link works once.
 */
void store_tx_session_put(struct store_tx *tx, bool login, const struct p_session *k, const unsigned char hash[32],
    int64_t keep);
void store_tx_session_take(struct store_tx *tx, bool login, const unsigned char hash[32]);
/* What a webhook brought. ALREADY_EXISTS, field delivery_id, when either has been seen before. */
struct store_delivery {
	const char *delivery_id;	/* with the owner's uid, like object */
	const char *object;		/* what it speaks of, in words that no other thing has */
};
void store_tx_delivery(struct store_tx *tx, const struct store_delivery *d, const char *order_id);
void store_tx_commit(struct store_tx *tx, store_done *done, void *arg);	/* frees tx; done may be NULL */

/* ---- reads: at once, in the loop, from a connection of their own; they see everything that was committed */
int store_order_get(struct store *s, const char *id, struct order_row *out, struct awo_err *err);	/* NOT_FOUND */
/* The same, lent until the next call; a few that were asked for lately are not read again. NULL with *err set: NOT_FOUND. */
const struct order_row *store_order_lend(struct store *s, const char *id, struct awo_err *err);
/* The one order whose id begins with prefix and which uid (or everybody: any) may see. NOT_FOUND, or INVALID_ARGUMENT when several. */
int store_order_find(struct store *s, const char *prefix, uint32_t uid, bool any, char id[12], struct awo_err *err);
int store_order_by_key(struct store *s, uint32_t uid, const char *idempotency_key, char id[12], struct awo_err *err);
/* All orders in one of the given states (bits W_<state>), oldest first. r is freed after the call: take what is to stay out of
 * it (*mine = *r; memset(r, 0, sizeof(*r))). Non-zero stops, and is returned. */
int store_order_scan(struct store *s, unsigned states, int (*row)(void *arg, struct order_row *r), void *arg, struct awo_err *err);

struct store_filter {
	const struct p_order_list *request;	/* limit, offset, cursor, status, q, ... */
	uint32_t uid;				/* only this user's ... */
	bool any;				/* ... or everybody's */
	const char *canonical_url;		/* or NULL */
};
/* May call back at once (when an index bounds the work) or later, from the loop. The answer is the callee's until it returns. */
typedef void store_list_done(void *arg, const struct awo_err *err, struct p_order_list_answer *page);
void store_order_list(struct store *s, const struct store_filter *f, store_list_done *done, void *arg);

int store_steps(struct store *s, const char *id, struct p_step_list_answer *out, struct awo_err *err);
struct store_prompt { int64_t id; char *text; };
/* Undelivered prompts of an order, oldest first; free each text and the array. */
int store_prompts(struct store *s, const char *id, struct store_prompt **out, size_t *n, struct awo_err *err);
/* The id of the newest event, 0 when there is none. */
int store_last_event(struct store *s, int64_t *id, struct awo_err *err);
/* Events after an id, oldest first, at most limit (0: all). line is valid during the call; order_id "" for none. Non-zero stops. */
int store_events(struct store *s, int64_t after_id, const char *order_id, int limit,
    int (*row)(void *arg, int64_t id, const char *order_id, const char *line), void *arg, struct awo_err *err);
int store_repository_get(struct store *s, uint32_t uid, const char *id_or_url, struct p_repository *out, struct awo_err *err);
/* The same, lent until the next call and not read again as long as nothing changes; NULL when there is none, or none to be read. */
const struct p_repository *store_repository_lend(struct store *s, uint32_t uid, const char *id_or_url);
int store_repository_list(struct store *s, uint32_t uid, struct p_repository_list_answer *out, struct awo_err *err);
json_t *store_settings(struct store *s, struct awo_err *err);		/* object of key to value */
int store_credential_list(struct store *s, uint32_t uid, struct p_credential_list_answer *out, struct awo_err *err);	/* own and shared */
/* Own before shared. host NULL: any. The sealed bytes belong to the caller. NOT_FOUND. */
int store_credential_get(struct store *s, uint32_t uid, const char *name, enum p_credential_kind kind, const char *host,
    struct p_credential *c, void **sealed, size_t *len, struct awo_err *err);
int store_token_list(struct store *s, uint32_t uid, bool any, struct p_token_list_answer *out, struct awo_err *err);
int store_token_find(struct store *s, const unsigned char hash[32], uint32_t *uid, struct p_token *out, struct awo_err *err);
int store_session_find(struct store *s, bool login, const unsigned char hash[32], struct p_session *out, struct awo_err *err);
/* The order that a delivery of this id, or of this object, was about. NOT_FOUND. */
int store_delivery_find(struct store *s, const struct store_delivery *d, char id[12], struct awo_err *err);
/* A user's newest order of a pull request or an issue; the URL in any case. NOT_FOUND. */
int store_order_by_forge(struct store *s, uint32_t uid, const char *canonical, const char *number, bool pull_request,
    char id[12], struct awo_err *err);
/* Who registered a repository first (of all, or only this user); the URL in any case. NOT_FOUND. */
int store_repository_owner(struct store *s, const char *canonical, const uint32_t *only, uint32_t *uid,
    struct p_repository *out, struct awo_err *err);
/* Everybody's credentials of a kind, the oldest of each user before anybody's second; what is in the row is lent. Non-zero stops. */
struct store_secret {
	uint32_t uid;
	const char *owner, *name, *host;
	const void *sealed;
	size_t len;
};
int store_secrets(struct store *s, enum p_credential_kind kind, int limit,
    int (*row)(void *arg, const struct store_secret *secret), void *arg, struct awo_err *err);
/* Counts by state, [order_status_none] is the total; from the store's own counters, not a scan. */
void store_counts(struct store *s, int64_t counts[order_status_cancelled + 1]);
/* Terminal orders by age for retention: completed before the time, not older than after_rowid has gone; row as in scan. */
int store_terminal_before(struct store *s, int64_t before_us, int (*row)(void *arg, struct order_row *r), void *arg, struct awo_err *err);
/* Completed orders that still have an undelivered prompt and a workspace to run it in. */
int store_prompted(struct store *s, int (*row)(void *arg, struct order_row *r), void *arg, struct awo_err *err);
bool store_is_healthy(struct store *s, const char **type);		/* type: "sqlite" or "memory" */
void store_backup(struct store *s, const char *path, void (*done)(void *arg, const struct awo_err *err, int64_t size), void *arg);

#endif
