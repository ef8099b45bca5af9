"""What is printed of a run: its best learning rates, its losses over them, its curves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from gdcli.analysis.diagnoses import Diagnoses
from gdcli.analysis.diagnosis.diagnosis import DEFAULT
from gdcli.analysis.diagnosis.limits import Limits
from gdcli.analysis.facts import Theory
from gdcli.analysis.quantization import quantization_rows
from gdcli.analysis.results import Setting, settings_of
from gdcli.analysis.trials import Trial, read_trials
from gdcli.report.baseline import baseline_columns, baseline_lines
from gdcli.report.charts.charts import Source, curves, of_settings
from gdcli.report.charts.terminal import print_picture
from gdcli.report.console import literal, print_lines
from gdcli.report.headline import headline
from gdcli.report.labels import namer
from gdcli.report.quantization import QUANTIZATION_NOTES
from gdcli.report.rows import print_rows
from gdcli.report.tables import best_lines, best_rows
from gdcli.report.why import why_lines
from gdcli.runs.manifest import read as read_manifest

if TYPE_CHECKING:
    from rich.console import Console

MOST_ROWS = 40  # of a table for people: more would hide what comes first
MOST_MESSAGES = 5


def print_results(
    folder: Path,
    form: str,
    console: Console,
    diagnoses: Diagnoses | None = None,
) -> None:
    """Print the results of a run's folder as the `form` table, csv, json or md.

    table: the result in a sentence, why, the best learning rates, the losses over all of them, and
    the curves at the best. The other forms: the best learning rates alone, one row a setting. The
    diagnoses are made with the usual limits unless they are given. Raises UserError where a file
    is missing or damaged.
    """
    diagnoses = diagnoses or diagnoses_of(folder)
    settings = settings_of(diagnoses.run.trials)
    if form == "table":
        _print_all(folder, diagnoses, settings, console)
    else:
        _print_rows(diagnoses, settings, form, console)


def _print_rows(
    diagnoses: Diagnoses, settings: Sequence[Setting], form: str, console: Console
) -> None:
    """Print the best learning rates alone; a table for people has the baseline in a line."""
    rates = [trial.lr for trial in diagnoses.run.trials]
    rows = best_rows(diagnoses, settings)
    if form != "md":
        columns = baseline_columns(diagnoses, settings)
        rows = [{**row, **more} for row, more in zip(rows, columns, strict=True)]
    print_rows(rows, form, console, rates=rates)
    if form == "md" and settings:
        lines = baseline_lines(diagnoses, settings, _names(diagnoses, settings))
        _print(console, *(("", *lines) if lines else ()))


def _names(diagnoses: Diagnoses, settings: Sequence[Setting]) -> list[str]:
    return list(map(namer(diagnoses.run.names, settings), settings))


def diagnoses_of(folder: Path, limits: Limits = DEFAULT) -> Diagnoses:
    """Return the diagnoses of a run's trials; raises UserError where a file is damaged."""
    there = (folder / "manifest.json").is_file()
    theory = Theory(read_manifest(folder)) if there else None
    return Diagnoses(read_trials(folder), theory, limits)


def print_failures(folder: Path, console: Console) -> None:
    """Print the messages that trials of a run failed with, a line each."""
    _print(console, *_failures(read_trials(folder).trials))


def _print_all(
    folder: Path, diagnoses: Diagnoses, settings: Sequence[Setting], console: Console
) -> None:
    if not settings:
        console.print("The run has no trials.")
        return
    run, theory = diagnoses.run, diagnoses.theory
    shown, source = _lowest(settings), Source(folder, run)
    labels = list(map(source.name, shown))
    _print(console, *(Text(literal(line), "bold") for line in headline(diagnoses, shown, labels)))
    why = why_lines(folder, diagnoses, shown, labels)
    _print(console, *(("", "Why", *why) if why else ()), "")
    title = "Best learning rate of each setting, by median final training loss over seeds"
    _print(console, title, *best_lines(diagnoses, shown, labels, console.width))
    _print(console, *baseline_lines(diagnoses, shown, labels))
    if len(shown) < len(settings):
        rest = f"{len(settings) - len(shown)} settings with higher losses"
        _print(console, f"{rest} are not shown; all: --format csv, or {folder / 'summary.csv'}")
    if len({cell.lr for setting in shown for cell in setting.cells}) > 1:
        _print(console, "")
        print_picture(of_settings(source, shown), console)
    if theory is not None and (rows := quantization_rows(run, shown, theory)):
        _print(console, "\nWhat rounding costs")
        print_rows(rows, "table", console, QUANTIZATION_NOTES)
    if any(cell.ran for setting in settings for cell in setting.cells):
        _print(console, "")
        print_picture(curves(source), console)
    _print(console, *_failures(run.trials))


def _lowest(settings: Sequence[Setting]) -> list[Setting]:
    """Return the settings that are shown, those with the lowest losses, in their order."""
    ranked = sorted(range(len(settings)), key=lambda place: settings[place].median)
    return [settings[place] for place in sorted(ranked[:MOST_ROWS])]


def _failures(trials: Sequence[Trial]) -> list[str]:
    """Return a line for each message that trials failed with, and how many they are."""
    failed: dict[str, list[str]] = {}
    for trial in trials:
        if trial.status == "failed":
            failed.setdefault(trial.message, []).append(trial.id)
    lines = [
        f"{len(ids)} failed: {literal(message)} (trial {literal(ids[0])})"
        for message, ids in failed.items()
    ]
    rest = len(lines) - MOST_MESSAGES
    return lines if rest <= 0 else [*lines[:MOST_MESSAGES], f"and {rest} more messages"]


def _print(console: Console, *lines: str | Text) -> None:
    """Print sentences and rows, no word or number broken."""
    print_lines(lines, console)
