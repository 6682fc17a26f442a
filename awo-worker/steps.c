/* The steps of an order: what each needs, tells the agent, and does itself when the agent has
 * ended. */
#include "awo-worker/steps.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "awo-worker/answer.h"
#include "awo-worker/pull_request.h"
#include "awo-worker/repository.h"
#include "common/buf.h"
#include "common/clean.h"
#include "common/files.h"
#include "common/text.h"

#define OUTPUT_MAX 16000 /* bytes of a step's output in the log */
#define ERROR_MAX 8000
#define TESTS_MAX (1U << 20)

static const char *
text_of(const struct step_run *s)
{
	return s->outcome.text.len > 0 ? s->outcome.text.p : "";
}

/* Why an agent that reports success may have done nothing. */
static const char *
refusal(const struct step_run *s)
{
	return s->outcome.denied ? "; it was refused a permission, see its tool calls in the log"
				 : "";
}

/* ---- pure parts */

const char *
step_missing(const struct step_def *def, bool plan, bool branch)
{
	static const char no_plan[] =
	    "No plan file found in context. Planning step must run before execute.";
	static const char no_branch[] =
	    "No branch name found in context. create-branch step must run before create-pr.";

	if ((def->needs & STEP_NEEDS_PLAN) && !plan)
		return no_plan;
	if ((def->needs & STEP_NEEDS_BRANCH) && !branch)
		return no_branch;
	return NULL;
}

void
step_branch_name(const char *chosen, const char *id, bool append, char out[256])
{
	if (append && strstr(chosen, id) == NULL)
		snprintf(out, 256, "%.200s-%s", chosen, id);
	else
		snprintf(out, 256, "%.240s", chosen);
}

void
step_fallback_branch(const char *prefix, const char *request, const char *id, char out[256])
{
	char slug[49];

	text_slug(request, sizeof(slug) - 1, slug);
	snprintf(out, 256, "%.64s/%s-%s", answer_is_branch(prefix) ? prefix : "feat", slug, id);
}

/* Where s ends its last occurrence in text, from 1; 0 when it does not occur. */
static size_t
last_mention(const char *text, const char *s)
{
	size_t at = 0;

	for (const char *p = text; (p = strstr(p, s)) != NULL; p++)
		at = (size_t)(p - text) + 1;
	return at;
}

const char *
step_pick_plan(const json_t *files, const char *text)
{
	const char *best = NULL;
	size_t best_at = 0;

	for (size_t i = 0; i < json_array_size(files); i++) {
		const json_t *e = json_array_get(files, i);
		const char *path = helper_string(e, "path"), *status = helper_string(e, "status");
		size_t at;

		if (!answer_is_plan(path) || status[0] == 'd' || status[0] == 'D')
			continue;
		at = last_mention(text, path);
		if (best == NULL || at > best_at) {
			best = path;
			best_at = at;
		}
	}
	return best;
}

void
step_commit_subject(
    const char *text, size_t len, const char *prefix, const char *request, char out[256])
{
	struct buf body CLEAN_BUF = {0}, line CLEAN_BUF = {0};
	char title[256], conventional[80];

	if (answer_title(text, len, title, &body) && answer_is_conventional(title) &&
	    strlen(title) <= 100) {
		snprintf(out, 256, "%s", title);
		return;
	}
	snprintf(conventional, sizeof(conventional), "%.60s: x", prefix);
	if (!answer_is_conventional(conventional))
		prefix = "feat";
	while (isspace((unsigned char)*request))
		request++;
	text_add_utf8(&line, request, strcspn(request, "\r\n"), 60);
	for (size_t i = 0; i < line.len; i++)
		if ((unsigned char)line.p[i] < ' ')
			line.p[i] = ' ';
	snprintf(out, 256, "%.20s: %s", prefix, line.len > 0 ? line.p : "complete the work");
}

bool
step_split_prompt(const char *text, char name[129], const char **rest)
{
	size_t n;

	if (text[0] != '/')
		return false;
	n = strcspn(text + 1, " \t\r\n");
	if (n == 0 || n > 128)
		return false;
	memcpy(name, text + 1, n);
	name[n] = '\0';
	*rest = text + 1 + n + strspn(text + 1 + n, " \t\r\n");
	return job_is_name(name);
}

/* ---- arguments */

