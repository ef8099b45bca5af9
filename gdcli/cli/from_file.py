"""An experiment file in the place of a problem and the options of its grid."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from gdcli.cli.assignments import assignments
from gdcli.experiment import Experiment
from gdcli.experiment_file import load
from gdcli.fields import options_of
from gdcli.training import Training

ENDING = ".toml"
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUES",
        help="a value instead of the file's own; may be repeated",
    ),
]


def is_experiment(name: str) -> bool:
    """Return whether what stands where a problem is named is an experiment file."""
    return name.lower().endswith(ENDING)


def from_file(file: str, settings: list[str] | None, decided: Collection[str]) -> Experiment:
    """Return a file's experiment, with the defaults in place of what a command itself decides.

    Raises UserErrors that name the lines of mistakes.
    """
    experiment = load(Path(file), assignments(settings or [], "--set"))
    options = options_of(Training)
    own = {options[name].field: options[name].default for name in decided}
    training = replace(experiment.grid.training, **own)
    return replace(experiment, grid=replace(experiment.grid, training=training))
