"""Whatever bytes a client sends, it harms nobody but its own connection."""
import os
import random
import socket
import struct
import time

import msgpack
import pytest

from awo_testlib.rpc import Client, Closed, RpcError, connect


@pytest.fixture
def served(make_instance):
    """An instance that must still answer, as the same processes, at the end of the test."""
    instance = make_instance()
    before = instance.call("system.info")["pid"]
    yield instance
    assert instance.call("system.info", timeout=10)["pid"] == before, instance.daemon_log()[-3000:]
    assert instance.process.poll() is None


def throw(instance, data, timeout=5):
    """Sends bytes and returns what comes back until the peer closes or stays silent."""
    out = b""
    with connect(str(instance.socket)) as s:
        s.settimeout(timeout)
        try:
            s.sendall(data)
            while True:
                part = s.recv(65536)
                if not part:
                    return out, True
                out += part
        except TimeoutError:
            return out, False
        except (ConnectionResetError, BrokenPipeError):
            return out, True


GARBAGE = {
    "array-bomb": b"\xdd\xff\xff\xff\xff", "map-bomb": b"\xdf\xff\xff\xff\xff",
    "nested-bombs": b"\x94\x00\x01\xa1x\x91" + b"\xdd\x0f\xff\xff\xff" * 20,
    "deep": b"\x94\x00\x01\xa1x" + b"\x91" * 100000, "deep-maps": b"\x94\x00\x01\xa1x\x91" + b"\x81\xa1k" * 5000,
    "string-bomb": b"\x94\x00\x01\xdb\xff\xff\xff\xff", "bin-bomb": b"\x94\x00\x01\xc6\xff\xff\xff\xff",
    "reserved-byte": b"\xc1" * 10, "text": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "json": b'{"jsonrpc":"2.0"}\n',
    "not-an-array": msgpack.packb({"a": 1}), "empty-array": b"\x90", "five": msgpack.packb([0, 1, "order.list", [{}], 5]),
    "kind": msgpack.packb([9, 1, "order.list", [{}]]), "negative-id": msgpack.packb([0, -1, "order.list", [{}]]),
    "big-id": msgpack.packb([0, 1 << 40, "order.list", [{}]]), "id-is-text": msgpack.packb([0, "1", "order.list", [{}]]),
    "method-is-number": msgpack.packb([0, 1, 7, [{}]]), "params-is-text": msgpack.packb([0, 1, "order.list", "x"]),
    "ext": msgpack.packb([0, 1, "order.list", [msgpack.ExtType(5, b"x" * 100)]]),
    "zeros": b"\0" * 100000, "ones": b"\xff" * 100000,
}


@pytest.mark.parametrize("name", sorted(GARBAGE))
def test_garbage_closes_that_connection_only(served, name):
    with served.client() as other:
        out, closed = throw(served, GARBAGE[name])
        assert closed or b"invalid_argument" in out
        assert other.call("system.info", timeout=10)


def test_message_over_the_limit(served):
    out, closed = throw(served, msgpack.packb([0, 1, "order.list", [{"q": "x" * (5 << 20)}]]))
    assert closed or b"invalid_argument" in out


def test_nesting_of_a_parameter(served):
    value = 1
    for _ in range(200):
        value = [value]
    out, closed = throw(served, msgpack.packb([0, 1, "settings.set", [{"key": "max_concurrent", "value": value}]]))
    assert closed or b"invalid_argument" in out


def test_random_bytes(served):
    rng = random.Random(42)
    for _ in range(150):
        throw(served, rng.randbytes(rng.randrange(1, 300)), timeout=0.02)


