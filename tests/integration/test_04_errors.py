"""What goes wrong around an order is told with its category, its cause and a remedy, and leaves the work in place."""
import json

import pytest

from awo_testlib.remotes import Repository


def workspace(instance, order):
    return instance.state / "work-orders" / order["agent_work_order_id"] / "workspace"


def words(order):
    return (order["error_message"] or "").lower()


def test_empty_repository(instance, place):
    repo = Repository(place / "empty.git", empty=True)
    order = instance.failed(instance.create(repo.path), "git")
    assert "empty" in words(order) or "no commit" in words(order)


def test_repository_that_is_not_there(instance, place):
    order = instance.failed(instance.create(place / "nothing.git"), "git")
    assert "nothing.git" in words(order) or "not found" in words(order)


def test_http_repository_that_is_not_there(instance, git_http):
    order = instance.failed(instance.create(git_http().url("o/none")), "git")
    assert "not found" in words(order) or "404" in words(order) or "not exist" in words(order)


def test_server_that_is_away(make_instance, git_http):
    server = git_http()
    url = server.url("sample.git")
    server.close()
    instance = make_instance({"retry": {"max_attempts": 2}})
    order = instance.failed(instance.create(url))
    assert order["error_category"] == "transient" and order["attempt"] == 2
    assert instance.events(order["agent_work_order_id"]).count("agent_work_order_retried") == 1


@pytest.mark.parametrize("stored", [None, "bob:wrong"])
def test_wrong_or_missing_token(instance, git_http, repo, stored):
    server = git_http(token="right")
    if stored:
        instance.credential("work", "git_password", stored, host=server.host)
    order = instance.failed(instance.create(server.url("sample.git")), "git")
    assert any(w in words(order) for w in ("credential", "token", "authenti", "password", "denied")), words(order)
    assert "bob:wrong" not in json.dumps(order)


def test_protected_branch(instance, git_http, repo):
    repo.hook("pre-receive", "#!/bin/sh\necho 'GH006: protected branch hook declined' >&2\nexit 1\n")
    order = instance.failed(instance.create(git_http().url("sample.git")), "git")
    assert order["error_message"].startswith("Command 'commit' failed: ")
    assert "hook" in order["error_message"]
    assert repo.branches() == ["main"]
    # the work is still there, and goes out as soon as the remote lets it
    assert (workspace(instance, order) / "awo-demo").is_dir()
    assert instance.events(order["agent_work_order_id"], "git_push_failed")
    (repo.path / "hooks" / "pre-receive").unlink()
    order_id = order["agent_work_order_id"]
    instance.call("order.retry", agent_work_order_id=order_id)
    again = instance.completed(order_id)
    assert again["attempt"] == 2 and repo.subjects(again["git_branch_name"])[0].startswith("docs(prp)")
    steps = [s["step"] for s in instance.call("order.steps", agent_work_order_id=order_id)["steps"] if s["attempt"] == 2]
    assert steps == ["commit", "create-pr"]


def test_missing_agent_program(make_instance, repo):
    instance = make_instance({"agents": {"default": "gone", "gone": {"adapter": "claude", "program": "/no/such/agent"}}})
    order = instance.failed(instance.create(repo.path))
    assert order["error_category"] in ("permanent", "agent") and "/no/such/agent" in order["error_message"]


def test_agent_that_cannot_be_run(make_instance, repo, place):
    program = place / "not-a-program"
    program.write_bytes(b"\x7fELF garbage")
    program.chmod(0o755)
    instance = make_instance({"agents": {"default": "bad", "bad": {"adapter": "claude", "program": str(program)}}})
    order = instance.failed(instance.create(repo.path))
    assert order["error_category"] in ("permanent", "agent"), f"{order['error_category']}: {order['error_message']}"


@pytest.mark.parametrize("status, headers, category", [
    (401, [], "github"), (403, [], "github"), (404, [], "github"), (422, [], "github"),
    (500, [], "transient"), (429, [("Retry-After", "1")], "transient"),
    (403, [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "0"), ("retry-after", "1")], "transient")])
def test_forge_that_refuses_the_pull_request(make_github, status, headers, category):
    github = make_github({"retry": {"max_attempts": 1}})
    github.forge.fault(method="POST", path="/pulls$", times=100, status=status, headers=headers,
                       body={"message": "the stand-in says no"})
    order = github.instance.failed(github.instance.create(github.url), category)
    assert order["error_message"].startswith("Command 'create-pr' failed: ")
    if category == "github":
        said = {401: "token", 404: "not found"}.get(status, "the stand-in says no")
        assert said in order["error_message"], order["error_message"]
    assert github.forge.token not in json.dumps(order)
    # the branch was pushed before, and a retry makes just the pull request
    assert github.repo.head(order["git_branch_name"])
    github.forge.faults.clear()
    github.instance.call("order.retry", agent_work_order_id=order["agent_work_order_id"])
    assert github.instance.completed(order["agent_work_order_id"])["github_pull_request_url"]
    assert len(github.project.pulls) == 1


def test_rate_limit_of_the_forge_is_waited_for(make_github):
    github = make_github()
    github.forge.fault(method="POST", path="/pulls$", times=1, status=429, headers=[("Retry-After", "2")])
    order = github.instance.completed(github.instance.create(github.url))
    assert order["attempt"] == 2 and len(github.project.pulls) == 1
    posts = github.forge.made("POST", "/pulls$")
    assert posts[1].time - posts[0].time >= 2


def test_lost_answer_makes_no_second_pull_request(make_github):
    github = make_github()
    github.forge.fault(method="POST", path="/pulls$", times=1, lost=True)
    order = github.instance.completed(github.instance.create(github.url))
    assert len(github.project.pulls) == 1
    assert order["github_pull_request_number"] == str(github.project.pulls[0]["number"])


def test_forge_that_is_away(make_github):
    github = make_github({"retry": {"max_attempts": 1}})
    github.forge.close()
    order = github.instance.failed(github.instance.create(github.url))
    assert order["error_category"] in ("transient", "github")


def test_forge_without_a_token(place, forge, git_http, make_instance):
    (place / "octo").mkdir()
    repo = Repository(place / "octo" / "sample.git")
    forge.add("octo", "sample", repo)
    server = git_http()
    instance = make_instance({"github": {"host": server.host, "api_url": forge.api_url}})
    order = instance.failed(instance.create(server.url("octo/sample")), "github")
    assert "token" in words(order)
    assert repo.head(order["git_branch_name"])
