"""Who may do what over HTTP: tokens, login links, sessions, names that were rebound, pages of others, limits."""
import json
import re
import socket
import subprocess
import time

import pytest

from awo_testlib.gateway import as_gateway, bearer, cookie, login_link, own, token
from awo_testlib.instance import ALICE, BOB
from awo_testlib.rpc import Client, RpcError
from awo_testlib.waiting import until
from conftest import needs_root

EVIL = "https://evil.example"


def some_order(gateway, uid=None):
    """An order of a repository that nobody has."""
    return gateway.instance.call("order.create", repository_url="https://git.invalid/o/r", user_request="x",
                                 uid=uid)["agent_work_order"]["agent_work_order_id"]


# ---- tokens

def test_nothing_without_a_token(guarded):
    for method, path in (("GET", "/api/v1/"), ("POST", "/api/v1/"), ("GET", "/api/v1/wo-00000000"), ("GET", "/metrics"),
                         ("GET", "/api/v1/events"), ("GET", "/api/v1/session"), ("POST", "/api/v1/maintenance/cleanup"),
                         ("GET", "/api/agent-work-orders/"), ("GET", "/agent-work-orders"),
                         ("POST", "/github/verify-repository"), ("GET", "/api/awo/settings/")):
        answer = guarded.request(method, path, {} if method == "POST" else None)
        assert answer.status == 401, (path, answer)
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert set(answer.json) == {"detail"}
    for path in ("/health", "/openapi.json", "/docs"):
        assert guarded.get(path).status == 200, path


@pytest.mark.parametrize("header", [
    "Bearer", "Bearer ", "Bearer x", "Bearer awo_0000000000000000_" + "0" * 64, "Basic YTpi", "awo_x", "Bearer awo_a b",
    "Bearer awo_" + "a" * 8000, "Bearer awo_\xff\xfe", "Bearer awos_" + "0" * 80, "Bearer awol_" + "0" * 80])
def test_what_is_no_token(guarded, header):
    answer = guarded.raw(b"GET /api/v1/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: " +
                         header.encode("latin-1") + b"\r\n\r\n")
    assert re.match(rb"HTTP/1.1 (401|4[0-9]{2}) ", answer) and b"agent_work_orders" not in answer


def test_a_token_opens_what_its_scopes_say(guarded):
    read, write = token(guarded, scopes=["read"]), token(guarded)
    body = {"repository_url": "https://git.invalid/o/r", "user_request": "x"}
    assert guarded.get("/api/v1/", **bearer(read)).status == 200
    refused = guarded.request("POST", "/api/v1/", body, bearer(read))
    assert refused.status == 403 and refused.json == {"detail": "this needs the scope write"}
    made = guarded.request("POST", "/api/v1/", body, bearer(write))
    assert made.status == 201, made
    for path in ("/api/v1/maintenance/cleanup", "/api/v1/maintenance/reload"):
        answer = guarded.request("POST", path, {}, bearer(write))
        assert answer.status == 403 and answer.json["detail"] == "this needs the scope admin", answer
    who = guarded.get("/api/v1/session", **bearer(write)).json
    assert who["scopes"] == ["read", "write"] and who["auth"] == "token" and who["user"]
    # administrators (root, and in user mode the user) may hand the scope on
    admin = token(guarded, scopes=["admin"])
    assert guarded.request("POST", "/api/v1/maintenance/cleanup", {"dry_run": True}, bearer(admin)).status == 200


