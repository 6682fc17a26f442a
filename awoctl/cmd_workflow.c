/* Commands about workflows and command files. */
#include <stdio.h>
#include <stdlib.h>

#include "awoctl/ctl.h"
#include "awoctl/fields.h"
#include "awoctl/table.h"
#include "common/clean.h"

static void
add_names(struct buf *b, const struct p_strv *names)
{
	for (size_t i = 0; i < names->n; i++)
		buf_printf(b, "%s%s", i ? ", " : "", names->v[i]);
}

int
ctl_workflow_ls(struct ctl *ctl)
{
	static const struct table_column columns[] = {{"NAME", false, 16, 0}, {"STEPS", false, 20, 0},
	    {"DESCRIPTION", false, 16, 1}};
	struct p_workflow_list_answer answer;
	CLEAN_BUF struct buf b = {0};

	int r = ctl_call(ctl, P_M_workflow_list, NULL, &answer);
	if (r != 0 || ctl_json_done(ctl, &p_type_workflow_list_answer, &answer))
		return r;
	struct table *t = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	for (size_t i = 0; i < answer.workflows.n; i++) {
		const struct p_workflow *w = &answer.workflows.v[i];
		CLEAN_BUF struct buf steps = {0};
		add_names(&steps, &w->steps);
		table_cell(t, INK_NONE, w->name);
		table_cell(t, INK_NONE, steps.p ? steps.p : "");
		table_cell(t, INK_NONE, w->description ? w->description : "");
	}
	table_print(t, &ctl->out, &b);
	table_free(t);
	P_FREE(workflow_list_answer, &answer);
	ctl_out(&b);
	return 0;
}

int
ctl_workflow_show(struct ctl *ctl)
{
	struct p_workflow_ref request = {0};
	struct p_workflow answer;
	CLEAN_BUF struct buf b = {0};

	P_SETS(workflow_ref, &request, name, ctl->line->args[0]);
	int r = ctl_call(ctl, P_M_workflow_get, &request, &answer);
	P_FREE(workflow_ref, &request);
	if (r != 0 || ctl_json_done(ctl, &p_type_workflow, &answer))
		return r;
	fields_show(&b, &ctl->out, &p_type_workflow, &answer, NULL);
	P_FREE(workflow, &answer);
	ctl_out(&b);
	return 0;
}

int
ctl_workflow_validate(struct ctl *ctl)
{
	struct p_workflow_validate request = {0};
	struct p_workflow_validate_answer answer;
	CLEAN_BUF struct buf b = {0};
	const char *steps = ctl_opt(ctl, "steps");
	int r;

	if (!steps == !ctl->line->nargs)
		return ctl_usage(ctl, "workflow validate: give the name of a workflow, or --steps");
	if (steps) {
		if ((r = ctl_list(ctl, "--steps", steps, &request.selected_commands)) != 0)
			return r;
		P_MARK(workflow_validate, &request, selected_commands);
	} else
		P_SETS(workflow_validate, &request, workflow_type, ctl->line->args[0]);
	r = ctl_call(ctl, P_M_workflow_validate, &request, &answer);
	P_FREE(workflow_validate, &request);
	if (r != 0)
		return r;
	int status = answer.valid ? 0 : CTL_EXIT_FAILED;
	if (ctl_json_done(ctl, &p_type_workflow_validate_answer, &answer))
		return status;
	fields_show(&b, &ctl->out, &p_type_workflow_validate_answer, &answer, NULL);
	P_FREE(workflow_validate_answer, &answer);
	ctl_out(&b);
	return status;
}

int
ctl_command_ls(struct ctl *ctl)
{
	static const struct table_column columns[] = {{"NAME", false, 12, 0}, {"DESCRIPTION", false, 16, 1},
	    {"SOURCE", false, 16, 2}};
	struct p_command_list_answer answer;
	CLEAN_BUF struct buf b = {0};

	int r = ctl_call(ctl, P_M_command_list, NULL, &answer);
	if (r != 0 || ctl_json_done(ctl, &p_type_command_list_answer, &answer))
		return r;
	struct table *t = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	for (size_t i = 0; i < answer.commands.n; i++) {
		const struct p_command *c = &answer.commands.v[i];
		table_cell(t, INK_NONE, c->name);
		table_cell(t, INK_NONE, c->description ? c->description : "");
		table_cell(t, INK_NONE, c->source);
	}
	table_print(t, &ctl->out, &b);
	table_free(t);
	P_FREE(command_list_answer, &answer);
	ctl_out(&b);
	return 0;
}
