"""Writes the reference pages: commands, problems, optimizers, schedules, measures and verdicts.

Run from the project's root: python docs/build.py FOLDER
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from gdcli.analysis.diagnosis.verdict import qualities, states
from gdcli.catalog.catalog import MEASURES, OPTIMIZERS, PROBLEMS, SCHEDULES, Catalogue
from gdcli.cli.app import COMMANDS


def printed(*arguments: str) -> str:
    """Return what a command of gdcli prints."""
    command = [sys.executable, "-m", "gdcli", *arguments]
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
        page.write_text(printed(catalogue.folder, name, "--format", "md"), encoding="utf-8")


def write_help(folder: Path) -> None:
    """Write the help of every command and the page that lists them."""
    pages = folder / "commands"
    pages.mkdir(parents=True, exist_ok=True)
    links = "\n".join(f"- [{name}]({name}.md)" for name in COMMANDS)
    (pages / "README.md").write_text(f"# Commands\n\n{links}\n", encoding="utf-8")
    for name in COMMANDS:
        text = f"# gdcli {name}\n\n```text\n{printed(name, '--help')}```\n"
        (pages / f"{name}.md").write_text(text, encoding="utf-8")


def write_verdicts(folder: Path) -> None:
    """Write the page of all states and qualities."""
    lines = ["# States and qualities"]
    for kind, verdicts in {"state": states(), "quality": qualities()}.items():
        lines += ["", f"| {kind} | it holds when |", "|---|---|"]
        lines += [f"| {word} | {one.definition()} |" for word, one in verdicts.items()]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "verdicts.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main(folder: Path) -> None:
    """Write every page below a folder."""
    write_help(folder)
    write_verdicts(folder)
    for catalogue in (PROBLEMS, OPTIMIZERS, SCHEDULES, MEASURES):
        write(folder, catalogue)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
