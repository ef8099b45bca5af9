"""Both engines against a tutorial's loop: one trial, nn.Module, autograd and torch.optim."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import CosineAnnealingLR

from gdcli.catalog.catalog import name_of
from gdcli.engine.batch import batches_of
from gdcli.engine.examples import examples_of
from gdcli.engine.families.family import starting_point
from gdcli.engine.plan import plan_of
from gdcli.engine.sampling import Orders
from gdcli.problem import Batch, Data
from tests.grids import (
    Trained,
    assert_agree,
    experiment,
    train,
    train_batches,
    train_experiment,
)

if TYPE_CHECKING:
    from gdcli.experiment.grid import Trial

Losses = Callable[[nn.Module, Batch], Tensor]
Columns = dict[str, list[float]]

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "vanilla": torch.optim.SGD,
    "momentum": partial(torch.optim.SGD, momentum=0.9),
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}


@dataclass(frozen=True)
class Case:
    """How a problem is written in plain PyTorch."""

    module: Callable[[Data], nn.Module]
    loss: Losses  # without the penalty
    l2: float
    weights: tuple[str, ...] = ("weight",)  # endings of the names of what the penalty takes
    accuracy: Callable[[Tensor, Tensor], Tensor] | None = None


def cross_entropy(module: nn.Module, batch: Batch) -> Tensor:
    """Return the loss of a network on class indices."""
    return functional.cross_entropy(module(batch["x"]), batch["y"])


def mlp(activation: type[nn.Module], _: Data) -> nn.Module:
    """Return the network of `mlp --hidden 6,5` on wine."""
    return nn.Sequential(
        nn.Linear(13, 6), activation(), nn.Linear(6, 5), activation(), nn.Linear(5, 3)
    )


def cnn(_: Data) -> nn.Module:
    """Return the network of `cnn --channels 3,4` on digits."""
    return nn.Sequential(
        *(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(16, 10)),
    )


class Transposed(nn.Module):
    """A linear model: weight (features, outputs), as gdcli has it."""

    def __init__(self, data: Data) -> None:
        """Take the sizes of the data."""
        super().__init__()
        features, outputs = data.train["x"].shape[1], data.train["y"].shape[1]
        self.weight = nn.Parameter(torch.empty(features, outputs))
        self.bias = nn.Parameter(torch.empty(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Return the predictions, (examples, outputs)."""
        return functional.linear(x, self.weight.T, self.bias)


def softmax(module: nn.Module, batch: Batch) -> Tensor:
    """Return the loss of softmax regression, by class indices."""
    return functional.cross_entropy(module(batch["x"]), batch["y"].argmax(1))


def logistic(module: nn.Module, batch: Batch) -> Tensor:
    """Return the loss of logistic regression."""
    return functional.binary_cross_entropy_with_logits(module(batch["x"]), batch["y"])


def least_squares(module: nn.Module, batch: Batch) -> Tensor:
    """Return the loss of linear regression."""
    return 0.5 * functional.mse_loss(module(batch["x"]), batch["y"])


class Factors(nn.Module):
    """A matrix of rank 2, and some of its entries."""

    def __init__(self, data: Data) -> None:
        """Make factors of 12 rows and 9 columns."""
        super().__init__()
        self.left, self.right = nn.Parameter(torch.empty(12, 2)), nn.Parameter(torch.empty(9, 2))

    def forward(self, row: Tensor, column: Tensor) -> Tensor:
        """Return the entries at the places."""
        return (self.left @ self.right.T)[row, column]


def factored(module: nn.Module, batch: Batch) -> Tensor:
    """Return the loss of matrix factorization."""
    return 0.5 * functional.mse_loss(module(batch["row"], batch["column"]), batch["rating"])


def by_class(z: Tensor, y: Tensor) -> Tensor:
    """Return which predictions are right, of class indices."""
    return z.argmax(1) == y


def by_row(z: Tensor, y: Tensor) -> Tensor:
    """Return which predictions are right, of one-hot rows."""
    return z.argmax(1) == y.argmax(1)


def by_sign(z: Tensor, y: Tensor) -> Tensor:
    """Return which predictions are right, of 0 and 1."""
    return (z > 0) == (y == 1)


