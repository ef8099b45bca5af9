"""Networks that predict a number: `mlp` with the mean squared error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes
from sklearn.neural_network import MLPRegressor

from gdcli.datasets.cells import collected
from gdcli.datasets.described import is_measured
from gdcli.datasets.reading import Reading
from gdcli.engine.examples import examples_of, load
from gdcli.engine.families.family import family_of, starting_point
from gdcli.engine.plan import plan_of
from gdcli.engine.sampling import Orders
from gdcli.errors import UserError
from gdcli.experiment.toml import dump
from gdcli.problem import Network
from gdcli.problems.mlp import Mlp
from tests.grids import assert_agree, experiment, only, train

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def write(file: Path, y: Sequence[object]) -> Path:
    rng = np.random.default_rng(0)
    rows = [f"{a},{b},{value}" for (a, b), value in zip(rng.random((len(y), 2)), y, strict=True)]
    file.write_text("\n".join(["u,v,y", *rows]) + "\n", encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def smooth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of 80 rows with a target that is a smooth function of two features."""
    rng = np.random.default_rng(1)
    x = rng.random((80, 2))
    y = np.sin(3 * x[:, 0]) + x[:, 1] ** 2
    file = tmp_path_factory.mktemp("data") / "smooth.csv"
    rows = [f"{a!r},{b!r},{value!r}" for (a, b), value in zip(x.tolist(), y.tolist(), strict=True)]
    file.write_text("\n".join(["u,v,y", *rows]) + "\n", encoding="utf-8")
    return file


def of(file: Path, **options: Any) -> dict[str, Any]:
    return {"data": str(file), "target": "y", **options}


def test_every_step_is_that_of_a_loop_in_torch(smooth: Path) -> None:
    grid = {"lr": "0.1", "epochs": "5", "method": "minibatch", "batch_size": "24"}
    run = only(train("mlp", of(smooth, hidden="6,4", activation="tanh"), dtype="float64", **grid))
    data, problem = examples_of(run.trial), run.trial.problem
    assert isinstance(problem, Network)
    module = problem.module(data).double()
    start = starting_point(problem, data, 0)
    module.load_state_dict({name: torch.from_numpy(np.array(a)) for name, a in start.items()})
    x, y = (torch.from_numpy(data.train[name]) for name in ("x", "y"))
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    plan = plan_of(run.trial, data.examples)
    orders, losses = Orders("mlp", (0,), plan, "shuffle"), []
    for epoch in range(5):
        losses.append(float(torch.nn.functional.mse_loss(module(x), y).detach()))
        first = epoch * plan.steps_per_epoch
        for block in orders.blocks(first, first + plan.steps_per_epoch, 100):
            for chosen in torch.from_numpy(block[:, 0]):
                optimizer.zero_grad()
                loss = torch.nn.functional.mse_loss(module(x[chosen]), y[chosen])
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
    np.testing.assert_allclose(run.losses[:-1], losses, rtol=1e-10)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_both_engines_agree(dtype: str, smooth: Path) -> None:
    grid = {"lr": "0.1", "epochs": "2", "method": "gd,sgd,minibatch", "batch_size": "30"}
    options = of(smooth, hidden="5", quantize="qat")
    found = train("mlp", options, dtype=dtype, **grid)
    assert_agree(found, train("mlp", options, dtype=dtype, engine="reference", **grid))
    one = next(iter(found.values()))
    assert one.trial.problem.curve_columns == ("train_quantized_loss", "test_quantized_loss")


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")  # it is to take every step
def test_it_learns_as_well_as_scikit_learns(smooth: Path) -> None:
    options = of(smooth, hidden="16", activation="tanh")
    run = only(train("mlp", options, optimizer="adam", lr="0.01", epochs="800", dtype="float64"))
    data = examples_of(run.trial)
    x, y = data.train["x"], data.train["y"][:, 0]
    steps = {"learning_rate_init": 0.01, "max_iter": 800, "tol": 0, "n_iter_no_change": 10_000}
    whole = {"hidden_layer_sizes": (16,), "alpha": 0, "batch_size": data.examples}
    oracle = MLPRegressor(activation="tanh", random_state=0, **whole, **steps).fit(x, y)
    reached = 2 * oracle.loss_  # its loss is half the mean square
    assert run.losses[-1] < 10 * reached
    assert run.losses[-1] < 0.05 * y.var()


def test_the_baseline_is_the_mean(smooth: Path) -> None:
    problem = Mlp(data=smooth, target="y", task="regression")
    data = load(problem, 0)
    base = family_of(problem).theory.baseline(problem, data)
    assert base is not None
    assert base.train_loss == pytest.approx(data.train["y"].var(), rel=1e-12)
    held = ((data.test["y"] - data.train["y"].mean()) ** 2).mean()
    assert base.test_loss == pytest.approx(held, rel=1e-12)
    assert base.majority is None


