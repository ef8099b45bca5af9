"""The pictures of a run: its metric over the epochs, or at the end over axes of the grid.

Each function returns one: the curves of each setting at its best learning rate, a panel for each
setting, several runs over each other, the sensitivity to the learning rate, a heat map.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import inf, isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gdcli.analysis.best import Candidate, Setting, best, settings_of
from gdcli.analysis.diagnoses import CurveComparison
from gdcli.analysis.quantiles import Band, Spread, spread, spread_curve
from gdcli.errors import UserError
from gdcli.fields import show, suggestion
from gdcli.numbers import distinct_labels
from gdcli.report.charts.chart import (
    DIVERGED,
    MOST_LINES,
    Chart,
    HeatMap,
    Line,
    Panel,
    Square,
    panel_of,
)
from gdcli.report.console import literal
from gdcli.report.text_tables import namer
from gdcli.runs.trials import Trials, read_curves, read_trials

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from gdcli.runs.csv_read import Value
    from gdcli.runs.trials import TrialResult


def curves(source: MetricOfRun, comparison: CurveComparison | None = None) -> Chart:
    """Return the settings with the lowest training losses, the lowest first.

    A setting that diverged at every learning rate is drawn at the smallest. The one reading of
    curves.csv serves a comparison with theory, too. Raises UserError where the file is missing or
    damaged.
    """
    chosen, notes = lowest(source.settings)
    cells = [drawn(setting) for setting in chosen]
    rates = distinct_labels(cell.lr for setting in source.settings for cell in setting.candidates)
    labels = [f"{source.name(s)} lr {rates[c.lr]}" for s, c in zip(chosen, cells, strict=True)]
    bands = source.bands(cells, comparison)
    lines = [
        Line(label, band, not setting.best)
        for label, setting, band in zip(labels, chosen, bands, strict=True)
    ]
    title = f"Median {source.label} over seeds, each setting at its best learning rate"
    return source.chart(title, [panel_of("", lines)], notes)


def lowest(settings: Sequence[Setting]) -> tuple[list[Setting], list[str]]:
    """Return the settings with the lowest training losses, and a note if there are others."""
    ranked = sorted(settings, key=lambda setting: setting.median)
    chosen = ranked[:MOST_LINES]
    rest = len(ranked) > len(chosen)
    note = f"the {len(chosen)} of {len(ranked)} settings with the lowest losses"
    return chosen, [note] if rest else []


def drawn(setting: Setting) -> Candidate:
    """Return the learning rate that is drawn: the best, or the smallest that ran."""
    return setting.best or next(
        (cell for cell in setting.candidates if cell.ran), setting.candidates[0]
    )


MOST_PANELS = 12


def multiples(source: MetricOfRun) -> Chart:
    """Return a panel a setting, those with the lowest training losses, in the grid's order."""
    chosen = _chosen(source.settings)
    rates = distinct_labels(cell.lr for setting in source.settings for cell in setting.candidates)
    shades = {lr: place / max(1, len(rates) - 1) for place, lr in enumerate(rates)}
    shown = [_thinned(setting) for setting in chosen]
    bands = iter(source.bands([cell for cells in shown for cell in cells]))
    panels = []
    for setting, cells in zip(chosen, shown, strict=True):
        lines = [
            Line(f"lr {rates[cell.lr]}", next(bands), not isfinite(cell.median), shades[cell.lr])
            for cell in cells
        ]
        panels.append(panel_of(source.name(setting), lines))
    title = f"Median {source.label} over seeds, by learning rate"
    notes = _notes(source.settings, chosen, shown)
    return source.chart(title, panels, notes)


def _chosen(settings: Sequence[Setting]) -> list[Setting]:
    ranked = sorted(range(len(settings)), key=lambda place: settings[place].median)
    return [settings[place] for place in sorted(ranked[:MOST_PANELS])]


