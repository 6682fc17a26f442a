/* Who is connected: the listening socket, connections, requests and streams. */
#ifndef AWOD_SERVER_H
#define AWOD_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "awod/broker.h"
#include "awod/order.h"
#include "common/err.h"
#include "proto/schema.h"

/* Who calls, from the kernel. */
struct caller {
	uid_t uid;
	pid_t pid;
	char user[64];		/* name from /etc/passwd, else the number */
	bool admin;		/* root, or a member of socket.admin_group; in user mode the user */
	bool gateway;		/* socket.gateway_user */
	unsigned scopes;	/* P_SCOPE_*: all for who is connected itself */
	/* somebody for whom the gateway asks; via "" for others */
	char via[32];		/* "token <id>" or "session <id>" */
	int64_t until;		/* when that ends; 0: never */
};

/* Starts to listen on a socket that systemd passed, else on the configured path (a stale one is replaced, a live one refused). */
struct server *server_open(struct broker *b, struct awo_err *err);
/* Stops accepting, ends streams with "stopping", lets answers that wait for a commit go out. */
void server_close(struct server *s);

/* One request in progress. Handlers answer exactly once, now or later; the connection may be gone by then. */
struct rpc_call;
struct broker *rpc_broker(const struct rpc_call *c);
const struct caller *rpc_caller(const struct rpc_call *c);
const struct p_method *rpc_method(const struct rpc_call *c);
/* P_WHO_ORDER methods: the order as it was when the request came; belongs to the call. */
const struct order_row *rpc_order(const struct rpc_call *c);
/* order.get is lent the order until its handler returns; this makes it the call's own. The others have their own. */
void rpc_keep_order(struct rpc_call *c);
void rpc_answer(struct rpc_call *c, const void *answer);	/* struct of the method's answer type; frees the call */
void rpc_fail(struct rpc_call *c, const struct awo_err *err);	/* frees the call */

/* One handler a row of methods.def: void rpc_order_create(struct rpc_call *c, const struct p_order_create *request) */
#define METHOD(id, name, req, ans, who, when, http, path, words, help)                             \
	void rpc_##id(struct rpc_call *c, const struct p_##req *request);
#include "proto/methods.def"
#undef METHOD

/* Whether the caller may see an order of this uid. */
bool caller_may_see(const struct caller *c, uint32_t owner_uid);

/*
 * What methods answer of orders may be something else from now on: gateways that keep answers learn it before anybody who
 * waits for the change does. NULL accepted.
 */
void server_changed(struct server *s);

/* ---- what the engine tells the streams */
/* A token or session is accepted no more: what is followed with it ends. via as in struct caller. */
void server_access_ended(struct server *s, const char *via);
/* The order's log has grown (or was made). */
void server_log_grew(struct server *s, const char *id);
/* The order became terminal and its last line stands in the log; or was removed. Streams on it end after that line. */
void server_log_ended(struct server *s, const char *id, const char *reason);
/* A line for events.watch: event_id 0 for lines of workers. */
void server_event(struct server *s, uint32_t owner_uid, int64_t event_id, const char *line);

#endif
