"""What pictures are made of: a run's trials, and the metric that is drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from gdcli.analysis.median_curve import Band, read_curves, spread_curve
from gdcli.analysis.quantiles import Spread, spread
from gdcli.analysis.results import Cell, Setting, settings_of
from gdcli.analysis.trials import Trials, read_trials
from gdcli.errors import UserError
from gdcli.fields import show, suggestion
from gdcli.report.console import literal
from gdcli.report.labels import namer
from gdcli.report.pictures.picture import DIVERGED, Chart, Panel

NAMES = {"train_loss": "training loss", "test_loss": "test loss"}


@dataclass(frozen=True)
class Source:
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

    def final(self, cell: Cell) -> Spread | None:
        """Return the metric at the end, over the seeds; None where every trial failed."""
        values = [trial.final_or_inf(self.metric) for trial in cell.ran]
        return spread(values) if values else None

    def bands(self, cells: Sequence[Cell]) -> list[Band]:
        """Return the metric over the epochs of each cell; reads curves.csv once."""
        wanted = {trial.id for cell in cells for trial in cell.ran}
        curves = read_curves(self.folder, wanted, self.metric)
        return [spread_curve(cell.ran, curves) for cell in cells]


def read_source(folder: Path, metric: str) -> Source:
    """Return a finished run and one of its metrics; raises UserError where it has none such."""
    return source_of(folder, read_trials(folder), metric)


def source_of(folder: Path, run: Trials, metric: str) -> Source:
    """Return a run that has been read, and one of its metrics, as `read_source` does."""
    if not run.trials:
        raise UserError(str(folder / "summary.csv"), "it has no trials", "name another run")
    metrics = metrics_of(run)
    name = metric.replace("-", "_")
    if name not in metrics:
        fix = suggestion(name, metrics) or f"give one of {', '.join(map(literal, metrics))}"
        raise UserError("--metric", f"the run has no {show(metric)}", fix)
    return Source(folder, run, name)


def metrics_of(run: Trials) -> list[str]:
    """Return what was measured: the training loss, the test loss and metrics where there are."""
    return ["train_loss", *measured(run, ("test_loss", *run.metrics))]


def measured(run: Trials, names: Iterable[str]) -> list[str]:
    """Return the names of which some trial has a value."""
    return [name for name in names if any(t.final[name] is not None for t in run.trials)]


def label_of(metric: str) -> str:
    """Return a metric as a person says it: "training loss", "test accuracy"."""
    return NAMES.get(metric) or literal(metric).replace("_", " ")
