"""Cancels orders at random moments and looks, from outside, at how each ended and at what it left behind."""
import collections
import os
import random
import statistics
import threading
import time

from .instance import TERMINAL
from .processes import resident
from .rpc import Client, RpcError

LIMIT_S = 12.0          # every cancel ends within this
OBEYS_P95_S = 1.0       # of agents that end when they are told to
CLEAN, FORCED = "ended cleanly", "ended by force"

# what the agent does, how often, and whether it ends when it is told to
AGENTS = (
    ("demo: sleep 0.05", 30, True),
    ("demo@{step}: sleep 3", 12, True),
    ("demo@{step}: hang", 10, True),
    ("demo@{step}: run sleep 300", 10, True),
    ("demo: daemon 3600\ndemo@{step}: forkbomb 20\ndemo@{step}: hang", 8, True),
    ("demo@{step}: flood 1000000000000", 8, True),
    ("demo@{step}: stdout-close", 6, True),
    ("demo@{step}: stop", 6, True),
    ("demo@{step}: run head -c 20000000 /dev/urandom > big; git add big; git commit -qm big", 6, True),
    ("demo@{step}: ignore-term", 4, False),
)
STEPS = ("create-branch", "planning", "execute", "commit", "create-pr")
# a moment is an event of the order's log and a little time behind it
MOMENTS = ("agent_work_order_created", "agent_work_order_started", "repository_fetch_started", "repository_fetch_completed",
           "workflow_execution_started", "sandbox_created", "workspace_created", "workflow_started", "step_started",
           "agent_command_started", "agent_output", "agent_command_completed", "sandbox_command_executed",
           "git_commit_created", "git_branch_created", "step_completed", "git_push_completed", "workflow_completed")


class Pauses:
    """Notices when this process itself was not running, so that such time is not taken for awod's."""

    def __init__(self):
        self.spans, self.ending = [], threading.Event()
        threading.Thread(target=self.tick, daemon=True).start()

    def tick(self):
        last = time.monotonic()
        while not self.ending.wait(0.02):
            now = time.monotonic()
            if now - last > 0.5:
                self.spans.append((last, now))
            last = now

    def within(self, begin, end):
        return sum(max(0.0, min(end, e) - max(begin, b)) for b, e in list(self.spans))


class Cancel:
    """One order and what became of it."""

    def __init__(self, number, rng):
        self.number = number
        text, _, self.obeys = rng.choices(AGENTS, [w for _, w, _ in AGENTS])[0]
        self.request = f"Cancelled order {number}\n" + text.format(step=rng.choice(STEPS))
        kind = rng.random()
        self.event, self.nth, self.extra = None, 1, 0.0
        if kind < 0.1:
            self.extra = rng.uniform(0, 0.02)
        elif kind < 0.35:
            self.extra = rng.uniform(0, 2.5)
        else:
            self.event, self.nth = rng.choice(MOMENTS), rng.randint(1, 5)
            self.extra = rng.uniform(0, 0.08)
        self.id, self.stage, self.seconds, self.how, self.faults = None, "?", None, None, []

    def fault(self, text):
        self.faults.append(f"{self.id} (cancel {self.number}, at {self.stage}): {text}")


