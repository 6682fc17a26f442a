"""Streams over HTTP: replay and then live, without a gap or a double, for many readers and slow ones."""
import json
import os
import random
import resource
import selectors
import socket
import struct
import threading
import time
from datetime import datetime

import pytest
from awo_testlib.instance import frugal
from awo_testlib.waiting import until


def path(order, query=""):
    return f"/api/v1/{order}/logs/stream{query}"


def test_a_stream_is_the_log(gateway, repo):
    order = gateway.create(repo.path)
    stream = gateway.stream(path(order))
    assert stream.status == 200 and stream.headers["content-type"] == "text/event-stream"
    live = stream.lines()
    log = gateway.instance.log(order)
    assert live == [{**line} for line in log]
    assert live[-1]["event"] == "agent_work_order_completed"
    again = gateway.stream(path(order))
    events = list(again.events())
    assert [json.loads(d) for kind, _, d in events if kind == "message"] == log
    assert [i for kind, i, _ in events if kind == "message"] == [line["seq"] for line in log]
    assert events[-1][0] == "end" and json.loads(events[-1][2])["reason"] == "order_ended"


def test_resume_by_id(gateway, repo):
    order = gateway.create(repo.path)
    gateway.instance.completed(order)
    log = gateway.instance.log(order)
    for at in (0, 1, len(log) // 2, len(log) - 1):
        rest = gateway.stream(path(order), {"Last-Event-ID": str(log[at]["seq"])}).lines()
        assert rest == log[at + 1:]
        assert gateway.stream(path(order, f"?after_seq={log[at]['seq']}")).lines() == rest
    # the header wins: browsers send it when they come again
    assert gateway.stream(path(order, "?after_seq=0"), {"Last-Event-ID": str(log[-2]["seq"])}).lines() == log[-1:]
    for wrong in ("x", "-1", "1x", "0x10"):
        answer = gateway.get(path(order), Last_Event_ID=wrong)
        assert answer.status == 422 and answer.json["detail"][0]["loc"] == ["header", "Last-Event-ID"], answer
    assert gateway.get(path(order, "?after_seq=3")).status == 422


def test_filters(gateway, repo):
    order = gateway.create(repo.path)
    gateway.instance.completed(order)
    log = gateway.instance.log(order)
    steps = gateway.stream(path(order, "?step=planning")).lines()
    assert steps and steps == [line for line in log if line.get("step") == "planning"]
    assert gateway.stream(path(order, "?level=error")).lines() == [line for line in log if line["level"] == "error"]
    middle = log[len(log) // 2]["timestamp"]
    assert gateway.stream(path(order, f"?since={middle}")).lines() == [x for x in log if x["timestamp"] >= middle]
    assert gateway.get(path(order, "?level=loud")).json["detail"][0]["type"] == "enum"


def test_head_of_a_stream(gateway, repo):
    order = gateway.create(repo.path)
    head = gateway.request("HEAD", path(order))
    assert head.status == 200 and head.headers["content-type"] == "text/event-stream" and head.body == b""
    gateway.instance.completed(order)


def test_lines_come_at_once(gateway, repo):
    order = gateway.create(repo.path, "demo: hang")
    gateway.instance.wait(order, "running")
    stream = gateway.stream(path(order))
    seen = []

    def read():
        for kind, _, data in stream.events():
            if kind == "message":
                seen.append((time.time(), json.loads(data)))
    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    time.sleep(0.5)
    gateway.post(f"/api/v1/{order}/prompt", {"prompt_text": "hello"})
    gateway.instance.wait_event(order, "prompt_queued")
    gateway.post(f"/api/v1/{order}/cancel")
    thread.join(20)
    when = {line["event"]: (at - datetime.fromisoformat(line["timestamp"].replace("Z", "+00:00")).timestamp())
            for at, line in seen}
    assert when["prompt_queued"] < 0.5, when


def test_keepalive(gateway, repo):
    order = gateway.create(repo.path, "demo: hang")
    gateway.instance.wait(order, "running")
    stream = gateway.stream(path(order, "?level=error"))
    began = time.monotonic()
    for kind, _, text in stream.events():
        if kind == "comment" and text == "keepalive":
            break
    assert time.monotonic() - began < 15
    gateway.post(f"/api/v1/{order}/cancel")


def test_many_readers_of_one_order(gateway, repo):
    """Readers that come at different times all have the whole log."""
    order = gateway.create(repo.path)
    results = {}

    def read(n):
        time.sleep(random.random() * 0.8)
        results[n] = gateway.stream(path(order), timeout=60).lines()
    threads = [threading.Thread(target=read, args=(n,)) for n in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    log = gateway.instance.log(order)
    assert len(results) == 60 and all(lines == log for lines in results.values())


READERS = int(os.environ.get("AWO_SSE_READERS", "100"))


class Reader:
    """A reader of a stream that keeps the bytes, and takes them apart when it is over."""

    def __init__(self, gateway, target, last=None):
        self.socket = socket.create_connection((gateway.host, gateway.port), timeout=30)
        after = f"Last-Event-ID: {last}\r\n" if last else ""
        self.socket.sendall(f"GET {target} HTTP/1.1\r\nHost: {gateway.host}:{gateway.port}\r\n{after}\r\n".encode())
        self.parts = []

    def read(self, size=1 << 18):
        """False when the stream has ended."""
        try:
            part = self.socket.recv(size)
        except ConnectionError:
            part = b""
        self.parts.append(part)
        return part != b""

    def body(self):
        """What has come, without the frames; and whether the answer is complete."""
        data, body = b"".join(self.parts), []
        at = data.find(b"\r\n\r\n") + 4
        while at >= 4 and (end := data.find(b"\r\n", at)) > 0:
            size = int(data[at:end], 16)
            if size == 0:
                return b"".join(body), True
            body.append(data[end + 2:end + 2 + size])
            at = end + 2 + size + 2
        return b"".join(body), False

    def events(self):
        """(id, data) of the messages that have come as a whole."""
        return [tuple(f[4:].split(b"\ndata: ", 1)) for f in self.body()[0].split(b"\n\n")[:-1] if f.startswith(b"id: ")]


def test_a_thousand_reconnects_join_without_gap_or_double(gateway, repo):
    """Broken off by either side, in every manner and place, live and from the file: the pieces are the file."""
    order = gateway.create(repo.path, "demo@planning: flood 1400000")
    joined, connections, ended, rnd = [], 0, False, random.Random(5)
    while not ended:
        reader = Reader(gateway, path(order), joined[-1][0].decode() if joined else None)
        connections += 1
        # few at a time, and all that is left when there were enough
        wanted = rnd.choice([1, 1, 1, 1, 1, 1, 1, 1, 1, 3]) if connections < 1010 else 1 << 30
        while reader.read(1024 if wanted < 4 else 1 << 18) and (wanted > 4 or len(reader.events()) < wanted):
            pass
        ended = wanted > 4 and b"event: end\n" in reader.body()[0]
        joined += reader.events()[:wanted]
        if rnd.random() < 0.5:   # a reset instead of an end
            reader.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        reader.socket.close()
        if connections in (300, 600):
            gateway.stop()
            gateway.start()
        if connections == 900:
            gateway.instance.stop()
            gateway.instance.start()
            until(lambda: gateway.get(f"/api/v1/{order}").status == 200, "awod back", 15)
    log = gateway.instance.log(order)
    assert [json.loads(data) for _, data in joined] == log and [int(i) for i, _ in joined] == [line["seq"] for line in log]
    assert connections > 1000


def test_many_readers_of_a_log_that_grows_fast(make_gateway, repo):
    """More than a thousand lines a second: each reader has all of them, once. AWO_SSE_READERS says how many (1000: full size)."""
    gateway = make_gateway(env=frugal())
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, READERS + 1000), hard))
    order = gateway.create(repo.path, "demo@planning: sleep 2\ndemo@planning: flood 3000000", selected_commands=["create-branch", "planning"])
    readers, waits, most = [], selectors.DefaultSelector(), 0
    try:
        for _ in range(READERS):
            readers.append(Reader(gateway, path(order)))
            waits.register(readers[-1].socket, selectors.EVENT_READ, readers[-1])
        while waits.get_map():
            ready = waits.select(30)
            assert ready, "the streams have stopped"
            for key, _ in ready:
                if not key.data.read():
                    waits.unregister(key.fileobj)
            most = max(most, gateway.resident())
        log = [(str(line["seq"]), line) for line in gateway.instance.log(order)]
        got = readers[0].events()
        assert [(i.decode(), json.loads(d)) for i, d in got] == log
        for r in readers:
            assert r.body()[1] and r.events() == got
        times = [datetime.fromisoformat(line["timestamp"].replace("Z", "+00:00")).timestamp() for _, line in log]
        print(f"{READERS} readers, {len(log)} lines, {sum(map(len, readers[0].parts)) >> 10} KiB each, busiest second "
              f"{max(sum(t <= u < t + 1 for u in times[i:]) for i, t in enumerate(times) if i % 100 == 0)} lines, gateway {most >> 20} MiB")
        assert gateway.is_sanitized or most < 64 << 20, f"{most >> 20} MiB"
    finally:
        for r in readers:
            r.socket.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_restart_of_awod_is_not_seen(gateway, repo):
    order = gateway.create(repo.path, "demo: hang")
    gateway.instance.wait(order, "running")
    stream = gateway.stream(path(order))
    lines = []
    thread = threading.Thread(target=lambda: lines.extend(stream.lines()))
    thread.start()
    time.sleep(0.5)
    gateway.instance.stop()
    time.sleep(0.3)
    gateway.instance.start()
    until(lambda: gateway.get(f"/api/v1/{order}").status == 200, "awod back", 15)
    assert gateway.post(f"/api/v1/{order}/cancel").status == 200
    thread.join(20)
    assert not thread.is_alive() and lines == gateway.instance.log(order)


