/* Commands about registered repositories. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "awoctl/ctl.h"
#include "awoctl/fields.h"
#include "awoctl/table.h"
#include "common/clean.h"
#include "common/clock.h"

static bool
is_uuid(const char *s)
{
	return strlen(s) == 36 && s[8] == '-' && s[13] == '-' && strspn(s, "0123456789abcdefABCDEF-") == 36;
}

/* An id stays what it is; anything else is an address. */
static int
repository_id(const struct ctl *ctl, char **id)
{
	if (is_uuid(ctl->line->args[0])) {
		*id = xstrdup(ctl->line->args[0]);
		return 0;
	}
	return ctl_repository(ctl, ctl->line->args[0], id);
}

/* Asks something about the repository of the first argument. *id is for the caller to free, whatever is returned. */
static int
ask(struct ctl *ctl, enum p_method_id method, char **id, void *answer)
{
	struct p_repository_ref request = {0};
	int r = repository_id(ctl, id);

	if (r != 0)
		return r;
	P_SETS(repository_ref, &request, id, *id);
	r = ctl_call(ctl, method, &request, answer);
	P_FREE(repository_ref, &request);
	return r;
}

static int
show(struct ctl *ctl, struct p_repository *repository)
{
	CLEAN_BUF struct buf b = {0};

	if (ctl_json_done(ctl, &p_type_repository, repository))
		return 0;
	fields_show(&b, &ctl->out, &p_type_repository, repository, NULL);
	P_FREE(repository, repository);
	ctl_out(&b);
	return 0;
}

static int
defaults(const struct ctl *ctl, int *sandbox, struct p_strv *steps)
{
	int r = 0;

	*sandbox = 0;
	if (ctl_opt(ctl, "sandbox"))
		r = ctl_enum(ctl, "--sandbox", &p_enum_sandbox_type, ctl_opt(ctl, "sandbox"), sandbox);
	if (r == 0 && ctl_opt(ctl, "steps"))
		r = ctl_list(ctl, "--steps", ctl_opt(ctl, "steps"), steps);
	return r;
}

int
ctl_repo_add(struct ctl *ctl)
{
	struct p_repository_add request = {0};
	struct p_repository answer;
	CLEAN_FREE char *url = NULL;
	int sandbox;

	int r = ctl_repository(ctl, ctl->line->args[0], &url);
	if (r == 0)
		r = defaults(ctl, &sandbox, &request.default_commands);
	if (r != 0)
		return r;
	P_SETS(repository_add, &request, repository_url, url);
	if (sandbox)
		P_SET(repository_add, &request, default_sandbox_type, (enum p_sandbox_type)sandbox);
	if (request.default_commands.n > 0)
		P_MARK(repository_add, &request, default_commands);
	if (ctl_flag(ctl, "no-verify")) {
		P_SET(repository_add, &request, verify, false);
	}
	r = ctl_call(ctl, P_M_repository_add, &request, &answer);
	P_FREE(repository_add, &request);
	if (r != 0)
		return r;
	if (!answer.is_verified && !ctl_flag(ctl, "no-verify"))
		ctl_note(ctl, "registered, but it could not be read; \"awoctl repo verify %s\" says why", url);
	return show(ctl, &answer);
}

