"""Which folder a run is in, said by its path or by its name in results."""

from __future__ import annotations

from pathlib import Path

from gdcli.errors import UserError
from gdcli.fields import show, suggestion
from gdcli.runs.overview import MARKS


def folder_of(run: str) -> Path:
    """Return the folder of a finished run; raises UserError if it is none."""
    return _found(run, MARKS[:1])


def any_folder_of(run: str) -> Path:
    """Return the folder of a run, finished or not; raises UserError if it is none."""
    return _found(run, MARKS)


def _found(run: str, marks: tuple[str, ...]) -> Path:
    for folder in (Path(run), Path("results", run)):
        if any((folder / mark).exists() for mark in marks):
            return folder
    if Path(run).is_dir():
        fix = "give the folder of a run" + (" that is finished" if len(marks) == 1 else "")
        raise UserError(show(run), f"the folder holds no {marks[0]}, as a run's does", fix)
    names = [path.parent.name for mark in marks for path in Path("results").glob(f"*/{mark}")]
    hint = suggestion(run, names) or "give a folder that gdcli run or gdcli sweep has made"
    raise UserError(show(run), "there is no such run", hint)
