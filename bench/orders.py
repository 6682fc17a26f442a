"""Whole orders: their run, their start, many at once, and awod's restart under them."""
import os
import resource
import shutil
import time

from awo_testlib import processes
from awo_testlib.rpc import Client
from figures import absolute, benchmark, compare, cpu_ns, median, percentile, size, until
from setting import HANG, multiply_orders

STEPS = ["create-branch", "planning", "execute", "commit", "create-pr"]
TICK = 1 / os.sysconf("SC_CLK_TCK")

SCRIPT = r"""
set -eu
# cache, order directory, agent, directory of prompts, remote
git -C "$1" fetch -q "$5" '+refs/heads/main:refs/heads/main'
mkdir -p "$2/home" "$2/outputs"
git clone -q --shared "$1" "$2/workspace"
cd "$2/workspace"
git config user.name "AWO Agent"
git config user.email agent@awo.invalid
export HOME=$2/home
for prompt in "$4"/*.txt; do
	"$3" --print --output-format stream-json --verbose --dangerously-skip-permissions <"$prompt" >"$2/outputs/${prompt##*/}"
done
git add -A
git diff --cached --quiet || git commit -q -m "chore: commit what was left"
git push -q "$5" "HEAD:refs/heads/script-$$"
"""


def run_and_wait(client, **fields):
    """Seconds from handing in to the end of an order, as somebody who follows its log sees it."""
    began = time.monotonic()
    order = client.call("order.create", **fields)["agent_work_order"]["agent_work_order_id"]
    client.call("order.watch", agent_work_order_id=order)
    while client.next(120)[0] != "stream_end":
        pass
    took = time.monotonic() - began
    record = client.call("order.get", agent_work_order_id=order)["agent_work_order"]
    if record["status"] != "completed":
        raise RuntimeError(f"{order} {record['status']}: {record['error_message']}")
    return order, took


def cpu_of(instance):
    """Seconds of processor that both processes and everything that they reaped have used."""
    total = 0.0
    for pid, children in ((instance.process.pid, True), (instance.broker_process().pid, False)):
        words = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
        total += sum(int(w) for w in words[11:15 if children else 13]) * TICK
    return total


