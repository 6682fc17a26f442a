"""awod's memory does not grow with what it has done: large answers, lists of every kind, and orders that are over."""
import itertools
import time

import pytest

from awo_testlib import cancels
from awo_testlib.instance import frugal

# KiB of the broker: what the reader's page cache (1 MiB) and its statements may still take, and as much again
ROOM = 4096


@pytest.fixture
def quiet(make_instance):
    """One order at a time, and a sanitizer that gives memory back."""
    return make_instance({"max_concurrent": 1, "max_pending_per_user": 1000}, env=frugal())


def room(instance):
    return ROOM * (16 if instance.is_sanitized else 1)


def broker(instance):
    return cancels.memory(instance)["broker"][0]


def hand_in_and_cancel(client, repo, count):
    for _ in range(count):
        order = client.call("order.create", repository_url=str(repo.path), user_request="x" * 60000)
        client.call("order.cancel", agent_work_order_id=order["agent_work_order"]["agent_work_order_id"])


def read_log(client, order_id):
    """In the largest pages that there are; the bytes of the largest."""
    seq, largest = 0, 0
    while True:
        page = client.call("order.logs", agent_work_order_id=order_id, limit=1000, after_seq=seq)
        largest = max(largest, sum(len(str(e)) for e in page["log_entries"]))
        if not page["has_more"]:
            return largest
        seq = page["log_entries"][-1]["seq"]


def list_by_everything(client, repo):
    """Each kind of question has a statement of its own."""
    filters = (("status", "cancelled"), ("repository_url", str(repo.path)), ("owner", "nobody"), ("q", "xx"),
               ("since", "2020-01-01T00:00:00Z"), ("until", "2099-01-01T00:00:00Z"), ("all", True))
    for n in range(len(filters) + 1):
        for chosen in itertools.combinations(filters, n):
            page = client.call("order.list", dict(chosen), limit=1)
            client.call("order.list", dict(chosen), limit=1, offset=2000)
            if page["has_more"]:
                client.call("order.list", dict(chosen), limit=1, cursor=page["next_cursor"])


def test_what_is_over_leaves_no_memory(quiet, repo):
    talkative = quiet.create(repo.path, "Add a greeting\ndemo@create-branch: flood 5000000",
                             selected_commands=["create-branch"])
    quiet.completed(talkative)
    slot = quiet.create(repo.path, "demo: hang")
    quiet.wait(slot, "running")
    client = quiet.client()
    # fills the page cache of the thread that writes, which is never given back
    hand_in_and_cancel(client, repo, 150)
    before, allowed = broker(quiet), room(quiet)

    assert read_log(client, talkative) > 1 << 20
    # as many as one answer holds
    assert len(client.call("order.list", limit=500)["agent_work_orders"]) > 50
    list_by_everything(client, repo)
    hand_in_and_cancel(client, repo, 150)

    # what a large answer was made of is given back soon, not at once
    end = time.monotonic() + 20
    while broker(quiet) > before + allowed and time.monotonic() < end:
        time.sleep(0.2)
    after = broker(quiet)
    print(f"{before} KiB, then {after}")
    assert after <= before + allowed, f"{before} KiB before, {after} after"