# Few examples, so that few steps are several epochs.
WINE = {"dataset": "wine", "test_fraction": "0.6"}
MLP = {**WINE, "hidden": "6,5", "l2": "0.01"}
CASES: dict[str, tuple[str, dict[str, str], Case]] = {
    "mlp-relu": ("mlp", MLP, Case(partial(mlp, nn.ReLU), cross_entropy, 0.01, accuracy=by_class)),
    "mlp-tanh": (
        "mlp",
        {**MLP, "activation": "tanh"},
        Case(partial(mlp, nn.Tanh), cross_entropy, 0.01, accuracy=by_class),
    ),
    "cnn": (
        "cnn",
        {"channels": "3,4", "examples": "60", "l2": "0.003"},
        Case(cnn, cross_entropy, 0.003, accuracy=by_class),
    ),
    "softmax-regression": (
        "softmax-regression",
        {**WINE, "l2": "0.02"},
        Case(Transposed, softmax, 0.02, accuracy=by_row),
    ),
    "softmax-regression-digits": (
        "softmax-regression",
        {"test_fraction": "0.95", "l2": "0.02"},
        Case(Transposed, softmax, 0.02, accuracy=by_row),
    ),
    "logistic-regression": (
        "logistic-regression",
        {"test_fraction": "0.9", "l2": "0.05"},
        Case(Transposed, logistic, 0.05, accuracy=by_sign),
    ),
    "linear-regression": (
        "linear-regression",
        {"dataset": "synthetic", "examples": "75", "l2": "0.1"},
        Case(Transposed, least_squares, 0.1),
    ),
    "linear-regression-diabetes": (
        "linear-regression",
        {"test_fraction": "0.9"},
        Case(Transposed, least_squares, 0.0),
    ),
    "matrix-factorization": (
        "matrix-factorization",
        {"rows": "12", "columns": "9", "density": "0.7", "rank": "2", "l2": "0.02"},
        Case(Factors, factored, 0.02, ("left", "right")),
    ),
}

COMMON = {"lr": "0.02,0.003", "seed": "0,3", "steps": "30", "dtype": "float64"}
SGD = {"method": "sgd", "steps": "80"}
MINIBATCH = {"method": "minibatch", "batch_size": "25"}
SETTINGS: dict[str, dict[str, str]] = {
    "gd": {},
    "gd, momentum, decay, cosine": {
        "optimizer": "momentum",
        "weight_decay": "0.1",
        "schedule": "cosine",
    },
    "gd, adamw, clipped": {"optimizer": "adamw", "clip_norm": "0.1", "weight_decay": "0.3"},
    "sgd": SGD,
    "sgd, momentum, clipped, replacement": {
        **SGD,
        "optimizer": "momentum",
        "clip_norm": "0.2",
        "order": "replacement",
    },
    "sgd, cosine, fixed": {**SGD, "schedule": "cosine", "order": "fixed"},
    "minibatch": MINIBATCH,
    "minibatch, remainder dropped": {**MINIBATCH, "remainder": "drop"},
    "minibatch, adam, decay": {**MINIBATCH, "optimizer": "adam", "weight_decay": "0.2"},
    "minibatch, vanilla, decay, clipped, cosine": {
        **MINIBATCH,
        "weight_decay": "0,0.5",
        "clip_norm": "0.05,10",
        "schedule": "cosine",
        "lr": "0.02",
    },
    "minibatch, adamw, cosine, dropped, fixed": {
        **MINIBATCH,
        "optimizer": "adamw",
        "schedule": "cosine",
        "remainder": "drop",
        "order": "fixed",
    },
}


def tensors(part: Batch) -> Batch:
    """Return a part of the data as tensors."""
    return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in part.items()}


def batches(trial: Trial, data: Data) -> Iterator[Batch]:
    """Yield what each step of a trial sees."""
    plan, whole = plan_of(trial, data.examples), tensors(data.train)
    if trial.method == "gd":
        yield from (whole for _ in range(plan.steps))
        return
    orders = Orders(name_of(trial.problem), (trial.seed,), plan, trial.training.order)
    for block in orders.blocks(0, plan.steps, 1):
        ((chosen,),) = block
        yield {name: array[chosen] for name, array in whole.items()}


