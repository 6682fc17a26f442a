"""Webhooks: what GitHub sends becomes an order, once; what others send becomes nothing."""
import concurrent.futures
import contextlib
import hashlib
import hmac
import itertools
import json
import subprocess
import time

import pytest

from awo_testlib import npm, webhook_examples
from awo_testlib.gateway import GATEWAY_UID
from awo_testlib.remotes import Repository
from awo_testlib.waiting import until
from conftest import needs_root

SECRET = "s3cret-of-the-webhooks-of-this-test"
ALICE, BOB = 60001, 60002
ONE_STEP = ["create-branch"]
numbers = itertools.count(1000)


class Hooks:
    """A GitHub that signs and delivers."""

    def __init__(self, gateway, repository="octo/sample", secret=SECRET):
        self.gateway, self.repository, self.secret = gateway, repository, secret

    def deliver(self, event, payload, delivery=None, secret=None, signature=None, raw=None, **headers):
        body = raw if raw is not None else json.dumps(payload).encode()
        sign = "sha256=" + hmac.new((secret or self.secret).encode(), body, hashlib.sha256).hexdigest()
        return self.gateway.request("POST", "/webhooks/github", body, {
            "Content-Type": "application/json", "X-GitHub-Event": event,
            "X-GitHub-Delivery": delivery or f"d-{next(numbers)}",
            "X-Hub-Signature-256": sign if signature is None else signature,
            **{k.replace("_", "-"): v for k, v in headers.items()}})

    def done(self, event, payload, **more):
        answer = self.deliver(event, payload, **more)
        assert answer.status in (200, 201), answer
        assert (answer.status == 201) == (answer.json["action"] == "created")
        return answer.json

    def labelled(self, number=7, **more):
        issue = {"number": number, "title": "Add a greeting", "body": "Say hello.", "state": "open",
                 "user": {"login": "author", "type": "User"}, "author_association": "NONE",
                 "updated_at": "2026-01-31T08:00:00Z", **more.pop("issue", {})}
        return {"action": "labeled", "label": {"name": "agent-work-order"}, "issue": issue,
                "repository": {"full_name": self.repository}, "sender": {"login": "octocat", "type": "User"}, **more}

    def comment(self, text, number=7, pull_request=False, **more):
        issue = {"number": number, "title": "x", **({"pull_request": {"url": "x"}} if pull_request else {})}
        comment = {"id": next(numbers), "body": text, "user": {"login": "octocat", "type": "User"},
                   "author_association": "COLLABORATOR", **more.pop("comment", {})}
        return {"action": "created", "issue": issue, "comment": comment, "repository": {"full_name": self.repository},
                "sender": comment["user"], **more}


def config(**webhooks):
    return {"socket": {"gateway_user": str(GATEWAY_UID)},
            "webhooks": {"github_secret": SECRET, **webhooks}}


@pytest.fixture
def make_hooks(make_github, make_gateway):
    def make(register=True, uid=None, steps=ONE_STEP, **webhooks):
        hub = make_github(config(**webhooks))
        hub.project.issues[7] = {"title": "Add a greeting", "body": "Say hello."}
        if register:
            hub.instance.call("repository.add", repository_url=hub.url, verify=False, default_commands=steps, uid=uid)
        hooks = Hooks(make_gateway(instance=hub.instance))
        hooks.hub, hooks.instance = hub, hub.instance
        return hooks
    return make


@pytest.fixture
def hooks(make_hooks):
    return make_hooks()


def orders(hooks, uid=None):
    page = hooks.instance.call("order.list", {"all": True} if uid is None else {}, uid=uid)
    return page["agent_work_orders"]


# ---- what becomes an order

def test_a_labelled_issue_becomes_an_order(hooks):
    began = time.monotonic()
    told = hooks.done("issues", hooks.labelled())
    assert told["action"] == "created" and time.monotonic() - began < 2
    order = hooks.instance.order(told["agent_work_order_id"])
    assert order["user_request"] == "Add a greeting\n\nSay hello."
    assert order["github_issue_number"] == "7" and order["repository_url"] == hooks.hub.url
    assert order["selected_commands"] == ONE_STEP
    created = hooks.instance.events(told["agent_work_order_id"], "agent_work_order_created")[0]
    assert created["request_id"].startswith("webhook-d-")
    hooks.instance.completed(told["agent_work_order_id"])
    # and a comment back names it, once
    comment, = until(lambda: hooks.hub.project.comments, hooks.instance.daemon_words, 20)
    assert comment["issue"] == 7 and told["agent_work_order_id"] in comment["body"]


