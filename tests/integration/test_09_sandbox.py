"""The sandbox as the agent sees it from inside."""
import base64
import os
import re
import socket
import subprocess
import time
from pathlib import Path

import pytest

from awo_testlib import processes
from conftest import needs_root

STEPS = ["create-branch"]


def inside(instance, repo, *lines, timeout=60):
    """What the agent writes when the request has these instructions."""
    order_id = instance.create(repo.path, "\n".join(["Look around", *lines]), selected_commands=STEPS)
    instance.completed(order_id, timeout)
    return instance.agent_text(order_id, "create-branch")


def shell(instance, repo, command):
    return inside(instance, repo, f"demo: run {command}")[0]


def test_environment_is_built_from_nothing(make_instance, repo):
    instance = make_instance(env={"LEAKED_SECRET": "leaked-value", "LD_PRELOAD": "", "ANTHROPIC_API_KEY": "not-for-demo"})
    text = inside(instance, repo, "demo: print-env")[0]
    env = dict(line.split("=", 1) for line in text.splitlines())
    assert env["HOME"] == "/home/agent" and env["USER"] == "agent" and env["TERM"] == "dumb"
    assert env["TMPDIR"] == "/tmp" and env["LANG"] == "C.UTF-8" and "/usr/bin" in env["PATH"]
    assert int(env["PORT_RANGE_END"]) - int(env["PORT_RANGE_START"]) == 9 and env["PORT_0"] == env["PORT_RANGE_START"]
    assert "LEAKED_SECRET" not in env and "leaked-value" not in text and "CREDENTIALS_DIRECTORY" not in env
    assert not any(k.startswith(("AWO_", "XDG_", "SSH_", "SUDO", "GH_", "GITHUB")) for k in env)


def test_keys_go_only_to_agents_that_name_them(make_instance, repo):
    instance = make_instance(start=False)
    program = str(instance.libexec / "awo-demo-agent")
    instance.set_config(agents={"default": "keyed", "keyed": {"adapter": "claude", "program": program,
                                                              "keys": ["MY_API_KEY"], "env": {"FIXED": "yes"}}})
    instance.start()
    instance.credential("MY_API_KEY", "agent_key", "the-key-value")
    env = inside(instance, repo, "demo: print-env")[0]
    assert "MY_API_KEY=the-key-value" in env and "FIXED=yes" in env
    order_id = instance.create(repo.path, "demo: print-env", agent="demo", selected_commands=STEPS)
    instance.completed(order_id)
    assert "the-key-value" not in instance.agent_text(order_id, "create-branch")[0]


def test_descriptors(instance, repo):
    text = inside(instance, repo, "demo: print-fds")[0]
    fds = dict(line.split(" ", 1) for line in text.splitlines())
    assert set(fds) == {"0", "1", "2"}, text
    assert all(t.startswith(("pipe:", "/dev/null", "socket:", "/memfd:")) for t in fds.values()), text


def test_limits(make_instance, repo):
    instance = make_instance({"limits": {"nofile": 512, "fsize": 16777216, "nproc": 300, "core": 1, "memlock": 65536}})
    text = inside(instance, repo, "demo: print-limits")[0]
    limit = lambda name: re.search(rf"^{name} +(\S+) +(\S+)", text, re.M).groups()
    assert limit("Max open files") == ("512", "512") and limit("Max file size") == ("16777216", "16777216")
    assert limit("Max processes") == ("300", "300") and limit("Max core file size")[1] == "1"
    assert limit("Max locked memory") == ("65536", "65536")


def test_file_size_limit_holds(make_instance, repo):
    instance = make_instance({"limits": {"fsize": 1048576}})
    out = shell(instance, repo, "dd if=/dev/zero of=/tmp/big bs=1M count=3 2>/dev/null; stat -c %s /tmp/big")
    assert "1048576" in out.split()


def test_process_limit_holds(make_instance, repo):
    instance = make_instance({"limits": {"nproc": 40}, "retry": {"max_attempts": 1}})
    # what it left behind keeps the agent from starting git: how the order ends is not the question
    order_id = instance.create(repo.path, "Look around\ndemo: forkbomb 400", selected_commands=STEPS)
    instance.wait_event(order_id, "step_completed")
    text = instance.agent_text(order_id, "create-branch")[0]
    got, want = map(int, re.search(r"(\d+) of (\d+)", text).groups())
    assert got < 40 and want == 400


def test_no_capabilities_and_no_new_privileges(instance, repo):
    text = shell(instance, repo, "cat /proc/self/status; id; grep -c . /proc/self/uid_map")
    status = dict(re.findall(r"^(\w+):\s*(.*)$", text, re.M))
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[name], 16) == 0, name
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    assert status["Uid"].split() == ["1000"] * 4 and "uid=1000" in text


