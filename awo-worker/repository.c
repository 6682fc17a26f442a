/* The order's repository as awo-git serves it. */
#include "awo-worker/repository.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "awo-worker/order.h"
#include "awo-worker/ports.h"
#include "common/buf.h"
#include "common/clean.h"
#include "common/files.h"

#define CLEAN_DIR "/awo/order/repository.git"
#define LOCAL_SECONDS 600 /* a verb that talks to no remote */
/*
 * How long a push may go on after a cancel. One to the network is ended at the other end as well, which cleans up behind
 * it. One to a local path is awo-git's alone: killed, it leaves objects/pack/pack_git2_* in the user's repository, which
 * nobody would ever remove. Usually it is a matter of milliseconds; but on a busy machine of seconds.
 */
#define PUSH_GRACE_US 700000
#define PUSH_GRACE_LOCAL_S 5
#define INCOMING CLEAN_DIR "/awo-incoming"

static json_t *
call_git(struct order *o, const char *verb, bool sandboxed, json_t *request, struct failure *f)
{
	const struct helper_call call = {
	    .program = HELPER_GIT,
	    .verb = verb,
	    .request = request,
	    .sandboxed = sandboxed,
	    .fd3 = -1,
	    .seconds = LOCAL_SECONDS,
	};

	return helper_run(o, &call, f);
}

static void
set_string(json_t *o, const char *key, const char *value)
{
	json_object_set_new(
	    o, key, value != NULL && value[0] != '\0' ? json_string(value) : json_null());
}

static json_t *
clean_request(void)
{
	json_t *r = json_object();

	json_object_set_new(r, "clean_dir", json_string(CLEAN_DIR));
	return r;
}

static void
take_sha(char out[SHA_MAX], const char *sha)
{
	size_t len = strlen(sha);

	/* names of commits go into requests and log lines; anything else is none */
	if (len >= SHA_MAX || strspn(sha, "0123456789abcdef") != len)
		len = 0;
	memmove(out, sha, len);
	out[len] = '\0';
}

static void
replace(char **s, const char *value)
{
	char *copy = value != NULL && value[0] != '\0' ? xstrdup(value) : NULL;

	free(*s);
	*s = copy;
}

/* rebuild: also when there is one already. */
static json_t *
make_workspace(struct order *o, bool rebuild, struct failure *f)
{
	const struct job *job = &o->job;
	json_t *r = clean_request();
	struct buf ports CLEAN_BUF = {0};

	ports_text(job->ports_start, job->ports_count, &ports);
	set_string(r, "cache_dir", o->args->cache_dir != NULL ? "/awo/cache.git" : NULL);
	set_string(r, "workspace_dir", "/awo/order/workspace");
	set_string(r, "type", job->sandbox_type);
	set_string(r, "base_branch", job->base_branch);
	set_string(r, "url", job->canonical);
	set_string(r, "branch", job->resume.branch);
	json_object_set_new(r, "port_lines", json_string(ports.len > 0 ? ports.p : ""));
	/* so that the agent can commit with git's own commands */
	set_string(r, "author_name", job->git.author_name);
	set_string(r, "author_email", job->git.author_email);
	if (job->trust_repository)
		json_object_set_new(r, "list", commands_in_repository());
	json_object_set_new(r, "rebuild", json_boolean(rebuild));
	r = call_git(o, "workspace", false, r, f);
	if (r == NULL)
		failure_prefix(f, "the workspace could not be made: ");
	return r;
}