def test_the_comment_links_the_ui(make_github, make_gateway):
    hub = make_github({**config(), "gateway": {"url": "https://awo.example.org"}})
    hub.project.issues[7] = {"title": "x", "body": "y"}
    hub.instance.call("repository.add", repository_url=hub.url, verify=False, default_commands=ONE_STEP)
    hooks = Hooks(make_gateway(instance=hub.instance))
    order_id = hooks.done("issues", hooks.labelled())["agent_work_order_id"]
    until(lambda: hub.project.comments, "a comment", 20)
    assert f"https://awo.example.org/ui/agent-work-orders/{order_id}" in hub.project.comments[0]["body"]
    # AWO does not listen to itself
    told = hooks.done("issue_comment", hooks.comment("/awo again " + hub.project.comments[0]["body"]))
    assert told["action"] == "ignored"


def test_no_comment_where_none_is_wanted(make_hooks):
    hooks = make_hooks(comment=False)
    order_id = hooks.done("issues", hooks.labelled())["agent_work_order_id"]
    hooks.instance.completed(order_id)
    assert not hooks.hub.project.comments


def test_a_comment_becomes_an_order(hooks):
    told = hooks.done("issue_comment", hooks.comment("  /awo\r\nWrite a haiku\x07 about it\u0000rest"))
    assert told["action"] == "created"
    order = hooks.instance.order(told["agent_work_order_id"])
    assert order["user_request"] == "Write a haiku about it" and order["github_issue_number"] == "7"


def test_a_comment_prompts_the_issues_order(hooks):
    first = hooks.done("issues", hooks.labelled())["agent_work_order_id"]
    hooks.instance.completed(first)
    told = hooks.done("issue_comment", hooks.comment("/awo and in French"))
    assert told["action"] == "prompted" and told["agent_work_order_id"] == first
    assert hooks.instance.wait_event(first, "prompt_queued")["text"] == "and in French"
    hooks.instance.wait(first, condition=lambda o: o["status"] == "completed" and o["attempt"] >= 1)
    assert len(orders(hooks)) == 1


def test_a_comment_on_the_pull_request_prompts_its_order(make_hooks):
    hooks = make_hooks(steps=["create-branch", "planning", "execute", "commit", "create-pr"])
    order_id = hooks.done("issues", hooks.labelled())["agent_work_order_id"]
    order = hooks.instance.completed(order_id)
    number = int(order["github_pull_request_number"])
    for event, payload in (
            ("issue_comment", hooks.comment("/awo shorter please", number, pull_request=True)),
            ("pull_request_review_comment", {**hooks.comment("/awo and blue"), "pull_request": {"number": number}})):
        told = hooks.done(event, payload)
        assert (told["action"], told["agent_work_order_id"]) == ("prompted", order_id), told
    hooks.instance.completed(order_id)
    # what becomes of the pull request is taken over
    end = {"action": "closed", "pull_request": {"number": number, "merged": True},
           "repository": {"full_name": "octo/sample"}}
    told = hooks.done("pull_request", end)
    assert (told["action"], told["agent_work_order_id"]) == ("updated", order_id)
    assert hooks.instance.order(order_id)["github_pull_request_state"] == "merged"
    assert hooks.done("pull_request", {**end, "action": "reopened"})["action"] == "updated"
    assert hooks.instance.order(order_id)["github_pull_request_state"] == "open"
    assert hooks.done("pull_request", {**end, "pull_request": {"number": 999, "merged": False}})["action"] == "ignored"


def test_a_cancelled_order_is_followed_by_another(hooks):
    first = hooks.done("issues", hooks.labelled(issue={"title": "demo: hang", "body": ""}))["agent_work_order_id"]
    hooks.instance.wait(first, "running")
    hooks.instance.call("order.cancel", agent_work_order_id=first)
    told = hooks.done("issue_comment", hooks.comment("/awo once more"))
    assert told["action"] == "created" and told["agent_work_order_id"] != first


def test_names_in_any_case(hooks):
    hooks.repository = "Octo/SAMPLE"
    assert hooks.done("issues", hooks.labelled(label={"name": "Agent-Work-Order"}))["action"] == "created"


# ---- once

