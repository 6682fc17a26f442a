"""The web UI in a real browser, on the real gateway and daemon."""
import hashlib
import hmac
import json
import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
from awo_testlib import npm, webhook_examples
from awo_testlib.gateway import GATEWAY_UID
from awo_testlib.instance import SOURCE, build_dir

SECRET = "s3cret-of-the-webhooks-of-this-test"
SCRIPTS = SOURCE / "tests" / "ui"
LIMIT = 720  # seconds for one script; the longest takes a quarter of it on a machine that does nothing else
CHROMIUM = os.environ.get("AWO_CHROMIUM", "/usr/bin/chromium")


def modules():
    """Where the UI's packages were installed: by the build, or in the source by hand."""
    for place in (build_dir() / "ui-build" / "npm", SOURCE / "ui"):
        if (place / "node_modules" / "playwright-core").is_dir():
            return place
    return None


pytestmark = [
    pytest.mark.skipif(not (build_dir() / "ui" / "index.html").exists(), reason="the web UI was not built: no npm"),
    pytest.mark.skipif(not os.access(CHROMIUM, os.X_OK), reason="no Chromium: apt-get install chromium"),
    pytest.mark.skipif(modules() is None, reason="no playwright-core: npm ci in ui/"),
]


def browse(script, gateway, answer=None, **env):
    """Runs a script; for each line that begins with @ calls answer, and says when that is done."""
    process = subprocess.Popen(
        [shutil.which("node"), str(SCRIPTS / script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, start_new_session=True,
        env={"PATH": os.environ["PATH"], "HOME": str(gateway.instance.home), "AWO_CHROMIUM": CHROMIUM,
             "AWO_UI_MODULES": str(modules()), "AWO_UI_URL": f"http://127.0.0.1:{gateway.port}",
             **{k: v for k, v in os.environ.items() if k in ("AWO_UI_SHOTS", "AWO_UI_ONLY")}, **env})
    timer = threading.Timer(LIMIT, process.kill)
    timer.start()
    try:
        for line in process.stdout:
            print(line, end="", flush=True)  # as it comes: also of a run that does not end
            if line.startswith("@"):
                answer(line[1:].strip())
                process.stdin.write("done\n")
                process.stdin.flush()
        status = process.wait(30)
    finally:
        timer.cancel()
        if process.poll() is None:
            process.kill()
            process.wait()
    assert status == 0  # what it said was printed


def test_files_are_served_as_built(gateway):
    page = gateway.get("/ui/", Accept="text/html")
    assert page.status == 200 and page.headers["cache-control"] == "no-cache"
    text = page.body.decode()
    assert "unsafe-inline" not in page.headers["content-security-policy"]
    script = text.split('src="')[1].split('"')[0]
    plain, packed = gateway.get(script), gateway.get(script, Accept_Encoding="gzip")
    assert plain.status == packed.status == 200 and "immutable" in plain.headers["cache-control"]
    assert packed.headers["content-encoding"] == "gzip" and len(packed.body) < len(plain.body) / 2
    # nothing that is loaded names another host
    for path in Path(build_dir() / "ui").rglob("*.html"):
        assert "//" not in path.read_text().replace("<!--", ""), path


# agents that write lines: very many at once, and one after the other without an end
TALKERS = {"agents": {
    "flood": {"adapter": "command", "program": "/usr/bin/seq", "args": ["100000"]},
    "ticker": {"adapter": "command", "program": "/bin/sh",
               "args": ["-c", "i=0; while :; do i=$((i + 1)); echo tick $i; sleep 0.1; done"]},
}}


def helper(gateway):
    """What the scripts may ask for."""
    wishes = {
        "stop the gateway": gateway.stop,
        "start the gateway": gateway.start,
        "stop the daemon": gateway.instance.stop,
        "start the daemon": gateway.instance.start,
    }
    return lambda what: wishes[what]()


def test_what_a_person_does(make_gateway, repo):
    gateway = make_gateway(TALKERS)
    browse("all.mjs", gateway, helper(gateway), AWO_UI_REPOSITORY=str(repo.path))


def test_login_and_settings(make_instance, make_gateway, repo):
    instance = make_instance({"socket": {"gateway_user": str(GATEWAY_UID)}, "github": {"api_url": "http://127.0.0.1:9"}},
                             env={"AWO_RETENTION_DAYS": "9"})
    gateway = make_gateway(instance=instance)
    answer = instance.call("session.create")
    browse("session.mjs", gateway, AWO_UI_REPOSITORY=str(repo.path),
           AWO_UI_LINK=f"http://127.0.0.1:{gateway.port}/ui/login?token={answer['login_token']}")


def labelled_issue(hub):
    """GitHub's own payload of a labelled issue, as if it were of this repository; signed."""
    try:
        issue = next(p for name, p in webhook_examples.examples() if name == "issues" and p.get("action") == "labeled")
    except npm.Missing as e:
        pytest.skip(f"GITHUB'S OWN PAYLOADS ARE NOT TESTED: {e}")
    issue = {**issue, "label": {**issue["label"], "name": "agent-work-order"},
             "repository": {**issue["repository"], "full_name": "octo/sample"}}
    hub.project.issues[issue["issue"]["number"]] = {"title": issue["issue"]["title"], "body": issue["issue"]["body"]}
    return json.dumps(issue).encode()


def test_pull_request_and_webhook(make_github, make_gateway):
    github = make_github({"socket": {"gateway_user": str(GATEWAY_UID)}, "webhooks": {"github_secret": SECRET}})
    order = github.instance.run(github.url)
    assert order["status"] == "completed", order
    github.instance.call("repository.add", repository_url=github.url, verify=False, default_commands=["create-branch"])
    gateway = make_gateway(instance=github.instance)
    body = labelled_issue(github)

    def answer(what):
        assert what == "deliver the webhook"
        sign = "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        told = gateway.request("POST", "/webhooks/github", body, {
            "Content-Type": "application/json", "X-GitHub-Event": "issues", "X-GitHub-Delivery": "d-ui",
            "X-Hub-Signature-256": sign})
        assert told.status == 201, told

    link = github.instance.call("session.create")["login_token"]
    browse("pull_request.mjs", gateway, answer, AWO_UI_LINK=f"http://127.0.0.1:{gateway.port}/ui/login?token={link}",
           AWO_UI_ORDER=order["agent_work_order_id"], AWO_UI_PULL=order["github_pull_request_url"],
           AWO_UI_BRANCH=order["git_branch_name"], AWO_UI_ISSUE=json.loads(body)["issue"]["title"])
