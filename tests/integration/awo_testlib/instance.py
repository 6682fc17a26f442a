"""Starts a real awod in directories of its own, and talks to it as its users do."""
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from . import processes
from .rpc import Client, Closed

SOURCE = Path(__file__).resolve().parents[3]
TERMINAL = ("completed", "failed", "cancelled")
BROKER_UID = 64000


def build_dir():
    path = os.environ.get("AWO_BUILD_DIR") or str(SOURCE / "build" / "debug")
    if not os.access(f"{path}/bin/awod", os.X_OK):
        raise RuntimeError(f"{path}/bin/awod is not there: build first, and name the build directory in AWO_BUILD_DIR")
    return Path(path)


def yaml(value, indent=0):
    """Block YAML of nested dictionaries; everything else is written as JSON, which YAML 1.2 contains."""
    lines = []
    for key, item in value.items():
        if isinstance(item, dict) and item:
            lines.append(f"{' ' * indent}{key}:")
            lines.append(yaml(item, indent + 2))
        else:
            lines.append(f"{' ' * indent}{key}: {json.dumps(item)}")
    return "\n".join(lines)


def merge(base, extra):
    out = dict(base)
    for key, item in extra.items():
        out[key] = merge(out[key], item) if isinstance(item, dict) and isinstance(out.get(key), dict) else item
    return out


class Result:
    """What a program printed and how it ended."""

    def __init__(self, done):
        self.rc, self.out, self.err = done.returncode, done.stdout, done.stderr

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def lines(self):
        return [json.loads(line) for line in self.out.splitlines() if line.strip()]

    def __repr__(self):
        return f"rc {self.rc}\nstdout: {self.out[:3000]}\nstderr: {self.err[:3000]}"


def readable_programs(build, base):
    """The directory of programs, copied when another user could not run them where they are."""
    bin_dir = build / "bin"
    if os.geteuid() != 0:
        return bin_dir
    check = subprocess.run(["setpriv", "--reuid=65533", "--regid=65533", "--clear-groups", "test", "-x",
                            str(bin_dir / "awoctl")], check=False)
    if check.returncode == 0:
        return bin_dir
    target = base / "bin"
    shutil.copytree(bin_dir, target, symlinks=True)
    return target


def is_sanitized(program):
    """By the program: what a process has mapped is for root only to see."""
    return b"libasan" in Path(program).read_bytes()


def frugal():
    """An environment in which a sanitizer gives back what is freed, so that memory can be compared."""
    more = os.environ.get("ASAN_OPTIONS")
    return {"ASAN_OPTIONS": f"{more + ':' if more else ''}quarantine_size_mb=1:thread_local_quarantine_size_kb=16"}


# two ordinary users
ALICE, BOB = 60001, 60002
UIDS = 2_097_152    # what an instance takes from its --uid-base on, for orders and caches


def claim_uids():
    """
    A range of uids that no other instance on this machine has, and the socket that holds the claim while it is open: who
    ends "all processes of my uids" must not meet another's. The name is abstract: it leaves no file and goes by itself.
    """
    ranges = list(range(100))
    random.shuffle(ranges)
    for n in ranges:
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind(f"\0awo-test-uids-{n}")
        except OSError:
            claim.close()
            continue
        return 1_900_000_000 + n * UIDS, claim
    raise RuntimeError("a hundred instances run already")


