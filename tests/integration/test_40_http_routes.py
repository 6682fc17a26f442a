"""Every route over real HTTP, in both shapes."""
import gzip
import json
import re
import subprocess

import pytest
from awo_testlib import npm

NATIVE = ["/api/v1", "/api/v1/agent-work-orders", "/agent-work-orders"]
LEGACY = ["/api/agent-work-orders", "/api/agent-work-orders/agent-work-orders"]


@pytest.fixture
def order(gateway, repo):
    """A completed order, made over HTTP."""
    order_id = gateway.create(repo.path)
    gateway.instance.completed(order_id)
    return order_id


def addresses(api):
    """(path, methods) of everything that there is, an order's id and names filled in."""
    for path, item in sorted(api["paths"].items()):
        path = re.sub(r"\{path\}", "index.html", path)
        path = path.replace("{id}", "wo-00000000").replace("{what}", "nothing")
        yield re.sub(r"\{[^}]*\}", "x", path), {m.upper() for m in item}


def spelling_of(answer):
    """What two spellings of one address must have in common."""
    return (answer.status, answer.headers.get("content-type"), answer.headers.get("allow"), answer.headers.get("location"),
            re.sub(rb'"(uptime[^"]*|timestamp|started_at|free_bytes|used_percent)":[^,}]*|awo_\S* [-+.e0-9]+', b"", answer.body))


def test_every_path_with_every_method(gateway):
    """With and without a slash, below each mount: the route is found, or the methods that there are are named; no redirect."""
    api = gateway.get("/openapi.json").json
    known = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
    shapes = {}
    for path, methods in addresses(api):
        if path.endswith("/events"):
            assert gateway.request("HEAD", path + "/").headers["content-type"] == "text/event-stream"
            methods = methods - {"GET"}
        allow = [m for m in known if m in methods or (m == "HEAD" and "GET" in methods) or m == "OPTIONS"]
        for method in known:
            if method == "GET" and path.endswith("/events"):
                continue
            if method == "POST" and path.endswith("/maintenance/cleanup"):
                continue   # it has a test of its own
            body = {} if method in ("POST", "PUT", "PATCH") else None
            plain = gateway.request(method, path, body)
            slashed = gateway.request(method, path.rstrip("/") + "/", body)
            assert plain.headers["x-request-id"] and plain.headers["x-request-id"] != slashed.headers["x-request-id"]
            if path not in ("/metrics", "/ui/login") and not path.endswith(("/health", "/metrics")):
                assert spelling_of(plain) == spelling_of(slashed), (method, path, plain, slashed)
            if method == "OPTIONS":
                names = plain.headers["allow"].split(", ")
                assert plain.status == 204 and set(allow) <= set(names), (path, names, allow)
            elif method in allow:
                assert plain.status not in (405, 301, 302, 307, 308) and b"there is nothing at this path" not in plain.body, (method, path)
                if path != "/" and "/ui" not in path:
                    assert plain.status != 303, (method, path)
            elif not path.endswith("/events"):
                assert plain.status == 405 and plain.headers["allow"].split(", ") == allow, (method, path, plain)
                assert isinstance(plain.json["detail"], str) if method != "HEAD" else plain.body == b""
            for mount in NATIVE + LEGACY:
                if path.startswith(mount + "/") or path == mount:
                    shapes.setdefault((method, path[len(mount):].strip("/")), {})[mount] = plain.status
    # the mounts differ in shape, never in what is done; (the bare collection has no {id} of its own below the longer one)
    for (method, tail), by_mount in shapes.items():
        if tail.split("/")[0] != "agent-work-orders":
            assert len(set(by_mount.values())) == 1 or method in ("DELETE",), (method, tail, by_mount)


def test_root_says_what_it_is(gateway):
    answer = gateway.get("/")
    assert answer.status == 200 and answer.json["service"] == "agent-work-orders"
    browser = gateway.get("/", Accept="text/html,application/xhtml+xml")
    assert browser.status == 303 and browser.headers["location"] == "/ui/"


