"""Following a log: delay of a line, and lines lost by readers that come back again and again."""
import json
import time

from awo_testlib.rpc import Client, Closed
from figures import absolute, benchmark, median, percentile

# so many lines a second, each with its number and the time of its writing
WRITER = """
import sys, time
rate, seconds, n = int(sys.argv[1]), float(sys.argv[2]), 0
begin = time.time()
while time.time() - begin < seconds:
    due = int((time.time() - begin) * rate)
    now = time.time()
    sys.stdout.write("".join(f"#{i} {now:.6f}\\n" for i in range(n, due)))
    sys.stdout.flush()
    n = due
    time.sleep(0.005)
print(f"end {n}")
"""


def marks(param):
    """(number, time) of a line of the writer, or ("end", count), or None."""
    text = json.loads(param["line"]).get("text", "")
    word, _, rest = text.strip().partition(" ")
    if word == "end":
        return "end", int(rest)
    return (int(word[1:]), float(rest)) if word.startswith("#") else None


def writer(script, rate, seconds):
    return {"adapter": "command", "program": "/usr/bin/python3", "args": [str(script), str(rate), str(seconds)],
            "paths": [str(script)]}


@benchmark("follow", "delay of a line at 10,000 lines a second, and lines lost over 1,000 reconnects")
def follow(setting):
    script = setting.base / "writer.py"
    script.write_text(WRITER)
    agents = {"default": "fast", "fast": writer(script, 10000, 3), "slow": writer(script, 1000, 40)}
    with setting.instance({"agents": agents, "artifacts": {"outputs": False}}) as instance:
        path = str(setting.repository().path)
        middles, tails, rates = [], [], []
        for _ in range(min(setting.rounds, 5)):
            delays, count, first, last = [], None, None, None
            with Client(str(instance.socket)) as client:
                order = client.call("order.create", repository_url=path, user_request="Write", selected_commands=["create-branch"])
                client.call("order.watch", agent_work_order_id=order["agent_work_order"]["agent_work_order_id"])
                while count is None:
                    method, param = client.next(60)
                    now = time.time()
                    if method != "log_line":
                        raise RuntimeError(f"{method} instead of lines: {param}")
                    mark = marks(param)
                    if mark and mark[0] == "end":
                        count = mark[1]
                    elif mark:
                        first, last = first or now, now
                        delays.append(now - mark[1])
            if len(delays) != count:
                raise RuntimeError(f"{count} lines were written, {len(delays)} arrived")
            middles.append(median(delays))
            tails.append(percentile(delays, 95))
            rates.append(count / (last - first))
        rate = lambda v: f"{v:,.0f}/s"
        yield absolute("lines of one order that arrived in a second, 10,000 written", rates, None, rate)
        yield absolute("a line, from the agent's write to its reader, median", middles)
        yield absolute("the same, 95th percentile", tails)

        order = instance.create(path, "Write", agent="slow", selected_commands=["create-branch"])
        numbers, seq, connections, count = [], 0, 0, None
        while count is None:
            with Client(str(instance.socket)) as client:
                connections += 1
                client.call("order.watch", agent_work_order_id=order, after_seq=seq)
                # a few lines, then the connection is dropped in the middle of what was on its way
                for _ in range(30):
                    try:
                        method, param = client.next(60)
                    except Closed:
                        break
                    if method != "log_line":
                        break
                    seq = param["seq"]
                    mark = marks(param)
                    if mark and mark[0] == "end":
                        count = mark[1]
                        break
                    if mark:
                        numbers.append(mark[0])
        wrong = sum(1 for a, b in zip(numbers, numbers[1:]) if b != a + 1)
        yield absolute(f"lines lost or told twice among {count:,}, over {connections:,} connections",
                       [abs(count - len(numbers)) + wrong], 0, lambda v: f"{v:.0f}")
