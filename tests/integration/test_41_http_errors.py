"""What is refused over HTTP: with which status, and in words that say what to do."""
import json
import os
import signal
import threading
import time

import pytest
from awo_testlib.waiting import until


def detail(answer, status=422):
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/json"
    return answer.json["detail"]


CREATE = [
    ({}, "missing", ["body", "repository_url"]),
    ({"repository_url": "a/b"}, "missing", ["body", "user_request"]),
    ({"repository_url": 5, "user_request": "x"}, "string_type", ["body", "repository_url"]),
    ({"repository_url": "", "user_request": "x"}, "value_error", ["body", "repository_url"]),
    ({"repository_url": "a/b", "user_request": ["x"]}, "string_type", ["body", "user_request"]),
    ({"repository_url": "a/b", "user_request": "x", "sandbox_type": "vm"}, "enum", ["body", "sandbox_type"]),
    ({"repository_url": "a/b", "user_request": "x", "priority": 1000}, "less_than_equal", ["body", "priority"]),
    ({"repository_url": "a/b", "user_request": "x", "priority": -1000}, "greater_than_equal", ["body", "priority"]),
    ({"repository_url": "a/b", "user_request": "x" * 65537}, "value_error", ["body", "user_request"]),
    ({"repository_url": "a/b", "user_request": "x", "selected_commands": ["dance"]}, "value_error",
     ["body", "selected_commands"]),
    ({"repository_url": "a/b", "user_request": "x", "selected_commands": [1]}, "string_type", ["body", "selected_commands", 0]),
    ({"repository_url": "a/b", "user_request": "x", "github_issue_number": "x1"}, "value_error",
     ["body", "github_issue_number"]),
    ({"repository_url": "no repository", "user_request": "x"}, "value_error", ["body", "repository_url"]),
]


def test_create_says_what_is_wrong(gateway):
    for base in ("/api/v1/", "/api/agent-work-orders/"):
        for body, kind, loc in CREATE:
            error = detail(gateway.post(base, body))[0]
            assert set(error) == {"type", "loc", "msg", "input"}, error
            assert error["type"] == kind and error["loc"][:len(loc)] == loc and error["msg"], (str(body)[:200], error)
    assert gateway.get("/api/v1/").json["total_count"] == 0


def told(answer):
    return [(e["type"], e["loc"]) for e in detail(answer)]


def test_all_that_is_wrong_is_said_at_once(gateway):
    """Who mends one field need not ask again to hear of the next."""
    for base in ("/api/v1/", "/api/agent-work-orders", "/agent-work-orders"):
        assert told(gateway.post(base, {})) == [("missing", ["body", "repository_url"]), ("missing", ["body", "user_request"])]
        assert told(gateway.post(base, {"repository_url": "no repository", "priority": 101})) == [
            ("less_than_equal", ["body", "priority"]), ("value_error", ["body", "repository_url"]),
            ("missing", ["body", "user_request"])]
        everything = gateway.post(base, {"user_request": 1, "sandbox_type": "vm", "selected_commands": [1, "planning", None],
                                         "github_issue_number": [], "base_branch": {}, "priority": -101, "agent": 5}, Idempotency_Key="k")
        assert told(everything) == [
            ("missing", ["body", "repository_url"]), ("string_type", ["body", "user_request"]), ("enum", ["body", "sandbox_type"]),
            ("string_type", ["body", "selected_commands", 0]), ("string_type", ["body", "selected_commands", 2]),
            ("string_type", ["body", "github_issue_number"]), ("string_type", ["body", "agent"]),
            ("string_type", ["body", "base_branch"]), ("greater_than_equal", ["body", "priority"])], everything
        assert all(set(e) == {"type", "loc", "msg", "input"} and e["msg"] for e in everything.json["detail"])
        # and what only a look at what there is shows
        assert told(gateway.post(base, {"repository_url": "octo/thing", "user_request": " ", "agent": "nobody",
                                        "base_branch": "a..b", "selected_commands": ["dance"]})) == [
            ("value_error", ["body", name]) for name in ("user_request", "base_branch", "agent", "selected_commands")]
    assert told(gateway.get("/api/v1/?limit=0&offset=-1&status=done&since=now&until=soon")) == [
        ("enum", ["query", "status"]), ("value_error", ["query", "since"]), ("value_error", ["query", "until"]),
        ("greater_than_equal", ["query", "limit"]), ("greater_than_equal", ["query", "offset"])]
    assert told(gateway.post("/api/v1/wo-12345678/prompt", {"agent_work_order_id": "wo-00000000", "prompt_text": 5})) == [
        ("string_type", ["body", "prompt_text"]), ("value_error", ["body", "agent_work_order_id"])]
    assert told(gateway.get("/api/v1/events?after_id=x&level=loud")) == [("value_error", ["query", "after_id"])]
    assert told(gateway.get("/api/v1/events?agent_work_order_id=wo-12345678x")) == [
        ("value_error", ["query", "agent_work_order_id"])]
    assert told(gateway.get("/api/v1/events?level=loud")) == [("enum", ["query", "level"])]