def test_health_everywhere(gateway):
    for path in ["/health", "/health/", *(f"{p}/health" for p in NATIVE + LEGACY)]:
        answer = gateway.get(path)
        assert answer.status == 200, answer
        health = answer.json
        assert health["status"] in ("healthy", "degraded") and health["service"] == "agent-work-orders"
        assert health["storage_type"] == "sqlite" and health["database"] == {"status": "healthy", "tables_exist": True}
        assert {"claude_cli", "git", "github"} <= set(health["dependencies"])
        assert set(health["queue"]) == {"running", "pending", "max_concurrent"}


def test_create_get_list_native(gateway, repo):
    for prefix in NATIVE:
        for slash in ("", "/"):
            made = gateway.post(prefix + slash, {"repository_url": str(repo.path), "user_request": "x",
                                                 "selected_commands": ["create-branch"]})
            assert made.status == 201, made
            order = made.json["agent_work_order"]
            assert made.headers["location"].endswith(order["agent_work_order_id"])
            assert made.json["logs_url"].endswith(f"/{order['agent_work_order_id']}/logs")
            one = gateway.get(f"{prefix}/{order['agent_work_order_id']}{slash}")
            assert one.json["agent_work_order"]["agent_work_order_id"] == order["agent_work_order_id"]
            assert gateway.get(made.json["logs_url"]).status == 200
    page = gateway.get("/api/v1/?limit=2").json
    assert len(page["agent_work_orders"]) == 2 and page["total_count"] == 6 and page["has_more"] is True
    after = gateway.get(f"/api/v1/?limit=10&cursor={page['next_cursor']}").json
    assert len(after["agent_work_orders"]) == 4 and after["has_more"] is False and after["next_cursor"] is None
    assert gateway.get("/api/v1/?offset=5").json["total_count"] == 6


def test_create_get_list_legacy(gateway, repo):
    for prefix in LEGACY:
        for slash in ("", "/"):
            made = gateway.post(prefix + slash, {"repository_url": str(repo.path), "user_request": "x",
                                                 "selected_commands": ["create-branch"]})
            assert made.status == 201, made
            assert made.json["message"] and made.json["logs_url"]
            assert made.json["agent_work_order"]["agent_work_order_id"] == made.json["agent_work_order_id"]
            one = gateway.get(f"{prefix}/{made.json['agent_work_order_id']}{slash}")
            assert one.json["agent_work_order_id"] == made.json["agent_work_order_id"]
            assert "agent_work_order" not in one.json and "logs_url" not in one.json
    listed = gateway.get("/api/agent-work-orders/?limit=3")
    assert isinstance(listed.json, list) and len(listed.json) == 3 and listed.headers["x-total-count"] == "4"


def test_states_that_older_clients_know(gateway, repo):
    made = gateway.post("/api/v1/", {"repository_url": str(repo.path), "user_request": "demo: hang"}).json
    order = made["agent_work_order"]["agent_work_order_id"]
    gateway.instance.wait(order, "running")
    paused = gateway.post(f"/api/v1/{order}/pause")
    assert paused.status == 200 and paused.json["agent_work_order"]["status"] == "paused"
    assert gateway.get(f"/api/agent-work-orders/{order}").json["status"] == "running"
    resumed = gateway.post(f"/api/agent-work-orders/{order}/resume", {})
    assert resumed.status == 200 and resumed.json["agent_work_order_id"] == order
    gateway.instance.wait(order, "running")
    cancelled = gateway.post(f"/api/v1/{order}/cancel", {"reason": "enough"})
    assert cancelled.status == 200 and cancelled.json["agent_work_order"]["status"] == "cancelled", cancelled
    assert gateway.get(f"/api/agent-work-orders/{order}").json["status"] == "failed"
    assert [o["status"] for o in gateway.get("/api/agent-work-orders/").json] == ["failed"]
    again = gateway.post(f"/api/v1/{order}/retry")
    assert again.status == 200 and again.json["agent_work_order"]["attempt"] == 2
    assert gateway.post(f"/api/v1/{order}/cancel").status == 200
    gone = gateway.request("DELETE", f"/api/v1/{order}")
    assert gone.status == 200 and gone.json == {"agent_work_order_id": order, "deleted": True}
    assert gateway.get(f"/api/v1/{order}").status == 404


