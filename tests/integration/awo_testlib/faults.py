"""Every fault that agents, their models, GitHub and git remotes were seen to have, as orders with a known outcome."""
import json
import os
import random
import re
import shutil
import tempfile
import time
from pathlib import Path

from .flaky import Flaky
from .forge import Forge
from .instance import SOURCE, TERMINAL, Instance, build_dir
from .messages_api import SCRIPT, MessagesApi, bash, text
from .remotes import GitHttpServer, Repository, Sshd, git

STEPS = ["create-branch", "planning", "execute", "commit", "create-pr"]
ATTEMPTS = 4        # retry.max_attempts
AWAY = 2            # seconds; the waits between the attempts are longer together
GIT_TIMEOUT = 15
IDLE = 10
IDLE_REAL = 30
RANDOM = 400_000    # bytes that nobody can make smaller

KINDS = []


class Kind:
    def __init__(self, name, build, recoverable, short, real, weight):
        self.name, self.build, self.recoverable = name, build, recoverable
        self.short, self.real, self.weight = short, real, weight


def kind(name, recoverable=False, short=True, real=False, weight=1):
    def add(build):
        KINDS.append(Kind(name, build, recoverable, short, real, weight))
        return build
    return add


class Case:
    """One order: where it works, what goes wrong, and what must come of it."""

    def __init__(self, world, kind, number, rng):
        self.world, self.kind, self.number, self.rng = world, kind, number, rng
        self.name = f"r{number:03}"
        self.repo = self.url = self.project = self.order_id = self.order = None
        self.request, self.lines, self.fields = f"Add greeting {number}", [], {}
        self.want, self.category, self.words, self.attempts = "completed", None, None, (1, 1)
        self.fired = []         # each must say true at the end
        self.branches = set()   # of others, in the repository
        self.then = None        # called with the order when it has ended; true: it goes on
        self.pulls = None       # how many pull requests there must be; None: as the outcome says
        self.problems = []
        kind.build(self)
        self.base = self.repo.head("main") if self.repo else None

    # ---- where

    def local(self):
        self.repo = self.world.repository(self.world.place / "local" / f"{self.name}.git")
        self.url = str(self.repo.path)

    def github(self):
        self.repo = self.world.repository(self.world.place / "octo" / f"{self.name}.git")
        self.project = self.world.forge.add("octo", self.name, self.repo)
        self.url = self.world.github.url(f"octo/{self.name}")

    def plain(self, port=None):
        """Behind http, but of no forge."""
        self.repo = self.world.repository(self.world.place / "plain" / f"{self.name}.git")
        self.url = f"http://127.0.0.1:{port or self.world.plain.port}/{self.name}"

    def ssh(self, plans):
        proxy = self.world.proxy(self.world.sshd.port, plans)
        self.world.ssh_ports.append(proxy.port)
        self.repo = self.world.repository(self.world.place / "ssh" / f"{self.name}.git")
        self.repo.commit({"big.bin": self.rng.randbytes(RANDOM).hex()[:RANDOM]}, "feat: something large")
        self.repo.open_to_all()
        self.url = f"ssh://{self.world.sshd.user}@127.0.0.1:{proxy.port}{self.repo.path}"
        self.steps(STEPS[:4])
        self.fired.append(lambda: proxy.hits > 0)
        return proxy

    def steps(self, steps):
        self.fields["selected_commands"] = steps

    # ---- what goes wrong

    def agent(self, name):
        self.fields["agent"] = name

    def plays(self, step, stream=None, agent="replay", **fault):
        self.agent(agent)
        self.lines.append("fault: " + json.dumps({"step": step, **fault, **({"stream": stream} if stream else {})}))
        if not self.url:
            self.local()
            self.steps(STEPS[:4] if step != "create-pr" else STEPS)

    def some_step(self, *steps):
        return self.rng.choice(steps or STEPS[:4])

    def forge_fault(self, path, **fault):
        f = self.world.forge.fault(path=rf"/repos/octo/{self.name}{path}", **fault)
        self.fired.append(lambda: f.hits > 0)
        return f

    def git_fault(self, service, server=None, **fault):
        f = (server or self.world.github).fault(self.name, f"git-{service}-pack", **fault)
        self.fired.append(lambda: f.hits > 0)
        return f

    def real(self, faults=(), script=None, key=None, through=None, **more):
        """The real program, with a model of its own."""
        api = MessagesApi(**({"key": key} if key else {}))
        self.world.apis.append(api)
        api.faults = list(faults)
        api.script.update(script or {})
        proxy = self.world.proxy(int(api.url.rpartition(":")[2]), through) if through else None
        self.world.agents[f"real-{self.name}"] = {
            "adapter": "claude", "program": str(self.world.claude), "keys": ["ANTHROPIC_API_KEY"], **more,
            "env": {"ANTHROPIC_BASE_URL": f"http://127.0.0.1:{proxy.port}" if proxy else api.url,
                    "CLAUDE_CODE_MAX_RETRIES": "1"}}
        self.agent(f"real-{self.name}")
        self.local()
        self.steps(STEPS[:4])
        if faults:
            self.fired.append(lambda: api.hits > 0)
        if proxy:
            self.fired.append(lambda: proxy.hits > 0)
        return api

    # ---- what must come of it

    def completed(self, least=1, most=None):
        self.want, self.attempts = "completed", (least, most or least)

    def failed(self, category, words, attempts=1, pulls=0):
        self.want, self.category, self.words, self.attempts = "failed", category, words, (attempts, attempts)
        self.pulls = pulls

    # ---- how it went

    def create(self, instance):
        self.order_id = instance.create(self.url, "\n".join([self.request, *self.lines]), **self.fields)

    def branch_of_order(self):
        return self.world.instance.order(self.order_id)["git_branch_name"]

    def check(self):
        o, say = self.order, self.problems.append
        if o["status"] != self.want:
            say(f"{o['status']} instead of {self.want}")
        if not all(f() for f in self.fired):
            say("the fault was never met")
        if not self.attempts[0] <= o["attempt"] <= self.attempts[1]:
            say(f"attempt {o['attempt']}, not {self.attempts[0]} to {self.attempts[1]}")
        pulls = self.project.pulls if self.project else []
        if o["status"] == "completed":
            self.check_work(o, say, pulls)
        else:
            self.check_failure(o, say)
        if self.pulls is not None and self.want == "failed" and len(pulls) != self.pulls:
            say(f"{len(pulls)} pull requests instead of {self.pulls}")
        if self.repo and self.base and self.repo.head("main") != self.base:
            say("the base branch was changed")
        return not self.problems

    def check_work(self, o, say, pulls):
        branch, done = o["git_branch_name"], o["selected_commands"]
        if o["error_message"] or o["error_category"]:
            say(f"completed with the error {o['error_category']}: {o['error_message']}")
        if "commit" not in done:
            return
        head = self.repo.head(branch) if branch else None
        if not head:
            say(f"COMPLETED WITHOUT ITS BRANCH {branch} on the remote")
            return
        subjects = self.repo.subjects(branch)
        if not subjects or len(subjects) != o["git_commit_count"]:
            say(f"the remote has {len(subjects)} commits, the order says {o['git_commit_count']}")
        files = self.repo.files(branch)
        if "planning" in done and not any(f.startswith("PRPs/") for f in files):
            say("COMPLETED WITHOUT ITS PLAN in git")
        if "execute" in done and not any(f.startswith("awo-demo/") or f == "real.txt" for f in files):
            say("COMPLETED WITHOUT ITS WORK in git")
        others = set(self.repo.branches()) - {"main", branch} - self.branches
        if others:
            say(f"branches that nobody needs: {sorted(others)}")
        if self.project and "create-pr" in done:
            mine = [p for p in pulls if p["head"]["ref"] == branch]
            if len(pulls) != 1 or len(mine) != 1:
                say(f"{len(pulls)} pull requests, {len(mine)} of them for {branch}")
            elif o["github_pull_request_number"] != str(mine[0]["number"]) or \
                    o["github_pull_request_url"] != mine[0]["html_url"]:
                say("the pull request is not the one that the order names")

    def check_failure(self, o, say):
        message = o["error_message"] or ""
        if o["error_category"] != self.category:
            say(f"category {o['error_category']} instead of {self.category}")
        if self.words and not re.search(self.words, message, re.I):
            say(f"the message does not say /{self.words}/: {message[:300]}")
        if not 15 <= len(message) <= 2000 or not message.isprintable() or "(null)" in message:
            say(f"no usable message: {message[:300]!r}")
        for secret in (self.world.forge.token, "sk-ant-", "PRIVATE KEY"):
            if secret in message:
                say("a secret in the message")


