"""The floors of SGD, against long simulations in NumPy and against closed forms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gdcli.engine.examples import examples_of
from gdcli.engine.families import noise_floor
from gdcli.engine.families.family import floors_of
from tests.grids import experiment

if TYPE_CHECKING:
    from pathlib import Path

    from gdcli.engine.families.noise_floor import Floor


def floors(problem: str, options: dict[str, Any], **grid: str) -> list[Floor]:
    named = {name: str(value) for name, value in options.items()}
    given = experiment(problem, named, **{"order": "replacement", **grid})
    trials = given.grid.trials
    return floors_of(trials, examples_of(trials[0]))


def batch_sizes(examples: int, size: int) -> list[int]:
    last = examples % size
    return [size] * (examples // size) + [last] * (last > 0)


def standard_error(chains: np.ndarray) -> float:
    return float(chains.std() / len(chains) ** 0.5)


@pytest.mark.parametrize("lr", ["0.02", "0.1"])
@pytest.mark.parametrize(("size", "expected"), [(32, "uneven"), (300, "uneven"), (250, "even")])
def test_a_bowls_floor_is_that_of_a_simulation(lr: str, size: int, expected: str) -> None:
    options = {"condition": 10, "noise": 1, "examples": 1000}
    (found,) = floors("quadratic", options, method="minibatch", batch_size=str(size), lr=lr)
    one = experiment("quadratic", {k: str(v) for k, v in options.items()}).grid.trials[0]
    data = examples_of(one)
    x, curvatures = data.train["x"], data.constants["eigenvalues"]
    rng = np.random.default_rng(size)
    # The mean of a batch is normal, to all that its second moment says.
    gap, ends, means = np.zeros((4000, 2)), [], []
    for epoch in range(60):
        excesses = []
        for batch in batch_sizes(1000, size):
            noise = rng.standard_normal(gap.shape) * x.std(0) / batch**0.5
            gap = gap - float(lr) * curvatures * (gap - noise)
            excesses.append(0.5 * (curvatures * gap**2).sum(1))
        if epoch >= 20:
            ends.append(excesses[-1])
            means.append(np.mean(excesses, 0))
    for known, held in ((found.excess, ends), (found.mean, means)):
        chains = np.mean(held, 0)
        assert known == pytest.approx(chains.mean(), abs=5 * standard_error(chains))
        assert standard_error(chains) < 0.02 * known
    assert (found.excess == found.mean) == (expected == "even")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of 50 examples with features of different sizes, off centre."""
    rng = np.random.default_rng(3)
    x = 0.3 + rng.standard_normal((50, 3)) * [1, 2, 0.5]
    y = x @ [1, 2, 3] + rng.standard_normal(50)
    made = tmp_path_factory.mktemp("floor") / "a.csv"
    np.savetxt(made, np.c_[x, y], header="a,b,c,y", comments="", delimiter=",")
    return made


