"""Launch of a program in the agent's sandbox."""
import os

from figures import benchmark, compare

ETC = ("passwd", "group", "ssl", "ca-certificates", "ld.so.cache", "alternatives", "localtime")


@benchmark("launch", "a program in the agent's sandbox, from the call to its end, against bubblewrap")
def launch(setting):
    base = setting.base / "launch"
    uid = os.geteuid() or 1880000123
    base.mkdir()
    for name in ("order", "order/workspace", "order/home", "cache.git"):
        (base / name).mkdir(mode=0o755)
        os.chown(base / name, uid, uid)
    bwrap = ["/usr/bin/bwrap", "--unshare-all", "--hostname", "awo", "--new-session", "--die-with-parent", "--cap-drop", "ALL",
             "--ro-bind", "/usr", "/usr", *[w for n in ("bin", "sbin", "lib", "lib64") for w in ("--symlink", f"usr/{n}", f"/{n}")],
             *[w for n in ETC if os.path.exists(f"/etc/{n}") for w in ("--ro-bind", f"/etc/{n}", f"/etc/{n}")],
             "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--bind", str(base / "order/workspace"), "/workspace",
             "--bind", str(base / "order/home"), "/home/agent", "--ro-bind", str(base / "cache.git"), "/awo/cache.git",
             "--chdir", "/workspace", "--share-net"]
    columns = [[] for _ in range(5)]
    for _ in range(setting.rounds):
        text = setting.output(setting.program("bench_launch"), 40, base / "order", base / "cache.git", setting.bin, uid,
                              "/usr/bin/true", "--", *bwrap)
        turns = [[int(n) / 1e9 for n in line.split()] for line in text.splitlines()]
        for i, column in enumerate(columns):
            column.append(sorted(turn[i] for turn in turns)[len(turns) // 2])
    shared, bwrap_shared, apart, bwrap_apart, plain = columns
    yield compare("launch with the host's network, as agents run; bwrap --unshare-all --share-net", shared, bwrap_shared, 0.75)
    yield compare("launch without a network, as helpers run; bwrap --unshare-all", apart, bwrap_apart, 0.75)
    yield compare("launch with the host's network; no sandbox at all", shared, plain, None)
