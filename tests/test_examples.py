"""The example scripts do what they say, as a cluster and a CI service would call them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gdcli.runs.folder import state_of
from tests.unmeasured import unmeasured

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
        env=unmeasured(PATH=path, **settings),
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


def lines_of_the_docs() -> list[str]:
    """Return the shell's lines of the how-tos."""
    text = (ROOT / "docs" / "how-to.md").read_text(encoding="utf-8")
    return "".join(re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)).splitlines()


@pytest.mark.parametrize("line", lines_of_the_docs(), ids=lambda line: line.partition(" ")[0])
def test_the_lines_for_a_shell_run(folder: Path, line: str) -> None:
    if not shutil.which(line.partition(" ")[0]) and not line.startswith("gdcli"):
        pytest.skip("the machine has no GNU parallel")
    (folder / "experiments/second.toml").write_text(EXPERIMENT.replace("0.1", "0.2"))
    shell(folder, line)
    found = {state_of(run).word for run in (folder / "results").iterdir()}
    assert found == {"complete"}
    assert line.startswith("gdcli") == (folder / "report.html").exists()


def test_make_makes_a_page_for_each_experiment_and_again_when_it_changes(folder: Path) -> None:
    shell(folder, "make -f examples/Makefile")
    page = folder / "results/quickstart-linear/report.html"
    first = page.read_bytes()
    shell(folder, "make -f examples/Makefile --question")
    file = folder / "experiments/quickstart-linear.toml"
    file.write_text(EXPERIMENT.replace("0.1", "0.2"))
    later = page.stat().st_mtime + 5
    os.utime(file, (later, later))
    shell(folder, "make -f examples/Makefile")
    assert page.read_bytes() != first