def test_bodies_that_are_no_json(gateway):
    for body in ("{", "nonsense", '{"a":1}x', "\xff\xfe", '{"a":"\\ud800"}'):
        error = detail(gateway.post("/api/v1/", body))[0]
        assert error["type"] == "json_invalid" and error["loc"][0] == "body", error
    for body in ("[]", "1", "null", '"x"'):
        error = detail(gateway.post("/api/v1/", body))[0]
        assert error["loc"] == ["body"]
    assert detail(gateway.post("/api/v1/", ""))[0]["loc"] == ["body", "repository_url"]


def test_queries(gateway):
    for query, kind, field in (("limit=0", "greater_than_equal", "limit"), ("limit=501", "less_than_equal", "limit"),
                               ("limit=x", "value_error", "limit"), ("offset=-1", "greater_than_equal", "offset"),
                               ("status=done", "enum", "status"), ("since=yesterday", "value_error", "since")):
        error = detail(gateway.get(f"/api/v1/?{query}"))[0]
        assert error["type"] == kind and error["loc"] == ["query", field], error
    assert gateway.get("/api/v1/?unknown=1&limit=5").status == 200


def test_sandboxes_that_do_not_exist_yet(gateway, repo):
    for kind in ("e2b", "dagger"):
        answer = gateway.post("/api/v1/", {"repository_url": str(repo.path), "user_request": "x", "sandbox_type": kind})
        assert kind in detail(answer, 501)


def test_unknown_paths_and_methods(gateway):
    for path in ("/nothing", "/api", "/api/v2/", "/api/v1/wo-12345678/nothing", "/queue"):
        assert isinstance(detail(gateway.get(path), 404), str)
    for method, path, allow in (("PUT", "/api/v1/", "GET, HEAD, POST, OPTIONS"), ("POST", "/health", "GET, HEAD, OPTIONS"),
                                ("GET", "/api/v1/wo-12345678/cancel", "POST, OPTIONS"),
                                ("DELETE", "/api/agent-work-orders", "GET, HEAD, POST, OPTIONS")):
        answer = gateway.request(method, path)
        assert isinstance(detail(answer, 405), str) and answer.headers["allow"] == allow, answer
    for method in ("BREW", "TRACE", "CONNECT"):
        assert gateway.raw(f"{method} / HTTP/1.1\r\nHost: {gateway.host}:{gateway.port}\r\n\r\n".encode(), 3).startswith(b"HTTP/1.1 501")


RAW = [
    (b"BREW / HTTP/1.1\r\n%s\r\n", 501, "method"),
    (b"brew / HTTP/1.1\r\n%s\r\n", 501, "method"),
    (b"HEADER / HTTP/1.1\r\n%s\r\n", 501, "method"),
    (b"POST /api/v1/ HTTP/1.1\r\n%sContent-Length: 1048577\r\n\r\n", 413, "1 MiB"),
    (b"POST /api/v1/ HTTP/1.1\r\n%sContent-Length: 99999999999\r\nExpect: 100-continue\r\n\r\n", 413, "1 MiB"),
    (b"POST /api/v1/ HTTP/1.1\r\n%sContent-Length: 5\r\nExpect: tea\r\n\r\n", 417, "100-continue"),
    (b"GET / HTTP/1.1\r\n%sX: " + b"a" * 20000 + b"\r\n\r\n", 400, "16 KiB"),
    (b"GET / HTTP/1.1\r\n%sno header\r\n\r\n", 400, "HTTP"),
    (b"GET / HTTP/x\r\n%s\r\n", 400, "HTTP"),
    (b"POST /api/v1/ HTTP/1.1\r\n%sContent-Length: x\r\n\r\n", 400, "HTTP"),
    (b"GET http://[::1 HTTP/1.1\r\n%s\r\n", 400, "HTTP"),
]


