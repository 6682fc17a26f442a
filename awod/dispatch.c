/* From a message to its handler: does the method exist, who may call it, is it well-formed, may it
 * be called now. */
#include <stdlib.h>
#include <string.h>

#include "awod/server_priv.h"
#include "common/clock.h"
#include "common/ids.h"
#include "common/log.h"
#include "common/text.h"

#define SLOW_US 50000 /* a handler that keeps the loop for longer is reported */
#define SETTLE_MS 2L  /* between looks at an order whose end is being committed */
#define SETTLE_TRIES 500

/* Each wrapper hands the decoded struct to a handler that wants exactly this type: a wrong one does
 * not compile. */
#define METHOD(id, name, req, ans, who, when, http, path, words, help)                             \
	static void call_##id(struct rpc_call *c, const void *request)                             \
	{                                                                                          \
		rpc_##id(c, request);                                                              \
	}
#include "proto/methods.def"
#undef METHOD

static void (*const handlers[P_M__COUNT])(struct rpc_call *c, const void *request) = {
#define METHOD(id, name, req, ans, who, when, http, path, words, help) [P_M_##id] = call_##id,
#include "proto/methods.def"
#undef METHOD
};

/* Methods whose requests hold a secret. */
static bool
is_secret(const struct p_method *m)
{
	return m->id == P_M_credential_set || m->id == P_M_token_verify ||
	       m->id == P_M_settings_set || m->id == P_M_session_open ||
	       m->id == P_M_session_verify || m->id == P_M_session_end;
}

/* Overwrites the strings of a request before they are freed. */
static void
wipe(const struct p_type *type, void *obj)
{
	for (size_t i = 0; i < type->nfields; i++) {
		char **text = (char **)(void *)((char *)obj + type->fields[i].offset);

		if (type->fields[i].kind == P_STR && *text != NULL)
			explicit_bzero(*text, strlen(*text));
	}
}

static void
forget_order(struct rpc_call *c)
{
	order_row_free(c->own);
	free(c->own);
	c->own = NULL;
	c->order = NULL;
}

static void
call_free(struct rpc_call *c)
{
	if (c->conn != NULL) {
		struct conn *conn = c->conn;

		TAILQ_REMOVE(&conn->calls, c, link);
		c->conn = NULL;
		conn_answered(conn);
	}
	if (c->request != NULL) {
		if (is_secret(c->method))
			wipe(c->method->request, c->request);
		p_free(c->method->request, c->request);
		free(c->request);
	}
	forget_order(c);
	free(c);
}

struct broker *
rpc_broker(const struct rpc_call *c)
{
	return c->b;
}

const struct caller *
rpc_caller(const struct rpc_call *c)
{
	return &c->caller;
}

const struct p_method *
rpc_method(const struct rpc_call *c)
{
	return c->method;
}

const struct order_row *
rpc_order(const struct rpc_call *c)
{
	return c->order;
}

void
rpc_keep_order(struct rpc_call *c)
{
	if (c->own == NULL)
		c->order = c->own = order_row_dup(c->order);
}

struct conn *
rpc_conn(struct rpc_call *c)
{
	return c->conn;
}

bool
rpc_gone(const struct rpc_call *c)
{
	return c->conn == NULL || c->conn->dead;
}

void
rpc_detach(struct rpc_call *c)
{
	c->conn = NULL;
}

void
rpc_answer(struct rpc_call *c, const void *answer)
{
	if (!rpc_gone(c)) {
		struct buf out = {0};

		histogram_add(&c->conn->s->answer_time, (double)(clock_mono_us() - c->began_us) / 1e6);
		p_encode_answer(&out, c->id, c->method->answer, answer);
		conn_write_answer(c->conn, &out);
	}
	call_free(c);
}

