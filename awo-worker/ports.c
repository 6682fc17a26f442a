/* The ports of an order: as text for .ports.env and as environment of the agent. */
#include "awo-worker/ports.h"

#include <inttypes.h>
#include <string.h>

void
ports_text(int64_t start, int64_t count, struct buf *out)
{
	if (count <= 0)
		return;
	buf_printf(out,
	    "PORT_RANGE_START=%" PRId64 "\nPORT_RANGE_END=%" PRId64 "\nPORT_RANGE_SIZE=%" PRId64
	    "\n",
	    start, start + count - 1, count);
	for (int64_t i = 0; i < count; i++)
		buf_printf(out, "PORT_%" PRId64 "=%" PRId64 "\n", i, start + i);
	buf_printf(out, "BACKEND_PORT=%" PRId64 "\n", start);
	buf_printf(out, "FRONTEND_PORT=%" PRId64 "\n", count > 1 ? start + 1 : start);
	buf_printf(out, "VITE_BACKEND_URL=http://localhost:%" PRId64 "\n", start);
}

void
ports_env(int64_t start, int64_t count, struct p_strv *out)
{
	struct buf text CLEAN_BUF = {0};
	char *save = NULL;

	ports_text(start, count, &text);
	if (text.len == 0)
		return;
	for (char *line = strtok_r(text.p, "\n", &save); line != NULL;
	     line = strtok_r(NULL, "\n", &save))
		p_strv_add(out, line);
}