int
repository_workspace(struct order *o, struct failure *f)
{
	const struct job *job = &o->job;
	json_t *answer CLEAN_JSON = make_workspace(o, false, f), *fields;

	if (answer == NULL)
		return -1;
	replace(&o->base_branch, helper_string(answer, "base_branch"));
	take_sha(o->base_sha, job->resume.base_sha != NULL ? job->resume.base_sha
							   : helper_string(answer, "base_sha"));
	take_sha(o->head_sha, job->resume.head_sha != NULL ? job->resume.head_sha : o->base_sha);
	/* nobody but us has written into a tree that was just made */
	o->tree.fresh = !json_is_true(json_object_get(answer, "kept"));
	if (o->tree.fresh) {
		take_sha(o->tree.head, helper_string(answer, "head_sha"));
		replace(&o->tree.branch, helper_string(answer, "branch"));
		o->tree.dirty = 0;
	}
	o->commands.listed = json_incref(json_object_get(answer, "lists"));
	fields = json_object();
	journal_set_text(fields, "base_branch", o->base_branch, 255);
	journal_set_text(fields, "base_sha", o->base_sha, SHA_MAX);
	journal_set_text(fields, "workspace_type", job->sandbox_type, 64);
	return journal_write(&o->journal, P_E_workspace_created, log_level_info, fields);
}

/* For a repository that nobody can use any more: the agent broke it in an earlier attempt. */
static int
reset_anew(struct order *o, struct failure *f)
{
	json_t *answer CLEAN_JSON = NULL, *fields = json_object();
	struct failure broken = *f;

	failure_prefix(&broken,
	    "the work tree was made anew from the last commit that was recorded, without what was "
	    "not committed: ");
	json_object_set_new(fields, "kind", json_string("note"));
	journal_set_text(fields, "text", broken.msg, 1000);
	journal_write(&o->journal, P_E_agent_output, log_level_warning, fields);
	answer = make_workspace(o, true, f);
	return answer != NULL ? 0 : -1;
}

int
repository_reset(struct order *o, struct failure *f)
{
	json_t *answer CLEAN_JSON = NULL, *r = json_object();
	char dir[128];
	struct helper_call call = {.program = HELPER_GIT,
	    .verb = "tree-reset",
	    .sandboxed = true,
	    .fd3 = -1,
	    .seconds = LOCAL_SECONDS};

	snprintf(
	    dir, sizeof(dir), "/awo/order/outputs/uncommitted-%lld", (long long)o->job.attempt);
	if (mkdir(dir, 0750) != 0 && errno != EEXIST) {
		json_decref(r);
		return FAIL(f, resource, "a directory for uncommitted files could not be made: %s",
		    strerror(errno));
	}
	set_string(r, "sha", o->head_sha);
	set_string(r, "branch", o->branch);
	set_string(r, "save_to", "/awo/saved");
	call.request = r;
	call.save_dir = dir;
	answer = helper_run(o, &call, f);
	/* stays only when something was kept in it */
	rmdir(dir);
	if (answer != NULL)
		return 0;
	failure_prefix(f, "the work tree could not be reset: ");
	return f->category == error_category_git ? reset_anew(o, f) : -1;
}

static void
take_tree(struct order *o, const json_t *answer)
{
	take_sha(o->tree.head, helper_string(answer, "head_sha"));
	replace(&o->tree.branch, helper_string(answer, "branch"));
	replace(&o->tree.made, helper_string(answer, "made"));
	o->tree.dirty = helper_int(answer, "dirty");
}

int
repository_look(struct order *o, struct failure *f)
{
	json_t *answer CLEAN_JSON = call_git(o, "tree-info", true, json_object(), f);

	if (answer == NULL)
		return failure_prefix(f, "the work tree could not be read: ");
	take_tree(o, answer);
	return 0;
}

static void
take_numbers(struct order *o, const json_t *answer)
{
	o->commits = helper_int(answer, "git_commit_count");
	o->files = helper_int(answer, "git_files_changed");
	o->added = helper_int(answer, "git_lines_added");
	o->removed = helper_int(answer, "git_lines_removed");
}

int
repository_progress(struct order *o, struct failure *f)
{
	json_t *answer CLEAN_JSON = NULL, *r = clean_request();

	set_string(r, "base_sha", o->base_sha);
	set_string(r, "head", o->head_sha);
	answer = call_git(o, "progress", false, r, f);
	if (answer == NULL)
		return failure_prefix(f, "the recorded commits could not be read: ");
	take_numbers(o, answer);
	return 0;
}

