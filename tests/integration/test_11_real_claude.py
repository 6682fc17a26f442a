"""The real Claude Code program carries out orders, its model played by a stand-in of the Messages API."""
import json
import os
import time

import pytest

from awo_testlib import claude_cli, npm
from awo_testlib.messages_api import MessagesApi, bash, text


@pytest.fixture(scope="module")
def claude():
    try:
        return claude_cli.program()
    except npm.Missing as e:
        print(f"\nNOT TESTED WITH THE REAL CLAUDE CODE: {e}\n")
        pytest.skip(str(e))


@pytest.fixture
def api():
    made = MessagesApi()
    yield made
    made.close()


@pytest.fixture
def instance(make_instance, claude, api):
    made = make_instance({
        "retry": {"max_attempts": 2},
        "agents": {"default": "claude", "claude": {
            "program": str(claude), "keys": ["ANTHROPIC_API_KEY"],
            "env": {"ANTHROPIC_BASE_URL": api.url, "CLAUDE_CODE_MAX_RETRIES": "1"}}}})
    made.credential("ANTHROPIC_API_KEY", "agent_key", api.key)
    return made


def test_order(instance, repo, api):
    order = instance.completed(instance.create(repo.path, "Add real.txt", workflow_type="agent_workflow_validate"), 180)
    order_id, branch = order["agent_work_order_id"], order["git_branch_name"]
    assert branch == f"feat/real-cli-{order_id}"
    assert repo.subjects(branch) == ["docs(prp): plan the real cli", "feat: add real.txt", "feat: say more",
                                     "test: record test results"]
    assert repo.show(branch, "real.txt") == "made by the real program\nmore"
    assert [s for s, turn in api.steps if turn == 0] == order["selected_commands"]
    assert order["usage"]["num_turns"] >= 10 and order["usage"]["cost_usd"] > 0
    tools = [line for line in instance.events(order_id, "agent_output") if line.get("kind") == "tool_use"]
    assert any("git checkout" in json.dumps(line) for line in tools)
    # nothing but the model was asked for
    assert {path for _, path, _ in api.requests} <= {"/", "/v1/messages", "/v1/messages/count_tokens"}
    # the prompt reached the model through standard input, the key only through the environment
    assert api.key not in json.dumps(instance.log(order_id))


def test_follow_up_resumes_the_session(instance, repo, api):
    steps = ["create-branch", "planning", "execute", "commit"]
    first = instance.completed(instance.create(repo.path, "Add real.txt", selected_commands=steps), 120)
    order_id = first["agent_work_order_id"]
    instance.call("order.prompt", agent_work_order_id=order_id, prompt_text="and now the follow-up")
    second = instance.completed(order_id, 120)
    assert repo.subjects(second["git_branch_name"])[-1] == "feat: follow up"
    # every step is a conversation of its own; the prompt goes on with one of them
    steps = instance.call("order.steps", agent_work_order_id=order_id)["steps"]
    prompt, = [s for s in steps if s["step"] == "prompt"]
    assert prompt["session_id"] in {s["session_id"] for s in steps[:len(first["selected_commands"])]}


def test_bad_key(instance, repo):
    instance.credential("ANTHROPIC_API_KEY", "agent_key", "sk-ant-wrong")
    order = instance.failed(instance.create(repo.path), timeout=120)
    assert order["error_category"] in ("permanent", "agent") and "key" in order["error_message"].lower()
    assert "sk-ant-wrong" not in json.dumps(instance.log(order["agent_work_order_id"]))


@pytest.mark.parametrize("fault, category", [
    ({"status": 529, "type": "overloaded_error"}, "transient"),
    ({"status": 429, "type": "rate_limit_error", "headers": {"retry-after": "1"}}, "transient"),
    ({"status": 400, "type": "invalid_request_error"}, "agent")])
def test_errors_of_the_model(make_instance, claude, api, repo, fault, category):
    instance = make_instance({"retry": {"max_attempts": 1}, "agents": {"default": "claude", "claude": {
        "program": str(claude), "keys": ["ANTHROPIC_API_KEY"],
        "env": {"ANTHROPIC_BASE_URL": api.url, "CLAUDE_CODE_MAX_RETRIES": "1"}}}})
    instance.credential("ANTHROPIC_API_KEY", "agent_key", api.key)
    api.faults = [fault] * 50
    order = instance.failed(instance.create(repo.path), timeout=120)
    assert order["error_category"] in ((category,) if category == "transient" else (category, "permanent"))


def test_overload_that_passes(instance, repo, api):
    api.faults = [{"status": 529, "type": "overloaded_error"}]
    instance.completed(instance.create(repo.path, selected_commands=["create-branch", "planning"]), 120)


def test_cut_stream_that_claims_success(instance, repo, api):
    """The program exits with 0 and success; git shows that nothing was planned."""
    api.script["planning"] = [[text("I begin and then")]]
    order = instance.failed(instance.create(repo.path, selected_commands=["create-branch", "planning"]), timeout=120)
    assert order["error_message"].startswith("Command 'planning' failed: ")


def test_cancel_during_a_tool(instance, repo, api):
    api.script["planning"] = [[bash("sleep 1000 & sleep 1000")]]
    order_id = instance.create(repo.path, selected_commands=["create-branch", "planning"])
    instance.wait(order_id, condition=lambda o: o["current_step"] == "planning", timeout=90)
    instance.wait_event(order_id, "agent_output", step="planning", kind="tool_use")
    time.sleep(0.5)
    start = time.monotonic()
    instance.call("order.cancel", agent_work_order_id=order_id)
    instance.wait(order_id, "cancelled", timeout=20)
    assert time.monotonic() - start < 12 and not instance.workers()


def test_program_is_seen(instance):
    agents = {a["name"]: a for a in instance.call("system.info")["agents"]}
    assert agents["claude"]["available"]
    answer = instance.call("settings.test", what="agent", timeout=60)
    assert answer["success"] and claude_cli.VERSION in (answer.get("version") or answer["message"])


def test_home_is_the_orders_own(instance, repo):
    order_id = instance.completed(instance.create(repo.path, selected_commands=["create-branch"]), 90)[
        "agent_work_order_id"]
    home = instance.state / "work-orders" / order_id / "home"
    if os.access(home, os.R_OK):
        assert list(home.glob(".claude/projects/-workspace/*.jsonl"))
