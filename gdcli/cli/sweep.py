"""`gdcli sweep FILE.toml...`: experiments from files, one after another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from gdcli.cli.assignments import assignments
from gdcli.cli.failure import report
from gdcli.cli.from_file import Set
from gdcli.cli.mistakes import every
from gdcli.cli.options import RUN, read, takes
from gdcli.cli.perform import perform
from gdcli.cli.screen import Screen
from gdcli.errors import GdcliError, UserError
from gdcli.experiment.experiment import Experiment
from gdcli.fields import show
from gdcli.runs.options import RunOptions
from gdcli.runs.run_name import checked_name


@dataclass(frozen=True)
class Instead:
    """What can be done with experiments instead of running them."""

    dry_run: Annotated[bool, "print trials, steps, time, memory and disk; write nothing"] = False


@takes({RUN: (RunOptions, Instead, Screen)}, {"name": "the file's name"})
def sweep(
    *,
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="experiment as TOML")],
    set_: Set = None,
    **given: object,
) -> int:
    """Run the experiments of TOML files, one after another.

    All files are read first: a mistake in any of them is reported before anything runs. Each
    run is named after its file.
    """
    screen, options, instead, names, experiments = every(
        [
            lambda: read(Screen, given),
            lambda: read(RunOptions, given),
            lambda: read(Instead, given),
            lambda: _names(files, given),
            lambda: _load(files, set_ or []),
        ]
    )
    if not instead.dry_run:
        _check(files, experiments, [replace(options, name=name) for name in names])
    codes = []
    for name, experiment in zip(names, experiments, strict=True):
        if len(names) > 1 and screen.format == "table" and not screen.quiet:
            screen.console().print(f"{name}\n{'=' * len(name)}")
        codes.append(_perform(experiment, replace(options, name=name), screen, instead))
    return max(codes)


def _check(files: list[str], experiments: list[Experiment], options: list[RunOptions]) -> None:
    """Raise every mistake that only the data or the machine tell, before anything runs."""
    from gdcli.executors.choice import executor_of

    executor_of(options[0])
    every(partial(_check_one, *each) for each in zip(files, experiments, options, strict=True))


def _check_one(file: str, experiment: Experiment, options: RunOptions) -> None:
    from gdcli.runs.execution import check

    try:
        check(experiment, options)
    except UserError as error:
        raise UserError(f"{file}: {error.where}", error.what, error.fix) from None


def _perform(experiment: Experiment, options: RunOptions, screen: Screen, instead: Instead) -> int:
    """Run one of several experiments; the others run even if it cannot."""
    try:
        return perform(experiment, options, screen, dry_run=instead.dry_run)
    except GdcliError as error:
        return report(error, verbose=screen.verbose)


def _load(files: list[str], settings: list[str]) -> list[Experiment]:
    from gdcli.experiment.toml import load

    overrides = assignments(settings, "--set")
    return every(partial(load, Path(file), overrides) for file in files)


def _names(files: list[str], given: Mapping[str, object]) -> list[str]:
    """Return the name of each file's run; raises UserError where two would be one."""
    if given.get("name") is not None:
        return [_only_name(str(given["name"]), files)]
    names = every(partial(checked_name, Path(file).stem, file) for file in files)
    for i, stem in enumerate(names):
        if stem in names[:i]:
            what = f"{files[names.index(stem)]} and {files[i]} would both be the run {show(stem)}"
            raise UserError(files[i], what, "rename one, or sweep them one by one with --name")
    return names


def _only_name(name: str, files: list[str]) -> str:
    if len(files) > 1:
        what = f"{show(name)} would name {len(files)} runs"
        raise UserError("--name", what, "leave it out: each run is named after its file")
    return checked_name(name, "--name")
