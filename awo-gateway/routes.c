/* Which handler answers which path: the method table's own addresses, and those of routes.def. */
#include "awo-gateway/routes.h"

#include <stdio.h>
#include <string.h>

#include "awo-gateway/handlers.h"
#include "awo-gateway/openapi.h"
#include "awo-gateway/session.h"
#include "awo-gateway/sse.h"
#include "awo-gateway/static.h"
#include "awo-gateway/webhook.h"

static const struct {
	const char *prefix;
	const char *parts[ROUTE_PARTS];
	size_t nparts;
	enum mount mount;
} mounts[] = {
    /* longest first */
    {"/api/v1/agent-work-orders", {"api", "v1", "agent-work-orders"}, 3, MOUNT_NATIVE},
    {"/api/v1", {"api", "v1"}, 2, MOUNT_NATIVE},
    {"/agent-work-orders", {"agent-work-orders"}, 1, MOUNT_NATIVE},
    {"/api/agent-work-orders/agent-work-orders", {"api", "agent-work-orders", "agent-work-orders"},
	3, MOUNT_LEGACY},
    {"/api/agent-work-orders", {"api", "agent-work-orders"}, 2, MOUNT_LEGACY},
};
#define NMOUNTS (sizeof(mounts) / sizeof(mounts[0]))

static const char *const method_names[] = {[HTTP_GET] = "GET",
    [HTTP_HEAD] = "HEAD",
    [HTTP_POST] = "POST",
    [HTTP_PUT] = "PUT",
    [HTTP_PATCH] = "PATCH",
    [HTTP_DELETE] = "DELETE",
    [HTTP_OPTIONS] = "OPTIONS"};
#define NMETHODS (sizeof(method_names) / sizeof(method_names[0]))

/* Methods that want more than handle_rpc(). */
static route_handler *const special[P_M__COUNT] = {
    [P_M_order_create] = handle_create,
    [P_M_order_list] = handle_list,
    [P_M_order_watch] = sse_order,
    [P_M_events_watch] = sse_events,
    [P_M_system_health] = handle_health,
};

