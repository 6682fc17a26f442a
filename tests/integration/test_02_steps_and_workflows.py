"""Which steps an order runs, where their prompts come from, and what a step must leave behind to have succeeded."""
import json

import pytest

from awo_testlib.rpc import RpcError

WORKFLOWS = {
    "agent_workflow_plan": ["create-branch", "planning"],
    "agent_workflow_build": ["create-branch", "planning", "execute"],
    "agent_workflow_implement": ["create-branch", "planning", "execute"],
    "agent_workflow_plan_build": ["create-branch", "planning", "execute"],
    "agent_workflow_test": ["create-branch", "testing"],
    "agent_workflow_validate": ["create-branch", "planning", "execute", "prp-review", "testing"],
    "agent_workflow_plan_build_test": ["create-branch", "planning", "execute", "prp-review", "testing"],
}


def names(instance, order_id):
    return [s["step"] for s in instance.call("order.steps", agent_work_order_id=order_id)["steps"]]


def test_workflow_types_map_to_steps(instance):
    listed = {w["name"]: w["steps"] for w in instance.call("workflow.list")["workflows"]}
    for name, steps in WORKFLOWS.items():
        assert listed[name] == [*steps, "commit", "create-pr"]
        assert instance.call("workflow.get", name=name)["steps"] == listed[name]


@pytest.mark.parametrize("workflow", ["agent_workflow_plan", "agent_workflow_test", "agent_workflow_validate"])
def test_workflow_runs(instance, repo, workflow):
    order = instance.run(repo.path, workflow_type=workflow)
    wanted = [*WORKFLOWS[workflow], "commit", "create-pr"]
    assert order["selected_commands"] == wanted and order["workflow_type"] == workflow
    assert names(instance, order["agent_work_order_id"]) == wanted
    assert all(line["workflow_type"] == workflow for line in instance.log(order["agent_work_order_id"]))
    if "testing" in wanted:
        results = json.loads(repo.show(order["git_branch_name"], "test_results.json"))
        assert results["failed"] == 0


def test_explicit_steps_win(instance, repo):
    order = instance.run(repo.path, workflow_type="agent_workflow_validate",
                         selected_commands=["create-branch", "planning", "commit"])
    assert names(instance, order["agent_work_order_id"]) == ["create-branch", "planning", "commit"]
    assert repo.subjects(order["git_branch_name"])[0].startswith("docs(prp)")


@pytest.mark.parametrize("fields, field", [
    ({"selected_commands": ["create-branch", "no-such-step"]}, "selected_commands"),
    ({"workflow_type": "agent_workflow_unknown"}, "workflow_type"), ({"agent": "nobody"}, "agent"),
    ({"sandbox_type": "chroot"}, "sandbox_type"), ({"priority": 101}, "priority"),
    ({"github_issue_number": "4x"}, "github_issue_number"), ({"user_request": ""}, "user_request"),
    ({"user_request": "x" * 65537}, "user_request"), ({"base_branch": "a..b"}, "base_branch")])
def test_wrong_fields_are_named(instance, repo, fields, field):
    with pytest.raises(RpcError) as e:
        instance.call("order.create", {"repository_url": str(repo.path), "user_request": "x", **fields})
    assert e.value.code == "invalid_argument" and field in (e.value.field or e.value.message)


@pytest.mark.parametrize("kind", ["e2b", "dagger"])
def test_remote_sandboxes_are_not_built_yet(instance, repo, kind):
    with pytest.raises(RpcError) as e:
        instance.create(repo.path, sandbox_type=kind)
    assert e.value.code == "unimplemented"
    assert instance.call("order.list")["total_count"] == 0


@pytest.mark.parametrize("steps, message", [
    (["create-branch", "execute"], "No plan file found in context. Planning step must run before execute."),
    (["planning", "create-pr"], "No branch name found in context. create-branch step must run before create-pr.")])
def test_missing_context(instance, repo, steps, message):
    """Refused at creation, or failed at the step: said in these words either way."""
    try:
        order = instance.wait(instance.create(repo.path, selected_commands=steps))
    except RpcError as e:
        assert message in e.message
        return
    assert order["status"] == "failed" and message in order["error_message"]


@pytest.mark.parametrize("told, step, words", [
    ("demo@planning: false-success", "planning", "plan"), ("demo@testing: fail-tests", "testing", "test"),
    ("demo@prp-review: review-blocker", "prp-review", "blocker"),
    ("demo@testing: false-success", "testing", "test_results.json"),
    ("demo@execute: fail", "execute", "fail"), ("demo@execute: exit 3", "execute", "3"),
    ("demo@create-branch: exit 0", "create-branch", "result")])
