"""Installs recorded payloads of GitHub's webhooks from npm into a cache directory, for the test that delivers them."""
import json
import os
import shutil
import subprocess
from pathlib import Path

VERSION = "7.6.1"
PACKAGE = "@octokit/webhooks-examples"


class Missing(Exception):
    """One sentence that says what is missing and what to do."""


def cache_dir():
    base = os.environ.get("AWO_TEST_CACHE") or os.path.join(os.environ.get("AWO_BUILD_DIR", "/tmp"), "test-cache")
    return Path(base) / f"webhooks-examples-{VERSION}"


def examples():
    """(event, payload) of each recorded delivery; installed when they are not there yet."""
    target = cache_dir()
    if not (target / "ready").exists():
        if not shutil.which("npm"):
            raise Missing("npm is not installed: install Debian's npm to test with GitHub's own payloads")
        target.mkdir(parents=True, exist_ok=True)
        argv = ["npm", "install", "--prefix", str(target), "--no-audit", "--no-fund", "--ignore-scripts",
                "--fetch-retries=1", "--fetch-timeout=60000", f"{PACKAGE}@{VERSION}"]
        try:
            done = subprocess.run(argv, cwd=target, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
                                  check=False)
            wrong = f"status {done.returncode}: {done.stderr.strip()[-300:]}" if done.returncode else None
        except subprocess.TimeoutExpired:
            wrong = "no end within 120 s"
        if wrong:
            raise Missing(f"npm install failed ({wrong}): "
                          "check the network, or set AWO_TEST_CACHE to a directory that has the package")
        (target / "ready").touch()
    found = []
    for path in sorted((target / "node_modules" / PACKAGE).glob("*/index.json")):
        for row in json.loads(path.read_text()):
            found += [(row["name"], payload) for payload in row["examples"]]
    if len(found) < 100:
        raise Missing(f"{target} has {len(found)} payloads only: remove it and run the tests again")
    return found
