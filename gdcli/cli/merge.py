"""`gdcli merge DIR... -o OUT`: parts of a run, computed apart, as one run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gdcli.cli.mistakes import every
from gdcli.cli.options import RUN, read, takes
from gdcli.cli.run_folder import any_folder_of
from gdcli.cli.screen import Screen
from gdcli.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gdcli.grid import Trial

MOST_TRIALS = 40  # of the table for people


@takes({RUN: (Screen,)})
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
    screen, *parts = every(
        [lambda: read(Screen, given), *(lambda f=folder: any_folder_of(f) for folder in folders)]
    )
    from gdcli.report.results import print_results
    from gdcli.runs.merge import merge as merged

    out = Path(output)
    missing = merged(parts, out)
    if missing:
        _list(missing, screen)
        what = f"{len(missing)} trials are missing"
        raise RunError(f"{out}: {what}; merge the other parts, too, or run the experiment there")
    print_results(out, screen.format, screen.console())
    screen.tell(f"the results are in {out}")
    return 0


def _list(missing: Sequence[Trial], screen: Screen) -> None:
    from gdcli.report.plan import print_trials

    most = MOST_TRIALS if screen.format == "table" else len(missing)
    print_trials(missing[:most], screen.format, screen.console())
    if len(missing) > most:
        screen.tell(f"and {len(missing) - most} more trials; all: --format csv")
