"""awoctl on a terminal, and the words it offers to a shell."""
import contextlib
import os
import pty
import select
import signal
import sqlite3
import subprocess
import termios
import time

import pytest
from awo_testlib.waiting import until

STEPS = ["create-branch", "planning", "commit"]


class Terminal:
    """awoctl with a terminal of its own; text is all that it has shown."""

    def __init__(self, instance, *words, env=None):
        self.side, other = pty.openpty()
        termios.tcsetwinsize(other, (40, 160))
        argv = [str(instance.programs / "awoctl"), "--socket", str(instance.socket), *map(str, words)]
        self.process = subprocess.Popen(argv, env={**instance.env, "TERM": "xterm", **(env or {})}, stdin=other, stdout=other, stderr=other,
                                        start_new_session=True, preexec_fn=lambda: os.dup2(0, 0))
        os.close(other)
        self.text = ""

    def _read(self, seconds):
        if not select.select([self.side], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.side, 65536)
        except OSError:
            return False
        self.text += data.decode(errors="replace")
        return bool(data)

    def see(self, wanted, seconds=30):
        end = time.monotonic() + seconds
        while wanted not in self.text and time.monotonic() < end:
            if not self._read(0.2):
                break
        assert wanted in self.text, self.text
        return self

    def write(self, text):
        os.write(self.side, text.encode())

    def end(self, sig=None):
        if sig:
            self.process.send_signal(sig)
        end = time.monotonic() + 30
        while self._read(0.2) and time.monotonic() < end:
            pass
        os.close(self.side)
        return self.process.wait(30)


@pytest.fixture
def terminal(instance):
    made = []

    def make(*words):
        made.append(Terminal(instance, *words))
        return made[-1]
    yield make
    for t in made:
        with contextlib.suppress(ProcessLookupError):
            t.process.kill()
        t.process.wait()


def test_top_follows_what_runs_and_survives_a_restart(instance, repo, terminal):
    top = terminal("top").see("nothing runs")
    order_id = instance.create(repo.path, "x\ndemo@planning: run i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo tick; sleep 0.5; done",
                               selected_commands=STEPS)
    top.see(order_id).see("planning 2/3").see("1 of 5 slots in use")
    instance.wait_event(order_id, "agent_command_started")
    once = instance.awoctl("top")
    assert order_id in once.out and "\x1b" not in once.out
    assert instance.awoctl("top", "--json").json["agent_work_orders"][0]["agent_work_order_id"] == order_id
    instance.stop()
    top.text = ""
    top.see("awod")
    assert "slots in use" not in top.text
    instance.start()
    top.see("slots in use").see(order_id)
    instance.call("order.cancel", agent_work_order_id=order_id)
    top.text = ""
    top.see("nothing runs")
    assert top.end(signal.SIGINT) == 0


def test_secrets_are_typed_unseen(instance, terminal):
    asked = terminal("credential", "set", "work", "--kind", "github_token").see("nothing is shown")
    # the prompt comes before the terminal is quiet
    until(lambda: not termios.tcgetattr(asked.side)[3] & termios.ECHO, "a quiet terminal", 10)
    asked.write("ghp_hunter2hunter2\n")
    assert asked.end() == 0
    assert "hunter2hunter2" not in asked.text
    assert instance.call("credential.list")["credentials"][0]["name"] == "work"


def test_an_interrupt_gives_the_terminal_its_echo_back(instance, terminal):
    asked = terminal("credential", "set", "work", "--kind", "github_token").see("nothing is shown")
    until(lambda: not termios.tcgetattr(asked.side)[3] & termios.ECHO, "a quiet terminal", 10)
    asked.process.send_signal(signal.SIGINT)
    assert asked.process.wait(10) == -signal.SIGINT
    assert termios.tcgetattr(asked.side)[3] & termios.ECHO
    assert not instance.call("credential.list")["credentials"]


def test_colours_and_harmless_text_on_a_terminal(instance, repo, terminal):
    order_id = instance.run(repo.path, "Add a greeting\ndemo@planning: run printf '\\033]0;owned\\007' >trick",
                            selected_commands=STEPS)["agent_work_order_id"]
    shown = {}
    for words in (["ls"], ["show", order_id], ["steps", order_id], ["progress", order_id], ["diff", order_id],
                  ["diff", order_id, "--stat"], ["logs", order_id], ["artifacts", order_id], ["queue"], ["health"]):
        t = terminal(*words)
        assert t.end() == 0, t.text
        shown[" ".join(words[:1] + words[2:])] = t.text
        # colours only: nothing that moves, clears or names
        assert "\x1b]" not in t.text and "\x1b[2J" not in t.text, words
    assert "\x1b[32m" in shown["diff"] and "\x1b[" in shown["ls"]
    assert "files changed" in shown["diff --stat"] and "trick" in shown["diff --stat"]
    name = instance.call("order.artifacts", agent_work_order_id=order_id)["artifacts"][0]["name"]
    t = terminal("artifact", order_id, name)
    assert t.end() == 0 and t.text.strip()