def test_step_that_did_not_do_its_work_fails_the_order(instance, repo, told, step, words):
    order_id = instance.create(repo.path, f"Add a greeting\n{told}", workflow_type="agent_workflow_validate")
    order = instance.failed(order_id)
    assert order["error_message"].startswith(f"Command '{step}' failed: "), order["error_message"]
    assert words in order["error_message"].partition("failed: ")[2].lower()
    assert order["error_category"] == "agent"
    assert names(instance, order_id)[-1] == step
    assert repo.branches() == ["main"]


def test_execute_that_changes_nothing_fails(instance, repo):
    order = instance.failed(instance.create(repo.path, "Add a greeting\ndemo@execute: false-success"), "agent")
    assert order["error_message"].startswith("Command 'execute' failed: ")


def test_failing_tests_may_be_allowed(make_instance, repo):
    instance = make_instance({"tests": {"must_pass": False}})
    order = instance.run(repo.path, "Add a greeting\ndemo@testing: fail-tests", workflow_type="agent_workflow_validate")
    assert json.loads(repo.show(order["git_branch_name"], "test_results.json"))["failed"] == 1


def test_branch_is_made_when_the_agent_makes_none(instance, repo):
    order = instance.run(repo.path, "Add a greeting\ndemo@create-branch: no-branch")
    branch = order["git_branch_name"]
    assert branch.startswith("feat/") and branch.endswith(order["agent_work_order_id"]) and repo.head(branch)
    assert repo.subjects(branch)


def test_what_was_left_is_committed_with_a_trailer(instance, repo):
    order = instance.run(repo.path, "Add a greeting\ndemo@execute: no-commit\ndemo@commit: no-commit")
    branch = order["git_branch_name"]
    assert "awo-demo/add-a-greeting.md" in repo.files(branch)
    assert f"Work-Order: {order['agent_work_order_id']}" in repo.message(branch)


@pytest.mark.parametrize("kind, name", [("git_branch", "git_branch"), ("full_clone", "git_branch"),
                                        ("tmp_dir", "git_worktree"), ("worktree", "git_worktree")])
def test_sandbox_types(instance, repo, kind, name):
    order = instance.run(repo.path, sandbox_type=kind)
    assert order["sandbox_type"] == name and repo.head(order["git_branch_name"])


def test_command_files_of_the_repository_when_they_are_trusted(make_instance, repo):
    repo.commit({".awo/commands/create-branch.md": "---\ndescription: ours\n---\n# Create a branch\n\nOURS\n\n"
                 "## Request\n\nBelow.\n\n$ARGUMENTS and $$1 and $9.\n"}, "add a command file")
    trusting, wary = (make_instance({"commands": {"trust_repository": v}}) for v in (True, False))
    order = trusting.run(repo.path, "Costs $1 and $ARGUMENTS")
    prompt = trusting.raw_output(order["agent_work_order_id"], "prompts/01-create-branch.txt")
    assert "OURS" in prompt and "Costs $1 and $ARGUMENTS and $1 and ." in prompt and "description" not in prompt
    order = wary.run(repo.path)
    assert "OURS" not in wary.raw_output(order["agent_work_order_id"], "prompts/01-create-branch.txt")


def test_administrators_command_files_win_over_packaged_ones(make_instance, repo):
    instance = make_instance(start=False)
    (instance.config_dir / "commands").mkdir()
    (instance.config_dir / "commands" / "planning.md").write_text("# Plan the work\n\nHOUSE RULES\n\n## Request\n\nBelow.\n\n$1\n")
    (instance.config_dir / "commands").chmod(0o755)
    instance.start()
    order = instance.run(repo.path)
    assert "HOUSE RULES" in instance.raw_output(order["agent_work_order_id"], "prompts/02-planning.txt")
    listed = {c["name"]: c["source"] for c in instance.call("command.list")["commands"]}
    assert listed["planning"].startswith(str(instance.config_dir)) and listed["execute"].startswith(str(instance.commands))


def test_missing_command_file(make_instance, repo):
    instance = make_instance(start=False)
    (instance.commands / "execute.md").unlink()
    instance.start()
    order = instance.failed(instance.create(repo.path))
    assert "Command file not found: " in order["error_message"] and "execute.md" in order["error_message"]
