"""Every kind of remote and every odd but legal name of repositories and branches."""
import pytest

from awo_testlib.remotes import FILES, Repository, git
from awo_testlib.rpc import RpcError

STEPS = ["create-branch", "planning", "execute", "commit"]


def pushed(instance, repo, url, **fields):
    order = instance.run(url, selected_commands=fields.pop("selected_commands", STEPS), **fields)
    assert repo.head(order["git_branch_name"]), repo.branches()
    return order


@pytest.mark.parametrize("form", ["{path}", "file://{path}", "{path}/"])
def test_local(instance, repo, form):
    order = pushed(instance, repo, form.format(path=repo.path))
    assert order["repository_url"].startswith("file://")


@pytest.mark.parametrize("name", ["next.js", "with space.git", "ünïcode.git", "-dash.git", "a+b&c.git", "x.y.z"])
def test_names_of_local_repositories(instance, place, name):
    repo = Repository(place / name)
    pushed(instance, repo, repo.path)


@pytest.mark.parametrize("name", ["owner/next.js", "owner/a-b_c.git", "deep/er/name.git"])
def test_http(instance, place, git_http, name):
    repo = Repository(place / name)
    pushed(instance, repo, git_http().url(name))


def test_http_with_token(instance, place, git_http, repo):
    server = git_http(token="s3cret-t0ken")
    instance.credential("work", "git_password", "bob:s3cret-t0ken", host=server.host)
    order = pushed(instance, repo, server.url("sample.git"))
    text = "".join(map(str, instance.log(order["agent_work_order_id"]))) + instance.daemon_log()
    assert "s3cret-t0ken" not in text
    assert any(header and header.startswith("Basic ") for _, _, header in server.requests)


def test_http_server_that_is_slow(instance, git_http, repo):
    pushed(instance, repo, git_http(delay=0.1).url("sample.git"))


def test_http_that_fails_for_a_moment_is_tried_again(instance, git_http, repo):
    server = git_http()
    server.failures = [503]
    order = pushed(instance, repo, server.url("sample.git"))
    assert order["attempt"] <= 2


def test_ssh(make_instance, sshd, repo):
    known = sshd.base / "known_hosts"
    known.write_text(sshd.known_hosts)
    instance = make_instance({"git": {"known_hosts": str(known)}})
    instance.credential("key", "ssh_key", sshd.key(), host=sshd.host)
    pushed(instance, repo, sshd.url(str(repo.path)))
    assert "Accepted publickey" in sshd.log.read_text()


def test_ssh_host_that_is_not_known_is_refused(make_instance, sshd, repo):
    known = sshd.base / "known_hosts"
    key = " ".join((sshd.base / "other.pub").read_text().split()[:2])
    known.write_text(f"[127.0.0.1]:{sshd.port} {key}\n")
    instance = make_instance({"git": {"known_hosts": str(known)}})
    instance.credential("key", "ssh_key", sshd.key(), host=sshd.host)
    order = instance.failed(instance.create(sshd.url(str(repo.path))), "git")
    assert "host key" in order["error_message"].lower()
    assert "Accepted publickey" not in sshd.log.read_text()


def test_ssh_with_a_wrong_key(make_instance, sshd, repo):
    known = sshd.base / "known_hosts"
    known.write_text(sshd.known_hosts)
    instance = make_instance({"git": {"known_hosts": str(known)}})
    instance.credential("key", "ssh_key", sshd.key("other"), host=sshd.host)
    order = instance.failed(instance.create(sshd.url(str(repo.path))), "git")
    assert "OPENSSH PRIVATE KEY" not in str(order)


@pytest.mark.parametrize("branch", ["trunk", "release/1.0", "ünïcode/zweig", "feature/x.y-z_1", "HEAD-2"])
def test_default_branch_of_any_name(instance, place, branch):
    repo = Repository(place / "other.git", branch=branch)
    order = pushed(instance, repo, repo.path)
    assert order["base_branch"] == branch
    assert repo.numbers(order["git_branch_name"])[0] == order["git_commit_count"]


def test_base_branch_that_was_asked_for(instance, repo):
    tip = repo.commit({"only-here.txt": "x\n"}, "on the side", branch="side/line")
    order = pushed(instance, repo, repo.path, base_branch="side/line")
    assert order["base_branch"] == "side/line" and git("merge-base", order["git_branch_name"], tip, cwd=repo.path) == tip
    assert repo.subjects(order["git_branch_name"], "side/line")


def test_base_branch_that_is_not_there(instance, repo):
    order = instance.failed(instance.create(repo.path, base_branch="no/such"), "git")
    assert "no/such" in order["error_message"]


def test_branch_of_others_is_never_overwritten(make_instance, repo):
    instance = make_instance({"git": {"branch_id": "keep"}})
    theirs = repo.commit({"theirs.txt": "x\n"}, "theirs", branch="feat/add-a-greeting")
    order = pushed(instance, repo, repo.path)
    assert repo.head("feat/add-a-greeting") == theirs
    assert order["git_branch_name"] != "feat/add-a-greeting"
    assert order["git_branch_name"].startswith("feat/add-a-greeting")


def test_files_with_odd_names_and_contents(instance, place):
    names = {"with space/and ünïcode ✓.txt": "x\n", "tab\tname": "y\n", "-rf": "z\n", ".hidden/.ports": "q\n",
             "no-newline": "end"}
    repo = Repository(place / "odd.git", files={**FILES, **names})
    order = pushed(instance, repo, repo.path)
    found = repo.files(order["git_branch_name"])
    assert set(names) <= set(found)


def test_later_orders_see_what_is_new_on_the_remote(instance, repo):
    pushed(instance, repo, repo.path)
    tip = repo.commit({"new.txt": "x\n"}, "newer")
    order = pushed(instance, repo, repo.path)
    assert git("merge-base", order["git_branch_name"], "main", cwd=repo.path) == tip


@pytest.mark.parametrize("url", ["http://user:pass@host/x/y", "https://", "ftp://host/x", "../relative", "file://host/x",
                                 "ssh://host", "-oProxyCommand=x", "git@host", "https://h/x\ny", "ext::sh -c id", "a b"])
def test_addresses_that_are_refused(instance, url):
    with pytest.raises(RpcError) as e:
        instance.create(url)
    assert e.value.code == "invalid_argument" and "repository_url" in (e.value.field or e.value.message)
    assert "pass@" not in e.value.message


def test_two_spellings_are_one_repository(instance, place, git_http):
    Repository(place / "o" / "r.git")
    server = git_http()
    added = instance.call("repository.add", repository_url=server.url("o/r.git/"))
    assert added["repository_url"] == server.url("o/r") and added["is_verified"] and added["default_branch"] == "main"
    with pytest.raises(RpcError) as e:
        instance.call("repository.add", repository_url=server.url("o/r").replace("http://", "HTTP://"))
    assert e.value.code in ("already_exists",)
