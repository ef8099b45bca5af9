"""`gdcli run PROBLEM`: one experiment, said on the command line.

`--save FILE.toml`: the file that a command line means.

An experiment from the command line, run or only planned, and what is said about it.

`--fail-on`: which ends of trials make the exit code of a run 1.

`gdcli sweep FILE.toml...`: experiments from files, one after another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gdcli.cli.failure import report
from gdcli.cli.options import RUN, Screen, assignments, every, read, takes
from gdcli.cli.problem_commands import Problems, Set, Vary, Zip
from gdcli.door import given_content
from gdcli.errors import GdcliError, MissingData, UserError
from gdcli.experiment.experiment import Experiment
from gdcli.experiment.grid import Axes, Training
from gdcli.fields import counted, show
from gdcli.problem import Problem
from gdcli.runs.options import COUNTED, RunOptions, checked_name, diagnosed

if TYPE_CHECKING:
    from gdcli.executors.execute import Outcome

GIVE = "give the name of a new file"


def save(experiment: Experiment, file: Path, screen: Screen, *, overwrite: bool) -> int:
    """Write an experiment to a TOML file; raises UserError rather than replace another one.

    Where the schema is beside it, the first line lets an editor complete and check the file.
    """
    from gdcli.experiment.toml import NAMES_SCHEMA, SCHEMA_FILE, dump

    text = dump(experiment, local=True)
    if file.is_dir() or not file.parent.is_dir():
        what = "is a folder" if file.is_dir() else "is in no folder that exists"
        raise UserError(
            "--save", f"{show(str(file))} {what}", "give a file in a folder that exists"
        )
    same = (text.encode(), (NAMES_SCHEMA + text).encode())
    if file.exists() and not overwrite and given_content(file, "--save", GIVE) not in same:
        fix = "give another name, or --overwrite"
        raise UserError("--save", f"{show(str(file))} exists and says something else", fix)
    named = NAMES_SCHEMA if (file.parent / SCHEMA_FILE).is_file() else ""
    try:
        file.write_text(named + text, encoding="utf-8")
    except OSError as error:
        error.filename = str(file)  # a full disk names none
        raise
    screen.tell(f"saved, not run; to run it: gdcli sweep {file}")
    return 0


def exit_code(outcome: Outcome, options: RunOptions, screen: Screen) -> int:
    """Return 1 when a trial failed or is what --fail-on lists, and say so; else 0."""
    if "none" in options.fail_on:
        return 0
    counts = _counts(outcome, options)
    if counts:
        said = ", ".join(f"{count} {word}" for word, count in counts.items())
        trials = counted(outcome.trials, "trial", "trials")
        screen.warn(f"{said} of {trials}: --fail-on makes the exit code 1")
    return int(bool(outcome.failed or counts))


def _counts(outcome: Outcome, options: RunOptions) -> dict[str, int]:
    """Return how many trials have each of the words, of those that some have."""
    words = [word for word in options.fail_on if word != "failed"]
    counts = {word: outcome.diverged for word in words if word in COUNTED}
    rest = [word for word in words if word not in COUNTED]
    if rest and not outcome.missing:  # else there are no tables yet
        from gdcli.report.results import diagnoses_of

        meant = diagnosed()
        found = [{one.state, *one.qualities} for _, one in diagnoses_of(outcome.folder).all()]
        counts |= {word: sum(meant[word] in said for said in found) for word in rest}
    return {word: counts[word] for word in words if counts.get(word)}


def perform(experiment: Experiment, options: RunOptions, screen: Screen, *, dry_run: bool) -> int:
    """Run an experiment and print its results, or print its plan; return the exit code."""
    if dry_run:
        _plan(experiment, options, screen)
        return 0
    from gdcli.executors.choice import executor_of
    from gdcli.executors.execute import execute
    from gdcli.report.progress import progress_bar

    bar = progress_bar(quiet=screen.quiet, color=not screen.no_color)
    outcome = execute(experiment, options, bar, executor_of(options))
    if outcome.missing:
        missing = "batch of another shard is", "batches of other shards are"
        what = f"{counted(outcome.missing, *missing)} not there yet"
        screen.tell(f"{what}: whoever computes the last writes the results to {outcome.folder}")
    else:
        _show(outcome, screen)
    return exit_code(outcome, options, screen)


def _show(outcome: Outcome, screen: Screen) -> None:
    """Print the results, and on stderr where they are and whether trials failed."""
    from gdcli.report.results import print_failures, print_results

    if screen.terse:
        screen.print_path(outcome.folder)
    else:
        print_results(outcome.folder, screen.format, screen.console())
    if outcome.failed:
        if screen.terse or screen.format != "table":  # which lists them itself
            print_failures(outcome.folder, screen.console(stderr=True))
        what = f"{outcome.failed} of {counted(outcome.trials, 'trial', 'trials')} failed"
        screen.warn(f"{what}: see {outcome.folder / 'summary.csv'}; --retry-failed runs them again")
    if outcome.ready:
        again = "--overwrite computes them again"
        screen.tell(f"nothing to do: the results are in {outcome.folder}; {again}")
    else:
        screen.tell(f"the results are in {outcome.folder}")


def _plan(experiment: Experiment, options: RunOptions, screen: Screen) -> None:
    """Print what a run would do and take; nothing is written.

    Where the data are not there, what it would take is not known: only the trials are printed.
    """
    from gdcli.engine.examples import notes_of
    from gdcli.executors.execute import plan_run
    from gdcli.report.plan import print_plan, print_trials

    try:
        plan = plan_run(experiment, options)
    except MissingData as missing:
        print_trials(experiment.grid.trials, screen.format, screen.console())
        absent = f"the data are not there, so that time, memory and disk are not known: {missing}"
        screen.warn(f"{counted(len(experiment.grid.trials), 'trial', 'trials')}; {absent}")
    else:
        for line in notes_of(cohort.trials[0] for cohort in experiment.grid.cohorts):
            screen.tell(line)
        print_plan(plan, screen.format, screen.console())


WHERE = "gdcli run"


@dataclass(frozen=True)
class RunMode:
    """What can be done with an experiment instead of running it."""

    save: Annotated[Path | None, "write the experiment to this TOML file; do not run it"] = None
    dry_run: Annotated[bool, "print trials, steps, time, memory and disk; write nothing"] = False


class Run(Problems):
    """Run a grid of experiments on a problem."""

    where = WHERE
    beside = (Axes, Training, RunOptions, RunMode, Screen)

    @staticmethod
    def function(name: str, problem: type[Problem]) -> Callable[..., int]:
        """Return what runs a problem: its options are the problem's and the grid's."""
        defaults = {
            "lr": (problem.default_lr,),
            "epochs": problem.default_epochs,
            "name": "the problem and a hash",
        }
        panels = {
            "Problem": (problem,),
            "Grid": (Axes, Training),
            RUN: (RunOptions, RunMode, Screen),
        }

        @takes(panels, defaults)
        def command(*, vary: Vary = None, zip_: Zip = None, **given: object) -> int:
            return _run(partial(Run.experiment, name, problem, given, vary, zip_), given)

        return command


def _run(read_experiment: Callable[[], Experiment], given: Mapping[str, Any]) -> int:
    screen, options, _, instead, experiment = every(
        [
            lambda: read(Screen, given),
            lambda: read(RunOptions, given),
            lambda: given["name"] is None or checked_name(given["name"], "--name"),
            lambda: read(RunMode, given),
            read_experiment,
        ]
    )
    if instead.save is not None and instead.dry_run:
        raise UserError("--save", "it writes, and --dry-run writes nothing", "leave one out")
    if instead.save is not None:
        return save(experiment, instead.save, screen, overwrite=options.overwrite)
    return perform(experiment, options, screen, dry_run=instead.dry_run)


@dataclass(frozen=True)
class SweepMode:
    """What can be done with experiments instead of running them."""

    dry_run: Annotated[bool, "print trials, steps, time, memory and disk; write nothing"] = False


@takes({RUN: (RunOptions, SweepMode, Screen)}, {"name": "the file's name"})
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
            lambda: read(SweepMode, given),
            lambda: _names(files, given),
            lambda: _load(files, set_ or []),
        ]
    )
    if not instead.dry_run:
        _check_all(files, experiments, [replace(options, name=name) for name in names])
    codes = []
    for name, experiment in zip(names, experiments, strict=True):
        if len(names) > 1 and screen.format == "table" and not screen.quiet:
            screen.console().print(f"{name}\n{'=' * len(name)}")
        codes.append(_perform_one(experiment, replace(options, name=name), screen, instead))
    return max(codes)


def _check_all(files: list[str], experiments: list[Experiment], options: list[RunOptions]) -> None:
    """Raise every mistake that only the data or the machine tell, before anything runs."""
    from gdcli.executors.choice import executor_of

    executor_of(options[0])
    every(partial(_check_one, *each) for each in zip(files, experiments, options, strict=True))


def _check_one(file: str, experiment: Experiment, options: RunOptions) -> None:
    from gdcli.executors.execute import check

    try:
        check(experiment, options)
    except UserError as error:
        raise UserError(f"{file}: {error.where}", error.what, error.fix) from None


def _perform_one(
    experiment: Experiment, options: RunOptions, screen: Screen, instead: SweepMode
) -> int:
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