# ---- what recorded streams do: the agent

# (stream, exit status or minus a signal, step or None for any, words of the message)
TRANSIENT = [("claude-matrix/refused", 1, None), ("claude-matrix/cut", 0, "planning execute"),
             ("claude-matrix/sseerr", 0, None), ("claude-interactive/signal-SIGTERM", 143, None),
             ("claude-interactive/signal-SIGHUP", 129, None), ("claude-interactive/signal-SIGKILL", -9, None),
             ("claude-interactive/signal-SIGINT", 1, None)]
for stream, code, where in TRANSIENT:
    @kind(f"stream {stream}", recoverable=True, weight=3, short="SIGHUP" not in stream)
    def _(c, stream=stream, code=code, where=where):
        times = c.rng.choice((1, 1, 2))
        c.plays(c.some_step(*(where or "create-branch planning execute commit").split()), stream, times=times,
                **({"exit": code} if code >= 0 else {"signal": -code}))
        c.completed(times + 1)


@kind("stream of a killed agent, cut in a line", recoverable=True, short=False)
def _(c):
    c.plays("execute", "claude-commit", change={'"type":"result"': '"type":"resu'}, signal=9)
    c.completed(2)


# the same stream, its API's answer another one
for status, what in ((429, "rate limit"), (529, "overloaded"), (500, "server error"), (503, "unavailable")):
    @kind(f"the API answers {status} to the end", recoverable=True, weight=2, short=status == 429)
    def _(c, status=status, what=what):
        c.plays(c.some_step(), "claude-matrix/auth401", exit=1, times=2, change={
            '"error_status":401': f'"error_status":{status}', '"api_error_status":401': f'"api_error_status":{status}',
            "authentication_failed": "server_error", "Invalid API key": f"API Error: {status} {what}"})
        c.completed(3)


