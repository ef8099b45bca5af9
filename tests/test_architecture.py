"""docs/architecture.md has every folder in the folder's own words, and names files that exist."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unmeasured import unmeasured

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "gdcli"
PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
FOLDERS = sorted(file.parent for file in PACKAGE.rglob("__init__.py") if file.parent != PACKAGE)


def first_line(folder: Path) -> str:
    text = (folder / "__init__.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]


def test_the_tree_is_that_of_the_package() -> None:
    told = re.findall(r"^\| `([\w/]+)/` \| (.+) \|$", PAGE, re.MULTILINE)
    assert told == [(str(folder.relative_to(PACKAGE)), first_line(folder)) for folder in FOLDERS]


def test_every_file_beside_the_folders_is_named() -> None:
    files = {file.name for file in PACKAGE.glob("*.py") if not file.name.startswith("__")}
    assert files == set(re.findall(r"`(\w+\.py)`", PAGE)) - {"__init__.py", "__main__.py"}


@pytest.mark.parametrize("text", [PAGE, GUIDE], ids=["architecture", "contributing"])
def test_what_is_named_is_there(text: str) -> None:
    # A file that an example writes is not there.
    name = r"`(?:gdcli/)?((?:[a-z_]+/)+(?:[a-z_0-9]+\.py)?)`(?!:\n\n```python)"
    named = set(re.findall(name, text))
    assert named
    places = [ROOT, PACKAGE]
    missing = {name for name in named if not any((place / name).exists() for place in places)}
    assert not missing


# Prints the files of which a function ran before curves.csv was there, in the order of their first.
WALK = """
import os, sys

def watch(frame, event, argument):
    file = frame.f_code.co_filename
    if frame.f_code.co_name.startswith("<") or file in seen:
        return
    if os.path.exists("out/run/curves.csv"):
        sys.setprofile(None)
    elif event == "call":
        seen[file] = None

seen = {}
from gdcli import __main__
sys.argv = ["gdcli", "run", "linear-regression", "--lr", "0.1", "-o", "out", "--name", "run", "-q"]
sys.setprofile(watch)
code = __main__.main()
sys.setprofile(None)
for file in seen:
    print(file)
sys.exit(code)
"""


def test_a_run_takes_the_reading_path(tmp_path: Path) -> None:
    section = PAGE.partition("## The reading path\n")[2].partition("\n## ")[0]
    path = re.findall(r"^\d+\. `([\w/]+\.py)`: ", section, re.MULTILINE)
    assert path[0] == "__main__.py"
    assert path[-1] == "runs/finish.py"
    assert len(path) == len(set(path)) <= 20
    assert all((PACKAGE / file).is_file() for file in path)
    walk = [sys.executable, "-c", WALK]
    environment = unmeasured(PYTHONPATH=str(ROOT))
    done = subprocess.run(
        walk, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    ran = set(done.stdout.splitlines())
    assert {str(PACKAGE / file) for file in path} <= ran


def test_a_loss_passes_through_few_places() -> None:
    section = PAGE.partition("## The way of one loss\n")[2].partition("\n## ")[0]
    places = re.findall(r"^\d+\. (.+)$", section, re.MULTILINE)
    assert 1 < len(places) <= 10
    classes = set(re.findall(r"`([A-Z][A-Za-z]+)`", section))
    files = [file.read_text(encoding="utf-8") for file in PACKAGE.rglob("*.py")]
    assert classes
    assert not {name for name in classes if not any(f"class {name}" in text for text in files)}