def test_events_of_all_orders(gateway, repo):
    stream = gateway.stream("/api/v1/events")
    assert stream.status == 200
    time.sleep(0.3)
    order = gateway.create(repo.path)
    seen = []
    for kind, ident, data in stream.events():
        if kind == "message":
            seen.append((ident, json.loads(data)))
            if seen[-1][1]["event"] == "agent_work_order_completed":
                break
    stored = [(i, e) for i, e in seen if i]
    assert [i for i, _ in stored] == sorted({i for i, _ in stored})
    assert "agent_work_order_created" in [e["event"] for _, e in stored]
    assert "step_completed" in [e["event"] for i, e in seen]
    # from the first on: the rest, once
    again = gateway.stream("/api/v1/events", {"Last-Event-ID": str(stored[0][0])})
    replayed = []
    for kind, ident, data in again.events():
        if kind == "message":
            replayed.append((ident, json.loads(data)))
            if replayed[-1][1]["event"] == "agent_work_order_completed":
                break
    assert replayed == stored[1:]
    other = gateway.stream("/api/v1/events?after_id=0&agent_work_order_id=wo-00000000", timeout=1)
    with pytest.raises(TimeoutError):
        while True:
            line = other.response.readline()
            assert not line.startswith(b"data")
    assert order


def events_until(stream, event="agent_work_order_completed"):
    """(id, event) of what comes, up to the first event of that name."""
    seen = []
    for kind, ident, data in stream.events():
        if kind == "message":
            seen.append((ident, json.loads(data)))
            if seen[-1][1]["event"] == event:
                return seen
    raise AssertionError(f"the stream ended before {event}")