class Instance:
    def __init__(self, config=None, env=None, programs=None):
        self.system = os.geteuid() == 0
        build = build_dir()
        self.base = Path(tempfile.mkdtemp(prefix="awo-it-"))
        self.base.chmod(0o755)
        self.state, self.run_dir, self.log_dir, self.config_dir, self.home = (
            self.base / n for n in ("state", "run", "log", "etc", "home"))
        for path in (self.config_dir, self.home):
            path.mkdir()
        self.programs = programs or readable_programs(build, self.base)
        # a fixed place for the private programs: the daemon itself may be another copy
        self.libexec = self.programs
        self.awod = self.programs / "awod"
        self.commands = self.base / "commands"
        shutil.copytree(SOURCE / "commands", self.commands)
        self.socket = self.run_dir / "awod.sock"
        self.uid_base, self.uid_claim = claim_uids()
        self.env = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(self.home), "LANG": "C.UTF-8",
                    **{k: v for k, v in os.environ.items() if k in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS")},
                    **(env or {})}
        self.config = merge(self.default_config(), config or {})
        self.write_config()
        self.process = None
        self.clients = []

    def default_config(self):
        config = {
            "max_concurrent": 5,
            "repositories": {"allow_local": "all", "max_age": 0},
            "agents": {"default": "demo",
                       "demo": {"adapter": "claude", "program": str(self.libexec / "awo-demo-agent")}},
            "retry": {"max_attempts": 3, "backoff": 1, "max_backoff": 2},
            "timeouts": {"kill": 2},
            "git": {"timeout": 30},
            "retention": {"min_free_percent": 0},
            "log": {"level": "debug"},
        }
        if self.system:
            # users of all kinds connect; who may do so is the test of test_08_users
            config["socket"] = {"group": str(BROKER_UID), "mode": "0666"}
        return config

    # ---- the daemon -----------------------------------------------------------------------------------------------

    def write_config(self, text=None):
        path = self.config_dir / "config.yaml"
        path.write_text(text if text is not None else yaml(self.config) + "\n")
        path.chmod(0o644)
        return path

    def set_config(self, **changes):
        self.config = merge(self.config, changes)
        return self.write_config()

    def argv(self, *more):
        argv = [str(self.awod), "--config", str(self.config_dir / "config.yaml"), "--state-dir", str(self.state),
                "--run-dir", str(self.run_dir), "--log-dir", str(self.log_dir), "--config-dir", str(self.config_dir),
                "--libexec-dir", str(self.libexec), "--commands-dir", str(self.commands)]
        if self.system:
            argv += ["--broker-user", str(BROKER_UID), "--uid-base", str(self.uid_base)]
        else:
            argv.insert(1, "--user")
        return argv + list(more)

    def start(self, timeout=30):
        assert self.process is None
        # a write descriptor in append mode: restarts go on in the same file
        with open(self.base / "awod.stderr", "ab") as log:
            self.process = subprocess.Popen(self.argv(), env=self.env, cwd="/", stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, start_new_session=True)
        end = time.monotonic() + timeout
        while True:
            if self.process.poll() is not None:
                raise RuntimeError(f"awod ended with {self.process.returncode}:\n{self.daemon_log()[-4000:]}")
            try:
                with Client(str(self.socket)) as c:
                    c.call("system.info", timeout=5)
                return self
            except (OSError, Closed, TimeoutError):
                if time.monotonic() > end:
                    raise RuntimeError(f"awod does not answer:\n{self.daemon_log()[-4000:]}") from None
                time.sleep(0.05)

    def daemon_log(self):
        path = self.base / "awod.stderr"
        return path.read_text(errors="replace") if path.exists() else ""

    def stop(self, sig=signal.SIGTERM, timeout=20):
        """Ends awod (not its orders) and returns its exit status."""
        if self.process is None:
            return None
        broker = self.broker_process()
        if self.process.poll() is None:
            self.process.send_signal(sig)
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise RuntimeError(f"awod did not end within {timeout} s of signal {sig}:\n{self.daemon_log()[-4000:]}") \
                from None
        self.process = None
        if broker:
            left = processes.wait_gone([broker], 10)
            assert not left, f"the broker outlived its supervisor: {left}"
        for client in self.clients:
            client.close()
        self.clients = []
        return status

    def broker_process(self):
        if self.process is None or self.process.poll() is not None:
            return None
        for p in processes.descendants(self.process.pid):
            if p.argv and p.ppid == self.process.pid and os.path.basename(p.argv[0]).startswith("awod"):
                return p
        return None

    def workers(self):
        return processes.with_argument(str(self.state / "work-orders"), "awo-worker")

    def close(self):
        """Ends everything that belongs to the instance and removes its directories."""
        try:
            if self.process is not None and self.process.poll() is None:
                broker = self.broker_process()
                self.process.kill()
                self.process.wait()
                if broker:
                    broker.kill()
        finally:
            for _ in range(20):
                left = processes.with_argument(str(self.base))
                for p in left:
                    p.kill()
                if not left:
                    break
                processes.wait_gone(left, 2)
            if not os.environ.get("AWO_TEST_KEEP"):
                # a process that is just ending may add a file behind the first sweep
                for _ in range(10):
                    shutil.rmtree(self.base, ignore_errors=True)
                    if not self.base.exists():
                        break
                    time.sleep(0.1)
            self.uid_claim.close()

    @property
    def is_sanitized(self):
        return is_sanitized(self.awod)

    # ---- clients --------------------------------------------------------------------------------------------------

    def client(self, uid=None, groups=()):
        c = Client(str(self.socket), uid=uid, groups=groups)
        self.clients.append(c)
        return c

    def call(self, method, param=None, uid=None, timeout=60, **params):
        with Client(str(self.socket), uid=uid) as c:
            return c.call(method, param, timeout=timeout, **params)

    def awoctl(self, *args, uid=None, input=None, timeout=120, env=None, socket=True):
        argv = [str(self.programs / "awoctl"), *([] if not socket else ["--socket", str(self.socket)]),
                "--no-autostart", *map(str, args)]
        if uid is not None:
            argv = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", *argv]
        return Result(subprocess.run(argv, env={**self.env, "NO_COLOR": "1", **(env or {})}, cwd="/", text=True,
                                     errors="replace", input=input if input is not None else "",
                                     capture_output=True, timeout=timeout, check=False))

    # ---- orders ---------------------------------------------------------------------------------------------------

    def create(self, url, request="Add a greeting", uid=None, **fields):
        return self.call("order.create", repository_url=str(url), user_request=request, uid=uid,
                         **fields)["agent_work_order"]["agent_work_order_id"]

    def order(self, order_id, uid=None):
        return self.call("order.get", agent_work_order_id=order_id, uid=uid)["agent_work_order"]

    def wait(self, order_id, *status, timeout=60, condition=None, uid=None):
        """Until the order has one of these states (default: a terminal one) or the condition holds for it."""
        wanted = status or (() if condition else TERMINAL)
        end = time.monotonic() + timeout
        with Client(str(self.socket), uid=uid) as c:
            while True:
                order = c.call("order.get", agent_work_order_id=order_id)["agent_work_order"]
                if order["status"] in wanted or (condition and condition(order)):
                    return order
                if order["status"] in TERMINAL:
                    raise AssertionError(f"{order_id} ended as {order['status']} ({order['error_category']}: "
                                         f"{order['error_message']}) instead of {wanted}{self.tail(order_id)}")
                if time.monotonic() > end:
                    raise AssertionError(f"{order_id} is still {order['status']} at {order['current_step']} after "
                                         f"{timeout} s{self.tail(order_id)}")
                time.sleep(0.05)

    def completed(self, order_id, timeout=60, uid=None):
        order = self.wait(order_id, timeout=timeout, uid=uid)
        assert order["status"] == "completed", (f"{order['status']}: {order['error_category']}: "
                                                f"{order['error_message']}{self.tail(order_id)}")
        return order

    def failed(self, order_id, category=None, timeout=60, uid=None):
        order = self.wait(order_id, timeout=timeout, uid=uid)
        assert order["status"] == "failed", f"{order['status']}{self.tail(order_id)}"
        if category:
            assert order["error_category"] == category, f"{order['error_category']}: {order['error_message']}"
        return order

    def run(self, url, request="Add a greeting", timeout=60, **fields):
        return self.completed(self.create(url, request, **fields), timeout)

    def log(self, order_id, uid=None, **filters):
        """All matching log lines."""
        lines, seq = [], 0
        with Client(str(self.socket), uid=uid) as c:
            while True:
                page = c.call("order.logs", agent_work_order_id=order_id, limit=1000, after_seq=seq, **filters)
                lines += page["log_entries"]
                if not page["has_more"]:
                    return lines
                seq = page["log_entries"][-1]["seq"]

    def events(self, order_id, name=None):
        """Names of all events, or the lines with this name."""
        lines = self.log(order_id)
        return [line for line in lines if line["event"] == name] if name else [line["event"] for line in lines]

    def wait_event(self, order_id, name, timeout=30, **fields):
        end = time.monotonic() + timeout
        while True:
            for line in self.events(order_id, name):
                if all(line.get(k) == v for k, v in fields.items()):
                    return line
            assert time.monotonic() < end, f"no {name} {fields} within {timeout} s{self.tail(order_id)}"
            time.sleep(0.1)

    def raw_output(self, order_id, name):
        """A whole artifact as text."""
        text, offset = "", 0
        while True:
            part = self.call("order.artifact", agent_work_order_id=order_id, name=name, offset=offset)
            text += part["content"]
            if not part["has_more"]:
                return text
            offset = part["next_offset"]

    def agent_text(self, order_id, step):
        """The texts that the agent wrote in a step, from the raw stream that is kept as an artifact."""
        names = [a["name"] for a in self.call("order.artifacts", agent_work_order_id=order_id)["artifacts"]]
        name = [n for n in names if n.startswith("outputs/") and n.endswith(f"-{step}.jsonl")][-1]
        texts = []
        for line in self.raw_output(order_id, name).splitlines():
            try:
                message = json.loads(line)
            except ValueError:
                continue
            if isinstance(message, dict) and message.get("type") == "assistant":
                content = message.get("message", {}).get("content", [])
                texts += [block["text"] for block in content if block.get("type") == "text"]
        return texts

    def credential(self, name, kind, value, host=None, uid=None, **more):
        return self.call("credential.set", name=name, kind=kind, value=value, uid=uid,
                         **({"host": host} if host else {}), **more)

    def daemon_words(self):
        """The end of awod's own log, without the tests' own calls."""
        return "\n".join(line for line in self.daemon_log().splitlines() if " rpc_called " not in line)[-2500:]

    def tail(self, order_id, n=25):
        try:
            lines = [json.dumps({k: v for k, v in line.items() if k not in
                                 ("agent_work_order_id", "work_order_id", "repository_url", "workflow_type",
                                  "sandbox_type")})[:400] for line in self.log(order_id)[-n:]]
        except Exception as e:  # only words for a failure that is being reported already
            lines = [f"(log not readable: {e})"]
        return "\nlast lines of its log:\n  " + "\n  ".join(lines) + "\nawod:\n" + self.daemon_words()
