"""Every fault that was seen in agents, on GitHub and at git remotes: what can be mended is, and the rest says what is wrong."""
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
