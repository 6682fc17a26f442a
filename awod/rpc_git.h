/* What several methods need to know and ask about repositories. */
#ifndef AWOD_RPC_GIT_H
#define AWOD_RPC_GIT_H

#include <jansson.h>
#include <stdbool.h>

#include "awod/broker.h"
#include "awod/config.h"
#include "common/repo_url.h"

#define CLEAN_DIR "/awo/order/repository.git" /* where a task finds an order's clean repository */

/* Whether policy permits a repository; remote ones always are. PERMISSION_DENIED with the remedy.
 */
int repository_allowed(const struct broker *b, const struct repo_url *u, struct awo_err *err);
/* Whether the configured GitHub serves it. */
bool repository_is_github(const struct config *conf, const struct repo_url *u);
/* Common part of a request to awo-forge about a repository, with the token of a user. New
 * reference. */
json_t *forge_request(const struct broker *b, uint32_t uid, const struct repo_url *u);

#endif
