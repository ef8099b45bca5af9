"""The command line as a user types it, in this process or in one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from gdcli.cli.app import main

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


class Shell:
    """Runs `gdcli` in an empty folder and keeps what it printed."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys
        self.out = self.err = ""

    def __call__(self, *arguments: str) -> int:
        code = main(arguments)
        self.out, self.err = self._capsys.readouterr()
        return code

    @property
    def errors(self) -> list[str]:
        """What stderr says, line by line."""
        return self.err.splitlines()

    def refuses(self, *arguments: str) -> list[str]:
        """Run a command that is wrong; return its errors, after what all of them promise."""
        before = sorted(self.folder.rglob("*"))
        assert self(*arguments) == 2
        assert sorted(self.folder.rglob("*")) == before
        assert not self.out
        assert all(line.startswith("error: ") and "; " in line for line in self.errors), self.err
        assert all(line.isprintable() for line in self.errors)
        return [line.removeprefix("error: ") for line in self.errors]

    def write(self, name: str, text: str) -> str:
        """Write a file into the folder; return its name."""
        (self.folder / name).write_text(text, encoding="utf-8")
        return name


def gdcli(
    *arguments: str, folder: Path, code: str = "sys.exit(main())", **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run `gdcli` in a process of its own, or other code that may use `main`."""
    program = f"import sys; from gdcli.cli.app import main; {code}"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=folder,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
    )
