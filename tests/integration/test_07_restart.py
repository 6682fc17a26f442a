"""awod comes and goes; orders do not notice, and nothing is told twice or never."""
import datetime
import os
import shutil
import signal
import socket
import time

import pytest

from awo_testlib.remotes import git
from awo_testlib.rpc import Closed
from awo_testlib.waiting import until

ONCE = ["agent_work_order_created", "agent_work_order_started", "sandbox_created", "workspace_created",
        "workflow_started", "git_branch_created", "git_push_completed", "workflow_completed",
        "agent_work_order_completed"]


def busy(instance, repo, n=2, seconds=4):
    ids = [instance.create(repo.path, f"Order {i}\ndemo@planning: sleep {seconds}") for i in range(n)]
    for order_id in ids:
        instance.wait(order_id, condition=lambda o: o["current_step"] == "planning")
    return ids


def check(instance, repo, ids):
    for order_id in ids:
        order = instance.completed(order_id, timeout=90)
        assert order["attempt"] == 1
        # the line follows the commit that makes the order completed
        instance.wait_event(order_id, "agent_work_order_completed")
        events = instance.events(order_id)
        for name in ONCE:
            assert events.count(name) == 1, (name, events)
        lines = instance.log(order_id)
        assert len({line["seq"] for line in lines}) == len(lines)
        commits = [line["sha"] for line in lines if line["event"] == "git_commit_created"]
        assert len(commits) == len(set(commits)) == order["git_commit_count"]
        assert git("rev-list", "--count", f"main..{order['git_branch_name']}", cwd=repo.path) == str(len(commits))
        steps = instance.call("order.steps", agent_work_order_id=order_id)["steps"]
        assert [s["step"] for s in steps] == order["selected_commands"]


def test_stopped_and_started(instance, repo):
    ids = busy(instance, repo)
    assert instance.stop() == 0
    workers = instance.workers()
    assert workers
    time.sleep(0.5)
    assert all(w.alive() for w in workers)
    instance.start()
    check(instance, repo, ids)


def test_killed_and_started_after_the_orders_have_ended(instance, repo):
    ids = busy(instance, repo, seconds=2)
    instance.stop(signal.SIGKILL)
    until(lambda: not instance.workers(), "the workers' end", 60)
    instance.start()
    check(instance, repo, ids)


def test_killed_again_and_again(instance, repo):
    ids = busy(instance, repo, seconds=5)
    for _ in range(4):
        instance.stop(signal.SIGKILL)
        instance.start()
    check(instance, repo, ids)


def another_broker(instance, died):
    """What system.health says when another broker than the one that died answers."""
    now = instance.broker_process()
    try:
        return instance.call("system.health", timeout=5) if now and now.pid != died.pid else None
    except (OSError, Closed):
        return None


def test_broker_killed(instance, repo):
    ids = busy(instance, repo)
    broker = instance.broker_process()
    assert broker is not None
    if instance.system:
        assert broker.uid != 0
    broker.kill()
    until(lambda: another_broker(instance, broker), instance.daemon_words)
    assert instance.process.poll() is None
    check(instance, repo, ids)


def test_upgraded(instance, repo):
    """Another copy of the program takes over the orders of the first."""
    ids = busy(instance, repo)
    assert instance.stop() == 0
    copy = instance.base / "upgraded"
    copy.mkdir()
    shutil.copy2(instance.awod, copy / "awod")
    instance.awod = copy / "awod"
    instance.start()
    assert os.readlink(f"/proc/{instance.process.pid}/exe") == str(copy / "awod")
    check(instance, repo, ids)


def test_cancel_and_limit_work_on_adopted_orders(make_instance, repo):
    instance = make_instance({"max_concurrent": 2})
    ids = [instance.create(repo.path, "demo: hang") for _ in range(2)]
    for order_id in ids:
        instance.wait(order_id, condition=lambda o: o["current_step"] == "create-branch")
    waiting = instance.create(repo.path, "after them")
    instance.stop(signal.SIGKILL)
    instance.start()
    time.sleep(1)
    assert instance.order(waiting)["status"] == "pending"
    assert instance.call("queue.get")["running"] == 2
    instance.call("order.cancel", agent_work_order_id=ids[0])
    instance.wait(ids[0], "cancelled")
    instance.completed(waiting)
    instance.call("order.cancel", agent_work_order_id=ids[1])
    instance.wait(ids[1], "cancelled")
    assert not instance.workers()