def test_scopes_hold_in_awod_itself(guarded):
    """Even a gateway that checks nothing cannot do more for somebody than the token says."""
    read, write = token(guarded, scopes=["read"]), token(guarded)
    with as_gateway(guarded) as c:
        assert c.call("order.list", auth=read)["total_count"] == 0
        for method, auth, param in (("order.create", read, {"repository_url": "o/r", "user_request": "x"}),
                                    ("settings.set", write, {"key": "max_concurrent", "value": 1}),
                                    ("system.cleanup", write, {}), ("token.create", read, {"name": "x"}),
                                    ("session.create", write, {}), ("token.verify", write, {"token": write}),
                                    ("webhook.deliver", write, {"delivery_id": "x", "event": "ping", "signature": "x",
                                                                "body": "{}"})):
            with pytest.raises(RpcError) as e:
                c.call(method, param, auth=auth)
            assert e.value.code == "permission_denied", method
        for auth in ("awo_0_0", "awos_0_0", "nonsense", "x" * 256):
            with pytest.raises(RpcError) as e:
                c.call("order.list", auth=auth)
            assert e.value.code == "unauthenticated", auth


def test_a_token_gives_away_no_more_than_it_has(guarded):
    write, short = token(guarded), token(guarded, expires_seconds=3600)
    for auth, more in ((write, {"scopes": ["admin"]}), (short, {}), (short, {"expires_seconds": 7200})):
        answer = guarded.request("POST", "/api/v1/tokens", {"name": "more", **more}, bearer(auth))
        assert answer.status == 403, answer
    made = guarded.request("POST", "/api/v1/tokens", {"name": "less", "scopes": ["read"], "expires_seconds": 60},
                           bearer(short))
    assert made.status in (200, 201) and made.json["scopes"] == ["read"], made


def test_an_expired_token(guarded):
    text = token(guarded, expires_seconds=2)
    assert guarded.get("/api/v1/", **bearer(text)).status == 200
    time.sleep(2.1)
    answer = guarded.get("/api/v1/", **bearer(text))
    assert answer.status == 401 and "expired" in answer.json["detail"]


def follow_events(c, **more):
    """Their subscription; the first thing that is told of them is that nothing is replayed any more."""
    subscription = c.call("events.watch", **more)["subscription"]
    method, note = c.next(10)
    assert method == "event" and note["line"] == "" and note["subscription"] == subscription
    return subscription


def test_a_revoked_token_ends_at_once(guarded):
    made = guarded.instance.call("token.create", name="t")
    assert guarded.get("/api/v1/", **bearer(made["token"])).status == 200
    with as_gateway(guarded) as c:
        follow_events(c, auth=made["token"])
        guarded.instance.call("token.revoke", id=made["id"])
        assert guarded.get("/api/v1/", **bearer(made["token"])).status == 401
        # what is followed with it ends as well
        method, note = c.next(10)
        assert method == "stream_end" and note["reason"] == "access_ended"


def test_a_stream_ends_with_its_token(guarded):
    with as_gateway(guarded) as c:
        follow_events(c, auth=token(guarded, expires_seconds=1))
        method, note = c.next(20)
        assert method == "stream_end" and note["reason"] == "access_ended"


@needs_root
def test_others_orders_do_not_exist(guarded):
    order_id = some_order(guarded, uid=ALICE)
    alice, bob = token(guarded, uid=ALICE), token(guarded, uid=BOB)
    assert guarded.get(f"/api/v1/{order_id}", **bearer(alice)).status == 200
    for prefix in ("/api/v1", "/agent-work-orders", "/api/agent-work-orders"):
        for method, rest in (("GET", ""), ("DELETE", ""), ("GET", "/logs"), ("GET", "/steps"), ("GET", "/git-progress"),
                             ("GET", "/diff"), ("GET", "/artifacts"), ("GET", "/artifacts/prompts/01-x.txt"),
                             ("GET", "/logs/stream"), ("POST", "/cancel"), ("POST", "/pause"), ("POST", "/retry"),
                             ("POST", "/start"), ("POST", "/prompt")):
            body = {"prompt_text": "x"} if rest == "/prompt" else {} if method == "POST" else None
            there = guarded.request(method, f"{prefix}/{order_id}{rest}", body, bearer(bob))
            none = guarded.request(method, f"{prefix}/wo-00000000{rest}", body, bearer(bob))
            assert there.status == none.status == 404, (method, rest, there, none)
            # not a word that tells the one from the other
            assert there.body.decode().replace(order_id, "wo-00000000") == none.body.decode()
    assert guarded.get("/api/v1/", **bearer(bob)).json["total_count"] == 0
    assert guarded.get("/api/v1/?all=true", **bearer(bob)).json.get("total_count", 0) == 0
    # one connection of the gateway, and still each sees only what is theirs
    with as_gateway(guarded) as c:
        follow_events(c, auth=bob)
        mine = follow_events(c, auth=alice)
        some_order(guarded, uid=ALICE)
        assert {c.next(10)[1]["subscription"] for _ in range(1)} == {mine}