static void
add_request(const struct order *o, struct p_strv *args)
{
	if (o->job.user_request != NULL && o->job.user_request[0] != '\0') {
		p_strv_add(args, o->job.user_request);
	} else if (o->issue.number != NULL) {
		char *text CLEAN_FREE =
		    xasprintf("#%s: %s\n\n%s", o->issue.number, o->issue.title, o->issue.body);

		p_strv_add(args, text);
	} else {
		p_strv_add(args, "");
	}
}

static void
arguments_request(const struct order *o, struct p_strv *args)
{
	add_request(o, args);
}

/* The issue is data: as JSON nobody can take its text for a part of the prompt. */
static void
arguments_planning(const struct order *o, struct p_strv *args)
{
	json_t *issue CLEAN_JSON = NULL;
	char *text CLEAN_FREE = NULL;

	add_request(o, args);
	if (o->issue.number == NULL)
		return;
	issue = json_object();
	json_object_set_new(issue, "number", json_integer(strtoll(o->issue.number, NULL, 10)));
	journal_set_text(issue, "title", o->issue.title, 1024);
	journal_set_text(issue, "body", o->issue.body, 65536);
	text = json_dumps(issue, JSON_INDENT(2));
	p_strv_add(args, text);
}

static void
arguments_plan(const struct order *o, struct p_strv *args)
{
	p_strv_add(args, o->plan_file != NULL ? o->plan_file : "");
}

static void
arguments_create_pr(const struct order *o, struct p_strv *args)
{
	p_strv_add(args, o->branch != NULL ? o->branch : "");
	p_strv_add(args, o->plan_file != NULL ? o->plan_file : "");
}

static void
arguments_other(const struct order *o, struct p_strv *args)
{
	add_request(o, args);
	p_strv_add(args, o->plan_file != NULL ? o->plan_file : "");
}

static void
arguments_none(const struct order *o, struct p_strv *args)
{
	(void)o;
	(void)args;
}

/* ---- what the worker does itself */

static const char *
request_text(const struct order *o)
{
	if (o->job.user_request != NULL && o->job.user_request[0] != '\0')
		return o->job.user_request;
	return o->issue.title != NULL ? o->issue.title : "work";
}

/* The branch's name as the agent's answer or the request gives it, for when HEAD is on none of the order's own. */
static void
choose_branch(const struct order *o, const char *text, size_t len, char name[256])
{
	char chosen[256];

	if (answer_branch(text, len, chosen) &&
	    (o->base_branch == NULL || strcmp(chosen, o->base_branch) != 0))
		step_branch_name(chosen, o->job.id, order_appends_id(o), name);
	else
		step_fallback_branch(o->job.branch_prefix, request_text(o), o->job.id, name);
}

/* Sees to it that HEAD is on a branch of the order's own. */
static int
ensure_branch(struct order *o, const char *text, size_t len, struct failure *f)
{
	const char *there = o->tree.branch;
	char name[256];

	if (there != NULL && answer_is_branch(there) &&
	    (o->base_branch == NULL || strcmp(there, o->base_branch) != 0)) {
		step_branch_name(there, o->job.id, order_appends_id(o), name);
		if (strcmp(name, there) == 0) {
			repository_branch_is(o, there, "agent");
			return 0;
		}
	} else {
		choose_branch(o, text, len, name);
	}
	return repository_branch_made(o, name) ? 0 : repository_branch(o, name, f);
}

static int
after_create_branch(struct order *o, struct step_run *s, struct failure *f)
{
	if (ensure_branch(o, s->outcome.text.p, s->outcome.text.len, f) != 0)
		return -1;
	buf_adds(&s->output, o->branch);
	return 0;
}

static void
find_plan(struct order *o, struct step_run *s, const json_t *changed)
{
	const char *path = step_pick_plan(changed, text_of(s));

	if (path == NULL)
		return;
	free(o->plan_file);
	o->plan_file = xstrdup(path);
	s->found_plan = true;
}

static int
after_planning(struct order *o, struct step_run *s, struct failure *f)
{
	json_t *later CLEAN_JSON = NULL, *all CLEAN_JSON = NULL;

	find_plan(o, s, s->changed);
	if (!s->found_plan && o->tree.dirty > 0) {
		/* a plan that was written but not committed: what is not in git, no later step can
		 * rely on */
		if (repository_commit(o, "docs(prp): add the plan", &later, f) != 0)
			return -1;
		find_plan(o, s, later);
	}
	if (!s->found_plan && strcmp(o->base_sha, o->head_sha) != 0) {
		if (repository_changed(o, o->base_sha, o->head_sha, &all, f) != 0)
			return -1;
		find_plan(o, s, all);
	}
	if (!s->found_plan) {
		if (s->outcome.doubtful)
			return FAIL(
			    f, transient, "the agent's answer was cut off and it left no plan");
		return FAIL(f, agent,
		    "the agent reported success but left no plan: no file PRPs/**, specs/** or "
		    "plan*.md was "
		    "added or changed%s",
		    refusal(s));
	}
	buf_adds(&s->output, o->plan_file);
	return 0;
}

