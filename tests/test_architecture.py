"""docs/architecture.md has every folder in the folder's own words, and names files that exist."""

import ast
import re
from pathlib import Path

import pytest

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
    assert files == set(re.findall(r"`(\w+\.py)`", PAGE)) - {"__init__.py"}


@pytest.mark.parametrize("text", [PAGE, GUIDE], ids=["architecture", "contributing"])
def test_what_is_named_is_there(text: str) -> None:
    named = set(re.findall(r"`(?:gdcli/)?((?:[a-z_]+/)+(?:[a-z_0-9]+\.py)?)`", text))
    assert named
    places = [ROOT, PACKAGE]
    missing = {name for name in named if not any((place / name).exists() for place in places)}
    assert not missing - {"problems/booth.py"}  # the example of a new one