@needs_root
def test_only_the_gateway_acts_for_others(guarded):
    text = token(guarded, uid=ALICE)
    some_order(guarded, uid=ALICE)
    assert guarded.instance.call("order.list", uid=BOB, auth=text)["total_count"] == 0
    for method, param in (("token.verify", {"token": text}), ("session.open", {"login_token": "x"}),
                          ("session.verify", {"session": "x"}), ("session.end", {"session": "x"})):
        with pytest.raises(RpcError) as e:
            guarded.instance.call(method, param, uid=BOB)
        assert e.value.code == "permission_denied"


@needs_root
def test_an_administrators_token_without_the_scope_is_an_ordinary_one(guarded):
    some_order(guarded, uid=ALICE)
    for scopes, seen in ((["read"], 0), (["admin"], 1)):
        text = token(guarded, uid=0, scopes=scopes)
        assert guarded.get("/api/v1/?all=true", **bearer(text)).json["total_count"] == seen
    with pytest.raises(RpcError) as e:
        token(guarded, uid=ALICE, scopes=["admin"])
    assert e.value.code == "permission_denied"


# ---- login links and sessions

def test_a_login_link_works_once(guarded):
    link = login_link(guarded)
    # what looks ahead does not use it up
    assert guarded.request("HEAD", link).status == 204
    assert guarded.get(link, Sec_Purpose="prefetch").status == 204
    answer = guarded.get(link)
    assert answer.status == 303 and answer.headers["location"] == "/ui/"
    assert "token" not in answer.headers["location"] and answer.headers["cache-control"] == "no-store"
    set_cookie = answer.headers["set-cookie"]
    assert re.search(r"; HttpOnly; SameSite=Strict; Max-Age=\d+$", set_cookie) and f"_{guarded.port}=" in set_cookie
    again = guarded.get(link)
    assert again.status == 401 and "set-cookie" not in again.headers and b"awoctl ui" in again.body
    who = guarded.request("GET", "/api/v1/session", headers=own(guarded, set_cookie.split(";")[0])).json
    assert who["auth"] == "session"
    assert "admin" in who["scopes"]  # the caller is root, or the user in user mode
    # the token of the link is written nowhere
    secret = link.split("=")[1]
    for log in (guarded.log(), guarded.instance.daemon_log()):
        assert secret not in log


def test_one_link_for_many_at_once(guarded):
    """Two gateways, or two browsers: one of them is in."""
    link = guarded.instance.call("session.create")["login_token"]
    with as_gateway(guarded) as c:
        sent = [c.send("session.open", {"login_token": link}) for _ in range(20)]
        good, bad = [], []
        for msgid in sent:
            try:
                good.append(c.receive(msgid))
            except RpcError as e:
                bad.append(e.code)
    assert len(good) == 1 and bad == ["unauthenticated"] * 19


@pytest.mark.parametrize("query", ["", "?token=", "?token=x", "?token=awol_" + "0" * 80, "?token=" + "a" * 300,
                                   "?token=%3Cscript%3E", "?token=%22%3E%3Cscript%3E"])
def test_links_that_are_none(guarded, query):
    for site in ({}, {"Sec-Fetch-Site": "cross-site"}):
        answer = guarded.request("GET", "/ui/login" + query, headers=site)
        assert answer.status in (200, 400, 401) and "set-cookie" not in answer.headers
        assert b"<script" not in answer.body


