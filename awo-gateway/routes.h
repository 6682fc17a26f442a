/* Which handler answers which path: the method table's own addresses, and those of routes.def. */
#ifndef GATEWAY_ROUTES_H
#define GATEWAY_ROUTES_H

#include <stdbool.h>
#include <stddef.h>

#include "awo-gateway/request.h"
#include "awo-gateway/target.h"
#include "proto/schema.h"

#define ROUTE_PARTS 4
#define ROUTE_PARAMS 2

#define AT_ROOT 0x1U   /* the path as it stands */
#define AT_MOUNTS 0x2U /* below each mount */

typedef void route_handler(struct request *rq);

/* path: "/{id}/logs". A last {name...} takes all that is left, slashes too. */
struct route {
	enum http_method method;
	const char *path;
	unsigned where;
	route_handler *handler;
	const struct p_method *rpc; /* NULL: none, or several */
	unsigned scope;		    /* P_SCOPE_ bit; 0: no token is asked for */
	const char *help;
	/* made of path */
	size_t nparts;
	struct {
		const char *text;
		size_t len;
		enum { PART_WORD, PART_NAME, PART_REST } kind;
	} parts[ROUTE_PARTS];
};

struct route_param {
	char name[24];
	char value[1024];
};

struct route_params {
	size_t n;
	struct route_param v[ROUTE_PARAMS];
};

struct route_match {
	const struct route *route; /* NULL: see allow */
	enum mount mount;
	const char *prefix; /* of the mount: "/api/v1" */
	struct route_params params;
	unsigned allow; /* bits 1 << enum http_method that the path has; 0: there is no such path */
};

const char *http_method_name(enum http_method m);
bool http_method_find(const char *name, enum http_method *m);

/* HEAD is answered as GET. A fixed word wins over a {name}. */
void route_find(const struct target *t, enum http_method method, struct route_match *m);
/* "GET, HEAD, OPTIONS" of a match's allow; buf of 64 bytes. */
const char *route_allow(unsigned allow, char *buf, size_t len);
/* All routes, in the table's order. */
const struct route *routes_all(size_t *n);
/* "/api/v1" and so on; NULL behind the last. */
const char *mount_prefix(size_t i, enum mount *mount);

#endif
