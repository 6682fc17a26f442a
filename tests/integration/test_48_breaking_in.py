"""Ways in that were tried, and what became of them: two readings of one request, others' power, access that has gone."""
import re
import resource
import socket

import pytest

from awo_testlib.gateway import GATEWAY_UID
from awo_testlib.rpc import Client, RpcError
from conftest import needs_root

ALICE, BOB = 60001, 60002
HOST = b"Host: localhost\r\n"
NEXT = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@pytest.fixture
def guarded(make_gateway):
    return make_gateway({"gateway": {"auth": "token"}})


def token(gateway, uid=None, **more):
    return gateway.instance.call("token.create", {"name": "t", **more}, uid=uid)["token"]


def bearer(text, **more):
    return {"Authorization": f"Bearer {text}", **more}


def as_gateway(gateway):
    """A connection as the gateway's user, to say what the gateway never would."""
    return Client(str(gateway.instance.socket), uid=GATEWAY_UID if gateway.instance.system else None)


# ---- one request, two readings: what is behind it must not become a request of its own

@pytest.mark.parametrize("head, body", [
    (b"HEAD /health HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n" % len(NEXT), b""),
    (b"HEAD /health HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    (b"POST /api/v1/ HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: xchunked\r\n", b""),
    (b"POST /api/v1/ HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: identity\r\n", b""),
    (b"POST /api/v1/ HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"0\r\n\r\n"),
    (b"POST /api/v1/ HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\nContent-Length: %d\r\n" % (2 + len(NEXT)), b"{}"),
    (b"POST /api/v1/ HTTP/1.1\r\n" + HOST + b"Content-Length: +2\r\n", b"{}"),
    (b"POST /api/v1/ HTTP/1.1\r\n" + HOST + b"Content-Length : %d\r\n" % len(NEXT), b""),
    (b"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n", b""),
    (b"GET /health HTTP/1.1\r\nHost : evil.example\r\nHost: localhost\r\n", b""),
], ids=["head", "head-chunked", "xchunked", "identity", "both", "two-lengths", "plus", "space", "two-hosts", "space-host"])
def test_a_request_that_can_be_read_in_two_ways(gateway, head, body):
    answers = gateway.raw(head + b"\r\n" + body + NEXT, timeout=3)
    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"400"] and b'"openapi"' not in answers, answers[:300]


def test_bodies_that_all_read_alike_are_no_fault(gateway):
    """What is behind them is a request of its own, and is answered."""
    for head, body in ((b"GET /health HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\n", b"{}"),
                       (b"OPTIONS /api/v1/ HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\n", b"{}"),
                       (b"DELETE /api/v1/wo-00000000 HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\n", b"{}"),
                       (b"HEAD /health HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n", b""),
                       (b"POST /api/v1/ HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: Chunked\r\n", b"2\r\n{}\r\n0\r\n\r\n")):
        answers = gateway.raw(head + b"\r\n" + body + NEXT, timeout=3)
        assert len(re.findall(rb"HTTP/1.1 \d+", answers)) == 2 and b'"openapi"' in answers, (head, answers[:300])


def test_who_asks_is_said_once(guarded):
    mine, other = token(guarded), token(guarded)
    for first, second in ((mine, other), (mine, "x"), ("x", mine)):
        answer = guarded.raw(b"GET /api/v1/session HTTP/1.1\r\n" + HOST + f"Authorization: Bearer {first}\r\n"
                             f"Authorization: Bearer {second}\r\n\r\n".encode(), timeout=3)
        assert answer.startswith(b"HTTP/1.1 400 ") and b"connection: close" in answer.lower(), answer


def test_a_rebound_name_learns_nothing(gateway):
    """Not even which paths there are, and what may be done there."""
    for method, path in (("OPTIONS", "/api/v1/"), ("GET", "/nothing"), ("PUT", "/health"), ("GET", "/a//b")):
        answer = gateway.request(method, path, headers={"Host": "evil.example"})
        assert answer.status == 421 and "allow" not in answer.headers, (method, path, answer)


# ---- what many share

@pytest.fixture
def descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 16384), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@needs_root
def test_one_users_slow_requests_keep_nobody_out(make_gateway, repo, descriptors):
    """All requests share one connection to awod, which works on a limited number at once."""
    gateway = make_gateway({"gateway": {"auth": "token", "rate_limit": 0}, "timeouts": {"kill": 8}})
    order = gateway.instance.create(repo.path, "demo: ignore-term", uid=ALICE)
    gateway.instance.wait_event(order, "agent_output")
    mine, other = token(gateway, uid=ALICE), token(gateway, uid=BOB)
    # each is answered when the order has ended, which takes its time
    cancel = (f"POST /api/v1/{order}/cancel HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {mine}\r\n"
              "Content-Length: 0\r\n\r\n").encode()
    sockets, direct = [], gateway.instance.client(uid=ALICE)    # its number is one that select() takes
    try:
        for _ in range(1200):
            s = socket.create_connection((gateway.host, gateway.port), timeout=30)
            s.sendall(cancel)
            sockets.append(s)
        assert gateway.request("GET", "/api/v1/", headers=bearer(other)).status == 200
        now = direct.call("order.get", agent_work_order_id=order)["agent_work_order"]["status"]
        assert now == "running", "the answer waited for the others'"
        # who has too many under way is told so, and can still do something when some have ended
        refused = sockets[-1].recv(65536)
        assert refused.startswith(b"HTTP/1.1 429 ") and b"retry-after" in refused.lower(), refused
        assert sockets[0].recv(65536).startswith(b"HTTP/1.1 200 ")
        assert gateway.request("GET", "/api/v1/", headers=bearer(mine)).status == 200
    finally:
        for s in sockets:
            s.close()
