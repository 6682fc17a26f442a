"""The demonstration agent speaks the stream format, works on git for real, and misbehaves on request."""
import json
import os
import re
import signal
import subprocess
import time

import pytest

from awo_testlib.instance import SOURCE, build_dir
from awo_testlib.remotes import git

FLAGS = ["--print", "--output-format", "stream-json", "--verbose", "--dangerously-skip-permissions"]


class Agent:
    def __init__(self, place):
        self.work, self.home = place / "work", place / "home"
        self.home.mkdir()
        git("init", "-q", "-b", "main", self.work)
        (self.work / "README.md").write_text("# Sample\n")
        (self.work / "notes.txt").write_text("none yet\n")
        git("add", ".", cwd=self.work)
        git("commit", "-q", "-m", "init", cwd=self.work)

    def start(self, *more, **popen):
        env = {"PATH": "/usr/bin:/bin", "HOME": str(self.home), "LANG": "C.UTF-8"}
        return subprocess.Popen([build_dir() / "bin" / "awo-demo-agent", *FLAGS, *more], cwd=self.work, env=env,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **popen)

    def ask(self, prompt, *more):
        """(exit status, messages, lines that were no JSON objects, standard error)"""
        process = self.start(*more)
        out, err = process.communicate(prompt.encode(), timeout=60)
        messages, rest = [], []
        for line in out.splitlines():
            try:
                message = json.loads(line)
                (messages if isinstance(message, dict) and "type" in message else rest).append(message)
            except ValueError:
                rest.append(line)
        return process.returncode, messages, rest, err.decode()

    def step(self, name, *arguments):
        text = (SOURCE / "commands" / f"{name}.md").read_text().split("---\n", 2)[2]
        prompt = re.sub(r"\$([1-9])", lambda m: arguments[int(m[1]) - 1] if len(arguments) >= int(m[1]) else "", text)
        status, messages, _, err = self.ask(prompt)
        assert status == 0, err
        return messages[-1]["result"]


@pytest.fixture
def agent(place):
    return Agent(place)


def test_all_steps_leave_what_their_prompts_ask_for(agent):
    assert agent.step("create-branch", "Add a greeting") == "feat/add-a-greeting"
    assert git("branch", "--show-current", cwd=agent.work) == "feat/add-a-greeting"
    plan = agent.step("planning", "Add a greeting", "#42 A greeting is missing")
    assert plan == "PRPs/add-a-greeting.md"
    text = git("show", f"HEAD:{plan}", cwd=agent.work)
    assert "> Add a greeting\n" in text
    assert "".join(f"    {name}\n" for name in git("ls-tree", "-r", "--name-only", "main", cwd=agent.work).split("\n")) in text
    agent.step("execute", plan)
    assert json.loads(agent.step("prp-review", plan))["success"] is True
    agent.step("testing", plan)
    results = json.loads(git("show", "HEAD:test_results.json", cwd=agent.work))
    assert set(results) == {"command", "exit_code", "passed", "failed", "skipped", "timestamp"}
    assert results["exit_code"] == 0
    (agent.work / "left").write_text("over\n")
    assert json.loads(agent.step("commit"))["title"].startswith("feat: ")
    assert json.loads(agent.step("create-pr", "feat/add-a-greeting", plan))["title"] == "feat: #42 - add a greeting"
    assert git("log", "--reverse", "--format=%s", "main..HEAD", cwd=agent.work).splitlines() == [
        "docs(prp): add a greeting", "feat: add a greeting", "feat: mention it in the README",
        "test: record test results", "chore: commit what was left"]
    assert git("status", "--short", cwd=agent.work) == ""


def test_stream_has_the_shape_of_the_recorded_ones(agent):
    status, messages, rest, _ = agent.ask("do something", "--model", "m", "--max-turns", "9")
    assert status == 0 and rest == []
    assert [m["type"] for m in messages] == ["system", "assistant", "user", "assistant", "user", "assistant", "result"]
    assert len({m["session_id"] for m in messages}) == 1
    assert messages[1]["message"]["content"][0]["id"] == messages[2]["message"]["content"][0]["tool_use_id"]
    result = messages[-1]
    assert (result["subtype"], result["is_error"], result["num_turns"]) == ("success", False, 3)
    assert result["usage"]["input_tokens"] > 0 and result["total_cost_usd"] > 0


