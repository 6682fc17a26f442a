"""awod, its workers and their agents are killed at random moments, and calls fail: nothing is lost, doubled or left."""
import os
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from awo_testlib.instance import SOURCE, build_dir
from awo_testlib.rpc import Client, Closed, RpcError
from awo_testlib.waiting import until

HARNESS = SOURCE / "tests" / "crash"
KILLS = ["broker", "worker", "supervisor", "broker", "both", "agent", "power", "supervisor", "helper", "broker",
         "stop-broker", "worker", "supervisor", "write-error", "both", "broker", "agent", "disk-full", "supervisor",
         "stop-worker", "broker", "no-descriptors", "worker", "both", "no-processes", "broker", "supervisor", "power",
         "short-write", "agent", "broker", "read-only", "supervisor", "stop-supervisor", "both", "broker"]


@pytest.mark.skipif(not (HARNESS / "run.py").exists(), reason="only the tests of this directory were copied")
def test_killed_at_random_moments():
    done = subprocess.run([sys.executable, HARNESS / "run.py", "--fixed", ",".join(KILLS), "--pause", "0.3",
                           "--orders", "4", "--minutes", "0.7"],
                          env={**os.environ, "AWO_BUILD_DIR": str(build_dir())},
                          capture_output=True, text=True, errors="replace", timeout=150, check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]


def answers_within(instance, broker, limit):
    """Seconds until another broker answers."""
    begin = time.monotonic()
    while True:
        try:
            now = instance.broker_process()
            if now and now.pid != broker.pid:
                with Client(str(instance.socket)) as c:
                    c.call("system.info", timeout=5)
                return time.monotonic() - begin
        except (OSError, Closed):
            pass
        assert time.monotonic() < begin + limit, instance.daemon_words()
        time.sleep(0.02)


def test_broker_that_dies_again_and_again_is_soon_back(instance):
    for _ in range(5):
        time.sleep(1.2)
        broker = instance.broker_process()
        broker.kill()
        took = answers_within(instance, broker, 20)
    # each death doubles the wait of one that dies at once: after five of those it would be seconds
    assert took < 1.5


def test_control_sockets_that_were_left_are_cleared_away(instance, repo):
    left = instance.run_dir / "workers" / "wo-00000000"
    instance.run(repo.path)
    instance.stop(signal.SIGKILL)
    left.mkdir()
    (left / "nonce").write_text("x")
    owner = left.parent.stat()
    for path in (left, left / "nonce"):
        os.chown(path, owner.st_uid, owner.st_gid)
    instance.start()
    until(lambda: not left.exists(), "the removal of what was left", 10)


def test_a_retry_that_cannot_be_recorded_has_not_happened(instance, repo):
    order_id = instance.create(repo.path, "Greet\ndemo@planning: fail")
    instance.failed(order_id)
    held = sqlite3.connect(instance.state / "awo.db", isolation_level=None, timeout=30)
    held.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(RpcError, match="unavailable"):
            instance.call("order.retry", agent_work_order_id=order_id)
    finally:
        held.execute("ROLLBACK")
        held.close()
    time.sleep(1)
    assert instance.order(order_id)["status"] == "failed"
    assert instance.events(order_id).count("agent_work_order_started") == 1
    instance.call("order.retry", agent_work_order_id=order_id)
    instance.wait_event(order_id, "agent_work_order_failed", error_category="agent")
    instance.failed(order_id)
    assert instance.order(order_id)["attempt"] == 2
    assert instance.events(order_id).count("agent_work_order_retried") == 1
