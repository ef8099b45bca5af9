"""What examples do while trials train: against the curves, a plain loop, and planted errors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr
from torch import nn

from gdcli.catalog.catalog import PROBLEMS
from gdcli.engine.batch import TrialBatch
from gdcli.engine.device import NumPy, Torch
from gdcli.engine.examples import examples_of
from gdcli.engine.families.family import program_for, starting_point
from gdcli.errors import UserError
from gdcli.problem import Data, LinearModel
from gdcli.problems.mlp import Mlp
from gdcli.runs.options import Silent
from gdcli.studies.explore.dynamics import Dynamics, Exploration, explore, flipped, labels_of
from gdcli.studies.explore.files import (
    REGIONS,
    margins_of,
    precision_and_recall,
    rank_correlation,
    regions_of,
)
from gdcli.studies.options import Compute, DataMap
from gdcli.studies.training import train, watched
from tests.grids import experiment, only
from tests.grids import train as curves_of

CPU = Compute(device="cpu")
LINEAR = [name for name in PROBLEMS.names() if issubclass(PROBLEMS.find(name, ""), LinearModel)]
CLASSIFIERS = [
    ("logistic-regression", {"l2": "0"}),
    ("softmax-regression", {"dataset": "iris", "l2": "0"}),
    ("mlp", {"dataset": "wine"}),
    ("cnn", {"channels": "2"}),
]


class Normed(Mlp):
    """A network with a layer that has no trial-axis form."""

    def module(self, data: Data) -> nn.Module:
        return nn.Sequential(nn.LayerNorm(13), super().module(data))


def explored(
    problem: str,
    options: dict[str, Any] | None = None,
    study: DataMap | None = None,
    **grid: Any,
) -> Exploration:
    return explore(experiment(problem, options, **grid), study or DataMap(), CPU, Silent)


@pytest.mark.parametrize(("problem", "options"), CLASSIFIERS)
@pytest.mark.parametrize("method", ["gd", "minibatch"])
def test_the_means_over_the_examples_are_those_of_the_curve(
    problem: str, options: dict[str, Any], method: str
) -> None:
    (found,) = explored(problem, options, method=method, epochs="4").settings
    curve = only(curves_of(problem, options, method=method, epochs="4"))
    tolerance = 1e-5 if curve.losses.dtype == "float32" else 1e-12
    own = {name: values.mean() for name, values in found.measures.items()}
    accuracy = curve.values["train_accuracy"][1:].mean()
    assert own["final_loss"] == pytest.approx(curve.losses[-1], rel=tolerance)
    assert own["loss"] == pytest.approx(curve.losses[1:].mean(), rel=tolerance)
    assert own["correctness"] == pytest.approx(accuracy, rel=tolerance)
    assert found.loss == curve.losses[-1]


def test_a_module_without_a_trial_axis_has_the_same_measures() -> None:
    trial = experiment("mlp", {"dataset": "wine"}, epochs="3").grid.trials[0]
    odd = replace(trial, problem=Normed(dataset="wine"))
    data = examples_of(odd)
    dynamics = Dynamics(labels_of(odd, data), 2)
    batch = TrialBatch(0, "", (odd,))
    program, curves = watched(batch, data, "cpu", lambda _: None, dynamics.add)
    found = dynamics.measures(program)
    assert program.description == "vmap of the module"
    means = [found[name].mean() for name in ("final_loss", "correctness")]
    values = curves.values
    expected = [values["train_loss"][-1, 0], values["train_accuracy"][1:, 0].mean()]
    assert means == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(found["likely"].sum(1), 1, rtol=1e-6)


@pytest.mark.parametrize("problem", ["logistic-regression", "softmax-regression"])
def test_torch_measures_what_numpy_does(problem: str) -> None:
    """As on a GPU, where the sums never leave it before the end."""
    trials = experiment(problem, {"dataset": "breast-cancer"}, lr="0.1", seed="0,1").grid.trials
    data = examples_of(trials[0])
    found = []
    for device in (NumPy("float64"), Torch("float64")):
        program = program_for(trials, data, device)
        starts = [starting_point(trials[0].problem, data, seed) for seed in program.layout.seeds]
        dynamics = Dynamics(labels_of(trials[0], data), 1)
        for scale in (0, 1, -2, 5):
            moved = [{name: scale * array for name, array in start.items()} for start in starts]
            dynamics.add(program, program.start(moved))
        found.append(dynamics.measures(program))
    for name, values in found[0].items():
        assert values.shape[0] == 2
        np.testing.assert_allclose(found[1][name], values, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", LINEAR)
def test_a_linear_classifiers_slope_is_its_probabilities_less_the_target(name: str) -> None:
    """So it is for a cross-entropy; the classes of one output are 0 and 1."""
    (trial,) = experiment(name).grid.trials
    assert isinstance(trial.problem, LinearModel)
    y = examples_of(trial).train["y"][:50].T
    z = np.random.default_rng(0).normal(0, 20, y.shape)
    likely = trial.problem.probabilities(z)
    # The margin of a hinge is no probability, though what it classifies has an accuracy.
    assert (likely is not None) == (bool(trial.problem.metric_names) and name != "svm")
    if likely is None:
        return
    np.testing.assert_allclose(likely.sum(0), 1, rtol=1e-12)
    slope = trial.problem.slope(z, y)
    np.testing.assert_allclose(likely[-len(y) :] - y, slope, rtol=1e-10, atol=1e-12)


def test_a_class_may_have_no_example() -> None:
    (found,) = explored("cnn", {"examples": "12", "channels": "1"}, epochs="2").settings
    assert found.seeds == 1
    assert found.measures["predicted"].max() < 10


def test_the_measures_are_their_definitions() -> None:
    """Against a plain pass over the parameters at the end of every epoch."""
    grid: dict[str, Any] = {"method": "minibatch", "epochs": "6", "lr": "0.5"}
    named = experiment("softmax-regression", {"dataset": "iris"}, **grid)
    (found,) = explore(named, DataMap(el2n_epoch=2), CPU, Silent).settings
    (trial,) = named.grid.trials
    points = train([trial], CPU, Silent, keep=True).trained[trial].params
    assert points is not None
    x, y = (examples_of(trial).train[name] for name in ("x", "y"))
    weights, biases = points[1:, :-3].reshape(6, 4, 3), points[1:, None, -3:]
    likely = np.exp(x @ weights + biases)
    likely /= likely.sum(2, keepdims=True)
    true = (likely * y).sum(2)
    right = likely.argmax(2) == y.argmax(1)
    own = found.measures
    np.testing.assert_allclose(own["confidence"], true.mean(0), rtol=1e-10)
    np.testing.assert_allclose(own["variability"], true.std(0), rtol=1e-8)
    np.testing.assert_allclose(own["el2n"], np.linalg.norm(likely[1] - y, axis=1), rtol=1e-10)
    np.testing.assert_array_equal(own["forgetting"], (right[:-1] & ~right[1:]).sum(0))
    np.testing.assert_array_equal(own["predicted"], likely.mean(0).argmax(1))
    assert own["forgetting"].any()
    first = np.where(right.any(0), right.argmax(0) + 1, np.nan)
    np.testing.assert_array_equal(own["first_learned"], first)
    assert np.isnan(first).any()


def test_seeds_are_averaged() -> None:
    options = {"dataset": "wine"}
    grid: dict[str, Any] = {"method": "minibatch", "epochs": "5"}
    (both,) = explored("mlp", options, **grid, seed="0,1").settings
    singles = [explored("mlp", options, **grid, seed=seed).settings[0] for seed in "01"]
    assert (both.seeds, both.diverged) == (2, 0)
    for name in ("loss", "confidence", "variability", "forgetting", "el2n"):
        mean = sum(single.measures[name] for single in singles) / 2
        np.testing.assert_array_equal(both.measures[name], mean)
    firsts = np.stack([single.measures["first_learned"] for single in singles])
    learned = ~np.isnan(firsts)
    expected = np.nansum(firsts, 0)[learned.any(0)] / learned.sum(0)[learned.any(0)]
    np.testing.assert_allclose(both.measures["first_learned"][learned.any(0)], expected)


@pytest.mark.parametrize(("problem", "options"), [*CLASSIFIERS, ("linear-regression", {})])
def test_a_setting_has_the_same_bits_in_any_grid(problem: str, options: dict[str, Any]) -> None:
    grid: dict[str, Any] = {"method": "minibatch", "epochs": "3", "seed": "0,2"}
    many = explored(problem, options, **grid, lr="0.01,0.02,0.03", optimizer="vanilla,adam")
    alone = explored(problem, options, **grid, lr="0.02", optimizer="vanilla").settings[0]
    (same,) = [setting for setting in many.settings if setting.trial == alone.trial]
    for name, values in alone.measures.items():
        np.testing.assert_array_equal(same.measures[name], values, err_msg=name)


def test_of_a_regression_only_the_losses_are_measured() -> None:
    found = explored("linear-regression", epochs="5")
    (setting,) = found.settings
    curve = only(curves_of("linear-regression", epochs="5"))
    assert set(setting.measures) == {"loss", "loss_deviation", "final_loss"}
    assert setting.measures["loss"].mean() == pytest.approx(curve.losses[1:].mean(), rel=1e-10)
    assert found.examples.flipped is None


def test_a_trial_that_diverged_says_nothing_of_the_examples() -> None:
    (found,) = explored("linear-regression", seed="0,1", lr="10").settings
    assert (found.seeds, found.diverged, found.measures) == (0, 2, {})
    both = explored("linear-regression", lr="0.1,10", epochs="50")
    assert [setting.trial.lr for setting in both.trained] == [0.1]


def test_flips_are_a_part_of_the_labels_and_the_same_in_every_grid() -> None:
    trial, other = experiment("softmax-regression", lr="0.1", seed="0,1").grid.trials
    labels = labels_of(trial, examples_of(trial))
    assert labels is not None
    few, more = (flipped(trial, labels, 10, part) != labels for part in (0.05, 0.2))
    assert (few.sum(), more.sum()) == (round(0.05 * labels.size), round(0.2 * labels.size))
    assert (few <= more).all()
    np.testing.assert_array_equal(
        flipped(trial, labels, 10, 0.05), flipped(other, labels, 10, 0.05)
    )
    moved = replace(trial, training=replace(trial.training, data_seed=1))
    assert (flipped(moved, labels, 10, 0.05) != flipped(trial, labels, 10, 0.05)).any()
    assert not (flipped(trial, labels, 10, 0.0) != labels).any()


@pytest.mark.parametrize(
    ("problem", "options", "epochs", "precision"),
    [
        ("softmax-regression", {}, "20", 0.75),
        ("mlp", {}, "15", 0.8),
        ("cnn", {}, "15", 0.75),
        ("logistic-regression", {}, "50", 0.7),
    ],
)
def test_most_planted_errors_are_found(
    problem: str, options: dict[str, Any], epochs: str, precision: float
) -> None:
    study = DataMap(flip_labels=0.05)
    found = explored(problem, options, study, method="minibatch", epochs=epochs)
    planted = found.examples.flipped
    assert planted is not None
    errors = found.settings[0].measures["likely_error"]
    measured, recall = precision_and_recall(errors, planted)
    assert measured is not None
    assert recall is not None
    assert measured >= precision
    assert recall >= 0.9
    # The class that is predicted instead is mostly the one that the label had before.
    caught = errors & planted
    assert found.examples.original is not None
    again = found.settings[0].measures["predicted"] == found.examples.original
    assert again[caught].mean() > 0.9
    assert examples_of(found.settings[0].trial).train["y"] is not found.examples.data.train["y"]


def test_regions_and_margins() -> None:
    confidence, variability = np.array([0.9, 0.9, 0.1, 0.5]), np.array([0.1, 0.2, 0.1, 0.19])
    places = regions_of(confidence, variability, 0.2)
    assert [REGIONS[place] for place in places] == ["easy", "ambiguous", "hard", "easy"]
    likely = np.array([[0.7, 0.2], [0.2, 0.5], [0.1, 0.3]])
    np.testing.assert_allclose(margins_of(likely, np.array([0, 2])), [0.5, -0.2])


def test_precision_and_recall() -> None:
    found, wanted = np.array([True, True, False]), np.array([True, False, True])
    assert precision_and_recall(found, wanted) == (0.5, 0.5)
    assert precision_and_recall(found & False, wanted) == (None, 0.0)
    assert precision_and_recall(found, wanted & False) == (0.0, None)


def test_ranks_correlate_as_scipy_says() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 9, 50).astype(float), rng.standard_normal(50)
    found = rank_correlation(one, other + one)
    assert found == pytest.approx(spearmanr(one, other + one).statistic, rel=1e-12)
    assert rank_correlation(one, -one) == pytest.approx(-1)
    assert rank_correlation(one, 0 * one) is None


@pytest.mark.parametrize(
    ("problem", "options", "study", "grid", "said"),
    [
        ("quadratic", {}, {}, {}, "gdcli explore: quadratic has no loss of a single example; "),
        ("matrix-factorization", {}, {}, {}, "gdcli explore: matrix-factorization has no loss of"),
        ("linear-regression", {}, {"flip_labels": 0.1}, {}, "--flip-labels: linear-regression pr"),
        ("mlp", {}, {}, {"vary": {"test-fraction": "0.1,0.2"}}, "--vary: the grid varies the exa"),
    ],
)
def test_what_cannot_be_explored_is_refused(
    problem: str, options: dict[str, Any], study: dict[str, Any], grid: dict[str, Any], said: str
) -> None:
    with pytest.raises(UserError) as raised:
        explored(problem, options, DataMap(**study), **grid)
    assert str(raised.value).startswith(said)


def test_what_is_kept_must_fit_the_memory() -> None:
    small = Compute(device="cpu", memory="1MB")
    with pytest.raises(UserError, match=r"--memory: what is kept of 1438 examples needs 1\.27MB"):
        explore(experiment("mlp"), DataMap(), small, Silent)
