"""Every fault that was seen in agents, on GitHub and at git remotes: what passes is outlasted, the rest says what is wrong."""
from datetime import datetime, timezone

import pytest

from awo_testlib.faults import KINDS, World, draw

SHORT = [k for k in KINDS if k.short]


@pytest.fixture(scope="module")
def cases():
    """All orders at once: most of their time they wait for each other's services."""
    world = World()
    try:
        drawn = draw(world, SHORT, len(SHORT), 1)
        world.start(5)
        world.run(drawn, limit=300)
        log = world.instance.daemon_log()
        assert "Sanitizer" not in log and "runtime error" not in log, log[-4000:]
        assert not world.forge.violations
        yield {c.kind.name: c for c in drawn}
    finally:
        world.close()


@pytest.mark.parametrize("name", [k.name for k in SHORT])
def test_fault(cases, name):
    case = cases[name]
    o = case.order
    assert not case.problems, (f"{'; '.join(case.problems)}\n{o['status']} at attempt {o['attempt']}: "
                               f"{o['error_category']}: {o['error_message']}")


def test_limit_that_ends_in_a_day(make_github):
    """The order waits for it; asking again within seconds would make the limit worse."""
    github = make_github()
    github.forge.fault(method="POST", path="/pulls$", times=9, status=429, headers=[("Retry-After", "90000")])
    order_id = github.instance.create(github.url)
    order = github.instance.wait(order_id, condition=lambda o: o["retry_at"] is not None)
    assert order["status"] == "pending" and order["error_category"] == "transient"
    wait = datetime.fromisoformat(order["retry_at"].replace("Z", "+00:00")) - datetime.now(timezone.utc)
    assert wait.total_seconds() > 86000
    github.instance.call("order.cancel", agent_work_order_id=order_id)
