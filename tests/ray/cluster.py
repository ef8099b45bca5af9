"""A cluster as the tests see it, and command lines that compute on it."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.runs.command import SABOTEUR, begin

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Without it, Ray takes 127.0.0.1 for another of this machine's addresses.
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
# The nodes run what lies in a run's working directory, which they share with this machine.
SABOTAGE = "os.path.exists('sabotage') and exec(open('sabotage').read())"


@dataclass(frozen=True)
class Nodes:
    """A cluster that runs in a process of its own."""

    address: str
    process: subprocess.Popen[str]

    def kill(self) -> None:
        """End a node as a crash would, and start another."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("kill\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "killed\n"

    def begin(self, folder: Path, *arguments: str, sabotage: str = "") -> subprocess.Popen[str]:
        """Begin `gdcli` with this cluster; `sabotage` is run before every batch."""
        (folder / "sabotage").write_text(sabotage)
        where = ("--executor", "ray", "--ray-address", self.address)
        return begin(folder, *arguments, *where, **LOOPBACK)


@contextmanager
def cluster() -> Iterator[Nodes]:
    """Start three nodes; end them at the end."""
    root = str(SABOTEUR.parents[2])
    path = os.pathsep.join([str(SABOTEUR), root])
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.ray.nodes"],
        cwd=root,
        env={**os.environ, **LOOPBACK, "PYTHONPATH": path, "SABOTAGE": SABOTAGE},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        yield Nodes(process.stdout.readline().strip(), process)
    finally:
        process.communicate(timeout=60)
