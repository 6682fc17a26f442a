"""The words and the table at the end."""
import sys
import time


class Report:
    def __init__(self):
        self.rows = []
        self.begin = time.monotonic()
        self.notes = []     # what was done when, for whoever asks why

    def say(self, text):
        print(f"[{time.monotonic() - self.begin:7.1f}] {text}", flush=True)

    def note(self, text):
        self.notes.append((time.monotonic(), text))

    def row(self, what, found, figure="", limit=12):
        """One invariant: found is the list of its violations."""
        self.rows.append((what, list(found), figure))
        for text in self.rows[-1][1][:limit]:
            self.say(f"VIOLATED {what}: {text}")
        if len(self.rows[-1][1]) > limit:
            self.say(f"VIOLATED {what}: and {len(self.rows[-1][1]) - limit} more")

    @property
    def ok(self):
        return all(not found for _, found, _ in self.rows)

    def table(self):
        width = max(len(what) for what, _, _ in self.rows)
        print()
        for what, found, figure in self.rows:
            print(f"  {'ok      ' if not found else 'VIOLATED'}  {what:<{width}}  {figure}")
        print(f"\n{'All of it holds.' if self.ok else 'Some of it does not hold.'}")
        sys.stdout.flush()


def percentile(values, share):
    if not values:
        return 0.0
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))]
