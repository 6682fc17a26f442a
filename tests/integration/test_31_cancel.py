"""What the answer of a cancel says, and cancels at random moments; scripts/cancels does a thousand of them."""
import random
import signal
import threading
import time

import pytest

from awo_testlib import cancels, processes
from awo_testlib.waiting import until


def working(instance, repo, told):
    order_id = instance.create(repo.path, f"Add a greeting\ndemo@create-branch: {told}")
    instance.wait_event(order_id, "agent_output", step="create-branch")
    time.sleep(0.3)
    return order_id


def cancel(instance, order_id):
    answer = instance.call("order.cancel", agent_work_order_id=order_id, reason="enough")
    order = answer["agent_work_order"]
    assert order["status"] == "cancelled" and order["error_category"] == "cancelled"
    line, = instance.events(order_id, "agent_work_order_cancelled")
    assert line["reason"] == "enough" and not instance.workers()
    return answer["message"], order, line["clean"]


# "stop", and "stop-late" after it was asked: what is stopped obeys as soon as it runs again, which is seen to
@pytest.mark.parametrize("told", ["hang", "stop", "stop-late", "run sleep 1000", "flood 1000000000000", "noline 1000000000000",
                                  "stdout-close", "files 1000000000"])
def test_clean_end(make_instance, repo, told):
    instance = make_instance({"timeouts": {"kill": 10}})
    order_id = working(instance, repo, told)
    begin = time.monotonic()
    message, order, clean = cancel(instance, order_id)
    assert message == "ended cleanly" and clean is True
    assert "enough" in order["error_message"] and "killed" not in order["error_message"]
    assert time.monotonic() - begin < 9


@pytest.mark.parametrize("paused", [False, True])
def test_forced_end(make_instance, repo, paused):
    instance = make_instance({"timeouts": {"kill": 1}})
    order_id = working(instance, repo, "ignore-term")
    if paused:
        instance.call("order.pause", agent_work_order_id=order_id)
    message, order, clean = cancel(instance, order_id)
    assert message.startswith("ended by force: ") and "killed" in message and clean is False
    assert "did not end by itself" in order["error_message"]
    line, = instance.events(order_id, "workflow_failed")
    assert line["forced"] is True and line["error_category"] == "cancelled"
    assert instance.events(order_id, "sandbox_cleanup_completed")[0]["processes_killed"] >= 1


def test_command_says_it(make_instance, repo):
    instance = make_instance({"timeouts": {"kill": 1}})
    done = instance.awoctl("cancel", working(instance, repo, "ignore-term"))
    assert done.rc == 0 and "by force" in done.out + done.err, done
    done = instance.awoctl("cancel", working(instance, repo, "hang"))
    assert done.rc == 0 and "cleanly" in done.out + done.err, done


def test_before_it_began(make_instance, repo):
    instance = make_instance({"max_concurrent": 1})
    first = instance.create(repo.path, "demo: hang")
    message, _, clean = cancel_waiting(instance, instance.create(repo.path))
    assert message == "ended cleanly" and clean is True
    instance.call("order.cancel", agent_work_order_id=first)


def cancel_waiting(instance, order_id):
    assert instance.order(order_id)["status"] == "pending"
    answer = instance.call("order.cancel", agent_work_order_id=order_id, reason="not yet")
    return answer["message"], answer["agent_work_order"], \
        instance.events(order_id, "agent_work_order_cancelled")[0]["clean"]


def test_during_a_push_to_a_local_repository(make_instance, repo):
    """It goes on to its end: what a killed one leaves in the user's repository, nobody would remove."""
    instance = make_instance({"timeouts": {"kill": 10}})
    order_id = instance.create(repo.path, "Add a file\ndemo@execute: run head -c 10000000 /dev/urandom > big; "
                                          "git add big; git commit -qm big")
    half_done = lambda: list((repo.path / "objects" / "pack").glob("*_git2_*"))
    until(half_done, lambda: instance.tail(order_id), 60, every=0.002)
    # as slow as on a busy machine
    push, = [p for w in instance.workers() for p in processes.descendants(w.pid) if "push" in (p.argv or ())]
    push.kill(signal.SIGSTOP)
    resumed = threading.Timer(1, push.kill, (signal.SIGCONT,))
    resumed.start()
    try:
        message, _, clean = cancel(instance, order_id)
    finally:
        resumed.join()
    assert message == "ended cleanly" and clean is True
    assert len(repo.branches()) == 2 and not half_done()


def test_random_moments(make_instance, repo):
    """The short run of scripts/cancels: the same agents, moments and checks; only the time of obeying agents is not
    held against them, on whatever machine this is."""
    instance = make_instance({"max_concurrent": 3, "timeouts": {"kill": 10}})
    seed = random.randrange(1 << 32)
    made = cancels.Round(instance, repo, 25, seed, 4).run()
    cancels.settled(instance)
    text = made.report()
    assert not made.faults(), f"{text}\n" + "\n".join(made.faults())
    assert not made.leftovers(), text
    assert len(made.times()) >= 15, text
    assert not made.remove_all()