def tree_of(uid):
    """Processes of a uid, zombies included, without reading what is no number."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/status", encoding="ascii", errors="replace") as f:
                    text = f.read()
            except OSError:
                continue
            line = next((x for x in text.splitlines() if x.startswith("Uid:")), "Uid: -1")
            if int(line.split()[1]) == uid:
                found.append(f"{name} {text.splitlines()[0][6:]} {text.splitlines()[2][7:]}")
    return found


class Round:
    def __init__(self, instance, repo, count, seed, lanes):
        self.instance, self.repo, self.seed = instance, repo, seed
        rng = random.Random(seed)
        self.todo = collections.deque(Cancel(i + 1, rng) for i in range(count))
        self.done, self.lanes, self.pauses = [], lanes, Pauses()
        self.system = os.geteuid() == 0

    # ---- one cancel -----------------------------------------------------------------------------------------------

    def log_lines(self, order_id):
        """The events so far, without asking awod."""
        for path in self.instance.log_dir.glob(f"agent_work_orders/*/{order_id}.jsonl"):
            try:
                data = path.read_bytes()
            except OSError:
                break
            return [x.split(b'"event":"', 1)[1].split(b'"', 1)[0].decode() for x in
                    data.replace(b'"event": "', b'"event":"').splitlines() if b'"event":"' in x]
        return []

    def wait_for_moment(self, c):
        end = time.monotonic() + 6
        while c.event and time.monotonic() < end:
            events = self.log_lines(c.id)
            if events.count(c.event) >= c.nth or any(e.startswith("agent_work_order_c") and e != "agent_work_order_created"
                                                      for e in events):
                break
            time.sleep(0.005)
        time.sleep(c.extra)

    def one(self, c, client):
        c.id = client.call("order.create", repository_url=str(self.repo.path),
                           user_request=c.request)["agent_work_order"]["agent_work_order_id"]
        self.wait_for_moment(c)
        c.stage = (self.log_lines(c.id) or ["agent_work_order_created"])[-1]
        begin = time.monotonic()
        try:
            answer = client.call("order.cancel", agent_work_order_id=c.id, reason=f"cancel {c.number}", timeout=60)
        except RpcError as e:
            order = client.call("order.get", agent_work_order_id=c.id)["agent_work_order"]
            if e.code != "failed_precondition" or order["status"] not in TERMINAL:
                c.fault(f"the cancel was refused: {e}; the order is {order['status']}")
            c.how = "too late"
            # none of these agents fails by itself
            if order["status"] != "completed":
                c.fault(f"ended before as {order['status']}, {order['error_category']}: {order['error_message']}")
            return
        end = time.monotonic()
        c.seconds = end - begin - self.pauses.within(begin, end)
        c.message = answer.get("message", "")
        c.how = CLEAN if c.message == CLEAN else FORCED if c.message.startswith(FORCED) else None
        order = answer["agent_work_order"]
        if c.how is None:
            c.fault(f"the answer says neither clean nor forced: {c.message!r}")
        if order["status"] != "cancelled" or order["error_category"] != "cancelled":
            c.fault(f"ended as {order['status']}, {order['error_category']}: {order['error_message']}")
        self.look_behind(c)

    def look_behind(self, c):
        """Right after the answer: nothing of the order runs, and its record and log agree."""
        if self.instance.workers() and any(c.id in " ".join(w.argv) for w in self.instance.workers()):
            c.fault("its worker lives")
        tree = self.instance.state / "work-orders" / c.id / "workspace"
        if self.system and tree.exists():
            left = tree_of(tree.stat().st_uid)
            if left:
                c.fault(f"processes are left: {left}")

    def check_log(self, c, client):
        lines, seq = [], 0
        while True:
            page = client.call("order.logs", agent_work_order_id=c.id, limit=1000, after_seq=seq)
            lines += page["log_entries"]
            if not page["has_more"]:
                break
            seq = page["log_entries"][-1]["seq"]
        names = [x["event"] for x in lines]
        ends = [n for n in names if n in ("agent_work_order_completed", "agent_work_order_failed",
                                          "agent_work_order_cancelled")]
        if ends != ["agent_work_order_cancelled"]:
            c.fault(f"its log ends {len(ends)} times: {ends}")
            return
        line = lines[names.index("agent_work_order_cancelled")]
        if line["clean"] is not (c.how == CLEAN):
            c.fault(f"the answer says {c.how}, the log clean: {line['clean']}")
        if line["reason"] != f"cancel {c.number}":
            c.fault(f"the log has another reason: {line['reason']}")
        if "workflow_execution_started" in names and c.how == CLEAN and "sandbox_cleanup_completed" not in names:
            c.fault("the log does not tell of the sandbox's end")

    def lane(self):
        with Client(str(self.instance.socket)) as client:
            while True:
                try:
                    c = self.todo.popleft()
                except IndexError:
                    return
                try:
                    self.one(c, client)
                    if c.how in (CLEAN, FORCED):
                        self.check_log(c, client)
                except Exception as e:  # told in the report, and the other cancels go on
                    c.fault(f"{type(e).__name__}: {e}")
                self.done.append(c)

    # ---- all of them ----------------------------------------------------------------------------------------------

    def run(self, every=None):
        threads = [threading.Thread(target=self.lane) for _ in range(self.lanes)]
        for t in threads:
            t.start()
        said = 0
        for t in threads:
            while t.is_alive():
                t.join(1)
                if every and len(self.done) - said >= every:
                    said = len(self.done)
                    print(f"  {said} done, {sum(len(c.faults) for c in self.done)} faults", flush=True)
        self.pauses.ending.set()
        return self

    def faults(self):
        out = [f for c in self.done for f in c.faults]
        out += [f"{c.id} (cancel {c.number}, at {c.stage}): took {c.seconds:.1f} s" for c in self.done
                if c.seconds is not None and c.seconds > LIMIT_S]
        out += [f"{c.id} (cancel {c.number}, at {c.stage}): an agent that obeys was ended by force\n      {c.request!r}"
                for c in self.done if c.obeys and c.how == FORCED]
        return out

    def leftovers(self):
        """What is still there although every order has ended; a list of sentences."""
        out = []
        inst = self.instance
        end = time.monotonic() + 5
        while inst.workers() and time.monotonic() < end:
            time.sleep(0.1)
        out += [f"process {w}" for w in inst.workers()]
        for sub in ("workers", "slots"):
            for p in (inst.run_dir / sub).glob("*") if (inst.run_dir / sub).is_dir() else ():
                known = next((c for c in self.done if c.id == p.name), None)
                out.append(f"{p}: {known and known.how}, {inst.order(p.name)['status']}{inst.tail(p.name)}"
                           if known else f"{p}")
        with open("/proc/self/mountinfo", encoding="utf-8") as f:
            out += [f"mount {line.split()[4]}" for line in f if str(inst.base) in line]
        queue = inst.call("queue.get")
        if queue["running"] or queue["pending"]:
            out.append(f"slots: {queue['running']} running, {queue['pending']} pending")
        known = {c.id for c in self.done}
        for path in (inst.state / "work-orders").iterdir():
            if path.name not in known:
                out.append(f"directory {path} of no order")
            out += [f"{p}" for p in path.glob("repository.git/awo-incoming/*")]
        for p in self.repo.path.rglob("*"):
            if p.name.endswith(".lock") or "_git2_" in p.name:
                out.append(f"in the remote: {p.relative_to(self.repo.path)}")
        return out

    def remove_all(self):
        """Deletes every order; a list of what stays."""
        out = []
        for c in self.done:
            try:
                self.instance.call("order.delete", agent_work_order_id=c.id)
            except (RpcError, TimeoutError) as e:
                out.append(f"{c.id} cannot be deleted: {e}")
        end = time.monotonic() + 120
        left = list((self.instance.state / "work-orders").iterdir())
        while left and time.monotonic() < end:
            time.sleep(0.1)
            left = list((self.instance.state / "work-orders").iterdir())
        return out + [f"after the delete: {p}" for p in left]

    # ---- telling --------------------------------------------------------------------------------------------------

    def times(self, obeys=None):
        return sorted(c.seconds for c in self.done if c.seconds is not None and obeys in (None, c.obeys))

    def report(self):
        out = [f"seed {self.seed}, {len(self.done)} orders, {self.lanes} at once; this process was stopped for "
               f"{sum(e - b for b, e in self.pauses.spans):.1f} s, which is not counted"]
        how = collections.Counter(c.how for c in self.done)
        out.append(f"  {how[CLEAN]} {CLEAN}, {how[FORCED]} {FORCED}, {how['too late']} had ended before, {how[None]} other")
        for name, times in (("agents that obey", self.times(True)), ("agents that do not", self.times(False))):
            if times:
                out.append(f"  {name:19} n {len(times):5}   p50 {at(times, 50):7.3f} s   p95 {at(times, 95):7.3f} s   "
                           f"max {times[-1]:7.3f} s   mean {statistics.fmean(times):7.3f} s")
        edges = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 12)
        counts = collections.Counter(next((e for e in edges if t <= e), None) for t in self.times())
        top = max(counts.values(), default=1)
        out.append("  time from the call to its answer:")
        for e in (*edges, None):
            bar = "#" * round(50 * counts[e] / top)
            out.append(f"    {'<= ' + str(e) if e else '>  12':>8} s {counts[e]:5}  {bar}".rstrip())
        out.append("  newest line of the log at the moment of the cancel:")
        stages = collections.Counter(c.stage for c in self.done)
        out += [f"    {n:5}  {stage}" for stage, n in stages.most_common()]
        return "\n".join(out)


def at(times, percent):
    return times[min(len(times) - 1, int(len(times) * percent / 100))] if times else 0.0


def settled(instance, timeout=10):
    """Waits until awod has nothing to do."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        queue = instance.call("queue.get")
        if not queue["running"] and not queue["pending"]:
            return
        time.sleep(0.1)


def kibibytes(pid):
    """Proportional set size, or, where that is not for the process's own user to see, what is resident."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("Pss:"))
    except PermissionError:
        return resident(pid) // 1024


def descriptors(pid):
    """How many, or 0 where that cannot be seen."""
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except PermissionError:
        return 0


def memory(instance):
    """Kibibytes and descriptors of both awod processes: {name: (kib, descriptors)}."""
    broker = instance.broker_process()
    out = {}
    for name, pid in (("supervisor", instance.process.pid), ("broker", broker.pid)):
        out[name] = (kibibytes(pid), descriptors(pid))
    return out