def test_mounts(instance, repo):
    text = inside(instance, repo, "demo: print-mounts")[0]
    mounts = {}
    for line in text.splitlines():
        left, _, _ = line.partition(" - ")
        fields = left.split()
        mounts[fields[4]] = set(fields[5].split(","))
    assert "ro" in mounts["/usr"] and "nosuid" in mounts["/usr"]
    assert "rw" in mounts["/workspace"] and {"nosuid", "nodev"} <= mounts["/workspace"]
    assert "rw" in mounts["/home/agent"]
    for path, options in mounts.items():
        if path not in ("/dev/pts",) and not path.startswith("/dev/"):
            assert "nosuid" in options, path
    host = str(instance.base)
    outside = [p for p in mounts if p.startswith(host) and not p.startswith(str(instance.libexec))]
    assert outside in ([], [p for p in outside if "ro" in mounts[p]])


def test_nothing_of_the_host_is_seen(instance, repo):
    marker = instance.base / "marker-of-the-host"
    marker.write_text("seen\n")
    text = shell(instance, repo, f"cat {marker}; ls {instance.state} {instance.run_dir}; ls /awo /awo/order; ls /root; "
                                 "ls /var/lib; ls /proc | grep -c '^[0-9]'; cat /etc/shadow; ls /sys; echo end")
    assert "seen" not in text and "awo.db" not in text and "awod.sock" not in text and "job" not in text
    assert "root:" not in text and "end" in text
    assert int(re.search(r"^(\d+)$", text, re.M)[1]) < 10


def test_host_processes_cannot_be_signalled_or_read(instance, repo):
    probe = subprocess.Popen(["sleep", "60"])
    try:
        text = shell(instance, repo, f"kill -0 {probe.pid} && echo reached; cat /proc/{probe.pid}/cmdline; "
                                     "kill -9 1; sleep 0.1; cat /proc/1/environ | head -c 100; echo end")
        assert "reached" not in text and "sleep" not in text.replace("sleep 0.1", "") and "end" in text
        assert probe.poll() is None
    finally:
        probe.kill()
        probe.wait()


@pytest.mark.parametrize("command", [
    "mount -t tmpfs none /mnt", "unshare -Ur true", "unshare -m true", "mknod /tmp/null c 1 3", "chown 0 /tmp",
    "echo x > /proc/sys/kernel/core_pattern", "touch /usr/bin/x", "touch /etc/x", "sysctl -w kernel.hostname=x",
    "hostname other", "chroot / true", "mount -o remount,rw /usr", "umount /usr", "ln -f /etc/passwd /tmp/p && echo x >> /tmp/p",
    "perl -e 'syscall(101, 0, 0, 0, 0) == 0 or exit 1'"])
def test_what_needs_power_fails(instance, repo, command):
    assert "succeeded" not in shell(instance, repo, f"({command}) 2>/dev/null && echo succeeded; echo end")


def test_kernel_interfaces_that_are_closed(instance, repo):
    code = ("import socket,ctypes;l=ctypes.CDLL(None,use_errno=True);r=[]\n"
            "def t(n,f):\n try:\n  f();r.append(n)\n except OSError: pass\n"
            "t('vsock',lambda:socket.socket(40,1));t('alg',lambda:socket.socket(38,5))\n"
            "t('packet',lambda:socket.socket(17,3));t('raw',lambda:socket.socket(2,3,1))\n"
            "def s(n,*a):\n  if l.syscall(*a)!=-1: r.append(n)\n"
            "s('keyctl',250,0,-3,0,0,0);s('bpf',321,0,0,0);s('perf',298,0,0,-1,-1,0);s('io_uring',425,1,0)\n"
            "s('userfaultfd',323,0)\n"
            "print('open:',r)")
    packed = base64.b64encode(code.encode()).decode()
    text = shell(instance, repo, f"echo {packed} | base64 -d > /tmp/t.py; python3 /tmp/t.py 2>&1 || echo no python")
    if "no python" in text and "open:" not in text:
        pytest.skip("no python3 in /usr")
    assert "open: []" in text, text


def test_layers_are_recorded(instance, repo):
    order = instance.run(repo.path, selected_commands=STEPS)
    layers = set(order["sandbox_layers"])
    assert {"user_namespace", "mount_namespace", "pid_namespace", "no_new_privs", "seccomp"} <= layers, layers


def test_processes_that_outlive_the_agent_end_with_the_step(instance, repo):
    order_id = instance.create(repo.path, "Add it\ndemo: daemon 3600\ndemo: forkbomb 20\ndemo: sleep 1",
                               selected_commands=["create-branch", "planning"])
    instance.wait_event(order_id, "agent_output", kind="text")
    worker, = instance.workers()
    # the next step's sandbox stands by already
    first = [p for p in processes.descendants(worker.pid) if not {"launch", "standing-by"} & set(p.argv or ())]
    assert len(first) > 20
    instance.wait(order_id, condition=lambda o: o["current_step"] == "planning")
    # the next step begins without them
    assert not processes.wait_gone(first, 1)
    instance.completed(order_id)
    line = instance.events(order_id, "sandbox_cleanup_completed")[-1]
    assert line["clean"] is True and not instance.workers()


