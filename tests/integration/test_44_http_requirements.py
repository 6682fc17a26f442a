"""The requests that the requirements spell out, word by word, and what they promise to answer."""
import json
import re
import shutil
import subprocess
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from awo_testlib.remotes import Repository

ORDER = re.compile(r"wo-[0-9a-f]{8}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def opened(gateway, auth):
    """Without a token the requests are sent as they stand; with one it is added, and nothing else."""
    gateway.token = None
    if auth == "token":
        gateway.token = gateway.instance.call("token.create", name="t")["token"]
        plain = gateway.request
        gateway.request = lambda method, path, body=None, headers=None, timeout=60: plain(
            method, path, body, {"Authorization": f"Bearer {gateway.token}", **(headers or {})}, timeout)
    return gateway


@pytest.fixture(params=["none", "token"])
def gateway(request, make_gateway):
    return opened(make_gateway({"gateway": {"auth": request.param}}), request.param)


def shell(gateway, command):
    """A command line of the requirements, with its host and port replaced."""
    command = re.sub(r"http://localhost:\d+", f"http://127.0.0.1:{gateway.port}", command)
    if gateway.token:
        command = command.replace("curl ", f"curl -H 'Authorization: Bearer {gateway.token}' ", 1)
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# The service layer of the web client: its addresses, methods, headers and bodies, in the language that runs it. A browser
# completes relative addresses; who calls is added where a token is needed.
CLIENT = r"""
import { createInterface } from 'node:readline';
const [base, token] = process.argv.slice(2);
const network = globalThis.fetch;
const statuses = [];
globalThis.fetch = async (path, options = {}) => {
  const headers = { ...options.headers, ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  const response = await network(new URL(path, base), { ...options, headers });
  statuses.push(response.status);
  return response;
};
const kept = new Map();
async function callAPIWithETag(path) {
  const known = kept.get(path);
  const response = await fetch(path, {
    headers: { 'Content-Type': 'application/json', ...(known ? { 'If-None-Match': known.etag } : {}) },
  });
  if (response.status === 304) return known.data;
  if (!response.ok) throw new Error(`HTTP ${response.status}: ${(await response.json()).detail}`);
  const data = await response.json();
  if (data.error) throw new Error(data.error);
  kept.set(path, { etag: response.headers.get('ETag'), data });
  return data;
}
const post = (path, body) =>
  fetch(path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
const agentWorkOrderService = {
  listAgentWorkOrders: async () => (await callAPIWithETag('/api/agent-work-orders/agent-work-orders')) || [],
  getAgentWorkOrder: (id) => callAPIWithETag(`/api/agent-work-orders/agent-work-orders/${id}`),
  async createAgentWorkOrder(request) {
    const response = await post('/api/agent-work-orders/agent-work-orders', request);
    if (!response.ok) throw new Error('Failed to create agent work order');
    return response.json();
  },
  getGitProgress: (id) => callAPIWithETag(`/api/agent-work-orders/agent-work-orders/${id}/git-progress`),
  async sendPrompt(id, prompt) {
    const response = await post(`/api/agent-work-orders/agent-work-orders/${id}/prompt`, {
      agent_work_order_id: id,
      prompt_text: prompt,
    });
    if (!response.ok) throw new Error('Failed to send prompt');
  },
  async verifyRepository(url) {
    const response = await post('/api/agent-work-orders/github/verify-repository', { repository_url: url });
    if (!response.ok) throw new Error('Failed to verify repository');
    return response.json();
  },
  async saveGithubToken(token) {
    const response = await post('/api/awo/settings/github-token', { token });
    if (!response.ok) throw new Error('Failed to save token');
    return response.json();
  },
  statuses: async () => statuses.splice(0),
};
for await (const line of createInterface({ input: process.stdin })) {
  const [name, ...args] = JSON.parse(line);
  const answer = await agentWorkOrderService[name](...args).then(
    (result) => ({ result: result ?? null }),
    (error) => ({ error: error.message }),
  );
  console.log(JSON.stringify(answer));
}
"""


class ServiceLayer:
    """The client in node, called function by function."""

    def __init__(self, gateway, place):
        (place / "client.mjs").write_text(CLIENT)
        argv = ["node", str(place / "client.mjs"), f"http://127.0.0.1:{gateway.port}", gateway.token or ""]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __getattr__(self, name):
        def call(*args):
            self.process.stdin.write(json.dumps([name, *args]) + "\n")
            self.process.stdin.flush()
            answer = json.loads(self.process.stdout.readline())
            assert "error" not in answer, answer
            return answer["result"]
        return call

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(20) == 0
        self.process.stdout.close()


ORDER_FIELDS = {"agent_work_order_id", "repository_url", "sandbox_identifier", "git_branch_name", "agent_session_id",
                "workflow_type", "sandbox_type", "github_issue_number", "status", "current_phase", "created_at", "updated_at",
                "github_pull_request_url", "git_commit_count", "git_files_changed", "error_message"}
STATES = {"pending", "running", "completed", "failed"}


@pytest.fixture(params=["none", "token"])
def hosted(request, make_gateway, place, forge, git_http):
    """A gateway whose GitHub is the tests' own: user/repo is there, with issue 42."""
    (place / "user").mkdir()
    repo = Repository(place / "user" / "repo.git")
    server = git_http(token=forge.token)
    forge.add("user", "repo", repo).issues[42] = {"title": "Feature x", "body": "It should do x."}
    gateway = make_gateway({"gateway": {"auth": request.param},
                            "github": {"host": server.host, "api_url": forge.api_url, "token": forge.token}})
    return opened(gateway, request.param), server.url("user/repo")


@pytest.mark.skipif(shutil.which("node") is None, reason="the client needs node")
def test_service_layer_of_the_web_client(gateway, repo, place):
    service = ServiceLayer(gateway, place)
    assert service.listAgentWorkOrders() == []
    verified = service.verifyRepository(str(repo.path))
    assert verified["is_accessible"] is True and verified["error_message"] is None
    assert {"repository_name", "repository_owner", "default_branch"} <= set(verified)
    made = service.createAgentWorkOrder({"repository_url": str(repo.path), "sandbox_type": "git_branch",
                                         "workflow_type": "agent_workflow_plan", "user_request": "Plan it"})
    order = made["agent_work_order_id"]
    assert ORDER.fullmatch(order) and made["status"] in STATES and made["message"]
    gateway.instance.completed(order)
    one = service.getAgentWorkOrder(order)
    assert ORDER_FIELDS <= set(one) and one["status"] == "completed" and TIME.fullmatch(one["created_at"])
    assert [o["agent_work_order_id"] for o in service.listAgentWorkOrders()] == [order]
    progress = service.getGitProgress(order)
    assert {"agent_work_order_id", "current_phase", "git_commit_count", "git_files_changed", "latest_commit_message"} <= \
        set(progress)
    assert service.statuses() == [200, 200, 201, 200, 200, 200]
    # what has not changed is not sent again
    assert service.getAgentWorkOrder(order) == one and service.getGitProgress(order)["git_commit_count"] == progress["git_commit_count"]
    assert service.statuses()[0] == 304
    service.sendPrompt(order, "Now implement the authentication module")
    gateway.instance.completed(order)
    assert service.saveGithubToken("ghp_fromtheclient99") == {"status": "success"}
    service.close()


def same_shape(example, got, where=""):
    """Whether an answer has what the example of the document has, in the same kinds."""
    if isinstance(example, dict):
        assert isinstance(got, dict) and set(example) <= set(got), (where, set(example) - set(got or {}))
        for key, value in example.items():
            same_shape(value, got[key], f"{where}.{key}")
    elif isinstance(example, list):
        assert isinstance(got, list), where
        for item in got if example and isinstance(example[0], dict) else []:
            same_shape(example[0], item, where + "[]")
    elif isinstance(example, str) and got is not None:
        assert isinstance(got, str), (where, got)
        assert TIME.fullmatch(got) if TIME.fullmatch(example) else True, (where, got)
    elif example is not None:
        # a whole second is a number all the same; what has not been yet is null
        assert got is None or isinstance(got, (int, float)) and isinstance(got, bool) == isinstance(example, bool), (where, got)


def test_manual_testing_of_the_service_document(gateway, repo):
    # the address of the repository is the one thing that differs: nobody has github.com/test/repo here
    created = shell(gateway, r"""
curl -X POST http://localhost:8053/api/agent-work-orders/ \
  -H "Content-Type: application/json" \
  -d '{
    "repository_url": "%s",
    "sandbox_type": "worktree",
    "user_request": "Fix authentication bug",
    "selected_commands": ["create-branch", "planning"]
  }'
""" % repo.path)
    order = created["agent_work_order_id"]
    assert created["sandbox_type"] == "git_worktree" and created["selected_commands"] == ["create-branch", "planning"]
    listed = shell(gateway, "curl http://localhost:8053/api/agent-work-orders/")
    assert [o["agent_work_order_id"] for o in listed] == [order]
    one = shell(gateway, f"curl http://localhost:8053/api/agent-work-orders/{order}")
    assert one["agent_work_order_id"] == order and one["user_request"] == "Fix authentication bug"
    gateway.instance.completed(order)
    steps = shell(gateway, f"curl http://localhost:8053/api/agent-work-orders/{order}/steps")
    assert [s["step"] for s in steps["steps"]] == ["create-branch", "planning"] and all(s["success"] for s in steps["steps"])
    health = shell(gateway, "curl http://localhost:8053/health")
    assert health["service"] == "agent-work-orders" and health["version"]
    assert health["dependencies"]["git"] == {"available": True} or health["dependencies"]["git"]["available"] is True
    assert health["database"] == {"status": "healthy", "tables_exist": True}
    assert shell(gateway, "curl http://localhost:8053/")["service"] == "agent-work-orders"
    assert gateway.get("/docs").status == 200
    same_shape({"status": "healthy", "service": "agent-work-orders", "version": "0.1.0", "dependencies": {
        "claude_cli": {"available": True}, "git": {"available": True}}}, health)
    assert "version" in health["dependencies"]["claude_cli"] or "error" in health["dependencies"]["claude_cli"]
    assert [o["agent_work_order_id"] for o in gateway.get("/api/agent-work-orders/?status=completed").json] == [order]


def test_documents_of_the_first_version(gateway, repo):
    for command in ("curl http://localhost:8181/api/agent-work-orders/health", "curl http://localhost:8888/health",
                    "curl -f http://localhost:8888/health"):
        assert shell(gateway, command)["service"] == "agent-work-orders"
    assert shell(gateway, "curl http://localhost:8181/api/agent-work-orders/agent-work-orders") == []
    assert shell(gateway, "curl http://localhost:8888/agent-work-orders")["agent_work_orders"] == []
    made = shell(gateway, "curl -X POST http://localhost:8888/agent-work-orders -H \"Content-Type: application/json\" -d "
                 "'{\"repository_url\":\"%s\",\"sandbox_type\":\"git_branch\",\"workflow_type\":\"agent_workflow_plan\","
                 "\"user_request\":\"Test\"}'" % repo.path)
    order = made["agent_work_order"]["agent_work_order_id"]
    gateway.instance.completed(order)
    base = "http://localhost:8181/api/agent-work-orders/agent-work-orders"
    second = shell(gateway, "curl -X POST %s -H 'Content-Type: application/json' -d '%s'" % (base, json.dumps(
        {"repository_url": str(repo.path), "sandbox_type": "git_branch", "workflow_type": "agent_workflow_plan",
         "user_request": "Test"})))["agent_work_order_id"]
    gateway.instance.completed(second)
    assert [o["agent_work_order_id"] for o in shell(gateway, f"curl {base}")] == [second, order]
    assert shell(gateway, f"curl {base}/{order}")["agent_work_order_id"] == order
    assert shell(gateway, f"curl {base}/{order}/git-progress")["agent_work_order_id"] == order
    assert shell(gateway, f"curl {base}/{order}/logs")["log_entries"]
    assert shell(gateway, f"curl -X POST {base}/{order}/prompt -H 'Content-Type: application/json' "
                 f"-d '{json.dumps({'agent_work_order_id': order, 'prompt_text': 'x'})}'")["prompt_accepted"] is True
    gateway.instance.completed(order)
    assert shell(gateway, "curl -X POST http://localhost:8181/api/agent-work-orders/github/verify-repository "
                 f"-H 'Content-Type: application/json' -d '{json.dumps({'repository_url': str(repo.path)})}'")["is_accessible"] is True


WHEN = "2025-10-08T10:00:00Z"
EXAMPLE_REPOSITORY = {"repository": {
    "repository_owner": "user", "repository_name": "repo", "repository_url": "https://github.com/user/repo.git", "default_branch": "main",
    "is_accessible": True, "access_verified_at": WHEN}, "verification_success": True, "error_message": None}
EXAMPLE_CREATED = {"agent_work_order": {
    "agent_work_order_id": "wo-abc12345", "repository_url": "https://github.com/user/repo.git", "git_branch_name": "feat-wo-abc12345",
    "sandbox_type": "git_branch", "workflow_type": "agent_workflow_plan_build_test", "github_issue_number": "42", "status": "running",
    "current_phase": "planning", "created_at": WHEN, "updated_at": WHEN, "execution_started_at": WHEN, "github_pull_request_url": None,
    "git_commit_count": 0}, "logs_url": "/api/agent-work-orders/wo-abc12345/logs"}
EXAMPLE_STATUS = {**EXAMPLE_CREATED, "agent_work_order": {
    **EXAMPLE_CREATED["agent_work_order"], "git_files_changed": 12, "git_lines_added": 245, "git_lines_removed": 18}}
EXAMPLE_PROGRESS = {
    "agent_work_order_id": "wo-abc12345", "current_phase": "implementing", "git_commit_count": 3, "git_files_changed": 12,
    "git_lines_added": 245, "git_lines_removed": 18, "latest_commit_message": "feat: x", "latest_commit_sha": "abc123def456",
    "snapshot_timestamp": WHEN, "phase_history": [{"phase": "planning", "started_at": WHEN, "completed_at": WHEN, "commits": 1}]}
EXAMPLE_LOGS = {"agent_work_order_id": "wo-abc12345", "log_entries": [
    {"timestamp": WHEN, "level": "info", "event": "git_branch_created", "agent_work_order_id": "wo-abc12345"}], "total_count": 45,
    "has_more": True}
EXAMPLE_LIST = {"agent_work_orders": [{k: EXAMPLE_CREATED["agent_work_order"][k] for k in (
    "agent_work_order_id", "repository_url", "status", "sandbox_type", "workflow_type", "created_at", "updated_at")}],
    "total_count": 1, "has_more": False}


def test_api_specification(hosted):
    gateway, url = hosted
    # 1. verify
    verified = gateway.post("/github/verify-repository", {"repository_url": url + ".git"})
    assert verified.status == 200 and verified.json["verification_success"] is True, verified
    same_shape(EXAMPLE_REPOSITORY, verified.json)
    assert verified.json["error_message"] is None
    repository = verified.json["repository"]
    assert set(repository) == set(EXAMPLE_REPOSITORY["repository"])
    assert (repository["repository_owner"], repository["repository_name"], repository["default_branch"]) == ("user", "repo", "main")
    # 2. create
    created = gateway.post("/agent-work-orders", {
        "repository_url": url + ".git", "sandbox_type": "git_branch", "workflow_type": "agent_workflow_plan_build_test",
        "github_issue_number": "42",
        "initial_prompt": "I want to build a new feature x, here is the desciption of the feature"})
    assert created.status == 201, created
    same_shape(EXAMPLE_CREATED, created.json)
    order = created.json["agent_work_order"]
    order_id = order["agent_work_order_id"]
    assert created.json["logs_url"] == f"/api/agent-work-orders/{order_id}/logs"
    assert order["user_request"].startswith("I want to build") and order["github_issue_number"] == "42"
    assert order["sandbox_type"] == "git_branch" and order["workflow_type"] == "agent_workflow_plan_build_test"
    gateway.instance.wait(order_id)
    # 3. prompt
    prompt = gateway.post(f"/agent-work-orders/{order_id}/prompt", {"agent_work_order_id": order_id,
                                                                    "prompt_text": "Now implement the authentication module"})
    assert prompt.status == 200 and prompt.json["agent_work_order_id"] == order_id
    assert prompt.json["prompt_accepted"] is True and prompt.json["message"]
    gateway.instance.wait(order_id)
    # 4. status
    one = gateway.get(f"/agent-work-orders/{order_id}").json
    same_shape(EXAMPLE_STATUS, one)
    assert one["logs_url"] == f"/api/agent-work-orders/{order_id}/logs"
    assert gateway.get(one["logs_url"]).json["agent_work_order_id"] == order_id
    # 5. git progress
    progress = gateway.get(f"/agent-work-orders/{order_id}/git-progress").json
    same_shape(EXAMPLE_PROGRESS, progress)
    assert progress["phase_history"] and all(set(p) == {"phase", "started_at", "completed_at", "commits"} for p in progress["phase_history"])
    # 6. logs
    logs = gateway.get(f"/agent-work-orders/{order_id}/logs?limit=3&offset=0").json
    same_shape(EXAMPLE_LOGS, logs)
    assert len(logs["log_entries"]) == 3 and logs["has_more"] is True and logs["total_count"] > 3
    assert all({"workflow_type", "sandbox_type"} <= set(e) for e in logs["log_entries"])
    assert len(gateway.get(f"/agent-work-orders/{order_id}/logs").json["log_entries"]) == min(100, logs["total_count"])
    # 7. list
    listed = gateway.get("/agent-work-orders?limit=10&offset=0").json
    same_shape(EXAMPLE_LIST, listed)
    assert listed["total_count"] == 1 and listed["has_more"] is False
    status = one["agent_work_order"]["status"]
    for state in ("pending", "running", "completed", "failed"):
        found = gateway.get(f"/agent-work-orders?status={state}").json
        same_shape(EXAMPLE_LIST, found)
        assert found["total_count"] == len(found["agent_work_orders"]) == (1 if state == status else 0)
    # the same below /api, where the document's drawing has it
    assert gateway.post("/api/github/verify-repository", {"repository_url": url}).json["verification_success"] is True
    again = gateway.post("/api/agent-work-orders", {
        "repository_url": url + ".git", "sandbox_type": "git_branch", "workflow_type": "agent_workflow_plan", "initial_prompt": "x"})
    assert again.status == 201
    same_shape(EXAMPLE_CREATED, again.json)
    gateway.instance.wait(again.json["agent_work_order_id"])
    assert gateway.get(f"/api/agent-work-orders/{order_id}").json["agent_work_order_id"] == order_id
    same_shape(EXAMPLE_LOGS, gateway.get(f"/api/agent-work-orders/{order_id}/logs").json)


def test_settings_document(gateway):
    empty = gateway.get("/api/awo/settings/")
    assert empty.status == 200 and set(empty.json) == {"github_token", "claude_cli_path", "max_concurrent", "retention_days"}
    assert empty.json["github_token"] is None and empty.json["claude_cli_path"] == "claude"
    assert empty.json["max_concurrent"] == 5 and empty.json["retention_days"] == 7
    stored = gateway.post("/api/awo/settings/github-token", {"token": "ghp_abcdefgh1234"})
    assert stored.status == 200 and stored.json == {"status": "success"}
    masked = gateway.get("/api/awo/settings")
    assert masked.json["github_token"] == "***1234" and b"abcdefgh" not in masked.body
    # FastAPI's own reading of the same function is a query parameter
    assert gateway.post("/api/awo/settings/github-token?token=ghp_other5678").json == {"status": "success"}
    assert gateway.get("/api/awo/settings/").json["github_token"] == "***5678"
    assert "ghp_" not in gateway.log()
    missing = gateway.post("/api/awo/settings/github-token", {})
    assert missing.status == 422 and missing.json["detail"][0] == {
        "type": "missing", "loc": ["body", "token"], "msg": missing.json["detail"][0]["msg"], "input": None}


def test_port_of_the_environment(make_gateway, instance):
    class Nothing(BaseHTTPRequestHandler):
        pass
    with HTTPServer(("127.0.0.1", 0), Nothing) as free:
        port = free.server_port
    gateway = make_gateway(instance=instance, env={"AGENT_WORK_ORDERS_PORT": str(port)}, start=False)
    at = gateway.argv().index("--listen")
    argv = gateway.argv()[:at] + gateway.argv()[at + 2:]
    gateway.argv = lambda: argv
    gateway.start()
    assert gateway.port == port
