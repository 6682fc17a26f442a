"""
Takes awod and awo-gateway under valgrind through a real run: valgrind_programs.py SOURCE BUILD LOGS

Orders with the demonstration agent over the socket and over HTTP, streams, refusals, nonsense, a cancel, restarts with orders
running, a killed broker. What valgrind says is left in the directory LOGS, one file a program that started. Workers run as they are: their
seccomp filter does not know valgrind's system calls, and their root has no room for it; nor do the helpers that they start.
"""
import os
import shutil
import signal
import socket
import struct
import sys
import tempfile
import threading
import time
from pathlib import Path

SOURCE, BUILD, LOGS = (Path(p).resolve() for p in sys.argv[1:4])
os.environ["AWO_BUILD_DIR"] = str(BUILD)
sys.path.insert(0, str(SOURCE / "tests" / "integration"))

from awo_testlib import processes  # noqa: E402
from awo_testlib.gateway import GATEWAY_UID, Gateway  # noqa: E402
from awo_testlib.instance import Instance  # noqa: E402
from awo_testlib.remotes import Repository  # noqa: E402
from awo_testlib.rpc import Client, Closed, RpcError  # noqa: E402

PATIENCE = 240


class Pidfds(threading.Thread):
    """Opens pidfds for programs under valgrind (tests/helpers/valgrind.c says why)."""

    def __init__(self):
        super().__init__(daemon=True)
        self.name = f"awo-valgrind-{os.getpid()}"
        self.server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.server.bind("\0" + self.name)
        self.server.listen(64)

    def run(self):
        while True:
            client, _ = self.server.accept()
            with client:
                pid = struct.unpack("i", client.recv(4))[0]
                try:
                    fd = os.pidfd_open(pid)
                except OSError as e:
                    client.send(struct.pack("i", e.errno))
                    continue
                socket.send_fds(client, [struct.pack("i", 0)], [fd])
                os.close(fd)


class Reports(threading.Thread):
    """Takes what valgrind has to say over TCP: its programs have several users, who could not write each other's files."""

    def __init__(self):
        super().__init__(daemon=True)
        self.server = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.server.getsockname()[1]
        self.readers = []

    def run(self):
        while True:
            client, _ = self.server.accept()
            reader = threading.Thread(target=self.read, args=(client, len(self.readers)), daemon=True)
            self.readers.append(reader)
            reader.start()

    @staticmethod
    def read(client, n):
        with client, open(LOGS / f"programs.{n}", "ab", buffering=0) as log:
            while part := client.recv(65536):
                log.write(part)


def programs(place, reports):
    """A directory where the two daemons start under valgrind, and everything else as it is."""
    front, real = place / "bin", place / "real"
    shutil.copytree(BUILD / "bin", front, symlinks=True)
    real.mkdir()
    for name in ("awod", "awo-gateway"):
        path = front / name
        path.rename(real / name)
        path.write_text(f"""#!/bin/sh
exec valgrind -q --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite --num-callers=20 --vgdb=no \\
	--trace-children=yes '--trace-children-skip=/usr/*,/bin/*,*/awo-worker' \\
	--suppressions='{SOURCE}/tests/helpers/valgrind.supp' --log-socket={reports.address} '{real}/{name}' "$@"
""")
        path.chmod(0o755)
    return front


def refused(call, *args, **params):
    try:
        call(*args, **params)
    except RpcError:
        return
    raise AssertionError(f"{args} {params} was not refused")


