"""What must be true after everything, looked at from outside: database, logs, remotes, processes, files."""
import collections
import json
import os
import re
import sqlite3
from pathlib import Path

from awo_testlib import processes
from awo_testlib.remotes import git

from service import mounts_below

ORDER_EVENTS = {"agent_work_order_" + n for n in
                ("created", "started", "completed", "failed", "cancelled", "paused", "resumed", "retried")}
TERMINAL = {"completed", "failed", "cancelled"}
# spec: which state an event of the broker may be found in, and what it leads to
NEXT = {
    ("pending", "started"): "running", ("pending", "cancelled"): "cancelled", ("pending", "failed"): "failed",
    ("running", "completed"): "completed", ("running", "failed"): "failed", ("running", "cancelled"): "cancelled",
    ("running", "retried"): "pending", ("running", "paused"): "paused", ("paused", "resumed"): "running",
    ("paused", "cancelled"): "cancelled", ("waiting", "cancelled"): "cancelled", ("waiting", "resumed"): "running",
    ("failed", "retried"): "pending", ("cancelled", "retried"): "pending", ("completed", "retried"): "pending",
    # a frozen worker that is gone, or had just finished, comes to its retry or its end through its slot
    ("paused", "retried"): "pending", ("paused", "failed"): "failed", ("paused", "completed"): "completed",
}


class Log:
    """The file of one order."""

    def __init__(self, path):
        self.path = path
        self.lines, self.torn, self.ends = [], [], []
        data = path.read_bytes() if path else b""
        self.whole = not data or data.endswith(b"\n")
        at = 0
        for raw in data.split(b"\n")[:-1]:
            at += len(raw) + 1
            try:
                line = json.loads(raw)
                if not isinstance(line, dict):
                    raise ValueError
            except ValueError:
                self.torn.append(raw[:200])
                # a line that matters is written again; a note that the full disk cut stays what it is
                line = {"event": None, "torn": True}
            self.lines.append(line)
            self.ends.append(at)

    def named(self, name):
        return [line for line in self.lines if line.get("event") == name]


class Evidence:
    """Everything that was left, read once."""

    def __init__(self, service, ledger, repos):
        self.service, self.ledger, self.repos = service, ledger, repos
        # before we open it ourselves, which makes such files again
        self.left = [s for s in ("-wal", "-shm", "-journal") if Path(f"{service.state}/awo.db{s}").exists()]
        db = sqlite3.connect(f"file:{service.state}/awo.db?mode=ro", uri=True)
        db.row_factory = sqlite3.Row
        self.integrity = [row[0] for row in db.execute("PRAGMA integrity_check")]
        self.rows = {r["agent_work_order_id"]: dict(r) for r in db.execute("SELECT * FROM work_orders")}
        self.events = collections.defaultdict(list)
        for r in db.execute("SELECT id, agent_work_order_id, event, line FROM events ORDER BY id"):
            self.events[r["agent_work_order_id"]].append((r["id"], r["event"], r["line"]))
        self.event_ids = [r[0] for r in db.execute("SELECT id FROM events ORDER BY id")]
        self.steps = collections.defaultdict(list)
        for r in db.execute("SELECT o.agent_work_order_id AS id, s.* FROM work_order_steps s JOIN work_orders o "
                            "USING (order_rowid) ORDER BY step_rowid"):
            self.steps[r["id"]].append(dict(r))
        self.prompts = collections.defaultdict(list)
        for r in db.execute("SELECT o.agent_work_order_id AS id, p.id AS prompt_id, p.done_at FROM prompts p "
                            "JOIN work_orders o USING (order_rowid)"):
            self.prompts[r["id"]].append((r["prompt_id"], r["done_at"]))
        db.close()
        self.logs = {}
        for path in (service.log_dir / "agent_work_orders").rglob("*.jsonl"):
            self.logs[path.stem] = Log(path)
        for order_id in self.rows:
            self.logs.setdefault(order_id, Log(None))
        self.branches = {}
        for repo in repos:
            for name in repo.branches():
                m = re.search(r"(wo-[0-9a-f]{8})", name)
                self.branches.setdefault(m[1] if m else None, []).append((repo, name))


# ---- nothing lost --------------------------------------------------------------------------------------------------

def creates_kept(e):
    for order in e.ledger.orders.values():
        if order.id not in e.rows and not order.delete_asked:
            yield f"{order.id} was acknowledged and is not there"
        elif order.id in e.rows and order.deleted:
            yield f"{order.id} was deleted, acknowledged, and is still there"
    texts = collections.Counter(r["user_request"] for r in e.rows.values())
    for text, n in texts.items():
        if text not in e.ledger.sent:
            yield f"an order that nobody asked for: {text[:60]!r}"
        elif n > 1:
            yield f"{n} orders were made of one request: {text[:60]!r}"


