/* What is known of the agents' programs: whether they run, and which version they are; asked for in the background. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "awod/agent_version.h"
#include "awod/engine.h"
#include "common/buf.h"
#include "common/clean.h"
#include "common/clock.h"
#include "common/log.h"

#define FRESH_US (600 * 1000000LL)
#define TASK_MS 30000 /* the worker gives the program 20 s; this is for a worker that hangs */

struct entry {
	struct entry *next;
	char *key;	/* of the agent's definition: another one is another program */
	bool known, wanted;
	int64_t at_us;	/* monotonic: when it was answered */
	struct agent_version now;
};

struct agent_versions {
	struct broker *b;
	struct entry *entries;
	struct question *questions;	/* not answered yet */
	bool asking;	/* one at a time: programs of this kind can take seconds and 300 MB */
	bool again;	/* what is being asked was asked before a reload */
};

/* One question; it may outlive its entry. */
struct question {
	struct question *next;
	struct broker *b;
	char *name, *key;
	bool background;
	agent_version_done *done;
	void *arg;
};

static void ask_next(struct agent_versions *v);

/* ---- entries */

static char *
key_of(const struct config_agent *a)
{
	struct buf key = {0};

	buf_printf(&key, "%s\n%s\n%s", a->name, a->adapter, a->program);
	for (size_t i = 0; i < a->paths.n; i++)
		buf_printf(&key, "\n%s", a->paths.v[i]);
	return buf_take(&key);
}

static struct entry *
find(const struct agent_versions *v, const char *key)
{
	struct entry *e;

	for (e = v->entries; e != NULL && strcmp(e->key, key) != 0; e = e->next)
		;
	return e;
}

/* The agent's entry, made when it is new. */
static struct entry *
entry_of(struct agent_versions *v, const struct config_agent *a)
{
	CLEAN_FREE char *key = key_of(a);
	struct entry *e = find(v, key);

	if (e == NULL) {
		e = xcalloc(1, sizeof(*e));
		e->key = TAKE_PTR(key);
		e->wanted = true;
		e->next = v->entries;
		v->entries = e;
	}
	return e;
}

static void
forget(struct agent_version *a)
{
	free(a->path);
	free(a->version);
	free(a->error);
	*a = (struct agent_version){0};
}

static void
entry_free(struct entry *e)
{
	forget(&e->now);
	free(e->key);
	free(e);
}

/* ---- questions */

static void
question_free(struct question *q)
{
	struct agent_versions *v = q->b->agents;

	for (struct question **p = v != NULL ? &v->questions : NULL; p != NULL && *p != NULL; p = &(*p)->next) {
		if (*p == q) {
			*p = q->next;
			break;
		}
	}
	free(q->name);
	free(q->key);
	free(q);
}

static char *
text_of(const json_t *object, const char *name)
{
	return xstrdup(json_string_value(json_object_get(object, name)));
}

/* The worker's answer, or why there is none, as it is kept. */
static void
understand(const struct awo_err *err, const json_t *answer, struct agent_version *out)
{
	const char *reason = json_string_value(json_object_get(answer, "reason"));

	*out = (struct agent_version){.ok = err == NULL || err->code == AWO_OK};
	out->path = text_of(answer, "path");
	out->version = out->ok ? text_of(answer, "version") : NULL;
	if (out->ok && (out->path == NULL || out->version == NULL)) {
		out->ok = false;
		out->error = xstrdup("the worker's answer lacks path or version");
	} else if (!out->ok) {
		out->missing = reason != NULL && strcmp(reason, "not_found") == 0;
		out->error = text_of(answer, "message");
		if (out->error == NULL)
			out->error = xstrdup(err->msg);
	}
}

