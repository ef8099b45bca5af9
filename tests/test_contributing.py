"""The examples of CONTRIBUTING.md do what it says of them, each in the file that it names."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.unmeasured import unmeasured

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
EXAMPLE = re.compile(r"`(gdcli/[\w/]+\.py)`:\n\n```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
# One process for all commands: each would import gdcli anew.
COMMANDS = """
from gdcli.cli.app import main
grid = ["--lr", "0.001,0.01", "--epochs", "20", "--name", "valley", "--quiet"]
for command in (
    ["run", "booth", *grid],
    ["check", "booth", "--quiet"],
    ["show", "valley", "--view", "falls", "--least-fall", "0.5"],
    ["report", "valley", "-o", "page.html"],
):
    assert main(command) == 0, command
"""


def test_each_example_is_found_and_runs(tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "gdcli", tmp_path / "gdcli", ignore=ignored)
    examples = EXAMPLE.findall(GUIDE)
    assert len(examples) == GUIDE.count("```python") == 3
    for file, text in examples:
        assert not (tmp_path / file).exists()
        (tmp_path / file).write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS],
        cwd=tmp_path,
        env=unmeasured(PYTHONPATH=str(tmp_path)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "fall: the loss at the start minus the loss at the end" in done.stdout
    assert 'id="falls"' in (tmp_path / "page.html").read_text(encoding="utf-8")
