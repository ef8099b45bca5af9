"""What rare classes count, against scikit-learn and torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression as Oracle
from sklearn.metrics import balanced_accuracy_score
from sklearn.utils.class_weight import compute_class_weight

from gdcli.engine.examples import (
    balanced,
    class_counts,
    class_weights,
    classes_in,
    examples_of,
    load,
    recalled,
)
from gdcli.engine.families.family import (
    check_trial,
    family_of,
    greatest_bound_of,
    starting_point,
)
from gdcli.engine.plan import plan_of
from gdcli.engine.sampling import Orders
from gdcli.errors import UserError
from gdcli.problem import Array, Data, Network, OfClasses
from gdcli.problems.autoencoder import Autoencoder
from gdcli.problems.logistic_regression import LogisticRegression
from gdcli.problems.mlp import Mlp
from gdcli.problems.softmax_regression import SoftmaxRegression
from gdcli.problems.svm import Svm
from tests.grids import Trained, assert_agree, experiment, only, train

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

WEIGHED = {"class_weights": "balanced"}


@pytest.fixture
def rare(tmp_path: Path) -> Path:
    """Return a file of 90 rows and three classes, of 60, 24 and 6 examples."""
    rng = np.random.default_rng(3)
    kinds = np.repeat([0, 1, 2], [60, 24, 6])
    x = rng.standard_normal((90, 3)) + 0.7 * kinds[:, None]
    lines = [f"{a},{b},{c},{'abc'[kind]}" for (a, b, c), kind in zip(x, kinds, strict=True)]
    file = tmp_path / "rare.csv"
    file.write_text("\n".join(["u,v,w,kind", *lines]) + "\n", encoding="utf-8")
    return file


@pytest.fixture
def two(rare: Path) -> Path:
    """Return the same without the class of 24."""
    file = rare.with_name("two.csv")
    lines = rare.read_text(encoding="utf-8").splitlines()
    file.write_text("\n".join(line for line in lines if line[-1] != "b") + "\n", encoding="utf-8")
    return file


def sklearns(y: Array) -> NDArray[np.float64]:
    """Return scikit-learn's weight of each class."""
    found: NDArray[np.float64] = compute_class_weight("balanced", classes=np.unique(y), y=y)
    return found


def of(file: Path, **options: Any) -> dict[str, Any]:
    return {"data": str(file), "target": "kind", **options}


def test_the_weights_are_scikit_learns() -> None:
    y = np.repeat([0, 1, 3], [7, 2, 1])
    data = Data({"x": np.zeros((10, 1)), "y": y})
    found = class_weights(Mlp(**WEIGHED), data, 5)  # type: ignore[arg-type]
    oracle = sklearns(y)
    assert found is not None
    np.testing.assert_allclose(found[[0, 1, 3]], oracle, rtol=1e-15)
    assert found[[2, 4]].tolist() == [1, 1]  # of no example: no weight is known
    assert class_weights(Mlp(), data) is None


def test_targets_that_do_not_count_have_no_class() -> None:
    assert classes_in({"y": np.array([[1, -100], [0, 2]])}).tolist() == [1, 0, 2]
    assert class_counts({"y": np.array([[0.0], [1.0], [1.0]])}).tolist() == [1, 2]
    assert class_counts({"y": np.eye(3)[[2, 2, 0]]}).tolist() == [1, 0, 2]


def test_logistic_regression_has_scikit_learns_minimum(two: Path) -> None:
    l2 = 0.03
    run = only(
        train(
            "logistic-regression",
            of(two, l2=l2, **WEIGHED),
            optimizer="momentum",
            lr="0.5",
            epochs="3000",
        )
    )
    data = examples_of(run.trial)
    x, y = data.train["x"], data.train["y"][:, 0]
    oracle = Oracle(C=1 / (l2 * len(x)), class_weight="balanced", tol=1e-12, max_iter=10_000)
    oracle.fit(x, y)
    z, weight = oracle.decision_function(x), sklearns(y)
    costs = np.logaddexp(0, z) - y * z
    least = (weight[y.astype(int)] * costs).mean() + 0.5 * l2 * (oracle.coef_**2).sum()
    assert run.losses[-1] == pytest.approx(least, rel=1e-9)
    bound = greatest_bound_of(run.trial)
    assert bound is not None
    assert bound.loss == pytest.approx(least, rel=1e-10)
    plain = only(train("logistic-regression", of(two, l2=l2), lr="0.5", epochs="5"))
    other = greatest_bound_of(plain.trial)
    assert other is not None
    assert other.loss != pytest.approx(least, rel=1e-2)


