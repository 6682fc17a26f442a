"""Cancel, pause, resume, timeouts and retries."""
import time

import pytest

from awo_testlib import processes
from awo_testlib.rpc import RpcError
from awo_testlib.waiting import until

STEPS = ["create-branch", "planning", "commit"]


def agents(instance, order_id):
    """Everything of the order's sandbox, seen from outside."""
    roots = [w.pid for w in instance.workers() if order_id in " ".join(w.argv)]
    found = []
    for pid in roots:
        found += processes.descendants(pid)
    return found


def begin(instance, repo, told, step="create-branch", **fields):
    order_id = instance.create(repo.path, f"Add a greeting\ndemo@{step}: {told}", **fields)
    instance.wait(order_id, condition=lambda o: o["current_step"] == step)
    instance.wait_event(order_id, "agent_output", step=step)
    return order_id


@pytest.mark.parametrize("told", ["hang", "ignore-term", "run sleep 1000", "flood 1000000000000", "stdout-close"])
def test_cancel_leaves_nothing_behind(instance, repo, told):
    order_id = instance.create(repo.path, f"Add a greeting\ndemo: daemon 3600\ndemo: {told}")
    instance.wait(order_id, condition=lambda o: o["current_step"] == "create-branch")
    instance.wait_event(order_id, "agent_command_started")
    time.sleep(0.3)
    everything = agents(instance, order_id)
    assert everything
    start = time.monotonic()
    instance.call("order.cancel", agent_work_order_id=order_id, reason="enough of it")
    order = instance.wait(order_id, "cancelled", timeout=15)
    assert time.monotonic() - start < 12
    assert order["error_category"] in (None, "cancelled")
    assert not processes.wait_gone(everything, 3)
    assert not instance.workers()
    events = instance.events(order_id)
    assert events.index("sandbox_cleanup_completed") < events.index("agent_work_order_cancelled")
    assert instance.events(order_id, "agent_work_order_cancelled")[0]["reason"] == "enough of it"
    assert repo.branches() == ["main"]


def test_pause_stops_everything_and_frees_the_slot(make_instance, repo):
    instance = make_instance({"max_concurrent": 1})
    order_id = begin(instance, repo, "run i=0; while [ $i -lt 400 ]; do i=$((i+1)); date +%s%N >> ticks; sleep 0.02; done")
    ticks = instance.state / "work-orders" / order_id / "workspace" / "ticks"
    until(ticks.exists, "the first tick", 10)
    instance.call("order.pause", agent_work_order_id=order_id)
    instance.wait(order_id, "paused", timeout=10)
    size = ticks.stat().st_size
    time.sleep(0.5)
    assert ticks.stat().st_size == size
    other = instance.create(repo.path, selected_commands=STEPS)
    instance.completed(other)
    instance.call("order.resume", agent_work_order_id=order_id)
    instance.wait(order_id, "running", timeout=10)
    until(lambda: ticks.stat().st_size > size, "a tick behind the pause")
    instance.completed(order_id, timeout=60)
    events = instance.events(order_id)
    assert events.index("agent_work_order_paused") < events.index("agent_work_order_resumed")


def test_resume_waits_for_a_slot(make_instance, repo):
    instance = make_instance({"max_concurrent": 1})
    first = begin(instance, repo, "hang")
    instance.call("order.pause", agent_work_order_id=first)
    instance.wait(first, "paused")
    second = begin(instance, repo, "hang")
    instance.call("order.resume", agent_work_order_id=first)
    time.sleep(0.5)
    assert instance.call("queue.get")["running"] == 1
    instance.call("order.cancel", agent_work_order_id=second)
    instance.wait(second, "cancelled")
    instance.wait(first, "running", timeout=10)
    instance.call("order.cancel", agent_work_order_id=first)
    instance.wait(first, "cancelled")


def test_paused_order_can_be_cancelled(instance, repo):
    order_id = begin(instance, repo, "ignore-term")
    instance.call("order.pause", agent_work_order_id=order_id)
    instance.wait(order_id, "paused")
    instance.call("order.cancel", agent_work_order_id=order_id)
    instance.wait(order_id, "cancelled", timeout=15)
    assert not instance.workers()


def test_paused_order_survives_a_restart(instance, repo):
    order_id = begin(instance, repo, "sleep 1", step="planning")
    instance.call("order.pause", agent_work_order_id=order_id)
    instance.wait(order_id, "paused")
    instance.stop()
    instance.start()
    assert instance.order(order_id)["status"] == "paused"
    instance.call("order.resume", agent_work_order_id=order_id)
    instance.completed(order_id)


def test_paused_order_whose_worker_dies_is_retried(make_instance, repo):
    instance = make_instance({"retry": {"backoff": 1, "max_backoff": 1}})
    order_id = begin(instance, repo, "sleep 1", step="planning")
    instance.call("order.pause", agent_work_order_id=order_id)
    instance.wait(order_id, "paused")
    for worker in instance.workers():
        worker.kill()
    order = instance.completed(order_id, timeout=60)
    assert order["attempt"] == 2
    retried = instance.events(order_id, "agent_work_order_retried")
    assert [line["by"] for line in retried] == ["awod"] and "killed by signal 9" in retried[0]["reason"]