static void
add_statistics(const struct order *o, struct buf *out)
{
	buf_printf(out, "%lld commits, %lld files changed, +%lld -%lld", (long long)o->commits,
	    (long long)o->files, (long long)o->added, (long long)o->removed);
}

static int
after_execute(struct order *o, struct step_run *s, struct failure *f)
{
	if (strcmp(o->head_sha, s->head_before) == 0 && o->tree.dirty == s->dirty_before) {
		if (s->outcome.doubtful)
			return FAIL(
			    f, transient, "the agent's answer was cut off and it changed nothing");
		return FAIL(
		    f, agent, "the agent reported success but changed nothing%s", refusal(s));
	}
	add_statistics(o, &s->output);
	if (o->tree.dirty > 0)
		buf_printf(&s->output, ", %lld files not committed yet", (long long)o->tree.dirty);
	if (s->outcome.text.len > 0)
		buf_printf(&s->output, "\n\n%s", text_of(s));
	return 0;
}

static int
after_review(struct order *o, struct step_run *s, struct failure *f)
{
	struct answer_review v;

	(void)o;
	if (answer_review(text_of(s), s->outcome.text.len, &v) != 0) {
		if (s->outcome.doubtful)
			return FAIL(
			    f, transient, "the agent's answer was cut off and holds no verdict");
		return FAIL(f, agent,
		    "the agent's answer holds no verdict ({\"success\": ..., \"issues\": [...]})");
	}
	if (!v.success && v.blockers > 0)
		return FAIL(f, agent, "the review found %zu blocker%s: %s", v.blockers,
		    v.blockers == 1 ? "" : "s", v.blocker[0] != '\0' ? v.blocker : v.summary);
	buf_printf(&s->output, "%s: %zu finding%s, %zu blocker%s",
	    v.success ? "passed" : "passed with objections", v.issues, v.issues == 1 ? "" : "s",
	    v.blockers, v.blockers == 1 ? "" : "s");
	if (v.summary[0] != '\0')
		buf_printf(&s->output, "\n%s", v.summary);
	return 0;
}

static int
after_testing(struct order *o, struct step_run *s, struct failure *f)
{
	char *text CLEAN_FREE = NULL;
	struct answer_tests t;
	struct awo_err err = {0};
	size_t len = 0;

	if (o->tree.dirty > 0 && repository_commit(o, "test: record test results", NULL, f) != 0)
		return -1;
	text = repository_show(o, o->head_sha, "test_results.json", TESTS_MAX, &len, f);
	if (text == NULL) {
		if (strcmp(f->reason, "not_found") != 0)
			return -1;
		return FAIL(f, agent, "the agent committed no test_results.json");
	}
	if (answer_tests(text, len, &t, &err) != 0)
		return failure_from_err(f, error_category_agent, &err);
	buf_printf(&s->output, "%lld passed, %lld failed, %lld skipped (%s, exit status %lld)",
	    t.passed, t.failed, t.skipped, t.command, t.exit_code);
	if (o->job.tests_must_pass && (t.failed > 0 || t.exit_code != 0))
		return FAIL(f, agent, "tests failed: %s", s->output.p);
	return 0;
}

/* Everything of the order committed and on its branch at the remote. */
static int
publish(struct order *o, struct step_run *s, struct failure *f)
{
	char subject[256];

	step_commit_subject(
	    s->outcome.text.p, s->outcome.text.len, o->job.branch_prefix, request_text(o), subject);
	if (repository_commit(o, subject, NULL, f) != 0)
		return -1;
	if (strcmp(o->head_sha, o->base_sha) == 0)
		return FAIL(f, agent, "there is nothing to push: no commit was made since %s",
		    o->base_branch != NULL ? o->base_branch : "the base");
	if (o->branch == NULL && ensure_branch(o, "", 0, f) != 0)
		return -1;
	if (o->branch_on_remote && strcmp(o->pushed_sha, o->head_sha) == 0) {
		buf_printf(&s->output, "%s is up to date on the remote", o->branch);
		return 0;
	}
	if (repository_push(o, f) != 0)
		return -1;
	buf_printf(&s->output, "pushed %s (", o->branch);
	add_statistics(o, &s->output);
	buf_addc(&s->output, ')');
	return 0;
}

