"""The clients: create orders without end, interfere with them, and write down what awod has acknowledged."""
import random
import threading
import time

from awo_testlib.instance import TERMINAL
from awo_testlib.rpc import Client, Closed, RpcError

# Every run of the agent leaves a line and holds a lock in the order's HOME, where no other order and not awod can write.
WITNESS = ('demo: run exec 9>>"$HOME/lock"; flock -n 9 || echo double >>"$HOME/double"; echo run >>"$HOME/runs"; '
           'sleep {pause}')
EXTRAS = ["demo@planning: sleep 0.5", "demo@execute: sleep 1", "demo@execute: fail-once", "demo@execute: flood 200000",
          "demo@planning: badjson", "demo@commit: no-commit", "demo@execute: daemon", "demo@planning: hang",
          "demo@execute: exit 3"]


class Gone(Exception):
    """The connection ended before the answer came: whether it was done is not known."""


class Order:
    def __init__(self, order_id, key, text):
        self.id, self.key, self.text = order_id, key, text
        self.deleted = False        # acknowledged
        self.delete_asked = False
        self.acks = []              # (operation, detail) that awod has acknowledged
        self.asked = []             # operations that were sent at all
        self.paused = False


class Ledger:
    """What awod has acknowledged, outside of awod."""

    def __init__(self):
        self.lock = threading.Lock()
        self.orders, self.ids, self.violations = {}, [], []
        self.sent = {}              # text of the request -> key, also when no answer came
        self.repeats = 0

    def created(self, order_id, key, text):
        with self.lock:
            known = self.orders.get(order_id)
            if known is None:
                self.orders[order_id] = Order(order_id, key, text)
                self.ids.append(order_id)
            elif known.key != key or key is None:
                self.violations.append(f"{order_id} was given to two creates")

    def same_key(self, key, first, second):
        with self.lock:
            self.repeats += 1
            if first != second:
                self.violations.append(f"idempotency key {key} made {first} and {second}")


class Caller:
    """One connection that is opened again when it has ended."""

    def __init__(self, path):
        self.path, self.client = path, None

    def call(self, method, timeout=30, **params):
        try:
            if self.client is None:
                self.client = Client(str(self.path))
            return self.client.call(method, timeout=timeout, **params)
        except (Closed, OSError, TimeoutError) as e:
            self.close()
            raise Gone(str(e)) from None

    def close(self):
        if self.client is not None:
            self.client.close()
            self.client = None


class Creator(threading.Thread):
    def __init__(self, service, ledger, repos, rng_seed, active, name):
        super().__init__(daemon=True)
        self.service, self.ledger, self.repos, self.active, self.prefix = service, ledger, repos, active, name
        self.rng = random.Random(rng_seed)
        self.ending = threading.Event()
        self.caller = Caller(service.socket)
        self.count = 0

    def text(self):
        self.count += 1
        lines = [f"Task {self.prefix}{self.count}", WITNESS.format(pause=round(self.rng.uniform(0, 0.3), 2))]
        if self.rng.random() < 0.4:
            lines.append(self.rng.choice(EXTRAS))
        return "\n".join(lines)

    def busy(self):
        try:
            q = self.caller.call("queue.get", timeout=5)
            return q["running"] + q["pending"] >= self.active
        except (Gone, RpcError):
            return True

    def create(self):
        text = self.text()
        key = f"key-{self.prefix}{self.count}" if self.rng.random() < 0.8 else None
        params = {"repository_url": str(self.rng.choice(self.repos).path), "user_request": text,
                  "priority": self.rng.randint(-5, 5), **({"idempotency_key": key} if key else {})}
        self.ledger.sent[text] = key
        first = None
        while True:
            try:
                made = self.caller.call("order.create", **params)["agent_work_order"]["agent_work_order_id"]
            except (Gone, RpcError) as e:
                # a lost answer is asked for again, which only a key makes safe
                if (key is None and isinstance(e, Gone)) or self.ending.is_set():
                    return
                if isinstance(e, RpcError) and e.code not in ("unavailable", "resource_exhausted"):
                    self.ledger.violations.append(f"order.create was refused: {e}")
                    return
                time.sleep(0.05)
                continue
            self.ledger.created(made, key, text)
            if first:
                self.ledger.same_key(key, first, made)
                return
            if key is None or self.rng.random() < 0.9:
                return
            first = made

    def run(self):
        while not self.ending.is_set():
            if self.busy():
                self.ending.wait(0.1)
                continue
            self.create()
            self.ending.wait(self.rng.uniform(0, 0.2))
        self.caller.close()