def subscriptions(gateway):
    """How many streams awod has."""
    return gateway.instance.call("system.metrics")["metrics"]["streams"]


def test_readers_of_events_share_one_stream(gateway, repo):
    """However many follow, and whatever each wants of it, awod sends each event once; who comes again misses nothing."""
    before = subscriptions(gateway)
    all_of_it = [gateway.stream("/api/v1/events") for _ in range(20)]
    errors = [gateway.stream("/api/agent-work-orders/events?level=warning") for _ in range(5)]
    others = [gateway.stream("/api/v1/events?agent_work_order_id=wo-00000000") for _ in range(5)]
    assert all(s.status == 200 for s in all_of_it + errors + others)
    assert subscriptions(gateway) == before + 1
    order = gateway.create(repo.path, selected_commands=["create-branch"])
    gateway.instance.completed(order)
    failed = gateway.create(repo.path, "demo: exit 3", selected_commands=["create-branch"])
    gateway.instance.wait(failed, "failed")
    seen = [events_until(s, "agent_work_order_failed") for s in all_of_it]
    assert all(s == seen[0] for s in seen)
    stored = [(i, e) for i, e in seen[0] if i]
    assert [i for i, _ in stored] == sorted({i for i, _ in stored}) and {e["agent_work_order_id"] for _, e in stored} == {order, failed}
    loud = [e for e in seen[0] if e[1]["level"] in ("warning", "error")]
    assert loud and loud[-1] == seen[0][-1]
    for s in errors:
        assert events_until(s, "agent_work_order_failed") == loud
    only = gateway.stream(f"/api/v1/events?agent_work_order_id={failed}", {"Last-Event-ID": str(stored[0][0])})
    mine = events_until(only, "agent_work_order_failed")
    assert mine == [e for e in stored[1:] if e[1]["agent_work_order_id"] == failed]
    # from every place, live and from what is stored: the rest, once
    for at in range(len(stored) - 1):
        again = gateway.stream("/api/v1/events", {"Last-Event-ID": str(stored[at][0])})
        assert events_until(again, "agent_work_order_failed") == stored[at + 1:]
        again.close()
    for s in all_of_it + errors + others + [only]:
        s.close()
    until(lambda: subscriptions(gateway) == before, "the end of what awod sends to nobody", 10)


