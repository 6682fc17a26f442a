/* The one error type: set where a thing fails, passed up by value, shown to whoever asked. */
#ifndef COMMON_ERR_H
#define COMMON_ERR_H

#include <stdbool.h>
#include <stddef.h>

enum awo_code {
	AWO_OK,
#define AWO_CODE(id, name, http, exit, help) AWO_##id,
#include "proto/errors.def"
#undef AWO_CODE
	AWO_CODE__COUNT
};

struct awo_err {
	enum awo_code code;
	const char *where;	/* function that set it; static */
	char field[96];		/* dotted path of the offending field, or empty */
	char msg[768];		/* for people; UTF-8, no newline at the end */
	char more[768];		/* further fields that are wrong: field NUL message NUL ... NUL */
};

/* Sets *e (NULL accepted) and returns -1, so that a failing function can say: return ERR(e, INTERNAL, "", "..."). */
#define ERR(e, code_, field_, ...) awo_err_set((e), AWO_##code_, __func__, (field_), __VA_ARGS__)
int awo_err_set(struct awo_err *e, enum awo_code code, const char *where, const char *field, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* Puts text before the message, and ": " between them unless the text ends in a space; returns -1. */
int awo_err_prefix(struct awo_err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Says that another field is wrong as well. What names no field, or does not fit any more, is left out. */
void awo_err_also(struct awo_err *e, const struct awo_err *other);
/* Number i of the fields that are wrong, as an error of its own: *e itself is number 0. False behind the last. */
bool awo_err_part(const struct awo_err *e, size_t i, struct awo_err *part);

const char *awo_code_name(enum awo_code code);			/* "not_found"; "ok" for AWO_OK */
enum awo_code awo_code_find(const char *name);			/* AWO_INTERNAL when unknown */
int awo_code_http(enum awo_code code);
int awo_code_exit(enum awo_code code);

/* An assertion for our own defects: stays on in release, prints where and the text, aborts. Never on anybody's input. */
#define AWO_ASSERT(cond) ((cond) ? (void)0 : awo_assert_failed(#cond, __FILE__, __LINE__, __func__))
_Noreturn void awo_assert_failed(const char *cond, const char *file, int line, const char *func);

#endif
