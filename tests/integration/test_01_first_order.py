"""A first order: from the request to a branch on the remote and a pull request, with everything on record."""
import json
import re

from awo_testlib.remotes import git

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
# what every order that succeeds says, in this order; other lines may stand between
STORY = ["agent_work_order_created", "agent_work_order_started", "sandbox_created", "workspace_created",
         "workflow_started", "step_started", "agent_command_started", "agent_command_completed", "git_branch_created",
         "step_completed", "step_started", "git_commit_created", "step_completed", "step_started", "git_commit_created",
         "git_commit_created", "step_completed", "step_started", "git_push_completed", "step_completed", "step_started",
         "github_pull_request_created", "step_completed", "sandbox_cleanup_completed", "workflow_completed",
         "agent_work_order_completed"]


def is_subsequence(part, whole):
    rest = iter(whole)
    return all(name in rest for name in part)


def check_lines(lines, order_id):
    last = 0
    for line in lines:
        assert line["seq"] > last
        last = line["seq"]
        assert ISO.fullmatch(line["timestamp"]), line
        assert line["level"] in ("debug", "info", "warning", "error")
        assert line["agent_work_order_id"] == line["work_order_id"] == order_id
        for key in ("repository_url", "workflow_type", "sandbox_type"):
            assert key in line, line


def test_pull_request_from_a_request(github):
    done = github.instance.awoctl("run", github.url, "Add a greeting")
    assert done.rc == 0, done
    orders = github.instance.call("order.list")["agent_work_orders"]
    assert len(orders) == 1
    order = orders[0]
    order_id, branch = order["agent_work_order_id"], order["git_branch_name"]

    assert order["status"] == "completed" and order["current_phase"] == "completed"
    assert re.fullmatch(r"wo-[0-9a-f]{8}", order_id) and order["sandbox_identifier"] == f"sandbox-{order_id}"
    assert order["repository_url"] == github.url and order["base_branch"] == "main"
    assert order["selected_commands"] == ["create-branch", "planning", "execute", "commit", "create-pr"]
    assert (order["step_number"], order["total_steps"], order["attempt"]) == (5, 5, 1)
    assert order["error_message"] is None and order["error_category"] is None

    # what the remote has
    assert branch == f"feat/add-a-greeting-{order_id}"
    assert sorted(github.repo.branches()) == sorted(["main", branch])
    assert github.repo.subjects(branch)[:3] == ["docs(prp): add a greeting", "feat: add a greeting",
                                                "feat: mention it in the README"]
    numbers = tuple(order[k] for k in ("git_commit_count", "git_files_changed", "git_lines_added", "git_lines_removed"))
    assert numbers == github.repo.numbers(branch)
    assert ".ports.env" not in github.repo.files(branch)

    # what the forge was asked
    assert len(github.project.pulls) == 1
    pull = github.project.pulls[0]
    assert pull["head"]["ref"] == branch and pull["base"]["ref"] == "main" and pull["title"] == "feat: add a greeting"
    assert "## Summary" in pull["body"]
    assert order["github_pull_request_url"] == pull["html_url"] and order["github_pull_request_state"] == "open"
    assert order["github_pull_request_number"] == str(pull["number"])
    assert done.out.strip().splitlines()[-1].endswith(pull["html_url"])

    # what was used
    usage = order["usage"]
    assert usage["input_tokens"] > 0 and usage["output_tokens"] > 0 and usage["cost_usd"] > 0 and usage["num_turns"] >= 5
    assert re.fullmatch(r"[0-9a-f-]{36}", order["agent_session_id"])
    for key in ("created_at", "updated_at", "execution_started_at", "execution_completed_at"):
        assert ISO.fullmatch(order[key])
    assert order["created_at"] <= order["execution_started_at"] <= order["execution_completed_at"]

    lines = github.instance.log(order_id)
    check_lines(lines, order_id)
    events = [line["event"] for line in lines]
    assert is_subsequence(STORY, events), events
    for name in ("agent_work_order_created", "agent_work_order_started", "workflow_completed",
                 "agent_work_order_completed", "git_push_completed", "github_pull_request_created"):
        assert events.count(name) == 1, name
    assert {"repository_fetch_started", "repository_fetch_completed", "port_range_allocated", "commands_loaded",
            "workflow_execution_started", "github_repository_verified", "workflow_phase_started",
            "workflow_phase_transition", "workflow_phase_completed", "agent_output"} <= set(events)
    assert events[-1] == "agent_work_order_completed"


