"""Layers of PyTorch without a stacked form: in a grid as alone, and as torch has them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from gdcli.engine.batch import BatchHooks, batches_of, train_batch
from gdcli.engine.device import Torch
from gdcli.engine.examples import examples_of
from gdcli.engine.families.family import not_stacked, program_for, starting_point
from gdcli.engine.layers.modules import mask_stream
from gdcli.engine.plan import plan_of
from gdcli.engine.programs.autograd import ModuleProgram
from gdcli.engine.programs.vmap import OneByOne, Together
from gdcli.engine.sampling import Orders
from gdcli.experiment.experiment import Experiment
from gdcli.experiment.grid import Axes, Grid, Trial
from gdcli.experiment.training import Training
from gdcli.problem import Array, Batch, Data, Network, Params, Problem
from tests.engine.test_recorder_checkpoint import Memory, Stopped
from tests.grids import Trained, assert_agree, train_experiment

NAME = "test-modules"


class Last(nn.Module):
    """The last output of a recurrent layer."""

    def __init__(self, layer: nn.RNNBase) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x)[0][:, -1]
        return y


class Unrolled(nn.Module):
    """A cell, step by step."""

    def __init__(self, cell: nn.RNNCellBase) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor) -> Tensor:
        state: Any = None
        for i in range(x.shape[1]):
            state = self.cell(x[:, i], state)
        found: Tensor = state[0] if isinstance(state, tuple) else state
        return found


class Attending(nn.Module):
    """Self-attention, averaged over the places."""

    def __init__(self, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, dropout=dropout, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.attention(x, x, x)[0].mean(1)
        return y


class Averaged(nn.Module):
    """The mean over the places."""

    def forward(self, x: Tensor) -> Tensor:
        """Average."""
        return x.mean(1)


class Choosing(nn.Module):
    """Goes another way for other values."""

    def forward(self, x: Tensor) -> Tensor:
        """Double what is positive on the whole."""
        return 2 * x if x.sum() > 0 else x


class Noisy(nn.Module):
    """Draws by itself."""

    def forward(self, x: Tensor) -> Tensor:
        """Drop a half."""
        return functional.dropout(x, training=self.training)


class Channels(nn.Module):
    """Features as channels of one row."""

    def forward(self, x: Tensor) -> Tensor:
        """Add an axis."""
        return x.unsqueeze(-1).expand(-1, -1, 3)


LAYERS = {
    "dropout": lambda: [
        nn.Linear(4, 6),
        nn.Dropout(0.4),
        nn.Tanh(),
        nn.Dropout(0.2),
        nn.Linear(6, 3),
    ],
    "dropout of channels": lambda: [
        *(nn.Linear(4, 6), Channels(), nn.Dropout1d(0.3), nn.Flatten(), nn.Linear(18, 3)),
    ],
    "batch norm": lambda: [nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 3)],
    "plain batch norm": lambda: [nn.BatchNorm1d(4, momentum=None, affine=False), nn.Linear(4, 3)],
    "batch norm of images": lambda: [
        *(nn.Unflatten(1, (1, 2, 2)), nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(12, 3)),
    ],
    "layer norm": lambda: [nn.Linear(4, 5), nn.LayerNorm(5), nn.GELU(), nn.Linear(5, 3)],
    "embedding": lambda: [nn.Embedding(7, 5), Averaged(), nn.Linear(5, 3)],
    "RNN": lambda: [nn.Embedding(7, 4), Last(nn.RNN(4, 5, batch_first=True)), nn.Linear(5, 3)],
    "GRU": lambda: [nn.Embedding(7, 4), Last(nn.GRU(4, 5, batch_first=True)), nn.Linear(5, 3)],
    "LSTM": lambda: [nn.Embedding(7, 4), Last(nn.LSTM(4, 5, batch_first=True)), nn.Linear(5, 3)],
    "LSTM after a norm": lambda: [
        nn.Embedding(7, 4),
        nn.BatchNorm1d(4),
        *(Last(nn.LSTM(4, 5, batch_first=True)), nn.Linear(5, 3)),
    ],
    "RNN cell": lambda: [nn.Embedding(7, 4), Unrolled(nn.RNNCell(4, 5)), nn.Linear(5, 3)],
    "GRU cell": lambda: [nn.Embedding(7, 4), Unrolled(nn.GRUCell(4, 5)), nn.Linear(5, 3)],
    "LSTM cell": lambda: [nn.Embedding(7, 4), Unrolled(nn.LSTMCell(4, 5)), nn.Linear(5, 3)],
    "attention": lambda: [nn.Embedding(7, 4), Attending(), nn.Linear(4, 3)],
    "transformer": lambda: [
        nn.Embedding(7, 4),
        nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True),
        *(Averaged(), nn.Linear(4, 3)),
    ],
    "choosing": lambda: [nn.Linear(4, 5), Choosing(), nn.Tanh(), nn.Dropout(0.3), nn.Linear(5, 3)],
    "drawing": lambda: [nn.Linear(4, 5), Noisy(), nn.Linear(5, 3)],
    "attention that drops": lambda: [nn.Embedding(7, 4), Attending(dropout=0.3), nn.Linear(4, 3)],
}
ALONE = {"choosing": "by an if", "drawing": "random numbers", "attention that drops": "random"}
STACKED = [name for name in LAYERS if name not in ALONE]


@dataclass(frozen=True)
class Modules(Network):
    """A network of one of the kinds above, on features or on words."""

    kind: str = "dropout"

    def load(self, rng: np.random.Generator) -> Data:
        """Return three classes of four numbers, or of sequences of four words."""
        words = any(isinstance(layer, nn.Embedding) for layer in LAYERS[self.kind]())
        x = rng.integers(7, size=(40, 4)) if words else rng.standard_normal((40, 4))
        y = rng.integers(3, size=40)
        return Data({"x": x[:30], "y": y[:30]}, {"x": x[30:], "y": y[30:]})

    def module(self, data: Data) -> nn.Module:
        """Return the layers in their order."""
        return nn.Sequential(*LAYERS[self.kind]())


def grid_of(
    kind: str,
    dtype: Literal["float32", "float64"],
    method: str = "minibatch",
    lr: tuple[float, ...] = (0.05, 0.2, 0.1, 1e30, 0.4),
    seed: tuple[int, ...] = (0, 1, 2),
) -> Experiment:
    """Return an experiment on a network; the batches of an epoch are 8, 8, 8 and 6."""
    axes = Axes(method=(method,), batch_size=(8,), lr=lr, seed=seed, optimizer=("momentum",))  # type: ignore[arg-type]
    training = Training(steps=9, record="3", dtype=dtype)
    return Experiment("own", Grid(Modules, {"kind": kind}, axes, {}, (), training))


@pytest.mark.parametrize("method", ["gd", "minibatch"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", LAYERS)
def test_a_trial_in_a_grid_equals_the_trial_alone(
    kind: str, dtype: Literal["float32", "float64"], method: str
) -> None:
    together = train_experiment(grid_of(kind, dtype, method))
    alone = train_experiment(grid_of(kind, dtype, method, lr=(0.1,), seed=(1,)))
    ((key, run),) = alone.items()
    assert run.values.keys() == together[key].values.keys()
    for name, values in run.values.items():
        assert values.tobytes() == together[key].values[name].tobytes(), name


@pytest.mark.parametrize("kind", LAYERS)
def test_the_engines_agree(kind: str) -> None:
    given = grid_of(kind, "float64", lr=(0.05, 0.2), seed=(0, 1))
    trials = given.grid.trials
    program = program_for(trials, examples_of(trials[0]), Torch("float64"))
    assert isinstance(program, ModuleProgram)
    assert isinstance(program.mapping, OneByOne if kind in ALONE else Together)
    assert_agree(train_experiment(given), train_experiment(given, engine="reference"))


# Two that ask for the loss alone, one of them for Gauss-Newton products; one with another point.
ASKING = ("levenberg-marquardt", "armijo", "momentum+ema")


@pytest.mark.parametrize("kind", LAYERS)
def test_the_engines_answer_alike(kind: str) -> None:
    axes = Axes(method=("minibatch",), batch_size=(8,), lr=(0.5, 1.0), optimizer=ASKING)
    training = Training(steps=3, record="1", dtype="float64")
    given = Experiment("own", Grid(Modules, {"kind": kind, "l2": 0.01}, axes, {}, (), training))
    assert_agree(train_experiment(given), train_experiment(given, engine="reference"))


@pytest.mark.parametrize("kind", STACKED)
def test_a_grid_is_a_tutorials_loop(kind: str) -> None:
    given = grid_of(kind, "float64", lr=(0.05, 0.2), seed=(0, 1))
    for run in train_experiment(given).values():
        losses = tutorial(run.trial)
        for name, found in losses.items():
            np.testing.assert_allclose(run.values[name], found, rtol=1e-9, err_msg=name)


def tutorial(trial: Trial) -> dict[str, list[float]]:
    """Return losses of a loop in plain PyTorch, whose dropouts are told their masks."""
    data = examples_of(trial)
    plan = plan_of(trial, data.examples)
    module = trial.problem.module(data).double()  # type: ignore[attr-defined]
    start = starting_point(trial.problem, data, trial.seed)
    module.load_state_dict({n: torch.from_numpy(a) for n, a in start.items()}, strict=False)
    rule = torch.optim.SGD(module.parameters(), lr=trial.lr, momentum=0.9)
    orders = Orders(NAME, (trial.seed,), plan, "shuffle")
    tensors = [
        {n: torch.from_numpy(a) for n, a in part.items()} for part in (data.train, data.test)
    ]
    found: dict[str, list[float]] = {"train_loss": [], "test_loss": []}
    for step, ((chosen,),) in enumerate(orders.blocks(0, plan.steps, 1)):
        if step % 3 == 0:
            record(module, tensors, found)
        module.train()
        with masked(module, trial.seed, step):
            z = module(tensors[0]["x"][chosen])
        rule.zero_grad()
        torch.autograd.backward(functional.cross_entropy(z, tensors[0]["y"][chosen]))
        rule.step()
    record(module, tensors, found)
    return found


def record(module: nn.Module, tensors: list[Batch], found: dict[str, list[float]]) -> None:
    """Add the losses of both parts."""
    module.eval()
    with torch.no_grad():
        for name, part in zip(found, tensors, strict=True):
            found[name].append(float(functional.cross_entropy(module(part["x"]), part["y"])))


class masked:  # noqa: N801 -- a context manager
    """Has every dropout of a module multiply by the mask of its seed, step and place."""

    def __init__(self, module: nn.Module, seed: int, step: int) -> None:
        kinds = (nn.Dropout, nn.Dropout1d)
        layers = {n: m for n, m in module.named_modules() if isinstance(m, kinds)}
        self.hooks = [
            layer.register_forward_hook(self.hook(mask_stream(NAME, seed, step, name), layer.p))
            for name, layer in layers.items()
        ]

    @staticmethod
    def hook(rng: np.random.Generator, p: float) -> Any:
        """Return what replaces the output of a dropout."""

        def multiply(layer: nn.Module, given: tuple[Tensor], _: Tensor) -> Tensor:
            (x,) = given
            shape = (*x.shape[:2], 1) if isinstance(layer, nn.Dropout1d) else x.shape
            return x * torch.from_numpy((rng.random(shape) >= p) / (1 - p))

        return multiply

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        for hook in self.hooks:
            hook.remove()


@pytest.mark.parametrize("kind", ["batch norm", "dropout", "drawing"])
def test_it_goes_on_with_the_same_bits(kind: str) -> None:
    (work, *_) = batches_of(grid_of(kind, "float32", lr=(0.1, 0.2)).grid.cohorts)
    data = examples_of(work.trials[0])
    whole = train_batch(work, data, "cpu", lambda _: None)[1]
    memory = Memory(stop=2)
    with pytest.raises(Stopped):
        train_batch(work, data, "cpu", lambda _: None, BatchHooks(memory))
    assert memory.held is not None
    again = train_batch(work, data, "cpu", lambda _: None, BatchHooks(Memory(memory.held)))[1]
    for name, values in whole.values.items():
        assert values.tobytes() == again.values[name].tobytes()


def test_seeds_share_masks_and_layers_do_not() -> None:
    one, same, other, layer = (
        mask_stream("net", *key).random(5).tolist()
        for key in ((0, 3, "1"), (0, 3, "1"), (0, 4, "1"), (0, 3, "2"))
    )
    assert one == same
    assert one not in (other, layer)


@pytest.mark.parametrize("kind", LAYERS)
def test_what_cannot_be_stacked_is_told(kind: str) -> None:
    line = next(iter(not_stacked([grid_of(kind, "float32").grid.trials[0]])), None)
    if kind in ALONE:
        assert line is not None
        assert line.startswith(f"{NAME} cannot be stacked (")
        assert ALONE[kind] in line
        assert line.endswith("): its trials run one at a time")
    else:
        assert line is None


@dataclass(frozen=True)
class Stubborn(Problem):
    """A loss with a branch, in one of its forms; `none` has none."""

    form: Literal["if", "item", "none", "refused", "broken"] = "if"

    def init(self, rng: np.random.Generator, data: Data) -> Params:
        """Start at three random numbers."""
        return {"w": rng.standard_normal(3)}

    def loss(self, params: Params, batch: Batch) -> Array:
        """Return a Huber loss."""
        w = params["w"]
        if self.form == "broken":
            raise ValueError("no loss")
        if self.form == "if" and w.sum() < 0:
            return w.abs().sum()
        if self.form == "item":
            return (w * w).sum() * abs(w.sum().item())
        return (w * w).sum()


@dataclass(frozen=True)
class Refused(Stubborn):
    """One that says itself that it cannot be stacked."""

    form: Literal["if", "item", "none", "refused", "broken"] = "none"

    vectorized = False


CASES = [
    (Stubborn, "if", "by an if or .item()"),
    (Stubborn, "item", "by an if or .item()"),
    (Stubborn, "none", None),
    (Stubborn, "broken", None),
    (Refused, "none", "it says so itself"),
]


@pytest.mark.parametrize(("problem", "form", "why"), CASES)
def test_any_loss_is_trained_one_by_one_where_it_must(
    problem: type[Problem], form: str, why: str | None
) -> None:
    axes = Axes(lr=(0.1, 0.01, 1e30), seed=(0, 1, 2))
    training = Training(steps=6, record="2", dtype="float64")
    given = Experiment("own", Grid(problem, {"form": form}, axes, {}, (), training))
    line = next(iter(not_stacked([given.grid.trials[0]])), None)
    assert (line is None) == (why is None)
    assert why is None or why in str(line)
    if form == "broken":
        with pytest.raises(ValueError, match="no loss"):
            train_experiment(given)
        return
    found = train_experiment(given)
    assert_agree(found, train_experiment(given, engine="reference"))
    for trial in given.grid.trials:
        lone = replace(axes, lr=(trial.lr,), seed=(trial.seed,))
        run: Trained
        (run,) = train_experiment(
            Experiment("own", Grid(problem, {"form": form}, lone, {}, (), training))
        ).values()
        assert run.losses.tobytes() == found[run.trial.id].losses.tobytes()


@pytest.mark.parametrize("form", ["if", "none"])
def test_the_sharpness_of_any_loss_is_measured(form: str) -> None:
    training = Training(steps=4, record="2", dtype="float64", measure="sharpness")
    grid = Grid(Stubborn, {"form": form}, Axes(lr=(0.1, 0.01)), {}, (), training)
    given = Experiment("own", grid)
    found = train_experiment(given)
    assert_agree(found, train_experiment(given, engine="reference"))
    if form == "none":
        for run in found.values():
            np.testing.assert_allclose(run.values["sharpness"], 2.0, rtol=1e-9)
