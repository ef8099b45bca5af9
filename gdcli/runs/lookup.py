"""Which folder a run is in, said by its path or by its name in results."""

from __future__ import annotations

from pathlib import Path

from gdcli.door import GO_ON
from gdcli.errors import UserError
from gdcli.fields import show, suggestion

MARKS = ("summary.csv", "manifest.json", ".gdcli")  # a run has one of them from its first moment
STUDY = "examples.csv"  # what gdcli explore leaves is not a run


def is_run(folder: Path) -> bool:
    """Return whether a folder is a run's."""
    marked = any((folder / mark).exists() for mark in MARKS)
    return marked and not (folder / STUDY).exists()


def folder_of(run: str) -> Path:
    """Return the folder of a finished run; raises UserError if it is none."""
    folder = any_folder_of(run)
    if not (folder / "manifest.json").exists():
        raise UserError(show(run), "the run is not finished", GO_ON)
    return folder


def intact(run: str) -> Path:
    """Return the folder of a finished run; raises UserError also if its files were changed."""
    from gdcli.runs.manifest import check_files

    folder = folder_of(run)
    check_files(folder)
    return folder


def any_folder_of(run: str) -> Path:
    """Return the folder of a run, finished or not; raises UserError if it is none."""
    for folder in (Path(run), Path("results", run)):
        if is_run(folder):
            return folder
    if Path(run).is_dir():
        raise UserError(show(run), "the folder holds no run", "give the folder of a run")
    names = [path.parent.name for mark in MARKS for path in Path("results").glob(f"*/{mark}")]
    hint = suggestion(run, names) or "give a folder that gdcli run or gdcli sweep has made"
    raise UserError(show(run), "there is no such run", hint)