def test_words_for_a_shell(instance, repo):
    order_id = instance.run(repo.path, "Add a greeting\tand more", selected_commands=STEPS)["agent_work_order_id"]
    instance.call("repository.add", repository_url=str(repo.path))
    instance.call("credential.set", name="work", kind="git_password", host="h.example", value="bob:hunter2hunter2")
    token = instance.call("token.create", name="ci")
    expected = {"orders": order_id, "repositories": str(repo.path), "workflows": "agent_workflow_build", "steps": "planning",
                "settings": "max_concurrent", "credentials": "work", "tokens": token["id"], "agents": "demo"}
    for what, word in expected.items():
        done = instance.awoctl("completion", what)
        words = [line.split("\t") for line in done.out.splitlines()]
        assert done.rc == 0 and any(w[0].endswith(word) for w in words), (what, done)
        assert all(len(w) <= 2 for w in words), (what, done)
    assert "completed: Add a greeting" in instance.awoctl("completion", "orders").out
    assert instance.awoctl("completion", "nonsense").rc == 2
    # nobody answers: nothing is offered, and nothing is said
    instance.stop()
    silent = instance.awoctl("completion", "orders")
    assert (silent.rc, silent.out, silent.err) == (0, "", "")


def test_settings_on_the_command_line(instance):
    assert instance.awoctl("settings", "set", "max_concurrent", "3").rc == 0
    assert instance.call("settings.get", key="max_concurrent")["settings"][0]["value"] == 3
    shown = instance.awoctl("settings", "max_concurrent")
    assert "3" in shown.out and "stored" in shown.out
    assert instance.awoctl("settings", "set", "max_concurrent", "many").rc != 0
    assert instance.awoctl("settings", "set", "max_concurrent", "~").rc == 2
    assert instance.awoctl("settings", "unset", "max_concurrent").rc == 0
    assert instance.call("settings.get", key="max_concurrent")["settings"][0]["value"] == 5
    tested = instance.awoctl("settings", "test", "agent")
    assert tested.rc == 0 and "ok" in tested.out
    assert instance.awoctl("settings", "test", "agent", "--json").json["success"] is True


def test_backup_is_a_database(instance, repo):
    order_id = instance.run(repo.path, selected_commands=STEPS)["agent_work_order_id"]
    place = instance.base / "backup"
    place.mkdir()
    place.chmod(0o777)
    done = instance.awoctl("backup", place / "awo.db")
    assert done.rc == 0 and str(place / "awo.db") in done.out, done
    with contextlib.closing(sqlite3.connect(place / "awo.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert order_id in "\n".join(db.iterdump())
    assert instance.awoctl("backup", place / "awo.db").rc != 0


def test_the_words_around_an_order(instance, repo):
    running = instance.create(repo.path, "x\ndemo@planning: hang", selected_commands=STEPS)
    instance.wait(running, condition=lambda o: o["current_step"] == "planning")
    for decision in ("approve", "reject"):
        refused = instance.awoctl(decision, running, "--comment", "why not")
        assert refused.rc != 0 and refused.err.strip()
    refused = instance.awoctl("rm", running)
    assert refused.rc != 0 and f"awoctl cancel {running}" in refused.err
    assert instance.awoctl("pause", running).rc == 0
    assert instance.order(running)["status"] == "paused"
    assert instance.awoctl("resume", running).rc == 0
    assert instance.awoctl("cancel", running).rc == 0
    assert instance.awoctl("rm", running).out.strip() == f"{running}: removed"
    for words in (["cleanup", "--dry-run"], ["reconcile", "--dry-run"], ["cleanup"], ["reconcile"], ["metrics"], ["reload"]):
        assert instance.awoctl(*words).rc == 0, words


def test_ui_opens_a_browser_where_there_is_one(make_gateway, place):
    gateway = make_gateway({"gateway": {"auth": "token"}})
    address = f"http://127.0.0.1:{gateway.port}"
    browser = place / "browser"
    # what it was given, and the page as it was then
    browser.write_text(f'#!/bin/sh\nstat -c %a "$@" > {place}/mode\ncat "$@" > {place}/page.part\n'
                       f'echo "$@" > {place}/argv\nmv {place}/page.part {place}/page\n')
    browser.chmod(0o755)
    env = {"BROWSER": str(browser), "XDG_RUNTIME_DIR": str(place)}
    for words in (["ui", "--print", "--address", address], ["--json", "ui", "--address", address]):
        terminal = Terminal(gateway.instance, *words, env=env)
        assert terminal.see("/ui/login?token=").end() == 0
    # without a terminal nobody looks
    assert gateway.instance.awoctl("ui", "--address", address, env=env).rc == 0
    time.sleep(0.3)
    assert not (place / "argv").exists()
    terminal = Terminal(gateway.instance, "ui", "--address", address, env=env)
    assert terminal.see("opening your browser").end() == 0
    until((place / "page").exists, "the browser's page", 10)
    link = next(line for line in terminal.text.split() if line.startswith(address))
    # the link is in the page, which only its user can read, and in no command line
    assert f'url={link}"' in (place / "page").read_text() and (place / "mode").read_text() == "600\n"
    given = (place / "argv").read_text().strip()
    assert given.startswith(str(place)) and given.endswith(".html") and "token" not in given
    answer = gateway.get(link[len(address):])
    assert answer.status == 303 and answer.headers["location"] == "/ui/"
    # a browser that is not there is no reason to fail
    terminal = Terminal(gateway.instance, "ui", "--address", address, env={**env, "BROWSER": str(place / "none")})
    assert terminal.see("open this link in a browser").end() == 0


def test_credentials_and_tokens_as_tables(instance):
    done = instance.awoctl("token", "create", "ci", "--expires", "1h")
    assert done.rc == 0 and len(done.out.strip()) >= 32 and "not shown again" in done.err
    listed = instance.awoctl("token", "ls")
    assert "ci" in listed.out and "read,write" in listed.out and done.out.strip() not in listed.out
    assert instance.awoctl("credential", "set", "hub", "--kind", "github_token", input="ghp_hunter2hunter2\n").rc == 0
    tested = instance.awoctl("credential", "test", "hub")
    assert tested.rc == 1 and tested.out.startswith("fail ")