def test_a_delivery_counts_once(hooks):
    first = hooks.done("issues", hooks.labelled(), delivery="same")
    again = hooks.done("issues", hooks.labelled(), delivery="same")
    assert again["action"] == "duplicate" and again["agent_work_order_id"] == first["agent_work_order_id"]
    # the same thing told by another hook
    other = hooks.done("issues", hooks.labelled())
    assert other["action"] == "duplicate" and other["agent_work_order_id"] == first["agent_work_order_id"]
    comment = hooks.comment("/awo go on")
    assert hooks.done("issue_comment", comment)["action"] == "prompted"
    assert hooks.done("issue_comment", comment)["action"] == "duplicate"
    assert len(orders(hooks)) == 1


def test_twenty_deliveries_at_once(hooks):
    """They meet in the transaction that makes the order, which only one of them wins."""
    comment = hooks.comment("/awo all at once", number=12)
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        told = list(pool.map(lambda _: hooks.done("issue_comment", comment), range(12)))
    assert sorted(t["action"] for t in told) == ["created"] + ["duplicate"] * 11
    assert len(orders(hooks)) == 1


def test_once_over_a_restart(hooks):
    first = hooks.done("issues", hooks.labelled(), delivery="same")
    hooks.instance.completed(first["agent_work_order_id"])
    hooks.instance.stop()
    hooks.instance.start()
    again = lambda: hooks.deliver("issues", hooks.labelled(), delivery="same")
    answer = until(lambda: (a := again()).status != 503 and a, "awod back", 15)
    assert answer.json["action"] == "duplicate"


def test_a_label_set_again_is_another_wish(hooks):
    first = hooks.done("issues", hooks.labelled(issue={"title": "demo: hang", "body": ""}))["agent_work_order_id"]
    later = hooks.labelled(issue={"updated_at": "2026-02-01T08:00:00Z"})
    told = hooks.done("issues", later)
    assert told["action"] == "duplicate" and "has not ended" in told["reason"]
    hooks.instance.wait(first, "running")
    hooks.instance.call("order.cancel", agent_work_order_id=first)
    assert hooks.done("issues", later)["action"] == "created"


# ---- what becomes nothing

def test_what_is_ignored(hooks):
    collaborator = {"login": "octocat", "type": "User"}
    cases = [
        ("ping", {"zen": "x", "hook_id": 1}, "pong"),
        ("issues", hooks.labelled(action="opened"), "labelling"),
        ("issues", hooks.labelled(label={"name": "bug"}), "another label"),
        ("issues", hooks.labelled(issue={"state": "closed"}), "closed"),
        ("issues", hooks.labelled(issue={"title": " ", "body": None}), "neither title nor text"),
        ("issues", hooks.labelled(sender={"login": "x[bot]", "type": "Bot"}), "bots"),
        ("issues", hooks.labelled(sender={"login": "author", "type": "User"}), "no collaborator"),
        ("issues", hooks.labelled(issue={"pull_request": {}}), "pull request"),
        ("issue_comment", hooks.comment("hello"), "does not begin"),
        ("issue_comment", hooks.comment("/awoke"), "does not begin"),
        ("issue_comment", hooks.comment("please /awo x"), "does not begin"),
        ("issue_comment", hooks.comment("> /awo x"), "does not begin"),
        ("issue_comment", hooks.comment("/awo  \n"), "nothing stands behind"),
        ("issue_comment", hooks.comment("/awo x", action="edited"), "only new"),
        ("issue_comment", hooks.comment("/awo x", comment={"user": {"login": "a[bot]", "type": "Bot"}}), "bots"),
        ("star", {"action": "created"}, "asks for nothing"),
        ("issues", {**hooks.labelled(), "repository": {"full_name": "octo/other"}}, "registered"),
    ]
    for association in ("NONE", "CONTRIBUTOR", "FIRST_TIMER", "FIRST_TIME_CONTRIBUTOR", "MANNEQUIN", "", None, 1, "owner"):
        cases.append(("issue_comment", hooks.comment("/awo x", comment={"author_association": association,
                                                                       "user": collaborator}), "no collaborator"))
    for event, payload, word in cases:
        told = hooks.done(event, payload)
        assert told["action"] == "ignored" and word in told["reason"], (event, payload, told)
        assert "agent_work_order_id" not in told
    assert not orders(hooks)


def test_collaborators_of_all_kinds(hooks):
    for i, association in enumerate(("OWNER", "MEMBER", "COLLABORATOR")):
        told = hooks.done("issue_comment", hooks.comment("/awo x", 50 + i, comment={"author_association": association}))
        assert told["action"] == "created"


