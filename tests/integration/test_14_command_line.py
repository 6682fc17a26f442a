"""awoctl: what people and scripts type."""
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from awo_testlib.waiting import until

STEPS = "create-branch,planning,commit"


@pytest.fixture
def ended(instance, repo):
    return instance.run(repo.path, selected_commands=STEPS.split(","))["agent_work_order_id"]


def test_run_shows_progress_and_ends_with_the_result(instance, repo):
    done = instance.awoctl("run", repo.path, "Add", "a", "greeting")
    assert done.rc == 0, done
    order = instance.call("order.list")["agent_work_orders"][0]
    assert order["user_request"] == "Add a greeting"
    assert order["git_branch_name"] in done.out.strip().splitlines()[-1]
    for step in order["selected_commands"]:
        assert step in done.out + done.err


def test_run_detached(instance, repo):
    done = instance.awoctl("run", "--detach", "--json", repo.path, "x", "--steps", STEPS, "--priority", "7", "--timeout",
                           "5m", "--base", "main", "--sandbox", "branch")
    assert done.rc == 0, done
    order = done.json.get("agent_work_order", done.json)
    assert order["priority"] == 7 and order["sandbox_type"] == "git_branch"
    assert order["selected_commands"] == STEPS.split(",")
    plain = instance.awoctl("run", "-d", "-q", repo.path, "x")
    assert plain.rc == 0 and plain.out.strip().split()[-1].startswith("wo-")


def test_run_that_fails(instance, repo):
    done = instance.awoctl("run", repo.path, "x\ndemo@planning: fail")
    assert done.rc == 1 and "planning" in done.out + done.err


def test_request_from_standard_input(instance, repo):
    done = instance.awoctl("run", repo.path, "-", "--steps", STEPS, input="From a pipe\nwith two lines\n")
    assert done.rc == 0, done
    assert instance.call("order.list")["agent_work_orders"][0]["user_request"].startswith("From a pipe\nwith two lines")


def test_all_that_is_wrong_is_said_at_once(instance, repo):
    wrong = ("run", repo.path, "x", "--agent", "nobody", "--base", "a..b", "--steps", "dance")
    done = instance.awoctl(*wrong)
    assert done.rc != 0
    lines = done.err.strip().splitlines()
    assert len(lines) == 3 and all(line.startswith("awoctl: ") for line in lines), done.err
    assert "a..b" not in lines[0] and "base_branch" in lines[0] and "nobody" in lines[1] and "dance" in lines[2], done.err
    error = json.loads(instance.awoctl(*wrong, "--json").err)["error"]
    assert [e["field"] for e in error["errors"]] == ["base_branch", "agent", "selected_commands"] and error["field"] == "base_branch"
    one = json.loads(instance.awoctl("run", repo.path, "x", "--agent", "nobody", "--json").err)["error"]
    assert one["field"] == "agent" and "errors" not in one


