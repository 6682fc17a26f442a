"""In user mode the token that the gh program keeps is the last fallback; system mode never asks it."""

import time

import pytest


@pytest.fixture
def gh(place, forge):
    """A gh that knows one token, and notes what it was asked."""
    path = place / "gh"
    path.write_text(f"#!/bin/sh\necho \"$@\" >>{place}/asked\necho {forge.token}\n")
    path.chmod(0o755)
    return path


def test_token_of_the_gh_program(make_github, gh):
    github = make_github({"github": {"cli_path": str(gh)}}, stored=False)
    asked = gh.parent / "asked"
    if github.instance.system:
        order = github.instance.failed(github.instance.create(github.url), "git")
        assert "credential" in order["error_message"]
        assert not asked.exists()
        return
    for _ in range(100):
        if asked.exists():
            break
        time.sleep(0.05)
    order = github.instance.run(github.url)
    assert order["github_pull_request_url"]
    assert asked.read_text().startswith("auth token --hostname ")


def test_gh_that_says_something_else(make_github, gh):
    gh.write_text("#!/bin/sh\necho 'You are not logged in'\nexit 1\n")
    github = make_github({"github": {"cli_path": str(gh)}}, stored=False)
    github.instance.failed(github.instance.create(github.url), "git")