def test_configured_label_and_ignored_names(make_hooks):
    hooks = make_hooks(label="robot", ignore=["OctoCat"])
    assert hooks.done("issues", hooks.labelled())["reason"] == "it is another label"
    assert "webhooks.ignore" in hooks.done("issue_comment", hooks.comment("/awo x"))["reason"]
    told = hooks.done("issues", hooks.labelled(label={"name": "robot"}, sender={"login": "other", "type": "User"}))
    assert told["action"] == "created"


@pytest.mark.parametrize("signature", [
    "", "sha256=", "sha256=" + "0" * 64, "sha1=" + "0" * 40, "sha256=" + "0" * 63, "sha256=" + "0" * 65, "x" * 128,
    "SHA256=" + "0" * 64, "sha256=" + "é" * 32])
def test_wrong_signatures(hooks, signature):
    answer = hooks.deliver("issues", hooks.labelled(), signature=signature.encode("utf-8").decode("latin-1"))
    assert answer.status == 401 and set(answer.json) == {"detail"}, answer
    assert SECRET not in answer.body.decode()
    assert not orders(hooks)


def test_the_signature_is_of_the_body(hooks):
    body = json.dumps(hooks.labelled()).encode()
    sign = "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    for raw in (body + b" ", body[:-1], body.replace(b"hello", b"HELLO")):
        assert hooks.deliver("issues", None, raw=raw, signature=sign).status == 401
    assert hooks.deliver("issues", None, raw=body, signature=sign.upper().replace("SHA256", "sha256")).status == 401
    assert hooks.deliver("issues", None, raw=body, secret="another secret of some length").status == 401
    assert hooks.deliver("issues", None, raw=body, signature=sign).status == 201


def test_what_is_malformed(hooks):
    for raw, status in ((b"[]", 400), (b"{", 400), (b"null", 400), (b"\xff\xfe", 400), (b"", 400), (b'{"a":1}', 400),
                        (b'{"a":"\x00"}', 400), (b"[" * 50000, 400), (b'{"a":' * 5000, 400)):
        answer = hooks.deliver("issues", None, raw=raw)
        assert answer.status == status, (raw[:20], answer)
    # who is still sending when the answer comes may see the connection's end only
    with contextlib.suppress(ConnectionError):
        assert hooks.deliver("issues", None, raw=b"x" * 1048577).status == 413
    for change in ({"repository": {}}, {"repository": {"full_name": "../../etc"}}, {"repository": {"full_name": "a/b/c"}},
                   {"repository": {"full_name": "o/r\n"}}, {"repository": {"full_name": "o" * 300 + "/r"}},
                   {"repository": None}, {"repository": "octo/sample"}, {"issue": {"number": "7"}}, {"issue": None},
                   {"issue": {"number": -1}}, {"issue": {"number": 2**70}}):
        answer = hooks.deliver("issues", {**hooks.labelled(), **change})
        assert answer.status == 400, (change, answer)
    assert hooks.deliver("issue_comment", hooks.comment("/awo x", comment={"id": "1"})).status == 400
    assert hooks.deliver("issues", hooks.labelled(), Content_Type="application/x-www-form-urlencoded").status == 415
    for header in ("X_GitHub_Event", "X_GitHub_Delivery"):
        assert hooks.deliver("issues", hooks.labelled(), **{header: ""}).status == 400, header
        assert hooks.deliver("issues", hooks.labelled(), **{header: "x" * 500}).status == 400, header
    assert hooks.gateway.get("/webhooks/github").status == 405
    assert not orders(hooks)


def test_what_is_long_or_strange_is_cut_and_cleaned(hooks):
    text = "/awo " + "ä\x1b[31m\u202e" * 40000
    told = hooks.done("issue_comment", hooks.comment(text))
    request = hooks.instance.order(told["agent_work_order_id"])["user_request"]
    assert len(request.encode()) <= 65536 and "\x1b" not in request and request.startswith("ä[31m")
    told = hooks.done("issues", hooks.labelled(9, issue={"title": "t" * 5000, "body": "b" * 200000}))
    request = hooks.instance.order(told["agent_work_order_id"])["user_request"]
    assert request.startswith("t" * 1024 + "\n\nb") and len(request) == 65536


def test_not_set_up(make_github, make_gateway):
    hub = make_github({"socket": {"gateway_user": str(GATEWAY_UID)}})
    answer = Hooks(make_gateway(instance=hub.instance)).deliver("ping", {})
    assert answer.status == 409 and "webhooks.github_secret" in answer.json["detail"]


