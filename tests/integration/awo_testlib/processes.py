"""Looks at processes from outside, through /proc."""
import contextlib
import os
import signal
import time
from pathlib import Path


class Process:
    def __init__(self, pid):
        self.pid = pid
        base = Path(f"/proc/{pid}")
        stat = (base / "stat").read_text()
        self.starttime = stat.rpartition(")")[2].split()[19]
        self.state = stat.rpartition(")")[2].split()[0]
        self.ppid = int(stat.rpartition(")")[2].split()[1])
        self.argv = (base / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
        status = (base / "status").read_text()
        self.status = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        self.uid = int(self.status["Uid"].split()[0])

    @property
    def environ(self):
        try:
            return Path(f"/proc/{self.pid}/environ").read_bytes().decode(errors="replace")
        except PermissionError:
            return ""

    def alive(self):
        try:
            now = Process(self.pid)
        except (OSError, IndexError):
            return False
        return now.starttime == self.starttime and now.state != "Z"

    def kill(self, sig=signal.SIGKILL):
        # it may end by itself between the look and the signal
        with contextlib.suppress(ProcessLookupError):
            if self.alive():
                os.kill(self.pid, sig)

    def __repr__(self):
        return f"<{self.pid} uid {self.uid} {' '.join(self.argv)[:200]}>"


def resident(pid):
    """Bytes of memory that a process has."""
    return int(Process(pid).status["VmRSS"].split()[0]) * 1024


def everything():
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                yield Process(int(name))
            except (OSError, IndexError, KeyError):
                continue


def with_argument(text, program=None):
    """Living processes that have text in an argument (of a program with this base name)."""
    found, wanted = [], text.encode()
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            # most processes are ruled out by one small file
            if wanted not in Path(f"/proc/{name}/cmdline").read_bytes():
                continue
            p = Process(int(name))
        except (OSError, IndexError, KeyError):
            continue
        if p.state != "Z" and any(text in a for a in p.argv) and \
                (program is None or os.path.basename(p.argv[0]) == program):
            found.append(p)
    return found


def descendants(pid):
    children = {}
    for p in everything():
        children.setdefault(p.ppid, []).append(p)
    found, todo = [], [pid]
    while todo:
        for child in children.get(todo.pop(), []):
            found.append(child)
            todo.append(child.pid)
    return found


def wait_gone(processes, timeout=15):
    end = time.monotonic() + timeout
    while True:
        left = [p for p in processes if p.alive()]
        if not left or time.monotonic() > end:
            return left
        time.sleep(0.05)