static int
tell_commits(struct order *o, const json_t *answer, const char *made_by)
{
	const json_t *commits = json_object_get(answer, "commits");
	size_t n = json_array_size(commits);

	take_numbers(o, answer);
	for (size_t i = 0; i < n; i++) {
		const json_t *c = json_array_get(commits, i);
		json_t *fields = json_object();

		journal_set_text(fields, "sha", helper_string(c, "sha"), SHA_MAX);
		journal_set_text(fields, "subject", helper_string(c, "subject"), 500);
		json_object_set_new(
		    fields, "git_commit_count", json_integer(o->commits - (json_int_t)(n - 1 - i)));
		json_object_set_new(fields, "git_files_changed", json_integer(o->files));
		json_object_set_new(fields, "git_lines_added", json_integer(o->added));
		json_object_set_new(fields, "git_lines_removed", json_integer(o->removed));
		journal_set_text(fields, "phase", helper_string(c, "phase"), 32);
		json_object_set_new(fields, "made_by", json_string(made_by));
		if (journal_write(&o->journal, P_E_git_commit_created, log_level_info, fields) != 0)
			return -1;
	}
	o->phase_commits += (int64_t)n;
	return 0;
}

static json_t *
import_request(const struct order *o, const char *changed_since)
{
	json_t *r = clean_request();

	set_string(r, "head", o->tree.head);
	set_string(r, "base_sha", o->base_sha);
	set_string(r, "branch", o->branch != NULL ? o->branch : o->tree.branch);
	set_string(r, "changed_since", changed_since);
	json_object_set_new(r, "max_objects", json_integer(o->job.git.max_import_objects));
	json_object_set_new(r, "max_bytes", json_integer(o->job.git.max_import_bytes));
	return r;
}

/* Starts the look, which writes what this side lacks to the order's pipe. */
static int
start_look(struct order *o, const char *branch, struct helper *look, struct failure *f)
{
	json_t *r = json_object(), *have = json_array(), *wish;
	const struct helper_call call = {.program = HELPER_GIT,
	    .verb = "tree-info",
	    .request = r,
	    .sandboxed = true,
	    .fd3 = -1,
	    .packs = true,
	    .seconds = LOCAL_SECONDS};

	json_array_append_new(have, json_string(o->head_sha));
	if (strcmp(o->head_sha, o->base_sha) != 0)
		json_array_append_new(have, json_string(o->base_sha));
	json_object_set_new(r, "have", have);
	if (branch != NULL) {
		wish = json_object();
		set_string(wish, "base", o->base_branch);
		set_string(wish, "append", order_appends_id(o) ? o->job.id : NULL);
		set_string(wish, "otherwise", branch);
		json_object_set_new(r, "branch", wish);
	}
	return helper_start(o, &call, look, f);
}

/*
 * Looks, and imports when HEAD has moved: what the sandbox streams goes through a pipe straight into
 * the import, this process never sees it. *answer: the import's, or NULL when there was none.
 */
static int
look_and_import(struct order *o, const char *branch, const char *changed_since, json_t **answer,
    struct failure *f)
{
	json_t *looked CLEAN_JSON = NULL;
	struct helper look, import;
	struct failure lf = {0};
	int r = 0;
	bool moved = false;

	if (start_look(o, branch, &look, f) != 0)
		return failure_prefix(f, "the work tree could not be read: ");
	if (json_is_true(json_object_get(helper_answered(o, &look), "ok"))) {
		take_tree(o, helper_answered(o, &look));
		moved = o->tree.head[0] != '\0' && strcmp(o->tree.head, o->head_sha) != 0;
	}
	if (moved) {
		struct helper_call call = {.program = HELPER_GIT,
		    .verb = "import",
		    .request = import_request(o, changed_since),
		    .fd3 = -1,
		    .packs = true,
		    .seconds = LOCAL_SECONDS};

		r = helper_start(o, &call, &import, f);
		if (r == 0) {
			*answer = helper_wait(o, &import, f);
			r = *answer != NULL ? 0 : -1;
		}
	}
	looked = helper_wait(o, &look, &lf);
	if (looked == NULL && !moved) {
		*f = lf;
		return failure_prefix(f, "the work tree could not be read: ");
	}
	if (r == 0)
		return 0;
	/* one that was ended could not clear away after itself */
	(void)files_remove_tree(AT_FDCWD, INCOMING, NULL);
	/* the import fails when the pack broke off; what the look says about itself is the cause then */
	if (looked == NULL && lf.category != error_category_cancelled && lf.msg[0] != '\0' &&
	    lf.category != error_category_internal)
		*f = lf;
	return failure_prefix(f, "the agent's commits could not be taken over: ");
}