def test_the_limit_of_pending_orders_holds(make_github, make_gateway):
    hub = make_github({**config(), "max_pending_per_user": 1, "max_concurrent": 1})
    hub.project.issues.update({n: {"title": "x", "body": "y"} for n in (1, 2, 3)})
    hub.instance.call("repository.add", repository_url=hub.url, verify=False, default_commands=ONE_STEP)
    hooks = Hooks(make_gateway(instance=hub.instance))
    first = hooks.done("issue_comment", hooks.comment("/awo demo: hang", 1))["agent_work_order_id"]
    hub.instance.wait_event(first, "agent_output")
    assert hooks.done("issue_comment", hooks.comment("/awo x", 2))["action"] == "created"
    refused = hooks.comment("/awo y", 3)
    answer = hooks.deliver("issue_comment", refused)
    assert answer.status == 429 and "retry-after" in answer.headers
    # what was refused has not been used up
    hub.instance.call("order.cancel", agent_work_order_id=first)
    until(lambda: hooks.deliver("issue_comment", refused).status != 429, "a free place", 20, every=0.2)
    assert hooks.done("issue_comment", refused)["action"] == "duplicate"


# ---- whose

@needs_root
def test_orders_are_their_owners(make_hooks):
    hooks = make_hooks(uid=ALICE)
    told = hooks.done("issues", hooks.labelled())
    assert [o["agent_work_order_id"] for o in orders(hooks, ALICE)] == [told["agent_work_order_id"]]
    assert not orders(hooks, BOB)


@needs_root
def test_the_configured_user_alone(make_hooks):
    hooks = make_hooks(uid=ALICE, user=str(BOB))
    assert hooks.done("issues", hooks.labelled())["action"] == "ignored"
    hooks.instance.call("repository.add", repository_url=hooks.hub.url, verify=False, uid=BOB, default_commands=ONE_STEP)
    told = hooks.done("issues", hooks.labelled())
    assert told["action"] == "created" and len(orders(hooks, BOB)) == 1 and not orders(hooks, ALICE)


@needs_root
def test_a_users_own_secret_is_for_their_repositories(make_hooks):
    hooks = make_hooks(uid=ALICE)
    mine = "b0b's own secret of the webhook".replace(" ", "-")
    hooks.instance.credential("hook", "webhook_secret", mine, host=hooks.hub.server.host, uid=BOB)
    told = hooks.done("issues", hooks.labelled(), secret=mine)
    assert told["action"] == "ignored" and "registered" in told["reason"]
    assert not orders(hooks)
    hooks.instance.call("repository.add", repository_url=hooks.hub.url, verify=False, uid=BOB, default_commands=ONE_STEP)
    told = hooks.done("issues", hooks.labelled(), secret=mine)
    assert told["action"] == "created" and len(orders(hooks, BOB)) == 1
    listed, = hooks.instance.call("credential.list", uid=BOB)["credentials"]
    assert listed["masked"] == "***hook" and mine not in str(listed)


@needs_root
def test_what_one_users_hook_says_uses_up_nothing_of_anothers(make_hooks):
    """Who may sign for their own repositories could otherwise say everything first that others wait for."""
    hooks = make_hooks(uid=ALICE, user=str(ALICE))
    hooks.instance.call("repository.add", repository_url=hooks.hub.url, verify=False, uid=BOB, default_commands=ONE_STEP)
    mine = "b0bs-own-secret-of-the-webhook"
    hooks.instance.credential("hook", "webhook_secret", mine, host=hooks.hub.server.host, uid=BOB)
    comment = hooks.comment("/awo mine")
    forged = hooks.done("issue_comment", comment, secret=mine, delivery="guessed")
    assert forged["action"] == "created" and [o["agent_work_order_id"] for o in orders(hooks, BOB)] == \
        [forged["agent_work_order_id"]]
    told = hooks.done("issue_comment", comment, delivery="guessed")
    assert told["action"] == "created" and told["agent_work_order_id"] != forged["agent_work_order_id"], told
    # each of them once
    for secret, first in ((mine, forged), (None, told)):
        again = hooks.done("issue_comment", comment, secret=secret, delivery="guessed")
        assert again["action"] == "duplicate" and again["agent_work_order_id"] == first["agent_work_order_id"]


