/* This interface described: as OpenAPI 3.1 for programs, as a page and as Markdown for people, all
 * from the tables. */
#ifndef GATEWAY_OPENAPI_H
#define GATEWAY_OPENAPI_H

#include <jansson.h>

#include "awo-gateway/routes.h"
#include "common/buf.h"

route_handler serve_openapi;
route_handler serve_docs;

json_t *openapi_make(void);	      /* new reference */
void openapi_html(struct buf *b);     /* the page /docs */
void openapi_markdown(struct buf *b); /* docs/http.md */

#endif