int
repository_import(struct order *o, const char *made_by, const char *branch, json_t **changed,
    struct failure *f)
{
	char since[SHA_MAX];
	json_t *answer CLEAN_JSON = NULL;
	int phase;

	memcpy(since, o->head_sha, sizeof(since));
	if (look_and_import(o, branch, changed != NULL ? since : NULL, &answer, f) != 0)
		return -1;
	if (answer == NULL)
		return 0;
	if (changed != NULL)
		*changed = json_incref(json_object_get(answer, "changed"));
	phase = p_enum_value(&p_enum_order_phase, helper_string(answer, "phase"));
	if (phase != 0)
		order_set_phase(o, (enum p_order_phase)phase);
	memcpy(o->head_sha, o->tree.head, sizeof(o->head_sha));
	return tell_commits(o, answer, made_by);
}

void
repository_branch_is(struct order *o, const char *name, const char *made_by)
{
	json_t *fields = json_object();

	replace(&o->branch, name);
	journal_set_text(fields, "git_branch_name", name, 255);
	journal_set_text(fields, "sha", o->head_sha, SHA_MAX);
	json_object_set_new(fields, "made_by", json_string(made_by));
	journal_write(&o->journal, P_E_git_branch_created, log_level_info, fields);
}

/* A name that exists already gets a number: "-2". */
static bool
is_made_of(const char *made, const char *name)
{
	size_t len = strlen(name);

	if (strncmp(made, name, len) != 0)
		return false;
	made += len;
	return made[0] == '\0' ||
	       (made[0] == '-' && made[1] != '\0' && made[1 + strspn(made + 1, "0123456789")] == '\0');
}

bool
repository_branch_made(struct order *o, const char *name)
{
	if (o->tree.made == NULL || !is_made_of(o->tree.made, name))
		return false;
	replace(&o->tree.branch, o->tree.made);
	repository_branch_is(o, o->tree.branch, "awo");
	return true;
}

int
repository_branch(struct order *o, const char *name, struct failure *f)
{
	json_t *answer CLEAN_JSON = NULL, *r = json_object();

	set_string(r, "name", name);
	answer = call_git(o, "tree-branch", true, r, f);
	if (answer == NULL)
		return failure_prefix(f, "branch %s could not be made: ", name);
	replace(&o->tree.made, helper_string(answer, "branch"));
	if (!repository_branch_made(o, name))
		return FAIL(f, git, "branch %s could not be made: the work tree has another", name);
	return 0;
}

int
repository_commit(struct order *o, const char *message, json_t **changed, struct failure *f)
{
	json_t *answer CLEAN_JSON = NULL, *r = json_object();
	struct buf text CLEAN_BUF = {0};

	if (o->tree.dirty == 0) {
		json_decref(r);
		return 0;
	}
	buf_printf(&text, "%s\n\nWork-Order: %s\n", message, o->job.id);
	set_string(r, "message", text.p);
	set_string(r, "author_name", o->job.git.author_name);
	set_string(r, "author_email", o->job.git.author_email);
	answer = call_git(o, "tree-commit", true, r, f);
	if (answer == NULL)
		return failure_prefix(f, "what was left uncommitted could not be committed: ");
	return repository_import(o, "awo", NULL, changed, f);
}

static void
tell_push_failed(struct order *o, const struct failure *f)
{
	json_t *fields = json_object();

	journal_set_text(fields, "git_branch_name", o->branch, 255);
	journal_set_text(fields, "error_message", f->msg, 2000);
	journal_set_text(fields, "error_category", P_ENUM_NAME(error_category, f->category), 32);
	journal_write(&o->journal, P_E_git_push_failed, log_level_error, fields);
}