def test_interrupt_detaches(instance, repo):
    argv = [str(instance.programs / "awoctl"), "--socket", str(instance.socket), "run", str(repo.path),
            "x\ndemo@planning: sleep 3"]
    process = subprocess.Popen(argv, env=instance.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    order_id = until(lambda: instance.call("order.list")["agent_work_orders"], "an order")[0]["agent_work_order_id"]
    instance.wait(order_id, condition=lambda o: o["current_step"] == "planning")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert order_id in out + err and "logs" in out + err
    instance.completed(order_id)


@pytest.mark.parametrize("words, status", [
    ([], 2), (["no-such-command"], 2), (["run"], 2), (["show"], 2), (["ls", "--no-such"], 2), (["ls", "--limit", "x"], 2),
    (["show", "wo-00000000"], 3), (["logs", "wo-00000000"], 3), (["cancel", "wo-00000000"], 3),
    (["run", "ftp://x/y", "z"], 1)])
def test_exit_status(instance, words, status):
    done = instance.awoctl(*words)
    assert done.rc == status, done
    assert done.err.strip() or done.out.strip()


def test_no_daemon(make_instance):
    instance = make_instance(start=False)
    done = instance.awoctl("ls")
    assert done.rc == 5 and str(instance.socket) in done.err


def test_prefixes_of_ids(instance, ended):
    for prefix in (ended, ended[:7], ended[3:], ended[3:8]):
        done = instance.awoctl("show", "--json", prefix)
        assert done.rc == 0, (prefix, done)
        assert done.json.get("agent_work_order", done.json)["agent_work_order_id"] == ended


@pytest.mark.parametrize("words", [
    ["ls"], ["show", "ID"], ["steps", "ID"], ["progress", "ID"], ["artifacts", "ID"], ["queue"], ["health"], ["info"],
    ["metrics"], ["repo", "ls"], ["settings"], ["settings", "max_concurrent"], ["credential", "ls"], ["token", "ls"],
    ["workflow", "ls"], ["workflow", "show", "agent_workflow_plan"], ["workflow", "validate", "--steps", "planning"],
    ["command", "ls"], ["config", "show"], ["cleanup", "--dry-run"], ["reconcile", "--dry-run"], ["reload"]])
def test_json_is_one_document(instance, ended, words):
    words = [ended if w == "ID" else w for w in words]
    for argv in (["--json", *words], [*words, "--json"]):
        done = instance.awoctl(*argv)
        assert done.rc in (0, 1), done
        assert isinstance(done.json, (dict, list))
    plain = instance.awoctl(*words)
    assert "\x1b" not in plain.out


def test_logs(instance, ended):
    done = instance.awoctl("logs", ended, "--json")
    assert done.rc == 0 and [line["event"] for line in done.lines] == instance.events(ended)
    some = instance.awoctl("logs", ended, "--json", "--step", "planning")
    assert some.lines and {line["step"] for line in some.lines} == {"planning"}
    assert len(instance.awoctl("logs", ended, "--json", "-n", "3").lines) == 3
    assert instance.awoctl("logs", ended, "--json", "--level", "error").lines == []


def test_follow_ends_with_the_order_and_survives_a_restart(instance, repo):
    order_id = instance.create(repo.path, "x\ndemo@planning: sleep 4")
    argv = [str(instance.programs / "awoctl"), "--socket", str(instance.socket), "--json", "logs", "-f", order_id]
    process = subprocess.Popen(argv, env=instance.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    instance.wait(order_id, condition=lambda o: o["current_step"] == "planning")
    instance.stop()
    instance.start()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["event"] for line in lines] == instance.events(order_id)


def test_diff_and_artifact(instance, ended):
    diff = instance.awoctl("diff", ended)
    assert diff.rc == 0 and "+++ b/PRPs/" in diff.out
    stat = instance.awoctl("diff", ended, "--stat", "--json")
    assert stat.json["files"][0]["path"].startswith("PRPs/") and stat.json["files"][0]["lines_added"] > 0
    text = instance.awoctl("artifact", ended, "prompts/02-planning.txt")
    assert "# Plan the work" in text.out


def test_prompt_cancel_retry_rm(instance, repo, ended):
    done = instance.awoctl("prompt", ended, "one", "more", "thing")
    assert done.rc == 0, done
    instance.completed(ended)
    hanging = instance.create(repo.path, "demo: hang")
    instance.wait(hanging, "running")
    refused = instance.awoctl("rm", hanging)
    assert refused.rc == 1
    assert instance.awoctl("cancel", hanging, "--reason", "why not").rc == 0
    instance.wait(hanging, "cancelled")
    assert instance.awoctl("rm", hanging).rc == 0
    assert instance.awoctl("show", hanging).rc == 3
    assert not (instance.state / "work-orders" / hanging / "workspace").exists()


def test_repositories(instance, repo):
    added = instance.awoctl("repo", "add", repo.path, "--json")
    assert added.rc == 0, added
    key = added.json["id"]
    assert instance.awoctl("repo", "set", key, "--steps", "create-branch,planning").rc == 0
    assert instance.awoctl("repo", "show", key, "--json").json["default_commands"] == ["create-branch", "planning"]
    assert instance.awoctl("repo", "verify", repo.path).rc == 0
    assert instance.awoctl("repo", "verify", f"file://{repo.path}-not-there").rc == 1
    order_id = instance.create(repo.path)
    assert instance.completed(order_id)["selected_commands"] == ["create-branch", "planning"]
    assert instance.awoctl("repo", "rm", key).rc == 0
    assert instance.awoctl("repo", "show", key).rc == 3


def test_credentials_are_read_from_standard_input(instance):
    done = instance.awoctl("credential", "set", "work", "--kind", "git_password", "--host", "h.example",
                           input="bob:hunter2hunter2\n")
    assert done.rc == 0 and "hunter2" not in done.out + done.err
    listed = instance.awoctl("credential", "ls")
    assert "***ter2" in listed.out and "hunter2h" not in listed.out
    assert instance.awoctl("credential", "rm", "work").rc == 0
    assert instance.awoctl("credential", "rm", "work").rc == 3


def test_tokens(instance):
    made = instance.awoctl("token", "create", "ci", "--scope", "read", "--expires", "1h", "--json")
    assert made.rc == 0 and made.json["scopes"] == ["read"] and len(made.json["token"]) >= 32
    listed = instance.awoctl("token", "ls", "--json")
    assert made.json["token"] not in listed.out
    assert instance.awoctl("token", "rm", made.json["id"]).rc == 0


def test_help_everywhere(instance):
    for words in (["--help"], ["help"], ["help", "run"], ["run", "--help"], ["repo", "add", "--help"], ["--version"]):
        done = instance.awoctl(*words)
        assert done.rc == 0 and done.out.strip() and not done.err, words


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(instance, shell):
    done = instance.awoctl("completion", shell)
    assert done.rc == 0 and "awoctl" in done.out
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=done.out, text=True, check=True)


