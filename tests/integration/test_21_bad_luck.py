"""Processes that die, databases that are locked and disks that are full at the worst moment: nothing is lost, told
twice, or stuck."""
import os
import signal
import sqlite3
import subprocess
import time

import pytest

from awo_testlib import processes
from awo_testlib.remotes import git
from awo_testlib.waiting import until

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")


def log_text(instance, order_id):
    return next((instance.log_dir / "agent_work_orders").rglob(f"{order_id}.jsonl")).read_text()


def test_killed_between_a_workers_last_line_and_its_end(instance, repo):
    order_id = instance.create(repo.path, "Greet\ndemo@create-pr: sleep 2")
    instance.wait(order_id, condition=lambda o: o["current_step"] == "create-pr")
    # nobody tells the broker of the worker's end: it has the last line only
    instance.process.send_signal(signal.SIGSTOP)
    until(lambda: '"workflow_completed"' in log_text(instance, order_id), "the last line")
    time.sleep(1)
    assert instance.order(order_id)["status"] == "running"
    broker = instance.broker_process()
    broker.kill()
    instance.process.send_signal(signal.SIGCONT)
    assert not processes.wait_gone([broker], 10)

    def answers():
        try:
            return instance.order(order_id)["status"] != "running"
        except OSError:
            return False
    until(answers, "the order's end")
    assert instance.completed(order_id)["attempt"] == 1
    instance.wait_event(order_id, "agent_work_order_completed")
    events = instance.events(order_id)
    assert events.count("agent_work_order_completed") == 1 and "agent_work_order_retried" not in events


class Lock:
    """Another process that holds the database."""

    def __init__(self, instance):
        self.db = sqlite3.connect(instance.state / "awo.db", isolation_level=None, timeout=30)

    def __enter__(self):
        self.db.execute("BEGIN IMMEDIATE")

    def __exit__(self, *_):
        self.db.execute("ROLLBACK")
        self.db.close()


def test_database_locked_while_an_order_runs_and_ends(instance, repo):
    order_id = instance.create(repo.path, "Greet\ndemo@planning: sleep 1")
    instance.wait(order_id, condition=lambda o: o["current_step"] == "planning")
    with Lock(instance):
        until(lambda: '"workflow_completed"' in log_text(instance, order_id), "the last line")
        time.sleep(12)  # longer than two commits wait
    order = instance.completed(order_id)
    instance.wait_event(order_id, "agent_work_order_completed")
    time.sleep(3)  # earlier changes may be written after later ones
    assert instance.events(order_id).count("agent_work_order_completed") == 1
    steps = instance.call("order.steps", agent_work_order_id=order_id)["steps"]
    assert [s["step"] for s in steps] == order["selected_commands"]
    assert all(s["success"] for s in steps)
    with sqlite3.connect(instance.state / "awo.db") as db:
        assert db.execute("SELECT count(*) FROM events WHERE line LIKE '%agent_work_order_completed%'").fetchone() == (1,)
    instance.call("order.delete", agent_work_order_id=order_id)
    assert instance.call("queue.get")["running"] == 0


def test_cancelled_while_the_database_is_locked(make_instance, repo):
    instance = make_instance({"max_concurrent": 1})
    running = instance.create(repo.path, "Greet\ndemo@planning: hang")
    instance.wait(running, condition=lambda o: o["current_step"] == "planning")
    waiting = instance.create(repo.path, "Wait")
    with Lock(instance), instance.client() as a, instance.client() as b:
        calls = [(a, a.send("order.cancel", {"agent_work_order_id": running})),
                 (b, b.send("order.cancel", {"agent_work_order_id": waiting}))]
        for client, call in calls:
            with pytest.raises(Exception, match="unavailable.*database"):
                client.receive(call, 30)
    for order_id in (running, waiting):
        assert instance.wait(order_id)["status"] == "cancelled"
        instance.wait_event(order_id, "agent_work_order_cancelled")
        assert instance.events(order_id).count("agent_work_order_cancelled") == 1
    assert instance.run(repo.path)["status"] == "completed"


@needs_root
def test_log_disk_full(make_instance, repo):
    instance = make_instance(start=False)
    instance.log_dir.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=755", "tmpfs", instance.log_dir], check=True)
    try:
        instance.start()
        order_id = instance.create(repo.path, "Greet\ndemo@planning: sleep 6")
        instance.wait(order_id, condition=lambda o: o["current_step"] == "planning")
        filler = instance.log_dir / "filler"
        with open(filler, "wb", buffering=0) as f:
            try:
                while True:
                    f.write(b"x" * 4096)
            except OSError:
                pass
        # the file's last block has room yet: fill it with events
        for i in range(40):
            instance.call("order.prompt", agent_work_order_id=order_id, prompt_text="x" * 900)
        filler.unlink()
        instance.call("order.prompt", agent_work_order_id=order_id, prompt_text="the last")
        with sqlite3.connect(instance.state / "awo.db") as db:
            ids = [row[0] for row in db.execute("SELECT id FROM events WHERE line LIKE ? ORDER BY id", (f"%{order_id}%",))]
        time.sleep(0.5)
        shown = [line["event_id"] for line in instance.log(order_id) if "event_id" in line]
        assert shown == ids
        instance.call("order.cancel", agent_work_order_id=order_id)
    finally:
        instance.stop()
        subprocess.run(["umount", "-l", instance.log_dir], check=False)


