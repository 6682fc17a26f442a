"""Many orders at once: never more than allowed, in the right sequence, none lost."""
import threading
import time

import pytest

from awo_testlib.rpc import RpcError

STEPS = ["create-branch", "planning"]


class Watch(threading.Thread):
    """Counts the workers from outside, through /proc, until told to stop."""

    def __init__(self, instance):
        super().__init__(daemon=True)
        self.instance, self.most, self.looks, self.done = instance, 0, 0, threading.Event()

    def run(self):
        while not self.done.wait(0.05):
            # a launcher inside a sandbox has the same directory in its arguments: count orders, not processes
            orders = set()
            for p in self.instance.workers():
                if "--mode" in p.argv and p.argv[p.argv.index("--mode") + 1] == "order":
                    orders.add(p.argv[p.argv.index("--id") + 1])
            self.most = max(self.most, len(orders))
            self.looks += 1


def test_two_hundred_orders(make_instance, repo):
    instance = make_instance({"max_concurrent": 5, "repositories": {"max_age": 3600}, "log": {"level": "info"}})
    watch = Watch(instance)
    watch.start()
    begin = time.monotonic()
    with instance.client() as c:
        calls = [c.send("order.create", {"repository_url": str(repo.path), "user_request": f"Order {i}",
                                         "selected_commands": STEPS[:1]}) for i in range(200)]
        ids = [c.receive(call, 120)["agent_work_order"]["agent_work_order_id"] for call in calls]
        assert len(set(ids)) == 200
        end = time.monotonic() + 400
        while True:
            health = c.call("queue.get")
            assert health["running"] <= 5
            if health["running"] == 0 and health["pending"] == 0:
                break
            assert time.monotonic() < end, f"after {time.monotonic() - begin:.0f} s: {health['pending']} pending"
            time.sleep(0.2)
        orders = {}
        for offset in (0, 200):
            for o in c.call("order.list", limit=200, offset=offset)["agent_work_orders"]:
                orders[o["agent_work_order_id"]] = o
    watch.done.set()
    watch.join()
    assert watch.looks > 20 and 2 <= watch.most <= 5
    assert {o["status"] for o in orders.values()} == {"completed"}, [
        (o["error_category"], o["error_message"]) for o in orders.values() if o["status"] != "completed"][:3]
    assert set(ids) == set(orders)
    # started oldest first
    started = [orders[i]["execution_started_at"] for i in ids]
    assert started == sorted(started)
    ranges = {}
    for order_id in ids[::10]:
        line = instance.events(order_id, "port_range_allocated")[0]
        ranges[order_id] = line["port_range_start"]
        assert line["port_range_end"] - line["port_range_start"] == 9


def hold(instance, repo, n, **fields):
    """n orders that run until they are cancelled."""
    ids = [instance.create(repo.path, "demo: hang", selected_commands=STEPS, **fields) for _ in range(n)]
    for order_id in ids:
        instance.wait(order_id, condition=lambda o: o["current_step"] == "create-branch")
    return ids


def test_priority_then_age(make_instance, repo):
    instance = make_instance({"max_concurrent": 1})
    first, = hold(instance, repo, 1)
    made = {p: instance.create(repo.path, priority=p, selected_commands=STEPS) for p in (0, -5, 10, 1)}
    entries = instance.call("queue.get")["entries"]
    assert [e["agent_work_order_id"] for e in entries] == [made[p] for p in (10, 1, 0, -5)]
    assert [e["queue_position"] for e in entries] == [1, 2, 3, 4]
    assert instance.order(made[10])["queue_position"] == 1
    instance.call("order.cancel", agent_work_order_id=first)
    orders = {p: instance.completed(i) for p, i in made.items()}
    times = [orders[p]["execution_started_at"] for p in (10, 1, 0, -5)]
    assert times == sorted(times)
    assert instance.order(made[0])["queue_position"] is None


def test_live_orders_have_ports_of_their_own(instance, repo):
    ids = hold(instance, repo, 5)
    starts = [instance.events(i, "port_range_allocated")[0]["port_range_start"] for i in ids]
    assert len(set(starts)) == 5 and all(b - a >= 10 for a, b in zip(sorted(starts), sorted(starts)[1:]))
    text = (instance.state / "work-orders" / ids[0] / "workspace" / ".ports.env").read_text()
    assert f"PORT_RANGE_START={starts[0]}" in text and f"PORT_0={starts[0]}" in text and "BACKEND_PORT=" in text
    for order_id in ids:
        instance.call("order.cancel", agent_work_order_id=order_id)


def test_start_goes_ahead_only_when_a_slot_is_free(make_instance, repo):
    instance = make_instance({"max_concurrent": 1})
    first, = hold(instance, repo, 1)
    second = instance.create(repo.path, selected_commands=STEPS)
    with pytest.raises(RpcError) as e:
        instance.call("order.start", agent_work_order_id=second)
    assert e.value.code == "resource_exhausted"
    instance.call("order.cancel", agent_work_order_id=first)
    instance.completed(second)
    with pytest.raises(RpcError) as e:
        instance.call("order.start", agent_work_order_id=second)
    assert e.value.code == "failed_precondition"


def test_cap_for_each_repository(make_instance, repo, place):
    from awo_testlib.remotes import Repository
    instance = make_instance({"max_concurrent": 4, "max_concurrent_per_repository": 1})
    other = Repository(place / "other.git")
    hold(instance, repo, 1)
    blocked = instance.create(repo.path, selected_commands=STEPS)
    instance.run(other.path, selected_commands=STEPS)
    assert instance.order(blocked)["status"] == "pending"
    entry, = instance.call("queue.get")["entries"]
    assert entry["reason"] == "repository_limit"


def test_limit_changed_at_run_time(make_instance, repo):
    instance = make_instance({"max_concurrent": 1})
    hold(instance, repo, 1)
    second = instance.create(repo.path, selected_commands=STEPS)
    time.sleep(0.3)
    assert instance.order(second)["status"] == "pending"
    instance.call("settings.set", key="max_concurrent", value=2)
    instance.completed(second)


def test_idempotency_key(instance, repo):
    ids = {instance.create(repo.path, idempotency_key="once", selected_commands=STEPS) for _ in range(3)}
    assert len(ids) == 1 and instance.call("order.list")["total_count"] == 1


def test_pending_order_can_be_cancelled(make_instance, repo):
    instance = make_instance({"max_concurrent": 1})
    hold(instance, repo, 1)
    second = instance.create(repo.path)
    instance.call("order.cancel", agent_work_order_id=second)
    assert instance.order(second)["status"] == "cancelled"
    assert not (instance.state / "work-orders" / second / "workspace").exists()
