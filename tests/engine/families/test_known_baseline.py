"""What a constant prediction reaches, against sums written out and against descent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gdcli.engine.examples import examples_of
from gdcli.engine.families.family import family_of
from tests.grids import experiment, train

if TYPE_CHECKING:
    from gdcli.engine.families.known import Baseline
    from gdcli.experiment.grid import Trial


def trial(problem: str, **options: Any) -> Trial:
    named = {name.replace("_", "-"): str(value) for name, value in options.items()}
    return experiment(problem, named).grid.trials[0]


def baseline(problem: str, **options: Any) -> Baseline:
    one = trial(problem, **options)
    found = family_of(one.problem).theory.baseline(one.problem, examples_of(one))
    assert found is not None
    return found


@pytest.mark.parametrize("problem", ["mlp", "softmax-regression"])
def test_a_classifiers_is_the_entropy_of_its_classes(problem: str) -> None:
    data = examples_of(trial(problem, dataset="wine"))
    parts = (part["y"] for part in (data.train, data.test))
    train_part, test_part = (y.argmax(1) if y.ndim == 2 else y for y in parts)
    shares = np.array([(train_part == k).mean() for k in range(3)])
    found = baseline(problem, dataset="wine")
    assert found.train_loss == pytest.approx(-(shares * np.log(shares)).sum())
    assert found.test_loss == pytest.approx(-np.log(shares)[test_part].mean())
    assert found.majority == shares.argmax() == 1
    assert found.train_share == pytest.approx(shares[1])
    assert found.test_share == pytest.approx((test_part == 1).mean())


def test_all_classifiers_of_one_data_set_have_the_same_shares() -> None:
    found = [
        baseline(problem, dataset="breast-cancer", test_fraction=0)
        for problem in ("mlp", "softmax-regression", "logistic-regression", "svm")
    ]
    assert len({(each.majority, each.train_share, each.test_share) for each in found}) == 1
    assert found[0].train_loss == pytest.approx(found[2].train_loss)
    assert found[3].train_loss is None  # of a kink


def test_a_squared_hinge_has_a_constant_of_its_own() -> None:
    found = baseline("svm", hinge="squared")
    y = 2 * examples_of(trial("svm")).train["y"] - 1
    constants = np.linspace(-1, 1, 20_001)
    least = min((np.maximum(0, 1 - y * c) ** 2).mean() for c in constants)
    assert found.train_loss == pytest.approx(least, rel=1e-7)


def test_a_regressors_is_the_mean() -> None:
    found = baseline("linear-regression")
    data = examples_of(trial("linear-regression"))
    y, held_out = data.train["y"], data.test["y"]
    assert found.train_loss == pytest.approx(0.5 * y.var())
    assert found.test_loss == pytest.approx(0.5 * ((held_out - y.mean()) ** 2).mean())
    assert (found.majority, found.train_share) == (None, None)


def test_that_of_counts_is_the_logarithm_of_their_mean() -> None:
    found = baseline("poisson-regression", test_fraction=0)
    mean = examples_of(trial("poisson-regression", test_fraction=0)).train["y"].mean()
    assert found.train_loss == pytest.approx(mean - mean * np.log(mean))
    assert found.test_loss is None


def test_a_model_without_features_that_vary_descends_to_it(tmp_path: Any) -> None:
    file = tmp_path / "constant.csv"
    rows = [f"1,{y}" for y in (0, 1, 1, 1, 2, 9, 30)]
    file.write_text("\n".join(["x,y", *rows]) + "\n")
    options = {"data": str(file), "target": "y", "test-fraction": "0", "delta": "3"}
    (run,) = train("huber", options, lr="0.5", epochs="400").values()
    found = family_of(run.trial.problem).theory.baseline(run.trial.problem, examples_of(run.trial))
    assert found is not None
    assert found.train_loss == pytest.approx(run.losses[-1], rel=1e-9)


def test_a_language_model_guesses_by_the_frequency_of_characters() -> None:
    data = examples_of(trial("char-lm", examples=500))
    _, counts = np.unique(data.train["y"], return_counts=True)
    shares = counts / counts.sum()
    found = baseline("char-lm", examples=500)
    assert found.train_loss == pytest.approx(-(shares * np.log(shares)).sum())
    # The test text has characters that these 500 lack: their cost has no bound.
    assert found.test_loss is None
    assert found.train_share == shares.max()


@pytest.mark.parametrize("problem", ["autoencoder", "quadratic", "matrix-factorization"])
def test_of_others_nothing_is_known(problem: str) -> None:
    one = trial(problem)
    assert family_of(one.problem).theory.baseline(one.problem, examples_of(one)) is None
