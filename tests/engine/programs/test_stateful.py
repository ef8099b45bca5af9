"""A module with a loss and running statistics of its own, trained as plain PyTorch would."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from gdcli.engine.batch import BatchHooks, batches_of, loop_for, train_batch
from gdcli.engine.initial import module_of
from gdcli.engine.plan import plan_of
from gdcli.engine.recorder import DIVERGED, RUNNING
from gdcli.engine.sampling import Orders, stream
from gdcli.experiment.grid import Trial, cohorts_of
from gdcli.laws.laws import ProblemLaws
from gdcli.problem import Array, Batch, Data, StatefulNetwork
from tests.engine.test_recorder_checkpoint import Memory, Stopped
from tests.grids import Trained, assert_agree, experiment

NAME = "test-stateful"  # the streams are keyed by the name of this file


@dataclass(frozen=True)
class Normalized(StatefulNetwork):
    """A line behind batch normalization, with a squared error and a penalty as its loss."""

    at_once: ClassVar[int] = 8
    default_lr: ClassVar[float] = 0.001
    metric_names: ClassVar[tuple[str, ...]] = (
        *("train_error", "train_penalty", "test_error", "test_penalty"),
        "test_largest",
    )

    def load(self, rng: np.random.Generator) -> Data:
        x = 3 + rng.standard_normal((27, 4))
        parts = {"x": x, "y": x[:, :1] * x[:, 1:2]}
        return Data(
            {name: values[:20] for name, values in parts.items()},
            {name: values[20:] for name, values in parts.items()},
            {"share": np.array([0.01])},
        )

    def module(self, data: Data) -> nn.Module:
        return nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 1))

    def losses(self, module: nn.Module, batch: Batch) -> dict[str, Array]:
        error = (module(batch["x"]) - batch["y"]).square().mean()
        weight = module.get_parameter("1.weight")
        return {"error": error, "penalty": batch["share"][0] * weight.square().sum()}

    def measure(self, module: nn.Module, examples: Batch) -> dict[str, float]:
        return {"test_largest": float(module(examples["x"]).max())}


DATA = Normalized().load(np.random.default_rng(0))


def trials(**grid: Any) -> list[Trial]:
    """Return trials of the problem, with settings that any problem with examples takes."""
    found = experiment("linear-regression", **{"dtype": "float32", **grid}).grid.trials
    return [replace(trial, problem=Normalized()) for trial in found]


def trained(given: list[Trial], engine: str = "auto") -> dict[str, Trained]:
    """Train trials on the data above."""
    found = {}
    for batch in batches_of(cohorts_of(given), engine):
        _, curves = train_batch(batch, DATA, "cpu", lambda _: None)
        (trial,) = batch.trials
        n = int(curves.length[0])
        values = {name: v[:n, 0] for name, v in curves.values.items()}
        found[trial.id] = Trained(trial, curves.steps[:n], values, int(curves.ended[0]))
    return found


def by_hand(module: nn.Module, trial: Trial) -> None:
    """Train a module as a page of PyTorch's tutorial does: steps of the trial's batches."""
    plan = plan_of(trial, 20)
    orders = Orders(NAME, (trial.seed,), plan, "shuffle")
    whole = [((np.arange(20),),)] * plan.steps
    rule = torch.optim.SGD(module.parameters(), lr=trial.lr, weight_decay=0.3)
    module.train()
    for ((chosen,),) in whole if trial.method == "gd" else orders.blocks(0, plan.steps, 1):
        batch = {k: torch.tensor(v[chosen], dtype=torch.float32) for k, v in DATA.train.items()}
        batch["share"] = torch.tensor([0.01])
        rule.zero_grad()
        loss = torch.stack([*Normalized().losses(module, batch).values()]).sum()
        torch.autograd.backward(loss)
        rule.step()


@pytest.mark.parametrize("method", ["gd", "minibatch"])
def test_it_trains_as_plain_pytorch_does(method: str) -> None:
    settings = {"method": method, "batch_size": "6", "lr": "0.01", "seed": "3"}
    (trial,) = trials(epochs="4", weight_decay="0.3", **settings)
    loop = loop_for([trial], DATA, plan_of(trial, 20), "cpu")
    seed = int(stream(NAME, 3, "start").integers(2**32))
    module = module_of(Normalized(), DATA, seed)
    start = {key: value.clone() for key, value in module.state_dict().items()}
    assert start.keys() == (loop.params | loop.program.buffers).keys()
    loop.run(lambda _: None)
    by_hand(module, trial)
    found = loop.params | loop.program.buffers
    for key, expected in module.state_dict().items():
        np.testing.assert_allclose(found[key][0], expected, rtol=1e-5, atol=1e-6, err_msg=key)
        assert not torch.equal(expected, start[key]), key


def test_a_recorded_point_is_of_the_module_in_evaluation_mode() -> None:
    (trial,) = trials(method="gd", lr="0.001", epochs="5")
    loop = loop_for([trial], DATA, plan_of(trial, 20), "cpu")
    curves = loop.run(lambda _: None)
    module = module_of(Normalized(), DATA).eval()
    found = loop.params | loop.program.buffers
    module.load_state_dict({name: value[0] for name, value in found.items()})
    for part, arrays in (("train", DATA.train), ("test", DATA.test)):
        whole = {name: torch.tensor(v, dtype=torch.float32) for name, v in arrays.items()}
        losses = Normalized().losses(module, whole | {"share": torch.tensor([0.01])})
        for name, loss in losses.items():
            assert curves.values[f"{part}_{name}"][-1, 0] == pytest.approx(loss.item(), rel=1e-5)
        total = sum(loss.item() for loss in losses.values())
        assert curves.values[f"{part}_loss"][-1, 0] == pytest.approx(total, rel=1e-5)
        if part == "train":
            torch.autograd.backward(torch.stack([*losses.values()]).sum())
    largest = module(torch.tensor(DATA.test["x"], dtype=torch.float32)).max().item()
    assert curves.values["test_largest"][-1, 0] == pytest.approx(largest, rel=1e-5)
    slopes = [p.grad.square().sum() for p in module.parameters() if p.grad is not None]
    norm = torch.stack(slopes).sum().sqrt().item()
    assert curves.values["grad_norm"][-1, 0] == pytest.approx(norm, rel=1e-5)


@pytest.mark.parametrize("method", ["gd", "sgd", "minibatch"])
def test_both_engines_agree(method: str) -> None:
    given = trials(method=method, batch_size="6", lr="0.001,0.01", optimizer="adam", epochs="2")
    if method == "sgd":  # a batch of one has no variance: batch normalization refuses it
        with pytest.raises(ValueError, match="more than 1 value"):
            trained(given)
        return
    assert_agree(trained(given, "reference"), trained(given))


def test_trials_that_share_a_program_are_those_of_each_alone() -> None:
    given = trials(method="minibatch", batch_size="6", lr="0.001,1e30,0.01", seed="0:1", epochs="2")
    curves = loop_for(given, DATA, plan_of(given[0], 20), "cpu").run(lambda _: None)
    for i, run in enumerate(trained(given).values()):
        assert run.ended == curves.ended[i] == (DIVERGED if run.trial.lr > 1 else RUNNING)
        for name, values in run.values.items():
            assert values.tobytes() == curves.values[name][: len(run.steps), i].tobytes()


def test_it_goes_on_from_a_checkpoint_with_the_same_bits() -> None:
    given = trials(method="minibatch", batch_size="6", lr="0.01", optimizer="momentum", epochs="4")
    (batch,) = batches_of(cohorts_of(given))

    def run(memory: Memory) -> Any:
        return train_batch(batch, DATA, "cpu", lambda _: None, BatchHooks(memory))[1]

    whole = Memory()
    expected = run(whole)
    assert whole.states > 2
    for stop in range(1, whole.states + 1):
        memory = Memory(stop=stop)
        with pytest.raises(Stopped):
            run(memory)
        curves = run(Memory(memory.held))
        for name, values in expected.values.items():
            assert curves.values[name].tobytes() == values.tobytes()


def test_its_sharpness_is_that_of_the_dense_hessian_of_the_recorded_loss() -> None:
    settings = {"method": "gd", "lr": "0.001", "epochs": "3", "dtype": "float64"}
    (trial,) = trials(measure="sharpness", **settings)
    loop = loop_for([trial], DATA, plan_of(trial, 20), "cpu")
    curves = loop.run(lambda _: None)
    module = module_of(Normalized(), DATA).double().eval()
    held = {name: value[0] for name, value in (loop.params | loop.program.buffers).items()}
    module.load_state_dict(held)
    batch = {n: torch.tensor(v) for n, v in DATA.train.items()} | {"share": torch.tensor([0.01])}

    def loss(*values: torch.Tensor) -> Any:
        named = dict(zip(loop.params, values, strict=True))
        z = torch.func.functional_call(module, named, (batch["x"],))
        penalty = 0.01 * named["1.weight"].square().sum()
        return (z - batch["y"]).square().mean() + penalty

    values = tuple(held[name] for name in loop.params)
    parts: Any = torch.autograd.functional.hessian(loss, values)  # type: ignore[no-untyped-call]
    sizes = [value.numel() for value in values]
    rows = [
        torch.cat([block.reshape(m, n) for block, n in zip(row, sizes, strict=True)], 1)
        for row, m in zip(parts, sizes, strict=True)
    ]
    largest = torch.linalg.eigvalsh(torch.cat(rows))[-1].item()
    assert curves.values["sharpness"][-1, 0] == pytest.approx(largest, rel=1e-8)


def test_both_engines_measure_the_same_sharpness() -> None:
    given = trials(method="minibatch", batch_size="6", lr="0.001", epochs="2", measure="sharpness")
    plain, fast = (trained(given, engine)[given[0].id].values for engine in ("reference", "auto"))
    np.testing.assert_allclose(fast["sharpness"], plain["sharpness"], rtol=1e-3)
    assert (fast["sharpness"] > 0).all()


@pytest.mark.parametrize("name", [name for name, _ in ProblemLaws(Normalized)])
def test_it_keeps_to_the_laws_of_every_problem(name: str) -> None:
    dict(ProblemLaws(Normalized))[name]()
