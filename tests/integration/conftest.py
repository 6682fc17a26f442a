"""Fixtures of the end-to-end tests: instances of awod, remotes and the services around them."""
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from awo_testlib.forge import Forge  # noqa: E402
from awo_testlib.gateway import GATEWAY_UID, Gateway  # noqa: E402
from awo_testlib.instance import Instance, merge  # noqa: E402
from awo_testlib.remotes import GitHttpServer, Repository, Sshd  # noqa: E402

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="several users need root")
DEFECT = re.compile(r"ERROR: (Address|Leak|Undefined\w*)Sanitizer|runtime error: |assertion .* failed", re.I)


def pytest_configure():
    """Told to stop, the tests still clear away what they made."""
    def stop(*_):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        pytest.exit("told to stop", 143)
    signal.signal(signal.SIGTERM, stop)


@pytest.fixture
def place():
    """A directory that every user can enter."""
    path = Path(tempfile.mkdtemp(prefix="awo-it-remotes-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def make_instance():
    made = []

    def make(config=None, env=None, start=True, **more):
        instance = Instance(config, env, **more)
        made.append(instance)
        return instance.start() if start else instance
    yield make
    logs = []
    for instance in made:
        logs.append(instance.daemon_log())
        instance.close()
    for log in logs:
        defect = DEFECT.search(log)
        assert not defect, f"a program reported a defect of its own:\n{log[max(0, defect.start() - 200):][:4000]}"


@pytest.fixture
def instance(make_instance):
    return make_instance()


@pytest.fixture
def make_gateway(make_instance):
    """An instance and its gateway, which asks nobody for a token unless the configuration says otherwise."""
    made = []

    def make(config=None, instance=None, env=None, args=(), start=True):
        if instance is None:
            config = merge({"gateway": {"auth": "none"}, "socket": {"gateway_user": str(GATEWAY_UID)}}, config or {})
            instance = make_instance(config)
        gateway = Gateway(instance, env, args)
        made.append(gateway)
        return gateway.start() if start else gateway
    yield make
    logs = [gateway.close() for gateway in made]
    for log in logs:
        defect = DEFECT.search(log)
        assert not defect, f"the gateway reported a defect of its own:\n{log[max(0, defect.start() - 200):][:6000]}"


@pytest.fixture
def gateway(make_gateway):
    return make_gateway()


@pytest.fixture
def guarded(make_gateway):
    """A gateway that asks everybody for a token."""
    return make_gateway({"gateway": {"auth": "token"}})


@pytest.fixture
def descriptors():
    """As many of them as it takes to be very many clients at once."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 16384), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def repo(place):
    """A small repository with a branch main, used by its path."""
    return Repository(place / "sample.git")


@pytest.fixture
def git_http(place):
    made = []

    def make(**more):
        made.append(GitHttpServer(place, **more))
        return made[-1]
    yield make
    for server in made:
        server.close()


@pytest.fixture
def sshd(place):
    server = Sshd(place / "ssh")
    yield server
    server.close()


@pytest.fixture
def forge():
    made = Forge()
    yield made
    made.close()
    assert not made.violations, "the forge was sent what the real one does not document:\n" + "\n".join(made.violations)


class GitHub:
    """A forge with one project octo/sample, its repository over http, and an instance that has the token."""

    def __init__(self, place, forge, server, make_instance, config, stored=True):
        (place / "octo").mkdir()
        self.repo = Repository(place / "octo" / "sample.git")
        self.forge, self.server = forge, server
        self.project = forge.add("octo", "sample", self.repo)
        self.url = server.url("octo/sample")
        self.instance = make_instance({"github": {"host": server.host, "api_url": forge.api_url, **(config or {}).pop("github", {})},
                                       **(config or {})})
        if stored:
            self.instance.credential("forge", "github_token", forge.token, host=server.host)


@pytest.fixture
def make_github(place, forge, git_http, make_instance):
    def make(config=None, stored=True):
        return GitHub(place, forge, git_http(token=forge.token), make_instance, config, stored)
    return make


@pytest.fixture
def github(make_github):
    return make_github()
