"""Clients that mean harm: the gateway keeps serving others within its limits."""
import json
import os
import random
import re
import socket
import threading
import time

import pytest
from awo_testlib.http_fuzz import Requests, answers
from awo_testlib.instance import frugal
from awo_testlib.waiting import until


pytestmark = pytest.mark.usefixtures("descriptors")


def serves(gateway, within=2.0):
    began = time.monotonic()
    assert gateway.get("/api/v1/").status == 200
    took = time.monotonic() - began
    assert took < within, f"an answer took {took:.2f} s"


def host(gateway):
    return f"Host: {gateway.host}:{gateway.port}\r\n".encode()


def grew(gateway, before, limit):
    # a sanitizer keeps what was freed
    now = gateway.resident()
    assert gateway.is_sanitized or now - before < limit, f"{(now - before) >> 20} MiB"


def test_slowloris(gateway):
    """2,000 connections that send a byte of a header now and then, for ever."""
    serves(gateway)
    before = gateway.resident()
    sockets = []
    try:
        for _ in range(2000):
            s = socket.create_connection((gateway.host, gateway.port), timeout=5)
            s.sendall(b"GET /api/v1/ HTTP/1.1\r\nHost: a\r\nX-Slow: ")
            s.setblocking(False)
            sockets.append(s)
        serves(gateway)
        grew(gateway, before, 48 << 20)
        closed, end = set(), time.monotonic() + 45
        while len(closed) < len(sockets) and time.monotonic() < end:
            for i, s in enumerate(sockets):
                if i in closed:
                    continue
                try:
                    s.send(b"a")
                    if s.recv(4096) == b"":
                        closed.add(i)
                except BlockingIOError:
                    pass
                except OSError:
                    closed.add(i)
            serves(gateway)
            time.sleep(0.5)
        assert len(closed) == len(sockets), f"{len(sockets) - len(closed)} are still there"
    finally:
        for s in sockets:
            s.close()
    serves(gateway)


def test_connections_that_say_nothing(gateway):
    sockets = [socket.create_connection((gateway.host, gateway.port), timeout=30) for _ in range(200)]
    serves(gateway)
    began = time.monotonic()
    for s in sockets:
        assert s.recv(1) == b""
        s.close()
    assert time.monotonic() - began < 20


def test_more_connections_than_there_may_be(gateway):
    """Each has asked for something once and stays, which is the cheapest way to keep others out: it makes room for them."""
    sockets = []
    try:
        for _ in range(4400):
            s = socket.create_connection((gateway.host, gateway.port), timeout=5)
            sockets.append(s)
            try:
                s.sendall(b"HEAD /nothing HTTP/1.1\r\n" + host(gateway) + b"\r\n")
            except OSError:
                pass  # the gateway was faster
        # the last of them wait in the backlog until the gateway has come so far
        until(lambda: "connections_at_limit" in gateway.log(), "connections_at_limit in its log", 10)
        began = time.monotonic()
        serves(gateway, 25)
        assert time.monotonic() - began < 20
    finally:
        for s in sockets:
            s.close()
    time.sleep(0.5)
    serves(gateway)


def test_bodies_without_end(gateway):
    """A gigabyte, announced or in chunks, is refused before it is there."""
    serves(gateway)
    before = gateway.resident()
    answer = gateway.raw(b"POST /api/v1/ HTTP/1.1\r\n" + host(gateway) + b"Content-Length: 1073741824\r\n\r\n" + b"x" * 100000)
    assert answer.startswith(b"HTTP/1.1 413") or answer == b"", answer[:200]
    for announced in (True, False):
        sent = 0
        with socket.create_connection((gateway.host, gateway.port), timeout=10) as s:
            head = b"Content-Length: 1073741824\r\n\r\n" if announced else b"Transfer-Encoding: chunked\r\n\r\n"
            s.sendall(b"POST /api/v1/ HTTP/1.1\r\n" + host(gateway) + head)
            piece = b"x" * 65536 if announced else b"10000\r\n" + b"x" * 65536 + b"\r\n"
            try:
                while sent < 1 << 30:
                    sent += s.send(piece)
            except OSError:
                pass
        assert sent < 32 << 20, f"{sent >> 20} MiB were taken"
        serves(gateway)
    grew(gateway, before, 16 << 20)


def test_many_bodies_that_do_not_end(gateway):
    """Each is below the limit; together they would fill the memory."""
    serves(gateway)
    before = gateway.resident()
    sockets = []
    for _ in range(300):
        try:
            s = socket.create_connection((gateway.host, gateway.port), timeout=5)
            s.sendall(b"POST /api/v1/ HTTP/1.1\r\n" + host(gateway) + b"Content-Length: 1000000\r\n\r\n" + b"x" * 990000)
        except OSError:
            pass
        sockets.append(s)
    serves(gateway)
    grew(gateway, before, 160 << 20)
    for s in sockets:
        s.close()


