"""Installs the real Claude Code program from npm into a cache directory, for the test that uses it."""
import os
import shutil
import subprocess
from pathlib import Path

VERSION = "2.1.197"
PACKAGE = "@anthropic-ai/claude-code"


class Missing(Exception):
    """One sentence that says what is missing and what to do."""


def cache_dir():
    base = os.environ.get("AWO_TEST_CACHE") or os.path.join(os.environ.get("AWO_BUILD_DIR", "/tmp"), "test-cache")
    return Path(base) / f"claude-code-{VERSION}"


def program():
    """Path of the claude program; installed when it is not there yet."""
    target = cache_dir()
    package = target / "node_modules" / PACKAGE
    for tool in ("node", "npm"):
        if not shutil.which(tool):
            raise Missing(f"{tool} is not installed: install Debian's nodejs and npm to test with the real Claude Code")
    if not (target / "ready").exists():
        target.mkdir(parents=True, exist_ok=True)
        for argv, cwd in ((["npm", "install", "--prefix", str(target), "--no-audit", "--no-fund",
                            "--fetch-retries=1", "--fetch-timeout=60000",
                            f"{PACKAGE}@{VERSION}"], target),
                          # npm may be configured to run no install scripts: this one fetches the native program
                          (["node", "install.cjs"], package)):
            try:
                done = subprocess.run(argv, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                      timeout=300, check=False)
                wrong = f"status {done.returncode}: {done.stderr.strip()[-300:]}" if done.returncode else None
            except subprocess.TimeoutExpired:
                wrong = "no end within 300 s"
            if wrong:
                raise Missing(f"{' '.join(argv[:2])} failed ({wrong}): "
                              "check the network, or set AWO_TEST_CACHE to a directory that has it")
        subprocess.run(["chmod", "-R", "a+rX", str(target)], check=True)
        (target / "ready").touch()
    for name in ("claude", "claude.exe"):
        if os.access(package / "bin" / name, os.X_OK):
            return package / "bin" / name
    link = target / "node_modules" / ".bin" / "claude"
    if link.exists():
        return link.resolve()
    raise Missing(f"no program was found in {package}: remove {target} and run the tests again")