@pytest.mark.parametrize("config, told, name", [
    ({"step": 2}, "flood 1000000000000", "step"), ({"idle": 1}, "hang", "idle"), ({"order": 2}, "hang", "order"),
    ({"idle": 1}, "ignore-term", "idle"), ({"step": 2}, "stdout-close", "step")])
def test_timeouts(make_instance, repo, config, told, name):
    instance = make_instance({"timeouts": {**config, "kill": 1}, "limits": {"log_bytes": 1000000}})
    order_id = instance.create(repo.path, f"Add a greeting\ndemo: {told}")
    order = instance.failed(order_id, "timeout", timeout=40)
    assert name in order["error_message"] or "time" in order["error_message"]
    assert not instance.workers()
    line = instance.events(order_id, "agent_command_timeout")
    assert line and line[0]["timeout"] == name


def test_timeout_of_one_order(instance, repo):
    order = instance.failed(instance.create(repo.path, "demo: hang", timeout_seconds=1), "timeout", timeout=30)
    assert order["attempt"] == 1


def test_clock_stands_still_while_paused(make_instance, repo):
    # either time alone is within the limit, both are not
    instance = make_instance({"timeouts": {"idle": 4, "kill": 1}})
    order_id = begin(instance, repo, "sleep 2")
    instance.call("order.pause", agent_work_order_id=order_id)
    instance.wait(order_id, "paused")
    time.sleep(3)
    instance.call("order.resume", agent_work_order_id=order_id)
    instance.completed(order_id)


def test_transient_failure_is_tried_again(instance, repo):
    order_id = instance.create(repo.path, "Add a greeting\ndemo@execute: fail-once")
    order = instance.completed(order_id)
    assert order["attempt"] == 2
    line, = instance.events(order_id, "agent_work_order_retried")
    assert line["attempt"] == 2 and line["retry_at"]
    steps = [(s["step"], s["attempt"]) for s in instance.call("order.steps", agent_work_order_id=order_id)["steps"]]
    # only from the step that failed
    assert steps == [("create-branch", 1), ("planning", 1), ("execute", 1), ("execute", 2), ("commit", 2),
                     ("create-pr", 2)]
    assert repo.subjects(order["git_branch_name"]).count("docs(prp): add a greeting") == 1


def test_attempts_are_limited(make_instance, repo):
    instance = make_instance({"retry": {"max_attempts": 2}})
    order = instance.failed(instance.create(repo.path, "Add a greeting\ndemo@planning: rate-limit"), "transient")
    assert order["attempt"] == 2


def test_waiting_for_a_retry_is_pending(make_instance, repo):
    instance = make_instance({"retry": {"backoff": 30, "max_backoff": 60}})
    order_id = instance.create(repo.path, "Add a greeting\ndemo@planning: rate-limit")
    order = instance.wait(order_id, condition=lambda o: o["status"] == "pending" and o["retry_at"])
    assert order["attempt"] in (1, 2)
    entry, = instance.call("queue.get")["entries"]
    assert entry["reason"] == "retry_at"
    instance.call("order.cancel", agent_work_order_id=order_id)
    assert instance.order(order_id)["status"] == "cancelled"


def test_agent_killed_from_outside_is_tried_again(make_instance, repo):
    instance = make_instance({"retry": {"max_attempts": 2}})
    order_id = begin(instance, repo, "hang", step="planning")
    victims = [p for p in agents(instance, order_id) if "awo-demo-agent" in (p.argv or [""])[0]]
    assert victims
    victims[-1].kill()
    instance.wait_event(order_id, "agent_work_order_retried")
    instance.call("order.cancel", agent_work_order_id=order_id)


def test_retry_keeps_what_was_not_committed(instance, repo):
    order_id = instance.create(repo.path, "Add a greeting\ndemo@execute: run echo precious > precious.txt\n"
                                          "demo@execute: fail the first time")
    instance.failed(order_id)
    instance.call("order.retry", agent_work_order_id=order_id)
    instance.wait(order_id, "failed")
    names = [a["name"] for a in instance.call("order.artifacts", agent_work_order_id=order_id)["artifacts"]]
    assert any("precious" in n or "saved" in n or "uncommitted" in n for n in names), names


def test_retry_of_a_cancelled_order(instance, repo):
    order_id = instance.create(repo.path, "Add a greeting\ndemo@execute: sleep 3")
    instance.wait(order_id, condition=lambda o: o["current_step"] == "execute")
    instance.call("order.cancel", agent_work_order_id=order_id)
    instance.wait(order_id, "cancelled")
    instance.call("order.retry", agent_work_order_id=order_id)
    order = instance.completed(order_id)
    assert order["attempt"] == 2 and repo.head(order["git_branch_name"])


@pytest.mark.parametrize("method", ["cancel", "pause", "resume", "retry", "start", "approve", "reject"])
def test_transitions_that_are_not_there(instance, repo, method):
    order_id = instance.run(repo.path, selected_commands=STEPS)["agent_work_order_id"]
    with pytest.raises(RpcError) as e:
        instance.call(f"order.{method}", agent_work_order_id=order_id)
    assert e.value.code == "failed_precondition"
