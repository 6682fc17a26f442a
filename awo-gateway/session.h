/* A browser's session: the link that opens it, the cookie that carries it, its end. */
#ifndef GATEWAY_SESSION_H
#define GATEWAY_SESSION_H

#include <stdbool.h>

#include "awo-gateway/auth.h"
#include "awo-gateway/routes.h"

/* The session in the request's cookie into auth; false when there is none. */
bool session_cookie(const struct request *rq, char auth[WHO_AUTH_MAX + 1]);
/* The answer takes the cookie back. */
void session_clear_cookie(struct request *rq);

route_handler session_login;	/* GET /ui/login?token= */
route_handler session_confirm;	/* POST /ui/login: the same, after the reader was asked */
route_handler session_logout;	/* DELETE /session, POST /ui/logout */
route_handler session_show;	/* GET /session: who am I */

#endif