def test_events_come_again_without_gap_or_double(gateway, repo):
    """Readers of events that break off at random, before, while and after orders run, and while awod is started anew."""
    instance, rnd = gateway.instance, random.Random(9)
    first = gateway.stream("/api/v1/events?after_id=0")
    joined, stop = [[] for _ in range(4)], threading.Event()

    def follow(mine):
        last = 0
        while not (stop.is_set() and mine and mine[-1][1]["event"] == "agent_work_order_cancelled"):
            stream = gateway.stream("/api/v1/events", {"Last-Event-ID": str(last)}, timeout=5)
            budget = rnd.randrange(1, 12)
            try:
                for kind, ident, data in stream.events():
                    if kind != "message" or not ident:
                        continue
                    mine.append((ident, json.loads(data)))
                    last = ident
                    budget -= 1
                    if budget == 0 or mine[-1][1]["event"] == "agent_work_order_cancelled":
                        break
            except TimeoutError:
                pass
            stream.close()
    threads = [threading.Thread(target=follow, args=(mine,)) for mine in joined]
    for thread in threads:
        thread.start()
    for _ in range(3):
        instance.completed(gateway.create(repo.path, selected_commands=["create-branch"]))
    hangs = gateway.create(repo.path, "demo: hang")
    instance.wait(hangs, "running")
    instance.stop()
    instance.start()
    until(lambda: gateway.get(f"/api/v1/{hangs}").status == 200, "awod back", 15)
    assert gateway.post(f"/api/v1/{hangs}/cancel").status == 200
    stop.set()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    stored = [(i, e) for i, e in events_until(first, "agent_work_order_cancelled") if i]
    assert [i for i, _ in stored] == sorted({i for i, _ in stored})
    assert all(mine == stored for mine in joined)


STUCK = 20


def test_those_that_stop_reading_are_cut_off(make_gateway, repo):
    """Until then each costs a megabyte at most, and costs the others nothing."""
    gateway = make_gateway(env=frugal())
    order = gateway.create(repo.path, "demo@planning: flood 8000000")
    gateway.instance.wait(order, "running")
    assert gateway.stream(path(order), timeout=60).lines() == gateway.instance.log(order)
    before = gateway.resident()
    slow = []
    for _ in range(STUCK):
        slow.append(socket.socket())
        slow[-1].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow[-1].connect((gateway.host, gateway.port))
        slow[-1].sendall(f"GET {path(order)} HTTP/1.1\r\nHost: {gateway.host}:{gateway.port}\r\n\r\n".encode())
    quick = gateway.stream(path(order), timeout=60).lines()
    assert quick == gateway.instance.log(order)
    end, most = time.monotonic() + 40, 0
    while gateway.log().count("sse_reader_dropped") < STUCK:
        assert time.monotonic() < end, "those that read nothing were not cut off"
        most = max(most, gateway.resident() - before)
        time.sleep(0.2)
    assert most < STUCK << 20, f"{most >> 20} MiB"
    for s in slow:
        s.close()
