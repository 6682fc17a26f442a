/* Walking msgpack bytes without allocating or believing anything. */
#ifndef PROTO_SCAN_H
#define PROTO_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum m_kind { M_NIL, M_BOOL, M_INT, M_UINT, M_DBL, M_STR, M_BIN, M_ARRAY, M_MAP };

/* The head of a value. */
struct m_head {
	enum m_kind kind;
	size_t size; /* bytes of the head; the content of M_STR and M_BIN follows it */
	bool yes;    /* M_BOOL */
	int64_t i;   /* M_INT: negative numbers and all that fit */
	uint64_t u;  /* M_UINT: above INT64_MAX */
	double d;    /* M_DBL */
	uint32_t n;  /* M_STR, M_BIN: bytes; M_ARRAY: items; M_MAP: pairs */
};

/* 1 and *h; 0 when the head is not there in full; -1 for a byte that begins no accepted value
 * (extension types). */
int m_head(const uint8_t *p, size_t len, struct m_head *h);
/* Bytes of the first whole value, 0 when there is none (malformed, cut short). */
size_t m_skip(const uint8_t *p, size_t len);

#endif