def test_states_that_older_clients_ask_for(gateway, repo):
    """?status= finds what is shown as that state: no order is lost between the list and its filter."""
    gateway.instance.call("settings.set", key="max_concurrent", value=3)
    ids = {}
    for name, request in (("paused", "demo: hang"), ("running", "demo: hang"), ("cancelled", "demo: hang"),
                          ("failed", "demo@create-branch: exit 3"), ("completed", "x")):
        ids[name] = gateway.create(repo.path, request, selected_commands=["create-branch"])
        if name == "paused":
            gateway.instance.wait(ids[name], "running")
            assert gateway.post(f"/api/v1/{ids[name]}/pause").status == 200
        elif name == "cancelled":
            gateway.instance.wait(ids[name], "running")
            assert gateway.post(f"/api/v1/{ids[name]}/cancel").status == 200
        else:
            gateway.instance.wait(ids[name], name)
    for base in ("/api/agent-work-orders", "/api/agent-work-orders/agent-work-orders/"):
        shown = {o["agent_work_order_id"]: o["status"] for o in gateway.get(base).json}
        assert len(shown) == 5
        for status, names in (("running", {"running", "paused"}), ("failed", {"failed", "cancelled"}), ("completed", {"completed"}),
                              ("pending", set())):
            listed = gateway.get(f"{base}?status={status}")
            assert {o["agent_work_order_id"] for o in listed.json} == {ids[n] for n in names} == \
                {i for i, s in shown.items() if s == status}, (status, listed)
            assert listed.headers["x-total-count"] == str(len(names))
        page = gateway.get(f"{base}?status=failed&limit=1&offset=1")
        assert len(page.json) == 1 and page.headers["x-total-count"] == "2"
    for status in ids:
        native = gateway.get(f"/api/v1/?status={status}").json
        assert [o["agent_work_order_id"] for o in native["agent_work_orders"]] == [ids[status]] and native["total_count"] == 1
    both = gateway.get("/api/v1/?statuses=paused,cancelled").json
    assert {o["status"] for o in both["agent_work_orders"]} == {"paused", "cancelled"} and both["total_count"] == 2
    assert gateway.get("/api/v1/?statuses=paused,resting").json["detail"][0]["loc"] == ["query", "statuses"]
    for name in ("paused", "running"):
        gateway.post(f"/api/v1/{ids[name]}/cancel")


def test_what_an_order_left(gateway, order):
    for prefix in NATIVE + LEGACY:
        base = f"{prefix}/{order}"
        steps = gateway.get(f"{base}/steps").json
        assert steps["agent_work_order_id"] == order and steps["steps"][0]["step"] == "create-branch"
        progress = gateway.get(f"{base}/git-progress").json
        assert progress["git_commit_count"] > 0 and progress["phase_history"]
        logs = gateway.get(f"{base}/logs?limit=5&offset=1").json
        assert set(logs) >= {"agent_work_order_id", "log_entries", "total", "total_count", "filtered_total", "limit", "offset",
                             "has_more"}
        assert len(logs["log_entries"]) == 5 and logs["limit"] == 5 and logs["offset"] == 1 and logs["has_more"] is True
        diff = gateway.get(f"{base}/diff").json
        assert diff["files"] and diff["patch"].startswith("diff --git")
        artifacts = gateway.get(f"{base}/artifacts").json["artifacts"]
        name = next(a["name"] for a in artifacts if a["name"].startswith("prompts/"))
        assert gateway.get(f"{base}/artifacts/{name}").json["content"]
    only = gateway.get(f"/api/v1/{order}/logs?step=planning&limit=1000").json
    assert only["log_entries"] and {line["step"] for line in only["log_entries"]} == {"planning"}
    after = gateway.get(f"/api/v1/{order}/logs?after_seq={only['log_entries'][0]['seq']}&limit=1").json
    assert after["log_entries"][0]["seq"] > only["log_entries"][0]["seq"]


