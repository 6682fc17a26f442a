"""Several users on one host: what is one user's is nobody else's, and secrets stay where they were put."""
import subprocess
import time
from pathlib import Path

import pytest

from awo_testlib import processes
from awo_testlib.instance import ALICE, BOB, BROKER_UID
from awo_testlib.remotes import Repository
from awo_testlib.rpc import RpcError, connect
from conftest import needs_root

pytestmark = needs_root
STEPS = ["create-branch", "planning", "commit"]


def as_user(uid, *argv):
    return subprocess.run(["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", *argv], capture_output=True,
                          text=True, errors="replace", check=False)


@pytest.fixture
def ended(instance, repo):
    """An order of Alice's that is completed."""
    order_id = instance.create(repo.path, uid=ALICE, selected_commands=STEPS)
    instance.completed(order_id, uid=ALICE)
    return order_id


@pytest.mark.parametrize("method, more", [
    ("order.get", {}), ("order.logs", {}), ("order.steps", {}), ("order.progress", {}), ("order.diff", {}),
    ("order.artifacts", {}), ("order.artifact", {"name": "prompts/01-create-branch.txt"}), ("order.watch", {}),
    ("order.cancel", {}), ("order.pause", {}), ("order.resume", {}), ("order.retry", {}), ("order.delete", {}),
    ("order.start", {}), ("order.prompt", {"prompt_text": "x"}), ("order.approve", {}), ("order.reject", {})])
def test_orders_of_others_do_not_exist(instance, ended, method, more):
    for order_id in (ended, ended[:7]):
        with pytest.raises(RpcError) as e:
            instance.call(method, agent_work_order_id=order_id, uid=BOB, **more)
        assert e.value.code == "not_found", method
        assert str(ALICE) not in e.value.message


def test_lists_show_ones_own(instance, ended, repo):
    assert instance.call("order.list", uid=BOB)["total_count"] == 0
    assert instance.call("order.list", uid=ALICE)["total_count"] == 1
    assert instance.call("order.list", all=True)["total_count"] == 1
    assert instance.order(ended)["owner"] in (str(ALICE),)


def test_list_of_all_or_of_another_owner_is_for_administrators(instance, ended):
    for fields in ({"all": True}, {"owner": str(ALICE)}):
        try:
            found = instance.call("order.list", fields, uid=BOB)["total_count"]
        except RpcError as e:
            assert e.code == "permission_denied"
        else:
            assert found == 0


@pytest.mark.parametrize("method, param", [
    ("settings.set", {"key": "max_concurrent", "value": 2}), ("system.reload", {}), ("system.cleanup", {}),
    ("system.reconcile", {}), ("system.backup", {"path": "/tmp/awo-backup-of-bob"})])
def test_administration_is_for_administrators(instance, method, param):
    with pytest.raises(RpcError) as e:
        instance.call(method, param, uid=BOB)
    assert e.value.code == "permission_denied"


def test_credentials_and_repositories_are_private(instance, repo):
    instance.credential("work", "git_password", "alice:s3cretvalue", host="h.example", uid=ALICE)
    instance.call("repository.add", repository_url="https://h.example/o/r", verify=False, uid=ALICE)
    mine, = instance.call("credential.list", uid=ALICE)["credentials"]
    assert mine["masked"] == "***alue" and "s3cret" not in str(mine)
    assert instance.call("credential.list", uid=BOB)["credentials"] == []
    assert instance.call("repository.list", uid=BOB)["repositories"] == []
    for method, param in (("credential.delete", {"name": "work"}), ("credential.test", {"name": "work"}),
                          ("repository.get", {"id": "https://h.example/o/r"}),
                          ("repository.delete", {"id": "https://h.example/o/r"})):
        with pytest.raises(RpcError) as e:
            instance.call(method, param, uid=BOB)
        assert e.value.code == "not_found", method


def test_files_are_closed_to_others(instance, ended):
    order_dir = instance.state / "work-orders" / ended
    log, = instance.log_dir.glob(f"agent_work_orders/*/{ended}.jsonl")
    for path in (order_dir / "workspace", order_dir / "home", order_dir / "repository.git", order_dir / "prompts",
                 order_dir / "outputs", instance.state / "repositories"):
        assert path.exists(), path
        for uid in (ALICE, BOB):
            assert as_user(uid, "ls", "-R", str(path)).stdout.count("\n") <= 2, path
    for path in (log, instance.state / "awo.db", instance.state / "key"):
        assert path.exists(), path
        assert as_user(BOB, "cat", str(path)).returncode != 0, path
    for path in order_dir.rglob("*"):
        if path.is_symlink() or path.is_dir():
            continue
        assert as_user(BOB, "head", "-c1", str(path)).returncode != 0, path
        break


def test_orders_have_uids_of_their_own(instance, repo):
    ids = [instance.create(repo.path, "demo: hang", uid=u) for u in (ALICE, ALICE, BOB)]
    for order_id in ids:
        instance.wait_event(order_id, "agent_output")
    uids = {order_id: (instance.state / "work-orders" / order_id / "workspace").stat().st_uid for order_id in ids}
    assert len(set(uids.values())) == 3 and all(u >= instance.uid_base for u in uids.values())
    end, agents = time.monotonic() + 10, set()
    while agents != set(uids.values()) and time.monotonic() < end:
        agents = {p.uid for p in processes.everything() if any("awo-demo-agent" in a for a in p.argv[:1])
                  and p.uid in uids.values()}
    assert agents == set(uids.values())
    assert {p.uid for p in instance.workers()} == set(uids.values())
    for order_id in ids:
        instance.call("order.cancel", agent_work_order_id=order_id)
        instance.wait(order_id, "cancelled")


