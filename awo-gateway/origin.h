/* Where a request comes from, as a browser says it: against rebound names and pages of others. */
#ifndef GATEWAY_ORIGIN_H
#define GATEWAY_ORIGIN_H

#include <stdbool.h>

struct config;

/* What of a request decides; each NULL when the header is not there. */
struct origin_facts {
	const char *host;	/* Host */
	const char *origin;	/* Origin */
	const char *site;	/* Sec-Fetch-Site */
};

/*
 * Whether the gateway goes by this name: an address, which nobody can rebind; localhost; the host of gateway.listen or
 * gateway.url; one of gateway.hosts.
 */
bool origin_host_allowed(const struct config *c, const char *host);
/* Whether a page of another origin, which is none of gateway.cors_origins, sends this. What is no browser says nothing of it. */
bool origin_is_foreign(const struct config *c, const struct origin_facts *f);
/*
 * Whether a browser says that a page of the gateway's own sends this, or (for what only reads) the person at it: what a
 * cookie alone must not be believed without.
 */
bool origin_is_own(const struct config *c, const struct origin_facts *f, bool reads);
/*
 * Whether browsers tell Sec-Fetch-Site to whoever goes by this name: they do where nobody on the way can have changed what
 * they got.
 */
bool origin_tells_site(const struct config *c, const char *host);

#endif
