"""Kills awod, its workers and their agents at random moments under load, and checks that nothing is lost or left."""
import argparse
import collections
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1] / "integration")]

from awo_testlib.instance import build_dir  # noqa: E402
from awo_testlib.remotes import Repository  # noqa: E402
from awo_testlib.rpc import Client  # noqa: E402

import invariants  # noqa: E402
from faults import CALLS, DISKS, KILLS, STOPS, Killer, Shim  # noqa: E402
from load import WITNESS, Load  # noqa: E402
from report import Report, percentile  # noqa: E402
from service import Service, is_sanitized  # noqa: E402
from timeline import RESTART_MAX, Heartbeat, Prober, Timeline  # noqa: E402

GROUPS = {"kills": list(KILLS), "stops": list(STOPS), "calls": list(CALLS), "disk": DISKS}
# what the other things must not become
RECOVERY_MAX = 10.0


def arguments(argv):
    p = argparse.ArgumentParser(prog="crash", description=__doc__)
    p.add_argument("--kills", type=int, default=1000, help="how many processes to kill (default 1000)")
    p.add_argument("--minutes", type=float, help="stop after that time, whatever was reached")
    p.add_argument("--seed", type=int, help="of everything that is chosen (default: drawn and printed)")
    p.add_argument("--only", action="append", metavar="WHAT",
                   help=f"only these (repeatable): {', '.join([*GROUPS, *KILLS, *STOPS, *CALLS, *DISKS])}")
    p.add_argument("--orders", type=int, default=5, help="how many orders are kept under way (default 5)")
    p.add_argument("--pause", type=float, default=1.0, help="mean seconds between two kills (default 1.0)")
    p.add_argument("--keep", action="store_true", help="leave the instance's directory behind")
    p.add_argument("--fixed", metavar="LIST", help="a fixed sequence, with commas, in place of one drawn")
    o = p.parse_args(argv)
    o.only = [k for w in o.only or [] for k in GROUPS.get(w, [w])]
    known = [*KILLS, *STOPS, *CALLS, *DISKS]
    for k in [*o.only, *(o.fixed.split(",") if o.fixed else [])]:
        if k not in known:
            p.error(f"there is no {k}; there are {', '.join(known)}")
    if o.seed is None:
        o.seed = random.SystemRandom().randrange(10**9)
    return o


def schedule(options, shim, rng):
    """What happens next, without end."""
    if options.fixed:
        yield from options.fixed.split(",")
        return
    kills = [k for k in KILLS if not options.only or k in options.only]
    others = [k for k in [*STOPS, *shim.kinds, *DISKS] if not options.only or k in options.only]
    while True:
        if others and (not kills or rng.random() < 0.12):
            yield rng.choice(others)
        else:
            yield rng.choices(kills, [KILLS[k] for k in kills])[0]


def settings():
    return {"max_concurrent": 4, "retry": {"max_attempts": 3, "backoff": 1, "max_backoff": 1},
            "log": {"level": "info"}, "timeouts": {"kill": 2, "idle": 30}}


def kill_all(options, service, shim, line, load, report):
    rng = random.Random(f"{options.seed}/kill")
    killer = Killer(service, shim, rng, line)
    counts, wanted = {}, options.kills
    began = time.monotonic()
    said = began
    killed = 0
    for kind in schedule(options, shim, rng):
        while killer_must_wait(line):
            time.sleep(0.02)
        time.sleep(rng.expovariate(1 / options.pause) if options.pause else 0)
        report.note(f"{kind}")
        if killer.do(kind):
            report.note(f"{kind}: done")
            counts[kind] = counts.get(kind, 0) + 1
            killed += kind in KILLS
        now = time.monotonic()
        if now - said > 10:
            said = now
            report.say(f"{killed} kills, {sum(counts.values()) - killed} others, {len(load.ledger.ids)} orders, "
                       f"{line.unanswered} unanswered of {line.answered + line.unanswered}")
        if killed >= wanted and not options.fixed:
            break
        if options.minutes and now - began > options.minutes * 60:
            report.say("the time is over")
            break
    return counts, killer


def killer_must_wait(line):
    """Until awod has answered again (or has failed to): otherwise no restart could be measured."""
    with line.lock:
        o = line.outage
        if o is None and line.fault is None:
            return False
        since = o.origin if o else line.fault[2] or 0
        if time.monotonic() - since > 15:
            line.violations.append(f"no answer within 15 s after {o.kind if o else line.fault[0]}")
            line.outage = line.fault = None
        return True