def operations_kept(e):
    """What was acknowledged is in the log."""
    for order in e.ledger.orders.values():
        if order.id not in e.rows:
            continue
        names = collections.Counter(name for _, name, _ in e.events[order.id])
        acks = collections.Counter(what for what, _ in order.acks)
        for what, event in (("pause", "paused"), ("cancel", "cancelled"), ("prompt", None)):
            event = f"agent_work_order_{event}" if event else "prompt_queued"
            # several who ask for one cancel or pause are all told of the same one
            need = acks[what] if what == "prompt" else min(1, acks[what])
            if names[event] < need:
                yield f"{order.id}: {acks[what]} {what} acknowledged, {names[event]} {event} in its events"
        queued = collections.Counter(json.loads(line)["prompt_id"] for _, name, line in e.events[order.id]
                                     if name == "prompt_queued")
        for what, detail in order.acks:
            if what == "prompt" and queued[detail] != 1:
                yield f"{order.id}: prompt {detail} acknowledged, {queued[detail]} times in its events"
        by_hand = sum(1 for _, name, line in e.events[order.id] if name == "agent_work_order_retried"
                      and json.loads(line).get("by") != "awod")
        if by_hand < acks["retry"]:
            yield f"{order.id}: {acks['retry']} retries acknowledged, {by_hand} in its events"


def events_once(e):
    """The log has every event of the table, once, in order, and nothing torn."""
    if len(set(e.event_ids)) != len(e.event_ids):
        yield "an event id was given twice"
    for order_id in e.rows:
        log = e.logs[order_id]
        ids = [line["event_id"] for line in log.lines if "event_id" in line]
        want = [i for i, _, _ in e.events[order_id]]
        if ids != want:
            missing, more = sorted(set(want) - set(ids)), [i for i, n in collections.Counter(ids).items() if n > 1]
            yield (f"{order_id}: events in the table {len(want)}, in the log {len(ids)}; missing {missing[:5]}, "
                   f"twice {more[:5]}, in order {ids == sorted(ids)}")
        for i, _, text in e.events[order_id]:
            line = json.loads(text)
            if not any(line.get("timestamp") == x.get("timestamp") and line["event"] == x.get("event") for x in
                       (y for y in log.lines if y.get("event_id") == i)):
                yield f"{order_id}: event {i} is another one in its log"
        created = [name for _, name, _ in e.events[order_id]].count("agent_work_order_created")
        if created != 1:
            yield f"{order_id}: created {created} times"


def lines_whole(e, torn_allowed):
    for order_id, log in e.logs.items():
        if log.torn and not torn_allowed:
            yield f"{order_id}: {len(log.torn)} lines that are no JSON objects: {log.torn[0][:100]!r}"
        if not log.whole:
            yield f"{order_id}: the last line has no end"


def log_served(e, fetched):
    """order.logs gives what the file has, each line with the position after it."""
    for order_id, lines in fetched.items():
        log = e.logs.get(order_id)
        if log is None:
            continue
        got = [(line["seq"], line["event"]) for line in lines if line["event"] != "log_line_omitted"]
        have = [(end, line["event"]) for end, line in zip(log.ends, log.lines) if "torn" not in line]
        if got != have[:len(got)] or len(got) < len(have):
            yield f"{order_id}: order.logs gave {len(got)} lines, the file has {len(have)}"


# ---- the life of an order ------------------------------------------------------------------------------------------

def transitions(e):
    for order_id, row in e.rows.items():
        state, attempt, prompts = None, 0, 0
        for _, name, text in e.events[order_id]:
            if name == "prompt_queued":
                prompts += 1
                if state in ("completed", "failed"):
                    state = "pending"
                continue
            if name not in ORDER_EVENTS:
                continue
            word = name.removeprefix("agent_work_order_")
            if word == "created":
                if state is not None:
                    yield f"{order_id}: created in state {state}"
                state, attempt = "pending", 1
                continue
            after = NEXT.get((state, word))
            if after is None:
                yield f"{order_id}: {word} in state {state}"
                break
            line = json.loads(text)
            if word == "started" and line["attempt"] != attempt:
                yield f"{order_id}: attempt {line['attempt']} started after attempt {attempt} was asked for"
            if word == "retried":
                if state == "completed" and not prompts:
                    yield f"{order_id}: retried although it was completed and nobody prompted it"
                attempt = line["attempt"]
            state = after
        else:
            if state != row["status"]:
                yield f"{order_id}: its events lead to {state}, its record says {row['status']}"