static int
after_commit(struct order *o, struct step_run *s, struct failure *f)
{
	return publish(o, s, f);
}

static void
pull_request_title(
    const struct order *o, const struct step_run *s, char title[256], struct buf *body)
{
	char subject[256];

	if (!answer_title(text_of(s), s->outcome.text.len, title, body)) {
		step_commit_subject("", 0, o->job.branch_prefix, request_text(o), subject);
		snprintf(title, 256, "%s", subject);
	}
	if (o->issue.number != NULL) {
		char mark[24];

		/* "feat: #42 - Add user authentication" */
		snprintf(mark, sizeof(mark), "#%s", o->issue.number);
		if (strstr(title, mark) == NULL) {
			const char *colon =
			    answer_is_conventional(title) ? strchr(title, ':') : NULL;
			const char *rest = colon != NULL ? colon + 2 : title;

			snprintf(subject, sizeof(subject), "%.*s%s - %.180s",
			    colon != NULL ? (int)(colon + 2 - title) : 0, title, mark, rest);
			snprintf(title, 256, "%s", subject);
		}
	}
	buf_printf(body, "%sWork-Order: %s\n", body->len > 0 ? "\n\n" : "", o->job.id);
}

static int
after_create_pr(struct order *o, struct step_run *s, struct failure *f)
{
	struct buf body CLEAN_BUF = {0};
	char title[256];

	pull_request_title(o, s, title, &body);
	/* what came after the commit step, from a prompt or from this one, belongs to the pull
	 * request */
	if (o->tree.dirty > 0 || !o->branch_on_remote || strcmp(o->pushed_sha, o->head_sha) != 0) {
		int r = publish(o, s, f);

		buf_free(&s->output);
		if (r != 0)
			return -1;
	}
	if (!forge_known(o)) {
		buf_printf(&s->output, "no pull request service for %s; branch %s pushed",
		    o->job.host[0] != '\0' ? o->job.host : "a local repository", o->branch);
		return 0;
	}
	if (!forge_usable(o))
		return FAIL(f, github,
		    "no GitHub token is stored for %s: store one (awoctl credential add) and "
		    "retry; branch %s "
		    "is pushed",
		    o->job.host, o->branch);
	if (forge_pull_request(o, title, body.p, f) != 0)
		return -1;
	buf_adds(&s->output, o->pr_url);
	return 0;
}

static int
after_prompt(struct order *o, struct step_run *s, struct failure *f)
{
	buf_adds(&s->output, text_of(s));
	if (!s->publish || (o->tree.dirty == 0 && strcmp(o->head_sha, s->head_before) == 0))
		return 0;
	if (s->output.len > 0)
		buf_adds(&s->output, "\n\n");
	return publish(o, s, f);
}

static int
after_other(struct order *o, struct step_run *s, struct failure *f)
{
	(void)o;
	(void)f;
	buf_adds(&s->output, text_of(s));
	return 0;
}

#define PLANNING order_phase_planning
#define IMPLEMENTING order_phase_implementing
#define TESTING order_phase_testing

/* clang-format off */
static const struct step_def defs[] = {
	{"create-branch", "BranchCreator", STEP_MAKES_BRANCH, PLANNING, arguments_request, after_create_branch},
	{"planning", "Planner", STEP_LEAVES_PLAN, PLANNING, arguments_planning, after_planning},
	{"execute", "Implementor", STEP_NEEDS_PLAN, IMPLEMENTING, arguments_plan, after_execute},
	{"prp-review", "Reviewer", STEP_NEEDS_PLAN, IMPLEMENTING, arguments_plan, after_review},
	{"testing", "Tester", 0, TESTING, arguments_plan, after_testing},
	{"commit", "Committer", 0, IMPLEMENTING, arguments_none, after_commit},
	{"create-pr", "PrCreator", STEP_NEEDS_BRANCH, IMPLEMENTING, arguments_create_pr, after_create_pr},
	{"prompt", "Prompter", 0, IMPLEMENTING, arguments_none, after_prompt},
};
static const struct step_def other = {
	"", "CommandRunner", 0, IMPLEMENTING, arguments_other, after_other,
};
/* clang-format on */

const struct step_def *
step_find(const char *name)
{
	for (size_t i = 0; i < sizeof(defs) / sizeof(defs[0]); i++)
		if (strcmp(defs[i].name, name) == 0)
			return &defs[i];
	return &other;
}