def flat(options, service, load, report, repos):
    """The two processes in one long life: descriptors and memory after work are what they were before it."""
    def work(n):
        ids = [service.create(repos[i % len(repos)].path,
                              f"Long life {time.monotonic()} {i}\n{WITNESS.format(pause=0)}") for i in range(n)]
        for i, order_id in enumerate(ids):
            if i % 4 == 0:
                service.wait(order_id, condition=lambda o: o["current_step"], timeout=120)
                for p in service.workers():
                    if order_id in p.argv:
                        p.kill()
            service.wait(order_id, timeout=120)
        for order_id in ids:
            load.ledger.sent[service.order(order_id)["user_request"]] = None
            load.ledger.created(order_id, None, None)

    def look():
        end, last = time.monotonic() + 15, None
        while True:
            now = [invariants.descriptors(pid) for pid in pids]
            if now == last or time.monotonic() > end:
                return now, [invariants.memory(pid) for pid in pids]
            last = now
            time.sleep(1.5)

    n = 4 if options.fixed else 8
    work(n)
    pids = [service.supervisor_pid(), service.broker_pid()]
    before, memory_before = look()
    work(2 * n)
    after, memory_after = look()
    found = []
    if pids != [service.supervisor_pid(), service.broker_pid()]:
        found.append("a process ended that nobody killed")
    found += [f"{name}: {b} descriptors before, {a} after" for name, b, a in
              zip(("supervisor", "broker"), before, after) if a != b]
    found += [f"{name}: {b} KiB before, {a} KiB after" for name, b, a in
              zip(("supervisor", "broker"), memory_before, memory_after)
              # a sanitizer keeps what was freed
              if a > b + 2048 and not is_sanitized(service.awod)]
    report.row("descriptors and memory of a long life are flat", found,
               f"descriptors {before} -> {after}, KiB {memory_before} -> {memory_after}")


def read_logs(service):
    """Every order's log as order.logs gives it."""
    fetched, ids, cursor = {}, [], {}
    with Client(str(service.socket)) as c:
        while True:
            page = c.call("order.list", limit=500, **cursor)
            ids += [o["agent_work_order_id"] for o in page["agent_work_orders"]]
            if not page["has_more"]:
                break
            cursor = {"cursor": page["next_cursor"]}
        for order_id in ids:
            lines, seq = [], 0
            while True:
                page = c.call("order.logs", agent_work_order_id=order_id, limit=1000, after_seq=seq)
                lines += page["log_entries"]
                if not page["has_more"]:
                    break
                seq = page["log_entries"][-1]["seq"]
            fetched[order_id] = lines
    return fetched


def judge(service, load, repos, line, counts, killer, report, fetched, stuck, status):
    e = invariants.Evidence(service, load.ledger, repos)
    states = {}
    for r in e.rows.values():
        states[r["status"]] = states.get(r["status"], 0) + 1
    n, events = len(e.rows), len(e.event_ids)
    torn = any(k in counts for k in ("short-write", "disk-full", "write-error", "real-disk-full", "read-only"))
    report.row("every order comes to its end", stuck, str(states))
    report.row("no acknowledged create lost, none made twice", [*load.ledger.violations, *invariants.creates_kept(e)],
               f"{len(load.ledger.orders)} acknowledged, {load.ledger.repeats} repeated")
    report.row("no acknowledged operation lost", invariants.operations_kept(e), str(load.meddler.done))
    report.row("no event missing or doubled", [*invariants.events_once(e), *invariants.lines_whole(e, torn)],
               f"{events} events, {sum(len(log.lines) for log in e.logs.values())} lines in {n} logs")
    report.row("order.logs gives what the log has", invariants.log_served(e, fetched), f"{len(fetched)} logs")
    report.row("only the allowed transitions", invariants.transitions(e), f"{n} orders")
    report.row("every record is whole, failures have reasons", invariants.records(e), failures_of(e, report))
    report.row("steps begin and end once", [*invariants.steps_paired(e), *invariants.step_rows(e)],
               f"{sum(len(v) for v in e.steps.values())} steps")
    report.row("every prompt is told, and carried out", [*invariants.prompts_told(e), *invariants.prompts_run(e)],
               f"{sum(len(v) for v in e.prompts.values())} prompts")
    report.row("no order run twice", invariants.agents_once(e, "real-disk-full" in counts),
               f"{sum(len(log.named('agent_command_started')) for log in e.logs.values())} runs of agents")
    report.row("pushed once, and what git has is what the record says",
               [*invariants.pushed_once(e), *invariants.remote_whole(e)],
               f"{sum(len(v) for k, v in e.branches.items() if k)} branches")
    report.row("the database is whole and opens clean", invariants.database_clean(e), f"awod ended with {status}")
    report.row("nothing is left behind", invariants.nothing_left(e))
    report.row("no program found a defect in itself", invariants.defects(service.daemon_log(), "no-memory" in counts))


def failures_of(e, report):
    why = collections.Counter()
    for r in e.rows.values():
        if r["status"] == "failed":
            reason = re.sub(r"wo-[0-9a-f]{8}|/[^ :]+", "…", r["error_message"] or "")[:90]
            why[f"{r['error_category']}: {reason}"] += 1
    for reason, n in why.most_common():
        report.say(f"{n} failed: {reason}")
    return f"{sum(why.values())} failed, for {len(why)} reasons"


