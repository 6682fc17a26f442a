"""Round trips, durable creates and lists over the Unix socket."""
import contextlib
import os
import subprocess

from figures import absolute, benchmark, compare, cpu_ns, median, percentile, until
from setting import HANG, multiply_orders


@contextlib.contextmanager
def one_processor(pid):
    """
    A server, and what is started meanwhile, on the same processor: whether the kernel happens to leave a server beside its
    client or puts it on an idle processor makes a round trip take 15 or 45 µs, and has nothing to do with what is compared.
    """
    allowed = os.sched_getaffinity(0)
    one = {min(allowed)}
    try:
        os.sched_setaffinity(0, one)
        for task in os.listdir(f"/proc/{pid}/task"):
            os.sched_setaffinity(int(task), one)
        yield
    finally:
        os.sched_setaffinity(0, allowed)


@benchmark("round-trip", "order.get against a libevent echo server that sends the same bytes")
def round_trip(setting):
    with setting.instance() as instance:
        repository, saved, path = setting.repository().path, setting.base / "answer", setting.base / "echo.sock"
        live = instance.create(repository, HANG)
        ended = instance.create(repository, "Add a greeting", selected_commands=["create-branch"])
        instance.wait(ended)
        instance.wait_event(live, "agent_command_started")
        ask = lambda order: {"agent_work_order_id": order}
        request, _, _ = setting.rpc(instance.socket, "order.get", ask(ended), 1, 1, saved)
        running, done, theirs, tails = [], [], [], []
        with one_processor(instance.broker_process().pid):
            echo = subprocess.Popen([setting.program("bench_echo_server"), path, str(request), saved])
            try:
                until(path.exists, 5)
                for _ in range(setting.rounds):
                    took = setting.rpc(instance.socket, "order.get", ask(live), 1, 4000)[2]
                    running.append(median(took))
                    tails.append(percentile(took, 99))
                    done.append(median(setting.rpc(instance.socket, "order.get", ask(ended), 1, 4000)[2]))
                    theirs.append(median(setting.rpc(path, "order.get", ask(ended), 1, 4000)[2]))
            finally:
                echo.kill()
                echo.wait()
        sizes = f"{request} bytes there, {saved.stat().st_size} back"
        yield compare(f"order.get of a running order, median round trip ({sizes}); libevent echo", running, theirs, 1.3)
        yield compare("order.get of an ended order; libevent echo", done, theirs, 1.3)
        yield absolute("order.get of a running order, 99th percentile", tails)


@benchmark("create", "durable orders per second, 64 connections and one, against SQLite alone")
def create(setting):
    with setting.instance({"max_concurrent": 1}) as instance:
        repository = str(setting.repository().path)
        # takes the only slot: what is created then stays pending
        first = instance.create(repository, HANG)
        instance.wait(first, "running")
        params = {"repository_url": repository, "user_request": "Add a greeting to the start page, and say in the "
                  "documentation how it can be changed.", "workflow_type": "agent_workflow_plan"}
        many, one, alone, cpu = [], [], [], []
        broker = instance.broker_process().pid
        for _ in range(setting.rounds):
            before = cpu_ns(broker)
            many.append(6400 / setting.rpc(instance.socket, "order.create", params, 64, 6400)[1])
            cpu.append((cpu_ns(broker) - before) / 6400e9)
            one.append(600 / setting.rpc(instance.socket, "order.create", params, 1, 600)[1])
            alone.append(600 / float(setting.output(setting.program("bench_sqlite_commits"),
                                                    instance.base / "alone.db", 600, 600)))
        rate = lambda v: f"{v:,.0f}/s"
        yield absolute("durable creates, 64 connections", many, 20000, rate, at_least=True)
        yield compare("durable creates, one at a time; SQLite alone, one insert a commit", one, alone, 0.8, rate, at_least=True)
        yield compare("durable creates, 64 connections; SQLite alone", many, alone, None, rate)
        yield absolute("processor time of awod for one of 64 at once", cpu)


@benchmark("list", "newest 50 of 100,000 orders, and what 100,000 orders cost otherwise")
def listing(setting):
    with setting.instance() as instance:
        order = instance.create(setting.repository().path, "Add a greeting", selected_commands=["create-branch"])
        instance.wait(order)
        few = median(setting.rpc(instance.socket, "order.get", {"agent_work_order_id": order}, 1, 2000)[2])
        instance.stop()
        multiply_orders(instance, order, 100000)
        instance.start()
        page, deep, get, search, others = [], [], [], [], []
        listed = instance.call("order.list", limit=500)["agent_work_orders"]
        ids = [{"agent_work_order_id": o["agent_work_order_id"]} for o in listed]
        for _ in range(setting.rounds):
            run = lambda method, params, n: median(setting.rpc(instance.socket, method, params, 1, n)[2])
            page.append(run("order.list", {"limit": 50}, 100))
            deep.append(run("order.list", {"limit": 50, "offset": 50000}, 5))
            search.append(run("order.list", {"limit": 50, "q": "no such text"}, 3))
            get.append(run("order.get", {"agent_work_order_id": order}, 2000))
            others.append(run("order.get", ids, 2000))
        yield absolute("newest 50 of 100,000 orders", page, 0.005)
        yield compare("order.get among 100,000 orders; among one", get, [few] * len(get), None)
        yield compare("order.get of 500 of them by turns, each read from the database; of one", others, get, None)
        yield absolute("50 of 100,000 behind an offset of 50,000", deep)
        yield absolute("a text that none of 100,000 has", search)