RNG = np.random.default_rng(2)
TARGETS: list[tuple[str, Sequence[object], bool]] = [
    ("texts", ["no", "yes"] * 30, False),
    ("two numbers", [0, 1] * 30, False),
    ("ratings with halves", [0.5 * (i % 10) for i in range(60)], False),
    ("ten digits", [i % 10 for i in range(60)], False),
    ("measurements", RNG.random(60).tolist(), True),
    ("counts", RNG.integers(0, 1000, 60).tolist(), True),
    ("ages of many", (18 + RNG.integers(0, 70, 2000)).tolist(), False),
    ("sizes of many", (RNG.integers(1, 60, 2000) / 4).tolist(), True),
    ("texts among numbers", [*RNG.random(59).tolist(), "none of it"], False),
    ("diabetes", load_diabetes().target.tolist(), True),
]


@pytest.mark.parametrize("case", TARGETS, ids=[t[0] for t in TARGETS])
def test_what_a_target_suggests(case: tuple[str, Sequence[object], bool], tmp_path: Path) -> None:
    _, y, measured = case
    file = write(tmp_path / "f.csv", y)
    assert is_measured(file, "y", Reading()) == measured
    (trial,) = experiment("mlp", of(file), lr="0.1").grid.trials
    assert isinstance(trial.problem, Mlp)
    assert trial.problem.regresses == measured


def test_a_file_of_another_format_or_none(tmp_path: Path) -> None:
    x = RNG.random((50, 3))
    np.save(tmp_path / "f.npy", x)
    assert is_measured(tmp_path / "f.npy", "2", Reading())
    np.savez(tmp_path / "f.npz", x=x, y=np.arange(50) % 3)
    assert not is_measured(tmp_path / "f.npz", "y", Reading())
    for target in ("z", "x"):
        assert not is_measured(tmp_path / "none.csv", target, Reading())


def test_what_is_given_is_taken(tmp_path: Path) -> None:
    file = write(tmp_path / "f.csv", [1, 2, 3, 4] * 10)
    (trial,) = experiment("mlp", of(file, task="regression"), lr="0.1").grid.trials
    assert trial.problem.criterion == "mse"  # type: ignore[attr-defined]
    file = write(tmp_path / "g.csv", RNG.random(40).tolist())
    (trial,) = experiment("mlp", of(file, task="classification"), lr="0.1").grid.trials
    assert trial.problem.criterion == "cross_entropy"  # type: ignore[attr-defined]


def test_classes_are_what_they_were(tmp_path: Path) -> None:
    file = write(tmp_path / "f.csv", [1, 2, 3] * 10)
    plain = experiment("mlp", of(file), lr="0.1")
    said = experiment("mlp", of(file, task="classification"), lr="0.1")
    assert plain.hash == said.hash
    assert "task" not in dump(plain)


def test_an_experiment_says_what_was_decided(smooth: Path) -> None:
    plain = experiment("mlp", of(smooth), lr="0.1")
    assert 'task = "regression"' in dump(plain)
    assert experiment("mlp", of(smooth, task="regression"), lr="0.1").hash == plain.hash


def test_both_are_told(smooth: Path, tmp_path: Path) -> None:
    with collected() as notes:
        Mlp(data=smooth, target="y", task="regression").load(np.random.default_rng(0))
    assert any("is predicted as a number (mean squared error)" in note for note in notes)
    file = write(tmp_path / "f.csv", (RNG.integers(0, 40, 400)).tolist())
    with collected() as notes:
        Mlp(data=file, target="y").load(np.random.default_rng(0))
    assert any("40 different numbers, each a class; --task regression" in n for n in notes)
    file = write(tmp_path / "g.csv", RNG.random(40).tolist())
    with collected() as notes:
        Mlp(data=file, target="y").load(np.random.default_rng(0))
    (many,) = [note for note in notes if "40 different" in note]  # once
    assert many.endswith("if they are measurements, run linear-regression or mlp --task regression")


def test_what_does_not_go_together(smooth: Path) -> None:
    with pytest.raises(UserError, match="digits has classes"):
        Mlp(task="regression")
    given: dict[str, Any] = {"data": smooth, "target": "y", "task": "regression"}
    of_classes: dict[str, Any] = {
        "stratify": True,
        "class_weights": "balanced",
        "balanced_accuracy": True,
    }
    for name, value in of_classes.items():
        option = f"--{name.replace('_', '-')}"
        said = f"{option}: the task is regression, which has no classes; .* --task classification"
        with pytest.raises(UserError, match=said):
            Mlp(**given, **{name: value})
    text = ["a", "b"] * 20
    with pytest.raises(UserError, match=r"is not a number; .* or mlp --task classification"):
        Mlp(data=write(smooth.with_name("t.csv"), text), target="y", task="regression").load(
            np.random.default_rng(0)
        )