static void
told(void *arg, const struct awo_err *err, json_t *answer)
{
	struct question *q = arg;
	struct agent_versions *v = q->b->agents;
	struct agent_version heard;
	struct entry *e = v != NULL ? find(v, q->key) : NULL;
	/* a run that did not take place says nothing of the program; of what the background has tried, health is told all the same */
	bool answered = engine_task_answered(err, answer), outdated = q->background ? v != NULL && v->again : !answered;

	understand(err, answer, &heard);
	if (q->done != NULL)
		q->done(q->arg, q->name, err, answered ? &heard : NULL);
	if (e != NULL && !outdated) {
		forget(&e->now);
		e->now = heard;
		e->known = true;
		e->wanted = false;
		e->at_us = clock_mono_us();
		heard = (struct agent_version){0};
		if (q->background)
			log_debug("agent_version", LS("agent", q->name), LS("path", e->now.path != NULL ? e->now.path : ""),
			    LS("version", e->now.version != NULL ? e->now.version : ""),
			    LS("error", e->now.error != NULL ? e->now.error : ""));
	}
	if (q->background && v != NULL) {
		v->asking = v->again = false;
		ask_next(v);
	}
	forget(&heard);
	question_free(q);
}

static void
ask(struct broker *b, const struct config_agent *a, uint32_t uid, struct question *q)
{
	struct engine_task task = {.program = SUP_AGENT_VERSION, .verb = "version", .owner_uid = uid, .timeout_ms = TASK_MS,
		.asked = !q->background, .asked_by = uid};
	json_t *paths = json_array();

	for (size_t i = 0; i < a->paths.n; i++)
		json_array_append_new(paths, json_string(a->paths.v[i]));
	task.request = json_pack("{s:s, s:s, s:s, s:o}", "agent", a->name, "adapter", a->adapter, "program", a->program, "paths",
	    paths);
	AWO_ASSERT(task.request != NULL);	/* the configuration is text */
	q->b = b;
	q->name = xstrdup(a->name);
	q->key = key_of(a);
	if (b->agents != NULL) {
		q->next = b->agents->questions;
		b->agents->questions = q;
	}
	engine_task(b->engine, &task, told, q);
}

void
agent_version_ask(struct broker *b, const struct config_agent *a, uint32_t uid, agent_version_done *done, void *arg)
{
	struct question *q = xcalloc(1, sizeof(*q));

	q->done = done;
	q->arg = arg;
	ask(b, a, uid, q);
}

static void
ask_next(struct agent_versions *v)
{
	const struct config *c = v->b->conf;
	const struct config_agent *next = NULL;
	struct question *q;

	if (v->asking)
		return;
	/* the default agent first: it is the one that people wait for */
	for (size_t i = 0; i < c->nagents; i++) {
		const struct config_agent *a = &c->agents[i];

		if (entry_of(v, a)->wanted && (next == NULL || strcmp(a->name, c->default_agent) == 0))
			next = a;
	}
	if (next == NULL)
		return;
	v->asking = true;
	q = xcalloc(1, sizeof(*q));
	q->background = true;
	ask(v->b, next, (uint32_t)getuid(), q);
}

/* ---- what others see */

void
agent_versions_open(struct broker *b)
{
	struct agent_versions *v = xcalloc(1, sizeof(*v));

	v->b = b;
	b->agents = v;
	ask_next(v);
}

void
agent_versions_close(struct agent_versions *v)
{
	if (v == NULL)
		return;
	while (v->questions != NULL)
		/* each leaves the list when it is freed; NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
		question_free(v->questions);
	while (v->entries != NULL) {
		struct entry *e = v->entries;

		v->entries = e->next;
		entry_free(e);
	}
	free(v);
}

void
agent_versions_reloaded(struct agent_versions *v)
{
	const struct config *c;
	struct entry **p;

	if (v == NULL)
		return;
	c = v->b->conf;
	for (p = &v->entries; *p != NULL;) {
		struct entry *e = *p;
		bool there = false;

		for (size_t i = 0; i < c->nagents && !there; i++) {
			CLEAN_FREE char *key = key_of(&c->agents[i]);

			there = strcmp(key, e->key) == 0;
		}
		e->wanted = true;
		if (there) {
			p = &e->next;
		} else {
			*p = e->next;
			entry_free(e);
		}
	}
	v->again = v->asking;
	ask_next(v);
}

const struct agent_version *
agent_versions_get(struct agent_versions *v, const struct config_agent *a)
{
	struct entry *e;

	if (v == NULL)
		return NULL;
	e = entry_of(v, a);
	if (e->known && clock_mono_us() - e->at_us > FRESH_US)
		e->wanted = true;
	ask_next(v);
	return e->known ? &e->now : NULL;
}