class Meddler(threading.Thread):
    """Cancels, pauses, resumes, retries, prompts, deletes and reads, at random."""
    WEIGHTS = {"cancel": 3, "pause": 3, "resume": 4, "retry": 3, "prompt": 2, "delete": 1, "logs": 4, "list": 2,
               "start": 1, "steps": 2}

    def __init__(self, service, ledger, seed, every=0.25):
        super().__init__(daemon=True)
        self.ledger, self.every = ledger, every
        self.rng = random.Random(seed)
        self.caller = Caller(service.socket)
        self.ending = threading.Event()
        self.done, self.refused = {}, {}

    def run(self):
        names, weights = list(self.WEIGHTS), list(self.WEIGHTS.values())
        while not self.ending.is_set():
            self.ending.wait(self.rng.uniform(0, 2 * self.every))
            ids = self.ledger.ids[-12:]
            if not ids:
                continue
            order = self.ledger.orders[self.rng.choice(ids)]
            if order.deleted or order.delete_asked:
                continue
            self.one(self.rng.choices(names, weights)[0], order)
        self.caller.close()

    def one(self, what, order):
        params = {"agent_work_order_id": order.id}
        if what == "prompt":
            params["prompt_text"] = f"Note {self.rng.randrange(10**9)} on it"
        elif what == "cancel":
            params["reason"] = "at random"
        elif what == "delete":
            order.delete_asked = True
        elif what == "list":
            params = {"limit": 20}
        elif what == "logs":
            params["limit"] = 200
        order.asked.append(what)
        try:
            answer = self.caller.call(f"order.{what}", timeout=30, **params)
        except Gone:
            return
        except RpcError as e:
            self.refused[what] = self.refused.get(what, 0) + 1
            if what == "delete":
                order.delete_asked = False
            if e.code not in ("failed_precondition", "unavailable", "resource_exhausted", "not_found"):
                self.ledger.violations.append(f"order.{what} of {order.id}: {e}")
            elif e.code == "not_found" and not order.delete_asked:
                self.ledger.violations.append(f"order.{what}: {order.id} was acknowledged and is not found")
            return
        self.done[what] = self.done.get(what, 0) + 1
        if what == "delete":
            order.deleted = True
        if what in ("pause", "resume"):
            order.paused = what == "pause"
        order.acks.append((what, answer.get("prompt_id") if what == "prompt" else None))


class Load:
    def __init__(self, service, repos, seed, active):
        self.service, self.ledger = service, Ledger()
        self.creators = [Creator(service, self.ledger, repos, f"{seed}/create/{i}", active, f"{'abcdefgh'[i]}")
                         for i in range(2)]
        self.meddler = Meddler(service, self.ledger, f"{seed}/meddle")

    def start(self):
        for t in (*self.creators, self.meddler):
            t.start()

    def stop(self):
        threads = (*self.creators, self.meddler)
        for t in threads:
            t.ending.set()
        for t in threads:
            t.join(40)

    def settle(self, timeout):
        """Lets every order come to its end: nothing stays paused or hangs. Returns the ids of those that do not."""
        caller, end = Caller(self.service.socket), time.monotonic() + timeout
        begin = time.monotonic()
        cancelled = set()
        while True:
            try:
                live = []
                for status in ("pending", "running", "waiting", "paused"):
                    live += caller.call("order.list", status=status, limit=500)["agent_work_orders"]
                if not live:
                    return []
                if time.monotonic() > end:
                    return [f"{o['agent_work_order_id']} {o['status']} at {o['current_step']}" for o in live]
                for o in live:
                    order_id = o["agent_work_order_id"]
                    if o["status"] == "paused":
                        caller.call("order.resume", agent_work_order_id=order_id)
                    hangs = "hang" in (o.get("user_request") or "") or time.monotonic() - begin > timeout / 2
                    if hangs and order_id not in cancelled and time.monotonic() - begin > 3:
                        cancelled.add(order_id)
                        caller.call("order.cancel", agent_work_order_id=order_id, timeout=20)
            except RpcError as e:
                if e.code not in ("failed_precondition", "unavailable"):
                    raise
            except Gone:
                pass
            time.sleep(0.2)


def is_terminal(status):
    return status in TERMINAL
