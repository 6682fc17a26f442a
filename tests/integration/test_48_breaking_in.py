"""Ways in that were tried, and what became of them: two readings of one request, others' power, access that has gone."""
import hmac
import json
import os
import re
import socket

import pytest

from awo_testlib.gateway import GATEWAY_UID, bearer, cookie, own, token
from awo_testlib.instance import ALICE, BOB
from awo_testlib.rpc import Client
from awo_testlib.waiting import until
from conftest import needs_root

HOST = b"Host: localhost\r\n"
NEXT = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


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


# ---- what everybody is told

def test_health_names_nothing_of_the_host_to_strangers(make_gateway):
    gateway = make_gateway({"gateway": {"auth": "token"},
                            "agents": {"default": "claude", "claude": {"program": "/secret/place/claude"}}})
    text = token(gateway)
    for path in ("/health", "/api/v1/health", "/api/agent-work-orders/health"):
        told, whole = gateway.get(path), gateway.get(path, **bearer(text))
        assert told.status == whole.status == 200 and gateway.get(path, **bearer("awo_0_0")).status == 401
        for word in (str(gateway.instance.state), "/secret/place"):
            assert word not in told.body.decode() and word in whole.body.decode(), (word, path)
        assert "host" not in told.json and "memory_total_bytes" in whole.json["host"]
        assert told.json["status"] == whole.json["status"] == "degraded" and len(told.json["problems"]) == 1
        assert set(whole.json) - set(told.json) == {"host"}
        assert set(told.json["disk"]) == {"total_bytes", "free_bytes", "free_percent"}


# ---- browsers: whose page, whose session

def test_a_page_without_tls_is_none_of_ours(make_gateway):
    """Whoever is on the way can put a page at the same name, without TLS; and neighbours can set cookies for it."""
    gateway = make_gateway({"gateway": {"auth": "token", "url": "https://awo.example.org"}})
    answer = gateway.get("/ui/login?token=" + gateway.instance.call("session.create")["login_token"], Host="awo.example.org")
    name, value = answer.headers["set-cookie"].split(";")[0].split("=")
    assert answer.status == 303 and name == f"__Host-awo_session_{gateway.port}"
    assert "; Path=/;" in answer.headers["set-cookie"] and answer.headers["set-cookie"].endswith("; Secure")

    def create(origin, jar=f"{name}={value}", **more):
        return gateway.request("POST", "/api/v1/tokens", {"name": "x"},
                               {"Host": "awo.example.org", "Cookie": jar, "Origin": origin, **more}).status
    assert create("https://awo.example.org") == 201
    assert create("http://awo.example.org") == 403
    assert create("https://awo.example.org", **{"Sec-Fetch-Site": "cross-site"}) == 403
    assert create("https://awo.example.org", f"awo_session_{gateway.port}={value}") == 401


def test_a_link_where_browsers_do_not_say_who_led_there(make_gateway):
    gateway = make_gateway({"gateway": {"auth": "token", "hosts": ["awo.lan"]}})
    secret = gateway.instance.call("session.create")["login_token"]
    here = f"awo.lan:{gateway.port}"
    page = gateway.get(f"/ui/login?token={secret}", Host=here)
    assert page.status == 200 and b"<form" in page.body and "set-cookie" not in page.headers
    answer = gateway.request("POST", "/ui/login", f"token={secret}", {"Host": here, "Origin": f"http://{here}"})
    assert answer.status == 303 and "set-cookie" in answer.headers


# ---- what many share

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


# ---- access that has gone

class Names:
    """An instance's own /etc/passwd and /etc/group, which may change while it runs."""

    def __init__(self, instance):
        self.files = {name: instance.base / name for name in ("passwd", "group")}
        self.words = {name: open(f"/etc/{name}", encoding="utf-8").read() for name in self.files}
        self.set()
        plain = instance.argv
        binds = " && ".join(f"mount --bind {path} /etc/{name}" for name, path in self.files.items())
        instance.argv = lambda *more: ["unshare", "--mount", "--propagation", "private", "sh", "-c", f'{binds} && exec "$@"',
                                       "sh", *plain(*more)]

    def set(self, passwd="", group=""):
        """What stands there beside the host's own lines; the files stay the same ones, since they are mounted."""
        for name, more in (("passwd", passwd), ("group", group)):
            self.files[name].write_text(self.words[name].rstrip("\n") + "\n" + more, encoding="utf-8")


AWO_GROUP, ADMIN_GROUP = 61000, 61001
PASSWD = f"awo-alice:x:{ALICE}:{ALICE}::/:/bin/false\n"
GROUP = f"awo-test-users:x:{AWO_GROUP}:awo-alice\nawo-test-admins:x:{ADMIN_GROUP}:awo-alice\n"


@pytest.fixture
def named(make_instance, make_gateway):
    socket_config = {"gateway_user": str(GATEWAY_UID), "admin_group": str(ADMIN_GROUP)}
    instance = make_instance({"gateway": {"auth": "token"}, "socket": socket_config, "github": {"host": "git.invalid"}},
                             start=False)
    instance.names = Names(instance)
    instance.names.set(PASSWD, GROUP)
    return make_gateway(instance=instance.start())


def last_word(stream):
    """What the stream's end says."""
    kind, data = None, None
    for kind, _, data in stream.events():
        pass
    stream.close()
    return kind, data


