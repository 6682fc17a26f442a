"""Progress of a branch, computed by awo-git, against the git program."""
import json
import subprocess
import time

from awo_testlib.remotes import git
from figures import benchmark, compare, median
from setting import long_history


@benchmark("progress", "progress of a branch in a repository of 50,000 commits, against git rev-list and git diff")
def progress(setting):
    path = long_history(setting.base / "long.git", 50000)
    base, head = git("rev-parse", "main", cwd=path), git("rev-parse", "work", cwd=path)
    request = json.dumps({"clean_dir": str(path), "base_sha": base, "head": head}).encode()
    env = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory",
           "GIT_CONFIG_VALUE_0": "*"}

    def ours():
        began = time.monotonic()
        out = subprocess.run([setting.program("awo-git-local"), "progress"], input=request, capture_output=True, check=True, env=env)
        took = time.monotonic() - began
        answer = json.loads(out.stdout.splitlines()[-1])
        if answer["git_commit_count"] != 100:
            raise RuntimeError(f"awo-git counts {answer['git_commit_count']} commits")
        return took

    def theirs():
        began = time.monotonic()
        for argv in (["rev-list", "--count", f"{base}..{head}"], ["diff", "--numstat", f"{base}...{head}"]):
            subprocess.run(["git", "--git-dir", str(path), *argv], capture_output=True, check=True, env=env)
        return time.monotonic() - began

    mine, git_took = [], []
    for _ in range(setting.rounds):
        pairs = [(ours(), theirs()) for _ in range(8)]
        mine.append(median([p[0] for p in pairs]))
        git_took.append(median([p[1] for p in pairs]))
    yield compare("progress of 100 commits after 50,000; git rev-list --count and git diff --numstat", mine, git_took, 1.0)
