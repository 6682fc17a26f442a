/* The ports of an order: as text for .ports.env and as environment of the agent. */
#ifndef WORKER_PORTS_H
#define WORKER_PORTS_H

#include <stdint.h>

#include "common/buf.h"
#include "proto/schema.h"

/* "KEY=value" lines; nothing when count is 0. */
void ports_text(int64_t start, int64_t count, struct buf *out);
void ports_env(int64_t start, int64_t count, struct p_strv *out);

#endif
