"""Installs a package from npm into a cache directory, for the tests that use real programs and recordings of others."""
import os
import shutil
import subprocess
from pathlib import Path


class Missing(Exception):
    """One sentence that says what is missing and what to do."""


def run(argv, cwd):
    try:
        done = subprocess.run(argv, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False)
        wrong = f"status {done.returncode}: {done.stderr.strip()[-300:]}" if done.returncode else None
    except subprocess.TimeoutExpired:
        wrong = "no end within 300 s"
    if wrong:
        raise Missing(f"{' '.join(argv[:2])} failed ({wrong}): check the network, or set AWO_TEST_CACHE to a directory that has it")


def package(name, version, cache, purpose, then=None):
    """
    Directory of a package, installed when it is not there yet; cache names its place below the cache directory. No script
    of a package is run but then, an argv, in the package's directory.
    """
    base = os.environ.get("AWO_TEST_CACHE") or os.path.join(os.environ.get("AWO_BUILD_DIR", "/tmp"), "test-cache")
    target = Path(base) / f"{cache}-{version}"
    found = target / "node_modules" / name
    for tool in ("node", "npm"):
        if not shutil.which(tool):
            raise Missing(f"{tool} is not installed: install Debian's nodejs and npm to test with {purpose}")
    if not (target / "ready").exists():
        target.mkdir(parents=True, exist_ok=True)
        run(["npm", "install", "--prefix", str(target), "--no-audit", "--no-fund", "--ignore-scripts",
             "--fetch-retries=1", "--fetch-timeout=60000", f"{name}@{version}"], target)
        if then:
            run(then, found)
        subprocess.run(["chmod", "-R", "a+rX", str(target)], check=True)
        (target / "ready").touch()
    return found