@needs_root
def test_one_users_many_secrets_leave_room_for_anothers(make_hooks):
    hooks = make_hooks(uid=ALICE)
    for i in range(20):
        hooks.instance.credential(f"hook{i}", "webhook_secret", f"b0bs-webhook-secret-{i}", host=hooks.hub.server.host,
                                  uid=BOB)
    mine = "al1ces-own-secret-of-the-webhook"
    hooks.instance.credential("hook", "webhook_secret", mine, host=hooks.hub.server.host, uid=ALICE)
    assert hooks.done("issues", hooks.labelled(), secret=mine)["action"] == "created"


def test_secrets_stay_where_they_are(hooks):
    hooks.deliver("issues", hooks.labelled(), signature="sha256=" + "0" * 64)
    settings = hooks.instance.call("settings.get", key="webhooks")["settings"]
    assert SECRET not in str(settings)
    checked = subprocess.run(hooks.instance.argv("--check-config"), env=hooks.instance.env, capture_output=True, text=True,
                             check=True)
    assert SECRET not in checked.stdout
    for log in (hooks.gateway.log(), hooks.instance.daemon_log()):
        assert SECRET not in log


# ---- GitHub's own payloads

@pytest.fixture(scope="module")
def recorded():
    try:
        return webhook_examples.examples()
    except npm.Missing as e:
        pytest.skip(f"GITHUB'S OWN PAYLOADS ARE NOT TESTED: {e}")


@pytest.fixture
def recorded_hooks(recorded, place, forge, git_http, make_instance, make_gateway):
    owner, name = "Codertocat", "Hello-World"
    (place / owner).mkdir()
    forge.add(owner, name, Repository(place / owner / f"{name}.git"))
    server = git_http(token=forge.token)
    instance = make_instance({**config(comment=False), "github": {"host": server.host, "api_url": forge.api_url}})
    instance.credential("forge", "github_token", forge.token, host=server.host)
    instance.call("repository.add", repository_url=server.url(f"{owner}/{name}"), verify=False, default_commands=ONE_STEP)
    hooks = Hooks(make_gateway(instance=instance), f"{owner}/{name}")
    hooks.instance, hooks.recorded = instance, recorded
    return hooks


def of(hooks, event, action, **has):
    """A recorded payload of the registered repository."""
    for name, payload in hooks.recorded:
        if name == event and payload.get("action") == action and payload["repository"]["full_name"] == hooks.repository \
                and all(key in payload for key in has):
            return json.loads(json.dumps(payload))
    raise AssertionError(f"no recorded {event} {action}")


def test_every_recorded_payload_is_answered(recorded_hooks):
    """None of them carries the label or the command: nothing is made, nothing is refused."""
    seen = set()
    for event, payload in recorded_hooks.recorded:
        raw = json.dumps(payload).encode()
        if len(raw) > 1 << 20:
            continue
        told = recorded_hooks.done(event, payload)
        assert told["action"] == "ignored", (event, told)
        seen.add(told["reason"])
    assert len(seen) > 5 and not orders(recorded_hooks)


def test_recorded_payloads_that_ask(recorded_hooks):
    hooks = recorded_hooks
    issue = of(hooks, "issues", "labeled")
    issue["label"]["name"] = "agent-work-order"
    first = hooks.done("issues", issue)
    assert first["action"] == "created", first
    order = hooks.instance.order(first["agent_work_order_id"])
    assert order["user_request"].startswith(issue["issue"]["title"])
    assert order["github_issue_number"] == str(issue["issue"]["number"])
    comment = of(hooks, "issue_comment", "created")
    assert comment["comment"]["author_association"] == "OWNER"
    comment["comment"]["body"] = "/awo " + comment["comment"]["body"]
    told = hooks.done("issue_comment", comment)
    same = comment["issue"]["number"] == issue["issue"]["number"] and "pull_request" not in comment["issue"]
    assert told["action"] == ("prompted" if same else "created"), told
    review = of(hooks, "pull_request_review_comment", "created")
    review["comment"]["body"] = "/awo " + review["comment"]["body"]
    review["comment"]["author_association"] = "MEMBER"
    made = hooks.done("pull_request_review_comment", review)
    assert made["action"] == "created"
    order = hooks.instance.order(made["agent_work_order_id"])
    assert f"pull request #{review['pull_request']['number']}" in order["user_request"]
    assert order["github_issue_number"] is None
    assert hooks.done("pull_request_review_comment", review)["action"] == "duplicate"