def test_an_expired_link(make_gateway):
    gateway = make_gateway({"gateway": {"auth": "token", "login": 10}})
    link = login_link(gateway)
    time.sleep(10.2)
    assert gateway.get(link).status == 401


def test_who_was_led_to_the_link_is_asked_first(guarded):
    """Another's page cannot log its reader in as somebody else."""
    link = login_link(guarded)
    for site in ("cross-site", "same-site"):
        page = guarded.get(link, Sec_Fetch_Site=site)
        assert page.status == 200 and "set-cookie" not in page.headers and b"<form method=\"post\"" in page.body
        assert page.headers["cache-control"] == "no-store" and "script-src 'self'" in page.headers["content-security-policy"]
    secret = link.split("=")[1]
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for headers in ({}, {"Origin": EVIL}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
                    {"Origin": "null", "Sec-Fetch-Site": "cross-site"}):
        assert guarded.request("POST", "/ui/login", f"token={secret}", {**form, **headers}).status == 403, headers
    answer = guarded.request("POST", "/ui/login", f"token={secret}", {
        **form, "Origin": f"http://{guarded.host}:{guarded.port}", "Sec-Fetch-Site": "same-origin"})
    assert answer.status == 303 and "set-cookie" in answer.headers


def test_a_stolen_cookie(guarded):
    """A cookie counts only with a browser's word that the gateway's own page sends it."""
    jar = cookie(guarded)
    here = f"http://{guarded.host}:{guarded.port}"
    body = {"name": "x"}
    for headers in ({}, {"Origin": EVIL}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
                    {"Sec-Fetch-Site": "same-site"}, {"Origin": f"http://{guarded.host}:1"},
                    {"Origin": f"https://{guarded.host}:{guarded.port}.evil.example"}):
        for method, path in (("GET", "/api/v1/"), ("GET", "/api/v1/events"), ("POST", "/api/v1/tokens")):
            answer = guarded.request(method, path, body if method == "POST" else None, {"Cookie": jar, **headers})
            assert answer.status == 403, (headers, path, answer)
            assert set(answer.json) == {"detail"}
    assert guarded.request("POST", "/api/v1/tokens", body, {"Cookie": jar, "Sec-Fetch-Site": "none"}).status == 403
    for headers in ({"Origin": here}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}):
        assert guarded.request("GET", "/api/v1/", headers={"Cookie": jar, **headers}).status == 200, headers
    assert guarded.request("POST", "/api/v1/tokens", body, {"Cookie": jar, "Origin": here}).status in (200, 201)
    # it is no bearer token either
    assert guarded.get("/api/v1/", **bearer(jar.split("=")[1])).status == 401


def test_logging_out(guarded):
    jar, other = cookie(guarded), cookie(guarded)
    assert guarded.request("GET", "/api/v1/", headers=own(guarded, jar)).status == 200
    assert guarded.request("POST", "/ui/logout", headers={"Cookie": jar, "Origin": EVIL}).status == 403
    assert guarded.request("GET", "/api/v1/", headers=own(guarded, jar)).status == 200
    answer = guarded.request("POST", "/ui/logout", headers=own(guarded, jar))
    assert answer.status == 204 and "Max-Age=0" in answer.headers["set-cookie"]
    gone = guarded.request("GET", "/api/v1/", headers=own(guarded, jar))
    assert gone.status == 401 and "Max-Age=0" in gone.headers["set-cookie"]
    # this browser alone
    assert guarded.request("GET", "/api/v1/", headers=own(guarded, other)).status == 200
    assert guarded.request("DELETE", "/api/v1/session", headers=own(guarded, other)).status == 204
    assert guarded.request("GET", "/api/v1/", headers=own(guarded, other)).status == 401
    assert guarded.request("POST", "/ui/logout").status == 204


def test_a_session_has_the_scopes_of_its_link(guarded):
    jar = cookie(guarded, scopes=["read"])
    assert guarded.request("GET", "/api/v1/", headers=own(guarded, jar)).status == 200
    assert guarded.request("POST", "/api/v1/tokens", {"name": "x"}, own(guarded, jar)).status == 403


