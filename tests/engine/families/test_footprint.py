"""Examples by pieces and trials by groups: what is held, and that nothing else comes out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from gdcli.engine.batch import TrialBatch, batches_of, loop_for
from gdcli.engine.estimate import batch_memory, check_memory, stacks_of
from gdcli.engine.examples import examples_of
from gdcli.engine.families import footprint as footprints
from gdcli.engine.families.family import family_of, pieces_for
from gdcli.engine.families.footprint import Count, footprint, parted
from gdcli.engine.layout import Pieces
from gdcli.engine.plan import plan_of
from gdcli.engine.programs.program import CHUNK
from gdcli.errors import UserError
from gdcli.experiment.training import Training
from gdcli.laws.law import train, trials_of
from gdcli.problem import Array, Batch, Data, Network, Params, Problem
from tests.grids import experiment

EXAMPLES = 67


@dataclass(frozen=True)
class Images(Network):
    """Two convolutions."""

    normed: bool = False

    def load(self, rng: np.random.Generator) -> Data:
        x, y = rng.standard_normal((EXAMPLES, 1, 8, 8)), rng.integers(0, 3, EXAMPLES)
        return Data({"x": x, "y": y}, {"x": x[:9], "y": y[:9]})

    def module(self, data: Data) -> nn.Module:
        norms = [nn.BatchNorm2d(4) if self.normed else nn.GELU() for _ in range(2)]
        first, second = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3)
        return nn.Sequential(first, norms[0], second, norms[1], nn.Flatten(), nn.Linear(64, 3))


@dataclass(frozen=True)
class Weighted(Problem):
    """A logistic loss whose two classes, one of them rare, weigh alike."""

    def load(self, rng: np.random.Generator) -> Data:
        y = np.zeros(EXAMPLES)
        y[-3:] = 1
        return Data({"x": rng.standard_normal((EXAMPLES, 2)), "y": y})

    def init(self, rng: np.random.Generator, data: Data) -> Params:
        return {"weight": rng.standard_normal(2)}

    def loss(self, params: Params, batch: Batch) -> Array:
        y, weight = batch["y"], 1 + 20 * batch["y"]
        cost = nn.functional.softplus((1 - 2 * y) * (batch["x"] @ params["weight"]))
        return (weight * cost).sum() / weight.sum()


@dataclass(frozen=True)
class Line(Problem):
    """A line, whose loss is the mean of squares or its root."""

    root: bool = False
    metric_names: ClassVar[tuple[str, ...]] = ("size",)

    def load(self, rng: np.random.Generator) -> Data:
        return Data({"x": rng.standard_normal(EXAMPLES), "y": rng.standard_normal(EXAMPLES)})

    def init(self, rng: np.random.Generator, data: Data) -> Params:
        return {"weight": rng.standard_normal(2)}

    def loss(self, params: Params, batch: Batch) -> Array:
        z = params["weight"][0] + params["weight"][1] * batch["x"]
        mean = (z - batch["y"]).square().mean()
        return mean.sqrt() if self.root else mean

    def metrics(self, params: Params, batch: Batch) -> dict[str, Array]:
        return {"size": params["weight"].square().sum()}


def whole(monkeypatch: pytest.MonkeyPatch, *, size: int) -> None:
    """Have what takes more than so many bytes of a trial cut into pieces of them."""
    for name in ("WHOLE", "OF_A_CHUNK", "PIECE"):
        monkeypatch.setattr(footprints, name, size)


CASES: list[tuple[type[Problem], dict[str, Any]]] = [
    (Images, {}),
    (Images, {"normed": True}),
    (Line, {}),
]
FEW = Training(steps=3, record="1", dtype="float64")
AXES = {"method": ("gd", "minibatch"), "batch_size": (16,), "lr": (0.01, 0.1), "seed": (0, 1)}


@pytest.mark.parametrize(("problem", "options"), CASES)
@pytest.mark.parametrize("engine", ["auto", "reference"])
def test_pieces_change_nothing_but_the_last_digits(
    monkeypatch: pytest.MonkeyPatch, problem: type[Problem], options: dict[str, Any], engine: str
) -> None:
    axes = {**AXES, "lr": (0.1,)}
    trials = trials_of(problem, options, replace(FEW, steps=1, measure="sharpness"), **axes)
    before = train(trials, engine)
    assert pieces_for(trials[0], examples_of(trials[0])).point in (None, CHUNK)
    whole(monkeypatch, size=20_000 if problem is Images else 300)
    found = pieces_for(trials[0], examples_of(trials[0]))
    assert found.point is not None
    assert 1 < found.point < EXAMPLES / 3
    after = train(trials, engine)
    for name, curve in before.items():
        assert list(curve) == list(after[name])
        for column, values in curve.items():
            np.testing.assert_allclose(after[name][column], values, rtol=1e-9, err_msg=column)


def test_a_layered_network_by_pieces_is_the_same_too(monkeypatch: pytest.MonkeyPatch) -> None:
    given = experiment("cnn", {"examples": "60", "channels": "3"}, lr="0.1,0.2", dtype="float64")
    trials = tuple(replace(t, training=replace(t.training, steps=3)) for t in given.grid.trials)
    before = train(trials)
    whole(monkeypatch, size=60_000)
    assert pieces_for(trials[0], examples_of(trials[0])).point in (2, 4, 8, 16)
    for name, curve in train(trials).items():
        for column, values in before[name].items():
            np.testing.assert_allclose(curve[column], values, rtol=1e-9, err_msg=column)


@pytest.mark.parametrize("problem", [*CASES, (None, {})])
def test_trials_by_groups_have_the_same_bits(
    monkeypatch: pytest.MonkeyPatch, problem: tuple[type[Problem] | None, dict[str, Any]]
) -> None:
    axes = {**AXES, "lr": (0.01, 0.03, 0.1), "seed": (0, 1, 2)}
    if problem[0] is None:
        made = experiment("cnn", {"examples": "60", "channels": "3"}, lr="log:0.01:0.1:7")
        trials = tuple(replace(t, training=replace(t.training, steps=3)) for t in made.grid.trials)
    else:
        trials = trials_of(problem[0], problem[1], FEW, **axes)
    before = train(trials)
    trials_of_room = Pieces.trials
    monkeypatch.setattr(
        Pieces, "trials", lambda self, held: trials_of_room(self._replace(room=1), held)
    )
    after = train(trials)
    for name, curve in before.items():
        for column, values in curve.items():
            assert values.tobytes() == after[name][column].tobytes(), column


def test_what_is_no_mean_over_parts_is_not_taken_apart() -> None:
    def may(problem: Problem) -> tuple[bool, bool]:
        family = family_of(problem)
        point = parted(family, problem, 0, step=False)
        return point, parted(family, problem, 0, step=True)

    assert may(Images()) == (True, True)
    assert may(Images(normed=True)) == (True, False)  # a step sees the whole batch's statistics
    assert may(Line()) == (True, True)
    assert may(Line(root=True)) == (False, False)
    assert may(Weighted()) == (False, False)  # its first examples are all of one class


@pytest.mark.parametrize("problem", [Images(), Images(normed=True), Line()])
def test_what_few_examples_take_tells_what_all_take(problem: Problem) -> None:
    each = footprint(family_of(problem), problem, 0, "float32")
    assert each is not None
    (trial,) = trials_of(
        type(problem),
        {"normed": problem == Images(normed=True)} if isinstance(problem, Images) else {},
        FEW,
    )
    trial = replace(trial, training=replace(trial.training, dtype="float32"))
    data = replace(examples_of(trial), test={})
    loop = loop_for([trial], data, plan_of(trial, data.examples), "cpu")
    lanes = loop.program.layout.shape[0]
    for size, compute in (
        (each.point, lambda: loop.program.evaluate(loop.params)),
        (each.step, lambda: loop.program.gradient(loop.params, None)),
    ):
        with Count() as count:
            compute()
        assert count.most / 1.3 < size * lanes * data.examples + 10_000 < 1.6 * count.most + 20_000


def test_what_is_freed_is_not_counted() -> None:
    with Count() as count:
        kept = torch.zeros(100)
        for _ in range(5):
            kept = kept + 1
    assert count.most <= 3 * kept.untyped_storage().nbytes()
    assert count.now >= kept.untyped_storage().nbytes()


def batch_of(**grid: str) -> TrialBatch:
    (batch, *_) = batches_of(experiment("mlp", {"hidden": "300"}, **grid).grid.cohorts)
    return batch


def test_a_stack_that_does_not_fit_is_cut_into_trials_in_their_order() -> None:
    batch = batch_of(lr="log:0.01:0.1:15")
    data = examples_of(batch.trials[0])
    assert stacks_of(batch, data, 10**12) == [batch]
    alone = batch_memory(replace(batch, trials=batch.trials[:1]), data)
    for room in (alone, 2 * alone, batch_memory(batch, data) - 1):
        stacks = stacks_of(batch, data, room)
        assert len(stacks) > 1
        assert tuple(t for stack in stacks for t in stack.trials) == batch.trials
        assert all(batch_memory(stack, data) <= room for stack in stacks)
    check_memory([batch], str(alone))


def test_a_trial_that_does_not_fit_is_refused_with_settings_that_do() -> None:
    problem = replace(Images(normed=True))
    (trial,) = trials_of(Images, {"normed": True}, FEW)
    batch = TrialBatch(0, "gd vanilla", (replace(trial, problem=problem),))
    data = examples_of(trial)
    small = replace(trial, method="minibatch", batch_size=8)
    limit = batch_memory(replace(batch, trials=(replace(small, batch_size=32),)), data)
    with pytest.raises(UserError, match="--method minibatch --batch-size 32") as caught:
        check_memory([batch], str(limit))
    assert "allow --memory" in str(caught.value)
