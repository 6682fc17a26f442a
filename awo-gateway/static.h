/* The web UI's files, and what answers at the root. */
#ifndef GATEWAY_STATIC_H
#define GATEWAY_STATIC_H

#include "awo-gateway/routes.h"

route_handler serve_root; /* "/": browsers are sent to the UI, others told what this is */
route_handler serve_ui;	  /* "/ui/...": a file, or the UI's page for addresses of its own */

/* Headers of a page made by this program: nothing but its own files may be loaded. */
void static_page_headers(struct request *rq);

#endif