def test_softmax_regression_has_scikit_learns_minimum(rare: Path) -> None:
    l2 = 0.05
    problem = SoftmaxRegression(data=rare, target="kind", l2=l2, class_weights="balanced")
    run = only(train("softmax-regression", of(rare, l2=l2, **WEIGHED), lr="0.5", epochs="1"))
    data = load(problem, 0)
    x, y = data.train["x"], data.train["y"].argmax(1)
    oracle = Oracle(C=1 / (l2 * len(x)), class_weight="balanced", tol=1e-12, max_iter=10_000)
    oracle.fit(x, y)
    weight = sklearns(y)[y]
    costs = -oracle.predict_log_proba(x)[np.arange(len(y)), y]
    least = (weight * costs).mean() + 0.5 * l2 * (oracle.coef_**2).sum()
    bound = greatest_bound_of(run.trial)
    assert bound is not None
    assert bound.loss == pytest.approx(least, rel=1e-9)


@pytest.mark.parametrize("problem", [LogisticRegression, SoftmaxRegression])
def test_the_curvature_bounds_the_weighted_hessian(
    problem: type[LogisticRegression | SoftmaxRegression], two: Path
) -> None:
    given = problem(data=two, target="kind", l2=0.0, class_weights="balanced")
    data = load(given, 0)
    found = family_of(given).theory.curvature(given, data)
    assert found is not None
    x = np.column_stack([data.train["x"], np.ones(data.examples)])
    y = classes_in(data.train)
    weight = sklearns(y)[y]
    # At 0 every probability is 1/2, where logistic regression bends most.
    largest = np.linalg.eigvalsh(0.25 * (x.T * weight) @ x / len(x))[-1]
    exact = largest if problem is LogisticRegression else 2 * largest
    assert found.largest == pytest.approx(exact, rel=1e-12)


FEW = {"lr": "0.1", "seed": "1", "epochs": "2", "batch_size": "20"}