int
ctl_repo_ls(struct ctl *ctl)
{
	static const struct table_column columns[] = {{"NAME", false, 12, 0}, {"VERIFIED", false, 0, 1},
	    {"BRANCH", false, 8, 2}, {"SANDBOX", false, 0, 4}, {"ADDRESS", false, 16, 3}, {"ID", false, 0, 5}};
	struct p_repository_list_answer answer;
	CLEAN_BUF struct buf b = {0};
	char text[TERM_TEXT_MAX];

	int r = ctl_call(ctl, P_M_repository_list, NULL, &answer);
	if (r != 0)
		return r;
	if (ctl_json_done(ctl, &p_type_repository_list_answer, &answer))
		return 0;
	struct table *t = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	for (size_t i = 0; i < answer.repositories.n; i++) {
		const struct p_repository *p = &answer.repositories.v[i];
		table_cell(t, INK_NONE, p->display_name ? p->display_name : p->repository_url);
		table_cell(t, p->is_verified ? INK_GREEN : INK_YELLOW, !p->is_verified ? "no"
		    : P_HAS(repository, p, last_verified_at) ? term_ago(p->last_verified_at, clock_wall_us(), text)
		    : "yes");
		table_cell(t, INK_NONE, p->default_branch ? p->default_branch : "-");
		table_cell(t, INK_NONE, P_ENUM_NAME(sandbox_type, p->default_sandbox_type));
		table_cell(t, INK_NONE, p->repository_url);
		table_cell(t, INK_NONE, p->id);
	}
	if (answer.repositories.n > 0)
		table_print(t, &ctl->out, &b);
	else
		ctl_note(ctl, "no repositories; \"awoctl repo add\" registers one");
	table_free(t);
	P_FREE(repository_list_answer, &answer);
	ctl_out(&b);
	return 0;
}

int
ctl_repo_show(struct ctl *ctl)
{
	struct p_repository answer;
	CLEAN_FREE char *id = NULL;

	int r = ask(ctl, P_M_repository_get, &id, &answer);
	return r ? r : show(ctl, &answer);
}

int
ctl_repo_set(struct ctl *ctl)
{
	struct p_repository_update request = {0};
	struct p_repository answer;
	CLEAN_FREE char *id = NULL;
	int sandbox;

	if (!ctl_opt(ctl, "sandbox") && !ctl_opt(ctl, "steps"))
		return ctl_usage(ctl, "repo set: nothing to change; give --sandbox or --steps");
	int r = repository_id(ctl, &id);
	if (r == 0)
		r = defaults(ctl, &sandbox, &request.default_commands);
	if (r != 0)
		return r;
	P_SETS(repository_update, &request, id, id);
	if (sandbox)
		P_SET(repository_update, &request, default_sandbox_type, (enum p_sandbox_type)sandbox);
	if (request.default_commands.n > 0)
		P_MARK(repository_update, &request, default_commands);
	r = ctl_call(ctl, P_M_repository_update, &request, &answer);
	P_FREE(repository_update, &request);
	return r ? r : show(ctl, &answer);
}

int
ctl_repo_rm(struct ctl *ctl)
{
	struct p_deleted_answer answer;
	CLEAN_FREE char *id = NULL;

	int r = ask(ctl, P_M_repository_delete, &id, &answer);
	if (r != 0 || ctl_json_done(ctl, &p_type_deleted_answer, &answer))
		return r;
	P_FREE(deleted_answer, &answer);
	ctl_note(ctl, "%s is forgotten", id);
	return 0;
}

int
ctl_repo_verify(struct ctl *ctl)
{
	struct p_repository_verify request = {0};
	struct p_repository_verify_answer answer;
	CLEAN_BUF struct buf b = {0};
	CLEAN_FREE char *id = NULL;

	int r = repository_id(ctl, &id);
	if (r != 0)
		return r;
	if (is_uuid(id))
		P_SETS(repository_verify, &request, id, id);
	else
		P_SETS(repository_verify, &request, repository_url, id);
	r = ctl_call(ctl, P_M_repository_verify, &request, &answer);
	P_FREE(repository_verify, &request);
	if (r != 0)
		return r;
	int status = answer.is_accessible ? 0 : CTL_EXIT_FAILED;
	if (ctl_json_done(ctl, &p_type_repository_verify_answer, &answer))
		return status;
	fields_show(&b, &ctl->out, &p_type_repository_verify_answer, &answer,
	    (const char *const[]){"verification_success", NULL});
	P_FREE(repository_verify_answer, &answer);
	ctl_out(&b);
	return status;
}
