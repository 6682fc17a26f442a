"""Agents that do everything wrong: each has its outcome, which its owner can understand, and leaves nothing behind.

What costs seconds for each gigabyte or million is done in small here; AWO_TEST_FULL=1 (scripts/misbehaving) does it in
full. How an agent that is cancelled, times out or forks is ended is told by test_10_control and test_09_sandbox.
"""
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

from awo_testlib import cancels, processes
from awo_testlib.instance import Instance, frugal
from awo_testlib.remotes import Repository, git
from conftest import DEFECT

FULL = bool(os.environ.get("AWO_TEST_FULL"))
ONCE = "test -e /home/agent/once || {{ touch /home/agent/once; {}; }}"
ANEW = "a retry makes the work tree anew from the last commit that was recorded"

# name: (what the agent is told, how the order ends, error category, what the message must say)
CASES = {
    # locks of git programs that did not live to remove them
    "index-lock": ("@execute: run touch .git/index.lock", "completed"),
    "ref-locks": ("@execute: run mkdir -p .git/refs/heads/deep; for r in $(git for-each-ref --format='%(refname)') HEAD "
                  "packed-refs config shallow refs/heads/deep/x; do mkdir -p .git/$(dirname $r); touch .git/$r.lock; done",
                  "completed"),
    # history
    "amend-own": ("@execute: run git commit -q --amend -m 'docs: said better'", "completed"),
    "rebase-base": ("@execute: run git reset -q --hard $(git rev-list --max-parents=0 HEAD) && "
                    "git commit -q --amend -m 'another beginning'", "failed", "git", "history was rewritten or replaced"),
    "orphan": ("@execute: run git checkout -q --orphan other && git commit -q -m orphan", "failed", "git",
               "history was rewritten or replaced"),
    "reset-below-base": ("@execute: run git reset -q --hard main~1", "failed", "git", "history was rewritten or replaced"),
    "amend-pushed": ("@create-pr: run git commit -q --amend -m rewritten", "failed", "git", "not overwritten"),
    "reset-pushed": ("@create-pr: run git reset -q --hard HEAD~1", "failed", "git", "not overwritten"),
    # the repository itself
    "git-removed": ("@execute: run rm -rf .git", "failed", "git", f"removed .git, .*{ANEW}"),
    "git-is-a-link": ("@execute: run rm -rf .git && ln -s /nowhere .git", "failed", "git",
                      f"replaced .git, .* by a symbolic link; {ANEW}"),
    "git-is-a-file": ("@execute: run rm -rf .git; echo text > .git", "failed", "git", f"replaced .git, .* by a file; {ANEW}"),
    "head-removed": ("@execute: run rm .git/HEAD", "failed", "git", f"removed .git/HEAD; {ANEW}"),
    "head-is-garbage": ("@execute: run echo garbage > .git/HEAD", "failed", "git", "HEAD"),
    "index-is-garbage": ("@execute: run echo garbage > .git/index", "failed", "git", "index"),
    "alternates-removed": ("@execute: run rm .git/objects/info/alternates", "failed", "git",
                           f"changed .git/objects/info/alternates, .*missing; {ANEW}"),
    "alternates-elsewhere": ("@execute: run echo /nowhere > .git/objects/info/alternates", "failed", "git",
                             "changed .git/objects/info/alternates"),
    "alternates-loop": ("@execute: run echo /workspace/.git/objects > .git/objects/info/alternates", "failed", "git",
                        "changed .git/objects/info/alternates"),
    "objects-overwritten": ("@execute: run find .git/objects -type f -path '*/??/*' | while read f; do chmod u+w $f; "
                            "echo bad > $f; done", "failed", "git", "HEAD|object"),
    "bare": ("@execute: run git config core.bare true", "failed", "git", "core.bare"),
    # output
    "no-json": (": badjson", "completed"),
    "no-newline": (f": noline {100_000_000 if FULL else 20_000_000}", "completed"),
    "opened-anew": (": reopen", "completed"),
    "ends-without-a-word": ("@execute: exit 0", "failed", None, "result"),
    "closes-and-ends": ("@execute: run true\ndemo@execute: exit 0", "failed", None, "result"),
    # processes
    "stops-itself": ("@execute: stop", "failed", "timeout", "idle timeout"),
    "kills-everything": ("@execute: run kill -9 -1; sleep 5", "failed", "transient", "killed by signal 9"),
    "attacks-its-keepers": ("@execute: run for p in 1 2 3 $(ls /proc | grep '^[0-9]'); do [ $p = $$ ] || [ $p = $PPID ] || "
                            "kill -STOP $p; [ $p = $$ ] || [ $p = $PPID ] || kill -9 $p; done 2>/dev/null; true", "completed"),
    "eats-memory": ("@execute: eat 200000000", "completed"),
    # files
    "deep": ("@execute: deep 2000", "failed", "git", "nesting too deep"),
    "deep-but-possible": ("@execute: deep 90\ndemo@execute: run touch deep/deep/f", "completed"),
    "strange-names": ("@execute: run touch \"$(printf 'new\\nline')\" \"$(printf 'no\\377utf8')\" \"$(printf 'c\\033[2J')\" -- "
                      "--force; git add -A; git commit -q -m names", "completed"),
    "strange-names-left": ("@execute: run touch \"$(printf 'new\\nline')\" \"$(printf 'no\\377utf8')\"", "completed"),
    "unreadable-file": ("@execute: run echo x > secret; chmod 000 secret", "failed", "git", "secret.*Permission denied"),
    "closed-directory": ("@execute: run mkdir closed; echo x > closed/f; chmod 000 closed", "completed"),
    "nothing-writable": ("@execute: run chmod 555 . .git .git/refs .git/objects", "failed", None, "Permission denied|locked"),
    "no-regular-files": ("@execute: run mkfifo pipe; ln -s /dev/zero zero; ln -s loop loop; ln -s / root; python3 -c "
                         "'import socket; socket.socket(socket.AF_UNIX).bind(\"sock\")'; echo kept > regular", "completed"),
    "tmp-full": ("@execute: run dd if=/dev/zero of=/tmp/fill bs=1M count=1100; dd if=/dev/zero of=/dev/shm/fill bs=1M count=80",
                 "completed"),
    "too-large-a-file": ("@execute: run head -c 200000000 /dev/zero > large; stat -c %s large; rm large", "completed"),
    "too-much-to-take-over": ("@execute: run head -c 40000000 /dev/urandom > big; git add big; git commit -q -m big", "failed",
                              "resource", "git.max_import_bytes"),
}


