/* Bringing a user's cache of a repository up to date: one job a cache, shared by all orders that wait for it. */
#include <stdio.h>
#include <string.h>

#include "awod/engine_priv.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/files.h"
#include "common/log.h"
#include "common/repo_url.h"

/* A cache that was asked for since this process started. */
struct fetch {
	struct fetch *next;
	struct engine *e;
	uint32_t uid;
	char name[65];
	int64_t fetched_us;		/* monotonic; 0: not yet */
	int64_t started_us;
	bool running;
	char *default_branch;
	struct live *waiting;
};

void
engine_cache_name(const char *canonical, char out[65])
{
	files_sha256_hex(canonical, strlen(canonical), out);
}

static struct fetch *
fetch_get(struct engine *e, uint32_t uid, const char *canonical)
{
	char name[65];
	struct fetch *f;

	engine_cache_name(canonical, name);
	for (f = e->fetches; f != NULL; f = f->next)
		if (f->uid == uid && strcmp(f->name, name) == 0)
			return f;
	f = xcalloc(1, sizeof(*f));
	f->e = e;
	f->uid = uid;
	memcpy(f->name, name, sizeof(name));
	f->next = e->fetches;
	e->fetches = f;
	return f;
}

static void
go_on(struct live *l, bool ok, void *arg)
{
	(void)arg;
	/* a cancel may have ended the order while this was being written */
	if (!l->fetching)
		return;
	l->fetching = false;
	if (!ok) {
		live_failed(l, error_category_resource, "the database could not be written; see awod's log", 0);
		return;
	}
	live_fetched(l);
}

static void
tell_completed(struct live *l, const struct fetch *f, double seconds, bool skipped)
{
	struct change *c = change_begin(l);

	change_event(c, "info", "repository_fetch_completed",
	    json_pack("{s:f,s:b,s:s?}", "duration_seconds", seconds, "skipped", skipped ? 1 : 0,
		"default_branch", f->default_branch));
	change_commit(c, go_on, NULL);
}

static void
fetched(void *arg, const struct awo_err *err, json_t *answer)
{
	struct fetch *f = arg;
	struct live *l, *list = f->waiting;
	int64_t now = clock_mono_us();
	double seconds = (double)(now - f->started_us) / 1e6;
	const char *branch = json_string_value(json_object_get(answer, "default_branch"));

	f->running = false;
	f->waiting = NULL;
	if (err->code == AWO_OK) {
		f->fetched_us = now;
		if (branch != NULL) {
			free(f->default_branch);
			f->default_branch = xstrdup(branch);
		}
	}
	while ((l = list) != NULL) {
		list = l->fetch_next;
		l->fetch = NULL;
		l->fetch_next = NULL;
		if (err->code != AWO_OK)
			l->fetching = false;
		if (err->code == AWO_OK)
			tell_completed(l, f, seconds, false);
		else {
			const char *text = json_string_value(json_object_get(answer, "category"));
			enum p_error_category category =
			    text != NULL ? (enum p_error_category)p_enum_value(&p_enum_error_category, text) :
			    err->code == AWO_DEADLINE_EXCEEDED || err->code == AWO_UNAVAILABLE ? error_category_transient :
			    err->code == AWO_RESOURCE_EXHAUSTED ? error_category_resource : error_category_internal;

			if (category == error_category_none)
				category = error_category_internal;
			live_failed(l, category, err->msg,
			    json_integer_value(json_object_get(answer, "retry_after_seconds")));
		}
	}
}

void
fetch_for(struct live *l)
{
	struct engine *e = l->e;
	struct fetch *f = fetch_get(e, l->row->owner_uid, l->row->canonical_url);
	struct engine_task t = {.program = SUP_GIT, .verb = "fetch", .flags = SUP_CACHE_RW | SUP_NET, .early = true};
	struct change *c;
	struct repo_url u;

	l->fetching = true;
	if (!f->running && f->fetched_us != 0 &&
	    clock_mono_us() - f->fetched_us < e->b->conf->repository_max_age * 1000000) {
		tell_completed(l, f, 0, true);
		return;
	}
	c = change_begin(l);
	change_event(c, "info", "repository_fetch_started", NULL);
	change_commit(c, NULL, NULL);
	l->fetch = f;
	l->fetch_next = f->waiting;
	f->waiting = l;
	if (f->running)
		return;
	f->running = true;
	f->started_us = clock_mono_us();
	t.owner_uid = f->uid;
	t.cache = f->name;
	t.timeout_ms = (int)(e->b->conf->git_timeout + 10) * 1000;
	t.request = engine_remote_request(e, f->uid, l->row->pub.repository_url);
	json_object_set_new(t.request, "cache_dir", json_string("/awo/cache.git"));
	if (repo_url_parse(l->row->pub.repository_url, &u, NULL) == 0 && u.scheme == REPO_FILE)
		t.flags |= SUP_LOCAL_RO;
	engine_task(e, &t, fetched, f);
}

void
fetch_leave(struct live *l)
{
	struct live **p;

	l->fetching = false;
	if (l->fetch == NULL)
		return;
	for (p = &l->fetch->waiting; *p != l; p = &(*p)->fetch_next)
		;
	*p = l->fetch_next;
	l->fetch = NULL;
	l->fetch_next = NULL;
}

void
fetch_forget(struct engine *e, uint32_t uid, const char *name)
{
	for (struct fetch *f = e->fetches; f != NULL; f = f->next)
		if (f->uid == uid && strcmp(f->name, name) == 0)
			f->fetched_us = 0;
}

void
fetch_close_all(struct engine *e)
{
	while (e->fetches != NULL) {
		struct fetch *f = e->fetches;

		e->fetches = f->next;
		free(f->default_branch);
		free(f);
	}
}