def over_http(instance, gateway, repo):
    made = gateway.post("/api/v1/", {"repository_url": str(repo.path), "user_request": "Add a greeting"})
    assert made.status == 201, made
    order = made.json["agent_work_order"]["agent_work_order_id"]
    lines = gateway.stream(f"/api/v1/{order}/logs/stream", timeout=PATIENCE).lines()
    assert lines[-1]["event"] == "agent_work_order_completed" and lines == instance.log(order)
    again = gateway.stream(f"/api/v1/{order}/logs/stream?after_seq={lines[3]['seq']}", timeout=PATIENCE).lines()
    assert again == lines[4:]
    for path, status in (("/health", 200), ("/api/v1/", 200), (f"/api/v1/{order}", 200), (f"/api/v1/{order}/steps", 200),
                         (f"/api/v1/{order}/git-progress", 200), (f"/api/v1/{order}/diff", 200), ("/metrics", 200),
                         (f"/api/v1/{order}/logs?limit=5", 200), ("/openapi.json", 200), ("/api/v1/wo-00000000", 404),
                         ("/nowhere", 404), ("/api/v1/?limit=x", 422)):
        answer = gateway.get(path)
        assert answer.status == status, (path, answer)
    for body, status in (("{", 400), ({}, 422), ({"repository_url": 1}, 422)):
        answer = gateway.request("POST", "/api/v1/", body, {"Content-Type": "application/json"})
        assert answer.status in (status, 422), (body, answer)
    for data in (b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\n\r\n", b"\0\1\2\r\n\r\n", b"GET / HTTP/1.1\r\nHost: [\r\n\r\n",
                 b"POST /api/v1/ HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{"):
        gateway.raw(data, timeout=3, shut=True)
    # readers that go away in the middle
    for _ in range(3):
        gateway.stream(f"/api/v1/{order}/logs/stream").close()
    return order


def over_the_socket(instance, repo, done):
    listed = instance.call("order.list", all=True, limit=10)["agent_work_orders"]
    assert done in [o["agent_work_order_id"] for o in listed]
    for method in ("order.steps", "order.artifacts", "order.diff", "order.progress"):
        instance.call(method, agent_work_order_id=done)
    for method in ("system.health", "system.info", "system.metrics", "settings.get", "queue.get", "workflow.list", "repository.list", "credential.list"):
        instance.call(method)
    refused(instance.call, "order.get", agent_work_order_id="wo-00000000")
    refused(instance.call, "order.create", repository_url=str(repo.path))
    refused(instance.call, "no.such.method")
    for data in (b"\xc1", b"\xdd\xff\xff\xff\xff", b"\x94\x00\x01\xa1x", os.urandom(300)):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(instance.socket))
            s.sendall(data)
            s.settimeout(2)
            try:
                s.recv(4096)
            except (TimeoutError, ConnectionError):
                pass
    failed = instance.create(repo.path.parent / "nothing.git")
    instance.failed(failed, timeout=PATIENCE)
    slow = instance.create(repo.path, "Wait\ndemo@planning: sleep 600")
    instance.wait(slow, timeout=PATIENCE, condition=lambda o: o["current_step"] == "planning")
    instance.call("order.cancel", agent_work_order_id=slow)
    instance.wait(slow, "cancelled", timeout=PATIENCE)


def restarts(instance, gateway, repo):
    ids = [instance.create(repo.path, f"Order {i}\ndemo@planning: sleep 20") for i in range(2)]
    for order in ids:
        instance.wait(order, timeout=PATIENCE, condition=lambda o: o["current_step"] == "planning")
    stream = gateway.stream(f"/api/v1/{ids[0]}/logs/stream", timeout=PATIENCE)
    assert instance.stop(timeout=PATIENCE) == 0
    answer = gateway.get("/api/v1/")
    assert answer.status == 503, answer
    stream.close()
    instance.start(timeout=PATIENCE)
    # a broker that dies: its supervisor starts the next
    broker = [p for p in processes.descendants(instance.process.pid) if p.ppid == instance.process.pid and
              any("awod" in a for a in p.argv)][0]
    broker.kill()
    end = time.monotonic() + PATIENCE
    while True:
        try:
            with Client(str(instance.socket)) as c:
                c.call("system.info", timeout=20)
            break
        except (OSError, Closed, TimeoutError):
            assert time.monotonic() < end
            time.sleep(0.2)
    for order in ids:
        instance.completed(order, timeout=PATIENCE)
    end = time.monotonic() + PATIENCE
    while gateway.get("/api/v1/").status != 200:
        assert time.monotonic() < end
        time.sleep(0.2)


def main():
    os.umask(0o022)
    place = Path(tempfile.mkdtemp(prefix="awo-valgrind-"))
    place.chmod(0o755)
    pidfds, reports = Pidfds(), Reports()
    pidfds.start()
    reports.start()
    config = {"gateway": {"auth": "none"}, "log": {"level": "debug"}}
    if os.geteuid() == 0:
        config["socket"] = {"gateway_user": str(GATEWAY_UID)}
    instance = Instance(config, env={"AWO_VALGRIND_PIDFD": pidfds.name}, programs=programs(place, reports))
    gateway = Gateway(instance)
    try:
        instance.start(timeout=PATIENCE)
        gateway.start(timeout=PATIENCE)
        repo = Repository(place / "sample.git")
        done = over_http(instance, gateway, repo)
        over_the_socket(instance, repo, done)
        restarts(instance, gateway, repo)
        assert gateway.stop(timeout=PATIENCE) == 0
        assert instance.stop(timeout=PATIENCE) == 0
    except BaseException:
        print(instance.daemon_log()[-6000:], gateway.log()[-3000:], sep="\n")
        raise
    finally:
        try:
            gateway.stop(signal.SIGKILL)
        finally:
            instance.close()
            shutil.rmtree(place, ignore_errors=True)
    # two supervisors, three brokers and a gateway at least, or it was not valgrind that ran them
    assert len(reports.readers) >= 6, reports.readers
    for reader in reports.readers:
        reader.join(10)
        assert not reader.is_alive(), "a program under valgrind is left"


main()