/* ---- one step */

struct prepared {
	struct prompt_template template;
	char *where; /* of the command file; NULL: a plain prompt */
	const char *command;
	char name[129];
	struct buf text;
};

static void
prepared_free(struct prepared *p)
{
	prompt_free(&p->template);
	free(p->where);
	buf_free(&p->text);
}

/* The prompt: a command file with its arguments, or what a person wrote. */
static int
prepare(struct order *o, const struct step_run *s, const struct step_def *def, struct prepared *p,
    struct failure *f)
{
	struct p_strv args = {0};
	struct awo_err err = {0};
	const char *rest;
	int r;

	*p = (struct prepared){.command = s->name};
	if (s->prompt != NULL) {
		if (!step_split_prompt(s->prompt->text, p->name, &rest)) {
			p->command = NULL;
			buf_adds(&p->text, s->prompt->text);
			return 0;
		}
		p->command = p->name;
		p_strv_add(&args, rest);
	} else {
		def->arguments(o, &args);
	}
	r = commands_read(o, p->command, &p->template, &p->where, f);
	if (r == 0) {
		for (size_t i = 0; i < p->template.warnings.n; i++) {
			json_t *fields = json_object();

			json_object_set_new(fields, "kind", json_string("note"));
			journal_set_text(fields, "text", p->template.warnings.v[i], 500);
			journal_write(&o->journal, P_E_agent_output, log_level_warning, fields);
		}
		r = prompt_render(p->template.body, (const char *const *)(uintptr_t)args.v, args.n,
		    &p->text, &err);
		if (r != 0)
			failure_from_err(f, error_category_permanent, &err);
	}
	p_strv_free(&args);
	return r;
}

static void
keep_prompt(struct order *o, const char *file, const struct buf *text, struct p_strv *artifacts)
{
	char name[200], path[256];
	int fd CLEAN_FD = -1;

	if (!o->job.keep_prompts)
		return;
	snprintf(name, sizeof(name), "prompts/%s.txt", file);
	snprintf(path, sizeof(path), "/awo/order/%s", name);
	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd >= 0 && files_write_all(fd, text->len > 0 ? text->p : "", text->len) == 0)
		p_strv_add(artifacts, name);
}

static int
run_agent(struct order *o, struct step_run *s, const struct step_def *def, struct p_strv *artifacts,
    struct failure *f)
{
	struct prepared p;
	struct agent_task task;
	char file[160];
	int r = prepare(o, s, def, &p, f);

	if (r != 0) {
		prepared_free(&p);
		return -1;
	}
	snprintf(file, sizeof(file), "%02lld-%s", (long long)s->number, s->name);
	keep_prompt(o, file, &p.text, artifacts);
	task = (struct agent_task){
	    .file = file,
	    .command_name = p.command,
	    .command_file = p.where,
	    .prompt = p.text.len > 0 ? p.text.p : "",
	    .prompt_len = p.text.len,
	    .model = p.template.model,
	    .max_turns = p.template.max_turns,
	    .seconds = p.template.timeout > 0 ? p.template.timeout : o->job.timeouts.step,
	    .session = s->prompt != NULL ? o->session : NULL,
	};
	r = agent_run(o, &task, &s->outcome);
	if (r == 0 && !s->outcome.ok && s->outcome.session_lost && task.session != NULL) {
		/* the conversation is gone (its home was removed): the work tree still says what
		 * was done */
		agent_outcome_free(&s->outcome);
		task.session = NULL;
		r = agent_run(o, &task, &s->outcome);
	}
	prepared_free(&p);
	for (size_t i = 0; i < s->outcome.artifacts.n; i++)
		p_strv_add(artifacts, s->outcome.artifacts.v[i]);
	if (s->outcome.session[0] != '\0') {
		free(o->session);
		o->session = xstrdup(s->outcome.session);
	}
	if (r != 0 || !s->outcome.ok)
		*f = s->outcome.failure;
	return r;
}

static int
work(struct order *o, struct step_run *s, const struct step_def *def, struct p_strv *artifacts,
    struct failure *f)
{
	const char *missing = step_missing(def, o->plan_file != NULL, o->branch != NULL);
	struct failure import = {0};
	char branch[256] = "";

