"""What is done to awod and its orders: kills, stops, and calls that fail."""
import contextlib
import errno
import mmap
import os
import signal
import struct
import subprocess
import time
from pathlib import Path

from awo_testlib import processes

from service import is_sanitized

ROWS = ["write", "sync", "short", "open", "fork", "memory", "name"]   # as in faults.c
HEAD, ROW = struct.Struct("<II"), struct.Struct("<IiQ")
SUPERVISOR, BROKER = 1, 2

KILLS = {"broker": 26, "supervisor": 22, "both": 12, "worker": 16, "agent": 12, "helper": 6, "power": 6}
STOPS = {"stop-broker": 2, "stop-supervisor": 2, "stop-worker": 2}
# (rows of the shim, error, share of the calls)
CALLS = {
    "disk-full": (["write"], errno.ENOSPC, 1.0),
    "write-error": (["write", "sync"], errno.EIO, 0.2),
    "short-write": (["short"], 0, 0.3),
    "no-descriptors": (["open"], errno.EMFILE, 0.5),
    "no-files": (["open"], errno.ENFILE, 0.2),
    "no-processes": (["fork"], errno.EAGAIN, 0.7),
    "no-memory": (["memory"], errno.ENOMEM, 0.002),
    "read-only": (["name", "write"], errno.EROFS, 1.0),
}
DISKS = ["real-disk-full"]


class Shim:
    """The preloaded library and its shared file."""

    def __init__(self, directory, program):
        self.path = Path(directory) / "faults"
        self.library = Path(directory) / "faults.so"
        sanitized = is_sanitized(program)
        source = Path(__file__).with_name("faults.c")
        subprocess.run([os.environ.get("CC", "cc"), "-std=gnu17", "-O2", "-Wall", "-Wextra", "-shared", "-fPIC",
                        *(["-DNO_MEMORY"] if sanitized else []), "-o", self.library, source, "-ldl"], check=True)
        size = HEAD.size + ROW.size * len(ROWS)
        self.path.write_bytes(bytes(size))
        self.path.chmod(0o666)
        self.library.chmod(0o755)
        with open(self.path, "r+b") as f:
            self.memory = mmap.mmap(f.fileno(), size)
        self.kinds = [k for k, (rows, _, _) in CALLS.items() if not (sanitized and "memory" in rows)]

    def environment(self):
        env = {"LD_PRELOAD": str(self.library), "AWO_FAULTS": str(self.path)}
        options = os.environ.get("ASAN_OPTIONS", "")
        env["ASAN_OPTIONS"] = ":".join(filter(None, [options, "verify_asan_link_order=0"]))
        return env

    def set(self, kind, who, share=None):
        rows, error, usual = CALLS[kind]
        HEAD.pack_into(self.memory, 0, who, 0)
        for name in rows:
            at = HEAD.size + ROW.size * ROWS.index(name)
            hits = ROW.unpack_from(self.memory, at)[2]
            ROW.pack_into(self.memory, at, min(2**32 - 1, int((share or usual) * 2**32)), error, hits)

    def clear(self):
        for i in range(len(ROWS)):
            at = HEAD.size + ROW.size * i
            struct.pack_into("<I", self.memory, at, 0)

    def hits(self):
        return {name: ROW.unpack_from(self.memory, HEAD.size + ROW.size * i)[2] for i, name in enumerate(ROWS)}