void
rpc_fail(struct rpc_call *c, const struct awo_err *err)
{
	AWO_ASSERT(err->code != AWO_OK);
	if (err->code == AWO_INTERNAL)
		log_error("rpc_failed", LS("method", c->method->name), LS("where", err->where),
		    LS("error", err->msg));
	if (!rpc_gone(c)) {
		struct buf out = {0};

		c->conn->s->failures[err->code]++;
		p_encode_error(&out, c->id, err);
		conn_write_answer(c->conn, &out);
	}
	call_free(c);
}

/* ---- who, which order, when */

/* The gateway asks for itself, or adds whose token or session was presented to it: then it is that user who asks. */
static int
for_whom(struct rpc_call *c, struct p_slice param, struct awo_err *err)
{
	struct p_on_behalf envelope;
	int r;

	if (p_decode(&p_type_on_behalf, &envelope, param, err) != 0)
		return -1;
	r = envelope.auth != NULL ? access_caller(c->b, envelope.auth, &c->caller, err) : 0;
	wipe(&p_type_on_behalf, &envelope);
	P_FREE(on_behalf, &envelope);
	return r;
}

/* The gateway's connection is everybody's: one user must not have all of it. */
static int
check_share(const struct rpc_call *c, struct awo_err *err)
{
	const struct rpc_call *other;
	unsigned n = 0;

	if (c->caller.via[0] == '\0' || c->conn->in_flight <= GATEWAY_USER_MAX)
		return 0;
	TAILQ_FOREACH(other, &c->conn->calls, link)
	n += other->caller.via[0] != '\0' && other->caller.uid == c->caller.uid;
	if (n <= GATEWAY_USER_MAX)
		return 0;
	return ERR(err, RESOURCE_EXHAUSTED, "",
	    "you have %u requests that are being worked on, which is the limit; wait for their answers",
	    GATEWAY_USER_MAX);
}

/* What a token or session may do is decided here, not only in the gateway. */
static int
check_scope(const struct rpc_call *c, struct awo_err *err)
{
	unsigned scope = p_method_scope(c->method);

	if (c->caller.via[0] == '\0' || (scope & c->caller.scopes) != 0)
		return 0;
	if (scope == 0)
		return ERR(err, PERMISSION_DENIED, "", "%s is for users of this host, on awod's socket", c->method->name);
	return ERR(err, PERMISSION_DENIED, "", "%s needs the scope %s, which this %.*s does not have", c->method->name,
	    p_scope_name(scope), (int)strcspn(c->caller.via, " "), c->caller.via);
}

static int
check_who(const struct rpc_call *c, struct awo_err *err)
{
	if (check_scope(c, err) != 0)
		return -1;
	switch (c->method->who) {
	case P_WHO_USER:
	case P_WHO_ORDER: /* decided by the order */
		return 0;
	case P_WHO_ADMIN:
		if (c->caller.admin)
			return 0;
		return ERR(err, PERMISSION_DENIED, "",
		    "%s is for administrators: root, and members of the group %s", c->method->name,
		    c->b->conf->socket_admin_group != NULL ? c->b->conf->socket_admin_group
							   : "root");
	case P_WHO_GATEWAY:
		if (c->caller.gateway)
			return 0;
		return ERR(
		    err, PERMISSION_DENIED, "", "%s is for the HTTP gateway", c->method->name);
	}
	return ERR(err, INTERNAL, "", "%s has no rule who may call it", c->method->name);
}

/* One text for orders that are not there and for those that are another user's. */
static int
no_such_order(const char *text, struct awo_err *err)
{
	return ERR(err, NOT_FOUND, "agent_work_order_id",
	    "there is no agent work order %.64s, or it is another user's", text);
}

static const char *
order_text(const struct rpc_call *c)
{
	const struct p_type *t = c->method->request;

	for (size_t i = 0; i < t->nfields; i++)
		if (t->fields[i].kind == P_STR &&
		    strcmp(t->fields[i].name, "agent_work_order_id") == 0)
			return *(char **)(void *)((char *)c->request + t->fields[i].offset);
	return NULL;
}

