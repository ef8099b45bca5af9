"""A few of the faults of `make faults`, which has all of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.unmeasured import unmeasured

ROOT = Path(__file__).parents[2]


def test_faults_lose_nothing_and_leave_nothing() -> None:
    command = [sys.executable, "-m", "tests.faults", "--every", "37", "--kills", "2"]
    done = subprocess.run(
        command, cwd=ROOT, env=unmeasured(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" byte-identical") == 13
    assert done.stdout.count("wrong messages") == 12
