"""A few of the files of `python -m tests.mutated_files`, which damages any number."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.unmeasured import unmeasured

ROOT = Path(__file__).parents[1]


def test_no_damaged_file_gets_more_than_a_line() -> None:
    command = [sys.executable, "-m", "tests.mutated_files", "--count", "190", "--seed", "2"]
    done = subprocess.run(
        command, cwd=ROOT, env=unmeasured(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("0 faults\n")
