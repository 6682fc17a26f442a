"""The gateway: answers against FastAPI and a bare evhttp, while orders run, streams, webhooks; and the pages in a browser."""
import contextlib
import copy
import hashlib
import hmac
import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from awo_testlib import npm, webhook_examples
from awo_testlib.forge import Forge
from awo_testlib.gateway import GATEWAY_UID, Gateway
from awo_testlib.instance import SOURCE, merge
from awo_testlib.remotes import GitHttpServer, Repository
from figures import Skipped, absolute, benchmark, compare, median, percentile, size, until
from logs import WRITER, writer
from setting import HANG, multiply_orders

REFERENCE = Path(__file__).with_name("web_fastapi.py")
CONNECTIONS = 32
SECONDS = 2


@contextlib.contextmanager
def served(setting, config=None):
    """An awod with its gateway, as they are installed: who asks shows a token."""
    mine = {"socket": {"gateway_user": str(GATEWAY_UID)}, "gateway": {"rate_limit": 0}, "log": {"level": "info"}}
    with setting.instance(merge(mine, config or {})) as instance:
        gateway = Gateway(instance).start()
        try:
            yield instance, gateway
        finally:
            gateway.stop()


@contextlib.contextmanager
def printing_port(*argv):
    """A server that prints its port when it listens."""
    process = subprocess.Popen([str(a) for a in argv], stdout=subprocess.PIPE, text=True)
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


def load(setting, port, path, token="", connections=CONNECTIONS, seconds=SECONDS):
    """What http_load says of so many connections that ask again as soon as they have their answer."""
    return json.loads(setting.output(setting.program("http_load"), "get", f"127.0.0.1:{port}", path, connections, seconds,
                                     env={"TOKEN": token}))


def fastapi_variants():
    """How uvicorn can run FastAPI with the packages that are installed: (name, loop, protocol)."""
    def has(*modules):
        return subprocess.run(["/usr/bin/python3", "-c", f"import {', '.join(modules)}"], stderr=subprocess.DEVNULL,
                              check=False).returncode == 0
    if not has("fastapi", "uvicorn"):
        raise Skipped("FastAPI is missing: apt-get install python3-fastapi uvicorn")
    yield "FastAPI with uvicorn", "asyncio", "h11"
    if has("uvloop", "httptools"):
        yield "FastAPI with uvicorn, uvloop and httptools", "uvloop", "httptools"


@benchmark("http", "an order and a list of 50 over HTTP, against FastAPI and a bare evhttp that send the same bytes")
def answers(setting):
    with served(setting) as (instance, gateway), contextlib.ExitStack() as stack:
        order = instance.create(setting.repository().path, "Add a greeting", selected_commands=["create-branch"])
        instance.wait(order)
        gateway.stop()
        instance.stop()
        multiply_orders(instance, order, 60)
        instance.start()
        gateway.start()
        token = instance.call("token.create", name="bench", scopes=["read"])["token"]
        paths = [f"/api/v1/agent-work-orders/{order}", "/api/v1/agent-work-orders?limit=50"]
        bodies, files = [], []
        for n, path in enumerate(paths):
            bodies.append(gateway.get(path, Authorization=f"Bearer {token}").body)
            files.append(setting.base / f"body-{n}")
            files[n].write_bytes(bodies[n])
        bare = [stack.enter_context(printing_port(setting.program("http_bare"), 0, f)) for f in files]
        slow = {}
        for name, loop, protocol in fastapi_variants():
            slow[name] = stack.enter_context(printing_port("/usr/bin/python3", REFERENCE, loop, protocol, *files))
            for path, body in zip(paths, bodies):
                answer = until(lambda: fetch(slow[name], path), 10)
                if answer != body:
                    raise RuntimeError(f"{name} answers {path} with other bytes: {answer[:300]} instead of {body[:300]}")
        rate = lambda v: f"{v:,.0f}/s"
        for n, (what, least, least_bare) in enumerate((("an order", 10, 0.4), ("a list of 50", 20, None))):
            ours, bares, theirs, tails = [], [], {name: [] for name in slow}, []
            for _ in range(setting.rounds):
                done = load(setting, gateway.port, paths[n], token)
                ours.append(done["rate"])
                tails.append(done["p99_ms"] / 1e3)
                bares.append(load(setting, bare[n], paths[n])["rate"])
                for name, port in slow.items():
                    theirs[name].append(load(setting, port, paths[n])["rate"])
            what = f"GET of {what} ({len(bodies[n]):,} bytes), {CONNECTIONS} connections"
            for name in slow:
                yield compare(f"{what}; {name}", ours, theirs[name], least if "uvloop" not in name else None, rate, at_least=True)
            yield compare(f"{what}; bare evhttp", ours, bares, least_bare, rate, at_least=True)
            yield absolute("the same, 99th percentile of the time of one answer", tails)


