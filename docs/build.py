"""Writes the reference pages, one a problem, optimizer and schedule, as `gdcli` describes them.

Run from the project's root: python docs/build.py FOLDER
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from gdcli.discovery import OPTIMIZERS, PROBLEMS, SCHEDULES, Catalogue


def describe(*arguments: str) -> str:
    """Return what a listing command of gdcli prints as Markdown."""
    command = [sys.executable, "-m", "gdcli", *arguments, "--format", "md"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603 -- our own


def write(folder: Path, catalogue: Catalogue[Any]) -> None:
    """Write the pages of one catalogue and the page that lists them."""
    pages = folder / catalogue.folder
    pages.mkdir(parents=True, exist_ok=True)
    links = [f"- [{name}]({name}.md): {catalogue.summary(name)}" for name in catalogue.names()]
    title = catalogue.folder.capitalize()
    (pages / "README.md").write_text(f"# {title}\n\n" + "\n".join(links) + "\n", encoding="utf-8")
    for name in catalogue.names():
        page = pages / f"{name}.md"
        page.write_text(describe(catalogue.folder, name), encoding="utf-8")


def main(folder: Path) -> None:
    """Write every page below a folder."""
    for catalogue in (PROBLEMS, OPTIMIZERS, SCHEDULES):
        write(folder, catalogue)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