def judge_answers(line, report):
    total = line.answered + line.unanswered
    share = line.answered / total if total else 1.0
    counted = [o for o in line.outages if o.seconds is not None]
    slow = [f"{o.kind}: {o.seconds:.2f} s" for o in counted if o.seconds > RESTART_MAX]
    by_kind = {}
    for o in counted:
        by_kind.setdefault(o.kind, []).append(o.seconds)
    for kind, values in sorted(by_kind.items()):
        report.say(f"away after {kind}: {len(values)} times, p50 {percentile(values, .5):.3f} s, "
                   f"p99 {percentile(values, .99):.3f} s, worst {max(values):.3f} s")
    for kind in sorted({k for k, _ in line.recoveries}):
        values = [s for k, s in line.recoveries if k == kind]
        report.say(f"answers again after {kind}: {len(values)} times, p50 {percentile(values, .5):.3f} s, "
                   f"worst {max(values):.3f} s")
    for when, kind, why in line.failures[:12]:
        report.say(f"unanswered at {when - report.begin:.1f} ({kind}): {why}")
        for then, text in report.notes:
            if -3 < then - when < 0.5:
                report.say(f"    {then - report.begin:7.2f} {text}")
    report.row("99.9 % answered outside of restarts", [] if share >= 0.999 else [f"{share:.5f}"],
               f"{line.answered} of {total} ({100 * share:.3f} %), p99 {1000 * percentile(line.latencies, .99):.1f} ms; "
               f"{line.stalls} stalls of the machine left out")
    report.row("a restart takes at most 1 s", slow, f"{len(counted)} restarts, "
               f"p99 {percentile([o.seconds for o in counted], .99):.2f} s")
    report.row("works again when the cause is gone", [
        *line.violations, *[f"{k}: {s:.1f} s" for k, s in line.recoveries if s > RECOVERY_MAX]],
        f"{len(line.recoveries)} faults; while they lasted {line.during_faults[0]} answers, {line.during_faults[1]} none")


def read_only_start(service, report):
    """A state directory that cannot be written: a start says so and ends, and the next one after a remount works."""
    if not service.disk:
        return
    found = []
    at = len(service.daemon_log())
    service.remount(True)
    try:
        service.start(timeout=3)
        found.append("started on a read-only file system")
    except RuntimeError:
        pass
    said = service.daemon_log()[at:]
    if not ("read-only" in said.lower() or "readonly" in said.lower()):
        found.append(f"does not name the cause: {said[-600:]}")
    service.remount(False)
    try:
        service.wait_answer(10)
    except RuntimeError as e:
        found.append(str(e)[:600])
    if service.stop() != 0:
        found.append("did not end with 0")
    report.row("read-only file system: a clear error, then works again", found)


def main(argv=None):
    options = arguments(argv)
    report = Report()
    report.say(f"seed {options.seed}: {options.kills} kills of "
               f"{'a fixed list' if options.fixed else ', '.join(options.only) or 'everything'}, "
               f"{'system' if os.geteuid() == 0 else 'user'} mode, programs in {build_dir()}")
    place = Path(tempfile.mkdtemp(prefix="awo-crash-remotes-"))
    place.chmod(0o755)
    service = Service(settings(), disk_bytes=1 << 30)
    load = line = None

    def told_to_stop(*_):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise KeyboardInterrupt
    signal.signal(signal.SIGTERM, told_to_stop)
    try:
        repos = [Repository(place / f"remote{i}.git") for i in range(2)]
        shim = Shim(service.base, service.awod)
        service.env.update(shim.environment())
        service.start()
        line = Timeline(service)
        load = Load(service, repos, options.seed, options.orders)
        prober = Prober(service.socket, line, load.ledger.ids, f"{options.seed}/probe")
        Heartbeat(line).start()
        load.start()
        time.sleep(1.0)
        prober.start()
        counts, killer = kill_all(options, service, shim, line, load, report)
        while killer_must_wait(line):
            time.sleep(0.05)
        report.say(f"done: {counts}; calls that were made to fail: {shim.hits()}")
        load.stop()
        stuck = load.settle(90)
        prober.ending.set()
        prober.join()
        report.say("all orders have ended")
        if not stuck:
            flat(options, service, load, report, repos)
        fetched = read_logs(service)
        status = service.stop()
        invariants.wait_no_process(service)
        judge(service, load, repos, line, counts, killer, report, fetched, stuck, status)
        judge_answers(line, report)
        read_only_start(service, report)
        report.table()
        if not report.ok and options.keep:
            report.say(f"kept: {service.base} {place}")
        return 0 if report.ok else 1
    except KeyboardInterrupt:
        report.say("told to stop")
        return 143
    finally:
        if options.keep:
            os.environ["AWO_TEST_KEEP"] = "1"
            shutil.copytree(service.state, f"{service.base}-state", symlinks=True, dirs_exist_ok=True)
        service.close()
        if not options.keep:
            shutil.rmtree(place, ignore_errors=True)
        report.say(f"seed {options.seed}")


if __name__ == "__main__":
    sys.exit(main())