def fetch(port, path):
    """The body of an answer, or None while nobody listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.read()
    except urllib.error.URLError:
        return None


CHATTY = """import sys, time
sys.stdin.read()
while True:
    print("thinking about what is to be done next, and writing it down", flush=True)
    time.sleep(0.1)
"""


def run_hundred(setting, instance, request, **more):
    """A hundred orders whose agents are at work, and one of them."""
    path = str(setting.repository().path)
    orders = [instance.create(path, request, **more) for _ in range(100)]
    until(lambda: all(instance.events(o, "agent_command_started") for o in orders), 180, 1)
    time.sleep(2)
    return orders


@benchmark("http-busy", "GET of one order while 100 orders run")
def busy(setting):
    script = setting.base / "chatty.py"
    script.write_text(CHATTY)
    chatty = {"adapter": "command", "program": "/usr/bin/python3", "args": [str(script)], "paths": [str(script)]}
    for what, agents, request in (("wait", {}, HANG), ("write ten lines a second each", {"default": "chatty", "chatty": chatty}, "Talk")):
        with served(setting, {"max_concurrent": 100, "agents": agents}) as (instance, gateway):
            order = run_hundred(setting, instance, request)[50]
            token = instance.call("token.create", name="bench", scopes=["read"])["token"]
            done = [load(setting, gateway.port, f"/api/v1/agent-work-orders/{order}", token) for _ in range(setting.rounds)]
            yield absolute(f"GET of a running order while 100 run whose agents {what}, {CONNECTIONS} connections, 99th percentile",
                           [d["p99_ms"] / 1e3 for d in done], 0.005)
            yield absolute("the same, answers", [d["rate"] for d in done], None, lambda v: f"{v:,.0f}/s")


READERS = 1000


def kernel_memory():
    """Bytes that the kernel holds for TCP."""
    return int(re.search(r"^TCP:.* mem (\d+)", Path("/proc/net/sockstat").read_text(), re.M).group(1)) * os.sysconf("SC_PAGE_SIZE")


def counted(gateway, token, name):
    text = gateway.get("/metrics", Authorization=f"Bearer {token}").body.decode()
    return int(float(re.search(rf"^awo_{name} (\S+)$", text, re.M).group(1)))


@benchmark("sse", "1,000 readers of an order that logs 1,000 lines a second, and some that stop reading")
def streams(setting):
    script = setting.base / "writer.py"
    # the readers come first
    script.write_text(WRITER.replace("begin = ", "time.sleep(6)\nbegin = ", 1))
    agents = {"default": "brief", "brief": writer(script, 1000, 10), "long": writer(script, 1000, 60)}
    delays, middles, wrong, most = [], [], [], []
    with served(setting, {"agents": agents, "artifacts": {"outputs": False}}) as (instance, gateway):
        token = instance.call("token.create", name="bench", scopes=["read"])["token"]
        path = str(setting.repository().path)
        for _ in range(min(setting.rounds, 3)):
            gateway.stop()
            gateway.start()
            order = instance.create(path, "Write", selected_commands=["create-branch"])
            instance.wait_event(order, "agent_command_started")
            done = json.loads(setting.output(setting.program("http_load"), "sse", f"127.0.0.1:{gateway.port}",
                                             f"/api/v1/{order}/logs/stream", READERS, 40, env={"TOKEN": token}))
            peak = int(re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{gateway.pid}/status").read_text()).group(1)) << 10
            lines = len(instance.log(order))
            if done["ended"] != READERS or lines < 10000:
                raise RuntimeError(f"{done['ended']} of {READERS} streams have ended, of {lines} lines: {done}")
            wrong.append(max(abs(lines - done["lines_least"]), abs(lines - done["lines_most"])))
            delays.append(done["p95_ms"] / 1e3)
            middles.append(done["p50_ms"] / 1e3)
            most.append(peak)
        count = lambda v: f"{v:.0f}"
        yield absolute(f"lines that a reader has lost or had twice, of {lines:,} each, {READERS:,} readers", wrong, 0, count)
        yield absolute("a line, from the log to its reader, median", middles)
        yield absolute("the same, 95th percentile", delays, 0.1)
        yield absolute("most memory of the gateway meanwhile", most, 64 << 20, size)
        yield from stalled(setting, instance, gateway, token)


def stalled(setting, instance, gateway, token):
    """What readers cost that take nothing, beside one that reads on."""
    order = instance.create(str(setting.repository().path), "Write", agent="long", selected_commands=["create-branch"])
    instance.wait_event(order, "agent_command_started")
    reader = gateway.stream(f"/api/v1/{order}/logs/stream", {"Authorization": f"Bearer {token}"}, timeout=120)
    seen = [0]

    def read():
        for _ in reader.events():
            seen[0] += 1
    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    # its lines, which all readers share, are as many as they get
    until(lambda: seen[0] > 10000, 60)
    before, slow, held = gateway.resident() + kernel_memory(), [], []
    began = time.monotonic()
    for _ in range(10):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect(("127.0.0.1", gateway.port))
        s.sendall(f"GET /api/v1/{order}/logs/stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
        slow.append(s)
    while counted(gateway, token, "sse_readers_dropped_total") < 10:
        held.append(gateway.resident() + kernel_memory() - before)
        if time.monotonic() - began > 60:
            raise TimeoutError("those that take nothing are not cut off")
        time.sleep(0.25)
    took = time.monotonic() - began
    for s in slow:
        s.close()
    instance.call("order.cancel", agent_work_order_id=order)
    thread.join(30)
    yield absolute("memory for a reader that takes nothing, the kernel's with it, one of ten", [max(held) / 10], 1 << 20, size)
    yield absolute("until it is cut off", [took])


@benchmark("webhook", "from a webhook of GitHub to an order, while 100 orders run")
def webhooks(setting):
    try:
        sample = next(p for event, p in webhook_examples.examples() if event == "issues" and p["action"] == "labeled")
    except npm.Missing as e:
        raise Skipped(str(e)) from e
    secret, deliveries = "s3cret-of-this-benchmark", 200
    with contextlib.ExitStack() as stack:
        forge = Forge()
        stack.callback(forge.close)
        place = setting.base / "forge"
        (place / "octo").mkdir(parents=True)
        place.chmod(0o755)
        repository = Repository(place / "octo" / "sample.git")
        project = forge.add("octo", "sample", repository)
        server = GitHttpServer(place, token=forge.token)
        stack.callback(server.close)
        instance, gateway = stack.enter_context(served(setting, {
            "max_concurrent": 110, "repositories": {"max_age": 3600},
            "github": {"host": server.host, "api_url": forge.api_url}, "webhooks": {"github_secret": secret, "comment": False}}))
        instance.credential("forge", "github_token", forge.token, host=server.host)
        instance.call("repository.add", repository_url=server.url("octo/sample"), verify=False, default_commands=["create-branch"])
        run_hundred(setting, instance, HANG)
        client, orders, starts = instance.client(), [], []
        for n in range(deliveries):
            payload = copy.deepcopy(sample)
            payload["label"]["name"] = "agent-work-order"
            payload["repository"]["full_name"] = "octo/sample"
            payload["issue"].update(number=1000 + n, title="Add a greeting", state="open")
            project.issues[1000 + n] = {"title": "Add a greeting", "body": "Say hello."}
            body = json.dumps(payload).encode()
            began = time.monotonic()
            answer = gateway.request("POST", "/webhooks/github", body, {
                "Content-Type": "application/json", "X-GitHub-Event": "issues", "X-GitHub-Delivery": f"bench-{n}",
                "X-Hub-Signature-256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()})
            if answer.status != 201:
                raise RuntimeError(f"delivery {n}: {answer}")
            order = answer.json["agent_work_order_id"]
            get = lambda: client.call("order.get", agent_work_order_id=order)["agent_work_order"]["status"]
            if get() not in ("pending", "running", "completed"):
                raise RuntimeError(f"{order} is {get()}")
            orders.append(time.monotonic() - began)
            until(lambda: get() != "pending", 30, 0.001)
            starts.append(time.monotonic() - began)
            until(lambda: get() not in ("pending", "running"), 60, 0.01)
            if get() != "completed":
                raise RuntimeError(f"{order} is {get()}")
        yield absolute(f"a signed webhook, until its order is stored and can be read, while 100 run: median of {deliveries}",
                       [median(orders)])
        yield absolute("the same, 99th percentile", [percentile(orders, 99)], 2)
        yield absolute("until the order has its place and is being started, 99th percentile", [percentile(starts, 99)], 2)


@benchmark("ui", "the pages in a browser: bytes of script, time until they can be used, time until a change is seen")
def pages(setting):
    build, chromium = setting.bin.parent, os.environ.get("AWO_CHROMIUM", "/usr/bin/chromium")
    modules = build / "ui-build" / "npm"
    if not (build / "ui" / "index.html").exists() or not (modules / "node_modules" / "playwright-core").is_dir():
        raise Skipped("the web UI was not built: Node.js 20.19 or newer with npm is needed, and what npm ci fetches")
    if not os.access(chromium, os.X_OK):
        raise Skipped("no Chromium: apt-get install chromium")
    with served(setting, {"gateway": {"auth": "none"}, "max_concurrent": 20}) as (instance, gateway):
        for n in range(12):
            made = gateway.post("/api/v1/", {"repository_url": str(setting.repository().path), "user_request": HANG})
            if made.status != 201:
                raise RuntimeError(str(made))
            instance.wait(made.json["agent_work_order"]["agent_work_order_id"], "running")
        told = json.loads(setting.output(
            shutil.which("node"), Path(__file__).with_name("web_ui.mjs"), setting.rounds,
            env={"PATH": os.environ["PATH"], "HOME": str(instance.home), "AWO_CHROMIUM": chromium,
                 "AWO_UI_MODULES": str(modules), "AWO_UI_URL": f"http://127.0.0.1:{gateway.port}"}).splitlines()[-1])
    yield absolute("compressed script of a first load of the list of orders", [told["bytes"]], 200e3, lambda v: f"{v / 1e3:.0f} KB")
    yield absolute("from the address to a list of 12 running orders that can be used, in a browser that has nothing of it yet",
                   [v / 1e3 for v in told["usable"]], 1)
    yield absolute("an order's event, until its row shows the change, median of a round of 20",
                   [median(took) / 1e3 for took in told["seen"]], 0.2)
    every = sum(told["seen"], [])
    yield absolute(f"the same, 95th percentile of all {len(every)}", [percentile(every, 95) / 1e3], 0.2)
    yield absolute("the same, the longest", [max(every) / 1e3])
