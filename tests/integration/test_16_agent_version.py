"""What an agent's program is, as it says itself: run confined, whatever it does, and nobody waits for it."""
import os
import re
import time

import pytest

from awo_testlib import processes
from awo_testlib.rpc import RpcError


@pytest.fixture
def agent(place, make_instance):
    """An instance whose default agent is a script with this text."""
    def make(text, **more):
        program = place / "bin" / "agent"
        program.parent.mkdir(exist_ok=True)
        program.write_bytes(text if isinstance(text, bytes) else ("#!/bin/sh\n" + text + "\n").encode())
        program.chmod(0o755)
        return make_instance({"agents": {"default": "own", "own": {"adapter": "claude", "program": str(program), **more}}})
    return make


def ask(instance, name="own", timeout=15):
    return instance.call("settings.test", what="agent", agent=name, timeout=timeout)


def health(instance, name="agent", until=lambda d: "version" in d or "error" in d, timeout=15):
    """A dependency of system.health, when the background has asked for it."""
    end = time.monotonic() + timeout
    while True:
        found = instance.call("system.health")["dependencies"][name]
        if until(found):
            return found
        assert time.monotonic() < end, found
        time.sleep(0.05)


def test_demo_agent(instance):
    answer = ask(instance, "demo")
    assert answer["success"] and re.fullmatch(r"\d+\.\d+\.\d+ \(AWO demonstration agent\)", answer["version"]), answer
    assert str(instance.libexec / "awo-demo-agent") in answer["message"] and answer["version"] in answer["message"]
    assert health(instance)["version"] == answer["version"]
    done = instance.awoctl("settings", "test", "agent", "--agent", "demo")
    assert done.rc == 0 and "AWO demonstration agent" in done.out, done


def test_demo_agent_by_name(make_instance):
    instance = make_instance({"agents": {"demo": {"program": "awo-demo-agent"}}})
    assert ask(instance, "demo")["success"]
    agents = {a["name"]: a for a in instance.call("system.info")["agents"]}
    assert agents["demo"]["path"] == str((instance.libexec / "awo-demo-agent").resolve())


def test_missing_program(make_instance):
    instance = make_instance({"agents": {"default": "own", "own": {"adapter": "claude", "program": "awo-no-such-program"}}})
    answer = ask(instance)
    assert not answer["success"] and answer.get("version") is None
    assert "agent program 'awo-no-such-program' not found: install it (" in answer["message"]
    assert answer["message"].endswith("or set agents.own.program")
    assert health(instance) == {"available": False, "error": answer["message"]}
    assert any(answer["message"] in p for p in instance.call("system.health")["problems"])
    agents = {a["name"]: a for a in instance.call("system.info")["agents"]}
    assert not agents["own"]["available"] and agents["own"].get("path") is None
    with pytest.raises(RpcError) as e:
        ask(instance, "nobody")
    assert e.value.code == "invalid_argument" and "nobody" in str(e.value)


def test_interpreter_that_is_missing(agent):
    answer = ask(agent(b"#!/usr/bin/env awo-no-such-interpreter\n"))
    assert not answer["success"] and "needs 'awo-no-such-interpreter' to run" in answer["message"]


def test_program_that_hangs(agent):
    instance = agent("sleep 1000 & sleep 1000")
    before = time.monotonic()
    instance.call("system.health", timeout=5)
    assert time.monotonic() - before < 5
    answer = ask(instance, timeout=60)
    assert 15 < time.monotonic() - before < 40
    assert not answer["success"] and "did not tell its version within 20 seconds" in answer["message"]
    assert "agents.own.program" in answer["message"]
    broker = instance.broker_process()
    left = [p for p in processes.descendants(instance.process.pid) if p.pid != broker.pid]
    assert not processes.wait_gone(left, 40)


def test_program_that_leaves_something_behind(agent):
    instance = agent("sleep 1000 &\necho 1.0")
    before = time.monotonic()
    assert ask(instance)["version"] == "1.0"
    assert time.monotonic() - before < 10


@pytest.mark.parametrize("text, version", [
    ("head -c 1000000 /dev/zero | tr '\\0' x", "x" * 256),
    ("echo first; head -c 1000000 /dev/zero", "first"),
    ("yes v7 | head -c 1000000", "v7"),
    ("echo; echo '   '; printf '  \\t 3.1 (x)  \\r\\n'; echo more", "3.1 (x)"),
    ("printf 'a\\377b\\300\\200 \\033[31mred\\033[0m\\007 \\302\\233x\\n'", None),
    ("printf '1.0 \\303'", "1.0 �"),
    ("echo 4.2 >&2", "4.2"),
], ids=["line without end", "first line", "many lines", "trimmed", "garbage", "cut character", "standard error"])
def test_output_of_any_kind(agent, text, version):
    answer = ask(agent(text))
    assert answer["success"], answer
    said = answer["version"]
    assert 0 < len(said.encode()) <= 256 and not re.search(r"[\x00-\x1f\x7f-\x9f]", said)
    assert said == version if version else said.startswith("a�b") and "red" in said


