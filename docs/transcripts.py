"""Write anew what the commands of README.md and of docs/ print, and the tables of verdicts.

python docs/transcripts.py [PAGE.md ...]
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import sys
import tempfile
from pathlib import Path
from textwrap import dedent, indent

from gdcli.analysis.diagnosis.verdict import qualities, states
from gdcli.cli.app import main

ROOT = Path(__file__).parents[1]
VERDICTS = re.compile(r"^(\| (state|quality) \| .*\n\|---\|---\|\n)(?:\|.*\n)+", flags=re.MULTILINE)
FENCED = re.compile(r"^( *)```console\n(.*?)^ *```", flags=re.DOTALL | re.MULTILINE)
ALL = "tutorial.md"  # shows what every command prints that prints the same each time
VARYING = ("gdcli verify", "--dry-run")


def printed(command: str) -> str:
    """Return what a command prints off a terminal of 100 columns, or the line of its mistake."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(shlex.split(command)[1:])
    return (out if code == 0 else err).getvalue().strip("\n")


def block(match: re.Match[str], *, everything: bool) -> str:
    """Return a fenced block with what its commands print now."""
    parts = dedent(match[2]).removeprefix("$ ").split("\n$ ")
    told = []
    for part in parts:
        command, _, shown = part.partition("\n")
        text = printed(command)
        told.append(f"$ {command}")
        varies = any(word in command for word in VARYING)
        if text and not varies and (shown.strip() or everything):
            told.append(text)
    body = indent("\n".join(told), match[1], lambda line: bool(line.strip()))
    return f"{match[1]}```console\n{body}\n{match[1]}```"


def verdicts(match: re.Match[str]) -> str:
    """Return a table of all states or qualities, each with its definition."""
    kinds = {"state": states, "quality": qualities}[match[2]]()
    return match[1] + "".join(f"| {word} | {one.definition()} |\n" for word, one in kinds.items())


def write(page: Path) -> None:
    """Run a page's commands in an empty folder with the experiments, in order; write them anew."""
    text = page.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for part in ("experiments", "gdcli/datasets"):
            shutil.copytree(ROOT / part, Path(folder, part))
        text = VERDICTS.sub(verdicts, text)
        text = FENCED.sub(lambda match: block(match, everything=page.name == ALL), text)
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    os.environ["COLUMNS"] = "100"
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    for page in map(Path, sys.argv[1:]) if sys.argv[1:] else pages:
        write(page.resolve())
