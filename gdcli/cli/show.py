"""`gdcli show RUN`: the results of a run, printed again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gdcli.cli.options import RUN, read, takes
from gdcli.cli.screen import Screen
from gdcli.errors import UserError
from gdcli.fields import show as quoted
from gdcli.fields import suggestion


@takes({RUN: (Screen,)})
def show(
    *,
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="a run's folder, or its name in results")
    ],
    **given: object,
) -> int:
    """Print the results of a run again: its tables and its curves."""
    screen, folder = read(Screen, given), folder_of(run)
    from gdcli.report.results import print_results
    from gdcli.runs.manifest import check_files

    check_files(folder)
    print_results(folder, screen.format, screen.console())
    return 0


def folder_of(run: str) -> Path:
    """Return the folder of a run, given by its path or name; raises UserError if it is none."""
    for folder in (Path(run), Path("results", run)):
        if (folder / "summary.csv").is_file():
            return folder
    if Path(run).is_dir():
        fix = "give the folder of a run that is finished"
        raise UserError(quoted(run), "the folder holds no summary.csv, as a run's does", fix)
    names = [path.parent.name for path in Path("results").glob("*/summary.csv")]
    hint = suggestion(run, names) or "give a folder that gdcli run or gdcli sweep has made"
    raise UserError(quoted(run), "there is no such run", hint)