@pytest.mark.parametrize("problem", ["softmax-regression", "mlp"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_both_engines_weigh_alike(problem: str, dtype: str, rare: Path) -> None:
    grid = {**FEW, "method": "gd,sgd,minibatch", "dtype": dtype}
    options = of(rare, **WEIGHED)
    found = train(problem, options, **grid)
    assert_agree(found, train(problem, options, engine="reference", **grid))
    assert {"train_balanced_accuracy", "test_balanced_accuracy"} <= set(only_of(found).values)


@pytest.mark.parametrize(
    ("problem", "more"),
    [("logistic-regression", {}), ("svm", {"hinge": "squared"}), ("svm", {"hinge": "plain"})],
)
def test_both_engines_weigh_two_classes_alike(
    problem: str, more: dict[str, str], two: Path
) -> None:
    grid = {**FEW, "method": "gd,sgd,minibatch", "measure": "sharpness", "dtype": "float64"}
    options = of(two, **WEIGHED, **more)
    found = train(problem, options, **grid)
    assert_agree(found, train(problem, options, engine="reference", **grid))


def only_of(found: dict[str, Trained]) -> Trained:
    return next(iter(found.values()))


OWN = '''
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import nn

from gdcli.problem import Data, Network


class Odd(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, x):
        return self.last(torch.sin(self.first(x)))


@dataclass(frozen=True)
class Mine(Network):
    """A module that has no stacked form."""

    def load(self, rng):
        x, y = rng.standard_normal((70, 4)), np.repeat([0, 1, 2], [50, 15, 5])
        x += y[:, None]
        order = rng.permutation(70)
        train, test = order[:50], order[50:]
        return Data({"x": x[train], "y": y[train]}, {"x": x[test], "y": y[test]})

    def module(self, data):
        return Odd()
'''


def test_a_users_module_is_weighed_as_by_torch(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(OWN, encoding="utf-8")
    grid = {**FEW, "method": "gd,minibatch", "dtype": "float64"}
    found = train(str(file), WEIGHED, **grid)
    assert_agree(found, train(str(file), WEIGHED, engine="reference", **grid))
    run = next(run for run in found.values() if run.trial.method == "gd")
    data, module = examples_of(run.trial), module_of_the_start(run, 1)
    x, y = (torch.from_numpy(data.train[name]) for name in ("x", "y"))
    weight = sklearns(data.train["y"])
    # Over all training examples torch's mean, by the sum of the weights, is the same.
    loss = torch.nn.CrossEntropyLoss(weight=torch.from_numpy(weight))(module(x), y)
    assert run.losses[0] == pytest.approx(float(loss.detach()), rel=1e-12)
    held = torch.from_numpy(data.test["x"])
    guess = module(held).argmax(1).numpy()
    oracle = balanced_accuracy_score(data.test["y"], guess)
    assert run.values["test_balanced_accuracy"][0] == pytest.approx(oracle, rel=1e-12)


def module_of_the_start(run: Trained, seed: int) -> torch.nn.Module:
    """Return a trial's network where it starts, in float64."""
    data, problem = examples_of(run.trial), run.trial.problem
    assert isinstance(problem, Network)
    module = problem.module(data).double()
    start = starting_point(problem, data, seed)
    module.load_state_dict({name: torch.from_numpy(np.array(a)) for name, a in start.items()})
    return module


def test_minibatches_of_an_mlp_are_weighed_as_in_a_loop_in_torch(rare: Path) -> None:
    options = of(rare, hidden="5", **WEIGHED)
    grid = {"lr": "0.3", "epochs": "4", "method": "minibatch", "batch_size": "20"}
    run = only(train("mlp", options, dtype="float64", **grid))
    data, module = examples_of(run.trial), module_of_the_start(run, 0)
    x, y = (torch.from_numpy(data.train[name]) for name in ("x", "y"))
    weights = sklearns(data.train["y"])
    cost = torch.nn.CrossEntropyLoss(weight=torch.from_numpy(weights), reduction="none")
    optimizer = torch.optim.SGD(module.parameters(), lr=0.3)
    plan = plan_of(run.trial, data.examples)
    orders = Orders("mlp", (0,), plan, "shuffle")
    losses = [float(cost(module(x), y).mean().detach())]
    for epoch in range(4):
        steps = epoch * plan.steps_per_epoch
        for block in orders.blocks(steps, steps + plan.steps_per_epoch, 100):
            for chosen in torch.from_numpy(block[:, 0]):
                optimizer.zero_grad()
                cost(module(x[chosen]), y[chosen]).mean().backward()
                optimizer.step()
        losses.append(float(cost(module(x), y).mean().detach()))
    np.testing.assert_allclose(run.losses, losses, rtol=1e-10)


def test_balanced_accuracy_is_scikit_learns_and_the_weights_raise_it(two: Path) -> None:
    grid = {"lr": "0.5", "epochs": "200", "optimizer": "vanilla"}
    found = {}
    for weights in ("none", "balanced"):
        options = of(two, balanced_accuracy="true", class_weights=weights)
        found[weights] = only(train("logistic-regression", options, **grid))
    plain, heavy = found["none"].values, found["balanced"].values
    assert heavy["train_balanced_accuracy"][-1] > plain["train_balanced_accuracy"][-1]
    for run in (plain, heavy):
        assert run["train_balanced_accuracy"][-1] <= 1


def test_recall_counts_whole_examples() -> None:
    # In parts of the examples, as shares of all of them, and in single precision.
    counts = np.array([49, 7, 0, 3])
    shares = counts.astype("float32") / 59
    data = Data({"y": np.zeros(59)})
    found = recalled({"train_hits": shares}, {"train": counts, "test": counts}, data)
    assert found["train_balanced_accuracy"] == 1  # exactly
    hit = np.array([[49.0], [0.0], [0.0], [3.0]])
    assert balanced(hit, counts) == pytest.approx(2 / 3, rel=1e-15)


def test_what_has_no_classes_has_no_weights() -> None:
    with pytest.raises(UserError, match="the criterion is mse"):
        Autoencoder(class_weights="balanced")
    with pytest.raises(UserError, match="the criterion is mse"):
        Autoencoder(balanced_accuracy=True)
    for problem in (LogisticRegression(), Svm(), SoftmaxRegression(), Mlp()):
        assert isinstance(problem, OfClasses)
        assert not problem.weighs


SHARES = """
    def load(self, rng):
        return Data({"x": rng.standard_normal((9, 4)), "y": np.full((9, 3), 1 / 3)})
"""
PLACES = """
    def load(self, rng):
        x = rng.integers(0, 5, (40, 6))
        y = np.minimum(x, rng.integers(0, 5, (40, 6)))
        y[0, :2] = -100
        return Data({"x": x[:30], "y": y[:30]}, {"x": x[30:], "y": y[30:]})

    def module(self, data):
        return nn.Sequential(nn.Embedding(5, 4), nn.Tanh(), nn.Linear(4, 5))
"""


def without_methods() -> str:
    return OWN[: OWN.index("    def load")]


def test_targets_that_are_shares_have_no_weights(tmp_path: Path) -> None:
    file = tmp_path / "shares.py"
    module = OWN[OWN.index("    def module") :]
    file.write_text(without_methods() + SHARES + "\n" + module, encoding="utf-8")
    for weights in ("none", "balanced"):
        trial = experiment(str(file), {"class_weights": weights}, lr="0.1").grid.trials[0]
        if weights == "none":
            check_trial(trial)
        else:
            with pytest.raises(UserError, match="--class-weights: its targets are shares"):
                check_trial(trial)


def test_a_target_at_every_place_is_weighed(tmp_path: Path) -> None:
    file = tmp_path / "places.py"
    file.write_text(without_methods() + PLACES, encoding="utf-8")
    grid = {"lr": "0.5", "epochs": "3", "dtype": "float64", "method": "gd,minibatch"}
    found = train(str(file), WEIGHED, batch_size="10", **grid)
    assert_agree(found, train(str(file), WEIGHED, engine="reference", batch_size="10", **grid))
    run = next(run for run in found.values() if run.trial.method == "gd")
    data, module = examples_of(run.trial), module_of_the_start(run, 0)
    y = data.train["y"].ravel()
    counts = y >= 0  # -100 counts nowhere
    z = module(torch.from_numpy(data.train["x"])).flatten(0, 1)[torch.from_numpy(counts)]
    weight = torch.from_numpy(sklearns(y[counts]))
    loss = torch.nn.CrossEntropyLoss(weight=weight)(z, torch.from_numpy(y[counts]))
    assert run.losses[0] == pytest.approx(float(loss.detach()), rel=1e-12)
    oracle = balanced_accuracy_score(y[counts], z.argmax(1).numpy())
    assert run.values["train_balanced_accuracy"][0] == pytest.approx(oracle, rel=1e-12)


def test_examples_on_disk_are_weighed_alike(two: Path) -> None:
    grid = {"lr": "0.3", "epochs": "20", "method": "gd,minibatch", "batch_size": "16"}
    whole = train("logistic-regression", of(two, **WEIGHED), **grid)
    parts = train("logistic-regression", of(two, stream="true", **WEIGHED), **grid)
    for one, other in zip(whole.values(), parts.values(), strict=True):
        for name, values in one.values.items():
            np.testing.assert_allclose(other.values[name], values, rtol=1e-9)


def test_a_constant_is_judged_by_the_weighted_loss(rare: Path) -> None:
    problem = Mlp(data=rare, target="kind", class_weights="balanced")
    data = load(problem, 0)
    base = family_of(problem).theory.baseline(problem, data)
    assert base is not None
    assert base.train_loss == pytest.approx(np.log(3), rel=1e-12)  # all classes count alike
    assert base.train_recall == pytest.approx(1 / 3)
    assert base.name == "a"
    test = data.test["y"]
    weight = sklearns(data.train["y"])[test]
    assert base.test_loss == pytest.approx((weight * np.log(3)).mean(), rel=1e-12)
    oracle = balanced_accuracy_score(test, np.zeros_like(test))
    assert base.test_recall == pytest.approx(oracle)
