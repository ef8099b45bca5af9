"""The curves of several runs over each other."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from gdcli.report.charts.charts import MetricOfRun, best_of_runs, read_source, settings_of_runs
from tests.run_folders import Made, descent, grid, write_run

if TYPE_CHECKING:
    from pathlib import Path


def sources(folder: Path, **runs: list[Made]) -> dict[str, MetricOfRun]:
    return {
        name: read_source(write_run(folder / name, trials), "train_loss")
        for name, trials in runs.items()
    }


def test_each_run_is_a_line_at_its_best(tmp_path: Path) -> None:
    lost = [Made([1.0, inf], lr=lr, status="diverged") for lr in (2.0, 3.0)]
    chart = best_of_runs(sources(tmp_path, a=grid(), b=[descent(0.01)], lost=lost))
    (panel,) = chart.panels
    assert [(line.label, line.diverged) for line in panel.lines] == [
        ("a: gd momentum lr 0.1", False),
        ("b: gd vanilla lr 0.01", False),
        ("lost: gd vanilla lr 2", True),
    ]
    assert len(panel.lines[0].points) == 21
    assert chart.notes == []


def test_of_many_runs_the_lowest_are_drawn_and_that_is_said(tmp_path: Path) -> None:
    runs = {f"run{k}": [Made([9.0, float(k)])] for k in range(8)}
    chart = best_of_runs(sources(tmp_path, **runs))
    assert [line.label.partition(":")[0] for line in chart.panels[0].lines] == [*runs][:6]
    assert chart.notes == ["the 6 of 8 runs with the lowest losses"]
    (panel,) = settings_of_runs(sources(tmp_path, **runs)).panels
    assert len(panel.lines) == 6


def test_a_setting_is_a_panel_and_its_runs_are_lines(tmp_path: Path) -> None:
    failed = [Made([], optimizer="momentum", status="failed"), descent(0.01)]
    chart = settings_of_runs(sources(tmp_path, a=grid(), b=failed))
    vanilla, momentum = chart.panels
    assert vanilla.title == "gd vanilla"
    assert [line.label for line in vanilla.lines] == ["a lr 0.1", "b lr 0.01"]
    assert momentum.title == "gd momentum; failed: b lr 0.1"
    assert [line.label for line in momentum.lines] == ["a lr 0.1"]


def test_of_many_settings_the_lowest_are_drawn_and_that_is_said(tmp_path: Path) -> None:
    trials = [Made([99.0, 50.0 - k], optimizer=f"rule{k}") for k in range(20)]
    chart = settings_of_runs(sources(tmp_path, a=trials, b=trials[:1]))
    assert [panel.title for panel in chart.panels] == [f"gd rule{k}" for k in range(8, 20)]
    assert chart.notes == ["the 12 of 20 settings with the lowest losses"]