class Killer:
    """Does one thing at a time, and tells the time line what it did to whom."""

    def __init__(self, service, shim, rng, line):
        self.service, self.shim, self.rng, self.line = service, shim, rng, line
        self.killed = []     # (what, pid or id)

    def do(self, kind):
        """Whether it could be done; whatever it is, it is over when this returns."""
        if kind in CALLS:
            return self.calls_fail(kind)
        return getattr(self, kind.replace("-", "_"))()

    def end(self, *pids):
        """Kills, and waits until the kernel has ended them: what that takes is not awod's."""
        done = [self.send(pid) for pid in pids]
        end = time.monotonic() + 5
        while time.monotonic() < end and any(is_running(pid) for pid in pids):
            time.sleep(0.002)
        return any(done)

    def send(self, pid, sig=signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, sig)
            return True
        return False

    # ---- kills -----------------------------------------------------------------------------------------------------

    def outage(self, kind, kill):
        """A kill after which awod is away for a moment: the next answer tells how long."""
        self.line.begin(kind)
        done = kill()
        if done:
            self.line.done()
        else:
            self.line.void()
        return done

    def broker(self):
        pid = self.service.broker_pid()
        return bool(pid) and self.outage("broker", lambda: self.end(pid))

    def supervisor(self):
        pid = self.service.supervisor_pid()
        return bool(pid) and self.outage("supervisor", lambda: self.end(pid))

    def both(self):
        pids = [self.service.supervisor_pid(), self.service.broker_pid()]
        self.rng.shuffle(pids)
        return all(pids) and self.outage("both", lambda: self.end(*pids))

    def power(self):
        def cut():
            self.service.power_cut(self.rng)
            return True
        if self.service.supervisor_pid() is None:
            return False
        return self.outage("power", cut)

    def one_of(self, found, sig=signal.SIGKILL):
        if not found:
            return None
        p = self.rng.choice(found)
        return p if self.send(p.pid, sig) else None

    def worker(self):
        p = self.one_of(self.orders_workers())
        if p:
            self.killed.append(("worker", order_of(p)))
        return bool(p)

    def orders_workers(self):
        return [p for p in self.service.workers() if "order" in p.argv]

    def below_workers(self, *names):
        """Processes that workers have started, by the names of their programs."""
        workers = {p.pid for p in self.service.workers()}
        found = []
        for pid in workers:
            found += [p for p in processes.descendants(pid) if p.argv and os.path.basename(p.argv[0]) in names]
        return found

    def agent(self):
        return bool(self.one_of(self.below_workers("awo-demo-agent")))

    def helper(self):
        tasks = [p for p in self.service.workers() if "task" in p.argv]
        inside = [p for p in self.below_workers("awo-git", "awo-forge", "awo-worker", "bash", "git")]
        return bool(self.one_of(tasks + inside))

    # ---- stops -----------------------------------------------------------------------------------------------------

    def pause_process(self, pid, kind, away):
        if not pid:
            return False
        if away:
            self.line.begin(kind)
        if not self.send(pid, signal.SIGSTOP):
            if away:
                self.line.void()
            return False
        time.sleep(self.rng.uniform(0.05, 1.0))
        self.send(pid, signal.SIGCONT)
        if away:
            self.line.done()
        return True

    def stop_broker(self):
        return self.pause_process(self.service.broker_pid(), "stop-broker", True)

    def stop_supervisor(self):
        return self.pause_process(self.service.supervisor_pid(), "stop-supervisor", False)

    def stop_worker(self):
        found = self.orders_workers()
        return bool(found) and self.pause_process(self.rng.choice(found).pid, "stop-worker", False)

    # ---- calls that fail -------------------------------------------------------------------------------------------

    def calls_fail(self, kind):
        who = self.rng.choice([SUPERVISOR, BROKER, SUPERVISOR | BROKER])
        self.line.fault_begins(kind)
        self.shim.set(kind, who)
        try:
            time.sleep(self.rng.uniform(0.2, 1.5))
            # so that starting meets it, too
            if self.rng.random() < 0.2:
                pid = self.rng.choice([self.service.broker_pid(), self.service.supervisor_pid()])
                if pid:
                    self.send(pid)
                    time.sleep(0.5)
        finally:
            self.shim.clear()
        self.works_again(kind)
        return True

    def real_disk_full(self):
        if not self.service.disk:
            return False
        filler = self.service.state / "filler"
        self.line.fault_begins("real-disk-full")
        try:
            with open(filler, "wb", buffering=0) as f, contextlib.suppress(OSError):
                while True:
                    f.write(bytes(1 << 16))
            time.sleep(self.rng.uniform(0.2, 1.5))
        finally:
            filler.unlink(missing_ok=True)
        self.works_again("real-disk-full")
        return True

    def works_again(self, kind):
        """The cause is gone: from its first answer on everything counts again."""
        begin = time.monotonic()
        self.line.fault_ends()
        answered = self.line.wait_answer(20)
        if not answered:
            self.line.violation(f"{kind}: no answer within 20 s after the cause was gone")
        return time.monotonic() - begin


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (OSError, IndexError):
        return False


def order_of(process):
    for a in process.argv:
        if a.startswith("wo-"):
            return a
    return None