def test_prompt(gateway, order):
    answer = gateway.post(f"/api/v1/{order}/prompt", {"agent_work_order_id": order, "prompt_text": "Go on"})
    assert answer.status == 200, answer
    assert answer.json["success"] is True and answer.json["prompt_accepted"] is True and answer.json["message"]
    assert answer.json["agent_work_order_id"] == order
    gateway.instance.completed(order)
    other = gateway.post(f"/api/v1/{order}/prompt", {"agent_work_order_id": "wo-00000000", "prompt_text": "Go on"})
    assert other.status == 422 and other.json["detail"][0]["loc"] == ["body", "agent_work_order_id"]


def test_start_and_queue(gateway, repo):
    gateway.instance.call("settings.set", key="max_concurrent", value=1)
    first = gateway.post("/api/v1/", {"repository_url": str(repo.path), "user_request": "demo: hang"}).json
    order = first["agent_work_order"]["agent_work_order_id"]
    gateway.instance.wait(order, "running")
    second = gateway.post("/api/v1/", {"repository_url": str(repo.path), "user_request": "x", "priority": 5}).json
    waits = second["agent_work_order"]["agent_work_order_id"]
    queue = gateway.get("/api/v1/queue").json
    assert queue["pending"] == 1 and queue["entries"][0]["agent_work_order_id"] == waits
    full = gateway.post(f"/api/v1/{waits}/start")
    assert full.status == 429 and "retry-after" in full.headers, full
    for each in (waits, order):
        assert gateway.post(f"/api/agent-work-orders/{each}/cancel").status == 200


def test_repositories(gateway, repo, place):
    for prefix in ("/api/v1", "/api/agent-work-orders"):
        made = gateway.post(f"{prefix}/repositories", {"repository_url": str(repo.path)})
        assert made.status == 201, made
        known = made.json
        assert re.fullmatch(r"[0-9a-f-]{36}", known["id"]) and known["is_verified"] is True
        assert gateway.post(f"{prefix}/repositories/", {"repository_url": str(repo.path)}).status == 409
        path = f"{prefix}/repositories/{known['id']}"
        assert gateway.get(path).json["repository_url"] == known["repository_url"]
        changed = gateway.request("PATCH", path, {"default_sandbox_type": "git_branch", "default_commands": ["create-branch"]})
        assert changed.status == 200 and changed.json["default_sandbox_type"] == "git_branch"
        listed = gateway.get(f"{prefix}/repositories")
        if prefix == "/api/v1":
            assert [r["id"] for r in listed.json["repositories"]] == [known["id"]] and listed.json["total_count"] == 1
        else:
            assert [r["id"] for r in listed.json] == [known["id"]] and listed.headers["x-total-count"] == "1"
        verified = gateway.post(f"{path}/verify")
        assert verified.status == 200 and verified.json["verification_success"] is True, verified
        assert verified.json["repository"]["is_accessible"] is True
        order = gateway.post("/api/v1/", {"repository_id": known["id"], "user_request": "x"}).json["agent_work_order"]
        assert order["sandbox_type"] == "git_branch" and order["selected_commands"] == ["create-branch"]
        gateway.instance.completed(order["agent_work_order_id"])
        assert gateway.request("DELETE", path).json == {"deleted": True}
        assert gateway.get(path).status == 404
    missing = gateway.post("/github/verify-repository", {"repository_url": str(place / "nothing.git")})
    assert missing.status == 200 and missing.json["is_accessible"] is False and missing.json["error_message"]
    assert gateway.post("/api/v1/", {"repository_id": "00000000-0000-0000-0000-000000000000", "user_request": "x"}).status == 404


