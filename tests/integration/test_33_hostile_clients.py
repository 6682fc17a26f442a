"""Tens of thousands of malformed and random messages from many connections: each harms nobody but its own connection.

AWO_FUZZ_SEED and AWO_FUZZ_MESSAGES repeat a run, or make a longer one.
"""
import collections
import json
import os
import random
import re
import selectors
import socket
import struct
import sys
import threading
import time
import traceback

import msgpack
import pytest

from awo_testlib import cancels, processes
from awo_testlib.instance import frugal
from awo_testlib.rpc import Client
from awo_testlib.waiting import until

MESSAGES = int(os.environ.get("AWO_FUZZ_MESSAGES", "50000"))
SEED = int(os.environ.get("AWO_FUZZ_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
STRANGER = 65531  # the hostile clients' uid where the test may choose
OPEN_AT_ONCE = 200
PATIENCE = 60  # seconds that one connection may take from its first byte to its end

ORDER = "wo-0123abcd"
# Calls that are right in form, and harmless whatever becomes of them: what they name is not there, or is refused.
CALLS = [
    ("order.get", {"agent_work_order_id": ORDER}),
    ("order.list", {"limit": 10, "offset": 0, "status": "running", "q": "text", "since": "2026-01-31T08:00:00Z", "all": False}),
    ("order.logs", {"agent_work_order_id": ORDER, "limit": 5, "after_seq": 3, "level": "info", "tail": True}),
    ("order.watch", {"agent_work_order_id": ORDER}),
    ("order.steps", {"agent_work_order_id": ORDER}),
    ("order.diff", {"agent_work_order_id": ORDER}),
    ("order.progress", {"agent_work_order_id": ORDER}),
    ("order.artifact", {"agent_work_order_id": ORDER, "name": "prompts/01-planning.txt"}),
    ("order.cancel", {"agent_work_order_id": ORDER, "reason": "no more"}),
    ("order.pause", {"agent_work_order_id": ORDER}),
    ("order.prompt", {"agent_work_order_id": ORDER, "prompt_text": "go on"}),
    ("order.delete", {"agent_work_order_id": ORDER}),
    # twice wrong, so that no accident makes an order of it
    ("order.create", {"repository_url": "ftp://h.example/o/r", "user_request": "x", "selected_commands": ["planning", "no-such"],
                      "agent": "nobody", "priority": 5, "sandbox_type": "git_worktree", "timeout_seconds": 60}),
    ("repository.get", {"id": "repo-1"}),
    ("repository.delete", {"id": "repo-1"}),
    ("settings.get", {"key": "no.such.key"}),
    ("credential.delete", {"name": "none"}),
    ("token.revoke", {"id": "none"}),
    ("workflow.get", {"name": "plan"}),
    ("workflow.validate", {"selected_commands": ["planning", "execute"]}),
    ("stream.stop", {"subscription": 4711}),
    ("queue.get", {}), ("system.health", {}), ("system.info", {}), ("system.metrics", {}), ("workflow.list", {}),
    ("credential.list", {}), ("token.list", {}), ("repository.list", {}),
]
WITH_FIELDS = [(m, p) for m, p in CALLS if p]
REMEDY = re.compile(r"must |is missing|is required|did you mean|there is no |asks its clients nothing")


def request(msgid, method, param):
    return msgpack.packb([0, msgid, method, [param]])


# ---- messages that are well-formed, and what their answer must say: (code or None for any, field or None)

def wrong_kind(rng, msgid):
    method, param = rng.choice(WITH_FIELDS)
    key = rng.choice(list(param))
    right = param[key]
    values = ["text", 7, -1.5, True, [1], ["a", 2], {"k": 1}, b"\xff\xfe"]
    wrong = [v for v in values if not isinstance(v, type(right)) or isinstance(v, bool) is not isinstance(right, bool)]
    if isinstance(right, list):
        wrong = [v for v in values if v != ["a", 2]] + [["a", 2], [[]]]
        wrong.remove([1])
        wrong.append([1])
    if isinstance(right, str):
        wrong.append("\0" * 3)
    return request(msgid, method, {**param, key: rng.choice(wrong)}), ("invalid_argument", key)


def out_of_range(rng, msgid):
    method, param = rng.choice([c for c in WITH_FIELDS if any(isinstance(v, (int, str)) for v in c[1].values())])
    key = rng.choice([k for k, v in param.items() if isinstance(v, (int, str)) and not isinstance(v, bool) and k != "reason"])
    value = rng.choice([-1 << 63, -(1 << 40)]) if isinstance(param[key], int) else ""
    return request(msgid, method, {**param, key: value}), ("invalid_argument", key)


def lacking(rng, msgid):
    method, key = rng.choice([("order.get", "agent_work_order_id"), ("order.prompt", "prompt_text"),
                              ("order.create", "repository_url"), ("workflow.get", "name"), ("stream.stop", "subscription")])
    param = dict(dict(CALLS)[method])
    del param[key]
    return request(msgid, method, param), ("invalid_argument", key)


def no_method(rng, msgid):
    method = rng.choice(CALLS)[0]
    at = rng.randrange(len(method))
    name = rng.choice([method[:at] + rng.choice("xyz_") + method[at + 1:], method + "s", method[:at], method.upper(), "",
                       "\0" + method, "x" * 5000, "../" + method, method + "\n"])
    if name in ("order.artifacts", *dict(CALLS)):
        name += "x"
    return request(msgid, name, {}), ("unimplemented", None)


def nothing_there(rng, msgid):
    return request(msgid, *rng.choice([c for c in CALLS if "agent_work_order_id" in c[1]])), ("not_found", "agent_work_order_id")


def right(rng, msgid):
    return request(msgid, *rng.choice(CALLS)), (None, None)


def strange_keys(rng, msgid):
    method, param = rng.choice([c for c in CALLS if not c[1]])
    return request(msgid, method, {"x" * rng.randrange(1, 200): rng.choice([1, None, [], {"a": [1] * 20}])}), (None, None)


def notification(rng, _):
    return msgpack.packb([2, *rng.choice([[m, [p]] for m, p in CALLS])]), None


GOOD_FORM = [wrong_kind] * 6 + [out_of_range] * 2 + [lacking] * 2 + [no_method] * 3 + [nothing_there] * 2 + [right] * 2 + \
    [strange_keys, notification]


# ---- messages after which nothing is certain but the connection's end

def truncated(rng):
    whole = request(1, *rng.choice(CALLS))
    return whole[:rng.randrange(1, len(whole))]


def huge_length(rng):
    head = rng.choice([b"\xdd", b"\xdf", b"\xdb", b"\xc6", b"\xc9"]) + rng.randrange(1 << 23, 1 << 32).to_bytes(4, "big")
    return rng.choice([b"", b"\x94\x00\x01", b"\x94\x00\x01\xaaorder.list\x91", b"\x94\x00\x01\xaaorder.list\x91\x81\xa1q"]) + head


def deep(rng):
    return b"\x94\x00\x01\xaaorder.list\x91" + rng.choice([b"\x91", b"\x81\xa1k", b"\xdc\x00\x01", b"\x92\x01"]) * rng.randrange(40, 400)


def odd_frame(rng):
    return msgpack.packb(rng.choice([
        {"a": 1}, [], [0], [0, 1, "order.list", [{}], 5], [9, 1, "order.list", [{}]], [0, -1, "order.list", [{}]],
        [0, 1 << 40, "order.list", [{}]], [0, "1", "order.list", [{}]], [0, 1, 7, [{}]], [0, 1, "order.list", "x"],
        [0, 1, "order.list", [1]], [0, 1, "order.list", [{}, {}]], [1, 5, None, {}], [1, 5, {"code": "x"}, None], [2, 5, [{}]],
        [0, 1, None, [{}]], [0.0, 1, "order.list", [{}]], [True, 1, "order.list", [{}]], "order.list", 0, None,
        [0, 1, "order.list", [msgpack.ExtType(5, b"x" * 100)]], [0, 1, "order.list", [{1: 2}]], [0, 1, "order.list", [{b"\xff": 2}]]]))


def noise(rng):
    return rng.randbytes(rng.randrange(1, 400))


def other_protocols(rng):
    return rng.choice([b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b'{"jsonrpc":"2.0","id":1,"method":"order.list"}\n',
                       b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"SSH-2.0-x\r\n", b"\0" * 300, b"\xff" * 300])


def changed(rng):
    """Some bytes of a call put right are changed, left out, doubled."""
    data = bytearray(request(rng.randrange(1 << 32), *rng.choice(CALLS)))
    for _ in range(rng.randrange(1, 5)):
        at = rng.randrange(len(data))
        how = rng.randrange(4)
        if how == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif how == 1:
            data[at] = rng.choice(b"\x00\x80\x90\xc0\xc1\xd9\xdb\xdc\xdd\xdf\xff")
        elif how == 2 and len(data) > 1:
            del data[at:at + rng.randrange(1, 4)]
            data = data or bytearray(b"\xc1")
        else:
            data[at:at] = data[at:at + rng.randrange(1, 8)]
    return bytes(data)


BAD_FORM = [truncated, huge_length, deep, odd_frame, noise, other_protocols] + [changed] * 4


# ---- the hostile side: a process of its own, and another user where that can be had

class Attack:
    """One connection from its first byte to its end."""

    def __init__(self, path, rng):
        self.born = time.monotonic()
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(path)
        self.sock.setblocking(False)
        self.rng = rng
        self.expected = collections.defaultdict(list)  # id: what its answers must be
        self.wild = False
        self.how = rng.choice(["burst"] * 6 + ["pieces"] * 3 + ["single bytes", "reset", "deaf"])
        self.out = bytearray()
        self.messages = 0
        self.unpacker = msgpack.Unpacker(raw=False, unicode_errors="surrogateescape", strict_map_key=False, max_buffer_size=64 << 20)
        self.answers = 0
        for _ in range(rng.randrange(1, 3) if self.how == "single bytes" else rng.randrange(5, 60)):
            self.well_formed()
        if rng.random() < 0.1:
            # many at once, and nobody reads until all are sent
            make = rng.choice([right, nothing_there, wrong_kind])
            for _ in range(150):
                self.add(make)
        if rng.random() < 0.85:
            self.wild = True
            self.out += rng.choice(BAD_FORM)(rng)
            self.messages += 1

    def add(self, make, msgid=None):
        msgid = self.rng.randrange(1 << 32) if msgid is None else msgid
        data, want = make(self.rng, msgid)
        self.out += data
        self.messages += 1
        if want:
            self.expected[msgid].append(want)

    def well_formed(self):
        # an id that is used already is the peer's own affair
        again = self.rng.choice(list(self.expected)) if self.expected and self.rng.random() < 0.05 else None
        self.add(self.rng.choice(GOOD_FORM), again)

    def wants(self):
        if not self.out:
            return selectors.EVENT_READ
        return selectors.EVENT_WRITE if self.how == "deaf" else selectors.EVENT_READ | selectors.EVENT_WRITE

    def write(self):
        """False when the connection is over."""
        n = {"single bytes": 1, "pieces": self.rng.randrange(1, 3000)}.get(self.how, len(self.out))
        try:
            del self.out[:self.sock.send(self.out[:n])]
            if not self.out and self.how == "reset":
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return False
            if not self.out:
                self.sock.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            pass
        except (BrokenPipeError, ConnectionResetError, OSError):
            assert self.wild, f"closed although nothing was malformed ({self.how})"
            self.out.clear()
        return True

    def read(self):
        """False when the peer has said everything."""
        try:
            data = self.sock.recv(1 << 18)
        except BlockingIOError:
            return True
        except ConnectionResetError:
            # it was closed with bytes of ours unread
            assert self.wild, "reset although nothing was malformed"
            return False
        if not data:
            self.finish()
            return False
        self.unpacker.feed(data)
        for message in self.unpacker:
            self.hear(message)
        return True

    def hear(self, message):
        assert isinstance(message, list) and message[0] in (1, 2), message
        if message[0] == 2:
            return
        kind, msgid, error, _ = message
        self.answers += 1
        wants = self.expected.get(msgid)
        if not wants:
            assert self.wild, f"an answer to nothing: {message}"
            return
        if error is not None:
            assert error["code"] and error["message"], message
            assert error["code"] != "internal", message
        # several of one id are answered in any order
        for want in wants:
            code, field = want
            if code is None or (error is not None and error["code"] == code and
                                (field is None or error.get("field", "").split(".")[0] == field)):
                wants.remove(want)
                break
        else:
            raise AssertionError(f"expected one of {wants}, got {message}")
        if code == "invalid_argument":
            assert field in error["message"] and REMEDY.search(error["message"]), message
        elif code:
            assert REMEDY.search(error["message"]), message

    def finish(self):
        left = {i: w for i, w in self.expected.items() if w}
        assert not left, f"{len(left)} requests were not answered: {left}"


def attack(path, seed, messages):
    rng = random.Random(seed)
    selector = selectors.DefaultSelector()
    report = collections.Counter()
    live = 0
    while report["messages"] < messages or live:
        while report["messages"] < messages and live < OPEN_AT_ONCE:
            a = Attack(path, rng)
            report["messages"] += a.messages
            report["connections"] += 1
            report["wild"] += a.wild
            selector.register(a.sock, a.wants(), a)
            live += 1
        ready = selector.select(5)
        now = time.monotonic()
        for key, what in ready:
            a = key.data
            go_on = a.write() if what & selectors.EVENT_WRITE else True
            if go_on and what & selectors.EVENT_READ:
                go_on = a.read()
            if go_on:
                if a.wants() != key.events:
                    selector.modify(a.sock, a.wants(), a)
                continue
            selector.unregister(a.sock)
            a.sock.close()
            report["answers"] += a.answers
            report[a.how] += 1
            live -= 1
        for key in list(selector.get_map().values()) if not ready else []:
            assert now - key.data.born < PATIENCE, f"a connection ({key.data.how}, wild: {key.data.wild}) does not end"
    return report


def attack_as_stranger(path, seed, messages):
    """Runs attack() in a child of another uid, and returns its report."""
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(r)
            if os.geteuid() == 0:
                os.setgroups([])
                os.setresgid(STRANGER, STRANGER, STRANGER)
                os.setresuid(STRANGER, STRANGER, STRANGER)
            os.write(w, json.dumps(attack(path, seed, messages)).encode())
            status = 0
        except BaseException:  # the parent shows it
            os.write(w, traceback.format_exc()[-6000:].encode())
        finally:
            sys.stdout.flush()
            os._exit(status)
    os.close(w)
    with open(r, "rb") as f:
        text = f.read().decode()
    _, status = os.waitpid(pid, 0)
    assert status == 0, f"seed {seed}:\n{text}"
    return json.loads(text)


class GoodClient(threading.Thread):
    """Asks all the time, on one connection, and notes the longest wait."""

    def __init__(self, instance):
        super().__init__(daemon=True)
        self.client = Client(str(instance.socket))
        self.stop, self.failure = threading.Event(), None
        self.calls, self.longest = 0, 0.0

    def run(self):
        try:
            while not self.stop.wait(0.01):
                began = time.monotonic()
                assert self.client.call("system.info", timeout=20)["version"]
                assert self.client.call("order.list", timeout=20)["total_count"] == 0
                self.longest = max(self.longest, time.monotonic() - began)
                self.calls += 2
        except BaseException as e:  # told by the test
            self.failure = e

    def end(self):
        self.stop.set()
        self.join(30)
        self.client.close()
        assert self.failure is None, f"the good client: {self.failure!r}"


def at_rest(instance):
    """Until nothing but the caller's own connection is there; the counters."""
    def rests():
        m = instance.call("system.metrics")["metrics"]
        return m if m["connections"] == 1 and m["requests_in_flight"] <= 1 and m["streams"] == 0 else None
    return until(rests, lambda: instance.call("system.metrics"), 20)


@pytest.fixture
def quiet(make_instance):
    """An instance with its ordinary log level, and a sanitizer that gives memory back."""
    return make_instance({"log": {"level": "info"}}, env=frugal())


def test_fifty_thousand_messages(quiet):
    print(f"AWO_FUZZ_SEED={SEED} AWO_FUZZ_MESSAGES={MESSAGES}")
    path, broker = str(quiet.socket), quiet.broker_process()
    pid = quiet.call("system.info")["pid"]
    # what is allocated once, and what connections leave in the allocator
    attack_as_stranger(path, SEED + 1, 10_000)
    before = at_rest(quiet)
    memory, fds, log = processes.resident(broker.pid), cancels.descriptors(broker.pid), len(quiet.daemon_log())
    good = GoodClient(quiet)
    good.start()
    began = time.monotonic()
    report = attack_as_stranger(path, SEED, MESSAGES)
    seconds = time.monotonic() - began
    good.end()
    after = at_rest(quiet)
    grown, log = processes.resident(broker.pid) - memory, len(quiet.daemon_log()) - log
    print(f"{report} in {seconds:.1f} s; good client: {good.calls} calls, longest {good.longest * 1000:.0f} ms; memory "
          f"{memory >> 10} KiB {grown >> 10:+} KiB; log {log} bytes; {after['messages_malformed_total']} refused")
    assert quiet.call("system.info")["pid"] == pid and quiet.process.poll() is None
    assert report["messages"] >= MESSAGES and report["connections"] >= 300
    assert report["answers"] > report["messages"] // 2
    assert after["messages_malformed_total"] - before["messages_malformed_total"] > report["wild"] // 4
    assert good.calls > 20 and good.longest < 10
    # a question to an agent's program may be under way
    until(lambda: cancels.descriptors(broker.pid) <= fds, lambda: f"{cancels.descriptors(broker.pid)} descriptors, not {fds}", 20)
    assert grown < 6 << 20, f"{grown} bytes"
    assert log < 10_000 + 1000 * seconds, quiet.daemon_log()[-2000:]
    assert quiet.call("order.list", all=True)["total_count"] == 0
