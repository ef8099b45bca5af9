"""Beginning and checking files of one's own: `gdcli new`, `gdcli check` and `gdcli schema`."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from keyword import iskeyword
from pathlib import Path
from string import Template
from typing import Annotated, Any

import typer

from gdcli.catalog.catalog import OPTIMIZERS, PROBLEMS, SCHEDULES, WRAPPERS, Catalogue
from gdcli.cli.options import RUN, Screen, checked_file, collect_errors, one_of, options_from, read
from gdcli.errors import UserError
from gdcli.experiment.toml import SCHEMA_FILE
from gdcli.experiment.toml import text as schema_text
from gdcli.fields import show, suggestion
from gdcli.report.text_tables import print_listing

WHERE = "gdcli new"
STARTERS = Path(__file__).parents[1] / "starters"
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,99}")
TRIES = {
    "problem": "gdcli run ./{0}.py",
    "optimizer": "gdcli run quadratic --optimizer vanilla,./{0}.py",
    "method": "gdcli run quadratic --optimizer vanilla,./{0}.py",
    "wrapper": "gdcli run quadratic --optimizer momentum,momentum+./{0}.py",
    "schedule": "gdcli run quadratic --schedule constant,./{0}.py",
    "experiment": "gdcli sweep {0}.toml",
}
TAKEN: dict[str, Catalogue[Any]] = {
    "problem": PROBLEMS,
    "optimizer": OPTIMIZERS,
    "method": OPTIMIZERS,
    "wrapper": WRAPPERS,
    "schedule": SCHEDULES,
}


@options_from({RUN: (Screen,)})
def new(
    *,
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND",
            help="what to write: problem, optimizer (of each coordinate by itself), method (an "
            "optimizer of all parameters at once), wrapper (of any optimizer), schedule or "
            "experiment",
            autocompletion=one_of(lambda: TRIES),
        ),
    ],
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="name of what you write, such as my-problem")
    ],
    **given: object,
) -> int:
    """Write a starter file, and its test, into this directory.

    The file works as it is: change it step by step; gdcli check, or pytest, says when something
    breaks. Beside an experiment gdcli.schema.json is written, unless it exists: with it editors
    complete and check the experiment.
    """
    screen = read(Screen, given)
    if kind not in TRIES:
        hint = suggestion(kind, TRIES) or f"give one of {', '.join(TRIES)}"
        raise UserError(WHERE, f"there is no starter for {show(kind)}", hint)
    files = _files(kind, _checked(kind, name))
    for file in files:
        if file.exists() or file.is_symlink():
            raise UserError(WHERE, f"{show(str(file))} exists", "give another name, or move it")
    files |= _schema() if kind == "experiment" else {}
    for file, text in files.items():
        with file.open("x", encoding="utf-8") as stream:
            stream.write(text)
    holds = (f"the {kind}, to be changed", "its test, for pytest", "what editors complete it by")
    rows = [{"file": str(f), "holds": what} for f, what in zip(files, holds, strict=False)]
    print_listing(rows, screen.format, screen.console())
    screen.tell(f"to try it: {TRIES[kind].format(_stem(name))}")
    return 0


def _checked(kind: str, name: str) -> str:
    if not NAME.fullmatch(name):
        fix = "take A-Z a-z 0-9 _ - and a letter first"
        raise UserError(WHERE, f"{show(name)} cannot name a file", fix)
    if kind != "experiment" and _hides(_stem(name)):
        what = f"{show(name)} is a word or module of Python, which {_stem(name)}.py would hide"
        raise UserError(WHERE, what, "give another name, such as my-" + name.lstrip("_"))
    if kind in TAKEN and name.replace("_", "-") in TAKEN[kind].names():
        what = f"there is a{'n' if kind[0] in 'aeiou' else ''} {kind} {show(name)} already"
        raise UserError(WHERE, what, "give another name")
    return name


def _hides(stem: str) -> bool:
    """Return whether programs begun in this directory would import a file in a module's place.

    A keyword names no module, but its file could not be imported at all.
    """
    if iskeyword(stem) or stem in sys.stdlib_module_names:
        return True
    found = find_spec(stem)
    return found is not None and Path(found.origin or "").parent != Path.cwd()


def _stem(name: str) -> str:
    return name.replace("-", "_")


def _schema() -> dict[Path, str]:
    """Return the schema that the starter names, unless one is there: other files go by it, too."""
    file = Path(SCHEMA_FILE)
    return {} if file.exists() or file.is_symlink() else {file: schema_text()}


def _files(kind: str, name: str) -> dict[Path, str]:
    """Return the texts of the files to write."""
    words = [word for word in re.split(r"[-_]+", name) if word]
    values = {
        "file": _stem(name),
        "name": name.replace("_", "-"),
        "Class": "".join(word[:1].upper() + word[1:] for word in words),
        "Title": " ".join(words).capitalize(),
    }
    ending = "toml" if kind == "experiment" else "py"
    test = "test_experiment.py.txt" if kind == "experiment" else "test.py.txt"
    starters = {
        Path(f"{_stem(name)}.{ending}"): f"{kind}.{ending}.txt",
        Path(f"test_{_stem(name)}.py"): test,
    }
    return {
        file: Template((STARTERS / starter).read_text(encoding="utf-8")).substitute(values)
        for file, starter in starters.items()
    }


CHECK = "gdcli check"


@options_from({RUN: (Screen,)})
def check(
    *,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="file with a problem, optimizer, wrapper, schedule or measure, or its name",
        ),
    ],
    **given: object,
) -> int:
    """Check a problem, optimizer, wrapper, schedule or measure.

    It must keep the laws that the built-in ones keep: the gradient is that of the loss, nothing is
    changed in place, what is drawn follows from the seed, a trial alone gives the same result as in
    a grid, a measure changes no other column, and more. The exit code is 1 if a law is broken, 2 if
    the file cannot be run.
    """
    screen = read(Screen, given)
    from gdcli.laws.laws import check as checked

    found = checked(file, CHECK)
    rows = [
        {"of": word, "law": kept.law, "result": kept.result, "detail": kept.detail}
        for word, results in found.items()
        for kept in results
    ]
    print_listing(rows, screen.format, screen.console())
    return int(any(row["result"] == "failed" for row in rows))


@dataclass(frozen=True)
class SchemaFile:
    """Where the schema goes."""

    output: Annotated[
        Path | None, "write the schema to this file (.json) instead of printing it"
    ] = None


@options_from({RUN: (SchemaFile, Screen)}, without=("format",))
def schema(**given: object) -> int:
    """Write the JSON Schema of experiment files, for editors.

    Keep it as gdcli.schema.json beside the experiments. Editors with Taplo or Even Better TOML then
    complete and check the files that begin with `#:schema ./gdcli.schema.json`; gdcli run --save
    writes that line.
    """
    with collect_errors() as collect:
        screen = collect(read, Screen, given)
        file = collect(read, SchemaFile, given).output
    if file is None:
        typer.echo(schema_text(), nl=False)
        return 0
    checked_file(file, (".json",))
    file.write_text(schema_text(), encoding="utf-8")
    screen.tell(f"wrote {file}; run this again after an update of gdcli")
    return 0
