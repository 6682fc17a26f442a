/* Any program: its standard output is what it says, its exit status the verdict. */
#include "awo-worker/agents/adapter.h"

static const char *const env[] = {NULL};

static void
argv(const struct agent_request *r, struct p_strv *out)
{
	p_strv_add(out, r->program);
	for (size_t i = 0; i < r->args->n; i++)
		p_strv_add(out, r->args->v[i]);
}

static void
line(struct agent_stream *s, const char *p, size_t len)
{
	if (len > 0)
		adapter_say(s, AGENT_TEXT, p, len, false);
	adapter_text_more(s, p, len);
	adapter_text_more(s, "\n", 1);
}

static void
verdict(const struct agent_stream *s, const struct agent_exit *e, struct agent_verdict *v)
{
	v->ok = !e->signaled && e->code == 0;
	if (!v->ok)
		adapter_fail(s, e, "the program failed", v);
}

const struct agent_adapter agent_command = {
    .name = "command",
    .env = env,
    .sigint_cleans = false,
    .argv = argv,
    .line = line,
    .verdict = verdict,
};
