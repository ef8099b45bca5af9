"""An experiment file in the place of a problem and the options of its grid."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar

import typer

from gdcli.catalog.user_code import name_in
from gdcli.cli.assignments import assignments
from gdcli.cli.mistakes import every
from gdcli.errors import UserError
from gdcli.experiment.experiment import Experiment
from gdcli.experiment.grid import Axes, Grid, Training
from gdcli.experiment.toml import load
from gdcli.fields import options_of

T = TypeVar("T", Axes, Training)
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


def from_file(
    file: str,
    settings: list[str] | None,
    command: str,
    decided: Collection[str],
    own: Collection[str] = (),
) -> Experiment:
    """Return a file's experiment, with the defaults in place of what a command itself decides.

    decided: settings that the command makes itself; own: those of them that it has an option for.
    Raises UserErrors that name the lines of mistakes, and what is set in vain.
    """
    values = assignments(settings or [], "--set")
    vain = {key: name for key in values if (name := _name(key)) in decided}
    read = {key: value for key, value in values.items() if key not in vain}
    refusals = (partial(_refuse, key, name, command, own) for key, name in vain.items())
    experiment: Experiment
    *_, experiment = every([*refusals, partial(load, Path(file), read)])
    return replace(experiment, grid=_without(experiment.grid, decided))


def _name(key: str) -> str:
    """Return the option of the grid that a key of --set means."""
    return key.replace("_", "-").removeprefix("grid.")


def _refuse(key: str, name: str, command: str, own: Collection[str]) -> NoReturn:
    fix = f"give --{name}" if name in own else "leave it out"
    raise UserError(f"--set {key}", f"{command} takes no {name} from a file", fix)


def _without(grid: Grid, names: Collection[str]) -> Grid:
    """Return a grid with the defaults of these settings, which are axes of it no more."""
    axes, training = _defaults(grid.axes, names), _defaults(grid.training, names)
    gone = {*map(name_in, grid.axes.schedule)} - {*map(name_in, axes.schedule)}
    vary = {name: of for name, of in grid.vary.items() if name.rpartition(".")[0] not in gone}
    left = {option.field for option in options_of(Axes).values() if option.name not in names}
    zips = [[name for name in zipped if name in left or name in vary] for zipped in grid.zip]
    together = [zipped for zipped in zips if len(zipped) > 1]
    return replace(grid, axes=axes, training=training, vary=vary, zip=together)


def _defaults(part: T, names: Collection[str]) -> T:
    """Return axes or training settings with the defaults of those that are named."""
    options = options_of(type(part)).values()
    return replace(part, **{o.field: o.default for o in options if o.name in names})