def test_output_without_end(agent):
    before = time.monotonic()
    answer = ask(agent("cat /dev/zero"), timeout=60)
    assert not answer["success"] and "did not tell its version" in answer["message"]
    assert time.monotonic() - before < 45


@pytest.mark.parametrize("text, words", [
    ("echo 'no such option' >&2; exit 3", ["ended with status 3", "no such option", "agents.own.paths"]),
    ("kill -9 $$", ["killed by signal 9"]),
    ("exit 0", ["printed nothing", "agents.own.program"]),
])
def test_program_that_fails(agent, text, words):
    instance = agent(text)
    answer = ask(instance)
    assert not answer["success"] and all(w in answer["message"] for w in words), answer
    assert health(instance) == {"available": False, "error": answer["message"]}
    # it is there all the same
    agents = {a["name"]: a for a in instance.call("system.info")["agents"]}
    assert agents["own"]["available"] and agents["own"]["path"].endswith("/bin/agent")


def test_program_that_is_none(agent):
    answer = ask(agent(b"\x7fELF nonsense"))
    assert not answer["success"] and "could not be started" in answer["message"]


def test_it_is_confined(agent, place):
    secret = place / "secret"
    secret.write_text("host file")
    secret.chmod(0o666)
    instance = agent(f"""
test "$#:$1" = 1:--version || exit 11
test "$HOME" = /tmp || exit 12
test "$CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC" = 1 || exit 13
test "$(env | grep -c -v -e ^HOME= -e ^PATH= -e ^LANG=C.UTF-8 -e ^PWD= -e ^_= -e ^OLDPWD= -e ^SHLVL= -e ^CLAUDE_CODE_ -e ^IS_SANDBOX -e ^DISABLE_)" = 0 || exit 14
test ! -e {secret} || exit 15
echo x 2>/dev/null > {place}/bin/agent && exit 16
test "$(readlink /proc/self/fd/0)" = /dev/null || exit 17
grep -q '^NoNewPrivs:.1' /proc/self/status || exit 18
grep -q '^CapBnd:.0000000000000000' /proc/self/status || exit 19
grep -q '^Seccomp:.2' /proc/self/status || exit 20
test "$(ls /sys/class/net 2>/dev/null | grep -c -v '^lo$')" = 0 || exit 21
test "$(grep -c : /proc/net/dev)" = 1 || exit 22
test ! -e /awo || exit 23
echo x > /tmp/can-write || exit 24
echo confined""")
    answer = ask(instance)
    assert answer["success"] and answer["version"] == "confined", answer
    assert secret.read_text() == "host file"


def test_paths_of_the_configuration(agent, place):
    (place / "lib").mkdir()
    (place / "lib" / "version").write_text("5.0\n")
    instance = agent(f"cat {place}/lib/version")
    answer = ask(instance)
    assert not answer["success"] and "agents.own.paths" in answer["message"], answer
    instance.set_config(agents={"own": {"paths": [str(place / "bin"), str(place / "lib")]}})
    instance.call("system.reload")
    assert ask(instance)["version"] == "5.0"


def test_reload_asks_again(agent, place):
    instance = agent("echo 1.0")
    assert health(instance)["version"] == "1.0"
    (place / "bin" / "agent").write_text("#!/bin/sh\necho 2.0\n")
    assert health(instance)["version"] == "1.0"
    instance.call("system.reload")
    assert health(instance, until=lambda d: d.get("version") == "2.0")["available"]


def test_doctor(agent):
    done = agent("exit 3").awoctl("doctor", "--json")
    assert "ended with status 3" in done.out and done.rc != 0, done


def test_health_names_claude(place, make_instance):
    program = place / "claude"
    program.write_text("#!/bin/sh\necho '9.9.9 (Claude Code)'\n")
    program.chmod(0o755)
    instance = make_instance(env={"CLAUDE_CLI_PATH": str(program)})
    found = health(instance, "claude_cli")
    assert found["available"] and found["version"] == "9.9.9 (Claude Code)" and found["path"] == os.path.realpath(program)
