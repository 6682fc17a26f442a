"""What a benchmark reports, and how numbers become medians, spreads and ratios."""
import os
import statistics
import time

BENCHMARKS = {}


class Skipped(Exception):
    """Something that is not installed is needed; says what and how to get it."""


def benchmark(name, help):
    """Registers a function that takes a Setting and yields Rows."""
    def register(function):
        BENCHMARKS[name] = (help, function)
        return function
    return register


class Row:
    """One line of the table: a figure, what it is compared with, and the ratio with its spread."""

    def __init__(self, what, ours, reference="", ratio="", target="", holds=None):
        self.what, self.ours, self.reference, self.ratio, self.target, self.holds = \
            what, ours, reference, ratio, target, holds

    def cells(self):
        verdict = {True: "yes", False: "**no**", None: ""}[self.holds]
        return [self.what, self.ours, self.reference, self.ratio, self.target, verdict]


def median(values):
    return statistics.median(values)


def percentile(values, p):
    """The value that p percent of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * p / 100))]


def duration(seconds):
    for unit, factor in (("s", 1), ("ms", 1e3), ("µs", 1e6)):
        if abs(seconds) * factor >= 1 or unit == "µs":
            return f"{seconds * factor:.3g} {unit}"
    return ""


def size(count):
    return f"{count / (1 << 20):.2f} MiB"


def spread(values, show=lambda v: f"{v:.2f}"):
    return f"{show(median(values))} ({show(min(values))} to {show(max(values))})"


def compare(what, ours, reference, limit, show=duration, at_least=False):
    """
    A row from the medians of rounds that were measured by turns: each round gives one ratio, so that what disturbs the
    machine disturbs both sides of it.
    """
    ratios = [a / b for a, b in zip(ours, reference)]
    middle = median(ratios)
    target = "" if limit is None else f"{'≥' if at_least else '≤'} {limit}"
    holds = None if limit is None else (middle >= limit if at_least else middle <= limit)
    return Row(what, show(median(ours)), show(median(reference)), spread(ratios), target, holds)


def absolute(what, values, limit=None, show=duration, at_least=False):
    """A row without a reference: the median of the rounds."""
    middle = median(values)
    target = "" if limit is None else f"{'≥' if at_least else '≤'} {show(limit)}"
    holds = None if limit is None else (middle >= limit if at_least else middle <= limit)
    return Row(what, spread(values, show), "", "", target, holds)


def cpu_ns(pid):
    """Nanoseconds of processor that the threads of a process have used."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        total += int(open(f"/proc/{pid}/task/{task}/schedstat").read().split()[0])
    return total


def until(condition, seconds, pause=0.02):
    """What the condition gives as soon as it is true."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds} s")
        time.sleep(pause)