def quiet(**more):
    return Instance({"max_concurrent": 3, "retry": {"max_attempts": 1}, **more}, env=frugal())


def room(instance):
    """KiB that a process of awod may grow by."""
    return (64 if instance.is_sanitized else 4) * 1024


class Served:
    """One instance for all cases: their orders are handed in at once, and each test waits for its own."""

    def __init__(self, place, wanted):
        self.repo = Repository(place / "sample.git", commits=2)
        self.instance = quiet(timeouts={"idle": 20, "kill": 2}, git={"max_import_bytes": 30_000_000},
                              limits={"fsize": 150_000_000, "log_bytes": 4 << 20})
        self.instance.start()
        self.instance.run(self.repo.path)
        cancels.settled(self.instance)
        self.before = cancels.memory(self.instance)
        self.ids = {name: self.instance.create(self.repo.path, f"Add a greeting\ndemo{CASES[name][0]}")
                    for name in wanted}


@pytest.fixture(scope="module")
def served(request):
    place = Path(tempfile.mkdtemp(prefix="awo-it-remotes-"))
    place.chmod(0o755)
    made = Served(place, [item.callspec.params["name"] for item in request.session.items
                          if item.path == request.path and "name" in getattr(getattr(item, "callspec", None), "params", ())])
    yield made
    close(made.instance)
    shutil.rmtree(place, ignore_errors=True)


def close(instance):
    log = instance.daemon_log()
    # python cannot remove directories that are as deep as an agent makes them
    subprocess.run(["rm", "-rf", str(instance.state / "work-orders")], check=False)
    instance.close()
    assert not DEFECT.search(log), log[-4000:]


def nothing_runs(instance, order_id):
    assert not [w for w in instance.workers() if order_id in " ".join(w.argv)]
    for path in (instance.run_dir / "workers" / order_id, instance.run_dir / "slots" / order_id):
        assert not path.exists(), path
    tree = instance.state / "work-orders" / order_id / "workspace"
    if instance.system and tree.exists():
        assert not cancels.tree_of(tree.stat().st_uid)


def removed(instance, order_id, timeout=30):
    instance.call("order.delete", agent_work_order_id=order_id)
    path, end = instance.state / "work-orders" / order_id, time.monotonic() + timeout
    while path.exists() and time.monotonic() < end:
        time.sleep(0.1)
    assert not path.exists()