def test_big_and_broken_output(instance, repo):
    order_id = instance.create(repo.path, "Add it\ndemo: badjson\ndemo: flood 3000000\ndemo: longline 20000000",
                               selected_commands=STEPS)
    instance.completed(order_id, 120)
    lines = instance.log(order_id)
    assert max(len(str(line)) for line in lines) < 1 << 20
    assert any(line["level"] in ("warning", "error") for line in lines)


def test_log_limit(make_instance, repo):
    instance = make_instance({"limits": {"log_bytes": 65536}})
    order_id = instance.create(repo.path, "Add it\ndemo: flood 1000000", selected_commands=["create-branch", "planning"])
    instance.completed(order_id)
    path, = instance.log_dir.glob(f"agent_work_orders/*/{order_id}.jsonl")
    assert path.stat().st_size < 200_000
    exceeded = instance.events(order_id, "limit_exceeded")
    assert exceeded and exceeded[-1]["dropped_lines"] > 0
    assert "git_branch_created" in instance.events(order_id)


@needs_root
def test_journal_and_control_socket_are_out_of_reach(instance, repo):
    text = shell(instance, repo, "find / -name '*.jsonl' -o -name 'control.sock' -o -name 'awod.sock' 2>/dev/null | "
                                 "grep -v '^/proc\\|^/home/agent\\|^/workspace'; echo end")
    assert text.split() == ["end"]


HOSTILE = {
    "hook": "mkdir -p .git/hooks; printf '#!/bin/sh\\ntouch {m}\\n' | tee .git/hooks/pre-commit .git/hooks/post-checkout "
            ".git/hooks/pre-push .git/hooks/post-commit .git/hooks/reference-transaction >/dev/null; chmod +x .git/hooks/*",
    "fsmonitor": "git config core.fsmonitor 'touch {m}; false'",
    "filter": "git config filter.x.clean 'touch {m}; cat'; git config filter.x.smudge 'touch {m}; cat'; "
              "echo '* filter=x' > .gitattributes; git add .gitattributes",
    "sshcommand": "git config core.sshCommand 'touch {m}'; git config remote.origin.receivepack 'touch {m}'",
    "url": "git config url.ext::sh.insteadOf file; git config credential.helper '!touch {m}'",
    "gitfile": "mv .git .real; printf 'gitdir: .real\\n' > .git; git -C .real config core.worktree /workspace",
    "alternates": "mkdir -p .git/objects/info; echo /etc >> .git/objects/info/alternates",
    "fifo": "mkfifo .git/FETCH_HEAD .git/config.lock2 2>/dev/null; rm -f .git/packed-refs; mkfifo .git/packed-refs || true",
    "editor": "git config core.editor 'touch {m}'; git config diff.external 'touch {m}'; git config core.pager 'touch {m}'",
}


@pytest.mark.parametrize("trick", sorted(HOSTILE))
def test_repository_as_a_weapon(make_instance, repo, trick):
    """Nothing that an agent writes into its repository runs, or does harm, outside the sandbox."""
    # some tricks stop the agent's own git for ever
    instance = make_instance({"timeouts": {"idle": 6, "kill": 1}})
    marker = Path(f"/tmp/awo-it-marker-{os.getpid()}-{trick}")
    command = HOSTILE[trick].replace("{m}", str(marker))
    before = repo.files("main")
    order_id = instance.create(repo.path, f"Add a greeting\ndemo@execute: run cd /workspace; {command}; echo done")
    order = instance.wait(order_id, timeout=90)
    assert not marker.exists()
    assert order["status"] in ("completed", "failed")
    assert repo.files("main") == before
    # the next order of the same repository does not notice
    instance.run(repo.path, "Another one", selected_commands=["create-branch", "planning", "commit"])
    assert not marker.exists()


def test_commits_with_forbidden_trees_are_refused(instance, repo):
    command = ("b=$(echo x | git hash-object -w --stdin); "
               "t=$(printf '100644 blob %s\\t.git\\n' $b | git mktree 2>/dev/null || "
               "printf '100644 .git\\0%b' $(echo $b | sed 's/../\\\\x&/g') | git hash-object -t tree -w --stdin --literally); "
               "c=$(git commit-tree $t -p HEAD -m bad); git update-ref HEAD $c; git log -1 --format=%s")
    order_id = instance.create(repo.path, f"Add a greeting\ndemo@execute: run {command}")
    order = instance.failed(order_id)
    assert order["error_category"] in ("git", "agent", "permanent")
    assert repo.branches() == ["main"]


def test_network_of_the_agent_reaches_no_service_socket(instance, repo):
    """Abstract sockets of the host are out of reach."""
    name = f"\0awo-it-{os.getpid()}-{time.monotonic_ns()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.bind(name)
        s.listen()
        text = shell(instance, repo, "python3 -c \"import socket;s=socket.socket(socket.AF_UNIX);"
                                     f"s.connect(chr(0)+'{name[1:]}');print('reached')\" 2>&1; echo end")
    if "reached" in text:
        order = instance.call("order.list")["agent_work_orders"][0]
        assert any(layer.startswith("no-") for layer in order["sandbox_layers"]), "reached, and no layer is reported missing"
