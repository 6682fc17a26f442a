/* Webhooks: handed to awod as they came in, which knows the secret and decides. */
#ifndef GATEWAY_WEBHOOK_H
#define GATEWAY_WEBHOOK_H

#include "awo-gateway/routes.h"

route_handler webhook_github;	/* POST /webhooks/github */

#endif