@pytest.mark.parametrize("name", CASES)
def test_outcome(served, name):
    instance, repo, order_id = served.instance, served.repo, served.ids[name]
    status, category, words = (*CASES[name][1:], None, None)[:3]
    main = repo.head("main")
    order = instance.wait(order_id, timeout=240)
    said = f"{order['status']}, {order['error_category']}: {order['error_message']}{instance.tail(order_id)}"
    assert order["status"] == status, said
    assert category in (None, order["error_category"]), said
    if words:
        assert re.search(words, order["error_message"], re.S), said
        assert order["error_message"].startswith(f"Command '{order['current_step']}' failed: "), said
    nothing_runs(instance, order_id)
    assert "sandbox_cleanup_completed" in instance.events(order_id)
    assert (instance.state / "work-orders" / order_id / "workspace").is_dir()
    assert repo.head("main") == main
    branch = order["git_branch_name"]
    if status == "completed":
        assert git("merge-base", "main", branch, cwd=repo.path) == main
        assert repo.numbers(branch)[0] == order["git_commit_count"]
    elif branch and repo.head(branch):
        # what was pushed before is there, and as it was
        sha = [line["sha"] for line in instance.events(order_id, "git_push_completed")]
        assert sha and repo.head(branch) == sha[-1]
    removed(instance, order_id)


def test_all_of_them_leave_awod_as_it_was(served):
    """Runs last of those that share the instance."""
    instance = served.instance
    cancels.settled(instance, 60)
    after = cancels.memory(instance)
    for name, (kib, descriptors) in after.items():
        assert kib <= served.before[name][0] + room(instance), (served.before, after)
        assert descriptors <= served.before[name][1] + 1, (served.before, after)
    assert not instance.workers() and not list((instance.run_dir / "workers").glob("*"))


# ---- a retry after it


@pytest.mark.parametrize("trick", ["rm -rf .git", "rm .git/objects/info/alternates", "echo text > .git/HEAD",
                                   "rm -rf .git && ln -s /home/agent .git", "git config core.bare true"])
def test_retry_makes_the_work_tree_anew(instance, repo, trick):
    order_id = instance.create(repo.path, f"Add a greeting\ndemo@execute: run {ONCE.format(trick)}")
    instance.failed(order_id, "git")
    instance.call("order.retry", agent_work_order_id=order_id)
    order = instance.completed(order_id)
    # the plan is the one of the first attempt
    steps = [(s["step"], s["attempt"]) for s in instance.call("order.steps", agent_work_order_id=order_id)["steps"]]
    assert steps[:4] == [("create-branch", 1), ("planning", 1), ("execute", 1), ("execute", 2)]
    assert repo.numbers(order["git_branch_name"])[0] == order["git_commit_count"]


# ---- much of everything


class Sampled:
    """The largest PSS (KiB) of awod's processes and of an order's worker while something runs."""

    def __init__(self, instance):
        self.instance, self.most, self.first, self.ending = instance, {}, {}, threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.ending.wait(0.1):
            pids = {"supervisor": self.instance.process.pid}
            broker, workers = self.instance.broker_process(), self.instance.workers()
            if broker:
                pids["broker"] = broker.pid
            if workers:
                pids["worker"] = workers[0].pid
            for name, pid in pids.items():
                try:
                    kib = cancels.kibibytes(pid)
                except (OSError, StopIteration):
                    continue
                self.first.setdefault(name, kib)
                self.most[name] = max(self.most.get(name, 0), kib)

    def end(self):
        self.ending.set()
        self.thread.join()
        return {name: kib - self.first[name] for name, kib in self.most.items()}


# a line may have 16 MiB, and the buffer that holds it doubles as it grows
@pytest.mark.parametrize("told, bytes_full, bytes_short, worker_mib", [
    ("flood", 1_000_000_000, 16_000_000, 4), ("noline", 1_000_000_000, 40_000_000, 36)])
def test_endless_output(repo, told, bytes_full, bytes_short, worker_mib):
    instance = quiet(limits={"log_bytes": 4 << 20})
    try:
        instance.start()
        instance.run(repo.path, selected_commands=["create-branch"])
        order_id = instance.create(repo.path, f"Add it\ndemo: sleep 0.5\ndemo: {told} {bytes_full if FULL else bytes_short}",
                                   selected_commands=["create-branch"])
        instance.wait_event(order_id, "agent_command_started")
        watched = Sampled(instance)
        instance.completed(order_id, timeout=900 if FULL else 120)
        grown = watched.end()
        for name in ("supervisor", "broker"):
            assert grown[name] <= room(instance), grown
        # a worker has no environment that would tell its sanitizer to give memory back
        assert grown["worker"] <= (400 if instance.is_sanitized else worker_mib) * 1024, grown
        log, = instance.log_dir.glob(f"agent_work_orders/*/{order_id}.jsonl")
        assert log.stat().st_size < (4 << 20) + 200_000
        kept = [a for a in instance.call("order.artifacts", agent_work_order_id=order_id)["artifacts"]
                if a["name"].startswith("outputs/")]
        assert sum(a["size"] for a in kept) <= 2 * (4 << 20)
        limits = {line.get("limit") for line in instance.events(order_id, "limit_exceeded")}
        assert "outputs/01-create-branch.jsonl" in limits and (told == "noline" or len(limits) > 1), limits
    finally:
        close(instance)


