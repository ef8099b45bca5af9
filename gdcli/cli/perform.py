"""An experiment from the command line, run or only planned, and what is said about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gdcli.cli.fail_on import exit_code
from gdcli.cli.screen import Screen
from gdcli.errors import MissingData
from gdcli.experiment.experiment import Experiment
from gdcli.fields import counted
from gdcli.runs.options import RunOptions

if TYPE_CHECKING:
    from gdcli.runs.execution import Outcome


def perform(experiment: Experiment, options: RunOptions, screen: Screen, *, dry_run: bool) -> int:
    """Run an experiment and print its results, or print its plan; return the exit code."""
    if dry_run:
        _plan(experiment, options, screen)
        return 0
    from gdcli.executors.choice import executor_of
    from gdcli.report.progress import progress_bar
    from gdcli.runs.execution import execute

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
    from gdcli.report.plan import print_plan, print_trials
    from gdcli.runs.planning import plan_run

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