def test_log_file_is_the_log(github):
    order = github.instance.run(github.url)
    order_id = order["agent_work_order_id"]
    files = list(github.instance.log_dir.glob(f"agent_work_orders/????-??-??/{order_id}.jsonl"))
    assert len(files) == 1
    lines = [json.loads(line) for line in files[0].read_text().splitlines()]
    assert [{k: v for k, v in line.items() if k != "seq"} for line in github.instance.log(order_id)] == lines
    assert github.forge.token not in files[0].read_text()


def test_steps_and_artifacts(github):
    order_id = github.instance.run(github.url)["agent_work_order_id"]
    steps = github.instance.call("order.steps", agent_work_order_id=order_id)["steps"]
    assert [(s["step"], s["agent_name"]) for s in steps] == [
        ("create-branch", "BranchCreator"), ("planning", "Planner"), ("execute", "Implementor"),
        ("commit", "Committer"), ("create-pr", "PrCreator")]
    assert all(s["success"] and s["duration_seconds"] >= 0 and s["error_message"] is None for s in steps)
    assert steps[1]["output"].strip().endswith("PRPs/add-a-greeting.md")
    names = {a["name"] for a in github.instance.call("order.artifacts", agent_work_order_id=order_id)["artifacts"]}
    assert {"prompts/01-create-branch.txt", "outputs/01-create-branch.jsonl", "prompts/03-execute.txt",
            "outputs/03-execute.jsonl"} <= names
    prompt = github.instance.raw_output(order_id, "prompts/02-planning.txt")
    assert "# Plan the work" in prompt and "Add a greeting" in prompt and "description:" not in prompt
    assert '"subtype":"init"' in github.instance.raw_output(order_id, "outputs/02-planning.jsonl").replace(" ", "")


def test_progress_and_diff_come_from_git(github):
    order = github.instance.run(github.url)
    order_id, branch = order["agent_work_order_id"], order["git_branch_name"]
    progress = github.instance.call("order.progress", agent_work_order_id=order_id)
    assert (progress["git_commit_count"], progress["git_files_changed"], progress["git_lines_added"],
            progress["git_lines_removed"]) == github.repo.numbers(branch)
    assert progress["latest_commit_sha"] == github.repo.head(branch)
    assert [p["phase"] for p in progress["phase_history"]][:2] == ["planning", "implementing"]
    diff = github.instance.call("order.diff", agent_work_order_id=order_id)
    changed = set(git("diff", "--name-only", "main", branch, cwd=github.repo.path).splitlines())
    assert {line.partition(" b/")[2] for line in diff["patch"].splitlines() if line.startswith("diff --git")} == changed


def test_issue_becomes_the_request_and_gets_a_comment(github):
    github.project.issues[42] = {"title": "Greeting is missing", "body": "Please say hello.\n\nThank you."}
    order_id = github.instance.call("order.create", repository_url=github.url,
                                    github_issue_number="42")["agent_work_order"]["agent_work_order_id"]
    order = github.instance.completed(order_id)
    assert "Please say hello." in github.instance.raw_output(order_id, "prompts/02-planning.txt")
    assert len(github.project.comments) == 1
    comment = github.project.comments[0]
    assert comment["issue"] == 42 and order["github_pull_request_url"] in comment["body"]
    assert {"github_issue_fetched", "github_issue_commented"} <= set(github.instance.events(order_id))


def test_local_remote_is_no_forge(instance, repo):
    order = instance.run(repo.path)
    branch = order["git_branch_name"]
    assert repo.head(branch) and order["github_pull_request_url"] is None
    steps = instance.call("order.steps", agent_work_order_id=order["agent_work_order_id"])["steps"]
    assert re.match(r"no pull request service for .*; branch \S+ pushed", steps[-1]["output"])
    assert f"branch {branch} pushed" in steps[-1]["output"]
