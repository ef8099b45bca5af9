"""Write anew what the commands of README.md and of docs/ print, and tables of verdicts and losses.

python docs/transcripts.py [PAGE.md ...]
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
import re
import shlex
import shutil
import sys
import tempfile
from pathlib import Path
from statistics import median
from textwrap import dedent, indent

from gdcli.analysis.diagnosis.verdict import qualities, states
from gdcli.cli.app import main

ROOT = Path(__file__).parents[1]
VERDICTS = re.compile(r"^(\| (state|quality) \| .*\n\|---\|---\|\n)(?:\|.*\n)+", flags=re.MULTILINE)
LOSSES = re.compile(r"^<!-- losses of ([\w-]+) by (.*) -->\n\n(?:\|.*\n)*", flags=re.MULTILINE)
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


def losses(match: re.Match[str]) -> str:
    """Return a table of the median final training losses of a committed run.

    A row for each setting, by the columns that are named, and a column for each learning rate.
    """
    run, names = ROOT / "results" / "reference" / match[1], match[2].split(", ")
    held: dict[tuple[str, ...], dict[float, list[float]]] = {}
    with (run / "summary.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            rates = held.setdefault(tuple(row[name] for name in names), {})
            rates.setdefault(float(row["lr"]), []).append(float(row["final_train_loss"] or "inf"))
    lrs = sorted({lr for rates in held.values() for lr in rates})
    lines = [" | ".join([*names, *(f"lr {lr:g}" for lr in lrs)]), "---|" * (len(names) + len(lrs))]
    for setting, rates in held.items():
        found = {lr: median(values) for lr, values in rates.items()}
        cells = [f"{found[lr]:.4g}" + " *" * (found[lr] == min(found.values())) for lr in lrs]
        lines.append(" | ".join([*(f"`{part}`" if part else "" for part in setting), *cells]))
    table = [f"| {line} |" for line in lines]
    table[1] = f"|{lines[1]}"
    return f"<!-- losses of {match[1]} by {match[2]} -->\n\n" + "\n".join(table) + "\n"


def write(page: Path) -> None:
    """Run a page's commands in an empty folder with the experiments, in order; write them anew."""
    text = page.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for part in ("experiments", "gdcli/datasets"):
            shutil.copytree(ROOT / part, Path(folder, part))
        text = LOSSES.sub(losses, VERDICTS.sub(verdicts, text))
        text = FENCED.sub(lambda match: block(match, everything=page.name == ALL), text)
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    os.environ["COLUMNS"] = "100"
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    for page in map(Path, sys.argv[1:]) if sys.argv[1:] else pages:
        write(page.resolve())
