#!/usr/bin/python3 -IS
"""
An agent that fails as real ones were seen to fail: plays a recorded stream, then works as the demonstration agent does.

A line of the request says what goes wrong, where and how often: `fault: {"step": "execute", "stream": "claude-matrix/cut",
"times": 1}`. Further keys: exit, signal (sent to itself), hang, stderr, work (the step's work is done all the same), lines
(only so many of the stream), change ({"text": "other text"} in the stream), demo (an instruction for the demonstration
agent), resumed (only when a session is resumed). It knows no step of its own: only the first prompts carry the request,
so that the line is kept in the home directory, which is the order's own.
"""
import json
import os
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.realpath(sys.argv[0]))
TITLES = {"# Create a branch": "create-branch", "# Plan the work": "planning", "# Carry out the plan": "execute",
          "# Review the work": "prp-review", "# Run the tests": "testing", "# Commit what is left": "commit",
          "# Describe the pull request": "create-pr"}
RECORDED = "Done: added hello.txt on feature/hello."


def demo(arguments, prompt, silent, home=None):
    done = subprocess.run([f"{HERE}/awo-demo-agent", *arguments], input=prompt.encode(), check=False,
                          stdout=subprocess.PIPE if silent else None, env={**os.environ, **({"HOME": home} if home else {})})
    if done.returncode < 0:
        os.kill(os.getpid(), -done.returncode)
    return done.returncode, done.stdout


def replaced(value, old, new):
    if isinstance(value, str):
        return value.replace(old, new)
    if isinstance(value, list):
        return [replaced(v, old, new) for v in value]
    if isinstance(value, dict):
        return {k: replaced(v, old, new) for k, v in value.items()}
    return value


def stream(name):
    with open(f"{HERE}/streams/{name}.jsonl", encoding="utf-8") as f:
        return f.read().splitlines(keepends=True)


def work(dialect, prompt):
    """The step's work, told in the words of the program that is played."""
    if dialect == "claude":
        return demo(sys.argv[1:], prompt, False)[0]
    code, out = demo(["--print", "--output-format", "stream-json", "--verbose"], prompt, True)
    said = [json.loads(line) for line in out.splitlines() if line.startswith(b'{"type":"result"')]
    for line in stream(f"{dialect}-commit"):
        print(json.dumps(replaced(json.loads(line), RECORDED, said[-1].get("result", "") if said else "")), flush=True)
    return code


def kept(name, value=None):
    path = os.path.join(os.environ["HOME"], f".replay-{name}")
    if value is not None:
        with open(path, "w", encoding="utf-8") as f:
            f.write(value)
        return value
    try:
        with open(path, encoding="utf-8") as f:
            return f.read()
    except OSError:
        return ""


def faults(prompt):
    lines = [line for line in prompt.splitlines() if line.startswith("fault: ")]
    text = kept("faults", "\n".join(lines)) if lines else kept("faults")
    return [json.loads(line[7:]) for line in text.splitlines()]


def fail(fault, step, prompt):
    if fault.get("demo"):
        # in its usual home it remembers the first prompts' instructions, and looks at no others
        return demo(["--print", "--output-format", "stream-json", "--verbose"],
                    f"{prompt}\ndemo@{step}: {fault['demo']}\n", False, "/tmp")[0]
    if fault.get("work"):
        demo(["--print", "--output-format", "stream-json", "--verbose"], prompt, True)
    text = "".join(stream(fault["stream"])[:fault.get("lines")]) if fault.get("stream") else ""
    for old, new in fault.get("change", {}).items():
        text = text.replace(old, new)
    sys.stdout.write(text)
    sys.stdout.flush()
    sys.stderr.write(fault.get("stderr", ""))
    sys.stderr.flush()
    if fault.get("hang"):
        time.sleep(3600)
    if fault.get("signal"):
        os.kill(os.getpid(), fault["signal"])
    return fault.get("exit", 0)


def main():
    if "--version" in sys.argv:
        print("1.0 (replay)")
        return 0
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    prompt = sys.stdin.read()
    first = next((line for line in prompt.splitlines() if line.strip()), "")
    step = TITLES.get(first.strip(), "prompt")
    for i, fault in enumerate(faults(prompt)):
        if fault["step"] != step or (fault.get("resumed") and "--resume" not in sys.argv):
            continue
        played = int(kept(f"played-{i}") or 0)
        if played < fault.get("times", 1):
            kept(f"played-{i}", str(played + 1))
            return fail(fault, step, prompt)
    return work(os.environ.get("REPLAY_DIALECT", "claude"), prompt)


sys.exit(main())