@kind("the API answers 529 for ever")
def _(c):
    c.plays("create-branch", "claude-matrix/auth401", exit=1, times=100, change={
        '"error_status":401': '"error_status":529', '"api_error_status":401': '"api_error_status":529',
        "authentication_failed": "server_error", "Invalid API key": "API Error: 529 Overloaded"})
    c.failed("transient", "create-branch.*overloaded", ATTEMPTS)


# with the step's work done, as when the program itself tried again
for stream in ("retry529", "rate429", "fail-tool", "parallel", "partial", "text", "bare", "denied", "schema",
               "text-json"):
    @kind(f"stream claude-matrix/{stream} with the work", recoverable=True, short=stream == "rate429")
    def _(c, stream=stream):
        c.plays(c.some_step("planning", "execute"), f"claude-matrix/{stream}", work=True)
        c.completed(1)
for stream in ("interrupt", "two-turns", "permission-stdio", "control-init", "slow-partial", "open-stdin"):
    @kind(f"stream claude-interactive/{stream} with the work", recoverable=True, short=False)
    def _(c, stream=stream):
        c.plays(c.some_step("planning", "execute"), f"claude-interactive/{stream}", work=True)
        c.completed(1)


@kind("stream cut, but the work was done", recoverable=True)
def _(c):
    c.plays(c.some_step("planning", "execute"), "claude-matrix/cut", work=True)
    c.completed(1)


@kind("false success", weight=5)
def _(c):
    step = c.some_step("planning", "execute")
    stream = c.rng.choice(("claude-commit", "claude-matrix/text", "claude-commit-full", "claude-matrix/schema",
                           "claude-matrix/parallel", "claude-matrix/nopersist"))
    c.plays(step, stream, times=9)
    c.failed("agent", "left no plan" if step == "planning" else "changed nothing")


for step in ("create-branch", "commit", "create-pr"):
    @kind(f"false success of {step}, which git makes good", recoverable=True, short=step == "commit")
    def _(c, step=step):
        if step == "create-pr":
            c.github()
        c.plays(step, "claude-matrix/text", times=9)
        c.completed(1)

for stream in ("claude-matrix/fail-tool", "claude-fail-tool"):
    @kind(f"a tool failed, nothing was done: {stream}", short=stream == "claude-fail-tool")
    def _(c, stream=stream):
        c.plays("execute", stream, times=9)
        c.failed("agent", "changed nothing")


@kind("permission denied")
def _(c):
    c.plays("execute", "claude-matrix/denied", times=9)
    c.failed("agent", "permission")


# (stream, exit status, category, words)
FATAL = [("claude-matrix/auth401", 1, "permanent", "invalid api key.*credential set"),
         ("claude-matrix/nokey", 1, "permanent", "not logged in.*credential set"),
         ("claude-matrix/badreq400", 1, "permanent", "prompt is too long"),
         ("claude-badreq", 1, "permanent", "prompt is too long"),
         ("claude-matrix/maxtok", 1, "agent", "output token maximum"),
         ("claude-matrix/maxturns", 1, "agent", r"maximum number of turns \(3\)"),
         ("claude-matrix/budget", 1, "agent", r"maximum budget \(\$0\.01\)"),
         ("claude-matrix/text-plain", 0, "agent", "without a result"),
         ("claude-interactive/epipe", 1, "agent", "without a result.*exit status 1")]
for stream, code, category, words in FATAL:
    @kind(f"stream {stream}", weight=2, short=stream.endswith(("/auth401", "/badreq400", "/maxturns", "/text-plain")))
    def _(c, stream=stream, code=code, category=category, words=words):
        step = c.some_step()
        c.plays(step, stream, exit=code, times=9)
        c.failed(category, f"^Command '{step}' failed: .*{words}")

