/* Repository addresses: every accepted spelling to one canonical form. */
#ifndef COMMON_REPO_URL_H
#define COMMON_REPO_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

enum repo_scheme { REPO_HTTPS, REPO_HTTP, REPO_SSH, REPO_FILE };

struct repo_url {
	enum repo_scheme scheme;
	char canonical[2100];	/* no .git, no trailing slash, host in lower case, no credentials; file:///abs/path for local ones; ssh://git@host/path for git@host:path */
	char user[128];		/* ssh user ("git" by default); "" for others */
	char host[256];		/* lower case, no port; "" for local ones */
	uint16_t port;		/* 0 when it is the scheme's own */
	char path[2048];	/* without leading slash and .git for remote ones; absolute for local ones */
	char owner[512];	/* all but the last part of path; "" when there is one part only */
	char name[512];		/* last part of path */
	char host_port[272];	/* host, or host:port when the port is not the scheme's own */
};

/* Accepts https, http, ssh, file URLs, git@host:path, an absolute path and owner/repo (GitHub). Field: repository_url.
 * Credentials inside a URL are refused, with the advice to store one. */
int repo_url_parse(const char *text, struct repo_url *out, struct awo_err *err);

#endif