def test_sessions_end_and_are_bounded(make_gateway):
    gateway = make_gateway({"gateway": {"auth": "token", "session": 60}})
    jars = [cookie(gateway) for _ in range(52)]
    # the oldest two have made room
    assert [gateway.request("GET", "/api/v1/", headers=own(gateway, jar)).status for jar in (*jars[:3], jars[-1])] == \
        [401, 401, 200, 200]
    links = [login_link(gateway) for _ in range(6)]
    assert gateway.get(links[0]).status == 401 and gateway.get(links[1]).status == 303


def test_sessions_live_over_restarts(guarded):
    jar = cookie(guarded)
    guarded.instance.stop()
    guarded.instance.start()
    ask = lambda: guarded.request("GET", "/api/v1/", headers=own(guarded, jar)).status
    until(lambda: ask() != 503, "awod back", 15)
    assert ask() == 200
    guarded.stop()
    guarded.start()
    assert guarded.request("GET", "/api/v1/", headers=own(guarded, jar)).status == 200


def test_secrets_are_not_stored(guarded):
    made, link = token(guarded), login_link(guarded)
    jar = cookie(guarded)
    for path in guarded.instance.state.glob("awo.db*"):
        data = path.read_bytes()
        for secret in (made, link.split("=")[1], jar.split("=")[1]):
            assert secret.encode() not in data and secret.split("_")[-1].encode() not in data, path


# ---- names and origins

@pytest.mark.parametrize("host", ["evil.example", "evil.example:8053", "localhost.evil.example", "127.0.0.1.evil.example",
                                  "127.0.0.1:80.evil.example", "", "xlocalhost", "[::1].evil.example", "127.0.0.1@evil.example",
                                  "a" * 400, "evil.example:", "localhost:x"])
