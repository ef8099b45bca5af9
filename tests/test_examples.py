"""The example scripts do what they say, as a cluster and a CI service would call them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gdcli.runs.state import state_of

ROOT = Path(__file__).parents[1]
EXPERIMENT = """
[problem]
name = "quadratic"

[grid]
optimizer = ["vanilla", "momentum", "adam"]
lr = [0.1]
epochs = 3
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a working directory with an experiment of three batches, and gdcli on the path."""
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "quickstart-linear.toml").write_text(EXPERIMENT)
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    command = tmp_path / "bin" / "gdcli"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m gdcli "$@"\n')
    command.chmod(0o755)
    return tmp_path


def shell(folder: Path, command: str, **settings: str) -> None:
    """Run a command; it must succeed."""
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["/bin/bash", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": path, **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_tasks_of_a_job_array_make_one_run(folder: Path) -> None:
    script = (folder / "examples" / "slurm-array.sbatch").read_text()
    assert "#SBATCH --array=1-8" in script
    run = folder / "results" / "quickstart-linear"
    for task in range(1, 9):
        settings = {"SLURM_ARRAY_TASK_ID": str(task), "SLURM_ARRAY_TASK_COUNT": "8"}
        shell(folder, "bash examples/slurm-array.sbatch", **settings)
        assert (state_of(run).word == "complete") == (task >= 3)


def test_the_jobs_of_a_workflow_make_one_run(folder: Path) -> None:
    text = (folder / "examples" / "github-actions.yml").read_text()
    part, merge = re.findall(r"- run: (gdcli .*)", text)
    settings = dict(re.findall(r"^  ([A-Z_]+): (\w+)$", text, flags=re.MULTILINE))
    assert "OPENBLAS_CORETYPE" in settings
    for number in "1234":
        shell(folder, part.replace("${{ matrix.part }}", number), **settings)
    shell(folder, merge, **settings)
    assert state_of(folder / "results" / "whole").word == "complete"