def test_locks_of_a_fetch_that_was_killed(instance, repo):
    instance.run(repo.path)
    cache, = (instance.state / "repositories").glob("*/*.git")
    owner = cache.stat()
    left = [cache / name for name in ("packed-refs.lock", "HEAD.lock", "refs/heads/main.lock",
                                      "objects/pack/pack_git2_x1y2z3")]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("half")
        os.chown(path, owner.st_uid, owner.st_gid)
    repo.commit({"new.txt": "new\n"}, "feat: more")
    order = instance.run(repo.path)
    assert repo.branch == order["base_branch"]
    assert not [path for path in left if path.exists()]


def test_prompt_to_an_order_that_does_not_push(instance, repo):
    order_id = instance.create(repo.path, "Greet\ndemo@create-branch: sleep 2",
                               selected_commands=["create-branch", "planning"])
    instance.wait(order_id, condition=lambda o: o["current_step"] == "create-branch")
    instance.call("order.prompt", agent_work_order_id=order_id, prompt_text="Write a note")
    order = instance.completed(order_id)
    assert "prompt" in [s["step"] for s in instance.call("order.steps", agent_work_order_id=order_id)["steps"]]
    assert order["git_branch_name"] in repo.branches()


@needs_root
def test_agent_fills_the_disk(make_instance, repo):
    instance = make_instance(start=False)
    instance.state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100m,mode=755", "tmpfs", instance.state], check=True)
    try:
        instance.start()
        order_id = instance.create(repo.path, "Greet\ndemo@execute: run head -c 200000000 /dev/urandom > big; true")
        # nothing can be written but by what was kept in reserve
        assert instance.failed(order_id, "resource", timeout=90)
        instance.wait_event(order_id, "agent_work_order_failed")
        until(lambda: instance.awoctl("rm", order_id).rc == 0, "the order's removal")
        until(lambda: os.statvfs(instance.state).f_bavail * 4096 > 60_000_000, "free space")
        assert instance.run(repo.path)["status"] == "completed"
    finally:
        instance.stop()
        subprocess.run(["umount", "-l", instance.state], check=False)


def test_local_repository_with_a_work_tree(instance, repo, place):
    work = place / "work"
    git("clone", "-q", repo.path, work)
    git("config", "core.sharedRepository", "0666", cwd=work)
    subprocess.run(["chmod", "-R", "a+rwX", work], check=True)
    order = instance.run(work)
    assert order["git_commit_count"] > 1
    assert git("rev-list", "--count", f"main..{order['git_branch_name']}", cwd=work) == str(order["git_commit_count"])
    git("fsck", "--strict", cwd=work)
    assert git("status", "--short", cwd=work) == ""


@needs_root
def test_no_more_workspaces_go_than_the_disk_needs(make_instance, repo):
    instance = make_instance({"retention": {"min_free_percent": 50}}, start=False)
    instance.state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100m,mode=755", "tmpfs", instance.state], check=True)
    try:
        instance.start()
        old, new = (instance.run(repo.path)["agent_work_order_id"] for _ in range(2))
        orders = instance.state / "work-orders"
        (orders / old / "workspace" / "big").write_bytes(b"x" * 52_000_000)
        done = instance.call("system.cleanup")
        assert done["removed"] == 1 and not done["errors"], done
        assert not (orders / old).exists() and (orders / new).exists()
        instance.wait_event(old, "workspace_removed")
    finally:
        instance.stop()
        subprocess.run(["umount", "-l", instance.state], check=False)


def test_locks_of_a_worker_that_was_killed(instance, repo):
    order_id = instance.create(repo.path, "Greet\ndemo@planning: sleep 2")
    instance.wait(order_id, condition=lambda o: o["current_step"] == "planning")
    instance.call("order.cancel", agent_work_order_id=order_id)
    clean = instance.state / "work-orders" / order_id / "repository.git"
    owner = clean.stat()
    (clean / "refs" / "awo").mkdir(exist_ok=True)
    for path in (clean / "refs" / "awo", lock := clean / "refs" / "awo" / "head.lock"):
        path.touch()
        os.chown(path, owner.st_uid, owner.st_gid)
    instance.call("order.retry", agent_work_order_id=order_id)
    instance.completed(order_id)
    assert not lock.exists()
