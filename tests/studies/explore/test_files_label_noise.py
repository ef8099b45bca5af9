"""Wrong labels are found, and right ones of overlapping and of rare classes are not accused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from scipy.stats import poisson

from gdcli.runs.options import Silent
from gdcli.studies.explore.dynamics import Exploration, explore
from gdcli.studies.explore.files import _at_least, label_noise, precision_and_recall
from gdcli.studies.explore.show import print_exploration
from gdcli.studies.options import Compute, DataMap
from tests.grids import experiment

if TYPE_CHECKING:
    from pathlib import Path

BOUND = 0.25


def explored(
    problem: str, options: dict[str, Any], grid: dict[str, Any], flip: float = 0.0
) -> Exploration:
    study = DataMap(flip_labels=flip)
    return explore(experiment(problem, options, **grid), study, Compute(device="cpu"), Silent)


def printed(found: Exploration, capsys: pytest.CaptureFixture[str]) -> str:
    print_exploration(found, "table", Console(width=80))
    return capsys.readouterr().out


def drawn(folder: Path, sharpness: float, bias: float) -> dict[str, str]:
    """Write two classes drawn from a logistic model, all of them right."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1000, 4))
    z = sharpness * (x[:, 0] + x[:, 1]) + bias
    y = rng.random(1000) < 1 / (1 + np.exp(-z))
    table = pd.DataFrame(x, columns=list("abcd")).assign(y=np.where(y, "yes", "no"))
    table.to_csv(folder / "drawn.csv", index=False)
    return {"data": str(folder / "drawn.csv"), "target": "y"}


@pytest.mark.parametrize(
    ("sharpness", "bias"), [(0, 0), (0, -1.5), (1, 0), (1, -2), (3, 0), (3, -3), (8, 0)]
)
@pytest.mark.parametrize("problem", ["logistic-regression", "mlp"])
def test_overlap_and_rarity_accuse_nobody(
    problem: str, sharpness: float, bias: float, tmp_path: Path
) -> None:
    grid = {"method": "minibatch", "optimizer": "adam", "lr": "0.01", "epochs": "15"}
    found = explored(problem, drawn(tmp_path, sharpness, bias), grid)
    noise = found.settings[0].noise
    assert noise is not None
    assert not noise.accused.any()
    assert noise.expected_false is None
    assert noise.expected <= noise.contradicted


def test_a_rare_class_that_is_not_learnt_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = explored("logistic-regression", drawn(tmp_path, 0.5, -1.5), {"lr": "1", "epochs": "30"})
    noise = found.settings[0].noise
    assert noise is not None
    assert noise.contradicted > 100
    assert noise.untold == (1,)
    said = printed(found, capsys)
    assert f"The model expects another label for {noise.contradicted} examples; overlap" in said
    assert "that is not a sign of wrong labels" in said
    assert "class yes: the model expects another label for most of its examples" in said
    assert "made wrong" not in said


def test_swapped_labels_of_classes_that_can_be_told_are_found(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    y = rng.random(1000) < 0.3
    x = rng.normal(size=(1000, 3)) + 4 * y[:, None]
    table = pd.DataFrame(x, columns=list("abc")).assign(y=(y ^ (rng.random(1000) < 0.05)) + 0)
    table.to_csv(tmp_path / "apart.csv", index=False)
    options = {"data": str(tmp_path / "apart.csv"), "target": "y"}
    grid = {"method": "minibatch", "lr": "0.1", "epochs": "20"}
    noise = explored("logistic-regression", options, grid).settings[0].noise
    assert noise is not None
    assert noise.accused.sum() >= 25
    assert noise.expected_false is not None
    assert noise.expected_false < noise.accused.sum() / 2


@pytest.mark.parametrize(
    ("problem", "options", "flip", "least"),
    [
        ("softmax-regression", {}, 0.05, (0.85, 0.98)),
        ("softmax-regression", {}, 0.1, (0.9, 0.9)),
        ("softmax-regression", {"dataset": "iris"}, 0.1, (0.8, 0.75)),
        ("softmax-regression", {"dataset": "wine"}, 0.1, (0.9, 0.85)),
        ("logistic-regression", {}, 0.1, (0.8, 0.85)),
        ("mlp", {}, 0.1, (0.85, 0.8)),
    ],
)
def test_planted_errors_are_found(
    problem: str,
    options: dict[str, Any],
    flip: float,
    least: tuple[float, float],
    capsys: pytest.CaptureFixture[str],
) -> None:
    epochs = "10" if problem == "mlp" else "20"
    grid = {"method": "minibatch", "lr": "0.1", "epochs": epochs}
    found = explored(problem, options, grid, flip)
    noise, planted = found.settings[0].noise, found.examples.flipped
    assert noise is not None
    assert planted is not None
    measured, recall = precision_and_recall(noise.accused, planted)
    assert measured is not None
    assert measured >= least[0]
    assert recall is not None
    assert recall >= least[1]
    # The count of right labels among them is of the size that it is said to be.
    false = int((noise.accused & ~planted).sum())
    assert noise.expected_false is not None
    assert abs(noise.expected_false - false) <= max(4, 0.1 * noise.accused.sum())
    said = printed(found, capsys)
    assert f"The model expects another label for {noise.accused.sum()} examples, and about" in said


def test_the_chance_of_many_is_poissons() -> None:
    for mean in (0.5, 3.0, 40.0, 900.0):
        for count in (0, 1, 5, 50, 1000):
            assert _at_least(count, mean) == pytest.approx(poisson.sf(count - 1, mean), abs=1e-10)


def test_few_examples_and_equal_margins_are_judged() -> None:
    margins = np.array([0.9] * 20 + [-0.9] * 5 + [1.0] * 20 + [-1.0] * 3)
    labels = np.array([0] * 25 + [1] * 20 + [2] * 3)
    noise = label_noise(margins, labels, BOUND)
    assert noise.accused.sum() == 5
    assert noise.contradicted == 8
    assert noise.untold == ()
    assert not label_noise(margins[25:], labels[25:], 1.0).accused.any()
