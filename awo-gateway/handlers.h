/* What answers the routes that are calls of awod. */
#ifndef GATEWAY_HANDLERS_H
#define GATEWAY_HANDLERS_H

#include "awo-gateway/routes.h"

/* Any method: parameters from body, query and path by its request type, the answer in the mount's
 * shape. */
route_handler handle_rpc;
/* order.list: states as the mount's clients know them. */
route_handler handle_list;
/* order.create: spellings of the requirements, Idempotency-Key, repository_id. */
route_handler handle_create;
route_handler handle_health;
route_handler handle_metrics;
route_handler handle_awo_settings;
route_handler handle_github_token;

#endif
