"""`gdcli show RUN`: the results of a run, printed again, and what more its files tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, cast

from gdcli.analysis.diagnosis.limits import Limits
from gdcli.cli.options import RUN, RunArgument, Screen, collect_errors, options_from, read
from gdcli.errors import UserError
from gdcli.fields import convert, suggestion
from gdcli.fields import show as show_value
from gdcli.runs.run_folder import intact

if TYPE_CHECKING:
    from pathlib import Path

    from gdcli.analysis.diagnoses import Diagnoses
    from gdcli.analysis.targets import Target
    from gdcli.analysis.theory import RunConstants
    from gdcli.runs.trials import Trials


@dataclass(frozen=True)
class View:
    """Which of a run's tables is printed."""

    view: Annotated[
        Literal["results", "why", "seeds", "pairs", "target", "quantization"],
        "best learning rates and curves; why each rate did what it did; how sure the seeds make "
        "the best; each setting beside the best over shared seeds; time to a target; or what "
        "rounding costs",
    ] = "results"
    target_loss: Annotated[float | None, "training loss of --view target; the run's own"] = None
    target_metric: Annotated[
        str | None, "instead of a loss, a column of curves.csv: test_accuracy=0.9"
    ] = None
    pair: Annotated[
        tuple[str, str] | None,
        "two settings of --view pairs, by name or row of the results: 'gd vanilla,gd adam'",
    ] = None

    def __post_init__(self) -> None:
        """Refuse a target or a pair that would not be used; raises UserError."""
        if self.pair is not None and self.view != "pairs":
            raise UserError("--pair", f"--view {self.view} has no pairs", "give --view pairs")
        for name in ("target_loss", "target_metric"):
            if getattr(self, name) is not None and self.view != "target":
                where = f"--{name.replace('_', '-')}"
                raise UserError(where, f"--view {self.view} has no target", "give --view target")
        if self.target_loss is not None and self.target_metric is not None:
            raise UserError(
                "--target-metric", "--target-loss is given, too", "leave one of them out"
            )

    def target(self, run: Trials, theory: RunConstants) -> Target:
        """Return the target; raises UserError where there is none."""
        from gdcli.analysis.targets import Target

        if self.target_metric is not None:
            return Target(*_metric(self.target_metric, run))
        own = theory.goals.target_loss
        if self.target_loss is not None:
            return Target("train_loss", self.target_loss, own=self.target_loss == own)
        if own is None:
            fix = "give --target-loss or --target-metric"
            raise UserError("--view", "the run has no target of its own", fix)
        return Target("train_loss", own, own=True)


def _metric(given: str, run: Trials) -> tuple[str, float]:
    """Return the column and the value of NAME=VALUE."""
    name, _, raw = given.partition("=")
    value = convert(raw, float)
    if value is None:
        fix = "give NAME=VALUE, such as test_accuracy=0.9"
        raise UserError("--target-metric", f"{show_value(given)} is no name and a number", fix)
    known = ("grad_norm", "test_loss", *run.metrics)
    column = name.strip().replace("-", "_")
    if column not in known:
        hint = suggestion(name, known) or f"give one of {', '.join(known)}"
        raise UserError("--target-metric", f"the run has no metric {show_value(name)}", hint)
    return column, value


@options_from({"View": (View,), "Diagnosis": (Limits,), RUN: (Screen,)})
def show(
    *,
    run: RunArgument,
    **given: object,
) -> int:
    """Print the results of a run again: its tables and its curves.

    The options under Diagnosis set where one word ends and the next begins; the run's files stay
    as they are.
    """
    with collect_errors() as collect:
        screen = collect(read, Screen, given)
        view = collect(read, View, given)
        limits = collect(read, Limits, given)
        folder = collect(intact, run)
    from gdcli.report.results import diagnoses_of

    _print(view, folder, diagnoses_of(folder, limits), screen)
    return 0


def _print(view: View, folder: Path, diagnoses: Diagnoses, screen: Screen) -> None:
    from gdcli.analysis.best import settings_of
    from gdcli.report.headline import baseline_lines
    from gdcli.report.labels import namer
    from gdcli.report.results import QUANTIZATION_NOTES, print_results, quantized_rows
    from gdcli.report.text_tables import print_rows
    from gdcli.report.views.pairs import NAMED_NOTES, pair_of_run
    from gdcli.report.views.seeds import NO_PAIRS, PAIR_NOTES, SEED_NOTES, pair_rows, seed_rows
    from gdcli.report.views.target import TARGET_NOTES, target_rows
    from gdcli.report.why import MORE, why_notes, why_rows, why_table

    console, run = screen.console(), diagnoses.run
    rates = [trial.lr for trial in run.trials]
    theory = cast("RunConstants", diagnoses.theory)  # `intact` holds only with a manifest
    if view.view == "results":
        print_results(folder, screen.format, console, diagnoses)
    elif view.view == "quantization":
        rows = quantized_rows(run, settings_of(run.trials), theory)
        print_rows(rows, screen.format, console, QUANTIZATION_NOTES)
    elif view.view == "why":
        told = why_table if screen.format in ("table", "md") else why_rows
        table = told(folder, diagnoses)
        settings = settings_of(run.trials)
        base = baseline_lines(diagnoses, settings, list(map(namer(run.names, settings), settings)))
        print_rows(table, screen.format, console, [*why_notes(table), *base, MORE], rates)
    elif view.view == "seeds":
        print_rows(seed_rows(run), screen.format, console, SEED_NOTES, rates)
    elif view.pair is not None:
        print_rows(pair_of_run(run, view.pair, theory), screen.format, console, NAMED_NOTES, rates)
    elif view.view == "pairs":
        found = pair_rows(run)
        print_rows(found, screen.format, console, PAIR_NOTES if found else NO_PAIRS, rates)
    else:
        rows = target_rows(folder, run, view.target(run, theory))
        print_rows(rows, screen.format, console, TARGET_NOTES, rates)
