"""Plays the service manager: keeps a real awod running, with a socket that stays open while it restarts."""
import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

from awo_testlib import processes
from awo_testlib.instance import UIDS, Instance

RESTART_DELAY = 0.1  # between the end of awod and its next start, as RestartSec= of a unit
MS_REMOUNT, MS_RDONLY = 32, 1


def mounts_below(path):
    """Mount points at or below a path."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [p for p in points if p == str(path) or p.startswith(f"{path}/")]


class Service(Instance):
    """
    An instance that is started again whenever it ends. Its state is on a file system of its own when root asks, so that
    it can really become full or read-only.
    """

    def __init__(self, config, env=None, disk_bytes=0):
        super().__init__(config, env)
        self.wanted = False
        self.starts = 0
        self.ends = []          # (time, status, whether we killed it)
        self.listener = None
        self.lock = threading.RLock()
        self.watcher = None
        self.disk = disk_bytes if os.geteuid() == 0 else 0
        self.socket = self.base / "awod.sock"
        if self.disk:
            self.state.mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.disk},mode=755", "tmpfs", self.state], check=True)
            self.log_dir = self.state / "log"   # one disk for everything that grows

    # ---- the socket and the process --------------------------------------------------------------------------------

    def listen(self):
        if self.listener is not None:
            self.listener.close()
        self.socket.unlink(missing_ok=True)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(self.socket))
        self.socket.chmod(0o666)
        self.listener.listen(512)

    def spawn(self):
        """awod with our socket as its descriptor 3, as systemd hands it over."""
        fd = self.listener.fileno()
        shell = f'exec 3<&{fd}; LISTEN_PID=$$ LISTEN_FDS=1; export LISTEN_PID LISTEN_FDS; exec "$@"'
        if fd != 3:
            shell = shell.replace(";", f" {fd}<&-;", 1)
        with open(self.base / "awod.stderr", "ab") as log:
            self.process = subprocess.Popen(["/bin/sh", "-c", shell, "sh", *self.argv()], env=self.env, cwd="/",
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=(fd,))
        self.starts += 1

    def start(self, timeout=30):
        self.listen()
        self.wanted = True
        self.spawn()
        self.watcher = threading.Thread(target=self.watch, daemon=True)
        self.watcher.start()
        self.wait_answer(timeout)
        return self

    def watch(self):
        while self.wanted:
            process = self.process
            if process is None:
                time.sleep(0.01)
                continue
            status = process.wait()
            with self.lock:
                if process is self.process:
                    self.ends.append((time.monotonic(), status))
            time.sleep(RESTART_DELAY)
            with self.lock:
                if self.wanted and process is self.process:
                    self.spawn()

    def wait_answer(self, timeout=30):
        end = time.monotonic() + timeout
        while True:
            try:
                return self.call("system.info", timeout=2)
            except Exception as e:  # whatever it is, it goes on until the time is over
                if time.monotonic() > end:
                    raise RuntimeError(f"awod does not answer within {timeout} s ({e}):\n{self.daemon_words()}") from None
                time.sleep(0.05)

    def stop(self, sig=signal.SIGTERM, timeout=20):
        with self.lock:
            self.wanted = False
        status = super().stop(sig, timeout)
        if self.watcher:
            self.watcher.join(timeout)
        return status

    # ---- its parts -------------------------------------------------------------------------------------------------

    def supervisor_pid(self):
        process = self.process
        return process.pid if process is not None and process.poll() is None else None

    def broker_pid(self):
        parent = self.supervisor_pid()
        if parent is None:
            return None
        try:
            children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        except OSError:
            return None
        for pid in map(int, children):
            try:
                if b"--broker-fd" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    return pid
            except OSError:
                continue
        return None

    def everything(self):
        """Every process of the instance: by its directories in an argument, or by a uid that only its orders have."""
        base, found = str(self.base), []
        for p in processes.everything():
            ours = any(base in a for a in p.argv) or \
                (self.system and self.uid_base <= p.uid < self.uid_base + UIDS)
            if ours and p.state != "Z" and p.pid != os.getpid():
                found.append(p)
        return found

    def power_cut(self, rng):
        """Kills every process at once; what lies in /run is gone, as after a boot."""
        with self.lock:
            old = self.process
            self.process = None     # the watcher does not start it again yet
            while True:
                left = self.everything()
                if not left:
                    break
                rng.shuffle(left)
                for p in left:
                    try:
                        os.kill(p.pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
                time.sleep(0.01)
            old.wait()
            if rng.random() < 0.5:
                shutil.rmtree(self.run_dir, ignore_errors=True)
            self.spawn()

    # ---- its disk --------------------------------------------------------------------------------------------------

    def remount(self, read_only):
        libc = ctypes.CDLL(None, use_errno=True)
        flags = MS_REMOUNT | (MS_RDONLY if read_only else 0)
        if libc.mount(b"tmpfs", str(self.state).encode(), b"tmpfs", flags, None) != 0:
            raise OSError(ctypes.get_errno(), "remount")

    def close(self):
        with self.lock:
            self.wanted = False
        try:
            for _ in range(50):
                left = self.everything()
                for p in left:
                    p.kill(signal.SIGCONT)
                    p.kill()
                if not left:
                    break
                time.sleep(0.05)
            if self.process is not None:
                self.process.wait(5)
        finally:
            if self.listener is not None:
                self.listener.close()
            for point in reversed(mounts_below(self.base)):
                subprocess.run(["umount", "-l", point], check=False)
            if not os.environ.get("AWO_TEST_KEEP"):
                shutil.rmtree(self.base, ignore_errors=True)
            self.uid_claim.close()


def is_sanitized(program):
    return bool(re.search(rb"__asan_init", Path(program).read_bytes()))
