/* Prints the reference of the HTTP interface, as Markdown; with --openapi as OpenAPI. */
#include <stdio.h>
#include <string.h>

#include "awo-gateway/openapi.h"
#include "common/clean.h"

int
main(int argc, char **argv)
{
	struct buf text CLEAN_BUF = {0};

	if (argc > 1 && strcmp(argv[1], "--openapi") == 0) {
		CLEAN_JSON json_t *root = openapi_make();

		json_dumpf(root, stdout, JSON_INDENT(2));
		putchar('\n');
		return ferror(stdout) != 0;
	}
	openapi_markdown(&text);
	fputs(text.p, stdout);
	return ferror(stdout) != 0;
}
