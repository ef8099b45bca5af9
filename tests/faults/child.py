"""The command line in a child that is forked, so that thousands of runs take minutes."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gdcli.cli.app import main
from gdcli.executors.execute import execute as _executed  # noqa: F401
from gdcli.executors.local import Local as _  # noqa: F401 -- imported once, not by every child
from gdcli.report.results import print_results as _shown  # noqa: F401
from tests.faults.inject import Faults

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Ended:
    """How a child ended."""

    code: int  # negative: the signal that killed it
    errors: list[str]
    calls: int  # guarded calls, if it was not killed


def run(folder: Path, arguments: tuple[str, ...], mode: str = "kill", place: int = 0) -> Ended:
    """Run the command line in a folder, with one fault in its results."""
    said, counted = folder / "stderr", folder / "calls"
    counted.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        os.chdir(folder)
        for descriptor, file in ((1, folder / "stdout"), (2, said)):
            os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
        faults = Faults(folder / "results", mode, place)
        faults.install()
        code = main(arguments)
        sys.stderr.flush()
        faults.place = 0
        counted.write_text(str(faults.calls))
        os._exit(code)
    _pid, status = os.waitpid(child, 0)
    calls = int(counted.read_text()) if counted.exists() else 0
    return Ended(os.waitstatus_to_exitcode(status), said.read_text().splitlines(), calls)
