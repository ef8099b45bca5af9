"""The same grids on a GPU: every family, against the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from gdcli.engine import batch
from gdcli.engine.batch import batches_of, stepper_for, train_batch
from gdcli.engine.cuda_graph import Graphed
from gdcli.engine.examples import examples_of
from gdcli.engine.recorder import DIVERGED
from gdcli.engine.update import StackedOptimizer, Stepper, Stepwise
from gdcli.runs.options import Silent
from gdcli.studies.explore.dynamics import explore
from gdcli.studies.options import Compute, DataMap
from tests.engine.test_contract import NOISY, SMALL, methods
from tests.grids import TRAINABLE, assert_agree, experiment, train

if TYPE_CHECKING:
    from pathlib import Path

    from gdcli.engine.programs.program import Program
    from gdcli.engine.sampling import Orders

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="needs a CUDA device, and PyTorch sees none"
)


@pytest.mark.parametrize("problem", TRAINABLE)
@pytest.mark.parametrize("optimizer", ["vanilla", "adam", "radam"])
def test_a_gpu_computes_the_curves_of_the_cpu(problem: str, optimizer: str) -> None:
    options = NOISY.get(problem, SMALL.get(problem, {}))
    grid: dict[str, Any] = {
        "method": methods(problem),
        "batch_size": "7",
        "lr": "0.001,0.01",
        "seed": "0:1",
        "steps": "20",
        "record": "1",
        "dtype": "float64",
        "optimizer": optimizer,
        "schedule": "cosine",
    }
    on_cpu = train(problem, options, **grid)
    on_gpu = train(problem, options, device="cuda:0", **grid)
    for key, run in on_cpu.items():
        for name, values in run.values.items():
            np.testing.assert_allclose(on_gpu[key].values[name], values, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("problem", ["logistic-regression", "softmax-regression", "mlp", "cnn"])
def test_examples_are_followed_on_a_gpu_as_on_the_cpu(problem: str) -> None:
    grid: dict[str, Any] = {"method": "minibatch", "epochs": "3", "dtype": "float64"}
    named = experiment(problem, **grid)
    cpu, gpu = (
        explore(named, DataMap(), Compute(device=device), Silent).settings[0].measures
        for device in ("cpu", "cuda:0")
    )
    for name in ("confidence", "variability", "el2n", "loss", "final_loss"):
        np.testing.assert_allclose(gpu[name], cpu[name], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("problem", TRAINABLE)
def test_the_reference_runs_on_a_gpu(problem: str) -> None:
    options = NOISY.get(problem, SMALL.get(problem, {}))
    grid: dict[str, Any] = {"batch_size": "7", "lr": "0.001", "steps": "10", "dtype": "float64"}
    grid |= {"method": methods(problem), "clip_norm": "1", "optimizer": "adam", "record": "2"}
    stacked = train(problem, options, device="cuda:0", **grid)
    assert_agree(train(problem, options, device="cuda:0", engine="reference", **grid), stacked)


def test_a_trial_that_diverges_on_a_gpu_ends_where_it_ends_on_the_cpu() -> None:
    grid: dict[str, Any] = {"lr": "0.05,1e4", "epochs": "200", "dtype": "float64"}
    on_cpu = list(train("linear-regression", **grid).values())
    on_gpu = list(train("linear-regression", device="cuda:0", **grid).values())
    assert [run.ended for run in on_gpu] == [run.ended for run in on_cpu]
    assert on_gpu[1].ended == DIVERGED
    assert [run.steps for run in on_gpu] == [run.steps for run in on_cpu]


@pytest.mark.parametrize("problem", TRAINABLE)
def test_a_gpu_measures_the_sharpness_of_the_cpu(problem: str) -> None:
    options = NOISY.get(problem, SMALL.get(problem, {}))
    grid: dict[str, Any] = {"lr": "0.001,1e30", "seed": "0:1", "steps": "2", "dtype": "float64"}
    on_cpu = train(problem, options, measure="sharpness", **grid)
    on_gpu = train(problem, options, measure="sharpness", device="cuda:0", **grid)
    for key, run in on_cpu.items():
        found, values = (t.values["sharpness"][:2] for t in (on_gpu[key], run))
        np.testing.assert_allclose(found[np.isfinite(values)], values[np.isfinite(values)], 1e-6)


@pytest.mark.parametrize("problem", ["linear-regression", "softmax-regression", "mlp", "cnn"])
@pytest.mark.parametrize("rule", [{}, {"clip_norm": "0.5"}, {"weight_decay": "0.1"}], ids=str)
def test_a_cuda_graph_takes_the_plain_steps(
    problem: str, rule: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Rates up to one that diverges at once: a trial that runs away is one of rounding.
    grid: dict[str, Any] = {"lr": "0.001,0.01,1e30", "seed": "0:1", "steps": "70", "record": "9"}
    grid |= {"optimizer": "vanilla,nesterov,adam,radam,nadam", "schedule": "constant,cosine"}
    grid |= {"dtype": "float64", "device": "cuda:0", **rule}
    grid |= {"method": "gd,minibatch", "batch_size": "32", "remainder": "keep"}
    steppers: list[Stepper[Any]] = []

    def graphed(program: Program, rule: StackedOptimizer, orders: Orders | None) -> Stepper[Any]:
        steppers.append(stepper_for(program, rule, orders))
        return steppers[-1]

    monkeypatch.setattr(batch, "stepper_for", graphed)
    replayed = train(problem, SMALL.get(problem, {}), **grid)
    assert steppers
    for stepper in steppers:
        assert isinstance(stepper, Graphed)
        assert stepper.recorded  # nothing fell back
    monkeypatch.setattr(batch, "stepper_for", Stepwise)
    assert_agree(replayed, train(problem, SMALL.get(problem, {}), **grid))


def test_a_rule_that_looks_at_its_step_runs_without_a_graph(tmp_path: Path) -> None:
    file = tmp_path / "early.py"
    file.write_text(EARLY)
    grid: dict[str, Any] = {"optimizer": str(file), "lr": "0.01", "steps": "30", "record": "1"}
    grid |= {"dtype": "float64", "method": "gd,minibatch"}
    on_cpu, on_gpu = train("mlp", **grid), train("mlp", device="cuda:0", **grid)
    for key, run in on_cpu.items():
        np.testing.assert_allclose(on_gpu[key].losses, run.losses, rtol=1e-7)


EARLY = """
from dataclasses import dataclass

from gdcli.optimizer import Optimizer


@dataclass(frozen=True)
class Early(Optimizer):
    \"\"\"Ten times the gradient in the first three steps.\"\"\"

    def update(self, grad, state, param, step):
        \"\"\"Return it.\"\"\"
        return (10 * grad if step < 4 else grad), state
"""


def test_most_steps_of_a_gpu_are_cuda_graphs() -> None:
    for optimizer, method in (("momentum", "gd"), ("adam", "minibatch"), ("vanilla", "sgd")):
        named = experiment("mlp", optimizer=optimizer, method=method, steps="4")
        (one,) = batches_of(named.grid.cohorts)
        _, curves = train_batch(one, examples_of(one.trials[0]), "cuda:0", lambda _: None)
        assert curves.path.endswith("as a CUDA graph")
