/* The HTTP server: takes requests from evhttp, checks what is common to all, and hands them to
 * their routes. */
#ifndef GATEWAY_HTTP_H
#define GATEWAY_HTTP_H

struct gateway;
struct request;

/* Listens on "host:port" ("[::1]:8053", "localhost:0"), or on the descriptor when it is not -1. -1
 * after saying why. */
int http_open(struct gateway *g, const char *listen, int fd);
/* No new connections and no new requests; those that are being answered go on. */
void http_stop(struct gateway *g);
void http_close(struct gateway *g);
/* The request is over: of request.c. */
void http_done(struct request *rq, int status);

#endif
