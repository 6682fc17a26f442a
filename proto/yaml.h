/* YAML text to a jansson tree that remembers where each value stood. */
#ifndef PROTO_YAML_H
#define PROTO_YAML_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

/* Where values stand: looked up by the address of the json_t. Opaque. */
struct yaml_marks;

/*
 * One document, no anchors, aliases or tags, nesting at most 32, text at most 1 MiB. Scalars follow the YAML 1.2 core
 * schema (true/false, null, integers, floats, else strings; quoted ones are strings). NULL with *err set as
 * "<name>:<line>:<column>: ..." on failure; a text without any value is null. *marks may be NULL; free it with yaml_marks_free().
 */
json_t *yaml_parse(const char *name, const char *text, size_t len, struct yaml_marks **marks, struct awo_err *err);
/* 1-based line and column of a value (of its key, for members of a mapping); false when it is not known. */
bool yaml_where(const struct yaml_marks *marks, const json_t *value, int *line, int *column);
/* The same of a member by its key: the only way for true, false and null, which jansson has once for all. */
bool yaml_where_key(const struct yaml_marks *marks, const json_t *mapping, const char *key, int *line, int *column);
void yaml_marks_free(struct yaml_marks *marks);

#endif