def test_settings_and_credentials(gateway):
    base = "/api/v1"
    keys = {s["key"] for s in gateway.get(f"{base}/settings").json["settings"]}
    assert {"max_concurrent", "github.token"} <= keys
    assert [s["key"] for s in gateway.get(f"{base}/settings?key=max_concurrent").json["settings"]] == ["max_concurrent"]
    stored = gateway.request("PUT", f"{base}/credentials", {"name": "mine", "kind": "github_token", "value": "ghp_secret1234"})
    assert stored.status == 200 and stored.json["masked"] == "***1234" and "ghp_secret1234" not in stored.body.decode()
    assert [c["name"] for c in gateway.get(f"{base}/credentials").json["credentials"]] == ["mine"]
    assert gateway.request("DELETE", f"{base}/credentials/mine").json == {"deleted": True}
    tested = gateway.post(f"{base}/settings/test/agent")
    assert tested.status == 200 and set(tested.json) >= {"success", "message"}
    assert gateway.post(f"{base}/settings/test/nothing").status == 422


def test_what_else_there_is(gateway):
    assert {w["name"] for w in gateway.get("/api/v1/workflows").json["workflows"]} >= {"agent_workflow_plan"}
    assert gateway.get("/api/v1/workflows/agent_workflow_plan").json["steps"]
    valid = gateway.post("/api/v1/workflows/validate", {"selected_commands": ["execute"]}).json
    assert valid["valid"] is False and valid["errors"]
    assert {c["name"] for c in gateway.get("/api/v1/commands").json["commands"]} >= {"planning"}
    assert {t["name"]: t["available"] for t in gateway.get("/api/v1/info").json["sandbox_types"]}["e2b"] is False
    assert gateway.get("/api/v1/metrics").json["metrics"]["orders"]["pending"] == 0


def families(text):
    """Reads the text format as its document says: {family: (type, {labels: value})}; what is not so is an error."""
    out, helped, family = {}, set(), None
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name, words = line[7:].split(" ", 1)
            assert name not in helped and words.strip(), line
            helped.add(name)
        elif line.startswith("# TYPE "):
            family, kind = line[7:].split(" ")
            assert family not in out and family in helped and kind in ("counter", "gauge", "histogram"), line
            assert kind != "counter" or family.endswith("_total"), line
            assert kind == "counter" or not family.endswith("_total"), line
            out[family] = (kind, {})
        else:
            found = re.fullmatch(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{([a-z]+)="((?:[^"\\\n]|\\[\\"n])*)"\})? ([-+0-9.e]+|NaN|[+-]Inf)', line)
            assert found, line
            kind, samples = out[family]
            name = found[1]
            assert name == family or (kind == "histogram" and name in {f"{family}_{x}" for x in ("bucket", "sum", "count")}), line
            key = (name, found[2], found[3])
            assert key not in samples, line
            samples[key] = float(found[4])
    for family, (kind, samples) in out.items():
        assert samples or family.startswith("awo_rpc_errors"), family
        if kind == "histogram":
            buckets = [(float(le), v) for (name, _, le), v in samples.items() if name.endswith("_bucket")]
            assert buckets == sorted(buckets) and [v for _, v in buckets] == sorted(v for _, v in buckets), family
            assert buckets[-1] == (float("inf"), samples[(f"{family}_count", None, None)]), family
    return out