def _thinned(setting: Setting) -> list[Candidate]:
    """Return a setting's learning rates, or where they are many some of them and the best."""
    cells = setting.candidates
    if len(cells) <= MOST_LINES:
        return list(cells)
    last = MOST_LINES - 1
    places = {place * (len(cells) - 1) // last for place in range(MOST_LINES)}
    if setting.best and (best := cells.index(setting.best)) not in places:
        places.remove(min(places - {0, len(cells) - 1}, key=lambda place: abs(place - best)))
        places.add(best)
    return [cells[place] for place in sorted(places)]


def _notes(
    settings: Sequence[Setting], chosen: Sequence[Setting], shown: Sequence[Sequence[Candidate]]
) -> list[str]:
    notes = []
    if len(chosen) < len(settings):
        notes.append(f"the {len(chosen)} of {len(settings)} settings with the lowest losses")
    if any(len(few) < len(s.candidates) for s, few in zip(chosen, shown, strict=True)):
        notes.append(f"{MOST_LINES} learning rates of each, the best among them")
    return notes


def best_of_runs(sources: Mapping[str, MetricOfRun]) -> Chart:
    """Return a line a run, its best setting at its best learning rate, the lowest runs first."""
    best = {name: min(source.settings, key=_median) for name, source in sources.items()}
    shown = sorted(best, key=lambda name: best[name].median)[:MOST_LINES]
    rates = distinct_labels(
        cell.lr for source in sources.values() for s in source.settings for cell in s.candidates
    )
    lines = []
    for name in shown:
        source, setting, cell = sources[name], best[name], drawn(best[name])
        (band,) = source.bands([cell])
        label = f"{name}: {source.name(setting)} lr {rates[cell.lr]}"
        lines.append(Line(label, band, not setting.best))
    cut = f"the {len(shown)} of {len(best)} runs with the lowest losses"
    notes = [cut] if len(shown) < len(best) else []
    return _chart(sources, "the best setting of each run", [panel_of("", lines)], notes)


def settings_of_runs(sources: Mapping[str, MetricOfRun]) -> Chart:
    """Return a panel a setting, its runs over each other; the settings with the lowest losses."""
    runs = list(sources)[:MOST_LINES]
    held = {name: {sources[name].name(s): s for s in sources[name].settings} for name in runs}
    every = list(dict.fromkeys(setting for settings in held.values() for setting in settings))
    lowest = {name: min(_median(s.get(name)) for s in held.values()) for name in every}
    chosen = sorted(every, key=lowest.__getitem__)[:MOST_PANELS]
    lines: dict[str, list[Line]] = {name: [] for name in every if name in chosen}
    for run in runs:
        shown = [held[run][name] for name in lines if name in held[run]]
        cells = list(map(drawn, shown))
        rates = distinct_labels(
            cell.lr for setting in sources[run].settings for cell in setting.candidates
        )
        for setting, cell, band in zip(shown, cells, sources[run].bands(cells), strict=True):
            line = Line(f"{run} lr {rates[cell.lr]}", band, not setting.best)
            lines[sources[run].name(setting)].append(line)
    notes = [f"the first {len(runs)} of {len(sources)} runs"] if len(runs) < len(sources) else []
    if len(lines) < len(every):
        notes.append(f"the {len(lines)} of {len(every)} settings with the lowest losses")
    panels = [panel_of(name, of_runs) for name, of_runs in lines.items()]
    return _chart(sources, "each setting at its best learning rate in each run", panels, notes)


def _median(setting: Setting | None) -> float:
    return setting.median if setting else inf


def _chart(
    sources: Mapping[str, MetricOfRun], what: str, panels: Sequence[Panel], notes: Sequence[str]
) -> Chart:
    source = next(iter(sources.values()))
    title = f"Median {source.label} over seeds, {what}"
    return source.chart(title, panels, notes)


def sensitivity(source: MetricOfRun) -> Chart:
    """Return a line a setting, over the learning rates at which a trial has a result."""
    chosen, notes = lowest(source.settings)
    lines = []
    for setting in chosen:
        ends = [(cell.lr, source.final(cell)) for cell in setting.candidates]
        points = [(lr, end) for lr, end in ends if end]
        lines.append(Line(source.name(setting), points, not setting.best))
    title = f"Final {source.label} against the learning rate, median over seeds"
    chart = source.chart(title, [panel_of("", lines)], notes, "learning rate")
    return chart._replace(y=f"final {source.label}", log_x=True)


NAMES = {"train_loss": "training loss", "test_loss": "test loss"}


@dataclass(frozen=True)
class MetricOfRun:
    """A run and one of its metrics."""

    folder: Path
    run: Trials
    metric: str = "train_loss"

    @cached_property
    def settings(self) -> tuple[Setting, ...]:
        """The settings, in the grid's order."""
        return settings_of(self.run.trials)

    @cached_property
    def name(self) -> Callable[[Setting], str]:
        """What names a setting."""
        return namer(self.run.names, self.settings)

    @property
    def label(self) -> str:
        """The metric as a person says it."""
        return label_of(self.metric)

    @property
    def is_loss(self) -> bool:
        """Whether the metric is a loss: its axis is logarithmic."""
        return self.metric in NAMES

    @property
    def is_share(self) -> bool:
        """Whether the metric is a share of 1, as an accuracy is."""
        return "accuracy" in self.metric

    @property
    def lost(self) -> str:
        """What values say that are not finite: a training loss is not where it diverged."""
        return DIVERGED if self.metric == "train_loss" else "no value"

    def chart(
        self, title: str, panels: Sequence[Panel], notes: Sequence[str], x: str = "epoch"
    ) -> Chart:
        """Return a chart of the metric."""
        return Chart(
            title,
            panels,
            x,
            self.label,
            log_y=self.is_loss,
            notes=notes,
            share=self.is_share,
            lost=self.lost,
        )

    def final(self, cell: Candidate) -> Spread | None:
        """Return the metric at the end, over the seeds; None where every trial failed."""
        values = [trial.final_or_inf(self.metric) for trial in cell.ran]
        return spread(values) if values else None

    def bands(
        self, cells: Sequence[Candidate], comparison: CurveComparison | None = None
    ) -> list[Band]:
        """Return the metric over the epochs of each cell; reads curves.csv once."""
        comparison = comparison or CurveComparison(())
        wanted = {trial.id for cell in cells for trial in cell.ran}
        columns = dict.fromkeys(("epoch", self.metric, *comparison.columns))
        points = read_curves(self.folder, columns, wanted | comparison.wanted)
        curves = {p.trial: p for p in comparison.measuring(points) if p.trial in wanted}
        return [spread_curve(cell.ran, curves, self.metric) for cell in cells]


def read_source(folder: Path, metric: str) -> MetricOfRun:
    """Return a finished run and one of its metrics; raises UserError where it has none such."""
    return source_of(folder, read_trials(folder), metric)


def source_of(folder: Path, run: Trials, metric: str) -> MetricOfRun:
    """Return a run that has been read, and one of its metrics, as `read_source` does."""
    if not run.trials:
        raise UserError(str(folder / "summary.csv"), "it has no trials", "name another run")
    metrics = metrics_of(run)
    name = metric.replace("-", "_")
    if name not in metrics:
        fix = suggestion(name, metrics) or f"give one of {', '.join(map(literal, metrics))}"
        raise UserError("--metric", f"the run has no {show(metric)}", fix)
    return MetricOfRun(folder, run, name)


def metrics_of(run: Trials) -> list[str]:
    """Return what was measured: the training loss, the test loss and metrics where there are."""
    return ["train_loss", *measured(run, ("test_loss", *run.metrics))]


def measured(run: Trials, names: Iterable[str]) -> list[str]:
    """Return the names of which some trial has a value."""
    return [name for name in names if any(t.final[name] is not None for t in run.trials)]


def label_of(metric: str) -> str:
    """Return a metric as a person says it: "training loss", "test accuracy"."""
    return NAMES.get(metric) or literal(metric).replace("_", " ")


SETTING = "setting"  # the axis of all that is fixed but the learning rate and the seed


class _Axis(NamedTuple):
    """An axis of the grid: a trial's value on it, and the labels of its values in their order."""

    name: str
    value: Callable[[TrialResult], object]
    labels: Mapping[Any, str]


def heatmap(source: MetricOfRun, x: str = "lr", y: str = SETTING) -> HeatMap:
    """Return a column for each value of `x`, a row for each value of `y`.

    A square shows the best of its trials by training loss, its median over the seeds. Raises
    UserError for an axis that the grid does not have.
    """
    across, down = _axis(source, x, "--x"), _axis(source, y, "--y")
    if across.name == down.name:
        raise UserError("--y", f"{show(y)} is the other axis, too", "give two different axes")
    groups: dict[tuple[object, object], list[TrialResult]] = {}
    for trial in source.run.trials:
        groups.setdefault((down.value(trial), across.value(trial)), []).append(trial)
    squares = [
        [_square(source, groups.get((row, column), ())) for column in across.labels]
        for row in down.labels
    ]
    others = _others(source, across.name, down.name)
    return HeatMap(
        f"Median final {source.label} by {_said(across.name)}",
        _said(across.name),
        _said(down.name),
        list(across.labels.values()),
        list(down.labels.values()),
        squares,
        [f"each at its best {', '.join(others)}"] if others else [],
        f"best of its row{'' if source.metric == 'train_loss' else ' by training loss'}",
        log=source.is_loss,
        share=source.is_share,
    )


def of_settings(source: MetricOfRun, settings: Sequence[Setting]) -> HeatMap:
    """Return a row for each of some settings, a column for each of their learning rates."""
    rates = distinct_labels(cell.lr for setting in settings for cell in setting.candidates)
    cells = [{cell.lr: cell for cell in setting.candidates} for setting in settings]
    squares = [
        [Square(cell, cell.median) if (cell := row.get(lr)) else None for lr in rates]
        for row in cells
    ]
    title = "Median final training loss by learning rate"
    return HeatMap(
        title, "lr", SETTING, list(rates.values()), list(map(source.name, settings)), squares
    )


def _square(source: MetricOfRun, trials: Sequence[TrialResult]) -> Square | None:
    cells = [cell for setting in settings_of(trials) for cell in setting.candidates]
    if not cells:
        return None
    chosen = best(cells) or min(cells, key=lambda cell: not cell.ran)
    final = source.final(chosen)
    return Square(chosen, final.median if final else inf)


def _axis(source: MetricOfRun, name: str, where: str) -> _Axis:
    key = name.replace("-", "_")
    names = ["lr", "seed", SETTING, *source.run.names]
    known = {other.replace("-", "_"): other for other in reversed(names)}
    if key not in known:
        fix = suggestion(key, names) or f"give one of {', '.join(map(literal, names))}"
        raise UserError(where, f"the run has no axis {show(name)}", fix)
    trials, own = source.run.trials, known[key]
    if own == "lr":
        return _Axis(own, lambda trial: trial.lr, distinct_labels(trial.lr for trial in trials))
    if own == SETTING and SETTING not in source.run.names:
        names_of = {setting.values: source.name(setting) for setting in source.settings}
        return _Axis(own, lambda trial: trial.setting, names_of)
    if own == "seed":
        return _Axis(own, lambda trial: trial.seed, _labels(trial.seed for trial in trials))
    place = source.run.names.index(own)
    values = (trial.setting[place] for trial in trials)
    return _Axis(own, lambda trial: trial.setting[place], _labels(values))


def _labels(values: Iterable[Value]) -> dict[Value, str]:
    """Return the labels of distinct values, numbers in their order before words in the grid's."""
    distinct = list(dict.fromkeys(values))
    numbers = sorted(value for value in distinct if isinstance(value, int | float))
    words = [value for value in distinct if not isinstance(value, int | float)]
    return {value: "none" if value is None else literal(str(value)) for value in numbers + words}


def _others(source: MetricOfRun, *shown: str) -> list[str]:
    """Return the axes over which the best is taken: those with several values, but the seed."""
    if SETTING in shown:
        return [] if "lr" in shown else ["learning rate"]
    several = ["learning rate"] if len({t.lr for t in source.run.trials}) > 1 else []
    for place, name in enumerate(source.run.names):
        if len({trial.setting[place] for trial in source.run.trials}) > 1:
            several.append(literal(name).replace("_", " "))
    return [name for name in several if name not in map(_said, shown)]


def _said(name: str) -> str:
    return {"lr": "learning rate"}.get(name) or literal(name).replace("_", " ")