def test_largest_body_that_is_allowed(gateway):
    body = b'{"repository_url":"a/b","user_request":"' + b"x" * ((1 << 20) - 100) + b'"}'
    assert gateway.post("/api/v1/", body).status == 422
    body += b" " * ((1 << 20) - len(body) + 1)
    answer = gateway.raw(b"POST /api/v1/ HTTP/1.1\r\n" + host(gateway) + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
    assert answer.startswith(b"HTTP/1.1 413") or answer == b""


def test_headers_without_end(gateway):
    for head in (b"X-Long: " + b"a" * 65536 + b"\r\n", b"".join(b"X-%d: a\r\n" % i for i in range(10000))):
        answer = gateway.raw(b"GET / HTTP/1.1\r\n" + host(gateway) + head + b"\r\n", timeout=5)
        assert not answer.startswith(b"HTTP/1.1 200"), answer[:100]
        serves(gateway)
    with socket.create_connection((gateway.host, gateway.port), timeout=5) as s:
        sent = 0
        try:
            s.sendall(b"GET / HTTP/1.1\r\n")
            while sent < 8 << 20:
                s.sendall(b"X: " + b"a" * 1000 + b"\r\n")
                sent += 1000
        except OSError:
            pass
        assert sent < 4 << 20
    serves(gateway)


def test_bad_chunks(gateway):
    for chunks in (b"zz\r\nabc\r\n", b"-1\r\nabc\r\n", b"ffffffffffffffff\r\nabc", b"3\r\nabcd\r\n0\r\n\r\n", b"3;x=" + b"y" * 70000 + b"\r\nabc\r\n",
                   b"7fffffff\r\nabc", b"\r\n\r\n", b"0x3\r\nabc\r\n0\r\n\r\n"):
        answer = gateway.raw(b"POST /api/v1/ HTTP/1.1\r\n" + host(gateway) + b"Transfer-Encoding: chunked\r\n\r\n" + chunks,
                             timeout=3, shut=True)
        assert not answer.startswith(b"HTTP/1.1 2"), (chunks[:30], answer[:100])
    good = gateway.raw(b"POST /api/v1/ HTTP/1.1\r\n" + host(gateway) + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
                       b"2\r\n{}\r\n0\r\n\r\n")
    assert good.startswith(b"HTTP/1.1 422"), good[:200]
    serves(gateway)


def test_requests_that_are_none(gateway):
    for data in (b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\nHost\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00",
                 b"GET / HTTP/1.1\r\n" + host(gateway) + b"Content-Length: -1\r\n\r\n", b"\0" * 1000,
                 b"POST /api/v1/ HTTP/1.1\r\n" + host(gateway) + b"Content-Length: 99999999999999999999\r\n\r\n",
                 b"GET / HTTP/1.1\r\n" + host(gateway) + b"\xff\xfe: \xff\r\n\r\n", b"GET /\xff\xfe HTTP/1.1\r\n" + host(gateway) + b"\r\n",
                 b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"):
        gateway.raw(data, timeout=1, shut=True)
        serves(gateway)


def test_body_and_header_of_invalid_utf8(gateway):
    answer = gateway.request("POST", "/api/v1/", b'{"repository_url":"\xff\xfe","user_request":"x"}')
    assert answer.status == 422 and answer.json["detail"][0]["type"] == "json_invalid"
    bad = gateway.raw(b"POST /api/v1/ HTTP/1.1\r\n" + host(gateway) + b"Connection: close\r\nIdempotency-Key: \xff\xfe\r\n"
                      b"X-Request-Id: \xff\r\nContent-Length: 43\r\n\r\n" + b'{"repository_url":"a/b","user_request":"x"}')
    assert bad.startswith(b"HTTP/1.1 422") and b"Idempotency-Key" in bad, bad


def test_header_injection(gateway):
    answer = gateway.raw(b"GET /?x=%0d%0aSet-Cookie:%20a=b HTTP/1.1\r\n" + host(gateway) +
                         b"X-Request-Id: a\r\n b\r\nConnection: close\r\n\r\n")
    assert b"Set-Cookie" not in answer


def test_pipelined_requests_are_answered_in_order(gateway):
    one = b"GET /api/v1/wo-%08x HTTP/1.1\r\n" + host(gateway)
    data = b"".join(one % i + (b"Connection: close\r\n" if i == 19 else b"") + b"\r\n" for i in range(20))
    answers = gateway.raw(data).split(b"HTTP/1.1 404")[1:]
    assert len(answers) == 20
    for i, answer in enumerate(answers):
        assert b"wo-%08x" % i in answer


def test_answers_before_one_that_ends_the_connection(gateway):
    """A client that reads late has them all, though it has sent more behind what could not be read."""
    for bad, status in ((b"GET / HTTP/1.1\r\n" + host(gateway) + b"a b: c\r\n\r\n", 400), (b"no request\r\n\r\n", 400),
                        (b"HEAD / HTTP/1.1\r\n" + host(gateway) + b"Content-Length: 5\r\n\r\n", 400),
                        (b"POST /api/v1/ HTTP/1.1\r\n" + host(gateway) + b"Content-Length: 9999999\r\n\r\n", 413)):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.settimeout(10)
            s.connect((gateway.host, gateway.port))
            s.sendall((b"GET /openapi.json HTTP/1.1\r\n" + host(gateway) + b"\r\n") * 2 + bad + b"x" * 300_000)
            time.sleep(0.3)
            got = b"".join(iter(lambda s=s: s.recv(65536), b""))
        found = answers(got, ["GET", "GET", bad.split(b" ")[0].decode()])
        assert [a[0] for a in found] == [200, 200, status] and found[-1][1]["connection"] == "close"
    # one that neither reads nor ends is not waited for
    with socket.create_connection((gateway.host, gateway.port), timeout=10) as s:
        s.sendall(b"no request\r\n\r\n")
        end = time.monotonic() + 10
        with pytest.raises(OSError):
            while time.monotonic() < end:
                s.sendall(b"x")
                time.sleep(0.1)
    serves(gateway)


def test_streams_of_clients_that_write_on(gateway, repo):
    """What a client sends on a stream's connection is not gathered."""
    order = gateway.create(repo.path, "demo: hang")
    gateway.instance.wait(order, "running")
    before = gateway.resident()
    with socket.create_connection((gateway.host, gateway.port), timeout=1) as s:
        s.sendall(f"GET /api/v1/{order}/logs/stream HTTP/1.1\r\n".encode() + host(gateway) + b"\r\n")
        assert b"retry" in s.recv(65536) + s.recv(65536)
        sent = 0
        try:
            while sent < 256 << 20:
                sent += s.send(b"x" * 65536)
        except OSError:
            pass
        assert sent < 32 << 20
        grew(gateway, before, 16 << 20)
        serves(gateway)
    gateway.post(f"/api/v1/{order}/cancel")


FUZZED = 50_000
PIPELINED = 30_000   # of them can be told apart, and each must have its answer


def fuzz(gateway, api, seed, tally):
    """A quarter of the requests, on connections of its own."""
    made = Requests(api, f"{gateway.host}:{gateway.port}", seed)
    left, batch = PIPELINED // 4, []
    while left > 0 or batch:
        more = min(left, 50 - len(batch))
        batch += [made.one() for _ in range(more)]
        left -= more
        batch[-1] = made.last(batch[-1])
        got = gateway.raw(b"".join(data for _, data in batch), timeout=60)
        answered = answers(got, [method for method, _ in batch])
        for (method, data), (status, headers, body) in zip(batch, answered):
            tally[status] = tally.get(status, 0) + 1
            assert status < 500 or status in (501, 503), (seed, data, status, body)
            own = re.search(rb"\r\nX-Request-Id: (\d+-\d+)\r\n", data)
            # of one that cannot be read nothing may be known
            assert own is None or headers["x-request-id"] == own[1].decode() or "connection" in headers, (seed, data, headers)
            assert headers["x-request-id"] and headers["x-content-type-options"] == "nosniff", (seed, data, headers)
            if status >= 400 and headers.get("content-type") == "application/json" and method != "HEAD":
                assert json.loads(body)["detail"], (seed, data, body)
        # one that cannot be read ends the connection, and says so
        assert answered and answered[-1][1].get("connection") == "close", (seed, batch[len(answered)][1])
        batch = batch[len(answered):]
    for _ in range((FUZZED - PIPELINED) // 4 // 5):
        got = gateway.raw(b"".join(made.spoilt() for _ in range(5)), timeout=5, shut=True)
        assert got == b"" or got.startswith((b"HTTP/1.1 ", b"HTTP/1.0 ")), (seed, got[:200])


def test_fuzzed_requests(make_gateway):
    """Requests made from the interface's own description, almost right, and such with bytes spoilt: they are answered or
    their connection ends, memory stays flat, and others are served meanwhile. AWO_FUZZ_SEED repeats a run."""
    gateway = make_gateway(env=frugal())
    seed = int(os.environ.get("AWO_FUZZ_SEED", random.randrange(1 << 32)))
    print("AWO_FUZZ_SEED", seed)
    api = gateway.get("/openapi.json").json
    tally, failed = {}, []

    def run(n):
        try:
            fuzz(gateway, api, seed + n, tally)
        except BaseException as e:
            failed.append(e)
            raise
    threads = [threading.Thread(target=run, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    warm, largest = 0, 0
    while any(thread.is_alive() for thread in threads):
        serves(gateway, 5)
        if warm == 0 and sum(tally.values()) > 5000:
            warm = gateway.resident()
        largest = max(largest, gateway.resident())
        time.sleep(0.2)
    assert not failed, failed
    print("statuses", dict(sorted(tally.items())), "MiB", warm >> 20, largest >> 20)
    assert sum(tally.values()) == PIPELINED and {200, 304, 400, 404, 405, 422} <= set(tally)
    assert largest - warm < 16 << 20, f"{warm >> 20} MiB became {largest >> 20} MiB"
    assert gateway.get("/api/v1/").json["total_count"] == 0
    serves(gateway)
