"""Waits until something holds that comes by itself, and says what did not come."""
import time


def until(condition, what="what was waited for", timeout=30, every=0.05):
    """
    Until the condition is true; returns what it answered. Behind so many seconds it fails with what did not come, in
    words or a function that finds them then.
    """
    end = time.monotonic() + timeout
    while not (got := condition()):
        assert time.monotonic() < end, f"{what() if callable(what) else what}: not within {timeout} s"
        time.sleep(every)
    return got