	if (missing != NULL)
		return FAIL(f, permanent, "%s", missing);
	if (run_agent(o, s, def, artifacts, f) != 0)
		return -1;
	/* what it committed before it failed is kept: a retry goes on from there */
	if (s->outcome.ok && (def->needs & STEP_MAKES_BRANCH))
		choose_branch(o, s->outcome.text.p, s->outcome.text.len, branch);
	if (repository_import(o, "agent", branch[0] != '\0' ? branch : NULL,
		(def->needs & STEP_LEAVES_PLAN) ? &s->changed : NULL, &import) != 0) {
		if (s->outcome.ok || o->cancelled)
			*f = import;
		return -1;
	}
	if (!s->outcome.ok)
		return -1;
	return def->after != NULL ? def->after(o, s, f) : 0;
}

static json_t *
step_fields(const struct step_run *s, const struct step_def *def)
{
	json_t *fields = json_object();

	json_object_set_new(fields, "step", json_string(s->name));
	json_object_set_new(fields, "agent_name", json_string(def->agent_name));
	json_object_set_new(fields, "step_number", json_integer(s->number));
	json_object_set_new(fields, "total_steps", json_integer(s->total));
	if (s->prompt != NULL)
		json_object_set_new(fields, "prompt_id", json_integer(s->prompt->id));
	return fields;
}

static int
tell_completed(struct order *o, const struct step_run *s, const struct step_def *def,
    const struct p_strv *artifacts, double duration, const struct failure *failed)
{
	json_t *fields = step_fields(s, def), *list = json_array();
	struct p_usage usage = s->outcome.usage;
	char progress[48];

	snprintf(
	    progress, sizeof(progress), "%lld/%lld", (long long)s->number, (long long)s->total);
	json_object_set_new(fields, "progress", json_string(progress));
	json_object_set_new(
	    fields, "progress_pct", json_integer(s->total > 0 ? s->number * 100 / s->total : 0));
	json_object_set_new(fields, "elapsed_seconds",
	    json_real(
		(double)(loop_now(&o->loop) - o->began) / 1e6 + (double)o->job.timeouts.elapsed));
	json_object_set_new(fields, "duration_seconds", json_real(duration));
	json_object_set_new(fields, "success", json_boolean(failed == NULL));
	if (s->output.len > 0)
		json_object_set_new(
		    fields, "output", journal_text(s->output.p, s->output.len, OUTPUT_MAX));
	if (failed != NULL) {
		journal_set_text(fields, "error_message", failed->msg, ERROR_MAX);
		json_object_set_new(fields, "error_category",
		    json_string(P_ENUM_NAME(error_category, failed->category)));
	}
	if (s->outcome.session[0] != '\0')
		json_object_set_new(fields, "session_id", json_string(s->outcome.session));
	/* the step's own time, its built-in work included */
	P_SET(usage, &usage, wall_seconds, duration);
	order_add_usage(&o->usage, &usage);
	json_object_set_new(fields, "usage", p_to_json(&p_type_usage, &usage));
	for (size_t i = 0; i < artifacts->n; i++)
		json_array_append_new(list, json_string(artifacts->v[i]));
	json_object_set_new(fields, "artifacts", list);
	if (s->found_plan)
		journal_set_text(fields, "plan_file", o->plan_file, 4096);
	return journal_write(&o->journal, P_E_step_completed,
	    failed == NULL ? log_level_info : log_level_error, fields);
}

int
step_run(struct order *o, struct step_run *s, struct failure *f)
{
	const struct step_def *def = step_find(s->name);
	struct p_strv artifacts = {0};
	int64_t began;
	int r;

	if (order_may_go_on(o, f) != 0)
		return -1;
	began = loop_now(&o->loop);
	o->step = s->name;
	journal_step(&o->journal, s->name);
	memcpy(s->head_before, o->head_sha, sizeof(s->head_before));
	s->dirty_before = o->tree.dirty;
	if (journal_write(&o->journal, P_E_step_started, log_level_info, step_fields(s, def)) != 0)
		return FAIL(f, internal, "the order's log cannot be written");
	if (o->commits == 0)
		order_set_phase(o, def->phase);
	r = work(o, s, def, &artifacts, f);
	if (tell_completed(o, s, def, &artifacts, (double)(loop_now(&o->loop) - began) / 1e6,
		r == 0 ? NULL : f) != 0)
		r = FAIL(f, internal, "the order's log cannot be written");
	p_strv_free(&artifacts);
	journal_step(&o->journal, NULL);
	o->step = NULL;
	return r;
}

void
step_run_free(struct step_run *s)
{
	agent_outcome_free(&s->outcome);
	buf_free(&s->output);
	json_decref(s->changed);
}
