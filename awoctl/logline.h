/* A line of an order's log, for people. */
#ifndef AWOCTL_LOGLINE_H
#define AWOCTL_LOGLINE_H

#include "awoctl/term.h"
#include "proto/schema.h"

/* Parses one line; NULL when it is no JSON object. New reference. */
json_t *logline_parse(const char *text);
/* With time, level and step, ending with a newline: the whole of it, or what fits into LOGLINE_SHORT columns. */
#define LOGLINE_SHORT 200
enum logline_how { LOGLINE_WHOLE, LOGLINE_CUT };
void logline_show(struct buf *b, const struct term *term, const json_t *line, enum logline_how how);
/* What the line says, without time and level, on one line: for the live view. Escaped. */
void logline_summary(struct buf *b, const json_t *line);
/* Whether somebody who watches an order's progress wants to see it. */
bool logline_notable(const json_t *line);
const char *logline_str(const json_t *line, const char *key);	/* "" when it is not there or no string */

#endif
