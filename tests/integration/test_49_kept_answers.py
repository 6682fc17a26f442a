"""Answers that the gateway keeps until awod says that something has changed: never older than what awod would answer."""
import os
import threading

import pytest
from awo_testlib.gateway import GATEWAY_UID, bearer
from awo_testlib.instance import ALICE, BOB
from conftest import needs_root

# without tokens the gateway asks as its own user
USER = GATEWAY_UID if os.geteuid() == 0 else None


def kept(gateway):
    line = next(x for x in gateway.get("/metrics").body.decode().splitlines() if x.startswith("awo_http_answers_kept_total "))
    return int(line.split()[1])


def test_awod_tells_a_gateway_once(make_gateway, repo):
    instance = make_gateway({"max_concurrent": 1}).instance
    order = instance.create(repo.path, "demo: hang")
    instance.wait_event(order, "agent_command_started")
    gateway = instance.client(uid=GATEWAY_UID if instance.system else None)
    if instance.system:
        other = instance.client(uid=ALICE)
        other.call("order.list")
    for ask in (lambda: gateway.call("order.list"), lambda: gateway.call("order.list", limit=1)):
        ask()
        ask()
        instance.create(repo.path)
        assert gateway.next(10)[0] == "changed"
        # it has not asked again
        instance.create(repo.path)
        with pytest.raises(TimeoutError):
            gateway.next(0.3)
    if instance.system:
        with pytest.raises(TimeoutError):
            other.next(0.1)


def test_a_change_is_seen_by_who_knows_of_it(make_gateway, repo):
    gateway = make_gateway({"max_concurrent": 1})
    instance = gateway.instance
    first = instance.create(repo.path, "demo: hang", uid=USER)
    instance.wait(first, "running", uid=USER)
    over = threading.Event()
    wrong = []

    def read():
        """Others ask all the time, so that there is nearly always an answer that is kept or on its way."""
        seen = 0
        while not over.is_set():
            total = gateway.get("/api/v1/agent-work-orders?limit=3").json["total_count"]
            if total < seen:
                wrong.append((seen, total))
            seen = total
    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    try:
        client = instance.client(uid=USER)
        for n in range(2, 80):
            order = client.call("order.create", repository_url=str(repo.path), user_request="Add a greeting")
            order = order["agent_work_order"]["agent_work_order_id"]
            for _ in range(2):
                page = gateway.get("/api/v1/agent-work-orders?limit=3").json
                assert page["total_count"] == n and page["agent_work_orders"][0]["agent_work_order_id"] == order
                assert gateway.get(f"/api/v1/{order}").json["agent_work_order"]["queue_position"] == n - 1
            if n % 8 == 0:
                client.call("order.cancel", agent_work_order_id=order)
                assert gateway.get(f"/api/v1/{order}").json["agent_work_order"]["status"] == "cancelled"
                client.call("order.delete", agent_work_order_id=order)
                assert gateway.get(f"/api/v1/{order}").status == 404
                client.call("order.create", repository_url=str(repo.path), user_request="Add a greeting")
    finally:
        over.set()
        for reader in readers:
            reader.join(30)
    # a deleted order makes the list shorter before the next one comes
    assert all(a - b == 1 for a, b in wrong), wrong
    assert kept(gateway) > 0


def test_what_is_kept_is_what_was_answered(gateway, repo):
    instance = gateway.instance
    order = instance.create(repo.path, selected_commands=["create-branch"], uid=USER)
    instance.completed(order, uid=USER)
    for _ in range(30):
        instance.create(repo.path, "x" * 200, selected_commands=["create-branch"], uid=USER)
    for other in instance.call("order.list", uid=USER, limit=100)["agent_work_orders"]:
        instance.wait(other["agent_work_order_id"], uid=USER)
    for path in (f"/api/v1/{order}", f"/api/agent-work-orders/{order}", "/api/v1/?limit=40", "/api/agent-work-orders/?limit=40"):
        for headers in ({}, {"Accept-Encoding": "gzip"}, {"Accept-Encoding": "br"}):
            answers = [gateway.request("GET", path, headers=headers) for _ in range(3)]
            answers.append(gateway.request("HEAD", path, headers=headers))
            first = answers[0]
            assert first.status == 200 and first.body
            for answer in answers[1:]:
                for name in ("x-request-id", "date"):
                    answer.headers.pop(name, None)
                    first.headers.pop(name, None)
                assert answer.status == 200 and answer.headers.items() >= {
                    k: v for k, v in first.headers.items() if k != "content-length"}.items(), path
            assert answers[1].body == answers[2].body == first.body and answers[3].body == b""
            again = gateway.request("GET", path, headers={**headers, "If-None-Match": first.headers["etag"]})
            assert again.status == 304 and again.body == b""
    assert kept(gateway) > 20
    # an error is answered to each who asked
    for _ in range(2):
        assert gateway.get("/api/v1/?limit=none").status == 422
        assert gateway.get("/api/v1/wo-00000000").status == 404
    long = gateway.get("/api/v1/?limit=1&q=" + "a" * 600)
    assert long.status in (200, 422) and gateway.get("/api/v1/?limit=1&q=" + "a" * 600).body == long.body


@needs_root
def test_a_token_that_has_ended_reads_nothing_that_is_kept(make_instance, make_gateway, repo):
    instance = make_instance({"socket": {"gateway_user": str(GATEWAY_UID)}})
    gateway = make_gateway(instance=instance)
    mine, other = (instance.call("token.create", name=n, scopes=["read"], uid=u) for n, u in (("a", ALICE), ("b", BOB)))
    order = instance.create(repo.path, selected_commands=["create-branch"], uid=ALICE)
    instance.completed(order, uid=ALICE)
    ask = lambda token, path: gateway.get(path, **bearer(token["token"]))
    for _ in range(3):
        assert ask(mine, f"/api/v1/{order}").status == 200
        assert ask(other, f"/api/v1/{order}").status == 404
        assert ask(mine, "/api/v1/").json["total_count"] == 1
        assert ask(other, "/api/v1/").json["total_count"] == 0
    before = kept(gateway) if gateway.get("/metrics").status == 200 else None
    assert before is None or before > 0
    instance.call("token.revoke", id=mine["id"], uid=ALICE)
    assert ask(mine, f"/api/v1/{order}").status == 401
    assert ask(mine, "/api/v1/").status == 401


def test_awod_away_and_back(gateway, repo):
    instance = gateway.instance
    order = instance.create(repo.path, selected_commands=["create-branch"], uid=USER)
    instance.completed(order, uid=USER)
    assert gateway.get(f"/api/v1/{order}").status == gateway.get(f"/api/v1/{order}").status == 200
    instance.stop()
    assert gateway.get(f"/api/v1/{order}").status == 503
    instance.start()
    assert instance.call("order.delete", uid=USER, agent_work_order_id=order)
    assert gateway.get(f"/api/v1/{order}").status == 404
