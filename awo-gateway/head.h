/* The head of a request: what two programs on its way could read in two ways. */
#ifndef GATEWAY_HEAD_H
#define GATEWAY_HEAD_H

#include <stdbool.h>

struct evkeyvalq;

/*
 * Why a request must not be answered otherwise than by the end of its connection; NULL when it may. A proxy that takes
 * another length for its body, or another of two Host or Authorization headers, would let one client's words be taken for
 * the next one's. is_head: HEAD, whose body evhttp leaves for the request that follows.
 */
const char *head_fault(const struct evkeyvalq *headers, bool is_head);

#endif