def children_cpu():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@benchmark("order", "an order of five steps with an instantaneous agent, against a shell script with git and no sandbox")
def order(setting):
    remote = setting.repository().path
    with setting.instance({"agents": {"demo": {"adapter": "claude", "program": setting.program("awo-demo-agent")}}}) as instance:
        fields = {"repository_url": str(remote), "user_request": "Add a greeting", "selected_commands": STEPS}
        client = instance.client()
        first, _ = run_and_wait(client, **fields)
        prompts = setting.base / "prompts"
        shutil.copytree(instance.state / "work-orders" / first / "prompts", prompts)
        cache = setting.base / "cache.git"
        setting.output("git", "clone", "-q", "--bare", remote, cache)
        env = {"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "LANG": "C.UTF-8", "GIT_CONFIG_COUNT": "1",
               "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
        wall, wall_script, cpu, cpu_script = [], [], [], []
        for turn in range(setting.rounds):
            before = cpu_of(instance)
            took = [run_and_wait(client, **fields)[1] for _ in range(4)]
            # what the last worker used is counted when it has been reaped
            until(lambda: not instance.workers(), 10)
            wall.append(median(took))
            cpu.append((cpu_of(instance) - before) / 4)
            before, took = children_cpu(), []
            for i in range(4):
                began = time.monotonic()
                setting.output("sh", "-c", SCRIPT, "script", cache, setting.base / f"script-{turn}-{i}",
                               setting.program("awo-demo-agent"), prompts, remote, env=env)
                took.append(time.monotonic() - began)
            wall_script.append(median(took))
            cpu_script.append((children_cpu() - before) / 4)
    yield compare("an order of five steps, from handing in to its end; shell script, same agent, no sandbox", wall, wall_script, 1.0)
    yield compare("the same, processor time", cpu, cpu_script, None)


@benchmark("start", "from handing an order in to the first instruction of its agent")
def start(setting):
    clock = {"adapter": "command", "program": "/usr/bin/date", "args": ["+%s.%N"]}
    with setting.instance({"repositories": {"max_age": 3600, "allow_local": "all"},
                           "agents": {"default": "clock", "clock": clock}}) as instance:
        client = instance.client()
        cache = setting.base / "start.git"
        setting.output("git", "clone", "-q", "--bare", setting.repository().path, cache)
        middles, tails, plain = [], [], []
        for turn in range(setting.rounds + 1):
            took, took_plain = [], []
            for i in range(20):
                began = time.time()
                work = setting.base / f"start-{turn}-{i}"
                told = setting.output("sh", "-c", 'git -c safe.directory="*" clone -q --shared "$1" "$2" && date +%s.%N', "sh", cache, work)
                took_plain.append(float(told) - began)
                began = time.time()
                order = client.call("order.create", repository_url=str(setting.repository().path), user_request="Say when",
                                    selected_commands=["create-branch"])["agent_work_order"]["agent_work_order_id"]
                until(lambda: client.call("order.get", agent_work_order_id=order)["agent_work_order"]["status"]
                      not in ("pending", "running"), 30)
                names = [a["name"] for a in client.call("order.artifacts", agent_work_order_id=order)["artifacts"]]
                name = next(n for n in names if n.startswith("outputs/") and n.endswith(".jsonl"))
                took.append(float(instance.raw_output(order, name).split()[0]) - began)
            # the first turn fills the cache
            if turn > 0:
                middles.append(median(took))
                tails.append(percentile(took, 95))
                plain.append(median(took_plain))
    yield compare("submitted to the agent's first instruction, fresh cache, median; git clone --shared, no sandbox", middles, plain, None)
    yield absolute("the same, 95th percentile", tails, 0.04)


def pss(pid):
    for line in open(f"/proc/{pid}/smaps_rollup"):
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no Pss of {pid}")


def worker_pids(worker):
    """All that is AWO's own beside an agent: the worker, the reapers of sandboxes, helpers that stand by."""
    return [worker.pid] + [p.pid for p in processes.descendants(worker.pid)
                           if p.argv and ("launch" in p.argv or "standing-by" in p.argv)]


@benchmark("memory", "proportional set size of awod with 100,000 orders, and of a worker")
def memory(setting):
    shown = lambda v: size(v)
    with setting.instance({"max_concurrent": 10}) as instance:
        path = str(setting.repository().path)
        order = instance.create(path, "Add a greeting", selected_commands=["create-branch"])
        instance.wait(order)
        instance.stop()
        multiply_orders(instance, order, 100000)
        instance.start()
        for _ in range(5):
            instance.call("order.list", limit=50)
        both = [pss(instance.process.pid) + pss(instance.broker_process().pid)]
        yield absolute("both awod processes with 100,000 orders", both, 12 << 20, shown)
        orders = [instance.create(path, HANG) for _ in range(10)]
        until(lambda: all(instance.events(o, "agent_command_started") for o in orders), 60, 0.2)
        time.sleep(1)
        each = [sum(map(pss, worker_pids(p))) for o in orders for p in processes.with_argument(o, "awo-worker")]
        yield absolute("a worker, reapers and helpers that stand by beside a waiting agent, ten at once", each, 2 << 20, shown)


@benchmark("idle", "processor time of awod and 100 workers whose agents wait")
def idle(setting):
    with setting.instance({"max_concurrent": 100}) as instance:
        path = str(setting.repository().path)
        orders = [instance.create(path, HANG) for _ in range(100)]
        until(lambda: all(instance.events(o, "agent_command_started") for o in orders), 180, 1)
        time.sleep(3)
        own = [instance.process.pid, instance.broker_process().pid]
        workers = [pid for p in instance.workers() for pid in worker_pids(p)]
        shares = []
        for _ in range(setting.rounds):
            before = sum(map(cpu_ns, own + workers))
            time.sleep(5)
            shares.append((sum(map(cpu_ns, own + workers)) - before) / 5e9)
        yield absolute(f"both awod processes and {len(instance.workers())} workers with waiting agents, processor time in a second", shares,
                       None, lambda v: f"{v * 1e6:.1f} µs")


WORK = """#!/bin/sh
set -e
cat >/dev/null
# all begin at the same moment
until [ "$(date +%s)" -ge MOMENT ]; do
	sleep 0.5
done
for i in 1 2 3; do
	echo "int function_$i(int x) { return x + $i; }" >>work.c
	cc -Wall -O2 -c -o /tmp/work.o work.c
	git add work.c
	git commit -q -m "feat: function $i"
done
"""


@benchmark("working", "100 orders at once, whose agents edit, compile and commit")
def working(setting):
    script = setting.base / "work.sh"
    script.write_text(WORK.replace("MOMENT", str(int(time.time()) + 40)))
    script.chmod(0o755)
    with setting.instance({"max_concurrent": 100, "agents": {"default": "work", "work": {"adapter": "command", "program": str(script)}}}) as instance:
        path = str(setting.repository().path)
        began = time.monotonic()
        orders = [instance.create(path, "Work", selected_commands=["commit"]) for _ in range(100)]
        most = 0
        while any(instance.order(o)["status"] in ("pending", "running") for o in orders):
            most = max(most, len(instance.workers()))
            time.sleep(0.2)
        took = time.monotonic() - began
        records = [instance.order(o) for o in orders]
        good = sum(r["status"] == "completed" and r["git_commit_count"] == 3 for r in records)
        yield absolute("orders that failed among 100 whose agents edit, compile and commit at once", [100 - good], 0, str)
        yield absolute(f"the same, from the first order to the end of the last; {most} at work at a time", [took])


@benchmark("restart", "restart of awod with 200 running orders")
def restart(setting):
    with setting.instance({"max_concurrent": 200}) as instance:
        path = str(setting.repository().path)
        orders = [instance.create(path, HANG) for _ in range(200)]
        until(lambda: all(instance.events(o, "agent_command_started") for o in orders), 300, 2)
        answers, stops = [], []
        for _ in range(setting.rounds):
            began = time.monotonic()
            instance.stop()
            stops.append(time.monotonic() - began)
            began = time.monotonic()
            instance.start()
            found = instance.call("order.list", status="running", limit=1)["total_count"]
            answers.append(time.monotonic() - began)
            if found != 200 or len(instance.workers()) != 200:
                raise RuntimeError(f"{found} of 200 orders are running after a restart")
        yield absolute("restart with 200 running orders: from start to a list of all of them", answers)
        yield absolute("and the stop before", stops)
        # a worker takes a command again
        began = time.monotonic()
        instance.call("order.cancel", agent_work_order_id=orders[0])
        instance.wait(orders[0], "cancelled")
        yield absolute("a cancel right after, until the order is cancelled", [time.monotonic() - began])


@benchmark("slot", "how long a freed slot stays empty with 200 pending orders")
def slot(setting):
    quick = {"adapter": "command", "program": "/usr/bin/true"}
    with setting.instance({"max_concurrent": 1, "repositories": {"max_age": 3600, "allow_local": "all"},
                           "agents": {"default": "quick", "quick": quick}}) as instance:
        path = str(setting.repository().path)
        with Client(str(instance.socket)) as client:
            orders = [client.call("order.create", repository_url=path, user_request="Nothing", selected_commands=["create-branch"])
                      ["agent_work_order"]["agent_work_order_id"] for _ in range(200)]
        instance.wait(orders[-1], "completed", "failed", timeout=300)
        moment = lambda text: time.mktime(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")) + float("0" + text[19:].rstrip("Z"))
        records = [instance.order(o) for o in orders]
        gaps = [moment(b["execution_started_at"]) - moment(a["execution_completed_at"]) for a, b in zip(records, records[1:])]
        yield absolute("a freed slot is taken, median of 199", [median(gaps)])
        yield absolute("the same, 99th percentile", [percentile(gaps, 99)])
