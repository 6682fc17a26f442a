"""Talking to an order: while it runs, and after it has ended."""
import pytest

from awo_testlib.rpc import RpcError


def steps(instance, order_id):
    return [s["step"] for s in instance.call("order.steps", agent_work_order_id=order_id)["steps"]]


def test_prompt_to_a_running_order_runs_after_the_current_step(instance, repo):
    order_id = instance.create(repo.path, "Add a greeting\ndemo@planning: sleep 2")
    instance.wait(order_id, condition=lambda o: o["current_step"] == "planning")
    answer = instance.call("order.prompt", agent_work_order_id=order_id, prompt_text="Say it in French too")
    assert answer["prompt_accepted"] and answer["prompt_id"] >= 1
    order = instance.completed(order_id)
    assert steps(instance, order_id) == ["create-branch", "planning", "prompt", "execute", "commit", "create-pr"]
    assert "Say it in French too" in repo.show(order["git_branch_name"], "awo-demo/prompts.md").replace("say", "Say")
    assert [line["prompt_id"] for line in instance.events(order_id, "prompt_queued")] == [answer["prompt_id"]]


def test_prompts_keep_their_order(instance, repo):
    order_id = instance.create(repo.path, "Add a greeting\ndemo@create-branch: sleep 2")
    instance.wait(order_id, condition=lambda o: o["current_step"] == "create-branch")
    for i in range(3):
        instance.call("order.prompt", agent_work_order_id=order_id, prompt_text=f"note number {i}")
    order = instance.completed(order_id)
    assert repo.show(order["git_branch_name"], "awo-demo/prompts.md").splitlines() == [
        f"* note number {i}" for i in range(3)]


def test_prompt_to_a_completed_order_goes_to_the_same_branch_and_pull_request(github):
    instance = github.instance
    first = instance.run(github.url)
    order_id = first["agent_work_order_id"]
    tip = github.repo.head(first["git_branch_name"])
    instance.call("order.prompt", agent_work_order_id=order_id, prompt_text="make it louder")
    second = instance.completed(order_id)
    assert second["git_branch_name"] == first["git_branch_name"]
    assert github.repo.subjects(second["git_branch_name"], tip) == ["feat: make it louder"]
    assert len(github.project.pulls) == 1
    assert second["github_pull_request_url"] == first["github_pull_request_url"]
    assert second["git_commit_count"] == first["git_commit_count"] + 1
    assert second["agent_session_id"]
    assert second["usage"]["input_tokens"] > first["usage"]["input_tokens"]
    assert instance.events(order_id).count("agent_work_order_completed") == 2


def test_prompt_to_a_failed_order(instance, repo):
    order_id = instance.create(repo.path, "Add a greeting\ndemo@execute: fail")
    instance.failed(order_id)
    instance.call("order.prompt", agent_work_order_id=order_id, prompt_text="do it by hand")
    order = instance.wait(order_id)
    assert "prompt" in steps(instance, order_id), order


def test_prompt_that_names_a_command_file(make_instance, repo):
    instance = make_instance(start=False)
    (instance.config_dir / "commands").mkdir(mode=0o755)
    (instance.config_dir / "commands" / "shout.md").write_text("Shout this: $1 ($ARGUMENTS)\n")
    instance.start()
    order_id = instance.run(repo.path)["agent_work_order_id"]
    instance.call("order.prompt", agent_work_order_id=order_id, prompt_text="/shout hello there")
    instance.completed(order_id)
    names = [a["name"] for a in instance.call("order.artifacts", agent_work_order_id=order_id)["artifacts"]]
    name = [n for n in names if n.startswith("prompts/") and "prompt" in n.removeprefix("prompts/")][-1]
    assert "Shout this: hello there" in instance.raw_output(order_id, name)


def test_prompt_with_the_short_word_for_a_step(instance, repo):
    order_id = instance.run(repo.path, selected_commands=["create-branch"])["agent_work_order_id"]
    instance.call("order.prompt", agent_work_order_id=order_id, prompt_text="/plan Issue #42")
    instance.completed(order_id)
    started = instance.events(order_id, "agent_command_started")[-2:]
    assert any(line["command_file"].endswith("/planning.md") for line in started), started


@pytest.mark.parametrize("text", ["", "x" * 65537])
def test_prompts_of_wrong_size(instance, repo, text):
    order_id = instance.create(repo.path, "demo: hang")
    with pytest.raises(RpcError) as e:
        instance.call("order.prompt", agent_work_order_id=order_id, prompt_text=text)
    assert e.value.code == "invalid_argument" and "prompt_text" in (e.value.field or e.value.message)
    instance.call("order.cancel", agent_work_order_id=order_id)


def test_prompt_to_a_cancelled_order_is_refused(instance, repo):
    order_id = instance.create(repo.path, "demo: hang")
    instance.call("order.cancel", agent_work_order_id=order_id)
    instance.wait(order_id, "cancelled")
    with pytest.raises(RpcError) as e:
        instance.call("order.prompt", agent_work_order_id=order_id, prompt_text="hello")
    assert e.value.code == "failed_precondition"