def test_metrics_for_prometheus(gateway, order):
    assert gateway.get("/health").status == 200
    answer = gateway.get("/metrics")
    assert answer.status == 200 and answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = families(answer.body.decode())
    assert {
        "awo_build_info", "awo_up", "awo_orders", "awo_queue_wait_seconds", "awo_step_seconds", "awo_worker_launches_total", "awo_rpc_seconds",
        "awo_rpc_requests_total", "awo_rpc_errors_total", "awo_http_request_seconds", "awo_http_requests_total", "awo_http_answers_total",
        "awo_gateway_rpc_seconds", "awo_http_bytes_sent_total", "awo_input_tokens_total", "awo_output_tokens_total", "awo_cost_usd_total",
        "awo_http_connections", "awo_sse_readers", "awo_sse_readers_dropped_total"} <= set(found)
    seen = {name + (f'{{{label}="{value}"}}' if label else ""): v for _, samples in found.values() for (name, label, value), v in samples.items()}
    assert seen['awo_orders{state="completed"}'] == 1 and seen["awo_up"] == 1
    assert {v for (_, _, v) in found["awo_orders"][1]} == {"pending", "running", "waiting", "paused", "completed", "failed", "cancelled"}
    assert seen["awo_step_seconds_count"] >= 5 and seen["awo_queue_wait_seconds_count"] == 1 and seen["awo_worker_launches_total"] >= 1
    assert seen["awo_rpc_seconds_count"] > 0 and seen["awo_output_tokens_total"] > 0 and seen["awo_cost_usd_total"] > 0
    assert seen["awo_http_bytes_sent_total"] > 500
    # every answer once: none of them was a stream
    answered = sum(v for k, v in seen.items() if k.startswith("awo_http_answers_total{"))
    assert seen["awo_http_request_seconds_count"] == answered > 0


VALIDATOR = """
import { Validator } from '%s';
const validator = new Validator();
const result = await validator.validate(JSON.parse(await new Response(process.stdin).text()));
console.log(JSON.stringify({ ...result, version: validator.version }));
"""


def test_description_is_valid_openapi(gateway, place):
    """By a validator that knows the specification's own schema; every reference leads somewhere, every operation is named once."""
    api = gateway.get("/openapi.json")
    try:
        package = npm.package("@seriousme/openapi-schema-validator", "2.4.1", "openapi-validator", "a validator of OpenAPI")
    except npm.Missing as e:
        pytest.skip(str(e))
    main = package / json.loads((package / "package.json").read_text())["main"]
    (place / "validate.mjs").write_text(VALIDATOR % main.resolve())
    done = subprocess.run(["node", str(place / "validate.mjs")], input=api.body, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["valid"] is True and result["version"] == "3.1", done.stdout[:4000]
    tree = api.json
    for name in re.findall(rb'"\$ref":"#/components/([a-z]+/[a-z_]+)"', api.body):
        kind, name = name.decode().split("/")
        assert name in tree["components"][kind], name
    names = [op["operationId"] for item in tree["paths"].values() for op in item.values()]
    assert len(names) == len(set(names)) > 100
    for path, item in tree["paths"].items():
        for op in item.values():
            given = {p["name"] for p in op.get("parameters", []) if p["in"] == "path"}
            assert given == set(re.findall(r"\{([^}]*)\}", path)), (path, given)


def test_description(gateway):
    api = gateway.get("/openapi.json")
    assert api.status == 200 and api.json["openapi"] == "3.1.0"
    assert set(api.json["paths"]["/api/v1/{id}"]) == {"get", "delete"}
    page = gateway.get("/docs")
    assert page.status == 200 and page.headers["content-type"].startswith("text/html")
    assert b"http://" not in page.body and b"https://" not in page.body
    assert "unsafe" not in page.headers["content-security-policy"]


def check_below(gateway, order, base):
    large = 0
    for tail in ("", "/?limit=1", f"/{order}", f"/{order}/", f"/{order}/steps", f"/{order}/logs?limit=100", f"/{order}/git-progress",
                 f"/{order}/artifacts", "/queue", "/repositories", "/settings", "/workflows", "/commands", "/openapi.json", "/docs"):
        full = gateway.get(base + tail, X_Request_Id=f"mine.{len(tail)}")
        assert full.status == 200 and full.headers["x-request-id"] == f"mine.{len(tail)}" and full.headers["cache-control"], tail
        head = gateway.request("HEAD", base + tail)
        assert head.status == 200 and head.body == b"" and head.headers["content-type"] == full.headers["content-type"]
        if "progress" in tail or "queue" in tail:
            continue   # these tell the time
        assert head.headers["content-length"] == str(len(full.body)) and head.headers["etag"] == full.headers["etag"], tail
        same = gateway.get(base + tail, If_None_Match=f'"x", {full.headers["etag"]}')
        assert same.status == 304 and same.body == b"" and same.headers["etag"] == full.headers["etag"], tail
        assert gateway.get(base + tail, If_None_Match='W/"other"').status == 200
        assert gateway.get(base + tail, If_None_Match="*").status == 304
        packed = gateway.get(base + tail, Accept_Encoding="gzip")
        if len(full.body) >= 4096:
            large += 1
            assert gzip.decompress(packed.body) == full.body and packed.headers["etag"] == full.headers["etag"], tail
        else:
            assert packed.body == full.body and "content-encoding" not in packed.headers, tail
    assert large >= 2
    options = gateway.request("OPTIONS", f"{base}/{order}")
    assert options.status == 204 and options.headers["allow"] == "GET, HEAD, DELETE, OPTIONS"
    assert "access-control-allow-origin" not in options.headers


def test_head_tags_and_ids_below_each_mount(gateway, order):
    for base in NATIVE + LEGACY:
        check_below(gateway, order, base)


def test_large_answers_are_compressed(gateway, order):
    plain = gateway.get(f"/api/v1/{order}/logs?limit=1000")
    packed = gateway.get(f"/api/v1/{order}/logs?limit=1000", Accept_Encoding="gzip, br")
    assert packed.headers["content-encoding"] == "gzip" and gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body) / 3 and packed.headers["etag"] == plain.headers["etag"]
    assert "content-encoding" not in plain.headers and "Accept-Encoding" in plain.headers["vary"]
    assert "content-encoding" not in gateway.get("/", Accept_Encoding="gzip").headers


