"""The engine against a plain PyTorch loop: one trial, nn.Module, autograd and torch.optim."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import CosineAnnealingLR

from gdcli.discovery import name_of
from gdcli.engine.device import Torch
from gdcli.engine.examples import examples_of
from gdcli.engine.families import program_for
from gdcli.engine.initial import starting_point
from gdcli.engine.plan import plan_of
from gdcli.engine.programs.autograd import ModuleProgram
from gdcli.engine.sampling import Orders
from gdcli.experiment import Experiment
from gdcli.grid import Axes, Grid, Trial
from gdcli.problem import Batch, Data, Network
from gdcli.training import Training
from tests.grids import Trained, experiment, train_experiment

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


def compare(run: Trained, case: Case) -> None:
    """Assert that a trial of the engine is the plain loop's."""
    expected = plain(run.trial, case)
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
    trained = train_experiment(experiment(problem, options, record="7", **{**COMMON, **settings}))
    assert len(trained) >= 4
    runs = list(trained.values())
    for run in (runs[0], runs[-1]):
        compare(run, case)


# At lr = 1 / l2 a step forgets the weights that it starts from.
@pytest.mark.parametrize("dataset", ["wine", "digits"])
@pytest.mark.parametrize("method", ["gd", "sgd", "minibatch"])
def test_a_penalty_may_undo_the_weights_in_a_step(dataset: str, method: str) -> None:
    options = {"dataset": dataset, "test_fraction": "0.9", "l2": "50"}
    grid: dict[str, Any] = {"method": method, "steps": "40", "record": "10", "batch_size": "5"}
    rates = "0.02,0.01999,0.025"
    exact = train_experiment(experiment("softmax-regression", options, lr=rates, **grid))
    assert len(exact) == 3
    for run in exact.values():
        compare(run, Case(Transposed, softmax, 50.0, accuracy=by_row))
    rough = train_experiment(
        experiment("softmax-regression", options, lr=rates, dtype="float32", **grid)
    )
    for run, single in zip(exact.values(), rough.values(), strict=True):
        np.testing.assert_allclose(single.losses, run.losses, rtol=1e-3)


@dataclass(frozen=True)
class Unknown(Network):
    """A network with layers that have no trial-axis form."""

    shared: bool = False  # layers stand twice

    def load(self, rng: np.random.Generator) -> Data:
        """Return three classes that no planes separate."""
        x, noise = rng.standard_normal((70, 5)), rng.standard_normal(70)
        y = np.digitize(x[:, 0] * x[:, 1] + 0.1 * noise, [-0.4, 0.4])
        return Data({"x": x[:50], "y": y[:50]}, {"x": x[50:], "y": y[50:]})

    def module(self, data: Data) -> nn.Module:
        """Return linear layers with a norm and a softplus between them."""
        if self.shared:
            again, tied = nn.ReLU(), nn.Linear(5, 5)
            return nn.Sequential(tied, again, tied, again, nn.Linear(5, 3))
        return nn.Sequential(nn.Linear(5, 7), nn.LayerNorm(7), nn.Softplus(), nn.Linear(7, 3))


@dataclass(frozen=True)
class Regression(Network):
    """A network with two outputs and squared errors; its layers are known, or not."""

    known: bool = True

    criterion = "mse"

    def load(self, rng: np.random.Generator) -> Data:
        """Return targets that are smooth in the features."""
        x = rng.standard_normal((600, 4))  # more than the engine evaluates at a time
        y = np.stack([np.sin(x[:, 0]), x[:, 1] * x[:, 2]], axis=1)
        return Data({"x": x[:550], "y": y[:550]}, {"x": x[550:], "y": y[550:]})

    def module(self, data: Data) -> nn.Module:
        """Return a layer of five between linear ones."""
        middle = nn.Tanh() if self.known else nn.Softplus()
        return nn.Sequential(nn.Linear(4, 5), middle, nn.Linear(5, 2))


@dataclass(frozen=True)
class Lacking(Unknown):
    """Four classes, of which the training and the test part lack one each, the last among them."""

    layers: int = 2

    def load(self, rng: np.random.Generator) -> Data:
        """Return the classes 0 and 1 to train on, 0 alone to test on."""
        data = super().load(rng)
        train, test = (
            {**part, "y": part["y"] % k} for part, k in ((data.train, 2), (data.test, 1))
        )
        return Data(train, test)

    def module(self, data: Data) -> nn.Module:
        """Return two linear layers, or one of them and a norm that nobody knows."""
        last = [nn.Linear(5, 4), nn.LayerNorm(4)][: self.layers]
        return nn.Sequential(nn.Linear(5, 5), nn.Tanh(), *last)


@pytest.mark.parametrize("layers", [1, 2])
def test_a_part_may_lack_classes(layers: int) -> None:
    given = grid_of(Lacking, {"l2": 0.01, "layers": layers}, "minibatch")
    problem = given.grid.trials[0].problem
    assert isinstance(problem, Lacking)
    trained = train_experiment(given)
    assert len(trained) == 4
    for run in trained.values():
        compare(run, Case(problem.module, cross_entropy, 0.01, accuracy=by_class))


def mean_square(module: nn.Module, batch: Batch) -> Tensor:
    """Return the mean over examples and outputs."""
    return functional.mse_loss(module(batch["x"]), batch["y"])


def grid_of(problem: type[Network], options: dict[str, Any], method: str) -> Experiment:
    """Return an experiment of a problem that no file of gdcli holds."""
    axes = Axes(
        method=(method,),  # type: ignore[arg-type]
        batch_size=(16,),
        optimizer=("momentum",),
        lr=(0.05, 0.01),
        seed=(0, 1),
    )
    training = Training(steps=20, record="4", dtype="float64")
    return Experiment("own", Grid(problem, options, axes, {}, (), training))


@pytest.mark.parametrize("method", ["gd", "sgd", "minibatch"])
@pytest.mark.parametrize("shared", [True, False])
def test_a_network_with_unknown_layers_is_mapped(method: str, shared: bool) -> None:  # noqa: FBT001
    given = grid_of(Unknown, {"l2": 0.01, "shared": shared}, method)
    (trial, *_) = given.grid.trials
    data = examples_of(trial)
    program = program_for(given.grid.trials, data, Torch("float64"))
    assert isinstance(program, ModuleProgram)
    problem = trial.problem
    assert isinstance(problem, Unknown)
    trained = train_experiment(given)
    assert len(trained) == 4
    for run in trained.values():
        compare(run, Case(problem.module, cross_entropy, 0.01, accuracy=by_class))


@pytest.mark.parametrize("method", ["gd", "minibatch"])
@pytest.mark.parametrize("known", [True, False])
def test_a_network_may_fit_numbers(method: str, known: bool) -> None:  # noqa: FBT001
    given = grid_of(Regression, {"l2": 0.02, "known": known}, method)
    problem = given.grid.trials[0].problem
    assert isinstance(problem, Regression)
    trained = train_experiment(given)
    assert len(trained) == 4
    for run in trained.values():
        assert not set(run.values) & {"train_accuracy", "test_accuracy"}
        compare(run, Case(problem.module, mean_square, 0.02))
