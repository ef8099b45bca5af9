"""A batch that stops anywhere and goes on from its last checkpoint: the same bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gdcli.catalog.catalog import WRAPPERS
from gdcli.engine.batch import BatchHooks, batches_of, train_batch
from gdcli.engine.examples import examples_of
from gdcli.engine.watcher import facts
from tests.grids import experiment
from tests.rules import NAMES, whole

if TYPE_CHECKING:
    from collections.abc import Iterable

Arrays = dict[str, np.ndarray]


class Stopped(Exception):  # noqa: N818 -- the test's way to kill a run
    pass


class Memory:
    """Keeps every state it is offered, or stops the run at the n-th."""

    def __init__(self, held: Arrays | None = None, stop: int | None = None) -> None:
        self.held, self.stop, self.states = held, stop, 0

    def due(self) -> bool:
        return True

    def save(self, arrays: Arrays) -> None:
        self.states += 1
        if self.states == self.stop:
            raise Stopped
        self.held = {name: array.copy() for name, array in arrays.items()}

    def load(self) -> Arrays | None:
        return self.held


CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("linear-regression", {}, {"method": "sgd", "epochs": "3", "record": "700"}),
    ("linear-regression", {}, {"method": "gd", "steps": "50", "record": "40", "lr": "0.1,1,9"}),
    ("softmax-regression", {"dataset": "iris", "l2": "0"}, {"method": "sgd", "epochs": "2"}),
    ("quadratic", {"noise": "1", "examples": "9"}, {"method": "minibatch", "batch_size": "4"}),
    ("quadratic", {}, {"record": "10"}),
    ("rosenbrock", {}, {"record": "20", "lr": "0.001", "steps": "90"}),
    ("mlp", {"dataset": "iris"}, {"method": "minibatch", "epochs": "3", "record": "1000"}),
    ("cnn", {"examples": "20", "channels": "2,3"}, {"method": "sgd", "epochs": "2"}),
    ("mlp", {"dataset": "iris"}, {"epochs": "40", "record": "12", "measure": "sharpness"}),
    (
        "mlp",
        {"dataset": "iris", "quantize": "qat", "weight_bits": "2", "float_epochs": "2"},
        {"method": "minibatch", "epochs": "5", "record": "1000"},
    ),
    ("matrix-factorization", {}, {"steps": "40", "record": "log", "optimizer": "momentum"}),
]


@pytest.mark.parametrize(("problem", "options", "grid"), CASES)
def test_it_goes_on_with_the_same_bits(
    problem: str, options: dict[str, Any], grid: dict[str, Any]
) -> None:
    check(problem, options, **{"lr": "0.001,0.01,1e9", "seed": "0:1", **grid})


@pytest.mark.parametrize(
    "optimizer", [*map(whole, NAMES), *(f"adam+{w}" for w in WRAPPERS.names())]
)
def test_every_optimizer_keeps_all_of_its_state(optimizer: str) -> None:
    grid = {"optimizer": optimizer, "epochs": "4", "schedule": "cosine", "weight_decay": "0.1"}
    problem = "softmax-regression" if optimizer == "sophia-g" else "linear-regression"
    check(problem, {}, method="minibatch", lr="0.01", **grid)


def check(problem: str, options: dict[str, Any], **grid: Any) -> None:
    given = experiment(problem, options, **grid)
    for work in batches_of(given.grid.cohorts):
        data = examples_of(work.trials[0])

        def run(keeper: Memory | None, told: list[int], work: Any = work, data: Any = data) -> Any:
            return train_batch(work, data, "cpu", told.append, BatchHooks(keeper))[1]

        whole, every, told = run(None, []), Memory(), list[int]()
        same(run(every, told), whole)
        assert every.states > 1 or problem == "quadratic"
        for stop in thinned(range(2, every.states + 1)):
            keeper, again = Memory(stop=stop), list[int]()
            with pytest.raises(Stopped):
                run(keeper, [])
            same(run(Memory(keeper.held), again), whole)
            assert sum(again) == sum(told) > 0


def thinned(stops: range) -> Iterable[int]:
    return {*stops[:2], *stops[-2:], *stops[:: max(1, len(stops) // 4)]}


def same(curves: Any, expected: Any) -> None:
    assert curves.steps == expected.steps
    for name, values in expected.values.items():
        np.testing.assert_array_equal(curves.values[name], values, err_msg=name)
    np.testing.assert_array_equal(curves.ended, expected.ended)
    np.testing.assert_array_equal(curves.length, expected.length)
    with np.errstate(all="ignore"):
        found, wanted = facts(curves.trajectory), facts(expected.trajectory)
    for name, values in wanted.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