# what the program says on standard error alone
SAID = [("root", "--dangerously-skip-permissions cannot be used with root/sudo privileges", "agent"),
        ("bad flag", "error: unknown option '--no-such-flag'", "permanent"),
        ("session taken", "Error: Session ID 11111111-2222-4333-8444-555555555555 is already in use.", "agent"),
        ("no input", "Error: Input must be provided either through stdin or as a prompt argument when using --print",
         "agent")]
for name, words, category in SAID:
    @kind(f"nothing but standard error: {name}", short=name == "bad flag")
    def _(c, words=words, category=category):
        c.plays(c.some_step(), stderr=words + "\n", exit=1, times=9)
        c.failed(category, re.escape(words))


@kind("a session that is not there any more", recoverable=True)
def _(c):
    c.plays("prompt", "claude-matrix/badresume", exit=1, resumed=True, times=9,
            stderr="No conversation found with session ID: 00000000-0000-4000-8000-000000000000\n")
    c.completed(1)

    def prompt(_):
        c.then = None
        c.world.instance.call("order.prompt", agent_work_order_id=c.order_id, prompt_text="Say more")
        return True
    c.then = prompt
    c.fired.append(lambda: any(s["step"] == "prompt" and s["success"] for s in c.world.instance.call(
        "order.steps", agent_work_order_id=c.order_id)["steps"]))


@kind("the API hangs")
def _(c):
    c.plays(c.some_step("create-branch", "planning"), "claude-interactive/api-hang", hang=1, times=9)
    c.failed("timeout", "idle timeout: no output for")


for name, trick, times in (("fails with 529", "fail-once", 1), ("is rate limited", "rate-limit 1", 1),
                           ("is killed by its own tool", "run kill -9 $PPID", 1)):
    @kind(f"the demonstration agent {name}", recoverable=True, short=trick == "run kill -9 $PPID")
    def _(c, trick=trick, times=times):
        c.plays(c.some_step(), demo=trick, times=times)
        c.completed(times + 1)


@kind("the agent exits in the middle", short=False)
def _(c):
    c.plays(c.some_step(), demo="exit 3", times=9)
    c.failed("agent", r"without a result \(exit status 3\)")


@kind("the agent says that it failed", short=False)
def _(c):
    c.plays(c.some_step(), demo="fail I cannot do this", times=9)
    c.failed("agent", "I cannot do this")


@kind("work half done when the API failed", recoverable=True)
def _(c):
    """The retry begins at the last recorded commit; what the failed attempt committed is kept."""
    c.plays("execute", "claude-matrix/refused", exit=1, work=True)
    c.completed(2)


# ---- the other programs

OTHERS = {"codex": 1, "opencode": 1, "gemini": 144, "qwen": 0}
for name, code in OTHERS.items():
    @kind(f"{name} refuses the request", short=name in ("codex", "qwen"))
    def _(c, name=name, code=code):
        c.plays(c.some_step(), f"{name}-badreq", agent=f"replay-{name}", exit=code, times=9)
        c.failed("permanent", "prompt is too long")

    @kind(f"{name} is overloaded", recoverable=True, weight=2, short=name == "opencode")
    def _(c, name=name, code=code):
        # the recorded refusal, with the status and the words of an overload
        code = 503 % 256 if name == "gemini" else code
        c.plays(c.some_step(), f"{name}-badreq", agent=f"replay-{name}", exit=code, times=2, change={
            "400": "503", "INVALID_ARGUMENT": "UNAVAILABLE", "invalid_request_error": "overloaded_error",
            "ContextOverflowError": "APIError", "ContextOverflow": "API",
            "prompt is too long: 250000 tokens > 200000 maximum": "the model is overloaded, service unavailable"})
        c.completed(3)

    @kind(f"{name} says success, nothing was done", short=name == "gemini", weight=2)
    def _(c, name=name):
        stream = c.rng.choice((f"{name}-commit", f"{name}-fail-tool"))
        c.plays("execute", stream, agent=f"replay-{name}", times=9)
        c.failed("agent", "changed nothing")

    @kind(f"{name} is killed by a signal", recoverable=True, short=False)
    def _(c, name=name):
        c.plays(c.some_step(), f"{name}-commit", agent=f"replay-{name}", lines=3, signal=15)
        c.completed(2)


@kind("gemini ends with 0 on SIGTERM", recoverable=True)
def _(c):
    c.plays(c.some_step(), "gemini-commit", agent="replay-gemini", lines=3, exit=0)
    c.completed(2)


# ---- GitHub

# awo-forge tries some requests again by itself, which may last as long as the fault on a busy machine
def pulls_fault(name, recoverable, attempts, short=True, **fault):
    @kind(f"GitHub: {name}", recoverable=recoverable, short=short, weight=2)
    def _(c):
        c.github()
        c.forge_fault("/pulls$", **{"method": "POST", **fault})
        c.completed(*attempts)


