"""`--optimizer torch:NAME`: the trials of a loop in plain PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from gdcli.catalog.catalog import OPTIMIZERS, name_of
from gdcli.engine.batch import batches_of
from gdcli.engine.examples import examples_of
from gdcli.engine.families.family import starting_point
from gdcli.engine.plan import plan_of
from gdcli.engine.reference.textbook import train as train_alone
from gdcli.engine.sampling import Orders
from gdcli.errors import UserError, UserErrors
from gdcli.fields import options_of
from gdcli.runs.csv_write import Rows
from tests.grids import experiment, train, train_experiment

if TYPE_CHECKING:
    from collections.abc import Callable

    from gdcli.experiment.grid import Trial

NAMES = ["Adamax", "SGD", "AdamW", "Rprop", "ASGD", "NAdam", "LBFGS", "Adafactor"]


def tutorial(trial: Trial, **options: Any) -> list[float]:
    """Return the losses of the mlp, trained as the documentation of torch.optim has it."""
    data, problem = examples_of(trial), trial.problem
    module = problem.module(data).double()  # type: ignore[attr-defined]
    start = starting_point(problem, data, trial.seed)
    module.load_state_dict({name: torch.from_numpy(a) for name, a in start.items()})
    kind = getattr(torch.optim, name_of(trial.optimizer).removeprefix("torch:"))
    rule = kind(module.parameters(), lr=trial.lr, **options)
    x, y = (torch.from_numpy(data.train[name]) for name in "xy")
    plan = plan_of(trial, data.examples)
    orders = Orders("mlp", (trial.seed,), plan, "shuffle")
    losses = []
    for ((chosen,),) in orders.blocks(0, plan.steps, 1):
        losses.append(functional.cross_entropy(module(x), y).item())

        def closure(chosen: np.ndarray = chosen) -> torch.Tensor:
            rule.zero_grad()
            loss = functional.cross_entropy(module(x[chosen]), y[chosen])
            torch.autograd.backward(loss)
            return loss

        rule.step(closure)
    return [*losses, functional.cross_entropy(module(x), y).item()]


@pytest.mark.parametrize("name", NAMES)
def test_it_is_the_torch_loop(name: str) -> None:
    given = experiment(
        "mlp",
        {"dataset": "iris", "hidden": "5", "activation": "tanh"},
        method="minibatch",
        batch_size="20",
        steps="12",
        record="step",
        optimizer=f"torch:{name}",
        lr="0.01,0.03",
        seed="0,1",
        dtype="float64",
    )
    assert [len(batch.trials) for batch in batches_of(given.grid.cohorts)] == [1] * 4
    for run in train_experiment(given).values():
        np.testing.assert_allclose(run.losses, tutorial(run.trial), rtol=1e-10)


def test_its_arguments_are_options_that_may_vary() -> None:
    options = options_of(OPTIMIZERS.find("torch:Adam", ""))
    assert {"betas", "eps", "weight-decay", "amsgrad", "clip-norm"} <= set(options)
    assert not {"lr", "params", "foreach", "fused", "maximize"} & set(options)
    assert (options["betas"].default, options["eps"].default) == ((0.9, 0.999), 1e-8)
    found = train(
        "mlp",
        {"dataset": "iris", "hidden": "5"},
        optimizer="torch:Adam",
        steps="5",
        record="step",
        dtype="float64",
        vary={"torch:Adam.betas": "0.5x0.9,0.9x0.999", "torch:Adam.amsgrad": "true,false"},
        method="minibatch",
    )
    assert len(found) == 4
    for run in found.values():
        rule = run.trial.optimizer
        own = {name: getattr(rule, name) for name in ("betas", "amsgrad")}
        np.testing.assert_allclose(run.losses, tutorial(run.trial, **own), rtol=1e-10)


@pytest.mark.parametrize("problem", ["quadratic", "linear-regression", "matrix-factorization"])
def test_problems_of_numpy_are_moved_to_torch(problem: str) -> None:
    grid: dict[str, Any] = {"steps": "20", "record": "step", "dtype": "float64", "clip_norm": "0.5"}
    ours = train(problem, optimizer="momentum", lr="0.01", schedule="cosine", **grid)
    vary = {"torch:SGD.momentum": "0.9"}
    theirs = train(problem, optimizer="torch:SGD", lr="0.01", schedule="cosine", vary=vary, **grid)
    for run, other in zip(ours.values(), theirs.values(), strict=True):
        for name, values in run.values.items():
            np.testing.assert_allclose(values, other.values[name], rtol=1e-9, err_msg=name)


@pytest.mark.parametrize(
    ("grid", "said"),
    [
        (
            {"optimizer": "torch:Adamx"},
            "torch.optim has no class 'Adamx'; did you mean 'torch:Adamax'?",
        ),
        ({"optimizer": "torch:Optimizer"}, "torch.optim has no class 'Optimizer'"),
        ({"optimizer": "torch:lr_scheduler"}, "torch.optim has no class 'lr_scheduler'"),
        ({"optimizer": "torch:Rprop", "weight_decay": "0.1"}, "torch:Rprop has no weight decay"),
        ({"schedule": "torch:StepLR"}, "there is no schedule 'torch:StepLR'"),
    ],
)
def test_what_torch_has_not_is_refused(grid: dict[str, Any], said: str) -> None:
    with pytest.raises((UserError, UserErrors)) as caught:
        experiment("quadratic", **grid)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("name", "vary"),
    [
        ("LBFGS", {}),
        ("LBFGS", {"torch:LBFGS.max-iter": "4"}),
        ("LBFGS", {"torch:LBFGS.max-iter": "1"}),
        ("Adam", {}),
    ],
)
@pytest.mark.parametrize("method", ["gd", "minibatch", "sgd"])
def test_every_gradient_that_a_step_takes_is_counted(
    name: str, vary: dict[str, str], method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, calls = getattr(torch.optim, name), [0]
    step = kind.step

    def counted(self: torch.optim.Optimizer, closure: Callable[[], torch.Tensor]) -> Any:
        def call() -> torch.Tensor:
            calls[-1] += 1
            return closure()

        calls.append(calls[-1])
        return step(self, call)

    monkeypatch.setattr(kind, "step", counted)
    options = {"dataset": "synthetic", "examples": "30", "features": "3"}
    grid = {"method": method, "batch_size": "6", "steps": "5", "record": "step", "lr": "0.3"}
    given = experiment("linear-regression", options, optimizer=f"torch:{name}", vary=vary, **grid)
    (trial,) = given.grid.trials
    plan = plan_of(trial, examples_of(trial).examples)
    curves = train_alone(trial, examples_of(trial), "cpu", lambda _: None)
    text = Rows(given.varied, given.grid.metrics, plan).curve(trial, curves, 0)
    places = [line.split(",")[7 + len(given.varied) :][:3] for line in text.splitlines()]
    assert [int(step) for _, step, _ in places] == list(range(6))
    assert [int(n) for _, _, n in places] == [plan.batch_size * count for count in calls]
    epochs = [plan.batch_size * count / plan.examples for count in calls]
    assert [float(epoch) for epoch, _, _ in places] == pytest.approx(epochs)
    once = name != "LBFGS" or vary == {"torch:LBFGS.max-iter": "1"}
    assert (curves.seen is None) == once
