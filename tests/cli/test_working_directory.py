"""Files of the working directory, perhaps a stranger's, which nobody has named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.own_code import MARKED, write
from tests.unmeasured import unmeasured

NAMES = ("multiprocessing", "selectors", "random", "typer", "numpy", "sitecustomize")
GRID = ("quadratic", "--optimizer", "vanilla,adam", "--epochs", "2", "--workers", "2", "-q")


@pytest.mark.parametrize(
    "program", [[str(Path(sys.executable).parent / "gdcli")], [sys.executable, "-m", "gdcli"]]
)
def test_they_hide_nothing_that_is_installed(tmp_path: Path, program: list[str]) -> None:
    for name in NAMES:
        write(tmp_path, f"{name}.py", MARKED)
    done = subprocess.run(
        [*program, "run", *GRID],
        cwd=tmp_path,
        env=unmeasured(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert not (tmp_path / "ran").exists()
