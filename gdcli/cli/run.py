"""Running experiments: `gdcli run PROBLEM` and `gdcli sweep FILE.toml...`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gdcli.cli.failure import report
from gdcli.cli.options import (
    GRID,
    RUN,
    Screen,
    assignments,
    check_place,
    collect_errors,
    options_from,
    print_run,
    read,
)
from gdcli.cli.problem_commands import ReadExperiment, Set, problem_command
from gdcli.door import given_content
from gdcli.errors import GdcliError, MissingData, UserError
from gdcli.experiment.experiment import Experiment
from gdcli.experiment.grid import Axes
from gdcli.experiment.toml import NAMES_SCHEMA, SCHEMA_FILE, dump, load
from gdcli.experiment.training import Training
from gdcli.fields import counted, show
from gdcli.runs.options import COUNTED, RunOptions, checked_name, diagnosed

if TYPE_CHECKING:
    from collections.abc import Callable

    from gdcli.analysis.diagnoses import Diagnoses
    from gdcli.engine.estimate import Estimate
    from gdcli.executors.execute import Outcome


@dataclass(frozen=True)
class SweepMode:
    """What can be done with experiments instead of running them."""

    dry_run: Annotated[
        bool, "print the trials, and the time, memory and disk that they take; run nothing"
    ] = False


@dataclass(frozen=True)
class RunMode(SweepMode):
    """What can be done with an experiment of the command line instead of running it."""

    save: Annotated[Path | None, "write the experiment to this TOML file instead of running it"] = (
        None
    )

    def __post_init__(self) -> None:
        """Raise UserError for both at once."""
        if self.save is not None and self.dry_run:
            raise UserError("--save", "it writes, and --dry-run writes nothing", "leave one out")


@problem_command(
    {GRID: (Axes, Training), RUN: (RunOptions, RunMode, Screen)},
    defaults={"name": "the problem and a hash"},
)
def run(experiment: ReadExperiment, given: Mapping[str, Any]) -> int:
    """Train a problem with every combination of the settings given.

    Each combination of method, optimizer, schedule, learning rate and seed is a trial. The curves
    and results of all trials go to a folder, and gdcli prints which learning rates are best, and
    why. The same command continues a run that was interrupted.
    """
    with collect_errors() as collect:
        screen = collect(read, Screen, given)
        options = collect(read, RunOptions, given)
        collect(_check_name, given)
        mode = collect(read, RunMode, given)
        grid = collect(experiment)
    if mode.save is not None:
        return save(grid, mode.save, screen, overwrite=options.overwrite)
    return perform(grid, options, screen, dry_run=mode.dry_run)


def _check_name(given: Mapping[str, Any]) -> None:
    if given["name"] is not None:
        checked_name(given["name"], "--name")


def save(experiment: Experiment, file: Path, screen: Screen, *, overwrite: bool) -> int:
    """Write an experiment to a TOML file; raises UserError rather than replace another one.

    Where the schema is beside it, the first line lets an editor complete and check the file.
    """
    text = dump(experiment, local=True)
    check_place(file, "--save")
    same = (text.encode(), (NAMES_SCHEMA + text).encode())
    give = "give the name of a new file"
    if file.exists() and not overwrite and given_content(file, "--save", give) not in same:
        fix = "give another name, or --overwrite"
        raise UserError("--save", f"{show(str(file))} exists and holds something else", fix)
    named = NAMES_SCHEMA if (file.parent / SCHEMA_FILE).is_file() else ""
    try:
        file.write_text(named + text, encoding="utf-8")
    except OSError as error:
        error.filename = str(file)  # a full disk names none
        raise
    screen.tell(f"saved, not run; to run it: gdcli sweep {file}")
    return 0


def perform(experiment: Experiment, options: RunOptions, screen: Screen, *, dry_run: bool) -> int:
    """Run an experiment and print its results, or with --dry-run its plan; return the exit code.

    This is the whole job: what is missing of the run's folder is computed and written there, and
    all that is printed is read from the folder.
    """
    from gdcli.executors.execute import execute, plan_run

    if dry_run:
        return _print_plan(plan_run, experiment, options, screen)
    outcome = execute(experiment, options, screen.progress())
    if outcome.missing:  # there are no tables yet
        missing = "batch of another shard is", "batches of other shards are"
        what = f"{counted(outcome.missing, *missing)} not there yet"
        screen.tell(f"{what}: whoever computes the last writes the results to {outcome.folder}")
        return exit_code(outcome, None, options, screen)
    diagnoses = _print(outcome, options, screen)
    _tell_where(outcome, screen)
    return exit_code(outcome, diagnoses, options, screen)


def _print(outcome: Outcome, options: RunOptions, screen: Screen) -> Diagnoses | None:
    """Print the results, or the folder alone; return the diagnoses of the trials if it has them."""
    if screen.terse:
        screen.print_path(outcome.folder)
        if not outcome.failed and not _words(options):
            return None
    # A table lists what failed itself.
    listed = screen.format == "table" and not screen.terse
    failures = bool(outcome.failed) and not listed
    return print_run(outcome.folder, screen, results=not screen.terse, failures=failures)


def _tell_where(outcome: Outcome, screen: Screen) -> None:
    """Print on stderr where the results are, and whether trials failed."""
    if outcome.failed:
        what = f"{outcome.failed} of {counted(outcome.trials, 'trial', 'trials')} failed"
        screen.warn(f"{what}: see {outcome.folder / 'summary.csv'}; --retry-failed runs them again")
    if outcome.ready:
        again = "--overwrite computes them again"
        screen.tell(f"nothing to do: the results are in {outcome.folder}; {again}")
    else:
        screen.tell(f"the results are in {outcome.folder}")


def exit_code(
    outcome: Outcome, diagnoses: Diagnoses | None, options: RunOptions, screen: Screen
) -> int:
    """Return 1 when a trial ended in one of the ways that --fail-on lists, and say so; else 0.

    diagnoses: of the run, where --fail-on has words that need them and the tables are there.
    """
    if "none" in options.fail_on:
        return 0
    counts = {word: outcome.diverged for word in options.fail_on if word == "diverged"}
    if diagnoses is not None and _words(options):
        meant = diagnosed()
        found = [{one.state, *one.qualities} for _, one in diagnoses.all()]
        counts |= {word: sum(meant[word] in of for of in found) for word in _words(options)}
    said = ", ".join(f"{counts[word]} {word}" for word in options.fail_on if counts.get(word))
    if said:
        trials = counted(outcome.trials, "trial", "trials")
        screen.warn(f"{said} of {trials}: --fail-on makes the exit code 1")
    return int(bool(outcome.failed or said))


def _words(options: RunOptions) -> list[str]:
    """Return the words of --fail-on that only a diagnosis tells."""
    return [word for word in options.fail_on if word not in (*COUNTED, "none")]


def _print_plan(
    plan_run: Callable[[Experiment, RunOptions], tuple[Estimate, list[str]]],
    experiment: Experiment,
    options: RunOptions,
    screen: Screen,
) -> int:
    """Print what a run would do and take; nothing is written. Return the exit code.

    Where the data are not there, what it would take is not known: only the trials are printed.
    """
    from gdcli.report.dry_run import print_plan, print_trials

    try:
        plan, notes = plan_run(experiment, options)
    except MissingData as missing:
        print_trials(experiment.grid.trials, screen.format, screen.console())
        absent = f"the data are not there, so that time, memory and disk are not known: {missing}"
        screen.warn(f"{counted(len(experiment.grid.trials), 'trial', 'trials')}; {absent}")
    else:
        for line in notes:
            screen.tell(line)
        print_plan(plan, screen.format, screen.console())
    return 0


@options_from({RUN: (RunOptions, SweepMode, Screen)}, {"name": "the file's name"})
def sweep(
    *,
    files: Annotated[
        list[str], typer.Argument(metavar="FILE", help="TOML files, an experiment each")
    ],
    set_: Set = None,
    **given: object,
) -> int:
    """Run the experiments of TOML files, one after another.

    All files are read first: a mistake in any of them is reported before anything runs. Each run
    is named after its file. To write such a file, add --save FILE.toml to gdcli run.
    """
    with collect_errors() as collect:
        screen = collect(read, Screen, given)
        options = collect(read, RunOptions, given)
        mode = collect(read, SweepMode, given)
        names = collect(_names, files, given)
        experiments = collect(_load, files, set_ or [])
    runs = [
        (experiment, replace(options, name=name))
        for experiment, name in zip(experiments, names, strict=True)
    ]
    if not mode.dry_run:
        _check(files, runs)
    codes = []
    for experiment, named in runs:
        if len(names) > 1 and screen.format == "table" and not screen.quiet:
            screen.console().print(f"{named.name}\n{'=' * len(named.name or '')}")
        try:
            codes.append(perform(experiment, named, screen, dry_run=mode.dry_run))
        except GdcliError as error:  # the others run even if one cannot
            codes.append(report(error, verbose=screen.verbose))
    return max(codes)


def _check(files: list[str], runs: list[tuple[Experiment, RunOptions]]) -> None:
    """Raise every mistake that only the data or the machine tell, before anything runs."""
    from gdcli.executors import execute, supervisor

    def check_one(file: str, experiment: Experiment, options: RunOptions) -> None:
        try:
            execute.check(experiment, options)
        except UserError as error:
            raise UserError(f"{file}: {error.where}", error.what, error.fix) from None

    supervisor.executor_of(runs[0][1])
    with collect_errors() as collect:
        for file, (experiment, options) in zip(files, runs, strict=True):
            collect(check_one, file, experiment, options)


def _load(files: list[str], settings: list[str]) -> list[Experiment]:
    overrides = assignments(settings, "--set")
    with collect_errors() as collect:
        return [collect(load, Path(file), overrides) for file in files]


def _names(files: list[str], given: Mapping[str, object]) -> list[str]:
    """Return the name of each file's run; raises UserError where two would be one."""
    if given.get("name") is not None:
        return [_only_name(str(given["name"]), files)]
    with collect_errors() as collect:
        names = [collect(checked_name, Path(file).stem, file) for file in files]
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
