/* The one connection to awod, which all requests and streams share, and which comes back by itself.
 */
#ifndef GATEWAY_BACKEND_H
#define GATEWAY_BACKEND_H

#include "proto/client.h"

struct gateway;

int backend_open(struct gateway *g);   /* awod need not be there yet */
void backend_close(struct gateway *g); /* calls that wait are forgotten */
/*
 * As client_send_as(): done is called once, never from inside, with AWO_UNAVAILABLE when awod is
 * away. auth NULL or "": as the gateway's own user.
 */
void backend_call(struct gateway *g, const char *auth, enum p_method_id method, const void *params,
    client_answer_cb *done, void *arg);
bool backend_is_up(const struct gateway *g);
/* Up, and nothing that awod has sent waits to be read. */
bool backend_is_quiet(const struct gateway *g);

#endif
