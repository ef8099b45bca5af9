"""`gdcli show RUN`: the results of a run, printed again."""

from __future__ import annotations

from typing import Annotated

import typer

from gdcli.cli.options import RUN, read, takes
from gdcli.cli.run_folder import intact
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
    screen, folder = read(Screen, given), intact(run)
    from gdcli.report.results import print_results

    print_results(folder, screen.format, screen.console())
    return 0