def test_request_ids(gateway, repo):
    made = gateway.post("/api/v1/", {"repository_url": str(repo.path), "user_request": "x"}, X_Request_Id="from-me.1")
    assert made.headers["x-request-id"] == "from-me.1"
    order = made.json["agent_work_order"]["agent_work_order_id"]
    gateway.instance.completed(order)
    assert gateway.instance.wait_event(order, "agent_work_order_created")["request_id"] == "from-me.1"
    assert "request_id=from-me.1" in gateway.log()
    ids = {gateway.get("/").headers["x-request-id"] for _ in range(5)}
    assert len(ids) == 5
    assert gateway.get("/", X_Request_Id="not ok").headers["x-request-id"] != "not ok"


def test_idempotency_key(gateway, repo):
    """The same key is the same order, whichever spelling of the address repeats it; another key is another order."""
    body = {"repository_url": str(repo.path), "user_request": "x", "selected_commands": ["create-branch"]}
    made = set()
    for base in NATIVE + LEGACY:
        for slash in ("", "/"):
            answer = gateway.post(base + slash, body, Idempotency_Key="k1")
            assert answer.status == 201
            made.add(answer.json["agent_work_order"]["agent_work_order_id"])
    assert len(made) == 1 and gateway.get("/api/v1").json["total_count"] == 1
    other = gateway.post("/api/agent-work-orders/", body, Idempotency_Key="k2").json["agent_work_order_id"]
    assert other not in made
    for order in (*made, other):
        gateway.instance.completed(order)


