"""Fixtures of the command line's tests."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from gdcli.process import SIGNALS
from tests.cli.command_line import Shell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def shell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Shell]:
    """Return a shell in an empty folder; what `main` does to the process is undone."""
    monkeypatch.chdir(tmp_path)
    environment = dict(os.environ)
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    yield Shell(tmp_path, capsys)
    for number, handler in handlers.items():
        signal.signal(number, handler)
    os.environ.clear()
    os.environ.update(environment)
