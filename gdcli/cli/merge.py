"""`gdcli merge DIR... -o OUT`: parts of a run, computed apart, as one run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gdcli.cli.mistakes import every
from gdcli.cli.options import RUN, read, takes
from gdcli.cli.screen import Screen
from gdcli.cli.trust import Trust
from gdcli.errors import RunError
from gdcli.fields import counted
from gdcli.runs.run_folder import any_folder_of


@takes({RUN: (Trust, Screen)})
def merge(
    *,
    folders: Annotated[
        list[str], typer.Argument(metavar="DIR", help="folders of the parts, such as shards")
    ],
    output: Annotated[
        str,
        typer.Option(
            "-o", "--output", metavar="PATH", help="the merged run's folder", rich_help_panel=RUN
        ),
    ],
    **given: object,
) -> int:
    """Put the parts of a run, computed apart, into one folder.

    When all batches are there the tables are written and printed. Else the trials that are
    missing are listed and the exit code is 1; the run's own command goes on in the folder.
    """
    screen, trust, *parts = every(
        [
            lambda: read(Screen, given),
            lambda: read(Trust, given),
            *(lambda f=folder: any_folder_of(f) for folder in folders),
        ]
    )
    from gdcli.report.plan import print_trials
    from gdcli.report.results import print_results
    from gdcli.runs.merge import merge as merged

    out = Path(output)
    missing = merged(parts, out, trust=trust.trust)
    if missing:
        print_trials(missing, screen.format, screen.console())
        what = f"{counted(len(missing), 'trial is', 'trials are')} missing"
        raise RunError(f"{out}: {what}; merge the other parts, too, or run the experiment there")
    if screen.terse:
        screen.print_path(out)
    else:
        print_results(out, screen.format, screen.console())
    screen.tell(f"the results are in {out}")
    return 0
