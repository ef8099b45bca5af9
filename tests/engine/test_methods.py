"""Methods on a stack: each trial has its own bits, charges and end, whatever its neighbours do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

from gdcli import trees
from gdcli.catalog.catalog import OPTIMIZERS, WRAPPERS
from gdcli.engine.batch import BatchHooks, batches_of, train_batch
from gdcli.engine.examples import examples_of
from gdcli.engine.recorder import DIVERGED, RUNNING
from gdcli.experiment.grid import Trial, cohorts_of
from gdcli.laws.law import resumed_as_whole
from gdcli.method import Method
from gdcli.problem import Data, Network
from tests.engine.test_contract import same
from tests.grids import Trained, assert_agree, experiment, only, takes, train, train_batches

if TYPE_CHECKING:
    from gdcli.optimizer import Rule

PROBLEMS: dict[str, tuple[str, dict[str, Any], dict[str, str]]] = {
    "least squares": (
        "linear-regression",
        {"dataset": "diabetes"},
        {"method": "minibatch", "batch_size": "50"},
    ),
    "classes": ("logistic-regression", {}, {"method": "gd"}),
    "network": (
        "mlp",
        {"dataset": "wine", "hidden": "6"},
        {"method": "minibatch", "batch_size": "50"},
    ),
}
# With a divergence that is recorded some steps after it has happened.
STEPS = {"steps": "7", "record": "3", "dtype": "float64"}


def whole(name: str) -> str:
    """Return the name of an optimizer that moves all parameters."""
    return f"{name}+adam" if getattr(OPTIMIZERS.find(name, ""), "kinds", None) else name


METHODS = [
    *(whole(n) for n in OPTIMIZERS.names() if issubclass(OPTIMIZERS.find(n, ""), Method)),
    *(f"momentum+{name}" for name in WRAPPERS.names()),
    "muon+adamw+cautious+ema",
]


# What is for linear models is refused for networks.
PAIRS = [
    (problem, name)
    for problem, name in product(PROBLEMS, METHODS)
    if takes(PROBLEMS[problem][0], name, PROBLEMS[problem][1])
]


def test_the_lists_are_of_all_methods() -> None:
    assert len(METHODS) > 40
    assert {"lbfgs", "muon+adam", "momentum+sam"} < set(METHODS)


@pytest.mark.parametrize(("problem", "optimizer"), PAIRS)
def test_a_trial_beside_one_that_diverges_is_the_trial_alone(problem: str, optimizer: str) -> None:
    name, options, how = PROBLEMS[problem]
    given = {"optimizer": optimizer, **how, **STEPS}
    together = train(name, options, lr="0.001,1e30,0.01,0.003", seed="0:2", **given)
    ((key, alone),) = train(name, options, lr="0.01", seed="1", **given).items()
    beside = together[key]
    assert same(alone, beside)
    assert alone.seen == beside.seen
    assert alone.steps == [0, 3, 6, 7]
    raw = getattr(alone.trial.optimizer, "records_another_point", False)
    assert ("raw_train_loss" in alone.values) == raw


@pytest.mark.parametrize(("problem", "optimizer"), PAIRS)
def test_it_goes_on_from_every_state_with_the_same_bits(problem: str, optimizer: str) -> None:
    name, options, how = PROBLEMS[problem]
    given = {"optimizer": optimizer, **how, **STEPS}
    trials = experiment(name, options, lr="0.01,1e30", seed="0:1", **given).grid.trials
    assert resumed_as_whole(trials) >= 3


def test_a_trial_that_has_ended_changes_no_bit_and_is_charged_no_more() -> None:
    name, options, how = PROBLEMS["network"]
    given = {"optimizer": "adamw+cautious", "steps": "20", "record": "1", **how}
    # The one with the large rate comes to the loss first.
    goal = {"target_loss": "0.9"}
    together = train(name, options, lr="0.001,0.1,0.01", **given, **goal)
    first, ended, slow = together.values()
    assert ended.steps[-1] < slow.steps[-1] < first.steps[-1]
    for run in together.values():
        (alone,) = train(name, options, lr=str(run.trial.lr), **given, **goal).values()
        assert same(alone, run)
        assert alone.seen == run.seen


def of_rules(rules: list[Rule], **grid: str) -> list[Trained]:
    """Return trained trials of rules on a small network."""
    plain = experiment("mlp", {"dataset": "wine", "hidden": "6"}, **grid).grid.trials
    trials = [replace(trial, optimizer=rule) for rule in rules for trial in plain]
    found = train_batches(batches_of(cohorts_of(trials)))
    return [found[trial.id] for trial in trials]


def test_settings_that_vary_within_a_stack_change_no_bit() -> None:
    how = {"steps": "6", "record": "step", "dtype": "float64", "lr": "0.01"}
    muon = OPTIMIZERS.find("muon+adamw+ema", "")
    changes: list[dict[str, float]] = [
        {},
        {"muon__beta": 0.5},
        {"adamw__beta2": 0.9},
        {"ema__decay": 0.3},
        {"clip_norm": 0.1},
        {"clip_norm": 1e9},
        {"weight_decay": 0.1},
        {"weight_decay": 0.7},
    ]
    rules: list[Rule] = [muon(**change) for change in changes]
    together = of_rules(rules, **how)
    assert len(cohorts_of([run.trial for run in together])) < len(rules)
    for rule, run in zip(rules, together, strict=True):
        (alone,) = of_rules([rule], **how)
        assert same(alone, run)
    ends = {run.losses[-1] for run in together}
    assert len(ends) >= 5  # a limit that clips nothing changes nothing


# --- what is charged ---


def test_a_gradient_is_charged_once_and_two_twice() -> None:
    # 142 examples: two batches of 50, one of 42.
    name, options, how = PROBLEMS["network"]
    given = {"steps": "7", "record": "step", **how}
    plan = [0, 50, 100, 142, 192, 242, 284, 334]
    for optimizer, times in (
        ("adamw+ema", 1),
        ("momentum+cautious+ema", 1),
        ("muon+adamw", 1),
        ("momentum+sam", 2),
        ("muon+adamw+sam", 2),
        ("extragradient", 2),
    ):
        run = only(train(name, options, optimizer=optimizer, **given))
        assert run.seen == [times * n for n in plan], optimizer
        looped = only(train(name, options, optimizer=optimizer, engine="reference", **given))
        assert (looped.seen or plan) == run.seen, optimizer


@pytest.mark.parametrize("optimizer", ["armijo", "lbfgs", "nonlinear-cg", "newton-cg"])
def test_a_search_beside_longer_ones_is_charged_for_its_own_points(optimizer: str) -> None:
    name, options, _ = PROBLEMS["network"]
    given = {"optimizer": optimizer, "steps": "6", "record": "step", "dtype": "float64"}
    together = train(name, options, lr="1e-3,1,1e4", seed="0:1", **given)
    for run in together.values():
        trial = run.trial
        (alone,) = train(name, options, lr=repr(trial.lr), seed=str(trial.seed), **given).values()
        assert run.seen == alone.seen
        assert all(n % 142 == 0 for n in alone.seen)
    assert len({tuple(run.seen) for run in together.values()}) > 1


@dataclass(frozen=True)
class Anchored(Method):
    """Descent along the gradient of all examples, every second step."""

    def direction(self, params: Any, state: Any, ask: Any, lr: Any, step: int) -> Any:
        """Ask for all examples in even steps, and the loss alone in the others, too."""
        if step % 2 == 0:
            return ask.all_examples(params)[1], state
        ask.loss(params)
        return ask(params)[1], state


def test_all_examples_are_charged_as_all() -> None:
    (run,) = of_rules([Anchored()], method="minibatch", batch_size="50", steps="4", record="step")
    assert run.seen == [0, 100, 242, 326, 468]
    looped = only(train_batches(batches_of(cohorts_of([run.trial]), "reference")))
    assert looped.seen == run.seen
    assert_agree({"it": run}, {"it": looped})


# --- the point that is handed out ---


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("wrapper", ["ema", "average"])
def test_the_raw_loss_is_that_of_the_rule_without_its_average(problem: str, wrapper: str) -> None:
    name, options, how = PROBLEMS[problem]
    given = {**how, **STEPS, "lr": "0.01"}
    averaged = only(train(name, options, optimizer=f"momentum+{wrapper}", **given))
    plain = only(train(name, options, optimizer="momentum", **given))
    np.testing.assert_allclose(averaged.values["raw_train_loss"], plain.losses, rtol=1e-12)
    assert averaged.losses[0] == averaged.values["raw_train_loss"][0]
    assert averaged.losses[-1] != averaged.values["raw_train_loss"][-1]


@dataclass(frozen=True)
class Normalized(Network):
    """Two classes of points behind batch normalization."""

    def load(self, rng: np.random.Generator) -> Data:
        """Return the points."""
        x = 3 + 2 * rng.standard_normal((40, 4))
        parts = {"x": x, "y": (x[:, 0] > x[:, 1]).astype(np.int64)}
        return Data(
            {name: values[:30] for name, values in parts.items()},
            {name: values[30:] for name, values in parts.items()},
        )

    def module(self, data: Data) -> nn.Module:
        """Return the layers."""
        return nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 2))


def normalized(**grid: Any) -> tuple[Trial, ...]:
    """Return trials of the network with batch normalization."""
    trials = experiment("quadratic", steps="6", dtype="float64", **grid).grid.trials
    return tuple(
        replace(trial, problem=Normalized(), method="minibatch", batch_size=10) for trial in trials
    )


def test_running_statistics_are_those_of_the_averaged_point() -> None:
    trials = normalized(optimizer="momentum+ema", lr="0.01,0.3", seed="0:1")
    (batch,) = batches_of(cohorts_of(trials))
    data, points = examples_of(trials[0]), list[Any]()
    _, curves = train_batch(
        batch, data, "cpu", lambda _: None, BatchHooks(look=lambda *held: points.append(held))
    )
    params, buffers = points[-1]
    module = Normalized().module(data).double().eval()
    x, y = torch.from_numpy(data.test["x"]), torch.from_numpy(data.test["y"])
    for i in range(len(trials)):
        held = {
            name: torch.from_numpy(np.asarray(a[i])) for name, a in {**params, **buffers}.items()
        }
        module.load_state_dict(held)
        with torch.no_grad():
            loss = nn.functional.cross_entropy(module(x), y)
            inputs = module[0](torch.from_numpy(data.train["x"]))  # type: ignore[index]
        assert float(loss) == pytest.approx(curves.values["test_loss"][-1, i], rel=1e-12)
        # Statistics of all examples at this point, but for a small share of the first ones.
        np.testing.assert_allclose(buffers["1.running_mean"][i], inputs.mean(0), rtol=0.02)
        np.testing.assert_allclose(buffers["1.running_var"][i], inputs.var(0), rtol=0.02)


@pytest.mark.parametrize("optimizer", ["momentum+ema", "momentum+sam", "schedule-free-sgd"])
def test_batch_normalization_is_as_in_a_plain_loop(optimizer: str) -> None:
    trials = normalized(optimizer=optimizer, lr="0.1", seed="0:1", record="3")
    fast = train_batches(batches_of(cohorts_of(trials)))
    assert_agree(fast, train_batches(batches_of(cohorts_of(trials), "reference")))
    assert resumed_as_whole(trials) == 2


def test_divergence_is_judged_at_what_moves_and_what_is_recorded() -> None:
    name, options, how = PROBLEMS["network"]
    run, sound = train(
        name, options, optimizer="momentum+ema", lr="1e30,0.01", steps="5", record="1", **how
    ).values()
    assert (run.ended, sound.ended) == (DIVERGED, RUNNING)
    assert run.steps == [0, 1]


# --- random signs ---


@dataclass(frozen=True)
class Random(Method):
    """Steps of random signs, of the trial's seed alone."""

    def direction(self, params: Any, state: Any, ask: Any, lr: Any, step: int) -> Any:
        """Return signs."""
        return trees.mixed(ask.signs(params), ask(params)[1], 0.5), state


def test_random_signs_are_those_of_the_seed_and_the_step() -> None:
    how = {"steps": "4", "record": "step", "dtype": "float64"}
    runs = of_rules([Random()], lr="0.1,0.2", seed="0:2", **how)
    for run in runs:
        key = {"lr": repr(run.trial.lr), "seed": str(run.trial.seed)}
        (alone,) = of_rules([Random()], **key, **how)
        assert same(alone, run)
        looped = only(train_batches(batches_of(cohorts_of([run.trial]), "reference")))
        assert_agree({"it": run}, {"it": looped})