def plain(trial: Trial, case: Case) -> Columns:
    """Train one trial as a tutorial would, in float64; return what it records."""
    data = examples_of(trial)
    plan = plan_of(trial, data.examples)
    module = case.module(data).double()
    start = starting_point(trial.problem, data, trial.seed)
    assert start.keys() == {name for name, _ in module.named_parameters()}
    for name, param in module.named_parameters():
        param.data = torch.tensor(start[name])
    rule = OPTIMIZERS[name_of(trial.optimizer)](
        module.parameters(), lr=trial.lr, weight_decay=trial.optimizer.weight_decay
    )
    scheduler = None
    if name_of(trial.schedule) == "cosine":
        scheduler = CosineAnnealingLR(rule, plan.steps)
    points, columns = set(plan.points()), cast("Columns", {})
    record(module, case, data, columns)
    for step, batch in enumerate(batches(trial, data), start=1):
        rule.zero_grad()
        objective(module, case, batch).backward()  # type: ignore[no-untyped-call]
        clip(module, trial.optimizer.clip_norm)
        rule.step()
        if scheduler is not None:
            scheduler.step()
        if step in points:
            record(module, case, data, columns)
    return columns


def objective(module: nn.Module, case: Case, batch: Batch) -> Tensor:
    """Return the loss with its penalty."""
    taken = [p for name, p in module.named_parameters() if name.endswith(case.weights)]
    return case.loss(module, batch) + 0.5 * case.l2 * sum((p**2).sum() for p in taken)


def clip(module: nn.Module, limit: float | None) -> None:
    """Shorten the gradient to a norm; torch's own clipping adds 1e-6 to what it divides by."""
    norm = gradient_norm(module)
    if limit is not None and norm > limit:
        for param in module.parameters():
            assert param.grad is not None
            param.grad *= limit / norm


def gradient_norm(module: nn.Module) -> float:
    """Return the norm of the gradient of all parameters."""
    grads = [p.grad.flatten() for p in module.parameters() if p.grad is not None]
    return float(torch.linalg.vector_norm(torch.cat(grads)))


def record(module: nn.Module, case: Case, data: Data, columns: Columns) -> None:
    """Add a point to the columns."""
    train, test = tensors(data.train), tensors(data.test)
    module.zero_grad()
    loss = objective(module, case, train)
    loss.backward()  # type: ignore[no-untyped-call]
    point = {"train_loss": float(loss.detach()), "grad_norm": gradient_norm(module)}
    module.zero_grad()
    with torch.no_grad():
        point["test_loss"] = float(objective(module, case, test))
        if case.accuracy:
            for name, part in (("train", train), ("test", test)):
                right = case.accuracy(module(part["x"]), part["y"])
                point[f"{name}_accuracy"] = float(right.double().mean())
    for name, value in point.items():
        columns.setdefault(name, []).append(value)


def compare(run: Trained, expected: Columns) -> None:
    """Assert that a trial of an engine is the plain loop's."""
    assert run.values.keys() == expected.keys()
    for name, values in expected.items():
        # Losses to 1e-10; a gradient's norm is small, so its rounding is relatively larger.
        tolerance = 1e-10 if name.endswith("loss") else 1e-8
        np.testing.assert_allclose(run.values[name], values, rtol=tolerance, err_msg=name)


# Every setting with one problem of each program; the plain ones with all.
EVERY = ("mlp-relu", "softmax-regression", "linear-regression", "matrix-factorization")
FEW = ("gd", "sgd", "minibatch", "minibatch, adamw, cosine, dropped, fixed")
PAIRS = [(name, how) for name in CASES for how in (SETTINGS if name in EVERY else FEW)]


@pytest.mark.parametrize(("name", "how"), PAIRS)
def test_a_grid_is_its_trials_trained_one_by_one(name: str, how: str) -> None:
    (problem, options, case), settings = CASES[name], SETTINGS[how]
    given = experiment(problem, options, record="7", **{**COMMON, **settings})
    stacked = train_experiment(given)
    first, *_, last = batches_of(given.grid.cohorts, "reference")
    for key, run in train_batches([first, last]).items():
        expected = plain(run.trial, case)
        compare(run, expected)
        compare(stacked[key], expected)


@pytest.mark.parametrize("problem", ["logistic-regression", "mlp", "cnn"])
def test_the_penalty_is_part_of_gauss_newton(problem: str) -> None:
    grid: dict[str, Any] = {"optimizer": "gauss-newton", "steps": "2", "dtype": "float64"}
    grid |= {"method": "minibatch", "batch_size": "8"}
    found = train(problem, {"l2": "0.1"}, **grid)
    assert_agree(found, train(problem, {"l2": "0.1"}, **grid, engine="reference"))
