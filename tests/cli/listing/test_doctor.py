"""`gdcli doctor`: a bug report in every format."""

from __future__ import annotations

import csv
import json
from functools import cache
from typing import TYPE_CHECKING

from gdcli import __version__
from gdcli.runs import installation

if TYPE_CHECKING:
    import pytest

    from tests.cli.command_line import Shell


def test_it_prints_what_there_is(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    # Found out once: the processes that look at NumPy and torch take seconds.
    monkeypatch.setattr(installation, "diagnose", cache(installation.diagnose))
    assert shell("doctor") == 0
    assert not shell.err
    assert shell.out.splitlines()[1].split() == ["gdcli", __version__]
    table = shell.out
    assert shell("doctor", "--format", "json") == 0
    found = json.loads(shell.out)
    assert all(name in table and value in table for name, value in found.items())
    assert shell("doctor", "--format", "csv") == 0
    header, *rows = csv.reader(shell.out.splitlines())
    assert header == ["item", "value"]
    assert [*map(list, found.items())] == rows
