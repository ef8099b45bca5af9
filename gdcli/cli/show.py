"""`gdcli show RUN`: the results of a run, printed again, and what more its files tell."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gdcli.analysis.thresholds import Thresholds
from gdcli.cli.mistakes import every
from gdcli.cli.options import RUN, read, takes
from gdcli.cli.run_folder import folder_of
from gdcli.cli.screen import Screen

if TYPE_CHECKING:
    from pathlib import Path

    from gdcli.analysis.facts import Theory
    from gdcli.analysis.trials import Trials


@dataclass(frozen=True)
class View:
    """Which of a run's tables is printed."""

    view: Annotated[
        Literal["results", "why", "seeds", "pairs"],
        "best learning rates and curves; why each rate did what it did; how sure the seeds make "
        "the best; or each setting beside the best over shared seeds",
    ] = "results"


@takes({"View": (View,), "Verdicts": (Thresholds,), RUN: (Screen,)})
def show(
    *,
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="a run's folder, or its name in results")
    ],
    **given: object,
) -> int:
    """Print the results of a run again: its tables and its curves.

    The options under Verdicts judge the recorded curves by other thresholds than those that
    summary.csv was written with, which stays as it is.
    """
    screen, view, thresholds, folder = every(
        [
            *(partial(read, cls, given) for cls in (Screen, View, Thresholds)),
            partial(folder_of, run),
        ]
    )
    from gdcli.analysis.facts import Theory
    from gdcli.runs.manifest import check_files
    from gdcli.runs.manifest import read as read_manifest

    check_files(folder)
    theory = Theory(read_manifest(folder))
    _print(view, folder, _trials(folder, theory, thresholds), theory, screen)
    return 0


def _trials(folder: Path, theory: Theory, thresholds: Thresholds) -> Trials:
    """Return the trials, judged anew where other thresholds are asked for."""
    from gdcli.analysis.judged import judged
    from gdcli.analysis.trials import read_trials

    run = read_trials(folder)
    return run if thresholds == Thresholds() else judged(folder, run, theory, thresholds)


def _print(view: View, folder: Path, run: Trials, theory: Theory, screen: Screen) -> None:
    from gdcli.report.results import print_results
    from gdcli.report.rows import print_rows
    from gdcli.report.seeds import PAIR_NOTES, SEED_NOTES, pair_rows, seed_rows
    from gdcli.report.why import why_rows

    console = screen.console()
    if view.view == "results":
        print_results(folder, screen.format, console, run=run, theory=theory)
    elif view.view == "why":
        print_rows(why_rows(folder, run, theory), screen.format, console)
    elif view.view == "seeds":
        print_rows(seed_rows(run), screen.format, console, SEED_NOTES)
    else:
        print_rows(pair_rows(run), screen.format, console, PAIR_NOTES)