def records(e):
    for order_id, r in e.rows.items():
        if r["status"] not in TERMINAL:
            yield f"{order_id} is {r['status']} after everything has ended"
            continue
        if r["execution_completed_at"] is None:
            yield f"{order_id} is {r['status']} without the time of its end"
        if r["status"] != "completed" and not (r["error_message"] and r["error_category"]):
            yield f"{order_id} is {r['status']} without a reason ({r['error_category']}: {r['error_message']})"
        if r["status"] == "completed" and r["error_message"]:
            yield f"{order_id} is completed with the error {r['error_message']}"
        if r["port_start"]:
            yield f"{order_id} still has the ports from {r['port_start']}"
        if r["cancel_requested"]:
            yield f"{order_id} is {r['status']} and still to be cancelled"


def steps_paired(e):
    """Executions of workers: one last line each, steps that begin end, and none that has succeeded runs again."""
    for order_id in e.rows:
        log, done, open_step, final, running = e.logs[order_id], set(), None, False, None
        prompts_done = collections.Counter()
        starts, progressed, unsure = 0, False, False
        for line in log.lines:
            event = line.get("event")
            if event == "agent_work_order_started" and "event_id" in line:
                starts, open_step = 0, None
            elif event == "agent_work_order_retried" and line.get("by") != "awod":
                done -= {"commit", "create-pr"}     # asked for after every step was done: the end is done again
            elif "event_id" in line:
                continue
            elif "torn" in line:
                final, unsure = False, True     # it may have told of a worker's start
            elif event == "workflow_execution_started":
                starts += 1
                running, final, open_step = line.get("attempt"), False, None
                if starts > 1 and progressed:
                    yield f"{order_id}: two workers for one start of attempt {running}"
                progressed = False
            elif event == "step_started":
                progressed = True
                name, prompt = line["step"], line.get("prompt_id")
                if final:
                    yield f"{order_id}: step {name} after the worker's last line"
                if open_step and not unsure:
                    yield f"{order_id}: step {name} began before {open_step} had ended"
                if prompt is None and name in done:
                    yield f"{order_id}: step {name} ran again after it had succeeded"
                if prompt is not None and prompts_done[prompt]:
                    yield f"{order_id}: prompt {prompt} ran again after it had succeeded"
                open_step, unsure = name, False
            elif event == "step_completed":
                if open_step != line["step"]:
                    yield f"{order_id}: step {line['step']} ended without having begun"
                open_step = None
                if line.get("success") and line.get("prompt_id") is None:
                    done.add(line["step"])
                elif line.get("success"):
                    prompts_done[line["prompt_id"]] += 1
                    done -= {"commit", "create-pr"}     # what a prompt changed is committed and pushed, too
            elif event in ("workflow_completed", "workflow_failed"):
                if final:
                    yield f"{order_id}: two last lines of one worker"
                if event == "workflow_completed" and open_step:
                    yield f"{order_id}: completed while step {open_step} had not ended"
                final = True


def step_rows(e):
    """The history in the record is that of the log."""
    for order_id in e.rows:
        have = collections.Counter((s["step"], s["step_number"], s["attempt"]) for s in e.steps[order_id]
                                   if s["success"] is not None)
        attempt, want = 0, collections.Counter()
        for line in e.logs[order_id].lines:
            if line.get("event") == "agent_work_order_started":
                attempt = line["attempt"]
            elif line.get("event") == "step_completed" and "event_id" not in line:
                want[line["step"], line["step_number"], attempt] += 1
        if have != want:
            yield f"{order_id}: ended steps in the record {dict(have - want)} too many, {dict(want - have)} too few"


def prompts_run(e):
    for order_id, row in e.rows.items():
        if row["status"] != "completed":
            continue
        for prompt_id, done_at in e.prompts[order_id]:
            if done_at is None:
                yield f"{order_id} is completed, and its prompt {prompt_id} was never carried out"


def prompts_told(e):
    """A prompt and its event are one change, acknowledged or not."""
    for order_id in e.rows:
        queued = collections.Counter(json.loads(line)["prompt_id"] for _, name, line in e.events[order_id]
                                     if name == "prompt_queued")
        stored = collections.Counter(prompt_id for prompt_id, _ in e.prompts[order_id])
        if queued != stored:
            yield f"{order_id}: prompts without prompt_queued {dict(stored - queued)}, the other way {dict(queued - stored)}"


# ---- no order run twice --------------------------------------------------------------------------------------------

def agents_once(e, disk_full):
    for order_id in e.rows:
        home = e.service.state / "work-orders" / order_id / "home"
        log = e.logs[order_id]
        if (home / "double").exists():
            yield f"{order_id}: two agents ran at the same time"
        # a prompt's run does not know what the request said
        started, ended = (sum(1 for line in log.named(f"agent_command_{word}") if line.get("step") != "prompt")
                          for word in ("started", "completed"))
        try:
            runs = (home / "runs").read_text().count("run")
        except OSError:
            runs = 0
        if runs > started + len(log.torn):
            yield f"{order_id}: {runs} runs of the agent, {started} in its log"
        if home.exists() and runs < ended and not disk_full:
            yield f"{order_id}: {ended} runs of the agent in its log, {runs} happened"


