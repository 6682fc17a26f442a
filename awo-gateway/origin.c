/* Where a request comes from, as a browser says it: against rebound names and pages of others. */
#include "awo-gateway/origin.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "awod/config.h"

/* Length of the host in "host:port" or "[address]:port". */
static size_t
host_len(const char *s)
{
	const char *end = *s == '[' ? strchr(s, ']') : NULL;

	if (end != NULL)
		return (size_t)(end + 1 - s);
	return strcspn(s, ":");
}

static bool
is_word(const char *s, size_t len, const char *word)
{
	return strlen(word) == len && strncasecmp(s, word, len) == 0;
}

/* An address, in brackets for version 6. */
static bool
is_address(const char *s, size_t len)
{
	char text[INET6_ADDRSTRLEN];
	unsigned char bytes[16];

	if (len >= 2 && *s == '[' && s[len - 1] == ']' && len - 2 < sizeof(text)) {
		snprintf(text, sizeof(text), "%.*s", (int)len - 2, s + 1);
		return inet_pton(AF_INET6, text, bytes) == 1;
	}
	if (len >= sizeof(text))
		return false;
	snprintf(text, sizeof(text), "%.*s", (int)len, s);
	return inet_pton(AF_INET, text, bytes) == 1;
}

/* localhost and what browsers take for it, whatever a name server says. */
static bool
is_localhost(const char *s, size_t len)
{
	static const char tail[] = ".localhost";
	size_t n = sizeof(tail) - 1;

	return is_word(s, len, "localhost") || (len > n && strncasecmp(s + len - n, tail, n) == 0);
}

static bool
is_loopback(const char *s, size_t len)
{
	return is_localhost(s, len) || is_word(s, len, "[::1]") ||
	       (is_address(s, len) && strncmp(s, "127.", 4) == 0);
}

/* What stands behind the scheme of an origin or of gateway.url, without the path; NULL when it has
 * none. */
static const char *
behind_scheme(const char *s, size_t *len)
{
	if (strncasecmp(s, "http://", 7) == 0)
		s += 7;
	else if (strncasecmp(s, "https://", 8) == 0)
		s += 8;
	else
		return NULL;
	*len = strcspn(s, "/");
	return s;
}

/* Whether a Host is one that was configured: with a port only with this one. */
static bool
is_named(const char *host, const char *name, size_t len)
{
	if (strlen(host) == len && strncasecmp(host, name, len) == 0)
		return true;
	return host_len(name) >= len && host_len(host) == len && strncasecmp(host, name, len) == 0;
}

bool
origin_host_allowed(const struct config *c, const char *host)
{
	const char *url;
	size_t len, n;

	if (host == NULL || strlen(host) > 300)
		return false;
	len = host_len(host);
	if (len == 0 ||
	    (host[len] != '\0' && (host[len] != ':' || strspn(host + len + 1, "0123456789") !=
							   strlen(host + len + 1))))
		return false;
	if (is_address(host, len) || is_localhost(host, len) ||
	    is_named(host, c->gateway_listen, host_len(c->gateway_listen)))
		return true;
	if (c->gateway_url != NULL && (url = behind_scheme(c->gateway_url, &n)) != NULL &&
	    is_named(host, url, n))
		return true;
	for (size_t i = 0; i < c->gateway_hosts.n; i++)
		if (is_named(host, c->gateway_hosts.v[i], strlen(c->gateway_hosts.v[i])))
			return true;
	return false;
}

/* The origin is the address that the request was sent to, or gateway.url, for which a proxy may
 * stand in. */
static bool
is_same(const struct config *c, const struct origin_facts *f)
{
	const char *name, *url;
	size_t len, n;

	if ((name = behind_scheme(f->origin, &len)) == NULL || name[len] != '\0')
		return false;
	/* a browser that is asked for both says both */
	if (f->site != NULL && strcasecmp(f->site, "same-origin") != 0 &&
	    strcasecmp(f->site, "none") != 0)
		return false;
	/* there the scheme is known: what comes without TLS may be from anybody on the way */
	if (c->gateway_url != NULL && (url = behind_scheme(c->gateway_url, &n)) != NULL &&
	    len == n && strncasecmp(name, url, n) == 0)
		return strncasecmp(f->origin, c->gateway_url, (size_t)(url - c->gateway_url)) == 0;
	return f->host != NULL && strcasecmp(name, f->host) == 0;
}

/* A page may keep its origin to itself; where the browser says whether it is the same, that
 * decides. */
static bool
is_told(const struct origin_facts *f)
{
	return f->origin != NULL && (f->site == NULL || strcmp(f->origin, "null") != 0);
}

bool
origin_is_foreign(const struct config *c, const struct origin_facts *f)
{
	if (is_told(f)) {
		if (is_same(c, f))
			return false;
		for (size_t i = 0; i < c->gateway_cors_origins.n; i++)
			if (strcasecmp(c->gateway_cors_origins.v[i], f->origin) == 0)
				return false;
		return true;
	}
	return f->site != NULL && strcasecmp(f->site, "same-origin") != 0 &&
	       strcasecmp(f->site, "none") != 0;
}

bool
origin_tells_site(const struct config *c, const char *host)
{
	return host == NULL || is_loopback(host, host_len(host)) ||
	       (c->gateway_url != NULL && strncasecmp(c->gateway_url, "https://", 8) == 0);
}

bool
origin_is_own(const struct config *c, const struct origin_facts *f, bool reads)
{
	if (is_told(f))
		return is_same(c, f);
	if (f->site != NULL)
		return strcasecmp(f->site, "same-origin") == 0 ||
		       (reads && strcasecmp(f->site, "none") == 0);
	/* browsers add Origin to whatever changes something */
	return reads && !origin_tells_site(c, f->host);
}
