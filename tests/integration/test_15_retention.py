"""What is kept, what is removed, and how records, directories and processes are brought together again."""
import json
import os
import shutil
import signal
import sqlite3

import pytest

from awo_testlib.rpc import RpcError
from awo_testlib.waiting import until

STEPS = ["create-branch", "planning", "commit"]


def order_dir(instance, order_id):
    return instance.state / "work-orders" / order_id


def test_cleanup_removes_old_workspaces_only(make_instance, repo):
    instance = make_instance({"retention": {"workspace_days": 0, "log_days": 30}, "max_concurrent": 3})
    ended = instance.run(repo.path, selected_commands=STEPS)["agent_work_order_id"]
    running = instance.create(repo.path, "demo: hang")
    paused = instance.create(repo.path, "demo: hang")
    for order_id in (running, paused):
        instance.wait(order_id, condition=lambda o: o["current_step"] == "create-branch")
    instance.call("order.pause", agent_work_order_id=paused)
    instance.wait(paused, "paused")
    dry = instance.call("system.cleanup", dry_run=True)
    assert set(dry) >= {"removed", "kept", "bytes_freed", "errors"} and order_dir(instance, ended).exists()
    report = instance.call("system.cleanup")
    assert report["errors"] == [] and report["removed"] >= 1 and report["bytes_freed"] > 0
    until(lambda: not (order_dir(instance, ended) / "workspace").exists())
    for order_id in (running, paused):
        assert (order_dir(instance, order_id) / "workspace").exists()
    instance.wait_event(ended, "workspace_removed")
    # the record and its log stay
    assert instance.order(ended)["status"] == "completed" and len(instance.log(ended)) > 10
    with pytest.raises(RpcError) as e:
        instance.call("order.prompt", agent_work_order_id=ended, prompt_text="too late")
    assert e.value.code == "failed_precondition"


def test_fresh_workspaces_are_kept(instance, repo):
    ended = instance.run(repo.path, selected_commands=STEPS)["agent_work_order_id"]
    report = instance.call("system.cleanup")
    assert report["removed"] == 0 and report["kept"] >= 1 and (order_dir(instance, ended) / "workspace").exists()


def test_delete_removes_everything_of_an_order(instance, repo):
    order_id = instance.run(repo.path, selected_commands=STEPS)["agent_work_order_id"]
    log, = instance.log_dir.glob(f"agent_work_orders/*/{order_id}.jsonl")
    assert instance.call("order.delete", agent_work_order_id=order_id)["deleted"]
    with pytest.raises(RpcError):
        instance.order(order_id)
    until(lambda: not (order_dir(instance, order_id) / "workspace").exists() and not log.exists())


def test_workspaces_without_an_order_are_removed(instance, repo):
    order_id = instance.run(repo.path, selected_commands=STEPS)["agent_work_order_id"]
    stray = order_dir(instance, "wo-0badf00d")
    shutil.copytree(order_dir(instance, order_id), stray, symlinks=True)
    report = instance.call("system.reconcile", dry_run=True)
    assert any("wo-0badf00d" in d for d in report["details"]) and stray.exists()
    instance.call("system.reconcile")
    until(lambda: not stray.exists())
    assert order_dir(instance, order_id).exists()


def test_start_reconciles(instance, repo):
    stray = order_dir(instance, "wo-0badf00d")
    order_id = instance.run(repo.path, selected_commands=STEPS)["agent_work_order_id"]
    instance.stop()
    shutil.copytree(order_dir(instance, order_id), stray, symlinks=True)
    instance.start()
    until(lambda: not stray.exists())


def test_workers_without_an_order_are_killed(instance, repo):
    order_id = instance.create(repo.path, "demo: hang")
    instance.wait(order_id, condition=lambda o: o["current_step"] == "create-branch")
    workers = instance.workers()
    assert workers
    instance.stop(signal.SIGKILL)
    database = sqlite3.connect(instance.state / "awo.db")
    # the tables that hang on it first
    for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
        if "agent_work_order_id" in columns and table != "work_orders":
            database.execute(f"DELETE FROM {table} WHERE agent_work_order_id = ?", (order_id,))
    database.execute("DELETE FROM work_orders WHERE agent_work_order_id = ?", (order_id,))
    database.commit()
    database.close()
    if instance.system:
        for path in instance.state.glob("awo.db*"):
            os.chown(path, 64000, path.stat().st_gid)
    instance.start()
    until(lambda: not any(w.alive() for w in workers))


def test_hostile_trees_are_removed_without_following_links(make_instance, repo):
    instance = make_instance({"retention": {"workspace_days": 0}})
    victim = instance.base / "victim"
    victim.mkdir()
    (victim / "precious").write_text("x")
    victim.chmod(0o777)
    order_id = instance.create(
        repo.path, f"x\ndemo@planning: run ln -s {victim} link; ln -s / root; mkdir -p locked/deep; echo x > locked/deep/f; "
        "chmod 000 locked/deep locked; mkfifo fifo; i=0; d=.; while [ $i -lt 60 ]; do d=$d/n; i=$((i+1)); done; mkdir -p $d",
        selected_commands=STEPS)
    instance.completed(order_id)
    report = instance.call("system.cleanup")
    assert report["errors"] == []
    until(lambda: not (order_dir(instance, order_id) / "workspace").exists())
    assert (victim / "precious").read_text() == "x"


def test_backup_can_be_opened(instance, repo):
    order_id = instance.run(repo.path, selected_commands=STEPS)["agent_work_order_id"]
    target = instance.base / "backup"
    target.mkdir()
    target.chmod(0o777)
    answer = instance.call("system.backup", path=str(target / "copy.db"))
    assert answer["size"] == (target / "copy.db").stat().st_size
    rows = sqlite3.connect(target / "copy.db").execute("SELECT COUNT(*) FROM work_orders").fetchall()
    assert rows == [(1,)]
    for path in (str(target / "copy.db"), "relative.db"):
        with pytest.raises(RpcError):
            instance.call("system.backup", path=path)
    assert instance.order(order_id)


def test_health_and_metrics(instance, repo):
    instance.run(repo.path, selected_commands=STEPS)
    health = instance.call("system.health")
    assert health["status"] == "healthy" and health["service"] == "agent-work-orders" and health["storage_type"] == "sqlite"
    assert health["database"]["tables_exist"] is True and health["queue"]["max_concurrent"] == 5
    assert set(health["dependencies"]) >= {"claude_cli", "git", "github"}
    metrics = json.dumps(instance.call("system.metrics")["metrics"])
    assert "completed" in metrics


def test_damaged_journal_fails_the_order(instance, repo):
    order_id = instance.create(repo.path, "x\ndemo@planning: sleep 3")
    instance.wait(order_id, condition=lambda o: o["current_step"] == "planning")
    log, = instance.log_dir.glob(f"agent_work_orders/*/{order_id}.jsonl")
    os.truncate(log, 10)
    order = instance.wait(order_id)
    assert order["status"] == "failed" and order["error_category"] == "internal"


def test_memory_storage_forgets(make_instance, repo):
    instance = make_instance({"storage": {"type": "memory"}})
    instance.run(repo.path, selected_commands=STEPS)
    assert not (instance.state / "awo.db").exists()
    instance.stop()
    instance.start()
    assert instance.call("order.list")["total_count"] == 0
