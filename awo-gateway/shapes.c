/* Answers of awod in the shape that each mount promises. */
#include "awo-gateway/shapes.h"

#include <stdio.h>
#include <string.h>

#include "awo-gateway/json_out.h"
#include "common/text.h"

/* The documents name the log of an order made at the bare collection below /api. */
static const char *
addresses_below(const char *prefix)
{
	return strcmp(prefix, "/agent-work-orders") == 0 ? "/api/agent-work-orders" : prefix;
}

static void
add_logs_url(struct buf *b, const char *prefix, const char *id)
{
	buf_printf(b, "\"logs_url\":\"%s/%s/logs\"", addresses_below(prefix), id != NULL ? id : "");
}

static void
order_native(struct buf *b, const struct p_order_answer *a, const char *prefix)
{
	buf_addc(b, '{');
	if (json_out_members(b, &p_type_order_answer, a, false))
		buf_addc(b, ',');
	add_logs_url(b, prefix, a->agent_work_order.agent_work_order_id);
	buf_addc(b, '}');
}

/* Flat; what changed an order also says so, and has it once more where clients of the other shape
 * look. */
static void
order_legacy(struct buf *b, const struct p_order_answer *a, const char *prefix, bool reads,
    const char *message)
{
	buf_addc(b, '{');
	(void)json_out_members(b, &p_type_order, &a->agent_work_order, true);
	if (!reads) {
		buf_adds(b, ",\"message\":");
		text_add_json(b, a->message != NULL ? a->message : message);
		buf_adds(b, ",\"agent_work_order\":");
		json_out(b, &p_type_order, &a->agent_work_order, true);
		buf_addc(b, ',');
		add_logs_url(b, prefix, a->agent_work_order.agent_work_order_id);
	}
	buf_addc(b, '}');
}

static void
list_legacy(struct buf *b, const struct p_type *type, const char *items, size_t n)
{
	buf_addc(b, '[');
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			buf_addc(b, ',');
		json_out(b, type, items + i * type->size, true);
	}
	buf_addc(b, ']');
}

static void
add_optional(struct buf *b, const char *name, const char *value)
{
	buf_printf(b, "\"%s\":", name);
	if (value != NULL)
		text_add_json(b, value);
	else
		buf_adds(b, "null");
}

/* The repository once more as an object of its own. */
static void
verification(struct buf *b, const struct p_repository_verify_answer *a)
{
	buf_addc(b, '{');
	(void)json_out_members(b, &p_type_repository_verify_answer, a, false);
	buf_adds(b, ",\"repository\":{");
	add_optional(b, "repository_owner", a->repository_owner);
	buf_addc(b, ',');
	add_optional(b, "repository_name", a->repository_name);
	buf_addc(b, ',');
	add_optional(b, "repository_url", a->repository_url);
	buf_addc(b, ',');
	add_optional(b, "default_branch", a->default_branch);
	buf_printf(b,
	    ",\"is_accessible\":%s,\"access_verified_at\":", a->is_accessible ? "true" : "false");
	json_out_time(b, a->access_verified_at);
	buf_adds(b, "}}");
}

static void
prompt(struct buf *b, const struct p_order_prompt_answer *a)
{
	buf_adds(b, "{\"success\":true,");
	(void)json_out_members(b, &p_type_order_prompt_answer, a, false);
	buf_addc(b, '}');
}

void
shape_answer(struct buf *b, const struct p_method *m, const void *answer, enum mount mount,
    const char *prefix, bool reads, struct shape *s)
{
	const struct p_order_answer *one = answer;
	const struct p_order_list_answer *orders = answer;
	const struct p_repository_list_answer *repositories = answer;
	bool legacy = mount == MOUNT_LEGACY;

	*s = (struct shape){.status = 200, .total = -1};
	if (m->id == P_M_order_create || m->id == P_M_repository_add || m->id == P_M_token_create)
		s->status = 201;
	if (m->answer == &p_type_order_answer) {
		if (s->status == 201)
			snprintf(s->location, sizeof(s->location), "%s/%.16s",
			    addresses_below(prefix), one->agent_work_order.agent_work_order_id);
		if (legacy)
			order_legacy(b, one, prefix, reads,
			    m->id == P_M_order_create ? "the order was created" : "done");
		else
			order_native(b, one, prefix);
	} else if (legacy && m->answer == &p_type_order_list_answer) {
		s->total = orders->total_count;
		list_legacy(b, &p_type_order, (const char *)orders->agent_work_orders.v,
		    orders->agent_work_orders.n);
	} else if (legacy && m->answer == &p_type_repository_list_answer) {
		s->total = repositories->total_count;
		list_legacy(b, &p_type_repository, (const char *)repositories->repositories.v,
		    repositories->repositories.n);
	} else if (m->answer == &p_type_repository_verify_answer) {
		verification(b, answer);
	} else if (m->answer == &p_type_order_prompt_answer) {
		prompt(b, answer);
	} else {
		json_out(b, m->answer, answer, legacy);
	}
}
