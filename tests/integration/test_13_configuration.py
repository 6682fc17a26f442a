"""One file, checked to the column; changed while orders run."""
import os
import signal
import subprocess
import time

import pytest

from awo_testlib.rpc import RpcError


def check(instance, text, env=None):
    instance.write_config(text)
    return subprocess.run(instance.argv("--check-config"), env={**instance.env, **(env or {})}, capture_output=True,
                          text=True, check=False)


@pytest.mark.parametrize("text, line, column, words", [
    ("max_concurent: 3\n", 1, 1, ["max_concurent", "max_concurrent"]),
    ("max_concurrent: many\n", 1, None, ["max_concurrent"]),
    ("max_concurrent: 0\n", 1, None, ["max_concurrent", "1"]),
    ("max_concurrent: 3\nretry:\n  max_atempts: 2\n", 3, 3, ["max_atempts", "max_attempts"]),
    ("log:\n  format: xml\n", 2, None, ["json"]),
    ("a: [1, 2\n", None, None, []),
    ("max_concurrent: 3\nmax_concurrent: 4\n", 2, None, ["max_concurrent"]),
    ("agents:\n  x:\n    adapter: nonsense\n", 3, None, ["agents.x.adapter", "opencode"]),
    ("retry: 5\n", 1, None, ["retry"]), ("\t\n- x", None, None, []), ("a: &x 1\nb: *x\n", 1, None, [])])
def test_mistakes_are_shown_where_they_are(make_instance, text, line, column, words):
    instance = make_instance(start=False)
    done = check(instance, text)
    assert done.returncode != 0
    where = f"config.yaml:{line}:" if line else "config.yaml"
    if line and column:
        where += f"{column}"
    assert where in done.stderr, done.stderr
    for word in words:
        assert word in done.stderr, done.stderr


def test_effective_values_and_their_sources(make_instance):
    instance = make_instance(start=False)
    done = check(instance, "max_concurrent: 3\nretry: {backoff: 2m}\n", {"AWO_RETENTION_DAYS": "9", "LOG_LEVEL": "warning"})
    assert done.returncode == 0, done.stderr
    section, lines = "", {}
    for line in done.stdout.splitlines():
        key = line.strip().partition(":")[0]
        section = section if line.startswith(" ") else key
        lines[key if key == section else f"{section}.{key}"] = line
    assert ": 3" in lines["max_concurrent"] and "config.yaml:1" in lines["max_concurrent"]
    assert "AWO_RETENTION_DAYS" in lines["retention.workspace_days"] and ": 9" in lines["retention.workspace_days"]
    assert "default" in lines["max_concurrent_per_user"]
    assert ": 120" in lines["retry.backoff"] and "config.yaml:2" in lines["retry.backoff"]
    # what is printed is a configuration file again
    assert check(instance, done.stdout).returncode == 0


def test_environment_wins_over_the_file_and_is_fixed(make_instance):
    instance = make_instance({"max_concurrent": 2}, env={"AWO_MAX_CONCURRENT": "4"})
    setting, = instance.call("settings.get", key="max_concurrent")["settings"]
    assert setting["value"] == 4 and setting["fixed"] and "AWO_MAX_CONCURRENT" in setting["source"]
    with pytest.raises(RpcError) as e:
        instance.call("settings.set", key="max_concurrent", value=3)
    assert e.value.code == "failed_precondition"


def test_bad_environment_is_an_error(make_instance):
    instance = make_instance(start=False)
    done = check(instance, "{}\n", {"AWO_MAX_CONCURRENT": "lots"})
    assert done.returncode != 0 and "AWO_MAX_CONCURRENT" in done.stderr


def test_stored_settings_win_over_the_file_and_last(instance):
    instance.call("settings.set", key="max_concurrent", value=7)
    instance.stop()
    instance.start()
    setting, = instance.call("settings.get", key="max_concurrent")["settings"]
    assert setting["value"] == 7 and setting["source"] == "stored"
    instance.call("settings.set", key="max_concurrent", value=None)
    setting, = instance.call("settings.get", key="max_concurrent")["settings"]
    assert setting["value"] == 5 and "config.yaml" in setting["source"]


@pytest.mark.parametrize("key, value", [("max_concurrent", 0), ("max_concurrent", "x"), ("no.such", 1), ("log.level", "loud"),
                                        ("tests.must_pass", "perhaps")])
def test_wrong_settings_are_refused(instance, key, value):
    with pytest.raises(RpcError) as e:
        instance.call("settings.set", key=key, value=value)
    assert e.value.code in ("invalid_argument", "not_found")


@pytest.mark.parametrize("key, value, service", [
    ("gateway.url", "https://awo.example.org", "awo-gateway"), ("storage.type", "memory", "awod"),
    ("storage.directory", "/srv/awo", "awod"), ("credentials.key_file", "/srv/key", "awod")])