def test_what_cannot_be_read_is_answered_as_all_is(gateway):
    """Refused before there is a request: JSON too, with an id that stands in the log, counted, and the connection ends."""
    host = f"Host: {gateway.host}:{gateway.port}\r\nX-Request-Id: raw-1\r\n".encode()
    for data, status, word in RAW:
        answer = gateway.raw(data % host, 3)
        head, _, body = answer.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        assert lines[0].startswith(f"HTTP/1.1 {status} "), (data[:80], answer)
        headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}
        assert headers["content-type"] == "application/json" and word in json.loads(body)["detail"], answer
        assert headers["connection"] == "close" and headers["x-content-type-options"] == "nosniff" and headers["x-request-id"]
        assert int(headers["content-length"]) == len(body) and f"status={status}" in gateway.log()
    # who knows the gateway by another's name is told nothing
    assert gateway.raw(b"BREW / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 3).startswith(b"HTTP/1.1 421 ")
    assert b"awo_http_answers_total{class=\"4xx\"} 9\n" in gateway.get("/metrics").body


def test_names_that_are_not_ours_are_told_nothing(gateway):
    """Host comes before all: before what a path is, which methods it has, and what is wrong with the target."""
    for method, path in (("GET", "/"), ("GET", "/nothing"), ("OPTIONS", "/api/v1/"), ("PUT", "/api/v1/"), ("GET", "/api//v1"),
                         ("GET", "/health"), ("GET", "/docs"), ("GET", "/ui/"), ("GET", "/metrics"), ("POST", "/webhooks/github")):
        answer = gateway.request(method, path, headers={"Host": "evil.example", "Origin": "http://evil.example"})
        assert isinstance(detail(answer, 421), str) and "allow" not in answer.headers, (method, path, answer)
        assert "access-control-allow-origin" not in answer.headers


def test_orders_that_are_not_there(gateway):
    for order in ("wo-00000000", "nonsense", "wo-", "%20"):
        for path in ("", "/logs", "/logs/stream", "/steps", "/git-progress", "/diff", "/artifacts", "/artifacts/x"):
            answer = gateway.get(f"/api/v1/{order}{path}")
            assert isinstance(detail(answer, 404), str), (order, path)
        assert gateway.post(f"/api/v1/{order}/cancel").status == 404
    for name in ("etc/passwd", "outputs/nothing", "prompts/x"):
        assert gateway.get(f"/api/v1/wo-00000000/artifacts/{name}").status == 404


def test_states_that_do_not_allow_it(gateway, repo):
    order = gateway.create(repo.path, "x")
    gateway.instance.completed(order)
    for action in ("pause", "resume", "cancel", "retry", "start", "approve"):
        assert "completed" in detail(gateway.post(f"/api/v1/{order}/{action}"), 409)


def test_fields_that_are_unknown_are_let_pass(gateway, repo):
    made = gateway.post("/api/v1/", {"repository_url": str(repo.path), "user_request": "x", "metadata": {"a": 1}})
    assert made.status == 201
    gateway.instance.completed(made.json["agent_work_order"]["agent_work_order_id"])


def test_a_success_has_no_error_member(gateway, repo):
    order = gateway.create(repo.path, "demo@planning: exit 3")
    gateway.instance.wait(order)
    for path in ("", "/steps", "/logs", "/git-progress", "/diff"):
        for base in ("/api/v1", "/api/agent-work-orders"):
            answer = gateway.get(f"{base}/{order}{path}")
            assert answer.status == 200 and "error" not in answer.json


def test_targets_that_are_ambiguous(gateway):
    for target in ("//", "//api/v1", "/api//v1/", "/api/v1/../v1/", "/api/v1/%2e%2e/v1", "/api/v1/a%2Fb", "/api/v1/a%2fb",
                   "/api/v1/a%00b", "/api/v1/%", "/api/v1/%zz", "/api/v1/a%5Cb", "/api/v1/%0a", "/api/v1/?q=%zz",
                   "/api/v1/?q=%00", "/api/v1/%ff", "/" + "a" * 9000, "/a/" * 30, "/?" + "a=1&" * 100):
        answer = gateway.raw(f"GET {target} HTTP/1.1\r\nHost: {gateway.host}:{gateway.port}\r\nConnection: close\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 400 "), (target, answer[:200])


def test_awod_away_and_back(gateway, repo):
    order = gateway.create(repo.path, "x")
    gateway.instance.completed(order)
    gateway.instance.stop()
    for path in ("/api/v1/", f"/api/agent-work-orders/{order}"):
        answer = gateway.get(path)
        assert "daemon" in detail(answer, 503) and "retry-after" in answer.headers
    health = gateway.get("/health")
    assert health.status == 503 and health.json["status"] == "unhealthy" and health.json["detail"]
    assert gateway.get("/").status == 200
    assert b"awo_up 0\n" in gateway.get("/metrics").body
    gateway.instance.start()
    until(lambda: gateway.get("/api/v1/").status == 200, "awod back", 15)
    assert gateway.get("/health").status == 200
    assert gateway.get(f"/api/v1/{order}").json["agent_work_order"]["status"] == "completed"


def test_gateway_starts_before_awod(make_gateway, make_instance):
    instance = make_instance({"gateway": {"auth": "none"}, "socket": {"gateway_user": "64010"}}, start=False)
    gateway = make_gateway(instance=instance)
    assert gateway.get("/api/v1/").status == 503
    instance.start()
    until(lambda: gateway.get("/api/v1/").status == 200, "awod back", 15)


def test_requests_under_way_when_awod_dies(gateway, repo):
    """Whoever waits is told; nothing hangs."""
    order = gateway.create(repo.path, "demo: hang")
    gateway.instance.wait(order, "running")
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(gateway.post(f"/api/v1/{order}/cancel"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    gateway.instance.stop(signal.SIGKILL)
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    assert {a.status for a in answers} <= {200, 409, 503}, answers
    gateway.instance.start()
    if gateway.get(f"/api/v1/{order}").json["agent_work_order"]["status"] not in ("cancelled", "failed"):
        gateway.post(f"/api/v1/{order}/cancel")
    gateway.instance.wait(order, "cancelled", "failed")


def test_a_request_under_way_is_answered_at_the_end(make_gateway, repo):
    """Told to stop while an agent that obeys nobody is being cancelled: who asked for that still hears of it."""
    gateway = make_gateway({"timeouts": {"kill": 2}})
    order = gateway.create(repo.path, "demo: ignore-term")
    gateway.instance.wait_event(order, "agent_output")
    answers = []
    thread = threading.Thread(target=lambda: answers.append(gateway.post(f"/api/v1/{order}/cancel")))
    thread.start()
    time.sleep(0.5)
    assert not answers
    os.kill(gateway.pid, signal.SIGTERM)
    time.sleep(0.2)
    with pytest.raises(OSError):
        gateway.get("/")
    assert not answers
    thread.join(20)
    assert not thread.is_alive() and answers[0].status == 200, answers
    assert answers[0].json["agent_work_order"]["status"] == "cancelled"
    assert gateway.process.wait(10) == 0


def test_stops_gracefully(gateway, repo):
    """What has been asked is answered; new connections are refused; streams end."""
    order = gateway.create(repo.path, "demo: hang")
    gateway.instance.wait(order, "running")
    stream = gateway.stream(f"/api/v1/{order}/logs/stream")
    assert stream.status == 200
    events = stream.events()
    assert next(events)[0] == "message"
    os.kill(gateway.pid, signal.SIGTERM)
    assert "end" not in [kind for kind, _, _ in events]
    assert gateway.process.wait(10) == 0
    with pytest.raises(OSError):
        gateway.get("/")
    gateway.process = None
    gateway.start()
    assert gateway.post(f"/api/v1/{order}/cancel").status == 200
    assert json.loads(gateway.get(f"/api/v1/{order}").body)["agent_work_order"]["status"] == "cancelled"