@needs_root
def test_a_user_who_has_gone_or_was_put_out(named):
    """What a token or session may do ends with the user's own right to use awod, not with the token alone."""
    names, instance = named.instance.names, named.instance
    mine, other, root = token(named, uid=ALICE), token(named, uid=BOB), token(named)
    page = own(named, cookie(named, uid=ALICE))

    def statuses():
        return [named.request("GET", "/api/v1/", headers=h).status for h in (bearer(mine), page, bearer(other), bearer(root))]

    def become(*wanted):
        """What is kept of answers may be as old as a second."""
        until(lambda: statuses() == list(wanted), lambda: f"{wanted}, but {statuses()}", 10)

    assert statuses() == [200] * 4
    os.chown(instance.socket, 0, AWO_GROUP)
    os.chmod(instance.socket, 0o660)
    # Bob is nobody whom the files know: a directory service may
    assert statuses() == [200] * 4
    stream = named.stream("/api/v1/events", bearer(mine))
    assert stream.status == 200
    names.set(PASSWD, GROUP.replace("awo-test-users:x:61000:awo-alice", "awo-test-users:x:61000:"))
    become(401, 401, 200, 200)
    assert last_word(stream) == ("end", '{"reason":"access_ended"}')
    names.set(PASSWD, GROUP)
    become(200, 200, 200, 200)
    # the number is another's now, or nobody's
    for passwd in (PASSWD.replace("awo-alice", "awo-mallory"), ""):
        names.set(passwd, GROUP.replace("awo-alice", "awo-mallory"))
        os.chmod(instance.socket, 0o666)
        become(401, 401, 200, 200)
        refused = named.request("GET", "/api/v1/", headers=bearer(mine)).json
        assert set(refused) == {"detail"} and "awo-mallory" not in refused["detail"]


@needs_root
def test_a_webhook_does_nothing_for_who_was_put_out(named):
    instance, secret = named.instance, "al1ces-own-secret-of-the-webhook"
    instance.credential("hook", "webhook_secret", secret, uid=ALICE)
    instance.call("repository.add", repository_url="https://git.invalid/o/r", verify=False, uid=ALICE)

    def deliver(number):
        user = {"login": "octocat", "type": "User"}
        body = json.dumps({"action": "created", "issue": {"number": number}, "repository": {"full_name": "o/r"}, "sender": user,
                           "comment": {"id": number, "body": "/awo x", "user": user, "author_association": "OWNER"}})
        return named.request("POST", "/webhooks/github", body, {
            "Content-Type": "application/json", "X-GitHub-Event": "issue_comment", "X-GitHub-Delivery": f"d{number}",
            "X-Hub-Signature-256": "sha256=" + hmac.new(secret.encode(), body.encode(), "sha256").hexdigest()})
    assert deliver(1).status == 201
    os.chown(instance.socket, 0, AWO_GROUP)
    os.chmod(instance.socket, 0o660)
    assert deliver(2).status == 201
    instance.names.set(PASSWD, GROUP.replace("awo-test-users:x:61000:awo-alice", "awo-test-users:x:61000:"))
    refused = deliver(3)
    assert refused.status == 409 and "may not use awod any more" in refused.json["detail"], refused
    assert instance.call("order.list", all=True)["total_count"] == 2


@needs_root
def test_an_administrator_who_is_none_any_more(named, repo):
    instance = named.instance
    with Client(str(instance.socket), uid=ALICE, groups=[ADMIN_GROUP]) as c:
        admin = c.call("token.create", name="t", scopes=["admin"])["token"]
    order = instance.create(repo.path, "demo: hang", uid=BOB)
    instance.wait_event(order, "agent_output")
    streams = [named.stream("/api/v1/events", bearer(admin)), named.stream(f"/api/v1/{order}/logs/stream", bearer(admin))]
    assert [s.status for s in streams] == [200, 200]
    instance.names.set(PASSWD, GROUP.replace("awo-test-admins:x:61001:awo-alice", "awo-test-admins:x:61001:"))
    assert named.get(f"/api/v1/{order}", **bearer(admin)).status == 404
    assert [last_word(s)[1] for s in streams] == ['{"reason":"access_ended"}'] * 2


def test_a_stream_that_others_share_ends_with_each_ones_token(guarded, repo):
    """Readers of one log share one stream of awod's: each one's access is looked at all the same."""
    order = guarded.instance.create(repo.path, "demo: hang")
    guarded.instance.wait_event(order, "agent_output")
    first, second, third = (guarded.instance.call("token.create", name="t") for _ in range(3))
    streams = [guarded.stream(f"/api/v1/{order}/logs/stream", bearer(t["token"])) for t in (first, second, third)]
    assert [s.status for s in streams] == [200] * 3
    guarded.instance.call("token.revoke", id=second["id"])
    assert last_word(streams[1]) == ("end", '{"reason":"access_ended"}')
    # the first one's token is what the stream was asked for with: the third goes on
    guarded.instance.call("token.revoke", id=first["id"])
    assert last_word(streams[0]) == ("end", '{"reason":"access_ended"}')
    guarded.instance.call("order.cancel", agent_work_order_id=order)
    assert last_word(streams[2]) == ("end", '{"reason":"order_ended"}')


def test_what_is_asked_by_a_body_is_kept_for_nobody(gateway, repo):
    """Answers are kept by target: a GET may carry a body, which says more."""
    for _ in range(2):
        assert gateway.post("/api/v1/", {"repository_url": str(repo.path), "user_request": "demo: hang"}).status == 201
    until(lambda: all(o["status"] == "running" for o in gateway.get("/api/v1/").json["agent_work_orders"]), "both running", 20)
    for _ in range(10):
        short = gateway.request("GET", "/api/v1/", {"limit": 1})
        whole = gateway.request("GET", "/api/v1/")
        assert [len(a.json["agent_work_orders"]) for a in (short, whole)] == [1, 2], (short, whole)