def test_doctor(instance):
    done = instance.awoctl("doctor", "--json")
    assert done.rc in (0, 1)
    assert "user" in done.out.lower()
    plain = instance.awoctl("doctor")
    assert "ok" in plain.out


def test_socket_from_the_environment(instance):
    done = instance.awoctl("info", "--json", socket=False, env={"AWO_SOCKET": str(instance.socket)})
    assert done.rc == 0 and done.json["socket"] == str(instance.socket)


def test_autostart_of_a_users_own_daemon(make_instance):
    if os.geteuid() == 0:
        pytest.skip("only ordinary users have a daemon of their own")
    instance = make_instance(start=False)
    env = {**instance.env, "XDG_STATE_HOME": str(instance.base / "s"), "XDG_CONFIG_HOME": str(instance.base / "c"),
           "XDG_RUNTIME_DIR": str(instance.base / "r")}
    (instance.base / "r").mkdir(mode=0o700)
    run = lambda *words: subprocess.run([str(instance.programs / "awoctl"), *words], env=env, capture_output=True,
                                        text=True, check=False, timeout=60)
    refused = run("info", "--no-autostart")
    assert refused.returncode == 5
    done = run("info")
    assert done.returncode == 0 and "in the background" in done.stderr, done.stderr
    done = run("info", "--json")
    assert done.returncode == 0 and not done.stderr
    # the pid told is the broker's, whose supervisor would start another one
    stat = Path(f"/proc/{json.loads(done.stdout)['pid']}/stat").read_text()
    supervisor = Path("/proc") / stat.rsplit(")", 1)[1].split()[1]
    os.kill(int(supervisor.name), signal.SIGTERM)
    until(lambda: not supervisor.exists(), "the end of a daemon that was told to", 20)


def test_text_from_agents_cannot_drive_the_terminal(instance, repo):
    order_id = instance.create(repo.path, "x\ndemo@planning: run printf '\\033]0;owned\\007\\033[2J'",
                               selected_commands=STEPS.split(","))
    instance.completed(order_id)
    for words in (["logs", order_id], ["steps", order_id], ["show", order_id]):
        assert "\x1b" not in instance.awoctl(*words).out
