/* Repository addresses: every accepted spelling to one canonical form. */
#include "common/repo_url.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/text.h"

#define BAD(e, ...) ERR(e, INVALID_ARGUMENT, "repository_url", __VA_ARGS__)

static const struct {
	const char *prefix;
	enum repo_scheme scheme;
	uint16_t port;
} schemes[] = {
    {"https://", REPO_HTTPS, 443},
    {"http://", REPO_HTTP, 80},
    {"ssh://", REPO_SSH, 22},
    {"file://", REPO_FILE, 0},
};

static bool
is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* [address of IP version 6]: in brackets, in its shortest form. */
static int
set_host6(const char *s, size_t len, struct repo_url *u, struct awo_err *err)
{
	char text[INET6_ADDRSTRLEN] = "", shortest[INET6_ADDRSTRLEN];
	struct in6_addr addr;

	if (len >= 2 && len - 2 < sizeof text)
		memcpy(text, s + 1, len - 2);
	if (inet_pton(AF_INET6, text, &addr) != 1 ||
	    !inet_ntop(AF_INET6, &addr, shortest, sizeof shortest))
		return BAD(err, "the host in brackets is no address of IP version 6");
	snprintf(u->host, sizeof u->host, "[%s]", shortest);
	return 0;
}

static int
set_host(const char *s, size_t len, struct repo_url *u, struct awo_err *err)
{
	size_t label = 0;

	if (len == 0)
		return BAD(err, "the host is missing: write https://host/owner/repository");
	if (s[0] == '[')
		return set_host6(s, len, u, err);
	if (len > 253)
		return BAD(err, "the host is longer than 253 bytes");
	if (s[0] == '-')
		return BAD(err, "the host may not begin with '-'");
	for (size_t i = 0; i < len; i++) {
		char c = s[i];

		u->host[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
		if ((unsigned char)c >= 0x80)
			return BAD(err, "the host has letters beyond ASCII: write its xn-- form");
		if (c == '.') {
			if (label == 0 || i + 1 == len || s[i - 1] == '-')
				return BAD(err,
				    "the host is malformed: a part of it is empty or ends in '-'");
			label = 0;
			continue;
		}
		if (!is_alnum(c) && c != '_' && (c != '-' || label == 0))
			return BAD(err, "the host may have letters, digits, '.', '_' and '-' only");
		if (++label > 63)
			return BAD(err, "a part of the host is longer than 63 bytes");
	}
	if (s[len - 1] == '-')
		return BAD(err, "the host may not end in '-'");
	return 0;
}

static int
set_port(const char *s, size_t len, uint16_t usual, struct repo_url *u, struct awo_err *err)
{
	unsigned n = 0;

	for (size_t i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			n = 65536;
		else if (n <= 65535)
			n = n * 10 + (unsigned)(s[i] - '0');
	}
	if (len == 0 || n == 0 || n > 65535)
		return BAD(err, "the port must be a number between 1 and 65535");
	u->port = n == usual ? 0 : (uint16_t)n;
	return 0;
}

static int
set_user(const char *s, size_t len, struct repo_url *u, struct awo_err *err)
{
	if (len == 0 || len >= sizeof u->user || s[0] == '-')
		return BAD(err, "the user name before '@' is empty, too long or begins with '-'");
	for (size_t i = 0; i < len; i++) {
		if (s[i] == ':')
			return BAD(err,
			    "a password in the address is not accepted: store a credential instead "
			    "(awoctl credential set)");
		if (!is_alnum(s[i]) && !strchr("._-+", s[i]))
			return BAD(err,
			    "the user name before '@' may have letters, digits and . _ - + only");
	}
	memcpy(u->user, s, len);
	u->user[len] = '\0';
	return 0;
}

/* Appends c, or its percent form. */
static int
put(struct repo_url *u, size_t *n, unsigned char c, bool escape, struct awo_err *err)
{
	static const char hex[] = "0123456789ABCDEF";

	if (*n + (escape ? 3 : 1) >= sizeof u->path)
		return BAD(err, "the path is longer than %zu bytes", sizeof u->path - 1);
	if (escape) {
		u->path[(*n)++] = '%';
		u->path[(*n)++] = hex[c >> 4];
		u->path[(*n)++] = hex[c & 15];
	} else {
		u->path[(*n)++] = (char)c;
	}
	u->path[*n] = '\0';
	return 0;
}

static bool
is_dots(const char *s, size_t n)
{
	return (n == 1 && s[0] == '.') || (n == 2 && s[0] == '.' && s[1] == '.');
}

/*
 * The path of a remote: no empty parts, escapes in one spelling (RFC 3986, 6.2.2), one .git taken
 * off. literal: from git@host:path, where '%' is a letter like others.
 */
static int
set_path(const char *s, bool literal, struct repo_url *u, struct awo_err *err)
{
	size_t n = 0, begin = 0, end;

	for (;; s++) {
		unsigned char c = (unsigned char)*s;
		bool escape;

		if (c == '/' || c == '\0') {
			if (is_dots(u->path + begin, n - begin))
				return BAD(err, "'.' and '..' are not accepted in the path");
			if (c == '\0')
				break;
			if (n > begin) {
				if (put(u, &n, '/', false, err) < 0)
					return -1;
				begin = n;
			}
			continue;
		}
		if (c == '?' || c == '#')
			return BAD(err,
			    "'%c' and what follows is not accepted: give the repository's address "
			    "only",
			    c);
		if (c == '\\')
			return BAD(err, "'\\' is not accepted in the path: write '/'");
		if (strchr("\"<>^`{|}", c))
			return BAD(err, "'%c' is not accepted in the path", c);
		escape = c >= 0x80;
		if (c == '%' && literal) {
			escape = true;
		} else if (c == '%') {
			int hi = hex_value(s[1]), lo = hi < 0 ? -1 : hex_value(s[2]);

			if (lo < 0)
				return BAD(err, "'%%' must be followed by two hexadecimal digits");
			c = (unsigned char)(hi << 4 | lo);
			if (c < 0x20 || c == 0x7f || c == '/' || c == '\\')
				return BAD(err, "%%%.2s is not accepted in the path", s + 1);
			escape = !is_alnum((char)c) && !strchr("-._~", c);
			s += 2;
		}
		if (put(u, &n, c, escape, err) < 0)
			return -1;
	}
	while (n > 0 && u->path[n - 1] == '/')
		u->path[--n] = '\0';
	if (n >= 4 && memcmp(u->path + n - 4, ".git", 4) == 0) {
		n -= 4;
		u->path[n] = '\0';
	}
	if (n == 0 || u->path[n - 1] == '/')
		return BAD(err, "the repository's name is missing in the path");
	begin = n;
	while (begin > 0 && u->path[begin - 1] != '/')
		begin--;
	/* of "...git.git" each further reader takes one more .git off: a name must be left in the end */
	for (end = n; end - begin >= 4 && memcmp(u->path + end - 4, ".git", 4) == 0;)
		end -= 4;
	if (end == begin)
		return BAD(err, "the repository's name is missing in the path");
	if (is_dots(u->path + begin, end - begin))
		return BAD(err, "'.' and '..' are not accepted in the path");
	if (u->path[0] == '-')
		return BAD(err, "the path may not begin with '-'");
	return 0;
}

static int
set_local(const char *s, struct repo_url *u, struct awo_err *err)
{
	size_t n = 0, begin = 0;

	if (*s != '/')
		return BAD(err, "a local repository needs an absolute path: file:///path or /path");
	for (;; s++) {
		if (*s == '/' || *s == '\0') {
			if (is_dots(u->path + begin, n - begin))
				return BAD(err, "'.' and '..' are not accepted in the path");
			if (*s == '\0')
				break;
			if (n == 0 || u->path[n - 1] != '/') {
				if (put(u, &n, '/', false, err) < 0)
					return -1;
			}
			begin = n;
		} else if (put(u, &n, (unsigned char)*s, false, err) < 0) {
			return -1;
		}
	}
	while (n > 0 && u->path[n - 1] == '/')
		u->path[--n] = '\0';
	if (n == 0)
		return BAD(err, "the root directory is no repository");
	return 0;
}

/* owner, name, host_port and canonical from the parts. */
static int
finish(struct repo_url *u, struct awo_err *err)
{
	const char *path = u->path[0] == '/' ? u->path + 1 : u->path;
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	size_t owner = slash ? (size_t)(slash - path) : 0;
	int n;

	if (owner >= sizeof u->owner || strlen(name) >= sizeof u->name)
		return BAD(err,
		    "the directory or the name of the repository is longer than %zu bytes",
		    sizeof u->owner - 1);
	memcpy(u->owner, path, owner);
	u->owner[owner] = '\0';
	memcpy(u->name, name, strlen(name) + 1);
	if (u->port)
		snprintf(u->host_port, sizeof u->host_port, "%s:%u", u->host, u->port);
	else
		snprintf(u->host_port, sizeof u->host_port, "%s", u->host);
	if (u->scheme == REPO_FILE)
		n = snprintf(u->canonical, sizeof u->canonical, "file://%s", u->path);
	else
		n = snprintf(u->canonical, sizeof u->canonical, "%s%s%s%s/%s",
		    schemes[u->scheme].prefix, u->user, u->user[0] ? "@" : "", u->host_port,
		    u->path);
	/* what is stored and sent again may be 2048 bytes long */
	if (n < 0 || n > 2048)
		return BAD(err, "the address is longer than 2048 bytes");
	return 0;
}

static int
parse_remote(const char *s, uint16_t usual, struct repo_url *u, struct awo_err *err)
{
	size_t len = strcspn(s, "/?#");
	const char *at = memrchr(s, '@', len), *port, *end = s + len;

	if (at) {
		if (u->scheme != REPO_SSH)
			return BAD(err, "a user name, password or token in the address is not "
					"accepted: store a "
					"credential instead (awoctl credential set)");
		if (set_user(s, (size_t)(at - s), u, err) < 0)
			return -1;
		s = at + 1;
	} else if (u->scheme == REPO_SSH) {
		memcpy(u->user, "git", 4);
	}
	port = end > s ? memrchr(s, ':', (size_t)(end - s)) : NULL;
	if (port && *s == '[' && memchr(port, ']', (size_t)(end - port)))
		port = NULL; /* that colon is part of the address */
	if (port && set_port(port + 1, (size_t)(end - port - 1), usual, u, err) < 0)
		return -1;
	if (set_host(s, (size_t)((port ? port : end) - s), u, err) < 0)
		return -1;
	return set_path(end, false, u, err);
}

/* git@host:path */
static int
parse_scp(const char *s, struct repo_url *u, struct awo_err *err)
{
	const char *at = strchr(s, '@'), *colon;

	u->scheme = REPO_SSH;
	if (set_user(s, (size_t)(at - s), u, err) < 0)
		return -1;
	s = at + 1;
	colon = *s == '[' ? strchr(s, ']') : s;
	colon = colon ? strchr(colon, ':') : NULL;
	if (!colon)
		return BAD(err, "after git@host comes ':' and the path: git@host:owner/repository");
	if (set_host(s, (size_t)(colon - s), u, err) < 0)
		return -1;
	return set_path(colon + 1, true, u, err);
}

/* owner/repo of GitHub */
static int
parse_short(const char *s, struct repo_url *u, struct awo_err *err)
{
	const char *slash = strchr(s, '/');

	if (!slash || slash == s || !slash[1] || strchr(slash + 1, '/'))
		return BAD(err,
		    "not an address of a repository: write https://host/owner/repository, "
		    "git@host:path, an absolute path, or owner/repository for GitHub");
	for (const char *c = s; *c; c++) {
		if (!is_alnum(*c) && !strchr("-_./", *c))
			return BAD(err, "owner/repository may have letters, digits and - _ . only");
		if (*c == '.' && c < slash)
			return BAD(err,
			    "an owner on GitHub has no '.': for another host write https:// before "
			    "it, for a local repository its absolute path");
	}
	u->scheme = REPO_HTTPS;
	memcpy(u->host, "github.com", 11);
	return set_path(s, false, u, err);
}

int
repo_url_parse(const char *text, struct repo_url *out, struct awo_err *err)
{
	struct repo_url u = {0};
	size_t len = strnlen(text, 2049), colon;
	const char *s = text;
	int rc;

	if (len == 0)
		return BAD(err, "the repository's address is missing");
	if (len > 2048)
		return BAD(err, "the repository's address is longer than 2048 bytes");
	if (!text_is_utf8(text, len))
		return BAD(err, "the repository's address is not UTF-8");
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
			return BAD(
			    err, "control characters are not accepted in a repository's address");
	if (*s == '-')
		return BAD(err, "a repository's address may not begin with '-'");
	if (*s != '/' && strncasecmp(s, "file://", 7) != 0 && strchr(s, ' '))
		return BAD(err,
		    "spaces are not accepted in the address of a remote repository: write %%20");
	for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
		size_t n = strlen(schemes[i].prefix);

		if (strncasecmp(s, schemes[i].prefix, n) != 0)
			continue;
		u.scheme = schemes[i].scheme;
		s += n;
		if (u.scheme != REPO_FILE)
			rc = parse_remote(s, schemes[i].port, &u, err);
		else if (*s != '/' && strncasecmp(s, "localhost/", 10) != 0)
			return BAD(err, "a file URL names no other host: write file:///path");
		else
			rc = set_local(*s == '/' ? s : s + 9, &u, err);
		goto done;
	}
	colon = strcspn(s, ":/");
	if (strncmp(s + colon, "://", 3) == 0)
		return BAD(
		    err, "%.*s:// is not supported: use https, http, ssh or file", (int)colon, s);
	if (*s == '/') {
		u.scheme = REPO_FILE;
		rc = set_local(s, &u, err);
	} else if (memchr(s, '@', strcspn(s, "/"))) {
		rc = parse_scp(s, &u, err);
	} else if (s[colon] == ':') {
		return BAD(err, "for a repository over ssh write git@host:path");
	} else {
		rc = parse_short(s, &u, err);
	}
done:
	if (rc < 0 || finish(&u, err) < 0)
		return -1;
	*out = u;
	return 0;
}
