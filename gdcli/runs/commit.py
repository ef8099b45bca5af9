"""The commit of the working directory, asked of git in such a way that nothing there is run.

The directory may be a stranger's, whose repository names programs of its own: one that watches for
changes, filters through which files are read, and one that fetches what is missing.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

GIT = ("git", "--no-optional-locks", "-c", "core.fsmonitor=false")
FILTERS = (
    *GIT,
    "config",
    "--show-scope",
    "--name-only",
    "--get-regexp",
    r"^filter\..*\.(clean|process)$",
)
OURS = ("system", "global", "command")  # configuration that is not the repository's
STATUS = (
    *(*GIT, "status", "--porcelain=v2", "--branch", "--no-ahead-behind", "--no-renames"),
    *("--untracked-files=no", "--ignore-submodules=dirty"),
)
HEAD = (*GIT, "rev-parse", "--verify", "--quiet", "HEAD")
COMMIT = "# branch.oid "
WAIT = 5  # seconds; a slow disk is no reason to wait longer for a name


@contextmanager
def commit() -> Iterator[Callable[[], str | None]]:
    """Ask git for the commit of the working directory while other work goes on.

    What is yielded waits for the hash, marked if files are changed, or if that cannot be told; it
    returns None outside git.
    """
    try:
        plain = _plain()
        git = _started(STATUS if plain else HEAD)
    except (OSError, subprocess.TimeoutExpired):
        yield lambda: None
        return

    def name() -> str | None:
        with suppress(subprocess.TimeoutExpired):
            first, *others = git.communicate(timeout=WAIT)[0].splitlines() or [""]
            if not plain:
                return f"{first}-unchecked" if first else None
            changed = any(not line.startswith("#") for line in others)
            found = first.removeprefix(COMMIT)
            if first.startswith(COMMIT) and found != "(initial)":
                return f"{found}-dirty" if changed else found
        return None

    with git:
        try:
            yield name
        finally:
            git.kill()


def _plain() -> bool:
    """Return whether the repository names no program that files are read through."""
    git = _started(FILTERS)
    with git:
        try:
            said = git.communicate(timeout=WAIT)[0]
        finally:
            git.kill()
    return git.returncode in (0, 1) and all(line.startswith(OURS) for line in said.splitlines())


def _started(command: tuple[str, ...]) -> subprocess.Popen[str]:
    null, pipe = subprocess.DEVNULL, subprocess.PIPE
    return subprocess.Popen(  # noqa: S603 -- a fixed command
        command,
        env={**os.environ, "GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": "none"},
        stdin=null,
        stdout=pipe,
        stderr=null,
        text=True,
        errors="replace",
    )
