"""`gdcli compare A B`: what differs between runs, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from annotated_types import Gt, Lt

from gdcli.cli.mistakes import every
from gdcli.cli.options import RUN, read, takes
from gdcli.cli.run_folder import folder_of
from gdcli.cli.screen import Screen
from gdcli.errors import UserError
from gdcli.fields import show


@dataclass(frozen=True)
class Profiles:
    """How solvers are compared over many problems."""

    profile: Annotated[
        bool, "performance and data profiles: which method solves how many problems, how fast"
    ] = False
    tau: Annotated[
        float, "share of the fall from start to lowest loss that may be missing", Gt(0), Lt(1)
    ] = 0.01
    target_loss: Annotated[float | None, "training loss that solves, instead of --tau"] = None

    def __post_init__(self) -> None:
        """Refuse a target that no profile uses; raises UserError."""
        for name in ("tau", "target_loss"):
            if not self.profile and getattr(self, name) != getattr(Profiles, name):
                where = f"--{name.replace('_', '-')}"
                raise UserError(where, "only profiles have a target", "give --profile, too")


@takes({"Profiles": (Profiles,), RUN: (Screen,)})
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

    With --profile methods are compared over problems and seeds: each counts as solved when the
    loss is as low as --tau says, and takes as many epochs as that takes.
    """
    screen, profiles, *folders = every(
        [
            lambda: read(Screen, given),
            lambda: read(Profiles, given),
            *(lambda name=name: folder_of(name) for name in runs),
        ]
    )
    named = _named(folders, runs, fewest=1 if profiles.profile else 2)
    from gdcli.analysis.compare import best_of_each
    from gdcli.analysis.trials import read_trials
    from gdcli.report.comparison import print_comparison
    from gdcli.runs.differing_settings import differing_settings
    from gdcli.runs.manifest import check_files
    from gdcli.runs.manifest import read as read_manifest

    for folder in folders:
        check_files(folder)
    if profiles.profile:
        _print_profiles(folders, profiles, screen)
        return 0
    manifests = {name: read_manifest(folder) for name, folder in named.items()}
    results = best_of_each({name: read_trials(folder) for name, folder in named.items()})
    print_comparison(differing_settings(manifests), results, screen.format, screen.console())
    return 0


def _print_profiles(folders: list[Path], options: Profiles, screen: Screen) -> None:
    from gdcli.analysis.facts import Theory
    from gdcli.analysis.profiles import Source, profiles
    from gdcli.analysis.trials import read_trials
    from gdcli.report.profiles import print_profiles
    from gdcli.runs.manifest import read as read_manifest

    sources = [Source(f, read_trials(f), Theory(read_manifest(f))) for f in folders]
    found = profiles(sources, options.tau, options.target_loss)
    if not any(profile.epochs for profile in found):
        screen.tell("no trial fell below its start: there is nothing to compare")
    print_profiles(found, screen.format, screen.console())


def _named(folders: list[Path], runs: list[str], fewest: int) -> dict[str, Path]:
    """Return the folders by their shortest different names."""
    if len(runs) < fewest:
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
