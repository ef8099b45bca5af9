from math import inf, nan
from pathlib import Path

import pytest

from gdcli.analysis.best import settings_of
from gdcli.analysis.quantiles import spread
from gdcli.errors import UserError
from gdcli.report.charts.chart import MOST_LINES, HeatMap, points
from gdcli.report.charts.charts import (
    MOST_PANELS,
    MetricOfRun,
    curves,
    heatmap,
    multiples,
    read_source,
    sensitivity,
)
from tests.run_folders import Made, grid, write_run


def source(
    folder: Path, trials: list[Made], metric: str = "train_loss", **names: list[str]
) -> MetricOfRun:
    return read_source(write_run(folder, trials, **names), metric)


def values(picture: HeatMap) -> list[list[float | None]]:
    return [[square.value if square else None for square in row] for row in picture.squares]


def test_curves_are_the_seeds_of_the_best_learning_rate(tmp_path: Path) -> None:
    trials = [Made([8.0, 4.0 + seed], lr=0.1, seed=seed) for seed in range(3)]
    trials += [Made([8.0, 7.0], lr=0.01, seed=seed) for seed in range(3)]
    (panel,) = curves(source(tmp_path, trials)).panels
    (line,) = panel.lines
    assert line.label == "gd vanilla lr 0.1"
    assert line.points == [(0.0, spread([8, 8, 8])), (1.0, spread([4, 5, 6]))]
    assert not line.diverged


def test_the_lowest_settings_are_drawn_and_the_rest_counted(tmp_path: Path) -> None:
    trials = [Made([9.0, 1.0 + k], varied=[k]) for k in range(9)]
    picture = curves(source(tmp_path, trials, varied=["width"]))
    labels = [line.label for line in picture.panels[0].lines]
    assert labels == [f"gd vanilla width={k} lr 0.1" for k in range(MOST_LINES)]
    assert picture.notes == [f"the {MOST_LINES} of 9 settings with the lowest losses"]


def test_a_setting_that_failed_is_named(tmp_path: Path) -> None:
    trials = [Made([9.0, 1.0]), Made([], optimizer="adam", status="failed", message="boom")]
    for picture in (curves(source(tmp_path, trials)), sensitivity(source(tmp_path, trials))):
        (panel,) = picture.panels
        assert len(panel.lines) == 1
        assert panel.title.startswith("failed: gd adam")


def test_sensitivity_has_a_point_a_learning_rate_infinite_where_it_diverged(tmp_path: Path) -> None:
    read = source(tmp_path, grid(lrs=[0.01, 0.1, 1.0]))
    lines = {line.label: line.points for line in sensitivity(read).panels[0].lines}
    assert sorted(lines) == ["gd momentum", "gd vanilla"]
    for setting in settings_of(read.run.trials):
        found = lines[read.name(setting)]
        assert found == [(cell.lr, cell.loss) for cell in setting.candidates]
        assert found[-1][1].median == inf


def test_a_panel_has_the_learning_rates_of_its_setting(tmp_path: Path) -> None:
    rates = [0.001 * 2**k for k in range(10)]
    picture = multiples(source(tmp_path, grid(lrs=rates)))
    assert [panel.title for panel in picture.panels] == ["gd vanilla", "gd momentum"]
    best = {line.label for line in curves(source(tmp_path, grid(lrs=rates))).panels[0].lines}
    for panel in picture.panels:
        labels = [line.label for line in panel.lines]
        assert len(labels) == MOST_LINES
        assert (labels[0], labels[-1]) == ("lr 0.001", "lr 0.512")
        assert any(f"{panel.title} {label}" in best for label in labels)
    assert picture.notes == ["6 learning rates of each, the best among them"]


def test_the_best_learning_rate_is_always_among_those_of_a_panel(tmp_path: Path) -> None:
    for best in range(20):
        trials = [Made([99.0, 1.0 + abs(k - best)], lr=k + 1) for k in range(20)]
        (panel,) = multiples(source(tmp_path, trials)).panels
        labels = [line.label for line in panel.lines]
        assert len(labels) == len(set(labels)) == MOST_LINES
        assert {"lr 1", f"lr {best + 1}", "lr 20"} <= set(labels)


def test_a_learning_rate_has_the_same_shade_in_every_panel(tmp_path: Path) -> None:
    trials = [Made([9.0, 1.0], lr=lr) for lr in (0.1, 0.2, 0.3)]
    trials += [Made([9.0, 1.0], lr=lr, optimizer="adam") for lr in (0.2, 0.3)]
    shades = [
        {line.label: line.shade for line in panel.lines}
        for panel in multiples(source(tmp_path, trials)).panels
    ]
    assert shades == [{"lr 0.1": 0, "lr 0.2": 0.5, "lr 0.3": 1}, {"lr 0.2": 0.5, "lr 0.3": 1}]