def pushed_once(e):
    for order_id, row in e.rows.items():
        found = e.branches.get(order_id, [])
        log = e.logs[order_id]
        pushes = [line["sha"] for line in log.named("git_push_completed")]
        if len(found) > 1:
            yield f"{order_id} has {len(found)} branches: {[name for _, name in found]}"
        commits = [line["sha"] for line in log.named("git_commit_created")]
        if len(commits) != len(set(commits)):
            yield f"{order_id}: a commit is told twice"
        if not found:
            if pushes:
                yield f"{order_id}: pushed according to its log, and not on the remote"
            if row["status"] == "completed" and not row["workspace_removed"]:
                yield f"{order_id} is completed, and its branch is not on the remote"
            continue
        repo, name = found[0]
        if row["status"] != "completed":
            continue
        head, count = repo.head(name), int(git("rev-list", "--count", f"main..{name}", cwd=repo.path))
        if row["git_branch_name"] != name:
            yield f"{order_id}: branch {name} on the remote, {row['git_branch_name']} in its record"
        if head != row["pushed_sha"] or head not in pushes:
            yield f"{order_id}: {head} on the remote, {row['pushed_sha']} in its record"
        if count != row["git_commit_count"]:
            yield f"{order_id}: {count} commits on the remote, {row['git_commit_count']} in its record"
        subjects = collections.Counter(git("log", "--format=%s", f"main..{name}", cwd=repo.path).splitlines())
        # a step that is repeated goes on from what it had committed
        tries = len(log.named("workflow_execution_started"))
        for subject, n in subjects.items():
            if n > tries:
                yield f"{order_id}: {n} commits {subject!r}"
    for repo, name in e.branches.get(None, []):
        if name != repo.branch:
            yield f"a branch of no order on the remote: {name}"


# ---- nothing left --------------------------------------------------------------------------------------------------

def database_clean(e):
    if e.integrity != ["ok"]:
        yield f"integrity_check: {e.integrity[:3]}"
    for suffix in e.left:
        yield f"awo.db{suffix} is left after a clean end"


def nothing_left(e):
    s = e.service
    for p in s.everything():
        yield f"process {p}"
    own = {str(s.state)} if s.disk else set()
    for point in mounts_below(s.base):
        if point not in own:
            yield f"mount {point}"
    for root, names, _ in os.walk("/sys/fs/cgroup"):
        for name in names:
            if re.search(r"wo-[0-9a-f]{8}", name) and any(i in name for i in e.rows):
                yield f"cgroup {root}/{name}"
    for path in (s.run_dir / "slots").glob("*"):
        yield f"slot {path.name}"
    for path in (s.run_dir / "workers").glob("*"):
        yield f"directory of a control socket {path.name}"
    for path in s.run_dir.glob("*"):
        if path.name not in ("slots", "workers", "awod.lock"):
            yield f"{path}"
    for path in (s.state / "work-orders").glob("*"):
        row = e.rows.get(path.name)
        if row is None:
            yield f"directory {path} of no order"
        elif row["workspace_removed"]:
            yield f"directory {path}, which was removed"
    for path in (s.state / "repositories").glob("*/*"):
        for junk in [*path.rglob("*.lock"), *path.rglob("pack_git2_*"), *path.rglob("tmp_*")]:
            yield f"{junk}"
        if not re.fullmatch(r"[0-9a-f]{64}\.git", path.name):
            yield f"{path}"
    known = {"awo.db", "key", "awod.lock", "reserve", "repositories", "work-orders", "log"}
    for path in s.state.glob("*"):
        if path.name not in known and not path.name.startswith("awo.db"):
            yield f"{path}"
    for order_id, log in e.logs.items():
        if order_id not in e.rows and log.path:
            yield f"log of no order: {log.path}"


def descriptors(pid):
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return None


def memory(pid):
    """Proportional set size in KiB."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


def remote_whole(e):
    for repo in e.repos:
        out = git("fsck", "--strict", "--no-dangling", cwd=repo.path, check=False)
        bad = [line for line in out.splitlines() if line.startswith(("error", "missing", "broken"))]
        if bad:
            yield f"{repo.path}: {bad[:3]}"


def wait_no_process(service, seconds=10):
    processes.wait_gone(service.everything(), seconds)


def defects(log, no_memory):
    """What sanitizers and assertions said; without memory an assertion is how a process ends."""
    words = r"ERROR: (Address|Leak|Undefined\w*)Sanitizer|runtime error: " + ("" if no_memory else r"|assertion .* failed|out of memory")
    for line in log.splitlines():
        if re.search(words, line, re.I):
            yield line[:300]