static bool
is_prefix(const char *text)
{
	size_t n = strlen(text);

	return n > 3 && n < ID_ORDER_LEN && strncmp(text, "wo-", 3) == 0 &&
	       strspn(text + 3, "0123456789abcdef") == n - 3;
}

static int
find_order(struct rpc_call *c, struct awo_err *err)
{
	const char *text = order_text(c);
	char id[ID_ORDER_LEN + 1];
	struct awo_err why = {0};

	if (text == NULL)
		return ERR(err, INVALID_ARGUMENT, "agent_work_order_id", "is missing");
	if (ids_is_order(text)) {
		memcpy(id, text, sizeof(id));
	} else if (!is_prefix(text)) {
		return no_such_order(text, err);
	} else if (store_order_find(c->b->store, text, c->caller.uid, c->caller.admin, id, &why) !=
		   0) {
		if (why.code == AWO_NOT_FOUND)
			return no_such_order(text, err);
		*err = why;
		return -1;
	}
	c->order = engine_order(c->b->engine, id, &why);
	if (c->order == NULL) {
		if (why.code == AWO_NOT_FOUND)
			return no_such_order(text, err);
		*err = why;
		return -1;
	}
	if (!caller_may_see(&c->caller, c->order->owner_uid))
		return no_such_order(text, err);
	return 0;
}

/* Names of the states of a mask, or of the methods that a state allows. */
static void
list_states(struct buf *b, unsigned when)
{
	for (size_t i = 0; i < p_enum_order_status.nrows; i++)
		if (!p_enum_order_status.rows[i].alias &&
		    (when >> p_enum_order_status.rows[i].value & 1) != 0)
			buf_printf(
			    b, "%s%s", b->len > 0 ? ", " : "", p_enum_order_status.rows[i].name);
}

static void
list_methods(struct buf *b, unsigned state)
{
	for (size_t i = 0; i < P_M__COUNT; i++)
		if (p_methods[i].who == P_WHO_ORDER && p_methods[i].when != W_ANY &&
		    (p_methods[i].when & state) != 0)
			buf_printf(b, "%s%s", b->len > 0 ? ", " : "", p_methods[i].name);
}

static int
check_when(const struct rpc_call *c, struct awo_err *err)
{
	unsigned state = 1U << c->order->pub.status;
	struct buf states CLEAN_BUF = {0}, methods CLEAN_BUF = {0};

	if ((c->method->when & state) != 0)
		return 0;
	list_states(&states, c->method->when);
	list_methods(&methods, state);
	return ERR(err, FAILED_PRECONDITION, "agent_work_order_id",
	    "order %s is %s; %s is possible only when it is %s. What is possible now: %s",
	    c->order->pub.agent_work_order_id, P_ENUM_NAME(order_status, c->order->pub.status),
	    c->method->name, states.p, methods.p != NULL ? methods.p : "to read it");
}

static int
unknown_method(const struct p_frame *f, struct awo_err *err)
{
	const char *names[P_M__COUNT + 1], *nearest;
	struct buf name CLEAN_BUF = {0};

	for (size_t i = 0; i < P_M__COUNT; i++)
		names[i] = p_methods[i].name;
	names[P_M__COUNT] = NULL;
	text_add_utf8(&name, f->method, f->method_len, 64);
	nearest = name.len > 0 ? text_nearest(name.p, names) : NULL;
	if (nearest != NULL)
		return ERR(err, UNIMPLEMENTED, "", "there is no method %s; did you mean %s?",
		    name.p, nearest);
	return ERR(err, UNIMPLEMENTED, "", "there is no method %s", name.p != NULL ? name.p : "");
}

static void
answer_error(struct conn *c, uint32_t id, const struct awo_err *err)
{
	struct buf out = {0};

	c->s->failures[err->code]++;
	p_encode_error(&out, id, err);
	conn_write(c, &out);
}

