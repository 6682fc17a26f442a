"""Where a benchmark runs: its programs, its directory, and instances of awod with what they need."""
import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import tempfile
from pathlib import Path

from awo_testlib.instance import BROKER_UID, Instance
from awo_testlib.remotes import Repository, git

HANG = "Wait\ndemo: hang"


class Setting:
    def __init__(self, build, rounds):
        self.bin = Path(build) / "bin"
        self.rounds = rounds
        self.base = Path(tempfile.mkdtemp(prefix="awo-bench-"))
        self.base.chmod(0o755)
        self.repositories = {}

    def close(self):
        shutil.rmtree(self.base, ignore_errors=True)

    def program(self, name):
        return str(self.bin / name)

    def output(self, *argv, **more):
        done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, check=False, **more)
        if done.returncode:
            raise RuntimeError(f"{argv[0]} ended with {done.returncode}: {done.stderr.strip()[-600:]}")
        return done.stdout

    @contextlib.contextmanager
    def instance(self, config=None, start=True):
        """An awod as a package runs it: no debug messages, no sanitizer."""
        made = Instance({"log": {"level": "warning"}, "max_pending_per_user": 10000000, **(config or {})})
        try:
            yield made.start() if start else made
        finally:
            made.close()

    def repository(self, files=200):
        """A bare repository with so many small files, to push to."""
        if files not in self.repositories:
            tree = {f"src/part{i % 20:02}/file{i:04}.txt": f"line {i}\n" * 40 for i in range(files)}
            self.repositories[files] = Repository(self.base / f"files-{files}.git", tree)
        return self.repositories[files]

    def rpc(self, socket, method, params, connections, count, save=None):
        """Runs bench_rpc_load: (bytes of a request, seconds of all, [seconds of each])."""
        lines = self.output(self.program("bench_rpc_load"), socket, method, json.dumps(params), connections, count,
                            *([save] if save else [])).split()
        return int(lines[0]), float(lines[1]), [int(n) / 1e9 for n in lines[2:]]


def multiply_orders(instance, order_id, count):
    """Puts so many copies of an ended order into the database of a stopped instance, each a minute older than the other."""
    db = sqlite3.connect(instance.state / "awo.db")
    columns = [row[1] for row in db.execute("PRAGMA table_info(work_orders)")]
    special = {"order_rowid": "?1 + n", "agent_work_order_id": "'wo-' || printf('%08x', (n * 2654435761) & 4294967295)",
               "sandbox_identifier": "'sandbox-wo-' || printf('%08x', (n * 2654435761) & 4294967295)",
               "created_at": "created_at + n", "updated_at": "updated_at + n", "idempotency_key": "NULL",
               "execution_completed_at": "execution_completed_at + n", "workspace_removed": "1"}
    chosen = ", ".join(special.get(c, c) for c in columns)
    with db:
        last, = db.execute("SELECT max(order_rowid) FROM work_orders").fetchone()
        db.execute(f"WITH RECURSIVE many(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM many WHERE n < {count}) "
                   f"INSERT INTO work_orders ({', '.join(columns)}) SELECT {chosen} FROM work_orders, many "
                   "WHERE agent_work_order_id = ?2", (last, order_id))
        last, = db.execute("SELECT max(order_rowid) FROM work_orders").fetchone()
        db.execute("UPDATE meta SET value = max(value, ?) WHERE name = 'last_order'", (last,))
    db.close()
    if os.geteuid() == 0:
        for path in instance.state.glob("awo.db*"):
            os.chown(path, BROKER_UID, BROKER_UID)


def long_history(path, commits):
    """A bare repository with so many commits on main and a branch `work` that is ahead by a hundred of them."""
    text = ["feature done\n"]
    for i in range(1, commits + 101):
        branch = "main" if i <= commits else "work"
        body = f"line {i}\n" * 3
        text.append(f"commit refs/heads/{branch}\nmark :{i}\n"
                    f"committer Tester <tester@example.invalid> {1600000000 + i} +0000\n"
                    f"data {len(f'change {i}')}\nchange {i}\n" + (f"from :{i - 1}\n" if i > 1 else "") +
                    f"M 100644 inline dir{i % 50:02}/file{i % 997:03}.txt\ndata {len(body)}\n{body}\n")
    text.append("done\n")
    git("init", "-q", "--bare", "-b", "main", path)
    git("fast-import", "--quiet", cwd=path, input="".join(text))
    git("repack", "-adq", cwd=path)
    git("config", "gc.auto", "0", cwd=path)
    return path
