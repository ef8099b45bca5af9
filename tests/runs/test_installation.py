"""What `gdcli doctor` finds out, also where something is broken."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from gdcli.runs import installation
from gdcli.runs.fingerprint import fingerprint
from gdcli.runs.installation import diagnose

if TYPE_CHECKING:
    from pathlib import Path


def test_it_says_what_the_fingerprint_says() -> None:
    found = diagnose()
    expected = fingerprint("cpu", torch=True)
    assert (found["numpy"], found["torch"]) == (np.__version__, torch.__version__)
    for name in ("gdcli", "blas", "machine", "torch_simd"):
        assert found[name] == expected[name]
    assert found["devices"].split(", ")[0] == "cpu"
    assert "OMP_NUM_THREADS=" in found["threads"]
    assert found["rich"].count(".") >= 1
    assert "dataset fashion-mnist" in found


@pytest.mark.parametrize(
    ("module", "code", "said"),
    [
        ("torch", "raise ImportError('no libtorch_cpu.so')", "broken: ImportError: no libtorch"),
        ("torch", "import os; os.kill(os.getpid(), 4)", "broken: importing it ends the process"),
        ("numpy", "raise RuntimeError('\\x1b[1m')", "broken: RuntimeError: "),
        ("torch", "import sys; sys.exit(0)", "broken: it says nothing"),
    ],
)
def test_what_is_broken_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, code: str, said: str
) -> None:
    (tmp_path / f"{module}.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    found = diagnose()
    assert found[module].startswith(said)
    assert found["gdcli"]


def test_what_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "PATIENCE", 0)
    assert diagnose()["torch"] == "broken: importing it takes more than 0 s"


def test_an_extra_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    required = ["rich>=13", 'nothing-like-it>=2; extra == "dream"', "rich; extra == 'show'", "gone"]
    monkeypatch.setattr(metadata, "requires", lambda _: required)
    found = dict(installation._requirements())
    assert found["extra dream"] == "lacks nothing-like-it"
    assert found["extra show"] == "installed"
    assert found["gone"] == "missing"
    assert found["rich"][0].isdecimal()


def test_a_copy_that_is_not_installed_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", unknown)
    assert list(dict(installation._requirements())) == ["dependencies"]