pulls_fault("the answer to the pull request is lost", True, (1,), lost=True)
pulls_fault("502 after the pull request was made", True, (1,), status=502, work=True, short=False)
pulls_fault("the answer is cut in the middle", True, (1,), cut=True)
pulls_fault("500 once", True, (1,), status=500, short=False)
pulls_fault("503 for a while", True, (1, 4), method=".*", status=503, seconds=AWAY)
pulls_fault("502 with HTML for a while", True, (1, 4), method=".*", status=502, seconds=AWAY, short=False)
pulls_fault("no answer for a while", True, (1, 4), method=".*", lost=True, work=False, seconds=AWAY, short=False)
pulls_fault("429 with Retry-After", True, (2,), status=429, headers=[("Retry-After", "1")], short=False)
pulls_fault("403 for the secondary limit", True, (2,), status=403, headers=[("Retry-After", "1")],
            body={"message": "You have exceeded a secondary rate limit."})
pulls_fault("a slow answer", True, (1,), delay=3, short=False)


@kind("GitHub: 403 for the primary limit", recoverable=True)
def _(c):
    c.github()
    f = c.forge_fault("/pulls$", method="POST", status=403, body={"message": "API rate limit exceeded for user ID 1."})
    f.hook = lambda: f.headers.extend([("x-ratelimit-remaining", "0"),
                                       ("x-ratelimit-reset", str(int(time.time()) + 2))])
    c.completed(2)


@kind("GitHub: the answer is lost and nothing answers for a while", recoverable=True, weight=3)
def _(c):
    """The pull request is there, but only the next attempt can find it."""
    c.github()
    # the first look finds that there is none yet; those after the lost answer fail
    c.forge_fault("/pulls$", method="POST", lost=True, hook=lambda: c.forge_fault(
        "/pulls$", method="GET", status=503, seconds=AWAY))
    c.completed(1, 4)


@kind("GitHub: another made the same pull request meanwhile", recoverable=True, short=False)
def _(c):
    c.github()

    def make():
        branch = c.branch_of_order()
        c.world.forge.post_pull(c.project, _Body({"head": branch, "base": "main", "title": "mine"}))
    c.forge_fault("/pulls$", method="POST", hook=make)
    c.completed(1)


class _Body:
    def __init__(self, body):
        self.body, self.method, self.path = body, "POST", "(by another)"


for status, words in ((401, "token was refused"), (403, "token may not do this"), (404, "not found"),
                      (422, "the stand-in says no"), (301, "moved or renamed")):
    @kind(f"GitHub: {status} to the pull request", short=status == 401, weight=2 if status == 401 else 1)
    def _(c, status=status, words=words):
        c.github()
        c.forge_fault("/pulls$", method="POST", status=status, times=99, body={"message": "the stand-in says no"})
        c.failed("github", f"^Command 'create-pr' failed: .*{words}")


@kind("GitHub: the token was revoked before")
def _(c):
    c.github()
    c.forge_fault("$", method="GET", status=401, times=99, body={"message": "Bad credentials"})
    c.failed("github", "token.*(store|right|valid)")


@kind("GitHub: away for ever", short=False)
def _(c):
    c.github()
    c.forge_fault("/pulls$", status=503, times=99)
    c.failed("transient", "GitHub answers 503", ATTEMPTS)


@kind("GitHub: an address of somebody else's", short=False)
def _(c):
    c.github()
    c.forge_fault("/pulls$", method="POST", status=201, times=99,
                  body={"number": 5, "state": "open", "html_url": "https://github.example/else/where/pull/5"})
    c.failed("github", "no pull request of this repository")


@kind("GitHub: an answer that is no JSON", short=False)
def _(c):
    c.github()
    c.forge_fault("/pulls$", method="GET", status=200, times=99, body={"not": "a list"})
    c.failed("github", "does not answer as GitHub")


def with_issue(c):
    c.github()
    c.project.issues[42] = {"title": "Greet people", "body": "Please."}
    c.fields["github_issue_number"] = "42"
    c.fired.append(lambda: len(c.project.comments) == 1)


@kind("GitHub: the issue cannot be read for a while", recoverable=True, short=False)
def _(c):
    with_issue(c)
    c.forge_fault("/issues/42$", status=503, seconds=AWAY)
    c.completed(1, 4)


@kind("GitHub: the answer to the comment is lost", recoverable=True, short=False)
def _(c):
    with_issue(c)
    c.forge_fault("/issues/42/comments$", method="POST", lost=True)
    c.completed(1)


@kind("GitHub: the issue is not there", short=False)
def _(c):
    c.github()
    c.fields["github_issue_number"] = "77"
    c.failed("github", "issue #?77.*not found")


# ---- git remotes