#define P_M_NONE P_M__COUNT
static const struct {
	enum http_method method;
	const char *path;
	unsigned where;
	route_handler *handler;
	enum p_method_id rpc;
	unsigned scope;
	const char *help;
} rows[] = {
#define ROUTE(http, path, where, handler, rpc, scope, help)                                        \
	{HTTP_##http, (path), (where), (handler), P_M_##rpc, (scope), (help)},
#include "awo-gateway/routes.def"
#undef ROUTE
};
#define NROWS (sizeof(rows) / sizeof(rows[0]))

static struct route table[P_M__COUNT + NROWS];
static size_t ntable;

const char *
http_method_name(enum http_method m)
{
	return method_names[m];
}

bool
http_method_find(const char *name, enum http_method *m)
{
	for (size_t i = 0; i < NMETHODS; i++)
		if (strcmp(method_names[i], name) == 0) {
			*m = (enum http_method)i;
			return true;
		}
	return false;
}

const char *
mount_prefix(size_t i, enum mount *mount)
{
	if (i >= NMOUNTS)
		return NULL;
	*mount = mounts[i].mount;
	return mounts[i].prefix;
}

static void
split(struct route *r)
{
	const char *p = r->path + 1;

	while (*p != '\0') {
		size_t n = strcspn(p, "/"), skip = n + (p[n] == '/');

		AWO_ASSERT(r->nparts < ROUTE_PARTS && n > 0);
		r->parts[r->nparts].kind = PART_WORD;
		if (p[0] == '{') {
			r->parts[r->nparts].kind = PART_NAME;
			p++;
			n -= 2;
			skip--;
			if (n > 3 && memcmp(p + n - 3, "...", 3) == 0) {
				r->parts[r->nparts].kind = PART_REST;
				n -= 3;
			}
		}
		r->parts[r->nparts].text = p;
		r->parts[r->nparts++].len = n;
		p += skip;
	}
}

static void
add_route(struct route r)
{
	split(&r);
	/* names of artifacts have a slash in them */
	if (r.rpc != NULL && r.rpc->id == P_M_order_artifact)
		r.parts[r.nparts - 1].kind = PART_REST;
	table[ntable++] = r;
}

static void
make_table(void)
{
	for (size_t i = 0; i < NROWS; i++)
		add_route((struct route){.method = rows[i].method,
		    .path = rows[i].path,
		    .where = rows[i].where,
		    .handler = rows[i].handler,
		    .rpc = rows[i].rpc == P_M_NONE ? NULL : &p_methods[rows[i].rpc],
		    .scope = rows[i].scope,
		    .help = rows[i].help});
	for (size_t i = 0; i < P_M__COUNT; i++) {
		const struct p_method *m = &p_methods[i];
		struct route r = {
		    .path = m->http_path, .where = AT_MOUNTS, .rpc = m, .help = m->help};

		if (m->http_method[0] == '\0')
			continue;
		AWO_ASSERT(http_method_find(m->http_method, &r.method));
		r.handler = special[i] != NULL ? special[i] : handle_rpc;
		r.scope = m->id == P_M_system_health ? 0 : p_method_scope(m);
		add_route(r);
	}
}

const struct route *
routes_all(size_t *n)
{
	if (ntable == 0)
		make_table();
	*n = ntable;
	return table;
}

/* How well a route fits: -1 not at all, else the more fixed words the better. */
static int
fit(const struct route *r, char *const *segments, size_t n)
{
	int words = 0;

	for (size_t i = 0; i < r->nparts; i++) {
		if (i >= n)
			return -1;
		if (r->parts[i].kind == PART_REST)
			return words;
		if (r->parts[i].kind == PART_NAME)
			continue;
		if (strncmp(segments[i], r->parts[i].text, r->parts[i].len) != 0 ||
		    segments[i][r->parts[i].len] != '\0')
			return -1;
		words++;
	}
	return r->nparts == n ? words + 1 : -1;
}

static bool
take_params(const struct route *r, char *const *segments, size_t n, struct route_params *params)
{
	params->n = 0;
	for (size_t i = 0; i < r->nparts; i++) {
		struct route_param *p = &params->v[params->n];
		size_t used = 0;

		if (r->parts[i].kind == PART_WORD)
			continue;
		AWO_ASSERT(params->n < ROUTE_PARAMS && r->parts[i].len < sizeof(p->name));
		snprintf(p->name, sizeof(p->name), "%.*s", (int)r->parts[i].len, r->parts[i].text);
		p->value[0] = '\0';
		for (size_t k = i; k < (r->parts[i].kind == PART_REST ? n : i + 1); k++) {
			int got = snprintf(p->value + used, sizeof(p->value) - used, "%s%s",
			    k > i ? "/" : "", segments[k]);

			if (got < 0 || (size_t)got >= sizeof(p->value) - used)
				return false;
			used += (size_t)got;
		}
		params->n++;
	}
	return true;
}

/* Looks below one mount; what fits best is kept in *m. */
static void
find_below(
    unsigned where, char *const *segments, size_t n, enum http_method method, struct route_match *m)
{
	enum http_method wanted = method == HTTP_HEAD ? HTTP_GET : method;
	const struct route *best = NULL, *all;
	int best_fit = -1, path_fit = -1;
	size_t nroutes;

	all = routes_all(&nroutes);
	for (size_t i = 0; i < nroutes; i++) {
		int f = (all[i].where & where) != 0 ? fit(&all[i], segments, n) : -1;

		if (f < 0 || f < path_fit)
			continue;
		/* methods are those of the path that fits best: /queue is no order's id */
		if (f > path_fit)
			m->allow = 0;
		path_fit = f;
		m->allow |= 1U << all[i].method;
		if (all[i].method == wanted && f >= best_fit) {
			best = &all[i];
			best_fit = f;
		}
	}
	if (m->allow & 1U << HTTP_GET)
		m->allow |= 1U << HTTP_HEAD;
	if (m->allow != 0)
		m->allow |= 1U << HTTP_OPTIONS;
	if (best != NULL && best_fit == path_fit && take_params(best, segments, n, &m->params))
		m->route = best;
}

void
route_find(const struct target *t, enum http_method method, struct route_match *m)
{
	char *const *segments = t->segments;

	*m = (struct route_match){.mount = MOUNT_ROOT, .prefix = ""};
	find_below(AT_ROOT, segments, t->nsegments, method, m);
	if (m->allow != 0)
		return;
	for (size_t i = 0; i < NMOUNTS; i++) {
		size_t k = 0;

		while (k < mounts[i].nparts && k < t->nsegments &&
		       strcmp(segments[k], mounts[i].parts[k]) == 0)
			k++;
		if (k < mounts[i].nparts)
			continue;
		m->mount = mounts[i].mount;
		m->prefix = mounts[i].prefix;
		find_below(AT_MOUNTS, segments + k, t->nsegments - k, method, m);
		return;
	}
}

const char *
route_allow(unsigned allow, char *buf, size_t len)
{
	size_t used = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < NMETHODS; i++)
		if (allow & 1U << i && used < len)
			used += (size_t)snprintf(
			    buf + used, len - used, "%s%s", used > 0 ? ", " : "", method_names[i]);
	return buf;
}
