"""A stand-in of the GitHub REST API that checks what it is sent and can be told to fail."""
import json
import re
import threading
import time
import socket
from urllib.parse import parse_qs, unquote, urlsplit

from .remotes import BodyHandler, Threaded, git

# body fields that the real service documents: required, optional
PULL_POST = ({"head", "base"}, {"title", "body", "maintainer_can_modify", "draft", "issue", "head_repo"})
COMMENT_POST = ({"body"}, set())
TYPES = {"title": str, "body": str, "head": str, "base": str, "draft": bool, "maintainer_can_modify": bool}


class Request:
    def __init__(self, method, path, query, headers, body):
        self.method, self.path, self.query, self.headers, self.body = method, path, query, headers, body
        self.time = time.monotonic()

    def __repr__(self):
        return f"{self.method} {self.path} {self.query or ''} {self.body or ''}"


class Fault:
    """
    What happens to the next requests that match: to `times` of them or, with seconds, to all until so long after the
    first. status: answered in place of the work (after it, with work); lost: the connection ends without an answer; cut:
    in the middle of it; hook: called first.
    """

    def __init__(self, method=".*", path=".*", times=1, status=None, body=None, headers=(), lost=False, delay=0.0,
                 seconds=None, work=None, cut=False, hook=None):
        self.method, self.path, self.times, self.seconds = method, path, times, seconds
        self.status, self.body, self.headers, self.lost, self.delay = status, body, list(headers), lost, delay
        self.work, self.cut, self.hook = status is None if work is None else work, cut, hook
        self.hits, self.first = 0, None

    def takes(self, method, path):
        if not re.fullmatch(self.method, method) or not re.search(self.path, path):
            return False
        if self.seconds is not None:
            self.first = self.first or time.monotonic()
            if time.monotonic() > self.first + self.seconds:
                return False
        elif self.times <= 0:
            return False
        self.times -= 1
        self.hits += 1
        return True


class Project:
    def __init__(self, owner, name, repository=None, private=False, push=True):
        self.owner, self.name, self.repository, self.private, self.push = owner, name, repository, private, push
        self.issues, self.pulls, self.comments = {}, [], []


