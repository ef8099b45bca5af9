"""What `gdcli plot` and `gdcli compare` draw and print, imported when their options are right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from gdcli.analysis.best import best_of_each
from gdcli.analysis.targets import ProfiledRun, profiles
from gdcli.analysis.theory import RunConstants
from gdcli.report import comparison
from gdcli.report.charts.chart import print_points
from gdcli.report.charts.charts import (
    best_of_runs,
    curves,
    heatmap,
    multiples,
    read_source,
    sensitivity,
    settings_of_runs,
    source_of,
)
from gdcli.report.charts.figure_files import figure_bytes
from gdcli.report.charts.terminal import print_picture
from gdcli.report.text_tables import print_rows
from gdcli.runs import atomic
from gdcli.runs.manifest import differing_settings, unlike_problems
from gdcli.runs.manifest import read as read_manifest
from gdcli.runs.trials import read_trials

if TYPE_CHECKING:
    from pathlib import Path

    from gdcli.cli.look import Picture, RunCurves
    from gdcli.cli.options import Screen
    from gdcli.report.charts.chart import Chart, HeatMap


def print_plot(folder: Path, options: Picture, screen: Screen) -> None:
    """Draw a run as the options ask, in the terminal or to a file, or print the points drawn."""
    picture = _picture_of(folder, options)
    if options.output is None and screen.format != "table":
        print_points(picture, screen.format, screen.console())
    elif draw_on(picture, options.output, screen):
        screen.tell(f"the picture is in {options.output}")


def _picture_of(folder: Path, options: Picture) -> Chart | HeatMap:
    """Return the picture of a run that the options ask for."""
    source = read_source(folder, options.metric)
    if options.kind == "heatmap":
        return heatmap(source, options.x or "lr", options.y or "setting")
    draw = {"curves": curves, "multiples": multiples, "sensitivity": sensitivity}[options.kind]
    return draw(source)


def draw_on(picture: Chart | HeatMap, file: Path | None, screen: Screen) -> bool:
    """Write a picture to a file, or print it where there is none; return whether it is written."""
    if file is None:
        print_picture(picture, screen.console())
        return False
    atomic.write(file, [figure_bytes(picture, file.suffix[1:].lower())])
    return True


def read_run(folder: Path) -> ProfiledRun:
    """Return a run as it is compared: its folder, its trials and what theory says of them."""
    return ProfiledRun(folder, read_trials(folder), RunConstants(read_manifest(folder)))


def print_comparison(runs: Mapping[str, ProfiledRun], options: RunCurves, screen: Screen) -> None:
    """Print what differs between runs and the best setting of each; draw or write their curves."""
    file, chart = options.output, None
    if screen.format == "table" or file is not None:
        sources = {
            name: source_of(run.folder, run.run, options.metric) for name, run in runs.items()
        }
        chart = best_of_runs(sources) if options.curves == "best" else settings_of_runs(sources)
    manifests = {name: read_manifest(run.folder) for name, run in runs.items()}
    notes = list(unlike_problems(manifests))
    best = best_of_each({name: run.run for name, run in runs.items()})
    differences = differing_settings(manifests)
    comparison.print_comparison(differences, best, screen.format, screen.console(), notes)
    if screen.format == "csv":
        for note in notes:
            screen.tell(note)
    if chart is None:
        return
    if file is None:
        screen.console().print()
    if draw_on(chart, file, screen):
        screen.tell(f"the curves are in {file}")


def print_pair(runs: Mapping[str, ProfiledRun], pair: tuple[str, str], screen: Screen) -> None:
    """Print two settings of the runs beside each other, seed by seed."""
    rates = [trial.lr for run in runs.values() for trial in run.run.trials]
    rows = comparison.pair_of_runs(
        {name: (run.run, run.theory) for name, run in runs.items()}, pair
    )
    print_rows(rows, screen.format, screen.console(), comparison.NAMED_NOTES, rates)


def print_profiles(
    runs: Mapping[str, ProfiledRun], tau: float, target_loss: float | None, screen: Screen
) -> None:
    """Print the performance and data profiles of the methods of the runs."""
    found = profiles(list(runs.values()), tau, target_loss)
    if not any(profile.epochs for profile in found):
        screen.tell("no trial fell below its start: there is nothing to compare")
    comparison.print_profiles(found, screen.format, screen.console())
