/* Transactions as the loop makes them: what is to be changed, copied into a list and queued as a whole. */
#include <stdlib.h>
#include <string.h>

#include "awod/store_priv.h"
#include "common/buf.h"
#include "common/clock.h"

struct store_tx *
store_tx(struct store *s)
{
	struct store_tx *tx = xcalloc(1, sizeof(*tx));

	tx->job.kind = JOB_TX;
	tx->s = s;
	tx->last = &tx->first;
	return tx;
}

static struct op *
add_op(struct store_tx *tx, enum op_kind kind)
{
	struct op *op = xcalloc(1, sizeof(*op));

	op->kind = kind;
	*tx->last = op;
	tx->last = &op->next;
	return op;
}

static void
set_obj(struct op *op, const struct p_type *type, const void *obj)
{
	op->type = type;
	op->obj = xcalloc(1, type->size);
	p_copy(type, op->obj, obj);
}

static void
set_blob(struct op *op, const void *p, size_t len)
{
	op->blob = xcalloc(1, len + 1);
	memcpy(op->blob, p, len);
	op->len = len;
}

static void
op_free(struct op *op)
{
	if (op->row) {
		order_row_free(op->row);
		free(op->row);
	}
	if (op->obj)
		p_free(op->type, op->obj);
	free(op->obj);
	free(op->id);
	free(op->name);
	free(op->text);
	free(op->blob);
	free(op);
}

void
store_tx_drop(struct store_tx *tx)
{
	while (tx->first) {
		struct op *op = tx->first;

		tx->first = op->next;
		op_free(op);
	}
	free(tx->event_ids);
	free(tx->deltas);
	free(tx);
}

void
store_tx_order_insert(struct store_tx *tx, const struct order_row *r, const char *idempotency_key)
{
	struct op *op = add_op(tx, OP_ORDER_INSERT);

	op->row = order_row_dup(r);
	op->name = xstrdup(idempotency_key);
}

void
store_tx_order_take(struct store_tx *tx, struct order_row *r, const char *idempotency_key)
{
	struct op *op = add_op(tx, OP_ORDER_INSERT);

	op->row = r;
	op->name = xstrdup(idempotency_key);
	tx->taken = op;
}

void
store_tx_order_update(struct store_tx *tx, const struct order_row *r)
{
	add_op(tx, OP_ORDER_UPDATE)->row = order_row_dup(r);
}

void
store_tx_chain(struct store_tx *tx, bool *broken, enum store_link link)
{
	tx->chain_broken = broken;
	tx->link = link;
}

void
reset_tx(struct store_tx *tx)
{
	memset(&tx->job.err, 0, sizeof(tx->job.err));
	tx->nevents = tx->ndeltas = 0;
	tx->rowid = tx->last_rowid = 0;
}

struct store_tx *
store_tx_keep(const struct store_commit *commit)
{
	struct store_tx *tx = commit->tx;

	tx->kept = true;
	reset_tx(tx);
	return tx;
}

void
store_tx_order_delete(struct store_tx *tx, const char *id)
{
	add_op(tx, OP_ORDER_DELETE)->id = xstrdup(id);
}

void
store_tx_step_put(struct store_tx *tx, const char *id, const struct p_step *step)
{
	struct op *op = add_op(tx, OP_STEP_PUT);

	op->id = xstrdup(id);
	set_obj(op, &p_type_step, step);
}

void
store_tx_event(struct store_tx *tx, const char *id, const char *event, const char *line)
{
	struct op *op = add_op(tx, OP_EVENT);

	op->id = xstrdup(id);
	op->name = xstrdup(event);
	op->text = xstrdup(line);
	tx->nexpected++;
}

int64_t
store_tx_prompt_insert(struct store_tx *tx, const char *id, const char *text, uint32_t by_uid)
{
	struct op *op = add_op(tx, OP_PROMPT_INSERT);

	op->id = xstrdup(id);
	op->text = xstrdup(text);
	op->uid = by_uid;
	op->n = ++tx->s->last_prompt;
	op->at = clock_wall_us();
	return op->n;
}

void
store_tx_prompt_done(struct store_tx *tx, int64_t prompt_id)
{
	add_op(tx, OP_PROMPT_DONE)->n = prompt_id;
}

void
store_tx_repository_put(struct store_tx *tx, uint32_t owner_uid, const struct p_repository *r)
{
	struct op *op = add_op(tx, OP_REPOSITORY_PUT);

	op->uid = owner_uid;
	set_obj(op, &p_type_repository, r);
}

void
store_tx_repository_delete(struct store_tx *tx, uint32_t owner_uid, const char *id)
{
	struct op *op = add_op(tx, OP_REPOSITORY_DELETE);

	op->uid = owner_uid;
	op->id = xstrdup(id);
}

void
store_tx_setting_put(struct store_tx *tx, const char *key, const char *json)
{
	struct op *op = add_op(tx, OP_SETTING_PUT);

	op->name = xstrdup(key);
	op->text = xstrdup(json);
}

void
store_tx_credential_put(struct store_tx *tx, uint32_t owner_uid, bool shared,
    const struct p_credential *c, const void *sealed, size_t len)
{
	struct op *op = add_op(tx, OP_CREDENTIAL_PUT);

	op->uid = owner_uid;
	op->flag = shared;
	set_obj(op, &p_type_credential, c);
	set_blob(op, sealed, len);
}

void
store_tx_credential_delete(struct store_tx *tx, uint32_t owner_uid, const char *name)
{
	struct op *op = add_op(tx, OP_CREDENTIAL_DELETE);

	op->uid = owner_uid;
	op->name = xstrdup(name);
}

void
store_tx_token_put(
    struct store_tx *tx, uint32_t owner_uid, const struct p_token *t, const unsigned char hash[32])
{
	struct op *op = add_op(tx, OP_TOKEN_PUT);

	op->uid = owner_uid;
	set_obj(op, &p_type_token, t);
	set_blob(op, hash, 32);
}

void
store_tx_token_delete(struct store_tx *tx, uint32_t owner_uid, bool any_owner, const char *id)
{
	struct op *op = add_op(tx, OP_TOKEN_DELETE);

	op->uid = owner_uid;
	op->flag = any_owner;
	op->id = xstrdup(id);
}

void
store_tx_token_used(struct store_tx *tx, const unsigned char hash[32], int64_t when_us)
{
	struct op *op = add_op(tx, OP_TOKEN_USED);

	op->n = when_us;
	set_blob(op, hash, 32);
}

void
store_tx_session_put(struct store_tx *tx, bool login, const struct p_session *k, const unsigned char hash[32],
    int64_t keep)
{
	struct op *op = add_op(tx, OP_SESSION_PUT);

	op->uid = (uint32_t)k->uid;
	op->flag = login;
	op->n = keep;
	set_obj(op, &p_type_session, k);
	set_blob(op, hash, 32);
}

void
store_tx_session_take(struct store_tx *tx, bool login, const unsigned char hash[32])
{
	struct op *op = add_op(tx, OP_SESSION_DELETE);

	op->flag = login;
	set_blob(op, hash, 32);
}

void
store_tx_delivery(struct store_tx *tx, const struct store_delivery *d, const char *order_id)
{
	struct op *op = add_op(tx, OP_DELIVERY);

	op->name = xstrdup(d->delivery_id);
	op->text = xstrdup(d->object);
	op->id = xstrdup(order_id);
	op->n = clock_wall_us();
}

void
store_tx_commit(struct store_tx *tx, store_done *done, void *arg)
{
	tx->done = done;
	tx->kept = false;
	tx->job.arg = arg;
	store_enqueue(tx->s, &tx->job);
}
