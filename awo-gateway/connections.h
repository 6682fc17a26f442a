/* The limits of connections that evhttp has none for: how many, how long a request may take to
 * arrive, how much waits. */
#ifndef GATEWAY_CONNECTIONS_H
#define GATEWAY_CONNECTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include <event2/bufferevent.h>
#include <event2/listener.h>

struct gateway;

int connections_open(struct gateway *g);
void connections_close(struct gateway *g);
/* Each new connection's bufferevent, for evhttp_set_bevcb(); arg is the gateway. */
struct bufferevent *connections_new(struct event_base *base, void *arg);
/* Stops accepting while there are as many as there may be. */
void connections_limit(struct gateway *g, struct evconnlistener *listener);
/* A request has arrived as a whole; or its answer has been handed over. */
void connections_busy(struct gateway *g, struct bufferevent *bev, bool busy);
/*
 * What is in the output of bev is the last answer, and evhttp does not end the connection for it.
 * Were it closed while the client still sends, the kernel would reset it and throw away answers
 * that the client has not fetched: so ours ends first, and what comes is read for a while, and
 * dropped.
 */
void connections_last(struct gateway *g, struct bufferevent *bev);
size_t connections_count(const struct gateway *g);

#endif