def test_what_is_read_before_the_stored_settings_is_the_files(instance, key, value, service):
    with pytest.raises(RpcError) as e:
        instance.call("settings.set", key=key, value=value)
    assert e.value.code == "failed_precondition" and "configuration file" in str(e.value)
    assert f"restart {service} " in str(e.value)
    there, session = (instance.call("settings.get", key=name)["settings"][0] for name in (key, "gateway.session"))
    assert there["fixed"] and not session["fixed"]


def test_setting_that_needs_a_restart_says_so(instance):
    get = lambda key=None: instance.call("settings.get", **({"key": key} if key else {}))
    assert get()["restart_required"] is False
    running = get("socket.mode")["settings"][0]["value"]
    answer = instance.call("settings.set", key="socket.mode", value="0640")
    assert answer["restart_required"] is True
    pending, = get("socket.mode")["settings"]
    assert pending["value"] == "0640" and pending["running_value"] == running
    assert get()["restart_required"] is True and "running_value" not in get("max_concurrent")["settings"][0]
    instance.call("settings.set", key="socket.mode", value=None)
    assert get()["restart_required"] is False


def test_a_pending_setting_is_in_force_after_a_restart(instance):
    instance.call("settings.set", key="socket.mode", value="0660")
    assert "running_value" in instance.call("settings.get", key="socket.mode")["settings"][0]
    instance.stop()
    instance.start()
    setting, = instance.call("settings.get", key="socket.mode")["settings"]
    assert setting["value"] == "0660" and "running_value" not in setting


@pytest.mark.parametrize("how", ["signal", "call"])
def test_reload(instance, repo, how):
    order_id = instance.create(repo.path, "x\ndemo@create-branch: sleep 2")
    instance.wait(order_id, "running")

    def reload():
        if how == "call":
            return instance.call("system.reload")
        os.kill(instance.process.pid, signal.SIGHUP)
        time.sleep(1)
        return None

    value = lambda: instance.call("settings.get", key="max_concurrent")["settings"][0]["value"]
    instance.set_config(max_concurrent=9)
    reload()
    assert value() == 9
    instance.write_config("max_concurrent: [\n")
    if how == "call":
        with pytest.raises(RpcError) as e:
            reload()
        assert "config.yaml" in e.value.message
    else:
        reload()
        assert "config.yaml" in instance.daemon_log()
    assert value() == 9
    instance.completed(order_id)


def test_secrets_are_masked(make_instance):
    instance = make_instance({"github": {"token": "ghp_verysecretvalue1234"}})
    setting, = instance.call("settings.get", key="github.token")["settings"]
    assert setting["value"] == "***1234"
    done = subprocess.run(instance.argv("--check-config"), env=instance.env, capture_output=True, text=True, check=True)
    assert "verysecret" not in done.stdout + done.stderr + instance.daemon_log()
    shown = instance.awoctl("config", "show")
    assert shown.rc == 0 and "verysecret" not in shown.out


def test_agents_in_a_file_of_their_own(make_instance):
    instance = make_instance(start=False)
    (instance.config_dir / "agents.yaml").write_text("extra:\n  adapter: command\n  program: cat\n")
    (instance.config_dir / "agents.yaml").chmod(0o644)
    instance.start()
    agents = {a["name"]: a for a in instance.call("system.info")["agents"]}
    assert agents["extra"]["adapter"] == "command" and agents["extra"]["available"]
    assert {"claude", "codex", "opencode", "gemini", "demo"} <= set(agents)


def test_command_line_errors(make_instance):
    instance = make_instance(start=False)
    for argv in (["--no-such-option"], ["--config", "/no/such/file"], ["extra"], ["--uid-base", "x"]):
        done = subprocess.run([*instance.argv(), *argv], env=instance.env, capture_output=True, text=True, check=False,
                              timeout=20)
        assert done.returncode != 0 and done.stderr.strip(), argv
    wrong = [str(instance.awod), "--user"] if os.geteuid() == 0 else [str(instance.awod)]
    done = subprocess.run(wrong, env=instance.env, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode != 0 and done.stderr.strip()
    for option in ("--version", "--help"):
        done = subprocess.run([str(instance.awod), option], env=instance.env, capture_output=True, text=True, check=True)
        assert done.stdout.strip()


def test_names_of_the_surrounding_platform_are_ignored(make_instance):
    instance = make_instance(env={"SERVICE_DISCOVERY_MODE": "local", "LOGFIRE_TOKEN": "tok-secret-1",
                                  "ARCHON_SERVER_URL": "http://127.0.0.1:1"})
    assert instance.call("system.health")["service"] == "agent-work-orders"
    assert "tok-secret-1" not in instance.daemon_log()


def test_second_daemon_in_the_same_place_is_refused(instance):
    done = subprocess.run(instance.argv(), env=instance.env, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode != 0 and done.stderr.strip()
    assert instance.call("system.info")["version"]
