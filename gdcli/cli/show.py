"""`gdcli show RUN`: the results of a run, printed again."""

from __future__ import annotations

from typing import Annotated

import typer

from gdcli.cli.options import RUN, read, takes
from gdcli.cli.run_folder import folder_of
from gdcli.cli.screen import Screen


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