def test_worker_killed_while_awod_is_away(instance, repo):
    order_id, = busy(instance, repo, n=1, seconds=30)
    instance.stop(signal.SIGKILL)
    for worker in instance.workers():
        worker.kill()
    instance.start()
    order = instance.wait(order_id, "failed", "pending", "running", "completed")
    order = instance.wait(order_id, timeout=90) if order["status"] != "failed" else order
    assert order["status"] in ("failed", "completed")
    if order["status"] == "failed":
        assert order["error_category"] in ("internal", "resource", "transient")
        instance.call("order.retry", agent_work_order_id=order_id)
        instance.wait(order_id, condition=lambda o: o["current_step"] == "planning")
        instance.call("order.cancel", agent_work_order_id=order_id)
    assert instance.call("system.health")["status"] == "healthy"


def test_health_tells_of_a_broker_that_died(instance):
    health = instance.call("system.health")
    assert health["broker_restarts"] == 0 and "broker_restarted_at" not in health
    for n in (1, 2):
        died = instance.broker_process()
        died.kill()
        health = until(lambda died=died: another_broker(instance, died), instance.daemon_words, 20)
        assert health["broker_restarts"] == n
        at = datetime.datetime.fromisoformat(health["broker_restarted_at"])
        assert abs((datetime.datetime.now(datetime.timezone.utc) - at).total_seconds()) < 20
        told = [p for p in health["problems"] if "the broker died" in p]
        assert len(told) == 1 and f"{n} time{'s' * (n > 1)} since" in told[0] and health["status"] == "degraded"
    for verb in ("health", "doctor"):
        assert "the broker died and was started again, 2 times" in " ".join(instance.awoctl(verb).out.split()), verb
    # another supervisor counts anew
    instance.stop()
    instance.start()
    assert instance.call("system.health")["broker_restarts"] == 0


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL])
def test_watchers_can_resume(instance, repo, sig):
    order_id, = busy(instance, repo, n=1)
    seen = []
    with instance.client() as c:
        c.call("order.watch", agent_work_order_id=order_id)
        method, line = c.next()
        assert method == "log_line"
        seen.append((line["seq"], line["line"]))
        while "step_started" not in seen[-1][1]:
            line = c.next()[1]
            seen.append((line["seq"], line["line"]))
    instance.stop(sig)
    instance.start()
    with instance.client() as c:
        c.call("order.watch", agent_work_order_id=order_id, after_seq=seen[-1][0])
        while True:
            method, param = c.next(90)
            if method == "stream_end":
                assert param["reason"] == "order_ended"
                break
            seen.append((param["seq"], param["line"]))
    whole = [line["seq"] for line in instance.log(order_id)]
    assert [s for s, _ in seen] == whole


def test_killed_while_a_cache_is_fetched(make_instance):
    """The worker that waits for its cache is adopted, the fetch begun again; what the fetch fails of is why the order fails."""
    instance = make_instance({"retry": {"max_attempts": 1}})
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x/y.git"
        cancelled = instance.create(url, "Nothing")
        first, _ = server.accept()
        until(lambda: len(instance.workers()) == 1)
        answer = instance.call("order.cancel", agent_work_order_id=cancelled)
        assert answer["message"] == "ended cleanly" and not instance.workers()
        order_id = instance.create(url.replace("/y", "/z"), "Nothing")
        second, _ = server.accept()
        until(lambda: len(instance.workers()) == 1)
        instance.broker_process().kill()
        third, _ = server.accept()
        third.recv(4096)
        assert len(instance.workers()) == 1
        third.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        third.close()
        order = instance.wait(order_id, "failed")
        assert order["error_category"] == "git" and not instance.events(order_id, "workflow_execution_started"), order
        until(lambda: not instance.workers())
        first.close()
        second.close()
