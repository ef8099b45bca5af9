"""`gdcli plot RUN`: a picture of a run, in the terminal or as a file.

`gdcli report RUN`: one page with all there is to see of a run.

`gdcli compare A B`: what differs between runs, and what came of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from annotated_types import Gt, Lt

from gdcli.cli import options as completion
from gdcli.cli.options import RUN, Screen, checked_target, every, given_of, read, runs, takes
from gdcli.errors import UserError
from gdcli.fields import show
from gdcli.runs.run_folder import intact

if TYPE_CHECKING:
    from gdcli.analysis.theory import RunConstants
    from gdcli.report.charts.chart import Chart, HeatMap
    from gdcli.runs.trials import Trials

SUFFIXES = (".png", ".svg", ".pdf")


@dataclass(frozen=True)
class Picture:
    """What is drawn, and where."""

    kind: Annotated[
        Literal["curves", "sensitivity", "heatmap", "multiples"],
        "curves at the best learning rates; final values over learning rates, or over two axes; "
        "a panel a setting",
    ] = "curves"
    metric: Annotated[str, "train_loss, test_loss or a metric of the problem"] = "train_loss"
    x: Annotated[str | None, "axis of a heatmap: lr, seed, setting or what the grid varies"] = None
    y: Annotated[str | None, "its other axis"] = None
    output: Annotated[
        Path | None, "file to write, .png, .svg or .pdf; else the picture is printed"
    ] = None


@takes({RUN: (Picture, Screen)}, {"x": "lr", "y": "setting"})
def plot(
    *,
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="a run's folder, or its name in results", autocompletion=runs
        ),
    ],
    **given: object,
) -> int:
    """Draw a run in the terminal, or as a picture file."""
    screen, options = every([lambda: read(Screen, given), lambda: _options(given)])
    folder = intact(run)
    picture = _picture(folder, options)
    if options.output is not None:
        _save(picture, options.output, screen)
    elif screen.format == "table":
        from gdcli.report.charts.terminal import print_picture

        print_picture(picture, screen.console())
    else:
        from gdcli.report.charts.chart import print_points

        print_points(picture, screen.format, screen.console())
    return 0


def _options(given: Mapping[str, object]) -> Picture:
    options = read(Picture, given)
    for name, value in (("--x", options.x), ("--y", options.y)):
        if value is not None and options.kind != "heatmap":
            what = f"it is an axis of a heatmap, and --kind is {options.kind}"
            raise UserError(name, what, "add --kind heatmap")
    if options.output is not None:
        checked_target(options.output, SUFFIXES)
        if given.get("format") is not None:
            what = "it is of what is printed, and --output prints nothing"
            raise UserError("--format", what, "leave one of them out")
    return options


def _picture(folder: Path, options: Picture) -> Chart | HeatMap:
    from gdcli.report.charts.charts import curves, heatmap, multiples, read_source, sensitivity

    source = read_source(folder, options.metric)
    if options.kind == "heatmap":
        return heatmap(source, options.x or "lr", options.y or "setting")
    draw = {"curves": curves, "multiples": multiples, "sensitivity": sensitivity}[options.kind]
    return draw(source)


def _save(picture: Chart | HeatMap, file: Path, screen: Screen) -> None:
    from gdcli.report.charts.files import figure_bytes
    from gdcli.runs import atomic

    atomic.write(file, [figure_bytes(picture, file.suffix[1:].lower())])
    screen.tell(f"the picture is in {file}")


PAGES = (".html", ".htm")


@dataclass(frozen=True)
class Page:
    """Where the page goes."""

    output: Annotated[Path, "file to write"] = Path("report.html")


@takes({RUN: (Page, Screen)}, without=("format",))
def report(
    *,
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="a run's folder, or its name in results", autocompletion=runs
        ),
    ],
    **given: object,
) -> int:
    """Write a run as one interactive page that works offline."""
    screen, page = every([lambda: read(Screen, given), lambda: read(Page, given)])
    file = checked_target(page.output, PAGES)
    folder = intact(run)
    from gdcli.report.labels import bytes_in_words
    from gdcli.run_page import page_bytes
    from gdcli.runs import atomic

    content = page_bytes(folder)
    atomic.write(file, [content])
    screen.tell(f"the page is in {file} ({bytes_in_words(len(content))})")
    return 0


@dataclass(frozen=True)
class Curves:
    """The curves of the runs over each other."""

    curves: Annotated[
        Literal["best", "all"], "the best setting of each run, or a panel for every setting"
    ] = "best"
    metric: Annotated[str, "train_loss, test_loss or a metric of the problem"] = "train_loss"
    output: Annotated[
        Path | None, "file for the curves, .png, .svg or .pdf; else they are printed"
    ] = None


@dataclass(frozen=True)
class CompareMode:
    """What is shown instead of the results side by side."""

    pair: Annotated[
        tuple[str, str] | None,
        "two settings over the seeds they share, each RUN (its best) or RUN:SETTING (by name, or "
        "row of its results), with a comma between",
    ] = None
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
            if not self.profile and getattr(self, name) != getattr(CompareMode, name):
                where = f"--{name.replace('_', '-')}"
                raise UserError(where, "only profiles have a target", "give --profile, too")
        if self.profile and self.pair is not None:
            raise UserError("--pair", "a profile is of all settings", "leave one of them out")


@takes({"Curves": (Curves,), "Instead": (CompareMode,), RUN: (Screen,)})
def compare(
    *,
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN",
            help="runs' folders, or their names in results",
            autocompletion=completion.runs,
        ),
    ],
    **given: object,
) -> int:
    """Show how runs differ in settings, results and curves.

    Each method and optimizer is shown at its best setting in each run, by median final training
    loss over the seeds; the trials that diverged or failed are counted over all of its trials.

    With --pair two settings are compared seed by seed. With --profile methods are compared over
    problems and seeds: each counts as solved when the loss is as low as --tau says, and takes as
    many epochs as that takes.
    """
    screen, curves, instead, *folders = every(
        [
            *(partial(read, cls, given) for cls in (Screen, Curves, CompareMode)),
            *(partial(intact, name) for name in runs),
        ]
    )
    named = _named(folders, runs, fewest=1 if instead.profile or instead.pair else 2)
    _check_used(instead, given)
    if curves.output is not None:
        checked_target(curves.output, SUFFIXES)
    if instead.profile:
        _print_profiles(folders, instead, screen)
        return 0
    read_runs = {name: _read(folder) for name, folder in named.items()}
    if instead.pair is not None:
        _print_pair(read_runs, instead.pair, screen)
        return 0
    _print_results(named, {name: run for name, (run, _) in read_runs.items()}, curves, screen)
    return 0


def _check_used(instead: CompareMode, given: Mapping[str, object]) -> None:
    """Raise UserError for an option that what is shown instead has no use for."""
    without = (Curves,) if instead.profile or instead.pair else ()
    for name in given_of(given, *without):
        other = "--profile" if instead.profile else "--pair"
        raise UserError(f"--{name}", f"it changes nothing with {other}", "leave one of them out")


def _read(folder: Path) -> tuple[Trials, RunConstants]:
    from gdcli.analysis.theory import RunConstants
    from gdcli.runs.manifest import read as read_manifest
    from gdcli.runs.trials import read_trials

    return read_trials(folder), RunConstants(read_manifest(folder))


def _print_results(
    named: Mapping[str, Path], runs: Mapping[str, Trials], options: Curves, screen: Screen
) -> None:
    from gdcli.analysis.best import best_of_each
    from gdcli.report.comparison import print_comparison
    from gdcli.runs.manifest import differing_settings, unlike_problems
    from gdcli.runs.manifest import read as read_manifest

    chart = _chart(named, runs, options) if screen.format == "table" or options.output else None
    manifests = {name: read_manifest(folder) for name, folder in named.items()}
    notes = list(unlike_problems(manifests))
    differences, best = differing_settings(manifests), best_of_each(runs)
    print_comparison(differences, best, screen.format, screen.console(), notes)
    if screen.format == "csv":
        for note in notes:
            screen.tell(note)
    if chart is None:
        return
    if options.output is None:
        from gdcli.report.charts.terminal import print_picture

        screen.console().print()
        print_picture(chart, screen.console())
        return
    from gdcli.report.charts.files import figure_bytes
    from gdcli.runs import atomic

    atomic.write(options.output, [figure_bytes(chart, options.output.suffix[1:].lower())])
    screen.tell(f"the curves are in {options.output}")


def _chart(named: Mapping[str, Path], runs: Mapping[str, Trials], options: Curves) -> Chart:
    from gdcli.report.charts.charts import best_of_runs, settings_of_runs, source_of

    sources = {n: source_of(folder, runs[n], options.metric) for n, folder in named.items()}
    return best_of_runs(sources) if options.curves == "best" else settings_of_runs(sources)


def _print_pair(
    runs: Mapping[str, tuple[Trials, RunConstants]], pair: tuple[str, str], screen: Screen
) -> None:
    from gdcli.report.text_tables import print_rows
    from gdcli.report.views.pairs import NAMED_NOTES, pair_of_runs

    rates = [trial.lr for run, _ in runs.values() for trial in run.trials]
    rows = pair_of_runs(runs, pair)
    print_rows(rows, screen.format, screen.console(), NAMED_NOTES, rates)


def _print_profiles(folders: list[Path], options: CompareMode, screen: Screen) -> None:
    from gdcli.analysis.targets import Source, profiles
    from gdcli.analysis.theory import RunConstants
    from gdcli.report.comparison import print_profiles
    from gdcli.runs.manifest import read as read_manifest
    from gdcli.runs.trials import read_trials

    sources = [Source(f, read_trials(f), RunConstants(read_manifest(f))) for f in folders]
    found = profiles(sources, options.tau, options.target_loss)
    if not any(profile.epochs for profile in found):
        screen.tell("no trial fell below its start: there is nothing to compare")
    print_profiles(found, screen.format, screen.console())


def _named(folders: list[Path], runs: list[str], fewest: int) -> dict[str, Path]:
    """Return the folders by their shortest different names."""
    if len(runs) < fewest:
        raise UserError(
            "gdcli compare",
            f"{show(runs[0])} is the only run given",
            "compare needs at least two runs",
        )
    for i, folder in enumerate(folders):
        if folder.resolve() in (other.resolve() for other in folders[:i]):
            raise UserError(show(runs[i]), "it is given twice", "give every run once")
    names = [folder.resolve().name for folder in folders]
    if len(set(names)) < len(names):
        names = [str(folder) for folder in folders]
    return dict(zip(names, folders, strict=True))