def test_sessions_are_resumed_only_where_they_are_known(agent):
    session = agent.ask("first")[1][-1]["session_id"]
    status, messages, _, _ = agent.ask("second", "--resume", session)
    assert status == 0 and messages[-1]["session_id"] == session
    status, messages, _, err = agent.ask("x", "--resume", "00000000-0000-4000-8000-000000000000")
    assert status == 1 and len(messages) == 1 and "No conversation found" in err
    assert messages[0]["subtype"] == "error_during_execution" and messages[0]["num_turns"] == 0
    status, messages, _, _ = agent.ask("x", "--session-id", session)
    assert status == 1 and messages == []
    assert agent.ask("x", "--resume", "../../etc/passwd")[0] == 1


@pytest.mark.parametrize("line, status, subtype", [
    ("demo: fail", 1, "error_during_execution"), ("demo: exit 3", 3, None), ("demo: rate-limit 5", 1, "success"),
    ("demo: false-success", 0, "success"), ("demo@execute: fail", 0, "success"), ("demo@prompt: exit 4", 4, None)])
def test_it_fails_as_told(agent, line, status, subtype):
    found, messages, _, _ = agent.ask(f"say something\n{line}\n")
    assert found == status
    last = messages[-1]
    assert (last.get("subtype") if last["type"] == "result" else None) == subtype
    if "rate-limit" in line:
        assert last["is_error"] and last["api_error_status"] == 429
    if "false-success" in line:
        assert git("log", "--format=%s", cwd=agent.work) == "init"


def test_fail_once_fails_once(agent):
    assert agent.ask("x\ndemo: fail-once")[0] == 1
    assert agent.ask("x\ndemo: fail-once")[0] == 0


def test_instructions_of_the_request_reach_later_steps(agent):
    agent.step("create-branch", "Add a greeting\ndemo@execute: no-commit")
    agent.step("execute", "PRPs/none.md")
    assert git("status", "--short", cwd=agent.work) != ""
    assert git("log", "--format=%s", cwd=agent.work) == "init"


def test_floods_and_garbage(agent):
    status, messages, rest, _ = agent.ask("x\ndemo: flood 100000\ndemo: longline 300000\ndemo: badjson")
    assert status == 0 and len(rest) >= 4
    sizes = [len(m["message"]["content"][0].get("text", "")) for m in messages
             if m["type"] == "assistant" and isinstance(m["message"], dict)
             and isinstance(m["message"].get("content"), list)]
    assert sum(s for s in sizes if s <= 1024) >= 100000 and 300000 in sizes


def test_signals_and_processes_left_behind(agent):
    process = agent.start()
    process.stdin.write(b"x\ndemo: daemon 30\ndemo: forkbomb 3\ndemo: run sleep 0.1; echo seen\ndemo: hang\n")
    process.stdin.close()
    text = b""
    while b"seen" not in text.rpartition(b"tool_result")[2] or text.count(b"seen") < 3:
        line = process.stdout.readline()
        assert line
        text += line
    assert b"processes started: 3 of 3" in text
    # wait until it really hangs, so that the signal meets it there
    time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 143
    left = subprocess.run(["pgrep", "-f", str(agent.home)], capture_output=True, check=False)
    assert left.returncode in (0, 1)
    for name in os.listdir("/proc"):
        # what it left on purpose: found by its working directory, and ended here
        try:
            if name.isdigit() and os.readlink(f"/proc/{name}/cwd") == str(agent.work):
                os.kill(int(name), signal.SIGKILL)
        except OSError:
            continue


def test_interrupt_gives_a_result(agent):
    process = agent.start()
    process.stdin.write(b"x\ndemo: hang\n")
    process.stdin.close()
    process.stdout.readline()
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out = process.stdout.read()
    assert process.wait(10) == 1 and b"error_during_execution" in out


def test_command_line_errors_are_like_the_real_ones(agent):
    program = build_dir() / "bin" / "awo-demo-agent"
    for argv in (["--print", "--output-format", "stream-json"], ["--print"], [*FLAGS, "--no-such-flag"],
                 [*FLAGS, "--max-turns", "x"]):
        done = subprocess.run([program, *argv], input=b"x", capture_output=True, check=False)
        assert done.returncode == 1 and done.stdout == b"" and done.stderr
    shown = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
    assert "demo: fail-once" in shown and "# Plan the work" in shown
