"""`gdcli runs [FOLDER]`: which runs there are, and how far each is."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from gdcli.cli.options import RUN, read, takes
from gdcli.cli.screen import Screen
from gdcli.errors import UserError
from gdcli.fields import show


@takes({RUN: (Screen,)})
def runs(
    *,
    folder: Annotated[
        str | None, typer.Argument(metavar="FOLDER", help="folder of runs; results")
    ] = None,
    **given: object,
) -> int:
    """List the runs in a folder, and how far each of them is.

    The state is told by checksums and locks, never by a process id: complete results are what the
    run wrote; a partial run goes on with its own command; a damaged one is made whole by it; a
    process is at work on one that is in progress.
    """
    screen = read(Screen, given)
    if folder is not None and not Path(folder).is_dir():
        fix = "give the folder that runs are in, such as results"
        raise UserError(show(folder), "there is no such folder", fix)
    from gdcli.report.listing import print_listing
    from gdcli.runs.overview import overview

    where = Path(folder or "results")
    rows = [asdict(entry) for entry in overview(where)] if where.is_dir() else []
    if rows or screen.format == "json":
        print_listing(rows, screen.format, screen.console())
    if not rows:
        screen.tell(f"there are no runs in {where}")
    return 0