class Forge:
    def __init__(self, token="ghp_" + "T0ken" * 7):
        self.token = token
        self.projects, self.requests, self.violations, self.faults = {}, [], [], []
        self.lock = threading.RLock()
        outer = self

        class Handler(BodyHandler):
            def handle_any(self):
                outer.serve(self)
            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = handle_any

        self.server = Threaded(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def api_url(self):
        return f"http://127.0.0.1:{self.port}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def add(self, owner, name, repository=None, **more):
        project = Project(owner, name, repository, **more)
        self.projects[f"{owner}/{name}".lower()] = project
        return project

    def fault(self, **fault):
        self.faults.append(Fault(**fault))
        return self.faults[-1]

    def made(self, method, pattern):
        return [r for r in self.requests if r.method == method and re.search(pattern, r.path)]

    # ---- serving --------------------------------------------------------------------------------------------------

    def serve(self, h):
        raw = h.body()
        parts = urlsplit(h.path)
        query = {k: v[0] for k, v in parse_qs(parts.query).items()}
        try:
            body = json.loads(raw) if raw else None
        except ValueError:
            body = None
            self.violations.append(f"{h.command} {parts.path}: the body is no JSON")
        headers = {k.lower(): v for k, v in h.headers.items()}
        request = Request(h.command, unquote(parts.path), query, headers, body)
        with self.lock:
            self.requests.append(request)
            self.check(request, raw)
            fault = next((f for f in self.faults if f.takes(h.command, request.path)), None)
        if fault and fault.hook:
            fault.hook()
        if fault and fault.delay:
            time.sleep(fault.delay)
        status, answer, more = 0, None, []
        if not fault or fault.work:
            with self.lock:
                status, answer, more = self.route(request)
        if fault and fault.status:
            status, answer, more = fault.status, fault.body or {"message": "told to fail"}, fault.headers
        if fault and fault.lost:
            h.close_connection = True
            h.connection.shutdown(socket.SHUT_RDWR)
            return
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode() if answer is not None else b""
        if fault and fault.cut:
            h.answer(status, content, "application/json; charset=utf-8", cut=True)
            return
        h.answer(status, content, "application/json; charset=utf-8",
                 [("X-GitHub-Request-Id", "0000:0001"), *more])

    def check(self, r, raw):
        """What the real service wants or documents of every request."""
        say = lambda text: self.violations.append(f"{r.method} {r.path}: {text}")
        if not r.headers.get("user-agent"):
            say("no User-Agent (the real service answers 403)")
        if "application/vnd.github" not in r.headers.get("accept", "") and r.headers.get("accept") != "application/json":
            say(f"Accept is {r.headers.get('accept')}")
        if r.method in ("GET", "HEAD") and raw:
            say("a body with GET")
        if raw and "application/json" not in r.headers.get("content-type", ""):
            say(f"Content-Type is {r.headers.get('content-type')}")
        if self.token and any(self.token in v for k, v in r.headers.items() if k != "authorization"):
            say("the token in another header than Authorization")
        if self.token and self.token in json.dumps([r.path, r.query]):
            say("the token in the address")

    def authorized(self, r):
        kind, _, value = r.headers.get("authorization", "").partition(" ")
        if not kind:
            return None
        return kind.lower() in ("bearer", "token") and value == self.token

    def route(self, r):
        allowed = self.authorized(r)
        if allowed is False:
            return 401, {"message": "Bad credentials", "documentation_url": "https://docs.github.com/rest"}, []
        path = re.sub(r"^/api/v3", "", r.path)
        if path == "/user" and r.method == "GET":
            return (200, {"login": "octo", "id": 1}, []) if allowed else \
                (401, {"message": "Requires authentication"}, [])
        if path == "/rate_limit":
            return 200, {"resources": {"core": {"limit": 5000, "remaining": 4999, "reset": 0}}}, []
        m = re.fullmatch(r"/repos/([^/]+)/([^/]+)(/.*)?", path)
        project = self.projects.get(f"{m[1]}/{m[2]}".lower()) if m else None
        if not project or (project.private and not allowed):
            return 404, {"message": "Not Found"}, []
        rest = m[3] or ""
        for method, pattern, handler in (
                ("GET", r"", self.get_repository), ("GET", r"/issues/(\d+)", self.get_issue),
                ("GET", r"/issues/(\d+)/comments", self.get_comments),
                ("POST", r"/issues/(\d+)/comments", self.post_comment), ("GET", r"/pulls", self.list_pulls),
                ("POST", r"/pulls", self.post_pull), ("GET", r"/pulls/(\d+)", self.get_pull)):
            found = re.fullmatch(pattern, rest)
            if found and method == r.method:
                if method == "POST" and not allowed:
                    return 401, {"message": "Requires authentication"}, []
                return handler(project, r, *map(int, found.groups()))
        self.violations.append(f"{r.method} {r.path}: no such endpoint is expected to be used")
        return 404, {"message": "Not Found"}, []

    def body_fault(self, r, schema):
        required, optional = schema
        if not isinstance(r.body, dict):
            return "Problems parsing JSON"
        for key in r.body:
            if key not in required | optional:
                self.violations.append(f"{r.method} {r.path}: unknown key {key}")
                return f"Invalid request: {key} is not a permitted key"
            if key in TYPES and not isinstance(r.body[key], TYPES[key]):
                self.violations.append(f"{r.method} {r.path}: {key} has a wrong type")
                return f"Invalid request: {key} has a wrong type"
        for key in required:
            if not r.body.get(key):
                return f"Invalid request: {key} was not supplied"
        return None

    # ---- endpoints ------------------------------------------------------------------------------------------------

    def html(self, project):
        return f"https://github.example/{project.owner}/{project.name}"

    def get_repository(self, project, r):
        default = project.repository.branch if project.repository else "main"
        return 200, {"id": 1, "name": project.name, "full_name": f"{project.owner}/{project.name}",
                     "owner": {"login": project.owner}, "private": project.private, "html_url": self.html(project),
                     "default_branch": default,
                     "permissions": {"admin": False, "push": project.push, "pull": True}}, []

    def get_issue(self, project, r, number):
        issue = project.issues.get(number)
        if not issue:
            return 404, {"message": "Not Found"}, []
        return 200, {"number": number, "state": "open", "html_url": f"{self.html(project)}/issues/{number}",
                     "user": {"login": "octo"}, **issue}, []

    def get_comments(self, project, r, number):
        size, page = int(r.query.get("per_page", 30)), int(r.query.get("page", 1))
        found = [c for c in project.comments if c["issue"] == number]
        return 200, found[(page - 1) * size:page * size], []

    def post_comment(self, project, r, number):
        problem = self.body_fault(r, COMMENT_POST)
        if problem:
            return 422, {"message": problem}, []
        if number not in project.issues and not any(p["number"] == number for p in project.pulls):
            return 404, {"message": "Not Found"}, []
        comment = {"id": len(project.comments) + 1, "issue": number, "body": r.body["body"],
                   "html_url": f"{self.html(project)}/issues/{number}#issuecomment-{len(project.comments) + 1}"}
        project.comments.append(comment)
        return 201, comment, []

    def list_pulls(self, project, r):
        found = project.pulls
        state = r.query.get("state", "open")
        if state != "all":
            found = [p for p in found if p["state"] == state]
        if "head" in r.query:
            if ":" not in r.query["head"]:
                # the real service then ignores the filter, a well known trap
                self.violations.append(f"GET {r.path}: head without its owner")
            else:
                found = [p for p in found if p["head"]["label"] == r.query["head"]]
        if "base" in r.query:
            found = [p for p in found if p["base"]["ref"] == r.query["base"]]
        return 200, found, []

    def post_pull(self, project, r):
        problem = self.body_fault(r, PULL_POST)
        if problem:
            return 422, {"message": problem}, []
        if not project.push:
            return 403, {"message": "Resource not accessible by personal access token"}, []
        owner, _, head = r.body["head"].rpartition(":")
        owner = owner or project.owner
        invalid = lambda field: (422, {"message": "Validation Failed", "errors": [
            {"resource": "PullRequest", "field": field, "code": "invalid"}]}, [])
        failed = lambda text: (422, {"message": "Validation Failed", "errors": [
            {"resource": "PullRequest", "code": "custom", "message": text}]}, [])
        if project.repository:
            if not project.repository.head(head):
                return invalid("head")
            if not project.repository.head(r.body["base"]):
                return invalid("base")
            if git("rev-list", "--count", f"{r.body['base']}..{head}", "--", cwd=project.repository.path) == "0":
                return failed(f"No commits between {r.body['base']} and {head}")
        label = f"{owner}:{head}"
        if any(p["head"]["label"] == label and p["base"]["ref"] == r.body["base"] and p["state"] == "open"
               for p in project.pulls):
            return failed(f"A pull request already exists for {label}.")
        number = 100 + len(project.pulls) + 1
        pull = {"id": number, "number": number, "state": "open", "merged": False, "merged_at": None,
                "title": r.body.get("title"), "body": r.body.get("body"), "html_url": f"{self.html(project)}/pull/{number}",
                "url": f"{self.api_url}/repos/{project.owner}/{project.name}/pulls/{number}",
                "head": {"ref": head, "label": label,
                         "sha": project.repository.head(head) if project.repository else "0" * 40},
                "base": {"ref": r.body["base"], "label": f"{project.owner}:{r.body['base']}"}}
        project.pulls.append(pull)
        return 201, pull, []

    def get_pull(self, project, r, number):
        for pull in project.pulls:
            if pull["number"] == number:
                return 200, pull, []
        return 404, {"message": "Not Found"}, []
