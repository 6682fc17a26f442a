/* What the order does at its forge, through awo-forge: the repository, its issue, the pull request,
 * a comment. */
#ifndef WORKER_PULL_REQUEST_H
#define WORKER_PULL_REQUEST_H

#include <stdbool.h>

#include "awo-worker/failure.h"

struct order;

/* Whether the repository's forge has an API that AWO speaks, and a token for it is there. */
bool forge_known(const struct order *o);
bool forge_usable(const struct order *o);
/* Tells github_repository_verified. -1 only when the token was refused. */
int forge_verify(struct order *o, struct failure *f);
/* Reads the issue into o->issue. */
int forge_issue(struct order *o, const char *number, struct failure *f);
/* Opens or finds the pull request of o->branch; tells so, and comments on the issue. */
int forge_pull_request(struct order *o, const char *title, const char *body, struct failure *f);
/* Whether an address is one of a pull request of the order's repository with this number. */
bool forge_url_fits(const char *url, const char *owner, const char *repo, long long number);

#endif