def test_a_rebound_name(guarded, gateway, host):
    """With and without auth: none, no page whose name was pointed at us is answered."""
    for g in (guarded, gateway):
        for path in ("/api/v1/", "/health", "/ui/", "/ui/login?token=x", "/openapi.json", "/metrics"):
            answer = g.raw(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            assert re.match(rb"HTTP/1.1 4(21|00) ", answer), (path, answer[:200])
            assert b"agent_work_orders" not in answer and host.encode() not in answer or not host


def test_names_that_are_ours(make_gateway):
    gateway = make_gateway({"gateway": {"hosts": ["awo.lan", "other.lan:99"], "url": "https://awo.example.org"}})
    for host, status in (("localhost", 200), ("LOCALHOST:1", 200), ("x.localhost", 200), ("127.0.0.1:9", 200),
                         ("192.0.2.7", 200), ("[::1]:8053", 200), ("awo.lan", 200), ("awo.lan:8053", 200),
                         ("other.lan:99", 200), ("other.lan:98", 421), ("other.lan", 421), ("awo.example.org", 200),
                         ("awo.lan.evil.example", 421)):
        assert gateway.get("/health", Host=host).status == status, host


@pytest.mark.parametrize("headers", [
    {"Origin": EVIL}, {"Origin": "null"}, {"Origin": "http://localhost:1"}, {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"}, {"Origin": "null", "Sec-Fetch-Site": "cross-site"}, {"Origin": ""}])
def test_a_page_of_another_origin(guarded, gateway, headers):
    """A form, an image, a fetch of a foreign page: nothing, whatever the gateway asks for otherwise."""
    text = token(guarded)
    for g, extra in ((gateway, {}), (guarded, bearer(text))):
        for method, path in (("GET", "/api/v1/"), ("POST", "/api/v1/"), ("POST", "/api/v1/maintenance/cleanup"),
                             ("PATCH", "/api/v1/settings"), ("GET", "/api/v1/events"), ("DELETE", "/api/v1/wo-00000000")):
            answer = g.request(method, path, "{}" if method != "GET" else None,
                               {"Content-Type": "text/plain", **extra, **headers})
            assert answer.status == 403, (path, answer)
            assert "access-control-allow-origin" not in answer.headers
    assert gateway.instance.call("order.list", all=True)["total_count"] == 0


def test_configured_origins_may(make_gateway):
    gateway = make_gateway({"gateway": {"cors_origins": ["http://localhost:3737"]}})
    answer = gateway.get("/api/v1/", Origin="http://localhost:3737", Sec_Fetch_Site="same-site")
    assert answer.status == 200 and answer.headers["access-control-allow-origin"] == "http://localhost:3737"
    assert "access-control-allow-credentials" not in answer.headers
    assert gateway.get("/api/v1/", Origin=EVIL).status == 403


def test_behind_a_proxy_that_changes_the_host(make_gateway):
    gateway = make_gateway({"gateway": {"auth": "token", "url": "https://awo.example.org"}})
    answer = gateway.get(login_link(gateway))
    jar = answer.headers["set-cookie"].split(";")[0]
    assert answer.headers["set-cookie"].endswith("; Secure")
    headers = {"Cookie": jar, "Origin": "https://awo.example.org", "Sec-Fetch-Site": "same-origin"}
    assert gateway.request("GET", "/api/v1/", headers=headers).status == 200
    assert gateway.request("GET", "/api/v1/", headers={**headers, "Origin": "http://awo.example.org"}).status == 403


# ---- limits

def test_rate_limit(make_gateway):
    gateway = make_gateway({"gateway": {"auth": "token", "rate_limit": 30}})
    mine, other = token(gateway), token(gateway)
    statuses = [gateway.get("/api/v1/session", **bearer(mine)).status for _ in range(40)]
    assert statuses[:30] == [200] * 30 and 429 in statuses[30:34] and statuses[-1] == 429
    refused = gateway.get("/api/v1/session", **bearer(mine))
    assert refused.status == 429 and 1 <= int(refused.headers["retry-after"]) <= 3
    # others have their own, and it comes back
    assert gateway.get("/api/v1/session", **bearer(other)).status == 200
    time.sleep(int(refused.headers["retry-after"]))
    assert gateway.get("/api/v1/session", **bearer(mine)).status == 200


def test_strangers_are_limited_by_their_address(make_gateway):
    """From this host, where a proxy may speak for many, ten times what is configured."""
    gateway = make_gateway({"gateway": {"auth": "token", "stranger_limit": 3}})
    mine, unused = token(gateway), token(gateway)
    jar = cookie(gateway)
    assert gateway.get("/api/v1/", **bearer(mine)).status == 200
    wrong = "awo_0000000000000000_" + "0" * 64
    asks = ({"Authorization": "Basic YTpi"}, bearer(wrong), {}, own(gateway, jar.split("=")[0] + "=awos_" + "0" * 80))
    statuses, began = [], time.monotonic()
    while 429 not in statuses and len(statuses) < 200:
        statuses.append(gateway.request("GET", "/api/v1/", headers=asks[len(statuses) % 4]).status)
    assert statuses[:30] == [401] * 30 and len(statuses) <= 32 + (time.monotonic() - began) / 2, statuses
    signed = {"X-GitHub-Event": "ping", "X-GitHub-Delivery": "1", "X-Hub-Signature-256": "sha256=" + "0" * 64}
    for method, path, body, headers in (
            ("GET", "/api/v1/", None, bearer(wrong)), ("GET", "/health", None, {}),
            ("GET", "/ui/login?token=awol_" + "0" * 80, None, {}), ("POST", "/webhooks/github", {"zen": "x"}, signed)):
        for _ in range(5):  # two seconds give room for one
            answer = gateway.request(method, path, body, headers)
            if answer.status == 429:
                break
        assert answer.status == 429 and 1 <= int(answer.headers["retry-after"]) <= 3, answer
        assert "gateway.stranger_limit" in answer.json["detail"]
    # whoever is known goes on, as do the pages that cost nothing
    for _ in range(20):
        assert gateway.get("/api/v1/", **bearer(mine)).status == 200
    assert gateway.get("/docs").status == 200 and gateway.get("/nothing").status == 404
    end = time.monotonic() + 10
    while gateway.get("/api/v1/", **bearer(unused)).status != 200:
        assert time.monotonic() < end
        time.sleep(0.3)


@needs_root
def test_streams_are_left_for_others(guarded):
    mine, others = token(guarded, ALICE), token(guarded, BOB)
    sockets = []

    def follow(text):
        s = socket.create_connection((guarded.host, guarded.port), timeout=10)
        sockets.append(s)
        s.sendall(f"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {text}\r\n\r\n".encode())
        return s

    try:
        for _ in range(1500):
            follow(mine)
        assert all(s.recv(12) == b"HTTP/1.1 200" for s in sockets)
        assert follow(mine).recv(12) == b"HTTP/1.1 429"
        assert follow(others).recv(12) == b"HTTP/1.1 200"
    finally:
        for s in sockets:
            s.close()


def test_a_webhook_that_nobody_signed_costs_by_its_size(make_gateway):
    gateway = make_gateway({"gateway": {"auth": "token", "stranger_limit": 10}, "webhooks": {"github_secret": "s" * 32}})
    headers = {"X-GitHub-Event": "ping", "X-GitHub-Delivery": "1", "X-Hub-Signature-256": "sha256=" + "0" * 64}
    statuses = [gateway.request("POST", "/webhooks/github", {"zen": "x" * 1000000}, headers).status for _ in range(10)]
    assert statuses[:2] == [401, 401] and 429 in statuses, statuses


def test_an_ended_session_and_a_revoked_token_have_no_answer_left(guarded):
    """Also where the gateway answers by itself."""
    made = guarded.instance.call("token.create", {"name": "t"})
    jar = cookie(guarded)
    for headers in (bearer(made["token"]), own(guarded, jar)):
        assert guarded.request("GET", "/api/v1/session", headers=headers).status == 200
        assert guarded.request("GET", "/api/v1/", headers=headers).status == 200
    guarded.instance.call("token.revoke", id=made["id"])
    with as_gateway(guarded) as c:
        c.call("session.end", session=jar.split("=", 1)[1])
    for headers in (bearer(made["token"]), own(guarded, jar)):
        assert guarded.request("GET", "/api/v1/session", headers=headers).status == 401
        assert guarded.request("GET", "/api/v1/", headers=headers).status == 401


def test_strangers_are_not_told_where_awods_socket_is(guarded):
    wrong = bearer("awo_0000000000000000_" + "0" * 64)
    assert guarded.get("/api/v1/", **wrong).status == 401
    guarded.instance.stop()
    headers = {"X-GitHub-Event": "ping", "X-GitHub-Delivery": "1", "X-Hub-Signature-256": "sha256=" + "0" * 64}
    for answer in (guarded.get("/api/v1/", **wrong), guarded.get("/health"), guarded.get("/ui/login?token=awol_" + "0" * 80),
                   guarded.request("POST", "/webhooks/github", {"zen": "x"}, headers)):
        assert answer.status == 503 and answer.json["detail"] == "the work order service is not reachable", answer
    assert str(guarded.instance.socket) in guarded.log()


def test_tokens_of_a_user_are_bounded(guarded):
    with Client(str(guarded.instance.socket)) as c:
        for _ in range(20):
            for msgid in [c.send("token.create", {"name": "t"}) for _ in range(50)]:
                c.receive(msgid)
        with pytest.raises(RpcError) as e:
            c.call("token.create", name="one more")
        assert e.value.code == "resource_exhausted" and "token rm" in e.value.message


# ---- the configuration

def check_config(instance):
    return subprocess.run(instance.argv("--check-config"), env=instance.env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("section, key, value, word", [
    ("gateway", "auth", "maybe", "token, none"), ("gateway", "url", "awo.example.org", "https://awo.example.org"),
    ("gateway", "url", "https://awo.example.org/", "slash"), ("gateway", "hosts", ["a/b"], "no host"),
    ("gateway", "cors_origins", ["*"], "origin"), ("gateway", "cors_origins", ["localhost:3737"], "origin"),
    ("gateway", "rate_limit", -1, "from 0"), ("gateway", "login", "1s", "from 10"),
    ("gateway", "rate_limits", 1, "rate_limit"), ("webhooks", "github_secret", "short", "16"),
    ("webhooks", "label", "", "empty"), ("webhooks", "lable", "x", "label")])
def test_what_the_configuration_refuses(make_instance, section, key, value, word):
    instance = make_instance(start=False)
    instance.set_config(**{section: {key: value}})
    checked = check_config(instance)
    assert checked.returncode != 0 and word in checked.stderr and "config.yaml" in checked.stderr, checked


def test_no_auth_is_for_this_host_alone(make_gateway, make_instance):
    instance = make_instance(start=False)
    instance.set_config(gateway={"auth": "none", "listen": "0.0.0.0:8053"})
    checked = check_config(instance)
    assert checked.returncode != 0 and "gateway.auth" in checked.stderr
    # the command line cannot get around it
    gateway = make_gateway(start=False, args=["--listen", "0.0.0.0:0"])
    with pytest.raises(RuntimeError) as e:
        gateway.start(timeout=10)
    assert "gateway.auth none" in str(e.value)
    gateway.process = None


# ---- awoctl

def test_awoctl_ui(guarded):
    address = f"http://{guarded.host}:{guarded.port}"
    done = guarded.instance.awoctl("ui", "--address", address)
    assert done.rc == 0 and done.out.startswith(f"{address}/ui/login?token=awol_"), done
    assert guarded.get(done.out.strip()[len(address):]).status == 303
    made = guarded.instance.awoctl("--json", "ui", "--print", "--address", address).json
    assert made["url"].startswith(address) and made["expires_at"].endswith("Z")
    assert guarded.instance.awoctl("ui", "--address", "ftp://x").rc == 2
    assert guarded.instance.awoctl("ui", "--scope", "root", "--address", address).rc == 1
    guarded.stop()
    gone = guarded.instance.awoctl("ui", "--address", address)
    assert gone.rc == 5 and "no gateway answers" in gone.err and "awo-gateway" in gone.err and not gone.out
    # something else that listens is not taken for one
    with socket.create_server(("127.0.0.1", 0)) as server:
        other = guarded.instance.awoctl("ui", "--address", f"http://127.0.0.1:{server.getsockname()[1]}")
    assert other.rc == 5 and "is no awo-gateway" in other.err and not other.out


def test_awoctl_tokens(guarded):
    ctl = guarded.instance.awoctl
    made = ctl("--json", "token", "create", "ci", "--scope", "read", "--expires", "1h").json
    assert made["scopes"] == ["read"] and made["expires_at"]
    assert guarded.get("/api/v1/", **bearer(made["token"])).status == 200
    listed = ctl("token", "ls")
    assert made["id"] in listed.out and "read" in listed.out and made["token"] not in listed.out
    assert ctl("token", "rm", made["id"]).rc == 0
    assert guarded.get("/api/v1/", **bearer(made["token"])).status == 401
    assert ctl("token", "rm", made["id"]).rc == 3
    assert ctl("token", "create", "x", "--scope", "all").rc == 1


def test_what_is_done_with_access_is_on_record(guarded):
    with Client(str(guarded.instance.socket)) as c:
        follow_events(c)
        made = guarded.instance.call("token.create", name="t")
        jar = cookie(guarded)
        guarded.request("POST", "/ui/logout", headers=own(guarded, jar))
        names, seen = ["token_created", "session_created", "session_opened", "session_ended"], []
        while len(seen) < len(names):
            seen.append(json.loads(c.next(10)[1]["line"]))
    assert [line["event"] for line in seen] == names
    assert seen[0]["token_id"] == made["id"]
    text = json.dumps(seen)
    assert made["token"] not in text and jar.split("=")[1] not in text