def git_kind(name, service, attempts, short=True, weight=1, where="github", **fault):
    @kind(f"git: {name}", recoverable=True, short=short, weight=weight)
    def _(c):
        if where == "plain":
            c.plain()
            c.steps(STEPS[:4])
        else:
            c.github()
        c.git_fault(service, c.world.plain if where == "plain" else None, **fault)
        c.completed(*attempts)


git_kind("503 to the fetch for a while", "upload", (2, 4), status=503, seconds=AWAY, weight=2)
git_kind("429 to the fetch", "upload", (2,), status=429, times=1, short=False)
git_kind("the fetch's pack is cut", "upload", (2,), phase="pack", cut=True)
git_kind("the list of references is cut", "upload", (2,), phase="refs", cut=True, short=False)
git_kind("no answer to the fetch for a while", "upload", (2, 4), reset=True, seconds=AWAY, short=False)
git_kind("the fetch hangs", "upload", (2,), hang=GIT_TIMEOUT + 5, short=False)
git_kind("503 to the push for a while", "receive", (2, 4), status=503, seconds=AWAY, weight=2)
git_kind("502 to the push's pack", "receive", (2,), phase="pack", status=502, short=False)
git_kind("no answer to the push", "receive", (2,), phase="pack", reset=True, short=False)
git_kind("the push was taken, the answer is lost", "receive", (2,), phase="pack", lost=True, weight=3)
git_kind("the push was taken, the answer is cut", "receive", (2,), phase="pack", cut=True, short=False)
git_kind("the push hangs", "receive", (2,), phase="pack", hang=GIT_TIMEOUT + 5, short=False)
git_kind("the push is lost, no forge", "receive", (2,), phase="pack", lost=True, where="plain", short=False)


@kind("git: connections are refused for a while, at the fetch", recoverable=True, weight=2)
def _(c):
    proxy = c.world.proxy(c.world.plain.port, [{"away": AWAY}])
    c.plain(proxy.port)
    c.steps(STEPS[:4])
    c.fired.append(lambda: proxy.hits == 1)
    c.completed(2, 4)


@kind("git: connections are refused for a while, at the push", recoverable=True, short=False, weight=2)
def _(c):
    proxy = c.world.proxy(c.world.plain.port)
    c.plain(proxy.port)
    c.steps(STEPS[:4])
    # when the fetch's pack has been sent, the next connection is the push's
    c.world.plain.fault(c.name, "git-upload-pack", phase="pack", after=lambda: proxy.plans.append({"away": AWAY}))
    c.fired.append(lambda: proxy.hits == 1)
    c.completed(2, 4)


BIG = "execute", {"demo": f"run head -c {RANDOM} /dev/urandom > big2.bin"}


@kind("git: ssh is refused for a while", recoverable=True, short=False)
def _(c):
    c.ssh([{"away": AWAY}])
    c.completed(2, 4)


@kind("git: ssh drops in the handshake", recoverable=True, short=False)
def _(c):
    c.ssh([{"down": 900}])
    c.completed(2)


