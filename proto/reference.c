/* Prints the reference page of the RPC interface, as Markdown, from the tables. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "proto/msgpack.h"
#include "proto/schema.h"

static const char *const notifications[][2] = {
    {"log_line", "log_line"},
    {"stream_end", "stream_end"},
    {"stream_overflow", "stream_end"},
    {"event", "event"},
    {"changed", "empty"},
};

/* A table's cell: the bar would end it. */
static void
cell(const char *s)
{
	for (; *s; s++) {
		if (*s == '|')
			putchar('\\');
		putchar(*s);
	}
}

static void
type_of(const struct p_field *f)
{
	switch (f->kind) {
	case P_STR:
		fputs("string", stdout);
		break;
	case P_INT:
		fputs("integer", stdout);
		break;
	case P_BOOL:
		fputs("boolean", stdout);
		break;
	case P_DBL:
		fputs("number", stdout);
		break;
	case P_TIME:
		fputs("time", stdout);
		break;
	case P_ENUM:
		printf("[%s](#enum-%s)", f->en->name, f->en->name);
		break;
	case P_STRV:
		fputs("array of strings", stdout);
		break;
	case P_OBJ:
		printf("[%s](#type-%s)", f->type->name, f->type->name);
		break;
	case P_LIST:
		printf("array of [%s](#type-%s)", f->type->name, f->type->name);
		break;
	case P_ANY:
		fputs("any value", stdout);
		break;
	}
}

static void
limits_of(const struct p_field *f)
{
	switch (f->kind) {
	case P_STR:
		if (f->min == f->max)
			printf("%lld bytes", (long long)f->max);
		else
			printf("%lld to %lld bytes", (long long)f->min, (long long)f->max);
		break;
	case P_INT:
		if (f->max == INT64_MAX)
			printf("%lld or more", (long long)f->min);
		else
			printf("%lld to %lld", (long long)f->min, (long long)f->max);
		break;
	case P_DBL:
		printf("%.15g to %.15g", f->dmin, f->dmax);
		break;
	case P_STRV:
		printf("at most %lld, of %zu bytes each", (long long)f->max, f->item_max);
		break;
	case P_LIST:
		printf("at most %lld", (long long)f->max);
		break;
	case P_BOOL:
	case P_TIME:
	case P_ENUM:
	case P_OBJ:
	case P_ANY:
		break;
	}
}

static void
print_fields(const struct p_type *t)
{
	static const char *const needs[] = {
	    [P_REQ] = "required", [P_OPT] = "optional", [P_NUL] = "or null"};

	if (t->nfields == 0) {
		printf("No fields.\n\n");
		return;
	}
	printf("| Field | Type | | Limits | Meaning |\n|---|---|---|---|---|\n");
	for (size_t i = 0; i < t->nfields; i++) {
		const struct p_field *f = &t->fields[i];

		printf("| `%s` | ", f->name);
		type_of(f);
		printf(" | %s | ", needs[f->need]);
		limits_of(f);
		fputs(" | ", stdout);
		cell(f->help);
		fputs(" |\n", stdout);
	}
	putchar('\n');
}

static void
print_when(unsigned when)
{
	const char *before = "";

	if (when == W_ANY)
		return;
	fputs("* Allowed while the order is ", stdout);
	for (size_t i = 0; i < p_enum_order_status.nrows; i++) {
		const struct p_enum_row *row = &p_enum_order_status.rows[i];

		if (row->alias || !(when & 1U << row->value))
			continue;
		printf("%s`%s`", before, row->name);
		before = ", ";
	}
	puts("; else `failed_precondition`.");
}

static void
print_method(const struct p_method *m)
{
	static const char *const who[] = {
	    [P_WHO_USER] = "any local user",
	    [P_WHO_ORDER] = "whoever may see the order (its owner, administrators)",
	    [P_WHO_ADMIN] = "administrators",
	    [P_WHO_GATEWAY] = "the gateway",
	};

	printf("### %s\n\n%c%s.\n\n* For %s.\n", m->name, toupper((unsigned char)m->help[0]),
	    m->help + 1, who[m->who]);
	print_when(m->when);
	if (m->http_method[0])
		printf("* HTTP: `%s %s`\n", m->http_method, m->http_path);
	if (m->words[0])
		printf("* Command line: `awoctl %s`\n", m->words);
	printf("* Request: [%s](#type-%s)\n* Answer: [%s](#type-%s)\n\n", m->request->name,
	    m->request->name, m->answer->name, m->answer->name);
}