static void
run(struct rpc_call *call)
{
	const struct p_method *m = call->method;
	int64_t began = clock_mono_us(), took;

	log_debug("rpc_called", LS("method", m->name), LI("uid", call->caller.uid),
	    LI("pid", call->caller.pid));
	handlers[m->id](call, call->request);
	took = clock_mono_us() - began;
	if (took > SLOW_US)
		log_warning("rpc_slow", LS("method", m->name), LI("milliseconds", took / 1000));
}

static void on_settle(evutil_socket_t fd, short what, void *arg);

/* Finds the order that the call is about, and runs it. */
static void
proceed(struct rpc_call *call)
{
	const struct timeval soon = {0, SETTLE_MS * 1000};
	struct awo_err err = {0};

	if (call->method->who != P_WHO_ORDER) {
		run(call);
		return;
	}
	if (find_order(call, &err) != 0) {
		rpc_fail(call, &err);
		return;
	}
	/* nobody is told of an end that is not durable, or finds a log without its last line */
	if (call->settling < SETTLE_TRIES &&
	    engine_is_settling(call->b->engine, call->order->pub.agent_work_order_id) &&
	    event_base_once(call->b->base, -1, EV_TIMEOUT, on_settle, call, &soon) == 0) {
		call->settling++;
		forget_order(call);
		return;
	}
	if (check_when(call, &err) != 0) {
		rpc_fail(call, &err);
		return;
	}
	/* the others change the order while they read it, or answer later */
	if (call->method->id != P_M_order_get)
		rpc_keep_order(call);
	run(call);
}

static void
on_settle(evutil_socket_t fd, short what, void *arg)
{
	struct rpc_call *call = arg;
	struct awo_err err = {0};

	(void)fd;
	(void)what;
	if (rpc_gone(call)) {
		(void)ERR(&err, UNAVAILABLE, "", "the caller has gone");
		rpc_fail(call, &err);
		return;
	}
	proceed(call);
}

void
dispatch(struct conn *c, const struct p_frame *f)
{
	static const uint8_t empty_map[] = {0x80};
	struct p_slice param = f->param.p != NULL ? f->param : (struct p_slice){empty_map, 1};
	const struct p_method *m;
	struct awo_err err = {0};
	struct rpc_call *call;
	void *request;

	if (f->kind == P_FRAME_NOTIFY)
		return; /* the specification wants no answer, and there is nothing that a client
			   could announce */
	if (f->kind == P_FRAME_RESPONSE) {
		(void)ERR(&err, INVALID_ARGUMENT, "",
		    "awod asks its clients nothing, so a response is malformed");
		answer_error(c, f->id, &err);
		conn_finish(c);
		return;
	}
	if (c->is_refused) {
		answer_error(c, f->id, &c->refused);
		conn_finish(c);
		return;
	}
	m = p_method_find(f->method, f->method_len);
	if (m == NULL) {
		(void)unknown_method(f, &err);
		answer_error(c, f->id, &err);
		return;
	}
	c->s->calls[m->id]++;
	call = xcalloc(1, sizeof(*call));
	call->conn = c;
	call->b = c->s->b;
	call->method = m;
	call->id = f->id;
	call->began_us = clock_mono_us();
	call->caller = c->caller;
	TAILQ_INSERT_TAIL(&c->calls, call, link);
	c->in_flight++;
	c->s->in_flight++;
	if ((c->caller.gateway && (for_whom(call, param, &err) != 0 || check_share(call, &err) != 0)) ||
	    check_who(call, &err) != 0) {
		rpc_fail(call, &err);
		return;
	}
	/* before anything of the answer is read */
	if (c->caller.gateway && (m->id == P_M_order_get || m->id == P_M_order_list))
		conn_keeps(c);
	request = xcalloc(1, m->request->size);
	if (p_decode(m->request, request, param, &err) != 0) {
		free(request);
		rpc_fail(call, &err);
		return;
	}
	call->request = request;
	proceed(call);
}