def test_a_million_files(repo):
    """20,000 of them here."""
    count = 1_000_000 if FULL else 20_000
    instance = quiet(timeouts={"idle": 600, "kill": 2})
    try:
        instance.start()
        order_id = instance.create(repo.path, f"Add it\ndemo@execute: files {count}")
        watched = Sampled(instance)
        order = instance.wait(order_id, timeout=1500 if FULL else 120)
        grown = watched.end()
        assert f"files made: {count} of {count}" in instance.agent_text(order_id, "execute")
        # either all of them are taken over, or the order says which limit they are beyond
        if order["status"] == "completed":
            assert len(repo.files(order["git_branch_name"])) > count and order["git_files_changed"] > count
        else:
            assert FULL and order["error_category"] in ("resource", "transient"), order
        for name in ("supervisor", "broker"):
            assert grown[name] <= room(instance), grown
        nothing_runs(instance, order_id)
        removed(instance, order_id, 300 if FULL else 30)
    finally:
        close(instance)


def test_fork_bomb(make_instance, repo):
    """A real one: it doubles until it meets its limit; it ends, and other orders go on."""
    instance = make_instance({"timeouts": {"kill": 2}, "limits": {"nproc": 200}})
    order_id = instance.create(repo.path, "Add it\ndemo: run bomb() { bomb & bomb & sleep 1000; }; bomb")
    instance.wait_event(order_id, "agent_command_started")
    worker, = instance.workers()
    end, most = time.monotonic() + 20, 0
    while most < 40 and time.monotonic() < end:
        bomb = processes.descendants(worker.pid)
        most = max(most, len(bomb))
        time.sleep(0.1)
    assert 40 <= most <= 210
    # one more order beside it
    instance.run(repo.path, selected_commands=["create-branch"])
    begin = time.monotonic()
    instance.call("order.cancel", agent_work_order_id=order_id)
    assert time.monotonic() - begin < cancels.LIMIT_S
    assert not processes.wait_gone(bomb, 1)
    nothing_runs(instance, order_id)


# ---- limits and places


def test_order_timeout_inside_a_built_in_command(instance, place, git_http):
    """A server that does not answer holds the push; the order's time is up all the same."""
    server = git_http()
    Repository(place / "sample.git")
    order_id = instance.create(server.url("sample"), "Add a greeting\ndemo@commit: sleep 1", timeout_seconds=10)
    instance.wait(order_id, condition=lambda o: o["current_step"] == "commit")
    server.delay = 25
    order = instance.failed(order_id, "timeout", timeout=40)
    assert order["error_message"] == "Command 'commit' failed: push of " \
        f"{order['git_branch_name']} failed: order timeout after 10 seconds"
    assert not instance.workers()
    server.delay = 0


@pytest.mark.parametrize("parent", ["/dev/shm", "/development", "/process"])
def test_repository_in_unusual_places(make_instance, parent):
    made = None
    if not os.path.isdir(parent):
        if os.geteuid() != 0:
            pytest.skip("only root can make a directory there")
        os.mkdir(parent, 0o755)
        made = parent
    place = Path(tempfile.mkdtemp(prefix="awo-it-", dir=parent))
    try:
        place.chmod(0o755)
        repo = Repository(place / "sample.git")
        order = make_instance().run(repo.path)
        assert repo.head(order["git_branch_name"])
    finally:
        shutil.rmtree(place, ignore_errors=True)
        if made:
            os.rmdir(made)


def test_no_step_is_promised_where_none_began(instance, repo):
    done = instance.awoctl("run", repo.path, "Add it", "--base", "no-such-branch")
    assert done.rc == 1 and "tries again" in done.err and "from that step" not in done.err, done
    done = instance.awoctl("run", repo.path, "Add it\ndemo@planning: fail")
    assert done.rc == 1 and "tries again from that step" in done.err, done
