/* What a request says, as one JSON object that the tables can check; and what is wrong with it, in
 * words for programs. */
#ifndef GATEWAY_ARGS_H
#define GATEWAY_ARGS_H

#include <jansson.h>

#include "awo-gateway/request.h"
#include "awo-gateway/routes.h"
#include "common/buf.h"
#include "common/err.h"
#include "proto/schema.h"

/* The error that is still to be answered when a request cannot be understood. */
struct args_error {
	const char *type; /* missing, enum, json_invalid, ... */
	enum origin origin;
	struct awo_err err; /* field: dotted path, or "" for the whole body */
	json_t *input;	    /* borrowed from the arguments, or NULL */
	int64_t position;   /* json_invalid: byte in the body */
};

/*
 * Puts body (may be empty), query and path together into a new object, as `type` wants them:
 * numbers, booleans and lists of the query are converted. The path wins over the body, which wins
 * over the query. NULL with *e set when the body cannot be read; e->type is set, too, when the body
 * contradicts the path.
 */
json_t *args_make(const struct p_type *type, const char *body, size_t len, const struct target *t,
    const struct route_params *params, struct args_error *e);
/* The field of `type` that a {name} of a path means: an order's {id} is agent_work_order_id. */
const char *args_path_field(const struct p_type *type, const char *name);
/* Where a member came from. */
enum origin args_origin(const struct p_type *type, const char *field, bool has_body,
    const struct target *t, const struct route_params *params);
/* Fills *e for an error that names a field (of p_from_json() or of awod). */
void args_explain(const struct p_type *type, const json_t *args, const struct awo_err *err,
    enum origin origin, struct args_error *e);
/*
 * All fields of which the type's rows say that they are wrong or missing, at most max, in the
 * type's order; how many. Their input is borrowed from args.
 */
size_t args_check(const struct p_type *type, const json_t *args, bool has_body,
    const struct target *t, const struct route_params *params, struct args_error *errors,
    size_t max);
/* {"detail":[{"type":...,"loc":[...],"msg":...,"input":...},...]} */
void args_errors_json(struct buf *b, const struct args_error *errors, size_t n);

#endif
