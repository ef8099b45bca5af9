"""`gdcli compare A B`: what differs between runs, and what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gdcli.cli.mistakes import every
from gdcli.cli.options import RUN, read, takes
from gdcli.cli.run_folder import folder_of
from gdcli.cli.screen import Screen
from gdcli.errors import UserError
from gdcli.fields import show


@takes({RUN: (Screen,)})
def compare(
    *,
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN", help="runs' folders, or their names in results")
    ],
    **given: object,
) -> int:
    """Show in which settings runs differ, and their results.

    Each method and optimizer is shown at its best setting in each run, by median final training
    loss over the seeds; verdicts are counted over all of its trials.
    """
    screen, *folders = every(
        [lambda: read(Screen, given), *(lambda name=name: folder_of(name) for name in runs)]
    )
    named = _named(folders, runs)
    from gdcli.analysis.compare import best_of_each
    from gdcli.analysis.trials import read_trials
    from gdcli.report.comparison import print_comparison
    from gdcli.runs.differing_settings import differing_settings
    from gdcli.runs.manifest import check_files
    from gdcli.runs.manifest import read as read_manifest

    for folder in folders:
        check_files(folder)
    manifests = {name: read_manifest(folder) for name, folder in named.items()}
    results = best_of_each({name: read_trials(folder) for name, folder in named.items()})
    print_comparison(differing_settings(manifests), results, screen.format, screen.console())
    return 0


def _named(folders: list[Path], runs: list[str]) -> dict[str, Path]:
    """Return the folders by their shortest different names."""
    if len(runs) < 2:
        raise UserError(
            "gdcli compare", f"{show(runs[0])} is one run alone", "give two runs or more"
        )
    for i, folder in enumerate(folders):
        if folder.resolve() in (other.resolve() for other in folders[:i]):
            raise UserError(show(runs[i]), "it is given twice", "give every run once")
    names = [folder.resolve().name for folder in folders]
    if len(set(names)) < len(names):
        names = [str(folder) for folder in folders]
    return dict(zip(names, folders, strict=True))
