/* Orders that were asked for lately: whoever shows or awaits an order asks again and again; and the same with repositories
 * for which orders are handed in. */
#include <stdlib.h>
#include <string.h>

#include "awod/store_priv.h"
#include "common/buf.h"

#define RECENT_TEXT 8192 /* bytes of request and error that such an order may have */

static unsigned
hash_of(const char *text)
{
	unsigned n = 0;

	while (*text)
		n = n * 31 + (unsigned char)*text++;
	return n;
}

static struct order_row **
recent_slot(struct store *s, const char *id)
{
	return &s->recent[hash_of(id) % RECENT];
}

static size_t
text_size(const char *text)
{
	return text ? strlen(text) : 0;
}

static void
recent_clear(struct order_row **slot)
{
	order_row_free(*slot);
	free(*slot);
	*slot = NULL;
}

static void
repository_clear(struct recent_repository *r)
{
	P_FREE(repository, &r->repository);
	free(r->name);
	memset(r, 0, sizeof(*r));
}

static void
forget_repositories(struct store *s)
{
	for (int i = 0; i < RECENT_REPOSITORIES; i++)
		repository_clear(&s->repositories[i]);
}

void
forget_recent(struct store *s, const struct store_tx *tx)
{
	for (const struct op *op = tx->first; op; op = op->next)
		if (op->kind == OP_ORDER_UPDATE && op->row->pub.agent_work_order_id)
			recent_clear(recent_slot(s, op->row->pub.agent_work_order_id));
		else if (op->kind == OP_ORDER_DELETE)
			recent_clear(recent_slot(s, op->id));
		else if (op->kind == OP_REPOSITORY_PUT || op->kind == OP_REPOSITORY_DELETE)
			forget_repositories(s);
}

void
free_recent(struct store *s)
{
	for (int i = 0; i < RECENT; i++)
		recent_clear(&s->recent[i]);
	recent_clear(&s->lent);
	forget_repositories(s);
}

const struct order_row *
store_order_lend(struct store *s, const char *id, struct awo_err *err)
{
	struct order_row **slot = recent_slot(s, id), *row = *slot;

	if (row && strcmp(row->pub.agent_work_order_id, id) == 0)
		return row;
	row = xcalloc(1, sizeof(*row));
	if (store_order_get(s, id, row, err) < 0) {
		free(row);
		return NULL;
	}
	/* of those with long texts one is kept at most */
	if (text_size(row->pub.user_request) + text_size(row->pub.error_message) > RECENT_TEXT)
		slot = &s->lent;
	recent_clear(slot);
	*slot = row;
	return row;
}

const struct p_repository *
store_repository_lend(struct store *s, uint32_t uid, const char *id_or_url)
{
	struct recent_repository *r = &s->repositories[(hash_of(id_or_url) + uid) % RECENT_REPOSITORIES];
	struct awo_err err = {0};

	if (r->name && r->uid == uid && strcmp(r->name, id_or_url) == 0)
		return r->there ? &r->repository : NULL;
	repository_clear(r);
	r->there = store_repository_get(s, uid, id_or_url, &r->repository, &err) == 0;
	/* that there is none is worth keeping, that it could not be read is not */
	if (r->there || err.code == AWO_NOT_FOUND) {
		r->uid = uid;
		r->name = xstrdup(id_or_url);
	}
	return r->there ? &r->repository : NULL;
}