def test_of_many_settings_some_have_a_panel(tmp_path: Path) -> None:
    trials = [Made([99.0, 20.0 - k], varied=[k]) for k in range(20)]
    picture = multiples(source(tmp_path, trials, varied=["width"]))
    titles = [panel.title for panel in picture.panels]
    assert titles == [f"gd vanilla width={k}" for k in range(20 - MOST_PANELS, 20)]
    assert picture.notes == [f"the {MOST_PANELS} of 20 settings with the lowest losses"]


def test_a_heatmap_has_the_best_of_the_other_axes(tmp_path: Path) -> None:
    trials = [
        Made([9.0, 5.0], method="minibatch", batch_size=8, lr=0.1, optimizer="adam"),
        Made([9.0, 3.0], method="minibatch", batch_size=8, lr=0.1),
        Made([9.0, inf], method="minibatch", batch_size=8, lr=0.2, status="diverged"),
        Made([9.0, 2.0], method="minibatch", batch_size=32, lr=0.1),
    ]
    picture = heatmap(source(tmp_path, trials), "lr", "batch-size")
    assert (picture.columns, picture.rows) == (["0.1", "0.2"], ["8", "32"])
    assert values(picture) == [[3.0, inf], [2.0, None]]
    assert picture.notes == ["each at its best optimizer"]
    best = picture.best(0)
    assert best is not None
    assert best.value == 3.0


def test_any_two_axes_span_a_heatmap(tmp_path: Path) -> None:
    trials = [
        Made([99.0, 1.0 + seed], seed=seed, varied=[b]) for seed in (10, 9) for b in (0.9, "")
    ]
    picture = heatmap(source(tmp_path, trials, varied=["momentum.beta"]), "momentum.beta", "seed")
    assert (picture.columns, picture.rows) == (["0.9", "none"], ["9", "10"])
    assert values(picture) == [[10.0, 10.0], [11.0, 11.0]]


def test_a_heatmap_of_a_metric_is_at_the_lowest_training_loss(tmp_path: Path) -> None:
    trials = [
        Made([9.0, 2.0], schedule="cosine", metrics=[0.9]),
        Made([9.0, 1.0], metrics=[0.8]),
    ]
    picture = heatmap(source(tmp_path, trials, "accuracy", metrics=["accuracy"]), "lr", "method")
    assert values(picture) == [[0.8]]
    assert picture.best_is == "best of its row by training loss"


@pytest.mark.parametrize(
    ("x", "y", "error"),
    [
        ("rate", "setting", "--x: the run has no axis 'rate'; give one of lr, seed, setting, "),
        ("lr", "optimiser", "--y: the run has no axis 'optimiser'; did you mean 'optimizer'?"),
        ("batch_size", "batch-size", "--y: 'batch-size' is the other axis, too; "),
    ],
)
def test_an_axis_that_is_not_there_is_refused(tmp_path: Path, x: str, y: str, error: str) -> None:
    read = source(tmp_path, grid())
    with pytest.raises(UserError) as caught:
        heatmap(read, x, y)
    assert str(caught.value).startswith(error)


def test_a_metric_that_was_not_measured_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--metric: the run has no 'test_loss'; give one of train"):
        source(tmp_path, [Made([9.0, 1.0])], "test_loss")


def test_a_run_without_trials_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"summary\.csv: it has no trials; "):
        source(tmp_path, [])


def test_points_are_the_numbers_of_the_picture(tmp_path: Path) -> None:
    trials = [Made([8.0, 4.0 + seed], seed=seed) for seed in range(3)]
    read = source(tmp_path, [*trials, Made([8.0, nan], lr=0.5, status="diverged")])
    first, last = points(curves(read))
    assert last == {
        "line": "gd vanilla lr 0.1",
        "epoch": 1.0,
        "median": 5.0,
        "q1": 4.5,
        "q3": 5.5,
        "seeds": 3,
    }
    assert first["median"] == 8.0
    left, right = points(heatmap(read))
    assert left == {"setting": "gd vanilla", "learning rate": "0.1", "median": 5.0, "seeds": 3}
    assert right["median"] == inf
    assert all("panel" not in row for row in points(multiples(read)))
    two = source(tmp_path / "two", grid())
    assert {row["panel"] for row in points(multiples(two))} == {"gd vanilla", "gd momentum"}