static void
add_remote(const struct order *o, json_t *r)
{
	const struct job *job = &o->job;
	json_t *credential;

	set_string(r, "url", job->canonical);
	set_string(r, "known_hosts", job->git.known_hosts);
	json_object_set_new(r, "timeout_seconds", json_integer(job->git.timeout));
	if (job->credentials.kind == NULL)
		return;
	credential = json_object();
	set_string(credential, "kind", job->credentials.kind);
	json_object_set_new(credential, "user",
	    json_string(job->credentials.user != NULL ? job->credentials.user : ""));
	set_string(credential, "secret", job->credentials.secret);
	json_object_set_new(r, "credential", credential);
}

static int64_t
push_grace_us(const struct job *job)
{
	if (!job->is_local)
		return PUSH_GRACE_US;
	/* awod waits timeouts.kill and a little more, and calls what it then kills an end by force */
	return (job->timeouts.kill < PUSH_GRACE_LOCAL_S ? job->timeouts.kill : PUSH_GRACE_LOCAL_S) *
	       1000000;
}

int
repository_push(struct order *o, struct failure *f)
{
	json_t *answer CLEAN_JSON = NULL, *r = clean_request(), *fields;
	struct helper_call call = {.program = o->job.is_local ? HELPER_GIT : HELPER_GIT_REMOTE,
	    .verb = "push",
	    .request = r,
	    .fd3 = -1,
	    .seconds = o->job.git.timeout + 60,
	    .grace_us = push_grace_us(&o->job)};
	const char *pushed;

	add_remote(o, r);
	set_string(r, "branch", o->branch);
	set_string(r, "sha", o->head_sha);
	set_string(r, "expected", o->branch_on_remote ? o->pushed_sha : NULL);
	/* a branch that others made is theirs: ours gets another name, but only before anybody
	 * knows ours */
	json_object_set_new(r, "suffix_on_conflict", json_boolean(!o->branch_on_remote));
	if (journal_sync(&o->journal) != 0) {
		json_decref(r);
		return FAIL(f, internal, "the order's log cannot be written");
	}
	answer = helper_run(o, &call, f);
	if (answer == NULL) {
		failure_prefix(f, "push of %s failed: ", o->branch);
		tell_push_failed(o, f);
		return -1;
	}
	pushed = helper_string(answer, "branch");
	if (pushed[0] != '\0' && strcmp(pushed, o->branch) != 0)
		repository_branch_is(o, pushed, "awo");
	memcpy(o->pushed_sha, o->head_sha, sizeof(o->pushed_sha));
	o->branch_on_remote = true;
	fields = json_object();
	journal_set_text(fields, "git_branch_name", o->branch, 255);
	journal_set_text(fields, "sha", o->pushed_sha, SHA_MAX);
	journal_set_text(fields, "remote", o->job.canonical, 2048);
	return journal_write(&o->journal, P_E_git_push_completed, log_level_info, fields);
}

int
repository_changed(
    struct order *o, const char *from, const char *to, json_t **files, struct failure *f)
{
	json_t *answer CLEAN_JSON = NULL, *r = clean_request();

	set_string(r, "base_sha", from);
	set_string(r, "head", to);
	answer = call_git(o, "changed", false, r, f);
	*files = json_incref(json_object_get(answer, "files"));
	return answer != NULL ? 0 : -1;
}

char *
repository_show(
    struct order *o, const char *sha, const char *path, size_t max, size_t *len, struct failure *f)
{
	json_t *answer CLEAN_JSON = NULL, *r = clean_request();
	const json_t *content;

	set_string(r, "sha", sha);
	set_string(r, "path", path);
	json_object_set_new(r, "max_bytes", json_integer((json_int_t)max));
	answer = call_git(o, "show", false, r, f);
	if (answer == NULL)
		return NULL;
	content = json_object_get(answer, "content");
	*len = json_string_length(content);
	if (helper_int(answer, "size") > (json_int_t)max) {
		FAIL(f, agent, "%s is larger than %zu bytes", path, max);
		return NULL;
	}
	return xstrndup(json_is_string(content) ? json_string_value(content) : "", *len);
}
