"""An order stops at its gates until a person has decided."""
import signal

import pytest

from awo_testlib.remotes import git
from awo_testlib.rpc import RpcError


def at_gate(instance, repo, told="", **fields):
    fields.setdefault("gates", ["planning"])
    order_id = instance.create(repo.path, f"Add a greeting\n{told}", **fields)
    order = instance.wait(order_id, "waiting", timeout=60)
    assert order["gate"] == fields["gates"][0]
    return order_id


def decide(instance, what, order_id, **more):
    return instance.call(f"order.{what}", agent_work_order_id=order_id, **more)["agent_work_order"]


def test_approved(make_instance, repo):
    instance = make_instance({"max_concurrent": 1})
    order_id = at_gate(instance, repo)
    # the plan can be read before anything is built on it
    patch = instance.call("order.diff", agent_work_order_id=order_id)["patch"]
    assert "+++ b/PRPs/" in patch
    events = instance.events(order_id)
    assert events[-1] == "workflow_gate_reached" and "execute" not in [
        line.get("step") for line in instance.log(order_id)]
    gate = instance.events(order_id, "workflow_gate_reached")[0]
    assert gate["next_step"] == "execute"
    # its slot is free: another order runs from end to end meanwhile
    instance.completed(instance.create(repo.path, selected_commands=["create-branch", "planning", "commit"]))
    with pytest.raises(RpcError) as refused:
        decide(instance, "pause", order_id)
    assert refused.value.code == "failed_precondition"
    decide(instance, "approve", order_id, comment="go ahead")
    order = instance.completed(order_id, timeout=60)
    assert order["attempt"] == 1 and order["gate"] is None and order["gates"] == ["planning"]
    approved = instance.events(order_id, "agent_work_order_approved")[0]
    assert approved["comment"] == "go ahead" and approved["gate"] == "planning" and approved["by"] == order["owner"]
    for late in ("approve", "reject"):
        with pytest.raises(RpcError) as refused:
            decide(instance, late, order_id)
        assert refused.value.code == "failed_precondition"


def test_an_order_that_waits_for_nobody_is_not_rejected(instance, repo):
    order_id = instance.create(repo.path, "Add a greeting\ndemo: hang")
    instance.wait(order_id, "running")
    with pytest.raises(RpcError) as refused:
        decide(instance, "reject", order_id)
    assert refused.value.code == "failed_precondition" and "only when it is waiting" in str(refused.value)
    assert instance.order(order_id)["status"] == "running"


def test_rejected_and_tried_again(instance, repo):
    order_id = at_gate(instance, repo)
    workers = instance.workers()
    order = decide(instance, "reject", order_id, comment="not like this")
    assert order["status"] == "cancelled" and order["error_category"] == "cancelled"
    assert "rejected behind planning: not like this" in order["error_message"]
    assert all(not w.alive() for w in workers)
    assert repo.branches() == ["main"]
    # a rejected order that is tried again comes back to the gate, and does not slip through
    instance.call("order.retry", agent_work_order_id=order_id)
    assert instance.wait(order_id, "waiting", timeout=60)["gate"] == "planning"
    decide(instance, "approve", order_id)
    instance.completed(order_id, timeout=60)


def test_a_prompt_changes_the_plan_and_the_order_waits_again(instance, repo):
    order_id = at_gate(instance, repo)
    answer = instance.call("order.prompt", agent_work_order_id=order_id, prompt_text="Mention the weather, too")
    assert "waits again" in answer["message"]
    instance.wait_event(order_id, "step_completed", step="prompt")
    order = instance.wait(order_id, "waiting", timeout=30)
    assert order["gate"] == "planning" and order["current_step"] == "prompt"
    events = instance.events(order_id)
    assert events.count("workflow_gate_reached") == 2
    assert "execute" not in [line.get("step") for line in instance.log(order_id)]
    # said and approved at once: it runs first, and once
    decide(instance, "approve", order_id, prompt_text="And the time")
    instance.completed(order_id, timeout=60)
    steps = [s["step"] for s in instance.call("order.steps", agent_work_order_id=order_id)["steps"]]
    assert steps.count("prompt") == 2 and steps.index("execute") > max(i for i, s in enumerate(steps) if s == "prompt")


def test_the_command_line(instance, repo):
    order_id = instance.awoctl("run", repo.path, "Add a greeting", "--gate", "planning", "--detach").out.strip()
    instance.wait(order_id, "waiting", timeout=60)
    assert "waiting" in instance.awoctl("show", order_id).out
    assert instance.awoctl("reject", order_id, "--comment", "not now").rc == 0
    assert "not now" in instance.order(order_id)["error_message"]
    assert instance.awoctl("retry", order_id).rc == 0
    instance.wait(order_id, "waiting", timeout=60)
    done = instance.awoctl("approve", order_id, "--prompt", "Mention the weather")
    assert done.rc == 0, done
    instance.completed(order_id, timeout=60)
    refused = instance.awoctl("run", repo.path, "x", "--gate", "create-pr", "--detach")
    assert refused.rc != 0 and "last step" in refused.err


def test_gates_outlive_awod_and_the_worker(instance, repo):
    order_id = at_gate(instance, repo, gates=["planning", "execute"])
    instance.stop(signal.SIGKILL)
    instance.start()
    assert instance.wait(order_id, "waiting")["gate"] == "planning"
    # a new worker finds the gate closed as well
    for worker in instance.workers():
        worker.kill()
    order = instance.wait(order_id, condition=lambda o: o["attempt"] == 2 and o["status"] == "waiting", timeout=90)
    assert order["gate"] == "planning"
    decide(instance, "approve", order_id)
    assert instance.wait(order_id, condition=lambda o: o["gate"] == "execute", timeout=60)["status"] == "waiting"
    # approved while nobody tells the worker: the next awod does
    decide(instance, "approve", order_id)
    instance.stop(signal.SIGKILL)
    instance.start()
    order = instance.completed(order_id, timeout=60)
    assert order["attempt"] == 2
    assert instance.events(order_id).count("agent_work_order_approved") == 2
    assert git("log", "--format=%s", f"main..{order['git_branch_name']}", cwd=repo.path)


def test_what_no_gate_can_stand_behind(instance, repo):
    for gates, said in ((["create-pr"], "last step"), (["testing"], "no step of this order"), (["nonsense"], "no step")):
        with pytest.raises(RpcError) as refused:
            instance.create(repo.path, gates=gates)
        assert refused.value.code == "invalid_argument" and said in str(refused.value)
