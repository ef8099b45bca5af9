"""Looking at runs: `gdcli plot RUN`, `gdcli report RUN` and `gdcli compare RUN RUN...`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from annotated_types import Gt, Lt

from gdcli.cli.options import (
    RUN,
    RunArgument,
    RunArguments,
    Screen,
    checked_file,
    collect_errors,
    given_of,
    options_from,
    read,
)
from gdcli.errors import UserError
from gdcli.fields import show
from gdcli.numbers import bytes_in_words
from gdcli.runs import atomic
from gdcli.runs.lookup import intact

Metric: TypeAlias = Annotated[
    str, "what is drawn: train_loss, test_loss or another column of curves.csv"
]
PICTURES = (".png", ".svg", ".pdf")
PAGES = (".html", ".htm")


@dataclass(frozen=True)
class Picture:
    """What is drawn, and where."""

    kind: Annotated[
        Literal["curves", "sensitivity", "heatmap", "multiples"],
        "curves: the loss over the epochs, at the best learning rate of each setting; sensitivity: "
        "final values over the learning rates; heatmap: final values over two axes; multiples: a "
        "panel for each setting",
    ] = "curves"
    metric: Metric = "train_loss"
    x: Annotated[
        str | None, "horizontal axis of a heatmap: lr, seed, setting or an option that varies"
    ] = None
    y: Annotated[str | None, "vertical axis of a heatmap"] = None
    output: Annotated[
        Path | None, "write the picture to this file, .png, .svg or .pdf, instead of printing it"
    ] = None


@options_from({RUN: (Picture, Screen)}, {"x": "lr", "y": "setting"})
def plot(*, run: RunArgument, **given: object) -> int:
    """Draw the results of a run, in the terminal or as a picture file."""
    with collect_errors() as collect:
        screen = collect(read, Screen, given)
        options = collect(_picture_options, given)
    folder = intact(run)
    from gdcli.cli.draw import print_plot

    print_plot(folder, options, screen)
    return 0


def _picture_options(given: Mapping[str, object]) -> Picture:
    options = read(Picture, given)
    for name, value in (("--x", options.x), ("--y", options.y)):
        if value is not None and options.kind != "heatmap":
            what = f"it is an axis of a heatmap, and --kind is {options.kind}"
            raise UserError(name, what, "add --kind heatmap")
    if options.output is not None:
        checked_file(options.output, PICTURES)
        if given.get("format") is not None:
            what = "it says how results are printed, and --output prints nothing"
            raise UserError("--format", what, "leave one of them out")
    return options


@dataclass(frozen=True)
class ReportFile:
    """Where the page goes."""

    output: Annotated[Path, "write the page to this file"] = Path("report.html")


@options_from({RUN: (ReportFile, Screen)}, without=("format",))
def report(*, run: RunArgument, **given: object) -> int:
    """Write a run as one interactive page that works offline."""
    with collect_errors() as collect:
        screen = collect(read, Screen, given)
        page = collect(read, ReportFile, given)
    file = checked_file(page.output, PAGES)
    folder = intact(run)
    from gdcli.report.page.run_page import page_bytes

    content = page_bytes(folder)
    atomic.write(file, [content])
    screen.tell(f"the page is in {file} ({bytes_in_words(len(content))})")
    return 0


@dataclass(frozen=True)
class RunCurves:
    """The curves of the runs over each other."""

    curves: Annotated[
        Literal["best", "all"], "draw the best setting of each run, or a panel for every setting"
    ] = "best"
    metric: Metric = "train_loss"
    output: Annotated[
        Path | None, "write the curves to this file, .png, .svg or .pdf, instead of printing them"
    ] = None


@dataclass(frozen=True)
class CompareMode:
    """What is shown instead of the results side by side."""

    pair: Annotated[
        tuple[str, str] | None,
        "compare two settings seed by seed, each RUN (its best setting) or RUN:SETTING (by its "
        "name, or its row in the results), with a comma between",
    ] = None
    profile: Annotated[
        bool,
        "draw performance and data profiles: how many problems each method solves, and how fast",
    ] = False
    tau: Annotated[
        float,
        "for --profile: a problem counts as solved when at most this share of the fall, from the "
        "starting loss to the lowest loss reached, is left",
        Gt(0),
        Lt(1),
    ] = 0.01
    target_loss: Annotated[
        float | None, "for --profile, instead of --tau: training loss that counts as solved"
    ] = None

    def __post_init__(self) -> None:
        """Refuse a target that no profile uses; raises UserError."""
        for name in ("tau", "target_loss"):
            if not self.profile and getattr(self, name) != getattr(CompareMode, name):
                where = f"--{name.replace('_', '-')}"
                raise UserError(where, "only profiles have a target", "give --profile, too")
        if self.profile and self.pair is not None:
            raise UserError("--pair", "--profile shows all settings", "leave one of them out")


@options_from({"Curves": (RunCurves,), "Instead": (CompareMode,), RUN: (Screen,)})
def compare(*, runs: RunArguments, **given: object) -> int:
    """Compare runs: their settings, results and curves.

    Each method and optimizer is shown at its best setting in each run: the one with the lowest
    median final training loss over the seeds. The trials that diverged or failed are counted.

    --pair compares two settings seed by seed. --profile compares methods over several problems and
    seeds, by the epochs that each needs to solve them.
    """
    with collect_errors() as collect:
        screen = collect(read, Screen, given)
        curves = collect(read, RunCurves, given)
        mode = collect(read, CompareMode, given)
        folders = [collect(intact, name) for name in runs]
    named = _named(folders, runs, fewest=1 if mode.profile or mode.pair else 2)
    _check_used(mode, given)
    if curves.output is not None:
        checked_file(curves.output, PICTURES)
    from gdcli.cli.draw import print_comparison, print_pair, print_profiles, read_run

    read_runs = {name: read_run(folder) for name, folder in named.items()}
    if mode.profile:
        print_profiles(read_runs, mode.tau, mode.target_loss, screen)
    elif mode.pair is not None:
        print_pair(read_runs, mode.pair, screen)
    else:
        print_comparison(read_runs, curves, screen)
    return 0


def _check_used(mode: CompareMode, given: Mapping[str, object]) -> None:
    """Raise UserError for an option that what is shown instead has no use for."""
    without = (RunCurves,) if mode.profile or mode.pair else ()
    for name in given_of(given, *without):
        other = "--profile" if mode.profile else "--pair"
        raise UserError(f"--{name}", f"it changes nothing with {other}", "leave one of them out")


def _named(folders: list[Path], runs: list[str], fewest: int) -> dict[str, Path]:
    """Return the folders by their shortest different names."""
    if len(runs) < fewest:
        what = f"{show(runs[0])} is the only run given"
        raise UserError("gdcli compare", what, "compare needs at least two runs")
    for i, folder in enumerate(folders):
        if folder.resolve() in (other.resolve() for other in folders[:i]):
            raise UserError(show(runs[i]), "it is given twice", "give every run once")
    names = [folder.resolve().name for folder in folders]
    if len(set(names)) < len(names):
        names = [str(folder) for folder in folders]
    return dict(zip(names, folders, strict=True))
