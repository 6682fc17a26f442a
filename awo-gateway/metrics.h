/* Counters in the text format of Prometheus. */
#ifndef GATEWAY_METRICS_H
#define GATEWAY_METRICS_H

#include <jansson.h>

#include "common/buf.h"

struct gateway;

/* awod: the object of system.metrics, or NULL when awod is away. */
void metrics_text(struct buf *b, const struct gateway *g, const json_t *awod);

#endif
