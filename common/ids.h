/* Identifiers, all drawn from the kernel's random number generator. */
#ifndef COMMON_IDS_H
#define COMMON_IDS_H

#include <stdbool.h>
#include <stddef.h>

#define ID_ORDER_LEN 11 /* "wo-" and 8 hexadecimal digits */

void ids_order(char out[ID_ORDER_LEN + 1]);
bool ids_is_order(const char *s);		/* exactly the form of an order's id */
void ids_uuid(char out[37]);
void ids_hex(char *out, size_t bytes);		/* 2 * bytes digits and a NUL */

#endif