static void
print_methods(void)
{
	printf("## Methods\n\n");
	for (unsigned i = 0; i < P_M__COUNT; i++)
		print_method(&p_methods[i]);
	printf("## Notifications\n\nThey come on a connection that asked for a stream, with the "
	       "stream's number; `changed` on a gateway's, once after it has asked for orders, "
	       "when what it was answered may not hold any more.\n\n"
	       "| Method | Parameter |\n|---|---|\n");
	for (size_t i = 0; i < sizeof notifications / sizeof notifications[0]; i++)
		printf("| `%s` | [%s](#type-%s) |\n", notifications[i][0], notifications[i][1],
		    notifications[i][1]);
	putchar('\n');
}

static void
print_types(void)
{
	const struct p_type *const *types;
	size_t n;

	printf("## Types\n\nA required field must be given in a request and is always in an "
	       "answer. An optional one "
	       "may be left out, and is left out of answers when it is not set. \"Or null\" may be "
	       "left out of "
	       "requests, and is null in answers when it is not set. In requests null is the same "
	       "as nothing, and "
	       "keys that are not listed are ignored. Times are RFC 3339, in answers always UTC "
	       "with microseconds. "
	       "Strings are UTF-8 without NUL.\n\n");
	types = p_types(&n);
	for (size_t i = 0; i < n; i++) {
		printf("### <a id=\"type-%s\"></a>%s\n\n%s.\n\n", types[i]->name, types[i]->name,
		    types[i]->help);
		print_fields(types[i]);
	}
}

static void
print_enums(void)
{
	const struct p_enum *const *enums;
	size_t n;

	printf("## Enumerations\n\n");
	enums = p_enums(&n);
	for (size_t i = 0; i < n; i++) {
		printf("### <a id=\"enum-%s\"></a>%s\n\n%s.\n\n| Value | Meaning |\n|---|---|\n",
		    enums[i]->name, enums[i]->name, enums[i]->help);
		for (size_t r = 0; r < enums[i]->nrows; r++) {
			const struct p_enum_row *row = &enums[i]->rows[r];

			printf("| `%s` | ", row->name);
			if (row->alias)
				printf(
				    "another spelling of `%s`", p_enum_name(enums[i], row->value));
			else
				cell(row->help);
			fputs(" |\n", stdout);
		}
		putchar('\n');
	}
}

static void
print_errors(void)
{
	printf("## Error codes\n\n| Code | HTTP status | awoctl's exit status | Meaning "
	       "|\n|---|---|---|---|\n");
#define AWO_CODE(id, name, http, exit_, help)                                                      \
	printf("| `%s` | %d | %d | %s |\n", name, http, exit_, help);
#include "proto/errors.def"
#undef AWO_CODE
	putchar('\n');
}

static void
print_events(void)
{
	static const char *const writers[] = {
	    [P_WRITER_BROKER] = "awod", [P_WRITER_WORKER] = "awo-worker", [P_WRITER_BOTH] = "both"};

	printf(
	    "## Events\n\nThe lines of an order's log. Each carries `timestamp`, `level`, `event`, "
	    "`agent_work_order_id`, `work_order_id`, `repository_url`, `sandbox_type`, "
	    "`workflow_type` and, "
	    "within a step, `step`. State lines change the order's record.\n\n"
	    "| Event | Written by | State | Fields | Meaning |\n|---|---|---|---|---|\n");
	for (unsigned i = P_E__NONE + 1; i < P_E__COUNT; i++) {
		const struct p_event_row *e = &p_events[i];

		printf("| `%s` | %s | %s | %s | ", e->name, writers[e->writer],
		    e->state ? "yes" : "", e->fields);
		cell(e->help);
		fputs(" |\n", stdout);
	}
}

int
main(void)
{
	printf("# RPC reference\n\n"
	       "This page is made from the tables in proto/ by `awo-reference`.\n\n"
	       "awod speaks msgpack-rpc on its Unix socket: a request is `[0, id, method, "
	       "[params]]`, its answer "
	       "`[1, id, error, result]`, a notification `[2, method, [params]]`. params is one "
	       "map. An error is a "
	       "map with `code`, `message` and, where a field is to blame, `field`; where several "
	       "are, `errors` has a map with `field` and `message` for each. A message may "
	       "have %u bytes and "
	       "be nested %d levels deep; extension types and binary data are refused, and so is a "
	       "key that is "
	       "given twice.\n\n",
	    P_MESSAGE_MAX, P_NESTING_MAX);
	print_methods();
	print_types();
	print_enums();
	print_errors();
	print_events();
	return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1;
}