def test_mutated_requests(served):
    rng = random.Random(7)
    whole = msgpack.packb([0, 1, "order.create", [{"repository_url": "https://h.example/o/r", "user_request": "x" * 40,
                                                  "selected_commands": ["planning"], "priority": 5}]])
    for _ in range(200):
        data = bytearray(whole)
        for _ in range(rng.randrange(1, 6)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        throw(served, bytes(data), timeout=0.02)


@pytest.mark.parametrize("method", ["", "x", "order", "order.", "ORDER.LIST", "order.list\0", "order.no_such", "x" * 100000,
                                    "../order.list", "order.list "])
def test_unknown_methods(served, method):
    with served.client() as c:
        with pytest.raises((RpcError, Closed)) as e:
            c.call(method, timeout=10)
        if isinstance(e.value, RpcError):
            assert e.value.code in ("not_found", "unimplemented", "invalid_argument")


@pytest.mark.parametrize("param, field", [
    ({"agent_work_order_id": 5}, "agent_work_order_id"), ({}, "agent_work_order_id"),
    ({"agent_work_order_id": None}, "agent_work_order_id"), ({"agent_work_order_id": ""}, "agent_work_order_id"),
    ({"agent_work_order_id": "x" * 65}, "agent_work_order_id"),
    ({"agent_work_order_id": b"\xff\xfe"}, "agent_work_order_id"),
    ({"agent_work_order_id": {"a": 1}}, "agent_work_order_id")])
def test_wrong_values_name_their_field(served, param, field):
    with pytest.raises(RpcError) as e:
        served.call("order.get", param)
    assert e.value.code == "invalid_argument" and field in (e.value.field or e.value.message)


@pytest.mark.parametrize("order_id", ["wo-00000000", "wo-zzzzzzzz", "../../etc", "wo-%s%n", "wo-' OR 1=1", "-", "ünïcode"])
def test_ids_that_are_none(served, order_id):
    with pytest.raises(RpcError) as e:
        served.call("order.get", agent_work_order_id=order_id)
    assert e.value.code in ("not_found", "invalid_argument")


@pytest.mark.parametrize("name", ["../../../etc/passwd", "/etc/passwd", "prompts/../../x", "prompts/..", "outputs", "", ".",
                                  "prompts/\0", "prompts/01-create-branch.txt/x"])
def test_artifact_names_stay_inside(served, repo, name):
    order_id = served.run(repo.path, selected_commands=["create-branch"])["agent_work_order_id"]
    with pytest.raises(RpcError) as e:
        served.call("order.artifact", agent_work_order_id=order_id, name=name)
    assert e.value.code in ("not_found", "invalid_argument")


def test_unknown_keys_are_ignored(served):
    assert served.call("order.list", nobody_knows_this=[1, 2, {"x": None}])["total_count"] == 0


def test_bytes_one_by_one(served):
    with connect(str(served.socket)) as s:
        for byte in msgpack.packb([0, 77, "system.info", [{}]]):
            s.sendall(bytes([byte]))
            time.sleep(0.005)
        s.settimeout(10)
        assert msgpack.unpackb(s.recv(1 << 20))[1] == 77


def test_many_requests_in_flight_are_all_answered(served):
    with served.client() as c:
        ids = [c.send("system.info") for _ in range(1000)]
        for i in ids:
            assert c.receive(i)["version"]


def test_notifications_and_answers_from_clients(served):
    with served.client() as c:
        c.sock.sendall(msgpack.packb([2, "order.list", [{}]]))
        c.sock.sendall(msgpack.packb([1, 5, None, {}]))
        try:
            assert c.call("system.info", timeout=10)["version"]
        except (Closed, BrokenPipeError, ConnectionResetError):
            pass


def test_many_connections(served):
    socks = [connect(str(served.socket)) for _ in range(300)]
    try:
        with served.client() as c:
            assert c.call("system.info", timeout=20)["version"]
    except (Closed, ConnectionResetError):
        pass  # refusing more is fine, as long as it recovers
    finally:
        for s in socks:
            s.close()


def test_connections_that_say_nothing_or_half(served):
    socks = []
    for i in range(50):
        s = connect(str(served.socket))
        s.sendall(b"\x94\x00\x01\xaaorder" if i % 2 else b"")
        socks.append(s)
    assert served.call("system.info", timeout=10)["version"]
    for s in socks:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close()


def test_slow_reader_is_cut_off_and_can_resume(served, repo):
    order_id = served.create(repo.path, "x\ndemo: flood 30000000", selected_commands=["create-branch"])
    slow = Client(str(served.socket))
    slow.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.call("order.watch", agent_work_order_id=order_id)
    served.completed(order_id, 120)
    assert served.call("system.info", timeout=10)["version"]
    last, ending = 0, None
    try:
        while ending is None:
            method, param = slow.next(20)
            if method == "log_line":
                last = param["seq"]
            else:
                ending = (method, param["reason"])
    except Closed:
        ending = ("closed", "")
    slow.close()
    with served.client() as c:
        c.call("order.watch", agent_work_order_id=order_id, after_seq=last)
        while True:
            method, param = c.next(30)
            if method != "log_line":
                break
            assert param["seq"] > last
            last = param["seq"]
    assert last == served.log(order_id)[-1]["seq"]


def test_descriptors_sent_along_are_dropped(served):
    r, w = os.pipe()
    with connect(str(served.socket)) as s:
        socket.send_fds(s, [msgpack.packb([0, 1, "system.info", [{}]])], [w])
        os.close(w)
        s.settimeout(10)
        s.recv(1 << 20)
        os.set_blocking(r, False)
        # end of file: the daemon does not keep our write end
        time.sleep(0.2)
        assert os.read(r, 1) == b""
    os.close(r)