def simulated(file: Path, lr: float, size: int, l2: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the excess of each of many chains at the ends of epochs, and over all steps."""
    held = np.loadtxt(file, delimiter=",", skiprows=1)
    x, y = np.c_[held[:, :3], np.ones(50)], held[:, 3]
    # As the tool orders them: the law of batches drawn with replacement does not depend on it.
    decay = np.array([l2, l2, l2, 0.0])
    hessian = x.T @ x / 50 + np.diag(decay)
    best = np.linalg.solve(hessian, x.T @ y / 50)
    rng, weights, ends, means = np.random.default_rng(size), np.tile(best, (400, 1)), [], []
    for epoch in range(90):
        excesses = []
        for batch in batch_sizes(50, size):
            drawn = rng.integers(50, size=(400, batch))
            residual = (x[drawn] @ weights[:, :, None])[:, :, 0] - y[drawn]
            pull = (x[drawn] * residual[:, :, None]).mean(1)
            weights = weights - lr * (pull + decay * weights)
            gap = weights - best
            excesses.append(0.5 * np.einsum("ci,ij,cj->c", gap, hessian, gap))
        if epoch >= 40:
            ends.append(excesses[-1])
            means.append(np.mean(excesses, 0))
    return np.mean(ends, 0), np.mean(means, 0)


@pytest.mark.parametrize("l2", [0.0, 0.3])
@pytest.mark.parametrize(("size", "lr"), [(1, 0.02), (8, 0.1), (10, 0.2)])
def test_the_floor_of_least_squares_is_that_of_a_simulation(
    file: Path, size: int, lr: float, l2: float
) -> None:
    options = {"data": file, "target": "y", "test-fraction": 0, "scale": "none", "l2": l2}
    grid = {"method": "minibatch", "batch_size": str(size), "lr": repr(lr)}
    (found,) = floors("linear-regression", options, **grid)
    for known, chains in zip(
        (found.excess, found.mean), simulated(file, lr, size, l2), strict=True
    ):
        assert known == pytest.approx(chains.mean(), abs=5 * standard_error(chains))
        assert standard_error(chains) < 0.06 * known


def test_a_collinear_feature_changes_no_floor(file: Path, tmp_path: Path) -> None:
    held = np.loadtxt(file, delimiter=",", skiprows=1)
    twice = tmp_path / "twice.csv"
    columns = np.c_[held[:, :3], held[:, 2] / 2, held[:, 3]]
    np.savetxt(twice, columns, header="a,b,c,d,y", comments="", delimiter=",")
    # Descent sees c and c / 2 as one feature, sqrt(1.25) times as large.
    one = tmp_path / "one.csv"
    columns = held * [1, 1, 1.25**0.5, 1]
    np.savetxt(one, columns, header="a,b,c,y", comments="", delimiter=",")
    shared = {"target": "y", "test-fraction": 0, "scale": "none"}
    grid = {"method": "minibatch", "batch_size": "8", "lr": "0.1"}
    found, expected = (
        floors("linear-regression", {"data": path, **shared}, **grid)[0] for path in (twice, one)
    )
    assert found.excess == pytest.approx(expected.excess, rel=1e-9)


def test_above_the_limit_of_the_mean_square_there_is_no_floor() -> None:
    options = {"condition": 10, "noise": 1, "examples": 100}
    (found,) = floors("quadratic", options, method="sgd", lr="0.2")
    assert (found.excess, found.mean) == (np.inf, np.inf)
    # Below 2 / L, but single examples are larger than their mean.
    (found,) = floors("linear-regression", {"dataset": "synthetic"}, method="sgd", lr="0.5")
    assert found.excess == np.inf


def test_what_is_recorded_decides_where_the_floor_is() -> None:
    options = {"condition": 10, "noise": 1, "examples": 100}
    grid = {"method": "minibatch", "batch_size": "16", "lr": "0.1"}
    every = {
        record: floors("quadratic", options, record=record, **grid)[0]
        for record in ("epoch", "14", "step", "log", "5")
    }
    assert every["epoch"].excess == every["14"].excess > every["step"].excess
    # After 5, 10, ... steps of epochs of 7 every place in an epoch is as frequent.
    assert every["step"] == every["log"] == every["5"]
    assert every["step"].excess == every["epoch"].mean


@pytest.mark.parametrize(
    "grid",
    [
        {"method": "gd"},
        {"method": "sgd", "order": "shuffle"},
        {"method": "sgd", "optimizer": "momentum"},
        {"method": "sgd", "schedule": "cosine"},
        {"method": "sgd", "weight_decay": "0.1"},
        {"method": "sgd", "clip_norm": "1"},
    ],
)
def test_of_other_ways_to_descend_nothing_is_claimed(grid: dict[str, str]) -> None:
    assert floors("quadratic", {"noise": 1, "examples": 20}, **grid) == []


@pytest.mark.parametrize(
    ("problem", "options"),
    [
        ("logistic-regression", {}),
        ("mlp", {}),
        ("linear-regression", {"dataset": "synthetic", "features": 300}),
        ("quadratic", {"noise": 1, "dim": 10_001, "examples": 2}),
    ],
)
def test_of_other_problems_and_very_large_ones_nothing_is_claimed(
    problem: str, options: dict[str, Any]
) -> None:
    assert floors(problem, options, method="sgd") == []


@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_many_features_take_another_way_to_the_same_floors(
    l2: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"dataset": "synthetic", "features": 6, "examples": 100, "test-fraction": 0, "l2": l2}
    rates = "0.001,0.1,0.2,0.3,0.6,1,1.5,3"
    grid = {"method": "minibatch", "batch_size": "1,4,20", "lr": rates}
    known = floors("linear-regression", options, **grid)
    monkeypatch.setattr(noise_floor, "MOST_MOMENTS", 0)
    found = floors("linear-regression", options, **grid)
    assert [(one.batch_size, one.lr) for one in found] == [(o.batch_size, o.lr) for o in known]
    assert [one.excess for one in found] == pytest.approx([one.excess for one in known], rel=1e-7)
    assert 0 < sum(np.isinf(one.excess) for one in known) < len(known)


def test_many_features_and_a_smaller_last_batch_have_no_floor() -> None:
    options = {"dataset": "synthetic", "features": 31, "examples": 100, "test-fraction": 0}
    found = floors("linear-regression", options, method="minibatch", batch_size="20,30", lr="0.01")
    assert [floor.batch_size for floor in found] == [20]
