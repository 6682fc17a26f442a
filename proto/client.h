/* The client library: calls of awod's methods over its Unix socket, blocking or inside a libevent loop. */
#ifndef PROTO_CLIENT_H
#define PROTO_CLIENT_H

#include <event2/event.h>

#include "proto/msgpack.h"
#include "proto/schema.h"

struct client;

/* A notification: decode param with p_decode(&p_type_log_line, ...) and so on. */
typedef void client_notify_cb(void *arg, const char *method, struct p_slice param);
/* answer is a struct of the method's answer type, valid during the call; NULL when err->code is not AWO_OK. */
typedef void client_answer_cb(void *arg, const struct awo_err *err, void *answer);
typedef void client_closed_cb(void *arg, const struct awo_err *err);

/* Blocking. Connects within timeout_ms; NULL with *err set (AWO_UNAVAILABLE when nobody listens). */
struct client *client_open(const char *socket_path, int timeout_ms, struct awo_err *err);
/*
 * Calls and waits. request may be NULL for p_type_empty. *answer is filled (free with p_free(method's answer type)).
 * timeout_ms < 0 waits for ever. Notifications that arrive meanwhile are kept for client_next(). When the connection has ended
 * and no stream was asked for on it, what is safe to repeat is made again on a new one, which may take a restart's time within
 * timeout_ms: a request that was not sent as a whole, a method that only reads, and a create with an idempotency key. Other
 * calls may have been carried out.
 */
int client_call(struct client *c, enum p_method_id method, const void *request, void *answer, int timeout_ms,
    struct awo_err *err);
/* Waits for the next notification: 1 and *method, *param (valid until the next call), 0 at the timeout, -1 on error. */
int client_next(struct client *c, const char **method, struct p_slice *param, int timeout_ms, struct awo_err *err);
int client_fd(const struct client *c);		/* to poll beside other descriptors; then client_next(..., 0, ...) until it returns 0 */
void client_close(struct client *c);		/* NULL accepted; calls that wait are forgotten without their callback */

/* In a loop. The connection is made in the background; calls may be queued before it stands. */
struct client *client_open_event(struct event_base *base, const char *socket_path, client_notify_cb *notify,
    client_closed_cb *closed, void *arg, struct awo_err *err);
/* done is never called from inside client_send(). */
void client_send(struct client *c, enum p_method_id method, const void *request, client_answer_cb *done, void *arg);
/* The same for the holder of an access token or session (the gateway only); auth NULL: for the caller itself. */
void client_send_as(struct client *c, enum p_method_id method, const void *request, const char *auth,
    client_answer_cb *done, void *arg);

/*
 * Whether everything that the daemon has sent so far has been handed over; false when the connection does not stand. What
 * waits in the socket is handed over first, unless this is called from inside a callback of the client.
 */
bool client_is_quiet(struct client *c);

/* $AWO_SOCKET, else the user's own if it is there, else the system's. buf of at least 108 bytes. */
const char *client_default_socket(char *buf, size_t len);

#endif
