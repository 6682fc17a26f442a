"""The requests that the requirements spell out, word by word, and what they promise to answer."""
import json
import re
import subprocess
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from awo_testlib.remotes import Repository

ORDER = re.compile(r"wo-[0-9a-f]{8}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def shell(gateway, command):
    """A command line of the requirements, with its host and port replaced."""
    command = re.sub(r"http://localhost:\d+", f"http://127.0.0.1:{gateway.port}", command)
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class AgentWorkOrderService:
    """The service layer of the web client, function by function: the addresses, methods, bodies and what is read."""

    def __init__(self, gateway):
        self.gateway = gateway

    def fetch(self, path, method="GET", body=None):
        answer = self.gateway.request(method, path, body)
        assert 200 <= answer.status < 300, answer
        return answer.json

    def list_agent_work_orders(self):
        return self.fetch("/api/agent-work-orders/agent-work-orders") or []

    def get_agent_work_order(self, order_id):
        return self.fetch(f"/api/agent-work-orders/agent-work-orders/{order_id}")

    def create_agent_work_order(self, request):
        return self.fetch("/api/agent-work-orders/agent-work-orders", "POST", request)

    def get_git_progress(self, order_id):
        return self.fetch(f"/api/agent-work-orders/agent-work-orders/{order_id}/git-progress")

    def send_prompt(self, order_id, prompt):
        return self.fetch(f"/api/agent-work-orders/agent-work-orders/{order_id}/prompt", "POST",
                          {"agent_work_order_id": order_id, "prompt_text": prompt})

    def verify_repository(self, url):
        return self.fetch("/api/agent-work-orders/github/verify-repository", "POST", {"repository_url": url})


ORDER_FIELDS = {"agent_work_order_id", "repository_url", "sandbox_identifier", "git_branch_name", "agent_session_id",
                "workflow_type", "sandbox_type", "github_issue_number", "status", "current_phase", "created_at", "updated_at",
                "github_pull_request_url", "git_commit_count", "git_files_changed", "error_message"}
STATES = {"pending", "running", "completed", "failed"}


@pytest.fixture
def hosted(make_gateway, place, forge, git_http):
    """A gateway whose GitHub is the tests' own: user/repo is there."""
    (place / "user").mkdir()
    repo = Repository(place / "user" / "repo.git")
    server = git_http(token=forge.token)
    forge.add("user", "repo", repo)
    gateway = make_gateway({"github": {"host": server.host, "api_url": forge.api_url, "token": forge.token}})
    return gateway, server.url("user/repo")


def test_service_layer_of_the_web_client(gateway, repo):
    service = AgentWorkOrderService(gateway)
    assert service.list_agent_work_orders() == []
    verified = service.verify_repository(str(repo.path))
    assert verified["is_accessible"] is True and verified["error_message"] is None
    assert {"repository_name", "repository_owner", "default_branch"} <= set(verified)
    made = service.create_agent_work_order({"repository_url": str(repo.path), "sandbox_type": "git_branch",
                                            "workflow_type": "agent_workflow_plan", "user_request": "Plan it"})
    order = made["agent_work_order_id"]
    assert ORDER.fullmatch(order) and made["status"] in STATES and made["message"]
    gateway.instance.completed(order)
    one = service.get_agent_work_order(order)
    assert ORDER_FIELDS <= set(one) and one["status"] == "completed" and TIME.fullmatch(one["created_at"])
    assert [o["agent_work_order_id"] for o in service.list_agent_work_orders()] == [order]
    progress = service.get_git_progress(order)
    assert {"agent_work_order_id", "current_phase", "git_commit_count", "git_files_changed", "latest_commit_message"} <= \
        set(progress)
    service.send_prompt(order, "Now implement the authentication module")
    gateway.instance.completed(order)


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


def test_api_specification(hosted):
    gateway, url = hosted
    # 1. verify
    verified = gateway.post("/github/verify-repository", {"repository_url": url + ".git"})
    assert verified.status == 200 and verified.json["verification_success"] is True, verified
    assert verified.json["error_message"] is None
    assert set(verified.json["repository"]) == {"repository_owner", "repository_name", "repository_url", "default_branch",
                                                "is_accessible", "access_verified_at"}
    assert verified.json["repository"]["repository_owner"] == "user" and verified.json["repository"]["repository_name"] == "repo"
    assert verified.json["repository"]["default_branch"] == "main" and TIME.fullmatch(
        verified.json["repository"]["access_verified_at"])
    # 2. create
    created = gateway.post("/agent-work-orders", {
        "repository_url": url + ".git", "sandbox_type": "git_branch", "workflow_type": "agent_workflow_plan_build_test",
        "initial_prompt": "I want to build a new feature x, here is the desciption of the feature"})
    assert created.status == 201, created
    order = created.json["agent_work_order"]
    assert {"agent_work_order_id", "repository_url", "git_branch_name", "sandbox_type", "workflow_type", "github_issue_number",
            "status", "current_phase", "created_at", "updated_at", "execution_started_at", "github_pull_request_url",
            "git_commit_count"} <= set(order)
    order_id = order["agent_work_order_id"]
    assert created.json["logs_url"] == f"/api/agent-work-orders/{order_id}/logs"
    assert order["user_request"].startswith("I want to build")
    gateway.instance.wait(order_id)
    # 3. prompt
    prompt = gateway.post(f"/agent-work-orders/{order_id}/prompt", {"agent_work_order_id": order_id,
                                                                    "prompt_text": "Now implement the authentication module"})
    assert prompt.status == 200 and prompt.json["agent_work_order_id"] == order_id
    assert prompt.json["prompt_accepted"] is True and prompt.json["message"]
    gateway.instance.wait(order_id)
    # 4. status
    one = gateway.get(f"/agent-work-orders/{order_id}").json
    assert one["logs_url"] == f"/api/agent-work-orders/{order_id}/logs"
    assert {"git_commit_count", "git_files_changed", "git_lines_added", "git_lines_removed"} <= set(one["agent_work_order"])
    # 5. git progress
    progress = gateway.get(f"/agent-work-orders/{order_id}/git-progress").json
    assert {"agent_work_order_id", "current_phase", "git_commit_count", "git_files_changed", "git_lines_added",
            "git_lines_removed", "latest_commit_message", "latest_commit_sha", "snapshot_timestamp", "phase_history"} <= \
        set(progress)
    assert all(set(p) == {"phase", "started_at", "completed_at", "commits"} for p in progress["phase_history"])
    # 6. logs
    logs = gateway.get(f"/agent-work-orders/{order_id}/logs?limit=3&offset=0").json
    assert len(logs["log_entries"]) == 3 and logs["has_more"] is True and logs["total_count"] > 3
    assert all({"timestamp", "level", "event", "agent_work_order_id", "workflow_type", "sandbox_type"} <= set(e)
               for e in logs["log_entries"])
    # 7. list
    listed = gateway.get("/agent-work-orders?limit=10&offset=0").json
    assert set(listed) >= {"agent_work_orders", "total_count", "has_more"} and listed["total_count"] == 1
    status = one["agent_work_order"]["status"]
    assert gateway.get(f"/agent-work-orders?status={status}").json["total_count"] == 1
    assert gateway.get("/agent-work-orders?status=running").json["agent_work_orders"] == []


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