@kind("git: ssh drops in the middle of the fetch", recoverable=True)
def _(c):
    c.ssh([{"down": RANDOM // 4}])
    c.completed(2)


@kind("git: ssh drops in the middle of the push", recoverable=True)
def _(c):
    # connections: fetch, push
    c.ssh([None, {"up": RANDOM // 2}])
    c.plays(BIG[0], **BIG[1])
    c.completed(2)


@kind("git: ssh loses the answer to the push", recoverable=True, short=False)
def _(c):
    c.ssh([None, {"swallow": RANDOM}])
    c.plays(BIG[0], **BIG[1])
    c.completed(2)


@kind("git: ssh hangs", recoverable=True, short=False)
def _(c):
    c.ssh([{"hang": GIT_TIMEOUT + 5}])
    c.completed(2)


@kind("git: a branch of the same name was pushed by somebody", recoverable=True)
def _(c):
    c.github()

    def before():
        c.repo.commit({"theirs.txt": "theirs\n"}, "feat: theirs", branch=c.branch_of_order())
        c.branches.add(c.branch_of_order())
        c.repo.open_to_all()
    c.git_fault("receive", phase="refs", before=before)
    c.completed(1)
    c.fired.append(lambda: c.order["git_branch_name"].endswith("-2"))
    c.fired.append(lambda: all(c.repo.subjects(b) == ["feat: theirs"] for b in c.branches))


@kind("git: somebody pushes the same name in the same moment", recoverable=True)
def _(c):
    c.github()

    def before():
        c.repo.commit({"theirs.txt": "theirs\n"}, "feat: theirs", branch=c.branch_of_order())
        c.branches.add(c.branch_of_order())
        c.repo.open_to_all()
    c.git_fault("receive", phase="pack", before=before)
    c.completed(1, 2)
    c.fired.append(lambda: c.order["git_branch_name"].endswith("-2"))
    c.fired.append(lambda: all(c.repo.subjects(b) == ["feat: theirs"] for b in c.branches))


@kind("git: somebody pushed to the order's branch before a follow-up")
def _(c):
    c.github()

    def prompt(order):
        c.then = None
        c.theirs = c.repo.commit({"theirs.txt": "theirs\n"}, "feat: theirs", branch=order["git_branch_name"])
        c.repo.open_to_all()
        c.world.instance.call("order.prompt", agent_work_order_id=c.order_id, prompt_text="Say more")
        return True
    c.then = prompt
    c.failed("git", "changed on the remote.*not overwritten", pulls=1)
    c.fired.append(lambda: c.repo.head(c.order["git_branch_name"]) == c.theirs)


@kind("git: the branch is protected", weight=2)
def _(c):
    c.github()
    c.repo.hook("pre-receive", "#!/bin/sh\necho 'GH006: Protected branch update failed' >&2\nexit 1\n")
    c.failed("git", "^Command 'commit' failed: .*Protected branch update failed")


for status, words in ((401, "token was refused"), (403, "token was refused|auth|403"), (404, "there is no repository")):
    @kind(f"git: {status} to the push", short=status == 401)
    def _(c, status=status, words=words):
        c.github()
        c.git_fault("receive", status=status, times=99)
        c.failed("git", f"^Command 'commit' failed: .*({words})")


@kind("git: the token is refused", short=False)
def _(c):
    c.github()
    c.git_fault("upload", status=401, times=99)
    c.failed("git", "token was refused.*expired")


@kind("git: there is no such repository", short=False)
def _(c):
    c.plain()
    shutil.rmtree(c.repo.path)
    c.repo = None
    c.failed("git", "there is no repository")


@kind("git: the repository is empty", short=False)
def _(c):
    c.plain()
    git("update-ref", "-d", "refs/heads/main", cwd=c.repo.path)
    c.failed("git", "no commits")


@kind("git: away for ever", short=False)
def _(c):
    c.plain()
    c.git_fault("upload", c.world.plain, status=503, times=99)
    c.failed("transient", "503", ATTEMPTS)


# ---- the real program

def real_kind(name, recoverable, outcome, weight=1, **arguments):
    @kind(f"real Claude Code: {name}", recoverable=recoverable, short=False, real=True, weight=weight)
    def _(c):
        c.real(**arguments)
        (c.completed if recoverable else c.failed)(*outcome)


def api_error(status, kind, times, **more):
    return [{"status": status, "type": kind, **more} for _ in range(times)]


SOON = {"headers": {"retry-after": "1"}}
real_kind("429 with retry-after", True, (1,), faults=api_error(429, "rate_limit_error", 1, **SOON))
real_kind("429 until it gives up", True, (2,), faults=api_error(429, "rate_limit_error", 2, **SOON))
real_kind("529 until it gives up", True, (2,), faults=api_error(529, "overloaded_error", 2))
real_kind("500 until it gives up", True, (2,), faults=api_error(500, "api_error", 2))
real_kind("529 in the middle", True, (2,), faults=[None] * 5 + api_error(529, "overloaded_error", 2))
real_kind("the stream is cut", True, (1, 2), faults=[None] * 2 + [{"cut": True}])
real_kind("the text's stream is cut", True, (1, 2), faults=[None] * 3 + [{"cut": True}])
real_kind("an error in the stream", True, (1, 3), faults=[None] * 2 + [{"sse_error": "overloaded_error"}] * 2)
real_kind("connections are reset", True, (1, 3), faults=[{"reset": True}] * 4)
real_kind("connections are refused for a while", True, (1, 4), through=[{"away": 3}])
real_kind("a tool fails", True, (1,), script={"execute": [[bash("echo oops >&2; exit 3")], *SCRIPT["execute"]]})
real_kind("a bad key", False, ("permanent", "key.*credential set"), key="sk-ant-another-" + "k" * 20)
real_kind("400", False, ("permanent", "told to fail"), faults=api_error(400, "invalid_request_error", 50))
real_kind("403", False, ("permanent", "told to fail|authenticate"), faults=api_error(403, "permission_error", 50))
real_kind("false success", False, ("agent", "changed nothing"), script={"execute": [[text("Everything is done.")]]})
real_kind("too many turns", False, ("agent", "maximum number of turns"), max_turns=1)
real_kind("answers that are too long", False, ("agent", "output token|max_output_tokens"),
          faults=[{"stop": "max_tokens"}] * 60,
          # the program asks it to go on, with a message of its own
          script={step: [[text("I think and think and")]] for step in ("create-branch", "prompt")})
real_kind("the API hangs", False, ("timeout", "idle timeout"), faults=[None, {"delay": IDLE_REAL + 30}])


# ---- everything together

class World:
    """The services, the agents and one awod for a set of cases."""

    def __init__(self, claude=None):
        self.claude = claude
        self.place = Path(tempfile.mkdtemp(prefix="awo-it-faults-"))
        self.place.chmod(0o755)
        for name in ("octo", "plain", "local", "ssh", "agent"):
            (self.place / name).mkdir(mode=0o755)
        self.template = Repository(self.place / "template.git")
        self.forge = Forge()
        self.github = GitHttpServer(self.place, token=self.forge.token)
        self.plain = GitHttpServer(self.place / "plain")
        self.apis, self.proxies, self.ssh_ports = [], [], []
        self._sshd = self.instance = None
        self.agents = self.install_agents()

    def install_agents(self):
        place = self.place / "agent"
        for source, name in ((Path(__file__).parent / "replay_agent.py", "replay-agent"),
                             (build_dir() / "bin" / "awo-demo-agent", "awo-demo-agent")):
            shutil.copy(source, place / name)
            (place / name).chmod(0o755)
        shutil.copytree(SOURCE / "tests" / "data" / "streams", place / "streams")
        agents = {"default": "demo"}
        for dialect in ("claude", "codex", "opencode", "gemini", "qwen"):
            agents["replay" if dialect == "claude" else f"replay-{dialect}"] = {
                "adapter": "claude" if dialect == "qwen" else dialect, "program": str(place / "replay-agent"),
                "paths": [str(place)], "env": {"REPLAY_DIALECT": dialect}}
        return agents

    @property
    def sshd(self):
        self._sshd = self._sshd or Sshd(self.place / "sshd")
        return self._sshd

    def proxy(self, port, plans=()):
        self.proxies.append(Flaky(port, plans))
        return self.proxies[-1]

    def repository(self, path):
        shutil.copytree(self.template.path, path)
        repo = object.__new__(Repository)
        repo.path, repo.branch = path, self.template.branch
        repo.open_to_all()
        return repo

    def start(self, max_concurrent=4):
        config = {"max_concurrent": max_concurrent, "agents": self.agents, "git": {"timeout": GIT_TIMEOUT},
                  "retry": {"max_attempts": ATTEMPTS, "backoff": 1, "max_backoff": 2},
                  "timeouts": {"idle": IDLE_REAL if self.apis else IDLE},
                  "log": {"level": "info"}, "github": {"host": self.github.host, "api_url": self.forge.api_url}}
        if self._sshd:
            key = " ".join((self._sshd.base / "host.pub").read_text().split()[:2])
            known = self.place / "known_hosts"
            known.write_text("".join(f"[127.0.0.1]:{port} {key}\n" for port in self.ssh_ports))
            config["git"]["known_hosts"] = str(known)
        self.instance = Instance(config).start()
        self.instance.credential("forge", "github_token", self.forge.token, host=self.github.host)
        if self.apis:
            self.instance.credential("ANTHROPIC_API_KEY", "agent_key", MessagesApi.KEY)
        for port in self.ssh_ports:
            self.instance.credential(f"key-{port}", "ssh_key", self._sshd.key(), host=f"127.0.0.1:{port}")

    def run(self, cases, progress=lambda case: None, limit=1800):
        """Carries all cases out and judges them."""
        open_cases = {}
        for case in cases:
            case.create(self.instance)
            open_cases[case.order_id] = case
        end = time.monotonic() + limit
        while open_cases and time.monotonic() < end:
            time.sleep(0.2)
            listed = self.instance.call("order.list", limit=500)["agent_work_orders"]
            for order_id in [o["agent_work_order_id"] for o in listed if o["status"] in TERMINAL]:
                case = open_cases.get(order_id)
                if not case:
                    continue
                case.order = self.instance.order(order_id)
                if case.then and case.order["status"] == "completed" and case.then(case.order):
                    continue
                del open_cases[order_id]
                case.check()
                progress(case)
        for case in open_cases.values():
            case.order = self.instance.order(case.order_id)
            case.problems.append(f"still {case.order['status']} after {limit} s{self.instance.tail(case.order_id, 8)}")
            progress(case)

    def close(self):
        try:
            if self.instance:
                self.instance.close()
        finally:
            for service in (self.forge, self.github, self.plain, *self.apis, *self.proxies, self._sshd):
                if service:
                    service.close()
            if not os.environ.get("AWO_TEST_KEEP"):
                shutil.rmtree(self.place, ignore_errors=True)


def draw(world, kinds, orders, seed):
    """So many cases: each kind once, then by weight; which step and how often comes of the seed."""
    rng = random.Random(seed)
    chosen = list(kinds[:orders])
    real = [k for k in kinds if k.real]
    rest = [k for k in kinds if not k.real] or real
    chosen += rng.choices(rest, weights=[k.weight for k in rest], k=max(0, orders - len(chosen)))
    rng.shuffle(chosen)
    return [Case(world, k, i + 1, random.Random(rng.random())) for i, k in enumerate(chosen)]
