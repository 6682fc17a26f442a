"""Knows when awod was taken away from its clients, and asks it all the time whether it answers."""
import random
import threading
import time

from awo_testlib.rpc import Client, Closed, RpcError

EVERY = 0.05
RESTART_MAX = 1.0       # what a restart may take
PATIENCE = 1.0          # an answer that takes longer is none


class Outage:
    def __init__(self, kind):
        self.kind, self.begin, self.origin, self.end = kind, time.monotonic(), time.monotonic(), None
        self.over = False       # what takes awod away has been done
        self.starved = 0.0      # of it, how long awod wanted a processor and others had them

    @property
    def seconds(self):
        return None if self.end is None else max(0.0, self.end - self.origin - self.starved)


def starved(pid):
    """Seconds that a process has waited for a processor in its life."""
    try:
        with open(f"/proc/{pid}/schedstat", encoding="ascii") as f:
            return int(f.read().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


class Timeline:
    """
    Outages begin with a kill and end with the first answer. Faults last from the first call that can fail until the
    first answer after the last. Probes in neither must all be answered.
    """

    def __init__(self, service):
        self.service = service
        self.lock = threading.RLock()
        self.waited = {}            # our processes at the last question, and how long each had been starved
        self.outages, self.violations = [], []
        self.outage = None
        self.fault = None           # [kind, still injected]
        self.answered = self.unanswered = 0
        self.during_faults = [0, 0]
        self.latencies = []
        self.failures = []
        self.news = threading.Condition(self.lock)
        self.last_answer = 0.0
        self.stalls = 0
        self.stalled_until = 0.0
        self.recoveries = []        # (kind, seconds)

    def violation(self, text):
        with self.lock:
            self.violations.append(text)

    def begin(self, kind):
        with self.lock:
            self.outage = Outage(kind)

    def void(self):
        with self.lock:
            self.outage = None

    def done(self):
        """The cause of the outage ends now: how long it takes is counted from here."""
        with self.lock:
            if self.outage:
                self.outage.origin, self.outage.over = time.monotonic(), True

    def fault_begins(self, kind):
        with self.lock:
            self.fault = [kind, True, None]

    def fault_ends(self):
        with self.lock:
            self.fault[1:] = [False, time.monotonic()]

    def wait_answer(self, timeout):
        """Whether something was answered to a question asked from now on."""
        now, end = time.monotonic(), time.monotonic() + timeout
        with self.news:
            while self.last_answer < now:
                if not self.news.wait(min(0.2, max(0.0, end - time.monotonic()))) and time.monotonic() > end:
                    return False
        return True

    def starvation(self):
        """How long awod has been starved since the last question: all of their lives when its processes are new."""
        now = {pid: starved(pid) for pid in (self.service.supervisor_pid(), self.service.broker_pid()) if pid}
        before, self.waited = self.waited, now
        return sum(seconds - before.get(pid, 0.0) for pid, seconds in now.items())

    def note(self, sent, ok, why):
        """One probe that was sent at a time, and how it went."""
        now = time.monotonic()
        hungry = self.starvation()
        with self.news:
            if ok:
                self.last_answer = sent
                self.news.notify_all()
            if self.fault:
                self.during_faults[0 if ok else 1] += 1
                if ok and not self.fault[1] and sent > self.fault[2]:
                    self.recoveries.append((self.fault[0], now - self.fault[2]))
                    self.fault = None
                    self.outage = None
                return
            o = self.outage
            if o:
                if not o.over:
                    pass
                elif ok and sent > o.origin:
                    o.end = now
                    o.starved += hungry
                    self.outages.append(o)
                    self.outage = None
                elif not ok:
                    o.starved += hungry
                    if now - o.origin - o.starved > RESTART_MAX and sent > o.origin and now > self.stalled_until:
                        self.unanswered += 1
                        self.failures.append((now, o.kind, why))
                return
            if ok:
                self.answered += 1
                self.latencies.append(now - sent)
            elif now < self.stalled_until or hungry > 0.3:
                self.stalls += 1    # neither awod nor anybody else could have answered
            elif any(p.begin >= sent for p in self.outages[-2:]):
                pass                # the kill came while it was under way
            else:
                self.unanswered += 1
                self.failures.append((now, "no cause", why))


class Prober(threading.Thread):
    """Asks some 20 times a second, as a client that connects again when its connection has ended."""

    def __init__(self, path, line, ids, seed):
        super().__init__(daemon=True)
        self.path, self.line, self.ids = path, line, ids
        self.rng = random.Random(seed)
        self.client = None
        self.ending = threading.Event()
        self.seen = {}

    def ask(self):
        known = self.ids[-50:]
        if known and self.rng.random() < 0.7:
            order_id = self.rng.choice(known)
            return self.client.call("order.get", agent_work_order_id=order_id, timeout=PATIENCE)
        return self.client.call("system.health", timeout=PATIENCE)

    def once(self):
        """One question; a connection that ended before it is opened again, as a library does."""
        for attempt in (1, 2):
            try:
                if self.client is None:
                    self.client = Client(str(self.path))
                self.ask()
                return True, None
            except RpcError as e:
                # an answer, if not the wanted one; a record that was deleted is one of them
                return e.code in ("not_found", "unavailable", "resource_exhausted"), str(e)
            except (Closed, BrokenPipeError, ConnectionResetError) as e:
                self.client.close()
                self.client = None
                why = f"{type(e).__name__} {e}"
                if attempt == 2:
                    return False, why
            except (TimeoutError, OSError) as e:
                if self.client is not None:
                    self.client.close()
                self.client = None
                return False, f"{type(e).__name__} {e}"
        return False, "?"

    def run(self):
        while not self.ending.is_set():
            sent = time.monotonic()
            ok, why = self.once()
            self.line.note(sent, ok, why)
            self.ending.wait(max(0.0, EVERY - (time.monotonic() - sent)))
        if self.client is not None:
            self.client.close()


class Heartbeat(threading.Thread):
    """Sees when this machine did not run us at all, so that nobody else is blamed for it."""

    def __init__(self, line):
        super().__init__(daemon=True)
        self.line = line

    def run(self):
        last = time.monotonic()
        while True:
            time.sleep(0.02)
            now = time.monotonic()
            if now - last > 0.4:
                with self.line.lock:
                    self.line.stalls += 1
                    self.line.stalled_until = now + 1.5
                    if self.line.outage:
                        self.line.outage.origin += now - last
            last = now