def test_cors_only_for_configured_origins(make_gateway):
    gateway = make_gateway({"gateway": {"cors_origins": ["http://ui.example:3737"]}})
    ours = gateway.get("/api/v1/", Origin="http://ui.example:3737")
    assert ours.headers["access-control-allow-origin"] == "http://ui.example:3737"
    preflight = gateway.request("OPTIONS", "/api/v1/", headers={
        "Origin": "http://ui.example:3737", "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type"})
    assert preflight.status == 204 and "POST" in preflight.headers["access-control-allow-methods"]
    assert "Content-Type" in preflight.headers["access-control-allow-headers"]
    assert "access-control-allow-origin" not in gateway.get("/api/v1/", Origin="http://evil.example").headers


def test_security_headers(gateway):
    for path in ("/", "/health", "/api/v1/", "/nothing", "/docs", "/ui/", "/api/v1//x"):
        headers = gateway.get(path).headers
        assert headers["x-content-type-options"] == "nosniff", path
        assert headers["x-frame-options"] == "DENY" and headers["referrer-policy"] == "no-referrer"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]


def test_ui_files(make_gateway, place):
    ui = place / "ui"
    (ui / "assets").mkdir(parents=True)
    (ui / "index.html").write_text("<!doctype html><title>ui</title>")
    (ui / "assets" / "index-abc123.js").write_text("console.log(1);\n" * 100)
    (ui / "assets" / "index-abc123.js.gz").write_bytes(gzip.compress((ui / "assets" / "index-abc123.js").read_bytes()))
    (place / "secret").write_text("no")
    (ui / "link").symlink_to(place / "secret")
    gateway = make_gateway(args=["--ui-dir", ui])
    for path in ("/ui", "/ui/", "/ui/orders/wo-12345678", "/ui/index.html"):
        page = gateway.get(path)
        assert page.status == 200 and b"<title>ui" in page.body and page.headers["cache-control"] == "no-cache", path
    script = gateway.get("/ui/assets/index-abc123.js")
    assert script.status == 200 and script.headers["content-type"].startswith("text/javascript")
    assert "immutable" in script.headers["cache-control"]
    packed = gateway.get("/ui/assets/index-abc123.js", Accept_Encoding="gzip")
    assert packed.headers["content-encoding"] == "gzip" and gzip.decompress(packed.body) == script.body
    assert gateway.get("/ui/assets/index-abc123.js", If_None_Match=script.headers["etag"]).status == 304
    assert gateway.request("HEAD", "/ui/assets/index-abc123.js").headers["content-length"] == str(len(script.body))
    assert gateway.get("/ui/assets/other.js").status == 404
    assert b"no" != gateway.get("/ui/link").body


def test_without_a_ui_a_page_says_so(make_gateway, place):
    gateway = make_gateway(args=["--ui-dir", place / "nothing"])
    page = gateway.get("/ui/")
    assert page.status == 200 and b"npm" in page.body and page.headers["content-type"].startswith("text/html")


def test_maintenance(gateway):
    # the gateway's own user is no administrator in system mode
    expected = 403 if gateway.instance.system else 200
    for what in ("cleanup", "reconcile"):
        answer = gateway.post(f"/api/v1/maintenance/{what}", {"dry_run": True})
        assert answer.status == expected, answer
        if expected == 200:
            assert set(answer.json) >= {"removed", "kept", "bytes_freed", "errors"}


def test_options_of_the_program(make_gateway, instance):
    gateway = make_gateway(instance=instance, start=False)
    program = str(instance.programs / "awo-gateway")
    run = lambda *a: subprocess.run([program, *a], capture_output=True, text=True, env=gateway.env, timeout=30, check=False)
    assert run("--version").stdout.startswith("awo-gateway ")
    assert "--listen" in run("--help").stdout
    assert run("--nothing").returncode == 1
    checked = run("--check-config", "--config", str(instance.config_dir / "config.yaml"))
    assert checked.returncode == 0 and "gateway" in checked.stdout
    instance.write_config("gateway:\n  lisen: x\n")
    bad = run("--check-config", "--config", str(instance.config_dir / "config.yaml"))
    assert bad.returncode != 0 and "config.yaml:2" in bad.stderr and "listen" in bad.stderr
