"""Payloads of GitHub's webhooks as GitHub recorded them, from npm."""
import json

from . import npm

VERSION = "7.6.1"


def examples():
    """(event, payload) of each recorded delivery; installed when they are not there yet."""
    package = npm.package("@octokit/webhooks-examples", VERSION, "webhooks-examples", "GitHub's own payloads")
    found = []
    for path in sorted(package.glob("*/index.json")):
        for row in json.loads(path.read_text()):
            found += [(row["name"], payload) for payload in row["examples"]]
    if len(found) < 100:
        raise npm.Missing(f"{package} has {len(found)} payloads only: remove it and run the tests again")
    return found
