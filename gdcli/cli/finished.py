"""Which runs can be drawn: those that are finished, and are what was written."""

from __future__ import annotations

from pathlib import Path

from gdcli.cli.show import folder_of
from gdcli.errors import UserError
from gdcli.fields import show


def finished(run: str) -> Path:
    """Return the folder of a run, given by its path or name.

    Raises UserError where there is none, and where it is not finished or damaged.
    """
    for folder in (Path(run), Path("results", run)):
        if (folder / ".gdcli").is_dir() and not (folder / "summary.csv").exists():
            fix = "give its command again, which goes on where it stopped, and then this one"
            raise UserError(show(run), "the run is not finished: its tables are not there", fix)
    from gdcli.runs.manifest import check_files

    folder = folder_of(run)
    check_files(folder)
    return folder
