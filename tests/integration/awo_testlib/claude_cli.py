"""The real Claude Code program, from npm."""
import os

from . import npm

VERSION = "2.1.197"


def program():
    """Path of the claude program; installed when it is not there yet."""
    # its own script fetches the native program
    package = npm.package("@anthropic-ai/claude-code", VERSION, "claude-code", "the real Claude Code",
                          then=["node", "install.cjs"])
    for name in ("claude", "claude.exe"):
        if os.access(package / "bin" / name, os.X_OK):
            return package / "bin" / name
    link = package.parent.parent / ".bin" / "claude"
    if link.exists():
        return link.resolve()
    raise npm.Missing(f"no program was found in {package}: remove it and run the tests again")