def test_forge_token_reaches_no_agent(make_github):
    """The agent looks everywhere it can, and so does the test from outside."""
    github = make_github()
    token = github.forge.token
    # the search pattern must not contain what it looks for
    half = f"{token[:12]}[{token[12]}]{token[13:20]}"
    hunt = (f"grep -rIl --binary-files=text '{half}' /proc/*/environ /proc/*/cmdline /workspace /home /awo /tmp /etc "
            "/dev/shm /run /var 2>/dev/null | head; env | grep -c GH_ ; git config -l; echo hunted")
    order_id = github.instance.create(github.url, f"Add a greeting\ndemo@execute: run {hunt}\ndemo@execute: sleep 2")
    github.instance.wait(order_id, condition=lambda o: o["current_step"] == "execute")
    time.sleep(0.5)
    order_uid = (github.instance.state / "work-orders" / order_id / "workspace").stat().st_uid
    for p in processes.everything():
        assert not any(token in a for a in p.argv), p
        if p.uid == order_uid and "awo-worker" not in (p.argv or [""])[0]:
            assert token not in p.environ, p
    github.instance.completed(order_id)
    said = "\n".join(github.instance.agent_text(order_id, "execute"))
    assert "hunted" in said and token[:20] not in said
    assert not any(line.startswith(("/proc", "/workspace", "/home", "/awo", "/tmp", "/etc")) for line in said.splitlines())
    for root in (github.instance.state, github.instance.log_dir):
        for path in Path(root).rglob("*"):
            if path.is_file() and not path.is_symlink():
                assert token.encode() not in path.read_bytes(), path
    assert token not in github.instance.daemon_log()


def test_token_of_one_user_is_not_used_for_another(make_github):
    github = make_github()
    # the fixture stored root's token; Bob has none
    order_id = github.instance.create(github.url, uid=BOB)
    order = github.instance.wait(order_id, uid=BOB)
    assert order["status"] == "failed" and order["error_category"] in ("git", "github")


def test_shared_credential_serves_everybody(make_github):
    github = make_github()
    github.instance.credential("all", "github_token", github.forge.token, host=github.server.host, shared=True)
    assert github.instance.completed(github.instance.create(github.url, uid=BOB), uid=BOB)["github_pull_request_url"]
    with pytest.raises(RpcError):
        github.instance.credential("mine", "github_token", "x", host="h", uid=BOB, shared=True)


def test_caches_are_kept_apart_by_user(instance, repo):
    for uid in (ALICE, BOB):
        instance.completed(instance.create(repo.path, uid=uid, selected_commands=STEPS), uid=uid)
    repositories = instance.state / "repositories"
    owners = {p.name: p.stat().st_uid for p in repositories.iterdir()}
    # awod asks agents for their version as an owner of its own, which has no cache
    assert set(owners) == {str(ALICE), str(BOB), str(BROKER_UID)} and len(set(owners.values())) == 3
    assert not list((repositories / str(BROKER_UID)).iterdir())


def test_local_repositories_need_permission(make_instance, place):
    Repository(place / "private.git")
    instance = make_instance({"repositories": {"allow_local": "none"}})
    with pytest.raises(RpcError) as e:
        instance.create(place / "private.git", uid=BOB)
    assert e.value.code in ("permission_denied", "invalid_argument", "failed_precondition")
    only = make_instance({"repositories": {"allow_local": str(place / "allowed")}})
    with pytest.raises(RpcError):
        only.create(place / "private.git", uid=BOB)
    with pytest.raises(RpcError):
        only.create(f"{place}/allowed/../private.git", uid=BOB)


def test_repository_that_one_may_only_read(instance, repo):
    subprocess.run(["chmod", "-R", "go-w", repo.path], check=True)
    order = instance.wait(instance.create(repo.path, uid=BOB), uid=BOB)
    assert order["status"] == "failed" and order["error_category"] == "git"
    assert "must be allowed to read and write there" in order["error_message"] and "awoctl" not in order["error_message"]


def test_socket_admits_its_group_only(make_instance):
    instance = make_instance({"socket": {"mode": "0660"}})
    assert (instance.socket.stat().st_mode & 0o777, instance.socket.stat().st_gid) == (0o660, 64000)
    with pytest.raises(OSError):
        instance.client(uid=BOB)
    with connect(str(instance.socket), uid=BOB, groups=[64000]):
        pass
    done = instance.awoctl("ls", uid=BOB)
    assert done.rc in (4, 5) and done.err


def test_broker_has_no_power(instance):
    broker = instance.broker_process()
    assert broker.uid == 64000
    assert all(int(broker.status[k], 16) == 0 for k in ("CapPrm", "CapEff", "CapInh", "CapAmb"))
    assert broker.status["NoNewPrivs"].strip() == "1"
